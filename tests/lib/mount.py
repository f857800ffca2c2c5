"""A real mount of shutterfs for one test: config, daemon, tree, and an end that never hangs.

Daemon and verbs write sanitizer reports into one directory; stop() fails on any report.  The program is $SHUTTERFS, or
build/src/shutterfs."""
import ctypes
import json
import os
import re
import signal
import subprocess
import threading

from processes import Process, children, clean_env, run, wait_until

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
PROGRAM = os.environ.get("SHUTTERFS") or os.path.join(TOP, "build/src/shutterfs")
SANITIZER_EXIT = 86
MNT_FORCE = 1  # sys/mount.h
LIB = os.path.dirname(os.path.abspath(__file__))
REPORT = re.compile(r"((ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:)")

_live, _live_lock = set(), threading.Lock()


def unfit():
    """Why this machine cannot mount, or None."""
    if not os.path.exists("/dev/fuse"):
        return "no /dev/fuse"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as e:
        return f"/dev/fuse: {e.strerror}"
    return None


def kernel():
    """Its version, as (6, 9)."""
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


def resends():
    """Kernel 6.9 can ask again what a worker left unanswered."""
    return kernel() >= (6, 9)


def sanitized():
    """Which sanitizer with memory of its own the program is built with: "address", "thread", or None."""
    with open(PROGRAM, "rb") as f:
        program = f.read()
    return "address" if b"__asan_init" in program else "thread" if b"__tsan_init" in program else None


def mount_entry(path):
    """The /proc/self/mountinfo fields of the topmost mount at `path`, or None.  Never touches the mount."""
    found = None
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            if fields[4].replace("\\040", " ") == path:
                found = fields
    return found


def abort_connection(path):
    """Makes the kernel answer every waiting request on the mount at `path` with an error."""
    entry = mount_entry(path)
    if entry:
        try:
            with open(f"/sys/fs/fuse/connections/{entry[2].split(':')[1]}/abort", "w") as f:
                f.write("1")
        except OSError:  # fusectl is not mounted; who is in there keeps it mounted
            inside = os.open(path, os.O_PATH)
            ctypes.CDLL(None).umount2(path.encode(), MNT_FORCE)
            os.close(inside)


def abort_all():
    """The watchdog's last resort: nothing waits on a mount of this run any more."""
    with _live_lock:
        mounts = list(_live)
    for m in mounts:
        abort_connection(m.mnt)
        if m.process and m.process.alive():
            m.kill_group(signal.SIGKILL)


