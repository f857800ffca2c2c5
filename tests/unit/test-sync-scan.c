/* Scans: what others put into a store appears, what is bad is named, what vanishes is believed only when it can be; and a catalog
 * that was lost comes back from the stores alone. */
#include "test-sync.h"

static int scan(struct town *t, struct scan_counts *counts, char why[256])
{
	struct call c = {.deadline_us = mono_us() + 20000000};
	int r = sync_scan(t->sync, "cloud", &c, NULL, NULL, counts);

	(void)snprintf(why, 256, "%s", c.why);
	return r;
}

static void put_picture(struct town *t, const char *key, unsigned n)
{
	char data[PICTURE_MAX];

	put_file(t, 0, key, data, picture(n, NULL, data));
}

static void put_text(struct town *t, const char *key, const char *text)
{
	put_file(t, 0, key, text, strlen(text));
}

struct errors {
	unsigned n;
	const char *want;
	bool found;
};

static int see_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	struct errors *e = user;

	e->n++;
	e->found = e->found || strstr(subject, e->want) || strstr(error, e->want);
	return 0;
}

static bool is_told(struct town *t, const char *part)
{
	struct errors e = {.want = part};

	ok(catalog_errors(t->house.cat, 1000, see_error, &e));
	return e.found;
}

static struct snap find(struct town *t, const char *camera, const char *stem)
{
	struct camera_row row;
	struct civil c;
	unsigned dup;
	char name[CAMERA_MAX + 1];
	struct snap s;

	ok(catalog_camera_find(t->house.cat, camera, &row));
	ok(stem_parse(stem, &c, &dup, name));
	ok(catalog_find(t->house.cat, (struct view){VIEW_CAMERA, row.id},
			day_from_civil(c.year, c.month, c.day), stem, &s));
	return s;
}

static size_t count_labels(struct town *t, int64_t id)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};

	ok(catalog_sidecar(t->house.cat, id, &s));
	return s.labels.n;
}

static void what_others_put_there_appears(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	char why[256], key[128];

	town_new(&t, "", NULL, 1);
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(key, sizeof(key), "back/2020/12/31/1530%02u.jpg", i);
		put_picture(&t, key, i);
	}
	put_text(&t, "back/2020/12/31/153000.json", "{\"labels\":[\"cat\",\"dog\"]}");
	put_text(&t, "back/2020/12/31/153001.jpg.json", "{\"labels\":[\"cat\"]}");
	put_text(&t, "back/2020/12/31/153002.json", "{\"labels\":");
	put_text(&t, "back/2020/12/31/notes.pdf", "x");
	put_text(&t, "back/2020/12/31/empty.jpg", "");
	ok(scan(&t, &n, why));
	assert_int_equal(n.listed, 55);
	assert_int_equal(n.added, 50);
	assert_int_equal(n.rejected, 2);
	assert_int_equal(n.sidecars, 3);
	assert_int_equal(snapshots(&t.house), 50);
	assert_int_equal(count_labels(&t, find(&t, "back", "20201231T15-30-00-000000_back").id), 2);
	assert_int_equal(count_labels(&t, find(&t, "back", "20201231T15-30-01-000000_back").id), 1);
	assert_int_equal(count_labels(&t, find(&t, "back", "20201231T15-30-02-000000_back").id), 0);
	assert_true(is_told(&t, "153002.json"));
	assert_true(is_told(&t, "notes.pdf"));
	assert_true(is_told(&t, "is empty"));
	/* again: nothing new, and no sidecar is read twice */
	memset(&n, 0, sizeof(n));
	ok(scan(&t, &n, why));
	assert_int_equal(n.added + n.changed + n.gone + n.sidecars, 0);
	/* repaired, removed */
	put_text(&t, "back/2020/12/31/153002.json", "{\"labels\":[\"fox\"]}");
	(void)snprintf(key, sizeof(key), "%s/back/2020/12/31/153049.jpg", t.root[0]);
	ok(unlink(key));
	memset(&n, 0, sizeof(n));
	ok(scan(&t, &n, why));
	assert_int_equal(n.gone, 1);
	assert_int_equal(n.sidecars, 1);
	assert_int_equal(count_labels(&t, find(&t, "back", "20201231T15-30-02-000000_back").id), 1);
	assert_int_equal(sync_scan(t.sync, "nowhere", &(struct call){0}, NULL, NULL, &n), -ENOENT);
	town_end(&t);
}

