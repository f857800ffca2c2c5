/* One signed request to a bucket: address, headers, signature. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3.h"

enum { LINES_MAX = 16, PATH_LIMIT = 8 * 1024, URL_LIMIT = 32 * 1024 };

/* ---- where the bucket is ---- */

static bool is_address(const char *host)
{
	struct in_addr v4;

	return host[0] == '[' || inet_pton(AF_INET, host, &v4) == 1;
}

/* May the bucket's name stand before the host's?  Not when it has dots (no certificate fits) or upper case. */
static bool bucket_is_label(const char *bucket)
{
	size_t n = strlen(bucket);

	if (n < 3 || n > 63 || bucket[0] == '-' || bucket[n - 1] == '-')
		return false;
	return strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static bool use_path_style(const struct s3 *s, const struct url *u)
{
	if (s->conf->has_path_style)
		return s->conf->path_style;
	return is_address(u->host) || strcmp(u->host, "localhost") == 0 ||
	       !bucket_is_label(s->conf->bucket);
}

static int endpoint_of(const struct s3 *s, struct buf *out)
{
	if (s->own_endpoint)
		return buf_str(out, s->conf->endpoint);
	/* China is a world of its own there */
	return buf_printf(out, "https://s3.%s.amazonaws.com%s", s->region,
			  strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "");
}

static int parse_endpoint(const struct s3 *s, struct url *ret, struct buf *err)
{
	CLEANUP(buf_done) struct buf text = BUF(URL_LIMIT);
	int r = endpoint_of(s, &text);

	if (r < 0)
		return r;
	r = url_parse(text.data, ret);
	if (r < 0 || ret->has_userinfo || strchr(ret->path, '?')) {
		buf_printf(
			err,
			"store \"%s\": endpoint must be like https://s3.eu-west-1.amazonaws.com\n",
			s->conf->name);
		return -EINVAL;
	}
	return 0;
}

int s3_locate(struct s3 *s, struct buf *err)
{
	bool path_style;
	struct url u;
	size_t n;
	int r = parse_endpoint(s, &u, err);

	if (r < 0)
		return r;
	path_style = use_path_style(s, &u);
	buf_printf(&s->host, "%s%s%s", path_style ? "" : s->conf->bucket, path_style ? "" : ".",
		   u.host);
	/* as libcurl writes it: the scheme's own port is left out */
	if (u.port != (strcmp(u.scheme, "https") == 0 ? 443 : 80))
		buf_printf(&s->host, ":%u", u.port);
	if (s->host.error < 0)
		return s->host.error;
	r = buf_printf(&s->origin, "%s://%s", u.scheme, s->host.data);
	for (n = strlen(u.path); n > 0 && u.path[n - 1] == '/';)
		n--;
	buf_add(&s->base, u.path, n);
	if (path_style) {
		buf_str(&s->base, "/");
		if (sigv4_escape(s->conf->bucket, false, &s->base) < 0)
			return s->base.error;
	}
	return r < 0 ? r : s->base.error;
}

/* ---- headers ---- */

/* The same headers twice: as they are signed and as they are sent. */
struct headers {
	struct sigv4_field field[LINES_MAX];
	char *line[LINES_MAX]; /* "name: value" of the field of that number; NULL: signed only */
	size_t n;
};

static void headers_done(struct headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->line[i])
			explicit_bzero(h->line[i], strlen(h->line[i]));
		free(h->line[i]);
	}
}

static int headers_add(struct headers *h, const char *name, const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return -EINVAL;
	if (h->n == LINES_MAX)
		return -E2BIG;
	if (asprintf(&h->line[h->n], "%s: %s", name, value) < 0) {
		h->line[h->n] = NULL;
		return -ENOMEM;
	}
	h->field[h->n] = (struct sigv4_field){name, h->line[h->n] + strlen(name) + 2};
	h->n++;
	return 0;
}

