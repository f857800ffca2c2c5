"""The servers and clients that the other tests lean on do what those tests believe they do."""
import os

import pictures
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
