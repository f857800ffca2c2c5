"""Random changes of labels against a model: the mount must show what the model says, after every step and every restart, and in
the end what comes back from the store alone.

A sequence is made from a seed, which is printed.  Where they differ it is run again with a look after every step, and the shortest
prefix that differs is reported.  MODEL_SEED=n runs one sequence, DEEP=1 many and longer ones."""
import errno
import json
import os
import random
import shutil
import subprocess

import pytest

import collection
import pictures
from processes import clean_env, wait_until

PICTURES, KINDS, VALUES = 5, ("a", "b", "c"), ("u", "v", "w", "x")
DEEP = bool(os.environ.get("DEEP"))


class Picture:
    def __init__(self, n):
        self.taken = pictures.moment(n, step=40000)
        self.stem, self.day = pictures.stem(self.taken, "front"), pictures.day(self.taken)
        self.path = f"cameras/front/{self.day}/{self.stem}.jpg"
        self.labels, self.starred, self.rating, self.comment = set(), False, None, None
        self.broken = None      # bytes of a sidecar that could not be understood


class Label:
    """A value, or a kind: `made` by hand and still empty, `emptied` of its last picture."""
    def __init__(self):
        self.made = self.emptied = False


class Model:
    def __init__(self):
        self.pictures = [Picture(n) for n in range(PICTURES)]
        self.kinds, self.values = {}, {}     # name -> Label, (kind, value) -> Label

    def of(self, label):
        return [p for p in self.pictures if label in p.labels]

    def value(self, label):
        self.kinds.setdefault(label[0], Label())
        return self.values.setdefault(label, Label())

    def listed(self, label):
        return bool(self.of(label)) or label in self.values and self.values[label].made

    def there(self, label):
        return self.listed(label) or label in self.values and self.values[label].emptied

    def values_listed(self, kind):
        return sorted(v for v in VALUES if self.listed((kind, v)))

    def kind_listed(self, kind):
        return bool(self.values_listed(kind)) or kind in self.kinds and self.kinds[kind].made

    def kind_there(self, kind):
        return self.kind_listed(kind) or kind in self.kinds and self.kinds[kind].emptied

    def set_labels(self, picture, labels):
        for gone in picture.labels - labels:
            picture.labels.discard(gone)
            if not self.of(gone):
                self.value(gone).emptied = self.kinds[gone[0]].emptied = True
        for new in labels - picture.labels:
            first = not self.of(new)
            picture.labels.add(new)
            if first:
                for entry in (self.value(new), self.kinds[new[0]]):
                    entry.made = entry.emptied = False


def expect(wanted, call, *args):
    """Calls it; it must end with that errno, or succeed with None."""
    try:
        call(*args)
        got = None
    except OSError as e:
        got = e.errno
    assert got == wanted, f"{errno.errorcode.get(got, got)} instead of {errno.errorcode.get(wanted, wanted)}"


