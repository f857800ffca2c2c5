/* fs_private.h - what the files of the fs room share. */
#pragma once

#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/uio.h>

#include "inode.h"
#include "shutterfs/fs.h"
#include "walk.h"

#define LOG_ROOM "fs"

enum {
	DAY_S = 86400,     /* how long the kernel may keep what the catalog's feed invalidates */
	NEGATIVE_S = 60,   /* names that are not there; invalidated on arrival */
	COOKIE_FIRST = 16, /* directory offsets below it are fixed entries */
	MAX_IO = 1024 * 1024,
	MAX_WRITE = 256 * 1024, /* each thread keeps room for one */
	MAX_REQUEST = MAX_WRITE + 4096,
	WHY_BYTES = 256,
	HIDDEN_MAX = 64,
	RENDERED_MAX = 8,
	QUERY_S = 1, /* names in a query's directory: nobody tells when they come or go */
};

struct notifier; /* notify.c */
struct parked;   /* park.c */
struct passthrough;

struct mount_choice { /* options that are ours, not the kernel's */
	bool no_passthrough, no_takeover;
};

enum { HANDLE_BUCKETS = 4096 };
struct fs {
	struct fs_parts parts;
	struct fuse_session *session;
	struct mount_choice choice;
	uid_t uid;
	gid_t gid;
	int64_t mounted_us;
	struct notifier *notifier;
	struct teller *teller;
	struct passthrough *passthrough; /* NULL: switched off; set before the first request */
	struct fs_link *link;            /* while it connects, in one thread; else NULL */
	bool turned;                     /* another one served it before */
	bool connected;                  /* INIT is answered */
	bool direct_writes;              /* set before the first request */
	uint64_t last_handle;            /* handle_lock; see handle.c */
	pthread_mutex_t handle_lock;
	struct handle *handle[HANDLE_BUCKETS]; /* handle_lock; by their number */
	bool over;                             /* fs_end() was there */
	struct walks walks;
	pthread_mutex_t lock; /* guards all below */
	struct parked *parked;
	unsigned answering;  /* parked requests that were taken off and are being answered */
	pthread_cond_t idle; /* answering became 0 */
	bool ending;         /* nothing is parked any more */
	int64_t complained, complained_us; /* the last snapshot whose fetch failed, and when */
	_Atomic unsigned
		expecting; /* so many pictures that are looked up are taken to be opened next */
	struct edit *edits;
	struct hidden { /* texts that are away for a moment */
		uint64_t ino;
		int64_t until_us;
	} hidden[HIDDEN_MAX];
	struct rendered {     /* the last few of queries' labels.json and duplicates.json */
		uint64_t ino; /* 0: none */
		int64_t of_us /* catalog_changed_us() that it shows */, used_us;
		int fd;
		off_t size;
	} rendered[RENDERED_MAX];
};

/* ---- mount.c ---- */
int session_new(const char *options, const struct fuse_lowlevel_ops *ops, void *user,
		struct buf *err, struct fuse_session **ret, struct mount_choice *ret_choice)
	MUST_CHECK;

/* ---- session.c: what passes between libfuse and the kernel ---- */
/* The request that this thread is about was given to another process before, which may have carried it out. */
bool fs_resent(void);
/* The same for one that then finds its work `done` (an errno): it is. */
static inline int fs_settled(int r, int done)
{
	return r == done && fs_resent() ? 0 : r;
}

/* What was closed in upload/ is taken in a moment later: whoever looks at `n`, or changes it, waits for that.  False: he had to, and
 * the kernel may not have heard of it yet. */
static inline bool fs_settled_at(struct fs *fs, struct node n)
{
	return ingest_settled(fs->parts.ingest, n.kind == NODE_UPLOAD ? n.id : 0);
}

/* ---- statx.c ---- */
/* True: the message was a statx, and is answered. */
bool statx_answered(struct fs *fs, int fd, const void *request, ssize_t len);

/* ---- teller.c: writes notifications ---- */
struct teller;
/* BYTES: that a picture has others now; waits in the kernel for who reads it.  Each lane keeps its order. */
enum tell_lane { TELL_NAMES, TELL_BYTES, TELL_LANES };
int teller_new(struct teller **ret) MUST_CHECK;
int teller_start(struct teller *t, int fd) MUST_CHECK;
void teller_say(struct teller *t, enum tell_lane lane, const struct iovec *iov,
		int count);         /* waits while too many are under way */
void teller_stop(struct teller *t); /* its threads end after what is under way */
bool teller_stopped(struct teller *t);
struct teller *teller_free(struct teller *t);

/* ---- attr.c: stat of every node ---- */
/* Attributes and how long they keep (seconds); -ENOENT. */
int fs_attr(struct fs *fs, struct node n, struct stat *st, double *ret_timeout) MUST_CHECK;
void fs_snap_attr(struct fs *fs, const struct snap *s, struct stat *st);
void fs_upload_attr(struct fs *fs, const struct upload_row *row, struct stat *st);
/* *ret_timeout (NULL: not wanted) is 0 while it is edited. */
int fs_sidecar_attr(struct fs *fs, const struct snap *s, struct stat *st, double *ret_timeout)
	MUST_CHECK;
void fs_dir_attr(struct fs *fs, struct node n, struct stat *st);
void fs_snap_target(const struct snap *s, char *out,
		    size_t size); /* "<day>/<stem>.jpg", seen from cameras/<camera>/ */

/* ---- text.c: files that are rendered ---- */
/* *ret_changed_us (NULL: not wanted): when it was changed, 0: never. */
int fs_sidecar_text(struct fs *fs, const struct snap *snap, struct buf *out,
		    int64_t *ret_changed_us) MUST_CHECK;
