/* test-fetch-ahead.h - a small world for the read-ahead policy, with a clock of its own: a catalog, a store with a link, readers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"

#define MS INT64_C(1000)
#define S (1000 * MS)

enum { PICS_MAX = 20000, READERS_MAX = 32 };

struct pic {
	struct snap snap;
	unsigned labels; /* bit n: label n */
	bool local, in_flight, running, spare, opened;
	bool ahead; /* it was fetched without being asked for */
	int64_t made_us, lands_us;
	unsigned gets;
};

struct reader {
	int64_t *id;
	size_t n, at;
	int64_t think_us, ready_us; /* from one picture to the next */
	int64_t waits;              /* for this picture; 0: not */
};

struct sim {
	struct ahead *a;
	struct pic *pic; /* id is the index + 1, in listing order */
	size_t n;
	int64_t now_us, latency_us, each_us; /* of a request, and of the server between two */
	int64_t server_free_us;
	unsigned threads, running, running_spare;
	bool hung, failing;
	struct reader reader[READERS_MAX];
	size_t n_readers;
	unsigned jobs, labels_asked;
};

static inline struct pic *pic_of(struct sim *w, int64_t id)
{
	assert_in_range(id, 1, w->n);
	return &w->pic[id - 1];
}

/* `days` days of `each` pictures, taken in turn by `cameras`. */
static inline void sim_new(struct sim *w, unsigned days, unsigned each, unsigned cameras)
{
	*w = (struct sim){.n = (size_t)days * each,
			  .latency_us = 25 * MS,
			  .each_us = 3 * MS,
			  .threads = 16,
			  .now_us = 100 * S};
	assert_in_range(w->n, 1, PICS_MAX);
	assert_int_equal(ahead_new(64, UINT64_C(256) << 20, &w->a), 0);
	w->pic = calloc(w->n, sizeof(*w->pic));
	assert_non_null(w->pic);
	for (size_t i = 0; i < w->n; i++) {
		struct snap *s = &w->pic[i].snap;

		s->id = (int64_t)i + 1;
		s->day = 20000 + (int32_t)(i / each);
		s->camera = 1 + (int64_t)(i % cameras);
		s->size = 175000;
		(void)snprintf(s->stem, sizeof(s->stem), "%08zu", i);
	}
}

static inline void sim_free(struct sim *w)
{
	for (size_t i = 0; i < w->n_readers; i++)
		free(w->reader[i].id);
	free(w->pic);
	w->a = ahead_free(w->a);
}

static inline struct reader *reader_new(struct sim *w, size_t n, int64_t think_us)
{
	struct reader *r = &w->reader[w->n_readers++];

	assert_true(w->n_readers <= READERS_MAX);
	*r = (struct reader){.n = n, .think_us = think_us, .ready_us = w->now_us};
	r->id = calloc(n, sizeof(*r->id));
	assert_non_null(r->id);
	return r;
}

static inline unsigned dice(unsigned *seed, size_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % (unsigned)n;
}

static inline void shuffle(int64_t *id, size_t n, unsigned seed)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = dice(&seed, i);
		int64_t t = id[i - 1];

		id[i - 1] = id[k];
		id[k] = t;
	}
}

/* ---- the catalog ---- */

static inline bool in_view(const struct pic *p, struct view v)
{
	return v.kind == VIEW_ALL || (v.kind == VIEW_CAMERA && p->snap.camera == v.id) ||
	       (v.kind == VIEW_LABEL && p->labels >> v.id & 1) ||
	       (v.kind == VIEW_STARRED && p->snap.starred);
}

static inline size_t sim_list(struct sim *w, const struct ahead_job *job, struct ahead_entry *e)
{
	int64_t step = job->backwards ? -1 : 1, i = job->after + (job->backwards ? -2 : 0);
	size_t n = 0;

	for (; i >= 0 && i < (int64_t)w->n && n < job->limit; i += step) {
		struct pic *p = &w->pic[i];

		if ((job->after == 0 || job->one_day || job->backwards) && p->snap.day > job->day)
			break;
		if (p->snap.day < job->day && job->backwards)
			break;
		if (p->snap.day >= job->day && in_view(p, job->view))
			e[n++] = (struct ahead_entry){.id = p->snap.id,
						      .day = p->snap.day,
						      .size = p->snap.size,
						      .local = p->local};
	}
	return n;
}

/* ---- the store ---- */

static inline void start_get(struct sim *w, struct pic *p)
{
	int64_t free_us = w->server_free_us > w->now_us ? w->server_free_us : w->now_us;

	p->running = true;
	p->gets++;
	w->running++;
	w->running_spare += p->spare;
	w->server_free_us = free_us + w->each_us;
	p->lands_us = w->hung ? INT64_MAX
			      : (w->server_free_us > w->now_us + w->latency_us
					 ? w->server_free_us
					 : w->now_us + w->latency_us);
}

static inline void start_waiting(struct sim *w)
{
	for (int spare = 0; spare < 2; spare++)
		for (size_t i = 0; i < w->n && w->running < w->threads; i++) {
			struct pic *p = &w->pic[i];

			if (p->in_flight && !p->running && p->spare == spare &&
			    (!spare || w->running_spare + 2 < w->threads))
				start_get(w, p);
		}
}

static inline void begin_flight(struct sim *w, struct pic *p, bool ahead)
{
	p->in_flight = true;
	p->ahead = p->spare = ahead;
	p->made_us = w->now_us;
	start_waiting(w);
}

