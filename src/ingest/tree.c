/* The upload tree as its writers see it: create, open, write, truncate, rename, unlink, attributes. */
#include "ingest_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names and attributes ---- */

int ingest_entry(struct ingest *in, int64_t id, struct upload_row *ret)
{
	struct entry *e = entry_find(in, id);
	struct upload_row row;
	int r = 0;

	if (e && e->unlinked)
		row = e->row;
	else
		r = catalog_upload(in->cat, id, &row);
	if (r == 0) {
		entry_live(in, e, &row);
		*ret = row;
	}
	if (e)
		entry_put(in, e, false);
	return r;
}

int ingest_lookup(struct ingest *in, int64_t parent, const char *name, struct upload_row *ret)
{
	struct upload_row row;
	int r = catalog_upload_find(in->cat, parent, name, &row);

	if (r == 0) {
		entry_live(in, NULL, &row);
		*ret = row;
	}
	return r;
}

struct lister {
	struct ingest *in;
	upload_fn *fn;
	void *user;
};

static int list_live(void *user, const struct upload_row *row)
{
	struct lister *l = user;
	struct upload_row live = *row;

	entry_live(l->in, NULL, &live);
	return l->fn(l->user, &live);
}

int ingest_list(struct ingest *in, int64_t parent, const char *after, unsigned limit, upload_fn *fn,
		void *user)
{
	struct lister l = {.in = in, .fn = fn, .user = user};

	return catalog_upload_list(in->cat, parent, after, limit, list_live, &l);
}

static int make_row(struct ingest *in, int64_t parent, const char *name, bool is_dir, mode_t mode,
		    uid_t uid, gid_t gid, struct upload_row *ret)
{
	struct upload_row row = {
		.parent = parent, .is_dir = is_dir, .mode = mode, .uid = uid, .gid = gid};
	int r;

	if (strlen(name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	memcpy(row.name, name, strlen(name) + 1);
	in->active = true;
	row.mtime_ns = row.ctime_ns = now_us() * 1000;
	r = catalog_upload_create(in->cat, &row, &row.id);
	if (r == 0)
		*ret = row;
	return r;
}

int ingest_mkdir(struct ingest *in, int64_t parent, const char *name, mode_t mode, uid_t uid,
		 gid_t gid, struct upload_row *ret)
{
	char camera[CAMERA_MAX + 1];
	int64_t id;
	int r = make_row(in, parent, name, true, mode, uid, gid, ret);

	if (r == 0 && parent == 0 && !upload_name_is_temporary(name)) {
		camera_name_from(name, camera);
		r = catalog_camera_ensure(in->cat, camera, name, group_of(in, camera), &id);
		if (r < 0)
			(void)catalog_upload_remove(in->cat, ret->id);
	}
	return r;
}

/* ---- handles ---- */

static int handle_for(struct ingest *in, int64_t id, bool writer, struct upload_file **ret)
{
	struct upload_file *f = calloc(1, sizeof(*f));
	int r = f ? entry_get(in, id, writer, &f->entry) : -ENOMEM;

	if (r < 0) {
		free(f);
		return r;
	}
	f->in = in;
	f->writer = writer;
	*ret = f;
	return 0;
}

int ingest_create(struct ingest *in, int64_t parent, const char *name, int flags, mode_t mode,
		  uid_t uid, gid_t gid, struct upload_row *ret, struct upload_file **ret_file)
{
	struct upload_row row;
	int r = make_row(in, parent, name, false, mode, uid, gid, &row);

	if (r == -EEXIST && !(flags & O_EXCL)) {
		r = catalog_upload_find(in->cat, parent, name, &row);
		if (r == 0)
			r = ingest_open(in, row.id, flags, ret_file);
	} else if (r == 0) {
		r = handle_for(in, row.id, true, ret_file);
		if (r < 0) /* no bytes, no name: the disk is full, say */
			(void)catalog_upload_remove(in->cat, row.id);
	}
	if (r == 0)
		*ret = row;
	return r;
}

/* The entry begins a new life of its own: what was registered stays a snapshot. Called with the lock held for writing. */
static int unregister(struct ingest *in, struct entry *e, int bytes_fd)
{
	struct upload_row row = {.id = e->id, .state = UPLOAD_OPEN};
	char name[24];
	int r;

	upload_file_name(e->id, name);
	(void)unlinkat(in->dir, name, 0);
	CLEANUP(closep)
	int fd = openat(in->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	r = bytes_fd >= 0 ? copy_fd(bytes_fd, fd) : 0;
	if (r == 0)
		r = catalog_upload_set(in->cat, &row, UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT, NULL,
				       false);
	if (r < 0) {
		(void)unlinkat(in->dir, name, 0);
		return r;
	}
	/* dup2 swaps what readers of the old number see in one step; none ever reads a foreign file. */
	if (e->fd >= 0)
		r = dup3(fd, e->fd, O_CLOEXEC) < 0 ? -errno : 0;
	else
		e->fd = TAKE_FD(fd);
	if (r == 0) {
		e->registered = false;
		e->dirty = true;
		e->row.state = UPLOAD_OPEN;
		e->row.snapshot = 0;
	}
	return r;
}

static int truncate_entry(struct ingest *in, struct entry *e, uint64_t size)
{
	int r = 0;

	pthread_rwlock_wrlock(&e->lock);
	if (e->registered)
		r = size == 0 ? unregister(in, e, -1) : -ENODATA;
	else if (e->fd < 0)
		r = -EISDIR;
	else
		r = ftruncate(e->fd, (off_t)size) < 0 ? -errno : 0;
	if (r == 0)
		e->dirty = true;
	pthread_rwlock_unlock(&e->lock);
	return r;
}

int ingest_open(struct ingest *in, int64_t id, int flags, struct upload_file **ret)
{
	bool writer = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct upload_file *f;
	int r = handle_for(in, id, writer, &f);

	if (r < 0)
		return r;
	if (f->entry->row.is_dir)
		r = -EISDIR;
	else if (!writer && f->entry->registered)
		r = -ENODATA;
	else if (flags & O_TRUNC)
		r = truncate_entry(in, f->entry, 0);
	if (r < 0) {
		ingest_release(f);
		return r;
	}
	*ret = f;
	return 0;
}

int64_t ingest_snapshot(struct upload_file *f)
{
	return f->entry->registered ? f->entry->row.snapshot : 0;
}

int ingest_fd(struct upload_file *f)
{
	return f->entry->fd;
}

static int pwrite_all(int fd, const char *data, size_t size, off_t off)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		off += n;
		size -= (size_t)n;
	}
	return 0;
}

int ingest_write(struct upload_file *f, const void *data, size_t size, off_t off)
{
	struct entry *e = f->entry;
	int r;

	if (!f->writer)
		return -EBADF;
	pthread_rwlock_rdlock(&e->lock);
	r = e->registered ? -ENODATA : e->fd < 0 ? -EBADF : pwrite_all(e->fd, data, size, off);
	if (r == 0)
		e->dirty = true;
	pthread_rwlock_unlock(&e->lock);
	return r;
}

int ingest_fill(struct upload_file *f, int bytes_fd)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->entry->lock);
	if (f->entry->registered)
		r = unregister(f->in, f->entry, bytes_fd);
	pthread_rwlock_unlock(&f->entry->lock);
	return r;
}

