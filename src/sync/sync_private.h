/* sync_private.h - what the files of the sync room share. */
#pragma once

#include <pthread.h>

#include "shutterfs/sync.h"

#define LOG_ROOM "sync"

/* The longest that anything waits to be tried again. */
#define PAUSE_MAX_US INT64_C(600000000)

/* ---- turn.c: a job that runs by itself when it is due, never twice at once ---- */
struct turn {           /* guarded by the lock that is passed along */
	int64_t due_us; /* INT64_MAX: there is nothing to do */
	bool running;
};
/* Runs it in `pool` if it is due; its next time is then again_us, or earlier if somebody says so meanwhile.  When to look again.
 * The job ends with turn_over. */
int64_t turn_look(struct turn *t, pthread_mutex_t *lock, int64_t now, int64_t again_us,
		  struct pool *pool, pool_fn *job, void *arg);
void turn_over(struct turn *t, pthread_mutex_t *lock, int64_t next_us);

struct store_state { /* one per store */
	struct sync *s;
	const struct store_slot *slot;
	const struct store_config *conf;
	struct pool *pool;    /* requests of this store, so that it delays only itself */
	pthread_mutex_t lock; /* guards what follows; never held across a request or the catalog */
	unsigned in_flight;   /* outbox items handed to the pool */
	unsigned failures;    /* of the store as a whole, in a row */
	int64_t failed_us;    /* mono_us of the last of them */
	char why[256];        /* of that one */
	int64_t pause_us;     /* until then nothing is sent */
	int64_t next_due_us;  /* when to look into the outbox again; INT64_MAX: nothing there */
	bool unreadable;      /* its outbox was, last time */
	bool scanning;
	struct turn notes;       /* sending them */
	int64_t next_scan_us;    /* INT64_MAX: only when asked */
	int64_t stale_us;        /* mono_us: last time a fetch complained; 0: never */
	pthread_mutex_t looking; /* guards the rest; held over a listing */
	enum content { CONTENT_UNKNOWN, CONTENT_NONE, CONTENT_SOME } content;
	bool known; /* content_check() found nothing wrong */
};

struct schedule {                             /* one per camera with an interval */
	int64_t camera, interval_us, next_us; /* scheduler thread only */
};

struct sync {
	struct sync_parts parts;
	struct store_state *store;
	size_t n_stores;
	struct schedule *schedule;
	size_t n_schedules;
	bool any_local;     /* a store is read in place: its pictures need no copy in the cache */
	struct pool *house; /* due uploads, durability, recovery, scans */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	int64_t kick_us;                /* somebody wants attention then */
	struct turn uploads, followers; /* looking at those that wait; at what follows edits */
	bool tick_running;
	bool tick_due;    /* scheduler thread only, then sync_free's */
	int64_t ahead_us; /* scheduler thread only: the clock, ahead of the machine's uptime */
	_Atomic bool stopping, recovered;
	_Atomic bool replaced; /* store_was_replaced() of one that failed */
};

/* At most 4 times a second to whoever asked. */
struct progress {
	progress_fn *fn; /* or NULL */
	void *user;
	int64_t last_us;
};
int progress_tell(struct progress *p, uint64_t done, uint64_t total, const char *what) MUST_CHECK;
/* NULL: not in the config any more. */
struct store_state *store_state_by_id(struct sync *s, int64_t id);
struct store *store_by_id(struct sync *s, int64_t id);

void store_in_trouble(struct store_state *st); /* it failed: has it been replaced? */

/* ---- drain.c ---- */
/* Hands due outbox items to the store's pool, as many as it may have under way. Any thread. */
void pump(struct store_state *st);
void pump_resume(struct store_state *st); /* forgets pauses: somebody asked for it now */

/* ---- content.c: what a store had before this process sent anything ---- */
/* May it know our pictures from another life?  Not if it was scanned since, or was empty. */
bool content_may_be_ours(struct store_state *st, struct call *c);
/* Before anything is put into it. -ENODATA: a disk that is not mounted, most likely: what is put there now would be hidden below it. */
int content_check(struct store_state *st, struct call *c) MUST_CHECK;
/* Of a store that lists nothing; hide nobody's pictures for that unless somebody asked. -ENODATA: it had objects. */
int content_not_lost(struct store_state *st, struct call *c) MUST_CHECK;

/* ---- again.c ---- */
/* What is queued and lies in the cache only, since a store has lost it, is kept from being evicted. */
void keep_queued(struct sync *s);

/* ---- notes.c ---- */
/* Hands the store's notes to its pool, one job at a time, when they are due; when to look again. */
int64_t look_at_notes(struct store_state *st, int64_t now);
void notes_resume(struct sync *s); /* there may be some to send now, to any store */
/* An object below NOTE_DIR that a listing showed; those that are new are read afterwards. */
int note_listed(struct store_state *st, int64_t gen, const struct store_object *o) MUST_CHECK;
int read_notes(struct store_state *st, struct call *c) MUST_CHECK;

/* ---- follow.c ---- */
/* What follows edits in the background: sidecars of renamed labels, empty names that expire, the trash. */
int64_t look_at_followers(struct sync *s, int64_t now, bool edits);
void follow_now(struct sync *s);
bool follow_busy(struct sync *s); /* is at it, or is to be */

/* ---- scan.c ---- */
int scan_store(struct store_state *st, struct call *c, struct progress *p, struct scan_counts *ret)
	MUST_CHECK;
bool scan_try_begin(struct store_state *st);
void scan_job(void *store_state); /* on schedule; begun already */
/* One object of a listing as the store's layout, or failing that its name and LastModified, explains it. Strings point into `key`,
 * `m` and `picture_key`; pure. */
struct explained {
	struct listed listed;
	struct layout_match match;
	char picture_key[KEY_MAX + 1];
};
void explain(const struct store_config *conf, const char *key, const char *etag, uint64_t size,
	     int64_t modified_us, struct explained *ret);
