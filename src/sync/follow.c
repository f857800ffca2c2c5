/* What follows edits by itself: the sidecars of a renamed label's pictures, names that were empty for long enough, and pictures in
 * the trash whose time is over. */
#include "sync_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RELABEL_STEP = 500, TRASH_STEP = 100, OBJECTS = 64 };
#define LOOK_US INT64_C(30000000)
#define TRASH_RETRY_US INT64_C(600000000)
#define DELETE_DEADLINE_US INT64_C(60000000)

/* ---- the trash ---- */
struct objects {
	struct kept {
		int64_t store;
		char key[KEY_MAX + 1], etag[160];
	} item[OBJECTS];
	size_t n;
};

struct purge {
	struct thrown {
		int64_t id;
		bool has_sha;
		struct sha256 sha;
	} item[TRASH_STEP];
	size_t n;
};

static int note_thrown(void *user, const struct trash_row *row)
{
	struct purge *p = user;

	p->item[p->n++] = (struct thrown){row->snap.id, row->snap.has_sha, row->snap.sha};
	return 0;
}

static int keep_object(void *user, int64_t store, const char *key, const char *etag, bool sidecar)
{
	struct objects *o = user;
	struct kept *k = &o->item[o->n++];

	k->store = store;
	(void)snprintf(k->key, sizeof(k->key), "%s", key);
	(void)snprintf(k->etag, sizeof(k->etag), "%s", etag);
	return o->n == OBJECTS;
}

/* Only the very object that was recorded; what somebody else has put under its key since is not ours to delete. */
static int delete_object(struct sync *s, struct call *c, const struct kept *k)
{
	struct store *store = store_by_id(s, k->store);
	struct store_head head;
	int r;

	if (!store) /* not in the config any more */
		return 0;
	r = store_head(store, c, k->key, &head);
	if (r == 0 && (k->etag[0] == '\0' || strcmp(k->etag, head.etag) == 0))
		r = store_delete(store, c, k->key);
	if (r < 0 && r != -ENOENT)
		return r;
	return catalog_object_deleted(s->parts.catalog, k->store, k->key);
}

static int delete_objects(struct sync *s, struct call *c, int64_t id)
{
	CLEANUP(freep) struct objects *o = calloc(1, sizeof(*o));
	int r = o ? catalog_objects(s->parts.catalog, id, keep_object, o) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		int e = delete_object(s, c, &o->item[i]);

		r = e < 0 ? e : r;
	}
	return r > 0 ? -EAGAIN : r; /* there may be more */
}

static void purge_one(struct sync *s, const struct thrown *t)
{
	struct call c = {.deadline_us = mono_us() + DELETE_DEADLINE_US, .cancel = &s->stopping};
	bool back = false;
	int r = catalog_trash_final(s->parts.catalog, t->id, &back);

	if (r == 0 && !back)
		r = delete_objects(s, &c, t->id);
	if (r == 0 && !back)
		r = catalog_trash_purged(s->parts.catalog, t->id);
	if (r == 0 && !back && t->has_sha)
		r = ingest_settle(s->parts.ingest, &t->sha, true);
	if (r == 0 || r == -ECANCELED)
		return;
	log_warn("a picture in the trash cannot be deleted now: %s; tried again later",
		 c.why[0] ? c.why : strerror(-r));
	(void)!catalog_trash_later(s->parts.catalog, t->id, now_us() + TRASH_RETRY_US);
}

static int purge(struct sync *s)
{
	struct purge p = {.n = 0};
	int r = catalog_trash_due(s->parts.catalog, now_us(), TRASH_STEP, note_thrown, &p);

	for (size_t i = 0; i < p.n && !s->stopping; i++)
		purge_one(s, &p.item[i]);
	return r;
}

/* ---- the job ---- */
static int relabel(struct sync *s)
{
	bool left = true;
	int r = 0;

	while (r == 0 && left && !s->stopping)
		r = catalog_relabel_step(s->parts.catalog, RELABEL_STEP, &left);
	return r;
}

static void follow_job(void *arg)
{
	struct sync *s = arg;
	int r = relabel(s);

	if (r == 0)
		r = catalog_labels_expire(s->parts.catalog, now_us());
	if (r == 0)
		r = purge(s);
	if (r < 0)
		log_err("cannot do what follows edits: %s; tried again later", strerror(-r));
	turn_over(&s->followers, &s->lock, INT64_MAX);
}

void follow_now(struct sync *s)
{
	pthread_mutex_lock(&s->lock);
	s->followers.due_us = 0;
	pthread_mutex_unlock(&s->lock);
}

int64_t look_at_followers(struct sync *s, int64_t now, bool edits)
{
	if (edits)
		follow_now(s);
	return turn_look(&s->followers, &s->lock, now, now + LOOK_US, s->house, follow_job, s);
}

bool follow_busy(struct sync *s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = s->followers.running || s->followers.due_us <= now_us();
	pthread_mutex_unlock(&s->lock);
	return busy;
}
