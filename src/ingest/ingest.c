/* The room's life: start, what is due, what a crash left unfinished. */
#include "ingest_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 64, UNNEEDED_MAX = 1 << 16 };

int ingest_new(const struct config *conf, struct catalog *cat, struct cache *cache,
	       const struct target *target, size_t n_targets, const struct camera_slot *camera,
	       size_t n_cameras, struct ingest **ret)
{
	CLEANUP(buf_done) struct buf path = BUF(8192);
	struct ingest *in = calloc(1, sizeof(*in));
	int r;

	if (!in)
		return -ENOMEM;
	*in = (struct ingest){.conf = conf,
			      .cat = cat,
			      .cache = cache,
			      .target = target,
			      .n_targets = n_targets,
			      .dir = -1};
	pthread_mutex_init(&in->lock, NULL);
	pthread_mutex_init(&in->durable, NULL);
	pthread_cond_init(&in->arrived, NULL);
	in->arrivals_end = &in->arrivals;
	for (size_t i = 0; i < ADOPTING; i++)
		pthread_rwlock_init(&in->adopting[i], NULL);
	r = buf_printf(&path, "%s/upload", conf->state);
	if (r == 0)
		r = make_dirs(path.data, 0700);
	if (r == 0) {
		in->dir = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = in->dir < 0 ? -errno : captures_new(in, camera, n_cameras);
	}
	if (r < 0) {
		(void)ingest_free(in);
		return r;
	}
	*ret = in;
	return 0;
}

struct ingest *ingest_free(struct ingest *in)
{
	if (!in)
		return NULL;
	in->takers = pool_free(in->takers);
	in->stopping = true;
	captures_free(in);
	closep(&in->dir);
	for (size_t i = 0; i < ADOPTING; i++)
		pthread_rwlock_destroy(&in->adopting[i]);
	pthread_cond_destroy(&in->arrived);
	pthread_mutex_destroy(&in->durable);
	pthread_mutex_destroy(&in->lock);
	free(in->unneeded);
	free(in);
	return NULL;
}

void ingest_resumes(struct ingest *in)
{
	in->resumes = true;
}

void ingest_on_due(struct ingest *in, due_fn *fn, void *user)
{
	pthread_mutex_lock(&in->lock);
	in->due = fn;
	in->due_user = user;
	pthread_mutex_unlock(&in->lock);
}

bool ingest_take_activity(struct ingest *in)
{
	return atomic_exchange(&in->active, false);
}

/* ---- what is on disk ---- */

static void when_durable(struct ingest *in, const struct unneeded *u)
{
	in->active = true;
	pthread_mutex_lock(&in->lock);
	if (in->n_unneeded == in->cap_unneeded) {
		size_t cap = in->cap_unneeded ? 2 * in->cap_unneeded : 64;
		struct unneeded *more = cap > UNNEEDED_MAX
						? NULL
						: reallocarray(in->unneeded, cap, sizeof(*more));

		if (more) {
			in->unneeded = more;
			in->cap_unneeded = cap;
		}
	}
	/* Else the next start finds it. */
	if (in->n_unneeded < in->cap_unneeded)
		in->unneeded[in->n_unneeded++] = *u;
	pthread_mutex_unlock(&in->lock);
}

void unlink_when_durable(struct ingest *in, int64_t id)
{
	when_durable(in, &(struct unneeded){.id = id});
}

void ingest_settle_when_durable(struct ingest *in, const struct sha256 *sha, bool keep)
{
	when_durable(in, &(struct unneeded){.sha = *sha, .keep = keep});
}

static void unlink_unneeded(struct ingest *in, int64_t id)
{
	struct entry *e;
	char name[24];
	int r;

	upload_file_name(id, name);
	r = entry_get(in, id, NULL, false, &e);
	if (r == -ENOENT)
		(void)unlinkat(in->dir, name, 0);
	if (r < 0)
		return;
	pthread_rwlock_wrlock(&e->lock);
	if (e->registered || e->unlinked) /* else somebody writes it again */
		(void)unlinkat(in->dir, name, 0);
	pthread_rwlock_unlock(&e->lock);
	entry_put(in, e, false);
}

