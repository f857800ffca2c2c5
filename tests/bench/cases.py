"""The cases: each measures all contestants in turn, round by round, and says what the goals are."""
import dataclasses

import big
import reading
import writing


@dataclasses.dataclass
class Case:
    name: str
    title: str
    run: callable
    limit: int = 300  # seconds


ALL = [
    # first: an ext4 without a journal passes over each inode that was deleted in the last minutes, and the other cases leave thousands
    Case("upload", "cp into the mount until everything is in the store", writing.upload, 600),
    Case("epoch", "pictures in the cache, random order: kernel caches warm and dropped, 1 and 8 readers", reading.epoch, 600),
    Case("cold", "pictures not in the cache: in listing order and shuffled, 1 reader", reading.cold, 500),
    Case("cold-swift", "the same against Swift", reading.cold_swift, 700),
    Case("cold-16", "87 KB pictures not in the cache, 16 readers", reading.cold_many),
    Case("first-byte", "first byte of one cold picture", reading.first_byte),
    Case("first-stat", "first stat of the files of a listed directory", reading.first_stat),
    Case("busy", "cached reads while 64 cold reads and a hung camera are in flight", reading.busy),
    Case("day", "ls -l, find and du of a large day", big.day, 600),
    Case("catalog", "mount, find and RSS with 10 thousand to 10 million snapshots", big.catalogs, 1500),
    Case("upload-swift", "the same against Swift", writing.upload_swift, 600),
]
