"""Cases that read pictures."""
import collections
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time

import measure
import servers
from contestants import Bare
from processes import run
from results import COPY, MOUNTS, PLAIN, RCLONE, SHUTTERFS
from world import KB87

S3FS_FILES = 200  # as many as s3fs can be given within the time


def read_files(world, case, c, keys, *options):
    """One run of the reader over `keys` at contestant c, its CPU counted; the reader's result."""
    before = measure.cpu_seconds(c.pids())
    got = world.tools.io([c.path(k) for k in keys], *options, check=False)
    files = max(1, got["files"])
    used = measure.cpu_seconds(c.pids()) - before + got["cpu_s"]
    rss = round(measure.memory_kib(c.pids()) / 1024, 1) if c.pids() else None
    note = f"{got['errors']} errors" if got["errors"] else None
    case.add(c.name, got["rate"], cpu_ms=1000 * used / files, peak_mib=rss, note=note)
    return got


# ---- what is cached

# what a training script's loader does per picture, without decoding
LOADER = """
import sys, time
paths = open(sys.argv[1]).read().split("\\n")[:-1]
start, n = time.perf_counter(), 0
for path in paths:
    with open(path, "rb") as f:
        f.read()
    n += 1
    if time.perf_counter() - start > float(sys.argv[2]):
        break
print(n / (time.perf_counter() - start))
"""


def loader(world, case, c, keys):
    listed = world.tools.write_list([c.path(k) for k in keys])
    done = run([sys.executable, "-c", LOADER, listed, str(world.sizes.limit)])
    os.unlink(listed)
    case.add(c.name, float(done.stdout))


def epoch(world, results):
    top, keys = world.tree(world.sizes.epoch)
    link = world.link(top)
    everyone = world.contestants(link, top)
    if Bare.there():
        everyone.append(world.later(Bare(world.fresh("m"), world.tools, os.path.dirname(everyone[0].path(keys[0])))))
    few = keys[:S3FS_FILES]

    def warm_up(c):
        world.tools.io([c.path(k) for k in (few if c.name == "s3fs" else keys)], "-j", "16", "-t", "60", check=False)

    for c in everyone:
        c.start()
        warm_up(c)
    ours = next(c for c in everyone if c.name == SHUTTERFS)
    fetched = ours.status()["fetch"]["requests"]
    for n in range(world.sizes.rounds):
        for readers in (1, 8):
            for c in everyone:  # the kernel's caches were dropped at the end of the round before
                warm_up(c)
            for c in everyone:
                order = measure.shuffled(few if c.name == "s3fs" else keys, n)
                warm = results.case(f"warm-{readers}", f"warm epoch, random order, {readers} reader(s)", "files/s")
                read_files(world, warm, c, order, "-j", str(readers), "-t", str(world.sizes.limit))
                if readers == 1:
                    loader(world, results.case("warm-python", "warm epoch, random order, read by Python", "files/s"), c, order)
            for c in everyone:
                order = measure.shuffled(few if c.name == "s3fs" else keys, n)
                dropped = results.case(f"dropped-{readers}", f"cached on disk, kernel caches dropped, {readers} reader(s)",
                                       "files/s")
                if measure.drop_caches():
                    read_files(world, dropped, c, order, "-j", str(readers), "-t", str(world.sizes.limit))
            everyone.append(everyone.pop(0))
    warm, dropped = results.case("warm-1", "", ""), results.case("dropped-1", "", "")
    results.goal("warm epoch, 1 reader: of the plain directory", warm.times(SHUTTERFS, PLAIN), least=0.5)
    if Bare.there():
        results.goal("warm epoch, 1 reader: of a mount that does nothing else", warm.times(SHUTTERFS, Bare.name), least=0.8)
    results.goal("warm epoch, 1 reader: of rclone mount", warm.times(SHUTTERFS, RCLONE), least=10)
    python = results.case("warm-python", "", "")
    results.goal("warm epoch, Python reader: of the plain directory", python.times(SHUTTERFS, PLAIN), least=0.5)
    results.goal("kernel caches dropped, 1 reader: of the plain directory", dropped.times(SHUTTERFS, PLAIN), least=0.9)
    results.goal("fetches during all that", ours.status()["fetch"]["requests"] - fetched, most=0, unit="")


# ---- what is not

