/* sidecar.c - a snapshot as its sidecar tells it, from the rows; and sidecars that come in for a
 * registered one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stmt.h"

static int dup_text(const char *s, size_t len, char **ret)
{
	char *p = strndup(s, len);
	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static int fill_snap(const struct snap *s, struct sidecar *ret)
{
	const char *end = strchr(s->stem, '_');
	ret->taken_us = s->taken_us;
	ret->zone_min = s->zone_min;
	ret->has_taken = true;
	ret->time_source = s->time_source;
	ret->size = s->size;
	ret->has_sha = s->has_sha;
	ret->sha = s->sha;
	ret->width = s->width;
	ret->height = s->height;
	ret->starred = s->starred;
	ret->has_starred = true;
	ret->state = s->queued > 0 ? STATE_QUEUED : s->replicas > 0 ? STATE_SYNCED : STATE_LOCAL;
	int r = dup_text(s->stem, end ? (size_t)(end - s->stem) : strlen(s->stem), &ret->img_id);
	return r < 0 ? r : dup_text("image/jpeg", 10, &ret->mime);
}

static int fill_rest(struct db *db, int64_t id, struct sidecar *ret)
{
	QUERY(q, db,
	      "SELECT c.name, c.grp, s.looked, t.rating, t.event, t.origin, t.extra, t.unknown, "
	      "t.comment FROM snapshot s "
	      "JOIN camera c ON c.id = s.camera LEFT JOIN snapshot_text t ON t.snapshot = s.id "
	      "WHERE s.id = ?1",
	      I(id));
	int r = query_one(&q);
	if (r < 0)
		return r;
	ret->labels.looked = col_int(&q, 2) != 0;
	r = col_dup(&q, 0, &ret->camera);
	if (r == 0 && col_text(&q, 1)[0])
		r = col_dup(&q, 1, &ret->group);
	ret->rating = (unsigned)col_int(&q, 3);
	char **text[] = {&ret->event, &ret->origin, &ret->extra, &ret->unknown, &ret->comment};
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(text); i++)
		r = col_dup(&q, 4 + (int)i, text[i]);
	return r;
}

static int fill_replicas(struct db *db, int64_t id, struct sidecar *ret)
{
	QUERY(q, db,
	      "SELECT t.name, o.key, o.etag FROM object o JOIN store t ON t.id = o.store "
	      "WHERE o.snapshot = ?1 AND o.sidecar = 0 AND o.outcome = 0 ORDER BY o.store, "
	      "o.key LIMIT 16",
	      I(id));
	int r;
	while ((r = query_next(&q)) > 0) {
		struct replica *p = reallocarray(ret->replica, ret->n_replicas + 1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		ret->replica = p;
		p += ret->n_replicas++;
		*p = (struct replica){0};
		r = col_dup(&q, 0, &p->store);
		if (r == 0)
			r = col_dup(&q, 1, &p->key);
		if (r == 0)
			r = col_dup(&q, 2, &p->etag);
		if (r < 0)
			return r;
	}
	return r;
}

int catalog_sidecar(struct catalog *c, int64_t id, struct sidecar *ret)
{
	READ(db, c);
	struct snap s;
	bool gone;
	CLEANUP(sidecar_done) struct sidecar out = {0};
	/* A statement held open keeps all of them on one state of the catalog. */
	QUERY(hold, db, "SELECT 1 FROM snapshot WHERE id = ?1", I(id));
	int r = query_next(&hold);
	if (r >= 0)
		r = snapshot_get(db, id, &s, &gone);
	if (r == 0 && gone)
		r = -ENOENT;
	if (r == 0)
		r = fill_snap(&s, &out);
	if (r == 0)
		r = fill_rest(db, id, &out);
	if (r == 0)
		r = fill_replicas(db, id, &out);
	if (r == 0)
		r = labels_load(db, id, 0, &out.labels);
	if (r == 0)
		r = documents_load(db, id, &out.documents);
	if (r < 0)
		return r;
	out.whole = true;
	*ret = out;
	out = (struct sidecar){0};
	return 0;
}

/* ---- what follows a change ---- */
#define FACTS_BYTES 16384 /* room for what is not edited */

int sidecar_fits(struct db *db, int64_t id)
{
	int64_t bytes;
	int r = ONE(
		db, &bytes,
		"SELECT (SELECT coalesce(sum(40 + iif(l.score IS NULL, 0, 30) + iif(l.x IS NULL, "
		"0, 100) + length(CAST(coalesce(l.kind_text, k.name) || coalesce(l.text, n.name) "
		"|| coalesce(l.by, '') AS BLOB))), 0) FROM label l JOIN label_name n ON n.id = "
		"l.name JOIN label_kind k ON k.id = n.kind WHERE l.snapshot = ?1) + (SELECT "
		"coalesce(sum(length(CAST(body AS BLOB)) + 1), 0) FROM document WHERE snapshot = "
		"?1) + coalesce((SELECT length(CAST(coalesce(event, '') || coalesce(origin, '') || "
		"coalesce(extra, '') || coalesce(unknown, '') || coalesce(comment, '') AS BLOB)) "
		"FROM snapshot_text WHERE snapshot = ?1), 0)",
		I(id));
	return r < 0 ? r : bytes > SIDECAR_BYTES - FACTS_BYTES ? -E2BIG : 0;
}

