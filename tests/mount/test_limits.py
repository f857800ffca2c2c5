"""What runs out: disks that are full or read-only, a camera or a store that takes all it can get, memory."""
import contextlib
import errno
import os
import re
import subprocess
import threading
import time

import pytest

import mount as mounts
import pictures
from processes import family, memory_kib, run, wait_until
from test_cameras import camera, fails, live

FULL = (errno.ENOSPC, errno.EDQUOT)


def picture(n, **kw):
    return pictures.picture(n, pictures.moment(n), "+00:00", **kw)


def place(n, cam="front"):
    return f"cameras/{cam}/{pictures.day(pictures.moment(n))}/{pictures.stem(pictures.moment(n), cam)}.jpg"


def fill(disk):
    """Until not a byte is left."""
    with open(os.path.join(disk, "filler"), "ab", 0) as f:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(bytes(size))


def empty(disk):
    os.unlink(os.path.join(disk, "filler"))


def remount(disk, how):
    run(["mount", "-o", f"remount,{how}", disk])


def troubles(m):
    return {e["subject"]: e["error"] for e in m.errors() if e["subject"].endswith(" directory")}


@pytest.fixture
def on_disks(small_disk, make_mount):
    """A function: a mount whose state and cache are on disks of their own."""
    def make(state="8m", cache="8m", **kw):
        m = make_mount(start=False, **kw)
        m.state_disk, m.cache_disk = str(small_disk(state, "statedisk")), str(small_disk(cache, "cachedisk"))
        m.state, m.cache = os.path.join(m.state_disk, "state"), os.path.join(m.cache_disk, "cache")
        m.write_config()
        return m

    return make


class Cloud:
    """A store that is not read in place; what it has lies in a directory.  While it is away it takes nothing."""

    def __init__(self, path):
        self.path, self.unreachable = str(path), f"{path}?put=ECONNREFUSED"
        os.makedirs(self.path)
        os.symlink(self.path, self.unreachable)   # the worker may reach what a config's path leads to

    def config(self, away):
        return f'[store "cloud"]\ndriver = fault\npath = {self.unreachable if away else self.path}\n'

    def fill(self, count, **kw):
        """{path in the tree: bytes} of pictures that others put there."""
        made = {}
        for n in range(count):
            _, cam, day, name = place(n).split("/")
            where = os.path.join(self.path, cam, day.replace("-", "/"))
            os.makedirs(where, exist_ok=True)
            made[place(n)] = picture(n, **kw)
            with open(os.path.join(where, name), "wb") as f:
                f.write(made[place(n)])
        return made

    def comes_back(self, m):
        m.stop()
        m.sections = self.config(away=False)
        m.write_config()
        m.start()

    def pictures(self, word=""):
        found = []
        for where, _, names in os.walk(self.path):
            for name in names:
                if name.endswith(".jpg") and word in name:
                    with open(os.path.join(where, name), "rb") as f:
                        found.append(f.read())
        return sorted(found)


@pytest.fixture
def cloud(tmp_path):
    return Cloud(tmp_path / "cloud")


def asked(m):
    return m.status()["fetch"]["requests"]


def read_all(m, made):
    for path, data in made.items():
        assert m.read(path) == data


def fsck_is_clean(m):
    m.stop()
    assert "no faults" in m.cli("fsck").stdout


class Writers:
    """Programs that upload, label and capture, again and again, while a disk fills up; `accepted`: what was closed without error."""

    def __init__(self, m, made):
        self.m, self.accepted, self.stop, self.wrong = m, {}, threading.Event(), []
        self.cold, self.refused = list(made), 0
        self.threads = [threading.Thread(target=self.run, args=(work,)) for work in (self.upload, self.label, self.capture)]
        self.serial = 1000

    def upload(self):
        n = self.serial = self.serial + 1
        data = picture(n, width=800)
        self.m.upload("front", f"{n}.jpg", data)
        self.accepted[place(n)] = data

    def label(self):
        path = self.cold[self.serial % len(self.cold)]
        name = self.m.at("labels/object/cat", os.path.basename(path))
        with contextlib.suppress(FileExistsError):
            os.link(self.m.at(path), name)
        os.unlink(name)

    def capture(self):
        live(self.m, "door")

    def run(self, work):
        while not self.stop.is_set():
            try:
                work()
            except OSError as e:
                self.refused += 1
                if e.errno not in FULL + (errno.EEXIST, errno.ENOENT):
                    self.wrong.append(f"{work.__name__}: {e}")
            time.sleep(0.01)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60)
        assert not self.wrong, self.wrong[:5]


