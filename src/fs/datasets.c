/* The tree of datasets/: what a name means in it, attributes, listings.
 *
 *   datasets/<name>/query.json, and once it is frozen the directories and texts of dataset_places
 *
 * Pictures are members of the dataset, with the inodes that they have everywhere; one that is gone is a file of its own (NODE_LOST) that
 * cannot be read.  Offsets: pictures and classes by their id, then fixed entries, then scratch files. */
#include "datasets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIXED_COOKIE (INT64_C(1) << 60)
#define SCRATCH_COOKIE (INT64_C(1) << 61)
enum { CLASS_BITS = 16 };

enum {
	TOP = DATASET_TOP,
	README, /* those of one directory by name, as they are listed */
	COCO,
	HF,
	FOLDER,
	STUDIO,
	MANIFEST,
	QUERY = DATASET_QUERY_PLACE,
	YOLO,
	TASKS,
	YAML,
	IMAGES,
	LABELS,
	COCO_SPLIT,
	COCO_DATA = COCO_SPLIT + DATASET_SPLITS,
	COCO_LABELS = COCO_DATA + DATASET_SPLITS,
	HF_SPLIT = COCO_LABELS + DATASET_SPLITS,
	HF_ROWS = HF_SPLIT + DATASET_SPLITS,
	FOLDER_SPLIT = HF_ROWS + DATASET_SPLITS,
	IMAGES_SPLIT = FOLDER_SPLIT + DATASET_SPLITS,
	LABELS_SPLIT = IMAGES_SPLIT + DATASET_SPLITS,
	PLACES = LABELS_SPLIT + DATASET_SPLITS
};

#define DIR(p, n, ...)                                                       \
	{                                                                    \
		.name = (n), .parent = (p), .what = PLACE_DIR, ##__VA_ARGS__ \
	}
#define TEXT(p, n, f, ...)                                                                 \
	{                                                                                  \
		.name = (n), .parent = (p), .what = PLACE_TEXT, .file = (f), ##__VA_ARGS__ \
	}
#define AT(split) (((int)(split) + 1) % DATASET_SPLITS) /* test, train, validation */
#define SPLITS_OF(place, ROW, validation)                                       \
	[(place) + AT(DATASET_TEST)] = ROW("test", DATASET_TEST),               \
		   [(place) + AT(DATASET_TRAIN)] = ROW("train", DATASET_TRAIN), \
		   [(place) + AT(DATASET_VALIDATION)] = ROW(validation, DATASET_VALIDATION)
#define COCO_SPLIT_ROW(n, s) DIR(COCO, n, .split = (s))
#define COCO_DATA_ROW(n, s) \
	DIR(COCO_SPLIT + AT(s), "data", .split = (s), .holds = HOLDS_PICTURES, .flag = MEMBER_COCO)
#define COCO_LABELS_ROW(n, s) \
	TEXT(COCO_SPLIT + AT(s), "labels.json", DATASET_COCO + (s), .split = (s))
#define HF_SPLIT_ROW(n, s) DIR(HF, n, .split = (s), .holds = HOLDS_PICTURES, .flag = MEMBER_HF)
#define HF_ROWS_ROW(n, s) TEXT(HF_SPLIT + AT(s), "metadata.jsonl", DATASET_HF + (s), .split = (s))
#define FOLDER_SPLIT_ROW(n, s) DIR(FOLDER, n, .split = (s), .holds = HOLDS_CLASSES)
#define IMAGES_SPLIT_ROW(n, s)                                                          \
	DIR(IMAGES, n, .split = (s), .holds = HOLDS_PICTURES, .flag = MEMBER_DETECTION, \
	    .scratch = true)
#define LABELS_SPLIT_ROW(n, s) DIR(LABELS, n, .split = (s), .holds = HOLDS_BOXES, .scratch = true)

