/* nodes.h - requests that change something, by the kind of the node they are about.
 *
 * One row per kind (change.c).  NULL, or no row: refused, as read-only (EROFS), or for names that are there and stay (unlink,
 * rmdir, rename) with EPERM.  0 or -errno, results only on success; names are at most NAME_LIMIT bytes.  All are called without
 * locks, by any thread, and must not wait for the network. */
#pragma once

#include "fs_private.h"

struct asked { /* who asks */
	struct fs *fs;
	uid_t uid;
	gid_t gid;
};

struct edit_ops {
	int (*load)(struct fs *fs, struct node n, struct buf *out); /* what a read gives now */
	/* At each close after a change; an error is what close(2) says.  What cannot be understood is kept and shown, not refused:
	 * most programs do not look at what close says. */
	int (*commit)(struct fs *fs, struct node n, const char *text, size_t len);
};

struct node_ops {
	/* ---- of a directory ---- */
	/* O_EXCL and O_TRUNC in fi->flags; fi->direct_io may be set; the handle is the caller's from then on. */
	int (*create)(const struct asked *a, struct node dir, const char *name, mode_t mode,
		      struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret);
	int (*mknod)(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e); /* regular files only */
	int (*mkdir)(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e);
	int (*unlink)(struct fs *fs, struct node dir, const char *name);
	int (*rmdir)(struct fs *fs, struct node dir, const char *name);
	/* By the kind of the directory that it leaves. */
	int (*rename)(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		      const char *new_name, unsigned flags);
	int (*symlink)(struct fs *fs, struct node dir, const char *name);
	int (*link)(struct fs *fs, struct node n, struct node dir, const char *name,
		    struct fuse_entry_param *e); /* node n gets a name in dir */

	/* ---- of the node itself ---- */
	int (*open_write)(struct fs *fs, struct node n, struct fuse_file_info *fi,
			  struct handle **ret); /* writing, or O_TRUNC */
	/* Replies itself, since it may have to wait.  `h`: of ftruncate; NULL: none. */
	void (*setattr)(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
			int to_set, struct handle *h);
	int (*setxattr)(struct fs *fs, struct node n, const char *name, const char *value,
			size_t size, int flags);
	int (*removexattr)(struct fs *fs, struct node n, const char *name);
	const struct edit_ops *edit; /* of a text that is edited as a whole: see edit.c */
};

const struct node_ops *node_ops(struct node n); /* never NULL */

/* ---- edit.c: open_write and setattr of a node with `edit`; at most SIDECAR_BYTES are taken in ---- */
int edit_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
	MUST_CHECK;
void edit_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr, int to_set,
		  struct handle *h);
/* A reader sees what is being written; false: nobody has it open for writing. */
bool edit_join(struct fs *fs, struct node n, struct handle *h);
/* Size and times of an open text over those in `st`; false: it is not open. */
bool edit_attr(struct fs *fs, struct node n, struct stat *st);
void edit_read(fuse_req_t req, struct handle *h, size_t size, off_t off); /* replies */
int edit_write(struct handle *h, const char *data, size_t size, off_t off) MUST_CHECK;
int edit_flush(struct fs *fs, struct handle *h) MUST_CHECK;
void edit_release(struct fs *fs, struct handle *h);

/* ---- scratch.c: files beside the entries of a view, in an annex (ingest.h) of the directory's number.  What editors make for a
 * moment, and what is being written into a label directory; never listed. ---- */
static inline struct node annex_of(struct node dir) /* upload_ops work on it */
{
	return (struct node){.kind = NODE_UPLOAD, .id = -(int64_t)node_ino(dir)};
}
/* A name that an editor, sed -i or a browser makes beside a text of that kind. */
bool scratch_name_ok(const char *name);
int scratch_find(struct fs *fs, struct node dir, const char *name, struct upload_row *ret)
	MUST_CHECK;
int scratch_create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		   struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
	MUST_CHECK;
int scratch_mknod(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_entry_param *e) MUST_CHECK;
int scratch_unlink(struct fs *fs, struct node dir, const char *name) MUST_CHECK;
int scratch_rename(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		   const char *new_name, unsigned flags) MUST_CHECK;
/* A text under a new scratch name: what was renamed away. */
int scratch_write(struct fs *fs, struct node dir, const char *name, const struct buf *text)
	MUST_CHECK;
int scratch_read(struct fs *fs, const struct upload_row *row, struct buf *out) MUST_CHECK;
/* A text was removed or renamed away, and comes back under its name in a moment: until somebody makes it, or 10 s passed. */
void text_hide(struct fs *fs, struct node n);
bool text_hidden(struct fs *fs, struct node n);
void text_show(struct fs *fs, struct node n);

