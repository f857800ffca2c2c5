/* Lists a dir store in byte order of whole keys, holding the names of one directory per level at a time.
 *
 * A directory sorts as its name with '/', so that what it holds comes where its keys belong ("a.jpg" before "a/b"). What
 * cannot be read does not hide the rest: the walk goes on and ends with that error, so nobody takes its objects for gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dir.h"
#include "drivers.h"

enum { NAMES_MAX = 512 * 1024 * 1024 };

struct walk {
	struct dir *d;
	struct call *c;
	const char *prefix, *after; /* as whole keys; after: NULL from the start */
	store_object_fn *each;
	void *user;
	struct buf path; /* the key so far: "" or ending in '/' between entries */
	int trouble;     /* the first directory that could not be read */
};

struct names {
	struct buf text; /* name, NUL, name, NUL...; directories with their '/' */
	size_t *at, n, cap;
};

static void names_done(struct names *l)
{
	buf_done(&l->text);
	free(l->at);
}

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static int names_add(struct names *l, const char *name, bool is_dir)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		size_t *at = reallocarray(l->at, cap, sizeof(*at));

		if (!at)
			return -ENOMEM;
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n] = l->text.len;
	buf_add(&l->text, name, strlen(name));
	if (is_dir)
		buf_add(&l->text, "/", 1);
	if (buf_add(&l->text, "", 1) < 0)
		return l->text.error;
	l->n++;
	return 0;
}

static int compare_names(const void *a, const void *b, void *text)
{
	const char *base = text;

	return strcmp(base + *(const size_t *)a, base + *(const size_t *)b);
}

