"""The outbox: everything arrives once, whole, in spite of failures and restarts; rebuild brings it back from the store."""
import collections
import json
import os
import shutil
import time

import pytest

import pictures
from mount import mount_entry
from processes import run, wait_until


def upload(m, count, start=0, camera="front"):
    """{object key under the default layout: bytes}"""
    made = {}
    for n in range(start, start + count):
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00")
        m.upload(camera, f"{n}.jpg", data)
        made[f"{camera}/{pictures.day(taken).replace('-', '/')}/{pictures.stem(taken, camera)}.jpg"] = data
    return made


def check_bucket(bucket, made):
    """Exactly these pictures, byte for byte, and one sidecar each that says the same."""
    assert set(bucket.pictures()) == set(made)
    assert set(bucket.sidecars()) == {k[:-4] + ".json" for k in made}
    for key, data in made.items():
        assert bucket.get(key) == data


@pytest.mark.limit(420)
def test_500_photographs_there_and_back(make_mount, bucket, tmp_path):
    """rsync of 500 photographs: 500 objects and 500 sidecars, identical bytes; state lost; rebuilt; all readable."""
    made = pictures.write_pictures(tmp_path / "src", 490, width=640)
    for n in range(10):   # and ten as a photographer left them
        photo = ("FreshFlower", "GreenMeadow", "Aqua", "Garden", "YellowFlower")[n % 5]
        data = pictures.picture(1000 + n, pictures.moment(1000 + n), "+00:00", base=pictures.photograph(photo))
        (tmp_path / "src" / f"photo{n}.jpg").write_bytes(data)
        made[f"photo{n}.jpg"] = data
    m = make_mount(stores=bucket.config(), env=bucket.env())
    args = ["rsync", "-a", "--stats", f"{tmp_path}/src/", m.at("upload/garage") + "/"]
    assert "files transferred: 500" in run(args, timeout=300).stdout
    m.wait_snapshots(500)
    m.sync()
    assert (len(bucket.pictures()), len(bucket.sidecars()), len(bucket.list())) == (500, 500, 1000)
    assert collections.Counter(pictures.sha256(bucket.get(k)) for k in bucket.pictures()) == \
        collections.Counter(map(pictures.sha256, made.values()))
    puts = collections.Counter(r.key for r in bucket.proxy.puts())
    assert set(puts.values()) == {1}, "nothing is sent twice"
    assert "files transferred: 0" in run(args).stdout
    snapshots = m.snapshots()
    before = {p: (os.stat(m.at(p)).st_size, int(os.stat(m.at(p)).st_mtime), m.sidecar(p)["sha256"]) for p in snapshots}
    m.stop()
    shutil.rmtree(m.state)
    shutil.rmtree(m.cache)
    m.start()
    m.cli("rebuild", timeout=300)
    assert m.snapshots() == snapshots
    assert {p: (os.stat(m.at(p)).st_size, int(os.stat(m.at(p)).st_mtime), m.sidecar(p)["sha256"])
            for p in snapshots} == before
    for p in snapshots:
        assert pictures.sha256(m.read(p)) == before[p][2]
    puts_before = len(bucket.proxy.puts())
    m.sync()
    assert len(bucket.proxy.puts()) == puts_before, "a rebuilt catalog sends nothing"


