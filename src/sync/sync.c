/* The scheduler: one thread that knows what is due when, and hands it to pools. */
#include "sync_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOUSE_THREADS = 8, STORE_QUEUE = 4096 };
#define TICK_US INT64_C(500000)
#define PROGRESS_US INT64_C(250000)
#define STALE_US INT64_C(60000000)
#define STEP_US INT64_C(2000000) /* what slower corrections of the clock never reach */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int store_init(struct sync *s, struct store_state *st, const struct store_slot *slot)
{
	char name[16];

	st->s = s;
	st->slot = slot;
	st->conf = store_config(slot->store);
	st->next_scan_us = st->conf->scan_us ? 0 : INT64_MAX;
	pthread_mutex_init(&st->lock, NULL);
	pthread_mutex_init(&st->looking, NULL);
	s->any_local = s->any_local || store_is_local(slot->store);
	(void)snprintf(name, sizeof(name), "send-%.10s", st->conf->name);
	return pool_new(name, st->conf->threads, STORE_QUEUE, &st->pool);
}

/* A camera goes on with its rhythm after a restart instead of taking a picture at each. */
static int schedules_init(struct sync *s, const struct sync_parts *parts)
{
	s->schedule = calloc(parts->n_cameras + 1, sizeof(*s->schedule));
	if (!s->schedule)
		return -ENOMEM;
	for (size_t i = 0; i < parts->n_cameras; i++) {
		struct schedule *sch = &s->schedule[s->n_schedules];
		struct camera_row row;

		*sch = (struct schedule){
			.camera = parts->camera[i].id,
			.interval_us = source_config(parts->camera[i].source)->interval_us};
		if (sch->interval_us == 0)
			continue;
		if (catalog_camera(parts->catalog, sch->camera, &row) == 0 && row.last_capture_us)
			sch->next_us = row.last_capture_us + sch->interval_us;
		s->n_schedules++;
	}
	return 0;
}

