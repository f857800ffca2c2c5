/* fs.h - the mount: inodes, views and replies over the kernel's FUSE protocol; no policy.
 *
 * libfuse's low-level API, multi-threaded.  Inode numbers encode what they name (src/fs/inode.h), directory offsets encode the
 * position: no table of inodes.  lookup, getattr, readdir, open and reads of local bytes ask the catalog and the disk only; everything
 * that needs the network parks its request and a worker replies; an interrupt answers EINTR at once.  A handle that another process gave
 * out is opened again by its inode.  One thread tells the kernel what
 * changed, fed by the catalog's change feed and fetch's events, never from inside a request. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/config.h"
#include "shutterfs/dataset.h"
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
	const char *state; /* its tmp/ is for files without a name */
	struct datasets *datasets;
	enum sidecars sidecars;
	bool upload;                       /* false: no upload/ */
	const struct fs_ghost_file *ghost; /* NULL name ends */
	void *ghost_user;
	void (*space)(void *user, uint64_t *total,
		      uint64_t *free_bytes); /* statfs: bytes for uploads; ghost_user */
};

/* ---- the mount, kept by one process and served by others, one after the other ---- */
struct fs_mount;
/* Cleans a stale mount of ours first.  Failure: perhaps a line in err. */
int fs_mount_open(const char *mountpoint, const char *options, struct buf *err,
		  struct fs_mount **ret) MUST_CHECK;
int fs_mount_fd(const struct fs_mount *m);    /* the connection; borrowed */
int fs_mount_table(const struct fs_mount *m); /* memory of those who serve it; borrowed */
bool fs_mount_gone(const struct fs_mount *m); /* somebody else has unmounted it */
/* Whoever waits in it gets an error, also when a dying process still holds the connection. */
void fs_mount_abort(struct fs_mount *m);
/* The same of one whose processes were all killed: it is taken away.  Only root can; nothing happens to what is no shutterfs. */
void fs_mount_force(const char *mountpoint);
struct fs_mount *fs_mount_close(struct fs_mount *m); /* unmounts; NULL in, NULL out */

enum { FS_INIT_MAX = 256 };
struct fs_link {
	int fd, table;   /* of the mount; taken over, also on failure */
	unsigned turn;   /* how many served a mount here before: handles of each are told apart */
	size_t init_len; /* 0: the kernel has not been answered yet; fs_connect then fills these in */
	char init[FS_INIT_MAX]; /* what it began with */
	bool resends;           /* out: it can ask again what was not answered */
};

/* ---- who serves it ---- */
/* `options`: comma-separated -o options of the command line (allow_other, ro, nosuid, what fstab has for itself...; unknown: -EINVAL with err). */
int fs_new(const struct fs_parts *parts, const char *options, struct buf *err, struct fs **ret)
	MUST_CHECK;
/* Serves that mount from fs_loop() on; what the last one who did was asked and had not answered comes again. */
int fs_connect(struct fs *fs, struct fs_link *link) MUST_CHECK; /* -EPROTO: it speaks otherwise */
int fs_loop(struct fs *fs)
	MUST_CHECK; /* Serves until unmounted or fs_stop: 0.  Then no request is here and nothing is open: the rooms below may end. */
void fs_became_local(struct fs *fs, int64_t snapshot); /* from fetch's events: st_blocks changed */
void fs_stop(struct fs *fs);                           /* async-signal-safe */
struct fs *fs_free(struct fs *fs);
const char *fs_read_path(
	const struct fs *fs); /* how cached pictures are read: "kernel cache" or "passthrough" */
