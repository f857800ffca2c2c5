/* The outbox on its way to the stores: everything arrives, once, whatever fails in between; and the waiting for it ends. */
#include "test-sync.h"

#define KEY(second) "front/2020/12/31/20201231T15-00-" second "-000000_front.jpg"

static void three_hundred_arrive_once(void **state)
{
	struct town t;
	char why[256];
	int r = 0;

	/* 300 pictures and 300 sidecars, 33 puts that fail: one more would fail for ever */
	town_new(&t, "put=EIO@1-20&put=ECONNRESET@101-103&put=EPROTO@200-209&put=EPROTO@634-", NULL,
		 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 300);
	for (int i = 0; i < 20 && (i == 0 || r == -EIO); i++)
		r = drain(&t, why);
	if (r < 0)
		print_error("%s\n", why);
	ok(r);
	assert_objects(t.root[0], 300, 300);
	ok(drain(&t, why));
	/* confirmed: from the spool into the cache */
	assert_int_equal(cached(&t).spool_files, 0);
	assert_int_equal(cached(&t).cache_files, 300);
	town_end(&t);
}

static void two_stores_and_a_local_one(void **state)
{
	struct town t;
	struct place place[4];
	char why[256];
	struct snap s;
	size_t n;

	town_new(&t, "put=EACCES@1-2", NULL, 2);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 20);
	while (drain(&t, why) < 0)
		assert_non_null(strstr(why, "as scripted"));
	assert_objects(t.root[0], 20, 20);
	assert_objects(t.root[1], 20, 20);
	/* read in place: no copy is kept */
	assert_int_equal(cached(&t).spool_files + cached(&t).cache_files, 0);
	ok(catalog_snap(t.house.cat, 1, &s));
	assert_int_equal(s.replicas, 2);
	assert_int_equal(s.queued, 0);
	ok(catalog_places(t.house.cat, 1, place, 4, &n));
	assert_int_equal(n, 2);
	town_end(&t);
}

static int nothing(void *user, const struct outbox_item *item)
{
	return 0;
}

static void put_as_another_life(struct town *t, unsigned n, const char *key)
{
	char data[PICTURE_MAX];
	size_t len = picture(n, NULL, data);
	struct call c = {0};
	struct store_head head;
	struct hashes h;
	FILE *f = tmpfile();

	assert_int_equal(fwrite(data, 1, len, f), len);
	ok(fflush(f));
	ok(hash_fd(fileno(f), &h));
	ok(store_put(t->slot[0].store, &c, key, fileno(f), len, "image/jpeg", &h.sha, h.md5,
		     &(struct store_meta){.sha = h.sha, .has_sha = true}, &head));
	(void)fclose(f);
}

/* Killed between the store's answer and the row: found there, not sent again. */
static void a_kill_after_the_put_sends_nothing_twice(void **state)
{
	struct town t;
	char why[256];

	town_new(&t, "", NULL, 1);
	upload_many(&t, 0, 3);
	ok(catalog_outbox_claim(t.house.cat, t.slot[0].id, now_us(), 2, nothing, NULL));
	put_as_another_life(&t, 0, KEY("00"));
	put_as_another_life(&t, 1, KEY("01"));
	/* one picture and three sidecars may be put */
	town_restart(&t, "put=EPROTO@5-", NULL);
	ok(sync_start(t.sync));
	ok(drain(&t, why));
	assert_objects(t.root[0], 3, 3);
	assert_int_equal(cached(&t).spool_files, 0);
	town_end(&t);
}

/* A bucket from another life, never listed: the same bytes are recognised, with or without our metadata; others are left alone. */
static void what_is_there_is_not_sent_nor_overwritten(void **state)
{
	struct town t;
	char data[PICTURE_MAX], other[PICTURE_MAX], why[256], path[512];
	size_t len = picture(0, NULL, data), n = picture(7, NULL, other);
	struct buf got = BUF(PICTURE_MAX);

	town_new(&t, "", NULL, 1);
	put_file(&t, 0, KEY("00"), data, len);
	put_file(&t, 0, KEY("01"), other, n);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 2);
	assert_int_equal(drain(&t, why), -EIO);
	assert_non_null(strstr(why, "another object"));
	assert_objects(t.root[0], 2, 1);
	(void)snprintf(path, sizeof(path), "%s/" KEY("01"), t.root[0]);
	ok(read_file(AT_FDCWD, path, PICTURE_MAX, &got));
	assert_memory_equal(got.data, other, n);
	buf_done(&got);
	/* moved away, as it said */
	ok(unlink(path));
	ok(drain(&t, why));
	assert_objects(t.root[0], 2, 2);
	town_end(&t);
}

