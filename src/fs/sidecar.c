/* Sidecars that are edited, in every directory of snapshots: whole at close, in one transaction. */
#include "nodes.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BY "user"

static int load(struct fs *fs, struct node n, struct buf *out)
{
	struct snap s;
	int r = catalog_snap(fs->parts.catalog, n.id, &s);

	return r < 0 ? r : fs_sidecar_text(fs, &s, out, NULL);
}

/* Its bytes are what a read gives until it is mended; its labels stay. */
static int keep_draft(struct fs *fs, struct node n, const char *text, size_t len, const char *why)
{
	char subject[STEM_MAX + 128];
	struct camera_row camera;
	struct snap s;
	char day[16];
	int r = catalog_snap(fs->parts.catalog, n.id, &s);

	if (r == 0)
		r = catalog_camera(fs->parts.catalog, s.camera, &camera);
	if (r < 0)
		return r;
	day_name(s.day, day);
	(void)snprintf(subject, sizeof(subject), "cameras/%s/%s/%s.json", camera.name, day, s.stem);
	r = catalog_draft_put(fs->parts.catalog, (int64_t)node_ino(n), subject, text, len, why);
	if (r == 0)
		notify_node(fs->notifier, n);
	return r;
}

static int commit(struct fs *fs, struct node n, const char *text, size_t len)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX] = "";
	int r = len > SIDECAR_BYTES ? -EFBIG : sidecar_parse(text, len, &s, why);
	bool broken = r == -EBADMSG || r == -EFBIG;

	if (r == -EFBIG) {
		(void)snprintf(why, sizeof(why), "is larger than %d KiB", SIDECAR_BYTES >> 10);
		len = len > SIDECAR_BYTES ? SIDECAR_BYTES : len;
	}
	if (r == 0)
		r = catalog_edit_sidecar(fs->parts.catalog, n.id, &s, BY);
	if (r == -EINVAL || r == -E2BIG) {
		broken = true;
		(void)snprintf(why, sizeof(why), SIDECAR_FULL);
	}
	if (r == -EEXIST)
		(void)snprintf(why, sizeof(why), "has a document twice");
	if (broken || r == -EEXIST) {
		int kept = keep_draft(fs, n, text, len, why);

		return kept < 0 ? kept : broken ? 0 : r;
	}
	return r < 0 ? r : catalog_draft_remove(fs->parts.catalog, (int64_t)node_ino(n));
}

static const struct edit_ops sidecar_edit = {.load = load, .commit = commit};
const struct node_ops sidecar_ops = {
	.open_write = edit_open,
	.setattr = edit_setattr,
	.setxattr = text_setxattr,
	.edit = &sidecar_edit,
};

bool sidecar_named(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	char stem[STEM_MAX + 16];
	bool sidecar;
	struct view v;
	struct snap s;

	if (!node_day_view(dir, &v) || !fs_sidecars_shown(fs) ||
	    !fs_split_name(name, stem, &sidecar) || !sidecar ||
	    catalog_find(fs->parts.catalog, v, dir.day, stem, &s) < 0)
		return false;
	*ret = (struct node){.kind = NODE_SIDECAR, .id = s.id};
	return true;
}

/* ---- cameras/<camera>/<day>/, dates/<year>/<month>/<day>/ ---- */

static int create(const struct asked *a, struct node dir, const char *name, mode_t mode,
		  struct fuse_file_info *fi, struct fuse_entry_param *e, struct handle **ret)
{
	struct node n;

	return text_create(a, dir, name, sidecar_named(a->fs, dir, name, &n) ? &n : NULL, mode, fi,
			   e, ret);
}

static int make_file(const struct asked *a, struct node dir, const char *name, mode_t mode,
		     struct fuse_entry_param *e)
{
	return scratch_name_ok(name) ? scratch_mknod(a, dir, name, mode, e) : -EROFS;
}

static bool is_picture(struct fs *fs, struct node dir, const char *name, struct snap *ret)
{
	char stem[STEM_MAX + 16];
	bool sidecar;
	struct view v;

	return node_day_view(dir, &v) && fs_split_name(name, stem, &sidecar) && !sidecar &&
	       catalog_find(fs->parts.catalog, v, dir.day, stem, ret) == 0;
}

static int unlink_name(struct fs *fs, struct node dir, const char *name)
{
	struct node n;
	struct snap s;

	if (is_picture(fs, dir, name, &s))
		return -EPERM;
	return text_unlink(fs, dir, name, sidecar_named(fs, dir, name, &n) ? &n : NULL);
}

/* A picture stays; put into a label directory it has that label, too. */
static int rename_name(struct fs *fs, struct node dir, const char *name, struct node new_dir,
		       const char *new_name, unsigned flags)
{
	struct node n, to;
	struct snap s;

	if (is_picture(fs, dir, name, &s))
		return label_put(fs, s.id, new_dir, new_name);
	bool is_text = sidecar_named(fs, dir, name, &n),
	     to_text = sidecar_named(fs, new_dir, new_name, &to);

	return text_rename(fs, dir, name, is_text ? &n : NULL, new_dir, new_name,
			   to_text ? &to : NULL, flags);
}

const struct node_ops sidecar_dir_ops = {
	.create = create,
	.mknod = make_file,
	.unlink = unlink_name,
	.rename = rename_name,
};
