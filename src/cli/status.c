/* status.c - what is going on, for people, programs and Prometheus: the `status` verb and the files of .shutterfs/.
 *
 * Everything comes from the catalog's counters, so it costs the same at any size; the files are rendered when somebody looks. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "shutterfs/codec.h"
#include "shutterfs/query.h"

enum { ERRORS_SHOWN = 1000, QUEUE_SHOWN = 1000 };

void time_text(int64_t us, char out[ISO_MAX])
{
	struct civil c;

	if (!us) {
		(void)snprintf(out, ISO_MAX, "never");
		return;
	}
	civil_from_us(us, &c);
	iso_format(us, c.zone_min, out);
}

static void json_time(struct json *j, const char *key, int64_t us)
{
	char text[ISO_MAX];

	time_text(us, text);
	json_string(j, key, us ? text : NULL);
}

static const char *text_or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

void app_space(void *user, uint64_t *total, uint64_t *free_bytes)
{
	struct app *app = user;
	struct cache_totals t;

	cache_totals(app->cache, &t);
	*total = t.state_total;
	*free_bytes = t.state_free;
}

/* ---- cameras and stores, one after the other ---- */
typedef void camera_fn(void *user, const struct camera_row *row);

static int each_camera(struct app *app, camera_fn *fn, void *user)
{
	struct camera_row row = {0};
	int r;

	while ((r = catalog_camera_next(app->catalog, row.name, true, &row)) == 0)
		fn(user, &row);
	return r == -ENOENT ? 0 : r;
}

typedef void store_row_fn(void *user, const struct store_config *conf, const struct store_row *row);

static int each_store(struct app *app, store_row_fn *fn, void *user)
{
	for (size_t i = 0; i < app->n_stores; i++) {
		struct store_row row;
		int r = catalog_store(app->catalog, app->store[i].id, true, &row);

		if (r < 0)
			return r;
		fn(user, &app->conf->store[i], &row);
	}
	return 0;
}

static int64_t oldest_s(const struct catalog_totals *t)
{
	int64_t age = t->queue_oldest_us ? (now_us() - t->queue_oldest_us) / 1000000 : 0;

	return age > 0 ? age : 0;
}

/* ---- JSON ---- */
static void json_camera(void *user, const struct camera_row *row)
{
	struct json *j = user;

	json_object(j, NULL);
	json_string(j, "name", row->name);
	json_string(j, "title", row->title[0] ? row->title : row->name);
	json_int(j, "snapshots", row->snapshots);
	json_time(j, "last_capture", row->last_capture_us);
	json_string(j, "error", text_or_null(row->error));
	json_end(j, '}');
}

static void json_store(void *user, const struct store_config *conf, const struct store_row *row)
{
	struct json *j = user;

	json_object(j, NULL);
	json_string(j, "name", conf->name);
	json_string(j, "driver", conf->driver);
	json_int(j, "objects", row->objects);
	json_int(j, "queued", row->queued);
	json_int(j, "failed", row->failed);
	json_time(j, "last_scan", row->last_scan_us);
	json_string(j, "error", text_or_null(row->error));
	json_end(j, '}');
}

static void json_disks(const struct config *conf, struct json *j)
{
	char why[DISK_TEXT];

	json_object(j, "disks");
	json_string(j, "state", disk_trouble(conf->state, why) ? why : NULL);
	json_string(j, "cache", disk_trouble(conf->cache, why) ? why : NULL);
	json_end(j, '}');
}

static void json_totals(struct app *app, const struct catalog_totals *t, struct json *j)
{
	struct cache_totals c;
	struct fetch_totals f;

	cache_totals(app->cache, &c);
	fetch_totals(app->fetch, &f);
	json_object(j, "queue");
	json_int(j, "waiting", t->queue_waiting);
	json_int(j, "failed", t->queue_failed);
	json_int(j, "oldest_s", oldest_s(t));
	json_end(j, '}');
	json_object(j, "cache");
	json_int(j, "bytes", (int64_t)c.cache_bytes);
	json_int(j, "limit", (int64_t)c.cache_limit);
	json_int(j, "files", (int64_t)c.cache_files);
	json_end(j, '}');
	json_object(j, "spool");
	json_int(j, "bytes", (int64_t)c.spool_bytes);
	json_int(j, "files", (int64_t)c.spool_files);
	json_end(j, '}');
	json_object(j, "fetch");
	json_int(j, "requests", (int64_t)f.requests);
	json_int(j, "bytes", (int64_t)f.bytes);
	json_int(j, "hits", (int64_t)f.hits);
	json_int(j, "errors", (int64_t)f.errors);
	json_int(j, "in_flight", (int64_t)f.in_flight);
	json_int(j, "ahead_requests", (int64_t)f.ahead_requests);
	json_int(j, "ahead_bytes", (int64_t)f.ahead_bytes);
	json_int(j, "ahead_used", (int64_t)f.ahead_used);
	json_end(j, '}');
	json_object(j, "upload");
	json_int(j, "waiting", t->uploads_waiting);
	json_int(j, "rejected", t->uploads_rejected);
	json_end(j, '}');
}

