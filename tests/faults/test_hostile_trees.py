"""Trees that break other tools are shown and cleaned by the commands that people run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    as_plain_user,
    chain,
    ext4,
    inv,
    listing,
    make_entry,
    make_project,
    mounted,
    run,
    status,
)

LEVELS = 3_000
LINKS = 20_000
NAMES = (
    b"\xff" * 255,
    b"\xc3\x28" * 127,
    b"line\nbreak",
    b"\x1b[31mred\x1b]0;title\x07\r\x7f",
    "\u202egnp.exe\u2028".encode(),
    b"-rf",
    b"--yes",
    b" ",
    b"~",
    b"$(reboot)`reboot`",
    b"a*?[b]",
)


def shown(project: Path) -> dict[str, dict[str, Any]]:
    """The entries by path, as the status tells programs; what it tells people is printable."""
    text = inv("temp-status", cwd=project)
    assert "Traceback" not in text.stderr
    assert all(letter.isprintable() or letter == "\n" for letter in text.stdout + text.stderr)
    return {item["path"]: item for item in status(project)["entries"]}


def cleaned(project: Path, *, code: int = 0) -> tuple[str, str]:
    """What a clean printed to stdout and stderr: printable, and no traceback."""
    done = inv("temp-clean", "--yes", cwd=project)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert all(letter.isprintable() or letter == "\n" for letter in done.stdout + done.stderr)
    return done.stdout, done.stderr


@contextmanager
def too_deep(path: Path) -> Iterator[None]:
    """Should a test leave it, what lies here is too deep for pytest to remove."""
    try:
        yield
    finally:
        run(["rm", "-rf", str(path)], cwd=path.parent)


def test_a_tree_of_3_000_levels_is_shown_and_cleaned(
    project: Path, figure: Callable[[str], None]
) -> None:
    root = project / ".tmp"
    path = make_entry(root, "debug/deep", files=0)
    with too_deep(root):
        chain(path, LEVELS)
        entry = shown(project)["debug/deep"]
        assert (entry["directories"], entry["files"]) == (LEVELS + 1, 1)
        assert entry["unreadable"] is None
        cleaned(project)
        assert not path.exists()
    figure(f"6. {LEVELS:,} levels: shown and gone")


@pytest.mark.parametrize(
    "command",
    ["temp-adopt --dry-run", "temp-migrate --check", "vendor libs", "temp-status --all-projects"],
)
def test_directories_deeper_than_python_recurses_end_no_command(
    project: Path, command: str
) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nprojects = ["**"]\n')
    program = (sys.executable, "-m", "common.temp", *command.split())
    first = run(program, cwd=project)
    where = {"temp-adopt": ".tmp/old_1696348800", "vendor": "libs/temp/more"}
    path = make_entry(project, where.get(command.partition(" ")[0], "libs"), files=0)
    with too_deep(path):
        chain(path, 1200)
        done = run(program, cwd=project)
    assert first.returncode == 0, first.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout if done.returncode == 0 else done.stderr.startswith("error: ")


def test_names_of_any_bytes_are_shown_tamed_and_cleaned(
    project: Path, figure: Callable[[str], None]
) -> None:
    root = project / ".tmp"
    canary = make_entry(project, "canary", files=3)
    (root / "debug").mkdir(parents=True)
    for name in NAMES:
        path = os.path.join(os.fsencode(root), b"debug", name)
        os.makedirs(os.path.join(path, b"in", name))
        with open(os.path.join(path, name), "w"), open(os.path.join(path, b"in", b"-r"), "w"):
            pass
        os.symlink(os.fsencode(canary), os.path.join(path, b"..."))
    seen = shown(project)
    assert set(seen) == {f"debug/{os.fsdecode(name)}" for name in NAMES}
    assert {(each["directories"], each["files"]) for each in seen.values()} == {(3, 3)}
    cleaned(project)
    assert os.listdir(root / "debug") == []
    assert listing(canary) == ["file0.txt", "file1.txt", "file2.txt"]
    figure(
        f"6. {len(NAMES)} names (255 bytes of no UTF-8, newline, escapes, -rf …) as entries and "
        "inside: shown tamed, all gone"
    )


@pytest.mark.parametrize("top", [0o755, 0o000], ids=["below", "itself"])
def test_closed_directories_of_a_plain_user_are_told_and_cleaned(
    project: Path, figure: Callable[[str], None], top: int
) -> None:
    path = make_entry(project / ".tmp", "debug/closed", files=2)
    make_entry(project / ".tmp", "debug/open")
    for name in ("a", "b"):
        make_entry(path, f"{name}/deeper")
        (path / name / "deeper").chmod(0o000)
        (path / name).chmod(0o000)
    path.chmod(top)
    told = as_plain_user("temp-status", "--format", "json", cwd=project)
    entries = {each["path"]: each for each in json.loads(told.stdout)["projects"][0]["entries"]}
    where = " in " if top else ""
    assert entries["debug/closed"]["unreadable"].startswith(f"Permission denied{where}")
    assert entries["debug/open"]["unreadable"] is None
    done = as_plain_user("temp-clean", "--yes", cwd=project)
    assert done.returncode == 0, done.stderr
    assert os.listdir(project / ".tmp" / "debug") == []
    figure(f"6. directories of mode 000 ({'the entry too' if not top else 'inside'}): gone")


def test_many_hard_links_to_one_file_are_counted_once_and_cleaned(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with mounted(tmp_path / "disk", f"size=64m,nr_inodes={LINKS + 1000}") as disk:
        make_project(disk)
        path = make_entry(disk / ".tmp", "debug/linked", files=0)
        (path / "0").write_bytes(b"x" * 1_000_000)
        for number in range(1, LINKS):
            os.link(path / "0", path / f"{number}")
        size = (path / "0").stat().st_blocks * 512
        entry = shown(disk)["debug/linked"]
        assert (entry["directories"], entry["files"]) == (1, LINKS)
        assert (entry["size_bytes"], entry["shared_bytes"]) == (size, 0)
        done = inv("temp-clean", "--yes", "--format", "json", cwd=disk)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["projects"][0]["freed_bytes"] == size
        assert not path.exists()
    figure(f"6. {LINKS:,} hard links to one file: counted once, freed once, gone")


@pytest.mark.parametrize("kind", ["file", "directory", "entry"])
def test_what_may_not_be_changed_is_one_failure_and_all_else_goes(
    tmp_path: Path, figure: Callable[[str], None], kind: str
) -> None:
    with ext4(tmp_path) as disk:
        make_project(disk)
        for flag in "ia":
            fail_to_clean(disk, kind, flag)
    figure(
        f"6. immutable and append-only {kind}: one failure each, all else gone; after chattr gone"
    )


def fail_to_clean(disk: Path, kind: str, flag: str) -> None:
    root = disk / ".tmp"
    path = make_entry(root, "debug/stuck", files=3)
    make_entry(path, "sub", files=3)
    make_entry(path, "other", files=3)
    make_entry(root, "debug/free", files=3)
    make_entry(root, "work/free")
    stuck = {"file": path / "sub" / "file1.txt", "directory": path / "sub", "entry": path}[kind]
    with unchangeable(stuck, flag, root):
        entry = shown(disk)["debug/stuck"]
        assert (entry["directories"], entry["files"]) == (3, 9)
        out, err = cleaned(disk, code=1)
        assert "cleaned 2 entries" in out
        assert "; 1 failed" in out
        (failure,) = (line for line in err.splitlines() if line.startswith("failed "))
        assert failure.startswith("failed debug/stuck: ")
        assert "Operation not permitted" in failure
        left = listing(root / "debug")
        if kind == "file":
            assert left == ["stuck", "stuck/sub", "stuck/sub/file1.txt"]
            assert "sub/file1.txt: " in failure
        elif kind == "directory":
            assert left == ["stuck", "stuck/sub", *(f"stuck/sub/file{n}.txt" for n in range(3))]
            assert "sub/file" in failure
        else:
            assert len(left) == 12
    cleaned(disk)
    assert listing(root / "debug") == []
    assert listing(root / ".tempkeep" / "holding") == []


@contextmanager
def unchangeable(path: Path, flag: str, root: Path) -> Iterator[None]:
    """`path` is immutable ("i") or append-only ("a"), wherever in `root` it is moved meanwhile."""
    if not shutil.which("chattr"):
        pytest.skip("needs chattr")
    if run(["chattr", f"+{flag}", str(path)], cwd=root).returncode:
        pytest.skip(f"chattr +{flag} has no power here")
    inode = path.stat().st_ino
    try:
        yield
    finally:
        for found in root.rglob("*"):
            if found.lstat().st_ino == inode:
                run(["chattr", f"-{flag}", str(found)], cwd=root)
