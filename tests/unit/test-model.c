/* test-model.c - names that are safe, names made safe, img_ids and stems, and who owns a label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/model.h"

static int in_prague(void **state)
{
	return zone_set("Europe/Prague");
}

static void check_camera(const char *title, const char *expected)
{
	char out[CAMERA_MAX + 1];

	camera_name_from(title, out);
	assert_string_equal(out, expected);
	assert_true(camera_name_ok(out));
}

static void cameras_get_plain_names(void **state)
{
	char lots[300];

	check_camera("front", "front");
	check_camera("Front Door.1", "Front-Door-1");
	check_camera("", "camera");
	check_camera("../../etc", "------etc");
	check_camera("k\xc3\xa1men", "k-men");
	check_camera("\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80.1", "-----1");
	check_camera("\xe6\x97", "--");
	check_camera("\xff\n\x7f", "---");
	memset(lots, 'x', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	lots[CAMERA_MAX] = '\0';
	check_camera(lots, lots);
	lots[CAMERA_MAX] = 'x';
	assert_false(camera_name_ok(lots));
	assert_false(camera_name_ok(""));
	assert_false(camera_name_ok("a b"));
	assert_false(camera_name_ok("a.b"));
	assert_false(camera_name_ok("a/b"));
	assert_false(camera_name_ok("\xc3\xa9"));
}

static void check_label(const char *text, const char *expected)
{
	char out[LABEL_MAX + 1];

	label_name_from(text, out);
	assert_string_equal(out, expected);
	assert_true(file_name_ok(out));
}

static void labels_become_directory_names(void **state)
{
	char lots[400];
	size_t i;

	check_label("person", "person");
	check_label("caf\xc3\xa9 au lait", "caf\xc3\xa9 au lait");
	check_label("cat/dog", "cat-dog");
	check_label(".hidden", "-hidden");
	check_label("..", "-");
	check_label(".", "-");
	check_label("", "-");
	check_label("...", "-");
	check_label("../../x", "-.-..-x");
	check_label("end. . ", "end");
	check_label("a\nb\x7f\xc2\x9b", "a-b--");
	check_label("\xff\xc3", "--");
	check_label("\xed\xa0\x80", "---"); /* a surrogate */
	check_label("\xc0\xaf", "--");      /* '/' in too many bytes */
	/* Cut between characters. */
	for (i = 0; i + 2 < sizeof(lots); i += 3)
		memcpy(lots + i, "\xe2\x82\xac", 3);
	lots[i] = '\0';
	{
		char out[LABEL_MAX + 1];

		label_name_from(lots, out);
		assert_int_equal(strlen(out), LABEL_MAX / 3 * 3);
		assert_true(file_name_ok(out));
	}
}

static void file_names_are_one_safe_component(void **state)
{
	static const char *const good[] = {"a.jpg", "...", ".x", " ", "\xf0\x9f\x93\xb7.jpg",
					   "a\\b",  "-rf"};
	static const char *const bad[] = {"",
					  ".",
					  "..",
					  "a/b",
					  "/",
					  "a\nb",
					  "\x01",
					  "a\x7f",
					  "\xff",
					  "\xc3",
					  "\xc3/",
					  "\xc0\xae",
					  "\xed\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xc2\x85",
					  "\x80",
					  "\xe2\x82",
					  "\xf8\x88\x80\x80\x80"};
	char lots[NAME_LIMIT + 2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++)
		assert_true(file_name_ok(good[i]));
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(file_name_ok(bad[i]));
	memset(lots, 'x', sizeof(lots));
	lots[NAME_LIMIT + 1] = '\0';
	assert_false(file_name_ok(lots));
	lots[NAME_LIMIT] = '\0';
	assert_true(file_name_ok(lots));
}

