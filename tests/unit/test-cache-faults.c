/* test-cache-faults.c - the cache when things go wrong: killed, full, deleted under us, and used by many at once. */
#include "test-cache.h"

#include "shutterfs/codec.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

/* ---- killed ---- */

static void die_writing(struct room *t, enum blob_area area, bool named, bool commit)
{
	struct sha256 sha = sha_of(5);
	struct blob_writer *w;
	char data[BLOB];
	int fd;

	t->c->no_tmpfile[area] = named;
	fill(data, BLOB, 5);
	if (blob_begin(t->c, area, BLOB, &w) < 0 || blob_write(w, data, BLOB) < 0)
		_exit(1);
	if (commit && blob_commit(w, &sha, true, &fd) < 0)
		_exit(1);
	(void)raise(SIGKILL);
}

static void crash_leaves_no_stray_file(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		enum blob_area area = i & 1 ? BLOB_CACHE : BLOB_SPOOL;
		bool named = i & 2, commit = i & 4;
		struct room t;
		int status;

		setup(&t, 1 << 20);
		pid_t pid = fork();
		if (pid == 0)
			die_writing(&t, area, named, commit);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(files_below(t.dir), commit || named);
		reopen(&t, 1 << 20);
		assert_int_equal(files_below(t.dir), commit);
		if (commit)
			check(&t, 5, BLOB);
		teardown(&t);
	}
}

/* ---- a file system that cannot make files without a name ---- */

static void named_temporary_files(void **state)
{
	struct sha256 sha = sha_of(2);
	struct blob_writer *w;
	struct room t;

	setup(&t, 10 * BLOB);
	t.c->no_tmpfile[BLOB_SPOOL] = t.c->no_tmpfile[BLOB_CACHE] = true;
	for (int i = 0; i < 2; i++) {
		put(&t, BLOB_SPOOL, 1, BLOB);
		put(&t, BLOB_CACHE, 2, BLOB);
	}
	assert_int_equal(files_below(t.dir), 2);
	put(&t, BLOB_CACHE, 3, 20 * BLOB); /* not kept: its name goes at once */
	assert_int_equal(blob_begin(t.c, BLOB_SPOOL, BLOB, &w), 0);
	assert_int_equal(files_below(t.dir), 3);
	w = blob_abort(w);
	assert_int_equal(files_below(t.dir), 2);
	check(&t, 1, BLOB);
	check(&t, 2, BLOB);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	teardown(&t);
}

/* ---- many at once ---- */

struct crowd {
	struct room *t;
	unsigned n;
	int r;
};

static void *put_same(void *arg)
{
	struct crowd *w = arg;
	struct sha256 sha = sha_of(1);
	char data[BLOB], got[BLOB];

	fill(data, BLOB, 1);
	for (unsigned i = 0; i < 30 && w->r == 0; i++) {
		CLEANUP(closep) int fd = -1;
		struct blob_writer *b;
		enum blob_area area = i % 2 ? BLOB_CACHE : BLOB_SPOOL;

		w->r = blob_begin(w->t->c, area, BLOB, &b);
		if (w->r == 0)
			w->r = blob_write(b, data, BLOB);
		if (w->r == 0)
			w->r = blob_commit(b, &sha, false, &fd);
		if (w->r == 0)
			w->r = pread_all(fd, got, BLOB, 0);
		if (w->r == 0 && memcmp(data, got, BLOB) != 0)
			w->r = -EBADMSG;
	}
	return NULL;
}

