/* The upload tree as its writers see it: create, open, write, truncate, rename, unlink, attributes. */
#include "ingest_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FLOOR_BYTES (64u << 20) /* what uploads leave free of the disk: this, or */
#define FLOOR_PART 8            /* that part of a smaller one */

/* ---- names and attributes ---- */

int ingest_entry(struct ingest *in, int64_t id, struct upload_row *ret)
{
	struct entry *e = entry_find(in, id);
	struct upload_row row;
	int r = 0;

	if (e && e->unlinked) {
		pthread_rwlock_rdlock(&e->lock);
		row = e->last;
		pthread_rwlock_unlock(&e->lock);
		row.name[0] = '\0';
		row.state = e->registered ? UPLOAD_REGISTERED : UPLOAD_OPEN;
	} else {
		r = catalog_upload(in->cat, id, &row);
	}
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

enum { LIST_PAGE = 256 };
struct page {
	struct upload_row row[LIST_PAGE];
	unsigned n;
};

static int collect(void *user, const struct upload_row *row)
{
	struct page *p = user;

	p->row[p->n++] = *row;
	return 0;
}

static int next_page(struct ingest *in, int64_t parent, const char *after, unsigned limit,
		     struct page *p)
{
	p->n = 0;
	return catalog_upload_list(in->cat, parent, after, limit < LIST_PAGE ? limit : LIST_PAGE,
				   collect, p);
}

int ingest_list(struct ingest *in, int64_t parent, const char *after, unsigned limit, upload_fn *fn,
		void *user)
{
	CLEANUP(freep) struct page *p = malloc(sizeof(*p));
	int r = p ? 0 : -ENOMEM;

	while (r == 0 && limit > 0) {
		r = next_page(in, parent, after, limit, p);
		for (unsigned i = 0; r == 0 && i < p->n; i++) {
			entry_live(in, NULL, &p->row[i]);
			r = fn(user, &p->row[i]);
		}
		if (r != 0 || p->n < LIST_PAGE)
			break;
		after = p->row[p->n - 1].name;
		limit -= p->n;
	}
	return r;
}

/* A directory in upload/ itself is a camera. */
static int ensure_camera(struct ingest *in, const char *dir)
{
	char title[NAME_LIMIT + 1], camera[CAMERA_MAX + 1], path[NAME_LIMIT + 2];
	int64_t id;

	if (upload_name_is_temporary(dir))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/", dir);
	const char *received = camera_of(path, title, camera);
	return catalog_camera_ensure(in->cat, camera, received, group_of(in, camera), &id);
}

/* Uploads leave some of the disk to the rows that it takes to send them: or what fills it could never leave. */
static bool has_room(const struct ingest *in)
{
	struct statvfs fs;

	if (fstatvfs(in->dir, &fs) < 0)
		return true;
	uint64_t part = fs.f_frsize * (uint64_t)fs.f_blocks / FLOOR_PART;

	return fs.f_frsize * (uint64_t)fs.f_bavail > (part < FLOOR_BYTES ? part : FLOOR_BYTES);
}

static int make_row(struct ingest *in, int64_t parent, const char *name, bool is_dir, mode_t mode,
		    uid_t uid, gid_t gid, struct upload_row *ret)
{
	struct upload_row row = {
		.parent = parent, .is_dir = is_dir, .mode = mode & 07777, .uid = uid, .gid = gid};
	int r;

	if (strlen(name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	if (!has_room(in))
		return -ENOSPC;
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
	struct upload_row row;
	int r = make_row(in, parent, name, true, mode, uid, gid, &row);

	if (r == 0 && parent == 0) {
		r = ensure_camera(in, name);
		if (r < 0)
			(void)!catalog_upload_remove(in->cat, row.id);
	}
	if (r == 0)
		*ret = row;
	return r;
}

/* ---- handles ---- */

static int handle_for(struct ingest *in, int64_t id, const struct upload_row *known, bool writer,
		      struct upload_file **ret)
{
	struct upload_file *f = calloc(1, sizeof(*f));
	int r = f ? entry_get(in, id, known, writer, &f->entry) : -ENOMEM;

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
	struct upload_file *f = NULL;
	int r = make_row(in, parent, name, false, mode, uid, gid, &row);

	if (r == -EEXIST && !(flags & O_EXCL)) {
		r = catalog_upload_find(in->cat, parent, name, &row);
		if (r == 0)
			r = ingest_open(in, row.id, flags, &f);
		if (r == 0)
			r = ingest_entry(in, row.id, &row);
	} else if (r == 0) {
		r = handle_for(in, row.id, &row, true, &f);
		if (r < 0) { /* no bytes, no name: the disk is full, say */
			(void)!catalog_upload_remove(in->cat, row.id);
		} else {
			f->entry->dirty = true; /* one that is never written is looked at, too */
			entry_live(in, f->entry, &row);
		}
	}
	if (r < 0) {
		if (f)
			ingest_release(f);
		return r;
	}
	*ret = row;
	*ret_file = f;
	return 0;
}

/* The entry begins a new life of its own: what was registered stays a snapshot. Called with the lock held for writing. */
static int unregister(struct ingest *in, struct entry *e, int bytes_fd)
{
	struct upload_row row = {.id = e->id, .state = UPLOAD_OPEN};
	char name[24];
	int r;

	upload_file_name(e->id, name);
	(void)unlinkat(in->dir, name, 0); /* what a crash left behind the commit */
	CLEANUP(closep)
	int fd = openat(in->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	r = bytes_fd >= 0 ? copy_fd(bytes_fd, fd) : 0;
	if (r == 0)
		r = catalog_upload_set(in->cat, &row, UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT, NULL,
				       false);
	if (r == -ENOENT && e->unlinked) /* it lives on in its handles */
		r = unlinkat(in->dir, name, 0) < 0 ? -errno : 0;
	/* dup3 swaps what readers of the old number see in one step; none ever reads a foreign file. */
	if (r == 0 && e->fd >= 0)
		r = dup3(fd, e->fd, O_CLOEXEC) < 0 ? -errno : 0;
	else if (r == 0)
		e->fd = TAKE_FD(fd);
	if (r < 0) {
		(void)unlinkat(in->dir, name, 0);
		return r;
	}
	e->registered = false;
	e->fresh = true;
	e->dirty = true;
	return 0;
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

/* A picture that was accepted, and could not be registered for want of room, is registered before it is written over; or else whoever
 * wants to is told what it lacked. */
static int register_first(struct ingest *in, struct entry *e)
{
	struct upload_row row;
	char error[256] = "";

	if (e->registered || e->is_dir || e->unlinked || catalog_upload(in->cat, e->id, &row) < 0)
		return 0;
	(void)!catalog_upload_error(in->cat, e->id, error);
	if (!in->missed && (row.state != UPLOAD_WAITING || !error[0]))
		return 0;
	int r = consider(in, e, false);

	return r < 0 && r != -ENOENT ? r : e->owed;
}

int ingest_open(struct ingest *in, int64_t id, int flags, struct upload_file **ret)
{
	bool writer = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct upload_file *f;
	int r = handle_for(in, id, NULL, writer, &f);

	if (r < 0)
		return r;
	if (f->entry->is_dir)
		r = -EISDIR;
	else if (writer)
		r = register_first(in, f->entry);
	else if (f->entry->registered)
		r = -ENODATA;
	if (r == 0 && (flags & O_TRUNC))
		r = truncate_entry(in, f->entry, 0);
	if (r < 0) {
		ingest_release(f);
		return r;
	}
	*ret = f;
	return 0;
}

void ingest_resume(struct upload_file *f)
{
	if (f->writer && !f->entry->registered)
		f->entry->dirty = true;
}

int64_t ingest_snapshot(struct upload_file *f)
{
	return f->entry->snapshot;
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
	r = e->registered ? -ENODATA : e->fd < 0 ? -EBADF : 0;
	if (r == 0) {
		e->dirty = true; /* also by a write that fails half-way */
		r = has_room(f->in) ? pwrite_all(e->fd, data, size, off) : -ENOSPC;
	}
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
	r = entry_get(in, id, NULL, false, &e);
	if (r < 0)
		return r;
	in->active = true;
	r = register_first(in, e);
	if (r == 0)
		r = truncate_entry(in, e, size);
	if (r == 0 && !entry_has_writers(in, e)) /* truncate(2) has no close of its own */
		(void)!consider(in, e, false);
	entry_put(in, e, false);
	return r;
}

int ingest_flush(struct upload_file *f)
{
	if (!f->writer)
		return 0;
	f->in->active = true;
	if (f->in->conf->durability == DURABILITY_CLOSE) {
		if (f->entry->dirty)
			(void)!consider(f->in, f->entry, false);
		return f->entry->registered ? 0 : ingest_fsync(f);
	}
	if (f->entry->dirty)
		arrive(f->in, f->entry);
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

void ingest_release(struct upload_file *f)
{
	struct entry *e = f->entry;

	/* mknod has no flush, and times may be set between the flush and this. */
	if (f->writer && e->dirty)
		arrive(f->in, e);
	entry_put(f->in, e, f->writer);
	free(f);
}

/* ---- changes by name or id ---- */

static int set_file_mtime(int fd, int64_t mtime_ns)
{
	struct timespec ts[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = mtime_ns / 1000000000, .tv_nsec = mtime_ns % 1000000000}};

	if (ts[1].tv_nsec < 0) { /* before 1970 */
		ts[1].tv_nsec += 1000000000;
		ts[1].tv_sec--;
	}
	return futimens(fd, ts) < 0 ? -errno : 0;
}

/* What fstat shows of an entry that lives on in its handles. */
static void set_last(struct upload_row *last, const struct upload_row *row, unsigned mask)
{
	last->ctime_ns = now_us() * 1000;
	if (mask & UPLOAD_SET_MODE)
		last->mode = row->mode;
	if (mask & UPLOAD_SET_MTIME)
		last->mtime_ns = row->mtime_ns;
	if (mask & UPLOAD_SET_OWNER) {
		last->uid = row->uid;
		last->gid = row->gid;
	}
}

static int set_locked(struct ingest *in, struct entry *e, const struct upload_row *row,
		      unsigned mask)
{
	struct upload_row set = *row;
	int r = 0;

	set.id = e->id;
	if ((mask & UPLOAD_SET_MTIME) && !e->registered && e->fd >= 0)
		r = set_file_mtime(e->fd, row->mtime_ns);
	if (r == 0)
		r = catalog_upload_set(in->cat, &set, mask, NULL, false);
	if (r == -ENOENT && e->unlinked) {
		set_last(&e->last, row, mask);
		r = 0;
	}
	return r;
}

int ingest_set(struct ingest *in, int64_t id, const struct upload_row *row, unsigned mask)
{
	struct upload_row now;
	struct entry *e;
	int r = entry_get(in, id, NULL, false, &e);

	if (r < 0)
		return r;
	in->active = true;
	/* Under the lock: who hands the bytes over must not write back the time that he has read before. */
	pthread_rwlock_wrlock(&e->lock);
	r = set_locked(in, e, row, mask);
	pthread_rwlock_unlock(&e->lock);
	if (r == 0 && (mask & UPLOAD_SET_MTIME) && !e->registered) {
		if (entry_has_writers(in, e))
			e->dirty = true;
		else if (catalog_upload(in->cat, id, &now) == 0 && now.state == UPLOAD_WAITING)
			(void)!consider(in, e, false); /* the time it waited for has come */
	}
	entry_put(in, e, false);
	return r;
}

void forget_bytes(struct ingest *in, const struct upload_row *row)
{
	struct entry *e = entry_find(in, row->id);

	if (e) {
		e->last = *row;
		e->unlinked = true;
		entry_put(in, e, false);
	}
	if (!row->is_dir)
		unlink_when_durable(in, row->id);
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

/* A directory lost its temporary name, or came out of one: so did everything in it. Its depth is the catalog's to limit. */
static int look_below(struct ingest *in, int64_t dir)
{
	CLEANUP(freep) struct page *p = malloc(sizeof(*p));
	const char *after = "";
	int r = p ? 0 : -ENOMEM;

	while (r == 0) {
		r = next_page(in, dir, after, LIST_PAGE, p);
		for (unsigned i = 0; r == 0 && i < p->n; i++) {
			if (p->row[i].is_dir)
				r = look_below(in, p->row[i].id);
			else if (p->row[i].state == UPLOAD_OPEN)
				reschedule(in, &p->row[i], UPLOAD_WAITING, QUIET_US);
		}
		if (r != 0 || p->n < LIST_PAGE)
			break;
		after = p->row[p->n - 1].name;
	}
	return r;
}

static bool is_temporary(struct ingest *in, int64_t id)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);

	return catalog_upload_path(in->cat, id, &path) == 0 && path_is_temporary(path.data);
}

static int register_id_first(struct ingest *in, int64_t id)
{
	struct entry *e;
	int r = entry_get(in, id, NULL, false, &e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = register_first(in, e);
	entry_put(in, e, false);
	return r;
}

int ingest_rename(struct ingest *in, int64_t parent, const char *name, int64_t new_parent,
		  const char *new_name, unsigned flags)
{
	struct upload_row row, target;
	int64_t replaced = 0;
	bool over, was_temporary;
	int r = catalog_upload_find(in->cat, parent, name, &row);

	if (r < 0)
		return r;
	if (strlen(new_name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	in->active = true;
	over = catalog_upload_find(in->cat, new_parent, new_name, &target) == 0;
	if (over && target.id != row.id && !(flags & RENAME_NOREPLACE))
		r = register_id_first(in, target.id);
	if (r < 0)
		return r;
	was_temporary = row.is_dir && is_temporary(in, row.id);
	r = catalog_upload_rename(in->cat, row.id, new_parent, new_name, flags, &replaced);
	if (r < 0)
		return r;
	if (replaced && over && target.id == replaced)
		forget_bytes(in, &target);
	if (row.is_dir) {
		if (was_temporary && !is_temporary(in, row.id) && look_below(in, row.id) < 0)
			look_at_all_later(in);
		if (new_parent == 0) /* too many: its pictures will say so */
			(void)!ensure_camera(in, new_name);
		return 0;
	}
	if (row.state != UPLOAD_REGISTERED)
		(void)!consider_id(in, row.id, false); /* rsync's last step: a final name */
	return 0;
}
