"""upload/ as a file system: what POSIX lets programs expect of it, and that the views refuse to change."""
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import subprocess
import threading
import time

import pytest

import pictures
from processes import clean_env

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE, UTIME_NOW, UTIME_OMIT = -100, 1, 2, (1 << 30) - 1, (1 << 30) - 2
NOBODY = 65534


def raises(number, call, *args, **kw):
    allowed = number if isinstance(number, tuple) else (number,)
    with pytest.raises(OSError) as e:
        call(*args, **kw)
    assert e.value.errno in allowed, f"{errno.errorcode.get(e.value.errno)}: {e.value}"


def renameat2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), old)


def utimensat(path, atime, mtime):
    """Each time is (seconds, nanoseconds); UTIME_OMIT and UTIME_NOW go where os.utime does not."""
    times = (ctypes.c_long * 4)(*atime, *mtime)
    if LIBC.utimensat(AT_FDCWD, path.encode(), times, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def write(path, data=b"x", flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, 0o644)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def names(path):
    return sorted(os.listdir(path))


@pytest.fixture
def box(mount):
    """A directory below upload/; the names used in it are of files that are kept and never registered."""
    path = mount.at("upload", "box")
    os.mkdir(path)
    return path


@pytest.fixture
def at(box):
    return lambda *parts: os.path.join(box, *parts)


@pytest.fixture
def shot(mount):
    """A registered picture: (mount, path in cameras/, path in upload/, bytes)."""
    data = pictures.picture(7, pictures.moment(7))
    up = mount.upload("front", "a.jpg", data)
    return mount, mount.wait_snapshots(1)[0], up, data


def as_nobody(code, *args):
    """Runs Python code as another user; its exit status."""
    if code and as_nobody("") != 0:
        pytest.skip("another user can run nothing here: is / closed to others?")
    return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c",
                           "import os, sys\n" + code, *args], env=clean_env(), timeout=60, cwd="/").returncode


# -- open

