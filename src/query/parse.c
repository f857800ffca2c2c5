/* parse.c - query.json: {"field": value}, {"field": {"type": ..., "bool": ..., ...}}, and both mixed. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parse {
	struct query *q;
	char *why;
};

/* What stands in an object with "type". */
struct typed {
	struct json_text type, field, boolean, operator, query;
	struct json_text bound[4]; /* enum bound */
};

static int wrong(struct parse *p, const char *name, const char *what, struct json_text v)
{
	CLEANUP(buf_done) struct buf text = BUF(QUERY_BYTES);

	if (json_plain(v, &text) < 0)
		return -ENOMEM;
	why_set(p->why, "\"%s\": \"%.40s\" %s", name, text.data, what);
	return -EBADMSG;
}

/* Which of the words it is; -EBADMSG. */
static int choice(struct parse *p, const char *name, struct json_text v, const char *const *word,
		  size_t n, const char *what)
{
	for (size_t i = 0; i < n; i++)
		if (json_is(v, word[i]))
			return (int)i;
	return wrong(p, name, what, v);
}

static int add_value(struct parse *p, struct clause *c, struct json_text v, enum bound bound)
{
	CLEANUP(buf_done) struct buf text = BUF(QUERY_BYTES);
	int r = json_plain(v, &text);

	return r < 0 ? r : clause_add(p->q, c, json_type(v), text.data, text.len, bound, p->why);
}

/* One value, or an array of them: any will do. */
static int add_values(struct parse *p, struct clause *c, struct json_text v)
{
	struct json_text rest = json_inside(v), one;
	int r = 0;

	if (json_type(v) != JSON_ARRAY)
		return add_value(p, c, v, BOUND_GT);
	while (r == 0 && json_next(&rest, NULL, &one))
		r = add_value(p, c, one, BOUND_GT);
	return r;
}

static int plain(struct parse *p, const char *name, struct json_text v)
{
	struct clause *c;
	int r = clause_new(p->q, name, true, &c, p->why);

	if (r < 0)
		return r;
	c->test = TEST_WORDS;
	c->all = true;
	r = add_values(p, c, v);
	return r < 0 ? r : clause_end(p->q, c, p->why);
}

static int read_typed(struct parse *p, const char *name, struct json_text v, struct typed *t)
{
	const struct {
		const char *key;
		struct json_text *to;
	} known[] = {{"type", &t->type}, {"field", &t->field}, {"bool", &t->boolean},
		     {"query", &t->query}, {"value", &t->query},
		     {
			     "operator",
			     &t->operator},
			     {"gt", &t->bound[0]},
			     {"gte", &t->bound[1]},
			     {"lt", &t->bound[2]},
			     {"lte", &t->bound[3]},
	};
	struct json_text rest = json_inside(v), key, one;

	while (json_next(&rest, &key, &one)) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && !json_is(key, known[i].key))
			i++;
		if (i == ARRAY_LEN(known))
			return wrong(
				p, name,
				"is no part of a clause: type, field, bool, query, operator, gt, gte, lt, lte",
				key);
		*known[i].to = one;
	}
	return 0;
}

/* "field" is the rest of the name. */
static int full_name(struct parse *p, const char *name, struct json_text field, struct buf *out)
{
	(void)buf_str(out, name);
	if (json_type(field) == JSON_NONE || json_is(field, ""))
		return out->error;
	if (json_type(field) != JSON_STRING)
		return wrong(p, name, "is no name for \"field\"", field);
	(void)buf_str(out, ".");
	return json_plain(field, out);
}

static int add_bounds(struct parse *p, struct clause *c, const struct typed *t)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 4; i++) {
		if (json_type(t->bound[i]) == JSON_NONE)
			continue;
		if (c->test != TEST_RANGE) {
			why_set(p->why, "\"%s\": gt, gte, lt and lte are for \"type\" \"range\"",
				c->path);
			return -EBADMSG;
		}
		r = add_value(p, c, t->bound[i], (enum bound)i);
	}
	return r;
}

