/* edit.c - one picture is labelled, starred, rated or commented on by somebody. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

struct edit {
	int64_t id;
	const char *who;
	union {
		const struct label *label;
		const struct labels *tags;
		struct {
			int64_t from, to;
		};
		struct sidecar part; /* borrows */
	};
	/* the transaction's */
	struct db *db;
	struct snap snap;
	struct label_names *before;
};

typedef int edit_fn(struct edit *e);

static int note(struct edit *e, const char *what, const struct label *l)
{
	return history_label(e->db, e->id, e->who, what, l);
}

/* Changes label rows; the rest follows. */
static int edit_labels(struct db *db, struct edit *e, edit_fn *fn)
{
	CLEANUP(freep) struct label_names *before = malloc(sizeof(*before));
	bool gone;
	if (!before)
		return -ENOMEM;
	e->db = db;
	e->before = before;
	int r = snapshot_get(db, e->id, &e->snap, &gone);
	if (r == 0 && gone)
		r = -ENOENT;
	if (r == 0)
		r = label_names_load(db, e->id, before);
	if (r == 0)
		r = fn(e);
	if (r == 0)
		r = labels_settle(db, &e->snap, false, before);
	return r < 0 ? r : sidecar_changed(db, &e->snap);
}

static int run(struct catalog *c, write_fn *fn, struct edit *e, const char *by)
{
	e->who = by ? by : "";
	return text_ok(e->who, NAME_LIMIT) ? db_write(c, fn, e, false) : -EINVAL;
}

static bool has_name(const struct label_names *names, int64_t id)
{
	for (size_t i = 0; i < names->n; i++) {
		if (names->id[i] == id)
			return true;
	}
	return false;
}

static int add_row(struct edit *e, const struct label *l)
{
	int64_t n;
	int r = ONE(e->db, &n, "SELECT count(*) FROM label WHERE snapshot = ?1", I(e->id));
	if (r == 0 && n >= LABELS_LIMIT)
		r = -E2BIG;
	if (r == 0)
		r = label_insert(e->db, e->id, l);
	return r < 0 ? r : note(e, "label added", l);
}

static int remove_rows(struct edit *e, int64_t name)
{
	CLEANUP(labels_done) struct labels old = {0};
	int r = labels_load(e->db, e->id, name, &old);
	for (size_t i = 0; r == 0 && i < old.n; i++)
		r = note(e, "label removed", &old.item[i]);
	if (r == 0)
		r = RUN(e->db, "DELETE FROM label WHERE snapshot = ?1 AND name = ?2", I(e->id),
			I(name));
	return r;
}

/* ---- one more ---- */
static bool has_box(const struct labels *l, const double box[4])
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->item[i].has_box && memcmp(l->item[i].box, box, 4 * sizeof(box[0])) == 0)
			return true;
	}
	return false;
}

static int add(struct edit *e)
{
	CLEANUP(labels_done) struct labels old = {0};
	char kind[LABEL_MAX + 1], value[LABEL_MAX + 1];
	int64_t name;
	label_name_from(e->label->kind, kind);
	label_name_from(e->label->value, value);
	int r = label_name_id(e->db, kind, value, &name);
	if (r == 0)
		r = labels_load(e->db, e->id, name, &old);
	if (r < 0)
		return r;
	if (old.n > 0 && (!e->label->has_box || has_box(&old, e->label->box)))
		return -EEXIST;
	return add_row(e, e->label);
}

static int add_tx(struct db *db, void *arg)
{
	return edit_labels(db, arg, add);
}

int catalog_label_add(struct catalog *c, int64_t id, const struct label *l)
{
	struct edit e = {.id = id, .label = l};
	if (!label_ok(l))
		return -EINVAL;
	return run(c, add_tx, &e, l->by);
}

/* A label that is named as its directories are. */
static int label_of(struct db *db, int64_t name, struct label_row row[2], const char *who,
		    struct label *ret)
{
	int r = label_name_get(db, name, false, &row[1]);
	if (r == 0)
		r = label_name_get(db, row[1].kind, true, &row[0]);
	if (r == 0)
		*ret = (struct label){.kind = row[0].name,
				      .value = row[1].name,
				      .by = who[0] ? (char *)who : NULL,
				      .score = NAN};
	return r;
}

static int tag(struct edit *e)
{
	struct label_row row[2];
	struct label l;
	int r = label_of(e->db, e->to, row, e->who, &l);
	if (r == 0 && has_name(e->before, e->to))
		r = -EEXIST;
	return r < 0 ? r : add_row(e, &l);
}

static int tag_tx(struct db *db, void *arg)
{
	return edit_labels(db, arg, tag);
}

