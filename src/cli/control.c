/* control.c - verbs of a running mount: a Unix socket in the state directory, one thread that listens and watches, one per client.
 *
 * Only the mount's own user and root are heard.  A client that goes away cancels its verb; so does the mount's end.  `lock` guards
 * the table of clients; a client's thread frees its slot last. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENTS = 16, REQUEST_S = 10, READ_BYTES = 65536, SHORTAGE_MS = 100 };

struct client {
	struct control *control;
	int fd;                 /* -1: the slot is free; closed by its thread, under the lock */
	bool joinable;          /* its thread has to be joined before the slot is used again */
	_Atomic bool cancel;    /* it went away, or the mount ends */
	_Atomic bool requested; /* its request is read: what comes now is its end */
	pthread_t thread;
};

struct control {
	struct app *app;
	int listen_fd, wake_fd, dir_fd;
	int spare_fd; /* given up to tell a client that there are no more; -1: it could not be had again. Of the control thread */
	pthread_t thread;
	pthread_mutex_t lock; /* guards client[].fd, joinable, ending */
	struct client client[CLIENTS];
	bool ending;
};

/* ---- one client ---- */
/* The words up to the empty one, into `out`. */
static int read_request(struct client *c, struct buf *out)
{
	CLEANUP(freep) char *chunk = malloc(READ_BYTES);

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = recv(c->fd, chunk, READ_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		if (buf_add(out, chunk, (size_t)n) < 0)
			return out->error;
		if (out->len >= 2 && !out->data[out->len - 1] && !out->data[out->len - 2])
			return 0;
	}
}

static int run_request(struct client *c, const struct buf *request, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	CLEANUP(freep) const char **word = NULL;
	const struct verb *v;
	int n = 0, r = args_split(request, &word, &n);

	v = r == 0 && n > 0 ? verb_find(word[0]) : NULL;
	if (!v || !v->run) {
		io_err(io, "the mount does not know this verb; is it an older version?");
		return EXIT_FAILED;
	}
	io->verb = v->name;
	r = args_parse(v->options, v->least, v->most, n, word, &args, &err);
	if (r < 0) {
		io_err(io, "%s", err.len ? err.data : strerror(-r));
		return EXIT_USAGE;
	}
	/* To be watched from now on; one that is fed hears of its client's end itself. */
	c->requested = !verb_is_fed(v, &args);
	(void)!write(c->control->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
	(void)ingest_settled(c->control->app->ingest, 0);
	r = v->run(c->control->app, io, &args);
	log_debug("verb %s: exit status %d%s", v->name, r, c->cancel ? ", cancelled" : "");
	return r;
}

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static void *client_thread(void *arg)
{
	struct client *c = arg;
	struct control *control = c->control;
	CLEANUP(buf_done) struct buf request = BUF(REQUEST_MAX);
	struct io io = {.fd = c->fd, .cancel = &c->cancel};
	char last[32];
	int status, r = read_request(c, &request);

	if (r == 0) {
		status = run_request(c, &request, &io);
		(void)snprintf(last, sizeof(last), "exit %d\n", status);
		(void)send(c->fd, last, strlen(last), MSG_NOSIGNAL);
	}
	pthread_mutex_lock(&control->lock);
	(void)shutdown(c->fd, SHUT_RDWR); /* while it is polled, close alone would not end it */
	(void)close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&control->lock);
	return NULL;
}

/* ---- listening ---- */
static void refuse(int fd, const char *why)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "err %s\nexit 1\n", why);

	(void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
}

static int open_spare(void)
{
	return eventfd(0, EFD_CLOEXEC); /* needs no path: the worker is confined */
}

/* Who waits for a mount without descriptors is told so: else it would wait for as long as that lasts, and this thread would not
 * rest. */
static void refuse_for_want(struct control *control)
{
	int fd;

	closep(&control->spare_fd);
	fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		refuse(fd,
		       "the mount has no file descriptor left: raise its limit (ulimit -n, LimitNOFILE)");
	else
		(void)poll(&(struct pollfd){.fd = control->wake_fd, .events = POLLIN}, 1,
			   SHORTAGE_MS);
	control->spare_fd = open_spare();
}

/* Under the lock. */
static void start_client(struct control *control, int fd)
{
	static const struct timeval patience = {.tv_sec = REQUEST_S}, look_up = {.tv_sec = 1};

	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &control->client[i];

		if (c->fd >= 0)
			continue;
		if (c->joinable) /* its thread has nothing left to do but return */
			(void)pthread_join(c->thread, NULL);
		c->joinable = false;
		c->cancel = false;
		c->requested = false;
		c->fd = fd;
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &look_up, sizeof(look_up));
		if (pthread_create(&c->thread, NULL, client_thread, c) != 0)
			break;
		c->joinable = true;
		return;
	}
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->client[i].fd == fd)
			control->client[i].fd = -1;
	refuse(fd, "the mount is busy with other verbs");
}

