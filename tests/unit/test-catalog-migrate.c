/* test-catalog-migrate.c - a catalog of version 1 is opened: documents become rows, and nothing is lost. */
#include "test-catalog-temp.h"

#include "shutterfs/codec.h"

#include <unistd.h>

#define STEM_1 "20201231T12-00-00-000000_front"
#define STEM_2 "20201231T12-00-01-000000_front"
#define STEM_3 "20201231T12-00-02-000000_front"

/* As they were released. */
static const char tables[] =
	"CREATE TABLE camera(id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  title TEXT NOT NULL DEFAULT '',"
	"  grp TEXT NOT NULL DEFAULT '',"
	"  newest INTEGER,"
	"  last_capture_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT NOT NULL DEFAULT '',"
	"  error_us INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE store(id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  scan_gen INTEGER NOT NULL DEFAULT 0,"
	"  scan_after TEXT,"
	"  sweep_after TEXT NOT NULL DEFAULT '',"
	"  last_scan_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT NOT NULL DEFAULT '',"
	"  error_us INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE snapshot(id INTEGER PRIMARY KEY,"
	"  camera INTEGER NOT NULL REFERENCES camera,"
	"  day INTEGER NOT NULL,"
	"  stem TEXT NOT NULL,"
	"  taken_us INTEGER NOT NULL,"
	"  zone_min INTEGER NOT NULL,"
	"  time_source INTEGER NOT NULL,"
	"  registered_us INTEGER NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  sha256 BLOB,"
	"  width INTEGER NOT NULL DEFAULT 0,"
	"  height INTEGER NOT NULL DEFAULT 0,"
	"  starred INTEGER NOT NULL DEFAULT 0,"
	"  looked INTEGER NOT NULL DEFAULT 0,"
	"  gone INTEGER NOT NULL DEFAULT 0,"
	"  links INTEGER NOT NULL DEFAULT 2,"
	"  queued INTEGER NOT NULL DEFAULT 0,"
	"  replicas INTEGER NOT NULL DEFAULT 0);"
	"CREATE UNIQUE INDEX snapshot_by_day ON snapshot(day, stem);"
	"CREATE INDEX snapshot_by_camera ON snapshot(camera, day, stem) WHERE gone = 0;"
	"CREATE INDEX snapshot_starred ON snapshot(day, stem) WHERE starred = 1 AND gone = 0;"
	"CREATE INDEX snapshot_by_sha ON snapshot(sha256, camera) WHERE sha256 IS NOT NULL;"
	"CREATE INDEX snapshot_gone ON snapshot(camera, taken_us) WHERE gone = 1;"
	"CREATE TABLE snapshot_text(snapshot INTEGER PRIMARY KEY REFERENCES snapshot,"
	"  documents TEXT, event TEXT, origin TEXT, extra TEXT, unknown TEXT);"
	"CREATE TABLE tally(camera INTEGER NOT NULL,"
	"  day INTEGER NOT NULL,"
	"  n INTEGER NOT NULL,"
	"  PRIMARY KEY(camera, day)) WITHOUT ROWID;"
	"CREATE TABLE label_kind(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE label_name(id INTEGER PRIMARY KEY,"
	"  kind INTEGER NOT NULL REFERENCES label_kind,"
	"  name TEXT NOT NULL,"
	"  UNIQUE(kind, name));"
	"CREATE TABLE label(id INTEGER PRIMARY KEY,"
	"  snapshot INTEGER NOT NULL REFERENCES snapshot,"
	"  name INTEGER NOT NULL REFERENCES label_name,"
	"  kind_text TEXT, text TEXT,"
	"  score REAL, x REAL, y REAL, w REAL, h REAL, by TEXT);"
	"CREATE INDEX label_by_snapshot ON label(snapshot);"
	"CREATE TABLE label_view(name INTEGER NOT NULL,"
	"  day INTEGER NOT NULL,"
	"  stem TEXT NOT NULL,"
	"  snapshot INTEGER NOT NULL,"
	"  PRIMARY KEY(name, day, stem)) WITHOUT ROWID;"
	"CREATE TABLE object(store INTEGER NOT NULL,"
	"  key TEXT NOT NULL,"
	"  snapshot INTEGER,"
	"  sidecar INTEGER NOT NULL DEFAULT 0,"
	"  etag TEXT NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  modified_us INTEGER NOT NULL,"
	"  outcome INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT,"
	"  seen INTEGER NOT NULL,"
	"  PRIMARY KEY(store, key)) WITHOUT ROWID;"
	"CREATE INDEX object_by_snapshot ON object(snapshot) WHERE snapshot IS NOT NULL;"
	"CREATE INDEX object_wanted ON object(store, key) WHERE outcome = 2 AND "
	"snapshot IS NOT NULL;"
	"CREATE INDEX object_bad ON object(modified_us) WHERE error IS NOT NULL;"
	"CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  snapshot INTEGER NOT NULL REFERENCES snapshot,"
	"  store INTEGER NOT NULL,"
	"  what INTEGER NOT NULL,"
	"  key TEXT NOT NULL,"
	"  rev INTEGER NOT NULL DEFAULT 0,"
	"  tries INTEGER NOT NULL DEFAULT 0,"
	"  claimed INTEGER NOT NULL DEFAULT 0,"
	"  next_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT,"
	"  error_us INTEGER NOT NULL DEFAULT 0,"
	"  created_us INTEGER NOT NULL,"
	"  UNIQUE(snapshot, store, what));"
	"CREATE INDEX outbox_due ON outbox(store, claimed, next_us, id);"
	"CREATE INDEX outbox_failed ON outbox(error_us) WHERE error IS NOT NULL;"
	"CREATE TABLE upload(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  parent INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  is_dir INTEGER NOT NULL,"
	"  mode INTEGER NOT NULL,"
	"  uid INTEGER NOT NULL,"
	"  gid INTEGER NOT NULL,"
	"  size INTEGER NOT NULL DEFAULT 0,"
	"  mtime_ns INTEGER NOT NULL,"
	"  ctime_ns INTEGER NOT NULL,"
	"  mtime_set INTEGER NOT NULL DEFAULT 0,"
	"  state INTEGER NOT NULL DEFAULT 0,"
	"  snapshot INTEGER,"
	"  due_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT,"
	"  UNIQUE(parent, name));"
	"INSERT INTO upload(id, parent, name, is_dir, mode, uid, gid, mtime_ns, ctime_ns)"
	" VALUES(0, -1, '', 1, 493, 0, 0, unixepoch() * 1000000000, unixepoch() * 1000000000);"
	"CREATE INDEX upload_due ON upload(due_us) WHERE due_us > 0;"
	"CREATE INDEX upload_dirs ON upload(parent) WHERE is_dir = 1;"
	"CREATE INDEX upload_rejected ON upload(id) WHERE state = 3;"
	"CREATE INDEX upload_by_snapshot ON upload(snapshot) WHERE snapshot IS NOT NULL;"
	"CREATE TABLE upload_xattr(upload INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  value BLOB NOT NULL,"
	"  PRIMARY KEY(upload, name)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

