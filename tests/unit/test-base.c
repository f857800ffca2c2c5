/* test-base.c - capped buffers, digits, secrets, and files that are whole or not there. */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

static char dir[64];
static int dir_fd = -1;

static int make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test-base-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	closep(&dir_fd);
	return remove_tree(AT_FDCWD, dir);
}

static void buf_grows_to_its_limit_and_no_further(void **state)
{
	struct buf b = BUF(10);

	assert_int_equal(buf_str(&b, "12345"), 0);
	assert_int_equal(buf_printf(&b, "%d", 67890), 0);
	assert_string_equal(b.data, "1234567890");
	assert_int_equal(buf_add(&b, "", 0), 0);
	assert_int_equal(buf_str(&b, "x"), -EFBIG);
	assert_int_equal(b.len, 10);
	/* The first error sticks, also for what would fit. */
	assert_int_equal(buf_add(&b, "", 0), -EFBIG);
	assert_int_equal(buf_printf(&b, "%s", ""), -EFBIG);
	assert_string_equal(b.data, "1234567890");
	buf_done(&b);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.max, 10);
	assert_null(b.data);
}

static void buf_refuses_lengths_that_overflow(void **state)
{
	struct buf b = BUF(SIZE_MAX);

	assert_int_equal(buf_str(&b, "a"), 0);
	assert_int_equal(buf_add(&b, "b", SIZE_MAX - 1), -EFBIG);
	assert_string_equal(b.data, "a");
	buf_done(&b);
}

static void buf_keeps_zero_bytes(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(1 << 20);
	size_t i;

	for (i = 0; i < 1000; i++)
		assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(b.len, 3000);
	assert_memory_equal(b.data + 2997, "a\0b", 4);
}

static void hex_goes_there_and_back(void **state)
{
	const uint8_t data[] = {0x00, 0x9f, 0xff};
	uint8_t back[3] = {1, 2, 3};
	char text[7];

	hex_encode(data, 3, text);
	assert_string_equal(text, "009fff");
	assert_int_equal(hex_decode("009FfF", back, 3), 0);
	assert_memory_equal(back, data, 3);
}

static void hex_refuses_all_else_and_writes_nothing(void **state)
{
	static const char *const bad[] = {"",       "00112",  "0011223", "00112g",
					  "00112 ", "0x1122", "00112/",  "00112:"};
	uint8_t out[3] = {7, 7, 7};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hex_decode(bad[i], out, 3), -EINVAL);
	assert_memory_equal(out, "\7\7\7", 3);
}

static void secret_is_replaced_and_wiped(void **state)
{
	struct secret s = {NULL};

	assert_int_equal(secret_set(&s, "one"), 0);
	assert_int_equal(secret_set(&s, "two"), 0);
	assert_string_equal(s.text, "two");
	assert_int_equal(secret_set(&s, NULL), 0);
	assert_null(s.text);
	secret_done(&s);
}

