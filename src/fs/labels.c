/* labels/ and starred/ as directories that people change: a picture that is put into one has that label, one that is removed
 * loses it, and a directory that is renamed renames the label.
 *
 * A picture is listed under its own day.  In the directory that it was put in, and under the name it was given there, it resolves too:
 * by its stem always, by another name for an hour (a row of the annex). */
#include "nodes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BY "user"

/* What a directory stands for. */
struct holder {
	bool star;
	int64_t label;
	struct view view;
	bool has_day;
};

static bool holder_of(struct node dir, struct holder *ret)
{
	switch (dir.kind) {
	case NODE_LABEL:
	case NODE_LABEL_DAY:
		*ret = (struct holder){.label = dir.id, .view = {VIEW_LABEL, dir.id}};
		break;
	case NODE_STARRED:
	case NODE_STARRED_DAY:
		*ret = (struct holder){.star = true, .view = {VIEW_STARRED, 0}};
		break;
	default:
		return false;
	}
	ret->has_day = dir.kind == NODE_LABEL_DAY || dir.kind == NODE_STARRED_DAY;
	return true;
}

static struct node days_of(struct node dir)
{
	return dir.kind == NODE_LABEL_DAY ? (struct node){.kind = NODE_LABEL, .id = dir.id}
					  : (struct node){.kind = NODE_STARRED};
}

static int put(struct fs *fs, const struct holder *h, int64_t snapshot)
{
	int r = h->star ? catalog_star(fs->parts.catalog, snapshot, true, BY)
			: catalog_label_tag(fs->parts.catalog, snapshot, h->label, BY);

	return r == -EEXIST ? 0 : r;
}

static int take(struct fs *fs, const struct holder *h, int64_t snapshot)
{
	return h->star ? catalog_star(fs->parts.catalog, snapshot, false, BY)
		       : catalog_label_remove(fs->parts.catalog, snapshot, h->label, BY);
}

static bool holds(struct fs *fs, const struct holder *h, int32_t day, const char *stem,
		  struct snap *ret)
{
	return catalog_find(fs->parts.catalog, h->view, day, stem, ret) == 0;
}

/* ---- names ---- */

/* By its own name: in a directory of days, the stem says the day. */
static bool by_stem(struct fs *fs, const struct holder *h, struct node dir, const char *name,
		    struct snap *ret)
{
	char stem[STEM_MAX + 16], camera[CAMERA_MAX + 1];
	struct civil c;
	bool sidecar;
	unsigned dup;

	if (!fs_split_name(name, stem, &sidecar) || sidecar)
		return false;
	if (h->has_day)
		return holds(fs, h, dir.day, stem, ret);
	return stem_parse(stem, &c, &dup, camera) == 0 &&
	       holds(fs, h, day_from_civil(c.year, c.month, c.day), stem, ret);
}

int label_find(struct fs *fs, struct node dir, const char *name, struct snap *ret)
{
	struct upload_row row;
	struct holder h;
	struct snap s;

	if (!holder_of(dir, &h))
		return -ENOENT;
	if (by_stem(fs, &h, dir, name, ret))
		return 0;
	int r = scratch_find(fs, dir, name, &row);

	if (r == 0 && (row.is_dir || row.state != UPLOAD_REGISTERED))
		r = -ENOENT;
	if (r == 0)
		r = catalog_snap(fs->parts.catalog, row.snapshot, &s);
	if (r == 0 && !holds(fs, &h, s.day, s.stem, ret)) /* it lost the label elsewhere */
		r = -ENOENT;
	return r;
}

bool label_lists(struct fs *fs, struct node dir, const char *name)
{
	struct holder h;
	struct snap s;

	return holder_of(dir, &h) && h.has_day && by_stem(fs, &h, dir, name, &s);
}

/* It has the label now; is it found under the name it was given? */
static int name_it(struct fs *fs, const struct holder *h, int64_t snapshot, struct node dir,
		   const char *name)
{
	struct snap s;

	if (by_stem(fs, h, dir, name, &s) && s.id == snapshot)
		return 0;
	int r = catalog_snap(fs->parts.catalog, snapshot, &s);

	return r < 0 ? r : ingest_annex_name(fs->parts.ingest, annex_of(dir).id, name, &s);
}

