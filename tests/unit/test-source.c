/* test-source.c - the door of source: one request at a time, tries within the deadline, nothing but whole JPEGs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/source.h"
#include "test-source-jpeg.h"

static char jpeg_path[64];

static int setup(void **state)
{
	int fd;

	(void)snprintf(jpeg_path, sizeof(jpeg_path), "/tmp/test-source-XXXXXX");
	fd = mkstemp(jpeg_path);
	if (fd < 0 || write(fd, tiny_jpeg, sizeof(tiny_jpeg)) != sizeof(tiny_jpeg))
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	return unlink(jpeg_path);
}

struct fixture {
	struct camera_config conf;
	struct source *s;
	char url[256];
};

/* A fault camera that has our picture and these faults. */
static void start(struct fixture *f, const char *faults)
{
	struct buf err = BUF(1000);

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->url, sizeof(f->url), "fault:?jpeg=%s%s", jpeg_path, faults);
	f->conf = (struct camera_config){.url = f->url, .timeout_us = 400000};
	f->conf.name = strdup("front");
	f->conf.driver = strdup("fault");
	assert_int_equal(source_new(&f->conf, &err, &f->s), 0);
	assert_ptr_equal(source_config(f->s), &f->conf);
	buf_done(&err);
}

static void stop(struct fixture *f)
{
	f->s = source_free(f->s);
	assert_null(f->s);
	free(f->conf.name);
	free(f->conf.driver);
}

static int capture(struct fixture *f, struct call *c)
{
	CLEANUP(buf_done) struct buf b = BUF(1000000);
	int r;

	assert_int_equal(buf_str(&b, "kept"), 0);
	r = source_capture(f->s, c, &b);
	if (r == 0) {
		assert_int_equal(b.len, 4 + sizeof(tiny_jpeg));
		assert_memory_equal(b.data + 4, tiny_jpeg, sizeof(tiny_jpeg));
	} else {
		assert_int_equal(b.len, 4);
		assert_true(r == -ECANCELED || strncmp(c->why, "camera \"front\"", 14) == 0);
	}
	return r;
}

static void wrong_configurations_are_explained(void **state)
{
	static const struct {
		const char *driver, *url, *says;
	} row[] = {
		{"webcam", "x", "no driver \"webcam\""},
		{NULL, "x", "no driver"},
		{"http", NULL, "url is missing"},
		{"http", "ftp://cam/", "not an http"},
		{"http", "http://admin:hun/ter2@cam/", "not an http"},
		{"foscam", "cam:88", "not an http"},
		{"fault", "fault:?color=red", "fault:?"},
		{"fault", "fault:?hang=soon", "fault:?"},
		{"fault", NULL, "fault:?"},
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		CLEANUP(freep) char *driver = row[i].driver ? strdup(row[i].driver) : NULL;
		CLEANUP(freep) char *url = row[i].url ? strdup(row[i].url) : NULL;
		struct camera_config conf = {
			.name = (char[]){"front"}, .driver = driver, .url = url};
		CLEANUP(buf_done) struct buf err = BUF(1000);
		struct source *s = NULL;

		assert_int_equal(source_new(&conf, &err, &s), -EINVAL);
		assert_null(s);
		assert_ptr_equal(strstr(err.data, "camera \"front\": "), err.data);
		assert_non_null(strstr(err.data, row[i].says));
		assert_null(strstr(err.data, "ter2"));
	}
	assert_null(source_free(NULL));
}

static void a_null_camera_takes_no_pictures(void **state)
{
	struct camera_config conf = {.name = (char[]){"front"}, .driver = (char[]){"null"}};
	struct fixture f = {.conf = conf};
	struct buf err = BUF(1000);
	struct call c = {0};

	assert_int_equal(source_new(&f.conf, &err, &f.s), 0);
	assert_int_equal(capture(&f, &c), -ENODEV);
	assert_string_equal(c.why, "camera \"front\" takes no pictures");
	f.s = source_free(f.s);
	buf_done(&err);
}

static void a_whole_picture_is_appended(void **state)
{
	struct call c = {0};
	struct fixture f;

	start(&f, "");
	assert_int_equal(capture(&f, &c), 0);
	assert_int_equal(capture(&f, &c), 0);
	stop(&f);
}

static void no_more_is_taken_than_the_caller_has_room_for(void **state)
{
	struct buf b = BUF(100);
	struct call c = {0};
	struct fixture f;

	start(&f, "");
	assert_int_equal(source_capture(f.s, &c, &b), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_non_null(strstr(c.why, "camera \"front\""));
	buf_done(&b);
	stop(&f);
}

static void what_passes_is_tried_again(void **state)
{
	static const char *const faults[] = {"&error=ECONNREFUSED&times=2", "&truncate=1&times=2",
					     "&empty=1&times=1", "&error=EAGAIN&times=1"};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct call c = {.deadline_us = mono_us() + 20000000};
		struct fixture f;

		start(&f, faults[i]);
		assert_int_equal(capture(&f, &c), 0);
		stop(&f);
	}
}

