/* elastic.h - what the two ways of talking to Elasticsearch share. */
#pragma once

#include "member.h"
#include "shutterfs/codec.h"
#include "shutterfs/config.h"
#include "shutterfs/exchange.h"
#include "shutterfs/net.h"

struct elastic; /* one index; for one thread */
int elastic_new(const struct elastic_config *conf, struct elastic **ret) MUST_CHECK;
struct elastic *elastic_free(struct elastic *e); /* NULL in, NULL out */
/* What the ledger knows it by: "https://host:9200/index". */
int elastic_target(const struct elastic *e, struct buf *out) MUST_CHECK;

struct ask {
	const char *method;
	bool index;       /* the path is below the index */
	const char *path; /* "/_search" */
	const char *body; /* JSON, or NDJSON; NULL: none */
	bool lines;
};
/* The answer's body in place of what `out` had, at most its max (-EFBIG). A busy server and a lost connection are tried again; on
 * failure c->why says what happened. */
int elastic_ask(struct elastic *e, struct call *c, const struct ask *q, struct buf *out) MUST_CHECK;
