/* blob.c - writing a blob: under no name until it is whole, then linked to its hash.
 *
 * A blob of the cache is a courtesy: whatever goes wrong with the cache's disk, the bytes are moved to an unnamed file beside
 * the state, then to memory, and the reader gets them.  A blob of the spool is a promise: there every error is told. */
#define LOG_ROOM "cache"
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum place { PLACE_AREA, PLACE_STATE, PLACE_MEMORY };

struct blob_writer {
	struct cache *c;
	enum blob_area area;
	enum place place;
	bool keep; /* false: the descriptor is all there will be */
	struct temp temp;
	uint64_t size, reserved;
};

static void writer_freep(struct blob_writer **p)
{
	struct blob_writer *w = *p;

	if (!w)
		return;
	temp_done(&w->temp);
	room_release(w->c, w->reserved);
	free(w);
}

struct blob_writer *blob_abort(struct blob_writer *w)
{
	writer_freep(&w);
	return NULL;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

/* Evicts when that can help an area whose disk is full. */
static bool relieve(struct cache *c, enum blob_area area)
{
	return (area == BLOB_CACHE || c->one_disk) && room_evict(c, RELIEF_BYTES) > 0;
}

static void forget_name(struct blob_writer *w)
{
	w->keep = false;
	temp_unname(&w->temp);
	room_release(w->c, w->reserved);
	w->reserved = 0;
}

static int place_open(struct blob_writer *w, enum place place, struct temp *ret)
{
	if (place == PLACE_MEMORY)
		return temp_open_memory(ret);
	int r = temp_open(w->c, place == PLACE_STATE ? BLOB_SPOOL : w->area, ret);
	if (r == 0 && !w->keep)
		temp_unname(ret);
	return r;
}

int blob_begin(struct cache *c, enum blob_area area, uint64_t size_hint, struct blob_writer **ret)
{
	CLEANUP(writer_freep) struct blob_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct blob_writer){.c = c, .area = area, .keep = true, .temp = {.fd = -1}};
	if (area == BLOB_CACHE) {
		w->keep = room_reserve(c, size_hint);
		w->reserved = w->keep ? size_hint : 0;
	}
	int r = place_open(w, PLACE_AREA, &w->temp);
	if (is_full(r) && relieve(c, area))
		r = place_open(w, PLACE_AREA, &w->temp);
	while (r < 0 && area == BLOB_CACHE && w->place < PLACE_MEMORY) {
		forget_name(w);
		r = place_open(w, ++w->place, &w->temp);
	}
	if (r < 0)
		return r;
	*ret = TAKE(w);
	return 0;
}

/* A failed write may have left a part behind: again from where this piece begins. */
static int rewrite(struct blob_writer *w, const void *data, size_t len)
{
	if (lseek(w->temp.fd, (off_t)w->size, SEEK_SET) < 0)
		return -errno;
	return write_all(w->temp.fd, data, len);
}

static int move_to(struct blob_writer *w, enum place place)
{
	CLEANUP(temp_done) struct temp t = {.fd = -1};

	forget_name(w);
	int r = place_open(w, place, &t);
	if (r < 0)
		return r;
	r = copy_fd(w->temp.fd, t.fd);
	if (r < 0)
		return r;
	if (ftruncate(t.fd, (off_t)w->size) < 0)
		return -errno;
	temp_done(&w->temp);
	w->temp = t;
	t = (struct temp){.fd = -1};
	return 0;
}

static int rescue(struct blob_writer *w, const void *data, size_t len, int r)
{
	if (is_full(r) && w->place == PLACE_AREA && relieve(w->c, w->area))
		r = rewrite(w, data, len);
	while (r < 0 && w->area == BLOB_CACHE && w->place < PLACE_MEMORY) {
		log_debug("a blob goes past \"%s\": %s", w->c->home[w->area], strerrordesc_np(-r));
		r = move_to(w, ++w->place);
		if (r == 0)
			r = rewrite(w, data, len);
	}
	return r;
}

int blob_write(struct blob_writer *w, const void *data, size_t len)
{
	uint64_t end = w->size + len;

	if (w->area == BLOB_CACHE && w->keep && end > w->reserved) {
		if (room_reserve(w->c, end - w->reserved))
			w->reserved = end;
		else
			forget_name(w);
	}
	int r = write_all(w->temp.fd, data, len);
	if (r < 0)
		r = rescue(w, data, len, r);
	if (r == 0)
		w->size = end;
	return r;
}

