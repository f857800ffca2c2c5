/* view.c - reading snapshots: by id, by name, a day of a view in pages, the next day of a view,
 * where the bytes are.
 *
 * INDEXED BY pins each query to the index made for it: a plan that sorts or scans a table is an
 * error here, not a slow mount. */
#include <errno.h>
#include <stdio.h>

#include "stmt.h"

static int one(struct query *q, struct snap *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	snap_from_row(q, 0, ret);
	return 0;
}

static int each(struct query *q, snap_fn *fn, void *user)
{
	struct snap s;
	int r;
	while ((r = query_next(q)) > 0) {
		snap_from_row(q, 0, &s);
		r = fn(user, &s);
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_snap(struct catalog *c, int64_t id, struct snap *ret)
{
	uint64_t state;

	if (rows_find(c->rows, id, ret, &state))
		return 0;
	READ(db, c);
	QUERY(q, db, "SELECT " SNAP_COLUMNS " FROM snapshot s WHERE s.id = ?1 AND s.gone = 0",
	      I(id));
	int r = one(&q, ret);
	if (r == 0)
		rows_add(c->rows, state, ret);
	return r;
}

static struct query find(struct db *db, struct view v, int32_t day, const char *stem)
{
	switch (v.kind) {
	case VIEW_ALL:
		break;
	case VIEW_CAMERA:
		return STMT(db,
			    "SELECT " SNAP_COLUMNS " FROM snapshot s INDEXED BY snapshot_by_camera "
			    "WHERE s.camera = ?1 AND s.day = ?2 AND s.stem = ?3 AND s.gone = 0",
			    I(v.id), I(day), T(stem));
	case VIEW_LABEL:
		return STMT(db,
			    "SELECT " SNAP_COLUMNS
			    " FROM label_view v JOIN snapshot s ON s.id = v.snapshot "
			    "WHERE v.name = ?1 AND v.day = ?2 AND v.stem = ?3",
			    I(v.id), I(day), T(stem));
	case VIEW_STARRED:
		return STMT(db,
			    "SELECT " SNAP_COLUMNS " FROM snapshot s INDEXED BY snapshot_starred "
			    "WHERE s.starred = 1 AND s.gone = 0 AND s.day = ?1 AND s.stem = ?2",
			    I(day), T(stem));
	}
	return STMT(db,
		    "SELECT " SNAP_COLUMNS " FROM snapshot s INDEXED BY snapshot_by_day "
		    "WHERE s.day = ?1 AND s.stem = ?2 AND s.gone = 0",
		    I(day), T(stem));
}

int catalog_find(struct catalog *c, struct view v, int32_t day, const char *stem, struct snap *ret)
{
	READ(db, c);
	CLEANUP(query_done) struct query q = find(db, v, day, stem);
	return one(&q, ret);
}

int catalog_find_sha(struct catalog *c, const struct sha256 *sha, const char *stem,
		     struct snap *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS " FROM snapshot s INDEXED BY snapshot_by_sha "
	      "WHERE s.sha256 = ?1 AND s.gone = 0 ORDER BY s.stem <> ?2, s.id LIMIT 1",
	      SHA(true, *sha), T(stem));
	return one(&q, ret);
}

int catalog_newest(struct catalog *c, int64_t camera, struct snap *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS
	      " FROM camera c JOIN snapshot s ON s.id = c.newest WHERE c.id = ?1",
	      I(camera));
	return one(&q, ret);
}

/* A day of a view from a name on, towards its end or its beginning. */
#define DEFINE_LIST(function, beyond, order)                                                       \
	static struct query function(struct db *db, struct view v, int32_t day, const char *from,  \
				     unsigned limit)                                               \
	{                                                                                          \
		switch (v.kind) {                                                                  \
		case VIEW_ALL:                                                                     \
			break;                                                                     \
		case VIEW_CAMERA:                                                                  \
			return STMT(db,                                                            \
				    "SELECT " SNAP_COLUMNS                                         \
				    " FROM snapshot s INDEXED BY snapshot_by_camera "              \
				    "WHERE s.camera = ?1 AND s.day = ?2 AND s.gone = 0 "           \
				    "AND s.stem " beyond " ?3 ORDER BY s.stem " order " LIMIT ?4", \
				    I(v.id), I(day), T(from), I(limit));                           \
		case VIEW_LABEL:                                                                   \
			return STMT(                                                               \
				db,                                                                \
				"SELECT " SNAP_COLUMNS                                             \
				" FROM label_view v CROSS JOIN snapshot s ON s.id = v.snapshot "   \
				"WHERE v.name = ?1 AND v.day = ?2 "                                \
				"AND v.stem " beyond " ?3 ORDER BY v.stem " order " LIMIT ?4",     \
				I(v.id), I(day), T(from), I(limit));                               \
		case VIEW_STARRED:                                                                 \
			return STMT(db,                                                            \
				    "SELECT " SNAP_COLUMNS                                         \
				    " FROM snapshot s INDEXED BY snapshot_starred "                \
				    "WHERE s.starred = 1 AND s.gone = 0 AND s.day = ?1 "           \
				    "AND s.stem " beyond " ?2 ORDER BY s.stem " order " LIMIT ?3", \
				    I(day), T(from), I(limit));                                    \
		}                                                                                  \
		return STMT(db,                                                                    \
			    "SELECT " SNAP_COLUMNS " FROM snapshot s INDEXED BY snapshot_by_day "  \
			    "WHERE s.day = ?1 AND s.gone = 0 "                                     \
			    "AND s.stem " beyond " ?2 ORDER BY s.stem " order " LIMIT ?3",         \
			    I(day), T(from), I(limit));                                            \
	}
