/* ahead-run.c - read-ahead at work: one thread that does what the policy wants: asks the catalog, begins flights.
 *
 * Readers only tell the policy what they opened; the thread is woken when that changed something. */
#define LOG_ROOM "fetch"
#include "private.h"

#include "ahead.h"

#include <errno.h>
#include <stdlib.h>

#define BUDGET_BYTES (UINT64_C(256) << 20)
#define CACHE_PARTS 8 /* one of them may hold what is not opened yet */
#define LABELS_READ 64

struct ahead_run {
	struct fetch *f;
	struct ahead *policy; /* lock */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* never held while the catalog is asked or a flight begun */
	pthread_cond_t wake;
	bool work, ending; /* lock */
};

/* ---- jobs; without the lock ---- */

struct page {
	struct fetch *f;
	struct ahead_entry *e;
	size_t n;
	bool check; /* whether they are local */
};

static int page_add(void *user, const struct snap *s)
{
	struct page *p = user;

	p->e[p->n++] = (struct ahead_entry){.id = s->id,
					    .day = s->day,
					    .size = s->size,
					    .local = p->check && fetch_is_local(p->f, s)};
	return 0;
}

/* On into the next days, unless the job is about one. */
static size_t list(struct fetch *f, const struct ahead_job *job, struct ahead_entry *e)
{
	struct page p = {.f = f, .e = e, .check = job->gen != 0};
	int64_t after = job->after;
	int32_t day = job->day;
	int r;

	if (job->backwards) {
		r = catalog_list_back(f->catalog, job->view, day, after, job->limit, page_add, &p);
		return r < 0 ? 0 : p.n;
	}
	do {
		r = catalog_list(f->catalog, job->view, day, after, job->limit - (unsigned)p.n,
				 page_add, &p);
		after = 0;
	} while (r == 0 && p.n < job->limit && !job->one_day &&
		 catalog_next_day(f->catalog, job->view, day, &day) == 0);
	return p.n;
}

struct label_ids {
	int64_t id[LABELS_READ];
	size_t n;
};

static int label_add(void *user, int64_t label)
{
	struct label_ids *l = user;

	if (l->n < LABELS_READ)
		l->id[l->n++] = label;
	return 0;
}

static bool has_label(const struct label_ids *l, int64_t id)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->id[i] == id)
			return true;
	return false;
}

/* What all of them have; at most AHEAD_LABELS_MAX. */
static size_t common_labels(struct fetch *f, const struct ahead_job *job, int64_t *ret)
{
	struct label_ids all = {0}, one;
	size_t n;

	if (catalog_labels_of(f->catalog, job->id[0], label_add, &all) < 0)
		return 0;
	for (size_t i = 1; i < job->n && all.n; i++) {
		one = (struct label_ids){0};
		if (catalog_labels_of(f->catalog, job->id[i], label_add, &one) < 0)
			return 0;
		n = 0;
		for (size_t k = 0; k < all.n; k++)
			if (has_label(&one, all.id[k]))
				all.id[n++] = all.id[k];
		all.n = n;
	}
	for (n = 0; n < all.n && n < AHEAD_LABELS_MAX; n++)
		ret[n] = all.id[n];
	return n;
}

struct survey {
	size_t n;
	uint64_t bytes;
};

static int survey_add(void *user, const struct snap *s)
{
	struct survey *v = user;

	v->n++;
	v->bytes += s->size;
	return 0;
}

/* Takes the lock off and on again. */
static void do_job(struct ahead_run *run, const struct ahead_job *job)
{
	struct fetch *f = run->f;
	struct ahead_entry e[AHEAD_PAGE];
	int64_t label[AHEAD_LABELS_MAX];
	struct survey v = {0};
	size_t n = 0;
	int r = 0;

	(void)pthread_mutex_unlock(&run->lock);
	if (job->what == AHEAD_FETCH)
		r = flight_ahead(f, job->id[0], job->sure);
	else if (job->what == AHEAD_LIST)
		n = list(f, job, e);
	else if (job->what == AHEAD_COMMON)
		n = common_labels(f, job, label);
	else if (catalog_list(f->catalog, job->view, job->day, 0, job->limit, survey_add, &v) < 0)
		v.n = 0;
	(void)pthread_mutex_lock(&run->lock);
	if (job->what == AHEAD_FETCH && r < 0)
		ahead_done(run->policy, mono_us(), job->id[0], r == -EALREADY ? 0 : r, 0, 0);
	else if (job->what == AHEAD_LIST)
		ahead_listed(run->policy, mono_us(), job, e, n);
	else if (job->what == AHEAD_COMMON)
		ahead_labelled(run->policy, label, n);
	else if (job->what == AHEAD_SURVEY)
		ahead_surveyed(run->policy, mono_us(), job, v.n, v.bytes);
}

