/* words.c - a query as people type it: camera:front label:object/person taken>=2026-11-01 bicycle. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct op {
	const char *text;
	enum want want;
	enum test test;
	enum bound bound;
} ops[] = {
	/* longer ones before their beginnings */
	{"!=", WANT_NOT, TEST_WORDS, BOUND_GT},   {">=", WANT_MUST, TEST_RANGE, BOUND_GTE},
	{"<=", WANT_MUST, TEST_RANGE, BOUND_LTE}, {">", WANT_MUST, TEST_RANGE, BOUND_GT},
	{"<", WANT_MUST, TEST_RANGE, BOUND_LT},   {":", WANT_MUST, TEST_WORDS, BOUND_GT},
};

/* The operator behind a field's name; NULL: the word is a text. */
static const struct op *find_op(const char *at)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strncmp(at, ops[i].text, strlen(ops[i].text)) == 0)
			return &ops[i];
	return NULL;
}

static int add_word(struct query *q, const char *word, char why[WHY_MAX])
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	static const struct op none = {"", WANT_MUST, TEST_WORDS, BOUND_GT};
	size_t len = strspn(word, letters);
	const struct op *op = len ? find_op(word + len) : NULL;
	CLEANUP(freep) char *name = op ? strndup(word, len) : strdup("text");
	const char *value = op ? word + len + strlen(op->text) : word;
	struct clause *c;
	int r = name ? clause_new(q, name, true, &c, why) : -ENOMEM;

	if (r < 0)
		return r;
	op = op ? op : &none;
	c->want = op->want;
	c->test = op->test;
	c->all = true;
	r = clause_add(q, c, JSON_STRING, value, strlen(value), op->bound, why);
	return r < 0 ? r : clause_end(q, c, why);
}

/* What is typed has no type: a number is one wherever it is compared with one. */
int query_words(const char *const *word, size_t n, struct query **ret, char why[WHY_MAX])
{
	struct query *q = NULL;
	int r = query_new(&q);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_word(q, word[i], why);
	if (r < 0) {
		(void)query_free(q);
		return r;
	}
	query_end(q);
	*ret = q;
	return 0;
}
