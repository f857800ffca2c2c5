/* test-dataset.c - what query.json of a dataset asks for, the names of classes, and splits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

static void parse(const char *text, struct spec *ret)
{
	char why[WHY_MAX] = "";
	int r = spec_parse(text, strlen(text), ret, why);

	if (r < 0)
		fail_msg("%s: %s", text, why);
}

static void a_query_alone(void **state)
{
	CLEANUP(spec_done) struct spec s = {0};

	parse(" {\"label\":\"object/person\"}\n", &s);
	assert_memory_equal(s.query, "{\"label\":\"object/person\"}", 25);
	assert_null(s.kind);
	assert_null(s.field);
	assert_string_equal(s.seed, "");
	assert_true(s.share[0] == 0.8 && s.share[1] == 0.1 && s.share[2] == 0.1);
}

static void with_classes_split_and_seed(void **state)
{
	CLEANUP(spec_done) struct spec s = {0};
	CLEANUP(spec_done) struct spec f = {0};

	parse("{\"query\":{\"camera\":\"a\"},\"classes\":\"obj/ect\",\"split\":{\"train\":3,\"test\":1},"
	      "\"seed\":42}",
	      &s);
	assert_string_equal(s.query, "{\"camera\":\"a\"}");
	assert_string_equal(s.kind, "obj-ect");
	assert_string_equal(s.seed, "42");
	assert_true(s.share[0] == 0.75 && s.share[1] == 0 && s.share[2] == 0.25);
	parse("{\"query\":{},\"classes\":{\"field\":\"label.label_direction\"},\"seed\":\"x\"}",
	      &f);
	assert_string_equal(f.field, "label.label_direction");
	assert_string_equal(f.seed, "x");
}

static void errors_name_the_place(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "line 1"},
		{"[]", "object"},
		{"{\"query\":[]}", "\"query\""},
		{"{\"query\":{},\"clases\":\"object\"}", "\"clases\""},
		{"{\"query\":{},\"classes\":7}", "\"classes\""},
		{"{\"query\":{},\"classes\":\"\"}", "\"classes\""},
		{"{\"query\":{},\"classes\":{\"field\":\"\"}}", "\"classes\""},
		{"{\"query\":{},\"split\":0.8}", "\"split\""},
		{"{\"query\":{},\"split\":{\"train\":1,\"val\":1}}", "\"split\""},
		{"{\"query\":{},\"split\":{\"train\":-1}}", "\"train\""},
		{"{\"query\":{},\"split\":{\"test\":\"1\"}}", "\"test\""},
		{"{\"query\":{},\"split\":{\"train\":0}}", "\"split\""},
		{"{\"query\":{},\"seed\":[1]}", "\"seed\""},
		{"{\"query\":{},\"query\":{}}", "query"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(spec_done) struct spec s = {0};
		char why[WHY_MAX] = "";

		assert_int_equal(spec_parse(bad[i].text, strlen(bad[i].text), &s, why), -EBADMSG);
		if (!strstr(why, bad[i].why))
			fail_msg("%s: %s", bad[i].text, why);
		assert_null(s.query);
	}
}

static void large_ones_are_refused(void **state)
{
	CLEANUP(spec_done) struct spec s = {0};
	CLEANUP(buf_done) struct buf text = BUF(1024 * 1024);
	char why[WHY_MAX] = "";

	(void)buf_str(&text, "{\"query\":{},\"seed\":\"");
	while (text.len < DATASET_QUERY_BYTES)
		(void)buf_str(&text, "0123456789abcdef");
	(void)buf_str(&text, "\"}");
	assert_int_equal(spec_parse(text.data, text.len, &s, why), -EFBIG);
	assert_non_null(strstr(why, "65536"));
}

static void classes_are_no_words_of_splits(void **state)
{
	static const struct {
		const char *value, *name;
	} c[] = {
		{"person", "person"},
		{"a/b", "a-b"},
		{"train", "class=train"},
		{"training", "class=training"},
		{"test-car", "class=test-car"},
		{"my test", "class=my =test"},
		{"x.val.1", "class=x.=val.1"},
		{"eval2", "class=eval2"},
		{"trainer", "trainer"},
		{"latest", "latest"},
		{"Test", "Test"},
		{"a=b", "class=a==b"},
		{"class=train", "class=class==train"},
		{"my =test", "class=my ==test"},
		{"", "-"},
	};
	char out[CLASS_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		class_name_from(c[i].value, out);
		if (strcmp(out, c[i].name) != 0)
			fail_msg("%s: %s, not %s", c[i].value, out, c[i].name);
	}
}

/* The longest value there is, at its worst. */
static void class_names_fit(void **state)
{
	char value[LABEL_MAX + 1], out[CLASS_MAX + 1];

	memset(value, '=', LABEL_MAX);
	value[LABEL_MAX] = '\0';
	class_name_from(value, out);
	assert_int_equal(strlen(out), 6 + 2 * LABEL_MAX);
	for (int i = 0; i < LABEL_MAX; i++)
		value[i] = "val."[i % 4];
	class_name_from(value, out);
	assert_true(strlen(out) <= CLASS_MAX);
}

