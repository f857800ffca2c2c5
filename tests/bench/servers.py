"""The S3 servers of the benchmark: a light one in memory, or Swift, each answering a set round-trip time late.

Both give `port` (with the delay), `direct_port` (for filling) and a log of requests."""
import dataclasses
import os
import subprocess
import tempfile
import urllib.parse

import swift
from processes import Process, clean_env, wait_until

BUCKET = "bench"


@dataclasses.dataclass
class Line:
    method: str
    status: int
    sent: int
    key: str  # without the bucket; "" for requests on the bucket


class Link:
    """bench-server: serves trees from memory, or is the link before an upstream server."""

    def __init__(self, tools, scratch, rtt_ms, trees=(), upstream=None, slow=None):
        self.log = tempfile.mktemp(dir=scratch, prefix="requests-")
        argv = [tools.server, "-l", self.log, "-r", str(int(rtt_ms * 1000))]
        for bucket, directory in trees:
            argv += ["-s", f"{bucket}={directory}"]
        if upstream:
            argv += ["-u", str(upstream)]
        if slow:
            argv += ["-d", slow]
        out = self.log + ".port"
        self.process = Process(argv, out, clean_env())
        wait_until(lambda: self.process.output().strip() or not self.process.alive(), 120, 0.02, "the S3 server")
        self.port = int(self.process.output().split()[0])
        self.pid = self.process.pid
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def mark(self):
        return os.path.getsize(self.log)

    def since(self, mark):
        """Requests that were answered since mark()."""
        found = []
        with open(self.log, encoding="utf-8", errors="replace") as f:
            f.seek(mark)
            for line in f:
                method, status, sent, path = line.rstrip("\n").split("\t")
                key = urllib.parse.unquote(path.split("?")[0]).lstrip("/").partition("/")[2]
                found.append(Line(method, int(status), int(sent), key))
        return found

    def stop(self):
        self.process.stop()


class SwiftServer:
    """Swift behind a link; filled straight."""

    def __init__(self, tools, scratch, rtt_ms):
        self.swift = swift.Swift()
        self.bucket = self.swift.bucket()
        self.link = Link(tools, scratch, rtt_ms, upstream=self.swift.direct_port)

    def fill(self, directory):
        self.bucket.rclone_copy(directory, "", "--transfers", "8")

    def stop(self):
        self.link.stop()
        self.swift.stop()


def rclone_remote(port, bucket=BUCKET):
    return (f":s3,provider=Other,access_key_id='{swift.ACCESS}',secret_access_key={swift.SECRET},"
            f"endpoint='http://127.0.0.1:{port}',region={swift.REGION}:{bucket}")


def rclone(args, timeout=300):
    """Seconds that an rclone command takes."""
    import measure
    return measure.timed_run(["rclone", "--config", "/dev/null", "-q", *args], timeout)


def answers(port):
    return subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/{BUCKET}"],
                          env=clean_env(), timeout=10).returncode == 0
