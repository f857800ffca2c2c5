/* facts.c - what queries ask of pictures beside their rows. */
#include <errno.h>

#include "db.h"

int catalog_label_names(struct catalog *c, int64_t id, label_name_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT k.name, n.name, l.by FROM label l JOIN label_name n ON n.id = l.name JOIN "
	      "label_kind k ON k.id = n.kind WHERE l.snapshot = ?1 ORDER BY l.id",
	      I(id));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = fn(user, col_text(&q, 0), col_text(&q, 1), col_text(&q, 2));
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_text(struct catalog *c, int64_t id, struct picture_text *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT comment, rating FROM snapshot_text WHERE snapshot = ?1", I(id));
	struct picture_text t = {0};
	int r = query_next(&q);
	if (r > 0) {
		t.rating = (unsigned)col_int(&q, 1);
		r = col_dup(&q, 0, &t.comment);
	}
	if (r == 0)
		*ret = t;
	return r;
}

int catalog_day_of(struct catalog *c, int64_t id, int32_t *ret)
{
	READ(db, c);
	int64_t day;
	int r = ONE(db, &day, "SELECT day FROM snapshot WHERE id = ?1", I(id));
	if (r == 0)
		*ret = (int32_t)day;
	return r;
}

static struct query view_rows(struct db *db, struct view v, int64_t limit)
{
	switch (v.kind) {
	case VIEW_LABEL:
		return STMT(db,
			    "SELECT count(*) FROM (SELECT 1 FROM label_view WHERE name = ?1 LIMIT "
			    "?2)",
			    I(v.id), I(limit));
	case VIEW_STARRED:
		return STMT(db,
			    "SELECT count(*) FROM (SELECT 1 FROM snapshot INDEXED BY "
			    "snapshot_starred WHERE starred = 1 AND gone = 0 LIMIT ?1)",
			    I(limit));
	default:
		return STMT(db, "SELECT coalesce(sum(n), 0) FROM tally WHERE camera = ?1",
			    I(v.kind == VIEW_CAMERA ? v.id : 0));
	}
}

int catalog_view_size(struct catalog *c, struct view v, int64_t limit, int64_t *ret)
{
	READ(db, c);
	CLEANUP(query_done) struct query q = view_rows(db, v, limit);
	int r = query_next(&q);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	int64_t n = col_int(&q, 0);
	*ret = n < limit ? n : limit;
	return 0;
}
