/* tree-path.c - a path below the mount, as the snapshots it stands for.
 *
 * Resolved through the catalog, so that it works without a mount, and so that a mount never looks at itself from outside. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 64, UPLOAD_PAGE = 256 };

static const char *const tops[] = {"cameras", "datasets", "dates", "labels", "starred", "upload"};

struct parts {
	char text[PATH_MAX];
	char *part[PARTS_MAX];
	size_t n;
};

/* Without "." and doubled slashes; ".." goes one up. */
static int split(const char *path, struct parts *ret)
{
	char *save = NULL;

	if (strlen(path) >= sizeof(ret->text))
		return -ENAMETOOLONG;
	(void)snprintf(ret->text, sizeof(ret->text), "%s", path);
	ret->n = 0;
	for (char *p = strtok_r(ret->text, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
		if (strcmp(p, ".") == 0)
			continue;
		if (strcmp(p, "..") == 0 && ret->n == 0)
			return -EINVAL;
		if (strcmp(p, "..") == 0) {
			ret->n--;
			continue;
		}
		if (ret->n == PARTS_MAX)
			return -ENAMETOOLONG;
		ret->part[ret->n++] = p;
	}
	return 0;
}

static bool is_top(const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < ARRAY_LEN(tops); i++)
		if (strlen(tops[i]) == len && strncmp(tops[i], path, len) == 0)
			return true;
	return false;
}

int tree_path_of(const char *typed, const char *mountpoint, char **ret)
{
	CLEANUP(freep) char *real = realpath(typed, NULL);
	size_t len = mountpoint ? strlen(mountpoint) : 0;
	const char *below = NULL;

	if (real && len && strncmp(real, mountpoint, len) == 0 && (real[len] == '/' || !real[len]))
		below = real + len;
	/* not there: said by the mount, if it is the mount's business */
	else if (!real && len && strncmp(typed, mountpoint, len) == 0 &&
		 (typed[len] == '/' || !typed[len]))
		below = typed + len;
	else if (is_top(typed))
		below = typed;
	if (!below)
		return -EINVAL;
	*ret = strdup(below + strspn(below, "/"));
	return *ret ? 0 : -ENOMEM;
}

/* ---- days ---- */
static bool number(const char *text, size_t digits, int *ret)
{
	int n = 0;

	for (size_t i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + text[i] - '0';
	}
	*ret = n;
	return true;
}

static int parse_day(const char *text, int32_t *ret)
{
	struct civil c = {0};

	if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !number(text, 4, &c.year) ||
	    !number(text + 5, 2, &c.month) || !number(text + 8, 2, &c.day) || !civil_valid(&c))
		return -ENOENT;
	*ret = day_from_civil(c.year, c.month, c.day);
	return 0;
}

/* [<YYYY>[/<MM>[/<DD>]]] as the days from first to last. */
static int parse_date_parts(char *const *part, size_t n, struct selection *s)
{
	struct civil first = {.month = 1, .day = 1};

	if (n == 0)
		return 0;
	if (strlen(part[0]) != 4 || !number(part[0], 4, &first.year) ||
	    (n > 1 && (strlen(part[1]) != 2 || !number(part[1], 2, &first.month))) ||
	    (n > 2 && (strlen(part[2]) != 2 || !number(part[2], 2, &first.day))) ||
	    !civil_valid(&first))
		return -ENOENT;
	s->first_day = day_from_civil(first.year, first.month, first.day);
	if (n > 2)
		s->last_day = s->first_day;
	else if (n == 2 && first.month < 12)
		s->last_day = day_from_civil(first.year, first.month + 1, 1) - 1;
	else
		s->last_day = day_from_civil(first.year + 1, 1, 1) - 1;
	return 0;
}

/* "<stem>.jpg"; a sidecar stands for nothing to fetch. */
static int parse_file(const char *name, struct selection *s)
{
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, ".json") == 0) {
		s->nothing = true;
		return 0;
	}
	if (len <= 4 || strcmp(name + len - 4, ".jpg") != 0 || len - 4 > STEM_MAX)
		return -ENOENT;
	(void)snprintf(s->stem, sizeof(s->stem), "%.*s", (int)(len - 4), name);
	return 0;
}