/* One sidecar object that cannot be had stops neither the others nor the listing, and is read the next time. */
static void one_unreadable_sidecar_stops_nothing(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	char why[256], key[64];

	town_new(&t, "get=EIO@3", NULL, 1);
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(key, sizeof(key), "back/2020/12/31/1530%02u.jpg", i);
		put_picture(&t, key, i);
		(void)snprintf(key, sizeof(key), "back/2020/12/31/1530%02u.json", i);
		put_text(&t, key, "{\"labels\":[\"cat\"]}");
	}
	assert_int_equal(scan(&t, &n, why), -EIO);
	assert_non_null(strstr(why, "as scripted"));
	assert_true(is_told(&t, "as scripted"));
	assert_int_equal(snapshots(&t.house), 20);
	struct label_row kind, label;
	size_t labelled = 0;

	ok(catalog_kind_find(t.house.cat, "label", &kind));
	ok(catalog_label_find(t.house.cat, kind.id, "cat", &label));
	for (unsigned i = 1; i <= 20; i++)
		labelled += count_labels(&t, i);
	assert_int_equal(labelled, 19);
	ok(scan(&t, &n, why));
	for (unsigned i = 1; i <= 20; i++)
		assert_int_equal(count_labels(&t, i), 1);
	assert_false(is_told(&t, "as scripted"));
	town_end(&t);
}

static int64_t last_scan(struct town *t)
{
	struct store_row row;

	ok(catalog_store(t->house.cat, t->slot[0].id, false, &row));
	return row.last_scan_us;
}

static void wait_for_scan(struct town *t, int64_t after)
{
	struct call c = {.deadline_us = mono_us() + 10000000};

	while (last_scan(t) <= after)
		ok(retry_sleep(&c, 20000));
}

/* By itself it believes no store that is suddenly empty; asked for, it does. */
static void suddenly_empty(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	struct call c = {.deadline_us = mono_us() + 20000000};
	char why[256], path[128];

	town_new(&t, "", NULL, 1);
	put_picture(&t, "back/2020/12/31/153000.jpg", 1);
	t.store_conf[0].scan_us = 200000;
	t.sync->store[0].next_scan_us = 0;
	ok(sync_start(t.sync));
	wait_for_scan(&t, 0);
	assert_int_equal(snapshots(&t.house), 1);
	(void)snprintf(path, sizeof(path), "%s/back", t.root[0]);
	ok(remove_tree(AT_FDCWD, path));
	while (!is_told(&t, "lists no objects at all"))
		ok(retry_sleep(&c, 20000));
	assert_int_equal(snapshots(&t.house), 1);
	ok(scan(&t, &n, why));
	assert_int_equal(n.gone, 1);
	assert_int_equal(snapshots(&t.house), 0);
	town_end(&t);
}

/* A listing that breaks off hides nothing; a fetch that met a change brings a scan soon. */
static void failed_and_stale(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	char why[256];
	int64_t before;

	town_new(&t, "list=ETIMEDOUT@2", NULL, 1);
	put_picture(&t, "back/2020/12/31/153000.jpg", 1);
	ok(scan(&t, &n, why));
	assert_int_equal(scan(&t, &n, why), -ETIMEDOUT);
	assert_int_equal(snapshots(&t.house), 1);
	assert_true(is_told(&t, "as scripted"));
	ok(sync_start(t.sync));
	before = last_scan(&t);
	put_picture(&t, "back/2020/12/31/153001.jpg", 2);
	sync_stale(t.sync, t.slot[0].id);
	wait_for_scan(&t, before);
	assert_int_equal(snapshots(&t.house), 2);
	/* not again within the minute */
	sync_stale(t.sync, t.slot[0].id);
	assert_true(t.sync->store[0].next_scan_us == INT64_MAX);
	town_end(&t);
}

static int stop_at_once(void *user, uint64_t done, uint64_t total, const char *what)
{
	return 1;
}

