/* test-net-url.c - URLs (strict parsing, what logs may show), pauses between tries, and hostile header lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "shutterfs/net.h"

static void parses_urls(void **state)
{
	static const struct {
		const char *text, *scheme, *host, *path;
		unsigned port;
		bool userinfo;
	} good[] = {
		{"http://cam/snap.jpg", "http", "cam", "/snap.jpg", 80, false},
		{"HTTPS://Cam.Local", "https", "cam.local", "/", 443, false},
		{"http://10.0.0.1:8080?x=1&y=%2F", "http", "10.0.0.1", "/?x=1&y=%2F", 8080, false},
		{"http://[fe80::1]:81/a/../b//c", "http", "[fe80::1]", "/a/../b//c", 81, false},
		{"http://u:p@ss@cam/x#frag", "http", "cam", "/x", 80, true},
		{"http://cam/a@b:c", "http", "cam", "/a@b:c", 80, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct url u;

		assert_int_equal(url_parse(good[i].text, &u), 0);
		assert_string_equal(u.scheme, good[i].scheme);
		assert_string_equal(u.host, good[i].host);
		assert_string_equal(u.path, good[i].path);
		assert_int_equal(u.port, good[i].port);
		assert_int_equal(u.has_userinfo, good[i].userinfo);
	}
}

static void refuses_urls_that_could_be_read_twice(void **state)
{
	static const char *const bad[] = {
		"",
		"http",
		"http:",
		"http:/x",
		"http://",
		"http:///x",
		"ftp://cam/",
		"file:///etc/passwd",
		"gopher://cam/",
		"http://cam:0/",
		"http://cam:65536/",
		"http://cam:8a/",
		"http://cam:/",
		"http://cam:123456/",
		"http://a\\@b/",
		"http://cam/a b",
		"http://cam/\r\nX: y",
		"http://c\tm/",
		"http://cam/\x7f",
		"http://[::1",
		"http://[]/",
		"http://[::1]x/",
		"http://[g::1]/",
		"http://a,b/",
		"http://user@/",
		" http://cam/",
		"http://ca%6d/",
		"http://user:pa/ss@cam/x",
	};
	char longer[6000];
	struct url u = {.port = 7};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (url_parse(bad[i], &u) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
	(void)snprintf(longer, sizeof(longer), "http://%0300d/", 0);
	assert_int_equal(url_parse(longer, &u), -EINVAL);
	(void)snprintf(longer, sizeof(longer), "http://cam/%05000d", 0);
	assert_int_equal(url_parse(longer, &u), -EINVAL);
	assert_int_equal(u.port, 7); /* untouched by failures */
}

static void logs_show_no_secret_of_a_url(void **state)
{
	static const struct {
		const char *text, *shown;
	} row[] = {
		{"http://admin:pw@cam:88/x?a=1#f", "http://cam:88/x?a=1"},
		{"http://cam/cgi?cmd=snap&usr=admin&pwd=hunter2",
		 "http://cam/cgi?cmd=snap&usr=****&pwd=****"},
		{"https://s3/k?X-Amz-Signature=abc&X-Amz-Date=1",
		 "https://s3/k?X-Amz-Signature=****&X-Amz-Date=1"},
		{"http://cam/?p%77d=hunter2&PassWord=x;token=y",
		 "http://cam/?p%77d=****&PassWord=****;token=****"},
		{"http://cam/?api_key=k&flag", "http://cam/?api_key=****&flag"},
		{"http://user:pa/ss@cam/", "****"},
		{"fault:?pwd=x", "****"},
		{"", "****"},
	};
	char out[256], tiny[8];

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		url_redact(row[i].text, out, sizeof(out));
		assert_string_equal(out, row[i].shown);
	}
	url_redact("http://cam/?pwd=hunter2", tiny, sizeof(tiny));
	assert_string_equal(tiny, "http://");
}

static void escapes_all_but_unreserved(void **state)
{
	struct buf b = BUF(100), small = BUF(4);

	assert_int_equal(url_escape("aZ09-._~ /&=?%+\xc3\xa9", &b), 0);
	assert_string_equal(b.data, "aZ09-._~%20%2F%26%3D%3F%25%2B%C3%A9");
	assert_int_equal(url_escape("////", &small), -EFBIG);
	buf_done(&b);
	buf_done(&small);
}

