"""Bytes in upload/ are those that were written: fsx.c at random, with restarts of the mount between its runs and its worker killed
under it.  FSX_SEED=n to do the same again; DEEP=1 for a million operations."""
import os
import random
import subprocess
import threading
import time

import pytest

import mount as mounts
import pictures
from processes import clean_env, wait_until

DEEP = bool(os.environ.get("DEEP"))
SEED = int(os.environ.get("FSX_SEED") or random.SystemRandom().randrange(1 << 30))
ROUNDS, OPERATIONS, SECONDS = (20, 25_000, 900) if DEEP else (3, 25_000, 2)
HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("fsx") / "fsx")
    subprocess.run(["cc", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-o", out, os.path.join(HERE, "fsx.c")], check=True)
    return out


@pytest.fixture
def fsx(program, tmp_path, capsys):
    """Runs it on a file, going on from the model of the run before; counts what was done."""
    done = []

    def run(path, seconds=SECONDS, operations=OPERATIONS):
        seed = SEED + len(done)
        p = subprocess.run([program, path, str(tmp_path / "model"), str(seed), str(operations), str(seconds)], env=clean_env(),
                           capture_output=True, text=True, timeout=seconds + 60)
        assert p.returncode == 0, f"FSX_SEED={SEED}, run {len(done)} ({p.returncode}): {p.stderr}"
        done.append(int(p.stdout))
        return done[-1]

    began = time.monotonic()
    yield run
    with capsys.disabled():
        print(f"\nfsx: {sum(done)} operations in {len(done)} runs, {time.monotonic() - began:.0f} s, FSX_SEED={SEED}", flush=True)
    assert sum(done) >= 100 * len(done), "too little was done to prove anything"


@pytest.mark.limit(20_000 if DEEP else 120)
@pytest.mark.parametrize("name", ["a.bin", "a.jpg"])
def test_random_changes(mount, fsx, name):
    """The second name is one of those that are looked into: it is taken for a broken picture whenever it is left alone."""
    os.mkdir(mount.at("upload", "box"))
    for _ in range(ROUNDS):
        fsx(mount.at("upload", "box", name))
        mount.restart()
    fsx(mount.at("upload", "box", name), operations=100)


@pytest.mark.limit(2_000 if DEEP else 120)
def test_a_registered_picture_is_written_again(mount, fsx, tmp_path):
    """Its bytes are the spool's: they must be copied, once, before the first change, and the snapshot stay as it is."""
    for n in range(30 if DEEP else 3):
        data = pictures.picture(n, pictures.moment(n), "+00:00", width=160)
        up = mount.upload("front", f"p{n}.jpg", data)
        # what was changed and is whole by chance is a snapshot of its own
        shot = wait_until(lambda: next((p for p in mount.snapshots() if mount.read(p) == data), None), what="the snapshot")
        (tmp_path / "model").write_bytes(data)
        fsx(mount.at(up), operations=1000)
        assert mount.read(shot) == data


@pytest.mark.skipif(not mounts.resends(), reason="this kernel cannot ask again what was not answered")
@pytest.mark.limit(2_000 if DEEP else 120)
def test_workers_die_under_it(mount, fsx):
    os.mkdir(mount.at("upload", "box"))
    for _ in range(30 if DEEP else 1):
        over, kills = threading.Event(), []

        def kill():
            # one more in a row and the mount would be made anew
            while not over.wait(0.7) and len(kills) < 7:
                mount.replace_worker()
                kills.append(1)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            fsx(mount.at("upload", "box", "a.bin"), seconds=4, operations=1 << 40)
        finally:
            over.set()
            killer.join()
        assert kills
        mount.restart()
