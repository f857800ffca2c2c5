/* test-catalog-writer.c - group commit and readers: threads, kill -9, failures inside a group, a
 * full disk, the feed, the WAL's size, big days, files of other versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db.h"
#include "test-catalog.h"

#define THREADS 8
#define EACH 150

struct fed {
	pthread_mutex_t lock;
	unsigned added, gone, label, attr, camera, upload;
};

static void on_change(void *user, const struct change *ch, size_t n)
{
	struct fed *fed = user;
	pthread_mutex_lock(&fed->lock);
	for (size_t i = 0; i < n; i++) {
		fed->added += ch[i].what == CHANGE_ADDED;
		fed->gone += ch[i].what == CHANGE_GONE;
		fed->label += ch[i].what == CHANGE_LABEL;
		fed->attr += ch[i].what == CHANGE_ATTR;
		fed->camera += ch[i].what == CHANGE_CAMERA;
		fed->upload += ch[i].what == CHANGE_UPLOAD;
	}
	pthread_mutex_unlock(&fed->lock);
}

struct worker {
	struct catalog *c;
	int n;
	pthread_t thread;
};

static int sorted(void *user, const struct snap *s)
{
	char *last = user;
	assert_true(strcmp(last, s->stem) < 0);
	memcpy(last, s->stem, sizeof(s->stem));
	return 0;
}

static void *work(void *user)
{
	struct worker *w = user;
	char camera[16];
	(void)snprintf(camera, sizeof(camera), "cam%d", w->n % 3);
	for (int i = 0; i < EACH; i++) {
		struct registration r = reg_of(camera, T0 + i * 1000, (uint64_t)(w->n * EACH + i));
		r.durable = i % 16 == 0;
		int64_t id, now = 0;
		bool new;
		assert_int_equal(catalog_register(w->c, &r, &id, &new), 0);
		struct snap s;
		assert_int_equal(catalog_snap(w->c, id, &s),
				 0); /* what returned is seen by the next read */
		assert_memory_equal(&s.sha, &r.sha, sizeof(s.sha));
		r.camera = "not a name";
		assert_int_equal(catalog_register(w->c, &r, &now, &new), -EINVAL);
		char last[STEM_MAX + 1] = "";
		if (i % 10 == 0)
			assert_int_equal(
				catalog_list(w->c, (struct view){0}, T0_DAY, 0, 200, sorted, last),
				0);
	}
	return NULL;
}

static int count_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void *read_once(void *user)
{
	assert_int_equal(catalog_snap(user, 1, &(struct snap){0}), 0);
	return NULL;
}

/* A reader goes with its thread (SQLite keeps some descriptors, for the next reader). */
static void test_readers_end(void **state)
{
	struct fixture *f = *state;
	int fds = 0;
	(void)snap_at(f->c, "front", T0, 1);
	for (int i = 0; i < 40; i++) {
		pthread_t thread[4];
		for (int k = 0; k < 4; k++)
			assert_int_equal(pthread_create(&thread[k], NULL, read_once, f->c), 0);
		for (int k = 0; k < 4; k++)
			assert_int_equal(pthread_join(thread[k], NULL), 0);
		if (i == 0)
			fds = count_fds();
	}
	assert_true(count_fds() <= fds + 4);
}

static void test_eight_threads(void **state)
{
	struct fixture *f = *state;
	struct fed fed = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct worker w[THREADS];
	struct camera_row cam = {.name = ""};
	int64_t total = 0;
	catalog_on_change(f->c, on_change, &fed);
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.c = f->c, .n = i};
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
	catalog_on_change(f->c, NULL, NULL);
	while (catalog_camera_next(f->c, cam.name, true, &cam) == 0)
		total += cam.snapshots;
	assert_int_equal(total, THREADS * EACH);
	assert_int_equal(fed.added, THREADS * EACH);
	assert_int_equal(fed.camera, 3);
	assert_int_equal(fed.gone, 0);
	(void)snap_at(f->c, "cam0", T0 + 1, 7777);
	assert_int_equal(fed.added, THREADS * EACH);
	assert_sound(f->c);
}

