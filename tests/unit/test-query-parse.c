/* test-query-parse.c - what a query may say, and what is said about one that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct query *parsed(const char *text)
{
	struct query *q = NULL;
	char why[WHY_MAX];

	if (query_parse(text, strlen(text), &q, why) < 0)
		fail_msg("%s: %s", text, why);
	return q;
}

static void accepted(void **state)
{
	static const struct {
		const char *text;
		size_t clauses;
		bool needs_should, by_document;
	} want[] = {
		{"{}", 0, false, false},
		{"\xef\xbb\xbf {\n}", 0, false, false},
		{"{\"camera\":\"front\",\"after\":\"2026-11-01\",\"before\":\"2026-11-02T10:00Z\"}",
		 3, false, false},
		{"{\"camera\":[\"a\",\"b\"],\"starred\":true,\"rating\":4}", 3, false, false},
		{"{\"label\":[\"object/person\",\"dog\",\"scene/\"],\"text\":\"a b\"}", 2, false,
		 true},
		{"{\"created_by\":\"auto\",\"label.label_direction\":2}", 2, false, true},
		{"{\"event\":{\"type\":\"\",\"query\":\"\"},\"x\":{\"type\":\"\",\"bool\":7}}", 0,
		 false, false},
		{"{\"event\":{\"type\":\"match\",\"query\":\"left\",\"bool\":\"should\"}}", 1, true,
		 true},
		{"{\"a\":{\"type\":\"term\",\"query\":1,\"bool\":\"should\"},\"b\":{\"type\":\"exists\","
		 "\"bool\":\"filter\"}}",
		 2, false, true},
		{"{\"label\":{\"type\":\"range\",\"field\":\"label_speed\",\"gte\":1,\"lt\":3.5}}",
		 1, false, true},
		{"{\"taken\":{\"type\":\"range\",\"gt\":\"2026-11-01T08:00:00+01:00\"}}", 1, false,
		 false},
		{"{\"camera\":{\"type\":\"wildcard\",\"query\":\"fr*\"}}", 1, false, false},
		{"{\"img_id\":{\"type\":\"match\",\"query\":\"20201231T15-45-55-123456\"}}", 1,
		 false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct query *q = parsed(want[i].text);

		assert_int_equal(q->n, want[i].clauses);
		assert_int_equal(q->needs_should, want[i].needs_should);
		assert_int_equal(q->by_document, want[i].by_document);
		(void)query_free(q);
	}
}

static void refused(void **state)
{
	static const struct {
		const char *text, *why;
	} want[] = {
		{"", "is not valid JSON at line 1, column 1"},
		{"[]", "is not an object"},
		{"{\"camera\":\n \"front\",}", "line 2, column 10"},
		{"{\"camera\":\"a\",\"camera\":\"b\"}", "stands twice"},
		{"{\"camra\":\"front\"}", "\"camra\" is no field of a picture"},
		{"{\"camera\":null}", "\"camera\" has a value that is no text"},
		{"{\"camera\":\"\"}", "\"camera\" has a value that is empty"},
		{"{\"camera\":[]}", "\"camera\" says no value"},
		{"{\"camera\":[[\"a\"]]}", "\"camera\" has a value that is no text"},
		{"{\"starred\":\"maybe\"}", "\"starred\" is true or false, not \"maybe\""},
		{"{\"starred\":1}", "\"starred\" is true or false"},
		{"{\"rating\":\"good\"}", "\"rating\" is a number"},
		{"{\"after\":\"yesterday\"}", "\"after\": \"yesterday\" is neither a date"},
		{"{\"after\":\"2026-02-30\"}", "is neither a date"},
		{"{\"after\":[\"2026-02-01\",\"2026-02-02\"]}", "\"after\" is one date"},
		{"{\"before\":{\"type\":\"range\",\"gt\":\"2026-01-01\"}}",
		 "\"before\" is one date"},
		{"{\"label\":\"/\"}", "names no label"},
		{"{\"text\":\"!?\"}", "has no word"},
		{"{\"text\":{\"type\":\"term\",\"query\":\"a\"}}", "can only be matched"},
		{"{\"x\":{\"query\":1}}", "\"x\" has no \"type\""},
		{"{\"x\":{\"type\":\"fuzzy\",\"query\":1}}", "\"x\": \"fuzzy\" is no type: match,"},
		{"{\"x\":{\"type\":7,\"query\":1}}", "\"x\": \"7\" is no type"},
		{"{\"x\":{\"type\":\"term\"}}", "\"x\" says no value"},
		{"{\"x\":{\"type\":\"range\"}}", "\"x\" says no value"},
		{"{\"x\":{\"type\":\"range\",\"query\":1}}", "\"x\" says no value"},
		{"{\"x\":{\"type\":\"term\",\"query\":1,\"gte\":2}}",
		 "gt, gte, lt and lte are for"},
		{"{\"x\":{\"type\":\"term\",\"query\":1,\"bool\":\"maybe\"}}",
		 "\"maybe\" is no \"bool\": must, filter, should, must_not"},
		{"{\"x\":{\"type\":\"term\",\"query\":1,\"fuzziness\":2}}",
		 "\"x\": \"fuzziness\" is no part of a clause"},
		{"{\"x\":{\"type\":\"term\",\"query\":1,\"field\":2}}", "is no name for \"field\""},
		{"{\"x\":{\"type\":\"match\",\"query\":\"a b\",\"operator\":\"xor\"}}",
		 "\"xor\" is no \"operator\""},
		{"{\"label\":{\"type\":\"range\",\"gte\":\"a\"}}", "\"label\" has no range"},
		{"{\"width\":{\"type\":\"prefix\",\"query\":\"1\"}}", "\"width\" has no beginning"},
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct query *q = NULL;
		char why[WHY_MAX] = "";
		int r = query_parse(want[i].text, strlen(want[i].text), &q, why);

		if (r != -EBADMSG || !strstr(why, want[i].why))
			fail_msg("%s: %d \"%s\", not \"%s\"", want[i].text, r, why, want[i].why);
		assert_null(q);
	}
}

static void limits(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF(1 << 20);
	struct query *q = NULL;
	char why[WHY_MAX];

	for (unsigned n = QUERY_CLAUSES; n <= QUERY_CLAUSES + 1; n++) {
		text.len = 0;
		(void)buf_str(&text, "{");
		for (unsigned i = 0; i < n; i++)
			(void)buf_printf(&text, "%s\"a.f%u\":%u", i ? "," : "", i, i);
		(void)buf_str(&text, "}");
		if (n == QUERY_CLAUSES) {
			assert_int_equal(query_parse(text.data, text.len, &q, why), 0);
			q = query_free(q);
			continue;
		}
		assert_int_equal(query_parse(text.data, text.len, &q, why), -EBADMSG);
		assert_string_equal(why, "has more than 256 clauses");
	}
	text.len = 0;
	(void)buf_str(&text, "{\"a.b\":[1");
	for (unsigned i = 0; i < QUERY_VALUES; i++)
		(void)buf_str(&text, ",1");
	(void)buf_str(&text, "]}");
	assert_int_equal(query_parse(text.data, text.len, &q, why), -EBADMSG);
	assert_non_null(strstr(why, "more than 1024 values"));
	text.len = 0;
	(void)buf_printf(&text, "{}%*s", QUERY_BYTES, "");
	assert_int_equal(query_parse(text.data, text.len, &q, why), -EBADMSG);
	assert_string_equal(why, "is longer than 64 KiB");
}

static void typed_words(void **state)
{
	static const char *const word[] = {"camera:front",      "label!=object/dog",
					   "taken>=2026-11-01", "label.label_speed<3",
					   "bicycle",           "after:2026-11-01"};
	struct query *q = NULL;
	char why[WHY_MAX];

	assert_int_equal(query_words(word, ARRAY_LEN(word), &q, why), 0);
	assert_int_equal(q->n, ARRAY_LEN(word));
	assert_int_equal(q->clause[0].field, FIELD_CAMERA);
	assert_int_equal(q->clause[1].want, WANT_NOT);
	assert_string_equal(q->clause[1].value[0].label_kind, "object");
	assert_string_equal(q->clause[1].value[0].label_value, "dog");
	assert_int_equal(q->clause[2].value[0].bound, BOUND_GTE);
	assert_true(q->clause[2].value[0].is_day);
	assert_string_equal(q->clause[3].path, "label.label_speed");
	assert_int_equal(q->clause[3].value[0].bound, BOUND_LT);
	assert_int_equal(q->clause[4].field, FIELD_TEXT);
	assert_string_equal(q->clause[4].value[0].words, " bicycle ");
	assert_int_equal(q->clause[5].test, TEST_RANGE);
	(void)query_free(q);
}

static void typed_words_that_are_wrong(void **state)
{
	static const struct {
		const char *word, *why;
	} want[] = {{"camra:front", "\"camra\" is no field"},
		    {"camera:", "\"camera\" has a value that is empty"},
		    {"starred:yes", "true or false"},
		    {"text>3", "can only be matched"},
		    {"...", "no word"}};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct query *q = NULL;
		char why[WHY_MAX];

		assert_int_equal(query_words(&want[i].word, 1, &q, why), -EBADMSG);
		if (!strstr(why, want[i].why))
			fail_msg("%s: \"%s\"", want[i].word, why);
	}
}

static void folding(void **state)
{
	static const struct {
		const char *text, *want;
	} tests[] = {{"", ""},
		     {" -- ", ""},
		     {"Left", " left "},
		     {"(Left_turn),  2nd!", " left_turn 2nd "},
		     {"\xc5\xbdLU\xc5\xa4OU\xc4\x8cK\xc3\x9d K\xc5\xae\xc5\x87",
		      " \xc5\xbelu\xc5\xa5ou\xc4\x8dk\xc3\xbd k\xc5\xaf\xc5\x88 "},
		     {"a\xff\xc3z", " a z "}};
	struct query *q = parsed("{}");

	for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
		CLEANUP(buf_done) struct buf out = BUF(256);

		assert_int_equal(fold(q->locale, tests[i].text, strlen(tests[i].text), &out), 0);
		assert_string_equal(out.data, tests[i].want);
	}
	(void)query_free(q);
}

/* One value of one document each. */
static void values(void **state)
{
	static const struct {
		const char *clause, *have;
		enum json_type type;
		bool fits;
	} want[] = {
		{"{\"type\":\"term\",\"query\":2}", "2.0", JSON_NUMBER, true},
		{"{\"type\":\"term\",\"query\":2}", "2", JSON_STRING, true},
		{"{\"type\":\"term\",\"query\":\"2\"}", "2", JSON_NUMBER, true},
		{"{\"type\":\"term\",\"query\":\"02\"}", "2", JSON_STRING, false},
		{"{\"type\":\"term\",\"query\":9007199254740993}", "9007199254740992", JSON_NUMBER,
		 false},
		{"{\"type\":\"term\",\"query\":true}", "true", JSON_TRUE, true},
		{"{\"type\":\"term\",\"query\":\"Left\"}", "left", JSON_STRING, false},
		{"{\"type\":\"match\",\"query\":\"Left\"}", "turn left", JSON_STRING, true},
		{"{\"type\":\"match\",\"query\":\"Left\"}", "leftish", JSON_STRING, false},
		{"{\"type\":\"match\",\"field\":\"keyword\",\"query\":\"left\"}", "turn left",
		 JSON_STRING, false},
		{"{\"type\":\"match\",\"query\":2}", "2.0", JSON_NUMBER, true},
		{"{\"type\":\"match\",\"query\":2}", "lane 2", JSON_STRING, true},
		{"{\"type\":\"match_phrase\",\"query\":\"left turn\"}", "a left  TURN", JSON_STRING,
		 true},
		{"{\"type\":\"match_phrase\",\"query\":\"left turn\"}", "turn left", JSON_STRING,
		 false},
		{"{\"type\":\"prefix\",\"query\":\"tur\"}", "turn", JSON_STRING, true},
		{"{\"type\":\"wildcard\",\"query\":\"t?r*\"}", "turn/left", JSON_STRING, true},
		{"{\"type\":\"wildcard\",\"query\":\"t?r\"}", "turn", JSON_STRING, false},
		{"{\"type\":\"range\",\"gte\":1,\"lt\":3}", "2.99", JSON_NUMBER, true},
		{"{\"type\":\"range\",\"gte\":1,\"lt\":3}", "3", JSON_NUMBER, false},
		{"{\"type\":\"range\",\"gte\":1}", "3", JSON_STRING, true},
		{"{\"type\":\"range\",\"gte\":1}", "three", JSON_STRING, false},
		{"{\"type\":\"range\",\"gte\":\"2020-01\"}", "2020-01-05", JSON_STRING, true},
		{"{\"type\":\"range\",\"gte\":\"2020-01\"}", "true", JSON_TRUE, false},
		{"{\"type\":\"exists\"}", "x", JSON_STRING, true},
		{"{\"type\":\"exists\"}", "null", JSON_NULL, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		CLEANUP(buf_done) struct buf text = BUF(4096);
		struct have h = {want[i].type, want[i].have, strlen(want[i].have)};
		struct query *q;

		(void)buf_printf(&text, "{\"x\":%s}", want[i].clause);
		q = parsed(text.data);
		if (have_fits(q, &q->clause[0], 0, h) != want[i].fits)
			fail_msg("%s: %s", want[i].clause, want[i].have);
		(void)query_free(q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(typed_words),
		cmocka_unit_test(typed_words_that_are_wrong),
		cmocka_unit_test(folding),
		cmocka_unit_test(values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
