/* flight.c - single flight: who waits for which snapshot, until when, and who is told what.
 *
 * All waiters have the same patience, so the list in order of arrival is also in order of deadlines.  One timer thread
 * ends waits and wakes flights that pause between two rounds. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_US 50000 /* flights wake in batches: one walk over the sleepers for all of a tick */

/* ---- the lists; all with the lock held ---- */

static struct flight **flight_at(struct fetch *f, int64_t snapshot)
{
	struct flight **p = &f->flights[(uint64_t)snapshot % BUCKETS];

	while (*p && (*p)->snapshot != snapshot)
		p = &(*p)->next;
	return p;
}

static struct waiter **ticket_at(struct fetch *f, uint64_t ticket)
{
	struct waiter **p = &f->tickets[ticket % BUCKETS];

	while (*p && (*p)->ticket != ticket)
		p = &(*p)->next_ticket;
	return p;
}

static void add_waiter(struct flight *fl, struct waiter *w)
{
	struct fetch *f = fl->f;
	struct waiter **bucket;

	w->flight = fl;
	w->ticket = ++f->last_ticket;
	bucket = &f->tickets[w->ticket % BUCKETS];
	w->next_ticket = *bucket;
	*bucket = w;
	w->prev_due = f->due_last;
	*(f->due_last ? &f->due_last->next_due : &f->due_first) = w;
	f->due_last = w;
	w->next = fl->waiters;
	if (w->next)
		w->next->prev = w;
	fl->waiters = w;
	fl->deadline_us = w->deadline_us;
	f->n_waiters++;
}

/* From now on nobody else finds it: who took it off calls it back. */
static void take_waiter(struct waiter *w)
{
	struct flight *fl = w->flight;
	struct fetch *f = fl->f;

	*ticket_at(f, w->ticket) = w->next_ticket;
	*(w->prev_due ? &w->prev_due->next_due : &f->due_first) = w->next_due;
	*(w->next_due ? &w->next_due->prev_due : &f->due_last) = w->prev_due;
	*(w->prev ? &w->prev->next : &fl->waiters) = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->prev = w->next = NULL;
	f->n_waiters--;
}

static void unlink_flight(struct flight *fl)
{
	*flight_at(fl->f, fl->snapshot) = fl->next;
	fl->f->n_flights--;
}

static void put_asleep(struct flight *fl, int64_t wake_us)
{
	struct fetch *f = fl->f;

	fl->wake_us = (wake_us / TICK_US + 1) * TICK_US;
	fl->next_asleep = f->asleep;
	f->asleep = fl;
	(void)pthread_cond_signal(&f->wake);
}

/* A pool that takes no more now may do so in a moment. */
static void queue_or_sleep(struct flight *fl, struct pool *pool, pool_fn *fn)
{
	if (!fl->f->ending && pool_run(pool, fn, fl) < 0)
		put_asleep(fl, mono_us() + TICK_US);
}

/* ---- whose turn it is at a store; with the lock ---- */

static void queue_add(struct slot *slot, struct queue *q, struct flight *fl)
{
	fl->queued = slot;
	fl->prev_queued = q->last;
	fl->next_queued = NULL;
	*(q->last ? &q->last->next_queued : &q->first) = fl;
	q->last = fl;
}

static void queue_take(struct queue *q, struct flight *fl)
{
	*(fl->prev_queued ? &fl->prev_queued->next_queued : &q->first) = fl->next_queued;
	*(fl->next_queued ? &fl->next_queued->prev_queued : &q->last) = fl->prev_queued;
	fl->queued = NULL;
}

/* Some threads are kept free of what nobody waits for, so that a reader finds one. */
static bool has_spare_thread(const struct slot *slot)
{
	unsigned kept = slot->threads / 8 ? slot->threads / 8 : 1;

	return slot->n_ahead + kept < slot->threads || !slot->n_ahead;
}

/* The next flight for a thread of the store; *ret_ahead: it counts in n_ahead. */
static struct flight *slot_next(struct slot *slot, bool *ret_ahead)
{
	struct flight *fl = slot->asked.first;

	*ret_ahead = !fl;
	if (fl) {
		queue_take(&slot->asked, fl);
	} else if (slot->ahead.first && has_spare_thread(slot)) {
		fl = slot->ahead.first;
		queue_take(&slot->ahead, fl);
		slot->n_ahead++;
	}
	return fl;
}