/* Puts, opens, settles and drops over a few blobs, in a cache that holds half of them. */
static void *mix(void *arg)
{
	struct crowd *w = arg;
	struct cache *c = w->t->c;
	unsigned seed = w->n;
	char data[BLOB], got[BLOB];

	for (unsigned i = 0; i < 400 && w->r == 0; i++) {
		unsigned n = (unsigned)rand_r(&seed) % 20;
		struct sha256 sha = sha_of(n);
		CLEANUP(closep) int fd = -1;
		struct blob_writer *b;

		fill(data, BLOB, n);
		switch (rand_r(&seed) % 8) {
		case 0:
			w->r = cache_settle(c, &sha);
			break;
		case 1:
			w->r = cache_drop(c, &sha, BLOB_CACHE);
			break;
		case 2:
			cache_recount(c);
			break;
		case 3:
		case 4:
			w->r = blob_begin(c, i % 3 ? BLOB_CACHE : BLOB_SPOOL, BLOB, &b);
			if (w->r == 0)
				w->r = blob_write(b, data, BLOB);
			if (w->r == 0)
				w->r = blob_commit(b, &sha, false, &fd);
			break;
		default:
			w->r = cache_open(c, &sha, &fd);
		}
		if (w->r == -ENOENT)
			w->r = 0;
		if (fd >= 0 && (pread_all(fd, got, BLOB, 0) < 0 || memcmp(data, got, BLOB) != 0))
			w->r = -EBADMSG;
	}
	return NULL;
}

static void run_crowd(struct room *t, void *(*fn)(void *))
{
	struct crowd w[8];
	pthread_t id[8];

	for (unsigned i = 0; i < 8; i++) {
		w[i] = (struct crowd){.t = t, .n = i};
		assert_int_equal(pthread_create(&id[i], NULL, fn, &w[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(id[i], NULL), 0);
		assert_int_equal(w[i].r, 0);
	}
}

static void same_blob_by_many(void **state)
{
	struct room t;

	setup(&t, 20 * BLOB);
	run_crowd(&t, put_same);
	assert_int_equal(files_below(t.spool), 1);
	assert_int_equal(files_below(t.blobs), 1);
	assert_int_equal(totals(&t).spool_files, 1);
	assert_int_equal(totals(&t).cache_bytes, BLOB);
	assert_int_equal(t.c->reserved, 0);
	check(&t, 1, BLOB);
	teardown(&t);
}

static void everything_by_many(void **state)
{
	struct cache_totals before;
	struct room t;

	setup(&t, 10 * BLOB);
	run_crowd(&t, mix);
	before = totals(&t);
	assert_true(before.cache_bytes <= 10 * BLOB);
	assert_int_equal(t.c->reserved, 0);
	assert_int_equal(files_below(t.blobs), before.cache_files);
	assert_int_equal(files_below(t.spool), before.spool_files);
	cache_recount(t.c);
	assert_int_equal(totals(&t).cache_bytes, before.cache_bytes);
	assert_int_equal(totals(&t).spool_bytes, before.spool_bytes);
	teardown(&t);
}

/* ---- the cache directory is deleted while in use ---- */

static void cache_deleted_while_in_use(void **state)
{
	CLEANUP(closep) int fd = -1, late = -1;
	struct sha256 one = sha_of(1), two = sha_of(2);
	struct blob_writer *w;
	char data[BLOB], tag[128];
	struct room t;

	setup(&t, 10 * BLOB);
	put(&t, BLOB_CACHE, 1, BLOB);
	put(&t, BLOB_CACHE, 3, BLOB);
	put(&t, BLOB_SPOOL, 4, BLOB);
	assert_int_equal(cache_open(t.c, &one, &fd), 0);
	fill(data, BLOB, 2);
	assert_int_equal(blob_begin(t.c, BLOB_CACHE, BLOB, &w), 0);
	assert_int_equal(blob_write(w, data, BLOB), 0);
	assert_int_equal(remove_tree(AT_FDCWD, t.cache), 0);
	check_fd(fd, 1, BLOB);
	assert_false(cache_has(t.c, &one, NULL));
	assert_int_equal(cache_open(t.c, &one, &late), -ENOENT);
	assert_int_equal(blob_commit(w, &two, false, &late), 0);
	check_fd(late, 2, BLOB);
	check(&t, 2, BLOB);
	assert_int_equal(totals(&t).cache_bytes, BLOB);
	assert_int_equal(totals(&t).cache_files, 1);
	(void)snprintf(tag, sizeof(tag), "%s/CACHEDIR.TAG", t.cache);
	assert_int_equal(access(tag, F_OK), 0);
	assert_int_equal(remove_tree(AT_FDCWD, t.cache), 0);
	put(&t, BLOB_CACHE, 5, BLOB);
	check(&t, 5, BLOB);
	check(&t, 4, BLOB);
	teardown(&t);
}

/* The count still says "full" when all is gone: the walk finds out. */
static void shards_deleted_while_in_use(void **state)
{
	struct room t;

	setup(&t, 10 * BLOB);
	for (unsigned n = 0; n < 10; n++)
		put(&t, BLOB_CACHE, n, BLOB);
	assert_int_equal(remove_tree(AT_FDCWD, t.blobs), 0);
	put(&t, BLOB_CACHE, 20, 5 * BLOB);
	put(&t, BLOB_CACHE, 21, 5 * BLOB);
	check(&t, 20, 5 * BLOB);
	check(&t, 21, 5 * BLOB);
	assert_int_equal(totals(&t).cache_bytes, 10 * BLOB);
	assert_int_equal(totals(&t).evicted, 0);
	teardown(&t);
}

/* What stands there now is no directory: readers get their bytes all the same. */
static void cache_replaced_by_a_file(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 sha = sha_of(1);
	struct blob_writer *w;
	char data[BLOB];
	struct room t;

	setup(&t, 10 * BLOB);
	assert_int_equal(remove_tree(AT_FDCWD, t.cache), 0);
	assert_int_equal(write_file_atomic(AT_FDCWD, t.cache, "x", 1, 0600), 0);
	fill(data, BLOB, 1);
	assert_int_equal(blob_begin(t.c, BLOB_CACHE, BLOB, &w), 0);
	assert_int_equal(blob_write(w, data, BLOB), 0);
	assert_int_equal(blob_commit(w, &sha, false, &fd), 0);
	check_fd(fd, 1, BLOB);
	assert_int_equal(cache_open(t.c, &sha, &fd), -ENOENT);
	put(&t, BLOB_SPOOL, 1, BLOB);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	assert_false(cache_has(t.c, &sha, NULL));
	teardown(&t);
}

/* ---- full disks: a small tmpfs in a mount namespace of our own ---- */

#define DISK (2u << 20)

static bool mount_small(const char *path)
{
	char opts[32];

	(void)snprintf(opts, sizeof(opts), "size=%u", DISK);
	return make_dirs(path, 0700) == 0 && mount("none", path, "tmpfs", 0, opts) == 0;
}

static bool namespace_ready(void)
{
	static int ready = -1;

	if (ready < 0)
		ready = unshare(CLONE_NEWNS) == 0 &&
			mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return ready;
}

/* Takes all but `leave` bytes of the disk. */
static void stuff(const char *dir, size_t leave)
{
	static const char zero[4096];
	char p[128];

	(void)snprintf(p, sizeof(p), "%s/ballast", dir);
	CLEANUP(closep) int fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zero, sizeof(zero)) == sizeof(zero))
		;
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_size - (off_t)(leave & ~4095u)), 0);
}

