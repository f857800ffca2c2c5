/* transfer.c - runs one exchange on a libcurl handle.  The limits are ours: libcurl's own size limit is void for
 * chunked bodies, and its progress callback comes too seldom for a cancel that must work within a second. */
#include "transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_SLICE_MS 250
#define SLOW_BYTES_PER_S 64 /* less than this over the idle timeout is a hung peer that drips */
#define ERROR_BODY_READ \
	(64u * 1024) /* beyond it closing the connection is cheaper than reading on */

/* ---- where a connection may go ---- */
static bool ipv4_is_public(uint32_t a)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} inner[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
		     {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16},
		     {0xc6120000, 15}, {0xe0000000, 3}};

	for (size_t i = 0; i < ARRAY_LEN(inner); i++) {
		if ((a ^ inner[i].net) >> (32 - inner[i].bits) == 0)
			return false;
	}
	return true;
}

static bool address_is_public(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ipv4_is_public(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
	if (sa->sa_family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)sa)->sin6_addr;

		/* global unicast only, so that nothing mapped, translated or local gets by; and no tunnel that names an IPv4
		 * address: 2001:0: is Teredo, 2002: is 6to4 */
		if ((a->s6_addr[0] & 0xe0) != 0x20)
			return false;
		return memcmp(a->s6_addr, "\x20\x01\0\0", 4) != 0 &&
		       memcmp(a->s6_addr, "\x20\x02", 2) != 0;
	}
	return false;
}

