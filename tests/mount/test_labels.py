"""Label directories and starred/ are changed with mkdir, ln, cp, mv, rm, rename, and by file managers."""
import errno
import json
import os
import random
import shutil
import threading
import time

import pytest

import collection
import pictures
from processes import clean_env, find_program, run, wait_until


@pytest.fixture
def filled(mount):
    return mount, collection.fill(mount)


def tree(m, top="labels"):
    """{path below the mount} of the pictures, from a fresh look."""
    return sorted(os.path.relpath(p, m.mnt) for paths in collection.walk(m.at(top)).values() for p in paths)


def tags(m, shot):
    return set(filter(None, (m.xattr(shot.path, "xdg.tags") or "").split(",")))


def has(m, shot, *labels, starred=None):
    """It has just these labels: as tags, in its sidecar, as directories, as links."""
    assert tags(m, shot) == set(labels)
    assert {f"{x['kind']}/{x['value']}" for x in m.sidecar(shot.path).get("labels", [])} == set(labels)
    wanted = sorted(f"labels/{x}/{shot.day}/{shot.stem}.jpg" for x in labels)
    wait_until(lambda: [p for p in tree(m) if shot.stem in p] == wanted, 10,
               what=lambda: f"{tree(m)}, wanted {wanted}")
    if starred is not None:
        assert m.sidecar(shot.path)["starred"] is starred
        wait_until(lambda: os.path.exists(m.at("starred", shot.day, shot.stem + ".jpg")) is starred, 10)
    wait_until(lambda: os.stat(m.at(shot.path)).st_nlink == 2 + len(labels) + m.sidecar(shot.path)["starred"], 10)
    for p in wanted:
        assert os.stat(m.at(p)).st_ino == os.stat(m.at(shot.path)).st_ino and m.read(p) == shot.data


def objects(m):
    """Pictures that the store has."""
    return sorted(n for _, _, names in os.walk(m.archive) for n in names if n.endswith(".jpg"))


