/* fsx.c - changes a file at random, by write, truncate, mmap, O_DIRECT, O_APPEND and copy, and compares it with what it must be.
 *
 *   fsx FILE MODEL SEED OPERATIONS SECONDS
 *
 * MODEL has the bytes that FILE must have at the beginning (none: FILE is made) and is written at the end, so that the next run can go
 * on after whatever happens between them.  After each operation the size and the bytes about it are compared, now and then all.
 * Prints how many operations were done; at the first difference, what was done last.  Exit status: 0, or 1. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT = 256 << 10, LONGEST = 48 << 10, PAGE = 4096, ALL_EVERY = 64, SAID = 24 };

static struct {
	const char *path;
	char other[4096]; /* its name for a moment */
	int fd;
	size_t size;
	unsigned char want[LIMIT];
	uint64_t seed, dice, n;
	char said[SAID][96]; /* a ring */
} t;

static unsigned char scratch[LIMIT] __attribute__((aligned(PAGE)));

static uint64_t roll(void) /* splitmix64 */
{
	uint64_t z = t.dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t below(size_t n)
{
	return n ? (size_t)(roll() % n) : 0;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(t.said[t.n % SAID], sizeof(t.said[0]), format, args);
	va_end(args);
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "seed %" PRIu64 ", operation %" PRIu64 ": ", t.seed, t.n);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	for (uint64_t i = t.n >= SAID ? t.n - SAID + 1 : 0; i <= t.n; i++)
		(void)fprintf(stderr, "  %" PRIu64 ": %s\n", i, t.said[i % SAID]);
	exit(1);
}

/* Of a call that must have moved so many bytes, or 0. */
static void done(const char *what, ssize_t r, size_t wanted)
{
	if (r < 0)
		fail("%s: %s", what, strerror(errno));
	if ((size_t)r != wanted)
		fail("%s: %zd instead of %zu", what, r, wanted);
}

static void compare(const unsigned char *got, size_t off, size_t len, const char *how)
{
	if (memcmp(got, t.want + off, len) == 0)
		return;
	for (size_t i = 0; i < len; i++)
		if (got[i] != t.want[off + i])
			fail("%s: byte %zu is %02x instead of %02x (size %zu)", how, off + i,
			     got[i], t.want[off + i], t.size);
}

static void look(size_t off, size_t len)
{
	struct stat st;

	done("fstat", fstat(t.fd, &st), 0);
	if ((size_t)st.st_size != t.size)
		fail("size %jd instead of %zu", (intmax_t)st.st_size, t.size);
	off = off > PAGE ? off - PAGE : 0;
	len = off < t.size ? (len + 2 * PAGE < t.size - off ? len + 2 * PAGE : t.size - off) : 0;
	if (t.n % ALL_EVERY == 0) {
		off = 0;
		len = t.size;
	}
	done("pread", pread(t.fd, scratch, len, (off_t)off), len);
	compare(scratch, off, len, "read");
}

/* A range within the limit, mostly short. */
static size_t range(size_t *off)
{
	*off = below(LIMIT - 1);
	size_t most = LIMIT - *off < LONGEST ? LIMIT - *off : LONGEST;

	return 1 + below(roll() % 4 ? most / 16 + 1 : most);
}

/* A range within the file; 0: it is empty. */
static size_t range_inside(size_t *off)
{
	if (t.size == 0)
		return 0;
	*off = below(t.size);
	size_t most = t.size - *off < LONGEST ? t.size - *off : LONGEST;

	return 1 + below(most);
}

static void fill(unsigned char *to, size_t len)
{
	uint64_t r = roll();

	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		to[i] = (unsigned char)(r >> (8 * (i % 8)));
	}
}

/* What becomes of the model when bytes are put there. */
static void put(size_t off, size_t len)
{
	if (off > t.size)
		memset(t.want + t.size, 0, off - t.size);
	if (off + len > t.size)
		t.size = off + len;
}

static void resize(size_t size)
{
	if (size > t.size)
		memset(t.want + t.size, 0, size - t.size);
	t.size = size;
}

