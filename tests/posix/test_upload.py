"""upload/ answers system calls as POSIX says: upload.txt, in a mount and on an ordinary file system, whose answers are the reference
for all that is not marked there."""
import os
import re

import pytest

import mount as mounts
import table

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = table.cases(os.path.join(HERE, "upload.txt"))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A directory in upload/ of one mount that others may use, and one of the machine's own file system."""
    base = tmp_path_factory.mktemp("posix")
    m = mounts.Mount(base / "m", options=["-o", "allow_other"] if os.getuid() == 0 else [])
    os.mkdir(m.at("upload", "posix"))
    (base / "plain").mkdir()
    yield {"ours": m.at("upload", "posix"), "plain": str(base / "plain")}
    m.stop()


def test_the_table_is_large_enough():
    assert sum(map(len, CASES.values())) >= 400


@pytest.mark.parametrize("where", ["plain", "ours"])
@pytest.mark.parametrize("name", CASES)
def test_case(places, name, where):
    lines = CASES[name]
    if os.getuid() != 0 and any(line.op in ("as", "chown") for line in lines):
        pytest.skip("needs other users")
    directory = os.path.join(places[where], re.sub(r"\W+", "-", name))
    os.mkdir(directory)
    if where == "plain" and any("xattr" in line.op for line in lines):
        try:
            os.setxattr(directory, "user.try", b"1")
            os.removexattr(directory, "user.try")
        except OSError:
            pytest.skip("this machine's file system has no attributes of users")
    wrong = table.run(lines, directory, where)
    assert not wrong, "\n".join(wrong)
