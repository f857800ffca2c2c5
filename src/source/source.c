/* source.c - the door: finds the driver, lets one request at a time through to a camera, tries again what may pass,
 * and lets nothing out that is not a whole JPEG. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "shutterfs/codec.h"

#define TRIES_MAX 3
#define RETRY_BASE_US 300000
#define RETRY_MAX_US 5000000 /* a camera that asks for a longer pause gets it from the caller */
#define DEFAULT_TIMEOUT_US 10000000
#define SLOT_SLICE_US 250000 /* how soon a cancel is noticed while waiting for the camera */

struct source {
	const struct camera_config *conf; /* borrowed */
	const struct source_driver *driver;
	void *self;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* on the monotonic clock; `busy` became false */
	bool busy;           /* protected by lock: a driver call is under way */
};

static const struct source_driver *driver_named(const char *name)
{
	for (size_t i = 0; name && source_drivers[i]; i++) {
		if (strcmp(source_drivers[i]->name, name) == 0)
			return source_drivers[i];
	}
	return NULL;
}

int source_new(const struct camera_config *conf, struct buf *err, struct source **ret)
{
	const struct source_driver *driver = driver_named(conf->driver);
	CLEANUP(freep) struct source *s = NULL;
	int r;

	if (!driver) {
		(void)buf_printf(err,
				 "camera \"%s\": no driver \"%s\"; there are http and foscam\n",
				 conf->name, conf->driver ? conf->driver : "");
		return -EINVAL;
	}
	assert(driver->open && driver->capture && driver->close);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->conf = conf;
	s->driver = driver;
	r = driver->open(conf, err, &s->self);
	if (r < 0)
		return r;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->idle, NULL);
	*ret = TAKE(s);
	return 0;
}

struct source *source_free(struct source *s)
{
	if (!s)
		return NULL;
	pthread_mutex_lock(&s->lock);
	while (s->busy)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	s->driver->close(s->self);
	(void)pthread_cond_destroy(&s->idle);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

const struct camera_config *source_config(const struct source *s)
{
	return s->conf;
}

/* ---- the camera's one slot ---- */
static int check_call(const struct call *c)
{
	if (c->cancel && atomic_load(c->cancel))
		return -ECANCELED;
	return c->deadline_us && mono_us() >= c->deadline_us ? -ETIMEDOUT : 0;
}

static int slot_take(struct source *s, struct call *c)
{
	int r;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		int64_t until = mono_us() + SLOT_SLICE_US;

		r = check_call(c);
		if (r < 0 || !s->busy)
			break;
		if (c->deadline_us && c->deadline_us < until)
			until = c->deadline_us;
		(void)cond_wait_until(&s->idle, &s->lock, until);
	}
	if (r == 0)
		s->busy = true;
	pthread_mutex_unlock(&s->lock);
	if (r == -ETIMEDOUT)
		call_why(c, "camera \"%s\" was still busy with another request", s->conf->name);
	return r;
}

static void slot_give(struct source *s)
{
	pthread_mutex_lock(&s->lock);
	s->busy = false;
	/* all: source_free() waits on it too */
	pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

/* ---- one picture ---- */
static int probe(const struct source *s, struct call *c, const struct buf *body)
{
	struct jpeg_info info;
	char why[WHY_MAX] = "is empty";
	int r = body->len ? jpeg_probe(body->data, body->len, &info, why) : -EBADMSG;

	if (r < 0)
		call_why(c, "camera \"%s\" sent a picture that %s", s->conf->name, why);
	return r;
}

/* One try, no longer than the camera's own timeout; `body` is empty again unless it returns 0.  *ret_again: another may
 * do better.  A camera that hung until its timeout has had its chance, and so has one that sent something else whole. */
static int try_once(struct source *s, struct call *c, struct buf *body, bool *ret_again)
{
	int64_t timeout = s->conf->timeout_us > 0 ? s->conf->timeout_us : DEFAULT_TIMEOUT_US;
	struct call mine = {.cancel = c->cancel};
	bool broken = false;
	int r;

	r = slot_take(s, c);
	if (r < 0)
		return r;
	mine.deadline_us = mono_us() + timeout;
	if (c->deadline_us && c->deadline_us < mine.deadline_us)
		mine.deadline_us = c->deadline_us;
	r = s->driver->capture(s->self, &mine, body);
	slot_give(s);
	if (r == 0) {
		broken = !body->len || looks_like_jpeg(body);
		r = probe(s, &mine, body);
	}
	if (r < 0) {
		*ret_again = (errno_is_transient(r) && r != -ETIMEDOUT) ||
			     (r == -EBADMSG && broken);
		c->retry_after_us = mine.retry_after_us;
		(void)snprintf(c->why, sizeof(c->why), "%s", mine.why);
		body->len = 0;
	}
	return r;
}

int source_capture(struct source *s, struct call *c, struct buf *ret)
{
	size_t room = ret->max - ret->len;
	CLEANUP(buf_done) struct buf body = BUF(room < CAPTURE_BYTES ? room : CAPTURE_BYTES);
	int r;

	for (unsigned n = 1;; n++) {
		bool again = false;
		int slept;

		r = try_once(s, c, &body, &again);
		if (r == 0)
			return buf_add(ret, body.data, body.len);
		if (!again || n == TRIES_MAX || c->retry_after_us > RETRY_MAX_US)
			return r;
		slept = retry_sleep(
			c, retry_pause_us(n, RETRY_BASE_US, RETRY_MAX_US, c->retry_after_us));
		if (slept == -ECANCELED)
			return slept;
		if (slept < 0) /* no time for another: what went wrong says more than that */
			return r;
	}
}
