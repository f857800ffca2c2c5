/* ledger.c - what each store has: the row per object, the ends of a scan, sidecars to be read, replicas that were lost. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

enum { SWEEP_ROWS = 10000, SWEEP_GONE = 1000 }; /* of one catalog_scan_end: looked at, removed */

void etag_copy(const char *etag, char out[ETAG_MAX + 1])
{
	size_t len = strnlen(etag ? etag : "", ETAG_MAX);

	if (len > 0)
		memcpy(out, etag, len);
	out[len] = '\0';
}

/* ---- stores ---- */
static int find_store(struct db *db, const char *name, int64_t *ret_id)
{
	return ONE(db, ret_id, "SELECT id FROM store WHERE name = ?1", T(name));
}

struct new_store {
	const char *name;
	int64_t id;
};

static int store_tx(struct db *db, void *arg)
{
	struct new_store *a = arg;
	int r = find_store(db, a->name, &a->id);

	if (r != -ENOENT)
		return r;
	r = RUN(db, "INSERT INTO store(name) VALUES(?1)", T(a->name));
	if (r == 0)
		a->id = db_last_id(db);
	return r;
}

int catalog_store_id(struct catalog *c, const char *name, int64_t *ret_id)
{
	struct new_store a = {.name = name};
	int r;

	READ(db, c);
	r = find_store(db, name, ret_id);
	if (r != -ENOENT)
		return r;
	r = db_write(c, store_tx, &a, false);
	if (r == 0)
		*ret_id = a.id;
	return r;
}

static int count_store(struct db *db, int64_t store, struct store_row *row)
{
	int r = ONE(db, &row->objects, "SELECT count(*) FROM object WHERE store = ?1", I(store));

	if (r == 0)
		r = ONE(db, &row->queued, "SELECT count(*) FROM outbox WHERE store = ?1", I(store));
	if (r == 0)
		r = ONE(db, &row->failed,
			"SELECT count(*) FROM outbox WHERE store = ?1 AND error IS NOT NULL",
			I(store));
	return r;
}

int catalog_store(struct catalog *c, int64_t store, bool count, struct store_row *ret)
{
	struct store_row row = {0};
	int r;

	READ(db, c);
	QUERY(q, db, "SELECT last_scan_us, error FROM store WHERE id = ?1", I(store));
	r = query_one(&q);
	if (r < 0)
		return r;
	row.last_scan_us = col_int(&q, 0);
	col_copy(&q, 1, row.error, sizeof(row.error));
	r = count ? count_store(db, store, &row) : 0;
	if (r == 0)
		*ret = row;
	return r;
}

/* ---- objects ---- */
int object_get(struct db *db, int64_t store, const char *key, struct object *ret)
{
	int r;

	QUERY(q, db,
	      "SELECT snapshot, sidecar, outcome, size, modified_us, seen, etag, error"
	      " FROM object WHERE store = ?1 AND key = ?2",
	      I(store), T(key));
	r = query_next(&q);
	if (r < 0)
		return r;
	*ret = (struct object){.store = store, .key = key, .there = r > 0};
	if (r == 0)
		return 0;
	ret->snapshot = col_int(&q, 0);
	ret->sidecar = col_int(&q, 1) != 0;
	ret->outcome = (enum object_outcome)col_enum(&q, 2, OBJECT_LOST + 1);
	ret->size = (uint64_t)col_int(&q, 3);
	ret->modified_us = col_int(&q, 4);
	ret->seen = col_int(&q, 5);
	col_copy(&q, 6, ret->etag, sizeof(ret->etag));
	col_copy(&q, 7, ret->error, sizeof(ret->error));
	return 0;
}

int snapshot_settle(struct db *db, int64_t id)
{
	struct snap s;
	int r = snapshot_recount(db, id);

	if (r == 0)
		r = snapshot_get(db, id, &s, NULL);
	if (r < 0 || s.replicas > 0 || s.queued > 0)
		return r;
	return snapshot_hide(db, id);
}

