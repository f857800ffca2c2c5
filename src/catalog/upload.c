/* upload.c - the tree below upload/: names, attributes and states of what people dropped there.
 *
 * Names are the bytes the kernel gave: only what could not be one path component is refused.  The tree is at most UPLOAD_DEPTH
 * directories deep, so every walk towards the root ends.  A negative parent is an annex: it has no row and is always there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

enum { UPLOAD_DEPTH = 32 };

#define COLUMNS                                                                            \
	"id, parent, is_dir, mode, uid, gid, size, mtime_ns, ctime_ns, mtime_set, state, " \
	"snapshot, due_us, name"

static void row_from(const struct query *q, struct upload_row *ret)
{
	*ret = (struct upload_row){
		.id = col_int(q, 0),
		.parent = col_int(q, 1),
		.is_dir = col_int(q, 2) != 0,
		.mode = (mode_t)col_int(q, 3) & 07777,
		.uid = (uid_t)col_int(q, 4),
		.gid = (gid_t)col_int(q, 5),
		.size = (uint64_t)col_int(q, 6),
		.mtime_ns = col_int(q, 7),
		.ctime_ns = col_int(q, 8),
		.mtime_set = col_int(q, 9) != 0,
		.state = (enum upload_state)col_enum(q, 10, UPLOAD_KEPT + 1),
		.snapshot = col_int(q, 11),
		.due_us = col_int(q, 12),
	};
	col_copy(q, 13, ret->name, sizeof(ret->name));
}

/* The one row of a query. */
static int single(struct query *q, struct upload_row *ret)
{
	int r = query_one(q);

	if (r < 0)
		return r;
	row_from(q, ret);
	return 0;
}

static int each_row(struct query *q, upload_fn *fn, void *user)
{
	struct upload_row row;
	int r;

	while ((r = query_next(q)) > 0) {
		row_from(q, &row);
		r = fn(user, &row);
		if (r != 0)
			return r;
	}
	return r;
}

static int get(struct db *db, int64_t id, struct upload_row *ret)
{
	QUERY(q, db, "SELECT " COLUMNS " FROM upload WHERE id = ?1", I(id));
	return single(&q, ret);
}

static int find(struct db *db, int64_t parent, const char *name, struct upload_row *ret)
{
	QUERY(q, db, "SELECT " COLUMNS " FROM upload WHERE parent = ?1 AND name = ?2", I(parent),
	      T(name));
	return single(&q, ret);
}

/* ---- reading ---- */
int catalog_upload(struct catalog *c, int64_t id, struct upload_row *ret)
{
	READ(db, c);
	return get(db, id, ret);
}

int catalog_upload_find(struct catalog *c, int64_t parent, const char *name, struct upload_row *ret)
{
	READ(db, c);
	return find(db, parent, name, ret);
}

int catalog_upload_list(struct catalog *c, int64_t parent, const char *after, unsigned limit,
			upload_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " COLUMNS
	      " FROM upload WHERE parent = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
	      I(parent), T(after), I(limit));
	return each_row(&q, fn, user);
}

int catalog_upload_due(struct catalog *c, int64_t now, unsigned limit, upload_fn *fn, void *user)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " COLUMNS " FROM upload WHERE due_us > 0 AND due_us <= ?1"
	      " ORDER BY due_us, id LIMIT ?2",
	      I(now), I(limit));
	return each_row(&q, fn, user);
}

int catalog_upload_each(struct catalog *c, int64_t after_id, unsigned limit, upload_fn *fn,
			void *user)
{
	READ(db, c);
	QUERY(q, db, "SELECT " COLUMNS " FROM upload WHERE id > ?1 ORDER BY id LIMIT ?2",
	      I(after_id), I(limit));
	return each_row(&q, fn, user);
}

int catalog_upload_path(struct catalog *c, int64_t id, struct buf *out)
{
	size_t start = out->len;
	int r;

	READ(db, c);
	QUERY(q, db,
	      "WITH RECURSIVE up(parent, name, n) AS ("
	      "SELECT parent, name, 0 FROM upload WHERE id = ?1 UNION ALL "
	      "SELECT u.parent, u.name, n + 1 FROM up JOIN upload u ON u.id = up.parent LIMIT 64)"
	      " SELECT name FROM up ORDER BY n DESC",
	      I(id));
	while ((r = query_next(&q)) > 0) {
		if (out->len > start)
			(void)buf_str(out, "/");
		(void)buf_str(out, col_text(&q, 0));
	}
	if (r == 0 && out->error == 0 && out->len == start)
		return -ENOENT;
	return r < 0 ? r : out->error;
}

