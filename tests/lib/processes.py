"""Processes and ports for the servers that tests start: started in their own session, ended by pid."""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

# nothing a test talks to is beyond loopback, and rclone 1.60 cannot start with a CA bundle named
UNWANTED = ("AWS_CA_BUNDLE", "AWS_PROFILE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
            "all_proxy", "ALL_PROXY", "RSYNC_RSH", "PYTHONPATH")


def clean_env(**more):
    """The environment of every process under test."""
    env = {k: v for k, v in os.environ.items() if k not in UNWANTED}
    env.update(LC_ALL="C.UTF-8", no_proxy="127.0.0.1,localhost", **more)
    return env


def find_program(name):
    """The path of a program, also of those that only root has on PATH; None if it is not there."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


_given = set()


def free_port():
    """A loopback port nobody listens on and no earlier call in this process has given; below those that the system gives to
    outgoing connections, or one of them could take it before its server does."""
    while True:
        port = random.SystemRandom().randrange(10240, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def wait_until(condition, timeout=30, step=0.05, what=None):
    """Returns the first true value of condition(); fails with `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise AssertionError(f"waited {timeout} s in vain for {said or condition}")
        time.sleep(step)


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def children(pid):
    """Pids of the processes that it started and that are there."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as f:
                found += map(int, f.read().split())
    except OSError:
        pass
    return found


def family(pid):
    """A process and all that came from it and are there."""
    return [pid] + [one for child in children(pid) for one in family(child)]


class Process:
    """A server of a test: its output goes to a file, stop() ends exactly this process."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.argv, self.log = [str(a) for a in argv], str(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=env or clean_env(), cwd=cwd, start_new_session=True)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def wait_listening(self, port, timeout=30):
        wait_until(lambda: listening(port) or not self.alive(), timeout, what=f"{self.argv[0]} on {port}")
        assert self.alive(), f"{self.argv[0]} ended:\n{self.output()[-3000:]}"

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Ends it and returns its exit status (negative: the signal)."""
        if self.alive():
            self.popen.send_signal(sig)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait(10)


def run(argv, check=True, timeout=120, **kw):
    """subprocess.run with text output captured; what failed is shown."""
    kw.setdefault("env", clean_env())
    kw.setdefault("stdin", subprocess.DEVNULL if "input" not in kw else None)
    if kw["stdin"] is None:
        del kw["stdin"]
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", timeout=timeout, **kw)
    if check:
        assert done.returncode == 0, (f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                                      f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done


def reader(path):
    """Starts a program that reads a file and that Ctrl-C ends: a suite started in the background has SIGINT ignored."""
    return subprocess.Popen(["env", "--default-signal=INT", "cat", path], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=clean_env())


def memory_kib(pids, field="VmHWM"):
    """Peak (VmHWM) or present (VmRSS) resident memory of all these processes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as f:
                total += next((int(line.split()[1]) for line in f if line.startswith(field)), 0)
        except OSError:
            pass
    return total


def reset_peak(pids):
    for pid in pids:
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as f:
                f.write("5")
        except OSError:
            pass
