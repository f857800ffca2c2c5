/* test-fetch.h - a catalog, a cache and up to three stores whose pictures were found by a scan. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"
#include "test-source-jpeg.h"

#define STORES 3
#define T0 INT64_C(1609425955123456) /* 2020-12-31T14:45:55.123456Z */

struct world {
	char dir[40], state[64], cache_dir[64];
	char root[STORES][64], path[STORES][256];
	struct config conf;
	struct store_config store_conf[STORES];
	struct store_slot slot[STORES];
	size_t n;
	struct catalog *catalog;
	struct cache *cache;
	struct fetch *f;
	_Atomic unsigned became_local, stale[STORES];
};

/* Picture n: a JPEG with a comment that makes it its own; returns its bytes. */
static inline size_t picture(unsigned n, char out[1024])
{
	char comment[20] = {(char)0xff, (char)0xfe, 0, 18};

	(void)snprintf(comment + 4, sizeof(comment) - 4, "picture %06u", n % 1000000);
	memcpy(out, tiny_jpeg, 2);
	memcpy(out + 2, comment, sizeof(comment));
	memcpy(out + 2 + sizeof(comment), tiny_jpeg + 2, sizeof(tiny_jpeg) - 2);
	return sizeof(tiny_jpeg) + sizeof(comment);
}

static inline void key_of(unsigned n, char out[32])
{
	(void)snprintf(out, 32, "front/%u.jpg", n);
}

static inline void file_of(const struct world *w, size_t store, unsigned n, char out[128])
{
	char key[32];

	key_of(n, key);
	(void)snprintf(out, 128, "%s/%s", w->root[store], key);
}

static inline void put_object(struct world *w, size_t store, unsigned n)
{
	char path[128], data[1024];
	size_t len = picture(n, data);

	(void)snprintf(path, sizeof(path), "%s/front", w->root[store]);
	assert_int_equal(make_dirs(path, 0700), 0);
	file_of(w, store, n, path);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, data, len, 0600), 0);
}

static inline void note_event(void *user, int64_t snapshot, int64_t stale_store)
{
	struct world *w = user;

	if (stale_store == 0)
		w->became_local++;
	for (size_t i = 0; i < w->n; i++)
		if (w->slot[i].id == stale_store)
			w->stale[i]++;
}

static inline void fetch_begin(struct world *w)
{
	assert_int_equal(fetch_new(&w->conf, w->catalog, w->cache, w->slot, w->n, &w->f), 0);
	fetch_on_event(w->f, note_event, w);
}

/* `rules` of each store: NULL is a local one, else a remote one that fails by them ("" not at all). */
static inline void setup(struct world *w, int64_t deadline_us, const char *const *rules, size_t n)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);

	*w = (struct world){.n = n};
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-fetch-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->state, sizeof(w->state), "%s/state", w->dir);
	(void)snprintf(w->cache_dir, sizeof(w->cache_dir), "%s/cache", w->dir);
	w->conf = (struct config){.fetch_threads = 32, .fetch_deadline_us = deadline_us};
	assert_int_equal(make_dirs(w->state, 0700), 0);
	assert_int_equal(catalog_open(w->state, &w->catalog), 0);
	assert_int_equal(cache_new(w->state, w->cache_dir, 1 << 20, &w->cache), 0);
	for (size_t i = 0; i < n; i++) {
		static char name[STORES][6] = {"one", "two", "three"}, none[] = "";
		static char dir[] = "dir", fault[] = "fault";

		(void)snprintf(w->root[i], sizeof(w->root[i]), "%s/%s", w->dir, name[i]);
		(void)snprintf(w->path[i], sizeof(w->path[i]), "%s%s%s", w->root[i],
			       rules[i] && rules[i][0] ? "?" : "", rules[i] ? rules[i] : "");
		w->store_conf[i] = (struct store_config){.name = name[i],
							 .driver = rules[i] ? fault : dir,
							 .path = w->path[i],
							 .prefix = none,
							 .threads = 16};
		assert_int_equal(store_new(&w->store_conf[i], &err, &w->slot[i].store), 0);
		assert_int_equal(catalog_store_id(w->catalog, name[i], &w->slot[i].id), 0);
	}
	fetch_begin(w);
}

