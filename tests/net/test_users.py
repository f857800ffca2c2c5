"""Three users before one mount: who sees it, who reads, who writes, who removes; and what lies beside it is the owner's alone.

Users mount with a copy of /dev/fuse that they may open, in a mount namespace of this test's own."""
import json
import os
import shutil
import subprocess
import tempfile

import pytest

import pictures
from mount import PROGRAM, Mount
from processes import Process, clean_env, family, find_program, run, wait_until

OWNER, OTHER, ROOT = 61001, 61002, 0
STEPS = r"""
import errno, json, os, socket, sys
def step(do, path, value=None):
    if do == "list": return len(os.listdir(path))
    if do == "read": return len(open(path, "rb").read())
    if do == "write": return open(path, "wb").write(value.encode())
    if do == "append": return os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    if do == "chmod": return os.chmod(path, value)
    if do == "chown": return os.chown(path, value, value)
    if do == "rename": return os.rename(path, value)
    if do == "truncate": return os.truncate(path, 0)
    if do == "utime": return os.utime(path)
    if do == "setxattr": return os.setxattr(path, value, b"1")
    if do == "connect": return socket.socket(socket.AF_UNIX).connect(path)
    return getattr(os, do)(path)
said = []
for one in json.load(sys.stdin):
    try:
        step(*one)
        said.append("ok")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(json.dumps(said))
"""


class Users:
    """A mount namespace in which everybody may open /dev/fuse, and a folder that everybody reaches."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="users-")
        os.chmod(self.dir, 0o755)
        with open("/etc/passwd") as f:
            passwd = f.read() + f"owner:x:{OWNER}:{OWNER}::/:/bin/sh\n"
        for name, text in (("fuse.conf", "user_allow_other\n"), ("passwd", passwd), ("ready", "")):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text)
        script = ("set -e; mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse; "
                  "mount --bind fuse.conf /etc/fuse.conf; mount --bind passwd /etc/passwd; echo yes >ready; exec sleep 1000")
        self.holder = Process([find_program("unshare"), "-m", "--propagation", "private", "sh", "-c", script],
                              os.path.join(self.dir, "log"), cwd=self.dir)
        wait_until(lambda: open(os.path.join(self.dir, "ready")).read() or not self.holder.alive(), 20)

    def inside(self, uid, *argv):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "setpriv", f"--reuid={uid}", f"--regid={uid}",
                "--clear-groups", *argv]

    def may(self, uid, *steps):
        """What becomes of each step: "ok" or the name of its error."""
        done = run(self.inside(uid, "/usr/bin/python3", "-c", STEPS), input=json.dumps(steps), timeout=60)
        return json.loads(done.stdout)

    def stop(self):
        self.holder.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class UsersMount(Mount):
    """The owner's mount, inside the namespace."""

    def __init__(self, users, name, **kw):
        self.users = users
        super().__init__(os.path.join(users.dir, name), start=False, **kw)
        self.env["ASAN_OPTIONS"] = self.env["ASAN_OPTIONS"].replace(":detect_leaks=1", ":detect_leaks=0")
        self.opened = [self.base, self.mnt, self.reports, self.archive, self.conf]
        for path in self.opened:
            os.chown(path, OWNER, OWNER)

    def start(self, timeout=60):
        argv = self.users.inside(OWNER, PROGRAM, "mount", "-c", self.conf, "-f", *self.options, self.mnt)
        self.process = Process(argv, self.log, self.env, cwd=self.base)
        wait_until(lambda: self.users.may(OWNER, ("list", self.at("cameras"))) == ["ok"] or not self.process.alive(),
                   timeout, 0.2, what=self.log_text)
        assert self.process.alive(), self.log_text()
        return self

    def stop(self, check=True):
        if self.process and self.process.alive():
            assert self.process.stop(timeout=30) == 0, self.log_text()[-3000:]
        self.process = None
        assert not self.report_text()


@pytest.fixture
def users():
    if os.geteuid() != 0:
        pytest.skip("only root can be three users")
    made = Users()
    if not made.holder.alive():
        made.stop()
        pytest.skip("no mount namespace with a /dev/fuse of its own can be had here")
    if subprocess.run(made.inside(OWNER, PROGRAM, "--version"), stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL, env=clean_env()).returncode:
        made.stop()
        pytest.skip("other users may not run the program where it was built")
    yield made
    made.stop()


@pytest.fixture
def owned(users):
    """A function that mounts as the owner."""
    made = []

    def make(*options):
        made.append(UsersMount(users, f"m{len(made)}", options=options))
        return made[-1].start()

    yield make
    for m in made:
        m.stop()