int ingest_truncate(struct ingest *in, int64_t id, struct upload_file *f, uint64_t size)
{
	struct entry *e;
	int r;

	if (f)
		return truncate_entry(in, f->entry, size);
	r = entry_get(in, id, false, &e);
	if (r < 0)
		return r;
	r = truncate_entry(in, e, size);
	if (r == 0) /* truncate(2) has no close of its own */
		consider(in, e, false);
	entry_put(in, e, false);
	return r;
}

int ingest_flush(struct upload_file *f)
{
	f->in->active |= f->writer;
	if (f->writer && f->entry->dirty)
		consider(f->in, f->entry, false);
	if (f->writer && f->in->conf->durability == DURABILITY_CLOSE)
		return ingest_fsync(f);
	return 0;
}

int ingest_fsync(struct upload_file *f)
{
	struct entry *e = f->entry;
	int r = e->fd >= 0 && fsync(e->fd) < 0 ? -errno : 0;

	/* Registered: its blob's name, too; then the rows. */
	if (r == 0)
		r = cache_sync_spool(f->in->cache);
	return r < 0 ? r : catalog_sync(f->in->cat);
}

int ingest_fsync_all(struct ingest *in)
{
	int r = cache_sync_spool(in->cache);

	return r < 0 ? r : catalog_sync(in->cat);
}

void ingest_release(struct upload_file *f)
{
	struct entry *e = f->entry;

	/* A file that was made and never written is nobody's flush. */
	if (f->writer && !e->unlinked &&
	    (e->dirty || (!e->registered && e->row.state == UPLOAD_OPEN)))
		consider(f->in, e, false);
	entry_put(f->in, e, f->writer);
	free(f);
}

/* ---- changes by name or id ---- */

