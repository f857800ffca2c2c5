"""Objects that other writers put into a bucket or directory: found, named, watched, never downloaded by looking."""
import os

import pytest

import pictures
import swift as swifts
from processes import wait_until


@pytest.mark.limit(400)
def test_2000_pictures_of_rclone(make_mount, bucket, tmp_path):
    """2,000 pictures under camera/yyyy/mm/dd/: half with our names, half with whatever the writer chose."""
    expected = {}
    for n in range(2000):
        name = ("front", "garage", "door", "street")[n % 4]
        taken = pictures.moment(n, step=433)
        data = pictures.picture(n, taken, "+00:00")
        ours = n % 8 < 4
        where = tmp_path / "src" / name / pictures.day(taken).replace("-", "/")
        where.mkdir(parents=True, exist_ok=True)
        (where / (pictures.stem(taken, name) + ".jpg" if ours else f"IMG{n:05d}.jpg")).write_bytes(data)
        expected.setdefault((name, pictures.day(taken)), []).append((pictures.stem(taken, name) if ours else None, data))
    bucket.rclone_copy(tmp_path / "src")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    bucket.proxy.forget()
    m.cli("scan", "cloud", timeout=300)
    assert bucket.proxy.gets() == [] and bucket.proxy.seen("HEAD") == [], "a scan lists, it does not look inside"
    assert sorted(os.listdir(m.at("cameras"))) == ["door", "front", "garage", "street"]
    one, by_date = None, {}
    for (name, day), items in expected.items():
        y, mo, d = day.split("-")
        sizes = {}
        for e in os.scandir(m.at("cameras", name, day)):
            if e.name.endswith(".jpg"):
                sizes[e.name[:-4]] = e.stat().st_size
        assert sorted(sizes.values()) == sorted(len(data) for _, data in items)
        for stem, data in items:
            if stem:
                assert sizes[stem] == len(data)
                one = one or (f"cameras/{name}/{day}/{stem}.jpg", data)
        by_date.setdefault(f"dates/{y}/{mo}/{d}", set()).update(sizes)
    for where, stems in by_date.items():
        assert {n[:-4] for n in os.listdir(m.at(where))} == stems
    status = m.status()
    assert status["snapshots"] == 2000 and status["fetch"]["bytes"] == 0 and status["fetch"]["requests"] == 0
    assert status["stores"][0]["objects"] == 2000 and status["stores"][0]["last_scan"]
    bucket.proxy.forget()
    assert m.read(one[0]) == one[1]
    assert [r.key.endswith(os.path.basename(one[0])) for r in bucket.proxy.gets()] == [True]
    assert m.read(one[0]) == one[1]
    assert len(bucket.proxy.gets()) == 1
    m.cli("scan", "cloud", timeout=300)
    assert m.status()["snapshots"] == 2000, "a second scan finds nothing new"


def test_new_changed_and_deleted_objects_are_noticed(make_mount, bucket):
    made = swifts.fill(bucket, 6)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    paths = list(made)
    for path in paths[:3]:
        m.read(path)
    inode = os.stat(m.at(paths[0])).st_ino
    for path in (paths[0], paths[3]):   # one cached, one not
        made[path] = pictures.picture(900, width=480)
        bucket.put(swifts.key_of(path), made[path])
    for path in (paths[1], paths[4]):
        bucket.delete(swifts.key_of(path))
        del made[path]
    made.update(swifts.fill(bucket, 2, start=50))
    m.cli("scan", "cloud")
    assert m.snapshots() == sorted(made)
    for path, data in made.items():
        assert os.stat(m.at(path)).st_size == len(data)
        assert m.read(path) == data
        assert m.sidecar(path)["sha256"] == pictures.sha256(data)
    assert os.stat(m.at(paths[0])).st_ino == inode
    for path in (paths[1], paths[4]):
        assert not os.path.exists(m.at(path))


def test_scan_on_schedule(make_mount, bucket):
    m = make_mount(stores=bucket.config(scan="1s"), env=bucket.env())
    made = swifts.fill(bucket, 2)
    wait_until(lambda: m.snapshots() == sorted(made), 20)


def test_sidecar_objects_bring_labels(make_mount, bucket):
    made = swifts.fill(bucket, 2)
    first, second = made
    bucket.put(swifts.key_of(first)[:-4] + ".json", b'{"labels":[{"kind":"object","value":"fox","score":0.5}],"starred":true}')
    bucket.put(swifts.key_of(second)[:-4] + ".json", b'{"labels": [broken')
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud", check=False)
    assert m.snapshots() == sorted(made)
    stem, day = os.path.basename(first), first.split("/")[2]
    wait_until(lambda: os.path.exists(m.at("labels/object/fox", day, stem)), 10)
    assert os.path.exists(m.at("starred", day, stem))
    assert m.sidecar(first)["labels"][0]["value"] == "fox"
    assert [e for e in m.errors() if swifts.key_of(second)[:-4] in e["subject"] and "json" in (e["subject"] + e["error"]).lower()]
    assert m.status()["fetch"]["bytes"] == 0, "sidecars are not pictures"
    bucket.put(swifts.key_of(first)[:-4] + ".json", b'{"labels":[{"kind":"object","value":"owl"}]}')
    m.cli("scan", "cloud", check=False)
    wait_until(lambda: os.listdir(m.at("labels/object")) == ["owl"], 10)


