"""datasets/: a query frozen, read by what trains on it, and the same for ever."""
import datetime
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading

import pytest

import pictures
import readers
from processes import run, wait_until

DAYS = 12
QUERY = {"query": {"label": "object/"}, "classes": "object", "seed": 3}


def taken(camera, day, n):
    return datetime.datetime(2024, 3, 1 + day, 8 + (camera == "garden"), n, 0, 5)


def label(value, box=None, kind="object"):
    return {"kind": kind, "value": value, **({"box": box} if box else {})}


LABELS = ([label("car", [0.1, 0.2, 0.3, 0.4]), label("person", [0.5, 0.5, 0.5, 0.5])], [label("person", [0, 0, 1, 1])],
          [label("train")])


def fill(m, days=DAYS):
    """Three pictures a day of two cameras, and one without labels."""
    shots = []
    for camera in ("front", "garden"):
        for day in range(days):
            for n, labels in enumerate(LABELS):
                when, serial = taken(camera, day, n), len(shots)
                m.upload(camera, f"s{serial}.json", json.dumps({"labels": labels}).encode())
                m.upload(camera, f"s{serial}.jpg", pictures.picture(serial, when, "+00:00", width=160))
                shots.append((pictures.stem(when, camera), camera, pictures.day(when), labels))
    m.upload("front", "none.jpg", pictures.picture(9999, datetime.datetime(2024, 5, 1, 8), "+00:00", width=160))
    m.wait_snapshots(len(shots) + 1)
    return shots


def freeze(m, name, query=QUERY):
    os.mkdir(m.at("datasets", name))
    with open(m.at("datasets", name, "query.json"), "w") as f:
        json.dump(query, f)
    return m.at("datasets", name)


def contents(top):
    """{relative path: (mode, size, mtime, hash)} of all below a directory."""
    found = {}
    for where, dirs, files in os.walk(top):
        names = os.listdir(where)
        assert sorted(dirs + files) == sorted(names)
        for name in names:
            path = os.path.join(where, name)
            s = os.lstat(path)
            data = b""
            if stat.S_ISREG(s.st_mode):
                with open(path, "rb") as f:
                    data = f.read()
                assert s.st_size == len(data), path
            found[os.path.relpath(path, top)] = (s.st_mode, s.st_size, hashlib.sha256(data).hexdigest())
    return found


@pytest.fixture
def filled(mount):
    return mount, fill(mount)


@pytest.fixture
def few(mount):
    return mount, fill(mount, 2)


def raises(number, call, *args, **kw):
    with pytest.raises(OSError) as e:
        call(*args, **kw)
    allowed = number if isinstance(number, tuple) else (number,)
    assert e.value.errno in allowed, errno.errorcode.get(e.value.errno)


