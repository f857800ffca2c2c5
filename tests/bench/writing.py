"""Cases that upload."""
import measure
import servers
from contestants import Rclone, Shutterfs
from results import PLAIN, RCLONE, SHUTTERFS
from world import KB175


def sent(link, mark):
    lines = link.since(mark)
    return (f"{len([r for r in lines if r.method == 'PUT' and r.key.endswith('.jpg')])} pictures and "
            f"{len([r for r in lines if r.method == 'PUT' and r.key.endswith('.json')])} sidecars put, "
            f"{len([r for r in lines if r.method == 'HEAD'])} HEADs")


def to_plain(world, copy, source):
    # the copy stays until the end of the case: what is deleted makes the next new file dear (cases.py)
    copy.add(PLAIN, measure.timed_run(["cp", "-r", source, world.fresh("tmp") + "/up"]))


def to_shutterfs(world, copy, drain, link, source, count, bucket, prefix):
    """A new mount; cp, then until the store has everything."""
    c = world.later(Shutterfs(world.fresh("m"), link, bucket, store=f"prefix = {prefix}"))
    c.start()
    mark, before = link.mark(), measure.cpu_seconds(c.pids())
    with measure.Timed() as whole:
        copy.add(SHUTTERFS, measure.timed_run(["cp", "-r", source, c.mount.at("upload", "front")], 300))
        c.mount.sync(timeout=300)
    cpu = 1000 * (measure.cpu_seconds(c.pids()) - before) / count
    drain.add(SHUTTERFS, count / whole.seconds, cpu_ms=cpu, peak_mib=round(measure.memory_kib(c.pids()) / 1024, 1),
              note=sent(link, mark))
    c.stop()


def to_rclone(world, copy, link, source, bucket):
    c = world.later(Rclone(world.fresh("m"), link, bucket))
    c.start()
    copy.add(RCLONE, measure.timed_run(["cp", "-r", source, c.mnt + "/mounted"], 120),
             peak_mib=round(measure.memory_kib(c.pids()) / 1024, 1))
    c.stop()


def upload_rounds(world, results, link, bucket, suffix):
    top, keys = world.tree(world.sizes.upload, KB175, "up")
    source = f"{top}/up/2024/03/05"
    copy = results.case("upload-cp" + suffix, f"cp of {len(keys)} × 175 KB into the mount" + suffix, "s")
    drain = results.case("upload-drain" + suffix, "from the start of cp until the store has everything" + suffix, "objects/s")
    have_rclone = Rclone in world.peers
    for n in range(world.sizes.rounds):
        to_plain(world, copy, source)
        to_shutterfs(world, copy, drain, link, source, len(keys), bucket, f"s{n}/")
        if not have_rclone:
            continue
        mark = link.mark()
        seconds = servers.rclone(["copy", "--transfers", "16", source, servers.rclone_remote(link.port, bucket) + f"/r{n}"])
        drain.add("rclone copy", len(keys) / seconds if seconds else None, note=sent(link, mark))
        if not suffix:
            to_rclone(world, copy, link, source, bucket)
    where = f" ({suffix.strip(', ')})" if suffix else ""
    results.goal(f"cp of {len(keys)} into upload/{where}: of cp to ext4", copy.times(SHUTTERFS, PLAIN), least=0.5)
    results.goal(f"drain{where}: of rclone copy --transfers 16", drain.times(SHUTTERFS, "rclone copy"), least=1)


def upload(world, results):
    upload_rounds(world, results, world.link(), servers.BUCKET, "")


def upload_swift(world, results):
    server = world.later(servers.SwiftServer(world.tools, world.scratch, world.rtt_ms))
    upload_rounds(world, results, server.link, server.bucket.name, ", Swift")
