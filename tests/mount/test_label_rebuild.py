"""What is known about pictures survives the loss of the state: it is in the stores.  And what is thrown away leaves them."""
import hashlib
import json
import os
import shutil

import pictures
from processes import wait_until

LABELS = [{"kind": "object", "value": "person", "score": 0.93, "box": [0.1, 0.2, 0.3, 0.4], "by": "rekognition"},
          {"kind": "plate", "value": "1AB/2345."}]
DOCUMENT = {"created_by": "auto", "label": {"label_direction": 2, "label_speed": 1}, "id": 12345678901234567890}


def put(m, n, sidecar=None):
    """A picture, and a sidecar beside it; where it is in the tree."""
    taken = pictures.moment(n)
    m.upload("front", f"{n}.jpg", pictures.picture(n, taken, "+00:00"))
    path = f"cameras/front/{taken:%Y-%m-%d}/{pictures.img_id(taken)}_front.jpg"
    wait_until(lambda: os.path.exists(m.at(path)), 10)
    if sidecar is not None:
        say(m, n, sidecar)
    return path


def say(m, n, sidecar):
    """The upload of a sidecar is over when its entry says so."""
    m.upload("front", f"{n}.json", json.dumps(sidecar).encode())
    wait_until(lambda: m.xattr(f"upload/front/{n}.json", "shutterfs.state") in ("kept", "rejected"), 10)


def sidecar_object(m, path):
    key = m.sidecar(path)["replicas"][0]["key"]
    with open(os.path.join(m.archive, key.replace(".jpg", ".json")), encoding="utf-8") as f:
        return json.load(f)


def lose_state(m):
    m.stop()
    for name in ("state", "cache"):
        shutil.rmtree(getattr(m, name), ignore_errors=True)


def rebuilt(m):
    lose_state(m)
    m.cli("rebuild")
    m.start()


def told(m, path):
    """A sidecar without what must differ between two stores' lives."""
    return {k: v for k, v in m.sidecar(path).items() if k != "replicas"}


def test_everything_comes_back(mount):
    whole = put(mount, 1, {"labels": LABELS, "documents": [DOCUMENT], "starred": True, "comment": "řeřicha", "rating": 7,
                           "event": {"id": "7"}, "extra": {"x": [1, 2.50]}, "vendor": {"deep": [None]}})
    looked, bare = put(mount, 2, {"labels": []}), put(mount, 3)
    wait_until(lambda: mount.sidecar(whole)["starred"] and "labels" in mount.sidecar(looked), 10)
    mount.sync()
    before = [told(mount, p) for p in (whole, looked, bare)]
    assert before[0]["comment"] == "řeřicha" and before[0]["rating"] == 7
    text = f"{before[0]['img_id']}auto21NoneNone"
    assert before[0]["documents"][0]["label_fingerprint"] == hashlib.md5(text.encode()).hexdigest()
    assert before[1]["labels"] == [] and "labels" not in before[2]
    rebuilt(mount)
    assert [told(mount, p) for p in (whole, looked, bare)] == before
    assert os.listdir(mount.at("labels")) == ["object", "plate"]
    assert os.listdir(mount.at("labels/plate")) == ["1AB-2345"]
    assert os.listdir(mount.at("starred")) == [whole.split("/")[2]]