static int add_object_headers(struct headers *h, const struct s3_request *req, const char *hash)
{
	int r = headers_add(h, "content-type", req->mime ? req->mime : "application/octet-stream");

	if (r == 0)
		r = headers_add(h, "x-amz-meta-sha256", hash);
	if (r == 0 && req->meta && req->meta->img_id[0])
		r = headers_add(h, "x-amz-meta-img-id", req->meta->img_id);
	if (r == 0 && req->meta && req->meta->camera[0])
		r = headers_add(h, "x-amz-meta-camera", req->meta->camera);
	return r;
}

static int fill_headers(const struct s3 *s, const struct s3_request *req, const char *date,
			const char *hash, struct headers *h)
{
	const char *token = s->conf->session_token.text;
	int r;

	h->field[h->n++] = (struct sigv4_field){"host", s->host.data};
	r = headers_add(h, "x-amz-content-sha256", hash);
	if (r == 0)
		r = headers_add(h, "x-amz-date", date);
	if (r == 0 && token && token[0])
		r = headers_add(h, "x-amz-security-token", token);
	if (r == 0 && req->sha)
		r = add_object_headers(h, req, hash);
	return r;
}

static int add_signature(const struct s3 *s, const struct s3_request *req, const char *path,
			 const char *query, const char *date, const char *hash, struct headers *h)
{
	CLEANUP(buf_done) struct buf value = BUF(URL_LIMIT);
	const struct sigv4_key key = {
		.region = s->region,
		.service = "s3",
		.access = &s->conf->access_key,
		.secret = &s->conf->secret_key,
	};
	const struct sigv4_request to_sign = {
		.method = req->method,
		.path = path,
		.query = query,
		.header = h->field,
		.n_headers = h->n,
		.payload_hash = hash,
	};
	int r = sigv4_sign(&key, &to_sign, date, &value);

	return r < 0 ? r : headers_add(h, "authorization", value.data);
}

/* ---- the request ---- */

static int object_path(const struct s3 *s, const char *key, struct buf *out)
{
	if (s->base.len > 0)
		buf_str(out, s->base.data);
	if (!key)
		return s->base.len > 0 ? out->error : buf_str(out, "/");
	buf_str(out, "/");
	return sigv4_escape(key, true, out);
}

int s3_send(struct s3 *s, struct call *c, const struct s3_request *req, http_sink *sink, void *user,
	    struct http_answer *ret)
{
	static const struct sha256 empty = {{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
					     0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
					     0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c,
					     0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}};
	CLEANUP(buf_done) struct buf path = BUF(PATH_LIMIT);
	CLEANUP(buf_done) struct buf query = BUF(URL_LIMIT);
	CLEANUP(buf_done) struct buf url = BUF(URL_LIMIT);
	CLEANUP(headers_done) struct headers h = {0};
	struct http_request http = {
		.method = req->method, .max_body = req->max_body, .keep_redirects = true};
	char date[SIGV4_DATE], hash[SHA256_HEX];
	size_t n = 0;
	int r;

	sigv4_date(now_us(), date);
	hex_encode(req->sha ? req->sha->b : empty.b, sizeof(empty.b), hash);
	buf_str(&query, "");
	r = sigv4_query(req->param, req->n_params, &query);
	if (r == 0)
		r = object_path(s, req->key, &path);
	if (r == 0)
		r = fill_headers(s, req, date, hash, &h);
	if (r == 0)
		r = add_signature(s, req, path.data, query.data, date, hash, &h);
	if (r == 0)
		r = buf_printf(&url, "%s%s%s%s", s->origin.data, path.data, query.len ? "?" : "",
			       query.data);
	if (r < 0)
		return r;
	http.url = url.data;
	http.body_fd = req->body_fd;
	http.body_len = req->body_len;
	for (size_t i = 0; i < h.n; i++)
		if (h.line[i])
			http.header[n++] = h.line[i];
	return http_do(s->http, c, &http, sink, user, ret);
}
