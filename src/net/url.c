/* url.c - URLs as we accept them: strict on the part that says where a request goes, so that libcurl cannot read
 * it in another way than we did; and their form for logs. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shutterfs/net.h"

/* ---- parsing ---- */
static bool host_byte_ok(unsigned char c)
{
	return isalnum(c) || c == '.' || c == '-' || c == '_' || c >= 0x80;
}

static int parse_port(const char *text, size_t len, unsigned *ret)
{
	unsigned port = 0;

	if (len > 5)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > 65535)
		return -EINVAL;
	*ret = port;
	return 0;
}

/* "host", "host:port", "[v6]:port" */
static int parse_host(const char *text, size_t len, struct url *u)
{
	size_t host_len, i;

	if (len && text[0] == '[') {
		const char *end = memchr(text, ']', len);

		host_len = end ? (size_t)(end - text) + 1 : 0;
		for (i = 1; i + 1 < host_len; i++) {
			if (!isxdigit((unsigned char)text[i]) && text[i] != ':' && text[i] != '.')
				return -EINVAL;
		}
		if (host_len < 4)
			return -EINVAL;
	} else {
		for (host_len = 0; host_len < len && text[host_len] != ':'; host_len++) {
			if (!host_byte_ok((unsigned char)text[host_len]))
				return -EINVAL;
		}
	}
	if (host_len == 0 || host_len >= sizeof(u->host))
		return -EINVAL;
	for (i = 0; i < host_len; i++)
		u->host[i] = (char)tolower((unsigned char)text[i]);
	u->host[host_len] = '\0';
	if (host_len == len)
		return 0;
	if (text[host_len] != ':')
		return -EINVAL;
	return parse_port(text + host_len + 1, len - host_len - 1, &u->port);
}

static int parse_path(const char *text, struct url *u)
{
	size_t len = strcspn(text, "#");
	int n;

	/* the fragment is never sent */
	n = snprintf(u->path, sizeof(u->path), "%s%.*s", text[0] == '/' ? "" : "/", (int)len, text);
	return n < 0 || (size_t)n >= sizeof(u->path) ? -EINVAL : 0;
}

int url_parse(const char *text, struct url *ret)
{
	struct url u = {0};
	const char *authority, *at;
	size_t len;
	int r;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p <= ' ' || *p == 0x7f || *p == '\\')
			return -EINVAL;
	}
	if (strncasecmp(text, "http://", 7) == 0)
		u.port = 80;
	else if (strncasecmp(text, "https://", 8) == 0)
		u.port = 443;
	else
		return -EINVAL;
	(void)snprintf(u.scheme, sizeof(u.scheme), "%s", u.port == 80 ? "http" : "https");
	authority = strchr(text, ':') + 3;
	len = strcspn(authority, "/?#");
	if (len > sizeof(u.host) + 1024)
		return -EINVAL;
	at = memrchr(authority, '@', len);
	if (at) {
		u.has_userinfo = true;
		len -= (size_t)(at + 1 - authority);
		authority = at + 1;
	}
	r = parse_host(authority, len, &u);
	if (r < 0)
		return r;
	r = parse_path(authority + len, &u);
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

/* ---- for logs ---- */
struct out {
	char *text;
	size_t size, len;
};

static void out_char(struct out *o, char c)
{
	if (o->len + 1 >= o->size)
		return;
	o->text[o->len++] = (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
	o->text[o->len] = '\0';
}

static void out_text(struct out *o, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out_char(o, text[i]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Names are compared decoded: "p%77d" is "pwd" to the camera too. */
static bool name_is_secret(const char *name, size_t len)
{
	static const char *const words[] = {
		"pwd",  "pass", "token", "key",     "sig", "secret", "sign", "auth", "credential",
		"user", "usr",  "login", "session", "psw", "pin",    "hmac", "nonce"};
	char plain[64];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < sizeof(plain); i++) {
		char c = name[i];

		if (c == '%' && i + 2 < len && hex_digit(name[i + 1]) >= 0 &&
		    hex_digit(name[i + 2]) >= 0) {
			c = (char)(hex_digit(name[i + 1]) * 16 + hex_digit(name[i + 2]));
			i += 2;
		}
		plain[n++] = c ? c : '?';
	}
	plain[n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasestr(plain, words[i]))
			return true;
	}
	return len >= sizeof(plain);
}

static void redact_query(struct out *o, const char *query)
{
	while (*query) {
		size_t len = strcspn(query, "&;");
		const char *eq = memchr(query, '=', len);

		if (eq && name_is_secret(query, (size_t)(eq - query))) {
			out_text(o, query, (size_t)(eq - query) + 1);
			out_text(o, "****", 4);
		} else {
			out_text(o, query, len);
		}
		query += len;
		if (*query)
			out_char(o, *query++);
	}
}

void url_redact(const char *text, char *out, size_t size)
{
	struct out o = {.text = out, .size = size};
	struct url u;
	char port[16] = "";
	size_t path_len;

	if (size == 0)
		return;
	out[0] = '\0';
	/* a password with an unescaped '/' looks like a host: what we cannot read is not shown at all */
	if (url_parse(text, &u) < 0) {
		out_text(&o, "****", 4);
		return;
	}
	if (u.port != (strcmp(u.scheme, "http") == 0 ? 80 : 443))
		(void)snprintf(port, sizeof(port), ":%u", u.port);
	out_text(&o, u.scheme, strlen(u.scheme));
	out_text(&o, "://", 3);
	out_text(&o, u.host, strlen(u.host));
	out_text(&o, port, strlen(port));
	path_len = strcspn(u.path, "?");
	out_text(&o, u.path, path_len);
	if (u.path[path_len]) {
		out_char(&o, '?');
		redact_query(&o, u.path + path_len + 1);
	}
}

int url_escape(const char *text, struct buf *out)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p < 0x80 && (isalnum(*p) || strchr("-._~", *p)))
			(void)buf_add(out, p, 1);
		else
			(void)buf_printf(out, "%%%02X", *p);
	}
	return out->error;
}
