/* The s3 driver against a server on loopback that answers what each test hands it: what is sent, what is made of the
 * answers, and that servers which lie, loop or redirect are found out. (A server that verifies: test-store-swift.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/net.h"
#include "shutterfs/store.h"

enum { REPLIES_MAX = 8 };

struct reply {
	const char
		*head; /* status line and headers without the final blank line, CRLF between them */
	const char *body; /* NULL: none; a Content-Length goes with it */
};

struct server {
	int fd;
	unsigned port;
	pthread_t thread;
	const struct reply *reply;
	size_t n;
	char got[REPLIES_MAX][8192]; /* the requests' heads */
	size_t n_got;                /* read after the join */
};

/* Reads a request's head into `out` and drops its body. */
static bool read_request(int fd, char *out, size_t size)
{
	size_t len = 0, body = 0;
	char *end = NULL, *length, drop[4096];

	while (!end && len + 1 < size) {
		ssize_t n = recv(fd, out + len, 1, 0);

		if (n <= 0)
			return false;
		len += (size_t)n;
		out[len] = '\0';
		end = strstr(out, "\r\n\r\n");
	}
	length = strcasestr(out, "\r\ncontent-length: ");
	if (length)
		body = strtoul(length + 18, NULL, 10);
	while (body > 0) {
		ssize_t n = recv(fd, drop, body < sizeof(drop) ? body : sizeof(drop), 0);

		if (n <= 0)
			return false;
		body -= (size_t)n;
	}
	return true;
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->n; i++) {
		CLEANUP(closep) int fd = accept(s->fd, NULL, NULL);
		CLEANUP(buf_done) struct buf out = BUF(16 << 20);

		if (fd < 0 || !read_request(fd, s->got[i], sizeof(s->got[i])))
			break;
		s->n_got++;
		buf_printf(&out, "%s\r\nConnection: close\r\n", s->reply[i].head);
		if (s->reply[i].body)
			buf_printf(&out, "Content-Length: %zu\r\n", strlen(s->reply[i].body));
		buf_printf(&out, "\r\n%s", s->reply[i].body ? s->reply[i].body : "");
		(void)!send(fd, out.data, out.len, MSG_NOSIGNAL);
	}
	return NULL;
}

struct fixture {
	struct server server;
	struct store_config conf;
	struct store *store;
	struct call call;
	char endpoint[64];
};

static void start_as(struct fixture *f, const char *host, const char *prefix,
		     const struct reply *reply, size_t n)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP(buf_done) struct buf err = BUF(1024);
	socklen_t len = sizeof(a);

	assert_true(n <= REPLIES_MAX);
	f->server.reply = reply;
	f->server.n = n;
	f->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->server.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->server.fd, 8), 0);
	assert_int_equal(getsockname(f->server.fd, (struct sockaddr *)&a, &len), 0);
	f->server.port = ntohs(a.sin_port);
	(void)snprintf(f->endpoint, sizeof(f->endpoint), "http://%s:%u", host, f->server.port);
	f->conf.name = (char *)"cloud";
	f->conf.driver = (char *)"s3";
	f->conf.endpoint = f->endpoint;
	f->conf.region = (char *)"us-east-1";
	f->conf.bucket = (char *)"snaps";
	f->conf.prefix = (char *)prefix;
	f->conf.access_key.text = (char *)"AKID";
	f->conf.secret_key.text = (char *)"secret";
	f->call.deadline_us = mono_us() + 20 * 1000000;
	assert_int_equal(store_new(&f->conf, &err, &f->store), 0);
	assert_int_equal(pthread_create(&f->server.thread, NULL, serve, &f->server), 0);
}

static void start(struct fixture *f, const struct reply *reply, size_t n)
{
	memset(f, 0, sizeof(*f));
	start_as(f, "127.0.0.1", "pre/", reply, n);
}

/* Every reply must have been asked for, and nothing more. */
static void stop(struct fixture *f)
{
	(void)shutdown(f->server.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(f->server.thread, NULL), 0);
	(void)close(f->server.fd);
	f->store = store_free(f->store);
	assert_int_equal(f->server.n_got, f->server.n);
}

