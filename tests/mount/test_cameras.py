"""Cameras: on demand and on schedule, over real Digest auth, and every way they misbehave."""
import base64
import concurrent.futures
import errno
import os
import signal
import time

import pytest

import pictures
from processes import reader, wait_until


def camera(name, url, user=None, driver="http", **more):
    lines = [f'[camera "{name}"]', f"driver = {driver}", f"url = {url}"]
    if user:
        lines += [f"user = {user}", "password_env = CAMERA_PASSWORD"]
    return "\n".join(lines + [f"{k} = {v}" for k, v in more.items()]) + "\n"


def live(m, name="front"):
    return m.read("cameras", name, "live.jpg")


def fails(number, call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    allowed = number if isinstance(number, tuple) else (number,)
    assert e.value.errno in allowed, errno.errorcode.get(e.value.errno)


def test_live_captures_registers_and_serves(make_mount, motion):
    """A real camera program behind Digest authentication."""
    m = make_mount(cameras=camera("front", motion.url, motion.user, group="home").replace(
        "password_env = CAMERA_PASSWORD", f"password_file = {motion.password_file}"))
    assert os.listdir(m.at("cameras")) == ["front"]
    assert "live.jpg" not in os.listdir(m.at("cameras/front"))
    data = live(m)
    assert data[:3] == b"\xff\xd8\xff" and data.rstrip(b"\0")[-2:] == b"\xff\xd9"
    path = m.wait_snapshots(1)[0]
    assert m.read(path) == data
    s = m.sidecar(path)
    assert (s["camera"], s["group"], s["time_source"], s["width"], s["height"]) == ("front", "home", "source", 640, 480)
    assert m.read("cameras/front/latest.jpg") == data
    m.sync()
    assert m.xattr(path, "shutterfs.state") == "synced"
    time.sleep(1.2)
    assert live(m) != data
    m.wait_snapshots(2)


def test_ten_readers_within_a_second_cause_one_capture(make_mount, fault_camera):
    source = fault_camera(delay=0.7)
    m = make_mount(cameras=camera("front", source.url))
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda _: live(m), range(10)))
    assert set(got) == set(source.served) and source.count() == 1
    assert [m.read(p) for p in m.wait_snapshots(1)] == source.served


def test_min_interval_spares_the_camera(make_mount, fault_camera):
    source = fault_camera()
    m = make_mount(cameras=camera("front", source.url, min_interval="3s"))
    first = live(m)
    assert live(m) == first and source.count() == 1
    time.sleep(3.2)
    assert live(m) != first and source.count() == 2
    m.wait_snapshots(2)


def test_interval_captures_on_schedule(make_mount, fault_camera):
    source = fault_camera()
    m = make_mount(cameras=camera("front", source.url, interval="1s"))
    wait_until(lambda: len(m.snapshots()) >= 3, 20)
    status = m.status()["cameras"][0]
    assert status["name"] == "front" and status["snapshots"] >= 3 and status["last_capture"] and not status["error"]


def test_one_request_at_a_time_per_camera(make_mount, fault_camera):
    source = fault_camera(delay=0.3)
    m = make_mount(cameras=camera("front", source.url, interval="1s", min_interval="0s"))
    end = time.monotonic() + 3
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        def work(_):
            while time.monotonic() < end:
                live(m)
        list(pool.map(work, range(4)))
    assert source.peak == 1 and source.count() > 3


@pytest.mark.parametrize("behave", ["html", "truncated", "short", "empty"])
def test_what_is_not_a_picture_is_an_error_and_not_registered(make_mount, fault_camera, behave):
    source = fault_camera()
    source.behave = behave
    m = make_mount(cameras=camera("front", source.url, timeout="3s"), more="fetch_deadline = 4s")
    fails(errno.EIO, live, m)
    assert m.snapshots() == []
    said = [e for e in m.errors() if "front" in e["subject"]]
    assert len(said) == 1 and said[0]["error"]
    assert m.status()["cameras"][0]["error"]
    source.behave = "ok"
    wait_until(lambda: source.behave == "ok", 1)
    time.sleep(1.1)
    assert live(m) in source.served
    assert [e for e in m.errors() if "front" in e["subject"]] == []


@pytest.mark.parametrize("behave,number", [("401", errno.EACCES), ("404", (errno.ENOENT, errno.EIO))])
def test_refusals_have_their_error(make_mount, fault_camera, behave, number):
    source = fault_camera()
    source.behave = behave
    m = make_mount(cameras=camera("front", source.url, "admin"), env={"CAMERA_PASSWORD": "canary-pw"})
    fails(number, live, m)
    assert m.snapshots() == []
    assert source.count() <= 3, "a refusal is not worth trying again and again"
    assert "canary-pw" not in m.log_text()


