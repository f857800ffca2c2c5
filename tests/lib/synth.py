"""Big catalogs without the pictures: rows put straight into the SQLite file that a mount made, and the same tree of empty files.

A day has 10 cameras with 1,000 snapshots each, so `count` snapshots are count / 10,000 days from 2000-01-01 on."""
import datetime
import os
import sqlite3

CAMERAS, PER_DAY = 10, 1000
FIRST_DAY = 10957  # 2000-01-01
SIZE = 175000
STEP_US = 86400 * 1000000 // PER_DAY


def camera(n):
    return f"cam{n:02d}"


def days(count):
    return max(1, count // (CAMERAS * PER_DAY))


def date(n):
    return (datetime.date(2000, 1, 1) + datetime.timedelta(days=n)).isoformat()


# one INSERT for all: the rows come in the order of the index by day, so every tree grows at its end
STEM = ("strftime('%Y%m%dT%H-%M-%S', (?1 + d.n) * 86400 + p.n * ?3 / 1000000, 'unixepoch') || '-' ||"
        " printf('%06d', p.n * ?3 % 1000000 + c.id) || '_' || c.name")
NUMBERS = "WITH RECURSIVE {0}(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM {0} WHERE n + 1 < {1})"


def fill_catalog(path, count):
    """Fills the catalog that a mount with one store "cloud" left; the mount must have ended."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "foreign_keys = OFF",
                   "temp_store = MEMORY"):
        db.execute(f"PRAGMA {pragma}")
    store = db.execute("SELECT id FROM store WHERE name = 'cloud'").fetchone()[0]
    db.execute("BEGIN")
    for n in range(CAMERAS):
        db.execute("INSERT INTO camera(name) VALUES(?1)", (camera(n),))
    numbers = NUMBERS.format("d", "?4") + ", " + NUMBERS.format("p", "?5")[len("WITH RECURSIVE "):]
    db.execute(f"""{numbers}
        INSERT INTO snapshot(camera, day, stem, taken_us, zone_min, time_source, registered_us, size, replicas)
        SELECT c.id, ?1 + d.n, {STEM}, (?1 + d.n) * 86400000000 + p.n * ?3 + c.id, 0, 0,
               (?1 + d.n) * 86400000000 + p.n * ?3, ?2, 1
        FROM d CROSS JOIN p CROSS JOIN camera c""", (FIRST_DAY, SIZE, STEP_US, days(count), PER_DAY))
    db.execute("INSERT INTO tally(camera, day, n) SELECT camera, day, count(*) FROM snapshot GROUP BY camera, day")
    db.execute("INSERT INTO tally(camera, day, n) SELECT 0, day, sum(n) FROM tally GROUP BY day")
    db.execute("UPDATE camera SET newest = (SELECT id FROM snapshot s WHERE s.camera = camera.id AND gone = 0"
               " ORDER BY day DESC, stem DESC LIMIT 1)")
    db.execute("""INSERT INTO object(store, key, snapshot, etag, size, modified_us, seen)
        SELECT ?1, c.name || strftime('/%Y/%m/%d/', s.day * 86400, 'unixepoch') || s.stem || '.jpg', s.id,
               printf('%032x', s.id), s.size, s.registered_us, 1
        FROM camera c CROSS JOIN snapshot s INDEXED BY snapshot_by_camera
        WHERE s.camera = c.id AND s.gone = 0 ORDER BY c.name, s.day, s.stem""", (store,))
    db.execute("COMMIT")
    made = db.execute("SELECT sum(n) FROM tally WHERE camera = 0").fetchone()[0]
    db.close()
    assert made == days(count) * PER_DAY * CAMERAS, made


def stem(day_number, n, camera_id):
    us = n * STEP_US
    when = datetime.datetime(2000, 1, 1) + datetime.timedelta(days=day_number, seconds=us // 1000000)
    return f"{when:%Y%m%dT%H-%M-%S}-{us % 1000000 + camera_id:06d}_{camera(camera_id - 1)}"


def plain_tree(top, count):
    """The same YYYY/MM/DD tree as empty files of that size."""
    for d in range(days(count)):
        where = os.path.join(top, *date(d).split("-"))
        os.makedirs(where)
        for n in range(PER_DAY):
            for c in range(1, CAMERAS + 1):
                fd = os.open(os.path.join(where, stem(d, n, c) + ".jpg"), os.O_CREAT | os.O_WRONLY)
                os.ftruncate(fd, SIZE)
                os.close(fd)
