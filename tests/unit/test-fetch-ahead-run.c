/* test-fetch-ahead-run.c - read-ahead with a catalog, a cache and a store that takes its time: what is requested, who goes first. */
#include "test-fetch.h"

#define S INT64_C(1000000)

enum { PICTURES = 240 };

static void setup_many(struct world *w, const char *rules, unsigned n)
{
	setup(w, 20 * S, &rules, 1);
	w->f = fetch_free(w->f);
	w->conf.cache_size = 64 << 20;
	for (unsigned i = 1; i <= n; i++)
		put_object(w, 0, i);
	scan(w, 0);
	fetch_begin(w);
}

/* As the file system does it. */
static int read_picture(struct world *w, unsigned n)
{
	CLEANUP(closep) int fd = -1;
	struct snap s = snap_of(w, n);

	fetch_opened(w->f, &s);
	if (fetch_local(w->f, &s, &fd) == 0) {
		check_fd(fd, n);
		return 0;
	}
	return get(w, n);
}

static void settle(struct world *w)
{
	for (int i = 0; i < 2000 && totals(w).in_flight; i++)
		(void)usleep(5000);
	assert_int_equal(totals(w).in_flight, 0);
}

static int64_t read_all(struct world *w, bool told, unsigned step, unsigned n)
{
	int64_t begin = mono_us();

	for (unsigned i = 0; i < n; i++) {
		unsigned which = i * step % PICTURES + 1;

		assert_int_equal(told ? read_picture(w, which) : get(w, which), 0);
	}
	return mono_us() - begin;
}

static void order_is_fetched_ahead(void **state)
{
	struct world w;
	int64_t alone, took;

	setup_many(&w, "get_hang=20ms", PICTURES);
	alone = read_all(&w, false, 1, 40) * PICTURES / 40;
	assert_int_equal(totals(&w).ahead_requests, 0);
	teardown(&w);
	setup_many(&w, "get_hang=20ms", PICTURES);
	took = read_all(&w, true, 1, PICTURES);
	settle(&w);
	print_message("in order: %.1f times as fast\n", (double)alone / (double)took);
	assert_true(took * 3 < alone);
	assert_int_equal(totals(&w).requests, PICTURES); /* each once, whoever asked first */
	assert_int_equal(w.became_local, PICTURES);
	assert_in_range(totals(&w).ahead_requests, PICTURES * 3 / 4, PICTURES - 3);
	/* A reader may come just as his picture is about to be fetched. */
	assert_in_range(totals(&w).ahead_used, totals(&w).ahead_requests,
			totals(&w).ahead_requests + 20);
	assert_in_range(totals(&w).ahead_bytes, 1, totals(&w).bytes);
	assert_int_equal(totals(&w).errors, 0);
	teardown(&w);
}

static void backwards_too(void **state)
{
	struct world w;

	setup_many(&w, "get_hang=20ms", PICTURES);
	(void)read_all(&w, true, PICTURES - 1, PICTURES / 2); /* 1, then the last ones */
	settle(&w);
	assert_true(totals(&w).ahead_used > PICTURES / 4);
	assert_true(totals(&w).requests <= PICTURES);
	teardown(&w);
}

static void to_and_fro_is_warmed(void **state)
{
	struct world w;
	int64_t alone, took;

	setup_many(&w, "get_hang=20ms", PICTURES);
	alone = read_all(&w, false, 101, 40) * PICTURES / 40;
	teardown(&w);
	setup_many(&w, "get_hang=20ms", PICTURES);
	took = read_all(&w, true, 101, PICTURES);
	settle(&w);
	print_message("to and fro: %.1f times as fast\n", (double)alone / (double)took);
	assert_true(took * 3 < alone);
	assert_int_equal(totals(&w).requests, PICTURES);
	assert_true(totals(&w).ahead_used > PICTURES / 2);
	teardown(&w);
}

/* A picture here and there: nothing to learn from. */
static void few_opens_mean_nothing(void **state)
{
	struct world w;

	setup_many(&w, "", PICTURES);
	for (unsigned n = 1; n < PICTURES; n += 40)
		assert_int_equal(read_picture(&w, n), 0);
	settle(&w);
	assert_int_equal(totals(&w).requests, PICTURES / 40);
	assert_int_equal(totals(&w).ahead_requests, 0);
	teardown(&w);
}

