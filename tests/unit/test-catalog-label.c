/* test-catalog-label.c - labels as directories and sidecars: taken in, given back, replaced;
 * stars; what hidden snapshots leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>

#include "db.h"
#include "test-catalog.h"

static void merge(struct fixture *f, int64_t id, const char *const *label, size_t n)
{
	CLEANUP(sidecar_done) struct sidecar s;
	sidecar_of(&s, label, n);
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0);
}

static unsigned links(struct fixture *f, int64_t id)
{
	struct snap s;
	assert_int_equal(catalog_snap(f->c, id, &s), 0);
	return s.links;
}

static int count_snap(void *user, const struct snap *s)
{
	++*(int *)user;
	return 0;
}

static bool is_listed(struct fixture *f, const char *kind, const char *value)
{
	struct label_row k = {0}, v = {0};
	while (catalog_kind_next(f->c, k.name, &k) == 0) {
		if (strcmp(k.name, kind) != 0)
			continue;
		while (catalog_label_next(f->c, k.id, v.name, &v) == 0) {
			if (strcmp(v.name, value) == 0)
				return true;
		}
	}
	return false;
}

/* The label's directory has exactly these snapshots; -1: it is not listed. */
static void assert_label(struct fixture *f, const char *kind, const char *value, int want)
{
	struct label_row k, v;
	int n = 0;
	assert_int_equal(is_listed(f, kind, value), want >= 0);
	if (want < 0)
		return;
	assert_int_equal(catalog_kind_find(f->c, kind, &k), 0);
	assert_int_equal(catalog_label_find(f->c, k.id, value, &v), 0);
	assert_int_equal(v.kind, k.id);
	assert_int_equal(catalog_list(f->c, (struct view){.kind = VIEW_LABEL, .id = v.id}, T0_DAY,
				      0, 100, count_snap, &n),
			 0);
	assert_int_equal(n, want);
}

static void test_views(void **state)
{
	struct fixture *f = *state;
	int64_t a = snap_at(f->c, "front", T0, 1), b = snap_at(f->c, "front", T0 + 1, 2);
	static const char *const two[] = {"object=person", "object=car", "object=person"},
				 *const one[] = {"object=car"};
	merge(f, a, two, 3);
	merge(f, b, one, 1);
	assert_label(f, "object", "person", 1);
	assert_label(f, "object", "car", 2);
	assert_label(f, "object", "dog", -1);
	assert_label(f, "event", "car", -1);
	assert_int_equal(links(f, a), 4); /* two boxes of one person are one name */
	assert_int_equal(links(f, b), 3);
	merge(f, a, one, 1);
	assert_label(f, "object", "person", -1); /* empty directories are not there */
	assert_label(f, "object", "car", 2);
	assert_int_equal(links(f, a), 3);
	merge(f, a, NULL, 0);
	merge(f, b, NULL, 0);
	struct label_row k;
	assert_int_equal(catalog_kind_next(f->c, "", &k), -ENOENT);
	assert_int_equal(links(f, b), 2);
	assert_sound(f->c);
}

static void test_listing(void **state)
{
	struct fixture *f = *state;
	static const char *const l[] = {"object=person", "plate=1AB 2345", "object=car",
					"object=../x", "kind/of=a/b"};
	int64_t id = snap_at(f->c, "front", T0, 1);
	merge(f, id, l, 5);
	struct label_row k = {0}, v = {0};
	static const char *const kinds[] = {"kind-of", "object", "plate"};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(catalog_kind_next(f->c, k.name, &k), 0);
		assert_string_equal(k.name, kinds[i]);
		assert_int_equal(k.kind, 0);
	}
	assert_int_equal(catalog_kind_next(f->c, k.name, &k), -ENOENT);
	assert_int_equal(catalog_kind_find(f->c, "object", &k), 0);
	unsigned n = 0;
	while (catalog_label_next(f->c, k.id, v.name, &v) == 0) {
		assert_null(strchr(v.name, '/'));
		assert_int_not_equal(v.name[0], '.');
		n++;
	}
	assert_int_equal(n, 3);
	struct label_row again;
	assert_int_equal(catalog_label(f->c, v.id, false, &again), 0);
	assert_string_equal(again.name, v.name);
	assert_int_equal(catalog_label(f->c, k.id, true, &again), 0);
	assert_string_equal(again.name, "object");
}

