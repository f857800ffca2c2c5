/* labels.json in upload/: label documents of many pictures, taken in record by record in the background.  Records whose picture has
 * not come wait for it in the catalog, for a day. */
#include "ingest_private.h"

#include "shutterfs/codec.h"
#include "shutterfs/exchange.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_BYTES (64u << 20)
#define STEP_US INT64_C(2000000)      /* then others have their turn */
#define RECHECK_US INT64_C(600000000) /* for pictures that do not come through upload/ */
enum { CHUNK = 65536, SAVE_EVERY = 32 };

/* "labels.json" and what the seed's downloader calls it: "labels_20200204T15-23-08.json". */
bool is_batch_name(const char *name)
{
	return fnmatch("labels.json", name, FNM_CASEFOLD) == 0 ||
	       fnmatch("labels_*.json", name, FNM_CASEFOLD) == 0;
}

struct reading {
	struct ingest *in;
	const struct upload_row *row;
	struct exchange x;
	struct session session;
	struct batch_file b;
	uint64_t at;      /* the record that is looked at */
	bool resumed;     /* the first one may have been taken before a crash */
	int64_t until_us; /* mono_us: end of this step */
	char camera[CAMERA_MAX + 1];
	char *why;
};

/* ---- one record ---- */

/* The picture in the same directory that the key is the name of. */
static int64_t picture_named(struct reading *rd, const char *key)
{
	char side[NAME_LIMIT + 8], name[NAME_LIMIT + 1];
	struct upload_row row;

	if (!key || snprintf(side, sizeof(side), "%s.json", key) > NAME_LIMIT || strchr(key, '/'))
		return 0;
	for (unsigned n = 0; sidecar_picture(side, n, name) == 0; n++)
		if (catalog_upload_find(rd->in->cat, rd->row->parent, name, &row) == 0 &&
		    row.state == UPLOAD_REGISTERED)
			return row.snapshot;
	return 0;
}

static int try_record(struct reading *rd, const char *key, const char *text, size_t len,
		      enum taken *ret, char why[WHY_MAX])
{
	CLEANUP(buf_done) struct buf whole = BUF(4 * SIDECAR_BYTES);
	int r = session_add(&rd->session, text, len, &whole, why);

	if (r == -EBADMSG) {
		*ret = TAKEN_BAD;
		return 0;
	}
	if (r < 0)
		return r;
	return exchange_document(&rd->x, picture_named(rd, key), key, whole.data, whole.len, ret,
				 NULL, why);
}

static int note_img_id(void *user, const char *key, const char *raw, size_t len)
{
	struct buf *out = user;

	return strcmp(key, "img_id") == 0 && raw[0] == '"' ? json_decode(raw, len, out) : 0;
}

/* What a record is told by: its key, the img_id that it says, or its number. */
static void name_of(const char *key, const char *raw, uint64_t at, char out[NAME_LIMIT + 1])
{
	CLEANUP(buf_done) struct buf img_id = BUF(NAME_LIMIT);
	char why[WHY_MAX];

	(void)snprintf(out, NAME_LIMIT + 1, "record %" PRIu64, at);
	if (!key && json_scan(raw, strlen(raw), note_img_id, &img_id, why) == 0 && img_id.len)
		key = img_id.data;
	if (key && key[0] && strlen(key) <= NAME_LIMIT)
		(void)snprintf(out, NAME_LIMIT + 1, "%s", key);
}

static void add_count(struct batch_file *b, enum taken t)
{
	b->added += t == TAKEN_ADDED;
	b->removed += t == TAKEN_REMOVED || t == TAKEN_TRASHED;
	b->duplicates += t == TAKEN_SAME;
	b->unknown += t == TAKEN_UNKNOWN;
	b->bad += t == TAKEN_BAD;
}

/* Counts since the last time; others count, too. */
static int save(struct reading *rd)
{
	struct batch_file zero = {.upload = rd->b.upload,
				  .begun_us = rd->b.begun_us,
				  .done = rd->b.done,
				  .whole = rd->b.whole};
	int r = catalog_batch_save(rd->in->cat, &rd->b);

	if (r == 0)
		rd->b = zero;
	return r;
}

static int count_record(struct reading *rd, const char *key, const char *raw, enum taken t,
			const char *why)
{
	char name[NAME_LIMIT + 1];

	name_of(key, raw, rd->at, name);
	/* one that cannot be kept waits for nothing */
	if (t == TAKEN_UNKNOWN && catalog_record_wait(rd->in->cat, rd->row->id, name, raw) == 0)
		return 0;
	add_count(&rd->b, t);
	if (t == TAKEN_ADDED || t == TAKEN_REMOVED || t == TAKEN_TRASHED)
		return 0;
	return catalog_record_refuse(rd->in->cat, rd->row->id, name, why);
}

