/* Everything that changes something: who answers it is looked up by the kind of the node. */
#include "datasets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct node_ops picture_ops = {
	.setxattr = picture_setxattr,
	.removexattr = picture_removexattr,
};

const struct node_ops *node_ops(struct node n)
{
	static const struct node_ops none;
	static const struct node_ops *const by_kind[NODE_KINDS] = {
		[NODE_CAMERA_DAY] = &sidecar_dir_ops,
		[NODE_DAY] = &sidecar_dir_ops,
		[NODE_LABELS] = &labels_ops,
		[NODE_KIND] = &kind_ops,
		[NODE_LABEL] = &label_ops,
		[NODE_LABEL_DAY] = &label_ops,
		[NODE_STARRED] = &label_ops,
		[NODE_STARRED_DAY] = &label_ops,
		[NODE_SNAP] = &picture_ops,
		[NODE_SIDECAR] = &sidecar_ops,
		[NODE_UPLOAD] = &upload_ops,
		[NODE_QUERIES] = &queries_ops,
		[NODE_QUERY] = &query_ops,
		[NODE_QUERY_FILE] = &query_file_ops,
		[NODE_DATASETS] = &datasets_ops,
		[NODE_DATASET] = &dataset_ops,
		[NODE_DATASET_DIR] = &dataset_dir_ops,
		[NODE_DATASET_TEXT] = &dataset_query_ops,
		[NODE_DATASET_SCRATCH] = &dataset_scratch_ops,
	};

	return by_kind[n.kind] ? by_kind[n.kind] : &none;
}

static struct asked asked_by(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct asked){.fs = fuse_req_userdata(req), .uid = ctx->uid, .gid = ctx->gid};
}

static void reply_entry(fuse_req_t req, int r, const struct fuse_entry_param *e)
{
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_entry(req, e);
}

/* What a request that came again wanted to make, and finds there. */
static int settle_entry(struct fs *fs, int r, struct node dir, const char *name,
			struct fuse_entry_param *e)
{
	struct node n;

	if (r != -EEXIST || fs_settled(r, -EEXIST) < 0)
		return r;
	r = fs_lookup(fs, dir, name, &n);
	return r < 0 ? r : fs_entry(fs, n, e);
}

/* Names go and come: what was closed before is taken in under the names of then. */
static void wait_for_closed(fuse_req_t req)
{
	struct fs *fs = fuse_req_userdata(req);

	(void)ingest_settled(fs->parts.ingest, 0);
}

static int name_fits(const char *name)
{
	return strlen(name) > NAME_LIMIT ? -ENAMETOOLONG : 0;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct asked a = asked_by(req);
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	struct fuse_entry_param e;
	struct handle *h = NULL;
	int r = name_fits(name);

	(void)fs_settled_at(a.fs, dir);
	if (fs_resent()) /* it may be there because of this very request */
		fi->flags &= ~O_EXCL;
	if (r == 0)
		r = ops->create ? ops->create(&a, dir, name, mode & 07777, fi, &e, &h) : -EROFS;
	if (r < 0) {
		(void)fuse_reply_err(req, -r);
		return;
	}
	fi->fh = h->number;
	if (fuse_reply_create(req, &e, fi) < 0)
		handle_free(a.fs, h);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct asked a = asked_by(req);
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	struct fuse_entry_param e;
	int r = ops->mknod ? name_fits(name) : -EROFS;

	(void)fs_settled_at(a.fs, dir);
	if (r == 0 && !S_ISREG(mode))
		r = -EPERM;
	if (r == 0)
		r = ops->mknod(&a, dir, name, mode & 07777, &e);
	r = settle_entry(a.fs, r, dir, name, &e);
	reply_entry(req, r, &e);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct asked a = asked_by(req);
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	struct fuse_entry_param e;
	int r = ops->mkdir ? name_fits(name) : -EROFS;

	(void)fs_settled_at(a.fs, dir);
	if (r == 0)
		r = ops->mkdir(&a, dir, name, mode & 07777, &e);
	r = settle_entry(a.fs, r, dir, name, &e);
	reply_entry(req, r, &e);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	int r = -EPERM;

	wait_for_closed(req);
	if (ops->unlink)
		r = ops->unlink(fuse_req_userdata(req), dir, name);
	(void)fuse_reply_err(req, -fs_settled(r, -ENOENT));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	int r = -EPERM;

	wait_for_closed(req);
	if (ops->rmdir)
		r = ops->rmdir(fuse_req_userdata(req), dir, name);
	(void)fuse_reply_err(req, -fs_settled(r, -ENOENT));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags)
{
	struct node dir = node_from_ino(parent), new_dir = node_from_ino(new_parent);
	const struct node_ops *ops = node_ops(dir);
	int r = ops->rename ? name_fits(new_name) : -EPERM;

	wait_for_closed(req);
	if (r == 0)
		r = ops->rename(fuse_req_userdata(req), dir, name, new_dir, new_name, flags);
	(void)fuse_reply_err(req, -fs_settled(r, -ENOENT));
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct node dir = node_from_ino(parent);
	const struct node_ops *ops = node_ops(dir);
	int r = ops->symlink ? ops->symlink(fuse_req_userdata(req), dir, name) : -EROFS;

	(void)fuse_reply_err(req, -r);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	struct node dir = node_from_ino(new_parent);
	const struct node_ops *ops = node_ops(dir);
	struct fuse_entry_param e;
	int r = ops->link ? name_fits(new_name) : -EROFS;

	wait_for_closed(req);
	if (r == 0)
		r = ops->link(fuse_req_userdata(req), node_from_ino(ino), dir, new_name, &e);
	r = settle_entry(fuse_req_userdata(req), r, dir, new_name, &e);
	reply_entry(req, r, &e);
}

