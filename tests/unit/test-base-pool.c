/* test-base-pool.c - the pool runs every job it took, once, within its bounds, and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { JOBS = 2000 };

static _Atomic unsigned n_done, n_running, most_running;

static void count(void *arg)
{
	unsigned now = ++n_running, most = most_running;

	while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	if (arg)
		(void)usleep(1000);
	n_running--;
	n_done++;
}

/* Jobs that wait here until the gate opens. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void *arg)
{
	n_running++;
	(void)pthread_mutex_lock(&gate);
	(void)pthread_mutex_unlock(&gate);
	n_running--;
	n_done++;
}

static void until_running(unsigned n)
{
	int64_t deadline = mono_us() + 10 * 1000000;

	while (n_running < n && mono_us() < deadline)
		(void)usleep(500);
	assert_int_equal(n_running, n);
}

static int reset(void **state)
{
	n_done = n_running = most_running = 0;
	return 0;
}

static void all_jobs_run_on_few_threads(void **state)
{
	struct pool *p = NULL;
	unsigned i;

	assert_int_equal(pool_new("many", 4, JOBS, &p), 0);
	for (i = 0; i < JOBS; i++)
		assert_int_equal(pool_run(p, count, i % 20 ? NULL : p), 0);
	assert_null(pool_free(p)); /* runs what is queued */
	assert_int_equal(n_done, JOBS);
	assert_in_range(most_running, 1, 4);
}

static void a_full_pool_says_so(void **state)
{
	struct pool *p = NULL;

	assert_int_equal(pool_new("full", 2, 1, &p), 0);
	(void)pthread_mutex_lock(&gate);
	/* Two run and one waits, however fast they are handed over. */
	assert_int_equal(pool_run(p, wait_at_gate, NULL), 0);
	assert_int_equal(pool_run(p, wait_at_gate, NULL), 0);
	assert_int_equal(pool_run(p, wait_at_gate, NULL), 0);
	assert_int_equal(pool_run(p, wait_at_gate, NULL), -EAGAIN);
	until_running(2);
	assert_int_equal(pool_run(p, wait_at_gate, NULL), -EAGAIN);
	(void)pthread_mutex_unlock(&gate);
	p = pool_free(p);
	assert_int_equal(n_done, 3);
}

static void no_queue_means_a_thread_or_nothing(void **state)
{
	struct pool *p = NULL;
	int64_t deadline = mono_us() + 10 * 1000000;

	assert_int_equal(pool_new("direct", 1, 0, &p), 0);
	(void)pthread_mutex_lock(&gate);
	assert_int_equal(pool_run(p, wait_at_gate, NULL), 0);
	assert_int_equal(pool_run(p, count, NULL), -EAGAIN);
	(void)pthread_mutex_unlock(&gate);
	/* Its thread is used again. */
	while (pool_run(p, count, NULL) == -EAGAIN && mono_us() < deadline)
		(void)usleep(500);
	p = pool_free(p);
	assert_int_equal(n_done, 2);
}

static void look_at_thread(void *arg)
{
	char *name = arg;
	sigset_t blocked;

	(void)pthread_getname_np(pthread_self(), name, 16);
	(void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGINT))
		memcpy(name, "signals", 8);
}

static void threads_have_a_name_and_no_signals(void **state)
{
	struct pool *p = NULL;
	sigset_t blocked;
	char name[16] = "";

	assert_int_equal(pool_new("a-name-that-is-too-long", 1, 1, &p), 0);
	assert_int_equal(pool_run(p, look_at_thread, name), 0);
	p = pool_free(p);
	assert_string_equal(name, "a-name-that-is-");
	(void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	assert_false(sigismember(&blocked, SIGTERM));
}

struct ending {
	struct pool *p;
	int r;
};

static void add_late(void *arg)
{
	struct ending *e = arg;

	do {
		(void)usleep(1000);
		e->r = pool_run(e->p, count, NULL);
	} while (e->r == 0);
}

static void an_ending_pool_takes_nothing(void **state)
{
	struct ending e = {NULL, 0};

	assert_int_equal(pool_new("ends", 2, 100000, &e.p), 0);
	assert_int_equal(pool_run(e.p, add_late, &e), 0);
	(void)pool_free(e.p);
	assert_int_equal(e.r, -ESHUTDOWN);
}

static void bounds_are_checked(void **state)
{
	struct pool *p = NULL;

	assert_int_equal(pool_new("none", 0, 1, &p), -EINVAL);
	assert_null(p);
	assert_null(pool_free(NULL));
	assert_int_equal(pool_new("unused", 8, 8, &p), 0);
	assert_null(pool_free(p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_jobs_run_on_few_threads, reset),
		cmocka_unit_test_setup(a_full_pool_says_so, reset),
		cmocka_unit_test_setup(no_queue_means_a_thread_or_nothing, reset),
		cmocka_unit_test_setup(threads_have_a_name_and_no_signals, reset),
		cmocka_unit_test_setup(an_ending_pool_takes_nothing, reset),
		cmocka_unit_test_setup(bounds_are_checked, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
