/* room.c - how much is there, and who has to go: counting, reserving, evicting.
 *
 * A walk keeps the 4,096 blobs that were used longest ago, and evictions consume that list before there is another
 * walk.  The list stays right in between: recency only moves forward, so whatever is not on it is younger than what is, and
 * an entry that was used meanwhile shows another mtime and is passed over. */
#define LOG_ROOM "cache"
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FLOOR_BYTES (1024u * 1024 * 1024) /* left free on a disk for others: this, or */
#define FLOOR_PART 32                     /* that part of a smaller disk */

struct survey {
	struct cache *c;
	struct counter sum;
	bool candidates; /* room is held: collect them */
};

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int candidate_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->mtime_ns != y->mtime_ns)
		return x->mtime_ns < y->mtime_ns ? -1 : 1;
	return memcmp(&x->sha, &y->sha, sizeof(x->sha));
}

static void oldest_cut(struct cache *c)
{
	qsort(c->oldest, c->n_oldest, sizeof(*c->oldest), candidate_cmp);
	if (c->n_oldest > OLDEST_KEPT)
		c->n_oldest = OLDEST_KEPT;
}

static int survey_blob(void *user, const struct sha256 *sha, const struct stat *st)
{
	struct survey *s = user;
	struct cache *c = s->c;

	s->sum.bytes += (uint64_t)st->st_size;
	s->sum.files++;
	if (!s->candidates)
		return 0;
	if (c->n_oldest == 2 * OLDEST_KEPT)
		oldest_cut(c);
	c->oldest[c->n_oldest++] = (struct candidate){.mtime_ns = mtime_ns(st), .sha = *sha};
	return 0;
}

/* With the lock, after each change of a total. */
static void note_spool(struct cache *c)
{
	bool empty = c->counted && !c->total[BLOB_SPOOL].files;

	if (c->spool_empty != empty)
		c->spool_empty = empty;
}

/* A shard that cannot be read keeps its old count. */
static void survey_shard(struct cache *c, enum blob_area area, unsigned shard, bool candidates)
{
	struct survey s = {.c = c, .candidates = candidates};
	struct counter *old = &c->shard[area][shard], *total = &c->total[area];

	(void)pthread_rwlock_wrlock(&c->names);
	int r = shard_each(c, area, shard, survey_blob, &s);
	if (r == 0) {
		(void)pthread_mutex_lock(&c->lock);
		total->bytes += s.sum.bytes - old->bytes;
		total->files += s.sum.files - old->files;
		*old = s.sum;
		note_spool(c);
		(void)pthread_mutex_unlock(&c->lock);
	}
	(void)pthread_rwlock_unlock(&c->names);
}

void recount(struct cache *c, enum blob_area area)
{
	for (unsigned i = 0; i < SHARDS; i++)
		survey_shard(c, area, i, false);
}

void spool_counted(struct cache *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->counted = true;
	note_spool(c);
	(void)pthread_mutex_unlock(&c->lock);
}

static void find_oldest(struct cache *c)
{
	c->n_oldest = c->next_oldest = 0;
	for (unsigned i = 0; i < SHARDS; i++)
		survey_shard(c, BLOB_CACHE, i, true);
	oldest_cut(c);
}

/* Before the first recount blobs may go that were never counted: then the sums stop at 0. */
void count(struct cache *c, enum blob_area area, const struct sha256 *sha, int sign, uint64_t size)
{
	struct counter *shard = &c->shard[area][sha->b[0]], *total = &c->total[area];

	(void)pthread_mutex_lock(&c->lock);
	if (sign > 0) {
		shard->bytes += size;
		total->bytes += size;
		shard->files++;
		total->files++;
	} else if (shard->files && shard->bytes >= size) {
		shard->bytes -= size;
		total->bytes -= size;
		shard->files--;
		total->files--;
	}
	note_spool(c);
	(void)pthread_mutex_unlock(&c->lock);
}

/* Removes one blob unless it was used since the walk. */
static bool evict_one(struct cache *c, const struct candidate *who, uint64_t *freed)
{
	struct blob_path p;
	struct stat st;
	bool gone;

	blob_path(c, BLOB_CACHE, &who->sha, &p);
	(void)pthread_rwlock_rdlock(&c->names);
	gone = lstat(p.s, &st) == 0 && mtime_ns(&st) == who->mtime_ns && unlink(p.s) == 0;
	if (gone) {
		*freed += (uint64_t)st.st_size;
		count(c, BLOB_CACHE, &who->sha, -1, (uint64_t)st.st_size);
		(void)pthread_mutex_lock(&c->lock);
		c->evicted++;
		(void)pthread_mutex_unlock(&c->lock);
	}
	(void)pthread_rwlock_unlock(&c->names);
	return gone;
}

/* Only what was last used before `before_ns`.  Walks again only when something went since the last walk: a disk that refuses to
 * remove must not keep us here. */
