/* ingest_private.h - what the files of the ingest room share. */
#pragma once

#include <pthread.h>

#include "shutterfs/ingest.h"

#define LOG_ROOM "ingest"

enum {
	QUIET_US = 2000000,       /* a writer that closed may still set times, or go on */
	EMPTY_QUIET_US = 10000000 /* a file that is made first and filled later */
};
#define TEMPORARY_KEEP_US INT64_C(604800000000) /* a week: temporary names nobody came back for */
#define HELD_US INT64_C(86400000000)            /* a sidecar waits a day for its picture */

/* An upload entry that somebody has open, or that is being looked at. One per id, in ingest.table. */
struct entry {
	int64_t id;
	unsigned users, writers; /* ingest.lock */
	struct entry *next;      /* ingest.lock */
	/* lock: shared by writers, exclusive while the bytes are hashed and handed over, so no write slips between the two. */
	pthread_rwlock_t lock;
	_Atomic int
		fd; /* <state>/upload/<id>, read and write; -1: registered and not rewritten. Set once; replaced by dup2. */
	_Atomic bool
		registered; /* the bytes behind fd, if any, are the spool's: never write them */
	_Atomic bool dirty; /* written since it was last looked at */
	_Atomic bool
		unlinked; /* its row is gone; `row` has the last of it (written before the flag) */
	struct upload_row row;
};

struct upload_file {
	struct ingest *in;
	struct entry *entry;
	bool writer;
};

struct capture; /* capture.c: one per configured camera */

enum { TABLE = 256 };
struct ingest {
	const struct config *conf;
	struct catalog *cat;
	struct cache *cache;
	const struct target *target;
	size_t n_targets;
	int dir;              /* <state>/upload */
	pthread_mutex_t lock; /* guards table and due */
	struct entry *table[TABLE];
	due_fn *due;
	void *due_user;
	pthread_rwlock_t
		adopting; /* shared: from the link into the spool to the commit; exclusive: while orphans are looked for */
	struct capture *capture;
	size_t n_captures;
	struct pool *pool;
	_Atomic bool stopping;
	_Atomic bool active; /* something was accepted since the last durability tick */
};

/* ---- table.c ---- */
int entry_get(struct ingest *in, int64_t id, bool writer, struct entry **ret)
	MUST_CHECK; /* opens <state>/upload/<id> where there is one */
void entry_put(struct ingest *in, struct entry *e, bool writer);
struct entry *entry_find(struct ingest *in,
			 int64_t id); /* only if somebody has it; entry_put after */
void upload_file_name(int64_t id, char out[24]);
/* Size and mtime of bytes that are not registered, over the row. */
void entry_live(struct ingest *in, const struct entry *e, struct upload_row *row);
bool entry_has_writers(struct ingest *in, const struct entry *e);

/* ---- consider.c ---- */
/* Looks at an entry: registers it, takes it in as a sidecar, keeps, rejects, or says when to look again. `final`: it has been quiet. */
void consider(struct ingest *in, struct entry *e, bool final);
void consider_id(struct ingest *in, int64_t id, bool final);
/* Puts it on the schedule. */
void look_later(struct ingest *in, const struct upload_row *row, enum upload_state state,
		int64_t after_us);
void set_state(struct ingest *in, const struct upload_row *row, enum upload_state state,
	       int64_t snapshot, const char *error);
bool path_is_temporary(const char *path);

/* ---- when.c ---- */
struct when {
	int64_t taken_us;
	int zone_min;
	enum time_source source;
	bool sure; /* nothing that may still come would change it */
};
struct jpeg_info;
void when_taken(const struct sidecar *side, const struct jpeg_info *jpeg, const char *path,
		const struct upload_row *row, struct when *ret);

/* ---- pair.c ---- */
/* The sidecar lying beside a picture, parsed; -ENOENT: none. A broken one is rejected on the way. */
int sidecar_beside(struct ingest *in, const struct upload_row *picture, struct sidecar *ret,
		   int64_t *ret_entry) MUST_CHECK;
void sidecar_taken(struct ingest *in, int64_t entry, int64_t snapshot);
void consider_sidecar(struct ingest *in, struct entry *e, const struct upload_row *row, bool final);

/* ---- capture.c ---- */
int captures_new(struct ingest *in, const struct camera_slot *camera, size_t n) MUST_CHECK;
void captures_free(struct ingest *in);
/* Hash, spool, one transaction: for bytes in memory. */
const char *group_of(const struct ingest *in, const char *camera);
