/* What becomes of an upload entry: registered, taken in as a sidecar, kept, rejected, or looked at again later. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

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

void set_state(struct ingest *in, const struct upload_row *row, enum upload_state state,
	       int64_t snapshot, const char *error)
{
	struct upload_row set = {.id = row->id, .state = state, .snapshot = snapshot};
	int r = catalog_upload_set(in->cat, &set,
				   UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT | UPLOAD_SET_DUE, error,
				   false);

	if (r < 0 && r != -ENOENT)
		log_err("cannot note the state of upload \"%s\": %s", row->name, strerror(-r));
	else if (state == UPLOAD_REJECTED && row->state != UPLOAD_REJECTED)
		log_warn("rejected upload \"%s\": %s; it stays where it is", row->name, error);
}

void look_later(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us)
{
	struct upload_row set = {.id = row->id, .state = state, .due_us = now_us() + after_us};
	due_fn *due;
	void *user;

	if (catalog_upload_set(in->cat, &set, UPLOAD_SET_STATE | UPLOAD_SET_DUE, NULL, false) < 0)
		return;
	pthread_mutex_lock(&in->lock);
	due = in->due;
	user = in->due_user;
	pthread_mutex_unlock(&in->lock);
	if (due)
		due(user, set.due_us);
}

/* "front/2026/a.jpg": the first directory names the camera; a file in upload/ itself belongs to the camera "upload". */
static void camera_of(const char *path, char title[NAME_LIMIT + 1], char name[CAMERA_MAX + 1])
{
	size_t n = strcspn(path, "/");

	if (path[n] != '/' || n > NAME_LIMIT) {
		path = "upload";
		n = strlen(path);
	}
	memcpy(title, path, n);
	title[n] = '\0';
	camera_name_from(title, name);
}

static int origin_json(const char *path, struct buf *out)
{
	struct json j = {.out = out};

	json_object(&j, NULL);
	json_string(&j, "upload", path);
	json_end(&j, '}');
	return out->error;
}

/* The bytes are whole and hashed: into the spool, into the catalog, out of upload/. */
static int hand_over(struct ingest *in, struct entry *e, const struct upload_row *row,
		     struct registration *reg)
{
	bool durable = in->conf->durability == DURABILITY_CLOSE, new;
	int64_t snapshot;
	char name[24];
	int r;

	upload_file_name(e->id, name);
	reg->upload = e->id;
	reg->dedupe = true;
	reg->target = in->target;
	reg->n_targets = in->n_targets;
	reg->durable = durable;
	pthread_rwlock_rdlock(&in->adopting);
	r = cache_adopt(in->cache, in->dir, name, &reg->sha, durable);
	if (r == 0) /* what stat says must be what the writer left, also after the file is gone */
		r = catalog_upload_set(in->cat, row, UPLOAD_SET_MTIME | UPLOAD_SET_SIZE, NULL,
				       false);
	if (r == 0)
		r = catalog_register(in->cat, reg, &snapshot, &new);
	pthread_rwlock_unlock(&in->adopting);
	if (r < 0)
		return r;
	e->registered = true;
	(void)unlinkat(in->dir, name, 0);
	e->row.state = UPLOAD_REGISTERED;
	e->row.snapshot = snapshot;
	return 0;
}

static int register_picture(struct ingest *in, struct entry *e, const struct upload_row *row,
			    const struct jpeg_info *jpeg, const char *path, bool final)
{
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf origin = BUF(8192);
	char camera[CAMERA_MAX + 1], title[NAME_LIMIT + 1];
	struct hashes h;
	struct when when;
	int64_t side_entry = 0;
	bool has_side = sidecar_beside(in, row, &side, &side_entry) == 0;

	when_taken(has_side ? &side : NULL, jpeg, path, row, &when);
	if (!when.sure && !final) {
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
		return 0;
	}
	int r = hash_fd(e->fd, &h);

	if (r == 0)
		r = origin_json(path, &origin);
	if (r < 0)
		return r;
	camera_of(path, title, camera);
	struct registration reg = {
		.camera = camera,
		.title = title,
		.group = group_of(in, camera),
		.taken_us = when.taken_us,
		.zone_min = when.zone_min,
		.time_source = when.source,
		.size = row->size,
		.sha = h.sha,
		.width = jpeg->width,
		.height = jpeg->height,
		.sidecar = has_side ? &side : NULL,
		.origin = origin.data,
	};
	r = hand_over(in, e, row, &reg);
	if (r == 0 && has_side)
		sidecar_taken(in, side_entry, e->row.snapshot);
	/* One that was closed meanwhile did not find a registered picture yet. */
	else if (r == 0 && sidecar_beside(in, row, &side, &side_entry) == 0)
		consider_id(in, side_entry, false);
	return r;
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
	if (r == 0)
		r = register_picture(in, e, row, &jpeg, path, final);
	else if ((r == -EBADMSG || r == -EFBIG) && !final)
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	else if (r == -EBADMSG || r == -EFBIG)
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	if (r < 0 && r != -EBADMSG && r != -EFBIG) {
		log_err("cannot register upload \"%s\": %s; it is kept and tried again", row->name,
			strerror(-r));
		look_later(in, row, UPLOAD_WAITING, EMPTY_QUIET_US);
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

static void consider_locked(struct ingest *in, struct entry *e, bool final)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);
	struct upload_row row;

	if (e->unlinked || e->registered || catalog_upload(in->cat, e->id, &row) < 0 || row.is_dir)
		return;
	if (catalog_upload_path(in->cat, e->id, &path) < 0 || e->fd < 0)
		return;
	e->dirty = false;
	entry_live(in, e, &row);
	if (path_is_temporary(path.data)) {
		if (row.due_us <
		    now_us() +
			    TEMPORARY_KEEP_US /
				    2) /* also one that waited for something else under another name */
			look_later(in, &row, UPLOAD_OPEN, TEMPORARY_KEEP_US);
		return;
	}
	switch (upload_kind_of(row.name)) {
	case UPLOAD_PICTURE:
		consider_picture(in, e, &row, path.data, final);
		break;
	case UPLOAD_SIDECAR:
		consider_sidecar(in, e, &row, final);
		break;
	case UPLOAD_OTHER:
		consider_other(in, &row, final);
		break;
	}
}

void consider(struct ingest *in, struct entry *e, bool final)
{
	pthread_rwlock_wrlock(&e->lock);
	consider_locked(in, e, final);
	pthread_rwlock_unlock(&e->lock);
}

void consider_id(struct ingest *in, int64_t id, bool final)
{
	struct entry *e;

	if (entry_get(in, id, false, &e) < 0)
		return;
	consider(in, e, final);
	entry_put(in, e, false);
}
