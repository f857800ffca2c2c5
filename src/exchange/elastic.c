/* elastic.c - one index on one Elasticsearch server: requests with their credentials, tried again while it is busy, and its answers
 * taken apart. */
#include "elastic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US INT64_C(1000000)
enum { TRIES = 5, URL_MAX_BYTES = 4096 };

struct elastic {
	const struct elastic_config *conf; /* borrowed */
	struct http *http;
	struct secret authorization; /* the whole header line */
};

/* ---- credentials ---- */

static void base64(const char *text, size_t len, struct buf *out)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		unsigned n = 0;
		char four[4];

		for (size_t k = 0; k < 3; k++)
			n = n << 8 | (i + k < len ? (unsigned char)text[i + k] : 0);
		for (int k = 0; k < 4; k++)
			four[k] = i + (size_t)k > len ? '=' : digit[n >> (18 - 6 * k) & 63];
		(void)buf_add(out, four, 4);
	}
}

static void wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

static int authorize(struct elastic *e)
{
	CLEANUP(wipe) struct buf line = BUF(16384), pair = BUF(8192);

	if (e->conf->api_key.text) {
		(void)buf_printf(&line, "Authorization: ApiKey %s", e->conf->api_key.text);
	} else if (e->conf->user) {
		(void)buf_printf(&pair, "%s:%s", e->conf->user,
				 e->conf->password.text ? e->conf->password.text : "");
		(void)buf_str(&line, "Authorization: Basic ");
		if (!pair.error)
			base64(pair.data, pair.len, &line);
	}
	if (pair.error || line.error)
		return pair.error ? pair.error : line.error;
	return line.len ? secret_set(&e->authorization, line.data) : 0;
}

int elastic_new(const struct elastic_config *conf, struct elastic **ret)
{
	struct elastic *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->conf = conf;
	r = http_new(10 * SECOND_US, 60 * SECOND_US, &e->http);
	if (r == 0)
		r = authorize(e);
	if (r < 0) {
		(void)elastic_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

struct elastic *elastic_free(struct elastic *e)
{
	if (!e)
		return NULL;
	if (e->http)
		(void)http_free(e->http);
	secret_done(&e->authorization);
	free(e);
	return NULL;
}

int elastic_target(const struct elastic *e, struct buf *out)
{
	size_t n = strlen(e->conf->url);

	while (n > 0 && e->conf->url[n - 1] == '/')
		n--;
	return buf_printf(out, "%.*s/%s", (int)n, e->conf->url, e->conf->index);
}

/* ---- one request ---- */

/* What it says itself: {"error":{"reason":"..."}}. */
static void explain(const struct elastic *e, struct call *c, const struct http_answer *a, int r)
{
	CLEANUP(buf_done) struct buf reason = BUF(4096);
	CLEANUP(freep) char *error = NULL;
	char shown[512];

	url_redact(e->conf->url, shown, sizeof(shown));
	if (a->status >= 300)
		(void)!member_of(a->error_body, strlen(a->error_body), "error", &error);
	if (error && error[0] == '{')
		(void)!member_text(error, strlen(error), "reason", &reason);
	if (a->status == 401 || a->status == 403)
		call_why(
			c,
			"%s does not let us in (%ld): check user, password_file or api_key_file of "
			"[elastic \"%s\"]",
			shown, a->status, e->conf->name);
	else if (a->status == 404)
		call_why(c, "%s has no index \"%s\"", shown, e->conf->index);
	else if (reason.len)
		call_why(c, "%s: %.160s", shown, reason.data);
	else if (a->status >= 300)
		call_why(c, "%s answered with status %ld", shown, a->status);
	else if (!c->why[0])
		call_why(c, "%s: %s", shown, strerror(-r));
}

static int ask_once(struct elastic *e, struct call *c, const struct ask *q, const char *url,
		    struct buf *out, struct http_answer *a)
{
	struct http_request req = {
		.method = q->method,
		.url = url,
		.header = {"Accept: application/json",
			   q->lines ? "Content-Type: application/x-ndjson"
				    : "Content-Type: application/json"},
		.body = q->body ? q->body : "",
		.body_len = q->body ? strlen(q->body) : 0,
		.max_body = out->max,
	};

	if (!q->body)
		req.header[1] = NULL;
	if (e->authorization.text)
		req.header[q->body ? 2 : 1] = e->authorization.text;
	return http_do(e->http, c, &req, http_sink_buf, out, a);
}

int elastic_ask(struct elastic *e, struct call *c, const struct ask *q, struct buf *out)
{
	CLEANUP(buf_done) struct buf url = BUF(URL_MAX_BYTES);
	struct http_answer *a = calloc(1, sizeof(*a));
	size_t n = strlen(e->conf->url), max = out->max;
	int r = a ? 0 : -ENOMEM;

	while (n > 0 && e->conf->url[n - 1] == '/')
		n--;
	if (r == 0)
		r = buf_printf(&url, "%.*s%s%s%s", (int)n, e->conf->url, q->index ? "/" : "",
			       q->index ? e->conf->index : "", q->path);
	for (unsigned try = 1; r == 0; try++) {
		buf_done(out);
		*out = BUF(max);
		*a = (struct http_answer){0};
		c->retry_after_us = 0;
		r = ask_once(e, c, q, url.data, out, a);
		if (r == 0)
			break;
		if (!errno_is_transient(r) || try == TRIES) {
			explain(e, c, a, r);
			break;
		}
		r = retry_sleep(c,
				retry_pause_us(try, SECOND_US, 30 * SECOND_US, c->retry_after_us));
	}
	free(a);
	return r;
}
