/* tree-dataset.c - a path below datasets/, as the snapshots it stands for: a dataset's, a split's or a class'. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 256 };

struct page {
	int64_t snapshot[PAGE]; /* 0: no longer there */
	int64_t last;
	unsigned n;
};

static int keep(void *user, const struct dataset_member *m)
{
	struct page *p = user;

	p->last = m->id;
	p->snapshot[p->n++] = m->there ? m->snap.id : 0;
	return 0;
}

static int tell(int64_t snapshot, selection_fn *fn, void *user)
{
	struct selection s = {.view = {.kind = VIEW_ALL},
			      .first_day = INT32_MIN + 1,
			      .last_day = INT32_MAX,
			      .snapshot = snapshot,
			      .nothing = !snapshot};

	return fn(user, &s);
}

static int in_split(struct app *app, int64_t dataset, enum dataset_split split, int64_t class,
		    selection_fn *fn, void *user)
{
	struct page p = {.n = PAGE};
	int r = 0;

	while (r == 0 && p.n == PAGE) {
		p.n = 0;
		r = catalog_member_list(app->catalog, dataset, split, class, p.last, PAGE, keep,
					&p);
		for (unsigned i = 0; r == 0 && i < p.n; i++)
			r = tell(p.snapshot[i], fn, user);
	}
	return r;
}

/* "<stem>.jpg", wherever in the dataset. */
static int in_file(struct app *app, int64_t dataset, const char *name, selection_fn *fn, void *user)
{
	struct dataset_member m;
	char stem[STEM_MAX + 1];
	size_t len = strlen(name);
	int r;

	if (len <= 4 || len - 4 > STEM_MAX)
		return -ENOENT;
	(void)snprintf(stem, sizeof(stem), "%.*s", (int)(len - 4), name);
	r = catalog_member_find(app->catalog, dataset, stem, &m);
	return r < 0 ? r : tell(m.there ? m.snap.id : 0, fn, user);
}

static bool is_split(const char *part, enum dataset_split split)
{
	return strcmp(part, dataset_split_name[split]) == 0 ||
	       (split == DATASET_VALIDATION && strcmp(part, "val") == 0);
}

/* Below the split of imagefolder/. */
static int class_of(struct app *app, int64_t dataset, enum dataset_split split, const char *name,
		    int64_t *ret)
{
	struct dataset_class c;
	int r = catalog_class_find(app->catalog, dataset, split, name, &c);

	if (r == 0)
		*ret = c.number;
	return r;
}

static int in_dataset(struct app *app, const struct dataset_row *row, char *const *part, size_t n,
		      selection_fn *fn, void *user)
{
	size_t at = n > 0 && strcmp(part[0], "yolo") == 0 ? 2 : 1;
	const char *dot = n > 0 ? strrchr(part[n - 1], '.') : NULL;
	int r = 0;

	if (dot && strcmp(dot, ".jpg") == 0)
		return in_file(app, row->id, part[n - 1], fn, user);
	for (int i = 0; r == 0 && i < DATASET_SPLITS; i++) {
		enum dataset_split split = (enum dataset_split)i;
		int64_t class = -1;

		if (n > at && !is_split(part[at], split))
			continue;
		if (n > 2 && strcmp(part[0], "imagefolder") == 0)
			r = class_of(app, row->id, split, part[2], &class);
		if (r == 0)
			r = in_split(app, row->id, split, class, fn, user);
	}
	return r;
}

int tree_dataset_each(struct app *app, char *const *part, size_t n, selection_fn *fn, void *user)
{
	struct dataset_row row = {0};
	int r = 0;

	if (n > 0) {
		r = catalog_dataset_find(app->catalog, part[0], &row);
		return r < 0 ? r : in_dataset(app, &row, part + 1, n - 1, fn, user);
	}
	while (r == 0 && (r = catalog_dataset_next(app->catalog, row.name, &row)) == 0)
		r = in_dataset(app, &row, NULL, 0, fn, user);
	return r == -ENOENT ? 0 : r;
}
