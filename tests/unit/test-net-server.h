/* test-net-server.h - an HTTP server on loopback that plays what a test tells it to, one thread per connection.
 * The test's `answer` writes raw bytes, so that it can break every rule; it returns false to close the connection. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { SERVER_CONNECTIONS = 64, SERVER_HEAD = 16384, SERVER_BODY = 4 * 1024 * 1024 };

struct server_request {
	char method[16], path[4096];
	char head[SERVER_HEAD]; /* request line and headers as they came */
	char *body;
	size_t body_len;
	unsigned connection, nth; /* which connection, which request on it (from 0) */
};

struct server;
typedef bool server_answer(struct server *s, int fd, const struct server_request *req);

struct server {
	int listener;
	unsigned port;
	server_answer *answer;
	pthread_t acceptor;
	pthread_t thread[SERVER_CONNECTIONS];
	atomic_int fd[SERVER_CONNECTIONS];
	atomic_uint connections, requests, flag;
	atomic_bool stopping;
	pthread_mutex_t lock;
	char last_head[SERVER_HEAD]; /* protected by lock */
};

struct server_thread {
	struct server *s;
	unsigned n;
};

static inline void server_send(int fd, const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data = (const char *)data + n;
		len -= (size_t)n;
	}
}

static inline void PRINTF(2, 3) server_printf(int fd, const char *fmt, ...)
{
	char text[SERVER_HEAD];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	server_send(fd, text, (size_t)n);
}

/* An answer as it should be. */
static inline bool server_reply(int fd, const char *status, const char *headers, const void *body,
				size_t len)
{
	server_printf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, len, headers);
	server_send(fd, body, len);
	return true;
}

static inline bool server_text(int fd, const char *status, const char *headers, const char *body)
{
	return server_reply(fd, status, headers, body, strlen(body));
}

/* Sleeps up to `ms`, less when the test is over or the peer hung up. */
static inline void server_pause(struct server *s, int fd, int ms)
{
	for (int i = 0; i < ms / 10 && !atomic_load(&s->stopping); i++) {
		struct pollfd p = {.fd = fd, .events = POLLRDHUP};

		if (poll(&p, 1, 10) > 0)
			return;
	}
}

static inline bool server_read(int fd, struct server_request *req)
{
	size_t len = 0;
	char *end, *field;

	req->head[0] = '\0';
	while (!strstr(req->head, "\r\n\r\n")) {
		if (len + 1 >= sizeof(req->head) || recv(fd, req->head + len, 1, 0) != 1)
			return false;
		req->head[++len] = '\0';
	}
	if (sscanf(req->head, "%15s %4095s", req->method, req->path) != 2)
		return false;
	req->body_len = 0;
	field = strcasestr(req->head, "\r\nContent-Length:");
	if (field)
		req->body_len = strtoul(field + 17, &end, 10);
	if (strncmp(req->path, "/early", 6) == 0) /* answered before its body is read */
		return true;
	if (req->body_len > SERVER_BODY)
		return false;
	for (size_t got = 0; got < req->body_len;) {
		ssize_t n = recv(fd, req->body + got, req->body_len - got, 0);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static inline void *server_connection(void *arg)
{
	struct server_thread me = *(struct server_thread *)arg;
	struct server_request *req = calloc(1, sizeof(*req));
	int fd = atomic_load(&me.s->fd[me.n]);
	bool more = true;

	free(arg);
	req->body = malloc(SERVER_BODY);
	req->connection = me.n;
	for (req->nth = 0; more && server_read(fd, req); req->nth++) {
		pthread_mutex_lock(&me.s->lock);
		memcpy(me.s->last_head, req->head, sizeof(req->head));
		pthread_mutex_unlock(&me.s->lock);
		atomic_fetch_add(&me.s->requests, 1);
		more = me.s->answer(me.s, fd, req);
	}
	free(req->body);
	free(req);
	/* the descriptor stays open until server_stop(), so that its number is not used again meanwhile */
	(void)shutdown(fd, SHUT_RDWR);
	return NULL;
}

static inline void *server_accept(void *arg)
{
	struct server *s = arg;

	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		unsigned n = atomic_load(&s->connections);
		struct server_thread *t;

		if (fd < 0)
			return NULL;
		if (n == SERVER_CONNECTIONS) {
			close(fd);
			continue;
		}
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		t = malloc(sizeof(*t));
		*t = (struct server_thread){s, n};
		atomic_store(&s->fd[n], fd);
		if (pthread_create(&s->thread[n], NULL, server_connection, t))
			abort();
		atomic_store(&s->connections, n + 1);
	}
}

static inline void server_start(struct server *s, server_answer *answer)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->answer = answer;
	pthread_mutex_init(&s->lock, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&a, sizeof(a)) || listen(s->listener, 64) ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) ||
	    pthread_create(&s->acceptor, NULL, server_accept, s))
		abort();
	s->port = ntohs(a.sin_port);
}

static inline void server_stop(struct server *s)
{
	atomic_store(&s->stopping, true);
	(void)shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->acceptor, NULL);
	close(s->listener);
	for (unsigned i = 0; i < atomic_load(&s->connections); i++) {
		(void)shutdown(atomic_load(&s->fd[i]), SHUT_RDWR);
		pthread_join(s->thread[i], NULL);
		close(atomic_load(&s->fd[i]));
	}
	pthread_mutex_destroy(&s->lock);
}
