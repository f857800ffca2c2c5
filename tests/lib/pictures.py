"""Pictures for tests: real photographs, small copies of them, and any number of distinct valid JPEGs.

A distinct picture is a real photograph with an EXIF segment (capture time) and a comment put in, so it decodes
everywhere, has its own SHA-256 and costs a memory copy to make."""
import datetime
import functools
import glob
import hashlib
import os
import struct
import subprocess
import tempfile

PHOTOS = sorted(glob.glob("/usr/share/backgrounds/mate/nature/*.jpg"))
_SMALL = ("Aqua", "Garden", "GreenMeadow", "LadyBird", "Wood", "YellowFlower")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def photograph(name):
    """The bytes of a real photograph as Debian ships it (0.1 to 1.2 MB)."""
    with open(f"/usr/share/backgrounds/mate/nature/{name}.jpg", "rb") as f:
        return f.read()


@functools.lru_cache(maxsize=None)
def _bases(width):
    """Downscaled real photographs, made once per run."""
    made = []
    with tempfile.TemporaryDirectory() as d:
        for name in _SMALL:
            out = os.path.join(d, name + ".jpg")
            subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i",
                            f"/usr/share/backgrounds/mate/nature/{name}.jpg", "-vf", f"scale={width}:-2",
                            "-q:v", "5", out], check=True, stdin=subprocess.DEVNULL)
            with open(out, "rb") as f:
                made.append(f.read())
    return made


def _segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def exif_segment(taken, offset=None):
    """An APP1 segment with DateTimeOriginal, SubSecTimeOriginal and, if given, OffsetTimeOriginal."""
    entries = [(0x9003, taken.strftime("%Y:%m:%d %H:%M:%S").encode() + b"\0"),
               (0x9291, b"%06d\0" % taken.microsecond)]
    if offset:
        entries.append((0x9011, offset.encode() + b"\0"))
    entries.sort()
    sub_at = 8 + 2 + 12 + 4
    data_at = sub_at + 2 + 12 * len(entries) + 4
    sub, data = struct.pack("<H", len(entries)), b""
    for tag, value in entries:
        sub += struct.pack("<HHII", tag, 2, len(value), data_at + len(data))
        data += value
    sub += struct.pack("<I", 0)
    main = struct.pack("<HHHIII", 1, 0x8769, 4, 1, sub_at, 0)
    return _segment(0xE1, b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + main + sub + data)


def picture(serial=0, taken=None, offset=None, width=320, base=None):
    """A valid JPEG, distinct for each serial.  `taken` (naive) goes into EXIF with `offset` like "+01:00"."""
    if base is None:
        bases = _bases(width)
        base = bases[serial % len(bases)]
    more = exif_segment(taken, offset) if taken else b""
    more += _segment(0xFE, b"picture %d" % serial)
    return base[:2] + more + base[2:]


def moment(serial, start=datetime.datetime(2024, 3, 5, 8, 0, 0, 123456), step=61):
    """A capture time per serial, `step` seconds apart."""
    return start + datetime.timedelta(seconds=serial * step)


def img_id(taken):
    return taken.strftime("%Y%m%dT%H-%M-%S-%f")


def stem(taken, camera):
    return f"{img_id(taken)}_{camera}"


def day(taken):
    return taken.strftime("%Y-%m-%d")


def write_pictures(directory, count, start=0, name="p{:05d}.jpg", **kw):
    """Writes `count` distinct pictures with distinct EXIF times (UTC) and returns {file name: bytes}."""
    os.makedirs(directory, exist_ok=True)
    made = {}
    for n in range(start, start + count):
        data = picture(n, moment(n), "+00:00", **kw)
        with open(os.path.join(directory, name.format(n)), "wb") as f:
            f.write(data)
        made[name.format(n)] = data
    return made
