/* What a name means in a directory: lookup. */
#include "datasets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int lookup_root(struct fs *fs, const char *name, struct node *ret)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} entry[] = {
		{"cameras", NODE_CAMERAS}, {"datasets", NODE_DATASETS}, {"dates", NODE_DATES},
		{"labels", NODE_LABELS},   {"queries", NODE_QUERIES},   {"starred", NODE_STARRED},
		{"upload", NODE_UPLOAD},   {".shutterfs", NODE_GHOSTS},
	};

	for (size_t i = 0; i < ARRAY_LEN(entry); i++) {
		if (strcmp(entry[i].name, name) != 0)
			continue;
		if (entry[i].kind == NODE_UPLOAD && !fs->parts.upload)
			return -ENOENT;
		*ret = (struct node){.kind = entry[i].kind};
		return 0;
	}
	return -ENOENT;
}

static int lookup_camera(struct fs *fs, const char *name, struct node *ret)
{
	struct camera_row row;
	int r = catalog_camera_find(fs->parts.catalog, name, &row);

	if (r == 0)
		*ret = (struct node){.kind = NODE_CAMERA, .id = row.id};
	return r;
}

static int lookup_day(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct view v;
	int32_t day;
	struct node n = {.id = dir.id};
	int r = day_from_name(name, &day);

	if (r < 0 || !node_days_view(dir, &v))
		return -ENOENT;
	r = fs_day_exists(fs, dir, day);
	if (r < 0)
		return r;
	n.kind = dir.kind == NODE_CAMERA  ? NODE_CAMERA_DAY
		 : dir.kind == NODE_LABEL ? NODE_LABEL_DAY
					  : NODE_STARRED_DAY;
	n.day = day;
	*ret = n;
	return 0;
}

static int lookup_in_camera(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct snap s;

	if (strcmp(name, "latest.jpg") == 0) {
		*ret = (struct node){.kind = NODE_LATEST, .id = dir.id};
		return catalog_newest(fs->parts.catalog, dir.id, &s);
	}
	if (strcmp(name, "live.jpg") == 0 && ingest_can_capture(fs->parts.ingest, dir.id)) {
		*ret = (struct node){.kind = NODE_LIVE, .id = dir.id};
		return 0;
	}
	return lookup_day(fs, dir, name, ret);
}

/* dates/<YYYY>/<MM>/<DD>: exactly so many digits, and something must be in it. */
static int lookup_date(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	size_t want = dir.kind == NODE_DATES ? 4 : 2;
	char *end;
	long value = strtol(name, &end, 10);
	int y, m, d;
	int32_t first, found;

	if (strlen(name) != want || *end || strspn(name, "0123456789") != want)
		return -ENOENT;
	if (dir.kind == NODE_DATES) {
		*ret = (struct node){.kind = NODE_YEAR, .id = value};
		first = day_from_civil((int)value, 1, 1);
	} else if (dir.kind == NODE_YEAR) {
		if (value < 1 || value > 12)
			return -ENOENT;
		*ret = (struct node){.kind = NODE_MONTH, .id = dir.id * 12 + value - 1};
		first = day_from_civil((int)dir.id, (int)value, 1);
	} else {
		if (value < 1 || value > 31)
			return -ENOENT;
		first = day_from_civil((int)(dir.id / 12), (int)(dir.id % 12) + 1, (int)value);
		*ret = (struct node){.kind = NODE_DAY, .day = first};
	}
	int r = catalog_next_day(fs->parts.catalog, (struct view){VIEW_ALL, 0}, first - 1, &found);

	if (r < 0)
		return r;
	civil_from_day(found, &y, &m, &d);
	if (dir.kind == NODE_DATES)
		return y == value ? 0 : -ENOENT;
	if (dir.kind == NODE_YEAR)
		return y == dir.id && m == value ? 0 : -ENOENT;
	return y == dir.id / 12 && m == dir.id % 12 + 1 && d == value ? 0 : -ENOENT;
}

