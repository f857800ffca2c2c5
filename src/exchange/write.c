/* write.c - labels as the files of other programs: COCO as one JSON text, YOLO as many small ones, and lines for Elasticsearch's
 * _bulk.  Flat memory but for the names of labels: COCO's annotations wait in a temporary file behind the images. */
#include "write.h"

#include "shutterfs/query.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABELS_MAX = 100000, CHUNK = 65536 };

/* ---- numbers of labels ---- */

void numbers_done(struct numbers *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->name[i]);
	free(t->name);
	free(t->slot);
	*t = (struct numbers){0};
}

static size_t hash(const char *text)
{
	size_t h = 14695981039346656037u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 1099511628211u;
	return h;
}

static size_t *slot_of(const struct numbers *t, const char *name)
{
	size_t at = hash(name) & (t->slots - 1);

	while (t->slot[at] && strcmp(t->name[t->slot[at] - 1], name) != 0)
		at = (at + 1) & (t->slots - 1);
	return &t->slot[at];
}

static int grow(struct numbers *t)
{
	size_t cap = t->cap ? 2 * t->cap : 64;
	char **name = reallocarray(t->name, cap, sizeof(*name));
	size_t *slot = name ? calloc(4 * cap, sizeof(*slot)) : NULL;

	if (name)
		t->name = name;
	if (!slot)
		return -ENOMEM;
	free(t->slot);
	t->slot = slot;
	t->slots = 4 * cap;
	t->cap = cap;
	for (size_t i = 0; i < t->n; i++)
		*slot_of(t, t->name[i]) = i + 1;
	return 0;
}

int numbers_of(struct numbers *t, const char *kind, const char *value, size_t *ret)
{
	CLEANUP(freep) char *name = NULL;
	size_t *slot;
	int r = t->n == LABELS_MAX ? -E2BIG : t->n == t->cap ? grow(t) : 0;

	if (r == 0 && asprintf(&name, "%s/%s", kind, value) < 0) {
		name = NULL;
		r = -ENOMEM;
	}
	if (r < 0)
		return r;
	slot = slot_of(t, name);
	if (!*slot) {
		t->name[t->n] = TAKE(name);
		*slot = ++t->n;
	}
	*ret = *slot - 1;
	return 0;
}

void picture_path(const struct snap *s, char *out, size_t size)
{
	int y, m, d;

	civil_from_day(s->day, &y, &m, &d);
	(void)snprintf(out, size, "cameras/%s/%04d-%02d-%02d/%s.jpg",
		       s->stem + strcspn(s->stem, "_") + 1, y, m, d, s->stem);
}

/* ---- documents ---- */

static int collect(void *user, const struct document *d)
{
	struct buf *all = user;

	(void)buf_add(all, d->fp1, strlen(d->fp1) + 1);
	return buf_add(all, d->body, strlen(d->body) + 1);
}

int each_document(struct catalog *cat, int64_t snapshot, copied_fn *fn, void *user)
{
	CLEANUP(buf_done) struct buf all = BUF(2 * DOCUMENTS_BYTES);
	int r = catalog_documents(cat, snapshot, collect, &all);

	for (size_t at = 0; r == 0 && at < all.len;) {
		const char *fp1 = all.data + at, *body = fp1 + strlen(fp1) + 1;

		r = fn(user, fp1, body);
		at = (size_t)(body - all.data) + strlen(body) + 1;
	}
	return r;
}

/* ---- what the formats share ---- */

struct writing {
	struct exchange_export *x;
	struct numbers labels;
	uint64_t images, annotations;
	FILE *behind; /* COCO's annotations */
};

static int say(struct writing *w, struct buf *line)
{
	int r = line->error ? line->error : w->x->write(w->x->user, line->data);

	if (r == 0)
		line->len = 0;
	return r;
}

static bool is_stopped(void *user)
{
	struct writing *w = user;

	return w->x->stop(w->x->user);
}

