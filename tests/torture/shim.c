/* The wrappers.  Memory fails with ENOMEM, descriptors run out, disks are full or broken: by turns, as the victim's number says. */
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

static _Atomic bool armed;
static _Atomic unsigned long counted, chosen;
static const char *_Atomic failed = "";

void shim_arm(unsigned long victim)
{
	counted = 0;
	failed = "";
	chosen = victim;
	armed = true;
}

unsigned long shim_disarm(const char **ret_failed)
{
	armed = false;
	if (ret_failed)
		*ret_failed = failed;
	return counted;
}

bool shim_pause(void)
{
	return atomic_exchange(&armed, false);
}

void shim_resume(void)
{
	armed = true;
}

static bool fails(const char *name, int even, int odd)
{
	unsigned long n;

	if (!armed)
		return false;
	n = ++counted;
	if (n != chosen)
		return false;
	failed = name;
	errno = n % 2 ? odd : even;
	return true;
}

#define WRAP(type, name, params, args, result, even, odd)                             \
	type __real_##name params;                                                    \
	type __wrap_##name params;                                                    \
	type __wrap_##name params                                                     \
	{                                                                             \
		return fails(#name, even, odd) ? (type)(result) : __real_##name args; \
	}

WRAP(void *, malloc, (size_t n), (n), 0, ENOMEM, ENOMEM)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), 0, ENOMEM, ENOMEM)
WRAP(void *, realloc, (void *p, size_t n), (p, n), 0, ENOMEM, ENOMEM)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), 0, ENOMEM, ENOMEM)
WRAP(char *, strdup, (const char *s), (s), 0, ENOMEM, ENOMEM)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), 0, ENOMEM, ENOMEM)
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), -1, EIO, EIO)
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), -1, EIO, ENOSPC)
WRAP(ssize_t, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, n, at), -1, EIO, EIO)
WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), -1, EIO,
     ENOSPC)
WRAP(int, fsync, (int fd), (fd), -1, EIO, ENOSPC)
WRAP(int, fdatasync, (int fd), (fd), -1, EIO, ENOSPC)
WRAP(int, syncfs, (int fd), (fd), -1, EIO, ENOSPC)
WRAP(int, link, (const char *a, const char *b), (a, b), -1, EIO, ENOSPC)
WRAP(int, linkat, (int d, const char *a, int e, const char *b, int how), (d, a, e, b, how), -1, EIO,
     ENOSPC)
WRAP(int, rename, (const char *a, const char *b), (a, b), -1, EIO, ENOSPC)
WRAP(int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b), -1, EIO, ENOSPC)
WRAP(int, renameat2, (int d, const char *a, int e, const char *b, unsigned how), (d, a, e, b, how),
     -1, EIO, ENOSPC)
WRAP(void *, mmap64, (void *p, size_t n, int how, int what, int fd, off_t at),
     (p, n, how, what, fd, at), (intptr_t)-1, ENOMEM, ENOMEM)
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), -1, EMFILE,
     EMFILE)
WRAP(int, memfd_create, (const char *name, unsigned how), (name, how), -1, ENOMEM, EMFILE)
WRAP(int, fstatat64, (int d, const char *name, struct stat *st, int how), (d, name, st, how), -1,
     EIO, EIO)
WRAP(DIR *, fdopendir, (int fd), (fd), 0, ENOMEM, ENOMEM)
WRAP(struct dirent *, readdir64, (DIR * d), (d), 0, EIO, EIO)

/* Says its error by what it returns. */
int __real_pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*fn)(void *), void *arg)
{
	return fails("pthread_create", EAGAIN, EAGAIN) ? EAGAIN
						       : __real_pthread_create(id, how, fn, arg);
}

static mode_t mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(more, mode_t) : 0;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return fails("open", EMFILE, EIO) ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = mode_of(flags, more);
	va_end(more);
	return fails("openat", EMFILE, EIO) ? -1 : __real_openat64(dir, path, flags, mode);
}
