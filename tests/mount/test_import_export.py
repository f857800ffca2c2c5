"""shutterfs import and export: label files of other programs and an Elasticsearch index, with and without a running mount."""
import base64
import json
import os
import shutil
import subprocess

import elastic
import pictures
import pytest
from processes import run

BOX = [0.25, 0.5, 0.5, 0.25]


@pytest.fixture
def index():
    made = elastic.Elastic()
    made.index("labels")
    yield made
    made.close()


def stems(mount):
    return [os.path.basename(p)[:-4] for p in mount.snapshots()]


def fill(mount, count, labels=True):
    """Pictures with a document each, and a label with a box each where `labels`; their img_ids."""
    for n in range(count):
        taken = pictures.moment(n)
        side = {"documents": [{"img_id": pictures.img_id(taken), "label": {"created_by": "auto", "label_speed": n % 3}}]}
        if labels:
            side["labels"] = [{"kind": "object", "value": ("fox", "red deer")[n % 2], "box": BOX, "score": 0.5}]
        mount.upload("car", f"{n}.json", json.dumps(side).encode())
        mount.upload("car", f"{n}.jpg", pictures.picture(n, taken, "+00:00"))
    mount.wait_snapshots(count)
    return [pictures.img_id(pictures.moment(n)) for n in range(count)]


def documents(mount):
    return [d for p in mount.snapshots() for d in mount.sidecar(p).get("documents", [])]