static int set_test(struct parse *p, const char *name, const struct typed *t, struct clause *c)
{
	static const char *const type[] = {"match",  "match_phrase", "term",  "terms", "all",
					   "prefix", "wildcard",     "range", "exists"};
	static const enum test test[] = {TEST_WORDS, TEST_PHRASE, TEST_EQUAL,
					 TEST_EQUAL, TEST_EQUAL,  TEST_PREFIX,
					 TEST_GLOB,  TEST_RANGE,  TEST_EXISTS};
	static const char *const boolean[] = {"must", "filter", "should", "must_not"};
	static const enum want want[] = {WANT_MUST, WANT_MUST, WANT_SHOULD, WANT_NOT};
	static const char *const operator[] = {"or", "and"};
	int r = choice(
		p, name, t->type, type, ARRAY_LEN(type),
		"is no type: match, match_phrase, term, terms, all, prefix, wildcard, range, exists");

	if (r < 0)
		return r;
	c->test = test[r];
	c->all = strcmp(type[r], "all") == 0;
	if (json_type(t->boolean) != JSON_NONE) {
		r = choice(p, name, t->boolean, boolean, ARRAY_LEN(boolean),
			   "is no \"bool\": must, filter, should, must_not");
		c->want = r < 0 ? WANT_MUST : want[r];
	}
	if (r >= 0 && json_type(t->operator) != JSON_NONE) {
		r = choice(p, name, t->operator, operator, ARRAY_LEN(operator),
			   "is no \"operator\": or, and");
		c->all = r == 1;
	}
	return r < 0 ? r : 0;
}

static int typed(struct parse *p, const char *name, struct json_text v)
{
	CLEANUP(buf_done) struct buf full = BUF(QUERY_BYTES);
	struct typed t = {0};
	struct clause *c;
	int r = read_typed(p, name, v, &t);

	if (r < 0)
		return r;
	if (json_type(t.type) == JSON_NONE) {
		why_set(p->why, "\"%s\" has no \"type\"", name);
		return -EBADMSG;
	}
	if (json_is(t.type, "")) /* a line of a form that was left empty */
		return 0;
	r = full_name(p, name, t.field, &full);
	if (r == 0)
		r = clause_new(p->q, full.data, false, &c, p->why);
	if (r == 0)
		r = set_test(p, name, &t, c);
	if (r == 0)
		r = add_bounds(p, c, &t);
	if (r == 0 && c->test != TEST_RANGE && c->test != TEST_EXISTS &&
	    json_type(t.query) != JSON_NONE)
		r = add_values(p, c, t.query);
	return r < 0 ? r : clause_end(p->q, c, p->why);
}

static int parse_all(struct parse *p, const char *text, size_t len)
{
	struct json_text object, key, v;
	int r = 0;

	if (len > QUERY_BYTES) {
		why_set(p->why, "is longer than %d KiB", QUERY_BYTES / 1024);
		return -EBADMSG;
	}
	r = json_read(text, len, &object, p->why);
	if (r < 0)
		return r;
	for (struct json_text rest = json_inside(object); r == 0 && json_next(&rest, &key, &v);) {
		CLEANUP(buf_done) struct buf name = BUF(QUERY_BYTES);

		r = json_plain(key, &name);
		if (r == 0)
			r = json_type(v) == JSON_OBJECT ? typed(p, name.data, v)
							: plain(p, name.data, v);
	}
	return r;
}

int query_parse(const char *text, size_t len, struct query **ret, char why[WHY_MAX])
{
	struct parse p = {.why = why};
	int r = query_new(&p.q);

	if (r == 0)
		r = parse_all(&p, text, len);
	if (r < 0) {
		(void)query_free(p.q);
		return r;
	}
	query_end(p.q);
	*ret = p.q;
	return 0;
}
