"""The tree: every view over the catalog, one inode per snapshot, ghosts, and what stat says."""
import datetime
import errno
import mmap
import os
import stat
import time

import pytest

import collection
import pictures
from mount import kernel
from processes import run, wait_until


@pytest.fixture
def filled(mount):
    return mount, collection.fill(mount)


def listing(m, *parts):
    """Names as readdir gives them, unsorted."""
    return os.listdir(m.at(*parts))


def raises(number, call, *args, **kw):
    with pytest.raises(OSError) as e:
        call(*args, **kw)
    allowed = number if isinstance(number, tuple) else (number,)
    assert e.value.errno in allowed, errno.errorcode.get(e.value.errno)


REFUSED = (errno.EROFS, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP)


def test_empty_tree(mount):
    assert listing(mount) == ["cameras", "datasets", "dates", "labels", "queries", "starred", "upload"]
    for view in ("cameras", "datasets", "dates", "labels", "queries", "starred", "upload"):
        assert listing(mount, view) == []
    assert stat.S_IMODE(os.stat(mount.mnt).st_mode) == 0o555
    assert stat.S_IMODE(os.stat(mount.at("upload")).st_mode) == 0o755


def test_every_view_has_every_name(filled):
    m, shots = filled
    found = {}
    for view in ("cameras", "datasets", "dates", "labels", "starred"):
        for inode, paths in collection.walk(m.at(view)).items():
            found.setdefault(inode, []).extend(os.path.relpath(p, m.mnt) for p in paths)
    assert sorted(sorted(p) for p in found.values()) == sorted(s.names for s in shots)
    for shot in shots:
        s = os.stat(m.at(shot.path))
        assert sorted(found[s.st_ino]) == shot.names
        assert s.st_nlink == len(shot.names)
        assert s.st_size == len(shot.data)
        for name in shot.names:
            assert m.read(name) == shot.data


def test_stat_of_a_snapshot(filled):
    m, shots = filled
    before = time.time()
    for shot in shots:
        s = os.stat(m.at(shot.path))
        assert s.st_mtime_ns == int(shot.taken.replace(tzinfo=datetime.timezone.utc).timestamp()) * 10**9, "time taken, whole seconds"
        assert stat.S_ISREG(s.st_mode) and stat.S_IMODE(s.st_mode) == 0o644, "its owner may tag it; nobody can write it"
    if kernel() < (6, 6):
        return    # its FUSE has no statx
    for shot in shots:
        for name in shot.names:
            facts = run(["stat", "-c", "%W %Y %s %h %i %a", m.at(name)]).stdout.split()
            s = os.stat(m.at(name))
            assert before - 120 <= int(facts[0]) <= before + 5, "btime is the time registered"
            assert facts[1:] == [str(int(s.st_mtime)), *map(str, (s.st_size, s.st_nlink, s.st_ino)), "644"]
    assert run(["stat", "-c", "%W", m.at("upload/front/shot0.jpg")]).stdout == "0\n"


def test_listings_are_sorted_and_typed(filled):
    m, _ = filled
    for where, folders, files in os.walk(m.mnt):
        names = listing(m, os.path.relpath(where, m.mnt))
        if "/upload" not in where:
            assert names == sorted(names), where
        assert len(names) == len(set(names))
        with os.scandir(where) as entries:
            for e in entries:
                mode = os.lstat(e.path).st_mode
                assert e.is_dir(follow_symlinks=False) == stat.S_ISDIR(mode)
                assert e.is_symlink() == stat.S_ISLNK(mode)
                assert e.is_file(follow_symlinks=False) == stat.S_ISREG(mode)
                assert e.inode() == os.lstat(e.path).st_ino


def test_sidecars_are_listed_in_cameras_and_ghosts_elsewhere(filled):
    m, shots = filled
    m.sync()    # sidecars tell of it
    assert sorted(n for s in shots if s.camera == "front" and s.day == "2024-03-05" for n in (s.stem + ".jpg",
                  s.stem + ".json")) == listing(m, "cameras/front/2024-03-05")
    for shot in shots:
        text = m.read(shot.path[:-4] + ".json")
        for name in shot.names:
            for other in (name[:-4] + ".json", name + ".json"):
                assert m.read(other) == text
                assert os.stat(m.at(other)).st_size == len(text)
            if not name.startswith("cameras/"):
                assert [n for n in listing(m, os.path.dirname(name)) if "json" in n] == []
        assert shot.stem + ".jpg.json" not in listing(m, os.path.dirname(shot.path))


