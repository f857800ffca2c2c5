/* trash.c - pictures that somebody wants gone: out of every view at once, out of the stores when their time is over. */
#include <errno.h>

#include "ledger.h"

struct trash {
	int64_t id, due_us;
	const char *who;
	bool back; /* out: it came back */
};

static int is_held(struct db *db, int64_t id, int64_t *ret)
{
	return ONE(db, ret,
		   "SELECT starred = 1 OR EXISTS(SELECT 1 FROM label WHERE snapshot = ?1) OR "
		   "EXISTS(SELECT 1 FROM document WHERE snapshot = ?1) FROM snapshot WHERE id = ?1",
		   I(id));
}

static int trash_tx(struct db *db, void *arg)
{
	const struct trash *a = arg;
	int64_t held;
	struct snap s;
	bool gone;
	int r = snapshot_get(db, a->id, &s, &gone);
	if (r < 0 || gone)
		return r < 0 ? r : -ENOENT;
	r = is_held(db, a->id, &held);
	if (r < 0 || held)
		return r < 0 ? r : -EBUSY;
	r = snapshot_hide(db, a->id);
	if (r == 0)
		r = RUN(db,
			"INSERT INTO trash(snapshot, due_us, who, at_us) VALUES(?1, ?2, ?3, ?4)",
			I(a->id), I(a->due_us), T(a->who), I(now_us()));
	return r < 0 ? r : history_note(db, a->id, a->who, "trashed", NULL);
}

int catalog_trash(struct catalog *c, int64_t id, int64_t due_us, const char *who)
{
	struct trash a = {.id = id, .due_us = due_us, .who = who ? who : ""};
	return text_ok(a.who, NAME_LIMIT) ? db_write(c, trash_tx, &a, false) : -EINVAL;
}

int untrash(struct db *db, int64_t id)
{
	int r = RUN(db, "DELETE FROM trash WHERE snapshot = ?1", I(id));
	if (r == 0 && db_changes(db) == 0)
		r = -ENOENT;
	return r < 0 ? r : snapshot_show(db, id);
}

/* A sidecar that was dropped meanwhile may hold it. */
static int final_tx(struct db *db, void *arg)
{
	struct trash *a = arg;
	int64_t held;
	int r = is_held(db, a->id, &held);
	a->back = r == 0 && held;
	return a->back ? untrash(db, a->id) : r;
}

int catalog_trash_final(struct catalog *c, int64_t id, bool *ret_back)
{
	struct trash a = {.id = id};
	int r = db_write(c, final_tx, &a, false);
	if (r == 0)
		*ret_back = a.back;
	return r;
}

static int untrash_tx(struct db *db, void *arg)
{
	return untrash(db, *(int64_t *)arg);
}

int catalog_untrash(struct catalog *c, int64_t id)
{
	return db_write(c, untrash_tx, &id, false);
}

static int each(struct query *q, trash_fn *fn, void *user)
{
	int r;
	while ((r = query_next(q)) > 0) {
		struct trash_row row = {.due_us = col_int(q, SNAP_N),
					.who = col_text(q, SNAP_N + 1)};
		snap_from_row(q, 0, &row.snap);
		r = fn(user, &row);
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_trash_due(struct catalog *c, int64_t due_us, unsigned limit, trash_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS ", t.due_us, t.who FROM trash t JOIN snapshot s ON s.id = "
	      "t.snapshot WHERE t.due_us <= ?1 ORDER BY t.due_us, t.snapshot LIMIT ?2",
	      I(due_us), I(limit));
	return each(&q, fn, user);
}

int catalog_objects(struct catalog *c, int64_t snapshot, object_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT store, key, etag, sidecar FROM object WHERE snapshot = ?1 ORDER BY sidecar "
	      "DESC, store, key",
	      I(snapshot));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = fn(user, col_int(&q, 0), col_text(&q, 1), col_text(&q, 2), col_int(&q, 3) != 0);
		if (r != 0)
			return r;
	}
	return r;
}

struct deleted {
	int64_t store;
	const char *key;
};

static int deleted_tx(struct db *db, void *arg)
{
	const struct deleted *a = arg;
	struct object o;
	int r = object_get(db, a->store, a->key, &o);
	return r < 0 || !o.there ? r : object_remove(db, &o);
}

int catalog_object_deleted(struct catalog *c, int64_t store, const char *key)
{
	struct deleted a = {store, key};
	return db_write(c, deleted_tx, &a, false);
}

static int purged_tx(struct db *db, void *arg)
{
	const struct trash *a = arg;
	if (a->due_us > 0)
		return RUN(db, "UPDATE trash SET due_us = ?2 WHERE snapshot = ?1", I(a->id),
			   I(a->due_us));
	int r = RUN(db, "DELETE FROM trash WHERE snapshot = ?1", I(a->id));
	if (r == 0)
		r = RUN(db, "DELETE FROM outbox WHERE snapshot = ?1", I(a->id));
	return r < 0 ? r : snapshot_recount(db, a->id);
}

int catalog_trash_purged(struct catalog *c, int64_t id)
{
	return db_write(c, purged_tx, &(struct trash){.id = id}, false);
}

int catalog_trash_later(struct catalog *c, int64_t id, int64_t due_us)
{
	return db_write(c, purged_tx, &(struct trash){.id = id, .due_us = due_us}, false);
}
