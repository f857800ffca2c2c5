/* test-query-match.c - random queries over random pictures against a plain model of what they mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test-catalog-temp.h"

#include "shutterfs/query.h"

#include <math.h>

enum {
	PICTURES = 240,
	QUERIES = 500,
	DOCS = 3,
	DAY_S = 86400,
	FIRST_DAY = 18622 /* 2020-12-26 */
};

static const char *const cameras[] = {"front", "front-2", "garden"};
static const char *const labels[][2] = {
	{"object", "cat"}, {"object", "dog"}, {"scene", "dog"}, {"scene", "night"}};
static const char *const comments[] = {NULL, "Left turn", "a LEFT lane, wet", "turn  left!",
				       "žlutý Kůň"};
static const char *const events[] = {NULL, "left turn", "right turn", "straight"};
static const char *const makers[] = {NULL, "auto", "bob"};

struct doc {
	int direction; /* -1: none */
	unsigned event, maker;
};
struct model {
	unsigned camera, comment, rating, n_docs;
	unsigned label; /* bits */
	bool starred;
	int64_t taken_us;
	struct doc doc[DOCS];
	struct snap snap;
};
struct world {
	struct temp *t;
	struct model pic[PICTURES];
	unsigned seed;
};

static unsigned pick(struct world *w, unsigned n)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 8) % n;
}

/* ---- a random world ---- */
static void write_documents(const struct model *m, struct buf *out)
{
	struct json j = {.out = out};

	json_array(&j, NULL);
	for (unsigned i = 0; i < m->n_docs; i++) {
		const struct doc *d = &m->doc[i];

		json_object(&j, NULL);
		json_int(&j, "n", i); /* no duplicates */
		if (events[d->event])
			json_string(&j, "event", events[d->event]);
		json_object(&j, "label");
		if (d->direction >= 0)
			json_int(&j, "label_direction", d->direction);
		if (makers[d->maker])
			json_string(&j, "created_by", makers[d->maker]);
		json_int(&j, "label_speed", i); /* tells fingerprints apart */
		json_end(&j, '}');
		json_end(&j, '}');
	}
	json_end(&j, ']');
}

static void make_picture(struct world *w, struct model *m, unsigned n)
{
	CLEANUP(buf_done) struct buf docs = BUF(65536);
	struct sidecar s = {.labels.looked = true, .has_starred = true};
	bool new;
	int64_t id;

	*m = (struct model){.camera = pick(w, 3),
			    .comment = pick(w, ARRAY_LEN(comments)),
			    .rating = pick(w, 6),
			    .n_docs = pick(w, DOCS + 1),
			    .label = pick(w, 16),
			    .starred = pick(w, 4) == 0,
			    .taken_us = (FIRST_DAY * INT64_C(86400) + pick(w, 6 * DAY_S)) *
					1000000};
	for (unsigned i = 0; i < m->n_docs; i++)
		m->doc[i] = (struct doc){(int)pick(w, 5) - 1, pick(w, ARRAY_LEN(events)),
					 pick(w, 3)};
	write_documents(m, &docs);
	s.documents = docs.data;
	s.starred = m->starred;
	s.comment = (char *)comments[m->comment];
	s.rating = m->rating;
	s.has_rating = true;
	for (unsigned i = 0; i < ARRAY_LEN(labels); i++)
		if (m->label & 1u << i)
			ok(labels_add(&s.labels, &(struct label){.kind = (char *)labels[i][0],
								 .value = (char *)labels[i][1],
								 .score = NAN}));
	struct registration reg = {.camera = cameras[m->camera],
				   .taken_us = m->taken_us,
				   .zone_min = 60,
				   .size = 1000 + n,
				   .sha = sha_of(n),
				   .width = 640 + n,
				   .height = 480,
				   .sidecar = &s};
	ok(catalog_register(w->t->c, &reg, &id, &new));
	m->snap = snap_of(w->t, id);
	labels_done(&s.labels);
}

static int by_stem(const void *a, const void *b)
{
	return strcmp(((const struct model *)a)->snap.stem, ((const struct model *)b)->snap.stem);
}

