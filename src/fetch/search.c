/* search.c - read-ahead, the search: does a picture that a reader waits for belong to an order, or to a directory that is read to and
 * fro?  One search at a time, a listing of a few rows per step; cheap conditions on what was opened lately come first. */
#include "ahead.h"

#include <string.h>

#define LOOK_BACK 32        /* opens among which neighbours count: parallel readers interleave */
#define MEMORY_US 600000000 /* older opens are of another reading */
#define LABELS_EVERY 4      /* searches: labels cost more to ask for */
#define WARM_LEAST 16       /* pictures; less is not worth it */
#define WARM_BUDGETS 4      /* a directory larger than that many budgets would seldom be hit */

static int recent_cmp(const struct recent *a, const struct recent *b)
{
	if (a->day != b->day)
		return a->day < b->day ? -1 : 1;
	return strcmp(a->stem, b->stem);
}

/* The two neighbours of x in listing order among the recent opens, p1 the nearer; sign 1: before it. */
static bool neighbours(struct ahead *a, int sign, bool same_camera)
{
	struct search *q = &a->search;
	const struct recent *p1 = NULL, *p2 = NULL, *r;
	unsigned seen = 0;

	for (uint64_t i = 0; (r = recent_at(a, i)) && seen < LOOK_BACK; i++) {
		if (r->when_us + MEMORY_US < q->x.when_us)
			break;
		if (r->id == q->x.id || (same_camera && r->camera != q->x.camera))
			continue;
		seen++;
		if (sign * recent_cmp(r, &q->x) >= 0)
			continue;
		if (!p1 || sign * recent_cmp(r, p1) > 0) {
			p2 = p1;
			p1 = r;
		} else if (!p2 || sign * recent_cmp(r, p2) > 0) {
			p2 = r;
		}
	}
	if (!p2)
		return false;
	q->p1 = *p1;
	q->p2 = *p2;
	return true;
}

static bool one_camera(const struct search *q)
{
	return q->p1.camera == q->x.camera && q->p2.camera == q->x.camera;
}

static struct view camera_of(const struct search *q)
{
	return (struct view){.kind = VIEW_CAMERA, .id = q->x.camera};
}

static bool probe(struct search *q, struct view view, const struct recent *from,
		  struct ahead_job *ret)
{
	*ret = (struct ahead_job){.what = AHEAD_LIST,
				  .view = view,
				  .day = from->day,
				  .after = from->id,
				  .limit = AHEAD_PROBE};
	q->asked = true;
	return true;
}

/* ---- to and fro in one directory ---- */

static struct stream *warmed(struct ahead *a, const struct recent *x)
{
	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		struct stream *s = &a->stream[i];

		if ((s->mode == STREAM_WARM || s->mode == STREAM_BARRED) && s->day == x->day &&
		    (s->view.kind != VIEW_CAMERA || s->view.id == x->camera))
			return s;
	}
	return NULL;
}

static bool next_jump(struct ahead *a, struct ahead_job *ret)
{
	struct search *q = &a->search;
	const struct recent *r;
	unsigned seen = 0;
	bool one = true;

	*ret = (struct ahead_job){.what = AHEAD_COMMON};
	for (uint64_t i = 0;
	     (r = recent_at(a, i)) && ret->n < AHEAD_JUMPS && seen < AHEAD_JUMP_WITHIN; i++) {
		if (r->when_us + MEMORY_US < q->x.when_us)
			break;
		seen += !r->gen;
		if (r->day != q->x.day || !r->missed || r->gen)
			continue;
		ret->id[ret->n++] = r->id;
		one = one && r->camera == q->x.camera;
	}
	const struct haunt *h = roam_waits(&a->roam, &q->x);
	struct stream *s = warmed(a, &q->x);

	q->roams = ret->n < AHEAD_JUMPS;
	if (q->roams && h) {
		memcpy(ret->id, h->id, sizeof(h->id));
		ret->n = AHEAD_JUMPS;
		one = h->camera != 0;
	}
	if (s && s->mode == STREAM_WARM)
		roam_jumped(&a->roam, s->opens, s->total);
	if (s && !q->roams)
		s->roams = false; /* they settled in it */
	if (ret->n < AHEAD_JUMPS || s || !stream_may_begin(a))
		return false;
	q->candidate[0] = one ? camera_of(q) : (struct view){.kind = VIEW_ALL};
	q->asked = true;
	return true;
}

static void next_survey(struct search *q, struct ahead_job *ret)
{
	*ret = (struct ahead_job){.what = AHEAD_SURVEY,
				  .view = q->candidate[0],
				  .day = q->x.day,
				  .limit = AHEAD_SURVEY_MAX};
	q->asked = true;
}