static void unstuff(const char *dir)
{
	char p[128];

	(void)snprintf(p, sizeof(p), "%s/ballast", dir);
	assert_int_equal(unlink(p), 0);
}

static int write_uncounted(struct room *t, enum blob_area area, unsigned n, size_t len, int *ret_fd)
{
	CLEANUP(freep) char *data = malloc(len);
	struct sha256 sha = sha_of(n);
	struct blob_writer *w;

	assert_non_null(data);
	fill(data, len, n);
	int r = blob_begin(t->c, area, 0, &w);
	for (size_t at = 0; r == 0 && at < len; at += 10000)
		r = blob_write(w, data + at, len - at < 10000 ? len - at : 10000);
	if (r == 0)
		return blob_commit(w, &sha, false, ret_fd);
	w = blob_abort(w);
	return r;
}

static void full_cache_disk(void **state)
{
	CLEANUP(closep) int fd = -1, other = -1;
	struct sha256 sha = sha_of(1);
	struct room t;

	if (!namespace_ready())
		skip();
	setup_in(&t, "/tmp", "/tmp", 1 << 30);
	assert_true(mount_small(t.cache));
	reopen(&t, 1 << 30);
	/* Full of what is not ours: past the cache, readable. */
	stuff(t.cache, 0);
	assert_int_equal(write_uncounted(&t, BLOB_CACHE, 1, 300000, &fd), 0);
	check_fd(fd, 1, 300000);
	assert_false(cache_has(t.c, &sha, NULL));
	unstuff(t.cache);
	/* Full of ours: the oldest goes. */
	for (unsigned n = 10; n < 40; n++) {
		put(&t, BLOB_CACHE, n, 100000);
		assert_true(has(&t, BLOB_CACHE, n));
		age(&t, BLOB_CACHE, n, 1000 - n); /* apart: the clock of files is coarse */
	}
	assert_false(has(&t, BLOB_CACHE, 10));
	assert_true(totals(&t).cache_bytes < DISK && totals(&t).cache_bytes > DISK / 2);
	assert_true(totals(&t).evicted >= 10);
	/* The limit is far off and the hint was too small, so that the write itself meets the end of the disk. */
	stuff(t.cache, 8192);
	assert_int_equal(write_uncounted(&t, BLOB_CACHE, 2, 400000, &other), 0);
	check_fd(other, 2, 400000);
	unstuff(t.cache);
	put(&t, BLOB_CACHE, 3, 400000);
	assert_true(has(&t, BLOB_CACHE, 3));
	assert_int_equal(umount2(t.cache, MNT_DETACH), 0);
	teardown(&t);
}

