/* What writers leave in upload/: registered, waited for, kept or refused; with sizes and times as they left them. */
#include "test-ingest.h"

#define MTIME_NS INT64_C(1609425955123456789) /* 2020-12-31T15:45:55.123456789+01:00 */

static void close_registers_what_says_its_time(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	char data[PICTURE_MAX];
	size_t len = picture(1, "2020:12:31 15:45:55", data);
	int64_t exif = copy_in(h, dir, "IMG_0001.jpg", data, len);
	int64_t name = copy_picture(h, make_dir(h, dir, "x"), "20201231_154556.JPG", 2);
	struct snap s = snap_of(h, exif);

	assert_string_equal(s.stem, "20201231T15-45-55-000000_front");
	assert_int_equal(s.time_source, TIME_EXIF);
	assert_int_equal(s.size, len);
	assert_int_equal(s.width, 8);
	assert_int_equal(s.queued, 1);
	assert_int_equal(row_of(h, exif).size, len);
	/* a power cut may take back the row: the bytes wait for it to be on disk */
	assert_true(has_file(h, exif));
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, exif));
	assert_bytes(h, &s.sha, data, len);
	assert_string_equal(snap_of(h, name).stem, "20201231T15-45-56-000000_front");
	assert_true(ingest_take_activity(h->in));
	assert_false(ingest_take_activity(h->in));
}

static void a_file_in_upload_itself_belongs_to_camera_upload(void **state)
{
	struct house *h = *state;

	assert_string_equal(snap_of(h, copy_picture(h, 0, "20201231_154555.jpg", 1)).stem,
			    "20201231T15-45-55-000000_upload");
}

static void a_name_that_is_no_text_is_a_camera_all_the_same(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "Einfahrt_S\xfc\x64");
	struct camera_row camera;

	assert_string_equal(snap_of(h, copy_picture(h, dir, "20201231_154555.jpg", 1)).stem,
			    "20201231T15-45-55-000000_Einfahrt_S-d");
	ok(catalog_camera_find(h->cat, "Einfahrt_S-d", &camera));
}

/* rsync --inplace and scp set the times after the last close. */
static void late_utimens_registers_at_once(void **state)
{
	struct house *h = *state;
	int64_t id = copy_picture(h, make_dir(h, 0, "front"), "a.jpg", 1);
	struct upload_row row = row_of(h, id);
	struct snap s;

	assert_int_equal(row.state, UPLOAD_WAITING);
	assert_true(row.due_us > 0);
	set_mtime(h, id, MTIME_NS);
	s = snap_of(h, id);
	assert_int_equal(s.time_source, TIME_MTIME);
	assert_int_equal(s.taken_us, MTIME_NS / 1000);
	row = row_of(h, id);
	assert_int_equal(row.mtime_ns, MTIME_NS);
	assert_int_equal(row.size, s.size);
	/* touched again: the entry's time moves, the snapshot does not */
	set_mtime(h, id, MTIME_NS + 1);
	assert_int_equal(row_of(h, id).mtime_ns, MTIME_NS + 1);
	assert_int_equal(snap_of(h, id).id, s.id);
}

/* The release of a handle may come after the utimens that follows its close. */
static void utimens_between_flush_and_release(void **state)
{
	struct house *h = *state;
	char data[PICTURE_MAX];
	int64_t id;
	struct upload_file *f = begin(h, make_dir(h, 0, "front"), "a.jpg", &id);

	ok(ingest_write(f, data, picture(1, NULL, data), 0));
	ok(ingest_flush(f));
	set_mtime(h, id, MTIME_NS);
	assert_int_equal(row_of(h, id).state, UPLOAD_WAITING);
	ingest_release(f);
	assert_int_equal(snap_of(h, id).taken_us, MTIME_NS / 1000);
	assert_int_equal(row_of(h, id).mtime_ns, MTIME_NS);
}

