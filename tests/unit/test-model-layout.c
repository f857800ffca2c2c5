/* test-model-layout.c - keys from layouts and back, and keys that nobody should follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shutterfs/model.h"

#define ID "20201231T15-45-55-123456"

static void check_layout(const char *layout, bool good)
{
	const char *why = NULL;
	int r = layout_check(layout, &why);

	assert_int_equal(r, good ? 0 : -EINVAL);
	if (good)
		assert_null(why);
	else
		assert_true(why && *why);
}

static void layouts_are_checked(void **state)
{
	static const char *const good[] = {"{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg",
					   "{stem}.jpg",
					   "{camera}/{img_id}.jpg",
					   "{yyyy}{mm}{dd}/{camera}-{img_id}.jpg",
					   "{yyyy}/{yyyy}-{mm}/{yyyy}-{mm}-{dd}/{stem}.jpg",
					   "a b/\xc3\xa9/{stem}.jpg"};
	static const char *const bad[] = {"",
					  ".jpg",
					  "{stem}",
					  "{stem}.jpeg",
					  "{stem}.JPG",
					  "{img_id}.jpg",
					  "{camera}/{yyyy}.jpg",
					  "/{stem}.jpg",
					  "a//{stem}.jpg",
					  "../{stem}.jpg",
					  "a/./{stem}.jpg",
					  "{stem}/.jpg/",
					  "{hour}/{stem}.jpg",
					  "{YYYY}/{stem}.jpg",
					  "{stem/{camera}.jpg",
					  "{}/{stem}.jpg",
					  "}{stem}.jpg",
					  "{camera}{stem}.jpg",
					  "\n{stem}.jpg"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++)
		check_layout(good[i], true);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		check_layout(bad[i], false);
}

static void check_there_and_back(const char *layout, const char *camera, const char *expected)
{
	char key[KEY_MAX + 1], stem[STEM_MAX + 1];
	struct layout_match m;

	(void)snprintf(stem, sizeof(stem), ID "_%s", camera);
	assert_int_equal(layout_key(layout, camera, ID, key), 0);
	assert_string_equal(key, expected);
	assert_int_equal(layout_match(layout, key, &m), 0);
	assert_string_equal(m.stem, stem);
	if (strstr(layout, "{camera}"))
		assert_string_equal(m.camera, camera);
	else
		assert_string_equal(m.camera, "");
	assert_int_equal(m.year, strstr(layout, "{yyyy}") ? 2020 : 0);
	assert_int_equal(m.month, strstr(layout, "{mm}") ? 12 : 0);
	assert_int_equal(m.day, strstr(layout, "{dd}") ? 31 : 0);
}

static void keys_go_there_and_back(void **state)
{
	check_there_and_back("{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg", "front",
			     "front/2020/12/31/" ID "_front.jpg");
	check_there_and_back("{stem}.jpg", "a_b-c", ID "_a_b-c.jpg");
	check_there_and_back("cams/{camera}x/{img_id}.jpg", "xx", "cams/xxx/" ID ".jpg");
	check_there_and_back("{yyyy}/{yyyy}-{mm}/{yyyy}-{mm}-{dd}/{stem}.jpg", "f",
			     "2020/2020-12/2020-12-31/" ID "_f.jpg");
	/* Where a camera's name could be cut in several places, the one that is ours is found. */
	check_there_and_back("{camera}-{stem}.jpg", "front-door",
			     "front-door-" ID "_front-door.jpg");
	check_there_and_back("{camera}_{img_id}.jpg", "a_b", "a_b_" ID ".jpg");
	check_there_and_back("{img_id}-{camera}.jpg", "1-2", ID "-1-2.jpg");
	check_there_and_back("{camera}{yyyy}{mm}{dd}/{stem}.jpg", "cam2020",
			     "cam202020201231/" ID "_cam2020.jpg");
}

static void keys_need_our_words(void **state)
{
	char key[KEY_MAX + 1] = "untouched", layout[KEY_MAX + 1];

	assert_int_equal(layout_key("{stem}.jpg", "a/b", ID, key), -EINVAL);
	assert_int_equal(layout_key("{stem}.jpg", "", ID, key), -EINVAL);
	assert_int_equal(layout_key("{stem}.jpg", "a", "20201331T15-45-55-123456", key), -EINVAL);
	assert_int_equal(layout_key("{stem}.jpg", "a", "../../x", key), -EINVAL);
	memset(layout, 'x', sizeof(layout));
	memcpy(layout + KEY_MAX - 10, "{stem}.jpg", 11);
	assert_int_equal(layout_key(layout, "a", ID, key), -ENAMETOOLONG);
	layout[200] = '/'; /* one component alone is still too long */
	memcpy(layout + 500, "/{stem}.jpg", 12);
	assert_int_equal(layout_key(layout, "a", ID, key), -ENAMETOOLONG);
	assert_string_equal(key, "untouched");
}