static int lookup_label(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct label_row row;
	int r = dir.kind == NODE_LABELS ? catalog_kind_find(fs->parts.catalog, name, &row)
					: catalog_label_find(fs->parts.catalog, dir.id, name, &row);

	if (r == 0)
		*ret = (struct node){.kind = dir.kind == NODE_LABELS ? NODE_KIND : NODE_LABEL,
				     .id = row.id};
	return r;
}

int fs_day_exists(struct fs *fs, struct node dir, int32_t day)
{
	struct upload_row row;
	struct view v;
	char name[16];
	int32_t found;
	int r = node_days_view(dir, &v) ? catalog_next_day(fs->parts.catalog, v, day - 1, &found)
					: -ENOENT;

	if (r == 0 && found == day)
		return 0;
	if ((r < 0 && r != -ENOENT) || dir.kind == NODE_CAMERA)
		return r < 0 ? r : -ENOENT;
	/* One that was just made, or emptied. */
	day_name(day, name);
	r = scratch_find(fs, dir, name, &row);
	return r == 0 && !row.is_dir ? -ENOENT : r;
}

static bool cut_suffix(char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	if (n <= s || strcmp(name + n - s, suffix) != 0)
		return false;
	name[n - s] = '\0';
	return true;
}

bool fs_split_name(const char *name, char ret_stem[STEM_MAX + 16], bool *ret_sidecar)
{
	if (strlen(name) >= STEM_MAX + 16)
		return false;
	memcpy(ret_stem, name, strlen(name) + 1);
	*ret_sidecar = cut_suffix(ret_stem, ".jpg.json") || cut_suffix(ret_stem, ".json");
	return *ret_sidecar || cut_suffix(ret_stem, ".jpg");
}

int fs_lookup_scratch(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct upload_row row;
	int r = scratch_find(fs, dir, name, &row);

	if (r == 0 && (row.is_dir || row.state == UPLOAD_REGISTERED))
		r = -ENOENT;
	if (r == 0)
		*ret = (struct node){.kind = NODE_UPLOAD, .id = row.id};
	return r;
}

/* A picture by a name that it was given there. */
static int lookup_in_label(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct snap s;
	int r = label_find(fs, dir, name, &s);

	if (r == 0)
		*ret = (struct node){.kind = NODE_SNAP, .id = s.id};
	return r == -ENOENT ? fs_lookup_scratch(fs, dir, name, ret) : r;
}

static int lookup_snap(struct fs *fs, struct node dir, struct view v, const char *name,
		       struct node *ret)
{
	char stem[STEM_MAX + 16];
	struct snap s;
	bool sidecar;
	int r = fs_split_name(name, stem, &sidecar) && (!sidecar || fs_sidecars_shown(fs))
			? catalog_find(fs->parts.catalog, v, dir.day, stem, &s)
			: -ENOENT;

	if (r == 0)
		*ret = (struct node){.kind = sidecar ? NODE_SIDECAR : NODE_SNAP, .id = s.id};
	if (r == 0 && sidecar && text_hidden(fs, *ret))
		r = -ENOENT;
	if (r == -ENOENT)
		r = lookup_in_label(fs, dir, name, ret);
	return r;
}

static int lookup_ghost(struct fs *fs, const char *name, struct node *ret)
{
	for (int64_t i = 0; fs->parts.ghost[i].name; i++) {
		if (strcmp(fs->parts.ghost[i].name, name) == 0) {
			*ret = (struct node){.kind = NODE_GHOST, .id = i};
			return 0;
		}
	}
	return -ENOENT;
}