def test_every_format_is_read(filled):
    m, shots = filled
    d = freeze(m, "d")
    assert m.xattr("datasets/d/query.json", "shutterfs.state") == "frozen"
    assert os.listdir(d) == sorted(os.listdir(d))
    assert set(os.listdir(d)) == {"README.md", "coco", "hf", "imagefolder", "labelstudio", "manifest.jsonl", "query.json",
                                  "yolo"}
    split_of, by_stem = {}, {s[0]: s for s in shots}

    rows = readers.hf_folder(os.path.join(d, "hf"))
    for split, of_split in rows.items():
        for row in of_split:
            stem = row["file_name"][:-4]
            split_of[stem] = split
            boxes = [x["box"] for x in by_stem[stem][3] if "box" in x]
            assert len(row["objects"]["bbox"]) == len(row["objects"]["categories"]) == len(boxes)
            for (x, y, w, h), box in zip(row["objects"]["bbox"], boxes):
                assert x == pytest.approx(box[0] * 160, abs=.01) and w == pytest.approx(box[2] * 160, abs=.01)
    assert set(split_of) == set(by_stem) and len(set(split_of.values())) > 1
    days = {}
    for stem, split in split_of.items():
        assert days.setdefault(by_stem[stem][1:3], split) == split, "a day of a camera is in one split"

    names = {"car": "car", "person": "person", "train": "class=train"}
    for split in rows:
        classes, samples = readers.image_folder(os.path.join(d, "imagefolder", split))
        assert classes == ["car", "class=train", "person"]
        want = sorted((s[0], names[x["value"]]) for s in shots if split_of[s[0]] == split for x in s[3])
        assert sorted((os.path.basename(p)[:-4], classes[n]) for p, n in samples) == want
        for c in classes:
            assert not readers.split_words_in(c)
        for path, _ in samples:
            stem = os.path.basename(path)[:-4]
            _, camera, day, _ = by_stem[stem]
            assert os.stat(path).st_ino == os.stat(m.at("cameras", camera, day, stem + ".jpg")).st_ino

    classes, images = readers.yolo(os.path.join(d, "yolo", "data.yaml"))
    assert classes == {0: "car", 1: "class=train", 2: "person"}
    for split, of_split in images.items():
        hf = {"val": "validation"}.get(split, split)
        if hf not in rows: # another split serves
            continue
        assert {os.path.basename(i)[:-4] for i in of_split} == \
            {s[0] for s in shots if split_of[s[0]] == hf and "box" in s[3][0]}, "without a box nothing can be detected"
        for image, labels in of_split.items():
            want = [(x["box"], x["value"]) for x in by_stem[os.path.basename(image)[:-4]][3]]
            assert [classes[r[0]] for r in labels] == [v for _, v in want]
            for (_, x, y, w, h), (box, _) in zip(labels, want):
                assert (x - w / 2, y - h / 2, w, h) == pytest.approx(box, abs=1e-5)

    for split in ("train", "validation", "test"):
        categories, found = readers.coco(os.path.join(d, "coco", split, "labels.json"), os.path.join(d, "coco", split, "data"))
        assert list(categories.values()) == ["car", "class=train", "person"]
        assert sorted(n[:-4] for n in found) == sorted(s[0] for s in shots if split_of[s[0]] == split and "box" in s[3][0])
        assert sorted(found) == os.listdir(os.path.join(d, "coco", split, "data"))
        for name, boxes in found.items():
            assert [c for c, _ in boxes] == [x["value"] for x in by_stem[name[:-4]][3]]
    assert len(readers.cvat(os.path.join(d, "manifest.jsonl"))) == len(shots)
    assert len(readers.label_studio(os.path.join(d, "labelstudio", "tasks.json"), m.mnt)) == len(shots)

    card = readers.hf_card(os.path.join(d, "README.md"))
    assert [c["config_name"] for c in card["configs"]] == ["default", "imagefolder"]
    for config in card["configs"]:
        assert {f["split"] for f in config["data_files"]} == set(rows)
    features = {f["name"]: f for f in card["dataset_info"][0]["features"]}
    assert features["label"]["dtype"]["class_label"]["names"] == {"0": "car", "1": "class=train", "2": "person"}
    assert set(features) == {"image"} | set(rows["train"][0]) - {"file_name"}


def test_two_freezings_are_the_same(filled):
    m, _ = filled
    assert contents(freeze(m, "a")) == contents(freeze(m, "b"))


def test_frozen_means_frozen(filled):
    m, shots = filled
    before = contents(freeze(m, "d"))
    inode = os.stat(m.at("datasets/d/README.md")).st_ino
    # other labels, other pictures
    for n in range(0, len(shots), 2):
        m.upload(shots[n][1], f"s{n}.json", b'{"labels":[{"kind":"object","value":"wolf"}]}')
    m.upload("front", "new.json", b'{"labels":[{"kind":"object","value":"wolf"}]}')
    m.upload("front", "new.jpg", pictures.picture(5555, datetime.datetime(2024, 3, 1, 12), "+00:00"))
    wait_until(lambda: len([s for s in m.snapshots() if s.endswith(".jpg")]) == len(shots) + 2, 30)
    wait_until(lambda: "wolf" in os.listdir(m.at("labels/object")), 30)
    assert contents(m.at("datasets/d")) == before
    os.rename(m.at("datasets/d"), m.at("datasets/e"))
    assert contents(m.at("datasets/e")) == before
    m.restart()
    assert contents(m.at("datasets/e")) == before
    assert os.stat(m.at("datasets/e/README.md")).st_ino == inode
    m.crash_and_restart()
    assert contents(m.at("datasets/e")) == before
    assert contents(freeze(m, "later")) != before


