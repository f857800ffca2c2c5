/* Directory listings: each reply is one range scan that begins where the offset says, so a handle needs no state.
 *
 * Offsets: 1 and 2 are "." and ".."; from COOKIE_FIRST on they encode the entry after which to go on (a catalog id, a day, a number). */
#include "datasets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATEST_COOKIE (INT64_C(1) << 40)

void listing_ended(struct listing *l, int r)
{
	if (r < 0 && r != -ENOENT)
		l->error = r;
}

bool listing_add(struct listing *l, const char *name, struct node n, const struct stat *st,
		 off_t next)
{
	struct fuse_entry_param e = {
		.ino = node_ino(n), .entry_timeout = DAY_S, .attr_timeout = DAY_S};
	size_t room = l->size - l->used, need;
	bool dots = name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));

	e.attr = *st;
	if (n.kind == NODE_LATEST || n.kind == NODE_GHOST)
		e.attr_timeout = e.entry_timeout = 0;
	else if (l->dir.kind == NODE_QUERY)
		e.entry_timeout = QUERY_S;
	else if (n.kind == NODE_DATASET_LOST)
		e.attr_timeout = e.entry_timeout = NEGATIVE_S;
	/* The kernel takes no reference on the first, and asks about the others when somebody does. */
	if (dots || st->st_mode == S_IFREG)
		e.ino = 0;
	need = l->plus ? fuse_add_direntry_plus(l->req, l->data + l->used, room, name, &e, next)
		       : fuse_add_direntry(l->req, l->data + l->used, room, name, &e.attr, next);
	if (need > room)
		return true;
	l->used += need;
	return false;
}

bool listing_add_dir(struct listing *l, const char *name, struct node n, off_t next)
{
	struct stat st;

	fs_dir_attr(l->fs, n, &st);
	return listing_add(l, name, n, &st, next);
}

static void list_root(struct listing *l, off_t off)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} entry[] = {{"cameras", NODE_CAMERAS}, {"datasets", NODE_DATASETS},
		     {"dates", NODE_DATES},     {"labels", NODE_LABELS},
		     {"queries", NODE_QUERIES}, {"starred", NODE_STARRED},
		     {"upload", NODE_UPLOAD}};
	size_t n = ARRAY_LEN(entry) - (l->fs->parts.upload ? 0 : 1);

	for (size_t i = off < COOKIE_FIRST ? 0 : (size_t)(off - COOKIE_FIRST) + 1; i < n; i++) {
		struct node node = {.kind = entry[i].kind};
		double timeout;
		struct stat st;
		int r = fs_attr(l->fs, node, &st, &timeout);

		listing_ended(l, r);
		if (r < 0 || listing_add(l, entry[i].name, node, &st, COOKIE_FIRST + (off_t)i))
			return;
	}
}

static void list_cameras(struct listing *l, off_t off)
{
	struct catalog *cat = l->fs->parts.catalog;
	struct camera_row row = {0};
	int r = 0;

	if (off >= COOKIE_FIRST)
		r = catalog_camera(cat, off - COOKIE_FIRST, &row);
	while (r == 0 && (r = catalog_camera_next(cat, row.name, false, &row)) == 0)
		if (listing_add_dir(l, row.name, (struct node){.kind = NODE_CAMERA, .id = row.id},
				    COOKIE_FIRST + row.id))
			return;
	listing_ended(l, r);
}

static int next_label(struct catalog *cat, struct node dir, struct label_row *row)
{
	return dir.kind == NODE_LABELS ? catalog_kind_next(cat, row->name, row)
				       : catalog_label_next(cat, dir.id, row->name, row);
}

/* Kinds, or the labels of a kind. */
static void list_labels(struct listing *l, off_t off)
{
	struct catalog *cat = l->fs->parts.catalog;
	bool kinds = l->dir.kind == NODE_LABELS;
	struct label_row row = {0};
	int r = 0;

	if (off >= COOKIE_FIRST)
		r = catalog_label_name(cat, off - COOKIE_FIRST, kinds, &row);
	while (r == 0 && (r = next_label(cat, l->dir, &row)) == 0) {
		struct node n = {.kind = kinds ? NODE_KIND : NODE_LABEL, .id = row.id};

		if (listing_add_dir(l, row.name, n, COOKIE_FIRST + row.id))
			return;
	}
	listing_ended(l, r);
}

