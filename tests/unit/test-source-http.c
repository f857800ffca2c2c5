/* test-source-http.c - the http and foscam drivers against a camera on loopback that behaves and misbehaves: status
 * 200 is not a picture, logins stay secret, and every refusal says what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/net.h"
#include "shutterfs/source.h"
#include "test-net-server.h"
#include "test-source-jpeg.h"

#define FOSCAM "/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&usr=ad%26min&pwd="

static struct server server;

static bool picture(int fd, const char *type)
{
	return server_reply(fd, "200 OK", type, tiny_jpeg, sizeof(tiny_jpeg));
}

static bool answer_foscam(int fd, const char *path)
{
	const char *password = path + strlen(FOSCAM);
	char xml[200];

	if (strcmp(password, "p%20%3D%2Fw") == 0)
		return picture(fd, "Content-Type: image/jpeg\r\n");
	/* the password names the result that is wanted */
	(void)snprintf(xml, sizeof(xml), "<CGI_Result>\n    <result>%s</result>\n</CGI_Result>\n",
		       password);
	return server_text(fd, "200 OK", "Content-Type: text/plain\r\n", xml);
}

static bool stream(struct server *s, int fd)
{
	server_printf(
		fd,
		"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n");
	server_printf(fd, "--b\r\nContent-Type: image/jpeg\r\n\r\n");
	server_send(fd, tiny_jpeg, sizeof(tiny_jpeg));
	server_pause(s, fd, 10000);
	return false;
}

