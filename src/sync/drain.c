/* The outbox: due items go to their store, a bounded number at a time, each on its own; what failed comes again later. */
#include "sync_private.h"

#include "shutterfs/codec.h"
#include "shutterfs/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAUSE_BASE_US INT64_C(1000000)
#define SEND_DEADLINE_US INT64_C(600000000)
#define NOTE_PAUSE_US INT64_C(2000000)
#define UPLOADS_SETTLE_US \
	INT64_C(11000000) /* within that every upload has been looked at for good */

struct send {
	struct store_state *st;
	struct outbox_item item;
	int64_t began_us; /* mono_us */
	bool asked;       /* the store was: a failure may be its own */
};

static void due_at(struct store_state *st, int64_t due_us)
{
	pthread_mutex_lock(&st->lock);
	if (due_us < st->next_due_us)
		st->next_due_us = due_us;
	pthread_mutex_unlock(&st->lock);
}

static void fill_meta(const struct outbox_item *item, const struct sha256 *sha,
		      struct store_meta *ret)
{
	struct civil c;
	unsigned dup;
	size_t n;

	*ret = (struct store_meta){.sha = *sha, .has_sha = true};
	if (stem_parse(item->snap.stem, &c, &dup, ret->camera) < 0)
		return;
	n = strlen(item->snap.stem) - strlen(ret->camera) - 1;
	(void)snprintf(ret->img_id, sizeof(ret->img_id), "%.*s", (int)n, item->snap.stem);
}

static int hash_sink(void *user, const void *data, size_t len)
{
	return hash_add(user, data, len);
}

/* An object without our metadata (a disk without xattrs, another writer's upload) whose etag is no MD5: its bytes tell. */
static int compare_bytes(struct store_state *st, struct call *c, const char *key, uint64_t size,
			 const struct hashes *want, bool *ret_same)
{
	struct hash *hash;
	struct hashes got;
	struct store_head head;
	int r = hash_new(&hash);

	if (r < 0)
		return r;
	r = store_get(st->slot->store, c, key, size, hash_sink, hash, &head);
	if (r == 0)
		r = hash_end(hash, &got);
	(void)hash_free(hash);
	if (r == 0)
		*ret_same = memcmp(got.sha.b, want->sha.b, sizeof(got.sha.b)) == 0;
	return r;
}

/* 0: these very bytes are there already. -ENOENT: nothing is. -EEXIST: something else is. */
static int already_there(struct store_state *st, struct call *c, const struct outbox_item *item,
			 const struct hashes *h, uint64_t size, struct store_head *ret)
{
	char md5[33];
	bool same = false;
	int r = store_head(st->slot->store, c, item->key, ret);

	if (r < 0)
		return r;
	hex_encode(h->md5, sizeof(h->md5), md5);
	if (ret->size == size && ret->meta.has_sha)
		same = memcmp(ret->meta.sha.b, h->sha.b, sizeof(h->sha.b)) == 0;
	else if (ret->size == size && strcmp(ret->etag, md5) == 0)
		same = true;
	else if (ret->size == size && item->what == OUTBOX_PICTURE)
		r = compare_bytes(st, c, item->key, size, h, &same);
	if (r < 0 || same)
		return r;
	if (item->what == OUTBOX_SIDECAR)
		return -ENOENT; /* an older one: it is replaced */
	call_why(
		c,
		"store \"%s\" has another object under \"%s\"; it is not overwritten: move it away",
		st->conf->name, item->key);
	return -EEXIST;
}

static int send_bytes(struct send *job, struct call *c, int fd, uint64_t size,
		      struct store_head *ret)
{
	struct store_state *st = job->st;
	const struct outbox_item *item = &job->item;
	struct store_meta meta;
	struct hashes h;
	bool picture = item->what == OUTBOX_PICTURE;
	int r = hash_fd(fd, &h);