def test_a_bad_query_says_why_and_can_be_mended(few):
    m, shots = few
    os.mkdir(m.at("datasets/d"))
    assert os.listdir(m.at("datasets/d")) == []

    def write(text):
        with open(m.at("datasets/d/query.json"), "w") as f:
            f.write(text)
            f.flush()
            os.close(os.dup(f.fileno()))

    for text, why in (('{"query":{"label":"object/car"},"split":{"train":-1}}', '"train"'), ('{"camera":', "line 1"),
                      ('{"query":{"after":"never"}}', "after")):
        raises(errno.EINVAL, write, text)
        assert why in m.xattr("datasets/d/query.json", "shutterfs.error")
        assert m.xattr("datasets/d/query.json", "shutterfs.state") == "failed"
        assert m.read("datasets/d/query.json").decode() == text, "the bytes stay"
        assert os.listdir(m.at("datasets/d")) == ["query.json"]
        assert any(e["subject"] == "datasets/d" and why in e["error"] for e in m.errors())
    os.unlink(m.at("datasets/d/query.json"))
    assert os.listdir(m.at("datasets/d")) == [] and m.errors() == []
    raises(errno.ENOENT, os.stat, m.at("datasets/d/imagefolder"))
    write('{"label":"object/car"}')
    assert m.xattr("datasets/d/query.json", "shutterfs.error") is None
    assert len(os.listdir(m.at("datasets/d"))) == 8
    _, samples = readers.image_folder(m.at("datasets/d/imagefolder/train"))
    assert samples and os.stat(m.at("datasets/d/query.json")).st_size == 22
    raises(errno.EROFS, write, '{"label":"object/person"}')


@pytest.mark.parametrize("command", [
    "echo '{\"label\":\"object/car\"}' > {}", "cp q.json {}", "cp -p q.json {}", "cat q.json > {}", "tee {} < q.json >/dev/null",
    "jq . q.json > {}", "(echo '{'; echo '\"label\":\"object/car\"}') > {}", "dd if=q.json of={} bs=5 status=none", "mv q.json {}",
    "rsync --inplace q.json {}", "jq . q.json > {}.tmp && mv {}.tmp {}", "vim.tiny -es -u NONE -c 'read q.json' -c wq {}"])
def test_shells_and_programs_write_it(few, tmp_path, command):
    m, _ = few
    with open(tmp_path / "q.json", "w") as f:
        f.write('{"label":"object/car"}\n')
    os.mkdir(m.at("datasets/d"))
    path = m.at("datasets/d/query.json")
    subprocess.run(["bash", "-c", command.replace("{}", path)], cwd=tmp_path, timeout=60, check=True)
    # who renames it into place does not wait
    wait_until(lambda: m.xattr("datasets/d/query.json", "shutterfs.state") == "frozen", 20)
    if "mv {}" not in command:
        assert len(os.listdir(m.at("datasets/d"))) == 8
    assert os.listdir(m.at("datasets/d/imagefolder")) == ["test", "train", "validation"]
    assert json.loads(m.read("datasets/d/query.json")) == {"label": "object/car"}


def test_names(few):
    m, _ = few
    for name in ("b", "a", "c d", "žluť"):
        freeze(m, name, {"camera": "front"})
    assert os.listdir(m.at("datasets")) == ["a", "b", "c d", "žluť"]
    raises(errno.EEXIST, os.mkdir, m.at("datasets/a"))
    raises(errno.ENOTEMPTY, os.rename, m.at("datasets/a"), m.at("datasets/b"))
    raises((errno.EXDEV, errno.EROFS, errno.EPERM), os.rename, m.at("datasets/a"), m.at("labels/a"))
    os.mkdir(m.at("datasets/new"))
    os.rename(m.at("datasets/a"), m.at("datasets/new"))
    assert os.listdir(m.at("datasets")) == ["b", "c d", "new", "žluť"]
    os.rmdir(m.at("datasets/b"))
    raises(errno.ENOENT, os.stat, m.at("datasets/b"))
    os.mkdir(m.at("datasets/b"))
    assert os.listdir(m.at("datasets/b")) == []
    m.restart()
    assert os.listdir(m.at("datasets")) == ["b", "c d", "new", "žluť"]
    assert os.listdir(m.at("datasets/b")) == []
    with open(m.at("datasets/new/README.md")) as f:
        assert "# 7 pictures" in f.read()


