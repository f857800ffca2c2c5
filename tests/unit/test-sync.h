/* test-sync.h - the whole house below fs, with one or two stores that fail as told. */
#pragma once

#include "test-ingest.h"

#undef LOG_ROOM
#include "shutterfs/net.h"
#include "sync/sync_private.h"

#include <dirent.h>
#include <ftw.h>

#define STORES 2
struct town {
	struct house house;
	char root[STORES][64], path[STORES][256];
	struct store_config store_conf[STORES];
	struct store_slot slot[STORES];
	struct target target[STORES];
	size_t n;
	struct fetch *fetch;
	struct sync *sync;
};

static inline void on_due(void *user, int64_t due_us)
{
	struct town *t = user;

	if (t->sync)
		sync_kick(t->sync, due_us);
}

static inline void stores_open(struct town *t, const char *const *rules)
{
	static char name[STORES][8] = {"cloud", "attic"}, none[] = "", layout[] = LAYOUT;
	static char dir[] = "dir", fault[] = "fault";
	CLEANUP(buf_done) struct buf err = BUF(4096);

	for (size_t i = 0; i < t->n; i++) {
		(void)snprintf(t->root[i], sizeof(t->root[i]), "%.40s/%s", t->house.dir, name[i]);
		(void)snprintf(t->path[i], sizeof(t->path[i]), "%s%s%s", t->root[i],
			       rules[i] && rules[i][0] ? "?" : "", rules[i] ? rules[i] : "");
		t->store_conf[i] = (struct store_config){.name = name[i],
							 .driver = rules[i] ? fault : dir,
							 .path = t->path[i],
							 .prefix = none,
							 .layout = layout,
							 .threads = 8};
		ok(store_new(&t->store_conf[i], &err, &t->slot[i].store));
	}
}

static inline void town_open(struct town *t, const char *const *rules)
{
	struct house *h = &t->house;
	struct sync_parts parts = {.conf = &h->conf, .n_stores = t->n, .store = t->slot};

	stores_open(t, rules);
	ok(catalog_open(h->state, &h->cat));
	ok(cache_new(h->state, h->cache_dir, 64 << 20, &h->cache));
	for (size_t i = 0; i < t->n; i++) {
		ok(catalog_store_id(h->cat, t->store_conf[i].name, &t->slot[i].id));
		t->target[i] = (struct target){t->slot[i].id, LAYOUT};
	}
	h->conf.fetch_threads = 8;
	h->conf.fetch_deadline_us = 2000000;
	catalog_set_stores(h->cat, t->target, t->n);
	ok(ingest_new(&h->conf, h->cat, h->cache, t->target, t->n, h->camera, h->n_cameras,
		      &h->in));
	ok(fetch_new(&h->conf, h->cat, h->cache, t->slot, t->n, &t->fetch));
	parts.catalog = h->cat;
	parts.cache = h->cache;
	parts.fetch = t->fetch;
	parts.ingest = h->in;
	parts.camera = h->camera;
	parts.n_cameras = h->n_cameras;
	ok(sync_new(&parts, &t->sync));
	ingest_on_due(h->in, on_due, t);
}

/* rules: NULL is a local directory, "" a remote store that never fails. */
static inline void town_new(struct town *t, const char *cloud, const char *attic, size_t n)
{
	const char *rules[] = {cloud, attic};

	*t = (struct town){.n = n};
	house_new(&t->house);
	town_open(t, rules);
}

static inline void town_stop(struct town *t)
{
	int64_t began = mono_us();

	ingest_on_due(t->house.in, NULL, NULL);
	t->sync = sync_free(t->sync);
	t->fetch = fetch_free(t->fetch);
	house_close(&t->house);
	for (size_t i = 0; i < t->n; i++)
		t->slot[i].store = store_free(t->slot[i].store);
	assert_true(mono_us() - began < 5000000);
}

static inline void town_restart(struct town *t, const char *cloud, const char *attic)
{
	const char *rules[] = {cloud, attic};

	town_stop(t);
	town_open(t, rules);
}

static inline void town_end(struct town *t)
{
	CLEANUP(buf_done) struct buf faults = BUF(65536);

	ok(catalog_check(t->house.cat, &faults));
	if (faults.len > 0)
		print_error("%s", faults.data);
	assert_int_equal(faults.len, 0);
	town_stop(t);
	ok(remove_tree(AT_FDCWD, t->house.dir));
}

/* n pictures in upload/front, a second apart. */
static inline void upload_many(struct town *t, unsigned first, unsigned n)
{
	struct upload_row row;
	int64_t dir;
	char name[32];

	dir = ingest_lookup(t->house.in, 0, "front", &row) == 0 ? row.id
								: make_dir(&t->house, 0, "front");
	for (unsigned i = first; i < first + n; i++) {
		(void)snprintf(name, sizeof(name), "20201231_15%02u%02u.jpg", i / 60 % 60, i % 60);
		assert_int_equal(row_of(&t->house, copy_picture(&t->house, dir, name, i)).state,
				 UPLOAD_REGISTERED);
	}
}

static inline int drain(struct town *t, char why[256])
{
	struct call c = {.deadline_us = mono_us() + 50000000};
	int r = sync_drain(t->sync, true, &c, NULL, NULL);

	(void)snprintf(why, 256, "%s", c.why);
	return r;
}

static unsigned pictures_found, sidecars_found;
static inline int count_object(const char *path, const struct stat *st, int type, struct FTW *f)
{
	size_t n = strlen(path);

	pictures_found += type == FTW_F && n > 4 && strcmp(path + n - 4, ".jpg") == 0;
	sidecars_found += type == FTW_F && n > 5 && strcmp(path + n - 5, ".json") == 0;
	return 0;
}

static inline void assert_objects(const char *root, unsigned pictures, unsigned sidecars)
{
	pictures_found = sidecars_found = 0;
	(void)nftw(root, count_object, 16, FTW_PHYS);
	assert_int_equal(pictures_found, pictures);
	assert_int_equal(sidecars_found, sidecars);
}

static inline struct cache_totals cached(struct town *t)
{
	struct cache_totals x;

	cache_recount(t->house.cache);
	cache_totals(t->house.cache, &x);
	return x;
}

static inline void put_file(struct town *t, size_t store, const char *key, const void *data,
			    size_t len)
{
	char path[512], *slash;

	(void)snprintf(path, sizeof(path), "%s/%s", t->root[store], key);
	slash = strrchr(path, '/');
	*slash = '\0';
	ok(make_dirs(path, 0700));
	*slash = '/';
	ok(write_file_atomic(AT_FDCWD, path, data, len, 0600));
}
