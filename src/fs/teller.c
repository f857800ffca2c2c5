/* Notifications are written by a thread that shares nothing but memory with the others.
 *
 * The kernel holds on to a notification for as long as a request in that directory is not answered, and nothing interrupts it.  If the
 * process is killed meanwhile, the next one answers that request, but only once everything else of this one is gone: its lock, its
 * socket, its word to the keeper of the mount.  So this thread has a table of descriptors of its own, with the connection alone in
 * it; the dead process leaves nothing behind but it. */
#include "fs_private.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTES = 64, NOTE_BYTES = 320 }; /* two headers and a name */

struct note {
	size_t len;
	char data[NOTE_BYTES];
};

struct teller {
	int fd;
	pthread_t thread;
	bool started; /* of the thread that calls */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct note note[NOTES]; /* lock */
	size_t first, n;         /* lock */
	bool stop;               /* lock */
	_Atomic bool stopped;
};

static void keep_only(int fd)
{
	if (unshare(CLONE_FILES) < 0)
		return;
	if (fd > 0)
		(void)close_range(0, (unsigned)fd - 1, 0);
	(void)close_range((unsigned)fd + 1, ~0U, 0);
}

static void *teller_main(void *arg)
{
	struct teller *t = arg;
	struct note note;

	(void)pthread_setname_np(pthread_self(), "tell");
	keep_only(t->fd);
	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		if (t->n == 0) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		note = t->note[t->first];
		t->first = (t->first + 1) % NOTES;
		t->n--;
		pthread_cond_broadcast(&t->changed);
		pthread_mutex_unlock(&t->lock);
		(void)!write(t->fd, note.data, note.len); /* it does not know that name: fine */
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	t->stopped = true;
	return NULL;
}

int teller_new(struct teller **ret)
{
	struct teller *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->stopped = true;
	*ret = t;
	return 0;
}

int teller_start(struct teller *t, int fd)
{
	int r;

	t->fd = fd;
	t->stopped = false;
	r = -pthread_create(&t->thread, NULL, teller_main, t);
	t->started = r == 0;
	t->stopped = r < 0;
	return r;
}

void teller_say(struct teller *t, const struct iovec *iov, int count)
{
	struct note note = {0};

	for (int i = 0; i < count; i++) {
		if (iov[i].iov_len > sizeof(note.data) - note.len)
			return;
		memcpy(note.data + note.len, iov[i].iov_base, iov[i].iov_len);
		note.len += iov[i].iov_len;
	}
	pthread_mutex_lock(&t->lock);
	while (t->n == NOTES && !t->stop)
		pthread_cond_wait(&t->changed, &t->lock);
	if (!t->stop)
		t->note[(t->first + t->n++) % NOTES] = note;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void teller_stop(struct teller *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

bool teller_stopped(struct teller *t)
{
	return t->stopped;
}

struct teller *teller_free(struct teller *t)
{
	if (!t)
		return NULL;
	teller_stop(t);
	if (t->started)
		(void)pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}
