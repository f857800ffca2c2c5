"""Measuring: the reader program, CPU and peak memory of processes, kernel caches, medians."""
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

from processes import clean_env, memory_kib, reset_peak, run  # memory_kib and reset_peak for the cases

TICK = os.sysconf("SC_CLK_TCK")


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def drop_caches(what=3):
    """Forgets the kernel's pages (1), dentries and inodes (2), or both; False where that is not allowed."""
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write(str(what))
        return True
    except OSError:
        return False


def cpu_seconds(pids):
    """User and system time that these processes have used, all threads."""
    used = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return used / TICK


class Tools:
    """The C programs of the benchmark."""

    def __init__(self, directory, scratch):
        self.server, self.io_program = os.path.join(directory, "bench-server"), os.path.join(directory, "bench-io")
        self.bare_program = os.path.join(directory, "bench-bare")
        self.scratch = scratch

    def write_list(self, paths):
        fd, name = tempfile.mkstemp(dir=self.scratch, prefix="list-")
        with os.fdopen(fd, "w") as f:
            f.write("\n".join(paths) + "\n")
        return name

    def start_io(self, paths, *options):
        return subprocess.Popen([self.io_program, *map(str, options), self.write_list(paths)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=clean_env(), start_new_session=True)

    def io(self, paths, *options, timeout=300, check=True):
        """Runs the reader over `paths`; its result as a dict."""
        name = self.write_list(paths)
        try:
            done = run([self.io_program, *options, name], check=False, timeout=timeout)
        finally:
            os.unlink(name)
        if not done.stdout or (check and done.returncode):
            raise AssertionError(f"reader: exit {done.returncode}: {done.stderr[-1000:]}")
        result = json.loads(done.stdout)
        result["rate"] = result["files"] / result["seconds"] if result["seconds"] else 0
        return result


def shuffled(things, seed):
    made = list(things)
    random.Random(seed).shuffle(made)
    return made


class Timed:
    """with Timed() as t: ...; t.seconds"""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def timed_run(argv, timeout=120, env=None):
    """Seconds that a command takes, its output thrown away; None if it is not done in time."""
    with Timed() as t:
        try:
            done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, timeout=timeout, env=env or clean_env())
        except subprocess.TimeoutExpired:
            return None
    assert done.returncode == 0, (argv, done.stderr[-500:])
    return t.seconds
