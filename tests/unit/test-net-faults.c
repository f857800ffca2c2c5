/* test-net-faults.c - what http_do promises when the peer does not behave: it ends, in time, with the right error,
 * and never calls a part of an answer a success. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <netinet/in.h>

#include "shutterfs/net.h"
#include "test-net-server.h"

static struct server server;
static struct http *http;

static void reset(int fd)
{
	struct linger hard = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	/* connecting to nowhere drops the connection with RST while the number stays ours */
	(void)connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
}

static bool answer_broken(struct server *s, int fd, const char *path)
{
	static const char chunk[] = "400\r\n";
	char kilobyte[1026] = "";

	memset(kilobyte, 'x', 1024);
	memcpy(kilobyte + 1024, "\r\n", 2);
	if (strcmp(path, "/short") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	} else if (strcmp(path, "/short-chunked") == 0) {
		server_printf(
			fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	} else if (strcmp(path, "/short-403") == 0) {
		server_printf(fd, "HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nonly this");
	} else if (strcmp(path, "/endless") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		while (!atomic_load(&s->stopping) && send(fd, chunk, 5, MSG_NOSIGNAL) == 5)
			server_send(fd, kilobyte, sizeof(kilobyte));
	} else if (strcmp(path, "/endless-500") == 0) {
		server_printf(fd, "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n");
		while (!atomic_load(&s->stopping) && send(fd, chunk, 5, MSG_NOSIGNAL) == 5)
			server_send(fd, kilobyte, sizeof(kilobyte));
	} else if (strcmp(path, "/large") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
		server_pause(s, fd, 5000);
	} else if (strcmp(path, "/longer") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcdefgh");
	}
	return false;
}

static bool answer_headers(struct server *s, int fd, const char *path)
{
	server_printf(fd, "HTTP/1.1 200 OK\r\n");
	if (strcmp(path, "/headers-endless") == 0) {
		while (!atomic_load(&s->stopping) && send(fd, "X: y\r\n", 6, MSG_NOSIGNAL) == 6)
			;
	} else if (strcmp(path, "/headers-long") == 0) {
		while (!atomic_load(&s->stopping) && send(fd, "yyyyyyyy", 8, MSG_NOSIGNAL) == 8)
			;
	} else {
		server_printf(fd, "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc");
	}
	return false;
}

static bool answer(struct server *s, int fd, const struct server_request *req)
{
	const char *path = req->path;

	if (strncmp(path, "/headers", 8) == 0)
		return answer_headers(s, fd, path);
	if (strcmp(path, "/hang") == 0) {
		server_pause(s, fd, 20000);
	} else if (strcmp(path, "/hang-body") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
		server_pause(s, fd, 20000);
	} else if (strcmp(path, "/drip") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
		for (int i = 0; i < 400 && !atomic_load(&s->stopping); i++) {
			server_printf(fd, "x");
			usleep(50000);
		}
	} else if (strcmp(path, "/reset") == 0) {
		reset(fd);
	} else if (strcmp(path, "/reset-body") == 0) {
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
		usleep(50000);
		reset(fd);
	} else if (strcmp(path, "/early-403") == 0) {
		server_text(fd, "403 No", "", "<Error>denied</Error>");
		usleep(50000);
		reset(fd);
	} else if (strcmp(path, "/close") == 0) {
		return false;
	} else if (strcmp(path, "/junk") == 0) {
		server_printf(fd, "SSH-2.0-OpenSSH_9.2\r\n");
	} else if (strcmp(path, "/once") == 0) {
		server_text(fd, "200 OK", "", "fine");
		usleep(20000);
	} else if (strcmp(path, "/ok") == 0) {
		return server_text(fd, "200 OK", "", "fine");
	} else {
		return answer_broken(s, fd, path);
	}
	return false;
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int fds_before;

static int setup(void **state)
{
	fds_before = open_fds();
	if (unsetenv("http_proxy") || unsetenv("all_proxy") || unsetenv("ALL_PROXY") || net_init())
		return -1;
	server_start(&server, answer);
	return http_new(500000, 1000000, &http);
}

static int teardown(void **state)
{
	http = http_free(http);
	server_stop(&server);
	net_done();
	/* after all these faults no socket is left behind */
	return open_fds() == fds_before ? 0 : -1;
}

static int ask(const char *path, struct call *c, struct buf *body, struct http_answer *a)
{
	char url[256];
	struct http_request req = {.method = "GET", .url = url, .max_body = 1024 * 1024};

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server.port, path);
	return http_do(http, c, &req, http_sink_buf, body, a);
}

static int get(const char *path, struct http_answer *a)
{
	CLEANUP(buf_done) struct buf body = BUF(2 * 1024 * 1024);
	struct call c = {.deadline_us = mono_us() + 5000000};
	int r = ask(path, &c, &body, a);

	assert_true(r == 0 || c.why[0]);
	return r;
}

static void broken_answers_are_errors(void **state)
{
	static const struct {
		const char *path;
		int r;
	} row[] = {
		{"/short", -EIO},
		{"/short-chunked", -EIO},
		{"/endless", -EFBIG},
		{"/large", -EFBIG},
		{"/reset", -ECONNRESET},
		{"/reset-body", -ECONNRESET},
		{"/close", -ECONNRESET},
		{"/junk", -EPROTO},
		{"/headers-endless", -EPROTO},
		{"/headers-twice", -EPROTO},
		{"/short-403", -EACCES},
		{"/endless-500", -EIO},
		{"/ok", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct http_answer a;
		int64_t start = mono_us();
		int r = get(row[i].path, &a);

		if (r != row[i].r)
			fail_msg("%s: %d, not %d", row[i].path, r, row[i].r);
		assert_true(mono_us() - start < 2000000);
	}
}

static void one_endless_header_line_is_an_error(void **state)
{
	struct http_answer a;

	assert_true(get("/headers-long", &a) < 0);
}

static void no_more_is_taken_than_was_announced(void **state)
{
	CLEANUP(buf_done) struct buf body = BUF(100);
	struct call c = {0};
	struct http_answer a;

	assert_int_equal(ask("/longer", &c, &body, &a), 0);
	assert_string_equal(body.data, "abcd");
}

static void the_deadline_ends_whatever_hangs(void **state)
{
	static const char *const path[] = {"/hang", "/hang-body", "/drip"};

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		CLEANUP(buf_done) struct buf body = BUF(1000000);
		int64_t start = mono_us();
		struct call c = {.deadline_us = start + 300000};
		struct http_answer a;

		assert_int_equal(ask(path[i], &c, &body, &a), -ETIMEDOUT);
		assert_in_range(mono_us() - start, 290000, 1000000);
		assert_int_equal(ask("/ok", &c, &body, &a), -ETIMEDOUT);
		assert_true(c.why[0]);
	}
}

static void silence_and_dripping_end_without_a_deadline(void **state)
{
	static const char *const path[] = {"/hang", "/hang-body", "/drip"};

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		CLEANUP(buf_done) struct buf body = BUF(1000000);
		int64_t start = mono_us();
		struct call c = {0};
		struct http_answer a;

		assert_int_equal(ask(path[i], &c, &body, &a), -ETIMEDOUT);
		assert_in_range(mono_us() - start, 900000, 2500000);
	}
}

