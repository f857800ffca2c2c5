/* Which entries of upload/ lie beside a picture: its sidecars in their order, and for YOLO the list of classes and the folders
 * images/ and labels/ that answer each other. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, SCAN_MAX = 64 };

static const char *const class_lists[] = {"classes.txt", "data.yaml", "data.yml", "dataset.yaml"};

bool is_class_list(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(class_lists); i++)
		if (strcmp(name, class_lists[i]) == 0)
			return true;
	return false;
}

int read_entry(struct ingest *in, int64_t id, size_t max, struct buf *ret)
{
	char name[24];

	upload_file_name(id, name);
	return read_file(in->dir, name, max, ret);
}

int find_above(struct ingest *in, int64_t dir, const char *name, struct upload_row *ret)
{
	struct upload_row row, up;

	for (int depth = 0; dir != 0 && depth <= DEPTH_MAX; depth++) {
		int r = catalog_upload_find(in->cat, dir, name, &row);

		if (r == 0 && !row.is_dir && row.state != UPLOAD_OPEN) {
			*ret = row;
			return 0;
		}
		if (r == 0 || r == -ENOENT)
			r = catalog_upload(in->cat, dir, &up);
		if (r < 0)
			return r;
		dir = up.parent;
	}
	return -ENOENT;
}

int classes_above(struct ingest *in, int64_t dir, struct classes *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(class_lists); i++) {
		CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
		struct upload_row row;
		char why[WHY_MAX];

		if (find_above(in, dir, class_lists[i], &row) == 0 &&
		    read_entry(in, row.id, SIDECAR_BYTES, &text) == 0 &&
		    classes_parse(row.name, text.data ? text.data : "", text.len, ret, why) == 0)
			return 0;
	}
	return -ENOENT;
}

/* For a/images/b/c, with "images" and "labels": a/labels/b/c. */
static int answering_dir(struct ingest *in, int64_t dir, const char *from, const char *to,
			 int64_t *ret)
{
	CLEANUP(freep) struct upload_row *way = calloc(DEPTH_MAX + 1, sizeof(*way));
	struct upload_row row;
	int r = way ? 0 : -ENOMEM, n = 0;

	for (; r == 0; dir = way[n++].parent) {
		if (dir == 0 || n > DEPTH_MAX)
			return -ENOENT;
		r = catalog_upload(in->cat, dir, &way[n]);
		if (r == 0 && strcmp(way[n].name, from) == 0)
			break;
	}
	if (r == 0)
		r = catalog_upload_find(in->cat, way[n].parent, to, &row);
	while (r == 0 && n-- > 0)
		r = catalog_upload_find(in->cat, row.id, way[n].name, &row);
	if (r == 0)
		*ret = row.id;
	return r;
}

/* ---- from the picture to its sidecars ---- */

struct scan {
	const struct upload_row *picture;
	const char *prefix;
	struct companions *list;
};

static void add_sidecar(struct companions *list, const struct upload_row *row, int rank)
{
	size_t at = list->n;

	if (row->is_dir || list->n == ARRAY_LEN(list->item))
		return;
	for (; at > 0 && list->item[at - 1].rank > rank; at--)
		list->item[at] = list->item[at - 1];
	list->item[at].row = *row;
	list->item[at].rank = rank;
	list->n++;
}

static int look_at_name(void *user, const struct upload_row *row)
{
	struct scan *s = user;
	int rank;

	if (strncmp(row->name, s->prefix, strlen(s->prefix)) != 0)
		return 1;
	rank = sidecar_rank(s->picture->name, row->name);
	if (rank >= 0)
		add_sidecar(s->list, row, rank);
	return 0;
}

/* All whose names begin as the picture's, up to `len` and a dot. */
static int scan_names(struct ingest *in, const struct upload_row *picture, size_t len,
		      struct companions *list)
{
	char prefix[NAME_LIMIT + 2];
	struct scan s = {.picture = picture, .prefix = prefix, .list = list};
	int r;

	(void)snprintf(prefix, sizeof(prefix), "%.*s.", (int)len, picture->name);
	r = catalog_upload_list(in->cat, picture->parent, prefix, SCAN_MAX, look_at_name, &s);
	return r < 0 ? r : 0;
}

