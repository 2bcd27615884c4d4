"""The statements of the document on file tracking, and that they hold here."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from common.temp import FileCleanupManager, TempFileContext, temp_file_async
from common.temp.errors import Refused
from tests.documents.statement import Statement, Statements, parameters
from tests.support import age

EMPTY = inspect.Parameter.empty
STATEMENTS = Statements()
says = STATEMENTS.says


@STATEMENTS.each()
def test_what_the_document_says_holds(project: Path, statement: Statement) -> None:
    assert statement.holds(project) is not False


def file(path: Path, *, hours: float = 0.0, size: int = 1000) -> Path:
    """A file of so many bytes, last changed so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    age(path, hours)
    return path


def tracking(*paths: Path, **options: Any) -> FileCleanupManager:
    """A manager of `base` that tracks these."""
    manager = FileCleanupManager(Path("base"), **options)
    for path in paths:
        manager.track_file(path)
    return manager


def clean(manager: FileCleanupManager, **options: Any) -> Any:
    return asyncio.run(manager.cleanup_old_files(**options))


# -- one file and one block ---------------------------------------------------------------------


@says("`TempFileContext(file_path, cleanup_on_error=True)` gives the path, and deletes at the end")
def _(project: Path) -> None:
    assert parameters(TempFileContext) == [("file_path", EMPTY), ("cleanup_on_error", True)]
    with TempFileContext(file_path=project / "file") as path:
        assert path == project / "file"
        path.write_text("x")
    assert not path.exists()


@says(
    "`file_path` is the path that was given",
    differs="it is absolute, since the block may change the working directory",
)
def _(project: Path) -> None:
    for kind in (TempFileContext, temp_file_async):
        assert kind(Path("file")).file_path == project / "file"


@says("`keep()` keeps the file")
def _(project: Path) -> None:
    context = TempFileContext(project / "file")
    with context as path:
        path.touch()
        context.keep()
    assert path.exists()


@says("after an error the file goes too, and with `cleanup_on_error=False` it stays; it is raised")
def _(project: Path) -> None:
    def fail(context: TempFileContext) -> None:
        with context as path:
            path.write_text("half")
            raise ZeroDivisionError

    for stays in (False, True):
        with pytest.raises(ZeroDivisionError):
            fail(TempFileContext(project / "file", cleanup_on_error=not stays))
        assert (project / "file").exists() is stays


@says("`temp_file_async(file_path, cleanup_on_error=True)` is the same for `async with`")
def _(project: Path) -> None:
    assert parameters(temp_file_async) == [("file_path", EMPTY), ("cleanup_on_error", True)]

    async def use() -> None:
        async with temp_file_async(file_path=project / "file") as path:
            path.touch()

    asyncio.run(use())
    assert not (project / "file").exists()


@says("and as a decorator")
def _(project: Path) -> None:
    @temp_file_async(project / "file")
    async def use(size: int) -> int:
        return file(project / "file", size=size).stat().st_size

    assert asyncio.run(use(7)) == 7
    assert not (project / "file").exists()


# -- the manager --------------------------------------------------------------------------------


@says("`FileCleanupManager` has these methods, parameters and defaults")
def _(project: Path) -> None:
    awaited = {
        "cleanup_file": [("file_path", EMPTY)],
        "cleanup_directory": [("directory", EMPTY), ("recursive", True)],
        "cleanup_old_files": [("max_age_hours", None)],
        "cleanup_all_tracked": [],
        "stop_periodic_cleanup": [],
    }
    plain = {
        "track_file": [("file_path", EMPTY)],
        "untrack_file": [("file_path", EMPTY)],
        "start_periodic_cleanup": [],
        "get_stats": [],
    }
    for name, has in (awaited | plain).items():
        method = getattr(FileCleanupManager, name)
        assert parameters(method) == has
        assert inspect.iscoroutinefunction(method) is (name in awaited)
    assert parameters(FileCleanupManager) == [
        ("base_temp_dir", EMPTY),
        ("default_ttl_hours", 24),
        ("cleanup_interval_minutes", 30),
    ]


@says("the base directory is made")
def _(project: Path) -> None:
    FileCleanupManager(base_temp_dir=project / "deep" / "base")
    assert (project / "deep" / "base").is_dir()


@says("`get_stats` has these keys; a file of 1,000 bytes counts 1000")
def _(project: Path) -> None:
    stats = dict(tracking(file(project / "base" / "file")).get_stats())
    assert stats.pop("total_disk_bytes") == 4096  # ours
    assert stats == {
        "tracked_files": 1,
        "total_size_bytes": 1000,
        "total_size_mb": 0.0,
        "periodic_cleanup_running": False,
        "default_ttl_hours": 24,
        "cleanup_interval_minutes": 30,
    }


@says("`cleanup_old_files` has these keys; a file of 1,000 bytes counts 1000")
def _(project: Path) -> None:
    old, new = (file(project / "base" / f"{hours}", hours=hours) for hours in (25, 23))
    cleaned = clean(tracking(old, new))
    assert cleaned.pop("removed_disk_bytes") == 4096  # ours
    assert cleaned == {
        "removed_count": 1,
        "removed_size_bytes": 1000,
        "removed_size_mb": 0.0,
        "errors": 0,
        "tracked_files_remaining": 1,
    }
    assert (old.exists(), new.exists()) == (False, True)


@says("`max_age_hours` counts instead of `default_ttl_hours`")
def _(project: Path) -> None:
    manager = tracking(file(project / "base" / "file", hours=5), default_ttl_hours=2)
    assert clean(manager, max_age_hours=6)["removed_count"] == 0
    assert clean(manager)["removed_count"] == 1


