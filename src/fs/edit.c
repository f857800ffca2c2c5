/* Small texts that people edit: sidecars, query.json.
 *
 * While one is open for writing its text is in memory, one for all who have it open, as in any file.  Every close gives it to the
 * node's commit; what it is then is the catalog's. */
#include "nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { EDITS_MAX = 256 };

struct edit {
	struct node node;
	unsigned users;       /* fs->lock */
	struct edit *next;    /* fs->lock */
	pthread_mutex_t lock; /* guards all below; held while the text is committed */
	struct buf text;
	bool dirty;
	bool touched; /* written to since it was opened: the kernel remembers its size */
	int64_t mtime_us;
};

static bool same_node(struct node a, struct node b)
{
	return a.kind == b.kind && a.id == b.id && a.day == b.day;
}

/* With fs->lock held. */
static struct edit *find(struct fs *fs, struct node n, unsigned *ret_count)
{
	unsigned count = 0;
	struct edit *e = fs->edits;

	for (; e && !same_node(e->node, n); e = e->next)
		count++;
	if (ret_count)
		*ret_count = count;
	return e;
}

static struct edit *edit_new(struct node n)
{
	struct edit *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->node = n;
	e->text = BUF(SIDECAR_BYTES + 1); /* one more than is taken in: then commit says so */
	e->mtime_us = now_us();
	pthread_mutex_init(&e->lock, NULL);
	return e;
}

static void edit_free(struct edit *e)
{
	buf_done(&e->text);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void edit_put(struct fs *fs, struct edit *e)
{
	struct edit **p = &fs->edits;
	bool last;

	pthread_mutex_lock(&fs->lock);
	last = --e->users == 0;
	if (last) {
		while (*p != e)
			p = &(*p)->next;
		*p = e->next;
	}
	pthread_mutex_unlock(&fs->lock);
	if (!last)
		return;
	if (e->touched)
		notify_node(fs->notifier, e->node);
	edit_free(e);
}

/* The one there is, or a new one with the text as it is now (not when it is cut off anyway). */
static int edit_get(struct fs *fs, struct node n, bool with_text, struct edit **ret)
{
	struct edit *made = edit_new(n), *e;
	unsigned count;
	int r = 0;

	if (!made)
		return -ENOMEM;
	pthread_mutex_lock(&made->lock); /* whoever comes next waits for the text */
	pthread_mutex_lock(&fs->lock);
	e = find(fs, n, &count);
	if (!e && count < EDITS_MAX) {
		e = made;
		e->next = fs->edits;
		fs->edits = e;
	}
	if (e)
		e->users++;
	pthread_mutex_unlock(&fs->lock);
	if (e == made && with_text)
		r = node_ops(n)->edit->load(fs, n, &e->text);
	pthread_mutex_unlock(&made->lock);
	if (e != made)
		edit_free(made);
	if (!e)
		return -ENFILE;
	if (r < 0)
		edit_put(fs, e);
	else
		*ret = e;
	return r;
}

static int resize(struct edit *e, size_t size)
{
	static const char zeros[4096];
	struct buf *t = &e->text;

	if (size >= t->max)
		return -EFBIG;
	while (t->len < size) {
		size_t n = size - t->len < sizeof(zeros) ? size - t->len : sizeof(zeros);
		int r = buf_add(t, zeros, n);

		if (r < 0)
			return r;
	}
	t->len = size;
	if (t->data)
		t->data[size] = '\0';
	return 0;
}

static void changed(struct edit *e)
{
	e->dirty = e->touched = true;
	e->mtime_us = now_us();
}

static int cut(struct edit *e, size_t size)
{
	pthread_mutex_lock(&e->lock);
	int r = resize(e, size);

	if (r == 0)
		changed(e);
	pthread_mutex_unlock(&e->lock);
	return r;
}

static int commit(struct fs *fs, struct edit *e)
{
	int r = 0;

	pthread_mutex_lock(&e->lock);
	if (e->dirty) {
		r = node_ops(e->node)->edit->commit(fs, e->node, e->text.data ? e->text.data : "",
						    e->text.len);
		/* A full disk may have room at the next close. */
		e->dirty = r < 0 && r != -EEXIST;
	}
	pthread_mutex_unlock(&e->lock);
	return r;
}

/* What an open text has of its own; false: nobody edits it. */
bool edit_attr(struct fs *fs, struct node n, struct stat *st)
{
	struct edit *e;

	pthread_mutex_lock(&fs->lock);
	e = find(fs, n, NULL);
	if (e)
		e->users++;
	pthread_mutex_unlock(&fs->lock);
	if (!e)
		return false;
	pthread_mutex_lock(&e->lock);
	st->st_size = (off_t)e->text.len;
	if (e->dirty) {
		st->st_mtim.tv_sec = (time_t)(e->mtime_us / 1000000);
		st->st_mtim.tv_nsec = (long)(e->mtime_us % 1000000 * 1000);
		st->st_ctim = st->st_mtim;
	}
	pthread_mutex_unlock(&e->lock);
	edit_put(fs, e);
	return true;
}

int edit_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	bool trunc = fi->flags & O_TRUNC;
	struct handle *h = handle_new(fs, HANDLE_EDIT);
	int r = h ? edit_get(fs, n, !trunc, &h->edit) : -ENOMEM;

	if (r == 0 && trunc)
		r = cut(h->edit, 0);
	if (r < 0) {
		if (h)
			handle_free(fs, h);
		return r;
	}
	h->writer = true;
	fi->direct_io = 1; /* its length is not what the kernel was told before */
	*ret = h;
	return 0;
}

