"""Tags, comment, rating and star as extended attributes: what KDE, setfattr and copying programs set and read."""
import errno
import json
import os
import shutil

import pytest

import collection
import pictures
from processes import clean_env, find_program, run, wait_until


@pytest.fixture
def filled(mount):
    return mount, collection.fill(mount)


def tags(m, path):
    return set(filter(None, (m.xattr(path, "xdg.tags") or "").split(",")))


def raises(number, call, *args):
    with pytest.raises(OSError) as e:
        call(*args)
    assert e.value.errno == number, errno.errorcode[e.value.errno]


def test_tags(filled):
    m, shots = filled
    shot, name = shots[0], "user.xdg.tags"
    m.read(shot.path)
    run(["setfattr", "-n", name, "-v", "object/person,animal/fox, holiday ", m.at(shot.names[0])])
    for path in shot.names:
        assert tags(m, path) == {"object/person", "animal/fox", "holiday"}
    assert os.listdir(m.at("labels/animal")) == ["fox"] and os.listdir(m.at("labels/label")) == ["holiday"]
    labels = {x["value"]: x for x in m.sidecar(shot.path)["labels"]}
    assert labels["person"]["box"] == collection.BOX and labels["person"]["by"] == "test", "what stays keeps its box"
    assert "box" not in labels["fox"]
    run(["setfattr", "-n", name, "-v", "holiday", m.at("labels/animal/fox", shot.day, shot.stem + ".jpg")])
    assert tags(m, shot.path) == {"holiday"}
    wait_until(lambda: sorted(os.listdir(m.at("labels"))) == ["label", "object", "weather"], 10)
    run(["setfattr", "-x", name, m.at(shot.path)])
    assert m.xattr(shot.path, "xdg.tags") is None and m.sidecar(shot.path)["labels"] == []
    raises(errno.ENODATA, os.removexattr, m.at(shot.path), name)
    raises(errno.ENODATA, os.setxattr, m.at(shot.path), name, b"x", os.XATTR_REPLACE)
    for bad in (b"/x", b"x/", b"a\0b", b"\xff"):
        raises(errno.EINVAL, os.setxattr, m.at(shot.path), name, bad)
    os.setxattr(m.at(shot.path), name, b"")
    assert m.xattr(shot.path, "xdg.tags") is None


def test_a_tag_with_a_comma_is_kept_when_another_is_added(filled):
    m, shots = filled
    with open(os.path.splitext(m.at(shots[1].path))[0] + ".json", "wb") as f:
        f.write(json.dumps({"labels": [{"kind": "who", "value": "Ann, Bob"}]}).encode())
    assert m.xattr(shots[1].path, "xdg.tags") == "who/Ann  Bob"
    os.setxattr(m.at(shots[1].path), "user.xdg.tags", b"who/Ann  Bob,new")
    assert [x["value"] for x in m.sidecar(shots[1].path)["labels"]] == ["Ann, Bob", "new"]


def test_comment_rating_star(filled):
    m, shots = filled
    path = m.at(shots[1].path)
    run(["setfattr", "-n", "user.xdg.comment", "-v", "žluťoučký kůň", path])
    run(["setfattr", "-n", "user.baloo.rating", "-v", "7", path])
    run(["setfattr", "-n", "user.shutterfs.starred", "-v", "1", path])
    s = m.sidecar(shots[1].path)
    assert (s["comment"], s["rating"], s["starred"]) == ("žluťoučký kůň", 7, True)
    assert os.path.exists(m.at("starred", shots[1].day, shots[1].stem + ".jpg"))
    assert {"user.xdg.comment", "user.baloo.rating", "user.shutterfs.starred"} <= set(os.listxattr(path))
    for bad in (b"11", b"-1", b"x", b"", b"7 "):
        raises(errno.EINVAL, os.setxattr, path, "user.baloo.rating", bad)
    raises(errno.EINVAL, os.setxattr, path, "user.shutterfs.starred", b"2")
    raises(errno.EEXIST, os.setxattr, path, "user.xdg.comment", b"x", os.XATTR_CREATE)
    m.crash_and_restart()
    assert m.xattr(shots[1].path, "xdg.comment") == "žluťoučký kůň" and m.xattr(shots[1].path, "baloo.rating") == "7"
    for name in ("xdg.comment", "baloo.rating", "shutterfs.starred"):
        run(["setfattr", "-x", "user." + name, path])
    assert m.xattr(shots[1].path, "xdg.comment") is None and m.xattr(shots[1].path, "baloo.rating") is None
    assert m.xattr(shots[1].path, "shutterfs.starred") == "0"
    assert not {"comment", "rating"} & set(m.sidecar(shots[1].path))
    wait_until(lambda: not os.path.exists(m.at("starred", shots[1].day, shots[1].stem + ".jpg")), 10)


