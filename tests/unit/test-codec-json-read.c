/* test-codec-json-read.c - JSON read where it lies: every kind of value, walks, escapes, and texts that end anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct json_text checked(const char *text)
{
	struct json_text v = {0};
	char why[WHY_MAX];

	if (json_read(text, strlen(text), &v, why) < 0)
		fail_msg("%s", why);
	return v;
}

static void assert_text(struct json_text v, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);

	assert_int_equal(json_plain(v, &out), 0);
	assert_string_equal(out.data, want);
}

static void every_type(void **state)
{
	static const struct {
		const char *key;
		enum json_type type;
		const char *text;
	} want[] = {
		{"null", JSON_NULL, "null"},
		{"yes", JSON_TRUE, "true"},
		{"no", JSON_FALSE, "false"},
		{"n", JSON_NUMBER, "-1.50e3"},
		{"s", JSON_STRING, "a\"b\xc3\xa9"},
		{"empty", JSON_STRING, ""},
		{"a", JSON_ARRAY, "[1, [2,\"]\"],{}]"},
		{"o", JSON_OBJECT, "{ \"k\" : \"}\" }"},
		{"none", JSON_NONE, NULL},
	};
	struct json_text v = checked(
		"\xef\xbb\xbf {\"null\":null,\"yes\":true ,\"no\":false\n,\"n\":-1.50e3,\"s\":\"a\\\"b\\u00e9\","
		"\"empty\":\"\",\"a\":[1, [2,\"]\"],{}],\"o\":{ \"k\" : \"}\" }}");

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct json_text got = json_get(v, want[i].key);

		assert_int_equal(json_type(got), want[i].type);
		if (want[i].text)
			assert_text(got, want[i].text);
	}
	assert_true(json_is(json_get(v, "s"), "a\"b\xc3\xa9"));
	assert_false(json_is(json_get(v, "s"), "a"));
	assert_false(json_is(json_get(v, "n"), "-1.50e3"));
	assert_int_equal(json_type(json_get(json_get(v, "a"), "k")), JSON_NONE);
}

static void keys_with_escapes(void **state)
{
	struct json_text v = checked("{\"la\\u0062el\":1,\"a\\\\\":{\"x\":2}}");

	assert_text(json_get(v, "label"), "1");
	assert_text(json_get(json_get(v, "a\\"), "x"), "2");
}

static void walks(void **state)
{
	struct json_text key, v,
		rest = json_inside(checked(" { \"a\" : [ ] , \"b\":[1 , 2,3 ] }  "));
	unsigned n = 0;

	assert_true(json_next(&rest, &key, &v));
	assert_true(json_is(key, "a"));
	rest = json_inside(v);
	assert_false(json_next(&rest, NULL, &v));
	rest = json_inside(json_get(checked("{\"b\":[1 , 2,3 ]}"), "b"));
	while (json_next(&rest, NULL, &v)) {
		long double d;

		assert_true(json_number(v, &d));
		assert_true(d == ++n);
	}
	assert_int_equal(n, 3);
	rest = json_inside(json_get(checked("{\"b\":7}"), "b"));
	assert_false(json_next(&rest, NULL, &v));
}

static void numbers(void **state)
{
	long double d;
	char text[256] = "{\"n\":";

	assert_true(json_number(json_get(checked("{\"n\":9007199254740993}"), "n"), &d));
	assert_true(d == 9007199254740993.0L);
	assert_true(json_number(json_get(checked("{\"n\":-0.5e1}"), "n"), &d));
	assert_true(d == -5);
	assert_false(json_number(json_get(checked("{\"n\":\"1\"}"), "n"), &d));
	memset(text + 5, '9', 200);
	text[205] = '}';
	assert_false(json_number(json_get(checked(text), "n"), &d));
}

static void refused(void **state)
{
	struct json_text v;
	char why[WHY_MAX];

	assert_int_equal(json_read("{\"a\":1,\n}", 9, &v, why), -EBADMSG);
	assert_non_null(strstr(why, "line 2, column 1"));
	assert_int_equal(json_read("[]", 2, &v, why), -EBADMSG);
}

/* The check comes first in the program; memory must not hang on it. */
static void unchecked_text_of_any_end(void **state)
{
	static const char whole[] = "{\"a\\\"\":[1,{\"b\":\"c\\u0041\"}],\"d\":true}";

	for (size_t n = 0; n < sizeof(whole); n++) {
		CLEANUP(freep) char *cut = malloc(n ? n : 1);
		CLEANUP(buf_done) struct buf out = BUF(4096);
		struct json_text key, v, rest, in;

		assert_non_null(cut);
		memcpy(cut, whole, n);
		rest = json_inside((struct json_text){cut, n});
		while (json_next(&rest, &key, &v)) {
			(void)!json_plain(key, &out);
			for (in = json_inside(v); json_next(&in, NULL, &key);)
				(void)!json_plain(json_get(key, "b"), &out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type), cmocka_unit_test(keys_with_escapes),
		cmocka_unit_test(walks),      cmocka_unit_test(numbers),
		cmocka_unit_test(refused),    cmocka_unit_test(unchecked_text_of_any_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
