"""One archive that dies many times: what was accepted from its users, and the judge of what is left of that.

`Life` is a mount with its stores; `session()` is what users and programs do to it, in order, until it dies; `judge()` starts it again
and compares.  Only what an operation's success promised is in the manifest."""
import collections
import contextlib
import copy
import datetime
import errno
import glob
import hashlib
import json
import os
import select
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time

import pictures
from camera import FaultCamera
from faults import Faults
from mount import Mount, abort_connection
from named import TRASH_SECONDS, Named
from processes import run, wait_until

START_LIMIT = 5
CAMERA = "front"
OPEN, WAITING, REGISTERED = range(3)  # enum upload_state
UNDONE = (OSError, AssertionError, subprocess.TimeoutExpired)  # what a step says


class Accepted:
    """A picture whose close, or rename, returned 0."""

    def __init__(self, serial, name, data, taken=None, label=None):
        self.serial, self.name, self.data, self.label = serial, name, data, label
        self.sha = pictures.sha256(data)
        self.taken = taken or pictures.moment(serial)
        self.edits = {}         # {label: is it to have it; None: an edit was going on at the kill}
        self.upload = "there"   # "gone": unlinked or rewritten; "unsure": that was going on at the kill
        self.thrown, self.due = False, None  # into the trash (None: that, or its return, was going on), until when

    @property
    def stem(self):
        return pictures.stem(self.taken, CAMERA)

    @property
    def path(self):
        return f"cameras/{CAMERA}/{pictures.day(self.taken)}/{self.stem}.jpg"


def picture(serial):
    return pictures.picture(serial, pictures.moment(serial), "+00:00", width=160)


def until_it_dies(step, *args):
    """False: the mount went away while the step ran, so nothing is promised about it."""
    try:
        return step(*args) is not False
    except UNDONE:
        return False


def abort_when_dead(pid, mnt):
    """Frees who changes a directory of the killed mount while a thread of its worker tells the kernel of that one: each waits for
    the other.  The next start would do it, but it is the users here who start it."""
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        select.select([fd], [], [])
        os.close(fd)
    abort_connection(mnt)


