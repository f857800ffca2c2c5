"""A store that is away for a while: what is dropped meanwhile is accepted at once, and all of it arrives, once.

20 seconds and 100 uploads; DEEP: ten minutes and 1,000."""
import collections
import os
import time

import pytest

import pictures
import swift as swifts
from processes import wait_until

DEEP = bool(os.environ.get("DEEP"))
SECONDS, UPLOADS = (600, 1000) if DEEP else (20, 100)
AFTERWARDS = 240   # a pause of at most 75 s may have just begun


def drop_pictures(m, seconds, count):
    """Uploads spread over that time; {object key: bytes}, and how long each close took."""
    made, took, start = {}, [], time.monotonic()
    for n in range(count):
        time.sleep(max(0, start + seconds * n / count - time.monotonic()))
        taken = pictures.moment(n)
        data = pictures.picture(n, taken, "+00:00", width=160)
        began = time.monotonic()
        m.upload("front", f"{n}.jpg", data)
        took.append(time.monotonic() - began)
        made[f"front/{pictures.day(taken).replace('-', '/')}/{pictures.stem(taken, 'front')}.jpg"] = data
    return made, took


@pytest.mark.limit(SECONDS + AFTERWARDS + 180)
@pytest.mark.parametrize("how", ["close", 503] if DEEP else ["close"])
def test_uploads_during_an_outage_all_arrive_once(make_mount, bucket, how):
    m = make_mount(stores=bucket.config(), env=bucket.env())
    m.upload("front", "before.jpg", pictures.picture(9999, pictures.moment(9999), "+00:00", width=160))
    m.sync()
    bucket.proxy.add(how)
    bucket.proxy.forget()
    made, took = drop_pictures(m, SECONDS, UPLOADS)
    paths = m.wait_snapshots(UPLOADS + 1)
    # one feels whether the store is back; not every upload knocks in turn
    tried = len(bucket.proxy.seen())
    assert 2 <= tried <= SECONDS, tried
    assert sorted(took)[len(took) * 99 // 100 - 1] < 2
    assert m.status()["queue"]["waiting"] == UPLOADS
    assert m.read(paths[0]) and m.xattr(paths[0], "shutterfs.state") == "queued"
    assert [e for e in m.errors() if "cloud" in str(e)], "it is said that the store is away"
    bucket.proxy.clear_rules()
    bucket.proxy.forget()
    wait_until(lambda: m.status()["queue"]["waiting"] == 0, AFTERWARDS, 0.5, what=lambda: f"the queue: {m.status()['queue']}")
    assert set(made) < set(bucket.pictures()) and len(bucket.pictures()) == UPLOADS + 1 == len(bucket.sidecars())
    for key, data in made.items():
        assert bucket.head(key)["etag"].strip('"') == swifts.etag(data)
    puts = collections.Counter(r.key for r in bucket.proxy.puts() if r.status == 200)
    assert set(puts[k] for k in made) == {1}, "each is stored once"
    assert m.errors() == []
