/* What becomes of an upload entry: registered, taken in as a sidecar, kept, rejected, or looked at again later. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MINUTE_US INT64_C(60000000)

/* Files that travel with pictures and are nobody's mistake. */
static bool is_bystander(const char *name)
{
	static const char *const suffix[] = {".txt",  ".md",  ".xmp", ".xml",   ".yaml",
					     ".yml",  ".csv", ".log", ".ini",   ".nfo",
					     ".html", ".htm", ".md5", ".sha256"};
	size_t n = strlen(name);

	if (!strchr(name, '.')) /* README, LICENSE, camera_test2019 */
		return true;
	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		size_t s = strlen(suffix[i]);

		if (n > s && strcasecmp(name + n - s, suffix[i]) == 0)
			return true;
	}
	return false;
}

bool path_is_temporary(const char *path)
{
	char part[NAME_LIMIT + 1];

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n > 0 && n <= NAME_LIMIT) {
			memcpy(part, path, n);
			part[n] = '\0';
			if (upload_name_is_temporary(part))
				return true;
		}
		path += n + (path[n] == '/');
	}
	return false;
}

const char *group_of(const struct ingest *in, const char *camera)
{
	for (size_t i = 0; i < in->conf->n_cameras; i++)
		if (strcmp(in->conf->camera[i].name, camera) == 0)
			return in->conf->camera[i].group;
	return NULL;
}

static void tell_due(struct ingest *in, int64_t due_us)
{
	due_fn *due;
	void *user;

	pthread_mutex_lock(&in->lock);
	due = in->due;
	user = in->due_user;
	pthread_mutex_unlock(&in->lock);
	if (due)
		due(user, due_us);
}

void look_at_all_later(struct ingest *in)
{
	in->missed = true;
	tell_due(in, now_us() + EMPTY_QUIET_US);
}

/* A row that cannot be written (the disk is full) must not be forgotten. */
static int note(struct ingest *in, const struct upload_row *set, unsigned mask, const char *error)
{
	int r = catalog_upload_set(in->cat, set, mask, error, false);

	if (r < 0 && r != -ENOENT)
		look_at_all_later(in);
	return r;
}

void set_state(struct ingest *in, const struct upload_row *row, enum upload_state state,
	       int64_t snapshot, const char *error)
{
	struct upload_row set = {.id = row->id, .state = state, .snapshot = snapshot};
	int r = note(in, &set, UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT | UPLOAD_SET_DUE, error);

	if (r == 0 && state == UPLOAD_REJECTED && row->state != UPLOAD_REJECTED)
		log_warn("rejected upload \"%s\": %s; it stays where it is", row->name, error);
}

int schedule(struct ingest *in, const struct upload_row *row, enum upload_state state,
	     int64_t after_us, const char *error)
{
	struct upload_row set = {.id = row->id, .state = state, .due_us = now_us() + after_us};
	int r = note(in, &set, UPLOAD_SET_STATE | UPLOAD_SET_DUE, error);

	if (r == 0)
		tell_due(in, set.due_us);
	return r;
}

void look_later(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us)
{
	(void)schedule(in, row, state, after_us, NULL);
}

void reschedule(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us)
{
	struct entry *e;
	int r = entry_get(in, row->id, NULL, false, &e);

	if (r < 0) {
		if (r != -ENOENT)
			look_at_all_later(in);
		return;
	}
	pthread_rwlock_wrlock(&e->lock);
	if (!e->registered)
		look_later(in, row, state, after_us);
	pthread_rwlock_unlock(&e->lock);
	entry_put(in, e, false);
}

void try_later(struct ingest *in, const struct upload_row *row, int err)
{
	char text[256], before[256] = "";
	int64_t now = mono_us(), last = in->complained_us;
	int r;

	(void)snprintf(text, sizeof(text), "cannot be registered now: %s; it is tried again",
		       strerror(-err));
	(void)!catalog_upload_error(in->cat, row->id, before);
	r = schedule(in, row, UPLOAD_WAITING, EMPTY_QUIET_US, text);
	if (r == -ENOENT) /* removed meanwhile */
		return;
	/* Once per upload; where not even that can be remembered, once a minute. */
	if (strcmp(before, text) == 0 || (r < 0 && last != 0 && now - last < MINUTE_US))
		return;
	in->complained_us = now;
	log_err("upload \"%s\" %s", row->name, text);
}