const struct dataset_place dataset_places[PLACES] = {
	[TOP] = DIR(-1, ""),
	[QUERY] = {.name = "query.json", .parent = TOP, .what = PLACE_QUERY},
	[README] = TEXT(TOP, "README.md", DATASET_README),
	[COCO] = DIR(TOP, "coco"),
	[HF] = DIR(TOP, "hf"),
	[FOLDER] = DIR(TOP, "imagefolder"),
	[STUDIO] = DIR(TOP, "labelstudio"),
	[MANIFEST] = TEXT(TOP, "manifest.jsonl", DATASET_MANIFEST),
	[YOLO] = DIR(TOP, "yolo", .scratch = true),
	[TASKS] = TEXT(STUDIO, "tasks.json", DATASET_TASKS),
	[YAML] = TEXT(YOLO, "data.yaml", DATASET_YAML),
	[IMAGES] = DIR(YOLO, "images", .scratch = true),
	[LABELS] = DIR(YOLO, "labels", .scratch = true),
	SPLITS_OF(COCO_SPLIT, COCO_SPLIT_ROW, "validation"),
	SPLITS_OF(COCO_DATA, COCO_DATA_ROW, "validation"),
	SPLITS_OF(COCO_LABELS, COCO_LABELS_ROW, "validation"),
	SPLITS_OF(HF_SPLIT, HF_SPLIT_ROW, "validation"),
	SPLITS_OF(HF_ROWS, HF_ROWS_ROW, "validation"),
	SPLITS_OF(FOLDER_SPLIT, FOLDER_SPLIT_ROW, "validation"),
	SPLITS_OF(IMAGES_SPLIT, IMAGES_SPLIT_ROW, "val"),
	SPLITS_OF(LABELS_SPLIT, LABELS_SPLIT_ROW, "val"),
};
const int dataset_n_places = PLACES;

int dataset_place_of(struct node n)
{
	switch (n.kind) {
	case NODE_DATASET:
		return TOP;
	case NODE_DATASET_DIR:
	case NODE_DATASET_TEXT:
		return n.day > TOP && n.day < PLACES ? n.day : -1;
	case NODE_DATASET_CLASS:
		return FOLDER_SPLIT + AT(n.day >> CLASS_BITS);
	default:
		return -1;
	}
}

struct node dataset_place_node(int64_t dataset, int place)
{
	return (struct node){.kind = place == TOP                              ? NODE_DATASET
				     : dataset_places[place].what == PLACE_DIR ? NODE_DATASET_DIR
									       : NODE_DATASET_TEXT,
			     .id = dataset,
			     .day = place == TOP ? 0 : place};
}

static struct node class_node(int64_t dataset, enum dataset_split split, int64_t class)
{
	return (struct node){.kind = NODE_DATASET_CLASS,
			     .id = dataset,
			     .day = (int32_t)(((int64_t)split << CLASS_BITS) | class)};
}

static int64_t class_of(struct node n)
{
	return n.kind == NODE_DATASET_CLASS ? n.day & ((1 << CLASS_BITS) - 1) : -1;
}

static struct node member_node(const struct dataset_member *m)
{
	return m->there ? (struct node){.kind = NODE_SNAP, .id = m->snap.id}
			: (struct node){.kind = NODE_DATASET_LOST, .id = m->id};
}

/* ---- attributes ---- */
int dataset_text_size(struct fs *fs, int64_t dataset, const struct dataset_place *p, uint64_t *ret)
{
	uint64_t size;
	int r = datasets_text_size(fs->parts.datasets, dataset, p->file, &size);

	/* A split without rows has no file: its loader cannot read an empty one. */
	if (r == 0 && size == 0 && p->parent >= HF_SPLIT && p->parent < HF_SPLIT + DATASET_SPLITS)
		r = -ENOENT;
	if (r == 0 && ret)
		*ret = size;
	return r;
}

static void file_attr(struct fs *fs, struct node n, mode_t mode, uint64_t size, int64_t mtime_us,
		      struct stat *st)
{
	fs_dir_attr(fs, n, st);
	st->st_mode = S_IFREG | mode;
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
	st->st_mtim = (struct timespec){.tv_sec = (time_t)(mtime_us / 1000000)};
	st->st_atim = st->st_ctim = st->st_mtim;
}

