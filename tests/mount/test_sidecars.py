"""What a sidecar says, extended attributes, and labels as directories."""
import datetime
import hashlib
import json
import os

import collection
import pictures
from processes import run, wait_until

KEYS = {"schema", "img_id", "file", "camera", "taken", "time_source", "mime", "size", "sha256", "width", "height",
        "starred", "state", "replicas"}


def test_sidecar_follows_the_schema(mount):
    shots = collection.fill(mount)
    mount.sync()
    for shot in shots:
        s = mount.sidecar(shot.path)
        assert KEYS <= set(s), KEYS - set(s)
        assert s["schema"] == "shutterfs/1" and s["img_id"] == pictures.img_id(shot.taken)
        assert s["file"] == shot.stem + ".jpg" and s["camera"] == shot.camera
        taken = datetime.datetime.fromisoformat(s["taken"])
        assert taken == shot.taken.replace(tzinfo=datetime.timezone.utc)
        assert s["time_source"] == "exif" and s["mime"] == "image/jpeg"
        assert s["size"] == len(shot.data) and s["sha256"] == pictures.sha256(shot.data)
        assert s["width"] == 320 and s["height"] > 100
        assert s["starred"] is shot.starred
        assert s["state"] == "synced"
        assert [r["store"] for r in s["replicas"]] == ["archive"]
        assert os.path.exists(os.path.join(mount.archive, s["replicas"][0]["key"]))
        if shot.labels or shot.starred:
            assert [(x["kind"], x["value"]) for x in s["labels"]] == shot.labels
            assert all(x["score"] == 0.93 and x["box"] == collection.BOX and x["by"] == "test" for x in s["labels"])
            assert s["vendor_key"] == {"kept": True, "number": 1.5}
        else:
            assert "labels" not in s, "nobody looked"


def test_looked_and_found_nothing_is_not_nobody_looked(mount):
    mount.upload("front", "a.json", b'{"labels":[]}')
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    mount.upload("front", "b.jpg", pictures.picture(2, pictures.moment(2), "+00:00"))
    a, b = mount.wait_snapshots(2)
    wait_until(lambda: mount.sidecar(a).get("labels") == [], 10)
    assert "labels" not in mount.sidecar(b)
    assert os.listdir(mount.at("labels")) == []


def test_documents_and_big_numbers_are_kept_as_given(mount):
    given = ('{"documents":[{"label_fingerprint":"f00d","created_by":"auto","label":{"label_speed":1}}],'
             '"event":{"id":"1607123955.475377-mxklsc","big":"90071992547409931"},"extra":{"note":"žluťoučký"},'
             '"unknown":[1,2.50,{"deep":null}]}')
    mount.upload("front", "a.json", given.encode())
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = mount.wait_snapshots(1)[0]
    s = mount.sidecar(path)
    forged, documents = json.loads(given)["documents"][0], s.pop("documents")
    text = f"{s['img_id']}autoNone1NoneNone"
    assert documents == [{**forged, "label_fingerprint": hashlib.md5(text.encode()).hexdigest()}]
    for key, value in json.loads(given).items():
        assert key == "documents" or s[key] == value, key


def test_xattrs(mount):
    shots = collection.fill(mount)
    mount.sync()
    for shot in shots:
        for name in shot.names:
            assert mount.xattr(name, "shutterfs.state") == "synced"
            assert mount.xattr(name, "shutterfs.sha256") == pictures.sha256(shot.data)
            assert mount.xattr(name, "shutterfs.camera") == shot.camera
            assert mount.xattr(name, "shutterfs.taken") == mount.sidecar(shot.path)["taken"]
            assert mount.xattr(name, "shutterfs.error") is None
            assert mount.xattr(name, "mime_type") == "image/jpeg"
            tags = set(filter(None, (mount.xattr(name, "xdg.tags") or "").split(",")))
            assert tags == {f"{k}/{v}" for k, v in shot.labels}, "hierarchical, as KDE shows them"
        listed = os.listxattr(mount.at(shot.path))
        assert {"user.shutterfs.state", "user.shutterfs.sha256", "user.mime_type"} <= set(listed)
        for name in listed:
            os.getxattr(mount.at(shot.path), name)
    text = run(["getfattr", "-d", mount.at(shots[0].path)]).stdout
    assert 'user.mime_type="image/jpeg"' in text


def test_labels_of_a_later_sidecar_replace_the_earlier(mount):
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = mount.wait_snapshots(1)[0]
    mount.upload("front", "a.json", b'{"labels":[{"kind":"object","value":"person"}]}')
    wait_until(lambda: os.path.isdir(mount.at("labels/object/person")), 10)
    mount.upload("front", "a.json", b'{"labels":[{"kind":"object","value":"dog"}]}')
    wait_until(lambda: os.path.isdir(mount.at("labels/object/dog")), 10)
    wait_until(lambda: os.listdir(mount.at("labels/object")) == ["dog"], 10)
    assert [x["value"] for x in mount.sidecar(path)["labels"]] == ["dog"]


def test_hostile_label_names_stay_inside(mount):
    labels = [{"kind": "object", "value": v} for v in ("../../etc", "a/b", ".hidden", "x\u0001y", "n" * 300, "ok")]
    labels += [{"kind": "../up", "value": "v"}]
    mount.upload("front", "a.json", json.dumps({"labels": labels}).encode())
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = mount.wait_snapshots(1)[0]
    wait_until(lambda: os.path.isdir(mount.at("labels/object/ok")), 10)
    for where, folders, _ in os.walk(mount.at("labels")):
        for name in folders:
            assert "/" not in name and not name.startswith(".") and name.isprintable() and len(name.encode()) <= 255
    inode = os.stat(mount.at(path)).st_ino
    assert os.stat(mount.at("labels/object/ok", path.split("/")[2], os.path.basename(path))).st_ino == inode


def test_one_that_fills_the_mebibyte_leaves_no_room_for_the_facts(mount):
    for name, size in (("a", 1_000_000), ("b", 1_040_000)):
        mount.upload("front", name + ".json", b'{"starred":true,"note":"' + b"x" * size + b'"}')
        mount.upload("front", name + ".jpg", pictures.picture(ord(name), pictures.moment(ord(name)), "+00:00"))
    a, b = mount.wait_snapshots(2)
    assert (mount.sidecar(a)["note"], mount.sidecar(a)["starred"]) == ("x" * 1_000_000, True)
    wait_until(lambda: mount.errors(), 10)
    assert "note" not in mount.sidecar(b)
    assert [(e["subject"], "members than fit into" in e["error"]) for e in mount.errors()] == [("upload/front/b.json", True)]


def test_sidecars_of_other_people_are_understood(mount):
    """Shapes seen in the wild: plain words as labels, MegaDetector's and Frigate's fields do not break anything."""
    for n, text in enumerate(('{"labels":["cat","dog"]}', '{"tags":["cat"],"title":"x"}', '{"label":"person","score":0.5}')):
        mount.upload("front", f"{n}.json", text.encode())
        mount.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    mount.wait_snapshots(3)
    assert mount.errors() == []