static void why_is_cut_not_overrun(void **state)
{
	struct call c = {.deadline_us = 0};
	char lots[1000];

	memset(lots, 'x', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	call_why(&c, "%s", lots);
	assert_int_equal(strlen(c.why), sizeof(c.why) - 1);
	assert_true(errno_is_transient(-ETIMEDOUT));
	assert_true(errno_is_transient(-ECONNRESET));
	assert_false(errno_is_transient(-EACCES));
	assert_false(errno_is_transient(-ENOENT));
	assert_false(errno_is_transient(-ECANCELED));
	assert_false(errno_is_transient(0));
}

static void take_fd_leaves_nothing_to_close(void **state)
{
	CLEANUP(closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int kept = TAKE_FD(fd);

	assert_int_equal(fd, -1);
	assert_int_equal(close(kept), 0);
}

static void file_is_replaced_in_one_step(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(1000);
	struct stat st;

	assert_int_equal(write_file_atomic(dir_fd, "token", "one", 3, 0600), 0);
	assert_int_equal(write_file_atomic(dir_fd, "token", "second", 6, 0600), 0);
	assert_int_equal(read_file(dir_fd, "token", 100, &b), 0);
	assert_string_equal(b.data, "second");
	assert_int_equal(fstatat(dir_fd, "token", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* read_file appends. */
	assert_int_equal(read_file(dir_fd, "token", 6, &b), 0);
	assert_string_equal(b.data, "secondsecond");
}

static void failed_replacement_leaves_the_old_file(void **state)
{
	assert_int_equal(mkdirat(dir_fd, "taken", 0755), 0);
	assert_int_equal(write_file_atomic(dir_fd, "taken", "x", 1, 0600), -EISDIR);
	assert_int_equal(write_file_atomic(dir_fd, "none/x", "x", 1, 0600), -ENOENT);
	/* Nothing temporary is left: the directory can go as soon as `taken` has gone. */
	assert_int_equal(unlinkat(dir_fd, "taken", AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void read_file_has_a_limit(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(1000), small = BUF(2);

	assert_int_equal(write_file_atomic(dir_fd, "f", "12345", 5, 0644), 0);
	assert_int_equal(read_file(dir_fd, "f", 4, &b), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.error, 0);
	assert_int_equal(read_file(dir_fd, "f", 5, &b), 0);
	assert_int_equal(b.len, 5);
	assert_int_equal(read_file(dir_fd, "f", 5, &small), -EFBIG);
	assert_int_equal(read_file(dir_fd, "no", 5, &b), -ENOENT);
	assert_int_equal(read_file(dir_fd, ".", 5, &b), -EISDIR);
}

static void pread_all_tells_short_files(void **state)
{
	CLEANUP(closep) int fd = -1;
	char out[6] = "";

	assert_int_equal(write_file_atomic(dir_fd, "f", "12345", 5, 0644), 0);
	fd = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread_all(fd, out, 5, 0), 0);
	assert_string_equal(out, "12345");
	assert_int_equal(pread_all(fd, out, 3, 2), 0);
	assert_int_equal(pread_all(fd, out, 3, 3), -EIO);
	assert_int_equal(write_all(fd, "x", 1), -EBADF);
}

/* Into a longer file, so that an old tail would show. */
static void check_copy(int from, int to, size_t size)
{
	struct stat st;
	size_t i;

	assert_int_equal(copy_fd(from, to), 0);
	assert_int_equal(fstat(to, &st), 0);
	assert_int_equal(st.st_size, size);
	for (i = 0; i < size; i += 997) {
		char a, b;

		assert_int_equal(pread_all(from, &a, 1, (off_t)i), 0);
		assert_int_equal(pread_all(to, &b, 1, (off_t)i), 0);
		assert_int_equal(a, b);
	}
}

static void copies_are_whole(void **state)
{
	enum { SIZE = 700000 };
	CLEANUP(freep) char *data = malloc(SIZE);
	CLEANUP(closep) int from = openat(dir_fd, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CLEANUP(closep) int to = openat(dir_fd, "b", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CLEANUP(closep) int memory = memfd_create("other file system", MFD_CLOEXEC);
	size_t i;

	for (i = 0; i < SIZE; i++)
		data[i] = (char)(i * 31 + i / 253);
	assert_int_equal(write_all(from, data, SIZE), 0);
	assert_int_equal(write_all(to, data, SIZE), 0);
	assert_int_equal(write_all(to, data, SIZE), 0);
	check_copy(from, to, SIZE);
	check_copy(from, memory, SIZE);
	assert_int_equal(ftruncate(memory, 0), 0);
	check_copy(memory, to, 0);
}

static void copy_of_a_file_without_a_size(void **state)
{
	CLEANUP(closep) int from = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	CLEANUP(closep) int to = openat(dir_fd, "b", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	assert_int_equal(copy_fd(from, to), 0);
	assert_int_equal(fstat(to, &st), 0);
	assert_true(st.st_size > 100);
	assert_true(copy_fd(to, from) < 0);
}

static void make_dirs_makes_all_and_takes_what_is_there(void **state)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/a//b/c/", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	assert_int_equal(make_dirs(path, 0700), 0);
	assert_int_equal(fstatat(dir_fd, "a/b/c", &st, 0), 0);
	assert_int_equal(write_file_atomic(dir_fd, "a/file", "x", 1, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/a/file", dir);
	assert_int_equal(make_dirs(path, 0700), -ENOTDIR);
	(void)snprintf(path, sizeof(path), "%s/a/file/below", dir);
	assert_int_equal(make_dirs(path, 0700), -ENOTDIR);
	assert_int_equal(make_dirs("", 0700), -ENOENT);
	assert_int_equal(make_dirs("/", 0700), 0);
}

static void remove_tree_does_not_follow_links(void **state)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/tree/deep/er", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/keep", dir);
	assert_int_equal(make_dirs(path, 0700), 0);
	assert_int_equal(write_file_atomic(dir_fd, "keep/me", "x", 1, 0600), 0);
	assert_int_equal(write_file_atomic(dir_fd, "tree/deep/x", "x", 1, 0600), 0);
	assert_int_equal(symlinkat("../keep", dir_fd, "tree/link"), 0);
	assert_int_equal(symlinkat("keep", dir_fd, "link"), 0);
	assert_int_equal(remove_tree(dir_fd, "tree"), 0);
	assert_int_equal(remove_tree(dir_fd, "link"), 0);
	assert_int_equal(remove_tree(dir_fd, "never was"), 0);
	assert_int_equal(fstatat(dir_fd, "tree", &st, 0), -1);
	assert_int_equal(fstatat(dir_fd, "link", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(dir_fd, "keep/me", &st, 0), 0);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_grows_to_its_limit_and_no_further),
		cmocka_unit_test(buf_refuses_lengths_that_overflow),
		cmocka_unit_test(buf_keeps_zero_bytes),
		cmocka_unit_test(hex_goes_there_and_back),
		cmocka_unit_test(hex_refuses_all_else_and_writes_nothing),
		cmocka_unit_test(secret_is_replaced_and_wiped),
		cmocka_unit_test(why_is_cut_not_overrun),
		cmocka_unit_test(take_fd_leaves_nothing_to_close),
		IN_DIR(file_is_replaced_in_one_step),
		IN_DIR(failed_replacement_leaves_the_old_file),
		IN_DIR(read_file_has_a_limit),
		IN_DIR(pread_all_tells_short_files),
		IN_DIR(copies_are_whole),
		IN_DIR(copy_of_a_file_without_a_size),
		IN_DIR(make_dirs_makes_all_and_takes_what_is_there),
		IN_DIR(remove_tree_does_not_follow_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