static void without_a_time_it_is_the_arrival(void **state)
{
	struct house *h = *state;
	int64_t before = now_us(), id = copy_picture(h, make_dir(h, 0, "front"), "a.jpg", 1);
	int64_t mtime = row_of(h, id).mtime_ns;
	struct snap s;

	assert_true(run_due(h, 0) < INT64_MAX);
	assert_int_equal(row_of(h, id).state, UPLOAD_WAITING);
	assert_int_equal(run_due(h, 3), INT64_MAX);
	s = snap_of(h, id);
	assert_int_equal(s.time_source, TIME_ARRIVAL);
	assert_true(s.taken_us >= before && s.taken_us <= now_us());
	assert_int_equal(row_of(h, id).mtime_ns, mtime);
}

/* A clock that was never set: 1969 by its mtime. */
static void impossible_times_are_passed_over(void **state)
{
	struct house *h = *state;
	int64_t id = copy_picture(h, make_dir(h, 0, "front"), "a.jpg", 1);

	set_mtime(h, id, -5000000001);
	assert_int_equal(row_of(h, id).state, UPLOAD_WAITING);
	(void)run_due(h, 3);
	assert_int_equal(snap_of(h, id).time_source, TIME_ARRIVAL);
	assert_int_equal(row_of(h, id).mtime_ns, -5000000001);
}

static void rsync(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), id = copy_picture(h, dir, ".a.jpg.Xy12Zq", 1);
	struct upload_row row = row_of(h, id);

	assert_int_equal(row.state, UPLOAD_OPEN);
	assert_true(row.due_us > now_us() + TEMPORARY_KEEP_US / 2);
	set_mtime(h, id, MTIME_NS);
	(void)run_due(h, 60);
	assert_int_equal(row_of(h, id).state, UPLOAD_OPEN);
	ok(ingest_rename(h->in, dir, ".a.jpg.Xy12Zq", dir, "a.jpg", 0));
	assert_int_equal(snap_of(h, id).taken_us, MTIME_NS / 1000);
	ok(ingest_lookup(h->in, dir, "a.jpg", &row));
	assert_int_equal(row.mtime_ns, MTIME_NS);
	assert_int_equal(row.id, id);
	/* the next run writes the same again and renames it over the first */
	int64_t again = copy_picture(h, dir, ".a.jpg.Qq99aa", 1);

	set_mtime(h, again, MTIME_NS);
	ok(ingest_rename(h->in, dir, ".a.jpg.Qq99aa", dir, "a.jpg", 0));
	assert_int_equal(snapshots(h), 1);
	assert_int_equal(ingest_entry(h->in, id, &row), -ENOENT);
	assert_int_equal(row_of(h, again).mtime_ns, MTIME_NS);
}

/* Renaming to a name of the other sort, as a file or with its directory, neither loses nor forgets anything. */
static void directories_with_temporary_names(void **state)
{
	struct house *h = *state;
	int64_t staging = make_dir(h, 0, ".staging"), front = make_dir(h, staging, "front");
	int64_t a = copy_picture(h, front, "20201231_154555.jpg", 1), b, next;
	struct camera_row camera;

	assert_int_equal(row_of(h, a).state, UPLOAD_OPEN);
	assert_int_equal(catalog_camera_find(h->cat, "front", &camera), -ENOENT);
	ok(ingest_rename(h->in, staging, "front", 0, "front", 0));
	ok(catalog_camera_find(h->cat, "front", &camera));
	(void)run_due(h, 3);
	assert_string_equal(snap_of(h, a).stem, "20201231T15-45-55-000000_front");
	/* one that waits, under a directory that becomes temporary: kept for its week */
	b = copy_picture(h, front, "b.jpg", 2);
	assert_int_equal(row_of(h, b).state, UPLOAD_WAITING);
	ok(ingest_rename(h->in, 0, "front", 0, "front.tmp", 0));
	next = run_due(h, 3);
	assert_true(next > now_us() + TEMPORARY_KEEP_US / 2);
	assert_int_equal(row_of(h, b).state, UPLOAD_OPEN);
	assert_true(has_file(h, b));
	ok(ingest_rename(h->in, 0, "front.tmp", 0, "front", 0));
	(void)run_due(h, 3);
	(void)snap_of(h, b);
}

