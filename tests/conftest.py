"""Fixtures of the pytest suites, and the limit of time that every test has."""
import faulthandler
import os
import signal
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import mount as mounts
import swift as swifts
from camera import FaultCamera, MotionCamera
from processes import find_program

LIMIT = 120  # seconds; @pytest.mark.limit(N) for another


def pytest_configure(config):
    if not os.access(mounts.PROGRAM, os.X_OK):
        pytest.exit(f"{mounts.PROGRAM} is not built; run contrib/run-tests or set SHUTTERFS", 3)
    config.addinivalue_line("markers", "limit(seconds): how long this test may take")


class Late(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A late test is interrupted; if it hangs in the kernel, its mounts are aborted."""
    mark = item.get_closest_marker("limit")
    limit = mark.args[0] if mark else LIMIT

    def alarm(*_):
        faulthandler.dump_traceback(file=sys.__stderr__)
        raise Late(f"not done within {limit} s")

    last = threading.Timer(limit + 10, mounts.abort_all)
    last.daemon = True
    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(limit)
    last.start()
    try:
        yield
    finally:
        last.cancel()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session", autouse=True)
def _machine_is_fit():
    reason = mounts.unfit()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def small_disk(tmp_path):
    """A function: mounts a tmpfs of that size, or skips.  A test names it before make_mount: its mounts end before their disks do."""
    made = []

    def make(size, name):
        where = tmp_path / name
        where.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(where)], stderr=subprocess.PIPE,
                              text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
        made.append(where)
        return where

    yield make
    for where in made:
        subprocess.run(["umount", "-l", str(where)])


@pytest.fixture
def make_mount(tmp_path):
    """A function that mounts: make_mount(name=..., **Mount arguments)."""
    made = []

    def make(name="m", **kw):
        m = mounts.Mount(tmp_path / name, **kw)
        made.append(m)
        return m

    failed = []
    yield make
    for m in reversed(made):
        try:
            m.stop()
        except AssertionError as e:
            failed.append(str(e))
    assert not failed, "\n".join(failed)


@pytest.fixture
def mount(make_mount):
    """A plain mount: one directory store, no cameras."""
    return make_mount()


@pytest.fixture(scope="session")
def swift():
    reason = swifts.missing()
    if reason:
        pytest.skip(reason)
    server = swifts.Swift()
    yield server
    server.stop()


@pytest.fixture
def bucket(swift):
    """A fresh bucket of the S3 server, its request log empty and no fault set."""
    made = swift.bucket()
    yield made
    swift.proxy.clear_rules()


@pytest.fixture
def cloud_mount(make_mount, bucket):
    """A mount whose only store is the bucket."""
    return make_mount(stores=bucket.config(), env=bucket.env())


@pytest.fixture(scope="session")
def motion(tmp_path_factory):
    if not find_program("motion") or not find_program("ffmpeg"):
        pytest.skip("motion or ffmpeg is not installed")
    camera = MotionCamera(tmp_path_factory.mktemp("motion"))
    yield camera
    camera.stop()


@pytest.fixture
def fault_camera():
    """Makes misbehaving HTTP cameras."""
    made = []

    def make(**kw):
        made.append(FaultCamera(**kw))
        return made[-1]

    yield make
    for camera in made:
        camera.stop()