static void slot_work(void *arg)
{
	struct slot *slot = arg;
	struct fetch *f = slot->f;
	struct flight *fl;
	bool ahead;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->ending && (fl = slot_next(slot, &ahead))) {
		(void)pthread_mutex_unlock(&f->lock);
		flight_try(fl);
		(void)pthread_mutex_lock(&f->lock);
		slot->n_ahead -= ahead;
	}
	(void)pthread_mutex_unlock(&f->lock);
}

/* A reader waits for it now: it is no longer behind those that nobody waits for. */
static void promote(struct flight *fl)
{
	struct slot *slot = fl->queued;

	if (!slot || !fl->ahead || fl->waiters)
		return;
	queue_take(&slot->ahead, fl);
	queue_add(slot, &slot->asked, fl);
	(void)!pool_run(slot->pool, slot_work,
			slot); /* else a thread that is at work comes to it */
}

/* ---- telling; without the lock ---- */

static void call_back(struct fetch *f, struct waiter *w, int err, int fd, const char *why)
{
	int own = -1;

	if (err == 0) {
		own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (own < 0) {
			err = -errno;
			why = "too many open files";
		}
	}
	if (err < 0 && err != -ECANCELED)
		atomic_fetch_add(&f->errors, 1);
	w->fn(w->user, err, own, err ? why : "");
	free(w);
}

static void flight_free(struct flight *fl)
{
	free(fl->place);
	free(fl);
}

/* It is out of the table, and nobody waits. */
static void flight_over(struct flight *fl, int err)
{
	if (fl->f->run)
		run_landed(fl->f->run, fl, err);
	flight_free(fl);
}

void flight_finish(struct flight *fl, int err, int fd, const char *why)
{
	struct fetch *f = fl->f;
	struct waiter *w;

	(void)pthread_mutex_lock(&f->lock);
	unlink_flight(fl);
	while ((w = fl->waiters)) {
		take_waiter(w);
		(void)pthread_mutex_unlock(&f->lock);
		call_back(f, w, err, fd, why);
		(void)pthread_mutex_lock(&f->lock);
	}
	(void)pthread_mutex_unlock(&f->lock);
	closep(&fd);
	flight_over(fl, err);
}

bool flight_goes_on(struct flight *fl, bool begun, int64_t *ret_deadline_us)
{
	struct fetch *f = fl->f;
	bool go, drop;

	(void)pthread_mutex_lock(&f->lock);
	go = !f->ending && (begun || fl->ahead || fl->waiters);
	drop = !go && !f->ending; /* else flights_done() frees it */
	if (go)
		*ret_deadline_us = fl->deadline_us;
	if (drop)
		unlink_flight(fl);
	(void)pthread_mutex_unlock(&f->lock);
	if (drop)
		flight_free(fl);
	return go;
}

void flight_queue(struct flight *fl, struct slot *slot)
{
	struct fetch *f = fl->f; /* fl is another thread's once it is queued */

	(void)pthread_mutex_lock(&f->lock);
	struct queue *q = fl->waiters || !fl->ahead ? &slot->asked : &slot->ahead;
	queue_add(slot, q, fl);
	if (!f->ending && pool_run(slot->pool, slot_work, slot) < 0) {
		queue_take(q, fl);
		put_asleep(fl, mono_us() + TICK_US);
	}
	(void)pthread_mutex_unlock(&f->lock);
}

bool flight_is_spare(struct flight *fl)
{
	(void)pthread_mutex_lock(&fl->f->lock);
	bool spare = fl->ahead && !fl->sure && !fl->waiters;
	(void)pthread_mutex_unlock(&fl->f->lock);
	return spare;
}

bool flight_drop(struct flight *fl, int err)
{
	struct fetch *f = fl->f;
	bool drop;

	(void)pthread_mutex_lock(&f->lock);
	drop = !fl->waiters;
	if (drop)
		unlink_flight(fl);
	(void)pthread_mutex_unlock(&f->lock);
	if (drop)
		flight_over(fl, err);
	return drop;
}

