/* The plain directory as a store: what is put is there whole, listed in byte order, and nothing outside is reached. */
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
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/store.h"

struct fixture {
	char top[64];  /* the test's own directory */
	char path[96]; /* the store's, below it */
	int dir;       /* the store's */
	struct store_config conf;
	struct store *store;
	struct call call;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	CLEANUP(buf_done) struct buf err = BUF(1024);

	assert_non_null(f);
	(void)snprintf(f->top, sizeof(f->top), "/tmp/test-store-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	(void)snprintf(f->path, sizeof(f->path), "%s/a/b/archive", f->top);
	f->conf = (struct store_config){
		.name = (char *)"disk", .driver = (char *)"dir", .path = f->path};
	assert_int_equal(store_new(&f->conf, &err, &f->store), 0);
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dir >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	f->store = store_free(f->store);
	(void)close(f->dir);
	assert_int_equal(remove_tree(AT_FDCWD, f->top), 0);
	free(f);
	return 0;
}

static int put_bytes(struct fixture *f, const char *key, const void *data, size_t len,
		     const struct store_meta *meta, struct store_head *ret)
{
	CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct hashes h;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, len), 0);
	assert_int_equal(hash_fd(fd, &h), 0);
	return store_put(f->store, &f->call, key, fd, len, "image/jpeg", &h.sha, h.md5, meta, ret);
}

static void put_ok(struct fixture *f, const char *key, const char *text)
{
	struct store_head head;

	assert_int_equal(put_bytes(f, key, text, strlen(text), NULL, &head), 0);
}

static int to_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static void assert_object(struct fixture *f, const char *key, const char *text)
{
	CLEANUP(buf_done) struct buf got = BUF(1 << 20);
	struct store_head head;

	assert_int_equal(store_get(f->store, &f->call, key, 1 << 20, to_buf, &got, &head), 0);
	assert_int_equal(head.size, strlen(text));
	assert_int_equal(got.len, strlen(text));
	assert_memory_equal(got.data, text, got.len);
}

static void assert_no_droppings(struct fixture *f)
{
	char line[256] = "";
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipes[1], 1);
		(void)close(pipes[0]);
		(void)close(pipes[1]);
		(void)execlp("find", "find", f->top, "-name", ".shutterfs-*", NULL);
		_exit(1);
	}
	(void)close(pipes[1]);
	assert_int_equal(read(pipes[0], line, sizeof(line) - 1), 0);
	(void)close(pipes[0]);
	assert_string_equal(line, "");
}

/* ---- put, get, head, delete ---- */

static void round_trip(void **state)
{
	struct fixture *f = *state;
	const struct store_meta meta = {.img_id = "20201231T15-45-55-123456", .camera = "front"};
	struct store_head put, head;
	struct sha256 sha;
	char *big = malloc(700000);

	for (size_t i = 0; i < 700000; i++)
		big[i] = (char)(i * 7 + i / 251);
	assert_int_equal(put_bytes(f, "front/2020/12/31/x.jpg", big, 700000, &meta, &put), 0);
	assert_int_equal(put.size, 700000);
	assert_int_equal(sha256_of(big, 700000, &sha), 0);
	assert_int_equal(store_head(f->store, &f->call, "front/2020/12/31/x.jpg", &head), 0);
	assert_int_equal(head.size, 700000);
	assert_string_equal(head.etag, put.etag);
	assert_string_equal(head.meta.img_id, meta.img_id);
	assert_string_equal(head.meta.camera, "front");
	assert_true(head.meta.has_sha);
	assert_memory_equal(head.meta.sha.b, sha.b, 32);
	assert_true(llabs(head.modified_us - now_us()) < 60 * 1000000);
	free(big);
	assert_no_droppings(f);
}

static int see_etag(void *user, const struct store_object *o)
{
	assert_string_equal(o->etag, (const char *)user);
	return 0;
}

