/* test-cache.c - blobs on disk: whole or not there, one file per hash, evicted in order of use and never from the spool. */
#include "test-cache.h"

static void put_and_open(void **state)
{
	CLEANUP(closep) int fd = -1;
	CLEANUP(buf_done) struct buf b = BUF(4096);
	struct sha256 sha = sha_of(3);
	enum blob_area area = BLOB_CACHE;
	char tag[128];
	struct room t;

	setup(&t, 1 << 20);
	assert_int_equal(cache_open(t.c, &sha, &fd), -ENOENT);
	assert_int_equal(fd, -1);
	assert_false(cache_has(t.c, &sha, NULL));
	put(&t, BLOB_SPOOL, 1, BLOB);
	put(&t, BLOB_CACHE, 2, BLOB * 2);
	check(&t, 1, BLOB);
	check(&t, 2, BLOB * 2);
	sha = sha_of(1);
	assert_true(cache_has(t.c, &sha, &area));
	assert_int_equal(area, BLOB_SPOOL);
	assert_int_equal(totals(&t).spool_bytes, BLOB);
	assert_int_equal(totals(&t).spool_files, 1);
	assert_int_equal(totals(&t).cache_bytes, BLOB * 2);
	assert_int_equal(totals(&t).cache_limit, 1 << 20);
	assert_true(totals(&t).state_total >= totals(&t).state_free && totals(&t).state_free > 0);
	(void)snprintf(tag, sizeof(tag), "%s/CACHEDIR.TAG", t.cache);
	assert_int_equal(read_file(AT_FDCWD, tag, 4096, &b), 0);
	assert_memory_equal(b.data, "Signature: 8a477f597d28d172789f06886806bc55", 43);
	teardown(&t);
}

static void a_blob_appears_whole(void **state)
{
	struct sha256 sha = sha_of(1);
	struct blob_writer *w;
	char data[BLOB];
	struct room t;

	setup(&t, 1 << 20);
	fill(data, BLOB, 1);
	assert_int_equal(blob_begin(t.c, BLOB_SPOOL, BLOB, &w), 0);
	assert_int_equal(blob_write(w, data, 500), 0);
	assert_false(cache_has(t.c, &sha, NULL));
	assert_int_equal(files_below(t.dir), 0);
	assert_int_equal(blob_write(w, data + 500, BLOB - 500), 0);
	check_written(blob_fd(w), 1, BLOB);
	assert_null(blob_abort(w));
	assert_null(blob_abort(NULL));
	assert_int_equal(files_below(t.dir), 0);
	assert_int_equal(totals(&t).spool_files, 0);
	teardown(&t);
}

/* The second put of a blob gives the first one's file: one inode for all readers. */
static void put_twice(void **state)
{
	int fd[2];
	struct sha256 sha = sha_of(1);
	struct blob_writer *w;
	struct stat st[2];
	char data[BLOB];
	struct room t;

	setup(&t, 1 << 20);
	fill(data, BLOB, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(blob_begin(t.c, BLOB_CACHE, BLOB, &w), 0);
		assert_int_equal(blob_write(w, data, BLOB), 0);
		assert_int_equal(blob_commit(w, &sha, false, &fd[i]), 0);
		check_fd(fd[i], 1, BLOB);
		assert_int_equal(fstat(fd[i], &st[i]), 0);
	}
	assert_int_equal(st[0].st_ino, st[1].st_ino);
	assert_int_equal(totals(&t).cache_files, 1);
	assert_int_equal(totals(&t).cache_bytes, BLOB);
	closep(&fd[0]);
	closep(&fd[1]);
	teardown(&t);
}

/* After a power cut a name may stand for less than the blob; the next put puts that right. */
static void torn_blob_is_replaced(void **state)
{
	struct room t;
	char p[256];

	for (enum blob_area area = BLOB_SPOOL; area <= BLOB_CACHE; area++) {
		setup(&t, 1 << 20);
		put(&t, area, 1, BLOB);
		path_of(&t, area, 1, p);
		assert_int_equal(truncate(p, 10), 0);
		cache_recount(t.c);
		put(&t, area, 1, BLOB);
		check(&t, 1, BLOB);
		assert_int_equal(totals(&t).cache_files + totals(&t).spool_files, 1);
		assert_int_equal(totals(&t).cache_bytes + totals(&t).spool_bytes, BLOB);
		teardown(&t);
	}
}

