"""upload/: what real programs do when they write pictures, and what becomes of it."""
import collections
import datetime
import errno
import os
import re
import shutil
import subprocess
import time

import pytest

import pictures
from peers import Ftp, Ssh
from processes import find_program, run, wait_until

N = 6


@pytest.fixture
def source(tmp_path):
    """A directory of N pictures with known times, and {name: bytes}."""
    made = pictures.write_pictures(tmp_path / "source", N)
    for n, name in enumerate(sorted(made)):
        when = 1_600_000_000 + n
        os.utime(tmp_path / "source" / name, (when, when))
    return tmp_path / "source", made


def expected(camera, count=N):
    """Snapshot paths of the pictures of `source`."""
    return sorted(f"cameras/{camera}/{pictures.day(t)}/{pictures.stem(t, camera)}.jpg"
                  for t in map(pictures.moment, range(count)))


def check_arrived(m, made, camera="garage", where="", times=None):
    """Registered once each, right bytes, still at their upload path with size and mtime."""
    assert m.wait_snapshots(len(made)) == expected(camera, len(made))
    assert [m.read(p) for p in expected(camera, len(made))] == [made[n] for n in sorted(made)]
    for name, data in made.items():
        path = m.at("upload", camera, where, name)
        s = os.stat(path)
        assert s.st_size == len(data)
        with open(path, "rb") as f:
            assert f.read() == data
        if times is not None:
            assert int(s.st_mtime) == int(os.stat(os.path.join(times, name)).st_mtime)
    assert m.errors() == []
    assert sorted(os.listdir(m.at("upload", camera, where))) == sorted(made), "nothing else is left"


def test_what_a_copied_file_costs(make_mount, tmp_path):
    """The kernel knows the way to it, and writes it at once: cp asks what its buffer should be."""
    m = make_mount(options=("-o", "debug"))
    (tmp_path / "source").mkdir()
    for n in range(N):
        (tmp_path / "source" / f"{n}.txt").write_bytes(bytes(200_000))
    mark = len(m.log_text())
    run(["cp", "-r", tmp_path / "source", m.at("upload", "garage")])
    assert os.stat(m.at("upload", "garage", "0.txt")).st_blksize == 256 * 1024
    asked = collections.Counter(re.findall(r"opcode: (\w+) \(\d+\)", m.log_text()[mark:]))
    assert asked["CREATE"] == asked["WRITE"] == asked["FLUSH"] == N
    assert asked["LOOKUP"] <= N + 3  # upload, garage


def rsync(*args):
    return run(["rsync", *args]).stdout


RSYNC = {"plain": [], "inplace": ["--inplace"], "delay-updates": ["--delay-updates"], "xattrs": ["-X"],
         "preallocate": ["--preallocate"], "whole": ["-W", "--fsync"], "partial": ["--partial", "--partial-dir=.part"]}


@pytest.mark.parametrize("how", RSYNC)
def test_rsync(mount, source, how):
    directory, made = source
    if how == "xattrs":
        for name in made:
            os.setxattr(directory / name, "user.comment", b"hello " + name.encode())
    args = ["-a", "--stats", *RSYNC[how], f"{directory}/", mount.at("upload/garage") + "/"]
    assert f"files transferred: {N}" in rsync(*args)
    check_arrived(mount, made, times=directory)
    assert "files transferred: 0" in rsync(*args)
    time.sleep(2.5)
    assert "files transferred: 0" in rsync(*args)
    assert "files transferred: 0" in rsync("--checksum", *args)
    if how == "xattrs":
        for name in made:
            assert os.getxattr(mount.at("upload/garage", name), "user.comment") == b"hello " + name.encode()
    mount.restart()
    assert "files transferred: 0" in rsync(*args)
    assert mount.snapshots() == expected("garage")


def test_rsync_sends_only_what_is_new(mount, source):
    directory, made = source
    args = ["-a", "--stats", f"{directory}/", mount.at("upload/garage") + "/"]
    rsync(*args)
    check_arrived(mount, made)
    made.update(pictures.write_pictures(directory, 2, start=N))
    assert "files transferred: 2" in rsync(*args)
    mount.wait_snapshots(N + 2)


