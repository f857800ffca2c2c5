/* outbox.c - what the stores have yet to get: one row per snapshot, store and kind of object.
 *
 * A row is handed out once (claimed, committed before the caller sees it) and ends with done, failed, or the next opening of the
 * catalog.  `rev` tells whether it was queued again while it was under way: then what was sent is old, and the row stays. */
#include <errno.h>
#include <stdlib.h>

#include "ledger.h"

enum { CLAIM_MAX = 1000 };

/* Joined with snapshot s; SNAP_N is the first column of its own. */
#define ITEM_COLUMNS \
	SNAP_COLUMNS \
	", o.id, o.store, o.rev, o.next_us, o.created_us, o.what, o.tries, o.key, o.error, o.error_us"

static void item_from(const struct query *q, struct outbox_item *ret)
{
	*ret = (struct outbox_item){
		.id = col_int(q, SNAP_N),
		.store = col_int(q, SNAP_N + 1),
		.rev = col_int(q, SNAP_N + 2),
		.next_us = col_int(q, SNAP_N + 3),
		.created_us = col_int(q, SNAP_N + 4),
		.what = (enum outbox_what)col_enum(q, SNAP_N + 5, OUTBOX_SIDECAR + 1),
		.tries = (unsigned)col_int(q, SNAP_N + 6),
	};
	col_copy(q, SNAP_N + 7, ret->key, sizeof(ret->key));
	col_copy(q, SNAP_N + 8, ret->error, sizeof(ret->error));
	ret->error_us = col_int(q, SNAP_N + 9);
	snap_from_row(q, 0, &ret->snap);
}

int outbox_enqueue(struct db *db, int64_t snapshot, int64_t store, enum outbox_what what,
		   const char *key)
{
	return RUN(db,
		   "INSERT INTO outbox(snapshot, store, what, key, created_us)"
		   " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(snapshot, store, what) DO UPDATE SET"
		   " key = excluded.key, rev = rev + 1, next_us = 0, tries = 0, error = NULL",
		   I(snapshot), I(store), I(what), T(key), I(now_us()));
}

/* ---- handing out ---- */
/* A sidecar waits for its picture: nobody should find one beside nothing. */
#define DUE_SIDECAR                                        \
	"(o.what = 0 OR NOT EXISTS(SELECT 1 FROM outbox p" \
	" WHERE p.snapshot = o.snapshot AND p.store = o.store AND p.what = 0))"

struct claim {
	int64_t store, now;
	unsigned max;
	struct outbox_item *item; /* room for max */
	size_t n;
};

static int collect(struct db *db, struct claim *a)
{
	int r;

	QUERY(q, db,
	      "SELECT " ITEM_COLUMNS " FROM outbox o JOIN snapshot s ON s.id = o.snapshot"
	      " WHERE o.store = ?1 AND o.claimed = 0 AND o.next_us <= ?2 AND " DUE_SIDECAR
	      " ORDER BY o.next_us, o.id LIMIT ?3",
	      I(a->store), I(a->now), I(a->max));
	for (a->n = 0; (r = query_next(&q)) > 0 && a->n < a->max; a->n++)
		item_from(&q, &a->item[a->n]);
	return r < 0 ? r : 0;
}

static int claim_tx(struct db *db, void *arg)
{
	struct claim *a = arg;
	int r = collect(db, a);

	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = RUN(db, "UPDATE outbox SET claimed = 1, tries = tries + 1 WHERE id = ?1",
			I(a->item[i].id));
	return r;
}

static int unclaim_tx(struct db *db, void *arg)
{
	struct claim *a = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = RUN(db,
			"UPDATE outbox SET claimed = 0, tries = max(tries - 1, 0)"
			" WHERE id = ?1 AND claimed = 1",
			I(a->item[i].id));
	return r;
}

