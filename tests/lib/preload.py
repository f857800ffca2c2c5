"""Libraries to preload into the program under test, compiled when a test first needs them."""
import functools
import mmap
import os
import struct
import subprocess
import tempfile

DAY = 86400


@functools.lru_cache(maxsize=None)
def build(source, *flags):
    """Compiles a C file, once per run."""
    out = os.path.join(tempfile.mkdtemp(prefix="preload-"), os.path.basename(source)[:-2])
    subprocess.run(["cc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *flags[:1], "-o", out, source, *flags[1:]], check=True)
    return out


class Clock:
    """The test's side of clock.c: env() for the program, set(seconds) while it runs."""

    def __init__(self, path):
        self.path = str(path)
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)

    def env(self):
        here = os.path.dirname(os.path.abspath(__file__))
        return {"LD_PRELOAD": build(os.path.join(here, "clock.c"), "-shared", "-fPIC"), "CLOCK_FILE": self.path}

    def set(self, ahead):
        struct.pack_into("=q", self.map, 0, ahead)