static int set_file_mtime(struct ingest *in, int64_t id, int64_t mtime_ns)
{
	struct timespec ts[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = mtime_ns / 1000000000, .tv_nsec = mtime_ns % 1000000000}};
	char name[24];

	if (ts[1].tv_nsec < 0) { /* before 1970 */
		ts[1].tv_nsec += 1000000000;
		ts[1].tv_sec--;
	}
	upload_file_name(id, name);
	return utimensat(in->dir, name, ts, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? -errno
											: 0;
}

int ingest_set(struct ingest *in, int64_t id, const struct upload_row *row, unsigned mask)
{
	struct upload_row now, set = *row;
	int r = ingest_entry(in, id, &now);
	struct entry *e;

	if (r < 0)
		return r;
	in->active = true;
	set.id = id;
	if ((mask & UPLOAD_SET_MTIME) && !now.is_dir && now.state != UPLOAD_REGISTERED)
		r = set_file_mtime(in, id, row->mtime_ns);
	e = entry_find(in, id);
	if (r == 0 && !(e && e->unlinked))
		r = catalog_upload_set(in->cat, &set, mask, NULL, false);
	/* The time it waited for has come. */
	if (r == 0 && (mask & UPLOAD_SET_MTIME) && now.state == UPLOAD_WAITING &&
	    !(e && entry_has_writers(in, e)))
		consider_id(in, id, false);
	if (e)
		entry_put(in, e, false);
	return r;
}

/* The row is gone: its bytes go now, or with the last handle. */
static void forget_bytes(struct ingest *in, const struct upload_row *row)
{
	struct entry *e = entry_find(in, row->id);
	char name[24];

	if (e) {
		e->row = *row;
		e->unlinked = true;
		entry_put(in, e, false);
	}
	if (row->is_dir)
		return;
	upload_file_name(row->id, name);
	(void)unlinkat(in->dir, name, 0);
}

int ingest_unlink(struct ingest *in, int64_t parent, const char *name, bool directory)
{
	struct upload_row row;
	int r = catalog_upload_find(in->cat, parent, name, &row);

	if (r < 0)
		return r;
	if (row.is_dir != directory)
		return directory ? -ENOTDIR : -EISDIR;
	r = catalog_upload_remove(in->cat, row.id);
	if (r == 0)
		forget_bytes(in, &row);
	return r;
}

enum { TREE_DEPTH = 32, TREE_PAGE = 256 };
struct walk {
	struct ingest *in;
	unsigned depth, n;
	char last[NAME_LIMIT + 1];
};

static int look_below(struct ingest *in, int64_t dir, unsigned depth);

static int look_at(void *user, const struct upload_row *row)
{
	struct walk *w = user;

	w->n++;
	memcpy(w->last, row->name, sizeof(w->last));
	if (row->is_dir)
		return look_below(w->in, row->id, w->depth + 1);
	if (row->state == UPLOAD_OPEN)
		look_later(w->in, row, UPLOAD_WAITING, 0);
	return 0;
}

/* A directory lost its temporary name: so did everything in it. */
static int look_below(struct ingest *in, int64_t dir, unsigned depth)
{
	struct walk w = {.in = in, .depth = depth};
	int r = 0;

	if (depth > TREE_DEPTH)
		return 0;
	do {
		w.n = 0;
		r = catalog_upload_list(in->cat, dir, w.last, TREE_PAGE, look_at, &w);
	} while (r == 0 && w.n == TREE_PAGE);
	return r;
}

int ingest_rename(struct ingest *in, int64_t parent, const char *name, int64_t new_parent,
		  const char *new_name, unsigned flags)
{
	struct upload_row row, target;
	int64_t replaced = 0;
	bool over;
	int r = catalog_upload_find(in->cat, parent, name, &row);

	if (r < 0)
		return r;
	if (strlen(new_name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	in->active = true;
	over = catalog_upload_find(in->cat, new_parent, new_name, &target) == 0;
	r = catalog_upload_rename(in->cat, row.id, new_parent, new_name, flags, &replaced);
	if (r < 0)
		return r;
	if (replaced && over && target.id == replaced)
		forget_bytes(in, &target);
	if (row.is_dir) {
		if (upload_name_is_temporary(name) && !upload_name_is_temporary(new_name))
			(void)look_below(in, row.id, 0);
		if (new_parent == 0 && !upload_name_is_temporary(new_name)) {
			char camera[CAMERA_MAX + 1];
			int64_t id;

			camera_name_from(new_name, camera);
			(void)catalog_camera_ensure(in->cat, camera, new_name, group_of(in, camera),
						    &id);
		}
		return 0;
	}
	if (row.state != UPLOAD_REGISTERED)
		consider_id(in, row.id, false); /* rsync's last step: a final name */
	return 0;
}
