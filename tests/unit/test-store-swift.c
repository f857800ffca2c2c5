/* The s3 driver against a server that verifies every signature and checksum: OpenStack Swift's S3, started by
 * tests/lib/swift.py; skipped where it is not installed.  TEST_STORE_KEYS sets how many keys the long listing has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/net.h"
#include "shutterfs/store.h"

/* Ends when our end of its standard input closes, so it outlives no test that crashed. */
static const char script[] = "import os, sys\n"
			     "sys.path.insert(0, os.environ['SOURCE_ROOT'] + '/tests/lib')\n"
			     "import swift\n"
			     "if swift.missing():\n"
			     "    print(swift.missing(), file=sys.stderr)\n"
			     "    sys.exit(77)\n"
			     "s = swift.Swift()\n"
			     "try:\n"
			     "    print(s.direct_port, s.bucket().name, flush=True)\n"
			     "    sys.stdin.read()\n"
			     "finally:\n"
			     "    s.stop()\n";

static struct {
	pid_t pid;
	int input;
	unsigned port;
	char bucket[64];
} swift;

struct fixture {
	struct store_config conf;
	struct store *store;
	struct call call;
	char endpoint[64];
};

static void open_as(struct fixture *f, const char *host, const char *prefix, const char *secret,
		    const char *bucket)
{
	CLEANUP(buf_done) struct buf err = BUF(1024);

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->endpoint, sizeof(f->endpoint), "http://%s:%u", host, swift.port);
	f->conf.name = (char *)"cloud";
	f->conf.driver = (char *)"s3";
	f->conf.endpoint = f->endpoint;
	f->conf.region = (char *)"us-east-1";
	f->conf.bucket = (char *)bucket;
	f->conf.prefix = (char *)prefix;
	f->conf.access_key.text = (char *)"test:tester";
	f->conf.secret_key.text = (char *)secret;
	assert_int_equal(store_new(&f->conf, &err, &f->store), 0);
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

struct seen {
	size_t n, found;
	char last[KEY_MAX + 1];
	const char *const *wanted; /* in byte order; NULL: any */
	size_t n_wanted;
};

static int see(void *user, const struct store_object *o)
{
	struct seen *s = user;

	assert_true(strcmp(s->last, o->key) < 0);
	assert_true(o->size > 0 && o->modified_us > 0 && o->etag[0]);
	(void)snprintf(s->last, sizeof(s->last), "%s", o->key);
	if (s->n < s->n_wanted)
		assert_string_equal(o->key, s->wanted[s->n]);
	s->n++;
	return 0;
}

static const char *const odd[] = {
	" leading and trailing ",
	"%2F%zz",
	"+plus+and space",
	"..",
	"a/../b",
	"a//b",
	"colon:semi;comma,at@",
	"control\x01\x1f\x7f",
	"newline\n",
	"q?x=y&z#f",
	"quote\"'<>\\^`{|}",
	"star*~-_.!$()",
	"tab\t",
	"\xc3\xa9t\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac.jpg",
	"\xf0\x9f\x93\xb7.jpg",
};

static void odd_keys(void **state)
{
	struct seen s = {.wanted = odd, .n_wanted = ARRAY_LEN(odd)};
	struct store_head head, put;
	struct fixture f;

	open_as(&f, "127.0.0.1", "odd/", "testing", swift.bucket);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		CLEANUP(buf_done) struct buf got = BUF(1024);
		int r = put_text(&f, odd[i], odd[i], &put);

		print_message("%s: %s\n", odd[i], r < 0 ? f.call.why : "ok");
		assert_int_equal(r, 0);
		assert_int_equal(store_head(f.store, &f.call, odd[i], &head), 0);
		assert_string_equal(head.etag, put.etag);
		assert_string_equal(head.meta.camera, "front");
		assert_string_equal(head.meta.img_id, "20201231T15-45-55-123456");
		assert_true(head.meta.has_sha);
		assert_int_equal(store_get(f.store, &f.call, odd[i], 1024, to_buf, &got, &head), 0);
		assert_string_equal(got.data, odd[i]);
	}
	assert_int_equal(store_list(f.store, &f.call, "", NULL, see, &s), 0);
	assert_int_equal(s.n, ARRAY_LEN(odd));
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		s = (struct seen){.wanted = odd + i + 1, .n_wanted = ARRAY_LEN(odd) - i - 1};
		assert_int_equal(store_list(f.store, &f.call, "", odd[i], see, &s), 0);
		assert_int_equal(s.n, ARRAY_LEN(odd) - i - 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		assert_int_equal(store_delete(f.store, &f.call, odd[i]), 0);
		assert_int_equal(store_delete(f.store, &f.call, odd[i]), 0);
		assert_int_equal(store_head(f.store, &f.call, odd[i], &head), -ENOENT);
	}
	f.store = store_free(f.store);
}

static void virtual_host(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF(1024);
	struct seen s = {0};
	struct store_head head;
	struct fixture f;

	open_as(&f, "s3.localhost", "vh/", "testing", swift.bucket);
	assert_int_equal(put_text(&f, "a b.jpg", "hello", &head), 0);
	assert_int_equal(store_get(f.store, &f.call, "a b.jpg", 1024, to_buf, &got, &head), 0);
	assert_string_equal(got.data, "hello");
	assert_int_equal(store_list(f.store, &f.call, "", NULL, see, &s), 0);
	assert_int_equal(s.n, 1);
	f.store = store_free(f.store);
}

