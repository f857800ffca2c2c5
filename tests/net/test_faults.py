"""Faults of a store seen through a mount: every reader gets the right error in time and no wrong byte, and nobody else notices.

The matrix of all faults is test-net-matrix.c, at the drivers; this is a sample of it with everything above them."""
import concurrent.futures
import errno
import os
import threading
import time

import pytest

import swift as swifts
from processes import wait_until

DEADLINE = 4
TRIES = 16   # in that time, with pauses that double
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
FAULTS = {   # what the proxy does, what a reader may see
    "500": (dict(do=500), {errno.EIO}),
    "503": (dict(do=503), {errno.EIO, errno.ETIMEDOUT}),
    "503 for an hour": (dict(do=503, headers={"Retry-After": "3600"}), {errno.EIO}),
    "503 for ages": (dict(do=503, headers={"Retry-After": "99999999999999"}), {errno.EIO}),
    "403": (dict(do=403), {errno.EACCES}),
    "404 of a stranger": (dict(do=404, body=PAGE), {errno.EIO}),
    "closed": (dict(do="close"), {errno.EIO}),
    "closed when it was done": (dict(do="close", after=True), {errno.EIO}),
    "cut in the middle": (dict(do="cut"), {errno.EIO}),
    "a byte turned": (dict(do="corrupt"), {errno.EIO}),
    "silence": (dict(do="hang"), {errno.ETIMEDOUT, errno.EIO}),
    "a login page": (dict(do=200, headers={"Content-Type": "text/html"}, body=PAGE), {errno.EIO}),
    "a gzip": (dict(do=200, headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b\x08\0\0\0\0\0\x02\x03" + bytes(50)), {errno.EIO}),
    "empty": (dict(do=200), {errno.EIO}),
    "a part": (dict(do=206, headers={"Content-Range": "bytes 0-53/90000"}, body=PAGE), {errno.EIO}),
    "redirected": (dict(do=302, headers={"Location": "http://169.254.169.254/x"}), {errno.EACCES, errno.EIO}),
}


def attempt(m, path):
    """(errno or None, bytes, seconds)"""
    start, got = time.monotonic(), b""
    try:
        fd = os.open(m.at(path), os.O_RDONLY)
        try:
            while piece := os.read(fd, 65536):
                got += piece
        finally:
            os.close(fd)
        return None, got, time.monotonic() - start
    except OSError as e:
        return e.errno, got, time.monotonic() - start


def files_open(m):
    """How many files the mount has open, but for connections that are kept: to the store, and a thread's own to the catalog."""
    n, where = 0, f"/proc/{m.worker()}/fd"
    for fd in os.listdir(where):
        try:
            n += not os.readlink(f"{where}/{fd}").startswith(("socket:", os.path.join(m.state, "catalog.db")))
        except OSError:
            pass
    return n


class Bystander:
    """Reads pictures that are here, all the while, each as if for the first time."""

    def __init__(self, m, paths):
        self.m, self.paths, self.took, self.stop = m, paths, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.wait(0.01):
            path = self.paths[len(self.took) % len(self.paths)]
            start = time.monotonic()
            fd = os.open(self.m.at(path), os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.read(fd, 100)[:2] == b"\xff\xd8"
            os.close(fd)
            self.took.append(time.monotonic() - start)

    def end(self):
        self.stop.set()
        self.thread.join(20)
        return sorted(self.took)


def all_faults_at_once(m, bucket, cases, here):
    """The slowest reads of those who stand by, sorted."""
    bucket.proxy.forget()
    for path, (_, (rule, _)) in cases.items():
        bucket.proxy.add(method="GET", key=swifts.key_of(path), **rule)
    bystander = Bystander(m, here)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        done = dict(zip(cases, pool.map(lambda p: attempt(m, p), cases)))
    took = bystander.end()
    wrong = {name: (errno.errorcode.get(done[path][0]), len(done[path][1]), round(done[path][2], 1))
             for path, (name, (_, allowed)) in cases.items()
             if done[path][0] not in allowed or done[path][1] or done[path][2] > DEADLINE + 2}
    assert not wrong
    tries = {name: len(bucket.proxy.seen("GET", swifts.key_of(path))) for path, (name, _) in cases.items()}
    # the reader's own, and two of read-ahead: that of its neighbours, that of the whole directory
    assert max(tries.values()) <= TRIES and max(tries["503 for an hour"], tries["503 for ages"], tries["403"]) <= 3, tries
    bucket.proxy.clear_rules()
    return took


@pytest.mark.limit(180)
def test_readers_get_the_right_error_in_time_and_nobody_else_notices(make_mount, bucket):
    made = swifts.fill(bucket, len(FAULTS) + 8)
    m = make_mount(stores=bucket.config(), env=bucket.env(), more=f"fetch_deadline = {DEADLINE}s", options=["-v"])
    m.cli("scan", "cloud")
    paths = sorted(made)
    here, cases = paths[-8:], dict(zip(paths, FAULTS.items()))
    for path in here:
        assert m.read(path) == made[path]
    before = files_open(m)
    took = all_faults_at_once(m, bucket, cases, here)
    assert len(took) > 50 and took[len(took) * 99 // 100] < 1.5, (len(took), took[-5:])
    m.cli("scan", "cloud")
    for path in cases:
        assert m.read(path) == made[path]
    wait_until(lambda: files_open(m) <= before, 20, what=lambda: f"{before} open files, there are {files_open(m)}")
    assert swifts.SECRET not in m.log_text() and "Signature=" not in m.log_text()
