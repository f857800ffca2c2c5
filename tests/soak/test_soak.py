"""One mount that is used for a long time: readers, uploaders, a store that fails now and then, evictions, workers that are killed.

SOAK_MINUTES (10) is how long.  Workers are killed in the first part; the last one is then watched: its memory, descriptors and threads
stay what they are, the catalog's log is bounded, no program sees an error, and at the end every byte is right, in the tree and in
the store."""
import collections
import concurrent.futures
import os
import random
import statistics
import threading
import time

import pytest

import pictures
import swift as swifts
from processes import children, wait_until

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
SECONDS = 60 * MINUTES
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
KILLING, WARM = 0.4, 0.6       # parts of the time: kills end, watching begins at the earliest
KILL_EVERY = 45 if MINUTES <= 10 else 70  # a worker that lives for a minute is a good one; of others seven may die in a row
READS, UPLOADS = 20, 2         # a second
FAULTS = 0.03                  # of the requests
OLD = 150                      # pictures that were there before
LONG = MINUTES >= 60
FILLERS = 6
FILL = 15000 if LONG else 2000  # uploads and reads for the last worker before it is watched: for about 10,000 its caches grow
SLOPE, NOISE = 1, 2 if LONG else 16  # MiB an hour, and what the time cannot tell from it: sanitizers take three times what caches hold
WAL, LATEST = 64 << 20, 60     # bytes; seconds
SLACK = 32                     # descriptors and threads: connections and threads come and go; one lost in 100 uses is seen


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def count(pid, what):
    return len(os.listdir(f"/proc/{pid}/{what}"))


def named(n, camera):
    taken = pictures.moment(n)
    return f"cameras/{camera}/{pictures.day(taken)}/{pictures.stem(taken, camera)}.jpg"


