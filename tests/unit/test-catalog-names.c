/* test-catalog-names.c - directories of labels are made, renamed and emptied; and a model: random edits against what they should
 * leave. */
#include "test-catalog-labels.h"

/* ---- directories ---- */
static void made_and_unmade(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0), animal, fox, again;

	ok(catalog_kind_make(t->c, "animal", &animal));
	assert_int_equal(catalog_kind_make(t->c, "animal", &again), -EEXIST);
	assert_int_equal(catalog_kind_make(t->c, "a/b", &again), -EINVAL);
	assert_int_equal(catalog_kind_make(t->c, ".hidden", &again), -EINVAL);
	assert_int_equal(catalog_label_make(t->c, 99, "fox", &again), -ENOENT);
	assert_string_equal(listing(t), "animal:; ");
	ok(catalog_label_make(t->c, animal, "fox", &fox));
	assert_int_equal(catalog_label_make(t->c, animal, "fox", &again), -EEXIST);
	assert_string_equal(listing(t), "animal: fox; ");
	assert_int_equal(catalog_label_unmake(t->c, animal, true), -ENOTEMPTY);
	ok(catalog_label_tag(t->c, id, fox, "me"));
	assert_int_equal(catalog_label_unmake(t->c, fox, false), -ENOTEMPTY);
	ok(catalog_label_remove(t->c, id, fox, "me"));
	assert_string_equal(listing(t), "");
	assert_int_equal(label_id(t, "animal", "fox"), fox);
	ok(catalog_label_make(t->c, animal, "fox", &again)); /* listed again, the same one */
	assert_int_equal(again, fox);
	assert_string_equal(listing(t), "animal: fox; ");
	ok(catalog_label_unmake(t->c, fox, false));
	assert_int_equal(catalog_label_unmake(t->c, fox, false), -ENOENT);
	ok(catalog_label_unmake(t->c, animal, true));
	assert_int_equal(catalog_label_unmake(t->c, animal, true), -ENOENT);
	assert_int_equal(label_id(t, "animal", "fox"), 0);
}

static void what_is_empty_goes_in_the_end(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0), animal, fox;

	ok(catalog_kind_make(t->c, "animal", &animal));
	ok(catalog_label_make(t->c, animal, "fox", &fox));
	ok(add_label(t, id, "object", "dog", NULL));
	ok(catalog_label_remove(t->c, id, label_id(t, "object", "dog"), "me"));
	ok(add_label(t, id, "object", "cat", NULL));
	ok(catalog_labels_expire(t->c, now_us()));
	assert_string_equal(listing(t), "animal: fox; object: cat; ");
	assert_int_not_equal(label_id(t, "object", "dog"), 0);
	ok(catalog_labels_expire(t->c, now_us() + LABEL_STAYS_US));
	assert_string_equal(listing(t), "object: cat; ");
	assert_int_equal(label_id(t, "object", "dog"), 0);
}

