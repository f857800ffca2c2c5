/* damage.c - accepted bytes that a power cut took before they were on disk: what was registered with them is taken back. */
#include <errno.h>
#include <string.h>

#include "db.h"

struct taken_back {
	const struct sha256 *sha;
	const char *error;
	int64_t n;
};

static int reject_uploads(struct db *db, int64_t snapshot, const char *error)
{
	QUERY(q, db, "SELECT id FROM upload WHERE snapshot = ?1 AND state = ?2", I(snapshot),
	      I(UPLOAD_REGISTERED));
	int r;
	while ((r = query_next(&q)) > 0) {
		int64_t id = col_int(&q, 0);
		r = RUN(db,
			"UPDATE upload SET state = ?2, snapshot = NULL, error = ?3 WHERE id = ?1",
			I(id), I(UPLOAD_REJECTED), T(error));
		if (r == 0)
			r = emit_upload(db, id);
		if (r < 0)
			return r;
	}
	return r;
}

/* One that a store has lost nothing. */
static int take_back(struct db *db, void *arg)
{
	struct taken_back *t = arg;
	QUERY(q, db,
	      "SELECT id FROM snapshot WHERE sha256 = ?1 AND gone = 0 AND replicas = 0 "
	      "ORDER BY id",
	      B(t->sha->b, sizeof(t->sha->b)));
	int r;
	t->n = 0;
	while ((r = query_next(&q)) > 0) {
		int64_t id = col_int(&q, 0);
		r = RUN(db, "DELETE FROM outbox WHERE snapshot = ?1", I(id));
		if (r == 0)
			r = snapshot_recount(db, id);
		if (r == 0)
			r = snapshot_hide(db, id);
		if (r == 0)
			r = reject_uploads(db, id, t->error);
		if (r < 0)
			return r;
		t->n++;
	}
	return r;
}

int catalog_take_back(struct catalog *c, const struct sha256 *sha, const char *error,
		      int64_t *ret_n)
{
	char text[256];
	text_clip(error, text);
	struct taken_back t = {.sha = sha, .error = text};
	int r = db_write(c, take_back, &t, true);
	if (r == 0)
		*ret_n = t.n;
	return r;
}

int catalog_uploads_of(struct catalog *c, const struct sha256 *sha, upload_id_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT u.id FROM snapshot s JOIN upload u ON u.snapshot = s.id "
	      "WHERE s.sha256 = ?1 AND s.gone = 0 AND s.replicas = 0 AND u.state = ?2",
	      B(sha->b, sizeof(sha->b)), I(UPLOAD_REGISTERED));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = fn(user, col_int(&q, 0));
		if (r)
			return r;
	}
	return r;
}