static struct world *new_world(struct temp *t, unsigned seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->t = t;
	w->seed = seed;
	for (unsigned i = 0; i < PICTURES; i++)
		make_picture(w, &w->pic[i], i);
	qsort(w->pic, PICTURES, sizeof(w->pic[0]), by_stem);
	return w;
}

/* ---- a random clause: its JSON, and what it means ---- */
enum ask {
	ASK_CAMERA,
	ASK_LABEL,
	ASK_LABELS,
	ASK_KIND,
	ASK_VALUE,
	ASK_STARRED,
	ASK_RATING,
	ASK_AFTER,
	ASK_BEFORE,
	ASK_ANY_WORD,
	ASK_ALL_WORDS,
	ASK_PHRASE,
	ASK_DIRECTION,
	ASK_DIRECTIONS,
	ASK_HAS_DIRECTION,
	ASK_EVENT,
	ASK_MAKER,
	ASK_IMG_ID,
	ASKS
};
struct asked {
	enum ask ask;
	int a, b;
	const char *boolean; /* NULL: must */
};

static const char *key_of(enum ask ask)
{
	static const char *const key[ASKS] = {
		[ASK_CAMERA] = "camera",
		[ASK_LABEL] = "label",
		[ASK_LABELS] = "label",
		[ASK_KIND] = "label",
		[ASK_VALUE] = "label",
		[ASK_STARRED] = "starred",
		[ASK_RATING] = "rating",
		[ASK_AFTER] = "taken",
		[ASK_BEFORE] = "taken",
		[ASK_ANY_WORD] = "comment",
		[ASK_ALL_WORDS] = "comment",
		[ASK_PHRASE] = "comment",
		[ASK_DIRECTION] = "label.label_direction",
		[ASK_DIRECTIONS] = "label.label_direction",
		[ASK_HAS_DIRECTION] = "label.label_direction",
		[ASK_EVENT] = "event",
		[ASK_MAKER] = "label.created_by",
		[ASK_IMG_ID] = "img_id",
	};

	return key[ask];
}

static void img_id_of(const struct model *m, char out[IMG_ID_MAX + 1])
{
	(void)snprintf(out, IMG_ID_MAX + 1, "%.*s", (int)strcspn(m->snap.stem, "_"), m->snap.stem);
}

static void write_label(int i, struct buf *out)
{
	(void)buf_printf(out, "\"%s/%s\"", labels[i][0], labels[i][1]);
}

/* What stands behind "type" and "bool". */
static void write_value(const struct world *w, const struct asked *a, struct buf *out)
{
	char img_id[IMG_ID_MAX + 1];

	switch (a->ask) {
	case ASK_CAMERA:
		(void)buf_printf(out, "\"type\":\"terms\",\"query\":[\"%s\",\"%s\"]", cameras[a->a],
				 cameras[a->b]);
		break;
	case ASK_LABEL:
		(void)buf_str(out, "\"type\":\"match\",\"query\":");
		write_label(a->a, out);
		break;
	case ASK_LABELS:
		(void)buf_str(out, "\"type\":\"all\",\"query\":[");
		write_label(a->a, out);
		(void)buf_str(out, ",");
		write_label(a->b, out);
		(void)buf_str(out, "]");
		break;
	case ASK_KIND:
		(void)buf_str(out, "\"type\":\"term\",\"query\":\"object/\"");
		break;
	case ASK_VALUE:
		(void)buf_str(out, "\"type\":\"term\",\"query\":\"dog\"");
		break;
	case ASK_STARRED:
		(void)buf_printf(out, "\"type\":\"term\",\"value\":%s", a->a ? "true" : "false");
		break;
	case ASK_RATING:
		(void)buf_printf(out, "\"type\":\"range\",\"gte\":%d", a->a);
		break;
	case ASK_AFTER:
		(void)buf_printf(out, "\"type\":\"range\",\"gte\":\"2020-12-%02d\"", 26 + a->a);
		break;
	case ASK_BEFORE:
		(void)buf_printf(out, "\"type\":\"range\",\"lt\":\"2020-12-%02dT13:30:00+01:30\"",
				 26 + a->a);
		break;
	case ASK_ANY_WORD:
		(void)buf_str(out, "\"type\":\"match\",\"query\":\"LANE-left\"");
		break;
	case ASK_ALL_WORDS:
		(void)buf_str(out,
			      "\"type\":\"match\",\"operator\":\"and\",\"query\":\"TURN left\"");
		break;
	case ASK_PHRASE:
		(void)buf_str(out, "\"type\":\"match_phrase\",\"query\":\"k\u016f\u0147\"");
		break;
	case ASK_DIRECTION:
		(void)buf_printf(out,
				 a->b ? "\"type\":\"term\",\"query\":%d.0"
				      : "\"type\":\"match\",\"query\":\"%d\"",
				 a->a);
		break;
	case ASK_DIRECTIONS:
		(void)buf_printf(out, "\"type\":\"range\",\"gt\":%d,\"lte\":%d", a->a - 1,
				 a->b - 1);
		break;
	case ASK_HAS_DIRECTION:
		(void)buf_str(out, "\"type\":\"exists\"");
		break;
	case ASK_EVENT:
		(void)buf_str(out, "\"type\":\"match\",\"query\":\"Left TURN\"");
		break;
	case ASK_MAKER:
		(void)buf_str(out, "\"type\":\"match\",\"query\":\"bob\",\"field\":\"keyword\"");
		break;
	default:
		img_id_of(&w->pic[a->a], img_id);
		(void)buf_printf(out, "\"type\":\"match\",\"query\":\"%s\"", img_id);
	}
}

