/* dataset.c - rows of datasets: what the tree names, and how far each is frozen. */
#include <errno.h>
#include <string.h>

#include "db.h"

#define DATASET_COLUMNS                                                                         \
	"d.id, d.made_us, d.frozen_us, d.state, length(d.query), coalesce(d.name, ''), d.uid, " \
	"d.error"

static int one(struct query *q, struct dataset_row *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct dataset_row){.id = col_int(q, 0),
				    .made_us = col_int(q, 1),
				    .frozen_us = col_int(q, 2),
				    .state = (enum dataset_state)col_int(q, 3),
				    .query_len = (uint64_t)col_int(q, 4)};
	col_copy(q, 5, ret->name, sizeof(ret->name));
	col_copy(q, 6, ret->uid, sizeof(ret->uid));
	col_copy(q, 7, ret->error, sizeof(ret->error));
	return 0;
}

int catalog_dataset(struct catalog *c, int64_t id, struct dataset_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " DATASET_COLUMNS " FROM dataset d WHERE d.id = ?1 AND d.name IS NOT NULL",
	      I(id));
	return one(&q, ret);
}

int catalog_dataset_find(struct catalog *c, const char *name, struct dataset_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT " DATASET_COLUMNS " FROM dataset d WHERE d.name = ?1", T(name));
	return one(&q, ret);
}

int catalog_dataset_by_uid(struct catalog *c, const char *uid, struct dataset_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT " DATASET_COLUMNS " FROM dataset d WHERE d.uid = ?1", T(uid));
	return one(&q, ret);
}

int catalog_dataset_next(struct catalog *c, const char *after, struct dataset_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " DATASET_COLUMNS " FROM dataset d WHERE d.name > ?1 ORDER BY d.name LIMIT 1",
	      T(after));
	return one(&q, ret);
}

int catalog_dataset_each(struct catalog *c, int64_t after, struct dataset_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " DATASET_COLUMNS " FROM dataset d WHERE d.id > ?1 ORDER BY d.id LIMIT 1",
	      I(after));
	return one(&q, ret);
}

int catalog_dataset_name(struct catalog *c, int64_t id, char out[NAME_LIMIT + 1])
{
	READ(db, c);
	QUERY(q, db, "SELECT coalesce(name, was) FROM dataset WHERE id = ?1", I(id));
	int r = query_one(&q);
	if (r < 0)
		return r;
	col_copy(&q, 0, out, NAME_LIMIT + 1);
	return 0;
}

int catalog_dataset_query(struct catalog *c, int64_t id, struct buf *out)
{
	READ(db, c);
	QUERY(q, db, "SELECT query FROM dataset WHERE id = ?1", I(id));
	return query_bytes(&q, out);
}

/* ---- writing ---- */
static int emit_dataset(struct db *db, int64_t id)
{
	return emit(db, CHANGE_DATASET, &(struct snap){.id = id}, 0);
}

struct make {
	const char *name, *uid;
	int64_t id;
};

static int make(struct db *db, void *arg)
{
	struct make *a = arg;
	int r = RUN(db, "INSERT INTO dataset(name, uid, made_us) VALUES(?1, ?2, ?3)", T(a->name),
		    T(a->uid), I(now_us()));
	if (r < 0)
		return r;
	a->id = db_last_id(db);
	return emit_dataset(db, a->id);
}

int catalog_dataset_make(struct catalog *c, const char *name, const char *uid, int64_t *ret_id)
{
	struct make a = {.name = name, .uid = uid};
	if (!file_name_ok(name))
		return -EINVAL;
	int r = db_write(c, make, &a, false);
	if (r == 0)
		*ret_id = a.id;
	return r;
}

struct name {
	int64_t id;
	const char *name;
};

static int set_name(struct db *db, void *arg)
{
	const struct name *a = arg;
	int r = RUN(db,
		    "UPDATE dataset SET was = name, name = ?2 WHERE id = ?1 AND name IS NOT NULL",
		    I(a->id), T(a->name));
	if (r == 0 && db_changes(db) == 0)
		return -ENOENT;
	if (r == 0 && !a->name)
		r = RUN(db, "UPDATE dataset SET state = ?2 WHERE id = ?1", I(a->id),
			I(DATASET_REMOVED));
	return r < 0 ? r : emit_dataset(db, a->id);
}

int catalog_dataset_rename(struct catalog *c, int64_t id, const char *name)
{
	struct name a = {.id = id, .name = name};
	return file_name_ok(name) ? db_write(c, set_name, &a, false) : -EINVAL;
}

int catalog_dataset_remove(struct catalog *c, int64_t id)
{
	struct name a = {.id = id};
	return db_write(c, set_name, &a, false);
}

