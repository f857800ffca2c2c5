/* What can be done in upload/: everything, by ingest's rules. */
#include "nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void entry_of(struct fs *fs, const struct upload_row *row, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){.entry_timeout = DAY_S, .attr_timeout = DAY_S};
	fs_upload_attr(fs, row, &e->attr);
	e->ino = e->attr.st_ino;
}

/* What is written goes past the pages of the mount: the disk has them.  So the kernel does not ask before each write whether the file
 * has privileges to lose, and copies once less; shared maps it still gives (direct_writes). */
static int create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	struct handle *h = handle_new(a->fs, HANDLE_UPLOAD);
	struct upload_row row;
	int r = h ? ingest_create(a->fs->parts.ingest, dir.id, name, fi->flags, mode, a->uid,
				  a->gid, &row, &h->file)
		  : -ENOMEM;

	if (r < 0) {
		if (h)
			handle_free(a->fs, h);
		return r;
	}
	entry_of(a->fs, &row, e);
	fi->direct_io = a->fs->direct_writes && !(mode & (S_ISUID | S_ISGID));
	*ret = h;
	return 0;
}

static int make_file(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e)
{
	struct upload_file *file;
	struct upload_row row;
	int r = ingest_create(a->fs->parts.ingest, dir.id, name, O_WRONLY | O_EXCL, mode, a->uid,
			      a->gid, &row, &file);

	if (r < 0)
		return r;
	ingest_release(file);
	entry_of(a->fs, &row, e);
	return 0;
}

static int make_dir(const struct asked *a, struct node dir, const char *name, mode_t mode,
		    struct fuse_entry_param *e)
{
	struct upload_row row;
	int r = ingest_mkdir(a->fs->parts.ingest, dir.id, name, mode, a->uid, a->gid, &row);

	if (r == 0)
		entry_of(a->fs, &row, e);
	return r;
}

static int unlink_entry(struct fs *fs, struct node dir, const char *name)
{
	return ingest_unlink(fs->parts.ingest, dir.id, name, false);
}

static int rmdir_entry(struct fs *fs, struct node dir, const char *name)
{
	return ingest_unlink(fs->parts.ingest, dir.id, name, true);
}

static int rename_entry(struct fs *fs, struct node dir, const char *name, struct node new_dir,
			const char *new_name, unsigned flags)
{
	if (new_dir.kind != NODE_UPLOAD)
		return -EXDEV; /* mv then copies */
	return ingest_rename(fs->parts.ingest, dir.id, name, new_dir.id, new_name, flags);
}

/* cp -a, tar and sftp fall back when told so. */
static int make_symlink(struct fs *fs, struct node dir, const char *name)
{
	return -EPERM;
}

static int make_link(struct fs *fs, struct node n, struct node dir, const char *name,
		     struct fuse_entry_param *e)
{
	return -EOPNOTSUPP;
}

int upload_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	struct upload_file *file;
	int r = ingest_open(fs->parts.ingest, n.id, fi->flags, &file);

	if (r < 0)
		return r;
	*ret = handle_new(fs, HANDLE_UPLOAD);
	if (!*ret) {
		ingest_release(file);
		return -ENOMEM;
	}
	(*ret)->file = file;
	return 0;
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

void upload_write(struct fs *fs, fuse_req_t req, struct handle *h, const char *data, size_t size,
		  off_t off)
{
	struct pending_write *p;
	int r = ingest_write(h->file, data, size, off);

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

static void set_attr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
		     int to_set, struct handle *h)
{
	int r = 0;

	if (h && h->kind != HANDLE_UPLOAD)
		h = NULL;
	if (to_set & FUSE_SET_ATTR_SIZE)
		r = ingest_truncate(fs->parts.ingest, n.id, h ? h->file : NULL,
				    (uint64_t)attr->st_size);
	if (r == -ENODATA) {
		park_truncate(fs, req, n.id, h, attr, to_set);
		return;
	}
	if (r == 0)
		r = set_attributes(fs, n.id, attr, to_set);
	reply_attr_of(fs, req, n.id, r);
}

const struct node_ops upload_ops = {
	.create = create,
	.mknod = make_file,
	.mkdir = make_dir,
	.unlink = unlink_entry,
	.rmdir = rmdir_entry,
	.rename = rename_entry,
	.symlink = make_symlink,
	.link = make_link,
	.open_write = upload_open,
	.setattr = set_attr,
	.setxattr = upload_setxattr,
	.removexattr = upload_removexattr,
};
