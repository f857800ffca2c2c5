/* test-exchange.c - records find their pictures and are counted; files of other programs become records, and go out again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test-catalog.h"

#include "shutterfs/exchange.h"
#include "shutterfs/query.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>

#define ok(call) assert_int_equal((call), 0)

struct seen {
	struct buf items, refused;
	struct exchange *x; /* takes them in, unless NULL */
};

static int on_item(void *user, const char *item, size_t len)
{
	struct seen *s = user;

	assert_int_equal(strlen(item), len);
	(void)buf_printf(&s->items, "%s\n", item);
	return s->x ? exchange_record(s->x, item, len) : 0;
}

static void on_refused(void *user, const char *subject, const char *why)
{
	struct seen *s = user;
	const char *slash = strrchr(subject, '/');

	(void)buf_printf(&s->refused, "%s: %s\n", slash ? slash + 1 : subject, why);
}

static const char *put(struct fixture *f, const char *name, const char *text)
{
	static char path[256];
	char dir[256];

	(void)snprintf(path, sizeof(path), "%s/in/%s", f->dir, name);
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	ok(make_dirs(dir, 0700));
	ok(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600));
	return path;
}

/* What is read of a path, as records; `refused` of what is wrong. */
static void reads(const char *path, enum exchange_format format, struct exchange *x,
		  const char *items, const char *refused)
{
	struct seen s = {.items = BUF(1 << 20), .refused = BUF(65536), .x = x};

	if (x) {
		x->refused = on_refused;
		x->user = &s;
	}
	ok(exchange_read(path, format, on_item, on_refused, &s));
	if (items)
		assert_string_equal(s.items.data ? s.items.data : "", items);
	assert_string_equal(s.refused.data ? s.refused.data : "", refused);
	buf_done(&s.items);
	buf_done(&s.refused);
}

static void test_labels_json(void **state)
{
	struct fixture *f = *state;

	reads(put(f, "a.json", "{\"" T0_IMG "\":{\"n\":1},\n\"b\":[{\"n\":2},{\"n\":3}],\"c\":4}"),
	      EXCHANGE_AUTO, NULL,
	      "{\"name\":\"" T0_IMG "\",\"document\":{\"n\":1}}\n"
	      "{\"name\":\"b\",\"document\":{\"n\":2}}\n{\"name\":\"b\",\"document\":{\"n\":3}}\n",
	      "c: it is not a label document\n");
	reads(put(f, "b.json", "[{\"img_id\":\"x\"}]"), EXCHANGE_AUTO, NULL,
	      "{\"name\":null,\"document\":{\"img_id\":\"x\"}}\n", "");
	reads(put(f, "labels.json", "{\"any\":{}}"), EXCHANGE_AUTO, NULL,
	      "{\"name\":\"any\",\"document\":{}}\n", "");
	reads(put(f, "labels.json", "{\"any\":{},\"x\":NaN}"), EXCHANGE_AUTO, NULL, NULL,
	      "labels.json: is not valid JSON at line 1, column 15: not a value\n");
	reads("/nowhere/x.json", EXCHANGE_AUTO, NULL, "", "x.json: No such file or directory\n");
}

