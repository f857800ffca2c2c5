/* query-targets.c - query.json, and the words of a search. */
#include "target.h"

#include "private.h"

#include <errno.h>
#include <string.h>

static int checked(int r, struct query *q, char why[TARGET_WHY])
{
	holds_line(why);
	HOLDS(r == 0 || (r == -EBADMSG && why[0] && strlen(why) < WHY_MAX));
	if (r < 0)
		return r;
	HOLDS(q->n <= QUERY_CLAUSES && q->n_values <= QUERY_VALUES);
	(void)snprintf(why, TARGET_WHY, "clauses %zu values %zu", q->n, q->n_values);
	for (size_t i = 0; i < q->n; i++) {
		const struct clause *c = &q->clause[i];
		struct have h = {JSON_STRING, c->path, strlen(c->path)};

		for (size_t k = 0; c->sort != SORT_TIME && k < clause_parts(c); k++)
			(void)have_fits(q, c, k, h);
	}
	(void)query_free(q);
	return r;
}

static int run_query(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct query *q = NULL;
	int r = query_parse((const char *)data, len, &q, why);

	return checked(r, q, why);
}

/* A word in a line. */
static int run_words(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	const char *word[64];
	struct query *q = NULL;
	char *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(text, "\n", &save); w && n < ARRAY_LEN(word);
	     w = strtok_r(NULL, "\n", &save))
		word[n++] = w;
	int r = query_words(word, n, &q, why);

	return checked(r, q, why);
}

const struct parser query_targets[] = {{"query", run_query}, {"query-words", run_words}, {0}};
