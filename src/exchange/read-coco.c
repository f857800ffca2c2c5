/* read-coco.c - files about many pictures: COCO, COCO Camera Traps and MegaDetector, cut into documents of one picture each.
 *
 * What must be known first is read in a first pass and kept small (of annotations the members that matter); the pictures pass by in
 * a second one. */
#include "read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ITEM = 1 << 20, KEPT_BYTES = 1 << 30 /* of all annotations, without their polygons */ };

struct annotation {
	size_t id, text; /* in `kept`: its image_id as written, and itself */
};

struct many {
	struct reading *rd;
	struct buf categories, classes, info; /* JSON of those members; "" : not there */
	struct buf kept;                      /* ids and annotations, each with its NUL */
	struct annotation *a;
	size_t n, cap;
	char *why;
};

static void many_done(struct many *m)
{
	buf_done(&m->categories);
	buf_done(&m->classes);
	buf_done(&m->info);
	buf_done(&m->kept);
	free(m->a);
}

static struct many many_new(struct reading *rd, char *why)
{
	return (struct many){.rd = rd,
			     .categories = BUF(ITEM),
			     .classes = BUF(ITEM),
			     .info = BUF(ITEM),
			     .kept = BUF(KEPT_BYTES),
			     .why = why};
}

static int add_element(struct buf *array, const char *raw)
{
	(void)buf_str(array, array->len ? "," : "");
	return buf_str(array, raw);
}

/* One picture's document is read as a sidecar of it. */
static int tell(struct many *m, const char *file, const struct buf *doc)
{
	const struct beside pic = {.file = file};
	const struct classes none = {0};
	struct sidecar s = {0};
	char why[WHY_MAX];
	int r = doc->error ? doc->error
			   : foreign_parse("x.json", doc->data, doc->len, &pic, &none, &s, why);

	if (r == -EBADMSG || r == -EFBIG) {
		m->rd->refused(m->rd->user, file, r == -EFBIG ? "has too much in it" : why);
		return 0;
	}
	if (r < 0)
		return r;
	r = s.labels.looked ? read_sidecar(m->rd, file, &s) : 0;
	sidecar_done(&s);
	return r;
}

static int no_name(struct many *m, const char *raw)
{
	char subject[64];

	(void)snprintf(subject, sizeof(subject), "%.60s", raw);
	m->rd->refused(m->rd->user, subject, "it has no file name");
	return 0;
}

/* ---- COCO ---- */

static int keep_member(void *user, const char *key, const char *raw, size_t len)
{
	static const char *const matter[] = {"image_id", "category_id", "bbox", "bbox_relative",
					     "score",    "kind",        "by"};
	struct json *j = user;

	for (size_t i = 0; i < ARRAY_LEN(matter); i++)
		if (strcmp(key, matter[i]) == 0) {
			CLEANUP(freep) char *text = strndup(raw, len);

			if (!text)
				return -ENOMEM;
			json_raw(j, key, text);
		}
	return j->out->error;
}

static int keep_annotation(struct many *m, const char *raw, size_t len)
{
	CLEANUP(freep) char *id = NULL;
	struct json j = {.out = &m->kept};
	struct annotation *more;
	char why[WHY_MAX];
	int r = member_of(raw, len, "image_id", &id);

	if (r < 0) /* it is of no picture */
		return r == -ENOENT || r == -EBADMSG ? 0 : r;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 1024;

		more = reallocarray(m->a, cap, sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->a = more;
		m->cap = cap;
	}
	m->a[m->n].id = m->kept.len;
	(void)buf_add(&m->kept, id, strlen(id) + 1);
	m->a[m->n].text = m->kept.len;
	json_object(&j, NULL);
	r = json_scan(raw, len, keep_member, &j, why);
	json_end(&j, '}');
	m->n++;
	return r < 0 ? r : buf_add(&m->kept, "", 1);
}

static int first_pass(void *user, const char *key, const char *raw, size_t len)
{
	struct many *m = user;

	if (!key || raw[0] != '{')
		return 0;
	if (strcmp(key, "categories") == 0)
		return add_element(&m->categories, raw);
	return strcmp(key, "annotations") == 0 ? keep_annotation(m, raw, len) : 0;
}

static int by_id(const void *a, const void *b, void *kept)
{
	const struct annotation *x = a, *y = b;
	int order = strcmp((const char *)kept + x->id, (const char *)kept + y->id);

	return order ? order : (x->text > y->text) - (x->text < y->text);
}

/* The first annotation of a picture, or where it would be. */
static size_t find(const struct many *m, const char *id)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(m->kept.data + m->a[mid].id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int on_image(void *user, const char *key, const char *raw, size_t len)
{
	struct many *m = user;
	CLEANUP(buf_done) struct buf doc = BUF(SIDECAR_BYTES), file = BUF(KEY_MAX);
	CLEANUP(freep) char *id = NULL;

	if (!key || strcmp(key, "images") != 0 || raw[0] != '{')
		return 0;
	if (member_text(raw, len, "file_name", &file) < 0 || !file.len ||
	    member_of(raw, len, "id", &id) < 0)
		return no_name(m, raw);
	(void)buf_printf(&doc, "{\"images\":[%s],\"categories\":[%s],\"annotations\":[", raw,
			 m->categories.len ? m->categories.data : "");
	for (size_t i = find(m, id), first = i;
	     i < m->n && strcmp(m->kept.data + m->a[i].id, id) == 0; i++)
		(void)buf_printf(&doc, "%s%s", i > first ? "," : "", m->kept.data + m->a[i].text);
	(void)buf_str(&doc, "]}");
	return tell(m, file.data, &doc);
}

int read_coco(struct reading *rd, int fd, char why[WHY_MAX])
{
	CLEANUP(many_done) struct many m = many_new(rd, why);
	int r = read_stream(fd, ITEM, first_pass, &m, why);

	if (r == 0 && m.n > 1)
		qsort_r(m.a, m.n, sizeof(*m.a), by_id, m.kept.data);
	return r < 0 ? r : read_stream(fd, ITEM, on_image, &m, why);
}

/* ---- MegaDetector ---- */

static int first_pass_md(void *user, const char *key, const char *raw, size_t len)
{
	struct many *m = user;

	if (key && strcmp(key, "detection_categories") == 0)
		return buf_str(&m->categories, raw);
	if (key && strcmp(key, "classification_categories") == 0)
		return buf_str(&m->classes, raw);
	return key && strcmp(key, "info") == 0 ? buf_str(&m->info, raw) : 0;
}

static int on_image_md(void *user, const char *key, const char *raw, size_t len)
{
	struct many *m = user;
	CLEANUP(buf_done) struct buf doc = BUF(SIDECAR_BYTES), file = BUF(KEY_MAX);

	if (!key || strcmp(key, "images") != 0 || raw[0] != '{')
		return 0;
	if (member_text(raw, len, "file", &file) < 0 || !file.len)
		return no_name(m, raw);
	(void)buf_printf(&doc,
			 "{\"images\":[%s],\"detection_categories\":%s,"
			 "\"classification_categories\":%s,\"info\":%s}",
			 raw, m->categories.len ? m->categories.data : "{}",
			 m->classes.len ? m->classes.data : "{}",
			 m->info.len ? m->info.data : "{}");
	return tell(m, file.data, &doc);
}

int read_megadetector(struct reading *rd, int fd, char why[WHY_MAX])
{
	CLEANUP(many_done) struct many m = many_new(rd, why);
	int r = read_stream(fd, ITEM, first_pass_md, &m, why);

	return r < 0 ? r : read_stream(fd, ITEM, on_image_md, &m, why);
}
