"""Bad input: a clear error for each, it stays where it was dropped, nothing else is affected."""
import os

import pytest

import pictures
from processes import wait_until


def bad_files():
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    return {
        "page.jpg": b"<!DOCTYPE html><html><body>Please log in</body></html>",
        "cut.jpg": data[:len(data) * 2 // 3],
        "start.jpg": data[:2],
        "empty.jpg": b"",
        "png.jpg": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        "noise.jpg": b"\xff\xd8" + os.urandom(3000) + b"\xff\xd9",
        "broken.json": b'{"labels": [{"kind": ',
        "list.json": b"[1,2,3]",
        "types.json": b'{"labels":{"kind":3},"starred":"maybe","width":{}}',
        "deep.json": b"[" * 5000 + b"]" * 5000,
        "huge.json": b'{"x":"' + b"y" * (1 << 20) + b'"}',
    }


@pytest.mark.parametrize("name", sorted(bad_files()))
def test_rejected(mount, name):
    data = bad_files()[name]
    if name.endswith(".json"):   # it must belong to a picture to be taken for a sidecar
        mount.upload("front", name[:-5] + ".jpg", pictures.picture(3, pictures.moment(3), "+00:00"))
    path = mount.upload("front", name, data)
    wait_until(lambda: mount.xattr(path, "shutterfs.state") == "rejected", 15,
               what=lambda: f"{name} to be rejected, it is {mount.xattr(path, 'shutterfs.state')}")
    why = mount.xattr(path, "shutterfs.error")
    assert why and why.isprintable() and len(why) < 256
    assert mount.read(path) == data, "it stays as it was dropped"
    said = [e for e in mount.errors() if name in e["subject"]]
    assert len(said) == 1 and said[0]["error"] == why and said[0]["when"]
    logged = [line for line in mount.log_text().splitlines() if name in line]
    assert len(logged) == 1, "logged once:\n" + mount.log_text()
    # others come in as ever, also after a remount; the bad one is not logged again
    mount.upload("front", "good.jpg", pictures.picture(2, pictures.moment(2), "+00:00"))
    count = 2 if name.endswith(".json") else 1
    mount.wait_snapshots(count)
    mount.restart()
    assert mount.xattr(path, "shutterfs.state") == "rejected" and mount.xattr(path, "shutterfs.error") == why
    mount.sync()
    # mended in place, it is taken in and its error is gone
    if name.endswith(".jpg"):
        mount.upload("front", name, pictures.picture(9, pictures.moment(9), "+00:00"))
        mount.wait_snapshots(count + 1)
    else:
        mount.upload("front", name, b'{"labels":[]}')
    wait_until(lambda: mount.errors() == [], 10, what=lambda: f"errors to go: {mount.errors()}")
    assert mount.xattr(path, "shutterfs.state") != "rejected" and mount.xattr(path, "shutterfs.error") is None


def test_unreadable_names_in_errors(mount):
    """Control characters in a name reach neither the terminal that shows the log nor errors.json; or cannot be made."""
    try:
        path = mount.upload("front", "evil\x1b[31m name.jpg", b"<html>")
    except OSError:
        return
    wait_until(lambda: mount.errors(), 15)
    assert "\x1b" not in mount.log_text() and b"\x1b" not in mount.read(".shutterfs", "errors.json")
    assert mount.read(path) == b"<html>"


def test_rejected_can_be_removed(mount):
    path = mount.upload("front", "page.jpg", b"<html>")
    wait_until(lambda: mount.errors(), 15)
    assert mount.status()["upload"]["rejected"] == 1
    os.unlink(mount.at(path))
    wait_until(lambda: mount.errors() == [], 5)
    assert mount.status()["upload"]["rejected"] == 0


def test_bombs_do_not_grow_the_process(mount):
    """Headers that claim gigapixels are refused by what they say."""
    data = bytearray(pictures.picture(1))
    at = data.find(b"\xff\xc0")
    data[at + 5:at + 9] = b"\xff\xdc\xff\xdc"
    path = mount.upload("front", "bomb.jpg", bytes(data))
    wait_until(lambda: mount.xattr(path, "shutterfs.state") == "rejected", 15)
    with open(f"/proc/{mount.worker()}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    assert rss < 600 * 1024, f"{rss} KiB, sanitizers included"