static const char rows[] =
	"INSERT INTO store(name) VALUES('cloud');"
	"INSERT INTO camera(id, name, newest) VALUES(1, 'front', 3);"
	"INSERT INTO snapshot(id, camera, day, stem, taken_us, zone_min, time_source, registered_us, size, starred, looked,"
	" links) VALUES(1, 1, 18627, '" STEM_1 "', 1609412400000000, 60, 0, 5, 100, 1, 1, 5),"
	" (2, 1, 18627, '" STEM_2 "', 1609412401000000, 60, 0, 5, 100, 0, 0, 2),"
	" (3, 1, 18627, '" STEM_3 "', 1609412402000000, 60, 0, 5, 100, 0, 0, 2);"
	"INSERT INTO tally(camera, day, n) VALUES(0, 18627, 3), (1, 18627, 3);"
	"INSERT INTO label_kind(id, name) VALUES(1, 'object'), (2, 'left');"
	"INSERT INTO label_name(id, kind, name) VALUES(1, 1, 'dog'), (2, 1, 'x-y'), (3, 2, 'behind');"
	"INSERT INTO label(snapshot, name, text, score, by) VALUES(1, 1, NULL, 0.5, 'me'), (1, 2, 'x/y', NULL, NULL);"
	"INSERT INTO label_view(name, day, stem, snapshot) VALUES(1, 18627, '" STEM_1
	"', 1), (2, 18627, '" STEM_1 "', 1);"
	"INSERT INTO snapshot_text(snapshot, documents, event, unknown) VALUES"
	" (1, '[{\"label_fingerprint\":\"f00d\",\"big\":12345678901234567890,\"label\":{\"created_by\":\"auto\","
	"\"label_speed\":1}}, {\"label\":{\"created_by\":\"auto\",\"label_speed\":2}},"
	" {\"second\":true,\"label\":{\"created_by\":\"auto\",\"label_speed\":1.0}}]', '{\"e\":1}', '{\"x\":1}'),"
	" (2, '[1,2]', NULL, NULL), (3, '[3]', NULL, '{\"x\":[2.50]}');";

