"""A dir store on a disk of its own that is not mounted, is mounted later, or is removed and made again: nothing is put below it,
nobody's pictures disappear, and all goes on by itself once it is there."""
import contextlib
import errno
import os
import shutil
import subprocess

import pytest

import pictures
from processes import wait_until


def contents(where):
    return [os.path.join(w, n) for w, _, names in os.walk(where) for n in names]


@pytest.fixture
def disk(tmp_path):
    """(disk, place): what `mount` puts at the place, and `umount` takes away."""
    made, place = tmp_path / "disk", tmp_path / "place"
    made.mkdir()
    place.mkdir()

    class Disk:
        path, at = str(made), str(place)

        @staticmethod
        def mount():
            done = subprocess.run(["mount", "--bind", made, place], stderr=subprocess.PIPE, text=True)
            if done.returncode:
                pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")

        @staticmethod
        def umount(check=True):
            subprocess.run(["umount", place], check=check, stderr=subprocess.DEVNULL)

    yield Disk
    Disk.umount(check=False)


def upload(m, *numbers):
    """{path of the snapshot: its bytes}"""
    made = {}
    for n in numbers:
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00")
        m.upload("front", f"{n}.jpg", data)
        made[f"cameras/front/{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg"] = data
    return made


def told(m, words):
    wait_until(lambda: any(words in e["error"] for e in m.errors()), 60,
               what=lambda: f"an error with {words!r}, not {m.errors()}\n{m.log_text()}")


def gone_on(m, old, shown):
    with contextlib.suppress(OSError):
        return m.worker() not in (None, old) and all(m.read(p) == data for p, data in shown.items())
    return False


@pytest.fixture
def m(disk, make_mount):
    m = make_mount(start=False)
    m.archive = disk.at
    m.write_config()
    return m


@pytest.mark.limit(240)
def test_a_disk_that_is_mounted_late(m, disk):
    disk.mount()
    m.start()
    shown = upload(m, 0, 1, 2)
    m.wait_snapshots(3)
    m.sync()
    m.stop()
    shutil.rmtree(m.cache)
    disk.umount()

    m.start()
    late = upload(m, 9)
    m.wait_snapshots(4)
    told(m, "is it mounted?")
    assert m.cli("sync", "--wait", check=False, timeout=60).returncode == 1
    assert {p: m.read(p) for p in late} == late and set(m.snapshots()) == {*shown, *late}
    with pytest.raises(OSError) as failed:
        m.read(next(iter(shown)))
    assert failed.value.errno in (errno.EIO, errno.ESTALE)
    assert contents(disk.at) == [], "what is put there now is hidden once the disk is mounted"

    old = m.worker()
    disk.mount()
    shown.update(late)
    wait_until(lambda: gone_on(m, old, shown), 150, what=lambda: f"all of it again: {m.status()}\n{m.log_text()}")
    m.sync()
    assert len([n for n in contents(disk.path) if n.endswith(".jpg")]) == 4
    assert "a worker that opens it takes over" in m.log_text()


@pytest.mark.limit(240)
def test_a_directory_that_is_removed_and_made_again(m):
    os.makedirs(m.archive, exist_ok=True)
    m.start()
    lost = upload(m, 0, 1)
    m.wait_snapshots(2)
    m.sync()
    old = m.worker()
    shutil.rmtree(m.archive)
    late = upload(m, 2)
    m.wait_snapshots(3)
    told(m, "removed or unmounted")
    os.mkdir(m.archive)
    wait_until(lambda: m.worker() not in (None, old), 90, what=lambda: f"another worker: {m.status()}\n{m.log_text()}")
    told(m, "is it mounted?")
    assert contents(m.archive) == [] and {p: m.read(p) for p in late} == late
    m.cli("scan", "archive")  # it is empty indeed
    done = m.cli("sync", "--wait", check=False)  # what went with the directory is told
    assert done.returncode == 1 and "2 uploads could not be sent" in done.stderr
    assert len([n for n in contents(m.archive) if n.endswith(".jpg")]) == 1
    assert {p: m.read(p) for p in late} == late and set(m.snapshots()) <= {*lost, *late}