static void assert_sent(const struct fixture *f, size_t i, const char *text)
{
	if (!strstr(f->server.got[i], text))
		fail_msg("\"%s\" is not in\n%s", text, f->server.got[i]);
}

static void assert_why(const struct fixture *f, const char *text)
{
	if (!strstr(f->call.why, text))
		fail_msg("\"%s\" is not in \"%s\"", text, f->call.why);
}

static int put_text(struct fixture *f, const char *key, const char *text, struct store_head *head)
{
	const struct store_meta meta = {.img_id = "20201231T15-45-55-123456", .camera = "front"};
	CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct hashes h;

	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	assert_int_equal(hash_fd(fd, &h), 0);
	return store_put(f->store, &f->call, key, fd, strlen(text), "image/jpeg", &h.sha, h.md5,
			 &meta, head);
}

static int to_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"
#define HELLO_SHA "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define OTHER_MD5 "00000000000000000000000000000000"
#define OK "HTTP/1.1 200 OK"
#define ERROR(code, more) \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message>" more "</Error>"

/* ---- what is sent ---- */

static void put_sends_everything(void **state)
{
	static const struct reply r[] = {
		{OK "\r\nETag: \"" HELLO_MD5 "\"\r\nContent-Length: 0", NULL}};
	struct store_head head;
	struct fixture f = {.conf.session_token.text = (char *)"tok/en=="};

	start_as(&f, "127.0.0.1", "pre/", r, 1);
	assert_int_equal(put_text(&f, "a b+%/\xc3\xa9:.jpg", "hello", &head), 0);
	stop(&f);
	assert_string_equal(head.etag, HELLO_MD5);
	assert_int_equal(head.size, 5);
	assert_true(head.meta.has_sha);
	assert_sent(&f, 0, "PUT /snaps/pre/a%20b%2B%25/%C3%A9%3A.jpg HTTP/1.1\r\n");
	assert_sent(&f, 0, "\r\nContent-Length: 5\r\n");
	assert_sent(&f, 0, "\r\ncontent-type: image/jpeg\r\n");
	assert_sent(&f, 0, "\r\nx-amz-content-sha256: " HELLO_SHA "\r\n");
	assert_sent(&f, 0, "\r\nx-amz-meta-sha256: " HELLO_SHA "\r\n");
	assert_sent(&f, 0, "\r\nx-amz-meta-img-id: 20201231T15-45-55-123456\r\n");
	assert_sent(&f, 0, "\r\nx-amz-meta-camera: front\r\n");
	assert_sent(&f, 0, "\r\nx-amz-security-token: tok/en==\r\n");
	assert_sent(&f, 0, "\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/");
	assert_sent(
		&f, 0,
		"SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-camera;"
		"x-amz-meta-img-id;x-amz-meta-sha256;x-amz-security-token, Signature=");
	assert_null(strstr(f.server.got[0], "secret"));
	assert_null(strcasestr(f.server.got[0], "expect:"));
}

static void virtual_host_keeps_keys_as_they_are(void **state)
{
	static const struct reply r[] = {{OK "\r\nContent-Length: 0", NULL}};
	struct store_head head;
	struct fixture f = {.conf.has_path_style = true};
	char host[64];

	start_as(&f, "localhost", NULL, r, 1);
	assert_int_equal(store_head(f.store, &f.call, "/a//../b", &head), 0);
	stop(&f);
	(void)snprintf(host, sizeof(host), "\r\nHost: snaps.localhost:%u\r\n", f.server.port);
	assert_sent(&f, 0, "HEAD //a//../b HTTP/1.1\r\n");
	assert_sent(&f, 0, host);
}

static void header_injection_is_refused(void **state)
{
	struct fixture f;
	struct store_head head;
	struct hashes h = {0};

	start(&f, NULL, 0);
	assert_int_equal(store_put(f.store, &f.call, "a", -1, 0, "a/b\r\nx-evil: 1", &h.sha, h.md5,
				   NULL, &head),
			 -EINVAL);
	stop(&f);
}

/* ---- get, head, delete ---- */

