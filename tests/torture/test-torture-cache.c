/* The cache while calls fail: what was put into the spool stays, nothing strays. */
#include "../unit/test-cache.h"
#include "torture.h"

#include "shutterfs/codec.h"

/* Blobs have their true names: after a failed start they are doubted, and hashed. */
static struct sha256 name_of(unsigned n)
{
	char data[BLOB];
	struct sha256 sha;

	fill(data, BLOB, n);
	assert_int_equal(sha256_of(data, BLOB, &sha), 0);
	return sha;
}

static void look(int fd, unsigned n)
{
	bool was_armed = shim_pause();

	check_fd(fd, n, BLOB);
	if (was_armed)
		shim_resume();
}

static int try_put(struct room *t, enum blob_area area, unsigned n)
{
	struct sha256 sha = name_of(n);
	char data[BLOB];
	struct blob_writer *w;
	int fd, r = blob_begin(t->c, area, BLOB, &w);

	if (r < 0)
		return r;
	fill(data, BLOB, n);
	r = blob_write(w, data, BLOB);
	if (r < 0) {
		w = blob_abort(w);
		return r;
	}
	r = blob_commit(w, &sha, area == BLOB_SPOOL, &fd);
	if (r < 0)
		return r;
	look(fd, n);
	return close(fd);
}

static ino_t inode_of(struct room *t, unsigned n)
{
	bool was_armed = shim_pause();
	struct sha256 sha = name_of(n);
	struct stat st;
	int fd;

	assert_int_equal(cache_open(t->c, &sha, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(close(fd), 0);
	if (was_armed)
		shim_resume();
	return st.st_ino;
}

/* Accepted bytes come a second time: whatever goes wrong with these, the first ones stay. */
static int put_over(struct room *t, unsigned n)
{
	ino_t before = inode_of(t, n);
	int r = try_put(t, BLOB_SPOOL, n);

	assert_int_equal(inode_of(t, n), before);
	return r;
}

static int try_open(struct room *t, unsigned n)
{
	struct sha256 sha = name_of(n);
	CLEANUP(closep) int fd = -1;
	int r = cache_open(t->c, &sha, &fd);

	if (r == 0)
		look(fd, n);
	return r;
}

static void *begin(void)
{
	struct room *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	setup(t, 4 * BLOB);
	assert_int_equal(try_put(t, BLOB_SPOOL, 1), 0);
	assert_int_equal(try_put(t, BLOB_CACHE, 2), 0);
	t->c = cache_free(t->c);
	return t;
}

static int see_blob(void *user, const struct sha256 *sha, uint64_t size)
{
	*(unsigned *)user += size == BLOB;
	return 0;
}

static int try_count(struct room *t, unsigned want)
{
	unsigned n = 0;
	int r = cache_each(t->c, BLOB_SPOOL, see_blob, &n);

	if (r == 0)
		assert_int_equal(n, want);
	return r;
}

static void work(void *data)
{
	struct room *t = data;
	struct sha256 one = name_of(1);

	again(cache_new(t->state, t->cache, 4 * BLOB, &t->c));
	cache_recount(t->c);
	again(try_open(t, 1));
	for (unsigned n = 3; n < 7; n++)
		again(try_put(t, BLOB_SPOOL, n));
	again(put_over(t, 1));
	again(put_over(t, 3));
	for (unsigned n = 7; n < 13; n++)
		again(try_put(t, BLOB_CACHE, n));
	again(try_count(t, 5));
	again(cache_settle(t->c, &one));
	again(cache_sync_spool(t->c));
}

static void end(void *data)
{
	struct room *t = data;

	cache_recount(t->c);
	assert_true(totals(t).cache_bytes <= 4 * BLOB);
	assert_int_equal(t->c->reserved, 0);
	reopen(t, 4 * BLOB);
	cache_recount(t->c);
	for (unsigned n = 3; n < 7; n++)
		assert_int_equal(try_open(t, n), 0);
	assert_int_equal(files_below(t->spool), 4);
	assert_int_equal(files_below(t->dir), 4 + totals(t).cache_files);
	assert_int_equal(try_put(t, BLOB_CACHE, 20), 0);
	teardown(t);
	free(t);
}

int main(void)
{
	static const struct scenario all[] = {{"cache", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
