/* test-catalog-outbox.c - what the stores have yet to get: handed out once, taken back after a crash, finished, failed, repeated. */
#include "test-catalog-temp.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER INT64_MAX

struct got {
	struct outbox_item item[16];
	size_t n;
};

static int keep(void *user, const struct outbox_item *item)
{
	struct got *got = user;

	assert_true(got->n < ARRAY_LEN(got->item));
	got->item[got->n++] = *item;
	return 0;
}

static struct got claim(struct temp *t, int64_t store, int64_t now)
{
	struct got got = {0};

	ok(catalog_outbox_claim(t->c, store, now, ARRAY_LEN(got.item), keep, &got));
	return got;
}

static bool finish(struct temp *t, const struct outbox_item *item)
{
	bool settled;

	ok(catalog_outbox_done(t->c, item, "etag", item->snap.size, NOON_US, &settled));
	return settled;
}

static void picture_then_sidecar(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1), due;
	struct place place[4];
	struct sidecar sc;
	struct got got;
	size_t n;

	assert_int_equal(snap_of(t, id).queued, 1);
	ok(catalog_outbox_next(t->c, t->cloud, &due));
	assert_int_equal(due, 0);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].what, OUTBOX_PICTURE);
	assert_int_equal(got.item[0].tries, 0);
	assert_int_equal(got.item[0].snap.id, id);
	assert_int_equal(got.item[0].snap.size, 1001);
	assert_true(got.item[0].snap.has_sha);
	assert_string_equal(got.item[0].key, "front/2020/12/31/20201231T12-00-01-000000_front.jpg");
	assert_int_equal(claim(t, t->cloud, FOREVER).n, 0);
	assert_int_equal(catalog_outbox_next(t->c, t->cloud, &due), -ENOENT);

	assert_true(finish(t, &got.item[0]));
	assert_int_equal(snap_of(t, id).queued, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	ok(catalog_places(t->c, id, place, 4, &n));
	assert_int_equal(n, 1);
	assert_int_equal(place[0].store, t->cloud);
	assert_string_equal(place[0].etag, "etag");
	ok(catalog_sidecar(t->c, id, &sc));
	assert_int_equal(sc.state, STATE_SYNCED);
	assert_int_equal(sc.n_replicas, 1);
	sidecar_done(&sc);

	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].what, OUTBOX_SIDECAR);
	assert_string_equal(got.item[0].key,
			    "front/2020/12/31/20201231T12-00-01-000000_front.json");
	assert_true(finish(t, &got.item[0]));
	assert_int_equal(claim(t, t->cloud, FOREVER).n, 0);
	assert_int_equal(snap_of(t, id).replicas, 1); /* a sidecar is none */
	assert_int_equal(catalog_outbox_done(t->c, &got.item[0], "e", 1, 1, &(bool){false}),
			 -ENOENT);
}

static void held_until_every_store_has_it(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 2);
	struct sha256 sha = sha_of(1), other = sha_of(2);
	struct got cloud = claim(t, t->cloud, 1), attic = claim(t, t->attic, 1);
	bool queued;

	assert_int_equal(cloud.n, 1);
	assert_int_equal(attic.n, 1);
	assert_int_equal(snap_of(t, id).queued, 2);
	assert_true(catalog_sha_needed(t->c, &sha, &queued));
	assert_true(queued);
	assert_false(finish(t, &cloud.item[0]));
	assert_true(catalog_sha_needed(t->c, &sha, &queued));
	assert_true(queued);
	assert_true(finish(t, &attic.item[0]));
	assert_true(catalog_sha_needed(t->c, &sha, &queued));
	assert_false(queued);
	assert_int_equal(snap_of(t, id).replicas, 2);
	assert_false(catalog_sha_needed(t->c, &other, &queued));
	assert_false(queued);
}

/* The same bytes on two cameras are one blob: it is settled with the second of them. */
static void held_by_another_snapshot(void **state)
{
	struct temp *t = *state;
	struct got got;

	(void)add_picture(t, "front", 1, 1);
	(void)add_picture(t, "back", 1, 1);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 2);
	assert_false(finish(t, &got.item[0]));
	assert_true(finish(t, &got.item[1]));
}

