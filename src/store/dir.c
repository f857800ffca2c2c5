/* The dir store: objects are files below a directory, keys their paths; read in place.
 *
 * A put is a file without a name until it is whole and on disk; then it is linked or renamed into place.  No symlink is
 * followed anywhere below the root.  What travels with an object is kept in its xattrs where the file system has any. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dir.h"
#include "drivers.h"
#include "shutterfs/codec.h"

#define XATTR "user.shutterfs."
enum { CHUNK = 256 * 1024, XATTR_MAX = 256 };

static int64_t stat_mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int64_t dir_mtime_us(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

void dir_etag(const struct stat *st, char *out, size_t size)
{
	(void)snprintf(out, size, "%" PRIu64 "-%" PRId64 "-%" PRIu64, (uint64_t)st->st_size,
		       stat_mtime_ns(st), (uint64_t)st->st_ino);
}

/* ---- paths ---- */

/* The next component of a key: not "", ".", ".." or one of our temporary files. */
static int next_component(const char *key, char out[NAME_LIMIT + 1], const char **ret_rest)
{
	const char *slash = strchrnul(key, '/');
	size_t n = (size_t)(slash - key);

	if (n > NAME_LIMIT)
		return -ENAMETOOLONG;
	memcpy(out, key, n);
	out[n] = '\0';
	if (n == 0 || strcmp(out, ".") == 0 || strcmp(out, "..") == 0)
		return -EINVAL;
	if (strncmp(out, DIR_TEMP_PREFIX, strlen(DIR_TEMP_PREFIX)) == 0)
		return -EINVAL;
	*ret_rest = *slash ? slash + 1 : NULL;
	return 0;
}

