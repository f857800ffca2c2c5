"""Programs that were written to break file systems find nothing wrong with upload/: fio, which verifies hashes of what it wrote, and
stress-ng's file stressors.  DEEP=1 for minutes of each instead of seconds."""
import os
import subprocess

import pytest

from processes import clean_env, find_program

DEEP = bool(os.environ.get("DEEP"))
SECONDS = 60 if DEEP else 3
FIO = ["--verify=sha256", "--verify_fatal=1", "--fallocate=none", "--thread", f"--size={'256m' if DEEP else '4m'}"]
PATTERNS = {
    "small": "--rw=randwrite --bs=4k --ioengine=psync",
    "any size, several at once": "--rw=randwrite --bsrange=512-64k --ioengine=libaio --iodepth=8 --numjobs=2",
    "maps": "--rw=randwrite --bs=4k --ioengine=mmap",
    "large maps": "--rw=write --bs=64k --ioengine=mmap",
    "direct": "--rw=randrw --bs=4k --ioengine=psync --direct=1",
    "synced": "--rw=randwrite --bs=128k --ioengine=psync --fdatasync=4",
}
# link, symlink and fallocate are what upload/ has not got
STRESSORS = {
    "names": "dentry 2 dir 2 dirdeep 1 dirmany 1 filename 1 mknod 1 rename 2 touch 1 getdent 1",
    "facts": "access 1 chdir 1 chmod 2 chown 2 fstat 1 utime 1 xattr 1",
    "bytes": "copy-file 1 hdd 1 open 1 fcntl 1 flock 2 locka 1 lockf 2 lockofd 1",
}
pytestmark = pytest.mark.limit(1800 if DEEP else 120)


def run(program, box, *args):
    if not find_program(program):
        pytest.skip(f"{program} is not installed")
    p = subprocess.run([program, *args], env=clean_env(), capture_output=True, text=True, cwd=box, timeout=1700 if DEEP else 110)
    said = p.stdout + p.stderr
    assert p.returncode == 0 and "fail:" not in said, f"{program} {' '.join(args)}: {p.returncode}\n{said[-4000:]}"
    return said


@pytest.fixture
def box(mount):
    """Must be served by the same worker at the end."""
    os.mkdir(mount.at("upload", "box"))
    worker = mount.worker()
    yield mount.at("upload", "box")
    assert mount.worker() == worker and mount.answers()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_fio(box, tmp_path, pattern):
    said = run("fio", str(tmp_path), "--name=v", f"--directory={box}", "--minimal", *FIO, *PATTERNS[pattern].split())
    assert said.count(";v;0;0;") == (2 if "numjobs" in PATTERNS[pattern] else 1), said
    assert sorted(os.listdir(box))[0] == "v.0.0"


@pytest.mark.parametrize("kind", STRESSORS)
def test_stressors(box, tmp_path, kind):
    words = STRESSORS[kind].split()
    flags = [flag for name, count in zip(words[::2], words[1::2]) for flag in (f"--{name}", count)]
    run("stress-ng", str(tmp_path), "--temp-path", box, *flags, "--hdd-bytes", "8m", "--timeout", f"{SECONDS}s", "--verify")
    assert os.listdir(box) == []
