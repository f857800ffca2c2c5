/* note.c - small named texts that are kept with the pictures: their bodies, and what each store has of them.
 *
 * A row is for ever (its id is an inode number); a removed note has no body.  One row per store says what that store has; `todo`
 * means that ours is to go there (or to be deleted there), `wanted` that the store's is to be read. */
#include <errno.h>
#include <string.h>

#include "ledger.h"
#include "stmt.h"

static bool key_ok(const char *key)
{
	char part[NAME_LIMIT + 1];
	size_t n = strlen(key);
	if (n == 0 || n > NOTE_KEY_MAX || key[n - 1] == '/')
		return false;
	for (const char *p = key; *p;) {
		size_t len = strcspn(p, "/");
		if (len > NAME_LIMIT)
			return false;
		memcpy(part, p, len);
		part[len] = 0;
		if (!file_name_ok(part))
			return false;
		p += len + (p[len] == '/');
	}
	return true;
}

/* ---- reading ---- */
int catalog_note_get(struct catalog *c, const char *key, struct buf *out)
{
	READ(db, c);
	QUERY(q, db, "SELECT body FROM note WHERE key = ?1 AND body IS NOT NULL", T(key));
	return query_bytes(&q, out);
}

static int one_note(struct query *q, struct note_row *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct note_row){.id = col_int(q, 0),
				 .size = (uint64_t)col_int(q, 2),
				 .changed_us = col_int(q, 3),
				 .there = col_int(q, 4) != 0};
	col_copy(q, 1, ret->key, sizeof(ret->key));
	return 0;
}

int catalog_note_find(struct catalog *c, const char *key, struct note_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, key, length(body), changed_us, 1 FROM note WHERE key = ?1 AND body IS "
	      "NOT NULL",
	      T(key));
	return one_note(&q, ret);
}

int catalog_note(struct catalog *c, int64_t id, struct note_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, key, coalesce(length(body), 0), changed_us, body IS NOT NULL FROM note "
	      "WHERE id = ?1",
	      I(id));
	return one_note(&q, ret);
}

int catalog_note_next(struct catalog *c, const char *prefix, const char *after,
		      char ret_key[KEY_MAX + 1])
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT key FROM note WHERE key > ?2 AND key >= ?1 AND key < ?1 || char(1114111) AND "
	      "body IS NOT NULL ORDER BY key LIMIT 1",
	      T(prefix), T(after));
	int r = query_one(&q);
	if (r < 0)
		return r;
	col_copy(&q, 0, ret_key, KEY_MAX + 1);
	return 0;
}

/* ---- writing ---- */
struct change_note {
	const char *key;
	const void *body; /* NULL: remove it */
	size_t len;
};

/* Every store of the config is to have it; of a removed one, those that may have it are to delete it. */
static int offer(struct db *db, int64_t id, bool gone)
{
	int r = RUN(db,
		    "UPDATE note_object SET todo = 1, wanted = 0, tries = 0, next_us = 0, error = "
		    "NULL WHERE note = ?1",
		    I(id));
	for (size_t i = 0; r == 0 && !gone && i < db->c->n_targets; i++)
		r = RUN(db,
			"INSERT INTO note_object(note, store, todo) VALUES(?1, ?2, 1) ON CONFLICT DO "
			"NOTHING",
			I(id), I(db->c->target[i].store));
	db->c->edited = true;
	return r;
}

static int set_body(struct db *db, int64_t id, const void *body, size_t len, int64_t changed_us)
{
	int r = RUN(db, "UPDATE note SET body = ?2, rev = rev + 1, changed_us = ?3 WHERE id = ?1",
		    I(id), B(body, len), I(changed_us));
	if (r == 0)
		r = query_from_note(db, id);
	return r < 0 ? r : emit_note(db, id);
}

int note_set(struct db *db, const char *key, const void *body, size_t len)
{
	int64_t id, same;
	if (body && len == 0)
		body = "";
	int r = ONE(db, &id, "SELECT id FROM note WHERE key = ?1", T(key));
	if (r == -ENOENT && body) {
		r = RUN(db, "INSERT INTO note(key) VALUES(?1)", T(key));
		id = db_last_id(db);
	}
	if (r == 0)
		r = ONE(db, &same, "SELECT body IS ?2 FROM note WHERE id = ?1", I(id),
			B(body, len));
	if (r < 0 || same)
		return r < 0 ? r : body ? 0 : -ENOENT;
	r = set_body(db, id, body, len, now_us());
	return r < 0 ? r : offer(db, id, !body);
}

static int change_tx(struct db *db, void *arg)
{
	const struct change_note *a = arg;
	return note_set(db, a->key, a->body, a->len);
}