static void etag_is_size_mtime_inode(void **state)
{
	struct fixture *f = *state;
	struct store_head head;
	struct stat st;
	char want[128];

	put_ok(f, "a.jpg", "hello");
	assert_int_equal(fstatat(f->dir, "a.jpg", &st, 0), 0);
	(void)snprintf(want, sizeof(want), "5-%lld-%llu",
		       (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		       (unsigned long long)st.st_ino);
	assert_int_equal(store_head(f->store, &f->call, "a.jpg", &head), 0);
	assert_string_equal(head.etag, want);
	assert_int_equal(store_list(f->store, &f->call, "", NULL, see_etag, want), 0);
}

static void put_replaces(void **state)
{
	struct fixture *f = *state;
	struct store_head one, two;

	assert_int_equal(put_bytes(f, "d/a.jpg", "one", 3, NULL, &one), 0);
	assert_int_equal(put_bytes(f, "d/a.jpg", "three", 5, NULL, &two), 0);
	assert_string_not_equal(one.etag, two.etag);
	assert_object(f, "d/a.jpg", "three");
	put_ok(f, "d/empty", "");
	assert_object(f, "d/empty", "");
	assert_no_droppings(f);
}

static void wrong_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct store_head head;
	struct hashes h;

	assert_int_equal(write_all(fd, "right", 5), 0);
	assert_int_equal(hash_fd(fd, &h), 0);
	assert_int_equal(pwrite(fd, "wrong", 5, 0), 5);
	assert_int_equal(store_put(f->store, &f->call, "a.jpg", fd, 5, "image/jpeg", &h.sha, h.md5,
				   NULL, &head),
			 -EIO);
	assert_non_null(strstr(f->call.why, "not the ones that were registered"));
	assert_int_equal(store_put(f->store, &f->call, "a.jpg", fd, 9, "image/jpeg", &h.sha, h.md5,
				   NULL, &head),
			 -EIO);
	assert_int_equal(store_head(f->store, &f->call, "a.jpg", &head), -ENOENT);
	assert_no_droppings(f);
}

static void missing_and_deleted(void **state)
{
	struct fixture *f = *state;
	struct store_head head;
	int fd;

	assert_int_equal(store_head(f->store, &f->call, "none.jpg", &head), -ENOENT);
	assert_non_null(strstr(f->call.why, "none.jpg"));
	assert_int_equal(store_get(f->store, &f->call, "no/ne.jpg", 10, to_buf, NULL, &head),
			 -ENOENT);
	assert_int_equal(store_open_local(f->store, "none.jpg", &fd, &head),
			 -ENODEV); /* nothing is there */
	assert_int_equal(store_delete(f->store, &f->call, "no/ne.jpg"), 0);
	put_ok(f, "d/a.jpg", "x");
	assert_int_equal(store_open_local(f->store, "none.jpg", &fd, &head), -ENOENT);
	assert_int_equal(store_head(f->store, &f->call, "d", &head), -ENOENT);
	assert_int_equal(store_delete(f->store, &f->call, "d"), 0);
	assert_int_equal(store_delete(f->store, &f->call, "d/a.jpg"), 0);
	assert_int_equal(store_head(f->store, &f->call, "d/a.jpg", &head), -ENOENT);
}

static void budget_sink_cancel_and_deadline(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf small = BUF(3);
	CLEANUP(buf_done) struct buf got = BUF(100);
	struct store_head head;
	_Atomic bool cancel = true;

	put_ok(f, "a.jpg", "hello");
	assert_int_equal(store_get(f->store, &f->call, "a.jpg", 4, to_buf, &got, &head), -EFBIG);
	assert_non_null(strstr(f->call.why, "more than the 4 allowed"));
	assert_int_equal(store_get(f->store, &f->call, "a.jpg", 5, to_buf, &got, &head), 0);
	assert_int_equal(store_get(f->store, &f->call, "a.jpg", 5, to_buf, &small, &head), -EFBIG);
	f->call.cancel = &cancel;
	assert_int_equal(store_get(f->store, &f->call, "a.jpg", 5, to_buf, &got, &head),
			 -ECANCELED);
	f->call.cancel = NULL;
	f->call.deadline_us = mono_us() - 1;
	assert_int_equal(store_get(f->store, &f->call, "a.jpg", 5, to_buf, &got, &head),
			 -ETIMEDOUT);
}

