/* fetch.c - the life of the fetch: its pools, one per store so that none waits for another, and its counters. */
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { RESOLVERS = 4 };

static void fetch_freep(struct fetch **p)
{
	*p = fetch_free(*p);
}

static int slot_init(struct fetch *f, const struct config *conf, const struct store_slot *from,
		     struct slot *ret)
{
	unsigned threads = store_config(from->store)->threads;
	char name[16];

	if (!threads || threads > conf->fetch_threads)
		threads = conf->fetch_threads ? conf->fetch_threads : 1;
	(void)snprintf(name, sizeof(name), "fetch-%.8s", store_config(from->store)->name);
	ret->f = f;
	ret->threads = threads;
	ret->store = from->store;
	ret->id = from->id;
	ret->local = store_is_local(from->store);
	return pool_new(name, threads, FLIGHTS_MAX, &ret->pool);
}

int fetch_new(const struct config *conf, struct catalog *cat, struct cache *cache,
	      const struct store_slot *slot, size_t n_slots, struct fetch **ret)
{
	CLEANUP(fetch_freep) struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->catalog = cat;
	f->cache = cache;
	f->patience_us = conf->fetch_deadline_us;
	int r = flights_init(f);
	if (r < 0)
		return r;
	f->slot = calloc(n_slots + 1, sizeof(*f->slot));
	if (!f->slot)
		return -ENOMEM;
	for (size_t i = 0; i < n_slots; i++) {
		r = slot_init(f, conf, &slot[i], &f->slot[i]);
		if (r < 0)
			return r;
		f->n_slots++;
		f->n_local += f->slot[i].local;
	}
	r = pool_new("fetch", RESOLVERS, FLIGHTS_MAX, &f->resolve);
	if (r < 0)
		return r;
	if (f->n_local < f->n_slots)
		r = run_new(f, conf, &f->run);
	if (r < 0)
		return r;
	*ret = TAKE(f);
	return 0;
}

struct fetch *fetch_free(struct fetch *f)
{
	if (!f)
		return NULL;
	if (f->run)
		run_stop(f->run);
	flights_end(f);
	f->resolve = pool_free(f->resolve);
	for (size_t i = 0; i < f->n_slots; i++)
		f->slot[i].pool = pool_free(f->slot[i].pool);
	flights_done(f);
	f->run = run_free(f->run);
	free(f->slot);
	free(f);
	return NULL;
}

void fetch_totals(struct fetch *f, struct fetch_totals *ret)
{
	(void)pthread_mutex_lock(&f->lock);
	uint64_t in_flight = f->n_flights;
	(void)pthread_mutex_unlock(&f->lock);
	*ret = (struct fetch_totals){.requests = f->requests,
				     .bytes = f->bytes,
				     .hits = f->hits,
				     .errors = f->errors,
				     .in_flight = in_flight};
	if (f->run)
		run_totals(f->run, ret);
}

void fetch_on_event(struct fetch *f, fetch_event_fn *fn, void *user)
{
	(void)pthread_mutex_lock(&f->lock);
	f->event = fn;
	f->event_user = user;
	(void)pthread_mutex_unlock(&f->lock);
}