static void test_sidecar_comes_back(void **state)
{
	struct fixture *f = *state;
	CLEANUP(sidecar_done)
	struct sidecar s = {.labels.looked = true, .starred = true, .has_starred = true};
	struct label given = {.kind = (char *)"a/b",
			      .value = (char *)"x/y\t.",
			      .by = (char *)"me",
			      .score = NAN,
			      .has_box = true,
			      .box = {0.1, 0.2, 0.3, 0.4}};
	assert_int_equal(labels_add(&s.labels, &given), 0);
	s.documents = strdup("[{\"n\":12345678901234567890}]");
	s.unknown = strdup("{\"x-mine\":1}");
	struct registration r = reg_of("my_cam", T0, 1);
	r.sidecar = &s;
	r.origin = "{\"key\":\"k\"}";
	r.group = "home";
	int64_t id = registered(f->c, &r);
	CLEANUP(sidecar_done) struct sidecar out = {0};
	assert_int_equal(catalog_sidecar(f->c, id, &out), 0);
	assert_string_equal(out.img_id, T0_IMG);
	assert_string_equal(out.camera, "my_cam");
	assert_string_equal(out.group, "home");
	assert_string_equal(out.mime, "image/jpeg");
	assert_true(out.has_taken && out.taken_us == T0 && out.zone_min == 60);
	assert_true(out.has_sha && out.starred && out.labels.looked);
	assert_int_equal(out.state, STATE_LOCAL);
	assert_int_equal(out.labels.n, 1);
	assert_string_equal(out.labels.item[0].kind, "a/b");
	assert_string_equal(out.labels.item[0].value, "x/y\t.");
	assert_string_equal(out.labels.item[0].by, "me");
	assert_true(isnan(out.labels.item[0].score));
	assert_true(out.labels.item[0].has_box && out.labels.item[0].box[3] == 0.4);
	assert_non_null(strstr(out.documents, "{\"n\":12345678901234567890,\"label_fing"));
	assert_string_equal(out.unknown, s.unknown);
	assert_string_equal(out.origin, "{\"key\":\"k\"}");
	assert_null(out.event);
	assert_int_equal(links(f, id), 4);
	assert_int_equal(catalog_sidecar(f->c, 99, &out), -ENOENT);
	assert_string_equal(out.camera, "my_cam");
	assert_sound(f->c);
}

static void test_what_it_lacks_stays(void **state)
{
	struct fixture *f = *state;
	static const char *const l[] = {"object=car"};
	int64_t id = snap_at(f->c, "front", T0, 1);
	merge(f, id, l, 1);
	CLEANUP(sidecar_done) struct sidecar s = {.event = strdup("{\"a\":1}")}, back = {0};
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0);
	assert_label(f, "object", "car", 1);
	CLEANUP(sidecar_done) struct sidecar star = {.starred = true, .has_starred = true};
	assert_int_equal(catalog_merge_sidecar(f->c, id, &star), 0);
	assert_int_equal(catalog_sidecar(f->c, id, &back), 0);
	assert_string_equal(back.event, "{\"a\":1}");
	assert_true(back.starred);
	int32_t day;
	assert_int_equal(
		catalog_next_day(f->c, (struct view){.kind = VIEW_STARRED}, INT32_MIN, &day), 0);
	assert_int_equal(day, T0_DAY);
	assert_int_equal(links(f, id), 4);
	star.starred = false;
	assert_int_equal(catalog_merge_sidecar(f->c, id, &star), 0);
	assert_int_equal(
		catalog_next_day(f->c, (struct view){.kind = VIEW_STARRED}, INT32_MIN, &day),
		-ENOENT);
	assert_int_equal(links(f, id), 3);
	assert_int_equal(catalog_merge_sidecar(f->c, 77, &star), -ENOENT);
	assert_sound(f->c);
}