@pytest.mark.parametrize("mounted", [True, False])
def test_labels_json(make_mount, tmp_path, mounted):
    one, two = make_mount("one"), make_mount("two")
    ids = fill(one, 5)
    for n in range(5):
        two.upload("car", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    paths = two.wait_snapshots(5)
    if not mounted:
        one.stop()
        two.stop()
    out = tmp_path / "labels.json"
    assert one.cli("export", "-o", out).stdout == ""
    assert sorted(json.loads(out.read_text())) == sorted(ids)
    assert two.cli("import", out).stdout == "5 taken in\n"
    again = two.cli("import", out)
    assert again.stdout == "5 duplicates\n", "the second time nothing happens"
    if not mounted:
        two.start()
    assert [d["img_id"] for d in documents(two)] == ids and len(paths) == 5
    assert json.loads(two.cli("export").stdout).keys() == json.loads(out.read_text()).keys()


def test_what_cannot_be_taken_is_said(mount, tmp_path):
    ids = fill(mount, 1)
    bad = tmp_path / "labels.json"
    bad.write_text(json.dumps({ids[0]: 5, "20990101T00-00-00-000000": {"label": {}}}))
    (tmp_path / "broken.json").write_text('{"20990101T00-00-00-000000": {"a": NaN}}')
    done = mount.cli("import", bad, tmp_path / "broken.json", tmp_path / "nothing.json", check=False)
    assert done.returncode == 1
    assert f"{ids[0]}: it is not a label document" in done.stderr
    assert "20990101T00-00-00-000000: there is no picture of that name" in done.stderr
    assert "broken.json: is not valid JSON at line 1" in done.stderr
    assert "nothing.json: No such file or directory" in done.stderr
    assert done.stdout == "1 without a picture\n"
    assert mount.cli("import", "--format", "odd", bad, check=False).returncode == 1
    assert mount.cli("export", "--format", "odd", check=False).returncode == 2
    assert mount.cli("export", "--query", '{"label":', check=False).returncode == 2


def test_coco_round_trip(make_mount, tmp_path):
    mount = make_mount("one")
    fill(mount, 4)
    mount.upload("car", "unseen.jpg", pictures.picture(9, pictures.moment(9), "+00:00"))
    mount.wait_snapshots(5)
    out = tmp_path / "coco.json"
    said = mount.cli("export", "--format", "coco", "-o", out).stderr
    assert "1 pictures that nobody looked at" in said
    coco = json.loads(out.read_text())
    assert len(coco["images"]) == 4 and len(coco["annotations"]) == 4
    assert {c["name"] for c in coco["categories"]} == {"fox", "red deer"}
    for image, annotation in zip(coco["images"], coco["annotations"]):
        assert os.path.exists(mount.at(image["file_name"])), "names are those of the tree"
        want = [b * (image["height"] if i % 2 else image["width"]) for i, b in enumerate(BOX)]
        assert annotation["image_id"] == image["id"] and annotation["bbox"] == pytest.approx(want)
    two = make_mount("two")
    for n in range(4):
        two.upload("car", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    two.wait_snapshots(4)
    assert two.cli("import", out).stdout == "4 taken in\n"
    assert two.cli("import", out).stdout == "4 duplicates\n"
    for a, b in zip(mount.snapshots(), two.snapshots()):
        assert two.sidecar(b)["labels"][0]["box"] == pytest.approx(BOX)
        assert two.sidecar(b)["labels"][0]["value"] == mount.sidecar(a)["labels"][0]["value"]
    assert sorted(os.listdir(two.at("labels/object"))) == ["fox", "red deer"]


def test_yolo_round_trip(make_mount, tmp_path):
    mount = make_mount("one")
    fill(mount, 3)
    mount.cli("export", "--format=yolo", "--query", "label:object/fox", "-o", tmp_path / "set")
    assert (tmp_path / "set/classes.txt").read_text() == "fox\n"
    files = sorted(os.listdir(tmp_path / "set/labels"))
    assert files == [s + ".txt" for i, s in enumerate(stems(mount)) if i % 2 == 0]
    assert (tmp_path / "set/labels" / files[0]).read_text() == "0 0.500000 0.625000 0.500000 0.250000\n"
    two = make_mount("two")
    for n in range(3):
        two.upload("car", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    two.wait_snapshots(3)
    assert two.cli("import", tmp_path / "set").stdout == "2 taken in\n"
    assert os.listdir(two.at("labels/object")) == ["fox"]


def test_many_records_with_answers_meanwhile(mount, tmp_path):
    """More is said and sent than sockets hold: neither end waits for the other for ever."""
    ids = fill(mount, 1, labels=False)
    labels = {f"nobody{n}": {"label": {"pad": "x" * 500}} for n in range(4000)}
    labels[ids[0]] = {"label": {"created_by": "me"}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    done = mount.cli("import", tmp_path / "labels.json", check=False)
    assert done.returncode == 1 and done.stdout == "1 taken in, 4000 without a picture\n"
    assert len(done.stderr.splitlines()) < 30


# -- Elasticsearch

def config(index, name="lab", **more):
    lines = [f'[elastic "{name}"]', f"url = {index.url}", "index = labels"]
    return "\n".join(lines + [f"{k} = {v}" for k, v in more.items()]) + "\n"


@pytest.mark.parametrize("mounted", [True, False])
def test_elastic_both_ways_carries_nothing_twice(make_mount, index, mounted):
    mount = make_mount("one", cameras=config(index))
    fill(mount, 5)
    if not mounted:
        mount.stop()
    assert mount.cli("export", "es", "lab").stdout == "5 sent, 0 were there already, 0 refused by the index\n"
    stored = index.index("labels").docs
    assert len(stored) == 5 and all(d["label_fingerprint"] == i for i, d in stored.items())
    bulks = len(index.requests("_bulk"))
    assert mount.cli("export", "es", "lab").stdout == "0 sent, 5 were there already, 0 refused by the index\n"
    assert len(index.requests("_bulk")) == bulks, "the ledger knows"
    before = len(index.requests("_mget"))
    assert mount.cli("import", "es", "lab").stdout == "nothing\n"
    assert len(index.requests("_mget")) == before, "what was sent is not fetched"
    two = make_mount("two", cameras=config(index))
    for n in range(4):
        two.upload("car", f"{n}.jpg", pictures.picture(n, pictures.moment(n), "+00:00"))
    two.wait_snapshots(4)
    done = two.cli("import", "es", "lab", check=False)
    assert done.stdout == "4 taken in, 1 without a picture\n" and done.returncode == 1
    two.upload("car", "4.jpg", pictures.picture(4, pictures.moment(4), "+00:00"))
    two.wait_snapshots(5)
    assert two.cli("import", "es", f"{index.url}/labels").stdout == "1 taken in\n", "by address, and only what is new"
    assert two.cli("import", "es", "lab").stdout == "nothing\n"
    assert sorted(d["label_fingerprint"] for d in documents(two)) == sorted(stored)


def test_elastic_has_no_limit_of_ten_thousand(mount, index):
    """An index of 12,000: all of it is seen, page by page, and its point in time is given back."""
    ids = fill(mount, 1, labels=False)
    for n in range(12000):
        index.index("labels").create(f"doc{n}", {"img_id": ids[0] if n == 11500 else "20990101T00-00-00-000000",
                                                 "label": {"created_by": f"u{n}"}})
    done = mount.cli("import", "es", f"{index.url}/labels", check=False)
    assert done.stdout == "1 taken in, 11999 without a picture\n"
    assert index.pits == {}
    assert len(index.requests("/_search")) == 13


def test_elastic_that_refuses(make_mount, tmp_path):
    wanted = "Basic " + base64.b64encode(b"cameras:horse").decode()
    index = elastic.Elastic(auth=wanted, strict=("img_id", "label", "label_fingerprint"))
    try:
        index.index("labels")
        (tmp_path / "lab.secret").write_text("horse\n")
        (tmp_path / "wrong.secret").write_text("cow\n")
        for name in ("lab.secret", "wrong.secret"):
            os.chmod(tmp_path / name, 0o600)
        mount = make_mount(cameras=config(index, user="cameras", password_file=tmp_path / "lab.secret") +
                           config(index, "wrong", user="cameras", password_file=tmp_path / "wrong.secret") +
                           config(index, "nobody"))
        fill(mount, 2)
        for name in ("wrong", "nobody"):
            done = mount.cli("export", "es", name, check=False)
            assert done.returncode == 1 and "does not let us in" in done.stderr and "cow" not in done.stderr
        mount.upload("car", "2.json", b'{"documents":[{"img_id":"x","label":{},"extra_field":1}]}')
        mount.upload("car", "2.jpg", pictures.picture(2, pictures.moment(2), "+00:00"))
        mount.wait_snapshots(3)
        index.fail(429, 2)
        done = mount.cli("export", "es", "lab", check=False)
        assert done.stdout == "2 sent, 0 were there already, 1 refused by the index\n", done.stderr
        assert done.returncode == 1
        done = mount.cli("import", "es", f"{index.url}/nowhere", check=False)
        assert done.returncode == 1
        done = mount.cli("import", "es", "http://u:secret@127.0.0.1:1/x", check=False)
        assert done.returncode == 1 and "secret" not in done.stderr
        assert "horse" not in mount.log_text() and "****" in mount.read(".shutterfs", "config").decode()
    finally:
        index.close()


CLIENT = """
const { Client } = require('@elastic/elasticsearch');
(async () => {
  const client = new Client({ node: process.argv[2] });
  const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const operations = input.flatMap(d => [{ create: { _index: 'labels', _id: d.id } }, d.source]);
  if (operations.length) {
    const r = await client.bulk({ operations, refresh: true });
    if (r.errors) throw new Error(JSON.stringify(r.items));
  }
  try {
    if (input.length) { await client.create({ index: 'labels', id: input[0].id, document: {} }); throw new Error('no 409'); }
  } catch (e) { if (e.statusCode !== 409) throw e; }
  const pit = await client.openPointInTime({ index: 'labels', keep_alive: '1m' });
  const found = [];
  let after;
  for (;;) {
    const r = await client.search({ size: 2, pit: { id: pit.id, keep_alive: '1m' }, sort: [{ _shard_doc: 'asc' }],
                                    ...(after ? { search_after: after } : {}) });
    if (!r.hits.hits.length) break;
    found.push(...r.hits.hits.map(h => ({ id: h._id, source: h._source })));
    after = r.hits.hits[r.hits.hits.length - 1].sort;
  }
  await client.closePointInTime({ id: pit.id });
  const docs = (await client.mget({ index: 'labels', ids: found.map(f => f.id) })).docs;
  if (docs.some((d, i) => JSON.stringify(d._source) !== JSON.stringify(found[i].source))) throw new Error('mget differs');
  console.log(JSON.stringify(found));
})().catch(e => { console.error(e); process.exit(1); });
"""


@pytest.mark.limit(300)
def test_official_client_and_we_understand_each_other(mount, index, tmp_path):
    """The fixture is Elasticsearch enough for the official client, which reads what we wrote and writes what we read."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm is not installed")
    try:
        got = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "@elastic/elasticsearch@8"],
                             cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, timeout=200)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry does not answer")
    if got.returncode:
        pytest.skip("the npm registry is not reachable")
    (tmp_path / "client.js").write_text(CLIENT)

    def client(docs):
        done = run(["node", "client.js", index.url], cwd=tmp_path, input=json.dumps(docs), timeout=60)
        return json.loads(done.stdout)

    ids = fill(mount, 3)
    assert mount.cli("export", "es", f"{index.url}/labels").stdout.startswith("3 sent")
    found = client([])
    assert sorted(f["source"]["img_id"] for f in found) == sorted(ids)
    theirs = [{"id": f"theirs{n}", "source": {"img_id": i, "label": {"created_by": "client", "label_speed": 9}}}
              for n, i in enumerate(ids)]
    assert len(client(theirs)) == 6
    assert mount.cli("import", "es", f"{index.url}/labels").stdout == "3 taken in\n"
    assert len(documents(mount)) == 6
    assert mount.cli("export", "es", f"{index.url}/labels").stdout.startswith("0 sent"), "they are there under their ids"
