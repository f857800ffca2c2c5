"""A small language of file system calls, one a line, each with what must come of it:

    [a name]                     a case: what follows runs in an empty directory
    rename a b = EISDIR          the error; "A|B": either
    cat b = "new text"           the result; without "=" the call must succeed
    link a b = EOPNOTSUPP, plain ok     shutterfs' answer, and the one of an ordinary file system of the kernel
    as 1001 unlink a = EACCES    by that user and group of the same number

Paths are relative to the case's directory; a path's word NAME*N stands for NAME N times (a*256, s/*40).  Descriptors have names."""
import ctypes
import errno
import fcntl
import mmap
import os
import re
import shlex
import stat

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME = {"noreplace": 1, "exchange": 2, "whiteout": 4}
UTIME = {"now": (1 << 30) - 1, "omit": (1 << 30) - 2}
NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EAGAIN: "EAGAIN"}  # of those that have two
TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}


def checked(result, path=None):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return result


def bits(prefix, words, module=os):
    value = 0
    for word in words.split("|"):
        value |= getattr(module, prefix + word.upper())
    return value


def field(st, name):
    if name == "type":
        return TYPES[stat.S_IFMT(st.st_mode)]
    if name == "mode":
        return f"{stat.S_IMODE(st.st_mode):o}"
    if name in ("mtime", "ctime", "atime"):
        return f"{getattr(st, f'st_{name}_ns') / 10**9:.9f}".rstrip("0").rstrip(".")
    return getattr(st, "st_" + name)


class Calls:
    """Each method is a word of the language; arguments are text, so is what it gives back."""

    def __init__(self):
        self.fds, self.maps, self.kept = {}, {}, {}

    def end(self):
        for m in self.maps.values():
            m.close()
        for fd in self.fds.values():
            os.close(fd)

    # descriptors

    def open(self, name, path, flags, mode="644"):
        fd = os.open(path, bits("O_", flags), int(mode, 8))
        if name in self.fds:
            os.close(self.fds.pop(name))
        self.fds[name] = fd

    def close(self, name):
        os.close(self.fds.pop(name))

    def write(self, name, text):
        return os.write(self.fds[name], text.encode())

    def pwrite(self, name, offset, text):
        return os.pwrite(self.fds[name], text.encode(), int(offset))

    def read(self, name, size):
        return self.text(os.read(self.fds[name], int(size)))

    def pread(self, name, offset, size):
        return self.text(os.pread(self.fds[name], int(size), int(offset)))

    def lseek(self, name, offset, whence):
        return os.lseek(self.fds[name], int(offset), bits("SEEK_", whence))

    def ftruncate(self, name, size):
        os.ftruncate(self.fds[name], int(size))

    def fsync(self, name):
        os.fsync(self.fds[name])

    def fdatasync(self, name):
        os.fdatasync(self.fds[name])

    def fchmod(self, name, mode):
        os.fchmod(self.fds[name], int(mode, 8))

    def fchown(self, name, uid, gid):
        os.fchown(self.fds[name], int(uid), int(gid))

    def futimens(self, name, atime, mtime):
        times = (ctypes.c_long * 4)(*self.moment(atime), *self.moment(mtime))
        checked(LIBC.futimens(self.fds[name], times))

    def fstat(self, name, what):
        return field(os.fstat(self.fds[name]), what)

    def flock(self, name, how):
        fcntl.flock(self.fds[name], bits("LOCK_", how, fcntl))

    def fallocate(self, name, mode, offset, size):
        checked(LIBC.fallocate(self.fds[name], int(mode), ctypes.c_long(int(offset)), ctypes.c_long(int(size))))

    def copy_range(self, source, target, size):
        return os.copy_file_range(self.fds[source], self.fds[target], int(size), 0, 0)

    def lockf_of_another(self, name, how):
        """By another process: fcntl's locks belong to processes."""
        pid = os.fork()
        if pid == 0:
            try:
                fcntl.lockf(self.fds[name], bits("LOCK_", how, fcntl))
                os._exit(0)
            except OSError as e:
                os._exit(e.errno)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, os.strerror(code))

    def lockf(self, name, how):
        fcntl.lockf(self.fds[name], bits("LOCK_", how, fcntl))

    def map(self, name, fd, size, flags="shared", prot="read|write"):
        self.maps[name] = mmap.mmap(self.fds[fd], int(size), bits("MAP_", flags, mmap), bits("PROT_", prot, mmap))

    def peek(self, name, offset, size):
        return self.text(self.maps[name][int(offset):int(offset) + int(size)])

    def poke(self, name, offset, text):
        self.maps[name][int(offset):int(offset) + len(text)] = text.encode()

    def msync(self, name):
        self.maps[name].flush()

    def unmap(self, name):
        self.maps.pop(name).close()

    # whole files

    def put(self, path, text, mode="644"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, int(mode, 8))
        try:
            return os.write(fd, text.encode())
        finally:
            os.close(fd)

    def cat(self, path):
        with open(path, "rb") as f:
            return self.text(f.read())

    # names

    def mkdir(self, path, mode="755"):
        os.mkdir(path, int(mode, 8))

    def mknod(self, path, kind="reg"):
        os.mknod(path, 0o600 | bits("S_IF", kind, stat))

    def rename(self, old, new, flags=None):
        if not flags:
            return os.rename(old, new)
        checked(LIBC.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), RENAME[flags]), old)

    def ls(self, path="."):
        return " ".join(sorted(os.listdir(path)))

    # attributes

    def stat(self, path, what):
        return field(os.stat(path), what)

    def lstat(self, path, what):
        return field(os.lstat(path), what)

    def keep(self, name, path, what):
        """Keeps an attribute, for `same` and `moved`."""
        self.kept[name] = field(os.stat(path), what)

    def compare(self, name, path, what):
        return "same" if self.kept[name] == field(os.stat(path), what) else "moved"

    def statvfs(self, path, what):
        return getattr(os.statvfs(path), "f_" + what)

    def access(self, path, how):
        if not os.access(path, bits("", "|".join(f"{c.upper()}_OK" for c in how)), effective_ids=True):
            raise OSError(errno.EACCES, "access", path)

    def truncate(self, path, size):
        os.truncate(path, int(size))

    def chmod(self, path, mode):
        os.chmod(path, int(mode, 8))

    def chown(self, path, uid, gid):
        os.chown(path, int(uid), int(gid))

    def utimens(self, path, atime, mtime):
        times = (ctypes.c_long * 4)(*self.moment(atime), *self.moment(mtime))
        checked(LIBC.utimensat(AT_FDCWD, path.encode(), times, 0), path)

    def setxattr(self, path, name, value, flags=None):
        os.setxattr(path, name, value.encode(), bits("XATTR_", flags) if flags else 0)

    def getxattr(self, path, name):
        return self.text(os.getxattr(path, name))

    def listxattr(self, path):
        return " ".join(sorted(n for n in os.listxattr(path) if n.startswith("user.")))

    # who

    def as_(self, uid, op, *args):
        """File system ids only: permissions are looked at as for that user, and the way back is open."""
        groups = os.getgroups()
        os.setgroups([])
        LIBC.setfsgid(int(uid))
        LIBC.setfsuid(int(uid))
        try:
            return self.call(op, args)
        finally:
            LIBC.setfsuid(os.geteuid())
            LIBC.setfsgid(os.getegid())
            os.setgroups(groups)

    # the rest

    @staticmethod
    def text(data):
        return data.decode("latin-1").replace("\0", "~")    # a zero byte is shown as ~

    @staticmethod
    def moment(word):
        if word in UTIME:
            return 0, UTIME[word]
        seconds, _, nano = word.partition(".")
        return int(seconds), int(nano.ljust(9, "0") or 0)

    plain_calls = ("unlink", "rmdir", "link", "symlink", "readlink", "removexattr", "mkfifo")

    def call(self, op, args):
        args = [re.sub(r"(\S+)\*(\d+)", lambda m: m[1] * int(m[2]), a) for a in args]
        if op in self.plain_calls:
            return getattr(os, op)(*args)
        return getattr(self, {"as": "as_"}.get(op, op))(*args)


