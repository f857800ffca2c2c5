/* history.c - what was added to a picture, replaced or removed: who, when, and what was there. */
#include <errno.h>

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
	      "SELECT at_us, who, what, was FROM history WHERE snapshot = ?1 ORDER BY id DESC",
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
