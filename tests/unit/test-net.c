/* test-net.c - what http_do promises when the peer behaves: methods, bodies, logins, redirects, statuses, kept
 * connections; and that secrets stay with their origin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "shutterfs/net.h"
#include "test-net-server.h"

#define DIGEST_OF_THE_LOGIN "1dcb8595c176f46439f5f1adfbc1dab3"
#define CHALLENGE "WWW-Authenticate: Digest realm=\"cam era\", nonce=\"abc123\"\r\n"

static struct server here, there;
static struct http *http;
static const struct secret password = {.text = (char[]){"s3cr:et"}};

static bool redirect_to(int fd, const char *status, const char *host, unsigned port,
			const char *path)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "Location: http://%s:%u%s\r\n", host, port, path);
	return server_text(fd, status, line, "moved");
}

static bool answer_redirects(int fd, const char *path)
{
	if (strcmp(path, "/moved") == 0)
		return server_text(fd, "302 Found", "Location: private?x=1\r\n", "moved");
	if (strcmp(path, "/moved-port") == 0)
		return redirect_to(fd, "307 Temporary", "evil:one@127.0.0.1", there.port, "/echo");
	if (strcmp(path, "/moved-back") == 0)
		return redirect_to(fd, "307 Temporary", "127.0.0.1", there.port, "/bounce");
	if (strcmp(path, "/bounce") == 0)
		return redirect_to(fd, "301 Moved", "127.0.0.1", here.port, "/echo");
	if (strcmp(path, "/moved-host") == 0)
		return redirect_to(fd, "302 Found", "localhost", there.port, "/echo");
	if (strcmp(path, "/moved-zero") == 0)
		return redirect_to(fd, "302 Found", "0x0", there.port, "/echo");
	if (strcmp(path, "/moved-file") == 0)
		return server_text(fd, "302 Found", "Location: file:///etc/passwd\r\n", "");
	if (strcmp(path, "/moved-nowhere") == 0)
		return server_text(fd, "302 Found", "", "");
	return server_text(fd, "302 Found", "Location: /loop\r\n", "");
}

static bool answer_login(int fd, const struct server_request *req)
{
	if (strncmp(req->path, "/basic", 6) == 0) {
		if (strstr(req->head, "Authorization: Basic YWRtaW46czNjcjpldA=="))
			return server_text(fd, "200 OK", "", "welcome");
		return server_text(fd, "401 No", "WWW-Authenticate: Basic realm=\"cam\"\r\n",
				   "log in first");
	}
	if (strncmp(req->path, "/digest", 7) == 0) {
		if (strstr(req->head, "response=\"" DIGEST_OF_THE_LOGIN "\""))
			return server_text(fd, "200 OK", "", "welcome");
		return server_text(fd, "401 No", CHALLENGE, "log in first");
	}
	return server_text(fd, "401 No",
			   "WWW-Authenticate: NTLM\r\nWWW-Authenticate: Negotiate\r\n",
			   "windows only");
}

static bool answer(struct server *s, int fd, const struct server_request *req)
{
	static const struct {
		const char *path, *status, *headers;
	} plain[] = {
		{"/404", "404 Not Found", ""},
		{"/410", "410 Gone", ""},
		{"/403", "403 Forbidden", ""},
		{"/429", "429 Slow down", "Retry-After: 3\r\n"},
		{"/503", "503 Busy", "Retry-After: 2\r\n"},
		{"/500", "500 Oops", ""},
		{"/400", "400 Bad", ""},
		{"/206", "206 Partial", "Content-Range: bytes 0-3/100\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		if (strcmp(req->path, plain[i].path) == 0)
			return server_text(fd, plain[i].status, plain[i].headers,
					   "<p>body of the status</p>");
	}
	if (strncmp(req->path, "/moved", 6) == 0 || strcmp(req->path, "/loop") == 0 ||
	    strcmp(req->path, "/bounce") == 0)
		return answer_redirects(fd, req->path);
	if (strncmp(req->path, "/login", 6) == 0 || strncmp(req->path, "/basic", 6) == 0 ||
	    strncmp(req->path, "/digest", 7) == 0)
		return answer_login(fd, req);
	if (strcmp(req->method, "HEAD") == 0) {
		server_printf(fd,
			      "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\nETag: \"e\"\r\n\r\n");
		return true;
	}
	if (strcmp(req->path, "/chunked") == 0) {
		server_printf(
			fd,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
		return true;
	}
	if (req->body_len)
		return server_reply(fd, "200 OK", "", req->body, req->body_len);
	return server_reply(fd, "200 OK", "Content-Type: text/plain\r\n", req->head,
			    strlen(req->head));
}

static int setup(void **state)
{
	/* none of this may go through it: it is all on loopback */
	if (setenv("http_proxy", "http://127.0.0.1:1", 1) || net_init())
		return -1;
	server_start(&here, answer);
	server_start(&there, answer);
	return 0;
}

