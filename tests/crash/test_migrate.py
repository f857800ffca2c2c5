"""kill -9 while a catalog of an earlier version is brought up to date: pictures, labels and queued uploads are all there after it."""
import bisect
import contextlib
import os
import shutil
import sqlite3

import pytest

from conftest import DEEP, LONG, SAMPLE, Done, is_ours
from life import Life
from older import make_older, scripts, version_of

TODAY = len(scripts())


def version_left(life):
    made = life.catalog()
    with contextlib.closing(sqlite3.connect(os.path.join(made, "catalog.db"))) as db:
        found = version_of(db)
    shutil.rmtree(made)
    return found


class Migrations:
    """The same archive of that version, again and again."""

    def __init__(self, tmp_path, swift, version):
        self.dir, self.swift, self.number = tmp_path, swift, 0
        self.old = Life(tmp_path / "old", bucket=swift.bucket(), directory=False)
        self.old.start()
        try:
            self.old.bucket.proxy.add(503, method="PUT")  # nothing can be sent there
            for step in self.old.early_steps():
                step()
            self.old.kill_now()
        finally:
            self.old.end()
        make_older(os.path.join(self.old.state, "catalog.db"), version)
        assert version_left(self.old) == version and self.old.queued() >= len(self.old.accepted)

    def again(self):
        self.number += 1
        life = Life(self.dir / f"life{self.number}", bucket=self.swift.bucket(), directory=False)
        life.take_over(self.old)
        return life

    def killed_at(self, nth):
        """One that died at its Nth call of a start."""
        life = self.again()
        life.faults.kill(nth)
        with pytest.raises(AssertionError, match="shutterfs mount ended with -9"):
            life.start()
        life.kill_now()
        return life

    def judged_at(self, nth):
        """The version that a kill there left."""
        life = self.killed_at(nth)
        try:
            found = version_left(life)
            life.judge()
            assert version_left(life) == TODAY
        finally:
            life.end()
        shutil.rmtree(life.base)
        return found

    def version_at(self, nth):
        life = self.killed_at(nth)
        life.end()
        found = version_left(life)
        shutil.rmtree(life.base)
        return found


@pytest.mark.limit(LONG or 240)
@pytest.mark.parametrize("version", (1, TODAY - 1))
def test_killed_while_it_migrates(tmp_path, swift, dice, say, version):
    migrations = Migrations(tmp_path, swift, version)
    life = migrations.again()
    life.start()
    calls = sum(life.faults.counts().values())
    life.kill_now()
    life.judge()
    life.end()
    last = bisect.bisect_left(range(1, calls), TODAY, key=migrations.version_at) + 1  # a kill there finds it done
    some = [*dice.sample(range(1, last - 1), SAMPLE // 2), last - 1, last]
    picked = [n for n in range(1, last + 1) if is_ours(n)] if DEEP else some
    done, met = Done(f"migrate_{version}", [("any", n) for n in picked], say), {}
    for call, nth in done.left():
        with done.trying(call, nth, lambda: None) as tried:
            met[nth] = migrations.judged_at(nth)
            tried.at = nth
    say(f"from version {version}: {done.figures()}; {last} calls, which left versions {sorted(set(met.values()))}; "
        f"{len(migrations.old.accepted)} pictures, {migrations.old.queued()} rows queued, 0 lost")
    done.end()
    assert met.get(last, TODAY) == TODAY and met.get(last - 1, TODAY - 1) == TODAY - 1
    assert done.earlier or version in met.values()
