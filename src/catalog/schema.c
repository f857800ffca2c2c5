/* schema.c - the tables, as numbered migrations.
 *
 * Script N brings a catalog from version N-1 to N, in one transaction with PRAGMA user_version.
 * A script that was released is never edited; a change is a new one.  Rows of snapshots,
 * cameras, stores and label names are never deleted (their ids are inode numbers), so their ids
 * need no AUTOINCREMENT; uploads and outbox rows are, so theirs do. */
#include <errno.h>
#include <sqlite3.h>

#include "db.h"
#include "stmt.h"

/* ---- 1 ---- */
static const char tables[] =
	"CREATE TABLE camera(id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  title TEXT NOT NULL DEFAULT '',"
	"  grp TEXT NOT NULL DEFAULT '',"
	/* The visible one with the greatest taken_us: names do not sort by time in an hour that a
	 * clock repeats. */
	"  newest INTEGER,"
	"  last_capture_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT NOT NULL DEFAULT '',"
	"  error_us INTEGER NOT NULL DEFAULT 0);"

	"CREATE TABLE store(id INTEGER PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  scan_gen INTEGER NOT NULL DEFAULT 0,"
	"  scan_after TEXT,"                      /* NULL: no scan under way */
	"  sweep_after TEXT NOT NULL DEFAULT ''," /* how far the end of the scan has come */
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
	/* Gone ones too: a name is never given twice. */
	"CREATE UNIQUE INDEX snapshot_by_day ON snapshot(day, stem);"
	"CREATE INDEX snapshot_by_camera ON snapshot(camera, day, stem) WHERE gone = 0;"
	"CREATE INDEX snapshot_starred ON snapshot(day, stem) WHERE starred = 1 AND gone = 0;"
	"CREATE INDEX snapshot_by_sha ON snapshot(sha256, camera) WHERE sha256 IS NOT NULL;"
	/* A foreign picture that came back. */
	"CREATE INDEX snapshot_gone ON snapshot(camera, taken_us) WHERE gone = 1;"

	/* Only when there is any. */
	"CREATE TABLE snapshot_text(snapshot INTEGER PRIMARY KEY REFERENCES snapshot,"
	"  documents TEXT, event TEXT, origin TEXT, extra TEXT, unknown TEXT);"

	/* How many visible snapshots a camera has on a day (camera 0: all of them together);
	 * only when any. */
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
	"  kind_text TEXT, text TEXT," /* as given, where the directories' names differ */
	"  score REAL, x REAL, y REAL, w REAL, h REAL, by TEXT);"
	"CREATE INDEX label_by_snapshot ON label(snapshot);"
	/* Visible ones only. */
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
	/* 0 ok, 1 rejected, 2 sidecar wanted, 3 lost: see ledger.h */
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
	/* upload/ itself. */
	"INSERT INTO upload(id, parent, name, is_dir, mode, uid, gid, mtime_ns, ctime_ns)"
	" VALUES(0, -1, '', 1, 493, 0, 0, unixepoch() * 1000000000, unixepoch() * 1000000000);"
	"CREATE INDEX upload_due ON upload(due_us) WHERE due_us > 0;"
	/* How high a moved tree is. */
	"CREATE INDEX upload_dirs ON upload(parent) WHERE is_dir = 1;"
	"CREATE INDEX upload_rejected ON upload(id) WHERE state = 3;"
	"CREATE INDEX upload_by_snapshot ON upload(snapshot) WHERE snapshot IS NOT NULL;"
	"CREATE TABLE upload_xattr(upload INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  value BLOB NOT NULL,"
	"  PRIMARY KEY(upload, name)) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

/* ---- 2: labels that are edited ---- */
static const char edits[] =
	"CREATE TABLE document(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  snapshot INTEGER NOT NULL REFERENCES snapshot,"
	"  fp1 TEXT NOT NULL,"
	"  fp2 BLOB NOT NULL," /* two pictures may have one img_id: a duplicate is one's own */
	"  created_by TEXT,"
	"  body TEXT NOT NULL,"
	"  UNIQUE(snapshot, fp2));"
	"CREATE INDEX document_by_fp1 ON document(fp1);"

	"CREATE TABLE history(id INTEGER PRIMARY KEY,"
	"  snapshot INTEGER NOT NULL REFERENCES snapshot,"
	"  at_us INTEGER NOT NULL,"
	"  who TEXT NOT NULL,"
	"  what TEXT NOT NULL,"
	"  was TEXT);"
	"CREATE INDEX history_by_snapshot ON history(snapshot, id);"

	"ALTER TABLE snapshot ADD COLUMN changed_us INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE snapshot_text ADD COLUMN comment TEXT;"
	"ALTER TABLE snapshot_text ADD COLUMN rating INTEGER NOT NULL DEFAULT 0;"

	/* A name is listed while a visible snapshot has it, and for a while after mkdir; it still
	 * resolves for a while after its last snapshot left. */
	"ALTER TABLE label_kind ADD COLUMN made_us INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE label_kind ADD COLUMN emptied_us INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE label_name ADD COLUMN visible INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE label_name ADD COLUMN made_us INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE label_name ADD COLUMN emptied_us INTEGER NOT NULL DEFAULT 0;"
	"UPDATE label_name SET visible = 1 WHERE EXISTS(SELECT 1 FROM label_view v WHERE v.name = "
	"label_name.id);"
	"CREATE INDEX label_listed ON label_name(kind, name) WHERE visible = 1 OR made_us > 0;"
	"CREATE INDEX label_passing ON label_name(id) WHERE made_us > 0 OR emptied_us > 0;"

	/* Labels whose pictures' sidecars do not say the new name yet; how far that has come. */
	"CREATE TABLE relabel(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  label INTEGER NOT NULL REFERENCES label_name,"
	"  at_us INTEGER NOT NULL,"
	"  who TEXT NOT NULL,"
	"  was TEXT NOT NULL,"
	"  day INTEGER NOT NULL DEFAULT -2147483648,"
	"  stem TEXT NOT NULL DEFAULT '');";

