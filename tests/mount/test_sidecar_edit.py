"""Sidecars are edited in place, by the ways in which real programs save; what cannot be understood loses nothing."""
import contextlib
import errno
import json
import os
import pty
import select
import shutil
import stat
import subprocess
import time

import pytest

import collection
import pictures
from processes import clean_env, find_program, run, wait_until

SED = 's/"value": *"[a-z]*"/"value":"cat"/'


@pytest.fixture
def filled(mount):
    return mount, collection.fill(mount)


def side_of(m, shot):
    return m.at(os.path.splitext(shot.path)[0] + ".json")


def values(m, shot):
    return sorted((x["kind"], x["value"]) for x in m.sidecar(shot.path).get("labels", []))


def names_now(m, shot):
    """The label directories that have it, from a fresh look."""
    return sorted(os.path.relpath(p, m.mnt) for paths in collection.walk(m.at("labels")).values() for p in paths
                  if os.path.basename(p) == shot.stem + ".jpg")


def relabelled(m, shot, kind, value):
    """The one label that it has now, everywhere."""
    assert values(m, shot) == [(kind, value)]
    wait_until(lambda: names_now(m, shot) == [f"labels/{kind}/{value}/{shot.day}/{shot.stem}.jpg"], 10,
               what=lambda: names_now(m, shot))
    assert set(m.xattr(shot.path, "xdg.tags").split(",")) == {f"{kind}/{value}"}


def text_with(m, shot, **changes):
    s = m.sidecar(shot.path)
    s.update(changes)
    return json.dumps(s).encode()


def only_the_day(m, shot):
    """Nothing that a program left is listed."""
    day = os.path.dirname(side_of(m, shot))
    assert all(n.endswith((".jpg", ".json")) and n[:4] == "2024" for n in os.listdir(day)), os.listdir(day)


def test_shell_redirection_and_jq(filled):
    m, shots = filled
    side = side_of(m, shots[0])
    run(["sh", "-c", 'jq \'.labels[0].value="cat"\' "$1" > "$2" && cat "$2" > "$1"', "sh", side, m.path("new.json")])
    relabelled(m, shots[0], "object", "cat")
    box = m.sidecar(shots[0].path)["labels"][0]
    assert box["box"] == collection.BOX and box["score"] == 0.93
    assert m.sidecar(shots[0].path)["vendor_key"] == {"kept": True, "number": 1.5}, "unknown keys survive"
    assert stat.S_IMODE(os.stat(side).st_mode) == 0o644


def test_sed_in_place(filled):
    m, shots = filled
    run(["sed", "-i", SED, side_of(m, shots[0])])
    relabelled(m, shots[0], "object", "cat")
    run(["sed", "-i.bak", "s/cat/dog/", side_of(m, shots[0])])
    relabelled(m, shots[0], "object", "dog")
    only_the_day(m, shots[0])


@pytest.mark.parametrize("backup", ["nobackup nowritebackup", "backup backupcopy=no", "backup backupcopy=yes",
                                    "writebackup backupcopy=auto"])
def test_vim(filled, backup):
    m, shots = filled
    vim = find_program("vim") or find_program("vim.tiny")
    if not vim:
        pytest.skip("vim is not installed")
    side = side_of(m, shots[0])
    run([vim, "-u", "NONE", "-N", "-es", "-c", f"set {backup} swapfile", "-c", "%s/person/cat/", "-c", "w",
         "-c", "%s/cat/dog/", "-c", "wq", side], env=clean_env(TERM="dumb", HOME=m.base), timeout=60)
    relabelled(m, shots[0], "object", "dog")
    only_the_day(m, shots[0])


def test_nano(filled):
    m, shots = filled
    if not find_program("nano"):
        pytest.skip("nano is not installed")
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME=m.base)
        os.execvp("nano", ["nano", "--ignorercfiles", side_of(m, shots[0])])
    seen, script = b"", [(b"vendor_key", b"\x1c"), (b"Search", b"person\r"), (b"Replace with", b"cat\r"),
                         (b"this ins", b"a"), (b"Replaced", b"\x0f"), (b"Write", b"\r"), (b"Wrote", b"\x18")]
    for wanted, keys in script:
        deadline = time.monotonic() + 20
        while wanted not in seen and time.monotonic() < deadline:
            if select.select([fd], [], [], 0.5)[0]:
                seen += os.read(fd, 65536)
        assert wanted in seen, seen[-500:]
        seen = b""
        os.write(fd, keys)
    os.waitpid(pid, 0)
    os.close(fd)
    relabelled(m, shots[0], "object", "cat")


