"""A copy in an archive is as new as the entry that it replaces, whatever times its files have."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.store.archive import transfer
from common.temp.store.archive.transfer import Intent
from common.temp.store.claiming.area import HoldingArea
from common.temp.store.trees.contents import state
from tests.support import HOUR, in_holding, make_entry, mounted, outcomes, stored, swept


def rewrite(path: Path) -> None:
    (path / "notes").write_text("a new chapter")


def rewrite_unseen(path: Path) -> None:
    """With the size and the time that it had."""
    was = (path / "notes").stat()
    (path / "notes").write_text("NEW")
    os.utime(path / "notes", ns=(was.st_atime_ns, was.st_mtime_ns))


def add(path: Path) -> None:
    (path / "deep" / "late").touch()


def replace(path: Path) -> None:
    """By what is as old as it was."""
    was = (path / "notes").stat()
    (path / "other").write_text("NEW")
    os.utime(path / "other", ns=(was.st_atime_ns, was.st_mtime_ns))
    (path / "other").rename(path / "notes")


def entry_from_the_future(root: Path) -> Path:
    """An entry with a file whose time has not come yet, so that no other is the newest."""
    path = make_entry(root, "work/e")
    (path / "deep").mkdir()
    (path / "notes").write_text("old")
    (path / "future").touch()
    os.utime(path / "future", (time.time() + 9999 * HOUR,) * 2)
    return path


@pytest.mark.parametrize("change", [rewrite, rewrite_unseen, add, replace])
def test_what_changed_after_the_copy_stays_though_a_file_is_dated_in_the_future(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    path = entry_from_the_future(root)
    real = transfer.begin

    def begin_late(area: HoldingArea, intent: Intent) -> bool:
        begun = real(area, intent)
        change(path)
        return begun

    monkeypatch.setattr(transfer, "begin", begin_late)
    with mounted(tmp_path / "m", "size=1m") as archive:
        report = swept(root, disposal="archive", archive=archive)
        assert outcomes(report) == {"work/e": ("skipped", "has changed while it was being copied")}
        assert (stored(archive), in_holding(root)) == ([], [])
        assert path.is_dir()
        monkeypatch.undo()
        assert len(swept(root, disposal="archive", archive=archive).done) == 1
        assert stored(archive) == ["work__e"]


def test_what_was_only_read_meanwhile_is_archived(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = entry_from_the_future(root)
    real = transfer.begin

    def begin_late(area: HoldingArea, intent: Intent) -> bool:
        (path / "notes").read_text()
        return real(area, intent)

    monkeypatch.setattr(transfer, "begin", begin_late)
    with mounted(tmp_path / "m", "size=1m") as archive:
        assert len(swept(root, disposal="archive", archive=archive).done) == 1
        assert (archive / "work__e" / "notes").read_text() == "old"


def test_the_state_is_the_same_when_all_is_moved_and_another_when_a_part_is(root: Path) -> None:
    path = entry_from_the_future(root)
    parent = os.open(root, os.O_RDONLY)
    try:
        before = state(parent, "work/e")
        path.rename(root / "elsewhere")
        assert state(parent, "elsewhere") == before
        (root / "elsewhere" / "deep").rename(root / "elsewhere" / "other")
        assert state(parent, "elsewhere") != before
    finally:
        os.close(parent)