def test_open_flags(at):
    p = at("a.txt")
    raises(errno.ENOENT, os.open, p, os.O_RDONLY)
    raises(errno.ENOENT, os.open, at("none", "a.txt"), os.O_WRONLY | os.O_CREAT)
    write(p, b"one", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    raises(errno.EEXIST, os.open, p, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    raises(errno.ENOTDIR, os.open, os.path.join(p, "b"), os.O_RDONLY)
    raises(errno.ENOTDIR, os.open, p, os.O_RDONLY | os.O_DIRECTORY)
    raises(errno.EISDIR, os.open, at(), os.O_WRONLY)
    write(p, b"four", os.O_WRONLY | os.O_CREAT)
    assert read(p) == b"four"
    write(p, b"5", os.O_WRONLY)
    assert read(p) == b"5our"
    write(p, b"6", os.O_WRONLY | os.O_TRUNC)
    assert read(p) == b"6" and os.stat(p).st_size == 1
    fd = os.open(p, os.O_RDONLY)
    raises(errno.EBADF, os.write, fd, b"x")
    os.close(fd)
    fd = os.open(p, os.O_WRONLY)
    raises(errno.EBADF, os.read, fd, 1)
    os.close(fd)
    os.close(os.open(p, os.O_RDONLY | os.O_TRUNC))
    assert os.stat(p).st_size == 0


def test_mode_follows_umask(at):
    before = os.umask(0o027)
    try:
        write(at("a.txt"))
        os.mkdir(at("d"))
        os.close(os.open(at("b.txt"), os.O_WRONLY | os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(at("a.txt")).st_mode) == 0o640
    assert stat.S_IMODE(os.stat(at("d")).st_mode) == 0o750
    assert stat.S_IMODE(os.stat(at("b.txt")).st_mode) == 0o600
    assert (os.stat(at("a.txt")).st_uid, os.stat(at("a.txt")).st_gid) == (os.getuid(), os.getgid())


def test_two_appenders_lose_nothing(at):
    line = b"0123456789\n"

    def append():
        fd = os.open(at("log.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for _ in range(200):
            os.write(fd, line)
        os.close(fd)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert read(at("log.txt")) == line * 800


def test_append_ignores_the_offset(at):
    write(at("a.txt"), b"abc")
    fd = os.open(at("a.txt"), os.O_RDWR | os.O_APPEND)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"def")
    assert os.pread(fd, 10, 0) == b"abcdef" and os.fstat(fd).st_size == 6
    os.close(fd)


# -- write and truncate

def test_holes_read_as_zeros(at):
    fd = os.open(at("a.txt"), os.O_RDWR | os.O_CREAT, 0o644)
    assert os.pwrite(fd, b"end", 3_000_000) == 3
    assert os.pwrite(fd, b"mid", 1_000_000) == 3
    assert os.fstat(fd).st_size == 3_000_003
    assert os.pread(fd, 8, 0) == b"\0" * 8
    assert os.pread(fd, 6, 999_998) == b"\0\0midx"[:5] + b"\0"
    assert os.pread(fd, 9, 2_999_998) == b"\0\0end"
    assert os.pread(fd, 9, 3_000_003) == b""
    os.close(fd)
    assert read(at("a.txt")).rstrip(b"end").count(b"\0") == 3_000_000 - 3


def test_truncate_up_and_down(at):
    p = at("a.txt")
    write(p, b"0123456789")
    fd = os.open(p, os.O_RDWR)
    os.ftruncate(fd, 4)
    assert os.pread(fd, 20, 0) == b"0123" and os.fstat(fd).st_size == 4
    os.ftruncate(fd, 8)
    assert os.pread(fd, 20, 0) == b"0123\0\0\0\0"
    os.close(fd)
    os.truncate(p, 2)
    assert read(p) == b"01"
    os.truncate(p, 0)
    assert read(p) == b"" and os.stat(p).st_blocks == 0
    raises(errno.EISDIR, os.truncate, at(), 0)
    raises(errno.ENOENT, os.truncate, at("none"), 0)
    raises(errno.EINVAL, os.truncate, p, -1)
    fd = os.open(p, os.O_RDONLY)
    raises((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 1)
    os.close(fd)


def test_large_writes_and_fsync(at):
    data = os.urandom(5_000_003)
    fd = os.open(at("a.bin"), os.O_RDWR | os.O_CREAT, 0o644)
    assert os.write(fd, data) == len(data)
    os.fsync(fd)
    os.fdatasync(fd)
    assert os.fstat(fd).st_blocks == (len(data) + 511) // 512
    os.close(fd)
    assert read(at("a.bin")) == data
    fd = os.open(at(), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_what_is_not_supported_says_so(at):
    write(at("a.txt"), b"abc")
    fd = os.open(at("a.txt"), os.O_RDWR)
    raises((errno.ENOTTY, errno.EOPNOTSUPP, errno.EXDEV), fcntl.ioctl, fd, 0x40049409, fd)  # FICLONE
    os.close(fd)
    raises(errno.EOPNOTSUPP, os.link, at("a.txt"), at("b.txt"))
    raises(errno.EPERM, os.symlink, "a.txt", at("l"))
    raises(errno.EPERM, os.mkfifo, at("fifo"))
    raises(errno.EOPNOTSUPP, os.setxattr, at("a.txt"), "trusted.x", b"1")
    assert names(at()) == ["a.txt"]
    os.mknod(at("m.txt"), 0o600 | stat.S_IFREG)
    assert os.stat(at("m.txt")).st_size == 0
    raises(errno.EEXIST, os.mknod, at("m.txt"), 0o600 | stat.S_IFREG)


def test_locks_are_kept_by_the_kernel(at):
    write(at("a.txt"))
    one, two = os.open(at("a.txt"), os.O_RDWR), os.open(at("a.txt"), os.O_RDWR)
    fcntl.flock(one, fcntl.LOCK_EX)
    raises(errno.EWOULDBLOCK, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(one, fcntl.LOCK_UN)
    fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(one)
    os.close(two)


# -- names

def test_rename_rules(at):
    write(at("a"), b"a")
    write(at("b"), b"b")
    ino = os.stat(at("a")).st_ino
    os.rename(at("a"), at("c"))
    assert os.stat(at("c")).st_ino == ino and names(at()) == ["b", "c"]
    os.rename(at("c"), at("b"))
    assert read(at("b")) == b"a" and names(at()) == ["b"] and os.stat(at("b")).st_ino == ino
    os.rename(at("b"), at("b"))
    os.mkdir(at("d"))
    os.mkdir(at("e"))
    write(at("e", "x"))
    raises(errno.EISDIR, os.rename, at("b"), at("d"))
    raises(errno.ENOTDIR, os.rename, at("d"), at("b"))
    raises(errno.ENOTEMPTY, os.rename, at("d"), at("e"))
    raises(errno.EINVAL, os.rename, at("e"), at("e", "f"))
    raises(errno.ENOENT, os.rename, at("none"), at("f"))
    os.rename(at("e"), at("d"))
    assert names(at("d")) == ["x"] and names(at()) == ["b", "d"]
    os.rename(at("d", "x"), at("y"))
    assert names(at("d")) == [] and names(at()) == ["b", "d", "y"]


def test_renameat2(at):
    write(at("a"), b"a")
    write(at("b"), b"b")
    raises(errno.EEXIST, renameat2, at("a"), at("b"), RENAME_NOREPLACE)
    assert read(at("a")) == b"a" and read(at("b")) == b"b"
    renameat2(at("a"), at("c"), RENAME_NOREPLACE)
    assert names(at()) == ["b", "c"]
    raises(errno.EINVAL, renameat2, at("b"), at("c"), RENAME_EXCHANGE)
    assert read(at("b")) == b"b"


def test_rename_while_open(at):
    fd = os.open(at("a.tmp"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"one")
    os.rename(at("a.tmp"), at("a.txt"))
    os.write(fd, b"two")
    os.close(fd)
    assert read(at("a.txt")) == b"onetwo"
    old = os.open(at("a.txt"), os.O_RDONLY)
    write(at("b.tmp"), b"new")
    os.rename(at("b.tmp"), at("a.txt"))
    assert os.pread(old, 10, 0) == b"onetwo"
    os.close(old)
    assert read(at("a.txt")) == b"new"


def test_unlink_while_open(at):
    fd = os.open(at("a.txt"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(fd, b"here")
    os.unlink(at("a.txt"))
    assert names(at()) == []
    raises(errno.ENOENT, os.stat, at("a.txt"))
    os.write(fd, b" still")
    assert os.pread(fd, 20, 0) == b"here still" and os.fstat(fd).st_size == 10
    os.ftruncate(fd, 4)
    assert os.fstat(fd).st_size == 4
    write(at("a.txt"), b"another")
    assert os.pread(fd, 20, 0) == b"here" and read(at("a.txt")) == b"another"
    os.close(fd)
    raises(errno.ENOENT, os.unlink, at("none"))
    os.mkdir(at("d"))
    raises((errno.EISDIR, errno.EPERM), os.unlink, at("d"))


def test_directories(at):
    os.mkdir(at("d"))
    raises(errno.EEXIST, os.mkdir, at("d"))
    raises(errno.ENOENT, os.mkdir, at("none", "d"))
    write(at("d", "x"))
    raises(errno.ENOTEMPTY, os.rmdir, at("d"))
    raises(errno.ENOTDIR, os.rmdir, at("d", "x"))
    raises(errno.ENOENT, os.rmdir, at("none"))
    os.unlink(at("d", "x"))
    os.rmdir(at("d"))
    assert names(at()) == []
    os.makedirs(at("p", "q", "r"))
    os.rmdir(at("p", "q", "r"))
    assert [e.is_dir() for e in os.scandir(at("p"))] == [True]


def test_names_of_any_bytes(at):
    for name in (b"\xff\xfe.txt", "žluťoučký kůň.txt".encode(), b"new\nline.txt", b" lead", b"q\"'`$*?.txt", b"a" * 255):
        path = os.fsencode(at()) + b"/" + name
        write(path, name)
        assert read(path) == name
        assert name in os.listdir(os.fsencode(at()))
        os.unlink(path)
    raises(errno.ENAMETOOLONG, os.open, at("a" * 256), os.O_WRONLY | os.O_CREAT)
    raises(errno.ENAMETOOLONG, os.mkdir, at("a" * 256))
    write(at("a"))
    raises(errno.ENAMETOOLONG, os.rename, at("a"), at("b" * 256))
    raises(errno.ENAMETOOLONG, os.stat, at("a" * 256))


def test_thirty_two_levels(mount):
    path = mount.at("upload")
    for level in range(32):
        path = os.path.join(path, f"d{level}")
        os.mkdir(path)
    raises(errno.ENAMETOOLONG, os.mkdir, os.path.join(path, "one-more"))
    write(os.path.join(path, "deep.txt"), b"deep")
    assert read(os.path.join(path, "deep.txt")) == b"deep"
    assert len(list(os.walk(mount.at("upload")))) == 33
    os.mkdir(mount.at("upload", "t"))
    os.mkdir(mount.at("upload", "t", "u"))
    raises(errno.ENAMETOOLONG, os.rename, mount.at("upload", "t"), os.path.join(os.path.dirname(path), "t"))
    subprocess.run(["rm", "-rf", mount.at("upload", "d0")], check=True)
    assert names(mount.at("upload")) == ["t"]


# -- attributes

def test_utimens(at):
    p = at("a.txt")
    write(p)
    os.utime(p, ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321))
    assert os.stat(p).st_mtime_ns == 1_100_000_000_987_654_321
    utimensat(p, (0, UTIME_NOW), (0, UTIME_OMIT))
    assert os.stat(p).st_mtime_ns == 1_100_000_000_987_654_321
    utimensat(p, (0, UTIME_OMIT), (0, UTIME_OMIT))
    assert os.stat(p).st_mtime_ns == 1_100_000_000_987_654_321
    before = time.time()
    utimensat(p, (0, UTIME_OMIT), (0, UTIME_NOW))
    assert before - 2 <= os.stat(p).st_mtime <= time.time() + 2
    utimensat(p, (0, UTIME_OMIT), (-86400, 500))
    assert os.stat(p).st_mtime_ns == -86400 * 10**9 + 500
    fd = os.open(p, os.O_RDONLY)
    os.utime(fd, ns=(5 * 10**9, 6 * 10**9))
    assert os.fstat(fd).st_mtime_ns == 6 * 10**9
    os.close(fd)
    os.mkdir(at("d"))
    os.utime(at("d"), ns=(10**18, 10**18))
    assert os.stat(at("d")).st_mtime_ns == 10**18
    raises(errno.ENOENT, os.utime, at("none"))


def test_writing_moves_the_times(at):
    p = at("a.txt")
    write(p)
    os.utime(p, (1, 1))
    was = os.stat(p)
    fd = os.open(p, os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"more")
    os.close(fd)
    now = os.stat(p)
    assert now.st_mtime > time.time() - 60 and now.st_ctime_ns >= was.st_ctime_ns
    os.utime(p, (1, 1))
    os.truncate(p, 1)
    assert os.stat(p).st_mtime > time.time() - 60


def test_chmod_and_chown(at):
    p = at("a.txt")
    write(p)
    was = os.stat(p)
    os.chmod(p, 0o751)
    assert stat.S_IMODE(os.stat(p).st_mode) == 0o751
    assert os.stat(p).st_ctime_ns >= was.st_ctime_ns and os.stat(p).st_mtime_ns == was.st_mtime_ns
    fd = os.open(p, os.O_RDONLY)
    os.fchmod(fd, 0o640)
    os.fchown(fd, -1, -1)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o640
    os.close(fd)
    if os.getuid() == 0:
        os.chown(p, 1234, -1)
        assert (os.stat(p).st_uid, os.stat(p).st_gid) == (1234, was.st_gid)
        os.chown(p, -1, 4321)
        assert (os.stat(p).st_uid, os.stat(p).st_gid) == (1234, 4321)
        os.chmod(p, 0o4755)
        assert as_nobody("sys.exit(0 if os.stat(sys.argv[1]).st_mode & 0o4000 else 3)", p) in (0, 1)
    os.chmod(at(), 0o700)
    assert stat.S_IMODE(os.stat(at()).st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_setuid_bits_go_with_a_write(at):
    p = at("a.sh")
    write(p)
    os.chown(p, NOBODY, NOBODY)
    os.chmod(p, 0o6777)
    fd = os.open(p, os.O_WRONLY)
    os.write(fd, b"root may")
    os.close(fd)
    assert stat.S_IMODE(os.stat(p).st_mode) == 0o6777
    os.chown(p, 0, 0)
    assert not os.stat(p).st_mode & stat.S_ISUID


def test_inodes_are_the_same_after_a_remount(mount, at):
    write(at("a.txt"), b"abc")
    os.mkdir(at("d"))
    os.utime(at("a.txt"), ns=(10**18 + 1, 10**18 + 1))
    os.chmod(at("a.txt"), 0o604)
    os.setxattr(at("a.txt"), "user.mine", b"kept")
    was = [os.stat(at(n)) for n in ("", "a.txt", "d")]
    mount.restart()
    now = [os.stat(at(n)) for n in ("", "a.txt", "d")]
    for a, b in zip(was, now):
        assert (a.st_ino, a.st_mode, a.st_uid, a.st_size, a.st_mtime_ns) == \
            (b.st_ino, b.st_mode, b.st_uid, b.st_size, b.st_mtime_ns)
    assert os.getxattr(at("a.txt"), "user.mine") == b"kept" and read(at("a.txt")) == b"abc"


def test_xattrs(at):
    p = at("a.txt")
    write(p)
    raises(errno.ENODATA, os.getxattr, p, "user.none")
    os.setxattr(p, "user.one", b"1", os.XATTR_CREATE)
    raises(errno.EEXIST, os.setxattr, p, "user.one", b"2", os.XATTR_CREATE)
    os.setxattr(p, "user.one", b"2", os.XATTR_REPLACE)
    raises(errno.ENODATA, os.setxattr, p, "user.two", b"2", os.XATTR_REPLACE)
    os.setxattr(p, "user.empty", b"")
    os.setxattr(p, "user.zero", b"\0\xff\0")
    assert os.getxattr(p, "user.one") == b"2" and os.getxattr(p, "user.empty") == b""
    assert os.getxattr(p, "user.zero") == b"\0\xff\0"
    assert sorted(os.listxattr(p)) == ["user.empty", "user.one", "user.zero"]
    os.removexattr(p, "user.empty")
    raises(errno.ENODATA, os.removexattr, p, "user.empty")
    big = os.urandom(64 * 1024)
    os.setxattr(p, "user.big", big)
    assert os.getxattr(p, "user.big") == big
    raises((errno.E2BIG, errno.ENOSPC), os.setxattr, p, "user.more", big + b"x")
    for n in range(2):
        os.setxattr(p, f"user.more{n}", big)
    raises(errno.ENOSPC, os.setxattr, p, "user.last", big)
    small = ctypes.create_string_buffer(10)
    assert LIBC.getxattr(p.encode(), b"user.big", small, 10) == -1 and ctypes.get_errno() == errno.ERANGE
    assert LIBC.listxattr(p.encode(), small, 3) == -1 and ctypes.get_errno() == errno.ERANGE
    assert LIBC.getxattr(p.encode(), b"user.big", None, 0) == len(big)
    raises(errno.ERANGE, os.setxattr, p, "user." + "n" * 300, b"")
    raises((errno.EOPNOTSUPP, errno.EINVAL), os.setxattr, p, "system.posix_acl_access", b"\2\0\0\0")
    raises(errno.EOPNOTSUPP, os.getxattr, p, "security.capability")
    os.setxattr(p, "user.shutterfs.state", b"synced")    # copying programs bring ours along: passed over
    assert os.getxattr(p, "user.shutterfs.state") != b"synced"
    raises(errno.EPERM, os.removexattr, p, "user.shutterfs.state")
    os.setxattr(at(), "user.DosStream", b"dir")
    assert os.listxattr(at()) == ["user.DosStream"]
    os.rename(p, at("b.txt"))
    assert os.getxattr(at("b.txt"), "user.one") == b"2"


def test_statvfs(mount, at):
    s = os.statvfs(at())
    assert s.f_namemax == 255 and s.f_bsize == s.f_frsize == 4096
    assert 0 < s.f_bavail <= s.f_blocks == os.statvfs(mount.at("cameras")).f_blocks
    real = os.statvfs(mount.state)
    assert s.f_blocks * s.f_frsize == pytest.approx(real.f_blocks * real.f_frsize, rel=0.01)


# -- listing

def test_listing_under_change(at):
    for n in range(1000):
        os.close(os.open(at(f"{n:04}"), os.O_WRONLY | os.O_CREAT, 0o644))
    seen = []
    with os.scandir(at()) as entries:
        for n, entry in enumerate(entries):
            seen.append(entry.name)
            os.unlink(entry.path)
            if n % 100 == 0:
                write(at(f"new{n}"))
    assert [s for s in seen if not s.startswith("new")] == [f"{n:04}" for n in range(1000)]
    assert len(seen) == len(set(seen))
    subprocess.run(["rm", "-rf", at()], check=True)
    assert not os.path.exists(at())


class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_uint16),
                ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]


def walk(path):
    """(name, position after it, type) by readdir, and a function that seeks to a position and gives the rest."""
    for fn, result in (("opendir", ctypes.c_void_p), ("readdir64", ctypes.POINTER(Dirent)), ("telldir", ctypes.c_long)):
        getattr(LIBC, fn).restype = result
    d = ctypes.c_void_p(LIBC.opendir(path.encode()))

    def rest():
        found = []
        while True:
            e = LIBC.readdir64(d)
            if not e:
                return found
            found.append((e.contents.name.decode(), LIBC.telldir(d), e.contents.type))

    def seek(where):
        LIBC.seekdir(d, ctypes.c_long(where))
        return rest()

    return rest(), seek, lambda: LIBC.closedir(d)


@pytest.mark.parametrize("where", ["upload/box", "cameras/box", "dates", "", "cameras"])
def test_seekdir(mount, where):
    os.mkdir(mount.at("upload", "box"))
    for n in range(40):
        mount.upload("box", f"{n:03}.jpg", pictures.picture(n, pictures.moment(n, step=86400 * 40)))
    mount.wait_snapshots(40)
    found, seek, close = walk(mount.at(where))
    assert [n for n, _, _ in found[:2]] == [".", ".."] and found[2:] == sorted(found[2:])
    assert all(kind in (4, 8, 10) for _, _, kind in found)
    for n in (0, 1, 2, len(found) // 2, len(found) - 2, len(found) - 1, 1):
        assert seek(found[n][1]) == found[n + 1:]
    assert seek(0) == found
    close()


def test_small_buffers(mount, at):
    """getdents with room for one entry or two gives the same as one with room for all."""
    for n in range(60):
        write(at(f"{n:02}" + "n" * (n * 3)), b"")
    SYS_getdents64 = 217
    for size in (400, 1000, 32768):
        fd, got, buf = os.open(at(), os.O_RDONLY | os.O_DIRECTORY), [], ctypes.create_string_buffer(size)
        while (n := LIBC.syscall(SYS_getdents64, fd, buf, size)) > 0:
            raw, i = buf.raw, 0
            while i < n:
                length = int.from_bytes(raw[i + 16:i + 18], "little")
                got.append(raw[i + 19:i + length].split(b"\0")[0].decode())
                i += length
        os.close(fd)
        assert n == 0 and got == [".", "..", *names(at())], size


# -- reading other than by read(2)

def test_maps_of_an_upload(at):
    write(at("a.bin"), b"0" * 10000)
    with open(at("a.bin"), "r+b") as f, mmap.mmap(f.fileno(), 10000) as m:
        m[5000:5004] = b"here"
        m.flush()
        assert os.pread(f.fileno(), 4, 5000) == b"here"
    assert read(at("a.bin"))[4999:5005] == b"0here0"


def test_maps_and_direct_reads_of_a_picture(shot):
    m, path, up, data = shot
    for p in (m.at(path), m.at(up)):
        with open(p, "rb") as f:
            with mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                assert mapped[:] == data
            with mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
                mapped[0] = 0
            assert os.pread(f.fileno(), 5, len(data) - 2) == data[-2:] and os.pread(f.fileno(), 5, len(data)) == b""
        fd, page = os.open(p, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 20)
        n = os.readv(fd, [page])
        assert page[:n] == data
        os.close(fd)
        out = os.memfd_create("copy")
        fd, sent = os.open(p, os.O_RDONLY), 0
        while n := os.sendfile(out, fd, sent, len(data)):
            sent += n
        os.close(fd)
        assert os.pread(out, len(data) + 1, 0) == data
        os.close(out)


# -- the views

def test_views_refuse_to_change(shot):
    m, path, up, data = shot
    picture, day, camera = m.at(path), os.path.dirname(m.at(path)), m.at("cameras", "front")
    sidecar = os.path.splitext(picture)[0] + ".json"
    raises(errno.EROFS, os.open, picture, os.O_WRONLY)
    raises(errno.EROFS, os.open, picture, os.O_RDWR)
    raises(errno.EROFS, os.open, picture, os.O_RDONLY | os.O_TRUNC)
    raises(errno.EROFS, os.truncate, picture, 0)
    raises(errno.EROFS, os.chmod, picture, 0o600)
    raises(errno.EROFS, os.chown, picture, 1, 1)
    raises(errno.EROFS, os.utime, picture)
    raises(errno.EPERM, os.unlink, picture)
    raises(errno.EPERM, os.rename, picture, picture + "x")
    raises(errno.EROFS, os.setxattr, picture, "user.x", b"1")
    raises(errno.EROFS, os.removexattr, picture, "user.mime_type")
    raises(errno.EPERM, os.rename, sidecar, os.path.join(day, "x.jpg"))
    for d in (m.mnt, m.at("cameras"), camera, day, m.at("dates"), m.at("labels"), m.at("starred")):
        raises((errno.EROFS, errno.EPERM), os.open, os.path.join(d, "new.txt"), os.O_WRONLY | os.O_CREAT)
        raises(errno.EROFS, os.symlink, "x", os.path.join(d, "link"))
        raises(errno.EROFS, os.setxattr, d, "user.x", b"1")
    for d in (m.mnt, m.at("cameras"), camera, day, m.at("dates"), m.at("labels")):
        raises(errno.EROFS, os.chmod, d, 0o777)
    raises(errno.EROFS, os.mkdir, os.path.join(day, "d"))
    raises(errno.EPERM, os.rmdir, day)
    raises(errno.EROFS, os.link, picture, os.path.join(day, "x.jpg"))
    raises((errno.EPERM, errno.EXDEV), os.rename, picture, m.at("upload", "front", "x.jpg"))
    raises((errno.EROFS, errno.EXDEV), os.rename, m.at(up), os.path.join(day, "x.jpg"))
    assert read(picture) == data and os.stat(picture).st_nlink == 2


def test_facts_of_a_snapshot(shot):
    m, path, up, data = shot
    s, again = os.stat(m.at(path)), os.stat(m.at("dates", *path.split("/")[2].split("-"), os.path.basename(path)))
    assert (s.st_ino, s.st_size, s.st_mtime_ns % 10**9) == (again.st_ino, len(data), 0)
    assert s.st_nlink == 2 and stat.S_IMODE(s.st_mode) == 0o644
    u = os.stat(m.at(up))
    assert (u.st_size, u.st_blocks) == (len(data), 0) and u.st_ino != s.st_ino
    entry = [e for e in os.scandir(os.path.dirname(m.at(path))) if e.name.endswith(".jpg")][0]
    assert entry.inode() == s.st_ino and not entry.is_symlink()
    link = m.at("cameras/front/latest.jpg")
    assert os.lstat(link).st_size == len(os.readlink(link)) and os.path.samefile(link, m.at(path))
    assert os.stat(os.path.splitext(m.at(path))[0] + ".json").st_size == \
        len(read(os.path.splitext(m.at(path))[0] + ".json"))


def test_what_arrives_is_seen_in_listed_directories(mount):
    """Listings, attributes and failed lookups are cached by the kernel; each must go with the news."""
    labels = b'{"labels":[{"kind":"object","value":"cat"}]}'
    first = pictures.moment(1)
    stem = pictures.stem(first, "front")
    day = pictures.day(first)
    tree = [mount.at(p) for p in ("cameras", "dates", "labels", "starred", "cameras/front", f"cameras/front/{day}",
                                  "labels/object", "labels/object/cat")]
    coming = [f"cameras/front/{day}/{stem}.jpg", f"cameras/front/{day}/{stem}.json",
              f"dates/{day.replace('-', '/')}/{stem}.jpg", f"labels/object/cat/{day}/{stem}.jpg",
              "cameras/front/latest.jpg"]
    for d in tree:
        os.listdir(d) if os.path.isdir(d) else None
    for p in coming:
        raises(errno.ENOENT, os.stat, mount.at(p))
    mount.upload("front", "a.json", labels)
    mount.upload("front", "a.jpg", pictures.picture(1, first))
    mount.wait_snapshots(1)
    for p in coming:
        assert os.path.exists(mount.at(p)), p
    assert names(mount.at("cameras")) == ["front"] and names(mount.at("labels/object")) == ["cat"]
    assert names(mount.at("cameras/front")) == [day, "latest.jpg"]
    second = pictures.moment(2)
    raises(errno.ENOENT, os.stat, mount.at("cameras/front", day, pictures.stem(second, "front") + ".jpg"))
    mount.upload("front", "b.jpg", pictures.picture(2, second))
    mount.wait_snapshots(2)
    assert len(names(mount.at("cameras/front", day))) == 4
    assert os.path.exists(mount.at("cameras/front", day, pictures.stem(second, "front") + ".jpg"))
    assert os.stat(mount.at(coming[0])).st_nlink == 3


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_other_users(make_mount, tmp_path):
    for d in (tmp_path, *list(tmp_path.parents)[:3]):
        if d.stat().st_uid == os.getuid() and d != d.parent and str(d) != "/tmp":
            d.chmod(d.stat().st_mode | 0o055)
    m = make_mount(options=["-o", "allow_other"])
    m.upload("front", "a.jpg", pictures.picture(3, pictures.moment(3)))
    path = m.at(m.wait_snapshots(1)[0])
    os.chmod(m.base, 0o755)
    look = "sys.exit(0 if open(sys.argv[1], 'rb').read(2) == b'\\xff\\xd8' else 9)"
    make = "try:\n open(sys.argv[1], 'wb').write(b'x')\nexcept OSError as e:\n sys.exit(e.errno)"
    assert as_nobody(look, path) == 0
    assert as_nobody(make, m.at("upload", "x")) == errno.EACCES
    assert as_nobody(make, m.at("upload", "front", "x.txt")) == errno.EACCES
    os.chmod(m.at("upload", "front"), 0o1777)
    assert as_nobody(make, m.at("upload", "front", "x.txt")) == 0
    assert os.stat(m.at("upload", "front", "x.txt")).st_uid == NOBODY
    write(m.at("upload", "front", "mine.txt"))
    assert as_nobody("try:\n os.unlink(sys.argv[1])\nexcept OSError as e:\n sys.exit(e.errno)",
                     m.at("upload", "front", "mine.txt")) == errno.EPERM
    os.chmod(m.at("upload", "front", "mine.txt"), 0o600)
    assert as_nobody(look, m.at("upload", "front", "mine.txt")) != 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_without_allow_other_nobody_else_gets_in(mount):
    assert as_nobody("try:\n os.listdir(sys.argv[1])\nexcept PermissionError:\n sys.exit(7)", mount.mnt) == 7


def times_of(path):
    st = os.stat(path)
    return st.st_mtime_ns, st.st_ctime_ns


def test_a_directory_is_as_old_as_its_last_change(box, mount):
    """find -newer, tar ("file changed as we read it") and backups go by it."""
    top = os.path.dirname(box)
    sub = os.path.join(box, "sub")

    def changes(call, *moved, still=()):
        before = {d: times_of(d) for d in (*moved, *still)}
        time.sleep(0.01)
        call()
        for d in moved:
            assert times_of(d) > before[d], d
        for d in still:
            assert times_of(d) == before[d], d

    changes(lambda: os.mkdir(sub), box, still=[top])
    changes(lambda: write(os.path.join(sub, "a.txt")), sub, still=[box, top])
    changes(lambda: write(os.path.join(sub, "a.txt"), b"again"), still=[sub, box])
    changes(lambda: os.rename(os.path.join(sub, "a.txt"), os.path.join(box, "b.txt")), sub, box, still=[top])
    changes(lambda: os.unlink(os.path.join(box, "b.txt")), box, still=[sub, top])
    changes(lambda: os.rmdir(sub), box, still=[top])
    changes(lambda: os.mkdir(os.path.join(top, "another")), top, still=[box])
    os.utime(box, ns=(10**18, 10**18))
    assert os.stat(box).st_mtime_ns == 10**18
    os.utime(top, ns=(10**18, 10**18))
    assert os.stat(top).st_mtime_ns == 10**18, "upload/ itself keeps what rsync and tar set"
    mount.restart()
    assert os.stat(box).st_mtime_ns == os.stat(top).st_mtime_ns == 10**18