DEFINE_LIST(list, ">", "ASC")
DEFINE_LIST(list_back, "<", "DESC")

int catalog_list(struct catalog *c, struct view v, int32_t day, int64_t after, unsigned limit,
		 snap_fn *fn, void *user)
{
	READ(db, c);
	struct snap from = {.day = day};
	if (after != 0) {
		/* Its row stays, so the place in the list does too, whether or not it still is
		 * in this view. */
		int r = snapshot_get(db, after, &from, NULL);
		if (r < 0 || from.day > day)
			return r;
		if (from.day < day)
			from.stem[0] = 0;
	}
	CLEANUP(query_done) struct query q = list(db, v, day, from.stem, limit);
	return each(&q, fn, user);
}

int catalog_list_back(struct catalog *c, struct view v, int32_t day, int64_t before, unsigned limit,
		      snap_fn *fn, void *user)
{
	READ(db, c);
	struct snap from;
	int r = snapshot_get(db, before, &from, NULL);
	if (r < 0 || from.day < day)
		return r;
	CLEANUP(query_done)
	struct query q = list_back(db, v, day, from.day > day ? "~" : from.stem, limit);
	return each(&q, fn, user);
}

static struct query next_day(struct db *db, struct view v, int32_t after)
{
	if (v.kind == VIEW_LABEL)
		return STMT(db,
			    "SELECT day FROM label_view WHERE name = ?1 AND day > ?2 ORDER BY day "
			    "LIMIT 1",
			    I(v.id), I(after));
	if (v.kind == VIEW_STARRED)
		return STMT(db,
			    "SELECT day FROM snapshot INDEXED BY snapshot_starred "
			    "WHERE starred = 1 AND gone = 0 AND day > ?1 ORDER BY day LIMIT 1",
			    I(after));
	return STMT(db, "SELECT day FROM tally WHERE camera = ?1 AND day > ?2 ORDER BY day LIMIT 1",
		    I(v.kind == VIEW_CAMERA ? v.id : 0), I(after));
}

int catalog_next_day(struct catalog *c, struct view v, int32_t after, int32_t *ret)
{
	READ(db, c);
	CLEANUP(query_done) struct query q = next_day(db, v, after);
	int r = query_one(&q);
	if (r < 0)
		return r;
	*ret = (int32_t)col_int(&q, 0);
	return 0;
}

int catalog_each(struct catalog *c, int64_t after_id, unsigned limit, snap_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS
	      " FROM snapshot s WHERE s.id > ?1 AND s.gone = 0 ORDER BY s.id LIMIT ?2",
	      I(after_id), I(limit));
	return each(&q, fn, user);
}

int catalog_labels_of(struct catalog *c, int64_t id, label_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db, "SELECT DISTINCT name FROM label WHERE snapshot = ?1 ORDER BY name", I(id));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = fn(user, col_int(&q, 0));
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_places(struct catalog *c, int64_t id, struct place *ret, size_t max, size_t *ret_n)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT store, size, key, etag FROM object WHERE snapshot = ?1 AND sidecar = 0 "
	      "AND outcome = 0 "
	      "ORDER BY store, key LIMIT ?2",
	      I(id), I(max < 16 ? max : 16));
	size_t n = 0;
	int r;
	while ((r = query_next(&q)) > 0) {
		struct place *p = &ret[n++];
		p->store = col_int(&q, 0);
		p->size = (uint64_t)col_int(&q, 1);
		col_copy(&q, 2, p->key, sizeof(p->key));
		col_copy(&q, 3, p->etag, sizeof(p->etag));
	}
	if (r == 0)
		*ret_n = n;
	return r;
}
