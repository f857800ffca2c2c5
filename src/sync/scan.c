/* Scans: a store's listing through the ledger page by page, then the sidecars that are new; and the rebuild, which is a scan and more. */
#include "sync_private.h"

#include "shutterfs/codec.h"
#include "shutterfs/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, SIDECARS_AT_ONCE = 256 };
#define SCAN_RETRY_US INT64_C(60000000)

/* ---- the listing ---- */

struct page {
	struct store_state *st;
	struct scan_counts *counts;
	progress_fn *fn;
	void *user;
	int64_t gen;
	struct explained *item; /* PAGE */
	struct kept {
		char key[KEY_MAX + 1], etag[160];
	} * text; /* PAGE */
	size_t n;
};

static int flush_page(struct page *p)
{
	struct listed *listed;
	int r;

	if (p->n == 0)
		return 0;
	listed = calloc(p->n, sizeof(*listed));
	if (!listed)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		listed[i] = p->item[i].listed;
	r = catalog_scan_page(p->st->s->parts.catalog, p->st->slot->id, p->gen, listed, p->n,
			      p->counts);
	free(listed);
	p->n = 0;
	if (r == 0 && p->fn && p->fn(p->user, p->counts->listed, 0, "objects") != 0)
		r = -ECANCELED;
	return r;
}

static int add_object(void *user, const struct store_object *o)
{
	struct page *p = user;
	struct kept *k = &p->text[p->n];

	if (p->st->s->stopping)
		return -ECANCELED;
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
		      progress_fn *fn, void *user, struct scan_counts *counts)
{
	struct page p = {.st = st, .counts = counts, .fn = fn, .user = user, .gen = gen};
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
	pthread_mutex_t lock; /* guards left, error, call->why */
	pthread_cond_t done;
	size_t left;
	int error;
};

static int want(void *user, const char *key, uint64_t size, int64_t snapshot)
{
	struct reading *b = user;

	b->item[b->n].batch = b;
	(void)snprintf(b->item[b->n].key, sizeof(b->item[b->n].key), "%s", key);
	b->n++;
	return b->n == SIDECARS_AT_ONCE;
}

/* A broken sidecar is remembered with its error; a store that cannot be reached ends the scan, which goes on from there. */
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
	return catalog_wanted_done(st->s->parts.catalog, st->slot->id, key, r == 0 ? &s : NULL,
				   why);
}

static void read_job(void *arg)
{
	struct wanted *w = arg;
	struct reading *b = w->batch;
	struct call c = {.deadline_us = b->call->deadline_us, .cancel = &b->st->s->stopping};
	bool skip;
	int r = 0;

	pthread_mutex_lock(&b->lock);
	skip = b->error != 0;
	pthread_mutex_unlock(&b->lock);
	if (!skip)
		r = read_sidecar(b->st, &c, w->key);
	pthread_mutex_lock(&b->lock);
	if (r < 0 && b->error == 0) {
		b->error = r;
		call_why(b->call, "%s", c.why);
	}
	if (--b->left == 0)
		pthread_cond_signal(&b->done);
	pthread_mutex_unlock(&b->lock);
}

static int read_batch(struct reading *b)
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
	return b->error;
}

static int read_sidecars(struct store_state *st, struct call *c, progress_fn *fn, void *user,
			 struct scan_counts *counts)
{
	struct reading *b = calloc(1, sizeof(*b));
	uint64_t done = 0;
	int r = b ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	b->st = st;
	b->call = c;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->done, NULL);
	do {
		b->n = 0; /* those that are done are not wanted any more, so each round begins at the start */
		r = catalog_wanted(st->s->parts.catalog, st->slot->id, "", SIDECARS_AT_ONCE, want,
				   b);
		r = r < 0 ? r : read_batch(b);
		done += b->n;
		if (r == 0 && fn && b->n && fn(user, done, 0, "sidecars") != 0)
			r = -ECANCELED;
	} while (r == 0 && b->n > 0 && !st->s->stopping);
	pthread_cond_destroy(&b->done);
	pthread_mutex_destroy(&b->lock);
	free(b);
	return r;
}

/* ---- a whole scan ---- */

/* An unmounted disk or a bucket recreated by mistake lists as empty: hide nobody's pictures for that unless somebody asked. */
static int check_not_empty(struct store_state *st, struct call *c)
{
	struct store_row row;
	int r = catalog_store(st->s->parts.catalog, st->slot->id, true, &row);

	if (r < 0 || row.objects == 0)
		return r;
	call_why(
		c,
		"store \"%s\" lists no objects at all, but had %lld; is it mounted? `shutterfs scan %s` believes it",
		st->conf->name, (long long)row.objects, st->conf->name);
	return -ENODATA;
}

static int scan_all(struct store_state *st, struct call *c, bool asked, progress_fn *fn, void *user,
		    struct scan_counts *counts)
{
	struct catalog *cat = st->s->parts.catalog;
	char after[KEY_MAX + 1];
	bool left = true;
	int64_t gen;
	int r = catalog_scan_begin(cat, st->slot->id, &gen, after);