static int teardown(void **state)
{
	server_stop(&here);
	server_stop(&there);
	net_done();
	return 0;
}

static int fresh(void **state)
{
	return http_new(2000000, 2000000, &http);
}

static int stale(void **state)
{
	http = http_free(http);
	return 0;
}

struct got {
	struct http_answer a;
	struct call c;
	struct buf body;
	char text[65536];
};

/* The request with `path` put behind our server's address; the body ends up in got.text. */
static int ask(struct http_request *req, const char *path, struct got *g)
{
	char url[256];
	int r;

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", here.port, path);
	memset(g, 0, sizeof(*g));
	g->body = BUF(sizeof(g->text) - 1);
	g->c.deadline_us = mono_us() + 10000000;
	req->url = url;
	if (!req->method)
		req->method = "GET";
	if (!req->max_body)
		req->max_body = 60000;
	r = http_do(http, &g->c, req, http_sink_buf, &g->body, &g->a);
	if (g->body.len)
		memcpy(g->text, g->body.data, g->body.len);
	buf_done(&g->body);
	return r;
}

static int get(const char *path, struct got *g)
{
	struct http_request req = {0};

	return ask(&req, path, g);
}

static void gets_a_body_and_says_who_asks(void **state)
{
	struct got g;

	assert_int_equal(get("/a/../b//c?q=%2f", &g), 0);
	assert_int_equal(g.a.status, 200);
	assert_ptr_equal(strstr(g.text, "GET /a/../b//c?q=%2f HTTP/1.1\r\n"), g.text);
	assert_non_null(strstr(g.text, "\r\nUser-Agent: shutterfs/"));
	assert_null(strcasestr(g.text, "accept-encoding"));
	assert_null(strcasestr(g.text, "cookie"));
	assert_null(strcasestr(g.text, "authorization"));
	assert_int_equal(g.a.length, strlen(g.text));
	assert_string_equal(g.a.content_type, "text/plain");
	assert_int_equal(get("/chunked", &g), 0);
	assert_string_equal(g.text, "hello world");
	assert_false(g.a.has_length);
	assert_int_equal(g.a.length, 11);
}