int ingest_fsync_all(struct ingest *in)
{
	CLEANUP(freep) struct unneeded *u = NULL;
	size_t n;
	int r;

	pthread_mutex_lock(&in->durable);
	pthread_mutex_lock(&in->lock);
	u = TAKE(in->unneeded);
	n = in->n_unneeded;
	in->n_unneeded = in->cap_unneeded = 0;
	pthread_mutex_unlock(&in->lock);
	/* Bytes first, then the rows that speak of them. */
	r = cache_sync_spool(in->cache);
	if (r == 0)
		r = catalog_sync(in->cat);
	for (size_t i = 0; i < n; i++) {
		if (r < 0)
			when_durable(in, &u[i]);
		else if (u[i].id)
			unlink_unneeded(in, u[i].id);
		else if (ingest_settle(in, &u[i].sha, u[i].keep) < 0)
			log_warn("a synced picture stays in the spool until the next start");
	}
	pthread_mutex_unlock(&in->durable);
	return r;
}

/* ---- the spool's end ---- */

pthread_rwlock_t *adopting_of(struct ingest *in, const struct sha256 *sha)
{
	return &in->adopting[sha->b[0] % ADOPTING];
}

int ingest_settle(struct ingest *in, const struct sha256 *sha, bool keep)
{
	bool held = false, needed;
	int r = 0;

	/* Nobody is between putting these bytes there and the row that needs them. */
	pthread_rwlock_wrlock(adopting_of(in, sha));
	needed = catalog_sha_needed(in->cat, sha, &held);
	if (!needed)
		(void)!cache_drop(in->cache, sha, BLOB_CACHE);
	if (!needed || (!held && !keep))
		r = cache_drop(in->cache, sha, BLOB_SPOOL);
	else if (!held)
		r = cache_settle(in->cache, sha);
	pthread_rwlock_unlock(adopting_of(in, sha));
	return r == -ENOENT ? 0 : r;
}

int ingest_keep(struct ingest *in, const struct sha256 *sha)
{
	bool held = false;
	int r = 0;

	pthread_rwlock_wrlock(adopting_of(in, sha));
	(void)catalog_sha_needed(in->cat, sha, &held);
	if (held)
		r = cache_keep(in->cache, sha);
	pthread_rwlock_unlock(adopting_of(in, sha));
	return r == -ENOENT ? 0 : r;
}

/* ---- what is due ---- */

struct batch {
	struct upload_row row[BATCH];
	size_t n;
};

static int collect(void *user, const struct upload_row *row)
{
	struct batch *b = user;

	b->row[b->n++] = *row;
	return 0;
}

static bool is_being_written(struct ingest *in, int64_t id)
{
	struct entry *e = entry_find(in, id);
	bool writing = e && entry_has_writers(in, e);

	if (e)
		entry_put(in, e, false);
	return writing;
}

/* Times that can be set say nothing: when bytes, times or the name last changed. */
static int64_t untouched_us(struct ingest *in, const struct upload_row *row)
{
	int64_t last = row->ctime_ns / 1000;
	struct stat st;
	char name[24];

	upload_file_name(row->id, name);
	if (fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		int64_t us = st.st_ctim.tv_sec * INT64_C(1000000) + st.st_ctim.tv_nsec / 1000;

		last = us > last ? us : last;
	}
	return now_us() - last;
}

static void look_at_temporary(struct ingest *in, const struct upload_row *row)
{
	int64_t left = TEMPORARY_KEEP_US - untouched_us(in, row);

	if (left > 0) {
		reschedule(in, row, UPLOAD_OPEN, left + QUIET_US);
	} else if (catalog_upload_remove(in->cat, row->id) == 0) {
		log_info("removed temporary upload \"%s\": nobody came back for it in a week",
			 row->name);
		forget_bytes(in, row);
	}
}

static void look_due(struct ingest *in, const struct upload_row *row)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);
	int r = 0;

	if (is_being_written(in, row->id))
		reschedule(in, row, row->state, QUIET_US);
	else if (row->parent < 0)
		r = look_at_annexed(in, row);
	else if (catalog_upload_path(in->cat, row->id, &path) == 0 && path_is_temporary(path.data))
		look_at_temporary(in, row);
	else
		r = consider_id(in, row->id, true);
	if (r < 0)
		reschedule(in, row, row->state, EMPTY_QUIET_US);
}

/* A temporary one is, far ahead; one that was just given its final name may have kept that time. */
static bool is_scheduled(struct ingest *in, const struct upload_row *row)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);

	return row->due_us != 0 && catalog_upload_path(in->cat, row->id, &path) == 0 &&
	       path_is_temporary(path.data);
}

