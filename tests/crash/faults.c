/* faults.c - a library to preload: counts a program's calls that change files, and at the Nth kills it or makes the call fail.
 *
 * The orders are in a file that the test maps, too ($FAULTS_FILE), so it can count, arm and disarm while the program runs; unlike
 * strace's, the count is over all threads.  Standard output and error, pipes and sockets are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum call {
	WRITE,
	PWRITE,
	FSYNC,
	FDATASYNC,
	SYNCFS,
	LINK,
	RENAME,
	UNLINK,
	FTRUNCATE,
	CREATE,
	MKDIR,
	COPY,
	CALLS
};
enum action { NOTHING, KILL, FAIL };

/* Keep in step with faults.py. */
struct orders {
	_Atomic uint32_t action;
	_Atomic uint32_t mask;  /* 1 << enum call */
	_Atomic int32_t error;  /* FAIL: errno */
	_Atomic int32_t repeat; /* FAIL: that many calls */
	_Atomic int64_t left;   /* calls until then */
	_Atomic int64_t hits;
	_Atomic int64_t count[CALLS];
};

static struct orders *orders;

static int whole_disk = -1; /* powerfs's file for syncfs; opened before the worker is confined */

/* High: the low numbers have meanings between the supervisor and its workers. */
static void open_whole_disk(void)
{
	const char *path = getenv("FAULTS_SYNCFS");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	whole_disk = fcntl(fd, F_DUPFD_CLOEXEC, 500);
	(void)syscall(SYS_close, fd);
}

__attribute__((constructor)) static void faults_start(void)
{
	const char *path = getenv("FAULTS_FILE");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *p = MAP_FAILED;

	if (fd >= 0) {
		p = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		(void)syscall(SYS_close, fd);
	}
	if (p == MAP_FAILED)
		abort();
	orders = p;
	open_whole_disk();
}

/* True: this call is to fail with errno. */
static int fails(enum call what)
{
	int64_t left;

	if (!orders)
		return 0;
	atomic_fetch_add(&orders->count[what], 1);
	if (!atomic_load(&orders->action) || !(atomic_load(&orders->mask) & 1u << what))
		return 0;
	left = atomic_fetch_sub(&orders->left, 1);
	if (left > 1)
		return 0;
	if (atomic_load(&orders->action) ==
	    KILL) { /* the whole process group: all that the mount is made of */
		atomic_fetch_add(&orders->hits, 1);
		(void)syscall(SYS_kill, 0, SIGKILL);
		for (;;)
			(void)pause();
	}
	if (left <= 1 - atomic_load(&orders->repeat))
		return 0;
	atomic_fetch_add(&orders->hits, 1);
	errno = atomic_load(&orders->error);
	return 1;
}

static int counts(int fd)
{
	struct stat st;

	return fd > 2 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define BY_FD(what, type, name, params, fd, ...)                                 \
	type name params                                                         \
	{                                                                        \
		return counts(fd) && fails(what) ? -1 : REAL(name)(__VA_ARGS__); \
	}
#define BY_NAME(what, name, params, ...)                           \
	int name params                                            \
	{                                                          \
		return fails(what) ? -1 : REAL(name)(__VA_ARGS__); \
	}

BY_FD(WRITE, ssize_t, write, (int fd, const void *p, size_t n), fd, fd, p, n)
BY_FD(PWRITE, ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), fd, fd, p, n, at)
BY_FD(PWRITE, ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), fd, fd, p, n, at)
BY_FD(FSYNC, int, fsync, (int fd), fd, fd)
BY_FD(FDATASYNC, int, fdatasync, (int fd), fd, fd)
BY_FD(FTRUNCATE, int, ftruncate, (int fd, off_t size), fd, fd, size)
BY_FD(FTRUNCATE, int, ftruncate64, (int fd, off64_t size), fd, fd, size)
BY_FD(COPY, ssize_t, copy_file_range,
      (int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f), out, in, a, out, b, n, f)

/* A FUSE file system never hears of it: powerfs has a file for that ($FAULTS_SYNCFS). */
int syncfs(int fd)
{
	int r = counts(fd) && fails(SYNCFS) ? -1 : REAL(syncfs)(fd);

	return r < 0 || whole_disk < 0 ? r : REAL(fsync)(whole_disk);
}

BY_NAME(LINK, linkat, (int a, const char *b, int c, const char *d, int f), a, b, c, d, f)
BY_NAME(LINK, link, (const char *a, const char *b), a, b)
BY_NAME(RENAME, rename, (const char *a, const char *b), a, b)
BY_NAME(RENAME, renameat, (int a, const char *b, int c, const char *d), a, b, c, d)
BY_NAME(RENAME, renameat2, (int a, const char *b, int c, const char *d, unsigned f), a, b, c, d, f)
BY_NAME(UNLINK, unlink, (const char *a), a)
BY_NAME(UNLINK, unlinkat, (int a, const char *b, int f), a, b, f)
BY_NAME(MKDIR, mkdir, (const char *a, mode_t m), a, m)
BY_NAME(MKDIR, mkdirat, (int a, const char *b, mode_t m), a, b, m)

/* The mode is only there when something may be made. */
#define OPEN(name, params, ...)                                                           \
	int name params                                                                   \
	{                                                                                 \
		int made = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;         \
		mode_t mode = 0;                                                          \
		va_list ap;                                                               \
                                                                                          \
		if (made) {                                                               \
			va_start(ap, flags);                                              \
			mode = va_arg(ap, mode_t);                                        \
			va_end(ap);                                                       \
		}                                                                         \
		return made && fails(CREATE) ? -1 : REAL(name)(__VA_ARGS__, flags, mode); \
	}

OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int dir, const char *path, int flags, ...), dir, path)
OPEN(openat64, (int dir, const char *path, int flags, ...), dir, path)