static bool doc_true(const struct asked *a, const struct doc *d)
{
	if (!d)
		return false;
	switch (a->ask) {
	case ASK_DIRECTION:
		return d->direction == a->a;
	case ASK_DIRECTIONS:
		return d->direction >= 0 && d->direction >= a->a && d->direction < a->b;
	case ASK_HAS_DIRECTION:
		return d->direction >= 0;
	case ASK_EVENT: /* either word */
		return d->event == 1 || d->event == 2;
	default:
		return d->maker == 2;
	}
}

static bool asked_true(const struct world *w, const struct asked *a, const struct model *m,
		       const struct doc *d)
{
	char this[IMG_ID_MAX + 1], that[IMG_ID_MAX + 1];

	switch (a->ask) {
	case ASK_CAMERA:
		return (int)m->camera == a->a || (int)m->camera == a->b;
	case ASK_LABEL:
		return m->label >> a->a & 1;
	case ASK_LABELS:
		return (m->label >> a->a & 1) && (m->label >> a->b & 1);
	case ASK_KIND:
		return m->label & 3;
	case ASK_VALUE:
		return m->label & 6;
	case ASK_STARRED:
		return m->starred == a->a;
	case ASK_RATING:
		return m->rating > 0 && (int)m->rating >= a->a;
	case ASK_AFTER:
		return m->snap.day >= FIRST_DAY + a->a;
	case ASK_BEFORE:
		return m->taken_us <
		       (FIRST_DAY + a->a) * INT64_C(86400000000) + INT64_C(43200000000);
	case ASK_ANY_WORD:
		return m->comment >= 1 && m->comment <= 3;
	case ASK_ALL_WORDS:
		return m->comment == 1 || m->comment == 3;
	case ASK_PHRASE:
		return m->comment == 4;
	case ASK_IMG_ID:
		img_id_of(m, this);
		img_id_of(&w->pic[a->a], that);
		return strcmp(this, that) == 0;
	default:
		return doc_true(a, d);
	}
}

static struct asked random_asked(struct world *w)
{
	static const char *const boolean[] = {NULL,     NULL,     "must",     "filter",
					      "should", "should", "must_not", "must_not"};
	static const int range[ASKS] = {
		[ASK_CAMERA] = 3,        [ASK_LABEL] = 4,     [ASK_LABELS] = 4, [ASK_STARRED] = 2,
		[ASK_RATING] = 6,        [ASK_AFTER] = 6,     [ASK_BEFORE] = 6, [ASK_DIRECTION] = 4,
		[ASK_IMG_ID] = PICTURES, [ASK_DIRECTIONS] = 5};
	struct asked a = {.ask = pick(w, ASKS), .boolean = boolean[pick(w, 8)]};
	unsigned n = range[a.ask] ? (unsigned)range[a.ask] : 1;