@pytest.mark.parametrize("which", ["state", "cache", "both"])
def test_disks_fill_up_under_everything(on_disks, cloud, fault_camera, which):
    made = cloud.fill(30, width=800)
    source = fault_camera()
    m = on_disks(state="32m", stores=cloud.config(away=True), cameras=camera("door", source.url, min_interval="0s"))
    m.start()
    m.cli("scan", "cloud")
    os.makedirs(m.at("labels/object/cat"))
    full = [d for d, name in ((m.state_disk, "state"), (m.cache_disk, "cache")) if which in (name, "both")]
    with Writers(m, made) as writers:
        wait_until(lambda: len(writers.accepted) >= 5, 20)
        for disk in full:
            fill(disk)
        read_all(m, made)
        if which != "cache":
            wait_until(lambda: writers.refused >= 20, 30)
            for disk in full:
                fill(disk)   # whatever was given back meanwhile
            done = m.cli("scan", "cloud", check=False)
            assert done.returncode == 1 and re.search("No space left|make room", done.stderr), done.stderr
        assert len(m.cli("search", "camera:front").stdout.splitlines()) >= len(made)
        said = troubles(m)
        assert set(said) == {f"{name} directory" for name in ("state", "cache") if which in (name, "both")}
        assert all("No space left on device; make room" in text for text in said.values()), said
        assert {name for name, text in m.status()["disks"].items() if text} == {w.split()[0] for w in said}
        assert "make room" in m.cli("status").stdout
        for disk in full:
            empty(disk)
        before = len(writers.accepted)
        wait_until(lambda: len(writers.accepted) > before + 3, 30)
    assert troubles(m) == {}
    live(m, "door")
    m.cli("scan", "cloud")
    # what was closed while no row could be written is looked at again
    wait_until(lambda: all(os.path.exists(m.at(path)) for path in writers.accepted), 30)
    read_all(m, {**made, **writers.accepted})
    cloud.comes_back(m)
    m.sync()
    read_all(m, {**made, **writers.accepted})
    assert cloud.pictures("_front") == sorted([*made.values(), *writers.accepted.values()]), "each once"
    fsck_is_clean(m)


def test_a_read_only_state_says_what_to_do(on_disks):
    m = on_disks()
    m.start()
    m.upload("front", "a.jpg", picture(1))
    m.stop()
    remount(m.state_disk, "ro")
    start = time.monotonic()
    with pytest.raises(AssertionError) as e:
        m.start()
    m.process = None
    assert time.monotonic() - start < 5
    sentence = f"cannot use the state directory {m.state}: Read-only file system; remount its disk read-write"
    assert sentence in str(e.value)
    done = m.cli("status", check=False)
    assert done.returncode == 1 and sentence in done.stderr
    remount(m.state_disk, "rw")
    m.start()
    assert m.read(m.wait_snapshots(1)[0]) == picture(1)
    fsck_is_clean(m)


@pytest.mark.parametrize("made_before", [True, False])
def test_a_read_only_cache_is_gone_without(on_disks, cloud, made_before):
    made = cloud.fill(12)
    first, rest, fresh = (dict(list(made.items())[n:n + 4]) for n in (0, 4, 8))
    m = on_disks(stores=cloud.config(away=False))
    if made_before:
        m.start()
        m.cli("scan", "cloud")
        read_all(m, first)
        m.stop()
    remount(m.cache_disk, "ro")
    m.start()
    if not made_before:
        m.cli("scan", "cloud")
    before = asked(m)
    read_all(m, first)
    if made_before:
        assert asked(m) == before, "they are in the cache"
    read_all(m, rest)
    m.upload("front", "a.jpg", picture(500))
    m.sync()
    assert m.read(place(500)) == picture(500)
    assert "Read-only file system; remount its disk read-write" in troubles(m)["cache directory"]
    remount(m.cache_disk, "rw")
    assert troubles(m) == {}
    wait_until(lambda: os.path.isdir(m.cache), 30)
    read_all(m, fresh)
    kept = [name for _, _, names in os.walk(m.cache) for name in names]
    assert {pictures.sha256(data) for data in fresh.values()} <= set(kept)
    remount(m.cache_disk, "rw")
    fsck_is_clean(m)


