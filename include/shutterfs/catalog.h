/* catalog.h - what there is: cameras, snapshots, labels, uploads, objects in stores (the ledger) and the outbox, in SQLite.
 *
 * The only user of SQLite.  <state>/catalog.db, WAL, migrations by number, bound parameters only.  One caller at a time commits what
 * all bring in groups (each in a savepoint of its own: one caller's error undoes nobody else's work); a reader connection
 * per thread, made on first use and closed with its thread.  Reads never wait for the writer, the network or a lock held across disk sync.
 * Every write returns once committed: it then survives the process; with `durable`, or at the latest a second later
 * (catalog_sync, called by sync's timer after cache_sync_spool), also power loss.
 * Rows of snapshots are never deleted (`gone` hides them), so an id names the same snapshot for ever and can serve as inode and as
 * directory offset.  Callbacks run without locks; a non-zero return ends the loop and is returned.  Nothing loads a whole table. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/model.h"

struct catalog;
int catalog_open(const char *state_dir, struct catalog **ret) MUST_CHECK;
struct catalog *catalog_close(struct catalog *c); /* after all users' threads ended */
int catalog_sync(struct catalog *c)
	MUST_CHECK; /* what was committed so far survives power loss now */
int64_t catalog_changed_us(
	struct catalog *c); /* time of the last change of any view; at least the time of opening */

/* ---- the feed: called after each commit, by whoever made it, with everything that commit changed ---- */
enum change_what {
	CHANGE_ADDED, /* snapshot now in cameras/ and dates/ */
	CHANGE_GONE,  /* ... no longer */
	CHANGE_ATTR,  /* its link count, state, stars or sidecar changed */
	CHANGE_BYTES, /* its content changed in the store: size, sha256 */
	CHANGE_LABEL, /* it entered or left labels/.../`label`/day (label > 0) or starred/day (label == 0) */
	CHANGE_CAMERA,  /* a camera appeared */
	CHANGE_UPLOAD,  /* upload entry `snapshot` changed by itself (registered, rejected) */
	CHANGE_NOTE,    /* note `snapshot` changed, also by what a store showed */
	CHANGE_DATASET, /* dataset `snapshot` appeared, went or was frozen */
	CHANGE_LABELS, /* `name`, of label `label`, came to or left the listing of kind `kind`; kind 0: `label` is a kind, in labels/ */
	CHANGE_QUERY,  /* query `snapshot`, `name`: it was made, written, renamed or removed */
};
struct change {
	enum change_what what;
	int64_t snapshot, camera, label, kind;
	int32_t day;
	union {
		char stem[STEM_MAX + 1];
		char name[LABEL_MAX + 1]; /* CHANGE_LABELS, CHANGE_QUERY */
	};
};
typedef void change_fn(void *user, const struct change *change,
		       size_t n); /* must not write to the catalog nor block */
void catalog_on_change(struct catalog *c, change_fn *fn,
		       void *user); /* NULL fn: none; returns after a call under way */

/* ---- snapshots and views ---- */
struct snap { /* one row, no heap: what getattr and readdirplus need */
	int64_t id, camera, taken_us, registered_us;
	int32_t day; /* since 1970-01-01, of its img_id */
	int zone_min;
	enum time_source time_source;
	uint64_t size;
	unsigned width, height, links /* 2 + labels + starred */, queued, replicas;
	int64_t changed_us; /* what its sidecar says, last; 0: never since it was registered */
	bool starred, has_sha;
	struct sha256 sha;
	char stem[STEM_MAX + 1];
};
enum view_kind { VIEW_ALL, VIEW_CAMERA, VIEW_LABEL, VIEW_STARRED };
struct view {
	enum view_kind kind;
	int64_t id; /* VIEW_CAMERA: camera, VIEW_LABEL: label */
};
int catalog_snap(struct catalog *c, int64_t id, struct snap *ret)
	MUST_CHECK; /* -ENOENT: none, or gone */
int catalog_find(struct catalog *c, struct view v, int32_t day, const char *stem, struct snap *ret)
	MUST_CHECK;
/* One with these bytes: rather that named `stem`, else the oldest. -ENOENT */
int catalog_find_sha(struct catalog *c, const struct sha256 *sha, const char *stem,
		     struct snap *ret) MUST_CHECK;
int catalog_newest(struct catalog *c, int64_t camera, struct snap *ret) MUST_CHECK;
/* Sorted by stem, strictly after snapshot `after` (0: from the start; any snapshot of that day, also one that is gone or not in the
 * view; -ENOENT: there never was one), at most `limit` rows, from one range scan. */
typedef int snap_fn(void *user, const struct snap *s);
int catalog_list(struct catalog *c, struct view v, int32_t day, int64_t after, unsigned limit,
		 snap_fn *fn, void *user) MUST_CHECK;
/* The same towards the start of the day: strictly before snapshot `before`, the last one first. */
int catalog_list_back(struct catalog *c, struct view v, int32_t day, int64_t before, unsigned limit,
		      snap_fn *fn, void *user) MUST_CHECK;
/* The first day after `after` (INT32_MIN: the first of all) that has a snapshot in the view; one index seek. -ENOENT: no more. */
int catalog_next_day(struct catalog *c, struct view v, int32_t after, int32_t *ret) MUST_CHECK;
int catalog_sidecar(struct catalog *c, int64_t id, struct sidecar *ret)
	MUST_CHECK; /* state: QUEUED, SYNCED (has replicas) or LOCAL; the cache is not asked */
