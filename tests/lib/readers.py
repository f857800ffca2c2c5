"""Readers of data sets, written from the rules of the programs that train on them.

torchvision's ImageFolder, Hugging Face's imagefolder with metadata, Ultralytics' YOLO, pycocotools' COCO, CVAT's manifest: as their
sources have it, without their packages."""
import collections
import fnmatch
import glob
import json
import os

import yaml

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SPLIT_WORDS = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"),
               "test": ("test", "testing", "eval", "evaluation")}


def image_folder(root):
    """(classes, [(path, class number)]) as torchvision.datasets.ImageFolder(root) has them."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
    samples = []
    for number, name in enumerate(classes):
        before = len(samples)
        for where, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True)):
            samples += [(os.path.join(where, f), number) for f in sorted(files) if f.lower().endswith(IMAGES)]
        if len(samples) == before:
            raise FileNotFoundError(f"Found no valid file for the class {name}.")
    return classes, samples


def split_words_in(name):
    """The splits that Hugging Face's patterns for directories see in a directory's name."""
    sep = "-._ 0-9"
    return {split for split, words in SPLIT_WORDS.items() for word in words
            for pattern in (word, f"{word}[{sep}]*", f"*[{sep}]{word}", f"*[{sep}]{word}[{sep}]*")
            if fnmatch.fnmatchcase(name, pattern)}


def hf_folder(path):
    """{split: [row]} of load_dataset("imagefolder", data_dir=path): with a metadata file only its rows, each with the same types."""
    found, schema = {}, None
    for split in sorted(os.listdir(path)):
        files = sorted(os.listdir(os.path.join(path, split)))
        assert split_words_in(split) == {split}
        if not files:
            continue
        assert [f for f in files if not f.endswith(".jpg")] == ["metadata.jsonl"], files
        with open(os.path.join(path, split, "metadata.jsonl")) as f:
            rows = [json.loads(line) for line in f]
        for at, row in enumerate(rows):
            types = hf_type(row)
            schema = schema or types
            assert types == schema or at > 0 and same_but_empty(types, schema), (types, schema)
            assert os.path.isfile(os.path.join(path, split, row["file_name"]))
        assert sorted(r["file_name"] for r in rows) == files[:-1], "no picture without a row"
        found[split] = rows
    return found


def hf_type(value):
    if isinstance(value, dict):
        return {k: hf_type(v) for k, v in value.items()}
    if isinstance(value, list):
        kinds = [hf_type(v) for v in value]
        assert all(k == kinds[0] for k in kinds)
        return [kinds[0]] if kinds else []
    return type(value).__name__


def same_but_empty(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same_but_empty(a[k], b[k]) for k in a)
    return a == b or a == []


def hf_card(readme):
    """The YAML on top of README.md."""
    with open(readme) as f:
        text = f.read()
    return yaml.safe_load(text.split("---\n")[1])


def yolo(data_yaml):
    """(names, {split: {image: [(class, x, y, w, h)]}}) as Ultralytics reads it; checks what makes it drop or rewrite a picture."""
    with open(data_yaml) as f:
        data = yaml.safe_load(f)
    assert "path" not in data and {"train", "val", "names"} <= set(data) and data["nc"] == len(data["names"])
    root, found = os.path.dirname(data_yaml), {}
    for split in ("train", "val", "test"):
        if split not in data:
            continue
        images = sorted(p for p in glob.glob(os.path.join(root, data[split], "**", "*.*"), recursive=True)
                        if p.rsplit(".", 1)[1].lower() in ("jpg", "jpeg", "png"))
        found[split] = {}
        for image in images:
            with open(image, "rb") as f:
                f.seek(-2, os.SEEK_END)
                assert f.read() == b"\xff\xd9", "it would rewrite this picture"
            # img2label_paths: the last /images/ becomes /labels/
            label = "/labels/".join(image.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt"
            rows = []
            if os.path.isfile(label):
                with open(label) as f:
                    rows = [tuple(map(float, line.split())) for line in f if line.strip()]
                assert rows, "an empty label file"
            for row in rows:
                assert len(row) == 5 and row[0] < data["nc"] and all(0 <= v <= 1 for v in row[1:])
            found[split][image] = rows
    return data["names"], found


def coco(labels, root):
    """(categories, {file_name: [(category, bbox)]}) as pycocotools indexes it."""
    with open(labels) as f:
        data = json.load(f)
    images = {i["id"]: i for i in data["images"]}
    categories = {c["id"]: c["name"] for c in data["categories"]}
    found = collections.defaultdict(list, {i["file_name"]: [] for i in images.values()})
    assert len(images) == len(data["images"]) and len({a["id"] for a in data["annotations"]}) == len(data["annotations"])
    for a in data["annotations"]:
        image = images[a["image_id"]]
        x, y, w, h = a["bbox"]
        assert x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= image["width"] + .01 and y + h <= image["height"] + .01
        assert abs(a["area"] - w * h) < 1 and a["iscrowd"] == 0
        found[image["file_name"]].append((categories[a["category_id"]], a["bbox"]))
    for name in found:
        assert os.path.isfile(os.path.join(root, name))
    return categories, dict(found)


def cvat(manifest):
    with open(manifest) as f:
        lines = [json.loads(line) for line in f]
    assert lines[:2] == [{"version": "1.0"}, {"type": "images"}]
    for image in lines[2:]:
        assert os.path.isfile(os.path.join(os.path.dirname(manifest), image["name"] + image["extension"]))
        assert image["width"] > 0 and image["height"] > 0
    return lines[2:]


def label_studio(tasks, document_root):
    with open(tasks) as f:
        found = json.load(f)
    for task in found:
        prefix, _, path = task["data"]["image"].partition("?d=")
        assert prefix == "/data/local-files/" and os.path.isfile(os.path.join(document_root, path))
    return found