static void renamed(void **state)
{
	struct temp *t = *state;
	int64_t a, b, object, animal, dog, wolf, cat;
	struct label_row row;

	(void)use_stores(t);
	a = synced_picture(t, 1);
	b = synced_picture(t, 2);
	ok(edit(t, a, "{\"labels\":[{\"kind\":\"object\",\"value\":\"dog.\"},\"object/cat\"]}"));
	ok(add_label(t, b, "object", "dog", NULL));
	dog = label_id(t, "object", "dog");
	cat = label_id(t, "object", "cat");
	ok(catalog_kind_find(t->c, "object", &row));
	object = row.id;
	(void)drain(t, t->cloud);
	(void)drain(t, t->attic);
	assert_int_equal(catalog_label_rename(t->c, dog, false, object, "cat", "me"), -ENOTEMPTY);
	assert_int_equal(catalog_label_rename(t->c, dog, false, object, "a/b", "me"), -EINVAL);
	assert_int_equal(catalog_label_rename(t->c, 999, false, object, "wolf", "me"), -ENOENT);
	assert_int_equal(catalog_label_rename(t->c, dog, false, 999, "wolf", "me"), -ENOENT);
	ok(catalog_label_rename(t->c, dog, false, object, "wolf", "me"));
	assert_string_equal(labels_of(t, a), "object/wolf object/cat ");
	assert_string_equal(listing(t), "object: cat wolf; ");
	assert_int_equal(label_id(t, "object", "wolf"), dog);
	assert_int_equal(label_id(t, "object", "dog"), 0);
	/* Onto one that is there but empty: it gives up its name. */
	ok(catalog_label_make(t->c, object, "dog", &wolf));
	ok(catalog_label_rename(t->c, dog, false, object, "dog", "me"));
	assert_int_equal(label_id(t, "object", "dog"), dog);
	assert_int_equal(label_id(t, "object", "wolf"), 0);
	/* Into another kind, which the old one may survive. */
	ok(catalog_kind_make(t->c, "animal", &animal));
	ok(catalog_label_rename(t->c, dog, false, animal, "dog", "me"));
	assert_string_equal(listing(t), "animal: dog; object: cat; ");
	ok(catalog_label_rename(t->c, cat, false, animal, "cat", "me"));
	assert_string_equal(listing(t), "animal: cat dog; ");
	/* A whole kind, onto the one that is empty now. */
	assert_int_equal(catalog_label_rename(t->c, object, true, 0, "animal", "me"), -ENOTEMPTY);
	ok(catalog_label_rename(t->c, animal, true, 0, "object", "me"));
	assert_string_equal(listing(t), "object: cat dog; ");
	assert_string_equal(labels_of(t, b), "object/dog ");
	assert_int_equal(label_id(t, "object", "dog"), dog);
	ok(catalog_kind_find(t->c, "object", &row));
	assert_int_equal(row.id, animal);
}

static void sidecars_follow_a_rename_in_steps(void **state)
{
	struct temp *t = *state;
	int64_t id[7], dog, object;
	struct label_row row;
	bool left = true;

	(void)use_stores(t);
	for (unsigned i = 0; i < ARRAY_LEN(id); i++) {
		id[i] = synced_picture(t, i);
		ok(add_label(t, id[i], "object", "dog", NULL));
	}
	(void)drain(t, t->cloud);
	(void)drain(t, t->attic);
	dog = label_id(t, "object", "dog");
	ok(catalog_kind_find(t->c, "object", &row));
	object = row.id;
	ok(catalog_label_rename(t->c, dog, false, object, "wolf", "me"));
	assert_int_equal(drain(t, t->cloud), 0);
	ok(catalog_relabel_step(t->c, 3, &left));
	assert_true(left);
	assert_int_equal(drain(t, t->cloud), 3);
	temp_reopen(t);
	(void)use_stores(t);
	for (int i = 0; left && i < 10; i++)
		ok(catalog_relabel_step(t->c, 3, &left));
	assert_false(left);
	assert_int_equal(drain(t, t->cloud), 4);
	assert_int_equal(drain(t, t->attic), 7);
	assert_string_equal(
		history_of(t, id[6]),
		"me|label renamed|{\"kind\":\"object\",\"value\":\"dog\"}\nme|label added|{\"kind\":\"object\",\"value\":\"dog\",\"by\":\"me\"}\n");
}

/* ---- the feed ---- */
struct told {
	char text[4096];
	size_t len;
};

static void hear(void *user, const struct change *change, size_t n)
{
	struct told *told = user;

	for (size_t i = 0; i < n; i++)
		if (change[i].what == CHANGE_LABELS)
			told->len += (size_t)snprintf(
				told->text + told->len, sizeof(told->text) - told->len, "%s%s ",
				change[i].kind ? "" : "labels/", change[i].name);
}

static const char *heard(struct temp *t, struct told *told)
{
	told->len = 0;
	return told->text;
}

static void the_feed_tells_names(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0), animal, fox;
	struct told told = {.text = ""};

	catalog_on_change(t->c, hear, &told);
	ok(catalog_kind_make(t->c, "animal", &animal));
	assert_string_equal(heard(t, &told), "labels/animal ");
	ok(catalog_label_make(t->c, animal, "fox", &fox));
	assert_string_equal(heard(t, &told), "fox labels/animal ");
	ok(catalog_label_tag(t->c, id, fox, NULL));
	assert_string_equal(heard(t, &told), "fox labels/animal ");
	ok(catalog_label_rename(t->c, fox, false, animal, "wolf", NULL));
	assert_string_equal(heard(t, &told), "fox wolf ");
	ok(catalog_label_rename(t->c, animal, true, 0, "beast", NULL));
	assert_string_equal(heard(t, &told), "labels/animal labels/beast ");
	ok(catalog_label_remove(t->c, id, fox, NULL));
	assert_string_equal(heard(t, &told), "wolf labels/beast ");
	catalog_on_change(t->c, NULL, NULL);
}

