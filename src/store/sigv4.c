/* AWS Signature Version 4: canonical request, string to sign, signing key, Authorization header. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "shutterfs/codec.h"
#include "sigv4.h"

enum { REQUEST_MAX = 64 * 1024, FIELD_MAX = 16 * 1024 };

void sigv4_date(int64_t us, char out[SIGV4_DATE])
{
	time_t sec = us / 1000000;
	struct tm tm;

	if (!gmtime_r(&sec, &tm) || strftime(out, SIGV4_DATE, "%Y%m%dT%H%M%SZ", &tm) == 0)
		memcpy(out, "19700101T000000Z", SIGV4_DATE);
}

static bool is_unreserved(unsigned char c)
{
	/* not isalnum(): that one asks the locale */
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~", c));
}

int sigv4_escape(const char *text, bool keep_slash, struct buf *out)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (is_unreserved(c) || (keep_slash && c == '/'))
			buf_add(out, p, 1);
		else
			buf_printf(out, "%%%02X", c);
	}
	return out->error;
}

static int compare_fields(const void *a, const void *b)
{
	const struct sigv4_field *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r != 0 ? r : strcmp(x->value, y->value);
}

/* A copy of `text`, encoded; the caller frees it. */
static int escaped(const char *text, char **ret)
{
	CLEANUP(buf_done) struct buf b = BUF(FIELD_MAX);
	int r = buf_str(&b, "");

	if (r == 0)
		r = sigv4_escape(text, false, &b);
	if (r < 0)
		return r;
	*ret = TAKE(b.data);
	return 0;
}

int sigv4_query(const struct sigv4_field *param, size_t n, struct buf *out)
{
	struct sigv4_field enc[SIGV4_FIELDS_MAX];
	char *copy[2 * SIGV4_FIELDS_MAX] = {NULL};
	int r = 0;

	if (n > SIGV4_FIELDS_MAX)
		return -E2BIG;
	/* AWS sorts the encoded names */
	for (size_t i = 0; i < n && r == 0; i++) {
		r = escaped(param[i].name, &copy[2 * i]);
		if (r == 0)
			r = escaped(param[i].value, &copy[2 * i + 1]);
		enc[i] = (struct sigv4_field){copy[2 * i], copy[2 * i + 1]};
	}
	if (r == 0) {
		qsort(enc, n, sizeof(enc[0]), compare_fields);
		for (size_t i = 0; i < n; i++)
			buf_printf(out, "%s%s=%s", i ? "&" : "", enc[i].name, enc[i].value);
		r = out->error;
	}
	for (size_t i = 0; i < 2 * n; i++)
		free(copy[i]);
	return r;
}

static int compare_headers(const void *a, const void *b)
{
	const struct sigv4_field *x = a, *y = b;

	return strcasecmp(x->name, y->name);
}

static void add_lower(struct buf *out, const char *name)
{
	for (const char *p = name; *p; p++) {
		char c = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);

		buf_add(out, &c, 1);
	}
}

/* Without blanks at both ends, inner runs of them as one. */
static void add_trimmed(struct buf *out, const char *value)
{
	bool pending = false, any = false;

	for (const char *p = value; *p; p++) {
		if (*p == ' ' || *p == '\t') {
			pending = any;
			continue;
		}
		if (pending)
			buf_add(out, " ", 1);
		buf_add(out, p, 1);
		pending = false;
		any = true;
	}
}

int sigv4_canonical(const struct sigv4_request *req, struct buf *out, struct buf *ret_signed)
{
	struct sigv4_field h[SIGV4_FIELDS_MAX];

	if (req->n_headers == 0 || req->n_headers > SIGV4_FIELDS_MAX)
		return -E2BIG;
	memcpy(h, req->header, req->n_headers * sizeof(h[0]));
	qsort(h, req->n_headers, sizeof(h[0]), compare_headers);
	buf_printf(out, "%s\n%s\n%s\n", req->method, req->path, req->query);
	for (size_t i = 0; i < req->n_headers; i++) {
		if (i > 0)
			buf_str(ret_signed, ";");
		add_lower(ret_signed, h[i].name);
		add_lower(out, h[i].name);
		buf_str(out, ":");
		add_trimmed(out, h[i].value);
		buf_str(out, "\n");
	}
	if (ret_signed->error < 0)
		return ret_signed->error;
	return buf_printf(out, "\n%s\n%s", ret_signed->data, req->payload_hash);
}

/* HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service), "aws4_request") */
static int signing_key(const struct sigv4_key *key, const char *day, uint8_t out[32])
{
	const char *step[] = {key->region, key->service, "aws4_request"};
	const char *secret = key->secret->text ? key->secret->text : "";
	CLEANUP(buf_done) struct buf first = BUF(FIELD_MAX);
	uint8_t next[32];
	int r;

	buf_str(&first, "AWS4");
	r = buf_str(&first, secret);
	if (r == 0) {
		hmac_sha256(first.data, first.len, day, 8, out);
		for (size_t i = 0; i < ARRAY_LEN(step); i++) {
			hmac_sha256(out, 32, step[i], strlen(step[i]), next);
			memcpy(out, next, sizeof(next));
		}
	}
	if (first.data)
		explicit_bzero(first.data, first.len);
	explicit_bzero(next, sizeof(next));
	return r;
}

int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *req, const char *date,
	       struct buf *out)
{
	CLEANUP(buf_done) struct buf canonical = BUF(REQUEST_MAX);
	CLEANUP(buf_done) struct buf names = BUF(FIELD_MAX);
	CLEANUP(buf_done) struct buf scope = BUF(FIELD_MAX);
	CLEANUP(buf_done) struct buf text = BUF(REQUEST_MAX);
	struct sha256 digest;
	uint8_t k[32], signature[32];
	char hex[SHA256_HEX];
	int r;

	r = sigv4_canonical(req, &canonical, &names);
	if (r == 0)
		r = sha256_of(canonical.data, canonical.len, &digest);
	if (r == 0)
		r = buf_printf(&scope, "%.8s/%s/%s/aws4_request", date, key->region, key->service);
	if (r < 0)
		return r;
	hex_encode(digest.b, sizeof(digest.b), hex);
	r = buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope.data, hex);
	if (r == 0)
		r = signing_key(key, date, k);
	if (r < 0)
		return r;
	hmac_sha256(k, sizeof(k), text.data, text.len, signature);
	explicit_bzero(k, sizeof(k));
	hex_encode(signature, sizeof(signature), hex);
	return buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
			  key->access->text ? key->access->text : "", scope.data, names.data, hex);
}
