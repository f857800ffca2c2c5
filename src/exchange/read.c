/* read.c - files and directories of labels, as other programs wrote them, cut into records.
 *
 * It runs in the process of who asks: the one that has the catalog opens no path that a user names. */
#include "read.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 65536, LISTS = 32 /* directories above */ };

const char *const exchange_format_name[EXCHANGE_FORMATS] = {
	"auto", "labels", "coco", "yolo", "megadetector", "sidecars", "es"};

/* ---- records ---- */

static int hand_out(struct reading *rd, const char *name, const char *what, const char *raw)
{
	CLEANUP(buf_done) struct buf item = BUF(RECORD_BYTES);
	struct json j = {.out = &item};

	json_object(&j, NULL);
	json_string(&j, "name", name);
	json_raw(&j, what, raw);
	json_end(&j, '}');
	if (item.error == -EFBIG) {
		rd->refused(rd->user, name ? name : rd->path, "is too large");
		return 0;
	}
	return item.error ? item.error : rd->fn(rd->user, item.data, item.len);
}

int read_document(struct reading *rd, const char *name, const char *raw)
{
	return hand_out(rd, name, "document", raw);
}

static int each_document(void *user, const char *key, const char *raw, size_t len)
{
	struct {
		struct reading *rd;
		const char *name;
	} *each = user;
	CLEANUP(freep) char *text = strndup(raw, len);

	return text ? read_document(each->rd, each->name, text) : -ENOMEM;
}

int read_sidecar(struct reading *rd, const char *name, const struct sidecar *s)
{
	CLEANUP(buf_done) struct buf text = BUF(2 * SIDECAR_BYTES);
	struct {
		struct reading *rd;
		const char *name;
	} each = {rd, name};
	struct sidecar rest = {.labels = s->labels,
			       .comment = s->comment,
			       .rating = s->rating,
			       .has_rating = s->has_rating,
			       .starred = s->starred,
			       .has_starred = s->has_starred};
	char why[WHY_MAX];
	int r = 0;

	if (s->documents)
		r = json_scan_array(s->documents, strlen(s->documents), each_document, &each, why);
	if (r < 0 ||
	    (!rest.labels.looked && !rest.comment && !rest.has_rating && !rest.has_starred))
		return r;
	r = sidecar_render(&rest, &text);
	return r < 0 ? r : hand_out(rd, name, "sidecar", text.data);
}

int read_stream(int fd, size_t max, json_item_fn *fn, void *user, char why[WHY_MAX])
{
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	struct json_stream *s = NULL;
	off_t at = 0;
	ssize_t n = 1;
	int r = chunk ? json_stream_new(max, fn, user, &s) : -ENOMEM;

	while (r == 0 && n > 0) {
		n = pread(fd, chunk, CHUNK, at);
		if (n < 0)
			r = -errno;
		else if (n == 0)
			r = json_stream_end(s, why);
		else
			r = json_stream_feed(s, chunk, (size_t)n, why);
		at += n > 0 ? n : 0;
	}
	(void)json_stream_free(s);
	return r;
}

/* ---- which format a JSON file has ---- */

struct shape {
	bool images, annotations, detections, by_img_id, array;
};

static int look(void *user, const char *key, const char *raw, size_t len)
{
	struct shape *s = user;
	struct civil c;
	unsigned dup;

	if (!key) {
		s->array = true;
		return 1;
	}
	s->images = s->images || strcmp(key, "images") == 0;
	s->annotations = s->annotations || strcmp(key, "annotations") == 0 ||
			 strcmp(key, "categories") == 0;
	s->detections = s->detections || strcmp(key, "detection_categories") == 0;
	s->by_img_id = s->by_img_id || img_id_parse(key, strcspn(key, "_"), &c, &dup) == 0;
	return s->by_img_id ? 1 : 0;
}

