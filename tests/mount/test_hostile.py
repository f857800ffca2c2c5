"""Hostile files through a real mount: each bad one is refused by itself, the rest is all there, and memory stays small."""
import json
import os
import struct
import subprocess
import time

import pytest

import mount as mounts
import pictures
from processes import children, wait_until

CORPUS = os.path.join(os.path.dirname(mounts.PROGRAM), "../tests/fuzz/corpus")
RSS_KIB = 150 * 1024


@pytest.fixture
def rows(tmp_path):
    """A function: the inputs of a target of the corpus, as bytes."""
    if not os.access(CORPUS, os.X_OK):
        pytest.skip("the corpus program is not built")

    def read(target):
        to = tmp_path / f"rows-{target}"
        to.mkdir()
        subprocess.run([CORPUS, "--write", os.path.join(mounts.TOP, "tests/corpus"), target, str(to)], check=True, timeout=60)
        return [p.read_bytes() for p in sorted(to.iterdir())]

    return read


def numbered(data, n):
    """The picture with a comment in it that makes it another one."""
    return data[:2] + struct.pack(">BBHI", 0xff, 0xfe, 6, n) + data[2:]


def peaks(pid):
    """(name, KiB) of the process and all below it: the most memory that each has had."""
    found = []
    try:
        with open(f"/proc/{pid}/status") as f:
            fields = dict(line.split(":", 1) for line in f)
        found.append((fields["Name"].strip(), int(fields["VmHWM"].split()[0])))
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return found
    for child in children(pid):
        found += peaks(child)
    return found


def assert_small(mount):
    seen = peaks(mount.process.pid)
    assert any("decoder" in name for name, _ in seen), f"no decoder among {seen}"
    if not mounts.sanitized():
        assert max(kib for _, kib in seen) <= RSS_KIB, seen


@pytest.mark.limit(300)
def test_uploads(mount, rows):
    """Every JPEG of the corpus, and an honest one after each tenth."""
    bad = rows("jpeg")
    honest = bad[0]   # "whole"
    names = []
    for n, data in enumerate(bad):
        names.append(mount.upload("front", f"{n:04d}.jpg", data))
        if n % 10 == 0:
            names.append(mount.upload("front", f"good-{n:04d}.jpg", numbered(honest, n)))
    wait_until(lambda: mount.status()["upload"]["waiting"] == 0, 120,
               what=lambda: f"all to be looked at: {mount.status()['upload']}")
    state = {os.path.basename(p): mount.xattr(p, "shutterfs.state") for p in names}
    assert [n for n in state if n.startswith("good") and state[n] in ("rejected", "waiting", "open", "kept")] == []
    rejected = [n for n in state if state[n] == "rejected"]
    assert len(rejected) >= 150, f"the corpus has more bad ones than {len(rejected)}"
    errors = {e["subject"]: e["error"] for e in mount.errors()}
    for n in rejected:
        why = mount.xattr(mount.at("upload", "front", n), "shutterfs.error")
        assert why and why.isprintable()
        assert any(n in subject for subject in errors), f"{n} is not in errors.json"
    assert sorted(os.listdir(mount.at("upload", "front"))) == sorted(state), "everything is still listed"
    assert_small(mount)


@pytest.mark.limit(300)
def test_a_directory_of_others(mount, rows):
    """A store with hostile names and hostile sidecars: every honest picture is in the tree after one scan."""
    honest = rows("jpeg")[0]
    day = os.path.join(mount.archive, "yard/2020/12/31").encode()
    os.makedirs(day)
    sidecars, count = rows("sidecar"), 0
    for n, data in enumerate(sidecars):
        for name, content in ((b"%04d.jpg" % n, numbered(honest, n)), (b"%04d.json" % n, data)):
            with open(os.path.join(day, name), "wb") as f:
                f.write(content)
        count += 1
    made = 0
    for n, name in enumerate(rows("name")):
        try:
            with open(os.path.join(day, name[:251] + b".jpg"), "xb") as f:
                f.write(numbered(honest, 10000 + n))
            made += 1
        except (OSError, ValueError):   # no file system has such a name
            pass
    assert made >= 20
    mount.cli("scan", "archive", timeout=200)
    seen = mount.snapshots("yard")
    assert count <= len(seen) <= count + made
    errors = mount.errors()
    assert sum(e["subject"].endswith(".json") for e in errors) >= 80, "bad sidecars are said to be so"
    raw = mount.read(".shutterfs", "errors.json")
    assert not any(b < 32 and b != 10 or b == 127 for b in raw), "control bytes are escaped"
    raw.decode()   # and it is UTF-8
    size = {os.stat(mount.at(path)).st_size for path in seen}
    assert size == {len(honest) + 8}
    assert mount.read(seen[0])[:2] == b"\xff\xd8"
    assert_small(mount)


@pytest.mark.limit(200)
def test_names(mount, rows):
    """What can be created is listed under its very name and can be removed; what cannot is an error at once."""
    os.makedirs(mount.at("upload", "front"))
    top = os.fsencode(mount.at("upload", "front"))
    made = set()
    for name in rows("name"):
        if b"/" in name or b"\0" in name or name in (b"", b".", b".."):
            continue
        try:
            os.close(os.open(os.path.join(top, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            made.add(name)
        except FileExistsError:
            pass
        except OSError as e:
            assert e.errno in (22, 36, 84), (name, e)   # EINVAL, ENAMETOOLONG, EILSEQ
    assert len(made) >= 20
    assert set(os.listdir(top)) == made
    mount.restart()
    assert set(os.listdir(top)) == made
    for name in made:
        os.unlink(os.path.join(top, name))
    assert os.listdir(top) == []


def test_thousands_of_labels(mount):
    """What a sidecar may bring costs its readers little: this took more than a minute when names were compared in pairs."""
    path = mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    snapshot = mount.at(mount.wait_snapshots(1)[0])
    tags = [f"o/{i:04d}" for i in range(8000)]
    mount.upload("front", "a.json", json.dumps({"labels": tags}).encode())
    wait_until(lambda: mount.sidecar(snapshot).get("labels"), 60)
    began = time.monotonic()
    assert mount.xattr(snapshot, "xdg.tags").split(",") == tags
    os.setxattr(snapshot, "user.xdg.tags", ",".join(tags[1:]).encode())
    assert mount.xattr(snapshot, "xdg.tags").split(",") == tags[1:]
    assert mount.xattr(path, "xdg.tags").split(",") == tags[1:]
    assert time.monotonic() - began < 20
