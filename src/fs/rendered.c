/* labels.json and duplicates.json of queries: files without a name, since they may be larger than memory.
 *
 * stat must know their size, so they are written when somebody asks for it; the last few are kept until the catalog changes. */
#include "nodes.h"

#include "shutterfs/query.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 };

struct rendering {
	struct fs *fs;
	int fd;
	struct buf out;
};

static int write_out(struct rendering *r)
{
	int err = write_all(r->fd, r->out.data, r->out.len);

	r->out.len = 0;
	return err;
}

static int add_line(void *user, const void *data, size_t len)
{
	struct rendering *r = user;
	int err = 0;

	if (r->out.len + len > PIECE_BYTES)
		err = write_out(r);
	if (err == 0 && len > PIECE_BYTES)
		return write_all(r->fd, data, len);
	return err < 0 ? err : buf_add(&r->out, data, len);
}

static bool ending(void *user)
{
	const struct rendering *r = user;

	return fuse_session_exited(r->fs->session);
}

static int render(struct fs *fs, struct node n, int fd)
{
	struct rendering to = {.fs = fs, .fd = fd, .out = BUF(PIECE_BYTES)};
	bool all = n.id % QUERY_FILES == QUERY_FILE_LABELS;
	struct query *q;
	char why[WHY_MAX];
	int r = query_compile(fs, n, &q, why);

	if (r < 0)
		return r == -EBADMSG ? -ENOENT : r;
	r = query_labels(q, fs->parts.catalog, all ? QUERY_LABELS : QUERY_DUPLICATES, ending,
			 add_line, &to);
	if (r == 0)
		r = write_out(&to);
	(void)query_free(q);
	buf_done(&to.out);
	return r == -ECANCELED ? -EINTR : r;
}

static int open_nameless(const char *state, int *ret)
{
	CLEANUP(buf_done) struct buf path = BUF(PATH_MAX + 64);
	int fd, r = buf_printf(&path, "%s/tmp", state);

	if (r < 0)
		return r;
	fd = open(path.data, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		r = buf_str(&path, "/rendered-XXXXXX");
		fd = r < 0 ? -1 : mkostemp(path.data, O_CLOEXEC);
		if (fd >= 0)
			(void)unlink(path.data);
	}
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* With fs->lock held: the slot of that file, else the one that was not used for longest. */
static struct rendered *slot_of(struct fs *fs, uint64_t ino)
{
	struct rendered *oldest = &fs->rendered[0];

	for (size_t i = 0; i < RENDERED_MAX; i++) {
		if (fs->rendered[i].ino == ino)
			return &fs->rendered[i];
		if (fs->rendered[i].used_us < oldest->used_us)
			oldest = &fs->rendered[i];
	}
	return oldest;
}

/* The one that is kept, if it is of this state of the catalog. */
static int find(struct fs *fs, uint64_t ino, int64_t of_us, struct rendered *ret)
{
	int fd = -1;

	pthread_mutex_lock(&fs->lock);
	struct rendered *slot = slot_of(fs, ino);

	if (slot->ino == ino && slot->of_us == of_us) {
		slot->used_us = mono_us();
		fd = fcntl(slot->fd, F_DUPFD_CLOEXEC, 0);
		*ret = *slot;
		ret->fd = fd;
	}
	pthread_mutex_unlock(&fs->lock);
	return fd < 0 ? -ENOENT : 0;
}

/* Keeps a copy of the descriptor. */
static void keep(struct fs *fs, const struct rendered *made)
{
	int fd = fcntl(made->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return;
	pthread_mutex_lock(&fs->lock);
	struct rendered *slot = slot_of(fs, made->ino);
	int old = slot->ino ? slot->fd : -1;

	*slot = *made;
	slot->fd = fd;
	pthread_mutex_unlock(&fs->lock);
	if (old >= 0)
		(void)close(old);
}

int rendered_open(struct fs *fs, struct node n, struct rendered *ret)
{
	/* Asked before the catalog is read: what changes meanwhile is of the next. */
	struct rendered made = {.ino = node_ino(n),
				.of_us = catalog_changed_us(fs->parts.catalog),
				.used_us = mono_us()};
	CLEANUP(closep) int fd = -1;
	struct stat st;

	if (find(fs, made.ino, made.of_us, ret) == 0)
		return 0;
	int r = open_nameless(fs->parts.state, &fd);

	if (r == 0)
		r = render(fs, n, fd);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	made.fd = fd;
	made.size = st.st_size;
	keep(fs, &made);
	(void)TAKE_FD(fd);
	*ret = made;
	return 0;
}

void rendered_end(struct fs *fs)
{
	for (size_t i = 0; i < RENDERED_MAX; i++)
		if (fs->rendered[i].ino)
			(void)close(fs->rendered[i].fd);
}