static int place_attr(struct fs *fs, struct node n, int place, struct stat *st)
{
	const struct dataset_place *p = &dataset_places[place];
	struct dataset_row row;
	uint64_t size;
	int r = catalog_dataset(fs->parts.catalog, n.id, &row);
	bool frozen = r == 0 && row.state == DATASET_FROZEN;

	if (r < 0)
		return r;
	if (place != TOP && p->what != PLACE_QUERY && !frozen)
		return -ENOENT;
	if (p->what == PLACE_QUERY) {
		if (text_hidden(fs, n)) /* an editor writes it anew in a moment */
			return -ENOENT;
		file_attr(fs, n, frozen ? 0444 : 0644, row.query_len,
			  frozen ? row.frozen_us : row.made_us, st);
		return edit_attr(fs, n, st) || row.state != DATASET_NEW ? 0 : -ENOENT;
	}
	if (p->what == PLACE_TEXT) {
		r = dataset_text_size(fs, n.id, p, &size);
		if (r == 0)
			file_attr(fs, n, 0444, size, row.frozen_us, st);
		return r;
	}
	fs_dir_attr(fs, n, st);
	if (p->scratch || !frozen) {
		st->st_mode |= 0200;
	} else {
		st->st_mtim = (struct timespec){.tv_sec = (time_t)(row.frozen_us / 1000000)};
		st->st_atim = st->st_ctim = st->st_mtim;
	}
	return 0;
}

/* A class' directory exists where it has a picture. */
static int class_attr(struct fs *fs, struct node n, struct stat *st)
{
	struct dataset_class c;
	int64_t class = class_of(n);
	int place = dataset_place_of(n), r;

	r = catalog_class_next(fs->parts.catalog, n.id, dataset_places[place].split, class - 1, &c);
	if (r == 0 && c.number != class)
		r = -ENOENT;
	return r < 0 ? r : place_attr(fs, n, place, st);
}

static int member_attr(struct fs *fs, struct node n, struct stat *st)
{
	struct dataset_member m;
	struct dataset_row row;
	int r = catalog_member(fs->parts.catalog, n.id, &m);

	if (r == 0)
		r = catalog_dataset(fs->parts.catalog, m.dataset, &row);
	if (r < 0)
		return r;
	if (n.kind == NODE_DATASET_LOST)
		file_attr(fs, n, 0644, m.size, m.taken_us, st); /* as it was */
	else
		file_attr(fs, n, 0444, m.boxes_len, row.frozen_us, st);
	if (n.kind == NODE_DATASET_LOST)
		st->st_blocks = 0;
	return 0;
}

static int scratch_attr(struct fs *fs, struct node n, struct stat *st)
{
	CLEANUP(closep) int fd = -1;
	struct dataset_scratch s;
	struct stat file;
	int r = catalog_scratch(fs->parts.catalog, n.id, &s);

	if (r == 0)
		r = datasets_scratch(fs->parts.datasets, &s, O_RDONLY, &fd);
	if (r == 0 && fstat(fd, &file) < 0)
		r = -errno;
	if (r < 0)
		return r;
	file_attr(fs, n, 0644, (uint64_t)file.st_size, 0, st);
	st->st_mtim = file.st_mtim;
	st->st_atim = file.st_atim;
	st->st_ctim = file.st_ctim;
	return 0;
}

int dataset_attr(struct fs *fs, struct node n, struct stat *st)
{
	int place = dataset_place_of(n);

	switch (n.kind) {
	case NODE_DATASETS:
		fs_dir_attr(fs, n, st);
		st->st_mode |= 0200;
		return 0;
	case NODE_DATASET_CLASS:
		return class_attr(fs, n, st);
	case NODE_DATASET_BOXES:
	case NODE_DATASET_LOST:
		return member_attr(fs, n, st);
	case NODE_DATASET_SCRATCH:
		return scratch_attr(fs, n, st);
	default:
		return place < 0 ? -ENOENT : place_attr(fs, n, place, st);
	}
}

/* ---- names ---- */
static bool stem_of(const char *name, const char *suffix, char out[STEM_MAX + 1])
{
	size_t n = strlen(name), s = strlen(suffix);

	if (n <= s || n - s > STEM_MAX || strcmp(name + n - s, suffix) != 0)
		return false;
	memcpy(out, name, n - s);
	out[n - s] = '\0';
	return true;
}

