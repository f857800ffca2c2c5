/* test-catalog-edit.c - labels, stars, documents and sidecars of a picture are edited, and what its history keeps. */
#include "test-catalog-labels.h"

static void labels_one_by_one(void **state)
{
	struct temp *t = *state;
	int64_t id, dog, wolf;
	static const double box[4] = {0.1, 0.2, 0.3, 0.4}, other[4] = {0.5, 0.2, 0.3, 0.4};

	(void)use_stores(t);
	id = synced_picture(t, 1);
	assert_string_equal(labels_of(t, id), "not looked");
	ok(add_label(t, id, "object", "dog", NULL));
	assert_int_equal(add_label(t, id, "object", "dog", NULL), -EEXIST);
	ok(add_label(t, id, "object", "dog", box));
	assert_int_equal(add_label(t, id, "object", "dog", box), -EEXIST);
	ok(add_label(t, id, "object", "dog", other));
	assert_int_equal(snap_of(t, id).links, 3);
	dog = label_id(t, "object", "dog");
	assert_int_equal(pictures_of(t, dog), 1);
	assert_int_equal(catalog_label_tag(t->c, id, dog, "you"), -EEXIST);
	ok(add_label(t, id, "object", "wolf", NULL));
	wolf = label_id(t, "object", "wolf");
	ok(catalog_label_remove(t->c, id, wolf, "you"));
	assert_int_equal(catalog_label_remove(t->c, id, wolf, "you"), -ENOENT);
	ok(catalog_label_move(t->c, id, dog, wolf, "you"));
	assert_string_equal(labels_of(t, id), "object/wolf object/wolf object/wolf ");
	assert_int_equal(catalog_label_move(t->c, id, dog, wolf, "you"), -ENOENT);
	assert_int_equal(pictures_of(t, wolf), 1);
	assert_int_equal(pictures_of(t, dog), 0);
	assert_int_equal(snap_of(t, id).links, 3);
	assert_true(snap_of(t, id).changed_us > NOON_US);
	assert_string_equal(listing(t), "object: wolf; ");
	assert_int_equal(label_id(t, "object", "dog"), dog); /* rm -r must end well */
	assert_non_null(strstr(
		history_of(t, id),
		"you|label removed|{\"kind\":\"object\",\"value\":\"dog\",\"box\":[0.1,0.2,0.3,0.4],\"by\":\"me\"}"));
	assert_non_null(
		strstr(history_of(t, id),
		       "me|label added|{\"kind\":\"object\",\"value\":\"dog\",\"by\":\"me\"}"));
	assert_int_equal(catalog_label_tag(t->c, id + 1, dog, "you"), -ENOENT);
	assert_int_equal(catalog_label_tag(t->c, id, 999, "you"), -ENOENT);
	assert_int_equal(drain(t, t->cloud), 1); /* all that is one object */
	assert_int_equal(drain(t, t->attic), 1);
	assert_true(catalog_take_edits(t->c));
	assert_false(catalog_take_edits(t->c));
}

static void tags_keep_what_stays(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);
	static const double box[4] = {0.1, 0.2, 0.3, 0.4};
	CLEANUP(labels_done) struct labels want = {0};
	CLEANUP(sidecar_done) struct sidecar s = {0};

	ok(add_label(t, id, "object", "dog", box));
	ok(add_label(t, id, "object", "cat", NULL));
	ok(labels_add_tag(&want, "object/dog"));
	ok(labels_add_tag(&want, "holiday"));
	ok(labels_add_tag(&want, "object/dog"));
	assert_int_equal(labels_add_tag(&want, ""), -EINVAL);
	ok(catalog_tags(t->c, id, &want, "you"));
	assert_string_equal(labels_of(t, id), "object/dog label/holiday ");
	ok(catalog_sidecar(t->c, id, &s));
	assert_true(s.labels.item[0].has_box);
	assert_string_equal(s.labels.item[1].by, "you");
	ok(catalog_tags(t->c, id, &(struct labels){0}, "you"));
	assert_string_equal(labels_of(t, id), "");
	assert_string_equal(listing(t), "");
}

