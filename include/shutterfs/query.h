/* query.h - questions about pictures: query.json and the words of `shutterfs search`, compiled once and asked of the catalog.
 *
 * A query is a list of clauses.  The field of one is a fact of the picture (camera, label, taken, ...) or else a path into its
 * label documents (label.label_direction).  A picture matches when one of its documents makes all clauses true together (as it
 * is itself when it has none): each must, no must_not, and one should when there is no must.
 * Answers are as the catalog is at that moment, in the order of stems, without a limit; nothing is kept from one picture to the
 * next.  A compiled query does not change: threads may share it. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/codec.h"

#define QUERY_BYTES (64 * 1024) /* of its text */
#define QUERY_CLAUSES 256
#define QUERY_VALUES 1024 /* of all clauses together */

struct query;
/* shutterfs-query(5) has the grammar.  -EBADMSG with why: one sentence that names the place. */
int query_parse(const char *text, size_t len, struct query **ret, char why[WHY_MAX]) MUST_CHECK;
/* FIELD:VALUE, FIELD!=VALUE, FIELD>=VALUE (also > <= <), or a word that is to be found in the picture's texts. */
int query_words(const char *const *word, size_t n, struct query **ret, char why[WHY_MAX])
	MUST_CHECK;
struct query *query_free(struct query *q); /* NULL in, NULL out */

/* Whether one picture matches: 1, 0 or -errno. */
int query_match(const struct query *q, struct catalog *c, const struct snap *s) MUST_CHECK;
/* Every match whose stem comes after that of snapshot `after` (0: from the start; it may be gone or match no more).  It is driven
 * from the smallest view that holds them all, in pages: no transaction is open while `each` runs.  Non-zero from `each` ends it and
 * is returned; `stop` (or NULL) is asked now and then, also between matches: true ends it with -ECANCELED. */
typedef int query_fn(void *user, const struct snap *s);
typedef bool query_stop_fn(void *user);
int query_each(const struct query *q, struct catalog *c, int64_t after, query_stop_fn *stop,
	       query_fn *each, void *user) MUST_CHECK;

/* labels.json of all matches: an object of img_id: document, or an array of them where it has several; where it has none, its
 * sidecar.  duplicates.json: the arrays alone.  Given to `write` line by line, each with its
 * line break: an img_id has one. */
enum query_labels { QUERY_LABELS, QUERY_DUPLICATES };
typedef int query_write_fn(void *user, const void *data, size_t len);
int query_labels(const struct query *q, struct catalog *c, enum query_labels what,
		 query_stop_fn *stop, query_write_fn *write, void *user) MUST_CHECK;