static void local_files(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = -1;
	struct store_head head;
	char text[6] = "";
	int other;

	put_ok(f, "d/a.jpg", "hello");
	assert_true(store_is_local(f->store));
	assert_int_equal(store_open_local(f->store, "d/a.jpg", &fd, &head), 0);
	assert_int_equal(head.size, 5);
	assert_int_equal(pread_all(fd, text, 5, 0), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(mkfifoat(f->dir, "fifo.jpg", 0600), 0);
	assert_int_equal(store_open_local(f->store, "fifo.jpg", &other, &head), -ENOENT);
	assert_int_equal(store_open_local(f->store, "d", &other, &head), -ENOENT);
}

/* Somebody wrote into the file by hand: our checksum speaks of other bytes. */
static void checksum_of_changed_file_is_void(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = -1;
	struct store_head head;
	char hex[128];

	put_ok(f, "a.jpg", "hello");
	assert_int_equal(store_head(f->store, &f->call, "a.jpg", &head), 0);
	assert_true(head.meta.has_sha);
	fd = openat(f->dir, "a.jpg", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "HELLO", 5, 0), 5);
	assert_int_equal(futimens(fd, (const struct timespec[]){{0, UTIME_NOW}, {1600000000, 1}}),
			 0);
	assert_true(fgetxattr(fd, "user.shutterfs.sha256", hex, sizeof(hex)) == 64);
	assert_int_equal(store_head(f->store, &f->call, "a.jpg", &head), 0);
	assert_false(head.meta.has_sha);
}

/* ---- nothing outside, and no link ---- */

static void keys_that_are_no_paths(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"../x.jpg",
					  "/etc/passwd",
					  "a/../../x",
					  "a//b",
					  "a/",
					  ".",
					  "..",
					  "a/./b",
					  "/",
					  ".shutterfs-1-1.tmp",
					  "a/.shutterfs-x/b"};
	struct store_head head;
	char long_name[300];
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(put_bytes(f, bad[i], "x", 1, NULL, &head), -EINVAL);
		assert_int_equal(store_head(f->store, &f->call, bad[i], &head), -EINVAL);
		assert_int_equal(store_open_local(f->store, bad[i], &fd, &head), -EINVAL);
		assert_int_equal(store_delete(f->store, &f->call, bad[i]), -EINVAL);
	}
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(put_bytes(f, long_name, "x", 1, NULL, &head), -ENAMETOOLONG);
	assert_int_equal(put_bytes(f, "", "x", 1, NULL, &head), -EINVAL);
}

static void links_are_not_followed(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int outside = -1;
	struct store_head head;
	struct stat st;
	char target[128];
	int fd;

	(void)snprintf(target, sizeof(target), "%s/outside", f->top);
	assert_int_equal(mkdir(target, 0700), 0);
	outside = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(write_file_atomic(outside, "secret", "s", 1, 0600), 0);
	assert_int_equal(symlinkat(target, f->dir, "out"), 0);
	assert_int_equal(symlinkat("out/secret", f->dir, "s.jpg"), 0);

	assert_int_equal(put_bytes(f, "out/new.jpg", "x", 1, NULL, &head), -EACCES);
	assert_non_null(strstr(f->call.why, "links are not followed"));
	assert_int_equal(store_head(f->store, &f->call, "out/secret", &head), -EACCES);
	assert_int_equal(store_open_local(f->store, "s.jpg", &fd, &head), -EACCES);
	assert_int_equal(store_delete(f->store, &f->call, "out/secret"), -EACCES);
	assert_int_equal(fstatat(outside, "new.jpg", &st, 0), -1);
	assert_int_equal(fstatat(outside, "secret", &st, 0), 0);
	/* a put over a link replaces the link */
	put_ok(f, "s.jpg", "mine");
	assert_int_equal(fstatat(f->dir, "s.jpg", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fstatat(outside, "secret", &st, 0), 0);
	assert_int_equal(st.st_size, 1);
}

/* A store that vanished must not look like a store without objects. */
static void removed_root_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct store_head head;

	put_ok(f, "a.jpg", "x");
	assert_int_equal(remove_tree(AT_FDCWD, f->path), 0);
	assert_int_equal(store_head(f->store, &f->call, "a.jpg", &head), -EIO);
	assert_non_null(strstr(f->call.why, "removed or unmounted"));
	assert_int_equal(store_list(f->store, &f->call, "", NULL, NULL, NULL), -EIO);
	assert_int_equal(put_bytes(f, "b.jpg", "x", 1, NULL, &head), -EIO);
	assert_int_equal(store_delete(f->store, &f->call, "a.jpg"), -EIO);
}

