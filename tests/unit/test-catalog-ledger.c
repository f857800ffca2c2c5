/* test-catalog-ledger.c - scans against the ledger: known, changed, foreign, ours, bad, gone and come back, item by item; sidecars
 * before and after their pictures; two stores with one snapshot. */
#include "test-catalog-listing.h"

#define STEM1 "20201231T12-00-01-000000_front" /* of picture 1 on the camera "front" */

/* ---- stores ---- */
static void stores_are_made_once(void **state)
{
	struct temp *t = *state;
	struct store_row row;
	int64_t again;

	ok(catalog_store_id(t->c, "cloud", &again));
	assert_int_equal(again, t->cloud);
	assert_int_not_equal(t->cloud, t->attic);
	ok(catalog_store(t->c, t->cloud, true, &row));
	assert_int_equal(row.objects, 0);
	assert_int_equal(row.last_scan_us, 0);
	assert_string_equal(row.error, "");
	assert_int_equal(catalog_store(t->c, 99, false, &row), -ENOENT);
}

/* ---- pictures of others ---- */
static void foreign_pictures_become_snapshots(void **state)
{
	struct temp *t = *state;
	struct camera_row cam;
	struct store_row row;
	struct snap s;
	struct scan_counts c = SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US),
				    foreign("b.jpg", "2", 20, NOON_US));

	assert_counts(c, 2, 0, 0, 0);
	assert_int_equal(c.listed, 2);
	ok(catalog_camera_find(t->c, "yard", &cam));
	assert_string_equal(cam.title, "Yard cam");
	ok(catalog_find(t->c, (struct view){VIEW_CAMERA, cam.id}, 18627,
			"20201231T12-00-00-000000_yard", &s));
	assert_int_equal(s.size, 10);
	assert_int_equal(s.replicas, 1);
	assert_int_equal(s.zone_min, 60);
	assert_int_equal(s.time_source, TIME_MTIME);
	assert_false(s.has_sha);
	/* the same microsecond: the next name */
	ok(catalog_find(t->c, (struct view){.kind = VIEW_ALL}, 18627,
			"20201231T12-00-00-000000-1_yard", &s));
	assert_int_equal(s.size, 20);
	ok(catalog_store(t->c, t->cloud, true, &row));
	assert_int_equal(row.objects, 2);
	assert_true(row.last_scan_us > 0);
}

static void a_second_scan_writes_nothing_but_seen(void **state)
{
	struct temp *t = *state;
	struct feed f = {0};
	int64_t sum;
	struct listed page[] = {foreign("a.jpg", "1", 10, NOON_US), bad("b?", "no date"),
				foreign("c.jpg", "", 30, NOON_US), beside("a.json", "s", "a.jpg"),
				beside("z.json", "s", "z.jpg")};
	const char sums[] = "SELECT sum(length(key) + coalesce(snapshot, 0) * 1000 + outcome * 7"
			    " + modified_us) FROM object";

	(void)scan(t, t->cloud, page, ARRAY_LEN(page));
	sum = peek(t, sums);
	catalog_on_change(t->c, count_feed, &f);
	assert_counts(scan(t, t->cloud, page, ARRAY_LEN(page)), 0, 0, 1, 0);
	for (size_t i = 0; i < ARRAY_LEN(f.n); i++)
		assert_int_equal(f.n[i], 0);
	assert_int_equal(peek(t, sums), sum);
	assert_int_equal(peek(t, "SELECT min(seen) = 2 AND max(seen) = 2 FROM object"), 1);
	assert_int_equal(visible(t), 2);
	catalog_on_change(t->c, NULL, NULL);
	/* no etag: the time of change tells */
	page[2].modified_us++;
	assert_counts(scan(t, t->cloud, page, ARRAY_LEN(page)), 0, 1, 1, 0);
}

static int learn(struct temp *t, int64_t id, const struct sha256 *sha)
{
	struct place p;
	size_t n;

	ok(catalog_places(t->c, id, &p, 1, &n));
	assert_int_equal(n, 1);
	return catalog_set_content(t->c, id, &p, sha, 640, 480);
}

