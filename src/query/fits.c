/* fits.c - one value of a picture or a document against a clause. */
#include "private.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { FOLD_BYTES = 4 * SIDECAR_BYTES };

bool text_number(const char *text, size_t len, long double *ret)
{
	char copy[128], *end;
	long double n;

	if (len == 0 || len >= sizeof(copy) || strspn(text, "+-.0123456789eE") < len)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	n = strtold(copy, &end);
	if (*end)
		return false;
	*ret = n;
	return true;
}

/* Numbers are compared as numbers wherever one side says that it is one. */
static bool both_numbers(const struct value *v, struct have h, long double *ret)
{
	return v->numeric && (v->type == JSON_NUMBER || h.type == JSON_NUMBER) &&
	       text_number(h.text, h.len, ret);
}

static bool equal(const struct value *v, struct have h)
{
	long double n;

	if (both_numbers(v, h, &n))
		return n == v->number;
	return v->len == h.len && memcmp(v->text, h.text, h.len) == 0;
}

bool in_order(int order, enum bound bound)
{
	switch (bound) {
	case BOUND_GT:
		return order > 0;
	case BOUND_GTE:
		return order >= 0;
	case BOUND_LT:
		return order < 0;
	default:
		return order <= 0;
	}
}

static bool in_bound(const struct value *v, struct have h)
{
	long double n;

	if (both_numbers(v, h, &n))
		return in_order(n < v->number ? -1 : n > v->number, v->bound);
	return h.type == JSON_STRING && v->type == JSON_STRING &&
	       in_order(strcmp(h.text, v->text), v->bound);
}

static bool in_range(const struct clause *c, struct have h)
{
	for (size_t i = 0; i < c->n; i++)
		if (!in_bound(&c->value[i], h))
			return false;
	return true;
}

/* Both are normal forms: " one two ". */
static bool has_words(const struct buf *text, const char *words, bool all)
{
	const char *next;

	for (const char *w = words; (next = strchr(w + 1, ' ')); w = next)
		if ((memmem(text->data, text->len, w, (size_t)(next - w) + 1) != NULL) != all)
			return !all;
	return all;
}

static bool words_fit(const struct query *q, const struct clause *c, const struct value *v,
		      struct have h)
{
	CLEANUP(buf_done) struct buf text = BUF(FOLD_BYTES);
	long double n;

	if (both_numbers(v, h, &n))
		return n == v->number;
	if (fold(q->locale, h.text, h.len, &text) < 0)
		return false;
	return c->test == TEST_PHRASE ? strstr(text.data, v->words) != NULL
				      : has_words(&text, v->words, c->all);
}

/* kind/value as directories are named; what the clause leaves out may be anything. */
static bool label_fits(const struct value *v, struct have h)
{
	const char *slash = strchr(h.text, '/');
	size_t kind = slash ? (size_t)(slash - h.text) : 0;

	if (!slash)
		return false;
	return (!v->label_kind[0] ||
		(strlen(v->label_kind) == kind && memcmp(v->label_kind, h.text, kind) == 0)) &&
	       (!v->label_value[0] || strcmp(v->label_value, slash + 1) == 0);
}

bool have_fits(const struct query *q, const struct clause *c, size_t i, struct have h)
{
	const struct value *v = &c->value[i];

	if (h.type == JSON_NONE || h.type == JSON_NULL)
		return false;
	switch (c->test) {
	case TEST_EXISTS:
		return true;
	case TEST_RANGE:
		return in_range(c, h);
	case TEST_PREFIX:
		return h.len >= v->len && memcmp(h.text, v->text, v->len) == 0;
	case TEST_GLOB:
		return fnmatch(v->text, h.text, 0) == 0;
	case TEST_EQUAL:
		return c->sort == SORT_LABEL ? label_fits(v, h) : equal(v, h);
	default:
		return words_fit(q, c, v, h);
	}
}

size_t clause_parts(const struct clause *c)
{
	return c->test == TEST_RANGE || c->test == TEST_EXISTS ? 1 : c->n;
}
