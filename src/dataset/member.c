/* member.c - one line of a dataset: a picture's sidecar as it was, and what follows from it. */
#include "private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void member_done(struct member *m)
{
	sidecar_done(&m->s);
	free(m->class);
	free(m->box);
	*m = (struct member){0};
}

void plan_done(struct plan *p)
{
	spec_done(&p->spec);
	class_set_done(&p->classes);
	class_set_done(&p->kinds);
	*p = (struct plan){0};
}

typedef int class_fn(void *user, const char *name,
		     const struct label *label); /* label NULL: from a document */

/* "label.label_direction" in the object; JSON_NONE: it has none. */
static struct json_text field_of(struct json_text object, const char *field)
{
	char key[256];

	while (json_type(object) == JSON_OBJECT && *field) {
		size_t len = strcspn(field, ".");

		(void)snprintf(key, sizeof(key), "%.*s", (int)len, field);
		object = json_get(object, key);
		field += len;
		if (!*field)
			return object;
		field++;
	}
	return (struct json_text){0};
}

static int document_class(struct json_text v, class_fn *fn, void *user)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	char name[CLASS_MAX + 1];
	long double number;
	int r;

	if (json_number(v, &number)) /* 2 and 2.0 are one class */
		r = buf_printf(&text, "%.17Lg", number);
	else if (json_type(v) == JSON_STRING || json_type(v) == JSON_TRUE ||
		 json_type(v) == JSON_FALSE)
		r = json_plain(v, &text);
	else
		return 0;
	if (r < 0 || text.len == 0)
		return r;
	class_name_from(text.data, name);
	return fn(user, name, NULL);
}

static int each_document_class(const char *documents, const char *field, class_fn *fn, void *user)
{
	struct json_text rest = {documents, documents ? strlen(documents) : 0}, v;
	int r = 0;

	rest = json_inside(rest);
	while (r == 0 && json_next(&rest, NULL, &v))
		r = document_class(field_of(v, field), fn, user);
	return r;
}

static int each_class(const struct spec *spec, const struct sidecar *s, class_fn *fn, void *user)
{
	char name[CLASS_MAX + 1], kind[LABEL_MAX + 1];
	int r = 0;

	if (spec->field)
		return each_document_class(s->documents, spec->field, fn, user);
	for (size_t i = 0; r == 0 && spec->kind && i < s->labels.n; i++) {
		label_name_from(s->labels.item[i].kind, kind);
		if (strcmp(kind, spec->kind) != 0)
			continue;
		class_name_from(s->labels.item[i].value, name);
		r = fn(user, name, &s->labels.item[i]);
	}
	return r;
}

/* ---- a member ---- */
struct adding {
	const struct plan *plan;
	struct member *m;
};

