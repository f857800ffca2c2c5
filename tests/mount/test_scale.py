"""What the mount needs does not grow with the catalog: 100 thousand pictures; DEEP: a million."""
import glob
import os
import random
import subprocess

import pytest

import mount as mounts
import synth
from processes import clean_env, memory_kib, reset_peak

COUNT = 1000000 if os.environ.get("DEEP") else 100000
CEILING = 64 << 10  # KiB
GROWTH = 16 << 10   # by what the threads of the mount keep
KEPT = {None: 1, "address": 3, "thread": 12}  # times that, for what a sanitizer keeps of each thread and each word


def walk(m):
    """Eight `find` at a time, so that many threads fill their caches, of a quarter of the days each: how many files they saw."""
    days = glob.glob(m.at("dates/*/*/*"))
    found = [subprocess.Popen(["find", *days[n % 4::4], "-type", "f", "-printf", "."], stdout=subprocess.PIPE, env=clean_env())
             for n in range(8)]
    try:
        return sum(len(part) for f in found for part in iter(lambda: f.stdout.read(1 << 16), b""))
    finally:
        for f in found:
            f.kill()
            f.stdout.close()
            f.wait()


@pytest.mark.limit(300)
def test_memory_has_a_ceiling(make_mount, tmp_path):
    m = make_mount(stores=f'[store "cloud"]\ndriver = dir\npath = {tmp_path}\n', start=False)
    m.env["ASAN_OPTIONS"] += ":quarantine_size_mb=1"  # what is freed is not the mount's
    m.start()
    m.stop()
    synth.fill_catalog(os.path.join(m.state, "catalog.db"), COUNT)
    m.start()
    worker = [m.worker()]
    before = memory_kib(worker, "VmRSS")
    reset_peak(worker)
    assert walk(m) == 2 * COUNT
    pick = random.Random(7)
    for _ in range(500):
        d, c, n = pick.randrange(synth.days(COUNT)), pick.randrange(synth.CAMERAS), pick.randrange(synth.PER_DAY)
        os.stat(m.at("cameras", synth.camera(c), synth.date(d), synth.stem(d, n, c + 1) + ".jpg"))
    peak = memory_kib(worker)
    assert peak - before < GROWTH * KEPT[mounts.sanitized()], (before, peak)
    assert peak < CEILING or mounts.sanitized(), peak
