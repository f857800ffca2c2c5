/* test-codec-stream.c - big JSON files are cut into their items wherever their pieces end, and refused with a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ITEM = 4096 };

static int note(void *user, const char *key, const char *raw, size_t len)
{
	assert_int_equal(strlen(raw), len);
	return buf_printf(user, "%s=%s;", key ? key : "-", raw);
}

/* In pieces of `step` bytes. */
static int run(const char *text, size_t len, size_t step, struct buf *out, char why[WHY_MAX])
{
	struct json_stream *s = NULL;
	int r = json_stream_new(ITEM, note, out, &s);

	for (size_t at = 0; r == 0 && at < len; at += step)
		r = json_stream_feed(s, text + at, len - at < step ? len - at : step, why);
	if (r == 0)
		r = json_stream_end(s, why);
	assert_null(json_stream_free(s));
	return r;
}

static void assert_items(const char *text, const char *want)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		CLEANUP(buf_done) struct buf out = BUF(65536);
		char why[WHY_MAX] = "";

		if (run(text, strlen(text), step, &out, why) != 0)
			fail_msg("%s: %s", text, why);
		assert_string_equal(out.data ? out.data : "", want);
	}
}

static void assert_refused(const char *text, size_t len, int error, const char *want)
{
	for (size_t step = 1; step <= len + 1; step += len / 3 + 1) {
		CLEANUP(buf_done) struct buf out = BUF(65536);
		char why[WHY_MAX] = "";

		assert_int_equal(run(text, len, step, &out, why), error);
		if (!strstr(why, want))
			fail_msg("%s: \"%s\" does not say \"%s\"", text, why, want);
	}
}

static void test_items(void **state)
{
	assert_items("{}", "");
	assert_items(" [ ] \n", "");
	assert_items("{\"a\":{\"x\":[1,2]},\n \"b\" : [ {\"y\":1} , {\"y\":2} ],\"c\":3 }",
		     "a={\"x\":[1,2]};b={\"y\":1};b={\"y\":2};c=3;");
	assert_items("[1,\"a,]}\\\"\\\\\",[],{\"k\":\"}\"},true , null]",
		     "-=1;-=\"a,]}\\\"\\\\\";-=[];-={\"k\":\"}\"};-=true;-=null;");
	assert_items("\xef\xbb\xbf{\"\\u017e\\n\":\"x\",\"e\":[]}", "\xc5\xbe\n=\"x\";");
}

static void test_broken(void **state)
{
	static const struct {
		const char *text, *want;
	} bad[] = {
		{"", "it is empty"},
		{"  \n ", "line 2"},
		{"7", "neither an object nor an array"},
		{"{\"a\":1", "ends too early"},
		{"{\"a\":1,}", "a comma before the end"},
		{"[1,]", "a comma before the end"},
		{"[1 2]", "a comma is missing"},
		{"[,1]", "not a value"},
		{"{\"a\" 1}", "a colon is missing"},
		{"{a:1}", "a key in double quotes"},
		{"{\"a\":1]", "another bracket"},
		{"[1}", "another bracket"},
		{"{\"a\":[1}", "another bracket"},
		{"{} x", "something follows"},
		{"{\"a\":NaN}", "not a value"},
		{"{\"a\":-Infinity}", "not a number"},
		{"{\"ok\":1,\n\"a\":{\"b\":1,\n  \"b\":2}}", "line 3"},
		{"{\"a\":{\"b\":1,\"b\":2}}", "the key \"b\" stands twice"},
		{"{\"a\":\"\xff\"}", "not UTF-8"},
		{"{\"a\":\"x\ny\"}", "control character"},
		{"{\"a\":}", "not a value"},
		{"{\"a\":[}]}", "not a value"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused(bad[i].text, strlen(bad[i].text), -EBADMSG, bad[i].want);
	assert_refused("{\"a\":1\0}", 9, -EBADMSG, "");
}

static void test_limits(void **state)
{
	CLEANUP(buf_done) struct buf deep = BUF(65536), big = BUF(65536);

	(void)buf_str(&deep, "{\"a\":");
	for (int i = 0; i < 100; i++)
		(void)buf_str(&deep, "[");
	for (int i = 0; i < 100; i++)
		(void)buf_str(&deep, "]");
	(void)buf_str(&deep, "}");
	/* the outermost array is one of elements */
	assert_refused(deep.data, deep.len, -EBADMSG, "nested deeper");
	(void)buf_str(&big, "{\"first\":1,\n\"a\":\"");
	for (int i = 0; i < ITEM; i++)
		(void)buf_str(&big, "x");
	(void)buf_str(&big, "\"}");
	assert_refused(big.data, big.len, -EFBIG, "line 2 that is larger than 4 KiB");
}

static int stop(void *user, const char *key, const char *raw, size_t len)
{
	return ++*(int *)user == 2 ? -ECANCELED : 0;
}

static void test_stops(void **state)
{
	struct json_stream *s = NULL;
	char why[WHY_MAX];
	int n = 0;

	assert_int_equal(json_stream_new(ITEM, stop, &n, &s), 0);
	assert_int_equal(json_stream_feed(s, "[1,2,3]", 7, why), -ECANCELED);
	assert_int_equal(n, 2);
	assert_null(json_stream_free(s));
}

/* ---- members of another object ---- */

static void assert_merged(const char *object, const char *more, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	char why[WHY_MAX];

	assert_int_equal(json_merge(object, strlen(object), more, strlen(more), &out, why), 0);
	assert_string_equal(out.data, want);
}

static void test_merge(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	char why[WHY_MAX];

	assert_merged("{\"a\":1}", "{\"b\": {\"c\":2.50} ,\"a\":3}",
		      "{\"a\":1,\"b\":{\"c\":2.50}}");
	assert_merged("{} ", "{\"b\":1,\"c\":2}", "{\"b\":1,\"c\":2}");
	assert_merged("{\"a\":1 }", "{}", "{\"a\":1 }");
	assert_int_equal(json_merge("[]", 2, "{}", 2, &out, why), -EBADMSG);
	assert_int_equal(json_merge("{}", 2, "{\"a\":NaN}", 9, &out, why), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),  cmocka_unit_test(test_broken),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_stops),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
