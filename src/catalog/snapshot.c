/* snapshot.c - rows of snapshots: made, hidden, shown again, recounted; with their tallies,
 * their camera's newest and the feed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ledger.h"

#define TAKEN_MAX INT64_C(253402300799999999) /* the end of the year 9999 */

void snap_from_row(const struct query *q, int first, struct snap *ret)
{
	*ret = (struct snap){
		.id = col_int(q, first),
		.camera = col_int(q, first + 1),
		.day = (int32_t)col_int(q, first + 2),
		.taken_us = col_int(q, first + 4),
		.zone_min = (int)col_int(q, first + 5),
		.time_source = (enum time_source)col_enum(q, first + 6, TIME_SOURCES),
		.registered_us = col_int(q, first + 7),
		.size = (uint64_t)col_int(q, first + 8),
		.width = (unsigned)col_int(q, first + 10),
		.height = (unsigned)col_int(q, first + 11),
		.starred = col_int(q, first + 12) != 0,
		.links = (unsigned)col_int(q, first + 13),
		.queued = (unsigned)col_int(q, first + 14),
		.replicas = (unsigned)col_int(q, first + 15),
		.changed_us = col_int(q, first + 16),
	};
	col_copy(q, first + 3, ret->stem, sizeof(ret->stem));
	ret->has_sha = col_sha(q, first + 9, &ret->sha);
}

static int one_snap(struct query *q, struct snap *ret, bool *ret_gone)
{
	int r = query_one(q);
	if (r < 0)
		return r;
	snap_from_row(q, 0, ret);
	if (ret_gone)
		*ret_gone = col_int(q, SNAP_N) != 0;
	return 0;
}

int snapshot_get(struct db *db, int64_t id, struct snap *ret, bool *ret_gone)
{
	QUERY(q, db, "SELECT " SNAP_COLUMNS ", s.gone FROM snapshot s WHERE s.id = ?1", I(id));
	return one_snap(&q, ret, ret_gone);
}

int snapshot_by_stem(struct db *db, int32_t day, const char *stem, struct snap *ret, bool *ret_gone)
{
	QUERY(q, db,
	      "SELECT " SNAP_COLUMNS ", s.gone FROM snapshot s WHERE s.day = ?1 AND s.stem = ?2",
	      I(day), T(stem));
	return one_snap(&q, ret, ret_gone);
}

/* ---- what a visible snapshot counts for ---- */
static int tally_add(struct db *db, int64_t camera, int32_t day)
{
	return RUN(db,
		   "INSERT INTO tally(camera, day, n) VALUES(?1, ?2, 1) ON CONFLICT DO UPDATE SET "
		   "n = n + 1",
		   I(camera), I(day));
}

static int tally_sub(struct db *db, int64_t camera, int32_t day)
{
	int r = RUN(db, "UPDATE tally SET n = n - 1 WHERE camera = ?1 AND day = ?2", I(camera),
		    I(day));
	if (r < 0)
		return r;
	return RUN(db, "DELETE FROM tally WHERE camera = ?1 AND day = ?2 AND n <= 0", I(camera),
		   I(day));
}

static int counted(struct db *db, const struct snap *s)
{
	int r = tally_add(db, s->camera, s->day);
	if (r == 0)
		r = tally_add(db, 0, s->day);
	if (r < 0)
		return r;
	return RUN(db,
		   "UPDATE camera SET newest = ?1 WHERE id = ?2 AND "
		   "coalesce((SELECT taken_us FROM snapshot WHERE id = newest), -1) <= ?3",
		   I(s->id), I(s->camera), I(s->taken_us));
}

static int uncounted(struct db *db, const struct snap *s)
{
	int r = tally_sub(db, s->camera, s->day);
	if (r == 0)
		r = tally_sub(db, 0, s->day);
	if (r < 0)
		return r;
	return RUN(
		db,
		"UPDATE camera SET newest = (SELECT id FROM snapshot INDEXED BY snapshot_by_camera "
		"WHERE camera = ?2 AND gone = 0 ORDER BY day DESC, stem DESC LIMIT 1) WHERE id "
		"= ?2 AND newest = ?1",
		I(s->id), I(s->camera));
}

