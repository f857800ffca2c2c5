/* app.h - the open house: every room, built lowest first from the config and torn down in reverse, and the files of .shutterfs/. */
#pragma once

#include <pthread.h>

#include "shutterfs/cache.h"
#include "shutterfs/catalog.h"
#include "shutterfs/config.h"
#include "shutterfs/dataset.h"
#include "shutterfs/fetch.h"
#include "shutterfs/fs.h"
#include "shutterfs/ingest.h"
#include "shutterfs/source.h"
#include "shutterfs/store.h"
#include "shutterfs/sync.h"

enum { CONFINED_TEXT = 96 };
struct app {
	const struct config *conf; /* borrowed */
	int lock_fd;
	bool net_ready;
	struct catalog *catalog;
	struct cache *cache;
	struct store_slot *store;   /* conf->n_stores */
	struct target *target;      /* conf->n_stores */
	struct camera_slot *camera; /* conf->n_cameras */
	size_t n_stores, n_cameras; /* open ones */
	struct fetch *fetch;
	struct ingest *ingest;
	struct sync *sync;
	struct datasets *datasets; /* of a mount */
	struct fs *fs;
	char *mountpoint; /* set before the mount serves; NULL: a verb without a mount */
	/* of a worker; set before the mount serves */
	long supervisor;   /* its pid */
	unsigned restarts; /* workers before this one */
	bool confined;
	char confined_by[CONFINED_TEXT]; /* or why not */
	/* Over `hooked`: callbacks of fetch and ingest may still come while sync and fs are taken down. */
	pthread_rwlock_t hooks;
	bool hooked;
};

/* The state directory, made and locked for this process, and every room but fs.  `mountpoint` is written into the lock file (NULL:
 * none).  Failure: lines in err; -EBUSY: somebody else has the state. */
int app_open(const struct config *conf, const char *mountpoint, struct buf *err, struct app **ret)
	MUST_CHECK;
/* The same for who has the lock of the state already; it is taken over. */
int app_open_locked(const struct config *conf, const char *mountpoint, int lock_fd, struct buf *err,
		    struct app **ret) MUST_CHECK;
int app_start_sync(struct app *app, struct buf *err) MUST_CHECK;
int app_new_fs(struct app *app, const char *options, struct buf *err) MUST_CHECK;
struct app *app_close(struct app *app); /* within 5 s; NULL in, NULL out */

/* ---- lock.c ---- */
struct lock_owner {
	long pid;         /* 0: not known */
	char *mountpoint; /* owned; NULL: none */
};
void lock_owner_done(struct lock_owner *o);
/* Makes <state> 0700 and takes <state>/lock: -EBUSY with *ret_owner when it is held, after up to 5 s when who took it is gone; freed
 * by closing the descriptor. */
int state_lock(const char *state, const char *mountpoint, int *ret_fd, struct lock_owner *ret_owner)
	MUST_CHECK;
int state_lock_or_say(const char *state, const char *mountpoint, struct buf *err, int *ret_fd)
	MUST_CHECK;                               /* failure: a line in err */
bool state_lock_is_of(int fd, const char *state); /* this lock is that state's */
int state_lock_owner(const char *state, struct lock_owner *ret)
	MUST_CHECK; /* as written; -ENOENT */

/* ---- disk.c ---- */
enum { DISK_TEXT = 4096 + 160 };
/* True: the disk under this directory is full, read-only or broken; `why` is one sentence. */
bool disk_trouble(const char *dir, char why[DISK_TEXT]);
bool can_be_made(const char *path); /* false: what is above it is on a read-only disk */
const char *disk_advice(int err);   /* what to do about it, to follow what strerror says; "" */

/* ---- status.c: what .shutterfs/ shows and `status` says ---- */
extern const struct fs_ghost_file ghost_files[]; /* user: struct app */
int status_json(struct app *app, struct buf *out) MUST_CHECK;
int status_text(struct app *app, struct buf *out) MUST_CHECK;
void app_space(void *app, uint64_t *total, uint64_t *free_bytes);
/* The local time of an instant with its offset; "never" for 0. */
void time_text(int64_t us, char out[ISO_MAX]);