/* Another directory at its path is taken for it only where nothing can be done with what was opened. */
static void another_directory_in_its_place(void **state)
{
	struct fixture *f = *state;
	char away[128];

	assert_false(store_was_replaced(f->store));
	(void)snprintf(away, sizeof(away), "%s/away", f->top);
	put_ok(f, "a.jpg", "x");
	assert_int_equal(rename(f->path, away), 0);
	assert_false(store_was_replaced(f->store)); /* nothing is there */
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_false(
		store_was_replaced(f->store)); /* what is open has its objects, wherever it is */
	assert_int_equal(store_delete(f->store, &f->call, "a.jpg"), 0);
	assert_true(store_was_replaced(f->store)); /* a disk that was mounted late */
	assert_int_equal(remove_tree(AT_FDCWD, away), 0);
	assert_true(store_was_replaced(f->store));
	assert_int_equal(rmdir(f->path), 0);
	assert_false(store_was_replaced(f->store));
}

/* ---- list ---- */

struct seen {
	struct buf text; /* keys, one a line */
	size_t n, stop_at;
	char last[256];
};

static int see(void *user, const struct store_object *o)
{
	struct seen *s = user;

	assert_true(o->etag[0] != '\0');
	assert_true(strcmp(s->last, o->key) < 0);
	(void)snprintf(s->last, sizeof(s->last), "%s", o->key);
	buf_printf(&s->text, "%s\n", o->key);
	return ++s->n == s->stop_at ? 77 : 0;
}

static void assert_list(struct fixture *f, const char *prefix, const char *after, const char *want)
{
	struct seen s = {.text = BUF(1 << 20)};

	assert_int_equal(buf_str(&s.text, ""), 0);
	assert_int_equal(store_list(f->store, &f->call, prefix, after, see, &s), 0);
	assert_string_equal(s.text.data, want);
	buf_done(&s.text);
}

static void list_is_in_byte_order_of_keys(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"a/b.jpg",   "a.jpg",       "a-b.jpg", "a0.jpg",
					   "a/b/c.jpg", "a/b-c.jpg",   "B.jpg",   "\xc3\xa9.jpg",
					   "z z+%.jpg", "n\nl\x01.jpg"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put_ok(f, keys[i], "x");
	assert_list(
		f, "", NULL,
		"B.jpg\na-b.jpg\na.jpg\na/b-c.jpg\na/b.jpg\na/b/c.jpg\na0.jpg\nn\nl\x01.jpg\nz z+%.jpg\n"
		"\xc3\xa9.jpg\n");
	assert_list(f, "a", NULL, "a-b.jpg\na.jpg\na/b-c.jpg\na/b.jpg\na/b/c.jpg\na0.jpg\n");
	assert_list(f, "a/b", NULL, "a/b-c.jpg\na/b.jpg\na/b/c.jpg\n");
	assert_list(f, "a/b/", NULL, "a/b/c.jpg\n");
	assert_list(f, "none/x", NULL, "");
	assert_list(f, "a.jpg/x", NULL, "");
	assert_list(f, "", "a/b.jpg", "a/b/c.jpg\na0.jpg\nn\nl\x01.jpg\nz z+%.jpg\n\xc3\xa9.jpg\n");
	assert_list(f, "", "a/b/b", "a/b/c.jpg\na0.jpg\nn\nl\x01.jpg\nz z+%.jpg\n\xc3\xa9.jpg\n");
	assert_list(f, "", "a/zzz", "a0.jpg\nn\nl\x01.jpg\nz z+%.jpg\n\xc3\xa9.jpg\n");
	assert_list(f, "a/", "a0", "");
	assert_list(f, "", "\xff", "");
}