static void empty_object(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF(1024);
	struct store_head head;
	struct fixture f;

	open_as(&f, "127.0.0.1", NULL, "testing", swift.bucket);
	assert_int_equal(put_text(&f, "empty", "", &head), 0);
	assert_int_equal(store_get(f.store, &f.call, "empty", 0, to_buf, &got, &head), 0);
	assert_int_equal(head.size, 0);
	assert_int_equal(store_delete(f.store, &f.call, "empty"), 0);
	f.store = store_free(f.store);
}

static void wrong_bytes_are_refused(void **state)
{
	CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store_head head;
	struct fixture f;
	struct hashes h;

	open_as(&f, "127.0.0.1", NULL, "testing", swift.bucket);
	assert_int_equal(write_all(fd, "right", 5), 0);
	assert_int_equal(hash_fd(fd, &h), 0);
	assert_int_equal(pwrite(fd, "wrong", 5, 0), 5);
	assert_int_equal(
		store_put(f.store, &f.call, "a", fd, 5, "image/jpeg", &h.sha, h.md5, NULL, &head),
		-EIO);
	print_message("%s\n", f.call.why);
	assert_non_null(strstr(f.call.why, "arrived damaged"));
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ENOENT);
	f.store = store_free(f.store);
}

static void wrong_keys_and_places(void **state)
{
	static const struct {
		const char *secret, *bucket, *words;
	} v[] = {
		{"wrong", NULL, "secret key is wrong"},
		{"testing", "no-such-bucket", "there is no bucket \"no-such-bucket\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		CLEANUP(buf_done) struct buf got = BUF(1024);
		struct seen s = {0};
		struct store_head head;
		struct fixture f;

		open_as(&f, "127.0.0.1", NULL, v[i].secret,
			v[i].bucket ? v[i].bucket : swift.bucket);
		assert_int_equal(store_head(f.store, &f.call, "a", &head), -EACCES);
		assert_int_equal(store_get(f.store, &f.call, "a", 1024, to_buf, &got, &head),
				 -EACCES);
		assert_non_null(strstr(f.call.why, v[i].words));
		assert_int_equal(store_list(f.store, &f.call, "", NULL, see, &s), -EACCES);
		assert_non_null(strstr(f.call.why, v[i].words));
		assert_int_equal(put_text(&f, "a", "x", &head), -EACCES);
		print_message("%s\n", f.call.why);
		assert_non_null(strstr(f.call.why, v[i].words));
		assert_null(strstr(f.call.why, "testing"));
		assert_int_equal(store_delete(f.store, &f.call, "a"), -EACCES);
		f.store = store_free(f.store);
	}
}

static void wrong_region(void **state)
{
	struct store_head head;
	struct fixture f;

	open_as(&f, "127.0.0.1", NULL, "testing", swift.bucket);
	f.store = store_free(f.store);
	f.conf.region = (char *)"eu-west-1";
	{
		CLEANUP(buf_done) struct buf err = BUF(1024);

		assert_int_equal(store_new(&f.conf, &err, &f.store), 0);
	}
	assert_int_equal(put_text(&f, "a", "x", &head), -EACCES);
	print_message("%s\n", f.call.why);
	assert_non_null(strstr(f.call.why, "set region = us-east-1"));
	f.store = store_free(f.store);
}

static void long_listing(void **state)
{
	const char *text = getenv("TEST_STORE_KEYS");
	size_t n = text ? strtoul(text, NULL, 10) : 20;
	struct seen s = {0};
	struct store_head head;
	struct fixture f;
	char key[32];

	open_as(&f, "127.0.0.1", "long/", "testing", swift.bucket);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(key, sizeof(key), "%02zu/%zu.jpg", i % 7, i);
		assert_int_equal(put_text(&f, key, key, &head), 0);
	}
	assert_int_equal(store_list(f.store, &f.call, "", NULL, see, &s), 0);
	assert_int_equal(s.n, n);
	print_message("listed %zu keys\n", s.n);
	f.store = store_free(f.store);
}

/* ---- the server ---- */

static int start_swift(void)
{
	char line[128];
	int to[2], from[2];
	ssize_t n;

	(void)signal(SIGPIPE, SIG_IGN);
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	swift.pid = fork();
	if (swift.pid == 0) {
		(void)dup2(to[0], 0);
		(void)dup2(from[1], 1);
		(void)execlp("python3", "python3", "-c", script, NULL);
		_exit(77);
	}
	(void)close(to[0]);
	(void)close(from[1]);
	swift.input = to[1];
	n = read(from[0], line, sizeof(line) - 1);
	(void)close(from[0]);
	if (n <= 0)
		return -ESRCH;
	line[n] = '\0';
	return sscanf(line, "%u %63s", &swift.port, swift.bucket) == 2 ? 0 : -EPROTO;
}

static int end_swift(void)
{
	int status;

	(void)close(swift.input);
	if (waitpid(swift.pid, &status, 0) < 0 || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_keys),
		cmocka_unit_test(virtual_host),
		cmocka_unit_test(empty_object),
		cmocka_unit_test(wrong_bytes_are_refused),
		cmocka_unit_test(wrong_keys_and_places),
		cmocka_unit_test(wrong_region),
		cmocka_unit_test(long_listing),
	};
	int failed, ended;

	if (start_swift() < 0) {
		ended = end_swift();
		return ended ? ended : 1;
	}
	failed = net_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	net_done();
	ended = end_swift();
	return failed ? failed : ended;
}
