/* test-catalog-dataset.c - datasets: names, states, members in their directories, scratch files, and how all of it goes. */
#include "test-catalog-temp.h"

#define DAY 18627 /* 2020-12-31 */

static void reg(struct temp *t, int n, uint64_t size)
{
	struct registration r = {.camera = "front",
				 .taken_us = NOON_US + n,
				 .zone_min = 60,
				 .size = size,
				 .sha = {{(uint8_t)n, 1}}};
	int64_t id;
	bool new;

	ok(catalog_register(t->c, &r, &id, &new));
}

static struct dataset_member member(int n, enum dataset_split split, const size_t *class,
				    size_t n_classes)
{
	struct dataset_member m = {.split = split,
				   .day = DAY,
				   .size = 100,
				   .taken_us = NOON_US + n,
				   .flags = MEMBER_HF,
				   .has_sha = true,
				   .sha = {{(uint8_t)n, 1}},
				   .class = class,
				   .n_classes = n_classes};

	(void)snprintf(m.stem, sizeof(m.stem), "20201231T12-00-00-%06d_front", n);
	return m;
}

static int64_t make(struct temp *t, const char *name)
{
	int64_t id;
	static int n;
	char uid[32];

	(void)snprintf(uid, sizeof(uid), "uid-%s-%d", name, n++);
	ok(catalog_dataset_make(t->c, name, uid, &id));
	return id;
}

static void names(void **state)
{
	struct temp *t = *state;
	struct dataset_row row;
	char name[NAME_LIMIT + 1];
	int64_t b = make(t, "b"), a = make(t, "a"), id;

	assert_int_equal(catalog_dataset_make(t->c, "a", "other", &id), -EEXIST);
	assert_int_equal(catalog_dataset_make(t->c, "a/b", "other", &id), -EINVAL);
	ok(catalog_dataset_next(t->c, "", &row));
	assert_int_equal(row.id, a);
	assert_int_equal(row.state, DATASET_NEW);
	ok(catalog_dataset_next(t->c, row.name, &row));
	assert_int_equal(row.id, b);
	assert_int_equal(catalog_dataset_next(t->c, row.name, &row), -ENOENT);
	assert_int_equal(catalog_dataset_rename(t->c, b, "a"), -EEXIST);
	ok(catalog_dataset_rename(t->c, b, "c"));
	assert_int_equal(catalog_dataset_find(t->c, "b", &row), -ENOENT);
	ok(catalog_dataset_find(t->c, "c", &row));
	assert_memory_equal(row.uid, "uid-b-", 6);
	ok(catalog_dataset(t->c, a, &row));
	ok(catalog_dataset_remove(t->c, a));
	assert_int_equal(catalog_dataset(t->c, a, &row), -ENOENT);
	assert_int_equal(catalog_dataset_remove(t->c, a), -ENOENT);
	ok(catalog_dataset_by_uid(t->c, row.uid, &row));
	assert_int_equal(row.state, DATASET_REMOVED);
	assert_int_equal(catalog_dataset_set(t->c, a, DATASET_FROZEN, 1, NULL, 0, NULL), -ENOENT);
	assert_true(make(t, "a") > b);
	ok(catalog_dataset_clear(t->c, a));
	assert_int_equal(catalog_dataset_by_uid(t->c, "uid-x", &row), -ENOENT);
	ok(catalog_dataset_by_uid(t->c, row.uid, &row));
	assert_int_equal(row.state, DATASET_GONE);
	ok(catalog_dataset_name(t->c, a, name));
	assert_string_equal(name, "a");
	assert_int_equal(peek(t, "SELECT count(*) FROM dataset"), 3);
}

static int error_seen(void *user, int64_t when_us, const char *subject, const char *error)
{
	char *out = user;

	(void)snprintf(out, 256, "%s: %s", subject, error);
	return 0;
}

