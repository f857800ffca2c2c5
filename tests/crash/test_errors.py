"""EIO and ENOSPC at the Nth change of a file: an error is told or got over, nothing accepted is lost, the next call works."""
import errno
import os
import subprocess

import pytest

from conftest import DEEP, LONG, SAMPLE, SEED, nearer
from life import Life
from test_kill import lives  # noqa: F401, the fixture

ERRORS = (errno.EIO, errno.ENOSPC)
SESSIONS_PER_LIFE = 6
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


@pytest.mark.limit(LONG or 300)
def test_an_error_at_the_nth_call(lives, dice, say):
    life = lives.fresh()
    life.faults.forget()
    assert life.session()
    counts = {c: n for c, n in life.faults.counts().items() if n}
    if DEEP:
        picked = [(c, n, e) for c in counts for n in range(1, counts[c] + 1) for e in ERRORS]
    else:
        calls = sorted(counts)
        picked = [(c, dice.randint(1, counts[c]), dice.choice(ERRORS)) for c in dice.choices(calls, k=SAMPLE // 4)]
    hit = 0
    for number, (call, nth, error) in enumerate(picked):
        life = lives.fresh() if number % SESSIONS_PER_LIFE == 0 else life
        repeat = dice.choice(REPEATS)
        try:
            for at in nearer(nth):
                life.faults.fail(at, error, [call], repeat)
                everything(life)
                if life.faults.hits():
                    hit += 1
                    break
            life.faults.disarm()
            life.judge_running(leftovers=False)  # what could not be removed is, at the next start
            life.kill_now()
            life.judge()
        except AssertionError as e:
            raise AssertionError(f"{errno.errorcode[error]} x{repeat} at {call} {nth}, seed {SEED}, life {lives.number}: {e}") from e
    say(f"{hit} of {len(picked)} errors met; {lives.figures()}")
    assert hit == len(picked) and lives.accepted >= 20


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
