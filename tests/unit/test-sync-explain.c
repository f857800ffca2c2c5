/* What a listed object is, from its key alone: pure, and fed with keys from anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/sync_private.h"

#include <stdlib.h>
#include <string.h>

#define MODIFIED INT64_C(1609425955123456) /* 2020-12-31T15:45:55.123456+01:00 */

static char name[] = "cloud", layout[] = "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg";
static const struct store_config conf = {.name = name, .layout = layout};

static struct explained *explained(const char *key, uint64_t size)
{
	static struct explained e;

	explain(&conf, key, "etag", size, MODIFIED, &e);
	return &e;
}

static void every_bad_key_has_an_error(void **state)
{
	static const char *const bad[] = {
		"",
		"/a.jpg",
		"a//b.jpg",
		"../a.jpg",
		"a/../b.jpg",
		"./a.jpg",
		"a/./b.jpg",
		"a/b.jpg/",
		"a/",
		"..",
		"a\x01.jpg",
		"a\n.jpg",
		"a\x7f.jpg",
		"a\xff.jpg",
		"a\xc0\xaf.jpg",
		"a/\xed\xa0\x80.jpg",
		"\xc2\x85.jpg",
		"a/README",
		"a/b.png",
		"a/.json",
		"a/b.jpg.xmp",
		"noextension",
		"..jpg/..",
		"a/\xf5\x80\x80\x80.jpg",
	};
	char key[KEY_MAX + 3];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (!explained(bad[i], 100)->listed.error)
			print_error("\"%s\" has no error\n", bad[i]);
		assert_non_null(explained(bad[i], 100)->listed.error);
	}
	/* 300 bytes of one name, and a key that is too long as a whole */
	memset(key, 'x', 300);
	memcpy(key + 300, ".jpg", 5);
	assert_non_null(strstr(explained(key, 100)->listed.error, "longer than 255"));
	for (size_t i = 0; i < KEY_MAX + 1; i++)
		key[i] = i % 100 == 99 ? '/' : 'x';
	memcpy(key + KEY_MAX - 3, ".jpg", 5);
	assert_non_null(strstr(explained(key, 100)->listed.error, "1024"));
	memcpy(key + KEY_MAX - 4, ".jpg", 5);
	assert_null(explained(key, 100)->listed.error);
	assert_non_null(explained("a/b.jpg", 0)->listed.error);
	assert_non_null(explained("a/b.jpg", PICTURE_BYTES + 1ull)->listed.error);
	assert_non_null(explained("a/b.jpg", UINT64_MAX)->listed.error);
	assert_non_null(explained("a/b.json", SIDECAR_BYTES + 1)->listed.error);
}

static void ours_are_known_by_their_stem(void **state)
{
	const struct listed *l =
		&explained("front/2020/12/31/20201231T15-45-55-123456_front.jpg", 100)->listed;

	assert_null(l->error);
	assert_string_equal(l->stem, "20201231T15-45-55-123456_front");
	assert_string_equal(l->camera, "front");
	assert_int_equal(l->taken_us, MODIFIED);
	assert_int_equal(l->zone_min, 60);
	assert_int_equal(l->time_source, TIME_SOURCE);
	assert_false(l->is_sidecar);
	/* a stem of ours outside the layout is a stranger's */
	l = &explained("x/20201231T15-45-55-123456_front.jpg", 100)->listed;
	assert_null(l->stem);
	assert_string_equal(l->camera, "x");
	assert_int_equal(l->taken_us, MODIFIED);
	assert_int_equal(l->time_source, TIME_NAME);
}

static void strangers_by_layout_name_and_date(void **state)
{
	const struct listed *l;

	l = &explained("Garten S\xc3\xbc"
		       "d/2020/12/31/154500.jpg",
		       100)
		     ->listed;
	assert_null(l->error);
	assert_null(l->stem);
	assert_string_equal(l->camera, "Garten-S-d");
	assert_string_equal(l->title, "Garten S\xc3\xbc"
				      "d");
	assert_int_equal(l->taken_us, MODIFIED - 55123456);
	assert_int_equal(l->time_source, TIME_NAME);
	/* only a date: LastModified of that day says more, of another day nothing */
	l = &explained("front/2020/12/31/IMG.jpg", 100)->listed;
	assert_int_equal(l->taken_us, MODIFIED);
	assert_int_equal(l->time_source, TIME_MTIME);
	l = &explained("front/2019/01/02/IMG.jpg", 100)->listed;
	assert_int_equal(l->taken_us, INT64_C(1546383600000000)); /* 2019-01-02T00:00+01:00 */
	assert_int_equal(l->time_source, TIME_NAME);
	/* no date anywhere, no directory: the store stands for the camera */
	l = &explained("IMG.jpg", 100)->listed;
	assert_string_equal(l->camera, "cloud");
	assert_int_equal(l->taken_us, MODIFIED);
	l = &explained("deep/er/IMG.JPEG", 100)->listed;
	assert_string_equal(l->camera, "deep");
	/* the hour that the clock repeats: 02:30 summer time comes first */
	l = &explained("front/20201025_023000.jpg", 100)->listed;
	assert_int_equal(l->taken_us, INT64_C(1603585800000000));
	assert_int_equal(l->zone_min, 120);
}

static void sidecars_name_their_picture(void **state)
{
	const struct explained *e = explained("a/b.json", 10);

	assert_null(e->listed.error);
	assert_true(e->listed.is_sidecar);
	assert_string_equal(e->listed.picture_key, "a/b.jpg");
	assert_string_equal(explained("a/b.jpeg.json", 10)->listed.picture_key, "a/b.jpeg");
	assert_string_equal(explained("a/b.JPG.JSON", 10)->listed.picture_key, "a/b.JPG");
	assert_true(explained("a/b.json", 0)
			    ->listed.is_sidecar); /* broken, which its reader will say */
}

static void random_keys_do_no_harm(void **state)
{
	static const char bytes[] = "ab/.-_0123456789TjpgsonJ\xc3\xa9\xff\x01 {}";
	char key[80];
	unsigned seed = 7;

	for (unsigned i = 0; i < 200000; i++) {
		size_t n = (size_t)rand_r(&seed) % (sizeof(key) - 6);

		for (size_t k = 0; k < n; k++)
			key[k] = bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
		memcpy(key + n, i % 2 ? ".jpg" : ".json", 6 - i % 2);
		const struct listed *l =
			&explained(key, 1 + (uint64_t)rand_r(&seed) % 4096)->listed;

		if (!l->error && !l->is_sidecar)
			assert_true(camera_name_ok(l->camera));
		if (!l->error && l->is_sidecar)
			assert_true(l->picture_key[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_key_has_an_error),
		cmocka_unit_test(ours_are_known_by_their_stem),
		cmocka_unit_test(strangers_by_layout_name_and_date),
		cmocka_unit_test(sidecars_name_their_picture),
		cmocka_unit_test(random_keys_do_no_harm),
	};

	return zone_set("Europe/Prague") == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
