"""kill -9 while a catalog of an earlier version is brought up to date: pictures, labels and queued uploads are all there after it."""
import bisect
import contextlib
import os
import shutil
import sqlite3

import pytest

from conftest import DEEP, LONG, SAMPLE, SEED
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
    met = []
    for nth in range(1, last + 1) if DEEP else [*sorted(dice.sample(range(1, last - 1), SAMPLE // 2)), last - 1, last]:
        try:
            life = migrations.killed_at(nth)
            met.append(version_left(life))
            life.judge()
            assert version_left(life) == TODAY
        except AssertionError as e:
            raise AssertionError(f"killed at call {nth}, seed {SEED}: {e}") from e
        finally:
            life.end()
        shutil.rmtree(life.base)
    say(f"from version {version}: {len(met)} kills at {last} calls, which left versions {sorted(set(met))}; "
        f"{len(migrations.old.accepted)} pictures, {migrations.old.queued()} rows queued, 0 lost")
    assert met[-2:] == [TODAY - 1, TODAY] and version in met
