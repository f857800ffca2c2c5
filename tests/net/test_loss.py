"""A store that says yes and has not kept it: noticed by the next scan, sent again if the bytes are here, said if they are not."""
import os
import shutil

import pictures
import swift as swifts
from processes import wait_until


def lost(m, bucket, serial):
    """A picture that the store took with the right checksum, and forgot; (key, bytes, path)."""
    taken = pictures.moment(serial)
    data = pictures.picture(serial, taken, "+00:00")
    path = f"cameras/front/{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg"
    rule = bucket.proxy.add(200, method="PUT", key=".jpg", times=1, headers={"ETag": f'"{swifts.etag(data)}"'})
    m.upload("front", f"{serial}.jpg", data)
    m.wait_snapshots(1)
    m.sync()
    assert rule.hits == 1 and m.xattr(path, "shutterfs.state") == "synced"
    assert swifts.key_of(path) not in bucket.pictures()
    return swifts.key_of(path), data, path


def test_what_a_store_forgot_is_sent_again(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    key, data, path = lost(m, bucket, 1)
    said = m.cli("scan", "cloud").stdout
    assert "1 that cloud had taken are not there" in said
    wait_until(lambda: key in bucket.pictures(), 30)
    m.sync()
    assert bucket.get(key) == data and list(bucket.pictures()) == [key]
    assert m.snapshots() == [path] and m.read(path) == data
    assert m.xattr(path, "shutterfs.state") == "synced" and m.errors() == []
    # what it has shown and shows no more was deleted there
    m.cli("scan", "cloud")
    bucket.delete(key)
    m.cli("scan", "cloud")
    assert m.snapshots() == []


def test_what_nobody_has_any_more_is_said(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    key, data, path = lost(m, bucket, 1)
    m.stop()
    shutil.rmtree(m.cache)
    m.start()
    m.cli("scan", "cloud")
    wait_until(lambda: m.status()["queue"]["failed"] == 1, 30)
    name = os.path.basename(path)[:-4]
    assert [e for e in m.errors() if name in e["subject"] and e["error"]], m.errors()
    assert m.snapshots() == [path], "it is not forgotten here, too"
    assert f"cannot send \"{key}\"" in m.log_text()
    done = m.cli("sync", "--wait", check=False, timeout=100)
    assert done.returncode == 1


def test_what_waits_to_be_sent_again_is_not_evicted(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    key, data, path = lost(m, bucket, 1)
    sha = pictures.sha256(data)
    assert not os.path.exists(os.path.join(m.state, "spool", sha[:2], sha))
    bucket.proxy.add(503, method="PUT")
    m.cli("scan", "cloud")
    wait_until(lambda: os.path.exists(os.path.join(m.state, "spool", sha[:2], sha)), 10)
    m.stop()
    shutil.rmtree(m.cache)
    m.start()
    bucket.proxy.clear_rules()
    m.sync()
    assert bucket.get(key) == data and m.read(path) == data
    wait_until(lambda: not os.path.exists(os.path.join(m.state, "spool", sha[:2], sha)), 10)


def test_a_sidecar_that_is_lost_alone_is_sent_again(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.upload("front", "1.json", b'{"labels":["animal/fox"]}')
    m.upload("front", "1.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    (path,) = m.wait_snapshots(1)
    m.sync()
    key = swifts.key_of(path)
    for _ in range(2):  # before a scan has shown it, and after
        bucket.delete(key[:-4] + ".json")
        m.cli("scan", "cloud")
        m.sync()
        assert b'"fox"' in bucket.get(key[:-4] + ".json")
        m.cli("scan", "cloud")
    bucket.delete(key)
    bucket.delete(key[:-4] + ".json")
    m.cli("scan", "cloud")
    m.sync()
    assert m.snapshots() == [] and bucket.list() == {}, "who deletes both wants both gone"
