/* test-catalog-limits.c - what one store or camera may take, and what a clock that is set does to what waits. */
#include "test-catalog-labels.h"

/* From outside. */
static void poke(struct temp *t, const char *sql)
{
	char path[64];
	sqlite3 *db;

	(void)snprintf(path, sizeof(path), "%s/catalog.db", t->dir);
	ok(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL));
	ok(sqlite3_exec(db, sql, NULL, NULL, NULL));
	ok(sqlite3_close(db));
}

static void a_store_leaves_cameras_for_others(void **state)
{
	struct temp *t = *state;
	struct listed item = {.key = "c/x.jpg",
			      .etag = "e",
			      .size = 9,
			      .modified_us = NOON_US,
			      .camera = "c",
			      .taken_us = NOON_US,
			      .time_source = TIME_MTIME};
	struct scan_counts n = {0};
	char after[KEY_MAX + 1];
	int64_t gen, id;

	poke(t, "INSERT INTO camera(id, name) VALUES(29999, 'last-but-one')");
	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	ok(catalog_scan_page(t->c, t->cloud, gen, &item, 1, &n));
	item.key = "d/x.jpg";
	item.camera[0] = 'd';
	ok(catalog_scan_page(t->c, t->cloud, gen, &item, 1, &n));
	item.key = "c/y.jpg"; /* of one that is there already */
	item.camera[0] = 'c';
	ok(catalog_scan_page(t->c, t->cloud, gen, &item, 1, &n));
	assert_int_equal(n.added, 2);
	assert_int_equal(n.rejected, 1);
	assert_int_equal(catalog_camera_ensure(t->c, "mine", NULL, NULL, &id), 0);
	assert_int_equal(id, 30001);
	(void)add_picture(t, "yours", 1, 1);
	poke(t, "INSERT INTO camera(id, name) VALUES(32000, 'the last')");
	assert_int_equal(catalog_camera_ensure(t->c, "too late", NULL, NULL, &id), -EINVAL);
	assert_int_equal(catalog_camera_ensure(t->c, "too-late", NULL, NULL, &id), -ENOSPC);
	assert_int_equal(peek(t, "SELECT count(*) FROM camera WHERE name = 'too-late'"), 0);
}

static void unsent_bytes_of_a_camera(void **state)
{
	struct temp *t = *state;
	int64_t front, back;
	uint64_t bytes;
	struct camera_row row;

	(void)add_picture(t, "front", 1, 2);
	(void)add_picture(t, "front", 2, 1);
	(void)add_picture(t, "back", 3, 2);
	ok(catalog_camera_find(t->c, "front", &row));
	front = row.id;
	ok(catalog_camera_find(t->c, "back", &row));
	back = row.id;
	ok(catalog_camera_unsent(t->c, front, &bytes));
	assert_int_equal(bytes, 1001 + 1002);
	(void)drain(t, t->cloud);
	ok(catalog_camera_unsent(t->c, front, &bytes));
	assert_int_equal(bytes, 1001);
	ok(catalog_camera_unsent(t->c, back, &bytes));
	assert_int_equal(bytes, 1003);
	(void)drain(t, t->attic);
	ok(catalog_camera_unsent(t->c, back, &bytes));
	assert_int_equal(bytes, 0);
}

static int claim(struct temp *t, int64_t now)
{
	struct outbox_item item = {0};
	int n = 0;

	while (catalog_outbox_claim(t->c, t->cloud, now, 1, finish_one, &item) == 1) {
		ok(catalog_outbox_failed(t->c, &item, now + 5000000, "no"));
		n++;
	}
	return n;
}

static void what_waits_by_another_clock(void **state)
{
	struct temp *t = *state;
	const int64_t day = INT64_C(86400000000), now = now_us();
	int64_t id = add_picture(t, "front", 1, 1), thrown = add_picture(t, "front", 2, 0);

	ok(catalog_trash(t->c, thrown, now + day, "me"));
	assert_int_equal(claim(t, now), 1);
	assert_int_equal(claim(t, now), 0);
	/* five seconds are no other clock's */
	ok(catalog_clock_set(t->c, 0, now + 600000000));
	assert_int_equal(claim(t, now), 0);
	/* set back by a day */
	ok(catalog_clock_set(t->c, -day, now - day + 600000000));
	assert_int_equal(claim(t, now - day), 1);
	assert_int_equal(peek(t, "SELECT due_us FROM trash"), now + day);
	/* and forth: the trash keeps what it has for as long */
	ok(catalog_clock_set(t->c, 2 * day, now + day + 600000000));
	assert_int_equal(peek(t, "SELECT due_us FROM trash"), now + 3 * day);
	assert_int_equal(claim(t, now), 1);
	assert_int_equal(snap_of(t, id).queued, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_store_leaves_cameras_for_others, temp_open,
						temp_close),
		cmocka_unit_test_setup_teardown(unsent_bytes_of_a_camera, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(what_waits_by_another_clock, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
