#!/usr/bin/python3
"""The C files are as clang-format would write them.  Versions format differently in places, so only the one that the
files were written with (Debian 12's) decides; any other skips."""
import re
import shutil
import subprocess
import sys

from sources import SKIP, TOP, c_files, report

VERSION = "14"


def main():
    program = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
    if not program:
        print("clang-format is not installed")
        sys.exit(SKIP)
    said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    version = re.search(r"version (\d+)", said).group(1)
    if version != VERSION:
        print(f"clang-format is version {version}; the files are checked with version {VERSION}")
        sys.exit(SKIP)
    files = list(c_files("src", "include", "tests"))
    done = subprocess.run([program, "--dry-run", "--Werror", *files], cwd=TOP, stderr=subprocess.PIPE, text=True)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    problems = [f"{path}: run clang-format -i on it" for path in wrong]
    if done.returncode and not problems:
        problems = [done.stderr]
    report(problems, len(files), "files")


if __name__ == "__main__":
    main()
