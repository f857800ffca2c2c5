/* test-catalog-note.c - notes on their way to stores and back; pictures in the trash. */
#include "test-catalog-labels.h"

static const char *body_of(struct temp *t, const char *key)
{
	static char text[256];
	CLEANUP(buf_done) struct buf out = BUF(sizeof(text) - 1);
	int r = catalog_note_get(t->c, key, &out);

	if (r == -ENOENT)
		return "gone";
	ok(r);
	(void)snprintf(text, sizeof(text), "%s", out.data ? out.data : "");
	return text;
}

static int put(struct temp *t, const char *key, const char *body)
{
	return catalog_note_put(t->c, key, body, strlen(body));
}

/* Sends all; how many. */
static int send(struct temp *t, int64_t store, const char *etag)
{
	struct note_item item;
	int n = 0;

	for (; catalog_note_todo(t->c, store, &item) == 0; n++)
		ok(catalog_note_sent(t->c, &item, etag));
	return n;
}

static void put_get_list(void **state)
{
	struct temp *t = *state;
	char key[KEY_MAX + 1], big[NOTE_KEY_MAX + 2];
	struct note_row row, again;

	memset(big, 'k', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(put(t, "", "x"), -EINVAL);
	assert_int_equal(put(t, "/a", "x"), -EINVAL);
	assert_int_equal(put(t, "a/../b", "x"), -EINVAL);
	assert_int_equal(put(t, "a/", "x"), -EINVAL);
	assert_int_equal(put(t, big, "x"), -EINVAL);
	ok(put(t, "queries/b.json", "B"));
	ok(put(t, "queries/a.json", "A"));
	ok(put(t, "datasets/d/1", ""));
	ok(catalog_note_next(t->c, "queries/", "", key));
	assert_string_equal(key, "queries/a.json");
	ok(catalog_note_next(t->c, "queries/", key, key));
	assert_string_equal(key, "queries/b.json");
	assert_int_equal(catalog_note_next(t->c, "queries/", key, key), -ENOENT);
	assert_string_equal(body_of(t, "datasets/d/1"), "");
	ok(catalog_note_find(t->c, "queries/a.json", &row));
	assert_int_equal(row.size, 1);
	ok(catalog_note_remove(t->c, "queries/a.json"));
	assert_int_equal(catalog_note_remove(t->c, "queries/a.json"), -ENOENT);
	assert_int_equal(catalog_note_remove(t->c, "queries/never.json"), -ENOENT);
	assert_string_equal(body_of(t, "queries/a.json"), "gone");
	ok(catalog_note(t->c, row.id, &again));
	assert_false(again.there);
	ok(put(t, "queries/a.json", "A2"));
	ok(catalog_note_find(t->c, "queries/a.json", &again));
	assert_int_equal(again.id, row.id);
}

static void sent_once_and_coalesced(void **state)
{
	struct temp *t = *state;
	struct target target[2];
	struct note_item item;

	memcpy(target, use_stores(t), sizeof(target));
	catalog_set_stores(t->c, target, 1);
	ok(put(t, "q/a", "1"));
	ok(put(t, "q/a", "2"));
	ok(put(t, "q/a", "2"));
	assert_int_equal(send(t, t->cloud, "e"), 1);
	assert_int_equal(send(t, t->attic, "e"), 0);
	catalog_set_stores(t->c, target, 2); /* a store that is new */
	ok(catalog_note_offer(t->c));
	assert_int_equal(send(t, t->cloud, "e"), 0);
	assert_int_equal(send(t, t->attic, "e"), 1);
	ok(put(t, "q/a", "3"));
	ok(catalog_note_todo(t->c, t->cloud, &item));
	ok(put(t, "q/a", "4")); /* while it is under way */
	ok(catalog_note_sent(t->c, &item, "e3"));
	assert_int_equal(send(t, t->cloud, "e4"), 1);
	ok(catalog_note_todo(t->c, t->attic, &item));
	ok(catalog_note_failed(t->c, &item, 77, "no\nroute"));
	ok(catalog_note_todo(t->c, t->attic, &item));
	assert_int_equal(item.next_us, 77);
	assert_int_equal(item.tries, 1);
	assert_string_equal(item.error, "no route");
	ok(catalog_note_remove(t->c, "q/a"));
	ok(catalog_note_todo(t->c, t->attic, &item));
	assert_true(item.gone);
	assert_int_equal(item.next_us, 0);
	assert_int_equal(send(t, t->attic, ""), 1);
	assert_int_equal(send(t, t->cloud, ""), 1);
	assert_int_equal(peek(t, "SELECT count(*) FROM note_object"), 0);
}

struct scan_state {
	int64_t store, gen;
};

static struct scan_state scan_begin(struct temp *t, int64_t store)
{
	struct scan_state s = {.store = store};
	char after[KEY_MAX + 1];

	ok(catalog_scan_begin(t->c, store, &s.gen, after));
	return s;
}

static void scan_end(struct temp *t, struct scan_state s)
{
	struct scan_counts counts = {0};
	bool left;

	ok(catalog_scan_end(t->c, s.store, s.gen, &counts, &left));
	assert_false(left);
}

/* What a scan does for a note that the store has. */
static void meet(struct temp *t, struct scan_state s, const char *key, const char *etag,
		 int64_t modified_us, const char *body)
{
	char wanted[KEY_MAX + 1];

	ok(catalog_note_listed(t->c, s.store, s.gen, key, etag));
	if (catalog_note_wanted(t->c, s.store, "", wanted) == 0)
		ok(catalog_note_taken(t->c, s.store, wanted, etag, modified_us, body,
				      strlen(body)));
}

static void come_back_from_stores(void **state)
{
	struct temp *t = *state;
	struct scan_state s;

	(void)use_stores(t);
	s = scan_begin(t, t->cloud); /* a rebuild: the older one first */
	meet(t, s, "q/a", "e1", 100, "old");
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "old");
	s = scan_begin(t, t->attic);
	meet(t, s, "q/a", "e2", 200, "new");
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "new");
	assert_int_equal(send(t, t->attic, "e2"), 0);
	assert_int_equal(send(t, t->cloud, "e3"), 1); /* gets the younger */
	s = scan_begin(t, t->cloud);
	meet(t, s, "q/a", "e3", 300, "must not be asked for");
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "new");
	ok(put(t, "q/a", "edited"));
	s = scan_begin(t, t->cloud); /* what is on its way there replaces it */
	meet(t, s, "q/a", "foreign", now_us() + 1000000, "lost");
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "edited");
	assert_int_equal(send(t, t->cloud, "e4"), 1);
	assert_int_equal(send(t, t->attic, "e4"), 1);
	s = scan_begin(t, t->cloud); /* somebody deleted it in one store, then in the other */
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "edited");
	s = scan_begin(t, t->attic);
	scan_end(t, s);
	assert_string_equal(body_of(t, "q/a"), "gone");
}

