/* run.c - all pictures that match, by stem: a view that holds them all is walked day by day, in pages. */
#include "picture.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 64, COUNTED = 100000 /* larger views are as good as each other */, DAY_S = 86400 };

struct plan {
	struct catalog *c;
	struct view view;
	int64_t size;
	int32_t first, last; /* days */
	bool nothing;        /* a clause cannot be true */
};

/* ---- which view, which days ---- */
static int try_view(struct plan *p, struct view v)
{
	int64_t size;
	int r = catalog_view_size(p->c, v, COUNTED, &size);

	if (r == 0 && (size < p->size || p->view.kind == VIEW_ALL)) {
		p->view = v;
		p->size = size;
	}
	return r;
}

/* Names that are not there are in no picture. */
static int none(struct plan *p, int r)
{
	p->nothing = p->nothing || r == -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static int plan_camera(struct plan *p, const struct value *v)
{
	struct camera_row row;
	int r = catalog_camera_find(p->c, v->text, &row);

	return r < 0 ? none(p, r) : try_view(p, (struct view){VIEW_CAMERA, row.id});
}

static int plan_label(struct plan *p, const struct value *v)
{
	struct label_row kind, label;
	int r;

	if (!v->label_kind[0] || !v->label_value[0])
		return 0;
	r = catalog_kind_find(p->c, v->label_kind, &kind);
	if (r == 0)
		r = catalog_label_find(p->c, kind.id, v->label_value, &label);
	return r < 0 ? none(p, r) : try_view(p, (struct view){VIEW_LABEL, label.id});
}

static void days_from(struct plan *p, int64_t first)
{
	p->first = first > p->first ? (int32_t)(first < INT32_MAX ? first : INT32_MAX) : p->first;
}

static void days_until(struct plan *p, int64_t last)
{
	p->last = last < p->last ? (int32_t)(last > INT32_MIN ? last : INT32_MIN) : p->last;
}

/* Of an instant only its day is known, give or take the zone. */
static void plan_time(struct plan *p, const struct clause *c, const struct value *v)
{
	int64_t day = v->is_day ? v->time : v->time / 1000000 / DAY_S, slack = v->is_day ? 0 : 2;

	if (c->test == TEST_EQUAL || v->bound == BOUND_GT || v->bound == BOUND_GTE)
		days_from(p, day - slack);
	if (c->test == TEST_EQUAL || v->bound == BOUND_LT || v->bound == BOUND_LTE)
		days_until(p, day + slack);
}

/* An img_id or a stem begins with its day. */
static int plan_name(struct plan *p, const struct value *v)
{
	struct civil at;
	unsigned dup;
	int r = img_id_parse(v->text, strcspn(v->text, "_"), &at, &dup);

	if (r < 0) {
		p->nothing = true;
		return 0;
	}
	days_from(p, day_from_civil(at.year, at.month, at.day));
	days_until(p, day_from_civil(at.year, at.month, at.day));
	return 0;
}

static int plan_clause(struct plan *p, const struct clause *c)
{
	bool one = c->test == TEST_EQUAL && (c->n == 1 || c->all);
	int r = 0;

	if (c->want != WANT_MUST)
		return 0;
	if (c->field == FIELD_STARRED && one && strcmp(c->value[0].text, "true") == 0)
		return try_view(p, (struct view){VIEW_STARRED, 0});
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		if (c->field == FIELD_TAKEN && (one || c->test == TEST_RANGE))
			plan_time(p, c, &c->value[i]);
		else if (c->field == FIELD_CAMERA && one)
			r = plan_camera(p, &c->value[i]);
		else if (c->field == FIELD_LABEL && one)
			r = plan_label(p, &c->value[i]);
		else if ((c->field == FIELD_IMG_ID || c->field == FIELD_STEM) && one)
			r = plan_name(p, &c->value[i]);
	}
	return r;
}

static int make_plan(const struct query *q, struct catalog *c, struct plan *ret)
{
	struct plan p = {.c = c,
			 .view = {VIEW_ALL, 0},
			 .size = COUNTED,
			 .first = INT32_MIN + 1,
			 .last = INT32_MAX};
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->n; i++)
		r = plan_clause(&p, &q->clause[i]);
	*ret = p;
	return r;
}

/* ---- pages ---- */
struct walk {
	struct plan plan;
	struct picture picture;
	query_stop_fn *stop;
	query_fn *each;
	void *user;
	int64_t after;
	struct snap page[PAGE];
	unsigned n;
};

static int keep(void *user, const struct snap *s)
{
	struct walk *w = user;

	w->page[w->n++] = *s;
	return 0;
}

static int walk_page(struct walk *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		int r = picture_matches(&w->picture, &w->page[i]);

		if (r > 0)
			r = w->each(w->user, &w->page[i]);
		if (r != 0)
			return r;
	}
	return w->stop && w->stop(w->user) ? -ECANCELED : 0;
}

static int walk_day(struct walk *w, int32_t day)
{
	int r;

	do {
		w->n = 0;
		r = catalog_list(w->plan.c, w->plan.view, day, w->after, PAGE, keep, w);
		if (r == 0 && w->n > 0) {
			w->after = w->page[w->n - 1].id;
			r = walk_page(w);
		}
	} while (r == 0 && w->n == PAGE);
	return r;
}

/* `after` is of this day, or an earlier one. */
static int first_day(struct walk *w, int64_t after, int32_t *ret)
{
	*ret = w->plan.first;
	return after ? catalog_day_of(w->plan.c, after, ret) : 0;
}

static int walk(struct walk *w)
{
	int32_t from, day;
	int r = first_day(w, w->after, &from);

	if (r < 0)
		return r;
	for (day = (from > w->plan.first ? from : w->plan.first) - 1;;) {
		r = catalog_next_day(w->plan.c, w->plan.view, day, &day);
		if (r < 0 || day > w->plan.last)
			return r == -ENOENT ? 0 : r;
		r = walk_day(w, day);
		if (r != 0)
			return r;
	}
}

int query_each(const struct query *q, struct catalog *c, int64_t after, query_stop_fn *stop,
	       query_fn *each, void *user)
{
	struct walk *w = malloc(sizeof(*w));
	int r = w ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	*w = (struct walk){.stop = stop, .each = each, .user = user, .after = after};
	r = picture_new(&w->picture, q, c);
	if (r == 0)
		r = make_plan(q, c, &w->plan);
	if (r == 0 && !w->plan.nothing)
		r = walk(w);
	picture_done(&w->picture);
	free(w);
	return r;
}
