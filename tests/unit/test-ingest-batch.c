/* test-ingest-batch.c - labels.json in upload/: applied, duplicate, unknown and bad records, in any order with their pictures, over
 * restarts. */
#include "test-ingest.h"

#define ID "20201231T15-45-55-000000"
#define ID2 "20201231T15-46-00-000000"
#define GONE "{\"to_delete\":true,\"label\":{\"created_by\":\"auto\",\"label_speed\":1}}"
#define DOC(speed) "{\"label\":{\"created_by\":\"auto\",\"label_speed\":" #speed "}}"

static int show_document(void *user, const struct document *d)
{
	return buf_printf(user, "%s\n", d->body);
}

static unsigned documents(struct house *h, int64_t entry, struct buf *out)
{
	unsigned n = 0;

	out->len = 0;
	ok(catalog_documents(h->cat, row_of(h, entry).snapshot, show_document, out));
	for (size_t i = 0; i < out->len; i++)
		n += out->data[i] == '\n';
	return n;
}

static int show_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	return buf_printf(user, "%s | %s\n", subject, error);
}

static void assert_errors(struct house *h, const char *const *part)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);

	(void)buf_str(&out, "");
	ok(catalog_errors(h->cat, 100, show_error, &out));
	for (; *part; part++)
		if (!strstr(out.data, *part))
			fail_msg("\"%s\" is not in:\n%s", *part, out.data);
}

static int64_t waiting(struct house *h, int64_t id)
{
	int64_t n;

	ok(catalog_records_waiting(h->cat, id, &n));
	return n;
}

static void test_many_pictures(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf docs = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), first, second, id;

	first = copy_picture(h, dir, "20201231_154555.jpg", 1);
	second = copy_picture(h, dir, "20201231_154600.jpg", 2);
	id = copy_text(
		h, dir, "labels.json",
		"{\"" ID "\":" DOC(
			1) ",\n\"" ID2
			   "\":[" DOC(1) "," DOC(2) "," DOC(1) "],\n\"20201231T15-47-00-000000\":" DOC(
				   1) ",\"x\":7,\"" ID "_car\":{\"label\":{\"label_speed\":{}}}}");
	assert_int_equal(row_of(h, id).state, UPLOAD_WAITING);
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, id).state, UPLOAD_HELD);
	assert_int_equal(documents(h, second, &docs), 2);
	assert_non_null(strstr(docs.data, "\"label_speed\":2"));
	assert_true(documents(h, first, &docs) >= 1);
	assert_non_null(strstr(docs.data, "\"label_fingerprint\""));
	assert_int_equal(waiting(h, id), 1);
	assert_error(h, id, "1 duplicates");
	assert_error(h, id, "1 waiting");
	assert_errors(h, (const char *const[]){
				 "upload/car/labels.json: " ID2
				 " | the picture has this document (EEXIST)",
				 "upload/car/labels.json: x | it is not a label document", NULL});
}

static void test_pictures_come_later(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf docs = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), other = make_dir(h, 0, "garden"), picture, id;

	id = copy_text(h, dir, "Labels.json",
		       "[{\"img_id\":\"" ID
		       "\",\"label\":{}},{\"img_id\":\"mine\",\"label\":{}},{\"label\":{}},"
		       "{\"img_id\":\"" ID2 "\",\"label\":{}}]");
	(void)run_due(h, 3);
	assert_int_equal(waiting(h, id), 3);
	house_close(h);
	house_open(h);
	/* not those of another camera */
	picture = copy_picture(h, other, "20201231_154555.jpg", 1);
	assert_int_equal(documents(h, picture, &docs), 0);
	picture = copy_picture(h, dir, "20201231_154555.jpg", 2);
	assert_int_equal(documents(h, picture, &docs), 1);
	picture = copy_picture(h, dir, "mine.jpg", 3);
	(void)run_due(h, 5);
	assert_int_equal(row_of(h, picture).state, UPLOAD_REGISTERED);
	assert_int_equal(documents(h, picture, &docs), 1);
	assert_int_equal(waiting(h, id), 1);
	assert_int_equal(row_of(h, id).state, UPLOAD_HELD);
	/* as if it had been begun the day before yesterday */
	ok(catalog_batch_begin(h->cat, &(struct batch_file){.upload = id,
							    .size = row_of(h, id).size,
							    .mtime_ns = row_of(h, id).mtime_ns,
							    .begun_us = now_us() - 2 * HELD_US}));
	ok(catalog_record_wait(h->cat, id, ID2, "{\"label\":{}}"));
	ok(catalog_record_refuse(h->cat, id, "record 3", "it has no img_id"));
	ok(catalog_batch_save(h->cat, &(struct batch_file){.upload = id, .whole = true}));
	ok(consider_id(h->in, id, true));
	assert_int_equal(row_of(h, id).state, UPLOAD_KEPT);
	assert_errors(
		h, (const char *const[]){ID2 " | no picture of that name came within a day", NULL});
	assert_error(h, id, "1 unknown");
	assert_errors(h, (const char *const[]){"Labels.json: record 3 | it has no img_id", NULL});
}