/* How a handle was opened, where the request does not say: as one that can do all its node allows. */
static int flags_unknown(fuse_ino_t ino)
{
	return node_ops(node_from_ino(ino))->open_write ? O_RDWR : O_RDONLY;
}

/* A scratch file; others are open for reading only. */
static void file_write(fuse_req_t req, struct handle *h, const char *data, size_t size, off_t off)
{
	ssize_t n = pwrite(h->fd, data, size, off);

	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	/* What is written back from a map comes without flags. */
	struct handle *h = handle_of(req, ino, fi, O_RDWR);
	int r;

	if (!h)
		return;
	r = h->kind == HANDLE_EDIT ? edit_write(h, data, size, off) : -EBADF;
	if (h->kind == HANDLE_UPLOAD)
		upload_write(fuse_req_userdata(req), req, h, data, size, off);
	else if (h->kind == HANDLE_FILE)
		file_write(req, h, data, size, off);
	else if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_write(req, size);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = node_from_ino(ino);
	struct handle *h;
	int r;

	/* What another process was asked to freeze is being frozen. */
	if (n.kind == NODE_DATASET_TEXT && !handle_find(fs, fi->fh)) {
		dataset_wait(fs, req, n);
		return;
	}
	h = handle_of(req, ino, fi, flags_unknown(ino));
	if (!h)
		return;
	r = h->kind == HANDLE_UPLOAD ? ingest_flush(h->file)
	    : h->kind == HANDLE_EDIT ? edit_flush(fs, h)
				     : 0;
	if (r == 0 && h->kind == HANDLE_EDIT && n.kind == NODE_DATASET_TEXT)
		dataset_wait(fs, req, n);
	else
		(void)fuse_reply_err(req, -r);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_of(req, ino, fi, flags_unknown(ino));
	int r = 0;

	if (!h)
		return;
	if (h->kind == HANDLE_UPLOAD)
		r = ingest_fsync(h->file);
	else if (h->kind == HANDLE_EDIT)
		r = edit_flush(fs, h);
	else if (h->kind == HANDLE_FILE && fsync(h->fd) < 0)
		r = -errno;
	else if (node_from_ino(ino).kind ==
		 NODE_UPLOAD) /* rsync and editors fsync what they opened for reading, too */
		r = ingest_fsync_all(fs->parts.ingest);
	if (r == 0 && h->kind == HANDLE_EDIT)
		r = catalog_sync(fs->parts.catalog);
	(void)fuse_reply_err(req, -r);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct node n = node_from_ino(ino);
	const struct node_ops *ops = node_ops(n);
	struct handle *h = NULL;

	if (!ops->setattr) {
		(void)fuse_reply_err(req, EROFS);
		return;
	}
	if (fi && !(h = handle_of(req, ino, fi, O_RDWR)))
		return;
	(void)fs_settled_at(fuse_req_userdata(req), n);
	ops->setattr(fuse_req_userdata(req), req, n, attr, to_set, h);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	struct node n = node_from_ino(ino);
	const struct node_ops *ops = node_ops(n);
	int r = -EROFS;

	(void)fs_settled_at(fuse_req_userdata(req), n);
	if (ops->setxattr)
		r = ops->setxattr(fuse_req_userdata(req), n, name, value, size, flags);
	(void)fuse_reply_err(req, -fs_settled(r, -EEXIST));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct node n = node_from_ino(ino);
	const struct node_ops *ops = node_ops(n);
	int r = -EROFS;

	(void)fs_settled_at(fuse_req_userdata(req), n);
	if (ops->removexattr)
		r = ops->removexattr(fuse_req_userdata(req), n, name);
	(void)fuse_reply_err(req, -fs_settled(r, -ENODATA));
}
