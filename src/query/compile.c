/* compile.c - clauses from a field, a test and values, and what is wrong with them in a sentence. */
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct field_row fields[] = {
	{"img_id", FIELD_IMG_ID, SORT_NAME},
	{"stem", FIELD_STEM, SORT_NAME},
	{"camera", FIELD_CAMERA, SORT_NAME},
	{"group", FIELD_GROUP, SORT_NAME},
	{"taken", FIELD_TAKEN, SORT_TIME},
	{"after", FIELD_TAKEN, SORT_TIME},  /* taken >= */
	{"before", FIELD_TAKEN, SORT_TIME}, /* taken < */
	{"size", FIELD_SIZE, SORT_NUMBER},
	{"width", FIELD_WIDTH, SORT_NUMBER},
	{"height", FIELD_HEIGHT, SORT_NUMBER},
	{"sha256", FIELD_SHA256, SORT_NAME},
	{"starred", FIELD_STARRED, SORT_BOOL},
	{"comment", FIELD_COMMENT, SORT_TEXT},
	{"rating", FIELD_RATING, SORT_NUMBER},
	{"label", FIELD_LABEL, SORT_LABEL},
	{"created_by", FIELD_CREATED_BY, SORT_NAME},
	{"text", FIELD_TEXT, SORT_TEXT},
};

const struct field_row *field_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

int query_new(struct query **ret)
{
	struct query *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (!q->locale) /* letters of ASCII, then */
		q->locale = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
	if (!q->locale) {
		free(q);
		return -ENOMEM;
	}
	*ret = q;
	return 0;
}

struct query *query_free(struct query *q)
{
	if (!q)
		return NULL;
	for (size_t i = 0; i < q->n; i++) {
		struct clause *c = &q->clause[i];

		for (size_t k = 0; k < c->n; k++) {
			free(c->value[k].text);
			free(c->value[k].words);
		}
		free(c->value);
		free(c->path);
	}
	free(q->clause);
	freelocale(q->locale);
	free(q);
	return NULL;
}

static bool cut_keyword(char *path)
{
	static const char keyword[] = ".keyword";
	size_t n = strlen(path);

	if (n <= sizeof(keyword) - 1 || strcmp(path + n - (sizeof(keyword) - 1), keyword) != 0)
		return false;
	path[n - (sizeof(keyword) - 1)] = '\0';
	return true;
}

int clause_new(struct query *q, const char *name, bool plain, struct clause **ret,
	       char why[WHY_MAX])
{
	CLEANUP(freep) char *path = strdup(name);
	const struct field_row *row;
	struct clause *grown, *c;
	bool keyword;

	if (q->n == QUERY_CLAUSES) {
		why_set(why, "has more than %d clauses", QUERY_CLAUSES);
		return -EBADMSG;
	}
	grown = reallocarray(q->clause, q->n + 1, sizeof(*grown));
	if (grown)
		q->clause = grown;
	if (!path || !grown)
		return -ENOMEM;
	keyword = cut_keyword(path);
	row = field_find(path);
	if (!row && plain && !strchr(path, '.')) {
		why_set(why,
			"\"%s\" is no field of a picture; a document's is written with \"type\", or by its path (label.%s)",
			path, path);
		return -EBADMSG;
	}
	c = &q->clause[q->n++];
	*c = (struct clause){.field = row ? row->field : FIELD_DOCUMENT,
			     .sort = row ? row->sort : SORT_TEXT,
			     .path = TAKE(path)};
	if (keyword && c->sort == SORT_TEXT)
		c->sort = SORT_NAME;
	*ret = c;
	return 0;
}

int clause_add(struct query *q, struct clause *c, enum json_type type, const char *text, size_t len,
	       enum bound bound, char why[WHY_MAX])
{
	struct value *v;

