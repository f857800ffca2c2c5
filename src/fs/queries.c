/* queries/: a directory per query.  Its pictures are asked for anew each time somebody looks; query.json is a text like a
 * sidecar; labels.json and duplicates.json are rendered (rendered.c). */
#include "listing.h"
#include "nodes.h"

#include "shutterfs/codec.h"
#include "shutterfs/query.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const file_name[QUERY_FILES] = {
	[QUERY_FILE_DUPLICATES] = "duplicates.json",
	[QUERY_FILE_LABELS] = "labels.json",
	[QUERY_FILE_TEXT] = "query.json",
};

static struct node file_node(int64_t query, int file)
{
	return (struct node){.kind = NODE_QUERY_FILE, .id = query * QUERY_FILES + file};
}

static int64_t query_of(struct node n)
{
	return n.kind == NODE_QUERY_FILE ? n.id / QUERY_FILES : n.id;
}

bool query_is_text(struct node n)
{
	return n.id % QUERY_FILES == QUERY_FILE_TEXT;
}

int query_compile(struct fs *fs, struct node n, struct query **ret, char *why)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	int r = catalog_query_text(fs->parts.catalog, query_of(n), &text);

	return r < 0 ? r : query_parse(text.data, text.len, ret, why);
}

/* ---- names ---- */
static int find_picture(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	char stem[STEM_MAX + 16], why[WHY_MAX], camera[CAMERA_MAX + 1];
	struct query *q;
	struct civil at;
	unsigned dup;
	bool sidecar;
	struct snap s;
	int r;

	if (!fs_split_name(name, stem, &sidecar) || (sidecar && !fs_sidecars_shown(fs)) ||
	    stem_parse(stem, &at, &dup, camera) < 0)
		return -ENOENT;
	r = catalog_find(fs->parts.catalog, (struct view){VIEW_ALL, 0},
			 day_from_civil(at.year, at.month, at.day), stem, &s);
	if (r == 0)
		r = query_compile(fs, dir, &q, why);
	if (r < 0)
		return r == -EBADMSG ? -ENOENT : r;
	r = query_match(q, fs->parts.catalog, &s);
	(void)query_free(q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = (struct node){.kind = sidecar ? NODE_SIDECAR : NODE_SNAP, .id = s.id};
	return 0;
}

static bool file_named(int64_t query, const char *name, struct node *ret)
{
	for (int i = 0; i < QUERY_FILES; i++) {
		if (strcmp(name, file_name[i]) == 0) {
			*ret = file_node(query, i);
			return true;
		}
	}
	return false;
}

/* query.json once it was written; the others while it can be understood. */
static int file_exists(struct fs *fs, struct node n)
{
	char why[WHY_MAX];
	struct query_row row;
	struct query *q;
	int r;

	if (query_is_text(n)) {
		r = catalog_query(fs->parts.catalog, query_of(n), &row);
		return r < 0 ? r : row.written && !text_hidden(fs, n) ? 0 : -ENOENT;
	}
	r = query_compile(fs, n, &q, why);
	if (r == 0)
		(void)query_free(q);
	return r == -EBADMSG ? -ENOENT : r;
}

int query_exists(struct fs *fs, struct node n)
{
	struct query_row row;

	return n.kind == NODE_QUERIES ? 0 : catalog_query(fs->parts.catalog, n.id, &row);
}

int query_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct query_row row;
	struct node n;
	int r;

	if (dir.kind == NODE_QUERIES) {
		r = catalog_query_find(fs->parts.catalog, name, &row);
		if (r == 0)
			*ret = (struct node){.kind = NODE_QUERY, .id = row.id};
		return r;
	}
	if (file_named(dir.id, name, &n)) {
		r = file_exists(fs, n);
		if (r == 0)
			*ret = n;
		return r;
	}
	r = find_picture(fs, dir, name, ret);
	return r == -ENOENT ? fs_lookup_scratch(fs, dir, name, ret) : r;
}

/* ---- listings: pictures, then the files, which is the order of their names ---- */
#define FILES_COOKIE (INT64_C(1) << 60)

static bool over(void *user)
{
	const struct listing_snaps *p = user;

	return fuse_req_interrupted(p->l->req) || fuse_session_exited(p->l->fs->session);
}

