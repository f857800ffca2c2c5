/* fd.c - whole reads and writes, copies between any two file systems, and files replaced in one
 * step. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { COPY_CHUNK = 128 * 1024, READ_CHUNK = 16 * 1024 };

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int pread_all(int fd, void *data, size_t len, off_t off)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

static int pwrite_all(int fd, const char *p, size_t len, off_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

/* How far copy_file_range gets; -errno only for what a plain copy would meet too. */
static off_t copy_in_kernel(int from, int to)
{
	loff_t in = 0, out = 0;

	for (;;) {
		ssize_t n = copy_file_range(from, &in, to, &out, 1 << 30, 0);

		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
			return -errno;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return out;
	}
}

int copy_fd(int from, int to)
{
	CLEANUP(freep) char *chunk = NULL;
	off_t off;

	if (ftruncate(to, 0) < 0)
		return -errno;
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	off = copy_in_kernel(from, to);
	if (off < 0)
		return (int)off;
	/* Goes on where the kernel stopped: for some file systems it says "end" too early. */
	chunk = malloc(COPY_CHUNK);
	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(from, chunk, COPY_CHUNK, off);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = pwrite_all(to, chunk, (size_t)n, off);
		if (r < 0)
			return r;
		off += n;
	}
}

int read_file(int dirfd, const char *path, size_t max, struct buf *ret)
{
	CLEANUP(closep) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	CLEANUP(buf_done) struct buf text = BUF(max);
	char chunk[READ_CHUNK];
	int r = fd < 0 ? -errno : 0;

	while (r == 0) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		r = buf_add(&text, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk)); /* password files come through here */
	if (r == 0)
		r = buf_add(ret, text.data, text.len);
	if (text.data)
		explicit_bzero(text.data, text.len);
	return r;
}

/* A new file of a name that nobody has; should a crash leave it, the name says it is temporary. */
static int create_unique(int dirfd, mode_t mode, char *name, size_t size)
{
	static _Atomic unsigned counter;
	int fd;

	do {
		(void)snprintf(name, size, ".tmp-%d-%u", (int)getpid(), counter++);
		fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EEXIST);
	return fd < 0 ? -errno : fd;
}

/* Opens the directory that `path` is in; *ret_name is the last component. */
static int open_parent(int dirfd, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(freep)
	char *dir = slash == path ? strdup("/")
				  : strndup(slash ? path : ".", slash ? (size_t)(slash - path) : 1);
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = slash ? slash + 1 : path;
	return fd;
}

int write_file_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	const char *name = NULL;
	char temp[48];
	CLEANUP(closep) int dir = open_parent(dirfd, path, &name);
	CLEANUP(closep) int fd = dir < 0 ? dir : create_unique(dir, mode, temp, sizeof(temp));
	int r;

	if (fd < 0)
		return fd;
	r = write_all(fd, data, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, temp, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temp, 0);
		return r;
	}
	/* Some network file systems cannot sync a directory and say so with EINVAL. */
	if (fsync(dir) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}
