/* test-fetch.c - where bytes come from: local ones first, then the stores in order; never wrong ones, whatever a store does. */
#include "test-fetch.h"

#define S INT64_C(1000000)

static void spooled_bytes_need_no_store(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct registration reg = {.camera = "front", .taken_us = T0};
	struct blob_writer *b;
	struct snap s;
	char data[1024];
	struct world w;
	int64_t id;
	bool is_new;

	setup(&w, S, NULL, 0);
	reg.size = picture(1, data);
	reg.sha = (struct sha256){{1, 2, 3}};
	assert_int_equal(catalog_register(w.catalog, &reg, &id, &is_new), 0);
	assert_int_equal(catalog_snap(w.catalog, id, &s), 0);
	assert_int_equal(fetch_local(w.f, &s, &fd), -ENODATA);
	assert_false(fetch_is_local(w.f, &s));
	assert_int_equal(get(&w, 0), -ESTALE); /* nobody has it */
	assert_int_equal(blob_begin(w.cache, BLOB_SPOOL, reg.size, &b), 0);
	assert_int_equal(blob_write(b, data, reg.size), 0);
	assert_int_equal(blob_commit(b, &reg.sha, false, NULL), 0);
	assert_int_equal(fetch_local(w.f, &s, &fd), 0);
	check_fd(fd, 1);
	assert_true(fetch_is_local(w.f, &s));
	assert_int_equal(totals(&w).hits, 1);
	assert_int_equal(totals(&w).requests, 0);
	teardown(&w);
}

static void cold_picture_is_got_once(void **state)
{
	CLEANUP(closep) int fd = -1;
	char data[1024];
	struct snap s;
	struct world w;

	setup_one(&w, 10 * S, "");
	s = snap_of(&w, 1);
	assert_false(s.has_sha);
	assert_false(fetch_is_local(w.f, &s));
	assert_int_equal(fetch_local(w.f, &s, &fd), -ENODATA);
	assert_int_equal(totals(&w).requests, 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 1);
	assert_int_equal(totals(&w).bytes, picture(1, data));
	assert_int_equal(totals(&w).errors, 0);
	assert_int_equal(totals(&w).in_flight, 0);
	assert_int_equal(w.became_local, 1);
	s = snap_of(&w, 1); /* the catalog learnt what it is */
	assert_true(s.has_sha && s.width && s.height);
	assert_true(fetch_is_local(w.f, &s));
	assert_int_equal(fetch_local(w.f, &s, &fd), 0);
	check_fd(fd, 1);
	/* The cache outlives us; without it there is the store. */
	w.f = fetch_free(w.f);
	fetch_begin(&w);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 0);
	assert_int_equal(cache_drop(w.cache, &s.sha, BLOB_CACHE), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 1);
	teardown(&w);
}

static void passing_failures_are_not_seen(void **state)
{
	static const char *const rules[] = {"get=EIO@1-2",        "get=EAGAIN@1-2",
					    "get=ECONNRESET@1-2", "get=ETIMEDOUT@1-2",
					    "truncate=9@1-2",     "flip=0@1-2"};
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		setup_one(&w, 20 * S, rules[i]);
		assert_int_equal(get(&w, 1), 0);
		assert_int_equal(totals(&w).requests, 3);
		assert_int_equal(totals(&w).errors, 0);
		teardown(&w);
	}
}

static void lasting_failures_have_their_error(void **state)
{
	static const struct {
		const char *rules;
		int err;
		unsigned most;
	} cases[] = {
		{"get=EACCES", -EACCES, 1},
		{"get=EPROTO", -EIO, 1},
		{"flip=0", -EIO, 3},
		{"truncate=9", -EIO, 20},
		{"get=ECONNREFUSED", -EIO, 20},
		{"get=ETIMEDOUT", -ETIMEDOUT, 20},
		{"get=EAGAIN", -EIO, 20},
		{"get_hang=30", -ETIMEDOUT, 1},
	};
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t begin = mono_us();

		setup_one(&w, S, cases[i].rules);
		assert_int_equal(get(&w, 1), cases[i].err);
		assert_true(mono_us() - begin < 4 * S);
		assert_true(totals(&w).requests >= 1 && totals(&w).requests <= cases[i].most);
		assert_int_equal(totals(&w).errors, 1);
		assert_int_equal(w.became_local, 0);
		teardown(&w);
	}
}