static int list_pictures(struct listing *l, off_t off)
{
	struct listing_snaps p;
	struct query *q;
	char why[WHY_MAX];
	int r = query_compile(l->fs, l->dir, &q, why);

	if (r < 0) /* nothing matches what says nothing */
		return r == -EBADMSG || r == -ENOENT ? 0 : r;
	r = listing_snaps_begin(l, off, &p);
	if (r == 0)
		r = query_each(q, l->fs->parts.catalog, p.last, over, listing_snap, &p);
	(void)query_free(q);
	return r == -ECANCELED ? -EINTR : r;
}

static int list_file(struct listing *l, int file)
{
	struct node n = file_node(l->dir.id, file);
	struct stat st = {.st_mode = S_IFREG, .st_ino = node_ino(n)};
	double timeout;
	int r = file_exists(l->fs, n);

	if (r == 0 && query_is_text(n))
		r = fs_attr(l->fs, n, &st, &timeout);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return listing_add(l, file_name[file], n, &st, FILES_COOKIE + file);
}

void query_list(struct listing *l, off_t off)
{
	int r = off < FILES_COOKIE ? list_pictures(l, off) : 0;
	int file = off < FILES_COOKIE ? 0 : (int)(off - FILES_COOKIE) + 1;

	for (; r == 0 && file < QUERY_FILES; file++)
		r = list_file(l, file);
	listing_ended(l, r);
}

void queries_list(struct listing *l, off_t off)
{
	struct query_row row = {0};
	int r = 0;

	if (off >= COOKIE_FIRST)
		r = catalog_query_name(l->fs->parts.catalog, off - COOKIE_FIRST, row.name);
	while (r == 0 && (r = catalog_query_next(l->fs->parts.catalog, row.name, &row)) == 0)
		if (listing_add_dir(l, row.name, (struct node){.kind = NODE_QUERY, .id = row.id},
				    COOKIE_FIRST + row.id))
			return;
	listing_ended(l, r);
}

/* ---- query.json ---- */
static int load(struct fs *fs, struct node n, struct buf *out)
{
	int r = catalog_query_text(fs->parts.catalog, query_of(n), out);

	return r == -ENOENT ? buf_add(out, "", 0) : r;
}

/* What cannot be understood is kept, too: user.shutterfs.error says why, and the directory shows no pictures. */
static int commit(struct fs *fs, struct node n, const char *text, size_t len)
{
	return catalog_query_write(fs->parts.catalog, query_of(n), text, len);
}

static int open_write(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
{
	return query_is_text(n) ? edit_open(fs, n, fi, ret) : -EROFS;
}

static void set_attr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
		     int to_set, struct handle *h)
{
	if (query_is_text(n))
		edit_setattr(fs, req, n, attr, to_set, h);
	else
		(void)fuse_reply_err(req, EROFS);
}

static int set_xattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		     int flags)
{
	return query_is_text(n) ? text_setxattr(fs, n, name, value, size, flags) : -EROFS;
}

int query_error(struct fs *fs, struct node n, struct buf *out)
{
	struct query *q = NULL;
	char why[WHY_MAX];
	int r = n.kind == NODE_QUERY || query_is_text(n) ? query_compile(fs, n, &q, why) : -ENODATA;

	(void)query_free(q);
	if (r == -EBADMSG)
		return buf_str(out, why);
	return r == 0 || r == -ENOENT ? -ENODATA : r;
}

static const struct edit_ops text_edit = {.load = load, .commit = commit};
const struct node_ops query_file_ops = {
	.open_write = open_write,
	.setattr = set_attr,
	.setxattr = set_xattr,
	.edit = &text_edit,
};

/* ---- queries/<name>/ ---- */

/* Before query.json gets its name anew: what was never there is not in the way. */
static int make_way(struct fs *fs, int64_t query, struct node *ret)
{
	struct query_row row;
	int r = catalog_query(fs->parts.catalog, query, &row);

	*ret = file_node(query, QUERY_FILE_TEXT);
	if (r == 0 && !row.written) {
		r = catalog_query_write(fs->parts.catalog, query, "", 0);
		text_hide(fs, *ret);
	}
	return r;
}