static void test_coco(void **state)
{
	struct fixture *f = *state;
	static const char coco[] =
		"{\"annotations\":[{\"id\":1,\"image_id\":2,\"category_id\":1,\"bbox\":[10,0,10,50],"
		"\"segmentation\":[[1,2,3]]},{\"id\":2,\"image_id\":9,\"category_id\":1},"
		"{\"id\":3,\"image_id\":2,\"category_id\":1,\"kind\":\"animal\"}],"
		"\"images\":[{\"id\":1,\"file_name\":\"a/one.jpg\"},{\"id\":2,\"file_name\":\"two.jpg\","
		"\"width\":100,\"height\":100},{\"id\":3}],\"categories\":[{\"id\":1,\"name\":\"fox\"}]}";

	reads(put(f, "x.json", coco), EXCHANGE_AUTO, NULL,
	      "{\"name\":\"a/one.jpg\",\"sidecar\":{\"schema\":\"shutterfs/1\",\n \"labels\":[]}\n}\n"
	      "{\"name\":\"two.jpg\",\"sidecar\":{\"schema\":\"shutterfs/1\",\n \"labels\":["
	      "{\"kind\":\"object\",\"value\":\"fox\",\"box\":[0.1,0,0.1,0.5],\"by\":\"coco\"},"
	      "{\"kind\":\"animal\",\"value\":\"fox\",\"by\":\"coco\"}]}\n}\n",
	      "{\"id\":3}: it has no file name\n");
	reads(put(f, "md.json",
		  "{\"images\":[{\"file\":\"x/a.jpg\",\"detections\":[{\"category\":\"1\",\"conf\":0.5,"
		  "\"bbox\":[0,0,1,1]}]},{\"file\":\"b.jpg\",\"failure\":\"x\"}],"
		  "\"detection_categories\":{\"1\":\"animal\"}}"),
	      EXCHANGE_AUTO, NULL,
	      "{\"name\":\"x/a.jpg\",\"sidecar\":{\"schema\":\"shutterfs/1\",\n \"labels\":["
	      "{\"kind\":\"object\",\"value\":\"animal\",\"score\":0.5,\"box\":[0,0,1,1],"
	      "\"by\":\"megadetector\"}]}\n}\n",
	      "");
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	char dir[128];

	(void)put(f, "set/labels/a.txt", "0 0.5 0.5 0.2 0.4\n");
	(void)put(f, "set/labels/b.txt", "7 0.5 0.5 0.2 0.4\n");
	(void)put(f, "set/data.yaml", "names: [fox]\n");
	(void)put(f, "set/photo.png", "x");
	(void)put(f, "set/c.jpg.json", "{\"tags\":[\"a/b\"]}");
	(void)snprintf(dir, sizeof(dir), "%s/in/set", f->dir);
	struct seen s = {.items = BUF(1 << 20), .refused = BUF(65536)};

	ok(exchange_read(dir, EXCHANGE_AUTO, on_item, on_refused, &s));
	assert_non_null(strstr(s.items.data, "{\"name\":\"a.jpg\",\"sidecar\":"));
	assert_non_null(strstr(s.items.data, "\"value\":\"fox\",\"box\":[0.4,0.3,0.2,0.4]"));
	assert_non_null(strstr(s.items.data, "{\"name\":\"c.jpg\",\"sidecar\":"));
	assert_string_equal(s.refused.data, "b.txt: line 1: class 7, but the list has 1 classes\n");
	buf_done(&s.items);
	buf_done(&s.refused);
}

static void test_records_that_are_none(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.items = BUF(1), .refused = BUF(65536)};
	struct exchange x = {.cat = f->c, .by = "test", .refused = on_refused, .user = &s};
	CLEANUP(buf_done) struct buf long_one = BUF(65536);
	static const char *const bad[] = {"",
					  "[]",
					  "{}",
					  "{\"name\":7,\"sidecar\":{}}",
					  "{\"name\":\"a\",\"sidecar\":[]}",
					  "{\"name\":\"a\",\"document\":{\"x\":NaN}}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ok(exchange_record(&x, bad[i], strlen(bad[i])));
	(void)buf_str(&long_one, "{\"document\":{},\"name\":\"");
	for (int i = 0; i < 3000; i++)
		(void)buf_str(&long_one, "x");
	(void)buf_str(&long_one, "\"}");
	ok(exchange_record(&x, long_one.data, long_one.len));
	assert_int_equal(x.taken[TAKEN_BAD] + x.taken[TAKEN_UNKNOWN], ARRAY_LEN(bad) + 1);
	buf_done(&s.refused);
}

