"""The verbs, with and without a running mount, their exit status, and what they say."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

import pictures
import swift as swifts
from mount import PROGRAM, mount_entry
from processes import clean_env, run, wait_until

VERBS = ("mount", "umount", "check", "status", "sync", "scan", "prefetch", "fsck", "trash", "rebuild")


@pytest.fixture
def stopped(make_mount):
    """A configuration whose mount is not running."""
    return make_mount(start=False)


def put(m, count, camera="front"):
    for n in range(count):
        m.upload(camera, f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    return m.wait_snapshots(count)


@pytest.mark.parametrize("verb", VERBS)
def test_help(stopped, verb):
    done = run([PROGRAM, verb, "--help"], env=stopped.env)
    assert verb in done.stdout and done.stderr == ""


def test_help_and_version(stopped):
    text = run([PROGRAM, "--help"], env=stopped.env).stdout
    for verb in VERBS:
        assert verb in text
    assert re.search(r"\d+\.\d+", run([PROGRAM, "--version"], env=stopped.env).stdout)


@pytest.mark.parametrize("args", [[], ["frobnicate"], ["scan"], ["umount"], ["mount"], ["prefetch"], ["status", "--bogus"],
                                  ["check", "-c"], ["mount", "a", "b", "c"]])
def test_wrong_usage_is_2(stopped, args):
    done = run([PROGRAM, *args], check=False, env=stopped.env)
    assert done.returncode == 2 and done.stderr.strip() and done.stdout == ""
    if args and args[0] in VERBS:
        assert f"usage: shutterfs {args[0]} " in done.stderr


def test_an_answer_that_cannot_be_written_is_a_failure(mount):
    def into_nothing(verb):
        with open("/dev/full", "w") as full:
            return subprocess.run(mount.command(verb), stdout=full, stderr=subprocess.PIPE, text=True, env=mount.env)

    for running in (True, False):
        for verb in ("status", "check", "fsck"):
            done = into_nothing(verb)
            assert done.returncode == 1, (verb, running)
            assert done.stderr == "shutterfs: cannot write to standard output: No space left on device\n"
        if running:
            mount.stop()


def config_says(m, text):
    with open(m.conf, "w") as f:
        f.write(text)
    done = m.cli("check", check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("text,line,word", [
    ("[shutterfs]\nstat = x\n", 2, "stat"),
    ("[shutterfs]\nstate = x\n\n[camara \"front\"]\nurl = http://127.0.0.1/\n", 4, "camara"),
    ("[camera \"front\"]\ndriver = http\nurl = http://127.0.0.1/\ninterval = soon\n", 4, "soon"),
    ("[camera \"front\"]\ndriver = telepathy\nurl = http://127.0.0.1/\n", None, "telepathy"),
    ("[camera \"front\"]\ndriver = http\n", None, "url"),
    ("[store \"a\"]\ndriver = s3\n", None, "bucket"),
    ("[store \"a\"]\ndriver = dir\npath = x\nlayout = {nothing}.jpg\n", None, "layout"),
    ("[shutterfs]\ntimezone = Mars/Olympus\n", 2, "Mars"),
    ("[shutterfs]\ncache_size = many\n", 2, "many"),
    ("[shutterfs]\nstate = a\nstate = b\n", 3, "state"),
    ("[camera \"front\"]\ndriver = http\nurl = file:///etc/passwd\n", None, "url"),
    ("no section\n", 1, ""),
])
def test_wrong_config_is_2_and_says_where(stopped, text, line, word):
    code, said = config_says(stopped, text)
    assert code == 2, said
    assert word in said
    assert f"{stopped.conf}:{line}" in said or line is None and stopped.conf in said, said
    done = run([PROGRAM, "mount", "-c", stopped.conf, stopped.mnt], check=False, env=stopped.env)
    assert done.returncode == 2 and not mount_entry(stopped.mnt)


def test_check_of_a_right_config(stopped):
    done = stopped.cli("check")
    assert done.stderr == ""
    assert run([PROGRAM, "check", "-c", stopped.path("nothing.conf")], check=False, env=stopped.env).returncode == 2


def test_embedded_defaults(make_mount):
    """Without any config: uploading and browsing work at once, below XDG's directories."""
    m = make_mount(start=False)
    os.unlink(m.conf)
    env = dict(m.env, TZ="UTC")
    run([PROGRAM, "mount", m.mnt], env=env, cwd=m.base)
    try:
        assert os.listdir(m.at("cameras")) == []
        m.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
        m.wait_snapshots(1)
        run([PROGRAM, "sync", "--wait"], env=env, cwd=m.base)
        archive = m.path(".local/share/shutterfs/archive")
        assert [n for _, _, names in os.walk(archive) for n in names if n.endswith(".jpg")]
        assert os.path.isdir(m.path(".local/state/shutterfs"))
    finally:
        run([PROGRAM, "umount", m.mnt], env=env, cwd=m.base)
    assert not mount_entry(m.mnt)


