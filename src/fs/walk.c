/* See walk.h. */
#include "walk.h"

void walks_init(struct walks *w)
{
	*w = (struct walks){0};
	(void)pthread_mutex_init(&w->lock, NULL);
}

void walks_done(struct walks *w)
{
	(void)pthread_mutex_destroy(&w->lock);
}

static struct walker *place_of(struct walks *w, pid_t pid)
{
	return &w->walker[(unsigned)pid % WALKERS];
}

bool walk_goes_on(struct walks *w, pid_t pid, uint64_t dir)
{
	const struct walker *at = place_of(w, pid);
	bool on;

	(void)pthread_mutex_lock(&w->lock);
	on = pid && at->pid == pid && at->dir && at->dir != dir;
	(void)pthread_mutex_unlock(&w->lock);
	return on;
}

void walk_listed(struct walks *w, pid_t pid, uint64_t dir)
{
	(void)pthread_mutex_lock(&w->lock);
	*place_of(w, pid) = (struct walker){.pid = pid, .dir = dir};
	(void)pthread_mutex_unlock(&w->lock);
}

void walk_asked(struct walks *w, uint64_t dir)
{
	(void)pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < WALKERS; i++)
		if (w->walker[i].dir == dir)
			w->walker[i].dir = 0;
	(void)pthread_mutex_unlock(&w->lock);
}