bool edit_join(struct fs *fs, struct node n, struct handle *h)
{
	pthread_mutex_lock(&fs->lock);
	h->edit = find(fs, n, NULL);
	if (h->edit) {
		h->edit->users++;
		h->kind = HANDLE_EDIT;
	}
	pthread_mutex_unlock(&fs->lock);
	return h->edit;
}

void edit_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct edit *e = h->edit;

	pthread_mutex_lock(&e->lock);
	size_t len = e->text.len, from = (size_t)off < len ? (size_t)off : len;

	(void)fuse_reply_buf(req, e->text.data ? e->text.data + from : NULL,
			     len - from < size ? len - from : size);
	pthread_mutex_unlock(&e->lock);
}

int edit_write(struct handle *h, const char *data, size_t size, off_t off)
{
	struct edit *e = h->edit;
	size_t end = (size_t)off + size;
	int r = 0;

	if (!h->writer)
		return -EBADF;
	if (off < 0 || end < size)
		return -EFBIG;
	pthread_mutex_lock(&e->lock);
	if (end > e->text.len)
		r = resize(e, end);
	if (r == 0 && size > 0) {
		memcpy(e->text.data + off, data, size);
		changed(e);
	}
	pthread_mutex_unlock(&e->lock);
	return r;
}

int edit_flush(struct fs *fs, struct handle *h)
{
	return h->writer ? commit(fs, h->edit) : 0;
}

void edit_release(struct fs *fs, struct handle *h)
{
	if (h->writer)
		(void)!commit(fs, h->edit);
	edit_put(fs, h->edit);
}

/* Of truncate(2), which has no close. */
static int cut_by_name(struct fs *fs, struct node n, size_t size)
{
	struct edit *e;
	int r = edit_get(fs, n, size > 0, &e);

	if (r < 0)
		return r;
	r = cut(e, size);
	if (r == 0)
		r = commit(fs, e);
	edit_put(fs, e);
	return r;
}

void edit_setattr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr, int to_set,
		  struct handle *h)
{
	struct stat st;
	double timeout;
	int r = 0;

	/* Mode, owner and times are accepted, since whoever sets them goes on only then; they are not kept. */
	if (to_set & FUSE_SET_ATTR_SIZE)
		r = h && h->kind == HANDLE_EDIT && h->writer
			    ? cut(h->edit, (size_t)attr->st_size)
			    : cut_by_name(fs, n, (size_t)attr->st_size);
	if (r == 0)
		r = fs_attr(fs, n, &st, &timeout);
	if (r < 0)
		(void)fuse_reply_err(req, fs_errno(r));
	else
		(void)fuse_reply_attr(req, &st, timeout);
}