/* One name that says it belongs there. */
static void try_name(struct ingest *in, const struct upload_row *picture, int64_t dir,
		     const char *stem, size_t len, const char *suffix, struct companions *list)
{
	char name[NAME_LIMIT + 8];
	struct upload_row row;
	int rank;

	(void)snprintf(name, sizeof(name), "%.*s%s", (int)len, stem, suffix);
	rank = sidecar_rank(picture->name, name);
	if (rank >= 0 && strlen(name) <= NAME_LIMIT &&
	    catalog_upload_find(in->cat, dir, name, &row) == 0)
		add_sidecar(list, &row, rank);
}

/* Also one that is in line, whose row does not say so yet: whoever closed it before its picture means it to count. */
static bool is_closed(struct ingest *in, struct upload_row *row)
{
	if (row->state != UPLOAD_OPEN || is_arriving(in, row->id))
		return true;
	/* or it was until just now */
	return catalog_upload(in->cat, row->id, row) == 0 && row->state != UPLOAD_OPEN;
}

static void leave_closed(struct ingest *in, struct companions *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		if (is_closed(in, &list->item[i].row))
			list->item[n++] = list->item[i];
	list->n = n;
}

int sidecars_of(struct ingest *in, const struct upload_row *picture, struct companions *ret)
{
	const char *name = picture->name, *dot = strrchr(name, '.'), *count = strchr(name, '(');
	size_t stem = dot ? (size_t)(dot - name) : strlen(name);
	int64_t labels;
	int r;

	ret->n = 0;
	r = scan_names(in, picture, stem, ret);
	if (r == 0 && count && count > name && stem > 0 && name[stem - 1] == ')')
		r = scan_names(in, picture, (size_t)(count - name),
			       ret); /* x(1).jpg: x.jpg(1).json */
	if (r < 0)
		return r;
	if (strlen(name) > SIDECAR_CUT && stem != SIDECAR_CUT)
		try_name(in, picture, picture->parent, name, SIDECAR_CUT, ".json", ret);
	if (answering_dir(in, picture->parent, "images", "labels", &labels) == 0)
		try_name(in, picture, labels, name, stem, ".txt", ret);
	leave_closed(in, ret);
	return 0;
}

/* ---- from a sidecar to its picture ---- */

static int registered(struct ingest *in, int64_t dir, const char *sidecar, struct upload_row *ret)
{
	char name[NAME_LIMIT + 1];
	int r = 0;

	for (unsigned n = 0; r != -ENOENT; n++) {
		r = sidecar_picture(sidecar, n, name);
		if (r == 0 && catalog_upload_find(in->cat, dir, name, ret) == 0 &&
		    ret->state == UPLOAD_REGISTERED)
			return 0;
	}
	return -ENOENT;
}

struct cut {
	const char *sidecar;
	size_t len;
	struct upload_row *ret;
	bool found;
};

static int look_at_cut(void *user, const struct upload_row *row)
{
	struct cut *c = user;

	if (strncmp(row->name, c->sidecar, c->len) != 0)
		return 1;
	c->found = row->state == UPLOAD_REGISTERED && sidecar_rank(row->name, c->sidecar) >= 0;
	if (c->found)
		*c->ret = *row;
	return c->found;
}

int picture_beside(struct ingest *in, const struct upload_row *side, struct upload_row *ret)
{
	struct cut c = {.sidecar = side->name, .len = sidecar_cut(side->name), .ret = ret};
	char after[NAME_LIMIT + 1];
	int64_t images;
	int r = registered(in, side->parent, side->name, ret);

	if (r == 0)
		return 0;
	if (c.len > 0) {
		(void)snprintf(after, sizeof(after), "%.*s", (int)c.len, side->name);
		r = catalog_upload_list(in->cat, side->parent, after, SCAN_MAX, look_at_cut, &c);
		if (r < 0 || c.found)
			return r < 0 ? r : 0;
	}
	if (!has_suffix(side->name, ".txt") ||
	    answering_dir(in, side->parent, "labels", "images", &images) < 0)
		return -ENOENT;
	return registered(in, images, side->name, ret);
}
