/* powerfs.c - a file system for tests that remembers what a power cut would leave.
 *
 *   powerfs BACKING MOUNTPOINT
 *
 * BACKING is the root of a tmpfs of its own, whose inode numbers are small and never used twice.  BACKING/live is what users
 * see.  BACKING/disk has what is durable, as strictly as POSIX allows: disk/data/<inode> are the bytes of a file at its last
 * fsync, disk/names/<inode> the entries of a directory ("inode type name\0") at its own.  fsync of "/.syncfs", which is always there,
 * is syncfs(2), that the kernel does not pass on.  What a cut makes of the two is the test's business (power.py).  No write is
 * delayed, so a user that is killed leaves in live/ what it had written. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { INODES = 1 << 22, PATH_SIZE = 4096 };
#define SYNCFS "/.syncfs"

static int live, data, names;
static _Atomic bool clean[INODES];                          /* its bytes are those in disk/data */
static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER; /* one writer of disk/ at a time */

static const char *rel(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int ret(int r)
{
	return r < 0 ? -errno : 0;
}

static void changed(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_ino >= INODES)
		abort();
	clean[st.st_ino] = false;
}

/* ---- what is durable ---- */

/* A file appears in disk/ whole, so that the test may look at any time. */
static int publish(int dir, int fd, ino_t ino)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)ino);
	if (close(fd) < 0)
		return -errno;
	return ret(renameat(dir, "new", dir, name));
}

static int copy_all(int from, int to)
{
	off_t at = 0;
	ssize_t n;

	do
		n = sendfile(to, from, &at, 1 << 24);
	while (n > 0);
	return ret((int)n);
}

static int sync_file(int dir, const char *name) /* syncing is held */
{
	int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to, r;
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if (st.st_ino >= INODES)
		abort();
	if (atomic_exchange(&clean[st.st_ino], true)) {
		(void)close(from);
		return 0;
	}
	to = openat(data, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = to < 0 ? -errno : copy_all(from, to);
	(void)close(from);
	return r < 0 ? r : publish(data, to, st.st_ino);
}

static int sync_names(int dir) /* syncing is held; takes dir */
{
	int to = openat(names, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	DIR *d = fdopendir(dir);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (to < 0 || !d || fstat(dir, &st) < 0)
		return -errno;
	while (r >= 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			r = dprintf(to, "%llu %c %s%c", (unsigned long long)e->d_ino,
				    e->d_type == DT_DIR ? 'd' : 'f', e->d_name, 0);
	(void)closedir(d);
	return r < 0 ? -EIO : publish(names, to, st.st_ino);
}

static int sync_tree(int dir) /* syncing is held; takes dir */
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	int r = d ? 0 : -errno;

	while (r == 0 && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type == DT_DIR)
			r = sync_tree(openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		else if (e->d_type == DT_REG)
			r = sync_file(dir, e->d_name);
		r = r == -ENOENT ? 0 : r; /* removed meanwhile */
	}
	if (r == 0)
		r = sync_names(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (d)
		(void)closedir(d);
	return r;
}

static int p_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	char self[64];
	int r;

	(void)datasync;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", (int)fi->fh);
	pthread_mutex_lock(&syncing);
	if (path && strcmp(path, SYNCFS) == 0) {
		r = sync_tree(openat(live, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	} else {
		int fd = open(self, O_RDONLY | O_CLOEXEC);
		struct stat st;

		r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
		if (r == 0 && !atomic_exchange(&clean[st.st_ino], true)) {
			int to = openat(data, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
					0600);

			r = to < 0 ? -errno : copy_all(fd, to);
			if (r == 0)
				r = publish(data, to, st.st_ino);
		}
		if (fd >= 0)
			(void)close(fd);
	}
	pthread_mutex_unlock(&syncing);
	return r;
}

static int p_fsyncdir(const char *path, int datasync, struct fuse_file_info *fi)
{
	int fd = openat(live, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	(void)datasync;
	(void)fi;
	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&syncing);
	r = sync_names(fd);
	pthread_mutex_unlock(&syncing);
	return r;
}

/* ---- the rest passes through ---- */

static void *p_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
	(void)conn;
	cfg->use_ino = 1;
	cfg->attr_timeout = cfg->entry_timeout = cfg->negative_timeout = 0;
	return NULL;
}

static int p_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	return fi ? ret(fstat((int)fi->fh, st))
		  : ret(fstatat(live, rel(path), st, AT_SYMLINK_NOFOLLOW));
}

static int p_open(const char *path, struct fuse_file_info *fi)
{
	int flags = (fi->flags & O_ACCMODE) == O_WRONLY ? (fi->flags & ~O_ACCMODE) | O_RDWR
							: fi->flags;
	int fd = openat(live, rel(path), (flags & ~O_APPEND) | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flags & O_TRUNC)
		changed(fd);
	fi->fh = (uint64_t)fd;
	return 0;
}

static int p_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(live, rel(path),
			O_RDWR | O_CREAT | (fi->flags & (O_EXCL | O_TRUNC)) | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	changed(fd);
	fi->fh = (uint64_t)fd;
	return 0;
}

static int p_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *fi)
{
	ssize_t n = pread((int)fi->fh, buf, size, at);

	(void)path;
	return n < 0 ? -errno : (int)n;
}

static int p_write(const char *path, const char *buf, size_t size, off_t at,
		   struct fuse_file_info *fi)
{
	ssize_t n = pwrite((int)fi->fh, buf, size, at);

	(void)path;
	changed((int)fi->fh);
	return n < 0 ? -errno : (int)n;
}

static int p_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	int fd = fi ? (int)fi->fh : openat(live, rel(path), O_RDWR | O_CLOEXEC);
	int r = fd < 0 ? -errno : ret(ftruncate(fd, size));

	if (r == 0)
		changed(fd);
	if (!fi && fd >= 0)
		(void)close(fd);
	return r;
}