static void test_templates_and_deletion(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf docs = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), picture;

	picture = copy_picture(h, dir, "20201231_154555.jpg", 1);
	(void)copy_text(h, dir, "labels.json", "{\"" ID "\":[" DOC(1) "," DOC(2) "]}");
	(void)copy_text(h, dir, "session_template.json", "{\"track\":\"indoor\"}");
	(void)run_due(h, 3);
	assert_int_equal(documents(h, picture, &docs), 2);
	assert_non_null(strstr(docs.data, "\"track\":\"indoor\""));
	(void)copy_text(
		h, dir, "labels_20200204.json",
		"{\"" ID
		"\":[{\"to_delete\":true,\"label\":{\"created_by\":\"auto\",\"label_speed\":1}},"
		"{\"to_delete\":true,\"label\":{\"created_by\":\"auto\",\"label_speed\":3}}]}");
	(void)run_due(h, 3);
	assert_int_equal(documents(h, picture, &docs), 1);
	assert_non_null(strstr(docs.data, "\"label_speed\":2"));
}

/* A picture goes with its last document, and only when nothing else holds it. */
static void test_pictures_that_go(void **state)
{
	static const char *const held[] = {"20201231_154600", "20201231_154605", "20201231_154610"};
	struct house *h = *state;
	CLEANUP(buf_done) struct buf text = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), gone, kept[3];
	struct label fox = {.kind = (char *)"object", .value = (char *)"fox", .score = 1};
	char name[64];
	struct snap s;

	h->conf.trash_us = HELD_US;
	gone = copy_picture(h, dir, "20201231_154555.jpg", 1);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s.jpg", held[i]);
		kept[i] = copy_picture(h, dir, name, 2 + i);
	}
	ok(catalog_star(h->cat, row_of(h, kept[0]).snapshot, true, "me"));
	ok(catalog_document_add(h->cat, row_of(h, kept[1]).snapshot, DOC(9), "me", NULL));
	ok(catalog_label_add(h->cat, row_of(h, kept[2]).snapshot, &fox));
	(void)buf_str(&text, "{\"20201231_154555\":" DOC(1));
	for (unsigned i = 0; i < 3; i++)
		(void)buf_printf(&text, ",\"%s\":" DOC(1), held[i]);
	(void)buf_str(&text, "}");
	(void)copy_text(h, dir, "labels.json", text.data);
	(void)run_due(h, 3);
	assert_int_equal(snapshots(h), 4);
	text.len = 0;
	(void)buf_str(&text, "{\"20201231_154555\":" GONE);
	for (unsigned i = 0; i < 3; i++)
		(void)buf_printf(&text, ",\"%s\":" GONE, held[i]);
	(void)buf_str(&text, "}");
	(void)copy_text(h, dir, "labels_delete.json", text.data);
	(void)run_due(h, 3);
	assert_int_equal(catalog_snap(h->cat, row_of(h, gone).snapshot, &s), -ENOENT);
	for (unsigned i = 0; i < 3; i++)
		ok(catalog_snap(h->cat, row_of(h, kept[i]).snapshot, &s));
	ok(catalog_untrash(h->cat, row_of(h, gone).snapshot));
	ok(catalog_snap(h->cat, row_of(h, gone).snapshot, &s));
}

static void test_sidecar_with_such_a_name(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "car"), picture, side;
	struct sidecar s = {0};

	picture = copy_picture(h, dir, "labels_20201231_154555.jpg", 1);
	side = copy_text(h, dir, "labels_20201231_154555.json", "{\"labels\":[\"object/dog\"]}");
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, side).state, UPLOAD_KEPT);
	ok(catalog_sidecar(h->cat, row_of(h, picture).snapshot, &s));
	assert_int_equal(s.labels.n, 1);
	sidecar_done(&s);
}