static void get_is_one_request(void **state)
{
	static const struct reply r[] = {
		{OK "\r\nETag: \"" HELLO_MD5 "\"\r\nx-amz-meta-Sha256: " HELLO_SHA
		    "\r\nx-amz-meta-camera: front\r\nx-amz-meta-img-id: an id far longer than "
		    "any of ours could ever be\r\nLast-Modified: Thu, 31 Dec 2020 14:45:55 GMT",
		 "hello"}};
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	struct fixture f;

	start(&f, r, 1);
	assert_int_equal(store_get(f.store, &f.call, "a.jpg", 5, to_buf, &got, &head), 0);
	stop(&f);
	assert_string_equal(got.data, "hello");
	assert_int_equal(head.size, 5);
	assert_string_equal(head.etag, HELLO_MD5);
	assert_true(head.meta.has_sha);
	assert_string_equal(head.meta.camera, "front");
	assert_string_equal(head.meta.img_id, "");
	assert_true(head.modified_us == INT64_C(1609425955000000));
}

static int refuse(void *user, const void *data, size_t len)
{
	return -ENOSPC;
}

static void get_that_fails(void **state)
{
	static const struct reply r[] = {
		{OK, "hello, this is too long"},
		{OK "\r\nContent-Length: 9", NULL},
		{OK, "hello"},
		{"HTTP/1.1 206 Partial Content", "hell"},
		{"HTTP/1.1 404 Not Found", ERROR("NoSuchKey", "")},
		{"HTTP/1.1 404 Not Found", "<html>nothing here</html>"},
		{"HTTP/1.1 404 Not Found", ERROR("NoSuchBucket", "")},
	};
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	struct fixture f;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head), -EFBIG);
	assert_int_equal(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head), -EIO);
	assert_int_equal(store_get(f.store, &f.call, "a", 10, refuse, NULL, &head), -ENOSPC);
	assert_true(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head) < 0);
	assert_int_equal(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head), -ENOENT);
	assert_why(&f, "reading \"pre/a\": there is no such object");
	/* neither a stranger's 404 nor a missing bucket may pass for a deleted object */
	assert_int_equal(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head), -EIO);
	assert_why(&f, "check endpoint");
	assert_int_equal(store_get(f.store, &f.call, "a", 10, to_buf, &got, &head), -EACCES);
	assert_why(&f, "no bucket \"snaps\"");
	stop(&f);
}

static void head_tells_object_from_bucket(void **state)
{
	static const struct reply r[] = {
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 99", NULL},
		{"HTTP/1.1 404 Not Found", NULL},
		{"HTTP/1.1 404 Not Found", NULL},
		{OK, NULL},
		{"HTTP/1.1 404 Not Found", NULL},
		{"HTTP/1.1 403 Forbidden", NULL},
	};
	struct store_head head;
	struct fixture f;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -EACCES);
	assert_why(&f, "no bucket \"snaps\"");
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ENOENT);
	assert_why(&f, "no object \"pre/a\"");
	/* the bucket was there a moment ago */
	assert_int_equal(store_head(f.store, &f.call, "b", &head), -ENOENT);
	assert_why(&f, "no object \"pre/b\"");
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -EACCES);
	stop(&f);
	assert_sent(&f, 1, "HEAD /snaps HTTP/1.1\r\n");
	assert_sent(&f, 3, "HEAD /snaps HTTP/1.1\r\n");
	assert_sent(&f, 4, "HEAD /snaps/pre/b HTTP/1.1\r\n");
}

/* A key that may read objects need not be allowed to see the bucket. */
static void bucket_may_be_hidden(void **state)
{
	static const struct reply r[] = {
		{"HTTP/1.1 404 Not Found", NULL},
		{"HTTP/1.1 403 Forbidden", NULL},
		{"HTTP/1.1 404 Not Found", NULL},
	};
	struct store_head head;
	struct fixture f;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ENOENT);
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ENOENT);
	stop(&f);
}

