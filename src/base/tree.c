/* tree.c - mkdir -p and rm -rf. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

/* One descriptor is open per level while removing. */
enum { TREE_DEPTH = 256 };

static int make_one(const char *path, mode_t mode)
{
	struct stat st;
	int saved;

	if (mkdir(path, mode) == 0)
		return 0;
	/* Asked for other errors than EEXIST too: on a read-only root EROFS comes first. */
	saved = errno;
	if (stat(path, &st) < 0)
		return -saved;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int make_dirs(const char *path, mode_t mode)
{
	CLEANUP(freep) char *copy = strdup(path);
	char *p;

	if (!copy)
		return -ENOMEM;
	if (!*copy)
		return -ENOENT;
	for (p = copy + 1; *p; p++) {
		int r;

		if (*p != '/' || p[-1] == '/')
			continue;
		*p = '\0';
		r = make_one(copy, mode);
		if (r < 0)
			return r;
		*p = '/';
	}
	return make_one(copy, mode);
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int remove_at(int at, const char *name, int depth);

/* Empties the directory; goes on after a failure and returns the first one. */
static int remove_inside(int at, const char *name, int depth)
{
	CLEANUP(closep)
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int result = 0;

	if (!d)
		return -errno;
	(void)TAKE_FD(fd);
	while ((e = readdir(d))) {
		int r;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = remove_at(dirfd(d), e->d_name, depth + 1);
		if (result == 0)
			result = r;
	}
	return result;
}

static int remove_at(int at, const char *name, int depth)
{
	int r;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth >= TREE_DEPTH)
		return -ELOOP;
	r = remove_inside(at, name, depth);
	if (r < 0)
		return r == -ENOTDIR ? -EPERM : r;
	if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int remove_tree(int dirfd, const char *name)
{
	return remove_at(dirfd, name, 0);
}