/* ---- the trash ---- */
static int keep_id(void *user, const struct trash_row *row)
{
	*(int64_t *)user = row->snap.id;
	return 1;
}

static int64_t first_id(struct temp *t, int64_t due_us)
{
	int64_t id = 0;

	assert_true(catalog_trash_due(t->c, due_us, 10, keep_id, &id) >= 0);
	return id;
}

static void what_is_held_stays(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0), doc;
	struct sidecar late = {.starred = true, .has_starred = true};
	struct sha256 sha = sha_of(1);
	bool back, queued;

	ok(catalog_star(t->c, id, true, "me"));
	assert_int_equal(catalog_trash(t->c, id, 1, "me"), -EBUSY);
	ok(catalog_star(t->c, id, false, "me"));
	ok(catalog_document_add(t->c, id, "{}", "me", &doc));
	assert_int_equal(catalog_trash(t->c, id, 1, "me"), -EBUSY);
	ok(catalog_document_remove(t->c, doc, "me"));
	ok(add_label(t, id, "object", "dog", NULL));
	assert_int_equal(catalog_trash(t->c, id, 1, "me"), -EBUSY);
	ok(catalog_label_remove(t->c, id, label_id(t, "object", "dog"), "me"));
	ok(catalog_trash(t->c, id, 1000, "me"));
	assert_int_equal(catalog_trash(t->c, id, 1000, "me"), -ENOENT);
	assert_int_equal(first_id(t, 999), 0);
	assert_int_equal(first_id(t, 1000), id);
	ok(catalog_trash_final(t->c, id, &back));
	assert_false(back);
	assert_true(catalog_sha_needed(t->c, &sha, &queued)); /* it can be undone */
	assert_true(queued);
	ok(catalog_merge_sidecar(t->c, id, &late));
	ok(catalog_trash_final(t->c, id, &back));
	assert_true(back);
	assert_int_equal(first_id(t, 1000), 0);
	assert_true(snap_of(t, id).starred);
}

static int delete_object(void *user, int64_t store, const char *key, const char *etag, bool sidecar)
{
	struct deleted {
		int64_t store[8];
		char key[8][KEY_MAX + 1];
		size_t n;
	} *d = user;

	d->store[d->n] = store;
	(void)snprintf(d->key[d->n++], sizeof(d->key[0]), "%s", key);
	return 0;
}

static void undone_or_purged(void **state)
{
	struct temp *t = *state;
	struct deleted {
		int64_t store[8];
		char key[8][KEY_MAX + 1];
		size_t n;
	} d = {.n = 0};
	int64_t id, again;
	struct snap s;
	const struct target *target = use_stores(t);
	struct registration reg;
	bool new;

	id = synced_picture(t, 1);
	ok(catalog_trash(t->c, id, 1000, "me"));
	assert_int_equal(catalog_snap(t->c, id, &s), -ENOENT);
	ok(catalog_untrash(t->c, id));
	assert_int_equal(catalog_untrash(t->c, id), -ENOENT);
	ok(catalog_snap(t->c, id, &s));
	ok(catalog_trash(t->c, id, 1000, "me"));
	/* The same bytes once more: wanted after all. */
	reg = (struct registration){.camera = "front",
				    .taken_us = NOON_US,
				    .size = s.size,
				    .sha = s.sha,
				    .dedupe = true,
				    .target = target,
				    .n_targets = 2};
	ok(catalog_register(t->c, &reg, &again, &new));
	assert_int_equal(again, id);
	assert_true(new);
	assert_int_equal(first_id(t, INT64_MAX), 0);
	ok(catalog_trash(t->c, id, 1000, "me"));
	ok(catalog_objects(t->c, id, delete_object, &d));
	assert_int_equal(d.n, 4); /* two stores: picture and sidecar */
	for (size_t i = 0; i < d.n; i++)
		ok(catalog_object_deleted(t->c, d.store[i], d.key[i]));
	ok(catalog_trash_purged(t->c, id));
	assert_int_equal(first_id(t, INT64_MAX), 0);
	assert_int_equal(catalog_snap(t->c, id, &s), -ENOENT);
	assert_int_equal(peek(t, "SELECT count(*) FROM object"), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(put_get_list),          TEST(sent_once_and_coalesced),
		TEST(come_back_from_stores), TEST(what_is_held_stays),
		TEST(undone_or_purged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
