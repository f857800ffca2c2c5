"""kill -9 at chosen and at random moments: nothing accepted is lost, each store gets exactly one object, nothing is left over."""
import shutil
import threading
import time

import pytest

from conftest import DEEP, LONG, SAMPLE, SEED, Done, is_ours, nearer
from faults import CALLS
from life import Life
from processes import wait_until

KILLS_PER_LIFE = 4
KINDS, LONG_KINDS = 6, (3, 4)  # one of these makes the most calls of each sort: all stores and durability = close, S3 alone
RANDOM_SAMPLE = 400 if DEEP else SAMPLE // 2


class Lives:
    """One life after another, alternating what its stores are; figures over all of them."""

    def __init__(self, tmp_path, swift, dice):
        self.dir, self.swift, self.dice = tmp_path, swift, dice
        self.life, self.number, self.accepted, self.kills, self.queued, self.slowest = None, 0, 0, 0, 0, 0
        self.emptied, self.named = 0, 0
        self.most = {}     # {what a session was like: its calls}
        self.longest = {}  # {call: kind of life that makes the most of it}

    def fresh(self, start=True, kind=None):
        self.end()
        kind = self.number % KINDS if kind is None else kind
        self.number += 1
        self.life = Life(self.dir / f"life{self.number}", bucket=self.swift.bucket() if kind % 3 != 2 else None,
                         directory=kind % 3 != 1, more="durability = close\n" if kind % 2 else "")
        self.life.kind = kind
        return self.life.start() if start else self.life

    def get(self):
        return self.fresh() if not self.life or self.life.kills >= KILLS_PER_LIFE else self.life

    def reaching(self, call, nth):
        """One whose next session is not known to end before that call."""
        life = self.get()
        most = self.most.get(self.like(life))
        return self.fresh(kind=self.longest[call]) if most and most[call] < nth else life

    @staticmethod
    def like(life):
        return life.kind, life.kills > 0

    def lived(self, like):
        """Such a session was not killed."""
        self.most[like] = self.life.faults.counts()

    def drop(self):
        """One that a judge found wrong."""
        life, self.life = self.life, None
        if life:
            life.stop(check=False)
            life.camera.stop()

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
            shutil.rmtree(life.base)

    def figures(self):
        self.end()
        return (f"{self.kills} kills, {self.accepted} accepted, {self.emptied} of them thrown away, {self.named} queries and datasets, "
                f"{self.queued} rows queued at the kills, 0 lost, 0 twice, "
                f"slowest start {self.slowest:.2f} s")


@pytest.fixture
def lives(tmp_path, swift, dice):
    made = Lives(tmp_path, swift, dice)
    yield made
    made.drop()


def count(lives):
    """{call: how many a session makes that makes the most of it}"""
    made = {}
    for kind in LONG_KINDS:
        life = lives.fresh(kind=kind)
        life.faults.forget()
        assert life.session(), "the session does not work even without a kill"
        for call, n in life.faults.counts().items():
            if n > made.get(call, 0):
                made[call], lives.longest[call] = n, kind
    life.bucket.proxy.add(503)
    life.by_cp()
    life.kill_now()
    assert life.queued_at_kills > 0, "nothing could be sent, and nothing was queued"
    life.bucket.proxy.clear_rules()
    life.judge()
    assert life.emptied > 0 and len(life.kept) == 2, "the session has its trash, a query and a dataset"
    return made


def points(counts, dice):
    """(call, N) of a whole session: all, the most frequent call's last, or a sample that has each call."""
    calls = sorted(counts)
    if not DEEP:
        picked = [(calls[i % len(calls)], dice.randint(1, counts[calls[i % len(calls)]])) for i in range(SAMPLE)]
        return dice.sample(picked, SAMPLE)
    picked = [(c, n) for c in calls for n in range(1, counts[c] + 1) if is_ours(n)]
    most = max(calls, key=counts.get)
    return sorted(dice.sample(picked, len(picked)), key=lambda point: point[0] == most)


def killed_at(lives, life, call, nth):
    """True: a session died at that call and was judged; False: it makes fewer of them."""
    like = lives.like(life)
    life.faults.forget()
    life.faults.kill(nth, [call])
    life.session()
    hit = life.died()
    if not hit:
        lives.lived(like)
    life.kill_now()
    life.judge()
    return hit


def first_killed_at(lives, call, nth):
    """How near to that call a session could be killed: another kind of life makes more calls."""
    if killed_at(lives, lives.reaching(call, nth), call, nth):
        return nth
    for at in nearer(nth):
        if killed_at(lives, lives.fresh(kind=lives.longest[call]), call, at):
            return at
    return 0


@pytest.mark.limit(LONG or 300)
def test_killed_at_the_nth_call(lives, dice, say):
    counts = count(lives)
    picked = points(counts, dice)
    done = Done("nth_call", picked, say)
    for call, nth in done.left():
        with done.trying(call, nth, lives.drop) as tried:
            tried.at = first_killed_at(lives, call, nth)
    say(f"{done.figures()}; a session's calls: {counts}; {lives.figures()}")
    done.end()
    assert lives.accepted >= 20


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


def killed_in_its_first_start(lives, nth):
    """True: at that call; False: it makes fewer, and was killed soon after."""
    life = lives.fresh(start=False, kind=LONG_KINDS[0])
    life.faults.kill(nth)
    with pytest.raises(AssertionError, match="shutterfs mount ended with -9"):
        life.start()
        time.sleep(0.5)  # beyond the mount, in the background
        life.kill_now()
        raise AssertionError("shutterfs mount ended with -9")
    hit = life.faults.hits() > 0
    life.faults.disarm()
    life.detach()
    life.start()
    life.make_camera()
    life.by_cp()
    life.kill_now()
    life.judge()
    return hit


@pytest.mark.limit(LONG or 120)
def test_killed_while_it_starts_for_the_first_time(lives, dice, say):
    """The catalog is made, its layout brought up to date: a kill at any of those calls leaves something that starts."""
    life = lives.fresh(kind=LONG_KINDS[0])
    total = sum(life.faults.counts().values())
    picked = [n for n in range(1, total + 1) if is_ours(n)] if DEEP else sorted(dice.sample(range(1, total + 1), 6))
    done = Done("first_start", [("any", n) for n in picked], say)
    for call, nth in done.left():
        with done.trying(call, nth, lives.drop) as tried:
            tried.at = nth if killed_in_its_first_start(lives, nth) else total
    say(f"{done.figures()}; a first start's calls: {total}; {lives.figures()}")
    done.end()


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
