/* Attributes that people and file managers set on pictures: tags, a comment, a rating, a star. */
#include "nodes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define BY "user"
#define PLAIN_KIND "label" /* of a tag without a kind */

enum attribute { TAGS, COMMENT, RATING, STARRED, ATTRIBUTES };
static const char *const attribute_name[ATTRIBUTES] = {
	[TAGS] = "user.xdg.tags",
	[COMMENT] = "user.xdg.comment",
	[RATING] = "user.baloo.rating",
	[STARRED] = "user.shutterfs.starred",
};

static enum attribute attribute_of(const char *name)
{
	unsigned i = 0;

	while (i < ATTRIBUTES && strcmp(attribute_name[i], name) != 0)
		i++;
	return (enum attribute)i;
}

bool tag_attribute(const char *name)
{
	return attribute_of(name) != ATTRIBUTES;
}

/* ---- tags: "kind/value", or "value" of kind "label"; commas in them are shown as spaces ---- */

static int tag_text(const struct label *l, struct buf *out)
{
	size_t at = out->len;

	if (strcmp(l->kind, PLAIN_KIND) != 0 || strchr(l->value, '/'))
		(void)buf_printf(out, "%s/", l->kind);
	(void)buf_str(out, l->value);
	for (char *p = out->error ? NULL : out->data + at; p && *p; p++)
		if (*p == ',')
			*p = ' ';
	return out->error;
}

/* What each label is shown as, sorted by that: a sidecar may bring thousands, and a client ask for as many. */
struct shown {
	char *text; /* owned */
	size_t label;
};

static int by_text(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int r = strcmp(x->text, y->text);

	return r ? r : (x->label > y->label) - (x->label < y->label);
}

static void shown_done(struct shown *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(s[i].text);
	free(s);
}

static int shown_all(const struct labels *l, struct shown **ret)
{
	struct shown *s = calloc(l->n + 1, sizeof(*s));
	int r = s ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < l->n; i++) {
		CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);

		r = tag_text(&l->item[i], &text);
		s[i] = (struct shown){TAKE(text.data), i};
	}
	if (r < 0) {
		if (s)
			shown_done(s, l->n);
		return r;
	}
	qsort(s, l->n, sizeof(*s), by_text);
	*ret = s;
	return 0;
}

/* Each once, in the labels' order. */
static int tags_text(const struct labels *l, struct buf *out)
{
	CLEANUP(freep) const char **once = calloc(l->n + 1, sizeof(*once));
	struct shown *s = NULL;
	int r = once ? shown_all(l, &s) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || strcmp(s[i - 1].text, s[i].text) != 0)
			once[s[i].label] = s[i].text;
	for (size_t i = 0; i < l->n; i++)
		if (once[i])
			(void)buf_printf(out, "%s%s", out->len ? "," : "", once[i]);
	shown_done(s, l->n);
	return out->error;
}

/* What it is called where it is a label already; else as it is written. */
static int add_tag(const char *text, const struct labels *now, const struct shown *shown,
		   struct labels *want)
{
	CLEANUP(freep) char *copy = strdup(text);
	char *slash = copy ? strchr(copy, '/') : NULL;
	size_t low = 0, high = now->n;

