#!/usr/bin/python3
"""Every key of the config table is in shutterfs.conf(5), every verb in shutterfs(1), and the pages have no lint."""
import glob
import os
import re
import shutil
import subprocess
import sys

from sources import SKIP, TOP, code_of, report, text_of

KEY = re.compile(r'"([a-z][a-z0-9_]*)"')
VERBS = "mount umount check status sync scan prefetch search fsck rebuild import export".split()


def config_keys():
    """Keys named in rows of the table: a row starts with "{" and holds the key as its first word in quotes that is not a
    section's name."""
    keys = set()
    for path in glob.glob(os.path.join(TOP, "src/config/table*.c")):
        for line in code_of(text_of(os.path.relpath(path, TOP)), keep_strings=True).splitlines():
            if re.match(r"\s*\{", line):
                words = [w for w in KEY.findall(line) if w not in ("shutterfs", "camera", "store", "elastic")]
                keys.update(words[:1])
    return sorted(keys)


def documented(page, word):
    return re.search(r"(^|[^\w])\*?%s\*?([^\w]|$)" % re.escape(word), page, re.M)


def lint(page):
    """Warnings of mandoc about the page as scdoc makes it."""
    with open(os.path.join(TOP, "man", page), encoding="utf-8") as f:
        made = subprocess.run(["scdoc"], stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if made.returncode:
        return [f"man/{page}: scdoc: {made.stderr.strip()}"]
    if not shutil.which("mandoc"):
        return []
    said = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=made.stdout, stdout=subprocess.PIPE, text=True).stdout
    # scdoc ends every block with an empty paragraph
    return [f"man/{page}: {line}" for line in said.splitlines()
            if ("WARNING" in line or "ERROR" in line) and "skipping paragraph macro" not in line]


def main():
    if not shutil.which("scdoc"):
        print("scdoc is not installed")
        sys.exit(SKIP)
    keys = config_keys()
    conf, verbs = text_of("man/shutterfs.conf.5.scd").replace("\\_", "_"), text_of("man/shutterfs.1.scd")
    problems = [f"man/shutterfs.conf.5.scd does not have the key \"{k}\"" for k in keys if not documented(conf, k)]
    problems += [f"man/shutterfs.1.scd does not have the verb \"{v}\"" for v in VERBS if not documented(verbs, v)]
    for page in ("shutterfs.conf.5.scd", "shutterfs.1.scd", "shutterfs-query.5.scd"):
        problems += lint(page)
    report(problems, len(keys), "config keys")


if __name__ == "__main__":
    main()