static bool is_coco(const char *key)
{
	return key && (strcmp(key, "annotations") == 0 || strcmp(key, "categories") == 0 ||
		       strcmp(key, "images") == 0);
}

static int on_record(void *user, const char *key, const char *raw, size_t len)
{
	struct reading *rd = user;
	enum taken t = TAKEN_BAD;
	char why[WHY_MAX] = "";
	int r;

	if (rd->at++ < rd->b.done)
		return 0;
	if (rd->at == 1 && is_coco(key)) {
		(void)snprintf(
			rd->why, WHY_MAX,
			"is not labels by img_id but COCO: take it in with: shutterfs import");
		return -EBADMSG;
	}
	if (rd->in->stopping || mono_us() > rd->until_us)
		return 1; /* goes on here next time */
	r = raw[0] == '{' ? try_record(rd, key, raw, len, &t, why) : 0;
	if (r == 0 && raw[0] != '{')
		(void)snprintf(why, sizeof(why), "it is not a label document");
	if (r == 0 && t == TAKEN_SAME && rd->resumed)
		t = TAKEN_ADDED;
	if (r == 0)
		r = count_record(rd, key, raw, t, why);
	if (r < 0)
		return r;
	rd->b.done = rd->at;
	if (rd->b.done % SAVE_EVERY == 0) {
		rd->resumed = false;
		r = save(rd);
	}
	return r;
}

/* ---- the file ---- */

static int read_records(struct reading *rd, int fd)
{
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	struct json_stream *s = NULL;
	off_t at = 0;
	int r = chunk ? json_stream_new(SIDECAR_BYTES, on_record, rd, &s) : -ENOMEM;

	while (r == 0) {
		ssize_t n = pread(fd, chunk, CHUNK, at);

		if (n < 0)
			r = -errno;
		else if (n == 0)
			r = json_stream_end(s, rd->why);
		else
			r = json_stream_feed(s, chunk, (size_t)n, rd->why);
		if (n == 0)
			break;
		at += n > 0 ? n : 0;
	}
	(void)json_stream_free(s);
	return r;
}

static int reading_open(struct ingest *in, const struct upload_row *row, struct reading *ret,
			char *why)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);
	char title[NAME_LIMIT + 1];
	int r = catalog_upload_path(in->cat, row->id, &path);

	*ret = (struct reading){.in = in, .row = row, .why = why, .until_us = mono_us() + STEP_US};
	if (r < 0)
		return r;
	ret->x = (struct exchange){
		.cat = in->cat, .by = "labels.json", .trash_us = in->conf->trash_us};
	if (strchr(path.data, '/')) { /* directly in upload/ it may speak of any camera's */
		(void)camera_of(path.data, title, ret->camera);
		ret->x.camera = ret->camera;
	}
	return session_load(in, row->parent, &ret->session);
}

/* What user.shutterfs.error says of a file that was read; "": nothing to complain of. */
static void summary(const struct batch_file *b, int64_t waiting, char out[256])
{
	uint64_t refused = b->duplicates + b->unknown + b->bad;

	out[0] = '\0';
	if (refused || waiting)
		(void)snprintf(out, 256,
			       "%" PRIu64 " records: %" PRIu64 " taken in, %" PRIu64
			       " removed, %" PRIu64 " duplicates, %" PRIu64 " unknown, %" PRIu64
			       " bad, %" PRId64 " waiting for their pictures%s",
			       b->done, b->added, b->removed, b->duplicates, b->unknown, b->bad,
			       waiting, refused ? "; see .shutterfs/errors.json" : "");
}

/* Kept; or held while records wait, and looked at again. */
static int settle(struct ingest *in, const struct upload_row *row)
{
	int64_t waiting, left;
	struct batch_file b;
	char text[256];
	int r = catalog_batch(in->cat, row->id, &b);

	if (r == 0)
		r = catalog_records_waiting(in->cat, row->id, &waiting);
	if (r < 0 || !b.whole)
		return r;
	summary(&b, waiting, text);
	left = b.begun_us + HELD_US - now_us();
	if (waiting)
		(void)schedule(in, row, UPLOAD_HELD, left < RECHECK_US ? left : RECHECK_US, text);
	else
		set_state(in, row, UPLOAD_KEPT, 0, text);
	return 0;
}

/* ---- records that waited ---- */

/* Tries one again; `late`: for the last time. */
static int try_waiting(struct reading *rd, const struct record *rec, const char *body, bool late)
{
	enum taken t = TAKEN_BAD;
	char why[WHY_MAX] = "";
	int r = try_record(rd, rec->name, body, strlen(body), &t, why);

	if (r < 0 || (t == TAKEN_UNKNOWN && !late))
		return r;
	add_count(&rd->b, t);
	if (t == TAKEN_UNKNOWN)
		(void)snprintf(why, sizeof(why), "no picture of that name came within a day");
	if (t != TAKEN_ADDED && t != TAKEN_REMOVED && t != TAKEN_TRASHED)
		r = catalog_record_refuse(rd->in->cat, rd->row->id, rec->name, why);
	if (r == 0)
		r = catalog_record_remove(rd->in->cat, rec->id);
	return r == 0 ? save(rd) : r;
}