static int p_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return ret(close((int)fi->fh));
}

static int p_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t at,
		     struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int fd = openat(live, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	(void)at;
	(void)fi;
	(void)flags;
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		struct stat st = {.st_ino = e->d_ino, .st_mode = (mode_t)DTTOIF(e->d_type)};

		if (fill(buf, e->d_name, &st, 0, 0))
			break;
	}
	(void)closedir(d);
	return 0;
}

static int p_mkdir(const char *path, mode_t mode)
{
	return ret(mkdirat(live, rel(path), mode));
}

static int p_unlink(const char *path)
{
	return ret(unlinkat(live, rel(path), 0));
}

static int p_rmdir(const char *path)
{
	return ret(unlinkat(live, rel(path), AT_REMOVEDIR));
}

static int p_rename(const char *from, const char *to, unsigned flags)
{
	return ret(renameat2(live, rel(from), live, rel(to), flags));
}

static int p_link(const char *from, const char *to)
{
	return ret(linkat(live, rel(from), live, rel(to), 0));
}

static int p_mknod(const char *path, mode_t mode, dev_t dev)
{
	return ret(mknodat(live, rel(path), mode, dev)); /* the control socket */
}

static int p_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return fi ? ret(fchmod((int)fi->fh, mode)) : ret(fchmodat(live, rel(path), mode, 0));
}

static int p_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	return fi ? ret(fchown((int)fi->fh, uid, gid))
		  : ret(fchownat(live, rel(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int p_utimens(const char *path, const struct timespec ts[2], struct fuse_file_info *fi)
{
	return fi ? ret(futimens((int)fi->fh, ts))
		  : ret(utimensat(live, rel(path), ts, AT_SYMLINK_NOFOLLOW));
}

static int p_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return ret(fstatvfs(live, st));
}

static const struct fuse_operations operations = {
	.init = p_init,
	.getattr = p_getattr,
	.open = p_open,
	.create = p_create,
	.read = p_read,
	.write = p_write,
	.truncate = p_truncate,
	.release = p_release,
	.fsync = p_fsync,
	.fsyncdir = p_fsyncdir,
	.readdir = p_readdir,
	.mkdir = p_mkdir,
	.unlink = p_unlink,
	.rmdir = p_rmdir,
	.rename = p_rename,
	.link = p_link,
	.mknod = p_mknod,
	.chmod = p_chmod,
	.chown = p_chown,
	.utimens = p_utimens,
	.statfs = p_statfs,
};

static int open_dir(const char *backing, const char *name)
{
	char path[PATH_SIZE];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", backing, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	char *args[] = {argv[0],        "-f",
			"-o",           "fsname=powerfs,subtype=powerfs,default_permissions",
			argv[argc - 1], NULL};

	if (argc != 3)
		return 2;
	(void)umask(0);
	live = open_dir(argv[1], "live");
	data = open_dir(argv[1], "disk/data");
	names = open_dir(argv[1], "disk/names");
	return fuse_main(5, args, &operations, NULL);
}