/* "front/2026/a.jpg": the first directory names the camera; a file in upload/ itself belongs to the camera "upload". */
const char *camera_of(const char *path, char title[NAME_LIMIT + 1], char name[CAMERA_MAX + 1])
{
	size_t n = strcspn(path, "/");

	if (path[n] != '/' || n > NAME_LIMIT) {
		path = "upload";
		n = strlen(path);
	}
	memcpy(title, path, n);
	title[n] = '\0';
	camera_name_from(title, name);
	/* Whoever says the name says nothing new: the title that somebody gave stays. */
	return file_name_ok(title) && strcmp(title, name) != 0 ? title : NULL;
}

int upload_origin(const char *path, struct buf *out)
{
	struct json j = {.out = out};

	json_object(&j, NULL);
	json_string(&j, "upload", path);
	json_end(&j, '}');
	return out->error;
}

int hand_over(struct ingest *in, struct entry *e, const struct upload_row *row,
	      struct registration *reg)
{
	bool durable = in->conf->durability == DURABILITY_CLOSE, new = true;
	int64_t snapshot;
	char name[24];
	int r;

	upload_file_name(e->id, name);
	reg->upload = e->id;
	reg->written = row; /* also after the file is gone */
	reg->dedupe = true;
	reg->target = in->target;
	reg->n_targets = in->n_targets;
	reg->durable = durable;
	if (durable && fsync(e->fd) < 0) /* here, not under the lock */
		return -errno;
	pthread_rwlock_rdlock(adopting_of(in, &reg->sha));
	r = cache_adopt(in->cache, in->dir, name, &reg->sha, durable);
	if (r == 0)
		r = catalog_register(in->cat, reg, &snapshot, &new);
	pthread_rwlock_unlock(adopting_of(in, &reg->sha));
	if (r == 0) {
		in->active = true;
		e->snapshot = snapshot;
		e->registered = true;
		tell_registered(in, e->id, snapshot);
		if (durable)
			(void)unlinkat(in->dir, name, 0);
		else
			unlink_when_durable(in, e->id);
	}
	/* Not registered, or every store has had these bytes before. */
	if ((r < 0 || !new) && ingest_settle(in, &reg->sha, true) < 0)
		log_debug("a blob stays in the spool until the next start");
	return r;
}

static int register_picture(struct ingest *in, struct entry *e, const struct upload_row *row,
			    const struct jpeg_info *jpeg, const char *path, bool final)
{
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf origin = BUF(8192);
	char camera[CAMERA_MAX + 1], title[NAME_LIMIT + 1];
	struct sha256 sha;
	struct when when;
	struct companions beside;
	bool has_side = sidecar_beside(in, row, jpeg->width, jpeg->height, &side, &beside) == 0;

	when_taken(has_side ? &side : NULL, jpeg, path, row, &when);
	if (!when.sure && !final) {
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
		return 0;
	}
	int r = sha256_fd(e->fd, &sha);

	if (r == 0)
		r = upload_origin(path, &origin);
	if (r < 0)
		return r;
	const char *received = camera_of(path, title, camera);
	struct registration reg = {
		.camera = camera,
		.title = received,
		.group = group_of(in, camera),
		.taken_us = when.taken_us,
		.zone_min = when.zone_min,
		.time_source = when.source,
		.size = row->size,
		.sha = sha,
		.width = jpeg->width,
		.height = jpeg->height,
		.sidecar = has_side ? &side : NULL,
		.origin = origin.data,
	};
	r = hand_over(in, e, row, &reg);
	if ((r == -EINVAL || r == -E2BIG || r == -EEXIST) &&
	    has_side) { /* its fault, perhaps: it is told so below */
		reg.sidecar = NULL;
		r = hand_over(in, e, row, &reg);
	}
	if (r < 0)
		return r;
	batch_picture_came(in, row, e->snapshot);
	/* Also those that were closed, or written again, meanwhile. */
	if (sidecars_of(in, row, &beside) < 0)
		return 0;
	for (size_t i = 0; i < beside.n; i++)
		(void)!consider_id(in, beside.item[i].row.id, false);
	return 0;
}

