/* disk.c - what is wrong with the disks under our directories, and what to do about it.
 *
 * A disk is tried: one that turned read-only for an error does not say so in its flags. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEAST_BYTES (1024 * 1024) /* with less a disk counts as full */

const char *disk_advice(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		return "; make room on its disk";
	case -EROFS:
		return "; remount its disk read-write, or name another directory in the config";
	default:
		return "";
	}
}

bool can_be_made(const char *path)
{
	CLEANUP(freep) char *above = strdup(path);
	char *slash = above;

	while (slash && access(above, F_OK) < 0 && (slash = strrchr(above, '/')) && slash > above)
		*slash = '\0';
	return !slash || slash == above || access(above, W_OK) == 0 || errno != EROFS;
}

static int state_of(const char *dir)
{
	CLEANUP(closep) int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	struct statvfs fs;

	/* Not every file system has files without a name. */
	if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	if (statvfs(dir, &fs) < 0)
		return -errno;
	/* Some kinds of disks do not count. */
	return fs.f_blocks && fs.f_frsize * (uint64_t)fs.f_bavail < LEAST_BYTES ? -ENOSPC : 0;
}

bool disk_trouble(const char *dir, char why[DISK_TEXT])
{
	int r = state_of(dir);

	if (r ==
	    -ENOENT) /* the cache may be deleted at any time; is it the disk that keeps it away? */
		r = can_be_made(dir) ? 0 : -EROFS;
	if (r == 0)
		return false;
	(void)snprintf(why, DISK_TEXT, "%s: %s%s", dir, strerror(-r), disk_advice(r));
	return true;
}
