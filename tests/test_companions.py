"""The files that SQLite keeps beside a database go with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.tracking import TempFileContext, ThreadedFileCleanupManager
from tests.support import age, listing, process

WRITER = """
import sqlite3, sys
from common.temp.tracking import ThreadedFileCleanupManager
manager = ThreadedFileCleanupManager({base!r})
manager.track_file({path!r})
connection = sqlite3.connect({path!r}, isolation_level=None)
connection.execute("pragma journal_mode={mode}")
connection.execute("create table t (x)")
connection.execute("pragma cache_size=1")
connection.execute("begin immediate")
for _ in range(500):
    connection.execute("insert into t values (randomblob(2000))")
print("there", flush=True)
sys.stdin.readline()
"""


def killed_writer(base: Path, path: Path, mode: str) -> None:
    """A tracked database as a killed process leaves it, with its log."""
    code = WRITER.format(base=str(base), path=str(path), mode=mode)
    with process(code, cwd=base.parent) as running:
        assert running.first_line
        running.send_signal(signal.SIGKILL)
        running.wait()


def _recovered(manager: ThreadedFileCleanupManager, path: Path) -> None:
    assert manager.recover() == 1


def _by_name(manager: ThreadedFileCleanupManager, path: Path) -> None:
    assert manager.cleanup_file(path)


def _by_age(manager: ThreadedFileCleanupManager, path: Path) -> None:
    manager.track_file(path)
    age(path, 2)  # as a database is that is written to its log only
    manager.cleanup_old_files(1)
    assert path.exists()
    for one in path.parent.glob("it.db*"):
        age(one, 2)
    assert manager.cleanup_old_files(1)["removed_count"] == 1


def _by_block(manager: ThreadedFileCleanupManager, path: Path) -> None:
    with TempFileContext(path):
        pass


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("delete", [_recovered, _by_name, _by_age, _by_block])
def test_they_go_with_the_database(
    tmp_path: Path, mode: str, delete: Callable[[ThreadedFileCleanupManager, Path], None]
) -> None:
    base = tmp_path / "files"
    base.mkdir()
    path = base / "it.db"
    killed_writer(base, path, mode)
    (base / "it.db-copy").write_text("mine")
    beside = {"wal": {"it.db-shm", "it.db-wal"}, "delete": {"it.db-journal"}}[mode]
    assert beside < {*listing(base)}
    delete(ThreadedFileCleanupManager(base), path)
    assert [name for name in listing(base) if name.startswith("it.db")] == ["it.db-copy"]


def test_what_a_kill_has_left_beside_a_database_goes_with_the_next_recovery(
    tmp_path: Path,
) -> None:
    base = tmp_path / "files"
    base.mkdir()
    killed_writer(base, base / "it.db", "wal")
    os.unlink(base / "it.db")
    ThreadedFileCleanupManager(base).recover()
    assert [name for name in listing(base) if name.startswith("it.db")] == []


def test_a_database_of_duckdb_is_as_old_as_its_log_and_takes_it_along(tmp_path: Path) -> None:
    base, old = tmp_path / "files", (0, 0)
    manager = ThreadedFileCleanupManager(base)
    for name, first in (("it.db", b"\1" * 8 + b"DUCK"), ("other", b"DUCK" * 3)):
        (base / name).write_bytes(first)
        (base / f"{name}.wal").write_text("rows")
        manager.track_file(base / name)
        os.utime(base / name, old)
    (base / "other").write_text("of no database")
    os.utime(base / "other", old)
    assert manager.cleanup_old_files()["removed_count"] == 1
    assert {"it.db", "it.db.wal", "other.wal"} < set(listing(base))
    os.utime(base / "it.db.wal", old)
    assert manager.cleanup_old_files()["removed_count"] == 1
    assert [name for name in listing(base) if not name.startswith(".")] == ["other.wal"]


def test_files_of_such_names_beside_anything_else_stay(tmp_path: Path) -> None:
    base = tmp_path / "files"
    manager = ThreadedFileCleanupManager(base)
    path = base / "it.db"
    for name in ("it.db", "it.db-wal", "it.db-journal", "other.db-wal"):
        (base / name).write_text("mine")
    manager.track_file(path)
    assert manager.cleanup_file(path)
    assert not manager.cleanup_file(path)
    for name in ("it.db-wal", "it.db-journal"):
        (base / name).unlink()
    (base / "it.db-journal").mkdir()
    os.symlink("other.db-wal", base / "it.db-wal")
    path.write_bytes(b"SQLite format 3\0")
    assert manager.cleanup_file(path)
    names = [name for name in listing(base) if ".db" in name]
    assert names == ["it.db-journal", "it.db-wal", "other.db-wal"]


def test_what_has_the_name_of_a_companion_and_was_not_made_by_sqlite_stays(tmp_path: Path) -> None:
    base = tmp_path / "files"
    base.mkdir()
    path = base / "travel"
    written = {
        "travel-journal": b"Day 1: we set off\n",
        "travel-wal": b"the wall\n",
        "travel-shm": b"\x18\xe2\x2d\x00",  # with no log beside it
    }
    for name, text in written.items():
        (base / name).write_bytes(text)
    path.write_bytes(b"SQLite format 3\0")
    with TempFileContext(path):
        pass
    assert {one.name: one.read_bytes() for one in base.iterdir()} == written
    path.write_bytes(b"SQLite format 3\0")
    for name in written:
        (base / name).write_bytes(b"")
    with TempFileContext(path):
        pass
    assert listing(base) == []
