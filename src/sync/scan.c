/* Scans: a store's listing through the ledger page by page, then the sidecars that are new. */
#include "sync_private.h"

#include "shutterfs/codec.h"
#include "shutterfs/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, SIDECARS_AT_ONCE = 256, GIVE_UP = 16 };
#define SCAN_RETRY_US INT64_C(60000000)
#define STEP_BYTES \
	(4u * 1024 * 1024) /* what a page, or a batch of sidecars, may add to the catalog */

/* ---- the listing ---- */

struct page {
	struct store_state *st;
	struct scan_counts *counts;
	struct progress *progress;
	struct call *call;
	int64_t gen;
	struct explained *item; /* PAGE */
	struct kept {
		char key[KEY_MAX + 1], etag[160];
	} * text; /* PAGE */
	size_t n;
};

/* A store may list names without end; they must not take the room of uploads. */
static int has_room(struct store_state *st, struct call *c)
{
	if (cache_spool_spare(st->s->parts.cache, STEP_BYTES))
		return 0;
	call_why(
		c,
		"scan of store \"%s\": the rest of the state directory's disk is left for uploads; make room there",
		st->conf->name);
	return -ENOSPC;
}

static int flush_page(struct page *p)
{
	struct listed *listed;
	int r;

	if (p->n == 0)
		return 0;
	r = has_room(p->st, p->call);
	if (r < 0)
		return r;
	listed = calloc(p->n, sizeof(*listed));
	if (!listed)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		listed[i] = p->item[i].listed;
	r = catalog_scan_page(p->st->s->parts.catalog, p->st->slot->id, p->gen, listed, p->n,
			      p->counts);
	free(listed);
	p->n = 0;
	return r < 0 ? r : progress_tell(p->progress, p->counts->listed, 0, "objects");
}

static int add_object(void *user, const struct store_object *o)
{
	struct page *p = user;
	struct kept *k = &p->text[p->n];

	if (p->st->s->stopping)
		return -ECANCELED;
	if (strncmp(o->key, NOTE_DIR, strlen(NOTE_DIR)) == 0)
		return note_listed(p->st, p->gen, o);
	/* A longer key is cut: it stays an error of its own, under a name that cannot be confused with a good one. */
	(void)snprintf(k->key, sizeof(k->key), "%s", o->key);
	(void)snprintf(k->etag, sizeof(k->etag), "%s", o->etag);
	explain(p->st->conf, k->key, k->etag, o->size, o->modified_us, &p->item[p->n]);
	if (strlen(o->key) > KEY_MAX)
		p->item[p->n].listed.error = "its key is longer than 1024 bytes";
	p->n++;
	return p->n == PAGE ? flush_page(p) : 0;
}

static int list_store(struct store_state *st, struct call *c, int64_t gen, const char *after,
		      struct progress *progress, struct scan_counts *counts)
{
	struct page p = {.st = st, .counts = counts, .progress = progress, .call = c, .gen = gen};
	int r = -ENOMEM;

	p.item = calloc(PAGE, sizeof(*p.item));
	p.text = calloc(PAGE, sizeof(*p.text));
	if (p.item && p.text)
		r = store_list(st->slot->store, c, "", after[0] ? after : NULL, add_object, &p);
	if (r == 0)
		r = flush_page(&p);
	free(p.item);
	free(p.text);
	return r;
}

/* ---- sidecar objects ---- */

struct reading { /* one batch, read in parallel */
	struct store_state *st;
	struct call *call;
	struct wanted {
		struct reading *batch;
		char key[KEY_MAX + 1];
	} item[SIDECARS_AT_ONCE];
	size_t n;
	pthread_mutex_t lock; /* guards all below, and call->why */
	pthread_cond_t done;
	size_t left, read, failed;
	int error; /* the first; call->why tells it */
};

static int want(void *user, const char *key, uint64_t size, int64_t snapshot)
{
	struct reading *b = user;

	b->item[b->n].batch = b;
	(void)snprintf(b->item[b->n].key, sizeof(b->item[b->n].key), "%s", key);
	b->n++;
	return b->n == SIDECARS_AT_ONCE;
}

