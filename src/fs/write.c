/* Everything that changes something: only below upload/, all else is read-only. */
#include "fs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool in_upload(fuse_ino_t ino, int64_t *ret_id)
{
	struct node n = node_from_ino(ino);

	*ret_id = n.id;
	return n.kind == NODE_UPLOAD;
}

static void reply_row(fuse_req_t req, struct fs *fs, int r, const struct upload_row *row)
{
	struct fuse_entry_param e = {.entry_timeout = DAY_S, .attr_timeout = DAY_S};

	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fs_upload_attr(fs, row, &e.attr);
	e.ino = e.attr.st_ino;
	(void)fuse_reply_entry(req, &e);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fuse_entry_param e = {.entry_timeout = DAY_S, .attr_timeout = DAY_S};
	struct handle *h = NULL;
	struct upload_row row;
	int64_t dir;
	int r = in_upload(parent, &dir) ? 0 : -EROFS;

	if (r == 0 && !(h = handle_new(fs, HANDLE_UPLOAD)))
		r = -ENOMEM;
	if (r == 0)
		r = ingest_create(fs->parts.ingest, dir, name, fi->flags, mode & 07777, ctx->uid,
				  ctx->gid, &row, &h->file);
	if (r < 0) {
		if (h)
			handle_free(fs, h);
		(void)fuse_reply_err(req, -r);
		return;
	}
	fs_upload_attr(fs, &row, &e.attr);
	e.ino = e.attr.st_ino;
	fi->fh = (uint64_t)(uintptr_t)h;
	if (fuse_reply_create(req, &e, fi) < 0)
		handle_free(fs, h);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct upload_file *file;
	struct upload_row row;
	int64_t dir;
	int r = in_upload(parent, &dir) ? 0 : -EROFS;

	if (r == 0 && !S_ISREG(mode))
		r = -EPERM;
	if (r == 0)
		r = ingest_create(fs->parts.ingest, dir, name, O_WRONLY | O_EXCL, mode & 07777,
				  ctx->uid, ctx->gid, &row, &file);
	if (r == 0)
		ingest_release(file);
	reply_row(req, fs, r, &row);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct upload_row row;
	int64_t dir;
	int r = in_upload(parent, &dir) ? 0 : -EROFS;

	if (r == 0)
		r = ingest_mkdir(fs->parts.ingest, dir, name, mode & 07777, ctx->uid, ctx->gid,
				 &row);
	reply_row(req, fs, r, &row);
}

/* Names of the views follow from what is registered; they are not removed one by one. */
static int remove_entry(fuse_req_t req, fuse_ino_t parent, const char *name, bool directory)
{
	struct fs *fs = fuse_req_userdata(req);
	int64_t dir;

	if (!in_upload(parent, &dir))
		return -EPERM;
	return ingest_unlink(fs->parts.ingest, dir, name, directory);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -remove_entry(req, parent, name, false));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, -remove_entry(req, parent, name, true));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags)
{
	struct fs *fs = fuse_req_userdata(req);
	int64_t from, to;
	int r;

	if (!in_upload(parent, &from))
		r = -EPERM;
	else if (!in_upload(new_parent, &to))
		r = -EXDEV; /* mv then copies, and says that the target is read-only */
	else
		r = ingest_rename(fs->parts.ingest, from, name, to, new_name, flags);
	(void)fuse_reply_err(req, -r);
}

/* cp -a, tar and sftp fall back when told so. */
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	int64_t dir;

	(void)fuse_reply_err(req, in_upload(parent, &dir) ? EPERM : EROFS);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	int64_t dir;

	(void)fuse_reply_err(req, in_upload(new_parent, &dir) ? EOPNOTSUPP : EROFS);
}

/* A write that had to wait for the snapshot's bytes. */
struct pending_write {
	struct handle *handle;
	size_t size;
	off_t off;
	char data[];
};

static void write_done(struct fs *fs, fuse_req_t req, void *data, int err, int fd, int64_t snapshot)
{
	struct pending_write *p = data;

	if (err == 0)
		err = ingest_fill(p->handle->file, fd);
	if (fd >= 0)
		(void)close(fd);
	if (err == 0)
		err = ingest_write(p->handle->file, p->data, p->size, p->off);
	if (err < 0)
		(void)fuse_reply_err(req, -err);
	else
		(void)fuse_reply_write(req, p->size);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_of(fi);
	struct pending_write *p;
	int r = h->kind == HANDLE_UPLOAD ? ingest_write(h->file, data, size, off) : -EBADF;

	if (r == -ENODATA) {
		p = malloc(sizeof(*p) + size);
		if (!p) {
			(void)fuse_reply_err(req, ENOMEM);
			return;
		}
		*p = (struct pending_write){.handle = h, .size = size, .off = off};
		memcpy(p->data, data, size);
		fs_park_fetch(fs, req, ingest_snapshot(h->file), write_done, p);
		return;
	}
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_write(req, size);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	int r = h->kind == HANDLE_UPLOAD ? ingest_flush(h->file) : 0;

	(void)fuse_reply_err(req, -r);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_of(fi);
	int r = 0;

	if (h->kind == HANDLE_UPLOAD)
		r = ingest_fsync(h->file);
	else if (node_from_ino(ino).kind ==
		 NODE_UPLOAD) /* rsync and editors fsync what they opened for reading, too */
		r = ingest_fsync_all(fs->parts.ingest);
	(void)fuse_reply_err(req, -r);
}

