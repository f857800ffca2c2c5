"""The clock is set by a day, forth and back, while the mount runs."""
import subprocess
import time

import pytest

import pictures
import swift as swifts
from preload import DAY, Clock
from processes import wait_until
from test_cameras import camera

SKEWED = "clock"


@pytest.fixture
def clock(tmp_path):
    made = Clock(tmp_path / "clock")
    yield made
    made.set(0)


def picture(n, **kw):
    return pictures.picture(n, pictures.moment(n), "+00:00", **kw)


def undated(n):
    """Its time is that of its arrival, so it is looked at 2 s after its close."""
    return pictures.picture(n)


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_nothing_waits_or_runs_at_once(make_mount, fault_camera, clock, tmp_path, step):
    source = fault_camera()
    m = make_mount(cameras=camera("front", source.url, interval="1h", min_interval="0s"), preload=clock.env(),
                   stores=f'[store "archive"]\ndriver = dir\npath = {tmp_path}/m/archive\nscan = 1h\n')
    wait_until(lambda: source.count() == 1, 20)
    m.upload("garden", "a.jpg", picture(1))
    m.sync()
    before = m.snapshots("garden")
    m.upload("garden", "IMG.jpg", undated(2))
    clock.set(step)
    wait_until(lambda: m.log_text().count("the clock was set by ") == 1, 10)
    wait_until(lambda: m.xattr("upload/garden/IMG.jpg", "shutterfs.state") not in ("waiting", None), 15)
    m.upload("garden", "IMG2.jpg", undated(3))
    m.wait_snapshots(3, "garden", timeout=15)
    m.sync()
    assert set(before) < set(m.snapshots("garden")), "what was there has the names it had"
    time.sleep(2)
    assert source.count() == 1, "the camera's hour is not over"
    clock.set(0)
    wait_until(lambda: m.log_text().count("the clock was set by ") == 2, 10)
    m.upload("garden", "IMG3.jpg", undated(4))
    m.wait_snapshots(4, "garden", timeout=15)
    m.sync()
    time.sleep(2)
    assert source.count() == 1
    m.stop()
    assert "no faults" in m.cli("fsck").stdout


@pytest.mark.parametrize("step", [DAY, -DAY])
def test_deadlines_do_not_know_the_time_of_day(make_mount, fault_camera, clock, step):
    source = fault_camera()
    source.behave = "hang"
    m = make_mount(cameras=camera("front", source.url, timeout="3s"), preload=clock.env(), more="fetch_deadline = 8s")
    start = time.monotonic()
    reader = subprocess.Popen(["cat", m.at("cameras/front/live.jpg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: source.count() == 1, 10)
    clock.set(step)
    assert reader.wait(30) != 0
    assert 2.5 < time.monotonic() - start < 12


def test_a_store_refuses_a_wrong_clock(make_mount, bucket, clock):
    """Signatures have a time: the server's sentence says so, nothing is lost, and the right clock is enough."""
    made = swifts.fill(bucket, 3)
    m = make_mount(stores=bucket.config(), env=bucket.env(), preload=clock.env(), more="fetch_deadline = 3s")
    m.cli("scan", "cloud")
    path = next(iter(made))
    assert m.read(path) == made[path]
    clock.set(DAY)
    m.upload("front", "a.jpg", picture(50))
    wait_until(lambda: any(SKEWED in e["error"] for e in m.errors()), 30,
               what=lambda: f"a sentence about the clock: {m.errors()} {m.log_text()[-2000:]}")
    assert m.read(path) == made[path], "what is here needs no clock"
    bucket.proxy.forget()
    time.sleep(5)
    assert len(bucket.proxy.seen("PUT", ".jpg")) <= 10, "a store that refuses is not asked all the time"
    clock.set(0)
    wait_until(lambda: m.status()["queue"]["waiting"] == 0, 30)
    for p, data in made.items():
        assert m.read(p) == data
    assert len(bucket.pictures()) == len(made) + 1
