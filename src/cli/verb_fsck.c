/* verb_fsck.c - `fsck`: does what the catalog says agree with the blobs on disk and the objects in the stores?
 *
 * Three passes: the catalog by itself; every local blob (its hash, and whether anybody needs it); every snapshot's objects, by
 * head, many at a time.  --repair throws away broken copies that a store has too, queues again what a store lost and we have, and
 * recomputes counters.  What it cannot mend it says, and nothing is thrown away that is the only copy. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/codec.h"

enum {
	PAGE = 256,
	HEADS_AT_A_TIME = 32,
	PLACES = 16,
	ORPHANS_KEPT = 1024,
	STORES = CONFIG_STORES_MAX
};
#define HEAD_US (60 * 1000000LL)
#define SETTLE_US 2500000 /* longer than an upload takes from its blob to its row */

struct orphan {
	enum blob_area area;
	struct sha256 sha;
};

struct fsck {
	struct app *app;
	struct io *io;
	bool repair;
	struct progress p;
	enum blob_area area; /* of the pass over blobs */
	struct orphan orphan[ORPHANS_KEPT];
	size_t n_orphans;
	pthread_mutex_t lock; /* guards all below, and io, in the pass over snapshots */
	uint64_t faults, mended;
	bool store_away[STORES];
};

static void fault(struct fsck *f, const char *fmt, ...) PRINTF(2, 3);

static void fault(struct fsck *f, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&f->lock);
	f->faults++;
	io_out(f->io, "%s", text);
	pthread_mutex_unlock(&f->lock);
}

static void mended(struct fsck *f)
{
	pthread_mutex_lock(&f->lock);
	f->mended++;
	pthread_mutex_unlock(&f->lock);
}