static void json_worker(const struct app *app, struct json *j)
{
	if (!app->fs) {
		json_string(j, "worker", NULL);
		return;
	}
	json_object(j, "worker");
	json_bool(j, "confined", app->confined);
	json_string(j, "confined_by", app->confined ? app->confined_by : NULL);
	json_string(j, "not_confined_because", app->confined ? NULL : app->confined_by);
	json_int(j, "restarts", (int64_t)app->restarts);
	json_end(j, '}');
}

int status_json(struct app *app, struct buf *out)
{
	struct json j = {.out = out, .lines = true};
	struct catalog_totals t;
	int r = catalog_totals(app->catalog, &t);

	if (r < 0)
		return r;
	json_object(&j, NULL);
	json_string(&j, "version", VERSION);
	json_string(&j, "mountpoint", app->mountpoint);
	json_string(&j, "read_path", app->fs ? fs_read_path(app->fs) : NULL);
	json_worker(app, &j);
	json_string(&j, "decoder", codec_cage());
	json_int(&j, "snapshots", t.snapshots);
	json_array(&j, "cameras");
	r = each_camera(app, json_camera, &j);
	if (r < 0)
		return r;
	json_end(&j, ']');
	json_array(&j, "stores");
	r = each_store(app, json_store, &j);
	if (r < 0)
		return r;
	json_end(&j, ']');
	json_disks(app->conf, &j);
	json_totals(app, &t, &j);
	json_end(&j, '}');
	return buf_str(out, "\n");
}

static int json_queued(void *user, const struct outbox_item *item)
{
	static const char *const what[] = {
		[OUTBOX_PICTURE] = "picture", [OUTBOX_SIDECAR] = "sidecar"};
	struct {
		struct app *app;
		struct json *j;
	} *at = user;
	const char *store = NULL;

	for (size_t i = 0; i < at->app->n_stores; i++)
		if (at->app->store[i].id == item->store)
			store = at->app->conf->store[i].name;
	json_object(at->j, NULL);
	json_string(at->j, "what", what[item->what]);
	json_string(at->j, "snapshot", item->snap.stem);
	json_string(at->j, "store", store); /* null: no longer in the config */
	json_int(at->j, "tries", item->tries);
	json_time(at->j, "next", item->next_us);
	json_string(at->j, "error", text_or_null(item->error));
	json_end(at->j, '}');
	return at->j->out->error;
}

static int queue_json(void *user, struct buf *out)
{
	struct json j = {.out = out};
	struct {
		struct app *app;
		struct json *j;
	} at = {user, &j};
	int r;

	json_object(&j, NULL);
	json_array(&j, "queue");
	r = catalog_outbox_list(at.app->catalog, 0, QUEUE_SHOWN, json_queued, &at);
	if (r < 0)
		return r;
	json_end(&j, ']');
	json_end(&j, '}');
	return buf_str(out, "\n");
}

static int json_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	struct json *j = user;

	json_object(j, NULL);
	json_time(j, "when", when_us);
	json_string(j, "subject", subject);
	json_string(j, "error", error);
	json_end(j, '}');
	return j->out->error;
}

/* Asked now: a full disk has no room for a row about it. */
static int disk_errors(const struct config *conf, struct json *j)
{
	char why[DISK_TEXT];
	int r = 0;

	if (disk_trouble(conf->state, why))
		r = json_error(j, now_us(), "state directory", why);
	if (r == 0 && disk_trouble(conf->cache, why))
		r = json_error(j, now_us(), "cache directory", why);
	return r;
}

