/* verb_sync.c - `sync`, `scan` and `rebuild`: what happens by itself, now. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Uploads whose time is not known yet are registered two seconds after their last change. */
#define SOON_US (3 * 1000000LL)
#define SOON_WAIT_US (15 * 1000000LL)

static int fail(struct io *io, const char *subject, const struct call *c, int r)
{
	io_bar_clear(io);
	if (io_cancelled(io))
		io_err(io, "%s: cancelled", subject);
	else
		io_err(io, "%s: %s", subject, c->why[0] ? c->why : strerror(-r));
	return EXIT_FAILED;
}

static int one_is_enough(void *user, const struct upload_row *row)
{
	return 1;
}

/* What was just dropped into upload/ is to be sent too. */
static void wait_for_uploads(struct app *app, struct io *io)
{
	int64_t until = mono_us() + SOON_WAIT_US;

	while (!io_cancelled(io) && mono_us() < until &&
	       catalog_upload_due(app->catalog, now_us() + SOON_US, 1, one_is_enough, NULL) == 1)
		(void)usleep(100000);
}

int verb_sync(struct app *app, struct io *io, const struct args *args)
{
	bool wait = args->given & OPT_WAIT;
	struct call c = io_call(io, 0);
	struct catalog_totals t;
	int r;

	if (wait)
		wait_for_uploads(app, io);
	r = sync_drain(app->sync, wait, &c, io_sync_progress, io);
	if (r < 0)
		return fail(io, "sync", &c, r);
	r = catalog_totals(app->catalog, &t);
	if (r < 0)
		return fail(io, "sync", &c, r);
	if (t.queue_waiting)
		io_out(io, "%" PRId64 " waiting, %" PRId64 " failing", t.queue_waiting,
		       t.queue_failed);
	else
		io_out(io, "every store has everything");
	return EXIT_DONE;
}

static void say_counts(struct io *io, const char *name, const struct scan_counts *n)
{
	io_out(io,
	       "%s: %" PRIu64 " objects: %" PRIu64 " new, %" PRIu64 " changed, %" PRIu64
	       " gone, %" PRIu64 " rejected; %" PRIu64 " sidecars",
	       name, n->listed, n->added, n->changed, n->gone, n->rejected, n->sidecars);
	if (n->lost)
		io_out(io, "%" PRIu64 " that %s had taken are not there: queued again", n->lost,
		       name);
	if (n->rejected)
		io_out(io, "what was rejected, and why: .shutterfs/errors.json");
}

static bool has_store(const struct app *app, const char *name)
{
	for (size_t i = 0; i < app->n_stores; i++)
		if (strcmp(app->conf->store[i].name, name) == 0)
			return true;
	return false;
}

int verb_scan(struct app *app, struct io *io, const struct args *args)
{
	const char *name = args->operand[0];
	struct scan_counts n = {0};
	struct call c = io_call(io, 0);
	int r;

	if (!has_store(app, name)) {
		io_err(io, "scan: the config has no store \"%s\"", name);
		return EXIT_USAGE;
	}
	r = sync_scan(app->sync, name, &c, io_sync_progress, io, &n);
	if (r < 0)
		return fail(io, "scan", &c, r);
	say_counts(io, name, &n);
	return EXIT_DONE;
}

int verb_rebuild(struct app *app, struct io *io, const struct args *args)
{
	struct scan_counts n = {0};
	struct call c = io_call(io, 0);
	int r = sync_rebuild(app->sync, &c, io_sync_progress, io, &n);

	if (r < 0)
		return fail(io, "rebuild", &c, r);
	say_counts(io, "rebuild", &n);
	return EXIT_DONE;
}