int object_put(struct db *db, const struct object *o)
{
	struct object old;
	int r = object_get(db, o->store, o->key, &old);

	if (r < 0)
		return r;
	r = RUN(db,
		"INSERT INTO object(store, key, snapshot, sidecar, etag, size, modified_us,"
		" outcome, error, seen) VALUES(?1, ?2, nullif(?3, 0), ?4, ?5, ?6, ?7, ?8,"
		" nullif(?9, ''), ?10) ON CONFLICT(store, key) DO UPDATE SET"
		" snapshot = excluded.snapshot, sidecar = excluded.sidecar, etag = excluded.etag,"
		" size = excluded.size, modified_us = excluded.modified_us,"
		" outcome = excluded.outcome, error = excluded.error, seen = excluded.seen",
		I(o->store), T(o->key), I(o->snapshot), I(o->sidecar), T(o->etag), I(o->size),
		I(o->modified_us), I(o->outcome), T(o->error), I(o->seen));
	if (r == 0 && old.snapshot != 0 && !old.sidecar &&
	    (old.snapshot != o->snapshot || o->sidecar))
		r = snapshot_settle(db, old.snapshot);
	if (r == 0 && o->snapshot != 0 && !o->sidecar)
		r = snapshot_recount(db, o->snapshot);
	return r;
}

int object_remove(struct db *db, const struct object *o)
{
	int r = RUN(db, "DELETE FROM object WHERE store = ?1 AND key = ?2", I(o->store), T(o->key));

	if (r == 0 && o->snapshot != 0 && !o->sidecar)
		r = snapshot_settle(db, o->snapshot);
	return r;
}

/* ---- the ends of a scan; its pages are in scan.c ---- */
int scan_check(struct db *db, int64_t store, int64_t gen)
{
	int64_t now;
	int r = ONE(db, &now,
		    "SELECT CASE WHEN scan_after IS NULL THEN 0 ELSE scan_gen END"
		    " FROM store WHERE id = ?1",
		    I(store));

	if (r < 0)
		return r;
	return gen == now && gen != 0 ? 0 : -ESTALE;
}

struct scan {
	int64_t store, gen;
	char after[KEY_MAX + 1];
	const char *error;
	uint64_t gone, lost;
	bool left;
};

static int begin_tx(struct db *db, void *arg)
{
	struct scan *a = arg;
	int r = RUN(db,
		    "UPDATE store SET scan_gen = scan_gen + 1, scan_after = '', sweep_after = ''"
		    " WHERE id = ?1 AND scan_after IS NULL",
		    I(a->store));

	if (r < 0)
		return r;
	QUERY(q, db, "SELECT scan_gen, scan_after FROM store WHERE id = ?1", I(a->store));
	r = query_one(&q);
	if (r < 0)
		return r;
	a->gen = col_int(&q, 0);
	col_copy(&q, 1, a->after, sizeof(a->after));
	return 0;
}

int catalog_scan_begin(struct catalog *c, int64_t store, int64_t *ret_gen,
		       char ret_after[KEY_MAX + 1])
{
	struct scan a = {.store = store};
	int r = db_write(c, begin_tx, &a, false);

	if (r < 0)
		return r;
	*ret_gen = a.gen;
	memcpy(ret_after, a.after, sizeof(a.after));
	return 0;
}

/* The slice of rows after a->after that this call looks at ends with `upto`; false in *ret_more: they are the last. */
static int slice(struct db *db, const struct scan *a, char upto[KEY_MAX + 1], bool *ret_more)
{
	int r;

	QUERY(q, db,
	      "SELECT key FROM object WHERE store = ?1 AND key > ?2 ORDER BY key LIMIT 1 OFFSET ?3",
	      I(a->store), T(a->after), I(SWEEP_ROWS - 1));
	r = query_next(&q);
	*ret_more = r > 0;
	if (r > 0)
		col_copy(&q, 0, upto, KEY_MAX + 1);
	return r < 0 ? r : 0;
}