def copy_cp(m, directory, made):
    os.mkdir(m.at("upload/garage"))
    run(["cp", *(directory / n for n in made), m.at("upload/garage")])


def copy_cp_a(m, directory, made):
    run(["cp", "-a", directory, m.at("upload/garage")])


def copy_mv(m, directory, made):
    os.mkdir(m.at("upload/garage"))
    run(["mv", *(directory / n for n in made), m.at("upload/garage")])


def copy_tar(m, directory, made):
    os.mkdir(m.at("upload/garage"))
    tape = str(directory) + ".tar"
    run(["tar", "-C", directory, "-cf", tape, "."])
    run(["tar", "-C", m.at("upload/garage"), "-xf", tape])


def copy_rclone(m, directory, made):
    run(["rclone", "--config", "/dev/null", "copy", directory, m.at("upload/garage")])


def copy_install(m, directory, made):
    run(["install", "-D", "-m", "644", "-t", m.at("upload/garage"), *(directory / n for n in made)])


def copy_dd(m, directory, made):
    os.mkdir(m.at("upload/garage"))
    for n in made:
        run(["dd", f"if={directory / n}", f"of={m.at('upload/garage', n)}", "bs=1000", "conv=fsync", "status=none"])


def copy_shell(m, directory, made):
    os.mkdir(m.at("upload/garage"))
    for n in made:
        run(["sh", "-c", 'head -c 1000 "$1" > "$2" && tail -c +1001 "$1" >> "$2"', "sh", directory / n,
             m.at("upload/garage", n)])


COPIES = {f.__name__[5:]: f for f in (copy_cp, copy_cp_a, copy_mv, copy_tar, copy_rclone, copy_install, copy_dd,
                                      copy_shell)}
KEEP_TIME = ("cp_a", "tar", "rclone")


@pytest.mark.parametrize("how", COPIES)
def test_copies(mount, source, how):
    directory, made = source
    COPIES[how](mount, directory, made)
    check_arrived(mount, made, times=directory if how in KEEP_TIME else None)


def test_rclone_copies_nothing_the_second_time(mount, source):
    directory, made = source
    copy_rclone(mount, directory, made)
    check_arrived(mount, made)
    said = run(["rclone", "--config", "/dev/null", "-v", "copy", directory, mount.at("upload/garage")]).stderr
    assert "Copied" not in said and "There was nothing to transfer" in said


@pytest.fixture
def ftp(mount, tmp_path):
    if not find_program("vsftpd"):
        pytest.skip("vsftpd is not installed")
    server = Ftp(tmp_path / "ftp", mount.at("upload"))
    yield server
    server.stop()


def test_ftp(mount, source, ftp):
    """vsftpd writes into the mount what a camera sends: nested date directories, appends, odd order."""
    directory, made = source
    for name in made:
        ftp.put(directory / name, f"garage/2024-03-05/images/{name}")
    check_arrived(mount, made, where="2024-03-05/images")


