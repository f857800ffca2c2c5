"""Names from outside lead nowhere: what a hostile session makes the mount touch is its own, or the system's and only read.

Every path in every file system call of the daemon is looked at, as strace saw it, whether the call succeeded or not."""
import contextlib
import json
import os
import re
import shutil

import pytest

import pictures
from mount import PROGRAM
from processes import Process, family, find_program, wait_until

SYSTEM = ("/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run/systemd", "/opt")
LINE = re.compile(r"^(?:\[pid +)?\d*\]? *([a-z_0-9]+)\((.*)")
PATH = re.compile(r'(?:(AT_FDCWD|\d+)<([^>]*)>, )?"((?:\\.|[^"\\])*)"')
READS = {"stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getxattr",
         "lgetxattr", "listxattr", "llistxattr", "statfs", "getcwd", "inotify_add_watch", "execve", "chdir"}
WRITE_FLAGS = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE")


def decode(text):
    return re.sub(rb"\\(x[0-9a-f]{2}|[0-7]{1,3}|.)",
                  lambda m: {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}.get(
                      m[1], bytes([int(m[1][1:], 16)]) if m[1][:1] == b"x" and len(m[1]) == 3 else
                      bytes([int(m[1], 8) & 255]) if m[1].isdigit() else m[1]), text.encode()).decode(errors="replace")


def calls(trace):
    """(call, path as the kernel resolves it without symlinks, may it change something)"""
    for line in trace.splitlines():
        m = LINE.match(line)
        if not m or m[1] in ("exit", "execveat"):
            continue
        name, arguments = m[1], m[2]
        changes = bool(WRITE_FLAGS.search(arguments)) if name in ("open", "openat", "openat2") else name not in READS
        if "xattr" in name:     # the second string is the attribute's name, and a value
            found = PATH.findall(arguments)[:1]
        else:
            found = PATH.findall(arguments)
        for _, folder, path in found:
            path = decode(path)
            if path or folder:
                yield name, os.path.normpath(os.path.join(decode(folder) or "/?cwd", path)), changes


def outside(trace, own):
    """The calls that touched what is neither ours nor the system's, or changed what is the system's."""
    def below(path, tops):
        return any(path == top or path.startswith(top + "/") for top in tops)

    bad, n = set(), 0
    for name, path, changes in calls(trace):
        n += 1
        way = any(top.startswith(path.rstrip("/") + "/") for top in own)   # the folders that it lies in
        if below(path, own) or (not changes and (below(path, SYSTEM) or path == PROGRAM or way)) or path in ("/dev/null", "/dev/fuse") or \
                name == "linkat" and path.startswith("/proc/self/fd/"):   # a file without a name gets one
            continue
        bad.add((name, path))
    return bad, n


def test_the_judge_sees_what_leads_out():
    trace = """12 openat(AT_FDCWD</tmp/m>, "state/x", O_RDWR|O_CREAT, 0600) = 5</tmp/m/state/x>
13 openat(5</tmp/m/state>, "../../secret", O_RDONLY) = -1 ENOENT (No such file)
13 unlink("/etc/passwd") = 0
13 openat(AT_FDCWD</>, "/etc/localtime", O_RDONLY|O_CLOEXEC) = 3</etc/localtime>
14 renameat2(5</tmp/m/state>, "a", AT_FDCWD</>, "\\x2ftmp\\57b", 0) = 0
"""
    bad, n = outside(trace, ["/tmp/m"])
    assert n == 6
    assert bad == {("openat", "/tmp/secret"), ("unlink", "/etc/passwd"), ("renameat2", "/tmp/b")}


NAMES = ["..jpg", "...", ".. ", "-rf.jpg", "--help.jpg", "%2e%2e%2fescape.jpg", "..%c0%afescape.jpg", "a\nb.jpg", "\\..\\escape.jpg",
         ".Trash-0", "x" * 251 + ".jpg", "\u202egpj.escape", "~root.jpg", "$(touch escape).jpg", "`id`.jpg", "a;b|c&d.jpg",
         "shutterfs.conf", "catalog.db", "20240305T08-00-00-123456_..-..-escape.jpg", "C:escape.jpg", "escape.jpg\t", "'\"; DROP TABLE.jpg"]
KEYS = ["../escape.jpg", "../../../../../../tmp/escape.jpg", "/etc/escape.jpg", "a/../../escape.jpg", "./x.jpg", "a//b.jpg", "a/./b.jpg",
        "..", "front/2024/03/05/../../../../../escape.jpg", "%2e%2e/escape.jpg", "..\\escape.jpg", "front/2024/03/05/",
        "front/../20240305T08-00-00-123456_front.jpg", "a/" * 60 + "deep.jpg", "proc/self/environ"]


def evil_sidecar(n, outside_dir):
    return json.dumps({"schema": "shutterfs/1", "camera": "../../escape", "file": f"{outside_dir}/secret.jpg",
                       "img_id": "../../../escape", "group": "../..", "sha256": "../" * 21 + "x", "state": "/etc",
                       "replicas": [{"store": "../..", "key": f"../../..{outside_dir}/secret.jpg", "etag": "x"}],
                       "labels": [{"kind": "../..", "value": "../../escape"}, {"kind": "/etc", "value": ".."},
                                  {"kind": f"x{n}", "value": "a/b"}]}).encode()


