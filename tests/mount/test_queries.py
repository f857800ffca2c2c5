"""queries/: a directory per query, with the pictures that match now, labels.json and duplicates.json."""
import errno
import json
import os
import shutil
import stat

import pytest

import collection
import pictures
from processes import run, wait_until

FILES = ["duplicates.json", "labels.json", "query.json"]


def ask(m, name, query):
    os.makedirs(m.at("queries", name), exist_ok=True)
    with open(m.at("queries", name, "query.json"), "w") as f:
        f.write(query if isinstance(query, str) else json.dumps(query))


def found(m, name):
    return [n for n in os.listdir(m.at("queries", name)) if n not in FILES]


def add_labelled(m, camera, n, sidecar):
    m.upload(camera, f"{n}.json", json.dumps(sidecar).encode())
    m.upload(camera, f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    stem = pictures.stem(pictures.moment(n), camera)
    wait_until(lambda: os.path.exists(m.at("cameras", camera, pictures.day(pictures.moment(n)), stem + ".jpg")), 30)
    return stem + ".jpg"


def test_a_query_is_a_directory(mount):
    shots = collection.fill(mount)
    assert os.listdir(mount.at("queries")) == [] and stat.S_IMODE(os.stat(mount.at("queries")).st_mode) == 0o755
    os.mkdir(mount.at("queries/people"))
    assert os.listdir(mount.at("queries/people")) == []
    ask(mount, "people", {"label": "object/person"})
    people = [s for s in shots if ("object", "person") in s.labels]
    assert os.listdir(mount.at("queries/people")) == [s.stem + ".jpg" for s in people] + FILES
    for s in people:
        here = os.stat(mount.at("queries/people", s.stem + ".jpg"))
        there = os.stat(mount.at(s.path))
        assert (here.st_ino, here.st_size, here.st_mtime) == (there.st_ino, there.st_size, there.st_mtime)
        assert mount.read("queries/people", s.stem + ".jpg") == s.data
        assert mount.json("queries/people", s.stem + ".json")["camera"] == s.camera, "sidecars are ghosts"
    assert not os.path.exists(mount.at("queries/people", shots[-1].stem + ".jpg"))
    with os.scandir(mount.at("queries/people")) as entries:
        assert all(e.is_file(follow_symlinks=False) and e.inode() == os.stat(e.path).st_ino for e in entries)
    assert mount.json("queries/people/query.json") == {"label": "object/person"}
    assert os.listdir(mount.at("queries")) == ["people"]


def test_labels_and_duplicates(mount):
    collection.fill(mount)
    doc = {"label": {"created_by": "auto", "label_direction": 2, "label_speed": 1}, "note": "ž\n"}
    add_labelled(mount, "car", 50, {"documents": [doc]})
    add_labelled(mount, "car", 51, {"documents": [doc, dict(doc, label=dict(doc["label"], label_speed=2))]})
    ask(mount, "left", {"label.label_direction": {"type": "range", "gte": 2}})
    assert len(found(mount, "left")) == 2
    labels, one, two = mount.json("queries/left/labels.json"), *(pictures.img_id(pictures.moment(n)) for n in (50, 51))
    assert list(labels) == [one, two]
    assert labels[one]["note"] == "ž\n" and len(labels[one]["label_fingerprint"]) == 32
    assert [d["label"]["label_speed"] for d in labels[two]] == [1, 2]
    assert mount.json("queries/left/duplicates.json") == {two: labels[two]}
    for name in FILES:
        path = mount.at("queries/left", name)
        assert os.stat(path).st_size == len(mount.read("queries/left", name)) > 0
        assert int(run(["wc", "-c", path]).stdout.split()[0]) == os.stat(path).st_size
    assert len(mount.json("queries/left/labels.json")) == int(run(["jq", "length", mount.at("queries/left/labels.json")]).stdout)


def test_it_is_always_current(mount):
    shots = collection.fill(mount)
    ask(mount, "cars", '{"label":"object/car"}')
    ask(mount, "others", '{"label":{"type":"term","query":"object/car","bool":"must_not"}}')
    before = found(mount, "cars")
    assert len(before) == 2 and len(found(mount, "others")) == len(shots) - 2
    assert len(mount.json("queries/cars/labels.json")) == 2
    new = add_labelled(mount, "yard", 60, {"labels": ["object/car"]})
    assert found(mount, "cars") == sorted(before + [new])
    assert len(mount.json("queries/cars/labels.json")) == 3
    ask(mount, "cars", '{"camera":"yard"}')
    assert found(mount, "cars") == [new]
    wait_until(lambda: not os.path.exists(mount.at("queries/cars", before[0])), 10)


def test_names_that_were_looked_up_follow(mount):
    """What the kernel remembers of a name, there or not, is soon what is so."""
    shots = collection.fill(mount)
    ask(mount, "q", '{"camera":"front"}')
    front, garage = (next(s.stem + ".jpg" for s in shots if s.camera == c) for c in ("front", "garage"))
    assert os.path.exists(mount.at("queries/q", front)) and not os.path.exists(mount.at("queries/q", garage))
    ask(mount, "q", '{"camera":"garage"}')
    wait_until(lambda: not os.path.exists(mount.at("queries/q", front)), 10)
    wait_until(lambda: os.path.exists(mount.at("queries/q", garage)), 10)


@pytest.mark.parametrize("text,why", [("{", "line 1, column 2"), ('{"camra":"x"}', '"camra" is no field'), ("", "it is empty"),
                                      ('{"a":{"type":"no"}}', '"no" is no type'), (" " * 70000, "longer than 64 KiB")])
def test_a_wrong_query_is_kept_and_told(mount, text, why):
    collection.fill(mount)
    ask(mount, "q", "{}")
    assert found(mount, "q")
    ask(mount, "q", text)
    assert mount.read("queries/q/query.json").decode() == text
    assert why in mount.xattr("queries/q/query.json", "shutterfs.error")
    assert why in mount.xattr("queries/q", "shutterfs.error")
    assert os.listdir(mount.at("queries/q")) == ["query.json"]
    assert any(e["subject"] == "queries/q/query.json" and why in e["error"] for e in mount.errors())
    ask(mount, "q", "{}")
    assert mount.xattr("queries/q/query.json", "shutterfs.error") is None and not mount.errors()
    assert found(mount, "q")


def test_every_way_of_writing_it(mount):
    shots = collection.fill(mount)
    front = [s.stem + ".jpg" for s in shots if s.camera == "front"]
    path, draft = mount.at("queries/q/query.json"), mount.path("draft.json")
    with open(draft, "w") as f:
        f.write('{"camera":"garage"}')
    os.mkdir(mount.at("queries/q"))
    shutil.copy(draft, path)
    assert len(found(mount, "q")) == 3
    run(["sed", "-i", "s/garage/front/", path])
    assert found(mount, "q") == front
    run(["sh", "-c", f"echo '{{\"camera\":\"nobody\"}}' > {path}"])
    assert found(mount, "q") == []
    run(["sh", "-c", f"jq '.camera=\"front\"' {path} > {draft} && cp {draft} {path}"])
    assert found(mount, "q") == front
    run(["mv", draft, path])
    assert found(mount, "q") == front
    for backup in ("yes", "no"):
        run(["vim.tiny", "-es", "-u", "NONE", "-c", f"set backupcopy={backup} writebackup", "-c", "%s/front/garage/", "-c", "wq", path])
        assert len(found(mount, "q")) == 3
        run(["vim.tiny", "-es", "-u", "NONE", "-c", "%s/garage/front/", "-c", "wq", path])
        assert found(mount, "q") == front
    os.unlink(path)
    assert os.listdir(mount.at("queries/q")) == []
    with open(path, "x") as f:
        f.write("{}")
    assert len(found(mount, "q")) == len(shots)
    os.truncate(path, 0)
    assert os.listdir(mount.at("queries/q")) == ["query.json"]


def test_names(mount):
    collection.fill(mount)
    ask(mount, "žlutá auta", '{"label":"object/car"}')
    ask(mount, "b", "{}")
    inode = os.stat(mount.at("queries/b")).st_ino
    os.rename(mount.at("queries/b"), mount.at("queries/c"))
    assert os.listdir(mount.at("queries")) == ["c", "žlutá auta"] and os.stat(mount.at("queries/c")).st_ino == inode
    assert found(mount, "c")
    with pytest.raises(FileExistsError):
        os.mkdir(mount.at("queries/c"))
    with pytest.raises(OSError) as e:
        os.rename(mount.at("queries/c"), mount.at("queries/žlutá auta"))
    assert e.value.errno == errno.ENOTEMPTY
    with pytest.raises(OSError) as e:
        os.mkdir(mount.at("queries", "x" * 200))
    assert e.value.errno == errno.ENAMETOOLONG
    with pytest.raises(PermissionError):
        os.unlink(mount.at("queries/c", found(mount, "c")[0]))
    with pytest.raises(PermissionError):
        os.unlink(mount.at("queries/c/labels.json"))
    with pytest.raises(OSError):
        open(mount.at("queries/c/note.txt"), "w")
    with pytest.raises(OSError):
        open(mount.at("queries/c/labels.json"), "w")
    os.rmdir(mount.at("queries/c"))
    assert os.listdir(mount.at("queries")) == ["žlutá auta"]
    assert not os.path.exists(mount.at("queries/c")) and len(mount.snapshots()) == 6, "no picture went with it"
    mount.restart()
    assert os.listdir(mount.at("queries")) == ["žlutá auta"] and len(found(mount, "žlutá auta")) == 2
    os.mkdir(mount.at("queries/d"))
    assert os.stat(mount.at("queries/d")).st_ino != inode, "a number is not given twice"


def test_programs_walk_it(mount):
    """find, tar, rsync and cp -r of a query, and listings that are read in small pieces."""
    shots = collection.fill(mount)
    mount.sync()  # labels.json shows sidecars, and those what the stores have
    ask(mount, "all", "{}")
    names = sorted([s.stem + ".jpg" for s in shots] + FILES)
    assert sorted(run(["find", mount.at("queries/all"), "-type", "f", "-printf", "%f\n"]).stdout.split()) == names
    run(["cp", "-r", mount.at("queries/all"), mount.path("copy")])
    assert sorted(os.listdir(mount.path("copy"))) == names
    assert run(["rsync", "-a", "--itemize-changes", mount.at("queries/all/"), mount.path("synced/")]).stdout.count("\n") >= len(names)
    assert run(["rsync", "-a", "--itemize-changes", mount.at("queries/all/"), mount.path("synced/")]).stdout == ""
    run(["tar", "-cf", mount.path("all.tar"), "-C", mount.at("queries"), "all"])
    assert len(run(["tar", "-tf", mount.path("all.tar")]).stdout.split()) == len(names) + 1


def test_the_stores_keep_it(mount):
    """After the state is lost, rebuild brings queries back; what was renamed or removed stays so."""
    shots = collection.fill(mount)
    ask(mount, "a", '{"label":"object/car"}')
    ask(mount, "b", "{ not yet")
    ask(mount, "c", "{}")
    os.rename(mount.at("queries/a"), mount.at("queries/žlutá auta"))
    os.rmdir(mount.at("queries/c"))
    mount.sync()
    wait_until(lambda: not mount.status()["queue"]["waiting"], 30)
    mount.stop()
    for name in (mount.state, mount.cache):
        shutil.rmtree(name)
    mount.cli("rebuild")
    mount.start()
    assert os.listdir(mount.at("queries")) == ["b", "žlutá auta"]
    assert found(mount, "žlutá auta") == sorted(s.stem + ".jpg" for s in shots if ("object", "car") in s.labels)
    assert mount.read("queries/b/query.json") == b"{ not yet" and found(mount, "b") == []
