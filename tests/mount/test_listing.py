"""What a listing costs: attributes come with the names, in one request for many; who wants names alone gets no more."""
import os
import re
import subprocess

import pytest

import synth
from processes import clean_env

DAYS = 3


@pytest.fixture
def logged(make_mount, tmp_path):
    """A catalog of three days; libfuse names every request in the log."""
    m = make_mount(stores=f'[store "cloud"]\ndriver = dir\npath = {tmp_path}\n', more="sidecars = ghost\n",
                   options=("-o", "debug"), start=False)
    m.start()
    m.stop()
    synth.fill_catalog(os.path.join(m.state, "catalog.db"), DAYS * synth.CAMERAS * synth.PER_DAY)
    return m.start()


def day(m, n, camera=4):
    return m.at("cameras", synth.camera(camera), synth.date(n))


def requests(m, what, where):
    """How many of them the kernel sent about the directory."""
    inode = os.stat(where).st_ino
    return len(re.findall(rf"opcode: {what} \(\d+\), nodeid: {inode},", m.log_text()))


def names(n, camera=4):
    return [synth.stem(n, i, camera + 1) + ".jpg" for i in range(synth.PER_DAY)]


def find(*where):
    done = subprocess.run(["find", *where, "-type", "f", "-printf", "%f\\n"], stdout=subprocess.PIPE, check=True, text=True,
                          env=clean_env())
    return done.stdout.splitlines()


def stat_all(where):
    return [os.stat(os.path.join(where, name)).st_size for name in sorted(os.listdir(where))]


def test_who_looks_asks_once_for_each_directory(logged):
    for n in range(DAYS):
        assert stat_all(day(logged, n)) == [synth.SIZE] * synth.PER_DAY
        assert requests(logged, "LOOKUP", day(logged, n)) == 1
    asked = requests(logged, "READDIRPLUS", day(logged, 1))
    assert asked < synth.PER_DAY / 20
    assert os.listdir(day(logged, 1)) == names(1)
    assert requests(logged, "READDIRPLUS", day(logged, 1)) == asked, "the kernel keeps the listing"


def test_who_does_not_look_gets_names_alone(logged):
    days = [day(logged, n) for n in range(DAYS)]
    assert find(*days) == names(0) + names(1) + names(2)
    assert [requests(logged, "LOOKUP", d) for d in days] == [0] * DAYS
    # only the first came with attributes
    for n, d in enumerate(days):
        for name in names(n)[-20:]:
            assert os.stat(os.path.join(d, name)).st_size == synth.SIZE
    assert [requests(logged, "LOOKUP", d) for d in days] == [0, 20, 20]


def test_names_alone_are_not_what_the_next_one_gets(logged):
    assert len(find(day(logged, 0), day(logged, 1))) == 2 * synth.PER_DAY
    assert stat_all(day(logged, 1)) == [synth.SIZE] * synth.PER_DAY
    assert requests(logged, "LOOKUP", day(logged, 1)) == 1


def test_who_begins_to_look_gets_attributes_again(logged):
    assert [os.listdir(day(logged, n)) for n in range(2)] == [names(0), names(1)]
    assert os.stat(os.path.join(day(logged, 1), names(1)[500])).st_size == synth.SIZE
    assert stat_all(day(logged, 2)) == [synth.SIZE] * synth.PER_DAY
    assert requests(logged, "LOOKUP", day(logged, 2)) == 1