static void *run_thread(void *arg)
{
	struct ahead_run *run = arg;
	struct ahead_job job;

	(void)pthread_setname_np(pthread_self(), "fetch-ahead");
	(void)pthread_mutex_lock(&run->lock);
	while (!run->ending) {
		if (!run->work)
			(void)pthread_cond_wait(&run->wake, &run->lock);
		else if (ahead_next(run->policy, mono_us(), &job))
			do_job(run, &job);
		else
			run->work = false;
	}
	(void)pthread_mutex_unlock(&run->lock);
	return NULL;
}

/* ---- what is told ---- */

/* With the lock. */
static void wake(struct ahead_run *run)
{
	if (run->work)
		return;
	run->work = true;
	(void)pthread_cond_signal(&run->wake);
}

void fetch_opened(struct fetch *f, const struct snap *s)
{
	struct ahead_run *run = f->run;

	if (!run)
		return;
	(void)pthread_mutex_lock(&run->lock);
	if (ahead_opened(run->policy, mono_us(), s))
		wake(run);
	(void)pthread_mutex_unlock(&run->lock);
}

void run_waits(struct ahead_run *run, int64_t snapshot)
{
	(void)pthread_mutex_lock(&run->lock);
	if (ahead_waits(run->policy, mono_us(), snapshot))
		wake(run);
	(void)pthread_mutex_unlock(&run->lock);
}

void run_landed(struct ahead_run *run, const struct flight *fl, int err)
{
	int64_t now = mono_us();

	(void)pthread_mutex_lock(&run->lock);
	if (fl->ahead) {
		ahead_done(run->policy, now, fl->snapshot, err, fl->came, now - fl->made_us);
		wake(run);
	} else if (fl->came) {
		ahead_fetched(run->policy, fl->came);
	}
	(void)pthread_mutex_unlock(&run->lock);
}

void run_totals(struct ahead_run *run, struct fetch_totals *add_to)
{
	struct ahead_counts counts;

	(void)pthread_mutex_lock(&run->lock);
	ahead_counts(run->policy, &counts);
	(void)pthread_mutex_unlock(&run->lock);
	add_to->ahead_requests = counts.requests;
	add_to->ahead_bytes = counts.bytes;
	add_to->ahead_used = counts.used;
}

/* ---- life ---- */

static void run_freep(struct ahead_run **p)
{
	*p = run_free(*p);
}

int run_new(struct fetch *f, const struct config *conf, struct ahead_run **ret)
{
	CLEANUP(run_freep) struct ahead_run *run = calloc(1, sizeof(*run));
	uint64_t budget = conf->cache_size / CACHE_PARTS;

	if (!run)
		return -ENOMEM;
	run->f = f;
	(void)pthread_mutex_init(&run->lock, NULL);
	(void)pthread_cond_init(&run->wake, NULL);
	int r = ahead_new(2 * conf->fetch_threads, budget < BUDGET_BYTES ? budget : BUDGET_BYTES,
			  &run->policy);
	if (r == 0)
		r = -pthread_create(&run->thread, NULL, run_thread, run);
	if (r < 0)
		return r;
	run->has_thread = true;
	*ret = TAKE(run);
	return 0;
}

void run_stop(struct ahead_run *run)
{
	(void)pthread_mutex_lock(&run->lock);
	run->ending = true;
	(void)pthread_cond_signal(&run->wake);
	(void)pthread_mutex_unlock(&run->lock);
	if (run->has_thread)
		(void)pthread_join(run->thread, NULL);
	run->has_thread = false;
}

struct ahead_run *run_free(struct ahead_run *run)
{
	if (!run)
		return NULL;
	run->policy = ahead_free(run->policy);
	(void)pthread_cond_destroy(&run->wake);
	(void)pthread_mutex_destroy(&run->lock);
	free(run);
	return NULL;
}