static void disk_fills_while_writing(void **state)
{
	CLEANUP(closep) int fd = -1;
	static char
		data[600000]; /* skip() leaves by longjmp: what is allocated before it would leak */
	struct sha256 sha = sha_of(1);
	struct blob_writer *w;
	struct room t;

	if (!namespace_ready())
		skip();
	setup_in(&t, "/tmp", "/tmp", 1 << 30);
	assert_true(mount_small(t.cache));
	reopen(&t, 1 << 30);
	put(&t, BLOB_CACHE, 7, 100000);
	fill(data, 600000, 1);
	assert_int_equal(blob_begin(t.c, BLOB_CACHE, 600000, &w), 0);
	assert_int_equal(blob_write(w, data, 200000), 0);
	stuff(t.cache, 0);
	assert_int_equal(blob_write(w, data + 200000, 50000), 0); /* number 7 made room */
	assert_false(has(&t, BLOB_CACHE, 7));
	stuff(t.cache, 0);
	assert_int_equal(blob_write(w, data + 250000, 350000), 0); /* beside the state now */
	check_written(blob_fd(w), 1, 600000);
	assert_int_equal(blob_commit(w, &sha, false, &fd), 0);
	check_fd(fd, 1, 600000);
	assert_false(cache_has(t.c, &sha, NULL));
	assert_int_equal(totals(&t).cache_files, 0);
	assert_int_equal(t.c->reserved, 0);
	assert_int_equal(umount2(t.cache, MNT_DETACH), 0);
	teardown(&t);
}

/* Cache and state on one full disk: copies make way for what is new, memory serves readers, and the spool says ENOSPC. */
static void full_disk_for_both(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct room t;

	if (!namespace_ready())
		skip();
	setup_in(&t, "/tmp", "/tmp", 1 << 30);
	assert_true(mount_small(t.dir));
	reopen(&t, 1 << 30);
	assert_true(t.c->one_disk);
	for (unsigned n = 10; n < 40; n++)
		put(&t, BLOB_CACHE, n, 100000);
	put(&t, BLOB_SPOOL, 1, 1000000);
	check(&t, 1, 1000000);
	(void)room_evict(t.c, UINT64_MAX);
	stuff(t.dir, 0);
	assert_int_equal(write_uncounted(&t, BLOB_SPOOL, 2, 100000, NULL), -ENOSPC);
	assert_int_equal(write_uncounted(&t, BLOB_CACHE, 3, 100000, &fd), 0);
	check_fd(fd, 3, 100000);
	check(&t, 1, 1000000);
	unstuff(t.dir);
	put(&t, BLOB_SPOOL, 2, 100000);
	check(&t, 2, 100000);
	assert_int_equal(umount2(t.dir, MNT_DETACH), 0);
	teardown(&t);
}