/* ---- the model: which picture has which of a few names ---- */
enum { PICTURES = 5, NAMES = 6, STEPS = 600 };

struct model {
	int64_t picture[PICTURES], label[NAMES]; /* 0: not made yet */
	bool has[PICTURES][NAMES];
	char name[NAMES][16];
	int64_t kind;
	unsigned renames;
};

static void model_step(struct temp *t, struct model *m)
{
	int p = rand() % PICTURES, n = rand() % NAMES, k = rand() % NAMES;
	char text[16];
	int r;

	switch (rand() % 5) {
	case 0:
		r = catalog_label_tag(t->c, m->picture[p], m->label[n], "me");
		assert_int_equal(r, m->has[p][n] ? -EEXIST : 0);
		m->has[p][n] = true;
		return;
	case 1:
		r = catalog_label_remove(t->c, m->picture[p], m->label[n], "me");
		assert_int_equal(r, m->has[p][n] ? 0 : -ENOENT);
		m->has[p][n] = false;
		return;
	case 2:
		r = catalog_label_move(t->c, m->picture[p], m->label[n], m->label[k], "me");
		assert_int_equal(r, m->has[p][n] ? 0 : -ENOENT);
		if (r == 0) {
			m->has[p][n] = false;
			m->has[p][k] = true;
		}
		return;
	case 3:
		(void)snprintf(text, sizeof(text), "n%u", m->renames++);
		r = catalog_label_rename(t->c, m->label[n], false, m->kind, text, "me");
		if (r == 0)
			memcpy(m->name[n], text, sizeof(text));
		else /* it was emptied, and its hour is over: see below */
			assert_int_equal(r, -ENOENT);
		return;
	default:
		temp_reopen(t);
	}
}

static void model_compare(struct temp *t, const struct model *m)
{
	for (int n = 0; n < NAMES; n++) {
		struct label_row row;
		int want = 0;

		for (int p = 0; p < PICTURES; p++)
			want += m->has[p][n];
		assert_int_equal(pictures_of(t, m->label[n]), want);
		ok(catalog_label_name(t->c, m->label[n], false, &row));
		assert_string_equal(row.name, m->name[n]);
		assert_true((strstr(listing(t), row.name) != NULL) || want == 0);
	}
	for (int p = 0; p < PICTURES; p++) {
		CLEANUP(sidecar_done) struct sidecar s = {0};
		unsigned links = 2;

		ok(catalog_sidecar(t->c, m->picture[p], &s));
		for (int n = 0; n < NAMES; n++) {
			bool found = false;

			for (size_t i = 0; i < s.labels.n; i++)
				found = found || strcmp(s.labels.item[i].value, m->name[n]) == 0;
			assert_int_equal(found, m->has[p][n]);
			links += found;
		}
		assert_int_equal(snap_of(t, m->picture[p]).links, links);
	}
}

static void random_edits(void **state)
{
	struct temp *t = *state;
	struct model m = {0};
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)now_us();

	print_message("SEED=%u\n", seed);
	srand(seed);
	for (unsigned p = 0; p < PICTURES; p++)
		m.picture[p] = add_picture(t, "front", p, 0);
	ok(catalog_kind_make(t->c, "k", &m.kind));
	for (int n = 0; n < NAMES; n++) {
		(void)snprintf(m.name[n], sizeof(m.name[n]), "m%d", n);
		ok(catalog_label_make(t->c, m.kind, m.name[n], &m.label[n]));
	}
	for (int i = 0; i < STEPS; i++) {
		model_step(t, &m);
		if (i % 10 == 0)
			model_compare(t, &m);
	}
	model_compare(t, &m);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_and_unmade),
		TEST(what_is_empty_goes_in_the_end),
		TEST(renamed),
		TEST(sidecars_follow_a_rename_in_steps),
		TEST(the_feed_tells_names),
		TEST(random_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
