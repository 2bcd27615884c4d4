"""A rewritten file takes the place of the old one in one step, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from common.temp.migrate.findings import FileResult
from common.temp.migrate.write import replace_file
from tests.store.children import until
from tests.support import listing, plain_user, process

BEFORE, AFTER = b"old\r\n", b"new\r\n"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    directory = tmp_path / "tree"
    directory.mkdir()
    (directory / "a.py").write_bytes(BEFORE)
    return directory


RESULT = FileResult("a.py", before=BEFORE, after=AFTER)


def test_the_file_has_the_new_content_and_nothing_is_left_beside_it(top: Path) -> None:
    assert replace_file(str(top), RESULT) == ""

    assert (top / "a.py").read_bytes() == AFTER
    assert listing(top) == ["a.py"]


@pytest.mark.parametrize("mode", [0o755, 0o600, 0o444])
def test_the_mode_stays(top: Path, mode: int) -> None:
    (top / "a.py").chmod(mode)

    assert replace_file(str(top), RESULT) == ""

    assert stat.S_IMODE((top / "a.py").stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(top: Path) -> None:
    os.chown(top / "a.py", 1234, 4321)

    assert replace_file(str(top), RESULT) == ""

    status = (top / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (1234, 4321)


def test_the_file_counts_as_changed_now(top: Path) -> None:
    os.utime(top / "a.py", (1, 1))

    assert replace_file(str(top), RESULT) == ""

    assert (top / "a.py").stat().st_mtime > 1


def test_a_file_that_has_changed_since_stays_as_it_is(top: Path) -> None:
    (top / "a.py").write_bytes(b"newer\n")

    assert "has changed since it was read" in replace_file(str(top), RESULT)

    assert (top / "a.py").read_bytes() == b"newer\n"
    assert listing(top) == ["a.py"]


def test_a_file_that_is_gone_does_not_come_back(top: Path) -> None:
    (top / "a.py").unlink()

    assert "No such file" in replace_file(str(top), RESULT)

    assert listing(top) == []


def test_a_link_that_took_its_place_is_not_followed(top: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim.py"
    victim.write_bytes(BEFORE)
    (top / "a.py").unlink()
    (top / "a.py").symlink_to(victim)

    assert "is no plain file" in replace_file(str(top), RESULT)

    assert victim.read_bytes() == BEFORE
    assert (top / "a.py").is_symlink()


def test_a_file_with_another_hard_link_stays_as_it_is(top: Path) -> None:
    os.link(top / "a.py", top / "b.py")

    assert "hard link" in replace_file(str(top), RESULT)

    assert (top / "a.py").read_bytes() == (top / "b.py").read_bytes() == BEFORE


def test_a_directory_that_may_not_be_written_is_a_problem_and_no_end(top: Path) -> None:
    top.chmod(0o555)
    try:
        with plain_user():
            assert "Permission denied" in replace_file(str(top), RESULT)
    finally:
        top.chmod(0o755)

    assert (top / "a.py").read_bytes() == BEFORE


WRITER = """
from common.temp.migrate.findings import FileResult
from common.temp.migrate.write import replace_file
old, new = b"old" * 100_000, b"new" * 100_000
print("ready", flush=True)
while True:
    for before, after in ((old, new), (new, old)):
        assert replace_file(".", FileResult("a.py", before=before, after=after)) == ""
"""


def test_a_run_that_is_killed_leaves_the_file_old_or_new(top: Path) -> None:
    old, new = b"old" * 100_000, b"new" * 100_000
    (top / "a.py").write_bytes(old)
    for _ in range(8):
        with process(WRITER, cwd=top):
            until(lambda: (top / "a.py").read_bytes() == new, "written")
        assert (top / "a.py").read_bytes() in (old, new)
        (top / "a.py").write_bytes(old)
