"""What the cases share: sizes, data sets, servers, scratch space; made when first asked for, taken down at the end."""
import datetime
import os
import shutil
import tempfile

import measure
import pictures
import servers
from contestants import PEERS, Plain, Shutterfs

KB175, KB87 = 2950, 1880  # widths at which the photographs are about that large


class Sizes:
    def __init__(self, quick):
        self.epoch = 1000 if quick else 5000
        self.cold = 500 if quick else 2000
        self.day = 20000 if quick else 100000
        self.upload = 500 if quick else 2000
        self.catalogs = (10000, 1000000) if quick else (10000, 1000000, 10000000)
        self.rounds = 2 if quick else 3
        self.limit = 4 if quick else 12  # seconds that a slow contestant reads
        self.first = 20 if quick else 40


class World:
    def __init__(self, tools_dir, scratch, quick, rtt_ms):
        self.scratch = tempfile.mkdtemp(prefix="shutterfs-bench-", dir=scratch)
        self.tools = measure.Tools(tools_dir, self.scratch)
        self.quick, self.rtt_ms, self.sizes = quick, rtt_ms, Sizes(quick)
        self.peers = [p for p in PEERS if p.there()]
        self._trees, self._to_stop = {}, []

    def path(self, *parts):
        where = os.path.join(self.scratch, *parts)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        return where

    def fresh(self, name):
        return tempfile.mkdtemp(prefix=name + "-", dir=self.scratch)

    def later(self, thing):
        """Stops `thing` at the end of the case."""
        self._to_stop.append(thing)
        return thing

    def end_case(self):
        for thing in reversed(self._to_stop):
            try:
                thing.stop()
            except (AssertionError, OSError) as e:
                print(f"    stopping {type(thing).__name__}: {e}")
        self._to_stop = []
        for name in os.listdir(self.scratch):
            if name.startswith(("m-", "tmp-")):
                shutil.rmtree(os.path.join(self.scratch, name), ignore_errors=True)

    def close(self):
        self.end_case()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # -- data

    def tree(self, count, width=KB175, camera="front"):
        """(directory, keys in listing order) of `count` distinct pictures on one day."""
        name = f"{camera}-{count}-{width}"
        if name not in self._trees:
            top, keys = self.path("trees", name), []
            step = 86000 / count
            for n in range(count):
                taken = pictures.moment(n, datetime.datetime(2024, 3, 5, 0, 0, 0, 1), step)
                key = f"{camera}/2024/03/05/{pictures.stem(taken, camera)}.jpg"
                where = os.path.join(top, key)
                if not n:
                    os.makedirs(os.path.dirname(where))
                with open(where, "wb") as f:
                    f.write(pictures.picture(n, taken, "+00:00", width=width))
                keys.append(key)
            self._trees[name] = top, sorted(keys)
        return self._trees[name]

    def spread(self, count, camera="front"):
        """The same with a day for each picture."""
        name = f"spread-{count}"
        if name not in self._trees:
            top, keys = self.path("trees", name), []
            for n in range(count):
                taken = pictures.moment(n, datetime.datetime(2023, 1, 1, 12, 0, 0, 1), 86400)
                key = f"{camera}/{pictures.day(taken).replace('-', '/')}/{pictures.stem(taken, camera)}.jpg"
                os.makedirs(os.path.dirname(os.path.join(top, key)))
                with open(os.path.join(top, key), "wb") as f:
                    f.write(pictures.picture(n, taken, "+00:00", width=KB175))
                keys.append(key)
            self._trees[name] = top, keys
        return self._trees[name]

    def small_day(self, count, camera="front"):
        """Many tiny objects on one day: for listings only."""
        name = f"day-{count}"
        if name not in self._trees:
            top, keys = self.path("trees", name), []
            os.makedirs(os.path.join(top, camera, "2024/03/05"))
            for n in range(count):
                taken = pictures.moment(n, datetime.datetime(2024, 3, 5, 0, 0, 0, 1), 86000 / count)
                key = f"{camera}/2024/03/05/{pictures.stem(taken, camera)}.jpg"
                with open(os.path.join(top, key), "wb") as f:
                    f.write(b"%d" % n)
                keys.append(key)
            self._trees[name] = top, keys
        return self._trees[name]

    # -- servers and contestants

    def link(self, top=None, slow=None):
        trees = [(servers.BUCKET, top)] if top else []
        return self.later(servers.Link(self.tools, self.scratch, self.rtt_ms, trees, slow=slow))

    def shutterfs(self, link, **kw):
        """A mount that knows what is in the bucket; not started."""
        made = self.later(Shutterfs(self.fresh("m"), link, **kw))
        if link:
            made.start()
            made.scan()
            made.stop()
        return made

    def contestants(self, link, top, **kw):
        """The plain directory, shutterfs and the peers on one bucket; the mounts are not started."""
        bucket = kw.get("bucket", servers.BUCKET)
        return [Plain(top), self.shutterfs(link, **kw)] + \
            [self.later(p(self.fresh("m"), link, bucket)) for p in self.peers]