enum snap_state fs_snap_state(struct fs *fs, const struct snap *s);
bool fs_sidecars_listed(const struct fs *fs, struct node dir);
bool fs_sidecars_shown(const struct fs *fs);
const struct fs_ghost_file *fs_ghost(const struct fs *fs, int64_t index); /* NULL: none */

/* ---- tree.c: what a name means in a directory ---- */
int fs_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret) MUST_CHECK;
/* The entry that the kernel is told; negative when -ENOENT may be cached. */
int fs_entry(struct fs *fs, struct node n, struct fuse_entry_param *e) MUST_CHECK;
int fs_day_exists(struct fs *fs, struct node dir, int32_t day)
	MUST_CHECK; /* in a directory of days: 0, -ENOENT */
int fs_parent(struct fs *fs, struct node n, struct node *ret) MUST_CHECK; /* of a directory */
/* What to answer when something is wrong with an inode that the kernel knows.  Gone is ESTALE: the kernel then looks the name up
 * anew and tells the caller the truth, even where it missed that the name went. */
static inline int fs_errno(int r)
{
	return r == -ENOENT ? ESTALE : -r;
}

/* ---- park.c: requests that wait for a worker ---- */
/* Exactly once per parked request, unless it was interrupted: replies to req. fd is the callee's to close (-1: none). */
typedef void parked_fn(struct fs *fs, fuse_req_t req, void *data, int err, int fd,
		       int64_t snapshot);
/* Both reply themselves when it cannot be parked. `data` is malloc'd and freed by the parked request. */
void fs_park_fetch(struct fs *fs, fuse_req_t req, int64_t snapshot, parked_fn *fn, void *data);
void fs_park_capture(struct fs *fs, fuse_req_t req, int64_t camera, parked_fn *fn, void *data);
void fs_park_freeze(struct fs *fs, fuse_req_t req, int64_t dataset, parked_fn *fn, void *data);
/* Answers all of them with ECANCELED, and waits for those that are being answered.  From then on none is parked. */
void parked_end(struct fs *fs);

/* ---- handle.c ---- */
enum handle_kind { HANDLE_SNAP, HANDLE_TEXT, HANDLE_FILE, HANDLE_UPLOAD, HANDLE_EDIT, HANDLE_DIR };
struct handle {
	enum handle_kind kind;
	int64_t snapshot;         /* SNAP */
	_Atomic int fd;           /* SNAP: -1 until its bytes are local; set once; FILE: always */
	_Atomic int error;        /* SNAP: of the last fetch that failed */
	_Atomic int64_t error_us; /* when it did; mono_us */
	struct buf text;          /* TEXT: rendered at open */
	struct upload_file *file; /* UPLOAD */
	struct edit *edit;        /* EDIT */
	bool writer;              /* EDIT */
	pthread_mutex_t lock;     /* DIR of upload/: guards seen; TEXT: held while text is sent */
	struct seen { /* names of the last reply by their offset: an entry may be removed while a reader goes on */
		int64_t id;
		char *name;
	} * seen;
	size_t n_seen;
	bool names_alone;    /* DIR: no attributes are wanted; set at opendir */
	uint64_t number;     /* as the kernel has it */
	struct handle *next; /* in its bucket; fs->handle_lock */
};
/* In the number of one whose text is in the memory of who gave it out. */
#define HANDLE_TEXT_LOST (1ULL << 63)
/* The numbers of the process whose turn it is begin here; bits 47 to 62 are the mark. */
#define HANDLES_OF(turn) ((uint64_t)((turn)&0x7fff) << 32)
struct handle *handle_new(struct fs *fs, enum handle_kind kind);
struct handle *handle_find(struct fs *fs, uint64_t number); /* NULL: another process gave it out */
/* From now on `h` is the one of that number; if somebody was faster, that one is returned and h is freed. */
struct handle *handle_renumber(struct fs *fs, struct handle *h, uint64_t number);
/* A SNAP, whose number remembers which bytes it was opened for. */
struct handle *handle_new_snap(struct fs *fs, const struct snap *s);
/* Is `fd`, which the snapshot `s` is read from now, what it was opened for?  Also when another process opened it. */
bool handle_is_for(const struct handle *h, const struct snap *s, int fd);
void handle_free(struct fs *fs, struct handle *h); /* and its upload file */
void handle_forget_names(struct handle *h);
void handles_end(struct fs *fs); /* those whose release will not come */
/* read.c: the handle of a request, opened again if another process gave it out; `flags` as in open(2), without O_TRUNC.  NULL: the
 * request is answered. */
struct handle *handle_of(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi,
			 int flags);

/* ---- notify.c: telling the kernel what changed ---- */
int notifier_new(struct fs *fs, struct notifier **ret) MUST_CHECK;
void notify_became_local(struct notifier *n,
			 int64_t snapshot); /* st_blocks and the state changed */
void notify_everything(struct notifier *n); /* nobody knows what the kernel was told */
/* Something of the fs's own: the attributes and text of a node, or a name in a directory. Drops the oldest of too many. */
void notify_node(struct notifier *n, struct node node);
void notify_name(struct notifier *n, struct node dir, const char *name);
void notifier_stop(struct notifier *n); /* its thread ends after the notification under way */
bool notifier_stopped(struct notifier *n);
struct notifier *notifier_free(struct notifier *n);

/* ---- the kernel's requests, by file ---- */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	       const char *new_name, unsigned flags);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