HOSTILE = ["../escape.jpg", "front/2024/03/05/../../../../escape.jpg", "..", "front/../front/2024/03/05/x.jpg",
           "front/2024/03/05/.jpg", "/abs.jpg", "front//2024/03/05/x.jpg", "front/2024/13/45/bad-date.jpg",
           "front/2024/03/05/a\x01b\x1b[31m.jpg", "front/2024/03/05/new\nline.jpg", "front/2024/03/05/" + "n" * 300 + ".jpg",
           "c" * 300 + "/2024/03/05/x.jpg", "front/2024/03/05/..jpg", "x.jpg", "front/2024/03/05/\u202egpj.exe.jpg"]


def test_hostile_keys_harm_nothing(make_mount, bucket):
    made = swifts.fill(bucket, 3)
    data = pictures.picture(77)
    there = set()
    for name in HOSTILE:
        try:
            bucket.put(name, data)
            there.add(name)
        except AssertionError:
            pass   # the server itself refuses it
    assert len(there) >= 8, there
    m = make_mount(stores=bucket.config(), env=bucket.env())
    done = m.cli("scan", "cloud", check=False)
    assert done.returncode in (0, 1)
    for path, bytes_ in made.items():
        assert m.read(path) == bytes_
    for where, folders, files in os.walk(m.mnt):
        for name in folders + files:
            assert name.isprintable() and len(name.encode()) <= 255 and name not in (".", "..")
    said = "\n".join(e["subject"] + " " + e["error"] for e in m.errors())
    assert any("n" * 50 in e["subject"] for e in m.errors()), said
    assert any("escape" in e["subject"] for e in m.errors()), said
    for text in (m.read(".shutterfs/errors.json").decode(), m.log_text(), done.stdout + done.stderr):
        assert "\x1b[31m" not in text and "\x01" not in text, "control characters are never printed"
    for name in ("escape.jpg", "abs.jpg"):
        assert not os.path.exists(m.path(name)) and not os.path.exists("/" + name)
    m.upload("front", "fine.jpg", pictures.picture(5000, pictures.moment(5000), "+00:00"))
    m.sync()


def test_objects_that_are_no_pictures(make_mount, bucket):
    """Only a read can tell; the read fails, everything else goes on."""
    made = swifts.fill(bucket, 2)
    liar = "cameras/front/2024-03-05/20240305T23-00-00-000000_front.jpg"
    bucket.put(swifts.key_of(liar), b"<html>not found</html>")
    bucket.put("front/2024/03/05/notes.txt", b"hello")
    bucket.put("front/2024/03/05/empty.jpg", b"")
    m = make_mount(stores=bucket.config(), env=bucket.env(), more="fetch_deadline = 3s")
    m.cli("scan", "cloud", check=False)
    with pytest.raises(OSError):
        m.read(liar)
    for path, data in made.items():
        assert m.read(path) == data
    assert not [p for p in m.snapshots() if "notes" in p]


def test_prefix_confines_the_store(make_mount, bucket):
    swifts.fill(bucket, 2)
    bucket.put("mine/front/2024/03/05/20240305T10-00-00-000000_front.jpg", pictures.picture(3))
    m = make_mount(stores=bucket.config(prefix="mine/"), env=bucket.env())
    m.cli("scan", "cloud")
    assert m.snapshots() == ["cameras/front/2024-03-05/20240305T10-00-00-000000_front.jpg"]
    m.upload("front", "new.jpg", pictures.picture(50, pictures.moment(50), "+00:00"))
    m.sync()
    assert len([k for k in bucket.list() if not k.startswith("mine/")]) == 2
    assert len(bucket.list()) == 5


def test_other_layouts(make_mount, bucket):
    bucket.put("2024-03-05/front/20240305T10-00-00-000000_front.jpg", pictures.picture(3))
    m = make_mount(stores=bucket.config(layout="{yyyy}-{mm}-{dd}/{camera}/{stem}.jpg"), env=bucket.env())
    m.cli("scan", "cloud")
    assert m.snapshots() == ["cameras/front/2024-03-05/20240305T10-00-00-000000_front.jpg"]
    m.upload("back", "a.jpg", pictures.picture(4, pictures.moment(4), "+00:00"))
    m.sync()
    stem = pictures.stem(pictures.moment(4), "back")
    assert f"2024-03-05/back/{stem}.jpg" in bucket.list() and f"2024-03-05/back/{stem}.json" in bucket.list()


def test_a_directory_store_is_scanned_and_read_in_place(mount):
    made = {}
    for n in range(5):
        taken = pictures.moment(n)
        stem, day = pictures.stem(taken, "front"), pictures.day(taken)
        where = os.path.join(mount.archive, "front", day.replace("-", "/"))
        os.makedirs(where, exist_ok=True)
        made[f"cameras/front/{day}/{stem}.jpg"] = pictures.picture(n, taken, "+00:00")
        with open(os.path.join(where, stem + ".jpg"), "wb") as f:
            f.write(made[f"cameras/front/{day}/{stem}.jpg"])
    os.symlink("/etc/passwd", os.path.join(mount.archive, "front/evil.jpg"))
    os.symlink("/", os.path.join(mount.archive, "root"))
    mount.cli("scan", "archive", check=False)
    assert mount.snapshots() == sorted(made)
    for path, data in made.items():
        assert mount.read(path) == data
    assert mount.status()["cache"]["files"] <= len(made)
