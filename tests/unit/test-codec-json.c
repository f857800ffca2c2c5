/* test-codec-json.c - sidecars round trip to the byte, foreign ones are understood, broken ones are refused with a place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static int parse(const char *text, struct sidecar *s, char why[WHY_MAX])
{
	memset(s, 0, sizeof(*s));
	return sidecar_parse(text, strlen(text), s, why);
}

static void assert_refused(const char *text, const char *want)
{
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(parse(text, &s, why), -EBADMSG);
	if (!strstr(why, want))
		fail_msg("\"%s\" does not say \"%s\"", why, want);
}

static void assert_rendered(const char *text, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES);
	struct sidecar s;
	char why[WHY_MAX];

	if (parse(text, &s, why) != 0)
		fail_msg("%s", why);
	assert_int_equal(sidecar_render(&s, &out), 0);
	assert_string_equal(out.data, want);
	sidecar_done(&s);
}

/* ---- round trips ---- */

static const char golden[] =
	"{\"schema\":\"shutterfs/1\",\n"
	" \"img_id\":\"20201231T15-45-55-123456\",\n"
	" \"file\":\"20201231T15-45-55-123456_front.jpg\",\n"
	" \"camera\":\"front\",\n"
	" \"group\":\"home\",\n"
	" \"taken\":\"2020-12-31T15:45:55.123456+01:00\",\n"
	" \"time_source\":\"exif\",\n"
	" \"mime\":\"image/jpeg\",\n"
	" \"size\":183422,\n"
	" \"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\n"
	" \"width\":1920,\n"
	" \"height\":1080,\n"
	" \"starred\":false,\n"
	" \"state\":\"synced\",\n"
	" \"replicas\":[{\"store\":\"cloud\",\"key\":\"a/b.jpg\",\"etag\":\"d41d8cd9\"},{\"store\":\"nas\",\"key\":\"c.jpg\"}],\n"
	" \"labels\":[{\"kind\":\"object\",\"value\":\"person\",\"score\":0.93,\"box\":[0.1,0.2,0.3,0.4],"
	"\"by\":\"rekognition\"},{\"kind\":\"label\",\"value\":\"cat \\\"Tom\\\"\"}],\n"
	" \"documents\":[{\"label_fingerprint\":\"50b6\", \"id\": 9007199254740993,\"n\":1.10}],\n"
	" \"event\":{\"id\":12345678901234567890},\n"
	" \"origin\":{},\n"
	" \"extra\":{\"a\":[1,2,{}]},\n"
	" \"caption\":\"h\\u00e9llo\",\n"
	" \"rating\":1e2,\n"
	" \"a\\\"b\":null}\n";

static void golden_round_trip(void **state)
{
	assert_rendered(golden, golden);
}

static void every_field(void **state)
{
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(parse(golden, &s, why), 0);
	assert_string_equal(s.img_id, "20201231T15-45-55-123456");
	assert_string_equal(s.camera, "front");
	assert_true(s.has_taken);
	assert_int_equal(s.taken_us, 1609425955123456);
	assert_int_equal(s.zone_min, 60);
	assert_int_equal(s.time_source, TIME_EXIF);
	assert_int_equal(s.size, 183422);
	assert_true(s.has_sha);
	assert_int_equal(s.sha.b[0], 0xba);
	assert_true(s.has_starred && !s.starred);
	assert_int_equal(s.state, STATE_SYNCED);
	assert_int_equal(s.n_replicas, 2);
	assert_null(s.replica[1].etag);
	assert_int_equal(s.labels.n, 2);
	assert_true(s.labels.item[0].score == 0.93 && s.labels.item[0].box[3] == 0.4);
	assert_true(isnan(s.labels.item[1].score) && !s.labels.item[1].has_box);
	assert_string_equal(s.event, "{\"id\":12345678901234567890}");
	assert_string_equal(s.unknown,
			    "{\"caption\":\"h\\u00e9llo\",\"rating\":1e2,\"a\\\"b\":null}");
	sidecar_done(&s);
}

static void empty_and_absent_labels_differ(void **state)
{
	assert_rendered("{}", "{\"schema\":\"shutterfs/1\"}\n");
	assert_rendered("{\"labels\":[]}", "{\"schema\":\"shutterfs/1\",\n \"labels\":[]}\n");
	assert_rendered("\xef\xbb\xbf { \"labels\" : null }\r\n", "{\"schema\":\"shutterfs/1\"}\n");
}