class Run:
    def __init__(self, mount, seed, steps, look_always):
        self.m, self.random, self.steps, self.look_always = mount, random.Random(seed), steps, look_always
        self.model, self.done = Model(), []

    def prepare(self):
        for n, p in enumerate(self.model.pictures):
            self.m.upload("front", f"p{n}.jpg", pictures.picture(n, p.taken, "+00:00"))
        assert self.m.wait_snapshots(PICTURES) == [p.path for p in self.model.pictures]

    def run(self):
        self.prepare()
        names = sorted(n for n in dir(self) if n.startswith("do_"))
        weights = [getattr(self, n).__dict__.get("weight", 10) for n in names]
        for n in range(self.steps):
            name = self.random.choices(names, weights)[0]
            self.done.append(name[3:])
            getattr(self, name)()
            if self.look_always or n % 8 == 7 or n == self.steps - 1:
                self.look()
        self.done.append("rebuild")
        self.rebuild()

    def say(self, *what):
        self.done[-1] += " " + " ".join(map(str, what))

    def rebuild(self):
        """All that was done is in the store; what is empty or could not be understood is not."""
        self.m.sync()
        self.m.stop()
        shutil.rmtree(self.m.state), shutil.rmtree(self.m.cache)
        self.m.cli("rebuild")
        self.m.start()
        for p in self.model.pictures:
            p.broken = None
        self.model.kinds.clear(), self.model.values.clear()
        self.look()

    # -- what the mount must say

    def look(self):
        wait_until(lambda: self.differences() == [], 10, 0.05, what=lambda: "\n".join(self.differences()))

    def differences(self):
        m, model, wrong = self.m, self.model, []

        def same(what, got, wanted):
            if got != wanted:
                wrong.append(f"{what}: {got}, wanted {wanted}")

        same("kinds", sorted(os.listdir(m.at("labels"))), sorted(k for k in KINDS if model.kind_listed(k)))
        for kind in os.listdir(m.at("labels")):
            same(f"values of {kind}", sorted(os.listdir(m.at("labels", kind))), model.values_listed(kind))
        wanted = sorted(f"labels/{k}/{v}/{p.day}/{p.stem}.jpg" for p in model.pictures for k, v in p.labels)
        same("labels", tree(m, "labels"), wanted)
        same("starred", tree(m, "starred"), sorted(f"starred/{p.day}/{p.stem}.jpg" for p in model.pictures if p.starred))
        for p in model.pictures:
            side, s = m.read(p.path[:-4] + ".json"), os.stat(m.at(p.path))
            same(f"links of {p.stem}", s.st_nlink, 2 + len(p.labels) + p.starred)
            same(f"tags of {p.stem}", set(filter(None, (m.xattr(p.path, "xdg.tags") or "").split(","))),
                 {f"{k}/{v}" for k, v in p.labels})
            same(f"rating of {p.stem}", m.xattr(p.path, "baloo.rating"), p.rating and str(p.rating))
            same(f"comment of {p.stem}", m.xattr(p.path, "xdg.comment"), p.comment)
            same(f"size of {p.stem}.json", os.stat(m.at(p.path[:-4] + ".json")).st_size, len(side))
            if p.broken is not None:
                same(f"text of {p.stem}", side, p.broken)
                continue
            said = json.loads(side)
            same(f"sidecar of {p.stem}", ({(x["kind"], x["value"]) for x in said.get("labels", [])}, said["starred"],
                                          said.get("rating"), said.get("comment")),
                 (p.labels, p.starred, p.rating, p.comment))
        same("errors", len(m.errors()), sum(p.broken is not None for p in model.pictures))
        return wrong

    # -- what is done

    def a_picture(self):
        return self.random.choice(self.model.pictures)

    def a_label(self):
        return self.random.choice(KINDS), self.random.choice(VALUES)

    def dir_of(self, label):
        return self.m.at("labels", *label)

    def do_mkdir(self):
        kind, value = self.a_label()
        model = self.model
        self.say(kind, value)
        expect(errno.EEXIST if model.kind_there(kind) else None, os.mkdir, self.m.at("labels", kind))
        if not model.kind_there(kind):
            model.kinds.setdefault(kind, Label()).made = True
        expect(errno.EEXIST if model.there((kind, value)) else None, os.mkdir, self.dir_of((kind, value)))
        if not model.there((kind, value)):
            model.value((kind, value)).made = True

    def do_rmdir(self):
        label, model = self.a_label(), self.model
        self.say(*label)
        wanted = errno.ENOENT if not model.kind_there(label[0]) or not model.there(label) else \
            errno.ENOTEMPTY if model.of(label) else None
        expect(wanted, os.rmdir, self.dir_of(label))
        if wanted is None:
            model.values[label].made = model.values[label].emptied = False

    def do_rmdir_kind(self):
        kind, model = self.random.choice(KINDS), self.model
        self.say(kind)
        wanted = errno.ENOENT if not model.kind_there(kind) else errno.ENOTEMPTY if model.values_listed(kind) else None
        expect(wanted, os.rmdir, self.m.at("labels", kind))
        if wanted is None:
            model.kinds[kind].made = model.kinds[kind].emptied = False
            for label in model.values:
                if label[0] == kind:
                    model.values[label].emptied = False

    def put(self, how, call):
        label, p, model = self.a_label(), self.a_picture(), self.model
        name = self.random.choice((p.stem + ".jpg", f"{p.day}/{p.stem}.jpg", "mine.jpg"))
        target = os.path.join(self.dir_of(label), name)
        if not model.there(label) or not model.kind_there(label[0]) or os.path.lexists(target) or \
                not os.path.isdir(os.path.dirname(target)):
            return
        self.say(how, p.stem, *label, name)
        call(self.m.at(p.path), target)
        model.set_labels(p, p.labels | {label})

    def do_ln(self):
        self.put("ln", os.link)

    def do_cp(self):
        self.put("cp", shutil.copyfile)

    def do_mv(self):
        label, other, model = self.a_label(), self.a_label(), self.model
        if not model.of(label) or not model.there(other) or not model.kind_there(other[0]):
            return
        p = self.random.choice(model.of(label))
        self.say(p.stem, *label, *other)
        source = os.path.join(self.dir_of(label), p.day, p.stem + ".jpg")
        target = os.path.join(self.dir_of(other), self.random.choice((p.stem + ".jpg", "moved.jpg")))
        same = os.path.exists(target) and os.path.samefile(source, target)
        os.rename(source, target)
        if not same:    # of two names of one file, rename(2) removes none
            model.set_labels(p, (p.labels - {label}) | {other})

    def do_rm(self):
        label, model = self.a_label(), self.model
        if not model.of(label):
            return
        p = self.random.choice(model.of(label))
        self.say(p.stem, *label)
        os.unlink(os.path.join(self.dir_of(label), *self.random.choice(((p.day,), ())), p.stem + ".jpg"))
        model.set_labels(p, p.labels - {label})

    def do_rm_r(self):
        label, model = self.a_label(), self.model
        if not model.of(label):
            return
        self.say(*label)
        subprocess.run(["rm", "-r", self.dir_of(label)], check=True, env=clean_env())
        for p in list(model.of(label)):
            model.set_labels(p, p.labels - {label})
        model.values[label].made = model.values[label].emptied = False
    do_rm_r.weight = 3

    def do_rename(self):
        """A value, also into another kind, also onto one that is empty."""
        label, other, model = self.a_label(), self.a_label(), self.model
        if label == other:
            return
        self.say(*label, *other)
        wanted = errno.ENOENT if not (model.kind_there(label[0]) and model.there(label) and model.kind_there(other[0])) \
            else errno.ENOTEMPTY if model.of(other) else None
        expect(wanted, os.rename, self.dir_of(label), self.dir_of(other))
        if wanted is not None:
            return
        model.values[other] = model.values[label]
        model.values[label] = Label()
        for p in model.of(label):
            p.labels = (p.labels - {label}) | {other}
        if label[0] != other[0]:
            model.kinds[label[0]].emptied = True
    do_rename.weight = 8

    def do_rename_kind(self):
        kind, other, model = self.random.choice(KINDS), self.random.choice(KINDS), self.model
        if kind == other:
            return
        self.say(kind, other)
        wanted = errno.ENOENT if not model.kind_there(kind) else errno.ENOTEMPTY if model.values_listed(other) else None
        expect(wanted, os.rename, self.m.at("labels", kind), self.m.at("labels", other))
        if wanted is not None:
            return
        old = {v: x for (k, v), x in model.values.items() if k == other}
        moved = {v: x for (k, v), x in model.values.items() if k == kind}
        model.values = {label: x for label, x in model.values.items() if label[0] not in (kind, other)}
        model.values.update({(other, v): x for v, x in moved.items()})
        model.values.update({(kind, v): x for v, x in old.items()})
        model.kinds[other], model.kinds[kind] = model.kinds[kind], Label()
        for p in model.pictures:
            p.labels = {(other if k == kind else k, v) for k, v in p.labels}
    do_rename_kind.weight = 4

    def do_star(self):
        p = self.a_picture()
        how = self.random.choice(("xattr", "name"))
        self.say(p.stem, how)
        if how == "xattr":
            os.setxattr(self.m.at(p.path), "user.shutterfs.starred", b"0" if p.starred else b"1")
        elif p.starred:
            os.unlink(self.m.at("starred", p.day, p.stem + ".jpg"))
        else:
            self.random.choice((os.link, shutil.copyfile))(self.m.at(p.path), self.m.at("starred", p.stem + ".jpg"))
        p.starred = not p.starred

    def do_tags(self):
        p, labels = self.a_picture(), {self.a_label() for _ in range(self.random.randrange(4))}
        self.say(p.stem, labels)
        os.setxattr(self.m.at(p.path), "user.xdg.tags", ",".join(f"{k}/{v}" for k, v in sorted(labels)).encode())
        self.model.set_labels(p, labels)

    def do_remarks(self):
        p = self.a_picture()
        p.rating, p.comment = self.random.choice((None, 1, 10)), self.random.choice((None, "one", "žluťoučký"))
        self.say(p.stem, p.rating, p.comment)
        os.setxattr(self.m.at(p.path), "user.baloo.rating", str(p.rating or 0).encode())
        os.setxattr(self.m.at(p.path), "user.xdg.comment", (p.comment or "").encode())

    def write(self, p, text):
        side = self.m.at(p.path[:-4] + ".json")
        how = self.random.choice(("in place", "rename", "backup"))
        self.say(p.stem, how, text[:200])
        temp = side + self.random.choice((".tmp", ".AbCdEf"))
        if how == "in place":
            with open(side, "wb") as f:
                f.write(text)
        elif how == "rename":
            with open(temp, "xb") as f:
                f.write(text)
            os.rename(temp, side)
        else:
            os.rename(side, side + "~")
            with open(side, "xb") as f:
                f.write(text)
            os.unlink(side + "~")

    def do_sidecar(self):
        """A whole one: what it lacks is not there any more."""
        p, labels = self.a_picture(), {self.a_label() for _ in range(self.random.randrange(3))}
        p.starred, p.rating = self.random.choice((True, False)), self.random.choice((None, 3))
        p.comment, p.broken = self.random.choice((None, "two")), None
        said = {"schema": "shutterfs/1", "labels": [{"kind": k, "value": v} for k, v in sorted(labels)],
                "starred": p.starred, "rating": p.rating, "comment": p.comment}
        self.write(p, json.dumps({k: v for k, v in said.items() if v is not None}).encode())
        self.model.set_labels(p, labels)

    def do_part(self):
        """What is no whole sidecar changes what it has."""
        p, labels = self.a_picture(), {self.a_label() for _ in range(self.random.randrange(3))}
        p.broken = None
        self.write(p, json.dumps({"labels": [f"{k}/{v}" for k, v in sorted(labels)]}).encode())
        self.model.set_labels(p, labels)

    def do_break(self):
        p = self.a_picture()
        p.broken = self.random.choice((b"", b"{", b'{"labels": 1}', b"\xff", b'{"a":1,"a":2}'))
        self.write(p, p.broken)
    do_break.weight = 4

    def do_restart(self):
        how = self.random.choice(("restart", "crash_and_restart", "replace_worker"))
        self.say(how)
        getattr(self.m, how)()
    do_restart.weight = 1


def tree(m, top):
    return sorted(os.path.relpath(p, m.mnt) for paths in collection.walk(m.at(top)).values() for p in paths)


def shortest(make_mount, seed, steps):
    """The sequence again, with a look after each step: the end of what went well, and what went wrong then."""
    again = Run(make_mount(f"again{seed}"), seed, steps, True)
    try:
        again.run()
    except Exception as e:     # whatever it was, it is told
        return f"step {len(again.done)} of:\n" + "\n".join(again.done) + f"\n{type(e).__name__}: {e}"
    return "it went well this time"


SEEDS = [int(os.environ["MODEL_SEED"])] if "MODEL_SEED" in os.environ else range(20) if DEEP else [None]


@pytest.mark.limit(1800 if DEEP else 240)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_changes(make_mount, seed):
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 30)
    steps = 1500 if DEEP else 250
    print(f"MODEL_SEED={seed}")
    one = Run(make_mount(), seed, steps, False)
    try:
        one.run()
    except Exception as e:
        raise AssertionError(f"MODEL_SEED={seed}: {type(e).__name__}: {e}\nafter:\n" + "\n".join(one.done[-10:]) +
                             f"\n\n{shortest(make_mount, seed, len(one.done))}") from e
