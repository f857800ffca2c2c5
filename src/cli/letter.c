/* letter.c - one message each; descriptors travel with it. */
#include "letter.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 2, BYTES = offsetof(struct letter, fd) };

union control {
	char bytes[CMSG_SPACE(FDS * sizeof(int))];
	struct cmsghdr align;
};

int letter_send(int channel, const struct letter *l)
{
	struct letter copy = *l;
	union control control = {{0}};
	struct iovec iov = {&copy, BYTES};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	const int fds[FDS] = {l->fd, l->table};

	copy.version = LETTER_VERSION;
	if (l->kind == LETTER_MOUNT) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
	}
	return sendmsg(channel, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int letter_recv(int channel, struct letter *ret)
{
	union control control;
	struct iovec iov = {ret, BYTES};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	int fds[FDS] = {-1, -1};
	ssize_t n;

	do
		n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EPIPE;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fds)))
			memcpy(fds, CMSG_DATA(c), sizeof(fds));
	ret->fd = fds[0];
	ret->table = fds[1];
	if (n == BYTES && ret->version == LETTER_VERSION && ret->len <= LETTER_DATA)
		return 0;
	closep(&ret->fd);
	closep(&ret->table);
	return -EPROTO;
}