static void star_comment_rating(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);
	CLEANUP(sidecar_done) struct sidecar s = {0}, after = {0};

	ok(catalog_star(t->c, id, true, "me"));
	ok(catalog_comment(t->c, id, "a \"nice\" one", "me"));
	ok(catalog_rating(t->c, id, 7, NULL));
	ok(catalog_sidecar(t->c, id, &s));
	assert_true(s.starred);
	assert_string_equal(s.comment, "a \"nice\" one");
	assert_int_equal(s.rating, 7);
	assert_int_equal(catalog_rating(t->c, id, 11, NULL), -EINVAL);
	assert_int_equal(catalog_comment(t->c, id, "\xff", NULL), -EINVAL);
	assert_int_equal(catalog_star(t->c, 99, true, NULL), -ENOENT);
	ok(catalog_comment(t->c, id, NULL, "you"));
	ok(catalog_rating(t->c, id, 0, "you"));
	ok(catalog_star(t->c, id, false, "you"));
	ok(catalog_star(t->c, id, false, "nobody"));
	ok(catalog_sidecar(t->c, id, &after));
	assert_false(after.starred);
	assert_null(after.comment);
	assert_int_equal(after.rating, 0);
	assert_string_equal(history_of(t, id), "you|starred|true\n"
					       "you|rating|7\n"
					       "you|comment|\"a \\\"nice\\\" one\"\n"
					       "|rating|-\n"
					       "me|comment|-\n"
					       "me|starred|false\n");
}

/* ---- documents ---- */
static int count_document(void *user, const struct document *d)
{
	++*(int *)user;
	return 0;
}

static int documents_of(struct temp *t, int64_t id)
{
	int n = 0;

	ok(catalog_documents(t->c, id, count_document, &n));
	return n;
}

static int keep_id(void *user, const struct document *d)
{
	*(int64_t *)user = d->id;
	assert_string_equal(d->created_by, "auto");
	return 0;
}

#define DOC \
	"{\"img_id\":\"20200204T15-23-08-574348\",\"label\":{\"created_by\":\"auto\",\"label_direction\":2,\"label_speed\":1,\"nb_of_direction\":5,\"nb_of_speed\":2}"
#define FP1 "50b65c5a54c4fc04ba9859307755ddf8"

static void documents(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0), other = add_picture(t, "front", 2, 0), doc,
		found = 0;
	char *big = calloc(1, DOCUMENTS_BYTES);

	ok(catalog_document_add(t->c, id, DOC "}", "me", &doc));
	assert_int_equal(catalog_document_add(t->c, id, DOC ",\"label_fingerprint\":\"forged\"}",
					      "me", NULL),
			 -EEXIST);
	ok(catalog_document_add(t->c, other, DOC "}", "me", NULL)); /* its own */
	ok(catalog_document_add(t->c, id, "{\"label\":{\"label_speed\":3}}", "me", NULL));
	assert_int_equal(catalog_document_add(t->c, id, "[]", "me", NULL), -EINVAL);
	assert_int_equal(catalog_document_add(t->c, id, "{", "me", NULL), -EINVAL);
	assert_int_equal(catalog_document_add(t->c, 99, DOC "}", "me", NULL), -ENOENT);
	memset(big, ' ', DOCUMENTS_BYTES - 1);
	memcpy(big, "{\"a\":\"", 6);
	memset(big + 6, 'x', DOCUMENTS_BYTES - 300);
	memcpy(big + DOCUMENTS_BYTES - 294, "\"}", 2);
	assert_int_equal(catalog_document_add(t->c, id, big, "me", NULL), -EFBIG);
	free(big);
	assert_int_equal(documents_of(t, id), 2);
	ok(catalog_documents_by_fp1(t->c, FP1, keep_id, &found));
	assert_true(found != 0);
	ok(catalog_document_remove(t->c, doc, "you"));
	assert_int_equal(catalog_document_remove(t->c, doc, "you"), -ENOENT);
	assert_int_equal(documents_of(t, id), 1);
	assert_non_null(strstr(history_of(t, id),
			       "you|document removed|" DOC ",\"label_fingerprint\":\"" FP1 "\"}"));
	assert_non_null(strstr(history_of(t, id), "me|document added|\"" FP1 "\""));
	ok(catalog_document_add(t->c, id, DOC "}", "me", NULL)); /* as if it never was */
}

/* ---- sidecars ---- */
static const char *sidecar_of(struct temp *t, int64_t id)
{
	static char text[65536];
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(buf_done) struct buf out = BUF(sizeof(text) - 1);

	ok(catalog_sidecar(t->c, id, &s));
	ok(sidecar_render(&s, &out));
	(void)snprintf(text, sizeof(text), "%s", out.data);
	return text;
}

static void assert_says(struct temp *t, int64_t id, const char *what, bool want)
{
	const char *text = sidecar_of(t, id);

	if ((strstr(text, what) != NULL) != want)
		fail_msg("%s: %s is %sexpected", text, what, want ? "" : "not ");
}

static void a_foreign_sidecar_is_merged(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);

	ok(edit(t, id,
		"{\"labels\":[\"object/dog\"],\"documents\":[" DOC
		"}],\"event\":{\"e\":1},\"mine\":2,\"starred\":true}"));
	ok(edit(t, id, "{\"labels\":[\"object/cat\"],\"comment\":\"c\",\"rating\":3}"));
	assert_string_equal(labels_of(t, id), "object/cat ");
	assert_says(t, id, "\"event\":{\"e\":1}", true);
	assert_says(t, id, "\"mine\":2", true);
	assert_says(t, id, "\"starred\":true", true);
	assert_says(t, id, "\"comment\":\"c\"", true);
	assert_says(t, id, "\"rating\":3", true);
	assert_int_equal(documents_of(t, id), 1);
}

