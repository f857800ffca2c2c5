"""Secrets never leave: not in argv, logs, xattrs, sidecars, status or .shutterfs/config; their files must be ours alone."""
import os
import pathlib
import stat

import pytest

import pictures
import swift as swifts
from processes import run

CANARY = "canary-Zx81-secret"


def secret_file(m, name, text, mode=0o600):
    path = m.path(name)
    with open(path, "w") as f:
        f.write(text + "\n")
    os.chmod(path, mode)
    return path


@pytest.fixture
def canaries(make_mount, bucket, fault_camera):
    """A mount whose camera's password and store's keys are canaries; the camera refuses, the store knows no such key."""
    source = fault_camera()
    source.behave = "401"
    m = make_mount(start=False)
    secret_file(m, "cam.secret", CANARY + "1")
    secret_file(m, "access", CANARY + "2")
    secret_file(m, "secret", CANARY + "3")
    url = source.url.replace("/snapshot", "/snapshot") + f"?usr=admin&pwd={CANARY}4&token={CANARY}5"
    m.cameras = f'[camera "front"]\ndriver = http\nurl = {url}\nuser = admin\npassword_file = cam.secret\n'
    m.sections = bucket.config(access_key_file="access", secret_key_file="secret")
    m.options = ["-v"]
    m.write_config()
    return m.start()


def test_no_canary_anywhere(canaries):
    m = canaries
    with pytest.raises(OSError):
        m.read("cameras/front/live.jpg")
    m.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = m.wait_snapshots(1)[0]
    said = []
    for verb, *args in (("scan", "cloud"), ("sync", "--wait"), ("status",), ("status", "--json"), ("check",), ("fsck",)):
        done = m.cli(verb, *args, check=False)
        said.append(done.stdout + done.stderr)
    shown = m.read(".shutterfs/config").decode()
    assert "cam.secret" in shown or "****" in shown
    assert "bucket" in shown and "127.0.0.1" in shown
    said += [shown, m.log_text(), str(m.sidecar(path))]
    said += [m.read(".shutterfs", n).decode() for n in ("status.json", "queue.json", "errors.json", "metrics.prom")]
    for where in (m.at(path), m.at("upload/front/a.jpg")):
        said += [os.getxattr(where, n).decode(errors="replace") for n in os.listxattr(where)]
    said += [pathlib.Path(f"/proc/{pid}/cmdline").read_text() for pid in (m.process.pid, m.worker())]
    for where, _, names in os.walk(m.state):
        for name in names:
            full = os.path.join(where, name)
            if stat.S_ISREG(os.lstat(full).st_mode):
                said.append(pathlib.Path(full).read_bytes().decode("latin-1"))
    m.stop()
    said.append(m.log_text())
    for text in said:
        assert CANARY not in text, text[max(0, text.find(CANARY) - 200):text.find(CANARY) + 100]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_secret_files_that_others_can_read_are_refused(make_mount, mode):
    m = make_mount(start=False, cameras='[camera "front"]\ndriver = http\nurl = http://127.0.0.1:9/\nuser = a\n'
                                        'password_file = cam.secret\n')
    secret_file(m, "cam.secret", CANARY, mode)
    done = m.cli("check", check=False)
    assert done.returncode == 2 and "cam.secret" in done.stderr and CANARY not in done.stderr
    os.chmod(m.path("cam.secret"), 0o600)
    assert m.cli("check").returncode == 0


def test_keys_from_files_environment_and_profile(make_mount, bucket):
    for n, how in enumerate(("files", "environment", "profile")):
        m = make_mount(name=how, start=False)
        extra = {}
        if how == "files":
            secret_file(m, "access", swifts.ACCESS)
            secret_file(m, "secret", swifts.SECRET)
            extra = dict(access_key_file="access", secret_key_file="secret")
        elif how == "environment":
            m.env.update(bucket.env())
        else:
            os.mkdir(m.path(".aws"))
            secret_file(m, ".aws/credentials", f"[default]\naws_access_key_id = x\naws_secret_access_key = y\n\n[cams]\n"
                                               f"aws_access_key_id = {swifts.ACCESS}\naws_secret_access_key = {swifts.SECRET}")
            extra = dict(profile="cams")
        m.sections = bucket.config(prefix=f"{how}/", **extra)
        m.write_config()
        m.start()
        m.upload("front", "a.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
        m.wait_snapshots(1)
        m.sync()
    assert len(bucket.pictures()) == 3


def test_wrong_keys_and_wrong_names_are_explained(make_mount, bucket):
    for n, (env, config, word) in enumerate((
            ({"AWS_ACCESS_KEY_ID": swifts.ACCESS, "AWS_SECRET_ACCESS_KEY": "wrong"}, {}, "key"),
            (bucket.env(), {"region": "eu-west-9"}, "region"), (bucket.env(), {"bucket": "no-such-bucket"}, "bucket"))):
        text = bucket.config()
        for k, v in config.items():
            text = "".join(f"{k} = {v}\n" if line.startswith(k + " ") else line + "\n" for line in text.splitlines())
        m = make_mount(name=f"m{n}", stores=text, env=env)
        done = m.cli("scan", "cloud", check=False)
        assert done.returncode == 1 and word in done.stderr.lower(), done.stderr
        store = m.status()["stores"][0]
        assert word in store["error"].lower() and len(done.stderr.splitlines()) <= 3


def test_virtual_host_style(make_mount, bucket):
    """The bucket in the host name; *.localhost is loopback by itself."""
    text = bucket.config(path_style="no").replace("http://127.0.0.1", "http://s3.localhost")
    m = make_mount(stores=text, env=bucket.env())
    m.upload("front", "a b+ü.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = m.wait_snapshots(1)[0]
    m.sync()
    assert len(bucket.pictures()) == 1
    assert bucket.proxy.seen("PUT")[0].headers["Host"].startswith(bucket.name + ".s3.localhost")
    run(["rm", "-rf", m.cache])
    m.restart()
    assert m.read(path) == pictures.picture(1, pictures.moment(1), "+00:00")