static void the_same_bytes_twice_are_one_snapshot(void **state)
{
	struct house *h = *state;
	int64_t front = make_dir(h, 0, "front"), back = make_dir(h, 0, "back");
	int64_t a = copy_picture(h, front, "20201231_154555.jpg", 1);
	int64_t b = copy_picture(h, front, "20201231_154600.jpg", 1);
	int64_t c = copy_picture(h, back, "20201231_154555.jpg", 1);

	assert_int_equal(snap_of(h, a).id, snap_of(h, b).id);
	assert_int_not_equal(snap_of(h, a).id, snap_of(h, c).id);
	assert_int_equal(snapshots(h), 2);
	assert_int_equal(row_of(h, b).state, UPLOAD_REGISTERED);
	/* nor does one go that is written again meanwhile */
	ok(ingest_truncate(h->in, b, NULL, 0));
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, a));
	assert_true(has_file(h, b));
}

static void rewriting_makes_another_snapshot(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), id = copy_picture(h, dir, "20201231_154555.jpg", 1);
	struct snap old = snap_of(h, id), now;
	struct upload_file *f, *reader;
	char data[PICTURE_MAX], was[PICTURE_MAX];
	size_t len = picture(2, NULL, data), was_len = picture(1, NULL, was);

	assert_int_equal(ingest_open(h->in, id, O_RDONLY, &reader), -ENODATA);
	ok(ingest_open(h->in, id, O_WRONLY | O_TRUNC, &f));
	assert_int_equal(row_of(h, id).size, 0);
	assert_int_equal(row_of(h, id).state, UPLOAD_OPEN);
	ok(ingest_write(f, data, len, 0));
	end(f);
	now = snap_of(h, id);
	assert_int_not_equal(now.id, old.id);
	assert_string_equal(now.stem, "20201231T15-45-55-000000-1_front");
	ok(catalog_snap(h->cat, old.id, &old));
	assert_bytes(h, &old.sha, was, was_len);
	assert_bytes(h, &now.sha, data, len);
	/* create over it does the same */
	struct upload_row row;

	ok(ingest_create(h->in, dir, "20201231_154555.jpg", O_WRONLY | O_TRUNC, 0644, 0, 0, &row,
			 &f));
	assert_int_equal(row.size, 0);
	assert_int_equal(row.id, id);
	ok(ingest_write(f, was, was_len, 0));
	end(f);
	assert_int_equal(snap_of(h, id).id, old.id);
}

static void writing_into_a_registered_one_needs_its_bytes(void **state)
{
	struct house *h = *state;
	int64_t id = copy_picture(h, make_dir(h, 0, "front"), "20201231_154555.jpg", 1);
	struct snap old = snap_of(h, id);
	CLEANUP(closep) int fd = -1;
	struct upload_file *f, *g;
	char was[PICTURE_MAX], want[PICTURE_MAX];
	size_t len = picture(1, NULL, was);

	ok(cache_open(h->cache, &old.sha, &fd));
	ok(ingest_open(h->in, id, O_WRONLY, &f));
	ok(ingest_open(h->in, id, O_RDWR, &g));
	assert_int_equal(ingest_fd(f), -1);
	assert_int_equal(ingest_snapshot(f), old.id);
	assert_int_equal(ingest_write(f, "7", 1, 16), -ENODATA);
	assert_int_equal(ingest_truncate(h->in, id, f, 10), -ENODATA);
	ok(ingest_fill(f, fd));
	ok(ingest_fill(g, fd)); /* two asked for them: the second changes nothing */
	ok(ingest_write(f, "7", 1, 16));
	assert_int_equal(row_of(h, id).size, len);
	end(f);
	assert_int_not_equal(snap_of(h, id).id, old.id);
	assert_bytes(h, &old.sha, was, len);
	memcpy(want, was, len);
	want[16] = '7';
	struct snap now = snap_of(h, id);

	assert_bytes(h, &now.sha, want, len);
	/* registered under g's hands: the same again, and g reads the new bytes meanwhile */
	char got[PICTURE_MAX];

	ok(pread_all(ingest_fd(g), got, len, 0));
	assert_memory_equal(got, want, len);
	assert_int_equal(ingest_write(g, "8", 1, 16), -ENODATA);
	closep(&fd);
	ok(cache_open(h->cache, &now.sha, &fd));
	ok(ingest_fill(g, fd));
	ok(ingest_write(g, "8", 1, 16));
	end(g);
	assert_bytes(h, &now.sha, want, len);
	assert_int_equal(snapshots(h), 3);
}

