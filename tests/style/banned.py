#!/usr/bin/python3
"""No function that writes without a limit, parses without an error, runs a shell or builds SQL from text."""
import re
import sys

from sources import c_files, code_of, report, text_of

BANNED = ("sprintf vsprintf strcpy stpcpy strcat strncat strncpy strtok atoi atol atoll atof gets system popen alloca "
          "tmpnam mktemp sqlite3_mprintf sqlite3_get_table").split()
CALL = re.compile(r"\b(%s)\s*\(" % "|".join(BANNED))
SQL = re.compile(r"\bsqlite3_exec\s*\(\s*[^,]+,\s*([^,]*)")
LITERAL = re.compile(r'(\s*"(?:\\.|[^"\\])*")+\s*$')


def check_file(path, text):
    for m in CALL.finditer(code_of(text)):
        yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(1)}() is banned"
    code = code_of(text, keep_strings=True)
    for m in SQL.finditer(code):
        if not all(constant(part, code) for part in m.group(1).split("?")[-1].split(":")):
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: sqlite3_exec() of {m.group(1).strip()}, not a constant"


def constant(expression, code):
    """A literal, or a name that the file declares as const char and so cannot have built there."""
    name = expression.strip()
    return LITERAL.match(expression) or \
        name.isidentifier() and re.search(r"\bconst char (\*\s*)?(const )?%s\b" % name, code)


PLANTED = ("x = atoi(s);", "strcpy (a, b);", "sqlite3_exec(db, text, 0, 0, 0);",
           "char text[9]; sqlite3_exec(db, b ? text : \"x\", 0, 0, 0);", "sqlite3_exec(db, sql.data, 0, 0, 0);")
HARMLESS = ('static const char a[] = "x"; sqlite3_exec(db, b ? a : "y", 0, 0, 0);', '/* strcpy( */', 'puts("system(");', "my_system(a);", 'sqlite3_exec(db, "BEGIN", 0, 0, 0);')


def main():
    problems = [f"a planted breach went unseen: {t}" for t in PLANTED if not list(check_file("x", t))]
    problems += [f"a false alarm: {t}" for t in HARMLESS if list(check_file("x", t))]
    files = list(c_files("src", "include", "tests"))
    for path in files:
        problems += check_file(path, text_of(path))
    report(problems, len(files), "files")


if __name__ == "__main__":
    sys.exit(main())
