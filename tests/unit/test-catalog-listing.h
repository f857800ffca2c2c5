/* test-catalog-listing.h - what a store lists, whole scans of it, and what the catalog then shows. */
#pragma once

#include "test-catalog-temp.h"

static inline struct listed foreign(const char *key, const char *etag, uint64_t size,
				    int64_t taken_us)
{
	return (struct listed){
		.key = key,
		.etag = etag,
		.size = size,
		.modified_us = taken_us,
		.camera = "yard",
		.title = "Yard cam",
		.taken_us = taken_us,
		.zone_min = 60,
		.time_source = TIME_MTIME,
	};
}

static inline struct listed ours(const char *key, const char *etag, uint64_t size, const char *stem)
{
	struct listed it = foreign(key, etag, size, NOON_US + 1000000);

	(void)snprintf(it.camera, sizeof(it.camera), "front");
	it.title = NULL;
	it.stem = stem;
	return it;
}

static inline struct listed beside(const char *key, const char *etag, const char *picture_key)
{
	return (struct listed){
		.key = key,
		.etag = etag,
		.size = 100,
		.modified_us = NOON_US,
		.is_sidecar = true,
		.picture_key = picture_key,
	};
}

static inline struct listed bad(const char *key, const char *error)
{
	return (struct listed){
		.key = key, .etag = "e", .size = 1, .modified_us = 1, .error = error};
}

/* A whole scan in one page. */
static inline struct scan_counts scan(struct temp *t, int64_t store, const struct listed *item,
				      size_t n)
{
	struct scan_counts count = {0};
	char after[KEY_MAX + 1];
	int64_t gen;
	bool left;

	ok(catalog_scan_begin(t->c, store, &gen, after));
	assert_string_equal(after, "");
	ok(catalog_scan_page(t->c, store, gen, item, n, &count));
	do
		ok(catalog_scan_end(t->c, store, gen, &count, &left));
	while (left);
	return count;
}
#define SCAN(t, store, ...)                            \
	scan(t, store, (struct listed[]){__VA_ARGS__}, \
	     sizeof((struct listed[]){__VA_ARGS__}) / sizeof(struct listed))

static inline void assert_counts(struct scan_counts c, unsigned added, unsigned changed,
				 unsigned rejected, unsigned gone)
{
	assert_int_equal(c.added, added);
	assert_int_equal(c.changed, changed);
	assert_int_equal(c.rejected, rejected);
	assert_int_equal(c.gone, gone);
}

static inline int count_snap(void *user, const struct snap *s)
{
	++*(int *)user;
	return 0;
}

static inline int visible(struct temp *t)
{
	int n = 0;

	ok(catalog_each(t->c, 0, 1000000, count_snap, &n));
	return n;
}

static inline int last_snap(void *user, const struct snap *s)
{
	*(struct snap *)user = *s;
	return 0;
}

static inline struct snap newest_row(struct temp *t)
{
	struct snap s = {0};

	ok(catalog_each(t->c, 0, 1000000, last_snap, &s));
	return s;
}

static inline int collect_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	return buf_printf(user, "%s=%s;", subject, error);
}

static inline void assert_errors(struct temp *t, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);

	ok(buf_str(&out, ""));
	ok(catalog_errors(t->c, 100, collect_error, &out));
	assert_string_equal(out.data, want);
}

/* What the outbox would do: picture and sidecar are in the store, as `etag`. */
static inline int take_item(void *user, const struct outbox_item *item)
{
	*(struct outbox_item *)user = *item;
	return 0;
}

static inline void push(struct temp *t, int64_t store, const char *etag)
{
	struct outbox_item item;
	bool settled;

	for (int i = 0; i < 2; i++) {
		ok(catalog_outbox_claim(t->c, store, 1, 1, take_item, &item));
		ok(catalog_outbox_done(t->c, &item, etag, item.snap.size, NOON_US, &settled));
	}
}

struct feed {
	unsigned n[CHANGE_UPLOAD + 1];
};

static inline void count_feed(void *user, const struct change *change, size_t n)
{
	struct feed *f = user;

	for (size_t i = 0; i < n; i++)
		f->n[change[i].what]++;
}
