/* test-catalog.c - registering and looking: names, duplicates, every view, paging, cameras,
 * hostile input, reopening. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "test-catalog.h"

#define HOUR INT64_C(3600000000)
#define DAY (24 * HOUR)

static const struct view all = {.kind = VIEW_ALL};

static struct view of_camera(struct catalog *c, const char *name)
{
	return (struct view){.kind = VIEW_CAMERA, .id = camera_id(c, name)};
}

struct seen {
	size_t n;
	int64_t id[64];
	char stem[64][STEM_MAX + 1];
};

static int see(void *user, const struct snap *s)
{
	struct seen *seen = user;
	assert_true(seen->n < 64);
	seen->id[seen->n] = s->id;
	memcpy(seen->stem[seen->n++], s->stem, sizeof(s->stem));
	return 0;
}

static void test_registered_is_found(void **state)
{
	struct fixture *f = *state;
	struct registration r = reg_of("front", T0, 1);
	r.title = "Front Dvůr";
	r.group = "home";
	r.time_source = TIME_EXIF;
	r.durable = true;
	int64_t before = now_us(), id = registered(f->c, &r);
	struct snap s;
	assert_int_equal(catalog_snap(f->c, id, &s), 0);
	assert_string_equal(s.stem, T0_IMG "_front");
	assert_int_equal(s.day, T0_DAY);
	assert_int_equal(s.taken_us, T0);
	assert_int_equal(s.zone_min, 60);
	assert_int_equal(s.time_source, TIME_EXIF);
	assert_int_equal(s.size, 1001);
	assert_int_equal(s.links, 2);
	assert_int_equal(s.queued, 0);
	assert_true(s.has_sha && memcmp(&s.sha, &r.sha, sizeof(s.sha)) == 0);
	assert_true(s.registered_us >= before && s.registered_us <= now_us());
	struct snap again;
	assert_int_equal(catalog_find(f->c, all, T0_DAY, T0_IMG "_front", &again), 0);
	assert_int_equal(again.id, id);
	assert_int_equal(
		catalog_find(f->c, of_camera(f->c, "front"), T0_DAY, T0_IMG "_front", &again), 0);
	assert_int_equal(again.id, id);
	assert_int_equal(catalog_find(f->c, all, T0_DAY + 1, T0_IMG "_front", &again), -ENOENT);
	assert_int_equal(
		catalog_find(f->c, (struct view){.kind = VIEW_STARRED}, T0_DAY, s.stem, &again),
		-ENOENT);
	assert_int_equal(catalog_snap(f->c, id + 1, &again), -ENOENT);
	struct camera_row cam;
	assert_int_equal(catalog_camera(f->c, s.camera, &cam), 0);
	assert_string_equal(cam.title, "Front Dvůr");
	assert_string_equal(cam.group, "home");
	assert_sound(f->c);
}

static void test_same_bytes(void **state)
{
	struct fixture *f = *state;
	struct registration r = reg_of("front", T0, 1);
	int64_t first = registered(f->c, &r), id;
	bool new;
	r.dedupe = true;
	r.taken_us = T0 + DAY;
	assert_int_equal(catalog_register(f->c, &r, &id, &new), 0);
	assert_false(new);
	assert_int_equal(id, first);
	r.camera = "back"; /* another camera: another snapshot */
	assert_int_equal(catalog_register(f->c, &r, &id, &new), 0);
	assert_true(new);
	assert_int_not_equal(id, first);
	r.camera = "front";
	r.dedupe = false; /* a capture is always a snapshot */
	assert_int_equal(catalog_register(f->c, &r, &id, &new), 0);
	assert_true(new);
	assert_int_not_equal(id, first);
	assert_sound(f->c);
}

static struct snap queued_is(struct catalog *c, int64_t id, unsigned queued, unsigned replicas)
{
	struct snap s;
	assert_int_equal(catalog_snap(c, id, &s), 0);
	assert_int_equal(s.queued, queued);
	assert_int_equal(s.replicas, replicas);
	return s;
}

static int take_item(void *user, const struct outbox_item *item)
{
	*(struct outbox_item *)user = *item;
	return 0;
}

/* One picture to each store, also to one that came later; the sidecar object follows it, and
 * follows each change. */
