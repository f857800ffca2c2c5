/* The directory store while calls fail: no object is half there, and a listing that did not see all of them says so. */
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
#include "torture.h"

enum { OBJECTS = 6 };

struct shop {
	char dir[64];
	struct store_config conf;
	struct store *store;
	int file[OBJECTS];
	struct hashes hashes[OBJECTS];
	struct call call;
};

static void text_of(unsigned n, char out[32])
{
	(void)snprintf(out, 32, "the bytes of object %u", n);
}

static void key_of(unsigned n, char out[32])
{
	(void)snprintf(out, 32, "front/%u/%u.jpg", n % 2, n);
}

static void *begin(void)
{
	struct shop *s = calloc(1, sizeof(*s));
	char text[32];

	assert_non_null(s);
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/test-store-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->conf = (struct store_config){
		.name = (char *)"disk", .driver = (char *)"dir", .path = s->dir};
	for (unsigned n = 0; n < OBJECTS; n++) {
		text_of(n, text);
		s->file[n] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		assert_true(s->file[n] >= 0);
		assert_int_equal(write_all(s->file[n], text, strlen(text)), 0);
		assert_int_equal(hash_fd(s->file[n], &s->hashes[n]), 0);
	}
	return s;
}

static int try_new(struct shop *s)
{
	CLEANUP(buf_done) struct buf err = BUF(1024);

	return store_new(&s->conf, &err, &s->store);
}

static int try_put(struct shop *s, unsigned n)
{
	struct store_head head;
	char key[32], text[32];

	text_of(n, text);
	key_of(n, key);
	return store_put(s->store, &s->call, key, s->file[n], strlen(text), "image/jpeg",
			 &s->hashes[n].sha, s->hashes[n].md5, NULL, &head);
}

static int to_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static int try_get(struct shop *s, unsigned n)
{
	CLEANUP(buf_done) struct buf got = BUF(1024);
	struct store_head head;
	char key[32], text[32];
	int r;

	text_of(n, text);
	key_of(n, key);
	r = store_get(s->store, &s->call, key, 1024, to_buf, &got, &head);
	if (r == 0) {
		assert_int_equal(got.len, strlen(text));
		assert_memory_equal(got.data, text, got.len);
	}
	return r;
}

static int count(void *user, const struct store_object *o)
{
	++*(unsigned *)user;
	return 0;
}

static int try_list(struct shop *s, unsigned want)
{
	unsigned n = 0;
	int r = store_list(s->store, &s->call, "", NULL, count, &n);

	if (r == 0) /* else it says that it did not see all */
		assert_int_equal(n, want);
	return r;
}

static void work(void *data)
{
	struct shop *s = data;

	again(try_new(s));
	for (unsigned n = 0; n < OBJECTS; n++)
		again(try_put(s, n));
	again(try_list(s, OBJECTS));
	for (unsigned n = 0; n < OBJECTS; n++)
		again(try_get(s, n));
	again(store_delete(s->store, &s->call, "front/0/0.jpg"));
	again(try_list(s, OBJECTS - 1));
}

static void end(void *data)
{
	struct shop *s = data;

	assert_int_equal(try_list(s, OBJECTS - 1), 0);
	for (unsigned n = 0; n < OBJECTS; n++) {
		if (n > 0)
			assert_int_equal(try_get(s, n), 0);
		assert_int_equal(close(s->file[n]), 0);
	}
	s->store = store_free(s->store);
	assert_int_equal(remove_tree(AT_FDCWD, s->dir), 0);
	free(s);
}

int main(void)
{
	static const struct scenario all[] = {{"dir store", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