def test_ftp_append_resumes(mount, source, ftp, tmp_path):
    directory, made = source
    name, data = next(iter(made.items()))
    (tmp_path / "half").write_bytes(data[:len(data) // 2])
    ftp.put(tmp_path / "half", f"garage/{name}")
    ftp.put(directory / name, f"garage/{name}", "-C", str(len(data) // 2))
    assert mount.wait_snapshots(1) == expected("garage", 1)
    assert mount.read(expected("garage", 1)[0]) == data


@pytest.fixture
def ssh(tmp_path):
    if not find_program("sshd"):
        pytest.skip("sshd is not installed")
    server = Ssh(tmp_path / "ssh")
    yield server
    server.stop()


@pytest.mark.parametrize("options", [[], ["-p"], ["-O", "-p"]])
def test_scp(mount, source, ssh, options):
    directory, made = source
    os.mkdir(mount.at("upload/garage"))
    ssh.scp(*options, *(directory / n for n in made), ssh.url(mount.at("upload/garage") + "/"))
    check_arrived(mount, made, times=directory if options else None)


def test_a_foscam_camera_over_ftp(mount, ftp, tmp_path):
    """Foscam's own names; the picture has no EXIF, so the time is the name's, in the mount's zone."""
    (tmp_path / "a.jpg").write_bytes(pictures.picture(1))
    ftp.put(tmp_path / "a.jpg", "FI9900P_00626E/snap/MDAlarm_20240305-081522.jpg")
    path = mount.wait_snapshots(1)[0]
    assert path == "cameras/FI9900P_00626E/2024-03-05/20240305T08-15-22-000000_FI9900P_00626E.jpg"
    assert mount.sidecar(path)["time_source"] == "name"


# -- time

def test_time_precedence(mount):
    taken = datetime.datetime(2024, 3, 5, 8, 0, 0)
    exif = pictures.picture(1, taken, "+00:00")
    mount.upload("c", "20200101_120000.json", b'{"taken":"2019-05-06T07:08:09+00:00"}')
    mount.upload("c", "20200101_120000.jpg", exif)
    assert [os.path.basename(p)[:19] for p in mount.wait_snapshots(1)] == ["20190506T07-08-09-0"]
    mount.upload("d", "20200101_120000.jpg", exif)
    assert os.path.basename(mount.wait_snapshots(1, "d")[0]).startswith("20240305T08-00-00-0")
    mount.upload("e", "20200101_120000.jpg", pictures.picture(2))
    path = mount.wait_snapshots(1, "e")[0]
    assert os.path.basename(path).startswith("20200101T12-00-00-0")
    assert mount.sidecar(path)["time_source"] == "name"


def test_mtime_counts_only_when_somebody_set_it(mount):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    mount.upload("plain", "a.jpg", pictures.picture(1))
    path = mount.upload("set", "a.jpg", pictures.picture(2))
    os.utime(mount.at(path), (1_500_000_000, 1_500_000_000))
    plain, given = mount.wait_snapshots(1, "plain")[0], mount.wait_snapshots(1, "set")[0]
    assert mount.sidecar(plain)["time_source"] == "arrival"
    assert datetime.datetime.fromisoformat(mount.sidecar(plain)["taken"]) >= before
    s = mount.sidecar(given)
    assert (s["time_source"], s["taken"][:19]) == ("mtime", "2017-07-14T02:40:00")


def test_late_utimens(mount):
    """The final time comes after the last close, as rsync --inplace, scp -p and rclone do it."""
    path = mount.upload("front", "a.jpg", pictures.picture(1))
    time.sleep(0.7)
    os.utime(mount.at(path), (1_500_000_000, 1_500_000_000))
    assert os.stat(mount.at(path)).st_mtime == 1_500_000_000
    snapshot = mount.wait_snapshots(1)[0]
    assert mount.sidecar(snapshot)["taken"].startswith("2017-07-14")
    os.utime(mount.at(path), (1_400_000_000, 1_400_000_000))
    time.sleep(0.5)
    assert os.stat(mount.at(path)).st_mtime == 1_400_000_000
    assert mount.snapshots() == [snapshot], "a name once given never changes"
    mount.restart()
    assert os.stat(mount.at(path)).st_mtime == 1_400_000_000


# -- names

TEMPORARY = [".a.jpg.Ab12Cd", "a.jpg.part", "a.jpg.tmp", "a.jpg~", "~$a.jpg", "a.jpg.partial", "a.jpg.crdownload",
             "._a.jpg", ".DS_Store", "Thumbs.db", ".syncthing.a.jpg.tmp", ".goutputstream-ABC123", ".a.jpg.swp",
             "a.jpg.0a1b2c3d.partial", ".nfs000001.jpg"]


def test_temporary_names_are_kept_and_never_registered(mount):
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    for name in TEMPORARY:
        mount.upload("front", name, data)
    os.mkdir(mount.at("upload/front/.~tmp~"))
    mount.upload("front/.~tmp~", "b.jpg", data)
    time.sleep(4)
    assert mount.snapshots() == []
    for name in TEMPORARY:
        assert mount.read("upload/front", name) == data
    assert mount.errors() == []
    os.rename(mount.at("upload/front/a.jpg.part"), mount.at("upload/front/a.jpg"))
    mount.wait_snapshots(1)


def test_bystanders_of_samba_and_macos(mount):
    """What file managers leave beside pictures raises no error and hides nothing."""
    os.makedirs(mount.at("upload/front/.AppleDouble"))
    for name, data in (("desktop.ini", b"[.ShellClassInfo]"), ("README.txt", b"hello"), ("._a.jpg", b"\0\x05\x16\x07" * 20),
                       (".apdisk", b"x"), ("notes.txt", b"0 0.5 0.5 0.1 0.1")):
        mount.upload("front", name, data)
    path = mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    os.setxattr(mount.at(path), "user.DOSATTRIB", b"\0\1")
    os.setxattr(mount.at("upload/front"), "user.DOSATTRIB", b"\0\2")
    mount.wait_snapshots(1)
    assert os.getxattr(mount.at(path), "user.DOSATTRIB") == b"\0\1"
    assert os.getxattr(mount.at("upload/front"), "user.DOSATTRIB") == b"\0\2"
    time.sleep(2.5)
    assert mount.errors() == []
    os.removexattr(mount.at(path), "user.DOSATTRIB")
    assert "user.DOSATTRIB" not in os.listxattr(mount.at(path))


def test_samba_sets_the_size_before_the_data(mount):
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    os.mkdir(mount.at("upload/front"))
    fd = os.open(mount.at("upload/front/a.jpg"), os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, len(data))
    half = len(data) // 2
    os.pwrite(fd, data[half:], half)
    os.pwrite(fd, data[:half], 0)
    os.close(fd)
    assert mount.read(mount.wait_snapshots(1)[0]) == data


def test_mkdir_registers_a_camera(mount):
    os.mkdir(mount.at("upload/new cam: ü"))
    wait_until(lambda: len(os.listdir(mount.at("cameras"))) == 1, 5)
    name, = os.listdir(mount.at("cameras"))
    assert name == "new-cam---", "one - for each character"
    mount.upload("new cam: ü", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    assert mount.wait_snapshots(1)[0].startswith(f"cameras/{name}/")
    os.mkdir(mount.at("upload/" + "n" * 100))
    wait_until(lambda: "n" * 64 in os.listdir(mount.at("cameras")), 5)
    mount.upload(name, "b.jpg", pictures.picture(2, pictures.moment(2), "+00:00"))
    mount.wait_snapshots(2)
    mount.restart()
    assert sorted(os.listdir(mount.at("cameras"))) == sorted([name, "n" * 64])
    assert {c["name"]: c["title"] for c in mount.status()["cameras"]} == {name: "new cam: ü", "n" * 64: "n" * 100}


def test_an_upload_leaves_the_title_of_the_config(make_mount):
    m = make_mount(cameras='[camera "front"]\nurl = http://127.0.0.1:9/\ntitle = Front door\n')
    m.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    m.wait_snapshots(1)
    assert [c["title"] for c in m.status()["cameras"]] == ["Front door"]
    assert m.cli("search", "door").stdout == m.snapshots()[0] + "\n"


def test_nested_directories(mount, source):
    directory, made = source
    deep = mount.at("upload/garage/2024/03/05/a b/č")
    os.makedirs(deep)
    run(["cp", "-a", *(directory / n for n in made), deep])
    check_arrived(mount, made, where="2024/03/05/a b/č", times=directory)
    assert os.listdir(mount.at("cameras")) == ["garage"]


def test_same_name_in_two_directories(mount):
    for n, where in enumerate(("front/a", "front/b")):
        os.makedirs(mount.at("upload", where))
        mount.upload(where, "29M00S60.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    mount.wait_snapshots(2)


# -- sidecars

SIDECAR = b'{"labels":[{"kind":"object","value":"person","score":0.9}]}'


@pytest.mark.parametrize("name", ["a.json", "a.jpg.json"])
@pytest.mark.parametrize("order", ["before", "after", "long after"])
def test_sidecar_before_or_after_its_picture(mount, name, order):
    if order == "before":
        mount.upload("front", name, SIDECAR)
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    if order == "long after":
        mount.wait_snapshots(1)
        time.sleep(2.5)
        mount.sync()
    if order != "before":
        mount.upload("front", name, SIDECAR)
    path = mount.wait_snapshots(1)[0]
    wait_until(lambda: os.path.isdir(mount.at("labels/object/person")), 10)
    assert mount.sidecar(path)["labels"][0]["score"] == 0.9
    assert mount.read("upload/front", name) == SIDECAR
    mount.sync()
    stored = [os.path.join(w, n) for w, _, names in os.walk(mount.archive) for n in names if n.endswith(".json")]
    assert len(stored) == 1
    with open(stored[0]) as f:
        assert '"person"' in f.read()
    assert mount.errors() == []


def test_vim_edits_a_sidecar_in_place(mount):
    if not find_program("vim.tiny"):
        pytest.skip("vim is not installed")
    mount.upload("front", "a.json", SIDECAR)
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    wait_until(lambda: os.path.isdir(mount.at("labels/object/person")), 10)
    run(["vim.tiny", "-u", "NONE", "-es", "-c", "%s/person/horse/", "-c", "wq", mount.at("upload/front/a.json")],
        env=dict(os.environ, TERM="dumb"), cwd=mount.base)
    assert b"horse" in mount.read("upload/front/a.json")
    wait_until(lambda: os.listdir(mount.at("labels/object")) == ["horse"], 10)
    assert sorted(os.listdir(mount.at("upload/front"))) == ["a.jpg", "a.json"]


# -- the same again

def test_the_same_bytes_twice_are_one_snapshot_with_two_names(mount):
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    for name in ("a.jpg", "b.jpg"):
        mount.upload("front", name, data)
    mount.upload("back", "a.jpg", data)
    mount.wait_snapshots(1, "front")
    mount.wait_snapshots(1, "back")
    assert sorted(os.listdir(mount.at("upload/front"))) == ["a.jpg", "b.jpg"]
    for name in ("a.jpg", "b.jpg"):
        assert mount.read("upload/front", name) == data


def test_an_entry_keeps_inode_size_and_time(mount):
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    path = mount.at(mount.upload("front", "a.jpg", data))
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    os.chmod(path, 0o640)
    os.chown(path, os.getuid(), os.getgid())
    first = os.stat(path)
    assert first.st_mtime_ns == 1_600_000_000_123_456_789 and first.st_mode & 0o777 == 0o640
    mount.wait_snapshots(1)
    mount.sync()
    time.sleep(2.5)
    later = os.stat(path)
    assert (later.st_ino, later.st_size, later.st_mtime_ns) == (first.st_ino, first.st_size, first.st_mtime_ns)
    assert later.st_blocks == 0, "the bytes are the snapshot's"


def test_rewriting_an_entry_gives_the_new_bytes(mount):
    old, new = (pictures.picture(n, pictures.moment(n), "+00:00") for n in (1, 2))
    path = mount.upload("front", "a.jpg", old)
    mount.wait_snapshots(1)
    mount.upload("front", "a.jpg", new)
    assert mount.read(path) == new
    wait_until(lambda: new in [mount.read(p) for p in mount.snapshots()], 15)
    assert old in [mount.read(p) for p in mount.snapshots()], "what was accepted is not lost"
    with open(mount.at(path), "r+b") as f:   # without O_TRUNC: the bytes are had first
        f.seek(0, os.SEEK_END)
        f.write(b"")
        f.seek(0)
        assert f.read() == new


def test_removing_and_renaming_entries_leaves_the_snapshots(mount):
    for n in range(3):
        mount.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    before = mount.wait_snapshots(3)
    os.unlink(mount.at("upload/front/0.jpg"))
    os.rename(mount.at("upload/front/1.jpg"), mount.at("upload/front/one.jpg"))
    os.mkdir(mount.at("upload/front/sub"))
    os.rename(mount.at("upload/front/2.jpg"), mount.at("upload/front/sub/2.jpg"))
    time.sleep(2.5)
    assert mount.snapshots() == before
    assert sorted(os.listdir(mount.at("upload/front"))) == ["one.jpg", "sub"]
    with pytest.raises(OSError) as e:
        os.rmdir(mount.at("upload/front/sub"))
    assert e.value.errno == errno.ENOTEMPTY
    shutil.rmtree(mount.at("upload/front"))
    assert os.listdir(mount.at("upload")) == []
    assert mount.snapshots() == before
    mount.sync()
    assert [mount.read(p) for p in before] == [pictures.picture(n, pictures.moment(n), "+00:00") for n in range(3)]


# -- the calls themselves

def test_posix_calls(mount):
    """Each as on a plain directory; the name is a temporary one, so nothing is taken in."""
    os.mkdir(mount.at("upload/x"))
    path = mount.at("upload/x/a.tmp")
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with pytest.raises(FileExistsError):
        os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    assert os.write(fd, b"0123456789") == 10
    assert os.pwrite(fd, b"ab", 20) == 2
    os.ftruncate(fd, 21)
    assert os.pread(fd, 100, 0) == b"0123456789" + b"\0" * 10 + b"a"
    os.fsync(fd)
    assert os.fstat(fd).st_size == 21
    more = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(more, b"end")
    os.close(more)
    assert os.fstat(fd).st_size == 24
    os.rename(path, path + "2.tmp")
    os.unlink(path + "2.tmp")
    assert os.pread(fd, 3, 21) == b"end", "an open file outlives its name"
    os.write(fd, b"x")
    os.close(fd)
    assert os.listdir(mount.at("upload/x")) == []
    for n in ("a.tmp", "b.tmp"):
        mount.upload("x", n, n.encode())
    os.rename(mount.at("upload/x/a.tmp"), mount.at("upload/x/b.tmp"))
    assert mount.read("upload/x/b.tmp") == b"a.tmp"
    mount.upload("x", "a.tmp", b"1")
    assert run(["mv", "-n", mount.at("upload/x/a.tmp"), mount.at("upload/x/b.tmp")], check=False).returncode in (0, 1)
    assert mount.read("upload/x/b.tmp") == b"a.tmp" and mount.read("upload/x/a.tmp") == b"1"
    with pytest.raises(OSError) as e:
        os.link(mount.at("upload/x/a.tmp"), mount.at("upload/x/c.tmp"))
    assert e.value.errno in (errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS)
    os.truncate(mount.at("upload/x/b.tmp"), 2)
    assert mount.read("upload/x/b.tmp") == b"a."
    with pytest.raises(OSError):
        os.rename(mount.at("upload/x"), mount.at("upload/x/y"))
    d = os.open(mount.at("upload/x"), os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(d)
    os.close(d)
    for bad in ("n" * 256, "upload/" + "m" * 300):
        with pytest.raises(OSError) as e:
            open(mount.at("upload/x", bad), "wb")
        assert e.value.errno in (errno.ENAMETOOLONG, errno.ENOENT)


def test_many_writers_at_once(mount, tmp_path):
    made = pictures.write_pictures(tmp_path / "src", 60)
    os.mkdir(mount.at("upload/garage"))
    jobs = [subprocess.Popen(["cp", str(tmp_path / "src" / n), mount.at("upload/garage")]) for n in made]
    assert [j.wait(60) for j in jobs] == [0] * len(jobs)
    check_arrived(mount, made)


def test_upload_off(make_mount):
    m = make_mount(more="upload = off")
    assert os.listdir(m.mnt) == ["cameras", "datasets", "dates", "labels", "queries", "starred"]
    with pytest.raises(OSError):
        os.mkdir(m.at("upload"))


def test_what_was_closed_is_there_at_once(mount):
    """Whoever closes need not wait, whoever looks does: each one is looked for while it is, or just was, taken in."""
    os.mkdir(mount.at("upload/front"))
    for n in range(400):
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00")
        with open(mount.at("upload/front", f"{n}.jpg"), "wb") as f:
            f.write(data)
        assert mount.read(f"cameras/front/{pictures.day(taken)}/{pictures.stem(taken, 'front')}.jpg") == data, n
