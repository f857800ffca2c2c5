/* test-codec-memory.c - the memory of a cage has an end, and what wants more gets an error.
 *
 * Built without sanitizers, whichever the others are built with: beside their shadow memory there can be no such limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cage.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <turbojpeg.h>
#include <unistd.h>

enum {
	MIB = 1024 * 1024,
	PEAK_KIB = 150 * 1024, /* the limit, and what a cage is born with */
	BOMB_SIDE = 16000,     /* its coefficients are 488 MiB */
	GREEDY = 66            /* pictures of this width, see below */
};

/* Whether there is memory at p, all of which is used then. */
static bool fill(void *p, size_t n)
{
	volatile uint8_t *bytes = p;

	if (p == MAP_FAILED || !p)
		return false;
	for (size_t i = 0; i < n; i += 4096)
		bytes[i] = 1;
	return true;
}

/* ---- pictures ---- */
/* A grey progressive picture whose one scan is empty, with the Huffman table that lets a decoder go on and see that. */
static size_t make_picture(uint8_t out[128], unsigned side)
{
	const uint8_t frame[] = {0xff,
				 0xc2,
				 0,
				 11,
				 8,
				 (uint8_t)(side >> 8),
				 (uint8_t)side,
				 (uint8_t)(side >> 8),
				 (uint8_t)side,
				 1,
				 1,
				 0x11,
				 0};
	static const uint8_t rest[] = {0xff, 0xc4, 0, 20, 0, 1, 0, 0, 0,    0,   0,    0,
				       0,    0,    0, 0,  0, 0, 0, 0, 0,    0,   0xff, 0xda,
				       0,    8,    1, 1,  0, 0, 0, 0, 0xff, 0xd9};
	uint8_t tables[71] = {0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};

	memset(tables + 7, 1, 64);
	memcpy(out, tables, sizeof(tables));
	memcpy(out + sizeof(tables), frame, sizeof(frame));
	memcpy(out + sizeof(tables) + sizeof(frame), rest, sizeof(rest));
	return sizeof(tables) + sizeof(frame) + sizeof(rest);
}

/* What we never do with a picture; libjpeg-turbo's "Insufficient memory" is -ENOMEM. */
static int decode(const uint8_t *data, size_t len, char why[WHY_MAX])
{
	static uint8_t out[BOMB_SIDE / 8 * BOMB_SIDE / 8];
	tjhandle tj = tjInitDecompress();
	int r = 0, w, h, sub, space;

	(void)tjDecompressHeader3(tj, data, len, &w, &h, &sub, &space);
	w = (w + 7) / 8;
	h = (h + 7) / 8;
	if (tjDecompress2(tj, data, len, out, w, 0, h, TJPF_GRAY, 0) < 0 &&
	    tjGetErrorCode(tj) == TJERR_FATAL)
		r = strstr(tjGetErrorStr2(tj), "Insufficient memory") ? -ENOMEM : -EBADMSG;
	why_set(why, "%s", tjGetErrorStr2(tj));
	(void)tjDestroy(tj);
	return r;
}

int __real_jpeg_inspect(int fd, const void *data, uint64_t size, struct jpeg_facts *ret,
			char why[WHY_MAX]);
int __wrap_jpeg_inspect(int fd, const void *data, uint64_t size, struct jpeg_facts *ret,
			char why[WHY_MAX]);

/* The cages of this program decode what they are asked about, and do not look whether they got what a greedy picture wants.
 * They say who they are. */
int __wrap_jpeg_inspect(int fd, const void *data, uint64_t size, struct jpeg_facts *ret,
			char why[WHY_MAX])
{
	uint8_t bytes[128];
	int r = size > sizeof(bytes) ? -EFBIG : pread_all(fd, bytes, size, 0);

	if (r == 0)
		r = decode(bytes, size, why);
	if (r == 0)
		r = __real_jpeg_inspect(fd, data, size, ret, why);
	if (r < 0)
		return r;
	if (ret->width == GREEDY)
		*(volatile char *)malloc(CAGE_HEAP) = 1;
	why_set(why, "%d", getpid());
	return 0;
}

static int ask(unsigned side, char why[WHY_MAX])
{
	CLEANUP(closep) int fd = memfd_create("picture", MFD_CLOEXEC);
	struct jpeg_info info = {0};
	uint8_t data[128];
	size_t n = make_picture(data, side);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, n), 0);
	r = jpeg_probe_fd(fd, &info, why);
	assert_true(r < 0 || info.width == side);
	return r;
}

