/* db.h - what the files of catalog share: statements, the writer, and the helpers that keep
 * counters, views and the feed right.
 *
 * A write: put the arguments in a struct on the stack, `return db_write(c, fn, &args, durable)`;
 * fn runs on some caller's thread inside a savepoint of its own, and what it changed is undone when
 * it returns an error.  A read: `READ(db, c);` gives this thread's connection, QUERY() a
 * statement that ends with its scope.  Results go to the caller only after the last step
 * succeeded. */
#pragma once

#include "shutterfs/catalog.h"

struct db; /* one connection and its prepared statements */

/* ---- statements: SQL is always a literal, cached per connection by its address; values are
 * always bound ---- */
struct arg {
	enum { ARG_INT, ARG_TEXT, ARG_BLOB, ARG_REAL } type;
	int64_t i; /* ARG_BLOB: length */
	double d;
	const void *p;
};
#define I(v) ((struct arg){.type = ARG_INT, .i = (int64_t)(v)})
#define T(v) ((struct arg){.type = ARG_TEXT, .p = (const char *){(v)}})       /* NULL: NULL */
#define B(v, n) ((struct arg){.type = ARG_BLOB, .p = (v), .i = (int64_t)(n)}) /* NULL: NULL */
#define F(v) ((struct arg){.type = ARG_REAL, .d = (v)})                       /* NAN: NULL */
#define SHA(has, sha) B((has) ? (sha).b : NULL, sizeof((sha).b))
#define ARGS_(...) \
	(struct arg[]){__VA_ARGS__}, sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg)

struct query {
	struct db *db;
	struct prepared *prepared; /* NULL: could not be prepared, see error */
	int error;                 /* sticky: query_next returns it */
};
struct query db_query(struct db *db, const char *sql, const struct arg *arg, size_t n);
void query_done(struct query *q); /* resets: no read transaction stays open */
/* QUERY(q, db, "SELECT a FROM t WHERE b = ?1", I(b)); what the arguments point to must live as
 * long as q.  May be nested, also with itself.  STMT() is the same as an expression, for a
 * function that picks one of several. */
#define STMT(db, sql, ...) db_query((db), "" sql "", ARGS_(__VA_ARGS__))
#define QUERY(name, db, sql, ...) CLEANUP(query_done) struct query name = STMT(db, sql, __VA_ARGS__)
int query_next(struct query *q) MUST_CHECK; /* 1: a row, 0: no more, -errno */
int query_one(struct query *q) MUST_CHECK;  /* the row there should be: 0; -ENOENT: there is none */
int query_bytes(struct query *q, struct buf *out)
	MUST_CHECK; /* the same, its first column added to out */
int64_t col_int(const struct query *q, int i);
double col_real(const struct query *q, int i); /* NULL: NAN */
bool col_is_null(const struct query *q, int i);
unsigned col_enum(const struct query *q, int i,
		  unsigned n); /* one of n; the first for what is none of them */
const char *col_text(const struct query *q, int i); /* never NULL; until the next query_next */
const void *col_blob(const struct query *q, int i, size_t *ret_len);
void col_copy(const struct query *q, int i, char *out, size_t size); /* cut to size */
bool col_sha(const struct query *q, int i, struct sha256 *ret);      /* false and zeroed: NULL */
int col_dup(const struct query *q, int i, char **ret) MUST_CHECK;    /* strdup; NULL stays NULL */

/* RUN: INSERT, UPDATE, DELETE to their end: 0 or -errno (-EEXIST: a unique constraint). */
#define RUN(db, sql, ...) db_run((db), "" sql "", ARGS_(__VA_ARGS__))
int db_run(struct db *db, const char *sql, const struct arg *arg, size_t n) MUST_CHECK;
/* ONE: first column of the first row; -ENOENT: no row. */
#define ONE(db, ret, sql, ...) db_one((db), (ret), "" sql "", ARGS_(__VA_ARGS__))
int db_one(struct db *db, int64_t *ret, const char *sql, const struct arg *arg, size_t n)
	MUST_CHECK;
int64_t db_last_id(struct db *db);
int64_t db_changes(struct db *db); /* rows that the last RUN touched */

