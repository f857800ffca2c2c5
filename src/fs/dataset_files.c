/* What can be done in datasets/: a directory is made, query.json written into it, and then only scratch files of training programs. */
#include "datasets.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_query(struct node n)
{
	return n.kind == NODE_DATASET_TEXT && n.day == DATASET_QUERY_PLACE;
}

/* ---- datasets/ ---- */
static int make_dir(const struct asked *a, struct node dir, const char *name, mode_t mode,
		    struct fuse_entry_param *e)
{
	int64_t id;
	int r = datasets_make(a->fs->parts.datasets, name, &id);

	return r < 0 ? r : fs_entry(a->fs, (struct node){.kind = NODE_DATASET, .id = id}, e);
}

/* It goes with all that is in it: none of that can be removed one by one. */
static int remove_dir(struct fs *fs, struct node dir, const char *name)
{
	struct dataset_row row;
	int r = catalog_dataset_find(fs->parts.catalog, name, &row);

	return r < 0 ? r : datasets_remove(fs->parts.datasets, row.id);
}

static int rename_dir(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		      const char *new_name, unsigned flags)
{
	struct dataset_row row, there;
	int r = catalog_dataset_find(fs->parts.catalog, name, &row);

	if (r < 0 || (new_dir.kind == NODE_DATASETS && strcmp(name, new_name) == 0))
		return r;
	if (new_dir.kind != NODE_DATASETS)
		return -EXDEV;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (catalog_dataset_find(fs->parts.catalog, new_name, &there) == 0) {
		if (flags & RENAME_NOREPLACE)
			return -EEXIST;
		if (there.state != DATASET_NEW)
			return -ENOTEMPTY;
		r = datasets_remove(fs->parts.datasets, there.id);
	}
	return r < 0 ? r : datasets_rename(fs->parts.datasets, row.id, new_name);
}

const struct node_ops datasets_ops = {.mkdir = make_dir, .rmdir = remove_dir, .rename = rename_dir};

/* ---- what training programs leave: *.cache, *.npy ---- */
static bool trainer_name_ok(const char *name)
{
	return fnmatch("?*.cache", name, FNM_NOESCAPE) == 0 ||
	       fnmatch("?*.npy", name, FNM_NOESCAPE) == 0;
}

/* Whether a directory may have a scratch file of that name. */
static int trainer_dir(struct node dir, const char *name)
{
	int place = dataset_place_of(dir);

	return place >= 0 && dir.kind == NODE_DATASET_DIR && dataset_places[place].scratch &&
			       trainer_name_ok(name)
		       ? 0
		       : -EROFS;
}

static int trainer_handle(struct fs *fs, const struct dataset_scratch *s, int flags,
			  struct handle **ret)
{
	struct handle *h = handle_new(fs, HANDLE_FILE);
	int fd, r = h ? datasets_scratch(fs->parts.datasets, s, flags, &fd) : -ENOMEM;

	if (r < 0) {
		if (h)
			handle_free(fs, h);
		return r;
	}
	h->fd = fd;
	*ret = h;
	return 0;
}

static int trainer_create(const struct asked *a, struct node dir, const char *name, mode_t mode,
			  struct fuse_file_info *fi, struct fuse_entry_param *e,
			  struct handle **ret)
{
	struct dataset_scratch s = {.dataset = dir.id, .dir = dir.day};
	struct handle *h = NULL;
	int r = trainer_dir(dir, name);

	if (r < 0)
		return r;
	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	r = catalog_scratch_add(a->fs->parts.catalog, &s);
	if (r == -EEXIST && !(fi->flags & O_EXCL))
		r = catalog_scratch_find(a->fs->parts.catalog, dir.id, dir.day, name, &s);
	if (r == 0)
		r = trainer_handle(a->fs, &s, (fi->flags & (O_ACCMODE | O_TRUNC)) | O_CREAT, &h);
	if (r < 0)
		return r;
	r = fs_entry(a->fs, (struct node){.kind = NODE_DATASET_SCRATCH, .id = s.id}, e);
	if (r < 0)
		handle_free(a->fs, h);
	else
		*ret = h;
	return r;
}

static int trainer_unlink(struct fs *fs, struct node dir, const char *name)
{
	struct dataset_scratch s;
	int r = catalog_scratch_find(fs->parts.catalog, dir.id, dir.day, name, &s);

	if (r == -ENOENT)
		return -EROFS;
	return r < 0 ? r : datasets_scratch_remove(fs->parts.datasets, &s);
}

