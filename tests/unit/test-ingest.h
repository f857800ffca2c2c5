/* test-ingest.h - an upload tree over a real catalog and cache, its writers, and pictures made from a number. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/ingest_private.h"
#include "shutterfs/codec.h"
#include "test-source-jpeg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYOUT "{camera}/{yyyy}/{mm}/{dd}/{stem}.jpg"
#define PICTURE_MAX 1024
#define ok(call) assert_int_equal((call), 0)

struct house {
	char dir[40], state[64], cache_dir[64];
	struct config conf;
	struct catalog *cat;
	struct cache *cache;
	struct target target;
	size_t n_targets;
	struct camera_slot camera[2];
	size_t n_cameras;
	struct ingest *in;
};

/* Picture n, with a comment of its own; `exif`: "2020:12:31 15:45:55" or NULL. Returns its length. */
static inline size_t picture(unsigned n, const char *exif, char out[PICTURE_MAX])
{
	static const char head[] = "Exif\0\0II*\0\10\0\0\0"
				   "\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0"
				   "\1\0\3\x90\2\0\x14\0\0\0\x2c\0\0\0\0\0\0\0";
	char comment[20] = {(char)0xff, (char)0xfe, 0, 18},
	     app1[4] = {(char)0xff, (char)0xe1, 0, 72};
	size_t len = 0;

	(void)snprintf(comment + 4, sizeof(comment) - 4, "picture %06u", n % 1000000);
	memcpy(out, tiny_jpeg, 2);
	len = 2;
	if (exif) {
		memcpy(out + len, app1, 4);
		memcpy(out + len + 4, head, 50);
		memcpy(out + len + 54, exif, 20);
		len += 74;
	}
	memcpy(out + len, comment, sizeof(comment));
	memcpy(out + len + sizeof(comment), tiny_jpeg + 2, sizeof(tiny_jpeg) - 2);
	return len + sizeof(comment) + sizeof(tiny_jpeg) - 2;
}

static inline void house_open(struct house *h)
{
	ok(catalog_open(h->state, &h->cat));
	ok(cache_new(h->state, h->cache_dir, 64 << 20, &h->cache));
	if (h->n_targets) {
		ok(catalog_store_id(h->cat, "cloud", &h->target.store));
		h->target.layout = LAYOUT;
	}
	ok(ingest_new(&h->conf, h->cat, h->cache, &h->target, h->n_targets, h->camera, h->n_cameras,
		      &h->in));
}

static inline void house_close(struct house *h)
{
	h->in = ingest_free(h->in);
	h->cache = cache_free(h->cache);
	h->cat = catalog_close(h->cat);
}

static inline void house_new(struct house *h)
{
	*h = (struct house){.n_targets = 1};
	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/test-ingest-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	(void)snprintf(h->state, sizeof(h->state), "%s/state", h->dir);
	(void)snprintf(h->cache_dir, sizeof(h->cache_dir), "%s/cache", h->dir);
	ok(make_dirs(h->state, 0700));
	ok(zone_set("Europe/Prague"));
	h->conf = (struct config){.state = h->state};
}

static inline int house_setup(void **state)
{
	struct house *h = calloc(1, sizeof(*h));

	house_new(h);
	house_open(h);
	*state = h;
	return 0;
}

static inline int house_teardown(void **state)
{
	struct house *h = *state;
	CLEANUP(buf_done) struct buf faults = BUF(65536);

	if (h->cat) {
		ok(catalog_check(h->cat, &faults));
		if (faults.len > 0)
			print_error("%s", faults.data);
		assert_int_equal(faults.len, 0);
	}
	house_close(h);
	ok(remove_tree(AT_FDCWD, h->dir));
	free(h);
	return 0;
}

static inline int64_t make_dir(struct house *h, int64_t parent, const char *name)
{
	struct upload_row row;

	ok(ingest_mkdir(h->in, parent, name, 0755, 0, 0, &row));
	assert_true(row.id > 0);
	return row.id;
}

static inline struct upload_file *begin(struct house *h, int64_t dir, const char *name,
					int64_t *ret_id)
{
	struct upload_file *f = NULL;
	struct upload_row row;

	ok(ingest_create(h->in, dir, name, O_WRONLY, 0644, 0, 0, &row, &f));
	if (ret_id)
		*ret_id = row.id;
	return f;
}

static inline void end(struct upload_file *f)
{
	ok(ingest_flush(f));
	ingest_release(f);
}

/* What cp does; returns the entry. */
static inline int64_t copy_in(struct house *h, int64_t dir, const char *name, const void *data,
			      size_t len)
{
	int64_t id;
	struct upload_file *f = begin(h, dir, name, &id);

	ok(ingest_write(f, data, len / 2, 0));
	ok(ingest_write(f, (const char *)data + len / 2, len - len / 2, (off_t)(len / 2)));
	end(f);
	return id;
}

static inline int64_t copy_picture(struct house *h, int64_t dir, const char *name, unsigned n)
{
	char data[PICTURE_MAX];
	size_t len = picture(n, NULL, data);

	return copy_in(h, dir, name, data, len);
}

static inline int64_t copy_text(struct house *h, int64_t dir, const char *name, const char *text)
{
	return copy_in(h, dir, name, text, strlen(text));
}

static inline void set_mtime(struct house *h, int64_t id, int64_t ns)
{
	const struct upload_row row = {.mtime_ns = ns, .mtime_set = true};

	ok(ingest_set(h->in, id, &row, UPLOAD_SET_MTIME));
}

static inline struct upload_row row_of(struct house *h, int64_t id)
{
	struct upload_row row;

	ok(ingest_entry(h->in, id, &row));
	return row;
}

static inline struct snap snap_of(struct house *h, int64_t entry)
{
	struct upload_row row = row_of(h, entry);
	struct snap s;

	assert_int_equal(row.state, UPLOAD_REGISTERED);
	ok(catalog_snap(h->cat, row.snapshot, &s));
	return s;
}

static inline int64_t snapshots(struct house *h)
{
	struct catalog_totals t;

	ok(catalog_totals(h->cat, &t));
	return t.snapshots;
}

static inline void assert_error(struct house *h, int64_t id, const char *part)
{
	char error[256];

	ok(catalog_upload_error(h->cat, id, error));
	if (!strstr(error, part))
		print_error("error is: \"%s\"\n", error);
	assert_non_null(strstr(error, part));
}

static inline bool has_file(struct house *h, int64_t id)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/upload/%lld", h->state, (long long)id);
	return access(path, F_OK) == 0;
}

/* As if `seconds` had passed. */
static inline int64_t run_due(struct house *h, int seconds)
{
	int64_t next;

	ok(ingest_run_due(h->in, now_us() + seconds * INT64_C(1000000), &next));
	return next;
}

static inline void assert_bytes(struct house *h, const struct sha256 *sha, const void *data,
				size_t len)
{
	CLEANUP(closep) int fd = -1;
	char got[PICTURE_MAX];
	struct stat st;

	ok(cache_open(h->cache, sha, &fd));
	ok(fstat(fd, &st));
	assert_int_equal(st.st_size, len);
	ok(pread_all(fd, got, len, 0));
	assert_memory_equal(got, data, len);
}