/* Some network file systems cannot sync a directory, and say so: there is nothing more to do on them. */
static int sync_dir(int fd)
{
	if (fsync(fd) == 0 || errno == EINVAL || errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

/* mkdir that is on disk when it returns; until then `unsynced` tells other puts that it may not be. */
static int make_one(struct dir *d, int parent, const char *name)
{
	int r = 0;

	atomic_fetch_add(&d->unsynced, 1);
	if (mkdirat(parent, name, 0777) < 0)
		r = errno == EEXIST ? 0 : -errno;
	else
		r = sync_dir(parent);
	atomic_fetch_sub(&d->unsynced, 1);
	return r;
}

static int open_one(struct dir *d, int parent, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags), r;

	if (fd >= 0 || errno != ENOENT || !make)
		return fd < 0 ? -errno : fd;
	r = make_one(d, parent, name);
	if (r < 0)
		return r;
	fd = openat(parent, name, flags);
	return fd < 0 ? -errno : fd;
}

/* All of it, before the first directory is made for it. */
static int check_key(const char *key)
{
	char name[NAME_LIMIT + 1];
	int r = 0;

	for (unsigned depth = 0; r == 0 && key; depth++)
		r = depth > DIR_DEPTH_MAX ? -ENAMETOOLONG : next_component(key, name, &key);
	return r;
}

int dir_parent(struct dir *d, const char *key, bool make, int *ret_fd, const char **ret_name)
{
	/* not a dup: that would share its place in the listing */
	CLEANUP(closep) int fd = openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_LIMIT + 1];
	const char *rest;
	int r = check_key(key);

	if (r < 0)
		return r;
	if (fd < 0)
		return -errno;
	for (;;) {
		r = next_component(key, name, &rest);
		if (r < 0)
			return r;
		if (!rest)
			break;
		r = open_one(d, fd, name, make);
		if (r < 0)
			return r;
		(void)close(fd);
		fd = r;
		key = rest;
	}
	*ret_name = key;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int full_key(const struct dir *d, const char *key, struct buf *out)
{
	buf_str(out, d->prefix);
	return buf_str(out, key);
}

/* Why it failed, in the words of the store. */
static int explain(const struct dir *d, struct call *c, const char *doing, const char *key, int r)
{
	char shown[KEY_SHOWN_MAX + 4];
	const char *what = strerror(-r);

	if (dir_is_gone(d)) {
		/* objects are not gone when their whole store is */
		what = "the store's directory was removed or unmounted";
		r = -EIO;
	} else if (r == -EINVAL) {
		what = "its key is not a path below the store's directory";
	} else if (r == -ELOOP || r == -ENOTDIR) {
		what = "a symbolic link or a file stands in its path: links are not followed";
		r = -EACCES;
	} else if (r == -ENOENT) {
		what = "there is no such object";
	}
	call_why(c, "store \"%s\": %s \"%s\": %s", d->name, doing, key_shown(key, shown), what);
	return r;
}

/* ---- reading ---- */

static void read_meta_text(int fd, const char *name, char *out, size_t size)
{
	ssize_t n = fgetxattr(fd, name, out, size - 1);

	out[n < 0 ? 0 : n] = '\0';
}

/* The checksum counts only for the file it was stored with: somebody may have written into it since. */
static void read_meta(int fd, const struct stat *st, struct store_meta *ret)
{
	char text[XATTR_MAX], mtime[32];

	memset(ret, 0, sizeof(*ret));
	read_meta_text(fd, XATTR "img_id", ret->img_id, sizeof(ret->img_id));
	read_meta_text(fd, XATTR "camera", ret->camera, sizeof(ret->camera));
	(void)snprintf(mtime, sizeof(mtime), "%" PRId64, stat_mtime_ns(st));
	read_meta_text(fd, XATTR "mtime_ns", text, sizeof(text));
	if (strcmp(text, mtime) != 0)
		return;
	read_meta_text(fd, XATTR "sha256", text, sizeof(text));
	ret->has_sha = hex_decode(text, ret->sha.b, sizeof(ret->sha.b)) == 0;
}

static void head_of(const struct stat *st, struct store_head *ret)
{
	memset(&ret->meta, 0, sizeof(ret->meta));
	ret->size = (uint64_t)st->st_size;
	ret->modified_us = dir_mtime_us(st);
	dir_etag(st, ret->etag, sizeof(ret->etag));
}

static void fill_head(int fd, const struct stat *st, struct store_head *ret)
{
	head_of(st, ret);
	read_meta(fd, st, &ret->meta);
}

static int open_object(struct dir *d, const char *key, int *ret_fd, struct stat *ret_st)
{
	CLEANUP(buf_done) struct buf full = BUF(2 * KEY_MAX);
	CLEANUP(closep) int parent = -1;
	CLEANUP(closep) int fd = -1;
	const char *name;
	int r = full_key(d, key, &full);

	if (r == 0)
		r = dir_parent(d, full.data, false, &parent, &name);
	if (r < 0)
		return r;
	/* O_NONBLOCK: a fifo of that name must not hold us */
	fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int dir_open_local(void *self, const char *key, int *ret_fd, struct store_head *ret_head)
{
	struct dir *d = self;
	struct call c = {0};
	struct stat st;
	int fd, r = open_object(d, key, &fd, &st);

	/* who asks knows of it */
	if (r == -ENOENT && dir_has_nothing(d))
		return -ENODEV;
	if (r < 0)
		return explain(d, &c, "opening", key, r);
	head_of(&st, ret_head);
	*ret_fd = fd;
	return 0;
}

static int dir_head(void *self, struct call *c, const char *key, struct store_head *ret)
{
	CLEANUP(closep) int fd = -1;
	struct dir *d = self;
	struct stat st;
	int r = open_object(d, key, &fd, &st);

	if (r < 0)
		return explain(d, c, "looking at", key, r);
	fill_head(fd, &st, ret);
	return 0;
}

static int pour(int fd, struct call *c, uint64_t size, store_sink *sink, void *user)
{
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	int r;

	if (!chunk)
		return -ENOMEM;
	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		r = call_check(c);
		if (r == 0)
			r = pread_all(fd, chunk, n, (off_t)at);
		if (r == 0)
			r = sink(user, chunk, n);
		if (r != 0)
			return r;
		at += n;
	}
	return 0;
}

static int dir_get(void *self, struct call *c, const char *key, uint64_t max, store_sink *sink,
		   void *user, struct store_head *ret_head)
{
	CLEANUP(closep) int fd = -1;
	struct dir *d = self;
	struct stat st, now;
	char shown[KEY_SHOWN_MAX + 4];
	int r = open_object(d, key, &fd, &st);

	if (r < 0)
		return explain(d, c, "reading", key, r);
	if ((uint64_t)st.st_size > max) {
		call_why(c,
			 "store \"%s\": \"%s\" has %" PRIu64 " bytes, more than the %" PRIu64
			 " allowed",
			 d->name, key_shown(key, shown), (uint64_t)st.st_size, max);
		return -EFBIG;
	}
	r = pour(fd, c, (uint64_t)st.st_size, sink, user);
	if (fstat(fd, &now) < 0 || now.st_size != st.st_size ||
	    stat_mtime_ns(&now) != stat_mtime_ns(&st)) {
		call_why(c, "store \"%s\": \"%s\" changed while it was read", d->name,
			 key_shown(key, shown));
		return -EIO;
	}
	if (r != 0)
		return r;
	fill_head(fd, &st, ret_head);
	return 0;
}

/* ---- writing ---- */

/* A file to be: without a name, or under a temporary one where the file system has no O_TMPFILE. */
struct staged {
	int dir, fd;
	char temp[64]; /* "": without a name */
};

static void staged_done(struct staged *s)
{
	closep(&s->fd);
	if (s->temp[0])
		(void)unlinkat(s->dir, s->temp, 0);
	closep(&s->dir);
}

static void temp_name(struct dir *d, struct staged *s)
{
	(void)snprintf(s->temp, sizeof(s->temp), DIR_TEMP_PREFIX "%ld-%" PRId64 "-%lu.tmp",
		       (long)getpid(), now_us(), atomic_fetch_add(&d->temps, 1));
}

static int stage(struct dir *d, struct staged *s)
{
	s->fd = openat(s->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (s->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	temp_name(d, s);
	s->fd = openat(s->dir, s->temp, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0666);
	if (s->fd < 0) {
		s->temp[0] = '\0';
		return -errno;
	}
	return 0;
}

/* A link cannot replace: it gets a name for the moment until the rename.  Always the same one for an object, so that what a crash
 * leaves there goes when the object is put again, as it is after a crash. */
static int name_for_a_moment(struct staged *s, const char *self, const char *name)
{
	char hex[SHA256_HEX];
	struct sha256 sha;
	int r = sha256_of(name, strlen(name), &sha);

	if (r < 0)
		return r;
	hex_encode(sha.b, sizeof(sha.b), hex);
	(void)snprintf(s->temp, sizeof(s->temp), DIR_TEMP_PREFIX "%.32s.tmp", hex);
	(void)unlinkat(s->dir, s->temp, 0);
	if (linkat(AT_FDCWD, self, s->dir, s->temp, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	r = errno == EEXIST ? -EAGAIN : -errno; /* somebody else puts the same object now */
	s->temp[0] = '\0';
	return r;
}

static int replace(struct dir *d, struct staged *s, const char *self, const char *name)
{
	int r = 0;

	pthread_mutex_lock(&d->replacing);
	if (!s->temp[0])
		r = name_for_a_moment(s, self, name);
	if (r == 0 && renameat(s->dir, s->temp, s->dir, name) < 0) {
		r = errno == ENOENT ? -EAGAIN : -errno;
		(void)unlinkat(s->dir, s->temp, 0);
	}
	s->temp[0] = '\0';
	pthread_mutex_unlock(&d->replacing);
	return r;
}

/* Gives the staged file its name, in the place of what had it; 0 once that is on disk. */
static int publish(struct dir *d, struct staged *s, const char *name)
{
	char self[64];
	int r;

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
	if (!s->temp[0]) {
		if (linkat(AT_FDCWD, self, s->dir, name, AT_SYMLINK_FOLLOW) == 0)
			return sync_dir(s->dir);
		if (errno != EEXIST)
			return -errno;
	}
	r = replace(d, s, self, name);
	return r < 0 ? r : sync_dir(s->dir);
}

/* Best effort: many file systems have no user xattrs, and the sidecar beside the object says the same. */
static void write_meta(int fd, const struct sha256 *sha, const struct store_meta *meta)
{
	char hex[SHA256_HEX], mtime[32];
	struct stat st;

	hex_encode(sha->b, sizeof(sha->b), hex);
	(void)fsetxattr(fd, XATTR "sha256", hex, strlen(hex), 0);
	if (meta && meta->img_id[0])
		(void)fsetxattr(fd, XATTR "img_id", meta->img_id, strlen(meta->img_id), 0);
	if (meta && meta->camera[0])
		(void)fsetxattr(fd, XATTR "camera", meta->camera, strlen(meta->camera), 0);
	if (fstat(fd, &st) < 0)
		return;
	(void)snprintf(mtime, sizeof(mtime), "%" PRId64, stat_mtime_ns(&st));
	(void)fsetxattr(fd, XATTR "mtime_ns", mtime, strlen(mtime), 0);
}

struct hashing {
	struct hash *hash;
	int fd;
};

static int hashing_sink(void *user, const void *data, size_t len)
{
	struct hashing *h = user;
	int r = hash_add(h->hash, data, len);

	return r < 0 ? r : write_all(h->fd, data, len);
}

/* Copies and compares what was written with what it should be: -EBADMSG when it is something else. */
static int copy_checked(struct call *c, int from, int to, uint64_t size, const struct sha256 *sha)
{
	struct hashing h = {.fd = to};
	struct hashes got;
	int r = hash_new(&h.hash);

	if (r < 0)
		return r;
	r = pour(from, c, size, hashing_sink, &h);
	if (r == 0)
		r = hash_end(h.hash, &got);
	h.hash = hash_free(h.hash);
	if (r == 0 && memcmp(got.sha.b, sha->b, sizeof(got.sha.b)) != 0)
		r = -EBADMSG;
	return r;
}

/* Somebody else made one of these directories and may not have brought it to disk yet: do it for them. */
static int sync_parents(struct dir *d, const char *key)
{
	CLEANUP(buf_done) struct buf path = BUF(2 * KEY_MAX);
	int r = buf_str(&path, key);

	for (size_t i = 0; r == 0 && i < path.len; i++) {
		CLEANUP(closep) int fd = -1;
		const char *name;

		if (key[i] != '/')
			continue;
		path.data[i] = '\0';
		r = dir_parent(d, path.data, false, &fd, &name);
		path.data[i] = '/';
		if (r == 0)
			r = sync_dir(fd);
	}
	return r;
}

static int put_file(struct dir *d, struct call *c, const char *key, int fd, uint64_t size,
		    const struct sha256 *sha, const struct store_meta *meta, struct store_head *ret)
{
	CLEANUP(staged_done) struct staged s = {.dir = -1, .fd = -1};
	const char *name;
	struct stat st;
	int r;

	r = dir_parent(d, key, true, &s.dir, &name);
	if (r == 0 && atomic_load(&d->unsynced) > 0)
		r = sync_parents(d, key);
	if (r == 0)
		r = stage(d, &s);
	if (r == 0) {
		(void)flock(s.fd, LOCK_EX | LOCK_NB); /* it has a writer, see dir_list.c */
		r = copy_checked(c, fd, s.fd, size, sha);
	}
	if (r < 0)
		return r;
	write_meta(s.fd, sha, meta);
	if (fsync(s.fd) < 0)
		return -errno;
	r = publish(d, &s, name);
	if (r < 0)
		return r;
	if (fstat(s.fd, &st) < 0)
		return -errno;
	fill_head(s.fd, &st, ret);
	return 0;
}

static int dir_put(void *self, struct call *c, const char *key, int fd, uint64_t size,
		   const char *mime, const struct sha256 *sha, const uint8_t md5[16],
		   const struct store_meta *meta, struct store_head *ret)
{
	CLEANUP(buf_done) struct buf full = BUF(2 * KEY_MAX);
	struct dir *d = self;
	char shown[KEY_SHOWN_MAX + 4];
	int r = full_key(d, key, &full);

	if (r == 0)
		r = put_file(d, c, full.data, fd, size, sha, meta, ret);
	if (r == -EBADMSG) {
		call_why(c,
			 "store \"%s\": the bytes for \"%s\" are not the ones that were registered",
			 d->name, key_shown(key, shown));
		return -EIO;
	}
	if (r == -ECANCELED || r == -ETIMEDOUT)
		return r;
	return r < 0 ? explain(d, c, "writing", key, r) : 0;
}

static int dir_delete(void *self, struct call *c, const char *key)
{
	CLEANUP(buf_done) struct buf full = BUF(2 * KEY_MAX);
	CLEANUP(closep) int parent = -1;
	struct dir *d = self;
	const char *name;
	int r = full_key(d, key, &full);

	if (r == 0)
		r = dir_parent(d, full.data, false, &parent, &name);
	if (r == 0 && unlinkat(parent, name, 0) < 0)
		r = -errno;
	else if (r == 0)
		r = sync_dir(parent);
	if (r == -EISDIR || (r == -ENOENT && !dir_is_gone(d)))
		return 0;
	return r < 0 ? explain(d, c, "deleting", key, r) : 0;
}

const struct store_driver store_dir = {
	.name = "dir",
	.open = dir_open,
	.close = dir_close,
	.list = dir_list,
	.get = dir_get,
	.open_local = dir_open_local,
	.head = dir_head,
	.put = dir_put,
	.delete = dir_delete,
	.replaced = dir_replaced,
};