/* Where the bytes may be had: replicas with store id, key, etag, size. At most 16. */
struct place {
	int64_t store;
	uint64_t size;
	char key[KEY_MAX + 1], etag[160];
};
int catalog_places(struct catalog *c, int64_t id, struct place *ret, size_t max, size_t *ret_n)
	MUST_CHECK;

/* The visible one that a name means: an img_id, a stem, or that of a file in upload/; a directory before it and a suffix behind it
 * are passed over.  camera NULL: any. -ENOENT; -ENOTUNIQ: several cameras have such a one. */
int catalog_named(struct catalog *c, const char *name, const char *camera, struct snap *ret)
	MUST_CHECK;

struct camera_row {
	int64_t id;
	char name[CAMERA_MAX + 1], title[NAME_LIMIT + 1], group[NAME_LIMIT + 1];
	int64_t last_capture_us; /* 0: never */
	char error[256];         /* of the last capture; "" */
	int64_t snapshots;       /* filled by catalog_camera_next only when asked */
};
int catalog_camera(struct catalog *c, int64_t id, struct camera_row *ret) MUST_CHECK;
int catalog_camera_find(struct catalog *c, const char *name, struct camera_row *ret) MUST_CHECK;
int catalog_camera_next(struct catalog *c, const char *after, bool count, struct camera_row *ret)
	MUST_CHECK; /* by name; "" first */
/* Creates or updates (NULL: keep); at most 32,000 cameras (-ENOSPC), 2,000 of them not by what stores list. */
int catalog_camera_ensure(struct catalog *c, const char *name, const char *title, const char *group,
			  int64_t *ret_id) MUST_CHECK;
/* captured_us 0: nothing came, the time of the last capture stays; error NULL: none. */
int catalog_camera_result(struct catalog *c, int64_t id, int64_t captured_us, const char *error)
	MUST_CHECK;

/* Labels as directories: kinds and their values.  Listed (by name, "" first; -ENOENT: no more): those with a visible snapshot, or
 * made within LABEL_STAYS_US.  Found also: those that lost their last one within that time, so that rm -r ends well. */
#define LABEL_STAYS_US INT64_C(3600000000)
struct label_row {
	int64_t id;
	int64_t kind; /* 0 when the row is a kind itself */
	char name[LABEL_MAX + 1];
};
int catalog_kind_next(struct catalog *c, const char *after, struct label_row *ret) MUST_CHECK;
int catalog_kind_find(struct catalog *c, const char *name, struct label_row *ret) MUST_CHECK;
int catalog_label_next(struct catalog *c, int64_t kind, const char *after, struct label_row *ret)
	MUST_CHECK;
int catalog_label_find(struct catalog *c, int64_t kind, const char *name, struct label_row *ret)
	MUST_CHECK;
int catalog_label(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret) MUST_CHECK;
int catalog_label_name(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret)
	MUST_CHECK; /* also when nothing visible has it (any more) */
/* Labels of one snapshot, each (label id, day) once: what its other names are. */
typedef int label_fn(void *user, int64_t label);
int catalog_labels_of(struct catalog *c, int64_t id, label_fn *fn, void *user) MUST_CHECK;

struct target { /* a store that is to get pictures, and the layout that gives their keys */
	int64_t store;
	const char *layout;
};

/* ---- editing: one picture, one transaction; the feed and the sidecar objects of the stores that have it (see catalog_set_stores)
 * follow.  by: who does it, kept in its history (NULL: ""); -ENOENT: no such snapshot, or it is gone; -E2BIG: its sidecar would be
 * larger than SIDECAR_BYTES. ---- */
/* The stores of the config: whose sidecar objects follow edits.  Borrowed until catalog_close; before other threads. */
void catalog_set_stores(struct catalog *c, const struct target *target, size_t n);
/* Was anything edited since the last call?  For sync, which then sends, and makes it durable. */
bool catalog_take_edits(struct catalog *c);
/* l->by: who.  -EEXIST: it has a label of that name, and l brings no box, or that very box; -EINVAL; -E2BIG beyond 10,000. */
int catalog_label_add(struct catalog *c, int64_t id, const struct label *l) MUST_CHECK;
int catalog_label_tag(struct catalog *c, int64_t id, int64_t label, const char *by)
	MUST_CHECK; /* the same, by id, without score and box */
int catalog_label_remove(struct catalog *c, int64_t id, int64_t label, const char *by)
	MUST_CHECK; /* all of that name; -ENOENT also: it has none */
/* Relabels: boxes stay, scores do not; what it already has of `to` stays as it is. -ENOENT also: it has none of `from`. */
int catalog_label_move(struct catalog *c, int64_t id, int64_t from, int64_t to, const char *by)
	MUST_CHECK;
/* Its labels are to be these names; those it has stay as they are. */
int catalog_tags(struct catalog *c, int64_t id, const struct labels *want, const char *by)
	MUST_CHECK;
int catalog_star(struct catalog *c, int64_t id, bool starred, const char *by) MUST_CHECK;
int catalog_comment(struct catalog *c, int64_t id, const char *text, const char *by)
	MUST_CHECK; /* NULL, "": none; -EINVAL: not UTF-8, longer than COMMENT_MAX */
int catalog_rating(struct catalog *c, int64_t id, unsigned rating, const char *by)
	MUST_CHECK; /* 0: none; -EINVAL beyond RATING_MAX */
/* An edited sidecar: when it is whole (see model.h), labels, documents, star, comment, rating, event, extra and unknown keys become
 * as it says; else what it has replaces, and what it lacks stays.  Facts are not editable and are passed over.
 * -EEXIST: it has a document twice; -EINVAL: texts or labels that cannot be kept; -E2BIG: too many, or all together.  Nothing is changed then. */
