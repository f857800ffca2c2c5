/* Captures: one at a time per camera; who asks while one is under way, or shortly after it, gets that one. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAITING_MAX = 65536, POOL_MAX = 64 };

struct asker {
	uint64_t ticket;
	capture_fn *fn;
	void *user;
	struct asker *next;
};

struct capture {
	struct ingest *in;
	struct source *source;
	int64_t camera;
	bool failing;         /* of the job, of which there is one at a time: the last one did */
	pthread_mutex_t lock; /* guards all below */
	bool busy;
	struct asker *askers;
	size_t n_askers;
	uint64_t last_ticket;
	int64_t last_snapshot, last_mono_us; /* of the last that succeeded; 0: none */
};

int captures_new(struct ingest *in, const struct camera_slot *camera, size_t n)
{
	if (n == 0)
		return 0;
	in->capture = calloc(n, sizeof(*in->capture));
	if (!in->capture)
		return -ENOMEM;
	in->n_captures = n;
	for (size_t i = 0; i < n; i++) {
		in->capture[i].in = in;
		in->capture[i].source = camera[i].source;
		in->capture[i].camera = camera[i].id;
		pthread_mutex_init(&in->capture[i].lock, NULL);
	}
	/* A thread per camera that may hang, up to a limit. */
	return pool_new("capture", n < POOL_MAX ? (unsigned)n : POOL_MAX, (unsigned)n, &in->pool);
}

void captures_free(struct ingest *in)
{
	in->pool = pool_free(in->pool);
	for (size_t i = 0; i < in->n_captures; i++)
		pthread_mutex_destroy(&in->capture[i].lock);
	free(in->capture);
}

static int origin_json(const struct camera_config *conf, struct buf *out)
{
	struct json j = {.out = out};

	json_object(&j, NULL);
	json_string(&j, "capture", conf->driver);
	json_end(&j, '}');
	return out->error;
}

static int spool(struct ingest *in, const struct buf *picture, const struct sha256 *sha)
{
	struct blob_writer *w;
	int r = blob_begin(in->cache, BLOB_SPOOL, picture->len, &w);

	if (r < 0)
		return r;
	r = blob_write(w, picture->data, picture->len);
	if (r < 0) {
		(void)blob_abort(w);
		return r;
	}
	return blob_commit(w, sha, in->conf->durability == DURABILITY_CLOSE, NULL);
}

/* What comes by itself leaves room for what somebody brings, and of what is left a camera takes no more than it leaves: while its
 * stores are away, one that sends without end has half of it, and others go on. */
static int room_for(const struct capture *c, uint64_t size, char why[WHY_MAX])
{
	struct cache_totals t;
	uint64_t unsent;
	int r;

	if (!cache_spool_spare(c->in->cache, size)) {
		why_set(why, "the rest of the state directory's disk is left for uploads");
		return -ENOSPC;
	}
	cache_totals(c->in->cache, &t);
	if (t.spool_bytes + size <= t.state_free)
		return 0;
	r = catalog_camera_unsent(c->in->cat, c->camera, &unsent);
	if (r < 0 || unsent + size <= t.state_free)
		return r;
	why_set(why, "its pictures that no store has yet take half of the state directory's disk");
	return -EDQUOT;
}

static int register_capture(struct capture *c, const struct buf *picture, int64_t taken_us,
			    char why[WHY_MAX], int64_t *ret_id)
{
	const struct camera_config *conf = source_config(c->source);
	struct ingest *in = c->in;
	CLEANUP(buf_done) struct buf origin = BUF(1024);
	struct registration reg = {.camera = conf->name,
				   .title = conf->title,
				   .group = conf->group,
				   .taken_us = taken_us,
				   .time_source = TIME_SOURCE,
				   .size = picture->len,
				   .target = in->target,
				   .n_targets = in->n_targets,
				   .durable = in->conf->durability == DURABILITY_CLOSE};
	struct jpeg_info info;
	struct civil local;
	bool new;
	int r = room_for(c, picture->len, why);

	if (r == 0)
		r = jpeg_probe(picture->data, picture->len, &info, why);
	if (r == 0)
		r = sha256_of(picture->data, picture->len, &reg.sha);
	if (r == 0)
		r = origin_json(conf, &origin);
	if (r < 0)
		return r;
	civil_from_us(taken_us, &local);
	reg.zone_min = local.zone_min;
	reg.width = info.width;
	reg.height = info.height;
	reg.origin = origin.data;
	in->active = true;
	pthread_rwlock_rdlock(adopting_of(in, &reg.sha));
	r = spool(in, picture, &reg.sha);
	if (r == 0)
		r = catalog_register(in->cat, &reg, ret_id, &new);
	pthread_rwlock_unlock(adopting_of(in, &reg.sha));
	if (r < 0)
		(void)!ingest_settle(in, &reg.sha, true);
	return r;
}

