/* disk.c - paths, directories and files without a name.
 *
 * Everything goes by path from the two directories' names, never by a descriptor kept open: whoever deletes the cache
 * directory while it is in use gets a new one, not an invisible one. */
#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
			  "# This file is a cache directory tag created by shutterfs.\n"
			  "# For information see https://bford.info/cachedir/\n";

static void shard_path(const struct cache *c, enum blob_area area, unsigned shard,
		       struct blob_path *ret)
{
	(void)snprintf(ret->s, sizeof(ret->s), "%s/%02x", c->root[area], shard);
}

void blob_path(const struct cache *c, enum blob_area area, const struct sha256 *sha,
	       struct blob_path *ret)
{
	char hex[SHA256_HEX];

	hex_encode(sha->b, sizeof(sha->b), hex);
	(void)snprintf(ret->s, sizeof(ret->s), "%s/%.2s/%s", c->root[area], hex, hex);
}

/* Makes the shard, and what is above it if somebody removed that: then what was counted is gone, too. */
int shard_prepare(struct cache *c, enum blob_area area, unsigned shard)
{
	struct blob_path p;

	shard_path(c, area, shard, &p);
	if (mkdir(p.s, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	int r = make_dirs(c->root[area], 0700);
	if (r < 0)
		return r;
	r = make_dirs(c->tmp[area], 0700);
	if (r < 0)
		return r;
	if (area == BLOB_CACHE) {
		struct blob_path t;

		(void)snprintf(t.s, sizeof(t.s), "%s/CACHEDIR.TAG", c->home[area]);
		if (access(t.s, F_OK) < 0)
			(void)!write_file_atomic(AT_FDCWD, t.s, tag, sizeof(tag) - 1, 0600);
	}
	recount(c, area);
	return mkdir(p.s, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int dir_sync(const char *path)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* The shard's own name may be as new as the blob's; syncing a directory that is clean costs next to nothing. */
int shard_sync(struct cache *c, enum blob_area area, unsigned shard)
{
	struct blob_path p;

	shard_path(c, area, shard, &p);
	int r = dir_sync(p.s);
	return r < 0 ? r : dir_sync(c->root[area]);
}

static void dir_closep(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* The hash that a file name of this shard stands for; false: not one of ours. */
static bool name_parse(const char *name, unsigned shard, struct sha256 *ret)
{
	char hex[SHA256_HEX];

	if (strlen(name) != SHA256_HEX - 1 || hex_decode(name, ret->b, sizeof(ret->b)) < 0)
		return false;
	hex_encode(ret->b, sizeof(ret->b), hex);
	return strcmp(hex, name) == 0 && ret->b[0] == shard;
}

int shard_each(const struct cache *c, enum blob_area area, unsigned shard, entry_fn *fn, void *user)
{
	struct blob_path p;
	struct sha256 sha;
	struct stat st;

	shard_path(c, area, shard, &p);
	CLEANUP(dir_closep) DIR *d = opendir(p.s);
	int trouble = 0; /* what cannot be looked at does not hide the rest */
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (;;) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e)
			return errno != 0 ? -errno : trouble;
		if (!name_parse(e->d_name, shard, &sha))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				trouble = -errno;
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		int r = fn(user, &sha, &st);
		if (r)
			return r;
	}
}

static int temp_open_named(struct cache *c, enum blob_area area, struct temp *ret)
{
	CLEANUP(freep) char *name = NULL;

	if (asprintf(&name, "%s/" TEMP_PREFIX "XXXXXX", c->tmp[area]) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	int fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = (struct temp){.fd = fd, .name = TAKE(name)};
	return 0;
}

static int temp_try(struct cache *c, enum blob_area area, struct temp *ret)
{
	if (!c->no_tmpfile[area]) {
		int fd = open(c->tmp[area], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		if (fd >= 0) {
			*ret = (struct temp){.fd = fd};
			return 0;
		}
		if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOSYS)
			return -errno;
		c->no_tmpfile[area] = true;
	}
	return temp_open_named(c, area, ret);
}

int temp_open(struct cache *c, enum blob_area area, struct temp *ret)
{
	int r = temp_try(c, area, ret);

	if (r != -ENOENT)
		return r;
	r = make_dirs(c->tmp[area], 0700);
	return r < 0 ? r : temp_try(c, area, ret);
}

int temp_open_memory(struct temp *ret)
{
	int fd = memfd_create("shutterfs-blob", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = (struct temp){.fd = fd};
	return 0;
}

void temp_unname(struct temp *t)
{
	if (t->name)
		(void)unlink(t->name);
	freep(&t->name);
	t->name = NULL;
}

void temp_done(struct temp *t)
{
	temp_unname(t);
	closep(&t->fd);
	t->fd = -1;
}

/* What an earlier run was writing when it died. */
void temp_clean(const struct cache *c, enum blob_area area)
{
	CLEANUP(dir_closep) DIR *d = opendir(c->tmp[area]);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
}

int move_noreplace(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without the flag.  Losing the race replaces a blob by the same bytes. */
	if (access(to, F_OK) == 0)
		return -EEXIST;
	return rename(from, to) < 0 ? -errno : 0;
}

int temp_link(struct cache *c, struct temp *t, enum blob_area area, const struct sha256 *sha,
	      uint64_t size)
{
	struct blob_path to;
	char self[32];
	int r;

	blob_path(c, area, sha, &to);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
	(void)pthread_rwlock_rdlock(&c->names);
	if (t->name)
		r = move_noreplace(t->name, to.s);
	else
		r = linkat(AT_FDCWD, self, AT_FDCWD, to.s, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	if (r == 0) {
		count(c, area, sha, 1, size);
		freep(&t->name);
		t->name = NULL;
	}
	(void)pthread_rwlock_unlock(&c->names);
	return r;
}