static void version_1_file(struct temp *t)
{
	char path[64];
	sqlite3 *db;

	t->c = catalog_close(t->c);
	(void)snprintf(path, sizeof(path), "%s/catalog.db", t->dir);
	ok(unlink(path));
	ok(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL));
	ok(sqlite3_exec(db, tables, NULL, NULL, NULL));
	ok(sqlite3_exec(db, rows, NULL, NULL, NULL));
	ok(sqlite3_close(db));
}

static int keep_history(void *user, const struct history *h)
{
	struct buf *out = user;

	return buf_printf(out, "%s|%s\n", h->what, h->was);
}

static void documents_become_rows(void **state)
{
	struct temp *t = *state;
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(buf_done) struct buf history = BUF(4096);

	version_1_file(t);
	ok(catalog_open(t->dir, &t->c));
	ok(catalog_store_id(t->c, "attic", &t->attic));
	assert_int_equal(peek(t, "SELECT count(*) FROM document"), 2);
	assert_int_equal(peek(t, "SELECT count(*) FROM document WHERE fp1 = 'f00d'"), 0);
	assert_true(peek(t, "SELECT user_version FROM pragma_user_version") >= 2);
	ok(catalog_sidecar(t->c, 1, &s));
	assert_non_null(strstr(s.documents, "12345678901234567890"));
	assert_string_equal(s.event, "{\"e\":1}");
	assert_string_equal(s.unknown, "{\"x\":1}");
	assert_int_equal(s.labels.n, 2);
	assert_string_equal(s.labels.item[1].value, "x/y");
	assert_int_equal(s.rating, 0);
	/* The third has the values of the first. */
	ok(catalog_history(t->c, 1, keep_history, &history));
	assert_non_null(strstr(history.data, "document removed|{\"second\":true"));
}

static void what_is_no_document_is_kept(void **state)
{
	struct temp *t = *state;
	CLEANUP(sidecar_done) struct sidecar s = {0}, third = {0};

	version_1_file(t);
	ok(catalog_open(t->dir, &t->c));
	ok(catalog_sidecar(t->c, 2, &s));
	assert_null(s.documents);
	assert_string_equal(s.unknown, "{\"documents\":[1,2]}");
	ok(catalog_sidecar(t->c, 3, &third));
	assert_string_equal(third.unknown, "{\"documents\":[3],\"x\":[2.50]}");
}

static void labels_are_where_they_were(void **state)
{
	struct temp *t = *state;
	struct label_row kind, value;

	version_1_file(t);
	ok(catalog_open(t->dir, &t->c));
	ok(catalog_kind_next(t->c, "", &kind));
	assert_string_equal(kind.name, "object");
	assert_int_equal(catalog_kind_next(t->c, "object", &value), -ENOENT);
	ok(catalog_label_next(t->c, kind.id, "", &value));
	assert_string_equal(value.name, "dog");
	ok(catalog_label_next(t->c, kind.id, "dog", &value));
	assert_string_equal(value.name, "x-y");
	assert_int_equal(snap_of(t, 1).changed_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(documents_become_rows, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(what_is_no_document_is_kept, temp_open, temp_close),
		cmocka_unit_test_setup_teardown(labels_are_where_they_were, temp_open, temp_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
