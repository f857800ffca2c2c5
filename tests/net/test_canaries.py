"""Secrets never leave: planted ones of every kind, everything done that can go wrong with them, and nobody ever sees one."""
import base64
import os
import resource
import signal
import stat
import subprocess

import pytest

import pictures
from mount import PROGRAM
from processes import family

CANARIES = ("password-file", "url-userinfo", "url-query", "foscam-password", "password-env", "config-password",
            "redirect-signature", "redirect-userinfo", "proxy-password", "access-key", "secret-key", "session-token",
            "env-access-key", "env-secret-key", "env-session-token", "profile-secret")


def sanitized():
    with open(PROGRAM, "rb") as f:
        return b"__asan_init" in f.read()


def canary(name):
    assert name in CANARIES
    return f"canary.{name}.8Qz"


def secret_file(m, name, text):
    with open(m.path(name), "w") as f:
        f.write(text + "\n")
    os.chmod(m.path(name), 0o600)


def files_below(*tops):
    for top in tops:
        for where, _, names in os.walk(top):
            for name in names:
                path = os.path.join(where, name)
                yield path, path.encode()
                if stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "rb") as f:
                        yield path, f.read()


def seen_of(m):
    """(where, bytes) of all that anybody may see of a mount."""
    for pid in family(m.process.pid):
        for name in ("cmdline", "environ", "comm"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                yield f"/proc/{pid}/{name}", f.read()
    for name in ("status.json", "queue.json", "errors.json", "metrics.prom", "config"):
        yield name, m.read(".shutterfs", name)
    for where, _, names in os.walk(m.mnt):
        for name in names:
            path = os.path.join(where, name)
            yield path, path.encode()
            for attribute in os.listxattr(path, follow_symlinks=False):
                yield path, os.getxattr(path, attribute, follow_symlinks=False)
    for path in m.snapshots():
        yield path, m.read(os.path.splitext(path)[0] + ".json")
    yield from files_below(m.state, m.cache, m.archive)
    yield "log", m.log_text().encode()


def redirecting(location):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
    return answer


@pytest.fixture
def planted(make_mount, fault_camera, bucket):
    """A mount with every canary in its place, cameras that take them and that refuse them, and a store that knows none."""
    refusing, fine, broken, moving, proxy = (fault_camera() for _ in range(5))
    refusing.behave, broken.behave, proxy.behave = "401", "404", "401"
    moving.behave = redirecting(f"http://u:{canary('redirect-userinfo')}@127.0.0.1:{broken.server.port}/x?"
                                f"X-Amz-Signature={canary('redirect-signature')}")
    m = make_mount(start=False, options=["-v"], env={
        "CAMERA_PASSWORD": canary("password-env"),
        "http_proxy": f"http://p:{canary('proxy-password')}@127.0.0.1:{proxy.server.port}",
        "AWS_ACCESS_KEY_ID": canary("env-access-key"), "AWS_SECRET_ACCESS_KEY": canary("env-secret-key"),
        "AWS_SESSION_TOKEN": canary("env-session-token")})
    for name, text in (("front.secret", canary("password-file")), ("ak", canary("access-key")),
                       ("sk", canary("secret-key")), ("st", canary("session-token"))):
        secret_file(m, name, text)
    secret_file(m, "aws", f"[cams]\naws_access_key_id = AKID\naws_secret_access_key = {canary('profile-secret')}")
    m.env["AWS_SHARED_CREDENTIALS_FILE"] = m.path("aws")
    cameras = {
        "front": dict(url=refusing.url, user="admin", password_file="front.secret"),
        "garden": dict(url=fine.url.replace("://", f"://admin:{canary('url-userinfo')}@") + f"?pwd={canary('url-query')}"),
        "old": dict(driver="foscam", url=broken.url, user="admin", password=canary("foscam-password")),
        "porch": dict(url=refusing.url, user="admin", password_env="CAMERA_PASSWORD"),
        "shed": dict(url=refusing.url, user="admin", password=canary("config-password")),
        "roof": dict(url=moving.url, user="admin", password=canary("config-password")),
        "far": dict(url="http://192.0.2.7/x.jpg"),   # through the proxy, which refuses
    }
    m.cameras = "\n".join(f'[camera "{n}"]\n' + "\n".join(f"{k} = {v}" for k, v in c.items()) for n, c in cameras.items())
    m.sections = (m.dir_store() + bucket.config("files", prefix="a/", access_key_file="ak", secret_key_file="sk",
                                                session_token_file="st")
                  + bucket.config("environment", prefix="b/") + bucket.config("profiled", prefix="c/", profile="cams"))
    m.write_config()
    os.chmod(m.conf, 0o600)
    m.camera_names = list(cameras)
    m.proxy = proxy
    return m.start()


@pytest.mark.limit(240)
def test_no_canary_is_seen_anywhere(planted):
    m = planted
    done = {}
    for name in m.camera_names:
        try:
            done[name] = m.read("cameras", name, "live.jpg")
        except OSError as e:
            done[name] = e.errno
    assert isinstance(done["garden"], bytes) and len([d for d in done.values() if isinstance(d, int)]) == 6, done
    assert m.proxy.count() >= 1, "the proxy was asked"
    m.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    m.upload("front", "bad.jpg", b"no picture")
    m.wait_snapshots(2)
    seen = []
    for verb, *args in (("scan", "files"), ("scan", "environment"), ("scan", "profiled"), ("sync", "--wait"), ("status",),
                        ("status", "--json"), ("check",), ("fsck",), ("prefetch", "cameras")):
        said = m.cli(verb, *args, check=False)
        seen.append((verb, (said.stdout + said.stderr).encode()))
    seen += seen_of(m)
    assert len([1 for where, _ in seen if where.endswith("/environ")]) >= 1
    m.stop()
    seen += files_below(m.state, m.cache)
    seen.append(("log", m.log_text().encode()))
    spellings = {name: (canary(name).encode(), base64.b64encode(b"admin:" + canary(name).encode()), canary(name).encode().hex().encode())
                 for name in CANARIES}
    found = {(name, where) for name, texts in spellings.items() for where, data in seen if any(t in data for t in texts)}
    assert not found
    for word in (b"****", b"401", b"cameras"):
        assert any(word in data for _, data in seen), "nothing was looked at"


def dies_with_core(pid):
    resource.prlimit(pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.kill(pid, signal.SIGSEGV)
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED


def test_a_crash_leaves_no_core(planted, tmp_path):
    if sanitized():
        pytest.skip("sanitizers cannot look for leaks with what is switched off here")
    other = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        if not dies_with_core(other.pid):
            pytest.skip("no process leaves a core here")
    finally:
        other.kill()
        other.wait()
    assert not dies_with_core(planted.process.pid)
    planted.process.popen.wait()
    planted.detach()
    planted.process = None