/* ---- processes ---- */
/* Runs fn in a child, in a cage or at large; whether it said so, and what its memory came to. */
static bool child_says(bool (*fn)(size_t n), size_t n, bool caged, long *ret_peak_kib)
{
	struct rusage used;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (caged)
			(void)cage_lock();
		_exit(fn(n));
	}
	assert_true(pid > 0);
	assert_int_equal(wait4(pid, &status, 0, &used), pid);
	assert_true(WIFEXITED(status));
	*ret_peak_kib = used.ru_maxrss;
	return WEXITSTATUS(status);
}

static long peak_kib(const char *pid)
{
	CLEANUP(buf_done) struct buf text = BUF(8192);
	const char *line;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/status", pid);
	assert_int_equal(read_file(AT_FDCWD, path, text.max, &text), 0);
	line = strstr(text.data, "VmHWM:");
	assert_non_null(line);
	return strtol(line + strlen("VmHWM:"), NULL, 10);
}

/* ---- the limit ---- */
static bool by_malloc(size_t n)
{
	return fill(malloc(n), n);
}

static bool by_pieces(size_t n)
{
	while (n >= MIB && fill(malloc(MIB), MIB))
		n -= MIB;
	return n < MIB;
}

static bool by_mmap(size_t n)
{
	return fill(mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), n);
}

static bool by_mremap(size_t n)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return fill(mremap(p, 4096, n, MREMAP_MAYMOVE), n);
}

static bool by_brk(size_t n)
{
	return fill(sbrk((intptr_t)n), n);
}

/* At large each of them gets it, or its failure would prove nothing. */
static void memory_has_an_end(void **state)
{
	static bool (*const ways[])(size_t) = {by_malloc, by_pieces, by_mmap, by_mremap, by_brk};
	long peak;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		assert_true(child_says(ways[i], CAGE_HEAP + 32 * MIB, false, &peak));
		assert_true(peak > PEAK_KIB);
		assert_true(child_says(ways[i], CAGE_HEAP - 32 * MIB, true, &peak));
		assert_false(child_says(ways[i], CAGE_HEAP + 32 * MIB, true, &peak));
		assert_true(peak < PEAK_KIB);
	}
}

/* ---- bombs ---- */
static bool decodes(size_t side)
{
	uint8_t data[128];
	char why[WHY_MAX];

	return decode(data, make_picture(data, (unsigned)side), why) == 0;
}

static void bombs_go_off_inside(void **state)
{
	long peak;

	assert_true(child_says(decodes, BOMB_SIDE, false, &peak));
	assert_true(peak > 3 * PEAK_KIB);
	assert_false(child_says(decodes, BOMB_SIDE, true, &peak));
	assert_true(peak < PEAK_KIB);
	assert_true(child_says(decodes, 1600, true, &peak));
}

static void who_asks_is_told_and_asks_on(void **state)
{
	char cage[WHY_MAX], why[WHY_MAX];

	assert_int_equal(ask(1600, cage), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(ask(BOMB_SIDE, why), -ENOMEM);
		assert_non_null(strstr(why, "Insufficient memory"));
		assert_int_equal(ask(1600, why), 0);
		assert_string_equal(why, cage);
	}
	assert_true(peak_kib(cage) < PEAK_KIB);
}

/* Where a parser that does not look falls over, its cage goes with it, and no other. */
static void one_that_does_not_look_falls_alone(void **state)
{
	char cage[WHY_MAX], why[WHY_MAX];

	assert_int_equal(ask(10, cage), 0);
	assert_int_equal(ask(GREEDY, why), -EBADMSG);
	assert_string_equal(why, "is a picture that breaks what reads it");
	assert_int_equal(ask(10, why), 0);
	assert_string_not_equal(why, cage);
	assert_true(peak_kib(why) < PEAK_KIB);
}

static int setup(void **state)
{
	return codec_start();
}

static int teardown(void **state)
{
	codec_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_has_an_end),
		cmocka_unit_test(bombs_go_off_inside),
		cmocka_unit_test(who_asks_is_told_and_asks_on),
		cmocka_unit_test(one_that_does_not_look_falls_alone),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
