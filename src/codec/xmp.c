/* xmp.c - XMP sidecars: keywords, rating, description and time, by expat with namespaces.
 *
 * A document type is refused outright (no entities); size, depth and texts are bounded. */
#include "foreign.h"
#include "text.h"
#include "xml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { XMP_DEPTH = 32, XMP_TEXT = 64 * 1024, XMP_TAGS = 10000 };

enum property { NONE, SUBJECT, HIERARCHY, TAGS_LIST, RATING, DESCRIPTION, ORIGINAL, CREATED };

/* As expat gives names: namespace, a blank, the name. */
static const struct {
	const char *name;
	enum property property;
} known[] = {
	{"http://purl.org/dc/elements/1.1/ subject", SUBJECT},
	{"http://purl.org/dc/elements/1.1/ description", DESCRIPTION},
	{"http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject", HIERARCHY},
	{"http://www.digikam.org/ns/1.0/ TagsList", TAGS_LIST},
	{"http://ns.adobe.com/xap/1.0/ Rating", RATING},
	{"http://ns.adobe.com/exif/1.0/ DateTimeOriginal", ORIGINAL},
	{"http://ns.adobe.com/photoshop/1.0/ DateCreated", CREATED},
};
static const char rdf_li[] = "http://www.w3.org/1999/02/22-rdf-syntax-ns# li";

struct tag {
	char *text;
	bool plain; /* of dc:subject, where programs repeat the parts of the others */
};

struct xmp {
	XML_Parser parser;
	struct sidecar *s;
	char *why;
	unsigned depth, at; /* `at`: depth of the property */
	enum property property;
	bool taken; /* a list item of it was read */
	bool has_original;
	struct buf text;
	struct tag *tag;
	size_t n_tags, cap_tags;
	int result;
};

static void stop(struct xmp *x, int result)
{
	if (!x->result)
		x->result = result;
	(void)XML_StopParser(x->parser, XML_FALSE);
}

static enum property property_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].property;
	return NONE;
}