static const char documents_moved[] =
	/* What was no array of objects is a key like any other. */
	"UPDATE snapshot_text SET unknown = CASE WHEN unknown IS NULL THEN '{\"documents\":' || "
	"documents || '}' ELSE '{\"documents\":' || documents || ',' || substr(unknown, 2) END "
	"WHERE documents IS NOT NULL;"
	"ALTER TABLE snapshot_text DROP COLUMN documents;"
	"PRAGMA user_version = 2;";

/* ---- files that speak of many pictures, and other systems ---- */
static const char records[] =
	"CREATE TABLE batch(upload INTEGER PRIMARY KEY,"
	"  size INTEGER NOT NULL," /* of the file, when it was begun: another one is another file */
	"  mtime_ns INTEGER NOT NULL,"
	"  begun_us INTEGER NOT NULL,"
	"  whole INTEGER NOT NULL DEFAULT 0," /* read to its end */
	"  done INTEGER NOT NULL DEFAULT 0,"
	"  added INTEGER NOT NULL DEFAULT 0,"
	"  duplicates INTEGER NOT NULL DEFAULT 0,"
	"  removed INTEGER NOT NULL DEFAULT 0,"
	"  unknown INTEGER NOT NULL DEFAULT 0,"
	"  bad INTEGER NOT NULL DEFAULT 0);"
	/* One that waits has a body, one that was refused an error. */
	"CREATE TABLE record(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  upload INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  body TEXT,"
	"  error TEXT,"
	"  at_us INTEGER NOT NULL);"
	"CREATE INDEX record_by_upload ON record(upload, id);"
	"CREATE INDEX record_waiting ON record(name, id) WHERE body IS NOT NULL;"
	"CREATE INDEX record_refused ON record(at_us) WHERE error IS NOT NULL;"
	"CREATE INDEX upload_by_name ON upload(name) WHERE snapshot IS NOT NULL;"
	"CREATE TABLE seen(target TEXT NOT NULL,"
	"  id TEXT NOT NULL,"
	"  at_us INTEGER NOT NULL,"
	"  PRIMARY KEY(target, id)) WITHOUT ROWID;"
	"PRAGMA user_version = 5;";