static int reopened(int flags)
{
	int fd = open(t.path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail("open(0%o): %s", (unsigned)flags, strerror(errno));
	return fd;
}

static void op_write(void)
{
	size_t off, len = range(&off);

	say("write %zu at %zu", len, off);
	put(off, len);
	fill(t.want + off, len);
	if (len < 3 || roll() % 4) {
		done("pwrite", pwrite(t.fd, t.want + off, len, (off_t)off), len);
	} else {
		struct iovec v[2] = {{t.want + off, len / 3},
				     {t.want + off + len / 3, len - len / 3}};

		done("pwritev", pwritev(t.fd, v, 2, (off_t)off), len);
	}
	look(off, len);
}

static void op_append(void)
{
	size_t off, len = range(&off);

	if (len > LIMIT - t.size)
		len = LIMIT - t.size;
	say("append %zu at %zu", len, t.size);
	off = t.size;
	put(off, len);
	fill(t.want + off, len);
	int fd = reopened(O_WRONLY | O_APPEND);

	done("write", write(fd, t.want + off, len), len);
	done("close", close(fd), 0);
	look(off, len);
}

static void op_direct(void)
{
	size_t off, len = range(&off);

	off = off / PAGE * PAGE;
	len = (len + PAGE - 1) / PAGE * PAGE;
	say("direct write %zu at %zu", len, off);
	put(off, len);
	fill(t.want + off, len);
	memcpy(scratch, t.want + off, len);
	int fd = reopened(O_RDWR | O_DIRECT);

	done("direct pwrite", pwrite(fd, scratch, len, (off_t)off), len);
	memset(scratch, 0, len);
	done("direct pread", pread(fd, scratch, len, (off_t)off), len);
	compare(scratch, off, len, "direct read");
	done("close", close(fd), 0);
	look(off, len);
}

static void op_truncate(void)
{
	size_t size = roll() % 8 ? below(LIMIT) : 0, from = size < t.size ? size : t.size;
	bool by_name = roll() % 2;

	say("truncate %zu to %zu, by %s", t.size, size, by_name ? "name" : "descriptor");
	done("truncate", by_name ? truncate(t.path, (off_t)size) : ftruncate(t.fd, (off_t)size), 0);
	resize(size);
	look(from, 1);
}

static void op_read(void)
{
	size_t off = 0, len = range_inside(&off);

	say("read %zu at %zu", len, off);
	look(off, len);
}

static void op_map(void)
{
	size_t off = 0, len = range_inside(&off), start = off / PAGE * PAGE;
	unsigned how = (unsigned)(roll() % 4);

	say("map %zu at %zu, %s", len, off,
	    how == 0   ? "read"
	    : how == 1 ? "write, msync"
		       : "write");
	if (len == 0)
		return;
	unsigned char *m = mmap(NULL, off - start + len, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd,
				(off_t)start);

	if (m == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	compare(m, start, off - start + len, "map");
	if (how) {
		fill(t.want + off, len);
		memcpy(m + (off - start), t.want + off, len);
	}
	if (how == 1)
		done("msync", msync(m, off - start + len, MS_SYNC), 0);
	if (how == 2) /* seen before it is written back */
		look(off, len);
	done("munmap", munmap(m, off - start + len), 0);
	look(off, len);
}

static void op_copy(void)
{
	size_t from = 0, len = range_inside(&from), to = below(LIMIT - LONGEST);

	if (len == 0 || (to < from + len && from < to + len))
		return;
	say("copy %zu from %zu to %zu", len, from, to);
	off_t in = (off_t)from, out = (off_t)to;

	done("copy_file_range", copy_file_range(t.fd, &in, t.fd, &out, len, 0), len);
	put(to, len);
	memcpy(t.want + to, t.want + from, len);
	look(to, len);
}

static void op_reopen(void)
{
	unsigned how = (unsigned)(roll() % 8);

	say("reopen%s", how == 0 ? ", truncate" : how == 1 ? ", sync" : "");
	done("close", close(t.fd), 0);
	t.fd = reopened(O_RDWR | (how == 0 ? O_TRUNC : how == 1 ? O_SYNC : 0));
	if (how == 0)
		resize(0);
	look(0, 1);
}

static void op_rename(void)
{
	say("rename, and back");
	done("rename", rename(t.path, t.other), 0);
	look(0, 1);
	done("rename", rename(t.other, t.path), 0);
}

static void op_sync(void)
{
	say("fsync");
	done("fsync", fsync(t.fd), 0);
}

static const struct {
	void (*run)(void);
	unsigned weight;
} ops[] = {{op_write, 30}, {op_read, 15}, {op_map, 25},   {op_truncate, 10}, {op_append, 6},
	   {op_direct, 5}, {op_copy, 6},  {op_reopen, 4}, {op_rename, 1},    {op_sync, 1}};

static void step(void)
{
	unsigned at = (unsigned)(roll() % 103);

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); at -= ops[i++].weight)
		if (at < ops[i].weight) {
			ops[i].run();
			return;
		}
}

static void load(const char *model)
{
	int fd = open(model, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, t.want, LIMIT);

	if (n < 0 || (fd < 0 && errno != ENOENT))
		fail("%s: %s", model, strerror(errno));
	t.size = (size_t)n;
	say("what was there, of %zu", t.size);
	t.fd = reopened(O_RDWR | (fd < 0 ? O_CREAT | O_EXCL : 0));
	if (fd >= 0)
		(void)close(fd);
	look(0, t.size);
}

static void save(const char *model)
{
	int fd = open(model, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		fail("%s: %s", model, strerror(errno));
	done(model, write(fd, t.want, t.size), t.size);
	done(model, close(fd), 0);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 2;
	t.path = argv[1];
	t.seed = t.dice = strtoull(argv[3], NULL, 10);
	uint64_t count = strtoull(argv[4], NULL, 10);
	time_t until = time(NULL) + (time_t)strtoul(argv[5], NULL, 10);

	(void)snprintf(t.other, sizeof(t.other), "%s.tmp", t.path);
	load(argv[2]);
	for (t.n = 1; t.n <= count && (t.n % 64 || time(NULL) < until); t.n++)
		step();
	t.n--;
	say("the end");
	look(0, t.size);
	done("close", close(t.fd), 0);
	save(argv[2]);
	printf("%" PRIu64 "\n", t.n);
	return 0;
}
