/* inode.h - inode numbers that say what they name, so that no table of inodes is needed.
 *
 *   bits 61..56  kind      bits 55..0  payload: an id (camera, snapshot, ...), a day, or an id of 34 bits above a day of 22 bits
 *
 * The root is FUSE's 1.  Numbers are the same after a remount, because catalog ids are. */
#pragma once

#include "shutterfs/catalog.h"

enum node_kind {
	NODE_NONE,
	NODE_ROOT,
	NODE_CAMERAS,
	NODE_CAMERA,     /* id: camera */
	NODE_CAMERA_DAY, /* id: camera, day */
	NODE_LATEST,     /* id: camera; a symlink */
	NODE_LIVE,       /* id: camera; a symlink that captures when followed */
	NODE_DATES,
	NODE_YEAR,  /* id: year */
	NODE_MONTH, /* id: year * 12 + month - 1 */
	NODE_DAY,   /* day */
	NODE_LABELS,
	NODE_KIND,      /* id: kind */
	NODE_LABEL,     /* id: label */
	NODE_LABEL_DAY, /* id: label, day */
	NODE_STARRED,
	NODE_STARRED_DAY, /* day */
	NODE_SNAP,        /* id: snapshot */
	NODE_SIDECAR,     /* id: snapshot */
	NODE_UPLOAD,      /* id: upload entry, 0: upload/ itself */
	NODE_GHOSTS,      /* .shutterfs */
	NODE_GHOST,       /* id: index of its file */
	NODE_QUERIES,
	NODE_QUERY,      /* id: query */
	NODE_QUERY_FILE, /* id: query * QUERY_FILES + enum query_file */
	NODE_DATASETS,
	NODE_DATASET,         /* id: dataset */
	NODE_DATASET_DIR,     /* id: dataset, day: its place (datasets.h) */
	NODE_DATASET_TEXT,    /* the same */
	NODE_DATASET_CLASS,   /* id: dataset, day: split and class */
	NODE_DATASET_BOXES,   /* id: member; its text in yolo/labels/ */
	NODE_DATASET_LOST,    /* id: member; its picture, which is gone */
	NODE_DATASET_SCRATCH, /* id: scratch file */
	NODE_KINDS
};

enum query_file { QUERY_FILE_DUPLICATES, QUERY_FILE_LABELS, QUERY_FILE_TEXT, QUERY_FILES };

struct node {
	enum node_kind kind;
	int64_t id;
	int32_t day;
};

uint64_t node_ino(struct node n);
struct node node_from_ino(uint64_t ino); /* kind NODE_NONE: not a number of ours */
bool node_is_dir(struct node n);
/* A directory of snapshots (view and day), or of days (view alone). */
bool node_day_view(struct node n, struct view *ret);
bool node_days_view(struct node n, struct view *ret);
/* "2026-11-22" and back; -EINVAL unless it is written just so. */
void day_name(int32_t day, char out[16]);
int day_from_name(const char *name, int32_t *ret) MUST_CHECK;
