/* The door of the store room, and the two drivers that exist for tests: null and fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/store.h"

#define SECOND_US INT64_C(1000000)

static struct store *open_store(struct store_config *conf)
{
	CLEANUP(buf_done) struct buf err = BUF(1024);
	struct store *s = NULL;

	assert_int_equal(store_new(conf, &err, &s), 0);
	return s;
}

static int put_text(struct store *s, struct call *c, const char *key, const char *text)
{
	CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store_head head;
	struct hashes h;

	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	assert_int_equal(hash_fd(fd, &h), 0);
	return store_put(s, c, key, fd, strlen(text), "image/jpeg", &h.sha, h.md5, NULL, &head);
}

static int to_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static int count(void *user, const struct store_object *o)
{
	++*(int *)user;
	return 0;
}

static void the_table_is_whole(void **state)
{
	for (size_t i = 0; store_drivers[i]; i++) {
		const struct store_driver *d = store_drivers[i];

		assert_true(d->name && d->open && d->close && d->list && d->get && d->head &&
			    d->put && d->delete);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(store_drivers[j]->name, d->name);
	}
}

static void unknown_driver(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(1024);
	struct store_config conf = {.name = (char *)"cloud", .driver = (char *)"ftp"};
	struct store *s = NULL;

	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_non_null(strstr(err.data, "\"cloud\""));
	assert_non_null(strstr(err.data, "\"ftp\""));
	assert_null(s);
	assert_null(store_free(NULL));
}

static void bad_keys_reach_no_driver(void **state)
{
	struct store_config conf = {
		.name = (char *)"n", .driver = (char *)"null", .prefix = (char *)"snapshots/"};
	struct store *s = open_store(&conf);
	char key[KEY_MAX + 2];
	struct store_head head;
	struct call c = {0};
	int fd;

	memset(key, 'k', sizeof(key));
	key[KEY_MAX - 10] = '\0';
	assert_int_equal(put_text(s, &c, key, "x"), 0); /* exactly the limit, with the prefix */
	key[KEY_MAX - 10] = 'k';
	key[KEY_MAX - 9] = '\0';
	assert_int_equal(put_text(s, &c, key, "x"), -ENAMETOOLONG);
	assert_non_null(strstr(c.why, "kkk..."));
	assert_int_equal(store_head(s, &c, "", &head), -EINVAL);
	assert_int_equal(store_delete(s, &c, ""), -EINVAL);
	assert_int_equal(store_open_local(s, "k", &fd, &head), -EOPNOTSUPP);
	assert_int_equal(store_open_local(s, "", &fd, &head), -EINVAL);
	s = store_free(s);
}

static void messages_have_no_control_bytes(void **state)
{
	char path[] = "/tmp/test-store-XXXXXX";
	struct store_config conf = {
		.name = (char *)"d", .driver = (char *)"dir", .path = mkdtemp(path)};
	struct store *s = open_store(&conf);
	struct store_head head;
	struct call c = {0};

	assert_int_equal(store_head(s, &c, "a\n<3>forged\x1b[2J", &head), -ENOENT);
	assert_non_null(strstr(c.why, "a?<3>forged?[2J"));
	s = store_free(s);
	assert_int_equal(remove_tree(AT_FDCWD, path), 0);
}

static void null_takes_all_and_keeps_nothing(void **state)
{
	struct store_config conf = {.name = (char *)"n", .driver = (char *)"null"};
	struct store *s = open_store(&conf);
	struct store_head head;
	struct call c = {0};
	int n = 0;

	assert_ptr_equal(store_config(s), &conf);
	assert_false(store_is_local(s));
	assert_int_equal(put_text(s, &c, "a", "x"), 0);
	assert_int_equal(store_head(s, &c, "a", &head), -ENOENT);
	assert_int_equal(store_get(s, &c, "a", 1, to_buf, NULL, &head), -ENOENT);
	assert_int_equal(store_list(s, &c, "", NULL, count, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_delete(s, &c, "a"), 0);
	s = store_free(s);
}

/* ---- fault ---- */

struct faulty {
	char top[32], path[256];
	struct store_config conf;
	struct store *store;
	struct call call;
};

static void faulty_open(struct faulty *f, const char *rules)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->top, "/tmp/test-store-XXXXXX", sizeof("/tmp/test-store-XXXXXX"));
	assert_non_null(mkdtemp(f->top));
	(void)snprintf(f->path, sizeof(f->path), "fault:%s%s", f->top, rules);
	f->conf = (struct store_config){
		.name = (char *)"f", .driver = (char *)"fault", .path = f->path};
	f->store = open_store(&f->conf);
}