@pytest.mark.parametrize("how", ["list", "ghost", "off"])
def test_sidecars_option(make_mount, how):
    m = make_mount(more=f"sidecars = {how}")
    shot = collection.fill(m)[0]
    for name in shot.names:
        sidecar = os.path.splitext(os.path.basename(name))[0] + ".json"
        assert (sidecar in listing(m, os.path.dirname(name))) == (how == "list")
        assert os.path.exists(m.at(os.path.dirname(name), sidecar)) == (how != "off")
        if how != "off":
            s = os.stat(m.at(os.path.dirname(name), sidecar))
            assert s.st_nlink == (len(shot.names) if how == "list" else 1), "as many as it is listed under"


def test_ghost_directory(mount):
    assert ".shutterfs" not in listing(mount)
    assert stat.S_ISDIR(os.stat(mount.at(".shutterfs")).st_mode)
    for name in ("status.json", "queue.json", "errors.json", "metrics.prom", "config"):
        s = os.stat(mount.at(".shutterfs", name))
        assert stat.S_ISREG(s.st_mode) and s.st_size > 0
        assert len(mount.read(".shutterfs", name)) > 0
    status = mount.status()
    assert status["mountpoint"] == mount.mnt and status["read_path"] in ("passthrough", "kernel cache")
    assert status["snapshots"] == 0 and status["queue"]["waiting"] == 0
    assert mount.json(".shutterfs", "queue.json") == {"queue": []}
    assert mount.errors() == []
    assert mount.read(".shutterfs", "metrics.prom").decode().strip().count("\n") > 3


def test_latest_is_a_symlink_to_the_newest(mount):
    for n in (5, 9, 7):
        mount.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    mount.wait_snapshots(3)
    target = os.readlink(mount.at("cameras/front/latest.jpg"))
    taken = pictures.moment(9)
    assert target == f"{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg"
    assert mount.read("cameras/front/latest.jpg") == pictures.picture(9, taken, "+00:00")
    assert "latest.jpg" in listing(mount, "cameras/front")
    taken = pictures.moment(11)
    mount.upload("front", "11.jpg", pictures.picture(11, taken, "+00:00"))
    wait_until(lambda: pictures.stem(taken, "front") in os.readlink(mount.at("cameras/front/latest.jpg")), 10)


def test_new_snapshots_show_at_once_where_somebody_looked(mount):
    """Negative entries, cached directories and attributes are told of arrivals."""
    taken = pictures.moment(1)
    day = f"cameras/front/{pictures.day(taken)}"
    path = f"{day}/{pictures.stem(taken, 'front')}.jpg"
    mount.upload("front", "0.jpg", pictures.picture(0, pictures.moment(0), "+00:00"))
    mount.wait_snapshots(1)
    for _ in range(3):
        assert not os.path.exists(mount.at(path))
        assert len(listing(mount, day)) == 2
    links = os.stat(mount.at(mount.snapshots()[0])).st_nlink
    mount.upload("front", "1.jpg", pictures.picture(1, taken, "+00:00"))
    wait_until(lambda: os.path.exists(mount.at(path)), 5)
    wait_until(lambda: len(listing(mount, day)) == 4, 5)
    stem = pictures.stem(pictures.moment(0), "front")
    assert not os.path.exists(mount.at("labels/object/cat"))
    mount.upload("front", "0.json", b'{"labels":[{"kind":"object","value":"cat"}],"starred":true}')
    wait_until(lambda: os.path.exists(mount.at("labels/object/cat", pictures.day(taken), stem + ".jpg")), 10)
    wait_until(lambda: os.path.exists(mount.at("starred", pictures.day(taken), stem + ".jpg")), 5)
    wait_until(lambda: os.stat(mount.at(day, stem + ".jpg")).st_nlink == links + 2, 5)


def test_inodes_and_times_survive_a_remount(filled):
    m, shots = filled

    def facts():
        return {n: (s.st_ino, s.st_mtime_ns, s.st_size, s.st_nlink)
                for shot in shots for n in shot.names for s in [os.stat(m.at(n))]}

    before, uploads = facts(), {e.name: os.stat(e.path) for e in os.scandir(m.at("upload/front"))}
    m.restart()
    assert facts() == before
    for name, old in uploads.items():
        new = os.stat(m.at("upload/front", name))
        assert (new.st_ino, new.st_size, new.st_mtime_ns) == (old.st_ino, old.st_size, old.st_mtime_ns)


