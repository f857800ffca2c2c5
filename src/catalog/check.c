/* check.c - for fsck: does the file hold together, and do the counters and views that writes
 * keep agree with the rows they count?
 *
 * Snapshots are gone through in windows of ids, so that neither a reader's long transaction (the
 * WAL could not start over) nor a long write stops a mount that goes on working meanwhile. */
#include <errno.h>

#include "db.h"

#define WINDOW 5000
#define FAULTS_MAX 100

#define LINKS "(2 + s.starred + (SELECT count(DISTINCT name) FROM label WHERE snapshot = s.id))"
#define QUEUED "(SELECT count(*) FROM outbox WHERE snapshot = s.id AND what = 0)"
#define REPLICAS \
	"(SELECT count(*) FROM object WHERE snapshot = s.id AND sidecar = 0 AND outcome = 0)"
#define MISCOUNTED "(s.links <> " LINKS " OR s.queued <> " QUEUED " OR s.replicas <> " REPLICAS ")"
_Static_assert(OUTBOX_PICTURE == 0, "QUEUED counts what = 0");

/* Labels of visible snapshots that are in no view; entries of views without label or visible
 * snapshot. */
#define UNSEEN                                                                            \
	"SELECT DISTINCT l.name, s.day, s.stem, s.id FROM snapshot s JOIN label l ON "    \
	"l.snapshot = s.id WHERE s.id > ?1 AND s.id <= ?2 AND s.gone = 0 AND NOT EXISTS(" \
	"SELECT 1 FROM label_view v WHERE "                                               \
	"v.name = l.name AND v.day = s.day AND v.stem = s.stem AND v.snapshot = s.id)"
#define STRAY                                                                          \
	"NOT EXISTS(SELECT 1 FROM snapshot s JOIN label l ON l.snapshot = s.id WHERE " \
	"s.id = v.snapshot AND s.gone = 0 AND s.day = v.day AND "                      \
	"s.stem = v.stem AND l.name = v.name)"

#define SEEN "EXISTS(SELECT 1 FROM label_view v WHERE v.name = n.id)"

#define TALLIED                                                                                \
	"SELECT camera, day, count(*) AS n FROM snapshot WHERE gone = 0 GROUP BY camera, day " \
	"UNION ALL "                                                                           \
	"SELECT 0, day, count(*) FROM snapshot WHERE gone = 0 GROUP BY day"
#define NEWEST_WRONG                                                                      \
	"(CASE WHEN c.newest IS NULL THEN EXISTS(SELECT 1 FROM snapshot s WHERE "         \
	"s.camera = c.id AND s.gone = 0) ELSE NOT EXISTS(SELECT 1 FROM snapshot s WHERE " \
	"s.id = c.newest AND s.camera = c.id AND s.gone = 0) END)"

/* Each row's first column as a line; q is a list of faults. */
static int report(struct query *q, struct buf *out, const char *what)
{
	int r;
	for (int n = 0; (r = query_next(q)) > 0 && n < FAULTS_MAX; n++) {
		r = buf_printf(out, "%s%s\n", what, col_text(q, 0));
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int report_file(struct db *db, struct buf *out)
{
	QUERY(integrity, db,
	      "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check "
	      "<> 'ok'");
	int r = report(&integrity, out, "database: ");
	if (r < 0)
		return r;
	QUERY(foreign, db,
	      "SELECT \"table\" || ' row ' || rowid || ' refers to a missing ' || parent FROM "
	      "pragma_foreign_key_check");
	return report(&foreign, out, "reference: ");
}

static int report_window(struct db *db, int64_t after, int64_t last, struct buf *out)
{
	QUERY(counts, db,
	      "SELECT s.stem FROM snapshot s WHERE s.id > ?1 AND s.id <= ?2 AND " MISCOUNTED,
	      I(after), I(last));
	int r = report(&counts, out, "counters wrong: ");
	if (r < 0)
		return r;
	QUERY(unseen, db, "SELECT stem || ' label ' || name FROM (" UNSEEN ")", I(after), I(last));
	return report(&unseen, out, "missing in labels/: ");
}

static int report_whole(struct db *db, struct buf *out)
{
	QUERY(stray, db, "SELECT v.stem || ' label ' || v.name FROM label_view v WHERE " STRAY);
	int r = report(&stray, out, "must not be in labels/: ");
	if (r < 0)
		return r;
	QUERY(names, db, "SELECT n.name FROM label_name n WHERE n.visible <> " SEEN);
	r = report(&names, out, "listed in labels/ wrongly: ");
	if (r < 0)
		return r;
	QUERY(tally, db,
	      "SELECT 'camera ' || camera || ' day ' || day FROM (SELECT * FROM (" TALLIED
	      ") EXCEPT SELECT * FROM tally) UNION "
	      "SELECT 'camera ' || camera || ' day ' || day FROM (SELECT * FROM tally EXCEPT "
	      "SELECT * FROM (" TALLIED "))");
	r = report(&tally, out, "days wrong: ");
	if (r < 0)
		return r;
	QUERY(newest, db, "SELECT c.name FROM camera c WHERE " NEWEST_WRONG);
	return report(&newest, out, "newest snapshot wrong: ");
}

static int last_id(struct db *db, int64_t *ret)
{
	return ONE(db, ret, "SELECT coalesce(max(id), 0) FROM snapshot");
}

int catalog_check(struct catalog *c, struct buf *out)
{
	READ(db, c);
	int64_t last;
	int r = last_id(db, &last);
	if (r == 0)
		r = report_file(db, out);
	for (int64_t id = 0; r == 0 && id < last; id += WINDOW)
		r = report_window(db, id, id + WINDOW, out);
	return r < 0 ? r : report_whole(db, out);
}

/* ---- repair ---- */
static int repair_window(struct db *db, void *arg)
{
	const int64_t *after = arg;
	int r = RUN(db,
		    "UPDATE snapshot AS s SET links = " LINKS ", queued = " QUEUED
		    ", replicas = " REPLICAS " WHERE s.id > ?1 AND s.id <= ?2 AND " MISCOUNTED,
		    I(*after), I(*after + WINDOW));
	if (r < 0)
		return r;
	return RUN(db, "INSERT OR REPLACE INTO label_view(name, day, stem, snapshot) " UNSEEN,
		   I(*after), I(*after + WINDOW));
}

static int repair_whole(struct db *db, void *arg)
{
	int r = RUN(db, "DELETE FROM label_view AS v WHERE " STRAY);
	if (r == 0)
		r = RUN(db, "UPDATE label_name AS n SET visible = " SEEN " WHERE visible <> " SEEN);
	if (r == 0)
		r = RUN(db, "DELETE FROM tally");
	if (r == 0)
		r = RUN(db, "INSERT INTO tally(camera, day, n) " TALLIED);
	if (r < 0)
		return r;
	return RUN(db,
		   "UPDATE camera AS c SET newest = (SELECT id FROM snapshot s INDEXED BY "
		   "snapshot_by_camera "
		   "WHERE s.camera = c.id AND s.gone = 0 ORDER BY s.day DESC, s.stem DESC LIMIT "
		   "1) WHERE " NEWEST_WRONG);
}

int catalog_check_repair(struct catalog *c)
{
	READ(db, c);
	int64_t last;
	int r = last_id(db, &last);
	for (int64_t id = 0; r == 0 && id < last; id += WINDOW)
		r = db_write(c, repair_window, &id, false);
	return r < 0 ? r : db_write(c, repair_whole, NULL, true);
}