static int lookup_member(struct fs *fs, struct node dir, const struct dataset_place *p,
			 const char *name, struct node *ret)
{
	bool boxes = p->holds == HOLDS_BOXES;
	struct dataset_member m;
	char stem[STEM_MAX + 1];
	int r;

	if (!stem_of(name, boxes ? ".txt" : ".jpg", stem))
		return -ENOENT;
	r = catalog_member_find(fs->parts.catalog, dir.id, stem, &m);
	if (r < 0)
		return r;
	if (m.split != p->split || (m.flags & p->flag) != p->flag || (boxes && m.boxes_len == 0))
		return -ENOENT;
	if (dir.kind == NODE_DATASET_CLASS)
		r = catalog_member_has_class(fs->parts.catalog, &m, class_of(dir));
	if (r == 0)
		*ret = boxes ? (struct node){.kind = NODE_DATASET_BOXES, .id = m.id}
			     : member_node(&m);
	return r;
}

static int lookup_class(struct fs *fs, struct node dir, const struct dataset_place *p,
			const char *name, struct node *ret)
{
	struct dataset_class c;
	int r = catalog_class_find(fs->parts.catalog, dir.id, p->split, name, &c);

	if (r == 0)
		*ret = class_node(dir.id, p->split, c.number);
	return r;
}

/* What an editor leaves beside query.json. */
static int lookup_beside_query(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	struct upload_row row;
	int r = scratch_find(fs, dir, name, &row);

	if (r == 0)
		*ret = (struct node){.kind = NODE_UPLOAD, .id = row.id};
	return r;
}

static int lookup_scratch(struct fs *fs, struct node dir, int place, const char *name,
			  struct node *ret)
{
	struct dataset_scratch s;
	int r = catalog_scratch_find(fs->parts.catalog, dir.id, place, name, &s);

	if (r == 0)
		*ret = (struct node){.kind = NODE_DATASET_SCRATCH, .id = s.id};
	return r;
}

int dataset_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret)
{
	int place = dataset_place_of(dir), r = -ENOENT;
	const struct dataset_place *p = &dataset_places[place < 0 ? 0 : place];
	struct dataset_row row;

	if (dir.kind == NODE_DATASETS) {
		r = catalog_dataset_find(fs->parts.catalog, name, &row);
		if (r == 0)
			*ret = (struct node){.kind = NODE_DATASET, .id = row.id};
		return r;
	}
	if (place < 0)
		return -ENOTDIR;
	if (dir.kind == NODE_DATASET_CLASS)
		return lookup_member(fs, dir, p, name, ret);
	for (int i = TOP + 1; i < PLACES; i++) {
		if (dataset_places[i].parent == place &&
		    strcmp(dataset_places[i].name, name) == 0) {
			*ret = dataset_place_node(dir.id,
						  i); /* whether it is there, its attributes say */
			return 0;
		}
	}
	if (p->holds == HOLDS_CLASSES)
		r = lookup_class(fs, dir, p, name, ret);
	else if (p->holds != HOLDS_NOTHING)
		r = lookup_member(fs, dir, p, name, ret);
	if (place == TOP)
		r = lookup_beside_query(fs, dir, name, ret);
	if (r == -ENOENT && p->scratch)
		r = lookup_scratch(fs, dir, place, name, ret);
	return r;
}

int dataset_parent(struct fs *fs, struct node n, struct node *ret)
{
	int place = dataset_place_of(n);

	if (n.kind == NODE_DATASETS)
		*ret = (struct node){.kind = NODE_ROOT};
	else if (place == TOP)
		*ret = (struct node){.kind = NODE_DATASETS};
	else if (n.kind == NODE_DATASET_CLASS)
		*ret = dataset_place_node(n.id, place);
	else if (place > TOP)
		*ret = dataset_place_node(n.id, dataset_places[place].parent);
	else
		return -ENOTDIR;
	return 0;
}

/* ---- listings ---- */
static void list_names(struct listing *l, off_t off)
{
	struct dataset_row row = {0};
	int r = 0;

	if (off >= COOKIE_FIRST)
		r = catalog_dataset_name(l->fs->parts.catalog, off - COOKIE_FIRST, row.name);
	while (r == 0 && (r = catalog_dataset_next(l->fs->parts.catalog, row.name, &row)) == 0) {
		struct node n = {.kind = NODE_DATASET, .id = row.id};
		struct stat st;

		if (dataset_attr(l->fs, n, &st) == 0 &&
		    listing_add(l, row.name, n, &st, COOKIE_FIRST + row.id))
			return;
	}
	listing_ended(l, r);
}

