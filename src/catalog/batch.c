/* batch.c - files in upload/ that speak of many pictures: how far each was read, which of its records wait for their picture, and
 * which were refused, why. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

enum { REFUSED_MAX = 1000 /* lines kept of one file; all are counted */ };

/* ---- how far ---- */

static int get(struct db *db, int64_t upload, struct batch_file *ret)
{
	int r;

	QUERY(q, db,
	      "SELECT size, mtime_ns, begun_us, whole, done, added, duplicates, removed, unknown, bad "
	      "FROM batch WHERE upload = ?1",
	      I(upload));
	r = query_one(&q);
	if (r < 0)
		return r;
	*ret = (struct batch_file){.upload = upload,
				   .size = (uint64_t)col_int(&q, 0),
				   .mtime_ns = col_int(&q, 1),
				   .begun_us = col_int(&q, 2),
				   .whole = col_int(&q, 3) != 0,
				   .done = (uint64_t)col_int(&q, 4),
				   .added = (uint64_t)col_int(&q, 5),
				   .duplicates = (uint64_t)col_int(&q, 6),
				   .removed = (uint64_t)col_int(&q, 7),
				   .unknown = (uint64_t)col_int(&q, 8),
				   .bad = (uint64_t)col_int(&q, 9)};
	return 0;
}

int catalog_batch(struct catalog *c, int64_t upload, struct batch_file *ret)
{
	READ(db, c);
	return get(db, upload, ret);
}

int batch_erase(struct db *db, int64_t upload)
{
	int r = RUN(db, "DELETE FROM record WHERE upload = ?1", I(upload));

	return r < 0 ? r : RUN(db, "DELETE FROM batch WHERE upload = ?1", I(upload));
}

static int begin_tx(struct db *db, void *arg)
{
	const struct batch_file *b = arg;
	int r = batch_erase(db, b->upload);

	if (r < 0)
		return r;
	return RUN(db,
		   "INSERT INTO batch(upload, size, mtime_ns, begun_us) SELECT id, ?2, ?3, ?4 FROM "
		   "upload WHERE id = ?1",
		   I(b->upload), I(b->size), I(b->mtime_ns), I(b->begun_us));
}

int catalog_batch_begin(struct catalog *c, const struct batch_file *b)
{
	struct batch_file copy = *b;

	return db_write(c, begin_tx, &copy, false);
}

static int save_tx(struct db *db, void *arg)
{
	const struct batch_file *b = arg;

	return RUN(
		db,
		"UPDATE batch SET whole = max(whole, ?2), done = max(done, ?3), added = added + ?4, "
		"duplicates = duplicates + ?5, removed = removed + ?6, unknown = unknown + ?7, "
		"bad = bad + ?8 WHERE upload = ?1",
		I(b->upload), I(b->whole), I(b->done), I(b->added), I(b->duplicates), I(b->removed),
		I(b->unknown), I(b->bad));
}

int catalog_batch_save(struct catalog *c, const struct batch_file *more)
{
	struct batch_file copy = *more;

	return db_write(c, save_tx, &copy, false);
}

/* ---- records ---- */

struct add {
	int64_t upload;
	const char *name, *body, *error;
};

static int add_tx(struct db *db, void *arg)
{
	struct add *a = arg;
	char name[256], error[256];
	int64_t n = 0;
	int r = 0;

	text_clip(a->name, name);
	text_clip(a->error, error);
	if (a->error)
		r = ONE(db, &n,
			"SELECT count(*) FROM record WHERE upload = ?1 AND error IS NOT NULL",
			I(a->upload));
	if (r < 0 || n >= REFUSED_MAX)
		return r;
	return RUN(db,
		   "INSERT INTO record(upload, name, body, error, at_us) SELECT id, ?2, ?3, "
		   "nullif(?4, ''), ?5 FROM upload WHERE id = ?1",
		   I(a->upload), T(name), T(a->body), T(error), I(now_us()));
}

int catalog_record_wait(struct catalog *c, int64_t upload, const char *name, const char *body)
{
	struct add a = {upload, name, body, NULL};

	if (!text_ok(name, NAME_LIMIT) || !text_ok(body, SIDECAR_BYTES))
		return -EINVAL;
	return db_write(c, add_tx, &a, false);
}

int catalog_record_refuse(struct catalog *c, int64_t upload, const char *name, const char *error)
{
	struct add a = {upload, name, NULL, error};

	return db_write(c, add_tx, &a, false);
}

static int remove_tx(struct db *db, void *arg)
{
	return RUN(db, "DELETE FROM record WHERE id = ?1", I(*(int64_t *)arg));
}

int catalog_record_remove(struct catalog *c, int64_t id)
{
	return db_write(c, remove_tx, &id, false);
}

static int one_record(struct query *q, struct record *ret, struct buf *body)
{
	int r = query_one(q);

	if (r < 0)
		return r;
	*ret = (struct record){.id = col_int(q, 0), .upload = col_int(q, 1)};
	col_copy(q, 2, ret->name, sizeof(ret->name));
	body->len = 0;
	return buf_str(body, col_text(q, 3));
}

int catalog_record_next(struct catalog *c, int64_t upload, int64_t after, struct record *ret,
			struct buf *body)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, upload, name, body FROM record WHERE upload = ?1 AND id > ?2 AND body IS "
	      "NOT NULL ORDER BY id LIMIT 1",
	      I(upload), I(after));
	return one_record(&q, ret, body);
}

int catalog_record_named(struct catalog *c, const char *name, int64_t after, struct record *ret,
			 struct buf *body)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, upload, name, body FROM record WHERE name = ?1 AND id > ?2 AND body IS NOT "
	      "NULL ORDER BY id LIMIT 1",
	      T(name), I(after));
	return one_record(&q, ret, body);
}

int catalog_records_waiting(struct catalog *c, int64_t upload, int64_t *ret)
{
	READ(db, c);
	return ONE(db, ret, "SELECT count(*) FROM record WHERE upload = ?1 AND body IS NOT NULL",
		   I(upload));
}
