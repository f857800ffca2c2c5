/* test-cli-path.c - paths below the mount stand for the snapshots that are seen there, and for nothing else. */
#include "test-cli-app.h"

#include <errno.h>

static int count_snap(void *user, const struct snap *s)
{
	++*(size_t *)user;
	return 0;
}

struct count {
	struct app *app;
	size_t n;
};

static int count_selection(void *user, const struct selection *s)
{
	struct count *c = user;

	return selection_each(c->app, s, count_snap, &c->n);
}

static int count_path(struct house *h, const char *path, size_t *ret)
{
	struct count c = {.app = h->app};
	int r = tree_path_each(h->app, path, count_selection, &c);

	*ret = c.n;
	return r;
}

/* front: 3 on 2020-12-31 (one starred, with a label), 12 on 2021-01-01; garden: 1 on 2021-02-10. */
static int fill(void **state)
{
	struct sidecar side = {.starred = true, .has_starred = true, .labels = {.looked = true}};
	struct label label = {.kind = (char[]){"object"}, .value = (char[]){"person"}};
	struct house *h;

	house_open(state);
	h = *state;
	ok(labels_add(&side.labels, &label));
	add_picture(h, "front", 0, &side);
	labels_done(&side.labels);
	for (unsigned n = 1; n < 3; n++)
		add_picture(h, "front", n, NULL);
	for (unsigned n = 12; n < 24; n++)
		add_picture(h, "front", n, NULL);
	add_picture(h, "garden", 24 * 41, NULL);
	return 0;
}

static void paths_of_views(void **state)
{
	static const struct {
		const char *path;
		size_t n;
	} path[] = {
		{"", 16},
		{"/", 16},
		{".", 16},
		{"cameras", 16},
		{"cameras/front", 15},
		{"cameras/front/", 15},
		{"cameras//front/./2020-12-31", 3},
		{"cameras/front/2021-01-01", 12},
		{"cameras/garden/../front/2021-01-01", 12},
		{"cameras/front/1999-01-01", 0},
		{"cameras/front/2020-12-31/20201231T12-00-00-000000_front.jpg", 1},
		{"cameras/front/2020-12-31/20201231T12-00-00-000000_front.json", 0},
		{"cameras/front/latest.jpg", 1},
		{"dates", 16},
		{"dates/2020", 3},
		{"dates/2021", 13},
		{"dates/2020/12", 3},
		{"dates/2021/01", 12},
		{"dates/2021/02/10", 1},
		{"dates/2020/12/31/20201231T13-00-00-000000_front.jpg", 1},
		{"labels", 1},
		{"labels/object", 1},
		{"labels/object/person", 1},
		{"labels/object/person/2020-12-31", 1},
		{"labels/object/person/2021-01-01", 0},
		{"starred", 1},
		{"starred/2020-12-31", 1},
		{"upload", 0},
	};
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		print_message("%s\n", path[i].path);
		ok(count_path(*state, path[i].path, &n));
		assert_int_equal(n, path[i].n);
	}
}

static void paths_that_are_not_there(void **state)
{
	static const char *const path[] = {
		"nothing",
		"cameras/nobody",
		"cameras/front/yesterday",
		"cameras/front/2021-02-30",
		"cameras/front/2021-01-01/x.jpg",
		"cameras/front/2020-12-31/20201231T12-00-00-000000_front.png",
		"cameras/front/2020-12-31/20201231T12-00-00-000000_front.jpg/x",
		"dates/2020/13",
		"dates/20",
		"dates/2020/12/31/x.jpg",
		"dates/2020/12/31/20201231T13-00-00-000000_front.jpg/x",
		"labels/object/dog",
		"labels/colour",
		"starred/x",
		"upload/nobody",
	};
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		print_message("%s\n", path[i]);
		assert_int_equal(count_path(*state, path[i], &n), -ENOENT);
		assert_int_equal(n, 0);
	}
	assert_int_equal(count_path(*state, "../etc", &n), -EINVAL);
	assert_int_equal(count_path(*state, "cameras/../../etc", &n), -EINVAL);
}

static void more_than_a_page(void **state)
{
	size_t n;

	for (unsigned i = 0; i < 600; i++)
		add_picture(*state, "many", i, NULL);
	ok(count_path(*state, "cameras/many", &n));
	assert_int_equal(n, 600);
}

static void uploads_stand_for_their_snapshots(void **state)
{
	struct house *h = *state;
	struct upload_row dir = {.is_dir = true, .mode = 0755, .name = "front"},
			  file = {.mode = 0644, .name = "a.jpg"};
	int64_t id;
	size_t n;

	ok(catalog_upload_create(h->app->catalog, &dir, &dir.id));
	file.parent = dir.id;
	ok(catalog_upload_create(h->app->catalog, &file, &id));
	ok(count_path(h, "upload", &n));
	assert_int_equal(n, 0);
	file.id = id;
	file.state = UPLOAD_REGISTERED;
	file.snapshot = add_picture(h, "front", 100, NULL);
	ok(catalog_upload_set(h->app->catalog, &file, UPLOAD_SET_STATE | UPLOAD_SET_SNAPSHOT, NULL,
			      false));
	ok(count_path(h, "upload", &n));
	assert_int_equal(n, 1);
	ok(count_path(h, "upload/front/a.jpg", &n));
	assert_int_equal(n, 1);
	assert_int_equal(count_path(h, "upload/front/b.jpg", &n), -ENOENT);
}

static void typed(const char *text, const char *mountpoint, const char *want)
{
	CLEANUP(freep) char *got = NULL;
	int r = tree_path_of(text, mountpoint, &got);

	print_message("%s\n", text);
	if (want) {
		ok(r);
		assert_string_equal(got, want);
	} else {
		assert_int_equal(r, -EINVAL);
	}
}

static void typed_paths(void **state)
{
	struct house *h = *state;
	char path[128], link[64];

	typed("cameras/front", NULL, "cameras/front");
	typed("dates", "/mnt", "dates");
	typed("camerasx", "/mnt", NULL);
	typed("/etc/passwd", "/mnt", NULL);
	typed("/mnt/shutterfs-is-not-here/cameras/x", "/mnt/shutterfs-is-not-here", "cameras/x");
	typed("/mnt/shutterfs-is-not-hereafter", "/mnt/shutterfs-is-not-here", NULL);
	typed(h->dir, h->dir, "");
	(void)snprintf(path, sizeof(path), "%s/cache/..//archive/", h->dir);
	typed(path, h->dir, "archive");
	/* a way round by a symlink leads inside all the same */
	(void)snprintf(link, sizeof(link), "%s/link", h->dir);
	(void)snprintf(path, sizeof(path), "%s/archive", h->dir);
	ok(symlink("archive", link));
	typed(link, path, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(paths_of_views, fill, house_close),
		cmocka_unit_test_setup_teardown(paths_that_are_not_there, fill, house_close),
		cmocka_unit_test_setup_teardown(more_than_a_page, house_open, house_close),
		cmocka_unit_test_setup_teardown(uploads_stand_for_their_snapshots, house_open,
						house_close),
		cmocka_unit_test_setup_teardown(typed_paths, house_open, house_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
