/* label.c - names of labels as directories: found, listed, made, renamed; which of them are there.
 *
 * A row is a name for ever: a rename changes the row's text, and a name that is free again is taken
 * by swapping texts, so an id means the same pictures before and after. */
#include <errno.h>
#include <string.h>

#include "db.h"

#define NAME_LISTED "(n.visible = 1 OR n.made_us > 0)"
#define NAME_THERE "(n.visible = 1 OR n.made_us > 0 OR n.emptied_us > 0)"
#define KIND_LISTED                                                                          \
	"(k.made_us > 0 OR EXISTS(SELECT 1 FROM label_name n INDEXED BY label_listed WHERE " \
	"n.kind = k.id AND " NAME_LISTED "))"
#define KIND_THERE "(k.emptied_us > 0 OR " KIND_LISTED ")"

static int one_label(struct query *q, struct label_row *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct label_row){.id = col_int(q, 0), .kind = col_int(q, 1)};
	col_copy(q, 2, ret->name, sizeof(ret->name));
	return 0;
}

int catalog_kind_next(struct catalog *c, const char *after, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT k.id, 0, k.name FROM label_kind k WHERE k.name > ?1 AND " KIND_LISTED
	      " ORDER BY k.name LIMIT 1",
	      T(after));
	return one_label(&q, ret);
}

int catalog_kind_find(struct catalog *c, const char *name, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT k.id, 0, k.name FROM label_kind k WHERE k.name = ?1 AND " KIND_THERE,
	      T(name));
	return one_label(&q, ret);
}

int catalog_label_next(struct catalog *c, int64_t kind, const char *after, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT n.id, n.kind, n.name FROM label_name n INDEXED BY label_listed WHERE "
	      "n.kind = ?1 AND n.name > ?2 AND " NAME_LISTED " ORDER BY n.name LIMIT 1",
	      I(kind), T(after));
	return one_label(&q, ret);
}

int catalog_label_find(struct catalog *c, int64_t kind, const char *name, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT n.id, n.kind, n.name FROM label_name n WHERE n.kind = ?1 AND n.name = ?2 "
	      "AND " NAME_THERE,
	      I(kind), T(name));
	return one_label(&q, ret);
}

static int label_there(struct db *db, int64_t id, bool is_kind, struct label_row *ret)
{
	CLEANUP(query_done)
	struct query q =
		is_kind ? STMT(db,
			       "SELECT k.id, 0, k.name FROM label_kind k WHERE k.id = ?1 AND "
			       "" KIND_THERE,
			       I(id))
			: STMT(db,
			       "SELECT n.id, n.kind, n.name FROM label_name n WHERE n.id = ?1 "
			       "AND " NAME_THERE,
			       I(id));
	return one_label(&q, ret);
}

int catalog_label(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret)
{
	READ(db, c);
	return label_there(db, id, is_kind, ret);
}

int label_name_get(struct db *db, int64_t id, bool is_kind, struct label_row *ret)
{
	CLEANUP(query_done)
	struct query q =
		is_kind ? STMT(db, "SELECT id, 0, name FROM label_kind WHERE id = ?1", I(id))
			: STMT(db, "SELECT id, kind, name FROM label_name WHERE id = ?1", I(id));
	return one_label(&q, ret);
}

int catalog_label_name(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret)
{
	READ(db, c);
	return label_name_get(db, id, is_kind, ret);
}

static int kind_id(struct db *db, const char *name, int64_t *ret)
{
	int r = ONE(db, ret, "SELECT id FROM label_kind WHERE name = ?1", T(name));
	if (r != -ENOENT)
		return r;
	r = RUN(db, "INSERT INTO label_kind(name) VALUES(?1)", T(name));
	if (r == 0)
		*ret = db_last_id(db);
	return r;
}

static int value_id(struct db *db, int64_t kind, const char *name, int64_t *ret)
{
	int r = ONE(db, ret, "SELECT id FROM label_name WHERE kind = ?1 AND name = ?2", I(kind),
		    T(name));
	if (r != -ENOENT)
		return r;
	r = RUN(db, "INSERT INTO label_name(kind, name) VALUES(?1, ?2)", I(kind), T(name));
	if (r == 0)
		*ret = db_last_id(db);
	return r;
}

