/* The directory of a dir store itself: opened once, so that nothing is ever put below a disk that was unmounted meanwhile. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dir.h"

bool dir_is_gone(const struct dir *d)
{
	struct stat st;

	return fstat(d->root, &st) < 0 || st.st_nlink == 0;
}

int dir_open(const struct store_config *conf, struct buf *err, void **ret_self)
{
	CLEANUP(freep) struct dir *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	if (!conf->path || !conf->path[0]) {
		buf_printf(err, "store \"%s\": a dir store needs path = DIRECTORY\n", conf->name);
		return -EINVAL;
	}
	d->name = conf->name;
	d->path = conf->path;
	d->prefix = conf->prefix ? conf->prefix : "";
	r = make_dirs(conf->path, 0777);
	if (r == 0) {
		d->root = open(conf->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = d->root < 0 ? -errno : 0;
	}
	if (r < 0) {
		buf_printf(err, "store \"%s\": cannot make or open %s: %s\n", conf->name,
			   conf->path, strerror(-r));
		return r;
	}
	(void)pthread_mutex_init(&d->replacing, NULL);
	*ret_self = TAKE(d);
	return 0;
}

void dir_close(void *self)
{
	struct dir *d = self;

	(void)close(d->root);
	(void)pthread_mutex_destroy(&d->replacing);
	free(d);
}

bool dir_has_nothing(const struct dir *d)
{
	int fd = openat(d->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		closep(&fd);
		return true;
	}
	do
		e = readdir(dir);
	while (e && (e->d_name[0] == '.' || strcmp(e->d_name, "lost+found") == 0));
	(void)closedir(dir);
	return !e;
}

/* Its disk was mounted after we had opened the place for it, or again after it went; or it was removed and made again. */
bool dir_replaced(void *self)
{
	const struct dir *d = self;
	struct stat now, ours;

	if (stat(d->path, &now) < 0 || !S_ISDIR(now.st_mode))
		return false;
	if (fstat(d->root, &ours) == 0 && ours.st_dev == now.st_dev && ours.st_ino == now.st_ino)
		return false;
	return dir_has_nothing(d);
}
