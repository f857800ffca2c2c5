/* stat(2) of every node: from one row of the catalog each. */
#include "datasets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct timespec second_of(int64_t us)
{
	/* Whole seconds: thumbnail caches compare mtimes in different precisions. */
	return (struct timespec){.tv_sec = (time_t)(us / 1000000)};
}

static struct timespec time_of(int64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000),
			      .tv_nsec = (long)(ns % 1000000000)};

	if (ts.tv_nsec < 0) { /* before 1970 */
		ts.tv_nsec += 1000000000;
		ts.tv_sec--;
	}
	return ts;
}

static void base_attr(struct fs *fs, struct node n, mode_t mode, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = node_ino(n);
	st->st_mode = mode;
	st->st_nlink = 1;
	st->st_uid = fs->uid;
	st->st_gid = fs->gid;
	st->st_blksize = 4096;
}

static void set_times(struct stat *st, int64_t mtime_us, int64_t ctime_us)
{
	st->st_mtim = st->st_atim = second_of(mtime_us);
	st->st_ctim = second_of(ctime_us);
}

void fs_dir_attr(struct fs *fs, struct node n, struct stat *st)
{
	const struct node_ops *ops = node_ops(n);

	base_attr(fs, n, S_IFDIR | (ops->create || ops->mkdir ? 0755 : 0555), st);
	/* To the microsecond: by it the kernel tells that a listing it is just being given is of before a change. */
	st->st_mtim = time_of(catalog_changed_us(fs->parts.catalog) * 1000);
	st->st_atim = st->st_ctim = st->st_mtim;
}

void fs_snap_attr(struct fs *fs, const struct snap *s, struct stat *st)
{
	/* Whom it belongs to may tag it, and is not asked by rm; opening it for writing is refused all the same. */
	base_attr(fs, (struct node){.kind = NODE_SNAP, .id = s->id}, S_IFREG | 0644, st);
	st->st_nlink = s->links;
	st->st_size = (off_t)s->size;
	st->st_blocks = fetch_is_local(fs->parts.fetch, s) ? (blkcnt_t)((s->size + 511) / 512) : 0;
	set_times(st, s->taken_us, s->registered_us);
}

int fs_sidecar_attr(struct fs *fs, const struct snap *s, struct stat *st, double *ret_timeout)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	struct node n = {.kind = NODE_SIDECAR, .id = s->id};
	int64_t changed_us;
	int r = fs_sidecar_text(fs, s, &text, &changed_us);

	if (r < 0)
		return r;
	base_attr(fs, n, S_IFREG | 0644, st);
	if (fs->parts.sidecars == SIDECARS_LIST) /* else it has one name, or ghosts */
		st->st_nlink = s->links;
	st->st_size = (off_t)text.len;
	st->st_blocks = (blkcnt_t)((text.len + 511) / 512);
	set_times(st, s->taken_us, s->registered_us);
	/* To the microsecond: editors tell by it that somebody else has saved. */
	if (changed_us)
		st->st_mtim = st->st_atim = st->st_ctim = time_of(changed_us * 1000);
	if (edit_attr(fs, n, st) && ret_timeout)
		*ret_timeout = 0;
	return 0;
}

void fs_upload_attr(struct fs *fs, const struct upload_row *row, struct stat *st)
{
	bool registered = row->state == UPLOAD_REGISTERED && row->snapshot > 0;

	base_attr(fs, (struct node){.kind = NODE_UPLOAD, .id = row->id},
		  (row->is_dir ? S_IFDIR : S_IFREG) | (row->mode & 07777), st);
	if (!row->is_dir) /* cp and others write as much at a time: fewer requests */
		st->st_blksize = MAX_WRITE;
	st->st_nlink = row->name[0] || row->id == 0 ? 1 : 0;
	st->st_uid = row->uid;
	st->st_gid = row->gid;
	st->st_size = row->is_dir ? 0 : (off_t)row->size;
	st->st_blocks = row->is_dir || registered ? 0 : (blkcnt_t)((row->size + 511) / 512);
	st->st_mtim = st->st_atim = time_of(row->mtime_ns);
	st->st_ctim = time_of(row->ctime_ns);
}

