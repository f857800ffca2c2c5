#!/usr/bin/python3
"""No function that writes without a limit, parses without an error, runs a shell or builds SQL from text."""
import re
import sys

from sources import c_files, code_of, report, text_of

BANNED = ("sprintf vsprintf strcpy stpcpy strcat strncat strncpy strtok atoi atol atoll atof gets system popen alloca "
          "tmpnam mktemp sqlite3_mprintf sqlite3_get_table").split()
CALL = re.compile(r"\b(%s)\s*\(" % "|".join(BANNED))
SQL = re.compile(r"\bsqlite3_exec\s*\(\s*[^,]+,\s*([^,]*)")


def check_file(path, text):
    for m in CALL.finditer(code_of(text)):
        yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(1)}() is banned"
    code = code_of(text, keep_strings=True)
    for m in SQL.finditer(code):
        sql = m.group(1).strip()
        constant = re.search(r"static const char \*?(const )?%s\b" % re.escape(sql.split("[")[0]), code)
        if not sql.startswith('"') and not constant:
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: sqlite3_exec() of {sql or 'something'}, not a constant"


PLANTED = ("x = atoi(s);", "strcpy (a, b);", "sqlite3_exec(db, text, 0, 0, 0);")
HARMLESS = ('/* strcpy( */', 'puts("system(");', "my_system(a);", 'sqlite3_exec(db, "BEGIN", 0, 0, 0);')


def main():
    problems = [f"a planted breach went unseen: {t}" for t in PLANTED if not list(check_file("x", t))]
    problems += [f"a false alarm: {t}" for t in HARMLESS if list(check_file("x", t))]
    files = list(c_files("src", "include", "tests"))
    for path in files:
        problems += check_file(path, text_of(path))
    report(problems, len(files), "files")


if __name__ == "__main__":
    sys.exit(main())
