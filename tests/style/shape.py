#!/usr/bin/python3
"""Files and functions stay of a size that can be read, and each file says on top what it is for."""
import re
import sys

from sources import c_files, code_of, report, text_of

FILE_LINES, FUNCTION_LINES = 700, 80
NAME = re.compile(r"(\w+)\s*\([^;{}]*$", re.S)


def functions(text):
    """(name, first line, lines) of each function: its body is "{" to "}" in the first column."""
    lines = code_of(text).splitlines()
    start = None
    for n, line in enumerate(lines):
        if line.startswith("{") and n and not lines[n - 1].rstrip().endswith("="):
            start = n
        elif line.startswith("}") and start is not None:
            head = NAME.search("\n".join(lines[max(0, start - 6):start]))
            yield head.group(1) if head else "?", start + 1, n - start + 1
            start = None


def check_file(path, text):
    if not text.startswith("/*"):
        yield f"{path}:1: the file does not say what it is for"
    length = text.count("\n")
    if length > FILE_LINES:
        yield f"{path}: {length} lines, more than {FILE_LINES}"
    for name, line, count in functions(text):
        if count > FUNCTION_LINES:
            yield f"{path}:{line}: {name}() has {count} lines, more than {FUNCTION_LINES}"


def main():
    long_one = "/* x */\nint f(void)\n{\n" + "\n" * FUNCTION_LINES + "}\n"
    problems = [] if list(check_file("x", long_one)) else ["a planted breach went unseen"]
    files = list(c_files("src", "include", "tests"))
    for path in files:
        problems += check_file(path, text_of(path))
    report(problems, len(files), "files")


if __name__ == "__main__":
    sys.exit(main())