static void delete_of_nothing_is_done(void **state)
{
	static const struct reply r[] = {
		{"HTTP/1.1 204 No Content", NULL},
		{"HTTP/1.1 404 Not Found", ERROR("NoSuchKey", "")},
		{"HTTP/1.1 403 Forbidden", ERROR("AccessDenied", "")},
	};
	struct fixture f;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(store_delete(f.store, &f.call, "a"), 0);
	assert_int_equal(store_delete(f.store, &f.call, "a"), 0);
	assert_int_equal(store_delete(f.store, &f.call, "a"), -EACCES);
	stop(&f);
	assert_sent(&f, 0, "DELETE /snaps/pre/a HTTP/1.1\r\n");
}

/* ---- errors, for people ---- */

static void errors_are_explained(void **state)
{
	static const struct {
		const char *head, *body;
		int error;
		const char *words;
	} v[] = {
		{"HTTP/1.1 403 Forbidden", ERROR("SignatureDoesNotMatch", ""), -EACCES,
		 "secret key is wrong"},
		{"HTTP/1.1 403 Forbidden", ERROR("InvalidAccessKeyId", ""), -EACCES,
		 "access key is unknown"},
		{"HTTP/1.1 403 Forbidden", ERROR("AccessDenied", ""), -EACCES,
		 "check its rights on bucket \"snaps\""},
		{"HTTP/1.1 400 Bad Request", ERROR("ExpiredToken", ""), -EACCES, "has expired"},
		{"HTTP/1.1 403 Forbidden",
		 ERROR("RequestTimeTooSkewed", "<ServerTime>2020-12-31T15:45:55Z</ServerTime>"),
		 -EACCES, "the server 2020-12-31T15:45:55 (UTC)"},
		{"HTTP/1.1 403 Forbidden",
		 ERROR("RequestTimeTooSkewed", "<ServerTime>x%s</ServerTime>"), -EACCES,
		 "the server something else"},
		{"HTTP/1.1 400 Bad Request",
		 ERROR("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"), -EACCES,
		 "is in region eu-west-1, not us-east-1: set region = eu-west-1"},
		{"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\nLocation: http://127.0.0.1:1/",
		 "", -EACCES, "set region = eu-west-1 and the endpoint"},
		{"HTTP/1.1 307 Moved\r\nLocation: https://elsewhere.example:8443/x?y", "", -EACCES,
		 "redirects to https://elsewhere.example"},
		{"HTTP/1.1 503 Slow Down", ERROR("SlowDown", ""), -EAGAIN, "fewer requests"},
		{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7", "", -EAGAIN,
		 "fewer requests"},
		{"HTTP/1.1 500 Oops", ERROR("InternalError", ""), -EIO,
		 "answered 500 InternalError: m"},
		{"HTTP/1.1 507 Full", ERROR("XMinioStorageFull", ""), -ENOSPC, "disk is full"},
		{"HTTP/1.1 400 Bad Request", ERROR("BadDigest", ""), -EIO, "arrived damaged"},
		{"HTTP/1.1 418 Teapot", "<html>", -EIO, "answered 418"},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		const struct reply r = {v[i].head, v[i].body};
		struct store_head head;
		struct fixture f;

		print_message("%s %s\n", v[i].head, v[i].body);
		start(&f, &r, 1);
		assert_int_equal(put_text(&f, "a", "hello", &head), v[i].error);
		stop(&f); /* one request: no redirect was followed */
		assert_why(&f, v[i].words);
		assert_why(&f, "store \"cloud\"");
		if (strstr(v[i].head, "Retry-After"))
			assert_true(f.call.retry_after_us == 7000000);
	}
}

static void no_server(void **state)
{
	struct store_head head;
	struct fixture f;

	start(&f, NULL, 0);
	(void)shutdown(f.server.fd, SHUT_RDWR);
	(void)pthread_join(f.server.thread, NULL);
	(void)close(f.server.fd);
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ECONNREFUSED);
	assert_why(&f, "store \"cloud\": looking at \"pre/a\": ");
	f.store = store_free(f.store);
}

/* ---- is it there as it was sent? ---- */