static void what_is_no_picture_stays_and_says_why(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	char data[PICTURE_MAX];
	size_t len = picture(1, NULL, data);
	int64_t cut = copy_in(h, dir, "20201231_154555.jpg", data, len - 9);
	int64_t html = copy_text(h, dir, "page.jpg", "<!DOCTYPE html><html>no</html>");
	int64_t film = copy_text(h, dir, "film.mp4", "....ftyp"),
		none = copy_text(h, dir, "none.jpg", "");
	int64_t readme = copy_text(h, dir, "README", "hello"),
		txt = copy_text(h, dir, "a.txt", "0 1 1");
	struct upload_file *f;

	assert_int_equal(row_of(h, readme).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, txt).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, cut).state, UPLOAD_WAITING);
	assert_int_equal(row_of(h, html).state, UPLOAD_WAITING);
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, none).state, UPLOAD_WAITING); /* made first, filled later */
	assert_int_equal(run_due(h, 12), INT64_MAX);
	assert_int_equal(row_of(h, cut).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, none).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, film).state, UPLOAD_REJECTED);
	assert_int_equal(row_of(h, cut).size, len - 9);
	assert_error(h, cut, "truncated");
	assert_error(h, html, "HTML");
	assert_error(h, none, "empty");
	assert_error(h, film, "not a JPEG picture");
	assert_int_equal(snapshots(h), 0);
	/* its writer comes back and completes it */
	ok(ingest_open(h->in, cut, O_WRONLY, &f));
	ok(ingest_write(f, data + len - 9, 9, (off_t)len - 9));
	end(f);
	assert_string_equal(snap_of(h, cut).stem, "20201231T15-45-55-000000_front");
	assert_error(h, cut, "");
}

static size_t labels_of(struct house *h, int64_t entry)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct snap snap = snap_of(h, entry);

	ok(catalog_sidecar(h->cat, snap.id, &s));
	return s.labels.n;
}

static void sidecars_come_before_and_after(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	int64_t side = copy_text(h, dir, "a.JSON",
				 "{\"labels\":[\"cat\"],\"taken\":\"2019-01-02T03:04:05+01:00\"}"),
		pic;

	assert_int_equal(row_of(h, side).state, UPLOAD_HELD);
	pic = copy_picture(h, dir, "a.jpg", 1);
	assert_string_equal(snap_of(h, pic).stem, "20190102T03-04-05-000000_front");
	assert_int_equal(labels_of(h, pic), 1);
	assert_int_equal(row_of(h, side).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, side).snapshot, snap_of(h, pic).id);
	/* after it, by its long name */
	side = copy_text(h, dir, "a.jpg.json", "{\"labels\":[\"cat\",\"dog\"]}");
	assert_int_equal(row_of(h, side).state, UPLOAD_KEPT);
	assert_int_equal(labels_of(h, pic), 2);
	/* the picture changes: its new snapshot has them, too */
	struct upload_file *f;
	char data[PICTURE_MAX];
	size_t len = picture(2, NULL, data);

	ok(ingest_open(h->in, pic, O_WRONLY | O_TRUNC, &f));
	ok(ingest_write(f, data, len, 0));
	end(f);
	(void)run_due(h, 3);
	assert_int_equal(labels_of(h, pic), 2);
	assert_int_equal(snapshots(h), 2);
}

static void broken_sidecars_hold_nothing_up(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	int64_t side = copy_text(h, dir, "20201231_154555.json", "{\"labels\":[\"cat\"");
	int64_t pic = copy_picture(h, dir, "20201231_154555.jpg", 1);
	struct upload_file *f;

	assert_int_equal(labels_of(h, pic), 0);
	assert_int_equal(row_of(h, side).state, UPLOAD_WAITING); /* its writer may go on */
	(void)run_due(h, 3);
	assert_int_equal(row_of(h, side).state, UPLOAD_REJECTED);
	assert_error(h, side, " ");
	ok(ingest_open(h->in, side, O_WRONLY, &f));
	ok(ingest_write(f, "]}", 2, 16));
	end(f);
	assert_int_equal(row_of(h, side).state, UPLOAD_KEPT);
	assert_int_equal(labels_of(h, pic), 1);
}

