"""A real S3 server: OpenStack Swift with s3api and tempauth, one node, one replica, loopback only.

Needs no systemd and no root, does not touch /etc/swift, keeps everything under one directory whose file system has
user xattrs.  Requests go through a CountingProxy, which tests ask what was fetched and which can fail on demand.
`S3.bucket()` gives a fresh bucket with its own view of the requests' log."""
import datetime
import hashlib
import hmac
import http.client
import os
import pwd
import shutil
import socket
import tempfile
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree

import pictures
from processes import Process, find_program, free_port, run, wait_until
from proxy import CountingProxy

ACCESS, SECRET, REGION = "test:tester", "testing", "us-east-1"
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"

SWIFT_CONF = """[swift-hash]
swift_hash_path_suffix = tests
swift_hash_path_prefix = tests
[storage-policy:0]
name = Policy-0
default = yes
"""

COMMON = """[DEFAULT]
swift_dir = {dir}
bind_ip = 127.0.0.1
bind_port = {port}
workers = {workers}
user = {user}
log_level = INFO
log_udp_host =
log_address = {dir}/none
devices = {dir}/srv
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
recon_cache_path = {dir}/log
"""

SERVER = COMMON + """[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

# s3api stands before the auth filter; tempauth wants memcached; slo is for multipart uploads
PROXY = COMMON + """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
# by default a node that was late once (0.5 s to connect) on a busy machine answers 503 for a minute
conn_timeout = 20
node_timeout = 60
recoverable_node_timeout = 60
error_suppression_limit = 1000
error_suppression_interval = 1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:s3api]
use = egg:swift#s3api
location = {region}
storage_domain = s3.localhost
s3_acl = false
dns_compliant_bucket_names = true
allow_multipart_uploads = true
max_bucket_listing = 1000
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def missing():
    """Why Swift cannot run here, or None."""
    for program in ("swift-proxy-server", "swift-object-server", "swift-container-server", "swift-account-server",
                    "swift-ring-builder", "memcached"):
        if not find_program(program):
            return f"{program} is not installed"
    return None


class Swift:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="swift-")
        self.processes = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        os.makedirs(os.path.join(self.dir, "srv/d1"))
        os.makedirs(os.path.join(self.dir, "log"))
        with open(self._path("swift.conf"), "w") as f:
            f.write(SWIFT_CONF)
        ports = {n: free_port() for n in ("account", "container", "object", "proxy", "memcached")}
        self._run("memcached", [find_program("memcached"), "-l", "127.0.0.1", "-p", ports["memcached"], "-U", "0",
                                "-m", "16", "-t", "1", "-u", user])
        for name in ("account", "container", "object"):
            self._ring(name, ports[name])
            self._server(name, SERVER, port=ports[name], user=user, workers=0)
        self._server("proxy", PROXY, port=ports["proxy"], user=user, workers=0, secret=SECRET, region=REGION,
                     memcached=ports["memcached"])
        self.direct_port, self.ports = ports["proxy"], ports.values()
        wait_until(self._healthy, 120, what=self._logs)
        self.proxy = CountingProxy(self.direct_port)
        self.port = self.proxy.port
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.buckets = 0

    def _path(self, name):
        return os.path.join(self.dir, name)

    def _run(self, name, argv):
        self.processes.append(Process(argv, self._path("log/" + name)))

    def _server(self, name, template, **kw):
        conf = self._path(f"{name}-server.conf")
        with open(conf, "w") as f:
            f.write(template.format(dir=self.dir, name=name, **kw))
        self._run(name, [find_program(f"swift-{name}-server"), conf, "-v"])

    def _ring(self, name, port):
        builder = [find_program("swift-ring-builder"), f"{name}.builder"]
        run(builder + ["create", "2", "1", "0"], cwd=self.dir)
        run(builder + ["add", f"r1z1-127.0.0.1:{port}/d1", "100"], cwd=self.dir)
        assert run(builder + ["rebalance"], cwd=self.dir, check=False).returncode in (0, 1)

    def _healthy(self):
        for p in self.processes:
            assert p.alive(), f"{p.argv[0]} ended:\n{p.output()[-2000:]}"
        try:
            for port in self.ports:  # the proxy answers before those behind it listen
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
            with_port = http.client.HTTPConnection("127.0.0.1", self.direct_port, timeout=2)
            with_port.request("GET", "/healthcheck")
            return with_port.getresponse().status == 200
        except OSError:
            return False

    def _logs(self):
        return "Swift to come up:\n" + "\n".join(p.output()[-1000:] for p in self.processes)

    def stop(self):
        if hasattr(self, "proxy"):
            self.proxy.stop()
        for p in reversed(self.processes):
            p.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def bucket(self):
        self.buckets += 1
        return Bucket(self, f"bucket-{os.getpid()}-{self.buckets}")


