/* Annexes: what is written beside a view gets what that place gives, is stored once, and its names go after an hour. */
#include "test-ingest.h"

#define ANNEX (-INT64_C(1000))
#define HOUR 3601

struct spot {
	int adopted;
	int64_t snapshot;
	bool gone;
	int registered;
};

static int describe(void *user, int64_t annex, const char *name, char ret_camera[CAMERA_MAX + 1],
		    struct sidecar *ret)
{
	struct spot *p = user;

	assert_int_equal(annex, ANNEX);
	if (p->gone)
		return -ENOENT;
	(void)snprintf(ret_camera, CAMERA_MAX + 1, "garden");
	ret->starred = ret->has_starred = true;
	return 0;
}

static int adopt(void *user, int64_t annex, int64_t snapshot)
{
	struct spot *p = user;

	assert_int_equal(annex, ANNEX);
	if (p->gone)
		return -ENOENT;
	p->adopted++;
	p->snapshot = snapshot;
	return 0;
}

static void registered(void *user, int64_t entry, int64_t snapshot)
{
	struct spot *p = user;

	assert_true(entry > 0 && snapshot > 0);
	p->registered++;
}

static void where(void *user, int64_t annex, char *out, size_t size)
{
	(void)snprintf(out, size, "starred");
}

static const struct annex_ops ops = {
	.where = where, .describe = describe, .adopt = adopt, .registered = registered};

static void a_new_picture_gets_what_the_place_gives(void **state)
{
	struct house *h = *state;
	struct spot p = {0};

	ingest_set_annex(h->in, &ops, &p);
	int64_t id = copy_picture(h, ANNEX, "20201231_154555.jpg", 1);
	struct snap s = snap_of(h, id);

	assert_string_equal(s.stem, "20201231T15-45-55-000000_garden");
	assert_true(s.starred);
	assert_int_equal(p.registered, 1);
	assert_int_equal(p.adopted, 0);
	assert_int_equal(run_due(h, HOUR), INT64_MAX);
	assert_int_equal(ingest_entry(h->in, id, &(struct upload_row){0}), -ENOENT);
	assert_int_equal(snapshots(h), 1);
}

static void bytes_that_are_there_are_not_stored_again(void **state)
{
	struct house *h = *state;
	struct spot p = {0};
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);

	ingest_set_annex(h->in, &ops, &p);
	struct snap s = snap_of(h,
				copy_picture(h, make_dir(h, 0, "front"), "20201231_154555.jpg", 1));
	int64_t id = copy_picture(h, ANNEX, "any name.jpg", 1);

	assert_int_equal(p.adopted, 1);
	assert_int_equal(p.snapshot, s.id);
	assert_int_equal(snap_of(h, id).id, s.id);
	assert_int_equal(row_of(h, id).size, len);
	assert_int_equal(snapshots(h), 1);
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, id));
	assert_bytes(h, &s.sha, data, len);
	/* a temporary name that gets its own: rsync, GIO */
	id = copy_picture(h, ANNEX, ".x.jpg.AbCdEf", 1);
	assert_int_equal(row_of(h, id).state, UPLOAD_OPEN);
	ok(ingest_rename(h->in, ANNEX, ".x.jpg.AbCdEf", ANNEX, "x.jpg", 0));
	assert_int_equal(snap_of(h, id).id, s.id);
	assert_int_equal(p.adopted, 2);
}

static void a_place_that_is_gone(void **state)
{
	struct house *h = *state;
	struct spot p = {.gone = true};

	ingest_set_annex(h->in, &ops, &p);
	int64_t id = copy_picture(h, ANNEX, "20201231_154555.jpg", 1);

	assert_int_equal(row_of(h, id).state, UPLOAD_REJECTED);
	assert_error(h, id, "no label (any more) (in starred)");
	assert_int_equal(snapshots(h), 0);
	(void)run_due(h, 8 * 86400);
	assert_int_equal(ingest_entry(h->in, id, &(struct upload_row){0}), -ENOENT);
}

static void what_is_no_picture(void **state)
{
	struct house *h = *state;
	struct spot p = {0};

	ingest_set_annex(h->in, &ops, &p);
	int64_t bad = copy_text(h, ANNEX, "a.jpg", "<html>"),
		text = copy_text(h, ANNEX, "sedAbCdEf", "{}");

	assert_int_equal(row_of(h, bad).state, UPLOAD_WAITING);
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, bad).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, text).state, UPLOAD_OPEN);
	(void)run_due(h, HOUR);
	assert_int_equal(ingest_entry(h->in, text, &(struct upload_row){0}), -ENOENT);
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, text));
}

static void names_that_are_given(void **state)
{
	struct house *h = *state;
	struct upload_row row;
	struct snap s = snap_of(h,
				copy_picture(h, make_dir(h, 0, "front"), "20201231_154555.jpg", 1));

	ok(ingest_annex_name(h->in, ANNEX, "mine.jpg", &s));
	ok(ingest_annex_name(h->in, ANNEX, "mine.jpg", &s));
	ok(ingest_annex_name(h->in, ANNEX, "2020-12-31", NULL));
	ok(ingest_lookup(h->in, ANNEX, "mine.jpg", &row));
	assert_int_equal(row.snapshot, s.id);
	assert_int_equal(row.size, s.size);
	ok(ingest_lookup(h->in, ANNEX, "2020-12-31", &row));
	assert_true(row.is_dir);
	assert_int_equal(run_due(h, HOUR), INT64_MAX);
	assert_int_equal(ingest_lookup(h->in, ANNEX, "mine.jpg", &row), -ENOENT);
	assert_int_equal(ingest_lookup(h->in, ANNEX, "2020-12-31", &row), -ENOENT);
	assert_int_equal(snapshots(h), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_picture_gets_what_the_place_gives),
		T(bytes_that_are_there_are_not_stored_again),
		T(a_place_that_is_gone),
		T(what_is_no_picture),
		T(names_that_are_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