static void a_sidecar_waits_a_day(void **state)
{
	struct house *h = *state;
	int64_t side = copy_text(h, make_dir(h, 0, "front"), "lonely.json", "{\"labels\":[]}");

	(void)run_due(h, 3600);
	assert_int_equal(row_of(h, side).state, UPLOAD_HELD);
	(void)run_due(h, 86401);
	assert_int_equal(row_of(h, side).state, UPLOAD_REJECTED);
	assert_error(h, side, "within a day");
}

static void entries_live_as_long_as_their_handles(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), id, over;
	struct upload_file *f = begin(h, dir, "20201231_154555.jpg", &id), *g;
	char data[PICTURE_MAX], got[4];
	size_t len = picture(1, NULL, data);
	struct upload_row row;

	ok(ingest_write(f, data, len, 0));
	ok(ingest_unlink(h->in, dir, "20201231_154555.jpg", false));
	assert_int_equal(ingest_lookup(h->in, dir, "20201231_154555.jpg", &row), -ENOENT);
	assert_int_equal(row_of(h, id).size, len);
	ok(ingest_write(f, "more", 4, (off_t)len));
	set_mtime(h, id, MTIME_NS);
	assert_int_equal(row_of(h, id).mtime_ns, MTIME_NS);
	assert_int_equal(row_of(h, id).size, len + 4);
	end(f);
	assert_int_equal(snapshots(h), 0);
	assert_true(ingest_take_activity(h->in));
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, id));
	assert_int_equal(ingest_entry(h->in, id, &row), -ENOENT);
	/* another file is renamed over one that is open */
	f = begin(h, dir, "b.txt", &id);
	ok(ingest_write(f, "old!", 4, 0));
	over = copy_text(h, dir, "c.txt", "new");
	ok(ingest_rename(h->in, dir, "c.txt", dir, "b.txt", 0));
	assert_int_equal(ingest_rename(h->in, dir, "none", dir, "b.txt", 0), -ENOENT);
	ok(pread_all(ingest_fd(f), got, 4, 0));
	assert_memory_equal(got, "old!", 4);
	end(f);
	ok(ingest_lookup(h->in, dir, "b.txt", &row));
	assert_int_equal(row.id, over);
	assert_true(has_file(h, id)); /* after a power cut it may have its name again */
	ok(ingest_fsync_all(h->in));
	assert_false(has_file(h, id));
	/* a registered one, unlinked while it is open for writing */
	id = copy_picture(h, dir, "20201231_154557.jpg", 7);
	struct snap s = snap_of(h, id);
	CLEANUP(closep) int fd = -1;

	ok(ingest_open(h->in, id, O_RDWR, &g));
	ok(ingest_unlink(h->in, dir, "20201231_154557.jpg", false));
	assert_int_equal(row_of(h, id).size, s.size);
	assert_int_equal(ingest_write(g, "x", 1, 0), -ENODATA);
	ok(cache_open(h->cache, &s.sha, &fd));
	ok(ingest_fill(g, fd));
	ok(ingest_write(g, "x", 1, (off_t)s.size));
	assert_int_equal(row_of(h, id).size, s.size + 1);
	end(g);
	assert_false(has_file(h, id));
	assert_int_equal(snapshots(h), 1);
}

static int add_name(void *user, const struct upload_row *row)
{
	unsigned *n = user;
	char want[16];

	(void)snprintf(want, sizeof(want), "n%04u.txt", (*n)++);
	assert_string_equal(row->name, want);
	assert_int_equal(row->size, 3);
	return *n == 600 ? 7 : 0;
}

