/* Open, read, release: cached pictures from their descriptor, others parked until the fetch brings one; texts from memory. */
#include "datasets.h"
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a failed read did not bring the kernel asks for once more, at once: that is no second try of the reader's. */
#define SAME_READ_US 1000000
/* As many pictures are read in vain at most when a reader of pictures goes over to looking at them. */
enum { EXPECTING_MAX = 8 };

static int open_text(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	const struct fs_ghost_file *file = n.kind == NODE_GHOST ? fs_ghost(fs, n.id) : NULL;
	struct handle *h = handle_new(fs, HANDLE_TEXT);
	struct snap s;
	int r = h ? 0 : -ENOMEM;

	if (r == 0 && edit_join(fs, n, h)) {
		fi->direct_io = 1;
		*ret = h;
		return 0;
	}
	if (r == 0 && n.kind == NODE_GHOST)
		r = file ? file->render(fs->parts.ghost_user, &h->text) : -ENOENT;
	else if (r == 0 && n.kind == NODE_QUERY_FILE)
		r = node_ops(n)->edit->load(fs, n, &h->text);
	else if (r == 0)
		r = catalog_snap(fs->parts.catalog, n.id, &s);
	if (r == 0 && n.kind == NODE_SIDECAR)
		r = fs_sidecar_text(fs, &s, &h->text, NULL);
	if (r < 0) {
		if (h)
			handle_free(fs, h);
		return r;
	}
	fi->direct_io =
		1; /* the text may have another length by the next stat: readers must see all of this one */
	*ret = h;
	return 0;
}

/* labels.json: as long as it is open it is the one of then. */
static int open_rendered(struct fs *fs, struct node n, struct fuse_file_info *fi,
			 struct handle **ret)
{
	struct rendered file;
	int r = rendered_open(fs, n, &file);

	if (r < 0)
		return r;
	*ret = handle_new(fs, HANDLE_FILE);
	if (!*ret) {
		(void)close(file.fd);
		return -ENOMEM;
	}
	(*ret)->fd = file.fd;
	fi->direct_io = 1;
	return 0;
}

static int open_snap(struct fs *fs, const struct snap *s, bool own_inode, struct fuse_file_info *fi,
		     struct handle **ret)
{
	struct handle *h = handle_new_snap(fs, s);

	if (!h)
		return -ENOMEM;
	fi->keep_cache =
		own_inode; /* a snapshot's bytes never change unannounced; those of an upload name may */
	fi->noflush = 1;
	*ret = h;
	return 0;
}

static int open_snap_id(struct fs *fs, int64_t id, bool own_inode, struct fuse_file_info *fi,
			struct handle **ret)
{
	struct snap s;
	int r = catalog_snap(fs->parts.catalog, id, &s);

	return r < 0 ? r : open_snap(fs, &s, own_inode, fi, ret);
}

/* For reading.  A registered one is read as its snapshot. */
static int open_upload(struct fs *fs, int64_t id, struct fuse_file_info *fi, struct handle **ret)
{
	struct upload_row row;
	int r = upload_open(fs, (struct node){.kind = NODE_UPLOAD, .id = id}, fi, ret);

	if (r != -ENODATA)
		return r;
	r = ingest_entry(fs->parts.ingest, id, &row);
	return r < 0 ? r : open_snap_id(fs, row.snapshot, false, fi, ret);
}

/* The kernel's number of the file to read it from without us; 0: it is to ask. */
static int32_t backing_of(struct fs *fs, const struct snap *s, struct handle *h)
{
	struct backing_kept kept = {.size = s->size};
	int32_t backing = 0;
	int fd = -1;

	if (fetch_used(fs->parts.fetch, s)) /* else what was kept of it has been evicted */
		memcpy(&kept.stamp, s->sha.b, sizeof(kept.stamp));
	if (passthrough_join(fs->passthrough, s->id, &kept, &backing))
		return backing;
	/* A blob of ours never changes; the file of a store may. */
	if (fetch_blob(fs->parts.fetch, s, &fd) < 0) {
		kept.stamp = 0;
		/* not here, or not now: a read will say why */
		(void)!fetch_in_place(fs->parts.fetch, s, &fd);
	}
	backing = passthrough_enter(fs->passthrough, s->id, &kept, fd);
	if (fd >= 0 && backing)
		(void)close(fd);
	else
		h->fd = fd;
	return backing;
}

