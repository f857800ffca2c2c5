"""kill -9 at chosen and at random moments: nothing accepted is lost, each store gets exactly one object, nothing is left over."""
import threading
import time

import pytest

from conftest import DEEP, LONG, SAMPLE, SEED, nearer
from faults import CALLS
from life import Life
from processes import wait_until

KILLS_PER_LIFE = 8
RANDOM_SAMPLE = 400 if DEEP else SAMPLE // 2


class Lives:
    """One life after another, alternating what its stores are; figures over all of them."""

    def __init__(self, tmp_path, swift, dice):
        self.dir, self.swift, self.dice = tmp_path, swift, dice
        self.life, self.number, self.accepted, self.kills, self.queued, self.slowest = None, 0, 0, 0, 0, 0
        self.emptied, self.named = 0, 0

    def fresh(self, start=True):
        self.end()
        kind = self.number % 3
        self.number += 1
        self.life = Life(self.dir / f"life{self.number}", bucket=self.swift.bucket() if kind != 2 else None, directory=kind != 1,
                         more="durability = close\n" if self.number % 2 == 0 else "")
        return self.life.start() if start else self.life

    def get(self):
        return self.fresh() if not self.life or self.life.kills >= KILLS_PER_LIFE else self.life

    def end(self):
        if self.life:
            life, self.life = self.life, None
            self.accepted += len(life.accepted) + life.emptied + len(life.captured)
            self.emptied += life.emptied
            self.named += len(life.kept)
            self.kills += life.kills
            self.queued += life.queued_at_kills
            self.slowest = max(self.slowest, life.slowest_start)
            life.end()

    def figures(self):
        self.end()
        return (f"{self.kills} kills, {self.accepted} accepted, {self.emptied} of them thrown away, {self.named} queries and datasets, "
                f"{self.queued} rows queued at the kills, 0 lost, 0 twice, "
                f"slowest start {self.slowest:.2f} s")


@pytest.fixture
def lives(tmp_path, swift, dice):
    made = Lives(tmp_path, swift, dice)
    yield made
    if made.life:
        made.life.stop(check=False)
        made.life.camera.stop()


def points(lives, dice):
    """(call, N) of a whole session: all, or a sample that has each call."""
    life = lives.fresh()
    life.faults.forget()
    assert life.session(), "the session does not work even without a kill"
    counts = {c: n for c, n in life.faults.counts().items() if n}
    life.bucket.proxy.add(503)
    life.by_cp()
    life.kill_now()
    assert life.queued_at_kills > 0, "nothing could be sent, and nothing was queued"
    life.bucket.proxy.clear_rules()
    life.judge()
    assert life.emptied > 0 and len(life.kept) == 2, "the session has its trash, a query and a dataset"
    every = [(c, n) for c in counts for n in range(1, counts[c] + 1)]
    if DEEP:
        return counts, every
    calls = sorted(counts)
    picked = [(calls[i % len(calls)], dice.randint(1, counts[calls[i % len(calls)]])) for i in range(SAMPLE)]
    dice.shuffle(picked)
    return counts, picked


@pytest.mark.limit(LONG or 300)
def test_killed_at_the_nth_call(lives, dice, say):
    counts, picked = points(lives, dice)
    reached = killed = 0
    for call, nth in picked:
        for at in nearer(nth):
            life = lives.get()
            life.faults.kill(at, [call])
            try:
                life.session()
                hit = life.died()
                life.kill_now()
                life.judge()
            except AssertionError as e:
                raise AssertionError(f"killed at {call} {at}, seed {SEED}, life {lives.number}: {e}") from e
            reached += hit and at == nth
            killed += hit
            if hit:
                break
    say(f"{reached} of {len(picked)} points reached, {killed - reached} nearer ones; calls of a session: {counts}; {lives.figures()}")
    assert killed == len(picked) and lives.accepted >= 20


@pytest.mark.limit(LONG or 200)
def test_killed_right_after_a_run_of_closes(tmp_path, dice, say):
    """Close returned, and what becomes of the picture is yet to be looked at."""
    life, unlooked = Life(tmp_path / "life").start(), 0
    try:
        for run in range(40):
            if unlooked and run >= 4 and not DEEP:
                break
            life.in_a_row(dice.randint(10, 50))
            life.kill_now()
            unlooked += life.queued("")
            life.judge()
        figures = f"{life.kills} kills, {unlooked} of {len(life.accepted)} accepted were not looked at when they came"
    finally:
        life.end()
    say(figures)
    assert unlooked, figures


@pytest.mark.limit(LONG or 120)
def test_killed_while_it_starts_for_the_first_time(lives, dice, say):
    """The catalog is made, its layout brought up to date: a kill at any of those calls leaves something that starts."""
    life = lives.fresh()
    total = sum(life.faults.counts().values())
    for nth in range(1, total + 1) if DEEP else sorted(dice.sample(range(1, total + 1), 6)):
        life = lives.fresh(start=False)
        life.faults.kill(nth)
        with pytest.raises(AssertionError, match="shutterfs mount ended with -9"):
            life.start()
            time.sleep(0.5)  # beyond the mount, in the background
            life.kill_now()
            raise AssertionError("shutterfs mount ended with -9")
        life.faults.disarm()
        life.detach()
        life.start()
        life.make_camera()
        life.by_cp()
        life.kill_now()
        life.judge()
    say(f"{total} calls of a first start; {lives.figures()}")


def kill_after(life, accepted, seconds):
    wait_until(lambda: len(life.accepted) >= accepted, 120, 0.01)
    time.sleep(seconds)
    life.kill()


@pytest.mark.limit(LONG or 240)
def test_killed_at_random_under_load_and_while_it_recovers(lives, dice, say):
    """Two writers at once, killed once so much was accepted; three kills in a row before anybody looks."""
    least = 0
    for number in range(RANDOM_SAMPLE):
        life = lives.get()
        if life.bucket:
            seconds = dice.choice((0, 0.1, 0.3))
            life.bucket.proxy.add("slow" if number else 503, method="PUT", seconds=seconds)
        more = dice.randint(1, 24)
        least += more
        stop = threading.Thread(target=kill_after, args=(life, len(life.accepted) + more, dice.uniform(0, 1)))
        other = threading.Thread(target=life.second_writer)
        stop.start()
        other.start()
        life.session()
        stop.join()
        other.join()
        if life.bucket:
            life.bucket.proxy.clear_rules()
        life.kill_now()
        for _ in range(dice.choice((0, 0, 2))):
            life.faults.kill(dice.randint(1, 60), dice.choice((CALLS, ("unlink", "rename"), ("link", "fsync", "syncfs"))))
            try:
                life.start()
                time.sleep(dice.uniform(0, 0.3))
            except AssertionError as e:
                assert "ended with -9" in str(e), e
            life.kill_now()
        try:
            life.judge()
        except AssertionError as e:
            raise AssertionError(f"seed {SEED}, life {lives.number}: {e}") from e
    say(lives.figures())
    assert lives.accepted >= least and lives.queued > 0
