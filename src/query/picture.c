/* picture.c - one picture against a query: what a clause asks for is read when the first one asks. */
#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4 * SIDECAR_BYTES, UNKNOWN = -1 };

int picture_new(struct picture *p, const struct query *q, struct catalog *c)
{
	*p = (struct picture){.q = q,
			      .c = c,
			      .labels = BUF(16 * SIDECAR_BYTES),
			      .value = BUF(SIDECAR_BYTES),
			      .all_text = BUF(TEXT_BYTES)};
	p->fact = calloc(q->n + 1, sizeof(*p->fact));
	return p->fact ? 0 : -ENOMEM;
}

void picture_done(struct picture *p)
{
	buf_done(&p->labels);
	buf_done(&p->value);
	buf_done(&p->all_text);
	free(p->text.comment);
	free(p->fact);
}

/* ---- what the catalog tells ---- */
static int keep_label(void *user, const char *kind, const char *value, const char *by)
{
	struct picture *p = user;

	(void)buf_printf(&p->labels, "%s/%s", kind, value);
	(void)buf_add(&p->labels, "", 1);
	(void)buf_str(&p->labels, by);
	return buf_add(&p->labels, "", 1);
}

static int load_labels(struct picture *p)
{
	if (p->has_labels)
		return 0;
	p->has_labels = true;
	p->labels.len = 0;
	return catalog_label_names(p->c, p->snap->id, keep_label, p);
}

static int load_text(struct picture *p)
{
	if (p->has_text)
		return 0;
	p->has_text = true;
	free(TAKE(p->text.comment));
	return catalog_text(p->c, p->snap->id, &p->text);
}

/* Pictures of one camera mostly come one after the other. */
static int load_camera(struct picture *p)
{
	return p->camera.id == p->snap->camera ? 0
					       : catalog_camera(p->c, p->snap->camera, &p->camera);
}

/* ---- the values of a field: whether one of them fulfils part `i` of the clause ---- */
static int fits_text(struct picture *p, const struct clause *c, size_t i, const char *text,
		     size_t len)
{
	return len > 0 && have_fits(p->q, c, i, (struct have){JSON_STRING, text, len});
}

static int fits_number(struct picture *p, const struct clause *c, size_t i, uint64_t n)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)n);

	return have_fits(p->q, c, i, (struct have){JSON_NUMBER, text, (size_t)len});
}

static int fits_truth(struct picture *p, const struct clause *c, size_t i, bool yes)
{
	return have_fits(p->q, c, i,
			 yes ? (struct have){JSON_TRUE, "true", 4}
			     : (struct have){JSON_FALSE, "false", 5});
}

/* Days are those of the picture's name, whatever the clock said elsewhere. */
static int time_order(const struct snap *s, const struct value *v)
{
	int64_t at = v->is_day ? s->day : s->taken_us;

	return at < v->time ? -1 : at > v->time;
}

static int fits_time(const struct picture *p, const struct clause *c, size_t i)
{
	if (c->test == TEST_EQUAL)
		return time_order(p->snap, &c->value[i]) == 0;
	for (i = 0; c->test == TEST_RANGE && i < c->n; i++)
		if (!in_order(time_order(p->snap, &c->value[i]), c->value[i].bound))
			return 0;
	return 1;
}

/* Names of labels (who = false) or who gave them. */
static int fits_labels(struct picture *p, const struct clause *c, size_t i, bool who)
{
	int r = load_labels(p);
	const char *at = p->labels.data, *end = at ? at + p->labels.len : at;

	while (r == 0 && at < end) {
		const char *by = at + strlen(at) + 1;

		r = who ? fits_text(p, c, i, by, strlen(by)) : fits_text(p, c, i, at, strlen(at));
		at = by + strlen(by) + 1;
	}
	return r;
}

static int fits_json(struct picture *p, const struct clause *c, size_t i, struct json_text v)
{
	enum json_type type = json_type(v);

	if (type == JSON_OBJECT || type == JSON_NONE)
		return type == JSON_OBJECT && c->test == TEST_EXISTS;
	p->value.len = 0;
	if (json_plain(v, &p->value) < 0)
		return p->value.error ? p->value.error : -EBADMSG;
	return have_fits(p->q, c, i, (struct have){type, p->value.data, p->value.len});
}

/* The values at a path: of an array, every element's. */
static int fits_path(struct picture *p, const struct clause *c, size_t i, struct json_text v,
		     const char *path)
{
	struct json_text rest = json_inside(v), one;
	const char *dot = strchr(path, '.');
	char key[NAME_LIMIT + 1];
	int r = 0;

	if (json_type(v) == JSON_ARRAY) {
		while (r == 0 && json_next(&rest, NULL, &one))
			r = fits_path(p, c, i, one, path);
		return r;
	}
	if (!path[0])
		return fits_json(p, c, i, v);
	one = json_get(v, path); /* a key may have dots, too */
	if (json_type(one) != JSON_NONE)
		return fits_path(p, c, i, one, "");
	if (!dot || (size_t)(dot - path) >= sizeof(key))
		return 0;
	(void)snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
	one = json_get(v, key);
	return json_type(one) == JSON_NONE ? 0 : fits_path(p, c, i, one, dot + 1);
}

static int fits_created_by(struct picture *p, const struct clause *c, size_t i,
			   struct json_text doc)
{
	int r = fits_labels(p, c, i, true);

	if (r == 0)
		r = fits_path(p, c, i, doc, "label.created_by");
	return r ? r : fits_path(p, c, i, doc, "created_by");
}