/* ---- the catalog by itself ---- */
static int check_catalog(struct fsck *f)
{
	CLEANUP(buf_done) struct buf lines = BUF(4 * 1024 * 1024);
	char *save = NULL;
	int r = catalog_check(f->app->catalog, &lines);

	if (r < 0 || !lines.len)
		return r;
	for (char *line = strtok_r(lines.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		fault(f, "catalog: %s", line);
	if (!f->repair)
		return 0;
	r = catalog_check_repair(f->app->catalog);
	buf_done(&lines);
	lines = BUF(4 * 1024 * 1024);
	if (r == 0)
		r = catalog_check(f->app->catalog, &lines);
	if (r == 0 && !lines.len)
		f->mended = f->faults;
	return r;
}

/* ---- blobs ---- */
static int hash_blob(struct fsck *f, const struct sha256 *sha, bool *ret_good)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 got;
	int r = cache_open(f->app->cache, sha, &fd);

	*ret_good = r != -EBADMSG;         /* torn by a power cut */
	if (r == -ENOENT || r == -EBADMSG) /* evicted or settled meanwhile */
		return 0;
	if (r == 0)
		r = sha256_fd(fd, &got);
	if (r == 0)
		*ret_good = memcmp(&got, sha, sizeof(*sha)) == 0;
	return r;
}

/* A copy can be had again; what the spool has may be the only one there is. */
static void broken_blob(struct fsck *f, const struct sha256 *sha, const char *hex, int err)
{
	const char *what = err < 0 ? strerror(-err) : "its bytes are not what its name says";

	if (f->area == BLOB_SPOOL) {
		fault(f,
		      "spool: %s is damaged (%s); if no store has it, it has to come from its camera or writer again",
		      hex, what);
		return;
	}
	fault(f, "cache: %s is damaged (%s)%s", hex, what,
	      f->repair ? ": thrown away, it will be fetched again" : "");
	if (f->repair && cache_drop(f->app->cache, sha, BLOB_CACHE) == 0)
		mended(f);
}

static int check_blob(void *user, const struct sha256 *sha, uint64_t size)
{
	struct fsck *f = user;
	char hex[SHA256_HEX];
	bool good, queued;
	int r = hash_blob(f, sha, &good);

	hex_encode(sha->b, sizeof(sha->b), hex);
	f->p.done++;
	f->p.bytes += size;
	(void)snprintf(f->p.what, sizeof(f->p.what), "%.16s", hex);
	io_progress(f->io, &f->p);
	if (r < 0 || !good)
		broken_blob(f, sha, hex, r);
	else if (f->n_orphans < ORPHANS_KEPT && !catalog_sha_needed(f->app->catalog, sha, &queued))
		f->orphan[f->n_orphans++] = (struct orphan){f->area, *sha};
	return io_cancelled(f->io) ? -ECANCELED : 0;
}

/* No fault: a crash between blob and row leaves them.  Looked at twice, as an upload under way looks the same for a moment. */
static void check_orphans(struct fsck *f)
{
	bool queued;

	if (f->n_orphans)
		(void)usleep(SETTLE_US);
	for (size_t i = 0; i < f->n_orphans; i++) {
		const struct orphan *o = &f->orphan[i];
		char hex[SHA256_HEX];

		if (catalog_sha_needed(f->app->catalog, &o->sha, &queued) ||
		    !cache_has(f->app->cache, &o->sha, NULL))
			continue;
		hex_encode(o->sha.b, sizeof(o->sha.b), hex);
		io_out(f->io, "note: %s: %s belongs to no snapshot%s",
		       o->area == BLOB_SPOOL ? "spool" : "cache", hex,
		       f->repair ? ": thrown away" : "; --repair throws it away");
		if (f->repair)
			(void)!cache_drop(f->app->cache, &o->sha, o->area);
	}
}

static int check_blobs(struct fsck *f)
{
	struct cache_totals t;
	int r;

	cache_totals(f->app->cache, &t);
	f->p = (struct progress){.total = t.cache_files + t.spool_files};
	f->area = BLOB_SPOOL;
	r = cache_each(f->app->cache, BLOB_SPOOL, check_blob, f);
	f->area = BLOB_CACHE;
	if (r == 0)
		r = cache_each(f->app->cache, BLOB_CACHE, check_blob, f);
	if (r == 0)
		check_orphans(f);
	return r;
}

/* ---- snapshots and their objects ---- */
struct job {
	struct fsck *f;
	struct snap snap;
};

static void lost_object(struct fsck *f, const struct snap *s, const struct place *p,
			const char *store)
{
	int r = f->repair && s->has_sha ? cache_keep(f->app->cache, &s->sha) : -ENOENT;

	if (r == 0)
		r = catalog_requeue(f->app->catalog, s->id, p);
	if (r == 0) {
		fault(f, "store \"%s\": %s of %s is gone: queued again", store, p->key, s->stem);
		mended(f);
		return;
	}
	fault(f, "store \"%s\": %s of %s is gone%s", store, p->key, s->stem,
	      f->repair ? "; there is no copy to send again (scan takes it out of the tree)" : "");
	if (f->repair)
		(void)!catalog_replica_lost(f->app->catalog, s->id, p);
}

static void store_unreachable(struct fsck *f, size_t i, const struct call *c, int r)
{
	bool said;

	pthread_mutex_lock(&f->lock);
	said = f->store_away[i];
	f->store_away[i] = true;
	pthread_mutex_unlock(&f->lock);
	if (!said && !io_cancelled(f->io))
		fault(f, "store \"%s\" cannot be asked: %s", f->app->conf->store[i].name,
		      c->why[0] ? c->why : strerror(-r));
}

/* True: an object that holds this snapshot is there. */
static bool check_place(struct fsck *f, const struct snap *s, const struct place *p, size_t i)
{
	const char *store = f->app->conf->store[i].name;
	struct call c = io_call(f->io, HEAD_US);
	struct store_head head;
	bool away;
	int r;

	pthread_mutex_lock(&f->lock);
	away = f->store_away[i];
	pthread_mutex_unlock(&f->lock);
	if (away)
		return true; /* nobody knows */
	r = store_head(f->app->store[i].store, &c, p->key, &head);
	if (r == -ENOENT) {
		lost_object(f, s, p, store);
		return false;
	}
	if (r < 0) {
		store_unreachable(f, i, &c, r);
		return true;
	}
	if (head.meta.has_sha && s->has_sha && memcmp(&head.meta.sha, &s->sha, sizeof(s->sha)) != 0)
		fault(f, "store \"%s\": %s has another picture than %s; scan %s looks at it", store,
		      p->key, s->stem, store);
	else if (head.size != p->size ||
		 (head.etag[0] && p->etag[0] && strcmp(head.etag, p->etag) != 0))
		fault(f, "store \"%s\": %s of %s was changed; scan %s looks at it", store, p->key,
		      s->stem, store);
	return true;
}

static void check_snapshot(void *arg)
{
	CLEANUP(freep) struct job *job = arg;
	CLEANUP(freep) struct place *place = calloc(PLACES, sizeof(*place));
	struct fsck *f = job->f;
	const struct snap *s = &job->snap;
	bool found = s->has_sha && cache_has(f->app->cache, &s->sha, NULL);
	size_t n = 0;
	int r = place ? catalog_places(f->app->catalog, s->id, place, PLACES, &n) : -ENOMEM;

	if (r < 0)
		fault(f, "catalog: the objects of %s cannot be read: %s", s->stem, strerror(-r));
	for (size_t k = 0; k < n && !io_cancelled(f->io); k++) {
		size_t i = 0;

		while (i < f->app->n_stores && f->app->store[i].id != place[k].store)
			i++;
		/* a store that has left the config may come back */
		if (i == f->app->n_stores || check_place(f, s, &place[k], i))
			found = true;
	}
	if (!found && r == 0 && !io_cancelled(f->io))
		fault(f, "%s: its bytes are nowhere: neither in a store nor here", s->stem);
}

struct page {
	struct fsck *f;
	struct pool *pool;
	int64_t last;
	size_t n;
	int error;
};

static int start_snapshot(void *user, const struct snap *s)
{
	struct page *page = user;
	CLEANUP(freep) struct job *job = malloc(sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){page->f, *s};
	page->last = s->id;
	page->n++;
	r = pool_run(page->pool, check_snapshot, job);
	if (r == 0)
		(void)TAKE(job);
	return r;
}

/* A pool a page: its end is when all of the page are done. */
static int check_page(struct fsck *f, int64_t *after, size_t *ret_n)
{
	struct page page = {.f = f};
	int r = pool_new("fsck", HEADS_AT_A_TIME, PAGE, &page.pool);

	if (r == 0)
		r = catalog_each(f->app->catalog, *after, PAGE, start_snapshot, &page);
	(void)pool_free(page.pool);
	*after = page.last;
	*ret_n = page.n;
	return r;
}

static int check_snapshots(struct fsck *f)
{
	struct catalog_totals t;
	int64_t after = 0;
	size_t n = 0;
	int r = catalog_totals(f->app->catalog, &t);

	f->p = (struct progress){.total = r == 0 ? (uint64_t)t.snapshots : 0,
				 .what = "objects in the stores"};
	do {
		if (r == 0)
			r = check_page(f, &after, &n);
		f->p.done += n;
		io_progress(f->io, &f->p);
	} while (r == 0 && n > 0 && !io_cancelled(f->io));
	return io_cancelled(f->io) ? -ECANCELED : r;
}

int verb_fsck(struct app *app, struct io *io, const struct args *args)
{
	CLEANUP(freep) struct fsck *f = calloc(1, sizeof(*f));
	uint64_t left;
	int r = f ? 0 : -ENOMEM;

	if (r == 0) {
		*f = (struct fsck){.app = app, .io = io, .repair = args->given & OPT_REPAIR};
		(void)pthread_mutex_init(&f->lock, NULL);
		r = check_catalog(f);
	}
	if (r == 0)
		r = check_blobs(f);
	if (r == 0)
		r = check_snapshots(f);
	io_bar_clear(io);
	if (r < 0) {
		io_err(io, "fsck: %s", r == -ECANCELED ? "cancelled" : strerror(-r));
		return EXIT_FAILED;
	}
	left = f->faults - f->mended;
	(void)pthread_mutex_destroy(&f->lock);
	if (f->faults == 0)
		io_out(io, "no faults");
	else if (f->repair)
		io_out(io, "%" PRIu64 " faults, %" PRIu64 " mended", f->faults, f->mended);
	else
		io_out(io, "%" PRIu64 " faults; --repair mends what can be mended", f->faults);
	return left ? EXIT_FAILED : EXIT_DONE;
}