static void test_nobody_looked(void **state)
{
	struct fixture *f = *state;
	int64_t id = snap_at(f->c, "front", T0, 1);
	CLEANUP(sidecar_done) struct sidecar before = {0}, after = {0};
	assert_int_equal(catalog_sidecar(f->c, id, &before), 0);
	assert_false(before.labels.looked);
	merge(f, id, NULL, 0);
	assert_int_equal(catalog_sidecar(f->c, id, &after), 0);
	assert_true(after.labels.looked);
	assert_int_equal(after.labels.n, 0);
}

static void test_hostile_labels(void **state)
{
	struct fixture *f = *state;
	int64_t id = snap_at(f->c, "front", T0, 1);
	char *huge = malloc(SIDECAR_BYTES + 2);
	memset(huge, 'a', SIDECAR_BYTES + 1);
	huge[SIDECAR_BYTES + 1] = 0;
	struct label bad[] = {
		{.kind = (char *)"", .value = (char *)"v", .score = NAN},
		{.kind = (char *)"k", .value = (char *)"", .score = NAN},
		{.kind = (char *)"k", .value = (char *)"\xff\xfe", .score = NAN},
		{.kind = (char *)"k", .value = huge, .score = NAN},
		{.kind = (char *)"k", .value = (char *)"v", .score = INFINITY},
		{.kind = (char *)"k",
		 .value = (char *)"v",
		 .score = 1,
		 .has_box = true,
		 .box = {0, 0, NAN, 1}},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct label good = {.kind = (char *)"k", .value = (char *)"good", .score = 1};
		CLEANUP(sidecar_done) struct sidecar s = {.labels.looked = true};
		assert_int_equal(labels_add(&s.labels, &good), 0);
		assert_int_equal(labels_add(&s.labels, &bad[i]), 0);
		assert_int_equal(catalog_merge_sidecar(f->c, id, &s), -EINVAL);
	}
	free(huge);
	struct label_row k;
	assert_int_equal(catalog_kind_next(f->c, "", &k), -ENOENT);
	assert_int_equal(links(f, id), 2);
}

static int hide(struct db *db, void *arg)
{
	return snapshot_hide(db, *(int64_t *)arg);
}

static void test_hidden_and_back(void **state)
{
	struct fixture *f = *state;
	static const char *const l[] = {"object=car", "event=in"};
	struct registration r = reg_of("front", T0, 1);
	int64_t id = registered(f->c, &r), older = snap_at(f->c, "front", T0 - 1000000, 2), same;
	struct snap s;
	bool new;
	merge(f, id, l, 2);
	assert_int_equal(db_write(f->c, hide, &id, false), 0);
	assert_int_equal(db_write(f->c, hide, &id, false), 0);
	assert_int_equal(catalog_snap(f->c, id, &s), -ENOENT);
	assert_label(f, "object", "car", -1);
	assert_int_equal(catalog_newest(f->c, camera_id(f->c, "front"), &s), 0);
	assert_int_equal(s.id, older);
	int n = 0;
	assert_int_equal(catalog_list(f->c, (struct view){0}, T0_DAY, id, 10, count_snap, &n), 0);
	assert_int_equal(n, 0); /* its place in the list stays known */
	assert_int_equal(catalog_list(f->c, (struct view){0}, T0_DAY, 0, 10, count_snap, &n), 0);
	assert_int_equal(n, 1);
	assert_sound(f->c);
	/* A capture in the same microsecond never gets the hidden one's name. */
	assert_int_equal(catalog_snap(f->c, snap_at(f->c, "front", T0, 3), &s), 0);
	assert_string_equal(s.stem, T0_IMG "-1_front");
	/* The same bytes again: the same snapshot, in all its views. */
	r.dedupe = true;
	r.taken_us = T0 + 5;
	assert_int_equal(catalog_register(f->c, &r, &same, &new), 0);
	assert_int_equal(same, id);
	assert_true(new);
	assert_label(f, "object", "car", 1);
	assert_int_equal(catalog_snap(f->c, id, &s), 0);
	assert_string_equal(s.stem, T0_IMG "_front");
	assert_int_equal(s.links, 4);
	assert_sound(f->c);
}