/* One that was empty when we came is not asked about each picture. */
static void an_empty_store_is_asked_once(void **state)
{
	struct town t;
	char why[256];

	town_new(&t, "head=EPROTO@1-", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 1);
	ok(drain(&t, why));
	upload_many(&t, 1, 5);
	ok(drain(&t, why));
	assert_objects(t.root[0], 6, 6);
	town_end(&t);
}

static int wait_queue_empty(struct town *t, int64_t limit_us)
{
	int64_t end_us = mono_us() + limit_us;
	struct catalog_totals totals;

	while (mono_us() < end_us) {
		struct call c = {0};

		ok(catalog_totals(t->house.cat, &totals));
		if (totals.queue_waiting == 0)
			return 0;
		ok(retry_sleep(&c, 20000));
	}
	return -ETIMEDOUT;
}

static void a_store_that_was_down_is_found_up_again(void **state)
{
	struct town t;
	struct catalog_totals totals;
	char why[256];

	town_new(&t, "put=ECONNREFUSED@1-2&put_hang=0", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 1);
	/* by itself, without anybody asking */
	ok(wait_queue_empty(&t, 20000000));
	upload_many(&t, 1, 5);
	ok(wait_queue_empty(&t, 10000000));
	assert_objects(t.root[0], 6, 6);
	ok(catalog_totals(t.house.cat, &totals));
	assert_int_equal(totals.queue_failed, 0);
	ok(drain(&t, why));
	town_end(&t);
}

static void one_bad_item_blocks_nobody(void **state)
{
	struct town t;
	char why[256], path[256];
	struct snap s;
	char hex[SHA256_HEX];

	town_new(&t, "", NULL, 1);
	upload_many(&t, 0, 30);
	/* its bytes are spoilt on this disk */
	ok(catalog_snap(t.house.cat, 1, &s));
	hex_encode(s.sha.b, 32, hex);
	(void)snprintf(path, sizeof(path), "%s/spool/%.2s/%s", t.house.state, hex, hex);
	int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, "x", 1, 30), 1);
	(void)close(fd);
	ok(sync_start(t.sync));
	assert_int_equal(drain(&t, why), -EIO);
	assert_non_null(strstr(why, "damaged on this disk"));
	assert_objects(t.root[0], 29, 29);
	assert_int_equal(cached(&t).spool_files, 1);
	town_end(&t);
}

/* Temporary names, held sidecars and stores that are no more are nothing to wait for. */
static void waiting_ends(void **state)
{
	struct town t;
	char why[256];
	int64_t began;
	struct target gone = {.layout = LAYOUT};
	struct registration reg = {
		.camera = "back", .taken_us = 1, .size = 9, .target = &gone, .n_targets = 1};
	int64_t id;
	bool new;

	town_new(&t, "", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 1);
	(void)copy_picture(&t.house, 1, ".a.jpg.Xy12ab", 5);
	(void)copy_text(&t.house, 1, "lonely.json", "{\"labels\":[]}");
	/* this one gets a time only by waiting */
	id = copy_picture(&t.house, 1, "late.jpg", 6);
	began = mono_us();
	ok(drain(&t, why));
	assert_true(mono_us() - began < 8000000);
	assert_int_equal(snap_of(&t.house, id).replicas, 1);
	assert_objects(t.root[0], 2, 2);
	ok(catalog_store_id(t.house.cat, "former", &gone.store));
	ok(catalog_register(t.house.cat, &reg, &id, &new));
	assert_int_equal(drain(&t, why), -EIO);
	assert_non_null(strstr(why, "not in the config"));
	ok(sync_drain(t.sync, false, &(struct call){0}, NULL, NULL));
	town_end(&t);
}

static int cancel_it(void *user, uint64_t done, uint64_t total, const char *what)
{
	++*(unsigned *)user;
	return 1;
}

static void a_hung_store_delays_no_other_and_no_end(void **state)
{
	struct town t;
	unsigned told = 0;
	struct catalog_totals totals;
	struct call c = {0};
	char why[256];

	town_new(&t, "head_hang=60&put_hang=60", NULL, 2);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 20);
	for (int i = 0; i < 500; i++) {
		pictures_found = sidecars_found = 0;
		(void)nftw(t.root[1], count_object, 16, FTW_PHYS);
		if (sidecars_found == 20)
			break;
		ok(retry_sleep(&c, 20000));
	}
	assert_objects(t.root[1], 20, 20);
	assert_objects(t.root[0], 0, 0);
	assert_int_equal(sync_drain(t.sync, true, &c, cancel_it, &told), -ECANCELED);
	assert_int_equal(told, 1);
	/* within 5 s (checked), and nothing is forgotten */
	town_restart(&t, "", NULL);
	ok(catalog_totals(t.house.cat, &totals));
	assert_int_equal(totals.queue_waiting, 20);
	ok(sync_start(t.sync));
	ok(wait_queue_empty(&t, 20000000));
	assert_objects(t.root[0], 20, 20);
	ok(drain(&t, why));
	assert_int_equal(cached(&t).spool_files, 0);
	town_end(&t);
}

