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
};

const struct node_ops *node_ops(struct node n); /* never NULL */

/* ---- upload.c ---- */
extern const struct node_ops upload_ops;
/* For reading, too; -ENODATA then: a registered one, which is read as its snapshot. */
int upload_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
	MUST_CHECK;
void upload_write(struct fs *fs, fuse_req_t req, struct handle *h, const char *data, size_t size,
		  off_t off); /* replies */

/* ---- xattr.c ---- */
int upload_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		    int flags) MUST_CHECK;
int upload_removexattr(struct fs *fs, struct node n, const char *name) MUST_CHECK;