class Mount:
    """`stores` and `cameras` are config text; `more` are further lines of the [shutterfs] section; `preload`: the
    environment with LD_PRELOAD, for the daemon alone."""

    def __init__(self, base, stores=None, cameras="", more="", env=None, timezone="UTC", start=True, options=(),
                 preload=None):
        self.base = os.path.realpath(str(base))
        os.makedirs(self.base, exist_ok=True)
        self.mnt = self.path("mnt")
        self.state, self.cache, self.archive = self.path("state"), self.path("cache"), self.path("archive")
        self.conf, self.log, self.reports = self.path("shutterfs.conf"), self.path("log"), self.path("reports")
        for d in (self.mnt, self.reports, self.archive):
            os.makedirs(d, exist_ok=True)
        self.sections, self.cameras, self.more, self.timezone = stores, cameras, more, timezone
        self.env = clean_env(HOME=self.base, XDG_RUNTIME_DIR=self.base, SANITIZER_REPORTS=self.reports,
                             ASAN_OPTIONS=f"log_path={self.reports}/asan:exitcode={SANITIZER_EXIT}:detect_leaks=1"
                                          f":allocator_may_return_null=1:suppressions={LIB}/asan.supp",
                             TSAN_OPTIONS=f"log_path={self.reports}/tsan:exitcode={SANITIZER_EXIT}"
                                          f":second_deadlock_stack=1:suppressions={LIB}/tsan.supp",
                             UBSAN_OPTIONS=f"log_path={self.reports}/ubsan:print_stacktrace=1:halt_on_error=0")
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            self.env.pop(name, None)
        self.env.update(env or {})
        self.options, self.preload = list(options), preload
        self.process = None
        self.write_config()
        if start:
            self.start()

    def path(self, name):
        return os.path.join(self.base, name)

    def at(self, *parts):
        """A path inside the mount."""
        return os.path.join(self.mnt, *parts)

    def dir_store(self, name="archive", path=None, **more):
        lines = [f'[store "{name}"]', "driver = dir", f"path = {path or self.archive}"]
        return "\n".join(lines + [f"{k} = {v}" for k, v in more.items()]) + "\n"

    def write_config(self):
        stores = self.dir_store() if self.sections is None else self.sections
        with open(self.conf, "w") as f:
            f.write(f"[shutterfs]\nstate = {self.state}\ncache = {self.cache}\ntimezone = {self.timezone}\n"
                    f"{self.more}\n{self.cameras}\n{stores}\n")

    # -- life

    def start(self, timeout=60):
        env = self.env
        if self.preload:
            env = {**env, **self.preload, "ASAN_OPTIONS": env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}
        self.process = Process([PROGRAM, "mount", "-c", self.conf, "-f", *self.options, self.mnt], self.log, env,
                               cwd=self.base)
        with _live_lock:
            _live.add(self)
        wait_until(lambda: self.is_mounted() and self.answers() or not self.process.alive(), timeout, 0.02,
                   what=lambda: f"the mount:\n{self.log_text()[-3000:]}")
        if not self.process.alive():
            raise AssertionError(f"shutterfs mount ended with {self.process.popen.returncode}:\n"
                                 f"{self.log_text()[-3000:]}\n{self.report_text()[-6000:]}")
        return self

    def is_mounted(self):
        entry = mount_entry(self.mnt)
        return bool(entry) and "fuse.shutterfs" in entry

    def answers(self):
        """False: the mount there is a dead one."""
        try:
            os.statvfs(self.mnt)   # never from the kernel's memory
            return True
        except OSError:
            return False

    def kill_group(self, sig):
        try:
            os.killpg(self.process.pid, sig)
        except ProcessLookupError:
            pass

    def worker(self):
        """The pid of the process that serves the mount now, or None."""
        for pid in children(self.process.pid):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"serve" in f.read().split(b"\0"):
                        return pid
            except OSError:
                pass
        return None

    def next_worker(self, old, timeout=60):
        """Waits until another one serves."""
        def serves():
            pid = self.worker()
            return pid if pid and pid != old else None

        pid = wait_until(serves, timeout, 0.02, what=lambda: f"another worker:\n{self.log_text()[-2000:]}")
        os.statvfs(self.mnt)
        return pid

    def replace_worker(self, how="kill"):
        old = self.worker()
        if how == "kill":
            os.kill(old, signal.SIGKILL)
        else:
            self.process.popen.send_signal(signal.SIGHUP)
        return self.next_worker(old)

    def kill(self):
        """kill -9 of everything the mount is made of; leaves what a crash leaves."""
        self.kill_group(signal.SIGKILL)
        self.process.popen.wait(20)

    def detach(self):
        """Takes a dead mount out of the way; whoever waits in it gets an error."""
        abort_connection(self.mnt)
        while mount_entry(self.mnt):
            if subprocess.run(["umount", "-l", self.mnt], stderr=subprocess.DEVNULL).returncode and \
                    subprocess.run(["fusermount3", "-uz", self.mnt], stderr=subprocess.DEVNULL).returncode:
                break

    def crash_and_restart(self):
        self.kill()
        self.detach()
        return self.start()

    def restart(self):
        self.stop()
        return self.start()

    def stop(self, check=True):
        """SIGTERM, exit status 0 and no sanitizer report, or an AssertionError."""
        if not self.process:
            return
        wrong = []
        try:
            if self.process.alive():
                self.kill_group(signal.SIGTERM)
                try:
                    code = self.process.popen.wait(30)
                    if code:
                        wrong.append(f"the daemon ended with {code} on SIGTERM")
                except subprocess.TimeoutExpired:
                    wrong.append("the daemon did not end within 30 s of SIGTERM")
                    abort_connection(self.mnt)
                    self.kill()
            elif self.process.popen.returncode not in (0, -signal.SIGKILL):
                wrong.append(f"the daemon had ended with {self.process.popen.returncode}")
            if mount_entry(self.mnt):
                if self.process.popen.returncode == 0:
                    wrong.append("the mount is still there after the daemon's end")
                abort_connection(self.mnt)
                self.detach()
        finally:
            self.process = None
            with _live_lock:
                _live.discard(self)
        reports = self.report_text()
        if reports:
            wrong.append("sanitizer reports:\n" + reports[:8000])
        if check and wrong:
            raise AssertionError("\n".join(wrong) + "\nlog:\n" + self.log_text()[-3000:])

    def report_text(self):
        text = ""
        for name in sorted(os.listdir(self.reports)):
            with open(os.path.join(self.reports, name), errors="replace") as f:
                text += f.read()
        return text + "\n".join(line for line in self.log_text().splitlines() if REPORT.search(line))

    def log_text(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    # -- verbs

    def command(self, verb, *args, config=True):
        return [PROGRAM, verb, *(["-c", self.conf] if config else []), *map(str, args)]

    def cli(self, verb, *args, check=True, config=True, timeout=120):
        done = run(self.command(verb, *args, config=config), check=False, timeout=timeout, env=self.env, cwd=self.base)
        assert done.returncode != SANITIZER_EXIT, self.report_text()[:8000]
        if check:
            assert done.returncode == 0, (f"shutterfs {verb} {args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                                          f"\nlog:\n{self.log_text()[-2000:]}")
        return done

    def sync(self, timeout=300):
        return self.cli("sync", "--wait", timeout=timeout)

    # -- what the tree says

    def json(self, *parts):
        with open(self.at(*parts)) as f:
            return json.load(f)

    def status(self):
        return self.json(".shutterfs", "status.json")

    def errors(self):
        return self.json(".shutterfs", "errors.json")["errors"]

    def snapshots(self, camera=None):
        """Paths under cameras/ of all snapshots, sorted, relative to the mount."""
        found, top = [], self.at("cameras")
        for cam in sorted(os.listdir(top)):
            if camera and cam != camera:
                continue
            for entry in sorted(os.scandir(os.path.join(top, cam)), key=lambda e: e.name):
                if entry.is_dir(follow_symlinks=False):
                    found += [f"cameras/{cam}/{entry.name}/{n}" for n in sorted(os.listdir(entry.path))
                              if n.endswith(".jpg")]
        return found

    def wait_snapshots(self, count, camera=None, timeout=60):
        """Waits until exactly `count` snapshots are there and returns them."""
        seen = []

        def enough():
            seen[:] = self.snapshots(camera)
            return len(seen) >= count

        wait_until(enough, timeout, 0.1, what=lambda: f"{count} snapshots, got {len(seen)}: {seen[:5]}...\n"
                                                      f"log:\n{self.log_text()[-2000:]}")
        assert len(seen) == count, (len(seen), seen[:20])
        return list(seen)

    def read(self, *parts):
        with open(self.at(*parts), "rb") as f:
            return f.read()

    def sidecar(self, path):
        """The sidecar of a snapshot's path."""
        return self.json(os.path.splitext(path)[0] + ".json")

    def xattr(self, path, name):
        """A user.* attribute as text, None if it is not there."""
        try:
            return os.getxattr(self.at(path), "user." + name).decode()
        except OSError:
            return None

    def upload(self, camera, name, data):
        """Writes a file into upload/ as a plain program would."""
        os.makedirs(self.at("upload", camera), exist_ok=True)
        with open(self.at("upload", camera, name), "wb") as f:
            f.write(data)
        return f"upload/{camera}/{name}"
