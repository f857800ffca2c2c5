/* derive.c - from the lines of a dataset to its rows in the catalog and its texts on disk. */
#include "work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 };

struct deriving {
	const struct derive *d;
	struct dataset_member *batch; /* owned; BATCH */
	size_t n;
};

static void forget_batch(struct deriving *g)
{
	for (size_t i = 0; i < g->n; i++)
		free((void *)g->batch[i].class);
	g->n = 0;
}

static int add_batch(struct deriving *g)
{
	int r = g->n ? catalog_member_add(g->d->catalog, g->d->dataset, g->batch, g->n) : 0;

	forget_batch(g);
	return r;
}

struct stopping {
	struct deriving *g;
	line_fn *fn;
	void *user;
};

static int on_line(void *user, const char *line, size_t len)
{
	struct stopping *s = user;

	if (s->g->d->stop(s->g->d->user))
		return -ECANCELED;
	return s->fn(s->user, line, len);
}

static int read_lines(void *user, line_fn *fn, void *fn_user)
{
	struct deriving *g = user;
	struct stopping s = {.g = g, .fn = fn, .user = fn_user};

	return lines_read(g->d->catalog, g->d->head, on_line, &s);
}

static int32_t day_of(const struct member *m)
{
	struct civil when;
	unsigned dup;

	if (img_id_parse(m->s.img_id, strlen(m->s.img_id), &when, &dup) < 0)
		return 0;
	return day_from_civil(when.year, when.month, when.day);
}

static int add_row(void *user, const struct member *m, uint64_t boxes_at, uint64_t boxes_len)
{
	struct deriving *g = user;
	struct dataset_member *row = &g->batch[g->n];
	size_t *class = NULL;

	if (m->n_classes > 0) {
		class = reallocarray(NULL, m->n_classes, sizeof(*class));
		if (!class)
			return -ENOMEM;
		memcpy(class, m->class, m->n_classes * sizeof(*class));
	}
	*row = (struct dataset_member){
		.split = m->split,
		.day = day_of(m),
		.size = m->s.size,
		.taken_us = m->s.taken_us,
		.flags = (m->in_hf ? MEMBER_HF : 0) | (m->in_detection ? MEMBER_DETECTION : 0) |
			 (m->in_coco ? MEMBER_COCO : 0),
		.boxes_at = boxes_at,
		.boxes_len = boxes_len,
		.has_sha = m->s.has_sha,
		.sha = m->s.sha,
		.class = class,
		.n_classes = m->n_classes,
	};
	memcpy(row->stem, m->stem, sizeof(row->stem));
	return ++g->n == BATCH ? add_batch(g) : 0;
}

static int add_classes(const struct derive *d, const struct class_set *c)
{
	CLEANUP(freep) struct dataset_class *row = calloc(BATCH, sizeof(*row));
	int r = row ? 0 : -ENOMEM;

	for (size_t at = 0; r == 0 && at < c->n; at += BATCH) {
		size_t n = c->n - at < BATCH ? c->n - at : BATCH;

		for (size_t i = 0; i < n; i++) {
			row[i].number = (int64_t)(at + i);
			(void)snprintf(row[i].name, sizeof(row[i].name), "%s",
				       c->item[at + i].name);
		}
		r = catalog_class_add(d->catalog, d->dataset, row, n);
	}
	return r;
}

int derive(const struct derive *d)
{
	CLEANUP(plan_done) struct plan plan = {0};
	struct deriving g = {.d = d};
	struct writer w = {.lines = read_lines, .row = d->rows ? add_row : NULL, .user = &g};
	char why[WHY_MAX];
	int r = spec_parse(d->head->query, strlen(d->head->query), &plan.spec, why);

	if (r == 0)
		r = plan_make(&plan, &w);
	if (r == 0 && d->rows)
		r = add_classes(d, &plan.classes);
	g.batch = calloc(BATCH, sizeof(*g.batch));
	if (r == 0 && !g.batch)
		r = -ENOMEM;
	if (r == 0)
		r = dataset_write(&plan, &w, d->dirfd);
	if (r == 0)
		r = add_batch(&g);
	forget_batch(&g);
	free(g.batch);
	return r;
}
