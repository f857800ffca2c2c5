/* take.c - what a record says about one picture is brought to it, and what becomes of that is counted. */
#include "shutterfs/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- counting ---- */

void exchange_count(struct exchange *x, const char *subject, enum taken t, const char *why)
{
	x->taken[t]++;
	if (x->refused && (t == TAKEN_SAME || t == TAKEN_UNKNOWN || t == TAKEN_BAD))
		x->refused(x->user, subject, why);
}

void exchange_say(const struct exchange *x, char *out, size_t size)
{
	static const char *const words[TAKEN_KINDS] = {
		[TAKEN_ADDED] = "taken in",
		[TAKEN_SAME] = "duplicates",
		[TAKEN_REMOVED] = "removed",
		[TAKEN_TRASHED] = "removed with their pictures",
		[TAKEN_UNKNOWN] = "without a picture",
		[TAKEN_BAD] = "bad",
	};
	size_t len = 0;

	(void)snprintf(out, size, "nothing");
	for (int i = 0; i < TAKEN_KINDS && len < size; i++)
		if (x->taken[i])
			len += (size_t)snprintf(out + len, size - len, "%s%" PRIu64 " %s",
						len ? ", " : "", x->taken[i], words[i]);
}

/* ---- the picture ---- */

static int find(struct exchange *x, const char *name, struct snap *ret, enum taken *taken,
		char why[WHY_MAX])
{
	int r = catalog_named(x->cat, name, x->camera, ret);

	if (r != -ENOENT && r != -ENOTUNIQ)
		return r < 0 ? r : 1;
	*taken = r == -ENOENT ? TAKEN_UNKNOWN : TAKEN_BAD;
	(void)snprintf(why, WHY_MAX,
		       r == -ENOENT
			       ? "there is no picture of that name"
			       : "several cameras have such a picture: name it with its camera");
	return 0;
}

/* ---- labels ---- */

static int add_labels(struct exchange *x, int64_t id, const struct labels *l, bool *changed)
{
	int r = 0;

	for (size_t i = 0; i < l->n && r == 0; i++) {
		struct label one = l->item[i];

		if (!one.by)
			one.by = (char *)x->by; /* copied there */
		r = catalog_label_add(x->cat, id, &one);
		*changed = *changed || r == 0;
		r = r == -EEXIST ? 0 : r;
	}
	return r;
}

/* All but the labels, and those only where nobody has looked. */
static int add_rest(struct exchange *x, int64_t id, const struct sidecar *s,
		    const struct sidecar *has, bool *changed)
{
	struct sidecar rest = {.labels = {.looked = s->labels.looked && !has->labels.looked}};

	rest.comment = has->comment && has->comment[0] ? NULL : s->comment;
	rest.has_rating = s->has_rating && s->rating && !has->rating;
	rest.rating = rest.has_rating ? s->rating : 0;
	rest.has_starred = s->has_starred && s->starred && !has->starred;
	rest.starred = rest.has_starred;
	if (!rest.labels.looked && !rest.comment && !rest.has_rating && !rest.has_starred)
		return 0;
	*changed = true;
	return catalog_merge_sidecar(x->cat, id, &rest);
}

static int add_sidecar(struct exchange *x, const struct snap *snap, const struct sidecar *s,
		       enum taken *ret, char why[WHY_MAX])
{
	CLEANUP(sidecar_done) struct sidecar has = {0};
	bool changed = false;
	int r = catalog_sidecar(x->cat, snap->id, &has);

	if (r == 0)
		r = add_rest(x, snap->id, s, &has, &changed);
	if (r == 0)
		r = add_labels(x, snap->id, &s->labels, &changed);
	*ret = changed ? TAKEN_ADDED : TAKEN_SAME;
	(void)snprintf(why, WHY_MAX, "the picture has all of it already");
	if (r == -EINVAL || r == -E2BIG) {
		*ret = TAKEN_BAD;
		(void)snprintf(why, WHY_MAX, "it " SIDECAR_FULL);
		return 0;
	}
	return r;
}

int exchange_sidecar(struct exchange *x, const char *name, const struct sidecar *s, enum taken *ret,
		     char why[WHY_MAX])
{
	struct snap snap;
	int r = find(x, name, &snap, ret, why);

	return r == 1 ? add_sidecar(x, &snap, s, ret, why) : r;
}

/* ---- documents ---- */

struct facts { /* what a document says that matters here */
	char *img_id;
	bool to_delete, is_sidecar;
};

