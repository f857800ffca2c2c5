"""What the crash tests share: how deep to go, and the seed that a failure can be had again with."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

DEEP = bool(os.environ.get("DEEP"))
LONG = 100000 if DEEP or os.environ.get("CRASH_POINTS") else 0  # seconds
SAMPLE = int(os.environ.get("CRASH_POINTS") or 12)
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(1 << 30))


def pytest_report_header(config):
    return f"crash: seed {SEED} (CRASH_SEED), {'all points' if DEEP else 'a sample'}"


def nearer(nth):
    """That point, and nearer ones: how many calls a session makes depends on how fast the machine is, but it makes one."""
    while nth > 0:
        yield nth
        nth //= 2


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
