"""What the crash tests share: how deep to go, and the seed that a failure can be had again with."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

DEEP = bool(os.environ.get("DEEP"))
SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(1 << 30))


def pytest_report_header(config):
    return f"crash: seed {SEED} (CRASH_SEED), {'all points' if DEEP else 'a sample'}"


def proved(enough, figures):
    """A run that met too little (a sample, on a busy machine) proves nothing, which is no fault of the product; all points must."""
    if DEEP:
        assert enough, f"the test must have tested something: {figures}"
    elif not enough:
        pytest.skip(f"too little was met to prove anything: {figures}")


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