/* query.json files that cannot be understood. */
static int query_errors(struct app *app, struct json *j)
{
	struct query_row row = {0};
	int r;

	while ((r = catalog_query_next(app->catalog, row.name, &row)) == 0) {
		CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
		char subject[LABEL_MAX + 32], why[WHY_MAX];
		struct query *q = NULL;

		r = catalog_query_text(app->catalog, row.id, &text);
		if (r == 0)
			r = query_parse(text.data, text.len, &q, why);
		(void)query_free(q);
		(void)snprintf(subject, sizeof(subject), "queries/%s/query.json", row.name);
		if (r == -EBADMSG)
			r = json_error(j, row.changed_us, subject, why);
		if (r < 0 && r != -ENOENT) /* without a text, or gone this moment */
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int errors_json(void *user, struct buf *out)
{
	struct app *app = user;
	struct json j = {.out = out};
	int r;

	json_object(&j, NULL);
	json_array(&j, "errors");
	r = disk_errors(app->conf, &j);
	if (r == 0)
		r = catalog_errors(app->catalog, ERRORS_SHOWN, json_error, &j);
	if (r == 0)
		r = query_errors(app, &j);
	if (r < 0)
		return r;
	json_end(&j, ']');
	json_end(&j, '}');
	return buf_str(out, "\n");
}

/* ---- Prometheus ---- */
static void metric(struct buf *out, const char *type, const char *name, const char *help,
		   int64_t value)
{
	(void)buf_printf(
		out, "# HELP shutterfs_%s %s\n# TYPE shutterfs_%s %s\nshutterfs_%s %" PRId64 "\n",
		name, help, name, type, name, value);
}

static int64_t resident_bytes(void)
{
	CLEANUP(buf_done) struct buf text = BUF(256);
	long pages;

	if (read_file(AT_FDCWD, "/proc/self/statm", text.max, &text) < 0 ||
	    sscanf(text.data, "%*d %ld", &pages) != 1)
		return 0;
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int metrics_prom(void *user, struct buf *out)
{
	struct app *app = user;
	struct catalog_totals t;
	struct cache_totals c;
	struct fetch_totals f;
	int r = catalog_totals(app->catalog, &t);

	if (r < 0)
		return r;
	cache_totals(app->cache, &c);
	fetch_totals(app->fetch, &f);
	metric(out, "gauge", "snapshots", "Snapshots in the tree.", t.snapshots);
	metric(out, "gauge", "cameras", "Cameras in the tree.", t.cameras);
	metric(out, "gauge", "queue_waiting", "Objects that stores have yet to get.",
	       t.queue_waiting);
	metric(out, "gauge", "queue_failed", "Of these, tried in vain so far.", t.queue_failed);
	metric(out, "gauge", "queue_oldest_seconds", "Age of the oldest of these.", oldest_s(&t));
	metric(out, "gauge", "uploads_waiting", "Uploaded files that are yet to be looked at.",
	       t.uploads_waiting);
	metric(out, "gauge", "uploads_rejected", "Uploaded files that were not accepted.",
	       t.uploads_rejected);
	metric(out, "gauge", "cache_bytes", "Bytes of the cache.", (int64_t)c.cache_bytes);
	metric(out, "gauge", "cache_files", "Pictures in the cache.", (int64_t)c.cache_files);
	metric(out, "gauge", "cache_limit_bytes", "Most bytes of the cache.",
	       (int64_t)c.cache_limit);
	metric(out, "counter", "cache_evicted_total", "Pictures that had to leave the cache.",
	       (int64_t)c.evicted);
	metric(out, "gauge", "spool_bytes", "Bytes accepted that not every store has.",
	       (int64_t)c.spool_bytes);
	metric(out, "gauge", "spool_files", "Pictures accepted that not every store has.",
	       (int64_t)c.spool_files);
	metric(out, "counter", "fetch_requests_total", "Pictures asked of stores.",
	       (int64_t)f.requests);
	metric(out, "counter", "fetch_bytes_total", "Bytes of these.", (int64_t)f.bytes);
	metric(out, "counter", "fetch_hits_total", "Pictures that were local already.",
	       (int64_t)f.hits);
	metric(out, "counter", "fetch_errors_total", "Pictures that could not be had.",
	       (int64_t)f.errors);
	metric(out, "counter", "fetch_ahead_total", "Of the pictures asked for: ahead of readers.",
	       (int64_t)f.ahead_requests);
	metric(out, "counter", "fetch_ahead_used_total", "Of these: opened since.",
	       (int64_t)f.ahead_used);
	metric(out, "gauge", "fetch_in_flight", "Pictures being fetched.", (int64_t)f.in_flight);
	metric(out, "counter", "worker_restarts_total", "Workers that died, or were replaced.",
	       (int64_t)app->restarts);
	metric(out, "gauge", "resident_bytes", "Memory of the process.", resident_bytes());
	return out->error;
}

static int config_text(void *user, struct buf *out)
{
	const struct app *app = user;

	return config_print(app->conf, out);
}

static int status_file(void *user, struct buf *out)
{
	return status_json(user, out);
}

/* `umount` waits for the process that is behind the mount. */
static int pid_file(void *user, struct buf *out)
{
	const struct app *app = user;

	return buf_printf(out, "%ld\n", app->supervisor);
}

const struct fs_ghost_file ghost_files[] = {
	{"status.json", status_file},
	{"queue.json", queue_json},
	{"errors.json", errors_json},
	{"metrics.prom", metrics_prom},
	{"config", config_text},
	{"pid", pid_file},
	{NULL, NULL},
};

/* ---- for people ---- */
static void text_camera(void *user, const struct camera_row *row)
{
	struct buf *out = user;
	char when[ISO_MAX];

	(void)buf_printf(out, "camera     %-16s snapshots %" PRId64, row->name, row->snapshots);
	if (row->last_capture_us) {
		time_text(row->last_capture_us, when);
		(void)buf_printf(out, ", last capture %s", when);
	}
	(void)buf_str(out, "\n");
	if (row->error[0])
		(void)buf_printf(out, "           failing: %s\n", row->error);
}

static void text_store(void *user, const struct store_config *conf, const struct store_row *row)
{
	struct buf *out = user;
	char when[ISO_MAX];

	time_text(row->last_scan_us, when);
	(void)buf_printf(out, "store      %-16s %s, objects %" PRId64 ", to send %" PRId64,
			 conf->name, conf->driver, row->objects, row->queued);
	if (row->failed)
		(void)buf_printf(out, " (failing %" PRId64 ")", row->failed);
	(void)buf_printf(out, ", last scan %s\n", when);
	if (row->error[0])
		(void)buf_printf(out, "           failing: %s\n", row->error);
}

static void text_disk(const char *what, const char *dir, struct buf *out)
{
	char why[DISK_TEXT];

	if (disk_trouble(dir, why))
		(void)buf_printf(out, "%-10s failing: %s\n", what, why);
}

static void text_totals(struct app *app, const struct catalog_totals *t, struct buf *out)
{
	char used[SIZE_TEXT], limit[SIZE_TEXT], spool[SIZE_TEXT], fetched[SIZE_TEXT];
	struct cache_totals c;
	struct fetch_totals f;

	cache_totals(app->cache, &c);
	fetch_totals(app->fetch, &f);
	size_text(c.cache_bytes, used);
	size_text(c.cache_limit, limit);
	size_text(c.spool_bytes, spool);
	size_text(f.bytes, fetched);
	(void)buf_printf(out, "queue      waiting %" PRId64 ", failing %" PRId64, t->queue_waiting,
			 t->queue_failed);
	if (t->queue_waiting)
		(void)buf_printf(out, ", the oldest for %" PRId64 " s", oldest_s(t));
	(void)buf_printf(out, "\nupload     waiting %" PRId64 ", rejected %" PRId64 "%s\n",
			 t->uploads_waiting, t->uploads_rejected,
			 t->uploads_rejected ? " (see .shutterfs/errors.json)" : "");
	(void)buf_printf(out, "cache      %s of %s, pictures %" PRIu64 "\n", used, limit,
			 c.cache_files);
	(void)buf_printf(out, "spool      %s, pictures %" PRIu64 "\n", spool, c.spool_files);
	if (app->fs)
		(void)buf_printf(out,
				 "fetched    %s, pictures %" PRIu64 ", were local %" PRIu64
				 ", errors %" PRIu64 ", under way %" PRIu64 "\n",
				 fetched, f.requests, f.hits, f.errors, f.in_flight);
}

int status_text(struct app *app, struct buf *out)
{
	struct catalog_totals t;
	int r = catalog_totals(app->catalog, &t);

	if (r < 0)
		return r;
	if (app->fs)
		(void)buf_printf(out, "mounted    %s (reads by %s)\n", app->mountpoint,
				 fs_read_path(app->fs));
	else
		(void)buf_str(out, "mounted    no\n");
	if (app->fs)
		(void)buf_printf(out, "worker     %s (%s), restarts %u\n",
				 app->confined ? "confined" : "not confined", app->confined_by,
				 app->restarts);
	(void)buf_printf(out, "decoder    %s\n", codec_cage());
	(void)buf_printf(out, "snapshots  %" PRId64 "\n", t.snapshots);
	r = each_camera(app, text_camera, out);
	if (r == 0)
		r = each_store(app, text_store, out);
	text_totals(app, &t, out);
	text_disk("state", app->conf->state, out);
	text_disk("cache", app->conf->cache, out);
	return r < 0 ? r : out->error;
}