struct canceller {
	_Atomic bool flag;
};

static void *cancel_soon(void *arg)
{
	struct canceller *me = arg;

	usleep(200000);
	me->flag = true;
	return NULL;
}

static void a_cancel_ends_it_within_a_second(void **state)
{
	CLEANUP(buf_done) struct buf body = BUF(1000000);
	struct canceller me = {false};
	struct call c = {.cancel = &me.flag, .deadline_us = mono_us() + 20000000};
	int64_t start = mono_us();
	struct http_answer a;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &me), 0);
	assert_int_equal(ask("/hang", &c, &body, &a), -ECANCELED);
	assert_true(mono_us() - start < 1000000);
	pthread_join(thread, NULL);
	assert_int_equal(ask("/ok", &c, &body, &a), -ECANCELED);
	me.flag = false;
	assert_int_equal(ask("/ok", &c, &body, &a), 0);
}

static void nobody_listening_is_refused(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	char url[64];
	struct http_request req = {.method = "GET", .url = url};
	struct call c = {0};
	struct http_answer a;

	/* bound and not listening: the port is nobody else's meanwhile */
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(sa.sin_port));
	assert_int_equal(http_do(http, &c, &req, NULL, NULL, &a), -ECONNREFUSED);
	assert_int_equal(a.status, 0);
	assert_non_null(strstr(c.why, "refused the connection"));
	close(fd);
}