static void names_are_listed_in_order_with_live_sizes(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	unsigned n = 0;

	for (unsigned i = 0; i < 700; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%04u.txt", i);
		(void)copy_text(h, dir, name, "abc");
	}
	assert_int_equal(ingest_list(h->in, dir, "", 10000, add_name, &n), 7);
	assert_int_equal(n, 600);
	n = 301;
	ok(ingest_list(h->in, dir, "n0300.txt", 290, add_name, &n));
	assert_int_equal(n, 591);
}

static void errors_are_those_of_a_file_system(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), id = copy_text(h, dir, "a.txt", "abc");
	struct upload_file *f;
	struct upload_row row;
	char longest[NAME_LIMIT + 2];

	memset(longest, 'x', sizeof(longest));
	longest[NAME_LIMIT + 1] = '\0';
	assert_int_equal(ingest_mkdir(h->in, 0, "front", 0755, 0, 0, &row), -EEXIST);
	assert_int_equal(ingest_mkdir(h->in, 0, longest, 0755, 0, 0, &row), -ENAMETOOLONG);
	assert_int_equal(ingest_create(h->in, dir, "a.txt", O_EXCL, 0644, 0, 0, &row, &f), -EEXIST);
	assert_int_equal(ingest_create(h->in, 99, "a", 0, 0644, 0, 0, &row, &f), -ENOENT);
	assert_int_equal(ingest_create(h->in, id, "a", 0, 0644, 0, 0, &row, &f), -ENOTDIR);
	assert_int_equal(ingest_create(h->in, 0, "front", O_WRONLY, 0644, 0, 0, &row, &f), -EISDIR);
	assert_int_equal(ingest_open(h->in, dir, O_WRONLY, &f), -EISDIR);
	assert_int_equal(ingest_open(h->in, 99, O_RDONLY, &f), -ENOENT);
	assert_int_equal(ingest_truncate(h->in, dir, NULL, 0), -EISDIR);
	assert_int_equal(ingest_unlink(h->in, 0, "front", false), -EISDIR);
	assert_int_equal(ingest_unlink(h->in, dir, "a.txt", true), -ENOTDIR);
	assert_int_equal(ingest_unlink(h->in, 0, "front", true), -ENOTEMPTY);
	ok(ingest_open(h->in, id, O_RDONLY, &f));
	assert_int_equal(ingest_write(f, "x", 1, 0), -EBADF);
	ingest_release(f);
	ok(ingest_truncate(h->in, id, NULL, 1));
	assert_int_equal(row_of(h, id).size, 1);
	ok(ingest_unlink(h->in, dir, "a.txt", false));
	ok(ingest_unlink(h->in, 0, "front", true));
}

static void fsync_and_durable_closes(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), id;
	struct upload_file *f = begin(h, dir, "a.jpg", &id);
	char data[PICTURE_MAX];

	ok(ingest_write(f, data, picture(1, NULL, data), 0));
	ok(ingest_fsync(f));
	end(f);
	h->conf.durability = DURABILITY_CLOSE;
	(void)snap_of(h, copy_picture(h, dir, "20201231_154555.jpg", 2));
	assert_int_equal(row_of(h, copy_picture(h, dir, "b.jpg", 3)).state, UPLOAD_WAITING);
	ok(ingest_fsync_all(h->in));
}

#define T(name) cmocka_unit_test_setup_teardown(name, house_setup, house_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(close_registers_what_says_its_time),
		T(a_file_in_upload_itself_belongs_to_camera_upload),
		T(a_name_that_is_no_text_is_a_camera_all_the_same),
		T(late_utimens_registers_at_once),
		T(utimens_between_flush_and_release),
		T(without_a_time_it_is_the_arrival),
		T(impossible_times_are_passed_over),
		T(rsync),
		T(directories_with_temporary_names),
		T(the_same_bytes_twice_are_one_snapshot),
		T(rewriting_makes_another_snapshot),
		T(writing_into_a_registered_one_needs_its_bytes),
		T(what_is_no_picture_stays_and_says_why),
		T(sidecars_come_before_and_after),
		T(broken_sidecars_hold_nothing_up),
		T(a_sidecar_waits_a_day),
		T(entries_live_as_long_as_their_handles),
		T(names_are_listed_in_order_with_live_sizes),
		T(errors_are_those_of_a_file_system),
		T(fsync_and_durable_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