/* ---- kill -9 ---- */
static void child(const char *dir, int out)
{
	struct catalog *c;
	if (catalog_open(dir, &c) < 0)
		_exit(1);
	for (uint64_t n = 0;; n++) {
		struct registration r = reg_of("front", T0 + (int64_t)n, n);
		int64_t id;
		bool new;
		r.dedupe = true;
		if (catalog_register(c, &r, &id, &new) < 0 ||
		    write(out, &id, sizeof(id)) != sizeof(id))
			_exit(1);
	}
}

static void test_kill(void **state)
{
	struct fixture *f = *state;
	f->c = catalog_close(f->c); /* the child opens it alone */
	for (int round = 0; round < 5; round++) {
		int p[2];
		int64_t id, last = 0, n = 0;
		assert_int_equal(pipe(p), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			child(f->dir, p[1]);
		close(p[1]);
		while (n < 100 + round * 37 && read(p[0], &id, sizeof(id)) == sizeof(id))
			n++;
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (read(p[0], &id, sizeof(id)) == sizeof(id))
			last = id; /* told before it died */
		close(p[0]);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(catalog_open(f->dir, &f->c), 0);
		struct snap s;
		for (id = 1; id <= last; id++)
			assert_int_equal(catalog_snap(f->c, id, &s), 0);
		assert_sound(f->c);
		f->c = catalog_close(f->c);
	}
	assert_int_equal(catalog_open(f->dir, &f->c), 0);
}

/* ---- failures ---- */
static int emit_and_fail(struct db *db, void *arg)
{
	int64_t id;
	int r = camera_ensure(db, "ghost", NULL, NULL, false, &id);
	return r < 0 ? r : -EXDEV;
}

static void test_a_failed_write_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct fed fed = {.lock = PTHREAD_MUTEX_INITIALIZER};
	catalog_on_change(f->c, on_change, &fed);
	int64_t changed = catalog_changed_us(f->c);
	assert_int_equal(db_write(f->c, emit_and_fail, NULL, true), -EXDEV);
	assert_int_equal(fed.camera, 0);
	assert_int_equal(catalog_changed_us(f->c), changed);
	struct camera_row cam;
	assert_int_equal(catalog_camera_find(f->c, "ghost", &cam), -ENOENT);
	(void)snap_at(f->c, "front", T0, 1);
	assert_int_equal(fed.camera, 1);
	assert_int_equal(fed.added, 1);
	catalog_on_change(f->c, NULL, NULL);
}

static int limit_pages(struct db *db, void *arg)
{
	int64_t pages;
	int r = ONE(db, &pages, "PRAGMA page_count");
	if (r < 0 || arg)
		return r < 0 ? r : ONE(db, &pages, "PRAGMA max_page_count = 1000000");
	return ONE(db, &pages, "PRAGMA max_page_count = 1");
}

static void test_disk_full(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(300000);
	memset(text, ' ', 299999);
	text[299999] = 0;
	int64_t id = snap_at(f->c, "front", T0, 1);
	assert_int_equal(db_write(f->c, limit_pages, NULL, false), 0);
	struct sidecar s = {.extra = text};
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), -ENOSPC);
	struct snap snap;
	assert_int_equal(catalog_snap(f->c, id, &snap), 0); /* reading goes on */
	assert_int_equal(db_write(f->c, limit_pages, f, false), 0);
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0);
	(void)snap_at(f->c, "front", T0, 2);
	assert_sound(f->c);
	free(text);
}

/* A disk in a mount namespace of our own, of 4 MiB. */
static bool small_disk(const char *path)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       make_dirs(path, 0700) == 0 && mount("none", path, "tmpfs", 0, "size=4m") == 0;
}

static void take_the_rest(const char *disk)
{
	static const char zero[4096];
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/ballast", disk);
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zero, sizeof(zero)) == sizeof(zero))
		;
	assert_int_equal(errno, ENOSPC);
}

