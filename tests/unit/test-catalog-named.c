/* test-catalog-named.c - queries that have a name: made, written, renamed, removed, over restarts. */
#include "test-catalog-temp.h"

static struct query_row row_of(struct temp *t, const char *name)
{
	struct query_row row;

	ok(catalog_query_find(t->c, name, &row));
	return row;
}

static void assert_text(struct temp *t, int64_t id, const char *want)
{
	CLEANUP(buf_done) struct buf text = BUF(4096);

	ok(catalog_query_text(t->c, id, &text));
	assert_string_equal(text.data, want);
}

static void made_and_written(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf text = BUF(4096);
	int64_t id, other;

	ok(catalog_query_make(t->c, "left turns", &id));
	assert_int_equal(catalog_query_make(t->c, "left turns", &other), -EEXIST);
	assert_false(row_of(t, "left turns").written);
	assert_int_equal(catalog_query_text(t->c, id, &text), -ENOENT);
	ok(catalog_query_write(t->c, id, "{\"a\":\"\xff\"", 9));
	ok(catalog_query_write(t->c, id, "{}", 2));
	assert_true(row_of(t, "left turns").written);
	assert_int_equal(row_of(t, "left turns").len, 2);
	temp_reopen(t);
	assert_text(t, id, "{}");
	ok(catalog_query_write(t->c, id, "", 0));
	assert_true(row_of(t, "left turns").written);
	assert_text(t, id, "");
	ok(catalog_query_write(t->c, id, NULL, 0));
	assert_false(row_of(t, "left turns").written);
	assert_int_equal(catalog_query_write(t->c, id + 1, "{}", 2), -ENOENT);
}

static void names_that_cannot_be(void **state)
{
	static const char *const names[] = {"", ".", "..", "a/b", "a\nb", "\xff"};
	struct temp *t = *state;
	char longest[LABEL_MAX + 2];
	int64_t id;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(catalog_query_make(t->c, names[i], &id), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[LABEL_MAX + 1] = '\0';
	assert_int_equal(catalog_query_make(t->c, longest, &id), -EINVAL);
	longest[LABEL_MAX] = '\0';
	ok(catalog_query_make(t->c, longest, &id));
	assert_int_equal(catalog_query_rename(t->c, id, "..", true), -EINVAL);
	assert_string_equal(row_of(t, longest).name, longest);
}

static void renamed(void **state)
{
	struct temp *t = *state;
	struct query_row row;
	char name[LABEL_MAX + 1];
	int64_t a, b, empty;

	ok(catalog_query_make(t->c, "a", &a));
	ok(catalog_query_write(t->c, a, "{}", 2));
	ok(catalog_query_make(t->c, "b", &b));
	ok(catalog_query_write(t->c, b, "{}", 2));
	ok(catalog_query_make(t->c, "empty", &empty));
	assert_int_equal(catalog_query_rename(t->c, a, "b", true), -ENOTEMPTY);
	assert_int_equal(catalog_query_rename(t->c, a, "b", false), -EEXIST);
	assert_int_equal(catalog_query_rename(t->c, a, "empty", false), -EEXIST);
	ok(catalog_query_rename(t->c, a, "a", false));
	ok(catalog_query_rename(t->c, a, "empty", true));
	assert_int_equal(row_of(t, "empty").id, a);
	assert_int_equal(catalog_query_find(t->c, "a", &row), -ENOENT);
	assert_int_equal(catalog_query(t->c, empty, &row), -ENOENT);
	ok(catalog_query_name(t->c, empty, name)); /* where a listing goes on */
	assert_string_equal(name, "empty");
	assert_text(t, a, "{}");
}

static void removed_for_ever(void **state)
{
	struct temp *t = *state;
	struct query_row row = {0};
	int64_t id[3], again;

	for (size_t i = 0; i < 3; i++) {
		ok(catalog_query_make(t->c, (const char *[]){"c", "a", "b"}[i], &id[i]));
		ok(catalog_query_write(t->c, id[i], "{}", 2));
	}
	ok(catalog_query_remove(t->c, id[2]));
	assert_int_equal(catalog_query_remove(t->c, id[2]), -ENOENT);
	ok(catalog_query_make(t->c, "b", &again));
	assert_true(again > id[2]);
	assert_false(row_of(t, "b").written);
	for (const char *want = "abc"; *want; want++) {
		ok(catalog_query_next(t->c, row.name, &row));
		assert_int_equal(row.name[0], *want);
	}
	assert_int_equal(catalog_query_next(t->c, row.name, &row), -ENOENT);
}

struct told {
	unsigned n;
	char names[256];
};

static void on_change(void *user, const struct change *change, size_t n)
{
	struct told *told = user;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(told->names);

		if (change[i].what == CHANGE_NOTE)
			continue;
		assert_int_equal(change[i].what, CHANGE_QUERY);
		told->n++;
		(void)snprintf(told->names + len, sizeof(told->names) - len, "%s ", change[i].name);
	}
}