static void half_written_files_are_known_by_name(void **state)
{
	static const char *const temporary[] = {".a.jpg.Xk39aQ",
						".goutputstream-AB12CD",
						".syncthing.a.jpg.tmp",
						"~syncthing~a.jpg.tmp",
						"._a.jpg",
						".DS_Store",
						".~tmp~",
						"a.jpg.part",
						"a.jpg.1a2b3c4d.partial",
						"a.partial~",
						"a.jpg.crdownload",
						"a.jpg~",
						"~$report.json",
						"Thumbs.db",
						"THUMBS.DB",
						"desktop.ini",
						".a.jpg.swp",
						"a.swp",
						"4913",
						"x.TMP",
						".fuse_hidden0001",
						".nfs0001",
						".tmp-12-0",
						"a.filepart"};
	static const char *const real[] = {"a.jpg",
					   "4913.jpg",
					   "49130",
					   "tmp",
					   "part",
					   "a.tmp.jpg",
					   "Thumbs.jpg",
					   "~a.jpg",
					   "$~a",
					   "partial.jpg",
					   "desktop.ini.json",
					   "a.sync-conflict-1.jpg"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(temporary); i++)
		assert_true(upload_name_is_temporary(temporary[i]));
	for (i = 0; i < ARRAY_LEN(real); i++)
		assert_false(upload_name_is_temporary(real[i]));
}

static void extensions_say_what_a_file_is(void **state)
{
	assert_int_equal(upload_kind_of("a.jpg"), UPLOAD_PICTURE);
	assert_int_equal(upload_kind_of("A.JPG"), UPLOAD_PICTURE);
	assert_int_equal(upload_kind_of("a.b.jpeg"), UPLOAD_PICTURE);
	assert_int_equal(upload_kind_of("a.jpe"), UPLOAD_PICTURE);
	assert_int_equal(upload_kind_of("a.jpg.json"), UPLOAD_SIDECAR);
	assert_int_equal(upload_kind_of("a.Json"), UPLOAD_SIDECAR);
	assert_int_equal(upload_kind_of("a.png"), UPLOAD_OTHER);
	assert_int_equal(upload_kind_of("jpg"), UPLOAD_OTHER);
	assert_int_equal(upload_kind_of(".jpg"), UPLOAD_OTHER);
	assert_int_equal(upload_kind_of("a.jpg "), UPLOAD_OTHER);
	assert_int_equal(upload_kind_of("a."), UPLOAD_OTHER);
	assert_int_equal(upload_kind_of(""), UPLOAD_OTHER);
}

/* The seed's own example: 2020-12-31 15:45:55.123456. */
static void img_id_of_the_seed(void **state)
{
	char id[IMG_ID_MAX + 1];
	struct civil c;
	unsigned dup = 7;

	assert_int_equal(img_id_format(INT64_C(1609425955123456), 0, id), 24);
	assert_string_equal(id, "20201231T15-45-55-123456");
	assert_int_equal(img_id_parse(id, strlen(id), &c, &dup), 0);
	assert_int_equal(dup, 0);
	assert_int_equal(us_from_civil(&c, false), INT64_C(1609425955123456));
	assert_int_equal(img_id_format(INT64_C(1609425955123456), UINT32_MAX, id), 35);
	assert_string_equal(id, "20201231T15-45-55-123456-4294967295");
	assert_int_equal(img_id_parse(id, strlen(id), &c, &dup), 0);
	assert_int_equal(dup, UINT32_MAX);
	assert_true(img_id_format(INT64_MAX, UINT32_MAX, id) <= IMG_ID_MAX);
	assert_true(img_id_format(INT64_MIN, UINT32_MAX, id) <= IMG_ID_MAX);
}

/* Both instants of the repeated hour have one img_id: that is what the suffix is for. */
static void img_id_of_the_repeated_hour(void **state)
{
	char first[IMG_ID_MAX + 1], second[IMG_ID_MAX + 1];

	(void)img_id_format(INT64_C(1603585800000000), 0, first);
	(void)img_id_format(INT64_C(1603589400000000), 0, second);
	assert_string_equal(first, "20201025T02-30-00-000000");
	assert_string_equal(second, first);
}

