/* net-targets.c - URLs, from configs and redirects, and the header lines of HTTP answers. */
#include "target.h"

#include "answer.h"

#include <ctype.h>
#include <string.h>

static int run_url(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	CLEANUP(buf_done) struct buf escaped = BUF(1024 * 1024);
	static struct url u;
	char shown[512];
	int r = url_parse(text, &u);

	url_redact(text, shown, sizeof(shown));
	holds_line(shown);
	(void)!url_escape(text, &escaped);
	(void)snprintf(why, TARGET_WHY, "%s", shown);
	if (r == 0 && strstr(shown, "canary")) /* which stands where secrets are */
		return 1;
	if (r < 0)
		return r;
	HOLDS(strcmp(u.scheme, "http") == 0 || strcmp(u.scheme, "https") == 0);
	HOLDS(u.host[0] && u.port > 0 && u.port < 65536 && u.path[0] == '/');
	for (const char *p = u.host; *p; p++)
		HOLDS(!isupper((unsigned char)*p) && !strchr(" /@\\?#", *p));
	(void)snprintf(why, TARGET_WHY, "host \"%s\" port %u path \"%.200s\"%s", u.host, u.port,
		       u.path, u.has_userinfo ? " user" : "");
	return r;
}

/* Lines as they come, of one answer or several. */
static int run_headers(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	static struct http_answer out;
	struct answer a = {.out = &out};
	const char *p = (const char *)data, *end = p + len;
	int r = 0;

	out = (struct http_answer){0};
	while (r == 0 && p < end) {
		const char *line = memchr(p, '\n', (size_t)(end - p));
		size_t n = line ? (size_t)(line - p) + 1 : (size_t)(end - p);

		r = answer_line(&a, p, n);
		p += n;
	}
	holds_line(out.etag);
	holds_line(out.location);
	holds_line(out.content_type);
	holds_line(out.region);
	HOLDS(!strchr(out.etag, '"') && out.n_meta <= HTTP_META_MAX);
	for (size_t i = 0; i < out.n_meta; i++) {
		holds_line(out.meta[i].name);
		holds_line(out.meta[i].value);
	}
	HOLDS(a.retry_after_us >= 0 && a.retry_after_us <= 24 * 3600 * INT64_C(1000000));
	(void)snprintf(why, TARGET_WHY, "%ld length %lld etag \"%s\" pause %llds", out.status,
		       out.has_length ? (long long)out.content_length : -1LL, out.etag,
		       (long long)a.retry_after_us / 1000000);
	return r;
}

const struct parser net_targets[] = {{"url", run_url}, {"http-headers", run_headers}, {0}};
