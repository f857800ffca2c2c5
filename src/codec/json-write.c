/* json-write.c - a streaming JSON writer over a capped buffer: status, queue, errors and sidecars are made with it.
 *
 * Errors stick in the buffer, so callers check once, at the end.  Output is always valid UTF-8. */
#include "shutterfs/codec.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_escaped(struct buf *out, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = c ? strchr(from, c) : NULL;

	if (at)
		(void)buf_printf(out, "\\%c", to[at - from]);
	else
		(void)buf_printf(out, "\\u%04x", c);
}

static void add_string(struct buf *out, const char *s)
{
	const char *end = s + strlen(s), *run = s;

	(void)buf_add(out, "\"", 1);
	while (s < end) {
		unsigned char c = (unsigned char)*s;
		size_t n = utf8_sequence(s, (size_t)(end - s));

		if (n > 0 && c >= ' ' && c != '"' && c != '\\' && c != 0x7f) {
			s += n;
			continue;
		}
		(void)buf_add(out, run, (size_t)(s - run));
		if (n > 0)
			add_escaped(out, c);
		else
			(void)buf_str(out, "\xef\xbf\xbd"); /* U+FFFD for what is not UTF-8 */
		run = ++s;
	}
	(void)buf_add(out, run, (size_t)(s - run));
	(void)buf_add(out, "\"", 1);
}

/* What stands before a value: the comma, and its key. */
static void begin(struct json *j, const char *key)
{
	if (j->comma)
		(void)buf_str(j->out, j->lines && j->depth == 1 ? ",\n " : ",");
	j->comma = true;
	if (!key)
		return;
	add_string(j->out, key);
	(void)buf_add(j->out, ":", 1);
}

static void begin_nested(struct json *j, const char *key, const char *bracket)
{
	begin(j, key);
	(void)buf_add(j->out, bracket, 1);
	j->depth++;
	j->comma = false;
}

void json_object(struct json *j, const char *key)
{
	begin_nested(j, key, "{");
}

void json_array(struct json *j, const char *key)
{
	begin_nested(j, key, "[");
}

void json_end(struct json *j, char close)
{
	j->depth--;
	j->comma = true;
	(void)buf_add(j->out, &close, 1);
}

void json_string(struct json *j, const char *key, const char *value)
{
	begin(j, key);
	if (value)
		add_string(j->out, value);
	else
		(void)buf_str(j->out, "null");
}

void json_int(struct json *j, const char *key, int64_t value)
{
	begin(j, key);
	(void)buf_printf(j->out, "%lld", (long long)value);
}

/* The shortest text that reads back as the same number, so that 0.93 stays 0.93. */
void json_double(struct json *j, const char *key, double value)
{
	char text[40];
	char *comma;

	begin(j, key);
	if (!isfinite(value)) {
		(void)buf_str(j->out, "null");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		(void)snprintf(text, sizeof(text), "%.*g", precision, value);
		if (strtod(text, NULL) == value)
			break;
	}
	comma = strchr(text, ',');
	if (comma) /* the locale's */
		*comma = '.';
	(void)buf_str(j->out, text);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	(void)buf_str(j->out, value ? "true" : "false");
}

void json_raw(struct json *j, const char *key, const char *text)
{
	begin(j, key);
	(void)buf_str(j->out, text ? text : "null");
}