static int format_of(struct reading *rd, int fd, enum exchange_format *ret, char why[WHY_MAX])
{
	struct shape s = {0};
	const char *slash = strrchr(rd->path, '/');
	int r = read_stream(fd, RECORD_BYTES, look, &s, why);

	if (r < 0)
		return r;
	if (s.by_img_id || s.array ||
	    fnmatch("labels*.json", slash ? slash + 1 : rd->path, FNM_CASEFOLD) == 0)
		*ret = EXCHANGE_LABELS;
	else
		*ret = EXCHANGE_SIDECARS;
	if (s.images && s.detections)
		*ret = EXCHANGE_MEGADETECTOR;
	else if (s.images && s.annotations)
		*ret = EXCHANGE_COCO;
	return 0;
}

/* ---- files of one format ---- */

static int on_label(void *user, const char *key, const char *raw, size_t len)
{
	struct reading *rd = user;

	if (raw[0] == '{')
		return read_document(rd, key, raw);
	rd->refused(rd->user, key ? key : rd->path, "it is not a label document");
	return 0;
}

/* The nearest list of classes in the file's directory or above. */
static int classes_above(const char *path, struct classes *ret, char why[WHY_MAX])
{
	static const char *const list[] = {"classes.txt", "data.yaml", "data.yml", "dataset.yaml"};
	CLEANUP(freep) char *dir = realpath(path, NULL);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	for (int depth = 0; slash && depth < LISTS; depth++, slash = strrchr(dir, '/')) {
		slash[1] = '\0';
		for (size_t i = 0; i < ARRAY_LEN(list); i++) {
			CLEANUP(buf_done) struct buf name = BUF(65536), text = BUF(SIDECAR_BYTES);

			(void)buf_printf(&name, "%s%s", dir, list[i]);
			if (name.error || read_file(AT_FDCWD, name.data, SIDECAR_BYTES, &text) < 0)
				continue;
			return classes_parse(list[i], text.data ? text.data : "", text.len, ret,
					     why);
		}
		*slash = '\0';
	}
	(void)snprintf(why, WHY_MAX, "there is no classes.txt or data.yaml beside it or above");
	return -ENOENT;
}

static int read_one(struct reading *rd, const char *suffix, char why[WHY_MAX])
{
	CLEANUP(classes_done) struct classes classes = {0};
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	const char *slash = strrchr(rd->path, '/'), *name = slash ? slash + 1 : rd->path;
	char picture[NAME_LIMIT + 1];
	struct beside pic = {.file = picture};
	int r = sidecar_picture(name, 0, picture);

	if (r == 0)
		r = read_file(AT_FDCWD, rd->path, SIDECAR_BYTES, &text);
	if (r == 0 && strcasecmp(suffix, ".txt") == 0)
		r = classes_above(rd->path, &classes, why);
	if (r == 0)
		r = foreign_parse(name, text.data ? text.data : "", text.len, &pic, &classes, &s,
				  why);
	if (r == -EFBIG && !why[0])
		(void)snprintf(why, WHY_MAX, "is larger than %d KiB: not a sidecar",
			       SIDECAR_BYTES / 1024);
	return r < 0 ? r : read_sidecar(rd, picture, &s);
}

static int read_json(struct reading *rd, enum exchange_format format, char why[WHY_MAX])
{
	CLEANUP(closep) int fd = open(rd->path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && format == EXCHANGE_AUTO)
		r = format_of(rd, fd, &format, why);
	if (r < 0)
		return r;
	switch (format) {
	case EXCHANGE_LABELS:
		return read_stream(fd, RECORD_BYTES, on_label, rd, why);
	case EXCHANGE_COCO:
		return read_coco(rd, fd, why);
	case EXCHANGE_MEGADETECTOR:
		return read_megadetector(rd, fd, why);
	default:
		return read_one(rd, ".json", why);
	}
}

static bool is_list(const char *name)
{
	return strcmp(name, "classes.txt") == 0;
}

