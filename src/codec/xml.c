/* xml.c - the few XML answers we read: S3 listings and errors, a Foscam result; by expat.
 *
 * A document type is refused outright (no entities, so no amplification); sizes, depth and text are bounded. */
#include "xml.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	XML_BYTES = 8 * 1024 *
		    1024, /* a page of 1,000 keys of 1,024 bytes, percent-encoded, is below 4 MiB */
	XML_DEPTH = 16,
	XML_TEXT = 8 * 1024,
	XML_NAME = 32, /* longer names are none of those we know */
	PAGE_OBJECTS = 1000,
};

int xml_failed(XML_Parser parser, char why[WHY_MAX])
{
	enum XML_Error e = XML_GetErrorCode(parser);

#ifdef HAVE_XML_LINE_64 /* expat deprecates the other where it has this one */
	unsigned long line = (unsigned long)XML_GetCurrentLineNumber64(parser);
#else
	unsigned long line = (unsigned long)XML_GetCurrentLineNumber(parser);
#endif
	why_set(why, "is not XML at line %lu: %s", line, XML_ErrorString(e));
	return e == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
}

/* One parse.  `element` is called at the end of each leaf and parent alike with the text directly before its end tag;
 * depth 1 is the root.  Non-zero ends the parse with it. */
struct walk;
typedef int walk_fn(struct walk *w, unsigned depth, const char *parent, const char *name,
		    const char *text);
struct walk {
	XML_Parser parser;
	const char *root; /* the name that the root must have */
	walk_fn *element;
	void *user;
	char *why;
	unsigned depth;
	char name[XML_DEPTH + 1][XML_NAME];
	char text[XML_TEXT + 1];
	size_t text_len;
	int result;
};

static void walk_stop(struct walk *w, int result)
{
	if (!w->result)
		w->result = result;
	(void)XML_StopParser(w->parser, XML_FALSE);
}

static void on_start(void *user, const char *name, const char **attrs)
{
	struct walk *w = user;
	const char *colon = strrchr(name, ':');

	if (colon)
		name = colon + 1;
	if (w->depth == XML_DEPTH) {
		why_set(w->why, "is nested deeper than %d elements", XML_DEPTH);
		walk_stop(w, -EBADMSG);
		return;
	}
	if (w->depth == 0 && strcmp(name, w->root) != 0) {
		why_set(w->why, "is not a %s answer", w->root);
		walk_stop(w, -EBADMSG);
		return;
	}
	w->depth++;
	w->text_len = 0;
	(void)snprintf(w->name[w->depth], XML_NAME, "%s", name);
}

static void on_text(void *user, const char *text, int len)
{
	struct walk *w = user;

	if ((size_t)len > XML_TEXT - w->text_len) {
		why_set(w->why, "has more than %d bytes in one element", XML_TEXT);
		walk_stop(w, -EBADMSG);
		return;
	}
	memcpy(w->text + w->text_len, text, (size_t)len);
	w->text_len += (size_t)len;
}

static void on_end(void *user, const char *name)
{
	struct walk *w = user;
	int r;

	if (w->result) /* expat may deliver the end of <a/> after its start stopped the parse */
		return;
	w->text[w->text_len] = '\0';
	r = w->element(w, w->depth, w->name[w->depth - 1], w->name[w->depth], w->text);
	w->depth--;
	w->text_len = 0;
	if (r)
		walk_stop(w, r);
}

static void on_doctype(void *user, const char *name, const char *sysid, const char *pubid,
		       int internal)
{
	struct walk *w = user;

	why_set(w->why, "has a document type, which is never read");
	walk_stop(w, -EBADMSG);
}

