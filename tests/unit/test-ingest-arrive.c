/* Closes that are deferred: what waits for them, what does not wait, and what may not be deferred. */
#include "test-ingest.h"

static enum upload_state state_now(struct house *h, int64_t id)
{
	struct upload_row row;

	ok(catalog_upload(h->cat, id, &row));
	return row.state;
}

static void whoever_waits_finds_them_all(void **state)
{
	enum { MANY = 300 }; /* more than can be in line */
	struct house *h = *state;
	int64_t dir, id[MANY];

	ok(ingest_defer(h->in));
	dir = make_dir(h, 0, "front");
	assert_true(ingest_settled(h->in, 0));
	for (unsigned i = 0; i < MANY; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "20201231_15%02u%02u.jpg", i / 60, i % 60);
		id[i] = copy_picture(h, dir, name, i);
	}
	(void)ingest_settled(h->in, id[7]);
	assert_int_equal(state_now(h, id[7]), UPLOAD_REGISTERED);
	(void)ingest_settled(h->in, 0);
	assert_true(ingest_settled(h->in, 0));
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(state_now(h, id[i]), UPLOAD_REGISTERED);
	assert_int_equal(snapshots(h), MANY);
}

/* Sending pauses while closes follow each other; not for longer than 0.2 s, and not after them. */
static void uploads_have_the_machine_for_a_second(void **state)
{
	struct house *h = *state;
	int64_t dir, began;

	ok(ingest_defer(h->in));
	dir = make_dir(h, 0, "front");
	assert_false(ingest_is_busy(h->in));
	(void)copy_picture(h, dir, "20201231_154555.jpg", 1);
	(void)ingest_settled(h->in, 0);
	(void)usleep(INGEST_GAP_US + 20000);
	assert_false(ingest_is_busy(h->in));
	began = mono_us();
	for (unsigned i = 0; mono_us() - began < 1500000; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "%u.txt", i);
		(void)copy_text(h, dir, name, "x");
		(void)usleep(1000);
	}
	assert_false(ingest_is_busy(h->in));
}

static void pairs_find_each_other(void **state)
{
	struct house *h = *state;
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int64_t dir, side, jpg;

	ok(ingest_defer(h->in));
	dir = make_dir(h, 0, "front");
	for (unsigned i = 0; i < 40; i++) {
		char picture[40], text[40];

		(void)snprintf(picture, sizeof(picture), "20201231_1545%02u.jpg", i);
		(void)snprintf(text, sizeof(text), "20201231_1545%02u.json", i);
		if (i % 2)
			jpg = copy_picture(h, dir, picture, i);
		side = copy_text(h, dir, text, "{\"comment\": \"a fox\"}");
		if (i % 2 == 0)
			jpg = copy_picture(h, dir, picture, i);
		(void)ingest_settled(h->in, 0);
		assert_int_equal(state_now(h, side), UPLOAD_KEPT);
		ok(catalog_sidecar(h->cat, row_of(h, jpg).snapshot, &s));
		assert_string_equal(s.comment, "a fox");
		sidecar_done(&s);
		s = (struct sidecar){0};
	}
}

/* A long one, so that its picture overtakes it. */
static void a_sidecar_that_was_closed_first_counts(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	int64_t dir;

	ok(buf_str(&text, "{\"taken\": \"2019-05-06T07:08:09+00:00\", \"padding\": [1"));
	while (text.len < SIDECAR_BYTES / 8)
		ok(buf_str(&text, ",1"));
	ok(buf_str(&text, "]}"));
	ok(ingest_defer(h->in));
	dir = make_dir(h, 0, "front");
	for (unsigned i = 0; i < 10; i++) {
		char name[40], data[PICTURE_MAX];
		size_t len = picture(i, "2020:12:31 15:45:55", data);
		struct snap snap;
		int64_t jpg;

		(void)snprintf(name, sizeof(name), "%u.json", i);
		(void)copy_text(h, dir, name, text.data);
		(void)snprintf(name, sizeof(name), "%u.jpg", i);
		jpg = copy_in(h, dir, name, data, len);
		(void)ingest_settled(h->in, 0);
		ok(catalog_snap(h->cat, row_of(h, jpg).snapshot, &snap));
		assert_int_equal(snap.taken_us, INT64_C(1557126489000000));
	}
}

/* A start would pass over a row that says "rejected": its close does not return before it says something else. */
static void what_was_refused_is_not_deferred(void **state)
{
	struct house *h = *state;
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	struct upload_file *f;
	int64_t id;

	ok(ingest_defer(h->in));
	id = copy_text(h, make_dir(h, 0, "front"), "20201231_154555.jpg", "no picture");
	(void)ingest_settled(h->in, 0);
	(void)run_due(h, 3);
	assert_int_equal(state_now(h, id), UPLOAD_REJECTED);
	ok(ingest_open(h->in, id, O_WRONLY | O_TRUNC, &f));
	ok(ingest_write(f, data, len, 0));
	ok(ingest_flush(f));
	assert_int_equal(state_now(h, id), UPLOAD_REGISTERED);
	ingest_release(f);
}

/* The mount goes away right after the last close. */
static void an_end_waits_for_those_in_line(void **state)
{
	struct house *h = *state;
	int64_t dir, id[32];

	ok(ingest_defer(h->in));
	dir = make_dir(h, 0, "front");
	for (unsigned i = 0; i < ARRAY_LEN(id); i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "20201231_1545%02u.jpg", i);
		id[i] = copy_picture(h, dir, name, i);
	}
	h->in = ingest_free(h->in);
	for (unsigned i = 0; i < ARRAY_LEN(id); i++)
		assert_int_equal(state_now(h, id[i]), UPLOAD_REGISTERED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)
	const struct CMUnitTest tests[] = {
		T(whoever_waits_finds_them_all),
		T(uploads_have_the_machine_for_a_second),
		T(pairs_find_each_other),
		T(a_sidecar_that_was_closed_first_counts),
		T(what_was_refused_is_not_deferred),
		T(an_end_waits_for_those_in_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