/* [<YYYY-MM-DD>[/<file>]] */
static int parse_day_and_file(char *const *part, size_t n, struct selection *s)
{
	int r = n > 2 ? -ENOENT : 0;

	if (r == 0 && n > 0)
		r = parse_day(part[0], &s->first_day);
	if (r == 0 && n > 0)
		s->last_day = s->first_day;
	return r == 0 && n > 1 ? parse_file(part[1], s) : r;
}

/* ---- views ---- */
static struct selection everything(void)
{
	return (struct selection){
		.view = {.kind = VIEW_ALL}, .first_day = INT32_MIN + 1, .last_day = INT32_MAX};
}

static int in_cameras(struct app *app, const struct parts *p, selection_fn *fn, void *user)
{
	struct selection s = everything();
	struct camera_row camera;
	struct snap newest;
	int r;

	if (p->n == 1)
		return fn(user, &s);
	r = catalog_camera_find(app->catalog, p->part[1], &camera);
	if (r < 0)
		return r;
	s.view = (struct view){VIEW_CAMERA, camera.id};
	if (p->n == 3 && strcmp(p->part[2], "latest.jpg") == 0) {
		r = catalog_newest(app->catalog, camera.id, &newest);
		s.snapshot = r == 0 ? newest.id : 0;
	} else {
		r = parse_day_and_file(p->part + 2, p->n - 2, &s);
	}
	return r < 0 ? r : fn(user, &s);
}

static int in_dates(const struct parts *p, selection_fn *fn, void *user)
{
	struct selection s = everything();
	int r = p->n > 5 ? -ENOENT : parse_date_parts(p->part + 1, p->n > 4 ? 3 : p->n - 1, &s);

	if (r == 0 && p->n == 5)
		r = parse_file(p->part[4], &s);
	return r < 0 ? r : fn(user, &s);
}

static int in_starred(const struct parts *p, selection_fn *fn, void *user)
{
	struct selection s = everything();
	int r = parse_day_and_file(p->part + 1, p->n - 1, &s);

	s.view.kind = VIEW_STARRED;
	return r < 0 ? r : fn(user, &s);
}

static int in_label(const struct parts *p, int64_t label, selection_fn *fn, void *user)
{
	struct selection s = everything();
	int r = p->n > 3 ? parse_day_and_file(p->part + 3, p->n - 3, &s) : 0;

	s.view = (struct view){VIEW_LABEL, label};
	return r < 0 ? r : fn(user, &s);
}

