/* test-fetch-flight.c - many readers: one flight per snapshot, tickets, deadlines, cancelling, shutting down. */
#include "test-fetch.h"

#include <pthread.h>

#define S INT64_C(1000000)

struct answer {
	_Atomic int calls, err;
	_Atomic int fd;
};

static void note(void *user, int err, int fd, const char *why)
{
	struct answer *a = user;

	a->err = err;
	a->fd = fd;
	a->calls++; /* last: whoever waits for it may read the others */
}

static bool answered(struct answer *a, int64_t within_us)
{
	for (int64_t end = mono_us() + within_us; mono_us() < end;) {
		if (a->calls)
			return true;
		(void)usleep(2000);
	}
	return false;
}

static void many_readers_one_request(void **state)
{
	static struct answer a[64];
	uint64_t ticket[64];
	struct world w;

	memset(a, 0, sizeof(a));
	setup_one(&w, 10 * S, "get_hang=1@1");
	int64_t id = snap_of(&w, 1).id;
	for (int i = 0; i < 64; i++)
		assert_int_equal(fetch_start(w.f, id, note, &a[i], &ticket[i]), 0);
	assert_int_equal(totals(&w).in_flight, 1);
	for (int i = 0; i < 64; i++) {
		int fd;

		assert_true(answered(&a[i], 5 * S));
		assert_int_equal(a[i].err, 0);
		fd = a[i].fd;
		check_fd(fd, 1);
		closep(&fd); /* each has its own */
		assert_int_equal(a[i].calls, 1);
		assert_false(fetch_cancel(w.f, ticket[i]));
	}
	assert_int_equal(totals(&w).requests, 1);
	assert_int_equal(totals(&w).in_flight, 0);
	teardown(&w);
}

static void a_hanging_store_delays_only_its_readers(void **state)
{
	const char *rules[] = {"get_hang=60", ""};
	static struct answer a[40];
	uint64_t ticket;
	struct world w;

	memset(a, 0, sizeof(a));
	setup(&w, 30 * S, rules, 2);
	for (unsigned n = 0; n < 40; n++) {
		put_object(&w, 0, n);
		put_object(&w, 1, 100 + n);
	}
	scan(&w, 0);
	scan(&w, 1);
	for (unsigned n = 0; n < 40; n++)
		assert_int_equal(fetch_start(w.f, snap_of(&w, n).id, note, &a[n], &ticket), 0);
	int64_t begin = mono_us();
	for (unsigned n = 0; n < 40; n++)
		assert_int_equal(get(&w, 100 + n), 0);
	assert_true(mono_us() - begin < 5 * S);
	assert_int_equal(totals(&w).in_flight, 40);
	begin = mono_us();
	w.f = fetch_free(w.f); /* ends them all */
	assert_true(mono_us() - begin < 3 * S);
	for (unsigned n = 0; n < 40; n++) {
		assert_int_equal(a[n].calls, 1);
		assert_int_equal(a[n].err, -ECANCELED);
	}
	teardown(&w);
}

/* What was asked for is away, but a scan knows already what is there instead. */
static void replaced_while_it_is_asked_for(void **state)
{
	static struct answer a;
	uint64_t ticket;
	struct world w;

	setup_one(&w, 20 * S, "get_hang=1@1");
	int64_t id = snap_of(&w, 1).id;
	assert_int_equal(fetch_start(w.f, id, note, &a, &ticket), 0);
	while (totals(&w).requests == 0)
		(void)usleep(2000);
	put_object(&w, 0, 1);
	scan(&w, 0);
	assert_true(answered(&a, 10 * S));
	assert_int_equal(a.err, 0);
	int fd = a.fd;
	check_fd(fd, 1);
	closep(&fd);
	assert_int_equal(snap_of(&w, 1).replicas, 1);
	assert_int_equal(w.stale[0], 0);
	assert_int_equal(totals(&w).requests, 2);
	teardown(&w);
}

/* Each waits as long as it said, however old the flight is that it joined. */
static void each_reader_has_its_own_deadline(void **state)
{
	static struct answer a, b;
	uint64_t ticket;
	int64_t begin;
	struct world w;

	setup_one(&w, 2 * S, "get_hang=60");
	int64_t id = snap_of(&w, 1).id;
	begin = mono_us();
	assert_int_equal(fetch_start(w.f, id, note, &a, &ticket), 0);
	(void)usleep(1200000);
	assert_int_equal(fetch_start(w.f, id, note, &b, &ticket), 0);
	assert_true(answered(&a, 2 * S));
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_true(mono_us() - begin < 3 * S);
	assert_int_equal(b.calls, 0);
	assert_true(answered(&b, 3 * S));
	assert_int_equal(b.err, -ETIMEDOUT);
	assert_true(mono_us() - begin >= 3 * S);
	teardown(&w);
}

