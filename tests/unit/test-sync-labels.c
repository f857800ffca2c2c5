/* test-sync-labels.c - what people do to labels reaches the stores, comes back from them alone, and leaves them again. */
#include "test-sync.h"

#include "shutterfs/codec.h"

#include <math.h>

#define STEM(n) "20201231T15-00-0" n "-000000_front"
#define KEY(n) "front/2020/12/31/" STEM(n)

static int64_t id_of(struct town *t, const char *stem)
{
	struct camera_row row;
	struct civil c;
	unsigned dup;
	char name[CAMERA_MAX + 1];
	struct snap s;

	ok(stem_parse(stem, &c, &dup, name));
	ok(catalog_camera_find(t->house.cat, name, &row));
	ok(catalog_find(t->house.cat, (struct view){VIEW_CAMERA, row.id},
			day_from_civil(c.year, c.month, c.day), stem, &s));
	return s.id;
}

static void label(struct town *t, int64_t id, const char *kind, const char *value)
{
	struct label l = {.kind = (char *)kind,
			  .value = (char *)value,
			  .by = (char *)"me",
			  .score = NAN,
			  .has_box = true,
			  .box = {0.1, 0.2, 0.3, 0.4}};

	ok(catalog_label_add(t->house.cat, id, &l));
}

static int64_t label_id(struct town *t, const char *kind, const char *value, int64_t *ret_kind)
{
	struct label_row k, v;

	ok(catalog_kind_find(t->house.cat, kind, &k));
	ok(catalog_label_find(t->house.cat, k.id, value, &v));
	if (ret_kind)
		*ret_kind = k.id;
	return v.id;
}

static void rename_label(struct town *t, const char *kind, const char *from, const char *to)
{
	int64_t kind_id, id = label_id(t, kind, from, &kind_id);

	ok(catalog_label_rename(t->house.cat, id, false, kind_id, to, "me"));
}

static void drained(struct town *t)
{
	char why[256];
	int r = drain(t, why);

	if (r < 0)
		fail_msg("%s", why);
}

static void read_object(struct town *t, size_t store, const char *key, struct buf *out)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", t->root[store], key);
	out->len = 0;
	ok(read_file(AT_FDCWD, path, SIDECAR_BYTES, out));
}

static bool is_there(struct town *t, size_t store, const char *key)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", t->root[store], key);
	return access(path, F_OK) == 0;
}

static void lose_state(struct town *t)
{
	town_stop(t);
	ok(remove_tree(AT_FDCWD, t->house.state));
	ok(remove_tree(AT_FDCWD, t->house.cache_dir));
	ok(make_dirs(t->house.state, 0700));
	town_open(t, (const char *const[]){"", ""});
	ok(sync_start(t->sync));
}

static void rebuild(struct town *t)
{
	struct scan_counts n = {0};
	struct call c = {.deadline_us = mono_us() + 40000000};

	ok(sync_rebuild(t->sync, &c, NULL, NULL, &n));
}

/* All that a snapshot's sidecar object says, history included. */
static char *told(struct town *t, const char *stem)
{
	int64_t id = id_of(t, stem);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct buf out = BUF(SIDECAR_BYTES);

	ok(catalog_sidecar(t->house.cat, id, &s));
	ok(catalog_history_json(t->house.cat, id, SIDECAR_BYTES / 2, &s.history));
	ok(sidecar_render(&s, &out));
	return out.data;
}

#define DOC \
	"{\"label\":{\"created_by\":\"auto\",\"label_direction\":2},\"big\":12345678901234567890}"

static void edit_everything(struct town *t)
{
	struct catalog *cat = t->house.cat;
	int64_t one = id_of(t, STEM("1")), two = id_of(t, STEM("2")), three = id_of(t, STEM("3"));
	int64_t doc;

	label(t, one, "object", "dog");
	label(t, two, "object", "dog");
	label(t, two, "plate", "1AB/2345.");
	label(t, three, "object", "cat");
	ok(catalog_label_remove(cat, three, label_id(t, "object", "cat", NULL), "you"));
	ok(catalog_star(cat, one, true, "me"));
	ok(catalog_comment(cat, one, "first", "me"));
	ok(catalog_comment(cat, one, "second", "you"));
	ok(catalog_comment(cat, three, "not for long", "you"));
	ok(catalog_comment(cat, three, "", "you"));
	ok(catalog_rating(cat, two, 9, "me"));
	ok(catalog_document_add(cat, one, DOC, "me", NULL));
	ok(catalog_document_add(cat, one, "{\"n\":1}", "me", &doc));
	ok(catalog_document_remove(cat, doc, "you"));
	rename_label(t, "object", "dog", "wolf");
	ok(catalog_note_put(cat, "queries/wolves.json", "{\"label\":\"object/wolf\"}", 23));
	ok(catalog_note_put(cat, "queries/gone.json", "{}", 2));
	ok(catalog_note_remove(cat, "queries/gone.json"));
}

