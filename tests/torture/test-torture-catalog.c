/* The catalog while calls fail: what it said 0 to is there, and its counters are right. */
#include "../unit/test-catalog-temp.h"
#include "torture.h"

#include <math.h>

enum { PICTURES = 6 };

static void *begin(void)
{
	void *t;

	ok(temp_open(&t));
	((struct temp *)t)->c = catalog_close(((struct temp *)t)->c);
	return t;
}

static int try_register(struct temp *t, unsigned n)
{
	const struct target target[] = {{t->cloud, LAYOUT}, {t->attic, LAYOUT}};
	struct registration reg = {
		.camera = "front",
		.taken_us = NOON_US + n * INT64_C(1000000),
		.size = 1000 + n,
		.sha = sha_of(n),
		.target = target,
		.n_targets = 2,
	};
	int64_t id;
	bool new;
	int r = catalog_register(t->c, &reg, &id, &new);

	if (r == 0)
		assert_int_equal(id, n + 1);
	return r;
}

static int count(void *user, const struct snap *s)
{
	++*(unsigned *)user;
	return 0;
}

static int try_list(struct temp *t)
{
	unsigned n = 0;
	int r = catalog_list(t->c, (struct view){.kind = VIEW_ALL}, 18627, 0, 100, count, &n);

	if (r == 0)
		assert_int_equal(n, PICTURES);
	return r;
}

static int try_label(struct temp *t, int64_t id)
{
	static char kind[] = "animal", value[] = "cat", by[] = "me";
	const struct label l = {.kind = kind, .value = value, .by = by, .score = NAN};
	int r = catalog_label_add(t->c, id, &l);

	return r == -EEXIST ? 0 : r;
}

static void work(void *data)
{
	struct temp *t = data;

	again(catalog_open(t->dir, &t->c));
	for (unsigned n = 0; n < PICTURES; n++) {
		again(try_register(t, n));
		again(try_label(t, n + 1));
	}
	again(try_list(t));
	again(catalog_note_put(t->c, "queries/cats.json", "{}", 2));
	again(catalog_trash(t->c, 99, 1, "me") == -ENOENT ? 0 : -1);
	again(catalog_sync(t->c));
}

static void end(void *data)
{
	struct temp *t = data;

	temp_reopen(t);
	ok(try_list(t));
	for (unsigned n = 0; n < PICTURES; n++) {
		CLEANUP(sidecar_done) struct sidecar s = {0};

		ok(catalog_sidecar(t->c, n + 1, &s));
		assert_int_equal(s.labels.n, 1);
		assert_int_equal(snap_of(t, n + 1).queued, 2);
	}
	assert_int_equal(peek(t, "SELECT count(*) FROM snapshot"), PICTURES);
	assert_int_equal(peek(t, "SELECT count(*) FROM note"), 1);
	ok(temp_close(&data));
}

int main(void)
{
	static const struct scenario all[] = {{"catalog", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