static void read_only_cache(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct sha256 sha = sha_of(1);
	struct room t;

	if (!namespace_ready())
		skip();
	setup_in(&t, "/tmp", "/tmp", 1 << 30);
	assert_true(mount_small(t.cache));
	reopen(&t, 10 * BLOB);
	put(&t, BLOB_CACHE, 1, 10 * BLOB);
	age(&t, BLOB_CACHE, 1, 100000);
	assert_int_equal(mount("none", t.cache, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	check(&t, 1, 10 * BLOB);
	assert_int_equal(write_uncounted(&t, BLOB_CACHE, 2, BLOB, &fd),
			 0); /* nothing can be evicted: no endless try */
	check_fd(fd, 2, BLOB);
	assert_int_equal(cache_drop(t.c, &sha, BLOB_CACHE), -EROFS);
	assert_int_equal(umount2(t.cache, MNT_DETACH), 0);
	teardown(&t);
}

/* A blob with its real name: what is doubted is hashed. */
static struct sha256 put_true(struct room *t, enum blob_area area, unsigned n)
{
	struct blob_writer *w;
	struct sha256 sha;
	char data[BLOB];

	fill(data, sizeof(data), n);
	assert_int_equal(sha256_of(data, sizeof(data), &sha), 0);
	assert_int_equal(blob_begin(t->c, area, sizeof(data), &w), 0);
	assert_int_equal(blob_write(w, data, sizeof(data)), 0);
	assert_int_equal(blob_commit(w, &sha, false, NULL), 0);
	return sha;
}

static void true_path(const struct room *t, enum blob_area area, const struct sha256 *sha,
		      char out[256])
{
	char hex[SHA256_HEX];

	hex_encode(sha->b, 32, hex);
	(void)snprintf(out, 256, "%s/%.2s/%s", area == BLOB_SPOOL ? t->spool : t->blobs, hex, hex);
}

static void overwrite(const char *path)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "torn", 4, 500), 4);
	(void)close(fd);
}

static void end_unclean(struct room *t)
{
	char path[128];

	t->c = cache_free(t->c);
	(void)snprintf(path, sizeof(path), "%s/trust", t->state);
	assert_int_equal(unlink(path), 0);
}

