/* Names that come and go while a text is saved: swap files, backups, the temporary file that is renamed into place.
 *
 * A text (a sidecar, query.json) is always there; when it is removed or renamed away, as mv between file systems and editors
 * do before they write it anew, it is hidden for a moment. */
#include "nodes.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define HIDE_US INT64_C(10000000)

bool scratch_name_ok(const char *name)
{
	/* sed -i; Python's and Perl's tempfile; what is saved beside x.json, and emacs' #x.json#; vim tries numbers */
	static const char *const pattern[] = {"sed[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]*",
					      "tmp*", "*.json?*", "#*#"};

	if (upload_name_is_temporary(name) || strspn(name, "0123456789") == strlen(name))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(pattern); i++)
		if (fnmatch(pattern[i], name, FNM_NOESCAPE) == 0)
			return true;
	return false;
}

int scratch_find(struct fs *fs, struct node dir, const char *name, struct upload_row *ret)
{
	return ingest_lookup(fs->parts.ingest, annex_of(dir).id, name, ret);
}

int scratch_create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		   struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	int r = upload_ops.create(a, annex_of(dir), name, mode, fi, e, ret);

	/* What the name means may change at its close: looked up every time. */
	if (r == 0)
		e->entry_timeout = 0;
	return r;
}

int scratch_mknod(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_entry_param *e)
{
	int r = upload_ops.mknod(a, annex_of(dir), name, mode, e);

	if (r == 0)
		e->entry_timeout = 0;
	return r;
}

int scratch_unlink(struct fs *fs, struct node dir, const char *name)
{
	return ingest_unlink(fs->parts.ingest, annex_of(dir).id, name, false);
}

int scratch_rename(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		   const char *new_name, unsigned flags)
{
	int r = ingest_rename(fs->parts.ingest, annex_of(dir).id, name, annex_of(new_dir).id,
			      new_name, flags);

	if (r == 0)
		notify_name(fs->notifier, new_dir, new_name);
	return r;
}

int scratch_write(struct fs *fs, struct node dir, const char *name, const struct buf *text)
{
	struct upload_file *file;
	struct upload_row row;
	int r = ingest_create(fs->parts.ingest, annex_of(dir).id, name, O_WRONLY | O_TRUNC, 0644,
			      fs->uid, fs->gid, &row, &file);

	if (r < 0)
		return r;
	r = ingest_write(file, text->data ? text->data : "", text->len, 0);
	ingest_release(file);
	return r;
}

int scratch_read(struct fs *fs, const struct upload_row *row, struct buf *out)
{
	char chunk[8192];
	struct upload_file *file;
	int r = ingest_open(fs->parts.ingest, row->id, O_RDONLY, &file);

	if (r < 0)
		return r == -ENODATA ? -EFBIG : r; /* a picture */
	for (uint64_t at = 0; r == 0 && at < row->size;) {
		size_t n = row->size - at < sizeof(chunk) ? (size_t)(row->size - at)
							  : sizeof(chunk);

		r = pread_all(ingest_fd(file), chunk, n, (off_t)at);
		if (r == 0)
			r = buf_add(out, chunk, n);
		at += n;
	}
	ingest_release(file);
	return r;
}

/* ---- texts that are away for a moment ---- */

void text_hide(struct fs *fs, struct node n)
{
	struct hidden *h = &fs->hidden[0];

	pthread_mutex_lock(&fs->lock);
	for (size_t i = 1; i < HIDDEN_MAX; i++) /* the oldest gives way */
		if (fs->hidden[i].until_us < h->until_us)
			h = &fs->hidden[i];
	*h = (struct hidden){.ino = node_ino(n), .until_us = mono_us() + HIDE_US};
	pthread_mutex_unlock(&fs->lock);
}

bool text_hidden(struct fs *fs, struct node n)
{
	uint64_t ino = node_ino(n);
	bool hidden = false;

	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < HIDDEN_MAX && !hidden; i++)
		hidden = fs->hidden[i].ino == ino && fs->hidden[i].until_us > mono_us();
	pthread_mutex_unlock(&fs->lock);
	return hidden;
}