static void the_feed_tells(void **state)
{
	struct temp *t = *state;
	struct told told = {0};
	int64_t id, changed = catalog_changed_us(t->c);

	catalog_on_change(t->c, on_change, &told);
	ok(catalog_query_make(t->c, "a", &id));
	ok(catalog_query_write(t->c, id, "{}", 2));
	ok(catalog_query_rename(t->c, id, "b", true));
	ok(catalog_query_remove(t->c, id));
	catalog_on_change(t->c, NULL, NULL);
	assert_string_equal(told.names, "a a a b b ");
	assert_true(catalog_changed_us(t->c) > changed);
}

static const char *note_of(struct temp *t, const char *key)
{
	static char text[64];
	CLEANUP(buf_done) struct buf out = BUF(sizeof(text) - 1);
	int r = catalog_note_get(t->c, key, &out);

	if (r == -ENOENT)
		return "none";
	ok(r);
	(void)snprintf(text, sizeof(text), "%s", out.data);
	return text;
}

static void kept_as_notes(void **state)
{
	struct temp *t = *state;
	struct query_row row;
	int64_t id;

	ok(catalog_query_make(t->c, "a", &id));
	assert_string_equal(note_of(t, "queries/a.json"), "none");
	ok(catalog_query_write(t->c, id, "{}", 2));
	assert_string_equal(note_of(t, "queries/a.json"), "{}");
	ok(catalog_query_rename(t->c, id, "b", true));
	assert_string_equal(note_of(t, "queries/a.json"), "none");
	assert_string_equal(note_of(t, "queries/b.json"), "{}");
	ok(catalog_query_write(t->c, id, NULL, 0));
	assert_string_equal(note_of(t, "queries/b.json"), "none");
	assert_false(row_of(t, "b").written);
	ok(catalog_query_write(t->c, id, "", 0));
	assert_string_equal(note_of(t, "queries/b.json"), "");
	ok(catalog_query_remove(t->c, id));
	assert_string_equal(note_of(t, "queries/b.json"), "none");
	assert_int_equal(catalog_query(t->c, id, &row), -ENOENT);
}

/* As a scan does it. */
static void notes_become_queries(void **state)
{
	struct temp *t = *state;
	struct query_row row;
	int64_t id;

	ok(catalog_note_put(t->c, "queries/c d.json", "{}", 2));
	id = row_of(t, "c d").id;
	assert_text(t, id, "{}");
	ok(catalog_note_put(t->c, "queries/c d.json", "{ }", 3));
	assert_int_equal(row_of(t, "c d").id, id);
	assert_text(t, id, "{ }");
	ok(catalog_note_put(t->c, "queries/e.txt", "{}", 2));
	ok(catalog_note_put(t->c, "queries/.json", "{}", 2));
	ok(catalog_note_put(t->c, "queries/f/g.json", "{}", 2));
	ok(catalog_note_put(t->c, "datasets/h.json", "{}", 2));
	ok(catalog_query_next(t->c, "", &row));
	assert_int_equal(row.id, id);
	assert_int_equal(catalog_query_next(t->c, row.name, &row), -ENOENT);
	ok(catalog_note_remove(t->c, "queries/c d.json"));
	assert_int_equal(catalog_query_find(t->c, "c d", &row), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(made_and_written, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(names_that_cannot_be, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(renamed, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(removed_for_ever, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(the_feed_tells, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(kept_as_notes, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(notes_become_queries, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