int fs_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct upload_row row;
	struct view v;
	int r;

	switch (dir.kind) {
	case NODE_ROOT:
		return lookup_root(fs, name, ret);
	case NODE_CAMERAS:
		return lookup_camera(fs, name, ret);
	case NODE_CAMERA:
		return lookup_in_camera(fs, dir, name, ret);
	case NODE_LABEL:
	case NODE_STARRED:
		r = lookup_day(fs, dir, name, ret);
		return r == -ENOENT ? lookup_in_label(fs, dir, name, ret) : r;
	case NODE_DATES:
	case NODE_YEAR:
	case NODE_MONTH:
		return lookup_date(fs, dir, name, ret);
	case NODE_LABELS:
	case NODE_KIND:
		return lookup_label(fs, dir, name, ret);
	case NODE_GHOSTS:
		return lookup_ghost(fs, name, ret);
	case NODE_QUERIES:
	case NODE_QUERY:
		return query_lookup(fs, dir, name, ret);
	case NODE_DATASETS:
	case NODE_DATASET:
	case NODE_DATASET_DIR:
	case NODE_DATASET_CLASS:
		return dataset_lookup(fs, dir, name, ret);
	case NODE_UPLOAD:
		r = ingest_lookup(fs->parts.ingest, dir.id, name, &row);
		if (r == 0)
			*ret = (struct node){.kind = NODE_UPLOAD, .id = row.id};
		return r;
	default:
		return node_day_view(dir, &v) ? lookup_snap(fs, dir, v, name, ret) : -ENOTDIR;
	}
}

int fs_parent(struct fs *fs, struct node n, struct node *ret)
{
	struct node up = {.kind = NODE_ROOT};
	struct upload_row row;
	struct label_row label;
	int y, m, d, r = 0;

	switch (n.kind) {
	case NODE_CAMERA:
		up = (struct node){.kind = NODE_CAMERAS};
		break;
	case NODE_CAMERA_DAY:
		up = (struct node){.kind = NODE_CAMERA, .id = n.id};
		break;
	case NODE_YEAR:
		up = (struct node){.kind = NODE_DATES};
		break;
	case NODE_MONTH:
		up = (struct node){.kind = NODE_YEAR, .id = n.id / 12};
		break;
	case NODE_DAY:
		civil_from_day(n.day, &y, &m, &d);
		up = (struct node){.kind = NODE_MONTH, .id = (int64_t)y * 12 + m - 1};
		break;
	case NODE_KIND:
		up = (struct node){.kind = NODE_LABELS};
		break;
	case NODE_LABEL:
		r = catalog_label(fs->parts.catalog, n.id, false, &label);
		up = (struct node){.kind = NODE_KIND, .id = r < 0 ? 0 : label.kind};
		break;
	case NODE_LABEL_DAY:
		up = (struct node){.kind = NODE_LABEL, .id = n.id};
		break;
	case NODE_STARRED_DAY:
		up = (struct node){.kind = NODE_STARRED};
		break;
	case NODE_QUERY:
		up = (struct node){.kind = NODE_QUERIES};
		break;
	case NODE_DATASET:
	case NODE_DATASET_DIR:
	case NODE_DATASET_CLASS:
		return dataset_parent(fs, n, ret);
	case NODE_UPLOAD:
		if (n.id == 0)
			break;
		r = ingest_entry(fs->parts.ingest, n.id, &row);
		if (r == 0 && row.parent < 0) {
			up = node_from_ino((uint64_t)-row.parent);
			break;
		}
		up = (struct node){.kind = NODE_UPLOAD, .id = r < 0 ? 0 : row.parent};
		break;
	default:
		break;
	}
	if (r == 0)
		*ret = up;
	return r;
}

int fs_entry(struct fs *fs, struct node n, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	int r = fs_attr(fs, n, &e->attr, &e->attr_timeout);

	if (r < 0)
		return r;
	e->ino = node_ino(n);
	e->entry_timeout = n.kind == NODE_LATEST || n.kind == NODE_LIVE || n.kind == NODE_GHOST
				   ? 0
				   : DAY_S;
	return 0;
}

static bool takes_pictures(struct node dir)
{
	return dir.kind == NODE_LABEL || dir.kind == NODE_LABEL_DAY || dir.kind == NODE_STARRED ||
	       dir.kind == NODE_STARRED_DAY;
}

/* The kernel is told when a listed name comes or goes; others are looked up every time. */
static bool is_passing(struct fs *fs, struct node dir, const char *name, struct node n)
{
	return (n.kind == NODE_UPLOAD && n.id != 0 && dir.kind != NODE_UPLOAD) ||
	       (n.kind == NODE_SNAP && takes_pictures(dir) && !label_lists(fs, dir, name));
}