/* The next row after a->after, at most `upto` (NULL: any), that the scan did not meet becomes a->after: 1, 0: there is none. */
static int next_unseen(struct db *db, struct scan *a, const char *upto)
{
	int r;

	QUERY(q, db,
	      "SELECT key FROM object WHERE store = ?1 AND key > ?2 AND (?3 IS NULL OR key <= ?3)"
	      " AND seen NOT IN (?4, ?5) ORDER BY key LIMIT 1",
	      I(a->store), T(a->after), T(upto), I(a->gen), I(SEEN_NEVER(a->gen)));
	r = query_next(&q);
	if (r > 0)
		col_copy(&q, 0, a->after, sizeof(a->after));
	return r;
}

/* As one that was tried before: it is looked for before it is sent. */
static int enqueue_again(struct db *db, int64_t snapshot, int64_t store, const char *key)
{
	int r = outbox_enqueue(db, snapshot, store, OUTBOX_PICTURE, key);

	if (r < 0)
		return r;
	return RUN(db,
		   "UPDATE outbox SET tries = 1 WHERE snapshot = ?1 AND store = ?2 AND what = 0",
		   I(snapshot), I(store));
}

/* An object that a scan did not meet.  A picture that the store has shown before was deleted there; one that it took from us and
 * never showed is lost, and so is a sidecar whose picture has stayed: its labels are here. */
static int remove_unseen(struct db *db, struct scan *a, const struct object *o)
{
	bool lost = o->seen < 0 && o->snapshot != 0 && !o->sidecar;
	int r = lost ? enqueue_again(db, o->snapshot, o->store, o->key) : 0;

	if (r == 0)
		r = object_remove(db, o);
	if (r == 0 && o->sidecar && o->snapshot != 0) {
		r = sidecar_enqueue_at(db, o->snapshot, o->store);
		lost = r > 0;
	}
	if (r < 0)
		return r;
	a->lost += lost;
	a->gone += !lost && !o->sidecar && o->outcome != OBJECT_REJECTED;
	return 0;
}

static int sweep(struct db *db, struct scan *a)
{
	char upto[KEY_MAX + 1];
	struct object o;
	bool more;
	int r = slice(db, a, upto, &more);

	if (r < 0)
		return r;
	for (unsigned n = 0; n < SWEEP_GONE; n++) {
		r = next_unseen(db, a, more ? upto : NULL);
		if (r <= 0)
			break;
		r = object_get(db, a->store, a->after, &o);
		if (r == 0)
			r = remove_unseen(db, a, &o);
		if (r < 0)
			return r;
		a->left = n + 1 == SWEEP_GONE;
	}
	if (r == 0 && !a->left && more) {
		memcpy(a->after, upto, sizeof(upto));
		a->left = true;
	}
	return r;
}

/* Where the call before this one left off. */
static int sweep_from(struct db *db, struct scan *a)
{
	int r;

	QUERY(q, db, "SELECT sweep_after FROM store WHERE id = ?1", I(a->store));
	r = query_next(&q);
	if (r > 0)
		col_copy(&q, 0, a->after, sizeof(a->after));
	return r;
}

static int end_tx(struct db *db, void *arg)
{
	struct scan *a = arg;
	int r = scan_check(db, a->store, a->gen);

	if (r < 0)
		return r;
	r = sweep_from(db, a);
	if (r < 0)
		return r;
	r = sweep(db, a);
	if (r < 0)
		return r;
	if (a->left)
		return RUN(db, "UPDATE store SET sweep_after = ?2 WHERE id = ?1", I(a->store),
			   T(a->after));
	r = notes_sweep(db, a->store, a->gen);
	if (r < 0)
		return r;
	return RUN(db,
		   "UPDATE store SET scan_after = NULL, sweep_after = '', last_scan_us = ?2,"
		   " error = '', error_us = 0 WHERE id = ?1",
		   I(a->store), I(now_us()));
}

int catalog_scan_end(struct catalog *c, int64_t store, int64_t gen, struct scan_counts *add_to,
		     bool *ret_left)
{
	struct scan a = {.store = store, .gen = gen};
	int r = db_write(c, end_tx, &a, false);

	if (r < 0)
		return r;
	add_to->gone += a.gone;
	add_to->lost += a.lost;
	*ret_left = a.left;
	return 0;
}