static int64_t ns_of(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static int set_attributes(struct fs *fs, int64_t id, const struct stat *attr, int to_set)
{
	struct upload_row row = {
		.id = id, .mode = attr->st_mode & 07777, .uid = attr->st_uid, .gid = attr->st_gid};
	unsigned mask = 0;
	struct upload_row now;
	int r = 0;

	if (to_set & FUSE_SET_ATTR_MODE)
		mask |= UPLOAD_SET_MODE;
	if (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		r = ingest_entry(fs->parts.ingest, id, &now);
		if (r < 0)
			return r;
		row.uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : now.uid;
		row.gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : now.gid;
		mask |= UPLOAD_SET_OWNER;
	}
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		row.mtime_ns = to_set & FUSE_SET_ATTR_MTIME_NOW ? now_us() * 1000
								: ns_of(&attr->st_mtim);
		/* `touch` is not a statement about when the picture was taken. */
		row.mtime_set = !(to_set & FUSE_SET_ATTR_MTIME_NOW);
		mask |= UPLOAD_SET_MTIME;
	}
	return mask ? ingest_set(fs->parts.ingest, id, &row, mask) : 0;
}

static void reply_attr_of(struct fs *fs, fuse_req_t req, int64_t id, int r)
{
	struct upload_row row;
	struct stat st;

	if (r == 0)
		r = ingest_entry(fs->parts.ingest, id, &row);
	if (r < 0) {
		(void)fuse_reply_err(req, fs_errno(r));
		return;
	}
	fs_upload_attr(fs, &row, &st);
	(void)fuse_reply_attr(req, &st, DAY_S);
}

/* A truncation that had to wait for the snapshot's bytes, and what else came with it. */
struct pending_truncate {
	struct handle *handle; /* or NULL */
	int64_t id;
	struct stat attr;
	int to_set;
};

static void truncate_done(struct fs *fs, fuse_req_t req, void *data, int err, int fd,
			  int64_t snapshot)
{
	struct pending_truncate *p = data;
	struct upload_file *file = p->handle ? p->handle->file : NULL, *own = NULL;

	if (err == 0 && !file) {
		err = ingest_open(fs->parts.ingest, p->id, O_WRONLY, &own);
		file = own;
	}
	if (err == 0)
		err = ingest_fill(file, fd);
	if (fd >= 0)
		(void)close(fd);
	if (err == 0)
		err = ingest_truncate(fs->parts.ingest, p->id, file, (uint64_t)p->attr.st_size);
	if (own)
		ingest_release(own);
	if (err == 0)
		err = set_attributes(fs, p->id, &p->attr, p->to_set);
	reply_attr_of(fs, req, p->id, err);
}

static void park_truncate(struct fs *fs, fuse_req_t req, int64_t id, struct handle *h,
			  const struct stat *attr, int to_set)
{
	struct pending_truncate *p = malloc(sizeof(*p));
	struct upload_row row;
	int r = p ? ingest_entry(fs->parts.ingest, id, &row) : -ENOMEM;

	if (r < 0) {
		free(p);
		(void)fuse_reply_err(req, fs_errno(r));
		return;
	}
	*p = (struct pending_truncate){.handle = h, .id = id, .attr = *attr, .to_set = to_set};
	fs_park_fetch(fs, req, row.snapshot, truncate_done, p);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = fi ? handle_of(fi) : NULL;
	int64_t id;
	int r = 0;

	if (!in_upload(ino, &id)) {
		(void)fuse_reply_err(req, EROFS);
		return;
	}
	if (h && h->kind != HANDLE_UPLOAD)
		h = NULL;
	if (to_set & FUSE_SET_ATTR_SIZE)
		r = ingest_truncate(fs->parts.ingest, id, h ? h->file : NULL,
				    (uint64_t)attr->st_size);
	if (r == -ENODATA) {
		park_truncate(fs, req, id, h, attr, to_set);
		return;
	}
	if (r == 0)
		r = set_attributes(fs, id, attr, to_set);
	reply_attr_of(fs, req, id, r);
}