void fs_snap_target(const struct snap *s, char *out, size_t size)
{
	char day[16];

	day_name(s->day, day);
	(void)snprintf(out, size, "%s/%s.jpg", day, s->stem);
}

static int latest_attr(struct fs *fs, struct node n, struct stat *st)
{
	char target[PATH_MAX];
	struct snap s;
	int r = catalog_newest(fs->parts.catalog, n.id, &s);

	if (r < 0)
		return r;
	fs_snap_target(&s, target, sizeof(target));
	base_attr(fs, n, S_IFLNK | 0777, st);
	st->st_size = (off_t)strlen(target);
	set_times(st, s.taken_us, s.registered_us);
	return 0;
}

/* The picture is not taken yet; the length of its name is known. */
static int live_attr(struct fs *fs, struct node n, struct stat *st)
{
	char target[PATH_MAX], img_id[IMG_ID_MAX + 1];
	struct camera_row camera;
	struct snap s = {0};
	int r = catalog_camera(fs->parts.catalog, n.id, &camera);

	if (r < 0)
		return r;
	(void)img_id_format(now_us(), 0, img_id);
	(void)snprintf(s.stem, sizeof(s.stem), "%s_%s", img_id, camera.name);
	fs_snap_target(&s, target, sizeof(target));
	base_attr(fs, n, S_IFLNK | 0777, st);
	st->st_size = (off_t)strlen(target);
	set_times(st, now_us(), now_us());
	return 0;
}

static int ghost_attr(struct fs *fs, struct node n, struct stat *st)
{
	const struct fs_ghost_file *file = fs_ghost(fs, n.id);
	CLEANUP(buf_done) struct buf text = BUF(64 * SIDECAR_BYTES);
	int r = file ? file->render(fs->parts.ghost_user, &text) : -ENOENT;

	if (r < 0)
		return r;
	base_attr(fs, n, S_IFREG | 0444, st);
	st->st_size = (off_t)text.len;
	set_times(st, now_us(), now_us());
	return 0;
}

/* Is there a day of the view from `first` on, and before `end`? */
static int days_exist(struct fs *fs, struct view v, int32_t first, int32_t end)
{
	int32_t day;
	int r = catalog_next_day(fs->parts.catalog, v, first - 1, &day);

	return r < 0 ? r : day < end ? 0 : -ENOENT;
}

/* Directories named by rows exist as long as their row does; days, months and years as long as something is in them. */
static int dir_exists(struct fs *fs, struct node n)
{
	const struct view all = {.kind = VIEW_ALL};
	struct camera_row camera;
	struct label_row label;
	struct view v;
	int y, m, r;

	switch (n.kind) {
	case NODE_CAMERA:
		return catalog_camera(fs->parts.catalog, n.id, &camera);
	case NODE_KIND:
	case NODE_LABEL:
		return catalog_label(fs->parts.catalog, n.id, n.kind == NODE_KIND, &label);
	case NODE_YEAR:
		y = (int)n.id;
		return days_exist(fs, all, day_from_civil(y, 1, 1), day_from_civil(y + 1, 1, 1));
	case NODE_MONTH:
		y = (int)(n.id / 12);
		m = (int)(n.id % 12) + 1;
		return days_exist(fs, all, day_from_civil(y, m, 1),
				  day_from_civil(y + m / 12, m % 12 + 1, 1));
	case NODE_LABEL_DAY:
		r = catalog_label(fs->parts.catalog, n.id, false, &label);
		return r < 0 ? r
			     : fs_day_exists(fs, (struct node){.kind = NODE_LABEL, .id = n.id},
					     n.day);
	case NODE_STARRED_DAY:
		return fs_day_exists(fs, (struct node){.kind = NODE_STARRED}, n.day);
	case NODE_QUERY:
		return query_exists(fs, n);
	default:
		return node_day_view(n, &v) ? days_exist(fs, v, n.day, n.day + 1) : 0;
	}
}