def test_nothing_but_scratch_can_be_made(few):
    m, _ = few
    d = freeze(m, "d")
    refused = (errno.EROFS, errno.EPERM)
    for path in ("x", "imagefolder/x", "imagefolder/train/car/x.jpg", "hf/train/x.npy", "yolo/x", "yolo/x.txt", "yolo/.cache",
                 "coco/train/x.cache", "yolo/images/train/x.jpg", "README.md/x"):
        raises((*refused, errno.ENOTDIR), open, os.path.join(d, path), "w")
    for path in ("x", "imagefolder/train/x", "yolo/x.npy"):
        raises(refused, os.mkdir, os.path.join(d, path))
    for path in ("README.md", "yolo/data.yaml", "query.json", "manifest.jsonl"):
        raises(refused, os.unlink, os.path.join(d, path))
        raises(errno.EROFS, open, os.path.join(d, path), "r+")
        raises(refused, os.rename, os.path.join(d, path), os.path.join(d, "z"))
    picture = os.path.join(d, "imagefolder/train/car", os.listdir(os.path.join(d, "imagefolder/train/car"))[0])
    raises(refused, os.unlink, picture)
    raises(errno.EROFS, open, picture, "r+")
    raises(refused, os.rmdir, os.path.join(d, "imagefolder"))


def test_scratch_files_of_trainers(few):
    """What Ultralytics does: np.save("x.cache.npy"), rename to "x.cache"; with cache=disk, x.npy beside the pictures."""
    m, _ = few
    d = freeze(m, "d")
    labels = os.path.join(d, "yolo/labels")
    for round_ in range(2):
        data = os.urandom(300000)
        if os.path.exists(os.path.join(labels, "train.cache")):
            os.unlink(os.path.join(labels, "train.cache"))
        with open(os.path.join(labels, "train.cache.npy"), "wb") as f:
            f.write(data)
        os.rename(os.path.join(labels, "train.cache.npy"), os.path.join(labels, "train.cache"))
        assert os.listdir(labels) == ["test", "train", "val", "train.cache"]
        with open(os.path.join(labels, "train.cache"), "rb") as f:
            assert f.read() == data
    image = os.path.join(d, "yolo/images/train", os.listdir(os.path.join(d, "yolo/images/train"))[0])
    npy = image[:-4] + ".npy"
    with open(npy, "wb") as f:
        f.write(b"x" * 1000)
        f.seek(10)
        f.write(b"y")
    os.truncate(npy, 500)
    os.utime(npy, (1700000000, 1700000000))
    m.restart()
    with open(npy, "rb") as f:
        assert f.read() == b"x" * 10 + b"y" + b"x" * 489
    assert os.stat(npy).st_mtime == 1700000000
    with open(os.path.join(labels, "train.cache"), "rb") as f:
        assert f.read() == data
    with open(npy, "ab") as f:
        f.write(b"z")
    assert os.stat(npy).st_size == 501
    # they are no pictures, and no labels
    readers.yolo(os.path.join(d, "yolo/data.yaml"))
    os.unlink(npy)
    raises(errno.ENOENT, os.stat, npy)
    os.rmdir(d)
    wait_until(lambda: not os.listdir(os.path.join(m.state, "datasets")), 20)