bool flight_sleep(struct flight *fl, int64_t pause_us)
{
	struct fetch *f = fl->f;
	int64_t until = mono_us() + pause_us;
	bool ok;

	(void)pthread_mutex_lock(&f->lock);
	ok = fl->waiters && until < fl->deadline_us;
	if (ok)
		put_asleep(fl, until);
	(void)pthread_mutex_unlock(&f->lock);
	return ok;
}

void flight_note(struct flight *fl, int err, const char *why)
{
	(void)pthread_mutex_lock(&fl->f->lock);
	fl->error = err;
	(void)snprintf(fl->why, sizeof(fl->why), "%s", why);
	(void)pthread_mutex_unlock(&fl->f->lock);
}

/* ---- the timer ---- */

/* Takes the lock off and on again. */
static void expire_first(struct fetch *f)
{
	struct waiter *w = f->due_first;
	int err = w->flight->error ? errno_for_reader(w->flight->error) : -ETIMEDOUT;
	char why[256];

	if (w->flight->error)
		(void)snprintf(why, sizeof(why), "%s", w->flight->why);
	else
		(void)snprintf(why, sizeof(why), "no answer within %lld s",
			       (long long)(f->patience_us / 1000000));
	take_waiter(w);
	(void)pthread_mutex_unlock(&f->lock);
	call_back(f, w, err, -1, why);
	(void)pthread_mutex_lock(&f->lock);
}

/* Starts the sleepers whose time has come; returns when the next one is due. */
static int64_t wake_sleepers(struct fetch *f, int64_t now)
{
	struct flight *all = f->asleep, *fl;
	int64_t next = INT64_MAX;

	f->asleep = NULL;
	while ((fl = all)) {
		all = fl->next_asleep;
		if (fl->wake_us <= now) {
			queue_or_sleep(fl, f->resolve, round_start);
			continue;
		}
		fl->next_asleep = f->asleep;
		f->asleep = fl;
	}
	for (fl = f->asleep; fl; fl = fl->next_asleep)
		next = fl->wake_us < next ? fl->wake_us : next;
	return next;
}

static void *timer_thread(void *arg)
{
	struct fetch *f = arg;

	(void)pthread_setname_np(pthread_self(), "fetch-timer");
	(void)pthread_mutex_lock(&f->lock);
	while (!f->ending) {
		int64_t now = mono_us(), next;

		if (f->due_first && f->due_first->deadline_us <= now) {
			expire_first(f);
			continue;
		}
		next = wake_sleepers(f, now);
		if (f->due_first && f->due_first->deadline_us < next)
			next = f->due_first->deadline_us;
		f->timer_until_us = next;
		if (next == INT64_MAX)
			(void)pthread_cond_wait(&f->wake, &f->lock);
		else
			(void)cond_wait_until(&f->wake, &f->lock, next);
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

int flights_init(struct fetch *f)
{
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->wake, NULL);
	int r = pthread_create(&f->timer, NULL, timer_thread, f);
	f->has_timer = r == 0;
	return -r;
}

void flights_end(struct fetch *f)
{
	struct waiter *w;

	f->cancel = true;
	(void)pthread_mutex_lock(&f->lock);
	f->ending = true;
	(void)pthread_cond_signal(&f->wake);
	while ((w = f->due_first)) {
		take_waiter(w);
		(void)pthread_mutex_unlock(&f->lock);
		call_back(f, w, -ECANCELED, -1, "shutting down");
		(void)pthread_mutex_lock(&f->lock);
	}
	(void)pthread_mutex_unlock(&f->lock);
	if (f->has_timer)
		(void)pthread_join(f->timer, NULL);
}

void flights_done(struct fetch *f)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct flight *fl;

		while ((fl = f->flights[i])) {
			f->flights[i] = fl->next;
			flight_free(fl);
		}
	}
	(void)pthread_cond_destroy(&f->wake);
	(void)pthread_mutex_destroy(&f->lock);
}

/* ---- the door ---- */

/* A new flight in its place, with the lock. */
static struct flight *flight_new(struct fetch *f, struct flight **at, int64_t snapshot)
{
	struct flight *fl = calloc(1, sizeof(*fl));

	if (!fl)
		return NULL;
	fl->f = f;
	fl->snapshot = snapshot;
	fl->made_us = mono_us();
	*at = fl;
	f->n_flights++;
	return fl;
}

