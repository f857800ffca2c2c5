/* http.c - the door's http_do: redirects by hand, and what a status means to a caller. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "transfer.h"

#define LOG_ROOM "net"
#define REDIRECTS_MAX 3

void url_where(const struct url *u, char *out, size_t size)
{
	if (u->port == (strcmp(u->scheme, "http") == 0 ? 80 : 443))
		(void)snprintf(out, size, "%s", u->host);
	else
		(void)snprintf(out, size, "%s:%u", u->host, u->port);
}

static bool same_origin(const struct url *a, const struct url *b)
{
	return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 &&
	       strcmp(a->host, b->host) == 0;
}

static bool asks_for_a_part(const struct http_request *req)
{
	for (size_t i = 0; i < HTTP_HEADERS_MAX && req->header[i]; i++) {
		if (strncasecmp(req->header[i], "Range:", 6) == 0)
			return true;
	}
	return false;
}

/* ---- what a status means ---- */
static int status_errno(const struct http_request *req, long status)
{
	switch (status) {
	case 206: /* a part that nobody asked for would be taken for the whole */
		return asks_for_a_part(req) ? 0 : -EPROTO;
	case 404:
	case 410:
		return -ENOENT;
	case 401:
	case 403:
		return -EACCES;
	case 429:
	case 503:
		return -EAGAIN;
	default:
		if (status >= 200 && status < 300)
			return 0;
		return status < 400 ? -EPROTO : -EIO;
	}
}

static int judge(struct transfer *t, const char *where)
{
	struct call *c = t->call;
	long status = t->answer.out->status;
	int r = status_errno(t->req, status);

	switch (-r) {
	case 0:
		break;
	case ENOENT:
		call_why(c, "%s has nothing at that address (status %ld)", where, status);
		break;
	case EACCES:
		if (t->foreign)
			call_why(
				c,
				"redirected to %s, which wants a login (status %ld) and never gets the one of the "
				"first address; configure that address itself",
				where, status);
		else
			call_why(c, "%s refused access (status %ld); check user and password",
				 where, status);
		break;
	case EAGAIN:
		c->retry_after_us = t->answer.retry_after_us;
		call_why(c, "%s is too busy (status %ld)", where, status);
		break;
	case EPROTO:
		if (t->answer.out->location[0])
			call_why(c, "%s redirects to another address (status %ld)", where, status);
		else
			call_why(c, "%s answered with status %ld, which is of no use here", where,
				 status);
		break;
	default:
		call_why(c, "%s answered with error status %ld", where, status);
		break;
	}
	return r;
}

/* ---- redirects ---- */
static bool wants_redirect(const struct http_request *req, const struct http_answer *a)
{
	if (req->keep_redirects || !a->location[0])
		return false;
	if (strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0)
		return false;
	return a->status == 301 || a->status == 302 || a->status == 303 || a->status == 307 ||
	       a->status == 308;
}

/* `location` as seen from `base`, user info removed; owned by the caller. */
static int resolve(const char *base, const char *location, char **ret)
{
	CURLU *u = curl_url();
	char *text = NULL;
	int r = -EPROTO;

	if (!u)
		return -ENOMEM;
	if (curl_url_set(u, CURLUPART_URL, base, CURLU_PATH_AS_IS) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, location, CURLU_URLENCODE) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK) {
		*ret = strdup(text);
		r = *ret ? 0 : -ENOMEM;
	}
	curl_free(text);
	curl_url_cleanup(u);
	return r;
}

/* Prepares `t` for the next address. */
static int redirect(struct transfer *t, const struct url *origin, char **url)
{
	struct call *c = t->call;
	CLEANUP(freep) char *next = NULL;
	struct url from, to;
	char where[300];
	int r;

	url_where(origin, where, sizeof(where));
	r = resolve(*url, t->answer.out->location, &next);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || url_parse(next, &to) < 0 || url_parse(*url, &from) < 0) {
		call_why(c, "%s redirects to something that is not an http or https address",
			 where);
		return -EPROTO;
	}
	if (strcmp(from.scheme, "https") == 0 && strcmp(to.scheme, "http") == 0) {
		call_why(c, "%s redirects from https to http, which is not followed", where);
		return -EPROTO;
	}
	/* once away, nothing brings the credentials back */
	t->foreign = t->foreign || !same_origin(origin, &to);
	t->public_only = t->public_only || strcmp(origin->host, to.host) != 0;
	free(*url);
	*url = TAKE(next);
	return 0;
}

/* ---- the door ---- */
static int one_hop(struct http *h, struct transfer *t, const char *url)
{
	struct transfer fresh = {.call = t->call,
				 .req = t->req,
				 .url = url,
				 .foreign = t->foreign,
				 .public_only = t->public_only,
				 .sink = t->sink,
				 .user = t->user,
				 .answer = {.out = t->answer.out}};
	struct handle *handle;
	int r;

	*t = fresh;
	*t->answer.out = (struct http_answer){0};
	r = handle_get(h, &handle);
	if (r < 0)
		return r;
	r = transfer_run(h, handle, t);
	handle_put(h, handle);
	return r;
}

static int follow(struct http *h, struct transfer *t, const struct url *origin, char **url)
{
	struct url u;
	char where[300];
	int r;

	for (unsigned n = 0;; n++) {
		r = one_hop(h, t, *url);
		if (r < 0)
			return r;
		if (!wants_redirect(t->req, t->answer.out))
			break;
		if (n == REDIRECTS_MAX) {
			url_where(origin, where, sizeof(where));
			call_why(t->call, "%s redirects in a circle", where);
			return -EPROTO;
		}
		r = redirect(t, origin, url);
		if (r < 0)
			return r;
	}
	url_where(url_parse(*url, &u) == 0 ? &u : origin, where, sizeof(where));
	return judge(t, where);
}

int http_do(struct http *h, struct call *c, const struct http_request *req, http_sink *sink,
	    void *user, struct http_answer *ret)
{
	struct transfer t = {
		.call = c, .req = req, .sink = sink, .user = user, .answer = {.out = ret}};
	CLEANUP(freep) char *url = strdup(req->url);
	int64_t start = mono_us();
	struct url origin;
	char shown[512];
	int r;

	if (!url)
		return -ENOMEM;
	c->retry_after_us = 0;
	if (url_parse(url, &origin) < 0 || origin.has_userinfo) {
		call_why(c, "not an http or https address without user info");
		return -EINVAL;
	}
	if (c->cancel && atomic_load(c->cancel))
		return -ECANCELED;
	if (c->deadline_us && start >= c->deadline_us) {
		call_why(c, "no time was left to ask");
		return -ETIMEDOUT;
	}
	r = follow(h, &t, &origin, &url);
	url_redact(req->url, shown, sizeof(shown));
	log_debug("%s %s status=%ld bytes=%llu ms=%lld result=%d", req->method, shown, ret->status,
		  (unsigned long long)ret->length, (long long)(mono_us() - start) / 1000, r);
	return r;
}

int http_sink_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}
