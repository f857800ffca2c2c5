/* cache.c - the life of the cache, and reading it: open, has, drop, each, totals. */
#define LOG_ROOM "cache"
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { EXPECT_BYTES = 1 << 20 }; /* then the kernel has seen how it is read */

static const char *const area_dir[AREAS] = {[BLOB_SPOOL] = "spool", [BLOB_CACHE] = "blobs"};

static int area_init(struct cache *c, enum blob_area area, const char *home)
{
	CLEANUP(freep) char *cwd = *home == '/' ? strdup("") : getcwd(NULL, 0);
	const char *slash = *home == '/' ? "" : "/";

	if (!cwd)
		return -errno;
	if (strlen(cwd) + strlen(home) + 100 >
	    PATH_MAX) /* the longest name below: /blobs/<2>/<64> */
		return -ENAMETOOLONG;
	if (asprintf(&c->home[area], "%s%s%s", cwd, slash, home) < 0)
		c->home[area] = NULL;
	if (!c->home[area] || asprintf(&c->root[area], "%s/%s", c->home[area], area_dir[area]) < 0)
		c->root[area] = NULL;
	if (!c->root[area] || asprintf(&c->tmp[area], "%s/tmp", c->home[area]) < 0)
		c->tmp[area] = NULL;
	return c->tmp[area] ? 0 : -ENOMEM;
}

/* The first shard is as good as any to see that the area can be used. */
static int area_start(struct cache *c, enum blob_area area)
{
	int r = shard_prepare(c, area, 0);

	temp_clean(c, area);
	return r;
}

static bool same_disk(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev;
}

static void cache_freep(struct cache **p)
{
	*p = cache_free(*p);
}

int cache_new(const char *state_dir, const char *cache_dir, uint64_t limit, struct cache **ret)
{
	CLEANUP(cache_freep) struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	(void)pthread_mutex_init(&c->room, NULL);
	(void)pthread_mutex_init(&c->lock, NULL);
	(void)pthread_rwlock_init(&c->names, NULL);
	c->limit = limit;
	c->oldest = calloc(2 * OLDEST_KEPT, sizeof(*c->oldest));
	if (!c->oldest)
		return -ENOMEM;
	int r = area_init(c, BLOB_SPOOL, state_dir);
	if (r == 0)
		r = area_init(c, BLOB_CACHE, cache_dir);
	if (r == 0)
		r = area_start(c, BLOB_SPOOL);
	if (r < 0)
		return r;
	r = trust_begin(c);
	if (r < 0)
		return r;
	r = area_start(c, BLOB_CACHE);
	if (r == -ENOSPC || r == -EDQUOT || r == -EROFS)
		log_warn("nothing can be kept in \"%s\": %s; going on without", c->home[BLOB_CACHE],
			 strerrordesc_np(-r));
	else if (r < 0)
		return r;
	c->one_disk = same_disk(c->home[BLOB_SPOOL], c->home[BLOB_CACHE]);
	c->running = true;
	*ret = TAKE(c);
	return 0;
}

struct cache *cache_free(struct cache *c)
{
	if (!c)
		return NULL;
	if (c->running)
		trust_end(c);
	for (int i = 0; i < AREAS; i++) {
		free(c->home[i]);
		free(c->root[i]);
		free(c->tmp[i]);
	}
	free(c->oldest);
	(void)pthread_rwlock_destroy(&c->names);
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_mutex_destroy(&c->room);
	free(c);
	return NULL;
}

void cache_recount(struct cache *c)
{
	recount(c, BLOB_SPOOL);
	spool_counted(c);
	recount(c, BLOB_CACHE);
}

static int area_open(struct cache *c, enum blob_area area, const struct sha256 *sha)
{
	struct blob_path p;

	blob_path(c, area, sha, &p);
	CLEANUP(closep) int fd = open(p.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int r = blob_believe(c, sha, fd);
	if (r == -EBADMSG && area == BLOB_CACHE) { /* a copy: there are others */
		log_info("a cached copy was damaged by a crash and is dropped");
		(void)!cache_drop(c, sha, area);
		return -ENOENT;
	}
	return r < 0 ? r : TAKE_FD(fd);
}

/* Ours to give up: a cache that cannot be read is a cache without the blob. */
static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* Eviction goes by the time of the last change. */
static bool use_is_old(const struct stat *st)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return st->st_mtim.tv_sec + TOUCH_EVERY_S <= now.tv_sec;
}

static void remember_use(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && use_is_old(&st))
		(void)futimens(fd, NULL);
}

static int cached_open(struct cache *c, const struct sha256 *sha)
{
	int fd = area_open(c, BLOB_CACHE, sha);

	if (fd >= 0)
		remember_use(fd);
	return fd;
}