static void stems_are_split_and_nothing_else_is(void **state)
{
	static const char *const bad[] = {"",
					  "_front",
					  "20201231T15-45-55-123456",
					  "20201231T15-45-55-123456_",
					  "20201231T15-45-55-123456_a b",
					  "20201231T15-45-55-123456_a.jpg",
					  "20201231T15-45-55-123456-_a",
					  "20201231T15-45-55-123456-0_a",
					  "20201231T15-45-55-123456-01_a",
					  "20201231T15-45-55-123456--1_a",
					  "20201231T15-45-55-123456-4294967296_a",
					  "20201231T15-45-55-123456-99999999999999999999_a",
					  "20201331T15-45-55-123456_a",
					  "20210229T15-45-55-123456_a",
					  "20201231T24-45-55-123456_a",
					  "20201231T15-45-60-123456_a",
					  "20201231T15-45-55-12345x_a",
					  "20201231t15-45-55-123456_a",
					  "19691231T15-45-55-123456_a",
					  "20201231T15:45:55.123456_a",
					  "2020123 T15-45-55-123456_a",
					  " 20201231T15-45-55-123456_a"};
	char camera[CAMERA_MAX + 1];
	struct civil c;
	unsigned dup;
	size_t i;

	assert_int_equal(stem_parse("20201231T15-45-55-123456-12_front_door-1", &c, &dup, camera),
			 0);
	assert_int_equal(dup, 12);
	assert_string_equal(camera, "front_door-1");
	assert_int_equal(c.year * 10000 + c.month * 100 + c.day, 20201231);
	assert_int_equal(c.hour * 10000 + c.min * 100 + c.sec, 154555);
	assert_int_equal(c.us, 123456);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		memset(camera, 'z', sizeof(camera));
		assert_int_equal(stem_parse(bad[i], &c, &dup, camera), -EINVAL);
		assert_int_equal(camera[0], 'z');
	}
	assert_int_equal(img_id_parse("20201231T15-45-55-123456_a", 24, &c, &dup), 0);
	assert_int_equal(img_id_parse("20201231T15-45-55-123456", 23, &c, &dup), -EINVAL);
}

static void labels_are_copied(void **state)
{
	char kind[] = "object", value[] = "person", by[] = "me";
	struct label l = {.kind = kind, .value = value, .by = by, .score = 0.5};
	struct labels all = {.looked = false};
	int i;

	assert_int_equal(labels_add(&all, &l), 0);
	kind[0] = value[0] = by[0] = 'X';
	l.by = NULL;
	l.score = NAN;
	assert_int_equal(labels_add(&all, &l), 0);
	assert_string_equal(all.item[0].kind, "object");
	assert_string_equal(all.item[0].value, "person");
	assert_string_equal(all.item[0].by, "me");
	assert_null(all.item[1].by);
	assert_true(isnan(all.item[1].score));
	assert_true(all.looked);
	l.value = NULL;
	assert_int_equal(labels_add(&all, &l), -EINVAL);
	l.value = value;
	for (i = 2; i < 10000; i++)
		assert_int_equal(labels_add(&all, &l), 0);
	assert_int_equal(labels_add(&all, &l), -E2BIG);
	assert_int_equal(all.n, 10000);
	labels_done(&all);
	assert_int_equal(all.n, 0);
	assert_false(all.looked);
}

static void sidecars_free_what_they_own(void **state)
{
	struct sidecar s = {.taken_us = 0};

	sidecar_done(&s); /* an empty one */
	s.img_id = strdup("x");
	s.unknown = strdup("{}");
	s.replica = calloc(2, sizeof(*s.replica));
	s.n_replicas = 2;
	s.replica[0].store = strdup("cloud");
	assert_int_equal(
		labels_add(&s.labels, &(struct label){.kind = s.img_id, .value = s.img_id}), 0);
	sidecar_done(&s);
	assert_null(s.img_id);
	assert_int_equal(s.n_replicas, 0);
	assert_string_equal(time_source_name[TIME_ARRIVAL], "arrival");
	assert_string_equal(time_source_name[TIME_SOURCE], "source");
	assert_string_equal(snap_state_name[STATE_REMOTE], "remote");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cameras_get_plain_names),
		cmocka_unit_test(labels_become_directory_names),
		cmocka_unit_test(file_names_are_one_safe_component),
		cmocka_unit_test(half_written_files_are_known_by_name),
		cmocka_unit_test(extensions_say_what_a_file_is),
		cmocka_unit_test(img_id_of_the_seed),
		cmocka_unit_test(img_id_of_the_repeated_hour),
		cmocka_unit_test(stems_are_split_and_nothing_else_is),
		cmocka_unit_test(labels_are_copied),
		cmocka_unit_test(sidecars_free_what_they_own),
	};

	return cmocka_run_group_tests(tests, in_prague, NULL);
}
