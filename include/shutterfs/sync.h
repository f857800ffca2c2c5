/* sync.h - everything that happens by itself: the one scheduler, the outbox to the stores, scans of the stores, captures on
 * schedule, uploads that are due, the once-a-second durability tick.
 *
 * One scheduler thread holds the timers; work runs on bounded pools, one per store (its config's `threads`) and one for housekeeping, so
 * nothing waits for a slow store but that store.  Failures are logged once per item and kept in the catalog; an item is tried again with
 * jittered pauses (1 s doubling to 10 min, Retry-After obeyed) for ever; one bad item never holds the rest.  Tried before: looked for (head)
 * before it is sent again, so nothing is sent twice.  Confirmed by every store: its blob is settled from spool to cache, or dropped where a
 * store is local and read in place. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/fetch.h"
#include "shutterfs/ingest.h"

struct sync;
struct sync_parts { /* borrowed for the sync's life */
	const struct config *conf;
	struct catalog *catalog;
	struct cache *cache;
	struct fetch *fetch;
	struct ingest *ingest;
	const struct store_slot *store;
	size_t n_stores;
	const struct camera_slot *camera;
	size_t n_cameras;
};
int sync_new(const struct sync_parts *parts, struct sync **ret) MUST_CHECK;
/* Threads begin, the first job being ingest_recover and cache_recount; never blocks on a store. */
int sync_start(struct sync *s) MUST_CHECK;
struct sync *
sync_free(struct sync *s); /* ends within 5 s: what is under way is cancelled and stays queued */
void sync_kick(struct sync *s,
	       int64_t due_us); /* something is due at due_us (0: now); from any thread */
void sync_stale(
	struct sync *s,
	int64_t store); /* a fetch found this store changed: scan it soon (coalesced, at most once a minute) */
/* A store failed, and something else is in the place of what was opened for it: another process would open that. */
bool sync_store_replaced(const struct sync *s);

/* Progress of the blocking calls below, at most 4 times a second, from the calling thread; non-zero return cancels with it. */
typedef int progress_fn(void *user, uint64_t done, uint64_t total /* 0: unknown */,
			const char *what);
/* One whole scan of a store (joins one under way): list, ledger, sidecars. -ENOENT: no such store. why in c. */
int sync_scan(struct sync *s, const char *store, struct call *c, progress_fn *fn, void *user,
	      struct scan_counts *ret) MUST_CHECK;
/* Retries everything now; wait: until the outbox is empty: 0, or -EIO when only failing items are left (each tried at least once more), `c->why` names the first. */
int sync_drain(struct sync *s, bool wait, struct call *c, progress_fn *fn, void *user) MUST_CHECK;
/* The catalog from the stores alone: scans every store from the start, reads every sidecar, and asks for the metadata of pictures without one. */
int sync_rebuild(struct sync *s, struct call *c, progress_fn *fn, void *user,
		 struct scan_counts *ret) MUST_CHECK;