@pytest.fixture
def ext4(tmp_path):
    """A file system that can be made to see an error, after which the kernel takes no write any more."""
    image, where = tmp_path / "image", tmp_path / "ext4"
    where.mkdir()
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    try:
        run(["mkfs.ext4", "-q", image])
        run(["mount", "-o", "loop,errors=remount-ro", image, where])
    except (AssertionError, OSError) as e:
        pytest.skip(f"cannot mount an image: {str(e).splitlines()[-1]}")

    def mend():
        run(["umount", where])
        subprocess.run(["fsck.ext4", "-fy", image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run(["mount", "-o", "loop", image, where])

    yield where, mend
    subprocess.run(["umount", "-l", where])


@pytest.fixture
def ext4_mount(ext4, make_mount):
    return *ext4, make_mount


def test_a_state_disk_that_turns_read_only(ext4_mount, cloud):
    where, mend, make_mount = ext4_mount
    made = cloud.fill(6)
    m = make_mount(stores=cloud.config(away=True), start=False)
    m.state = str(where / "state")
    m.write_config()
    m.start()
    m.cli("scan", "cloud")
    read_all(m, made)
    accepted = {}
    for n in range(100, 105):
        m.upload("front", f"{n}.jpg", picture(n))
        accepted[place(n)] = picture(n)
    read_all(m, accepted)  # registered, which a moment later it could not be
    os.sync()
    subprocess.run(["mount", "-o", "remount,abort", where], stderr=subprocess.DEVNULL)
    fails(errno.EROFS, os.mkdir, where / "try")
    for n in range(200, 203):
        fails((errno.EROFS, errno.EIO), m.upload, "front", f"{n}.jpg", picture(n))
    fails((errno.EROFS, errno.EIO), os.mkdir, m.at("labels/object"))
    read_all(m, {**made, **accepted})
    assert "remount its disk read-write" in troubles(m)["state directory"]
    assert "remount its disk read-write" in m.cli("status").stdout
    assert m.status()["worker"]["restarts"] == 0
    m.stop()
    mend()
    cloud.comes_back(m)
    m.sync()
    read_all(m, {**made, **accepted})
    fsck_is_clean(m)


# -- one camera, one store

def endless(handler):
    """A picture that never ends."""
    handler.send_response(200)
    handler.send_header("Content-Type", "image/jpeg")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with contextlib.suppress(OSError):
        handler.wfile.write(b"2\r\n\xff\xd8\r\n")
        for _ in range(1 << 14):
            handler.wfile.write(chunk)
    handler.close_connection = True


def slow(handler):
    """A picture of which a byte comes now and then."""
    handler.send_response(200)
    handler.send_header("Content-Type", "image/jpeg")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b"\xff\xd8")
            time.sleep(0.3)
    handler.close_connection = True


def latencies(m, cached, rounds=30):
    """Seconds that a cached read, a look and another camera's picture take: the slowest of all but one in twenty."""
    took = []
    for n in range(rounds):
        for work in (lambda: m.read(cached[n % len(cached)]), lambda: os.listdir(m.at("cameras")), lambda: live(m, "good")):
            start = time.monotonic()
            work()
            took.append(time.monotonic() - start)
    return sorted(took)[int(len(took) * 0.95)]


def test_hostile_cameras_cost_others_nothing(make_mount, fault_camera, capsys):
    kinds = {"endless": endless, "slow": slow, "hang": "hang", "html": "html", "cut": "truncated"}
    hostile = {name: fault_camera() for name in kinds}
    for name, behave in kinds.items():
        hostile[name].behave = behave
    good = fault_camera()
    m = make_mount(cameras=camera("good", good.url, min_interval="0s") + "".join(
        camera(name, c.url, min_interval="0s", interval="1s", timeout="5s") for name, c in hostile.items()), more="fetch_deadline = 6s")
    for n in range(10):
        m.upload("front", f"{n}.jpg", picture(n))
    cached = m.wait_snapshots(10, "front")
    quiet = latencies(m, cached)
    readers = [subprocess.Popen(["sh", "-c", f"while :; do cat {m.at('cameras', name, 'live.jpg')}; done"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for name in kinds for _ in range(4)]
    said = set()

    def all_said():
        said.update(e["subject"] for e in m.errors())
        return all(any(name in subject for subject in said) for name in kinds)

    try:
        wait_until(lambda: all(c.count() for c in hostile.values()), 20)
        busy = latencies(m, cached, 100)
        peak = memory_kib(family(m.process.pid)) >> 10
        wait_until(all_said, 20, 0.2, what=said)
    finally:
        for r in readers:
            r.kill()
            r.wait()
    assert m.snapshots("endless") + m.snapshots("slow") + m.snapshots("html") + m.snapshots("cut") == []
    warned = [line for line in m.log_text().splitlines() if " W " in line]
    assert len(warned) <= 2 * len(kinds), "each failure is told once"
    with capsys.disabled():
        print(f"\n95 % of reads, looks and captures: {quiet * 1000:.0f} ms quiet, {busy * 1000:.0f} ms beside {len(kinds)} hostile "
              f"cameras; peak {peak} MiB")
    assert busy < max(1.0, 5 * quiet)
    assert peak < 512 or mounts.sanitized()


def test_a_camera_takes_its_share_of_the_disk(on_disks, cloud, fault_camera):
    """While the store is away: half of what there is, and others go on."""
    hog, good = fault_camera(), fault_camera()
    big = [0]

    def large(handler):
        big[0] += 1
        hog.reply(handler, 200, picture(5000 + big[0], width=1600))

    hog.behave = large
    picture(0, width=1600)   # the first one takes time to make
    m = on_disks(state="16m", stores=cloud.config(away=True),
                 cameras=camera("hog", hog.url, min_interval="0s") + camera("good", good.url, min_interval="0s"))
    m.start()
    with pytest.raises(OSError) as e:
        for _ in range(1000):
            live(m, "hog")
    assert e.value.errno == errno.EDQUOT
    assert "half of the state directory's disk" in " ".join(x["error"] for x in m.errors())
    space = os.statvfs(m.state_disk)
    assert space.f_bavail > 0.3 * space.f_blocks, "there is room for others"
    for _ in range(20):
        live(m, "good")
    for n in range(40):
        m.upload("front", f"{n}.jpg", picture(n, width=800))
    assert len(m.snapshots("good")) == 20 and troubles(m) == {}
    kept = len(m.snapshots("hog"))
    cloud.comes_back(m)
    m.sync()
    live(m, "hog")
    assert len(m.snapshots("hog")) == kept + 1
    m.sync()
    assert len(cloud.pictures()) == kept + 1 + 20 + 40
    fsck_is_clean(m)


def test_a_store_without_end_leaves_room_for_uploads(on_disks, tmp_path):
    """Its names come from anybody who may write there."""
    names = tmp_path / "names"
    os.makedirs(names / "front")
    data = picture(1, width=160)
    (names / "0.jpg").write_bytes(data)
    for n in range(20000):
        os.link(names / "0.jpg", names / "front" / f"{n}.jpg")
    m = on_disks(state="12m", stores="")
    m.sections = m.dir_store() + m.dir_store("names", names)
    m.write_config()
    m.start()
    done = m.cli("scan", "names", check=False)
    assert done.returncode == 1 and "left for uploads; make room there" in done.stderr, done.stderr
    listed = m.status()["snapshots"]
    assert 1000 <= listed < 20000
    assert [e for e in m.errors() if "left for uploads" in e["error"]]
    m.upload("garden", "a.jpg", picture(7))
    m.wait_snapshots(1, "garden")
    os.makedirs(m.at("labels/object/cat"))
    remount(m.state_disk, "size=64m")
    m.cli("scan", "names")
    assert m.status()["snapshots"] == 20002
    assert m.errors() == []
    fsck_is_clean(m)