int cache_open(struct cache *c, const struct sha256 *sha, int *ret_fd)
{
	int fd = c->spool_empty ? cached_open(c, sha) : -ENOENT;

	if (fd < 0)
		fd = area_open(c, BLOB_SPOOL, sha);
	if (fd == -ENOENT || fd == -EBADMSG) {
		int torn = fd;

		fd = cached_open(c, sha);
		if (fd < 0 && !is_shortage(fd))
			fd = torn;
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static bool area_has(struct cache *c, enum blob_area area, const struct sha256 *sha,
		     enum blob_area *ret_area)
{
	struct blob_path p;

	blob_path(c, area, sha, &p);
	if (access(p.s, F_OK) < 0)
		return false;
	if (ret_area)
		*ret_area = area;
	return true;
}

int cache_check(struct cache *c, const struct sha256 *sha)
{
	CLEANUP(closep) int fd = area_open(c, BLOB_SPOOL, sha);

	return fd < 0 ? fd : 0;
}

int cache_disown(struct cache *c, const struct sha256 *sha, int dirfd, const char *name)
{
	struct blob_path p;

	blob_path(c, BLOB_SPOOL, sha, &p);
	return linkat(AT_FDCWD, p.s, dirfd, name, 0) < 0 ? -errno : 0;
}

bool cache_has(struct cache *c, const struct sha256 *sha, enum blob_area *ret_area)
{
	return (c->spool_empty && area_has(c, BLOB_CACHE, sha, ret_area)) ||
	       area_has(c, BLOB_SPOOL, sha, ret_area) || area_has(c, BLOB_CACHE, sha, ret_area);
}

bool cache_used(struct cache *c, const struct sha256 *sha)
{
	struct blob_path p;
	struct stat st;

	if (!c->spool_empty && area_has(c, BLOB_SPOOL, sha, NULL))
		return false;
	blob_path(c, BLOB_CACHE, sha, &p);
	if (lstat(p.s, &st) < 0)
		return false;
	if (use_is_old(&st))
		(void)utimensat(AT_FDCWD, p.s, NULL, AT_SYMLINK_NOFOLLOW);
	return true;
}

void cache_expect(struct cache *c, const struct sha256 *sha)
{
	struct blob_path p;

	blob_path(c, BLOB_CACHE, sha, &p);
	CLEANUP(closep) int fd = open(p.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		(void)posix_fadvise(fd, 0, EXPECT_BYTES, POSIX_FADV_WILLNEED);
}

int cache_drop(struct cache *c, const struct sha256 *sha, enum blob_area area)
{
	struct blob_path p;
	struct stat st;
	int r = 0;

	blob_path(c, area, sha, &p);
	(void)pthread_rwlock_rdlock(&c->names);
	if (lstat(p.s, &st) < 0 || unlink(p.s) < 0)
		r = -errno;
	else
		count(c, area, sha, -1, (uint64_t)st.st_size);
	(void)pthread_rwlock_unlock(&c->names);
	return r;
}

struct entry {
	struct sha256 sha;
	uint64_t size;
};

struct entries {
	struct entry *item; /* owned */
	size_t n, cap;
};

static void entries_done(struct entries *e)
{
	free(e->item);
}

static int entries_add(void *user, const struct sha256 *sha, const struct stat *st)
{
	struct entries *e = user;

	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 64;
		struct entry *more = reallocarray(e->item, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		e->item = more;
		e->cap = cap;
	}
	e->item[e->n++] = (struct entry){.sha = *sha, .size = (uint64_t)st->st_size};
	return 0;
}

static int entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return memcmp(&x->sha, &y->sha, sizeof(x->sha));
}

/* One shard at a time in memory, and nothing locked while fn runs. */
int cache_each(struct cache *c, enum blob_area area, blob_fn *fn, void *user)
{
	for (unsigned shard = 0; shard < SHARDS; shard++) {
		CLEANUP(entries_done) struct entries e = {0};

		int r = shard_each(c, area, shard, entries_add, &e);
		if (r < 0)
			return r;
		if (e.n)
			qsort(e.item, e.n, sizeof(*e.item), entry_cmp);
		for (size_t i = 0; i < e.n; i++) {
			r = fn(user, &e.item[i].sha, e.item[i].size);
			if (r)
				return r;
		}
	}
	return 0;
}

int cache_sync_spool(struct cache *c)
{
	CLEANUP(closep) int fd = open(c->root[BLOB_SPOOL], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? -errno : 0;
}

void cache_totals(struct cache *c, struct cache_totals *ret)
{
	struct cache_totals t = {.cache_limit = c->limit};
	struct statvfs fs;

	(void)pthread_mutex_lock(&c->lock);
	t.cache_bytes = c->total[BLOB_CACHE].bytes;
	t.cache_files = c->total[BLOB_CACHE].files;
	t.spool_bytes = c->total[BLOB_SPOOL].bytes;
	t.spool_files = c->total[BLOB_SPOOL].files;
	t.evicted = c->evicted;
	(void)pthread_mutex_unlock(&c->lock);
	if (statvfs(c->home[BLOB_SPOOL], &fs) == 0) {
		t.state_free = fs.f_frsize * (uint64_t)fs.f_bavail;
		t.state_total = fs.f_frsize * (uint64_t)fs.f_blocks;
	}
	*ret = t;
}
