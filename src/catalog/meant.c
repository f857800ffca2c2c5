/* meant.c - the snapshot that somebody means by an img_id, a stem, or the name of the file that was uploaded. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

/* The name alone: no directories, no suffix of a picture or its sidecar. */
static int stem_of(const char *name, char out[NAME_LIMIT + 1])
{
	const char *slash = strrchr(name, '/'), *dot;
	size_t len;

	if (slash)
		name = slash + 1;
	dot = strrchr(name, '.');
	len = dot && dot != name ? (size_t)(dot - name) : strlen(name);
	if (len == 0 || len > NAME_LIMIT)
		return -ENOENT;
	memcpy(out, name, len);
	out[len] = '\0';
	return 0;
}

/* 0 with the only one, -ENOTUNIQ: there are more. */
static int only_one(struct query *q, struct snap *ret)
{
	struct snap s;
	int r = query_one(q);

	if (r < 0)
		return r;
	snap_from_row(q, 0, &s);
	r = query_next(q);
	if (r != 0)
		return r < 0 ? r : -ENOTUNIQ;
	*ret = s;
	return 0;
}

static int by_img_id(struct db *db, int32_t day, const char *img_id, struct snap *ret)
{
	char from[IMG_ID_MAX + 2], to[IMG_ID_MAX + 2];

	if (snprintf(from, sizeof(from), "%s_", img_id) >= (int)sizeof(from))
		return -ENOENT;
	(void)snprintf(to, sizeof(to), "%s`", img_id); /* '`' follows '_' */
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS " FROM snapshot s WHERE s.day = ?1 AND s.stem > ?2 AND "
	      "s.stem < ?3 AND s.gone = 0 ORDER BY s.stem LIMIT 2",
	      I(day), T(from), T(to));
	return only_one(&q, ret);
}

static int by_stem(struct db *db, int32_t day, const char *stem, struct snap *ret)
{
	bool gone;
	int r = snapshot_by_stem(db, day, stem, ret, &gone);

	return r == 0 && gone ? -ENOENT : r;
}

/* Of files in upload/, whatever the directory; several entries may be of one picture. */
static int by_upload(struct db *db, const char *name, const char *camera, struct snap *ret)
{
	const char *slash = strrchr(name, '/');
	QUERY(q, db,
	      "SELECT DISTINCT " SNAP_COLUMNS " FROM upload u JOIN snapshot s ON s.id = u.snapshot "
	      "JOIN camera c ON c.id = s.camera WHERE u.name = ?1 AND u.state = ?2 AND "
	      "u.snapshot IS NOT NULL AND s.gone = 0 AND (?3 IS NULL OR c.name = ?3) LIMIT 2",
	      T(slash ? slash + 1 : name), I(UPLOAD_REGISTERED), T(camera));
	return only_one(&q, ret);
}

int catalog_named(struct catalog *c, const char *name, const char *camera, struct snap *ret)
{
	char stem[NAME_LIMIT + 1], of_camera[CAMERA_MAX + 1], whole[STEM_MAX + 1];
	struct civil at;
	unsigned dup;
	int32_t day;
	int r = stem_of(name, stem);

	if (r < 0)
		return r;
	READ(db, c);
	if (stem_parse(stem, &at, &dup, of_camera) == 0 &&
	    (!camera || strcmp(camera, of_camera) == 0)) {
		r = by_stem(db, day_from_civil(at.year, at.month, at.day), stem, ret);
	} else if (img_id_parse(stem, strlen(stem), &at, &dup) == 0) {
		day = day_from_civil(at.year, at.month, at.day);
		if (camera &&
		    snprintf(whole, sizeof(whole), "%s_%s", stem, camera) < (int)sizeof(whole))
			r = by_stem(db, day, whole, ret);
		else
			r = by_img_id(db, day, stem, ret);
	} else {
		r = -ENOENT;
	}
	return r == -ENOENT ? by_upload(db, name, camera, ret) : r;
}
