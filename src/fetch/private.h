/* private.h - what the files of the fetch room share: the fetch, its flights and who waits for them.
 *
 * A flight is a job that moves: the resolve pool looks where the bytes are, then the pool of each store in turn tries its
 * place; between two rounds the flight sleeps on a list, in no thread.  Fields that name no lock belong to whoever runs the
 * flight, which is one thread at a time. */
#pragma once

#include "shutterfs/fetch.h"

#include <pthread.h>

enum { FLIGHTS_MAX = 65536, BUCKETS = 4096, PLACES_MAX = 16, BAD_TRIES = 3 };

/* How bad an outcome of a round is: the worst one speaks for the round. */
enum rank { RANK_NONE, RANK_GONE, RANK_FINAL, RANK_BAD, RANK_PASSING };

struct waiter {
	struct waiter *next_ticket;         /* lock: in fetch.tickets */
	struct waiter *prev_due, *next_due; /* lock: in fetch.due */
	struct waiter *prev, *next;         /* lock: in flight.waiters */
	struct flight *flight;
	uint64_t ticket;
	int64_t deadline_us;
	fetch_fn *fn;
	void *user;
};

struct flight {
	struct fetch *f;
	int64_t snapshot;
	bool ahead,
		sure; /* nobody asked for it when it began; it may displace what was used lately */
	struct slot *queued;                      /* lock; in whose queue it waits */
	struct flight *prev_queued, *next_queued; /* lock */
	struct flight *next;                      /* lock: in fetch.flights */
	struct flight *next_asleep;               /* lock */
	struct waiter *waiters;                   /* lock; the youngest first */
	int64_t deadline_us;                      /* lock; the latest waiter's */
	int64_t wake_us;                          /* lock; while asleep */
	int error;     /* lock; of the last round that ended, or this one so far; 0: none yet */
	char why[256]; /* lock */
	bool begun;
	int64_t made_us;
	uint64_t came; /* bytes that a store sent for it, good ones */
	unsigned round, bad_tries;
	struct snap snap;
	struct place *place; /* owned; this round's, in the order to try them */
	size_t n_places, at;
	enum rank rank;   /* the worst of this round */
	int64_t after_us; /* the shortest pause that a store asked for this round; 0: none did */
};

struct queue {
	struct flight *first, *last;
};

struct slot {
	struct fetch *f;
	struct store *store; /* borrowed */
	int64_t id;
	bool local;
	unsigned threads;
	struct pool *pool;
	struct queue asked, ahead; /* lock */
	unsigned n_ahead;          /* lock; threads at work for nobody yet */
};

struct fetch {
	struct catalog *catalog; /* borrowed */
	struct cache *cache;     /* borrowed */
	int64_t patience_us;
	struct slot *slot;
	size_t n_slots, n_local;
	struct pool *resolve;
	struct ahead_run *run; /* NULL: nothing but local stores */
	_Atomic bool cancel;
	_Atomic uint64_t requests, bytes, hits, errors;
	pthread_t timer;
	bool has_timer;
	pthread_mutex_t lock; /* never held across I/O or callbacks */
	pthread_cond_t wake;
	bool ending;                     /* lock */
	struct flight *flights[BUCKETS]; /* lock; by snapshot */
	struct waiter *tickets[BUCKETS]; /* lock; by ticket */
	struct waiter *due_first,
		*due_last;           /* lock; by deadline, which is the order they came in */
	struct flight *asleep;       /* lock */
	int64_t timer_until_us;      /* lock; when the timer wakes by itself; INT64_MAX: never */
	size_t n_flights, n_waiters; /* lock */
	uint64_t last_ticket;        /* lock */
	fetch_event_fn *event;       /* lock */
	void *event_user;            /* lock */
};

/* ---- flight.c: single flight, tickets, deadlines, naps ---- */
int flights_init(struct fetch *f) MUST_CHECK;
void flights_end(struct fetch *f);  /* no new ones; every waiter gets -ECANCELED */
void flights_done(struct fetch *f); /* after the pools: frees what is left */
/* False: nobody waits any more, or all ends; the flight is not the caller's any longer.  `begun`: it needs no waiters. */
bool flight_goes_on(struct flight *fl, bool begun, int64_t *ret_deadline_us);
/* Waits for a thread of the store, readers' flights before those that nobody waits for; then flight_try runs. */
void flight_queue(struct flight *fl, struct slot *slot);
/* Begins a flight that nobody waits for; -EALREADY: there is one. */
int flight_ahead(struct fetch *f, int64_t snapshot, bool sure) MUST_CHECK;
/* Nobody waits for it (yet). */
bool flight_is_spare(struct flight *fl);
/* Ends it, unless somebody came to wait for it meanwhile. */
bool flight_drop(struct flight *fl, int err);
/* False: the latest waiter's deadline is sooner, and nothing happened. */
bool flight_sleep(struct flight *fl, int64_t pause_us);
void flight_note(struct flight *fl, int err,
		 const char *why); /* what waiters hear whose time runs out */
/* Tells all waiters, closes fd, frees the flight. */
void flight_finish(struct flight *fl, int err, int fd, const char *why);

/* ---- round.c: where to look next, and what an error means ---- */
pool_fn round_start; /* of a struct flight */
void flight_try(struct flight *fl);
int errno_for_reader(int err);

/* ---- place.c: one try at one place ---- */
void fetch_tell(struct fetch *f, int64_t snapshot, int64_t stale_store);
int local_place_open(const struct slot *slot, const struct place *p, const struct snap *s,
		     int *ret_fd) MUST_CHECK;
/* A verified descriptor; also the catalog knows the hash then.  -ENOENT gone, -ESTALE another object, -EBADMSG wrong bytes (a
 * retry may help), -EILSEQ (it will not), or the store's errors. */
int place_fetch(struct flight *fl, const struct slot *slot, const struct place *p, struct call *c,
		int *ret_fd) MUST_CHECK;

/* ---- ahead-run.c: the read-ahead policy at work ---- */
int run_new(struct fetch *f, const struct config *conf, struct ahead_run **ret) MUST_CHECK;
void run_stop(struct ahead_run *run); /* no flight is begun any more */
struct ahead_run *run_free(struct ahead_run *run);
void run_waits(struct ahead_run *run, int64_t snapshot);
void run_landed(struct ahead_run *run, const struct flight *fl, int err);
void run_totals(struct ahead_run *run, struct fetch_totals *add_to);
