"""An S3 server in memory, the one of the benchmarks, where Swift's share of the machine would be most of a long run's.

It does not look at signatures; a name is there for everybody once its PUT is answered."""
import os

import mount
from processes import Process, wait_until
from proxy import CountingProxy
from swift import Swift


class Light(Swift):
    def _start(self):
        server = os.path.join(os.path.dirname(mount.PROGRAM), "../tests/bench/bench-server")
        out = self._path("port")
        self.processes.append(Process([server, "-l", self._path("requests")], out))
        self.direct_port = int(wait_until(lambda: self.processes[0].output().strip(), 10, what="the port of bench-server"))
        self.proxy = CountingProxy(self.direct_port)
        self.port = self.proxy.port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.buckets = 0
