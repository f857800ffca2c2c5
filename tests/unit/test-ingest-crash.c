/* What no crash, no full disk and no crowd may lose: states that a kill leaves, ENOSPC at every step, many writers at once. */
#include "test-ingest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/* ---- a kill at each step of registering ---- */

static void raw_file(struct house *h, int64_t id, const void *data, size_t len)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/upload/%lld", h->state, (long long)id);
	ok(write_file_atomic(AT_FDCWD, path, data, len, 0600));
}

static int64_t raw_row(struct house *h, int64_t dir, const char *name)
{
	struct upload_row row = {.parent = dir, .mode = 0644};
	int64_t id;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	ok(catalog_upload_create(h->cat, &row, &id));
	return id;
}

static unsigned spooled(struct house *h)
{
	struct cache_totals t;

	cache_recount(h->cache);
	cache_totals(h->cache, &t);
	return (unsigned)t.spool_files;
}

static void restart(struct house *h)
{
	_Atomic bool cancel = false;

	house_close(h);
	house_open(h);
	ok(ingest_recover(h->in, &cancel));
}

/* Writers live on while their server does not: what they have open is given time. */
static void recovery_beside_writers_of_a_server_that_died(void **state)
{
	struct house *h = *state;
	_Atomic bool cancel = false;
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	int64_t dir = make_dir(h, 0, "front"), half;
	struct upload_file *f;

	half = raw_row(h, dir, "20201231_154555.jpg");
	raw_file(h, half, data, len / 2);
	house_close(h);
	house_open(h);
	ingest_resumes(h->in);
	ok(ingest_recover(h->in, &cancel));
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, half).state, UPLOAD_WAITING);
	ok(ingest_open(h->in, half, O_RDWR, &f));
	ingest_resume(f);
	(void)run_due(h, 60);
	assert_int_equal(row_of(h, half).state, UPLOAD_WAITING);
	ok(ingest_write(f, data + len / 2, len - len / 2, (off_t)(len / 2)));
	ingest_release(f);
	assert_string_equal(snap_of(h, half).stem, "20201231T15-45-55-000000_front");
	assert_int_equal(snapshots(h), 1);
	/* the last write went through, the close did not */
	half = raw_row(h, dir, "20201231_154556.jpg");
	len = picture(2, NULL, data);
	raw_file(h, half, data, len);
	ok(ingest_open(h->in, half, O_RDWR, &f));
	ingest_resume(f);
	ok(ingest_flush(f));
	ingest_release(f);
	assert_string_equal(snap_of(h, half).stem, "20201231T15-45-56-000000_front");
}

/* rsync's last step, cut off between the name and the look at it. */
static void recovery_after_a_rename(void **state)
{
	struct house *h = *state;
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	int64_t dir = make_dir(h, 0, "front"), replaced = 0;
	int64_t id = copy_in(h, dir, ".a.jpg.Xy12Zq", data, len);

	assert_int_equal(row_of(h, id).state, UPLOAD_OPEN);
	assert_true(row_of(h, id).due_us != 0);
	ok(catalog_upload_rename(h->cat, id, dir, "20201231_154555.jpg", 0, &replaced));
	restart(h);
	(void)run_due(h, 12);
	assert_string_equal(snap_of(h, id).stem, "20201231T15-45-55-000000_front");
}

