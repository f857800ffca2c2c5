"""Sidecars of other programs, written by those programs where Debian has them, dropped beside pictures."""
import json
import os
import shutil

import pictures
import pytest
from processes import run, wait_until

NAME = "20240305_080000"


def labels(mount, path):
    return [(x["kind"], x["value"]) for x in mount.sidecar(path).get("labels", [])]


def test_takeout_export(mount, tmp_path):
    """As Takeout unpacks: JSON beside each picture, names cut, and rsync brings it."""
    export = tmp_path / "Photos from 2020"
    export.mkdir()
    for n, name in enumerate(("IMG_1.JPG", "IMG_1(1).JPG", "x" * 60 + ".jpg")):
        (export / name).write_bytes(pictures.picture(n))
    side = {"title": "IMG_1.JPG", "description": "At the lake", "photoTakenTime": {"timestamp": "1607426155"},
            "geoData": {"latitude": 0.0, "longitude": 0.0}, "people": [{"name": "Ada"}]}
    for n, name in enumerate(("IMG_1.JPG.supplemental-metadata.json", "IMG_1.JPG.supplemental-metadata(1).json",
                              "x" * 46 + ".json")):
        side["photoTakenTime"]["timestamp"] = str(1607426155 + n)
        (export / name).write_text(json.dumps(side))
    os.mkdir(mount.at("upload/phone"))
    run(["rsync", "-a", str(export), mount.at("upload/phone/")])
    paths = mount.wait_snapshots(3)
    for path in paths:
        wait_until(lambda p=path: labels(mount, p) == [("person", "Ada")], 20)
        assert mount.sidecar(path)["comment"] == "At the lake"
        assert mount.sidecar(path)["extra"]["takeout"]["geoData"] == {"latitude": 0.0, "longitude": 0.0}
    assert mount.errors() == []


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_xmp_of_exiftool(mount, tmp_path):
    xmp = tmp_path / f"{NAME}.jpg.xmp"
    run(["exiftool", "-q", "-XMP-dc:Subject=fox", "-XMP-dc:Subject=night", "-XMP-lr:HierarchicalSubject=animal|fox",
         "-XMP:Rating=4", "-XMP-dc:Description=Caught & released", str(xmp)])
    mount.upload("front", f"{NAME}.jpg", pictures.picture(1))
    path = mount.wait_snapshots(1)[0]
    mount.upload("front", f"{NAME}.jpg.xmp", xmp.read_bytes())
    wait_until(lambda: sorted(labels(mount, path)) == [("animal", "fox"), ("label", "night")], 20)
    s = mount.sidecar(path)
    assert s["comment"] == "Caught & released" and s["rating"] == 8
    assert os.listdir(mount.at("labels/animal")) == ["fox"]


def test_yolo_dataset(mount, tmp_path):
    """A dataset as YOLO wants it, its list of classes coming last."""
    top = tmp_path / "set"
    for part in ("images/train", "labels/train"):
        (top / part).mkdir(parents=True)
    for n in range(3):
        (top / f"images/train/2024030{n + 1}_080000.jpg").write_bytes(pictures.picture(n))
        (top / f"labels/train/2024030{n + 1}_080000.txt").write_text(f"{n % 2} 0.5 0.5 0.2 0.4\n" * n)
    os.mkdir(mount.at("upload/cam"))
    run(["rsync", "-a", str(top) + "/", mount.at("upload/cam/")])
    mount.upload("cam", "data.yaml", b"train: images/train\nval: images/train\nnames:\n  0: person\n  1: fox\n")
    paths = mount.wait_snapshots(3)
    wait_until(lambda: [labels(mount, p) for p in paths] ==
               [[], [("object", "fox")], [("object", "person")] * 2], 30)
    assert mount.sidecar(paths[0])["labels"] == [], "an empty file says that there is nothing"
    assert mount.sidecar(paths[1])["labels"][0]["box"] == pytest.approx([0.4, 0.3, 0.2, 0.4])


def test_boxes_in_pixels_and_unclear_files(mount):
    mount.upload("front", f"{NAME}.jpg", pictures.picture(1))
    path = mount.wait_snapshots(1)[0]
    size = mount.sidecar(path)
    coco = {"images": [{"id": 1, "file_name": f"{NAME}.jpg"}], "categories": [{"id": 1, "name": "fox"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1,
                             "bbox": [size["width"] / 2, 0, size["width"] / 4, size["height"]]}]}
    mount.upload("front", f"{NAME}.json", json.dumps(coco).encode())
    wait_until(lambda: labels(mount, path) == [("object", "fox")], 20)
    assert mount.sidecar(path)["labels"][0]["box"] == [0.5, 0, 0.25, 1]
    coco["images"] = [{"id": n, "file_name": f"{n}.jpg"} for n in range(2)]
    mount.upload("front", f"{NAME}.jpg.json", json.dumps(coco).encode())
    wait_until(lambda: "about 2 pictures" in (mount.xattr(f"upload/front/{NAME}.jpg.json", "shutterfs.error") or ""), 20)
    assert mount.read(f"upload/front/{NAME}.jpg.json") == json.dumps(coco).encode(), "the bytes are kept"
    assert labels(mount, path) == [("object", "fox")]