static void test_targets(void **state)
{
	struct fixture *f = *state;
	struct target target[2] = {{.layout = "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg"},
				   {.layout = "all/{stem}.jpg"}};
	struct registration r = reg_of("front", T0, 1);
	struct outbox_item item = {0};
	bool settled = false, new;
	assert_int_equal(catalog_store_id(f->c, "cloud", &target[0].store), 0);
	assert_int_equal(catalog_store_id(f->c, "attic", &target[1].store), 0);
	catalog_set_stores(f->c, target, 2);
	r.target = target;
	r.n_targets = 1;
	r.dedupe = true;
	int64_t id = registered(f->c, &r), cloud = target[0].store;
	(void)queued_is(f->c, id, 1, 0);
	assert_int_equal(catalog_outbox_claim(f->c, cloud, now_us(), 10, take_item, &item), 0);
	assert_int_equal(item.what, OUTBOX_PICTURE);
	assert_string_equal(item.key, "front/2020/12/31/" T0_IMG "_front.jpg");
	assert_int_equal(catalog_outbox_done(f->c, &item, "etag", r.size, now_us(), &settled), 0);
	assert_true(settled);
	(void)queued_is(f->c, id, 0, 1);
	assert_int_equal(catalog_outbox_claim(f->c, cloud, now_us(), 10, take_item, &item), 0);
	assert_int_equal(item.what, OUTBOX_SIDECAR);
	assert_string_equal(item.key, "front/2020/12/31/" T0_IMG "_front.json");
	assert_int_equal(catalog_outbox_done(f->c, &item, "etag2", 10, now_us(), &settled), 0);
	struct sidecar star = {.starred = true, .has_starred = true};
	assert_int_equal(catalog_merge_sidecar(f->c, id, &star), 0);
	item.what = OUTBOX_PICTURE;
	assert_int_equal(catalog_outbox_claim(f->c, cloud, now_us(), 10, take_item, &item), 0);
	assert_int_equal(item.what, OUTBOX_SIDECAR);
	r.n_targets = 2; /* dropped again, and there is a second store now */
	assert_int_equal(catalog_register(f->c, &r, &id, &new), 0);
	assert_false(new);
	assert_int_equal(queued_is(f->c, id, 1, 1).links, 3);
	assert_int_equal(
		catalog_outbox_claim(f->c, target[1].store, now_us(), 10, take_item, &item), 0);
	assert_string_equal(item.key, "all/" T0_IMG "_front.jpg");
	struct place place[16];
	size_t n;
	assert_int_equal(catalog_places(f->c, id, place, 16, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(place[0].key, "front/2020/12/31/" T0_IMG "_front.jpg");
	assert_string_equal(place[0].etag, "etag");
	assert_sound(f->c);
}

static void test_upload_entry(void **state)
{
	struct fixture *f = *state;
	struct upload_row row = {.mode = 0644,
				 .mtime_ns = 5,
				 .ctime_ns = 6,
				 .name = "a.jpg",
				 .state = UPLOAD_WAITING,
				 .due_us = 1};
	struct registration r = reg_of("front", T0, 1);
	assert_int_equal(catalog_upload_create(f->c, &row, &r.upload), 0);
	int64_t id = registered(f->c, &r);
	assert_int_equal(catalog_upload(f->c, r.upload, &row), 0);
	assert_int_equal(row.state, UPLOAD_REGISTERED);
	assert_int_equal(row.snapshot, id);
	assert_int_equal(row.size, r.size);
	assert_int_equal(row.due_us, 0);
	assert_int_equal(row.mtime_ns, 5);
	assert_int_equal(row.ctime_ns, 6);
	const struct upload_row written = {.mtime_ns = 7, .mtime_set = true};
	r.written = &written;
	r.dedupe = true;
	assert_int_equal(registered(f->c, &r), id);
	assert_int_equal(catalog_upload(f->c, r.upload, &row), 0);
	assert_int_equal(row.mtime_ns, 7);
	assert_true(row.mtime_set && row.ctime_ns > 6);
}

static void test_same_microsecond(void **state)
{
	struct fixture *f = *state;
	char want[STEM_MAX + 1];
	int64_t start = mono_us();
	struct snap s;
	for (int i = 0; i < 3000; i++) {
		int64_t id = snap_at(f->c, "front", T0, (uint64_t)i);
		if (i % 500 == 0 || i == 2999) {
			assert_int_equal(catalog_snap(f->c, id, &s), 0);
			(void)snprintf(want, sizeof(want), i ? T0_IMG "-%d_front" : T0_IMG "_front",
				       i);
			assert_string_equal(s.stem, want);
			assert_int_equal(s.day, T0_DAY);
		}
	}
	assert_true(mono_us() - start <
		    20000000); /* no search from the first suffix on, each time */
	int64_t other = snap_at(f->c, "back", T0, 1); /* suffixes are a camera's own */
	assert_int_equal(catalog_snap(f->c, other, &s), 0);
	assert_string_equal(s.stem, T0_IMG "_back");
	assert_sound(f->c);
}

/* 2020-10-25: Prague's clocks go from 03:00 CEST back to 02:00 CET. */
static void test_hour_that_repeats(void **state)
{
	struct fixture *f = *state;
	int64_t first = INT64_C(1603585800000000); /* 02:30 CEST */
	int64_t a = snap_at(f->c, "front", first, 1),
		late = snap_at(f->c, "front", first + HOUR / 4, 2);
	int64_t b = snap_at(f->c, "front", first + HOUR, 3);
	struct snap s;
	assert_int_equal(catalog_snap(f->c, a, &s), 0);
	assert_string_equal(s.stem, "20201025T02-30-00-000000_front");
	assert_int_equal(catalog_snap(f->c, b, &s), 0);
	assert_string_equal(s.stem, "20201025T02-30-00-000000-1_front");
	assert_int_equal(s.taken_us, first + HOUR);
	/* 02:45 sorts after, but what was taken last is the newest. */
	assert_int_equal(catalog_newest(f->c, s.camera, &s), 0);
	assert_int_equal(s.id, b);
	assert_int_not_equal(s.id, late);
}

static void test_newest(void **state)
{
	struct fixture *f = *state;
	int64_t newest = snap_at(f->c, "front", T0 + DAY, 1);
	(void)snap_at(f->c, "front", T0, 2); /* an old one that arrives late */
	(void)snap_at(f->c, "back", T0 + 2 * DAY, 3);
	struct snap s;
	assert_int_equal(catalog_newest(f->c, camera_id(f->c, "front"), &s), 0);
	assert_int_equal(s.id, newest);
	int64_t empty;
	assert_int_equal(catalog_camera_ensure(f->c, "empty", NULL, NULL, &empty), 0);
	assert_int_equal(catalog_newest(f->c, empty, &s), -ENOENT);
	assert_int_equal(catalog_newest(f->c, 999, &s), -ENOENT);
}

static void test_days(void **state)
{
	struct fixture *f = *state;
	int32_t day = 0;
	assert_int_equal(catalog_next_day(f->c, all, INT32_MIN, &day), -ENOENT);
	for (int i = 0; i < 3; i++)
		(void)snap_at(f->c, i == 1 ? "back" : "front", T0 + 10 * i * DAY, (uint64_t)i);
	assert_int_equal(catalog_next_day(f->c, all, INT32_MIN, &day), 0);
	assert_int_equal(day, T0_DAY);
	assert_int_equal(catalog_next_day(f->c, all, day, &day), 0);
	assert_int_equal(day, T0_DAY + 10);
	assert_int_equal(catalog_next_day(f->c, of_camera(f->c, "front"), T0_DAY, &day), 0);
	assert_int_equal(day, T0_DAY + 20);
	assert_int_equal(catalog_next_day(f->c, all, day, &day), -ENOENT);
	assert_int_equal(day, T0_DAY + 20);
	assert_int_equal(
		catalog_next_day(f->c, (struct view){.kind = VIEW_STARRED}, INT32_MIN, &day),
		-ENOENT);
}

static void test_list_pages(void **state)
{
	struct fixture *f = *state;
	for (int i = 9; i >= 0; i--) /* registered newest first: ids run against names */
		(void)snap_at(f->c, i % 2 ? "odd" : "even", T0 + i * 1000000, (uint64_t)i);
	int64_t elsewhere = snap_at(f->c, "odd", T0 + 5 * DAY, 99);
	struct seen seen = {0};
	assert_int_equal(catalog_list(f->c, all, T0_DAY, 0, 4, see, &seen), 0);
	assert_int_equal(seen.n, 4);
	assert_int_equal(catalog_list(f->c, all, T0_DAY, seen.id[3], 100, see, &seen), 0);
	assert_int_equal(seen.n, 10);
	for (size_t i = 1; i < seen.n; i++)
		assert_true(strcmp(seen.stem[i - 1], seen.stem[i]) < 0);
	/* Resumed after one that is not in this view: by where its name would be. */
	struct seen odd = {0};
	assert_int_equal(
		catalog_list(f->c, of_camera(f->c, "odd"), T0_DAY, seen.id[4], 100, see, &odd), 0);
	assert_int_equal(odd.n, 3);
	assert_string_equal(odd.stem[0], seen.stem[5]);
	odd.n = 0;
	assert_int_equal(catalog_list(f->c, all, T0_DAY, elsewhere, 100, see, &odd), 0);
	assert_int_equal(odd.n, 0);
	assert_int_equal(catalog_list(f->c, all, T0_DAY, 12345, 100, see, &odd), -ENOENT);
}

static void test_list_back(void **state)
{
	struct fixture *f = *state;
	for (int i = 9; i >= 0; i--)
		(void)snap_at(f->c, i % 2 ? "odd" : "even", T0 + i * 1000000, (uint64_t)i);
	int64_t later = snap_at(f->c, "odd", T0 + 5 * DAY, 99);
	struct seen there = {0}, back = {0}, odd = {0};
	assert_int_equal(catalog_list(f->c, all, T0_DAY, 0, 100, see, &there), 0);
	assert_int_equal(there.n, 10);
	assert_int_equal(catalog_list_back(f->c, all, T0_DAY, there.id[9], 4, see, &back), 0);
	assert_int_equal(back.n, 4);
	assert_int_equal(catalog_list_back(f->c, all, T0_DAY, back.id[3], 100, see, &back), 0);
	assert_int_equal(back.n, 9);
	for (size_t i = 0; i < back.n; i++)
		assert_string_equal(back.stem[i], there.stem[8 - i]);
	struct view v = of_camera(f->c, "odd");
	assert_int_equal(catalog_list_back(f->c, v, T0_DAY, there.id[4], 100, see, &odd), 0);
	assert_int_equal(odd.n, 2);
	assert_string_equal(odd.stem[0], there.stem[3]);
	odd.n = 0;
	assert_int_equal(catalog_list_back(f->c, v, T0_DAY, later, 100, see, &odd), 0);
	assert_int_equal(odd.n, 5); /* all of an earlier day */
	odd.n = 0;
	assert_int_equal(catalog_list_back(f->c, v, T0_DAY + 9, there.id[4], 100, see, &odd), 0);
	assert_int_equal(catalog_list_back(f->c, (struct view){.kind = VIEW_STARRED}, T0_DAY,
					   there.id[9], 100, see, &odd),
			 0);
	assert_int_equal(catalog_list_back(f->c, (struct view){.kind = VIEW_LABEL, .id = 1}, T0_DAY,
					   there.id[9], 100, see, &odd),
			 0);
	assert_int_equal(odd.n, 0);
	assert_int_equal(catalog_list_back(f->c, all, T0_DAY, 12345, 100, see, &odd), -ENOENT);
}

static int stop(void *user, const struct snap *s)
{
	return ++*(int *)user == 2 ? 7 : 0;
}

static int nested(void *user, const struct snap *s)
{
	struct fixture *f = user;
	struct seen seen = {0};
	assert_int_equal(catalog_list(f->c, all, s->day, s->id, 3, see, &seen), 0);
	assert_int_equal(catalog_snap(f->c, s->id, &(struct snap){0}), 0);
	return 0;
}

static void test_callbacks(void **state)
{
	struct fixture *f = *state;
	int calls = 0;
	for (int i = 0; i < 5; i++)
		(void)snap_at(f->c, "front", T0 + i, (uint64_t)i);
	assert_int_equal(catalog_list(f->c, all, T0_DAY, 0, 100, stop, &calls), 7);
	assert_int_equal(calls, 2);
	assert_int_equal(catalog_list(f->c, all, T0_DAY, 0, 100, nested, f), 0);
	struct seen seen = {0};
	assert_int_equal(catalog_each(f->c, 2, 2, see, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.id[0], 3);
}

static void test_cameras(void **state)
{
	struct fixture *f = *state;
	int64_t b, a, again;
	assert_int_equal(catalog_camera_ensure(f->c, "b", "B title", NULL, &b), 0);
	assert_int_equal(catalog_camera_ensure(f->c, "a", NULL, NULL, &a), 0);
	assert_int_equal(catalog_camera_ensure(f->c, "b", NULL, "yard", &again), 0);
	assert_int_equal(again, b);
	(void)snap_at(f->c, "b", T0, 1);
	(void)snap_at(f->c, "b", T0 + DAY, 2);
	assert_int_equal(catalog_camera_result(f->c, b, T0, NULL), 0);
	assert_int_equal(catalog_camera_result(f->c, b, 0, "no\nanswer\xff"), 0);
	assert_int_equal(catalog_camera_result(f->c, 77, 0, "x"), -ENOENT);
	struct camera_row row;
	assert_int_equal(catalog_camera_next(f->c, "", true, &row), 0);
	assert_string_equal(row.name, "a");
	assert_int_equal(row.snapshots, 0);
	assert_int_equal(catalog_camera_next(f->c, "a", true, &row), 0);
	assert_string_equal(row.name, "b");
	assert_string_equal(row.title, "B title");
	assert_string_equal(row.group, "yard");
	assert_string_equal(row.error, "no answer?");
	assert_int_equal(row.last_capture_us, T0);
	assert_int_equal(row.snapshots, 2);
	assert_int_equal(catalog_camera_next(f->c, "b", true, &row), -ENOENT);
}

static void refused(struct catalog *c, const struct registration *r, int want)
{
	int64_t id = 42;
	bool new = true;
	assert_int_equal(catalog_register(c, r, &id, &new), want);
	assert_int_equal(id, 42);
}

static void test_bad_input(void **state)
{
	struct fixture *f = *state;
	struct registration r;
	static const char *const name[] = {"", "..", "a/b", "a b", "a\nb", "h\xc3\xa9", "a.b"};
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		r = reg_of(name[i], T0, 1);
		refused(f->c, &r, -EINVAL);
	}
	r = reg_of("front", -1, 1);
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", INT64_MAX, 1);
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", T0, 1);
	r.title = "bad \xff utf-8";
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", T0, 1);
	r.zone_min = 5000;
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", T0, 1);
	r.time_source = TIME_SOURCES;
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", T0, 1);
	r.origin = "{\"a\":\"\xc0\xaf\"}";
	refused(f->c, &r, -EINVAL);
	r = reg_of("front", T0, 1);
	r.upload = 4711; /* removed while its bytes were looked at */
	refused(f->c, &r, -ENOENT);
	/* Nothing of all that is left behind: not even the camera. */
	struct camera_row row;
	assert_int_equal(catalog_camera_next(f->c, "", true, &row), -ENOENT);
	assert_int_equal(catalog_snap(f->c, 1, &(struct snap){0}), -ENOENT);
	assert_sound(f->c);
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;
	int64_t a = snap_at(f->c, "front", T0, 1), b = snap_at(f->c, "back", T0, 2);
	int64_t changed = catalog_changed_us(f->c);
	fixture_reopen(f);
	struct snap s;
	assert_true(catalog_changed_us(f->c) >= changed);
	assert_int_equal(catalog_snap(f->c, a, &s), 0);
	assert_string_equal(s.stem, T0_IMG "_front");
	assert_int_equal(catalog_snap(f->c, b, &s), 0);
	assert_int_equal(snap_at(f->c, "front", T0 + 1, 3), b + 1);
	/* Where people were is nobody else's business. */
	char path[128];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/catalog.db", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		CASE(test_registered_is_found),
		CASE(test_same_bytes),
		CASE(test_targets),
		CASE(test_upload_entry),
		CASE(test_same_microsecond),
		CASE(test_hour_that_repeats),
		CASE(test_newest),
		CASE(test_days),
		CASE(test_list_pages),
		CASE(test_list_back),
		CASE(test_callbacks),
		CASE(test_cameras),
		CASE(test_bad_input),
		CASE(test_reopen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
