#!/usr/bin/python3
"""Rooms use only the rooms that src/LAYERS allows them, and each third-party header lives in its one room.

A room's private headers stay inside it: nothing includes through "../" or another room's folder.  src/main.c
belongs to the highest room; a door (include/shutterfs/<room>.h) obeys the rules of its room."""
import os
import re
import sys

from sources import TOP, c_files, code_of, report, text_of

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def read_layers(text):
    """{room: (allowed rooms or None for all, third-party prefixes)}, in the file's order, lowest first."""
    layers = {}
    for line in text.splitlines():
        fields = line.split("#")[0].split()
        if not fields:
            continue
        room, rest = fields[0], [f for f in fields[1:] if f != "-"]
        foreign = [f for f in rest if f.endswith((".h", "/"))]
        rooms = [f for f in rest if f not in foreign]
        layers[room] = (None if "*" in rooms else set(rooms), foreign)
    return layers


def check_layers(layers):
    """The file itself: a room may use only rooms above it in the file, so there is no cycle."""
    seen = set()
    for room, (allowed, _) in layers.items():
        for other in sorted((allowed or set()) - seen):
            yield f"src/LAYERS: {room} uses {other}, which is not below it"
        seen.add(room)


def room_of(path, layers):
    parts = path.split("/")
    if parts[0] == "include":
        return parts[-1][:-2]
    return parts[1] if len(parts) > 2 else list(layers)[-1]


def check_file(path, text, layers):
    """Problems of one file, as lines "path:line: what"."""
    room = room_of(path, layers)
    if room not in layers:
        yield f"{path}:1: no room \"{room}\" in src/LAYERS"
        return
    allowed, own = layers[room]
    foreign = [f for _, headers in layers.values() for f in headers]
    for m in INCLUDE.finditer(code_of(text, keep_strings=True)):
        kind, name = m.groups()
        where = f"{path}:{text.count(chr(10), 0, m.start(2)) + 1}"
        if name.startswith("shutterfs/"):
            other = name[len("shutterfs/"):-2]
            if allowed is not None and other != room and other not in allowed:
                yield f"{where}: {room} may not use {other}"
        elif kind == '"' and "/" in name:
            yield f"{where}: \"{name}\": private headers stay in their room"
        elif any(name.startswith(f) for f in foreign) and not any(name.startswith(f) for f in own):
            yield f"{where}: <{name}> does not live in {room}"


PLANTED = (("src/cache/a.c", '#include "shutterfs/catalog.h"'), ("src/cache/a.c", "#include <sqlite3.h>"),
           ("src/fs/a.c", '#include "../cache/cache.h"'), ("src/nowhere/a.c", ""),
           ("include/shutterfs/base.h", '#include "shutterfs/net.h"'))


def main():
    layers = read_layers(text_of("src/LAYERS"))
    problems = list(check_layers(layers))
    for path, text in PLANTED:
        if not list(check_file(path, text, layers)):
            problems.append(f"a planted breach went unseen: {path}: {text}")
    files = list(c_files("src", "include"))
    for path in files:
        problems += check_file(path, text_of(path), layers)
    for room in layers:
        if not os.path.isdir(os.path.join(TOP, "src", room)):
            problems.append(f"src/LAYERS: there is no src/{room}")
    report(problems, len(files), "files")


if __name__ == "__main__":
    sys.exit(main())