static int note_fact(void *user, const char *key, const char *raw, size_t len)
{
	struct facts *f = user;
	CLEANUP(buf_done) struct buf text = BUF(NAME_LIMIT);

	if (strcmp(key, "schema") == 0) {
		f->is_sidecar = strncmp(raw, "\"shutterfs/", 11) == 0;
	} else if (strcmp(key, "to_delete") == 0) {
		f->to_delete = len == 4 && memcmp(raw, "true", 4) == 0;
	} else if (strcmp(key, "img_id") == 0 && raw[0] == '"' &&
		   json_decode(raw, len, &text) == 0) {
		free(f->img_id);
		f->img_id = TAKE(text.data);
	}
	return 0;
}

struct search {
	const char *fp1;
	int64_t id; /* 0: not found */
	uint64_t n; /* of all */
};

static int look_at(void *user, const struct document *d)
{
	struct search *s = user;

	s->n++;
	if (strcmp(d->fp1, s->fp1) == 0)
		s->id = d->id;
	return 0;
}

/* Does anything want the picture to stay? */
static int is_held(struct catalog *cat, const struct snap *snap, bool *ret)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int r = catalog_sidecar(cat, snap->id, &s);

	if (r == 0)
		*ret = s.documents || s.labels.n > 0 || s.starred;
	return r;
}

static int remove_document(struct exchange *x, const struct snap *snap, const char *fp1,
			   enum taken *ret, char why[WHY_MAX])
{
	struct search s = {.fp1 = fp1};
	bool held = true;
	int r = catalog_documents(x->cat, snap->id, look_at, &s);

	if (r < 0)
		return r;
	if (!s.id) {
		*ret = TAKEN_UNKNOWN;
		(void)snprintf(why, WHY_MAX, "the picture has no such document to delete");
		return 0;
	}
	r = catalog_document_remove(x->cat, s.id, x->by);
	if (r == 0)
		r = is_held(x->cat, snap, &held);
	if (r == 0 && !held)
		r = catalog_trash(x->cat, snap->id, now_us() + x->trash_us, x->by);
	if (r == 0)
		*ret = held ? TAKEN_REMOVED : TAKEN_TRASHED;
	return r;
}

static int add_document(struct exchange *x, const struct snap *snap, const char *body,
			enum taken *ret, char why[WHY_MAX])
{
	int r = catalog_document_add(x->cat, snap->id, body, x->by, NULL);

	*ret = r == 0 ? TAKEN_ADDED : r == -EEXIST ? TAKEN_SAME : TAKEN_BAD;
	if (r == -EEXIST)
		(void)snprintf(why, WHY_MAX, "the picture has this document (EEXIST): a duplicate");
	else if (r == -EINVAL)
		(void)snprintf(why, WHY_MAX, "it is not a label document that can be kept");
	else if (r == -EFBIG || r == -E2BIG)
		(void)snprintf(why, WHY_MAX, "the picture's documents together are too large");
	else
		return r;
	return 0;
}

int exchange_document(struct exchange *x, int64_t snapshot, const char *name, const char *text,
		      size_t len, enum taken *ret, char fp1[33], char why[WHY_MAX])
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct label_document d = {0};
	struct facts f = {0};
	struct snap snap;
	char img_id[STEM_MAX + 1];
	int r = json_scan(text, len, note_fact, &f, why);

	if (fp1)
		fp1[0] = '\0';
	*ret = TAKEN_BAD;
	if (r == 0 && snapshot)
		r = catalog_snap(x->cat, snapshot, &snap) == 0 ? 1 : -ENOENT;
	else if (r == 0 && !name && !f.img_id)
		(void)snprintf(why, WHY_MAX, "it has no img_id");
	else if (r == 0)
		r = find(x, name ? name : f.img_id, &snap, ret, why);
	if (r == 0 && *ret == TAKEN_UNKNOWN && name && f.img_id && strcmp(name, f.img_id) != 0)
		r = find(x, f.img_id, &snap, ret, why);
	if (r == 1 && f.is_sidecar) {
		r = sidecar_parse(text, len, &s, why);
		if (r == 0)
			r = add_sidecar(x, &snap, &s, ret, why);
	} else if (r == 1) {
		(void)snprintf(img_id, sizeof(img_id), "%.*s", (int)strcspn(snap.stem, "_"),
			       snap.stem);
		r = label_document_parse(text, len, img_id, &d, why);
		if (r == 0 && fp1)
			memcpy(fp1, d.fp1, sizeof(d.fp1));
		if (r == 0)
			r = f.to_delete ? remove_document(x, &snap, d.fp1, ret, why)
					: add_document(x, &snap, text, ret, why);
		label_document_done(&d);
	}
	free(f.img_id);
	return r == -EBADMSG ? 0 : r; /* why says it */
}