static bool list_fixed(struct listing *l, int place, off_t off)
{
	for (int i = off < FIXED_COOKIE ? TOP + 1 : (int)(off - FIXED_COOKIE) + 1; i < PLACES;
	     i++) {
		struct node n = dataset_place_node(l->dir.id, i);
		struct stat st;

		if (dataset_places[i].parent != place || dataset_attr(l->fs, n, &st) < 0)
			continue;
		if (listing_add(l, dataset_places[i].name, n, &st, FIXED_COOKIE + i))
			return true;
	}
	return false;
}

static void list_scratch(struct listing *l, int place, off_t off)
{
	struct dataset_scratch s = {.id = off < SCRATCH_COOKIE ? 0 : off - SCRATCH_COOKIE};
	int r;

	while ((r = catalog_scratch_next(l->fs->parts.catalog, l->dir.id, place, s.id, &s)) == 0) {
		struct node n = {.kind = NODE_DATASET_SCRATCH, .id = s.id};
		struct stat st;

		if (dataset_attr(l->fs, n, &st) == 0 &&
		    listing_add(l, s.name, n, &st, SCRATCH_COOKIE + s.id))
			return;
	}
	listing_ended(l, r);
}

static bool list_classes(struct listing *l, const struct dataset_place *p, off_t off)
{
	struct dataset_class c = {.number = off < COOKIE_FIRST ? -1 : off - COOKIE_FIRST};
	int r;

	while ((r = catalog_class_next(l->fs->parts.catalog, l->dir.id, p->split, c.number, &c)) ==
	       0)
		if (listing_add_dir(l, c.name, class_node(l->dir.id, p->split, c.number),
				    COOKIE_FIRST + c.number))
			return true;
	listing_ended(l, r);
	return r != -ENOENT;
}

struct members {
	struct listing *l;
	const struct dataset_place *place;
	int64_t last;
	unsigned n;
};

static int add_member(void *user, const struct dataset_member *m)
{
	struct members *p = user;
	bool boxes = p->place->holds == HOLDS_BOXES;
	struct node n = boxes ? (struct node){.kind = NODE_DATASET_BOXES, .id = m->id}
			      : member_node(m);
	char name[STEM_MAX + 8];
	struct stat st;
	int r = 0;

	p->n++;
	p->last = m->id;
	if ((m->flags & p->place->flag) != p->place->flag || (boxes && m->boxes_len == 0))
		return 0;
	(void)snprintf(name, sizeof(name), "%s.%s", m->stem, boxes ? "txt" : "jpg");
	if (n.kind == NODE_SNAP)
		fs_snap_attr(p->l->fs, &m->snap, &st);
	else
		r = member_attr(p->l->fs, n, &st);
	if (r < 0)
		return r;
	return listing_add(p->l, name, n, &st, COOKIE_FIRST + m->id) ? 1 : 0;
}

static bool list_members(struct listing *l, const struct dataset_place *p, off_t off)
{
	struct members m = {.l = l, .place = p, .n = PAGE};
	int r = 0;

	m.last = off < COOKIE_FIRST ? 0 : off - COOKIE_FIRST;
	while (r == 0 && m.n == PAGE) {
		m.n = 0;
		r = catalog_member_list(l->fs->parts.catalog, l->dir.id, p->split, class_of(l->dir),
					m.last, PAGE, add_member, &m);
	}
	listing_ended(l, r > 0 ? 0 : r);
	return r != 0;
}

void dataset_list(struct listing *l, off_t off)
{
	int place = dataset_place_of(l->dir);
	const struct dataset_place *p = &dataset_places[place < 0 ? 0 : place];
	bool full = false;

	if (l->dir.kind == NODE_DATASETS) {
		list_names(l, off);
		return;
	}
	if (l->dir.kind == NODE_DATASET_CLASS) {
		(void)list_members(l, p, off);
		return;
	}
	if (p->holds == HOLDS_CLASSES && off < FIXED_COOKIE)
		full = list_classes(l, p, off);
	else if (p->holds != HOLDS_NOTHING && off < FIXED_COOKIE)
		full = list_members(l, p, off);
	if (!full && off < SCRATCH_COOKIE)
		full = list_fixed(l, place, off);
	if (!full && p->scratch)
		list_scratch(l, place, off);
}
