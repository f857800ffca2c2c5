/* test-codec-document.c - fingerprints of label documents: golden vectors of the system they come from, and what tells
 * duplicates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/codec.h"

#define IMG "20200204T15-23-08-574348"

static struct label_document parsed(const char *text)
{
	struct label_document d;
	char why[WHY_MAX];
	int r = label_document_parse(text, strlen(text), IMG, &d, why);

	if (r < 0)
		fail_msg("%s: %s", text, why);
	return d;
}

static void assert_fp1(const char *text, const char *want)
{
	struct label_document d = parsed(text);

	assert_string_equal(d.fp1, want);
	label_document_done(&d);
}

static void assert_same(const char *a, const char *b, bool want)
{
	struct label_document x = parsed(a), y = parsed(b);

	if ((memcmp(x.fp2.b, y.fp2.b, sizeof(x.fp2.b)) == 0) != want)
		fail_msg("%s and %s: %s one document", a, b, want ? "are" : "are not");
	label_document_done(&x);
	label_document_done(&y);
}

#define LABEL(by, dir, speed, dirs, speeds)                                         \
	"{\"created_by\":" by ",\"label_direction\":" dir ",\"label_speed\":" speed \
	",\"nb_of_direction\":" dirs ",\"nb_of_speed\":" speeds "}"
#define DOC(img, label) "{\"img_id\":" img ",\"label\":" label "}"

static void test_golden(void **state)
{
	assert_fp1(DOC("\"" IMG "\"", LABEL("\"auto\"", "2", "1", "5", "2")),
		   "50b65c5a54c4fc04ba9859307755ddf8");
	/* md5 of "20200204T15-23-08-574348autoNoneNone52" */
	assert_fp1(DOC("\"" IMG "\"", LABEL("\"auto\"", "null", "null", "5", "2")),
		   "1ee19bd98bd93bbeeeb820fa7bbf3693");
	/* the picture's own img_id where the document has none; created_by beside the label */
	assert_fp1("{\"created_by\":\"auto\",\"label\":{\"label_direction\":2,\"label_speed\":1,"
		   "\"nb_of_direction\":5,\"nb_of_speed\":2}}",
		   "50b65c5a54c4fc04ba9859307755ddf8");
	/* a forged one counts for nothing */
	assert_fp1("{\"label_fingerprint\":\"f00d\",\"img_id\":\"" IMG
		   "\",\"label\":" LABEL("\"auto\"", "2", "1", "5", "2") "}",
		   "50b65c5a54c4fc04ba9859307755ddf8");
}

static void test_collision(void **state)
{
	static const char img[] = "\"20200101T00-00-00-000000\"";
	char a[512], b[512];

	(void)snprintf(a, sizeof(a), DOC("%s", LABEL("\"auto\"", "1", "12", "5", "2")), img);
	(void)snprintf(b, sizeof(b), DOC("%s", LABEL("\"auto\"", "11", "2", "5", "2")), img);
	assert_fp1(a, "35261da0ef2e0bdd60bdbeabb4115dcc");
	assert_fp1(b, "35261da0ef2e0bdd60bdbeabb4115dcc");
	assert_same(a, b, false);
	assert_same(DOC("1", LABEL("\"bob1\"", "2", "1", "5", "2")),
		    DOC("1", LABEL("\"bob\"", "12", "1", "5", "2")), false);
}

/* What Python's str() makes of what json.loads gives; the md5 of each, of nothing but the speed, with None for the rest. */
static void test_python_text(void **state)
{
	static const struct {
		const char *json, *md5;
	} row[] = {
#include "test-codec-document.h"
	};
	char text[256];

	assert_true(ARRAY_LEN(row) > 20);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		(void)snprintf(text, sizeof(text), "{\"img_id\":1,\"label\":{\"label_speed\":%s}}",
			       row[i].json);
		assert_fp1(text, row[i].md5);
	}
}

static void test_duplicates(void **state)
{
	static const char base[] = DOC("7", LABEL("\"me\"", "2", "1", "5", "2"));

	assert_same(base, base, true);
	assert_same(base, DOC("7", LABEL("\"me\"", "2.0", "1e0", "5", "20e-1")), true);
	assert_same(
		base,
		"{\"note\":[1,2],\"img_id\":7,\"label\":" LABEL("\"me\"", "2", "1", "5", "2") "}",
		true);
	assert_same(base, DOC("7", LABEL("\"me\"", "2.5", "1", "5", "2")), false);
	assert_same(base, DOC("7", LABEL("\"you\"", "2", "1", "5", "2")), false);
	assert_same(base, DOC("8", LABEL("\"me\"", "2", "1", "5", "2")), false);
	assert_same(DOC("7", LABEL("\"me\"", "null", "1", "5", "2")),
		    DOC("7", LABEL("\"me\"", "\"None\"", "1", "5", "2")), false);
	assert_same(DOC("7", LABEL("\"me\"", "-0.0", "1", "5", "2")),
		    DOC("7", LABEL("\"me\"", "0", "1", "5", "2")), true);
	assert_same(DOC("7", "{}"), DOC("7", "{\"label_speed\":null}"), true);
}

static void test_body(void **state)
{
	struct label_document d = parsed(
		"{ \"a\" : [1,\n 2.50, \" x \\\" y \"],\"label_fingerprint\":\"0\",\"big\":12345678901234567890,"
		"\"label\" : {\"created_by\" : \"m\\u00e9\"} }");
	char want[256];

	(void)snprintf(want, sizeof(want),
		       "{\"a\":[1,2.50,\" x \\\" y \"],\"label_fingerprint\":\"%s\","
		       "\"big\":12345678901234567890,\"label\":{\"created_by\":\"m\\u00e9\"}}",
		       d.fp1);
	assert_string_equal(d.body, want);
	assert_string_equal(d.created_by, "m\xc3\xa9");
	label_document_done(&d);
	d = parsed("{}");
	assert_null(d.created_by);
	(void)snprintf(want, sizeof(want), "{\"label_fingerprint\":\"%s\"}", d.fp1);
	assert_string_equal(d.body, want);
	label_document_done(&d);
	d = parsed("{\"created_by\":\"\"}");
	assert_string_equal(d.created_by, "");
	label_document_done(&d);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",    "[]", "7", "{", "{\"a\":1,\"a\":2}", "{\"a\":NaN}", "{\"label\":{\"x\":}}",
		"{} x"};
	struct label_document d;
	char why[WHY_MAX];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(label_document_parse(bad[i], strlen(bad[i]), IMG, &d, why),
				 -EBADMSG);
		assert_true(why[0] != '\0');
	}
}

static int count(void *user, const char *key, const char *raw, size_t len)
{
	assert_null(key);
	assert_true(len > 0);
	++*(int *)user;
	return 0;
}

static void test_arrays(void **state)
{
	char why[WHY_MAX];
	int n = 0;

	assert_int_equal(json_scan_array(" [1 , {\"a\":[2]},[3],\"x\"] ", 25, count, &n, why), 0);
	assert_int_equal(n, 4);
	n = 0;
	assert_int_equal(json_scan_array("[]", 2, count, &n, why), 0);
	assert_int_equal(n, 0);
	assert_int_equal(json_scan_array("{}", 2, count, &n, why), -EBADMSG);
	assert_non_null(strstr(why, "not an array"));
	assert_int_equal(json_scan_array("[1,]", 4, count, &n, why), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),      cmocka_unit_test(test_collision),
		cmocka_unit_test(test_python_text), cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_body),        cmocka_unit_test(test_refused),
		cmocka_unit_test(test_arrays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