def through_the_mount(m, outside_dir):
    for n, name in enumerate(NAMES):
        with contextlib.suppress(OSError):
            m.upload("front", name, pictures.picture(n, pictures.moment(n), "+00:00"))
        with contextlib.suppress(OSError):
            os.mkdir(m.at("upload", name))
        with contextlib.suppress(OSError):
            m.upload("front", f"s{n}.json", evil_sidecar(n, outside_dir))
            m.upload("front", f"s{n}.jpg", pictures.picture(100 + n, pictures.moment(100 + n), "+00:00"))
        with contextlib.suppress(OSError):
            os.setxattr(m.at("upload/front", name), "user.shutterfs.../../escape", b"../../escape")
    for call, *args in ((os.symlink, f"{outside_dir}/secret.jpg", m.at("upload/link.jpg")),
                        (os.link, f"{outside_dir}/secret.jpg", m.at("upload/hard.jpg")),
                        (os.mknod, m.at("upload/device.jpg"), 0o600 | 0o020000, os.makedev(1, 5)),
                        (os.rename, m.at("upload/front/s1.jpg"), m.at("cameras/front/escape.jpg")),
                        (os.rename, f"{outside_dir}/secret.jpg", m.at("upload/moved.jpg"))):
        with contextlib.suppress(OSError):
            call(*args)
    for path in ("cameras/../../../etc/passwd", ".shutterfs/../../../etc/passwd", "cameras/front/..%2f..%2fetc", "cameras/..", "..."):
        with contextlib.suppress(OSError):
            os.listdir(m.at(path.replace("../../..", "x")))


def through_the_verbs(m, outside_dir):
    for verb, *args in (("prefetch", "/etc/passwd"), ("prefetch", "../../etc/passwd"), ("prefetch", f"{outside_dir}/secret.jpg"),
                        ("prefetch", m.at("cameras") + "/../../../etc"), ("scan", "../escape"), ("scan", "/etc"),
                        ("scan", "archive"), ("scan", "cloud"), ("sync", "--wait"), ("fsck",)):
        m.cli(verb, *args, check=False, timeout=200)


@pytest.mark.limit(240)
def test_a_hostile_session_touches_nothing_outside(make_mount, bucket, tmp_path):
    if not find_program("strace"):
        pytest.skip("strace is not installed")
    away = str(tmp_path / "outside")
    os.mkdir(away)
    secret = pictures.picture(5000, pictures.moment(5000), "+00:00")
    with open(f"{away}/secret.jpg", "wb") as f:
        f.write(secret)
    m = make_mount(start=False, env=bucket.env())
    m.sections = m.dir_store() + bucket.config()
    m.write_config()
    # a store of others: its links lead out
    os.makedirs(m.path("archive/front/2024/03/05"))
    os.symlink(away, m.path("archive/front/2024/03/06"))
    os.symlink(f"{away}/secret.jpg", m.path("archive/front/2024/03/05/20240305T09-00-00-000001_front.jpg"))
    os.symlink("/etc", m.path("archive/etc"))
    shutil.copy(f"{away}/secret.jpg", m.path("archive/front/2024/03/05/20240305T09-00-00-000002_front.jpg"))
    for n, key in enumerate(KEYS):
        with contextlib.suppress(AssertionError):
            bucket.put(key, pictures.picture(200 + n, pictures.moment(200 + n), "+00:00"), camera="../../escape",
                       img_id="../../../escape")
            bucket.put(key[:-4] + ".json", evil_sidecar(n, away))
    m.start()
    trace = m.path("trace")
    strace = Process([find_program("strace"), "-f", "-y", "-s", "4096", "-e", "trace=%file", "-o", trace,
                      *(word for pid in family(m.process.pid) for word in ("-p", pid))], tmp_path / "strace.log")
    wait_until(lambda: "attached" in strace.output() or not strace.alive(), 20)
    if not strace.alive():
        pytest.skip(f"strace cannot look at it: {strace.output()[-200:]}")
    try:
        through_the_mount(m, away)
        through_the_verbs(m, away)
        for path in m.snapshots():
            with contextlib.suppress(OSError):
                m.read(path)
    finally:
        strace.stop()
    with open(trace, errors="replace") as f:
        bad, n = outside(f.read(), [m.base])
    assert n > 500, n
    assert not bad
    assert sorted(os.listdir(away)) == ["secret.jpg"]
    assert not [p for p in m.snapshots() if not re.fullmatch(r"cameras/[A-Za-z0-9_-]{1,64}/\d{4}-\d\d-\d\d/[A-Za-z0-9_-]+\.jpg", p)]
    found = [os.path.join(w, n) for w, _, names in os.walk(str(tmp_path)) for n in names if n == "escape.jpg"]
    assert not found
    # what the bucket's and the archive's good ones say is there all the same
    assert any("20240305T09-00-00-000002_front" in p for p in m.snapshots())
    assert not any("000001_front" in p for p in m.snapshots())
