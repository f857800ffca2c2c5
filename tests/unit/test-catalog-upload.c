/* test-catalog-upload.c - the upload tree: names, attributes, renames by the rules of rename(2), limits, extended attributes. */
#include "test-catalog-temp.h"

#include <sys/xattr.h>

static int64_t make(struct temp *t, int64_t parent, const char *name, bool is_dir)
{
	struct upload_row row = {.parent = parent, .is_dir = is_dir, .mode = is_dir ? 0755 : 0644};
	int64_t id;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	ok(catalog_upload_create(t->c, &row, &id));
	return id;
}

static int try_make(struct temp *t, int64_t parent, const char *name, bool is_dir)
{
	struct upload_row row = {.parent = parent, .is_dir = is_dir};
	int64_t id = -7;
	int r;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	r = catalog_upload_create(t->c, &row, &id);
	if (r < 0)
		assert_int_equal(id, -7);
	return r;
}

static int try_move(struct temp *t, int64_t id, int64_t parent, const char *name, unsigned flags)
{
	int64_t replaced = -7;
	int r = catalog_upload_rename(t->c, id, parent, name, flags, &replaced);

	assert_true(r == 0 ? replaced >= 0 : replaced == -7);
	return r;
}

static void assert_path(struct temp *t, int64_t id, const char *want)
{
	CLEANUP(buf_done) struct buf path = BUF(4096);

	ok(catalog_upload_path(t->c, id, &path));
	assert_string_equal(path.data, want);
}

static int collect_name(void *user, const struct upload_row *row)
{
	ok(buf_printf(user, "%s,", row->name));
	return 0;
}

static int stop_at_b(void *user, const struct upload_row *row)
{
	++*(int *)user;
	return strcmp(row->name, "b") == 0 ? 42 : 0;
}

static void keeps_what_its_writer_gave(void **state)
{
	struct temp *t = *state;
	struct upload_row want = {.mode = 0640,
				  .uid = 12,
				  .gid = 34,
				  .size = 5000000000,
				  .mtime_ns = 1234567890123456789,
				  .ctime_ns = 42,
				  .mtime_set = true,
				  .state = UPLOAD_WAITING,
				  .due_us = 77,
				  .name = "\xff\xfe name.jpg"},
			  got;

	want.parent = make(t, 0, "front", true);
	ok(catalog_upload_create(t->c, &want, &want.id));
	temp_reopen(t);
	ok(catalog_upload_find(t->c, want.parent, want.name, &got));
	assert_memory_equal(&got, &want, sizeof(got));
	ok(catalog_upload(t->c, want.id, &got));
	assert_memory_equal(&got, &want, sizeof(got));
	assert_path(t, want.id, "front/\xff\xfe name.jpg");
	assert_int_equal(catalog_upload(t->c, 999, &got), -ENOENT);
	assert_int_equal(catalog_upload_find(t->c, 0, "Front", &got), -ENOENT);
}

