"""What has a name and changes as a whole: queries and frozen datasets; and pictures that are thrown away.

Such a change is made or is not: what was under way at a kill is found as it was before or as it was to be, nothing else."""
import glob
import json
import os
import time

import pictures
from processes import wait_until

QUERIES = ({"camera": "front"}, {"label": {"type": "term", "query": "object/kind1", "bool": "must_not"}}, {"label": "thing/bag"})
TRASH_SECONDS = 1


def with_changes(kept, changes):
    return {k: v for k, v in {**kept, **changes}.items() if v is not None}


class Named:
    """Steps and judges of Life; `kept` is {(room, name): text}, what the last change said that returned."""

    def __init__(self, *args, **kw):
        self.kept, self.cuts, self.frozen, self.emptied = {}, [], {}, 0
        super().__init__(*args, **kw)

    def _keep(self, changes, how):
        """changes: {(room, name): text, None: not there}, all of them or none."""
        self.cuts.append(changes)
        how()
        self.kept = with_changes(self.kept, changes)
        self.cuts = [c for c in self.cuts if not c.keys() & changes.keys()]

    def _names(self, room):
        return [name for r, name in self.kept if r == room]

    def _make(self, room):
        name = f"{room[0]}{self._next()}"
        self._keep({(room, name): ""}, lambda: os.mkdir(self.at(room, name)))
        return name

    def _write(self, room, name, query):
        text = json.dumps(query)

        def write():
            fd = os.open(self.at(room, name, "query.json"), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)

        self._keep({(room, name): text}, write)

    def make_query(self):
        self._write("queries", self._make("queries"), QUERIES[self.serial % 2])

    def change_query(self):
        for name in self._names("queries")[-1:]:
            self._write("queries", name, QUERIES[2])

    def rename_query(self):
        for name in self._names("queries")[-1:]:
            new = f"r{self._next()}"
            self._keep({("queries", name): None, ("queries", new): self.kept["queries", name]},
                       lambda: os.rename(self.at("queries", name), self.at("queries", new)))

    def remove_query(self):
        self._remove_oldest("queries")

    def freeze(self):
        """Frozen once the query's close has returned."""
        name = self._make("datasets")
        self._write("datasets", name, {"query": {"camera": "front"}, "seed": self.serial})
        self._look_at_dataset(name)

    def remove_dataset(self):
        self._remove_oldest("datasets")

    def _remove_oldest(self, room):
        names = self._names(room)
        if len(names) > 1:
            self._keep({(room, names[0]): None}, lambda: os.rmdir(self.at(room, names[0])))

    # -- the trash

    def _throw(self, a):
        """When its time is over is known only if that returned."""
        a.thrown, a.due = None, None
        self.cli("trash", a.stem)
        a.thrown, a.due = True, time.time() + TRASH_SECONDS

    def trash(self):
        """Two that nothing holds; one of them comes back."""
        some = [a for a in self.accepted if a.name.startswith("rsync") and a.thrown is False and not a.edits and
                os.path.exists(self.at(a.path))][:2]
        for a in some:
            self._throw(a)
        for a in some[1:]:
            a.thrown = None
            done = self.cli("trash", "--restore", a.stem, check=False)
            late = "is not in the trash" in done.stderr and time.time() >= a.due  # this machine is slow: it was emptied
            assert done.returncode == 0 or late, done.stdout + done.stderr
            a.thrown = late

    def empty_trash(self):
        due = [a.due for a in self.accepted if a.thrown and a.due]
        time.sleep(max(0, max(due, default=0) - time.time()))
        self.cli("sync", "--wait", timeout=60)

    # -- the judge

    def _text(self, room, name):
        try:
            return self.read(room, name, "query.json").decode()
        except FileNotFoundError:
            return ""

    def _look_at_dataset(self, name):
        """Once frozen, its texts are the same for ever; one whose writer was told of an error may have failed."""
        def state():
            return self.xattr(f"datasets/{name}/query.json", "shutterfs.state")

        wait_until(lambda: state() in ("frozen", "failed"), 20, 0.05, what=lambda: f"dataset {name}: {state()}")
        if state() == "failed":
            assert self.told and name not in self.frozen, f"dataset {name} has failed: {self.errors()}"
            return
        files = sorted(glob.glob(self.at("datasets", name, "**", "*.json*"), recursive=True))
        texts = {f: pictures.sha256(self.read(f)) for f in files}
        assert self.at("datasets", name, "manifest.jsonl") in texts, texts
        assert texts == self.frozen.setdefault(name, texts), f"dataset {name} is another one"

    def judge_named(self):
        found = {(room, name): self._text(room, name) for room in ("queries", "datasets") for name in os.listdir(self.at(room))}
        allowed = [self.kept]
        for changes in self.cuts:
            allowed += [with_changes(kept, changes) for kept in allowed]
        assert found in allowed, f"found {found}\nkept {self.kept}\ncut off {self.cuts}"
        self.kept, self.cuts = found, []
        for name in self._names("datasets"):
            if found["datasets", name]:
                self._look_at_dataset(name)
        self.frozen = {name: texts for name, texts in self.frozen.items() if ("datasets", name) in found}

    def judge_trash(self):
        """Before anything is waited for: a picture that is in the views is not in the trash."""
        listed = self.cli("trash").stdout
        for a in self.accepted:
            if a.thrown is None:
                a.thrown = not os.path.exists(self.at(a.path))
                a.due = a.due or time.time() + TRASH_SECONDS
            assert not (a.thrown and os.path.exists(self.at(a.path))), f"{a.path} is in the views, though it was thrown away"
            assert a.thrown or a.stem not in listed, f"{a.path} is in the trash, though it came back"

    def judge_notes(self, objects):
        """Every store has the queries as they were written last."""
        for name in self._names("queries"):
            if self.kept["queries", name]:
                key = f".shutterfs/queries/{name}.json"
                assert objects.get(key) == pictures.sha256(self.kept["queries", name].encode()), f"{key}: not as written"
        there = {os.path.basename(k)[:-5] for k in objects if k.startswith(".shutterfs/queries/")}
        assert there <= set(self._names("queries")), f"removed ones are in a store: {there}"

    def judge_emptied(self, began, stores):
        """began: of a sync that has ended; what was due by then is in no store any more."""
        due = [a for a in self.accepted if a.thrown and a.due < began]
        for a in due:
            left = [k for objects in stores for k in objects if a.stem in k]
            assert not left, f"thrown away, and still there: {left}"
        self.accepted = [a for a in self.accepted if a not in due]
        self.unsure.update(a.name for a in due)
        self.emptied += len(due)
