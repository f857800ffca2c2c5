/* test-catalog.h - for the catalog's tests: a catalog in a directory of its own, and snapshots
 * by the handful. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/catalog.h"

#define T0 INT64_C(1609425955123456) /* 2020-12-31 15:45:55.123456 in Prague */
#define T0_DAY 18627
#define T0_IMG "20201231T15-45-55-123456"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUNNING_SANITIZED 1
#elif defined(__has_feature)
#define RUNNING_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define RUNNING_SANITIZED 0
#endif

struct fixture {
	char dir[64];
	struct catalog *c;
};

static inline int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/shutterfs-catalog-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(zone_set("Europe/Prague"), 0);
	assert_int_equal(catalog_open(f->dir, &f->c), 0);
	*state = f;
	return 0;
}

static inline int fixture_close(void **state)
{
	struct fixture *f = *state;
	f->c = catalog_close(f->c);
	assert_int_equal(remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static inline void fixture_reopen(struct fixture *f)
{
	f->c = catalog_close(f->c);
	assert_int_equal(catalog_open(f->dir, &f->c), 0);
}

static inline struct sha256 sha_of(uint64_t n)
{
	struct sha256 sha = {{0}};
	memcpy(sha.b, &n, sizeof(n));
	sha.b[31] = 1;
	return sha;
}

/* A registration of `camera`, taken at `taken_us`, whose bytes are number `n`. */
static inline struct registration reg_of(const char *camera, int64_t taken_us, uint64_t n)
{
	return (struct registration){
		.camera = camera,
		.taken_us = taken_us,
		.zone_min = 60,
		.size = 1000 + n % 1000,
		.sha = sha_of(n),
		.width = 1920,
		.height = 1080,
	};
}

static inline int64_t registered(struct catalog *c, const struct registration *r)
{
	int64_t id = 0;
	bool new = false;
	assert_int_equal(catalog_register(c, r, &id, &new), 0);
	assert_true(id > 0);
	return id;
}

static inline int64_t snap_at(struct catalog *c, const char *camera, int64_t taken_us, uint64_t n)
{
	struct registration r = reg_of(camera, taken_us, n);
	return registered(c, &r);
}

static inline int64_t camera_id(struct catalog *c, const char *name)
{
	struct camera_row row;
	assert_int_equal(catalog_camera_find(c, name, &row), 0);
	return row.id;
}

/* A sidecar that says: looked, and these labels, each "kind=value". */
static inline void sidecar_of(struct sidecar *s, const char *const *label, size_t n)
{
	*s = (struct sidecar){.labels.looked = true};
	for (size_t i = 0; i < n; i++) {
		char kind[256], value[256];
		assert_int_equal(sscanf(label[i], "%255[^=]=%255[^\n]", kind, value), 2);
		struct label l = {.kind = kind, .value = value, .score = 0.5};
		assert_int_equal(labels_add(&s->labels, &l), 0);
	}
}

/* The fault report must be empty. */
static inline void assert_sound(struct catalog *c)
{
	struct buf out = BUF(65536);
	assert_int_equal(catalog_check(c, &out), 0);
	if (out.len > 0)
		fail_msg("catalog_check: %s", out.data);
	buf_done(&out);
}