static void three_tries_are_enough(void **state)
{
	struct call c = {0};
	struct fixture f;

	start(&f, "&error=ECONNREFUSED&times=3");
	assert_int_equal(capture(&f, &c), -ECONNREFUSED);
	assert_int_equal(capture(&f, &c), 0);
	stop(&f);
	start(&f, "&truncate=1&times=3");
	assert_int_equal(capture(&f, &c), -EBADMSG);
	assert_non_null(strstr(c.why, "sent a picture that "));
	assert_int_equal(capture(&f, &c), 0);
	stop(&f);
}

static void what_does_not_pass_is_not_tried_again(void **state)
{
	static const struct {
		const char *faults;
		int r;
	} row[] = {{"&error=EACCES&times=1", -EACCES},
		   {"&error=ENOENT&times=1", -ENOENT},
		   {"&html=1&times=1", -EBADMSG},
		   {"&hang=9&times=1", -ETIMEDOUT}};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct call c = {0};
		struct fixture f;

		start(&f, row[i].faults);
		assert_int_equal(capture(&f, &c), row[i].r);
		assert_int_equal(capture(&f, &c), 0);
		stop(&f);
	}
}

static void a_hung_camera_ends_at_its_timeout_or_the_deadline(void **state)
{
	struct call c = {0};
	int64_t begin = mono_us();
	struct fixture f;

	start(&f, "&hang=60");
	assert_int_equal(capture(&f, &c), -ETIMEDOUT);
	assert_in_range(mono_us() - begin, 390000, 1500000);
	begin = mono_us();
	c.deadline_us = begin + 100000;
	assert_int_equal(capture(&f, &c), -ETIMEDOUT);
	assert_in_range(mono_us() - begin, 90000, 380000);
	stop(&f);
}

static void no_try_is_begun_that_the_deadline_forbids(void **state)
{
	struct call c = {.deadline_us = mono_us() - 1};
	struct fixture f;

	start(&f, "&error=ECONNREFUSED");
	assert_int_equal(capture(&f, &c), -ETIMEDOUT);
	stop(&f);
}

/* ---- the slot ---- */
struct other {
	struct fixture *f;
	struct call c;
	_Atomic bool cancel;
	int r;
};

static void *capture_elsewhere(void *arg)
{
	struct other *o = arg;

	o->c.cancel = &o->cancel;
	o->r = capture(o->f, &o->c);
	return NULL;
}

static void one_request_at_a_time(void **state)
{
	struct other o[3] = {{0}};
	pthread_t thread[3];
	int64_t begin = mono_us();
	struct fixture f;

	start(&f, "&hang=0.2");
	for (int i = 0; i < 3; i++) {
		o[i].f = &f;
		assert_int_equal(pthread_create(&thread[i], NULL, capture_elsewhere, &o[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(o[i].r, 0);
	}
	assert_true(mono_us() - begin >= 590000);
	stop(&f);
}

static void waiting_for_the_camera_ends_with_deadline_and_cancel(void **state)
{
	struct other holder = {0}, waiter = {0};
	pthread_t a, b;
	struct call c;
	struct fixture f;

	start(&f, "&hang=60");
	f.conf.timeout_us = 20000000;
	holder.f = waiter.f = &f;
	assert_int_equal(pthread_create(&a, NULL, capture_elsewhere, &holder), 0);
	usleep(100000);
	c = (struct call){.deadline_us = mono_us() + 100000};
	assert_int_equal(capture(&f, &c), -ETIMEDOUT);
	assert_non_null(strstr(c.why, "busy with another request"));
	assert_int_equal(pthread_create(&b, NULL, capture_elsewhere, &waiter), 0);
	usleep(50000);
	waiter.cancel = true;
	pthread_join(b, NULL);
	assert_int_equal(waiter.r, -ECANCELED);
	holder.cancel = true;
	pthread_join(a, NULL);
	assert_int_equal(holder.r, -ECANCELED);
	stop(&f);
}

static void freeing_waits_for_a_call_under_way(void **state)
{
	struct other o = {0};
	struct fixture f;
	pthread_t thread;

	start(&f, "&hang=0.3");
	o.f = &f;
	assert_int_equal(pthread_create(&thread, NULL, capture_elsewhere, &o), 0);
	usleep(100000);
	stop(&f);
	pthread_join(thread, NULL);
	assert_int_equal(o.r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_configurations_are_explained),
		cmocka_unit_test(a_null_camera_takes_no_pictures),
		cmocka_unit_test(a_whole_picture_is_appended),
		cmocka_unit_test(no_more_is_taken_than_the_caller_has_room_for),
		cmocka_unit_test(what_passes_is_tried_again),
		cmocka_unit_test(three_tries_are_enough),
		cmocka_unit_test(what_does_not_pass_is_not_tried_again),
		cmocka_unit_test(a_hung_camera_ends_at_its_timeout_or_the_deadline),
		cmocka_unit_test(no_try_is_begun_that_the_deadline_forbids),
		cmocka_unit_test(one_request_at_a_time),
		cmocka_unit_test(waiting_for_the_camera_ends_with_deadline_and_cancel),
		cmocka_unit_test(freeing_waits_for_a_call_under_way),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