def test_what_was_done_in_the_mount_comes_back(mount):
    paths = [put(mount, n) for n in range(4)]
    names, days = [os.path.basename(p) for p in paths], [p.split("/")[2] for p in paths]
    os.mkdir(mount.at("labels/animal"))
    for value in ("fox", "dog"):
        os.mkdir(mount.at(f"labels/animal/{value}"))
    for n in (0, 1, 2):
        os.link(mount.at(paths[n]), mount.at("labels/animal/dog", names[n]))
    os.rename(mount.at("labels/animal/dog", days[1], names[1]), mount.at("labels/animal/fox", names[1]))
    os.unlink(mount.at("labels/animal/dog", days[2], names[2]))
    os.rename(mount.at("labels/animal/dog"), mount.at("labels/animal/wolf"))
    os.setxattr(mount.at(paths[3]), "user.xdg.tags", b"holiday,place/sea")
    os.setxattr(mount.at(paths[3]), "user.xdg.comment", "u moře".encode())
    os.setxattr(mount.at(paths[3]), "user.baloo.rating", b"8")
    os.setxattr(mount.at(paths[2]), "user.shutterfs.starred", b"1")
    sidecar = mount.at(paths[0].replace(".jpg", ".json"))
    with open(sidecar, encoding="utf-8") as f:
        edited = json.load(f)
    edited["documents"], edited["mine"] = [DOCUMENT], {"kept": [1.50]}
    with open(sidecar, "w", encoding="utf-8") as f:
        json.dump(edited, f)
    os.mkdir(mount.at("queries/wolves"))
    with open(mount.at("queries/wolves/query.json"), "w", encoding="utf-8") as f:
        f.write('{"label":"animal/wolf"}')
    mount.sync()
    before, listed = [told(mount, p) for p in paths], sorted(os.listdir(mount.at("labels/animal")))
    assert listed == ["fox", "wolf"]
    assert [x["value"] for x in before[0]["labels"]] == ["wolf"] and before[0]["documents"] and before[2]["starred"]
    rebuilt(mount)
    assert [told(mount, p) for p in paths] == before
    assert sorted(os.listdir(mount.at("labels/animal"))) == listed
    assert os.listdir(mount.at("labels/place/sea")) == [days[3]] and os.listdir(mount.at("starred")) == [days[2]]
    assert mount.read("queries/wolves/query.json") == b'{"label":"animal/wolf"}'
    assert names[0] in os.listdir(mount.at("queries/wolves"))
    what = [h["what"] for h in sidecar_object(mount, paths[0])["history"]]
    assert "label renamed" in what and "label added" in what


def test_what_was_replaced_is_kept(mount):
    path = put(mount, 1, {"labels": ["object/dog"], "documents": [DOCUMENT]})
    wait_until(lambda: mount.sidecar(path).get("documents"), 10)
    say(mount, 1, {"labels": ["object/wolf"], "documents": [], "comment": "no dog"})
    wait_until(lambda: not mount.sidecar(path).get("documents"), 10)
    mount.sync()
    for again in (False, True):
        history = sidecar_object(mount, path)["history"]
        assert {h["what"] for h in history} >= {"label removed", "document removed"}
        assert all(h["who"] == "upload" and h["at"].endswith("+00:00") for h in history)
        was = {h["what"]: h["was"] for h in history}
        assert (was["label removed"]["kind"], was["label removed"]["value"]) == ("object", "dog")
        assert was["document removed"]["id"] == DOCUMENT["id"]
        assert "history" not in mount.sidecar(path), "only in the stores"
        if not again:
            rebuilt(mount)
            put(mount, 1, {"comment": "twice"})
            wait_until(lambda: mount.sidecar(path)["comment"] == "twice", 10)
            mount.sync()


def test_a_document_twice_is_refused(mount):
    path = put(mount, 1)
    say(mount, 1, {"labels": ["object/dog"], "documents": [DOCUMENT, {**DOCUMENT, "note": "other"}]})
    assert mount.xattr("upload/front/1.json", "shutterfs.state") == "rejected"
    assert "twice" in mount.xattr("upload/front/1.json", "shutterfs.error")
    assert "labels" not in mount.sidecar(path)
    # the sidecar before its picture, which it must not keep out
    mount.upload("front", "2.json", json.dumps({"labels": ["object/cat"], "documents": [DOCUMENT, DOCUMENT]}).encode())
    path = put(mount, 2)
    wait_until(lambda: mount.xattr("upload/front/2.json", "shutterfs.state") == "rejected", 10)
    assert "labels" not in mount.sidecar(path)
    with open(mount.at(".shutterfs/errors.json"), encoding="utf-8") as f:
        assert "upload/front/1.json" in f.read()