static bool noise(struct server *s, int fd)
{
	char block[4096];

	memset(block, '#', sizeof(block));
	server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n");
	while (!atomic_load(&s->stopping) && send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	return false;
}

/* Faults that pass: odd answers are bad, even ones good. */
static bool answer_flaky(struct server *s, int fd, const char *path)
{
	bool bad = atomic_fetch_add(&s->flag, 1) % 2 == 0;

	if (!bad)
		return picture(fd, "");
	if (strcmp(path, "/flaky-503") == 0)
		return server_text(fd, "503 Busy", "Retry-After: 1\r\n", "");
	if (strcmp(path, "/flaky-500") == 0)
		return server_text(fd, "500 Oops", "", "");
	if (strcmp(path, "/flaky-truncated") == 0)
		return server_reply(fd, "200 OK", "", tiny_jpeg, sizeof(tiny_jpeg) - 20);
	if (strcmp(path, "/flaky-empty") == 0)
		return server_text(fd, "200 OK", "", "");
	if (strcmp(path, "/flaky-short") == 0)
		server_printf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n\xff\xd8");
	return false;
}

static bool answer(struct server *s, int fd, const struct server_request *req)
{
	const char *path = req->path;

	if (strncmp(path, FOSCAM, strlen(FOSCAM)) == 0)
		return answer_foscam(fd, path);
	if (strncmp(path, "/flaky", 6) == 0)
		return answer_flaky(s, fd, path);
	if (strcmp(path, "/picture") == 0)
		return picture(fd, "Content-Type: image/jpeg\r\n");
	if (strcmp(path, "/odd-type") == 0)
		return picture(fd, "Content-Type: text/html\r\n");
	if (strcmp(path, "/login") == 0 &&
	    strstr(req->head, "Authorization: Basic YWRAbWluOnM6ZWNyZXQ="))
		return picture(fd, "Content-Type: image/jpeg\r\n");
	if (strcmp(path, "/login") == 0)
		return server_text(fd, "401 No", "WWW-Authenticate: Basic realm=\"x\"\r\n", "");
	if (strcmp(path, "/html") == 0)
		return server_text(fd, "200 OK", "Content-Type: text/html; charset=utf-8\r\n",
				   "<html>Log in</html>");
	if (strcmp(path, "/untyped-page") == 0)
		return server_text(fd, "200 OK", "", "\n <!DOCTYPE html>");
	if (strcmp(path, "/json") == 0)
		return server_text(fd, "200 OK", "Content-Type: application/json\r\n",
				   "[{\"code\":1}]");
	if (strcmp(path, "/stream") == 0)
		return stream(s, fd);
	if (strcmp(path, "/noise") == 0)
		return noise(s, fd);
	if (strcmp(path, "/hang") == 0)
		server_pause(s, fd, 20000);
	if (strcmp(path, "/later") == 0)
		return server_text(fd, "503 Busy", "Retry-After: 3600\r\n", "");
	return server_text(fd, "404 Not Found", "", "no such camera");
}

static int setup(void **state)
{
	/* none of this may go through it: it is all on loopback */
	if (setenv("http_proxy", "http://127.0.0.1:1", 1) || net_init())
		return -1;
	server_start(&server, answer);
	return 0;
}

static int teardown(void **state)
{
	server_stop(&server);
	net_done();
	return 0;
}

struct shot {
	const char *driver, *userinfo, *path, *user, *password;
	int64_t timeout_us;
	char why[256];
	int64_t retry_after_us;
	unsigned requests; /* that the camera saw */
};

static int shoot(struct shot *shot)
{
	char url[512], driver[16], user[64], password[64];
	struct camera_config conf = {.name = (char[]){"front"}, .driver = driver, .url = url};
	CLEANUP(buf_done) struct buf err = BUF(1000), b = BUF(1000000);
	struct call c = {.deadline_us = mono_us() + 20000000};
	unsigned before = atomic_load(&server.requests);
	struct source *s;
	int r;

	(void)snprintf(url, sizeof(url), "http://%s127.0.0.1:%u%s",
		       shot->userinfo ? shot->userinfo : "", server.port, shot->path);
	(void)snprintf(driver, sizeof(driver), "%s", shot->driver ? shot->driver : "http");
	(void)snprintf(user, sizeof(user), "%s", shot->user ? shot->user : "");
	(void)snprintf(password, sizeof(password), "%s", shot->password ? shot->password : "");
	conf.user = shot->user ? user : NULL;
	conf.password.text = shot->password ? password : NULL;
	conf.timeout_us = shot->timeout_us;
	assert_int_equal(source_new(&conf, &err, &s), 0);
	r = source_capture(s, &c, &b);
	s = source_free(s);
	if (r == 0) {
		assert_int_equal(b.len, sizeof(tiny_jpeg));
		assert_memory_equal(b.data, tiny_jpeg, b.len);
	} else {
		assert_int_equal(b.len, 0);
		assert_ptr_equal(strstr(c.why, "camera \"front\""), c.why);
	}
	(void)snprintf(shot->why, sizeof(shot->why), "%s", c.why);
	shot->retry_after_us = c.retry_after_us;
	shot->requests = atomic_load(&server.requests) - before;
	return r;
}

static void takes_a_picture_whatever_its_type_says(void **state)
{
	struct shot good = {.path = "/picture"}, odd = {.path = "/odd-type"};

	assert_int_equal(shoot(&good), 0);
	assert_int_equal(good.requests, 1);
	assert_int_equal(shoot(&odd), 0);
}

static void logins_come_from_the_config_or_the_url(void **state)
{
	struct shot config = {.path = "/login", .user = "ad@min", .password = "s:ecret"};
	struct shot in_url = {.path = "/login", .userinfo = "ad%40min:s:ecret@"};
	struct shot config_wins = {
		.path = "/login", .userinfo = "x:y@", .user = "ad@min", .password = "s:ecret"};

	assert_int_equal(shoot(&config), 0);
	assert_int_equal(shoot(&in_url), 0);
	assert_int_equal(shoot(&config_wins), 0);
}

static void a_refused_login_is_not_tried_again_and_says_what_to_do(void **state)
{
	struct shot wrong = {.path = "/login", .user = "ad@min", .password = "canary"};
	struct shot none = {.path = "/login"};

	assert_int_equal(shoot(&wrong), -EACCES);
	assert_int_equal(wrong.requests, 2); /* the question and the answer */
	assert_string_equal(
		wrong.why,
		"camera \"front\" refused the login (status 401); check user and password");
	assert_int_equal(shoot(&none), -EACCES);
	assert_int_equal(none.requests, 1);
	assert_non_null(strstr(none.why, "set user and password_file"));
}

static void status_200_is_not_a_picture(void **state)
{
	static const struct {
		const char *path, *says;
	} row[] = {
		{"/html", "answered with a web page (text/html), not a picture; check the url"},
		{"/untyped-page", "answered with a web page (no type), not a picture"},
		{"/json", "answered with something (application/json) that is not a JPEG"},
		{"/noise", "answered with something (application/octet-stream) that is not a JPEG"},
		{"/stream",
		 "answered with a video stream (multipart/x-mixed-replace), not a picture"},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct shot shot = {.path = row[i].path};

		assert_int_equal(shoot(&shot), -EBADMSG);
		assert_non_null(strstr(shot.why, row[i].says));
		assert_int_equal(shot.requests, 1);
	}
}

static void what_passes_is_tried_again(void **state)
{
	static const char *const path[] = {"/flaky-503",   "/flaky-500",   "/flaky-truncated",
					   "/flaky-empty", "/flaky-short", "/flaky-reset"};

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		struct shot shot = {.path = path[i]};
		int64_t begin = mono_us();

		assert_int_equal(shoot(&shot), 0);
		assert_int_equal(shot.requests, 2);
		assert_true(i > 0 || mono_us() - begin >= 1000000); /* Retry-After: 1 */
	}
}

