/* labelset.c - the labels of one snapshot: its rows, and the views that follow them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

/* Of a kind or value as given; its directory's name is cut by label_name_from. */
#define TEXT_MAX SIDECAR_BYTES

/* The text as it was given, unless the directory has got another name since. */
static const char *given(const struct query *q, int text, int name)
{
	char clean[LABEL_MAX + 1];
	if (col_is_null(q, text))
		return col_text(q, name);
	label_name_from(col_text(q, text), clean);
	return col_text(q, strcmp(clean, col_text(q, name)) == 0 ? text : name);
}

int labels_load(struct db *db, int64_t snapshot, int64_t name, struct labels *ret)
{
	QUERY(q, db,
	      "SELECT k.name, n.name, l.by, l.score, l.x, l.y, l.w, l.h, l.kind_text, l.text "
	      "FROM label l "
	      "JOIN label_name n ON n.id = l.name JOIN label_kind k ON k.id = n.kind WHERE "
	      "l.snapshot = ?1 AND (?2 = 0 OR l.name = ?2) ORDER BY l.id",
	      I(snapshot), I(name));
	int r;
	while ((r = query_next(&q)) > 0) {
		struct label l = {
			/* labels_add copies */
			.kind = (char *)given(&q, 8, 0),
			.value = (char *)given(&q, 9, 1),
			.by = col_is_null(&q, 2) ? NULL : (char *)col_text(&q, 2),
			.score = col_real(&q, 3),
			.has_box = !col_is_null(&q, 4),
		};
		for (int i = 0; l.has_box && i < 4; i++)
			l.box[i] = col_real(&q, 4 + i);
		r = labels_add(ret, &l);
		if (r < 0)
			return r;
	}
	return r;
}

bool label_equal(const struct label *a, const struct label *b)
{
	if (strcmp(a->kind, b->kind) != 0 || strcmp(a->value, b->value) != 0 || !a->by != !b->by ||
	    (a->by && strcmp(a->by, b->by) != 0) || a->has_box != b->has_box)
		return false;
	if (isnan(a->score) ? !isnan(b->score) : a->score != b->score)
		return false;
	for (int i = 0; a->has_box && i < 4; i++) {
		if (a->box[i] != b->box[i])
			return false;
	}
	return true;
}

bool label_ok(const struct label *l)
{
	if (!text_ok(l->kind, TEXT_MAX) || !l->kind[0] || !text_ok(l->value, TEXT_MAX) ||
	    !l->value[0] || (l->by && !text_ok(l->by, TEXT_MAX)) || isinf(l->score))
		return false;
	for (int i = 0; l->has_box && i < 4; i++) {
		if (!isfinite(l->box[i]))
			return false;
	}
	return true;
}

int label_insert(struct db *db, int64_t snapshot, const struct label *l)
{
	char kind[LABEL_MAX + 1], value[LABEL_MAX + 1];
	int64_t id;
	label_name_from(l->kind, kind);
	label_name_from(l->value, value);
	int r = label_name_id(db, kind, value, &id);
	if (r < 0)
		return r;
	const double *box = l->has_box ? l->box : (const double[4]){NAN, NAN, NAN, NAN};
	return RUN(db,
		   "INSERT INTO label(snapshot, name, kind_text, text, score, x, y, w, h, by) "
		   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		   I(snapshot), I(id), T(strcmp(kind, l->kind) != 0 ? l->kind : NULL),
		   T(strcmp(value, l->value) != 0 ? l->value : NULL), F(l->score), F(box[0]),
		   F(box[1]), F(box[2]), F(box[3]), T(l->by));
}

int label_names_load(struct db *db, int64_t snapshot, struct label_names *ret)
{
	QUERY(q, db, "SELECT DISTINCT name FROM label WHERE snapshot = ?1 ORDER BY name",
	      I(snapshot));
	int r;
	ret->n = 0;
	while ((r = query_next(&q)) > 0 && ret->n < LABELS_LIMIT)
		ret->id[ret->n++] = col_int(&q, 0);
	return r < 0 ? r : 0;
}

/* The views follow: only what really left or came is told. */
static int view_change(struct db *db, const struct snap *s, const struct label_names *old,
		       const struct label_names *new)
{
	int r = 0;
	for (size_t i = 0, k = 0; r == 0 && (i < old->n || k < new->n);) {
		if (k == new->n || (i < old->n && old->id[i] < new->id[k]))
			r = label_view_set(db, s, old->id[i++], false);
		else if (i == old->n || new->id[k] < old->id[i])
			r = label_view_set(db, s, new->id[k++], true);
		else
			i++, k++;
	}
	return r;
}

int labels_settle(struct db *db, struct snap *s, bool gone, const struct label_names *old)
{
	CLEANUP(freep) struct label_names *new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	int r = label_names_load(db, s->id, new);
	if (r == 0 && !gone)
		r = view_change(db, s, old, new);
	s->links = (unsigned)(2 + new->n + s->starred);
	if (r == 0)
		r = RUN(db, "UPDATE snapshot SET looked = 1, links = ?2 WHERE id = ?1", I(s->id),
			I(s->links));
	return r;
}