void ahead_surveyed(struct ahead *a, int64_t now_us, const struct ahead_job *job, size_t n,
		    uint64_t bytes)
{
	bool fits = n >= WARM_LEAST && n < job->limit && bytes <= WARM_BUDGETS * a->max_bytes;
	struct stream *s;

	a->search.step = STEP_NONE;
	s = stream_new(a, now_us, fits ? STREAM_WARM : STREAM_BARRED, job->view, job->day, 0);
	s->total = (unsigned)n;
	s->roams = a->search.roams;
	if (s->roams)
		s->tokens = 0;
}

/* ---- the steps ---- */

static bool next_common(struct ahead *a, struct ahead_job *ret)
{
	struct search *q = &a->search;

	if (a->searches % LABELS_EVERY != 0 || !neighbours(a, 1, false))
		return false;
	*ret = (struct ahead_job){
		.what = AHEAD_COMMON, .id = {q->x.id, q->p1.id, q->p2.id}, .n = 3};
	q->asked = true;
	return true;
}

/* The job of this step; false: it has none, and the next step is to be taken. */
static bool step_job(struct ahead *a, struct ahead_job *ret)
{
	struct search *q = &a->search;

	switch (q->step) {
	case STEP_FORWARD:
		return neighbours(a, 1, false) &&
		       probe(q, one_camera(q) ? camera_of(q) : (struct view){.kind = VIEW_ALL},
			     &q->p2, ret);
	case STEP_CAMERA:
		return neighbours(a, 1, false) && !one_camera(q) && neighbours(a, 1, true) &&
		       probe(q, camera_of(q), &q->p2, ret);
	case STEP_BACK:
		return neighbours(a, -1, true) && q->p2.when_us <= q->p1.when_us &&
		       probe(q, camera_of(q), &q->x, ret);
	case STEP_COMMON:
		return next_common(a, ret);
	case STEP_LABEL:
		return q->at < q->n && probe(q, q->candidate[q->at], &q->p2, ret);
	case STEP_JUMP:
		return next_jump(a, ret);
	case STEP_SURVEY:
	case STEP_NONE:
		break;
	}
	return false;
}

static bool search_begin(struct ahead *a)
{
	struct search *q = &a->search;

	while (a->n_suspects) {
		const struct recent *r = recent_find(a, a->suspect[--a->n_suspects]);

		if (!r || r->gen)
			continue;
		*q = (struct search){.step = STEP_FORWARD, .x = *r};
		a->searches++;
		return true;
	}
	return false;
}

bool search_next(struct ahead *a, int64_t now_us, struct ahead_job *ret)
{
	struct search *q = &a->search;

	for (;;) {
		if (q->step == STEP_NONE && !search_begin(a))
			return false;
		if (q->asked)
			return false;
		if (q->step == STEP_SURVEY) {
			next_survey(q, ret);
			return true;
		}
		if (step_job(a, ret))
			return true;
		q->step = q->step < STEP_JUMP ? q->step + 1 : STEP_NONE;
	}
}

static size_t position(const struct ahead_entry *e, size_t n, int64_t id)
{
	size_t i = 0;

	while (i < n && e[i].id != id)
		i++;
	return i < n ? i : SIZE_MAX;
}

void search_listed(struct ahead *a, int64_t now_us, const struct ahead_job *job,
		   const struct ahead_entry *e, size_t n)
{
	struct search *q = &a->search;
	bool back = q->step == STEP_BACK;
	size_t first = position(e, n, q->p1.id);
	size_t second = position(e, n, back ? q->p2.id : q->x.id);

	q->asked = false;
	if (first < second && second <= AHEAD_NEAR) {
		stream_follow(a, now_us, job->view, back);
		q->step = STEP_NONE;
	} else if (q->step == STEP_LABEL) {
		q->at++;
	} else {
		q->step++;
	}
}

void ahead_labelled(struct ahead *a, const int64_t *label, size_t n)
{
	struct search *q = &a->search;

	q->asked = false;
	if (q->step == STEP_JUMP) {
		if (n) /* the smaller directory */
			q->candidate[0] = (struct view){.kind = VIEW_LABEL, .id = label[0]};
		q->step = STEP_SURVEY;
		return;
	}
	q->n = q->at = 0;
	if (q->x.starred && q->p1.starred && q->p2.starred)
		q->candidate[q->n++] = (struct view){.kind = VIEW_STARRED};
	for (size_t i = 0; i < n && i < AHEAD_LABELS_MAX; i++)
		q->candidate[q->n++] = (struct view){.kind = VIEW_LABEL, .id = label[i]};
	q->step = STEP_LABEL;
}