static void everything_comes_back(void **state)
{
	static const char *const stem[] = {STEM("0"), STEM("1"), STEM("2"), STEM("3")};
	struct town t;
	char *before[4], key[KEY_MAX + 1];
	CLEANUP(buf_done) struct buf note = BUF(4096);

	town_new(&t, "", "", 2);
	ok(sync_start(t.sync));
	upload_many(&t, 0, 4);
	drained(&t);
	edit_everything(&t);
	drained(&t);
	for (size_t i = 0; i < ARRAY_LEN(stem); i++)
		before[i] = told(&t, stem[i]);
	assert_non_null(strstr(before[1], "\"value\":\"wolf\""));
	assert_non_null(strstr(before[1], "label renamed"));
	assert_non_null(strstr(before[3], "not for long"));
	lose_state(&t);
	rebuild(&t);
	for (size_t i = 0; i < ARRAY_LEN(stem); i++) {
		char *after = told(&t, stem[i]);

		assert_string_equal(after, before[i]);
		free(after);
		free(before[i]);
	}
	ok(catalog_note_get(t.house.cat, "queries/wolves.json", &note));
	assert_memory_equal(note.data, "{\"label\":\"object/wolf\"}", 23);
	ok(catalog_note_next(t.house.cat, "", "", key));
	assert_int_equal(catalog_note_next(t.house.cat, "", key, key), -ENOENT);
	drained(&t);
	town_end(&t);
}

static void the_younger_sidecar_counts(void **state)
{
	struct town t;
	CLEANUP(buf_done) struct buf old = BUF(65536), now = BUF(65536);
	CLEANUP(freep) char *after = NULL;

	town_new(&t, "", "", 2);
	ok(sync_start(t.sync));
	upload_many(&t, 1, 1);
	drained(&t);
	label(&t, id_of(&t, STEM("1")), "object", "dog");
	ok(catalog_comment(t.house.cat, id_of(&t, STEM("1")), "old", "me"));
	drained(&t);
	read_object(&t, 1, KEY("1") ".json", &old);
	ok(catalog_label_remove(t.house.cat, id_of(&t, STEM("1")),
				label_id(&t, "object", "dog", NULL), "me"));
	ok(catalog_comment(t.house.cat, id_of(&t, STEM("1")), NULL, "me"));
	label(&t, id_of(&t, STEM("1")), "object", "fox");
	drained(&t);
	/* A store that missed the last edits, whichever is read last. */
	for (size_t i = 0; i < 2; i++) {
		put_file(&t, i, KEY("1") ".json", old.data, old.len);
		lose_state(&t);
		rebuild(&t);
		freep(&after);
		after = told(&t, STEM("1"));
		assert_non_null(strstr(after, "\"value\":\"fox\""));
		assert_null(strstr(after, "\"comment\":\"old\""));
		drained(&t);
		read_object(&t, i, KEY("1") ".json", &now); /* it has them now */
		assert_non_null(strstr(now.data, "\"value\":\"fox\""));
		assert_null(strstr(now.data, "\"comment\":\"old\""));
	}
	town_end(&t);
}

/* A program that looks at pictures in the bucket knows nothing of what was done here. */
static void labels_of_others_join_ours(void **state)
{
	static const char foreign[] = "{\"labels\":[{\"kind\":\"object\",\"value\":\"bear\"}]}";
	struct town t;
	struct call c = {.deadline_us = mono_us() + 20000000};
	struct scan_counts n = {0};
	CLEANUP(freep) char *after = NULL;

	town_new(&t, "", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 1, 1);
	label(&t, id_of(&t, STEM("1")), "object", "dog");
	ok(catalog_star(t.house.cat, id_of(&t, STEM("1")), true, "me"));
	drained(&t);
	put_file(&t, 0, KEY("1") ".json", foreign, sizeof(foreign) - 1);
	ok(sync_scan(t.sync, "cloud", &c, NULL, NULL, &n));
	after = told(&t, STEM("1"));
	assert_non_null(strstr(after, "\"labels\":[{\"kind\":\"object\",\"value\":\"bear\"}]"));
	assert_non_null(strstr(after, "\"starred\":true"));
	assert_non_null(strstr(after, "\"who\":\"store\",\"what\":\"label removed\""));
	town_end(&t);
}