def test_cp_and_mv_of_a_new_one(filled):
    m, shots = filled
    new = m.path("new.json")
    with open(new, "wb") as f:
        f.write(b'{"labels":["animal/fox"]}')
    run(["cp", new, side_of(m, shots[0])])
    relabelled(m, shots[0], "animal", "fox")
    assert m.sidecar(shots[0].path)["starred"] is True, "a text that is no whole sidecar changes what it has"
    with open(new, "wb") as f:
        f.write(text_with(m, shots[0], labels=[{"kind": "animal", "value": "owl"}], starred=False))
    run(["mv", new, side_of(m, shots[0])])
    relabelled(m, shots[0], "animal", "owl")
    wait_until(lambda: not os.path.exists(m.at("starred", shots[0].day, shots[0].stem + ".jpg")), 10)
    assert not os.path.exists(new)
    only_the_day(m, shots[0])


@pytest.mark.parametrize("temporary", ["{}.tmp", ".{}.XyZ123", "{}.AbC123", ".goutputstream-ABCDEF", "tmpab12cd", "{}~"])
def test_editors_that_save_by_renaming(filled, temporary):
    m, shots = filled
    m.sync()
    side = side_of(m, shots[0])
    temp = os.path.join(os.path.dirname(side), temporary.format(os.path.basename(side)))
    with open(temp, "xb") as f:
        f.write(text_with(m, shots[0], labels=[{"kind": "object", "value": "cat"}]))
        os.fsync(f.fileno())
    assert os.stat(temp).st_size > 0
    os.chmod(temp, 0o600)
    os.rename(temp, side)
    relabelled(m, shots[0], "object", "cat")
    assert not os.path.exists(temp)
    m.sync()
    with open(side) as f:
        assert os.fstat(f.fileno()).st_size == len(f.read().encode())


def test_rename_with_a_backup(filled):
    """x.json -> x.json~, x.json anew, x.json~ away: as vim and emacs do."""
    m, shots = filled
    side = side_of(m, shots[0])
    before = m.read(side)
    os.rename(side, side + "~")
    assert not os.path.exists(side)
    assert m.read(side + "~") == before
    with open(side, "xb") as f:
        f.write(before.replace(b"person", b"cat"))
    os.unlink(side + "~")
    relabelled(m, shots[0], "object", "cat")
    os.rename(side, side + "~")
    os.rename(side + "~", side)
    relabelled(m, shots[0], "object", "cat")


def test_gio_saves(filled):
    m, shots = filled
    if not find_program("gio"):
        pytest.skip("gio is not installed")
    run(["gio", "save", side_of(m, shots[0])], input=text_with(m, shots[0], labels=["animal/fox"]).decode(),
        env=clean_env(HOME=m.base, XDG_RUNTIME_DIR=m.base))
    relabelled(m, shots[0], "animal", "fox")


def test_by_its_ghost_name_in_other_views(filled):
    m, shots = filled
    y, mon, d = shots[0].day.split("-")
    run(["sed", "-i", SED, m.at("dates", y, mon, d, shots[0].stem + ".json")])
    relabelled(m, shots[0], "object", "cat")
    with open(m.at("labels/object/cat", shots[0].day, shots[0].stem + ".jpg.json"), "r+") as f:
        text = f.read().replace("cat", "dog")
        f.seek(0)
        f.write(text)
        f.truncate()
    relabelled(m, shots[0], "object", "dog")


def test_size_and_time_while_it_is_written(filled):
    m, shots = filled
    side = side_of(m, shots[0])
    before = os.stat(side)
    with open(side, "r+b") as f:
        text = f.read()
        f.seek(0, os.SEEK_END)
        f.write(b"\n\n")
        f.flush()
        assert os.fstat(f.fileno()).st_size == len(text) + 2
        f.truncate(10)
        assert os.fstat(f.fileno()).st_size == 10
        assert m.read(side) == text[:10], "as of any file that somebody writes"
        f.seek(0)
        f.write(text.replace(b"person", b"cat"))
    after = os.stat(side)
    assert after.st_mtime_ns > before.st_mtime_ns and after.st_ino == before.st_ino
    assert after.st_size == len(m.read(side))
    relabelled(m, shots[0], "object", "cat")
    text = m.read(side)
    with open(side, "r+b") as f:
        f.write(text)
    assert os.stat(side).st_mtime_ns == after.st_mtime_ns, "nothing changed"


