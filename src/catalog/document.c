/* document.c - label documents: rows of a picture, told apart by their second fingerprint. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "shutterfs/codec.h"

#define DOCUMENTS_LIMIT 10000
#define DOCUMENT_COLUMNS "d.id, d.snapshot, d.fp1, d.created_by, d.body"

static void img_id_of(const struct snap *s, char out[STEM_MAX + 1])
{
	size_t len = strcspn(s->stem, "_");
	memcpy(out, s->stem, len);
	out[len] = 0;
}

static int each(struct query *q, document_fn *fn, void *user)
{
	int r;
	while ((r = query_next(q)) > 0) {
		struct document d = {.id = col_int(q, 0),
				     .snapshot = col_int(q, 1),
				     .created_by = col_text(q, 3),
				     .body = col_text(q, 4)};
		col_copy(q, 2, d.fp1, sizeof(d.fp1));
		r = fn(user, &d);
		if (r != 0)
			return r;
	}
	return r;
}

int catalog_documents(struct catalog *c, int64_t snapshot, document_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " DOCUMENT_COLUMNS " FROM document d WHERE d.snapshot = ?1 ORDER BY d.id",
	      I(snapshot));
	return each(&q, fn, user);
}

int catalog_documents_by_fp1(struct catalog *c, const char *fp1, document_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " DOCUMENT_COLUMNS " FROM document d JOIN snapshot s ON s.id = d.snapshot "
	      "WHERE d.fp1 = ?1 AND s.gone = 0 ORDER BY d.id",
	      T(fp1));
	return each(&q, fn, user);
}

static int add_body(void *user, const struct document *d)
{
	struct json *j = user;
	json_raw(j, NULL, d->body);
	return j->out->error;
}

int documents_load(struct db *db, int64_t snapshot, char **ret)
{
	CLEANUP(buf_done) struct buf out = BUF(2 * SIDECAR_BYTES);
	struct json j = {.out = &out};
	json_array(&j, NULL);
	QUERY(q, db,
	      "SELECT " DOCUMENT_COLUMNS " FROM document d WHERE d.snapshot = ?1 ORDER BY d.id",
	      I(snapshot));
	int r = each(&q, add_body, &j);
	json_end(&j, ']');
	if (r < 0 || out.error < 0)
		return r < 0 ? r : out.error;
	*ret = strcmp(out.data, "[]") == 0 ? NULL : TAKE(out.data);
	return 0;
}

static int insert(struct db *db, int64_t snapshot, const struct label_document *d)
{
	return RUN(db,
		   "INSERT INTO document(snapshot, fp1, fp2, created_by, body) VALUES(?1, ?2, ?3, "
		   "?4, ?5)",
		   I(snapshot), T(d->fp1), SHA(true, d->fp2), T(d->created_by), T(d->body));
}

static int note_added(struct db *db, int64_t snapshot, const char *who, const char *fp1)
{
	CLEANUP(buf_done) struct buf was = BUF(64);
	struct json j = {.out = &was};
	json_string(&j, NULL, fp1);
	return was.error < 0 ? was.error
			     : history_note(db, snapshot, who, "document added", was.data);
}

/* ---- all of them ---- */
struct replacing {
	struct db *db;
	struct documents_change *ch;
	int64_t snapshot;
	const char *img_id;
	int64_t round; /* rows up to this id that were not met go */
	int64_t *met;  /* owned: ids, as they stand in the array */
	size_t n;
};

static int remove_row(struct db *db, int64_t snapshot, int64_t id, const char *who)
{
	QUERY(q, db, "SELECT body FROM document WHERE id = ?1", I(id));
	int r = query_one(&q);
	if (r < 0)
		return r;
	r = who ? history_note(db, snapshot, who, "document removed", col_text(&q, 0)) : 0;
	query_done(&q);
	return r < 0 ? r : RUN(db, "DELETE FROM document WHERE id = ?1", I(id));
}

static bool was_met(const struct replacing *a, int64_t id)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->met[i] == id)
			return true;
	}
	return false;
}