def test_objects_describe_themselves(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.upload("front", "0.json", b'{"labels":[{"kind":"object","value":"person"}],"vendor":{"a":1}}')
    made = upload(m, 3)
    m.wait_snapshots(3)
    m.sync()
    check_bucket(bucket, made)
    for key, data in made.items():
        head = {k.replace("_", "-"): v for k, v in bucket.head(key).items()}
        text = json.dumps(head)
        assert pictures.sha256(data) in text and os.path.basename(key).split("_")[0] in text
        assert head["content-type"] == "image/jpeg"
        assert "front" in [v for k, v in head.items() if k.startswith("x-amz-meta-")]
        s = json.loads(bucket.get(key[:-4] + ".json"))
        assert (s["schema"], s["sha256"], s["camera"]) == ("shutterfs/1", pictures.sha256(data), "front")
        assert "id" not in s, "local row ids never leave the machine"
    first = json.loads(bucket.get(min(made)[:-4] + ".json"))
    assert first["labels"][0]["value"] == "person" and first["vendor"] == {"a": 1}


def test_rebuild_restores_labels_stars_and_times(make_mount, bucket):
    import collection
    m = make_mount(stores=bucket.config(), env=bucket.env())
    shots = collection.fill(m)
    m.sync()
    before = {s.path: m.sidecar(s.path) for s in shots}
    m.stop()
    shutil.rmtree(m.state)
    done = m.cli("rebuild")   # works without a running mount
    assert "Traceback" not in done.stderr
    m.start()
    for s in shots:
        for name in s.names:
            assert m.read(name) == s.data
        now = m.sidecar(s.path)
        for key in ("img_id", "camera", "taken", "time_source", "sha256", "size", "starred", "labels", "vendor_key"):
            assert now.get(key) == before[s.path].get(key), key


def test_rebuild_without_sidecars_uses_the_objects_metadata(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    made = upload(m, 3)
    snapshots = m.wait_snapshots(3)
    m.sync()
    for key in bucket.sidecars():
        bucket.delete(key)
    m.stop()
    shutil.rmtree(m.state)
    m.start()
    m.cli("rebuild")
    assert m.snapshots() == snapshots
    for p, data in zip(snapshots, made.values()):
        assert m.xattr(p, "shutterfs.sha256") == pictures.sha256(data)


def test_one_bad_item_never_blocks_the_rest(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env(), start=False)
    m.start()
    taken = pictures.moment(2)
    bad = pictures.stem(taken, "front") + ".jpg"
    bucket.proxy.add(500, method="PUT", key=bad)
    made = upload(m, 8)
    m.wait_snapshots(8)
    wait_until(lambda: len(bucket.pictures()) == 7, 60)
    wait_until(lambda: m.status()["queue"]["failed"] >= 1, 20)
    queue = m.json(".shutterfs", "queue.json")["queue"]
    item = next(q for q in queue if q["error"])
    assert bad[:-4] in item["snapshot"] and item["store"] == "cloud" and item["tries"] >= 1 and item["next"]
    assert [e for e in m.errors() if bad[:-4] in e["subject"]]
    done = m.cli("sync", "--wait", check=False, timeout=100)
    assert done.returncode == 1 and bad[:-4] in done.stdout + done.stderr
    bucket.proxy.clear_rules()
    m.sync()
    check_bucket(bucket, made)
    assert m.errors() == []


@pytest.mark.parametrize("fault", ["stored but the answer lost", "stored but answered 500", "answered but not stored",
                                   "cut off", "503"])
def test_a_put_that_went_wrong_ends_in_exactly_one_object(make_mount, bucket, fault):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    rule = {"stored but the answer lost": dict(do="close", after=True), "stored but answered 500": dict(do=500, after=True),
            "answered but not stored": dict(do=200),
            "cut off": dict(do="close"), "503": dict(do=503, headers={"Retry-After": "1"})}[fault]
    rule = bucket.proxy.add(method="PUT", key=".jpg", times=2, **rule)
    made = upload(m, 3)
    m.wait_snapshots(3)
    wait_until(lambda: rule.hits == 2, 30)
    wait_until(lambda: m.status()["queue"]["waiting"] == 0, 60, what=lambda: f"the queue: {m.status()['queue']}")
    check_bucket(bucket, made)
    for p in m.snapshots():
        assert m.xattr(p, "shutterfs.state") == "synced"
    if fault == "stored but answered 500":
        puts = collections.Counter(r.key for r in bucket.proxy.puts() if r.key.endswith(".jpg"))
        assert set(puts.values()) == {1}, "it is looked for before it is sent again"


def test_outbox_survives_a_restart(make_mount, bucket):
    bucket.proxy.add(503, method="PUT")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    made = upload(m, 10)
    m.wait_snapshots(10)
    assert m.status()["queue"]["waiting"] == 10
    m.restart()
    assert m.status()["queue"]["waiting"] == 10
    for p in m.snapshots():
        assert m.xattr(p, "shutterfs.state") == "queued"
    bucket.proxy.clear_rules()
    m.sync()
    check_bucket(bucket, made)
    assert m.status()["queue"] == {"waiting": 0, "failed": 0, "oldest_s": 0}


def test_sync_goes_on_by_itself_after_an_outage(make_mount, bucket):
    bucket.proxy.add("close")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    made = upload(m, 5)
    m.wait_snapshots(5)
    time.sleep(3)
    bucket.proxy.clear_rules()
    wait_until(lambda: len(bucket.list()) == 10, 60)
    check_bucket(bucket, made)


def test_two_stores_get_one_object_each(make_mount, bucket):
    m = make_mount(start=False)
    m.sections = bucket.config() + m.dir_store()
    m.env.update(bucket.env())
    m.write_config()
    m.start()
    made = upload(m, 4)
    m.wait_snapshots(4)
    m.sync()
    check_bucket(bucket, made)
    for key, data in made.items():
        with open(os.path.join(m.archive, key), "rb") as f:
            assert f.read() == data
    s = m.sidecar(m.snapshots()[0])
    assert sorted(r["store"] for r in s["replicas"]) == ["archive", "cloud"]


def test_a_directory_store_holds_plain_files(mount):
    made = upload(mount, 4)
    mount.wait_snapshots(4)
    mount.sync()
    found = {os.path.relpath(os.path.join(w, n), mount.archive) for w, _, names in os.walk(mount.archive) for n in names}
    assert found == set(made) | {k[:-4] + ".json" for k in made}
    for key, data in made.items():
        with open(os.path.join(mount.archive, key), "rb") as f:
            assert f.read() == data
    wait_until(lambda: mount.status()["spool"]["files"] == 0, 10)


@pytest.mark.limit(300)
def test_a_long_queue_does_not_delay_the_mount(make_mount, bucket):
    """The queue resumes after; the store, which hangs, is not asked on the way."""
    count = int(os.environ.get("SHUTTERFS_TEST_QUEUE", "10000"))
    bucket.proxy.add("hang")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    for n in range(count):
        m.upload(f"cam{n % 4}", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    wait_until(lambda: m.status()["snapshots"] == count, 100)
    m.kill()
    m.detach()
    start = time.monotonic()
    m.start()
    assert len(os.listdir(m.at("cameras"))) == 4
    took = time.monotonic() - start
    assert took < 3, f"{took:.2f} s, sanitizers included"
    assert m.status()["queue"]["waiting"] == count
    bucket.proxy.clear_rules()


def test_stopping_does_not_wait_for_the_store(make_mount, bucket):
    bucket.proxy.add("hang", method="PUT")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    upload(m, 5)
    m.wait_snapshots(5)
    wait_until(lambda: bucket.proxy.puts(), 10)
    start = time.monotonic()
    m.stop()
    assert time.monotonic() - start < 8
    assert not mount_entry(m.mnt)
    bucket.proxy.clear_rules()
    m.start()
    m.sync()
    assert len(bucket.list()) == 10
