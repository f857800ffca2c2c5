"""labels.json in upload/: label documents of many pictures at once, as the seed's tools write them."""
import json
import os

import pictures
from processes import wait_until


def document(img_id, speed=1, direction=2, **more):
    return {"img_id": img_id, "label": {"created_by": "auto", "label_direction": direction, "label_speed": speed,
                                        "nb_of_direction": 5, "nb_of_speed": 2}, **more}


def fill(mount, count, camera="car"):
    """`count` pictures; their img_ids."""
    for n in range(count):
        mount.upload(camera, f"p{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    mount.wait_snapshots(count, camera)
    return [pictures.img_id(pictures.moment(n)) for n in range(count)]


def documents(mount, path):
    return mount.sidecar(path).get("documents", [])


def error(mount, name="labels.json"):
    return mount.xattr(f"upload/car/{name}", "shutterfs.error") or ""


def state(mount, name="labels.json"):
    return mount.xattr(f"upload/car/{name}", "shutterfs.state")


def test_labels_of_many_pictures(mount):
    ids = fill(mount, 20)
    labels = {i: document(i) for i in ids}
    labels[ids[0]] = [document(ids[0]), document(ids[0], speed=0)]
    mount.upload("car", "labels.json", json.dumps(labels).encode())
    wait_until(lambda: state(mount) == "kept", 30)
    for path in mount.snapshots("car")[1:]:
        assert len(documents(mount, path)) == 1
        assert documents(mount, path)[0]["label_fingerprint"]
    assert len(documents(mount, mount.snapshots("car")[0])) == 2
    assert error(mount) == "" and mount.errors() == []
    assert mount.json("upload/car/labels.json") == labels, "the file stays as it was written"


def test_every_wrong_record_is_told(mount):
    ids = fill(mount, 2)
    text = (f'{{"{ids[0]}": {json.dumps(document(ids[0]))}, "{ids[1]}": [{json.dumps(document(ids[1]))},'
            f' {json.dumps(document(ids[1]))}], "nonsense": 5, "20990101T00-00-00-000000": {{"label": {{}}}}}}')
    mount.upload("car", "labels.json", text.encode())
    wait_until(lambda: state(mount) == "held", 30)
    assert "2 taken in" in error(mount) and "1 duplicates" in error(mount) and "1 bad" in error(mount)
    assert "1 waiting" in error(mount)
    told = {e["subject"]: e["error"] for e in mount.errors()}
    assert "EEXIST" in told[f"upload/car/labels.json: {ids[1]}"]
    assert "not a label document" in told["upload/car/labels.json: nonsense"]
    assert len(told) == 2, "what waits is no error"
    os.remove(mount.at("upload/car/labels.json"))
    wait_until(lambda: mount.errors() == [], 10)
    assert all(len(documents(mount, p)) == 1 for p in mount.snapshots("car"))


def test_pictures_come_after_their_labels(mount):
    taken = [pictures.moment(n) for n in range(3)]
    labels = {pictures.img_id(t): document(pictures.img_id(t)) for t in taken}
    labels["by_name"] = document("whatever")
    mount.upload("car", "labels.json", json.dumps(labels).encode())
    wait_until(lambda: state(mount) == "held", 30)
    mount.restart()
    for n, t in enumerate(taken):
        mount.upload("car", f"{n}.jpg", pictures.picture(n, t, "+00:00"))
    mount.upload("car", "by_name.jpg", pictures.picture(9, pictures.moment(9), "+00:00"))
    paths = mount.wait_snapshots(4)
    wait_until(lambda: all(len(documents(mount, p)) == 1 for p in paths), 30)
    wait_until(lambda: state(mount) == "kept", 30)
    assert error(mount) == ""


def test_templates_of_the_session(mount):
    ids = fill(mount, 1)
    mount.upload("car", "labels.json", json.dumps({ids[0]: document(ids[0], event="mine")}).encode())
    mount.upload("car", "session_template.json", b'{"event": "iron car", "track": "indoor"}')
    mount.upload("car", "hardware_conf.json", b'{"car": "patate", "version": 1}')
    path = mount.snapshots("car")[0]
    wait_until(lambda: documents(mount, path), 30)
    got = documents(mount, path)[0]
    assert got["event"] == "mine" and got["track"] == "indoor"
    assert got["hardware_conf"] == {"car": "patate", "version": 1}


def test_hostile_files(mount):
    ids = fill(mount, 1)
    bad = {"labels_nan.json": f'{{"{ids[0]}": {{"label": {{"label_speed": NaN}}}}}}',
           "labels_deep.json": '{"x": {"a": ' + "[" * 100 + "]" * 100 + "}}",
           "labels_twice.json": '{"x": {"a": 1, "a": 2}}',
           "labels_cut.json": '{"x": {"a": 1}',
           "labels_coco.json": '{"images": [{"id": 1}], "annotations": [], "categories": []}',
           "labels_big.json": '{"x": {"a": "' + "y" * (1 << 20) + '"}}'}
    for name, text in bad.items():
        mount.upload("car", name, text.encode())
    for name, words in (("labels_nan.json", "not a value"), ("labels_deep.json", "nested deeper"),
                        ("labels_twice.json", "stands twice"), ("labels_cut.json", "ends too early"),
                        ("labels_coco.json", "shutterfs import"), ("labels_big.json", "larger than 1024 KiB")):
        wait_until(lambda n=name: state(mount, n) == "rejected", 30)
        assert words in error(mount, name), error(mount, name)
        assert mount.read("upload/car", name).decode() == bad[name], "the bytes are kept"
    assert documents(mount, mount.snapshots("car")[0]) == []


def test_a_crash_in_the_middle_counts_nothing_twice(mount):
    """While 1,000 records are read the tree answers; killed on the way, it goes on where it was."""
    ids = fill(mount, 20)
    labels = {i: [document(i, speed=k) for k in range(50)] for i in ids}
    mount.upload("car", "labels.json", json.dumps(labels).encode())
    paths = mount.snapshots("car")
    wait_until(lambda: documents(mount, paths[0]), 30)
    mount.crash_and_restart()
    wait_until(lambda: state(mount) == "kept", 90, what=lambda: error(mount))
    assert [len(documents(mount, p)) for p in paths] == [50] * 20
    assert error(mount) == "" and mount.errors() == []