static void a_whole_sidecar_is_as_it_says(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);
	struct snap before, after;

	ok(edit(t, id,
		"{\"labels\":[\"object/dog\"],\"documents\":[" DOC
		"}],\"event\":{\"e\":1},\"mine\":2,\"starred\":true,\"comment\":\"c\"}"));
	before = snap_of(t, id);
	ok(edit(t, id, sidecar_of(t, id))); /* saved as it was */
	after = snap_of(t, id);
	assert_memory_equal(&before, &after, sizeof(before));
	ok(edit(t, id,
		"{\"schema\":\"shutterfs/1\",\"img_id\":\"20000101T00-00-00-000000\",\"size\":5,\"state\":\"local\",\"labels\":[],\"yours\":1}"));
	assert_string_equal(labels_of(t, id), "");
	assert_int_equal(documents_of(t, id), 0);
	assert_says(t, id, "\"event\"", false);
	assert_says(t, id, "\"mine\"", false);
	assert_says(t, id, "\"comment\"", false);
	assert_says(t, id, "\"starred\":false", true);
	assert_says(t, id, "\"yours\":1", true);
	assert_says(t, id, "\"img_id\":\"20201231T12-00-01-000000\"", true);
	assert_int_equal(snap_of(t, id).size, 1001);
	assert_non_null(strstr(history_of(t, id), "vim|event|{\"e\":1}\n"));
	assert_non_null(strstr(history_of(t, id), "vim|keys|{\"mine\":2}\n"));
	assert_non_null(strstr(history_of(t, id), "vim|document removed|"));
	ok(edit(t, id, "{\"schema\":\"shutterfs/1\"}"));
	assert_string_equal(labels_of(t, id), "not looked");
}

static void a_document_twice_changes_nothing(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);
	char before[4096];

	ok(edit(t, id, "{\"labels\":[\"object/dog\"],\"documents\":[" DOC "}]}"));
	(void)snprintf(before, sizeof(before), "%s", sidecar_of(t, id));
	assert_int_equal(edit(t, id,
			      "{\"schema\":\"shutterfs/1\",\"labels\":[],\"documents\":[" DOC
			      "}," DOC ",\"x\":1}]}"),
			 -EEXIST);
	assert_string_equal(sidecar_of(t, id), before);
	ok(edit(t, id,
		"{\"documents\":[" DOC ",\"x\":1}]}")); /* one that changed is no duplicate */
	assert_int_equal(documents_of(t, id), 1);
	assert_says(t, id, "\"x\":1", true);
}

/* What each alone may be, is too much together. */
static void a_sidecar_has_room_for_it(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);
	char *comment = malloc(COMMENT_MAX + 1), *body = malloc(DOCUMENTS_BYTES);
	static const double box[4] = {0.1, 0.2, 0.3, 0.4};
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int r = 0;

	memset(comment, 'c', COMMENT_MAX);
	comment[COMMENT_MAX] = '\0';
	(void)snprintf(body, DOCUMENTS_BYTES, "{\"a\":\"%*s\"}", DOCUMENTS_BYTES - 1000, "");
	ok(catalog_document_add(t->c, id, body, "me", NULL));
	assert_int_equal(catalog_comment(t->c, id, comment, "me"), -E2BIG);
	for (int i = 0; r == 0 && i < 1000; i++) {
		char value[LABEL_MAX];

		(void)snprintf(value, sizeof(value), "%0100d", i);
		r = add_label(t, id, "object", value, box);
	}
	assert_int_equal(r, -E2BIG);
	ok(catalog_sidecar(t->c, id, &s));
	ok(sidecar_render(&s, &out));
	assert_true(s.labels.n > 50);
	assert_null(s.comment);
	free(comment);
	free(body);
}

static void history_is_bounded(void **state)
{
	struct temp *t = *state;
	int64_t id = add_picture(t, "front", 1, 0);

	for (int i = 0; i < HISTORY_MAX + 20; i++)
		ok(catalog_rating(t->c, id, (unsigned)(1 + i % 2), "me"));
	assert_int_equal(peek(t, "SELECT count(*) FROM history"), HISTORY_MAX);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(labels_one_by_one),
		TEST(tags_keep_what_stays),
		TEST(star_comment_rating),
		TEST(documents),
		TEST(a_foreign_sidecar_is_merged),
		TEST(a_whole_sidecar_is_as_it_says),
		TEST(a_document_twice_changes_nothing),
		TEST(a_sidecar_has_room_for_it),
		TEST(history_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
