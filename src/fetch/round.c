/* round.c - rounds over the places of a snapshot: local bytes, local stores, remote stores; then a pause; then again.
 *
 * Each round asks the catalog anew, so that what a scan learnt meanwhile counts. */
#define LOG_ROOM "fetch"
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define PAUSE_BASE_US 250000
#define PAUSE_MAX_US 15000000

int errno_for_reader(int err)
{
	switch (err) {
	case -ESTALE:
	case -EACCES:
	case -ETIMEDOUT:
	case -ENOSPC:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ECANCELED:
		return err;
	case -ENOENT:
		return -ESTALE;
	case -EDQUOT:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static enum rank rank_of(int err)
{
	if (err == -ENOENT || err == -ESTALE)
		return RANK_GONE;
	if (err == -EBADMSG)
		return RANK_BAD;
	return errno_is_transient(err) ? RANK_PASSING : RANK_FINAL;
}

/* Full jitter below a ceiling that doubles. */
static int64_t pause_us(const struct flight *fl)
{
	int64_t ceiling = fl->round < 7 ? PAUSE_BASE_US << fl->round : PAUSE_MAX_US;
	uint64_t dice = 0;

	if (fl->after_us > 0)
		return fl->after_us;
	if (getrandom(&dice, sizeof(dice), 0) != sizeof(dice))
		dice = (uint64_t)mono_us();
	return (int64_t)(dice % (uint64_t)(ceiling < PAUSE_MAX_US ? ceiling : PAUSE_MAX_US));
}

/* ---- which places, in which order ---- */

static struct slot *slot_of(const struct fetch *f, int64_t store)
{
	for (size_t i = 0; i < f->n_slots; i++)
		if (f->slot[i].id == store)
			return &f->slot[i];
	return NULL;
}

/* Local stores first, each kind in the order of the config; slots are in that order. */
static int place_cmp(const void *a, const void *b, void *user)
{
	const struct slot *x = slot_of(user, ((const struct place *)a)->store);
	const struct slot *y = slot_of(user, ((const struct place *)b)->store);

	if (x->local != y->local)
		return x->local ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int places_load(struct fetch *f, int64_t snapshot, struct place **ret, size_t *ret_n)
{
	CLEANUP(freep) struct place *all = calloc(PLACES_MAX, sizeof(*all));
	size_t n, kept = 0;

	if (!all)
		return -ENOMEM;
	int r = catalog_places(f->catalog, snapshot, all, PLACES_MAX, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (slot_of(f, all[i].store))
			all[kept++] = all[i];
	if (n && !kept)
		return -ENOLINK;
	if (kept)
		qsort_r(all, kept, sizeof(*all), place_cmp, f);
	struct place *fit = reallocarray(all, kept + 1,
					 sizeof(*all)); /* a queue of flights keeps these */
	if (!fit)
		return -ENOMEM;
	(void)TAKE(all);
	*ret = fit;
	*ret_n = kept;
	return 0;
}

/* ---- local bytes ---- */

static int open_blob(struct fetch *f, const struct snap *s, int *ret_fd)
{
	CLEANUP(closep) int fd = -1;
	struct stat st;

	if (!s->has_sha || cache_open(f->cache, &s->sha, &fd) < 0)
		return -ENODATA;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != s->size) {
		/* torn by a power cut; what the spool has is durable, so this is the cache's */
		(void)!cache_drop(f->cache, &s->sha, BLOB_CACHE);
		return -ENODATA;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_local_store(struct fetch *f, const struct snap *s, int *ret_fd)
{
	CLEANUP(freep) struct place *place = NULL;
	size_t n = 0;

	if (!f->n_local || !s->has_sha || !s->replicas || places_load(f, s->id, &place, &n) < 0)
		return -ENODATA;
	for (size_t i = 0; i < n; i++) {
		const struct slot *slot = slot_of(f, place[i].store);

		if (slot->local && local_place_open(slot, &place[i], s, ret_fd) == 0)
			return 0;
	}
	return -ENODATA;
}

int fetch_blob(struct fetch *f, const struct snap *s, int *ret_fd)
{
	int r = open_blob(f, s, ret_fd);

	if (r == 0)
		atomic_fetch_add(&f->hits, 1);
	return r;
}

bool fetch_used(struct fetch *f, const struct snap *s)
{
	return s->has_sha && cache_used(f->cache, &s->sha);
}

int fetch_in_place(struct fetch *f, const struct snap *s, int *ret_fd)
{
	int r = open_local_store(f, s, ret_fd);

	if (r == 0)
		atomic_fetch_add(&f->hits, 1);
	return r;
}

void fetch_expect(struct fetch *f, const struct snap *s)
{
	if (s->has_sha)
		cache_expect(f->cache, &s->sha);
}

int fetch_local(struct fetch *f, const struct snap *s, int *ret_fd)
{
	int r = fetch_blob(f, s, ret_fd);

	return r == -ENODATA ? fetch_in_place(f, s, ret_fd) : r;
}

bool fetch_is_local(struct fetch *f, const struct snap *s)
{
	CLEANUP(freep) struct place *place = NULL;
	size_t n = 0;

	if (s->queued || (s->replicas && f->n_local == f->n_slots))
		return true; /* the spool has it; there is no store but local ones */
	if (s->has_sha && cache_has(f->cache, &s->sha, NULL))
		return true;
	if (!f->n_local || !s->replicas || places_load(f, s->id, &place, &n) < 0 || !n)
		return false;
	return slot_of(f, place[0].store)->local;
}

/* ---- the rounds ---- */

static void round_end(struct flight *fl)
{
	bool again = fl->rank == RANK_PASSING ||
		     (fl->rank == RANK_BAD && ++fl->bad_tries < BAD_TRIES);

	if (again) {
		int64_t pause = pause_us(fl);

		fl->round++;
		if (flight_sleep(fl, pause))
			return;
	}
	flight_finish(fl, errno_for_reader(fl->error), -1, fl->why);
}

static void next_place(struct flight *fl)
{
	if (fl->at == fl->n_places)
		round_end(fl);
	else
		flight_queue(fl, slot_of(fl->f, fl->place[fl->at].store));
}

static const char *why_nowhere(int err)
{
	return err == -ENOLINK ? "the stores that have it are not in the config"
			       : "the catalog cannot be read";
}

void round_start(void *arg)
{
	struct flight *fl = arg;
	struct fetch *f = fl->f;
	int64_t deadline_us;
	int fd;

	if (!flight_goes_on(fl, false, &deadline_us))
		return;
	int r = catalog_snap(f->catalog, fl->snapshot, &fl->snap);
	if (r == -ENOENT) {
		flight_finish(fl, -ESTALE, -1, "the snapshot is gone");
		return;
	}
	if (r == 0) {
		r = fetch_local(f, &fl->snap, &fd);
		if (r == 0) {
			flight_finish(fl, 0, fd, "");
			return;
		}
	}
	freep(&fl->place);
	fl->place = NULL;
	fl->n_places = fl->at = 0;
	fl->rank = RANK_NONE;
	fl->after_us = 0;
	if (r == -ENODATA)
		r = places_load(f, fl->snapshot, &fl->place, &fl->n_places);
	if (r < 0)
		flight_finish(fl, errno_for_reader(r), -1, why_nowhere(r));
	else if (!fl->n_places)
		flight_finish(fl, -ESTALE, -1, "no store has it any more");
	else
		next_place(fl);
}

/* Its rank; a scan that met another object there meanwhile makes it worth another round. */
static enum rank note_gone(struct flight *fl, const struct place *p)
{
	int r = catalog_replica_lost(fl->f->catalog, fl->snapshot, p);

	if (r == -ESTALE)
		return RANK_BAD;
	if (r < 0)
		log_debug("the loss of a copy is not noted: %s", strerrordesc_np(-r));
	fetch_tell(fl->f, fl->snapshot, p->store);
	return RANK_GONE;
}

/* A place that failed: the worst outcome speaks for the round, the first of equals. */
static void note_failure(struct flight *fl, const struct place *p, int err, const struct call *c)
{
	enum rank rank = rank_of(err);

	log_debug("\"%s\" from %s", fl->snap.stem, c->why);
	if (rank == RANK_GONE) {
		rank = note_gone(fl, p);
		err = -ESTALE;
	} else if (store_was_replaced(slot_of(fl->f, p->store)->store)) {
		fetch_tell(fl->f, fl->snapshot, p->store);
	}
	if (rank == RANK_PASSING && c->retry_after_us > 0 &&
	    (!fl->after_us || c->retry_after_us < fl->after_us))
		fl->after_us = c->retry_after_us;
	if (rank > fl->rank) {
		fl->rank = rank;
		flight_note(fl, err, c->why);
	}
}

/* One hanging store must not eat the time in which the next one could answer. */
static int64_t share_of_time(const struct flight *fl, int64_t deadline_us)
{
	int64_t now = mono_us();

	if (now >= deadline_us) /* all waiters left: the bytes are wanted all the same */
		deadline_us = now + fl->f->patience_us;
	return now + (deadline_us - now) / (int64_t)(fl->n_places - fl->at);
}

void flight_try(struct flight *fl)
{
	struct fetch *f = fl->f;
	int64_t deadline_us;
	int fd;

	if (!flight_goes_on(fl, fl->begun, &deadline_us))
		return;
	fl->begun = true;
	const struct place *p = &fl->place[fl->at];
	const struct slot *slot = slot_of(f, p->store);
	if (!slot->local && flight_is_spare(fl) && !cache_spare(f->cache, fl->snap.size) &&
	    flight_drop(fl, -ENOSPC))
		return; /* the cache is full of what was used lately, and still nobody asked for this */
	struct call c = {.deadline_us = share_of_time(fl, deadline_us), .cancel = &f->cancel};
	int r = place_fetch(fl, slot, p, &c, &fd);
	if (r == 0) {
		flight_finish(fl, 0, fd, "");
		return;
	}
	note_failure(fl, p, r, &c);
	fl->at++;
	next_place(fl);
}