	if (!copy)
		return -ENOMEM;
	while (low < high) { /* the first that is not before it */
		size_t mid = low + (high - low) / 2;

		if (strcmp(shown[mid].text, text) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < now->n && strcmp(shown[low].text, text) == 0)
		return labels_add(want, &now->item[shown[low].label]);
	if (slash)
		*slash = '\0';
	if (slash ? !copy[0] || !slash[1] : !copy[0])
		return -EINVAL;
	return labels_add(want, &(struct label){.kind = slash ? copy : (char *)PLAIN_KIND,
						.value = slash ? slash + 1 : copy,
						.by = (char *)BY, /* copied */
						.score = NAN});
}

static char *trimmed(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && strchr(" \t\n", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

static int set_tags(struct fs *fs, int64_t id, char *text)
{
	CLEANUP(sidecar_done) struct sidecar now = {0};
	CLEANUP(labels_done) struct labels want = {0};
	struct shown *shown = NULL;
	char *save = NULL;
	int r = catalog_sidecar(fs->parts.catalog, id, &now);

	if (r == 0)
		r = shown_all(&now.labels, &shown);
	for (char *tag = strtok_r(text, ",", &save); r == 0 && tag;
	     tag = strtok_r(NULL, ",", &save))
		if (*trimmed(tag))
			r = add_tag(trimmed(tag), &now.labels, shown, &want);
	if (shown)
		shown_done(shown, now.labels.n);
	return r < 0 ? r : catalog_tags(fs->parts.catalog, id, &want, BY);
}

/* A number from 0 to `max`, and nothing else. */
static int number_of(const char *text, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (strspn(text, "0123456789") == 0 || *end || value > max)
		return -EINVAL;
	*ret = (unsigned)value;
	return 0;
}

static int set_number(struct fs *fs, int64_t id, enum attribute a, const char *text)
{
	unsigned value = 0;
	int r = number_of(text, a == RATING ? RATING_MAX : 1, &value);

	if (r < 0)
		return r;
	return a == RATING ? catalog_rating(fs->parts.catalog, id, value, BY)
			   : catalog_star(fs->parts.catalog, id, value, BY);
}

static bool is_set(const struct sidecar *s, enum attribute a)
{
	switch (a) {
	case TAGS:
		return s->labels.n > 0;
	case COMMENT:
		return s->comment;
	case RATING:
		return s->rating > 0;
	default:
		return s->starred;
	}
}

static int check_flags(struct fs *fs, int64_t id, enum attribute a, int flags)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int r = flags ? catalog_sidecar(fs->parts.catalog, id, &s) : 0;

	if (r < 0 || !flags)
		return r;
	return flags == XATTR_CREATE ? (is_set(&s, a) ? -EEXIST : 0)
				     : (is_set(&s, a) ? 0 : -ENODATA);
}

int tag_set(struct fs *fs, int64_t id, const char *name, const char *value, size_t size, int flags)
{
	enum attribute a = attribute_of(name);
	CLEANUP(freep) char *text = strndup(value, size);
	int r = text ? check_flags(fs, id, a, flags) : -ENOMEM;

	if (r == 0 && strlen(text) != size) /* a NUL within */
		r = -EINVAL;
	if (r < 0)
		return r;
	if (a == TAGS)
		return set_tags(fs, id, text);
	return a == COMMENT ? catalog_comment(fs->parts.catalog, id, text, BY)
			    : set_number(fs, id, a, text);
}

int tag_remove(struct fs *fs, int64_t id, const char *name)
{
	char none[] = "";
	enum attribute a = attribute_of(name);
	int r = check_flags(fs, id, a, XATTR_REPLACE);

	if (r < 0)
		return r;
	if (a == TAGS)
		return set_tags(fs, id, none);
	return a == COMMENT ? catalog_comment(fs->parts.catalog, id, NULL, BY)
			    : set_number(fs, id, a, "0");
}

int tag_value(const struct sidecar *s, const char *name, struct buf *out)
{
	enum attribute a = attribute_of(name);

	if (a == STARRED)
		return buf_str(out, s->starred ? "1" : "0");
	if (!is_set(s, a))
		return -ENODATA;
	if (a == TAGS)
		return tags_text(&s->labels, out);
	return a == COMMENT ? buf_str(out, s->comment) : buf_printf(out, "%u", s->rating);
}

int tag_names(const struct sidecar *s, struct buf *out)
{
	for (unsigned a = 0; a < ATTRIBUTES; a++)
		if (is_set(s, (enum attribute)a))
			(void)buf_add(out, attribute_name[a], strlen(attribute_name[a]) + 1);
	return out->error;
}

/* ---- on an entry of upload/: the picture's once it is registered; what a client gave is remembered as it was given ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list's tags sorted: of `text`, whose commas become ends. */
static int split_tags(char *text, const char ***ret, size_t *ret_n)
{
	size_t n = 1, at = 0;
	char *save = NULL;

	for (const char *p = text; *p; p++)
		n += *p == ',';
	const char **tag = calloc(n, sizeof(*tag));
	if (!tag)
		return -ENOMEM;
	for (char *t = strtok_r(text, ",", &save); t; t = strtok_r(NULL, ",", &save))
		tag[at++] = t;
	qsort(tag, at, sizeof(*tag), by_name);
	*ret = tag;
	*ret_n = at;
	return 0;
}

/* The same ones in any order. */
static bool same_tags(const char *a, const char *b)
{
	CLEANUP(freep) char *text_a = strdup(a), *text_b = strdup(b);
	CLEANUP(freep) const char **tag_a = NULL, **tag_b = NULL;
	size_t n_a = 0, n_b = 0;

	if (!text_a || !text_b || split_tags(text_a, &tag_a, &n_a) < 0 ||
	    split_tags(text_b, &tag_b, &n_b) < 0 || n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (strcmp(tag_a[i], tag_b[i]) != 0)
			return false;
	return true;
}

int upload_tag_value(struct fs *fs, int64_t entry, int64_t snapshot, const char *name,
		     struct buf *out)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(buf_done) struct buf given = BUF(SIDECAR_BYTES);
	int r = catalog_sidecar(fs->parts.catalog, snapshot, &s);

	if (r == 0)
		r = tag_value(&s, name, out);
	/* In the order in which they were given: rsync -X compares. */
	if (r == 0 && attribute_of(name) == TAGS &&
	    catalog_xattr_get(fs->parts.catalog, entry, name, &given) == 0 &&
	    given.len == out->len && same_tags(out->data, given.data))
		memcpy(out->data, given.data, out->len);
	return r;
}

/* What came with the file, before it was a picture of ours. */
void tags_of_upload(void *user, int64_t entry, int64_t snapshot)
{
	struct fs *fs = user;

	for (unsigned a = TAGS; a <= RATING; a++) {
		CLEANUP(buf_done) struct buf given = BUF(SIDECAR_BYTES);
		int r = catalog_xattr_get(fs->parts.catalog, entry, attribute_name[a], &given);

		if (r == 0 && given.len > 0)
			r = tag_set(fs, snapshot, attribute_name[a], given.data, given.len, 0);
		if (r < 0 && r != -ENODATA)
			log_warn("%s of an upload was not taken in: %s", attribute_name[a],
				 strerror(-r));
	}
}
