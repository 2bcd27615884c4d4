"""A disk without a free byte or a free inode can be cleaned."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.temp.store.root.allocation import allocate
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import write_pin
from tests.support import (
    Process,
    ext4,
    fill,
    inv,
    listing,
    make_entry,
    make_project,
    mounted,
    outcomes,
    process,
    scanned,
    swept,
)

OWNER = """
from common.temp import TempManager
print(TempManager.create_persistent_dir("run", "work"), flush=True)
input()
"""


@contextmanager
def disk(where: Path, filesystem: str) -> Iterator[Path]:
    """A small filesystem with a project on it."""
    where.mkdir(exist_ok=True)
    small = "size=2m,nr_inodes=3000"
    make = ext4(where) if filesystem == "ext4" else mounted(where / "disk", small)
    with make as directory:
        yield make_project(directory)


def use_up(directory: Path, what: str) -> None:
    """Leave no free byte, no free inode or neither on the filesystem of `directory`."""
    (directory / "filler").touch()  # which takes bytes once there are no inodes
    if "inodes" in what:
        (directory / "fillers").mkdir()
        with suppress(OSError):
            for number in range(100_000):
                (directory / "fillers" / str(number)).touch()
        assert os.statvfs(directory).f_ffree == 0
    if "bytes" in what:
        fill(directory)
        assert os.statvfs(directory).f_bavail == 0
    with pytest.raises(OSError, match="No space left"):
        (directory / "one more").write_bytes(b"x" * 8192)


def fill_root(root: Path) -> set[str]:
    """Entries of all kinds that are to go, most of them nested."""
    for name in ("debug/a", "cache/b", "old_1696348800"):
        path = make_entry(root, name, files=3)
        for where in ("one/two/three", "one/other", "four"):
            make_entry(path, where, files=3)
        (path / "link").symlink_to(root.parent)
    (root / "debug" / "file").write_bytes(b"x" * 5000)
    (root / "link").symlink_to("nowhere")
    return {"debug/a", "cache/b", "old_1696348800", "debug/file", "link"}


def check_clean(root: Path, kept: set[str]) -> None:
    """Only what is `kept` is there, whole, and new entries can be made."""
    assert set(scanned(root)) == kept
    for name in kept:
        assert listing(root / name) == ["precious"]
        assert (root / name / "precious").read_text() == "p"
    assert not list(root.glob(".tempkeep-held-*"))
    assert listing(root / ".tempkeep" / "holding") == []
    assert os.path.isdir(allocate(str(root), "debug", "again"))


FULL = ("bytes", "inodes", "bytes and inodes")
FILESYSTEMS = pytest.mark.parametrize("filesystem", ["ext4", "tmpfs"])


@FILESYSTEMS
def test_a_root_that_was_never_swept_can_be_cleaned_on_a_full_disk(
    tmp_path: Path, figure: Callable[[str], None], filesystem: str
) -> None:
    count = 0
    for what in FULL:
        with disk(tmp_path / what, filesystem) as project:
            root = project / ".tmp"
            gone = fill_root(root)
            locked = make_entry(root, "debug/locked", files=0)
            (locked / "precious").write_text("p")
            use_up(project, what)
            lock = os.open(locked, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                done = inv("temp-clean", "--yes", cwd=project)
            finally:
                os.close(lock)
            assert (done.returncode, done.stderr) == (0, ""), what
            assert f"cleaned {len(gone)} entries" in done.stdout
            check_clean(root, {"debug/locked"})
            count += len(gone)
    figure(
        f"7. full {filesystem} (no free {', no free '.join(FULL)}), root never swept: {count} "
        f"entries gone by temp-clean, {len(FULL)} locked ones kept"
    )


@FILESYSTEMS
def test_what_lives_on_a_full_disk_stays_and_all_else_goes(
    tmp_path: Path, figure: Callable[[str], None], filesystem: str
) -> None:
    count = 0
    for what in FULL:
        with (
            disk(tmp_path / what, filesystem) as project,
            process(OWNER, cwd=project) as owner,
        ):
            root = project / ".tmp"
            kept = keep(root, owner)
            gone = fill_root(root)
            use_up(project, what)
            told = inv("temp-status", cwd=project)
            assert (told.returncode, told.stderr) == (0, ""), what
            assert outcomes(swept(root)) == dict.fromkeys(gone, ("done", ""))
            check_clean(root, kept)
            count += len(gone)
    figure(
        f"7. full {filesystem} (no free {', no free '.join(FULL)}), with owners: {count} entries "
        f"gone by a sweep, {2 * len(FULL)} kept (in use, pinned)"
    )


def keep(root: Path, owner: Process) -> set[str]:
    """What must stay: the entry of a running process, and a pinned one."""
    live = Path(owner.first_line)
    (live / "precious").write_text("p")
    pinned = make_entry(root, "debug/pinned", files=0)
    (pinned / "precious").write_text("p")
    write_pin(root, "debug/pinned", "precious")
    return {live.relative_to(root).as_posix(), "debug/pinned"}


@FILESYSTEMS
def test_on_a_full_disk_the_entry_of_a_killed_process_goes_with_its_record(
    tmp_path: Path, filesystem: str
) -> None:
    with disk(tmp_path, filesystem) as project:
        root = project / ".tmp"
        make_root(str(root))
        with process(OWNER, cwd=project) as owner:
            path = Path(owner.first_line)
            use_up(project, "bytes and inodes")
            owner.kill()
            owner.wait()
            done = inv("temp-clean", "--yes", cwd=project)
        assert (done.returncode, done.stderr) == (0, "")
        assert not path.exists()
        assert listing(root / ".tempkeep") == ["history.jsonl", "holding", "owners"]
