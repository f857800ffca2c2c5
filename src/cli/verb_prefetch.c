/* verb_prefetch.c - `prefetch PATH...`: the pictures at and below these paths into the cache, many at a time.
 *
 * Counted first, for the bar; then fetched by a pool.  `lock` guards the counters and the number under way. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILURES_SAID = 20, LOOK_US = 1000000 };

struct prefetch {
	struct app *app;
	struct io *io;
	struct pool *pool;
	unsigned width; /* most under way */
	pthread_mutex_t lock;
	pthread_cond_t one_done;
	unsigned under_way;
	struct progress p;
	uint64_t local, fetched;
};

struct job {
	struct prefetch *pf;
	struct snap snap;
};

static int count_one(void *user, const struct snap *s)
{
	struct prefetch *pf = user;

	pf->p.total++;
	return io_cancelled(pf->io) ? -ECANCELED : 0;
}

static int count_selection(void *user, const struct selection *s)
{
	struct prefetch *pf = user;

	return selection_each(pf->app, s, count_one, pf);
}

/* In a worker. */
static void fetch_one(void *arg)
{
	CLEANUP(freep) struct job *job = arg;
	CLEANUP(closep) int fd = -1;
	struct prefetch *pf = job->pf;
	struct call c = io_call(pf->io, 0);
	int r = fetch_wait(pf->app->fetch, job->snap.id, &c, &fd);

	pthread_mutex_lock(&pf->lock);
	pf->p.done++;
	(void)snprintf(pf->p.what, sizeof(pf->p.what), "%s", job->snap.stem);
	if (r == 0) {
		pf->fetched++;
		pf->p.bytes += job->snap.size;
	} else if (r != -ECANCELED && pf->p.failed++ < FAILURES_SAID) {
		io_err(pf->io, "%s: %s", job->snap.stem, c.why[0] ? c.why : strerror(-r));
	}
	pf->under_way--;
	(void)pthread_cond_signal(&pf->one_done);
	pthread_mutex_unlock(&pf->lock);
}

/* Under the lock; looks up now and then, so that the bar moves and Ctrl-C is heard. */
static void wait_until_below(struct prefetch *pf, unsigned limit)
{
	while (pf->under_way >= limit) {
		io_progress(pf->io, &pf->p);
		(void)cond_wait_until(&pf->one_done, &pf->lock, mono_us() + LOOK_US);
	}
}

static int begin_one(void *user, const struct snap *s)
{
	struct prefetch *pf = user;
	CLEANUP(freep) struct job *job = malloc(sizeof(*job));
	bool local = fetch_is_local(pf->app->fetch, s);
	int r = job ? 0 : -ENOMEM;

	if (io_cancelled(pf->io))
		return -ECANCELED;
	if (r < 0)
		return r;
	*job = (struct job){pf, *s};
	pthread_mutex_lock(&pf->lock);
	if (local) {
		pf->local++;
		pf->p.done++;
		io_progress(pf->io, &pf->p);
	} else {
		wait_until_below(pf, pf->width);
		pf->under_way++;
	}
	pthread_mutex_unlock(&pf->lock);
	if (local)
		return 0;
	r = pool_run(pf->pool, fetch_one, job);
	if (r == 0) {
		(void)TAKE(job);
		return 0;
	}
	pthread_mutex_lock(&pf->lock);
	pf->under_way--; /* no job will */
	pthread_mutex_unlock(&pf->lock);
	return r;
}

static int begin_selection(void *user, const struct selection *s)
{
	struct prefetch *pf = user;

	return selection_each(pf->app, s, begin_one, pf);
}

/* A path that is not there is said, and the others go on. */
static int each_operand(struct prefetch *pf, const struct args *args, selection_fn *fn, bool say,
			bool *ret_missing)
{
	for (size_t i = 0; i < args->n_operands; i++) {
		int r = tree_path_each(pf->app, args->operand[i], fn, pf);

		if (r == -ENOENT || r == -EINVAL) {
			if (say)
				io_err(pf->io, "prefetch: there is no %s in the tree",
				       args->operand[i] + strspn(args->operand[i], "/"));
			*ret_missing = true;
		} else if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int run(struct prefetch *pf, const struct args *args, bool *ret_missing)
{
	int r = each_operand(pf, args, count_selection, true, ret_missing);

	if (r == 0)
		r = pool_new("prefetch", pf->width, pf->width, &pf->pool);
	if (r == 0)
		r = each_operand(pf, args, begin_selection, false, ret_missing);
	pthread_mutex_lock(&pf->lock);
	wait_until_below(pf, 1);
	pthread_mutex_unlock(&pf->lock);
	pf->pool = pool_free(pf->pool);
	return r;
}

static void say_end(const struct prefetch *pf, double seconds)
{
	char size[SIZE_TEXT];

	size_text(pf->p.bytes, size);
	io_out(pf->io,
	       "%" PRIu64 " fetched (%s in %.1f s), %" PRIu64 " were here already, %" PRIu64
	       " failed",
	       pf->fetched, size, seconds, pf->local, pf->p.failed);
}

int verb_prefetch(struct app *app, struct io *io, const struct args *args)
{
	struct prefetch pf = {.app = app, .io = io, .width = app->conf->fetch_threads};
	int64_t began = mono_us();
	bool missing = false;
	int r;

	(void)pthread_mutex_init(&pf.lock, NULL);
	(void)pthread_cond_init(&pf.one_done, NULL);
	r = run(&pf, args, &missing);
	(void)pthread_cond_destroy(&pf.one_done);
	(void)pthread_mutex_destroy(&pf.lock);
	io_bar_clear(io);
	if (r < 0 || io_cancelled(io))
		io_err(io, "prefetch: %s", io_cancelled(io) ? "cancelled" : strerror(-r));
	say_end(&pf, (double)(mono_us() - began) / 1e6);
	return r < 0 || missing || pf.p.failed || io_cancelled(io) ? EXIT_FAILED : EXIT_DONE;
}