static void refuses_impossible_names(void **state)
{
	struct temp *t = *state;
	int64_t dir = make(t, 0, "d", true), file = make(t, dir, "f", false);
	char longest[NAME_LIMIT + 2];

	assert_int_equal(try_make(t, 0, "", false), -EINVAL);
	assert_int_equal(try_make(t, 0, "a/b", false), -EINVAL);
	assert_int_equal(try_make(t, 0, "..", true), -EINVAL);
	assert_int_equal(try_make(t, dir, "f", true), -EEXIST);
	assert_int_equal(try_make(t, file, "x", false), -ENOTDIR);
	assert_int_equal(try_make(t, 999, "x", false), -ENOENT);
	assert_int_equal(try_move(t, file, dir, "a/b", 0), -EINVAL);
	assert_int_equal(try_move(t, file, dir, ".", 0), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[NAME_LIMIT + 1] = '\0';
	assert_int_equal(try_move(t, file, dir, longest, 0), -ENAMETOOLONG);
	longest[NAME_LIMIT] = '\0';
	assert_int_equal(try_move(t, file, dir, longest, 0), 0);
}

static void lists_by_name_in_pages(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf names = BUF(4096);
	int64_t dir = make(t, 0, "dir", true);
	int calls = 0;

	for (const char *p = "dbcae"; *p; p++)
		(void)make(t, dir, (char[]){*p, '\0'}, false);
	ok(catalog_upload_list(t->c, dir, "", 2, collect_name, &names));
	ok(catalog_upload_list(t->c, dir, "b", 100, collect_name, &names));
	ok(catalog_upload_list(t->c, dir, "e", 100, collect_name, &names));
	assert_string_equal(names.data, "a,b,c,d,e,");
	assert_int_equal(catalog_upload_list(t->c, dir, "", 9, stop_at_b, &calls), 42);
	assert_int_equal(calls, 2);
	names.len = 0;
	ok(catalog_upload_each(t->c, dir, 3, collect_name, &names));
	assert_string_equal(names.data, "d,b,c,");
}

static void attributes_are_set_by_mask(void **state)
{
	struct temp *t = *state;
	struct upload_row set = {.id = make(t, 0, "f", false),
				 .mode = 0600,
				 .uid = 1,
				 .gid = 2,
				 .size = 3,
				 .mtime_ns = 4,
				 .mtime_set = true},
			  before, got;

	ok(catalog_upload(t->c, set.id, &before));
	ok(catalog_upload_set(t->c, &set, UPLOAD_SET_MODE, NULL, false));
	ok(catalog_upload(t->c, set.id, &got));
	assert_int_equal(got.mode, 0600);
	assert_int_equal(got.uid, 0);
	assert_int_equal(got.mtime_ns, 0);
	assert_true(got.ctime_ns > before.ctime_ns);
	ok(catalog_upload_set(t->c, &set, UPLOAD_SET_OWNER | UPLOAD_SET_MTIME | UPLOAD_SET_SIZE,
			      NULL, true));
	ok(catalog_upload(t->c, set.id, &got));
	assert_int_equal(got.uid, 1);
	assert_int_equal(got.gid, 2);
	assert_int_equal(got.size, 3);
	assert_int_equal(got.mtime_ns, 4);
	assert_true(got.mtime_set);
	set.id = 999;
	assert_int_equal(catalog_upload_set(t->c, &set, UPLOAD_SET_MODE, NULL, false), -ENOENT);
	assert_int_equal(catalog_upload_set(t->c, &set, UPLOAD_SET_STATE, "x", false), -ENOENT);
}

struct fed {
	unsigned uploads;
	int64_t last;
};

static void count_uploads(void *user, const struct change *change, size_t n)
{
	struct fed *fed = user;

	for (size_t i = 0; i < n; i++) {
		if (change[i].what != CHANGE_UPLOAD)
			continue;
		fed->uploads++;
		fed->last = change[i].snapshot;
	}
}

static void states_and_their_errors(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf names = BUF(4096);
	struct upload_row row = {.state = UPLOAD_WAITING, .due_us = 50}, got;
	struct fed fed = {0};
	char error[256];

	catalog_on_change(t->c, count_uploads, &fed);
	row.id = make(t, 0, "one", false);
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE | UPLOAD_SET_DUE, NULL, false));
	row.id = make(t, 0, "two", false);
	row.due_us = 40;
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE | UPLOAD_SET_DUE, NULL, false));
	assert_int_equal(fed.uploads, 0); /* the writer knows that it has just written */
	ok(catalog_upload_due(t->c, 39, 10, collect_name, &names));
	assert_int_equal(names.len, 0);
	ok(catalog_upload_due(t->c, 50, 10, collect_name, &names));
	assert_string_equal(names.data, "two,one,");

	row.state = UPLOAD_REJECTED;
	row.due_us = 0;
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE | UPLOAD_SET_DUE, "not a JPEG", true));
	assert_int_equal(fed.uploads, 1);
	assert_int_equal(fed.last, row.id);
	ok(catalog_upload_error(t->c, row.id, error));
	assert_string_equal(error, "not a JPEG");
	row.state = UPLOAD_OPEN;
	row.snapshot = 9;
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT, NULL, false));
	ok(catalog_upload_error(t->c, row.id, error));
	assert_string_equal(error, "");
	ok(catalog_upload(t->c, row.id, &got));
	assert_int_equal(got.snapshot, 9);
	assert_int_equal(got.due_us, 0);
	catalog_on_change(t->c, NULL, NULL);
	assert_int_equal(catalog_upload_error(t->c, 999, error), -ENOENT);
}