/* The names of one text, by any program's way of saving.  `n`: the text of that name, hidden or not; NULL: none has that name. */
int text_create(const struct asked *a, struct node dir, const char *name, const struct node *n,
		mode_t mode, struct fuse_file_info *fi, struct fuse_entry_param *e,
		struct handle **ret) MUST_CHECK;
int text_unlink(struct fs *fs, struct node dir, const char *name, const struct node *n) MUST_CHECK;
/* `to`: the text of the new name. */
int text_rename(struct fs *fs, struct node dir, const char *name, const struct node *n,
		struct node new_dir, const char *new_name, const struct node *to, unsigned flags)
	MUST_CHECK;

/* ---- sidecar.c ---- */
extern const struct node_ops sidecar_ops, sidecar_dir_ops;
/* The snapshot's text of that name in a directory of snapshots; false: no sidecar's name. */
bool sidecar_named(struct fs *fs, struct node dir, const char *name, struct node *ret);

/* ---- labels.c ---- */
extern const struct node_ops labels_ops, kind_ops, label_ops;
extern const struct annex_ops label_annex; /* user: the fs */
/* A picture by a name in a directory of a label or of what is starred: its own, or one it was given there. */
int label_find(struct fs *fs, struct node dir, const char *name, struct snap *ret) MUST_CHECK;
/* It is there under the name that it is listed by, whose coming and going the kernel is told. */
bool label_lists(struct fs *fs, struct node dir, const char *name);
/* A snapshot gets the label or star of the directory that it was put in, under that name. -EPERM: no such directory, no such name. */
int label_put(struct fs *fs, int64_t snapshot, struct node dir, const char *name) MUST_CHECK;

/* ---- queries.c ---- */
struct query;
extern const struct node_ops queries_ops, query_ops, query_file_ops;
int query_exists(struct fs *fs, struct node n) MUST_CHECK; /* of the directories: 0, -ENOENT */
int query_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret) MUST_CHECK;
bool query_is_text(struct node n); /* query.json */
int query_text_row(struct fs *fs, struct node n, struct query_row *ret)
	MUST_CHECK; /* -ENOENT: not written, or no query.json */
/* The query of a directory or a file in it.  -EBADMSG: it is none, and why; -ENOENT: nothing is written. */
int query_compile(struct fs *fs, struct node n, struct query **ret, char *why) MUST_CHECK;
int query_error(struct fs *fs, struct node n, struct buf *out)
	MUST_CHECK; /* what is wrong with it; -ENODATA: nothing */

/* ---- rendered.c ---- */
/* labels.json or duplicates.json as of now; the descriptor is the caller's. -ENOENT */
int rendered_open(struct fs *fs, struct node n, struct rendered *ret) MUST_CHECK;
void rendered_end(struct fs *fs);

/* ---- tree.c ---- */
/* What is being written there, or was for a moment. */
int fs_lookup_scratch(struct fs *fs, struct node dir, const char *name, struct node *ret)
	MUST_CHECK;
/* "<stem>.jpg", "<stem>.json" or "<stem>.jpg.json"; false: no such name. */
bool fs_split_name(const char *name, char ret_stem[STEM_MAX + 16], bool *ret_sidecar);

/* ---- upload.c ---- */
extern const struct node_ops upload_ops;
/* For reading, too; -ENODATA then: a registered one, which is read as its snapshot. */
int upload_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
	MUST_CHECK;
void upload_write(struct fs *fs, fuse_req_t req, struct handle *h, const char *data, size_t size,
		  off_t off); /* replies */

/* ---- tags.c: user.xdg.tags, user.xdg.comment, user.baloo.rating, user.shutterfs.starred of a picture ---- */
bool tag_attribute(const char *name); /* one of these; the others below take no other */
int tag_set(struct fs *fs, int64_t snapshot, const char *name, const char *value, size_t size,
	    int flags) MUST_CHECK; /* -EINVAL: no tag, no number, no text */
int tag_remove(struct fs *fs, int64_t snapshot, const char *name) MUST_CHECK; /* -ENODATA */
int tag_value(const struct sidecar *s, const char *name, struct buf *out) MUST_CHECK;
int tag_names(const struct sidecar *s, struct buf *out)
	MUST_CHECK; /* those that are set, NUL-terminated each */
/* Of a registered entry of upload/. */
int upload_tag_value(struct fs *fs, int64_t entry, int64_t snapshot, const char *name,
		     struct buf *out) MUST_CHECK;
void tags_of_upload(void *user, int64_t entry, int64_t snapshot); /* of annex_ops */

/* ---- xattr.c ---- */
int picture_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		     int flags) MUST_CHECK;
int text_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		  int flags) MUST_CHECK; /* of a sidecar or a query */
int picture_removexattr(struct fs *fs, struct node n, const char *name) MUST_CHECK;
int upload_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		    int flags) MUST_CHECK;
int upload_removexattr(struct fs *fs, struct node n, const char *name) MUST_CHECK;