static void other_writers_keys_fit_too(void **state)
{
	struct layout_match m;

	assert_int_equal(layout_match("{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg",
				      "Front Door/2020/02/29/img 7.jpg", &m),
			 0);
	assert_string_equal(m.camera, "Front Door");
	assert_string_equal(m.stem, "img 7");
	assert_int_equal(m.year * 10000 + m.month * 100 + m.day, 20200229);
	assert_int_equal(layout_match("{camera}/{img_id}.jpg", "a/b.jpg", &m), 0);
	assert_string_equal(m.stem, "b");
	assert_int_equal(layout_match("{stem}.jpg", "a.jpg.jpg", &m), 0);
	assert_string_equal(m.stem, "a.jpg");
}

static void keys_that_do_not_fit(void **state)
{
	static const char *const bad[] = {"",
					  "front/2020/12/31/.jpg",
					  "front/2020/12/31/x.jpeg",
					  "front/2020/12/31/x.json",
					  "front/2020/12/31/x.jpg/",
					  "front/2020/12/31/a/x.jpg",
					  "/front/2020/12/31/x.jpg",
					  "/2020/12/31/x.jpg",
					  "front//2020/12/31/x.jpg",
					  "../2020/12/31/x.jpg",
					  "front/2020/12/31/../x.jpg",
					  "./2020/12/31/x.jpg",
					  "front/2020/02/30/x.jpg",
					  "front/2020/13/01/x.jpg",
					  "front/2020/00/01/x.jpg",
					  "front/2020/01/00/x.jpg",
					  "front/0000/01/01/x.jpg",
					  "front/1969/12/31/x.jpg",
					  "front/202/12/31/x.jpg",
					  "front/20201/12/31/x.jpg",
					  "front/2020/1/31/x.jpg",
					  "front/+202/12/31/x.jpg",
					  "front/2020/12/31/x\n.jpg",
					  "front/2020/12/31/\x7f.jpg",
					  "fr\xff/2020/12/31/x.jpg",
					  "front/2020/12/31"};
	struct layout_match m = {.stem = "untouched"};
	char lots[KEY_MAX + 100];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(layout_match("{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg", bad[i], &m),
				 -ENOENT);
	/* Said twice, it must be the same. */
	assert_int_equal(layout_match("{yyyy}/{yyyy}-{mm}/{stem}.jpg", "2020/2021-01/x.jpg", &m),
			 -ENOENT);
	memset(lots, 'x', sizeof(lots));
	memcpy(lots + 252, ".jpg", 5); /* 256 bytes */
	assert_int_equal(layout_match("{stem}.jpg", lots, &m), -ENOENT);
	memcpy(lots + 251, ".jpg", 5);
	assert_int_equal(layout_match("{stem}.jpg", lots, &m), 0);
	for (i = 0; i < sizeof(lots); i += 2)
		memcpy(lots + i, "a/", 2);
	memcpy(lots + sizeof(lots) - 7, "/x.jpg", 7);
	assert_int_equal(layout_match("{stem}.jpg", lots, &m), -ENOENT);
}

/* A key made to have very many ways to be cut is answered at once. */
static void hostile_keys_cost_little(void **state)
{
	char key[256];
	struct layout_match m;
	int64_t start = mono_us();

	memset(key, '-', 250);
	memcpy(key + 250, ".jpg", 5);
	assert_int_equal(layout_match("{camera}-{img_id}-{stem}-x.jpg", key, &m), -ENOENT);
	assert_int_equal(layout_match("{camera}-{img_id}-{stem}.jpg", key, &m), 0);
	assert_true(mono_us() - start < 1000000);
}

static void sidecars_lie_beside(void **state)
{
	char out[KEY_MAX + 1] = "untouched", lots[KEY_MAX + 1];

	assert_int_equal(sidecar_key("a/b.jpg", out), 0);
	assert_string_equal(out, "a/b.json");
	assert_int_equal(sidecar_key("a.b/c.d.JPEG", out), 0);
	assert_string_equal(out, "a.b/c.d.json");
	assert_int_equal(sidecar_key("a.jpg/b", out), -EINVAL);
	assert_int_equal(sidecar_key("a/b.json", out), -EINVAL);
	assert_int_equal(sidecar_key("", out), -EINVAL);
	memset(lots, 'x', sizeof(lots));
	memcpy(lots + KEY_MAX - 4, ".jpg", 5);
	assert_int_equal(sidecar_key(lots, out), -ENAMETOOLONG);
	assert_string_equal(out, "a.b/c.d.json");
}

static int in_prague(void **state)
{
	return zone_set("Europe/Prague");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layouts_are_checked),
		cmocka_unit_test(keys_go_there_and_back),
		cmocka_unit_test(keys_need_our_words),
		cmocka_unit_test(other_writers_keys_fit_too),
		cmocka_unit_test(keys_that_do_not_fit),
		cmocka_unit_test(hostile_keys_cost_little),
		cmocka_unit_test(sidecars_lie_beside),
	};

	return cmocka_run_group_tests(tests, in_prague, NULL);
}
