/* cache.h - blobs on disk by SHA-256: the spool (accepted, no store has it yet: never evicted) and the cache (copies).
 *
 * On disk: <state>/spool/<2 hex>/<64 hex>, <cache>/blobs/<2 hex>/<64 hex>, <cache>/tmp.  A blob appears whole (written under
 * no name, then linked); the cache directory may be deleted at any time, also while mounted.  Recency is the blob's mtime,
 * moved at most hourly on open, so no index is held in memory: eviction walks the shards and keeps the oldest 4,096 it met.
 * Bytes are reserved before a fetch; room is made by evicting first.  -ENOSPC from a full disk is not fatal to readers: they get
 * an unnamed file in state/tmp or memory (memfd).  A part of the disk (1/32, at most 1 GiB) is left free by the cache, whatever its
 * limit.  After an end that was not clean, a blob is hashed before it is first believed: a torn copy is dropped, a torn blob of the
 * spool is -EBADMSG, and never read.  Thread-safe; no lock is held while a blob is read, written or synced. */
#pragma once

#include "shutterfs/base.h"

struct cache;
enum blob_area { BLOB_SPOOL, BLOB_CACHE };

int cache_new(const char *state_dir, const char *cache_dir, uint64_t limit, struct cache **ret)
	MUST_CHECK;
/* This process takes the place of one that was killed, while the machine ran on: nothing that it wrote is doubted.  Before others
 * use the cache. */
void cache_resumes(struct cache *c);
struct cache *cache_free(struct cache *c);
/* The machine's clock was set by `step_us`: what was doubted up to the start still is. */
void cache_clock_set(struct cache *c, int64_t step_us);
/* Exact totals from the disk; run once in the background after start. */
void cache_recount(struct cache *c);

/* An open, read-only descriptor of the whole blob, spool first. -ENOENT: neither has it; -EBADMSG: the spool's is torn. */
int cache_open(struct cache *c, const struct sha256 *sha, int *ret_fd) MUST_CHECK;
/* ret_area may be NULL. */
bool cache_has(struct cache *c, const struct sha256 *sha, enum blob_area *ret_area);
/* It is in the cache and not (any more) in the spool: a descriptor that was kept of it serves again, and eviction knows of it. */
bool cache_used(struct cache *c, const struct sha256 *sha);
/* Its bytes in the cache are about to be read: the disk may begin. */
void cache_expect(struct cache *c, const struct sha256 *sha);

/* Writing a blob of which at most `size_hint` bytes are expected. */
struct blob_writer;
int blob_begin(struct cache *c, enum blob_area area, uint64_t size_hint, struct blob_writer **ret)
	MUST_CHECK;
int blob_write(struct blob_writer *w, const void *data, size_t len) MUST_CHECK;
/* Borrowed, until the next blob_write: to hash or probe what was written. */
int blob_fd(struct blob_writer *w);
/* Names it (already there: fine) and gives an open descriptor in *ret_fd (ret_fd may be NULL).  BLOB_SPOOL: `sync` makes data
 * and name durable first.  BLOB_CACHE on a full disk: still 0 with a descriptor, but not kept (cache_has says no).  Frees w, always.
 * A file of that name with another size, or torn by a power cut, is replaced. */
int blob_commit(struct blob_writer *w, const struct sha256 *sha, bool sync, int *ret_fd) MUST_CHECK;
struct blob_writer *blob_abort(struct blob_writer *w);

/* Room for `bytes` more in the cache that costs nothing which was used in the last hour; older blobs are evicted for it. */
bool cache_spare(struct cache *c, uint64_t bytes);

/* The state's disk has `bytes`, and a part of it besides (1/32, at most 1 GiB) that is left for uploads and edits: what comes by
 * itself does not take it. */
bool cache_spool_spare(struct cache *c, uint64_t bytes);

/* Puts the file at dirfd/name (same file system as state) into the spool under `sha` by link; the old name stays. */
int cache_adopt(struct cache *c, int dirfd, const char *name, const struct sha256 *sha, bool sync)
	MUST_CHECK;
/* The spool's blob is what its name says. -EBADMSG: it is torn; -ENOENT: not there. */
int cache_check(struct cache *c, const struct sha256 *sha) MUST_CHECK;
/* The spool's blob, sound or not, as dirfd/name, too (same file system): what was accepted last before a power cut, and may be torn. */
int cache_disown(struct cache *c, const struct sha256 *sha, int dirfd, const char *name) MUST_CHECK;
/* Every store has confirmed it: spool -> cache (rename, or copy across file systems); when the cache has no room, just gone.
 * Already settled: 0.  -ENOENT: in neither area. */
int cache_settle(struct cache *c, const struct sha256 *sha) MUST_CHECK;
/* The way back, of what no store has any more: no longer evicted.  -ENOENT: in neither area. */
int cache_keep(struct cache *c, const struct sha256 *sha) MUST_CHECK;
/* -ENOENT: it was not there. */
int cache_drop(struct cache *c, const struct sha256 *sha, enum blob_area area) MUST_CHECK;
/* Names and sizes of all blobs of an area, for fsck and start-up: hex order, without locks; stops when
 * fn returns non-zero and returns that. */
typedef int blob_fn(void *user, const struct sha256 *sha, uint64_t size);
int cache_each(struct cache *c, enum blob_area area, blob_fn *fn, void *user) MUST_CHECK;
/* Makes all spooled data and names durable (syncfs). */
int cache_sync_spool(struct cache *c) MUST_CHECK;

struct cache_totals {
	uint64_t cache_bytes, cache_files, cache_limit, spool_bytes, spool_files, evicted;
	/* Of the file system that takes uploads: what statfs shows. */
	uint64_t state_free, state_total;
};
void cache_totals(struct cache *c, struct cache_totals *ret);