static void removing(void **state)
{
	struct temp *t = *state;
	int64_t dir = make(t, 0, "d", true), file = make(t, dir, "f", false);
	struct upload_row row;

	ok(catalog_xattr_set(t->c, file, "user.a", "1", 1, 0));
	assert_int_equal(catalog_upload_remove(t->c, dir), -ENOTEMPTY);
	ok(catalog_upload_remove(t->c, file));
	assert_int_equal(catalog_upload(t->c, file, &row), -ENOENT);
	assert_int_equal(catalog_upload_remove(t->c, file), -ENOENT);
	ok(catalog_upload_remove(t->c, dir));
	assert_int_equal(peek(t, "SELECT count(*) FROM upload_xattr"), 0);
	assert_true(make(t, 0, "d", true) > dir); /* an inode number is never given twice */
}

static void rename_replaces(void **state)
{
	struct temp *t = *state;
	int64_t a = make(t, 0, "a", true), b = make(t, 0, "b", true), f = make(t, a, "f", false),
		g = make(t, b, "g", false), replaced;
	struct upload_row row;

	ok(catalog_xattr_set(t->c, g, "user.a", "1", 1, 0));
	assert_int_equal(try_move(t, f, b, "g", RENAME_NOREPLACE), -EEXIST);
	ok(catalog_upload_rename(t->c, f, b, "g", 0, &replaced));
	assert_int_equal(replaced, g);
	assert_path(t, f, "b/g");
	assert_int_equal(catalog_upload(t->c, g, &row), -ENOENT);
	assert_int_equal(peek(t, "SELECT count(*) FROM upload_xattr"), 0);

	assert_int_equal(try_move(t, f, 0, "a", 0), -EISDIR);
	assert_int_equal(try_move(t, a, b, "g", 0), -ENOTDIR);
	assert_int_equal(try_move(t, a, 0, "b", 0), -ENOTEMPTY);
	ok(catalog_upload_rename(t->c, b, 0, "a", 0, &replaced)); /* a is empty by now */
	assert_int_equal(replaced, a);
	assert_path(t, f, "a/g");
	ok(catalog_upload_rename(t->c, b, 0, "a", 0, &replaced)); /* onto itself */
	assert_int_equal(replaced, 0);
	assert_path(t, f, "a/g");
	assert_int_equal(try_move(t, f, 999, "x", 0), -ENOENT);
	assert_int_equal(try_move(t, 999, 0, "x", 0), -ENOENT);
	assert_int_equal(try_move(t, b, f, "x", 0), -ENOTDIR);
	assert_int_equal(try_move(t, f, 0, "x", RENAME_EXCHANGE), -EINVAL);
}

static void rename_keeps_a_tree(void **state)
{
	struct temp *t = *state;
	int64_t a = make(t, 0, "a", true), b = make(t, a, "b", true), c = make(t, b, "c", true),
		f = make(t, c, "f", false);

	assert_int_equal(try_move(t, a, c, "x", 0), -EINVAL);
	assert_int_equal(try_move(t, a, a, "x", 0), -EINVAL);
	assert_int_equal(try_move(t, b, b, "b", 0), -EINVAL);
	ok(try_move(t, c, 0, "top", RENAME_NOREPLACE));
	assert_path(t, f, "top/f");
	ok(try_move(t, a, c, "under", 0));
	assert_path(t, b, "top/under/b");
}

static void depth_is_limited(void **state)
{
	struct temp *t = *state;
	int64_t dir[33] = {0}, top, low, file;

	for (int i = 1; i <= 32; i++)
		dir[i] = make(t, dir[i - 1], "d", true);
	assert_int_equal(try_make(t, dir[32], "d", true), -ENAMETOOLONG);
	file = make(t, dir[32], "f", false);
	top = make(t, 0, "top", true);
	low = make(t, top, "low", true);
	(void)make(t, low, "f", false);
	assert_int_equal(try_move(t, top, dir[31], "x", 0), -ENAMETOOLONG);
	ok(try_move(t, top, dir[30], "x", 0));
	assert_int_equal(try_move(t, dir[1], top, "x", 0), -EINVAL);
	ok(try_move(t, file, 0, "f", 0));
	ok(try_move(t, file, dir[32], "f", 0));
}

