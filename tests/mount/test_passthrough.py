"""Local pictures that the kernel reads by itself: no READ reaches us, one mode per inode, and the ways it is not to be had."""
import collections
import concurrent.futures
import json
import mmap
import os
import random
import re
import subprocess
import sys
import threading

import pytest

import mount as mounts
import pictures
import swift as swifts
from processes import find_program, run, wait_until

LOGGED = ("-o", "debug")  # libfuse names every request in the log
OFF = ("-o", "passthrough=no")


def kernel_can():
    release = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
    return release >= (6, 9) and os.geteuid() == 0


@pytest.fixture
def passing():
    """Skips unless the kernel and our privileges allow it."""
    if not kernel_can():
        pytest.skip("needs root and kernel 6.9")


def filled(m, count=6):
    """Uploads `count` pictures; {path: bytes}."""
    made = {}
    for n in range(count):
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00", width=800)
        m.upload("front", f"{n}.jpg", data)
        made[f"cameras/front/{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg"] = data
    assert m.wait_snapshots(count) == sorted(made)
    return made


def reads_of(m, path):
    """How many READs of that file reached the daemon."""
    inode = os.stat(m.at(path)).st_ino
    return len(re.findall(rf"opcode: READ \(15\), nodeid: {inode},", m.log_text()))


def read_direct(path, size):
    """With O_DIRECT into aligned memory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, size + 4096) as memory:
            got = os.readv(fd, [memory])
            return memory[:got]
    finally:
        os.close(fd)


def read_mapped(path):
    """Mapped memory outlives the descriptor."""
    with open(path, "rb") as f:
        mapped = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    with mapped:
        return mapped[:]


def read_copied(path, to):
    """As cp does: copy_file_range, or sendfile."""
    subprocess.run(["cp", "--sparse=never", path, to], check=True)
    with open(to, "rb") as f:
        return f.read()


def read_every_way(m, path, data, tmp_path):
    assert m.read(path) == data
    assert m.read(path.replace("cameras/front/", "dates/").replace("-", "/", 2)) == data
    assert read_mapped(m.at(path)) == data
    assert read_direct(m.at(path), len(data)) == data
    assert read_copied(m.at(path), tmp_path / "copy") == data
    with open(m.at(path), "rb") as f:
        f.seek(1000)
        assert f.read(5000) == data[1000:6000]
        f.seek(len(data))
        assert f.read() == b""


def test_no_read_reaches_us(make_mount, passing, tmp_path):
    m = make_mount(options=LOGGED)
    made = filled(m)
    for path, data in made.items():
        read_every_way(m, path, data, tmp_path)
        assert reads_of(m, path) == 0
    m.restart()
    for path, data in made.items():
        assert m.read(path) == data
        assert reads_of(m, path) == 0
    assert m.status()["read_path"] == "passthrough"
    assert "passthrough" in m.cli("status").stdout


def requests_since(m, mark):
    """What the kernel asked, by name."""
    return collections.Counter(re.findall(r"opcode: (\w+) \(\d+\)", m.log_text()[mark:]))


def test_a_picture_read_again_costs_an_open_and_a_release(make_mount, passing):
    m = make_mount(options=LOGGED)
    made = filled(m)
    for path, data in made.items():
        assert m.read(path) == data
    wait_until(lambda: requests_since(m, 0)["RELEASE"] == requests_since(m, 0)["OPEN"] + requests_since(m, 0)["CREATE"], 10)
    mark = len(m.log_text())
    for path, data in made.items():
        fd = os.open(m.at(path), os.O_RDONLY)
        assert os.read(fd, len(data) + 1) == data
        os.close(fd)
    wait_until(lambda: requests_since(m, mark)["RELEASE"] == len(made), 10)
    asked = requests_since(m, mark)
    assert asked.pop("OPEN") == asked.pop("RELEASE") == len(made)
    assert not asked  # no LOOKUP, GETATTR, READ, FLUSH


def test_switched_off(make_mount, tmp_path):
    m = make_mount(options=(*LOGGED, *OFF))
    made = filled(m, 3)
    for path, data in made.items():
        read_every_way(m, path, data, tmp_path)
        assert reads_of(m, path) > 0
    assert m.status()["read_path"] == "kernel cache"


def test_options_are_checked(make_mount):
    m = make_mount(start=False)
    done = m.cli("mount", "-o", "passthrough=maybe", m.mnt, check=False)
    assert done.returncode == 2 and 'unknown mount option "passthrough=maybe"' in done.stderr


def test_read_ahead_is_raised(make_mount):
    if os.geteuid() or not os.access("/sys/class/bdi", os.W_OK):
        pytest.skip("needs root and a writable /sys")
    m = make_mount()
    with open(f"/sys/class/bdi/{mounts.mount_entry(m.mnt)[2]}/read_ahead_kb") as f:
        assert f.read() == "1024\n"


SCRIPT = """
set -e
"$0" mount -c "$1" "$2"
trap '"$0" umount "$2"' EXIT
mkdir -p "$2/upload/front"
cp "$3" "$2/upload/front/"
for i in $(seq 100); do
    [ ! -d "$2"/cameras/front/2* ] || break
    sleep 0.1