static void unknown_names_are_not_found(void **state)
{
	struct http_request req = {.method = "GET", .url = "http://no-such-camera.invalid/"};
	struct call c = {.deadline_us = mono_us() + 3000000};
	struct http_answer a;
	int64_t start = mono_us();
	int r = http_do(http, &c, &req, NULL, NULL, &a);

	/* a machine without a name server may take its time instead */
	assert_true(r == -ENETUNREACH || r == -ETIMEDOUT);
	assert_true(mono_us() - start < 4000000);
	assert_non_null(strstr(c.why, "no-such-camera.invalid"));
}

static void plain_http_behind_https_is_a_protocol_error(void **state)
{
	char url[64];
	struct http_request req = {.method = "GET", .url = url};
	struct call c = {.deadline_us = mono_us() + 3000000};
	struct http_answer a;

	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/junk", server.port);
	/* our server waits for a request line that a TLS greeting may never contain */
	assert_in_range(-http_do(http, &c, &req, NULL, NULL, &a), 1, 200);
	assert_int_equal(a.status, 0);
}

static int full_disk(void *user, const void *data, size_t len)
{
	return -ENOSPC;
}

static void the_sinks_error_is_the_callers(void **state)
{
	char url[64];
	struct http_request req = {.method = "GET", .url = url, .max_body = 100};
	struct call c = {0};
	struct http_answer a;

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", server.port);
	assert_int_equal(http_do(http, &c, &req, full_disk, NULL, &a), -ENOSPC);
	assert_non_null(strstr(c.why, "could not be kept"));
	req.max_body = 0;
	assert_int_equal(http_do(http, &c, &req, NULL, NULL, &a), -EFBIG);
}

static void a_refused_upload_says_so_although_the_peer_hangs_up(void **state)
{
	size_t len = 8 * 1024 * 1024;
	CLEANUP(freep) char *body = calloc(1, len);
	char url[64];
	struct http_request req = {.method = "PUT", .url = url, .body = body, .body_len = len};
	struct call c = {.deadline_us = mono_us() + 5000000};
	struct http_answer a;

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/early-403", server.port);
	assert_int_equal(http_do(http, &c, &req, NULL, NULL, &a), -EACCES);
	assert_int_equal(a.status, 403);
	assert_string_equal(a.error_body, "<Error>denied</Error>");
}

static void a_dead_kept_connection_is_replaced(void **state)
{
	struct http_answer a;

	assert_int_equal(get("/once", &a), 0);
	usleep(100000);
	assert_int_equal(get("/ok", &a), 0);
	assert_int_equal(get("/ok", &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_answers_are_errors),
		cmocka_unit_test(one_endless_header_line_is_an_error),
		cmocka_unit_test(no_more_is_taken_than_was_announced),
		cmocka_unit_test(the_deadline_ends_whatever_hangs),
		cmocka_unit_test(silence_and_dripping_end_without_a_deadline),
		cmocka_unit_test(a_cancel_ends_it_within_a_second),
		cmocka_unit_test(nobody_listening_is_refused),
		cmocka_unit_test(unknown_names_are_not_found),
		cmocka_unit_test(plain_http_behind_https_is_a_protocol_error),
		cmocka_unit_test(the_sinks_error_is_the_callers),
		cmocka_unit_test(a_refused_upload_says_so_although_the_peer_hangs_up),
		cmocka_unit_test(a_dead_kept_connection_is_replaced),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