int sync_new(const struct sync_parts *parts, struct sync **ret)
{
	struct sync *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->parts = *parts;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->store = calloc(parts->n_stores + 1, sizeof(*s->store));
	r = s->store ? schedules_init(s, parts) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < parts->n_stores; i++) {
		r = store_init(s, &s->store[i], &parts->store[i]);
		s->n_stores = i + 1;
	}
	if (r == 0)
		r = pool_new("house", HOUSE_THREADS + (unsigned)parts->n_stores, 64, &s->house);
	if (r < 0) {
		(void)sync_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void sync_kick(struct sync *s, int64_t due_us)
{
	pthread_mutex_lock(&s->lock);
	if (due_us < s->kick_us) {
		s->kick_us = due_us;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
}

struct store_state *store_state_by_id(struct sync *s, int64_t id)
{
	for (size_t i = 0; i < s->n_stores; i++)
		if (s->store[i].slot->id == id)
			return &s->store[i];
	return NULL;
}

struct store *store_by_id(struct sync *s, int64_t id)
{
	const struct store_state *st = store_state_by_id(s, id);

	return st ? st->slot->store : NULL;
}

void store_in_trouble(struct store_state *st)
{
	if (store_was_replaced(st->slot->store))
		st->s->replaced = true;
}

bool sync_store_replaced(const struct sync *s)
{
	return s->replaced;
}

void sync_stale(struct sync *s, int64_t store)
{
	struct store_state *st = store_state_by_id(s, store);

	if (!st)
		return;
	pthread_mutex_lock(&st->lock);
	if (st->stale_us == 0 || mono_us() - st->stale_us >= STALE_US) {
		st->stale_us = mono_us();
		st->next_scan_us = 0;
	}
	pthread_mutex_unlock(&st->lock);
	sync_kick(s, 0);
}

int progress_tell(struct progress *p, uint64_t done, uint64_t total, const char *what)
{
	int64_t now = mono_us();

	if (!p->fn || (p->last_us && now - p->last_us < PROGRESS_US))
		return 0;
	p->last_us = now;
	return p->fn(p->user, done, total, what) != 0 ? -ECANCELED : 0;
}

/* ---- jobs of the house ---- */

static void recover_job(void *arg)
{
	struct sync *s = arg;
	int r = ingest_recover(s->parts.ingest, &s->stopping);

	if (r < 0)
		log_err("cannot look at what the last run left: %s", strerror(-r));
	keep_queued(s);
	if (catalog_clock_set(s->parts.catalog, 0, now_us() + PAUSE_MAX_US) < 0)
		log_debug("what an earlier clock has put off waits on");
	s->recovered = true;
	sync_kick(s, 0);
	cache_recount(s->parts.cache);
}

static void due_job(void *arg)
{
	struct sync *s = arg;
	int64_t next = INT64_MAX;
	int r = ingest_run_due(s->parts.ingest, now_us(), &next);

	if (r < 0) {
		log_err("cannot look at waiting uploads: %s", strerror(-r));
		next = now_us() + TICK_US;
	}
	turn_over(&s->uploads, &s->lock, next);
	sync_kick(s, next);
}

static void make_durable(struct sync *s)
{
	int r = ingest_fsync_all(s->parts.ingest);

	if (r < 0)
		log_err("cannot write to the state directory's disk: %s; what is uploaded now would not survive a power cut",
			strerror(-r));
}

static void tick_job(void *arg)
{
	struct sync *s = arg;

	make_durable(s);
	pthread_mutex_lock(&s->lock);
	s->tick_running = false;
	pthread_mutex_unlock(&s->lock);
}

/* ---- the scheduler ---- */

static bool look_at_activity(struct sync *s)
{
	bool run, edits = catalog_take_edits(s->parts.catalog);

	if (edits)
		notes_resume(s);

	if (ingest_take_activity(s->parts.ingest) || edits) {
		for (size_t i = 0; i < s->n_stores; i++) {
			pthread_mutex_lock(&s->store[i].lock);
			s->store[i].next_due_us = 0;
			pthread_mutex_unlock(&s->store[i].lock);
		}
		s->tick_due = true;
	}
	pthread_mutex_lock(&s->lock);
	run = s->tick_due && !s->tick_running;
	s->tick_running = s->tick_running || run;
	pthread_mutex_unlock(&s->lock);
	if (!run)
		return edits;
	s->tick_due = pool_run(s->house, tick_job, s) < 0;
	if (s->tick_due) {
		pthread_mutex_lock(&s->lock);
		s->tick_running = false;
		pthread_mutex_unlock(&s->lock);
	}
	return edits;
}

static int64_t send_due(struct store_state *st)
{
	int64_t due;

	pthread_mutex_lock(&st->lock);
	due = st->next_due_us > st->pause_us ? st->next_due_us : st->pause_us;
	pthread_mutex_unlock(&st->lock);
	return due;
}

static int64_t look_at_store(struct store_state *st, int64_t now)
{
	int64_t due = send_due(st), scan;

	pthread_mutex_lock(&st->lock);
	scan = st->next_scan_us;
	pthread_mutex_unlock(&st->lock);
	if (due <= now) {
		pump(st);
		due = send_due(st);
	}
	due = earlier(due > now ? due : INT64_MAX, look_at_notes(st, now));
	if (scan <= now && scan_try_begin(st) && pool_run(st->s->house, scan_job, st) < 0) {
		pthread_mutex_lock(&st->lock);
		st->scanning = false;
		st->next_scan_us = scan;
		pthread_mutex_unlock(&st->lock);
	}
	return due;
}

static void captured(void *user, int err, int64_t snapshot, const char *why)
{
	/* ingest has logged a failure and the catalog keeps it */
}

static int64_t look_at_cameras(struct sync *s, int64_t now)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < s->n_schedules; i++) {
		struct schedule *sch = &s->schedule[i];
		uint64_t ticket;

		if (sch->next_us <= now) {
			(void)!ingest_capture(s->parts.ingest, sch->camera, captured, s, &ticket);
			/* In step with the interval, without catching up on what a pause or a clock step left out. */
			sch->next_us += sch->interval_us;
			if (sch->next_us <= now || sch->next_us > now + sch->interval_us)
				sch->next_us = now + sch->interval_us;
		}
		next = earlier(next, sch->next_us);
	}
	return next;
}

/* ---- a clock that is set ---- */