int catalog_outbox_claim(struct catalog *c, int64_t store, int64_t now, unsigned max, outbox_fn *fn,
			 void *user)
{
	struct claim a = {.store = store, .now = now, .max = max < CLAIM_MAX ? max : CLAIM_MAX};
	CLEANUP(freep) struct outbox_item *item = calloc(a.max + 1, sizeof(*item));
	size_t given = 0;
	int r, undo;

	if (!item)
		return -ENOMEM;
	a.item = item;
	r = db_write(c, claim_tx, &a, false);
	if (r < 0)
		return r;
	while (r == 0 && given < a.n)
		r = fn(user, &item[given++]);
	if (r < 0)
		given--; /* refused */
	if (given == a.n)
		return r;
	a.item += given;
	a.n -= given;
	undo = db_write(c, unclaim_tx, &a, false);
	return undo < 0 ? undo : r;
}

int catalog_outbox_next(struct catalog *c, int64_t store, int64_t *ret_due_us)
{
	READ(db, c);
	return ONE(db, ret_due_us,
		   "SELECT o.next_us FROM outbox o WHERE o.store = ?1 AND o.claimed = 0"
		   " AND " DUE_SIDECAR " ORDER BY o.next_us, o.id LIMIT 1",
		   I(store));
}

/* ---- how it ended ---- */
struct done {
	const struct outbox_item *item;
	const char *etag;
	uint64_t size;
	int64_t modified_us;
	int64_t held; /* out: some queued snapshot has these bytes */
};

/* The row is finished, unless it was queued again meanwhile. */
static int finish(struct db *db, const struct outbox_item *item)
{
	char key[KEY_MAX + 1];
	int64_t rev;
	int r = ONE(db, &rev, "SELECT rev FROM outbox WHERE id = ?1", I(item->id));

	if (r < 0)
		return r;
	if (rev != item->rev)
		return RUN(db, "UPDATE outbox SET claimed = 0, next_us = 0 WHERE id = ?1",
			   I(item->id));
	r = RUN(db, "DELETE FROM outbox WHERE id = ?1", I(item->id));
	/* a key that leaves no room for the sidecar's has no sidecar object */
	if (r < 0 || item->what != OUTBOX_PICTURE || sidecar_key(item->key, key) < 0)
		return r;
	return outbox_enqueue(db, item->snap.id, item->store, OUTBOX_SIDECAR, key);
}

static int done_tx(struct db *db, void *arg)
{
	struct done *a = arg;
	const struct outbox_item *item = a->item;
	struct object o = {
		.store = item->store,
		.key = item->key,
		.snapshot = item->snap.id,
		.sidecar = item->what == OUTBOX_SIDECAR,
		.size = a->size,
		.modified_us = a->modified_us,
	};
	int64_t gen;
	int r = finish(db, item);

	if (r == 0) /* a scan that has passed this key already must not miss it */
		r = ONE(db, &gen, "SELECT scan_gen FROM store WHERE id = ?1", I(item->store));
	if (r < 0)
		return r;
	o.seen = SEEN_NEVER(gen);
	etag_copy(a->etag, o.etag);
	r = object_put(db, &o);
	if (r == 0 && !o.sidecar)
		r = snapshot_show(db, o.snapshot);
	if (r < 0)
		return r;
	return ONE(db, &a->held,
		   "SELECT EXISTS(SELECT 1 FROM snapshot s JOIN snapshot t ON t.sha256 = s.sha256"
		   " WHERE s.id = ?1 AND t.queued > 0)"
		   " OR EXISTS(SELECT 1 FROM snapshot WHERE id = ?1 AND queued > 0)",
		   I(item->snap.id));
}

int catalog_outbox_done(struct catalog *c, const struct outbox_item *item, const char *etag,
			uint64_t size, int64_t modified_us, bool *ret_settled)
{
	struct done a = {.item = item, .etag = etag, .size = size, .modified_us = modified_us};
	int r = db_write(c, done_tx, &a, false);

	if (r == 0)
		*ret_settled = a.held == 0;
	return r;
}

struct failed {
	const struct outbox_item *item;
	int64_t next_us;
	char error[256];
};

static int failed_tx(struct db *db, void *arg)
{
	struct failed *a = arg;
	const struct outbox_item *item = a->item;
	int r = RUN(db,
		    "UPDATE outbox SET claimed = 0, next_us = ?2, error = ?3, error_us = ?4"
		    " WHERE id = ?1",
		    I(item->id), I(a->next_us), T(a->error), I(now_us()));

	if (r < 0)
		return r;
	if (db_changes(db) == 0)
		return -ENOENT;
	if (item->what != OUTBOX_PICTURE)
		return 0;
	/* its sidecar cannot go before it: out of the way of those that look for due rows */
	return RUN(db,
		   "UPDATE outbox SET next_us = max(next_us, ?3)"
		   " WHERE snapshot = ?1 AND store = ?2 AND what = 1",
		   I(item->snap.id), I(item->store), I(a->next_us));
}

