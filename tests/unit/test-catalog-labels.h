/* test-catalog-labels.h - labels of pictures, as their sidecars, directories and histories tell them. */
#pragma once

#include "test-catalog-temp.h"

#include "shutterfs/codec.h"

#include <math.h>

static inline int64_t label_id(struct temp *t, const char *kind, const char *value)
{
	struct label_row k, v;

	if (catalog_kind_find(t->c, kind, &k) < 0 || catalog_label_find(t->c, k.id, value, &v) < 0)
		return 0;
	return v.id;
}

static inline int add_label(struct temp *t, int64_t id, const char *kind, const char *value,
			    const double *box)
{
	struct label l = {
		.kind = (char *)kind, .value = (char *)value, .by = (char *)"me", .score = NAN};

	l.has_box = box != NULL;
	if (box)
		memcpy(l.box, box, sizeof(l.box));
	return catalog_label_add(t->c, id, &l);
}

/* "kind/value kind/value ", as its sidecar has them. */
static inline const char *labels_of(struct temp *t, int64_t id)
{
	static char out[4096];
	CLEANUP(sidecar_done) struct sidecar s = {0};
	size_t len = 0;

	ok(catalog_sidecar(t->c, id, &s));
	out[0] = '\0';
	for (size_t i = 0; i < s.labels.n; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s/%s ",
					s.labels.item[i].kind, s.labels.item[i].value);
	return s.labels.looked ? out : "not looked";
}

static inline int count_snap(void *user, const struct snap *s)
{
	++*(int *)user;
	return 0;
}

static inline int pictures_of(struct temp *t, int64_t label)
{
	int n = 0;

	ok(catalog_list(t->c, (struct view){.kind = VIEW_LABEL, .id = label}, 18627, 0, 10000,
			count_snap, &n));
	return n;
}

/* The names that labels/ and its kinds list: "kind: value value; ". */
static inline const char *listing(struct temp *t)
{
	static char out[4096];
	struct label_row k = {0}, v;
	size_t len = 0;

	out[0] = '\0';
	while (catalog_kind_next(t->c, k.name, &k) == 0) {
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s:", k.name);
		v = (struct label_row){0};
		while (catalog_label_next(t->c, k.id, v.name, &v) == 0)
			len += (size_t)snprintf(out + len, sizeof(out) - len, " %s", v.name);
		len += (size_t)snprintf(out + len, sizeof(out) - len, "; ");
	}
	return out;
}

static inline int keep_history(void *user, const struct history *h)
{
	struct buf *out = user;

	assert_true(h->at_us > NOON_US);
	return buf_printf(out, "%s|%s|%s\n", h->who, h->what, h->was ? h->was : "-");
}

static inline const char *history_of(struct temp *t, int64_t id)
{
	static char text[65536];
	CLEANUP(buf_done) struct buf out = BUF(sizeof(text) - 1);

	ok(catalog_history(t->c, id, keep_history, &out));
	(void)snprintf(text, sizeof(text), "%s", out.data ? out.data : "");
	return text;
}

static inline int finish_one(void *user, const struct outbox_item *item)
{
	*(struct outbox_item *)user = *item;
	return 1;
}

static inline int drain(struct temp *t, int64_t store)
{
	struct outbox_item item;
	bool settled;
	int n = 0;

	for (;; n++) {
		item.id = 0;
		assert_true(catalog_outbox_claim(t->c, store, now_us(), 1, finish_one, &item) >= 0);
		if (item.id == 0)
			return n;
		ok(catalog_outbox_done(t->c, &item, "etag", item.snap.size, now_us(), &settled));
	}
}

/* Both stores have it, and nothing is queued. */
static inline int64_t synced_picture(struct temp *t, unsigned n)
{
	int64_t id = add_picture(t, "front", n, 2);

	(void)drain(t, t->cloud);
	(void)drain(t, t->attic);
	return id;
}

static inline struct target *use_stores(struct temp *t)
{
	static struct target target[2];

	target[0] = (struct target){t->cloud, LAYOUT};
	target[1] = (struct target){t->attic, LAYOUT};
	catalog_set_stores(t->c, target, 2);
	return target;
}

static inline int edit(struct temp *t, int64_t id, const char *text)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX];

	ok(sidecar_parse(text, strlen(text), &s, why));
	return catalog_edit_sidecar(t->c, id, &s, "vim");
}
