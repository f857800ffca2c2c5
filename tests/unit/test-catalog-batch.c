/* test-catalog-batch.c - batch files and their records, ledgers of other systems, and pictures by all their names. */
#include "test-catalog-temp.h"

#define NOON "20201231T12-00-00-000000" /* number 0 */

static int64_t entry(struct temp *t, int64_t parent, const char *name, bool is_dir,
		     enum upload_state state, int64_t snapshot)
{
	struct upload_row row = {.parent = parent,
				 .is_dir = is_dir,
				 .mode = 0644,
				 .state = state,
				 .snapshot = snapshot};
	int64_t id = 0;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	ok(catalog_upload_create(t->c, &row, &id));
	return id;
}

static int show(void *user, int64_t when_us, const char *subject, const char *error)
{
	return buf_printf(user, "%s | %s\n", subject, error);
}

static void test_batch(void **state)
{
	struct temp *t = *state;
	int64_t dir = entry(t, 0, "front", true, UPLOAD_OPEN, 0),
		id = entry(t, dir, "labels.json", false, UPLOAD_WAITING, 0), n;
	struct batch_file b = {.upload = id, .size = 10, .mtime_ns = 5, .begun_us = 7}, got;
	CLEANUP(buf_done) struct buf body = BUF(4096), errors = BUF(4096);
	struct record rec = {0};
	int64_t replaced;

	assert_int_equal(catalog_batch(t->c, id, &got), -ENOENT);
	ok(catalog_batch_begin(t->c, &b));
	b.done = 3;
	b.duplicates = 1;
	b.whole = true;
	ok(catalog_batch_save(t->c, &b));
	temp_reopen(t);
	ok(catalog_batch(t->c, id, &got));
	assert_int_equal(got.size, 10);
	assert_int_equal(got.mtime_ns, 5);
	assert_int_equal(got.begun_us, 7);
	assert_int_equal(got.done, 3);
	assert_int_equal(got.duplicates, 1);
	assert_true(got.whole);
	ok(catalog_record_wait(t->c, id, "a", "{\"n\":1}"));
	ok(catalog_record_wait(t->c, id, "b", "{\"n\":2}"));
	ok(catalog_record_wait(t->c, id, "a", "{\"n\":3}"));
	ok(catalog_record_refuse(t->c, id, "c", "it is\nbad"));
	assert_int_equal(catalog_record_wait(t->c, id, "d", "\xff"), -EINVAL);
	ok(catalog_records_waiting(t->c, id, &n));
	assert_int_equal(n, 3);
	ok(catalog_record_named(t->c, "a", 0, &rec, &body));
	assert_string_equal(body.data, "{\"n\":1}");
	assert_int_equal(rec.upload, id);
	ok(catalog_record_named(t->c, "a", rec.id, &rec, &body));
	assert_string_equal(body.data, "{\"n\":3}");
	assert_int_equal(catalog_record_named(t->c, "a", rec.id, &rec, &body), -ENOENT);
	assert_int_equal(catalog_record_named(t->c, "c", 0, &rec, &body), -ENOENT);
	ok(catalog_record_next(t->c, id, 0, &rec, &body));
	ok(catalog_record_remove(t->c, rec.id));
	ok(catalog_record_next(t->c, id, 0, &rec, &body));
	assert_string_equal(rec.name, "b");
	ok(catalog_errors(t->c, 100, show, &errors));
	assert_string_equal(errors.data, "upload/front/labels.json: c | it is bad\n");
	/* a new file in its place, or none */
	ok(catalog_batch_begin(t->c, &b));
	ok(catalog_records_waiting(t->c, id, &n));
	assert_int_equal(n, 0);
	ok(catalog_record_wait(t->c, id, "a", "{}"));
	ok(catalog_upload_rename(t->c, entry(t, dir, "x", false, UPLOAD_OPEN, 0), dir,
				 "labels.json", 0, &replaced));
	assert_int_equal(replaced, id);
	assert_int_equal(catalog_record_named(t->c, "a", 0, &rec, &body), -ENOENT);
	assert_int_equal(catalog_batch(t->c, id, &got), -ENOENT);
	ok(catalog_record_wait(t->c, id, "a", "{}")); /* of an entry that went: nothing */
	assert_int_equal(catalog_record_named(t->c, "a", 0, &rec, &body), -ENOENT);
}

static void test_many_refused(void **state)
{
	struct temp *t = *state;
	int64_t id = entry(t, 0, "labels.json", false, UPLOAD_WAITING, 0);
	CLEANUP(buf_done) struct buf errors = BUF(1 << 20);
	int lines = 0;

	for (int i = 0; i < 1010; i++)
		ok(catalog_record_refuse(t->c, id, "x", "bad"));
	ok(catalog_errors(t->c, 5000, show, &errors));
	for (const char *p = errors.data; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 1000);
}

static void test_names(void **state)
{
	struct temp *t = *state;
	int64_t front = add_picture(t, "front", 0, 0), both = add_picture(t, "front", 5, 0);
	struct snap s;

	(void)add_picture(t, "garden", 5, 0);
	(void)entry(t, 0, "IMG_1.jpg", false, UPLOAD_REGISTERED, front);
	(void)entry(t, 0, "IMG_2.jpg", false, UPLOAD_REGISTERED, both);
	(void)entry(t, 0, "IMG_3.jpg", false, UPLOAD_HELD, both);
	ok(catalog_named(t->c, NOON, NULL, &s));
	assert_int_equal(s.id, front);
	ok(catalog_named(t->c, NOON, "front", &s));
	ok(catalog_named(t->c, "images/" NOON "_front.jpg", NULL, &s));
	assert_int_equal(s.id, front);
	assert_int_equal(catalog_named(t->c, NOON, "garden", &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, NOON "_front", "garden", &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "20201231T12-00-05-000000", NULL, &s), -ENOTUNIQ);
	ok(catalog_named(t->c, "20201231T12-00-05-000000", "front", &s));
	assert_int_equal(s.id, both);
	ok(catalog_named(t->c, "x/IMG_1.jpg", NULL, &s));
	assert_int_equal(s.id, front);
	assert_int_equal(catalog_named(t->c, "IMG_1.jpg", "garden", &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "IMG_3.jpg", NULL, &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "20201231T15-45-55-12345", NULL, &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "", NULL, &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "/", NULL, &s), -ENOENT);
	assert_int_equal(catalog_named(t->c, "%' OR 1=1 --", NULL, &s), -ENOENT);
}

static void test_seen(void **state)
{
	struct temp *t = *state;
	const char *const ids[] = {"a", "b", "a"};

	assert_int_equal(catalog_seen(t->c, "http://h/i", "a"), 0);
	ok(catalog_seen_add(t->c, "http://h/i", ids, 3));
	temp_reopen(t);
	assert_int_equal(catalog_seen(t->c, "http://h/i", "a"), 1);
	assert_int_equal(catalog_seen(t->c, "http://h/i", "b"), 1);
	assert_int_equal(catalog_seen(t->c, "http://h/j", "a"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_batch),
		TEST(test_many_refused),
		TEST(test_names),
		TEST(test_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