static void changed_objects_have_new_bytes(void **state)
{
	struct temp *t = *state;
	struct sha256 sha = sha_of(7);
	struct feed f = {0};
	struct snap s;
	int64_t id;

	(void)SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US));
	id = newest_row(t).id;
	ok(learn(t, id, &sha));
	catalog_on_change(t->c, count_feed, &f);
	assert_counts(SCAN(t, t->cloud, foreign("a.jpg", "2", 11, NOON_US + 5000000)), 0, 1, 0, 0);
	catalog_on_change(t->c, NULL, NULL);
	assert_int_equal(f.n[CHANGE_BYTES], 1);
	assert_int_equal(f.n[CHANGE_ADDED] + f.n[CHANGE_GONE], 0);
	s = snap_of(t, id);
	assert_int_equal(s.size, 11);
	assert_false(s.has_sha);
	assert_int_equal(s.width, 0);
	assert_int_equal(s.taken_us, NOON_US); /* its name never changes */
	/* another etag alone is a change as well */
	ok(learn(t, id, &sha));
	assert_counts(SCAN(t, t->cloud, foreign("a.jpg", "3", 11, NOON_US)), 0, 1, 0, 0);
	assert_false(snap_of(t, id).has_sha);
	assert_int_equal(visible(t), 1);
}

/* Whoever fetched the old ones learns nothing from them. */
static void bytes_of_before_are_not_learnt(void **state)
{
	struct temp *t = *state;
	struct sha256 sha = sha_of(7);
	struct feed f = {0};
	struct place before;
	struct snap s;
	int64_t id;
	size_t n;

	(void)SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US));
	id = newest_row(t).id;
	ok(catalog_places(t->c, id, &before, 1, &n));
	(void)SCAN(t, t->cloud, foreign("a.jpg", "2", 10, NOON_US));
	assert_int_equal(catalog_set_content(t->c, id, &before, &sha, 640, 480), -ESTALE);
	assert_false(snap_of(t, id).has_sha);
	catalog_on_change(t->c, count_feed, &f);
	ok(learn(t, id, &sha));
	catalog_on_change(t->c, NULL, NULL);
	assert_int_equal(f.n[CHANGE_ATTR], 1);
	s = snap_of(t, id);
	assert_true(s.has_sha && s.size == 10 && s.width == 640 && s.height == 480);
	assert_memory_equal(&s.sha, &sha, sizeof(sha));
	(void)SCAN(t, t->cloud, foreign("b.jpg", "1", 10, NOON_US));
	assert_int_equal(catalog_set_content(t->c, id, &before, &sha, 640, 480), -ESTALE);
}

static void gone_and_come_back(void **state)
{
	struct temp *t = *state;
	struct sha256 sha = sha_of(7);
	struct feed f = {0};
	struct snap s;
	int64_t a, b;

	(void)SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US));
	a = newest_row(t).id;
	(void)SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US),
		   foreign("b.jpg", "2", 20, NOON_US));
	b = newest_row(t).id;
	ok(learn(t, a, &sha));
	catalog_on_change(t->c, count_feed, &f);
	assert_counts(SCAN(t, t->cloud, foreign("b.jpg", "2", 20, NOON_US)), 0, 0, 0, 1);
	assert_int_equal(f.n[CHANGE_GONE], 1);
	assert_int_equal(catalog_snap(t->c, a, &s), -ENOENT);
	/* back: the same snapshot by its old name, though nothing proves that the bytes are the old ones */
	assert_counts(SCAN(t, t->cloud, foreign("a.jpg", "1", 10, NOON_US),
			   foreign("b.jpg", "2", 20, NOON_US)),
		      1, 0, 0, 0);
	catalog_on_change(t->c, NULL, NULL);
	assert_int_equal(f.n[CHANGE_ADDED], 1);
	s = snap_of(t, a);
	assert_string_equal(s.stem, "20201231T12-00-00-000000_yard");
	assert_false(s.has_sha);
	assert_int_equal(snap_of(t, b).replicas, 1);
	assert_int_equal(visible(t), 2);
}

