"""A catalog as an earlier version of the program would have left it.

Scripts of src/catalog/schema.c that were released are never edited, so they say what each version was like; rows are taken from a
catalog of today, as far as that version had their tables and columns."""
import contextlib
import os
import re
import sqlite3

from mount import TOP

TEXT = r'"(?:[^"\\]|\\.)*"'


def scripts():
    """[text of script 1, of 2 ...]"""
    with open(os.path.join(TOP, "src/catalog/schema.c")) as f:
        source = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    texts = {m[1]: "".join(t[1:-1].replace('\\"', '"') for t in re.findall(TEXT, m[2]))
             for m in re.finditer(rf"static const char (\w+)\[\] =\s*((?:{TEXT}\s*)+);", source)}
    table = re.search(r"migration\[\] = \{(.*?)\n\};", source, re.S)[1]
    return ["".join(texts.get(name, "") for name in (first, last))
            for first, last in re.findall(r"\{(\w+), \w+, (\w+)\}", table)]


def columns(db, schema, table):
    return [r[1] for r in db.execute(f"PRAGMA {schema}.table_info({table})")]


def make_older(path, version):
    """The catalog at `path`, which nobody has open, becomes one of that version."""
    new = path + ".new"
    with contextlib.closing(sqlite3.connect(new)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript("".join(scripts()[:version]))
        assert version_of(db) == version
        db.execute("ATTACH ? AS now", (path,))
        for (table,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            both = ", ".join(c for c in columns(db, "main", table) if c in columns(db, "now", table))
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table}({both}) SELECT {both} FROM now.{table}")
        if version == 1:
            db.execute("INSERT OR IGNORE INTO snapshot_text(snapshot) SELECT snapshot FROM now.document")
            db.execute("UPDATE snapshot_text SET documents = (SELECT '[' || group_concat(body) || ']' FROM now.document d "
                       "WHERE d.snapshot = snapshot_text.snapshot)")
        db.commit()
        db.execute("DETACH now")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + end)
    os.rename(new, path)


def version_of(db):
    return db.execute("PRAGMA user_version").fetchone()[0]