static void classes_are_in_order(void **state)
{
	static const char *const name[] = {"car", "a", "person", "b", "car", "10", "2"};
	static const char *const order[] = {"10", "2", "a", "b", "car", "person"};
	CLEANUP(class_set_done) struct class_set c = {0};
	size_t at;

	for (size_t i = 0; i < ARRAY_LEN(name); i++)
		assert_int_equal(class_set_add(&c, name[i], &at), 0);
	assert_int_equal(c.n, ARRAY_LEN(order));
	for (size_t i = 0; i < c.n; i++) {
		assert_string_equal(c.item[i].name, order[i]);
		assert_int_equal(class_set_find(&c, order[i], &at), 0);
		assert_int_equal(at, i);
	}
	assert_int_equal(class_set_find(&c, "c", &at), -ENOENT);
}

static void splits_have_their_shares(void **state)
{
	CLEANUP(spec_done) struct spec s = {0};
	CLEANUP(spec_done) struct spec other = {0};
	int n[DATASET_SPLITS] = {0}, moved = 0;

	parse("{\"query\":{},\"split\":{\"train\":0.7,\"validation\":0.2,\"test\":0.1}}", &s);
	parse("{\"query\":{},\"split\":{\"train\":0.7,\"validation\":0.2,\"test\":0.1},\"seed\":1}",
	      &other);
	for (int i = 0; i < 10000; i++) {
		char day[16];
		enum dataset_split split;

		(void)snprintf(day, sizeof(day), "%04d-%02d-%02d", 2000 + i / 365, i / 31 % 12 + 1,
			       i % 31 + 1);
		split = split_of(&s, i % 2 ? "front" : "garden", day);
		assert_int_equal(split_of(&s, i % 2 ? "front" : "garden", day), split);
		moved += split_of(&other, i % 2 ? "front" : "garden", day) != split;
		n[split]++;
	}
	/* The hash is fixed, so these are: within three standard deviations. */
	assert_in_range(n[0], 6860, 7140);
	assert_in_range(n[1], 1880, 2120);
	assert_in_range(n[2], 910, 1090);
	assert_in_range(moved, 4000, 5200);
	assert_int_equal(split_of(&s, "front", "2026-11-22"), DATASET_TRAIN);
}

static void no_share_no_pictures(void **state)
{
	CLEANUP(spec_done) struct spec s = {0};
	char day[16];

	parse("{\"query\":{},\"split\":{\"train\":0,\"validation\":0,\"test\":1}}", &s);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(day, sizeof(day), "%d", i);
		assert_int_equal(split_of(&s, "c", day), DATASET_TEST);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_alone),
		cmocka_unit_test(with_classes_split_and_seed),
		cmocka_unit_test(errors_name_the_place),
		cmocka_unit_test(large_ones_are_refused),
		cmocka_unit_test(classes_are_no_words_of_splits),
		cmocka_unit_test(class_names_fit),
		cmocka_unit_test(classes_are_in_order),
		cmocka_unit_test(splits_have_their_shares),
		cmocka_unit_test(no_share_no_pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