int blob_fd(struct blob_writer *w)
{
	return w->temp.fd;
}

/* There is a file of that name.  0: it is sound and stands for ours; -EAGAIN: it was not (a power cut leaves such ones) and
 * is gone.  One that could only not be looked at stays: it may be all there is of an accepted picture. */
static int judge_existing(struct cache *c, enum blob_area area, const struct sha256 *sha,
			  uint64_t size)
{
	struct blob_path p;
	struct stat st;
	int r;

	blob_path(c, area, sha, &p);
	CLEANUP(closep) int fd = open(p.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != ELOOP && errno != ENXIO)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			return -errno;
		if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == size) {
			r = blob_believe(c, sha, fd);
			if (r != -EBADMSG)
				return r;
		}
	}
	r = cache_drop(c, sha, area);
	return r == 0 || r == -ENOENT ? -EAGAIN : r;
}

/* Links it, whatever became of the directories meanwhile; *ret_was_there when another file stands for it. */
static int name_blob(struct cache *c, enum blob_area area, struct temp *t, const struct sha256 *sha,
		     uint64_t size, bool *ret_was_there)
{
	int r = -EAGAIN;

	for (int tries = 0; tries < 4; tries++) {
		r = temp_link(c, t, area, sha, size);
		if (r == -EEXIST) {
			r = judge_existing(c, area, sha, size);
			if (r == 0)
				*ret_was_there = true;
		} else if (r == -ENOENT) {
			r = shard_prepare(c, area, sha->b[0]);
			if (r == 0)
				r = -EAGAIN;
		}
		if (is_full(r) && relieve(c, area))
			r = -EAGAIN;
		if (r != -EAGAIN)
			break;
	}
	return r == -EAGAIN ? -ENOENT : r;
}

static int sync_path(const char *path)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int name_spooled(struct cache *c, struct temp *t, const struct sha256 *sha, uint64_t size,
			bool sync)
{
	struct blob_path p;
	bool was_there = false;

	if (sync && fsync(t->fd) < 0)
		return -errno;
	int r = name_blob(c, BLOB_SPOOL, t, sha, size, &was_there);
	if (r < 0 || !sync)
		return r;
	blob_path(c, BLOB_SPOOL, sha, &p);
	if (was_there) { /* perhaps put without sync */
		r = sync_path(p.s);
		if (r < 0)
			return r;
	}
	return shard_sync(c, BLOB_SPOOL, sha->b[0]);
}

static void name_cached(struct blob_writer *w, const struct sha256 *sha)
{
	bool was_there = false;
	int r = name_blob(w->c, BLOB_CACHE, &w->temp, sha, w->size, &was_there);

	if (r < 0) {
		log_debug("a blob is not kept in \"%s\": %s", w->c->home[BLOB_CACHE],
			  strerrordesc_np(-r));
		forget_name(w);
	}
}

/* Of the named file if there is one: all readers of a blob should share one inode. */
static int open_result(struct blob_writer *w, const struct sha256 *sha, int *ret_fd)
{
	char self[32];

	if (w->keep && cache_open(w->c, sha, ret_fd) == 0)
		return 0;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", w->temp.fd);
	int fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int blob_commit(struct blob_writer *own, const struct sha256 *sha, bool sync, int *ret_fd)
{
	CLEANUP(writer_freep) struct blob_writer *w = own;
	int r = 0;

	if (w->area == BLOB_SPOOL)
		r = name_spooled(w->c, &w->temp, sha, w->size, sync);
	else if (w->keep)
		name_cached(w, sha);
	if (r < 0 || !ret_fd)
		return r;
	return open_result(w, sha, ret_fd);
}

int cache_adopt(struct cache *c, int dirfd, const char *name, const struct sha256 *sha, bool sync)
{
	CLEANUP(closep)
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	struct temp t = {
		.fd = fd}; /* the descriptor, not the name: what was looked at is what is linked */
	return name_spooled(c, &t, sha, (uint64_t)st.st_size, sync);
}