class Line:
    def __init__(self, number, text):
        self.number, self.text = number, text
        call, _, wanted = text.partition(" = ")
        self.op, *self.args = shlex.split(call)
        ours, _, plain = wanted.partition(", plain ")
        self.wanted = {"ours": ours.strip() or "ok", "plain": plain.strip() or ours.strip() or "ok"}

    def run(self, calls, where):
        """None, or how it differs from what is wanted."""
        try:
            result = calls.call(self.op, self.args)
            got = "ok" if result is None else str(result)
        except OSError as e:
            got = NAMES.get(e.errno) or errno.errorcode[e.errno]
        wanted = self.wanted[where]
        if wanted == "ok" and not (got in errno.errorcode.values() or got in NAMES.values()):
            return None
        choices = [wanted[1:-1]] if wanted[:1] == '"' else wanted.split("|")
        return None if got in choices else f"line {self.number}: {self.text}: {got!r}"


def cases(path):
    """{name: [Line]} of a table."""
    found, lines = {}, None
    with open(path) as f:
        for number, text in enumerate(f, 1):
            text = text.strip()
            if text.startswith("["):
                name = text[1:-1]
                assert name not in found, f"two cases are called {name}"
                lines = found[name] = []
            elif text and not text.startswith("#"):
                lines.append(Line(number, text))
    return found


def run(lines, directory, where):
    """What went wrong in a case that runs in `directory`."""
    calls, back, mask = Calls(), os.getcwd(), os.umask(0o022)
    os.chdir(directory)
    try:
        return [wrong for line in lines if (wrong := line.run(calls, where))]
    finally:
        calls.end()
        os.umask(mask)
        os.chdir(back)