static void recovery_finishes_what_a_kill_left(void **state)
{
	struct house *h = *state;
	char data[PICTURE_MAX], path[128];
	size_t len = picture(1, NULL, data);
	int64_t dir = make_dir(h, 0, "front"), whole, linked, part, none, temp, done;
	struct sha256 sha;
	int upload;

	/* the row without its file, the file without its row, closed but not looked at */
	none = raw_row(h, dir, "none.jpg");
	raw_file(h, 4711, data, len);
	raw_file(h, 4712, "x", 1);
	whole = raw_row(h, dir, "20201231_154555.jpg");
	raw_file(h, whole, data, len);
	part = raw_row(h, dir, "20201231_154556.jpg");
	raw_file(h, part, data, len / 2);
	temp = raw_row(h, dir, ".a.jpg.Xy12Zq");
	raw_file(h, temp, data, len);
	/* linked into the spool, not committed; and one whose row is nowhere */
	linked = raw_row(h, dir, "20201231_154557.jpg");
	len = picture(2, NULL, data);
	raw_file(h, linked, data, len);
	ok(sha256_of(data, len, &sha));
	(void)snprintf(path, sizeof(path), "%s/upload", h->state);
	upload = open(path, O_RDONLY | O_DIRECTORY);
	(void)snprintf(path, sizeof(path), "%lld", (long long)linked);
	ok(cache_adopt(h->cache, upload, path, &sha, false));
	(void)close(upload);
	len = picture(3, NULL, data);
	raw_file(h, 4713, data, len);
	ok(sha256_of(data, len, &sha));
	upload = open(h->state, O_RDONLY | O_DIRECTORY);
	ok(cache_adopt(h->cache, upload, "upload/4713", &sha, false));
	(void)close(upload);
	/* committed, not unlinked */
	done = copy_picture(h, dir, "20201231_154558.jpg", 4);
	ok(ingest_fsync_all(h->in));
	raw_file(h, done, "stray", 5);

	restart(h);
	(void)run_due(h, 12);
	assert_string_equal(snap_of(h, whole).stem, "20201231T15-45-55-000000_front");
	assert_string_equal(snap_of(h, linked).stem, "20201231T15-45-57-000000_front");
	assert_string_equal(snap_of(h, done).stem, "20201231T15-45-58-000000_front");
	assert_int_equal(row_of(h, part).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, part).size, picture(1, NULL, data) / 2);
	assert_int_equal(row_of(h, none).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, temp).state, UPLOAD_OPEN);
	ok(ingest_fsync_all(h->in));
	assert_true(has_file(h, temp));
	assert_false(has_file(h, done));
	assert_false(has_file(h, whole));
	assert_false(has_file(h, 4711) || has_file(h, 4712) || has_file(h, 4713));
	assert_int_equal(spooled(h), 3);
	assert_int_equal(snapshots(h), 3);
	ok(ingest_rename(h->in, dir, ".a.jpg.Xy12Zq", dir, "20201231_154559.jpg", 0));
	assert_int_equal(snap_of(h, temp).id, snap_of(h, whole).id);
	restart(h);
	assert_int_equal(snapshots(h), 3);
}

/* What a power cut leaves: no word of a clean end, the name and the length of a blob, and none of its bytes. */
static void tear_spooled(struct house *h, const struct sha256 *sha)
{
	char hex[SHA256_HEX], path[256];
	struct stat st;
	int fd;

	hex_encode(sha->b, sizeof(sha->b), hex);
	(void)snprintf(path, sizeof(path), "%s/spool/%.2s/%s", h->state, hex, hex);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	ok(fstat(fd, &st));
	ok(ftruncate(fd, 0));
	ok(ftruncate(fd, st.st_size));
	(void)close(fd);
	(void)usleep(
		20000); /* the start after a power cut is not in the same tick of the files' clock */
}

static void bytes_that_a_power_cut_took_become_a_rejected_upload(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"),
		torn = copy_picture(h, dir, "20201231_154555.jpg", 1),
		whole = copy_picture(h, dir, "20201231_154556.jpg", 2), again;
	struct snap lost = snap_of(h, torn), kept = snap_of(h, whole);
	char error[256], path[128];
	_Atomic bool cancel = false;
	int fd;

	ok(ingest_fsync_all(h->in));
	house_close(h);
	(void)snprintf(path, sizeof(path), "%s/trust", h->state);
	ok(unlink(path));
	tear_spooled(h, &lost.sha);
	(void)usleep(
		20000); /* a start is later than the crash by more than a tick of the file system's clock */
	house_open(h);
	/* never read, also before anybody looked */
	assert_int_equal(cache_open(h->cache, &lost.sha, &fd), -EBADMSG);
	ok(ingest_recover(h->in, &cancel));
	assert_int_equal(row_of(h, torn).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, torn).size, lost.size);
	ok(catalog_upload_error(h->cat, torn, error));
	assert_non_null(strstr(error, "power cut"));
	assert_true(has_file(h, torn));
	assert_int_equal(snapshots(h), 1);
	assert_int_equal(spooled(h), 1);
	assert_int_equal(snap_of(h, whole).id, kept.id);
	ok(cache_open(h->cache, &kept.sha, &fd));
	(void)close(fd);

	/* the same picture once more is that snapshot again */
	again = copy_picture(h, dir, "20201231_154557.jpg", 1);
	assert_int_equal(snap_of(h, again).id, lost.id);
	restart(h);
	assert_int_equal(snapshots(h), 2);
}