int catalog_upload_error(struct catalog *c, int64_t id, char out[256])
{
	int r;

	READ(db, c);
	QUERY(q, db, "SELECT error FROM upload WHERE id = ?1", I(id));
	r = query_one(&q);
	if (r < 0)
		return r;
	col_copy(&q, 0, out, 256);
	return 0;
}

/* ---- changing ---- */
static int check_name(const char *name)
{
	if (strlen(name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

/* How many directories lie above what is put into `dir`; -EINVAL when `not_below` is among them. */
static int depth_of(struct db *db, int64_t dir, int64_t not_below, unsigned *ret)
{
	struct upload_row row;
	unsigned depth = 0;
	int r;

	for (; dir > 0; dir = row.parent) {
		if (dir == not_below)
			return -EINVAL;
		if (++depth > UPLOAD_DEPTH)
			return -ENAMETOOLONG;
		r = get(db, dir, &row);
		if (r < 0)
			return r;
		if (!row.is_dir)
			return -ENOTDIR;
	}
	*ret = depth;
	return 0;
}

/* How many levels of directories `dir` is, itself counted. */
static int height_of(struct db *db, int64_t dir, int64_t *ret)
{
	return ONE(
		db, ret,
		"WITH RECURSIVE down(id, n) AS (SELECT ?1, 1 UNION ALL"
		" SELECT u.id, n + 1 FROM down JOIN upload u ON u.parent = down.id AND u.is_dir = 1"
		" WHERE n <= ?2) SELECT max(n) FROM down",
		I(dir), I(UPLOAD_DEPTH));
}

/* A name came to or left a directory: find -newer, tar and backup programs go by its times. */
static int touch_dir(struct db *db, int64_t dir)
{
	return RUN(db, "UPDATE upload SET mtime_ns = ?2, ctime_ns = ?2 WHERE id = ?1", I(dir),
		   I(now_us() * 1000));
}

static int has_children(struct db *db, int64_t id, int64_t *ret)
{
	return ONE(db, ret, "SELECT EXISTS(SELECT 1 FROM upload WHERE parent = ?1)", I(id));
}

static int erase(struct db *db, int64_t id)
{
	int64_t children;
	int r = has_children(db, id, &children);

	if (r < 0)
		return r;
	if (children)
		return -ENOTEMPTY;
	r = RUN(db, "DELETE FROM upload_xattr WHERE upload = ?1", I(id));
	if (r == 0)
		r = batch_erase(db, id);
	if (r < 0)
		return r;
	r = RUN(db, "DELETE FROM upload WHERE id = ?1", I(id));
	if (r < 0)
		return r;
	return db_changes(db) > 0 ? 0 : -ENOENT;
}

struct create {
	const struct upload_row *row;
	int64_t id;
};

static int create_tx(struct db *db, void *arg)
{
	struct create *a = arg;
	const struct upload_row *row = a->row;
	unsigned depth = 0;
	int r = depth_of(db, row->parent, 0, &depth);

	if (r < 0)
		return r;
	if (row->is_dir && depth >= UPLOAD_DEPTH)
		return -ENAMETOOLONG;
	r = RUN(db,
		"INSERT INTO upload(parent, name, is_dir, mode, uid, gid, size, mtime_ns, ctime_ns,"
		" mtime_set, state, snapshot, due_us)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, nullif(?12, 0), ?13)",
		I(row->parent), T(row->name), I(row->is_dir), I(row->mode), I(row->uid),
		I(row->gid), I(row->size), I(row->mtime_ns),
		I(row->ctime_ns ? row->ctime_ns : now_us() * 1000), I(row->mtime_set),
		I(row->state), I(row->snapshot), I(row->due_us));
	if (r < 0)
		return r;
	a->id = db_last_id(db);
	return touch_dir(db, row->parent);
}

int catalog_upload_create(struct catalog *c, const struct upload_row *row, int64_t *ret_id)
{
	struct create a = {.row = row};
	int r = check_name(row->name);

	if (r == 0)
		r = db_write(c, create_tx, &a, false);
	if (r == 0)
		*ret_id = a.id;
	return r;
}

struct set {
	const struct upload_row *row;
	unsigned mask;
	const char *error;
};

/* What stat shows; the change time moves with it. */
static int set_attributes(struct db *db, const struct upload_row *row, unsigned mask)
{
	const unsigned m = UPLOAD_SET_MODE, o = UPLOAD_SET_OWNER, t = UPLOAD_SET_MTIME,
		       s = UPLOAD_SET_SIZE;

	if (!(mask & (m | o | t | s)))
		return 0;
	return RUN(db,
		   "UPDATE upload SET ctime_ns = ?2, mode = iif(?3, ?4, mode),"
		   " uid = iif(?5, ?6, uid), gid = iif(?5, ?7, gid),"
		   " mtime_ns = iif(?8, ?9, mtime_ns), mtime_set = iif(?8, ?10, mtime_set),"
		   " size = iif(?11, ?12, size) WHERE id = ?1",
		   I(row->id), I(now_us() * 1000), I((mask & m) != 0), I(row->mode),
		   I((mask & o) != 0), I(row->uid), I(row->gid), I((mask & t) != 0),
		   I(row->mtime_ns), I(row->mtime_set), I((mask & s) != 0), I(row->size));
}

static int set_state(struct db *db, const struct upload_row *row, const char *error)
{
	char text[256];
	int r;

	text_clip(error, text);
	r = RUN(db, "UPDATE upload SET state = ?2, error = nullif(?3, '') WHERE id = ?1",
		I(row->id), I(row->state), T(text));
	if (r < 0 || row->state == UPLOAD_OPEN || row->state == UPLOAD_WAITING)
		return r;
	return emit_upload(db, row->id);
}

static int set_tx(struct db *db, void *arg)
{
	struct set *a = arg;
	const struct upload_row *row = a->row;
	int64_t there;
	int r = ONE(db, &there, "SELECT 1 FROM upload WHERE id = ?1", I(row->id));

	if (r == 0)
		r = set_attributes(db, row, a->mask);
	if (r == 0 && (a->mask & UPLOAD_SET_SNAPSHOT))
		r = RUN(db, "UPDATE upload SET snapshot = nullif(?2, 0) WHERE id = ?1", I(row->id),
			I(row->snapshot));
	if (r == 0 && (a->mask & UPLOAD_SET_DUE))
		r = RUN(db, "UPDATE upload SET due_us = ?2 WHERE id = ?1", I(row->id),
			I(row->due_us));
	if (r == 0 && (a->mask & UPLOAD_SET_STATE))
		r = set_state(db, row, a->error);
	return r;
}

int catalog_upload_set(struct catalog *c, const struct upload_row *row, unsigned mask,
		       const char *error, bool durable)
{
	struct set a = {.row = row, .mask = mask, .error = error};

	return db_write(c, set_tx, &a, durable);
}

static int remove_tx(struct db *db, void *arg)
{
	const int64_t *id = arg;
	struct upload_row row;
	int r = get(db, *id, &row);

	if (r == 0)
		r = erase(db, *id);
	return r < 0 ? r : touch_dir(db, row.parent);
}

int catalog_upload_remove(struct catalog *c, int64_t id)
{
	return db_write(c, remove_tx, &id, false);
}

struct move {
	int64_t id, parent, replaced;
	const char *name;
	unsigned flags;
};

/* Takes the entry that stands in the way out of it, if the rules of rename(2) allow that. */
static int replace(struct db *db, struct move *a, const struct upload_row *from)
{
	struct upload_row old;
	int r = find(db, a->parent, a->name, &old);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (a->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (old.is_dir && !from->is_dir)
		return -EISDIR;
	if (!old.is_dir && from->is_dir)
		return -ENOTDIR;
	a->replaced = old.id;
	return erase(db, old.id);
}

static int rename_tx(struct db *db, void *arg)
{
	struct move *a = arg;
	struct upload_row from;
	int64_t height = 0;
	unsigned depth = 0;
	int r = get(db, a->id, &from);

	if (r == 0)
		r = depth_of(db, a->parent, a->id, &depth);
	if (r < 0)
		return r;
	if (from.parent == a->parent && strcmp(from.name, a->name) == 0)
		return a->flags & RENAME_NOREPLACE ? -EEXIST : 0;
	if (from.is_dir && from.parent != a->parent)
		r = height_of(db, a->id, &height);
	if (r < 0)
		return r;
	if (depth + height > UPLOAD_DEPTH)
		return -ENAMETOOLONG;
	r = replace(db, a, &from);
	if (r == 0)
		r = touch_dir(db, from.parent);
	if (r == 0 && a->parent != from.parent)
		r = touch_dir(db, a->parent);
	if (r < 0)
		return r;
	return RUN(db, "UPDATE upload SET parent = ?2, name = ?3, ctime_ns = ?4 WHERE id = ?1",
		   I(a->id), I(a->parent), T(a->name), I(now_us() * 1000));
}

int catalog_upload_rename(struct catalog *c, int64_t id, int64_t new_parent, const char *new_name,
			  unsigned flags, int64_t *ret_replaced)
{
	struct move a = {.id = id, .parent = new_parent, .name = new_name, .flags = flags};
	int r = check_name(new_name);

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (r == 0)
		r = db_write(c, rename_tx, &a, false);
	if (r == 0)
		*ret_replaced = a.replaced;
	return r;
}
