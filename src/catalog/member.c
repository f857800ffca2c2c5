/* member.c - which pictures a dataset has, and in which of its directories each is: pages of them in the order in which they were
 * frozen, with what the catalog knows of them now. */
#include <errno.h>
#include <string.h>

#include "db.h"

#define MEMBER_COLUMNS                                                                     \
	"m.id, m.dataset, m.split, m.day, m.stem, m.size, m.sha256, m.taken_us, m.flags, " \
	"m.boxes_at, m.boxes_len"
#define MEMBER_N 11 /* the column after them; the table's alias must be m */
#define FROM_MEMBER \
	" LEFT JOIN snapshot s ON s.day = m.day AND s.stem = m.stem AND s.gone = 0 WHERE "

static void member_from_row(const struct query *q, struct dataset_member *ret)
{
	*ret = (struct dataset_member){.id = col_int(q, 0),
				       .dataset = col_int(q, 1),
				       .split = (enum dataset_split)col_int(q, 2),
				       .day = (int32_t)col_int(q, 3),
				       .size = (uint64_t)col_int(q, 5),
				       .taken_us = col_int(q, 7),
				       .flags = (unsigned)col_int(q, 8),
				       .boxes_at = (uint64_t)col_int(q, 9),
				       .boxes_len = (uint64_t)col_int(q, 10)};
	col_copy(q, 4, ret->stem, sizeof(ret->stem));
	ret->has_sha = col_sha(q, 6, &ret->sha);
	ret->there = !col_is_null(q, MEMBER_N);
	if (!ret->there)
		return;
	snap_from_row(q, MEMBER_N, &ret->snap);
	/* Other bytes are another picture. */
	ret->there = ret->snap.size == ret->size &&
		     (!ret->has_sha || !ret->snap.has_sha ||
		      memcmp(&ret->sha, &ret->snap.sha, sizeof(ret->sha)) == 0);
}

static int one(struct query *q, struct dataset_member *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	member_from_row(q, ret);
	return 0;
}

int catalog_member(struct catalog *c, int64_t id, struct dataset_member *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " MEMBER_COLUMNS ", " SNAP_COLUMNS
	      " FROM dataset_member m JOIN dataset d ON d.id = m.dataset AND d.name IS NOT "
	      "NULL" FROM_MEMBER "m.id = ?1",
	      I(id));
	return one(&q, ret);
}

int catalog_member_find(struct catalog *c, int64_t dataset, const char *stem,
			struct dataset_member *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " MEMBER_COLUMNS ", " SNAP_COLUMNS " FROM dataset_member m" FROM_MEMBER
	      "m.dataset = ?1 AND m.stem = ?2",
	      I(dataset), T(stem));
	return one(&q, ret);
}

int catalog_member_has_class(struct catalog *c, const struct dataset_member *m, int64_t class)
{
	READ(db, c);
	int64_t id;
	return ONE(db, &id,
		   "SELECT member FROM dataset_entry WHERE dataset = ?1 AND split = ?2 AND class = "
		   "?3 AND member = ?4",
		   I(m->dataset), I(m->split), I(class), I(m->id));
}

int catalog_member_list(struct catalog *c, int64_t dataset, enum dataset_split split, int64_t class,
			int64_t after, unsigned limit, member_fn *fn, void *user)
{
	READ(db, c);
	CLEANUP(query_done)
	struct query q =
		class >= 0 ? STMT(db,
				  "SELECT " MEMBER_COLUMNS ", " SNAP_COLUMNS
				  " FROM dataset_entry e JOIN dataset_member m ON m.id = e.member"
				  "" FROM_MEMBER "e.dataset = ?1 AND e.split = ?2 AND e.class = ?5 "
				  "AND e.member > ?3 ORDER BY e.member LIMIT ?4",
				  I(dataset), I(split), I(after), I(limit), I(class))
			   : STMT(db,
				  "SELECT " MEMBER_COLUMNS ", " SNAP_COLUMNS
				  " FROM dataset_member m INDEXED BY member_by_split" FROM_MEMBER
				  "m.dataset = ?1 AND m.split = ?2 AND m.id > ?3 ORDER BY m.id "
				  "LIMIT ?4",
				  I(dataset), I(split), I(after), I(limit));
	struct dataset_member m;
	int r;
	while ((r = query_next(&q)) > 0) {
		member_from_row(&q, &m);
		r = fn(user, &m);
		if (r != 0)
			return r;
	}
	return r;
}

static int one_class(struct query *q, struct dataset_class *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	ret->number = col_int(q, 0);
	col_copy(q, 1, ret->name, sizeof(ret->name));
	return 0;
}

/* A class has a directory in a split where it has a picture. */
int catalog_class_next(struct catalog *c, int64_t dataset, enum dataset_split split, int64_t after,
		       struct dataset_class *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT c.number, c.name FROM dataset_class c WHERE c.dataset = ?1 AND c.number = "
	      "(SELECT e.class FROM dataset_entry e WHERE e.dataset = ?1 AND e.split = ?2 AND "
	      "e.class > ?3 ORDER BY e.class LIMIT 1)",
	      I(dataset), I(split), I(after));
	return one_class(&q, ret);
}