/* It ends as a JPEG does: as a rule it was closed, and only its being looked at was cut off. */
static bool has_end(struct ingest *in, const struct upload_row *row)
{
	CLEANUP(closep) int fd = -1;
	unsigned char end[2];
	struct stat st;
	char name[24];

	upload_file_name(row->id, name);
	fd = openat(in->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 2 &&
	       pread(fd, end, sizeof(end), st.st_size - 2) == 2 && end[0] == 0xff && end[1] == 0xd9;
}

/* Rows that should be on the schedule and are not: after a crash, or when the disk was full. */
static void look_unscheduled(struct ingest *in, const struct upload_row *row)
{
	char name[24];
	struct entry *e;

	if (row->is_dir)
		return;
	upload_file_name(row->id, name);
	if (row->state == UPLOAD_OPEN && !is_scheduled(in, row)) {
		if (in->resumes) /* perhaps closed, perhaps still open */
			reschedule(in, row, UPLOAD_WAITING,
				   has_end(in, row) ? QUIET_US : EMPTY_QUIET_US);
		else if (is_being_written(in, row->id)) /* its last close may have passed unnoted */
			reschedule(in, row, UPLOAD_WAITING, QUIET_US);
		else
			(void)!consider_id(in, row->id, false);
	} else if (row->state == UPLOAD_REGISTERED &&
		   faccessat(in->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		   entry_get(in, row->id, NULL, false, &e) == 0) {
		/* Committed, but not unlinked; unless somebody begins to write it again just now. */
		pthread_rwlock_wrlock(&e->lock);
		if (e->registered)
			(void)unlinkat(in->dir, name, 0);
		pthread_rwlock_unlock(&e->lock);
		entry_put(in, e, false);
	}
}

static int look_at_all(struct ingest *in, _Atomic bool *cancel)
{
	CLEANUP(freep) struct batch *b = calloc(1, sizeof(*b));
	int64_t last = 0;
	int r = b ? 0 : -ENOMEM;

	while (r == 0 && !*cancel) {
		b->n = 0;
		r = catalog_upload_each(in->cat, last, BATCH, collect, b);
		for (size_t i = 0; r >= 0 && i < b->n && !*cancel; i++)
			look_unscheduled(in, &b->row[i]);
		if (r < 0 || b->n < BATCH)
			break;
		last = b->row[b->n - 1].id;
	}
	return r;
}

static int first_due(void *user, const struct upload_row *row)
{
	*(int64_t *)user = row->due_us;
	return 1;
}

int ingest_run_due(struct ingest *in, int64_t now_us_, int64_t *ret_next_us)
{
	CLEANUP(freep) struct batch *b = calloc(1, sizeof(*b));
	int64_t next = INT64_MAX;
	int r;

	if (!b)
		return -ENOMEM;
	r = catalog_upload_due(in->cat, now_us_, BATCH, collect, b);
	if (r < 0)
		return r;
	for (size_t i = 0; i < b->n && !in->stopping; i++)
		look_due(in, &b->row[i]);
	if (atomic_exchange(&in->missed, false))
		r = look_at_all(in, &in->stopping);
	if (r == 0)
		r = catalog_upload_due(in->cat, INT64_MAX, 1, first_due, &next);
	if (r < 0)
		return r;
	if (in->missed) /* still: not at once, the same would fail again */
		next = now_us_ + EMPTY_QUIET_US;
	*ret_next_us = next;
	return 0;
}

/* ---- after a crash ---- */

/* Bytes whose row is gone (a crash between the row's removal and theirs). */
static int drop_strays(struct ingest *in, _Atomic bool *cancel)
{
	int fd = openat(in->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d) {
		closep(&fd);
		return -errno;
	}
	while (!*cancel && (de = readdir(d))) {
		struct upload_row row;
		char *end;
		long long id = strtoll(de->d_name, &end, 10);

		if (*end || id <= 0)
			continue;
		if (catalog_upload(in->cat, id, &row) == -ENOENT)
			(void)unlinkat(in->dir, de->d_name, 0);
	}
	(void)closedir(d);
	return 0;
}

struct spool_check {
	struct ingest *in;
	_Atomic bool *cancel;
};

/* A blob that nobody registered (crash before the commit) goes; one that every store has (crash before it settled) settles. */
static int check_blob(void *user, const struct sha256 *sha, uint64_t size)
{
	struct spool_check *c = user;

	if (*c->cancel)
		return -ECANCELED;
	int r = look_at_spooled(c->in, sha);
	return r < 0 ? r : ingest_settle(c->in, sha, true);
}

int ingest_recover(struct ingest *in, _Atomic bool *cancel)
{
	struct spool_check check = {.in = in, .cancel = cancel};
	int r = look_at_all(in, cancel);

	if (r == 0)
		r = drop_strays(in, cancel);
	if (r == 0)
		r = cache_each(in->cache, BLOB_SPOOL, check_blob, &check);
	return r == -ECANCELED ? 0 : r;
}