/* Others fill the disk while the WAL has what the database lacks: rows are written all the same, at the second try at the latest. */
static void test_rows_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct catalog *c;
	char disk[96], *text = malloc(20001);
	unsigned again = 0;
	bool new;
	(void)snprintf(disk, sizeof(disk), "%s/disk", f->dir);
	if (!small_disk(disk)) {
		free(text);
		skip();
	}
	memset(text, ' ', 20000);
	text[20000] = 0;
	assert_int_equal(catalog_open(disk, &c), 0);
	for (unsigned n = 0; n < 40; n++) {
		struct sidecar s = {.extra = text};
		assert_int_equal(catalog_merge_sidecar(c, snap_at(c, "front", T0 + n, n), &s), 0);
	}
	take_the_rest(disk);
	for (unsigned n = 100; n < 200; n++) {
		struct registration reg = reg_of("front", T0 + n, n);
		int64_t id;
		int r = catalog_register(c, &reg, &id, &new);
		if (r == -ENOSPC && again++ < 5)
			r = catalog_register(c, &reg, &id, &new);
		assert_int_equal(r, 0);
	}
	assert_sound(c);
	catalog_close(c);
	assert_int_equal(umount(disk), 0);
	free(text);
}

/* The commit itself fails: the WAL cannot grow.  All of the group fail, nothing is told, and the
 * next group works. */
static void test_commit_fails(void **state)
{
	struct fixture *f = *state;
	struct fed fed = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct registration r = reg_of("front", T0, 1);
	struct rlimit old, small = {.rlim_cur = 4096};
	int64_t id;
	bool new;
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)registered(f->c, &r);
	catalog_on_change(f->c, on_change, &fed);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int failed = catalog_register(f->c, &r, &id, &new), durable;
	r.durable = true;
	durable = catalog_register(f->c, &r, &id, &new);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(failed, -EIO);
	assert_int_equal(durable, -EIO);
	assert_int_equal(fed.added, 0);
	assert_int_equal(catalog_snap(f->c, 2, &(struct snap){0}), -ENOENT);
	assert_int_equal(registered(f->c, &r), 2);
	assert_int_equal(fed.added, 1);
	catalog_on_change(f->c, NULL, NULL);
	assert_sound(f->c);
}

static void test_feed_says_what_happened(void **state)
{
	struct fixture *f = *state;
	struct fed fed = {.lock = PTHREAD_MUTEX_INITIALIZER};
	static const char *const l[] = {"object=car", "object=person"};
	CLEANUP(sidecar_done) struct sidecar s;
	sidecar_of(&s, l, 2);
	s.starred = s.has_starred = true;
	catalog_on_change(f->c, on_change, &fed);
	int64_t id = snap_at(f->c, "front", T0, 1);
	assert_int_equal(fed.added, 1);
	assert_int_equal(fed.attr, 0);
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0);
	assert_int_equal(fed.label, 3);
	assert_int_equal(fed.attr, 1);
	assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0); /* the same again is no change */
	assert_int_equal(fed.label, 3);
	assert_int_equal(fed.attr, 1);
	catalog_on_change(f->c, NULL, NULL);
}

/* ---- sizes ---- */
static int insert_many(struct db *db, void *arg)
{
	uint64_t *from = arg;
	int64_t camera;
	int r = camera_ensure(db, "front", NULL, NULL, false, &camera);
	for (uint64_t i = 0; r == 0 && i < 5000; i++) {
		/* A day of 100,000, not in the order of their names. */
		int64_t at = T0 - T0 % 86400000000 +
			     (int64_t)((*from + i) * 7919 % 100000) * 700000;
		struct sha256 sha = sha_of(*from + i);
		struct snap s;
		r = snapshot_insert(db,
				    &(struct snapshot_new){.camera = camera,
							   .camera_name = "front",
							   .taken_us = at,
							   .zone_min = 60,
							   .size = 1,
							   .sha = &sha},
				    &s);
	}
	*from += 5000;
	return r;
}

struct page {
	char last[STEM_MAX + 1];
	int64_t id;
	unsigned n;
};

static int turn(void *user, const struct snap *s)
{
	struct page *p = user;
	assert_true(strcmp(p->last, s->stem) < 0);
	memcpy(p->last, s->stem, sizeof(s->stem));
	p->id = s->id;
	p->n++;
	return 0;
}

