"""Pictures that are only in the cloud: fetched whole, once, verified, when somebody reads them."""
import concurrent.futures
import datetime
import errno
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import pictures
import swift as swifts
from processes import reader, wait_until


@pytest.fixture
def cold(make_mount, bucket):
    """A function: a mount that knows `count` pictures of the bucket and has fetched none; {path: bytes}."""
    def make(count, more="", name="m", **kw):
        made = swifts.fill(bucket, count, **kw)
        m = make_mount(name=name, stores=bucket.config(), env=bucket.env(), more=more)
        m.cli("scan", "cloud")
        assert m.snapshots() == sorted(made)
        bucket.proxy.forget()
        return m, made
    return make


def raises(number, call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    allowed = number if isinstance(number, tuple) else (number,)
    assert e.value.errno in allowed, errno.errorcode.get(e.value.errno)


def test_metadata_fetches_nothing(cold, bucket):
    m, made = cold(20)
    for where, _, names in os.walk(m.mnt):
        for name in names:
            os.stat(os.path.join(where, name), follow_symlinks=False)
    for path, data in made.items():
        s = os.stat(m.at(path))
        assert (s.st_size, s.st_blocks) == (len(data), 0)
        assert m.xattr(path, "shutterfs.state") == "remote"
        os.close(os.open(m.at(path), os.O_RDONLY | os.O_PATH))
    assert bucket.proxy.gets() == [] and m.status()["fetch"]["bytes"] == 0


def test_one_read_fetches_one_object_once(cold, bucket):
    m, made = cold(8)
    path, data = next(iter(made.items()))
    assert m.read(path) == data
    assert [r.sent for r in bucket.proxy.gets()] == [len(data)]
    assert m.read(path) == data
    assert m.read(path.replace("cameras/front/", "dates/").replace("-", "/", 2)) == data
    assert len(bucket.proxy.gets()) == 1
    assert len(bucket.proxy.seen("HEAD")) == 0, "the GET alone says all"
    assert os.stat(m.at(path)).st_blocks > 0
    assert m.xattr(path, "shutterfs.state") == "synced"
    assert m.xattr(path, "shutterfs.sha256") == pictures.sha256(data)
    m.restart()
    assert m.read(path) == data
    assert len(bucket.proxy.gets()) == 1, "the cache outlives the mount"


def test_64_readers_of_one_cold_picture_are_one_get(cold, bucket):
    m, made = cold(1)
    (path, data), = made.items()
    bucket.proxy.add("slow", method="GET", key=".jpg", seconds=1.0)
    start = threading.Barrier(64)

    def read(_):
        start.wait()
        return m.read(path)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        assert set(pool.map(read, range(64))) == {data}
    assert len(bucket.proxy.gets()) == 1


def test_a_hanging_object_delays_no_other(cold, bucket):
    m, made = cold(12)
    paths = list(made)
    bucket.proxy.add("hang", method="GET", key=os.path.basename(paths[0]))
    m.read(paths[1])
    stuck = [reader(m.at(paths[0])) for _ in range(20)]
    try:
        wait_until(lambda: any(os.path.basename(paths[0]) in r.key for r in bucket.proxy.gets()), 10)
        slowest = 0
        for path in paths[1:]:
            start = time.monotonic()
            assert m.read(path) == made[path]
            os.listdir(os.path.dirname(m.at(paths[0])))
            os.stat(m.at(paths[0]))
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 2, slowest
        assert all(p.poll() is None for p in stuck)
        start = time.monotonic()
        for p in stuck:
            p.send_signal(signal.SIGINT)
        for p in stuck:
            p.wait(10)
        assert time.monotonic() - start < 2, "Ctrl-C ends a waiting read at once"
        one = reader(m.at(paths[0]))
        time.sleep(0.5)
        one.kill()
        start = time.monotonic()
        one.wait(10)
        assert time.monotonic() - start < 1, "so does kill -9"
    finally:
        for p in stuck:
            p.kill()
            p.wait()
        bucket.proxy.clear_rules()
    assert m.read(paths[0]) == made[paths[0]]


@pytest.mark.parametrize("fault", ["503", "500", "cut", "corrupt", "close"])
def test_transient_failures_are_not_seen(cold, bucket, fault):
    m, made = cold(1)
    (path, data), = made.items()
    rule = bucket.proxy.add(int(fault) if fault.isdigit() else fault, method="GET", key=".jpg", times=2)
    assert m.read(path) == data
    assert rule.hits == 2 and len(bucket.proxy.gets()) == 3


def test_retry_after_is_obeyed(cold, bucket):
    m, made = cold(1)
    (path, data), = made.items()
    bucket.proxy.add(503, method="GET", key=".jpg", times=1, headers={"Retry-After": "3"})
    assert m.read(path) == data
    first, second = (r.when for r in bucket.proxy.gets())
    assert 2.9 <= second - first < 10


@pytest.mark.parametrize("fault,number", [("corrupt", errno.EIO), ("cut", errno.EIO), (500, errno.EIO),
                                          (403, errno.EACCES), ("hang", errno.ETIMEDOUT)])
def test_lasting_failures_have_their_error_and_no_wrong_bytes(cold, bucket, fault, number):
    m, made = cold(2, more="fetch_deadline = 3s")
    bad, good = made
    rule = bucket.proxy.add(fault, method="GET", key=os.path.basename(bad))
    start = time.monotonic()
    raises(number, m.read, bad)
    assert time.monotonic() - start < 10
    assert m.read(good) == made[good]
    assert rule.hits >= 1
    said = [line for line in m.log_text().splitlines() if os.path.basename(bad)[:-4] in line]
    assert len(said) == 1, "one line per failure, with its subject: " + "\n".join(said)
    bucket.proxy.clear_rules()
    assert m.read(bad) == made[bad], "and it is not remembered"


def test_gone_in_the_store(cold, bucket):
    m, made = cold(2, more="fetch_deadline = 3s")
    gone, stays = made
    bucket.delete(swifts.key_of(gone))
    raises((errno.ENOENT, errno.ESTALE), m.read, gone)
    assert m.read(stays) == made[stays]
    m.cli("scan", "cloud")
    assert m.snapshots() == [stays]


def test_store_is_away(cold, bucket):
    """What is cached can be read, listings go on, the rest fails within the deadline; all is well after."""
    m, made = cold(3, more="fetch_deadline = 2s")
    first, second, _ = made
    m.read(first)
    bucket.proxy.add("close")
    assert m.read(first) == made[first]
    assert m.snapshots() == sorted(made)
    raises((errno.EIO, errno.ETIMEDOUT), m.read, second)
    bucket.proxy.clear_rules()
    assert m.read(second) == made[second]


def test_requests_are_kept_alive_and_parallel(cold, bucket):
    m, made = cold(32)
    bucket.proxy.add("slow", method="GET", key=".jpg", seconds=0.3)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert list(pool.map(m.read, made)) == list(made.values())
    assert time.monotonic() - start < 6, "32 reads of 0.3 s each do not wait for one another"
    assert bucket.proxy.peak >= 4


def test_the_cache_may_be_deleted_while_mounted(cold, bucket):
    m, made = cold(3)
    for path in made:
        m.read(path)
    subprocess.run(["rm", "-rf", m.cache], check=True)
    m.restart()
    for path, data in made.items():
        assert m.read(path) == data
    assert len(bucket.proxy.gets()) == 6
    subprocess.run(["find", m.cache, "-type", "f", "-delete"], check=True)
    for path, data in made.items():
        with open(m.at(path), "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert m.read(path) == data


def test_prefetch_reads_ahead(cold, bucket):
    m, made = cold(10)
    m.cli("prefetch", m.at("cameras/front"))
    assert len(bucket.proxy.gets()) == 10
    for path, data in made.items():
        assert m.read(path) == data
    assert len(bucket.proxy.gets()) == 10


def test_two_stores_the_next_is_tried(make_mount, bucket, tmp_path):
    """A bad copy in one store is an error of that store only."""
    made = swifts.fill(bucket, 2)
    other = tmp_path / "other"
    for path, data in made.items():
        target = other / swifts.key_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    stores = bucket.config() + f'[store "disk"]\ndriver = dir\npath = {other}\n'
    m = make_mount(stores=stores, env=bucket.env(), more="fetch_deadline = 5s")
    m.cli("scan", "cloud")
    m.cli("scan", "disk")
    assert m.snapshots() == sorted(made), "the same stem is the same snapshot"
    first, second = made
    subprocess.run(["rm", "-rf", str(other / swifts.key_of(first))], check=True)
    assert m.read(first) == made[first]
    bucket.proxy.add(500, method="GET")
    assert m.read(second) == made[second]


def days_of(bucket, days, each):
    """`each` pictures, as large as cameras', in each of `days` days, in the bucket: {snapshot path: bytes}."""
    comments = 3 * (b"\xff\xfe\xea\x60" + bytes(0xea60 - 2))
    made = {}
    for n in range(days * each):
        taken = pictures.moment(n % each) + datetime.timedelta(days=n // each)
        path = f"cameras/front/{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg"
        data = pictures.picture(n, taken, "+00:00")
        made[path] = data[:2] + comments + data[2:]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda p: bucket.put(swifts.key_of(p), made[p]), made))
    return made


def test_shuffled_readers_of_many_days(make_mount, bucket):
    """A random walk gets little in vain; an epoch in random order gets each once, many of them before they are opened."""
    made = days_of(bucket, 20, 24)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    bucket.proxy.forget()
    pick, paths = random.Random(4), sorted(made)
    walk = [pick.choice(paths) for _ in range(250)]
    for path in walk:
        assert m.read(path) == made[path]
    got = [r.key for r in bucket.proxy.gets()]
    assert len(got) == len(set(got))
    assert len(got) - len(set(walk)) <= 0.2 * len(got), (len(got), len(set(walk)))

    subprocess.run(["find", m.cache, "-type", "f", "-delete"], check=True)
    m.restart()
    bucket.proxy.forget()
    paths = paths[:240]
    pick.shuffle(paths)
    for path in paths:
        assert m.read(path) == made[path]
    got = [r.key for r in bucket.proxy.gets()]
    assert len(got) == len(set(got)) and len(paths) <= len(got) <= len(paths) * 1.05  # a guess at a day beside them
    assert m.status()["fetch"]["ahead_used"] >= len(paths) / 5, m.status()["fetch"]