static int failed_tx(struct db *db, void *arg)
{
	struct scan *a = arg;
	char text[256];
	int r;

	text_clip(a->error, text);
	r = RUN(db, "UPDATE store SET error = ?2, error_us = ?3 WHERE id = ?1", I(a->store),
		T(text), I(now_us()));
	if (r < 0)
		return r;
	return db_changes(db) > 0 ? 0 : -ENOENT;
}

int catalog_scan_failed(struct catalog *c, int64_t store, const char *error)
{
	struct scan a = {.store = store, .error = error};

	return db_write(c, failed_tx, &a, false);
}

/* ---- sidecar objects ---- */
int catalog_wanted(struct catalog *c, int64_t store, const char *after, unsigned limit,
		   wanted_fn *fn, void *user)
{
	int r;

	READ(db, c);
	QUERY(q, db,
	      "SELECT key, size, snapshot FROM object WHERE outcome = 2 AND snapshot IS NOT NULL"
	      " AND store = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
	      I(store), T(after), I(limit));
	while ((r = query_next(&q)) > 0) {
		r = fn(user, col_text(&q, 0), (uint64_t)col_int(&q, 1), col_int(&q, 2));
		if (r != 0)
			return r;
	}
	return r;
}

struct wanted {
	int64_t store;
	const char *key, *error;
	const struct sidecar *sidecar;
};

static int wanted_tx(struct db *db, void *arg)
{
	struct wanted *a = arg;
	struct object o;
	int r = object_get(db, a->store, a->key, &o);

	if (r < 0)
		return r;
	if (!o.there || !o.sidecar)
		return -ENOENT;
	if (a->sidecar && o.snapshot != 0)
		r = sidecar_return(db, o.snapshot, a->store, a->sidecar);
	if (r < 0)
		return r;
	o.outcome = a->sidecar ? OBJECT_OK : OBJECT_REJECTED;
	text_clip(a->sidecar ? NULL : a->error, o.error);
	return object_put(db, &o);
}

int catalog_wanted_done(struct catalog *c, int64_t store, const char *key, const struct sidecar *s,
			const char *error)
{
	struct wanted a = {.store = store, .key = key, .sidecar = s, .error = error};

	return db_write(c, wanted_tx, &a, false);
}

/* ---- replicas that are not what they were ---- */
struct lost {
	int64_t snapshot;
	const struct place *was;
};

/* -ESTALE: the store has it all the same, as another object.  -ENOENT: not at all. */
static int why_not_lost(struct db *db, const struct lost *a)
{
	QUERY(q, db,
	      "SELECT 1 FROM object WHERE snapshot = ?1 AND store = ?2 AND sidecar = 0"
	      " AND outcome = 0",
	      I(a->snapshot), I(a->was->store));
	int r = query_one(&q);

	return r == 0 ? -ESTALE : r;
}

/* The rows stay until a scan has looked: one strange answer of a store makes no name disappear. */
static int lost_tx(struct db *db, void *arg)
{
	struct lost *a = arg;
	const struct place *was = a->was;
	int r = RUN(db,
		    "UPDATE object SET outcome = 3,"
		    " error = 'not found, or other than recorded, when it was fetched'"
		    " WHERE snapshot = ?1 AND store = ?2 AND key = ?3 AND etag = ?4 AND size = ?5"
		    " AND sidecar = 0 AND outcome = 0",
		    I(a->snapshot), I(was->store), T(was->key), T(was->etag), I(was->size));

	if (r < 0)
		return r;
	return db_changes(db) > 0 ? snapshot_recount(db, a->snapshot) : why_not_lost(db, a);
}

int catalog_replica_lost(struct catalog *c, int64_t snapshot, const struct place *was)
{
	struct lost a = {snapshot, was};

	return db_write(c, lost_tx, &a, false);
}

static int requeue_tx(struct db *db, void *arg)
{
	struct lost *a = arg;
	int r = lost_tx(db, a);

	if (r == 0 || r == -ENOENT)
		r = enqueue_again(db, a->snapshot, a->was->store, a->was->key);
	return r < 0 ? r : snapshot_recount(db, a->snapshot);
}

int catalog_requeue(struct catalog *c, int64_t snapshot, const struct place *was)
{
	struct lost a = {snapshot, was};

	return db_write(c, requeue_tx, &a, true);
}