static void test_taken(void **state)
{
	struct fixture *f = *state;
	struct exchange x = {.cat = f->c, .by = "test"};
	int64_t id = snap_at(f->c, "front", T0, 1);
	struct sidecar s = {0};
	char text[128];
	const char *file = put(
		f, "labels.json",
		"{\"" T0_IMG "\":[{\"label\":{\"label_speed\":1}},{\"label\":{\"label_speed\":1}},"
		"{\"label\":{\"label_speed\":2},\"to_delete\":true}],\"" T0_IMG
		"_front\":{\"label\":{\"label_speed\":3}},\"20200101T00-00-00-000000\":{}}");

	reads(file, EXCHANGE_AUTO, &x, NULL,
	      T0_IMG ": the picture has this document (EEXIST): a duplicate\n" T0_IMG
		     ": the picture has no such document to delete\n"
		     "20200101T00-00-00-000000: there is no picture of that name\n");
	exchange_say(&x, text, sizeof(text));
	assert_string_equal(text, "2 taken in, 1 duplicates, 2 without a picture");
	/* labels come to those that are there, and a second time nothing changes */
	for (int i = 0; i < 2; i++) {
		x = (struct exchange){.cat = f->c, .by = "test"};
		reads(put(f, "x.json",
			  "{\"images\":[{\"id\":1,\"file_name\":\"" T0_IMG
			  "_front.jpg\"}],\"categories\":[{\"id\":1,\"name\":\"fox\"}],"
			  "\"annotations\":[{\"image_id\":1,\"category_id\":1}]}"),
		      EXCHANGE_AUTO, &x, NULL,
		      i ? T0_IMG "_front.jpg: the picture has all of it already\n" : "");
		assert_int_equal(x.taken[i ? TAKEN_SAME : TAKEN_ADDED], 1);
	}
	reads(put(f, T0_IMG ".jpg.json", "{\"tags\":[\"place/lake\"],\"comment\":\"hi\"}"),
	      EXCHANGE_AUTO, &x, NULL, "");
	ok(catalog_sidecar(f->c, id, &s));
	assert_int_equal(s.labels.n, 2);
	assert_string_equal(s.labels.item[0].value, "fox");
	assert_string_equal(s.labels.item[1].value, "lake");
	assert_string_equal(s.comment, "hi");
	sidecar_done(&s);
}

/* ---- out ---- */

static int add_line(void *user, const char *line)
{
	return buf_printf(user, "%s\n", line);
}

static bool go_on(void *user)
{
	return false;
}

static void writes(struct fixture *f, enum exchange_format format, struct buf *out)
{
	struct exchange_export x = {
		.cat = f->c, .tmp = f->dir, .write = add_line, .stop = go_on, .user = out};
	struct query *q = NULL;
	char why[WHY_MAX];

	ok(query_words(NULL, 0, &q, why));
	ok(exchange_write(&x, format, q));
	(void)query_free(q);
	if (format == EXCHANGE_COCO) {
		assert_int_equal(x.not_looked, 1);
		assert_int_equal(x.no_box, 1);
	}
}

static void test_out_and_in_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf coco = BUF(1 << 20), yolo = BUF(1 << 20), es = BUF(1 << 20);
	struct label box = {.kind = (char *)"animal",
			    .value = (char *)"fox",
			    .by = (char *)"me",
			    .score = 0.5,
			    .has_box = true,
			    .box = {0.25, 0.5, 0.5, 0.25}},
		     plain = {.kind = (char *)"object", .value = (char *)"dog", .score = NAN};
	int64_t id = snap_at(f->c, "front", T0, 1);
	struct exchange x;
	struct sidecar s = {0};

	(void)snap_at(f->c, "front", T0 + 1000000, 2);
	ok(catalog_label_add(f->c, id, &box));
	ok(catalog_label_add(f->c, id, &plain));
	ok(catalog_document_add(f->c, id, "{\n\"label\":{}}", "x", NULL));
	writes(f, EXCHANGE_YOLO, &yolo);
	assert_string_equal(yolo.data, "{\"file\":\"labels/" T0_IMG "_front.txt\",\"lines\":["
				       "\"0 0.500000 0.625000 0.500000 0.250000\"]}\n"
				       "{\"file\":\"classes.txt\",\"lines\":[\"fox\"]}\n");
	writes(f, EXCHANGE_ELASTIC, &es);
	assert_non_null(strstr(es.data, "{\"create\":{\"_id\":\""));
	assert_null(strstr(es.data, "{\n"));
	writes(f, EXCHANGE_COCO, &coco);
	assert_non_null(strstr(coco.data,
			       "\"file_name\":\"cameras/front/2020-12-31/" T0_IMG "_front.jpg\""));
	assert_non_null(strstr(coco.data, "\"bbox\":[480,540,960,270]"));
	ok(catalog_tags(f->c, id, &(struct labels){.looked = true}, "x"));
	x = (struct exchange){.cat = f->c, .by = "test"};
	reads(put(f, "coco.json", coco.data), EXCHANGE_AUTO, &x, NULL, "");
	ok(catalog_sidecar(f->c, id, &s));
	assert_int_equal(s.labels.n, 1);
	assert_string_equal(s.labels.item[0].kind, "animal");
	assert_string_equal(s.labels.item[0].by, "me");
	assert_memory_equal(s.labels.item[0].box, box.box, sizeof(box.box));
	sidecar_done(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_labels_json),           TEST(test_coco),  TEST(test_directory),
		TEST(test_records_that_are_none), TEST(test_taken), TEST(test_out_and_in_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
