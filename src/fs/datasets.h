/* datasets.h - the tree of datasets/ (datasets.c), and its files (dataset_files.c). */
#pragma once

#include "listing.h"
#include "nodes.h"
#include "shutterfs/dataset.h"

/* What a dataset has besides pictures: its fixed directories and texts.  Numbers are part of inode numbers. */
enum dataset_place_what { PLACE_DIR, PLACE_TEXT, PLACE_QUERY };
enum dataset_place_holds { /* what else is in a directory */
			   HOLDS_NOTHING,
			   HOLDS_CLASSES,
			   HOLDS_PICTURES, /* those with `flag` */
			   HOLDS_BOXES,    /* a text for each picture that has some */
};
struct dataset_place {
	const char *name;
	int parent; /* place; -1: it is the dataset itself */
	enum dataset_place_what what;
	enum dataset_place_holds holds;
	enum dataset_split split;
	unsigned flag;          /* MEMBER_... of its pictures */
	enum dataset_file file; /* PLACE_TEXT */
	bool scratch;           /* training programs may leave files in it */
};
extern const struct dataset_place dataset_places[];
extern const int dataset_n_places;
enum { DATASET_TOP = 0, DATASET_QUERY_PLACE = 7 };

/* The dataset and the fixed directory that a node is; -1: none of datasets/. */
int dataset_place_of(struct node n);
struct node dataset_place_node(int64_t dataset, int place);
/* 0, or -ENOENT while it is not frozen, removed, or a text that there is none of; size NULL: not wanted. */
int dataset_text_size(struct fs *fs, int64_t dataset, const struct dataset_place *p, uint64_t *ret)
	MUST_CHECK;

int dataset_lookup(struct fs *fs, struct node dir, const char *name, struct node *ret) MUST_CHECK;
int dataset_attr(struct fs *fs, struct node n, struct stat *st) MUST_CHECK;
int dataset_parent(struct fs *fs, struct node n, struct node *ret) MUST_CHECK;
void dataset_list(struct listing *l, off_t off);

int dataset_open(struct fs *fs, struct node n, struct fuse_file_info *fi, struct handle **ret)
	MUST_CHECK; /* for reading */
extern const struct node_ops datasets_ops, dataset_ops, dataset_dir_ops, dataset_query_ops,
	dataset_scratch_ops;
/* Replies to the close of query.json, once it is frozen. */
void dataset_wait(struct fs *fs, fuse_req_t req, struct node n);
int dataset_xattr(struct fs *fs, struct node n, const char *name, struct buf *out) MUST_CHECK;