static void waiting_ones_are_looked_at_after_a_restart(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), pic = copy_picture(h, dir, "a.jpg", 1);
	int64_t side = copy_text(h, dir, "b.json", "{\"labels\":[\"cat\"]}");

	restart(h);
	(void)run_due(h, 3);
	assert_int_equal(snap_of(h, pic).time_source, TIME_ARRIVAL);
	assert_int_equal(row_of(h, side).state, UPLOAD_HELD);
	(void)snap_of(h, copy_picture(h, dir, "b.jpg", 2) ? pic : 0);
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, side).state, UPLOAD_KEPT);
}

/* Bytes may leave the spool when every store has them, and no earlier. */
static void the_spool_keeps_what_no_store_has(void **state)
{
	struct house *h = *state;
	int64_t front = make_dir(h, 0, "front"), back = make_dir(h, 0, "back");
	struct snap s = snap_of(h, copy_picture(h, front, "20201231_154555.jpg", 1));
	enum blob_area area = BLOB_CACHE;
	_Atomic bool cancel = false;

	ok(ingest_settle(h->in, &s.sha, true));
	assert_true(cache_has(h->cache, &s.sha, &area));
	assert_int_equal(area, BLOB_SPOOL);
	/* no store at all in the config: the only copy stays where nothing is evicted */
	h->n_targets = 0;
	restart(h);
	struct snap t = snap_of(h, copy_picture(h, back, "20201231_154555.jpg", 2));

	assert_int_equal(t.queued, 0);
	h->n_targets = 1;
	restart(h);
	ok(ingest_recover(h->in, &cancel));
	assert_true(cache_has(h->cache, &t.sha, &area));
	assert_int_equal(area, BLOB_SPOOL);
}

/* ---- a full disk ---- */

static int fill_disk(const char *dir, char path[128])
{
	static const char zero[4096];
	int fd;

	(void)snprintf(path, 128, "%s/filler", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, zero, sizeof(zero)) == sizeof(zero))
		;
	assert_int_equal(errno, ENOSPC);
	return close(fd);
}

static void a_full_disk_loses_nothing(void **state)
{
	struct house h;
	char filler[128], data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	struct upload_file *f;
	struct upload_row row;
	int64_t dir, a, b;
	int r;

	house_new(&h);
	if (mount("tmpfs", h.state, "tmpfs", 0, "size=2m") < 0) {
		ok(remove_tree(AT_FDCWD, h.dir));
		skip();
	}
	house_open(&h);
	dir = make_dir(&h, 0, "front");
	a = copy_picture(&h, dir, "a.jpg", 1); /* waits for a time */
	f = begin(&h, dir, "20201231_154555.jpg", &b);
	ok(ingest_write(f, data, len, 0));
	ok(fill_disk(h.state, filler));
	ok(ingest_flush(f)); /* close never fails for that: the bytes are there */
	r = ingest_write(f, filler, sizeof(filler), 1 << 20);
	if (r == -ENODATA) /* the catalog's log had room for it: it is a snapshot by now */
		assert_int_equal(row_of(&h, b).state, UPLOAD_REGISTERED);
	else
		assert_int_equal(r, -ENOSPC);
	for (int i = 0; i < 200 && r != 0; i++) /* the catalog's log has a little room of its own */
		(void)!ingest_mkdir(h.in, dir, "more", 0755, 0, 0, &row);
	int64_t next = run_due(&h, 20);

	assert_true(next > now_us()); /* not in a circle */
	assert_true(has_file(&h, a) || row_of(&h, a).state == UPLOAD_REGISTERED);
	ok(unlink(filler));
	ingest_release(f);
	for (int i = 0; i < 3; i++)
		(void)run_due(&h, 60 * (i + 1));
	assert_string_equal(snap_of(&h, b).stem, "20201231T15-45-55-000000_front");
	assert_int_equal(row_of(&h, a).state, UPLOAD_REGISTERED);
	assert_int_equal(spooled(&h), row_of(&h, a).snapshot == row_of(&h, b).snapshot ? 1 : 2);
	house_close(&h);
	ok(umount(h.state));
	ok(remove_tree(AT_FDCWD, h.dir));
}

