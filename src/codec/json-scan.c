/* json-scan.c - a strict JSON checker that hands out the raw text of an object's members.
 *
 * cJSON keeps numbers as doubles, takes duplicate keys and bad UTF-8, and costs forty times its input; so text is checked
 * here first, what we only keep is kept as it was written, and cJSON sees the small known members alone. */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 64 };

struct key {
	size_t at, len; /* in scan.keys */
};

struct scan {
	const char *start, *p, *end;
	unsigned line, column; /* of `start` in its file */
	unsigned depth;
	char *why;
	struct buf
		keys; /* decoded keys of all open objects, one behind the other, each with a NUL */
	struct key *key; /* a stack: those of the innermost object are on top */
	size_t n_keys, cap_keys;
};

static int value(struct scan *s);

static int fail(struct scan *s, const char *what)
{
	unsigned line = s->line, column = s->column;

	for (const char *p = s->start; p < s->p; p++) {
		column++;
		if (*p == '\n') {
			line++;
			column = 1;
		}
	}
	why_set(s->why, "is not valid JSON at line %u, column %u: %s", line, column, what);
	return -EBADMSG;
}

static int peek(const struct scan *s)
{
	return s->p < s->end ? (unsigned char)*s->p : -1;
}

static void blank(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* ---- strings ---- */

static int hex4(struct scan *s, unsigned *ret)
{
	unsigned v = 0;

	if (s->end - s->p < 4)
		return fail(s, "text ends within an escape");
	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)s->p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (unsigned)((c | 0x20) - 'a' + 10);
		else
			return fail(s, "\\u needs four hexadecimal digits");
	}
	s->p += 4;
	*ret = v;
	return 0;
}

static void add_utf8(struct buf *out, unsigned c)
{
	char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (char)c;
	} else if (c < 0x800) {
		b[n++] = (char)(0xc0 | c >> 6);
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		b[n++] = (char)(0xe0 | c >> 12);
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		b[n++] = (char)(0xf0 | c >> 18);
		b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		b[n++] = (char)(0x80 | (c & 0x3f));
	}
	(void)buf_add(out, b, n);
}

/* Behind "\u". */
static int unicode_escape(struct scan *s, struct buf *out)
{
	unsigned c = 0, low = 0;
	int r = hex4(s, &c);

	if (r < 0)
		return r;
	if (c == 0)
		return fail(s, "a NUL character is not accepted");
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail(s, "a lone surrogate");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
			return fail(s, "a lone surrogate");
		s->p += 2;
		r = hex4(s, &low);
		if (r < 0)
			return r;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(s, "a lone surrogate");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (out)
		add_utf8(out, c);
	return 0;
}

static int escape(struct scan *s, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int c;

	s->p++;
	c = peek(s);
	if (c == 'u') {
		s->p++;
		return unicode_escape(s, out);
	}
	at = c > 0 ? strchr(from, c) : NULL;
	if (!at)
		return fail(s, "an unknown escape");
	s->p++;
	if (out)
		(void)buf_add(out, &to[at - from], 1);
	return 0;
}

/* At its opening quote; decoded into `out` unless NULL. */
static int string(struct scan *s, struct buf *out)
{
	s->p++;
	for (;;) {
		const char *run = s->p;
		int r;

		while (s->p < s->end && *s->p != '"' && *s->p != '\\') {
			size_t n = utf8_sequence(s->p, (size_t)(s->end - s->p));

			if (n == 0)
				return fail(s, "bytes that are not UTF-8");
			if ((unsigned char)*s->p < ' ')
				return fail(s, "a control character within a string");
			s->p += n;
		}
		if (s->p == s->end)
			return fail(s, "text ends within a string");
		if (out)
			(void)buf_add(out, run, (size_t)(s->p - run));
		if (*s->p == '"') {
			s->p++;
			return 0;
		}
		r = escape(s, out);
		if (r < 0)
			return r;
	}
}

/* ---- numbers and words ---- */

static bool digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static int number(struct scan *s)
{
	if (*s->p == '-')
		s->p++;
	if (peek(s) == '0')
		s->p++;
	else if (!digits(s))
		return fail(s, "not a number");
	if (peek(s) >= '0' && peek(s) <= '9')
		return fail(s, "a number with a leading zero");
	if (peek(s) == '.') {
		s->p++;
		if (!digits(s))
			return fail(s, "a number that ends in its point");
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->p++;
		if (peek(s) == '+' || peek(s) == '-')
			s->p++;
		if (!digits(s))
			return fail(s, "a number without its exponent");
	}
	return 0;
}

static int word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
			s->p += n;
			return 0;
		}
	}
	return fail(s, s->p == s->end ? "text ends too early" : "not a value");
}

/* ---- objects and arrays ---- */

static int key_push(struct scan *s)
{
	size_t at = s->keys.len;
	int r;

	if (s->n_keys == s->cap_keys) {
		size_t cap = s->cap_keys ? s->cap_keys * 2 : 64;
		struct key *k = reallocarray(s->key, cap, sizeof(*k));

		if (!k)
			return -ENOMEM;
		s->key = k;
		s->cap_keys = cap;
	}
	r = string(s, &s->keys);
	if (r < 0)
		return r;
	r = buf_add(&s->keys, "", 1);
	if (r < 0)
		return r;
	s->key[s->n_keys++] = (struct key){at, s->keys.len - at - 1};
	return 0;
}

static int key_order(const void *a, const void *b, void *keys)
{
	const struct key *x = a, *y = b;

	return strcmp((const char *)keys + x->at, (const char *)keys + y->at);
}

