/* test-catalog-rows.c - rows that no version of ours has written: a damaged disk's, somebody's editor's.  What is read of them
 * stays within its limits, and the rows beside them are all there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test-catalog.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

enum { GOOD = 3 /* snapshots beside the damaged one */ };

/* What one case sees. */
struct seen {
	struct catalog *c;
	int64_t store;
	unsigned snaps, uploads, items;
};

/* ---- damage ---- */
static const char *const updates[] = {
	"UPDATE snapshot SET camera = ?1 WHERE id = 1",
	"UPDATE snapshot SET day = ?1 WHERE id = 1",
	"UPDATE snapshot SET stem = ?1 WHERE id = 1",
	"UPDATE snapshot SET taken_us = ?1 WHERE id = 1",
	"UPDATE snapshot SET zone_min = ?1 WHERE id = 1",
	"UPDATE snapshot SET time_source = ?1 WHERE id = 1",
	"UPDATE snapshot SET registered_us = ?1 WHERE id = 1",
	"UPDATE snapshot SET size = ?1 WHERE id = 1",
	"UPDATE snapshot SET sha256 = ?1 WHERE id = 1",
	"UPDATE snapshot SET width = ?1, height = ?1 WHERE id = 1",
	"UPDATE snapshot SET links = ?1, queued = ?1, replicas = ?1 WHERE id = 1",
	"UPDATE snapshot SET starred = ?1, looked = ?1 WHERE id = 1",
	"UPDATE snapshot_text SET event = ?1, extra = ?1, unknown = ?1, comment = ?1 WHERE snapshot = 1",
	"UPDATE camera SET name = ?1",
	"UPDATE camera SET title = ?1, grp = ?1, error = ?1",
	"UPDATE camera SET newest = ?1",
	"UPDATE label SET kind_text = ?1, text = ?1, by = ?1",
	"UPDATE label SET score = ?1, x = ?1, y = ?1, w = ?1, h = ?1",
	"UPDATE label_kind SET name = ?1",
	"UPDATE label_name SET name = ?1",
	"UPDATE outbox SET store = ?1 WHERE id = 1",
	"UPDATE outbox SET what = ?1 WHERE id = 1",
	"UPDATE outbox SET key = ?1 WHERE id = 1",
	"UPDATE outbox SET rev = ?1, tries = ?1, next_us = ?1, created_us = ?1 WHERE id = 1",
	"UPDATE outbox SET snapshot = ?1 WHERE id = 1",
	"UPDATE outbox SET error = ?1, error_us = 1 WHERE id = 1",
	"UPDATE upload SET name = ?1 WHERE id = 1",
	"UPDATE upload SET is_dir = ?1 WHERE id = 2",
	"UPDATE upload SET mode = ?1, uid = ?1, gid = ?1 WHERE id = 2",
	"UPDATE upload SET size = ?1, mtime_ns = ?1, ctime_ns = ?1 WHERE id = 2",
	"UPDATE upload SET state = ?1 WHERE id = 2",
	"UPDATE upload SET snapshot = ?1 WHERE id = 2",
	"UPDATE upload SET parent = ?1 WHERE id = 2",
	"UPDATE upload SET due_us = ?1, error = ?1 WHERE id = 2",
	"UPDATE object SET etag = ?1, size = ?1, modified_us = ?1",
	"UPDATE object SET outcome = ?1, error = ?1",
	"UPDATE object SET snapshot = ?1",
	"UPDATE tally SET n = ?1",
	"UPDATE store SET scan_after = ?1, sweep_after = ?1, error = ?1",
};

enum { VALUES = 8, STEP = 2 /* each row gets every other one */ };

static void bind_value(sqlite3_stmt *q, int value)
{
	static const int64_t number[] = {INT64_MIN, INT64_MAX, -1, 99};
	static char text[5000];

	memset(text, 'x', sizeof(text));
	if (value < 4)
		assert_int_equal(sqlite3_bind_int64(q, 1, number[value]), SQLITE_OK);
	else if (value == 4)
		assert_int_equal(sqlite3_bind_text(q, 1, text, sizeof(text), SQLITE_STATIC),
				 SQLITE_OK);
	else if (value == 5)
		assert_int_equal(sqlite3_bind_text(q, 1, "../\n\xff\xfe", -1, SQLITE_STATIC),
				 SQLITE_OK);
	else if (value == 6)
		assert_int_equal(sqlite3_bind_blob(q, 1, "\xff\0\xfe", 3, SQLITE_STATIC),
				 SQLITE_OK);
	else
		assert_int_equal(sqlite3_bind_double(q, 1, 1e300), SQLITE_OK);
}

