/* label.c - label names as directories, and sidecars: taken in for a snapshot (labels, star,
 * documents) and given back whole. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

/* Of a kind or value as given; its directory's name is cut by label_name_from. */
#define TEXT_MAX SIDECAR_BYTES
#define LABELS_LIMIT 10000

/* ---- names: only those with a visible snapshot are there ---- */
#define NAME_VISIBLE "EXISTS(SELECT 1 FROM label_view v WHERE v.name = n.id)"
#define KIND_VISIBLE "EXISTS(SELECT 1 FROM label_name n WHERE n.kind = k.id AND " NAME_VISIBLE ")"

static int one_label(struct query *q, struct label_row *ret)
{
	int r = query_next(q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = (struct label_row){.id = col_int(q, 0), .kind = col_int(q, 1)};
	col_copy(q, 2, ret->name, sizeof(ret->name));
	return 0;
}

int catalog_kind_next(struct catalog *c, const char *after, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT k.id, 0, k.name FROM label_kind k WHERE k.name > ?1 AND " KIND_VISIBLE
	      " ORDER BY k.name LIMIT 1",
	      T(after));
	return one_label(&q, ret);
}

int catalog_kind_find(struct catalog *c, const char *name, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT k.id, 0, k.name FROM label_kind k WHERE k.name = ?1 AND " KIND_VISIBLE,
	      T(name));
	return one_label(&q, ret);
}

int catalog_label_next(struct catalog *c, int64_t kind, const char *after, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT n.id, n.kind, n.name FROM label_name n WHERE n.kind = ?1 AND n.name > ?2 "
	      "AND " NAME_VISIBLE " ORDER BY n.name LIMIT 1",
	      I(kind), T(after));
	return one_label(&q, ret);
}

int catalog_label_find(struct catalog *c, int64_t kind, const char *name, struct label_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT n.id, n.kind, n.name FROM label_name n WHERE n.kind = ?1 AND n.name = ?2 "
	      "AND " NAME_VISIBLE,
	      I(kind), T(name));
	return one_label(&q, ret);
}

int catalog_label(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret)
{
	READ(db, c);
	CLEANUP(query_done)
	struct query q =
		is_kind ? STMT(db,
			       "SELECT k.id, 0, k.name FROM label_kind k WHERE k.id = ?1 AND "
			       "" KIND_VISIBLE,
			       I(id))
			: STMT(db,
			       "SELECT n.id, n.kind, n.name FROM label_name n WHERE n.id = ?1 "
			       "AND " NAME_VISIBLE,
			       I(id));
	return one_label(&q, ret);
}