int label_put(struct fs *fs, int64_t snapshot, struct node dir, const char *name)
{
	struct holder h;

	if (!holder_of(dir, &h) || upload_kind_of(name) != UPLOAD_PICTURE)
		return -EPERM;
	int r = put(fs, &h, snapshot);

	return r < 0 ? r : name_it(fs, &h, snapshot, dir, name);
}

/* ---- what is written there ---- */

static int label_exists(struct fs *fs, struct node dir)
{
	struct label_row row;
	struct holder h;

	return !holder_of(dir, &h) ? -ENOENT
	       : h.star            ? 0
				   : catalog_label(fs->parts.catalog, h.label, false, &row);
}

static bool may_create(struct fs *fs, const char *name)
{
	return fs->parts.upload &&
	       (upload_kind_of(name) == UPLOAD_PICTURE || upload_name_is_temporary(name));
}

static int create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	struct node n;
	int r = label_exists(a->fs, dir);

	if (r < 0)
		return r;
	if (sidecar_named(a->fs, dir, name, &n))
		return text_create(a, dir, name, &n, mode, fi, e, ret);
	if (!may_create(a->fs, name) && !scratch_name_ok(name))
		return -EPERM;
	return scratch_create(a, dir, name, mode, fi, e, ret);
}

static int make_file(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e)
{
	int r = label_exists(a->fs, dir);

	if (r == 0 && !may_create(a->fs, name))
		r = -EPERM;
	return r < 0 ? r : scratch_mknod(a, dir, name, mode, e);
}

static int make_link(struct fs *fs, struct node n, struct node dir, const char *name,
		     struct fuse_entry_param *e)
{
	struct upload_row row;
	int64_t snapshot = n.kind == NODE_SNAP ? n.id : 0;

	if (n.kind == NODE_UPLOAD && ingest_entry(fs->parts.ingest, n.id, &row) == 0 &&
	    row.state == UPLOAD_REGISTERED)
		snapshot = row.snapshot;
	if (snapshot == 0)
		return -EPERM;
	int r = label_put(fs, snapshot, dir, name);

	if (r == 0)
		r = fs_entry(fs, (struct node){.kind = NODE_SNAP, .id = snapshot}, e);
	if (r == 0 && !label_lists(fs, dir, name))
		e->entry_timeout = 0;
	return r;
}

/* A new picture's camera is that of its name, its labels are those of the directory. */
static int describe(void *user, int64_t annex, const char *name, char ret_camera[CAMERA_MAX + 1],
		    struct sidecar *ret)
{
	struct fs *fs = user;
	char stem[STEM_MAX + 16];
	struct label_row value, kind;
	struct holder h;
	struct civil c;
	unsigned dup;
	bool sidecar;

	if (!holder_of(node_from_ino((uint64_t)-annex), &h))
		return -ENOENT;
	if (!fs_split_name(name, stem, &sidecar) || stem_parse(stem, &c, &dup, ret_camera) < 0)
		(void)snprintf(ret_camera, CAMERA_MAX + 1, "upload");
	if (h.star) {
		ret->starred = ret->has_starred = true;
		return 0;
	}
	int r = catalog_label(fs->parts.catalog, h.label, false, &value);

	if (r == 0)
		r = catalog_label_name(fs->parts.catalog, value.kind, true, &kind);
	if (r < 0)
		return r;
	return labels_add(&ret->labels, &(struct label){.kind = kind.name,
							.value = value.name,
							.by = (char *)BY,
							/* copied */ .score = NAN});
}

static int adopt(void *user, int64_t annex, int64_t snapshot)
{
	struct node dir = node_from_ino((uint64_t)-annex);
	struct fs *fs = user;
	struct holder h;
	int r = label_exists(fs, dir);

	return r < 0 || !holder_of(dir, &h) ? -ENOENT : put(fs, &h, snapshot);
}

static void where(void *user, int64_t annex, char *out, size_t size)
{
	struct fs *fs = user;
	struct label_row value, kind;
	struct holder h;

	if (!holder_of(node_from_ino((uint64_t)-annex), &h))
		return;
	if (h.star)
		(void)snprintf(out, size, "starred");
	else if (catalog_label_name(fs->parts.catalog, h.label, false, &value) == 0 &&
		 catalog_label_name(fs->parts.catalog, value.kind, true, &kind) == 0)
		(void)snprintf(out, size, "labels/%s/%s", kind.name, value.name);
}