def test_a_busy_camera_is_asked_again_when_it_said(make_mount, fault_camera):
    source = fault_camera()
    source.behave, source.retry_after = ["503"], 2
    m = make_mount(cameras=camera("front", source.url))
    assert live(m) in source.served
    first, second = (r[0] for r in source.requests)
    assert 1.9 <= second - first <= 8


def test_basic_authentication(make_mount, fault_camera):
    source = fault_camera()
    wanted = "Basic " + base64.b64encode(b"admin:p:ss w\xc3\xb6rd").decode()

    def check(handler):
        if handler.headers.get("Authorization") != wanted:
            source.answer(handler, "401")
        else:
            source.answer(handler, "ok")

    source.behave = check
    m = make_mount(cameras=camera("front", source.url, "admin"), env={"CAMERA_PASSWORD": "p:ss wörd"})
    assert live(m) in source.served


def test_redirects_never_carry_secrets_to_another_origin(make_mount, fault_camera):
    first, second = fault_camera(), fault_camera()
    second.behave = "401"

    def send_on(handler):
        if "Authorization" not in handler.headers:
            return first.answer(handler, "401")
        return first.reply(handler, 302, b"", Location=second.url)

    first.behave = send_on
    m = make_mount(cameras=camera("front", first.url, "admin"), env={"CAMERA_PASSWORD": "canary-pw"})
    fails((errno.EACCES, errno.EIO), live, m)
    for _, path, headers in second.requests:
        assert "Authorization" not in headers and "canary" not in path


def test_foscam_speaks_its_own_url(make_mount, fault_camera):
    source = fault_camera()
    m = make_mount(cameras=camera("door", f"http://127.0.0.1:{source.server.port}", "ad min", driver="foscam"),
                   env={"CAMERA_PASSWORD": "p&w=d#1"})
    assert m.read("cameras/door/live.jpg") in source.served
    path = source.requests[0][1]
    assert path.startswith("/cgi-bin/CGIProxy.fcgi?cmd=snapPicture2&")
    assert "usr=ad%20min" in path and "pwd=p%26w%3Dd%231" in path
    source.behave = lambda h: source.reply(h, 200, b"<CGI_Result><result>-2</result></CGI_Result>", "text/plain")
    time.sleep(1.1)
    fails((errno.EACCES, errno.EIO), lambda: m.read("cameras/door/live.jpg"))
    for text in (m.log_text(), str(m.errors()), str(m.status())):
        assert "p%26w" not in text and "p&w" not in text


def test_a_hanging_camera_delays_nobody(make_mount, fault_camera):
    hanging, good = fault_camera(), fault_camera()
    hanging.behave = "hang"
    m = make_mount(cameras=camera("broken", hanging.url, interval="2s") + camera("good", good.url, min_interval="0s"))
    m.upload("other", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = m.wait_snapshots(1, "other")[0]
    readers = [reader(m.at("cameras/broken/live.jpg")) for _ in range(40)]
    try:
        wait_until(lambda: hanging.count() >= 1, 10)
        slowest = 0
        for _ in range(10):
            for work in (lambda: os.listdir(m.at("cameras/broken")), lambda: os.stat(m.at("cameras/broken")),
                         lambda: m.read(path), lambda: live(m, "good"), lambda: m.status(),
                         lambda: os.path.lexists(m.at("cameras/broken/latest.jpg"))):
                start = time.monotonic()
                work()
                slowest = max(slowest, time.monotonic() - start)
        assert slowest < 1.5, slowest
        assert all(r.poll() is None for r in readers), "they are still waiting"
    finally:
        for r in readers:
            r.send_signal(signal.SIGINT)
        start = time.monotonic()
        for r in readers:
            r.wait(10)
        assert time.monotonic() - start < 2, "Ctrl-C returns at once"


def test_a_hanging_camera_times_out(make_mount, fault_camera):
    source = fault_camera()
    source.behave = "hang"
    m = make_mount(cameras=camera("front", source.url, timeout="1s"), more="fetch_deadline = 3s")
    start = time.monotonic()
    fails(errno.ETIMEDOUT, live, m)
    assert time.monotonic() - start < 8


def test_live_of_a_camera_without_source(mount):
    os.mkdir(mount.at("upload/manual"))
    fails((errno.ENOENT, errno.ENODEV), lambda: mount.read("cameras/manual/live.jpg"))