/* As a kill leaves it; `boot` NULL: that it is of. */
static void end_killed(struct room *t, const char *boot)
{
	CLEANUP(buf_done) struct buf mark = BUF(256);
	char path[128], text[256];
	int64_t ns;

	(void)snprintf(path, sizeof(path), "%s/trust", t->state);
	assert_int_equal(read_file(AT_FDCWD, path, 256, &mark), 0);
	assert_non_null(strstr(mark.data, " running "));
	assert_int_equal(sscanf(mark.data, "%" SCNd64, &ns), 1);
	(void)snprintf(text, sizeof(text), "%" PRId64 " running %s\n", ns, boot);
	if (!boot)
		(void)snprintf(text, sizeof(text), "%s", mark.data);
	t->c = cache_free(t->c);
	assert_int_equal(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

/* Damage that only who reads it again can find. */
static bool is_read_again(struct room *t, unsigned n, const char *boot, bool resumes)
{
	struct sha256 sha;
	char path[256];
	int fd = -1, r;

	setup(t, 1 << 20);
	sha = put_true(t, BLOB_CACHE, n);
	end_killed(t, boot);
	true_path(t, BLOB_CACHE, &sha, path);
	overwrite(path);
	(void)usleep(20000); /* the clock of files ticks on */
	reopen(t, 1 << 20);
	if (resumes)
		cache_resumes(t->c);
	r = cache_open(t->c, &sha, &fd);
	assert_true(r == 0 || r == -ENOENT);
	if (fd >= 0)
		(void)close(fd);
	teardown(t);
	return r == -ENOENT;
}

static void the_killed_are_believed_unless_the_machine_ended(void **state)
{
	struct room t;

	assert_false(is_read_again(&t, 1, NULL, true));
	assert_true(is_read_again(&t, 2, NULL, false)); /* started by itself: nobody knows */
	assert_true(is_read_again(&t, 3, "another-boot", true));
	assert_true(is_read_again(&t, 4, "", true));
}

static void after_a_power_cut_blobs_are_hashed_before_they_are_believed(void **state)
{
	struct room t;
	struct sha256 cached, spooled, sound;
	struct blob_writer *w;
	char path[256], data[BLOB];
	struct stat before, after;
	int fd;

	setup(&t, 1 << 20);
	cached = put_true(&t, BLOB_CACHE, 1);
	spooled = put_true(&t, BLOB_SPOOL, 2);
	sound = put_true(&t, BLOB_CACHE, 3);

	/* after a clean end nobody reads them again: this one's damage is the disk's own */
	reopen(&t, 1 << 20);
	true_path(&t, BLOB_CACHE, &sound, path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(cache_open(t.c, &sound, &fd), 0);
	(void)close(fd);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);

	end_unclean(&t);
	true_path(&t, BLOB_CACHE, &cached, path);
	overwrite(path);
	true_path(&t, BLOB_SPOOL, &spooled, path);
	overwrite(path);
	(void)usleep(20000); /* the clock of files ticks on */
	reopen(&t, 1 << 20);
	assert_int_equal(cache_open(t.c, &cached, &fd), -ENOENT);
	assert_false(cache_has(t.c, &cached, NULL));
	assert_int_equal(cache_open(t.c, &spooled, &fd), -EBADMSG);
	assert_int_equal(cache_check(t.c, &spooled), -EBADMSG);
	assert_int_equal(cache_check(t.c, &cached), -ENOENT);
	assert_int_equal(cache_open(t.c, &sound, &fd), 0);
	(void)close(fd);

	/* what was found sound is not read again */
	true_path(&t, BLOB_CACHE, &sound, path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(cache_open(t.c, &sound, &fd), 0);
	(void)close(fd);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);

	/* the same bytes once more take the torn one's place */
	fill(data, sizeof(data), 2);
	assert_int_equal(blob_begin(t.c, BLOB_SPOOL, sizeof(data), &w), 0);
	assert_int_equal(blob_write(w, data, sizeof(data)), 0);
	assert_int_equal(blob_commit(w, &spooled, false, &fd), 0);
	(void)close(fd);
	assert_int_equal(cache_check(t.c, &spooled), 0);
	teardown(&t);
}

static void a_torn_blob_is_not_settled_into_the_cache(void **state)
{
	struct room t;
	struct sha256 sha;
	char path[256];

	setup(&t, 1 << 20);
	sha = put_true(&t, BLOB_SPOOL, 4);
	end_unclean(&t);
	true_path(&t, BLOB_SPOOL, &sha, path);
	overwrite(path);
	(void)usleep(20000);
	reopen(&t, 1 << 20);
	assert_int_equal(cache_settle(t.c, &sha), 0);
	assert_false(cache_has(t.c, &sha, NULL));
	teardown(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_killed_are_believed_unless_the_machine_ended),
		cmocka_unit_test(after_a_power_cut_blobs_are_hashed_before_they_are_believed),
		cmocka_unit_test(a_torn_blob_is_not_settled_into_the_cache),
		cmocka_unit_test(crash_leaves_no_stray_file),
		cmocka_unit_test(named_temporary_files),
		cmocka_unit_test(same_blob_by_many),
		cmocka_unit_test(everything_by_many),
		cmocka_unit_test(cache_deleted_while_in_use),
		cmocka_unit_test(shards_deleted_while_in_use),
		cmocka_unit_test(cache_replaced_by_a_file),
		cmocka_unit_test(full_cache_disk),
		cmocka_unit_test(disk_fills_while_writing),
		cmocka_unit_test(full_disk_for_both),
		cmocka_unit_test(read_only_cache),
	};

	return cmocka_run_group_tests_name("cache faults", tests, NULL, NULL);
}