static void etag_that_is_no_md5(void **state)
{
	static const struct reply r[] = {
		/* encrypted with KMS: read back, and right */
		{OK "\r\nETag: \"" OTHER_MD5 "\"\r\nContent-Length: 0", NULL},
		{OK, "hello"},
		/* damaged */
		{OK "\r\nETag: \"" OTHER_MD5 "\"\r\nContent-Length: 0", NULL},
		{OK, "hellO"},
		/* a gateway's own ETag: size and metadata are there, or are not */
		{OK "\r\nETag: \"abc-1\"\r\nContent-Length: 0", NULL},
		{OK "\r\nContent-Length: 5\r\nx-amz-meta-sha256: " HELLO_SHA, NULL},
		{OK "\r\nContent-Length: 0", NULL},
		{OK "\r\nContent-Length: 5", NULL},
	};
	struct store_head head;
	struct fixture f;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(put_text(&f, "a", "hello", &head), 0);
	assert_string_equal(head.etag, OTHER_MD5);
	assert_int_equal(put_text(&f, "a", "hello", &head), -EIO);
	assert_why(&f, "not there as it was sent");
	assert_int_equal(put_text(&f, "a", "hello", &head), 0);
	assert_int_equal(put_text(&f, "a", "hello", &head), -EIO);
	stop(&f);
	assert_sent(&f, 1, "GET /snaps/pre/a ");
	assert_sent(&f, 5, "HEAD /snaps/pre/a ");
}

/* ---- list ---- */

struct seen {
	struct buf text;
	size_t n, stop_at;
};

static int see(void *user, const struct store_object *o)
{
	struct seen *s = user;

	buf_printf(&s->text, "%s %s %llu|", o->key, o->etag, (unsigned long long)o->size);
	return ++s->n == s->stop_at ? 77 : 0;
}

#define OBJECT(key)                                                                         \
	"<Contents><Key>" key "</Key><LastModified>2020-12-31T15:45:55.000Z</LastModified>" \
	"<ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>"
#define PAGE(more, objects)                                                                      \
	"<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType>" more objects \
	"</ListBucketResult>"
#define NEXT(token) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"
#define LAST "<IsTruncated>false</IsTruncated>"

static int list(struct fixture *f, const char *prefix, const char *after, struct seen *s)
{
	*s = (struct seen){.text = BUF(1 << 20)};
	assert_int_equal(buf_str(&s->text, ""), 0);
	return store_list(f->store, &f->call, prefix, after, see, s);
}

static void list_follows_tokens(void **state)
{
	static const struct reply r[] = {
		{OK, PAGE(NEXT("t/1+="),
			  OBJECT("pre/") OBJECT("pre/a%20%2B%25%01.jpg") OBJECT("pre/b"))},
		{OK, PAGE(NEXT("t2"), "")},
		{OK, PAGE(LAST, OBJECT("pre/c"))},
	};
	struct fixture f;
	struct seen s;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(list(&f, "", NULL, &s), 0);
	stop(&f);
	assert_string_equal(s.text.data, "a +%\x01.jpg e 7|b e 7|c e 7|");
	buf_done(&s.text);
	assert_sent(&f, 0,
		    "GET /snaps?encoding-type=url&list-type=2&max-keys=1000&prefix=pre%2F HTTP");
	assert_sent(
		&f, 1,
		"GET /snaps?continuation-token=t%2F1%2B%3D&encoding-type=url&list-type=2&max-keys=1000&"
		"prefix=pre%2F HTTP");
	assert_sent(&f, 2, "?continuation-token=t2&");
}

static void list_resumes_and_stops(void **state)
{
	static const struct reply r[] = {
		/* a server that knows no start-after, and one that knows no prefix */
		{OK,
		 PAGE(LAST, OBJECT("other") OBJECT("pre/x/a") OBJECT("pre/x/b") OBJECT("pre/x/c"))},
		{OK, PAGE(NEXT("t"), OBJECT("pre/a") OBJECT("pre/b"))},
	};
	struct fixture f;
	struct seen s;

	start(&f, r, ARRAY_LEN(r));
	assert_int_equal(list(&f, "x/", "x/a", &s), 0);
	assert_string_equal(s.text.data, "x/b e 7|x/c e 7|");
	buf_done(&s.text);
	s = (struct seen){.text = BUF(1 << 20), .stop_at = 1};
	assert_int_equal(store_list(f.store, &f.call, "", NULL, see, &s), 77);
	assert_int_equal(s.n, 1);
	buf_done(&s.text);
	stop(&f);
	assert_sent(&f, 0, "&prefix=pre%2Fx%2F&start-after=pre%2Fx%2Fa HTTP");
}

