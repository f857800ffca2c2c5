"""Cases about listings and large catalogs."""
import os
import random
import shutil

import measure
import synth
from results import PLAIN, RCLONE, SHUTTERFS
from contestants import Shutterfs


def day(world, results):
    count = world.sizes.day
    top, _ = world.small_day(count)
    link = world.link(top)
    everyone = world.contestants(link, top)
    date, limit = "2024-03-05", 20 if world.quick else 90
    title = f"a day of {count:,}"
    commands = (("ls-l", "ls -l", ["ls", "-l"]), ("find", "find", ["find"]), ("du", "du", ["du", "-s"]))
    first = results.case("day-first-ls", f"first ls of {title} after the mount", "s")
    slow = set()
    for c in everyone:
        c.start()
        seconds = measure.timed_run(["ls", "-f", c.day("front", date)], limit)
        first.add(c.name, seconds, note=None if seconds else f"not done in {limit} s")
        if not seconds:
            slow.add(c.name)
        # the metadata warm
        if c.name not in slow and measure.timed_run(["ls", "-l", c.day("front", date)], limit) is None:
            slow.add(c.name)
    for _ in range(world.sizes.rounds):
        for c in everyone:
            for name, what, argv in commands:
                case = results.case(f"day-{name}", f"{what} of {title}, metadata warm", "s")
                if c.name in slow:
                    case.notes[c.name] = f"not done in {limit} s"
                    case.values.setdefault(c.name, [])
                    continue
                before = measure.cpu_seconds(c.pids())
                case.add(c.name, measure.timed_run([*argv, c.day("front", date)], limit),
                         peak_mib=round(measure.memory_kib(c.pids()) / 1024, 1) if c.pids() else None,
                         cpu_ms=1000 * (measure.cpu_seconds(c.pids()) - before) / count)
    ls = results.case("day-ls-l", "", "")
    results.goal(f"ls -l of {title}: of ext4", ls.times(SHUTTERFS, PLAIN), least=0.5)
    results.goal(f"ls -l of {title}: of rclone mount", ls.times(SHUTTERFS, RCLONE), least=5)


def catalog_of(world, count):
    """A mount whose catalog has `count` snapshots; not started."""
    made = world.later(Shutterfs(world.fresh("m"), world.link(), more="upload = on"))
    made.start()
    made.stop()
    with measure.Timed() as t:
        synth.fill_catalog(os.path.join(made.mount.state, "catalog.db"), count)
    print(f"    catalog of {count:,}: {t.seconds:.0f} s", flush=True)
    return made


def mount_times(made, rounds):
    """Seconds until `shutterfs mount` returns, the mount being up."""
    for _ in range(rounds):
        seconds = measure.timed_run(made.mount.command("mount", made.mnt), 60, env=made.mount.env)
        made.mount.cli("umount", made.mnt, config=False)
        yield seconds


def random_day(made, count, pick):
    d, c = pick.randrange(synth.days(count)), pick.randrange(synth.CAMERAS)
    return d, c, made.mount.at("cameras", synth.camera(c), synth.date(d))


def small_questions(world, results, made, count):
    """First `ls` of days, and lookups, right after the mount with cold kernel caches."""
    pick = random.Random(count)
    measure.drop_caches()
    made.start()
    first = results.case("first-ls", f"first ls of one camera's day of {synth.PER_DAY}", "ms")
    lookup = results.case("lookup", "lookup and getattr of a file", "µs")
    who = f"{count:,} snapshots"
    for _ in range(20):
        with measure.Timed() as t:
            names = os.listdir(random_day(made, count, pick)[2])
        assert len(names) == synth.PER_DAY, len(names)
        first.add(who, 1000 * t.seconds)
    made.stop()
    made.start()
    paths = []
    for _ in range(4000):
        d, c, where = random_day(made, count, pick)
        paths.append(os.path.join(where, synth.stem(d, pick.randrange(synth.PER_DAY), c + 1) + ".jpg"))
    world.tools.io(paths, "-s")  # the catalog's pages are in memory, the kernel's names are not
    measure.drop_caches(2)
    before = measure.cpu_seconds(made.pids())
    got = world.tools.io(paths, "-s")
    used = measure.cpu_seconds(made.pids()) - before
    lookup.add(who, got["p50_us"], note=f"{1e6 * used / got['files']:.0f} µs of the daemon's CPU per file and its directory")
    made.stop()
    return who


def find_all(results, made, count, who):
    """find over everything: seconds and the daemon's peak memory."""
    made.start()
    measure.reset_peak(made.pids())
    start = round(measure.memory_kib(made.pids()) / 1024, 1)
    case = results.case(f"find-{count}", f"find over {count:,} snapshots", "s")
    before = measure.cpu_seconds(made.pids())
    seconds = measure.timed_run(["find", made.mount.at("dates"), "-type", "f"], 600)
    peak = round(measure.memory_kib(made.pids()) / 1024, 1)
    case.add(SHUTTERFS, seconds, cpu_ms=1000 * (measure.cpu_seconds(made.pids()) - before) / count, peak_mib=peak)
    results.case("rss", "RSS of the daemon after the mount and at its peak in find", "MiB").add(
        who, peak, peak_mib=peak, note=f"{start} MiB after the mount")
    made.stop()
    return peak


def plain_find(world, results, count):
    top = world.fresh("tmp")
    with measure.Timed() as t:
        synth.plain_tree(top, count)
    print(f"    {count:,} plain files: {t.seconds:.0f} s", flush=True)
    for _ in range(world.sizes.rounds):
        measure.drop_caches(2)
        results.case(f"find-{count}", "", "").add(PLAIN, measure.timed_run(["find", top, "-type", "f"], 300))
        results.case(f"find-{count}-warm", f"find over {count:,}, kernel caches warm", "s").add(
            PLAIN, measure.timed_run(["find", top, "-type", "f"], 300))
    shutil.rmtree(top)


def catalogs(world, results):
    peaks = {}
    for count in world.sizes.catalogs:
        made = catalog_of(world, count)
        who = f"{count:,} snapshots"
        times = results.case("mount", "until `shutterfs mount` returns", "s")
        for seconds in mount_times(made, 5):
            times.add(who, seconds)
        small_questions(world, results, made, count)
        peaks[count] = find_all(results, made, count, who)
        for _ in range(world.sizes.rounds - 1 if count <= 1000000 else 0):
            measure.drop_caches(2)
            find_all(results, made, count, who)
        if count == 1000000:
            plain_find(world, results, count)
            results.goal("find over 1 million, kernel caches dropped: times ext4",
                         1 / (results.case(f"find-{count}", "", "").times(SHUTTERFS, PLAIN) or 1), most=3)
            results.goal("peak RSS of find over 1 million", peaks[count], most=64, unit="MiB")
        shutil.rmtree(made.mount.base, ignore_errors=True)
        largest = who
    if 10000000 in peaks:
        results.goal("peak RSS at 10 million: of that at 1 million", peaks[10000000] / peaks[1000000], most=1.1)
    results.goal(f"mount with {largest}", results.case("mount", "", "").of(largest), most=0.2, unit="s")
    results.goal(f"first ls of a day with {largest}", results.case("first-ls", "", "").of(largest), most=20, unit="ms")
    results.goal(f"lookup with {largest}", results.case("lookup", "", "").of(largest), most=50, unit="µs")
