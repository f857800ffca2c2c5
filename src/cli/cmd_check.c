/* cmd_check.c - the config, and whether what it names can be reached, without touching the state. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/net.h"

enum { AT_A_TIME = 16 };
#define ANSWER_US (15 * 1000000LL)

struct probe {
	const struct config *conf;
	size_t camera, store; /* one of them; SIZE_MAX: not it */
	struct io *io;
	pthread_mutex_t *lock; /* one says its line at a time; guards status */
	int *status;
};

static int first_is_enough(void *user, const struct store_object *o)
{
	return 1;
}

static int probe_store(const struct store_config *conf, struct call *c, struct buf *err)
{
	struct store *s = NULL;
	int r = store_new(conf, err, &s);

	if (r == 0)
		r = store_list(s, c, "", NULL, first_is_enough, NULL);
	(void)store_free(s);
	return r;
}

static int probe_camera(const struct camera_config *conf, struct call *c, struct buf *err)
{
	CLEANUP(buf_done) struct buf picture = BUF(CAPTURE_BYTES);
	struct source *s = NULL;
	int r = source_new(conf, err, &s);

	if (r == 0)
		r = source_capture(s, c, &picture);
	(void)source_free(s);
	return r;
}

static void probe(void *arg)
{
	struct probe *p = arg;
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct call c = io_call(p->io, ANSWER_US);
	bool is_store = p->store != SIZE_MAX;
	const char *name = is_store ? p->conf->store[p->store].name
				    : p->conf->camera[p->camera].name;
	int r = is_store ? probe_store(&p->conf->store[p->store], &c, &err)
			 : probe_camera(&p->conf->camera[p->camera], &c, &err);

	pthread_mutex_lock(p->lock);
	if (r >= 0)
		io_out(p->io, "ok: %s \"%s\"", is_store ? "store" : "camera", name);
	else if (err.len || c.why[0]) /* both begin with what they are about */
		io_err(p->io, "%s", err.len ? err.data : c.why);
	else
		io_err(p->io, "%s \"%s\": %s", is_store ? "store" : "camera", name, strerror(-r));
	/* cameras sleep and are switched off: a config is right without them */
	if (r < 0 && err.len)
		*p->status = EXIT_USAGE;
	else if (r < 0 && is_store && *p->status == EXIT_DONE)
		*p->status = EXIT_FAILED;
	pthread_mutex_unlock(p->lock);
}

static int probe_all(const struct config *conf, struct io *io)
{
	size_t n = conf->n_stores + conf->n_cameras;
	CLEANUP(freep) struct probe *all = calloc(n + 1, sizeof(*all));
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct pool *pool = NULL;
	int status = EXIT_DONE;
	int r = all ? pool_new("check", AT_A_TIME, (unsigned)n + 1, &pool) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++) {
		bool is_store = i < conf->n_stores;

		all[i] = (struct probe){.conf = conf,
					.store = is_store ? i : SIZE_MAX,
					.camera = is_store ? SIZE_MAX : i - conf->n_stores,
					.io = io,
					.lock = &lock,
					.status = &status};
		r = pool_run(pool, probe, &all[i]);
	}
	(void)pool_free(pool);
	if (r < 0)
		io_err(io, "cannot check: %s", strerror(-r));
	return r < 0 ? EXIT_FAILED : status;
}

static int check_config(const struct args *args, struct io *io, struct config **ret)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	int r = config_load(args->config, &err, ret);

	if (r == 0) {
		io_out(io, "ok: config %s", (*ret)->file ? (*ret)->file : "(embedded defaults)");
		r = zone_set((*ret)->timezone);
	} else {
		io_err(io, "%s", err.len ? err.data : strerror(-r));
	}
	return r;
}

int cmd_check(const struct args *args, struct io *io)
{
	CLEANUP(buf_done) struct buf keys = BUF(65536);
	struct config *conf = NULL;
	int status;

	if (args->given & OPT_KEYS) {
		config_print_keys(&keys);
		io_text(io, keys.data);
		return EXIT_DONE;
	}
	if (check_config(args, io, &conf) < 0)
		return EXIT_USAGE;
	status = net_init() < 0 ? EXIT_FAILED : probe_all(conf, io);
	net_done();
	(void)config_free(conf);
	return status;
}