static void answer(struct capture *c, int err, int64_t snapshot, const char *why)
{
	struct asker *list;

	pthread_mutex_lock(&c->lock);
	c->busy = false;
	list = TAKE(c->askers);
	c->n_askers = 0;
	if (err == 0) {
		c->last_snapshot = snapshot;
		c->last_mono_us = mono_us();
	}
	pthread_mutex_unlock(&c->lock);
	while (list) {
		struct asker *next = list->next;

		list->fn(list->user, err, snapshot, why);
		free(list);
		list = next;
	}
}

/* Not each time: a camera that is away for a night must not fill the log. */
static void log_change(struct capture *c, bool good, const char *why)
{
	if (good && c->failing)
		log_info("camera \"%s\" works again", source_config(c->source)->name);
	else if (!good && !c->failing)
		log_warn("%s", why);
	c->failing = !good;
}

static void capture_job(void *arg)
{
	struct capture *c = arg;
	struct ingest *in = c->in;
	const struct camera_config *conf = source_config(c->source);
	CLEANUP(buf_done) struct buf picture = BUF(CAPTURE_BYTES);
	/* Room for three tries of the camera's own timeout. */
	struct call call = {.deadline_us = mono_us() + 3 * conf->timeout_us,
			    .cancel = &in->stopping};
	char why[WHY_MAX] = "";
	int64_t snapshot = 0;
	int64_t taken_us;
	int r = source_capture(c->source, &call, &picture);

	taken_us = now_us();
	if (r == 0)
		r = register_capture(c, &picture, taken_us, why, &snapshot);
	if (r < 0 && call.why[0] == '\0')
		call_why(&call, "cannot keep the picture of camera \"%s\": %s", conf->name,
			 why[0] ? why : strerror(-r));
	if (r != -ECANCELED)
		log_change(c, r == 0, call.why);
	if (r != -ECANCELED) /* its failure to be kept shows in the next one's */
		(void)!catalog_camera_result(in->cat, c->camera, r < 0 ? 0 : taken_us,
					     r < 0 ? call.why : NULL);
	answer(c, r, snapshot, call.why);
}

static struct capture *capture_of(struct ingest *in, int64_t camera)
{
	for (size_t i = 0; i < in->n_captures; i++)
		if (in->capture[i].camera == camera)
			return &in->capture[i];
	return NULL;
}

bool ingest_can_capture(struct ingest *in, int64_t camera)
{
	return capture_of(in, camera) != NULL;
}

int ingest_capture(struct ingest *in, int64_t camera, capture_fn *fn, void *user,
		   uint64_t *ret_ticket)
{
	struct capture *c = capture_of(in, camera);
	CLEANUP(freep) struct asker *a = calloc(1, sizeof(*a));
	int64_t fresh = 0;
	bool start = false;
	int r = 0;

	if (!c || !a)
		return c ? -ENOMEM : -ENODEV;
	*a = (struct asker){.fn = fn, .user = user};
	pthread_mutex_lock(&c->lock);
	if (!c->busy && c->last_snapshot &&
	    mono_us() - c->last_mono_us < source_config(c->source)->min_interval_us) {
		fresh = c->last_snapshot;
	} else if (c->n_askers >= WAITING_MAX) {
		r = -EAGAIN;
	} else {
		start = !c->busy;
		c->busy = true;
		*ret_ticket = a->ticket = ++c->last_ticket * in->n_captures +
					  (uint64_t)(c - in->capture) + 1;
		a->next = c->askers;
		c->askers = TAKE(a);
		c->n_askers++;
	}
	pthread_mutex_unlock(&c->lock);
	if (fresh) {
		*ret_ticket = 0;
		fn(user, 0, fresh, "");
	}
	/* Everybody who joined meanwhile hears of it, too. */
	if (start && pool_run(in->pool, capture_job, c) < 0)
		answer(c, -EAGAIN, 0, "shutting down");
	return r;
}

bool ingest_capture_cancel(struct ingest *in, uint64_t ticket)
{
	struct capture *c = ticket && in->n_captures ? &in->capture[(ticket - 1) % in->n_captures]
						     : NULL;
	struct asker **p, *found = NULL;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	for (p = &c->askers; *p && (*p)->ticket != ticket; p = &(*p)->next)
		;
	if (*p) {
		found = *p;
		*p = found->next;
		c->n_askers--;
	}
	pthread_mutex_unlock(&c->lock);
	free(found);
	return found != NULL;
}