def count_requests(lines, files):
    """For the notes: requests per file by method, and the objects asked for more than once."""
    methods = collections.Counter(r.method if r.key else "LIST" for r in lines)
    twice = sum(n > 1 for n in collections.Counter(r.key for r in lines if r.method == "GET" and r.key).values())
    said = ", ".join(f"{n / max(1, files):.2f} {m}" if m != "LIST" else f"{n} lists" for m, n in sorted(methods.items()))
    return said + (f", {twice} asked twice" if twice else "")


def cold_run(world, case, c, link, keys, *options):
    """From an empty cache; the mount is new."""
    c.start(cold=True)
    mark = link.mark()
    got = read_files(world, case, c, keys, "-t", str(world.sizes.limit), *options)
    lines = link.since(mark)
    c.stop()
    case.notes[c.name] = count_requests(lines, got["files"])
    return lines


def copy_run(world, case, link, bucket, files):
    to = world.fresh("tmp")
    seconds = servers.rclone(["copy", "--transfers", "32", "--checkers", "32", "--use-server-modtime",
                              servers.rclone_remote(link.port, bucket), to])
    case.add(COPY, files / seconds if seconds else None)
    shutil.rmtree(to)


def prefetch_run(world, case, c, keys):
    c.start(cold=True)
    before = measure.cpu_seconds(c.pids())
    with measure.Timed() as t:
        c.mount.cli("prefetch", os.path.dirname(c.path(keys[0])), timeout=120)
    case.add("shutterfs prefetch", len(keys) / t.seconds,
             cpu_ms=1000 * (measure.cpu_seconds(c.pids()) - before) / len(keys))
    c.stop()


def cold_rounds(world, results, link, top, keys, bucket, suffix):
    """Listing order and shuffled, each contestant from an empty cache in each round."""
    everyone = world.contestants(link, top, bucket=bucket)[1:]
    listing = results.case("cold-listing" + suffix, "cold, listing order, 1 reader" + suffix, "files/s")
    shuffled = results.case("cold-shuffled" + suffix, "cold, shuffled, 1 reader" + suffix, "files/s")
    requests = []
    for n in range(world.sizes.rounds):
        for c in everyone:
            lines = cold_run(world, listing, c, link, keys)
            if c.name == SHUTTERFS:
                requests.append(lines)
        copy_run(world, listing, link, bucket, len(keys))
        prefetch_run(world, listing, everyone[0], keys)
        for c in everyone:
            cold_run(world, shuffled, c, link, measure.shuffled(keys, n))
    where = f" ({suffix.strip(', ')})" if suffix else ""
    results.goal(f"cold, listing order{where}: of rclone copy --transfers 32", listing.times(SHUTTERFS, COPY), least=0.8)
    results.goal(f"cold, listing order{where}: of the best mount",
                 listing.times(SHUTTERFS, listing.best(MOUNTS)), least=8)
    results.goal(f"cold, shuffled{where}: of the best mount", shuffled.times(SHUTTERFS, shuffled.best(MOUNTS)), least=5)
    if not suffix:
        gets = [[r.key for r in lines if r.method == "GET" and r.key] for lines in requests]
        results.goal("GETs per cold picture", max(len(g) / len(set(g)) for g in gets), least=1, most=1, unit="")
        heads = max((len([r for r in lines if r.method == "HEAD"]) for lines in requests), default=None)
        results.goal("HEADs", heads, most=0, unit="")


def cold(world, results):
    top, keys = world.tree(world.sizes.cold)
    cold_rounds(world, results, world.link(top), top, keys, servers.BUCKET, "")


def cold_swift(world, results):
    top, keys = world.tree(world.sizes.cold)
    server = world.later(servers.SwiftServer(world.tools, world.scratch, world.rtt_ms))
    server.fill(top)
    cold_rounds(world, results, server.link, top, keys, server.bucket.name, ", Swift")


def cold_many(world, results):
    top, keys = world.tree(world.sizes.cold, KB87, "small")
    link = world.link(top)
    case = results.case("cold-16", "cold, 87 KB, 16 readers", "files/s")
    everyone = world.contestants(link, top)[1:]
    for n in range(world.sizes.rounds):
        for c in everyone:
            cold_run(world, case, c, link, measure.shuffled(keys, n), "-j", "16")
    results.goal("cold, 87 KB, 16 readers: of rclone mount", case.times(SHUTTERFS, RCLONE), least=1)
    results.goal("cold, 87 KB, 16 readers", case.of(SHUTTERFS), least=668, unit="files/s")


def bare_get(connection, key):
    with measure.Timed() as t:
        connection.request("GET", f"/{servers.BUCKET}/{key}")
        connection.getresponse().read()
    return t.seconds


