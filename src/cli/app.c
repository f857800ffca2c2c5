/* app.c - the house is built lowest room first and torn down in reverse.
 *
 * Nothing here asks a camera or a store: a mount is up whatever the network does. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/net.h"

static int open_lower(struct app *app, struct buf *err)
{
	const struct config *conf = app->conf;
	int r = zone_set(conf->timezone);

	if (r < 0) {
		(void)buf_printf(err, "unknown time zone \"%s\"\n", conf->timezone);
		return r;
	}
	r = codec_start();
	if (r < 0) {
		(void)buf_printf(err, "cannot start the process that reads pictures: %s\n",
				 strerror(-r));
		return r;
	}
	r = net_init();
	app->net_ready = r == 0;
	if (r == 0)
		r = catalog_open(conf->state, &app->catalog);
	if (r < 0) {
		(void)buf_printf(err, "cannot open the catalog %s/catalog.db: %s%s\n", conf->state,
				 strerror(-r), disk_advice(r));
		return r;
	}
	r = cache_new(conf->state, conf->cache, conf->cache_size, &app->cache);
	if (r < 0)
		(void)buf_printf(err, "cannot use the cache %s: %s%s\n", conf->cache, strerror(-r),
				 disk_advice(r));
	return r;
}

static int open_stores(struct app *app, struct buf *err)
{
	const struct config *conf = app->conf;
	int r = 0;

	app->store = calloc(conf->n_stores + 1, sizeof(*app->store));
	app->target = calloc(conf->n_stores + 1, sizeof(*app->target));
	if (!app->store || !app->target)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < conf->n_stores; i++) {
		struct store_slot *slot = &app->store[i];

		r = store_new(&conf->store[i], err, &slot->store);
		if (r < 0)
			break;
		app->n_stores++;
		r = catalog_store_id(app->catalog, conf->store[i].name, &slot->id);
		app->target[i] = (struct target){slot->id, conf->store[i].layout};
	}
	catalog_set_stores(app->catalog, app->target, app->n_stores);
	return r;
}

static int open_cameras(struct app *app, struct buf *err)
{
	const struct config *conf = app->conf;
	int r = 0;

	app->camera = calloc(conf->n_cameras + 1, sizeof(*app->camera));
	if (!app->camera)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < conf->n_cameras; i++) {
		const struct camera_config *c = &conf->camera[i];
		struct camera_slot *slot = &app->camera[i];

		r = source_new(c, err, &slot->source);
		if (r < 0)
			break;
		app->n_cameras++;
		r = catalog_camera_ensure(app->catalog, c->name, c->title, c->group, &slot->id);
	}
	return r;
}

/* ---- what the upper rooms tell each other ---- */
static void on_fetch(void *user, int64_t snapshot, int64_t stale_store)
{
	struct app *app = user;

	pthread_rwlock_rdlock(&app->hooks);
	if (app->hooked && stale_store)
		sync_stale(app->sync, stale_store);
	else if (app->hooked && app->fs)
		fs_became_local(app->fs, snapshot);
	pthread_rwlock_unlock(&app->hooks);
}

static void on_due(void *user, int64_t due_us)
{
	struct app *app = user;

	pthread_rwlock_rdlock(&app->hooks);
	if (app->hooked)
		sync_kick(app->sync, due_us);
	pthread_rwlock_unlock(&app->hooks);
}

static void set_hooked(struct app *app, bool hooked)
{
	pthread_rwlock_wrlock(&app->hooks);
	app->hooked = hooked;
	pthread_rwlock_unlock(&app->hooks);
}

static int open_upper(struct app *app)
{
	const struct config *conf = app->conf;
	struct sync_parts parts = {.conf = conf,
				   .catalog = app->catalog,
				   .cache = app->cache,
				   .store = app->store,
				   .n_stores = app->n_stores,
				   .camera = app->camera,
				   .n_cameras = app->n_cameras};
	int r = fetch_new(conf, app->catalog, app->cache, app->store, app->n_stores, &app->fetch);

	if (r == 0)
		r = ingest_new(conf, app->catalog, app->cache, app->target, app->n_stores,
			       app->camera, app->n_cameras, &app->ingest);
	if (r < 0)
		return r;
	parts.fetch = app->fetch;
	parts.ingest = app->ingest;
	r = sync_new(&parts, &app->sync);
	if (r < 0)
		return r;
	set_hooked(app, true);
	fetch_on_event(app->fetch, on_fetch, app);
	ingest_on_due(app->ingest, on_due, app);
	return 0;
}