int catalog_note_put(struct catalog *c, const char *key, const void *body, size_t len)
{
	struct change_note a = {key, body, len};
	if (!key_ok(key) || !body)
		return -EINVAL;
	return len > NOTE_BODY_MAX ? -EFBIG : db_write(c, change_tx, &a, false);
}

int catalog_note_remove(struct catalog *c, const char *key)
{
	struct change_note a = {.key = key};
	return db_write(c, change_tx, &a, false);
}

/* ---- what the stores are to get ---- */
static int offer_all_tx(struct db *db, void *arg)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < db->c->n_targets; i++)
		r = RUN(db,
			"INSERT INTO note_object(note, store, todo) SELECT id, ?1, 1 FROM note WHERE "
			"body IS NOT NULL AND NOT EXISTS(SELECT 1 FROM note_object o WHERE o.note = "
			"note.id AND o.store = ?1)",
			I(db->c->target[i].store));
	return r;
}

int catalog_note_offer(struct catalog *c)
{
	return db_write(c, offer_all_tx, NULL, false);
}

#define ITEM                                                                                     \
	"SELECT n.id, o.store, n.rev, n.body IS NULL, o.tries, o.next_us, o.error_us, o.error, " \
	"n.key, o.etag <> '' FROM note_object o JOIN note n ON n.id = o.note WHERE o.todo = 1 AND "

static int one_item(struct query *q, struct note_item *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct note_item){.note = col_int(q, 0),
				  .store = col_int(q, 1),
				  .rev = col_int(q, 2),
				  .gone = col_int(q, 3) != 0,
				  .tries = (unsigned)col_int(q, 4),
				  .next_us = col_int(q, 5),
				  .error_us = col_int(q, 6),
				  .known = col_int(q, 9) != 0};
	col_copy(q, 7, ret->error, sizeof(ret->error));
	col_copy(q, 8, ret->key, sizeof(ret->key));
	return 0;
}

int catalog_note_todo(struct catalog *c, int64_t store, struct note_item *ret)
{
	READ(db, c);
	QUERY(q, db, ITEM "o.store = ?1 ORDER BY o.next_us LIMIT 1", I(store));
	return one_item(&q, ret);
}

int catalog_note_queue(struct catalog *c, note_item_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db, ITEM "1 ORDER BY o.store, o.next_us");
	struct note_item item;
	int r;
	while ((r = one_item(&q, &item)) == 0) {
		r = fn(user, &item);
		if (r != 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

struct sent {
	const struct note_item *item;
	const char *etag, *error;
	int64_t next_us;
};

static int sent_tx(struct db *db, void *arg)
{
	const struct sent *a = arg;
	int64_t rev, seen;
	int r = ONE(db, &rev, "SELECT rev FROM note WHERE id = ?1", I(a->item->note));
	if (r == 0) /* a scan that has passed this key already must not miss it */
		r = ONE(db, &seen, "SELECT scan_gen FROM store WHERE id = ?1", I(a->item->store));
	if (r < 0)
		return r;
	if (a->item->gone && rev == a->item->rev)
		return RUN(db, "DELETE FROM note_object WHERE note = ?1 AND store = ?2",
			   I(a->item->note), I(a->item->store));
	return RUN(
		db,
		"UPDATE note_object SET todo = ?3, etag = ?4, seen = ?5, tries = 0, next_us = 0, "
		"error = NULL WHERE note = ?1 AND store = ?2",
		I(a->item->note), I(a->item->store), I(rev != a->item->rev), T(a->etag), I(seen));
}

int catalog_note_sent(struct catalog *c, const struct note_item *item, const char *etag)
{
	struct sent a = {.item = item, .etag = etag};
	return db_write(c, sent_tx, &a, false);
}

static int failed_tx(struct db *db, void *arg)
{
	const struct sent *a = arg;
	char text[256];
	text_clip(a->error, text);
	return RUN(
		db,
		"UPDATE note_object SET tries = tries + 1, next_us = ?3, error = ?4, error_us = ?5 "
		"WHERE note = ?1 AND store = ?2",
		I(a->item->note), I(a->item->store), I(a->next_us), T(text), I(now_us()));
}

int catalog_note_failed(struct catalog *c, const struct note_item *item, int64_t next_us,
			const char *error)
{
	struct sent a = {.item = item, .error = error, .next_us = next_us};
	return db_write(c, failed_tx, &a, false);
}

static int retry_tx(struct db *db, void *arg)
{
	return RUN(db, "UPDATE note_object SET next_us = 0 WHERE todo = 1 AND next_us > 0");
}

int catalog_note_retry_now(struct catalog *c)
{
	return db_write(c, retry_tx, NULL, false);
}

/* ---- what the stores have ---- */
struct listed_note {
	int64_t store, gen, modified_us;
	const char *key, *etag;
	const void *body;
	size_t len;
};

static int ensure(struct db *db, const char *key, int64_t *ret)
{
	int r = ONE(db, ret, "SELECT id FROM note WHERE key = ?1", T(key));
	if (r != -ENOENT)
		return r;
	r = RUN(db, "INSERT INTO note(key) VALUES(?1)", T(key));
	if (r == 0)
		*ret = db_last_id(db);
	return r;
}

/* Ours on its way there replaces what we knew; what we did not know is read first. */
static int listed_tx(struct db *db, void *arg)
{
	const struct listed_note *a = arg;
	int64_t id;
	int r = a->gen ? scan_check(db, a->store, a->gen) : 0;
	if (r == 0)
		r = ensure(db, a->key, &id);
	if (r < 0)
		return r;
	return RUN(
		db,
		"INSERT INTO note_object AS o(note, store, etag, seen, wanted) VALUES(?1, ?2, ?3, "
		"?4, 1) ON CONFLICT DO UPDATE SET seen = excluded.seen, wanted = (o.todo = 0 OR "
		"o.etag = '') AND (o.wanted = 1 OR o.etag IS NOT excluded.etag), todo = o.todo = 1 "
		"AND o.etag <> '', etag = iif(o.todo = 1 AND o.etag <> '', o.etag, excluded.etag)",
		I(id), I(a->store), T(a->etag), I(a->gen));
}

int catalog_note_listed(struct catalog *c, int64_t store, int64_t gen, const char *key,
			const char *etag)
{
	struct listed_note a = {.store = store, .gen = gen, .key = key, .etag = etag};
	return key_ok(key) ? db_write(c, listed_tx, &a, false) : -EINVAL;
}

int catalog_note_wanted(struct catalog *c, int64_t store, const char *after,
			char ret_key[KEY_MAX + 1])
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT n.key FROM note_object o JOIN note n ON n.id = o.note WHERE o.wanted = 1 AND "
	      "o.store = ?1 AND n.key > ?2 ORDER BY n.key LIMIT 1",
	      I(store), T(after));
	int r = query_one(&q);
	if (r < 0)
		return r;
	col_copy(&q, 0, ret_key, KEY_MAX + 1);
	return 0;
}

