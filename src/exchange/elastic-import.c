/* elastic-import.c - label documents out of an index: ids page by page (search_after within a point in time, so that there is no
 * limit of 10,000), and the documents of those that the ledger does not know. */
#include "elastic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, FETCH = 100, ID_BYTES = 512, PAGE_BYTES = 4 << 20, FETCH_BYTES = 64 << 20 };

struct page {
	char *id[PAGE];   /* owned */
	size_t n, listed; /* `listed`: with those that the ledger knows */
	char *after;      /* owned: the last one's sort values */
};

struct import {
	struct elastic *e;
	struct catalog *cat;
	struct call *call;
	struct exchange *x;
	struct buf target;
	struct page page;
	char why[WHY_MAX];
};

static void page_done(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->id[i]);
	free(p->after);
	*p = (struct page){0};
}

/* ---- a point in time ---- */

static int open_pit(struct import *im, struct buf *ret_id)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);
	const struct ask q = {.method = "POST", .index = true, .path = "/_pit?keep_alive=5m"};
	int r = elastic_ask(im->e, im->call, &q, &out);

	if (r == 0)
		r = member_text(out.data ? out.data : "", out.len, "id", ret_id);
	if (r == -EBADMSG || r == -ENOENT)
		call_why(im->call, "the server does not give points in time: Elasticsearch 7.10 or "
				   "later is needed");
	return r;
}

static void close_pit(struct import *im, const char *id)
{
	CLEANUP(buf_done) struct buf out = BUF(65536), body = BUF(65536);
	struct call c = {.deadline_us = mono_us() + 5000000};
	struct json j = {.out = &body};

	json_object(&j, NULL);
	json_string(&j, "id", id);
	json_end(&j, '}');
	/* it ends by itself, too */
	if (body.error ||
	    elastic_ask(im->e, &c,
			&(struct ask){.method = "DELETE", .path = "/_pit", .body = body.data},
			&out) < 0)
		return;
}

/* ---- ids ---- */

static int on_hit(void *user, const char *key, const char *raw, size_t len)
{
	struct import *im = user;
	CLEANUP(buf_done) struct buf id = BUF(ID_BYTES);
	CLEANUP(freep) char *sort = NULL;
	struct page *p = &im->page;
	int r = member_text(raw, len, "_id", &id);

	if (r == 0)
		r = member_of(raw, len, "sort", &sort);
	if (r < 0 || p->listed == PAGE)
		return r < 0 ? r : -EBADMSG;
	p->listed++;
	free(p->after);
	p->after = TAKE(sort);
	r = catalog_seen(im->cat, im->target.data, id.data);
	if (r == 1)
		im->x->known++;
	if (r != 0)
		return r < 0 ? r : 0;
	p->id[p->n++] = TAKE(id.data);
	return 0;
}

static int search_body(struct import *im, const char *pit, struct buf *out)
{
	struct json j = {.out = out};

	json_object(&j, NULL);
	json_int(&j, "size", PAGE);
	json_bool(&j, "_source", false);
	json_bool(&j, "track_total_hits", false);
	json_raw(&j, "sort", "[{\"_shard_doc\":\"asc\"}]");
	json_object(&j, "pit");
	json_string(&j, "id", pit);
	json_string(&j, "keep_alive", "5m");
	json_end(&j, '}');
	if (im->page.after)
		json_raw(&j, "search_after", im->page.after);
	json_end(&j, '}');
	return out->error;
}

/* The next page; `pit` may change from page to page. */
static int next_page(struct import *im, struct buf *pit)
{
	CLEANUP(buf_done) struct buf body = BUF(PAGE_BYTES), out = BUF(PAGE_BYTES);
	CLEANUP(freep) char *hits = NULL, *list = NULL, *id = NULL;
	char *after = NULL;
	int r = search_body(im, pit->data, &body);

	if (r == 0)
		r = elastic_ask(
			im->e, im->call,
			&(struct ask){.method = "POST", .path = "/_search", .body = body.data},
			&out);
	if (r < 0)
		return r;
	after = TAKE(im->page.after);
	page_done(&im->page);
	im->page.after = after;
	r = member_of(out.data ? out.data : "", out.len, "hits", &hits);
	if (r == 0)
		r = member_of(hits, strlen(hits), "hits", &list);
	if (r == 0)
		r = json_scan_array(list, strlen(list), on_hit, im, im->why);
	if (r == 0 && member_of(out.data, out.len, "pit_id", &id) == 0 && id[0] == '"') {
		pit->len = 0;
		r = json_decode(id, strlen(id), pit);
	}
	if (r == -EBADMSG || r == -ENOENT)
		call_why(im->call, "the server's answer to a search is not one of Elasticsearch");
	return r;
}