static void pauses_grow_jitter_and_obey(void **state)
{
	int64_t widest = 0;

	for (unsigned i = 0; i < 200; i++) {
		int64_t first = retry_pause_us(1, 1000, 60000, 0),
			third = retry_pause_us(3, 1000, 60000, 0);

		assert_in_range(first, 0, 999);
		assert_in_range(third, 0, 3999);
		assert_in_range(retry_pause_us(4000000000u, 1000, 60000, 0), 0, 59999);
		widest = third > widest ? third : widest;
	}
	assert_true(widest > 1000);
	assert_int_equal(retry_pause_us(1, 1000, 60000, 5000), 5000);
	assert_int_equal(retry_pause_us(1, 1000, 60000, 9000000), 60000);
	assert_int_equal(retry_pause_us(1, 0, 60000, 0), 0);
	assert_true(retry_pause_us(60, INT64_MAX / 2, INT64_MAX, 0) >= 0);
}

static void sleeping_ends_with_cancel_and_never_passes_the_deadline(void **state)
{
	_Atomic bool cancel = false;
	struct call c = {.deadline_us = mono_us() + 200000, .cancel = &cancel};
	int64_t start = mono_us();

	assert_int_equal(retry_sleep(&c, 10000000), -ETIMEDOUT);
	assert_true(mono_us() - start < 150000);
	assert_int_equal(retry_sleep(&c, 20000), 0);
	assert_true(mono_us() - start >= 20000);
	cancel = true;
	c.deadline_us = 0;
	assert_int_equal(retry_sleep(&c, 10000000), -ECANCELED);
}

/* ---- header lines ---- */
static int lines(struct answer *a, const char *const *line)
{
	for (; *line; line++) {
		int r = answer_line(a, *line, strlen(*line));

		if (r < 0)
			return r;
	}
	return 0;
}

static void reads_header_lines(void **state)
{
	struct http_answer out;
	struct answer a = {.out = &out};

	assert_int_equal(lines(&a,
			       (const char *const[]){
				       "HTTP/1.1 100 Continue\r\n", "\r\n", "HTTP/1.1 200 OK\r\n",
				       "CONTENT-length:  1234 \r\n", "Content-Type: image/jpeg\r\n",
				       "ETag: \"abc\"\r\n", "x-amz-bucket-region: eu-west-1\r\n",
				       "Last-Modified: Thu, 31 Dec 2020 14:45:55 GMT\r\n",
				       "X-Amz-Meta-Img-Id: 2020\r\n", "x-amz-meta-empty:\r\n",
				       "no colon here\r\n", ": no name\r\n", "\r\n",
				       "ETag: \"trailer\"\r\n", NULL}),
			 0);
	assert_int_equal(out.status, 200);
	assert_true(out.has_length);
	assert_int_equal(out.content_length, 1234);
	assert_string_equal(out.content_type, "image/jpeg");
	assert_string_equal(out.etag, "abc");
	assert_string_equal(out.region, "eu-west-1");
	assert_int_equal(out.modified_us, INT64_C(1609425955000000));
	assert_int_equal(out.n_meta, 2);
	assert_string_equal(out.meta[0].name, "img-id");
	assert_string_equal(out.meta[0].value, "2020");
	assert_string_equal(out.meta[1].value, "");
}

static void an_answer_forgets_the_one_before(void **state)
{
	struct http_answer out;
	struct answer a = {.out = &out};

	assert_int_equal(
		lines(&a, (const char *const[]){"HTTP/1.1 401 No\r\n", "Content-Length: 5\r\n",
						"Retry-After: 9\r\n", "\r\n", "HTTP/1.1 200 OK\r\n",
						"\r\n", NULL}),
		0);
	assert_int_equal(out.status, 200);
	assert_false(out.has_length);
	assert_int_equal(a.retry_after_us, 0);
}

static void refuses_headers_that_contradict(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 6\r\n",    "Content-Length: -1\r\n",
		"Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n",
		"Content-Length:\r\n",      "Content-Length: 99999999999999999999\r\n"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_answer out;
		struct answer a = {.out = &out};

		assert_int_equal(
			lines(&a, (const char *const[]){"HTTP/1.1 200 OK\r\n",
							"Content-Length: 5\r\n", bad[i], NULL}),
			-EPROTO);
	}
}

