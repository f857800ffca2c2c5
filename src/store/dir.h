/* dir.h - the plain directory as a store: what its two files share; private to the store room. */
#pragma once

#include <pthread.h>
#include <sys/stat.h>

#include "shutterfs/store.h"

enum { DIR_DEPTH_MAX = 32 };
#define DIR_TEMP_PREFIX \
	".shutterfs-" /* our half-written files: never listed; one that a crash left goes when its directory is listed */

struct dir {
	const char *name;   /* the store's, for messages; borrowed from the config */
	const char *prefix; /* borrowed; "" when there is none */
	const char *path;   /* borrowed */
	int root;
	atomic_int unsynced; /* directories that were made and may not be on disk yet */
	atomic_ulong temps;
	pthread_mutex_t replacing; /* the moment in which an object's temporary name is there */
};

/* ---- dir_root.c: as in store_driver ---- */
int dir_open(const struct store_config *conf, struct buf *err, void **ret_self) MUST_CHECK;
void dir_close(void *self);
bool dir_replaced(void *self);
bool dir_is_gone(const struct dir *d);     /* the root itself was removed */
bool dir_has_nothing(const struct dir *d); /* that is not hidden; or cannot be read */

/* Opens the directory of `key`'s last component, below the root, following no symlink; with `make`, making what is
 * missing.  `ret_name` points into key.  -EINVAL: not a path that stays below the root. */
int dir_parent(struct dir *d, const char *key, bool make, int *ret_fd, const char **ret_name)
	MUST_CHECK;
void dir_etag(const struct stat *st, char *out, size_t size);
int64_t dir_mtime_us(const struct stat *st);
int dir_list(void *self, struct call *c, const char *prefix, const char *after,
	     store_object_fn *each, void *user) MUST_CHECK;