/* The sidecar of a picture that somebody looked at: 1; 0: nobody did. */
static int looked_at(struct writing *w, const struct snap *s, struct sidecar *ret)
{
	int r = catalog_sidecar(w->x->cat, s->id, ret);

	if (r == -ENOENT) /* gone this moment */
		return 0;
	if (r == 0 && !ret->labels.looked)
		w->x->not_looked++;
	return r < 0 ? r : ret->labels.looked;
}

/* ---- COCO ---- */

static int coco_annotation(struct writing *w, const struct snap *s, const struct label *l)
{
	CLEANUP(buf_done) struct buf line = BUF(SIDECAR_BYTES);
	struct json j = {.out = &line};
	double px[4];
	size_t n;
	int r;

	if (!l->has_box || !s->width || !s->height) {
		w->x->no_box++;
		return 0;
	}
	r = numbers_of(&w->labels, l->kind, l->value, &n);
	if (r < 0)
		return r;
	json_object(&j, NULL);
	json_int(&j, "id", (int64_t)++w->annotations);
	json_int(&j, "image_id", (int64_t)w->images);
	json_int(&j, "category_id", (int64_t)n + 1);
	json_array(&j, "bbox");
	for (int i = 0; i < 4; i++) {
		px[i] = l->box[i] * (i % 2 ? s->height : s->width);
		json_double(&j, NULL, px[i]);
	}
	json_end(&j, ']');
	json_double(&j, "area", px[2] * px[3]);
	json_int(&j, "iscrowd", 0);
	if (!isnan(l->score))
		json_double(&j, "score", l->score);
	json_string(&j, "kind", l->kind);
	if (l->by)
		json_string(&j, "by", l->by);
	json_end(&j, '}');
	if (line.error)
		return line.error;
	return fprintf(w->behind, "%s%s\n", w->annotations > 1 ? "," : "", line.data) < 0 ? -EIO
											  : 0;
}

static int coco_image(void *user, const struct snap *s)
{
	struct writing *w = user;
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf line = BUF(KEY_MAX * 2);
	struct json j = {.out = &line};
	char path[KEY_MAX], iso[ISO_MAX];
	int r = looked_at(w, s, &side);

	if (r <= 0)
		return r;
	picture_path(s, path, sizeof(path));
	iso_format(s->taken_us, s->zone_min, iso);
	(void)buf_str(&line, w->images++ ? "," : "");
	json_object(&j, NULL);
	json_int(&j, "id", (int64_t)w->images);
	json_string(&j, "file_name", path);
	json_int(&j, "width", s->width);
	json_int(&j, "height", s->height);
	json_string(&j, "date_captured", iso);
	json_end(&j, '}');
	r = say(w, &line);
	for (size_t i = 0; r == 0 && i < side.labels.n; i++)
		r = coco_annotation(w, s, &side.labels.item[i]);
	return r;
}

static int coco_behind(struct writing *w)
{
	CLEANUP(freep) char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int r = fflush(w->behind) || fseek(w->behind, 0, SEEK_SET) ? -EIO : 0;

	while (r == 0 && (len = getline(&line, &cap, w->behind)) > 0) {
		line[len - 1] = '\0';
		r = w->x->write(w->x->user, line);
	}
	return r == 0 && ferror(w->behind) ? -EIO : r;
}

static int coco_categories(struct writing *w)
{
	CLEANUP(buf_done) struct buf line = BUF(SIDECAR_BYTES);
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->labels.n; i++) {
		struct json j = {.out = &line};
		char *name = w->labels.name[i], *slash = strchr(name, '/');

		*slash = '\0';
		(void)buf_str(&line, i ? "," : "");
		json_object(&j, NULL);
		json_int(&j, "id", (int64_t)i + 1);
		json_string(&j, "name", slash + 1);
		json_string(&j, "supercategory", name);
		json_end(&j, '}');
		*slash = '/';
		r = say(w, &line);
	}
	return r;
}