/* False: the schema does not let it in. */
static bool damage(const char *dir, const char *sql, int value)
{
	char path[128];
	sqlite3 *db = NULL;
	sqlite3_stmt *q = NULL;
	int code;

	(void)snprintf(path, sizeof(path), "%s/catalog.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	bind_value(q, value);
	code = sqlite3_step(q);
	(void)sqlite3_finalize(q);
	(void)sqlite3_close(db);
	return code == SQLITE_DONE;
}

/* ---- what is read ---- */
static int on_snap(void *user, const struct snap *s)
{
	struct seen *seen = user;
	CLEANUP(sidecar_done) struct sidecar side = {0};
	CLEANUP(buf_done) struct buf text = BUF(4 * SIDECAR_BYTES);
	struct place place[16];
	size_t n = 0;

	seen->snaps++;
	assert_in_range(s->time_source, 0, TIME_SOURCES - 1);
	assert_true(strlen(s->stem) <= STEM_MAX);
	if (catalog_sidecar(seen->c, s->id, &side) == 0) {
		assert_in_range(side.time_source, 0, TIME_SOURCES - 1);
		assert_in_range(side.state, 0, SNAP_STATES - 1);
		(void)!sidecar_render(&side, &text);
	}
	if (catalog_places(seen->c, s->id, place, ARRAY_LEN(place), &n) == 0)
		assert_true(n <= ARRAY_LEN(place));
	return 0;
}

static int on_upload(void *user, const struct upload_row *row)
{
	struct seen *seen = user;
	CLEANUP(buf_done) struct buf path = BUF(65536);

	seen->uploads++;
	assert_in_range(row->state, UPLOAD_OPEN, UPLOAD_KEPT);
	assert_int_equal(row->mode & ~07777u, 0);
	(void)!catalog_upload_path(seen->c, row->id, &path);
	return 0;
}

static int on_item(void *user, const struct outbox_item *item)
{
	struct seen *seen = user;

	seen->items++;
	assert_in_range(item->what, OUTBOX_PICTURE, OUTBOX_SIDECAR);
	assert_true(strlen(item->key) <= KEY_MAX);
	return 0;
}

static int on_error(void *user, int64_t when_us, const char *subject, const char *error)
{
	assert_non_null(subject);
	assert_non_null(error);
	return 0;
}

static void read_names(struct seen *seen)
{
	struct camera_row camera = {.name = ""};
	struct label_row kind = {.name = ""}, label;
	int32_t day = INT32_MIN;

	for (int i = 0; i < 10 && catalog_camera_next(seen->c, camera.name, true, &camera) == 0;
	     i++)
		assert_true(strlen(camera.name) <= CAMERA_MAX);
	for (int i = 0; i < 10 && catalog_kind_next(seen->c, kind.name, &kind) == 0; i++) {
		label = (struct label_row){.name = ""};
		for (int k = 0;
		     k < 10 && catalog_label_next(seen->c, kind.id, label.name, &label) == 0; k++)
			assert_true(strlen(label.name) <= LABEL_MAX);
	}
	for (int i = 0;
	     i < 10 && catalog_next_day(seen->c, (struct view){VIEW_ALL, 0}, day, &day) == 0; i++)
		(void)!catalog_list(seen->c, (struct view){VIEW_ALL, 0}, day, 0, 100, on_snap,
				    seen);
}

static void read_all(struct seen *seen)
{
	CLEANUP(buf_done) struct buf report = BUF(1024 * 1024);
	struct catalog_totals totals;
	struct store_row store;
	struct snap newest;
	char after[KEY_MAX + 1];
	int64_t gen;
	int r;

	r = catalog_each(seen->c, 0, 1000, on_snap, seen);
	assert_true(r == 0 && seen->snaps >= GOOD);
	read_names(seen);
	r = catalog_upload_each(seen->c, 0, 1000, on_upload, seen);
	assert_true(r == 0 && seen->uploads >= GOOD);
	(void)!catalog_upload_list(seen->c, 1, "", 100, on_upload, seen);
	(void)!catalog_upload_due(seen->c, INT64_MAX, 100, on_upload, seen);
	(void)!catalog_outbox_list(seen->c, 0, 1000, on_item, seen);
	r = catalog_outbox_claim(seen->c, seen->store, INT64_MAX, 100, on_item, seen);
	assert_true(r == 0 && seen->items >= GOOD);
	(void)!catalog_errors(seen->c, 100, on_error, NULL);
	(void)!catalog_totals(seen->c, &totals);
	(void)!catalog_store(seen->c, seen->store, true, &store);
	(void)!catalog_newest(seen->c, 1, &newest);
	(void)!catalog_scan_begin(seen->c, seen->store, &gen, after);
	(void)!catalog_check(seen->c, &report);
}

/* ---- the cases ---- */
static int64_t upload_of(struct catalog *c, int64_t parent, const char *name, bool is_dir)
{
	struct upload_row row = {.parent = parent, .is_dir = is_dir, .mode = 0644, .mtime_ns = 1};
	int64_t id = 0;

	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	assert_int_equal(catalog_upload_create(c, &row, &id), 0);
	return id;
}

/* One of everything that is to be damaged, and GOOD ones of what must go on. */
static int64_t fill(struct catalog *c)
{
	static const char *const labels[] = {"object=person"};
	struct target target = {.layout = "{camera}/{stem}.jpg"};
	struct listed item = {.key = "yard/a.jpg",
			      .etag = "e",
			      .size = 9,
			      .modified_us = T0,
			      .camera = "yard",
			      .taken_us = T0,
			      .time_source = TIME_MTIME};
	struct scan_counts counts = {0};
	char after[KEY_MAX + 1];
	int64_t dir, gen;

	assert_int_equal(catalog_store_id(c, "cloud", &target.store), 0);
	for (int i = 0; i <= GOOD; i++) {
		CLEANUP(sidecar_done) struct sidecar side = {0};
		struct registration reg = reg_of(i ? "front" : "other", T0 + i, (uint64_t)i + 1);

		sidecar_of(&side, labels, 1);
		side.unknown = strdup("{\"a\":1}");
		reg.sidecar = &side;
		reg.target = &target;
		reg.n_targets = 1;
		(void)registered(c, &reg);
	}
	dir = upload_of(c, 0, "front", true);
	for (int i = 0; i <= GOOD; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d.jpg", i);
		(void)upload_of(c, dir, name, false);
	}
	assert_int_equal(catalog_scan_begin(c, target.store, &gen, after), 0);
	assert_int_equal(catalog_scan_page(c, target.store, gen, &item, 1, &counts), 0);
	return target.store;
}

static void copy_file(const char *from, const char *to)
{
	CLEANUP(buf_done) struct buf data = BUF(16 * 1024 * 1024);
	CLEANUP(closep) int fd = -1;

	assert_int_equal(read_file(AT_FDCWD, from, data.max, &data), 0);
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data.data, data.len), 0);
}