/* A snapshot by its own inode. */
static void open_picture(struct fs *fs, fuse_req_t req, int64_t id, struct fuse_file_info *fi)
{
	bool passthrough = passthrough_on(fs->passthrough);
	int32_t backing = 0;
	struct handle *h = NULL;
	struct snap s;
	int r = catalog_snap(fs->parts.catalog, id, &s);

	if (r == 0)
		r = open_snap(fs, &s, true, fi, &h);
	if (r < 0) {
		(void)fuse_reply_err(req, fs_errno(r));
		return;
	}
	if (fs->expecting < EXPECTING_MAX)
		fs->expecting++;
	fetch_opened(fs->parts.fetch, &s);
	if (passthrough)
		backing = backing_of(fs, &s, h);
	fi->fh = h->number;
	r = backing ? passthrough_reply(req, fi, backing) : fuse_reply_open(req, fi);
	if (r >= 0)
		return;
	if (passthrough) /* the opener was interrupted: no release will come */
		passthrough_leave(fs->passthrough, id);
	handle_free(fs, h);
}

static bool for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static int open_node(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	const struct node_ops *ops = node_ops(n);

	if (for_writing(fi->flags))
		return ops->open_write ? ops->open_write(fs, n, fi, ret) : -EROFS;
	switch (n.kind) {
	case NODE_SNAP:
		return open_snap_id(fs, n.id, true, fi, ret);
	case NODE_UPLOAD:
		return open_upload(fs, n.id, fi, ret);
	case NODE_SIDECAR:
	case NODE_GHOST:
		return open_text(fs, n, fi, ret);
	case NODE_QUERY_FILE:
		return query_is_text(n) ? open_text(fs, n, fi, ret) : open_rendered(fs, n, fi, ret);
	case NODE_DATASET_TEXT:
	case NODE_DATASET_BOXES:
	case NODE_DATASET_LOST:
	case NODE_DATASET_SCRATCH:
		return dataset_open(fs, n, fi, ret);
	default:
		return node_is_dir(n) ? -EISDIR : -ENOENT;
	}
}

struct handle *handle_of(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi, int flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_find(fs, fi->fh);
	struct fuse_file_info again = {.flags = flags & ~(O_TRUNC | O_EXCL | O_CREAT)};
	int r;

	if (h)
		return h;
	if (fi->fh & HANDLE_TEXT_LOST) { /* half of it would be another text */
		(void)fuse_reply_err(req, EIO);
		return NULL;
	}
	r = open_node(fs, node_from_ino(ino), &again, &h);
	if (r < 0) {
		(void)fuse_reply_err(req, fs_errno(r));
		return NULL;
	}
	if (h->file)
		ingest_resume(h->file);
	return handle_renumber(fs, h, fi->fh);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = node_from_ino(ino);
	struct handle *h = NULL;
	int r;

	if (n.kind == NODE_SNAP && !for_writing(fi->flags)) {
		open_picture(fs, req, n.id, fi);
		return;
	}
	(void)fs_settled_at(fs, n);
	r = open_node(fs, n, fi, &h);
	if (r < 0) {
		(void)fuse_reply_err(req, fs_errno(r));
		return;
	}
	fi->fh = h->number;
	if (fuse_reply_open(req, fi) < 0) /* the opener was interrupted: no release will come */
		handle_free(fs, h);
}

static void reply_fd(fuse_req_t req, int fd, size_t size, off_t off)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(size);

	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = fd;
	v.buf[0].pos = off;
	(void)fuse_reply_data(req, &v, FUSE_BUF_SPLICE_MOVE);
}

struct pending_read {
	struct handle *handle;
	size_t size;
	off_t off;
};

/* The first descriptor stays with the handle; whoever comes later closes his.  -ESTALE: its bytes are other ones than it was opened
 * for, which the reader may have begun with, and whose size the kernel goes by. */
