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

enum { BATCH = 64 };

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
	pthread_rwlock_init(&in->adopting, NULL);
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
	in->stopping = true;
	captures_free(in);
	closep(&in->dir);
	pthread_rwlock_destroy(&in->adopting);
	pthread_mutex_destroy(&in->lock);
	free(in);
	return NULL;
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

/* ---- what is due ---- */

struct batch {
	struct upload_row row[BATCH];
	size_t n;
};

static int collect(void *user, const struct upload_row *row)
{
	struct batch *b = user;

	b->row[b->n++] = *row;
	return b->n == BATCH;
}

static void drop_temporary(struct ingest *in, const struct upload_row *row)
{
	char name[24];

	log_info("removing temporary upload \"%s\": nobody came back for it in a week", row->name);
	if (catalog_upload_remove(in->cat, row->id) < 0)
		return;
	upload_file_name(row->id, name);
	(void)unlinkat(in->dir, name, 0);
}

static void look_due(struct ingest *in, const struct upload_row *row)
{
	CLEANUP(buf_done) struct buf path = BUF(KEY_MAX * 16);
	struct entry *e = entry_find(in, row->id);
	bool writing = e && entry_has_writers(in, e);

	if (e)
		entry_put(in, e, false);
	if (writing)
		look_later(in, row, row->state, QUIET_US);
	else if (catalog_upload_path(in->cat, row->id, &path) == 0 && path_is_temporary(path.data))
		drop_temporary(in, row);
	else
		consider_id(in, row->id, true);
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
	r = catalog_upload_due(in->cat, INT64_MAX, 1, first_due, &next);
	if (r < 0)
		return r;
	*ret_next_us = next;
	return 0;
}

/* ---- after a crash ---- */

static void recover_entry(struct ingest *in, const struct upload_row *row)
{
	struct entry *e = row->is_dir ? NULL : entry_find(in, row->id);
	char name[24];

	if (e) { /* somebody of this life has it open */
		entry_put(in, e, false);
	} else if (!row->is_dir &&
		   row->state == UPLOAD_REGISTERED) { /* committed, but not yet unlinked */
		upload_file_name(row->id, name);
		(void)unlinkat(in->dir, name, 0);
	} else if (!row->is_dir && row->state == UPLOAD_OPEN) {
		consider_id(in, row->id, false);
	}
}

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
	bool queued = false, needed;
	int r = 0;

	if (*c->cancel)
		return -ECANCELED;
	pthread_rwlock_wrlock(&c->in->adopting);
	needed = catalog_sha_needed(c->in->cat, sha, &queued);
	if (!needed)
		r = cache_drop(c->in->cache, sha, BLOB_SPOOL);
	else if (!queued && c->in->n_targets > 0)
		r = cache_settle(c->in->cache, sha);
	pthread_rwlock_unlock(&c->in->adopting);
	return r == -ENOENT ? 0 : r;
}

struct recovery {
	struct ingest *in;
	int64_t last;
	unsigned n;
};

static int recover_row(void *user, const struct upload_row *row)
{
	struct recovery *r = user;

	r->n++;
	r->last = row->id;
	recover_entry(r->in, row);
	return 0;
}

int ingest_recover(struct ingest *in, _Atomic bool *cancel)
{
	struct spool_check check = {.in = in, .cancel = cancel};
	struct recovery state = {.in = in};
	int r = 0;

	do {
		state.n = 0;
		r = catalog_upload_each(in->cat, state.last, BATCH, recover_row, &state);
	} while (r == 0 && state.n == BATCH && !*cancel);
	if (r == 0)
		r = drop_strays(in, cancel);
	if (r == 0)
		r = cache_each(in->cache, BLOB_SPOOL, check_blob, &check);
	return r == -ECANCELED ? 0 : r;
}