static void headers_have_a_budget(void **state)
{
	struct http_answer out;
	struct answer a = {.out = &out};
	int r = answer_line(&a, "HTTP/1.1 200 OK\r\n", 17), n;

	for (n = 0; r == 0 && n < 1000; n++)
		r = answer_line(&a, "x-amz-meta-a: b\r\n", 17);
	assert_int_equal(r, -EPROTO);
	assert_true(n < 300);
	assert_int_equal(out.n_meta, HTTP_META_MAX);
}

static void values_that_do_not_fit_are_dropped_not_halved(void **state)
{
	struct http_answer out;
	struct answer a = {.out = &out};
	char line[4096];

	assert_int_equal(answer_line(&a, "HTTP/2 200\r\n", 12), 0);
	(void)snprintf(line, sizeof(line), "ETag: \"%0400d\"\r\n", 1);
	assert_int_equal(answer_line(&a, line, strlen(line)), 0);
	(void)snprintf(line, sizeof(line), "Location: http://h/%03000d\r\n", 1);
	assert_int_equal(answer_line(&a, line, strlen(line)), 0);
	(void)snprintf(line, sizeof(line), "x-amz-meta-%0100d: v\r\n", 1);
	assert_int_equal(answer_line(&a, line, strlen(line)), 0);
	(void)snprintf(line, sizeof(line), "Content-Type: a\x1b[31mb\x01\r\n");
	assert_int_equal(answer_line(&a, line, strlen(line)), 0);
	assert_string_equal(out.etag, "");
	assert_string_equal(out.location, "");
	assert_int_equal(out.n_meta, 0);
	assert_string_equal(out.content_type, "a?[31mb?");
	assert_int_equal(out.status, 200);
	assert_int_equal(answer_line(&a, "HTTP/1.1 20\r\n", 13), -EPROTO);
	assert_int_equal(answer_line(&a, "HTTP/1.1\r\n", 10), -EPROTO);
}

static void retry_after_is_seconds_or_a_date_and_capped(void **state)
{
	struct http_answer out;
	struct answer a = {.out = &out};
	char line[128];
	time_t later = time(NULL) + 100;
	struct tm tm;

	assert_int_equal(lines(&a, (const char *const[]){"HTTP/1.1 503 Busy\r\n",
							 "Retry-After: 7\r\n", NULL}),
			 0);
	assert_int_equal(a.retry_after_us, 7000000);
	assert_int_equal(answer_line(&a, "Retry-After: 99999999999\r\n", 26), 0);
	assert_int_equal(a.retry_after_us, INT64_C(86400000000));
	assert_int_equal(answer_line(&a, "Retry-After: Thu, 01 Jan 1970 00:00:01 GMT\r\n", 44), 0);
	assert_int_equal(a.retry_after_us, 0);
	(void)strftime(line, sizeof(line), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
		       gmtime_r(&later, &tm));
	assert_int_equal(answer_line(&a, line, strlen(line)), 0);
	assert_in_range(a.retry_after_us, 95000000, 100000000);
	assert_int_equal(answer_line(&a, "Retry-After: soon\r\n", 19), 0);
	assert_in_range(a.retry_after_us, 95000000, 100000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_urls),
		cmocka_unit_test(refuses_urls_that_could_be_read_twice),
		cmocka_unit_test(logs_show_no_secret_of_a_url),
		cmocka_unit_test(escapes_all_but_unreserved),
		cmocka_unit_test(pauses_grow_jitter_and_obey),
		cmocka_unit_test(sleeping_ends_with_cancel_and_never_passes_the_deadline),
		cmocka_unit_test(reads_header_lines),
		cmocka_unit_test(an_answer_forgets_the_one_before),
		cmocka_unit_test(refuses_headers_that_contradict),
		cmocka_unit_test(headers_have_a_budget),
		cmocka_unit_test(values_that_do_not_fit_are_dropped_not_halved),
		cmocka_unit_test(retry_after_is_seconds_or_a_date_and_capped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