static uint64_t evict_bytes(struct cache *c, uint64_t want, int64_t before_ns)
{
	uint64_t freed = 0;
	bool may_walk = true;

	while (freed < want) {
		if (c->next_oldest == c->n_oldest) {
			if (!may_walk)
				break;
			find_oldest(c);
			may_walk = false;
			if (!c->n_oldest)
				break;
		}
		if (c->oldest[c->next_oldest].mtime_ns >= before_ns)
			break;
		if (evict_one(c, &c->oldest[c->next_oldest++], &freed))
			may_walk = true;
	}
	return freed;
}

uint64_t room_evict(struct cache *c, uint64_t want)
{
	(void)pthread_mutex_lock(&c->room);
	uint64_t freed = evict_bytes(c, want, INT64_MAX);
	(void)pthread_mutex_unlock(&c->room);
	return freed;
}

/* How much the disk lacks until it has `bytes` and the floor left; 0 when nobody can tell. */
static uint64_t disk_lacks(const struct cache *c, enum blob_area area, uint64_t bytes)
{
	struct statvfs fs;

	if (statvfs(c->root[area], &fs) < 0)
		return 0;
	uint64_t floor = fs.f_frsize * (uint64_t)fs.f_blocks / FLOOR_PART;
	uint64_t avail = fs.f_frsize * (uint64_t)fs.f_bavail;
	uint64_t need = bytes + (floor < FLOOR_BYTES ? floor : FLOOR_BYTES);
	return need > avail ? need - avail : 0;
}

/* Over the limit by how much, if `bytes` came; 0: they are reserved now. */
static uint64_t reserve_or_lack(struct cache *c, uint64_t bytes)
{
	uint64_t lack = 0;

	(void)pthread_mutex_lock(&c->lock);
	uint64_t sum = c->total[BLOB_CACHE].bytes + c->reserved + bytes;
	if (sum > c->limit)
		lack = sum - c->limit;
	else
		c->reserved += bytes;
	(void)pthread_mutex_unlock(&c->lock);
	return lack;
}

/* Nobody is evicted for something that would not fit into an empty cache. */
static bool can_ever_fit(struct cache *c, uint64_t bytes)
{
	(void)pthread_mutex_lock(&c->lock);
	bool ok = bytes <= c->limit && c->reserved <= c->limit - bytes;
	(void)pthread_mutex_unlock(&c->lock);
	return ok;
}

static bool make_room(struct cache *c, uint64_t bytes)
{
	uint64_t lack = disk_lacks(c, BLOB_CACHE, bytes);

	if (lack && evict_bytes(c, lack, INT64_MAX) < lack)
		return false;
	/* More than one round: a walk corrects the count, and others reserve meanwhile. */
	for (int round = 0; round < 4 && can_ever_fit(c, bytes); round++) {
		lack = reserve_or_lack(c, bytes);
		if (!lack)
			return true;
		(void)evict_bytes(c, lack, INT64_MAX);
	}
	return false;
}

bool room_reserve(struct cache *c, uint64_t bytes)
{
	if (!can_ever_fit(c, bytes))
		return false;
	if (!disk_lacks(c, BLOB_CACHE, bytes) && !reserve_or_lack(c, bytes))
		return true;
	(void)pthread_mutex_lock(&c->room);
	bool ok = make_room(c, bytes);
	(void)pthread_mutex_unlock(&c->room);
	if (!ok)
		log_debug("no room for %llu bytes in \"%s\"", (unsigned long long)bytes,
			  c->home[BLOB_CACHE]);
	return ok;
}

void room_release(struct cache *c, uint64_t bytes)
{
	(void)pthread_mutex_lock(&c->lock);
	c->reserved -= bytes;
	(void)pthread_mutex_unlock(&c->lock);
}

bool cache_spool_spare(struct cache *c, uint64_t bytes)
{
	return disk_lacks(c, BLOB_SPOOL, bytes) == 0;
}

bool cache_spare(struct cache *c, uint64_t bytes)
{
	/* A use within the hour after the recorded one is not recorded. */
	int64_t before_ns = now_us() * 1000 - 2 * (int64_t)TOUCH_EVERY_S * 1000000000;
	uint64_t disk, lack;

	if (!can_ever_fit(c, bytes))
		return false;
	/* What is evicted for somebody must not look free before he has reserved it. */
	(void)pthread_mutex_lock(&c->room);
	disk = disk_lacks(c, BLOB_CACHE, bytes);
	(void)pthread_mutex_lock(&c->lock);
	uint64_t sum = c->total[BLOB_CACHE].bytes + c->reserved + bytes;
	lack = sum > c->limit ? sum - c->limit : 0;
	(void)pthread_mutex_unlock(&c->lock);
	if (disk > lack)
		lack = disk;
	bool spare = !lack || evict_bytes(c, lack, before_ns) >= lack;
	(void)pthread_mutex_unlock(&c->room);
	return spare;
}