int catalog_class_find(struct catalog *c, int64_t dataset, enum dataset_split split,
		       const char *name, struct dataset_class *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT c.number, c.name FROM dataset_class c WHERE c.dataset = ?1 AND c.name = ?3 "
	      "AND EXISTS(SELECT 1 FROM dataset_entry e WHERE e.dataset = ?1 AND e.split = ?2 AND "
	      "e.class = c.number)",
	      I(dataset), I(split), T(name));
	return one_class(&q, ret);
}

/* ---- writing ---- */
struct fill {
	int64_t dataset;
	const struct dataset_class *class;
	const struct dataset_member *member;
	size_t n;
};

/* Only while it is being frozen: it may have been removed meanwhile. */
static int check_freezing(struct db *db, int64_t dataset)
{
	int64_t state;
	int r = ONE(db, &state, "SELECT state FROM dataset WHERE id = ?1", I(dataset));
	return r < 0 ? r : state == DATASET_FREEZING ? 0 : -ENOENT;
}

static int add_classes(struct db *db, void *arg)
{
	const struct fill *a = arg;
	int r = check_freezing(db, a->dataset);
	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = RUN(db, "INSERT INTO dataset_class(dataset, number, name) VALUES(?1, ?2, ?3)",
			I(a->dataset), I(a->class[i].number), T(a->class[i].name));
	return r;
}

int catalog_class_add(struct catalog *c, int64_t dataset, const struct dataset_class *class,
		      size_t n)
{
	struct fill a = {.dataset = dataset, .class = class, .n = n};
	return db_write(c, add_classes, &a, false);
}

static int add_member(struct db *db, int64_t dataset, const struct dataset_member *m)
{
	int r = RUN(db,
		    "INSERT INTO dataset_member(dataset, split, day, stem, size, sha256, taken_us, "
		    "flags, boxes_at, boxes_len) "
		    "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		    I(dataset), I(m->split), I(m->day), T(m->stem), I(m->size),
		    SHA(m->has_sha, m->sha), I(m->taken_us), I(m->flags), I(m->boxes_at),
		    I(m->boxes_len));
	int64_t id = db_last_id(db);
	for (size_t i = 0; r == 0 && i < m->n_classes; i++)
		r = RUN(db,
			"INSERT INTO dataset_entry(dataset, split, class, member) VALUES(?1, ?2, "
			"?3, ?4)",
			I(dataset), I(m->split), I(m->class[i]), I(id));
	return r;
}

static int add_members(struct db *db, void *arg)
{
	const struct fill *a = arg;
	int r = check_freezing(db, a->dataset);
	for (size_t i = 0; r == 0 && i < a->n; i++)
		r = add_member(db, a->dataset, &a->member[i]);
	return r;
}

int catalog_member_add(struct catalog *c, int64_t dataset, const struct dataset_member *m, size_t n)
{
	struct fill a = {.dataset = dataset, .member = m, .n = n};
	return db_write(c, add_members, &a, false);
}

struct clear {
	int64_t dataset;
	unsigned max;
	bool left;
};

static int clear(struct db *db, void *arg)
{
	struct clear *a = arg;
	int r = RUN(db,
		    "DELETE FROM dataset_entry WHERE (dataset, split, class, member) IN (SELECT "
		    "dataset, split, class, member FROM dataset_entry WHERE dataset = ?1 LIMIT ?2)",
		    I(a->dataset), I(a->max));
	int64_t n = r == 0 ? db_changes(db) : 0;
	if (r == 0)
		r = RUN(db,
			"DELETE FROM dataset_member WHERE id IN (SELECT id FROM dataset_member "
			"WHERE dataset = ?1 LIMIT ?2)",
			I(a->dataset), I(a->max));
	n += r == 0 ? db_changes(db) : 0;
	a->left = n > 0;
	if (r < 0 || a->left)
		return r;
	r = RUN(db, "DELETE FROM dataset_class WHERE dataset = ?1", I(a->dataset));
	if (r == 0)
		r = RUN(db,
			"DELETE FROM dataset_scratch WHERE dataset IN (SELECT id FROM dataset "
			"WHERE id = ?1 AND state = ?2)",
			I(a->dataset), I(DATASET_REMOVED));
	if (r == 0)
		r = RUN(db,
			"UPDATE dataset SET state = ?3, query = x'', error = '' WHERE id = ?1 AND "
			"state = ?2",
			I(a->dataset), I(DATASET_REMOVED), I(DATASET_GONE));
	return r;
}

int catalog_dataset_clear(struct catalog *c, int64_t dataset)
{
	struct clear a = {.dataset = dataset, .max = 1000, .left = true};
	int r = 0;
	while (r == 0 && a.left)
		r = db_write(c, clear, &a, false);
	return r;
}
