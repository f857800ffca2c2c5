/* ingest_private.h - what the files of the ingest room share. */
#pragma once

#include <pthread.h>

#include "shutterfs/ingest.h"

#define LOG_ROOM "ingest"

enum {
	QUIET_US = 2000000,       /* a writer that closed may still set times, or go on */
	EMPTY_QUIET_US = 10000000 /* a file that is made first and filled later */
};
#define TEMPORARY_KEEP_US INT64_C(604800000000) /* a week: temporary names nobody came back for */
#define HELD_US INT64_C(86400000000)            /* a sidecar waits a day for its picture */

/* An upload entry that somebody has open, or that is being looked at. One per id, in ingest.table. */
struct entry {
	int64_t id;
	unsigned users, writers; /* ingest.lock */
	bool arriving;           /* ingest.lock; it is in line to be looked at */
	struct entry *next;      /* ingest.lock */
	bool is_dir;             /* never changes */
	/* lock: shared by writers, exclusive while the bytes are hashed and handed over or attributes are set, so nothing
	 * slips in between. */
	pthread_rwlock_t lock;
	/* <state>/upload/<id>, read and write; -1: registered and not rewritten. Set once; replaced by dup3. */
	_Atomic int fd;
	_Atomic bool
		registered; /* the bytes behind fd, if any, are the spool's: never write them */
	_Atomic bool dirty; /* changed since it was last looked at */
	_Atomic bool fresh; /* its row is as one that nobody has looked at: a start looks at it */
	_Atomic int64_t snapshot; /* it was last registered as; 0: never */
	_Atomic int
		owed; /* why it could not be registered when it was last looked at, though it is good; 0 */
	_Atomic bool
		unlinked; /* its row is gone; `last`, written before the flag, has what it was */
	struct upload_row last; /* lock, once it is unlinked */
};

struct upload_file {
	struct ingest *in;
	struct entry *entry;
	bool writer;
};

struct arrival; /* arrive.c */
struct capture; /* capture.c: one per configured camera */

/* Bytes that may go once the rows that say so are on disk. */
struct unneeded {
	int64_t id; /* of an entry; 0: a spooled blob */
	struct sha256 sha;
	bool keep;
};

enum { TABLE = 256, ADOPTING = 16 };
struct ingest {
	const struct config *conf;
	struct catalog *cat;
	struct cache *cache;
	const struct target *target;
	size_t n_targets;
	int dir;              /* <state>/upload */
	pthread_mutex_t lock; /* guards table, arrivals, unneeded and due */
	struct entry *table[TABLE];
	struct unneeded *unneeded; /* owned; lock */
	/* Held while rows are brought to disk and what they made needless goes: whoever comes meanwhile wants to see that done. */
	pthread_mutex_t durable;
	size_t n_unneeded, cap_unneeded;
	due_fn *due;
	void *due_user;
	/* By SHA-256. Shared: from the link into the spool to the commit; exclusive: while a blob is judged and let go. */
	pthread_rwlock_t adopting[ADOPTING];
	struct arrival *arrivals, **arrivals_end; /* lock; the oldest first */
	uint64_t last_arrival;                    /* lock */
	int64_t busy_from_us, busy_us; /* lock; the run of closes, and its last; mono_us */
	pthread_cond_t arrived;        /* one of them is done */
	struct pool *takers;           /* NULL: a closer looks himself; set before others */
	struct capture *capture;
	size_t n_captures;
	struct pool *pool;
	bool resumes;                  /* set before ingest_recover: others may have entries open */
	const struct annex_ops *annex; /* lock */
	void *annex_user;              /* lock */
	_Atomic bool stopping;
	_Atomic bool active; /* something was accepted since the last durability tick */
	_Atomic bool
		missed; /* a row could not be put on the schedule: all rows are to be looked at again */
	_Atomic int64_t complained_us; /* last time that was logged */
};

/* ---- table.c ---- */
/* Opens <state>/upload/<id> where there is one.  known: its row, if it was made just now; or NULL. */
int entry_get(struct ingest *in, int64_t id, const struct upload_row *known, bool writer,
	      struct entry **ret) MUST_CHECK;
void entry_put(struct ingest *in, struct entry *e, bool writer);
struct entry *entry_find(struct ingest *in,
			 int64_t id); /* only if somebody has it; entry_put after */
void upload_file_name(int64_t id, char out[24]);
/* Size and mtime of bytes that are not registered, over the row; a row that was registered since it was read is read again. Not from
 * a catalog callback, which would see the old row. */
void entry_live(struct ingest *in, const struct entry *e, struct upload_row *row);
bool entry_has_writers(struct ingest *in, const struct entry *e);

/* ---- arrive.c ---- */
void arrive(struct ingest *in, struct entry *e); /* it was closed: it is looked at soon */
bool is_arriving(struct ingest *in, int64_t id); /* and has not been, or is just now */

/* ---- consider.c ---- */
/* Looks at an entry: registers it, takes it in as a sidecar, keeps, rejects, or says when to look again. `final`: it has been quiet. */
int consider(struct ingest *in, struct entry *e, bool final); /* < 0: it could not be looked at */
int consider_id(struct ingest *in, int64_t id, bool final);
/* Puts it on the schedule, under its entry's lock: a row that was read without it may be registered by now, and must stay so. */
void look_later(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us);
/* The same, with what user.shutterfs.error is to say meanwhile (NULL: nothing). */
int schedule(struct ingest *in, const struct upload_row *row, enum upload_state state,
	     int64_t after_us, const char *error);
