"""Power loss: what fsync answered 0 for, or was closed a second ago, is there; what is there is right."""
import contextlib
import os
import shutil
import time

import pytest

import power
from conftest import DEEP, SEED
from life import CAMERA, Accepted, Life, picture, until_it_dies
from power import NAMES, PAGES, STRICT, PowerDisk
from processes import wait_until

CUTS = int(os.environ.get("CRASH_CUTS") or (500 if DEEP else 6))
MARGIN = 1.5  # seconds after close: the promised one, and half of one for a busy machine


class PoweredLife(Life):
    """State, cache and, if there is one, the archive are on the disk; remembers when each upload was closed."""

    def __init__(self, base, disk, archive_too, **kw):
        self.disk = disk
        super().__init__(base, **kw)
        self.state, self.cache = os.path.join(disk.dir, "state"), os.path.join(disk.dir, "cache")
        if archive_too:
            self.archive = os.path.join(disk.dir, "archive")
            self.sections = self.sections.replace(f"{self.base}/archive\n", self.archive + "\n")
        self.write_config()
        self.env["FAULTS_SYNCFS"] = disk.syncfs

    def _accept(self, made):
        super()._accept(made)
        made.closed = time.monotonic()

    def synced_upload(self):
        """fsync returned 0; nobody waits a second."""
        n = self._next()
        name, data = f"synced{n}.jpg", picture(n)
        self.unsure.add(name)
        fd = os.open(self.at("upload", CAMERA, name), os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.unsure.discard(name)
        self._accept(Accepted(n, name, data))
        self.accepted[-1].closed = 0

    def judge_uploads(self):
        """A removal that was not synced may come back."""
        for a in self.accepted:
            if a.upload == "there":
                assert self.read("upload", CAMERA, a.name) == a.data, f"upload/{CAMERA}/{a.name} has other bytes"

    def judge_running(self, *args, **kw):
        """PowerDisk gives the archive's files new inodes and times: objects of which a second cut would leave nothing that is known,
        until a scan has met them."""
        if self.archive.startswith(self.disk.dir):
            self.cli("scan", "archive")
        super().judge_running(*args, **kw)

    def forgive(self, before):
        """What was closed later than `before` is not promised yet: there or not, it must only not be wrong."""
        late = [a for a in self.accepted if a.closed > before]
        self.accepted = [a for a in self.accepted if a.closed <= before]
        self.unsure.update(a.name for a in late)
        return late


@pytest.fixture
def disks(tmp_path):
    reason = power.missing()
    if reason:
        pytest.skip(reason)
    made = []

    def make():
        made.append(PowerDisk(tmp_path / f"power{len(made)}"))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


def wait_a_little(life, dice):
    time.sleep(dice.choice((0, 0, 0.3, MARGIN, 2.5)))


def die_at_a_sync(life):
    """So that there is something which is not on disk."""
    life.faults.kill(1, ("fsync", "fdatasync", "syncfs"))
    until_it_dies(life.in_place)
    wait_until(life.died, 20, 0.02)


def load(life, dice, until):
    """Uploads of all kinds until the time is over, however slow the machine: some."""
    for step in (life.make_camera, life.by_rsync, life.synced_upload):
        until_it_dies(step)
    kinds = [life.in_place, life.by_cp, life.by_rename, life.by_rsync, life.synced_upload, life.synced_upload, life.remove, life.rewrite,
             lambda: life.with_sidecar(True), life.read_some]
    while time.monotonic() < until and until_it_dies(dice.choice(kinds)):
        time.sleep(dice.choice((0, 0, 0.05, 0.3)))


@pytest.mark.limit(100000 if DEEP or "CRASH_CUTS" in os.environ else 220)
@pytest.mark.parametrize("durability", ("lazy", "close"))
def test_power_cut(disks, tmp_path, swift, dice, say, durability):
    cuts = accepted = lost = queued = promised = forgiven = 0
    for number in range(-(-CUTS // 3)):
        disk = disks()
        life = PoweredLife(tmp_path / f"life-{number}", disk, archive_too=number % 2 == 0, directory=number % 2 == 0,
                           bucket=swift.bucket() if number % 2 else None, more=f"durability = {durability}\n")
        try:
            life.start()
            for mode in dice.sample((STRICT, NAMES, PAGES), 3):
                if life.bucket and not life.kills:
                    life.bucket.proxy.add(503, method="PUT")
                load(life, dice, time.monotonic() + dice.uniform(0.5, 2.5))
                wait_a_little(life, dice)
                dead = time.monotonic()
                if mode == STRICT:
                    die_at_a_sync(life)
                life.kill_now()
                if life.bucket:
                    life.bucket.proxy.clear_rules()
                late = life.forgive(dead - MARGIN) if durability == "lazy" else []
                lost += disk.cut(mode, dice)
                cuts += 1
                promised += len(life.accepted)
                forgiven += len(late)
                try:
                    life.judge(unpromised=late, notes=True)
                except (AssertionError, OSError) as e:
                    with contextlib.suppress(shutil.Error):  # it goes on meanwhile
                        shutil.copytree(life.state, tmp_path / 'failed', ignore=shutil.ignore_patterns('*.sock'))
                    raise AssertionError(f"cut {cuts} ({mode}, archive on it: {number % 2 == 0}), seed {SEED}: {e}") from e
            accepted += len(life.accepted)
            queued += life.queued_at_kills
            life.end()
        finally:
            if life.process:
                life.stop(check=False)
            life.camera.stop()
            disk.close()
    say(f"{cuts} cuts, {lost} files changed by them, {accepted} uploads kept as promised ({promised} times looked at), {forgiven} were "
        f"closed too late to be promised, {queued} rows queued, 0 lost")
    assert lost > 0 and accepted >= cuts and queued > 0
