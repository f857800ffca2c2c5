/* Requests that wait for a worker: parked here, answered by the fetch, the capture or the freezing, or at once with EINTR when the reader gave up.
 *
 * A parked request has two users: the one who starts the work and the work's callback; it is freed when both are done.  Who takes it off
 * fs->parked replies to it, so it is answered once.  The interrupt may come from another thread at any moment, and inside
 * fuse_req_interrupt_func() itself, where replying would free the request under libfuse's feet: `starting` defers it. */
#include "fs_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_US (5 * 1000000LL)

struct parked {
	struct fs *fs;
	fuse_req_t req;
	parked_fn *fn;
	void *data;
	enum { TICKET_FETCH, TICKET_CAPTURE, TICKET_NONE } of;
	int64_t snapshot;            /* what is fetched */
	struct parked *next, **prev; /* fs->lock */
	uint64_t ticket;             /* fs->lock; 0: not known yet */
	unsigned users;              /* fs->lock */
	bool starting, interrupted;  /* fs->lock */
};

static void unlink_parked(struct parked *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	p->prev = NULL;
}

/* True: the caller has to reply. */
static bool claim(struct parked *p)
{
	bool mine;

	pthread_mutex_lock(&p->fs->lock);
	mine = p->prev != NULL;
	if (mine) {
		unlink_parked(p);
		p->fs->answering++;
	}
	pthread_mutex_unlock(&p->fs->lock);
	return mine;
}

static void answered(struct fs *fs)
{
	pthread_mutex_lock(&fs->lock);
	if (--fs->answering == 0)
		pthread_cond_broadcast(&fs->idle);
	pthread_mutex_unlock(&fs->lock);
}

static void answer(struct parked *p, int err, int fd, int64_t snapshot)
{
	p->fn(p->fs, p->req, p->data, err, fd, snapshot);
	answered(p->fs);
}

static void leave(struct parked *p, unsigned shares)
{
	unsigned left;

	pthread_mutex_lock(&p->fs->lock);
	left = p->users -= shares;
	pthread_mutex_unlock(&p->fs->lock);
	if (left > 0)
		return;
	free(p->data);
	free(p);
}

static bool cancel(struct parked *p, uint64_t ticket)
{
	return p->of == TICKET_CAPTURE ? ingest_capture_cancel(p->fs->parts.ingest, ticket)
	       : p->of == TICKET_FETCH ? fetch_cancel(p->fs->parts.fetch, ticket)
				       : false;
}

/* What is left to do for one that was unlinked before its work was done. */
static void give_up(struct parked *p, uint64_t ticket, int err)
{
	(void)fuse_reply_err(p->req, err);
	/* with the callback's share when it will not come */
	leave(p, ticket && cancel(p, ticket) ? 2 : 1);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct fs *fs = data;
	struct parked *p;
	uint64_t ticket = 0;

	pthread_mutex_lock(&fs->lock);
	for (p = fs->parked; p && p->req != req; p = p->next)
		;
	if (p && p->starting) {
		p->interrupted = true;
		p = NULL;
	}
	if (p) {
		unlink_parked(p);
		ticket = p->ticket;
		p->users++; /* ours, while we cancel */
	}
	pthread_mutex_unlock(&fs->lock);
	if (p)
		give_up(p, ticket, EINTR);
}

void parked_end(struct fs *fs)
{
	struct parked *p;

	pthread_mutex_lock(&fs->lock);
	fs->ending = true;
	while ((p = fs->parked)) {
		uint64_t ticket = p->ticket;

		unlink_parked(p);
		p->users++; /* ours */
		pthread_mutex_unlock(&fs->lock);
		give_up(p, ticket, ECANCELED);
		pthread_mutex_lock(&fs->lock);
	}
	while (fs->answering > 0)
		pthread_cond_wait(&fs->idle, &fs->lock);
	pthread_mutex_unlock(&fs->lock);
}

/* 0, or why it cannot be parked. */
static int link_parked(struct parked *p)
{
	struct fs *fs = p->fs;
	bool ending;

	pthread_mutex_lock(&fs->lock);
	ending = fs->ending;
	if (!ending) {
		p->next = fs->parked;
		if (p->next)
			p->next->prev = &p->next;
		p->prev = &fs->parked;
		fs->parked = p;
	}
	pthread_mutex_unlock(&fs->lock);
	return ending ? -ECANCELED : 0;
}

