/* fs.h - the mount: inodes, views and replies over the kernel's FUSE protocol; no policy.
 *
 * libfuse's low-level API, multi-threaded.  Inode numbers encode what they name (src/fs/inode.h), directory offsets encode the
 * position: no table of inodes.  lookup, getattr, readdir, open and reads of local bytes ask the catalog and the disk only; everything
 * that needs the network parks its request and a worker replies; an interrupt answers EINTR at once.  One thread tells the kernel what
 * changed, fed by the catalog's change feed and fetch's events, never from inside a request. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/config.h"
#include "shutterfs/fetch.h"
#include "shutterfs/ingest.h"

struct fs;
struct fs_ghost_file { /* a file of .shutterfs/ */
	const char *name;
	int (*render)(void *user, struct buf *out); /* called for every getattr and open; quick */
};
struct fs_parts { /* borrowed for the fs's life */
	struct catalog *catalog;
	struct fetch *fetch;
	struct ingest *ingest;
	enum sidecars sidecars;
	bool upload;                       /* false: no upload/ */
	const struct fs_ghost_file *ghost; /* NULL name ends */
	void *ghost_user;
	void (*space)(void *user, uint64_t *total,
		      uint64_t *free_bytes); /* statfs: bytes for uploads; ghost_user */
};
/* `options`: comma-separated -o options of the command line (allow_other, ro, nosuid, what fstab has for itself...; unknown: -EINVAL with err). */
int fs_new(const struct fs_parts *parts, const char *options, struct buf *err, struct fs **ret)
	MUST_CHECK;
int fs_mount(struct fs *fs, const char *mountpoint, struct buf *err)
	MUST_CHECK; /* the kernel knows it from now on; cleans a stale mount of ours first */
int fs_loop(struct fs *fs)
	MUST_CHECK; /* Serves until unmounted or fs_stop: 0.  Then nobody waits, nothing is open and the mount is gone: the rooms below may end. */
void fs_became_local(struct fs *fs, int64_t snapshot); /* from fetch's events: st_blocks changed */
void fs_stop(struct fs *fs);                           /* async-signal-safe */
struct fs *fs_free(struct fs *fs);                     /* unmounts if still mounted */
const char *fs_read_path(
	const struct fs *fs); /* how cached pictures are read: "kernel cache" or "passthrough" */
