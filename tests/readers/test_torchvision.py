"""The real torchvision reads what datasets/ and labels/ show (Debian's python3-torchvision: too large for the everyday run)."""
import datetime
import json
import os

import pytest

import pictures

folder = pytest.importorskip("torchvision.datasets", reason="python3-torchvision is not installed")
LABELS = ("person", "car", "train")


@pytest.fixture
def filled(mount):
    """Per day and camera one picture of each class; its box covers a quarter."""
    made = []
    for camera in ("front", "garden"):
        for day in range(12):
            for n, value in enumerate(LABELS):
                taken = datetime.datetime(2024, 3, 1 + day, 8 + (camera == "garden"), n, 0, 5)
                box = {"kind": "object", "value": value, "box": [0.25, 0.25, 0.5, 0.5]}
                mount.upload(camera, f"s{len(made)}.json", json.dumps({"labels": [box]}).encode())
                mount.upload(camera, f"s{len(made)}.jpg", pictures.picture(len(made), taken, "+00:00", width=64))
                made.append((pictures.stem(taken, camera), value))
    mount.wait_snapshots(len(made))
    os.mkdir(mount.at("datasets/d"))
    with open(mount.at("datasets/d/query.json"), "w") as f:
        json.dump({"query": {"label": "object/"}, "split": {"train": 2, "validation": 1, "test": 1}}, f)
    return mount, dict(made)


def test_image_folder_of_a_dataset(filled):
    m, made = filled
    seen = {}
    for split in ("train", "validation", "test"):
        data = folder.ImageFolder(m.at("datasets/d/imagefolder", split))
        assert data.classes == ["car", "class=train", "person"]
        for path, number in data.samples:
            stem = os.path.basename(path)[:-4]
            assert stem not in seen
            seen[stem] = data.classes[number].replace("class=", "")
        image, number = data[0]
        assert image.size[0] == 64 and number == data.targets[0]
    assert seen == made


def test_image_folder_of_the_labels(filled):
    m, made = filled
    data = folder.ImageFolder(m.at("labels/object"))
    assert data.classes == sorted(LABELS)
    assert sorted(os.path.basename(p)[:-4] for p, _ in data.samples) == sorted(made)


def test_coco_detection(filled):
    m, made = filled
    pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    total = 0
    for split in ("train", "validation", "test"):
        data = folder.CocoDetection(m.at("datasets/d/coco", split, "data"), m.at("datasets/d/coco", split, "labels.json"))
        for image, targets in data:
            (target,) = targets
            assert target["bbox"][2] == image.size[0] / 2 and target["area"] > 0
            total += 1
    assert total == len(made)