/* The same by who has not the lock; a registered one is left alone. */
void reschedule(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us);
/* The same after a failure of ours, which is logged once and shown as its error meanwhile. */
void try_later(struct ingest *in, const struct upload_row *row, int err);
/* All rows, as after a crash, since one could not be put there. */
void look_at_all_later(struct ingest *in);
void set_state(struct ingest *in, const struct upload_row *row, enum upload_state state,
	       int64_t snapshot, const char *error);
bool path_is_temporary(const char *path);
const char *group_of(const struct ingest *in, const char *camera);
/* A camera's name, and what was received as its title, from the first part of a path.  `title` is returned; NULL: it is the name, or
 * cannot be kept. */
const char *camera_of(const char *path, char title[NAME_LIMIT + 1], char name[CAMERA_MAX + 1]);

struct registration;
/* The bytes are whole and hashed: into the spool, into the catalog, out of upload/. */
int hand_over(struct ingest *in, struct entry *e, const struct upload_row *row,
	      struct registration *reg) MUST_CHECK;
int upload_origin(const char *path, struct buf *out) MUST_CHECK;
bool is_bad(int r); /* the content's fault, not ours */

/* ---- annex.c ---- */
/* As consider(), under the entry's lock. */
void consider_annexed(struct ingest *in, struct entry *e, const struct upload_row *row, bool final);
void tell_registered(struct ingest *in, int64_t entry, int64_t snapshot);
int look_at_annexed(struct ingest *in, const struct upload_row *row) MUST_CHECK; /* it is due */

/* ---- when.c ---- */
struct when {
	int64_t taken_us;
	int zone_min;
	enum time_source source;
	bool sure; /* nothing that may still come would change it */
};
struct jpeg_info;
void when_taken(const struct sidecar *side, const struct jpeg_info *jpeg, const char *path,
		const struct upload_row *row, struct when *ret);

/* ---- beside.c: entries that belong to each other ---- */
struct companions { /* of one picture, best first */
	struct {
		struct upload_row row;
		int rank; /* of sidecar_rank */
	} item[8];
	size_t n;
};
int sidecars_of(struct ingest *in, const struct upload_row *picture, struct companions *ret)
	MUST_CHECK;
/* The registered picture of a sidecar; -ENOENT: none (yet). */
int picture_beside(struct ingest *in, const struct upload_row *side, struct upload_row *ret)
	MUST_CHECK;
int read_entry(struct ingest *in, int64_t id, size_t max, struct buf *ret) MUST_CHECK;
/* A whole file of that name in `dir` or above it, the nearest one; -ENOENT. */
int find_above(struct ingest *in, int64_t dir, const char *name, struct upload_row *ret) MUST_CHECK;
struct classes;
int classes_above(struct ingest *in, int64_t dir, struct classes *ret) MUST_CHECK; /* -ENOENT */
bool is_class_list(const char *name);

/* ---- pair.c ---- */
bool has_suffix(const char *name, const char *suffix); /* any case */
bool is_sidecar_name(const char *name);
/* What the whole sidecars lying beside a picture say together; -ENOENT: none. A broken one is judged by itself, when its time has
 * come. ret_list: all of them, set in any case. */
int sidecar_beside(struct ingest *in, const struct upload_row *picture, unsigned width,
		   unsigned height, struct sidecar *ret, struct companions *ret_list) MUST_CHECK;
void consider_sidecar(struct ingest *in, struct entry *e, const struct upload_row *row, bool final);

/* ---- damage.c ---- */
/* A blob of the spool after a start; where a power cut took its bytes, what was registered with them is taken back. */
int look_at_spooled(struct ingest *in, const struct sha256 *sha) MUST_CHECK;

/* ---- session.c ---- */
struct session { /* what is added to each document; empty: nothing */
	struct buf session, hardware;
};
int session_load(struct ingest *in, int64_t dir, struct session *ret) MUST_CHECK;
void session_done(struct session *s);
/* Appends the document with what it lacks. -EBADMSG with why */
int session_add(const struct session *s, const char *document, size_t len, struct buf *out,
		char *why) MUST_CHECK;
int add_session(struct ingest *in, int64_t dir, struct sidecar *s, char *why)
	MUST_CHECK; /* to all its documents */
bool is_template(const char *name);
void consider_template(struct ingest *in, struct entry *e, const struct upload_row *row,
		       bool final);
void consider_class_list(struct ingest *in, const struct upload_row *row);

/* ---- batch.c ---- */
bool is_batch_name(const char *name);
void consider_batch(struct ingest *in, struct entry *e, const struct upload_row *row, bool final);
/* For records that waited for a picture of that name, img_id or stem. */
void batch_picture_came(struct ingest *in, const struct upload_row *picture, int64_t snapshot);

/* ---- capture.c ---- */
int captures_new(struct ingest *in, const struct camera_slot *camera, size_t n) MUST_CHECK;
void captures_free(struct ingest *in);

/* ---- tree.c, ingest.c ---- */
/* The row is gone, so its bytes go: after it on the disk, too, and with the last handle. */
void forget_bytes(struct ingest *in, const struct upload_row *row);
/* <state>/upload/<id> goes with the next ingest_fsync_all: a power cut could take back the row that says it is not needed. */
void unlink_when_durable(struct ingest *in, int64_t id);
pthread_rwlock_t *adopting_of(struct ingest *in, const struct sha256 *sha);