	if (r < 0)
		return r;
	if (picture && memcmp(h.sha.b, item->snap.sha.b, sizeof(h.sha.b)) != 0) {
		call_why(c,
			 "the spooled bytes of \"%s\" are damaged on this disk; they are not sent",
			 item->snap.stem);
		return -EUCLEAN;
	}
	job->asked = true;
	r = content_check(st, c);
	if (r < 0)
		return r;
	/* A try that was cut off may have arrived. */
	if (item->tries > 0 || (picture && content_may_be_ours(st, c))) {
		r = already_there(st, c, item, &h, size, ret);
		if (r != -ENOENT)
			return r;
		c->why[0] = '\0';
	}
	fill_meta(item, &h.sha, &meta);
	return store_put(st->slot->store, c, item->key, fd, size,
			 picture ? "image/jpeg" : "application/json", &h.sha, h.md5, &meta, ret);
}

static int open_picture(struct store_state *st, struct call *c, const struct outbox_item *item,
			int *ret_fd)
{
	int r = item->snap.has_sha ? cache_open(st->s->parts.cache, &item->snap.sha, ret_fd)
				   : -ENOENT;

	if (r == -EBADMSG)
		call_why(c, "its bytes in the spool were damaged by a power cut");
	/* Not here any more, but in another store. */
	return r == -ENOENT ? fetch_wait(st->s->parts.fetch, item->snap.id, c, ret_fd) : r;
}

enum { HISTORY_KEY = 16 }; /* bytes around the value */

/* As much of what was there before as a sidecar has room for. */
static int add_history(struct store_state *st, const struct outbox_item *item, struct sidecar *s,
		       struct buf *text)
{
	int r = 0;

	if (text->len + HISTORY_KEY < SIDECAR_BYTES)
		r = catalog_history_json(st->s->parts.catalog, item->snap.id,
					 SIDECAR_BYTES - text->len - HISTORY_KEY, &s->history);
	if (r < 0 || !s->history)
		return r;
	text->len = 0;
	return sidecar_render(s, text);
}