static int trainer_rename(struct fs *fs, struct node dir, const char *name, struct node new_dir,
			  const char *new_name, unsigned flags)
{
	struct dataset_scratch s, there;
	int r = catalog_scratch_find(fs->parts.catalog, dir.id, dir.day, name, &s);

	if (r < 0)
		return r == -ENOENT ? -EROFS : r;
	if (new_dir.kind != NODE_DATASET_DIR || new_dir.id != dir.id)
		return -EXDEV;
	r = trainer_dir(new_dir, new_name);
	if (r == 0 && (flags & ~(unsigned)RENAME_NOREPLACE))
		r = -EINVAL;
	if (r < 0)
		return r;
	r = catalog_scratch_find(fs->parts.catalog, new_dir.id, new_dir.day, new_name, &there);
	if (r == 0 && there.id == s.id)
		return 0;
	if (r == 0)
		r = flags & RENAME_NOREPLACE ? -EEXIST
					     : datasets_scratch_remove(fs->parts.datasets, &there);
	if (r < 0 && r != -ENOENT)
		return r;
	s.dir = new_dir.day;
	(void)snprintf(s.name, sizeof(s.name), "%s", new_name);
	return catalog_scratch_move(fs->parts.catalog, &s);
}

const struct node_ops dataset_dir_ops = {
	.create = trainer_create, .unlink = trainer_unlink, .rename = trainer_rename};

static int trainer_open(struct fs *fs, struct node n, struct fuse_file_info *fi,
			struct handle **ret)
{
	struct dataset_scratch s;
	int r = catalog_scratch(fs->parts.catalog, n.id, &s);

	return r < 0 ? r : trainer_handle(fs, &s, fi->flags & (O_ACCMODE | O_TRUNC), ret);
}

static int trainer_set(struct fs *fs, struct node n, const struct stat *attr, int to_set)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	CLEANUP(closep) int fd = -1;
	struct dataset_scratch s;
	int r = catalog_scratch(fs->parts.catalog, n.id, &s);

	if (r == 0)
		r = datasets_scratch(fs->parts.datasets, &s, O_WRONLY, &fd);
	if (r == 0 && (to_set & FUSE_SET_ATTR_SIZE) && ftruncate(fd, attr->st_size) < 0)
		r = -errno;
	if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = attr->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = attr->st_mtim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	if (r == 0 && futimens(fd, times) < 0)
		r = -errno;
	return r;
}

static void reply_attr(struct fs *fs, fuse_req_t req, struct node n, int r)
{
	struct stat st;

	if (r == 0)
		r = dataset_attr(fs, n, &st);
	if (r < 0)
		(void)fuse_reply_err(req, fs_errno(r));
	else
		(void)fuse_reply_attr(req, &st, DAY_S);
}

/* Mode and owner are taken and forgotten: tools that copy set them, and go on only then. */
static void trainer_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
			    int to_set, struct handle *h)
{
	reply_attr(fs, req, n, trainer_set(fs, n, attr, to_set));
}

const struct node_ops dataset_scratch_ops = {.open_write = trainer_open,
					     .setattr = trainer_setattr};

/* ---- opening for reading ---- */
static int open_boxes(struct fs *fs, struct node n, struct buf *out)
{
	CLEANUP(closep) int fd = -1;
	struct dataset_member m;
	int r = catalog_member(fs->parts.catalog, n.id, &m);

	if (r == 0)
		r = datasets_text(fs->parts.datasets, m.dataset, DATASET_BOXES, &fd);
	for (uint64_t at = 0; r == 0 && at < m.boxes_len;) {
		char part[4096];
		size_t len = m.boxes_len - at < sizeof(part) ? (size_t)(m.boxes_len - at)
							     : sizeof(part);

		r = pread_all(fd, part, len, (off_t)(m.boxes_at + at));
		if (r == 0)
			r = buf_add(out, part, len);
		at += len;
	}
	return r;
}

int dataset_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	bool text = n.kind == NODE_DATASET_BOXES || is_query(n);
	struct handle *h;
	int fd, r = 0;

	if (n.kind == NODE_DATASET_SCRATCH)
		return trainer_open(fs, n, fi, ret);
	if (n.kind == NODE_DATASET_LOST) /* no store has it any more, or it has other bytes */
		return -EIO;
	h = handle_new(fs, text ? HANDLE_TEXT : HANDLE_FILE);
	if (!h)
		return -ENOMEM;
	if (is_query(n) && edit_join(fs, n, h)) {
		fi->direct_io = 1;
		*ret = h;
		return 0;
	}
	if (n.kind == NODE_DATASET_BOXES)
		r = open_boxes(fs, n, &h->text);
	else if (is_query(n))
		r = catalog_dataset_query(fs->parts.catalog, n.id, &h->text);
	else
		r = datasets_text(fs->parts.datasets, n.id, dataset_places[n.day].file, &fd);
	if (r < 0) {
		handle_free(fs, h);
		return r;
	}
	if (!text)
		h->fd = fd;
	fi->direct_io = is_query(n); /* its length may change with the next write */
	fi->keep_cache = !fi->direct_io;
	fi->noflush = 1;
	*ret = h;
	return 0;
}

/* ---- query.json ---- */
static bool is_open_for_query(const struct dataset_row *row)
{
	return row->state == DATASET_NEW || row->state == DATASET_FAILED;
}

static int query_load(struct fs *fs, struct node n, struct buf *out)
{
	return catalog_dataset_query(fs->parts.catalog, n.id, out);
}