int label_name_id(struct db *db, const char *kind, const char *value, int64_t *ret)
{
	int64_t id;
	int r = kind_id(db, kind, &id);
	return r < 0 ? r : value_id(db, id, value, ret);
}

/* ---- which of them are there ---- */
static int emit_row(struct db *db, const struct label_row *row)
{
	return emit_labels(db, row->kind, row->id, row->name);
}

/* A value and its kind came to, or left, their listings. */
static int emit_both(struct db *db, int64_t label)
{
	struct label_row value, kind;
	int r = label_name_get(db, label, false, &value);
	if (r == 0)
		r = label_name_get(db, value.kind, true, &kind);
	if (r == 0)
		r = emit_row(db, &value);
	return r < 0 ? r : emit_row(db, &kind);
}

static int shown(struct db *db, int64_t label)
{
	int r = RUN(db,
		    "UPDATE label_name SET visible = 1, made_us = 0, emptied_us = 0 WHERE id = ?1 "
		    "AND visible = 0",
		    I(label));
	if (r < 0 || db_changes(db) == 0)
		return r;
	r = RUN(db,
		"UPDATE label_kind SET made_us = 0, emptied_us = 0 WHERE id = (SELECT kind FROM "
		"label_name WHERE id = ?1)",
		I(label));
	return r < 0 ? r : emit_both(db, label);
}

static int maybe_emptied(struct db *db, int64_t label)
{
	int r = RUN(db,
		    "UPDATE label_name SET visible = 0, emptied_us = ?2 WHERE id = ?1 AND "
		    "visible = 1 AND NOT EXISTS(SELECT 1 FROM label_view v WHERE v.name = ?1)",
		    I(label), I(now_us()));
	if (r < 0 || db_changes(db) == 0)
		return r;
	r = RUN(db,
		"UPDATE label_kind SET emptied_us = ?2 WHERE id = (SELECT kind FROM label_name "
		"WHERE id = ?1)",
		I(label), I(now_us()));
	return r < 0 ? r : emit_both(db, label);
}

int label_view_set(struct db *db, const struct snap *s, int64_t label, bool in)
{
	int r = in ? RUN(db,
			 "INSERT OR REPLACE INTO label_view(name, day, stem, snapshot) "
			 "VALUES(?1, ?2, ?3, ?4)",
			 I(label), I(s->day), T(s->stem), I(s->id))
		   : RUN(db, "DELETE FROM label_view WHERE name = ?1 AND day = ?2 AND stem = ?3",
			 I(label), I(s->day), T(s->stem));
	if (r == 0)
		r = emit(db, CHANGE_LABEL, s, label);
	if (r < 0)
		return r;
	return in ? shown(db, label) : maybe_emptied(db, label);
}