static int open_sidecar(struct store_state *st, const struct outbox_item *item, int *ret_fd,
			uint64_t *ret_size)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(closep) int fd = memfd_create("sidecar", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : catalog_sidecar(st->s->parts.catalog, item->snap.id, &s);

	if (r == 0) {
		s.state = STATE_SYNCED; /* whoever reads it there has it from a store */
		r = sidecar_render(&s, &text);
	}
	if (r == 0)
		r = add_history(st, item, &s, &text);
	if (r == 0)
		r = write_all(fd, text.data, text.len);
	if (r < 0)
		return r;
	*ret_size = text.len;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_item(struct send *job, struct call *c, struct store_head *ret)
{
	const struct outbox_item *item = &job->item;
	CLEANUP(closep) int fd = -1;
	uint64_t size = item->snap.size;
	int r = item->what == OUTBOX_PICTURE ? open_picture(job->st, c, item, &fd)
					     : open_sidecar(job->st, item, &fd, &size);

	return r < 0 ? r : send_bytes(job, c, fd, size, ret);
}

/* How an item ended must not be forgotten, or it stays under way until the next start: the catalog's disk may have room again. */
static bool noted(struct store_state *st, const struct outbox_item *item, int r, bool *complained)
{
	struct call c = {.cancel = &st->s->stopping};

	if (r == 0 || r == -ENOENT)
		return true;
	if (!*complained)
		log_err("cannot note what became of \"%s\" in store \"%s\": %s; tried again",
			item->key, st->conf->name, strerror(-r));
	*complained = true;
	return retry_sleep(&c, NOTE_PAUSE_US) < 0;
}

static void sent(const struct send *job, const struct store_head *head)
{
	struct store_state *st = job->st;
	const struct outbox_item *item = &job->item;
	bool settled = false, was_down, complained = false;
	int r;

	do
		r = catalog_outbox_done(st->s->parts.catalog, item, head->etag, head->size,
					head->modified_us, &settled);
	while (!noted(st, item, r, &complained));
	if (r == 0 && settled && item->what == OUTBOX_PICTURE)
		ingest_settle_when_durable(st->s->parts.ingest, &item->snap.sha, !st->s->any_local);
	pthread_mutex_lock(&st->lock);
	was_down = st->failures > 0 && job->began_us >= st->failed_us; /* else it began before */
	if (was_down) {
		st->failures = 0;
		st->pause_us = 0;
	}
	pthread_mutex_unlock(&st->lock);
	if (was_down)
		log_info("store \"%s\" answers again", st->conf->name);
}

/* A store that cannot be reached, or refuses us, pauses as a whole, or every item would knock in turn; other errors are the item's own. */
static bool is_the_store(const struct send *job, int err)
{
	switch (err) {
	case -EACCES:
	case -ENOSPC:
	case -EDQUOT:
	case -EROFS:
	case -ENODATA: /* content_check */
		return job->asked;
	case -EIO: /* of this object, until others say the same */
		return false;
	default:
		return job->asked && errno_is_transient(err);
	}
}

/* True: it was well before. Those that were under way when the pause began do not make it longer. */
static bool store_failed(struct store_state *st, const char *why, int64_t retry_after_us)
{
	int64_t max = retry_after_us > 0 ? PAUSE_MAX_US : PAUSE_MAX_US / 10, now = now_us();
	bool first;

	pthread_mutex_lock(&st->lock);
	first = st->failures == 0;
	if (now >= st->pause_us) {
		st->failures++;
		st->pause_us = now + PAUSE_BASE_US / 4 +
			       retry_pause_us(st->failures, PAUSE_BASE_US, max, retry_after_us);
	}
	st->failed_us = mono_us();
	(void)snprintf(st->why, sizeof(st->why), "%s", why);
	pthread_mutex_unlock(&st->lock);
	return first;
}

static void not_sent(const struct send *job, int err, const struct call *c)
{
	struct store_state *st = job->st;
	const struct outbox_item *item = &job->item;
	char text[256];
	bool store_down = is_the_store(job, err), first = false, complained = false;
	int64_t next = now_us() + retry_pause_us(item->tries + 1, PAUSE_BASE_US, PAUSE_MAX_US,
						 c->retry_after_us);
	int r;

	(void)snprintf(text, sizeof(text), "%s", c->why[0] ? c->why : strerror(-err));
	if (store_down)
		first = store_failed(st, text, c->retry_after_us);
	if (job->asked)
		store_in_trouble(st);
	if (first)
		log_warn("store \"%s\" does not take uploads now: %s; they stay queued",
			 st->conf->name, text);
	else if (!store_down && item->error[0] == '\0')
		log_err("cannot send \"%s\" to store \"%s\": %s; tried again later", item->key,
			st->conf->name, text);
	do
		r = catalog_outbox_failed(st->s->parts.catalog, item, next, text);
	while (!noted(st, item, r, &complained));
	due_at(st, next);
}

static void send_job(void *arg)
{
	CLEANUP(freep) struct send *job = arg;
	struct store_state *st = job->st;
	struct store_head head = {0};
	struct call c = {.deadline_us = mono_us() + SEND_DEADLINE_US, .cancel = &st->s->stopping};

	job->began_us = mono_us();
	int r = st->s->stopping ? -ECANCELED : send_item(job, &c, &head);

	if (r == 0)
		sent(job, &head);
	else if (r != -ECANCELED) /* cancelled: the next start finds it as it was */
		not_sent(job, r, &c);
	pthread_mutex_lock(&st->lock);
	st->in_flight--;
	pthread_mutex_unlock(&st->lock);
	pump(st);
}

static int hand_out(void *user, const struct outbox_item *item)
{
	struct store_state *st = user;
	struct send *job = malloc(sizeof(*job));
	int r = job ? 0 : -ENOMEM;

	if (r == 0) {
		*job = (struct send){.st = st, .item = *item};
		r = pool_run(st->pool, send_job, job);
	}
	if (r == 0)
		return 0;
	free(job);
	if (r != -ESHUTDOWN) {
		(void)!catalog_outbox_failed(st->s->parts.catalog, item, now_us() + PAUSE_BASE_US,
					     "too many uploads at once");
		due_at(st, now_us() + PAUSE_BASE_US);
	}
	pthread_mutex_lock(&st->lock);
	st->in_flight--;
	pthread_mutex_unlock(&st->lock);
	return 0;
}

/* How many may be claimed now; they count as in flight from here on.  As many as are under way wait in the pool, so that no
 * thread idles while more are claimed; claiming a whole batch at a time costs one commit. */
static unsigned reserve(struct store_state *st)
{
	unsigned max, room = 0;

	if (ingest_is_busy(st->s->parts.ingest)) { /* whoever uploads waits for his close */
		due_at(st, now_us() + INGEST_GAP_US);
		return 0;
	}
	pthread_mutex_lock(&st->lock);
	max = st->failures ? 1 : 2 * st->conf->threads; /* one feels whether it is back */
	if (now_us() >= st->pause_us && st->in_flight <= max / 2)
		room = max - st->in_flight;
	st->in_flight += room;
	if (room)
		st->next_due_us = INT64_MAX; /* what is said from here on must stay */
	pthread_mutex_unlock(&st->lock);
	return room;
}

struct claiming {
	struct store_state *st;
	unsigned n;
};

static int claimed(void *user, const struct outbox_item *item)
{
	struct claiming *c = user;

	c->n++;
	return hand_out(c->st, item);
}

void pump(struct store_state *st)
{
	struct claiming c = {.st = st};
	int64_t due = INT64_MAX;
	unsigned room = st->s->stopping ? 0 : reserve(st);
	bool readable;

	if (room == 0)
		return;
	int r = catalog_outbox_claim(st->s->parts.catalog, st->slot->id, now_us(), room, claimed,
				     &c);

	readable = r >= 0;
	if (readable && c.n == room)
		due = 0; /* perhaps there is more */
	else if (readable)
		r = catalog_outbox_next(st->s->parts.catalog, st->slot->id, &due);
	if (r < 0 && r != -ENOENT)
		due = now_us() + NOTE_PAUSE_US;
	pthread_mutex_lock(&st->lock);
	st->in_flight -= room - c.n;
	if (!readable && !st->unreadable)
		log_err("cannot read the queue of store \"%s\": %s", st->conf->name, strerror(-r));
	st->unreadable = !readable;
	pthread_mutex_unlock(&st->lock);
	due_at(st, due);
}

void pump_resume(struct store_state *st)
{
	pthread_mutex_lock(&st->lock);
	st->pause_us = 0;
	st->next_due_us = 0;
	pthread_mutex_unlock(&st->lock);
	pump(st);
}

/* ---- sync --wait ---- */

enum { STORE_DOWN = 3 }; /* failures in a row: no mere hiccup */

struct wait {
	struct sync *s;
	int64_t began_us, began_mono_us;
	unsigned open;    /* items not tried since */
	unsigned failing; /* others */
	char first[256];  /* why the first of those */
};

/* Why an item is not to be waited for: it failed since, or its store did. False: it may still be sent. */
static bool is_failing(struct wait *w, const struct outbox_item *item, char why[256])
{
	struct store_state *st = store_state_by_id(w->s, item->store);
	bool failing = false;

	(void)snprintf(why, 256, "%s", item->error);
	if (!st) {
		(void)snprintf(why, 256, "its store is not in the config any more");
		return true;
	}
	/* All were due when the waiting began; a sidecar's time moves with its picture's. */
	if ((item->error[0] && item->error_us >= w->began_us) || item->next_us > now_us())
		return true;
	pthread_mutex_lock(&st->lock);
	if (st->failures >= STORE_DOWN && st->failed_us >= w->began_mono_us) {
		failing = true;
		(void)snprintf(why, 256, "%s", st->why);
	}
	pthread_mutex_unlock(&st->lock);
	return failing;
}

static int count_open(void *user, const struct outbox_item *item)
{
	struct wait *w = user;
	char why[256];

	if (!is_failing(w, item, why))
		w->open++;
	else if (w->failing++ == 0)
		memcpy(w->first, why, sizeof(why));
	return w->open > 0;
}

static int count_note(void *user, const struct note_item *item)
{
	struct wait *w = user;
	struct outbox_item like = {
		.store = item->store, .next_us = item->next_us, .error_us = item->error_us};

	memcpy(like.error, item->error, sizeof(like.error));
	return count_open(w, &like);
}

static unsigned in_flight(struct sync *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_stores; i++) {
		pthread_mutex_lock(&s->store[i].lock);
		n += s->store[i].in_flight;
		pthread_mutex_unlock(&s->store[i].lock);
	}
	return n;
}

