/* Edits of labels, stars, documents and sidecars while calls fail: each is there as a whole or not at all, in the sidecar, in the
 * directories and in the history. */
#include "../unit/test-catalog-labels.h"
#include "torture.h"

enum { PICTURES = 3 };

static int64_t find_label(struct temp *t, const char *kind, const char *value)
{
	bool was_armed = shim_pause();
	int64_t id = label_id(t, kind, value);

	if (was_armed)
		shim_resume();
	assert_true(id > 0);
	return id;
}

/* Half an edit would show: what failed is nowhere. */
static void assert_labels(struct temp *t, const char *want)
{
	bool was_armed = shim_pause();

	for (int64_t id = 1; id <= PICTURES; id++)
		assert_string_equal(labels_of(t, id), want);
	if (was_armed)
		shim_resume();
}

static void *begin(void)
{
	void *state;

	ok(temp_open(&state));
	(void)use_stores(state);
	for (unsigned n = 0; n < PICTURES; n++)
		(void)synced_picture(state, n);
	return state;
}

static int try_edit(struct temp *t, int64_t id)
{
	static const char text[] =
		"{\"labels\":[{\"kind\":\"object\",\"value\":\"owl\"}],\"comment\":\"at night\",\"rating\":3,"
		"\"event\":{\"a\":1},\"mine\":true}";
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX];
	int r = sidecar_parse(text, sizeof(text) - 1, &s, why);

	return r < 0 ? r : catalog_edit_sidecar(t->c, id, &s, "vim");
}

static int try_tags(struct temp *t, int64_t id)
{
	CLEANUP(labels_done) struct labels want = {0};
	int r = labels_add_tag(&want, "object/dog");

	if (r == 0)
		r = labels_add_tag(&want, "object/fox");
	return r < 0 ? r : catalog_tags(t->c, id, &want, "me");
}

static int try_document(struct temp *t, int64_t id)
{
	int r = catalog_document_add(t->c, id, "{\"label\":{\"label_speed\":1}}", "me", NULL);

	assert_int_not_equal(r, -EEXIST); /* what failed was not done */
	return r;
}

static int try_history(struct temp *t, int64_t id)
{
	char *text = NULL;
	int r = catalog_history_json(t->c, id, 65536, &text);

	assert_true(r < 0 || text);
	free(text);
	return r;
}

static int try_relabel(struct temp *t)
{
	bool left = true;
	int r = 0;

	while (r == 0 && left)
		r = catalog_relabel_step(t->c, 1, &left);
	return r;
}

static void work_labels(void *data)
{
	struct temp *t = data;
	int64_t wolf, kind;

	for (int64_t id = 1; id <= PICTURES; id++)
		again(add_label(t, id, "object", "cat", NULL));
	assert_labels(t, "object/cat ");
	for (int64_t id = 1; id <= PICTURES; id++)
		again(try_tags(t, id));
	assert_labels(t, "object/dog object/fox ");
	again(catalog_kind_make(t->c, "animal", &kind));
	again(catalog_label_make(t->c, kind, "wolf", &wolf));
	for (int64_t id = 1; id <= PICTURES; id++)
		again(catalog_label_move(t->c, id, find_label(t, "object", "dog"), wolf, "me"));
	for (int64_t id = 1; id <= PICTURES; id++)
		again(catalog_label_remove(t->c, id, find_label(t, "object", "fox"), "me"));
	assert_labels(t, "animal/wolf ");
	again(catalog_label_rename(t->c, wolf, false, kind, "dingo", "me"));
	again(try_relabel(t));
	assert_labels(t, "animal/dingo ");
}

static void work_texts(void *data)
{
	struct temp *t = data;

	for (int64_t id = 1; id <= PICTURES; id++) {
		again(catalog_star(t->c, id, true, "me"));
		again(catalog_comment(t->c, id, "nice", "me"));
		again(catalog_rating(t->c, id, 7, "me"));
		again(try_document(t, id));
		again(try_edit(t, id));
		again(try_history(t, id));
	}
	assert_labels(t, "object/owl ");
}

static void end(struct temp *t)
{
	void *state = t;

	temp_reopen(t);
	(void)use_stores(t);
	ok(temp_close(&state));
}

static void end_labels(void *data)
{
	struct temp *t = data;

	temp_reopen(t);
	assert_labels(t, "animal/dingo ");
	assert_string_equal(listing(t), "animal: dingo; ");
	for (int64_t id = 1; id <= PICTURES; id++)
		assert_int_equal(snap_of(t, id).links, 3);
	assert_int_equal(drain(t, t->cloud), PICTURES);
	end(t);
}

static void end_texts(void *data)
{
	struct temp *t = data;

	temp_reopen(t);
	for (int64_t id = 1; id <= PICTURES; id++) {
		CLEANUP(sidecar_done) struct sidecar s = {0};

		ok(catalog_sidecar(t->c, id, &s));
		assert_string_equal(s.comment, "at night");
		assert_int_equal(s.rating, 3);
		assert_true(s.starred && s.documents && s.event && s.unknown);
		assert_int_equal(snap_of(t, id).links, 4);
	}
	assert_int_equal(drain(t, t->cloud), PICTURES);
	end(t);
}

int main(void)
{
	static const struct scenario all[] = {
		{"labels", begin, work_labels, end_labels},
		{"texts", begin, work_texts, end_texts},
	};

	return torture(all, ARRAY_LEN(all));
}