static int add_tag(struct xmp *x, const char *text, enum property p)
{
	char from = p == HIERARCHY ? '|' : '/';

	if (x->n_tags == XMP_TAGS) {
		why_set(x->why, "has more than 10,000 keywords");
		return -EBADMSG;
	}
	if (x->n_tags == x->cap_tags) {
		size_t cap = x->cap_tags ? 2 * x->cap_tags : 32;
		struct tag *more = reallocarray(x->tag, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		x->tag = more;
		x->cap_tags = cap;
	}
	x->tag[x->n_tags].plain = p == SUBJECT;
	x->tag[x->n_tags].text = strdup(text);
	if (!x->tag[x->n_tags].text)
		return -ENOMEM;
	for (char *c = x->tag[x->n_tags++].text; *c; c++)
		if (*c == from)
			*c = '/';
	return 0;
}

/* 0 to 5 stars, -1: rejected; file managers count halves. */
static int set_rating(struct xmp *x, const char *text)
{
	char *end;
	double stars = strtod(text, &end);

	if (end == text || *end || !(stars >= -1 && stars <= 5)) {
		why_set(x->why, "has an xmp:Rating that is not a number from -1 to 5");
		return -EBADMSG;
	}
	x->s->rating = stars > 0 ? (unsigned)lround(stars * 2) : 0;
	x->s->has_rating = true;
	return 0;
}

static void set_time(struct xmp *x, const char *text, bool original)
{
	if ((x->has_original && !original) || iso_parse(text, &x->s->taken_us, &x->s->zone_min) < 0)
		return;
	x->s->has_taken = true;
	x->has_original = original;
}

static int take(struct xmp *x, enum property p, char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	text += strspn(text, " \t\r\n");
	if (!text[0])
		return 0;
	switch (p) {
	case SUBJECT:
	case HIERARCHY:
	case TAGS_LIST:
		return add_tag(x, text, p);
	case RATING:
		return set_rating(x, text);
	case DESCRIPTION: /* the first language is the default one */
		return x->s->comment ? 0 : foreign_comment(x->s, text, x->why);
	case ORIGINAL:
	case CREATED:
		set_time(x, text, p == ORIGINAL);
		break;
	case NONE:
		break;
	}
	return 0;
}

static void empty(struct buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Simple properties may be attributes of rdf:Description. */
static int take_attributes(struct xmp *x, const char **attrs)
{
	int r = 0;

	for (; attrs[0] && r == 0; attrs += 2) {
		enum property p = property_of(attrs[0]);
		CLEANUP(freep) char *value = p ? strdup(attrs[1]) : NULL;

		if (p)
			r = value ? take(x, p, value) : -ENOMEM;
	}
	return r;
}

static void on_start(void *user, const char *name, const char **attrs)
{
	struct xmp *x = user;
	enum property p = property_of(name);
	int r;

	if (++x->depth > XMP_DEPTH) {
		why_set(x->why, "is nested deeper than %d elements", XMP_DEPTH);
		stop(x, -EBADMSG);
		return;
	}
	if (x->property == NONE && p != NONE) {
		x->property = p;
		x->at = x->depth;
		x->taken = false;
	}
	empty(&x->text);
	r = take_attributes(x, attrs);
	if (r < 0)
		stop(x, r);
}

static void on_text(void *user, const char *text, int len)
{
	struct xmp *x = user;

	if (x->property == NONE || buf_add(&x->text, text, (size_t)len) == 0)
		return;
	if (x->text.error == -EFBIG)
		why_set(x->why, "has more than %d KiB in one element", XMP_TEXT / 1024);
	stop(x, x->text.error == -EFBIG ? -EBADMSG : x->text.error);
}

static void on_end(void *user, const char *name)
{
	struct xmp *x = user;
	bool item = strcmp(name, rdf_li) == 0, whole = x->depth == x->at && !x->taken;
	int r = 0;

	if (x->result) /* expat may deliver the end of <a/> after its start stopped the parse */
		return;
	if (x->property != NONE && (item || whole) && x->text.data) {
		x->taken = true;
		r = take(x, x->property, x->text.data);
	}
	empty(&x->text);
	if (x->depth-- == x->at) {
		x->property = NONE;
		x->at = 0;
	}
	if (r < 0)
		stop(x, r);
}

static void on_doctype(void *user, const char *name, const char *sysid, const char *pubid,
		       int internal)
{
	struct xmp *x = user;

	why_set(x->why, "has a document type, which is never read");
	stop(x, -EBADMSG);
}

/* ---- keywords ---- */

/* "person" of "object/person". */
static bool is_part_of(const char *part, const char *path)
{
	size_t n = strlen(part);

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == n && memcmp(p, part, n) == 0)
			return true;
		p += len + (p[len] == '/');
	}
	return false;
}

/* Said before, or, as a plain word, a part of a path that says more. */
static bool is_said(const struct xmp *x, size_t i)
{
	for (size_t k = 0; k < x->n_tags; k++) {
		const struct tag *a = &x->tag[i], *b = &x->tag[k];

		if (k < i && strcmp(a->text, b->text) == 0)
			return true;
		if (a->plain && !b->plain && is_part_of(a->text, b->text))
			return true;
	}
	return false;
}

static int add_labels(struct xmp *x)
{
	int r = 0;

	for (size_t i = 0; i < x->n_tags && r == 0; i++)
		if (!is_said(x, i))
			r = foreign_tag(x->s, x->tag[i].text, x->why);
	return r;
}

int xmp_parse(const char *text, size_t len, struct sidecar *s, char *why)
{
	struct xmp x = {.s = s, .why = why, .text = BUF(XMP_TEXT)};

	x.parser = XML_ParserCreateNS(NULL, ' ');
	if (!x.parser)
		return -ENOMEM;
	XML_SetUserData(x.parser, &x);
	XML_SetElementHandler(x.parser, on_start, on_end);
	XML_SetCharacterDataHandler(x.parser, on_text);
	XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
	if (XML_Parse(x.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK && !x.result)
		x.result = xml_failed(x.parser, why);
	XML_ParserFree(x.parser);
	if (x.result == 0)
		x.result = add_labels(&x);
	for (size_t i = 0; i < x.n_tags; i++)
		free(x.tag[i].text);
	free(x.tag);
	buf_done(&x.text);
	return x.result;
}
