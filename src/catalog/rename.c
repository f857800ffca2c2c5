/* rename.c - a label or a kind gets another name: one row now, the sidecars of its pictures in steps. */
#include <errno.h>
#include <string.h>

#include "db.h"
#include "shutterfs/codec.h"

struct rename {
	int64_t id, kind; /* kind: where a value is to be */
	bool is_kind;
	const char *name, *who;
};

/* The row that has the new name: 0 in *ret: none.  -ENOTEMPTY: it is in use. */
static int in_the_way(struct db *db, const struct rename *a, int64_t *ret)
{
	CLEANUP(query_done)
	struct query q =
		a->is_kind
			? STMT(db,
			       "SELECT k.id, EXISTS(SELECT 1 FROM label_name n INDEXED BY "
			       "label_listed WHERE n.kind = k.id AND (n.visible = 1 OR n.made_us > "
			       "0)) FROM label_kind k WHERE k.name = ?1",
			       T(a->name))
			: STMT(db,
			       "SELECT id, visible FROM label_name WHERE kind = ?1 AND name = ?2",
			       I(a->kind), T(a->name));
	int r = query_next(&q);
	if (r > 0 && col_int(&q, 1) != 0)
		return -ENOTEMPTY;
	*ret = r > 0 ? col_int(&q, 0) : 0;
	return r < 0 ? r : 0;
}

static int set_name(struct db *db, bool is_kind, int64_t id, int64_t kind, const char *name)
{
	return is_kind ? RUN(db, "UPDATE label_kind SET name = ?2 WHERE id = ?1", I(id), T(name))
		       : RUN(db, "UPDATE label_name SET kind = ?2, name = ?3 WHERE id = ?1", I(id),
			     I(kind), T(name));
}

/* No directory has a '/' in its name, so this one is free. */
static int step_aside(struct db *db, const struct rename *a, int64_t other,
		      const struct label_row *old)
{
	int r = set_name(db, a->is_kind, other, a->kind, "/");
	if (r == 0)
		r = set_name(db, a->is_kind, a->id, a->kind, a->name);
	if (r == 0)
		r = set_name(db, a->is_kind, other, old->kind, old->name);
	if (r < 0)
		return r;
	return a->is_kind
		       ? RUN(db, "UPDATE label_kind SET made_us = 0, emptied_us = 0 WHERE id = ?1",
			     I(other))
		       : RUN(db, "UPDATE label_name SET made_us = 0, emptied_us = 0 WHERE id = ?1",
			     I(other));
}

/* ---- what the sidecars have yet to say ---- */
static int remember(struct db *db, const struct rename *a, int64_t label, const char *kind,
		    const char *value)
{
	CLEANUP(buf_done) struct buf was = BUF(8 * LABEL_MAX + 64);
	struct json j = {.out = &was};
	json_object(&j, NULL);
	json_string(&j, "kind", kind);
	json_string(&j, "value", value);
	json_end(&j, '}');
	if (was.error < 0)
		return was.error;
	int64_t waits; /* no sidecar says the name that it had in between */
	int r = ONE(db, &waits,
		    "SELECT EXISTS(SELECT 1 FROM relabel WHERE label = ?1 AND stem = '')",
		    I(label));
	if (r < 0 || waits)
		return r;
	return RUN(db, "INSERT INTO relabel(label, at_us, who, was) VALUES(?1, ?2, ?3, ?4)",
		   I(label), I(now_us()), T(a->who), T(was.data));
}

static int remember_all(struct db *db, const struct rename *a, const struct label_row *old,
			const char *old_kind)
{
	if (!a->is_kind)
		return remember(db, a, a->id, old_kind, old->name);
	QUERY(q, db,
	      "SELECT n.id, n.name FROM label_name n INDEXED BY label_listed WHERE n.kind = ?1 "
	      "AND (n.visible = 1 OR n.made_us > 0)",
	      I(a->id));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = remember(db, a, col_int(&q, 0), old->name, col_text(&q, 1));
		if (r < 0)
			return r;
	}
	return r;
}

static int emit_kind(struct db *db, int64_t id)
{
	struct label_row kind;
	int r = label_name_get(db, id, true, &kind);
	return r < 0 ? r : emit_labels(db, 0, id, kind.name);
}

static int tell(struct db *db, const struct rename *a, const struct label_row *old)
{
	int r = emit_labels(db, old->kind, a->id, old->name);
	if (r == 0)
		r = emit_labels(db, a->kind, a->id, a->name);
	if (r < 0 || a->is_kind || a->kind == old->kind)
		return r;
	/* It may have been the only one there, and it may be the only one here. */
	r = RUN(db, "UPDATE label_kind SET emptied_us = ?2 WHERE id = ?1", I(old->kind),
		I(now_us()));
	if (r == 0)
		r = emit_kind(db, old->kind);
	return r < 0 ? r : emit_kind(db, a->kind);
}

