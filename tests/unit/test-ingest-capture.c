/* Captures: one for all who ask, fresh enough for those who ask a little later, and an answer for everybody whatever happens. */
#include "test-ingest.h"

#include <pthread.h>

struct answers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned n, failed;
	int64_t snapshot;
	char why[256];
};

struct cameras {
	struct house house;
	char jpeg[64], url[2][256], name[2][16];
	struct camera_config conf[2];
	struct answers answers;
};

static void setup(struct cameras *c, const char *fault, int64_t min_interval_us)
{
	static char driver[] = "fault";
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct house *h = &c->house;
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);

	*c = (struct cameras){0};
	pthread_mutex_init(&c->answers.lock, NULL);
	pthread_cond_init(&c->answers.wake, NULL);
	house_new(h);
	(void)snprintf(c->jpeg, sizeof(c->jpeg), "%s/live.jpg", h->dir);
	ok(write_file_atomic(AT_FDCWD, c->jpeg, data, len, 0600));
	ok(catalog_open(h->state, &h->cat));
	for (int i = 0; i < 2; i++) {
		(void)snprintf(c->name[i], sizeof(c->name[i]), "cam%d", i % 10);
		(void)snprintf(c->url[i], sizeof(c->url[i]), "fault:?jpeg=%s%s%s", c->jpeg,
			       i == 0 && fault[0] ? "&" : "", i == 0 ? fault : "");
		c->conf[i] = (struct camera_config){.name = c->name[i],
						    .title = c->name[i],
						    .driver = driver,
						    .url = c->url[i],
						    .min_interval_us = min_interval_us,
						    .timeout_us = 10000000};
		ok(source_new(&c->conf[i], &err, &h->camera[i].source));
		ok(catalog_camera_ensure(h->cat, c->name[i], NULL, NULL, &h->camera[i].id));
	}
	h->n_cameras = 2;
	h->cat = catalog_close(h->cat);
	house_open(h);
}

static void teardown(struct cameras *c)
{
	house_close(&c->house);
	for (int i = 0; i < 2; i++)
		c->house.camera[i].source = source_free(c->house.camera[i].source);
	ok(remove_tree(AT_FDCWD, c->house.dir));
}

static void on_answer(void *user, int err, int64_t snapshot, const char *why)
{
	struct answers *a = user;

	pthread_mutex_lock(&a->lock);
	a->n++;
	a->failed += err < 0;
	if (err == 0) {
		assert_true(a->snapshot == 0 || a->snapshot == snapshot);
		a->snapshot = snapshot;
	}
	(void)snprintf(a->why, sizeof(a->why), "%s", why);
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

static uint64_t ask(struct cameras *c, int camera)
{
	uint64_t ticket = 99;

	ok(ingest_capture(c->house.in, c->house.camera[camera].id, on_answer, &c->answers,
			  &ticket));
	return ticket;
}

static void wait_for(struct cameras *c, unsigned n)
{
	struct answers *a = &c->answers;

	pthread_mutex_lock(&a->lock);
	while (a->n < n)
		pthread_cond_wait(&a->wake, &a->lock);
	assert_int_equal(a->n, n);
	pthread_mutex_unlock(&a->lock);
}

static void ten_askers_are_one_capture(void **state)
{
	struct cameras c;
	struct camera_row row;
	struct snap s;

	setup(&c, "hang=0.3&times=1", 60000000);
	for (int i = 0; i < 10; i++)
		assert_true(ask(&c, 0) != 0);
	wait_for(&c, 10);
	assert_int_equal(c.answers.failed, 0);
	assert_int_equal(snapshots(&c.house), 1);
	/* within its interval: the same again, at once */
	assert_int_equal(ask(&c, 0), 0);
	wait_for(&c, 11);
	ok(catalog_snap(c.house.cat, c.answers.snapshot, &s));
	assert_int_equal(s.time_source, TIME_SOURCE);
	assert_int_equal(s.queued, 1);
	assert_int_equal(s.width, 8);
	assert_true(cache_has(c.house.cache, &s.sha, NULL));
	ok(catalog_camera(c.house.cat, c.house.camera[0].id, &row));
	assert_true(row.last_capture_us > 0);
	assert_string_equal(row.error, "");
	teardown(&c);
}

static void without_interval_each_is_its_own(void **state)
{
	struct cameras c;

	setup(&c, "", 0);
	(void)ask(&c, 0);
	wait_for(&c, 1);
	c.answers.snapshot = 0;
	(void)ask(&c, 0);
	wait_for(&c, 2);
	assert_int_equal(snapshots(&c.house), 2); /* the same bytes, two moments */
	teardown(&c);
}

static void a_failure_answers_everybody(void **state)
{
	struct cameras c;
	struct camera_row row;
	uint64_t ticket;

	setup(&c, "hang=0.2&html=1", 60000000);
	for (int i = 0; i < 3; i++)
		(void)ask(&c, 0);
	wait_for(&c, 3);
	assert_int_equal(c.answers.failed, 3);
	assert_non_null(strstr(c.answers.why, "cam0"));
	ok(catalog_camera(c.house.cat, c.house.camera[0].id, &row));
	assert_int_equal(row.last_capture_us, 0);
	assert_string_equal(row.error, c.answers.why);
	assert_int_equal(snapshots(&c.house), 0);
	assert_int_equal(ingest_capture(c.house.in, 4711, on_answer, &c.answers, &ticket), -ENODEV);
	assert_false(ingest_can_capture(c.house.in, 4711));
	assert_true(ingest_can_capture(c.house.in, c.house.camera[1].id));
	teardown(&c);
}

static void who_leaves_hears_nothing(void **state)
{
	struct cameras c;
	uint64_t a, b;

	setup(&c, "hang=0.3", 0);
	a = ask(&c, 0);
	b = ask(&c, 0);
	assert_true(ingest_capture_cancel(c.house.in, a));
	assert_false(ingest_capture_cancel(c.house.in, a));
	assert_false(ingest_capture_cancel(c.house.in, 0));
	wait_for(&c, 1);
	assert_false(ingest_capture_cancel(c.house.in, b));
	assert_int_equal(snapshots(&c.house), 1);
	teardown(&c);
}

static void a_hung_camera_delays_nobody_and_no_shutdown(void **state)
{
	struct cameras c;
	int64_t began = mono_us();
	struct camera_row row;

	setup(&c, "hang=60", 0);
	(void)ask(&c, 0);
	(void)ask(&c, 0);
	(void)ask(&c, 1);
	wait_for(&c, 1);
	assert_int_equal(c.answers.failed, 0);
	c.house.in = ingest_free(c.house.in);
	wait_for(&c, 3);
	assert_int_equal(c.answers.failed, 2);
	assert_true(mono_us() - began < 3000000);
	ok(catalog_camera(c.house.cat, c.house.camera[0].id, &row));
	assert_string_equal(row.error, "");
	teardown(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_askers_are_one_capture),
		cmocka_unit_test(without_interval_each_is_its_own),
		cmocka_unit_test(a_failure_answers_everybody),
		cmocka_unit_test(who_leaves_hears_nothing),
		cmocka_unit_test(a_hung_camera_delays_nobody_and_no_shutdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