static void accept_client(struct control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		refuse_for_want(control);
	if (fd < 0)
		return;
	if (!is_allowed(fd)) {
		(void)close(fd);
		return;
	}
	pthread_mutex_lock(&control->lock);
	start_client(control, fd);
	pthread_mutex_unlock(&control->lock);
}

/* A client whose request is read has nothing more to say: whatever comes from it is its end. */
static void watch_clients(struct control *control, struct pollfd *set, nfds_t *n)
{
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &control->client[i];

		if (c->fd >= 0 && c->requested && !c->cancel)
			set[(*n)++] = (struct pollfd){.fd = c->fd, .events = POLLIN | POLLRDHUP};
	}
	pthread_mutex_unlock(&control->lock);
}

static void cancel_client(struct control *control, int fd)
{
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->client[i].fd == fd && control->client[i].requested)
			control->client[i].cancel = true;
	pthread_mutex_unlock(&control->lock);
}

static bool is_ending(struct control *control)
{
	bool ending;

	pthread_mutex_lock(&control->lock);
	ending = control->ending;
	pthread_mutex_unlock(&control->lock);
	return ending;
}

static void *control_thread(void *arg)
{
	struct control *control = arg;
	struct pollfd set[CLIENTS + 2];
	uint64_t count;

	while (!is_ending(control)) {
		nfds_t n = 2;

		set[0] = (struct pollfd){.fd = control->listen_fd, .events = POLLIN};
		set[1] = (struct pollfd){.fd = control->wake_fd, .events = POLLIN};
		watch_clients(control, set, &n);
		if (poll(set, n, -1) < 0)
			continue;
		if (set[1].revents)
			(void)!read(control->wake_fd, &count, sizeof(count));
		for (nfds_t i = 2; i < n; i++)
			if (set[i].revents)
				cancel_client(control, set[i].fd);
		if (set[0].revents)
			accept_client(control);
	}
	return NULL;
}

static int listen_at(struct control *control, const char *state)
{
	struct sockaddr_un at;
	int r = control_address(state, &control->dir_fd, &at);

	if (r < 0)
		return r;
	(void)unlinkat(control->dir_fd, "control.sock",
		       0); /* of one that was killed: we have the lock */
	control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listen_fd < 0)
		return -errno;
	/* the directory is 0700, so nobody comes between bind and chmod */
	if (bind(control->listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(at.sun_path, 0600) < 0 || listen(control->listen_fd, CLIENTS) < 0)
		return -errno;
	return 0;
}

static struct control *control_free(struct control *control)
{
	if (control->listen_fd >= 0 && control->dir_fd >= 0)
		(void)unlinkat(control->dir_fd, "control.sock", 0);
	closep(&control->listen_fd);
	closep(&control->wake_fd);
	closep(&control->spare_fd);
	closep(&control->dir_fd);
	pthread_mutex_destroy(&control->lock);
	free(control);
	return NULL;
}

int control_start(struct app *app, struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->app = app;
	control->listen_fd = control->dir_fd = -1;
	(void)pthread_mutex_init(&control->lock, NULL);
	for (size_t i = 0; i < CLIENTS; i++)
		control->client[i] = (struct client){.control = control, .fd = -1};
	control->wake_fd = eventfd(0, EFD_CLOEXEC);
	control->spare_fd = open_spare();
	r = control->wake_fd < 0 ? -errno : listen_at(control, app->conf->state);
	if (r == 0)
		r = -pthread_create(&control->thread, NULL, control_thread, control);
	if (r < 0) {
		(void)control_free(control);
		return r;
	}
	*ret = control;
	return 0;
}

struct control *control_stop(struct control *control)
{
	if (!control)
		return NULL;
	pthread_mutex_lock(&control->lock);
	control->ending = true;
	pthread_mutex_unlock(&control->lock);
	(void)!write(control->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
	(void)pthread_join(control->thread, NULL);
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < CLIENTS; i++) {
		control->client[i].cancel = true;
		if (control->client[i].fd >= 0) /* ends a recv */
			(void)shutdown(control->client[i].fd, SHUT_RD);
	}
	pthread_mutex_unlock(&control->lock);
	for (size_t i = 0; i < CLIENTS; i++)
		if (control->client[i].joinable)
			(void)pthread_join(control->client[i].thread, NULL);
	return control_free(control);
}