struct state {
	int64_t id, frozen_us;
	enum dataset_state state;
	const char *error;
	const void *query;
	size_t len;
};

static int set_state(struct db *db, void *arg)
{
	const struct state *a = arg;
	char error[256];
	text_clip(a->error, error);
	int r = RUN(db,
		    "UPDATE dataset SET state = ?2, error = ?3, error_us = ?4, frozen_us = ?5, "
		    "query = coalesce(?6, query) WHERE id = ?1 AND state < ?7",
		    I(a->id), I(a->state), T(error), I(error[0] ? now_us() : 0), I(a->frozen_us),
		    B(a->query, a->len), I(DATASET_REMOVED));
	if (r == 0 && db_changes(db) == 0)
		return -ENOENT;
	return r < 0 ? r : emit_dataset(db, a->id);
}

int catalog_dataset_set(struct catalog *c, int64_t id, enum dataset_state state, int64_t frozen_us,
			const void *query, size_t len, const char *error)
{
	struct state a = {.id = id,
			  .state = state,
			  .frozen_us = frozen_us,
			  .error = error,
			  .query = query,
			  .len = len};
	return db_write(c, set_state, &a, false);
}

/* ---- scratch files ---- */
static int one_scratch(struct query *q, struct dataset_scratch *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct dataset_scratch){
		.id = col_int(q, 0), .dataset = col_int(q, 1), .dir = (int)col_int(q, 2)};
	col_copy(q, 3, ret->name, sizeof(ret->name));
	return 0;
}

int catalog_scratch(struct catalog *c, int64_t id, struct dataset_scratch *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT id, dataset, dir, name FROM dataset_scratch WHERE id = ?1", I(id));
	return one_scratch(&q, ret);
}

int catalog_scratch_find(struct catalog *c, int64_t dataset, int dir, const char *name,
			 struct dataset_scratch *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, dataset, dir, name FROM dataset_scratch WHERE dataset = ?1 AND dir = ?2 "
	      "AND name = ?3",
	      I(dataset), I(dir), T(name));
	return one_scratch(&q, ret);
}

int catalog_scratch_next(struct catalog *c, int64_t dataset, int dir, int64_t after,
			 struct dataset_scratch *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT id, dataset, dir, name FROM dataset_scratch INDEXED BY scratch_by_dir "
	      "WHERE dataset = ?1 AND dir = ?2 AND id > ?3 ORDER BY id LIMIT 1",
	      I(dataset), I(dir), I(after));
	return one_scratch(&q, ret);
}

static int add_scratch(struct db *db, void *arg)
{
	struct dataset_scratch *a = arg;
	int r = RUN(db,
		    "INSERT INTO dataset_scratch(dataset, dir, name) SELECT id, ?2, ?3 FROM "
		    "dataset WHERE id = ?1 AND name IS NOT NULL",
		    I(a->dataset), I(a->dir), T(a->name));
	if (r == 0 && db_changes(db) == 0)
		return -ENOENT;
	if (r == 0)
		a->id = db_last_id(db);
	return r;
}

int catalog_scratch_add(struct catalog *c, struct dataset_scratch *s)
{
	return file_name_ok(s->name) ? db_write(c, add_scratch, s, false) : -EINVAL;
}

static int move_scratch(struct db *db, void *arg)
{
	const struct dataset_scratch *a = arg;
	int r = RUN(db,
		    "DELETE FROM dataset_scratch WHERE dataset = ?1 AND dir = ?2 AND name = ?3 AND "
		    "id <> ?4",
		    I(a->dataset), I(a->dir), T(a->name), I(a->id));
	if (r == 0)
		r = RUN(db,
			"UPDATE dataset_scratch SET dir = ?2, name = ?3 WHERE id = ?4 AND dataset "
			"= ?1",
			I(a->dataset), I(a->dir), T(a->name), I(a->id));
	return r < 0 ? r : db_changes(db) ? 0 : -ENOENT;
}

int catalog_scratch_move(struct catalog *c, const struct dataset_scratch *to)
{
	struct dataset_scratch a = *to;
	return file_name_ok(to->name) ? db_write(c, move_scratch, &a, false) : -EINVAL;
}

static int remove_scratch(struct db *db, void *arg)
{
	const int64_t *id = arg;
	int r = RUN(db, "DELETE FROM dataset_scratch WHERE id = ?1", I(*id));
	return r < 0 ? r : db_changes(db) ? 0 : -ENOENT;
}

int catalog_scratch_remove(struct catalog *c, int64_t id)
{
	return db_write(c, remove_scratch, &id, false);
}