bool is_bad(int r)
{
	return r == -EBADMSG || r == -EFBIG || r == -EINVAL;
}

static void consider_picture(struct ingest *in, struct entry *e, const struct upload_row *row,
			     const char *path, bool final)
{
	char why[WHY_MAX] = "";
	struct jpeg_info jpeg;
	int r;

	if (row->size == 0 && !final) {
		look_later(in, row, UPLOAD_WAITING, EMPTY_QUIET_US);
		return;
	}
	r = row->size > PICTURE_BYTES ? -EFBIG : jpeg_probe_fd(e->fd, &jpeg, why);
	if (r == -EFBIG)
		(void)snprintf(why, sizeof(why), "is larger than %u MiB", PICTURE_BYTES >> 20);
	if (r == 0) {
		r = register_picture(in, e, row, &jpeg, path, final);
		if (r == -EINVAL)
			(void)snprintf(why, sizeof(why),
				       "has a name or a time that cannot be kept");
	}
	if (is_bad(r) && !final) {
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	} else if (is_bad(r)) {
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	} else if (r < 0) {
		e->owed = r;
		try_later(in, row, r);
	}
}

static void consider_other(struct ingest *in, const struct upload_row *row, bool final)
{
	if (is_bystander(row->name))
		set_state(in, row, UPLOAD_KEPT, 0, NULL);
	else if (!final)
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	else
		set_state(in, row, UPLOAD_REJECTED, 0,
			  "is not a JPEG picture (.jpg) nor a sidecar (.json)");
}

/* labels_of_today.json beside labels_of_today.jpg is its sidecar. */
static bool has_own_picture(struct ingest *in, const struct upload_row *row)
{
	struct upload_row picture;

	return picture_beside(in, row, &picture) == 0;
}

static int consider_locked(struct ingest *in, struct entry *e, bool final)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);
	struct upload_row row;
	int r;

	if (e->unlinked || e->registered || e->is_dir || e->fd < 0)
		return 0;
	r = catalog_upload(in->cat, e->id, &row);
	if (r == 0)
		r = catalog_upload_path(in->cat, e->id, &path);
	if (r < 0)
		return r;
	e->dirty = e->fresh = false;
	e->owed = 0;
	entry_live(in, e, &row);
	if (row.parent < 0) {
		consider_annexed(in, e, &row, final);
		return 0;
	}
	if (path_is_temporary(path.data)) {
		/* Also one that waited for something else under another name. */
		if (row.state != UPLOAD_OPEN || row.due_us < now_us() + TEMPORARY_KEEP_US / 2)
			look_later(in, &row, UPLOAD_OPEN, TEMPORARY_KEEP_US);
		return 0;
	}
	if (upload_kind_of(row.name) == UPLOAD_PICTURE)
		consider_picture(in, e, &row, path.data, final);
	else if (is_batch_name(row.name) && !has_own_picture(in, &row))
		consider_batch(in, e, &row, final);
	else if (is_template(row.name))
		consider_template(in, e, &row, final);
	else if (is_class_list(row.name))
		consider_class_list(in, &row);
	else if (is_sidecar_name(row.name))
		consider_sidecar(in, e, &row, final);
	else
		consider_other(in, &row, final);
	return 0;
}

int consider(struct ingest *in, struct entry *e, bool final)
{
	int r;

	pthread_rwlock_wrlock(&e->lock);
	r = consider_locked(in, e, final);
	pthread_rwlock_unlock(&e->lock);
	if (r < 0 && r != -ENOENT) /* the catalog cannot be read just now */
		look_at_all_later(in);
	return r;
}

int consider_id(struct ingest *in, int64_t id, bool final)
{
	struct entry *e;
	int r = entry_get(in, id, NULL, false, &e);

	if (r < 0) {
		if (r != -ENOENT)
			look_at_all_later(in);
		return r;
	}
	r = consider(in, e, final);
	entry_put(in, e, false);
	return r;
}