static int create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	struct node n;

	if (!file_named(dir.id, name, &n))
		return text_create(a, dir, name, NULL, mode, fi, e, ret);
	int r = query_is_text(n) ? make_way(a->fs, dir.id, &n) : -EEXIST;

	return r < 0 ? r : text_create(a, dir, name, &n, mode, fi, e, ret);
}

static int make_file(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e)
{
	struct node n;

	if (!file_named(dir.id, name, &n))
		return scratch_name_ok(name) ? scratch_mknod(a, dir, name, mode, e) : -EROFS;
	if (file_exists(a->fs, n) == 0)
		return -EEXIST;
	int r = query_is_text(n) ? make_way(a->fs, dir.id, &n) : -EROFS;

	if (r < 0)
		return r;
	text_show(a->fs, n);
	return fs_entry(a->fs, n, e);
}

/* Pictures and what is rendered stay; rmdir takes the whole away. */
static int unlink_name(struct fs *fs, struct node dir, const char *name)
{
	struct node n;
	int r;

	if (file_named(dir.id, name, &n)) {
		r = file_exists(fs, n);
		return r < 0              ? r
		       : query_is_text(n) ? catalog_query_write(fs->parts.catalog, dir.id, NULL, 0)
					  : -EPERM;
	}
	return find_picture(fs, dir, name, &n) == 0 ? -EPERM : text_unlink(fs, dir, name, NULL);
}

static int rename_name(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		       const char *new_name, unsigned flags)
{
	struct node n, to;
	bool from_file = file_named(dir.id, name, &n),
	     to_file = new_dir.kind == NODE_QUERY && file_named(new_dir.id, new_name, &to);
	int r = from_file ? file_exists(fs, n) : 0;

	if (r < 0)
		return r;
	if ((from_file && !query_is_text(n)) || (to_file && !query_is_text(to)) ||
	    (!from_file && find_picture(fs, dir, name, &n) == 0))
		return -EPERM;
	if (to_file)
		r = make_way(fs, new_dir.id, &to);
	return r < 0 ? r
		     : text_rename(fs, dir, name, from_file ? &n : NULL, new_dir, new_name,
				   to_file ? &to : NULL, flags);
}

const struct node_ops query_ops = {
	.create = create,
	.mknod = make_file,
	.unlink = unlink_name,
	.rename = rename_name,
};

/* ---- queries/ ---- */

static int make_dir(const struct asked *a, struct node dir, const char *name, mode_t mode,
		    struct fuse_entry_param *e)
{
	int64_t id;
	int r = catalog_query_make(a->fs->parts.catalog, name, &id);

	if (r < 0)
		return r == -EINVAL && strlen(name) > LABEL_MAX ? -ENAMETOOLONG : r;
	return fs_entry(a->fs, (struct node){.kind = NODE_QUERY, .id = id}, e);
}

static int remove_dir(struct fs *fs, struct node dir, const char *name)
{
	struct query_row row;
	int r = catalog_query_find(fs->parts.catalog, name, &row);

	return r < 0 ? r : catalog_query_remove(fs->parts.catalog, row.id);
}

static int rename_dir(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		      const char *new_name, unsigned flags)
{
	struct query_row row;
	int r = catalog_query_find(fs->parts.catalog, name, &row);

	if (r < 0)
		return r;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (new_dir.kind != NODE_QUERIES)
		return -EXDEV;
	r = catalog_query_rename(fs->parts.catalog, row.id, new_name, !(flags & RENAME_NOREPLACE));
	return r == -EINVAL && strlen(new_name) > LABEL_MAX ? -ENAMETOOLONG : r;
}

const struct node_ops queries_ops = {
	.mkdir = make_dir,
	.rmdir = remove_dir,
	.rename = rename_dir,
};

/* ---- attr.c, rendered.c ---- */

int query_text_row(struct fs *fs, struct node n, struct query_row *ret)
{
	int r = query_is_text(n) ? catalog_query(fs->parts.catalog, query_of(n), ret) : -ENOENT;

	return r < 0 ? r : ret->written ? 0 : -ENOENT;
}