/* ---- pictures of ours ---- */
/* A scan meets what the store took: from then on it can be deleted there. */
static void show(struct temp *t, int64_t store, int64_t id, const char *etag)
{
	struct snap s = snap_of(t, id);
	struct place place[4];
	size_t n;

	ok(catalog_places(t->c, id, place, 4, &n));
	for (size_t i = 0; i < n; i++) {
		if (place[i].store == store)
			assert_counts(SCAN(t, store, ours(place[i].key, etag, s.size, s.stem)), 0,
				      0, 0, 0);
	}
}

static void our_stem_is_that_snapshot(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1);
	struct place place[4];
	struct snap s;
	size_t n;

	push(t, t->cloud, "c1");
	show(t, t->cloud, id, "c1");
	/* somebody copied the bucket: a second replica, with another key and another kind of etag */
	assert_counts(SCAN(t, t->attic, ours("copy/" STEM1 ".jpg", "x", 1001, STEM1)), 1, 0, 0, 0);
	s = snap_of(t, id);
	assert_int_equal(s.replicas, 2);
	assert_true(s.has_sha);
	ok(catalog_places(t->c, id, place, 4, &n));
	assert_int_equal(n, 2);
	/* gone from one of two, then from both, then back in the other: always the same snapshot */
	(void)scan(t, t->cloud, NULL, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	(void)scan(t, t->attic, NULL, 0);
	assert_int_equal(catalog_snap(t->c, id, &s), -ENOENT);
	assert_counts(SCAN(t, t->cloud, ours("k/" STEM1 ".jpg", "c1", 1001, STEM1)), 1, 0, 0, 0);
	s = snap_of(t, id);
	assert_int_equal(s.replicas, 1);
	assert_true(s.has_sha);
	assert_int_equal(visible(t), 1);
}

static void our_stem_with_other_bytes(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1);
	struct listed other = ours("x/" STEM1 ".jpg", "x", 5, STEM1);

	/* queued, or vouched for by the other store: not the snapshot's bytes */
	assert_counts(SCAN(t, t->attic, other), 0, 0, 1, 0);
	push(t, t->cloud, "c1");
	assert_counts(SCAN(t, t->attic, other), 0, 0, 1, 0);
	assert_int_equal(snap_of(t, id).size, 1001);
	assert_int_equal(snap_of(t, id).replicas, 1);
	assert_errors(t, "attic:x/" STEM1 ".jpg=differs from " STEM1
			 ".jpg: 5 bytes here, 1001 as registered; remove it here or there;");
	show(t, t->cloud, id, "c1");
	/* nobody has the old ones any more: then these are what it is now */
	(void)scan(t, t->cloud, NULL, 0);
	assert_counts(SCAN(t, t->attic, other), 1, 0, 0, 0);
	assert_int_equal(snap_of(t, id).size, 5);
	assert_false(snap_of(t, id).has_sha);
	assert_errors(t, "");
}

static void unknown_stem_is_registered_as_it_is(void **state)
{
	struct temp *t = *state;
	const char stem[] = "20201231T12-00-01-000000-3_front";
	struct snap s;

	assert_counts(SCAN(t, t->cloud, ours("a.jpg", "1", 10, stem)), 1, 0, 0, 0);
	ok(catalog_find(t->c, (struct view){.kind = VIEW_ALL}, 18627, stem, &s));
	assert_int_equal(s.taken_us, NOON_US + 1000000);
	assert_counts(SCAN(t, t->attic, ours("b.jpg", "2", 10, stem)), 1, 0, 0, 0);
	assert_int_equal(snap_of(t, s.id).replicas, 2);
	assert_int_equal(visible(t), 1);
}