static void faulty_close(struct faulty *f)
{
	f->store = store_free(f->store);
	assert_int_equal(remove_tree(AT_FDCWD, f->top), 0);
}

static int get_text(struct faulty *f, const char *key, struct buf *out, struct store_head *head)
{
	out->len = 0;
	return store_get(f->store, &f->call, key, 1000, to_buf, out, head);
}

static void fault_without_rules_is_a_directory(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	struct faulty f;
	int n = 0;

	faulty_open(&f, "");
	assert_false(store_is_local(f.store));
	assert_int_equal(put_text(f.store, &f.call, "a/b", "hello"), 0);
	assert_int_equal(get_text(&f, "a/b", &got, &head), 0);
	assert_string_equal(got.data, "hello");
	assert_int_equal(store_head(f.store, &f.call, "a/b", &head), 0);
	assert_int_equal(store_list(f.store, &f.call, "a/", NULL, count, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_delete(f.store, &f.call, "a/b"), 0);
	assert_int_equal(get_text(&f, "a/b", &got, &head), -ENOENT);
	faulty_close(&f);
}

static void fault_fails_the_calls_it_is_told(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	struct faulty f;

	faulty_open(&f, "?get=EIO@2&get=EACCES@4-&put=ENOSPC@1-2&list=ECONNRESET");
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), -ENOSPC);
	assert_non_null(strstr(f.call.why, "as scripted"));
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), -ENOSPC);
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), 0);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_int_equal(get_text(&f, "a", &got, &head), -EIO);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_int_equal(get_text(&f, "a", &got, &head), -EACCES);
	assert_int_equal(get_text(&f, "a", &got, &head), -EACCES);
	assert_int_equal(store_list(f.store, &f.call, "", NULL, count, NULL), -ECONNRESET);
	faulty_close(&f);
}

static void fault_spoils_bytes(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	struct faulty f;

	faulty_open(&f, "?truncate=2@1&flip=1@2&truncate=99@3");
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), 0);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_int_equal(got.len, 3);
	assert_int_equal(head.size, 5);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_int_equal(got.len, 5);
	assert_memory_equal(got.data, "h\x9allo", 5);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(get_text(&f, "a", &got, &head), 0);
	assert_memory_equal(got.data, "hello", 5);
	faulty_close(&f);
}

static void fault_hangs_until_deadline_or_cancel(void **state)
{
	struct store_head head;
	_Atomic bool cancel = true;
	struct faulty f;
	int64_t start;

	faulty_open(&f, "?head_hang=20&put_hang=1@2");
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), 0);
	start = mono_us();
	assert_int_equal(put_text(f.store, &f.call, "a", "hello"), 0);
	assert_true(mono_us() - start >= SECOND_US);
	f.call.deadline_us = mono_us() + SECOND_US / 10;
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ETIMEDOUT);
	f.call.deadline_us = 0;
	f.call.cancel = &cancel;
	assert_int_equal(store_head(f.store, &f.call, "a", &head), -ECANCELED);
	assert_true(mono_us() - start < 10 * SECOND_US);
	faulty_close(&f);
}

static void fault_rules_are_checked(void **state)
{
	static const char *const bad[] = {"?",
					  "?get",
					  "?get=",
					  "?get=EWHAT",
					  "?fetch=EIO",
					  "?get=EIO@",
					  "?get=EIO@x",
					  "?get_hang=x",
					  "?truncate=-1",
					  "?get_sleep=1",
					  "?get=EIO@2-x",
					  "?get=EIO&&"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_done) struct buf err = BUF(1024);
		char path[64];
		struct store_config conf = {
			.name = (char *)"f", .driver = (char *)"fault", .path = path};
		struct store *s = NULL;

		(void)snprintf(path, sizeof(path), "/tmp%s", bad[i]);
		assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
		assert_non_null(strstr(err.data, "rules"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_whole),
		cmocka_unit_test(unknown_driver),
		cmocka_unit_test(bad_keys_reach_no_driver),
		cmocka_unit_test(messages_have_no_control_bytes),
		cmocka_unit_test(null_takes_all_and_keeps_nothing),
		cmocka_unit_test(fault_without_rules_is_a_directory),
		cmocka_unit_test(fault_fails_the_calls_it_is_told),
		cmocka_unit_test(fault_spoils_bytes),
		cmocka_unit_test(fault_hangs_until_deadline_or_cancel),
		cmocka_unit_test(fault_rules_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