static int in_kind(struct app *app, int64_t kind, const struct parts *p, selection_fn *fn,
		   void *user)
{
	struct label_row value = {0};
	int r;

	while ((r = catalog_label_next(app->catalog, kind, value.name, &value)) == 0) {
		r = in_label(p, value.id, fn, user);
		if (r != 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int in_labels(struct app *app, const struct parts *p, selection_fn *fn, void *user)
{
	struct label_row kind = {0}, value;
	int r;

	if (p->n == 1) {
		while ((r = catalog_kind_next(app->catalog, kind.name, &kind)) == 0) {
			r = in_kind(app, kind.id, p, fn, user);
			if (r != 0)
				return r;
		}
		return r == -ENOENT ? 0 : r;
	}
	r = catalog_kind_find(app->catalog, p->part[1], &kind);
	if (r == 0 && p->n == 2)
		return in_kind(app, kind.id, p, fn, user);
	if (r == 0)
		r = catalog_label_find(app->catalog, kind.id, p->part[2], &value);
	return r < 0 ? r : in_label(p, value.id, fn, user);
}

/* ---- upload/ ---- */
struct upload_walk {
	struct app *app;
	selection_fn *fn;
	void *user;
	unsigned depth, seen;
	char last[NAME_LIMIT + 1];
};

static int in_upload_dir(struct upload_walk *w, int64_t dir);

static int in_upload_entry(void *user, const struct upload_row *row)
{
	struct upload_walk *w = user;
	struct selection s = everything();

	(void)snprintf(w->last, sizeof(w->last), "%s", row->name);
	w->seen++;
	if (row->is_dir) {
		struct upload_walk below = {
			.app = w->app, .fn = w->fn, .user = w->user, .depth = w->depth + 1};

		return in_upload_dir(&below, row->id);
	}
	s.snapshot = row->snapshot;
	s.nothing = !row->snapshot;
	return w->fn(w->user, &s);
}

static int in_upload_dir(struct upload_walk *w, int64_t dir)
{
	int r;

	if (w->depth > PARTS_MAX)
		return -ENAMETOOLONG;
	do {
		w->seen = 0;
		r = catalog_upload_list(w->app->catalog, dir, w->last, UPLOAD_PAGE, in_upload_entry,
					w);
	} while (r == 0 && w->seen > 0);
	return r;
}

static int in_upload(struct app *app, const struct parts *p, selection_fn *fn, void *user)
{
	struct upload_walk w = {.app = app, .fn = fn, .user = user};
	struct upload_row row = {.is_dir = true};

	for (size_t i = 1; i < p->n; i++) {
		int r = catalog_upload_find(app->catalog, row.id, p->part[i], &row);

		if (r < 0)
			return r;
	}
	return row.is_dir ? in_upload_dir(&w, row.id) : in_upload_entry(&w, &row);
}

int tree_path_each(struct app *app, const char *path, selection_fn *fn, void *user)
{
	CLEANUP(freep) struct parts *p = malloc(sizeof(*p));
	struct selection all = everything();
	int r = p ? split(path, p) : -ENOMEM;

	if (r < 0)
		return r;
	if (p->n == 0)
		return fn(user, &all);
	if (strcmp(p->part[0], "cameras") == 0)
		return in_cameras(app, p, fn, user);
	if (strcmp(p->part[0], "dates") == 0)
		return in_dates(p, fn, user);
	if (strcmp(p->part[0], "labels") == 0)
		return in_labels(app, p, fn, user);
	if (strcmp(p->part[0], "starred") == 0)
		return in_starred(p, fn, user);
	if (strcmp(p->part[0], "datasets") == 0)
		return tree_dataset_each(app, p->part + 1, p->n - 1, fn, user);
	return strcmp(p->part[0], "upload") == 0 ? in_upload(app, p, fn, user) : -ENOENT;
}

/* ---- the snapshots of a selection ---- */
enum { SNAP_PAGE = 256 };

struct snap_page {
	struct snap snap[SNAP_PAGE];
	size_t n;
};

static int keep_snap(void *user, const struct snap *s)
{
	struct snap_page *page = user;

	page->snap[page->n++] = *s;
	return 0;
}

static int each_of_day(struct app *app, struct view v, int32_t day, struct snap_page *page,
		       snap_fn *fn, void *user)
{
	int64_t after = 0;
	int r;

	do {
		page->n = 0;
		r = catalog_list(app->catalog, v, day, after, SNAP_PAGE, keep_snap, page);
		for (size_t i = 0; r == 0 && i < page->n; i++) {
			after = page->snap[i].id;
			r = fn(user, &page->snap[i]);
		}
	} while (r == 0 && page->n == SNAP_PAGE);
	return r;
}

int selection_each(struct app *app, const struct selection *s, snap_fn *fn, void *user)
{
	CLEANUP(freep) struct snap_page *page = malloc(sizeof(*page));
	int32_t day = s->first_day - 1;
	int r = page ? 0 : -ENOMEM;

	if (r < 0 || s->nothing)
		return r;
	if (s->snapshot || s->stem[0]) {
		r = s->snapshot ? catalog_snap(app->catalog, s->snapshot, page->snap)
				: catalog_find(app->catalog, s->view, s->first_day, s->stem,
					       page->snap);
		return r < 0 ? r : fn(user, page->snap);
	}
	while ((r = catalog_next_day(app->catalog, s->view, day, &day)) == 0 &&
	       day <= s->last_day) {
		r = each_of_day(app, s->view, day, page, fn, user);
		if (r != 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}