/* In memory where that is to be had: each case opens a catalog, which waits for the disk. */
static void damaged_rows_stay_within_their_limits(void **state)
{
	char dir[64], db[128], whole[128];
	struct catalog *c = NULL;
	unsigned cases = 0;
	int64_t store;

	(void)snprintf(dir, sizeof(dir), "%s/shutterfs-rows-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(zone_set("Europe/Prague"), 0);
	assert_int_equal(catalog_open(dir, &c), 0);
	store = fill(c);
	c = catalog_close(c);
	(void)snprintf(db, sizeof(db), "%s/catalog.db", dir);
	(void)snprintf(whole, sizeof(whole), "%s/whole.db", dir);
	copy_file(db, whole);
	for (size_t i = 0; i < ARRAY_LEN(updates); i++)
		for (int value = (int)i % STEP; value < VALUES; value += STEP) {
			struct seen seen = {.store = store};

			copy_file(whole, db);
			if (!damage(dir, updates[i], value))
				continue;
			print_message("%s: value %d\n", updates[i], value);
			assert_int_equal(catalog_open(dir, &seen.c), 0);
			read_all(&seen);
			seen.c = catalog_close(seen.c);
			cases++;
		}
	assert_true(cases >= 100);
	assert_int_equal(remove_tree(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_rows_stay_within_their_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