/* A broken sidecar is remembered with its error; one that cannot be had stays wanted for the next scan. */
static int read_sidecar(struct store_state *st, struct call *c, const char *key)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX] = "";
	struct store_head head;
	int r = store_get(st->slot->store, c, key, SIDECAR_BYTES, http_sink_buf, &text, &head);

	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	if (r == 0)
		r = sidecar_parse(text.data ? text.data : "", text.len, &s, why);
	else
		(void)snprintf(why, sizeof(why), "%s",
			       r == -ENOENT ? "is gone" : "is larger than 1 MiB: not a sidecar");
	r = catalog_wanted_done(st->s->parts.catalog, st->slot->id, key, r == 0 ? &s : NULL, why);
	if (r == -EINVAL || r == -E2BIG)
		r = catalog_wanted_done(st->s->parts.catalog, st->slot->id, key, NULL,
					SIDECAR_FULL);
	return r == -ENOENT ? 0 : r; /* gone meanwhile */
}

/* The store itself does not answer: none of many. */
static bool gave_up(struct reading *b)
{
	bool up;

	pthread_mutex_lock(&b->lock);
	up = (b->failed >= GIVE_UP && b->read == 0) || b->error == -ECANCELED;
	pthread_mutex_unlock(&b->lock);
	return up;
}

static void read_job(void *arg)
{
	struct wanted *w = arg;
	struct reading *b = w->batch;
	struct call c = {.deadline_us = b->call->deadline_us, .cancel = &b->st->s->stopping};
	bool skip = gave_up(b);
	int r = skip ? 0 : read_sidecar(b->st, &c, w->key);

	pthread_mutex_lock(&b->lock);
	b->read += r == 0 && !skip;
	b->failed += r < 0;
	if (r < 0 && (b->error == 0 || r == -ECANCELED)) {
		b->error = r;
		call_why(b->call, "%s", c.why[0] ? c.why : strerror(-r));
	}
	if (--b->left == 0)
		pthread_cond_signal(&b->done);
	pthread_mutex_unlock(&b->lock);
}