static int try_all_waiting(struct reading *rd)
{
	CLEANUP(buf_done) struct buf body = BUF(SIDECAR_BYTES);
	bool late = now_us() >= rd->b.begun_us + HELD_US;
	struct record rec = {0};
	int r = 0;

	while (r == 0 && !rd->in->stopping) {
		r = catalog_record_next(rd->in->cat, rd->row->id, rec.id, &rec, &body);
		if (r == 0)
			r = try_waiting(rd, &rec, body.data, late);
	}
	return r == -ENOENT ? 0 : r;
}

static int take_waiting(struct ingest *in, const char *name)
{
	CLEANUP(buf_done) struct buf body = BUF(SIDECAR_BYTES);
	struct record rec = {0};
	int r;

	while ((r = catalog_record_named(in->cat, name, rec.id, &rec, &body)) == 0) {
		struct upload_row row;
		struct reading rd = {0};
		char why[WHY_MAX];

		if (catalog_upload(in->cat, rec.upload, &row) < 0)
			continue;
		r = reading_open(in, &row, &rd, why);
		if (r == 0)
			r = catalog_batch(in->cat, row.id, &rd.b);
		rd.b = (struct batch_file){.upload = row.id, .begun_us = rd.b.begun_us};
		if (r == 0)
			r = try_waiting(&rd, &rec, body.data, false);
		if (r == 0)
			r = settle(in, &row);
		session_done(&rd.session);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

void batch_picture_came(struct ingest *in, const struct upload_row *picture, int64_t snapshot)
{
	char img_id[STEM_MAX + 1], file[NAME_LIMIT + 1];
	const char *dot = strrchr(picture->name, '.');
	struct snap s;
	int r = catalog_snap(in->cat, snapshot, &s);

	if (r < 0)
		return;
	(void)snprintf(img_id, sizeof(img_id), "%.*s", (int)strcspn(s.stem, "_"), s.stem);
	(void)snprintf(file, sizeof(file), "%.*s",
		       (int)(dot ? dot - picture->name : (ptrdiff_t)strlen(picture->name)),
		       picture->name);
	r = take_waiting(in, img_id);
	if (r == 0)
		r = take_waiting(in, s.stem);
	if (r == 0 && strcmp(file, img_id) != 0 && strcmp(file, s.stem) != 0)
		r = take_waiting(in, file);
	if (r < 0)
		log_debug("records that wait for a picture are looked at again later");
}

/* ---- what becomes of the file ---- */

static int begin(struct reading *rd, const struct upload_row *row)
{
	int r = catalog_batch(rd->in->cat, row->id, &rd->b);

	rd->resumed = r == 0;
	if (r == 0 && rd->b.size == row->size && rd->b.mtime_ns == row->mtime_ns) {
		rd->b = (struct batch_file){.upload = row->id,
					    .begun_us = rd->b.begun_us,
					    .done = rd->b.done,
					    .whole = rd->b.whole};
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	rd->resumed = false;
	rd->b = (struct batch_file){.upload = row->id,
				    .size = row->size,
				    .mtime_ns = row->mtime_ns,
				    .begun_us = now_us()};
	return catalog_batch_begin(rd->in->cat, &rd->b);
}

static int read_batch(struct ingest *in, struct entry *e, const struct upload_row *row,
		      char why[WHY_MAX])
{
	struct reading rd = {0};
	int r = reading_open(in, row, &rd, why);

	if (r == 0)
		r = begin(&rd, row);
	if (r == 0 && !rd.b.whole) {
		r = read_records(&rd, e->fd);
		rd.b.whole = r == 0;
		if (r >= 0 && save(&rd) < 0)
			r = -EAGAIN;
	}
	/* Also those whose pictures came meanwhile. */
	if (r == 0)
		r = try_all_waiting(&rd);
	if (r == 1) /* the rest of a long one */
		look_later(in, row, UPLOAD_WAITING, 0);
	else if (r == 0)
		r = settle(in, row);
	session_done(&rd.session);
	return r;
}

void consider_batch(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	char why[WHY_MAX] = "";
	int r;

	/* Its templates may come after it, as may the rest of it. */
	if (!final) {
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
		return;
	}
	r = row->size > BATCH_BYTES ? -EFBIG : read_batch(in, e, row, why);
	if (r == -EFBIG && !why[0])
		(void)snprintf(why, sizeof(why), "is larger than %u MiB: split it",
			       BATCH_BYTES >> 20);
	if (r == -EBADMSG || r == -EFBIG)
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	else if (r < 0)
		try_later(in, row, r);
}
