/* ingest.h - how pictures come in: the upload tree (write, rename, close -> validate -> spool -> one transaction), sidecars that
 * belong to them, and captures from cameras.
 *
 * An upload entry is a row of the catalog and, until registered, a file <state>/upload/<id>.  Names and attributes live in the row,
 * size and mtime of an unregistered file in the file.  Candidates are looked at when a writer closes or a rename gives a final name:
 *   - temporary names are kept and never registered;
 *   - a picture whose time is known (sidecar, EXIF, name, or an mtime that was set) is registered before close or rename returns, or,
 *     when closes are deferred (ingest_defer), before ingest_settled does: its row and bytes are what survives a crash till then;
 *   - else 2 s after the last change (a late utimens may come), by ingest_run_due;
 *   - what is not a whole JPEG waits the same 2 s (a writer may go on) and is then rejected, staying where it is;
 *   - .json is a sidecar: taken in when its picture is registered, held for it otherwise.  Any other file is kept, and rejected as
 *     "not a JPEG picture" unless its name is that of a known bystander (README, Thumbs.db, *.txt, *.xmp, ...).
 * Registered bytes move to the spool (link, transaction, unlink once that is on disk).  Rewriting a registered entry gives a new snapshot; the old one stays.
 * A write handle is a struct upload_file; its entry may be renamed or unlinked while open.  Thread-safe: one mutex over the table of
 * open files, never held across I/O but an open, and one lock per file, which alone is held while that file is hashed.  Calls return
 * quickly (local disk and catalog only). */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/cache.h"
#include "shutterfs/catalog.h"
#include "shutterfs/config.h"
#include "shutterfs/source.h"

struct ingest;
struct camera_slot { /* an open source and its id in the catalog; borrowed for the ingest's life */
	struct source *source;
	int64_t id;
};
int ingest_new(const struct config *conf, struct catalog *cat, struct cache *cache,
	       const struct target *target, size_t n_targets, const struct camera_slot *camera,
	       size_t n_cameras, struct ingest **ret) MUST_CHECK;
struct ingest *ingest_free(struct ingest *in); /* waits for captures under way (cancelled) */
/* Looks again at what a crash left unfinished, removes bytes no row knows; in the background after start, in bounded steps. */
int ingest_recover(struct ingest *in, _Atomic bool *cancel) MUST_CHECK;
/* Looks at entries whose time has come; *ret_next_us: when to call again (INT64_MAX: when told by the due callback). */
int ingest_run_due(struct ingest *in, int64_t now_us, int64_t *ret_next_us) MUST_CHECK;
typedef void due_fn(void *user, int64_t due_us);
void ingest_on_due(struct ingest *in, due_fn *fn,
		   void *user); /* something is due at due_us; called without locks */

/* Lets go of a blob that nobody needs, and of a spooled one that every store has: into the cache (keep), or away. Else does nothing. */
int ingest_settle(struct ingest *in, const struct sha256 *sha, bool keep) MUST_CHECK;

/* The same after the rows of now are on disk: a power cut that took back what the stores have confirmed must find the bytes here. */
void ingest_settle_when_durable(struct ingest *in, const struct sha256 *sha, bool keep);

/* Bytes that are to be sent again and lie in the cache: back into the spool, where they are not evicted. */
int ingest_keep(struct ingest *in, const struct sha256 *sha) MUST_CHECK;

/* Something was accepted since the last call, and may not be on disk yet (the durability tick asks). */
bool ingest_take_activity(struct ingest *in);

/* ---- the tree; parent 0 is upload/ itself.  Rows come with live size and times ---- */
struct upload_file;
int ingest_entry(struct ingest *in, int64_t id, struct upload_row *ret)
	MUST_CHECK; /* also of unlinked entries that are open: these have no name */
int ingest_lookup(struct ingest *in, int64_t parent, const char *name, struct upload_row *ret)
	MUST_CHECK;
int ingest_list(struct ingest *in, int64_t parent, const char *after, unsigned limit, upload_fn *fn,
		void *user) MUST_CHECK;
/* mkdir below upload/ itself registers the camera. */
int ingest_mkdir(struct ingest *in, int64_t parent, const char *name, mode_t mode, uid_t uid,
		 gid_t gid, struct upload_row *ret) MUST_CHECK;
int ingest_create(struct ingest *in, int64_t parent, const char *name, int flags, mode_t mode,
		  uid_t uid, gid_t gid, struct upload_row *ret, struct upload_file **ret_file)
	MUST_CHECK; /* O_EXCL, O_TRUNC obeyed */
