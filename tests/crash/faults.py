"""Kills the daemon at its Nth change of a file, or makes that call fail: the test's side of faults.c."""
import errno
import mmap
import os
import struct

import preload

CALLS = ("write", "pwrite", "fsync", "fdatasync", "syncfs", "link", "rename", "unlink", "ftruncate", "create", "mkdir", "copy")
NOTHING, KILL, FAIL = range(3)
_HEAD, _COUNT = struct.Struct("=IIii qq"), struct.Struct(f"={len(CALLS)}q")
HERE = os.path.dirname(os.path.abspath(__file__))


def build(name, *flags):
    """Compiles name.c of this directory."""
    return preload.build(os.path.join(HERE, name + ".c"), *flags)


class Faults:
    def __init__(self, path):
        self.path = str(path)
        with open(self.path, "wb") as f:
            f.truncate(4096)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def env(self):
        return {"LD_PRELOAD": build("faults", "-shared", "-fPIC", "-ldl"), "FAULTS_FILE": self.path}

    def _order(self, action, calls, nth, error=0, repeat=0):
        mask = sum(1 << CALLS.index(c) for c in calls)
        struct.pack_into("=I", self.map, 0, NOTHING)
        _HEAD.pack_into(self.map, 0, NOTHING, mask, error, repeat, nth, 0)
        struct.pack_into("=I", self.map, 0, action)

    def kill(self, nth, calls=CALLS):
        self._order(KILL, calls, nth)

    def fail(self, nth, error=errno.EIO, calls=CALLS, repeat=1):
        self._order(FAIL, calls, nth, error, repeat)

    def disarm(self):
        self._order(NOTHING, (), 0)

    def hits(self):
        return _HEAD.unpack_from(self.map, 0)[5]

    def counts(self):
        """{call: how often it was made since the last forget()}"""
        return dict(zip(CALLS, _COUNT.unpack_from(self.map, _HEAD.size)))

    def forget(self):
        _COUNT.pack_into(self.map, _HEAD.size, *([0] * len(CALLS)))