done
sha256sum "$2"/cameras/front/2*/*.jpg
"$0" status -c "$1" --json
"""


def without_privilege(m, wrapper, tmp_path):
    """Mounts, uploads and reads under a wrapper command; what status says."""
    data = pictures.picture(1, pictures.moment(1), "+00:00", width=800)
    with open(tmp_path / "one.jpg", "wb") as f:
        f.write(data)
    done = run([*wrapper, "sh", "-c", SCRIPT, mounts.PROGRAM, m.conf, m.mnt, tmp_path / "one.jpg"], check=False,
               env=m.env, cwd=m.base)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[0] == pictures.sha256(data)
    return re.search(r'"read_path":"([^"]*)"', done.stdout).group(1)


def test_root_of_a_user_namespace(make_mount, tmp_path):
    """It may mount, but not hand out backing files."""
    wrapper = ["unshare", "-U", "-r", "-m"]
    if run([*wrapper, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    m = make_mount(start=False)
    assert without_privilege(m, wrapper, tmp_path) == "kernel cache"


def test_a_user_without_privileges(make_mount, tmp_path):
    """fusermount3 mounts for them."""
    wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=+all"]
    if os.geteuid() or not find_program("fusermount3"):
        pytest.skip("needs root to become nobody, and fusermount3")
    m = make_mount(start=False)
    for path in (m.base, *(os.path.join(m.base, n) for n in os.listdir(m.base))):
        os.chown(path, 65534, 65534)
    above = os.path.dirname(m.base)
    while above != "/":
        os.chmod(above, os.stat(above).st_mode | 0o011)
        above = os.path.dirname(above)
    if run([*wrapper, "sh", "-c", ": <>/dev/fuse && test -x \"$0\"", mounts.PROGRAM], check=False).returncode:
        pytest.skip("/dev/fuse, or the program, is for root only here")
    assert without_privilege(m, wrapper, tmp_path) == "kernel cache"


# -- one mode per inode until its last release


@pytest.fixture
def cold(make_mount, bucket, passing):
    """A mount that knows 60 pictures of the bucket, with a cache for about half of them; {path: bytes}."""
    made = swifts.fill(bucket, 60, width=800)
    m = make_mount(stores=bucket.config(), env=bucket.env(), options=LOGGED,
                   more=f"cache_size = {sum(map(len, made.values())) // 2}")
    m.cli("scan", "cloud")
    bucket.proxy.forget()
    return m, made


def evict(m, data):
    """Takes the blob of these bytes out of the cache."""
    name = pictures.sha256(data)
    for where, _, names in os.walk(os.path.join(m.cache, "blobs")):
        if name in names:
            try:
                os.unlink(os.path.join(where, name))
                return True
            except FileNotFoundError:
                pass
    return False


def releases(m, path):
    inode = os.stat(m.at(path)).st_ino
    return len(re.findall(rf"opcode: RELEASE \(18\), nodeid: {inode},", m.log_text()))


def test_the_first_open_decides(cold, bucket):
    m, made = cold
    path, data = next(iter(made.items()))
    first = os.open(m.at(path), os.O_RDONLY)
    assert os.pread(first, 1 << 20, 0) == data, "fetched when it is read: through the cache"
    seen = reads_of(m, path)
    assert seen > 0
    assert m.read(path) == data, "local by now, but that inode is read through the cache"
    os.close(first)
    wait_until(lambda: releases(m, path) == 2, 5)
    seen = reads_of(m, path)
    first = os.open(m.at(path), os.O_RDONLY)
    assert evict(m, data)
    for _ in range(3):
        assert m.read(path) == data, "gone from the cache, but open"
    assert os.pread(first, 1 << 20, 0) == data
    os.close(first)
    wait_until(lambda: releases(m, path) == 6, 5)
    assert reads_of(m, path) == seen and len(bucket.proxy.gets()) == 1
    assert m.read(path) == data
    assert len(bucket.proxy.gets()) == 2, "nobody had it open: fetched again"


def test_a_mapping_outlives_eviction(cold, bucket):
    m, made = cold
    path, data = next(iter(made.items()))
    assert m.read(path) == data
    wait_until(lambda: releases(m, path) == 1, 5)
    with open(m.at(path), "rb") as f:
        mapped = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    with mapped:
        assert evict(m, data)
        assert mapped[:] == data
        assert m.read(path) == data
    assert len(bucket.proxy.gets()) == 1


# A process of its own: a page fault that waits for the bucket would hold the interpreter, and with it the bucket's proxy.
READER = """
import hashlib, json, mmap, os, random, sys
top, seed, wanted = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
dice, paths, kept = random.Random(seed), sorted(wanted), []
def right(path, data):
    assert hashlib.sha256(data).hexdigest() == wanted[path], path
for _ in range(63):
    path = paths[min(int(dice.expovariate(0.08)), len(paths) - 1)]
    fd = os.open(os.path.join(top, path), os.O_RDONLY)
    what = dice.random()
    if what < 0.1:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if what < 0.3:
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
            right(path, mapped[:])
    else:
        right(path, os.pread(fd, 1 << 20, 0))
    kept.append((fd, path))
    while len(kept) > dice.randrange(5):
        fd, path = kept.pop(dice.randrange(len(kept)))
        right(path, os.pread(fd, 1 << 20, 0))
        os.close(fd)
"""


@pytest.mark.limit(240)
def test_opens_of_all_kinds_under_eviction(cold):
    """32 readers that keep some files open, of pictures that come and go: 2,000 opens, never an error, never wrong bytes."""
    m, made = cold
    wanted = json.dumps({path: pictures.sha256(data) for path, data in made.items()})
    evicted, stop = [], threading.Event()

    def evictor():
        dice = random.Random(1)
        while not stop.wait(0.004):
            evicted.extend(path for path in [dice.choice(list(made))] if evict(m, made[path]))

    def reader(seed):
        return run([sys.executable, "-c", READER, m.mnt, seed], input=wanted, check=False, timeout=200)

    thread = threading.Thread(target=evictor)
    thread.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            done = list(pool.map(reader, range(32)))
    finally:
        stop.set()
        thread.join()
    assert not [d.stderr for d in done if d.returncode]
    assert len(evicted) > 10
    log = m.log_text()
    opens, reads = log.count("opcode: OPEN (14)"), log.count("opcode: READ (15)")
    assert opens > 2000 and 0 < reads < opens, "both modes were there"
