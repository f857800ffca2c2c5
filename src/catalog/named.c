/* named.c - queries that have a name: the directories of queries/ and their query.json.
 *
 * Rows stay when a query is removed: their ids are inode numbers and directory offsets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

enum { QUERIES_MAX = 10000, TEXT_MAX = 1 << 20 };

static int one(struct query *q, struct query_row *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct query_row){.id = col_int(q, 0),
				  .changed_us = col_int(q, 1),
				  .written = !col_is_null(q, 2),
				  .len = (size_t)col_int(q, 2)};
	col_copy(q, 3, ret->name, sizeof(ret->name));
	return 0;
}

#define COLUMNS "id, changed_us, length(body), name"

static int by_id(struct db *db, int64_t id, struct query_row *ret)
{
	QUERY(q, db, "SELECT " COLUMNS " FROM query WHERE id = ?1 AND name IS NOT NULL", I(id));
	return one(&q, ret);
}

static int by_name(struct db *db, const char *name, struct query_row *ret)
{
	QUERY(q, db, "SELECT " COLUMNS " FROM query WHERE name = ?1", T(name));
	return one(&q, ret);
}

int catalog_query(struct catalog *c, int64_t id, struct query_row *ret)
{
	READ(db, c);
	return by_id(db, id, ret);
}

int catalog_query_find(struct catalog *c, const char *name, struct query_row *ret)
{
	READ(db, c);
	return by_name(db, name, ret);
}

int catalog_query_next(struct catalog *c, const char *after, struct query_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT " COLUMNS " FROM query WHERE name > ?1 ORDER BY name LIMIT 1",
	      T(after));
	return one(&q, ret);
}

int catalog_query_name(struct catalog *c, int64_t id, char out[LABEL_MAX + 1])
{
	READ(db, c);
	QUERY(q, db, "SELECT coalesce(name, was) FROM query WHERE id = ?1", I(id));
	int r = query_one(&q);
	if (r < 0)
		return r;
	col_copy(&q, 0, out, LABEL_MAX + 1);
	return 0;
}

int catalog_query_text(struct catalog *c, int64_t id, struct buf *out)
{
	READ(db, c);
	QUERY(q, db, "SELECT body FROM query WHERE id = ?1 AND body IS NOT NULL", I(id));
	return query_bytes(&q, out);
}

/* ---- changes: the note of that name follows, and so do the stores ---- */
#define NOTE_PREFIX "queries/"
#define NOTE_SUFFIX ".json"

static int tell_stores(struct db *db, const char *name, const void *text, size_t len)
{
	char key[LABEL_MAX + 32];
	(void)snprintf(key, sizeof(key), NOTE_PREFIX "%s" NOTE_SUFFIX, name);
	int r = note_set(db, key, text, len);
	return r == -ENOENT ? 0 : r;
}

struct change_query {
	int64_t id;
	const char *name; /* NULL: it stays */
	const char *text;
	size_t len;
	bool replace;
};

static int make(struct db *db, void *arg)
{
	struct change_query *a = arg;
	struct query_row row;
	int64_t n;
	int r = by_name(db, a->name, &row);
	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	r = ONE(db, &n, "SELECT count(*) FROM query WHERE name IS NOT NULL");
	if (r < 0 || n >= QUERIES_MAX)
		return r < 0 ? r : -ENOSPC;
	r = RUN(db, "INSERT INTO query(name, changed_us) VALUES(?1, ?2)", T(a->name), I(now_us()));
	if (r < 0)
		return r;
	a->id = db_last_id(db);
	return emit_query(db, a->id, a->name);
}

static bool query_name_ok(const char *name)
{
	return file_name_ok(name) && strlen(name) <= LABEL_MAX;
}

int catalog_query_make(struct catalog *c, const char *name, int64_t *ret_id)
{
	struct change_query a = {.name = name};
	int r = query_name_ok(name) ? db_write(c, make, &a, false) : -EINVAL;
	if (r == 0)
		*ret_id = a.id;
	return r;
}

static int set_text(struct db *db, void *arg)
{
	const struct change_query *a = arg;
	struct query_row row;
	int r = by_id(db, a->id, &row);
	if (r < 0)
		return r;
	r = RUN(db, "UPDATE query SET body = ?2, changed_us = ?3 WHERE id = ?1", I(a->id),
		B(a->text, a->len), I(now_us()));
	if (r == 0)
		r = tell_stores(db, row.name, a->text, a->len);
	return r < 0 ? r : emit_query(db, a->id, row.name);
}