/* Bytes whose hash is known: one wrong bit anywhere is found, twice, and then it is EIO. */
static void damaged_object(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct timespec times[2];
	struct stat st;
	struct snap s;
	char path[128];
	struct world w;

	setup_one(&w, 20 * S, "flip=40@2");
	assert_int_equal(get(&w, 1), 0);
	s = snap_of(&w, 1);
	assert_int_equal(cache_drop(w.cache, &s.sha, BLOB_CACHE), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 3);
	assert_int_equal(cache_drop(w.cache, &s.sha, BLOB_CACHE), 0);
	file_of(&w, 0, 1, path);
	assert_int_equal(stat(path, &st), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "!", 1, 40), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0); /* the etag stays: bits rotted */
	assert_int_equal(get(&w, 1), -EIO);
	assert_int_equal(totals(&w).requests, 6);
	assert_false(cache_has(w.cache, &s.sha, NULL));
	teardown(&w);
}

static void gone_and_changed_objects(void **state)
{
	struct place place[4];
	char path[128];
	struct world w;
	size_t n;

	for (int changed = 0; changed < 3; changed++) {
		setup_one(&w, 2 * S, "");
		put_object(&w, 0, 2); /* another, so that the store is not empty */
		scan(&w, 0);
		file_of(&w, 0, 1, path);
		assert_int_equal(unlink(path), 0);
		if (changed == 1) /* another size */
			assert_int_equal(write_file_atomic(AT_FDCWD, path, "x", 1, 0600), 0);
		if (changed == 2) /* another etag: who knows what that is */
			put_object(&w, 0, 1);
		int64_t id = snap_of(&w, 1).id;
		struct call c = {0};
		int fd = -1;
		assert_int_equal(fetch_wait(w.f, id, &c, &fd), -ESTALE);
		assert_int_equal(fd, -1);
		assert_int_equal(w.stale[0], 1);
		assert_int_equal(catalog_places(w.catalog, id, place, 4, &n), 0);
		assert_int_equal(n, 0);
		assert_int_equal(fetch_wait(w.f, id, &c, &fd), -ESTALE);
		assert_int_equal(totals(&w).requests, 1);
		assert_int_equal(get(&w, 2), 0);
		assert_int_equal(fetch_wait(w.f, 123456, &c, &fd), -ESTALE);
		teardown(&w);
	}
}

static void not_a_picture(void **state)
{
	static const char html[] = "<html><body>Please log in</body></html>";
	struct call c = {0};
	char path[128];
	struct world w;
	int fd = -1;

	setup_one(&w, 20 * S, "");
	file_of(&w, 0, 3, path);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, html, sizeof(html) - 1, 0600), 0);
	scan(&w, 0);
	assert_int_equal(fetch_wait(w.f, snap_of(&w, 3).id, &c, &fd), -EIO);
	assert_non_null(strstr(c.why, "HTML"));
	assert_non_null(strstr(c.why, "front/3.jpg"));
	assert_int_equal(get(&w, 1), 0);
	teardown(&w);
}

static void the_next_store_is_tried(void **state)
{
	static const char *const bad[] = {"get=EIO", "get=EACCES", "flip=0", "truncate=5",
					  "get=ENOENT"};
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *rules[] = {bad[i], ""};

		setup(&w, 10 * S, rules, 2);
		put_object(&w, 0, 1);
		put_object(&w, 1, 1);
		scan(&w, 0);
		scan(&w, 1);
		assert_int_equal(snap_of(&w, 1).replicas, 2);
		assert_int_equal(get(&w, 1), 0);
		assert_int_equal(totals(&w).requests, 2);
		assert_int_equal(w.stale[0], strcmp(bad[i], "get=ENOENT") == 0);
		teardown(&w);
	}
}

/* A store that hangs gets its share of the time, not all of it. */
static void a_hanging_store_leaves_time_for_the_next(void **state)
{
	const char *rules[] = {"get_hang=60", ""};
	int64_t begin;
	struct world w;

	setup(&w, 3 * S, rules, 2);
	put_object(&w, 0, 1);
	put_object(&w, 1, 1);
	scan(&w, 0);
	scan(&w, 1);
	begin = mono_us();
	assert_int_equal(get(&w, 1), 0);
	assert_true(mono_us() - begin < 3 * S);
	teardown(&w);
}