static void list_that_lies(void **state)
{
	static const struct {
		struct reply r[3];
		size_t n;
		const char *words;
	} v[] = {
		{{{OK, PAGE(NEXT("t"), OBJECT("pre/a"))}, {OK, PAGE(NEXT("t"), OBJECT("pre/b"))}},
		 2,
		 "goes in circles"},
		{{{OK, PAGE(NEXT("t"), OBJECT("pre/a"))}, {OK, PAGE(NEXT("u"), OBJECT("pre/a"))}},
		 2,
		 "byte order"},
		{{{OK, PAGE(LAST, OBJECT("pre/b") OBJECT("pre/a"))}}, 1, "byte order"},
		{{{OK, PAGE("<IsTruncated>true</IsTruncated>", OBJECT("pre/a"))}},
		 1,
		 "but not where"},
		{{{OK, "<html>hello</html>"}}, 1, "the listing of bucket \"snaps\""},
		{{{OK, ""}}, 1, "the listing of bucket \"snaps\""},
		{{{"HTTP/1.1 404 Not Found", ERROR("NoSuchBucket", "")}}, 1, "no bucket \"snaps\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct fixture f;
		struct seen s;

		start(&f, v[i].r, v[i].n);
		assert_true(list(&f, "", NULL, &s) < 0);
		stop(&f);
		assert_why(&f, v[i].words);
		buf_done(&s.text);
	}
}

static int see_ordered(void *user, const struct store_object *o)
{
	char want[32];

	(void)snprintf(want, sizeof(want), "%05zu.jpg", (*(size_t *)user)++);
	assert_string_equal(o->key, want);
	return 0;
}

static void list_of_2500(void **state)
{
	struct buf page[3] = {BUF(1 << 20), BUF(1 << 20), BUF(1 << 20)};
	struct reply r[3];
	struct fixture f;
	size_t n = 0;

	for (size_t p = 0; p < 3; p++) {
		buf_str(&page[p], "<ListBucketResult>");
		buf_printf(
			&page[p],
			"<IsTruncated>%s</IsTruncated><NextContinuationToken>t%zu</NextContinuationToken>",
			p < 2 ? "true" : "false", p);
		for (size_t i = p * 1000; i < 2500 && i < p * 1000 + 1000; i++)
			buf_printf(&page[p], OBJECT("pre/%05zu.jpg"), i);
		assert_int_equal(buf_str(&page[p], "</ListBucketResult>"), 0);
		r[p] = (struct reply){OK, page[p].data};
	}
	start(&f, r, 3);
	assert_int_equal(store_list(f.store, &f.call, "", NULL, see_ordered, &n), 0);
	stop(&f);
	assert_int_equal(n, 2500);
	for (size_t p = 0; p < 3; p++)
		buf_done(&page[p]);
}

static int start_net(void **state)
{
	return net_init();
}

static int end_net(void **state)
{
	net_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_sends_everything),
		cmocka_unit_test(virtual_host_keeps_keys_as_they_are),
		cmocka_unit_test(header_injection_is_refused),
		cmocka_unit_test(get_is_one_request),
		cmocka_unit_test(get_that_fails),
		cmocka_unit_test(head_tells_object_from_bucket),
		cmocka_unit_test(bucket_may_be_hidden),
		cmocka_unit_test(delete_of_nothing_is_done),
		cmocka_unit_test(errors_are_explained),
		cmocka_unit_test(no_server),
		cmocka_unit_test(etag_that_is_no_md5),
		cmocka_unit_test(list_follows_tokens),
		cmocka_unit_test(list_resumes_and_stops),
		cmocka_unit_test(list_that_lies),
		cmocka_unit_test(list_of_2500),
	};

	return cmocka_run_group_tests(tests, start_net, end_net);
}
