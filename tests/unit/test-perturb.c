/* test-perturb.c - see test-perturb.h. */
#include "test-perturb.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define SLEEP_MAX_NS 300000

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __real_pthread_rwlock_unlock(pthread_rwlock_t *l);

int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);

static _Atomic uint64_t seed, threads;

void perturb(uint64_t new_seed)
{
	threads = 0;
	seed = new_seed;
}

static void shake(void)
{
	static _Thread_local uint64_t dice, of;
	uint64_t now = seed;
	int e = errno;

	if (!now)
		return;
	if (of != now) {
		of = now;
		dice = now * UINT64_C(0x9e3779b97f4a7c15) + ++threads;
	}
	dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	switch (dice >> 60) {
	case 0:
		(void)nanosleep(&(struct timespec){.tv_nsec = (long)(dice >> 32) % SLEEP_MAX_NS},
				NULL);
		break;
	case 1:
	case 2:
	case 3:
		(void)sched_yield();
		break;
	default:
		break;
	}
	errno = e;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	shake();
	return __real_pthread_mutex_lock(m);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	int r = __real_pthread_mutex_unlock(m);

	shake();
	return r;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	int r = __real_pthread_cond_wait(c, m);

	shake();
	return r;
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t)
{
	int r = __real_pthread_cond_clockwait(c, m, id, t);

	shake();
	return r;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	shake();
	return __real_pthread_cond_signal(c);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	shake();
	return __real_pthread_rwlock_rdlock(l);
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	int r = __real_pthread_rwlock_unlock(l);

	shake();
	return r;
}
