"""The cache: its limit, who is evicted, who never is, and a disk that is full."""
import ctypes
import mmap
import os
import subprocess
import time

import pytest

import pictures
import swift as swifts
from processes import wait_until

LIMIT = 1000_000


def quiet(m):
    """Waits until nothing is fetched any more, ahead of readers either."""
    wait_until(lambda: m.status()["fetch"]["in_flight"] == 0, 20)


@pytest.fixture
def small_cache(make_mount, bucket):
    made = swifts.fill(bucket, 60, width=800)
    assert sum(map(len, made.values())) > 1.5 * LIMIT
    m = make_mount(stores=bucket.config(), env=bucket.env(), more=f"cache_size = {LIMIT}")
    m.cli("scan", "cloud")
    bucket.proxy.forget()
    return m, made


def blobs(m):
    """{sha256: path} of the cache directory."""
    return {name: os.path.join(where, name) for where, _, names in os.walk(os.path.join(m.cache, "blobs"))
            for name in names}


def size_of(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:       # evicted since it was listed
        return 0


def used(m):
    return sum(size_of(p) for p in blobs(m).values())


def test_limit_holds_and_the_least_recently_used_go(small_cache, bucket):
    m, made = small_cache
    paths = list(made)
    sha = {path: pictures.sha256(data) for path, data in made.items()}
    for path in paths[:15]:
        assert m.read(path) == made[path]
    quiet(m)
    # as if they had been read over the last days, the first of them longest ago
    for n, path in enumerate(paths):
        if sha[path] in blobs(m):
            when = time.time() - 86400 * (90 - n)
            os.utime(blobs(m)[sha[path]], (when, when))
    m.restart()
    assert m.read(paths[0]) == made[paths[0]], "used again: now the most recent"
    for path in reversed(paths):
        assert m.read(path) == made[path]
        if sha[paths[1]] not in blobs(m):
            break
    assert sha[paths[0]] in blobs(m) and sha[paths[1]] not in blobs(m), "the least recently used went first"
    for path in paths:
        assert m.read(path) == made[path]
        assert used(m) <= LIMIT * 1.1
    quiet(m)
    wait_until(lambda: used(m) <= LIMIT, 10, what=lambda: f"cache of {used(m)} bytes to shrink")
    status = m.status()["cache"]
    assert status["limit"] == LIMIT and status["bytes"] <= LIMIT
    gone = next(path for path in paths if sha[path] not in blobs(m))
    bucket.proxy.forget()
    assert m.read(gone) == made[gone], "and comes back when asked for"
    assert len(bucket.proxy.seen("GET", swifts.key_of(gone))) == 1


def test_bytes_that_no_store_has_are_never_evicted(make_mount, bucket):
    bucket.proxy.add("close")
    m = make_mount(stores=bucket.config(), env=bucket.env(), more="cache_size = 100000")
    made = {}
    for n in range(30):
        data = pictures.picture(n, pictures.moment(n), "+00:00", width=800)
        m.upload("front", f"{n}.jpg", data)
        made[f"cameras/front/{pictures.day(pictures.moment(n))}/{pictures.stem(pictures.moment(n), 'front')}.jpg"] = data
    assert m.wait_snapshots(30) == sorted(made)
    for path, data in made.items():
        assert m.read(path) == data
        assert m.xattr(path, "shutterfs.state") == "queued"
    status = m.status()
    assert status["spool"]["files"] == 30 and status["spool"]["bytes"] == sum(map(len, made.values()))
    subprocess.run(["rm", "-rf", m.cache], check=True)
    bucket.proxy.clear_rules()
    m.sync()
    wait_until(lambda: m.status()["spool"]["files"] == 0, 20)
    assert {bucket.get(k) for k in bucket.pictures()} == set(made.values())
    for path, data in made.items():
        assert m.read(path) == data


def in_memory(path):
    """Whether the kernel has the file's first page; asking does not make it read."""
    seen = ctypes.create_string_buffer(os.path.getsize(path) // mmap.PAGESIZE + 1)
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        page = ctypes.c_char.from_buffer(m)
        assert ctypes.CDLL(None).mincore(ctypes.byref(page), ctypes.c_size_t(len(m)), seen) == 0
        del page
    return seen[0] != b"\0"


def forget(path):
    """The kernel's copy of its bytes."""
    with open(path, "rb", buffering=0) as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_who_opens_what_he_looks_up_finds_the_disk_reading(make_mount, bucket):
    made = swifts.fill(bucket, 3, width=800)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    for path in made:
        assert m.read(path) == made[path]
    quiet(m)
    m.restart()  # the kernel knows no name
    first, second, third = made
    file = {path: blobs(m)[pictures.sha256(made[path])] for path in made}
    for path in file.values():
        forget(path)
    if in_memory(file[first]):
        pytest.skip("the cache is on a file system without a disk")
    assert os.stat(m.at(first)).st_size == os.path.getsize(file[first])
    time.sleep(0.3)
    assert not in_memory(file[first]), "nobody has opened a picture yet"
    assert m.read(third) == made[third]
    assert os.stat(m.at(second)).st_size == os.path.getsize(file[second])
    wait_until(lambda: in_memory(file[second]), 5)


@pytest.fixture
def disk_mount(small_disk, make_mount):
    """Needs small_disk before make_mount, so that the mount ends before its disk does."""
    return small_disk, make_mount


def test_a_full_cache_disk_degrades_to_uncached_reads(disk_mount, bucket):
    small_disk, make_mount = disk_mount
    made = swifts.fill(bucket, 40, width=800)
    disk = small_disk("512k", "cachedisk")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.stop()
    m.cache = str(disk)
    m.write_config()
    m.start()
    m.cli("scan", "cloud")
    for path, data in made.items():
        assert m.read(path) == data
    subprocess.run(f"head -c 10M /dev/zero > {disk}/filler", shell=True, stderr=subprocess.DEVNULL)
    for path, data in made.items():
        assert m.read(path) == data
    m.upload("front", "new.jpg", pictures.picture(1000, pictures.moment(1000), "+00:00"))
    m.wait_snapshots(41)


def test_a_full_state_disk_refuses_the_writer_and_nobody_else(disk_mount, bucket):
    small_disk, make_mount = disk_mount
    made = swifts.fill(bucket, 3)
    disk = small_disk("8m", "statedisk")
    m = make_mount(stores=bucket.config(), env=bucket.env(), start=False)
    m.state = str(disk)
    m.write_config()
    m.start()
    m.cli("scan", "cloud")
    bucket.proxy.add("close", method="PUT")
    with pytest.raises(OSError) as e:
        for n in range(400):
            m.upload("front", f"{n}.jpg", pictures.picture(n + 100, pictures.moment(n + 100), "+00:00", width=1600))
    assert e.value.errno in (28, 122), e.value
    assert os.statvfs(m.mnt).f_bavail * os.statvfs(m.mnt).f_frsize < 2_000_000, "statfs tells the truth"
    for path, data in made.items():
        assert m.read(path) == data
    bucket.proxy.clear_rules()
    m.cli("sync", "--wait", check=False, timeout=120)
    wait_until(lambda: m.status()["queue"]["waiting"] == 0, 60)
    m.upload("front", "after.jpg", pictures.picture(9999, pictures.moment(9999), "+00:00"))
    m.sync()