static int add_class(struct member *m, size_t class)
{
	size_t *grown;

	for (size_t i = 0; i < m->n_classes; i++)
		if (m->class[i] == class)
			return 0;
	grown = reallocarray(m->class, m->n_classes + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->class = grown;
	m->class[m->n_classes++] = class;
	return 0;
}

static double within(double v)
{
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* What of it is in the picture; none: some trainers refuse the whole file for one that is not. */
static int add_box(struct member *m, size_t class, const double v[4])
{
	double x = within(v[0]), y = within(v[1]), right = within(v[0] + v[2]),
	       bottom = within(v[1] + v[3]);
	struct box *grown;

	if (!(right - x >= 1e-6 && bottom - y >= 1e-6)) {
		m->bad_boxes++;
		return 0;
	}
	grown = reallocarray(m->box, m->n_boxes + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	m->box = grown;
	m->box[m->n_boxes++] = (struct box){.class = class, .v = {x, y, right - x, bottom - y}};
	return 0;
}

static int on_class(void *user, const char *name, const struct label *label)
{
	struct adding *a = user;
	size_t class;
	int r = class_set_find(&a->plan->classes, name, &class);

	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r; /* the first reading did not have it */
	r = add_class(a->m, class);
	if (r == 0 && label && label->has_box)
		r = add_box(a->m, class, label->box);
	else if (r == 0 && label)
		a->m->unboxed++;
	return r;
}

static int parse_line(const char *line, size_t len, struct member *m)
{
	char why[WHY_MAX];
	struct civil when;
	unsigned dup;
	int r = sidecar_parse(line, len, &m->s, why);

	if (r < 0)
		return r;
	if (!m->s.img_id || !m->s.camera || !camera_name_ok(m->s.camera) ||
	    img_id_parse(m->s.img_id, strlen(m->s.img_id), &when, &dup) < 0)
		return -EBADMSG;
	(void)snprintf(m->stem, sizeof(m->stem), "%s_%s", m->s.img_id, m->s.camera);
	(void)snprintf(m->day, sizeof(m->day), "%04d-%02d-%02d", when.year % 10000,
		       when.month % 100, when.day % 100);
	return 0;
}

static int fill(const struct plan *p, struct member *m)
{
	struct adding a = {.plan = p, .m = m};
	bool sized, only_unboxed;
	int r = each_class(&p->spec, &m->s, on_class, &a);

	if (r < 0)
		return r;
	m->split = split_of(&p->spec, m->s.camera, m->day);
	sized = m->s.width > 0 && m->s.height > 0;
	only_unboxed = m->n_classes > 0 && m->n_boxes == 0;
	/* Without its size the boxes cannot be told in pixels, and a row without them would say that nothing is there. */
	m->in_hf = sized || m->n_boxes == 0;
	/* To a detector, a picture without boxes is one with nothing in it: only if somebody looked for that. */
	m->in_detection = !p->spec.field && m->s.labels.looked && !only_unboxed;
	m->in_coco = m->in_detection && sized;
	return 0;
}

int member_parse(const struct plan *p, const char *line, size_t len, struct member *ret)
{
	CLEANUP(member_done) struct member m = {0};
	int r = parse_line(line, len, &m);

	if (r == 0)
		r = fill(p, &m);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct member){0};
	return 0;
}

/* ---- the first readings ---- */
int plan_kinds(void *user, const char *line, size_t len)
{
	struct plan *p = user;
	CLEANUP(member_done) struct member m = {0};
	CLEANUP(class_set_done) struct class_set mine = {0};
	size_t at;
	int r = parse_line(line, len, &m);

	for (size_t i = 0; r == 0 && i < m.s.labels.n; i++) {
		char kind[LABEL_MAX + 1];

		label_name_from(m.s.labels.item[i].kind, kind);
		r = class_set_add(&mine, kind, &at);
	}
	for (size_t i = 0; r == 0 && i < mine.n; i++) {
		r = class_set_add(&p->kinds, mine.item[i].name, &at);
		if (r == 0)
			p->kinds.item[at].pictures[0]++;
	}
	return r;
}

void plan_settle(struct plan *p)
{
	size_t best = 0;

	for (size_t i = 1; i < p->kinds.n; i++)
		if (p->kinds.item[i].pictures[0] > p->kinds.item[best].pictures[0])
			best = i;
	if (!p->spec.kind && !p->spec.field && p->kinds.n > 0)
		p->spec.kind = TAKE(p->kinds.item[best].name);
	class_set_done(&p->kinds);
}

static int note_class(void *user, const char *name, const struct label *label)
{
	struct plan *p = user;
	size_t at;

	return class_set_add(&p->classes, name, &at);
}

static void count(struct plan *p, const struct member *m)
{
	enum dataset_split s = m->split;

	p->pictures[s]++;
	for (size_t i = 0; i < m->n_classes; i++)
		p->classes.item[m->class[i]].pictures[s]++;
	p->classified[s] += m->n_classes > 0;
	p->several += m->n_classes > 1;
	p->hf[s] += m->in_hf;
	p->boxed[s] += m->in_hf && m->n_boxes > 0;
	p->yolo[s] += m->in_detection;
	p->coco[s] += m->in_coco;
	p->boxes[s] += m->n_boxes;
	p->not_hf += !m->in_hf;
	p->not_looked += !m->s.labels.looked;
	p->only_unboxed += m->s.labels.looked && !m->in_detection;
	p->no_size += !m->s.width || !m->s.height;
	p->unboxed += m->unboxed;
	p->bad_boxes += m->bad_boxes;
}

int plan_count(void *user, const char *line, size_t len)
{
	struct plan *p = user;
	CLEANUP(member_done) struct member m = {0};
	int r = parse_line(line, len, &m);

	if (r == 0)
		r = each_class(&p->spec, &m.s, note_class, p);
	if (r == 0)
		r = fill(p, &m);
	if (r == 0)
		count(p, &m);
	return r;
}

void plan_end(struct plan *p)
{
	bool any = false, all = true;

	for (int i = 0; i < DATASET_SPLITS; i++) {
		any = any || p->boxed[i] > 0;
		all = all && (p->hf[i] == 0 || p->boxed[i] > 0);
	}
	p->hf_objects = any && all;
}
