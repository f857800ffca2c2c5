"""A disk that loses its power: powerfs on a tmpfs, and what a cut leaves of it."""
import os
import shutil
import signal
import stat
import subprocess

from faults import build
from mount import mount_entry
from processes import Process, run, wait_until

PAGE = 4096
HIDDEN = ".fuse_hidden"  # libfuse's name of a file that is unlinked and still open: a cut is the end of it
# What a cut may leave: only what was synced; all names but only synced bytes; all names, and of other bytes some pages.
STRICT, NAMES, PAGES = "strict", "names", "pages"


def missing():
    """Why powerfs cannot be used here, or None."""
    if os.getuid():
        return "needs root, to mount a tmpfs"
    if subprocess.run(["pkg-config", "--exists", "fuse3"]).returncode:
        return "libfuse3-dev is not installed"
    return None


class PowerDisk:
    def __init__(self, base):
        self.base, self.dir = str(base), os.path.join(str(base), "disk")
        self.cuts, self.process = 0, None
        os.makedirs(self.dir)
        self._fill({})
        self._mount()

    @property
    def syncfs(self):
        return os.path.join(self.dir, ".syncfs")

    def _fill(self, tree):
        """A new tmpfs, so that inode numbers stay small; tree: {path: bytes, or None for a directory}."""
        self.backing = os.path.join(self.base, f"backing{self.cuts}")
        os.makedirs(self.backing)
        run(["mount", "-t", "tmpfs", "-o", "inode64", "powerfs", self.backing])
        for name in ("live", "disk/data", "disk/names"):
            os.makedirs(os.path.join(self.backing, name))
        for path, content in tree.items():
            at = os.path.join(self.backing, "live", path)
            os.makedirs(at if content is None else os.path.dirname(at), exist_ok=True)
            if content is not None:
                with open(at, "wb") as f:
                    f.write(content)
        with open(os.path.join(self.backing, "live/.syncfs"), "wb"):
            pass

    def _mount(self):
        flags = run(["pkg-config", "--cflags", "--libs", "fuse3"]).stdout.split()
        self.process = Process([build("powerfs", "-D_FILE_OFFSET_BITS=64", *flags), self.backing, self.dir],
                               os.path.join(self.base, "powerfs.log"))
        wait_until(lambda: mount_entry(self.dir) or not self.process.alive(), 20, 0.02)
        assert self.process.alive(), self.process.output()
        self.sync()

    def sync(self):
        fd = os.open(self.syncfs, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def _away(self):
        run(["umount", "-l", self.dir])
        self.process.stop(signal.SIGKILL)  # a copy of the mount may live on in another namespace
        run(["umount", "-l", self.backing])

    def cut(self, mode, dice):
        """Its users are dead.  What was not synced is gone, as `mode` says; returns how many bytes and names went."""
        live, durable = self._live(), self._durable()
        if mode == STRICT:
            left = {path: None if kind == "d" else self._data(ino) for path, (kind, ino) in durable.items()}
        else:
            left = {path: None if kind == "d" else self._torn(path, ino, mode, dice) for path, (kind, ino) in live.items()}
        lost = sum(1 for path, (kind, ino) in live.items()
                   if path not in left or (kind == "f" and left[path] != self._read(path)))
        self._away()
        self.cuts += 1
        self._fill(left)
        self._mount()
        return lost

    def _read(self, path):
        with open(os.path.join(self.backing, "live", path), "rb") as f:
            return f.read()

    def _data(self, ino):
        try:
            with open(os.path.join(self.backing, "disk/data", str(ino)), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def _torn(self, path, ino, mode, dice):
        now, synced = self._read(path), self._data(ino)
        if path.startswith("cache/"):
            # Of a cached copy only the size is compared, which tells it on file systems that let a file grow after its bytes
            # are written (ext4, xfs, btrfs); zeros in their place would be served until fsck.
            return synced
        if mode == NAMES or now == synced:
            return synced if dice.random() < 0.5 else synced[:len(now)].ljust(len(now), b"\0")
        synced = synced[:len(now)].ljust(len(now), b"\0")
        written = dice.choice((0, 0.5, 0.9, 1))
        return b"".join((now if dice.random() < written else synced)[at:at + PAGE] for at in range(0, len(now), PAGE))

    def _live(self):
        top, found = os.path.join(self.backing, "live"), {}
        for where, dirs, names in os.walk(top):
            for name in dirs + [n for n in names if not n.startswith(HIDDEN)]:
                path = os.path.join(where, name)
                st = os.lstat(path)
                if stat.S_ISDIR(st.st_mode) or stat.S_ISREG(st.st_mode):
                    found[os.path.relpath(path, top)] = ("d" if stat.S_ISDIR(st.st_mode) else "f", st.st_ino)
        found.pop(".syncfs", None)
        return found

    def _durable(self):
        found, root = {}, os.stat(os.path.join(self.backing, "live")).st_ino

        def walk(ino, under):
            try:
                with open(os.path.join(self.backing, "disk/names", str(ino)), "rb") as f:
                    entries = f.read().split(b"\0")
            except FileNotFoundError:
                return
            for entry in filter(None, entries):
                child, kind, name = entry.decode().split(" ", 2)
                path = os.path.join(under, name)
                if path != ".syncfs" and not name.startswith(HIDDEN):
                    found[path] = (kind, int(child))
                if kind == "d":
                    walk(int(child), path)

        walk(root, "")
        return found

    def close(self):
        if self.process and self.process.alive():
            self._away()
        shutil.rmtree(self.base, ignore_errors=True)
