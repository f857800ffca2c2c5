"""The servers and clients that the other tests lean on do what those tests believe they do."""
import os

import pictures
import swift as swifts
from peers import Ftp, Ssh
from processes import run


def test_swift_verifies_and_the_proxy_counts(bucket):
    bucket.put("a/b c+:é.jpg", b"hello", camera="front")
    assert bucket.list() == {"a/b c+:é.jpg": 5}
    assert bucket.head("a/b c+:é.jpg")["x-amz-meta-camera"] == "front"
    remote = bucket.rclone(through_proxy=True)
    done = run(["rclone", "--config", "/dev/null", "cat", f"{remote}/a/b c+:é.jpg"])
    assert done.stdout == "hello"
    assert [(r.key, r.status, r.sent) for r in bucket.proxy.gets()] == [("a/b c+:é.jpg", 200, 5)]
    wrong = remote.replace("testing", "wrong")
    done = run(["rclone", "--config", "/dev/null", "--retries", "1", "lsf", wrong], check=False)
    assert "SignatureDoesNotMatch" in done.stderr


def test_the_proxy_fails_as_told(bucket):
    bucket.put("a.jpg", b"x" * 1000)
    url = f"http://test%3Atester:{swifts.SECRET}@127.0.0.1:{bucket.server.port}/{bucket.name}/a.jpg"

    def get(*more):
        return run(["curl", "-sS", "-m", "2", "--aws-sigv4", f"aws:amz:{swifts.REGION}:s3", "-w", "%{http_code}",
                    "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *more, url], check=False)

    assert get().stdout == "x" * 1000 + "200"
    for do, code in (("hang", 28), ("close", 52), ("cut", 18)):
        rule = bucket.proxy.add(do, times=1)
        assert get().returncode == code and rule.hits == 1
    bucket.proxy.add("corrupt", times=1)
    assert get().stdout != "x" * 1000 + "200"
    bucket.proxy.add(503, times=1, headers={"Retry-After": "7"})
    assert "Retry-After: 7" in get("-i").stdout
    rule = bucket.proxy.add("close", method="PUT", times=1, after=True)
    assert get("-X", "PUT", "-d", "stored").returncode == 52 and rule.hits == 1
    assert bucket.get("a.jpg") == b"stored"
    assert get().stdout == "stored200"


def test_pictures_are_distinct_and_decode(tmp_path):
    made = pictures.write_pictures(tmp_path, 12)
    assert len({pictures.sha256(d) for d in made.values()}) == 12
    for name in made:
        run(["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", tmp_path / name, "-f", "null", "-"])


def test_motion_wants_digest(motion):
    assert run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", motion.url]).stdout == "401"
    head = run(["curl", "-si", motion.url]).stdout
    assert "Digest" in head


def test_ftp_and_scp_write_files(tmp_path):
    source, into = tmp_path / "a.jpg", tmp_path / "into"
    into.mkdir()
    source.write_bytes(pictures.picture(1))
    ftp, ssh = Ftp(tmp_path / "ftp", into), Ssh(tmp_path / "ssh")
    try:
        ftp.put(source, "front/2024/a.jpg")
        ssh.scp("-p", source, ssh.url(into / "b.jpg"))
    finally:
        ftp.stop()
        ssh.stop()
    for name in ("front/2024/a.jpg", "b.jpg"):
        assert (into / name).read_bytes() == source.read_bytes()
    assert os.stat(into / "b.jpg").st_mtime == int(os.stat(source).st_mtime)
