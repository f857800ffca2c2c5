/* elastic-export.c - label documents into an index: _bulk, with the fingerprint as id and op_type create, so that nothing there is
 * overwritten; what the ledger knows is not sent. */
#include "elastic.h"
#include "write.h"

#include "shutterfs/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 500, BATCH_BYTES = 8 << 20, BODY_BYTES = 16 << 20 };

struct batch {
	char *id[BATCH]; /* owned */
	size_t n;
	struct buf body;
};

struct export
{
	struct elastic *e;
	struct catalog *cat;
	struct call *call;
	struct exchange *x;
	struct buf target;
	struct batch batch;
	size_t item; /* of the answer, while it is read */
};

static void batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->id[i]);
	b->n = 0;
	buf_done(&b->body);
	b->body = BUF(BODY_BYTES);
}

/* ---- the answer: an item for each line, in order ---- */

static int refused(struct export *x, const char *item, size_t len, const char *id)
{
	CLEANUP(freep) char *error = NULL;
	CLEANUP(buf_done) struct buf reason = BUF(65536);
	char why[WHY_MAX];

	if (member_of(item, len, "error", &error) == 0 && error[0] == '{')
		(void)!member_text(error, strlen(error), "reason", &reason);
	(void)snprintf(why, sizeof(why), "the index refuses it: %.100s",
		       reason.len ? reason.data : "it does not say why");
	exchange_count(x->x, id, TAKEN_BAD, why);
	return 0;
}

/* {"create":{"_id":...,"status":201}} */
static int on_create(void *user, const char *key, const char *raw, size_t len)
{
	struct export *x = user;
	CLEANUP(freep) char *status = NULL;
	const char *id = x->batch.id[x->item];
	int r = member_of(raw, len, "status", &status);
	long code = r == 0 ? strtol(status, NULL, 10) : 0;

	if (r < 0)
		return r;
	if (code == 201 || code == 200)
		x->x->sent++;
	else if (code == 409) /* it is there: by who knows whom */
		x->x->known++;
	else if (code == 429 || code >= 500)
		return -EAGAIN;
	else
		return refused(x, raw, len, id);
	return catalog_seen_add(x->cat, x->target.data, &id, 1);
}

static int on_item(void *user, const char *key, const char *raw, size_t len)
{
	struct export *x = user;
	char why[WHY_MAX];
	int r = x->item < x->batch.n ? json_scan(raw, len, on_create, x, why) : -EBADMSG;

	x->item++;
	return r;
}

static int send_batch(struct export *x)
{
	CLEANUP(buf_done) struct buf out = BUF(BODY_BYTES);
	CLEANUP(freep) char *items = NULL;
	char why[WHY_MAX];
	int r;

	if (x->batch.n == 0)
		return 0;
	if (x->batch.body.error)
		return x->batch.body.error;
	r = elastic_ask(x->e, x->call,
			&(struct ask){.method = "POST",
				      .index = true,
				      .path = "/_bulk?filter_path=items.*._id,items.*.status,items."
					      "*.error.reason",
				      .body = x->batch.body.data,
				      .lines = true},
			&out);
	if (r < 0)
		return r;
	x->item = 0;
	r = member_of(out.data ? out.data : "", out.len, "items", &items);
	if (r == 0)
		r = json_scan_array(items, strlen(items), on_item, x, why);
	if (r == 0 && x->item != x->batch.n)
		r = -EBADMSG;
	if (r == -EBADMSG || r == -ENOENT)
		call_why(x->call, "the server's answer to _bulk is not one of Elasticsearch");
	if (r == -EAGAIN)
		call_why(x->call, "the index is too busy to take everything; run it again later");
	batch_clear(&x->batch);
	return r;
}

/* ---- documents ---- */

/* On one line: line ends can stand between its words only. */
static int add_body(struct buf *out, const char *body)
{
	size_t at = out->len;

	if (buf_str(out, body) < 0 || buf_str(out, "\n") < 0)
		return out->error;
	for (; at + 1 < out->len; at++)
		if (out->data[at] == '\n' || out->data[at] == '\r')
			out->data[at] = ' ';
	return 0;
}

static int add_document(void *user, const char *fp1, const char *body)
{
	struct export *x = user;
	struct batch *b = &x->batch;
	int r = catalog_seen(x->cat, x->target.data, fp1);

	if (r == 1)
		x->x->known++;
	if (r != 0)
		return r < 0 ? r : 0;
	b->id[b->n] = strdup(fp1);
	if (!b->id[b->n])
		return -ENOMEM;
	b->n++;
	(void)buf_printf(&b->body, "{\"create\":{\"_id\":\"%s\"}}\n", fp1);
	r = add_body(&b->body, body);
	return r < 0 || (b->n < BATCH && b->body.len < BATCH_BYTES) ? r : send_batch(x);
}

static int on_picture(void *user, const struct snap *s)
{
	struct export *x = user;

	return each_document(x->cat, s->id, add_document, x);
}

static bool is_cancelled(void *user)
{
	const struct export *x = user;

	return x->call->cancel && *x->call->cancel;
}

int exchange_elastic_export(struct exchange *to, const struct elastic_config *conf,
			    const struct query *q, struct call *call)
{
	struct export *x = calloc(1, sizeof(*x));
	int r = x ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	*x = (struct export){.cat = to->cat, .call = call, .x = to, .target = BUF(8192)};
	batch_clear(&x->batch);
	r = elastic_new(conf, &x->e);
	if (r == 0)
		r = elastic_target(x->e, &x->target);
	if (r == 0)
		r = query_each(q, to->cat, 0, is_cancelled, on_picture, x);
	if (r == 0)
		r = send_batch(x);
	if (r < 0 && !call->why[0])
		call_why(call, "%s", strerror(-r));
	batch_clear(&x->batch);
	buf_done(&x->target);
	(void)elastic_free(x->e);
	free(x);
	return r;
}