static void cancelling(void **state)
{
	static struct answer a, b, none;
	uint64_t ticket, other;
	struct world w;

	setup_one(&w, 20 * S, "get_hang=1@1");
	int64_t id = snap_of(&w, 1).id;
	assert_int_equal(fetch_start(w.f, id, note, &none, &ticket), 0);
	assert_int_equal(fetch_start(w.f, id, note, &a, &other), 0);
	assert_true(ticket != other);
	assert_true(fetch_cancel(w.f, ticket));
	assert_false(fetch_cancel(w.f, ticket));
	assert_false(fetch_cancel(w.f, 0));
	assert_true(answered(&a, 5 * S));
	assert_int_equal(a.err, 0);
	int fd = a.fd;
	closep(&fd);
	/* The last one leaves after it began: its bytes come all the same. */
	struct snap s = snap_of(&w, 1);
	assert_int_equal(cache_drop(w.cache, &s.sha, BLOB_CACHE), 0);
	w.f = fetch_free(w.f);
	w.slot[0].store = store_free(w.slot[0].store);
	CLEANUP(buf_done) struct buf err = BUF(4096);
	assert_int_equal(store_new(&w.store_conf[0], &err, &w.slot[0].store), 0);
	fetch_begin(&w);
	assert_int_equal(fetch_start(w.f, id, note, &b, &ticket), 0);
	while (!totals(&w).requests)
		(void)usleep(2000);
	assert_true(fetch_cancel(w.f, ticket));
	for (int i = 0; i < 1000 && totals(&w).in_flight; i++)
		(void)usleep(5000);
	assert_true(cache_has(w.cache, &s.sha, NULL));
	assert_int_equal(b.calls + none.calls, 0);
	teardown(&w);
}

static void blocking_wait_obeys_its_call(void **state)
{
	static _Atomic bool cancel = true;
	struct world w;
	int fd = -1;

	setup_one(&w, 20 * S, "get_hang=60");
	int64_t id = snap_of(&w, 1).id, begin = mono_us();
	struct call c = {.deadline_us = begin + S / 2};
	assert_int_equal(fetch_wait(w.f, id, &c, &fd), -ETIMEDOUT);
	assert_true(c.why[0] && mono_us() - begin >= S / 2 && mono_us() - begin < 2 * S);
	c = (struct call){.cancel = &cancel};
	begin = mono_us();
	assert_int_equal(fetch_wait(w.f, id, &c, &fd), -ECANCELED);
	assert_true(mono_us() - begin < S);
	assert_int_equal(fd, -1);
	teardown(&w);
}

static void waiters_are_bounded(void **state)
{
	static struct answer a;
	unsigned started = 0;
	uint64_t ticket;
	struct world w;
	int r;

	setup_one(&w, 60 * S, "get_hang=60");
	int64_t id = snap_of(&w, 1).id;
	while ((r = fetch_start(w.f, id, note, &a, &ticket)) == 0)
		started++;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(started, FLIGHTS_MAX);
	assert_true(fetch_cancel(w.f, ticket));
	assert_int_equal(fetch_start(w.f, id, note, &a, &ticket), 0);
	w.f = fetch_free(w.f);
	assert_int_equal(a.calls, FLIGHTS_MAX);
	assert_int_equal(a.err, -ECANCELED);
	teardown(&w);
}

struct crowd {
	struct world *w;
	const int64_t *id;
	unsigned seed;
	_Atomic unsigned told, left, *failed;
};

static void crowd_note(void *user, int err, int fd, const char *why)
{
	struct crowd *c = user;

	closep(&fd);
	if (err)
		(*c->failed)++;
	c->told++;
}

/* Starts, joins, cancels and drops what was cached, all at once. */
static void *crowd_run(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 300; i++) {
		int64_t id = c->id[(unsigned)rand_r(&c->seed) % 10];
		struct snap s;
		uint64_t ticket;

		if (fetch_start(c->w->f, id, crowd_note, c, &ticket) < 0)
			abort();
		if (rand_r(&c->seed) % 3 == 0)
			c->left += fetch_cancel(c->w->f, ticket);
		if (rand_r(&c->seed) % 4 == 0 && catalog_snap(c->w->catalog, id, &s) == 0 &&
		    s.has_sha)
			(void)!cache_drop(c->w->cache, &s.sha, BLOB_CACHE);
	}
	for (int i = 0; i < 4000 && c->told + c->left < 300; i++)
		(void)usleep(5000);
	return NULL;
}

static void everybody_is_told_once(void **state)
{
	const char *rules[] = {"get=EIO@7&get=EIO@20&truncate=3@30", ""};
	static struct crowd c[8];
	_Atomic unsigned failed = 0;
	pthread_t thread[8];
	int64_t id[10];
	struct world w;

	setup(&w, 30 * S, rules, 2);
	for (unsigned n = 0; n < 10; n++) {
		put_object(&w, n % 2, n);
		put_object(&w, 1, n);
	}
	scan(&w, 0);
	scan(&w, 1);
	for (unsigned n = 0; n < 10; n++)
		id[n] = snap_of(&w, n).id;
	for (unsigned i = 0; i < 8; i++) {
		c[i] = (struct crowd){.w = &w, .id = id, .seed = i + 1, .failed = &failed};
		assert_int_equal(pthread_create(&thread[i], NULL, crowd_run, &c[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(c[i].told + c[i].left, 300);
	assert_int_equal(failed, 0);
	for (int i = 0; i < 1000 && totals(&w).in_flight; i++)
		(void)usleep(5000);
	assert_int_equal(totals(&w).in_flight, 0);
	assert_int_equal(w.f->n_waiters, 0);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_readers_one_request),
		cmocka_unit_test(a_hanging_store_delays_only_its_readers),
		cmocka_unit_test(replaced_while_it_is_asked_for),
		cmocka_unit_test(each_reader_has_its_own_deadline),
		cmocka_unit_test(cancelling),
		cmocka_unit_test(blocking_wait_obeys_its_call),
		cmocka_unit_test(waiters_are_bounded),
		cmocka_unit_test(everybody_is_told_once),
	};

	return cmocka_run_group_tests_name("fetch flights", tests, NULL, NULL);
}
