/* private.h - a compiled query: what the files of this room share. */
#pragma once

#include <locale.h>

#include "shutterfs/query.h"

enum field {
	FIELD_DOCUMENT, /* `path` into a label document */
	FIELD_IMG_ID,
	FIELD_STEM,
	FIELD_CAMERA,
	FIELD_GROUP,
	FIELD_TAKEN,
	FIELD_SIZE,
	FIELD_WIDTH,
	FIELD_HEIGHT,
	FIELD_SHA256,
	FIELD_STARRED,
	FIELD_COMMENT,
	FIELD_RATING,
	FIELD_LABEL,
	FIELD_CREATED_BY, /* of a label or a document */
	FIELD_TEXT,       /* all texts of the picture and a document */
};
enum sort { SORT_NAME, SORT_NUMBER, SORT_BOOL, SORT_TIME, SORT_TEXT, SORT_LABEL };
struct field_row {
	const char *name;
	enum field field;
	enum sort sort;
};
const struct field_row *field_find(const char *name); /* NULL: not a fact of a picture */

enum want { WANT_MUST, WANT_SHOULD, WANT_NOT };
enum test {
	TEST_EQUAL, /* one of the values; `all`: each of them */
	TEST_WORDS, /* one word of one of the values; `all`: each of its words */
	TEST_PHRASE,
	TEST_PREFIX,
	TEST_GLOB,
	TEST_RANGE, /* within every bound */
	TEST_EXISTS
};
enum bound { BOUND_GT, BOUND_GTE, BOUND_LT, BOUND_LTE };

struct value {
	enum json_type type;
	char *text; /* owned; a string's text, else the JSON */
	size_t len;
	bool numeric; /* the text reads as a number */
	long double number;
	enum bound bound; /* TEST_RANGE */
	char *words;      /* owned; TEST_WORDS, TEST_PHRASE: its normal form */
	bool is_day;      /* SORT_TIME: a date; else an instant */
	int64_t time;     /* day, or us */
	/* SORT_LABEL: as directories are named; either "" when any will do */
	char label_kind[LABEL_MAX + 1], label_value[LABEL_MAX + 1];
};

struct clause {
	enum field field;
	enum sort sort;
	char *path; /* owned; as it was written, without ".keyword" */
	enum want want;
	enum test test;
	bool all;
	struct value *value; /* owned */
	size_t n;
};

struct query {
	struct clause *clause; /* owned */
	size_t n, n_values;
	locale_t locale; /* of folding */
	bool needs_should, by_document;
};

/* ---- compile.c: clauses from fields, tests and values, whoever wrote them ---- */
int query_new(struct query **ret) MUST_CHECK;
/* A clause of that name; "x.keyword" is x, compared as a whole.  `plain`: only facts and dotted paths. */
int clause_new(struct query *q, const char *name, bool plain, struct clause **ret,
	       char why[WHY_MAX]) MUST_CHECK;
int clause_add(struct query *q, struct clause *c, enum json_type type, const char *text, size_t len,
	       enum bound bound, char why[WHY_MAX]) MUST_CHECK;
/* Checks it against its field, and prepares the values. */
int clause_end(struct query *q, struct clause *c, char why[WHY_MAX]) MUST_CHECK;
void query_end(struct query *q);

/* ---- fold.c ---- */
/* Appends the normal form of a text: its words in lower case, a blank before and behind each. */
int fold(locale_t locale, const char *text, size_t len, struct buf *out) MUST_CHECK;

/* ---- fits.c: one value of a picture against a clause ---- */
struct have {
	enum json_type type;
	const char *text; /* NUL-terminated */
	size_t len;
};
bool in_order(int order, enum bound bound); /* order: of a value to its bound */
bool text_number(const char *text, size_t len, long double *ret);
/* Whether this value fulfils value `i` of the clause (TEST_RANGE: all bounds, TEST_EXISTS: always; i is 0 then). */
bool have_fits(const struct query *q, const struct clause *c, size_t i, struct have h);
/* How many a clause asks for one by one. */
size_t clause_parts(const struct clause *c);