/* DT_REG or DT_DIR; else something that is no object: links, special files, what has just gone; or -errno. */
static int type_of(int fd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? DT_UNKNOWN : -errno;
	return S_ISREG(st.st_mode) ? DT_REG : S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

/* Takes a half-written file away, unless its writer lives, who has it locked; one whose file is taken in the moment before that
 * puts it again. */
static void sweep(int dir, const char *name)
{
	CLEANUP(closep) int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(dir, name, 0);
}

static int names_read(DIR *dir, struct names *ret)
{
	for (;;) {
		const struct dirent *e;
		int r, type;

		errno = 0;
		e = readdir(dir);
		if (!e)
			break;
		if (strncmp(e->d_name, DIR_TEMP_PREFIX, strlen(DIR_TEMP_PREFIX)) == 0) {
			sweep(dirfd(dir), e->d_name);
			continue;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		type = type_of(dirfd(dir), e);
		if (type < 0)
			return type;
		if (type != DT_REG && type != DT_DIR)
			continue;
		r = names_add(ret, e->d_name, type == DT_DIR);
		if (r < 0)
			return r;
	}
	if (errno != 0)
		return -errno;
	if (ret->n > 0)
		qsort_r(ret->at, ret->n, sizeof(*ret->at), compare_names, ret->text.data);
	return 0;
}

/* Can keys that start with `dir` be wanted? */
static bool may_hold(const struct walk *w, const char *dir, size_t len)
{
	size_t n = strlen(w->prefix);

	if (memcmp(dir, w->prefix, len < n ? len : n) != 0)
		return false;
	return !w->after || strncmp(w->after, dir, len) <= 0;
}

static bool is_wanted(const struct walk *w, const char *key)
{
	return strncmp(key, w->prefix, strlen(w->prefix)) == 0 &&
	       (!w->after || strcmp(key, w->after) > 0);
}

static void note_trouble(struct walk *w, int r)
{
	char shown[KEY_SHOWN_MAX + 4];

	if (w->trouble != 0)
		return;
	w->trouble = r;
	call_why(w->c, "store \"%s\": listing \"%s\": %s: the rest was listed", w->d->name,
		 key_shown(w->path.data ? w->path.data : "", shown), strerror(-r));
}

static int give(struct walk *w, int dirfd, const char *name)
{
	struct store_object o = {.key = w->path.data + strlen(w->d->prefix)};
	char etag[96];
	struct stat st;

	if (!is_wanted(w, w->path.data) || o.key[0] == '\0')
		return 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			note_trouble(w, -errno);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	dir_etag(&st, etag, sizeof(etag));
	o.etag = etag;
	o.size = (uint64_t)st.st_size;
	o.modified_us = dir_mtime_us(&st);
	return w->each(w->user, &o);
}

static int walk_dir(struct walk *w, int fd, unsigned depth);

static int enter(struct walk *w, int parent, const char *name, unsigned depth)
{
	char bare[NAME_LIMIT + 1];
	size_t n = strlen(name) - 1;
	int fd;

	if (depth == DIR_DEPTH_MAX || n > NAME_LIMIT || !may_hold(w, w->path.data, w->path.len))
		return 0;
	memcpy(bare, name, n);
	bare[n] = '\0';
	fd = openat(parent, bare, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return walk_dir(w, fd, depth + 1);
	/* gone meanwhile, or a link now; and no disk lets anybody into its lost+found */
	if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
	    (errno == EACCES && depth == 0 && strcmp(bare, "lost+found") == 0))
		return 0;
	note_trouble(w, -errno);
	return 0;
}

/* Takes over fd. */
static int walk_dir(struct walk *w, int fd, unsigned depth)
{
	CLEANUP(closedirp) DIR *dir = fdopendir(fd);
	CLEANUP(names_done) struct names names = {.text = BUF(NAMES_MAX)};
	size_t base = w->path.len;
	int r;

	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	r = names_read(dir, &names);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		note_trouble(w, r);
		return 0;
	}
	for (size_t i = 0; i < names.n; i++) {
		const char *name = names.text.data + names.at[i];
		size_t n = strlen(name);

		r = call_check(w->c);
		if (r < 0)
			return r;
		if (base + n > KEY_MAX)
			continue;
		r = buf_str(&w->path, name);
		if (r == 0 && name[n - 1] == '/')
			r = enter(w, fd, name, depth);
		else if (r == 0)
			r = give(w, fd, name);
		w->path.len = base;
		w->path.data[base] = '\0';
		if (r != 0)
			return r;
	}
	return 0;
}

/* Opens the deepest directory that holds every key of the prefix, and sets the path to it: 1, or 0 when there is none. */
static int start(struct walk *w, int *ret_fd, unsigned *ret_depth)
{
	CLEANUP(buf_done) struct buf first = BUF(4 * KEY_MAX);
	const char *slash = strrchr(w->prefix, '/'), *name;
	size_t len = slash ? (size_t)(slash - w->prefix) + 1 : 0;
	int r;

	buf_add(&first, w->prefix, len);
	r = buf_str(&first, "x"); /* any name in it */
	if (r == 0)
		r = dir_parent(w->d, first.data, false, ret_fd, &name);
	if ((r == -ENOENT && !dir_is_gone(w->d)) || r == -ENOTDIR || r == -ELOOP ||
	    r == -ENAMETOOLONG)
		return 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i++)
		*ret_depth += w->prefix[i] == '/';
	r = buf_add(&w->path, w->prefix, len);
	return r < 0 ? r : 1;
}

int dir_list(void *self, struct call *c, const char *prefix, const char *after,
	     store_object_fn *each, void *user)
{
	struct dir *d = self;
	CLEANUP(buf_done) struct buf from = BUF(4 * KEY_MAX);
	CLEANUP(buf_done) struct buf whole = BUF(4 * KEY_MAX);
	struct walk w = {.d = d, .c = c, .each = each, .user = user, .path = BUF(4 * KEY_MAX)};
	unsigned depth = 0;
	int fd = -1, r;

	buf_str(&whole, d->prefix);
	r = buf_str(&whole, prefix);
	if (r == 0 && after) {
		buf_str(&from, d->prefix);
		r = buf_str(&from, after);
	}
	if (r < 0)
		return r;
	w.prefix = whole.data;
	w.after = after ? from.data : NULL;
	r = dir_is_gone(d) ? -ENOENT : start(&w, &fd, &depth);
	if (r > 0)
		r = walk_dir(&w, fd, depth);
	else if (r == -ENOENT) {
		call_why(c, "store \"%s\": %s was removed or unmounted", d->name, d->path);
		r = -EIO;
	} else if (r == -EINVAL) {
		call_why(
			c,
			"store \"%s\": the prefix to list is not a path below the store's directory",
			d->name);
	}
	buf_done(&w.path);
	return r != 0 ? r : w.trouble;
}