int catalog_edit_sidecar(struct catalog *c, int64_t id, const struct sidecar *s, const char *by)
	MUST_CHECK;

/* Directories of labels.  -EINVAL: not a name that label_name_from leaves as it is. */
int catalog_kind_make(struct catalog *c, const char *name, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST */
int catalog_label_make(struct catalog *c, int64_t kind, const char *name, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST; -ENOENT: no such kind */
int catalog_label_unmake(struct catalog *c, int64_t id, bool is_kind)
	MUST_CHECK; /* -ENOTEMPTY; -ENOENT */
/* A value (also into another kind) or a kind (`kind` is 0) for all its pictures at once; their sidecars follow in steps
 * (catalog_relabel_step).  What has that name and is empty gives it up; -ENOTEMPTY: it is not; -ENOENT. */
int catalog_label_rename(struct catalog *c, int64_t id, bool is_kind, int64_t kind,
			 const char *name, const char *by) MUST_CHECK;
/* The next pictures of a renamed label, at most `max`: their sidecars say the new name now. *ret_left: there are more. */
int catalog_relabel_step(struct catalog *c, unsigned max, bool *ret_left) MUST_CHECK;
/* Empty labels whose time (LABEL_STAYS_US) is over at now_us are there no longer. */
int catalog_labels_expire(struct catalog *c, int64_t now_us) MUST_CHECK;

/* Label documents (codec.h): each picture's own, in the order in which they came. */
struct document {
	int64_t id, snapshot;
	char fp1[33];
	const char *created_by, *body; /* borrowed; created_by "": not said */
};
typedef int document_fn(void *user, const struct document *d);
int catalog_documents(struct catalog *c, int64_t snapshot, document_fn *fn, void *user) MUST_CHECK;
int catalog_documents_by_fp1(struct catalog *c, const char *fp1, document_fn *fn, void *user)
	MUST_CHECK; /* of visible snapshots */
/* -EEXIST: a duplicate of one it has; -EINVAL: no JSON object; -EFBIG: all together beyond DOCUMENTS_BYTES. ret_id may be NULL. */
int catalog_document_add(struct catalog *c, int64_t snapshot, const char *body, const char *by,
			 int64_t *ret_id) MUST_CHECK;
int catalog_document_remove(struct catalog *c, int64_t id, const char *by) MUST_CHECK;

/* What was added, replaced or removed by whom, newest first; the last HISTORY_MAX of each picture. */
#define HISTORY_MAX 1000
struct history {
	int64_t at_us;
	/* "label added" (was: it) "label removed" "label renamed" "document added" (was: its fingerprint) "document removed"
	 * "starred" "comment" "rating" "event" "origin" "extra" "keys" "trashed"; was: JSON, NULL: nothing. Borrowed. */
	const char *who, *what, *was;
};
typedef int history_fn(void *user, const struct history *h);
int catalog_history(struct catalog *c, int64_t snapshot, history_fn *fn, void *user) MUST_CHECK;
/* As the "history" of a sidecar object: the newest, as many as `max` bytes hold; NULL in *ret (owned by the caller): none. */
int catalog_history_json(struct catalog *c, int64_t snapshot, size_t max, char **ret) MUST_CHECK;

/* ---- for queries ---- */
/* A snapshot's labels as directories are named, in the order in which they came; by "": not said. */
typedef int label_name_fn(void *user, const char *kind, const char *value, const char *by);
int catalog_label_names(struct catalog *c, int64_t id, label_name_fn *fn, void *user) MUST_CHECK;
struct picture_text {
	char *comment;   /* owned; NULL: none */
	unsigned rating; /* 0: none */
};
int catalog_text(struct catalog *c, int64_t id, struct picture_text *ret) MUST_CHECK;
int catalog_day_of(struct catalog *c, int64_t id, int32_t *ret) MUST_CHECK; /* also of a gone one */
/* How many snapshots a view has; not counted beyond `limit`. */
int catalog_view_size(struct catalog *c, struct view v, int64_t limit, int64_t *ret) MUST_CHECK;

/* Queries that have a name.  Their text is whatever was written, understood or not. */
struct query_row {
	int64_t id /* also of its inode: never used again */, changed_us;
	bool written; /* there is a text */
	size_t len;   /* of it */
	char name[LABEL_MAX + 1];
};
int catalog_query(struct catalog *c, int64_t id, struct query_row *ret) MUST_CHECK; /* -ENOENT */
int catalog_query_find(struct catalog *c, const char *name, struct query_row *ret) MUST_CHECK;
int catalog_query_next(struct catalog *c, const char *after, struct query_row *ret)
	MUST_CHECK; /* by name, "" first; -ENOENT: no more */
int catalog_query_name(struct catalog *c, int64_t id, char out[LABEL_MAX + 1])
	MUST_CHECK; /* also the one that it had when it was removed */
int catalog_query_text(struct catalog *c, int64_t id, struct buf *out)
	MUST_CHECK; /* appends; -ENOENT: it has none */
int catalog_query_make(struct catalog *c, const char *name, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST; -EINVAL: no file name of at most LABEL_MAX bytes; -ENOSPC beyond 10,000 */
int catalog_query_write(struct catalog *c, int64_t id, const char *text, size_t len)
	MUST_CHECK; /* NULL: none any more; -EFBIG beyond 1 MiB */
/* What has that name and no text gives it up, if `replace`: else -EEXIST, or -ENOTEMPTY. */
int catalog_query_rename(struct catalog *c, int64_t id, const char *name, bool replace) MUST_CHECK;
int catalog_query_remove(struct catalog *c, int64_t id) MUST_CHECK;

/* ---- registering ---- */
struct registration {
	const char *camera, *title, *group; /* camera_name_ok; title, group may be NULL */
	int64_t taken_us;
	int zone_min;
	enum time_source time_source;
	uint64_t size;
	struct sha256 sha;
	unsigned width, height;
	const struct sidecar *sidecar; /* labels, documents, star...; NULL: none */
	const char *origin;            /* JSON object; NULL: none */
	int64_t upload; /* the upload entry that brought it: becomes registered in the same transaction; 0: none */
	const struct upload_row *
		written; /* what stat says of that entry from now on: its mtime_ns, mtime_set; NULL: as the row has it */
	bool dedupe; /* same camera and sha256: the existing snapshot (uploads); else always a new one (captures) */
	const struct target *target;
	size_t n_targets;
	bool durable;
};
/* Snapshot, labels, outbox rows and the upload entry's state in one transaction. *ret_new: it appeared in the views (new, or hidden
 * until now); else it was there.  Then too a target that lacks it gets it: catalog_sha_needed tells whether to keep the bytes.
 * -EINVAL: a name, time or text that cannot be; -EEXIST, -E2BIG: its sidecar, as for catalog_edit_sidecar; -ENOENT: the upload entry was removed meanwhile. */
int catalog_register(struct catalog *c, const struct registration *r, int64_t *ret_id,
		     bool *ret_new) MUST_CHECK;
/* Takes an uploaded sidecar in for a registered snapshot: what it has replaces, what it lacks stays.  -EEXIST -EINVAL -E2BIG as
 * catalog_edit_sidecar. */
int catalog_merge_sidecar(struct catalog *c, int64_t id, const struct sidecar *s) MUST_CHECK;
/* After a whole, verified fetch of bytes whose hash was unknown.  -ESTALE: a scan has met another object there since `from` was
 * read, and nothing is learnt. */
int catalog_set_content(struct catalog *c, int64_t id, const struct place *from,
			const struct sha256 *sha, unsigned width, unsigned height) MUST_CHECK;

/* ---- the upload tree: rows are the truth for names and attributes; unregistered bytes are <state>/upload/<id> ----
 * Names are the bytes that came; 32 directories deep at most (-ENAMETOOLONG).  ctime moves by itself with mode, owner, times, size,
 * name and xattrs, not with state, snapshot or due. */
enum upload_state {
	UPLOAD_OPEN /* being written, or temporary name */,
	UPLOAD_WAITING /* due_us says when to look */,
	UPLOAD_REGISTERED,
	UPLOAD_REJECTED,
	UPLOAD_HELD /* sidecar without its picture yet */,
	UPLOAD_KEPT /* neither: kept as it is */
};
struct upload_row {
	int64_t id, parent; /* parent 0: upload/ itself; negative: an annex (ingest.h) */
	bool is_dir;
	mode_t mode; /* permission bits */
	uid_t uid;
	gid_t gid;
	uint64_t size; /* registered: the snapshot's as written; else see the file */
	int64_t mtime_ns, ctime_ns;
	bool mtime_set; /* a client set mtime explicitly after the last write */
	enum upload_state state;
	int64_t snapshot; /* registered picture, or the picture a sidecar was taken in for; 0: none */
	int64_t due_us;   /* 0: not scheduled */
	char name[NAME_LIMIT + 1];
};
int catalog_upload(struct catalog *c, int64_t id, struct upload_row *ret) MUST_CHECK;
int catalog_upload_find(struct catalog *c, int64_t parent, const char *name, struct upload_row *ret)
	MUST_CHECK;
typedef int upload_fn(void *user, const struct upload_row *row);
int catalog_upload_list(struct catalog *c, int64_t parent, const char *after, unsigned limit,
			upload_fn *fn, void *user) MUST_CHECK; /* by name */
int catalog_upload_due(struct catalog *c, int64_t now_us, unsigned limit, upload_fn *fn, void *user)
	MUST_CHECK;
int catalog_upload_each(struct catalog *c, int64_t after_id, unsigned limit, upload_fn *fn,
			void *user) MUST_CHECK; /* all, by id */
int catalog_upload_path(struct catalog *c, int64_t id, struct buf *out)
	MUST_CHECK; /* "front/2026/a.jpg" */
int catalog_upload_create(struct catalog *c, const struct upload_row *row, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST -ENOENT */
enum {
	UPLOAD_SET_MODE = 1,
	UPLOAD_SET_OWNER = 2,
	UPLOAD_SET_MTIME = 4,
	UPLOAD_SET_SIZE = 8,
	UPLOAD_SET_STATE = 16,
	UPLOAD_SET_SNAPSHOT = 32,
	UPLOAD_SET_DUE = 64
};
/* error: with UPLOAD_SET_STATE; NULL clears it. CHANGE_UPLOAD for every state but OPEN and WAITING, which the writer brings about itself. */
int catalog_upload_set(struct catalog *c, const struct upload_row *row, unsigned mask,
		       const char *error, bool durable) MUST_CHECK;
int catalog_upload_error(struct catalog *c, int64_t id, char out[256])
	MUST_CHECK;                                                  /* "" when none */
int catalog_upload_remove(struct catalog *c, int64_t id) MUST_CHECK; /* -ENOTEMPTY */
/* RENAME_NOREPLACE in flags; *ret_replaced: the entry that stood there (0: none), which is removed. -ENOTEMPTY -EISDIR -ENOTDIR -EEXIST -EINVAL (into itself) */
int catalog_upload_rename(struct catalog *c, int64_t id, int64_t new_parent, const char *new_name,
			  unsigned flags, int64_t *ret_replaced) MUST_CHECK;
/* xattrs of upload entries (0: upload/ itself), user.* only; value <= 64 KiB, all of one entry <= 256 KiB (-ENOSPC). */
int catalog_xattr_get(struct catalog *c, int64_t upload, const char *name, struct buf *out)
	MUST_CHECK; /* -ENODATA */
int catalog_xattr_set(struct catalog *c, int64_t upload, const char *name, const void *value,
		      size_t len, int flags) MUST_CHECK;
int catalog_xattr_remove(struct catalog *c, int64_t upload, const char *name) MUST_CHECK;
int catalog_xattr_list(struct catalog *c, int64_t upload, struct buf *out)
	MUST_CHECK; /* NUL-separated names */

/* ---- drafts: edited texts that could not be understood, by the inode of their file; in catalog_errors under `subject` ---- */
#define DRAFT_STAYS_US INT64_C(3600000000) /* then it is as if there was none */
int catalog_draft_put(struct catalog *c, int64_t node, const char *subject, const char *body,
		      size_t len, const char *error) MUST_CHECK;
/* Appends to body. -ENOENT: none. Each ret may be NULL. */
int catalog_draft(struct catalog *c, int64_t node, int64_t *ret_at_us, char ret_error[256],
		  struct buf *body) MUST_CHECK;
int catalog_draft_remove(struct catalog *c, int64_t node) MUST_CHECK; /* none: 0 */

/* ---- files of upload/ that speak of many pictures: they are read once, record by record; see exchange.h ---- */
struct batch_file {
	int64_t upload;
	uint64_t size; /* of the file when it was begun; another size or mtime: another file */
	int64_t mtime_ns, begun_us;
	bool whole;    /* read to its end */
	uint64_t done; /* records that were read */
	uint64_t added, duplicates, removed, unknown, bad;
};
int catalog_batch(struct catalog *c, int64_t upload, struct batch_file *ret)
	MUST_CHECK; /* -ENOENT */
int catalog_batch_begin(struct catalog *c, const struct batch_file *b)
	MUST_CHECK; /* forgets what was told of the file before */
/* Counts are added to those that are there; `done` and `whole` never go back. */
int catalog_batch_save(struct catalog *c, const struct batch_file *more) MUST_CHECK;
/* A record waits for the picture that it names, or was refused (for catalog_errors; the first 1,000 of a file). Gone with the entry. */
int catalog_record_wait(struct catalog *c, int64_t upload, const char *name, const char *body)
	MUST_CHECK; /* -EINVAL: texts that cannot be kept */
int catalog_record_refuse(struct catalog *c, int64_t upload, const char *name, const char *error)
	MUST_CHECK;
int catalog_record_remove(struct catalog *c, int64_t id) MUST_CHECK;
struct record {
	int64_t id, upload;
	char name[NAME_LIMIT + 1];
};
/* The next one that waits, of a file or of any with that name; its body in place of what `body` had. -ENOENT: no more. */
int catalog_record_next(struct catalog *c, int64_t upload, int64_t after, struct record *ret,
			struct buf *body) MUST_CHECK;
int catalog_record_named(struct catalog *c, const char *name, int64_t after, struct record *ret,
			 struct buf *body) MUST_CHECK;
int catalog_records_waiting(struct catalog *c, int64_t upload, int64_t *ret) MUST_CHECK;

/* ---- other systems: what was taken from one or given to it, by its id there ---- */
int catalog_seen(struct catalog *c, const char *target, const char *id)
	MUST_CHECK; /* 1, 0 or -errno */
int catalog_seen_add(struct catalog *c, const char *target, const char *const *id, size_t n)
	MUST_CHECK;

/* ---- stores: the ledger ---- */
int catalog_store_id(struct catalog *c, const char *name, int64_t *ret_id)
	MUST_CHECK; /* created on first use */
struct store_row {
	int64_t objects, queued, failed; /* failed: queued items with an error */
	int64_t last_scan_us;            /* end of the last whole scan; 0: never */
	char error[256];                 /* of the last scan */
};
int catalog_store(struct catalog *c, int64_t store, bool count, struct store_row *ret) MUST_CHECK;
/* One listed object, as the layout explains it. */
struct listed {
	const char *key, *etag;
	uint64_t size;
	int64_t modified_us;
	bool is_sidecar; /* of the picture `picture_key` */
	const char *picture_key;
	const char *
		error; /* not NULL: rejected, remembered with this sentence, everything below ignored */
	const char *stem; /* not NULL: a stem of ours: this very snapshot */
	char camera[CAMERA_MAX + 1];
	const char *title;
	int64_t taken_us;
	int zone_min;
	enum time_source time_source;
};
/* A scan is resumable: begin gives the key to go on after ("" from the start) and its generation. */
int catalog_scan_begin(struct catalog *c, int64_t store, int64_t *ret_gen,
		       char ret_after[KEY_MAX + 1]) MUST_CHECK;
/* One page (<= 1,000), one transaction, the position with it. New, changed, known and bad items are told apart here.  An object that
 * differs is the snapshot's new content only if no other replica and nothing queued has the old one; else it is rejected.
 * -ESTALE (also from the end): not the scan under way.  Counted as rejected: every bad item met, new or not. */
struct scan_counts {
	uint64_t listed, added, changed, rejected, gone, lost, sidecars;
};
int catalog_scan_page(struct catalog *c, int64_t store, int64_t gen, const struct listed *item,
		      size_t n, struct scan_counts *add_to) MUST_CHECK;
/* End: what was not met is gone (a snapshot with no other replica and no queued upload disappears), or, if we put it there and no scan
 * has ever met it, lost: queued again.  Call until it returns 0 in *ret_left. */
int catalog_scan_end(struct catalog *c, int64_t store, int64_t gen, struct scan_counts *add_to,
		     bool *ret_left) MUST_CHECK;
int catalog_scan_failed(struct catalog *c, int64_t store, const char *error) MUST_CHECK;
/* Sidecar objects that were new or changed and are not read yet, by key; done with the parsed one or the error (remembered for that etag). */
typedef int wanted_fn(void *user, const char *key, uint64_t size, int64_t snapshot);
int catalog_wanted(struct catalog *c, int64_t store, const char *after, unsigned limit,
		   wanted_fn *fn, void *user) MUST_CHECK;
int catalog_wanted_done(struct catalog *c, int64_t store, const char *key, const struct sidecar *s,
			const char *error) MUST_CHECK;
/* A replica turned out to be missing or other than recorded: no place any more, and in catalog_errors, until a scan restores or
 * removes it. The snapshot stays in the views meanwhile. -ENOENT: it is none; -ESTALE: what is recorded there is another object by now. */
int catalog_replica_lost(struct catalog *c, int64_t snapshot, const struct place *was) MUST_CHECK;
/* ... and is sent again under its key: the caller has its bytes in the spool. */
int catalog_requeue(struct catalog *c, int64_t snapshot, const struct place *was) MUST_CHECK;

/* ---- the outbox ---- */
enum outbox_what { OUTBOX_PICTURE, OUTBOX_SIDECAR };
struct outbox_item {
	int64_t id, store, rev, next_us, created_us, error_us /* of error */;
	enum outbox_what what;
	unsigned tries; /* before this one; > 0: it may have arrived: look first */
	char key[KEY_MAX + 1], error[256];
	struct snap snap;
};
typedef int outbox_fn(void *user, const struct outbox_item *item);
/* Due items of a store, at most 1,000, are marked as under way (committed before they are handed out; undone by catalog_open).
 * Pictures before their sidecars.  Negative from fn: that item and those after it are put back; positive: those after it. */
int catalog_outbox_claim(struct catalog *c, int64_t store, int64_t now_us, unsigned max,
			 outbox_fn *fn, void *user) MUST_CHECK;
int catalog_outbox_next(struct catalog *c, int64_t store, int64_t *ret_due_us)
	MUST_CHECK; /* -ENOENT: nothing, or all under way */
/* It is there: object row, replica, counters; a picture queues its sidecar object; *ret_settled: nothing queued holds these bytes any more. */
int catalog_outbox_done(struct catalog *c, const struct outbox_item *item, const char *etag,
			uint64_t size, int64_t modified_us, bool *ret_settled) MUST_CHECK;
int catalog_outbox_failed(struct catalog *c, const struct outbox_item *item, int64_t next_us,
			  const char *error) MUST_CHECK;
int catalog_outbox_list(struct catalog *c, int64_t after_id, unsigned limit, outbox_fn *fn,
			void *user) MUST_CHECK;
/* The machine's clock was set by `step_us` (0: perhaps, while nobody looked).  What waits for a time after `latest_us` waits by a
 * clock that is no more: it is due now.  The trash is kept for as long as before. */
int catalog_clock_set(struct catalog *c, int64_t step_us, int64_t latest_us) MUST_CHECK;
int catalog_outbox_retry_now(struct catalog *c)
	MUST_CHECK; /* failed items are due at once (sync verb) */
/* Bytes of a camera's pictures that some store has yet to get. */
int catalog_camera_unsent(struct catalog *c, int64_t camera, uint64_t *ret) MUST_CHECK;
bool catalog_sha_needed(
	struct catalog *c, const struct sha256 *sha,
	bool *ret_queued); /* some snapshot has these bytes; one that is queued, or that no store has; both true when it cannot be told */

/* ---- bytes that a power cut took (ingest) ---- */
/* Registered upload entries whose snapshots have these bytes and no store has. */
typedef int upload_id_fn(void *user, int64_t upload);
int catalog_uploads_of(struct catalog *c, const struct sha256 *sha, upload_id_fn *fn, void *user)
	MUST_CHECK;
/* Those snapshots leave all views and the outbox, their entries become rejected, durably; *ret_n snapshots. */
int catalog_take_back(struct catalog *c, const struct sha256 *sha, const char *error,
		      int64_t *ret_n) MUST_CHECK;

/* ---- notes: small named texts that are kept with the pictures in every store, as objects NOTE_DIR + key, and come back by scans
 * and rebuild.  The younger of two versions counts.  Keys are paths of file_name_ok parts ("queries/left-turns.json"). ---- */
#define NOTE_DIR ".shutterfs/"
#define NOTE_KEY_MAX 768
#define NOTE_BODY_MAX (16 * 1024 * 1024)
struct note_row {
	int64_t id; /* for ever; of a key that is removed and made again the same */
	bool there; /* false: removed (catalog_note only) */
	uint64_t size;
	int64_t changed_us;
	char key[NOTE_KEY_MAX + 1];
};
/* -EINVAL: no such key can be; -EFBIG beyond NOTE_BODY_MAX. The same body again changes nothing. */
int catalog_note_put(struct catalog *c, const char *key, const void *body, size_t len) MUST_CHECK;
int catalog_note_remove(struct catalog *c, const char *key) MUST_CHECK;               /* -ENOENT */
int catalog_note_get(struct catalog *c, const char *key, struct buf *out) MUST_CHECK; /* -ENOENT */
int catalog_note_find(struct catalog *c, const char *key, struct note_row *ret)
	MUST_CHECK; /* -ENOENT */
int catalog_note(struct catalog *c, int64_t id, struct note_row *ret)
	MUST_CHECK; /* also a removed one */
/* The first key after `after` ("" first) that begins with `prefix`; -ENOENT: no more. */
int catalog_note_next(struct catalog *c, const char *prefix, const char *after,
		      char ret_key[KEY_MAX + 1]) MUST_CHECK;
/* For sync: what the stores are to get.  One at a time per store. */
struct note_item {
	int64_t note, store, rev, next_us, error_us;
	bool gone; /* to be deleted there */
	bool known; /* what it has was met or sent before; else there may be one of another life: look first */
	unsigned tries;
	char key[NOTE_KEY_MAX + 1], error[256];
};
typedef int note_item_fn(void *user, const struct note_item *item);
int catalog_note_offer(struct catalog *c) MUST_CHECK; /* all notes to stores that are new */
int catalog_note_todo(struct catalog *c, int64_t store, struct note_item *ret)
	MUST_CHECK; /* the one that is due first, perhaps later; -ENOENT */
int catalog_note_queue(struct catalog *c, note_item_fn *fn, void *user) MUST_CHECK; /* all */
int catalog_note_retry_now(struct catalog *c) MUST_CHECK;
int catalog_note_sent(struct catalog *c, const struct note_item *item, const char *etag) MUST_CHECK;
int catalog_note_failed(struct catalog *c, const struct note_item *item, int64_t next_us,
			const char *error) MUST_CHECK;
/* ... and what they have, met by a scan (gen 0: else); those that are new or changed are wanted until they are taken. */
int catalog_note_listed(struct catalog *c, int64_t store, int64_t gen, const char *key,
			const char *etag) MUST_CHECK;
int catalog_note_wanted(struct catalog *c, int64_t store, const char *after,
			char ret_key[KEY_MAX + 1]) MUST_CHECK; /* -ENOENT: no more */
int catalog_note_taken(struct catalog *c, int64_t store, const char *key, const char *etag,
		       int64_t modified_us, const void *body, size_t len) MUST_CHECK;

/* ---- the trash: hidden from all views at once, deleted from the stores when due; scans do not bring it back, an upload of the same
 * bytes does. ---- */
/* -EBUSY: a label, a document or a star holds it, and nothing happens; -ENOENT. */
int catalog_trash(struct catalog *c, int64_t id, int64_t due_us, const char *who) MUST_CHECK;
int catalog_untrash(struct catalog *c, int64_t id) MUST_CHECK; /* -ENOENT */
struct trash_row {
	int64_t due_us;
	const char *who; /* borrowed */
	struct snap snap;
};
typedef int trash_fn(void *user, const struct trash_row *row);
int catalog_trash_due(struct catalog *c, int64_t due_us, unsigned limit, trash_fn *fn, void *user)
	MUST_CHECK; /* due at that time (INT64_MAX: all), first first */
/* Before its objects are deleted: what a label, document or star holds by now comes back instead. */
int catalog_trash_final(struct catalog *c, int64_t id, bool *ret_back) MUST_CHECK;
int catalog_trash_later(struct catalog *c, int64_t id, int64_t due_us) MUST_CHECK;
int catalog_trash_purged(struct catalog *c, int64_t id) MUST_CHECK; /* no store of ours has it */
/* Its objects in the stores, sidecars first; and one that is deleted there. */
typedef int object_fn(void *user, int64_t store, const char *key, const char *etag, bool sidecar);
int catalog_objects(struct catalog *c, int64_t snapshot, object_fn *fn, void *user) MUST_CHECK;
int catalog_object_deleted(struct catalog *c, int64_t store, const char *key) MUST_CHECK;

/* ---- datasets: what is frozen (dataset.h), and which pictures are in which of its directories ---- */
enum dataset_split { DATASET_TRAIN, DATASET_VALIDATION, DATASET_TEST, DATASET_SPLITS };
enum dataset_state {
	DATASET_NEW,      /* no query yet */
	DATASET_FREEZING, /* being filled: clear and begin anew after a crash */
	DATASET_FROZEN,
	DATASET_FAILED,  /* error says why; a new query may come */
	DATASET_REMOVED, /* has no name any more, and is being cleared */
	DATASET_GONE,    /* the row stays: what a store still has of it is not taken in again */
};
#define DATASET_UID_MAX 63
struct dataset_row {
	int64_t id, made_us, frozen_us /* 0: not yet */;
	enum dataset_state state;
	uint64_t query_len;
	char name[NAME_LIMIT + 1], uid[DATASET_UID_MAX + 1] /* its name in stores, for ever */,
		error[256];
};
/* -ENOENT, also once it is removed. */
int catalog_dataset(struct catalog *c, int64_t id, struct dataset_row *ret) MUST_CHECK;
int catalog_dataset_find(struct catalog *c, const char *name, struct dataset_row *ret) MUST_CHECK;
int catalog_dataset_next(struct catalog *c, const char *after, struct dataset_row *ret)
	MUST_CHECK; /* by name, "" first */
/* Removed ones, too. */
int catalog_dataset_by_uid(struct catalog *c, const char *uid, struct dataset_row *ret) MUST_CHECK;
int catalog_dataset_each(struct catalog *c, int64_t after, struct dataset_row *ret)
	MUST_CHECK; /* by id */
int catalog_dataset_name(struct catalog *c, int64_t id, char out[NAME_LIMIT + 1])
	MUST_CHECK; /* its last one, if it has none any more */
int catalog_dataset_query(struct catalog *c, int64_t id, struct buf *out)
	MUST_CHECK; /* as written */
int catalog_dataset_make(struct catalog *c, const char *name, const char *uid, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST -EINVAL */
int catalog_dataset_rename(struct catalog *c, int64_t id, const char *name)
	MUST_CHECK; /* -EEXIST -EINVAL */
int catalog_dataset_remove(struct catalog *c, int64_t id) MUST_CHECK;
/* query NULL: as it is; error NULL: none. -ENOENT: removed. */
int catalog_dataset_set(struct catalog *c, int64_t id, enum dataset_state state, int64_t frozen_us,
			const void *query, size_t len, const char *error) MUST_CHECK;
/* Its members and classes go, in steps; of a removed one everything. */
int catalog_dataset_clear(struct catalog *c, int64_t dataset) MUST_CHECK;

struct dataset_class {
	int64_t number;
	char name[NAME_LIMIT + 1];
};
enum { MEMBER_HF = 1, MEMBER_DETECTION = 2 /* in yolo/ */, MEMBER_COCO = 4 };
struct dataset_member { /* as it was frozen */
	int64_t id, dataset, taken_us;
	enum dataset_split split;
	int32_t day;
	uint64_t size, boxes_at, boxes_len; /* where its boxes are in DATASET_BOXES */
	unsigned flags;
	bool has_sha;
	struct sha256 sha;
	char stem[STEM_MAX + 1];
	const size_t *class; /* in, borrowed: numbers of its classes */
	size_t n_classes;
	bool there; /* out: the catalog has it, with the bytes that it had: `snap` */
	struct snap snap;
};
typedef int member_fn(void *user, const struct dataset_member *m);
int catalog_member(struct catalog *c, int64_t id, struct dataset_member *ret) MUST_CHECK;
int catalog_member_find(struct catalog *c, int64_t dataset, const char *stem,
			struct dataset_member *ret) MUST_CHECK;
int catalog_member_has_class(struct catalog *c, const struct dataset_member *m, int64_t class)
	MUST_CHECK; /* 0 or -ENOENT */
/* Members of a split (class >= 0: those of that class) after the member `after`, in the order in which they were added. */
int catalog_member_list(struct catalog *c, int64_t dataset, enum dataset_split split, int64_t class,
			int64_t after, unsigned limit, member_fn *fn, void *user) MUST_CHECK;
/* Classes that have a member in the split, by number, -1 first; -ENOENT: no more. */
int catalog_class_next(struct catalog *c, int64_t dataset, enum dataset_split split, int64_t after,
		       struct dataset_class *ret) MUST_CHECK;
int catalog_class_find(struct catalog *c, int64_t dataset, enum dataset_split split,
		       const char *name, struct dataset_class *ret) MUST_CHECK;
/* While it is freezing: -ENOENT otherwise. */
int catalog_class_add(struct catalog *c, int64_t dataset, const struct dataset_class *class,
		      size_t n) MUST_CHECK;
int catalog_member_add(struct catalog *c, int64_t dataset, const struct dataset_member *m, size_t n)
	MUST_CHECK;

struct dataset_scratch { /* a file that a training program leaves in directory `dir` of a dataset */
	int64_t id, dataset;
	int dir;
	char name[NAME_LIMIT + 1];
};
int catalog_scratch(struct catalog *c, int64_t id, struct dataset_scratch *ret) MUST_CHECK;
int catalog_scratch_find(struct catalog *c, int64_t dataset, int dir, const char *name,
			 struct dataset_scratch *ret) MUST_CHECK;
int catalog_scratch_next(struct catalog *c, int64_t dataset, int dir, int64_t after,
			 struct dataset_scratch *ret) MUST_CHECK; /* by id */
int catalog_scratch_add(struct catalog *c, struct dataset_scratch *s)
	MUST_CHECK; /* sets id; -EEXIST */
int catalog_scratch_move(struct catalog *c, const struct dataset_scratch *to)
	MUST_CHECK; /* replaces what is there */
int catalog_scratch_remove(struct catalog *c, int64_t id) MUST_CHECK;

/* ---- for status, errors.json, fsck ---- */
struct catalog_totals {
	int64_t snapshots, cameras, queue_waiting, queue_failed, queue_oldest_us, uploads_waiting,
		uploads_rejected;
};
int catalog_totals(struct catalog *c, struct catalog_totals *ret) MUST_CHECK;
/* Everything that is wrong now: rejected uploads, bad objects, failed outbox rows, cameras' and scans' errors. Newest first within each. */
typedef int error_fn(void *user, int64_t when_us, const char *subject, const char *error);
int catalog_errors(struct catalog *c, unsigned limit, error_fn *fn, void *user) MUST_CHECK;
int catalog_each(struct catalog *c, int64_t after_id, unsigned limit, snap_fn *fn, void *user)
	MUST_CHECK; /* by id, visible ones */
int catalog_check(struct catalog *c, struct buf *out)
	MUST_CHECK; /* integrity, foreign keys, counters: a line per fault, none: nothing */
int catalog_check_repair(struct catalog *c) MUST_CHECK; /* recomputes the counters */