int catalog_label_name(struct catalog *c, int64_t id, bool is_kind, struct label_row *ret)
{
	READ(db, c);
	CLEANUP(query_done)
	struct query q =
		is_kind ? STMT(db, "SELECT id, 0, name FROM label_kind WHERE id = ?1", I(id))
			: STMT(db, "SELECT id, kind, name FROM label_name WHERE id = ?1", I(id));
	return one_label(&q, ret);
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

static int name_id(struct db *db, int64_t kind, const char *name, int64_t *ret)
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

/* ---- the labels of one snapshot ---- */
int labels_load(struct db *db, int64_t snapshot, struct labels *ret)
{
	QUERY(q, db,
	      "SELECT coalesce(l.kind_text, k.name), coalesce(l.text, n.name), l.by, l.score, "
	      "l.x, l.y, l.w, l.h FROM label l "
	      "JOIN label_name n ON n.id = l.name JOIN label_kind k ON k.id = n.kind WHERE "
	      "l.snapshot = ?1 ORDER BY l.id",
	      I(snapshot));
	int r;
	while ((r = query_next(&q)) > 0) {
		struct label l = {
			/* labels_add copies */
			.kind = (char *)col_text(&q, 0),
			.value = (char *)col_text(&q, 1),
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

static bool label_equal(const struct label *a, const struct label *b)
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

static bool labels_equal(const struct labels *a, const struct labels *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!label_equal(&a->item[i], &b->item[i]))
			return false;
	}
	return true;
}

static bool label_ok(const struct label *l)
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

static int label_insert(struct db *db, int64_t snapshot, const struct label *l)
{
	char kind[LABEL_MAX + 1], value[LABEL_MAX + 1];
	int64_t id;
	label_name_from(l->kind, kind);
	label_name_from(l->value, value);
	int r = kind_id(db, kind, &id);
	if (r == 0)
		r = name_id(db, id, value, &id);
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

struct names { /* the label names of a snapshot, each once, ascending */
	int64_t id[LABELS_LIMIT];
	size_t n;
};

static int names_load(struct db *db, int64_t snapshot, struct names *ret)
{
	QUERY(q, db, "SELECT DISTINCT name FROM label WHERE snapshot = ?1 ORDER BY name",
	      I(snapshot));
	int r;
	ret->n = 0;
	while ((r = query_next(&q)) > 0 && ret->n < LABELS_LIMIT)
		ret->id[ret->n++] = col_int(&q, 0);
	return r < 0 ? r : 0;
}

static int view_name(struct db *db, const struct snap *s, int64_t name, bool add)
{
	int r = add ? RUN(db,
			  "INSERT OR REPLACE INTO label_view(name, day, stem, snapshot) "
			  "VALUES(?1, ?2, ?3, ?4)",
			  I(name), I(s->day), T(s->stem), I(s->id))
		    : RUN(db, "DELETE FROM label_view WHERE name = ?1 AND day = ?2 AND stem = ?3",
			  I(name), I(s->day), T(s->stem));
	return r < 0 ? r : emit(db, CHANGE_LABEL, s, name);
}

/* The views follow: only what really left or came is told. */
static int view_change(struct db *db, const struct snap *s, const struct names *old,
		       const struct names *new)
{
	int r = 0;
	for (size_t i = 0, k = 0; r == 0 && (i < old->n || k < new->n);) {
		if (k == new->n || (i < old->n && old->id[i] < new->id[k]))
			r = view_name(db, s, old->id[i++], false);
		else if (i == old->n || new->id[k] < old->id[i])
			r = view_name(db, s, new->id[k++], true);
		else
			i++, k++;
	}
	return r;
}

struct merge {
	struct db *db;
	struct snap snap;
	bool gone, changed;
};

static int replace_labels(struct merge *m, const struct labels *l)
{
	CLEANUP(freep) struct names *old = malloc(sizeof(*old));
	CLEANUP(freep) struct names *new = malloc(sizeof(*new));
	if (!old || !new)
		return -ENOMEM;
	int r = names_load(m->db, m->snap.id, old);
	if (r == 0)
		r = RUN(m->db, "DELETE FROM label WHERE snapshot = ?1", I(m->snap.id));
	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = label_insert(m->db, m->snap.id, &l->item[i]);
	if (r == 0)
		r = names_load(m->db, m->snap.id, new);
	if (r == 0 && !m->gone)
		r = view_change(m->db, &m->snap, old, new);
	if (r == 0)
		r = RUN(m->db, "UPDATE snapshot SET looked = 1, links = ?2 WHERE id = ?1",
			I(m->snap.id), I(2 + new->n + m->snap.starred));
	m->changed = true;
	return r;
}

static int merge_labels(struct merge *m, const struct labels *l)
{
	if (!l->looked)
		return 0;
	if (l->n > LABELS_LIMIT)
		return -E2BIG;
	for (size_t i = 0; i < l->n; i++) {
		if (!label_ok(&l->item[i]))
			return -EINVAL;
	}
	int64_t looked;
	int r = ONE(m->db, &looked, "SELECT looked FROM snapshot WHERE id = ?1", I(m->snap.id));
	if (r < 0)
		return r;
	CLEANUP(labels_done) struct labels old = {0};
	r = labels_load(m->db, m->snap.id, &old);
	if (r < 0 || (looked && labels_equal(&old, l)))
		return r;
	return replace_labels(m, l);
}

static int merge_star(struct merge *m, const struct sidecar *s)
{
	if (!s->has_starred || s->starred == m->snap.starred)
		return 0;
	int r = RUN(m->db, "UPDATE snapshot SET starred = ?2, links = links + ?3 WHERE id = ?1",
		    I(m->snap.id), I(s->starred), I(s->starred ? 1 : -1));
	m->snap.starred = s->starred;
	m->changed = true;
	if (r == 0 && !m->gone)
		r = emit(m->db, CHANGE_LABEL, &m->snap, 0);
	return r;
}

static int merge_texts(struct merge *m, const struct sidecar *s)
{
	const char *text[] = {s->documents, s->event, s->origin, s->extra, s->unknown};
	bool any = false;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		if (text[i] && !text_ok(text[i], SIDECAR_BYTES))
			return -EINVAL;
		any = any || text[i];
	}
	if (!any)
		return 0;
	int r = RUN(
		m->db,
		"INSERT INTO snapshot_text AS t(snapshot, documents, event, origin, extra, "
		"unknown) "
		"VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
		"documents = coalesce(?2, t.documents), event = coalesce(?3, t.event), origin "
		"= coalesce(?4, t.origin), "
		"extra = coalesce(?5, t.extra), unknown = coalesce(?6, t.unknown) WHERE "
		"t.documents IS NOT coalesce(?2, t.documents) OR t.event IS NOT coalesce(?3, "
		"t.event) OR "
		"t.origin IS NOT coalesce(?4, t.origin) OR t.extra IS NOT coalesce(?5, t.extra) OR "
		"t.unknown IS NOT coalesce(?6, t.unknown)",
		I(m->snap.id), T(text[0]), T(text[1]), T(text[2]), T(text[3]), T(text[4]));
	m->changed = m->changed || (r == 0 && db_changes(m->db) > 0);
	return r;
}

/* Our own sidecar object, found in a store, knows what the listing did not tell.  Its hash
 * counts only while the size fits. */
static int merge_facts(struct merge *m, const struct sidecar *s)
{
	size_t len = s->img_id ? strlen(s->img_id) : 0;
	if (len == 0 || strncmp(m->snap.stem, s->img_id, len) != 0 || m->snap.stem[len] != '_' ||
	    s->size != m->snap.size)
		return 0;
	bool sha = s->has_sha && !m->snap.has_sha,
	     dims = m->snap.width == 0 && s->width > 0 && s->height > 0;
	bool taken = s->has_taken && s->taken_us >= 0 && s->zone_min > -1440 &&
		     s->zone_min < 1440 && (unsigned)s->time_source < TIME_SOURCES &&
		     (s->taken_us != m->snap.taken_us || s->zone_min != m->snap.zone_min ||
		      s->time_source != m->snap.time_source);
	int r = 0;
	if (sha || dims || taken) {
		m->changed = true;
		r = RUN(m->db,
			"UPDATE snapshot SET sha256 = ?2, width = ?3, height = ?4, taken_us = "
			"?5, zone_min = ?6, time_source = ?7 "
			"WHERE id = ?1",
			I(m->snap.id), SHA(sha || m->snap.has_sha, sha ? s->sha : m->snap.sha),
			I(dims ? s->width : m->snap.width), I(dims ? s->height : m->snap.height),
			I(taken ? s->taken_us : m->snap.taken_us),
			I(taken ? s->zone_min : m->snap.zone_min),
			I(taken ? s->time_source : m->snap.time_source));
	}
	if (r == 0 && s->group && text_ok(s->group, NAME_LIMIT))
		r = RUN(m->db, "UPDATE camera SET grp = ?2 WHERE id = ?1 AND grp = ''",
			I(m->snap.camera), T(s->group));
	return r;
}

int sidecar_merge(struct db *db, int64_t snapshot, const struct sidecar *s, bool facts,
		  bool *ret_changed)
{
	struct merge m = {.db = db};
	int r = snapshot_get(db, snapshot, &m.snap, &m.gone);
	if (r == 0)
		r = merge_labels(&m, &s->labels);
	if (r == 0)
		r = merge_star(&m, s);
	if (r == 0)
		r = merge_texts(&m, s);
	if (r == 0 && facts)
		r = merge_facts(&m, s);
	if (r == 0 && m.changed && !m.gone)
		r = emit(db, CHANGE_ATTR, &m.snap, 0);
	if (r == 0 && ret_changed)
		*ret_changed = m.changed;
	return r;
}

int sidecar_enqueue(struct db *db, int64_t snapshot, const struct target *target, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		QUERY(q, db,
		      "SELECT key FROM object WHERE snapshot = ?1 AND store = ?2 AND "
		      "sidecar = 0 AND outcome = 0 AND NOT EXISTS(SELECT 1 FROM outbox WHERE "
		      "snapshot = ?1 AND store = ?2 AND what = ?3) LIMIT 1",
		      I(snapshot), I(target[i].store), I(OUTBOX_PICTURE));
		char key[KEY_MAX + 1];
		int r = query_next(&q);
		if (r < 0)
			return r;
		/* A key that leaves no room for one: this picture has no sidecar there. */
		if (r == 0 || sidecar_key(col_text(&q, 0), key) < 0)
			continue;
		r = outbox_enqueue(db, snapshot, target[i].store, OUTBOX_SIDECAR, key);
		if (r < 0)
			return r;
	}
	return 0;
}
