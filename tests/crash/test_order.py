"""With durability = close each step is on disk before the next one speaks of it: read off the system calls themselves."""
import os
import re
import time

import pytest

from life import CAMERA, Life
from processes import Process, find_program, wait_until

TRACED = "fsync,fdatasync,syncfs,linkat,link,renameat2,openat,pwrite64,unlinkat"
LINE = re.compile(r"^(?:\d+ +)?(\d+\.\d+) (.*?) = (-?\d+)(?:<[^<>]*>)?(?: \(.*\)| [A-Z]+ .*)? <(\d+\.\d+)>$")
RESUMED = re.compile(r"^(\d+) +(\d+\.\d+) <\.\.\. \w+ resumed>(.*)$")
UNFINISHED = re.compile(r"^(\d+) +(\d+\.\d+) (.*) <unfinished \.\.\.>$")


def calls(path):
    """(when it ended, text) of each call that worked; calls that others interrupted are put together again."""
    found, open_calls = [], {}
    with open(path, errors="replace") as f:
        for line in f:
            line = line.rstrip("\n")
            if begun := UNFINISHED.match(line):
                open_calls[begun[1]] = (begun[2], begun[3])
                continue
            if resumed := RESUMED.match(line):
                when, text = open_calls.pop(resumed[1], (None, ""))
                if when is None:
                    continue
                line = f"{resumed[1]} {when} {text}{resumed[3]}"
            if m := LINE.match(line):
                if int(m[3]) >= 0:
                    found.append((float(m[1]) + float(m[4]), m[2], float(m[1])))
    return sorted(found)


def test_bytes_then_name_then_row_then_answer(tmp_path, say):
    if not find_program("strace"):
        pytest.skip("strace is not installed")
    life = Life(tmp_path / "life", more="durability = close\n")
    life.start()
    trace = str(tmp_path / "trace")
    tracer = Process(["strace", "-f", "-y", "-ttt", "-T", "-s", "300", "-o", trace, "-e", "trace=" + TRACED, "-p", life.worker()],
                     tmp_path / "strace.log")
    try:
        life.make_camera()
        wait_until(lambda: os.path.exists(trace) and "attached" in tracer.output(), 20)
        closed = []
        for _ in range(20):
            life.in_place()
            closed.append((life.accepted[-1], time.time()))
        for _ in range(5):
            life.by_rename()
            closed.append((life.accepted[-1], time.time()))
    finally:
        tracer.stop()
    life.judge_running()
    made = calls(trace)
    life.end()
    for a, answered in closed:
        check_order(a, answered, made)
    say(f"{len(closed)} uploads in order, of {len(made)} calls")


def check_order(a, answered, made):
    spool = f"/spool/{a.sha[:2]}"

    def first(what, after, pattern):
        for end, text, begin in made:
            if begin >= after and re.search(pattern, text):
                assert end <= answered, f"{a.name}: {what} came {end - answered:.3f} s after the answer"
                return end, text
        raise AssertionError(f"{a.name}: no {what} after {after}")

    link = next((c for c in made if c[1].startswith("linkat(") and f"{spool}/{a.sha}" in c[1]), None)
    assert link, f"{a.name} was never linked into the spool"
    source = re.search(r"/upload/(\d+)>?", link[1]) or re.search(r"/proc/self/fd/(\d+)", link[1])
    synced = [c for c in made if re.match(r"fsync\(\d+<[^>]*/upload/\d+>", c[1]) and c[0] <= link[2]]
    assert synced and source, f"{a.name}: linked before its bytes were synced"
    written = [c for c in made if c[1].startswith("pwrite64(") and "/upload/" in c[1] and c[0] <= link[2]]
    assert synced[-1][2] >= written[-1][0], f"{a.name}: written after its last sync"
    named, _ = first("sync of its shard", link[0], rf"^fsync\(\d+<[^>]*{spool}>")
    first("sync of its rows", named, r"^(fsync|fdatasync)\(\d+<[^>]*catalog\.db-wal>")