static unsigned cached(struct world *w)
{
	struct cache_totals t;

	cache_totals(w->cache, &t);
	return (unsigned)t.cache_files;
}

static void local_store_is_read_in_place(void **state)
{
	CLEANUP(closep) int fd = -1;
	const char *rules[] = {
		"", NULL}; /* a remote one first: the local one is asked first all the same */
	char path[128], data[1024];
	struct stat a, b;
	struct snap s;
	struct world w;

	setup(&w, 2 * S, rules, 2);
	put_object(&w, 1, 1);
	scan(&w, 1);
	put_object(&w, 0, 1);
	scan(&w, 0);
	s = snap_of(&w, 1);
	assert_true(fetch_is_local(w.f, &s));
	assert_int_equal(fetch_local(w.f, &s, &fd), -ENODATA); /* its hash is not known yet */
	assert_int_equal(get(&w, 1), 0);
	s = snap_of(&w, 1);
	assert_true(s.has_sha);
	assert_int_equal(fetch_local(w.f, &s, &fd), 0);
	file_of(&w, 1, 1, path);
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(cached(&w), 0);
	assert_int_equal(totals(&w).requests, 0);
	/* Another file with the same bytes will do, and a scan is asked for. */
	put_object(&w, 1, 1);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(w.stale[1], 1);
	assert_int_equal(totals(&w).requests, 0);
	/* Other bytes will not: from the other store. */
	(void)picture(2, data);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, data, s.size, 0600), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(w.stale[1], 2);
	assert_int_equal(totals(&w).requests, 1);
	assert_int_equal(cached(&w), 1);
	teardown(&w);
}

static void torn_cache_file_is_fetched_anew(void **state)
{
	char hex[SHA256_HEX], path[256];
	struct snap s;
	struct world w;

	setup_one(&w, 10 * S, "");
	assert_int_equal(get(&w, 1), 0);
	s = snap_of(&w, 1);
	hex_encode(s.sha.b, 32, hex);
	(void)snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", w.cache_dir, hex, hex);
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 2);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 2);
	teardown(&w);
}

static void cache_deleted_and_disabled(void **state)
{
	struct world w;

	setup_one(&w, 10 * S, "");
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(remove_tree(AT_FDCWD, w.cache_dir), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 2);
	w.f = fetch_free(w.f);
	w.cache = cache_free(w.cache);
	assert_int_equal(cache_new(w.state, w.cache_dir, 0, &w.cache), 0);
	assert_int_equal(remove_tree(AT_FDCWD, w.cache_dir), 0);
	fetch_begin(&w);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(get(&w, 1), 0);
	assert_int_equal(totals(&w).requests, 2);
	teardown(&w);
}

/* The store that has it was taken out of the config. */
static void store_not_in_the_config(void **state)
{
	struct call c = {0};
	struct world w;
	int fd;

	setup_one(&w, 10 * S, "");
	w.f = fetch_free(w.f);
	size_t n = w.n;
	w.n = 0;
	fetch_begin(&w);
	assert_int_equal(fetch_wait(w.f, snap_of(&w, 1).id, &c, &fd), -EIO);
	assert_non_null(strstr(c.why, "config"));
	w.n = n;
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spooled_bytes_need_no_store),
		cmocka_unit_test(cold_picture_is_got_once),
		cmocka_unit_test(passing_failures_are_not_seen),
		cmocka_unit_test(lasting_failures_have_their_error),
		cmocka_unit_test(damaged_object),
		cmocka_unit_test(gone_and_changed_objects),
		cmocka_unit_test(not_a_picture),
		cmocka_unit_test(the_next_store_is_tried),
		cmocka_unit_test(a_hanging_store_leaves_time_for_the_next),
		cmocka_unit_test(local_store_is_read_in_place),
		cmocka_unit_test(torn_cache_file_is_fetched_anew),
		cmocka_unit_test(cache_deleted_and_disabled),
		cmocka_unit_test(store_not_in_the_config),
	};

	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
