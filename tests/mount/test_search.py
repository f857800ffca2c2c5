"""`shutterfs search`: with and without a mount, by words, JSON and files; what it prints, and how it ends."""
import fcntl
import json
import os
import signal
import subprocess
import time

import pytest

import collection
import pictures
from processes import run, wait_until

DOCUMENT = {"session": {"track": "Left Turn"}, "label": {"created_by": "auto", "label_direction": 2, "label_speed": 1}}


@pytest.fixture(params=["mounted", "unmounted"])
def searched(mount, request):
    """(mount, shots): the collection, with documents about two more pictures of `car`, and what is asked."""
    shots = collection.fill(mount)
    for n in (50, 51):
        documents = [dict(DOCUMENT, label=dict(DOCUMENT["label"], label_speed=k)) for k in range(n - 49)]
        mount.upload("car", f"{n}.json", json.dumps({"documents": documents, "comment": "Wet lane"}).encode())
        mount.upload("car", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    mount.wait_snapshots(len(shots) + 2)
    wait_until(lambda: "documents" in mount.sidecar(mount.snapshots("car")[1]), 30)
    cars = mount.snapshots("car")
    if request.param == "unmounted":
        mount.sync()
        mount.stop()
    return mount, shots, cars


def search(m, *words):
    return m.cli("search", *words).stdout.splitlines()


def test_words_json_and_files(searched):
    m, shots, cars = searched
    every = sorted([s.path for s in shots] + cars, key=os.path.basename)
    person = [s.path for s in shots if ("object", "person") in s.labels]
    assert search(m, "{}") == every
    assert search(m, "label:object/person") == person
    assert search(m, '{"label":"object/person"}') == person
    assert search(m, "label:object/person", "starred:true") == [s.path for s in shots if s.starred]
    assert search(m, "label!=object/person", "camera:front") == [
        s.path for s in shots if s.camera == "front" and s not in [x for x in shots if x.path in person]]
    assert search(m, "label.label_direction:2", "label.label_speed>=1") == cars[1:]
    assert search(m, "wet", "left") == cars
    assert search(m, f"after:{shots[2].day}", f"before:{shots[4].day}") == [s.path for s in shots if s.day == shots[2].day]
    query = m.path("my query.json")
    with open(query, "w") as f:
        json.dump({"session": {"type": "match", "field": "track", "query": "turn"}}, f)
    assert search(m, query) == cars
    with open(query) as f:
        done = run(m.command("search", "-"), stdin=f, env=m.env)
    assert done.stdout.splitlines() == cars
    assert search(m, "camera:nobody") == []


def test_what_it_prints(searched):
    m, shots, cars = searched
    mounted = m.process is not None
    assert search(m, "--paths", "camera:car") == [m.at(p) if mounted else p for p in cars]
    rows = [json.loads(line) for line in search(m, "--json", "camera:car")]
    assert [r["img_id"] + "_car.jpg" for r in rows] == [os.path.basename(p) for p in cars]
    assert [len(r["documents"]) for r in rows] == [1, 2] and rows[0]["comment"] == "Wet lane"
    assert all(r["state"] == "synced" for r in rows) or mounted
    labels = json.loads(m.cli("search", "--labels", "{}").stdout)
    assert len(labels) == len(shots) + 2
    one, two = (labels[r["img_id"]] for r in rows)
    assert one["label"] == dict(DOCUMENT["label"], label_speed=0) and len(one["label_fingerprint"]) == 32
    assert [d["label"]["label_speed"] for d in two] == [0, 1]
    assert labels[pictures.img_id(shots[0].taken)]["camera"] == "front", "without documents: the sidecar"


@pytest.mark.parametrize("words,why", [
    (['{"camra":"front"}'], '"camra" is no field of a picture'), (['{"camera":'], "is not valid JSON at line 1, column 11"),
    (["starred:perhaps"], '"starred" is true or false'), (["/nowhere/q.json"], "No such file"),
    (['{"x":{"type":"fuzzy","query":1}}'], '"fuzzy" is no type')])
def test_a_wrong_query_is_told(mount, words, why):
    done = mount.cli("search", *words, check=False)
    assert done.returncode == 2 and why in done.stderr and not done.stdout


def test_a_reader_that_has_enough_ends_it(mount):
    collection.fill(mount)
    done = run(["sh", "-c", f"{' '.join(mount.command('search', 'label!=none/none'))} | head -n 2"], env=mount.env)
    assert len(done.stdout.splitlines()) == 2 and not done.stderr


def test_an_interrupt_ends_it(mount):
    """Also while it waits for a reader that does not read."""
    mount.upload("front", "1.json", json.dumps({"comment": "long " * 4000}).encode())
    mount.upload("front", "1.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    mount.wait_snapshots(1)
    wait_until(lambda: search(mount, "long"), 30)
    ours, theirs = os.pipe()
    fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, 4096)
    p = subprocess.Popen(mount.command("search", "--json", "{}"), stdout=theirs, stderr=subprocess.PIPE, env=mount.env)
    try:
        os.close(theirs)
        os.read(ours, 1)
        time.sleep(1)   # the pipe is full by now, the rest is waiting
        assert p.poll() is None
        p.send_signal(signal.SIGINT)
        p.wait(20)
        assert p.returncode == 1
    finally:
        p.kill()
        p.communicate()
        os.close(ours)


def first_line(m, *words):
    """Seconds until the first line of a search is there; how many come."""
    begun = time.monotonic()
    p = subprocess.Popen(m.command("search", *words), stdout=subprocess.PIPE, env=m.env)
    p.stdout.readline()
    first = time.monotonic() - begun
    lines = 1 + len(p.stdout.readlines())
    assert p.wait(60) == 0
    print(f"{' '.join(words):45} first line {first * 1000:6.1f} ms, all {lines:6} in {time.monotonic() - begun:.2f} s")
    return first, lines


def test_the_first_line_comes_at_once(make_mount):
    """LABELS_SCALE=20000: twenty thousand pictures with three labels and a document each."""
    many = int(os.environ.get("LABELS_SCALE", "2000"))
    m = make_mount(start=False)
    collection.fill_archive(m, many)
    m.start()
    m.cli("scan", "archive", timeout=600)
    wait_until(lambda: len(search(m, "label.label_speed:1")) == many, 300, 1)
    run(m.command("search", "--help"))
    for words, want in ((["{}"], many), (["label:object/dog"], many // 2), (["label.label_direction:7"], many // 100),
                        (["auto", "cat"], many // 2), (["--json", "label:object/dog"], many // 2), (["--labels", "{}"], many + 1)):
        first, lines = min(first_line(m, *words) for _ in range(3))
        assert lines == want
        assert first < 2, "generous: other programs run, too"
    os.mkdir(m.at("queries/dogs"))
    with open(m.at("queries/dogs/query.json"), "w") as f:
        f.write('{"label":"object/dog"}')
    assert len(os.listdir(m.at("queries/dogs"))) == many // 2 + 3
    assert len(m.json("queries/dogs/labels.json")) == many // 2