static inline void teardown(struct world *w)
{
	w->f = fetch_free(w->f);
	for (size_t i = 0; i < w->n; i++)
		w->slot[i].store = store_free(w->slot[i].store);
	w->cache = cache_free(w->cache);
	w->catalog = catalog_close(w->catalog);
	assert_int_equal(remove_tree(AT_FDCWD, w->dir), 0);
}

struct scan {
	struct world *w;
	size_t store;
	int64_t gen;
};

/* Stems of ours: the same key in two stores is the same snapshot. */
static inline int scan_object(void *user, const struct store_object *o)
{
	struct scan *s = user;
	struct scan_counts counts = {0};
	char stem[STEM_MAX + 1], img_id[IMG_ID_MAX + 1];
	unsigned n = (unsigned)strtoul(strrchr(o->key, '/') + 1, NULL, 10);

	(void)img_id_format(T0 + n, 0, img_id);
	(void)snprintf(stem, sizeof(stem), "%s_front", img_id);
	struct listed item = {.key = o->key,
			      .etag = o->etag,
			      .size = o->size,
			      .modified_us = o->modified_us,
			      .stem = stem,
			      .camera = "front",
			      .title = "front",
			      .taken_us = T0 + n,
			      .time_source = TIME_NAME};
	return catalog_scan_page(s->w->catalog, s->w->slot[s->store].id, s->gen, &item, 1, &counts);
}

static inline void scan(struct world *w, size_t store)
{
	struct scan s = {.w = w, .store = store};
	struct scan_counts counts = {0};
	struct call c = {0};
	char after[KEY_MAX + 1];
	bool left = true;

	assert_int_equal(catalog_scan_begin(w->catalog, w->slot[store].id, &s.gen, after), 0);
	assert_int_equal(store_list(w->slot[store].store, &c, "", NULL, scan_object, &s), 0);
	while (left)
		assert_int_equal(
			catalog_scan_end(w->catalog, w->slot[store].id, s.gen, &counts, &left), 0);
}

static inline struct snap snap_of(struct world *w, unsigned n)
{
	struct view all = {.kind = VIEW_ALL};
	char stem[STEM_MAX + 1], img_id[IMG_ID_MAX + 1];
	struct civil day;
	struct snap s;

	(void)img_id_format(T0 + n, 0, img_id);
	(void)snprintf(stem, sizeof(stem), "%s_front", img_id);
	civil_from_us(T0 + n, &day);
	assert_int_equal(catalog_find(w->catalog, all, day_from_civil(day.year, day.month, day.day),
				      stem, &s),
			 0);
	return s;
}

static inline void check_fd(int fd, unsigned n)
{
	char want[1024], got[1024];
	size_t len = picture(n, want);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, len);
	assert_int_equal(pread_all(fd, got, len, 0), 0);
	assert_memory_equal(got, want, len);
}

/* 0 and the right bytes, or the error. */
static inline int get(struct world *w, unsigned n)
{
	CLEANUP(closep) int fd = -1;
	struct call c = {0};
	int r = fetch_wait(w->f, snap_of(w, n).id, &c, &fd);

	if (r == 0)
		check_fd(fd, n);
	else
		assert_true(c.why[0]);
	return r;
}

static inline struct fetch_totals totals(struct world *w)
{
	struct fetch_totals t;

	fetch_totals(w->f, &t);
	return t;
}

/* A world with one picture, number 1, in each of its stores. */
static inline void setup_one(struct world *w, int64_t deadline_us, const char *rules)
{
	setup(w, deadline_us, &rules, 1);
	put_object(w, 0, 1);
	scan(w, 0);
}
