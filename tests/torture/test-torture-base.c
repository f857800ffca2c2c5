/* The tools while calls fail: a file is the old or the new one, whole, and a pool runs what it took, once. */
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

#include "shutterfs/base.h"
#include "torture.h"

enum { JOBS = 8, FILES = 4 };

static const char old_text[] = "what was there", new_text[] = "what is there now";

struct desk {
	char dir[64], deep[96], file[96];
};

static void *begin(void)
{
	struct desk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	(void)snprintf(d->dir, sizeof(d->dir), "/tmp/test-base-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	(void)snprintf(d->deep, sizeof(d->deep), "%s/a/b/c", d->dir);
	(void)snprintf(d->file, sizeof(d->file), "%s/file", d->dir);
	assert_int_equal(write_file_atomic(AT_FDCWD, d->file, old_text, sizeof(old_text), 0600), 0);
	return d;
}

static int try_read(const struct desk *d, const char *want)
{
	CLEANUP(buf_done) struct buf got = BUF(64);
	int r = read_file(AT_FDCWD, d->file, got.max, &got);

	if (r == 0)
		assert_string_equal(got.data, want);
	return r;
}

static int try_write(const struct desk *d)
{
	int r = write_file_atomic(AT_FDCWD, d->file, new_text, sizeof(new_text), 0600);
	CLEANUP(buf_done) struct buf got = BUF(64);
	bool was_armed = shim_pause();

	assert_int_equal(read_file(AT_FDCWD, d->file, got.max, &got), 0);
	assert_true(strcmp(got.data, new_text) == 0 || (r < 0 && strcmp(got.data, old_text) == 0));
	if (was_armed)
		shim_resume();
	return r;
}

static int try_copy(const struct desk *d)
{
	CLEANUP(closep) int from = open(d->file, O_RDONLY | O_CLOEXEC);
	CLEANUP(closep) int to = from < 0 ? -1 : open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char got[sizeof(new_text)];
	int r = to < 0 ? -1 : copy_fd(from, to);

	if (r == 0)
		r = pread_all(to, got, sizeof(got), 0);
	if (r == 0)
		assert_string_equal(got, new_text);
	return r;
}

static int try_text(void)
{
	CLEANUP(buf_done) struct buf b = BUF(65536);

	for (int i = 0; i < 500; i++)
		(void)buf_printf(&b, "%d ", i);
	if (b.error == 0)
		assert_int_equal(b.len, 10 * 2 + 90 * 3 + 400 * 4);
	return b.error;
}

static int try_secret(void)
{
	CLEANUP(secret_done) struct secret s = {0};
	int r = secret_set(&s, "hunter2");

	return r < 0 ? r : secret_set(&s, "hunter3");
}

static void count(void *arg)
{
	(*(_Atomic unsigned *)arg)++;
}

static int try_pool(void)
{
	_Atomic unsigned ran = 0;
	unsigned taken = 0;
	struct pool *p;
	int first = 0, r = pool_new("torture", 4, JOBS, &p);

	if (r < 0)
		return r;
	for (int i = 0; i < JOBS; i++) {
		r = pool_run(p, count, &ran);
		taken += r == 0;
		first = first ? first : r;
	}
	p = pool_free(p);
	assert_int_equal(ran, taken);
	return first;
}

static int try_fill(const struct desk *d)
{
	char path[128];
	int r = make_dirs(d->deep, 0700);

	for (int i = 0; r == 0 && i < FILES; i++) {
		(void)snprintf(path, sizeof(path), "%s/%d", d->deep, i);
		r = write_file_atomic(AT_FDCWD, path, "x", 1, 0600);
	}
	return r;
}

static void work(void *data)
{
	struct desk *d = data;

	again(try_read(d, old_text));
	again(try_write(d));
	again(try_read(d, new_text));
	again(try_copy(d));
	again(try_text());
	again(try_secret());
	again(try_pool());
	again(try_fill(d));
	again(remove_tree(AT_FDCWD, d->deep));
}

static void end(void *data)
{
	struct desk *d = data;

	assert_int_equal(try_read(d, new_text), 0);
	assert_int_not_equal(access(d->deep, F_OK), 0);
	assert_int_equal(remove_tree(AT_FDCWD, d->dir), 0);
	free(d);
}

int main(void)
{
	static const struct scenario all[] = {{"base", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
