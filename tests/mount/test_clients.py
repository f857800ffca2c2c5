"""Programs that read the tree: du, find, tar, cp -a, rsync -aH see one file with several names, not several files."""
import os
import subprocess

import pytest

import collection
import swift as swifts
from processes import run


@pytest.fixture
def filled(mount):
    return mount, collection.fill(mount)


def test_du_counts_a_snapshot_once(filled):
    m, shots = filled
    views = [m.at(v) for v in ("cameras", "dates", "labels", "starred")]
    pictures_only = ["--apparent-size", "-b", "-c", "--exclude=*.json"]
    both = int(run(["du", *pictures_only, *views]).stdout.splitlines()[-1].split()[0])
    folders = sum(os.lstat(w).st_size for v in views for w, _, _ in os.walk(v))
    links = sum(os.lstat(os.path.join(w, n)).st_size for w, _, names in os.walk(m.at("cameras")) for n in names
                if os.path.islink(os.path.join(w, n)))
    assert both - folders - links == sum(len(s.data) for s in shots)


def test_du_of_what_is_remote_is_nothing(make_mount, bucket):
    made = swifts.fill(bucket, 20, width=800)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    cold = int(run(["du", "-s", "-k", "--exclude=*.json", m.at("cameras")]).stdout.split()[0])
    assert cold * 1024 < sum(map(len, made.values())) / 10
    for path in made:
        m.read(path)
    warm = int(run(["du", "-s", "-k", "--exclude=*.json", m.at("cameras")]).stdout.split()[0])
    assert warm * 1024 >= sum(map(len, made.values()))


def test_find(filled):
    m, shots = filled
    assert int(run(["sh", "-c", f"find {m.mnt}/cameras -type f -name '*.jpg' | wc -l"]).stdout) == len(shots)
    same = run(["find", m.mnt, "-samefile", m.at(shots[2].path)]).stdout.split()
    assert sorted(os.path.relpath(p, m.mnt) for p in same) == shots[2].names
    assert run(["find", m.at("cameras"), "-newermt", "2024-03-06", "-name", "*.jpg", "-type", "f"]).stdout.count("\n") == \
        sum(s.day >= "2024-03-06" for s in shots)
    assert run(["find", m.at("cameras"), "-type", "f", "-size", "0"]).stdout == ""
    assert run(["find", m.mnt, "-xdev", "!", "-type", "l", "-perm", "/022"]).stdout == ""


def test_tar_keeps_one_copy(filled, tmp_path):
    m, shots = filled
    run(["tar", "-C", m.mnt, "-cf", tmp_path / "t.tar", "cameras", "dates", "labels", "starred"])
    listed = run(["tar", "-tvf", tmp_path / "t.tar"]).stdout.splitlines()
    whole = [line for line in listed if line.startswith("-") and line.endswith(".jpg")]
    links = [line for line in listed if line.startswith("h")]
    assert len(whole) == len(shots) and len(links) == sum(len(s.names) for s in shots) - len(shots)
    (tmp_path / "out").mkdir()
    run(["tar", "-C", tmp_path / "out", "-xf", tmp_path / "t.tar"])
    for shot in shots:
        for name in shot.names:
            assert (tmp_path / "out" / name).read_bytes() == shot.data
        assert int((tmp_path / "out" / shot.path).stat().st_mtime) == int(os.stat(m.at(shot.path)).st_mtime)


def test_cp_a_keeps_one_copy(filled, tmp_path):
    m, shots = filled
    views = [m.at(v) for v in ("cameras", "dates", "labels", "starred")]
    run(["cp", "-a", *views, tmp_path])
    for shot in shots:
        inodes = {(tmp_path / name).stat().st_ino for name in shot.names}
        assert len(inodes) == 1
        assert (tmp_path / shot.path).read_bytes() == shot.data


def test_rsync_out_keeps_one_copy_and_is_idempotent(filled, tmp_path):
    m, shots = filled
    m.sync()   # which changes the state that sidecars tell
    args = ["rsync", "-aH", "--stats", *(m.at(v) for v in ("cameras", "dates", "labels", "starred")), f"{tmp_path}/out/"]
    run(args)
    for shot in shots:
        assert len({(tmp_path / "out" / name).stat().st_ino for name in shot.names}) == 1
        assert (tmp_path / "out" / shot.path).read_bytes() == shot.data
    assert "files transferred: 0" in run(args).stdout
    m.restart()
    assert "files transferred: 0" in run(args).stdout
    assert "files transferred: 0" in run(["rsync", "--checksum", *args[1:]]).stdout


def test_cp_r_of_a_cold_tree(make_mount, bucket, tmp_path):
    """A reader in listing order gets everything, each object fetched once."""
    made = swifts.fill(bucket, 80)
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.cli("scan", "cloud")
    bucket.proxy.forget()
    run(["cp", "-r", m.at("cameras"), tmp_path])
    for path, data in made.items():
        assert (tmp_path / path).read_bytes() == data
    assert sorted(r.key for r in bucket.proxy.gets()) == sorted(map(swifts.key_of, made))


def test_labels_are_an_image_folder(filled):
    """What torchvision's ImageFolder does: classes are the directories, every class has pictures, nothing else."""
    m, shots = filled
    root = m.at("labels/object")
    classes = sorted(e.name for e in os.scandir(root) if e.is_dir())
    assert classes == ["car", "person"]
    for name in classes:
        files = [os.path.join(w, n) for w, _, names in os.walk(os.path.join(root, name), followlinks=True) for n in names]
        assert files and all(n.endswith(".jpg") for n in files)
        assert len(files) == sum(("object", name) in s.labels for s in shots)


def test_every_picture_decodes(filled):
    m, shots = filled
    for shot in shots:
        run(["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", m.at(shot.path), "-f", "null", "-"])


def test_concurrent_readers_of_everything(filled):
    m, shots = filled
    m.sync()   # a directory that changes is a reason for tar to complain
    jobs = [subprocess.Popen(["tar", "-C", m.mnt, "-cf", "/dev/null", "cameras", "dates", "labels", "upload"],
                             stderr=subprocess.PIPE) for _ in range(6)]
    for job in jobs:
        _, said = job.communicate(timeout=60)
        assert job.returncode == 0, said