	a.a = (int)pick(w, n);
	a.b = (int)pick(w, n);
	return a;
}

static unsigned random_query(struct world *w, struct asked *asked, struct buf *out)
{
	unsigned n = 0, want = pick(w, 5);

	(void)buf_str(out, "{");
	for (unsigned i = 0; i < want; i++) {
		struct asked a = random_asked(w);
		bool again = false;

		for (unsigned k = 0; k < n; k++)
			again = again || strcmp(key_of(asked[k].ask), key_of(a.ask)) == 0;
		if (again)
			continue;
		(void)buf_printf(out, "%s\"%s\":{", n ? "," : "", key_of(a.ask));
		if (a.boolean)
			(void)buf_printf(out, "\"bool\":\"%s\",", a.boolean);
		write_value(w, &a, out);
		(void)buf_str(out, "}");
		asked[n++] = a;
	}
	(void)buf_str(out, "}");
	return n;
}

static bool with_document(const struct world *w, const struct asked *asked, unsigned n,
			  const struct model *m, const struct doc *d)
{
	bool any_must = false, any_should = false, should = false;

	for (unsigned i = 0; i < n; i++) {
		bool is = asked_true(w, &asked[i], m, d);

		if (asked[i].boolean && strcmp(asked[i].boolean, "must_not") == 0) {
			if (is)
				return false;
		} else if (asked[i].boolean && strcmp(asked[i].boolean, "should") == 0) {
			any_should = true;
			should = should || is;
		} else {
			any_must = true;
			if (!is)
				return false;
		}
	}
	return any_must || !any_should || should;
}

static bool model_matches(const struct world *w, const struct asked *asked, unsigned n,
			  const struct model *m)
{
	for (unsigned i = 0; i < m->n_docs; i++)
		if (with_document(w, asked, n, m, &m->doc[i]))
			return true;
	return m->n_docs == 0 && with_document(w, asked, n, m, NULL);
}

/* ---- both ---- */
struct found {
	char stem[PICTURES][STEM_MAX + 1];
	unsigned n, limit;
};

static int found_one(void *user, const struct snap *s)
{
	struct found *f = user;

	assert_true(f->n < PICTURES);
	memcpy(f->stem[f->n++], s->stem, sizeof(s->stem));
	return f->n == f->limit;
}

static void check_query(struct world *w, struct found *f)
{
	CLEANUP(buf_done) struct buf text = BUF(65536);
	struct asked asked[8];
	unsigned n = random_query(w, asked, &text), want = 0;
	struct query *q;
	char why[WHY_MAX];

	if (query_parse(text.data, text.len, &q, why) < 0)
		fail_msg("%s: %s", text.data, why);
	f->n = f->limit = 0;
	ok(query_each(q, w->t->c, 0, NULL, found_one, f));
	for (unsigned i = 0; i < PICTURES; i++) {
		bool is = model_matches(w, asked, n, &w->pic[i]);

		if (is && (want >= f->n || strcmp(f->stem[want], w->pic[i].snap.stem) != 0))
			fail_msg("%s: does not find %s", text.data, w->pic[i].snap.stem);
		want += is;
		int r = query_match(q, w->t->c, &w->pic[i].snap);

		if (r != is)
			fail_msg("%s: %s alone: %d, not %d", text.data, w->pic[i].snap.stem, r, is);
	}
	if (want != f->n)
		fail_msg("%s: finds %u, not %u", text.data, f->n, want);
	(void)query_free(q);
}

static void random_queries_mean_what_the_model_says(void **state)
{
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)now_us();
	struct world *w = new_world(*state, seed);
	struct found *f = malloc(sizeof(*f));

	assert_non_null(f);
	print_message("SEED=%u\n", seed);
	for (unsigned i = 0; i < QUERIES; i++)
		check_query(w, f);
	free(f);
	free(w);
}

static struct query *parsed(const char *text)
{
	struct query *q = NULL;
	char why[WHY_MAX];

	if (query_parse(text, strlen(text), &q, why) < 0)
		fail_msg("%s: %s", text, why);
	return q;
}