static void evicts_oldest_first(void **state)
{
	struct room t;

	setup(&t, 10 * BLOB);
	for (unsigned n = 0; n < 10; n++) {
		put(&t, BLOB_CACHE, n, BLOB);
		age(&t, BLOB_CACHE, n,
		    100000 - (n * 7 % 10) * 1000); /* oldest: 0, then 3, 6, 9, 2... */
	}
	put(&t, BLOB_CACHE, 10, 2 * BLOB);
	assert_false(has(&t, BLOB_CACHE, 0));
	assert_false(has(&t, BLOB_CACHE, 3));
	assert_true(has(&t, BLOB_CACHE, 6));
	check(&t, 6, BLOB); /* used: no longer the next one, though it is on the list */
	put(&t, BLOB_CACHE, 11, BLOB);
	assert_true(has(&t, BLOB_CACHE, 6));
	assert_false(has(&t, BLOB_CACHE, 9));
	put(&t, BLOB_CACHE, 12, 8 * BLOB);
	assert_true(has(&t, BLOB_CACHE, 12));
	assert_true(totals(&t).cache_bytes <= 10 * BLOB);
	assert_int_equal(totals(&t).evicted, 13 - totals(&t).cache_files);
	teardown(&t);
}

/* Nothing that is in use goes for what nobody asked for. */
static void spares_what_was_used_lately(void **state)
{
	struct room t;

	setup(&t, 10 * BLOB);
	assert_true(cache_spare(t.c, 10 * BLOB));
	assert_false(cache_spare(t.c, 10 * BLOB + 1));
	for (unsigned n = 0; n < 9; n++) {
		put(&t, BLOB_CACHE, n, BLOB);
		age(&t, BLOB_CACHE, n, n < 3 ? 9000 : 3600); /* a later use may not be noted */
	}
	assert_true(cache_spare(t.c, BLOB));
	assert_int_equal(totals(&t).evicted, 0);
	assert_true(cache_spare(t.c, 3 * BLOB));
	assert_int_equal(totals(&t).evicted, 2);
	assert_false(cache_spare(t.c, 5 * BLOB));
	for (unsigned n = 3; n < 9; n++)
		assert_true(has(&t, BLOB_CACHE, n));
	put(&t, BLOB_CACHE, 10, 8 * BLOB); /* a reader's may */
	assert_true(has(&t, BLOB_CACHE, 10));
	teardown(&t);
}

static void evicted_blob_stays_readable(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 sha = sha_of(1);
	struct room t;

	setup(&t, 2 * BLOB);
	put(&t, BLOB_CACHE, 1, BLOB);
	assert_int_equal(cache_open(t.c, &sha, &fd), 0);
	put(&t, BLOB_CACHE, 2, 2 * BLOB);
	assert_false(cache_has(t.c, &sha, NULL));
	check_fd(fd, 1, BLOB);
	teardown(&t);
}

/* More blobs than a walk keeps, and a restart that has counted nothing yet. */
static void limit_with_many_blobs(void **state)
{
	enum { MANY = 2 * OLDEST_KEPT + 500, KEEP = 100 };
	struct room t;

	setup(&t, MANY * 10);
	for (unsigned n = 0; n < MANY; n++) {
		put(&t, BLOB_CACHE, n, 10);
		age(&t, BLOB_CACHE, n, 1000000 - n);
	}
	reopen(&t, KEEP * 10);
	cache_recount(t.c);
	assert_int_equal(totals(&t).cache_files, MANY);
	put(&t, BLOB_CACHE, MANY, 10);
	assert_int_equal(totals(&t).cache_bytes, KEEP * 10);
	assert_int_equal(files_below(t.blobs), KEEP);
	for (unsigned n = MANY - KEEP + 1; n <= MANY; n++)
		assert_true(has(&t, BLOB_CACHE, n));
	teardown(&t);
}

static void what_cannot_fit_is_not_kept(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 sha = sha_of(9);
	struct blob_writer *w, *hog;
	CLEANUP(freep) char *data = malloc(20 * BLOB);
	struct room t;

	setup(&t, 10 * BLOB);
	put(&t, BLOB_CACHE, 1, BLOB);
	fill(data, 20 * BLOB, 9);
	assert_int_equal(blob_begin(t.c, BLOB_CACHE, 0, &w), 0); /* a size nobody knew */
	for (int i = 0; i < 20; i++)
		assert_int_equal(blob_write(w, data + i * BLOB, BLOB), 0);
	assert_int_equal(blob_commit(w, &sha, false, &fd), 0);
	check_fd(fd, 9, 20 * BLOB);
	assert_false(cache_has(t.c, &sha, NULL));
	put(&t, BLOB_CACHE, 2, 20 * BLOB);
	assert_false(has(&t, BLOB_CACHE, 2));
	/* Reserved bytes are taken; given back when the writer goes. */
	assert_int_equal(blob_begin(t.c, BLOB_CACHE, 8 * BLOB, &hog), 0);
	put(&t, BLOB_CACHE, 3, 5 * BLOB);
	assert_false(has(&t, BLOB_CACHE, 3));
	hog = blob_abort(hog);
	put(&t, BLOB_CACHE, 3, 5 * BLOB);
	assert_true(has(&t, BLOB_CACHE, 3));
	reopen(&t, 0); /* no cache at all */
	put(&t, BLOB_CACHE, 4, BLOB);
	assert_false(has(&t, BLOB_CACHE, 4));
	teardown(&t);
}