/* The younger one counts; the store whose is older gets the other. */
static int taken_tx(struct db *db, void *arg)
{
	const struct listed_note *a = arg;
	QUERY(q, db,
	      "SELECT n.id, n.body IS ?3, n.changed_us FROM note n JOIN note_object o ON o.note = "
	      "n.id AND o.store = ?2 WHERE n.key = ?1 AND o.wanted = 1",
	      T(a->key), I(a->store), B(a->body, a->len));
	int r = query_one(&q);
	if (r < 0)
		return r;
	int64_t id = col_int(&q, 0), changed_us = col_int(&q, 2);
	bool same = col_int(&q, 1) != 0, younger = a->modified_us > changed_us;
	query_done(&q);
	if (!same && younger) {
		r = set_body(db, id, a->body, a->len, a->modified_us);
		if (r == 0)
			r = offer(db, id, false);
		if (r < 0)
			return r;
	}
	db->c->edited = true;
	return RUN(
		db,
		"UPDATE note_object SET wanted = 0, todo = ?3, etag = ?4 WHERE note = ?1 AND store "
		"= ?2",
		I(id), I(a->store), I(!same && !younger), T(a->etag));
}

int catalog_note_taken(struct catalog *c, int64_t store, const char *key, const char *etag,
		       int64_t modified_us, const void *body, size_t len)
{
	struct listed_note a = {.store = store,
				.key = key,
				.etag = etag,
				.modified_us = modified_us,
				.body = len > 0 ? body : "",
				.len = len};
	return db_write(c, taken_tx, &a, false);
}

int notes_sweep(struct db *db, int64_t store, int64_t gen)
{
	QUERY(q, db, "SELECT note FROM note_object WHERE store = ?1 AND seen <> ?2 AND todo = 0",
	      I(store), I(gen));
	int r;
	while ((r = query_next(&q)) > 0) {
		int64_t id = col_int(&q, 0);
		r = RUN(db, "DELETE FROM note_object WHERE note = ?1 AND store = ?2", I(id),
			I(store));
		if (r == 0)
			r = RUN(db,
				"UPDATE note SET body = NULL, rev = rev + 1, changed_us = ?2 WHERE id "
				"= ?1 AND NOT EXISTS(SELECT 1 FROM note_object WHERE note = ?1)",
				I(id), I(now_us()));
		if (r == 0 && db_changes(db) > 0) {
			r = query_from_note(db, id);
			if (r == 0)
				r = emit_note(db, id);
		}
		if (r < 0)
			return r;
	}
	return r;
}