def raises(number, call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    assert e.value.errno == number, errno.errorcode[e.value.errno]


def test_mkdir_and_rmdir(filled):
    m, shots = filled
    run(["mkdir", m.at("labels/animal"), m.at("labels/animal/fox")])
    assert os.listdir(m.at("labels/animal")) == ["fox"] and "animal" in os.listdir(m.at("labels"))
    assert os.listdir(m.at("labels/animal/fox")) == []
    assert (os.stat(m.at("labels/animal")).st_mode & 0o7777, os.stat(m.at("labels")).st_mode & 0o7777) == (0o755, 0o755)
    raises(errno.EEXIST, os.mkdir, m.at("labels/animal/fox"))
    raises(errno.ENOTEMPTY, os.rmdir, m.at("labels/object/person"))
    raises(errno.ENOTEMPTY, os.rmdir, m.at("labels/animal"))
    raises(errno.EINVAL, os.mkdir, m.at("labels/.hidden"))
    raises(errno.EPERM, os.mkdir, m.at("labels/animal/fox/deeper"))
    m.restart()
    assert os.listdir(m.at("labels/animal")) == ["fox"]
    run(["rmdir", m.at("labels/animal/fox"), m.at("labels/animal")])
    assert sorted(os.listdir(m.at("labels"))) == ["object", "weather"]


def test_ln(filled):
    m, shots = filled
    shot = shots[1]
    run(["mkdir", "-p", m.at("labels/animal/fox")])
    run(["ln", m.at(shot.path), m.at("labels/animal/fox/")])
    assert m.read("labels/animal/fox", shot.stem + ".jpg") == shot.data
    has(m, shot, "animal/fox")
    run(["ln", m.at(shot.path), m.at("labels/object/car/mine.jpg")])
    assert os.stat(m.at("labels/object/car/mine.jpg")).st_ino == os.stat(m.at(shot.path)).st_ino
    has(m, shot, "animal/fox", "object/car")
    assert run(["ln", m.at(shot.path), m.at("labels/animal/fox/")], check=False).returncode, "it is there"
    run(["ln", m.at("upload/front/shot2.jpg"), m.at("starred/")])
    has(m, shots[2], "object/person", "object/car", starred=True)
    raises(errno.EPERM, os.link, os.path.splitext(m.at(shot.path))[0] + ".json", m.at("labels/object/car/x.jpg"))
    raises(errno.EROFS, os.link, m.at(shot.path), m.at("labels/object/x.jpg"))


def test_cp_of_a_picture_of_the_mount(filled):
    m, shots = filled
    shot = shots[1]
    m.sync()
    before = objects(m)
    run(["mkdir", "-p", m.at("labels/animal/fox")])
    run(["cp", m.at(shot.path), m.at("labels/animal/fox/")])
    has(m, shot, "animal/fox")
    run(["cp", "-a", m.at(shot.path), m.at("labels/object/car", "copy of it.jpg")])
    has(m, shot, "animal/fox", "object/car")
    assert m.read("labels/object/car/copy of it.jpg") == shot.data
    run(["cp", m.at(shot.path), m.at("starred", "x.jpg")])
    has(m, shot, "animal/fox", "object/car", starred=True)
    m.sync()
    assert objects(m) == before and len(m.snapshots()) == len(shots), "nothing is stored twice"


def test_cp_r_of_a_day(filled):
    m, shots = filled
    run(["cp", "-r", m.at("labels/object/person", shots[0].day), m.at("labels/weather/snow/")])
    has(m, shots[0], "object/person", "weather/snow")
    has(m, shots[2], "object/person", "object/car")


def test_cp_of_a_foreign_picture(filled):
    m, shots = filled
    moment = pictures.moment(7)
    new = m.path(pictures.stem(moment, "garden") + ".jpg")
    with open(new, "wb") as f:
        f.write(pictures.picture(77, moment, "+00:00"))
    run(["cp", new, m.at("labels/object/car/")])
    path = m.wait_snapshots(1, camera="garden")[0]
    assert m.xattr(path, "xdg.tags") == "object/car" and m.read(path) == open(new, "rb").read()
    assert os.path.exists(m.at("labels/object/car", os.path.basename(new)))
    other = m.path("holiday.jpg")
    with open(other, "wb") as f:
        f.write(pictures.picture(78, pictures.moment(8), "+00:00"))
    run(["mv", other, m.at("starred/")])
    path = m.wait_snapshots(1, camera="upload")[0]
    assert m.sidecar(path)["starred"] is True
    m.sync()
    assert len(objects(m)) == len(shots) + 2
    m.crash_and_restart()
    assert m.xattr(m.snapshots("garden")[0], "xdg.tags") == "object/car"


def test_cp_r_of_a_folder_makes_a_label(filled):
    m, shots = filled
    made = pictures.write_pictures(m.path("holiday"), 3, start=30)
    run(["mkdir", m.at("labels/event")])
    run(["cp", "-r", m.path("holiday"), m.at("labels/event/")])
    paths = m.wait_snapshots(3, camera="upload")
    assert {m.xattr(p, "xdg.tags") for p in paths} == {"event/holiday"} and {m.read(p) for p in paths} == set(made.values())
    run(["mv", m.at("upload/front/shot1.jpg"), m.at("labels/event/holiday/")])
    assert tags(m, shots[1]) == {"event/holiday"} and not os.path.exists(m.at("upload/front/shot1.jpg"))
    assert len(m.snapshots()) == len(shots) + 3


def test_what_is_no_picture(filled):
    m, shots = filled
    with open(m.at("labels/object/car/x.jpg"), "wb") as f:
        f.write(b"<html>not found</html>")
    wait_until(lambda: m.errors(), 20)
    assert m.errors()[0]["subject"] == "x.jpg" and "HTML" in m.errors()[0]["error"]
    assert "labels/object/car" in m.errors()[0]["error"]
    raises(errno.EPERM, lambda: open(m.at("labels/object/car/x.txt"), "xb"))
    os.unlink(m.at("labels/object/car/x.jpg"))
    assert m.errors() == []


def test_rm_removes_the_label_only(filled):
    m, shots = filled
    run(["rm", m.at("labels/object/car", shots[2].day, shots[2].stem + ".jpg")])
    has(m, shots[2], "object/person")
    run(["rm", m.at("starred", shots[0].day, shots[0].stem + ".jpg")])
    has(m, shots[0], "object/person", starred=False)
    raises(errno.EPERM, os.unlink, m.at(shots[0].path))
    assert len(m.snapshots()) == len(shots)
    run(["rm", "-r", m.at("labels/object/person"), m.at("labels/weather")])
    has(m, shots[2])
    has(m, shots[4])
    wait_until(lambda: os.listdir(m.at("labels")) == ["object"] and os.listdir(m.at("labels/object")) == ["car"], 10,
               what=lambda: tree(m))
    assert m.sidecar(shots[4].path)["labels"] == [], "looked, nothing there"
    assert len(m.snapshots()) == len(shots)


def test_mv_from_one_value_to_another(filled):
    m, shots = filled
    shot = shots[3]
    run(["mkdir", m.at("labels/object/truck")])
    run(["mv", m.at("labels/object/car", shot.day, shot.stem + ".jpg"), m.at("labels/object/truck/")])
    has(m, shot, "object/truck")
    assert m.sidecar(shot.path)["labels"][0]["box"] == collection.BOX
    run(["mv", m.at("labels/object/truck", shot.stem + ".jpg"), m.at("labels/weather/snow/renamed.jpg")])
    has(m, shot, "weather/snow")
    assert m.read("labels/weather/snow/renamed.jpg") == shot.data
    run(["mv", m.at("labels/weather/snow/renamed.jpg"), m.at("starred/")])
    has(m, shot, starred=True)
    run(["mv", m.at(shot.path), m.at("labels/object/car/")])
    has(m, shot, "object/car", starred=True)
    assert os.path.exists(m.at(shot.path)), "a camera's directory keeps its pictures"
    run(["mv", m.at("labels/object/car", shot.day, shot.stem + ".jpg"), m.path("out.jpg")])
    has(m, shot, starred=True)
    assert open(m.path("out.jpg"), "rb").read() == shot.data


def test_mv_of_a_day_goes_picture_by_picture(filled):
    m, shots = filled
    run(["mv", m.at("labels/object/car", shots[2].day), m.at("labels/weather/snow/")])
    has(m, shots[2], "object/person", "weather/snow")
    has(m, shots[3], "object/car")
    assert len(m.snapshots()) == len(shots)


def test_renaming_a_label(filled):
    m, shots = filled
    inode = os.stat(m.at("labels/object/person")).st_ino
    with open(m.at("labels/object/person", shots[0].day, shots[0].stem + ".jpg"), "rb") as f:
        run(["mv", m.at("labels/object/person"), m.at("labels/object/human")])
        assert f.read() == shots[0].data
    assert sorted(os.listdir(m.at("labels/object"))) == ["car", "human"]
    assert not os.path.exists(m.at("labels/object/person")) and os.stat(m.at("labels/object/human")).st_ino == inode
    has(m, shots[0], "object/human")
    has(m, shots[2], "object/human", "object/car")
    run(["mkdir", m.at("labels/being")])
    run(["mv", m.at("labels/object/human"), m.at("labels/being/")])
    has(m, shots[0], "being/human")
    run(["mv", m.at("labels/object"), m.at("labels/thing")])
    has(m, shots[2], "being/human", "thing/car")
    raises(errno.ENOTEMPTY, os.rename, m.at("labels/thing/car"), m.at("labels/being/human"))
    assert run(["mv", m.at("labels/thing/car"), m.at("labels/being/human")], check=False).returncode
    m.crash_and_restart()
    has(m, shots[2], "being/human", "thing/car")


def test_listings_and_negative_entries_are_right_at_once(filled):
    """Everything below was looked at before, so the kernel remembers it."""
    m, shots = filled
    shot = shots[1]
    for _ in range(3):
        tree(m), tree(m, "starred")
        assert not os.path.exists(m.at("labels/object/person", shot.day, shot.stem + ".jpg"))
        assert not os.path.exists(m.at("labels/animal"))
        os.makedirs(m.at("labels/animal/fox"))
        assert os.path.isdir(m.at("labels/animal/fox"))
        os.link(m.at(shot.path), m.at("labels/object/person", shot.day, shot.stem + ".jpg"))
        assert shot.stem + ".jpg" in os.listdir(m.at("labels/object/person", shot.day))
        os.rename(m.at("labels/object/person", shot.day, shot.stem + ".jpg"),
                  m.at("labels/animal/fox", shot.stem + ".jpg"))
        assert shot.stem + ".jpg" not in os.listdir(m.at("labels/object/person", shot.day))
        wait_until(lambda: os.listdir(m.at("labels/animal/fox")) == [shot.day], 10)
        assert os.listdir(m.at("labels/animal/fox", shot.day)) == [shot.stem + ".jpg"]
        run(["rm", "-r", m.at("labels/animal")])
        wait_until(lambda: "animal" not in os.listdir(m.at("labels")), 10)
        assert not os.path.exists(m.at("labels/animal"))


def test_names_by_stem_come_and_go_with_the_label(filled):
    """In labels/<kind>/<value>/ and starred/ a picture resolves by its name, too, though it is listed under its day."""
    m, shots = filled
    for where, attribute, on, off in (("labels/object/car", "user.xdg.tags", b"object/car", b"x"),
                                      ("starred", "user.shutterfs.starred", b"1", b"0")):
        name = m.at(where, shots[1].stem + ".jpg")
        for _ in range(3):
            assert not os.path.exists(name)
            os.setxattr(m.at(shots[1].path), attribute, on)
            assert os.path.exists(name) and os.listdir(m.at(where)) != [os.path.basename(name)]
            os.setxattr(m.at(shots[1].path), attribute, off)
            assert not os.path.exists(name)
            os.link(m.at(shots[1].path), m.at(where, "mine.jpg"))
            os.setxattr(m.at(shots[1].path), attribute, off)
            assert not os.path.exists(m.at(where, "mine.jpg")) and not os.path.exists(name)


def test_gio(filled):
    m, shots = filled
    if not find_program("gio"):
        pytest.skip("gio is not installed")
    env = clean_env(HOME=m.base, XDG_RUNTIME_DIR=m.base)
    run(["gio", "mkdir", "-p", m.at("labels/animal/fox")], env=env)
    run(["gio", "copy", m.at(shots[1].path), m.at("labels/animal/fox/")], env=env)
    has(m, shots[1], "animal/fox")
    run(["gio", "copy", m.at(shots[1].path), m.at("starred/")], env=env)
    has(m, shots[1], "animal/fox", starred=True)
    run(["gio", "move", m.at("labels/animal/fox", shots[1].day, shots[1].stem + ".jpg"), m.at("labels/object/car/")],
        env=env)
    has(m, shots[1], "object/car")
    run(["gio", "rename", m.at("labels/object/car"), "truck"], env=env)
    has(m, shots[1], "object/truck")
    run(["gio", "remove", m.at("labels/object/truck", shots[1].day, shots[1].stem + ".jpg")], env=env)
    has(m, shots[1])


def test_rsync_into_a_label(filled):
    m, shots = filled
    src = m.path("src")
    pictures.write_pictures(src, 3, start=20)
    for _ in range(2):
        run(["rsync", "-a", src + "/", m.at("labels/object/car/")])
        assert len(m.wait_snapshots(3, camera="upload")) == 3
    m.sync()
    assert len(objects(m)) == len(shots) + 3


def test_many_hands_at_once(filled):
    """Whoever is last counts, and all views agree on who that was."""
    m, shots = filled
    end, failed = time.monotonic() + 4, []
    for value in "uvw":
        os.makedirs(m.at("labels/a", value))

    def hand(number):
        dice = random.Random(number)
        while time.monotonic() < end:
            shot, value = dice.choice(shots), dice.choice("uvw")
            picture, named = m.at(shot.path), m.at("labels/a", value, shot.stem + ".jpg")
            try:
                dice.choice((
                    lambda: os.link(picture, named), lambda: os.unlink(named),
                    lambda: shutil.copyfile(picture, m.at("labels/a", value, f"{number}.jpg")),
                    lambda: os.setxattr(picture, "user.xdg.tags", f"a/{value},object/person".encode()),
                    lambda: os.setxattr(picture, "user.shutterfs.starred", dice.choice((b"0", b"1"))),
                    lambda: os.rename(named, m.at("labels/a/w", shot.stem + ".jpg")),
                    lambda: save(os.path.splitext(picture)[0] + ".json", json.dumps({"labels": [f"a/{value}"]}), number),
                    lambda: collection.walk(m.at("labels"))))()
            except shutil.SameFileError:
                pass
            except OSError as e:
                # another hand was faster
                if e.errno not in (errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.EROFS):
                    failed.append(repr(e))
            except Exception as e:      # it would end the thread, unseen
                failed.append(repr(e))

    hands = [threading.Thread(target=hand, args=(n,)) for n in range(6)]
    for t in hands:
        t.start()
    for t in hands:
        t.join()
    assert failed == []
    for shot in shots:
        said = {f"{x['kind']}/{x['value']}" for x in m.sidecar(shot.path).get("labels", [])}
        has(m, shot, *said, starred=m.sidecar(shot.path)["starred"])


def save(path, text, number):
    """As an editor of one's own does."""
    temp = f"{path}.{number}"
    with open(temp, "w") as f:
        f.write(text)
    os.rename(temp, path)


def test_ten_thousand_are_renamed_at_once(make_mount):
    """20,000 pictures with three labels each: the catalog is filled by a scan of a store that has sidecars."""
    many = int(os.environ.get("LABELS_SCALE", "2000"))
    m = make_mount(start=False)
    collection.fill_archive(m, many)
    m.start()
    m.cli("scan", "archive", timeout=600)
    wait_until(lambda: count(m, "labels/object/dog") == many // 2, 300, 0.5)
    os.listdir(m.at("labels/object"))
    begun = time.monotonic()
    os.rename(m.at("labels/object/dog"), m.at("labels/object/wolf"))
    renamed = time.monotonic() - begun
    listed = count(m, "labels/object/wolf")
    took = time.monotonic() - begun
    print(f"{many} pictures: mv of a label of {listed} took {renamed * 1000:.1f} ms, with ls {took * 1000:.1f} ms")
    assert listed == many // 2 and sorted(os.listdir(m.at("labels/object"))) == ["cat", "wolf"]
    assert took < 60 * many / 20000 + 2, "generous: other programs run, too"


def count(m, top):
    return sum(len(os.listdir(m.at(top, day))) for day in os.listdir(m.at(top))) if os.path.isdir(m.at(top)) else 0


def test_who_makes_a_label_finds_it(mount):
    """Also where he had looked for it in vain, and the kernel remembers that."""
    mount.upload("front", "a.jpg", pictures.picture(1, pictures.moment(1), "+00:00"))
    path = mount.wait_snapshots(1)[0]
    for n in range(200):
        assert not os.path.exists(mount.at(f"labels/kind{n}")) and not os.path.exists(mount.at(f"labels/animal/fox{n}"))
        os.setxattr(mount.at(path), "user.xdg.tags", f"animal/fox{n},kind{n}/x".encode())
        assert os.path.exists(mount.at(f"labels/animal/fox{n}")) and os.path.exists(mount.at(f"labels/kind{n}/x"))