/* Row by row: their fingerprints are not SQLite's to compute. */
static int move_documents(struct db *db)
{
	QUERY(q, db,
	      "SELECT t.snapshot, t.documents FROM snapshot_text t WHERE t.documents IS NOT NULL "
	      "ORDER BY t.snapshot");
	int r;
	while ((r = query_next(&q)) > 0) {
		int64_t id = col_int(&q, 0);
		r = documents_import(db, id, col_text(&q, 1));
		if (r == -EINVAL)
			continue;
		if (r == 0)
			r = RUN(db, "UPDATE snapshot_text SET documents = NULL WHERE snapshot = ?1",
				I(id));
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- 3: small texts that travel with the pictures; pictures that are to go ---- */
static const char notes[] =
	"CREATE TABLE note(id INTEGER PRIMARY KEY,"
	"  key TEXT NOT NULL UNIQUE,"
	"  rev INTEGER NOT NULL DEFAULT 0,"
	"  changed_us INTEGER NOT NULL DEFAULT 0,"
	"  body BLOB);" /* NULL: removed, or not read yet; last, for it may be large */
	"CREATE TABLE note_object(note INTEGER NOT NULL REFERENCES note,"
	"  store INTEGER NOT NULL,"
	"  todo INTEGER NOT NULL DEFAULT 0,"   /* ours is to go there */
	"  wanted INTEGER NOT NULL DEFAULT 0," /* the store's is to be read */
	"  etag TEXT NOT NULL DEFAULT '',"
	"  seen INTEGER NOT NULL DEFAULT 0,"
	"  tries INTEGER NOT NULL DEFAULT 0,"
	"  next_us INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT,"
	"  error_us INTEGER NOT NULL DEFAULT 0,"
	"  PRIMARY KEY(note, store)) WITHOUT ROWID;"
	"CREATE INDEX note_todo ON note_object(store, next_us) WHERE todo = 1;"
	"CREATE TABLE trash(snapshot INTEGER PRIMARY KEY REFERENCES snapshot,"
	"  at_us INTEGER NOT NULL,"
	"  due_us INTEGER NOT NULL,"
	"  who TEXT NOT NULL);"
	"CREATE INDEX trash_due ON trash(due_us);"
	"PRAGMA user_version = 3;";

/* ---- 4: edited texts that could not be understood ---- */
static const char drafts[] =
	"CREATE TABLE draft(node INTEGER PRIMARY KEY," /* an inode number of the mount */
	"  at_us INTEGER NOT NULL,"
	"  subject TEXT NOT NULL,"
	"  error TEXT NOT NULL,"
	"  body BLOB NOT NULL);"
	"PRAGMA user_version = 4;";

/* ---- 6: queries that have a name ---- */
static const char queries[] = "CREATE TABLE query(id INTEGER PRIMARY KEY,"
			      "  name TEXT UNIQUE,"             /* NULL: removed */
			      "  was TEXT NOT NULL DEFAULT ''," /* its name then */
			      "  body BLOB,"                    /* NULL: none yet */
			      "  changed_us INTEGER NOT NULL);"
			      "PRAGMA user_version = 6;";

/* ---- 7: datasets: their names, and which picture is in which directory ---- */
static const char datasets[] =
	"CREATE TABLE dataset(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  name TEXT UNIQUE," /* NULL: removed */
	"  was TEXT,"         /* before it was removed */
	"  uid TEXT NOT NULL UNIQUE,"
	"  made_us INTEGER NOT NULL,"
	"  frozen_us INTEGER NOT NULL DEFAULT 0,"
	"  state INTEGER NOT NULL DEFAULT 0,"
	"  query BLOB NOT NULL DEFAULT x'',"
	"  error TEXT NOT NULL DEFAULT '',"
	"  error_us INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE dataset_class(dataset INTEGER NOT NULL,"
	"  number INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  PRIMARY KEY(dataset, number)) WITHOUT ROWID;"
	"CREATE UNIQUE INDEX dataset_class_by_name ON dataset_class(dataset, name);"
	/* By name, not by row: a catalog that was made again finds its pictures in any order. */
	"CREATE TABLE dataset_member(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  dataset INTEGER NOT NULL,"
	"  split INTEGER NOT NULL,"
	"  day INTEGER NOT NULL,"
	"  stem TEXT NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  sha256 BLOB,"
	"  taken_us INTEGER NOT NULL,"
	"  flags INTEGER NOT NULL,"
	"  boxes_at INTEGER NOT NULL,"
	"  boxes_len INTEGER NOT NULL,"
	"  UNIQUE(dataset, stem));"
	"CREATE INDEX member_by_split ON dataset_member(dataset, split);"
	"CREATE TABLE dataset_entry(dataset INTEGER NOT NULL,"
	"  split INTEGER NOT NULL,"
	"  class INTEGER NOT NULL,"
	"  member INTEGER NOT NULL,"
	"  PRIMARY KEY(dataset, split, class, member)) WITHOUT ROWID;"
	"CREATE TABLE dataset_scratch(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  dataset INTEGER NOT NULL,"
	"  dir INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  UNIQUE(dataset, dir, name));"
	"CREATE INDEX scratch_by_dir ON dataset_scratch(dataset, dir);"
	"PRAGMA user_version = 7;";

static const struct migration {
	const char *script;
	int (*step)(struct db *db); /* NULL: none */
	const char *after;
} migration[] = {
	{tables, NULL, NULL},   {edits, move_documents, documents_moved},
	{notes, NULL, NULL},    {drafts, NULL, NULL},
	{records, NULL, NULL},  {queries, NULL, NULL},
	{datasets, NULL, NULL},
};

static int step(struct db *db, const char *script)
{
	int code = sqlite3_exec(db->s, script, NULL, NULL, NULL);
	return code == SQLITE_OK ? 0 : db_errno(db, code);
}

static int apply(struct db *db, const struct migration *m)
{
	int r = step(db, "BEGIN IMMEDIATE");
	if (r < 0)
		return r;
	r = step(db, m->script);
	if (r == 0 && m->step)
		r = m->step(db);
	if (r == 0 && m->after)
		r = step(db, m->after);
	if (r == 0)
		r = step(db, "COMMIT");
	if (r < 0)
		(void)step(db, "ROLLBACK");
	return r;
}

int schema_migrate(struct db *db)
{
	int64_t version;
	int r = ONE(db, &version, "PRAGMA user_version");
	if (r < 0)
		return r;
	if (version < 0 || version > (int64_t)ARRAY_LEN(migration))
		return -EPROTONOSUPPORT;
	for (; r == 0 && version < (int64_t)ARRAY_LEN(migration); version++)
		r = apply(db, &migration[version]);
	return r;
}
