/* test-catalog-scale.c - 20,000 pictures with three labels each: what edits one, or renames all, does not feel how many there are. */
#include "test-catalog-labels.h"

#include "db.h"

enum { PICTURES = 20000, EMPTY = 20000, ROUNDS = 20 };

struct fill {
	unsigned first, n;
};

static int fill_some(struct db *db, void *arg)
{
	const struct fill *f = arg;
	int64_t camera;
	int r = camera_ensure(db, "front", NULL, NULL, false, &camera);

	for (unsigned i = f->first; r == 0 && i < f->first + f->n; i++) {
		const struct sha256 sha = sha_of(i);
		const struct snapshot_new n = {.camera = camera,
					       .camera_name = "front",
					       .taken_us = NOON_US + i * INT64_C(1000000),
					       .size = 1000,
					       .sha = &sha};
		CLEANUP(sidecar_done) struct sidecar s = {0};
		struct snap snap;
		char value[32];

		r = snapshot_insert(db, &n, &snap);
		(void)snprintf(value, sizeof(value), "one/of %u", i % 100);
		if (r == 0)
			r = labels_add_tag(&s.labels, i % 2 ? "object/dog" : "object/cat");
		if (r == 0)
			r = labels_add_tag(&s.labels, value);
		if (r == 0)
			r = labels_add_tag(&s.labels, i == 7 ? "object/rare" : "event/any");
		if (r == 0)
			r = sidecar_merge(db, snap.id, &s, &(struct merge_how){0}, NULL);
	}
	return r;
}

static void fill(struct temp *t)
{
	for (unsigned i = 0; i < PICTURES; i += 1000)
		ok(db_write(t->c, fill_some, &(struct fill){i, 1000}, false));
}

/* Names that were used once. */
static int fill_empty(struct db *db, void *arg)
{
	int64_t *kind = arg;
	int r = 0;

	for (int i = 0; r == 0 && i < EMPTY; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "e%06d", i);
		r = RUN(db, "INSERT INTO label_name(kind, name) VALUES(?1, ?2)", I(*kind), T(name));
	}
	return r;
}

static int64_t rename_us(struct temp *t, int64_t label, int64_t kind, const char *to)
{
	int64_t began = mono_us();

	ok(catalog_label_rename(t->c, label, false, kind, to, "me"));
	return mono_us() - began;
}

static int64_t kind_of(struct temp *t, const char *name)
{
	struct label_row row;

	ok(catalog_kind_find(t->c, name, &row));
	return row.id;
}

static void renaming_many_is_renaming_one(struct temp *t)
{
	int64_t object = kind_of(t, "object"), dog = label_id(t, "object", "dog");
	int64_t rare = label_id(t, "object", "rare"), many = 0, one = 0;
	char to[32];

	for (int i = 0; i < ROUNDS; i++) {
		(void)snprintf(to, sizeof(to), "wolf%d", i);
		many += rename_us(t, dog, object, to);
		(void)snprintf(to, sizeof(to), "rare%d", i);
		one += rename_us(t, rare, object, to);
	}
	print_message("rename: %lld us of 10,000 pictures, %lld us of one\n",
		      (long long)many / ROUNDS, (long long)one / ROUNDS);
	assert_true(many < 10 * one + ROUNDS * 20000);
	assert_string_equal(labels_of(t, 2), "object/wolf19 one/of 1 event/any ");
}

static void one_edit_is_quick(struct temp *t)
{
	int64_t cat = label_id(t, "object", "cat"), began = mono_us(), add, remove;

	for (int i = 0; i < ROUNDS; i++)
		ok(catalog_label_tag(t->c, 2 * i + 2, cat, "me"));
	add = (mono_us() - began) / ROUNDS;
	began = mono_us();
	for (int i = 0; i < ROUNDS; i++)
		ok(catalog_label_remove(t->c, 2 * i + 2, cat, "me"));
	remove = (mono_us() - began) / ROUNDS;
	print_message("one label: %lld us to add, %lld us to remove\n", (long long)add,
		      (long long)remove);
	assert_true(add < 100000 && remove < 100000);
}

/* 20,000 names without pictures lie before the one that has some. */
static void empty_names_cost_nothing(struct temp *t)
{
	int64_t kind = kind_of(t, "object"), began, few, many;
	struct label_row row;

	began = mono_us();
	for (int i = 0; i < ROUNDS; i++)
		ok(catalog_label_next(t->c, kind, "d", &row));
	few = mono_us() - began;
	ok(db_write(t->c, fill_empty, &kind, false));
	began = mono_us();
	for (int i = 0; i < ROUNDS; i++) {
		ok(catalog_label_next(t->c, kind, "d", &row));
		ok(catalog_kind_next(t->c, "n", &row));
	}
	many = mono_us() - began;
	print_message("next: %lld us, %lld us beside 20,000 empty names\n", (long long)few / ROUNDS,
		      (long long)many / ROUNDS);
	assert_true(many < 20 * few + 50000);
}

static void sidecars_follow(struct temp *t)
{
	int64_t began = mono_us();
	bool left = true;
	int steps = 0;

	for (; left; steps++)
		ok(catalog_relabel_step(t->c, 500, &left));
	print_message("10,000 sidecars in %d steps of %lld us\n", steps,
		      (long long)(mono_us() - began) / steps);
	assert_in_range(steps, PICTURES / 2 / 500, PICTURES / 2 / 500 + 5);
}

static void many_pictures(void **state)
{
	struct temp *t = *state;

	(void)use_stores(t);
	fill(t);
	renaming_many_is_renaming_one(t);
	one_edit_is_quick(t);
	empty_names_cost_nothing(t);
	sidecars_follow(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(many_pictures, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