/* For reading or writing.  A registered picture opened for reading: -ENODATA, read its snapshot instead. */
int ingest_open(struct ingest *in, int64_t id, int flags, struct upload_file **ret) MUST_CHECK;
/* It was opened in a process that is gone: what was written there is looked at when this one is closed. */
void ingest_resume(struct upload_file *f);
/* Writers may still have open what such a process left unfinished: ingest_recover() gives them time to go on. */
void ingest_resumes(struct ingest *in);
int64_t
ingest_snapshot(struct upload_file *f); /* the snapshot its entry was last registered as; 0: none */
int ingest_fd(
	struct upload_file *
		f); /* borrowed; -1 until ingest_fill for a registered entry that was opened for writing without O_TRUNC */
/* Writes all of it. -ENODATA: the snapshot's bytes must be had first (then ingest_fill with a descriptor of them, and again). */
int ingest_write(struct upload_file *f, const void *data, size_t size, off_t off) MUST_CHECK;
int ingest_fill(struct upload_file *f, int bytes_fd)
	MUST_CHECK; /* copies; the entry is unregistered from then on; done already: 0 */
/* From now on what is closed is looked at a moment later, by other threads: close only waits while too many are in line.  Call once,
 * before anything is open; not with durability = close, where each close waits all the same. */
int ingest_defer(struct ingest *in) MUST_CHECK;
/* Waits for those that were closed before: the entry `id`, or all of them (0).  True: there were none.  Whoever shows what became of
 * them, or changes what they may become, calls this first; not from a callback. */
bool ingest_settled(struct ingest *in, int64_t id);
/* Uploads are closed one after the other just now, for 0.2 s at most: what is not urgent leaves them the machine, and asks again
 * after INGEST_GAP_US. */
#define INGEST_GAP_US INT64_C(100000)
bool ingest_is_busy(struct ingest *in);
int ingest_flush(struct upload_file *f)
	MUST_CHECK; /* every close(2): never fails for bad content */
int ingest_fsync(struct upload_file *f) MUST_CHECK; /* bytes and row survive power loss */
void ingest_release(struct upload_file *f);         /* the last close */
/* file NULL: by id. -ENODATA as ingest_write. */
int ingest_truncate(struct ingest *in, int64_t id, struct upload_file *f, uint64_t size) MUST_CHECK;
int ingest_set(struct ingest *in, int64_t id, const struct upload_row *row,
	       unsigned mask /* UPLOAD_SET_MODE|OWNER|MTIME */) MUST_CHECK;
int ingest_rename(struct ingest *in, int64_t parent, const char *name, int64_t new_parent,
		  const char *new_name, unsigned flags) MUST_CHECK;
int ingest_unlink(struct ingest *in, int64_t parent, const char *name, bool directory) MUST_CHECK;
/* fsyncdir and the durability tick: spool and rows; then the bytes that those rows have made needless go. */
int ingest_fsync_all(struct ingest *in) MUST_CHECK;

/* ---- annexes: what lies beside the entries of a view for a while, under a negative parent of the caller's choice ----
 * All of the tree's calls work there, but nothing is listed for long: files of editors and names of pictures go after an hour.  A
 * picture that was written there whole is registered, or found by its hash and adopted; then its name is one for that snapshot. */
#define ANNEX_STAYS_US INT64_C(3600000000)
struct annex_ops { /* called without locks of the table; may write to the catalog */
	/* What a new picture of that name is to have: camera, and labels or a star. -ENOENT: the annex is no place for pictures
	 * (any more). */
	int (*describe)(void *user, int64_t annex, const char *name,
			char ret_camera[CAMERA_MAX + 1], struct sidecar *ret);
	/* A picture that was there before was written again: it gets the same. */
	int (*adopt)(void *user, int64_t annex, int64_t snapshot);
	/* "labels/object/car", for people; cut to what fits. */
	void (*where)(void *user, int64_t annex, char *out, size_t size);
	/* Any upload entry was registered: what a client has set on it is the picture's. */
	void (*registered)(void *user, int64_t entry, int64_t snapshot);
};
void ingest_set_annex(struct ingest *in, const struct annex_ops *ops,
		      void *user); /* both live as long as the ingest */
/* A name for a registered snapshot, or for a directory (snapshot NULL).  It replaces what stands there. */
int ingest_annex_name(struct ingest *in, int64_t annex, const char *name, const struct snap *s)
	MUST_CHECK;

/* ---- captures: one at a time per camera; who comes while one is under way, or within min_interval after it, gets that one ---- */
/* Called exactly once, without locks, from a worker or before ingest_capture returns: 0 and the registered snapshot, or -errno and one
 * sentence. */
typedef void capture_fn(void *user, int err, int64_t snapshot, const char *why);
bool ingest_can_capture(struct ingest *in, int64_t camera);
int ingest_capture(struct ingest *in, int64_t camera, capture_fn *fn, void *user,
		   uint64_t *ret_ticket) MUST_CHECK; /* -ENODEV: not configured */
bool ingest_capture_cancel(struct ingest *in,
			   uint64_t ticket); /* true: fn will not be called; the capture goes on */
