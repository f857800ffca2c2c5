/* xattr.c - user.* attributes of upload entries and of upload/ itself: rsync -X, Samba and desktops keep theirs here. */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "db.h"

enum { VALUE_MAX = 64 * 1024, ENTRY_MAX = 256 * 1024 };

static int check_name(const char *name)
{
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	if (name[5] == '\0')
		return -EINVAL;
	return strlen(name) > NAME_LIMIT ? -ERANGE : 0;
}

/* Entry 0 is upload/ itself, which has no row. */
static int touch(struct db *db, int64_t upload)
{
	int r;

	if (upload == 0)
		return 0;
	r = RUN(db, "UPDATE upload SET ctime_ns = ?2 WHERE id = ?1", I(upload), I(now_us() * 1000));
	if (r < 0)
		return r;
	return db_changes(db) > 0 ? 0 : -ENOENT;
}

int catalog_xattr_get(struct catalog *c, int64_t upload, const char *name, struct buf *out)
{
	const void *value;
	size_t len;
	int r;

	READ(db, c);
	QUERY(q, db, "SELECT value FROM upload_xattr WHERE upload = ?1 AND name = ?2", I(upload),
	      T(name));
	r = query_next(&q);
	if (r <= 0)
		return r < 0 ? r : -ENODATA;
	value = col_blob(&q, 0, &len);
	return buf_add(out, value, len);
}

struct change_xattr {
	int64_t upload;
	const char *name;
	const void *value;
	size_t len;
	int flags;
};

static int set_tx(struct db *db, void *arg)
{
	struct change_xattr *a = arg;
	int64_t there, others;
	int r = touch(db, a->upload);

	if (r < 0)
		return r;
	r = ONE(db, &there,
		"SELECT EXISTS(SELECT 1 FROM upload_xattr WHERE upload = ?1 AND name = ?2)",
		I(a->upload), T(a->name));
	if (r < 0)
		return r;
	if (there && (a->flags & XATTR_CREATE))
		return -EEXIST;
	if (!there && (a->flags & XATTR_REPLACE))
		return -ENODATA;
	r = ONE(db, &others,
		"SELECT coalesce(sum(length(CAST(name AS BLOB)) + length(value)), 0)"
		" FROM upload_xattr WHERE upload = ?1 AND name <> ?2",
		I(a->upload), T(a->name));
	if (r < 0)
		return r;
	if ((size_t)others + strlen(a->name) + a->len > ENTRY_MAX)
		return -ENOSPC;
	return RUN(db,
		   "INSERT INTO upload_xattr(upload, name, value) VALUES(?1, ?2, ?3)"
		   " ON CONFLICT DO UPDATE SET value = excluded.value",
		   I(a->upload), T(a->name), B(a->len > 0 ? a->value : "", a->len));
}

int catalog_xattr_set(struct catalog *c, int64_t upload, const char *name, const void *value,
		      size_t len, int flags)
{
	struct change_xattr a = {upload, name, value, len, flags};
	int r = check_name(name);

	if (r < 0)
		return r;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (len > VALUE_MAX)
		return -E2BIG;
	return db_write(c, set_tx, &a, false);
}

static int remove_tx(struct db *db, void *arg)
{
	struct change_xattr *a = arg;
	int r = touch(db, a->upload);

	if (r < 0)
		return r;
	r = RUN(db, "DELETE FROM upload_xattr WHERE upload = ?1 AND name = ?2", I(a->upload),
		T(a->name));
	if (r < 0)
		return r;
	return db_changes(db) > 0 ? 0 : -ENODATA;
}

int catalog_xattr_remove(struct catalog *c, int64_t upload, const char *name)
{
	struct change_xattr a = {.upload = upload, .name = name};
	int r = check_name(name);

	return r < 0 ? r : db_write(c, remove_tx, &a, false);
}

int catalog_xattr_list(struct catalog *c, int64_t upload, struct buf *out)
{
	int r;

	READ(db, c);
	QUERY(q, db, "SELECT name FROM upload_xattr WHERE upload = ?1 ORDER BY name", I(upload));
	while ((r = query_next(&q)) > 0)
		(void)buf_add(out, col_text(&q, 0), strlen(col_text(&q, 0)) + 1);
	return r < 0 ? r : out->error;
}
