/* test-catalog-draft.c - edited texts that could not be understood: kept byte for byte, told, and gone when mended; bytes found by hash. */
#include "test-catalog-temp.h"

static int count_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	assert_true(when_us > 0 && when_us <= now_us());
	assert_string_equal(subject, "cameras/front/a.json");
	assert_string_equal(error, "is broken at line 1, column 2");
	++*(int *)user;
	return 0;
}

static int errors(struct temp *t)
{
	int n = 0;

	ok(catalog_errors(t->c, 10, count_error, &n));
	return n;
}

static void kept_until_it_is_mended(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf body = BUF(64);
	char error[256] = "";
	int64_t at = 0, node = (INT64_C(21) << 56) | 7;

	assert_int_equal(catalog_draft(t->c, node, &at, error, &body), -ENOENT);
	ok(catalog_draft_remove(t->c, node));
	ok(catalog_draft_put(t->c, node, "cameras/front/a.json", "{\0x", 3,
			     "is broken at line 1, column 2"));
	temp_reopen(t);
	ok(catalog_draft(t->c, node, &at, error, &body));
	assert_int_equal(body.len, 3);
	assert_memory_equal(body.data, "{\0x", 3);
	assert_true(at > 0 && at <= now_us());
	assert_string_equal(error, "is broken at line 1, column 2");
	assert_int_equal(errors(t), 1);
	assert_int_equal(catalog_draft(t->c, node + 1, NULL, NULL, NULL), -ENOENT);
	ok(catalog_draft_remove(t->c, node));
	assert_int_equal(catalog_draft(t->c, node, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(errors(t), 0);
}

static void an_empty_one_is_one_too(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf body = BUF(64);

	ok(catalog_draft_put(t->c, 1, "cameras/front/a.json", "", 0,
			     "is broken at line 1, column 2"));
	ok(catalog_draft(t->c, 1, NULL, NULL, &body));
	assert_int_equal(body.len, 0);
	assert_int_equal(errors(t), 1);
}

static void gone_after_an_hour(void **state)
{
	struct temp *t = *state;
	char path[64];
	sqlite3 *db;

	ok(catalog_draft_put(t->c, 1, "cameras/front/a.json", "{", 1,
			     "is broken at line 1, column 2"));
	(void)snprintf(path, sizeof(path), "%s/catalog.db", t->dir);
	ok(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL));
	ok(sqlite3_exec(db, "UPDATE draft SET at_us = at_us - 3600000001", NULL, NULL, NULL));
	ok(sqlite3_close(db));
	assert_int_equal(catalog_draft(t->c, 1, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(errors(t), 0);
	ok(catalog_draft_put(t->c, 2, "cameras/front/a.json", "{", 1,
			     "is broken at line 1, column 2"));
	assert_int_equal(peek(t, "SELECT count(*) FROM draft"), 1);
}

static void annexes_are_always_there(void **state)
{
	struct temp *t = *state;
	struct upload_row row = {.parent = -(INT64_C(14) << 56), .name = "x.tmp"}, found;
	CLEANUP(buf_done) struct buf path = BUF(64);
	int64_t id, replaced;

	ok(catalog_upload_create(t->c, &row, &id));
	ok(catalog_upload_find(t->c, row.parent, "x.tmp", &found));
	ok(catalog_upload_rename(t->c, id, row.parent - 1, "y", 0, &replaced));
	assert_int_equal(catalog_upload_find(t->c, row.parent, "x.tmp", &found), -ENOENT);
	ok(catalog_upload_path(t->c, id, &path));
	assert_string_equal(path.data, "y");
	ok(catalog_upload_remove(t->c, id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_open, temp_close)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept_until_it_is_mended),
		TEST(an_empty_one_is_one_too),
		TEST(gone_after_an_hour),
		TEST(annexes_are_always_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