static curl_socket_t open_public(void *user, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct transfer *t = user;

	if (!address_is_public(&addr->addr)) {
		t->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* ---- callbacks ---- */
static int on_ready(void *user, char *peer, char *local, int peer_port, int local_port)
{
	struct transfer *t = user;

	t->connected = true;
	t->mark_us = mono_us();
	return CURL_PREREQFUNC_OK;
}

static bool status_is_good(const struct transfer *t)
{
	long status = t->answer.out->status;

	return status >= 200 && status < 300;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	size_t len = size * n;
	int r = answer_line(&t->answer, data, len);

	t->moved += len;
	if (r == 0 && t->answer.complete && status_is_good(t) && t->answer.out->has_length &&
	    t->answer.out->content_length > t->req->max_body && strcmp(t->req->method, "HEAD") != 0)
		r = -EFBIG;
	t->error = r;
	return r < 0 ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_error_body(struct transfer *t, const char *data, size_t len)
{
	struct http_answer *out = t->answer.out;
	const size_t size = sizeof(out->error_body) - 1;
	uint64_t at = out->length - len;

	if (at < size)
		memcpy(out->error_body + at, data, len < size - at ? len : size - at);
	t->enough = out->length > ERROR_BODY_READ;
	return t->enough ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	struct http_answer *out = t->answer.out;
	size_t len = size * n;

	t->moved += len;
	out->length += len;
	if (!status_is_good(t))
		return on_error_body(t, data, len);
	if (out->length > t->req->max_body) {
		t->error = -EFBIG;
	} else if (t->sink) {
		t->error = t->sink(t->user, data, len);
		t->sink_failed = t->error < 0;
	}
	return t->error ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_read(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	const struct http_request *req = t->req;
	uint64_t left = req->body_len - t->sent;
	size_t len = size * n;

	if (len > left)
		len = (size_t)left;
	if (len == 0)
		return 0;
	if (req->body) {
		memcpy(data, (const char *)req->body + t->sent, len);
	} else {
		int r = pread_all(req->body_fd, data, len, (off_t)t->sent);

		if (r < 0) {
			t->error = r;
			return CURL_READFUNC_ABORT;
		}
	}
	t->sent += len;
	t->moved += len;
	return len;
}

static int on_seek(void *user, curl_off_t offset, int origin)
{
	struct transfer *t = user;

	/* A kept connection broke before any answer, and libcurl would send it all again by itself: but a body that was sent
	 * may have arrived, which only the caller can look at. */
	if (t->sent > 0 && t->answer.bytes == 0)
		return CURL_SEEKFUNC_FAIL;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > t->req->body_len)
		return CURL_SEEKFUNC_FAIL;
	t->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/* ---- options ---- */
static bool host_is_loopback(const char *url)
{
	struct url u;
	struct in_addr a;
	size_t len;

	if (url_parse(url, &u) < 0)
		return false;
	len = strlen(u.host);
	return strcmp(u.host, "localhost") == 0 || strcmp(u.host, "[::1]") == 0 ||
	       (len > 10 && strcmp(u.host + len - 10, ".localhost") == 0) ||
	       (inet_pton(AF_INET, u.host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

static int make_headers(const struct transfer *t, struct curl_slist **ret)
{
	/* no second round trip before a body; no guess at its type */
	struct curl_slist *list = curl_slist_append(NULL, "Expect:"), *longer;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; !t->foreign && i < HTTP_HEADERS_MAX && t->req->header[i]; i++) {
		longer = strpbrk(t->req->header[i], "\r\n")
				 ? NULL
				 : curl_slist_append(list, t->req->header[i]);
		if (!longer) {
			curl_slist_free_all(list);
			return strpbrk(t->req->header[i], "\r\n") ? -EINVAL : -ENOMEM;
		}
		list = longer;
	}
	*ret = list;
	return 0;
}

static void set_method(CURL *e, struct transfer *t)
{
	const struct http_request *req = t->req;
	bool body = req->body_len > 0 || strcmp(req->method, "PUT") == 0 ||
		    strcmp(req->method, "POST") == 0;

	if (strcmp(req->method, "HEAD") == 0)
		(void)curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	else if (body)
		(void)curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
	else
		(void)curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
	(void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, req->method);
	if (!body)
		return;
	(void)curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body_len);
	(void)curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(e, CURLOPT_READDATA, t);
	(void)curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
	(void)curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
}

static int set_credentials(CURL *e, const struct transfer *t)
{
	const struct http_request *req = t->req;

	if (t->foreign || req->auth == HTTP_AUTH_NONE || !req->user)
		return 0;
	(void)curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST | CURLAUTH_BASIC);
	if (curl_easy_setopt(e, CURLOPT_USERNAME, req->user) != CURLE_OK)
		return -ENOMEM;
	if (curl_easy_setopt(e, CURLOPT_PASSWORD,
			     req->password && req->password->text ? req->password->text : "") !=
	    CURLE_OK)
		return -ENOMEM;
	return 0;
}

static int set_options(const struct http *h, CURL *e, struct transfer *t,
		       struct curl_slist *headers)
{
	long connect_ms = (long)((h->connect_timeout_us + 999) / 1000);

	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail);
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* a resolver that hangs must not keep us past a cancel */
	(void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	(void)curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 65536L);
	(void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
	(void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	(void)curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
	(void)curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
	(void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
	set_method(e, t);
	if (t->public_only) {
		(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_public);
		(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
		(void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
	}
	if (curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_USERAGENT, "shutterfs/" VERSION) != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_URL, t->url) != CURLE_OK)
		return -ENOMEM;
	if (host_is_loopback(t->url) && curl_easy_setopt(e, CURLOPT_PROXY, "") != CURLE_OK)
		return -ENOMEM;
	return set_credentials(e, t);
}

/* ---- the loop ---- */
/* Cancelled, late, or stalled? */
static int check_limits(const struct http *h, struct transfer *t)
{
	const struct call *c = t->call;
	int64_t now = mono_us();
	uint64_t floor = (uint64_t)(h->idle_timeout_us / 1000000) * SLOW_BYTES_PER_S + 1;

	if (c->cancel && atomic_load(c->cancel))
		return -ECANCELED;
	if (c->deadline_us && now >= c->deadline_us)
		return -ETIMEDOUT;
	if (!t->connected || t->moved >= floor) {
		t->mark_us = now;
		t->moved = 0;
	}
	return h->idle_timeout_us && now - t->mark_us >= h->idle_timeout_us ? -ETIMEDOUT : 0;
}

static int wait_ms(const struct http *h, const struct transfer *t)
{
	int64_t now = mono_us(), us = POLL_SLICE_MS * 1000;

	if (t->call->deadline_us && t->call->deadline_us - now < us)
		us = t->call->deadline_us - now;
	if (h->idle_timeout_us && t->mark_us + h->idle_timeout_us - now < us)
		us = t->mark_us + h->idle_timeout_us - now;
	return us <= 0 ? 0 : (int)(us / 1000) + 1;
}

static int drive(const struct http *h, struct handle *handle, struct transfer *t, CURLcode *ret)
{
	CURLMsg *msg;
	int running = 1, left, r;

	for (;;) {
		if (curl_multi_perform(handle->multi, &running) != CURLM_OK)
			return -ENOMEM;
		if (!running)
			break;
		r = check_limits(h, t);
		if (r < 0)
			return r;
		if (curl_multi_poll(handle->multi, NULL, 0, wait_ms(h, t), NULL) != CURLM_OK)
			return -ENOMEM;
	}
	msg = curl_multi_info_read(handle->multi, &left);
	if (!msg || msg->msg != CURLMSG_DONE)
		return -EIO;
	*ret = msg->data.result;
	return 0;
}

static int connect_error(CURL *e)
{
	long os = 0;

	(void)curl_easy_getinfo(e, CURLINFO_OS_ERRNO, &os);
	switch (os) {
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
	case ECONNRESET:
		return -(int)os;
	default:
		return -ECONNREFUSED;
	}
}

static int errno_of(CURL *e, const struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_OK: /* also where the connection ends within the headers */
		return t->answer.complete ? 0 : -ECONNRESET;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -ENETUNREACH;
	case CURLE_COULDNT_CONNECT:
		return connect_error(e);
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return -ECONNRESET;
	case CURLE_PARTIAL_FILE:
		return -EIO;
	case CURLE_OUT_OF_MEMORY: /* or a header line that is too long, in libcurl before 8.6 */
		return t->connected && !t->answer.complete ? -EPROTO : -ENOMEM;
	default:
		return -EPROTO;
	}
}

/* A sentence for people; `where` names the peer. */
static void explain(const struct transfer *t, int r, const char *where)
{
	struct call *c = t->call;

	switch (-r) {
	case ECANCELED:
		call_why(c, "the request to %s was cancelled", where);
		break;
	case ETIMEDOUT:
		if (!t->connected)
			call_why(
				c,
				"%s could not be reached in time; is it on, and is the address right?",
				where);
		else if (t->answer.bytes)
			call_why(c, "%s began to answer and then was too slow", where);
		else
			call_why(c, "%s took the request and did not answer in time", where);
		break;
	case ECONNREFUSED:
		call_why(c, "%s refused the connection; is it on, and is the port right?", where);
		break;
	case ECONNRESET:
		call_why(c, "%s broke the connection off", where);
		break;
	case EHOSTUNREACH:
		call_why(c, "%s cannot be reached from here", where);
		break;
	case ENETUNREACH:
		call_why(
			c,
			"the name or network of %s was not found; check the address and the network",
			where);
		break;
	case EFBIG:
		call_why(c, "%s sends more than is accepted (%llu bytes)", where,
			 (unsigned long long)t->req->max_body);
		break;
	case EIO:
		call_why(c, "%s closed the connection before the end of its answer", where);
		break;
	default:
		call_why(c, "%s: %s", where, t->detail[0] ? t->detail : "the request failed");
		break;
	}
}

/* What we ended ourselves has a reason of its own. */
static void explain_ours(const struct transfer *t, int r, const char *where)
{
	struct call *c = t->call;

	if (t->sink_failed)
		call_why(c, "what %s sent could not be kept: %s", where, strerrordesc_np(-r));
	else if (r == -EPROTO)
		call_why(c, "the answer of %s has broken, contradicting or too many header lines",
			 where);
	else if (r == -EFBIG)
		explain(t, r, where);
	else
		call_why(c, "what was to be sent to %s could not be read: %s", where,
			 strerrordesc_np(-r));
}

/* A refusal is one even if its page broke off; a 401 may only have been the question before the login. */
static bool status_decides(const struct transfer *t, int r)
{
	long status = t->answer.out->status;

	return !t->error && r != -ECANCELED && t->answer.complete && status >= 300 && status != 401;
}

static int exchange(struct http *h, struct handle *handle, struct transfer *t)
{
	CURLcode code = CURLE_OK;
	int r;

	if (curl_multi_add_handle(handle->multi, handle->easy) != CURLM_OK)
		return -ENOMEM;
	handle->socket = CURL_SOCKET_BAD;
	r = drive(h, handle, t, &code);
	if (r == 0) {
		r = errno_of(handle->easy, t, code);
		(void)curl_easy_getinfo(handle->easy, CURLINFO_ACTIVESOCKET, &handle->socket);
	}
	(void)curl_multi_remove_handle(handle->multi, handle->easy);
	if (t->enough || (r < 0 && status_decides(t, r)))
		return 0;
	return t->error ? t->error : r;
}

int transfer_run(struct http *h, struct handle *handle, struct transfer *t)
{
	struct curl_slist *headers = NULL;
	struct url u;
	char where[300] = "";
	int r;

	t->mark_us = mono_us();
	r = make_headers(t, &headers);
	if (r == 0)
		r = set_options(h, handle->easy, t, headers);
	if (r == 0)
		r = exchange(h, handle, t);
	curl_slist_free_all(headers);
	if (r == 0)
		return 0;
	if (url_parse(t->url, &u) == 0)
		url_where(&u, where, sizeof(where));
	if (t->error) {
		explain_ours(t, r, where);
	} else if (t->refused) {
		r = -EPROTO;
		call_why(t->call, "redirected to %s, an address of an inner network", where);
	} else {
		explain(t, r, where);
	}
	return r;
}