int sidecar_touched(struct db *db, const struct snap *s, bool gone)
{
	int r = RUN(db, "UPDATE snapshot SET changed_us = ?2 WHERE id = ?1", I(s->id), I(now_us()));
	return r < 0 || gone ? r : emit(db, CHANGE_ATTR, s, 0);
}

int sidecar_enqueue_at(struct db *db, int64_t snapshot, int64_t store)
{
	QUERY(q, db,
	      "SELECT key FROM object WHERE snapshot = ?1 AND store = ?2 AND "
	      "sidecar = 0 AND outcome = 0 AND NOT EXISTS(SELECT 1 FROM outbox WHERE "
	      "snapshot = ?1 AND store = ?2 AND what = ?3) LIMIT 1",
	      I(snapshot), I(store), I(OUTBOX_PICTURE));
	char key[KEY_MAX + 1];
	int r = query_next(&q);
	/* A key that leaves no room for one: this picture has no sidecar there. */
	if (r <= 0 || sidecar_key(col_text(&q, 0), key) < 0)
		return r < 0 ? r : 0;
	r = outbox_enqueue(db, snapshot, store, OUTBOX_SIDECAR, key);
	return r < 0 ? r : 1;
}

int sidecar_enqueue(struct db *db, int64_t snapshot, int64_t but_store)
{
	const struct target *target = db->c->target;
	int r = 0;
	db->c->edited = true;
	for (size_t i = 0; r >= 0 && i < db->c->n_targets; i++)
		if (target[i].store != but_store)
			r = sidecar_enqueue_at(db, snapshot, target[i].store);
	return r < 0 ? r : 0;
}

int sidecar_changed(struct db *db, const struct snap *s)
{
	int r = sidecar_fits(db, s->id);
	if (r == 0)
		r = sidecar_touched(db, s, false);
	return r < 0 ? r : sidecar_enqueue(db, s->id, 0);
}

/* ---- read back from a store ---- */
/* Edited last, so what it lacks was removed; the others that have one are behind. */
static int take_younger(struct db *db, int64_t snapshot, int64_t store, const struct sidecar *s,
			bool whole)
{
	const struct merge_how how = {
		.who = s->whole ? NULL : "store", .facts = true, .whole = whole};
	int64_t others = 0;
	bool changed;
	int r = sidecar_merge(db, snapshot, s, &how, &changed);
	if (r == 0 && changed)
		r = ONE(db, &others,
			"SELECT EXISTS(SELECT 1 FROM object WHERE snapshot = ?1 AND store <> ?2 AND "
			"sidecar = 1 AND outcome = 0)",
			I(snapshot), I(store));
	return r < 0 || !others ? r : sidecar_enqueue(db, snapshot, store);
}

int sidecar_return(struct db *db, int64_t snapshot, int64_t store, const struct sidecar *s)
{
	static const struct sidecar nothing;
	struct sidecar facts = *s; /* borrows */
	int64_t ours, theirs;
	int r = history_newest(db, snapshot, &ours);
	if (r == 0)
		r = history_take(db, snapshot, s->history, &theirs);
	if (r < 0)
		return r;
	if (theirs >= ours || !s->whole) /* another program wrote it, knowing nothing of ours */
		return take_younger(db, snapshot, store, s, s->whole && theirs > ours);
	facts.labels = nothing.labels;
	facts.has_starred = facts.has_rating = false;
	facts.rating = 0;
	facts.documents = facts.event = facts.origin = facts.extra = facts.unknown = NULL;
	facts.comment = NULL;
	r = sidecar_merge(db, snapshot, &facts, &(struct merge_how){.facts = true}, NULL);
	return r < 0 ? r : sidecar_enqueue(db, snapshot, 0);
}

/* ---- taken in ---- */
struct merge_args {
	int64_t id;
	const struct sidecar *s;
	const char *who;
	bool edit;
};

static int merge(struct db *db, void *arg)
{
	const struct merge_args *a = arg;
	const struct merge_how how = {
		.who = a->who,
		.strict = true,
		.whole = a->edit && a->s->whole,
		.note_added = a->edit,
	};
	struct snap s;
	bool changed, gone;
	int r = snapshot_get(db, a->id, &s, &gone);
	if (r == 0 && gone && a->edit)
		r = -ENOENT;
	if (r == 0)
		r = sidecar_merge(db, a->id, a->s, &how, &changed);
	return r < 0 || !changed ? r : sidecar_enqueue(db, a->id, 0);
}

int catalog_merge_sidecar(struct catalog *c, int64_t id, const struct sidecar *s)
{
	struct merge_args a = {.id = id, .s = s, .who = "upload"};
	return db_write(c, merge, &a, false);
}

int catalog_edit_sidecar(struct catalog *c, int64_t id, const struct sidecar *s, const char *by)
{
	struct merge_args a = {.id = id, .s = s, .who = by ? by : "", .edit = true};
	return text_ok(a.who, NAME_LIMIT) ? db_write(c, merge, &a, false) : -EINVAL;
}