/* ---- a new one ---- */
static int stem_taken(struct db *db, int64_t taken_us, const char *camera, uint64_t dup,
		      struct snap *s, bool *ret)
{
	char img_id[IMG_ID_MAX + 1];
	struct civil local;
	unsigned dup_back;
	if (dup > UINT32_MAX)
		return -EOVERFLOW;
	size_t len = img_id_format(taken_us, (unsigned)dup, img_id);
	int r = img_id_parse(img_id, len, &local, &dup_back);
	if (r < 0)
		return r;
	s->day = day_from_civil(local.year, local.month, local.day);
	(void)snprintf(s->stem, sizeof(s->stem), "%s_%s", img_id, camera);
	int64_t id;
	r = ONE(db, &id, "SELECT id FROM snapshot WHERE day = ?1 AND stem = ?2", I(s->day),
		T(s->stem));
	*ret = r == 0;
	return r == -ENOENT ? 0 : r;
}

/* The free suffix after the taken ones.  They have no holes, so doubling and then halving the
 * step finds it in a few seeks even when thousands of snapshots share a microsecond. */
static int free_stem(struct db *db, const struct snapshot_new *n, struct snap *s)
{
	bool taken;
	int r = stem_taken(db, n->taken_us, n->camera_name, 0, s, &taken);
	if (r < 0 || !taken)
		return r;
	uint64_t low = 0, high = 1; /* low is taken */
	while ((r = stem_taken(db, n->taken_us, n->camera_name, high, s, &taken)) == 0 && taken) {
		low = high;
		high *= 2;
	}
	while (r == 0 && high - low > 1) { /* high is free */
		uint64_t mid = low + (high - low) / 2;
		r = stem_taken(db, n->taken_us, n->camera_name, mid, s, &taken);
		*(taken ? &low : &high) = mid;
	}
	return r < 0 ? r : stem_taken(db, n->taken_us, n->camera_name, high, s, &taken);
}

static int given_stem(const char *stem, struct snap *s)
{
	struct civil local;
	unsigned dup;
	char camera[CAMERA_MAX + 1];
	int r = stem_parse(stem, &local, &dup, camera);
	if (r < 0)
		return r;
	s->day = day_from_civil(local.year, local.month, local.day);
	(void)snprintf(s->stem, sizeof(s->stem), "%s", stem);
	return 0;
}

int snapshot_insert(struct db *db, const struct snapshot_new *n, struct snap *ret)
{
	struct snap s = {
		.camera = n->camera,
		.taken_us = n->taken_us,
		.zone_min = n->zone_min,
		.time_source = n->time_source,
		.registered_us = now_us(),
		.size = n->size,
		.width = n->width,
		.height = n->height,
		.links = 2,
		.has_sha = n->sha != NULL,
		.sha = n->sha ? *n->sha : (struct sha256){{0}},
	};
	if (n->taken_us < 0 || n->taken_us > TAKEN_MAX || n->zone_min < -1439 ||
	    n->zone_min > 1439 || n->size > INT64_MAX || (unsigned)n->time_source >= TIME_SOURCES)
		return -EINVAL;
	int r = n->stem ? given_stem(n->stem, &s) : free_stem(db, n, &s);
	if (r < 0)
		return r;
	r = RUN(db,
		"INSERT INTO snapshot(camera, day, stem, taken_us, zone_min, time_source, "
		"registered_us, size, sha256, "
		"width, height) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
		I(s.camera), I(s.day), T(s.stem), I(s.taken_us), I(s.zone_min), I(s.time_source),
		I(s.registered_us), I(s.size), SHA(s.has_sha, s.sha), I(s.width), I(s.height));
	if (r < 0)
		return r;
	s.id = db_last_id(db);
	r = counted(db, &s);
	if (r == 0)
		r = emit(db, CHANGE_ADDED, &s, 0);
	if (r == 0)
		*ret = s;
	return r;
}

/* ---- out of the views and back ---- */
static int label_views(struct db *db, const struct snap *s, bool show)
{
	QUERY(q, db, "SELECT DISTINCT name FROM label WHERE snapshot = ?1", I(s->id));
	int r;
	while ((r = query_next(&q)) > 0) {
		r = label_view_set(db, s, col_int(&q, 0), show);
		if (r < 0)
			return r;
	}
	if (r == 0 && s->starred)
		r = emit(db, CHANGE_LABEL, s, 0);
	return r;
}

