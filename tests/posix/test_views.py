"""What cannot be changed in the views says why: views.txt has a column per place and a row per call, and no attempt changes anything."""
import json
import os
import re

import pytest

import mount as mounts
import pictures
import table

HERE = os.path.dirname(os.path.abspath(__file__))
LABELS = {"version": 1, "labels": [{"kind": "object", "value": "cat"}]}


def rows():
    """[(call, {place: wanted})] of views.txt: its first line names the places."""
    with open(os.path.join(HERE, "views.txt")) as f:
        lines = [line.split("#")[0].strip() for line in f]
    places, *calls = [re.split(r"\s+\|\s+", line) for line in lines if line]
    assert all(len(c) == len(places) for c in calls)
    return [(c[0], dict(zip(places[1:], c[1:]))) for c in calls]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A mount with one of everything; {column: path}."""
    m = mounts.Mount(tmp_path_factory.mktemp("views") / "m", cameras='[camera "gate"]\nurl = http://127.0.0.1:1/never.jpg\n')
    taken = pictures.moment(1)
    m.upload("front", "a.json", json.dumps(LABELS).encode())
    m.upload("front", "a.jpg", pictures.picture(1, taken, "+00:00"))
    picture = m.wait_snapshots(1)[0]
    day, date = pictures.day(taken), pictures.day(taken).replace("-", "/")
    os.link(m.at(picture), m.at("starred", os.path.basename(picture)))
    os.mkdir(m.at("queries", "cats"))
    with open(m.at("queries", "cats", "query.json"), "w") as f:
        f.write('{"labels": ["object/cat"]}')
    os.mkdir(m.at("datasets", "few"))
    m.sync()
    yield m, {
        "/": ".", "cameras": "cameras", "camera": "cameras/front", "day": os.path.dirname(picture), "dates": "dates",
        "year": f"dates/{date[:4]}", "date": f"dates/{date}", "labels": "labels", "kind": "labels/object",
        "value": "labels/object/cat", "starred": "starred", "queries": "queries", "query": "queries/cats",
        "datasets": "datasets", "dataset": "datasets/few", "ghosts": ".shutterfs",
        "picture": picture, "sidecar": os.path.splitext(picture)[0] + ".json", "latest": "cameras/front/latest.jpg",
        "live": "cameras/gate/live.jpg", "status": ".shutterfs/status.json"}
    m.stop()


def tree(m):
    """All that is seen, but for what moves by itself."""
    seen = {}
    for top, dirs, files in os.walk(m.mnt):
        for name in dirs + files:
            st = os.lstat(os.path.join(top, name))
            seen[os.path.relpath(os.path.join(top, name), m.mnt)] = (st.st_mode, st.st_ino, st.st_size, st.st_nlink)
    return seen


@pytest.mark.parametrize("call, wanted", rows(), ids=[c for c, _ in rows()])
def test_refused(places, call, wanted):
    m, where = places
    before, wrong = tree(m), []
    for place, answer in wanted.items():
        if answer == "-":
            continue
        line = table.Line(place, f"{call} = {answer}")
        line.args = [a.replace("@", where[place]).replace("PICTURE", where["picture"]) for a in line.args]
        got = table.run([line], m.mnt, "ours")
        wrong += got
    assert not wrong, "\n".join(wrong)
    assert tree(m) == before