static int break_counters(struct db *db, void *arg)
{
	int r = RUN(db, "UPDATE snapshot SET links = 9, queued = 3 WHERE id = 1");
	if (r == 0)
		r = RUN(db, "DELETE FROM label_view");
	if (r == 0)
		r = RUN(db,
			"INSERT INTO label_view(name, day, stem, snapshot) VALUES(1, 5, 'x', 2)");
	if (r == 0)
		r = RUN(db, "UPDATE tally SET n = n + 1");
	return r == 0 ? RUN(db, "UPDATE camera SET newest = NULL") : r;
}

static void test_check_and_repair(void **state)
{
	struct fixture *f = *state;
	static const char *const l[] = {"object=car"};
	struct buf out = BUF(65536);
	merge(f, snap_at(f->c, "front", T0, 1), l, 1);
	(void)snap_at(f->c, "front", T0 + 1, 2);
	assert_sound(f->c);
	assert_int_equal(db_write(f->c, break_counters, NULL, false), 0);
	assert_int_equal(catalog_check(f->c, &out), 0);
	static const char *const want[] = {"counters wrong: " T0_IMG "_front",
					   "missing in labels/: ",
					   "must not be in labels/: x",
					   "days wrong: camera 1",
					   "days wrong: camera 0",
					   "newest snapshot wrong: front"};
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_non_null(strstr(out.data, want[i]));
	buf_done(&out);
	assert_int_equal(catalog_check_repair(f->c), 0);
	assert_sound(f->c);
	assert_label(f, "object", "car", 1);
	assert_int_equal(links(f, 1), 3);
}

static int facts(struct db *db, void *arg)
{
	return sidecar_merge(db, 1, arg, &(struct merge_how){.facts = true}, NULL);
}

static int forget_facts(struct db *db, void *arg)
{
	return RUN(db, "UPDATE snapshot SET sha256 = NULL, width = 0, height = 0 WHERE id = 1");
}

static void test_facts_of_our_own_sidecar(void **state)
{
	struct fixture *f = *state;
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct snap snap;
	(void)snap_at(f->c, "front", T0, 1);
	assert_int_equal(catalog_sidecar(f->c, 1, &s), 0);
	assert_int_equal(db_write(f->c, forget_facts, NULL, false), 0);
	s.size++; /* of other bytes: its hash says nothing */
	assert_int_equal(db_write(f->c, facts, &s, false), 0);
	assert_int_equal(catalog_snap(f->c, 1, &snap), 0);
	assert_false(snap.has_sha);
	s.size--;
	assert_int_equal(db_write(f->c, facts, &s, false), 0);
	assert_int_equal(catalog_snap(f->c, 1, &snap), 0);
	assert_true(snap.has_sha && memcmp(&snap.sha, &s.sha, sizeof(s.sha)) == 0);
	assert_int_equal(snap.width, 1920);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		CASE(test_views),
		CASE(test_listing),
		CASE(test_sidecar_comes_back),
		CASE(test_nobody_looked),
		CASE(test_hostile_labels),
		CASE(test_what_it_lacks_stays),
		CASE(test_hidden_and_back),
		CASE(test_check_and_repair),
		CASE(test_facts_of_our_own_sidecar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