class Bucket:
    """One bucket, spoken to without the proxy, by a signer that shares nothing with the code under test."""

    def __init__(self, server, name):
        self.server, self.name, self.proxy = server, name, server.proxy
        self.proxy.clear_rules()
        self.proxy.forget()
        assert self._call("PUT", "")[0] == 200

    def env(self):
        return {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}

    def config(self, name="cloud", prefix=None, **more):
        lines = [f'[store "{name}"]', "driver = s3", f"endpoint = {self.server.endpoint}", f"region = {REGION}",
                 f"bucket = {self.name}"]
        if prefix is not None:
            lines.append(f"prefix = {prefix}")
        return "\n".join(lines + [f"{k} = {v}" for k, v in more.items()]) + "\n"

    def put(self, key, data, **meta):
        headers = {"x-amz-meta-" + k.replace("_", "-"): v for k, v in meta.items()}
        status, body, _ = self._call("PUT", key, body=data, headers=headers)
        assert status == 200, (status, body)

    def get(self, key):
        status, body, _ = self._call("GET", key)
        assert status == 200, (key, status)
        return body

    def head(self, key):
        """Lower-case headers of an object, None if it is not there."""
        status, _, headers = self._call("HEAD", key)
        return headers if status == 200 else None

    def delete(self, key):
        assert self._call("DELETE", key)[0] in (200, 204)

    def list(self, etags=False):
        """{key: size, or etag} of all objects."""
        found, token = {}, None
        while True:
            query = {"list-type": "2", "encoding-type": "url"}
            if token:
                query["continuation-token"] = token
            status, body, _ = self._call("GET", "", query=query)
            assert status == 200, (status, body)
            root = ElementTree.fromstring(body)
            for item in root.iter(XML + "Contents"):
                what = item.findtext(XML + "ETag") if etags else int(item.findtext(XML + "Size"))
                found[urllib.parse.unquote(item.findtext(XML + "Key"))] = what
            token = root.findtext(XML + "NextContinuationToken")
            if not token:
                return found

    def pictures(self):
        return {k: v for k, v in self.list().items() if k.endswith(".jpg")}

    def sidecars(self):
        return {k: v for k, v in self.list().items() if k.endswith(".json")}

    def rclone(self, through_proxy=False):
        """An rclone remote for this bucket; for command lines of the tests' own, never the product's."""
        port = self.server.port if through_proxy else self.server.direct_port
        return (f":s3,provider=Other,access_key_id='{ACCESS}',secret_access_key={SECRET},"
                f"endpoint='http://127.0.0.1:{port}',region={REGION}:{self.name}")

    def rclone_copy(self, source, under="", *options, timeout=600):
        run(["rclone", "--config", "/dev/null", "-q", "--retries", "1", "--transfers", "8", "--checkers", "8", *options,
             "copy", source, self.rclone() + ("/" + under if under else "")], timeout=timeout)

    def _call(self, method, key, **kw):
        """A busy machine makes Swift's own timeouts fire; that is not what a test is about."""
        for _ in range(5):
            got = self._try(method, key, **kw)
            if got[0] != 503:
                break
            time.sleep(1)
        return got

    def _try(self, method, key, query=None, body=b"", headers=None):
        quote = lambda s: urllib.parse.quote(s, safe="-._~")
        path = "/" + self.name + ("/" + "/".join(quote(p) for p in key.split("/")) if key else "")
        query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted((query or {}).items()))
        host = f"127.0.0.1:{self.server.direct_port}"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        body_hash = hashlib.sha256(body).hexdigest()
        signed = {"host": host, "x-amz-date": now, "x-amz-content-sha256": body_hash}
        signed.update({k.lower(): v for k, v in (headers or {}).items()})
        names = ";".join(sorted(signed))
        canonical = "\n".join([method, path, query, "".join(f"{k}:{signed[k]}\n" for k in sorted(signed)), names,
                               body_hash])
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        step = ("AWS4" + SECRET).encode()
        for part in (now[:8], REGION, "s3", "aws4_request"):
            step = hmac.new(step, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(step, to_sign.encode(), hashlib.sha256).hexdigest()
        signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, "
                                   f"Signature={signature}")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.direct_port, timeout=60)
        try:
            connection.request(method, path + ("?" + query if query else ""), body or None, signed)
            got = connection.getresponse()
            return got.status, got.read(), {k.lower(): v for k, v in got.getheaders()}
        finally:
            connection.close()


def etag(data):
    return hashlib.md5(data).hexdigest()


def fill(bucket, count, camera="front", start=0, **kw):
    """Puts `count` pictures under our own layout and names; {snapshot path in the tree: bytes}."""
    made = {}
    for n in range(start, start + count):
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00", **kw)
        path = f"cameras/{camera}/{pictures.day(taken)}/{pictures.stem(taken, camera)}.jpg"
        bucket.put(key_of(path), data)
        made[path] = data
    return made


def key_of(path):
    """cameras/front/2024-03-05/x.jpg -> front/2024/03/05/x.jpg, the default layout."""
    _, camera, day, name = path.split("/")
    return f"{camera}/{day.replace('-', '/')}/{name}"