static void spool_is_never_evicted(void **state)
{
	struct room t;

	setup(&t, 3 * BLOB);
	for (unsigned n = 0; n < 20; n++) {
		put(&t, BLOB_SPOOL, n, BLOB);
		age(&t, BLOB_SPOOL, n, 1000000);
	}
	for (unsigned n = 100; n < 120; n++)
		put(&t, BLOB_CACHE, n, BLOB);
	assert_true(room_evict(t.c, UINT64_MAX) <= 3 * BLOB);
	for (unsigned n = 0; n < 20; n++)
		check(&t, n, BLOB);
	assert_int_equal(totals(&t).spool_files, 20);
	assert_int_equal(totals(&t).cache_files, 0);
	teardown(&t);
}

static void use_is_noted_hourly(void **state)
{
	struct room t;
	int64_t before;

	setup(&t, 1 << 20);
	put(&t, BLOB_CACHE, 1, BLOB);
	put(&t, BLOB_SPOOL, 2, BLOB);
	age(&t, BLOB_CACHE, 1, 3000);
	age(&t, BLOB_SPOOL, 2, 9000);
	before = mtime_of(&t, BLOB_CACHE, 1);
	check(&t, 1, BLOB);
	assert_int_equal(mtime_of(&t, BLOB_CACHE, 1), before);
	age(&t, BLOB_CACHE, 1, 3700);
	check(&t, 1, BLOB);
	assert_true(mtime_of(&t, BLOB_CACHE, 1) > before);
	before = mtime_of(&t, BLOB_SPOOL, 2);
	check(&t, 2, BLOB);
	assert_int_equal(mtime_of(&t, BLOB_SPOOL, 2), before);
	teardown(&t);
}

/* A descriptor that was kept serves again. */
static void use_of_a_kept_descriptor_is_noted(void **state)
{
	struct sha256 one = sha_of(1), two = sha_of(2), three = sha_of(3);
	struct room t;
	int64_t before;

	setup(&t, 1 << 20);
	put(&t, BLOB_CACHE, 1, BLOB);
	age(&t, BLOB_CACHE, 1, 3700);
	before = mtime_of(&t, BLOB_CACHE, 1);
	assert_true(cache_used(t.c, &one));
	assert_true(mtime_of(&t, BLOB_CACHE, 1) > before);
	put(&t, BLOB_SPOOL, 2, BLOB);
	put(&t, BLOB_CACHE, 2, BLOB);
	assert_false(cache_used(t.c, &two));
	assert_false(cache_used(t.c, &three));
	assert_true(cache_used(t.c, &one));
	teardown(&t);
}

static void settle_moves(struct room *t)
{
	struct sha256 sha = sha_of(1), none = sha_of(77);

	put(t, BLOB_SPOOL, 1, BLOB);
	age(t, BLOB_SPOOL, 1, 500000);
	assert_int_equal(cache_settle(t->c, &sha), 0);
	assert_false(has(t, BLOB_SPOOL, 1));
	assert_true(has(t, BLOB_CACHE, 1));
	assert_true(mtime_of(t, BLOB_CACHE, 1) > now_us() / 1000000 - 100);
	check(t, 1, BLOB);
	assert_int_equal(totals(t).spool_bytes, 0);
	assert_int_equal(totals(t).cache_bytes, BLOB);
	assert_int_equal(cache_settle(t->c, &sha), 0);
	assert_int_equal(cache_settle(t->c, &none), -ENOENT);
	/* In both: one stays. */
	put(t, BLOB_SPOOL, 1, BLOB);
	assert_int_equal(cache_settle(t->c, &sha), 0);
	assert_int_equal(files_below(t->spool), 0);
	assert_int_equal(totals(t).cache_files, 1);
	assert_int_equal(totals(t).spool_files, 0);
	/* No room: just gone. */
	put(t, BLOB_SPOOL, 2, 100 * BLOB);
	sha = sha_of(2);
	assert_int_equal(cache_settle(t->c, &sha), 0);
	assert_false(cache_has(t->c, &sha, NULL));
	check(t, 1, BLOB);
	/* No cache directory: made again. */
	assert_int_equal(remove_tree(AT_FDCWD, t->cache), 0);
	put(t, BLOB_SPOOL, 3, BLOB);
	sha = sha_of(3);
	assert_int_equal(cache_settle(t->c, &sha), 0);
	assert_true(has(t, BLOB_CACHE, 3));
	check(t, 3, BLOB);
	assert_int_equal(totals(t).cache_bytes, BLOB);
	assert_int_equal(files_below(t->dir) + files_below(t->cache) >= 1, 1);
}