static int open_behind(struct writing *w)
{
	CLEANUP(closep) int fd = open(w->x->tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	w->behind = fd < 0 ? NULL : fdopen(fd, "w+");
	if (!w->behind)
		return -errno;
	(void)TAKE_FD(fd);
	return 0;
}

static int write_coco(struct writing *w, const struct query *q)
{
	int r = open_behind(w);

	if (r < 0)
		return r;
	r = w->x->write(w->x->user, "{\"info\":{\"description\":\"shutterfs\"},\"images\":[");
	if (r == 0)
		r = query_each(q, w->x->cat, 0, is_stopped, coco_image, w);
	if (r == 0)
		r = w->x->write(w->x->user, "],\"annotations\":[");
	if (r == 0)
		r = coco_behind(w);
	if (r == 0)
		r = w->x->write(w->x->user, "],\"categories\":[");
	if (r == 0)
		r = coco_categories(w);
	if (r == 0)
		r = w->x->write(w->x->user, "]}");
	(void)fclose(w->behind);
	return r;
}

/* ---- YOLO: {"file":...,"lines":[...]} for each file ---- */

static int yolo_row(struct writing *w, const struct label *l, struct json *j)
{
	char row[160];
	size_t n;
	int r;

	if (!l->has_box) {
		w->x->no_box++;
		return 0;
	}
	r = numbers_of(&w->labels, l->kind, l->value, &n);
	if (r < 0)
		return r;
	(void)snprintf(row, sizeof(row), "%zu %.6f %.6f %.6f %.6f", n, l->box[0] + l->box[2] / 2,
		       l->box[1] + l->box[3] / 2, l->box[2], l->box[3]);
	json_string(j, NULL, row);
	return j->out->error;
}

static int yolo_image(void *user, const struct snap *s)
{
	struct writing *w = user;
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf line = BUF(2 * SIDECAR_BYTES);
	struct json j = {.out = &line};
	char name[STEM_MAX + 16];
	int r = looked_at(w, s, &side);

	if (r <= 0)
		return r;
	(void)snprintf(name, sizeof(name), "labels/%s.txt", s->stem);
	json_object(&j, NULL);
	json_string(&j, "file", name);
	json_array(&j, "lines");
	for (size_t i = 0; r >= 0 && i < side.labels.n; i++)
		r = yolo_row(w, &side.labels.item[i], &j);
	json_end(&j, ']');
	json_end(&j, '}');
	return r < 0 ? r : say(w, &line);
}

static int write_yolo(struct writing *w, const struct query *q)
{
	CLEANUP(buf_done) struct buf line = BUF(16 << 20);
	struct json j = {.out = &line};
	int r = query_each(q, w->x->cat, 0, is_stopped, yolo_image, w);

	if (r < 0)
		return r;
	json_object(&j, NULL);
	json_string(&j, "file", "classes.txt");
	json_array(&j, "lines");
	for (size_t i = 0; i < w->labels.n; i++)
		json_string(&j, NULL, strchr(w->labels.name[i], '/') + 1);
	json_end(&j, ']');
	json_end(&j, '}');
	return say(w, &line);
}

/* ---- lines for _bulk ---- */

static int bulk_document(void *user, const char *fp1, const char *body)
{
	struct writing *w = user;
	CLEANUP(buf_done) struct buf line = BUF(2 * SIDECAR_BYTES);
	int r;

	(void)buf_printf(&line, "{\"create\":{\"_id\":\"%s\"}}", fp1);
	r = say(w, &line);
	(void)buf_str(&line, body);
	for (char *p = line.data; r == 0 && (p = strpbrk(p, "\r\n"));)
		*p = ' '; /* between its words only */
	return r == 0 ? say(w, &line) : r;
}

static int bulk_image(void *user, const struct snap *s)
{
	struct writing *w = user;

	return each_document(w->x->cat, s->id, bulk_document, w);
}

int exchange_write(struct exchange_export *x, enum exchange_format format, const struct query *q)
{
	struct writing w = {.x = x};
	int r;

	if (format == EXCHANGE_COCO)
		r = write_coco(&w, q);
	else if (format == EXCHANGE_YOLO)
		r = write_yolo(&w, q);
	else
		r = query_each(q, x->cat, 0, is_stopped, bulk_image, &w);
	numbers_done(&w.labels);
	return r;
}