/* Uptime goes on while the machine sleeps: waking up is no step. */
static int64_t clock_ahead_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return now_us() - (ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

/* No further away than it can have been: somebody may have planned it by the new clock already. */
static int64_t moved(int64_t at_us, int64_t step_us, int64_t most_us)
{
	return at_us == INT64_MAX ? at_us : earlier(at_us + step_us, now_us() + most_us);
}

/* All that is planned stays as far away as it was: nothing waits for the old time to come again, nothing runs at once. */
static void shift_all(struct sync *s, int64_t step)
{
	for (size_t i = 0; i < s->n_schedules; i++) {
		struct schedule *sch = &s->schedule[i];

		sch->next_us = moved(sch->next_us, step, sch->interval_us);
	}
	for (size_t i = 0; i < s->n_stores; i++) {
		struct store_state *st = &s->store[i];

		pthread_mutex_lock(&st->lock);
		st->pause_us = 0; /* one that refuses a wrong clock may be content now */
		st->next_scan_us = moved(st->next_scan_us, step, st->conf->scan_us);
		st->next_due_us = 0;
		st->notes.due_us = 0;
		pthread_mutex_unlock(&st->lock);
	}
	pthread_mutex_lock(&s->lock);
	s->followers.due_us = 0;
	s->uploads.due_us = 0;
	s->kick_us = INT64_MAX;
	pthread_mutex_unlock(&s->lock);
}

static void look_at_clock(struct sync *s)
{
	int64_t step = clock_ahead_us() - s->ahead_us;
	int r;

	if (step > -STEP_US && step < STEP_US)
		return;
	s->ahead_us += step;
	log_info("the clock was set by %lld s", (long long)(step / 1000000));
	cache_clock_set(s->parts.cache, step);
	r = catalog_clock_set(s->parts.catalog, step, now_us() + PAUSE_MAX_US);
	if (r < 0)
		log_err("what waits by the old clock goes on waiting: %s", strerror(-r));
	shift_all(s, step);
}

static void sleep_until(struct sync *s, int64_t wall_us)
{
	int64_t pause;

	pthread_mutex_lock(&s->lock);
	pause = earlier(wall_us, s->kick_us) - now_us();
	if (pause > TICK_US)
		pause = TICK_US;
	if (pause > 0 && !s->stopping)
		(void)cond_wait_until(&s->wake, &s->lock, mono_us() + pause);
	if (s->kick_us <= now_us()) {
		s->uploads.due_us = earlier(s->uploads.due_us, s->kick_us);
		s->kick_us = INT64_MAX;
	}
	pthread_mutex_unlock(&s->lock);
}

static void *scheduler_main(void *arg)
{
	struct sync *s = arg;

	(void)pthread_setname_np(pthread_self(), "scheduler");
	while (!s->stopping) {
		int64_t now, next;

		look_at_clock(s);
		now = now_us();
		next = look_at_followers(s, now, look_at_activity(s));

		next = earlier(next, turn_look(&s->uploads, &s->lock, now, INT64_MAX, s->house,
					       due_job, s));
		next = earlier(next, look_at_cameras(s, now));
		for (size_t i = 0; i < s->n_stores; i++)
			next = earlier(next, look_at_store(&s->store[i], now));
		sleep_until(s, next);
	}
	return NULL;
}

int sync_start(struct sync *s)
{
	int r;

	s->kick_us = INT64_MAX;
	s->uploads.due_us = INT64_MAX;
	s->ahead_us = clock_ahead_us();
	r = catalog_note_offer(s->parts.catalog);
	if (r == 0)
		r = pool_run(s->house, recover_job, s);
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, scheduler_main, s);
	if (r == 0)
		s->started = true;
	return r;
}

struct sync *sync_free(struct sync *s)
{
	if (!s)
		return NULL;
	s->stopping = true;
	pthread_mutex_lock(&s->lock);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	if (s->started)
		(void)pthread_join(s->thread, NULL);
	s->house = pool_free(s->house);
	if (s->started && (ingest_take_activity(s->parts.ingest) ||
			   catalog_take_edits(s->parts.catalog) || s->tick_due))
		make_durable(s); /* the tick that did not come any more */
	for (size_t i = 0; i < s->n_stores; i++) {
		s->store[i].pool = pool_free(s->store[i].pool);
		pthread_mutex_destroy(&s->store[i].lock);
		pthread_mutex_destroy(&s->store[i].looking);
	}
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s->store);
	free(s->schedule);
	free(s);
	return NULL;
}
