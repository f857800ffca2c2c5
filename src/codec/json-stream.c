/* json-stream.c - a big JSON file in pieces: the members of its object, or the elements of its arrays, one at a time.
 *
 * A small machine finds where an item ends; json_check then judges the item, so what it hands out is as strict as a sidecar.
 * Memory is one item. */
#include "shutterfs/codec.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum place {
	AT_START,   /* before anything */
	AT_KEY,     /* of the outer object: a key, or its end */
	AT_COLON,   /* behind a key */
	AT_VALUE,   /* behind a colon */
	AT_ELEMENT, /* of an array: an element, or its end */
	IN_ITEM,    /* within a value that is handed out whole */
	IN_KEY,
	AT_COMMA, /* behind a value */
	AT_END,   /* everything is read */
};

struct json_stream {
	json_item_fn *fn;
	void *user;
	enum place place;
	bool in_object; /* the outermost value is an object */
	bool in_array;  /* items are elements: of the outermost array, or of a member's */
	bool comma;     /* was just read */
	bool in_string, escaped;
	unsigned depth; /* open brackets of the item */
	unsigned bom;   /* bytes of a byte order mark that were passed over */
	struct buf key, item;
	unsigned line, column, item_line, item_column;
	size_t max_item;
};

int json_stream_new(size_t max_item, json_item_fn *fn, void *user, struct json_stream **ret)
{
	struct json_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct json_stream){.fn = fn,
				  .user = user,
				  .key = BUF(max_item),
				  .item = BUF(max_item + 1),
				  .line = 1,
				  .column = 1,
				  .max_item = max_item};
	*ret = s;
	return 0;
}

struct json_stream *json_stream_free(struct json_stream *s)
{
	if (s) {
		buf_done(&s->key);
		buf_done(&s->item);
		free(s);
	}
	return NULL;
}

static int fail(const struct json_stream *s, char *why, const char *what)
{
	why_set(why, "is not valid JSON at line %u, column %u: %s", s->line, s->column, what);
	return -EBADMSG;
}