def daemons(m):
    """Processes of this test's program that name its mountpoint or config."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"shutterfs") and (m.mnt.encode() in words or m.conf.encode() in words):
            found.append(int(pid))
    return found


def test_mount_returns_once_mounted_and_umount_ends_it(stopped):
    done = stopped.cli("mount", stopped.mnt)
    assert stopped.is_mounted() and os.listdir(stopped.at("cameras")) == []
    assert len(daemons(stopped)) >= 1
    assert "error" not in done.stderr.lower()
    put(stopped, 1)
    stopped.cli("umount", stopped.mnt, config=False)
    assert not mount_entry(stopped.mnt)
    wait_until(lambda: not daemons(stopped), 20, what=lambda: f"the daemon to end {daemons(stopped)}")
    assert stopped.report_text() == ""
    done = stopped.cli("umount", stopped.mnt, config=False, check=False)
    assert done.returncode == 1 and done.stderr.strip()


def test_mount_with_nothing_open(stopped):
    """As some launchers start programs: no file that the mount opens is taken for a terminal."""
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *stopped.command("mount", stopped.mnt)]
    done = subprocess.run(closed, env=stopped.env, timeout=30)
    assert done.returncode == 0 and stopped.is_mounted()
    put(stopped, 1)
    stopped.cli("umount", stopped.mnt, config=False)


def test_the_last_mount_option_counts(stopped):
    for options, word in ((["-o", "ro", "-o", "rw"], "rw"), (["-o", "rw,ro"], "ro")):
        stopped.cli("mount", *options, stopped.mnt)
        try:
            assert word in mount_entry(stopped.mnt)[5].split(",")
        finally:
            stopped.cli("umount", stopped.mnt, config=False)
    # a mount under another type would be none of ours
    assert stopped.cli("mount", "-o", "subtype=other", stopped.mnt, check=False).returncode == 2


def test_mount_refuses_what_cannot_be(stopped, make_mount):
    done = stopped.cli("mount", stopped.path("nowhere"), check=False)
    assert done.returncode in (1, 2) and "nowhere" in done.stderr
    with open(stopped.path("file"), "w"):
        pass
    assert stopped.cli("mount", stopped.path("file"), check=False).returncode in (1, 2)
    stopped.start()
    other = stopped.path("other")
    os.mkdir(other)
    done = stopped.cli("mount", other, check=False)
    assert done.returncode == 1 and done.stderr.strip(), "two mounts of one state directory"
    assert not mount_entry(other)
    done = stopped.cli("mount", "-o", "frobnicate", other, check=False)
    assert done.returncode in (1, 2)


def test_busy_umount_is_refused_cleanly(mount):
    fd = os.open(mount.at("upload"), os.O_RDONLY)
    try:
        done = mount.cli("umount", mount.mnt, config=False, check=False)
        assert done.returncode == 1 and "busy" in done.stderr.lower()
        assert mount.is_mounted() and os.listdir(mount.at("cameras")) == []
    finally:
        os.close(fd)
    mount.cli("umount", mount.mnt, config=False)


@pytest.mark.parametrize("helper", ["mount.fuse3", "mount.shutterfs"])
def test_mount_helpers(stopped, helper):
    """What mount(8) runs for -t fuse.shutterfs and -t shutterfs, as it runs it.  (mount itself would find installed programs
    only: it takes PATH out of the environment.)"""
    if os.geteuid() != 0:
        pytest.skip("mounting for all users needs root")
    os.mkdir(stopped.path("bin"))
    for name in ("shutterfs", "mount.shutterfs"):
        os.symlink(PROGRAM, stopped.path("bin/" + name))
    env = dict(stopped.env, PATH=f"{stopped.path('bin')}:{clean_env()['PATH']}:/usr/sbin:/sbin")
    run([helper, stopped.conf, stopped.mnt, "-o", "rw,allow_other,default_permissions,nosuid,nodev,noexec,noatime,_netdev,nofail",
         *(["-t", "fuse.shutterfs"] if helper == "mount.fuse3" else ["-sn", "-t", "shutterfs"])], env=env)
    try:
        entry = mount_entry(stopped.mnt)
        assert "fuse.shutterfs" in entry
        for option in ("nosuid", "nodev", "noexec"):
            assert option in entry[5].split(",")
        put(stopped, 1)
    finally:
        run(["umount", stopped.mnt])
    wait_until(lambda: not daemons(stopped), 20)


def test_mount_t_fuse(stopped):
    """mount(8) itself, in a namespace of its own where /usr/local/sbin shows the program."""
    if os.geteuid() != 0:
        pytest.skip("mount -t needs root")
    script = """set -e
        mount --bind "$1" /usr/local/sbin
        mount -t fuse.shutterfs "$2" "$3" -o allow_other,default_permissions,_netdev,nofail
        grep -c " $3 .* fuse.shutterfs " /proc/self/mountinfo
        ls "$3"
        umount "$3"
        """
    os.makedirs("/usr/local/sbin", exist_ok=True)
    private = ["unshare", "-m", "--propagation", "private"]
    if run([*private, "true"], check=False).returncode != 0:
        pytest.skip("no mount namespace of our own here: is / not a mount?")
    said = run([*private, "sh", "-c", script, "sh", os.path.dirname(PROGRAM), stopped.conf, stopped.mnt],
               env=stopped.env).stdout
    assert said.split() == ["1", "cameras", "datasets", "dates", "labels", "queries", "starred", "upload"]
    wait_until(lambda: not daemons(stopped), 20)


def test_status_with_and_without_a_mount(mount):
    put(mount, 3)
    mount.sync()
    with_mount = json.loads(mount.cli("status", "--json").stdout)
    text = mount.cli("status").stdout
    assert "front" in text and "archive" in text and mount.mnt in text
    keys = {"version", "mountpoint", "read_path", "worker", "decoder", "snapshots", "cameras", "stores", "disks", "queue", "cache", "spool",
            "fetch", "upload"}
    assert set(with_mount) == keys == set(mount.status())
    assert set(with_mount["stores"][0]) == {"name", "driver", "objects", "queued", "failed", "last_scan", "error"}
    assert set(with_mount["cameras"][0]) == {"name", "title", "snapshots", "last_capture", "error"}
    assert set(with_mount["queue"]) == {"waiting", "failed", "oldest_s"}
    assert set(with_mount["cache"]) == {"bytes", "limit", "files"} and set(with_mount["spool"]) == {"bytes", "files"}
    assert set(with_mount["fetch"]) >= {"requests", "bytes", "hits", "errors", "in_flight"}
    assert set(with_mount["upload"]) == {"waiting", "rejected"}
    assert set(with_mount["worker"]) == {"confined", "confined_by", "not_confined_because", "restarts"}
    assert "confined" in text
    assert with_mount["snapshots"] == 3 and with_mount["stores"][0]["queued"] == 0
    mount.stop()
    without = json.loads(mount.cli("status", "--json").stdout)
    assert without["snapshots"] == 3 and not without["mountpoint"] and not without["worker"]
    assert mount.cli("status").returncode == 0


def test_status_without_a_mount_counts_what_waits(make_mount, bucket):
    bucket.proxy.add("close", method="PUT")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    put(m, 3)
    spool = m.status()["spool"]
    m.stop()
    assert spool["files"] == 3 and json.loads(m.cli("status", "--json").stdout)["spool"] == spool


def test_verbs_ask_a_mount_without_its_secrets(make_mount, bucket):
    """Who asks may lack what systemd gave the mount: variables, credentials."""
    m = make_mount(stores=bucket.config(), env=bucket.env())
    put(m, 2)
    given, m.env = m.env, {k: v for k, v in m.env.items() if not k.startswith("AWS_")}
    m.sync()
    assert json.loads(m.cli("status", "--json").stdout)["mountpoint"] == m.mnt
    assert len(bucket.pictures()) == 2
    m.stop()
    done = m.cli("status", check=False)
    assert done.returncode == 2 and "has no keys" in done.stderr
    m.env = given


def test_sync_and_scan_without_a_mount(make_mount, bucket):
    bucket.proxy.add("close", method="PUT")
    m = make_mount(stores=bucket.config(), env=bucket.env())
    put(m, 3)
    m.stop()
    bucket.proxy.clear_rules()
    m.cli("sync", "--wait")
    assert len(bucket.pictures()) == 3
    swifts.fill(bucket, 2, start=50)
    done = m.cli("scan", "cloud")
    assert re.search(r"\b2\b", done.stdout + done.stderr), "it says what it found"
    m.start()
    assert len(m.snapshots()) == 5
    done = m.cli("scan", "nosuch", check=False)
    assert done.returncode in (1, 2) and "nosuch" in done.stderr


def test_verbs_fail_with_1_when_the_store_is_away(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env(), start=False)
    bucket.proxy.add(403)
    done = m.cli("scan", "cloud", check=False)
    assert done.returncode == 1 and "cloud" in done.stderr and swifts.SECRET not in done.stderr


def test_prefetch(make_mount, bucket):
    made = swifts.fill(bucket, 6)
    m = make_mount(stores=bucket.config(), env=bucket.env(), more="fetch_deadline = 15s\n")
    m.cli("scan", "cloud")
    bucket.proxy.forget()
    paths = sorted(made)
    m.cli("prefetch", m.at(paths[0]), m.at(paths[1]))
    assert len(bucket.proxy.gets()) == 2
    m.cli("prefetch", m.at("dates"))
    assert len(bucket.proxy.gets()) == 6
    assert m.cli("prefetch", m.at("cameras/nobody"), check=False).returncode == 1
    bucket.proxy.add(500, method="GET")
    subprocess.run(["rm", "-rf", m.cache], check=True)
    m.restart()
    assert m.cli("prefetch", m.at("cameras"), check=False, timeout=100).returncode == 1


def test_prefetch_has_a_bar_and_can_be_interrupted(make_mount, bucket):
    made = swifts.fill(bucket, 40)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    bucket.proxy.add("slow", method="GET", key=".jpg", seconds=1)
    ours, theirs = os.openpty()
    verb = subprocess.Popen(m.command("prefetch", m.at("cameras")), env=m.env, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    try:
        seen = b""
        while not re.search(rb"\d+/40, .*B, \d+/s, \d+ s left", seen):
            seen += os.read(ours, 4096)
        verb.send_signal(signal.SIGINT)
        assert verb.wait(20) != 0
    finally:
        verb.kill()
        verb.wait()
        os.close(ours)
    bucket.proxy.clear_rules()
    m.cli("prefetch", m.at("cameras"))
    for path, data in made.items():
        assert m.read(path) == data


def test_fsck_finds_and_repairs(make_mount, bucket):
    made = swifts.fill(bucket, 4)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    for path in made:
        m.read(path)
    assert m.cli("fsck").returncode == 0
    sha = pictures.sha256(made[sorted(made)[0]])
    blob = next(os.path.join(w, n) for w, _, names in os.walk(m.cache) for n in names if n == sha)
    m.stop()
    os.chmod(blob, 0o600)
    with open(blob, "r+b") as f:
        f.seek(1000)
        f.write(b"damage")
    gone = sorted(made)[1]
    bucket.delete(swifts.key_of(gone))
    done = m.cli("fsck", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and sha[:8] in said and os.path.basename(gone)[:-4] in said, said
    m.cli("fsck", "--repair", check=False)
    assert m.cli("fsck", check=False).returncode == 0
    m.start()
    for path, data in made.items():
        if path != gone:
            assert m.read(path) == data


def test_fsck_of_a_running_mount(mount):
    put(mount, 3)
    mount.sync()
    assert mount.cli("fsck").returncode == 0
    victim = next(os.path.join(w, n) for w, _, names in os.walk(mount.archive) for n in names if n.endswith(".jpg"))
    os.unlink(victim)
    done = mount.cli("fsck", check=False)
    assert done.returncode == 1 and os.path.basename(victim)[:-4] in done.stdout + done.stderr


def test_rebuild_with_a_running_mount(mount):
    before = put(mount, 3)
    mount.sync()
    inodes = [os.stat(mount.at(p)).st_ino for p in before]
    mount.cli("rebuild")
    assert mount.snapshots() == before
    assert [os.stat(mount.at(p)).st_ino for p in before] == inodes


def test_log_is_for_people(make_mount, bucket):
    """Quiet when all is well; -v tells more; journald priorities when stderr is the journal."""
    m = make_mount(stores=bucket.config(), env=bucket.env())
    put(m, 2)
    m.sync()
    quiet = [line for line in m.log_text().splitlines() if "max threads" not in line]
    assert len(quiet) <= 5, quiet
    m.stop()
    m.options = ["-v"]
    m.start()
    put(m, 4)
    m.sync()
    m.stop()
    assert len(m.log_text().splitlines()) > 2 * len(quiet), m.log_text()


def test_umount_and_rounds_leave_nothing(stopped):
    for _ in range(5):
        stopped.cli("mount", stopped.mnt)
        assert os.listdir(stopped.at("upload")) == []
        stopped.cli("umount", stopped.mnt, config=False)
        wait_until(lambda: not daemons(stopped), 20)
    with open("/proc/self/mountinfo") as f:
        assert stopped.mnt not in f.read()


def test_sigterm_while_busy_keeps_what_was_accepted(make_mount, bucket):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    for n in range(20):
        m.upload("front", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    start = time.monotonic()
    m.stop()
    assert time.monotonic() - start < 8
    m.start()
    m.wait_snapshots(20)
    m.sync()
    assert len(bucket.pictures()) == 20