static int rename_tx(struct db *db, void *arg)
{
	const struct rename *a = arg;
	struct label_row old, old_kind = {0};
	int64_t other;
	int r = label_name_get(db, a->id, a->is_kind, &old);
	if (r == 0 && !a->is_kind)
		r = label_name_get(db, old.kind, true, &old_kind);
	if (r < 0 || (old.kind == a->kind && strcmp(old.name, a->name) == 0))
		return r;
	r = in_the_way(db, a, &other);
	if (r < 0)
		return r;
	r = other ? step_aside(db, a, other, &old)
		  : set_name(db, a->is_kind, a->id, a->kind, a->name);
	if (r == 0)
		r = remember_all(db, a, &old, old_kind.name);
	return r < 0 ? r : tell(db, a, &old);
}

int catalog_label_rename(struct catalog *c, int64_t id, bool is_kind, int64_t kind,
			 const char *name, const char *by)
{
	struct label_row row;
	struct rename a = {.id = id,
			   .kind = is_kind ? 0 : kind,
			   .is_kind = is_kind,
			   .name = name,
			   .who = by ? by : ""};
	int r = label_name_ok(name) && text_ok(a.who, NAME_LIMIT) ? 0 : -EINVAL;
	if (r == 0)
		r = catalog_label(c, id, is_kind, &row);
	if (r == 0 && !is_kind)
		r = catalog_label(c, kind, true, &row);
	return r < 0 ? r : db_write(c, rename_tx, &a, false);
}

/* ---- the steps ---- */
struct relabel {
	unsigned max;
	bool left;
	/* the row */
	int64_t id, label, at_us;
	int32_t day;
	char stem[STEM_MAX + 1];
	char *who, *was; /* owned */
};

static void relabel_done(struct relabel *a)
{
	freep(&a->who);
	freep(&a->was);
}

static int relabel_row(struct db *db, struct relabel *a)
{
	QUERY(q, db,
	      "SELECT id, label, at_us, day, stem, who, was FROM relabel ORDER BY id LIMIT 1");
	int r = query_one(&q);
	if (r < 0)
		return r;
	a->id = col_int(&q, 0);
	a->label = col_int(&q, 1);
	a->at_us = col_int(&q, 2);
	a->day = (int32_t)col_int(&q, 3);
	col_copy(&q, 4, a->stem, sizeof(a->stem));
	r = col_dup(&q, 5, &a->who);
	return r < 0 ? r : col_dup(&q, 6, &a->was);
}

static int relabel_one(struct db *db, const struct relabel *a, int64_t snapshot)
{
	struct snap s;
	int r = snapshot_get(db, snapshot, &s, NULL);
	if (r == 0)
		r = history_add(db, snapshot,
				&(struct history){a->at_us, a->who, "label renamed", a->was});
	if (r == 0)
		r = sidecar_touched(db, &s, false);
	return r < 0 ? r : sidecar_enqueue(db, s.id, 0);
}

static int relabel_step(struct db *db, void *arg)
{
	struct relabel *a = arg;
	unsigned n = 0;
	int r = relabel_row(db, a);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	QUERY(q, db,
	      "SELECT snapshot, day, stem FROM label_view WHERE name = ?1 AND (day, stem) > (?2, "
	      "?3) ORDER BY day, stem LIMIT ?4",
	      I(a->label), I(a->day), T(a->stem), I(a->max));
	while ((r = query_next(&q)) > 0) {
		n++;
		r = relabel_one(db, a, col_int(&q, 0));
		if (r < 0)
			return r;
		a->day = (int32_t)col_int(&q, 1);
		col_copy(&q, 2, a->stem, sizeof(a->stem));
	}
	if (r < 0)
		return r;
	a->left = true; /* perhaps another row */
	if (n < a->max)
		return RUN(db, "DELETE FROM relabel WHERE id = ?1", I(a->id));
	return RUN(db, "UPDATE relabel SET day = ?2, stem = ?3 WHERE id = ?1", I(a->id), I(a->day),
		   T(a->stem));
}

int catalog_relabel_step(struct catalog *c, unsigned max, bool *ret_left)
{
	CLEANUP(relabel_done) struct relabel a = {.max = max};
	int64_t any;
	READ(db, c);
	int r = ONE(db, &any, "SELECT EXISTS(SELECT 1 FROM relabel)");
	if (r == 0 && any)
		r = db_write(c, relabel_step, &a, false);
	if (r == 0)
		*ret_left = a.left;
	return r;
}