static void a_failure_waits_and_says_why(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1), due;
	struct sidecar sc = {.starred = true, .has_starred = true};
	struct target target = {t->cloud, LAYOUT};
	struct got got = claim(t, t->cloud, 1), list = {0};
	struct catalog_totals totals;
	struct store_row row;

	catalog_set_stores(t->c, &target, 1);
	ok(catalog_merge_sidecar(t->c, id, &sc));
	ok(catalog_outbox_failed(t->c, &got.item[0], 5000, "no route\nto host"));
	assert_int_equal(claim(t, t->cloud, 4999).n, 0); /* nor its sidecar */
	ok(catalog_outbox_next(t->c, t->cloud, &due));
	assert_int_equal(due, 5000);
	ok(catalog_outbox_list(t->c, 0, 10, keep, &list));
	assert_int_equal(list.n, 1);
	assert_non_null(strstr(list.item[0].error, "no route"));
	assert_null(strchr(list.item[0].error, '\n'));
	assert_int_equal(list.item[0].tries, 1);
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.queue_waiting, 1);
	assert_int_equal(totals.queue_failed, 1);
	assert_true(totals.queue_oldest_us > 0);
	ok(catalog_store(t->c, t->cloud, true, &row));
	assert_int_equal(row.queued, 1);
	assert_int_equal(row.failed, 1);

	got = claim(t, t->cloud, 5000);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].tries, 1); /* it may have arrived: look first */
	ok(catalog_outbox_failed(t->c, &got.item[0], FOREVER, "still none"));
	ok(catalog_outbox_retry_now(t->c));
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].tries, 2);
	assert_true(finish(t, &got.item[0]));
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.queue_failed, 0);
	assert_int_equal(catalog_outbox_failed(t->c, &got.item[0], 1, "late"), -ENOENT);
}

static void one_bad_item_blocks_nobody(void **state)
{
	struct temp *t = *state;
	struct got got;

	for (unsigned i = 0; i < 3; i++)
		(void)add_picture(t, "front", i, 1);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 3);
	ok(catalog_outbox_failed(t->c, &got.item[0], 100, "bad"));
	(void)finish(t, &got.item[1]);
	(void)finish(t, &got.item[2]);
	got = claim(t, t->cloud, 50);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.item[0].what, OUTBOX_SIDECAR);
	assert_int_equal(got.item[1].what, OUTBOX_SIDECAR);
}

/* What changes while its old version is on its way goes out again. */
static void queued_again_while_under_way(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1);
	struct sidecar sc = {.starred = true, .has_starred = true};
	struct target target = {t->cloud, LAYOUT};
	struct got got = claim(t, t->cloud, 1);

	(void)finish(t, &got.item[0]);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.item[0].what, OUTBOX_SIDECAR);
	catalog_set_stores(t->c, &target, 1);
	ok(catalog_merge_sidecar(t->c, id, &sc));
	assert_int_equal(claim(t, t->cloud, 1).n, 0); /* one at a time */
	(void)finish(t, &got.item[0]);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].what, OUTBOX_SIDECAR);
	(void)finish(t, &got.item[0]);
	assert_int_equal(claim(t, t->cloud, 1).n, 0);
}

static void claims_end_with_the_process(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1);
	struct got got;
	int status;
	pid_t pid;

	t->c = catalog_close(t->c);
	pid = fork();
	if (pid == 0) { /* claims, and dies without a word */
		struct catalog *c;
		struct got mine = {0};

		if (catalog_open(t->dir, &c) < 0 ||
		    catalog_outbox_claim(c, t->cloud, 1, 4, keep, &mine) < 0)
			_exit(1);
		_exit(mine.n == 1 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ok(catalog_open(t->dir, &t->c));
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.item[0].tries, 1);
	assert_int_equal(got.item[0].snap.id, id);
}

static int refuse_third(void *user, const struct outbox_item *item)
{
	int *n = user;

	return ++*n == 3 ? -EAGAIN : 0;
}

