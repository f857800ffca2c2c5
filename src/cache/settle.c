/* settle.c - a blob that every store has: from the spool to the cache, or just away. */
#define LOG_ROOM "cache"
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Now it counts as just used.  Not when it has another name still: that one keeps the time its writer gave it. */
static void touch(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_nlink == 1)
		(void)utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static int settle_by_name(struct cache *c, const struct sha256 *sha, uint64_t size,
			  const char *from, const char *to)
{
	touch(from);
	(void)pthread_rwlock_rdlock(&c->names);
	int r = move_noreplace(from, to);
	if (r == 0) {
		count(c, BLOB_SPOOL, sha, -1, size);
		count(c, BLOB_CACHE, sha, 1, size);
	}
	(void)pthread_rwlock_unlock(&c->names);
	return r;
}

static int settle_by_copy(struct cache *c, const struct sha256 *sha, uint64_t size,
			  const char *from)
{
	CLEANUP(temp_done) struct temp t = {.fd = -1};
	CLEANUP(closep) int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	int r = temp_open(c, BLOB_CACHE, &t);
	if (r == 0)
		r = copy_fd(fd, t.fd);
	if (r == 0)
		r = temp_link(c, &t, BLOB_CACHE, sha, size);
	return r;
}

/* Whether it worked or not: the cache may lack any blob. */
static void settle_into_cache(struct cache *c, const struct sha256 *sha, uint64_t size,
			      const char *from)
{
	struct blob_path to;
	int r = -ENOSPC;

	blob_path(c, BLOB_CACHE, sha, &to);
	if (room_reserve(c, size)) {
		r = settle_by_name(c, sha, size, from, to.s);
		if (r == -ENOENT && shard_prepare(c, BLOB_CACHE, sha->b[0]) == 0)
			r = settle_by_name(c, sha, size, from, to.s);
		if (r == -EXDEV)
			r = settle_by_copy(c, sha, size, from);
		if (r == -ENOENT && shard_prepare(c, BLOB_CACHE, sha->b[0]) == 0)
			r = settle_by_copy(c, sha, size, from);
		room_release(c, size);
	}
	if (r < 0 && r != -EEXIST)
		log_debug("a confirmed blob is not kept in \"%s\": %s", c->home[BLOB_CACHE],
			  strerrordesc_np(-r));
}

int cache_settle(struct cache *c, const struct sha256 *sha)
{
	struct blob_path from;
	struct stat st;

	blob_path(c, BLOB_SPOOL, sha, &from);
	if (lstat(from.s, &st) < 0) {
		if (errno != ENOENT)
			return -errno;
		return cache_has(c, sha, NULL) ? 0 : -ENOENT;
	}
	if (cache_check(c, sha) == 0) /* a torn one is not worth keeping: the stores have it */
		settle_into_cache(c, sha, (uint64_t)st.st_size, from.s);
	int r = cache_drop(c, sha, BLOB_SPOOL);
	return r == -ENOENT ? 0 : r;
}

int cache_keep(struct cache *c, const struct sha256 *sha)
{
	struct blob_writer *w = NULL;
	CLEANUP(closep) int fd = -1;
	enum blob_area area;
	struct stat st;

	if (!cache_has(c, sha, &area))
		return -ENOENT;
	if (area == BLOB_SPOOL)
		return 0;
	int r = cache_open(c, sha, &fd);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = blob_begin(c, BLOB_SPOOL, (uint64_t)st.st_size, &w);
	if (r < 0)
		return r;
	r = copy_fd(fd, blob_fd(w));
	if (r < 0) {
		(void)blob_abort(w);
		return r;
	}
	return blob_commit(w, sha, true, NULL);
}