/* What was accepted while no row could be written is not written over before it is a snapshot. */
static void what_waits_for_room_is_kept(void **state)
{
	static const char name[] = "20201231_154555.jpg";
	struct rlimit old, none = {.rlim_cur = 4096};
	struct house h;
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	struct upload_file *f;
	struct stat st;
	struct snap snap;
	int64_t dir, id, other;

	house_new(&h);
	house_open(&h);
	dir = make_dir(&h, 0, "front");
	other = copy_picture(&h, dir, "other.jpg", 2); /* waits for a time */
	f = begin(&h, dir, name, &id);
	ok(ingest_write(f, data, len, 0));
	(void)signal(SIGXFSZ, SIG_IGN);
	ok(getrlimit(RLIMIT_FSIZE, &old));
	none.rlim_max = old.rlim_max;
	ok(setrlimit(RLIMIT_FSIZE, &none)); /* no row can be written */
	ok(ingest_flush(f));
	ingest_release(f);
	assert_int_not_equal(row_of(&h, id).state, UPLOAD_REGISTERED);
	assert_int_equal(ingest_open(h.in, id, O_WRONLY | O_TRUNC, &f), -EIO);
	assert_int_equal(ingest_open(h.in, id, O_RDWR, &f), -EIO);
	assert_int_equal(ingest_truncate(h.in, id, NULL, 0), -EIO);
	assert_int_equal(ingest_rename(h.in, dir, "other.jpg", dir, name, 0), -EIO);
	ok(ingest_open(h.in, id, O_RDONLY, &f));
	ok(fstat(ingest_fd(f), &st));
	assert_int_equal(st.st_size, len);
	ingest_release(f);
	ok(setrlimit(RLIMIT_FSIZE, &old));
	ok(ingest_rename(h.in, dir, "other.jpg", dir, name, 0));
	assert_string_equal(row_of(&h, other).name, name);
	ok(catalog_snap(h.cat, 1, &snap));
	assert_string_equal(snap.stem, "20201231T15-45-55-000000_front");
	assert_int_equal(snap.size, len);
	house_close(&h);
	ok(remove_tree(AT_FDCWD, h.dir));
}

/* ---- many at once ---- */

enum { WRITERS = 8, FILES = 200 };
struct writer {
	struct house *h;
	unsigned n;
	pthread_t thread;
	int64_t id[FILES];
};

static void *write_many(void *arg)
{
	struct writer *w = arg;
	char name[64];
	int64_t dir;

	(void)snprintf(name, sizeof(name), "camera-%u", w->n);
	dir = make_dir(w->h, 0, name);
	for (unsigned i = 0; i < FILES; i++) {
		/* every tenth by rsync's way, every picture once more on the camera next door */
		unsigned n = i * WRITERS + (i % 2 ? w->n : w->n / 2 * 2);

		(void)snprintf(name, sizeof(name),
			       i % 10 ? "20201231_15%02u%02u.jpg" : ".%u.%u.Xa12bc", i / 60,
			       i % 60);
		w->id[i] = copy_picture(w->h, dir, name, n);
		if (i % 10)
			continue;
		char final[64];

		(void)snprintf(final, sizeof(final), "f%u.jpg", i);
		set_mtime(w->h, w->id[i], INT64_C(1600000000000000000) + i);
		ok(ingest_rename(w->h->in, dir, name, dir, final, 0));
	}
	return NULL;
}

struct settler {
	struct house *h;
	_Atomic bool stop;
	pthread_t thread;
};

static int sent(void *user, const struct outbox_item *item)
{
	struct house *h = user;
	bool settled = false;

	ok(catalog_outbox_done(h->cat, item, "etag", 1, 1, &settled));
	if (settled && item->what == OUTBOX_PICTURE)
		ok(ingest_settle(h->in, &item->snap.sha, false));
	return 0;
}

/* What sync does meanwhile, with a local store. */
static void *settle_many(void *arg)
{
	struct settler *s = arg;

	while (!s->stop)
		ok(catalog_outbox_claim(s->h->cat, s->h->target.store, now_us(), 50, sent, s->h));
	return NULL;
}

static int has_bytes(void *user, const struct outbox_item *item)
{
	struct house *h = user;

	assert_true(item->what == OUTBOX_SIDECAR || cache_has(h->cache, &item->snap.sha, NULL));
	return 0;
}