static void unknown_yields_to_what_is_known_now(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(
		parse("{\"img_id\":42,\"event\":\"door\",\"origin\":[1],\"label\":{\"x\":1},\"note\":1}",
		      &s, why),
		0);
	assert_null(s.img_id);
	assert_null(s.event);
	assert_false(s.labels.looked);
	assert_string_equal(
		s.unknown,
		"{\"img_id\":42,\"event\":\"door\",\"origin\":[1],\"label\":{\"x\":1},\"note\":1}");
	s.img_id = strdup("20201231T15-45-55-123456");
	s.event = strdup("{}");
	assert_int_equal(sidecar_render(&s, &out), 0);
	assert_string_equal(
		out.data,
		"{\"schema\":\"shutterfs/1\",\n \"img_id\":\"20201231T15-45-55-123456\",\n \"state\":\"local\",\n"
		" \"event\":{},\n \"origin\":[1],\n \"label\":{\"x\":1},\n \"note\":1}\n");
	sidecar_done(&s);
}

static void rendering_respects_the_cap(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(100);
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(parse(golden, &s, why), 0);
	assert_int_equal(sidecar_render(&s, &out), -EFBIG);
	sidecar_done(&s);
}

/* ---- labels in every accepted form ---- */

static void assert_label(const struct labels *l, size_t i, const char *kind, const char *value)
{
	assert_true(i < l->n);
	assert_string_equal(l->item[i].kind, kind);
	assert_string_equal(l->item[i].value, value);
}

static void label_forms(void **state)
{
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(
		parse("{\"labels\":[\"cat\",\"object/person\",{\"value\":\"dog\"},\"/x\",\"y/\",\"a/b/c\"],"
		      "\"label\":\"car\",\"tags\":[\"night\",\"place/yard\"]}",
		      &s, why),
		0);
	assert_int_equal(s.labels.n, 9);
	assert_label(&s.labels, 0, "label", "cat");
	assert_label(&s.labels, 1, "object", "person");
	assert_label(&s.labels, 2, "label", "dog");
	assert_label(&s.labels, 3, "label", "/x");
	assert_label(&s.labels, 4, "label", "y/");
	assert_label(&s.labels, 5, "a", "b/c");
	assert_label(&s.labels, 6, "label", "car");
	assert_label(&s.labels, 7, "label", "night");
	assert_label(&s.labels, 8, "place", "yard");
	assert_null(s.unknown);
	sidecar_done(&s);
	assert_int_equal(
		parse("{\"tags\":\"one\",\"labels\":[{\"kind\":\"k\",\"value\":\"\\ud83d\\ude00\",\"score\":null,"
		      "\"box\":null,\"by\":null}]}",
		      &s, why),
		0);
	assert_label(&s.labels, 0, "label", "one");
	assert_label(&s.labels, 1, "k", "\xf0\x9f\x98\x80");
	sidecar_done(&s);
}

static void wrong_values_are_named(void **state)
{
	assert_refused("{\"labels\":{\"cat\":1}}", "\"labels\" is not an array");
	assert_refused("{\"labels\":[7]}", "neither an object nor a string");
	assert_refused("{\"labels\":[\"\"]}", "label without text");
	assert_refused("{\"labels\":[{\"kind\":\"object\"}]}", "kind or value");
	assert_refused("{\"labels\":[{\"value\":\"x\",\"score\":1e999}]}", "score");
	assert_refused("{\"labels\":[{\"value\":\"x\",\"box\":[1,2,3]}]}", "4 numbers");
	assert_refused("{\"labels\":[{\"value\":\"x\",\"box\":[10,20,300,400]}]}",
		       "between 0 and 1");
	assert_refused("{\"labels\":[{\"value\":\"x\",\"by\":3}]}", "\"by\"");
	assert_refused("{\"tags\":[1]}", "\"tags\" has an element");
	assert_refused("{\"schema\":\"shutterfs/2\"}", "newer program");
	assert_refused("{\"camera\":5}", "\"camera\" is not a string");
	assert_refused("{\"taken\":\"yesterday\"}", "\"taken\" is not a time");
	assert_refused("{\"taken\":1609425955}", "\"taken\" is not a string");
	assert_refused("{\"time_source\":\"guess\"}", "not known");
	assert_refused("{\"state\":\"gone\"}", "not known");
	assert_refused("{\"size\":-1}", "out of range");
	assert_refused("{\"size\":1.5}", "out of range");
	assert_refused("{\"width\":\"1920\"}", "\"width\" is not a number");
	assert_refused("{\"sha256\":\"abc\"}", "64 hexadecimal");
	assert_refused("{\"starred\":1}", "true or false");
	assert_refused("{\"replicas\":[{\"store\":\"x\"}]}", "replicas: key");
	assert_refused("{\"replicas\":[1]}", "not an object");
}