static int expire(struct db *db, void *arg)
{
	const int64_t *before = arg;
	int r = 0;
	QUERY(q, db,
	      "SELECT n.id, n.kind, n.name FROM label_name n INDEXED BY label_passing WHERE "
	      "(n.made_us > 0 OR n.emptied_us > 0) AND max(n.made_us, n.emptied_us) <= ?1",
	      I(*before));
	struct label_row row;
	while ((r = one_label(&q, &row)) == 0) {
		r = RUN(db, "UPDATE label_name SET made_us = 0, emptied_us = 0 WHERE id = ?1",
			I(row.id));
		if (r == 0)
			r = emit_both(db, row.id);
		if (r < 0)
			return r;
	}
	if (r != -ENOENT)
		return r;
	QUERY(k, db,
	      "SELECT id, 0, name FROM label_kind WHERE (made_us > 0 OR emptied_us > 0) AND "
	      "max(made_us, emptied_us) <= ?1",
	      I(*before));
	while ((r = one_label(&k, &row)) == 0) {
		r = RUN(db, "UPDATE label_kind SET made_us = 0, emptied_us = 0 WHERE id = ?1",
			I(row.id));
		if (r == 0)
			r = emit_row(db, &row);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

int catalog_labels_expire(struct catalog *c, int64_t now)
{
	int64_t before = now - LABEL_STAYS_US, any;
	READ(db, c);
	int r = ONE(db, &any,
		    "SELECT EXISTS(SELECT 1 FROM label_name INDEXED BY label_passing WHERE "
		    "(made_us > 0 OR emptied_us > 0) AND max(made_us, emptied_us) <= ?1) OR "
		    "EXISTS(SELECT 1 FROM label_kind WHERE (made_us > 0 OR emptied_us > 0) AND "
		    "max(made_us, emptied_us) <= ?1)",
		    I(before));
	return r < 0 || !any ? r : db_write(c, expire, &before, false);
}

/* ---- mkdir, rmdir ---- */
bool label_name_ok(const char *name)
{
	char clean[LABEL_MAX + 1];
	label_name_from(name, clean);
	return name[0] && strcmp(name, clean) == 0;
}

struct make {
	int64_t kind, id; /* kind 0: make one */
	const char *name;
};

static int make(struct db *db, void *arg)
{
	struct make *a = arg;
	struct label_row row = {.kind = a->kind};
	int r = a->kind ? label_there(db, a->kind, true, &row) : 0;
	if (r == 0)
		r = a->kind ? value_id(db, a->kind, a->name, &a->id) : kind_id(db, a->name, &a->id);
	if (r < 0)
		return r;
	int64_t listed;
	r = a->kind ? ONE(db, &listed, "SELECT " NAME_LISTED " FROM label_name n WHERE n.id = ?1",
			  I(a->id))
		    : ONE(db, &listed, "SELECT " KIND_LISTED " FROM label_kind k WHERE k.id = ?1",
			  I(a->id));
	if (r < 0 || listed)
		return r < 0 ? r : -EEXIST;
	r = a->kind ? RUN(db, "UPDATE label_name SET made_us = ?2, emptied_us = 0 WHERE id = ?1",
			  I(a->id), I(now_us()))
		    : RUN(db, "UPDATE label_kind SET made_us = ?2, emptied_us = 0 WHERE id = ?1",
			  I(a->id), I(now_us()));
	if (r < 0)
		return r;
	if (a->kind)
		return emit_both(db, a->id);
	return emit_labels(db, 0, a->id, a->name);
}

static int make_label(struct catalog *c, struct make *a, int64_t *ret_id)
{
	if (!label_name_ok(a->name))
		return -EINVAL;
	int r = db_write(c, make, a, false);
	if (r == 0)
		*ret_id = a->id;
	return r;
}

int catalog_kind_make(struct catalog *c, const char *name, int64_t *ret_id)
{
	return make_label(c, &(struct make){.name = name}, ret_id);
}

int catalog_label_make(struct catalog *c, int64_t kind, const char *name, int64_t *ret_id)
{
	return make_label(c, &(struct make){.kind = kind, .name = name}, ret_id);
}

struct which {
	int64_t id;
	bool is_kind;
};

static int unmake(struct db *db, void *arg)
{
	const struct which *a = arg;
	struct label_row row;
	int64_t full;
	int r = label_there(db, a->id, a->is_kind, &row);
	if (r == 0)
		r = a->is_kind ? ONE(db, &full,
				     "SELECT EXISTS(SELECT 1 FROM label_name n INDEXED BY "
				     "label_listed WHERE n.kind = ?1 AND " NAME_LISTED ")",
				     I(a->id))
			       : ONE(db, &full, "SELECT visible FROM label_name WHERE id = ?1",
				     I(a->id));
	if (r < 0 || full)
		return r < 0 ? r : -ENOTEMPTY;
	if (!a->is_kind) {
		r = RUN(db, "UPDATE label_name SET made_us = 0, emptied_us = 0 WHERE id = ?1",
			I(a->id));
		/* Its kind may have been there for it alone. */
		return r < 0 ? r : emit_both(db, a->id);
	}
	r = RUN(db, "UPDATE label_kind SET made_us = 0, emptied_us = 0 WHERE id = ?1", I(a->id));
	if (r == 0)
		r = RUN(db,
			"UPDATE label_name SET emptied_us = 0 WHERE kind = ?1 AND emptied_us > 0",
			I(a->id));
	return r < 0 ? r : emit_row(db, &row);
}

int catalog_label_unmake(struct catalog *c, int64_t id, bool is_kind)
{
	struct which a = {id, is_kind};
	return db_write(c, unmake, &a, false);
}