static int stop_after_second(void *user, const struct outbox_item *item)
{
	int *n = user;

	return ++*n == 2 ? 1 : 0;
}

static void what_was_not_taken_is_given_again(void **state)
{
	struct temp *t = *state;
	struct got got;
	int n = 0;

	for (unsigned i = 0; i < 5; i++)
		(void)add_picture(t, "front", i, 1);
	assert_int_equal(catalog_outbox_claim(t->c, t->cloud, 1, 5, refuse_third, &n), -EAGAIN);
	got = claim(t, t->cloud, 1);
	assert_int_equal(got.n, 3);
	assert_int_equal(got.item[0].tries, 0);

	for (unsigned i = 5; i < 8; i++)
		(void)add_picture(t, "front", i, 1);
	n = 0;
	assert_int_equal(catalog_outbox_claim(t->c, t->cloud, 1, 5, stop_after_second, &n), 1);
	assert_int_equal(claim(t, t->cloud, 1).n, 1);
}

/* ---- many at once ---- */
enum { MANY = 10000, THREADS = 4 };

struct worker {
	struct temp *t;
	_Atomic unsigned *given; /* per second after noon: how often */
	unsigned n;
};

struct batch {
	struct outbox_item *item;
	size_t n;
	struct worker *w;
};

static int note(void *user, const struct outbox_item *item)
{
	struct batch *b = user;
	size_t i = (size_t)((item->snap.taken_us - NOON_US) / 1000000);

	if (item->what == OUTBOX_PICTURE)
		atomic_fetch_add(&b->w->given[i], 1);
	b->item[b->n++] = *item;
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct batch b = {.item = calloc(200, sizeof(*b.item)), .w = w};

	do {
		b.n = 0;
		ok(catalog_outbox_claim(w->t->c, w->t->cloud, FOREVER, 200, note, &b));
		for (size_t i = 0; i < b.n; i++)
			(void)finish(w->t, &b.item[i]);
		w->n += (unsigned)b.n;
	} while (b.n > 0);
	free(b.item);
	return NULL;
}

static void *fill(void *arg)
{
	struct worker *w = arg;
	const struct target target = {w->t->cloud, LAYOUT};

	for (unsigned i = w->n; i < MANY; i += THREADS) {
		struct registration reg = {
			.camera = "front",
			.taken_us = NOON_US + i * INT64_C(1000000),
			.size = 1,
			.sha = sha_of(i),
			.target = &target,
			.n_targets = 1,
		};
		int64_t id;
		bool new;

		ok(catalog_register(w->t->c, &reg, &id, &new));
	}
	return NULL;
}

static void each_is_given_once(void **state)
{
	struct temp *t = *state;
	_Atomic unsigned *given = calloc(MANY, sizeof(*given));
	struct worker w[THREADS];
	pthread_t thread[THREADS];
	unsigned sum = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.t = t, .given = given, .n = i};
		ok(pthread_create(&thread[i], NULL, fill, &w[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		ok(pthread_join(thread[i], NULL));
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].n = 0;
		ok(pthread_create(&thread[i], NULL, work, &w[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		ok(pthread_join(thread[i], NULL));
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(given[i], 1);
	for (unsigned i = 0; i < THREADS; i++)
		sum += w[i].n;
	/* a worker may have ended while the last sidecars were still to come */
	assert_in_range(sum, MANY, 2 * MANY);
	w[0].n = 0;
	(void)work(&w[0]);
	assert_int_equal(sum + w[0].n, 2 * MANY);
	assert_int_equal(peek(t, "SELECT count(*) FROM outbox"), 0);
	assert_int_equal(peek(t, "SELECT count(*) FROM snapshot WHERE queued = 0 AND replicas = 1"),
			 MANY);
	free(given);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(picture_then_sidecar),        TEST(held_until_every_store_has_it),
		TEST(held_by_another_snapshot),    TEST(a_failure_waits_and_says_why),
		TEST(one_bad_item_blocks_nobody),  TEST(queued_again_while_under_way),
		TEST(claims_end_with_the_process), TEST(what_was_not_taken_is_given_again),
		TEST(each_is_given_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