/* ---- strictness ---- */

static void broken_json(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", "it is empty"},
		{"  ", "it is empty"},
		{"[]", "not an object"},
		{"null", "not an object"},
		{"{", "ends within an object"},
		{"{\"a\"", "colon"},
		{"{\"a\":", "too early"},
		{"{\"a\":1", "too early"},
		{"{\"a\":1,}", "a key in double quotes"},
		{"{'a':1}", "a key in double quotes"},
		{"{a:1}", "a key in double quotes"},
		{"{\"a\" 1}", "colon"},
		{"{\"a\":[1 2]}", "comma"},
		{"{\"a\":[1,]}", "not a value"},
		{"{\"a\":NaN}", "not a value"},
		{"{\"a\":-Infinity}", "not a number"},
		{"{\"a\":tru}", "not a value"},
		{"{\"a\":01}", "leading zero"},
		{"{\"a\":+1}", "not a value"},
		{"{\"a\":1.}", "point"},
		{"{\"a\":.5}", "not a value"},
		{"{\"a\":1e}", "exponent"},
		{"{\"a\":\"x}", "within a string"},
		{"{\"a\":\"\\x\"}", "escape"},
		{"{\"a\":\"\\u12g4\"}", "hexadecimal"},
		{"{\"a\":\"\\u12", "within an escape"},
		{"{\"a\":\"\\", "escape"},
		{"{\"a\":\"\\ud800\"}", "lone surrogate"},
		{"{\"a\":\"\\udc00\"}", "lone surrogate"},
		{"{\"a\":\"\\ud800\\u0041\"}", "lone surrogate"},
		{"{\"a\":\"\\ud800x\"}", "lone surrogate"},
		{"{\"a\":\"\\u0000\"}", "NUL"},
		{"{\"a\":\"\x01\"}", "control character"},
		{"{\"a\":\"\n\"}", "control character"},
		{"{\"a\":\"\xff\"}", "not UTF-8"},
		{"{\"a\":\"\xc0\xaf\"}", "not UTF-8"},
		{"{\"a\":\"\xed\xa0\x80\"}", "not UTF-8"},
		{"{\"a\":\"\xf4\x90\x80\x80\"}", "not UTF-8"},
		{"{\"a\":\"\xe2\x82\"}", "not UTF-8"},
		{"{\"a\":1,\"a\":2}", "\"a\" stands twice"},
		{"{\"a\":1,\"b\":3,\"\\u0061\":2}", "\"a\" stands twice"},
		{"{\"x\":{\"b\":1,\"c\":[{\"d\":1,\"d\":1}]}}", "\"d\" stands twice"},
		{"{\"\":1,\"\":2}", "\"\" stands twice"},
		{"{} {}", "something follows"},
		{"{}x", "something follows"},
		{"// no\n{}", "not an object"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(cases[i].text, cases[i].want);
	assert_refused("{\"a\":1,\n \"b\":x}", "line 2, column 6");
	assert_refused("{\"a\\nb\":1,\"a\\nb\":2}", "\"a b\" stands twice");
}

static void same_key_in_different_objects(void **state)
{
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(
		parse("{\"a\":{\"a\":{\"a\":1},\"b\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}", &s,
		      why),
		0);
	sidecar_done(&s);
}

static void nul_bytes_end_nothing(void **state)
{
	static const char text[] = "{\"labels\":[]\0}";
	struct sidecar s;
	char why[WHY_MAX];

	assert_int_equal(sidecar_parse(text, sizeof(text) - 1, &s, why), -EBADMSG);
	assert_int_equal(sidecar_parse("{}\0", 3, &s, why), -EBADMSG);
}

static void depth(void **state)
{
	static const unsigned depths[] = {63, 64, 65, 1001, 200000};
	CLEANUP(buf_done) struct buf b = BUF(SIDECAR_BYTES);
	struct sidecar s;
	char why[WHY_MAX];

	for (size_t k = 0; k < ARRAY_LEN(depths); k++) {
		int r;

		b.len = 0;
		buf_str(&b, "{\"a\":"); /* one level */
		for (unsigned i = 1; i < depths[k]; i++)
			buf_str(&b, "[");
		for (unsigned i = 1; i < depths[k]; i++)
			buf_str(&b, "]");
		assert_int_equal(buf_str(&b, "}"), 0);
		r = sidecar_parse(b.data, b.len, &s, why);
		assert_int_equal(r, depths[k] <= 64 ? 0 : -EBADMSG);
		if (r == 0)
			sidecar_done(&s);
		else
			assert_non_null(strstr(why, "nested deeper than 64"));
	}
}

/* ---- size ---- */

static long peak_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void bombs_cost_little(void **state)
{
	enum { BOMB = 16 * 1024 * 1024 };
	CLEANUP(buf_done) struct buf b = BUF(BOMB + 100);
	struct sidecar s;
	char why[WHY_MAX];
	long before;

	buf_str(&b, "{\"extra\":{\"a\":[1");
	while (b.len < BOMB)
		buf_str(&b, ",1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1");
	assert_int_equal(buf_str(&b, "]}}"), 0);
	before = peak_kb();
	assert_int_equal(sidecar_parse(b.data, b.len, &s, why), -EFBIG);
	assert_non_null(strstr(why, "1024 KiB"));
	assert_true(peak_kb() - before < 1024);
	/* as large as may be, in a member that is kept as text: nothing is built for it */
	b.len = SIDECAR_BYTES - 4;
	b.data[b.len - 1] = '1';
	assert_int_equal(buf_str(&b, "]}}"), 0);
	assert_int_equal(sidecar_parse(b.data, b.len, &s, why), 0);
	assert_int_equal(strlen(s.extra), b.len - strlen("{\"extra\":}"));
	sidecar_done(&s);
	assert_true(peak_kb() - before < 64 * 1024);
}

static void many_members_are_not_quadratic(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(SIDECAR_BYTES);
	struct sidecar s;
	char why[WHY_MAX];
	int64_t start = mono_us();

	buf_str(&b, "{\"0\":0");
	for (int i = 1; i < 80000; i++)
		buf_printf(&b, ",\"%d\":0", i);
	assert_int_equal(buf_str(&b, "}"), 0);
	assert_int_equal(sidecar_parse(b.data, b.len, &s, why), 0);
	sidecar_done(&s);
	assert_true(mono_us() - start < 5 * 1000000);
}

static void too_many_labels(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(SIDECAR_BYTES);
	struct sidecar s;
	char why[WHY_MAX];

	buf_str(&b, "{\"labels\":[\"x\"");
	for (int i = 0; i < 10000; i++)
		buf_str(&b, ",\"y\"");
	assert_int_equal(buf_str(&b, "]}"), 0);
	assert_int_equal(sidecar_parse(b.data, b.len, &s, why), -EBADMSG);
	assert_non_null(strstr(why, "10,000"));
}

/* ---- the writer ---- */

static void writer(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	struct json j = {.out = &out};

	json_object(&j, NULL);
	json_string(&j, "s", "a\"\\\n\t\x01\x7f\xc3\xa9\xff\xc3");
	json_string(&j, "none", NULL);
	json_array(&j, "list");
	json_int(&j, NULL, INT64_MIN);
	json_double(&j, NULL, 0.1);
	json_double(&j, NULL, 1.0 / 3);
	json_double(&j, NULL, NAN);
	json_bool(&j, NULL, true);
	json_object(&j, NULL);
	json_end(&j, '}');
	json_array(&j, NULL);
	json_end(&j, ']');
	json_end(&j, ']');
	json_raw(&j, "raw", "[1, 2]");
	json_raw(&j, "no", NULL);
	json_end(&j, '}');
	assert_int_equal(out.error, 0);
	assert_string_equal(
		out.data,
		"{\"s\":\"a\\\"\\\\\\n\\t\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\",\"none\":null,"
		"\"list\":[-9223372036854775808,0.1,0.3333333333333333,null,true,{},[]],"
		"\"raw\":[1, 2],\"no\":null}");
}

static void writer_error_sticks(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF(10);
	struct json j = {.out = &out};

	json_array(&j, NULL);
	for (int i = 0; i < 100; i++)
		json_string(&j, NULL, "text");
	json_end(&j, ']');
	assert_int_equal(out.error, -EFBIG);
	assert_true(out.len <= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_round_trip),
		cmocka_unit_test(every_field),
		cmocka_unit_test(empty_and_absent_labels_differ),
		cmocka_unit_test(unknown_yields_to_what_is_known_now),
		cmocka_unit_test(rendering_respects_the_cap),
		cmocka_unit_test(label_forms),
		cmocka_unit_test(wrong_values_are_named),
		cmocka_unit_test(broken_json),
		cmocka_unit_test(same_key_in_different_objects),
		cmocka_unit_test(nul_bytes_end_nothing),
		cmocka_unit_test(depth),
		cmocka_unit_test(bombs_cost_little),
		cmocka_unit_test(many_members_are_not_quadratic),
		cmocka_unit_test(too_many_labels),
		cmocka_unit_test(writer),
		cmocka_unit_test(writer_error_sticks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
