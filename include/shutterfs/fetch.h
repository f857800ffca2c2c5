/* fetch.h - "give me this snapshot": where its bytes are, one flight per snapshot, retries, verification, cache fill.
 *
 * Order: spool, cache, local stores (read in place when size and etag are the recorded ones and the hash is known), then remote stores
 * in config order.  Whole objects only; checked (size as recorded, SHA-256, else the etag when it is a plain MD5, JPEG start and
 * end) before anybody gets a byte; a bad one is an error of that place and the next place is tried; then the round is repeated with
 * jittered pauses (Retry-After obeyed) until the deadline, which each reader has for itself; wrong bytes get three rounds.  Learnt
 * hashes go to the catalog.  Bounded: `threads` workers per store, at most `fetch_threads`, so a store that hangs delays only its
 * own readers.  Thread-safe; one mutex over the flights, never held across I/O or callbacks.
 * Errors for readers: -ESTALE (every store says it is gone or changed: told to the catalog, a scan is asked for), -EACCES (refused),
 * -ETIMEDOUT, -EIO (wrong bytes, server errors), -ENOSPC, -EHOSTUNREACH/-ECONNREFUSED become -EIO after the deadline. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/cache.h"
#include "shutterfs/catalog.h"
#include "shutterfs/config.h"
#include "shutterfs/store.h"

struct fetch;
struct store_slot { /* an open store and its id in the catalog; borrowed for the fetch's life */
	struct store *store;
	int64_t id;
};
int fetch_new(const struct config *conf, struct catalog *cat, struct cache *cache,
	      const struct store_slot *slot, size_t n_slots, struct fetch **ret) MUST_CHECK;
/* Ends flights with -ECANCELED (their callbacks still run), joins. */
struct fetch *fetch_free(struct fetch *f);

/* Without the network: an open descriptor, or -ENODATA: it has to be fetched. */
int fetch_local(struct fetch *f, const struct snap *s, int *ret_fd) MUST_CHECK;
/* The same from the spool and the cache alone: a file that never changes. */
int fetch_blob(struct fetch *f, const struct snap *s, int *ret_fd) MUST_CHECK;
/* ... and from the local stores alone: their file, which may. */
int fetch_in_place(struct fetch *f, const struct snap *s, int *ret_fd) MUST_CHECK;
/* What was kept of an earlier fetch_blob may serve again: it is in the cache, and not (any more) in the spool. */
bool fetch_used(struct fetch *f, const struct snap *s);
/* Somebody is about to read it: where it is cached, the disk may begin. */
void fetch_expect(struct fetch *f, const struct snap *s);
/* What st_blocks and the state "synced" tell. */
bool fetch_is_local(struct fetch *f, const struct snap *s);

/* Called exactly once, from a worker, without locks: err 0 and a descriptor of its own, or -errno and one sentence. */
typedef void fetch_fn(void *user, int err, int fd, const char *why);
/* Joins or starts the flight of this snapshot; returns at once; -EAGAIN: too many waiting (65,536). fn may run before this returns. */
int fetch_start(struct fetch *f, int64_t snapshot, fetch_fn *fn, void *user, uint64_t *ret_ticket)
	MUST_CHECK;
/* True: fn was not and will not be called. A flight whose last waiter left goes on (its bytes will be wanted) unless it has not begun. */
bool fetch_cancel(struct fetch *f, uint64_t ticket);
/* The same, blocking (verbs, sync). */
int fetch_wait(struct fetch *f, int64_t snapshot, struct call *c, int *ret_fd) MUST_CHECK;

/* A reader opened it (whether or not its bytes are here).  Opens in the order of a listing, or to and fro in one directory, have
 * pictures fetched that will be next; never at the cost of readers who wait, nor of what was used lately.  Quick; does not block. */
void fetch_opened(struct fetch *f, const struct snap *s);

struct fetch_totals {
	uint64_t requests, bytes; /* over the network or from a store */
	uint64_t hits;            /* served from local bytes */
	uint64_t errors;          /* readers that got one */
	uint64_t in_flight;
	/* Of the requests, those that began before anybody asked; how many pictures of them were opened since. */
	uint64_t ahead_requests, ahead_bytes, ahead_used;
};
void fetch_totals(struct fetch *f, struct fetch_totals *ret);
/* Told, from a worker, when a snapshot's bytes became local (st_blocks changed), and when a store should be scanned. */
typedef void fetch_event_fn(void *user, int64_t snapshot,
			    int64_t stale_store /* 0: became local */);
void fetch_on_event(struct fetch *f, fetch_event_fn *fn, void *user);
