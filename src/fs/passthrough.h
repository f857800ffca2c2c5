/* passthrough.h - pictures that the kernel reads by itself from the file that holds their bytes.
 *
 * The kernel wants every open of an inode to be of one kind until the last is released (through the cache of the mount, or from one
 * backing file), else the open fails with EIO.  So while passthrough is on, a bounded table knows the inodes of snapshots that are
 * open.  It follows from what the kernel sent (opens and releases of inodes) and names backing files by the connection's numbers: it
 * means the same to another process that serves the same connection, and lies in memory that the mount's keeper gives to each of
 * them.  One that was killed may leave an open counted twice, never one uncounted.  Thread-safe. */
#pragma once

#include "fs_private.h"

struct passthrough;
/* `table`: of passthrough_table(), borrowed for this call. -EPROTO: another version wrote it. */
int passthrough_new(int table, struct passthrough **ret) MUST_CHECK;
struct passthrough *passthrough_free(struct passthrough *p);
int passthrough_table(int *ret_fd) MUST_CHECK; /* an empty one */

/* The kernel at `fd` agreed to passthrough: from now on, if it lets us (privilege). */
void passthrough_start(struct passthrough *p, int fd, uint64_t keep_bytes);
bool passthrough_on(const struct passthrough *p); /* NULL: no */
/* Whether pictures can be served so, as far as it is known. */
bool passthrough_works(const struct passthrough *p);

/* Whose bytes a backing file holds, so that it can be kept for the next open: one message less than half of them.  At most 8,192
 * files are kept that nobody has open, and no more bytes than passthrough_start was told: an eviction does not free them at once. */
struct backing_kept {
	uint64_t stamp; /* of the bytes, which never change in that file; 0: do not keep it */
	uint64_t size;
};

/* The inode of a snapshot is opened; each is ended by passthrough_leave.  Number of its backing file, 0: through the cache.
 * join: true when it is open already, or its file is kept; enter: anew, fd: its local bytes (borrowed), or -1. */
bool passthrough_join(struct passthrough *p, int64_t snapshot, const struct backing_kept *kept,
		      int32_t *ret_backing);
int32_t passthrough_enter(struct passthrough *p, int64_t snapshot, const struct backing_kept *kept,
			  int fd);
void passthrough_leave(struct passthrough *p, int64_t snapshot);
/* Answers an open with a backing file as fuse_reply_open would one without. */
int passthrough_reply(fuse_req_t req, const struct fuse_file_info *fi, int32_t backing);
