/* stmt.c - connections, prepared statements, their arguments and columns, and SQLite's codes as
 * -errno. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stmt.h"

int db_errno(struct db *db, int code)
{
	int sys = sqlite3_system_errno(db->s);
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		return sys == ENOSPC || sys == EDQUOT || sys == EROFS ? -sys : -EIO;
	case SQLITE_CANTOPEN:
		return sys > 0 ? -sys : -EIO;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
			return -ENOENT;
		return code == SQLITE_CONSTRAINT_NOTNULL ? -EINVAL : -EEXIST;
	case SQLITE_TOOBIG:
		return -EFBIG;
	default:
		return -EIO;
	}
}

static int configure(struct db *db, bool writable)
{
	/* Readers may be dozens, and each fills its cache once the catalog is larger: little each (what it
	 * lacks comes from the kernel's memory, as fast), and no mmap, whose pages would count as
	 * resident for each of them. */
	static const char reader[] = "PRAGMA query_only = 1; PRAGMA cache_size = -512;";
	static const char writer[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = 1;"
		"PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA "
		"wal_autocheckpoint = 0;"
		"PRAGMA journal_size_limit = 67108864;";
	(void)sqlite3_extended_result_codes(db->s, 1);
	(void)sqlite3_busy_timeout(db->s, 10000);
	int code = sqlite3_exec(db->s, writable ? writer : reader, NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : db_errno(db, code);
}

int db_open(struct catalog *c, const char *path, bool writable, struct db **ret)
{
	struct db *db = calloc(1, sizeof(*db));
	if (!db)
		return -ENOMEM;
	db->c = c;
	int mode = writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
	int code = sqlite3_open_v2(path, &db->s, mode | SQLITE_OPEN_NOMUTEX, NULL);
	int r = db->s ? 0 : -ENOMEM;
	if (r == 0 && code != SQLITE_OK)
		r = db_errno(db, code);
	if (r == 0)
		r = configure(db, writable);
	if (r < 0) {
		db = db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

struct db *db_close(struct db *db)
{
	if (!db)
		return NULL;
	for (size_t i = 0; i < STMT_SLOTS; i++) {
		for (struct prepared *p = db->slot[i], *next; p; p = next) {
			next = p->next;
			(void)sqlite3_finalize(p->s);
			free(p);
		}
	}
	(void)sqlite3_close(db->s);
	free(db->change);
	free(db);
	return NULL;
}

static int prepared_get(struct db *db, const char *sql, struct prepared **ret)
{
	struct prepared **slot = &db->slot[((uintptr_t)sql >> 3) % STMT_SLOTS];
	for (struct prepared *p = *slot; p; p = p->next) {
		if (p->sql == sql && !p->busy) {
			p->busy = true;
			*ret = p;
			return 0;
		}
	}
	CLEANUP(freep) struct prepared *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	int code = sqlite3_prepare_v3(db->s, sql, -1, SQLITE_PREPARE_PERSISTENT, &p->s, NULL);
	if (code != SQLITE_OK)
		return db_errno(db, code);
	p->sql = sql;
	p->busy = true;
	p->next = *slot;
	*slot = p;
	*ret = TAKE(p);
	return 0;
}

static int bind(sqlite3_stmt *s, int i, const struct arg *a)
{
	switch (a->type) {
	case ARG_INT:
		return sqlite3_bind_int64(s, i, a->i);
	case ARG_TEXT:
		return a->p ? sqlite3_bind_text(s, i, a->p, -1, SQLITE_STATIC)
			    : sqlite3_bind_null(s, i);
	case ARG_BLOB:
		if (!a->p)
			return sqlite3_bind_null(s, i);
		return sqlite3_bind_blob64(s, i, a->p, (sqlite3_uint64)a->i, SQLITE_STATIC);
	case ARG_REAL:
		return isnan(a->d) ? sqlite3_bind_null(s, i) : sqlite3_bind_double(s, i, a->d);
	}
	return SQLITE_MISUSE;
}

struct query db_query(struct db *db, const char *sql, const struct arg *arg, size_t n)
{
	struct query q = {.db = db};
	q.error = prepared_get(db, sql, &q.prepared);
	if (q.error < 0)
		return q;
	assert((size_t)sqlite3_bind_parameter_count(q.prepared->s) == n);
	for (size_t i = 0; i < n; i++) {
		int code = bind(q.prepared->s, (int)i + 1, &arg[i]);
		if (code != SQLITE_OK) {
			q.error = db_errno(db, code);
			break;
		}
	}
	return q;
}

void query_done(struct query *q)
{
	if (!q->prepared)
		return;
	(void)sqlite3_reset(q->prepared->s);
	(void)sqlite3_clear_bindings(q->prepared->s);
	q->prepared->busy = false;
	q->prepared = NULL;
}

int query_next(struct query *q)
{
	if (q->error < 0 || !q->prepared)
		return q->error;
	int code = sqlite3_step(q->prepared->s);
	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		q->error = db_errno(q->db, code);
	query_done(q);
	return q->error;
}

int64_t col_int(const struct query *q, int i)
{
	return sqlite3_column_int64(q->prepared->s, i);
}

/* Such a number is an index elsewhere, whatever stands on the disk. */
unsigned col_enum(const struct query *q, int i, unsigned n)
{
	int64_t value = col_int(q, i);

	return value >= 0 && value < n ? (unsigned)value : 0;
}

double col_real(const struct query *q, int i)
{
	return col_is_null(q, i) ? NAN : sqlite3_column_double(q->prepared->s, i);
}

bool col_is_null(const struct query *q, int i)
{
	return sqlite3_column_type(q->prepared->s, i) == SQLITE_NULL;
}

const char *col_text(const struct query *q, int i)
{
	const char *s = (const char *)sqlite3_column_text(q->prepared->s, i);
	return s ? s : "";
}

const void *col_blob(const struct query *q, int i, size_t *ret_len)
{
	const void *p = sqlite3_column_blob(q->prepared->s, i);
	*ret_len = (size_t)sqlite3_column_bytes(q->prepared->s, i);
	return p;
}

void col_copy(const struct query *q, int i, char *out, size_t size)
{
	const char *s = col_text(q, i);
	size_t len = strnlen(s, size - 1);
	memcpy(out, s, len);
	out[len] = 0;
}

bool col_sha(const struct query *q, int i, struct sha256 *ret)
{
	size_t len;
	const void *p = col_blob(q, i, &len);
	*ret = (struct sha256){0};
	if (!p || len != sizeof(ret->b))
		return false;
	memcpy(ret->b, p, len);
	return true;
}

int col_dup(const struct query *q, int i, char **ret)
{
	if (col_is_null(q, i)) {
		*ret = NULL;
		return 0;
	}
	char *s = strdup(col_text(q, i));
	if (!s)
		return -ENOMEM;
	*ret = s;
	return 0;
}

int query_one(struct query *q)
{
	int r = query_next(q);
	if (r < 0)
		return r;
	return r ? 0 : -ENOENT;
}

int query_bytes(struct query *q, struct buf *out)
{
	size_t len;
	int r = query_one(q);
	if (r < 0)
		return r;
	const void *bytes = col_blob(q, 0, &len);
	return buf_add(out, bytes, len);
}

int db_run(struct db *db, const char *sql, const struct arg *arg, size_t n)
{
	CLEANUP(query_done) struct query q = db_query(db, sql, arg, n);
	int r;
	do {
		r = query_next(&q);
	} while (r > 0);
	return r;
}

int db_one(struct db *db, int64_t *ret, const char *sql, const struct arg *arg, size_t n)
{
	CLEANUP(query_done) struct query q = db_query(db, sql, arg, n);
	int r = query_one(&q);
	if (r < 0)
		return r;
	*ret = col_int(&q, 0);
	return 0;
}

int64_t db_last_id(struct db *db)
{
	return sqlite3_last_insert_rowid(db->s);
}

int64_t db_changes(struct db *db)
{
	return sqlite3_changes64(db->s);
}
