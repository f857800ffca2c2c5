/* private.h - what the files of the cache room share: the cache itself, paths, unnamed files, room.
 *
 * Lock order: room < names < lock.  `room` lets one thread evict at a time.  `names` is held shared around a change of a
 * blob's name together with its counting, and exclusively while a shard is recounted, so that a recount is exact.
 * None of them is held while a blob's bytes are read, written or synced. */
#pragma once

#include "shutterfs/cache.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#define AREAS 2
#define SHARDS 256
#define OLDEST_KEPT 4096
#define TOUCH_EVERY_S 3600
#define RELIEF_BYTES (32u * 1024 * 1024) /* evicted at once when the disk is full */
#define TEMP_PREFIX "put-"

struct counter {
	uint64_t bytes, files;
};

struct candidate {
	int64_t mtime_ns;
	struct sha256 sha;
};

struct cache {
	char *home[AREAS]; /* absolute: the state and the cache directory */
	char *root[AREAS]; /* where the shards are */
	char *tmp[AREAS];  /* names of files being written, only where there is no O_TMPFILE */
	uint64_t limit;
	_Atomic int64_t doubted_ns, resumed_ns; /* set at start: see trust.c */
	bool running;                           /* it began: trust_end is due */
	bool one_disk;                          /* evicting makes room for the spool, too */
	_Atomic bool no_tmpfile[AREAS];         /* this file system has none: do not ask again */
	pthread_mutex_t room;
	struct candidate *oldest;     /* room; 2 * OLDEST_KEPT places, of which the walk uses all */
	size_t n_oldest, next_oldest; /* room */
	pthread_rwlock_t names;
	pthread_mutex_t lock;
	struct counter total[AREAS], shard[AREAS][SHARDS]; /* lock */
	uint64_t reserved, evicted;                        /* lock */
	bool counted; /* lock; the spool was: its total is exact */
	/* Written with the lock.  Only a hint where to look first: what is not there is looked for in both. */
	_Atomic bool spool_empty;
};

/* ---- disk.c ---- */
struct blob_path {
	char s[PATH_MAX];
};
void blob_path(const struct cache *c, enum blob_area area, const struct sha256 *sha,
	       struct blob_path *ret);
int shard_prepare(struct cache *c, enum blob_area area, unsigned shard) MUST_CHECK;
int shard_sync(struct cache *c, enum blob_area area, unsigned shard) MUST_CHECK;
/* Calls fn for each blob of a shard, in no order; stops when it returns non-zero.  No shard: no blobs. */
typedef int entry_fn(void *user, const struct sha256 *sha, const struct stat *st);
int shard_each(const struct cache *c, enum blob_area area, unsigned shard, entry_fn *fn, void *user)
	MUST_CHECK;

/* A file that has no name yet; where the file system cannot do that, one with a name in tmp. */
struct temp {
	int fd;
	char *name; /* owned; NULL: none */
};
int temp_open(struct cache *c, enum blob_area area, struct temp *ret) MUST_CHECK;
int temp_open_memory(struct temp *ret) MUST_CHECK;
void temp_unname(struct temp *t);
void temp_done(struct temp *t);
void temp_clean(const struct cache *c, enum blob_area area);
/* Gives it the blob's name, instead of its own, and counts it. -EEXIST, -ENOENT (no such shard), ... */
int temp_link(struct cache *c, struct temp *t, enum blob_area area, const struct sha256 *sha,
	      uint64_t size) MUST_CHECK;
int move_noreplace(const char *from, const char *to) MUST_CHECK;

/* ---- trust.c ---- */
int trust_begin(struct cache *c) MUST_CHECK;
void trust_end(
	const struct cache *c); /* everything is on disk, and the next start need not doubt it */
/* 0: its bytes are what its name says, as far as that is in doubt; -EBADMSG: they are not. */
int blob_believe(const struct cache *c, const struct sha256 *sha, int fd) MUST_CHECK;

/* ---- room.c ---- */
void count(struct cache *c, enum blob_area area, const struct sha256 *sha, int sign, uint64_t size);
void recount(struct cache *c, enum blob_area area);
void spool_counted(struct cache *c); /* from now on spool_empty may be believed */
/* False: it cannot be kept.  What was reserved is given back by room_release. */
bool room_reserve(struct cache *c, uint64_t bytes);
void room_release(struct cache *c, uint64_t bytes);
uint64_t room_evict(struct cache *c, uint64_t want); /* bytes of the names it removed */