const struct annex_ops label_annex = {
	.where = where, .describe = describe, .adopt = adopt, .registered = tags_of_upload};

/* ---- taking away ---- */

/* rm -r removes the day next, which is no longer one of the view's: it stays for that. */
static int keep_day(struct fs *fs, const struct holder *h, struct node dir)
{
	char name[16];
	int32_t day;
	int r;

	if (!h->has_day)
		return 0;
	r = catalog_next_day(fs->parts.catalog, h->view, dir.day - 1, &day);
	if (r < 0 ? r != -ENOENT : day == dir.day)
		return r;
	day_name(dir.day, name);
	return ingest_annex_name(fs->parts.ingest, annex_of(days_of(dir)).id, name, NULL);
}

static int drop_name(struct fs *fs, struct node dir, const char *name)
{
	int r = scratch_unlink(fs, dir, name);

	return r == -ENOENT ? 0 : r;
}

static int unlink_name(struct fs *fs, struct node dir, const char *name)
{
	struct holder h;
	struct node n;
	struct snap s;

	if (!holder_of(dir, &h))
		return -EPERM;
	if (sidecar_named(fs, dir, name, &n))
		return text_unlink(fs, dir, name, &n);
	int r = label_find(fs, dir, name, &s);

	if (r == -ENOENT)
		return scratch_unlink(fs, dir, name);
	if (r == 0)
		r = take(fs, &h, s.id);
	if (r == 0)
		r = drop_name(fs, dir, name);
	return r < 0 ? r : keep_day(fs, &h, dir);
}

/* ---- renaming a picture, or what is being written ---- */

/* From one label to another; from or to starred/ it is removed here and added there. */
static int relabel(struct fs *fs, const struct holder *from, const struct holder *to,
		   int64_t snapshot)
{
	int r;

	if (from->star == to->star && from->label == to->label)
		return 0;
	if (!from->star && !to->star)
		return catalog_label_move(fs->parts.catalog, snapshot, from->label, to->label, BY);
	r = put(fs, to, snapshot);
	return r < 0 ? r : take(fs, from, snapshot);
}

static int move_picture(struct fs *fs, const struct snap *s, struct node dir, const char *name,
			struct node new_dir, const char *new_name, unsigned flags)
{
	struct holder from, to;
	struct snap there;
	int r;

	if (new_dir.kind == NODE_UPLOAD)
		return -EXDEV;
	if (!holder_of(dir, &from) || !holder_of(new_dir, &to) ||
	    upload_kind_of(new_name) != UPLOAD_PICTURE)
		return -EPERM;
	if ((flags & RENAME_NOREPLACE) && label_find(fs, new_dir, new_name, &there) == 0)
		return -EEXIST;
	r = label_exists(fs, new_dir);
	if (r == 0)
		r = relabel(fs, &from, &to, s->id);
	if (r == 0)
		r = drop_name(fs, dir, name);
	if (r == 0)
		r = name_it(fs, &to, s->id, new_dir, new_name);
	if (r < 0)
		return r;
	notify_name(fs->notifier, new_dir, new_name);
	return keep_day(fs, &from, dir);
}

static int rename_name(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		       const char *new_name, unsigned flags)
{
	struct node n, to;
	struct holder h;
	struct snap s;

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (label_find(fs, dir, name, &s) == 0)
		return move_picture(fs, &s, dir, name, new_dir, new_name, flags);
	bool is_text = sidecar_named(fs, dir, name, &n),
	     to_text = sidecar_named(fs, new_dir, new_name, &to);

	if (is_text || to_text || !holder_of(new_dir, &h))
		return text_rename(fs, dir, name, is_text ? &n : NULL, new_dir, new_name,
				   to_text ? &to : NULL, flags);
	if (!may_create(fs, new_name)) /* a day's directory: mv then goes picture by picture */
		return scratch_find(fs, dir, name, &(struct upload_row){0}) == 0 ? -EPERM : -EXDEV;
	return scratch_rename(fs, dir, name, new_dir, new_name, flags);
}

/* ---- days ---- */

