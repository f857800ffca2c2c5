"""EIO and ENOSPC at the Nth change of a file: an error is told or got over, nothing accepted is lost, the next call works."""
import errno
import os
import subprocess

import pytest

from conftest import DEEP, LONG, SAMPLE, Done, is_ours, nearer
from life import Life
from test_kill import lives  # noqa: F401, the fixture

ERRORS = (errno.EIO, errno.ENOSPC)
REPEATS = (1, 1, 3, 12)  # calls that fail in a row


def patient(life, step):
    """A user who is told of an error tries again; what was told to have worked is accepted."""
    for _ in range(REPEATS[-1] + 3):
        try:
            step()
            return 0
        except (OSError, AssertionError, subprocess.TimeoutExpired) as e:
            assert not life.died(), f"the daemon died of an error: {life.log_text()[-3000:]}\n{life.report_text()[-4000:]}"
            life.told, last = True, e
            life.make_camera()
    raise AssertionError(f"again and again: {last}")


def everything(life):
    for step in life.steps():
        patient(life, step)


def points(counts, dice):
    """(call:error, N) of a session: all, or a sample."""
    names = [errno.errorcode[e] for e in ERRORS]
    if not DEEP:
        calls = dice.choices(sorted(counts), k=SAMPLE // 4)
        return [(f"{c}:{dice.choice(names)}", dice.randint(1, counts[c])) for c in calls]
    every = [(f"{c}:{name}", n) for c in counts for name in names for n in range(1, counts[c] + 1) if is_ours(n)]
    return dice.sample(every, len(every))


def failed_at(life, call, error, nth):
    """How near to that call a session met the error, 0: not at all; what it left is judged."""
    met = 0
    for at in nearer(nth):
        life.faults.fail(at, error, [call], REPEATS[nth % len(REPEATS)])
        everything(life)
        if life.faults.hits():
            met = at
            break
    life.faults.disarm()
    life.judge_running(leftovers=False)  # what could not be removed is, at the next start
    life.kill_now()
    life.judge()
    return met


@pytest.mark.limit(LONG or 300)
def test_an_error_at_the_nth_call(lives, dice, say):
    life = lives.fresh()
    life.faults.forget()
    assert life.session()
    counts = {c: n for c, n in life.faults.counts().items() if n}
    done = Done("errors", points(counts, dice), say)
    for what, nth in done.left():
        call, name = what.split(":")
        with done.trying(what, nth, lives.drop) as tried:
            tried.at = failed_at(lives.get(), call, getattr(errno, name), nth)
    say(f"{done.figures()}; {lives.figures()}")
    done.end()
    assert lives.accepted >= 20


class SmallLife(Life):
    def __init__(self, base, disk, **kw):
        super().__init__(base, **kw)
        self.state = os.path.join(disk, "state")
        self.cache = os.path.join(disk, "cache")
        self.write_config()


@pytest.mark.limit(120)
def test_a_full_disk(small_disk, tmp_path, swift, dice, say):
    """The state's disk fills up while its store is away: writers are told; once there is room all that was accepted goes on."""
    bucket = swift.bucket()
    life = SmallLife(tmp_path / "life", str(small_disk("2M", "small")), bucket=bucket, directory=False)
    life.start()
    try:
        life.make_camera()
        bucket.proxy.add(503)
        refused = 0
        for _ in range(400):
            try:
                dice.choice((life.by_cp, life.in_place, life.by_rename))()
            except (OSError, AssertionError):
                refused += 1
                assert not life.died(), life.log_text()[-3000:]
            if refused > 20:
                break
        assert refused > 20 and len(life.accepted) > 20, (refused, len(life.accepted))
        life.kill_now()
        life.faults.disarm()
        bucket.proxy.clear_rules()
        life.judge(wait=60)
        say(f"{refused} refused, {len(life.accepted)} accepted, {life.queued_at_kills} rows queued, 0 lost")
    finally:
        life.end()