static struct parked *park(struct fs *fs, fuse_req_t req, int of, parked_fn *fn, void *data)
{
	struct parked *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	if (p) {
		*p = (struct parked){.fs = fs,
				     .req = req,
				     .fn = fn,
				     .data = data,
				     .of = of,
				     .users = 2,
				     .starting = true};
		r = link_parked(p);
	}
	if (r < 0) {
		free(data);
		free(p);
		(void)fuse_reply_err(req, -r);
		return NULL;
	}
	fuse_req_interrupt_func(req, on_interrupt, fs);
	pthread_mutex_lock(&fs->lock);
	p->starting = false;
	bool gone = p->interrupted;

	if (gone)
		unlink_parked(p);
	pthread_mutex_unlock(&fs->lock);
	if (!gone)
		return p;
	(void)fuse_reply_err(req, EINTR);
	leave(p, 2);
	return NULL;
}

/* After the work was asked for: r < 0: its callback will not come. */
static void started(struct parked *p, int r, uint64_t ticket)
{
	if (r < 0) {
		if (claim(p))
			answer(p, r, -1, 0);
		leave(p, 2);
	} else {
		pthread_mutex_lock(&p->fs->lock);
		p->ticket = ticket;
		/* interrupted before the ticket was known, or answered meanwhile */
		bool left = p->prev == NULL && p->users > 1;

		pthread_mutex_unlock(&p->fs->lock);
		leave(p, left && cancel(p, ticket) ? 2 : 1);
	}
}

static void finish(struct parked *p, int err, int fd, int64_t snapshot)
{
	if (claim(p))
		answer(p, err, fd, snapshot);
	else if (fd >= 0)
		(void)close(fd);
	leave(p, 1);
}

/* One line per failure: readers who waited for the same picture fail together, and programs try again at once. */
static void complain(struct fs *fs, int64_t snapshot, const char *why)
{
	int64_t now = mono_us();
	struct snap s;
	bool again;

	pthread_mutex_lock(&fs->lock);
	again = fs->complained == snapshot && now - fs->complained_us < AGAIN_US;
	fs->complained = snapshot;
	fs->complained_us = now;
	pthread_mutex_unlock(&fs->lock);
	if (!again && catalog_snap(fs->parts.catalog, snapshot, &s) == 0)
		log_warn("%s cannot be read: %s", s.stem, why);
}

static void fetched(void *user, int err, int fd, const char *why)
{
	const struct parked *p = user;

	if (err < 0 && err != -ECANCELED)
		complain(p->fs, p->snapshot, why && why[0] ? why : strerrordesc_np(-err));
	finish(user, err, fd, 0);
}

static void captured(void *user, int err, int64_t snapshot, const char *why)
{
	finish(user, err, -1, snapshot);
}

void fs_park_fetch(struct fs *fs, fuse_req_t req, int64_t snapshot, parked_fn *fn, void *data)
{
	struct parked *p = park(fs, req, TICKET_FETCH, fn, data);
	uint64_t ticket = 0;

	if (p) {
		p->snapshot = snapshot;
		int r = fetch_start(fs->parts.fetch, snapshot, fetched, p, &ticket);

		started(p, r, ticket);
	}
}

void fs_park_capture(struct fs *fs, fuse_req_t req, int64_t camera, parked_fn *fn, void *data)
{
	struct parked *p = park(fs, req, TICKET_CAPTURE, fn, data);
	uint64_t ticket = 0;

	if (p) {
		int r = ingest_capture(fs->parts.ingest, camera, captured, p, &ticket);

		started(p, r, ticket);
	}
}

static void frozen(void *user, int err)
{
	finish(user, err, -1, 0);
}

void fs_park_freeze(struct fs *fs, fuse_req_t req, int64_t dataset, parked_fn *fn, void *data)
{
	struct parked *p = park(fs, req, TICKET_NONE, fn, data);

	if (p)
		started(p, datasets_wait(fs->parts.datasets, dataset, frozen, p), 0);
}
