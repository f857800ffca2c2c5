/* client.c - asks a running mount: sends a verb's words through <state>/control.sock and shows what comes back.
 *
 * The request is every word ended by NUL, and an empty one at the end.  Closing the connection cancels the verb, so Ctrl-C
 * needs nothing else. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_LINE_BYTES = 9 * 1024 * 1024, READ_BYTES = 65536 };

int control_address(const char *state, int *ret_dirfd, void *sockaddr_un)
{
	struct sockaddr_un *to = sockaddr_un;
	int fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(to->sun_path, sizeof(to->sun_path), "/proc/self/fd/%d/control.sock", fd);
	*ret_dirfd = fd;
	return 0;
}

static int connect_control(const char *state, int *ret)
{
	CLEANUP(closep) int dir = -1;
	CLEANUP(closep) int fd = -1;
	struct sockaddr_un to;
	int r = control_address(state, &dir, &to);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int client_probe(const char *state)
{
	CLEANUP(closep) int fd = -1;

	return connect_control(state, &fd);
}

static int add_word(struct buf *out, const char *word)
{
	return buf_add(out, word, strlen(word) + 1);
}

/* Paths are told as they are below the mount: the mount does not look at itself from outside. */
static int add_operands(const char *state, const struct verb *v, const struct args *args,
			struct buf *out, struct io *io)
{
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};
	int r = 0;

	if (v->run != verb_prefetch) {
		for (size_t i = 0; i < args->n_operands; i++)
			r = add_word(out, args->operand[i]);
		return r;
	}
	(void)!state_lock_owner(state, &owner);
	for (size_t i = 0; r == 0 && i < args->n_operands; i++) {
		CLEANUP(freep) char *path = NULL;

		r = tree_path_of(args->operand[i], owner.mountpoint, &path);
		if (r == -EINVAL)
			io_err(io, "%s is not inside the mount%s%s", args->operand[i],
			       owner.mountpoint ? " at " : "",
			       owner.mountpoint ? owner.mountpoint : "");
		if (r == 0) /* never an empty word */
			r = buf_printf(out, "/%s", path);
		if (r == 0)
			r = buf_add(out, "", 1);
	}
	return r;
}

static int build_request(const char *state, const struct verb *v, const struct args *args,
			 struct buf *out, struct io *io)
{
	(void)add_word(out, v->name);
	if (args->given & OPT_JSON)
		(void)add_word(out, "--json");
	if (args->given & OPT_WAIT)
		(void)add_word(out, "--wait");
	if (args->given & OPT_REPAIR)
		(void)add_word(out, "--repair");
	if (args->given & OPT_RESTORE)
		(void)add_word(out, "--restore");
	if (args->given & OPT_PATHS)
		(void)add_word(out, "--paths");
	if (args->given & OPT_LABELS)
		(void)add_word(out, "--labels");
	if (args->format) {
		(void)add_word(out, "--format");
		(void)add_word(out, args->format);
	}
	if (args->query) {
		(void)add_word(out, "--query");
		(void)add_word(out, args->query);
	}
	(void)add_word(out, "--");
	int r = add_operands(state, v, args, out, io);

	return r < 0 ? r : add_word(out, "");
}

static int send_all(int fd, const struct buf *b)
{
	for (size_t sent = 0; sent < b->len;) {
		ssize_t n = send(fd, b->data + sent, b->len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Shows whole lines at the beginning of b and takes them out; true: the last one came. */
static bool relay_lines(struct buf *b, struct io *io, int *ret_status)
{
	char *line = b->data, *end;

	while ((end = memchr(line, '\n', b->len - (size_t)(line - b->data)))) {
		*end = '\0';
		if (io_relay(io, line, ret_status))
			return true;
		line = end + 1;
	}
	b->len -= (size_t)(line - b->data);
	memmove(b->data, line, b->len);
	return false;
}

/* What has come so far; 1: the last line. */
static int receive(int fd, struct buf *b, struct io *io, int *ret_status)
{
	char chunk[READ_BYTES];
	ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return -EPIPE;
	if (buf_add(b, chunk, (size_t)n) < 0)
		return b->error;
	return relay_lines(b, io, ret_status);
}

static int relay(int fd, struct buf *b, struct io *io, int *ret_status)
{
	while (!io_cancelled(io) && !io->broken) {
		int r = receive(fd, b, io, ret_status);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	io_bar_clear(io);
	if (!io->broken)
		io_err(io, "%s: cancelled", io->verb);
	*ret_status = EXIT_FAILED;
	return 0;
}

/* ---- a verb that is fed ---- */

struct feeding {
	int fd;
	struct buf *b;
	struct io *io;
	int *status;
	bool over; /* the mount has said its last word */
};

/* While the mount takes it, it may have something to say. */
static int send_item(void *user, const char *item, size_t len)
{
	struct feeding *f = user;

	for (size_t sent = 0; sent <= len;) {
		struct pollfd p = {.fd = f->fd, .events = POLLIN | POLLOUT};
		ssize_t n = 0;
		int r = 0;

		if (io_cancelled(f->io))
			return -ECANCELED;
		if (poll(&p, 1, 1000) < 0 && errno != EINTR)
			return -errno;
		if (p.revents & (POLLIN | POLLHUP | POLLERR))
			r = receive(f->fd, f->b, f->io, f->status);
		f->over = r == 1;
		if (r != 0)
			return r < 0 ? r : -EPIPE;
		if (p.revents & POLLOUT) /* with its NUL */
			n = send(f->fd, item + sent, len + 1 - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int feed(const struct args *args, struct feeding *f, bool *ret_failed)
{
	int r = 0;

	while (r == 0 && !f->io->ready && !io_cancelled(f->io))
		r = receive(f->fd, f->b, f->io, f->status);
	if (r == 1)
		f->over = true;
	if (r == 0)
		r = import_feed(args, f->io, send_item, f, ret_failed);
	if (r == 0)
		r = send_item(f, "", 0);
	return f->over || r == -ECANCELED ? 0 : r; /* relay() says the rest */
}

int client_run(const char *state, const struct verb *v, const struct args *args, struct io *io,
	       int *ret_status)
{
	CLEANUP(buf_done) struct buf request = BUF(REQUEST_MAX), b = BUF(ANSWER_LINE_BYTES);
	CLEANUP(closep) int fd = -1;
	struct feeding f = {.b = &b, .io = io, .status = ret_status};
	bool failed = false;
	int r = connect_control(state, &fd);

	if (r < 0)
		return r;
	r = build_request(state, v, args, &request, io);
	if (r == -EINVAL) {
		*ret_status = EXIT_FAILED;
		return 0;
	}
	if (r == 0)
		r = send_all(fd, &request);
	f.fd = fd;
	if (r == 0 && verb_is_fed(v, args))
		r = feed(args, &f, &failed);
	if (r == 0 && !f.over)
		r = relay(fd, &b, io, ret_status);
	if (r == 0 && failed && *ret_status == EXIT_DONE)
		*ret_status = EXIT_FAILED;
	if (r != -EPIPE)
		return r;
	io_bar_clear(io);
	io_err(io, "%s: the mount ended meanwhile", v->name);
	*ret_status = EXIT_FAILED;
	return 0;
}
