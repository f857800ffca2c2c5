/* Annexes: files of editors, and pictures that are put where they get a label. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void ingest_set_annex(struct ingest *in, const struct annex_ops *ops, void *user)
{
	pthread_mutex_lock(&in->lock);
	in->annex = ops;
	in->annex_user = user;
	pthread_mutex_unlock(&in->lock);
}

static const struct annex_ops *ops_of(struct ingest *in, void **ret_user)
{
	pthread_mutex_lock(&in->lock);
	const struct annex_ops *ops = in->annex;
	*ret_user = in->annex_user;
	pthread_mutex_unlock(&in->lock);
	return ops;
}

void tell_registered(struct ingest *in, int64_t entry, int64_t snapshot)
{
	void *user;
	const struct annex_ops *ops = ops_of(in, &user);

	if (ops)
		ops->registered(user, entry, snapshot);
}

int ingest_annex_name(struct ingest *in, int64_t annex, const char *name, const struct snap *s)
{
	struct upload_row row = {.parent = annex,
				 .is_dir = !s,
				 .mode = s ? 0444 : 0755,
				 .size = s ? s->size : 0,
				 .mtime_ns = (s ? s->taken_us : now_us()) * 1000,
				 .state = s ? UPLOAD_REGISTERED : UPLOAD_OPEN,
				 .snapshot = s ? s->id : 0,
				 .due_us = now_us() + ANNEX_STAYS_US};
	struct upload_row old;
	int r = 0;

	if (strlen(name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	memcpy(row.name, name, strlen(name) + 1);
	if (catalog_upload_find(in->cat, annex, name, &old) == 0)
		r = ingest_unlink(in, annex, name, old.is_dir);
	return r < 0 ? r : catalog_upload_create(in->cat, &row, &row.id);
}

static void keep_for_now(struct ingest *in, const struct upload_row *row)
{
	if (row->due_us <= now_us())
		look_later(in, row, UPLOAD_OPEN, ANNEX_STAYS_US);
}

/* Its bytes are there already: the name becomes one for that snapshot. */
static int adopt(struct ingest *in, struct entry *e, const struct upload_row *row, int64_t snapshot)
{
	void *user;
	const struct annex_ops *ops = ops_of(in, &user);
	struct upload_row set = *row;
	int r = ops ? ops->adopt(user, row->parent, snapshot) : -EAGAIN;

	if (r < 0)
		return r;
	set.state = UPLOAD_REGISTERED;
	set.snapshot = snapshot;
	set.due_us = now_us() + ANNEX_STAYS_US;
	r = catalog_upload_set(in->cat, &set,
			       UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT | UPLOAD_SET_DUE |
				       UPLOAD_SET_SIZE | UPLOAD_SET_MTIME,
			       NULL, false);
	if (r < 0)
		return r;
	e->snapshot = snapshot;
	e->registered = true;
	in->active = true;
	unlink_when_durable(in, e->id);
	return 0;
}

static int register_new(struct ingest *in, struct entry *e, const struct upload_row *row,
			const struct jpeg_info *jpeg, const struct sha256 *sha, bool final)
{
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf origin = BUF(8192);
	struct upload_row set = {.id = e->id, .due_us = now_us() + ANNEX_STAYS_US};
	char camera[CAMERA_MAX + 1];
	struct when when;
	void *user;
	const struct annex_ops *ops = ops_of(in, &user);

	when_taken(NULL, jpeg, row->name, row, &when);
	if (!when.sure && !final) {
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
		return 0;
	}
	int r = ops ? ops->describe(user, row->parent, row->name, camera, &side) : -EAGAIN;

	if (r == 0)
		r = upload_origin(row->name, &origin);
	if (r < 0)
		return r;
	struct registration reg = {
		.camera = camera,
		.group = group_of(in, camera),
		.taken_us = when.taken_us,
		.zone_min = when.zone_min,
		.time_source = when.source,
		.size = row->size,
		.sha = *sha,
		.width = jpeg->width,
		.height = jpeg->height,
		.sidecar = &side,
		.origin = origin.data,
	};
	r = hand_over(in, e, row, &reg);
	return r < 0 ? r : catalog_upload_set(in->cat, &set, UPLOAD_SET_DUE, NULL, false);
}

/* "20201231T15-45-55-123456_front.jpg" -> its stem. */
static void stem_of(const char *name, char out[NAME_LIMIT + 1])
{
	const char *dot = strrchr(name, '.');

	(void)snprintf(out, NAME_LIMIT + 1, "%.*s", dot ? (int)(dot - name) : (int)strlen(name),
		       name);
}

static int take_picture(struct ingest *in, struct entry *e, const struct upload_row *row,
			bool final, char why[WHY_MAX])
{
	char stem[NAME_LIMIT + 1];
	struct jpeg_info jpeg;
	struct sha256 sha;
	struct snap s;
	int r = row->size > PICTURE_BYTES ? -EFBIG : jpeg_probe_fd(e->fd, &jpeg, why);

	if (r == -EFBIG)
		(void)snprintf(why, WHY_MAX, "is larger than %u MiB", PICTURE_BYTES >> 20);
	if (r == 0)
		r = sha256_fd(e->fd, &sha);
	if (r < 0)
		return r;
	stem_of(row->name, stem);
	r = catalog_find_sha(in->cat, &sha, stem, &s);
	r = r == -ENOENT ? register_new(in, e, row, &jpeg, &sha, final)
	    : r == 0     ? adopt(in, e, row, s.id)
			 : r;
	if (r == -EINVAL)
		(void)snprintf(why, WHY_MAX, "has a name or a time that cannot be kept");
	return r;
}

/* It is not listed, so nobody will take it away. */
static void reject(struct ingest *in, const struct upload_row *row, const char *why)
{
	struct upload_row set = {.id = row->id, .due_us = now_us() + TEMPORARY_KEEP_US};
	char where[160] = "a view", text[2 * WHY_MAX + 16];
	void *user;
	const struct annex_ops *ops = ops_of(in, &user);

	if (ops)
		ops->where(user, row->parent, where, sizeof(where));
	(void)snprintf(text, sizeof(text), "%s (in %s)", why, where);
	set_state(in, row, UPLOAD_REJECTED, 0, text);
	(void)!catalog_upload_set(in->cat, &set, UPLOAD_SET_DUE, NULL, false);
}

void consider_annexed(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	char why[WHY_MAX] = "";
	int r = 0;

	if (upload_name_is_temporary(row->name) || upload_kind_of(row->name) != UPLOAD_PICTURE)
		keep_for_now(in, row);
	else if (row->size == 0 && !final)
		look_later(in, row, UPLOAD_WAITING, EMPTY_QUIET_US);
	else
		r = take_picture(in, e, row, final, why);
	if (r == -ENOENT) {
		r = -EBADMSG;
		final = true;
		(void)snprintf(why, sizeof(why), "lies where pictures get no label (any more)");
	}
	if (is_bad(r) && !final)
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	else if (is_bad(r))
		reject(in, row, why);
	else if (r < 0)
		try_later(in, row, r);
}

int look_at_annexed(struct ingest *in, const struct upload_row *row)
{
	if (row->state == UPLOAD_WAITING)
		return consider_id(in, row->id, true);
	int r = catalog_upload_remove(in->cat, row->id);

	if (r == 0)
		forget_bytes(in, row);
	return r == -ENOENT ? 0 : r;
}