static int keep_fd(struct handle *h, const struct snap *s, int fd)
{
	int none = -1;

	if (!handle_is_for(h, s, fd)) {
		(void)close(fd);
		return -ESTALE;
	}
	if (atomic_compare_exchange_strong(&h->fd, &none, fd))
		return fd;
	(void)close(fd);
	return h->fd;
}

static void read_done(struct fs *fs, fuse_req_t req, void *data, int err, int fd, int64_t snapshot)
{
	struct pending_read *p = data;
	struct handle *h = p->handle;
	struct snap s;

	/* what was learnt by fetching it is in there now */
	if (err == 0 && catalog_snap(fs->parts.catalog, h->snapshot, &s) < 0) {
		(void)close(fd);
		err = -ESTALE;
	}
	if (err == 0)
		err = fd = keep_fd(h, &s, fd);
	if (err >= 0) {
		reply_fd(req, fd, p->size, p->off);
		return;
	}
	h->error = err;
	h->error_us = mono_us();
	(void)fuse_reply_err(req, fs_errno(err));
}

static void read_snap(struct fs *fs, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct pending_read *p;
	struct snap s;
	int fd = h->fd, r = 0;

	if (fd < 0) {
		r = catalog_snap(fs->parts.catalog, h->snapshot, &s);
		if (r == 0)
			r = fetch_local(fs->parts.fetch, &s, &fd);
		if (r == 0)
			r = fd = keep_fd(h, &s, fd);
	}
	if (r >= 0) {
		reply_fd(req, fd, size, off);
		return;
	}
	if (r == -ENODATA && h->error && mono_us() - h->error_us < SAME_READ_US)
		r = h->error;
	p = r == -ENODATA ? malloc(sizeof(*p)) : NULL;
	if (!p) {
		(void)fuse_reply_err(req, r == -ENODATA ? ENOMEM : fs_errno(r));
		return;
	}
	*p = (struct pending_read){.handle = h, .size = size, .off = off};
	fs_park_fetch(fs, req, h->snapshot, read_done, p);
}

static void read_text(fuse_req_t req, struct handle *h, size_t size, size_t off)
{
	size_t len = h->text.len, from = off < len ? off : len;

	pthread_mutex_lock(&h->lock);
	(void)fuse_reply_buf(req, h->text.data ? h->text.data + from : NULL,
			     len - from < size ? len - from : size);
	pthread_mutex_unlock(&h->lock);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_of(req, ino, fi, fi->flags);

	if (!h)
		return;
	switch (h->kind) {
	case HANDLE_SNAP:
		read_snap(fs, req, h, size, off);
		break;
	case HANDLE_TEXT:
		read_text(req, h, size, (size_t)off);
		break;
	case HANDLE_FILE:
		reply_fd(req, h->fd, size, off);
		break;
	case HANDLE_UPLOAD:
		if (ingest_fd(h->file) >= 0) {
			reply_fd(req, ingest_fd(h->file), size, off);
			break;
		}
		/* Registered and opened for both: what is not rewritten yet reads as the snapshot. */
		h->snapshot = ingest_snapshot(h->file);
		read_snap(fs, req, h, size, off);
		break;
	case HANDLE_EDIT:
		edit_read(req, h, size, off);
		break;
	case HANDLE_DIR:
		(void)fuse_reply_err(req, EISDIR);
		break;
	}
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = node_from_ino(ino);
	struct handle *h = handle_find(fs, fi->fh);

	/* one that comes again may have been counted */
	if (n.kind == NODE_SNAP && passthrough_on(fs->passthrough) && !fs_resent())
		passthrough_leave(fs->passthrough, n.id);
	if (!h && for_writing(fi->flags) &&
	    !(fi->fh & HANDLE_TEXT_LOST)) { /* what was written is looked at when it is closed */
		h = handle_of(req, ino, fi, fi->flags);
		if (!h)
			return;
	}
	if (h)
		handle_free(fs, h);
	(void)fuse_reply_err(req, 0);
}
