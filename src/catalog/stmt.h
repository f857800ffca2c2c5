/* stmt.h - the inside of a connection and of the catalog: for the files that run the machine,
 * not for queries. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "db.h"

#define STMT_SLOTS 256
struct prepared { /* one compiled literal; a second one appears when it is used inside itself */
	const char *sql;
	sqlite3_stmt *s;
	bool busy;
	struct prepared *next;
};
struct db {
	sqlite3 *s;
	struct catalog *c;
	struct prepared *slot[STMT_SLOTS];
	struct db *prev, *next; /* readers: c->readers_lock */
	/* writer: what the group under way changed */
	struct change *change;
	size_t n_changes, cap_changes;
};
/* `writable`: creates the file; a connection belongs to one thread at a time. */
int db_open(struct catalog *c, const char *path, bool writable, struct db **ret) MUST_CHECK;
struct db *db_close(struct db *db);

struct job {
	write_fn *fn;
	void *arg;
	bool durable;
	bool done; /* writer.lock, as all of it once queued */
	int result;
	pthread_cond_t wake;
	struct job *next;
};
struct writer {
	struct db *db;         /* of who is `running`, as are the next five */
	bool full;             /* its `synchronous` */
	int64_t wal_pages;     /* in the WAL now */
	int64_t wal_next;      /* as many start the next checkpoint */
	int64_t wal_look;      /* as many have the disk looked at */
	bool no_space;         /* the last commit met a full disk */
	struct db *checkpoint; /* the checkpointer thread's */
	pthread_t checkpointer;
	bool checkpointer_started;
	pthread_mutex_t copying; /* held over a checkpoint: the two threads take turns */
	pthread_mutex_t lock;
	pthread_cond_t wal;
	struct job *first, **last; /* lock */
	bool running;              /* lock; a group is under way */
	bool stop, wal_due;        /* lock */
};
struct catalog {
	char *path;
	int db_fd, wal_fd; /* closed after SQLite's own, or its locks were gone */
	struct writer w;
	struct rows *rows;
	_Atomic int64_t changed_us;
	_Atomic bool edited;
	const struct target *target; /* set before other threads */
	size_t n_targets;
	pthread_mutex_t feed_lock;
	change_fn *feed; /* feed_lock, which is held while it is called */
	void *feed_user; /* feed_lock */
	pthread_key_t key;
	bool key_made;
	pthread_mutex_t readers_lock;
	struct db *readers; /* readers_lock */
};

/* ---- rows.c: what catalog_snap() found lately ---- */
struct rows;
int rows_new(struct rows **ret) MUST_CHECK;
struct rows *rows_free(struct rows *rows);
/* *ret_state: of the database, for rows_add() with what is read from it after this. */
bool rows_find(struct rows *rows, int64_t id, struct snap *ret, uint64_t *ret_state);
void rows_add(struct rows *rows, uint64_t state, const struct snap *s);
void rows_changed(struct rows *rows); /* committed: nothing that was read before holds */

int writer_start(struct catalog *c) MUST_CHECK; /* c->w.db and c->w.checkpoint are open */
void writer_stop(struct catalog *c);            /* nobody writes any more */
