"""A small known collection: what the tests of the views walk through."""
import dataclasses
import datetime
import json
import os

import pictures

BOX = [0.1, 0.2, 0.3, 0.4]


@dataclasses.dataclass
class Shot:
    camera: str
    taken: datetime.datetime   # UTC
    data: bytes
    labels: list               # (kind, value)
    starred: bool

    @property
    def stem(self):
        return pictures.stem(self.taken, self.camera)

    @property
    def day(self):
        return pictures.day(self.taken)

    @property
    def path(self):
        return f"cameras/{self.camera}/{self.day}/{self.stem}.jpg"

    @property
    def names(self):
        """Every path below the mount that the snapshot must have."""
        y, m, d = self.day.split("-")
        found = [self.path, f"dates/{y}/{m}/{d}/{self.stem}.jpg"]
        found += [f"labels/{k}/{v}/{self.day}/{self.stem}.jpg" for k, v in self.labels]
        if self.starred:
            found.append(f"starred/{self.day}/{self.stem}.jpg")
        return sorted(found)

    def sidecar(self):
        """What a person or program would drop beside the picture."""
        return json.dumps({"labels": [{"kind": k, "value": v, "score": 0.93, "box": BOX, "by": "test"}
                                      for k, v in self.labels],
                           "starred": self.starred, "vendor_key": {"kept": True, "number": 1.50}}).encode()


def shots():
    """Two cameras, three days, three labels, one star; distinct real pictures."""
    made = []
    for n, (camera, day, labels, starred) in enumerate((
            ("front", 5, [("object", "person")], True), ("front", 5, [], False),
            ("front", 6, [("object", "person"), ("object", "car")], False), ("garage", 5, [("object", "car")], False),
            ("garage", 7, [("weather", "snow")], False), ("garage", 7, [], False))):
        taken = datetime.datetime(2024, 3, day, 8, n, 30, 100000 + n)
        made.append(Shot(camera, taken, pictures.picture(n, taken, "+00:00"), labels, starred))
    return made


def fill(mount):
    """Uploads the collection, sidecars first, and waits until it is all there."""
    made = shots()
    for n, shot in enumerate(made):
        if shot.labels or shot.starred:
            mount.upload(shot.camera, f"shot{n}.json", shot.sidecar())
        mount.upload(shot.camera, f"shot{n}.jpg", shot.data)
    mount.wait_snapshots(len(made))
    return made


def walk(top):
    """{inode: [paths]} of the pictures below a directory, symlinks left out."""
    found = {}
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            if name.endswith(".jpg") and not os.path.islink(path):
                found.setdefault(os.lstat(path).st_ino, []).append(path)
    return found


def fill_archive(mount, many):
    """What a scan of the store finds: one picture under many names, with three labels and a document each."""
    data, first = pictures.picture(1), None
    for n in range(many):
        moment = pictures.moment(n, step=30)
        where = os.path.join(mount.archive, "front", moment.strftime("%Y/%m/%d"))
        os.makedirs(where, exist_ok=True)
        stem = os.path.join(where, pictures.stem(moment, "front"))
        if first:
            os.link(first, stem + ".jpg")
        else:
            first = stem + ".jpg"
            with open(first, "wb") as f:
                f.write(data)
        with open(stem + ".json", "w") as f:
            json.dump({"labels": [f"object/{'dog' if n % 2 else 'cat'}", f"hour/{moment.hour}", "all/all"],
                       "documents": [{"label": {"created_by": "auto", "label_direction": n % 100, "label_speed": 1}}]}, f)