static void xattrs(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf out = BUF(1 << 20);
	int64_t f = make(t, 0, "f", false);
	char *big = calloc(1, 65537);

	ok(catalog_xattr_set(t->c, f, "user.b", "\0x", 2, XATTR_CREATE));
	ok(catalog_xattr_set(t->c, f, "user.a", NULL, 0, 0));
	assert_int_equal(catalog_xattr_set(t->c, f, "user.a", "", 0, XATTR_CREATE), -EEXIST);
	assert_int_equal(catalog_xattr_set(t->c, f, "user.c", "", 0, XATTR_REPLACE), -ENODATA);
	assert_int_equal(catalog_xattr_set(t->c, f, "security.x", "", 0, 0), -EOPNOTSUPP);
	assert_int_equal(catalog_xattr_set(t->c, f, "user.", "", 0, 0), -EINVAL);
	assert_int_equal(catalog_xattr_set(t->c, 999, "user.a", "", 0, 0), -ENOENT);
	assert_int_equal(catalog_xattr_set(t->c, f, "user.a", big, 65537, 0), -E2BIG);
	ok(catalog_xattr_list(t->c, f, &out));
	assert_int_equal(out.len, 14);
	assert_memory_equal(out.data, "user.a\0user.b", 14);
	out.len = 0;
	ok(catalog_xattr_get(t->c, f, "user.b", &out));
	assert_int_equal(out.len, 2);
	assert_memory_equal(out.data, "\0x", 2);
	ok(catalog_xattr_get(t->c, f, "user.a", &out));
	assert_int_equal(out.len, 2);
	ok(catalog_xattr_set(t->c, f, "user.b", "new", 3, XATTR_REPLACE));
	ok(catalog_xattr_remove(t->c, f, "user.a"));
	assert_int_equal(catalog_xattr_remove(t->c, f, "user.a"), -ENODATA);
	assert_int_equal(catalog_xattr_get(t->c, f, "user.a", &out), -ENODATA);
	ok(catalog_xattr_set(t->c, 0, "user.root", "r", 1, 0)); /* upload/ itself */
	ok(catalog_xattr_get(t->c, 0, "user.root", &out));
	assert_string_equal(out.data + 2, "r");
	free(big);
}

static void xattrs_of_one_entry_are_limited(void **state)
{
	struct temp *t = *state;
	int64_t f = make(t, 0, "f", false), g = make(t, 0, "g", false);
	char *big = calloc(1, 65536);

	ok(catalog_xattr_set(t->c, f, "user.1", big, 65536, 0));
	ok(catalog_xattr_set(t->c, f, "user.2", big, 65536, 0));
	ok(catalog_xattr_set(t->c, f, "user.3", big, 65536, 0));
	assert_int_equal(catalog_xattr_set(t->c, f, "user.4", big, 65536, 0), -ENOSPC);
	ok(catalog_xattr_set(t->c, f, "user.3", big, 65536, 0)); /* in place of itself */
	ok(catalog_xattr_set(t->c, f, "user.4", big, 65536 - 24, 0));
	assert_int_equal(catalog_xattr_set(t->c, f, "user.5", "", 0, 0), -ENOSPC);
	ok(catalog_xattr_set(t->c, g, "user.4", big, 65536, 0));
	free(big);
}

static int collect_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	assert_true(when_us > 0);
	ok(buf_printf(user, "%s=%s;", subject, error));
	return 0;
}

static void rejections_are_reported(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf out = BUF(4096);
	int64_t dir = make(t, 0, "front", true);
	struct upload_row row = {.state = UPLOAD_REJECTED};
	struct catalog_totals totals;

	row.id = make(t, dir, "a.jpg", false);
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE, "first", false));
	row.id = make(t, dir, "b.jpg", false);
	ok(catalog_upload_set(t->c, &row, UPLOAD_SET_STATE, "second", false));
	ok(catalog_errors(t->c, 10, collect_error, &out));
	assert_string_equal(out.data, "upload/front/b.jpg=second;upload/front/a.jpg=first;");
	out.len = 0;
	ok(catalog_errors(t->c, 1, collect_error, &out));
	assert_string_equal(out.data, "upload/front/b.jpg=second;");
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.uploads_rejected, 2);
	assert_int_equal(totals.uploads_waiting, 0);
	ok(catalog_upload_remove(t->c, row.id));
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.uploads_rejected, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_what_its_writer_gave),
		TEST(refuses_impossible_names),
		TEST(lists_by_name_in_pages),
		TEST(attributes_are_set_by_mask),
		TEST(states_and_their_errors),
		TEST(removing),
		TEST(rename_replaces),
		TEST(rename_keeps_a_tree),
		TEST(depth_is_limited),
		TEST(xattrs),
		TEST(xattrs_of_one_entry_are_limited),
		TEST(rejections_are_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
