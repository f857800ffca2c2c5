/* server.c - an S3 server light enough not to be what a benchmark measures, or the link before a heavier one.
 *
 *   bench-server -l LOG [-r RTT_US] [-s BUCKET=DIR]...   serves objects from memory
 *   bench-server -l LOG [-r RTT_US] -u PORT              passes requests on to an S3 server on loopback
 *   -d TEXT=MS                                           an object whose key has TEXT waits that long instead
 *
 * A thread per connection, blocking from top to bottom.  Each request is answered one round-trip time after it arrived, and
 * the first of a connection after two; requests of different connections do not wait for each other, so bandwidth is not limited.
 * Signatures are not looked at.  The log has a line per request: method, status, bytes sent, path with query. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "objects.h"

enum { HEAD_MAX = 64 * 1024, BODY_MAX = 64 << 20 };

static struct {
	int log_fd;
	int64_t rtt_us;
	int upstream; /* 0: serves by itself */
	char *slow;
	int64_t slow_us;
} conf = {.log_fd = -1};

struct conn {
	int fd, up; /* up: connection to the upstream, -1: none */
	char *in;   /* HEAD_MAX + 1 bytes: read, not yet used */
	size_t in_len;
	bool close, fresh;
};

struct request {
	char method[16], *head; /* head: NUL-terminated, with its empty line */
	size_t head_len;
	char *path, *query; /* decoded path without the leading '/'; raw query, "" if none */
	uint8_t *body;
	size_t body_len;
	unsigned status;
	size_t sent;
};

/* ---- HTTP, as much as S3 clients say ---- */
static bool header(const char *head, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *text = line + 2 + len + 1, *end;

		if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
			continue;
		text += strspn(text, " ");
		end = strstr(text, "\r\n");
		(void)snprintf(out, size, "%.*s", (int)(end - text), text);
		return true;
	}
	return false;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)            ? c - '0'
	       : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
						    : -1;
}

static void decode(char *s, bool plus)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			*to++ = (char)(hex_digit(s[1]) * 16 + hex_digit(s[2]));
			s += 2;
		} else {
			*to++ = plus && *s == '+' ? ' ' : *s;
		}
	}
	*to = '\0';
}

/* A parameter of the query, decoded; "" if it is not there. */
static void param(const char *query, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	out[0] = '\0';
	for (const char *p = query; *p; p += strcspn(p, "&"), p += *p == '&') {
		if (strncmp(p, name, len) != 0 ||
		    (p[len] != '=' && p[len] != '&' && p[len] != '\0'))
			continue;
		if (p[len] == '=')
			(void)snprintf(out, size, "%.*s", (int)strcspn(p + len + 1, "&"),
				       p + len + 1);
		decode(out, true);
		return;
	}
}

static bool fill(int fd, char *in, size_t *len)
{
	ssize_t n;

	do
		n = *len < HEAD_MAX ? recv(fd, in + *len, HEAD_MAX - *len, 0) : 0;
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	*len += (size_t)n;
	in[*len] = '\0';
	return true;
}

/* A head from fd into *ret; what came after it stays in `in`. */
static bool read_head(int fd, char *in, size_t *len, char **ret, size_t *ret_len)
{
	char *end;

	in[*len] = '\0';
	while (!(end = strstr(in, "\r\n\r\n")))
		if (!fill(fd, in, len))
			return false;
	*ret_len = (size_t)(end + 4 - in);
	*ret = strndup(in, *ret_len);
	*len -= *ret_len;
	memmove(in, end + 4, *len + 1);
	return *ret != NULL;
}

static bool send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_both(int fd, const struct buf *head, const uint8_t *body, size_t len)
{
	struct iovec v[2] = {{head->data, head->len}, {(void *)(uintptr_t)body, len}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = len ? 2 : 1};
	ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

	if (n < 0)
		return false;
	if ((size_t)n < head->len)
		return send_all(fd, head->data + n, head->len - (size_t)n) &&
		       send_all(fd, body, len);
	return send_all(fd, body + ((size_t)n - head->len), len - ((size_t)n - head->len));
}