/* Whether the spool is known to be empty, or wrongly said to be, or not any more: the blob is found where it is. */
static void empty_spool(void **state)
{
	char from[256], to[256];
	struct sha256 sha = sha_of(2);
	enum blob_area area;
	struct room t;

	setup(&t, 1 << 20);
	put(&t, BLOB_CACHE, 1, BLOB);
	put(&t, BLOB_CACHE, 2, BLOB);
	cache_recount(t.c);
	check(&t, 1, BLOB);
	assert_true(cache_has(t.c, &sha, &area));
	assert_int_equal(area, BLOB_CACHE);
	path_of(&t, BLOB_CACHE, 1, from);
	put(&t, BLOB_SPOOL, 1, BLOB);
	assert_int_equal(unlink(from), 0);
	check(&t, 1, BLOB);
	put(&t, BLOB_SPOOL, 2, BLOB);
	assert_true(cache_has(t.c, &sha, &area));
	assert_int_equal(area, BLOB_SPOOL);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	check(&t, 2, BLOB);
	sha = sha_of(1);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	assert_int_equal(totals(&t).spool_files, 0);
	check(&t, 1, BLOB);
	path_of(&t, BLOB_SPOOL, 1, to); /* behind our back */
	assert_int_equal(rename(from, to), 0);
	check(&t, 1, BLOB);
	assert_true(cache_has(t.c, &sha, &area));
	assert_int_equal(area, BLOB_SPOOL);
	teardown(&t);
}

static void settle_on_one_disk(void **state)
{
	struct room t;

	setup(&t, 10 * BLOB);
	settle_moves(&t);
	teardown(&t);
}

static void settle_across_disks(void **state)
{
	struct stat a, b;
	struct room t;

	if (stat("/tmp", &a) < 0 || stat("/dev/shm", &b) < 0 || a.st_dev == b.st_dev)
		skip();
	setup_in(&t, "/tmp", "/dev/shm", 10 * BLOB);
	assert_false(t.c->one_disk);
	settle_moves(&t);
	teardown(&t);
}