static void read_batch(struct reading *b)
{
	b->left = b->n;
	for (size_t i = 0; i < b->n; i++) {
		if (pool_run(b->st->pool, read_job, &b->item[i]) == 0)
			continue;
		read_job(&b->item[i]); /* the pool is full of uploads: then by ourselves */
	}
	pthread_mutex_lock(&b->lock);
	while (b->left > 0)
		pthread_cond_wait(&b->done, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static int read_wanted(struct reading *b, struct progress *p)
{
	struct store_state *st = b->st;
	char after[KEY_MAX + 1] = "";
	uint64_t done = 0;
	int r;

	for (;;) {
		b->n = 0;
		r = has_room(st, b->call);
		if (r < 0)
			return r;
		r = catalog_wanted(st->s->parts.catalog, st->slot->id, after, SIDECARS_AT_ONCE,
				   want, b);
		if (r < 0 || b->n == 0)
			return r < 0 ? r : b->error;
		memcpy(after, b->item[b->n - 1].key, sizeof(after));
		read_batch(b);
		done += b->n;
		if (gave_up(b))
			return b->error;
		r = b->call->cancel && *b->call->cancel ? -ECANCELED
							: progress_tell(p, done, 0, "sidecars");
		if (r < 0)
			return r;
	}
}

static int read_sidecars(struct store_state *st, struct call *c, struct progress *p)
{
	CLEANUP(freep) struct reading *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->st = st;
	b->call = c;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->done, NULL);
	r = read_wanted(b, p);
	pthread_cond_destroy(&b->done);
	pthread_mutex_destroy(&b->lock);
	return r;
}

/* ---- a whole scan ---- */

static int list_all(struct store_state *st, struct call *c, bool asked, struct progress *p,
		    struct scan_counts *counts)
{
	struct catalog *cat = st->s->parts.catalog;
	char after[KEY_MAX + 1];
	bool left = true;
	int64_t gen;
	int r = catalog_scan_begin(cat, st->slot->id, &gen, after);

	if (r == 0)
		r = list_store(st, c, gen, after, p, counts);
	/* who asks after he has mounted its disk does not mean what was there before */
	if (r == 0 && counts->listed == 0 && after[0] == '\0' &&
	    (!asked || store_was_replaced(st->slot->store)))
		r = content_not_lost(st, c);
	while (r == 0 && left)
		r = catalog_scan_end(cat, st->slot->id, gen, counts, &left);
	return r;
}

bool scan_try_begin(struct store_state *st)
{
	bool mine;

	pthread_mutex_lock(&st->lock);
	mine = !st->scanning && !st->s->stopping;
	if (mine) {
		st->scanning = true;
		st->next_scan_us =
			INT64_MAX; /* what is said from here on counts for the next one */
	}
	pthread_mutex_unlock(&st->lock);
	return mine;
}

static int scan_begun(struct store_state *st, struct call *c, bool asked, struct progress *p,
		      struct scan_counts *ret)
{
	struct scan_counts counts = {0};
	int64_t pause = st->conf->scan_us, next;
	int r = list_all(st, c, asked, p, &counts);

	if (counts.lost) {
		log_warn(
			"store \"%s\" took %llu objects and does not have them; they are sent again",
			st->conf->name, (unsigned long long)counts.lost);
		keep_queued(st->s);
		pump(st);
	}
	if (r < 0 && pause > SCAN_RETRY_US) /* it goes on where it broke off */
		pause = SCAN_RETRY_US;
	if (r == 0)
		r = read_sidecars(st, c, p);
	if (r == 0)
		r = read_notes(st, c);
	next = pause ? now_us() + pause : INT64_MAX;

	if (r < 0 && r != -ECANCELED) {
		if (c->why[0] == '\0')
			call_why(c, "cannot scan store \"%s\": %s", st->conf->name, strerror(-r));
		(void)!catalog_scan_failed(st->s->parts.catalog, st->slot->id, c->why);
		store_in_trouble(st);
	}
	pthread_mutex_lock(&st->lock);
	st->scanning = false;
	if (next < st->next_scan_us)
		st->next_scan_us = next;
	pthread_mutex_unlock(&st->lock);
	if (r == 0)
		*ret = counts;
	return r;
}

void scan_job(void *arg)
{
	struct store_state *st = arg;
	struct call c = {.cancel = &st->s->stopping};
	struct progress nobody = {0};
	struct scan_counts counts;
	int r = scan_begun(st, &c, false, &nobody, &counts);

	if (r == 0 && (counts.added || counts.changed || counts.gone || counts.rejected))
		log_info(
			"scan of store \"%s\": %llu objects, %llu new, %llu changed, %llu gone, %llu unusable",
			st->conf->name, (unsigned long long)counts.listed,
			(unsigned long long)counts.added, (unsigned long long)counts.changed,
			(unsigned long long)counts.gone, (unsigned long long)counts.rejected);
	else if (r < 0 && r != -ECANCELED)
		log_warn("scan of store \"%s\" broke off: %s; it goes on later", st->conf->name,
			 c.why);
}

int scan_store(struct store_state *st, struct call *c, struct progress *p, struct scan_counts *ret)
{
	/* One under way began before we were asked and may have passed what we are asked for: let it end, then look again. */
	while (!scan_try_begin(st)) {
		int r = st->s->stopping ? -ECANCELED : retry_sleep(c, 50000);

		if (r < 0)
			return r;
	}
	return scan_begun(st, c, true, p, ret);
}

static struct store_state *store_by_name(struct sync *s, const char *name)
{
	for (size_t i = 0; i < s->n_stores; i++)
		if (strcmp(s->store[i].conf->name, name) == 0)
			return &s->store[i];
	return NULL;
}

int sync_scan(struct sync *s, const char *store, struct call *c, progress_fn *fn, void *user,
	      struct scan_counts *ret)
{
	struct store_state *st = store_by_name(s, store);
	struct progress p = {.fn = fn, .user = user};

	if (!st) {
		call_why(c, "there is no store \"%s\" in the config", store);
		return -ENOENT;
	}
	return scan_store(st, c, &p, ret);
}