static void list_skips_what_is_no_object(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf deep = BUF(1024);
	struct store_head head;

	put_ok(f, "d/a.jpg", "x");
	assert_int_equal(mkfifoat(f->dir, "fifo", 0600), 0);
	assert_int_equal(symlinkat("d", f->dir, "link"), 0);
	assert_int_equal(symlinkat("d/a.jpg", f->dir, "link.jpg"), 0);
	assert_int_equal(mkdirat(f->dir, "empty", 0700), 0);
	for (int i = 0; i < 34; i++) {
		buf_str(&deep, i ? "/d" : "d");
		assert_int_equal(mkdirat(f->dir, deep.data, 0700) == 0 || errno == EEXIST, true);
	}
	buf_str(&deep, "/x");
	assert_int_equal(write_file_atomic(f->dir, deep.data, "x", 1, 0600), 0);
	assert_int_equal(put_bytes(f, deep.data, "x", 1, NULL, &head), -ENAMETOOLONG);
	assert_list(f, "", NULL, "d/a.jpg\n");
}

static void list_takes_away_what_a_killed_writer_left(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = -1;
	const char *const left = "d/.shutterfs-1-2-3.tmp", *const under_way =
								   "d/.shutterfs-4-5-6.tmp";

	put_ok(f, "d/a.jpg", "x");
	assert_int_equal(write_file_atomic(f->dir, left, "x", 1, 0600), 0);
	assert_int_equal(write_file_atomic(f->dir, under_way, "x", 1, 0600), 0);
	fd = openat(f->dir, under_way, O_WRONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_list(f, "", NULL, "d/a.jpg\n");
	assert_int_equal(faccessat(f->dir, left, F_OK, 0), -1);
	assert_int_equal(faccessat(f->dir, under_way, F_OK, 0), 0);
	closep(&fd);
	fd = -1;
	assert_list(f, "", NULL, "d/a.jpg\n");
	assert_int_equal(faccessat(f->dir, under_way, F_OK, 0), -1);
}

static void list_ends_when_told(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.text = BUF(1024), .stop_at = 2};
	_Atomic bool cancel = true;

	put_ok(f, "a", "x");
	put_ok(f, "b/c", "x");
	put_ok(f, "d", "x");
	assert_int_equal(store_list(f->store, &f->call, "", NULL, see, &s), 77);
	assert_string_equal(s.text.data, "a\nb/c\n");
	f->call.cancel = &cancel;
	s.last[0] = '\0';
	assert_int_equal(store_list(f->store, &f->call, "", NULL, see, &s), -ECANCELED);
	buf_done(&s.text);
}