/* ---- documents ---- */

static int remember(struct import *im, const char *id, const char *fp1)
{
	/* it may have been kept there under another id */
	const char *known[] = {id, fp1};

	return catalog_seen_add(im->cat, im->target.data, known,
				fp1[0] && strcmp(fp1, id) != 0 ? 2 : 1);
}

static int on_document(void *user, const char *key, const char *raw, size_t len)
{
	struct import *im = user;
	CLEANUP(buf_done) struct buf id = BUF(ID_BYTES);
	CLEANUP(freep) char *source = NULL;
	enum taken taken = TAKEN_BAD;
	char fp1[33] = "", why[WHY_MAX] = "";
	int r = member_text(raw, len, "_id", &id);

	if (r < 0)
		return r;
	r = member_of(raw, len, "_source", &source);
	if (r == -ENOENT) /* gone since it was listed */
		return 0;
	if (r == 0)
		r = exchange_document(im->x, 0, NULL, source, strlen(source), &taken, fp1, why);
	if (r < 0)
		return r;
	exchange_count(im->x, id.data, taken, why);
	/* those that were not taken may be one day */
	return taken == TAKEN_UNKNOWN || taken == TAKEN_BAD ? 0 : remember(im, id.data, fp1);
}

static int ask_documents(struct import *im, char *const *id, size_t n, struct buf *out)
{
	CLEANUP(buf_done) struct buf body = BUF(PAGE_BYTES);
	struct json j = {.out = &body};

	json_object(&j, NULL);
	json_array(&j, "ids");
	for (size_t i = 0; i < n; i++)
		json_string(&j, NULL, id[i]);
	json_end(&j, ']');
	json_end(&j, '}');
	if (body.error)
		return body.error;
	return elastic_ask(
		im->e, im->call,
		&(struct ask){.method = "POST", .index = true, .path = "/_mget", .body = body.data},
		out);
}

/* One that cannot be read must not keep the others away: then by halves. */
static int take_documents(struct import *im, char *const *id, size_t n)
{
	CLEANUP(buf_done) struct buf out = BUF(FETCH_BYTES);
	CLEANUP(freep) char *docs = NULL;
	char why[WHY_MAX] = "";
	int r = ask_documents(im, id, n, &out);

	if (r == 0)
		r = json_scan(out.data ? out.data : "", out.len, NULL, NULL, why);
	if ((r == -EBADMSG || r == -EFBIG) && n > 1) {
		r = take_documents(im, id, n / 2);
		return r < 0 ? r : take_documents(im, id + n / 2, n - n / 2);
	}
	if (r == -EBADMSG || r == -EFBIG) {
		exchange_count(im->x, id[0], TAKEN_BAD, r == -EFBIG ? "is too large" : why);
		return 0;
	}
	if (r == 0)
		r = member_of(out.data, out.len, "docs", &docs);
	if (r == 0)
		r = json_scan_array(docs, strlen(docs), on_document, im, im->why);
	return r;
}

static int run(struct import *im, struct buf *pit)
{
	int r = 0;

	do {
		r = next_page(im, pit);
		for (size_t at = 0; r == 0 && at < im->page.n; at += FETCH)
			r = take_documents(im, im->page.id + at,
					   im->page.n - at < FETCH ? im->page.n - at : FETCH);
	} while (r == 0 && im->page.listed == PAGE);
	return r;
}

int exchange_elastic_import(struct exchange *x, const struct elastic_config *conf,
			    struct call *call)
{
	struct import *im = calloc(1, sizeof(*im));
	CLEANUP(buf_done) struct buf pit = BUF(65536);
	int r = im ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	*im = (struct import){.cat = x->cat, .call = call, .x = x, .target = BUF(8192)};
	r = elastic_new(conf, &im->e);
	if (r == 0)
		r = elastic_target(im->e, &im->target);
	if (r == 0)
		r = open_pit(im, &pit);
	if (r == 0) {
		r = run(im, &pit);
		close_pit(im, pit.data);
	}
	if (r < 0 && !call->why[0])
		call_why(call, "%s", im->why[0] ? im->why : strerror(-r));
	page_done(&im->page);
	buf_done(&im->target);
	(void)elastic_free(im->e);
	free(im);
	return r;
}