def first_read(path):
    with measure.Timed() as t:
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 1)
    os.close(fd)
    return t.seconds


def first_byte(world, results):
    top, keys = world.spread(world.sizes.first + 2)
    link = world.link(top)
    everyone = world.contestants(link, top)[1:]
    case = results.case("first-byte", "first byte of one cold picture", "ms")
    bare = http.client.HTTPConnection("127.0.0.1", link.port)
    for c in everyone:
        c.start()
        # listed, and its connection to the server warm
        first_read(c.path(keys[0]))
    bare_get(bare, keys[0])
    case.values = {name: [] for name in ("bare GET", *(c.name for c in everyone))}
    for key in measure.shuffled(keys[1:], 1):
        case.add("bare GET", 1000 * bare_get(bare, key))
        for c in everyone:
            mark = link.mark()
            ms = 1000 * first_read(c.path(key))
            time.sleep(0.02)
            if any(r.key == key for r in link.since(mark)):  # else it was read ahead
                case.add(c.name, ms)
    bare.close()
    ours, get = case.of(SHUTTERFS), case.of("bare GET")
    case.notes[SHUTTERFS] = f"{len(case.values[SHUTTERFS])} of {len(keys) - 1}: the others were there already"
    results.goal("first byte of a cold picture: of a bare GET", ours / get if ours and get else None, most=1.1)


# ---- attributes of what was listed

def first_stat(world, results):
    top, keys = world.tree(world.sizes.cold)
    link = world.link(top)
    case = results.case("first-stat", f"first stat of {len(keys)} listed files", "s")
    everyone = world.contestants(link, top)
    requests = None
    for _ in range(world.sizes.rounds):
        for c in everyone:
            c.start(cold=True)
            names = os.listdir(os.path.dirname(c.path(keys[0])))
            assert len(names) == len(keys), (c.name, len(names))
            mark = link.mark()
            got = world.tools.io([c.path(k) for k in keys], "-s", timeout=120)
            case.add(c.name, got["seconds"], note=f"{len(link.since(mark))} requests" if c.remote else None)
            if c.name == SHUTTERFS:
                requests = len(link.since(mark))
            c.stop()
    results.goal(f"first stat of {len(keys)} listed files", case.of(SHUTTERFS), most=0.05, unit="s")
    results.goal("requests for it", requests, most=0, unit="")


# ---- one reader does not wait for another

class HungCamera:
    """Takes connections and says nothing."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]

    def stop(self):
        self.socket.close()


def end(process):
    process.kill()
    process.wait(20)


def busy(world, results):
    top, keys = world.tree(world.sizes.cold)
    cached, cold_keys = keys[:200], keys[200:]
    fast, slow = world.link(top), world.link(top, slow="front=3000")
    hung = world.later(HungCamera())
    ours = world.shutterfs(fast, cameras=f'[camera "hung"]\ndriver = http\nurl = http://127.0.0.1:{hung.port}/x.jpg\n'
                                         "timeout = 60s\n")
    ours.start()
    world.tools.io([ours.path(k) for k in cached], "-j", "8")
    case = results.case("busy", "p99 of a cached read", "µs")
    ours.stop()  # what is not cached by now comes from a store that takes three seconds
    ours.mount.sections = ours.mount.sections.replace(f":{fast.port}", f":{slow.port}")
    ours.mount.write_config()
    ours.start()
    paths = [ours.path(k) for k in measure.shuffled(cached, 3)]
    world.tools.io(paths)
    for n in range(world.sizes.rounds * 2):
        got = world.tools.io(paths, "-t", "3", "-L", "-i", "200")
        case.add("quiet", got["p99_us"])
        part = measure.shuffled(cold_keys, n)
        background = world.tools.start_io([ours.path(k) for k in part], "-j", 64, "-L", "-t", 60)
        camera = subprocess.Popen(["cat", ours.mount.at("cameras", "hung", "live.jpg")], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.5)
        got = world.tools.io(paths, "-t", "3", "-L", "-i", "200")
        in_flight = ours.status()["fetch"]["in_flight"]
        case.add("64 cold reads, hung camera", got["p99_us"], note=f"{in_flight} fetches under way")
        end(background)
        end(camera)
    loud, quiet = case.of("64 cold reads, hung camera"), case.of("quiet")
    results.goal("p99 of cached reads under load: of the quiet p99", loud / quiet if quiet else None, most=2)
