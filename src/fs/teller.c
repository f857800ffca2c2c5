/* Notifications are written by a thread that shares nothing but memory with the others.
 *
 * The kernel holds on to a notification for as long as a request in that directory is not answered, and nothing interrupts it.  If the
 * process is killed meanwhile, the next one answers that request, but only once everything else of this one is gone: its lock, its
 * socket, its word to the keeper of the mount.  So this thread has a table of descriptors of its own, with the connection alone in
 * it; the dead process leaves nothing behind but it.
 *
 * That a picture has other bytes now waits for whoever reads a page of it, from a slow store perhaps: a thread of its own tells that,
 * so that names and sizes do not wait behind it. */
#include "fs_private.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTES = 512, NOTE_BYTES = 320 }; /* two headers and a name */

struct note {
	size_t len;
	char data[NOTE_BYTES];
};

struct lane {
	const struct teller *teller;
	const char *name;
	pthread_t thread;
	bool started; /* of the thread that calls */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct note note[NOTES]; /* lock */
	size_t first, n;         /* lock */
	bool stop;               /* lock */
	_Atomic bool stopped;
};

struct teller {
	int fd;
	struct lane lane[TELL_LANES];
};

static void keep_only(int fd)
{
	if (unshare(CLONE_FILES) < 0)
		return;
	if (fd > 0)
		(void)close_range(0, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, ~0U, 0);
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	struct note note;
	int fd = l->teller->fd;

	(void)pthread_setname_np(pthread_self(), l->name);
	keep_only(fd);
	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		if (l->n == 0) {
			pthread_cond_wait(&l->changed, &l->lock);
			continue;
		}
		note = l->note[l->first];
		l->first = (l->first + 1) % NOTES;
		l->n--;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->lock);
		(void)!write(fd, note.data, note.len); /* it does not know that name: fine */
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	l->stopped = true;
	return NULL;
}

int teller_new(struct teller **ret)
{
	static const char *const name[TELL_LANES] = {"tell", "tell-bytes"};
	struct teller *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (int i = 0; i < TELL_LANES; i++) {
		struct lane *l = &t->lane[i];

		l->teller = t;
		l->name = name[i];
		pthread_mutex_init(&l->lock, NULL);
		pthread_cond_init(&l->changed, NULL);
		l->stopped = true;
	}
	*ret = t;
	return 0;
}

static int lane_start(struct lane *l)
{
	l->stopped = false;
	int r = -pthread_create(&l->thread, NULL, lane_main, l);

	l->started = r == 0;
	l->stopped = r < 0;
	return r;
}

int teller_start(struct teller *t, int fd)
{
	int r = 0;

	t->fd = fd;
	for (int i = 0; i < TELL_LANES && r == 0; i++)
		r = lane_start(&t->lane[i]);
	return r;
}

void teller_say(struct teller *t, enum tell_lane lane, const struct iovec *iov, int count)
{
	struct lane *l = &t->lane[lane];
	struct note note = {0};

	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > sizeof(note.data) - note.len)
			return;
		memcpy(note.data + note.len, iov[i].iov_base, iov[i].iov_len);
		note.len += iov[i].iov_len;
	}
	pthread_mutex_lock(&l->lock);
	while (l->n == NOTES && !l->stop)
		pthread_cond_wait(&l->changed, &l->lock);
	if (!l->stop)
		l->note[(l->first + l->n++) % NOTES] = note;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void teller_stop(struct teller *t)
{
	for (int i = 0; i < TELL_LANES; i++) {
		struct lane *l = &t->lane[i];

		pthread_mutex_lock(&l->lock);
		l->stop = true;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->lock);
	}
}

bool teller_stopped(struct teller *t)
{
	for (int i = 0; i < TELL_LANES; i++)
		if (!t->lane[i].stopped)
			return false;
	return true;
}

static void lane_done(struct lane *l)
{
	if (l->started)
		(void)pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
}

struct teller *teller_free(struct teller *t)
{
	if (!t)
		return NULL;
	teller_stop(t);
	for (int i = 0; i < TELL_LANES; i++)
		lane_done(&t->lane[i]);
	free(t);
	return NULL;
}