def test_appending(filled):
    m, shots = filled
    side = side_of(m, shots[1])
    with open(side, "wb") as f:
        f.write(b'{"labels":')
        f.flush()
        with open(side, "ab") as g:
            g.write(b'["object/cat"]}')
    relabelled(m, shots[1], "object", "cat")


def test_broken_json_keeps_labels_and_bytes(filled):
    m, shots = filled
    side = side_of(m, shots[0])
    broken = b'{"labels": [\n  {"kind": "object" "value": "cat"}\n]}\n'
    with open(side, "wb") as f:
        f.write(broken)
    assert m.read(side) == broken and os.stat(side).st_size == len(broken)
    why = m.xattr(os.path.relpath(side, m.mnt), "shutterfs.error")
    assert "line 2" in why and "column" in why, why
    assert "user.shutterfs.error" in os.listxattr(side)
    assert any(e["subject"] == os.path.relpath(side, m.mnt) and why in e["error"] for e in m.errors()), m.errors()
    assert set(m.xattr(shots[0].path, "xdg.tags").split(",")) == {"object/person"}
    assert os.path.exists(m.at("labels/object/person", shots[0].day, shots[0].stem + ".jpg"))
    m.restart()
    assert m.read(side) == broken
    with open(side, "wb") as f:
        f.write(broken.replace(b'"object" "', b'"object", "'))
    relabelled(m, shots[0], "object", "cat")
    assert m.xattr(os.path.relpath(side, m.mnt), "shutterfs.error") is None and m.errors() == []


def test_broken_json_by_renaming(filled):
    m, shots = filled
    side = side_of(m, shots[0])
    with open(side + ".tmp", "wb") as f:
        f.write(b"{")
    os.rename(side + ".tmp", side)
    wait_until(lambda: m.read(side) == b"{", 10)
    assert m.xattr(os.path.relpath(side, m.mnt), "shutterfs.error")
    os.truncate(side, 0)
    assert m.read(side) == b"" and m.xattr(os.path.relpath(side, m.mnt), "shutterfs.error")
    assert set(m.xattr(shots[0].path, "xdg.tags").split(",")) == {"object/person"}


def test_a_document_twice_is_refused(filled):
    m, shots = filled
    side = side_of(m, shots[0])
    one = {"created_by": "auto", "label": {"label_direction": 2, "label_speed": 1}}
    once, twice = (text_with(m, shots[0], documents=d) for d in ([one], [one, one]))
    fd = os.open(side, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, twice)
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.EEXIST
    assert len(m.errors()) == 1 and "documents" not in json.dumps(m.errors()[0]["subject"])
    with open(side + ".tmp", "wb") as f:
        f.write(twice)
    with pytest.raises(OSError) as e:
        os.rename(side + ".tmp", side)
    assert e.value.errno == errno.EEXIST and os.path.exists(side + ".tmp")
    with open(side, "wb") as f:
        f.write(once)
    documents = m.sidecar(shots[0].path)["documents"]
    assert len(documents) == 1 and len(documents[0]["label_fingerprint"]) == 32 and m.errors() == []


def test_facts_are_not_editable(filled):
    m, shots = filled
    before = m.sidecar(shots[0].path)
    text = text_with(m, shots[0], size=1, sha256="0" * 64, width=1, state="remote", replicas=[])
    with open(side_of(m, shots[0]), "wb") as f:
        f.write(text)
    after = m.sidecar(shots[0].path)
    assert {k: after[k] for k in ("size", "sha256", "width", "taken", "camera")} == \
        {k: before[k] for k in ("size", "sha256", "width", "taken", "camera")}