int catalog_query_write(struct catalog *c, int64_t id, const char *text, size_t len)
{
	struct change_query a = {.id = id, .text = text, .len = len};
	return len > TEXT_MAX ? -EFBIG : db_write(c, set_text, &a, false);
}

static int drop(struct db *db, const struct query_row *row)
{
	int r = RUN(db, "UPDATE query SET name = NULL, was = ?2, body = NULL WHERE id = ?1",
		    I(row->id), T(row->name));
	if (r == 0)
		r = tell_stores(db, row->name, NULL, 0);
	return r < 0 ? r : emit_query(db, row->id, row->name);
}

/* From the note of its old name to that of its new one. */
static int move_note(struct db *db, int64_t id, const char *was, const char *name)
{
	QUERY(q, db, "SELECT body FROM query WHERE id = ?1", I(id));
	size_t len;
	int r = query_one(&q);
	if (r < 0)
		return r;
	const void *body = col_blob(&q, 0, &len);
	if (col_is_null(&q, 0))
		return 0;
	r = tell_stores(db, was, NULL, 0);
	return r < 0 ? r : tell_stores(db, name, body ? body : "", len);
}

static int rename_tx(struct db *db, void *arg)
{
	const struct change_query *a = arg;
	struct query_row row, there;
	int r = by_id(db, a->id, &row);
	if (r < 0 || strcmp(row.name, a->name) == 0)
		return r;
	r = by_name(db, a->name, &there);
	if (r == 0 && !a->replace)
		return -EEXIST;
	if (r == 0 && there.written)
		return -ENOTEMPTY;
	if (r == 0)
		r = drop(db, &there);
	if (r < 0 && r != -ENOENT)
		return r;
	r = RUN(db, "UPDATE query SET name = ?2, changed_us = ?3 WHERE id = ?1", I(a->id),
		T(a->name), I(now_us()));
	if (r == 0)
		r = move_note(db, a->id, row.name, a->name);
	if (r == 0)
		r = emit_query(db, a->id, row.name);
	return r < 0 ? r : emit_query(db, a->id, a->name);
}

int catalog_query_rename(struct catalog *c, int64_t id, const char *name, bool replace)
{
	struct change_query a = {.id = id, .name = name, .replace = replace};
	return query_name_ok(name) ? db_write(c, rename_tx, &a, false) : -EINVAL;
}

static int remove_tx(struct db *db, void *arg)
{
	const struct change_query *a = arg;
	struct query_row row;
	int r = by_id(db, a->id, &row);
	return r < 0 ? r : drop(db, &row);
}

int catalog_query_remove(struct catalog *c, int64_t id)
{
	struct change_query a = {.id = id};
	return db_write(c, remove_tx, &a, false);
}

/* ---- what other machines wrote, or a lost catalog knew ---- */
static bool name_of_key(const char *key, char out[LABEL_MAX + 1])
{
	size_t prefix = strlen(NOTE_PREFIX), suffix = strlen(NOTE_SUFFIX), n = strlen(key);
	if (n <= prefix + suffix || n - prefix - suffix > LABEL_MAX ||
	    strncmp(key, NOTE_PREFIX, prefix) != 0 || strcmp(key + n - suffix, NOTE_SUFFIX) != 0)
		return false;
	(void)snprintf(out, LABEL_MAX + 1, "%.*s", (int)(n - prefix - suffix), key + prefix);
	return query_name_ok(out);
}

static int take_text(struct db *db, const char *name, const void *text, size_t len)
{
	struct query_row row;
	int r = by_name(db, name, &row);
	if (r == -ENOENT) {
		struct change_query made = {.name = name};
		r = make(db, &made);
		row.id = made.id;
	}
	if (r == 0)
		r = RUN(db,
			"UPDATE query SET body = ?2, changed_us = ?3 WHERE id = ?1 AND body IS NOT ?2",
			I(row.id), B(text, len), I(now_us()));
	return r < 0 || db_changes(db) == 0 ? r : emit_query(db, row.id, name);
}

int query_from_note(struct db *db, int64_t note)
{
	QUERY(q, db, "SELECT key, body FROM note WHERE id = ?1", I(note));
	char name[LABEL_MAX + 1];
	struct query_row row;
	size_t len;
	int r = query_one(&q);
	if (r < 0)
		return r;
	if (!name_of_key(col_text(&q, 0), name))
		return 0;
	const void *text = col_blob(&q, 1, &len);
	if (!col_is_null(&q, 1))
		return take_text(db, name, text ? text : "", len);
	r = by_name(db, name, &row);
	if (r < 0 || !row.written)
		return r == -ENOENT ? 0 : r;
	return drop(db, &row);
}
