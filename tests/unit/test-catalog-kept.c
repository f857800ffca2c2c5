/* test-catalog-kept.c - rows that catalog_snap keeps: found again without the database, and never stale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>

#include "stmt.h"
#include "test-catalog.h"

#define READERS 4
#define WRITES 400

static int64_t one(struct catalog *c, const char *camera, uint64_t n)
{
	struct registration r = reg_of(camera, T0 + (int64_t)n * 1000000, n);

	return registered(c, &r);
}

static bool is_kept(struct catalog *c, int64_t id)
{
	struct snap s;
	uint64_t state;

	return rows_find(c->rows, id, &s, &state);
}

/* Asked twice: the second answer is the kept one, and the same. */
static struct snap asked(struct catalog *c, int64_t id)
{
	struct snap first, second;

	assert_int_equal(catalog_snap(c, id, &first), 0);
	assert_true(is_kept(c, id));
	assert_int_equal(catalog_snap(c, id, &second), 0);
	assert_memory_equal(&first.sha, &second.sha, sizeof(first.sha));
	assert_int_equal(first.size, second.size);
	assert_string_equal(first.stem, second.stem);
	return second;
}

static int hide(struct db *db, void *id)
{
	return snapshot_hide(db, *(int64_t *)id);
}

static int show(struct db *db, void *id)
{
	return snapshot_show(db, *(int64_t *)id);
}

struct bytes {
	int64_t id;
	uint64_t n; /* size and content */
};

static int set_bytes(struct db *db, void *arg)
{
	const struct bytes *b = arg;
	const struct sha256 sha = sha_of(b->n);

	return snapshot_set_bytes(db, b->id, &sha, b->n, 10, 20);
}

static void test_each_change_is_seen(void **state)
{
	struct fixture *f = *state;
	struct catalog *c = f->c;
	const struct label fox = {.kind = (char *)"animal", .value = (char *)"fox", .score = NAN};
	const struct sha256 other = sha_of(4711);
	int64_t a = one(c, "front", 1), b = one(c, "front", 2);
	struct snap s;

	assert_int_equal(asked(c, a).links, 2);
	(void)asked(c, b);
	assert_int_equal(catalog_label_add(c, a, &fox), 0);
	assert_false(is_kept(c, a));
	assert_false(is_kept(c, b));
	assert_int_equal(asked(c, a).links, 3);
	assert_int_equal(catalog_star(c, a, true, "test"), 0);
	assert_true(asked(c, a).starred);
	assert_int_equal(db_write(c, set_bytes, &(struct bytes){a, 4711}, false), 0);
	s = asked(c, a);
	assert_int_equal(s.size, 4711);
	assert_memory_equal(&s.sha, &other, sizeof(other));
	assert_int_equal(db_write(c, hide, &a, false), 0);
	assert_int_equal(catalog_snap(c, a, &s), -ENOENT);
	assert_int_equal(db_write(c, show, &a, false), 0);
	assert_int_equal(asked(c, a).size, 4711);
	(void)asked(c, b);
	assert_int_equal(catalog_star(c, 12345, true, "test"), -ENOENT);
	assert_true(is_kept(c, b)); /* nothing was written */
}

static void test_read_before_a_commit(void **state)
{
	struct fixture *f = *state;
	struct rows *rows = f->c->rows;
	int64_t id = one(f->c, "front", 1);
	struct snap s;
	uint64_t before;

	assert_false(rows_find(rows, id, &s, &before));
	assert_int_equal(catalog_snap(f->c, id, &s), 0);
	rows_changed(rows);
	rows_add(rows, before, &s);
	assert_false(is_kept(f->c, id));
	/* one that takes another's place */
	assert_false(rows_find(rows, id, &s, &before));
	assert_int_equal(catalog_snap(f->c, id, &s), 0);
	s.id += INT64_C(1) << 32;
	rows_add(rows, before, &s);
	assert_true(is_kept(f->c, s.id));
	assert_false(is_kept(f->c, id));
}

struct shared {
	struct catalog *c;
	int64_t id;
	_Atomic uint64_t written; /* what a write that returned made of its size */
	_Atomic bool done;
};

static void *read_on(void *user)
{
	struct shared *sh = user;
	struct snap s;

	while (!sh->done) {
		uint64_t least = sh->written;

		if (catalog_snap(sh->c, sh->id, &s) < 0 || s.size < least)
			return sh;
	}
	return NULL;
}

static void test_with_readers(void **state)
{
	struct fixture *f = *state;
	struct shared sh = {.c = f->c, .id = one(f->c, "front", 1)};
	pthread_t thread[READERS];
	struct snap s;
	void *failed;

	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_on, &sh), 0);
	for (uint64_t n = 2000; n < 2000 + WRITES; n++) {
		assert_int_equal(db_write(f->c, set_bytes, &(struct bytes){sh.id, n}, false), 0);
		sh.written = n;
		assert_int_equal(catalog_snap(f->c, sh.id, &s), 0);
		assert_int_equal(s.size, n);
	}
	sh.done = true;
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		CASE(test_each_change_is_seen),
		CASE(test_read_before_a_commit),
		CASE(test_with_readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
