/* test-cache.h - a cache in a directory of its own, blobs made from a number, and looks at the disk behind its back. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOB 1000

struct room {
	char dir[48], state[64], cache[64], spool[80], blobs[80];
	struct cache *c;
};

static inline struct sha256 sha_of(unsigned n)
{
	struct sha256 sha = {{0}};

	/* Spread over shards, and several in one. */
	sha.b[0] = (uint8_t)(n * 37 % 64);
	memcpy(&sha.b[28], &n, sizeof(n));
	return sha;
}

static inline void path_of(const struct room *t, enum blob_area area, unsigned n, char out[256])
{
	struct sha256 sha = sha_of(n);
	char hex[SHA256_HEX];

	hex_encode(sha.b, 32, hex);
	(void)snprintf(out, 256, "%s/%.2s/%s", area == BLOB_SPOOL ? t->spool : t->blobs, hex, hex);
}

static inline void reopen(struct room *t, uint64_t limit)
{
	t->c = cache_free(t->c);
	assert_int_equal(cache_new(t->state, t->cache, limit, &t->c), 0);
}

static inline void setup_in(struct room *t, const char *state_base, const char *cache_base,
			    uint64_t limit)
{
	*t = (struct room){0};
	(void)snprintf(t->dir, sizeof(t->dir), "%s/test-cache-XXXXXX", state_base);
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->state, sizeof(t->state), "%s/state", t->dir);
	if (strcmp(state_base, cache_base) == 0)
		(void)snprintf(t->cache, sizeof(t->cache), "%s/cache", t->dir);
	else
		(void)snprintf(t->cache, sizeof(t->cache), "%.20s/%.30s", cache_base,
			       strrchr(t->dir, '/') + 1);
	(void)snprintf(t->spool, sizeof(t->spool), "%s/spool", t->state);
	(void)snprintf(t->blobs, sizeof(t->blobs), "%s/blobs", t->cache);
	reopen(t, limit);
}

static inline void setup(struct room *t, uint64_t limit)
{
	setup_in(t, "/tmp", "/tmp", limit);
}

static inline void teardown(struct room *t)
{
	t->c = cache_free(t->c);
	(void)!remove_tree(AT_FDCWD, t->cache);
	assert_int_equal(remove_tree(AT_FDCWD, t->dir), 0);
}

static inline void fill(char *data, size_t len, unsigned n)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(n * 31 + i * 7);
}

static inline void put(struct room *t, enum blob_area area, unsigned n, size_t len)
{
	CLEANUP(freep) char *data = malloc(len);
	struct sha256 sha = sha_of(n);
	struct blob_writer *w;

	assert_non_null(data);
	fill(data, len, n);
	assert_int_equal(blob_begin(t->c, area, len, &w), 0);
	assert_int_equal(blob_write(w, data, len / 3), 0);
	assert_int_equal(blob_write(w, data + len / 3, len - len / 3), 0);
	assert_int_equal(blob_commit(w, &sha, area == BLOB_SPOOL, NULL), 0);
}

static inline void check_written(int fd, unsigned n, size_t len)
{
	CLEANUP(freep) char *want = malloc(len), *got = malloc(len);
	struct stat st;

	assert_true(want && got);
	fill(want, len, n);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, len);
	assert_int_equal(pread_all(fd, got, len, 0), 0);
	assert_memory_equal(got, want, len);
}

static inline void check_fd(int fd, unsigned n, size_t len)
{
	check_written(fd, n, len);
	assert_int_equal(write(fd, "x", 1), -1); /* read-only */
}

static inline void check(struct room *t, unsigned n, size_t len)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 sha = sha_of(n);

	assert_int_equal(cache_open(t->c, &sha, &fd), 0);
	check_fd(fd, n, len);
}

static inline bool has(struct room *t, enum blob_area area, unsigned n)
{
	char p[256];

	path_of(t, area, n, p);
	return access(p, F_OK) == 0;
}

static inline void age(struct room *t, enum blob_area area, unsigned n, int64_t seconds)
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = now_us() / 1000000 - seconds}};
	char p[256];

	path_of(t, area, n, p);
	assert_int_equal(utimensat(AT_FDCWD, p, ts, 0), 0);
}

static inline int64_t mtime_of(struct room *t, enum blob_area area, unsigned n)
{
	struct stat st;
	char p[256];

	path_of(t, area, n, p);
	assert_int_equal(stat(p, &st), 0);
	return st.st_mtime;
}

static inline struct cache_totals totals(struct room *t)
{
	struct cache_totals x;

	cache_totals(t->c, &x);
	return x;
}

static unsigned files_found;
static inline int count_file(const char *path, const struct stat *st, int type, struct FTW *f)
{
	files_found += type == FTW_F && !strstr(path, "CACHEDIR.TAG") && !strstr(path, "/trust");
	return 0;
}

static inline unsigned files_below(const char *dir)
{
	files_found = 0;
	(void)nftw(dir, count_file, 16, FTW_PHYS);
	return files_found;
}