static void cancelled_scans_go_on_where_they_were(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	char why[256], key[64];

	town_new(&t, "", NULL, 1);
	for (unsigned i = 0; i < 1500; i++) {
		(void)snprintf(key, sizeof(key), "back/2020/12/31/%02u%02u%02u.jpg", i / 3600,
			       i / 60 % 60, i % 60);
		put_picture(&t, key, i);
	}
	assert_int_equal(sync_scan(t.sync, "cloud", &(struct call){0}, stop_at_once, NULL, &n),
			 -ECANCELED);
	assert_int_equal(snapshots(&t.house), 1000);
	ok(scan(&t, &n, why));
	assert_int_equal(n.listed, 500);
	assert_int_equal(snapshots(&t.house), 1500);
	assert_int_equal(n.gone, 0);
	town_end(&t);
}

static void rebuild_restores_everything(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	struct call c = {.deadline_us = mono_us() + 20000000};
	char why[256], path[512];
	struct snap before[12], now;
	unsigned k = 0;

	town_new(&t, "", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 10);
	(void)copy_picture(&t.house, 1, "20201231_150000-copy.jpg", 100); /* a stem with a suffix */
	(void)copy_text(&t.house, 1, "20201231_150003.json",
			"{\"labels\":[{\"kind\":\"object\",\"value\":\"person\",\"score\":0.9}],"
			"\"starred\":true,\"event\":{\"id\":\"7\"},\"mine\":1}");
	ok(drain(&t, why));
	for (int64_t i = 1; i <= 11; i++)
		ok(catalog_snap(t.house.cat, i, &before[k++]));
	/* one lost its sidecar object: its metadata still says what it is */
	(void)snprintf(path, sizeof(path), "%s/front/2020/12/31/%s.json", t.root[0],
		       before[5].stem);
	ok(unlink(path));
	town_stop(&t);
	ok(remove_tree(AT_FDCWD, t.house.state));
	ok(remove_tree(AT_FDCWD, t.house.cache_dir));
	ok(make_dirs(t.house.state, 0700));
	town_open(&t, (const char *const[]){""});
	ok(sync_start(t.sync));
	ok(sync_rebuild(t.sync, &c, NULL, NULL, &n));
	assert_int_equal(n.added, 11);
	assert_int_equal(n.sidecars, 10);
	assert_int_equal(snapshots(&t.house), 11);
	for (k = 0; k < 11; k++) {
		now = find(&t, "front", before[k].stem);
		assert_int_equal(now.size, before[k].size);
		assert_int_equal(now.taken_us, before[k].taken_us);
		assert_int_equal(now.starred, before[k].starred);
		if (k != 5 || now.has_sha) { /* not every file system keeps metadata */
			assert_true(now.has_sha);
			assert_memory_equal(now.sha.b, before[k].sha.b, 32);
		}
		if (k != 5)
			assert_int_equal(now.time_source, before[k].time_source);
	}
	CLEANUP(sidecar_done) struct sidecar s = {0};

	ok(catalog_sidecar(t.house.cat, find(&t, "front", before[3].stem).id, &s));
	assert_int_equal(s.labels.n, 1);
	assert_string_equal(s.labels.item[0].value, "person");
	assert_true(s.starred);
	assert_non_null(strstr(s.event, "\"7\""));
	assert_non_null(strstr(s.unknown, "mine"));
	/* and what is dropped again is known */
	upload_many(&t, 3, 1);
	assert_int_equal(snapshots(&t.house), 11);
	ok(drain(&t, why));
	assert_int_equal(cached(&t).spool_files, 0);
	town_end(&t);
}

static void rebuild_goes_on_past_a_dead_store(void **state)
{
	struct town t;
	struct scan_counts n = {0};
	struct call c = {.deadline_us = mono_us() + 20000000};
	char data[PICTURE_MAX];

	town_new(&t, "list=ECONNREFUSED", "", 2);
	put_file(&t, 1, "back/2020/12/31/153000.jpg", data, picture(1, NULL, data));
	assert_int_equal(sync_rebuild(t.sync, &c, NULL, NULL, &n), -ECONNREFUSED);
	assert_non_null(strstr(c.why, "cloud"));
	assert_int_equal(snapshots(&t.house), 1);
	town_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_put_there_appears),
		cmocka_unit_test(one_unreadable_sidecar_stops_nothing),
		cmocka_unit_test(suddenly_empty),
		cmocka_unit_test(failed_and_stale),
		cmocka_unit_test(cancelled_scans_go_on_where_they_were),
		cmocka_unit_test(rebuild_restores_everything),
		cmocka_unit_test(rebuild_goes_on_past_a_dead_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
