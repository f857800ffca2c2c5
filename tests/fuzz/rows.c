/* rows.c - reads the rows of a corpus. */
#include "rows.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 4 * 1024 * 1024, NAMES = 64, DEPTH = 16 };

struct rows {
	const char *path;
	unsigned line;
	unsigned long index; /* what # is */
	unsigned depth;
	struct {
		char *name, *text;
	} let[NAMES];
	size_t n_lets;
};

static _Noreturn void wrong(const struct rows *r, const char *what, const char *text)
{
	(void)fprintf(stderr, "%s:%u: %s: %s\n", r->path, r->line, what, text);
	exit(1);
}

/* ---- TEXT ---- */
static void expand(struct rows *r, const char *text, size_t len, struct buf *out);

static int digit(char c)
{
	const char *at = c ? strchr("0123456789abcdef", c) : NULL;

	return at ? (int)(at - "0123456789abcdef") : -1;
}

/* Behind "{": the length up to its "}". */
static size_t braced(struct rows *r, const char *p, size_t len)
{
	size_t depth = 1;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\\' && i + 1 < len && (p[i + 1] == '\\' || p[i + 1] == '{')) {
			depth += p[i + 1] == '{';
			i++;
		} else if (p[i] == '{') {
			depth++;
		} else if (p[i] == '}' && --depth == 0) {
			return i;
		}
	}
	wrong(r, "a } is missing", p);
}

static void expand_let(struct rows *r, const char *name, size_t len, struct buf *out)
{
	for (size_t i = 0; i < r->n_lets; i++)
		if (strlen(r->let[i].name) == len && memcmp(r->let[i].name, name, len) == 0) {
			expand(r, r->let[i].text, strlen(r->let[i].text), out);
			return;
		}
	wrong(r, "no such name", name);
}

static void expand_counted(struct rows *r, char what, unsigned long n, const char *text, size_t len,
			   struct buf *out)
{
	CLEANUP(buf_done) struct buf inner = BUF(ROW_BYTES);

	expand(r, text, len, &inner);
	if (what != '*') {
		if (n > inner.len)
			wrong(r, "more bytes than there are", text);
		(void)buf_add(out, inner.data, what == '<' ? n : inner.len - n);
		return;
	}
	for (unsigned long i = 0; i < n && !out->error; i++)
		(void)buf_add(out, inner.data, inner.len);
}

/* Behind a backslash; how many bytes it took. */
static size_t expand_escape(struct rows *r, const char *p, size_t len, struct buf *out)
{
	static const char from[] = "\\nrt0s", to[] = "\\\n\r\t\0 ";
	const char *at = len && *p ? strchr(from, *p) : NULL;
	unsigned long n;
	char *end;
	size_t inner;

	if (at) {
		(void)buf_add(out, &to[at - from], 1);
		return 1;
	}
	if (len >= 3 && *p == 'x' && digit(p[1]) >= 0 && digit(p[2]) >= 0) {
		(void)buf_add(out, &(char){(char)(digit(p[1]) << 4 | digit(p[2]))}, 1);
		return 3;
	}
	if (len >= 2 && *p == '{') {
		inner = braced(r, p + 1, len - 1);
		expand_let(r, p + 1, inner, out);
		return inner + 2;
	}
	if (len < 4 || !strchr("*<>", *p))
		wrong(r, "an unknown escape", p);
	n = p[1] == '#' ? r->index : strtoul(p + 1, &end, 10);
	if (p[1] == '#')
		end = (char *)p + 2;
	if (*end != '{')
		wrong(r, "a { is missing", p);
	inner = braced(r, end + 1, len - (size_t)(end + 1 - p));
	expand_counted(r, *p, n, end + 1, inner, out);
	return (size_t)(end + 1 - p) + inner + 1;
}

static void expand(struct rows *r, const char *text, size_t len, struct buf *out)
{
	if (++r->depth > DEPTH)
		wrong(r, "nested too deeply", text);
	for (size_t i = 0; i < len;) {
		if (text[i] == '\\')
			i += 1 + expand_escape(r, text + i + 1, len - i - 1, out);
		else
			(void)buf_add(out, text + i++, 1);
	}
	r->depth--;
	if (out->error)
		wrong(r, "larger than a row may be", text);
}

int row_text(const uint8_t *data, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\\')
			(void)buf_str(out, "\\\\");
		else if (data[i] > ' ' && data[i] < 0x7f)
			(void)buf_add(out, &data[i], 1);
		else
			(void)buf_printf(out, data[i] == ' ' ? "\\s" : "\\x%02x", data[i]);
	}
	return out->error;
}

/* ---- lines ---- */
static void take_let(struct rows *r, char *line)
{
	char *text = strstr(line, " = ");

	if (!text || r->n_lets == NAMES)
		wrong(r, "not \"let NAME = TEXT\"", line);
	*text = '\0';
	r->let[r->n_lets].name = line;
	r->let[r->n_lets++].text = text + 3;
}

/* The field up to " | ", which *p is then behind. */
static char *field(struct rows *r, char **p)
{
	char *from = *p, *bar = strchr(from, '|'), *end = bar;

	if (!bar)
		wrong(r, "a column is missing", from);
	while (end > from && end[-1] == ' ')
		end--;
	*end = '\0';
	*p = bar + 1 + (bar[1] == ' ');
	return from;
}

static int result_of(struct rows *r, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end)
		return (int)n;
	if (strcmp(text, "any") == 0)
		return ROW_ANY;
	for (int i = 1; i < 200; i++) {
		const char *name = strerrorname_np(i);

		if (name && strcmp(text, name) == 0)
			return -i;
	}
	wrong(r, "neither a number nor an errno", text);
}

static size_t take_row(struct rows *r, char *line, row_fn *fn, void *user)
{
	char *name = field(r, &line), *star = strrchr(name, '*'), text[256];
	struct row row = {.result = result_of(r, field(r, &line))};
	unsigned long n = star && star[1] ? strtoul(star + 1, NULL, 10) : 0;

	row.says = field(r, &line);
	if (n)
		*star = '\0';
	for (r->index = 1; r->index <= (n ? n : 1); r->index++) {
		CLEANUP(buf_done) struct buf data = BUF(ROW_BYTES);

		(void)snprintf(text, sizeof(text), n ? "%s %lu" : "%s", name, r->index);
		expand(r, line, strlen(line), &data);
		row.name = text;
		row.data = (const uint8_t *)data.data;
		row.len = data.len;
		fn(user, &row);
	}
	return n ? n : 1;
}

size_t rows_each(const char *path, row_fn *fn, void *user)
{
	CLEANUP(buf_done) struct buf file = BUF(FILE_BYTES);
	struct rows r = {.path = path};
	char *line, *next;
	size_t n = 0;

	if (read_file(AT_FDCWD, path, FILE_BYTES, &file) < 0)
		wrong(&r, "cannot be read", path);
	for (line = file.data; line && *line; line = next) {
		r.line++;
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (strncmp(line, "let ", 4) == 0)
			take_let(&r, line + 4);
		else if (*line && *line != '#')
			n += take_row(&r, line, fn, user);
	}
	return n;
}