def test_views_are_read_only(filled):
    m, shots = filled
    path = m.at(shots[0].path)
    day = os.path.dirname(path)
    raises(REFUSED, open, path, "r+b")
    raises(REFUSED, open, os.path.join(day, "new.jpg"), "wb")
    raises(REFUSED, os.mkdir, m.at("cameras/new"))
    raises(REFUSED, os.mkdir, m.at("new"))
    raises(REFUSED, os.unlink, path)
    raises(REFUSED, os.rmdir, day)
    raises(REFUSED, os.rename, path, path + "x")
    raises(REFUSED, os.truncate, path, 0)
    raises(REFUSED, os.utime, path, (1, 1))
    raises(REFUSED, os.symlink, "a", m.at("cameras/b"))
    assert m.read(shots[0].path) == shots[0].data


def test_names_that_are_not_there(filled):
    m, shots = filled
    day = os.path.dirname(shots[0].path)
    for name in ("nothing", "cameras/nobody", "cameras/front/2024-02-30", "cameras/front/2024-3-5", "cameras/front/x",
                 "dates/2024/13", "dates/2024/03/32", "dates/24", "labels/object/nothing", "labels/nothing",
                 "starred/2024-03-06", day + "/x.jpg", day + "/" + shots[3].stem + ".jpg", day + "/" + "n" * 255,
                 "dates/2024/03/06/" + shots[0].stem + ".jpg", ".shutterfs/nothing",
                 "cameras/front/2024-03-05/" + shots[0].stem + ".jpg/x"):
        raises((errno.ENOENT, errno.ENOTDIR), os.lstat, m.at(name))
    raises((errno.ENAMETOOLONG, errno.ENOENT), os.lstat, m.at("cameras/" + "n" * 256))


def test_pictures_can_be_mapped(filled):
    m, shots = filled
    with open(m.at(shots[0].path), "rb") as f, mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as view:
        assert view[:] == shots[0].data


def test_reads_anywhere_in_a_picture(filled):
    m, shots = filled
    data = shots[0].data
    with open(m.at(shots[0].path), "rb", buffering=0) as f:
        for at, size in ((0, 2), (len(data) - 2, 2), (len(data) - 1, 100), (len(data), 10), (len(data) + 5000, 10),
                         (100, 4096)):
            assert os.pread(f.fileno(), size, at) == data[at:at + size]


def test_seekdir_goes_on_where_telldir_stood(mount):
    """Directory offsets mean a position by themselves, so a listing goes on while the directory grows."""
    for n in range(60):
        mount.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(2 * n + 1), "+00:00"))
    mount.wait_snapshots(60)
    day = f"cameras/front/{pictures.day(pictures.moment(1))}"
    with os.scandir(mount.at(day)) as entries:
        seen = [next(entries).name for _ in range(10)]
        for n in range(60, 64):
            mount.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(2 * n + 1), "+00:00"))
        mount.wait_snapshots(64)
        seen += [e.name for e in entries]
    assert len(seen) == len(set(seen)) and seen == sorted(seen)
    assert len(seen) >= 120, "what was there at the start is listed once"


def test_statfs_tells_the_truth(mount):
    ours, disk = os.statvfs(mount.mnt), os.statvfs(mount.state)
    assert ours.f_namemax == 255
    total, real = ours.f_blocks * ours.f_frsize, disk.f_blocks * disk.f_frsize
    assert abs(total - real) <= real * 0.02
    free, real_free = ours.f_bavail * ours.f_frsize, disk.f_bavail * disk.f_frsize
    assert abs(free - real_free) <= real * 0.05


def test_names_of_a_mount_in_another_time_zone(make_mount):
    """img_id is in the mount's zone; the hour that a clock repeats gives distinct names, the picture's own zone counts."""
    m = make_mount(timezone="Europe/Prague")
    utc = pictures.moment(0)
    m.upload("front", "a.jpg", pictures.picture(0, utc, "+00:00"))
    m.upload("front", "b.jpg", pictures.picture(1, utc.replace(month=7), "+02:00"))
    m.wait_snapshots(2)
    assert [os.path.basename(p) for p in m.snapshots()] == [
        "20240305T09-00-00-123456_front.jpg", "20240705T08-00-00-123456_front.jpg"]
    taken = datetime.datetime.fromisoformat(m.sidecar(m.snapshots()[0])["taken"])
    assert taken == utc.replace(tzinfo=datetime.timezone.utc)


def test_two_snapshots_in_one_microsecond(mount):
    taken = pictures.moment(3)
    for n in range(3):
        mount.upload("front", f"{n}.jpg", pictures.picture(n, taken, "+00:00"))
    names = [os.path.basename(p) for p in mount.wait_snapshots(3)]
    stamp = pictures.img_id(taken)
    assert sorted(names) == sorted(f"{stamp}{more}_front.jpg" for more in ("", "-1", "-2"))