static void changed_in_one_store_of_two(void **state)
{
	struct temp *t = *state;
	struct listed in_cloud = ours("k", "c1", 10, STEM1), in_attic = ours("k", "a1", 10, STEM1);
	struct sha256 sha = sha_of(3);
	int64_t id;

	(void)scan(t, t->cloud, &in_cloud, 1);
	(void)scan(t, t->attic, &in_attic, 1);
	id = newest_row(t).id;
	ok(learn(t, id, &sha));
	/* written again with the same size: the other store proves the content known */
	in_cloud.etag = "c2";
	assert_counts(scan(t, t->cloud, &in_cloud, 1), 0, 1, 0, 0);
	assert_true(snap_of(t, id).has_sha);
	/* another size: not a replica any more */
	in_cloud.size = 11;
	in_cloud.etag = "c3";
	assert_counts(scan(t, t->cloud, &in_cloud, 1), 0, 0, 1, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	assert_int_equal(snap_of(t, id).size, 10);
	assert_counts(scan(t, t->cloud, &in_cloud, 1), 0, 0, 1, 0);
	/* until the other one has it, too */
	in_attic.size = 11;
	in_attic.etag = "a2";
	assert_counts(scan(t, t->attic, &in_attic, 1), 0, 1, 0, 0);
	assert_int_equal(snap_of(t, id).size, 11);
	assert_false(snap_of(t, id).has_sha);
	assert_counts(scan(t, t->cloud, &in_cloud, 1), 1, 0, 0, 0);
	assert_int_equal(snap_of(t, id).replicas, 2);
	assert_int_equal(visible(t), 1);
}

/* The scan meets what the outbox has just put, before the outbox could say so; and the older version of what is on its way. */
static void scan_and_outbox_cross(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1), gen;
	struct outbox_item item;
	struct scan_counts count = {0};
	char after[KEY_MAX + 1];
	bool settled, left;
	struct snap s;

	ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
	assert_counts(SCAN(t, t->cloud, ours(item.key, "c1", 1001, STEM1)), 1, 0, 0, 0);
	assert_counts(SCAN(t, t->cloud, ours(item.key, "c2", 7, STEM1)), 0, 1, 0, 0);
	s = snap_of(t, id);
	assert_int_equal(s.queued, 1);
	assert_int_equal(s.size, 1001);
	assert_true(s.has_sha);
	/* a scan that has passed the key before it was put does not take it for gone */
	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	ok(catalog_outbox_done(t->c, &item, "c3", 1001, NOON_US, &settled));
	assert_true(settled);
	ok(catalog_scan_end(t->c, t->cloud, gen, &count, &left));
	assert_int_equal(count.gone, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	/* gone from the store while nothing queued: gone; while queued elsewhere: not */
	show(t, t->cloud, id, "c3");
	(void)scan(t, t->cloud, NULL, 0);
	assert_int_equal(catalog_snap(t->c, id, &s), -ENOENT);
	id = add_picture(t, "front", 2, 2);
	push(t, t->attic, "a1");
	show(t, t->attic, id, "a1");
	(void)scan(t, t->attic, NULL, 0);
	assert_int_equal(snap_of(t, id).replicas, 0);
	assert_int_equal(snap_of(t, id).queued, 1);
}

static void what_a_store_took_and_never_showed_is_sent_again(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 1);
	struct outbox_item item;
	struct scan_counts count;
	bool settled;

	for (int scans = 0; scans < 2; scans++) { /* before the first scan, and after one */
		ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
		assert_int_equal(item.what, OUTBOX_PICTURE);
		assert_int_equal(item.tries, scans); /* then it is looked for first */
		ok(catalog_outbox_done(t->c, &item, "c1", 1001, NOON_US, &settled));
		count = scan(t, t->cloud, NULL, 0);
		assert_int_equal(count.lost, 1);
		assert_int_equal(count.gone, 0);
		assert_int_equal(snap_of(t, id).replicas, 0);
		assert_true(snap_of(t, id).queued > 0);
	}
	/* shown once, it counts as deleted when it is away */
	ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
	ok(catalog_outbox_done(t->c, &item, "c1", 1001, NOON_US, &settled));
	count = SCAN(t, t->cloud, ours(item.key, "c1", 1001, STEM1));
	assert_int_equal(count.lost + count.gone + count.added, 0);
	count = scan(t, t->cloud, NULL, 0);
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.gone, 1);
}