/* A shell closes the file once before it writes: an empty text asks for nothing yet. */
static int query_commit(struct fs *fs, struct node n, const char *text, size_t len)
{
	return len == 0 ? 0 : datasets_freeze(fs->parts.datasets, n.id, text, len);
}

static int query_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	struct dataset_row row;
	int r = is_query(n) ? catalog_dataset(fs->parts.catalog, n.id, &row) : -EROFS;

	if (r == 0 && !is_open_for_query(&row))
		r = -EROFS;
	return r < 0 ? r : edit_open(fs, n, fi, ret);
}

static void query_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
			  int to_set, struct handle *h)
{
	if (is_query(n))
		edit_setattr(fs, req, n, attr, to_set, h);
	else
		(void)fuse_reply_err(req, EROFS);
}

static const struct edit_ops query_edit = {.load = query_load, .commit = query_commit};
const struct node_ops dataset_query_ops = {.open_write = query_open,
					   .setattr = query_setattr,
					   .setxattr = text_setxattr,
					   .edit = &query_edit};

/* ---- datasets/<name>/: query.json, by any program's way of saving, until it is frozen ---- */
static bool names_query(struct node dir, const char *name, struct node *ret)
{
	*ret = dataset_place_node(dir.id, DATASET_QUERY_PLACE);
	return dir.kind == NODE_DATASET &&
	       strcmp(name, dataset_places[DATASET_QUERY_PLACE].name) == 0;
}

static int check_open(struct fs *fs, struct node dir)
{
	struct dataset_row row;
	int r = catalog_dataset(fs->parts.catalog, dir.id, &row);

	return r < 0 ? r : is_open_for_query(&row) ? 0 : -EROFS;
}

static int query_create(const struct asked *a, struct node dir, const char *name, mode_t mode,
			struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	struct node n;
	struct stat st;
	bool query = names_query(dir, name, &n);
	int r = check_open(a->fs, dir);

	if (r < 0)
		return r;
	if (query && dataset_attr(a->fs, n, &st) == -ENOENT) /* not written yet */
		fi->flags &= ~O_EXCL;
	return text_create(a, dir, name, query ? &n : NULL, mode, fi, e, ret);
}

static int query_mknod(const struct asked *a, struct node dir, const char *name, mode_t mode,
		       struct fuse_entry_param *e)
{
	int r = check_open(a->fs, dir);

	return r < 0 ? r : scratch_name_ok(name) ? scratch_mknod(a, dir, name, mode, e) : -EROFS;
}

/* One that was refused can be taken away. */
static int query_unlink(struct fs *fs, struct node dir, const char *name)
{
	struct dataset_row row;
	struct node n;
	int r;

	if (!names_query(dir, name, &n))
		return check_open(fs, dir) < 0 ? -EPERM : text_unlink(fs, dir, name, NULL);
	r = catalog_dataset(fs->parts.catalog, dir.id, &row);
	if (r == 0 && row.state != DATASET_FAILED)
		r = -EPERM;
	return r < 0 ? r
		     : catalog_dataset_set(fs->parts.catalog, dir.id, DATASET_NEW, 0, "", 0, NULL);
}

static int query_rename(struct fs *fs, struct node dir, const char *name, struct node new_dir,
			const char *new_name, unsigned flags)
{
	struct node n, to;
	bool from_query = names_query(dir, name, &n),
	     to_query = names_query(new_dir, new_name, &to);

	if (check_open(fs, dir) < 0)
		return -EPERM;
	return text_rename(fs, dir, name, from_query ? &n : NULL, new_dir, new_name,
			   to_query ? &to : NULL, flags);
}

const struct node_ops dataset_ops = {.create = query_create,
				     .mknod = query_mknod,
				     .unlink = query_unlink,
				     .rename = query_rename};

static void waited(struct fs *fs, fuse_req_t req, void *data, int err, int fd, int64_t snapshot)
{
	(void)fuse_reply_err(req, -err);
}

void dataset_wait(struct fs *fs, fuse_req_t req, struct node n)
{
	struct dataset_row row;
	int r = catalog_dataset(fs->parts.catalog, n.id, &row);

	if (r == 0 && row.state == DATASET_FREEZING)
		fs_park_freeze(fs, req, n.id, waited, NULL);
	else
		(void)fuse_reply_err(req, fs_errno(r));
}

static const char *state_name(enum dataset_state s)
{
	return s == DATASET_FROZEN ? "frozen" : s == DATASET_FREEZING ? "freezing" : "failed";
}

int dataset_xattr(struct fs *fs, struct node n, const char *name, struct buf *out)
{
	struct dataset_row row;
	int r = is_query(n) ? catalog_dataset(fs->parts.catalog, n.id, &row) : -ENODATA;

	if (r < 0)
		return r;
	if (strcmp(name, "user.shutterfs.state") == 0)
		return buf_str(out, state_name(row.state));
	if (strcmp(name, "user.shutterfs.error") == 0 && row.error[0])
		return buf_str(out, row.error);
	return -ENODATA;
}