static void renamed_before_a_restart(void **state)
{
	struct town t;
	CLEANUP(buf_done) struct buf text = BUF(65536);

	town_new(&t, "", NULL, 1);
	ok(sync_start(t.sync));
	upload_many(&t, 1, 2);
	label(&t, id_of(&t, STEM("1")), "object", "dog");
	label(&t, id_of(&t, STEM("2")), "object", "dog");
	drained(&t);
	town_restart(&t, "", NULL);
	rename_label(&t, "object", "dog", "wolf"); /* sync has not begun */
	town_restart(&t, "", NULL);
	ok(sync_start(t.sync));
	drained(&t);
	read_object(&t, 0, KEY("1") ".json", &text);
	assert_non_null(strstr(text.data, "\"value\":\"wolf\""));
	read_object(&t, 0, KEY("2") ".json", &text);
	assert_non_null(strstr(text.data, "\"value\":\"wolf\""));
	town_end(&t);
}

static void notes_travel(void **state)
{
	struct town t;
	struct call c = {.deadline_us = mono_us() + 20000000};
	struct scan_counts n = {0};
	CLEANUP(buf_done) struct buf text = BUF(4096);
	struct catalog_totals totals;

	town_new(&t, "", "", 2);
	ok(sync_start(t.sync));
	ok(catalog_note_put(t.house.cat, "queries/a.json", "1", 1));
	ok(catalog_note_put(t.house.cat, "queries/a.json", "22", 2));
	drained(&t);
	read_object(&t, 0, ".shutterfs/queries/a.json", &text);
	assert_int_equal(text.len, 2);
	assert_true(is_there(&t, 1, ".shutterfs/queries/a.json"));
	put_file(&t, 1, ".shutterfs/queries/b.json", "b", 1); /* by another machine */
	ok(sync_scan(t.sync, "attic", &c, NULL, NULL, &n));
	assert_int_equal(n.added + n.rejected + n.sidecars, 0);
	drained(&t);
	read_object(&t, 0, ".shutterfs/queries/b.json", &text);
	assert_memory_equal(text.data, "b", 1);
	ok(catalog_note_remove(t.house.cat, "queries/a.json"));
	drained(&t);
	assert_false(is_there(&t, 0, ".shutterfs/queries/a.json"));
	assert_false(is_there(&t, 1, ".shutterfs/queries/a.json"));
	ok(catalog_totals(t.house.cat, &totals));
	assert_int_equal(totals.queue_waiting, 0);
	town_end(&t);
}

static void notes_are_tried_again(void **state)
{
	struct town t;
	char why[256];

	town_new(&t, "put=ECONNRESET", NULL, 1);
	ok(sync_start(t.sync));
	ok(catalog_note_put(t.house.cat, "queries/a.json", "1", 1));
	assert_int_equal(drain(&t, why), -EIO);
	assert_non_null(strstr(why, "put fails as scripted"));
	town_restart(&t, "", NULL);
	ok(sync_start(t.sync));
	drained(&t);
	assert_true(is_there(&t, 0, ".shutterfs/queries/a.json"));
	town_end(&t);
}

static void trash_leaves_the_stores(void **state)
{
	struct town t;
	struct call c = {.deadline_us = mono_us() + 20000000};
	struct scan_counts n = {0};

	town_new(&t, "", "", 2);
	ok(sync_start(t.sync));
	upload_many(&t, 1, 3);
	drained(&t);
	ok(catalog_trash(t.house.cat, id_of(&t, STEM("1")), now_us() - 1, "me"));
	ok(catalog_trash(t.house.cat, id_of(&t, STEM("2")), now_us() + 3600000000, "me"));
	assert_int_equal(snapshots(&t.house), 1);
	/* Somebody has put something else there since. */
	put_file(&t, 1, KEY("1") ".jpg", "foreign", 7);
	drained(&t);
	assert_false(is_there(&t, 0, KEY("1") ".jpg"));
	assert_false(is_there(&t, 0, KEY("1") ".json"));
	assert_true(is_there(&t, 1, KEY("1") ".jpg"));
	assert_false(is_there(&t, 1, KEY("1") ".json"));
	assert_true(is_there(&t, 0, KEY("2") ".jpg"));
	assert_true(is_there(&t, 0, KEY("3") ".jpg"));
	ok(sync_scan(t.sync, "cloud", &c, NULL, NULL, &n)); /* does not bring it back */
	assert_int_equal(snapshots(&t.house), 1);
	ok(unlink((snprintf(t.path[1], sizeof(t.path[1]), "%s/" KEY("1") ".jpg", t.root[1]),
		   t.path[1])));
	town_end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_comes_back),
		cmocka_unit_test(the_younger_sidecar_counts),
		cmocka_unit_test(labels_of_others_join_ours),
		cmocka_unit_test(renamed_before_a_restart),
		cmocka_unit_test(notes_travel),
		cmocka_unit_test(notes_are_tried_again),
		cmocka_unit_test(trash_leaves_the_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