static void a_sidecar_that_is_lost_alone_is_sent_again(void **state)
{
	struct temp *t = *state;
	struct outbox_item item;
	struct scan_counts count;
	char key[KEY_MAX + 1];
	bool settled;

	(void)add_picture(t, "front", 1, 1);
	ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
	ok(catalog_outbox_done(t->c, &item, "c1", 1001, NOON_US, &settled));
	memcpy(key, item.key, sizeof(key));
	for (int i = 0; i < 2; i++) { /* what was never shown, and what is gone later */
		ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
		assert_int_equal(item.what, OUTBOX_SIDECAR);
		ok(catalog_outbox_done(t->c, &item, "s1", 10, NOON_US, &settled));
		count = SCAN(t, t->cloud, ours(key, "c1", 1001, STEM1));
		assert_int_equal(count.lost, 1);
		assert_int_equal(count.gone, 0);
	}
	/* with its picture it was deleted */
	ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
	ok(catalog_outbox_done(t->c, &item, "s1", 10, NOON_US, &settled));
	count = scan(t, t->cloud, NULL, 0);
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.gone, 1);
	assert_int_equal(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item), 0);
}

/* ---- bad ones ---- */
static void bad_items_are_alone(void **state)
{
	struct temp *t = *state;
	char long_key[KEY_MAX + 2];
	struct listed page[8], last;
	struct scan_counts c;

	memset(long_key, 'k', sizeof(long_key));
	long_key[KEY_MAX + 1] = '\0';
	page[0] = bad("../a.jpg", "a key with ..");
	page[1] = foreign("b.jpg", "1", 10, NOON_US);
	page[1].time_source = TIME_SOURCES;
	page[2] = foreign("c.jpg", "1", 10, INT64_MAX);
	page[3] = foreign("d.jpg", "1", UINT64_MAX, NOON_US);
	page[4] = ours("e.jpg", "1", 10, "no-stem");
	page[5] = foreign(long_key, "1", 10, NOON_US);
	page[6] = foreign("f.jpg", NULL, 10, NOON_US);
	page[6].title = "\xff";
	(void)snprintf(page[6].camera, sizeof(page[6].camera), "../et c");
	page[7] = beside("g.json", "1", NULL);
	c = scan(t, t->cloud, page, 8);
	assert_counts(c, 1, 0, 6, 0);
	assert_int_equal(c.listed, 8);
	assert_int_equal(visible(t), 1);
	assert_string_equal(newest_row(t).stem, "20201231T12-00-00-000000_---et-c");
	assert_counts(scan(t, t->cloud, page, 8), 0, 0, 6, 0);
	assert_int_equal(visible(t), 1);
	/* the reasons are kept, and forgotten with the objects or once they are good */
	assert_counts(SCAN(t, t->cloud, foreign("../a.jpg", "e", 1, NOON_US + 1),
			   foreign("f.jpg", NULL, 10, NOON_US)),
		      1, 0, 0, 0);
	assert_errors(t, "");
	assert_int_equal(peek(t, "SELECT count(*) FROM object"), 2);
	/* a good one that became bad is no replica */
	last = bad("../a.jpg", "now bad");
	last.etag = "changed";
	assert_counts(SCAN(t, t->cloud, last, foreign("f.jpg", NULL, 10, NOON_US)), 0, 0, 1, 0);
	assert_int_equal(visible(t), 1);
	assert_errors(t, "cloud:../a.jpg=now bad;");
}

/* The layout was changed: keys that were understood are not any more, and nobody's pictures disappear for that. */
static struct place only_place(struct temp *t, int64_t id)
{
	struct place p;
	size_t n;

