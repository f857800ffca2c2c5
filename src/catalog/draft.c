/* draft.c - texts that people wrote and that could not be understood: kept as they are for an hour, or until they are mended. */
#include <errno.h>
#include <string.h>

#include "db.h"

struct put {
	int64_t node;
	const char *subject, *body, *error;
	size_t len;
};

static int put(struct db *db, void *arg)
{
	const struct put *a = arg;
	int64_t now = now_us();
	char error[256];

	text_clip(a->error, error);
	int r = RUN(db, "DELETE FROM draft WHERE at_us <= ?1", I(now - DRAFT_STAYS_US));
	if (r < 0)
		return r;
	return RUN(db,
		   "INSERT OR REPLACE INTO draft(node, at_us, subject, error, body)"
		   " VALUES(?1, ?2, ?3, ?4, ?5)",
		   I(a->node), I(now), T(a->subject), T(error), B(a->len ? a->body : "", a->len));
}

int catalog_draft_put(struct catalog *c, int64_t node, const char *subject, const char *body,
		      size_t len, const char *error)
{
	struct put a = {.node = node, .subject = subject, .body = body, .len = len, .error = error};

	return db_write(c, put, &a, false);
}

int catalog_draft(struct catalog *c, int64_t node, int64_t *ret_at_us, char ret_error[256],
		  struct buf *body)
{
	READ(db, c);
	QUERY(q, db, "SELECT at_us, error, body FROM draft WHERE node = ?1 AND at_us > ?2", I(node),
	      I(now_us() - DRAFT_STAYS_US));
	int r = query_one(&q);
	if (r < 0)
		return r;
	if (body) {
		size_t len;
		const void *p = col_blob(&q, 2, &len);

		r = buf_add(body, p, len);
		if (r < 0)
			return r;
	}
	if (ret_at_us)
		*ret_at_us = col_int(&q, 0);
	if (ret_error)
		col_copy(&q, 1, ret_error, 256);
	return 0;
}

static int drop(struct db *db, void *arg)
{
	const int64_t *node = arg;

	return RUN(db, "DELETE FROM draft WHERE node = ?1", I(*node));
}

int catalog_draft_remove(struct catalog *c, int64_t node)
{
	/* Most have none: no write for them. */
	int r = catalog_draft(c, node, NULL, NULL, NULL);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : db_write(c, drop, &node, false);
}