static void statuses_become_errors_and_their_bodies_stay_out_of_the_sink(void **state)
{
	static const struct {
		const char *path;
		int r;
		long status;
		int64_t pause;
	} row[] = {
		{"/404", -ENOENT, 404, 0}, {"/410", -ENOENT, 410, 0},
		{"/403", -EACCES, 403, 0}, {"/429", -EAGAIN, 429, 3000000},
		{"/500", -EIO, 500, 0},    {"/503", -EAGAIN, 503, 2000000},
		{"/400", -EIO, 400, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct got g;

		assert_int_equal(get(row[i].path, &g), row[i].r);
		assert_int_equal(g.a.status, row[i].status);
		assert_int_equal(g.c.retry_after_us, row[i].pause);
		assert_string_equal(g.text, "");
		assert_string_equal(g.a.error_body, "<p>body of the status</p>");
		assert_non_null(strstr(g.c.why, "127.0.0.1:"));
	}
}

static void a_part_is_not_the_whole(void **state)
{
	struct http_request req = {.header = {"Range: bytes=0-3"}};
	struct got g;

	assert_int_equal(get("/206", &g), -EPROTO);
	assert_int_equal(ask(&req, "/206", &g), 0);
}

static void connections_are_kept(void **state)
{
	unsigned before = atomic_load(&here.connections);
	struct got g;

	for (int i = 0; i < 5; i++) {
		assert_int_equal(get("/", &g), 0);
		assert_int_equal(get("/404", &g), -ENOENT);
	}
	assert_int_equal(atomic_load(&here.connections), before + 1);
}

static void head_has_a_length_and_no_body(void **state)
{
	struct http_request req = {.method = "HEAD"};
	struct got g;

	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_true(g.a.has_length);
	assert_int_equal(g.a.content_length, 123456);
	assert_string_equal(g.a.etag, "e");
	assert_int_equal(g.a.length, 0);
}

static void puts_from_memory_and_from_a_file(void **state)
{
	struct http_request req = {.method = "PUT", .body = "hello", .body_len = 5};
	int fd = memfd_create("body", MFD_CLOEXEC);
	struct got g;

	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_string_equal(g.text, "hello");
	assert_null(strcasestr(here.last_head, "Expect:"));
	assert_null(strcasestr(here.last_head, "chunked"));

	for (int i = 0; i < 5000; i++)
		assert_int_equal(dprintf(fd, "%09d\n", i), 10);
	req = (struct http_request){.method = "PUT", .body_fd = fd, .body_len = 50000};
	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_int_equal(g.a.length, 50000);
	assert_int_equal(strlen(g.text), 50000);
	assert_memory_equal(g.text + 49990, "000004999\n", 10);

	/* again with a login: the body is read a second time, from its start */
	req = (struct http_request){.method = "PUT",
				    .body_fd = fd,
				    .body_len = 50000,
				    .auth = HTTP_AUTH_ANY,
				    .user = "admin",
				    .password = &password};
	assert_int_equal(ask(&req, "/basic", &g), 0);
	assert_string_equal(g.text, "welcome");

	/* a file that is shorter than was said is an error, not a short body */
	req = (struct http_request){.method = "PUT", .body_fd = fd, .body_len = 60000};
	assert_int_equal(ask(&req, "/x", &g), -EIO);
	assert_non_null(strstr(g.c.why, "could not be read"));
	close(fd);

	req = (struct http_request){.method = "PUT"};
	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_non_null(strstr(g.text, "Content-Length: 0\r\n"));
	req = (struct http_request){.method = "POST", .body = "x", .body_len = 1};
	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_string_equal(g.text, "x");
	assert_null(strcasestr(here.last_head, "Content-Type"));
	req = (struct http_request){.method = "DELETE"};
	assert_int_equal(ask(&req, "/x", &g), 0);
	assert_ptr_equal(strstr(g.text, "DELETE /x "), g.text);
}

static void own_headers_are_sent_and_cannot_be_injected(void **state)
{
	struct http_request req = {
		.header = {"x-amz-meta-cam: 1", "x-amz-meta-cam-id: 2", "Authorization: AWS4 x"}};
	struct got g;

	assert_int_equal(ask(&req, "/", &g), 0);
	assert_non_null(strstr(
		g.text,
		"\r\nx-amz-meta-cam: 1\r\nx-amz-meta-cam-id: 2\r\nAuthorization: AWS4 x\r\n"));
	req = (struct http_request){.header = {"A: b\r\nC: d"}};
	assert_int_equal(ask(&req, "/", &g), -EINVAL);
}

static void logs_in_with_basic_or_digest_as_asked(void **state)
{
	struct http_request req = {.auth = HTTP_AUTH_ANY, .user = "admin", .password = &password};
	struct secret wrong = {.text = (char[]){"nope"}};
	struct got g;

	assert_int_equal(ask(&req, "/basic", &g), 0);
	assert_string_equal(g.text, "welcome");
	assert_int_equal(g.a.status, 200);
	assert_int_equal(ask(&req, "/digest?x=1", &g), 0);
	assert_string_equal(g.text, "welcome");
	req.password = &wrong;
	assert_int_equal(ask(&req, "/digest?x=1", &g), -EACCES);
	assert_int_equal(g.a.status, 401);
	assert_string_equal(g.a.error_body, "log in first");
	assert_int_equal(ask(&req, "/basic", &g), -EACCES);
	assert_null(strstr(g.c.why, "nope"));
	/* nothing but these two is ever tried */
	assert_int_equal(ask(&req, "/login", &g), -EACCES);
	assert_null(strcasestr(here.last_head, "authorization"));
	/* and none without a word from the caller, not even from an earlier request */
	assert_int_equal(get("/basic", &g), -EACCES);
	assert_null(strcasestr(here.last_head, "authorization"));
}

static void redirects_within_the_origin_keep_the_login(void **state)
{
	struct http_request req = {.header = {"X-Api-Key: canary"},
				   .auth = HTTP_AUTH_ANY,
				   .user = "admin",
				   .password = &password};
	struct got g;

	assert_int_equal(ask(&req, "/moved", &g), 0);
	assert_ptr_equal(strstr(g.text, "GET /private?x=1 "), g.text);
	assert_non_null(strstr(g.text, "X-Api-Key: canary"));
}

static void redirects_elsewhere_get_no_secret(void **state)
{
	static const char *const path[] = {"/moved-port", "/moved-back"};
	struct http_request req = {.header = {"X-Api-Key: canary", "Authorization: Bearer canary"},
				   .auth = HTTP_AUTH_ANY,
				   .user = "admin",
				   .password = &password};

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		struct got g;

		assert_int_equal(ask(&req, path[i], &g), 0);
		assert_ptr_equal(strstr(g.text, "GET /echo "), g.text);
		assert_null(strstr(g.text, "canary"));
		assert_null(strcasestr(g.text, "authorization"));
		assert_null(strstr(g.text, "evil"));
	}
}

