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
#define PAUSE_MAX_US INT64_C(600000000)
#define SEND_DEADLINE_US INT64_C(600000000)

struct send {
	struct store_state *st;
	struct outbox_item item;
};

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

/* 0: these very bytes are there already. -ENOENT: nothing is. -EEXIST: something else is. */
static int already_there(struct store_state *st, struct call *c, const struct outbox_item *item,
			 const struct hashes *h, uint64_t size, struct store_head *ret)
{
	char md5[33];
	int r = store_head(st->slot->store, c, item->key, ret);

	if (r < 0)
		return r;
	hex_encode(h->md5, sizeof(h->md5), md5);
	if (ret->size == size &&
	    (ret->meta.has_sha ? memcmp(ret->meta.sha.b, h->sha.b, sizeof(h->sha.b)) == 0
			       : strcmp(ret->etag, md5) == 0))
		return 0;
	if (item->what == OUTBOX_SIDECAR)
		return -ENOENT; /* an older one: it is replaced */
	call_why(
		c,
		"store \"%s\" has another object under \"%s\"; it is not overwritten: move it away",
		st->conf->name, item->key);
	return -EEXIST;
}

static int send_bytes(struct store_state *st, struct call *c, const struct outbox_item *item,
		      int fd, uint64_t size, struct store_head *ret)
{
	struct store_row row;
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
	/* A try that was cut off may have arrived; a bucket never listed may have it from another life. */
	if (item->tries > 0 ||
	    (picture && (catalog_store(st->s->parts.catalog, st->slot->id, false, &row) < 0 ||
			 row.last_scan_us == 0))) {
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

	/* Not here any more, but in another store. */
	return r == -ENOENT ? fetch_wait(st->s->parts.fetch, item->snap.id, c, ret_fd) : r;
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
		r = write_all(fd, text.data, text.len);
	if (r < 0)
		return r;
	*ret_size = text.len;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_item(struct store_state *st, struct call *c, const struct outbox_item *item,
		     struct store_head *ret)
{
	CLEANUP(closep) int fd = -1;
	uint64_t size = item->snap.size;
	int r = item->what == OUTBOX_PICTURE ? open_picture(st, c, item, &fd)
					     : open_sidecar(st, item, &fd, &size);

	return r < 0 ? r : send_bytes(st, c, item, fd, size, ret);
}

/* Every store has it: the spool may let go. */
static void settle(struct sync *s, const struct sha256 *sha)
{
	int r = s->any_local ? cache_drop(s->parts.cache, sha, BLOB_SPOOL)
			     : cache_settle(s->parts.cache, sha);

	if (r < 0 && r != -ENOENT)
		log_warn(
			"cannot move a synced picture out of the spool: %s; tried again at the next start",
			strerror(-r));
}

static void sent(struct store_state *st, const struct outbox_item *item,
		 const struct store_head *head)
{
	bool settled = false, was_down;
	int r = catalog_outbox_done(st->s->parts.catalog, item, head->etag, head->size,
				    head->modified_us, &settled);

	if (r < 0)
		log_err("cannot note that \"%s\" is in store \"%s\": %s", item->key, st->conf->name,
			strerror(-r));
	else if (settled && item->what == OUTBOX_PICTURE)
		settle(st->s, &item->snap.sha);
	pthread_mutex_lock(&st->lock);
	was_down = st->failures > 0;
	st->failures = 0;
	st->pause_us = 0;
	pthread_mutex_unlock(&st->lock);
	if (was_down)
		log_info("store \"%s\" answers again", st->conf->name);
}

/* A store that cannot be reached, or refuses us, pauses as a whole, or every item would knock in turn; other errors are the item's own. */
static void not_sent(struct store_state *st, const struct outbox_item *item, int err,
		     const struct call *c)
{
	char text[256];
	bool store_down = err == -EACCES || (errno_is_transient(err) && err != -EIO), first;
	int64_t pause = retry_pause_us(item->tries + 1, PAUSE_BASE_US, PAUSE_MAX_US,
				       c->retry_after_us);

	(void)snprintf(text, sizeof(text), "%s", c->why[0] ? c->why : strerror(-err));
	pthread_mutex_lock(&st->lock);
	first = store_down && st->failures == 0;
	if (store_down) {
		st->failures++;
		st->pause_us = now_us() + retry_pause_us(st->failures, PAUSE_BASE_US,
							 PAUSE_MAX_US / 10, c->retry_after_us);
	}
	pthread_mutex_unlock(&st->lock);
	if (first)
		log_warn("store \"%s\" does not take uploads now: %s; they stay queued",
			 st->conf->name, text);
	else if (!store_down && item->error[0] == '\0')
		log_err("cannot send \"%s\" to store \"%s\": %s; tried again later", item->key,
			st->conf->name, text);
	if (catalog_outbox_failed(st->s->parts.catalog, item, now_us() + pause, text) < 0)
		log_err("cannot note the failure of \"%s\"", item->key);
}

static void send_job(void *arg)
{
	CLEANUP(freep) struct send *job = arg;
	struct store_state *st = job->st;
	struct store_head head = {0};
	struct call c = {.deadline_us = mono_us() + SEND_DEADLINE_US, .cancel = &st->s->stopping};
	int r = st->s->stopping ? -ECANCELED : send_item(st, &c, &job->item, &head);

	if (r == 0)
		sent(st, &job->item, &head);
	else if (r != -ECANCELED) /* cancelled: the next start finds it as it was */
		not_sent(st, &job->item, r, &c);
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
	if (r != -ESHUTDOWN)
		(void)!catalog_outbox_failed(st->s->parts.catalog, item, now_us() + PAUSE_BASE_US,
					     "too many uploads at once");
	pthread_mutex_lock(&st->lock);
	st->in_flight--;
	pthread_mutex_unlock(&st->lock);
	return 0;
}

/* How many may be claimed now; they count as in flight from here on. */
static unsigned reserve(struct store_state *st)
{
	unsigned max, room = 0;

	pthread_mutex_lock(&st->lock);
	max = st->failures ? 1 : st->conf->threads; /* one feels whether it is back */
	if (now_us() >= st->pause_us && st->in_flight < max && (st->in_flight <= max / 2))
		room = max - st->in_flight;
	st->in_flight += room;
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

	if (room == 0)
		return;
	int r = catalog_outbox_claim(st->s->parts.catalog, st->slot->id, now_us(), room, claimed,
				     &c);

	if (r < 0)
		log_err("cannot read the queue of store \"%s\": %s", st->conf->name, strerror(-r));
	if (c.n < room) /* -ENOENT: empty, and due stays where it is */
		(void)!catalog_outbox_next(st->s->parts.catalog, st->slot->id, &due);
	pthread_mutex_lock(&st->lock);
	st->in_flight -= room - c.n;
	st->next_due_us = c.n == room ? 0 : due;
	pthread_mutex_unlock(&st->lock);
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

struct leftover {
	int64_t now_us;
	unsigned open; /* not tried since, or being tried */
	char first[256];
};

static int count_left(void *user, const struct outbox_item *item)
{
	struct leftover *l = user;

	if (item->error[0] == '\0' || item->next_us <= l->now_us)
		l->open++;
	else if (l->first[0] == '\0')
		(void)snprintf(l->first, sizeof(l->first), "%s", item->error);
	return l->open > 0;
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

/* 1: all done, -EIO: only failing ones are left, 0: go on waiting. */
static int drained(struct sync *s, struct call *c, const struct catalog_totals *t)
{
	struct leftover left = {.now_us = now_us()};

	if (t->queue_waiting + t->queue_failed == 0)
		return t->uploads_waiting == 0;
	if (t->uploads_waiting || in_flight(s))
		return 0;
	if (catalog_outbox_list(s->parts.catalog, 0, UINT32_MAX, count_left, &left) < 0 ||
	    left.open || left.first[0] == '\0')
		return 0;
	call_why(c, "%lld uploads could not be sent; the first: %s",
		 (long long)(t->queue_waiting + t->queue_failed), left.first);
	return -EIO;
}

int sync_drain(struct sync *s, bool wait, struct call *c, progress_fn *fn, void *user)
{
	struct catalog_totals t;
	uint64_t most = 0;
	int r = catalog_outbox_retry_now(s->parts.catalog), done = 0;

	for (size_t i = 0; r == 0 && i < s->n_stores; i++)
		pump_resume(&s->store[i]);
	sync_kick(s, 0);
	while (r == 0 && wait && done == 0) {
		r = catalog_totals(s->parts.catalog, &t);
		if (r < 0)
			break;
		uint64_t left = (uint64_t)(t.queue_waiting + t.queue_failed + t.uploads_waiting);

		most = left > most ? left : most;
		done = drained(s, c, &t);
		if (fn && fn(user, most - left, most, "uploads") != 0)
			r = -ECANCELED;
		if (r == 0 && done == 0)
			r = retry_sleep(c, 100000);
	}
	return r < 0 ? r : done < 0 ? done : 0;
}