static void test_again(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf docs = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), picture, id;

	picture = copy_picture(h, dir, "20201231_154555.jpg", 1);
	id = copy_text(h, dir, "labels.json", "{\"" ID "\":" DOC(1) "}");
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, id).state, UPLOAD_KEPT);
	assert_error(h, id, "");
	/* looked at again without a change it says the same; written again it is another file */
	ok(consider_id(h->in, id, true));
	assert_int_equal(row_of(h, id).state, UPLOAD_KEPT);
	assert_int_equal(documents(h, picture, &docs), 1);
	ok(ingest_unlink(h->in, dir, "labels.json", false));
	id = copy_text(h, dir, "labels.json", "{\"" ID "\":" DOC(1) ",\"" ID "\":" DOC(5) "}");
	(void)run_due(h, 3);
	assert_error(h, id, "1 taken in, 0 removed, 1 duplicates");
	assert_int_equal(documents(h, picture, &docs), 2);
}

static void test_broken(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf docs = BUF(65536), deep = BUF(65536);
	int64_t dir = make_dir(h, 0, "car"), picture, id;

	picture = copy_picture(h, dir, "20201231_154555.jpg", 1);
	id = copy_text(h, dir, "labels.json", "{\"" ID "\":" DOC(1) ",\n\"x\":{\"a\":NaN}}");
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, id).state, UPLOAD_REJECTED);
	assert_error(h, id, "line 2");
	assert_int_equal(documents(h, picture, &docs), 1);
	id = copy_text(h, make_dir(h, dir, "a"), "labels.json",
		       "{\"images\":[{}],\"annotations\":[]}");
	(void)buf_str(&deep, "{\"x\":");
	for (int i = 0; i < 100; i++)
		(void)buf_str(&deep, "[");
	int64_t nested = copy_text(h, make_dir(h, dir, "b"), "labels.json", deep.data);
	int64_t twice = copy_text(h, make_dir(h, dir, "c"), "labels.json",
				  "{\"x\":{\"a\":1,\"a\":2}}");
	int64_t empty = copy_text(h, make_dir(h, dir, "d"), "labels.json", "");

	(void)run_due(h, 3);
	assert_error(h, id, "COCO");
	assert_error(h, nested, "ends too early");
	assert_error(h, twice, "stands twice");
	assert_error(h, empty, "empty");
}

/* A step ends when its time is over, and the next one goes on after it. */
static void test_stopped_half_way(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf text = BUF(1 << 20), docs = BUF(1 << 20);
	int64_t dir = make_dir(h, 0, "car"), picture, id;
	struct batch_file b;

	picture = copy_picture(h, dir, "20201231_154555.jpg", 1);
	(void)buf_str(&text, "{\"" ID "\":[");
	for (int i = 0; i < 100; i++)
		(void)buf_printf(&text, "%s{\"label\":{\"label_speed\":%d}}", i ? "," : "", i);
	(void)buf_str(&text, "]}");
	id = copy_text(h, dir, "labels.json", text.data);
	h->in->stopping = true; /* as at the end of the program */
	ok(consider_id(h->in, id, true));
	assert_int_equal(row_of(h, id).state, UPLOAD_WAITING);
	ok(catalog_batch(h->cat, id, &b));
	assert_int_equal(b.done, 0);
	/* a crash after 40 records, 32 of which are noted */
	b.done = 32;
	b.added = 32;
	ok(catalog_batch_save(h->cat, &b));
	house_close(h);
	house_open(h);
	for (int i = 0; i < 40; i++) {
		char body[64];

		(void)snprintf(body, sizeof(body), "{\"label\":{\"label_speed\":%d}}", i);
		ok(catalog_document_add(h->cat, row_of(h, picture).snapshot, body, "x", NULL));
	}
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, id).state, UPLOAD_KEPT);
	assert_error(h, id, "");
	ok(catalog_batch(h->cat, id, &b));
	assert_int_equal(b.done, 100);
	assert_int_equal(b.added, 100);
	assert_int_equal(documents(h, picture, &docs), 100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_pictures),
		TEST(test_pictures_come_later),
		TEST(test_templates_and_deletion),
		TEST(test_pictures_that_go),
		TEST(test_sidecar_with_such_a_name),
		TEST(test_again),
		TEST(test_broken),
		TEST(test_stopped_half_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