static void a_long_retry_after_is_left_to_the_caller(void **state)
{
	struct shot shot = {.path = "/later"};
	int64_t begin = mono_us();

	assert_int_equal(shoot(&shot), -EAGAIN);
	assert_int_equal(shot.requests, 1);
	assert_int_equal(shot.retry_after_us, INT64_C(3600000000));
	assert_true(mono_us() - begin < 1000000);
}

static void a_hung_camera_ends_at_its_timeout(void **state)
{
	struct shot shot = {.path = "/hang", .timeout_us = 300000};
	int64_t begin = mono_us();

	assert_int_equal(shoot(&shot), -ETIMEDOUT);
	assert_in_range(mono_us() - begin, 290000, 1500000);
	assert_int_equal(shot.requests, 1);
	assert_non_null(strstr(shot.why, "did not answer in time"));
}

static void a_wrong_path_is_not_found(void **state)
{
	struct shot shot = {.path = "/nope?token=canary"};

	assert_int_equal(shoot(&shot), -ENOENT);
	assert_int_equal(shot.requests, 1);
	assert_null(strstr(shot.why, "canary"));
}

/* ---- foscam ---- */
static void foscam_logs_in_by_query(void **state)
{
	static const char *const path[] = {"", "/", "/cgi-bin/CGIProxy.fcgi",
					   "/cgi-bin/CGIProxy.fcgi?cmd=old&usr=x"};

	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		struct shot shot = {
			.driver = "foscam", .path = path[i], .user = "ad&min", .password = "p =/w"};

		assert_int_equal(shoot(&shot), 0);
		assert_null(strcasestr(server.last_head, "authorization"));
	}
}

static void foscam_refusals_are_explained(void **state)
{
	static const struct {
		const char *result;
		int r;
		const char *says;
	} row[] = {
		{"-1", -EPROTO, "did not understand"}, {"-2", -EACCES, "refused the login"},
		{"-3", -EACCES, "user's rights"},      {"-4", -EIO, "result -4"},
		{"-5", -EAGAIN, "too busy"},           {"0", -EIO, "result 0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct shot shot = {.driver = "foscam",
				    .path = "/",
				    .user = "ad&min",
				    .password = row[i].result};

		assert_int_equal(shoot(&shot), row[i].r);
		assert_non_null(strstr(shot.why, row[i].says));
		assert_null(strstr(shot.why, "ad&min"));
	}
}

static void foscam_that_answers_junk_is_no_picture(void **state)
{
	struct shot junk = {
		.driver = "foscam", .path = "/", .user = "ad&min", .password = "canary"};
	struct shot page = {.driver = "foscam", .path = "/html", .user = "u", .password = "canary"};

	assert_int_equal(shoot(&junk), -EBADMSG);
	assert_null(strstr(junk.why, "canary"));
	assert_int_equal(shoot(&page), -ENOENT);
	assert_null(strstr(page.why, "canary"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_picture_whatever_its_type_says),
		cmocka_unit_test(logins_come_from_the_config_or_the_url),
		cmocka_unit_test(a_refused_login_is_not_tried_again_and_says_what_to_do),
		cmocka_unit_test(status_200_is_not_a_picture),
		cmocka_unit_test(what_passes_is_tried_again),
		cmocka_unit_test(a_long_retry_after_is_left_to_the_caller),
		cmocka_unit_test(a_hung_camera_ends_at_its_timeout),
		cmocka_unit_test(a_wrong_path_is_not_found),
		cmocka_unit_test(foscam_logs_in_by_query),
		cmocka_unit_test(foscam_refusals_are_explained),
		cmocka_unit_test(foscam_that_answers_junk_is_no_picture),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