/* Ends the innermost object, whose keys begin at `first`. */
static int keys_pop(struct scan *s, size_t first)
{
	size_t n = s->n_keys - first;
	size_t bytes = n ? s->key[first].at : s->keys.len;

	if (n > 1)
		qsort_r(s->key + first, n, sizeof(*s->key), key_order, s->keys.data);
	for (size_t i = first + 1; i < s->n_keys; i++) {
		const char *name = s->keys.data + s->key[i].at;
		char what[80];

		if (strcmp(name, s->keys.data + s->key[i - 1].at) != 0)
			continue;
		(void)snprintf(what, sizeof(what), "the key \"%.*s\" stands twice",
			       (int)utf8_cut(name, strlen(name), 40), name);
		return fail(s, what);
	}
	s->n_keys = first;
	s->keys.len = bytes;
	return 0;
}

/* A key, its colon and its value; the extent of the value in the text. */
static int member(struct scan *s, const char **ret_raw, size_t *ret_len)
{
	const char *raw;
	int r;

	if (peek(s) != '"')
		return fail(s, s->p == s->end ? "text ends within an object"
					      : "a key in double quotes is missing");
	r = key_push(s);
	if (r < 0)
		return r;
	blank(s);
	if (peek(s) != ':')
		return fail(s, "a colon is missing");
	s->p++;
	blank(s);
	raw = s->p;
	r = value(s);
	if (r < 0)
		return r;
	*ret_raw = raw;
	*ret_len = (size_t)(s->p - raw);
	return 0;
}

/* Behind an element: 1: another one follows (`p` is at it), 0: `close` was read. */
static int separator(struct scan *s, char close)
{
	blank(s);
	if (peek(s) == close) {
		s->p++;
		return 0;
	}
	if (peek(s) != ',')
		return fail(s, s->p == s->end ? "text ends too early" : "a comma is missing");
	s->p++;
	blank(s);
	return 1;
}

static int enter(struct scan *s)
{
	if (s->depth == JSON_DEPTH)
		return fail(s, "nested deeper than 64 levels");
	s->depth++;
	s->p++;
	blank(s);
	return 0;
}

static int object(struct scan *s, json_member_fn *each, void *user)
{
	size_t first = s->n_keys, raw_len = 0;
	const char *raw = NULL;
	int r = enter(s);

	if (r < 0)
		return r;
	if (peek(s) == '}') {
		s->p++;
	} else {
		do {
			r = member(s, &raw, &raw_len);
			if (r == 0 && each)
				r = each(user, s->keys.data + s->key[s->n_keys - 1].at, raw,
					 raw_len);
			if (r)
				return r;
			r = separator(s, '}');
		} while (r > 0);
		if (r < 0)
			return r;
	}
	s->depth--;
	return keys_pop(s, first);
}

static int array(struct scan *s, json_member_fn *each, void *user)
{
	int r = enter(s);

	if (r < 0)
		return r;
	if (peek(s) == ']') {
		s->p++;
	} else {
		do {
			const char *raw = s->p;

			r = value(s);
			if (r == 0 && each)
				r = each(user, NULL, raw, (size_t)(s->p - raw));
			if (r)
				return r;
			r = separator(s, ']');
		} while (r > 0);
		if (r < 0)
			return r;
	}
	s->depth--;
	return 0;
}

static int value(struct scan *s)
{
	int c = peek(s);

	if (c == '{')
		return object(s, NULL, NULL);
	if (c == '[')
		return array(s, NULL, NULL);
	if (c == '"')
		return string(s, NULL);
	if (c == '-' || (c >= '0' && c <= '9'))
		return number(s);
	return word(s);
}

static int scan_once(const char *text, size_t len, char open, json_member_fn *each, void *user,
		     char *why)
{
	struct scan s = {.start = text,
			 .p = text,
			 .end = text + len,
			 .line = 1,
			 .column = 1,
			 .why = why,
			 .keys = BUF(len + 1)};
	int r;

	blank(&s);
	if (peek(&s) == open)
		r = open == '{' ? object(&s, each, user) : array(&s, each, user);
	else if (s.p == s.end)
		r = fail(&s, "it is empty");
	else
		r = fail(&s, open == '{' ? "it is not an object" : "it is not an array");
	if (r == 0) {
		blank(&s);
		if (s.p < s.end)
			r = fail(&s, open == '{' ? "something follows the object"
						 : "something follows the array");
	}
	buf_done(&s.keys);
	free(s.key);
	return r;
}

/* Twice: of a text that turns out to be bad, or to say something twice, nobody has been told anything. */
static int scan(const char *text, size_t len, char open, json_member_fn *each, void *user,
		char why[WHY_MAX])
{
	int r = scan_once(text, len, open, NULL, NULL, why);

	return r < 0 || !each ? r : scan_once(text, len, open, each, user, why);
}

int json_scan(const char *text, size_t len, json_member_fn *each, void *user, char why[WHY_MAX])
{
	return scan(text, len, '{', each, user, why);
}

int json_scan_array(const char *text, size_t len, json_member_fn *each, void *user,
		    char why[WHY_MAX])
{
	return scan(text, len, '[', each, user, why);
}

int json_check(const char *text, size_t len, unsigned line, unsigned column, char why[WHY_MAX])
{
	struct scan s = {.start = text,
			 .p = text,
			 .end = text + len,
			 .line = line,
			 .column = column,
			 .why = why,
			 .keys = BUF(len + 1)};
	int r = value(&s);

	if (r == 0 && s.p < s.end)
		r = fail(&s, "something follows the value");
	buf_done(&s.keys);
	free(s.key);
	return r;
}

int json_decode(const char *text, size_t len, struct buf *out)
{
	char why[WHY_MAX];
	struct scan s = {.start = text, .p = text, .end = text + len, .why = why};
	int r = len > 0 && *text == '"' ? string(&s, out) : -EBADMSG;

	return r < 0 ? r : out->error;
}