static void warm_pictures_are_left_alone(void **state)
{
	struct world w;

	setup_many(&w, "", PICTURES);
	(void)read_all(&w, false, 1, PICTURES);
	uint64_t before = totals(&w).requests;
	(void)read_all(&w, true, 1, PICTURES);
	(void)read_all(&w, true, 101, PICTURES);
	settle(&w);
	assert_int_equal(totals(&w).requests, before);
	teardown(&w);
}

/* The store hangs while pictures are fetched ahead: there is an end to that, and shutting down does not wait for it. */
static void hung_store(void **state)
{
	struct world w;
	int64_t begin;

	setup_many(&w, "get_hang=60@40-", PICTURES);
	for (unsigned n = 1; n <= 20; n++)
		(void)!read_picture(&w, n);
	(void)usleep(300000);
	uint64_t under_way = totals(&w).in_flight;
	for (unsigned n = 100; n < 110; n++) {
		struct snap s = snap_of(&w, n);

		fetch_opened(w.f, &s);
	}
	(void)usleep(100000);
	assert_in_range(totals(&w).in_flight, 0, under_way + 64);
	begin = mono_us();
	teardown(&w);
	assert_true(mono_us() - begin < 5 * S);
}

struct told {
	_Atomic int calls, err;
};

static void note(void *user, int err, int fd, const char *why)
{
	struct told *t = user;

	closep(&fd);
	t->err = err;
	t->calls++;
}

/* A reader's picture does not stand behind those that nobody waits for, whether or not it was among them. */
static void readers_go_first(void **state)
{
	static struct told told[2];
	uint64_t ticket;
	struct world w;

	memset(told, 0, sizeof(told));
	setup_many(&w, "get_hang=1", PICTURES);
	for (unsigned n = 1; n <= 200; n++)
		assert_int_equal(flight_ahead(w.f, snap_of(&w, n).id, true), 0);
	assert_int_equal(flight_ahead(w.f, snap_of(&w, 1).id, true), -EALREADY);
	int64_t begin = mono_us(); /* fourteen seconds of work are queued */
	assert_int_equal(fetch_start(w.f, snap_of(&w, 200).id, note, &told[0], &ticket), 0);
	assert_int_equal(fetch_start(w.f, snap_of(&w, 230).id, note, &told[1], &ticket), 0);
	while ((!told[0].calls || !told[1].calls) && mono_us() - begin < 10 * S)
		(void)usleep(2000);
	assert_true(told[0].calls && told[1].calls && !told[0].err && !told[1].err);
	assert_true(mono_us() - begin < 3 * S);
	teardown(&w);
}

/* What nobody asked for costs nobody his cached pictures. */
static void full_cache_is_not_churned(void **state)
{
	struct cache_totals t;
	struct world w;
	char data[1024];

	setup_many(&w, "", PICTURES);
	w.f = fetch_free(w.f);
	w.cache = cache_free(w.cache);
	uint64_t size = picture(1, data);
	assert_int_equal(cache_new(w.state, w.cache_dir, 30 * size, &w.cache), 0);
	fetch_begin(&w);
	for (unsigned n = 1; n <= 30; n++)
		assert_int_equal(get(&w, n), 0);
	for (unsigned n = 200; n < 200 + 4; n++)
		assert_int_equal(read_picture(&w, n), 0);
	settle(&w);
	cache_totals(w.cache, &t);
	assert_int_equal(totals(&w).ahead_requests, 0);
	assert_int_equal(t.evicted, 4);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_fetched_ahead),
		cmocka_unit_test(backwards_too),
		cmocka_unit_test(to_and_fro_is_warmed),
		cmocka_unit_test(few_opens_mean_nothing),
		cmocka_unit_test(warm_pictures_are_left_alone),
		cmocka_unit_test(hung_store),
		cmocka_unit_test(readers_go_first),
		cmocka_unit_test(full_cache_is_not_churned),
	};

	return cmocka_run_group_tests_name("read-ahead at work", tests, NULL, NULL);
}