static void add_strings(struct buf *out, struct json_text v)
{
	struct json_text rest = json_inside(v), key, one;
	bool object = json_type(v) == JSON_OBJECT;

	if (json_type(v) == JSON_STRING) {
		(void)!json_plain(v, out); /* an error stays in the buffer */
		(void)buf_add(out, "\n", 1);
	}
	while (json_next(&rest, object ? &key : NULL, &one))
		add_strings(out, one);
}

/* Camera, group, labels and who gave them, the comment, and every text of the document. */
static int fits_all_text(struct picture *p, const struct clause *c, size_t i, struct json_text doc)
{
	struct buf *out = &p->all_text;
	int r = load_labels(p);

	if (r == 0)
		r = load_text(p);
	if (r == 0)
		r = load_camera(p);
	if (r < 0)
		return r;
	out->len = 0;
	(void)buf_printf(out, "%s\n%s\n%s\n%s\n", p->snap->stem, p->camera.title, p->camera.group,
			 p->text.comment ? p->text.comment : "");
	for (size_t k = 0; k < p->labels.len; k += strlen(p->labels.data + k) + 1)
		(void)buf_printf(out, "%s\n", p->labels.data + k);
	add_strings(out, doc);
	return out->error ? out->error : fits_text(p, c, i, out->data, out->len);
}

static int part_true(struct picture *p, const struct clause *c, size_t i, struct json_text doc)
{
	const struct snap *s = p->snap;
	size_t img_id = strcspn(s->stem, "_");
	char hex[SHA256_HEX];
	int r;

	switch (c->field) {
	case FIELD_IMG_ID:
		(void)snprintf(p->name, sizeof(p->name), "%.*s", (int)img_id, s->stem);
		return fits_text(p, c, i, p->name, img_id);
	case FIELD_STEM:
		return fits_text(p, c, i, s->stem, strlen(s->stem));
	case FIELD_CAMERA:
		return fits_text(p, c, i, s->stem + img_id + 1, strlen(s->stem + img_id + 1));
	case FIELD_GROUP:
		r = load_camera(p);
		return r < 0 ? r : fits_text(p, c, i, p->camera.group, strlen(p->camera.group));
	case FIELD_TAKEN:
		return fits_time(p, c, i);
	case FIELD_SIZE:
		return fits_number(p, c, i, s->size);
	case FIELD_WIDTH:
		return s->width && fits_number(p, c, i, s->width);
	case FIELD_HEIGHT:
		return s->height && fits_number(p, c, i, s->height);
	case FIELD_SHA256:
		hex_encode(s->sha.b, sizeof(s->sha.b), hex);
		return s->has_sha && fits_text(p, c, i, hex, strlen(hex));
	case FIELD_STARRED:
		return fits_truth(p, c, i, s->starred);
	case FIELD_COMMENT:
		r = load_text(p);
		return r < 0 || !p->text.comment
			       ? r
			       : fits_text(p, c, i, p->text.comment, strlen(p->text.comment));
	case FIELD_RATING:
		r = load_text(p);
		return r < 0 || !p->text.rating ? r : fits_number(p, c, i, p->text.rating);
	case FIELD_LABEL:
		return fits_labels(p, c, i, false);
	case FIELD_CREATED_BY:
		return fits_created_by(p, c, i, doc);
	case FIELD_TEXT:
		return fits_all_text(p, c, i, doc);
	case FIELD_DOCUMENT:
		break;
	}
	return fits_path(p, c, i, doc, c->path);
}

/* ---- the whole query ---- */
static bool of_document(const struct clause *c)
{
	return c->field == FIELD_DOCUMENT || c->field == FIELD_CREATED_BY || c->field == FIELD_TEXT;
}

static int clause_true(struct picture *p, size_t k, struct json_text doc)
{
	const struct clause *c = &p->q->clause[k];
	bool each = c->all && c->test == TEST_EQUAL;
	int r = each;

	if (p->fact[k] != UNKNOWN)
		return p->fact[k];
	for (size_t i = 0; r == each && i < clause_parts(c); i++)
		r = part_true(p, c, i, doc);
	if (r >= 0 && !of_document(c))
		p->fact[k] = (signed char)r;
	return r;
}

/* Facts alone first (they may spare the documents), or all clauses over one document. */
static int clauses_true(struct picture *p, bool facts, struct json_text doc)
{
	bool should = !p->q->needs_should || facts;

	for (size_t k = 0; k < p->q->n; k++) {
		const struct clause *c = &p->q->clause[k];

		if (facts && of_document(c))
			continue;
		int r = clause_true(p, k, doc);

		if (r < 0 || (c->want == WANT_MUST && !r))
			return r;
		if (c->want == WANT_NOT && r)
			return 0;
		should = should || r;
	}
	return should;
}

struct documents {
	struct picture *p;
	unsigned n;
};

static int on_document(void *user, const struct document *d)
{
	struct documents *docs = user;

	docs->n++;
	return clauses_true(docs->p, false, (struct json_text){d->body, strlen(d->body)});
}

int picture_matches(struct picture *p, const struct snap *s)
{
	struct documents docs = {.p = p};
	const struct json_text none = {0};
	int r;

	p->snap = s;
	p->has_labels = p->has_text = false;
	memset(p->fact, UNKNOWN, p->q->n);
	r = clauses_true(p, true, none);
	if (r <= 0)
		return r;
	if (p->q->by_document) {
		r = catalog_documents(p->c, s->id, on_document, &docs);
		if (r != 0 || docs.n > 0)
			return r;
	}
	return clauses_true(p, false, none);
}

int query_match(const struct query *q, struct catalog *c, const struct snap *s)
{
	struct picture p;
	int r = picture_new(&p, q, c);

	if (r == 0)
		r = picture_matches(&p, s);
	picture_done(&p);
	return r;
}
