/* yolo.c - YOLO's label files: a line per object, "class cx cy w h [score]" or a polygon, as parts of the picture; and the
 * lists of classes that go with them: classes.txt, or "names" in data.yaml. */
#include "foreign.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 10000, NUMBERS_MAX = 4096 /* of one line */, LINE_MAX_BYTES = 65536 };

void classes_done(struct classes *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->name[i]);
	free(c->name);
	*c = (struct classes){0};
}

/* ---- the list of classes ---- */

/* Without blanks and one pair of quotes around it. */
static int set_class(struct classes *c, size_t at, const char *text, size_t len, char *why)
{
	while (len > 0 && isspace((unsigned char)*text)) {
		text++;
		len--;
	}
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	if (len >= 2 && (text[0] == '"' || text[0] == '\'') && text[len - 1] == text[0]) {
		text++;
		len -= 2;
	}
	if (at >= CLASSES_MAX) {
		why_set(why, "has more than %d classes", CLASSES_MAX);
		return -EBADMSG;
	}
	if (!c->name)
		c->name = calloc(CLASSES_MAX, sizeof(*c->name));
	if (!c->name)
		return -ENOMEM;
	if (at >= c->n)
		c->n = at + 1;
	free(c->name[at]);
	c->name[at] = strndup(text, len);
	return c->name[at] ? 0 : -ENOMEM;
}

/* One entry of names: "0: person" or "person"; its place is `next` where it does not say. */
static int yaml_entry(struct classes *c, const char *text, size_t len, bool keyed, char *why)
{
	const char *colon = keyed ? memchr(text, ':', len) : NULL;
	char *end;
	unsigned long at;

	if (!keyed)
		return set_class(c, c->n, text, len, why);
	at = strtoul(text, &end, 10);
	if (!colon || end == text || end + strspn(end, " ") != colon) {
		why_set(why, "has names that are neither a list nor numbered from 0");
		return -EBADMSG;
	}
	return set_class(c, at > CLASSES_MAX ? CLASSES_MAX : at, colon + 1,
			 len - (size_t)(colon + 1 - text), why);
}

/* "[a, 'b']" or "{0: a, 1: b}", over as many lines as it takes. */
static int yaml_flow(struct classes *c, const char *p, char *why)
{
	char open = *p++, close = open == '[' ? ']' : '}', quote = 0;
	const char *from = p;
	int r = 0;

	for (; *p && r == 0; p++) {
		if (quote) {
			quote = *p == quote ? '\0' : quote;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (*p == ',' || *p == close) {
			size_t len = (size_t)(p - from);

			from += strspn(from, " \t\r\n") < len ? strspn(from, " \t\r\n") : len;
			len = (size_t)(p - from);
			if (len > 0)
				r = yaml_entry(c, from, len, open == '{', why);
			if (*p == close)
				return r;
			from = p + 1;
		}
	}
	if (r == 0)
		why_set(why, "has names whose closing bracket is missing");
	return r < 0 ? r : -EBADMSG;
}

/* Lines deeper than "names:", or a list at its depth. */
static int yaml_block(struct classes *c, const char *p, char *why)
{
	int r = 0;

	while (*p && r == 0) {
		size_t len = strcspn(p, "\r\n"), in = strspn(p, " \t");
		bool item = p[in] == '-' && (p[in + 1] == ' ' || p[in + 1] == '\t');

		if (in < len && p[in] != '#') {
			if (in == 0 && !item)
				break;
			r = item ? yaml_entry(c, p + in + 2, len - in - 2, false, why)
				 : yaml_entry(c, p + in, len - in, true, why);
		}
		p += len;
		p += strspn(p, "\r\n");
	}
	return r;
}

static int yaml_names(struct classes *c, const char *text, char *why)
{
	for (const char *p = text; *p; p += strspn(p, "\r\n")) {
		size_t len = strcspn(p, "\r\n");

		if (strncmp(p, "names:", 6) == 0) {
			const char *value = p + 6 + strspn(p + 6, " \t");

			if (*value == '[' || *value == '{')
				return yaml_flow(c, value, why);
			return yaml_block(c, p + len + strspn(p + len, "\r\n"), why);
		}
		p += len;
	}
	return 0;
}

static int text_names(struct classes *c, const char *text, char *why)
{
	int r = 0;

	while (*text && r == 0) {
		size_t len = strcspn(text, "\n");

		if (text[strspn(text, " \t\r")] != '\n' ||
		    text[len + 1]) /* not the last, empty one */
			r = set_class(c, c->n, text, len, why);
		text += len + (text[len] == '\n');
	}
	return r;
}

/* A copy, NUL-terminated and UTF-8; -EBADMSG with why. */
static int checked_text(const char *text, size_t len, char **ret, char *why)
{
	if (len > SIDECAR_BYTES) {
		why_set(why, "is larger than %d KiB", SIDECAR_BYTES / 1024);
		return -EBADMSG;
	}
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_sequence(text + at, len - at);
		if (n == 0 || !text[at]) {
			why_set(why, "is not UTF-8 text");
			return -EBADMSG;
		}
	}
	*ret = strndup(text ? text : "", len);
	return *ret ? 0 : -ENOMEM;
}

