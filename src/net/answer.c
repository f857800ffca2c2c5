/* answer.c - reads the header lines of an HTTP answer.  Everything here was written by the far side: lengths are
 * checked before a value is kept, and a value that does not fit is dropped where half of it would be wrong. */
#include "answer.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADER_BYTES_MAX (64u * 1024)
#define HEADER_LINES_MAX 256
#define DATE_MAX_S INT64_C(253402300799) /* the end of the year 9999 */
#define RETRY_AFTER_MAX_US (24 * 3600 * INT64_C(1000000))

struct value {
	const char *text; /* not NUL-terminated */
	size_t len;
};

/* Control bytes would reach logs and xattrs: they become '?'. */
static void keep(char *out, size_t size, struct value v, bool cut)
{
	if (out[0] || (v.len >= size && !cut))
		return;
	if (v.len >= size)
		v.len = size - 1;
	for (size_t i = 0; i < v.len; i++)
		out[i] = iscntrl((unsigned char)v.text[i]) ? '?' : v.text[i];
	out[v.len] = '\0';
}

static int parse_number(struct value v, uint64_t *ret)
{
	uint64_t n = 0;

	if (v.len == 0 || v.len > 18)
		return -EPROTO;
	for (size_t i = 0; i < v.len; i++) {
		if (v.text[i] < '0' || v.text[i] > '9')
			return -EPROTO;
		n = n * 10 + (uint64_t)(v.text[i] - '0');
	}
	*ret = n;
	return 0;
}

/* Seconds since 1970 of an HTTP date; -1: not one, or one that no calendar here has. */
static int64_t parse_date(struct value v)
{
	char text[64] = "";
	int64_t date;

	keep(text, sizeof(text), v, false);
	date = text[0] ? (int64_t)curl_getdate(text, NULL) : -1;
	return date > DATE_MAX_S ? -1 : date;
}

static int take_length(struct answer *a, struct value v)
{
	uint64_t n;
	int r = parse_number(v, &n);

	if (r < 0)
		return r;
	if (a->out->has_length && a->out->content_length != n)
		return -EPROTO;
	a->out->content_length = n;
	a->out->has_length = true;
	return 0;
}

static void take_etag(struct answer *a, struct value v)
{
	char text[sizeof(a->out->etag) + 2];
	size_t n = 0;

	for (size_t i = 0; i < v.len && n < sizeof(text); i++) {
		if (v.text[i] != '"')
			text[n++] = v.text[i];
	}
	keep(a->out->etag, sizeof(a->out->etag), (struct value){text, n}, false);
}

static void take_retry_after(struct answer *a, struct value v)
{
	uint64_t seconds;
	int64_t us;

	if (parse_number(v, &seconds) == 0) {
		us = seconds > 24 * 3600 ? RETRY_AFTER_MAX_US : (int64_t)seconds * 1000000;
	} else {
		int64_t date = parse_date(v);

		if (date < 0)
			return;
		us = date * 1000000 - now_us();
	}
	if (us < 0)
		us = 0;
	a->retry_after_us = us > RETRY_AFTER_MAX_US ? RETRY_AFTER_MAX_US : us;
}

static void take_meta(struct answer *a, struct value name, struct value v)
{
	struct http_answer *out = a->out;
	size_t n = out->n_meta;

	if (n == HTTP_META_MAX || name.len == 0 || name.len >= sizeof(out->meta[n].name) ||
	    v.len >= sizeof(out->meta[n].value))
		return;
	keep(out->meta[n].name, sizeof(out->meta[n].name), name, false);
	keep(out->meta[n].value, sizeof(out->meta[n].value), v, false);
	for (char *p = out->meta[n].name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	out->n_meta++;
}

static bool named(struct value name, const char *wanted)
{
	return name.len == strlen(wanted) && strncasecmp(name.text, wanted, name.len) == 0;
}

static int take_field(struct answer *a, struct value name, struct value v)
{
	static const char meta[] = "x-amz-meta-";
	struct http_answer *out = a->out;

	if (named(name, "content-length"))
		return take_length(a, v);
	if (named(name, "transfer-encoding")) {
		a->chunked = true;
	} else if (named(name, "content-type")) {
		keep(out->content_type, sizeof(out->content_type), v, true);
	} else if (named(name, "etag")) {
		take_etag(a, v);
	} else if (named(name, "location")) {
		keep(out->location, sizeof(out->location), v, false);
	} else if (named(name, "x-amz-bucket-region")) {
		keep(out->region, sizeof(out->region), v, false);
	} else if (named(name, "retry-after")) {
		take_retry_after(a, v);
	} else if (named(name, "last-modified")) {
		int64_t date = parse_date(v);

		out->modified_us = date > 0 ? date * 1000000 : 0;
	} else if (name.len > sizeof(meta) - 1 &&
		   strncasecmp(name.text, meta, sizeof(meta) - 1) == 0) {
		take_meta(
			a,
			(struct value){name.text + sizeof(meta) - 1, name.len - (sizeof(meta) - 1)},
			v);
	}
	return 0;
}

/* A status line begins an answer of its own: 100 Continue, a 401 before the login, the real one. */
static int take_status(struct answer *a, const char *line, size_t len)
{
	const char *p = memchr(line, ' ', len);
	const char *end = line + len;
	long status = 0;
	int digits = 0;

	for (; p && p < end && *p == ' '; p++)
		;
	for (; p && p < end && isdigit((unsigned char)*p) && digits < 3; p++, digits++)
		status = status * 10 + (*p - '0');
	if (digits != 3 || status < 100)
		return -EPROTO;
	*a->out = (struct http_answer){.status = status};
	a->retry_after_us = 0;
	a->chunked = a->complete = false;
	return 0;
}

int answer_line(struct answer *a, const char *line, size_t len)
{
	const char *colon;
	struct value name, v;

	a->bytes += len;
	a->lines++;
	if (a->bytes > HEADER_BYTES_MAX || a->lines > HEADER_LINES_MAX)
		return -EPROTO;
	while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (len >= 5 && strncasecmp(line, "HTTP/", 5) == 0)
		return take_status(a, line, len);
	if (a->complete)
		return 0;
	if (len == 0) {
		a->complete = true;
		if (a->chunked) /* the length counts for nothing then */
			a->out->has_length = false, a->out->content_length = 0;
		return 0;
	}
	colon = memchr(line, ':', len);
	if (!colon)
		return 0;
	name = (struct value){line, (size_t)(colon - line)};
	v = (struct value){colon + 1, len - name.len - 1};
	while (v.len && (*v.text == ' ' || *v.text == '\t'))
		v.text++, v.len--;
	while (v.len && (v.text[v.len - 1] == ' ' || v.text[v.len - 1] == '\t'))
		v.len--;
	return take_field(a, name, v);
}
