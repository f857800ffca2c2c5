"""What the style checks share: the C files of the project and a view of their code without comments and strings."""
import os
import re
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
SKIP = 77  # meson's exit status for "not on this machine"
_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def c_files(*folders):
    """Paths relative to the top of all .c and .h files below `folders`."""
    for folder in folders:
        for where, folders_below, names in os.walk(os.path.join(TOP, folder)):
            folders_below.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(where, name), TOP)


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def code_of(text, keep_strings=False):
    """The text with comments (and strings) blanked out; line numbers stay."""
    def blank(m):
        if keep_strings and m.group()[0] in "\"'":
            return m.group()
        return re.sub(r"[^\n]", " ", m.group())
    return _TOKEN.sub(blank, text)


def report(problems, checked, what):
    """Prints each problem and ends with meson's idea of the result; a check that saw nothing has failed."""
    for p in problems:
        print(p)
    if not checked:
        sys.exit(f"no {what} found: this check checked nothing")
    print(f"{checked} {what}, {len(problems)} problems")
    sys.exit(1 if problems else 0)