static void adopt_by_link(void **state)
{
	struct sha256 sha = sha_of(1);
	struct stat a, b;
	char from[128], p[256], data[BLOB];
	struct room t;

	setup(&t, 10 * BLOB);
	fill(data, BLOB, 1);
	(void)snprintf(from, sizeof(from), "%s/photo.jpg", t.state);
	assert_int_equal(write_file_atomic(AT_FDCWD, from, data, BLOB, 0600), 0);
	CLEANUP(closep) int dir = open(t.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) { /* the second time it is there already */
		assert_int_equal(cache_adopt(t.c, dir, "photo.jpg", &sha, true), 0);
		path_of(&t, BLOB_SPOOL, 1, p);
		assert_int_equal(stat(from, &a), 0);
		assert_int_equal(stat(p, &b), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		assert_int_equal(totals(&t).spool_bytes, BLOB);
	}
	assert_int_equal(cache_adopt(t.c, dir, "missing", &sha, false), -ENOENT);
	assert_int_equal(cache_adopt(t.c, dir, "spool", &sha, false), -EINVAL);
	assert_int_equal(symlinkat("photo.jpg", dir, "link"), 0);
	assert_int_equal(cache_adopt(t.c, dir, "link", &sha, false), -ELOOP);
	/* Settling leaves the writer's file as it is. */
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	assert_int_equal(utimensat(AT_FDCWD, from, old, 0), 0);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	assert_int_equal(stat(from, &a), 0);
	assert_int_equal(a.st_mtime, 1000);
	assert_true(has(&t, BLOB_CACHE, 1));
	teardown(&t);
}

struct seen {
	unsigned n, stop_at;
	struct sha256 last;
	uint64_t bytes;
};

static int see(void *user, const struct sha256 *sha, uint64_t size)
{
	struct seen *s = user;

	assert_true(s->n == 0 || memcmp(&s->last, sha, sizeof(*sha)) < 0);
	s->last = *sha;
	s->bytes += size;
	return ++s->n == s->stop_at ? -EINTR : 0;
}

static void each_and_drop(void **state)
{
	struct seen all = {0}, some = {.stop_at = 5};
	struct sha256 sha = sha_of(7);
	char junk[256];
	struct room t;

	setup(&t, 1 << 20);
	assert_int_equal(cache_each(t.c, BLOB_SPOOL, see, &all), 0);
	assert_int_equal(all.n, 0);
	for (unsigned n = 0; n < 200; n++)
		put(&t, BLOB_SPOOL, n, n + 1);
	/* Names that are not ours are passed over, also by the count. */
	(void)snprintf(junk, sizeof(junk), "%s/00/README", t.spool);
	assert_int_equal(write_file_atomic(AT_FDCWD, junk, "x", 1, 0600), 0);
	(void)snprintf(junk, sizeof(junk), "%s/00/00aa%060d", t.spool, 0);
	assert_int_equal(mkdir(junk, 0700), 0);
	(void)snprintf(junk, sizeof(junk), "%s/00/ff%062d", t.spool, 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, junk, "x", 1, 0600), 0);
	assert_int_equal(cache_each(t.c, BLOB_SPOOL, see, &all), 0);
	assert_int_equal(all.n, 200);
	assert_int_equal(all.bytes, 200 * 201 / 2);
	assert_int_equal(cache_each(t.c, BLOB_SPOOL, see, &some), -EINTR);
	assert_int_equal(some.n, 5);
	assert_int_equal(cache_drop(t.c, &sha, BLOB_SPOOL), 0);
	assert_int_equal(cache_drop(t.c, &sha, BLOB_SPOOL), -ENOENT);
	assert_int_equal(totals(&t).spool_files, 199);
	reopen(&t, 1 << 20);
	assert_int_equal(totals(&t).spool_files, 0);
	sha = sha_of(8);
	assert_int_equal(cache_drop(t.c, &sha, BLOB_SPOOL), 0); /* never counted: not below 0 */
	assert_int_equal(totals(&t).spool_files, 0);
	cache_recount(t.c);
	assert_int_equal(totals(&t).spool_files, 198);
	assert_int_equal(totals(&t).spool_bytes, 200 * 201 / 2 - 8 - 9);
	assert_int_equal(cache_sync_spool(t.c), 0);
	teardown(&t);
}

static void relative_directories(void **state)
{
	CLEANUP(freep) char *cwd = getcwd(NULL, 0);
	struct room t;

	setup(&t, 1 << 20);
	assert_int_equal(chdir(t.dir), 0);
	t.c = cache_free(t.c);
	assert_int_equal(cache_new("state", "cache", 1 << 20, &t.c), 0);
	assert_int_equal(chdir("/"), 0); /* as a daemon does */
	put(&t, BLOB_SPOOL, 1, BLOB);
	assert_true(has(&t, BLOB_SPOOL, 1));
	assert_int_equal(chdir(cwd), 0);
	teardown(&t);
}

static void bad_directories(void **state)
{
	struct cache *c = NULL;
	char path[PATH_MAX];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[PATH_MAX - 50] = '\0';
	assert_int_equal(cache_new(path, "/tmp", 1, &c), -ENAMETOOLONG);
	assert_int_equal(cache_new("/proc/version", "/tmp", 1, &c), -ENOTDIR);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_and_open),
		cmocka_unit_test(a_blob_appears_whole),
		cmocka_unit_test(put_twice),
		cmocka_unit_test(torn_blob_is_replaced),
		cmocka_unit_test(evicts_oldest_first),
		cmocka_unit_test(spares_what_was_used_lately),
		cmocka_unit_test(evicted_blob_stays_readable),
		cmocka_unit_test(limit_with_many_blobs),
		cmocka_unit_test(what_cannot_fit_is_not_kept),
		cmocka_unit_test(spool_is_never_evicted),
		cmocka_unit_test(use_is_noted_hourly),
		cmocka_unit_test(use_of_a_kept_descriptor_is_noted),
		cmocka_unit_test(empty_spool),
		cmocka_unit_test(settle_on_one_disk),
		cmocka_unit_test(settle_across_disks),
		cmocka_unit_test(adopt_by_link),
		cmocka_unit_test(each_and_drop),
		cmocka_unit_test(relative_directories),
		cmocka_unit_test(bad_directories),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