static void states(void **state)
{
	static const char text[] = "{\"a\":\xff}"; /* the bytes that came */
	CLEANUP(buf_done) struct buf out = BUF(1024);
	struct temp *t = *state;
	struct dataset_row row;
	int64_t id = make(t, "a");
	char seen[256] = "";

	ok(catalog_dataset_set(t->c, id, DATASET_FAILED, 0, text, sizeof(text) - 1, "line 1: no"));
	temp_reopen(t);
	ok(catalog_dataset(t->c, id, &row));
	assert_int_equal(row.state, DATASET_FAILED);
	assert_int_equal(row.query_len, sizeof(text) - 1);
	assert_string_equal(row.error, "line 1: no");
	ok(catalog_dataset_query(t->c, id, &out));
	assert_string_equal(out.data, text);
	ok(catalog_errors(t->c, 100, error_seen, seen));
	assert_string_equal(seen, "datasets/a: line 1: no");
	ok(catalog_dataset_set(t->c, id, DATASET_FROZEN, 7, NULL, 0, NULL));
	ok(catalog_dataset(t->c, id, &row));
	assert_int_equal(row.frozen_us, 7);
	assert_int_equal(row.query_len, sizeof(text) - 1);
	assert_string_equal(row.error, "");
}

struct seen {
	char stems[2048];
	int64_t last;
	unsigned there, n;
};

static int see(void *user, const struct dataset_member *m)
{
	struct seen *s = user;
	size_t len = strlen(s->stems);

	(void)snprintf(s->stems + len, sizeof(s->stems) - len, "%.*s ", 1, m->stem + 23);
	s->last = m->id;
	s->there += m->there;
	s->n++;
	return 0;
}

static void check(struct temp *t, int64_t id, enum dataset_split split, int64_t class,
		  const char *stems, unsigned there)
{
	struct seen s = {.last = 0};

	do {
		s.n = 0;
		ok(catalog_member_list(t->c, id, split, class, s.last, 2, see, &s));
	} while (s.n == 2);
	assert_string_equal(s.stems, stems);
	assert_int_equal(s.there, there);
}

static int64_t frozen(struct temp *t)
{
	static const size_t both[] = {2, 0}, one[] = {0};
	static const struct dataset_class class[] = {{.number = 0, .name = "car"},
						     {.number = 1, .name = "cat"},
						     {.number = 2, .name = "dog"}};
	struct dataset_member m[6];
	int64_t id = make(t, "d");

	for (int i = 0; i < 6; i++)
		m[i] = member(i, i % 3 ? DATASET_TRAIN : DATASET_TEST, i % 2 ? one : both,
			      i % 2 ? 1 : 2);
	assert_int_equal(catalog_member_add(t->c, id, m, 6), -ENOENT);
	ok(catalog_dataset_set(t->c, id, DATASET_FREEZING, 0, "{}", 2, NULL));
	ok(catalog_class_add(t->c, id, class, 3));
	ok(catalog_member_add(t->c, id, m, 2));
	ok(catalog_member_add(t->c, id, m + 2, 4));
	ok(catalog_dataset_set(t->c, id, DATASET_FROZEN, 1, NULL, 0, NULL));
	assert_int_equal(catalog_member_add(t->c, id, m, 1), -ENOENT);
	return id;
}

