"""kill -9 at any time: what close or fsync accepted is all there, and each store gets exactly one object of it."""
import collections
import os
import random
import threading
import time

import pytest

import pictures
from processes import run, wait_until


def name_of(n):
    return f"cameras/front/{pictures.day(pictures.moment(n))}/{pictures.stem(pictures.moment(n), 'front')}.jpg"


def check_all_there(m, bucket, accepted):
    """`accepted` are serials whose close returned 0."""
    wait_until(lambda: set(map(name_of, accepted)) <= set(m.snapshots()), 30,
               what=lambda: f"lost: {sorted(set(map(name_of, accepted)) - set(m.snapshots()))[:5]}")
    m.cli("sync", "--wait", timeout=200)
    there = collections.Counter(pictures.sha256(bucket.get(k)) for k in bucket.pictures())
    for n in accepted:
        data = pictures.picture(n, pictures.moment(n), "+00:00")
        assert m.read(name_of(n)) == data
        assert m.read(f"upload/front/{n}.jpg") == data
        assert there[pictures.sha256(data)] == 1, "exactly one object"
    assert m.cli("fsck", check=False).returncode == 0


def test_killed_right_after_cp(make_mount, bucket, tmp_path):
    pictures.write_pictures(tmp_path / "src", 40, name="{}.jpg")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    os.mkdir(m.at("upload/front"))
    run(["cp", *(tmp_path / "src" / f"{n}.jpg" for n in range(40)), m.at("upload/front")])
    m.kill()
    m.detach()
    m.start()
    check_all_there(m, bucket, range(40))


@pytest.mark.limit(300)
def test_killed_again_and_again_while_writing(make_mount, bucket):
    """Random moments, also during the recovery of the last time and during sync."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    accepted, serial = [], 0
    for _ in range(6):
        stop = threading.Event()
        threading.Timer(dice.uniform(0.2, 2.5), lambda: (m.kill(), stop.set())).start()
        while not stop.is_set():
            data = pictures.picture(serial, pictures.moment(serial), "+00:00")
            try:
                m.upload("front", f"{serial}.jpg", data)
                accepted.append(serial)
            except OSError:
                pass
            serial += 1
            time.sleep(dice.uniform(0, 0.01))
        m.detach()
        m.start()
    assert len(accepted) >= 50, f"the test must have tested something: {len(accepted)}"
    # an upload that was cut off by the kill may be half there: it stays in upload/ and says so
    for n in set(range(serial)) - set(accepted):
        path = m.at("upload/front", f"{n}.jpg")
        if os.path.exists(path):
            os.unlink(path)
    check_all_there(m, bucket, accepted)


def test_killed_while_sending(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    bucket.proxy.add("slow", method="PUT", seconds=0.3)
    for n in range(30):
        m.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    wait_until(lambda: len(bucket.proxy.puts()) > 8, 30)
    m.kill()
    m.detach()
    bucket.proxy.clear_rules()
    m.start()
    check_all_there(m, bucket, range(30))


def test_fsync_and_rename_are_kept(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    os.mkdir(m.at("upload/front"))
    data = pictures.picture(0, pictures.moment(0), "+00:00")
    fd = os.open(m.at("upload/front/.0.jpg.abcdef"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.rename(m.at("upload/front/.0.jpg.abcdef"), m.at("upload/front/0.jpg"))
    m.kill()
    m.detach()
    m.start()
    check_all_there(m, bucket, [0])


def test_the_next_start_replaces_a_dead_mount(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.kill()
    with pytest.raises(OSError):
        os.listdir(m.mnt)
    m.start()
    assert os.listdir(m.at("cameras")) == []
    with open("/proc/self/mountinfo") as f:
        assert sum(m.mnt in line.split() for line in f) == 1


def test_killed_while_fetching(make_mount, bucket):
    """A half fetched picture never becomes a cached one."""
    import swift
    made = swift.fill(bucket, 3, width=1200)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    bucket.proxy.add("slow", method="GET", key=".jpg", seconds=0.4)
    readers = [threading.Thread(target=lambda p=p: _try(m.read, p)) for p in made]
    for r in readers:
        r.start()
    time.sleep(0.45)
    m.kill()
    m.detach()
    for r in readers:
        r.join(10)
    bucket.proxy.clear_rules()
    m.start()
    for path, data in made.items():
        assert m.read(path) == data
    left = [n for _, _, names in os.walk(os.path.join(m.cache, "tmp")) for n in names]
    assert left == []


def _try(call, *args):
    try:
        call(*args)
    except OSError:
        pass