int catalog_outbox_failed(struct catalog *c, const struct outbox_item *item, int64_t next_us,
			  const char *error)
{
	struct failed a = {.item = item, .next_us = next_us};

	text_clip(error, a.error);
	return db_write(c, failed_tx, &a, false);
}

static int retry_tx(struct db *db, void *arg)
{
	return RUN(db, "UPDATE outbox SET next_us = ?1 WHERE next_us > 0 AND claimed = 0", I(0));
}

int catalog_outbox_retry_now(struct catalog *c)
{
	return db_write(c, retry_tx, NULL, false);
}

struct clock_set {
	int64_t step_us, latest_us;
};

static int clock_tx(struct db *db, void *arg)
{
	const struct clock_set *a = arg;
	int r = RUN(db, "UPDATE outbox SET next_us = 0 WHERE next_us > ?1", I(a->latest_us));

	if (r == 0)
		r = RUN(db, "UPDATE note_object SET next_us = 0 WHERE todo = 1 AND next_us > ?1",
			I(a->latest_us));
	if (r == 0)
		r = RUN(db, "UPDATE upload SET due_us = 1 WHERE state = ?1 AND due_us > ?2",
			I(UPLOAD_WAITING), I(a->latest_us));
	if (r == 0 && a->step_us > 0)
		r = RUN(db, "UPDATE trash SET due_us = due_us + ?1", I(a->step_us));
	return r;
}

int catalog_clock_set(struct catalog *c, int64_t step_us, int64_t latest_us)
{
	struct clock_set a = {step_us, latest_us};

	return db_write(c, clock_tx, &a, false);
}

/* ---- looking ---- */
int catalog_outbox_list(struct catalog *c, int64_t after_id, unsigned limit, outbox_fn *fn,
			void *user)
{
	struct outbox_item item;
	int r;

	READ(db, c);
	QUERY(q, db,
	      "SELECT " ITEM_COLUMNS " FROM outbox o JOIN snapshot s ON s.id = o.snapshot"
	      " WHERE o.id > ?1 ORDER BY o.id LIMIT ?2",
	      I(after_id), I(limit));
	while ((r = query_next(&q)) > 0) {
		item_from(&q, &item);
		r = fn(user, &item);
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_camera_unsent(struct catalog *c, int64_t camera, uint64_t *ret)
{
	int64_t bytes;
	int r;

	READ(db, c);
	r = ONE(db, &bytes,
		"SELECT coalesce(sum(size), 0) FROM snapshot WHERE camera = ?1"
		" AND id IN (SELECT snapshot FROM outbox WHERE what = 0)",
		I(camera));
	if (r == 0)
		*ret = (uint64_t)bytes;
	return r;
}

static int sha_needed(struct catalog *c, const struct sha256 *sha, bool *ret_needed,
		      bool *ret_queued)
{
	int r;

	READ(db, c);
	QUERY(q, db,
	      "SELECT coalesce(max(kept OR queued > 0), 0),"
	      " coalesce(max(queued > 0 OR (kept AND replicas = 0)), 0)"
	      " FROM (SELECT queued, replicas, gone = 0 OR EXISTS(SELECT 1 FROM trash WHERE"
	      " snapshot = id) AS kept FROM snapshot WHERE sha256 = ?1)",
	      SHA(true, *sha));
	r = query_next(&q);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	*ret_needed = col_int(&q, 0) != 0;
	*ret_queued = col_int(&q, 1) != 0;
	return 0;
}

bool catalog_sha_needed(struct catalog *c, const struct sha256 *sha, bool *ret_queued)
{
	bool needed = true, queued = true; /* where nobody can tell, nobody may throw them away */

	(void)sha_needed(c, sha, &needed, &queued);
	*ret_queued = queued;
	return needed;
}