/* What was closed when a kill came is registered and sent after the start, without anybody touching anything. */
static void a_start_takes_up_what_was_left(void **state)
{
	struct town t;
	char data[PICTURE_MAX], path[128], why[256];
	size_t len = picture(1, NULL, data);
	struct upload_row row = {.name = "20201231_150001.jpg", .mode = 0644};
	int64_t id;

	town_new(&t, "", NULL, 1);
	row.parent = make_dir(&t.house, 0, "front");
	ok(catalog_upload_create(t.house.cat, &row, &id));
	(void)snprintf(path, sizeof(path), "%s/upload/%lld", t.house.state, (long long)id);
	ok(write_file_atomic(AT_FDCWD, path, data, len, 0600));
	town_restart(&t, "", NULL);
	ok(sync_start(t.sync));
	ok(drain(&t, why));
	assert_objects(t.root[0], 1, 1);
	town_end(&t);
}

static void labels_that_come_later_are_sent(void **state)
{
	struct town t;
	char why[256];
	CLEANUP(buf_done) struct buf text = BUF(65536);
	char path[512];

	town_new(&t, "", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 1);
	ok(drain(&t, why));
	(void)copy_text(&t.house, 1, "20201231_150000.json", "{\"labels\":[\"cat\"]}");
	ok(drain(&t, why));
	(void)snprintf(path, sizeof(path),
		       "%s/front/2020/12/31/20201231T15-00-00-000000_front.json", t.root[0]);
	ok(read_file(AT_FDCWD, path, 65536, &text));
	assert_non_null(strstr(text.data, "\"cat\""));
	assert_non_null(strstr(text.data, "\"synced\""));
	assert_objects(t.root[0], 1, 1);
	town_end(&t);
}

static void cameras_keep_their_interval(void **state)
{
	static char name[] = "porch", driver[] = "fault";
	struct town t = {.n = 1};
	const char *rules[] = {""};
	char url[128], jpeg[64], data[PICTURE_MAX];
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct camera_config conf = {.name = name,
				     .title = name,
				     .driver = driver,
				     .url = url,
				     .interval_us = 1000000,
				     .timeout_us = 1000000};
	struct house *h = &t.house;
	struct call c = {0};
	struct camera_row row;

	house_new(h);
	(void)snprintf(jpeg, sizeof(jpeg), "%s/live.jpg", h->dir);
	(void)snprintf(url, sizeof(url), "fault:?jpeg=%s", jpeg);
	ok(write_file_atomic(AT_FDCWD, jpeg, data, picture(1, NULL, data), 0600));
	ok(catalog_open(h->state, &h->cat));
	ok(catalog_camera_ensure(h->cat, name, NULL, NULL, &h->camera[0].id));
	h->cat = catalog_close(h->cat);
	ok(source_new(&conf, &err, &h->camera[0].source));
	h->n_cameras = 1;
	town_open(&t, rules);
	ok(sync_start(t.sync));
	ok(retry_sleep(&c, 2500000));
	assert_in_range(snapshots(h), 2, 4);
	ok(catalog_camera(h->cat, h->camera[0].id, &row));
	assert_true(row.last_capture_us > 0);
	town_end(&t);
	h->camera[0].source = source_free(h->camera[0].source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_hundred_arrive_once),
		cmocka_unit_test(two_stores_and_a_local_one),
		cmocka_unit_test(a_kill_after_the_put_sends_nothing_twice),
		cmocka_unit_test(what_is_there_is_not_sent_nor_overwritten),
		cmocka_unit_test(an_empty_store_is_asked_once),
		cmocka_unit_test(a_store_that_was_down_is_found_up_again),
		cmocka_unit_test(one_bad_item_blocks_nobody),
		cmocka_unit_test(waiting_ends),
		cmocka_unit_test(a_hung_store_delays_no_other_and_no_end),
		cmocka_unit_test(a_start_takes_up_what_was_left),
		cmocka_unit_test(labels_that_come_later_are_sent),
		cmocka_unit_test(cameras_keep_their_interval),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