/* Days of a camera, a label, or of what is starred; a camera's latest.jpg comes after its days. */
static void list_days(struct listing *l, struct view v, off_t off)
{
	enum node_kind kind = l->dir.kind == NODE_CAMERA  ? NODE_CAMERA_DAY
			      : l->dir.kind == NODE_LABEL ? NODE_LABEL_DAY
							  : NODE_STARRED_DAY;
	int32_t day = off >= COOKIE_FIRST ? (int32_t)(off - COOKIE_FIRST) : -1;
	struct node latest = {.kind = NODE_LATEST, .id = l->dir.id};
	struct stat st;
	double timeout;
	int r;

	if (off >= LATEST_COOKIE)
		return;
	while ((r = catalog_next_day(l->fs->parts.catalog, v, day, &day)) == 0) {
		char name[16];

		day_name(day, name);
		if (listing_add_dir(l, name,
				    (struct node){.kind = kind, .id = l->dir.id, .day = day},
				    COOKIE_FIRST + day))
			return;
	}
	if (r == -ENOENT && l->dir.kind == NODE_CAMERA) {
		r = fs_attr(l->fs, latest, &st, &timeout);
		if (r == 0)
			(void)listing_add(l, "latest.jpg", latest, &st, LATEST_COOKIE);
	}
	listing_ended(l, r);
}

/* What in dates/, a year or a month comes after number `last`: the first day it may begin with. */
static int32_t date_after(struct node dir, int last)
{
	if (dir.kind == NODE_DATES)
		return day_from_civil(last + 1, 1, 1);
	if (dir.kind == NODE_YEAR)
		return day_from_civil((int)dir.id + last / 12, last % 12 + 1, 1);
	return day_from_civil((int)(dir.id / 12), (int)(dir.id % 12) + 1, 1) + last;
}

/* The entry that a day belongs to, and its number; false: the day is not below `dir`. */
static bool date_entry(struct node dir, int32_t day, struct node *ret, int *ret_number)
{
	int y, m, d;

	civil_from_day(day, &y, &m, &d);
	switch (dir.kind) {
	case NODE_DATES:
		*ret = (struct node){.kind = NODE_YEAR, .id = y};
		*ret_number = y;
		return true;
	case NODE_YEAR:
		*ret = (struct node){.kind = NODE_MONTH, .id = (int64_t)y * 12 + m - 1};
		*ret_number = m;
		return y == dir.id;
	default:
		*ret = (struct node){.kind = NODE_DAY, .day = day};
		*ret_number = d;
		return (int64_t)y * 12 + m - 1 == dir.id;
	}
}

/* Years, months of a year, days of a month: each from one index seek. The offset is the number last listed. */
static void list_dates(struct listing *l, off_t off)
{
	int last = off >= COOKIE_FIRST ? (int)(off - COOKIE_FIRST) : 0;
	struct node n;
	int32_t day;
	int r;

	while ((r = catalog_next_day(l->fs->parts.catalog, (struct view){VIEW_ALL, 0},
				     date_after(l->dir, last) - 1, &day)) == 0) {
		char name[16];

		if (!date_entry(l->dir, day, &n, &last))
			return;
		(void)snprintf(name, sizeof(name), l->dir.kind == NODE_DATES ? "%04d" : "%02d",
			       last);
		if (listing_add_dir(l, name, n, COOKIE_FIRST + last))
			return;
	}
	listing_ended(l, r);
}

static off_t snap_cookie(int64_t id, bool sidecar)
{
	return COOKIE_FIRST + ((off_t)id * 2 + (sidecar ? 1 : 0));
}

