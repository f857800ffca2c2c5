/* catalog.c - opening and closing: the file, its migration, the writer, a reader connection per
 * thread, the feed's receiver. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stmt.h"

/* ---- readers ---- */
static void reader_unlink(struct catalog *c, struct db *db) /* readers_lock held */
{
	if (db->prev)
		db->prev->next = db->next;
	else
		c->readers = db->next;
	if (db->next)
		db->next->prev = db->prev;
}

static void reader_end(void *arg) /* its thread ended */
{
	struct db *db = arg;
	pthread_mutex_lock(&db->c->readers_lock);
	reader_unlink(db->c, db);
	pthread_mutex_unlock(&db->c->readers_lock);
	(void)db_close(db);
}

struct db *db_reader(struct catalog *c, int *ret_error)
{
	struct db *db = pthread_getspecific(c->key);
	if (db)
		return db;
	int r = db_open(c, c->path, false, &db);
	if (r == 0) {
		r = -pthread_setspecific(c->key, db);
		if (r < 0)
			db = db_close(db);
	}
	if (r < 0) {
		*ret_error = r;
		return NULL;
	}
	pthread_mutex_lock(&c->readers_lock);
	db->next = c->readers;
	if (db->next)
		db->next->prev = db;
	c->readers = db;
	pthread_mutex_unlock(&c->readers_lock);
	return db;
}

/* ---- the feed ---- */
void catalog_on_change(struct catalog *c, change_fn *fn, void *user)
{
	pthread_mutex_lock(&c->feed_lock);
	c->feed = fn;
	c->feed_user = user;
	pthread_mutex_unlock(&c->feed_lock);
}

void catalog_set_stores(struct catalog *c, const struct target *target, size_t n)
{
	c->target = target;
	c->n_targets = n;
}

bool catalog_take_edits(struct catalog *c)
{
	return atomic_exchange(&c->edited, false);
}

int64_t catalog_changed_us(struct catalog *c)
{
	return atomic_load(&c->changed_us);
}

/* ---- the file ---- */
/* Before SQLite opens it, so that it is never readable for others: labels and times tell where
 * people are. */
static int create_private(const char *path)
{
	CLEANUP(closep) int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 && errno != EEXIST ? -errno : 0;
}

/* The WAL for catalog_sync (SQLite keeps the same file while a connection is open), the database
 * for the writer, and the directory's entries. */
static int open_files(struct catalog *c, const char *state_dir)
{
	char path[4200];
	int n = snprintf(path, sizeof(path), "%s-wal", c->path);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	c->wal_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->wal_fd < 0)
		return -errno;
	c->db_fd = open(c->path, O_RDWR | O_CLOEXEC);
	if (c->db_fd < 0)
		return -errno;
	CLEANUP(closep) int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	return fsync(dir) < 0 ? -errno : 0;
}

static int open_writer(struct catalog *c)
{
	int r = create_private(c->path);
	if (r < 0)
		return r;
	r = db_open(c, c->path, true, &c->w.db);
	if (r < 0)
		return r;
	r = schema_migrate(c->w.db);
	if (r < 0)
		return r;
	/* What a process that is no more had under way is due again. */
	r = RUN(c->w.db,
		"UPDATE outbox SET claimed = 0 WHERE claimed > 0 AND store IN (SELECT id FROM "
		"store)");
	if (r < 0)
		return r;
	return db_open(c, c->path, true, &c->w.checkpoint);
}

/* SQLite counts what it allocates, all threads under one lock; nobody asks. */
static void stop_counting(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int catalog_open(const char *state_dir, struct catalog **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, stop_counting); /* only before its first use */
	struct catalog *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->db_fd = c->wal_fd = -1;
	c->w.last = &c->w.first;
	pthread_mutex_init(&c->w.lock, NULL);
	pthread_mutex_init(&c->w.copying, NULL);
	pthread_cond_init(&c->w.wal, NULL);
	pthread_mutex_init(&c->feed_lock, NULL);
	pthread_mutex_init(&c->readers_lock, NULL);
	atomic_store(&c->changed_us, now_us());
	int r = -pthread_key_create(&c->key, reader_end);
	c->key_made = r == 0;
	if (r == 0)
		r = rows_new(&c->rows);
	if (r == 0 && asprintf(&c->path, "%s/catalog.db", state_dir) < 0) {
		c->path = NULL;
		r = -ENOMEM;
	}
	if (r == 0)
		r = make_dirs(state_dir, 0700);
	if (r == 0)
		r = open_writer(c);
	if (r == 0)
		r = open_files(c, state_dir);
	if (r == 0)
		r = writer_start(c);
	if (r < 0) {
		c = catalog_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct catalog *catalog_close(struct catalog *c)
{
	if (!c)
		return NULL;
	writer_stop(c);
	if (c->key_made)
		(void)pthread_key_delete(
			c->key); /* from here on no thread's end closes its reader */
	while (c->readers) {
		struct db *db = c->readers;
		reader_unlink(c, db);
		(void)db_close(db);
	}
	(void)db_close(c->w.checkpoint);
	(void)db_close(c->w.db); /* the last one: SQLite copies the WAL and removes it */
	closep(&c->db_fd);
	closep(&c->wal_fd);
	(void)pthread_cond_destroy(&c->w.wal);
	(void)pthread_mutex_destroy(&c->w.lock);
	(void)pthread_mutex_destroy(&c->w.copying);
	(void)pthread_mutex_destroy(&c->feed_lock);
	(void)pthread_mutex_destroy(&c->readers_lock);
	c->rows = rows_free(c->rows);
	free(c->path);
	free(c);
	return NULL;
}

int catalog_sync(struct catalog *c)
{
	return fdatasync(c->wal_fd) < 0 ? -errno : 0;
}