/* ---- connections ---- */
struct db *db_reader(struct catalog *c, int *ret_error); /* this thread's; NULL and -errno */
#define READ(name, c)                                    \
	int name##_error = 0;                            \
	struct db *name = db_reader((c), &name##_error); \
	if (!name)                                       \
	return name##_error
typedef int write_fn(struct db *db, void *arg);
/* Waits until fn's group is committed and the feed was told; returns fn's error or the commit's.
 * Never from a write_fn or the feed. */
int db_write(struct catalog *c, write_fn *fn, void *arg, bool durable) MUST_CHECK;
/* SQLite's code as -errno: FULL -ENOSPC, CONSTRAINT -EEXIST, CORRUPT -EUCLEAN, ... */
int db_errno(struct db *db, int code);

/* ---- the feed, from a write_fn; what a failed write_fn emitted is dropped with its work ---- */
int emit(struct db *db, enum change_what what, const struct snap *s, int64_t label) MUST_CHECK;
int emit_camera(struct db *db, int64_t camera) MUST_CHECK;
int emit_upload(struct db *db, int64_t upload) MUST_CHECK;
int emit_note(struct db *db, int64_t note) MUST_CHECK;
int emit_query(struct db *db, int64_t query, const char *name) MUST_CHECK;
int emit_labels(struct db *db, int64_t kind, int64_t label, const char *name) MUST_CHECK;

/* ---- text that comes from outside ---- */
/* An error message for keeping: valid, one line, cut; NULL: "". */
void text_clip(const char *s, char out[256]);

/* ---- snapshots (snapshot.c) ---- */
#define SNAP_COLUMNS                                                                              \
	"s.id, s.camera, s.day, s.stem, s.taken_us, s.zone_min, s.time_source, s.registered_us, " \
	"s.size, s.sha256, s.width, s.height, s.starred, s.links, s.queued, s.replicas, "         \
	"s.changed_us"
#define SNAP_N 17 /* the column after them; the table's alias must be s */
void snap_from_row(const struct query *q, int first, struct snap *ret);
/* Gone ones too; ret_gone may be NULL. */
int snapshot_get(struct db *db, int64_t id, struct snap *ret, bool *ret_gone) MUST_CHECK;
int snapshot_by_stem(struct db *db, int32_t day, const char *stem, struct snap *ret, bool *ret_gone)
	MUST_CHECK;
struct snapshot_new {
	int64_t camera;
	const char *camera_name;
	/* NULL: made of taken_us and camera_name, with the next free suffix; else free (-EEXIST) */
	const char *stem;
	int64_t taken_us;
	int zone_min;
	enum time_source time_source;
	uint64_t size;
	const struct sha256 *sha; /* NULL: unknown */
	unsigned width, height;
};
/* Row, tally, camera's newest, CHANGE_ADDED. -EINVAL: no stem, a time out of range. */
int snapshot_insert(struct db *db, const struct snapshot_new *n, struct snap *ret) MUST_CHECK;
/* Out of all views (gone) and back, with tally, label_view, newest and feed; no-ops when it is
 * so already; what is in the trash stays hidden. */
int snapshot_hide(struct db *db, int64_t id) MUST_CHECK;
int snapshot_show(struct db *db, int64_t id) MUST_CHECK;
/* Recounts queued (outbox rows of OUTBOX_PICTURE) and replicas (object rows: sidecar 0, outcome
 * 0); CHANGE_ATTR when they changed. */
int snapshot_recount(struct db *db, int64_t id) MUST_CHECK;
/* New bytes (scan: the object changed: sha NULL, 0 x 0; fetch: now known); CHANGE_BYTES when
 * size or a known sha differ, else CHANGE_ATTR. */
int snapshot_set_bytes(struct db *db, int64_t id, const struct sha256 *sha, uint64_t size,
		       unsigned width, unsigned height) MUST_CHECK;

/* ---- cameras (camera.c) ---- */
/* NULL: keep.  listed: a store shows it, and such ones leave some numbers for others. */
int camera_ensure(struct db *db, const char *name, const char *title, const char *group,
		  bool listed, int64_t *ret_id) MUST_CHECK;

/* ---- names of labels (label.c) ---- */
bool label_name_ok(const char *name); /* label_name_from leaves it as it is */
int label_name_get(struct db *db, int64_t id, bool is_kind, struct label_row *ret)
	MUST_CHECK; /* also when it is not there */
int label_name_id(struct db *db, const char *kind, const char *value, int64_t *ret)
	MUST_CHECK; /* made when there is none */
/* A visible snapshot enters or leaves a label's directory; the names that are listed, and the feed, follow. */
int label_view_set(struct db *db, const struct snap *s, int64_t label, bool in) MUST_CHECK;

/* ---- the labels of one snapshot (labelset.c) ---- */
#define LABELS_LIMIT 10000
struct label_names { /* each once, ascending */
	int64_t id[LABELS_LIMIT];
	size_t n;
};
/* Appends, as they were given; those of one name, or of all (0). */
int labels_load(struct db *db, int64_t snapshot, int64_t name, struct labels *ret) MUST_CHECK;
int label_names_load(struct db *db, int64_t snapshot, struct label_names *ret) MUST_CHECK;
bool label_ok(const struct label *l);
bool label_equal(const struct label *a, const struct label *b);
int label_insert(struct db *db, int64_t snapshot, const struct label *l) MUST_CHECK;
/* After label rows were changed: links, and the views where old names and new ones differ; s->links follows. */
int labels_settle(struct db *db, struct snap *s, bool gone, const struct label_names *old)
	MUST_CHECK;

/* ---- documents (document.c) ---- */
int documents_load(struct db *db, int64_t snapshot, char **ret)
	MUST_CHECK; /* a JSON array; NULL: none */
/* Those of an array (NULL: none) in place of what there is.  A second one with the same values: -EEXIST if `strict`, else it is
 * left out.  who NULL: no history.  -EINVAL: not an array of objects. */
struct documents_change {
	const char *array, *who;
	bool strict;
	bool changed; /* out */
};
int documents_replace(struct db *db, const struct snap *s, struct documents_change *ch) MUST_CHECK;
int documents_import(struct db *db, int64_t snapshot, const char *array)
	MUST_CHECK; /* of version 1; -EINVAL: none, and nothing was changed */

/* ---- history (history.c) ---- */
int history_add(struct db *db, int64_t snapshot, const struct history *h) MUST_CHECK;
int history_note(struct db *db, int64_t snapshot, const char *who, const char *what,
		 const char *was) MUST_CHECK;                                 /* now */
int history_newest(struct db *db, int64_t snapshot, int64_t *ret) MUST_CHECK; /* 0: none */
/* Of a sidecar object (NULL: it has none): what is not known yet; its newest time, 0: none.  What makes no sense is left out. */
int history_take(struct db *db, int64_t snapshot, const char *json, int64_t *ret_newest) MUST_CHECK;
int history_label(struct db *db, int64_t snapshot, const char *who, const char *what,
		  const struct label *l) MUST_CHECK;

/* ---- sidecars (merge.c) ---- */
/* What s has replaces (labels when looked, star when has_starred, texts when not NULL), what it lacks stays, or goes when `whole`;
 * label_view, links and feed follow. */
struct merge_how {
	const char *who; /* in the history; NULL: none is kept */
	bool strict;     /* a document that stands twice: -EEXIST */
	bool whole;      /* what s lacks goes */
	bool note_added; /* also what is new, not only what was replaced, is history */
	/* It is our own sidecar object read back; when its img_id and size fit, then sha, width, height, time and the camera's
	 * group are taken where they are unknown. */
	bool facts;
};
int sidecar_merge(struct db *db, int64_t snapshot, const struct sidecar *s,
		  const struct merge_how *how, bool *ret_changed)
	MUST_CHECK; /* ret_changed may be NULL */
/* A sidecar object of a store is read back: history, facts, and the rest unless it is ours and our history is younger.  Stores whose
 * object is older than what is known then get it. */
int sidecar_return(struct db *db, int64_t snapshot, int64_t store, const struct sidecar *s)
	MUST_CHECK;
/* What the sidecar of a visible snapshot says has changed: its time, the feed, and the object beside the picture in each store of
 * the config that has it (a queued picture queues its own when done). */
int sidecar_changed(struct db *db, const struct snap *s) MUST_CHECK;
/* -E2BIG: with all that, it would be larger than a sidecar may be. */
int sidecar_fits(struct db *db, int64_t id) MUST_CHECK;
/* The halves of it: time and feed, for one that may be gone; and the objects (but in one store; 0: in all). */
int sidecar_touched(struct db *db, const struct snap *s, bool gone) MUST_CHECK;
/* To that store, if it has the picture: 1, else 0. */
int sidecar_enqueue_at(struct db *db, int64_t snapshot, int64_t store) MUST_CHECK;
int sidecar_enqueue(struct db *db, int64_t snapshot, int64_t but_store) MUST_CHECK;

/* ---- notes (note.c), trash (trash.c) ---- */
/* The end of a scan: those that it did not meet are not there any more; a note that no store has is gone. */
int notes_sweep(struct db *db, int64_t store, int64_t gen) MUST_CHECK;
int untrash(struct db *db, int64_t id) MUST_CHECK; /* -ENOENT: it is not in the trash */

/* ---- outbox (outbox.c) ---- */
/* One row per (snapshot, store, what): an existing one gets rev + 1 and is due at once, its
 * error and tries cleared. The caller runs snapshot_recount() after. */
int outbox_enqueue(struct db *db, int64_t snapshot, int64_t store, enum outbox_what what,
		   const char *key) MUST_CHECK;

/* ---- batch files (batch.c) ---- */
int batch_erase(struct db *db, int64_t upload) MUST_CHECK; /* its entry goes, or is read anew */

/* ---- notes (note.c), and the queries that are kept as such (named.c) ---- */
int note_set(struct db *db, const char *key, const void *body, size_t len)
	MUST_CHECK;                                          /* NULL: removed, -ENOENT: none */
int query_from_note(struct db *db, int64_t note) MUST_CHECK; /* the note's body changed */

/* ---- schema (schema.c) ---- */
int schema_migrate(struct db *db) MUST_CHECK; /* -EPROTONOSUPPORT: a newer shutterfs wrote it */