class Life(Named, Mount):
    def __init__(self, base, bucket=None, directory=True, more="", stores="", **kw):
        base = str(base)
        os.makedirs(base)
        self.faults = Faults(os.path.join(base, "faults"))
        self.camera = FaultCamera()
        self.bucket, self.directory = bucket, directory
        self.source = os.path.join(base, "source")
        os.makedirs(self.source)
        self.lock, self.serial = threading.Lock(), 0
        self.accepted, self.unsure, self.captured = [], set(), []
        self.foreign, self.seen_objects, self.texts = 0, {}, {}  # texts: {sha256: bytes} of objects
        self.kills = self.queued_at_kills = self.slowest_start = 0
        self.told = False  # a user was told of an error
        self.freer = None
        archive = f'[store "archive"]\ndriver = dir\npath = {os.path.realpath(base)}/archive\n' if directory else ""
        super().__init__(base, stores=archive + (bucket.config() if bucket else "") + stores,
                         cameras=f'[camera "porch"]\ndriver = http\nurl = {self.camera.url}\n', start=False,
                         more=f"cache_size = 128K\ntrash = {TRASH_SECONDS}s\n" + more, env=bucket.env() if bucket else None,
                         preload=self.faults.env(), **kw)

    # -- life

    def start(self, timeout=60):
        if self.freer:
            self.freer.join()
        super().start(timeout)
        self.freer = threading.Thread(target=abort_when_dead, args=(self.process.pid, self.mnt), daemon=True)
        self.freer.start()
        return self

    def end(self):
        self.faults.disarm()
        try:
            self.stop()
        finally:
            self.camera.stop()

    def died(self):
        return not self.process.alive()

    def kill_now(self):
        """Whatever was to come, it is dead after this, and out of the way."""
        if not self.died():
            self.kill()
        self.process.popen.wait(20)
        self.faults.disarm()
        self.kills += 1
        self.detach()
        self.queued_at_kills += self.queued()

    def catalog(self):
        """A copy of the catalog, as it lies there."""
        made = tempfile.mkdtemp(prefix="catalog-")
        for name in ("catalog.db", "catalog.db-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(os.path.join(self.state, name), made)
        return made

    def queued(self, what="(SELECT count(*) FROM outbox) + "):
        """How much is not in all stores: what a kill can lose; what="": of uploads alone."""
        lying = self.catalog()
        try:
            with contextlib.closing(sqlite3.connect(os.path.join(lying, "catalog.db"))) as db:
                return db.execute(f"SELECT {what}(SELECT count(*) FROM upload "
                                  "WHERE is_dir = 0 AND state IN (?, ?))", (OPEN, WAITING)).fetchone()[0]
        except sqlite3.OperationalError:  # killed before it had tables
            return 0
        finally:
            shutil.rmtree(lying)

    # -- what users do

    def _next(self):
        with self.lock:
            self.serial += 1
            return self.serial

    def _accept(self, made):
        self.accepted.append(made)
        self.unsure.discard(made.name)

    def _source_file(self, data, name, mtime=None):
        path = os.path.join(self.source, name)
        with open(path, "wb") as f:
            f.write(data)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def by_cp(self):
        n = self._next()
        name = f"cp{n}.jpg"
        self.unsure.add(name)
        run(["cp", "-p", self._source_file(picture(n), name), self.at("upload", CAMERA)], timeout=60)
        self._accept(Accepted(n, name, picture(n)))

    def by_mtime_only(self):
        """No EXIF, a name that says nothing: registered once the time was set."""
        n = self._next()
        name = f"plain{n}.jpg"
        taken = pictures.moment(n).replace(microsecond=0)
        data = pictures.picture(n, width=160)
        self.unsure.add(name)
        path = self._source_file(data, name, taken.replace(tzinfo=datetime.timezone.utc).timestamp())
        run(["cp", "-p", path, self.at("upload", CAMERA)], timeout=60)
        self._accept(Accepted(n, name, data, taken))

    def by_rsync(self):
        many = [self._next() for _ in range(4)]
        names = [f"rsync{n}.jpg" for n in many]
        self.unsure.update(names)
        files = [self._source_file(picture(n), name) for n, name in zip(many, names)]
        run(["rsync", "-t", *files, self.at("upload", CAMERA) + "/"], timeout=60)
        for n, name in zip(many, names):
            self._accept(Accepted(n, name, picture(n)))

    def in_place(self):
        """Out of order, with a hole for a while; accepted with its close."""
        self.make_camera()
        n = self._next()
        name, data = f"place{n}.jpg", picture(n)
        self.unsure.add(name)
        fd = os.open(self.at("upload", CAMERA, name), os.O_CREAT | os.O_RDWR, 0o644)
        try:
            half = len(data) // 2
            os.pwrite(fd, data[half:], half)
            os.pwrite(fd, data[:half], 0)
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
        self._accept(Accepted(n, name, data))

    def in_a_row(self, count):
        """Closes that follow each other faster than pictures are registered."""
        self.make_camera()
        many = [self._next() for _ in range(count)]
        made = [(n, f"row{n}.jpg", picture(n)) for n in many]
        for n, name, data in made:
            self.unsure.add(name)
            self.upload(CAMERA, name, data)
            self._accept(Accepted(n, name, data))

    def by_rename(self):
        n = self._next()
        name, data = f"moved{n}.jpg", picture(n)
        self.unsure.update((name, f".{name}.part"))
        with open(self.at("upload", CAMERA, f".{name}.part"), "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.rename(self.at("upload", CAMERA, f".{name}.part"), self.at("upload", CAMERA, name))
        self.unsure.discard(f".{name}.part")
        self._accept(Accepted(n, name, data))

    def with_sidecar(self, first):
        n = self._next()
        name, label = f"label{n}.jpg", f"kind{n % 3}"
        text = (b'{"labels":[{"kind":"object","value":"%s"}],"documents":[{"label":{"created_by":"auto","n":%d}}]}'
                % (label.encode(), n))
        self.unsure.update((name, f"label{n}.json"))
        parts = [(f"label{n}.json", text), (name, picture(n))]
        for part, data in parts if first else reversed(parts):
            self.upload(CAMERA, part, data)
        self.unsure.discard(f"label{n}.json")
        self._accept(Accepted(n, name, picture(n), label=label))

    def upload(self, camera, name, data):
        """As Mount.upload, but a close that failed is no success."""
        fd = os.open(self.at("upload", camera, name), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def rewrite(self):
        """A new picture under an old name: the old one stays a snapshot."""
        old = next((a for a in self.accepted if a.upload == "there" and a.name.startswith("place")), None)
        if not old:
            return
        n = self._next()
        old.upload = "unsure"
        self.unsure.add(old.name)
        self.upload(CAMERA, old.name, picture(n))
        old.upload = "gone"
        self._accept(Accepted(n, old.name, picture(n)))

    def remove(self):
        old = next((a for a in self.accepted if a.upload == "there" and a.name.startswith("cp")), None)
        if old and os.path.exists(self.at(old.path)):
            old.upload = "unsure"
            os.unlink(self.at("upload", CAMERA, old.name))
            old.upload = "gone"

    def read_some(self):
        """Fetches; with a small cache each of them evicts."""
        for a in self.accepted[::max(1, len(self.accepted) // 6)]:
            with contextlib.suppress(FileNotFoundError):  # not registered yet
                assert self.read(a.path) == a.data, f"{a.path}: wrong bytes"

    # -- labels

    def _shown(self, label=None):
        """The last one that is in the views: with that label, or never edited."""
        for a in reversed(self.accepted):
            if (a.edits.get(label) if label else not a.edits and not a.label) and os.path.exists(self.at(a.path)):
                return a
        return None

    def _edit(self, a, labels, how):
        """labels: {label: has the picture it afterwards?}"""
        a.edits.update(dict.fromkeys(labels))
        how()
        a.edits.update(labels)

    def label_by_ln(self):
        a = self._shown()
        os.makedirs(self.at("labels/animal/fox"), exist_ok=True)
        if a:
            def link():
                with contextlib.suppress(FileExistsError):  # of a try before
                    os.link(self.at(a.path), self.at("labels/animal/fox", a.stem + ".jpg"))
            self._edit(a, {"animal/fox": True}, link)

    def label_by_mv(self):
        a = self._shown("animal/fox")
        os.makedirs(self.at("labels/animal/wolf"), exist_ok=True)
        if a:
            self._edit(a, {"animal/fox": False, "animal/wolf": True},
                       lambda: os.rename(self._under("animal/fox", a), self.at("labels/animal/wolf", a.stem + ".jpg")))

    def label_by_rm(self):
        a = self._shown("animal/wolf") or self._shown("animal/fox")
        if a:
            label = "animal/wolf" if a.edits.get("animal/wolf") else "animal/fox"
            self._edit(a, {label: False}, lambda: os.unlink(self._under(label, a)))

    def label_by_xattr(self):
        a = self._shown()
        if a:
            self._edit(a, {"thing/box": True, "thing/bag": True},
                       lambda: os.setxattr(self.at(a.path), "user.xdg.tags", b"thing/box,thing/bag"))

    def label_in_sidecar(self):
        """As an editor that writes in place."""
        a = self._shown("thing/box") or self._shown()
        if a:
            text = self.sidecar(a.path)
            text["labels"] = [x for x in text.get("labels", []) if x["value"] != "box"] + [{"kind": "animal", "value": "owl"}]
            self._edit(a, {"thing/box": False, "animal/owl": True}, lambda: self._save_sidecar(a, text))

    def _save_sidecar(self, a, text):
        fd = os.open(os.path.splitext(self.at(a.path))[0] + ".json", os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(fd, json.dumps(text).encode())
        finally:
            os.close(fd)

    def _under(self, label, a):
        return self.at("labels", label, pictures.day(a.taken), a.stem + ".jpg")

    def capture(self):
        with open(self.at("cameras/porch/live.jpg"), "rb") as f:
            data = f.read()
        self.captured.append(pictures.sha256(data))

    def foreign_objects(self):
        """Somebody else's picture in the directory store, found by a scan."""
        if not self.directory:
            return
        self.foreign += 1
        taken = pictures.moment(self.foreign, datetime.datetime(2021, 1, 1, 9, 0, 0, 5))
        where = os.path.join(self.archive, "garden", taken.strftime("%Y/%m/%d"))
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, pictures.stem(taken, "garden") + ".jpg"), "wb") as f:
            f.write(pictures.picture(self.foreign, taken, width=160))
        self.cli("scan", "archive", timeout=60)

    def send_all(self):
        self.cli("sync", "--wait", timeout=60)

    def make_camera(self):
        os.makedirs(self.at("upload", CAMERA), exist_ok=True)

    def steps(self):
        """About 20 uploads of every kind, and the rest of a day."""
        return [self.make_camera, self.by_cp, self.in_place, self.by_rsync, self.by_rename, lambda: self.with_sidecar(True),
                 self.capture, self.by_mtime_only, lambda: self.with_sidecar(False), self.rewrite, self.read_some, self.by_cp,
                 self.foreign_objects, self.remove, self.by_rsync, self.in_place, self.read_some, self.make_query, self.send_all,
                 self.trash, self.by_cp, self.label_by_ln, self.label_by_xattr, self.label_by_mv, self.change_query, self.rewrite,
                 self.freeze, self.by_rename, self.label_by_ln, self.label_in_sidecar, self.rename_query, self.read_some,
                 self.make_query, self.remove, self.in_place, self.freeze, self.capture, self.label_by_rm, self.remove_query,
                 self.remove_dataset, self.empty_trash]

    def early_steps(self):
        """What every version of the catalog knows."""
        return [self.make_camera, self.by_cp, self.in_place, lambda: self.with_sidecar(True), self.label_by_ln, self.label_by_xattr,
                self.by_rsync, self.by_rename, lambda: self.with_sidecar(False), self.by_mtime_only, self.label_in_sidecar]

    def take_over(self, other):
        """Goes on where another one, which is dead, was killed; what it sent is not there."""
        for mine, its in ((self.state, other.state), (self.cache, other.cache)):
            shutil.rmtree(mine, ignore_errors=True)
            shutil.copytree(its, mine, ignore=shutil.ignore_patterns("*.sock"))
        self.accepted, self.unsure, self.serial = copy.deepcopy(other.accepted), set(other.unsure), other.serial

    def session(self):
        """True: it lived to the end."""
        for step in self.steps():
            try:
                step()
            except UNDONE:
                if not self._dies():
                    raise
                return False
        return True

    def second_writer(self):
        """Uploads beside a session, until it dies."""
        while until_it_dies(self.in_place) and until_it_dies(self.by_rename):
            time.sleep(0.05)

    def _dies(self):
        """A step may see the kill before we do."""
        with contextlib.suppress(AssertionError):
            return wait_until(self.died, 5, 0.02)
        return False

    # -- the judge

    def judge(self, wait=20, unpromised=(), notes=False):
        """Starts it again: nothing accepted is lost, nothing is there twice, nothing is left lying about, and what may be lost
        is not there with other bytes.  `notes`: the cache may have what no snapshot needs."""
        began = time.monotonic()
        self.start()
        took = time.monotonic() - began
        self.slowest_start = max(self.slowest_start, took)
        assert took <= START_LIMIT, f"mounted after {took:.1f} s"
        self.judge_running(wait, unpromised, notes)

    def has(self, a):
        """Whole, or not at all."""
        try:
            data = self.read(a.path)
        except OSError as e:  # ESTALE: its row is there and its bytes are not, which its reader is the first to find out
            assert e.errno in (errno.ENOENT, errno.ESTALE), f"{a.path}: {e}"
            return False
        assert data == a.data, f"{a.path} has other bytes"
        return True

    def judge_running(self, wait=20, unpromised=(), notes=False, leftovers=True):
        self.judge_trash()
        self.judge_uploads()
        self.clear_unsure()
        self.judge_snapshots(wait)
        self.judge_named()
        gone = [a.path for a in unpromised if not self.has(a)]
        began = time.time()
        self.cli("sync", "--wait", timeout=100)
        self.judge_stores(began)
        assert not any(os.path.lexists(self.at(path)) for path in gone), "what nobody has is not shown for long"
        if leftovers:
            self.judge_leftovers()
        done = self.cli("fsck", check=False)
        noted = "note: spool" if notes or self.emptied else "note:"  # killed before a copy was dropped
        assert done.returncode == 0 and noted not in done.stdout, done.stdout + done.stderr

    def judge_uploads(self):
        for a in self.accepted:
            if a.thrown:
                continue
            if a.upload == "there":
                assert self.read("upload", CAMERA, a.name) == a.data, f"upload/{CAMERA}/{a.name} has other bytes"
            elif a.upload == "gone":
                with contextlib.suppress(FileNotFoundError):
                    assert self.read("upload", CAMERA, a.name) != a.data, f"upload/{CAMERA}/{a.name} is back"

    def clear_unsure(self):
        """What a kill cut off may be half there: it says so, stays, and would only make us wait."""
        names = set(self.unsure)
        for a in self.accepted:
            if a.upload == "unsure":
                names.add(a.name)
                a.upload = "gone"
        with contextlib.suppress(FileNotFoundError):  # rsync's temporary files
            names.update(n for n in os.listdir(self.at("upload", CAMERA)) if n.startswith("."))
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.at("upload", CAMERA, name))
        self.unsure.clear()

    def judge_snapshots(self, wait):
        shown = [a for a in self.accepted if not a.thrown]
        missing = {a.path for a in shown}
        wait_until(lambda: missing.intersection_update(p for p in list(missing) if not os.path.exists(self.at(p))) or not missing,
                   wait, 0.1, what=lambda: f"{len(missing)} accepted: {sorted(missing)[:5]}\n{self.log_text()[-3000:]}")
        for a in reversed(shown):  # those that were read last in upload/ are in the cache
            assert self.read(a.path) == a.data, f"{a.path} has other bytes"
        for a in shown:
            if a.label:
                wait_until(lambda: a.label in [x["value"] for x in self.sidecar(a.path).get("labels", [])], 5,
                           what=f"the label of {a.path}")
                assert [d["label"]["n"] for d in self.sidecar(a.path)["documents"]] == [a.serial], f"the document of {a.path}"
        self.judge_labels()
        if self.captured:
            there = {pictures.sha256(self.read(p)) for p in self.snapshots("porch")}
            assert set(self.captured) <= there, "a capture is lost"

    def judge_labels(self):
        """As the last edit said that returned; what was cut off is settled one way or the other, a move as a whole."""
        for a in self.accepted:
            if not a.edits:
                continue
            has = set(filter(None, (self.xattr(a.path, "xdg.tags") or "").split(",")))
            wrong = {label: wanted for label, wanted in a.edits.items() if wanted is not None and (label in has) != wanted}
            assert not wrong, f"labels of {a.path} are {has}, accepted were {a.edits}"
            if a.edits.get("animal/fox", 0) is None and a.edits.get("animal/wolf", 0) is None:
                assert ("animal/fox" in has) != ("animal/wolf" in has), f"a move of {a.path} is half done: {has}"
            a.edits = {label: label in has for label in a.edits}
            for label, there in a.edits.items():
                wait_until(lambda: os.path.exists(self._under(label, a)) == there, 10, 0.1,
                           what=f"{self._under(label, a)} to be there: {there}")

    def archive_objects(self):
        """{key: sha256} of the directory store."""
        found = {}
        for where, _, names in os.walk(self.archive):
            for name in names:
                path = os.path.join(where, name)
                st = os.stat(path)
                known = self.seen_objects.get((path, st.st_ino, st.st_mtime_ns))
                if not known:
                    with open(path, "rb") as f:
                        body = f.read()
                    known = self.seen_objects[(path, st.st_ino, st.st_mtime_ns)] = pictures.sha256(body)
                    self.texts[known] = body
                found[os.path.relpath(path, self.archive)] = known
        return found

    def bucket_objects(self):
        """{key: sha256}; what has not changed is read once, and pictures not at all: an entity tag is the MD5 of the bytes there."""
        found = {}
        tags = {f'"{hashlib.md5(a.data).hexdigest()}"': a.sha for a in self.accepted}
        for key, what in self.bucket.list(etags=True).items():
            if what in tags:
                self.seen_objects[key, what] = tags[what]
            elif (key, what) not in self.seen_objects:
                body = self.bucket.get(key)
                self.seen_objects[key, what] = pictures.sha256(body)
                self.texts[pictures.sha256(body)] = body
            found[key] = self.seen_objects[key, what]
        return found

    def judge_stores(self, began):
        """began: before the sync that has ended."""
        stores = ([self.archive_objects()] if self.directory else []) + ([self.bucket_objects()] if self.bucket else [])
        self.judge_emptied(began, stores)
        for objects in stores:
            self.judge_notes(objects)
            shas = collections.Counter(sha for key, sha in objects.items() if key.endswith(".jpg"))
            for sha in [a.sha for a in self.accepted if not a.thrown] + self.captured:
                assert shas[sha] == 1, f"{shas[sha]} objects of one picture: {[k for k, v in objects.items() if v == sha]}"
            for a in self.accepted:
                if not a.thrown:
                    self.judge_objects(a, objects)
            twice = [sha for sha, n in shas.items() if n > 1]
            assert not twice, [k for k, v in objects.items() if v in twice]
            strays = [k for k in objects if not k.endswith((".jpg", ".json")) and not k.startswith(".shutterfs/")]
            assert not strays, strays

    def judge_objects(self, a, objects):
        """Its picture, and beside it a sidecar that says what the last edit said."""
        key = f"{CAMERA}/{a.stem[:4]}/{a.stem[4:6]}/{a.stem[6:8]}/{a.stem}"
        assert objects.get(key + ".jpg") == a.sha and key + ".json" in objects, key
        says = {f"{x['kind']}/{x['value']}" for x in json.loads(self.texts[objects[key + ".json"]]).get("labels", [])}
        wanted = {label for label, there in a.edits.items() if there} | ({f"object/{a.label}"} if a.label else set())
        assert says == wanted, f"{key}.json says {says}, not {wanted}"

    def judge_leftovers(self):
        def files(*parts):
            return [p for p in glob.glob(os.path.join(*parts), recursive=True, include_hidden=True) if os.path.isfile(p)]

        def wrong():
            with contextlib.closing(sqlite3.connect(f"file:{self.state}/catalog.db?mode=ro", uri=True)) as db:
                known = {str(r[0]) for r in db.execute("SELECT id FROM upload WHERE is_dir = 0 AND state != ?", (REGISTERED,))}
                bad = [r[0] for r in db.execute("PRAGMA integrity_check")] + list(db.execute("PRAGMA foreign_key_check"))
            left = set(map(os.path.basename, files(self.state, "upload", "*"))) ^ known
            return ([f"upload/{n}" for n in left] + files(self.state, "spool", "**") + files(self.state, "tmp", "**") +
                    files(self.cache, "tmp", "**") + [b for b in bad if b != "ok"])

        with contextlib.suppress(AssertionError):
            wait_until(lambda: not wrong(), 5, 0.2)
        assert not wrong(), wrong()