int catalog_label_tag(struct catalog *c, int64_t id, int64_t label, const char *by)
{
	struct edit e = {.id = id, .to = label};
	return run(c, tag_tx, &e, by);
}

/* ---- one less, another one ---- */
static int remove_label(struct edit *e)
{
	return has_name(e->before, e->from) ? remove_rows(e, e->from) : -ENOENT;
}

static int remove_tx(struct db *db, void *arg)
{
	return edit_labels(db, arg, remove_label);
}

int catalog_label_remove(struct catalog *c, int64_t id, int64_t label, const char *by)
{
	struct edit e = {.id = id, .from = label};
	return run(c, remove_tx, &e, by);
}

static int move(struct edit *e)
{
	CLEANUP(labels_done) struct labels old = {0};
	struct label_row row[2];
	struct label l;
	if (!has_name(e->before, e->from))
		return -ENOENT;
	int r = label_of(e->db, e->to, row, e->who, &l);
	if (r < 0 || e->from == e->to)
		return r;
	r = labels_load(e->db, e->id, e->from, &old);
	if (r == 0)
		r = remove_rows(e, e->from);
	for (size_t i = 0; r == 0 && !has_name(e->before, e->to) && i < old.n; i++) {
		l.has_box = old.item[i].has_box;
		memcpy(l.box, old.item[i].box, sizeof(l.box));
		r = add_row(e, &l);
	}
	return r;
}

static int move_tx(struct db *db, void *arg)
{
	return edit_labels(db, arg, move);
}

int catalog_label_move(struct catalog *c, int64_t id, int64_t from, int64_t to, const char *by)
{
	struct edit e = {.id = id, .from = from, .to = to};
	return run(c, move_tx, &e, by);
}

/* ---- the set of names ---- */
static int tags(struct edit *e)
{
	CLEANUP(freep) struct label_names *want = malloc(sizeof(*want));
	char kind[LABEL_MAX + 1], value[LABEL_MAX + 1];
	const struct labels *l = e->tags;
	int r = want ? 0 : -ENOMEM;
	if (r == 0)
		want->n = 0;
	for (size_t i = 0; r == 0 && i < l->n; i++) {
		struct label one = {.kind = kind,
				    .value = value,
				    .by = e->who[0] ? (char *)e->who : NULL,
				    .score = NAN};
		int64_t id;
		label_name_from(l->item[i].kind, kind);
		label_name_from(l->item[i].value, value);
		r = label_name_id(e->db, kind, value, &id);
		if (r < 0 || has_name(want, id))
			continue;
		want->id[want->n++] = id;
		if (!has_name(e->before, id))
			r = add_row(e, &one);
	}
	for (size_t i = 0; r == 0 && i < e->before->n; i++) {
		if (!has_name(want, e->before->id[i]))
			r = remove_rows(e, e->before->id[i]);
	}
	return r;
}

static int tags_tx(struct db *db, void *arg)
{
	return edit_labels(db, arg, tags);
}

int catalog_tags(struct catalog *c, int64_t id, const struct labels *want, const char *by)
{
	struct edit e = {.id = id, .tags = want};
	if (want->n > LABELS_LIMIT)
		return -E2BIG;
	for (size_t i = 0; i < want->n; i++) {
		if (!label_ok(&want->item[i]))
			return -EINVAL;
	}
	return run(c, tags_tx, &e, by);
}

/* ---- star, comment, rating: the part of a sidecar that says them ---- */
static int part_tx(struct db *db, void *arg)
{
	const struct edit *e = arg;
	const struct merge_how how = {.who = e->who, .note_added = true, .strict = true};
	struct snap s;
	bool gone, changed;
	int r = snapshot_get(db, e->id, &s, &gone);
	if (r == 0 && gone)
		r = -ENOENT;
	if (r == 0)
		r = sidecar_merge(db, e->id, &e->part, &how, &changed);
	return r < 0 || !changed ? r : sidecar_enqueue(db, e->id, 0);
}

int catalog_star(struct catalog *c, int64_t id, bool starred, const char *by)
{
	struct edit e = {.id = id, .part = {.starred = starred, .has_starred = true}};
	return run(c, part_tx, &e, by);
}

int catalog_comment(struct catalog *c, int64_t id, const char *text, const char *by)
{
	struct edit e = {.id = id, .part = {.comment = (char *)(text ? text : "")}};
	return run(c, part_tx, &e, by);
}

int catalog_rating(struct catalog *c, int64_t id, unsigned rating, const char *by)
{
	struct edit e = {.id = id, .part = {.rating = rating, .has_rating = true}};
	return run(c, part_tx, &e, by);
}