static int set_gone(struct db *db, int64_t id, bool gone)
{
	struct snap s;
	bool is_gone;
	int r = snapshot_get(db, id, &s, &is_gone);
	if (r < 0 || is_gone == gone)
		return r;
	r = RUN(db, "UPDATE snapshot SET gone = ?2 WHERE id = ?1", I(id), I(gone));
	if (r == 0)
		r = gone ? uncounted(db, &s) : counted(db, &s);
	if (r == 0)
		r = label_views(db, &s, !gone);
	if (r == 0)
		r = emit(db, gone ? CHANGE_GONE : CHANGE_ADDED, &s, 0);
	return r;
}

int snapshot_hide(struct db *db, int64_t id)
{
	return set_gone(db, id, true);
}

int snapshot_show(struct db *db, int64_t id)
{
	int64_t trashed;
	int r = ONE(db, &trashed, "SELECT EXISTS(SELECT 1 FROM trash WHERE snapshot = ?1)", I(id));
	if (r < 0 || trashed)
		return r;
	return set_gone(db, id, false);
}

/* ---- changes ---- */
static int emit_if_visible(struct db *db, enum change_what what, int64_t id)
{
	struct snap s;
	bool gone;
	int r = snapshot_get(db, id, &s, &gone);
	return r < 0 || gone ? r : emit(db, what, &s, 0);
}

int snapshot_recount(struct db *db, int64_t id)
{
	int r = RUN(db,
		    "UPDATE snapshot SET queued = n.queued, replicas = n.replicas FROM (SELECT "
		    "(SELECT count(*) FROM outbox WHERE snapshot = ?1 AND what = ?2) AS queued, "
		    "(SELECT count(*) FROM object WHERE snapshot = ?1 AND sidecar = 0 AND outcome "
		    "= 0) AS replicas) AS n "
		    "WHERE id = ?1 AND (snapshot.queued <> n.queued OR snapshot.replicas <> "
		    "n.replicas)",
		    I(id), I(OUTBOX_PICTURE));
	if (r < 0 || db_changes(db) == 0)
		return r;
	return emit_if_visible(db, CHANGE_ATTR, id);
}

int snapshot_set_bytes(struct db *db, int64_t id, const struct sha256 *sha, uint64_t size,
		       unsigned width, unsigned height)
{
	struct snap s;
	if (size > INT64_MAX)
		return -EINVAL;
	int r = snapshot_get(db, id, &s, NULL);
	if (r < 0)
		return r;
	bool other = s.size != size ||
		     (s.has_sha && (!sha || memcmp(&s.sha, sha, sizeof(*sha)) != 0));
	if (!other && s.has_sha == (sha != NULL) && s.width == width && s.height == height)
		return 0;
	r = RUN(db,
		"UPDATE snapshot SET sha256 = ?2, size = ?3, width = ?4, height = ?5 WHERE id = ?1",
		I(id), B(sha ? sha->b : NULL, sizeof(sha->b)), I(size), I(width), I(height));
	return r < 0 ? r : emit_if_visible(db, other ? CHANGE_BYTES : CHANGE_ATTR, id);
}

struct set_content {
	int64_t id;
	const struct place *from;
	const struct sha256 *sha;
	unsigned width, height;
};

static int set_content(struct db *db, void *arg)
{
	const struct set_content *a = arg;
	struct object o;
	int r = object_get(db, a->from->store, a->from->key, &o);

	if (r == 0 && (!o.there || o.snapshot != a->id || o.size != a->from->size ||
		       strcmp(o.etag, a->from->etag) != 0))
		r = -ESTALE;
	return r < 0 ? r : snapshot_set_bytes(db, a->id, a->sha, o.size, a->width, a->height);
}

int catalog_set_content(struct catalog *c, int64_t id, const struct place *from,
			const struct sha256 *sha, unsigned width, unsigned height)
{
	struct set_content a = {
		.id = id, .from = from, .sha = sha, .width = width, .height = height};
	return db_write(c, set_content, &a, false);
}