/* One directory that cannot be read hides nothing else, and the listing does not pass for a whole one. */
static void unreadable_directory(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.text = BUF(1024)};
	int r;

	if (geteuid() == 0 && seteuid(65534) == 0) {
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(fchmod(f->dir, 0755), 0);
		assert_int_equal(chmod(f->top, 0755), 0);
	}
	put_ok(f, "a/x", "x");
	put_ok(f, "b/x", "x");
	put_ok(f, "c/x", "x");
	assert_int_equal(mkdirat(f->dir, "lost+found", 0), 0);
	assert_int_equal(fchmodat(f->dir, "b", 0, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	r = store_list(f->store, &f->call, "", NULL, see, &s);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(fchmodat(f->dir, "b", 0700, 0), 0);
	assert_int_equal(r, -EACCES);
	assert_string_equal(s.text.data, "a/x\nc/x\n");
	assert_non_null(strstr(f->call.why, "b/"));
	buf_done(&s.text);
}

static void list_of_many(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int day = -1;
	struct seen s = {.text = BUF(1 << 20)};
	char name[64];

	assert_int_equal(mkdirat(f->dir, "day", 0700), 0);
	day = openat(f->dir, "day", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2500; i++) {
		(void)snprintf(name, sizeof(name), "%d.jpg", i * 7919 % 2500);
		(void)close(openat(day, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	assert_int_equal(store_list(f->store, &f->call, "", "day/1", see, &s), 0);
	assert_int_equal(s.n, 2499); /* all but day/0.jpg */
	buf_done(&s.text);
}

/* ---- many at once ---- */

static void *put_many(void *user)
{
	struct fixture f = *(struct fixture *)user;
	char key[64];

	f.call = (struct call){0};
	for (int i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "p/%d/%d/same.jpg", i / 4, i % 4);
		put_ok(&f, key, i % 2 ? "one" : "three");
	}
	return NULL;
}

/* The same keys in the same new directories from several threads: each object is whole. */
static void puts_in_parallel(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.text = BUF(1 << 20)};
	pthread_t thread[6];

	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, put_many, f), 0);
	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(store_list(f->store, &f->call, "", NULL, see, &s), 0);
	assert_int_equal(s.n, 40);
	assert_object(f, "p/0/0/same.jpg", "three");
	assert_object(f, "p/9/3/same.jpg", "one");
	assert_no_droppings(f);
	buf_done(&s.text);
}

/* ---- prefix and config ---- */

static void prefix_is_part_of_every_key(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf err = BUF(1024);
	struct store_config conf = f->conf;
	struct fixture p = {.conf = conf};
	struct stat st;

	conf.prefix = (char *)"snap/x-";
	assert_int_equal(store_new(&conf, &err, &p.store), 0);
	put_ok(&p, "a.jpg", "one");
	put_ok(&p, "d/b.jpg", "two");
	put_ok(f, "snap/other.jpg", "no");
	assert_int_equal(fstatat(f->dir, "snap/x-a.jpg", &st, 0), 0);
	assert_object(&p, "d/b.jpg", "two");
	assert_list(&p, "", NULL, "a.jpg\nd/b.jpg\n");
	assert_list(&p, "d/", NULL, "d/b.jpg\n");
	assert_list(&p, "", "a.jpg", "d/b.jpg\n");
	p.store = store_free(p.store);
}

static void bad_config(void **state)
{
	CLEANUP(buf_done) struct buf err = BUF(1024);
	struct store_config conf = {.name = (char *)"disk", .driver = (char *)"dir"};
	struct store *s = NULL;

	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_non_null(strstr(err.data, "path"));
	conf.path = (char *)"/dev/null/x";
	assert_int_equal(store_new(&conf, &err, &s), -ENOTDIR);
	assert_non_null(strstr(err.data, "/dev/null/x"));
	assert_null(s);
}

#define WITH_STORE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(round_trip),
		WITH_STORE(etag_is_size_mtime_inode),
		WITH_STORE(put_replaces),
		WITH_STORE(wrong_bytes_are_refused),
		WITH_STORE(missing_and_deleted),
		WITH_STORE(budget_sink_cancel_and_deadline),
		WITH_STORE(local_files),
		WITH_STORE(checksum_of_changed_file_is_void),
		WITH_STORE(keys_that_are_no_paths),
		WITH_STORE(links_are_not_followed),
		WITH_STORE(removed_root_is_an_error),
		WITH_STORE(another_directory_in_its_place),
		WITH_STORE(list_is_in_byte_order_of_keys),
		WITH_STORE(list_skips_what_is_no_object),
		WITH_STORE(list_takes_away_what_a_killed_writer_left),
		WITH_STORE(list_ends_when_told),
		WITH_STORE(unreadable_directory),
		WITH_STORE(list_of_many),
		WITH_STORE(puts_in_parallel),
		WITH_STORE(prefix_is_part_of_every_key),
		cmocka_unit_test(bad_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
