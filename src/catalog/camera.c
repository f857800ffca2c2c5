/* camera.c - rows of cameras: created by whoever names them first, listed by name, with what
 * their last capture brought. */
#include <errno.h>
#include <string.h>

#include "db.h"

#define CAMERAS_MAX 32000 /* inode numbers have room for that many */
#define CAMERAS_KEPT \
	2000 /* of these, for those of the config and of uploads: a store cannot take them all */
#define CAMERA_COLUMNS "c.id, c.name, c.title, c.grp, c.last_capture_us, c.error"
#define CAMERA_N 6

static int one_camera(struct query *q, struct camera_row *ret)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	*ret = (struct camera_row){.id = col_int(q, 0),
				   .last_capture_us = col_int(q, 4),
				   .snapshots = col_int(q, CAMERA_N)};
	col_copy(q, 1, ret->name, sizeof(ret->name));
	col_copy(q, 2, ret->title, sizeof(ret->title));
	col_copy(q, 3, ret->group, sizeof(ret->group));
	col_copy(q, 5, ret->error, sizeof(ret->error));
	return 0;
}

int catalog_camera(struct catalog *c, int64_t id, struct camera_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT " CAMERA_COLUMNS ", 0 FROM camera c WHERE c.id = ?1", I(id));
	return one_camera(&q, ret);
}

int catalog_camera_find(struct catalog *c, const char *name, struct camera_row *ret)
{
	READ(db, c);
	QUERY(q, db, "SELECT " CAMERA_COLUMNS ", 0 FROM camera c WHERE c.name = ?1", T(name));
	return one_camera(&q, ret);
}

int catalog_camera_next(struct catalog *c, const char *after, bool count, struct camera_row *ret)
{
	READ(db, c);
	QUERY(q, db,
	      "SELECT " CAMERA_COLUMNS
	      ", CASE WHEN ?2 THEN (SELECT coalesce(sum(n), 0) FROM tally t WHERE t.camera = c.id) "
	      "ELSE 0 END FROM camera c WHERE c.name > ?1 ORDER BY c.name LIMIT 1",
	      T(after), I(count));
	return one_camera(&q, ret);
}

/* ---- writing ---- */
static int create(struct db *db, const char *name, int64_t max, int64_t *ret_id)
{
	int64_t last;
	int r = ONE(db, &last, "SELECT coalesce(max(id), 0) FROM camera");
	if (r == 0 && last >= max)
		r = -ENOSPC;
	if (r == 0)
		r = RUN(db, "INSERT INTO camera(name) VALUES(?1)", T(name));
	if (r < 0)
		return r;
	*ret_id = db_last_id(db);
	return emit_camera(db, *ret_id);
}

int camera_ensure(struct db *db, const char *name, const char *title, const char *group,
		  bool listed, int64_t *ret_id)
{
	int64_t id, max = listed ? CAMERAS_MAX - CAMERAS_KEPT : CAMERAS_MAX;
	if (!camera_name_ok(name) || (title && !text_ok(title, NAME_LIMIT)) ||
	    (group && !text_ok(group, NAME_LIMIT)))
		return -EINVAL;
	int r = ONE(db, &id, "SELECT id FROM camera WHERE name = ?1", T(name));
	if (r == -ENOENT)
		r = create(db, name, max, &id);
	if (r < 0)
		return r;
	if (title || group) /* most calls bring what is known, so they write nothing */
		r = RUN(db,
			"UPDATE camera SET title = coalesce(?2, title), grp = coalesce(?3, grp) "
			"WHERE id = ?1 AND (title <> coalesce(?2, title) OR grp <> "
			"coalesce(?3, grp))",
			I(id), T(title), T(group));
	if (r == 0)
		*ret_id = id;
	return r;
}

struct ensure {
	const char *name, *title, *group;
	int64_t id;
};

static int ensure(struct db *db, void *arg)
{
	struct ensure *a = arg;
	return camera_ensure(db, a->name, a->title, a->group, false, &a->id);
}

int catalog_camera_ensure(struct catalog *c, const char *name, const char *title, const char *group,
			  int64_t *ret_id)
{
	struct ensure a = {.name = name, .title = title, .group = group};
	int r = db_write(c, ensure, &a, false);
	if (r == 0)
		*ret_id = a.id;
	return r;
}

struct result {
	int64_t id, captured_us;
	const char *error;
};

static int set_result(struct db *db, void *arg)
{
	const struct result *a = arg;
	char error[256];
	text_clip(a->error, error);
	int r = RUN(db,
		    "UPDATE camera SET last_capture_us = max(last_capture_us, ?2), error = ?3, "
		    "error_us = ?4 WHERE id = ?1",
		    I(a->id), I(a->captured_us), T(error), I(error[0] ? now_us() : 0));
	return r == 0 && db_changes(db) == 0 ? -ENOENT : r;
}

/* captured_us 0: nothing was captured; the time of the last one stays. */
int catalog_camera_result(struct catalog *c, int64_t id, int64_t captured_us, const char *error)
{
	struct result a = {.id = id, .captured_us = captured_us, .error = error};
	return db_write(c, set_result, &a, false);
}
