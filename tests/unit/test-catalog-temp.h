/* test-catalog-temp.h - a catalog in a directory of its own, pictures to register, and looks into its tables. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYOUT "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg"
#define NOON_US INT64_C(1609412400000000) /* 2020-12-31T11:00:00Z */

#define ok(call) assert_int_equal((call), 0)

struct temp {
	char dir[32];
	struct catalog *c;
	int64_t cloud, attic; /* two stores */
};

static inline int temp_open(void **state)
{
	struct temp *t = calloc(1, sizeof(*t));

	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/test-catalog-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	ok(zone_set("Europe/Prague"));
	ok(catalog_open(t->dir, &t->c));
	ok(catalog_store_id(t->c, "cloud", &t->cloud));
	ok(catalog_store_id(t->c, "attic", &t->attic));
	*state = t;
	return 0;
}

static inline int temp_close(void **state)
{
	struct temp *t = *state;
	CLEANUP(buf_done) struct buf faults = BUF(65536);

	ok(catalog_check(t->c, &faults));
	if (faults.len > 0)
		print_error("%s", faults.data);
	assert_int_equal(faults.len, 0);
	assert_null(catalog_close(t->c));
	ok(remove_tree(AT_FDCWD, t->dir));
	free(t);
	return 0;
}

static inline void temp_reopen(struct temp *t)
{
	t->c = catalog_close(t->c);
	ok(catalog_open(t->dir, &t->c));
}

/* The first column of one row, from outside. */
static inline int64_t peek(struct temp *t, const char *sql)
{
	char path[64];
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t got;

	(void)snprintf(path, sizeof(path), "%s/catalog.db", t->dir);
	ok(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL));
	ok(sqlite3_prepare_v2(db, sql, -1, &st, NULL));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	got = sqlite3_column_int64(st, 0);
	ok(sqlite3_finalize(st));
	ok(sqlite3_close(db));
	return got;
}

static inline struct sha256 sha_of(unsigned n)
{
	struct sha256 sha = {{0}};

	memcpy(sha.b, &n, sizeof(n));
	return sha;
}

/* A picture of 1000 + n bytes, taken n seconds after noon, for the first `stores` of the two. */
static inline int64_t add_picture(struct temp *t, const char *camera, unsigned n, size_t stores)
{
	const struct target target[] = {{t->cloud, LAYOUT}, {t->attic, LAYOUT}};
	struct registration reg = {
		.camera = camera,
		.taken_us = NOON_US + n * INT64_C(1000000),
		.size = 1000 + n,
		.sha = sha_of(n),
		.target = target,
		.n_targets = stores,
	};
	int64_t id;
	bool new;

	ok(catalog_register(t->c, &reg, &id, &new));
	assert_true(new);
	return id;
}

static inline struct snap snap_of(struct temp *t, int64_t id)
{
	struct snap s;

	ok(catalog_snap(t->c, id, &s));
	return s;
}