static int count_upload(void *user, const struct upload_row *row)
{
	++*(uint64_t *)user;
	return 0;
}

/* 1: all done, -EIO: only failing ones are left, 0: go on waiting. */
static int drained(struct wait *w, struct call *c, uint64_t queued, uint64_t uploads)
{
	if (!w->s->recovered || uploads || follow_busy(w->s))
		return 0;
	if (in_flight(w->s))
		return 0;
	if (queued == 0)
		return 1;
	w->open = w->failing = 0;
	if (catalog_outbox_list(w->s->parts.catalog, 0, UINT32_MAX, count_open, w) < 0 || w->open ||
	    catalog_note_queue(w->s->parts.catalog, count_note, w) < 0 || w->open ||
	    in_flight(w->s) || !w->failing) /* none: the last one went just now */
		return 0;
	call_why(c, "%u uploads could not be sent; the first: %s", w->failing, w->first);
	return -EIO;
}

static int wait_drained(struct sync *s, struct call *c, struct progress *p)
{
	struct wait w = {.s = s, .began_us = now_us(), .began_mono_us = mono_us()};
	struct catalog_totals t;
	uint64_t most = 0;

	for (;;) {
		uint64_t uploads = 0, queued;
		/* Not what waits for a name or a picture, nor what comes while we wait. */
		int r = catalog_upload_due(s->parts.catalog, w.began_us + UPLOADS_SETTLE_US, 10000,
					   count_upload, &uploads);

		if (r == 0)
			r = catalog_totals(s->parts.catalog, &t);
		if (r < 0)
			return r;
		queued = (uint64_t)t.queue_waiting; /* with the failed ones */
		r = drained(&w, c, queued, uploads);
		if (r != 0) { /* what was sent is known for good, and out of the spool */
			int sync = ingest_fsync_all(s->parts.ingest);

			return r < 0 ? r : sync;
		}
		most = queued + uploads > most ? queued + uploads : most;
		r = progress_tell(p, most - queued - uploads, most, "uploads");
		if (r == 0)
			r = retry_sleep(c, 50000);
		if (r < 0)
			return r;
	}
}

int sync_drain(struct sync *s, bool wait, struct call *c, progress_fn *fn, void *user)
{
	struct progress p = {.fn = fn, .user = user};
	int r = catalog_outbox_retry_now(s->parts.catalog);

	if (r == 0)
		r = catalog_note_retry_now(s->parts.catalog);

	for (size_t i = 0; r == 0 && i < s->n_stores; i++)
		pump_resume(&s->store[i]);
	notes_resume(s);
	follow_now(s);
	sync_kick(s, 0);
	return r == 0 && wait ? wait_drained(s, c, &p) : r;
}