	ok(catalog_places(t->c, id, &p, 1, &n));
	assert_int_equal(n, 1);
	return p;
}

static int lose(struct temp *t, int64_t id)
{
	struct place was = only_place(t, id);

	return catalog_replica_lost(t->c, id, &was);
}

static void known_objects_outlive_the_layout(void **state)
{
	struct temp *t = *state;
	struct listed page[] = {foreign("a.jpg", "1", 10, NOON_US), beside("a.json", "s", "a.jpg")};
	int64_t id;

	(void)scan(t, t->cloud, page, 2);
	id = newest_row(t).id;
	page[0].error = page[1].error = "does not fit the layout";
	page[1].is_sidecar = false;
	assert_counts(scan(t, t->cloud, page, 2), 0, 0, 0, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	assert_int_equal(peek(t, "SELECT count(*) FROM object WHERE outcome = 2"), 1);
	ok(lose(t, id));
	assert_counts(scan(t, t->cloud, page, 2), 0, 1, 0, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
}

/* ---- sidecars ---- */
struct wanted {
	int n;
	char key[64];
	int64_t snapshot;
};

static int note_wanted(void *user, const char *key, uint64_t size, int64_t snapshot)
{
	struct wanted *w = user;

	w->n++;
	(void)snprintf(w->key, sizeof(w->key), "%s", key);
	w->snapshot = snapshot;
	return 0;
}

static struct wanted wanted(struct temp *t, int64_t store)
{
	struct wanted w = {0};

	ok(catalog_wanted(t->c, store, "", 100, note_wanted, &w));
	return w;
}

static void sidecars_are_wanted_once(void **state)
{
	struct temp *t = *state;
	struct listed page[] = {beside("a.json", "s1", "a.jpg"),
				foreign("a.jpg", "1", 10, NOON_US)};
	struct sidecar sc = {.starred = true, .has_starred = true}, back;
	struct snap s;

	assert_int_equal(scan(t, t->cloud, page, 1).sidecars, 1);
	assert_int_equal(wanted(t, t->cloud).n, 0); /* of which picture? */
	assert_int_equal(scan(t, t->cloud, page, 2).sidecars, 0);
	assert_int_equal(wanted(t, t->cloud).n, 1);
	assert_string_equal(wanted(t, t->cloud).key, "a.json");
	assert_int_equal(wanted(t, t->attic).n, 0);
	s = newest_row(t);
	assert_int_equal(wanted(t, t->cloud).snapshot, s.id);
	ok(catalog_wanted_done(t->c, t->cloud, "a.json", &sc, NULL));
	assert_true(snap_of(t, s.id).starred);
	assert_int_equal(snap_of(t, s.id).replicas, 1);
	assert_int_equal(wanted(t, t->cloud).n, 0);
	(void)scan(t, t->cloud, page, 2);
	assert_int_equal(wanted(t, t->cloud).n, 0);
	/* changed: wanted again; bad: remembered for that etag */
	page[0].etag = "s2";
	assert_int_equal(scan(t, t->cloud, page, 2).sidecars, 1);
	assert_int_equal(wanted(t, t->cloud).n, 1);
	ok(catalog_wanted_done(t->c, t->cloud, "a.json", NULL, "not JSON"));
	assert_errors(t, "cloud:a.json=not JSON;");
	(void)scan(t, t->cloud, page, 2);
	assert_int_equal(wanted(t, t->cloud).n, 0);
	page[0].etag = "s3";
	(void)scan(t, t->cloud, page, 2);
	assert_errors(t, "");
	assert_int_equal(wanted(t, t->cloud).n, 1);
	/* without its picture it is nobody's; its labels stay */
	(void)scan(t, t->cloud, &page[1], 1);
	assert_int_equal(wanted(t, t->cloud).n, 0);
	ok(catalog_sidecar(t->c, s.id, &back));
	assert_true(back.starred);
	sidecar_done(&back);
	assert_int_equal(catalog_wanted_done(t->c, t->cloud, "a.json", &sc, NULL), -ENOENT);
	assert_int_equal(catalog_wanted_done(t->c, t->cloud, "a.jpg", &sc, NULL), -ENOENT);
}

static void our_own_sidecars_are_not_wanted(void **state)
{
	struct temp *t = *state;
	struct wanted w;
	char key[2][KEY_MAX + 1];
	struct outbox_item item;
	bool settled;

	(void)add_picture(t, "front", 1, 1);
	for (int i = 0; i < 2; i++) {
		ok(catalog_outbox_claim(t->c, t->cloud, 1, 1, take_item, &item));
		memcpy(key[i], item.key, sizeof(item.key));
		ok(catalog_outbox_done(t->c, &item, "ours", i == 0 ? 1001 : 100, NOON_US,
				       &settled));
	}
	(void)SCAN(t, t->cloud, ours(key[0], "ours", 1001, STEM1), beside(key[1], "ours", key[0]));
	assert_int_equal(wanted(t, t->cloud).n, 0);
	(void)SCAN(t, t->cloud, ours(key[0], "ours", 1001, STEM1),
		   beside(key[1], "edited", key[0]));
	w = wanted(t, t->cloud);
	assert_int_equal(w.n, 1);
	assert_string_equal(w.key, key[1]);
}

/* ---- replicas that a fetch did not find ---- */
static void lost_until_the_next_scan(void **state)
{
	struct temp *t = *state;
	struct listed it = foreign("a.jpg", "1", 10, NOON_US);
	struct place place[4], was;
	struct snap s;
	int64_t id;
	size_t n;

	(void)scan(t, t->cloud, &it, 1);
	id = newest_row(t).id;
	was = only_place(t, id);
	ok(lose(t, id));
	assert_int_equal(catalog_replica_lost(t->c, id, &was), -ENOENT);
	assert_int_equal(snap_of(t, id).replicas, 0); /* but there */
	ok(catalog_places(t->c, id, place, 4, &n));
	assert_int_equal(n, 0);
	assert_counts(scan(t, t->cloud, &it, 1), 0, 1, 0, 0);
	assert_int_equal(snap_of(t, id).replicas, 1);
	assert_errors(t, "");
	/* it had been replaced */
	ok(lose(t, id));
	it.etag = "2";
	it.size = 12;
	assert_counts(scan(t, t->cloud, &it, 1), 0, 1, 0, 0);
	assert_int_equal(snap_of(t, id).size, 12);
	/* who learns only now that the old one is away says nothing of the new one */
	assert_int_equal(catalog_replica_lost(t->c, id, &was), -ESTALE);
	assert_int_equal(catalog_requeue(t->c, id, &was), -ESTALE);
	assert_int_equal(snap_of(t, id).replicas, 1);
	/* it had been deleted */
	ok(lose(t, id));
	assert_counts(scan(t, t->cloud, NULL, 0), 0, 0, 0, 1);
	assert_int_equal(catalog_snap(t->c, id, &s), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stores_are_made_once),
		TEST(foreign_pictures_become_snapshots),
		TEST(a_second_scan_writes_nothing_but_seen),
		TEST(changed_objects_have_new_bytes),
		TEST(bytes_of_before_are_not_learnt),
		TEST(bytes_of_before_are_not_learnt),
		TEST(gone_and_come_back),
		TEST(our_stem_is_that_snapshot),
		TEST(our_stem_with_other_bytes),
		TEST(unknown_stem_is_registered_as_it_is),
		TEST(changed_in_one_store_of_two),
		TEST(scan_and_outbox_cross),
		TEST(what_a_store_took_and_never_showed_is_sent_again),
		TEST(bad_items_are_alone),
		TEST(known_objects_outlive_the_layout),
		TEST(sidecars_are_wanted_once),
		TEST(our_own_sidecars_are_not_wanted),
		TEST(lost_until_the_next_scan),
		TEST(a_sidecar_that_is_lost_alone_is_sent_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