/* From any picture on, also when it is gone or does not match. */
static void goes_on_anywhere(void **state)
{
	struct world *w = new_world(*state, 7);
	struct query *q = parsed("{\"camera\":\"front\"}");
	struct found *all = calloc(1, sizeof(*all)), *rest = calloc(1, sizeof(*rest));

	assert_true(all && rest);
	ok(query_each(q, w->t->c, 0, NULL, found_one, all));
	assert_true(all->n > 20 && all->n < PICTURES);
	for (unsigned i = 0; i < PICTURES; i += 7) {
		unsigned first = 0;

		while (first < all->n && strcmp(all->stem[first], w->pic[i].snap.stem) <= 0)
			first++;
		rest->n = 0;
		ok(query_each(q, w->t->c, w->pic[i].snap.id, NULL, found_one, rest));
		assert_int_equal(rest->n, all->n - first);
		if (rest->n)
			assert_string_equal(rest->stem[0], all->stem[first]);
	}
	rest->n = 0;
	rest->limit = 3;
	assert_int_equal(query_each(q, w->t->c, 0, NULL, found_one, rest), 1);
	assert_int_equal(rest->n, 3);
	(void)query_free(q);
	free(all);
	free(rest);
	free(w);
}

static bool at_once(void *user)
{
	return true;
}

static void can_be_stopped(void **state)
{
	struct world *w = new_world(*state, 8);
	struct query *q = parsed("{\"rating\":{\"type\":\"range\",\"gt\":99}}");
	struct found f = {0};

	assert_int_equal(query_each(q, w->t->c, 0, at_once, found_one, &f), -ECANCELED);
	(void)query_free(q);
	free(w);
}

/* ---- labels.json ---- */
static int collect(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static void assert_labels(struct temp *t, const char *query, enum query_labels what,
			  const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(1 << 20);
	struct query *q = parsed(query);

	ok(query_labels(q, t->c, what, NULL, collect, &out));
	assert_string_equal(out.data, want);
	(void)query_free(q);
}

static int64_t with_documents(struct temp *t, const char *camera, unsigned n, const char *documents)
{
	int64_t id = add_picture(t, camera, n, 0);
	struct sidecar s = {.documents = (char *)documents};

	if (documents)
		ok(catalog_merge_sidecar(t->c, id, &s));
	return id;
}

/* Two cameras at one moment share an img_id; their documents share its line. */
static void labels_json(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf out = BUF(1 << 20);
	struct query *q = parsed("{}");
	struct json_text all, v, rest;
	char why[WHY_MAX];
	unsigned n = 0;

	assert_labels(t, "{}", QUERY_LABELS, "{}\n");
	(void)with_documents(t, "front", 1, "[{\"label\":{\"label_speed\":1}}]");
	(void)with_documents(t, "garden", 1, "[{\"label\":\n{\"label_speed\":2}}]");
	(void)with_documents(t, "front", 2, "[{\"label\":{\"label_speed\":3}}]");
	(void)with_documents(t, "front", 3, NULL);
	ok(query_labels(q, t->c, QUERY_LABELS, NULL, collect, &out));
	ok(json_read(out.data, out.len, &all, why));
	v = json_get(all, "20201231T12-00-01-000000");
	assert_int_equal(json_type(v), JSON_ARRAY);
	for (rest = json_inside(v); json_next(&rest, NULL, &v); n++)
		assert_int_equal(json_type(json_get(v, "label_fingerprint")), JSON_STRING);
	assert_int_equal(n, 2);
	v = json_get(all, "20201231T12-00-02-000000");
	assert_int_equal(json_type(json_get(v, "label_fingerprint")), JSON_STRING);
	v = json_get(all, "20201231T12-00-03-000000");
	assert_true(json_is(json_get(v, "camera"), "front"));
	out.len = 0;
	ok(query_labels(q, t->c, QUERY_DUPLICATES, NULL, collect, &out));
	ok(json_read(out.data, out.len, &all, why));
	assert_int_equal(json_type(json_get(all, "20201231T12-00-01-000000")), JSON_ARRAY);
	assert_int_equal(json_type(json_get(all, "20201231T12-00-02-000000")), JSON_NONE);
	(void)query_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_queries_mean_what_the_model_says, temp_open,
						temp_close),
		cmocka_unit_test_setup_teardown(goes_on_anywhere, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(can_be_stopped, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(labels_json, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