def test_what_others_keep_beside_the_pictures_is_no_picture(mount):
    put(mount, 1)
    mount.sync()
    beside = os.path.join(mount.archive, ".shutterfs", "queries")
    os.makedirs(beside)
    for name, data in (("left.json", b'{"label":"object/dog"}'), ("x.jpg", pictures.picture(5, pictures.moment(5), "+00:00"))):
        with open(os.path.join(beside, name), "wb") as f:
            f.write(data)
    done = mount.cli("scan", "archive")
    assert "0 rejected" in done.stdout and "0 new" in done.stdout
    with open(mount.at(".shutterfs/errors.json"), encoding="utf-8") as f:
        assert ".shutterfs/" not in f.read()
    rebuilt(mount)
    mount.sync()
    assert sorted(os.listdir(beside)) == ["left.json", "x.jpg"]


def test_what_is_beside_the_pictures_goes_to_every_store(make_mount, bucket):
    m = make_mount(start=False, env=bucket.env())
    m.sections = m.dir_store() + bucket.config()
    m.write_config()
    m.start()
    key, text = ".shutterfs/queries/left turns é.json", b'{"label":"object/dog"}'
    path = os.path.join(m.archive, key)
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as f:
        f.write(text)
    m.cli("scan", "archive")
    m.sync()
    assert bucket.get(key) == text
    lose_state(m)
    os.unlink(path)
    m.cli("rebuild")
    m.start()
    m.sync()
    with open(path, "rb") as f:
        assert f.read() == text


def test_trash(mount):
    starred, plain = put(mount, 1, {"starred": True}), put(mount, 2)
    wait_until(lambda: mount.sidecar(starred)["starred"], 10)
    mount.sync()
    keys = [mount.sidecar(p)["replicas"][0]["key"] for p in (starred, plain)]
    assert "is empty" in mount.cli("trash").stdout
    done = mount.cli("trash", starred, plain, "nothing.jpg", check=False)
    assert done.returncode == 1 and "star holds it" in done.stderr and "no such picture" in done.stderr
    wait_until(lambda: not os.path.exists(mount.at(plain)), 5)
    assert os.path.exists(mount.at(starred))
    stem = os.path.basename(plain)[:-4]
    assert stem in mount.cli("trash").stdout
    mount.cli("scan", "archive")
    assert not os.path.exists(mount.at(plain))
    mount.stop()
    mount.cli("trash", "--restore", stem)   # works without a running mount
    mount.start()
    assert os.path.exists(mount.at(plain))
    assert mount.cli("trash", "--restore", stem, check=False).returncode == 1
    assert all(os.path.exists(os.path.join(mount.archive, k)) for k in keys)


def test_trash_is_emptied(make_mount):
    m = make_mount(more="trash = 0s")
    keep, gone = put(m, 1), put(m, 2)
    m.sync()
    keys = {p: m.sidecar(p)["replicas"][0]["key"] for p in (keep, gone)}
    m.cli("trash", gone)
    m.sync()
    left = [k for k in keys.values() if os.path.exists(os.path.join(m.archive, k))]
    assert left == [keys[keep]]
    assert not os.path.exists(os.path.join(m.archive, keys[gone].replace(".jpg", ".json")))
    m.cli("scan", "archive")
    assert not os.path.exists(m.at(gone)) and os.path.exists(m.at(keep))
    assert m.cli("fsck").returncode == 0


def test_nothing_is_kept_of_what_the_trash_has_lost(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env(), more="trash = 0s")
    keep, gone = put(m, 1), put(m, 2)
    m.sync()
    kept = {p: os.path.join(m.cache, "blobs", sha[:2], sha) for p in (keep, gone) for sha in [m.sidecar(p)["sha256"]]}
    assert all(map(os.path.exists, kept.values()))
    m.cli("trash", gone)
    m.sync()
    assert os.path.exists(kept[keep]) and not os.path.exists(kept[gone])
    assert "note" not in m.cli("fsck").stdout