def upload(users, m, uid, *where):
    """A picture by that user; its path under upload/."""
    path = m.at("upload", *where)
    data = pictures.picture(1, pictures.moment(1), "+00:00")
    subprocess.run(users.inside(uid, "sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "-", path), input=data, check=True,
                   timeout=60, env=clean_env())
    return path


def snapshot(users, m):
    def look():
        done = run(users.inside(OWNER, "find", m.at("cameras"), "-name", "*_front.jpg"), check=False)
        return done.stdout.split()
    return wait_until(look, 30)[0]


def test_by_default_nobody_else_sees_it_not_even_root(users, owned):
    m = owned()
    picture = upload(users, m, OWNER, "front", "a.jpg")
    for uid in (OTHER, ROOT):
        said = users.may(uid, ("list", m.mnt), ("read", picture), ("write", m.at("upload/x.jpg"), "x"),
                         ("unlink", picture), ("stat", m.at("cameras")))
        assert said == ["EACCES"] * 5, (uid, said)
    assert users.may(OWNER, ("read", picture), ("list", m.mnt)) == ["ok", "ok"]


def test_with_allow_other_owners_and_modes_decide(users, owned):
    m = owned("-o", "allow_other")
    picture = upload(users, m, OWNER, "front", "a.jpg")
    shot = snapshot(users, m)
    for uid in (OWNER, OTHER, ROOT):
        said = users.may(uid, ("list", m.mnt), ("list", m.at("cameras/front")), ("read", shot), ("read", picture),
                         ("read", shot[:-4] + ".json"), ("read", m.at(".shutterfs/status.json")))
        assert said == ["ok"] * 6, (uid, said)
    refused = users.may(OTHER, ("write", m.at("upload/front/b.jpg"), "x"), ("append", picture), ("truncate", picture),
                        ("unlink", picture), ("mkdir", m.at("upload/mine")), ("rmdir", m.at("upload/front")),
                        ("rename", picture, m.at("upload/front/c.jpg")), ("chmod", picture, 0o666),
                        ("chown", picture, OTHER), ("utime", picture), ("setxattr", picture, "user.x"),
                        ("setxattr", shot, "user.shutterfs.starred"))
    assert set(refused) <= {"EACCES", "EPERM"}, refused
    # a folder of their own is theirs, and nobody else's but root's
    assert users.may(OWNER, ("mkdir", m.at("upload/other"))) == ["ok"]
    assert users.may(ROOT, ("chown", m.at("upload/other"), OTHER)) == ["ok"]
    theirs = upload(users, m, OTHER, "other", "b.jpg")
    assert users.may(OTHER, ("read", theirs), ("append", theirs)) == ["ok", "ok"]
    assert users.may(OWNER, ("unlink", theirs), ("write", m.at("upload/other/x.jpg"), "x")) == ["EACCES", "EACCES"]
    assert users.may(OTHER, ("unlink", theirs)) == ["ok"]
    for uid in (OWNER, OTHER, ROOT):
        said = users.may(uid, ("unlink", shot), ("append", shot), ("rmdir", m.at("cameras/front")),
                         ("write", m.at("cameras/front/x.jpg"), "x"), ("mkdir", m.at("dates/2099")))
        assert set(said) <= {"EACCES", "EPERM", "EROFS"}, (uid, said)
    assert users.may(OWNER, ("read", picture), ("unlink", picture)) == ["ok", "ok"]


def test_what_lies_beside_the_mount_is_the_owners_alone(users, owned):
    m = owned("-o", "allow_other")
    upload(users, m, OWNER, "front", "a.jpg")
    snapshot(users, m)
    said = users.may(OTHER, ("list", m.state), ("list", m.cache), ("read", os.path.join(m.state, "catalog.db")),
                     ("connect", os.path.join(m.state, "control.sock")), ("write", os.path.join(m.state, "x"), "x"),
                     ("write", os.path.join(m.cache, "x"), "x"))
    assert said == ["EACCES"] * 6, said
    assert users.may(OWNER, ("connect", os.path.join(m.state, "control.sock"))) == ["ok"]
    # what the kernel shows of the processes is root's, once their memory is hidden
    for pid in family(m.process.pid):
        with open(f"/proc/{pid}/status") as f:
            assert f"Uid:\t{OWNER}" in f.read()
        assert users.may(OTHER, ("read", f"/proc/{pid}/environ")) == ["EACCES"]
    with open(PROGRAM, "rb") as f:
        if b"__asan_init" not in f.read():   # sanitizers cannot look for leaks then
            assert os.stat(f"/proc/{m.worker()}/environ").st_uid == ROOT
