/* json-read.c - reading JSON where it lies: json_scan has checked the text, so nothing is built, and a value is an extent of it.
 *
 * Nothing here trusts the check for its memory's sake: each step ends at the end of the text. */
#include "shutterfs/codec.h"

#include <stdlib.h>
#include <string.h>

static void blank(struct json_text *t)
{
	while (t->len && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r')) {
		t->p++;
		t->len--;
	}
}

static void skip(struct json_text *t, size_t n)
{
	n = n < t->len ? n : t->len;
	t->p += n;
	t->len -= n;
}

int json_read(const char *text, size_t len, struct json_text *ret, char why[WHY_MAX])
{
	struct json_text t = {text, len};
	int r;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		skip(&t, 3);
	r = json_scan(t.p, t.len, NULL, NULL, why);
	if (r < 0)
		return r;
	blank(&t);
	*ret = t;
	return 0;
}

enum json_type json_type(struct json_text v)
{
	switch (v.p && v.len ? *v.p : '\0') {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	case '\0':
		return JSON_NONE;
	default:
		return JSON_NUMBER;
	}
}

static size_t string_len(const char *p, size_t len)
{
	size_t i = 1;

	while (i < len && p[i] != '"')
		i += p[i] == '\\' ? 2 : 1;
	return i < len ? i + 1 : len;
}

static size_t word_len(const char *p, size_t len)
{
	size_t i = 0;

	while (i < len && !strchr(",]} \t\n\r", p[i]))
		i++;
	return i;
}

/* Of the value at the start of t. */
static size_t value_len(struct json_text t)
{
	unsigned depth = 0;
	size_t i = 0;

	if (t.len && *t.p != '{' && *t.p != '[' && *t.p != '"')
		return word_len(t.p, t.len);
	do {
		char c = i < t.len ? t.p[i] : '\0';

		if (c == '"') {
			i += string_len(t.p + i, t.len - i);
			continue;
		}
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		i++;
	} while (depth && i < t.len);
	return i < t.len ? i : t.len;
}

struct json_text json_inside(struct json_text v)
{
	if (json_type(v) != JSON_OBJECT && json_type(v) != JSON_ARRAY)
		return (struct json_text){0};
	skip(&v, 1);
	return v;
}

static struct json_text take(struct json_text *rest)
{
	struct json_text v = {rest->p, value_len(*rest)};

	skip(rest, v.len);
	return v;
}

bool json_next(struct json_text *rest, struct json_text *ret_key, struct json_text *ret)
{
	struct json_text key = {0};

	blank(rest);
	if (rest->len && *rest->p == ',') {
		skip(rest, 1);
		blank(rest);
	}
	if (!rest->len || *rest->p == '}' || *rest->p == ']')
		return false;
	if (ret_key) {
		key = take(rest);
		blank(rest);
		skip(rest, 1); /* the colon */
		blank(rest);
		*ret_key = key;
	}
	*ret = take(rest);
	return true;
}

int json_plain(struct json_text v, struct buf *out)
{
	return json_type(v) == JSON_STRING ? json_decode(v.p, v.len, out)
					   : buf_add(out, v.p, v.len);
}

bool json_is(struct json_text v, const char *text)
{
	CLEANUP(buf_done) struct buf decoded = BUF(v.len + 1);
	size_t len = strlen(text);

	if (json_type(v) != JSON_STRING)
		return false;
	if (!memchr(v.p, '\\', v.len))
		return v.len == len + 2 && memcmp(v.p + 1, text, len) == 0;
	return json_plain(v, &decoded) == 0 && strcmp(decoded.data, text) == 0;
}

struct json_text json_get(struct json_text object, const char *key)
{
	struct json_text rest = json_inside(object), name, v;

	if (json_type(object) == JSON_OBJECT)
		while (json_next(&rest, &name, &v))
			if (json_is(name, key))
				return v;
	return (struct json_text){0};
}

bool json_number(struct json_text v, long double *ret)
{
	char text[128], *end;
	long double n;

	if (json_type(v) != JSON_NUMBER || v.len >= sizeof(text))
		return false;
	memcpy(text, v.p, v.len);
	text[v.len] = '\0';
	n = strtold(text, &end);
	if (*end)
		return false;
	*ret = n;
	return true;
}
