/* totals.c - what status shows: counts that are cheap at any size, and everything that is wrong now. */
#include <errno.h>

#include "db.h"

int catalog_totals(struct catalog *c, struct catalog_totals *ret)
{
	struct catalog_totals t = {0};
	int r;

	READ(db, c);
	/* the tally of all cameras and the partial indexes are small; the outbox is counted in its smallest index */
	QUERY(q, db,
	      "SELECT (SELECT coalesce(sum(n), 0) FROM tally WHERE camera = ?1),"
	      " (SELECT count(*) FROM camera), (SELECT count(*) FROM outbox)"
	      " + (SELECT count(*) FROM note_object WHERE todo = 1),"
	      " (SELECT count(*) FROM outbox WHERE error IS NOT NULL)"
	      " + (SELECT count(*) FROM note_object WHERE todo = 1 AND error IS NOT NULL),"
	      " (SELECT created_us FROM outbox ORDER BY id LIMIT 1),"
	      " (SELECT count(*) FROM upload WHERE due_us > 0),"
	      " (SELECT count(*) FROM upload WHERE state = 3)",
	      I(0));
	r = query_next(&q);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	t.snapshots = col_int(&q, 0);
	t.cameras = col_int(&q, 1);
	t.queue_waiting = col_int(&q, 2);
	t.queue_failed = col_int(&q, 3);
	t.queue_oldest_us = col_int(&q, 4);
	t.uploads_waiting = col_int(&q, 5);
	t.uploads_rejected = col_int(&q, 6);
	*ret = t;
	return 0;
}

struct report {
	unsigned left;
	error_fn *fn;
	void *user;
};

/* Rows of (time, subject, error). */
static int tell(struct query *q, struct report *rep)
{
	int r;

	while (rep->left > 0 && (r = query_next(q)) != 0) {
		if (r < 0)
			return r;
		rep->left--;
		r = rep->fn(rep->user, col_int(q, 0), col_text(q, 1), col_text(q, 2));
		if (r != 0)
			return r;
	}
	return 0;
}

static int tell_uploads(struct catalog *c, struct db *db, struct report *rep)
{
	int r;

	QUERY(q, db,
	      "SELECT ctime_ns / 1000, id, error, parent FROM upload WHERE state = 3 ORDER BY id DESC LIMIT ?1",
	      I(rep->left));
	while (rep->left > 0 && (r = query_next(&q)) != 0) {
		CLEANUP(buf_done) struct buf path = BUF(16384);
		if (r < 0)
			return r;
		if (col_int(&q, 3) >= 0)
			(void)buf_str(&path, "upload/");
		r = catalog_upload_path(c, col_int(&q, 1), &path);
		if (r < 0)
			return r;
		rep->left--;
		r = rep->fn(rep->user, col_int(&q, 0), path.data, col_text(&q, 2));
		if (r != 0)
			return r;
	}
	return 0;
}

static int tell_drafts(struct db *db, struct report *rep)
{
	QUERY(q, db,
	      "SELECT at_us, subject, error FROM draft WHERE at_us > ?1 ORDER BY at_us DESC LIMIT ?2",
	      I(now_us() - DRAFT_STAYS_US), I(rep->left));
	return tell(&q, rep);
}

static int tell_records(struct catalog *c, struct db *db, struct report *rep)
{
	int r;

	QUERY(q, db,
	      "SELECT at_us, upload, name, error FROM record WHERE error IS NOT NULL ORDER BY at_us "
	      "DESC LIMIT ?1",
	      I(rep->left));
	while (rep->left > 0 && (r = query_next(&q)) != 0) {
		CLEANUP(buf_done) struct buf path = BUF(16384);
		if (r < 0)
			return r;
		(void)buf_str(&path, "upload/");
		r = catalog_upload_path(c, col_int(&q, 1), &path);
		if (r == 0)
			r = buf_printf(&path, ": %s", col_text(&q, 2));
		if (r < 0)
			return r;
		rep->left--;
		r = rep->fn(rep->user, col_int(&q, 0), path.data, col_text(&q, 3));
		if (r != 0)
			return r;
	}
	return 0;
}

static int tell_objects(struct db *db, struct report *rep)
{
	QUERY(q, db,
	      "SELECT o.modified_us, s.name || ':' || o.key, o.error FROM object o JOIN store s"
	      " ON s.id = o.store WHERE o.error IS NOT NULL ORDER BY o.modified_us DESC LIMIT ?1",
	      I(rep->left));
	return tell(&q, rep);
}

static int tell_outbox(struct db *db, struct report *rep)
{
	QUERY(q, db,
	      "SELECT o.error_us, s.name || ':' || o.key, o.error FROM outbox o JOIN store s"
	      " ON s.id = o.store WHERE o.error IS NOT NULL ORDER BY o.error_us DESC LIMIT ?1",
	      I(rep->left));
	return tell(&q, rep);
}

static int tell_notes(struct db *db, struct report *rep)
{
	QUERY(q, db,
	      "SELECT o.error_us, s.name || ':" NOTE_DIR "' || n.key, o.error FROM note_object o"
	      " JOIN note n ON n.id = o.note JOIN store s ON s.id = o.store"
	      " WHERE o.todo = 1 AND o.error IS NOT NULL ORDER BY o.error_us DESC LIMIT ?1",
	      I(rep->left));
	return tell(&q, rep);
}

static int tell_rest(struct db *db, struct report *rep)
{
	QUERY(q, db,
	      "SELECT error_us, 'cameras/' || name, error FROM camera WHERE error <> ''"
	      " UNION ALL SELECT error_us, 'store ' || name, error FROM store WHERE error <> ''"
	      " UNION ALL SELECT error_us, 'datasets/' || name, error FROM dataset WHERE error <> '' AND"
	      " name IS NOT NULL"
	      " ORDER BY 1 DESC LIMIT ?1",
	      I(rep->left));
	return tell(&q, rep);
}

int catalog_errors(struct catalog *c, unsigned limit, error_fn *fn, void *user)
{
	struct report rep = {.left = limit, .fn = fn, .user = user};
	int r;

	READ(db, c);
	r = tell_uploads(c, db, &rep);
	if (r == 0)
		r = tell_drafts(db, &rep);
	if (r == 0)
		r = tell_records(c, db, &rep);
	if (r == 0)
		r = tell_objects(db, &rep);
	if (r == 0)
		r = tell_outbox(db, &rep);
	if (r == 0)
		r = tell_notes(db, &rep);
	if (r == 0)
		r = tell_rest(db, &rep);
	return r;
}
