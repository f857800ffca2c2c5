/* test-clock.c - see test-clock.h.
 *
 * A timed wait is an untimed one on the same condition; the driver wakes it when its time has come, again and again until it is
 * seen off the list, for it may have been a moment short of waiting.  Who was woken is at work from then on, whenever he runs: a
 * signal wakes one of those who wait, and whoever comes off the list first was the one.  Who waits for a mutex, a thread's end, a
 * file or another process is at work, too. */
#include "test-clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_NS 100000
#define NS INT64_C(1000000000)

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t);
int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

struct waiter { /* on the stack of who waits */
	struct waiter *next, **at;
	pthread_cond_t *cond;
	int64_t until_ns; /* monotonic; INT64_MAX: for no time */
	bool woken;
};

static struct {
	pthread_mutex_t lock; /* over all that follows */
	bool on;
	unsigned threads, waiting; /* waiting: without those that were woken */
	struct waiter *first;
} house = {.lock = PTHREAD_MUTEX_INITIALIZER};
static _Atomic int64_t ahead_ns; /* of the machine's clocks */

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * NS + t->tv_nsec;
}

static int64_t now_ns(clockid_t id)
{
	struct timespec t;

	(void)__real_clock_gettime(id, &t);
	return ns_of(&t) + ahead_ns;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t now;

	if (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ret);
	now = now_ns(id);
	*ret = (struct timespec){.tv_sec = now / NS, .tv_nsec = now % NS};
	return 0;
}

/* ---- who waits ---- */

static bool begin(struct waiter *w)
{
	(void)pthread_mutex_lock(&house.lock);
	bool on = house.on;
	if (on) {
		w->at = &house.first;
		w->next = house.first;
		if (w->next)
			w->next->at = &w->next;
		house.first = w;
		house.waiting++;
	}
	(void)pthread_mutex_unlock(&house.lock);
	return on;
}

/* With the lock: one of those who wait for it, or all. */
static void wake(const pthread_cond_t *c, bool all)
{
	for (struct waiter *w = house.first; w; w = w->next) {
		if (w->cond != c || w->woken)
			continue;
		w->woken = true;
		house.waiting--;
		if (!all)
			break;
	}
}

static void end(struct waiter *w)
{
	(void)pthread_mutex_lock(&house.lock);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	for (struct waiter *other = house.first; other && !w->woken; other = other->next) {
		if (other->cond == w->cond && other->woken) { /* not he, then */
			other->woken = false;
			w->woken = true; /* as many wait as before */
		}
	}
	house.waiting -= !w->woken;
	(void)pthread_mutex_unlock(&house.lock);
}

static void wake_locked(const pthread_cond_t *c, bool all)
{
	(void)pthread_mutex_lock(&house.lock);
	wake(c, all);
	(void)pthread_mutex_unlock(&house.lock);
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	wake_locked(c, false);
	return __real_pthread_cond_signal(c);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	wake_locked(c, true);
	return __real_pthread_cond_broadcast(c);
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	struct waiter w = {.cond = c, .until_ns = INT64_MAX};
	bool on = begin(&w);
	int r = __real_pthread_cond_wait(c, m);

	if (on)
		end(&w);
	return r;
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id,
				  const struct timespec *t)
{
	struct waiter w = {.cond = c, .until_ns = ns_of(t) - now_ns(id) + now_ns(CLOCK_MONOTONIC)};
	int r;

	if (!begin(&w))
		return __real_pthread_cond_clockwait(c, m, id, t);
	r = __real_pthread_cond_wait(c, m);
	end(&w);
	return r == 0 && now_ns(id) >= ns_of(t) ? ETIMEDOUT : r;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct waiter w = {.cond = &c, .until_ns = now_ns(CLOCK_MONOTONIC) + ns_of(t)};

	if (!begin(&w))
		return __real_nanosleep(t, left);
	(void)pthread_mutex_lock(&m);
	while (now_ns(CLOCK_MONOTONIC) < w.until_ns)
		(void)__real_pthread_cond_wait(&c, &m);
	(void)pthread_mutex_unlock(&m);
	end(&w);
	return 0;
}

/* ---- threads ---- */

struct birth {
	void *(*fn)(void *);
	void *arg;
};

static void count_thread(int by)
{
	(void)pthread_mutex_lock(&house.lock);
	house.threads += (unsigned)by;
	(void)pthread_mutex_unlock(&house.lock);
}

static void *live(void *arg)
{
	struct birth b = *(struct birth *)arg;

	free(arg);
	void *ret = b.fn(b.arg);
	count_thread(-1);
	return ret;
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	struct birth *b = malloc(sizeof(*b));
	int r;

	if (!b)
		return EAGAIN;
	*b = (struct birth){fn, arg};
	count_thread(1);
	r = __real_pthread_create(ret, attr, live, b);
	if (r) {
		count_thread(-1);
		free(b);
	}
	return r;
}

/* ---- the driver; with the lock ---- */

/* Wakes whose time has come; returns the first time beyond that which somebody waits for. */
static int64_t wake_due(int64_t now)
{
	int64_t next = INT64_MAX;

	for (struct waiter *w = house.first; w; w = w->next) {
		if (w->until_ns <= now) {
			wake(w->cond, true);
			(void)__real_pthread_cond_broadcast(w->cond);
		} else if (w->until_ns < next) {
			next = w->until_ns;
		}
	}
	return next;
}

static void *drive(void *arg)
{
	static const struct timespec pause = {.tv_nsec = LOOK_NS};

	for (;;) {
		(void)__real_nanosleep(&pause, NULL);
		(void)pthread_mutex_lock(&house.lock);
		int64_t now = now_ns(CLOCK_MONOTONIC), next = wake_due(now);
		if (house.waiting == house.threads && next != INT64_MAX) {
			ahead_ns += next - now;
			(void)wake_due(next);
		}
		(void)pthread_mutex_unlock(&house.lock);
	}
	return NULL;
}

void clock_start(void)
{
	pthread_t t;

	house.threads = 1;
	house.on = true;
	if (__real_pthread_create(&t, NULL, drive, NULL) != 0)
		abort();
	(void)pthread_detach(t);
}