static int make_day(const struct asked *a, struct node dir, const char *name, mode_t mode,
		    struct fuse_entry_param *e)
{
	struct node n;
	int32_t day;
	int r = label_exists(a->fs, dir);

	if (r < 0)
		return r;
	if ((dir.kind != NODE_LABEL && dir.kind != NODE_STARRED) || day_from_name(name, &day) < 0)
		return -EPERM;
	if (fs_lookup(a->fs, dir, name, &n) == 0)
		return -EEXIST;
	r = ingest_annex_name(a->fs->parts.ingest, annex_of(dir).id, name, NULL);
	if (r == 0)
		r = fs_lookup(a->fs, dir, name, &n);
	return r < 0 ? r : fs_entry(a->fs, n, e);
}

static int remove_day(struct fs *fs, struct node dir, const char *name)
{
	int32_t day, found;
	struct holder h;
	int r;

	if (!holder_of(dir, &h) || h.has_day)
		return -ENOTDIR;
	r = day_from_name(name, &day);
	if (r < 0)
		return -ENOENT;
	r = catalog_next_day(fs->parts.catalog, h.view, day - 1, &found);
	if (r == 0 && found == day)
		return -ENOTEMPTY;
	return r < 0 && r != -ENOENT
		       ? r
		       : ingest_unlink(fs->parts.ingest, annex_of(dir).id, name, true);
}

/* Times, mode and owner of a directory that rsync and mv fill: accepted, since they go on only then, and not kept. */
static void set_attr(struct fs *fs, fuse_req_t req, struct node n, const struct stat *attr,
		     int to_set, struct handle *h)
{
	struct stat st;
	double timeout;
	int r = to_set & FUSE_SET_ATTR_SIZE ? -EISDIR : fs_attr(fs, n, &st, &timeout);

	if (r < 0)
		(void)fuse_reply_err(req, fs_errno(r));
	else
		(void)fuse_reply_attr(req, &st, timeout);
}

const struct node_ops label_ops = {
	.setattr = set_attr,
	.create = create,
	.mknod = make_file,
	.mkdir = make_day,
	.unlink = unlink_name,
	.rmdir = remove_day,
	.rename = rename_name,
	.link = make_link,
};

/* ---- labels/ and its kinds ---- */

static int find_row(struct fs *fs, struct node dir, const char *name, struct label_row *ret)
{
	return dir.kind == NODE_LABELS ? catalog_kind_find(fs->parts.catalog, name, ret)
				       : catalog_label_find(fs->parts.catalog, dir.id, name, ret);
}

static int make_label(const struct asked *a, struct node dir, const char *name, mode_t mode,
		      struct fuse_entry_param *e)
{
	bool kind = dir.kind == NODE_LABELS;
	struct node n = {.kind = kind ? NODE_KIND : NODE_LABEL};
	int r = kind ? catalog_kind_make(a->fs->parts.catalog, name, &n.id)
		     : catalog_label_make(a->fs->parts.catalog, dir.id, name, &n.id);

	return r < 0 ? r : fs_entry(a->fs, n, e);
}

static int remove_label(struct fs *fs, struct node dir, const char *name)
{
	struct label_row row;
	int r = find_row(fs, dir, name, &row);

	return r < 0 ? r : catalog_label_unmake(fs->parts.catalog, row.id, dir.kind == NODE_LABELS);
}

static int rename_label(struct fs *fs, struct node dir, const char *name, struct node new_dir,
			const char *new_name, unsigned flags)
{
	struct label_row row, there;
	int r = find_row(fs, dir, name, &row);

	if (r < 0)
		return r;
	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	if (new_dir.kind != dir.kind) /* a kind is no value, and a value no day */
		return -EPERM;
	if ((flags & RENAME_NOREPLACE) && find_row(fs, new_dir, new_name, &there) == 0)
		return -EEXIST;
	return catalog_label_rename(fs->parts.catalog, row.id, dir.kind == NODE_LABELS,
				    dir.kind == NODE_LABELS ? 0 : new_dir.id, new_name, BY);
}

const struct node_ops labels_ops = {
	.mkdir = make_label, .rmdir = remove_label, .rename = rename_label};
const struct node_ops kind_ops = {
	.mkdir = make_label, .rmdir = remove_label, .rename = rename_label};