def test_a_picture_that_is_gone_stays_and_cannot_be_read(filled):
    m, shots = filled
    d = freeze(m, "d")
    m.sync()
    m.cli("scan", "archive") # it has shown that it has them
    stem, camera, day, _ = shots[0]
    before = {p: v[:2] for p, v in contents(d).items()}
    texts = {p: v for p, v in contents(d).items() if not p.endswith(".jpg")}
    key = next(r["key"] for r in m.sidecar(f"cameras/{camera}/{day}/{stem}.jpg")["replicas"])
    os.unlink(os.path.join(m.archive, key))
    os.unlink(os.path.join(m.archive, os.path.splitext(key)[0] + ".json"))
    m.cli("scan", "archive")
    wait_until(lambda: not os.path.exists(m.at("cameras", camera, day, stem + ".jpg")), 20)
    lost = [p for p in before if p.endswith(stem + ".jpg")]
    assert len(lost) > 3
    for path in lost:
        s = os.stat(os.path.join(d, path))
        assert s.st_size == before[path][1] and s.st_blocks == 0
        assert os.path.basename(path) in os.listdir(os.path.dirname(os.path.join(d, path)))
        raises(errno.EIO, lambda: open(os.path.join(d, path), "rb").read())
    assert {p: (os.lstat(os.path.join(d, p)).st_mode, os.lstat(os.path.join(d, p)).st_size) for p in before} == before
    for path, value in texts.items():
        if stat.S_ISREG(value[0]):
            with open(os.path.join(d, path), "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == value[2]


def test_another_worker_goes_on(filled):
    """Open files of a frozen dataset outlive the program behind the mount, and so does a freezing."""
    m, _ = filled
    d = freeze(m, "d")
    before = contents(d)
    image = os.path.join(d, "yolo/images/train", os.listdir(os.path.join(d, "yolo/images/train"))[0])
    with open(os.path.join(d, "README.md"), "rb") as readme, open(os.path.join(d, "query.json"), "rb") as query, \
            open(image[:-4].replace("/images/", "/labels/") + ".txt", "rb") as boxes, open(image[:-4] + ".npy", "wb") as npy:
        npy.write(b"a" * 5000)
        npy.flush()
        m.replace_worker()
        npy.write(b"b")
        assert hashlib.sha256(readme.read()).hexdigest() == before["README.md"][2]
        assert json.loads(query.read()) == QUERY
        assert len(boxes.read().split()) % 5 == 0
    assert os.stat(image[:-4] + ".npy").st_size == 5001
    os.unlink(image[:-4] + ".npy")
    os.mkdir(m.at("datasets/e"))
    asked = threading.Event()

    def ask():
        fd = os.open(m.at("datasets/e/query.json"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, json.dumps(QUERY).encode())
        asked.set()
        os.close(fd)

    writer = threading.Thread(target=ask)
    writer.start()
    asked.wait(30)
    wait_until(lambda: m.xattr("datasets/e/query.json", "shutterfs.state") in ("freezing", "frozen"), 20, 0.001)
    m.replace_worker()
    writer.join(60)
    wait_until(lambda: m.xattr("datasets/e/query.json", "shutterfs.state") == "frozen", 30)
    assert contents(m.at("datasets/e")) == before


def test_prefetch_of_a_dataset(filled):
    m, shots = filled
    d = freeze(m, "d")
    m.sync()
    shutil.rmtree(os.path.join(m.cache, "blobs"))

    def here():
        return sum(os.stat(os.path.join(d, "hf", s, n)).st_blocks > 0 for s in os.listdir(os.path.join(d, "hf"))
                   for n in os.listdir(os.path.join(d, "hf", s)) if n.endswith(".jpg"))

    split = next(s for s in ("validation", "test") if os.listdir(os.path.join(d, "imagefolder", s)))
    one = os.listdir(os.path.join(d, "imagefolder", split, "car"))
    m.cli("prefetch", os.path.join(d, "imagefolder", split, "car", one[0]))
    m.cli("prefetch", os.path.join(d, "imagefolder", split, "car"))
    m.cli("prefetch", os.path.join(d, "yolo/images", {"validation": "val"}.get(split, split)))
    m.cli("prefetch", d)
    assert m.cli("prefetch", os.path.join(d, "imagefolder", split, "nothing"), check=False).returncode == 1
    assert here() == len(shots)


def test_datasets_come_back_from_the_stores(filled):
    """Names, bytes and splits of a dataset that only the store has any more."""
    m, shots = filled
    before = contents(freeze(m, "d"))
    freeze(m, "renamed", {"camera": "garden"})
    os.rename(m.at("datasets/renamed"), m.at("datasets/e"))
    freeze(m, "removed", {"camera": "garden"})
    os.rmdir(m.at("datasets/removed"))
    m.upload(shots[0][1], "s0.json", b'{"labels":[{"kind":"object","value":"wolf"}]}')
    wait_until(lambda: "wolf" in os.listdir(m.at("labels/object")), 30)
    m.sync()
    m.stop()
    shutil.rmtree(m.state)
    shutil.rmtree(m.cache)
    m.cli("rebuild")
    m.start()
    wait_until(lambda: os.listdir(m.at("datasets")) == ["d", "e"], 30, what=lambda: os.listdir(m.at("datasets")))
    wait_until(lambda: m.xattr("datasets/d/query.json", "shutterfs.state") == "frozen" and
               m.xattr("datasets/e/query.json", "shutterfs.state") == "frozen", 30)
    assert contents(m.at("datasets/d")) == before
    _, samples = readers.image_folder(m.at("datasets/d/imagefolder/train"))
    for path, _ in samples:
        with open(path, "rb") as f:
            assert len(f.read()) == os.stat(path).st_size