/* Joins or makes the flight; with the lock. */
static int join(struct fetch *f, int64_t snapshot, struct waiter *w)
{
	struct flight **at = flight_at(f, snapshot), *fl = *at;

	if (f->ending)
		return -ESHUTDOWN;
	if (f->n_waiters >= FLIGHTS_MAX || (!fl && f->n_flights >= FLIGHTS_MAX))
		return -EAGAIN;
	if (fl) {
		promote(fl);
		add_waiter(fl, w);
		return 0;
	}
	fl = flight_new(f, at, snapshot);
	if (!fl)
		return -ENOMEM;
	add_waiter(fl, w);
	queue_or_sleep(fl, f->resolve, round_start);
	return 0;
}

int flight_ahead(struct fetch *f, int64_t snapshot, bool sure)
{
	struct flight **at, *fl = NULL;
	int r = -EALREADY;

	(void)pthread_mutex_lock(&f->lock);
	at = flight_at(f, snapshot);
	if (f->ending)
		r = -ESHUTDOWN;
	else if (!*at && f->n_flights >= FLIGHTS_MAX)
		r = -EAGAIN;
	else if (!*at)
		r = (fl = flight_new(f, at, snapshot)) ? 0 : -ENOMEM;
	if (fl) {
		fl->ahead = true;
		fl->sure = sure;
	}
	(void)pthread_mutex_unlock(&f->lock);
	if (fl)
		round_start(fl);
	return r;
}

int fetch_start(struct fetch *f, int64_t snapshot, fetch_fn *fn, void *user, uint64_t *ret_ticket)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->user = user;
	(void)pthread_mutex_lock(&f->lock);
	w->deadline_us = mono_us() + f->patience_us; /* with the lock: the list is in this order */
	int r = join(f, snapshot, w);
	if (r == 0) {
		*ret_ticket = w->ticket;
		if (w->deadline_us <
		    f->timer_until_us) /* as a rule it is up before, for one that was answered long ago */
			(void)pthread_cond_signal(&f->wake);
	}
	(void)pthread_mutex_unlock(&f->lock);
	if (r < 0)
		free(w);
	else if (f->run)
		run_waits(f->run, snapshot);
	return r;
}

bool fetch_cancel(struct fetch *f, uint64_t ticket)
{
	(void)pthread_mutex_lock(&f->lock);
	struct waiter *w = *ticket_at(f, ticket);
	if (w)
		take_waiter(w);
	(void)pthread_mutex_unlock(&f->lock);
	free(w);
	return w != NULL;
}

/* ---- the same, blocking ---- */

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool done; /* lock, as all below */
	int err, fd;
	char why[256];
};

static void wait_told(void *user, int err, int fd, const char *why)
{
	struct wait *w = user;

	(void)pthread_mutex_lock(&w->lock);
	w->err = err;
	w->fd = fd;
	(void)snprintf(w->why, sizeof(w->why), "%s", why);
	w->done = true;
	(void)pthread_cond_signal(&w->told);
	(void)pthread_mutex_unlock(&w->lock);
}

/* At most a tick; returns whether it is done. */
static bool wait_tick(struct wait *w)
{
	(void)pthread_mutex_lock(&w->lock);
	if (!w->done)
		(void)cond_wait_until(&w->told, &w->lock, mono_us() + TICK_US);
	bool done = w->done;
	(void)pthread_mutex_unlock(&w->lock);
	return done;
}

static int call_over(const struct call *c)
{
	if (c->cancel && *c->cancel)
		return -ECANCELED;
	return c->deadline_us && mono_us() >= c->deadline_us ? -ETIMEDOUT : 0;
}

int fetch_wait(struct fetch *f, int64_t snapshot, struct call *c, int *ret_fd)
{
	struct wait w = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
	uint64_t ticket;
	int r = fetch_start(f, snapshot, wait_told, &w, &ticket);

	if (r < 0) {
		call_why(c, "cannot start fetching: %s", strerrordesc_np(-r));
		return r;
	}
	while (!wait_tick(&w)) {
		r = call_over(c);
		if (r < 0 && fetch_cancel(f, ticket)) {
			call_why(c, r == -ETIMEDOUT ? "took longer than allowed" : "cancelled");
			return r;
		}
	}
	if (w.err < 0) {
		call_why(c, "%s", w.why);
		return w.err;
	}
	*ret_fd = w.fd;
	return 0;
}