	if (r == 0)
		r = list_store(st, c, gen, after, fn, user, counts);
	if (r == 0 && counts->listed == 0 && after[0] == '\0' && !asked)
		r = check_not_empty(st, c);
	while (r == 0 && left)
		r = catalog_scan_end(cat, st->slot->id, gen, counts, &left);
	return r < 0 ? r : read_sidecars(st, c, fn, user, counts);
}

bool scan_try_begin(struct store_state *st)
{
	bool mine;

	pthread_mutex_lock(&st->lock);
	mine = !st->scanning && !st->s->stopping;
	if (mine)
		st->scanning = true;
	pthread_mutex_unlock(&st->lock);
	return mine;
}

static int scan_begun(struct store_state *st, struct call *c, bool asked, progress_fn *fn,
		      void *user, struct scan_counts *ret)
{
	struct scan_counts counts = {0};
	int64_t pause = st->conf->scan_us, next;
	int r = scan_all(st, c, asked, fn, user, &counts);

	if (r < 0 && pause > SCAN_RETRY_US) /* it goes on where it broke off */
		pause = SCAN_RETRY_US;
	next = pause ? now_us() + pause : INT64_MAX;

	if (r < 0 && r != -ECANCELED) {
		if (c->why[0] == '\0')
			call_why(c, "cannot scan store \"%s\": %s", st->conf->name, strerror(-r));
		(void)!catalog_scan_failed(st->s->parts.catalog, st->slot->id, c->why);
	}
	pthread_mutex_lock(&st->lock);
	st->scanning = false;
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
	struct scan_counts counts;
	int r = scan_begun(st, &c, false, NULL, NULL, &counts);

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

int scan_store(struct store_state *st, struct call *c, progress_fn *fn, void *user,
	       struct scan_counts *ret)
{
	/* One under way began before we were asked and may have passed what we are asked for: let it end, then look again. */
	while (!scan_try_begin(st)) {
		int r = st->s->stopping ? -ECANCELED : retry_sleep(c, 50000);

		if (r < 0)
			return r;
	}
	return scan_begun(st, c, true, fn, user, ret);
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

	if (!st) {
		call_why(c, "there is no store \"%s\" in the config", store);
		return -ENOENT;
	}
	return scan_store(st, c, fn, user, ret);
}

/* ---- rebuild ---- */

struct bare {
	struct sync *s;
	int64_t id[PAGE], last;
	size_t n, seen;
};

static int note_bare(void *user, const struct snap *snap)
{
	struct bare *b = user;

	b->last = snap->id;
	b->seen++;
	if (!snap->has_sha && snap->replicas > 0)
		b->id[b->n++] = snap->id;
	return 0;
}

/* A picture of ours whose sidecar object is missing still says its hash in its metadata. */
static int ask_metadata(struct sync *s, struct call *c, int64_t id)
{
	struct place place[CONFIG_STORES_MAX];
	struct store_head head;
	size_t n;
	int r = catalog_places(s->parts.catalog, id, place, ARRAY_LEN(place), &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		for (size_t k = 0; k < s->n_stores; k++) {
			if (s->store[k].slot->id != place[i].store)
				continue;
			if (store_head(s->store[k].slot->store, c, place[i].key, &head) == 0 &&
			    head.meta.has_sha && head.size == place[i].size)
				return catalog_set_content(s->parts.catalog, id, &head.meta.sha,
							   head.size, 0, 0);
		}
	}
	return r;
}

static int ask_all_metadata(struct sync *s, struct call *c, progress_fn *fn, void *user)
{
	CLEANUP(freep) struct bare *b = calloc(1, sizeof(*b));
	uint64_t done = 0;
	int r = b ? 0 : -ENOMEM;

	while (r == 0) {
		b->n = b->seen = 0;
		r = catalog_each(s->parts.catalog, b->last, PAGE, note_bare, b);
		for (size_t i = 0; r == 0 && i < b->n; i++) {
			r = c->cancel && *c->cancel ? -ECANCELED : ask_metadata(s, c, b->id[i]);
			if (r == 0 && fn && fn(user, ++done, 0, "metadata") != 0)
				r = -ECANCELED;
		}
		if (b->seen < PAGE)
			break;
	}
	return r;
}

int sync_rebuild(struct sync *s, struct call *c, progress_fn *fn, void *user,
		 struct scan_counts *ret)
{
	struct scan_counts all = {0}, one;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_stores; i++) {
		r = scan_store(&s->store[i], c, fn, user, &one);
		if (r < 0)
			break;
		all.listed += one.listed;
		all.added += one.added;
		all.changed += one.changed;
		all.rejected += one.rejected;
		all.gone += one.gone;
		all.sidecars += one.sidecars;
	}
	if (r == 0)
		r = ask_all_metadata(s, c, fn, user);
	if (r == 0)
		*ret = all;
	return r;
}