static void test_big_day_in_pages(void **state)
{
	struct fixture *f = *state;
	uint64_t n = 0;
	while (n < 100000)
		assert_int_equal(db_write(f->c, insert_many, &n, false), 0);
	int64_t slowest = 0;
	struct page p = {.n = 0};
	struct view views[] = {{.kind = VIEW_ALL},
			       {.kind = VIEW_CAMERA, .id = camera_id(f->c, "front")}};
	for (size_t v = 0; v < ARRAY_LEN(views); v++) {
		p = (struct page){.n = 0};
		for (unsigned before = 1; before != p.n;) {
			before = p.n;
			int64_t start = mono_us();
			assert_int_equal(catalog_list(f->c, views[v], T0_DAY, p.id, 1000, turn, &p),
					 0);
			slowest = mono_us() - start > slowest ? mono_us() - start : slowest;
		}
		assert_int_equal(p.n, 100000);
	}
	assert_true(slowest < 1000000); /* any page from one range scan, the last as the first */
	assert_sound(f->c);
}

static void test_wal_stays_small(void **state)
{
	struct fixture *f = *state;
	char path[128], *text = malloc(900001);
	struct stat st;
	int64_t id = snap_at(f->c, "front", T0, 1), biggest = 0;
	(void)snprintf(path, sizeof(path), "%s/catalog.db-wal", f->dir);
	for (int i = 0; i < 120; i++) { /* 108 MB */
		memset(text, 'a' + i % 26, 900000);
		text[900000] = 0;
		struct sidecar s = {.extra = text};
		assert_int_equal(catalog_merge_sidecar(f->c, id, &s), 0);
		assert_int_equal(stat(path, &st), 0);
		biggest = st.st_size > biggest ? st.st_size : biggest;
	}
	assert_true(biggest <= 64 << 20);
	free(text);
}

static void test_sync(void **state)
{
	struct fixture *f = *state;
	(void)snap_at(f->c, "front", T0, 1);
	assert_int_equal(catalog_sync(f->c), 0);
}

/* ---- other files ---- */
static int from_the_future(struct db *db, void *arg)
{
	int64_t none;
	int r = ONE(db, &none, "PRAGMA user_version = 999");
	return r == -ENOENT ? 0 : r;
}

static void test_other_files(void **state)
{
	struct fixture *f = *state;
	struct catalog *c = NULL;
	char path[128];
	assert_int_equal(db_write(f->c, from_the_future, NULL, false), 0);
	f->c = catalog_close(f->c);
	assert_int_equal(catalog_open(f->dir, &c), -EPROTONOSUPPORT);
	assert_null(c);
	(void)snprintf(path, sizeof(path), "%s/catalog.db", f->dir);
	char junk[8192];
	memset(junk, 'j', sizeof(junk));
	assert_int_equal(write_file_atomic(AT_FDCWD, path, junk, sizeof(junk), 0600), 0);
	assert_int_equal(catalog_open(f->dir, &c), -EUCLEAN);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(catalog_open(f->dir, &c) < 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(catalog_open("/proc/nowhere", &c) < 0, 1);
	assert_int_equal(catalog_open(f->dir, &f->c), 0);
}

static void test_text(void **state)
{
	char out[256], in[600];
	assert_true(text_ok("", 0) && text_ok("a\xc4\x8d\xe2\x82\xac\xf0\x9f\x93\xb7", 10));
	assert_false(text_ok("ab", 1));
	assert_false(text_ok(NULL, 10));
	static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xe0\x80\x80",
					  "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc4",
					  "\xf0\x9f"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_ok(bad[i], 10));
	memset(in, 'x', sizeof(in));
	memcpy(in + 254, "\xc4\x8d", 2); /* never cut inside a character */
	in[599] = 0;
	text_clip(in, out);
	assert_int_equal(strlen(out), 254);
	text_clip("a\r\nb\xff\x7f", out);
	assert_string_equal(out, "a  b? ");
	text_clip(NULL, out);
	assert_string_equal(out, "");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		CASE(test_eight_threads),
		CASE(test_readers_end),
		CASE(test_kill),
		CASE(test_a_failed_write_leaves_nothing),
		CASE(test_disk_full),
		CASE(test_rows_on_a_full_disk),
		CASE(test_commit_fails),
		CASE(test_feed_says_what_happened),
		CASE(test_big_day_in_pages),
		CASE(test_wal_stays_small),
		CASE(test_sync),
		CASE(test_other_files),
		cmocka_unit_test(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
