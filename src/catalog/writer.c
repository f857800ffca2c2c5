/* writer.c - group commit: whoever finds nobody at it runs what callers have brought, each in a
 * savepoint, and commits all that is waiting at once, himself included: a thread for it would
 * have to be woken, and to wake, for each.
 *
 * The order at the end of a group: commit, the feed, the callers; then the WAL.  A thread copies
 * the WAL into the database while writing goes on; only a WAL that it cannot catch up with is
 * dealt with between two groups. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "stmt.h"

#define GROUP_MAX 256
#define CHECKPOINT_PAGES 4000
/* 55 MiB: from here on the writer itself stops to copy, so that the WAL can start over. */
#define WAL_PAGES_MAX 14000
#define WAL_PAGES_MORE 1000
/* So often somebody looks whether the disk is nearly full, and what is left on it at least. */
#define WAL_PAGES_LOOK 64
#define SPARE_BYTES (1 << 20)
#define PAGE_BYTES 4096
/* Room in the database for rows that make room: who sends what is queued needs some before its bytes go. */
#define GROW_STEP (4 * PAGE_BYTES)
#define GROW_BYTES (16 * GROW_STEP)

static int add_change(struct db *db, const struct change *ch)
{
	assert(db == db->c->w.db);
	if (db->n_changes == db->cap_changes) {
		size_t cap = db->cap_changes ? db->cap_changes * 2 : 64;
		struct change *p = reallocarray(db->change, cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		db->change = p;
		db->cap_changes = cap;
	}
	db->change[db->n_changes++] = *ch;
	return 0;
}

/* Told already, in this group, by what was last emitted about the same snapshot? */
static bool attr_is_told(const struct db *db, int64_t snapshot)
{
	for (size_t i = db->n_changes; i > 0; i--) {
		const struct change *ch = &db->change[i - 1];
		if (ch->snapshot != snapshot || ch->what == CHANGE_UPLOAD ||
		    ch->what == CHANGE_CAMERA)
			return false;
		if (ch->what == CHANGE_ADDED || ch->what == CHANGE_ATTR || ch->what == CHANGE_BYTES)
			return true;
	}
	return false;
}

int emit(struct db *db, enum change_what what, const struct snap *s, int64_t label)
{
	if (what == CHANGE_ATTR && attr_is_told(db, s->id))
		return 0;
	struct change ch = {.what = what,
			    .snapshot = s->id,
			    .camera = s->camera,
			    .label = label,
			    .day = s->day};
	memcpy(ch.stem, s->stem, sizeof(ch.stem));
	return add_change(db, &ch);
}

int emit_camera(struct db *db, int64_t camera)
{
	return add_change(db, &(struct change){.what = CHANGE_CAMERA, .camera = camera});
}

int emit_labels(struct db *db, int64_t kind, int64_t label, const char *name)
{
	struct change ch = {.what = CHANGE_LABELS, .kind = kind, .label = label};
	memcpy(ch.name, name, strnlen(name, LABEL_MAX));
	return add_change(db, &ch);
}

int emit_note(struct db *db, int64_t note)
{
	return add_change(db, &(struct change){.what = CHANGE_NOTE, .snapshot = note});
}

int emit_query(struct db *db, int64_t query, const char *name)
{
	struct change ch = {.what = CHANGE_QUERY, .snapshot = query};
	memcpy(ch.name, name, strnlen(name, LABEL_MAX));
	return add_change(db, &ch);
}

int emit_upload(struct db *db, int64_t upload)
{
	return add_change(db, &(struct change){.what = CHANGE_UPLOAD, .snapshot = upload});
}

static void tell(struct catalog *c)
{
	struct db *db = c->w.db;
	if (db->n_changes > 0) {
		atomic_store(&c->changed_us, now_us());
		pthread_mutex_lock(&c->feed_lock);
		if (c->feed)
			c->feed(c->feed_user, db->change, db->n_changes);
		pthread_mutex_unlock(&c->feed_lock);
	}
	db->n_changes = 0;
	if (db->cap_changes > 4096) { /* one big scan page must not hold its memory for ever */
		freep(&db->change);
		db->change = NULL;
		db->cap_changes = 0;
	}
}

/* ---- the transaction ---- */
static int begin(struct catalog *c, bool durable)
{
	struct writer *w = &c->w;
	if (w->full != durable) {
		/* Cannot be a cached statement: the pragma takes effect when it is compiled. */
		int code = sqlite3_exec(w->db->s,
					durable ? "PRAGMA synchronous = FULL"
						: "PRAGMA synchronous = NORMAL",
					NULL, NULL, NULL);
		if (code != SQLITE_OK)
			return db_errno(w->db, code);
		w->full = durable;
	}
	return RUN(w->db, "BEGIN IMMEDIATE");
}

/* Needs no savepoint: what it changed is undone with the transaction. */
static int run_alone(struct db *db, struct job *j, bool *ret_dead)
{
	int r = j->fn(db, j->arg);
	if (r >= 0 && sqlite3_get_autocommit(db->s))
		r = -EIO;
	*ret_dead = r < 0;
	return r;
}

/* *ret_dead: the error (disk full, no memory...) took the whole transaction with it. */
static int run_one(struct db *db, struct job *j, bool *ret_dead)
{
	size_t mark = db->n_changes;
	int r = RUN(db, "SAVEPOINT job");
	if (r == 0) {
		r = j->fn(db, j->arg);
		*ret_dead = sqlite3_get_autocommit(db->s);
		if (*ret_dead)
			return r < 0 ? r : -EIO;
		if (r < 0 && RUN(db, "ROLLBACK TO job") < 0)
			*ret_dead = true;
		int end = RUN(db, "RELEASE job");
		if (end < 0)
			*ret_dead = true;
		r = r < 0 ? r : end;
	}
	if (r < 0)
		db->n_changes = mark;
	return r;
}

/* What is in the WAL has its place in the database already, however full the disk gets: a WAL that cannot be copied grows until there
 * is no room for another row, and then neither can what is queued leave.  A checkpoint cuts off what is not used yet. */
static int make_place(struct catalog *c)
{
	struct stat st;
	int64_t pages;
	int r = ONE(c->w.db, &pages, "PRAGMA page_count");
	if (r < 0)
		return r;
	if (fstat(c->db_fd, &st) < 0)
		return -errno;
	int64_t need = pages * PAGE_BYTES, more = GROW_BYTES;
	if (st.st_size >= need + GROW_BYTES / 2)
		return 0;
	while (st.st_size < need + more && fallocate(c->db_fd, 0, 0, need + more) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EOPNOTSUPP)
			return 0;
		if (more == 0)
			return -errno;
		more -= GROW_STEP; /* as much of it as there is */
	}
	return 0;
}