class Soak:
    def __init__(self, m, bucket, old):
        self.m, self.bucket, self.stop = m, bucket, threading.Event()
        self.known = {p: pictures.sha256(d) for p, d in old.items()}
        self.lock, self.accepted, self.wrong, self.slowest, self.reads = threading.Lock(), {}, [], 0, 0
        self.kills, self.samples, self.filled = 0, [], threading.Event()
        self.began = time.monotonic()

    def passed(self):
        """Of the time, 0 to 1."""
        return (time.monotonic() - self.began) / SECONDS

    def guarded(self, step, every):
        def work():
            dice = random.Random(SEED + threading.get_ident())
            while not self.stop.wait(dice.expovariate(1 / every)):
                began = time.monotonic()
                try:
                    step(dice)
                except Exception as e:  # noqa: BLE001, whatever it is: the test fails with it
                    self.wrong.append(f"after {self.passed():.0%}: {e!r}")
                self.slowest = max(self.slowest, time.monotonic() - began)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def read(self, dice):
        with self.lock:
            path, sha = dice.choice(list(self.known.items()))
        got = self.m.read(path)
        assert pictures.sha256(got) == sha, f"wrong bytes of {path}"
        self.reads += 1

    def send_one(self):
        with self.lock:
            n = OLD + len(self.accepted)
            self.accepted[n] = None
        data = pictures.picture(n, pictures.moment(n), "+00:00")
        self.m.upload("front", f"{n}.jpg", data)
        return n, data

    def remember(self, n, sha):
        with self.lock:
            self.accepted[n] = self.known[named(n, "front")] = sha

    def fill_some(self, number):
        dice = random.Random(SEED + number)
        for _ in range(FILL // FILLERS):
            n, data = self.send_one()
            self.remember(n, pictures.sha256(data))
            self.read(dice)

    def fill(self):
        """Once kills are over; by many at once, or what each of the worker's threads holds grows for hours."""
        self.stop.wait(SECONDS * KILLING)
        with concurrent.futures.ThreadPoolExecutor(FILLERS) as fillers:
            list(fillers.map(self.fill_some, range(FILLERS)))
        self.filled.set()

    def upload(self, dice):
        n, data = self.send_one()
        sha = pictures.sha256(data)
        path = self.m.at(named(n, "front"))
        wait_until(lambda: os.path.exists(path), 10, what=path)  # at once, but for a worker that was killed just now
        assert pictures.sha256(self.m.read(path)) == sha
        self.remember(n, sha)

    def watch(self):
        """Kills, then samples."""
        next_kill = self.began + min(KILL_EVERY, SECONDS * KILLING / 2)
        while not self.stop.wait(2):
            wal = os.path.join(self.m.state, "catalog.db-wal")
            if os.path.exists(wal) and os.path.getsize(wal) > WAL:
                self.wrong.append(f"the catalog's log has {os.path.getsize(wal)} bytes")
            worker = self.m.worker()
            if self.passed() < KILLING:
                if worker and time.monotonic() > next_kill:
                    os.kill(worker, 9)
                    self.kills += 1
                    next_kill = time.monotonic() + KILL_EVERY
            elif self.passed() > WARM and self.filled.is_set():
                self.samples.append((memory_mib(worker), count(worker, "fd"), count(worker, "task"), worker, time.monotonic()))

    def run(self):
        self.began = time.monotonic()
        threads = [self.guarded(self.read, 4 / READS) for _ in range(4)] + [self.guarded(self.upload, 2 / UPLOADS) for _ in range(2)]
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        self.fill()
        self.stop.wait(SECONDS * (1 - self.passed()))
        self.stop.set()
        for t in [*threads, watcher]:
            t.join(LATEST)
            assert not t.is_alive(), "a program waits in the mount"


def growth(values):
    """From the first fifth to the last, by their medians."""
    part = max(len(values) // 5, 1)
    return statistics.median(values[-part:]) - statistics.median(values[:part])


@pytest.mark.limit(2 * int(SECONDS) + 900)  # all is read twice at the end
def test_soak(make_mount, bucket):
    print(f"seed {SEED}, {MINUTES:g} minutes")
    old = swifts.fill(bucket, OLD)
    m = make_mount(stores=bucket.config(), env=bucket.env(), more=f"cache_size = {sum(map(len, old.values())) // 3}", start=False)
    m.env["ASAN_OPTIONS"] += ":quarantine_size_mb=1"  # what is freed is not the mount's
    m.start()
    m.cli("scan", "cloud")
    dice = random.Random(SEED)
    for do, seconds in ((503, 0), ("close", 0), ("cut", 0), ("corrupt", 0), ("slow", 2)):
        bucket.proxy.add(do, seconds=seconds, key=lambda key: key.endswith(".jpg") and dice.random() < FAULTS / 5)
    s = Soak(m, bucket, old)
    s.run()
    memory, fds, tasks = ([x[i] for x in s.samples] for i in range(3))
    hours = (s.samples[-1][4] - s.samples[0][4]) / 3600
    print(f"{s.reads} reads, {len(s.accepted)} uploads, {s.kills} kills, slowest {s.slowest:.1f} s; watched for {hours * 60:.1f} min: "
          f"memory {memory[0]:.1f} to {memory[-1]:.1f} MiB (growth {growth(memory):+.2f}), descriptors {min(fds)}-{max(fds)}, "
          f"threads {min(tasks)}-{max(tasks)}; supervisor {memory_mib(m.process.pid):.1f} MiB")
    print("memory, MiB:", *(f"{x:.1f}" for x in memory[::max(1, len(memory) // 20)]))
    assert not s.wrong, s.wrong[:10]
    assert s.reads > SECONDS and len(s.accepted) > SECONDS / 4 and s.kills >= 1, "the test must have tested something"
    assert len({x[3] for x in s.samples}) == 1, "the worker that was watched lived"
    assert growth(memory) <= SLOPE * hours + NOISE
    assert growth(fds) <= SLACK and growth(tasks) <= SLACK
    assert s.slowest < LATEST
    bucket.proxy.clear_rules()
    m.sync()
    assert m.status()["queue"]["waiting"] == 0 and m.status()["fetch"]["in_flight"] == 0
    for path, sha in s.known.items():
        assert pictures.sha256(m.read(path)) == sha, path
    for n, sha in s.accepted.items():
        assert pictures.sha256(m.read("upload/front", f"{n}.jpg")) == sha, n
    there = collections.Counter(pictures.sha256(bucket.get(k)) for k in bucket.pictures())
    assert set(there.values()) == {1}, "each object once"
    assert set(there) == set(s.known.values())
    assert m.cli("fsck").returncode == 0
    assert len(children(m.process.pid)) == 1