def test_what_a_day_takes_and_what_not(filled):
    m, shots = filled
    day = os.path.dirname(side_of(m, shots[0]))
    for name in ("notes.txt", "x.jpg", "new.json", "2024.json"):
        with pytest.raises(OSError) as e:
            os.close(os.open(os.path.join(day, name), os.O_WRONLY | os.O_CREAT, 0o644))
        assert e.value.errno == errno.EROFS, name
    for name in (".x.swp", "4913", "sedAb12cd", "#x.json#"):
        with open(os.path.join(day, name), "xb") as f:
            f.write(b"x")
        assert m.read(day, name) == b"x"
        os.rename(os.path.join(day, name), os.path.join(day, "other~"))
        os.unlink(os.path.join(day, "other~"))
    only_the_day(m, shots[0])
    for call in (lambda: os.unlink(m.at(shots[0].path)), lambda: os.rename(side_of(m, shots[0]), side_of(m, shots[1]))):
        with pytest.raises(OSError) as e:
            call()
        assert e.value.errno == errno.EPERM


def test_a_removed_one_comes_back(filled):
    m, shots = filled
    before = m.sidecar(shots[0].path)["labels"]
    os.unlink(side_of(m, shots[0]))
    assert not os.path.exists(side_of(m, shots[0]))
    wait_until(lambda: os.path.exists(side_of(m, shots[0])), 30, 0.5)
    assert m.sidecar(shots[0].path)["labels"] == before


def test_edits_are_there_after_kill_9(filled):
    m, shots = filled
    run(["sed", "-i", SED, side_of(m, shots[0])])
    m.crash_and_restart()
    relabelled(m, shots[0], "object", "cat")


def test_a_worker_that_is_killed_while_something_is_saved(filled):
    """Its writer hears of it, and nothing is half taken in; what was closed before is there."""
    m, shots = filled
    run(["sed", "-i", SED, side_of(m, shots[0])])
    fd = os.open(side_of(m, shots[1]), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b'{"labels":["object/cat"]}')
    m.replace_worker()
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.EIO
    assert "labels" not in m.sidecar(shots[1].path)
    with open(side_of(m, shots[1]), "wb") as f:
        f.write(b'{"labels":["object/cat"]}')
    relabelled(m, shots[0], "object", "cat")
    relabelled(m, shots[1], "object", "cat")


OWNER = r"""
set -e
p=$(ls "$1"/cameras/front/*/*.jpg | head -1)
setfattr -n user.xdg.tags -v a/b "$p"
sed -i 's/"starred":false/"starred":true/' "${p%.jpg}.json"
grep -q '"starred":true' "${p%.jpg}.json"
mkdir "$1/labels/x" "$1/labels/x/y"
ln "$p" "$1/labels/x/y/"
cp "$p" "$1/labels/x/y/copy.jpg"
if echo x > "$p"; then exit 9; fi
rm -r "$1/labels/x"
getfattr --only-values -n user.xdg.tags "$p"
"""


def test_whom_the_tree_belongs_to_may_edit(make_mount):
    """Modes and owners are those of who mounts: here root mounts and another user looks as the owner would."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    m = make_mount(options=["-o", "allow_other"])
    collection.fill(m)
    # without what root may do whatever the modes say
    done = run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", "sh", "-c", OWNER, "sh", m.mnt])
    assert done.stdout == "a/b"


def test_nobody_else_may(make_mount):
    """Permissions of the tree let its owner edit, and nobody else."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    m = make_mount(options=["-o", "allow_other"])
    shots = collection.fill(m)
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", 'echo "{}" > "$1"', "sh",
                           side_of(m, shots[0])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode and "ermission" in done.stdout


def test_attributes_of_others_are_refused_and_cp_goes_on(mount, tmp_path):
    """What cannot be kept is not taken: cp -a goes on without, and who asks for it is told."""
    shots = collection.fill(mount)
    path, copy = side_of(mount, shots[0]), str(tmp_path / "copy.json")
    for name in ("user.other", "user.DOSATTRIB", "user.xdg.tags"):
        with pytest.raises(OSError) as e:
            os.setxattr(path, name, b"x")
        assert e.value.errno == errno.ENOTSUP
    os.setxattr(path, "user.mime_type", b"application/json")
    run(["cp", "-a", path, copy])
    with contextlib.suppress(OSError):  # not every file system has them
        os.setxattr(copy, "user.other", b"x")
    run(["cp", "-a", copy, path])
    assert set(os.listxattr(path)) == {"user.mime_type"}