static void reset(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

static void begin_item(struct json_stream *s, enum place place)
{
	reset(&s->item);
	s->place = place;
	s->item_line = s->line;
	s->item_column = s->column;
	s->depth = 0;
	s->in_string = s->escaped = false;
	s->comma = false;
}

static int too_large(const struct json_stream *s, char *why)
{
	why_set(why, "has an item at line %u that is larger than %zu KiB", s->item_line,
		s->max_item / 1024);
	return -EFBIG;
}

/* The item is whole: judged, and handed out. */
static int end_item(struct json_stream *s, char *why)
{
	int r = json_check(s->item.data, s->item.len, s->item_line, s->item_column, why);

	if (r < 0)
		return r;
	s->place = AT_COMMA;
	r = s->fn(s->user, s->in_object ? s->key.data : NULL, s->item.data, s->item.len);
	return r;
}

static int end_key(struct json_stream *s, char *why)
{
	int r = json_check(s->item.data, s->item.len, s->item_line, s->item_column, why);

	reset(&s->key);
	if (r == 0)
		r = json_decode(s->item.data, s->item.len, &s->key);
	s->place = AT_COLON;
	return r;
}

/* Within a key or an item that is handed out whole; *ret_taken false: c ended it and is still to be read. */
static int item_byte(struct json_stream *s, char c, bool *ret_taken, char *why)
{
	bool scalar = s->depth == 0 && !s->in_string && s->item.len > 0 && s->item.data[0] != '"' &&
		      s->item.data[0] != '{' && s->item.data[0] != '[';

	*ret_taken = true;
	if (scalar && strchr(",]} \t\r\n", c)) {
		*ret_taken = false;
		return end_item(s, why);
	}
	if (s->item.len == s->max_item || buf_add(&s->item, &c, 1) < 0)
		return s->item.error == -ENOMEM ? -ENOMEM : too_large(s, why);
	if (s->in_string) {
		if (s->escaped)
			s->escaped = false;
		else if (c == '\\')
			s->escaped = true;
		else if (c == '"')
			s->in_string = false;
	} else if (c == '"') {
		s->in_string = true;
	} else if (c == '{' || c == '[') {
		s->depth++;
	} else if ((c == '}' || c == ']') && s->depth > 0) {
		s->depth--;
	}
	if (s->in_string || s->depth > 0 || !strchr("\"}]", c))
		return 0;
	return s->place == IN_KEY ? end_key(s, why) : end_item(s, why);
}

/* The end of the array or of the outer object that items are taken from. */
static int close_container(struct json_stream *s, char c, char *why)
{
	if (c != (s->in_array ? ']' : '}'))
		return fail(s, why, "another bracket is missing");
	if (s->comma)
		return fail(s, why, "a comma before the end");
	s->place = s->in_array && s->in_object ? AT_COMMA : AT_END;
	s->in_array = false;
	return 0;
}

static int start_byte(struct json_stream *s, char c, char *why)
{
	if (c != '{' && c != '[')
		return fail(s, why, "it is neither an object nor an array");
	s->in_object = c == '{';
	s->in_array = c == '[';
	s->place = s->in_object ? AT_KEY : AT_ELEMENT;
	return 0;
}

static int comma_byte(struct json_stream *s, char c, char *why)
{
	if (c == ']' || c == '}')
		return close_container(s, c, why);
	if (c != ',')
		return fail(s, why, "a comma is missing");
	s->comma = true;
	s->place = s->in_array ? AT_ELEMENT : AT_KEY;
	return 0;
}

/* Between items; what begins one is taken as its first byte. */
static int structure_byte(struct json_stream *s, char c, bool *ret_taken, char *why)
{
	*ret_taken = true;
	switch (s->place) {
	case AT_START:
		return start_byte(s, c, why);
	case AT_COLON:
		s->place = AT_VALUE;
		return c == ':' ? 0 : fail(s, why, "a colon is missing");
	case AT_COMMA:
		return comma_byte(s, c, why);
	case AT_END:
		return fail(s, why, "something follows the end");
	case AT_KEY:
		if (c == '}')
			return close_container(s, c, why);
		if (c != '"')
			return fail(s, why, "a key in double quotes is missing");
		begin_item(s, IN_KEY);
		break;
	case AT_VALUE:
		if (c == '[') {
			s->in_array = true;
			s->place = AT_ELEMENT;
			return 0;
		}
		begin_item(s, IN_ITEM);
		break;
	default: /* AT_ELEMENT */
		if (c == ']')
			return close_container(s, c, why);
		begin_item(s, IN_ITEM);
		break;
	}
	*ret_taken = false;
	return 0;
}

int json_stream_feed(struct json_stream *s, const char *data, size_t len, char why[WHY_MAX])
{
	static const char bom[] = "\xef\xbb\xbf";

	why[0] = '\0';
	for (size_t i = 0; i < len;) {
		char c = data[i];
		bool taken = true;
		int r = 0;

		if (s->place == AT_START && s->bom < 3 && s->column == 1 && c == bom[s->bom]) {
			s->bom++;
			i++;
			continue;
		}
		if (s->place == IN_ITEM || s->place == IN_KEY)
			r = item_byte(s, c, &taken, why);
		else if (!strchr(" \t\r\n", c) || !c)
			r = structure_byte(s, c, &taken, why);
		if (r)
			return r;
		if (!taken)
			continue;
		i++;
		s->column++;
		if (c == '\n') {
			s->line++;
			s->column = 1;
		}
	}
	return 0;
}

int json_stream_end(struct json_stream *s, char why[WHY_MAX])
{
	why[0] = '\0';
	if (s->place == AT_END)
		return 0;
	return fail(s, why, s->place == AT_START ? "it is empty" : "text ends too early");
}