int classes_parse(const char *name, const char *text, size_t len, struct classes *ret,
		  char why[WHY_MAX])
{
	CLEANUP(freep) char *copy = NULL;
	size_t n = strlen(name);
	struct classes c = {0};
	int r;

	why[0] = '\0';
	r = checked_text(text, len, &copy, why);
	if (r < 0)
		return r;
	r = n > 4 && strcmp(name + n - 4, ".txt") == 0 ? text_names(&c, copy, why)
						       : yaml_names(&c, copy, why);
	for (size_t i = 0; r == 0 && i < c.n; i++)
		if (!c.name[i] || !c.name[i][0]) {
			why_set(why, "has no name for class %zu", i);
			r = -EBADMSG;
		}
	if (r == 0 && c.n == 0) {
		why_set(why, "has no names of classes");
		r = -EBADMSG;
	}
	if (r < 0) {
		classes_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}

/* ---- label files ---- */

/* Corners of what the points enclose, as x, y, width, height. */
static void enclose(const double *point, size_t n, double box[4])
{
	double x0 = point[0], y0 = point[1], x1 = x0, y1 = y0;

	for (size_t i = 0; i < n; i += 2) {
		x0 = fmin(x0, point[i]);
		x1 = fmax(x1, point[i]);
		y0 = fmin(y0, point[i + 1]);
		y1 = fmax(y1, point[i + 1]);
	}
	box[0] = x0;
	box[1] = y0;
	box[2] = x1 - x0;
	box[3] = y1 - y0;
}

static int bad_line(char *why, unsigned line, const char *what)
{
	why_set(why, "line %u: %s", line, what);
	return -EBADMSG;
}

/* Returns how many there are; -EBADMSG: something else stands there. */
static int numbers(const char *p, const char *end, double *ret, size_t max)
{
	size_t n = 0;

	for (;;) {
		char *after;

		p += strspn(p, " \t\r");
		if (p >= end)
			return (int)n;
		if (n == max)
			return -EBADMSG;
		ret[n] = strtod(p, &after);
		if (after == p || after > end || !isfinite(ret[n]) || !strchr(" \t\r\n", *after))
			return -EBADMSG;
		n++;
		p = after;
	}
}

static int object_line(const double *v, int n, unsigned line, const struct classes *classes,
		       struct sidecar *s, char *why)
{
	double box[4], score = NAN;

	if (v[0] < 0 || v[0] != floor(v[0]))
		return bad_line(why, line, "it does not begin with the number of a class");
	if (v[0] >= (double)classes->n) {
		why_set(why, "line %u: class %.0f, but the list has %zu classes", line, v[0],
			classes->n);
		return -EBADMSG;
	}
	if (n == 5 || n == 6) {
		box[0] = v[1] - v[3] / 2;
		box[1] = v[2] - v[4] / 2;
		box[2] = v[3];
		box[3] = v[4];
		score = n == 6 ? v[5] : NAN;
	} else if (n >= 7 && n % 2 == 1) {
		enclose(v + 1, (size_t)n - 1, box);
	} else {
		return bad_line(why, line, "it is neither a box (class cx cy w h) nor a polygon");
	}
	if (!foreign_box_ok(box))
		return bad_line(why, line,
				"its box is not in the picture: numbers are between 0 and 1");
	return foreign_label(s, "object", classes->name[(size_t)v[0]], score, box, "yolo", why);
}

int yolo_parse(const char *text, size_t len, const struct classes *classes, struct sidecar *s,
	       char *why)
{
	CLEANUP(freep) char *copy = NULL;
	CLEANUP(freep) double *v = calloc(NUMBERS_MAX, sizeof(*v));
	unsigned line = 1;
	int checked = v ? checked_text(text, len, &copy, why) : -ENOMEM;

	if (checked < 0)
		return checked;
	s->labels.looked = true;
	for (const char *p = copy; *p; line++) {
		const char *end = p + strcspn(p, "\n");
		int n = end - p > LINE_MAX_BYTES ? -EBADMSG : numbers(p, end, v, NUMBERS_MAX);
		int r = n < 0 ? bad_line(why, line, "it is not a line of numbers") : 0;

		if (n > 0)
			r = object_line(v, n, line, classes, s, why);
		if (r < 0)
			return r;
		p = end + (*end == '\n');
	}
	return 0;
}