void text_show(struct fs *fs, struct node n)
{
	uint64_t ino = node_ino(n);

	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < HIDDEN_MAX; i++)
		if (fs->hidden[i].ino == ino)
			fs->hidden[i] = (struct hidden){0};
	pthread_mutex_unlock(&fs->lock);
}

/* ---- the ways of saving ---- */

int text_create(const struct asked *a, struct node dir, const char *name, const struct node *n,
		mode_t mode, struct fuse_file_info *fi, struct fuse_entry_param *e,
		struct handle **ret)
{
	if (!n)
		return scratch_name_ok(name) ? scratch_create(a, dir, name, mode, fi, e, ret)
					     : -EROFS;
	if ((fi->flags & O_EXCL) && !text_hidden(a->fs, *n))
		return -EEXIST;
	fi->flags |= O_TRUNC;
	int r = edit_open(a->fs, *n, fi, ret);

	if (r < 0)
		return r;
	text_show(a->fs, *n);
	r = fs_entry(a->fs, *n, e);
	if (r < 0)
		handle_free(a->fs, *ret);
	return r;
}

int text_unlink(struct fs *fs, struct node dir, const char *name, const struct node *n)
{
	if (!n)
		return scratch_unlink(fs, dir, name);
	if (text_hidden(fs, *n))
		return -ENOENT;
	text_hide(fs, *n);
	return 0;
}

/* x.json -> x.json~: a copy of what it says now. */
static int move_away(struct fs *fs, struct node n, struct node new_dir, const char *new_name,
		     unsigned flags)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	struct upload_row row;

	if (!node_ops(new_dir)->create || !scratch_name_ok(new_name))
		return -EPERM;
	if ((flags & RENAME_NOREPLACE) && scratch_find(fs, new_dir, new_name, &row) == 0)
		return -EEXIST;
	int r = node_ops(n)->edit->load(fs, n, &text);

	if (r == 0)
		r = scratch_write(fs, new_dir, new_name, &text);
	if (r < 0)
		return r;
	text_hide(fs, n);
	notify_name(fs->notifier, new_dir, new_name); /* the kernel believes it is n */
	return 0;
}

/* sedAbCdEf -> x.json: taken in as if it had been written there. */
static int move_in(struct fs *fs, struct node dir, const char *name, struct node to,
		   struct node new_dir, const char *new_name, unsigned flags)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES + 1);
	struct upload_row row;
	int r = scratch_find(fs, dir, name, &row);

	if (r == 0 && (flags & RENAME_NOREPLACE) && !text_hidden(fs, to))
		r = -EEXIST;
	if (r == 0)
		r = scratch_read(fs, &row, &text);
	if (r == 0)
		r = node_ops(to)->edit->commit(fs, to, text.data ? text.data : "", text.len);
	if (r == 0)
		r = scratch_unlink(fs, dir, name);
	if (r < 0)
		return r;
	text_show(fs, to);
	notify_name(fs->notifier, new_dir, new_name);
	notify_node(fs->notifier, to);
	return 0;
}

int text_rename(struct fs *fs, struct node dir, const char *name, const struct node *n,
		struct node new_dir, const char *new_name, const struct node *to, unsigned flags)
{
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (new_dir.kind == NODE_UPLOAD)
		return -EXDEV; /* mv then copies */
	if (n && text_hidden(fs, *n))
		return -ENOENT;
	if (n && to)
		return node_ino(*n) == node_ino(*to) ? 0 : -EPERM;
	if (n)
		return move_away(fs, *n, new_dir, new_name, flags);
	if (to)
		return move_in(fs, dir, name, *to, new_dir, new_name, flags);
	if (!node_ops(new_dir)->create || !scratch_name_ok(new_name))
		return -EROFS;
	return scratch_rename(fs, dir, name, new_dir, new_name, flags);
}