static void redirects_do_not_lead_inside_or_astray(void **state)
{
	static const char *const path[] = {"/moved-host", "/moved-zero", "/moved-file", "/loop",
					   "/moved-nowhere"};
	unsigned before = atomic_load(&there.requests);
	struct http_request req = {.keep_redirects = true},
			    put = {.method = "PUT", .body = "x", .body_len = 1};
	struct got g;

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		assert_int_equal(get(path[i], &g), -EPROTO);
		assert_string_equal(g.text, "");
		assert_true(g.c.why[0]);
	}
	assert_int_equal(atomic_load(&there.requests), before);
	assert_int_equal(ask(&req, "/moved", &g), -EPROTO);
	assert_int_equal(g.a.status, 302);
	assert_string_equal(g.a.location, "private?x=1");
	assert_string_equal(g.a.error_body, "moved");
	assert_int_equal(ask(&put, "/moved", &g), -EPROTO);
}

static void urls_are_refused_before_anything_is_sent(void **state)
{
	static const char *const bad[] = {"file:///etc/passwd", "http://u:p@127.0.0.1/",
					  "http://a b/", ""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_request req = {.method = "GET", .url = bad[i]};
		struct call c = {0};
		struct http_answer a;

		assert_int_equal(http_do(http, &c, &req, NULL, NULL, &a), -EINVAL);
		assert_true(c.why[0]);
	}
}

struct reader {
	unsigned failures;
};

static void *read_many(void *arg)
{
	struct reader *me = arg;
	struct got *g = malloc(sizeof(*g));

	for (int i = 0; i < 50; i++)
		me->failures += get("/x", g) != 0;
	free(g);
	return NULL;
}

static void threads_share_the_pool(void **state)
{
	unsigned before = atomic_load(&here.connections);
	struct reader reader[4] = {{0}};
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_many, &reader[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(reader[i].failures, 0);
	}
	assert_in_range(atomic_load(&here.connections) - before, 1, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fresh, stale)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(gets_a_body_and_says_who_asks),
		T(statuses_become_errors_and_their_bodies_stay_out_of_the_sink),
		T(a_part_is_not_the_whole),
		T(connections_are_kept),
		T(head_has_a_length_and_no_body),
		T(puts_from_memory_and_from_a_file),
		T(own_headers_are_sent_and_cannot_be_injected),
		T(logs_in_with_basic_or_digest_as_asked),
		T(redirects_within_the_origin_keep_the_login),
		T(redirects_elsewhere_get_no_secret),
		T(redirects_do_not_lead_inside_or_astray),
		T(urls_are_refused_before_anything_is_sent),
		T(threads_share_the_pool),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
