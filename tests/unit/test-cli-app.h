/* test-cli-app.h - for the cli's tests: a house over a config in a directory of its own, and pictures in it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "shutterfs/codec.h"

#define ok(call) assert_int_equal((call), 0)
#define NOON_US INT64_C(1609412400000000) /* 2020-12-31T11:00:00Z */
#define DAY_US INT64_C(86400000000)

struct house {
	char dir[40], conf_path[64];
	struct config *conf;
	struct app *app;
};

static inline int house_open(void **state)
{
	struct house *h = calloc(1, sizeof(*h));
	CLEANUP(buf_done) struct buf err = BUF(65536);
	static const char text[] =
		"[shutterfs]\nstate = state\ncache = cache\ntimezone = Europe/Prague\n"
		"[store \"archive\"]\ndriver = dir\npath = archive\n"
		"[camera \"front\"]\ndriver = http\nurl = http://127.0.0.1:9/\n";

	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/test-cli-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	(void)snprintf(h->conf_path, sizeof(h->conf_path), "%s/shutterfs.conf", h->dir);
	ok(write_file_atomic(AT_FDCWD, h->conf_path, text, sizeof(text) - 1, 0600));
	ok(config_load(h->conf_path, &err, &h->conf));
	ok(app_open(h->conf, NULL, &err, &h->app));
	*state = h;
	return 0;
}

static inline int house_close(void **state)
{
	struct house *h = *state;

	assert_null(app_close(h->app));
	(void)config_free(h->conf);
	ok(remove_tree(AT_FDCWD, h->dir));
	free(h);
	return 0;
}

/* A picture of the n-th hour after noon, whose bytes (not a real JPEG's) are in the spool. */
static inline int64_t add_picture(struct house *h, const char *camera, unsigned n,
				  const struct sidecar *side)
{
	struct registration reg = {.camera = camera,
				   .taken_us = NOON_US + n * DAY_US / 24,
				   .sidecar = side,
				   .target = h->app->target,
				   .n_targets = h->app->n_stores};
	struct blob_writer *w;
	char data[64];
	int64_t id;
	bool is_new;

	reg.size = (uint64_t)snprintf(data, sizeof(data), "%s %u", camera, n);
	ok(sha256_of(data, reg.size, &reg.sha));
	ok(blob_begin(h->app->cache, BLOB_SPOOL, reg.size, &w));
	ok(blob_write(w, data, reg.size));
	ok(blob_commit(w, &reg.sha, false, NULL));
	ok(catalog_register(h->app->catalog, &reg, &id, &is_new));
	assert_true(is_new);
	return id;
}