static int walk_run(struct walk *w, const char *xml, size_t len)
{
	if (len > XML_BYTES) {
		why_set(w->why, "is larger than %d MiB", XML_BYTES / 1024 / 1024);
		return -EFBIG;
	}
	w->depth = 0;
	w->text_len = 0;
	w->result = 0;
	w->name[0][0] = '\0';
	w->parser = XML_ParserCreate(NULL);
	if (!w->parser)
		return -ENOMEM;
	XML_SetUserData(w->parser, w);
	XML_SetElementHandler(w->parser, on_start, on_end);
	XML_SetCharacterDataHandler(w->parser, on_text);
	XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
	if (XML_Parse(w->parser, xml, (int)len, XML_TRUE) != XML_STATUS_OK && !w->result)
		w->result = xml_failed(w->parser, w->why);
	XML_ParserFree(w->parser);
	return w->result;
}

/* ---- ListObjectsV2 ---- */

struct listing {
	bool url_encoded;
	bool second_pass;
	size_t objects;
	struct s3_list_page page;
	s3_object_fn *each;
	void *user;
	bool has_key, has_size;
	char key[XML_TEXT + 1], etag[256];
	struct s3_object object;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* In place, as S3 encodes: "%20" and "+" are spaces.  -EBADMSG: cut escape; -EILSEQ: a NUL, which no name of ours can hold. */
static int percent_decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int hi, lo;

		if (*s != '%') {
			*out++ = *s == '+' ? ' ' : *s;
			continue;
		}
		hi = hex_digit(s[1]);
		lo = hi < 0 ? -1 : hex_digit(s[2]);
		if (lo < 0)
			return -EBADMSG;
		if (hi == 0 && lo == 0)
			return -EILSEQ;
		*out++ = (char)(hi << 4 | lo);
		s += 2;
	}
	*out = '\0';
	return 0;
}

static void copy_etag(struct listing *l, const char *text)
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	(void)snprintf(l->etag, sizeof(l->etag), "%.*s", (int)len, text);
}

static int object_field(struct walk *w, struct listing *l, const char *name, const char *text)
{
	int zone, r;

	if (strcmp(name, "Key") == 0) {
		memcpy(l->key, text, w->text_len + 1);
		l->has_key = text[0] != '\0';
	} else if (strcmp(name, "ETag") == 0) {
		copy_etag(l, text);
	} else if (strcmp(name, "Size") == 0) {
		r = parse_u64(text, &l->object.size);
		if (r < 0)
			why_set(w->why, "has an object whose size is not a number");
		l->has_size = true;
		return r;
	} else if (strcmp(name, "LastModified") == 0) {
		r = iso_parse(text, &l->object.modified_us, &zone);
		if (r < 0)
			why_set(w->why, "has an object whose time is not one");
		return r < 0 ? -EBADMSG : 0;
	}
	return 0;
}

static int object_end(struct walk *w, struct listing *l)
{
	int r = 0;

	if (!l->has_key || !l->has_size) {
		why_set(w->why, "has an object without a key or size");
		return -EBADMSG;
	}
	if (++l->objects > PAGE_OBJECTS) {
		why_set(w->why, "has more than %d objects on a page", PAGE_OBJECTS);
		return -EBADMSG;
	}
	if (l->second_pass) {
		if (l->url_encoded)
			r = percent_decode(l->key);
		l->object.key = l->key;
		l->object.etag = l->etag;
		if (r == -EBADMSG)
			why_set(w->why, "has a key with a broken %% escape");
		else if (r == -EILSEQ)
			r = 0; /* such an object can have no name here: passed over */
		else
			r = l->each(l->user, &l->object);
	}
	l->has_key = l->has_size = false;
	l->etag[0] = '\0';
	l->object = (struct s3_object){0};
	return r;
}