/* By its suffix; what a directory holds besides is passed over. */
static int read_any(struct reading *rd, enum exchange_format format, bool named)
{
	const char *slash = strrchr(rd->path, '/'), *name = slash ? slash + 1 : rd->path;
	const char *dot = strrchr(name, '.'), *suffix = dot ? dot : "";
	bool txt = strcasecmp(suffix, ".txt") == 0, xmp = strcasecmp(suffix, ".xmp") == 0;
	bool json = strcasecmp(suffix, ".json") == 0;
	char why[WHY_MAX] = "";
	int r = 0;

	if ((txt && is_list(name)) || (!named && !txt && !xmp && !json))
		return 0;
	if (txt && (format == EXCHANGE_AUTO || format == EXCHANGE_YOLO))
		r = read_one(rd, suffix, why);
	else if (xmp && (format == EXCHANGE_AUTO || format == EXCHANGE_SIDECARS))
		r = read_one(rd, suffix, why);
	else if (!txt && !xmp && format != EXCHANGE_YOLO)
		r = read_json(rd, format, why);
	else if (named)
		(void)snprintf(why, sizeof(why), "is not a file of that format");
	if (r == -ENOENT && !named && why[0]) /* a text without a list of classes */
		return 0;
	if (why[0] || (r < 0 && r != -ECANCELED && r != -ENOMEM && r != -EPIPE)) {
		rd->refused(rd->user, rd->path, why[0] ? why : strerror(-r));
		return 0;
	}
	return r;
}

static int read_tree(struct reading *rd, const char *path, enum exchange_format format)
{
	char *const top[] = {(char *)path, NULL};
	FTS *fts = fts_open(top, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
	FTSENT *e;
	int r = fts ? 0 : -errno;

	while (r == 0 && (errno = 0, e = fts_read(fts))) {
		rd->path = e->fts_path;
		if (e->fts_info == FTS_F)
			r = read_any(rd, format, false);
		else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
			rd->refused(rd->user, e->fts_path, strerror(e->fts_errno));
	}
	if (fts)
		(void)fts_close(fts);
	return r;
}

int exchange_read(const char *path, enum exchange_format format, record_fn *fn, refused_fn *refused,
		  void *user)
{
	struct reading rd = {fn, refused, user, path};
	struct stat st;

	if (stat(path, &st) < 0) {
		refused(user, path, strerror(errno));
		return 0;
	}
	return S_ISDIR(st.st_mode) ? read_tree(&rd, path, format) : read_any(&rd, format, true);
}

/* ---- the other end ---- */

int exchange_record(struct exchange *x, const char *item, size_t len)
{
	CLEANUP(buf_done) struct buf name = BUF(KEY_MAX);
	CLEANUP(freep) char *document = NULL, *raw = NULL;
	CLEANUP(sidecar_done) struct sidecar s = {0};
	enum taken taken = TAKEN_BAD;
	char why[WHY_MAX] = "";
	int r = member_text(item, len, "name", &name);

	if (r == 0 || r == -EBADMSG) /* null: the document says it */
		r = member_of(item, len, "document", &document);
	if (r == 0) {
		r = exchange_document(x, 0, name.len ? name.data : NULL, document, strlen(document),
				      &taken, NULL, why);
	} else if (r == -ENOENT) {
		r = member_of(item, len, "sidecar", &raw);
		if (r == 0)
			r = sidecar_parse(raw, strlen(raw), &s, why);
		if (r == 0)
			r = exchange_sidecar(x, name.data ? name.data : "", &s, &taken, why);
	}
	if (r == -EBADMSG || r == -ENOENT || r == -EFBIG) {
		if (!why[0])
			(void)snprintf(why, sizeof(why), "it is not a record");
		r = 0;
	}
	if (r == 0)
		exchange_count(x, name.len ? name.data : "a record", taken, why);
	return r;
}