static int commit(struct catalog *c, bool durable, int64_t before)
{
	int r = sqlite3_total_changes64(c->w.db->s) == before ? 0 : make_place(c);
	if (r == 0)
		r = RUN(c->w.db, "COMMIT");
	/* A group that wrote nothing new leaves what it found, perhaps committed without a sync,
	 * as durable as one that did. */
	if (r == 0 && durable && sqlite3_total_changes64(c->w.db->s) == before)
		return catalog_sync(c);
	return r;
}

static void run_group(struct catalog *c, struct job *first)
{
	struct db *db = c->w.db;
	bool durable = false, dead = false;
	for (struct job *j = first; j; j = j->next)
		durable = durable || j->durable;
	int64_t before = sqlite3_total_changes64(db->s);
	int r = begin(c, durable);
	for (struct job *j = first; j && r == 0; j = j->next) {
		j->result = first->next ? run_one(db, j, &dead) : run_alone(db, j, &dead);
		if (dead)
			r = j->result < 0 ? j->result : -EIO;
	}
	if (r == 0) {
		r = commit(c, durable, before);
		if (r < 0 || sqlite3_total_changes64(db->s) != before)
			rows_changed(c->rows);
	}
	if (r == 0)
		return;
	c->w.no_space = r == -ENOSPC;
	if (!sqlite3_get_autocommit(db->s))
		(void)sqlite3_exec(db->s, "ROLLBACK", NULL, NULL, NULL);
	db->n_changes = 0;
	for (struct job *j = first; j; j = j->next)
		j->result = r;
}

/* ---- the WAL ---- */
static int on_wal(void *user, sqlite3 *s, const char *name, int pages)
{
	struct writer *w = user;
	if (pages < w->wal_pages) { /* it started over */
		w->wal_next = CHECKPOINT_PAGES;
		w->wal_look = WAL_PAGES_LOOK;
	}
	w->wal_pages = pages;
	return SQLITE_OK;
}