static int list_element(struct walk *w, unsigned depth, const char *parent, const char *name,
			const char *text)
{
	struct listing *l = w->user;

	if (depth == 3 && strcmp(parent, "Contents") == 0)
		return object_field(w, l, name, text);
	if (depth != 2)
		return 0;
	if (strcmp(name, "Contents") == 0)
		return object_end(w, l);
	if (strcmp(name, "IsTruncated") == 0)
		l->page.truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "EncodingType") == 0)
		l->url_encoded = strcmp(text, "url") == 0;
	else if (strcmp(name, "NextContinuationToken") == 0) {
		if (w->text_len >= sizeof(l->page.next)) {
			why_set(w->why, "has a continuation token that is too long");
			return -EBADMSG;
		}
		memcpy(l->page.next, text, w->text_len + 1);
	}
	return 0;
}

/* Two passes: EncodingType may stand behind the objects, and nothing is reported from a page that is cut short. */
int s3_list_parse(const char *xml, size_t len, s3_object_fn *each, void *user,
		  struct s3_list_page *ret, char why[WHY_MAX])
{
	CLEANUP(freep) struct listing *l = calloc(1, sizeof(*l));
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	int r;

	why[0] = '\0';
	if (!l || !w)
		return -ENOMEM;
	l->each = each;
	l->user = user;
	w->root = "ListBucketResult";
	w->element = list_element;
	w->user = l;
	w->why = why;
	r = walk_run(w, xml, len);
	if (r < 0)
		return r;
	if (l->page.truncated && !l->page.next[0]) {
		why_set(why, "says that there is more, but not where");
		return -EBADMSG;
	}
	l->second_pass = true;
	l->objects = 0;
	r = walk_run(w, xml, len);
	if (r)
		return r;
	*ret = l->page;
	return 0;
}

/* ---- errors ---- */

/* For a log line: no control bytes, and cut between characters. */
static void copy_line(char *out, size_t size, const char *text)
{
	size_t len = utf8_cut(text, strlen(text), size - 1);

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
	out[len] = '\0';
}

static int error_element(struct walk *w, unsigned depth, const char *parent, const char *name,
			 const char *text)
{
	struct s3_error *e = w->user;

	if (depth != 2)
		return 0;
	if (strcmp(name, "Code") == 0)
		copy_line(e->code, sizeof(e->code), text);
	else if (strcmp(name, "Message") == 0)
		copy_line(e->message, sizeof(e->message), text);
	else if (strcmp(name, "Region") == 0)
		copy_line(e->region, sizeof(e->region), text);
	else if (strcmp(name, "Endpoint") == 0)
		copy_line(e->endpoint, sizeof(e->endpoint), text);
	return 0;
}

int s3_error_parse(const char *xml, size_t len, struct s3_error *ret)
{
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	struct s3_error e = {0};
	char why[WHY_MAX];
	int r;

	if (!w)
		return -ENOMEM;
	w->root = "Error";
	w->element = error_element;
	w->user = &e;
	w->why = why;
	r = walk_run(w, xml, len);
	if (r < 0)
		return r;
	if (!e.code[0])
		return -EBADMSG;
	*ret = e;
	return 0;
}

/* ---- Foscam ---- */

struct cgi_result {
	bool found;
	int value;
};

static int cgi_element(struct walk *w, unsigned depth, const char *parent, const char *name,
		       const char *text)
{
	struct cgi_result *c = w->user;
	char *end;
	long value;

	if (depth != 2 || strcmp(name, "result") != 0)
		return 0;
	value = strtol(text, &end, 10);
	if (end == text || *end || value < -1000 || value > 1000)
		return -EBADMSG;
	c->found = true;
	c->value = (int)value;
	return 0;
}

int cgi_result_parse(const char *xml, size_t len, int *ret)
{
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	struct cgi_result c = {0};
	char why[WHY_MAX];
	int r;

	if (!w)
		return -ENOMEM;
	w->root = "CGI_Result";
	w->element = cgi_element;
	w->user = &c;
	w->why = why;
	r = walk_run(w, xml, len);
	if (r < 0)
		return r;
	if (!c.found)
		return -EBADMSG;
	*ret = c.value;
	return 0;
}
