/* Inode numbers and the names of days: pure functions. */
#include "inode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KIND_SHIFT = 56, DAY_BITS = 22, YEAR_MAX = 9999, DAY_MAX = 2932896 /* 9999-12-31 */ };
#define PAYLOAD ((UINT64_C(1) << KIND_SHIFT) - 1)
#define DAY_MASK ((UINT64_C(1) << DAY_BITS) - 1)

/* Or another small number in place of the day. */
static bool has_day_and_id(enum node_kind k)
{
	return k == NODE_CAMERA_DAY || k == NODE_LABEL_DAY || k == NODE_DATASET_DIR ||
	       k == NODE_DATASET_TEXT || k == NODE_DATASET_CLASS;
}

static bool has_day(enum node_kind k)
{
	return k == NODE_DAY || k == NODE_STARRED_DAY;
}

/* There is one of them. */
static bool is_single(enum node_kind k)
{
	switch (k) {
	case NODE_ROOT:
	case NODE_CAMERAS:
	case NODE_DATES:
	case NODE_LABELS:
	case NODE_STARRED:
	case NODE_GHOSTS:
	case NODE_QUERIES:
	case NODE_DATASETS:
		return true;
	default:
		return false;
	}
}

uint64_t node_ino(struct node n)
{
	uint64_t payload = (uint64_t)n.id;

	if (n.kind == NODE_ROOT)
		return 1;
	if (has_day_and_id(n.kind))
		payload = ((uint64_t)n.id << DAY_BITS) | ((uint64_t)n.day & DAY_MASK);
	else if (has_day(n.kind))
		payload = (uint64_t)n.day & DAY_MASK;
	return ((uint64_t)n.kind << KIND_SHIFT) | (payload & PAYLOAD);
}

struct node node_from_ino(uint64_t ino)
{
	struct node n = {.kind = NODE_NONE};
	uint64_t kind = ino >> KIND_SHIFT, payload = ino & PAYLOAD;

	if (ino == 1)
		return (struct node){.kind = NODE_ROOT};
	if (kind <= NODE_ROOT || kind >= NODE_KINDS)
		return n;
	n.kind = (enum node_kind)kind;
	if (has_day_and_id(n.kind)) {
		n.id = (int64_t)(payload >> DAY_BITS);
		n.day = (int32_t)(payload & DAY_MASK);
	} else if (has_day(n.kind)) {
		n.day = (int32_t)(payload & DAY_MASK);
	} else {
		n.id = (int64_t)payload;
	}
	/* Numbers come back from NFS clients, too: nothing that was never given out gets any further. */
	if ((is_single(n.kind) && n.id) || (n.kind == NODE_YEAR && n.id > YEAR_MAX) ||
	    (n.kind == NODE_MONTH && n.id > YEAR_MAX * 12 + 11) || n.day > DAY_MAX ||
	    node_ino(n) != ino)
		n = (struct node){.kind = NODE_NONE};
	return n;
}

bool node_is_dir(struct node n)
{
	switch (n.kind) {
	case NODE_NONE:
	case NODE_LATEST:
	case NODE_LIVE:
	case NODE_SNAP:
	case NODE_SIDECAR:
	case NODE_GHOST:
	case NODE_QUERY_FILE:
	case NODE_DATASET_TEXT:
	case NODE_DATASET_BOXES:
	case NODE_DATASET_LOST:
	case NODE_DATASET_SCRATCH:
	case NODE_KINDS:
		return false;
	case NODE_UPLOAD: /* only the row knows; upload/ itself is one */
		return n.id == 0;
	default:
		return true;
	}
}

bool node_day_view(struct node n, struct view *ret)
{
	switch (n.kind) {
	case NODE_CAMERA_DAY:
		*ret = (struct view){VIEW_CAMERA, n.id};
		return true;
	case NODE_DAY:
		*ret = (struct view){VIEW_ALL, 0};
		return true;
	case NODE_LABEL_DAY:
		*ret = (struct view){VIEW_LABEL, n.id};
		return true;
	case NODE_STARRED_DAY:
		*ret = (struct view){VIEW_STARRED, 0};
		return true;
	default:
		return false;
	}
}

bool node_days_view(struct node n, struct view *ret)
{
	switch (n.kind) {
	case NODE_CAMERA:
		*ret = (struct view){VIEW_CAMERA, n.id};
		return true;
	case NODE_LABEL:
		*ret = (struct view){VIEW_LABEL, n.id};
		return true;
	case NODE_STARRED:
		*ret = (struct view){VIEW_STARRED, 0};
		return true;
	default:
		return false;
	}
}

void day_name(int32_t day, char out[16])
{
	int y, m, d;

	civil_from_day(day, &y, &m, &d);
	(void)snprintf(out, 16, "%04d-%02d-%02d", y % 10000, m % 100, d % 100);
}

int day_from_name(const char *name, int32_t *ret)
{
	int y, m, d;
	char back[16];

	if (strlen(name) != 10 || sscanf(name, "%4d-%2d-%2d", &y, &m, &d) != 3)
		return -EINVAL;
	if (y < 1970 || m < 1 || m > 12 || d < 1 || d > 31)
		return -EINVAL;
	day_name(day_from_civil(y, m, d), back);
	if (strcmp(back, name) != 0) /* 2026-02-30, " 026-..." */
		return -EINVAL;
	*ret = day_from_civil(y, m, d);
	return 0;
}