static int upload_attr(struct fs *fs, struct node n, struct stat *st)
{
	struct upload_row row;
	int r = fs->parts.upload || n.id ? ingest_entry(fs->parts.ingest, n.id, &row) : -ENOENT;

	if (r < 0)
		return r;
	fs_upload_attr(fs, &row, st);
	if (n.id == 0) { /* upload/ belongs to who mounts */
		st->st_uid = fs->uid;
		st->st_gid = fs->gid;
	}
	return 0;
}

/* query.json is a text; the others have the size that they are rendered with. */
static int query_file_attr(struct fs *fs, struct node n, struct stat *st, double *ret_timeout)
{
	struct query_row row;
	struct rendered file;
	int r;

	if (query_is_text(n)) {
		r = query_text_row(fs, n, &row);
		if (r < 0)
			return r;
		base_attr(fs, n, S_IFREG | 0644, st);
		st->st_size = (off_t)row.len;
		st->st_mtim = st->st_atim = st->st_ctim = time_of(row.changed_us * 1000);
		if (edit_attr(fs, n, st))
			*ret_timeout = 0;
	} else {
		r = rendered_open(fs, n, &file);
		if (r < 0)
			return r;
		(void)close(file.fd);
		base_attr(fs, n, S_IFREG | 0444, st);
		st->st_size = file.size;
		st->st_mtim = st->st_atim = st->st_ctim = time_of(file.of_us * 1000);
		*ret_timeout = 0;
	}
	st->st_blocks = (st->st_size + 511) / 512;
	return 0;
}

int fs_attr(struct fs *fs, struct node n, struct stat *st, double *ret_timeout)
{
	struct snap s;
	int r = 0;

	*ret_timeout = DAY_S;
	switch (n.kind) {
	case NODE_SNAP:
		r = catalog_snap(fs->parts.catalog, n.id, &s);
		if (r == 0)
			fs_snap_attr(fs, &s, st);
		return r;
	case NODE_SIDECAR:
		r = catalog_snap(fs->parts.catalog, n.id, &s);
		return r < 0 ? r : fs_sidecar_attr(fs, &s, st, ret_timeout);
	case NODE_LATEST:
		*ret_timeout = 0;
		return latest_attr(fs, n, st);
	case NODE_LIVE:
		*ret_timeout = 0;
		return live_attr(fs, n, st);
	case NODE_GHOST:
		*ret_timeout = 0;
		return ghost_attr(fs, n, st);
	case NODE_UPLOAD:
		return upload_attr(fs, n, st);
	case NODE_QUERY_FILE:
		return query_file_attr(fs, n, st, ret_timeout);
	case NODE_DATASETS:
	case NODE_DATASET:
	case NODE_DATASET_DIR:
	case NODE_DATASET_TEXT:
	case NODE_DATASET_CLASS:
	case NODE_DATASET_BOXES:
	case NODE_DATASET_SCRATCH:
		return dataset_attr(fs, n, st);
	case NODE_DATASET_LOST: /* it may come back */
		*ret_timeout = NEGATIVE_S;
		return dataset_attr(fs, n, st);
	case NODE_NONE:
	case NODE_KINDS:
		return -ENOENT;
	default:
		*ret_timeout = n.kind == NODE_QUERY ? QUERY_S : DAY_S;
		r = dir_exists(fs, n);
		if (r == 0)
			fs_dir_attr(fs, n, st);
		return r;
	}
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct stat st;
	double timeout;
	int r = fs_attr(fs, node_from_ino(ino), &st, &timeout);

	if (r < 0)
		(void)fuse_reply_err(req, fs_errno(r));
	else
		(void)fuse_reply_attr(req, &st, timeout);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t total = 0, avail = 0;
	struct statvfs sv = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = NAME_LIMIT};

	fs->parts.space(fs->parts.ghost_user, &total, &avail);
	sv.f_blocks = total / 4096;
	sv.f_bfree = sv.f_bavail = avail / 4096;
	(void)fuse_reply_statfs(req, &sv);
}