int app_open(const struct config *conf, const char *mountpoint, struct buf *err, struct app **ret)
{
	int fd, r = state_lock_or_say(conf->state, mountpoint, err, &fd);

	return r < 0 ? r : app_open_locked(conf, mountpoint, fd, err, ret);
}

int app_open_locked(const struct config *conf, const char *mountpoint, int lock_fd, struct buf *err,
		    struct app **ret)
{
	struct app *app = calloc(1, sizeof(*app));
	int r = 0;

	if (!app) {
		closep(&lock_fd);
		return -ENOMEM;
	}
	app->conf = conf;
	app->lock_fd = lock_fd;
	(void)pthread_rwlock_init(&app->hooks, NULL);
	app->mountpoint = mountpoint ? strdup(mountpoint) : NULL;
	if (mountpoint && !app->mountpoint)
		r = -ENOMEM;
	if (r == 0 && !state_lock_is_of(lock_fd, conf->state)) {
		(void)buf_printf(
			err,
			"the config names another state directory, %s: unmount, and mount again\n",
			conf->state);
		r = -ESTALE;
	}
	if (r == 0)
		r = open_lower(app, err);
	if (r == 0)
		r = open_stores(app, err);
	if (r == 0)
		r = open_cameras(app, err);
	if (r == 0)
		r = open_upper(app);
	if (r < 0) {
		if (!err->len)
			(void)buf_printf(err, "cannot start: %s\n", strerror(-r));
		(void)app_close(app);
		return r;
	}
	*ret = app;
	return 0;
}

int app_start_sync(struct app *app, struct buf *err)
{
	int r = sync_start(app->sync);

	if (r < 0)
		(void)buf_printf(err, "cannot start the background work: %s\n", strerror(-r));
	return r;
}

int app_new_fs(struct app *app, const char *options, struct buf *err)
{
	struct fs_parts parts = {.catalog = app->catalog,
				 .fetch = app->fetch,
				 .ingest = app->ingest,
				 .state = app->conf->state,
				 .sidecars = app->conf->sidecars,
				 .upload = !app->conf->read_only_upload,
				 .ghost = ghost_files,
				 .ghost_user = app,
				 .space = app_space};
	struct fs *fs;
	int r = datasets_open(app->catalog, app->conf->state, &app->datasets);

	if (r < 0) {
		(void)buf_printf(err, "cannot use %s/datasets: %s\n", app->conf->state,
				 strerror(-r));
		return r;
	}
	parts.datasets = app->datasets;
	r = fs_new(&parts, options, err, &fs);
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&app->hooks);
	app->fs = fs;
	pthread_rwlock_unlock(&app->hooks);
	return 0;
}

/* Since fs_loop() returned nobody waits for an answer; fs goes after the rooms whose callbacks know it. */
struct app *app_close(struct app *app)
{
	if (!app)
		return NULL;
	set_hooked(app, false);
	app->sync = sync_free(app->sync);
	app->fetch = fetch_free(app->fetch);
	app->ingest = ingest_free(app->ingest);
	app->datasets = datasets_close(app->datasets);
	app->fs = fs_free(app->fs);
	for (size_t i = 0; i < app->n_cameras; i++)
		(void)source_free(app->camera[i].source);
	for (size_t i = 0; i < app->n_stores; i++)
		(void)store_free(app->store[i].store);
	app->cache = cache_free(app->cache);
	app->catalog = catalog_close(app->catalog);
	if (app->net_ready)
		net_done();
	codec_end();
	free(app->camera);
	free(app->store);
	free(app->target);
	free(app->mountpoint);
	(void)pthread_rwlock_destroy(&app->hooks);
	closep(&app->lock_fd);
	free(app);
	return NULL;
}
