/* register.c - a picture becomes a snapshot: row, labels, outbox rows and the upload entry that
 * brought it, in one transaction. */
#include <errno.h>
#include <string.h>

#include "db.h"

struct args {
	const struct registration *r;
	int64_t id;
	bool new;
};

/* The same bytes on the same camera: the visible one before a hidden one. */
static int find_same(struct db *db, const struct registration *reg, int64_t camera,
		     struct snap *ret, bool *ret_gone)
{
	int64_t id;
	int r = ONE(db, &id,
		    "SELECT id FROM snapshot INDEXED BY snapshot_by_sha WHERE sha256 = ?1 AND "
		    "camera = ?2 "
		    "ORDER BY gone, id LIMIT 1",
		    SHA(true, reg->sha), I(camera));
	return r < 0 ? r : snapshot_get(db, id, ret, ret_gone);
}

static int find_or_insert(struct db *db, struct args *a, struct snap *s)
{
	const struct registration *reg = a->r;
	int64_t camera;
	bool gone;
	int r = camera_ensure(db, reg->camera, reg->title, reg->group, false, &camera);
	if (r < 0)
		return r;
	r = reg->dedupe ? find_same(db, reg, camera, s, &gone) : -ENOENT;
	if (r == 0) {
		a->new = gone;
		if (!gone)
			return 0;
		r = untrash(db, s->id); /* somebody wants it after all */
		return r == -ENOENT ? snapshot_show(db, s->id) : r;
	}
	if (r != -ENOENT)
		return r;
	a->new = true;
	const struct snapshot_new n = {
		.camera = camera,
		.camera_name = reg->camera,
		.taken_us = reg->taken_us,
		.zone_min = reg->zone_min,
		.time_source = reg->time_source,
		.size = reg->size,
		.sha = &reg->sha,
		.width = reg->width,
		.height = reg->height,
	};
	return snapshot_insert(db, &n, s);
}

static int take_sidecar(struct db *db, const struct args *a, const struct snap *s)
{
	const struct registration *reg = a->r;
	struct sidecar sc = {0}; /* borrows */
	bool changed = false;
	if (reg->sidecar)
		sc = *reg->sidecar;
	if (reg->origin && a->new) /* a duplicate keeps the story of the first */
		sc.origin = (char *)reg->origin;
	const struct merge_how how = {.who = a->new ? NULL : "upload", .strict = true};
	int r = sidecar_merge(db, s->id, &sc, &how, &changed);
	return r < 0 || !changed ? r : sidecar_enqueue(db, s->id, 0);
}

/* To every target that neither has it nor has it queued: a duplicate may meet a store that was
 * added, or emptied, since. */
static int enqueue(struct db *db, const struct registration *reg, const struct snap *s)
{
	const char *end = strchr(s->stem, '_');
	char img_id[IMG_ID_MAX + 1] = "", key[KEY_MAX + 1];
	size_t len = end ? (size_t)(end - s->stem) : 0;
	if (len == 0 || len > IMG_ID_MAX)
		return -EINVAL;
	memcpy(img_id, s->stem, len);
	for (size_t i = 0; i < reg->n_targets; i++) {
		int64_t there;
		int r = ONE(db, &there,
			    "SELECT EXISTS(SELECT 1 FROM object WHERE snapshot = ?1 AND store = ?2 "
			    "AND sidecar = 0 AND outcome = 0) "
			    "OR EXISTS(SELECT 1 FROM outbox WHERE snapshot = ?1 AND store = ?2 AND "
			    "what = ?3)",
			    I(s->id), I(reg->target[i].store), I(OUTBOX_PICTURE));
		if (r == 0 && !there) {
			r = layout_key(reg->target[i].layout, reg->camera, img_id, key);
			if (r == 0)
				r = outbox_enqueue(db, s->id, reg->target[i].store, OUTBOX_PICTURE,
						   key);
		}
		if (r < 0)
			return r;
	}
	return snapshot_recount(db, s->id);
}

static int upload_registered(struct db *db, const struct registration *reg, int64_t snapshot)
{
	const struct upload_row *w = reg->written;
	int r = RUN(
		db,
		"UPDATE upload SET state = ?2, snapshot = ?3, size = ?4, due_us = 0, error = NULL, "
		"ctime_ns = iif(?5, ?6, ctime_ns), mtime_ns = iif(?5, ?7, mtime_ns), "
		"mtime_set = iif(?5, ?8, mtime_set) WHERE id = ?1 AND is_dir = 0",
		I(reg->upload), I(UPLOAD_REGISTERED), I(snapshot), I(reg->size), I(w != NULL),
		I(now_us() * 1000), I(w ? w->mtime_ns : 0), I(w && w->mtime_set));
	if (r == 0 && db_changes(db) == 0)
		r = -ENOENT; /* removed meanwhile: then its picture is not wanted either */
	return r < 0 ? r : emit_upload(db, reg->upload);
}

static int do_register(struct db *db, void *arg)
{
	struct args *a = arg;
	struct snap s;
	int r = find_or_insert(db, a, &s);
	if (r == 0)
		r = take_sidecar(db, a, &s);
	if (r == 0)
		r = enqueue(db, a->r, &s);
	if (r == 0 && a->r->upload != 0)
		r = upload_registered(db, a->r, s.id);
	a->id = s.id;
	return r;
}

int catalog_register(struct catalog *c, const struct registration *r, int64_t *ret_id,
		     bool *ret_new)
{
	struct args a = {.r = r};
	int e = db_write(c, do_register, &a, r->durable);
	if (e < 0)
		return e;
	*ret_id = a.id;
	*ret_new = a.new;
	return 0;
}