/* A picture or its sidecar; 1: full. */
static int add_of_snap(struct listing *l, const struct snap *s, bool sidecar, bool name_alone)
{
	struct node n = {.kind = sidecar ? NODE_SIDECAR : NODE_SNAP, .id = s->id};
	struct stat st = {.st_mode = S_IFREG, .st_ino = node_ino(n)};
	char name[STEM_MAX + 8];
	int r = 0;

	if (!name_alone && sidecar)
		r = fs_sidecar_attr(l->fs, s, &st, NULL);
	else if (!name_alone)
		fs_snap_attr(l->fs, s, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* gone this moment */
	(void)snprintf(name, sizeof(name), "%s.%s", s->stem, sidecar ? "json" : "jpg");
	return listing_add(l, name, n, &st, snap_cookie(s->id, sidecar)) ? 1 : 0;
}

int listing_snap(void *user, const struct snap *s)
{
	struct listing_snaps *p = user;
	bool name_alone = p->l->names_alone || p->first_alone;
	int r = 0;

	p->n++;
	p->first_alone = false;
	if (s->id != p->skip_picture)
		r = add_of_snap(p->l, s, false, name_alone);
	if (r == 0 && fs_sidecars_listed(p->l->fs, p->l->dir))
		r = add_of_snap(p->l, s, true, name_alone);
	p->last = s->id;
	return r;
}

int listing_snaps_begin(struct listing *l, off_t off, struct listing_snaps *ret)
{
	struct snap s;

	*ret = (struct listing_snaps){.l = l};
	if (off < COOKIE_FIRST)
		return 0;
	ret->last = (off - COOKIE_FIRST) / 2;
	/* Between a picture and its sidecar: the sidecar first. */
	if ((off - COOKIE_FIRST) % 2 || !fs_sidecars_listed(l->fs, l->dir) ||
	    catalog_snap(l->fs->parts.catalog, ret->last, &s) < 0)
		return 0;
	ret->skip_picture = ret->last;
	return listing_snap(ret, &s);
}

static void list_snaps(struct listing *l, struct view v, off_t off)
{
	struct listing_snaps p;
	int r = listing_snaps_begin(l, off, &p);

	if (off < COOKIE_FIRST) {
		walk_listed(&l->fs->walks, fuse_req_ctx(l->req)->pid, node_ino(l->dir));
		p.first_alone = true;
	}
	while (r == 0) {
		p.n = 0;
		r = catalog_list(l->fs->parts.catalog, v, l->dir.day, p.last, PAGE, listing_snap,
				 &p);
		if (r == 0 && p.n < PAGE)
			return;
	}
	listing_ended(l, r);
}

static void list_ghosts(struct listing *l, off_t off)
{
	for (off_t i = off < COOKIE_FIRST ? 0 : off - COOKIE_FIRST + 1; fs_ghost(l->fs, i); i++) {
		struct node n = {.kind = NODE_GHOST, .id = i};
		struct stat st;
		double timeout;

		if (fs_attr(l->fs, n, &st, &timeout) == 0 &&
		    listing_add(l, fs_ghost(l->fs, i)->name, n, &st, COOKIE_FIRST + i))
			return;
	}
}

struct uploads {
	struct listing *l;
	struct handle *h;
	char last[NAME_LIMIT + 1];
	unsigned n;
};

static int remember(struct handle *h, int64_t id, const char *name)
{
	struct seen *grown = realloc(h->seen, (h->n_seen + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	h->seen = grown;
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	h->seen[h->n_seen++] = (struct seen){.id = id, .name = copy};
	return 0;
}

static int add_upload(void *user, const struct upload_row *row)
{
	struct uploads *p = user;
	struct stat st;

	p->n++;
	fs_upload_attr(p->l->fs, row, &st);
	if (listing_add(p->l, row->name, (struct node){.kind = NODE_UPLOAD, .id = row->id}, &st,
			COOKIE_FIRST + row->id) ||
	    remember(p->h, row->id, row->name) < 0)
		return 1;
	memcpy(p->last, row->name, sizeof(p->last));
	return 0;
}

/* The name of the entry at this offset: from the last reply (it may have been removed since), else from its row. */
static int upload_name_at(struct fs *fs, const struct handle *h, int64_t id,
			  char out[NAME_LIMIT + 1])
{
	struct upload_row row;

	for (size_t i = h->n_seen; i-- > 0;) {
		if (h->seen[i].id == id) {
			(void)snprintf(out, NAME_LIMIT + 1, "%s", h->seen[i].name);
			return 0;
		}
	}
	int r = ingest_entry(fs->parts.ingest, id, &row);

	if (r == 0)
		memcpy(out, row.name, sizeof(row.name));
	return r;
}

static void list_upload(struct listing *l, off_t off)
{
	struct uploads p = {.l = l, .h = l->handle, .n = PAGE};
	int r = 0;

	pthread_mutex_lock(&p.h->lock);
	if (off >= COOKIE_FIRST)
		r = upload_name_at(l->fs, p.h, off - COOKIE_FIRST, p.last);
	if (r ==
	    -ENOENT) /* removed, and told by another process: what is left, from the beginning */
		r = 0;
	handle_forget_names(p.h);
	while (r == 0 && p.n == PAGE) {
		p.n = 0;
		r = ingest_list(l->fs->parts.ingest, l->dir.id, p.last, PAGE, add_upload, &p);
	}
	pthread_mutex_unlock(&p.h->lock);
	if (r < 0)
		l->error = r;
}

static void list(struct listing *l, off_t off)
{
	struct view v;

	if (off < 1 && listing_add_dir(l, ".", l->dir, 1))
		return;
	if (off < 2) {
		struct node up = l->dir;

		listing_ended(l, fs_parent(l->fs, l->dir, &up));
		if (l->error || listing_add_dir(l, "..", up, 2))
			return;
	}
	if (node_day_view(l->dir, &v)) {
		list_snaps(l, v, off);
		return;
	}
	if (node_days_view(l->dir, &v)) {
		list_days(l, v, off);
		return;
	}
	switch (l->dir.kind) {
	case NODE_ROOT:
		list_root(l, off);
		break;
	case NODE_CAMERAS:
		list_cameras(l, off);
		break;
	case NODE_LABELS:
	case NODE_KIND:
		list_labels(l, off);
		break;
	case NODE_DATES:
	case NODE_YEAR:
	case NODE_MONTH:
		list_dates(l, off);
		break;
	case NODE_GHOSTS:
		list_ghosts(l, off);
		break;
	case NODE_QUERIES:
		queries_list(l, off);
		break;
	case NODE_QUERY:
		query_list(l, off);
		break;
	case NODE_DATASETS:
	case NODE_DATASET:
	case NODE_DATASET_DIR:
	case NODE_DATASET_CLASS:
		dataset_list(l, off);
		break;
	case NODE_UPLOAD:
		list_upload(l, off);
		break;
	default:
		l->error = -ENOTDIR;
	}
}

static void reply_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fuse_req_userdata(req);
	struct listing l = {.fs = fs,
			    .req = req,
			    .dir = node_from_ino(ino),
			    .handle = handle_find(fs, fi->fh),
			    .plus = plus};

	if (!l.handle && (l.handle = handle_new(fs, HANDLE_DIR)))
		l.handle = handle_renumber(fs, l.handle, fi->fh);
	if (!l.handle) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	l.names_alone = l.handle->names_alone;
	l.size = size < MAX_IO ? size : MAX_IO;
	l.data = malloc(l.size);
	if (!l.data)
		l.error = -ENOMEM;
	else
		list(&l, off);
	if (l.error && l.used == 0)
		(void)fuse_reply_err(req, -l.error);
	else
		(void)fuse_reply_buf(req, l.data, l.used);
	free(l.data);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_list(req, ino, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	reply_list(req, ino, size, off, fi, true);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node n = node_from_ino(ino);
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_new(fs, HANDLE_DIR);
	struct view v;
	bool told;

	if (!h) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	h->names_alone = node_day_view(n, &v) &&
			 walk_goes_on(&fs->walks, fuse_req_ctx(req)->pid, ino);
	fi->fh = h->number;
	/* The kernel keeps the listing until told otherwise; both flags are needed for that.  Entries of upload/ change attributes
	 * without a notification, and what a query finds is not told, so theirs are not kept.  Nor are names alone, so that the
	 * next one, who may want more, gets more; but they do not push out what is kept. */
	told = n.kind != NODE_UPLOAD && n.kind != NODE_GHOSTS && n.kind != NODE_QUERY;
	fi->keep_cache = fs_settled_at(fs, n) && told;
	fi->cache_readdir = told && !h->names_alone;
	if (fuse_reply_open(req, fi) < 0)
		handle_free(fs, h);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct handle *h = handle_find(fs, fi->fh);

	if (h)
		handle_free(fs, h);
	(void)fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	int r = node_from_ino(ino).kind == NODE_UPLOAD ? ingest_fsync_all(fs->parts.ingest) : 0;

	(void)fuse_reply_err(req, -r);
}