/* A name that is not there now, and whose coming nobody will tell; or not before who makes it come, by a label, may look for it. */
static bool comes_untold(struct fs *fs, struct node dir, const char *name)
{
	struct node hidden;

	return dir.kind == NODE_LABELS || dir.kind == NODE_KIND || dir.kind == NODE_LABEL ||
	       dir.kind == NODE_STARRED || dir.kind == NODE_QUERY ||
	       sidecar_named(fs, dir, name, &hidden);
}

/* A name that the kernel has forgotten is of a picture whose bytes it may have forgotten, too; and who opens what he looks up will open
 * this one.  So the disk begins to read while the reader is still on his way. */
static void expect_reading(struct fs *fs, int64_t snapshot)
{
	unsigned left = fs->expecting;
	struct snap s;

	if (left && atomic_compare_exchange_strong(&fs->expecting, &left, left - 1) &&
	    catalog_snap(fs->parts.catalog, snapshot, &s) == 0)
		fetch_expect(fs->parts.fetch, &s);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node dir = node_from_ino(parent), n = dir;
	struct fuse_entry_param e;
	int r = 0;

	/* An NFS server asks for "." and ".." to find its way back from a file handle. */
	if (strlen(name) > NAME_LIMIT)
		r = -ENAMETOOLONG;
	else if (strcmp(name, "..") == 0)
		r = fs_parent(fs, dir, &n);
	else if (strcmp(name, ".") != 0)
		r = fs_lookup(fs, dir, name, &n);
	if (r == -ENOENT &&
	    dir.kind != NODE_UPLOAD) { /* it may be about to come, or have come since */
		(void)fs_settled_at(fs, dir);
		r = fs_lookup(fs, dir, name, &n);
	}
	if (n.kind == NODE_SNAP || n.kind == NODE_SIDECAR)
		walk_asked(&fs->walks, parent);
	if (r == 0)
		r = fs_entry(fs, n, &e);
	if (r == 0 && is_passing(fs, dir, name, n))
		e.entry_timeout = 0;
	else if (r == 0 && dir.kind == NODE_QUERY)
		e.entry_timeout = QUERY_S;
	if (r == -ENOENT && !comes_untold(fs, dir, name)) {
		/* Names in upload/ appear by the kernel's own doing, elsewhere with a notification. */
		e = (struct fuse_entry_param){.entry_timeout = NEGATIVE_S};
		r = 0;
	}
	if (r < 0)
		(void)fuse_reply_err(req, -r);
	else
		(void)fuse_reply_entry(req, &e);
	if (r == 0 && e.ino && n.kind == NODE_SNAP)
		expect_reading(fs, n.id);
}

static void live_done(struct fs *fs, fuse_req_t req, void *data, int err, int fd, int64_t snapshot)
{
	char target[PATH_MAX];
	struct snap s;

	if (err == 0)
		err = catalog_snap(fs->parts.catalog, snapshot, &s);
	if (err < 0) {
		/* to a reader, what is no picture is a failed read */
		(void)fuse_reply_err(req, err == -EBADMSG ? EIO : -err);
		return;
	}
	fs_snap_target(&s, target, sizeof(target));
	(void)fuse_reply_readlink(req, target);
}

/* live.jpg is a link to the picture that following it takes: so it has an exact size, can be mapped, and readers of different
 * captures never share a page.  Following it is what opening does; lstat and ls take no picture. */
void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct node n = node_from_ino(ino);
	char target[PATH_MAX];
	struct snap s;
	int r = -EINVAL;

	if (n.kind == NODE_LIVE) {
		fs_park_capture(fs, req, n.id, live_done, NULL);
		return;
	}
	if (n.kind == NODE_LATEST) {
		(void)fs_settled_at(fs, n);
		r = catalog_newest(fs->parts.catalog, n.id, &s);
	}
	if (r < 0) {
		(void)fuse_reply_err(req, fs_errno(r));
		return;
	}
	fs_snap_target(&s, target, sizeof(target));
	(void)fuse_reply_readlink(req, target);
}
