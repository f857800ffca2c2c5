/* pool.c - a bounded pool of threads for blocking work.  Threads are started when a job finds none
 * free and leave after half a minute without one; whoever leaves joins the one that left before, so
 * none stays unjoined. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "shutterfs/base.h"

enum { IDLE_US = 30000000 };

struct job {
	pool_fn *fn;
	void *arg;
};

struct pool {
	pthread_mutex_t lock; /* over all that follows `slots` */
	pthread_cond_t wake;  /* a job was added, or the pool ends */
	pthread_cond_t left;  /* a thread has left */
	char name[16];
	unsigned max_threads, max_queued, slots;

	struct job *job; /* ring of `slots`, the oldest at `head` */
	unsigned head, n_jobs;
	unsigned n_threads, n_busy; /* busy: running a job; the rest wait or are about to */
	bool ending;
	bool has_last;
	pthread_t last; /* has left, not joined yet */
};

int pool_new(const char *name, unsigned max_threads, unsigned max_queued, struct pool **ret)
{
	CLEANUP(freep) struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (max_threads == 0 || max_queued > UINT32_MAX - max_threads)
		return -EINVAL;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->max_threads = max_threads;
	p->max_queued = max_queued;
	p->slots = max_threads + max_queued;
	p->job = calloc(p->slots, sizeof(*p->job));
	if (!p->job)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->wake, NULL);
	(void)pthread_cond_init(&p->left, NULL);
	*ret = TAKE(p);
	return 0;
}

/* Waits for a job; false: this thread is to leave.  Called and returns with the lock held. */
static bool next_job(struct pool *p, struct job *ret)
{
	int64_t until_us = mono_us() + IDLE_US;

	while (p->n_jobs == 0) {
		if (p->ending)
			return false;
		if (cond_wait_until(&p->wake, &p->lock, until_us) == -ETIMEDOUT && p->n_jobs == 0)
			return false;
	}
	*ret = p->job[p->head];
	p->head = (p->head + 1) % p->slots;
	p->n_jobs--;
	return true;
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct job job;
	pthread_t before;
	bool join;

	(void)pthread_setname_np(pthread_self(), p->name);
	(void)pthread_mutex_lock(&p->lock);
	while (next_job(p, &job)) {
		p->n_busy++;
		(void)pthread_mutex_unlock(&p->lock);
		job.fn(job.arg);
		(void)pthread_mutex_lock(&p->lock);
		p->n_busy--;
	}
	before = p->last;
	join = p->has_last;
	p->last = pthread_self();
	p->has_last = true;
	p->n_threads--;
	(void)pthread_cond_signal(&p->left);
	(void)pthread_mutex_unlock(&p->lock);
	if (join)
		(void)pthread_join(before, NULL);
	return NULL;
}

/* Signals belong to the main thread: a new thread is born with all of them blocked. */
static int start_thread(struct pool *p)
{
	sigset_t all, old;
	pthread_t t;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t, NULL, worker, p);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		p->n_threads++;
	return -r;
}

static int add_job(struct pool *p, pool_fn *fn, void *arg)
{
	unsigned free_threads = p->n_threads - p->n_busy;

	if (p->ending)
		return -ESHUTDOWN;
	if (p->n_jobs >= p->max_threads - p->n_busy + p->max_queued)
		return -EAGAIN;
	if (p->n_jobs >= free_threads && p->n_threads < p->max_threads && start_thread(p) < 0) {
		/* Without a new thread the job waits for those there are, if any. */
		if (p->n_threads == 0 || p->n_jobs >= free_threads + p->max_queued)
			return -EAGAIN;
	}
	p->job[(p->head + p->n_jobs) % p->slots] = (struct job){fn, arg};
	p->n_jobs++;
	(void)pthread_cond_signal(&p->wake);
	return 0;
}

int pool_run(struct pool *p, pool_fn *fn, void *arg)
{
	int r;

	(void)pthread_mutex_lock(&p->lock);
	r = add_job(p, fn, arg);
	(void)pthread_mutex_unlock(&p->lock);
	return r;
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	(void)pthread_mutex_lock(&p->lock);
	p->ending = true;
	(void)pthread_cond_broadcast(&p->wake);
	while (p->n_threads > 0)
		(void)pthread_cond_wait(&p->left, &p->lock);
	(void)pthread_mutex_unlock(&p->lock);
	if (p->has_last)
		(void)pthread_join(p->last, NULL);
	(void)pthread_cond_destroy(&p->left);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->job);
	free(p);
	return NULL;
}