static inline void land(struct sim *w, struct pic *p)
{
	w->running--;
	w->running_spare -= p->spare && p->running;
	p->in_flight = p->running = false;
	p->local = !w->failing || !p->ahead;
	if (p->ahead)
		ahead_done(w->a, w->now_us, p->snap.id, p->local ? 0 : -EIO,
			   p->local ? p->snap.size : 0, w->now_us - p->made_us);
	else
		ahead_fetched(w->a, p->snap.size);
	for (size_t i = 0; i < w->n_readers; i++)
		if (w->reader[i].waits == p->snap.id && p->local) {
			w->reader[i].waits = 0;
			w->reader[i].ready_us = w->now_us + w->reader[i].think_us;
			w->reader[i].at++;
		}
	start_waiting(w);
}

/* ---- the thread that does the policy's jobs ---- */

static inline void sim_labels(struct sim *w, const struct ahead_job *job)
{
	unsigned common = ~0u;
	int64_t label[AHEAD_LABELS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < job->n; i++)
		common &= pic_of(w, job->id[i])->labels;
	for (int64_t l = 0; l < 32 && n < AHEAD_LABELS_MAX; l++)
		if (common >> l & 1)
			label[n++] = l;
	w->labels_asked++;
	ahead_labelled(w->a, label, n);
}

static inline void sim_survey(struct sim *w, const struct ahead_job *job)
{
	size_t n = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < w->n && n < job->limit; i++)
		if (w->pic[i].snap.day == job->day && in_view(&w->pic[i], job->view)) {
			n++;
			bytes += w->pic[i].snap.size;
		}
	ahead_surveyed(w->a, w->now_us, job, n, bytes);
}

static inline void sim_jobs(struct sim *w)
{
	struct ahead_entry e[AHEAD_PAGE];
	struct ahead_job job;

	for (unsigned n = 0; ahead_next(w->a, w->now_us, &job); n++) {
		assert_true(n < 10000);
		w->jobs++;
		if (job.what == AHEAD_FETCH) {
			struct pic *p = pic_of(w, job.id[0]);

			if (p->local || p->in_flight)
				ahead_done(w->a, w->now_us, p->snap.id, 0, 0, 0);
			else
				begin_flight(w, p, true);
		} else if (job.what == AHEAD_LIST) {
			assert_in_range(job.limit, 1, AHEAD_PAGE);
			ahead_listed(w->a, w->now_us, &job, e, sim_list(w, &job, e));
		} else if (job.what == AHEAD_COMMON) {
			sim_labels(w, &job);
		} else {
			sim_survey(w, &job);
		}
	}
}

/* ---- readers ---- */

static inline void sim_open(struct sim *w, struct reader *r)
{
	struct pic *p = pic_of(w, r->id[r->at]);

	p->opened = true;
	(void)ahead_opened(w->a, w->now_us, &p->snap);
	if (p->local) {
		r->ready_us = w->now_us + r->think_us;
		r->at++;
		return;
	}
	r->waits = p->snap.id;
	if (!p->in_flight)
		begin_flight(w, p, false);
	if (p->spare && p->running)
		w->running_spare--;
	p->spare = false;
	(void)ahead_waits(w->a, w->now_us, p->snap.id);
}

/* Until all have read all, or the clock says `until_us`; returns how long it took. */
static inline int64_t sim_run(struct sim *w, int64_t until_us)
{
	int64_t begin = w->now_us;

	for (;;) {
		int64_t next = INT64_MAX;
		struct reader *who = NULL;
		struct pic *what = NULL;

		for (size_t i = 0; i < w->n_readers; i++) {
			struct reader *r = &w->reader[i];

			if (!r->waits && r->at < r->n && r->ready_us < next) {
				next = r->ready_us;
				who = r;
			}
		}
		bool waits = who != NULL;
		for (size_t i = 0; i < w->n_readers; i++)
			waits = waits || w->reader[i].waits;
		for (size_t i = 0; i < w->n && w->running; i++)
			if (w->pic[i].running && w->pic[i].lands_us < next) {
				next = w->pic[i].lands_us;
				what = &w->pic[i];
			}
		if (!waits || next == INT64_MAX || next - begin > until_us)
			return w->now_us - begin;
		w->now_us = next > w->now_us ? next : w->now_us;
		if (what)
			land(w, what);
		else
			sim_open(w, who);
		sim_jobs(w);
	}
}

struct outcome {
	unsigned opened, got, ahead, vain; /* pictures */
};

/* What was fetched, in the end; nothing twice. */
static inline struct outcome sim_outcome(struct sim *w)
{
	struct outcome o = {0};
	struct ahead_counts counts;

	for (size_t i = 0; i < w->n; i++) {
		const struct pic *p = &w->pic[i];

		assert_true(p->gets <= 1);
		o.opened += p->opened;
		o.got += p->gets;
		o.ahead += p->gets && p->ahead;
		o.vain += p->gets && p->ahead && !p->opened;
	}
	ahead_counts(w->a, &counts);
	assert_in_range(counts.used, 0, o.ahead);
	return o;
}

/* How long one reader would take who waits for each. */
static inline int64_t one_by_one(const struct sim *w, size_t n, int64_t think_us)
{
	return (int64_t)n * (w->latency_us + think_us);
}