static bool read_body(struct conn *c, struct request *q)
{
	char text[64];
	size_t have;

	if (!header(q->head, "content-length", text, sizeof(text)))
		return true;
	q->body_len = strtoul(text, NULL, 10);
	if (q->body_len > BODY_MAX)
		return false;
	if (header(q->head, "expect", text, sizeof(text)) && !c->in_len &&
	    !send_all(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
		return false;
	q->body = malloc(q->body_len + 1);
	if (!q->body)
		return false;
	have = c->in_len < q->body_len ? c->in_len : q->body_len;
	memcpy(q->body, c->in, have);
	c->in_len -= have;
	memmove(c->in, c->in + have, c->in_len + 1);
	while (have < q->body_len) {
		ssize_t n = recv(c->fd, q->body + have, q->body_len - have, 0);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

static bool read_request(struct conn *c, struct request *q)
{
	char *target, *end, text[64];

	if (!read_head(c->fd, c->in, &c->in_len, &q->head, &q->head_len))
		return false;
	target = strchr(q->head, ' ');
	end = target ? strchr(target + 1, ' ') : NULL;
	if (!end || (size_t)(target - q->head) >= sizeof(q->method) || target[1] != '/')
		return false;
	(void)snprintf(q->method, sizeof(q->method), "%.*s", (int)(target - q->head), q->head);
	q->path = strndup(target + 2, (size_t)(end - target - 2));
	if (!q->path)
		return false;
	q->query = q->path + strcspn(q->path, "?");
	if (*q->query)
		*q->query++ = '\0';
	decode(q->path, false);
	if (header(q->head, "connection", text, sizeof(text)) && strcasecmp(text, "close") == 0)
		c->close = true;
	return read_body(c, q);
}

static void request_done(struct request *q)
{
	free(q->head);
	free(q->path);
	free(q->body);
}

/* ---- answers from memory ---- */
static bool answer(struct conn *c, struct request *q, unsigned status, const char *more,
		   const void *body, size_t len)
{
	CLEANUP(buf_done) struct buf head = BUF(HEAD_MAX);
	bool head_only = strcmp(q->method, "HEAD") == 0;

	q->status = status;
	buf_printf(&head, "HTTP/1.1 %u %s\r\nServer: bench\r\n%s", status,
		   status < 300 ? "OK" : "No", more);
	if (status != 204)
		buf_printf(&head, "Content-Length: %zu\r\n", len);
	buf_str(&head, "\r\n");
	q->sent = head_only || status == 204 ? 0 : len;
	return !head.error && send_both(c->fd, &head, body, q->sent);
}

static bool answer_error(struct conn *c, struct request *q, unsigned status, const char *code)
{
	CLEANUP(buf_done) struct buf text = BUF(1024);

	buf_printf(&text,
		   "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>%s</Message></Error>",
		   code, code);
	return !text.error &&
	       answer(c, q, status, "Content-Type: application/xml\r\n", text.data, text.len);
}

static bool do_get(struct conn *c, struct request *q)
{
	CLEANUP(buf_done) struct buf more = BUF(HEAD_MAX);
	struct object *o = object_get(q->path);
	size_t from = 0, end;
	char text[128], when[64];
	struct tm tm;
	bool range, ok;

	if (!o)
		return answer_error(c, q, 404, "NoSuchKey");
	end = o->size;
	range = header(q->head, "range", text, sizeof(text)) && strncmp(text, "bytes=", 6) == 0;
	if (range) {
		char *dash;

		from = strtoul(text + 6, &dash, 10);
		if (*dash == '-' && isdigit((unsigned char)dash[1])) {
			end = strtoul(dash + 1, NULL, 10) + 1;
			end = end < o->size ? end : o->size;
		}
		if (from >= end) {
			object_unref(o);
			return answer_error(c, q, 416, "InvalidRange");
		}
		buf_printf(&more, "Content-Range: bytes %zu-%zu/%zu\r\n", from, end - 1, o->size);
	}
	(void)gmtime_r(&o->modified, &tm);
	(void)strftime(when, sizeof(when), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	buf_printf(&more, "ETag: \"%s\"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n%s",
		   o->etag, when, o->headers ? o->headers : "Content-Type: image/jpeg\r\n");
	ok = !more.error && answer(c, q, range ? 206 : 200, more.data, o->data + from, end - from);
	object_unref(o);
	return ok;
}

/* The headers that an object keeps. */
static char *kept_headers(const char *head)
{
	struct buf out = BUF(HEAD_MAX);

	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
	     line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, "x-amz-meta-", 11) == 0 ||
		    strncasecmp(line + 2, "content-type:", 13) == 0)
			buf_add(&out, line + 2, (size_t)(strstr(line + 2, "\r\n") - line));
	if (out.error || !out.len) {
		buf_done(&out);
		return NULL;
	}
	return out.data;
}

static bool do_put(struct conn *c, struct request *q)
{
	CLEANUP(buf_done) struct buf more = BUF(4096);
	char source[4096];
	bool copy = header(q->head, "x-amz-copy-source", source, sizeof(source));
	struct object *o = NULL;

	if (!strchr(q->path, '/') || q->path[strcspn(q->path, "/") + 1] == '\0')
		return answer(c, q, 200, "", NULL, 0); /* a bucket */
	if (copy) {
		decode(source, false);
		o = object_get(source + (source[0] == '/'));
		if (!o)
			return answer_error(c, q, 404, "NoSuchKey");
		free(q->body);
		q->body_len = o->size;
		q->body = malloc(o->size + 1);
		if (q->body)
			memcpy(q->body, o->data, o->size);
		object_unref(o);
	}
	if (!q->body)
		q->body = calloc(1, 1);
	if (!q->body || object_put(q->path, TAKE(q->body), q->body_len, kept_headers(q->head)) < 0)
		return answer_error(c, q, 500, "InternalError");
	o = object_get(q->path);
	if (!o)
		return answer_error(c, q, 500, "InternalError");
	buf_printf(&more, "ETag: \"%s\"\r\n", o->etag);
	(void)snprintf(
		source, sizeof(source),
		"<?xml version=\"1.0\"?><CopyObjectResult><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
		"<ETag>&quot;%s&quot;</ETag></CopyObjectResult>",
		o->etag);
	object_unref(o);
	return answer(c, q, 200, more.data, source, copy ? strlen(source) : 0);
}

static bool do_list(struct conn *c, struct request *q)
{
	CLEANUP(buf_done) struct buf out = BUF(64 << 20);
	char prefix[4096], after[4096], delimiter[16], text[64];
	struct listing l = {
		.bucket = q->path, .prefix = prefix, .after = after, .delimiter = delimiter};

	q->path[strcspn(q->path, "/")] = '\0';
	param(q->query, "prefix", prefix, sizeof(prefix));
	param(q->query, "delimiter", delimiter, sizeof(delimiter));
	param(q->query, "list-type", text, sizeof(text));
	l.v2 = text[0] != '\0';
	param(q->query, l.v2 ? "continuation-token" : "marker", after, sizeof(after));
	if (l.v2 && !after[0])
		param(q->query, "start-after", after, sizeof(after));
	param(q->query, "max-keys", text, sizeof(text));
	l.max = text[0] ? (unsigned)strtoul(text, NULL, 10) : 1000;
	l.max = l.max && l.max < 1000 ? l.max : 1000;
	if (strstr(q->query, "location"))
		buf_str(&out,
			"<?xml version=\"1.0\"?><LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
			"</LocationConstraint>");
	else if (objects_list(&l, &out) < 0)
		return answer_error(c, q, 500, "InternalError");
	return answer(c, q, 200, "Content-Type: application/xml\r\n", out.data, out.len);
}

static bool serve(struct conn *c, struct request *q)
{
	bool bucket = !strchr(q->path, '/') || q->path[strcspn(q->path, "/") + 1] == '\0';

	if (strcmp(q->method, "PUT") == 0)
		return do_put(c, q);
	if (strcmp(q->method, "GET") == 0)
		return bucket ? do_list(c, q) : do_get(c, q);
	if (strcmp(q->method, "HEAD") == 0)
		return bucket ? answer(c, q, 200, "", NULL, 0) : do_get(c, q);
	if (strcmp(q->method, "DELETE") != 0)
		return answer_error(c, q, 501, "NotImplemented");
	object_delete(q->path);
	return answer(c, q, 204, "", NULL, 0);
}

/* ---- the link before another server ---- */
static int connect_to(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		closep(&fd), fd = -1;
	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* `len` bytes from the upstream (what was read ahead first) to the client. */
static bool relay(struct conn *c, struct request *q, char *in, size_t *in_len, size_t len)
{
	while (len) {
		size_t n;

		if (!*in_len && !fill(c->up, in, in_len))
			return false;
		n = *in_len < len ? *in_len : len;
		if (!send_all(c->fd, in, n))
			return false;
		q->sent += n;
		len -= n;
		*in_len -= n;
		memmove(in, in + n, *in_len + 1);
	}
	return true;
}

static bool relay_chunks(struct conn *c, struct request *q, char *in, size_t *in_len)
{
	size_t size;

	do {
		char *end;

		in[*in_len] = '\0';
		while (!(end = strstr(in, "\r\n")))
			if (!fill(c->up, in, in_len))
				return false;
		size = strtoul(in, NULL, 16);
		if (!relay(c, q, in, in_len, (size_t)(end - in) + 2 + size + 2))
			return false;
	} while (size);
	return true;
}

static bool relay_answer(struct conn *c, struct request *q, char *in)
{
	CLEANUP(freep) char *head = NULL;
	char text[64];
	size_t in_len = 0, head_len, len = 0;
	bool ok;

	if (!read_head(c->up, in, &in_len, &head, &head_len) || head_len < 12)
		return false;
	q->status = (unsigned)strtoul(head + 9, NULL, 10);
	ok = send_all(c->fd, head, head_len);
	if (header(head, "connection", text, sizeof(text)) && strcasecmp(text, "close") == 0)
		c->close = true;
	if (strcmp(q->method, "HEAD") == 0) {
		/* Swift sends a stray chunk after an error to a HEAD */
		if (q->status >= 300)
			closep(&c->up), c->up = -1;
		return ok;
	}
	if (q->status == 204 || q->status == 304)
		return ok;
	if (header(head, "transfer-encoding", text, sizeof(text)))
		return ok && relay_chunks(c, q, in, &in_len);
	if (header(head, "content-length", text, sizeof(text)))
		len = strtoul(text, NULL, 10);
	return ok && relay(c, q, in, &in_len, len);
}

static bool pass_on(struct conn *c, struct request *q, char *in)
{
	for (int tries = 0; tries < 2; tries++) {
		char first;

		if (c->up < 0)
			c->up = connect_to(conf.upstream);
		/* a kept connection that the server closed meanwhile shows it before or at the first byte */
		if (c->up >= 0 && send_all(c->up, q->head, q->head_len) &&
		    send_all(c->up, q->body, q->body_len) && recv(c->up, &first, 1, MSG_PEEK) == 1)
			return relay_answer(c, q, in);
		closep(&c->up);
		c->up = -1;
	}
	return false;
}

/* ---- connections ---- */
static void wait_rtt(struct conn *c, const struct request *q)
{
	bool slow = conf.slow && strstr(q->path, conf.slow);
	int64_t us = slow ? conf.slow_us : conf.rtt_us * (c->fresh ? 2 : 1);
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	c->fresh = false;
	while (us && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static void log_request(const struct request *q)
{
	CLEANUP(buf_done) struct buf line = BUF(HEAD_MAX);

	buf_printf(&line, "%s\t%u\t%zu\t/%s%s%s\n", q->method, q->status, q->sent, q->path,
		   *q->query ? "?" : "", q->query);
	if (!line.error)
		(void)!write(conf.log_fd, line.data, line.len);
}

static void *connection(void *arg)
{
	struct conn c = {.fd = (int)(intptr_t)arg, .up = -1, .fresh = true};
	char *in = malloc(HEAD_MAX + 1); /* of the upstream */
	bool ok = true;
	int on = 1;

	(void)prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	(void)setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c.in = malloc(HEAD_MAX + 1);
	while (ok && c.in && in && !c.close) {
		struct request q = {0};

		ok = read_request(&c, &q);
		if (ok) {
			wait_rtt(&c, &q);
			ok = conf.upstream ? pass_on(&c, &q, in) : serve(&c, &q);
			log_request(&q);
		}
		request_done(&q);
	}
	closep(&c.fd);
	closep(&c.up);
	free(c.in);
	free(in);
	return NULL;
}

static int listen_on_loopback(int *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 512) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -errno;
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static bool option(int opt, char *value)
{
	char *equals = strchr(value, '=');

	switch (opt) {
	case 'l':
		conf.log_fd = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		return conf.log_fd >= 0;
	case 'r':
		conf.rtt_us = strtol(value, NULL, 10);
		return true;
	case 'u':
		conf.upstream = (int)strtol(value, NULL, 10);
		return true;
	case 'd':
	case 's':
		if (!equals)
			return false;
		*equals = '\0';
		if (opt == 's')
			return objects_load(value, equals + 1) == 0;
		conf.slow = value;
		conf.slow_us = strtol(equals + 1, NULL, 10) * 1000;
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	int opt, listener, port = 0;

	while ((opt = getopt(argc, argv, "l:r:u:d:s:")) != -1)
		if (!option(opt, optarg))
			return 2;
	if (conf.log_fd < 0)
		return 2;
	listener = listen_on_loopback(&port);
	if (listener < 0)
		return 1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 256 * 1024);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)printf("%d\n", port);
	(void)fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t t;

		if (fd >= 0 && pthread_create(&t, &attr, connection, (void *)(intptr_t)fd) != 0)
			(void)close(fd);
	}
}