def test_what_is_listed_can_be_read(filled):
    m, shots = filled
    for shot in shots:
        for name in os.listxattr(m.at(shot.path)):
            assert os.getxattr(m.at(shot.path), name)
    raises(errno.EROFS, os.setxattr, m.at(shots[0].path), "user.shutterfs.state", b"synced")
    raises(errno.EROFS, os.setxattr, m.at(shots[0].path), "user.other", b"x")
    raises(errno.EOPNOTSUPP, os.getxattr, m.at(shots[0].path), "security.capability")


def test_on_registered_uploads(filled):
    m, shots = filled
    up = m.at("upload/front/shot0.jpg")
    os.setxattr(up, "user.xdg.tags", b"animal/fox")
    assert tags(m, shots[0].path) == {"animal/fox"} and os.getxattr(up, "user.xdg.tags") == b"animal/fox"
    assert "user.xdg.tags" in os.listxattr(up)
    os.setxattr(m.at(shots[0].path), "user.xdg.tags", b"animal/owl")
    assert os.getxattr(up, "user.xdg.tags") == b"animal/owl"
    os.removexattr(up, "user.xdg.tags")
    assert tags(m, shots[0].path) == set() and "user.xdg.tags" not in os.listxattr(up)
    os.setxattr(up, "user.shutterfs.state", b"rejected")
    os.setxattr(up, "user.shutterfs.sha256", b"x")
    assert os.getxattr(up, "user.shutterfs.state") == b"queued" or os.getxattr(up, "user.shutterfs.state") == b"synced"


def test_tags_come_with_a_copy(filled, tmp_path):
    """cp -a from a folder that a file manager has tagged."""
    m, _ = filled
    src = tmp_path / "tagged.jpg"
    src.write_bytes(pictures.picture(50, pictures.moment(50), "+00:00"))
    try:
        os.setxattr(src, "user.xdg.tags", b"holiday,animal/fox")
        os.setxattr(src, "user.xdg.comment", b"by the lake")
    except OSError:
        pytest.skip("no extended attributes here")
    run(["cp", "-a", src, m.at("upload/front/")])
    path = f"cameras/front/{pictures.day(pictures.moment(50))}/{pictures.stem(pictures.moment(50), 'front')}.jpg"
    wait_until(lambda: tags(m, path) == {"holiday", "animal/fox"}, 20)
    assert m.xattr(path, "xdg.comment") == "by the lake"


def test_rsync_with_attributes_sends_nothing_the_second_time(filled, tmp_path):
    m, shots = filled
    out, back = tmp_path / "out", tmp_path / "back"
    run(["rsync", "-aHX", m.at("cameras") + "/", f"{out}/"])
    again = run(["rsync", "-aHXi", m.at("cameras") + "/", f"{out}/"]).stdout
    assert again == "", again
    src = tmp_path / "src"
    pictures.write_pictures(src, 3, start=60)
    try:
        os.setxattr(src / "p00060.jpg", "user.xdg.tags", b"b,a/c")
        os.setxattr(src / "p00061.jpg", "user.baloo.rating", b"5")
    except OSError:
        pytest.skip("no extended attributes here")
    os.mkdir(m.at("upload/tagged"))
    run(["rsync", "-aHX", f"{src}/", m.at("upload/tagged") + "/"])
    m.wait_snapshots(3, camera="tagged")
    again = run(["rsync", "-aHXi", f"{src}/", m.at("upload/tagged") + "/"]).stdout
    assert again == "", again
    assert tags(m, m.snapshots("tagged")[0]) == {"b", "a/c"} and m.xattr(m.snapshots("tagged")[1], "baloo.rating") == "5"
    run(["rsync", "-aX", m.at("cameras/front", shots[0].day) + "/", f"{back}/"])
    run(["rsync", "-aX", f"{back}/", m.at("upload/tagged") + "/"])


def test_exiftool_reads(filled):
    m, shots = filled
    if not find_program("exiftool"):
        pytest.skip("exiftool is not installed")
    done = run(["exiftool", "-j", "-XAttr:all", "-DateTimeOriginal", m.at(shots[0].path)], env=clean_env())
    read = json.loads(done.stdout)[0]
    assert read["DateTimeOriginal"].startswith("2024:03:05")


def test_file_that_gio_describes(filled):
    m, shots = filled
    if not find_program("gio"):
        pytest.skip("gio is not installed")
    env = clean_env(HOME=m.base, XDG_RUNTIME_DIR=m.base)
    run(["gio", "set", m.at(shots[1].path), "xattr::xdg.tags", "animal/fox"], env=env)
    assert "xattr::xdg.tags: animal/fox" in run(["gio", "info", m.at(shots[1].path)], env=env).stdout
    assert tags(m, shots[1].path) == {"animal/fox"}
