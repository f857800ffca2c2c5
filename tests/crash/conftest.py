"""What the crash tests share: how deep to go, and the seed that a failure can be had again with."""
import collections
import contextlib
import os
import random
import subprocess
import sys
import traceback

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import swift as swifts
from light import Light

DEEP = bool(os.environ.get("DEEP"))
LONG = 100000 if DEEP or os.environ.get("CRASH_POINTS") else 0  # seconds
SAMPLE = int(os.environ.get("CRASH_POINTS") or 12)
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(1 << 30))
PART, PARTS = map(int, (os.environ.get("CRASH_PART") or "1/1").split("/"))
MOST_FAILED = 20
WRONG = (AssertionError, OSError, subprocess.TimeoutExpired, pytest.fail.Exception)  # what a judge says


def pytest_report_header(config):
    return f"crash: seed {SEED} (CRASH_SEED), {'all points' if DEEP else 'a sample'}, part {PART}/{PARTS} (CRASH_PART)"


def is_ours(nth):
    """Of several runs that share the points, each has every n-th."""
    return nth % PARTS == PART - 1


class Tried:
    at = 0  # the point that was reached; 0: none


class Done:
    """The points (call, N) that are gone through.  One that fails does not keep the others from being tried; with $CRASH_DONE they
    are noted in that file, and a later run leaves them out, but for those that failed."""

    def __init__(self, test, picked, say):
        self.test, self.picked, self.say, self.reached, self.failed = test, picked, say, [], []
        self.path, self.earlier = os.environ.get("CRASH_DONE"), set()
        if self.path and os.path.exists(self.path):
            with open(self.path) as f:
                rows = [line.split() for line in f]
            self.earlier = {(row[1], int(row[2])) for row in rows if row[0] == test and row[3] != "failed"}

    def left(self):
        return [point for point in self.picked if point not in self.earlier]

    @contextlib.contextmanager
    def trying(self, call, nth, drop):
        """drop: takes away what failed."""
        tried = Tried()
        try:
            yield tried
            assert tried.at, "not one call was met"
        except WRONG as e:
            where = "".join(traceback.format_exception(e, limit=-4))
            self.failed.append(f"at {call} {nth}, seed {SEED}, part {PART}/{PARTS}: {where}")
            self.say(f"FAILED: {self.failed[-1]}")
            self._note(call, nth, "failed")
            drop()
            assert len(self.failed) < MOST_FAILED, self._all_failed()
        else:
            self._note(call, nth, tried.at)
            self.reached.append((call, nth, tried.at))
            if DEEP and len(self.reached) % 50 == 0:
                self.say(self.figures())

    def _note(self, call, nth, how):
        if self.path:
            with open(self.path, "a") as f:
                f.write(f"{self.test} {call} {nth} {how}\n")

    def _all_failed(self):
        return "\n\n".join(self.failed)

    def figures(self):
        exact = collections.Counter(call for call, nth, at in self.reached if at == nth)
        return (f"{exact.total()} of {len(self.picked)} points reached, {len(self.reached) - exact.total()} nearer ones, "
                f"{len(self.earlier)} in an earlier run, {len(self.failed)} failed: {dict(exact)}")

    def end(self):
        assert not self.failed, self._all_failed()


def nearer(nth):
    """That point, and nearer ones: how many calls a session makes depends on how fast the machine is, but it makes one."""
    while nth > 0:
        yield nth
        nth //= 2


@pytest.fixture(scope="session")
def swift():
    """For all points a server that costs little: Swift would have most of the machine."""
    reason = None if DEEP else swifts.missing()
    if reason:
        pytest.skip(reason)
    server = Light() if DEEP else swifts.Swift()
    yield server
    server.stop()


@pytest.fixture
def dice(request):
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def say(request, capsys):
    """Prints a line past pytest's capture: the figures of a run are its result."""
    def line(text):
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}", flush=True)

    return line
