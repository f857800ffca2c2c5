/* Jobs that run by themselves when they are due. */
#include "sync_private.h"

int64_t turn_look(struct turn *t, pthread_mutex_t *lock, int64_t now, int64_t again_us,
		  struct pool *pool, pool_fn *job, void *arg)
{
	int64_t due;
	bool run;

	pthread_mutex_lock(lock);
	due = t->due_us;
	run = due <= now && !t->running;
	if (run) { /* what is said from here on counts for the next run */
		t->running = true;
		t->due_us = again_us;
	}
	pthread_mutex_unlock(lock);
	if (run && pool_run(pool, job, arg) < 0)
		turn_over(t, lock, due);
	return due > now ? due : again_us;
}

void turn_over(struct turn *t, pthread_mutex_t *lock, int64_t next_us)
{
	pthread_mutex_lock(lock);
	t->running = false;
	if (next_us < t->due_us)
		t->due_us = next_us;
	pthread_mutex_unlock(lock);
}