static void members(void **state)
{
	struct temp *t = *state;
	int64_t id;
	struct dataset_member m;
	struct dataset_class c;

	for (int i = 0; i < 4; i++)
		reg(t, i, i == 3 ? 101 : 100); /* 3 has other bytes than those frozen */
	id = frozen(t);
	check(t, id, DATASET_TRAIN, -1, "1 2 4 5 ", 2);
	check(t, id, DATASET_TEST, -1, "0 3 ", 1);
	check(t, id, DATASET_VALIDATION, -1, "", 0);
	check(t, id, DATASET_TRAIN, 0, "1 2 4 5 ", 2);
	check(t, id, DATASET_TRAIN, 1, "", 0);
	check(t, id, DATASET_TRAIN, 2, "2 4 ", 1);
	check(t, id, DATASET_TEST, 2, "0 ", 1);
	check(t, id + 1, DATASET_TEST, 2, "", 0);

	ok(catalog_class_next(t->c, id, DATASET_TRAIN, -1, &c));
	assert_string_equal(c.name, "car");
	ok(catalog_class_next(t->c, id, DATASET_TRAIN, c.number, &c));
	assert_string_equal(c.name, "dog");
	assert_int_equal(catalog_class_next(t->c, id, DATASET_TRAIN, c.number, &c), -ENOENT);
	assert_int_equal(catalog_class_next(t->c, id, DATASET_VALIDATION, -1, &c), -ENOENT);
	assert_int_equal(catalog_class_find(t->c, id, DATASET_TRAIN, "cat", &c), -ENOENT);
	ok(catalog_class_find(t->c, id, DATASET_TRAIN, "dog", &c));

	ok(catalog_member_find(t->c, id, "20201231T12-00-00-000001_front", &m));
	assert_true(m.there && m.snap.size == 100 && m.flags == MEMBER_HF);
	assert_int_equal(catalog_member_has_class(t->c, &m, 2), -ENOENT);
	ok(catalog_member_has_class(t->c, &m, 0));
	assert_int_equal(catalog_member_find(t->c, id, "20201231T12-00-00-000009_front", &m),
			 -ENOENT);
	/* It comes later: a catalog that is made again has no order. */
	reg(t, 5, 100);
	check(t, id, DATASET_TRAIN, -1, "1 2 4 5 ", 3);
	ok(catalog_dataset_remove(t->c, id));
	ok(catalog_member_find(t->c, id, "20201231T12-00-00-000001_front", &m));
	assert_int_equal(catalog_member(t->c, m.id, &m), -ENOENT);
	ok(catalog_dataset_clear(t->c, id));
	assert_int_equal(
		peek(t,
		     "SELECT (SELECT count(*) FROM dataset WHERE name IS NOT NULL) + (SELECT count(*) FROM "
		     "dataset_member) + (SELECT count(*) FROM dataset_entry) + (SELECT "
		     "count(*) FROM dataset_class)"),
		0);
}

/* What a crash left of a freezing is undone, and other datasets stay. */
static void begin_anew(void **state)
{
	struct temp *t = *state;
	struct dataset_row row;
	struct dataset_member m[1500];
	static const size_t one[] = {0};
	int64_t id, other = frozen(t);

	ok(catalog_dataset_make(t->c, "e", "uid-e", &id));
	ok(catalog_dataset_set(t->c, id, DATASET_FREEZING, 0, "{}", 2, NULL));
	for (int i = 0; i < 1500; i++)
		m[i] = member(i, DATASET_TRAIN, one, 1);
	ok(catalog_member_add(t->c, id, m, 1500));
	ok(catalog_dataset_clear(t->c, id));
	ok(catalog_dataset(t->c, id, &row));
	assert_int_equal(row.state, DATASET_FREEZING);
	check(t, id, DATASET_TRAIN, -1, "", 0);
	check(t, other, DATASET_TRAIN, 0, "1 2 4 5 ", 0);
}

static void scratch(void **state)
{
	struct temp *t = *state;
	int64_t id = make(t, "d");
	struct dataset_scratch a = {.dataset = id, .dir = 3, .name = "train.cache.npy"}, b = a, c;

	ok(catalog_scratch_add(t->c, &a));
	assert_int_equal(catalog_scratch_add(t->c, &b), -EEXIST);
	(void)snprintf(b.name, sizeof(b.name), "train.cache");
	ok(catalog_scratch_add(t->c, &b));
	ok(catalog_scratch_next(t->c, id, 3, 0, &c));
	assert_int_equal(c.id, a.id);
	ok(catalog_scratch_next(t->c, id, 3, a.id, &c));
	assert_string_equal(c.name, "train.cache");
	assert_int_equal(catalog_scratch_next(t->c, id, 4, 0, &c), -ENOENT);
	(void)snprintf(a.name, sizeof(a.name), "train.cache");
	ok(catalog_scratch_move(t->c, &a));
	assert_int_equal(catalog_scratch(t->c, b.id, &c), -ENOENT);
	ok(catalog_scratch_find(t->c, id, 3, "train.cache", &c));
	assert_int_equal(c.id, a.id);
	ok(catalog_scratch_remove(t->c, a.id));
	assert_int_equal(catalog_scratch_remove(t->c, a.id), -ENOENT);
	ok(catalog_dataset_remove(t->c, id));
	assert_int_equal(catalog_scratch_add(t->c, &a), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(states, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(members, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(begin_anew, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(scratch, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
