/* merge.c - a sidecar is taken in for a snapshot: uploaded, edited, or read back from a store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "shutterfs/codec.h"

struct merge {
	struct db *db;
	const struct sidecar *s;
	const struct merge_how *how;
	struct snap snap;
	bool gone, changed;
};

static int note(struct merge *m, const char *what, const char *was)
{
	m->changed = true;
	if (!m->how->who || (!was && !m->how->note_added))
		return 0;
	return history_note(m->db, m->snap.id, m->how->who, what, was);
}

/* ---- labels ---- */
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

static bool has_label(const struct labels *l, const struct label *one)
{
	for (size_t i = 0; i < l->n; i++) {
		if (label_equal(&l->item[i], one))
			return true;
	}
	return false;
}

/* Those of `from` that `to` has not. */
static int note_labels(struct merge *m, const struct labels *from, const struct labels *to,
		       const char *what)
{
	int r = 0;
	for (size_t i = 0; r == 0 && m->how->who && i < from->n; i++) {
		if (!has_label(to, &from->item[i]))
			r = history_label(m->db, m->snap.id, m->how->who, what, &from->item[i]);
	}
	return r;
}

static int replace_labels(struct merge *m, const struct labels *old)
{
	const struct labels *l = &m->s->labels;
	CLEANUP(freep) struct label_names *names = malloc(sizeof(*names));
	if (!names)
		return -ENOMEM;
	int r = label_names_load(m->db, m->snap.id, names);
	if (r == 0)
		r = note_labels(m, old, l, "label removed");
	if (r == 0 && m->how->note_added)
		r = note_labels(m, l, old, "label added");
	if (r == 0)
		r = RUN(m->db, "DELETE FROM label WHERE snapshot = ?1", I(m->snap.id));
	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = label_insert(m->db, m->snap.id, &l->item[i]);
	if (r == 0)
		r = labels_settle(m->db, &m->snap, m->gone, names);
	if (r == 0 && !l->looked)
		r = RUN(m->db, "UPDATE snapshot SET looked = 0 WHERE id = ?1", I(m->snap.id));
	m->changed = true;
	return r;
}

static int merge_labels(struct merge *m)
{
	const struct labels *l = &m->s->labels;
	if (!l->looked && !m->how->whole)
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
	r = labels_load(m->db, m->snap.id, 0, &old);
	if (r < 0 || ((looked != 0) == l->looked && labels_equal(&old, l)))
		return r;
	return replace_labels(m, &old);
}

/* ---- the star ---- */
static int merge_star(struct merge *m)
{
	bool want = m->s->has_starred && m->s->starred, was = m->snap.starred;
	if ((!m->s->has_starred && !m->how->whole) || want == was)
		return 0;
	int r = RUN(m->db, "UPDATE snapshot SET starred = ?2, links = links + ?3 WHERE id = ?1",
		    I(m->snap.id), I(want), I(want ? 1 : -1));
	m->snap.starred = want;
	if (r == 0)
		r = note(m, "starred", was ? "true" : m->how->note_added ? "false" : NULL);
	return r < 0 || m->gone ? r : emit(m->db, CHANGE_LABEL, &m->snap, 0);
}

/* ---- texts ---- */
enum { EVENT, ORIGIN, EXTRA, UNKNOWN, COMMENT, TEXTS };

struct texts {
	char *text[TEXTS];
	int64_t rating;
};

static void texts_done(struct texts *t)
{
	for (int i = 0; i < TEXTS; i++)
		free(t->text[i]);
}

static int load_texts(struct merge *m, struct texts *ret)
{
	QUERY(q, m->db,
	      "SELECT event, origin, extra, unknown, comment, rating FROM snapshot_text WHERE "
	      "snapshot = ?1",
	      I(m->snap.id));
	int r = query_next(&q);
	for (int i = 0; r > 0 && i < TEXTS; i++) {
		int e = col_dup(&q, i, &ret->text[i]);
		r = e < 0 ? e : r;
	}
	if (r > 0)
		ret->rating = col_int(&q, TEXTS);
	return r < 0 ? r : 0;
}

