"""A rewritten file replaces the old one in one step, or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from common.temp.migrate.files import find_grounds, leftovers
from common.temp.migrate.findings import FileResult
from common.temp.migrate.write import _Fresh, remove_leftovers, replace_file
from tests.migrate.trees import committed
from tests.store.children import until
from tests.support import listing, plain_user, process, run
from tests.tracing import traced

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

    assert "no longer a plain file" in replace_file(str(top), RESULT)

    assert victim.read_bytes() == BEFORE
    assert (top / "a.py").is_symlink()


def test_a_link_that_took_the_place_of_its_directory_is_not_followed(
    top: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim" / "a.py"
    victim.parent.mkdir()
    victim.write_bytes(BEFORE)
    (top / "sub").symlink_to(victim.parent)

    assert "behind a symlink" in replace_file(str(top), replace(RESULT, path="sub/a.py"))

    assert victim.read_bytes() == BEFORE
    assert listing(victim.parent) == ["a.py"]


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


def test_the_extended_attributes_stay(top: Path) -> None:
    try:
        os.setxattr(top / "a.py", "user.note", b"mine")
    except (AttributeError, OSError):
        pytest.skip("needs a filesystem with extended attributes")

    assert replace_file(str(top), RESULT) == ""

    assert os.getxattr(top / "a.py", "user.note") == b"mine"


def test_a_file_that_was_replaced_by_an_equal_one_stays_as_it_is(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = _Fresh.fill

    def filling(self: _Fresh, text: bytes, old: str, before: os.stat_result) -> None:
        fill(self, text, old, before)
        (top / "b.py").write_bytes(BEFORE)
        os.replace(top / "b.py", top / "a.py")

    monkeypatch.setattr(_Fresh, "fill", filling)

    assert "has changed since it was read" in replace_file(str(top), RESULT)
    assert listing(top) == ["a.py"]


def test_a_directory_that_is_swapped_for_a_link_at_the_last_moment_leads_nowhere(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sub", "victim"):
        (top / name).mkdir()
        (top / name / "a.py").write_bytes(BEFORE)
    take = _Fresh.take_the_place_of

    def swapping(self: _Fresh, name: str) -> None:
        (top / "sub").rename(top / "moved")
        (top / "sub").symlink_to("victim")
        take(self, name)

    monkeypatch.setattr(_Fresh, "take_the_place_of", swapping)

    assert replace_file(str(top), replace(RESULT, path="sub/a.py")) == ""
    assert (top / "moved" / "a.py").read_bytes() == AFTER
    assert (top / "victim" / "a.py").read_bytes() == BEFORE
    assert listing(top / "victim") == ["a.py"]


@pytest.mark.parametrize("call", ["fsync", "linkat", "renameat", "utimensat"])
@pytest.mark.parametrize("has_nameless", [True, False])
def test_a_write_that_is_killed_leaves_nothing_beside_the_source_for_longer_than_the_next_run(
    tmp_path: Path, call: str, has_nameless: bool
) -> None:
    text = {"pyproject.toml": b"", ".gitignore": b"build/\n", "sub/kept.tmp": b"x"}
    top = committed(tmp_path / "tree", text)
    command = ("temp-migrate", "--write")
    # As where the filesystem has no files without a name.
    does = "main()" if has_nameless else "del os.O_TMPFILE; main()"

    killed = traced(call, "signal=KILL", *command, cwd=top, does=does)

    if has_nameless or call != "linkat":
        assert killed.returncode != 0, killed
    names = set(os.listdir(top)) - {".git", "pyproject.toml", ".gitignore", "sub"}
    # Only in the moment of the rename is there something to see.
    assert len(names) == (call == "renameat" if has_nameless else call != "linkat")
    assert (top / ".gitignore").read_bytes() in (b"build/\n", b"build/\n.tmp/\n.temp/\n")
    code = f"import os; from common.temp.__main__ import main; {does}"
    done = run([sys.executable, "-c", code, *command], cwd=top)
    if has_nameless or call != "linkat":
        assert done.returncode == 0, done
    assert set(os.listdir(top)) == {".git", "pyproject.toml", ".gitignore", "sub"}
    assert (top / ".gitignore").read_bytes() == b"build/\n.tmp/\n.temp/\n"


def test_a_leftover_that_a_live_run_needs_or_that_git_tracks_stays(tmp_path: Path) -> None:
    names = [f".tempkeep-{index:08x}.tmp" for index in range(4)]
    top = committed(tmp_path / "tree", {"a.py": b"", names[0]: b"tracked"})
    for name in names[1:3]:
        (top / name).write_bytes(b"x")
    (top / names[3]).symlink_to("a.py")
    (top / ".tempkeep-mine.tmp").write_bytes(b"x")
    (ground,) = find_grounds([str(top)])
    with (top / names[1]).open() as live:
        fcntl.flock(live, fcntl.LOCK_EX)

        remove_leftovers(ground.top, leftovers(ground))

    assert set(os.listdir(top)) == {
        ".git", "a.py", names[0], names[1], names[3], ".tempkeep-mine.tmp"
    }  # fmt: skip