static int meet(struct replacing *a, int64_t id)
{
	if (a->n == DOCUMENTS_LIMIT)
		return -E2BIG;
	int64_t *p = reallocarray(a->met, a->n + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	a->met = p;
	a->met[a->n++] = id;
	return 0;
}

/* Left out, but not lost. */
static int duplicate(struct replacing *a, int64_t id, const struct label_document *d)
{
	int64_t same;
	if (a->ch->strict)
		return -EEXIST;
	int r = ONE(a->db, &same, "SELECT body = ?2 FROM document WHERE id = ?1", I(id),
		    T(d->body));
	if (r < 0 || same)
		return r;
	return history_note(a->db, a->snapshot, a->ch->who ? a->ch->who : "", "document removed",
			    d->body);
}

/* The row with its fingerprint takes the new text. */
static int update_row(struct replacing *a, int64_t id, const struct label_document *d)
{
	int64_t same;
	int r = ONE(a->db, &same, "SELECT body = ?2 FROM document WHERE id = ?1", I(id),
		    T(d->body));
	if (r < 0 || same)
		return r;
	a->ch->changed = true;
	if (a->ch->who) {
		QUERY(q, a->db, "SELECT body FROM document WHERE id = ?1", I(id));
		r = query_next(&q);
		if (r > 0)
			r = history_note(a->db, a->snapshot, a->ch->who, "document removed",
					 col_text(&q, 0));
		if (r < 0)
			return r;
	}
	return RUN(a->db, "UPDATE document SET fp1 = ?2, created_by = ?3, body = ?4 WHERE id = ?1",
		   I(id), T(d->fp1), T(d->created_by), T(d->body));
}

static int take(void *user, const char *key, const char *raw, size_t len)
{
	struct replacing *a = user;
	CLEANUP(label_document_done) struct label_document d = {0};
	char why[WHY_MAX];
	int64_t id;
	int r = label_document_parse(raw, len, a->img_id, &d, why);
	if (r < 0)
		return r;
	r = ONE(a->db, &id, "SELECT id FROM document WHERE snapshot = ?1 AND fp2 = ?2",
		I(a->snapshot), SHA(true, d.fp2));
	if (r == 0 && was_met(a, id))
		return duplicate(a, id, &d);
	if (r == 0) {
		r = meet(a, id);
		return r < 0 ? r : update_row(a, id, &d);
	}
	if (r == -ENOENT)
		r = insert(a->db, a->snapshot, &d);
	if (r < 0)
		return r;
	a->ch->changed = true;
	return meet(a, db_last_id(a->db));
}

static int remove_others(struct replacing *a)
{
	QUERY(q, a->db, "SELECT id FROM document WHERE snapshot = ?1 AND id <= ?2 ORDER BY id",
	      I(a->snapshot), I(a->round));
	int r;
	while ((r = query_next(&q)) > 0) {
		int64_t id = col_int(&q, 0);
		if (was_met(a, id))
			continue;
		a->ch->changed = true;
		r = remove_row(a->db, a->snapshot, id, a->ch->who);
		if (r < 0)
			return r;
	}
	return r;
}

int documents_replace(struct db *db, const struct snap *s, struct documents_change *ch)
{
	char img_id[STEM_MAX + 1], why[WHY_MAX];
	struct replacing a = {.db = db, .ch = ch, .snapshot = s->id, .img_id = img_id};
	const char *array = ch->array ? ch->array : "[]";
	img_id_of(s, img_id);
	ch->changed = false;
	if (!text_ok(array, DOCUMENTS_BYTES))
		return -EINVAL;
	int r = ONE(db, &a.round, "SELECT coalesce(max(id), 0) FROM document WHERE snapshot = ?1",
		    I(s->id));
	if (r == 0)
		r = json_scan_array(array, strlen(array), take, &a, why);
	if (r == 0)
		r = remove_others(&a);
	free(a.met);
	return r == -EBADMSG ? -EINVAL : r;
}

static int count_object(void *user, const char *key, const char *raw, size_t len)
{
	size_t *n = user;
	return raw[0] == '{' && ++*n <= DOCUMENTS_LIMIT ? 0 : -EINVAL;
}

int documents_import(struct db *db, int64_t snapshot, const char *array)
{
	struct documents_change ch = {.array = array};
	struct snap s;
	char why[WHY_MAX];
	size_t n = 0, len = strlen(array);
	if (len > DOCUMENTS_BYTES || json_scan_array(array, len, count_object, &n, why) < 0)
		return -EINVAL;
	int r = snapshot_get(db, snapshot, &s, NULL);
	return r < 0 ? r : documents_replace(db, &s, &ch);
}

/* ---- one ---- */
struct add {
	int64_t snapshot, id;
	const char *body, *who;
};

static int add_tx(struct db *db, void *arg)
{
	struct add *a = arg;
	CLEANUP(label_document_done) struct label_document d = {0};
	char img_id[STEM_MAX + 1], why[WHY_MAX];
	struct snap s;
	bool gone;
	int64_t bytes;
	int r = snapshot_get(db, a->snapshot, &s, &gone);
	if (r < 0 || gone)
		return r < 0 ? r : -ENOENT;
	img_id_of(&s, img_id);
	r = label_document_parse(a->body, strlen(a->body), img_id, &d, why);
	if (r < 0)
		return r == -EBADMSG ? -EINVAL : r;
	r = ONE(db, &bytes,
		"SELECT coalesce(sum(length(CAST(body AS BLOB)) + 1), 0) + 2 FROM document WHERE "
		"snapshot = ?1",
		I(s.id));
	if (r == 0 && (size_t)bytes + strlen(d.body) > DOCUMENTS_BYTES)
		return -EFBIG;
	if (r == 0)
		r = insert(db, s.id, &d);
	if (r < 0)
		return r;
	a->id = db_last_id(db);
	r = note_added(db, s.id, a->who, d.fp1);
	return r < 0 ? r : sidecar_changed(db, &s);
}

int catalog_document_add(struct catalog *c, int64_t snapshot, const char *body, const char *by,
			 int64_t *ret_id)
{
	struct add a = {.snapshot = snapshot, .body = body, .who = by ? by : ""};
	if (!text_ok(a.who, NAME_LIMIT) || !text_ok(body, DOCUMENTS_BYTES))
		return -EINVAL;
	int r = db_write(c, add_tx, &a, false);
	if (r == 0 && ret_id)
		*ret_id = a.id;
	return r;
}

static int remove_tx(struct db *db, void *arg)
{
	const struct add *a = arg;
	struct snap s;
	bool gone;
	int64_t snapshot;
	int r = ONE(db, &snapshot, "SELECT snapshot FROM document WHERE id = ?1", I(a->id));
	if (r == 0)
		r = snapshot_get(db, snapshot, &s, &gone);
	if (r < 0 || gone)
		return r < 0 ? r : -ENOENT;
	r = remove_row(db, snapshot, a->id, a->who);
	return r < 0 ? r : sidecar_changed(db, &s);
}

int catalog_document_remove(struct catalog *c, int64_t id, const char *by)
{
	struct add a = {.id = id, .who = by ? by : ""};
	return text_ok(a.who, NAME_LIMIT) ? db_write(c, remove_tx, &a, false) : -EINVAL;
}