	if (type == JSON_NULL || type == JSON_OBJECT || type == JSON_ARRAY || !len) {
		why_set(why, "\"%s\" has a value that is %s", c->path,
			!len ? "empty" : "no text, number or truth");
		return -EBADMSG;
	}
	if (q->n_values == QUERY_VALUES) {
		why_set(why, "\"%s\": there are more than %d values", c->path, QUERY_VALUES);
		return -EBADMSG;
	}
	v = reallocarray(c->value, c->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->value = v;
	v += c->n;
	*v = (struct value){.type = type, .text = strndup(text, len), .bound = bound};
	if (!v->text)
		return -ENOMEM;
	v->len = strlen(v->text);
	v->numeric = text_number(v->text, v->len, &v->number);
	c->n++;
	q->n_values++;
	return 0;
}

/* "2026-11-22", or an instant: "2026-11-22T08:00", with or without its zone. */
static int end_time(const struct clause *c, struct value *v, char why[WHY_MAX])
{
	struct civil d = {0};
	int zone, end = 0;

	if (sscanf(v->text, "%4d-%2d-%2d%n", &d.year, &d.month, &d.day, &end) == 3 && end == 10 &&
	    !v->text[10] && civil_valid(&d)) {
		v->is_day = true;
		v->time = day_from_civil(d.year, d.month, d.day);
		return 0;
	}
	if (iso_parse(v->text, &v->time, &zone) == 0)
		return 0;
	why_set(why,
		"\"%s\": \"%s\" is neither a date (2026-11-22) nor a time (2026-11-22T08:15:00)",
		c->path, v->text);
	return -EBADMSG;
}

/* "kind/value", "kind/" (any of that kind), "value" (of any kind). */
static int end_label(const struct clause *c, struct value *v, char why[WHY_MAX])
{
	CLEANUP(freep) char *kind = strdup(v->text);
	char *slash = kind ? strchr(kind, '/') : NULL;
	const char *value = slash ? slash + 1 : v->text;

	if (!kind)
		return -ENOMEM;
	if (slash) {
		*slash = '\0';
		if (kind[0])
			label_name_from(kind, v->label_kind);
	}
	if (value[0])
		label_name_from(value, v->label_value);
	if (v->label_kind[0] || v->label_value[0])
		return 0;
	why_set(why, "\"%s\": \"%s\" names no label", c->path, v->text);
	return -EBADMSG;
}

static int end_words(const struct query *q, const struct clause *c, struct value *v,
		     char why[WHY_MAX])
{
	CLEANUP(buf_done) struct buf words = BUF(4 * QUERY_BYTES);
	int r = fold(q->locale, v->text, v->len, &words);

	if (r < 0)
		return r;
	if (!words.len) {
		why_set(why, "\"%s\": \"%s\" has no word to look for", c->path, v->text);
		return -EBADMSG;
	}
	v->words = TAKE(words.data);
	return 0;
}

static int end_value(const struct query *q, const struct clause *c, struct value *v,
		     char why[WHY_MAX])
{
	bool truth = strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0;

	if (c->test == TEST_WORDS || c->test == TEST_PHRASE)
		return end_words(q, c, v, why);
	if (c->sort == SORT_TIME)
		return end_time(c, v, why);
	if (c->sort == SORT_LABEL && c->test == TEST_EQUAL)
		return end_label(c, v, why);
	if ((c->sort != SORT_NUMBER || v->numeric) && (c->sort != SORT_BOOL || truth))
		return 0;
	why_set(why, "\"%s\" is %s, not \"%s\"", c->path,
		c->sort == SORT_BOOL ? "true or false" : "a number", v->text);
	return -EBADMSG;
}

static const char *unfit_test(const struct clause *c)
{
	bool text = c->sort == SORT_NAME || c->sort == SORT_TEXT || c->sort == SORT_LABEL;

	if ((c->test == TEST_PREFIX || c->test == TEST_GLOB) && !text)
		return "has no beginning or pattern: it is no text";
	if (c->test == TEST_RANGE && (c->sort == SORT_BOOL || c->sort == SORT_LABEL))
		return "has no range";
	if (c->field == FIELD_TEXT && c->test != TEST_WORDS && c->test != TEST_PHRASE)
		return "is all texts together: it can only be matched";
	return NULL;
}

/* "after" and "before" are bounds by their names. */
static int end_named_bound(struct clause *c, char why[WHY_MAX])
{
	bool after = strcmp(c->path, "after") == 0;

	if (!after && strcmp(c->path, "before") != 0)
		return 0;
	if (c->test != TEST_EQUAL || c->n != 1) {
		why_set(why, "\"%s\" is one date or time; other ranges are of \"taken\"", c->path);
		return -EBADMSG;
	}
	c->test = TEST_RANGE;
	c->value[0].bound = after ? BOUND_GTE : BOUND_LT;
	return 0;
}

int clause_end(struct query *q, struct clause *c, char why[WHY_MAX])
{
	const char *unfit;
	int r;

	/* Facts with one value each are compared as a whole. */
	if ((c->test == TEST_WORDS || c->test == TEST_PHRASE) && c->sort != SORT_TEXT) {
		c->test = TEST_EQUAL;
		c->all = false;
	}
	if (c->field == FIELD_TEXT && c->test == TEST_WORDS)
		c->all = true;
	unfit = unfit_test(c);
	if (unfit || (c->n == 0 && c->test != TEST_EXISTS)) {
		why_set(why, "\"%s\" %s", c->path, unfit ? unfit : "says no value");
		return -EBADMSG;
	}
	r = end_named_bound(c, why);
	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = end_value(q, c, &c->value[i], why);
	return r;
}

void query_end(struct query *q)
{
	bool should = false, must = false;

	for (size_t i = 0; i < q->n; i++) {
		const struct clause *c = &q->clause[i];

		should = should || c->want == WANT_SHOULD;
		must = must || c->want == WANT_MUST;
		q->by_document = q->by_document || c->field == FIELD_DOCUMENT ||
				 c->field == FIELD_CREATED_BY || c->field == FIELD_TEXT;
	}
	q->needs_should = should && !must;
}