/* Its failure shows in the next commit, or nowhere. */
static void copy_wal(struct writer *w, struct db *db)
{
	pthread_mutex_lock(&w->copying);
	(void)sqlite3_wal_checkpoint_v2(db->s, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	pthread_mutex_unlock(&w->copying);
}

/* What is queued must be able to leave a full disk, which takes rows: there the WAL is copied while the database still has room to
 * grow by all of it, and then overwrites itself. */
static bool disk_is_short(const struct catalog *c)
{
	struct statvfs fs;
	if (fstatvfs(c->wal_fd, &fs) < 0)
		return false;
	return fs.f_frsize * (uint64_t)fs.f_bavail <
	       2 * PAGE_BYTES * (uint64_t)c->w.wal_pages + SPARE_BYTES;
}

static void look_after_wal(struct catalog *c)
{
	struct writer *w = &c->w;
	if (w->no_space || w->wal_pages >= w->wal_look) {
		w->wal_look = w->wal_pages + WAL_PAGES_LOOK;
		if (w->no_space || disk_is_short(c)) {
			w->no_space = false;
			copy_wal(w, w->db);
			(void)make_place(c); /* else the next commit is told */
			return;
		}
	}
	if (w->wal_pages < w->wal_next)
		return;
	if (w->wal_pages >= WAL_PAGES_MAX) { /* again and again only while a reader pins it */
		w->wal_next = w->wal_pages + WAL_PAGES_MORE;
		copy_wal(w, w->db);
		return;
	}
	w->wal_next = w->wal_pages + CHECKPOINT_PAGES;
	if (w->wal_next > WAL_PAGES_MAX)
		w->wal_next = WAL_PAGES_MAX;
	pthread_mutex_lock(&w->lock);
	w->wal_due = true;
	pthread_cond_signal(&w->wal);
	pthread_mutex_unlock(&w->lock);
}

static void *checkpointer_main(void *user)
{
	struct writer *w = user;
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (!w->wal_due) {
			pthread_cond_wait(&w->wal, &w->lock);
			continue;
		}
		w->wal_due = false;
		pthread_mutex_unlock(&w->lock);
		copy_wal(w, w->checkpoint);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- who runs it ---- */
static struct job *take_group(struct writer *w) /* lock held */
{
	struct job *first = w->first, **end = &w->first;
	for (size_t n = 0; n < GROUP_MAX && *end; n++)
		end = &(*end)->next;
	w->first = *end;
	*end = NULL;
	if (!w->first)
		w->last = &w->first;
	return first;
}

static void answer(struct writer *w, struct job *first)
{
	pthread_mutex_lock(&w->lock);
	for (struct job *j = first, *next; j; j = next) {
		next = j->next; /* j is its caller's stack and gone once the lock is free */
		j->done = true;
		pthread_cond_signal(&j->wake);
	}
	pthread_mutex_unlock(&w->lock);
}

/* Called and left with the lock held.  The first of those that came meanwhile is next. */
static void lead(struct catalog *c)
{
	struct writer *w = &c->w;
	struct job *group = take_group(w);
	w->running = true;
	pthread_mutex_unlock(&w->lock);
	run_group(c, group);
	tell(c);
	answer(w, group);
	look_after_wal(c);
	pthread_mutex_lock(&w->lock);
	w->running = false;
	if (w->first)
		pthread_cond_signal(&w->first->wake);
}

int db_write(struct catalog *c, write_fn *fn, void *arg, bool durable)
{
	struct writer *w = &c->w;
	struct job j = {.fn = fn, .arg = arg, .durable = durable, .wake = PTHREAD_COND_INITIALIZER};
	pthread_mutex_lock(&w->lock);
	*w->last = &j;
	w->last = &j.next;
	while (!j.done) {
		if (w->running)
			pthread_cond_wait(&j.wake, &w->lock);
		else
			lead(c);
	}
	pthread_mutex_unlock(&w->lock);
	(void)pthread_cond_destroy(&j.wake);
	return j.result;
}

int writer_start(struct catalog *c)
{
	struct writer *w = &c->w;
	sigset_t all, old;
	w->wal_next = CHECKPOINT_PAGES;
	w->wal_look = WAL_PAGES_LOOK;
	(void)sqlite3_wal_hook(w->db->s, on_wal, w);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are main's */
	int r = -pthread_create(&w->checkpointer, NULL, checkpointer_main, w);
	w->checkpointer_started = r == 0;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void writer_stop(struct catalog *c)
{
	struct writer *w = &c->w;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wal);
	pthread_mutex_unlock(&w->lock);
	if (w->checkpointer_started)
		(void)pthread_join(w->checkpointer, NULL);
}
