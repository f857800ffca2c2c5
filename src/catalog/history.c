/* history.c - what was added to a picture, replaced or removed: who, when, and what was there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "shutterfs/codec.h"

int history_add(struct db *db, int64_t snapshot, const struct history *h)
{
	int64_t last;
	int r = RUN(db,
		    "INSERT INTO history(snapshot, at_us, who, what, was) VALUES(?1, ?2, ?3, ?4, "
		    "?5)",
		    I(snapshot), I(h->at_us), T(h->who), T(h->what), T(h->was));
	if (r < 0)
		return r;
	r = ONE(db, &last,
		"SELECT id FROM history WHERE snapshot = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
		I(snapshot), I(HISTORY_MAX));
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return RUN(db, "DELETE FROM history WHERE snapshot = ?1 AND id <= ?2", I(snapshot),
		   I(last));
}

int history_note(struct db *db, int64_t snapshot, const char *who, const char *what,
		 const char *was)
{
	return history_add(db, snapshot, &(struct history){now_us(), who, what, was});
}

int history_label(struct db *db, int64_t snapshot, const char *who, const char *what,
		  const struct label *l)
{
	CLEANUP(buf_done) struct buf was = BUF(8 * SIDECAR_BYTES);
	struct json j = {.out = &was};
	json_label(&j, l);
	return was.error < 0 ? was.error : history_note(db, snapshot, who, what, was.data);
}

int catalog_history(struct catalog *c, int64_t snapshot, history_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT at_us, who, what, was FROM history WHERE snapshot = ?1 ORDER BY at_us "
	      "DESC, id DESC",
	      I(snapshot));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = fn(user, &(struct history){col_int(&q, 0), col_text(&q, 1), col_text(&q, 2),
					       col_is_null(&q, 3) ? NULL : col_text(&q, 3)});
		if (r != 0)
			return r;
	}
	return r;
}

/* ---- as the sidecar objects in the stores tell it ---- */
struct text {
	struct buf *out;
	size_t max;
};

static int add_entry(void *user, const struct history *h)
{
	struct text *t = user;
	CLEANUP(buf_done) struct buf one = BUF(8 * SIDECAR_BYTES);
	struct json j = {.out = &one};
	char at[ISO_MAX];
	iso_format(h->at_us, 0, at);
	json_object(&j, NULL);
	json_string(&j, "at", at);
	json_string(&j, "who", h->who);
	json_string(&j, "what", h->what);
	if (h->was)
		json_raw(&j, "was", h->was);
	json_end(&j, '}');
	if (one.error < 0)
		return one.error;
	if (t->out->len + one.len + 2 > t->max)
		return 1;
	(void)buf_str(t->out, t->out->len ? "," : "[");
	return buf_add(t->out, one.data, one.len);
}

int catalog_history_json(struct catalog *c, int64_t snapshot, size_t max, char **ret)
{
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES + 1);
	struct text t = {&out, max};
	int r = catalog_history(c, snapshot, add_entry, &t);
	if (r < 0)
		return r;
	if (out.len > 0 && buf_str(&out, "]") < 0)
		return out.error;
	*ret = TAKE(out.data);
	return 0;
}

struct entry {
	int64_t at_us;
	char *who, *what; /* owned */
	char *was;        /* owned; NULL: nothing */
};

struct entries {
	struct entry item[HISTORY_MAX];
	size_t n;
};

static void entries_freep(struct entries **e)
{
	for (size_t i = 0; *e && i < (*e)->n; i++) {
		free((*e)->item[i].who);
		free((*e)->item[i].what);
		free((*e)->item[i].was);
	}
	free(*e);
}

static int read_string(const char *raw, size_t len, char **ret)
{
	CLEANUP(buf_done) struct buf text = BUF(4 * NAME_LIMIT);
	int r = raw[0] == '"' ? json_decode(raw, len, &text) : -EBADMSG;
	if (r == 0)
		r = buf_add(&text, "", 0);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	*ret = TAKE(text.data);
	return 0;
}

static int on_member(void *user, const char *key, const char *raw, size_t len)
{
	struct entry *e = user;
	CLEANUP(freep) char *at = NULL;
	int zone, r = 0;
	if (strcmp(key, "was") == 0) {
		e->was = strndup(raw, len);
		return e->was ? 0 : -ENOMEM;
	}
	if (strcmp(key, "who") == 0)
		return read_string(raw, len, &e->who);
	if (strcmp(key, "what") == 0)
		return read_string(raw, len, &e->what);
	if (strcmp(key, "at") == 0)
		r = read_string(raw, len, &at);
	if (r < 0 || !at)
		return r;
	return iso_parse(at, &e->at_us, &zone) < 0 ? -EBADMSG : 0;
}

static int on_entry(void *user, const char *key, const char *raw, size_t len)
{
	struct entries *e = user;
	char why[WHY_MAX];
	return e->n == HISTORY_MAX ? 1 : json_scan(raw, len, on_member, &e->item[e->n++], why);
}

static int take_entry(struct db *db, int64_t snapshot, const struct entry *e)
{
	const struct history h = {e->at_us, e->who ? e->who : "", e->what ? e->what : "", e->was};
	int64_t known;
	if (e->at_us <= 0 || !text_ok(h.who, NAME_LIMIT) || !text_ok(h.what, NAME_LIMIT))
		return 0;
	int r = ONE(
		db, &known,
		"SELECT EXISTS(SELECT 1 FROM history WHERE snapshot = ?1 AND at_us = ?2 AND what "
		"= ?3 AND was IS ?4)",
		I(snapshot), I(h.at_us), T(h.what), T(h.was));
	return r < 0 || known ? r : history_add(db, snapshot, &h);
}

static int entries_read(const char *json, struct entries **ret)
{
	CLEANUP(entries_freep) struct entries *all = calloc(1, sizeof(*all));
	char why[WHY_MAX];
	if (!all)
		return -ENOMEM;
	int r = json_scan_array(json, strlen(json), on_entry, all, why);
	if (r < 0 && r != -EBADMSG)
		return r;
	*ret = TAKE(all);
	return 0;
}

int history_take(struct db *db, int64_t snapshot, const char *json, int64_t *ret_newest)
{
	CLEANUP(entries_freep) struct entries *all = NULL;
	int64_t newest = 0;
	int r = json ? entries_read(json, &all) : 0;
	for (size_t i = all ? all->n : 0; r == 0 && i > 0; i--) {
		const struct entry *e = &all->item[i - 1];
		newest = e->at_us > newest ? e->at_us : newest;
		r = take_entry(db, snapshot, e);
	}
	if (r == 0)
		*ret_newest = newest;
	return r;
}

int history_newest(struct db *db, int64_t snapshot, int64_t *ret)
{
	return ONE(db, ret, "SELECT coalesce(max(at_us), 0) FROM history WHERE snapshot = ?1",
		   I(snapshot));
}