static void eight_writers(void **state)
{
	struct house *h = *state;
	struct writer *w = calloc(WRITERS, sizeof(*w));
	struct settler s = {.h = h};

	ok(pthread_create(&s.thread, NULL, settle_many, &s));
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].h = h;
		w[i].n = i;
		ok(pthread_create(&w[i].thread, NULL, write_many, &w[i]));
	}
	for (unsigned i = 0; i < WRITERS; i++)
		ok(pthread_join(w[i].thread, NULL));
	s.stop = true;
	ok(pthread_join(s.thread, NULL));
	assert_int_equal(snapshots(h), WRITERS * FILES);
	for (unsigned i = 0; i < WRITERS; i++)
		for (unsigned k = 0; k < FILES; k++)
			assert_int_equal(row_of(h, w[i].id[k]).state, UPLOAD_REGISTERED);
	/* what is queued can still be sent */
	ok(catalog_outbox_list(h->cat, 0, UINT32_MAX, has_bytes, h));
	free(w);
}

/* Recovery runs while people upload already: what it has read of a row may be old when it comes to it. */
static void *recover_on_and_on(void *arg)
{
	struct settler *s = arg;
	_Atomic bool cancel = false;
	int64_t next;

	while (!s->stop) {
		s->h->in->missed = true;
		ok(ingest_run_due(s->h->in, now_us(), &next));
		ok(ingest_recover(s->h->in, &cancel));
	}
	return NULL;
}

static void recovery_beside_writers(void **state)
{
	struct house *h = *state;
	struct settler s = {.h = h};
	int64_t dir = make_dir(h, 0, "front"), id[FILES];
	char name[64];

	ok(pthread_create(&s.thread, NULL, recover_on_and_on, &s));
	for (unsigned i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "20201231_15%02u%02u.jpg", i / 60, i % 60);
		id[i] = copy_picture(h, dir, name, i);
	}
	s.stop = true;
	ok(pthread_join(s.thread, NULL));
	(void)run_due(h, 20);
	for (unsigned i = 0; i < FILES; i++)
		assert_true(snap_of(h, id[i]).size > 0);
	assert_int_equal(snapshots(h), FILES);
	assert_int_equal(spooled(h), FILES);
}

/* One file: written, read, stat'ed, renamed and unlinked by all at once. */
static void *fight(void *arg)
{
	struct writer *w = arg;
	struct house *h = w->h;
	char data[PICTURE_MAX], got[PICTURE_MAX];
	struct upload_row row;

	for (unsigned i = 0; i < 60; i++) {
		struct upload_file *f;
		size_t len = picture(i, i % 3 ? "2020:12:31 15:45:55" : NULL, data);
		int r = ingest_create(h->in, w->id[0], "x.jpg", O_RDWR | O_TRUNC, 0644, 0, 0, &row,
				      &f);

		if (r == 0) {
			(void)!ingest_write(f, data, len, 0);
			if (ingest_fd(f) >= 0)
				(void)!pread(ingest_fd(f), got, 10, 0);
			(void)ingest_snapshot(f);
			(void)!ingest_entry(h->in, row.id, &row);
			end(f);
		}
		(void)!ingest_lookup(h->in, w->id[0], "x.jpg", &row);
		(void)!ingest_set(h->in, row.id, &row, UPLOAD_SET_MTIME | UPLOAD_SET_MODE);
		if (w->n == 1)
			(void)!ingest_rename(h->in, w->id[0], "x.jpg", w->id[0], "y.jpg", 0);
		if (w->n == 2)
			(void)!ingest_unlink(h->in, w->id[0], "x.jpg", false);
		if (w->n == 3)
			(void)run_due(h, 3);
	}
	return NULL;
}

static void a_fight_over_one_file(void **state)
{
	struct house *h = *state;
	struct writer *w = calloc(4, sizeof(*w));
	int64_t dir = make_dir(h, 0, "front");

	for (unsigned i = 0; i < 4; i++) {
		w[i].h = h;
		w[i].n = i;
		w[i].id[0] = dir;
		ok(pthread_create(&w[i].thread, NULL, fight, &w[i]));
	}
	for (unsigned i = 0; i < 4; i++)
		ok(pthread_join(w[i].thread, NULL));
	free(w);
	for (size_t i = 0; i < TABLE; i++)
		assert_null(h->in->table[i]);
	assert_true(snapshots(h) >= 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(recovery_finishes_what_a_kill_left),
		T(recovery_after_a_rename),
		T(recovery_beside_writers_of_a_server_that_died),
		T(bytes_that_a_power_cut_took_become_a_rejected_upload),
		T(waiting_ones_are_looked_at_after_a_restart),
		T(the_spool_keeps_what_no_store_has),
		cmocka_unit_test(a_full_disk_loses_nothing),
		cmocka_unit_test(what_waits_for_room_is_kept),
		T(eight_writers),
		T(recovery_beside_writers),
		T(a_fight_over_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