static int note_text(struct merge *m, int which, const char *was)
{
	static const char *const what[TEXTS] = {[EVENT] = "event",
						[ORIGIN] = "origin",
						[EXTRA] = "extra",
						[UNKNOWN] = "keys",
						[COMMENT] = "comment"};
	CLEANUP(buf_done) struct buf text = BUF(8 * COMMENT_MAX);
	struct json j = {.out = &text};
	if (which != COMMENT || !was)
		return note(m, what[which], was);
	json_string(&j, NULL, was);
	return text.error < 0 ? text.error : note(m, what[which], text.data);
}

static int note_rating(struct merge *m, int64_t was)
{
	CLEANUP(buf_done) struct buf text = BUF(32);
	(void)buf_printf(&text, "%lld", (long long)was);
	return text.error < 0 ? text.error : note(m, "rating", was ? text.data : NULL);
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static int merge_texts(struct merge *m)
{
	const struct sidecar *s = m->s;
	const char *new[TEXTS] = {s->event, s->origin, s->extra, s->unknown, s->comment};
	CLEANUP(texts_done) struct texts old = {0};
	bool any = false;
	for (int i = 0; i < TEXTS; i++) {
		if (new[i] && !text_ok(new[i], i == COMMENT ? COMMENT_MAX : SIDECAR_BYTES))
			return -EINVAL;
	}
	if (s->rating > RATING_MAX)
		return -EINVAL;
	int r = load_texts(m, &old);
	int64_t rating = s->has_rating || m->how->whole ? s->rating : old.rating;
	for (int i = 0; r == 0 && i < TEXTS; i++) {
		if (!new[i] && (!m->how->whole || i == ORIGIN))
			new[i] = old.text[i];
		if (i == COMMENT && new[i] && !new[i][0])
			new[i] = NULL;
		if (text_equal(new[i], old.text[i]))
			continue;
		any = true;
		r = note_text(m, i, old.text[i]);
	}
	if (r == 0 && rating != old.rating) {
		any = true;
		r = note_rating(m, old.rating);
	}
	if (r < 0 || !any)
		return r;
	return RUN(m->db,
		   "INSERT OR REPLACE INTO snapshot_text(snapshot, event, origin, extra, unknown, "
		   "comment, rating) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		   I(m->snap.id), T(new[EVENT]), T(new[ORIGIN]), T(new[EXTRA]), T(new[UNKNOWN]),
		   T(new[COMMENT]), I(rating));
}

static int merge_documents(struct merge *m)
{
	struct documents_change ch = {
		.array = m->s->documents, .who = m->how->who, .strict = m->how->strict};
	if (!ch.array && !m->how->whole)
		return 0;
	int r = documents_replace(m->db, &m->snap, &ch);
	m->changed = m->changed || ch.changed;
	return r;
}

/* ---- facts ---- */
/* Our own sidecar object, found in a store, knows what the listing did not tell.  Its hash
 * counts only while the size fits. */
static int merge_facts(struct merge *m)
{
	const struct sidecar *s = m->s;
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

/* ---- the whole ---- */
int sidecar_merge(struct db *db, int64_t snapshot, const struct sidecar *s,
		  const struct merge_how *how, bool *ret_changed)
{
	struct merge m = {.db = db, .s = s, .how = how};
	int r = snapshot_get(db, snapshot, &m.snap, &m.gone);
	if (r == 0)
		r = merge_labels(&m);
	if (r == 0)
		r = merge_star(&m);
	if (r == 0)
		r = merge_texts(&m);
	if (r == 0)
		r = merge_documents(&m);
	if (r == 0 && how->facts)
		r = merge_facts(&m);
	if (r == 0 && m.changed && how->strict)
		r = sidecar_fits(db, snapshot);
	if (r == 0 && m.changed)
		r = sidecar_touched(db, &m.snap, m.gone);
	if (r == 0 && ret_changed)
		*ret_changed = m.changed;
	return r;
}
