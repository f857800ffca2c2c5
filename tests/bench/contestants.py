"""Who runs: the plain directory, shutterfs, and the peers that Debian has.  Each shows the same tree <date path>/<picture>.

Keys of the bucket are <camera>/YYYY/MM/DD/<stem>.jpg, shutterfs' default layout; `path(key)` is where a contestant has it."""
import os
import shutil
import signal
import subprocess

import measure
import mount as mounts
import servers
import swift
from processes import Process, children, clean_env, find_program, wait_until


class Plain:
    name = "plain directory"
    remote = False

    def __init__(self, root):
        self.root = root

    def pids(self):
        return []

    def path(self, key):
        return os.path.join(self.root, key)

    def day(self, camera, date):
        return os.path.join(self.root, camera, *date.split("-"))

    def start(self, cold=False):
        pass

    def stop(self):
        pass


class Mounted:
    """What the FUSE mounts have in common; `base` is its own directory."""
    remote = True

    def __init__(self, base, link, bucket=servers.BUCKET):
        self.base, self.link, self.bucket = base, link, bucket
        self.mnt, self.cache = os.path.join(base, "mnt"), os.path.join(base, "cache")
        self.process = None
        for d in (self.mnt, self.cache):
            os.makedirs(d, exist_ok=True)

    def pids(self):
        return [self.process.pid, *children(self.process.pid)] if self.process else []

    def path(self, key):
        return os.path.join(self.mnt, key)

    def day(self, camera, date):
        return os.path.join(self.mnt, camera, *date.split("-"))

    def start(self, cold=False):
        if self.process:
            return
        if cold:
            shutil.rmtree(self.cache, ignore_errors=True)
            os.makedirs(self.cache)
        self.process = Process(self.argv(), os.path.join(self.base, "log"), self.env())
        wait_until(lambda: mounts.mount_entry(self.mnt) or not self.process.alive(), 60, 0.005,
                   lambda: f"{self.name}: {self.process.output()[-1000:]}")
        assert self.process.alive(), f"{self.name} ended:\n{self.process.output()[-2000:]}"

    def env(self):
        return clean_env(AWSACCESSKEYID=swift.ACCESS, AWSSECRETACCESSKEY=swift.SECRET, HOME=self.base)

    def stop(self):
        if not self.process:
            return
        subprocess.run(["umount", self.mnt], stderr=subprocess.DEVNULL, timeout=60)
        if mounts.mount_entry(self.mnt):
            mounts.abort_connection(self.mnt)
            subprocess.run(["umount", "-l", self.mnt], stderr=subprocess.DEVNULL, timeout=60)
        try:
            self.process.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.process.stop(signal.SIGTERM, 5)
        self.process = None


class Bare(Mounted):
    """What the kernel's interface allows: a mount that does nothing but pass the files of one directory through."""
    name = "bare passthrough"
    remote = False

    def __init__(self, base, tools, directory):
        super().__init__(base, None)
        self.tools, self.directory = tools, directory

    @staticmethod
    def there():
        return os.geteuid() == 0 and mounts.resends()  # a kernel that can pass through, too

    def argv(self):
        return [self.tools.bare_program, self.directory, self.mnt]

    def path(self, key):
        return os.path.join(self.mnt, os.path.basename(key))


class Rclone(Mounted):
    name = "rclone mount"

    @staticmethod
    def there():
        return find_program("rclone")

    def argv(self):
        # everything that makes it faster and keeps it correct for objects that do not change
        return ["rclone", "--config", "/dev/null", "mount", servers.rclone_remote(self.link.port, self.bucket), self.mnt,
                "--cache-dir", self.cache, "--vfs-cache-mode", "full", "--use-server-modtime", "--vfs-fast-fingerprint",
                "--dir-cache-time", "24h", "--attr-timeout", "1h", "--vfs-write-back", "1s", "--transfers", "16"]


class S3fs(Mounted):
    name = "s3fs"

    @staticmethod
    def there():
        return find_program("s3fs")

    def argv(self):
        return ["s3fs", self.bucket, self.mnt, "-f", "-o",
                f"url={self.link.endpoint},use_path_request_style,use_cache={self.cache},kernel_cache,"
                "stat_cache_expire=86400,max_stat_cache_size=1000000,parallel_count=32,multireq_max=32,enable_noobj_cache"]


class Shutterfs:
    name = "shutterfs"
    remote = True

    def __init__(self, base, link, bucket=servers.BUCKET, more="", cameras="", store=""):
        self.link = link
        sections = (f'[store "cloud"]\ndriver = s3\nendpoint = {link.endpoint}\nregion = {swift.REGION}\n'
                    f"bucket = {bucket}\n{store}\n") if link else None
        self.mount = mounts.Mount(base, stores=sections, more="sidecars = ghost\n" + more, cameras=cameras, start=False,
                                  env={"AWS_ACCESS_KEY_ID": swift.ACCESS, "AWS_SECRET_ACCESS_KEY": swift.SECRET})
        self.mnt = self.mount.mnt

    def pids(self):
        """Of the whole mount: its process group."""
        if not self.mount.process:
            return []
        group, found = self.mount.process.pid, []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.getpgid(int(name)) == group:
                    found.append(int(name))
            except OSError:
                pass
        return found

    def path(self, key):
        camera, y, m, d, name = key.split("/")
        return self.mount.at("cameras", camera, f"{y}-{m}-{d}", name)

    def day(self, camera, date):
        return self.mount.at("cameras", camera, date)

    def scan(self):
        self.mount.cli("scan", "cloud", timeout=600)

    def start(self, cold=False):
        if self.mount.process:
            return
        if cold:
            shutil.rmtree(self.mount.cache, ignore_errors=True)
        self.mount.start()

    def stop(self):
        self.mount.stop(check=False)

    def status(self):
        return self.mount.status()


PEERS = (Rclone, S3fs)


def peak_mib(contestant):
    return round(measure.memory_kib(contestant.pids()) / 1024, 1) if contestant.pids() else None