@says("a tracked directory goes when the newest change in it is old")
def _(project: Path) -> None:
    old, new = (project / "base" / name for name in ("old", "new"))
    file(old / "sub" / "file", hours=30)
    file(new / "file")
    for path in (old / "sub", old, new):
        age(path, 30) if path != new else None
    assert clean(tracking(old, new))["removed_count"] == 1
    assert (old.exists(), new.exists()) == (False, True)


@says(
    "empty directories below the base go as well",
    differs="one that nobody tracked stays: it may be about to be used, or somebody else's",
)
def _(project: Path) -> None:
    (project / "base" / "empty").mkdir(parents=True)
    manager = tracking()
    age(project / "base" / "empty", 100)
    assert clean(manager)["removed_count"] == 0
    manager.track_file(project / "base" / "empty")
    assert clean(manager)["removed_count"] == 1


@says("a tracked file that is missing is no longer tracked after the next round")
def _(project: Path) -> None:
    path = file(project / "base" / "file")
    manager = tracking(path)
    path.unlink()
    assert clean(manager)["tracked_files_remaining"] == 0


@says(
    "also one that was never made",
    differs="it is waited for as long as it may live: a file is to be tracked before it is made, "
    "so that a killed process leaves none",
)
def _(project: Path) -> None:
    manager = tracking(project / "base" / "to-come")
    assert clean(manager)["tracked_files_remaining"] == 1
    assert clean(manager, max_age_hours=0)["tracked_files_remaining"] == 0


@says("two managers of one directory leave each other's files alone")
def _(project: Path) -> None:
    theirs = file(project / "base" / "theirs", hours=100)
    other, manager = tracking(theirs), tracking(file(project / "base" / "own", hours=100))
    assert clean(manager)["removed_count"] == 1
    assert asyncio.run(manager.cleanup_all_tracked()) == 0
    assert (theirs.exists(), other.get_stats()["tracked_files"]) == (True, 1)


@says("`cleanup_file` deletes a file, and says whether it did")
def _(project: Path) -> None:
    manager = tracking(path := file(project / "base" / "file"))
    assert asyncio.run(manager.cleanup_file(file_path=path)) is True
    assert asyncio.run(manager.cleanup_file(file_path=path)) is False
    assert manager.get_stats()["tracked_files"] == 0


@says(
    "`cleanup_file` deletes any file",
    differs="outside the base only what was tracked: a wrong path must not delete",
)
def _(project: Path) -> None:
    manager = tracking()
    path = file(project / "precious")
    assert asyncio.run(manager.cleanup_file(path)) is False
    assert path.exists()
    manager.track_file(path)
    assert asyncio.run(manager.cleanup_file(path)) is True
    with pytest.raises(Refused):
        manager.track_file(project)


@says("`cleanup_directory` deletes it with what is tracked in it; one that is missing is gone")
def _(project: Path) -> None:
    manager = tracking(file(project / "base" / "sub" / "file"))
    directory = project / "base" / "sub"
    assert asyncio.run(manager.cleanup_directory(directory=directory, recursive=False)) is False
    assert asyncio.run(manager.cleanup_directory(directory=directory)) is True
    assert asyncio.run(manager.cleanup_directory(directory=directory)) is True
    assert manager.get_stats()["tracked_files"] == 0


@says("`untrack_file` leaves a file to others")
def _(project: Path) -> None:
    manager = tracking(path := file(project / "base" / "file", hours=100))
    manager.untrack_file(file_path=path)
    assert asyncio.run(manager.cleanup_all_tracked()) == 0
    assert path.exists()


@says("`cleanup_all_tracked` deletes what is tracked, however new, and says how many went")
def _(project: Path) -> None:
    manager = tracking(*(file(project / "base" / f"{number}") for number in range(3)))
    assert asyncio.run(manager.cleanup_all_tracked()) == 3


@says("the lock is an RLock: `get_stats` can be called from a signal's handler")
def _(project: Path) -> None:
    manager, handled = tracking(), 0

    def handler(*_: object) -> None:
        nonlocal handled
        handled += 1
        manager.get_stats()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while handled < 50:
            manager.track_file(project / "base" / "file")
            manager.untrack_file(project / "base" / "file")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@says("it can be used by several threads")
def _(project: Path) -> None:
    manager = tracking()

    def work(number: int) -> None:
        for each in range(20):
            manager.track_file(project / "base" / f"{number}-{each}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert manager.get_stats()["tracked_files"] == 80


@says("the example: an application starts the periodic clean-up, and stops it at its end")
def _(project: Path) -> None:
    async def serve() -> None:
        manager = FileCleanupManager(
            base_temp_dir=Path("base"), default_ttl_hours=24, cleanup_interval_minutes=0.001
        )
        manager.start_periodic_cleanup()
        assert manager.get_stats()["periodic_cleanup_running"]
        manager.track_file(file(project / "base" / "upload.wav", hours=25))
        end = time.monotonic() + 60
        while os.path.exists("base/upload.wav") and time.monotonic() < end:
            await asyncio.sleep(0.02)
        await manager.stop_periodic_cleanup()
        assert not manager.get_stats()["periodic_cleanup_running"]
        assert await manager.cleanup_all_tracked() == 0

    asyncio.run(serve())
    assert not (project / "base" / "upload.wav").exists()


@says("`async with` starts it and stops it")
def _(project: Path) -> None:
    async def serve() -> FileCleanupManager:
        async with FileCleanupManager(Path("base")) as manager:
            assert manager.get_stats()["periodic_cleanup_running"]
        return manager

    assert not asyncio.run(serve()).get_stats()["periodic_cleanup_running"]
