"""A file for one block, with and without an event loop; and the names that users rely on."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

import common.temp
from common.temp import tracking
from common.temp.tracking import (
    FileCleanupManager,
    TempFileContext,
    ThreadedFileCleanupManager,
    temp_file_async,
)
from tests.each import each
from tests.store.children import in_child


class InBlock(Protocol):
    """Runs `body` in the block of a context for the file at `path`."""

    def __call__(
        self, path: Path, body: Callable[[Path, Any], object], **options: bool
    ) -> None: ...


def plainly(path: Path, body: Callable[[Path, Any], object], **options: bool) -> None:
    context = TempFileContext(path, **options)
    with context as given:
        body(given, context)


def with_a_loop(path: Path, body: Callable[[Path, Any], object], **options: bool) -> None:
    async def main() -> None:
        context = temp_file_async(path, **options)
        async with context as given:
            body(given, context)

    asyncio.run(main())


@pytest.fixture(params=[plainly, with_a_loop])
def in_block(request: pytest.FixtureRequest) -> InBlock:
    """Both contexts, one after the other."""
    chosen: InBlock = request.param
    return chosen


def write(path: Path, context: object) -> None:
    path.write_text("x")


def write_and_fail(path: Path, context: object) -> None:
    path.write_text("x")
    raise ZeroDivisionError


# -- a file for one block ----------------------------------------------------------------------


def test_the_block_gets_the_path_and_the_file_is_gone_after(
    tmp_path: Path, in_block: InBlock
) -> None:
    given: list[Path] = []

    def body(path: Path, context: object) -> None:
        given.append(path)
        path.touch()

    in_block(tmp_path / "file", body)
    assert given == [tmp_path / "file"]
    assert not (tmp_path / "file").exists()


def test_nothing_beside_the_file_goes(tmp_path: Path, in_block: InBlock) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "fil").touch()
    in_block(tmp_path / "file", write)
    assert sorted(os.listdir(tmp_path)) == ["fil", "file.txt", "system-temp"]


def test_a_file_that_was_there_before_goes_as_well(tmp_path: Path, in_block: InBlock) -> None:
    (tmp_path / "file").write_text("x")
    in_block(tmp_path / "file", lambda path, _: path.read_text())
    assert not (tmp_path / "file").exists()


def test_a_file_that_nobody_made_is_no_matter(
    tmp_path: Path, in_block: InBlock, caplog: pytest.LogCaptureFixture
) -> None:
    in_block(tmp_path / "file", lambda path, _: None)
    in_block(tmp_path / "no" / "file", lambda path, _: None)
    assert caplog.records == []


def test_a_file_stays_that_the_block_wants_kept(tmp_path: Path, in_block: InBlock) -> None:
    def body(path: Path, context: Any) -> None:
        path.touch()
        context.keep()

    in_block(tmp_path / "file", body)
    assert (tmp_path / "file").exists()


def test_the_error_of_the_block_is_raised_and_the_file_is_gone(
    tmp_path: Path, in_block: InBlock
) -> None:
    with pytest.raises(ZeroDivisionError):
        in_block(tmp_path / "file", write_and_fail)
    assert not (tmp_path / "file").exists()


def test_without_cleanup_on_error_an_error_has_the_file_stay(
    tmp_path: Path, in_block: InBlock
) -> None:
    with pytest.raises(ZeroDivisionError):
        in_block(tmp_path / "file", write_and_fail, cleanup_on_error=False)
    assert (tmp_path / "file").exists()


def test_without_cleanup_on_error_the_file_goes_where_there_is_none(
    tmp_path: Path, in_block: InBlock
) -> None:
    in_block(tmp_path / "file", write, cleanup_on_error=False)
    assert not (tmp_path / "file").exists()


def test_a_directory_of_that_name_stays_and_a_warning_says_so(
    tmp_path: Path, in_block: InBlock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sub").mkdir()
    in_block(tmp_path / "sub", lambda path, _: (path / "file").touch())
    assert (tmp_path / "sub" / "file").exists()
    assert caplog.messages == [f"cannot delete {tmp_path}/sub: is a directory"]


def test_of_a_link_the_link_goes_and_the_file_stays(tmp_path: Path, in_block: InBlock) -> None:
    (tmp_path / "precious").write_text("work")
    in_block(tmp_path / "link", lambda path, _: path.symlink_to(tmp_path / "precious"))
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "precious").read_text() == "work"


def test_the_block_may_change_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_block: InBlock
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    monkeypatch.chdir(tmp_path)

    def body(path: Path, context: object) -> None:
        path.touch()
        os.chdir("elsewhere")

    in_block(Path("file"), body)
    assert not (tmp_path / "file").exists()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_forked_child_that_leaves_the_block_deletes_nothing(tmp_path: Path) -> None:
    context = TempFileContext(tmp_path / "file")
    with context as path:
        path.touch()
        in_child(lambda: context.__exit__(None))
        assert path.exists()
    assert not path.exists()


def test_a_coroutine_that_is_closed_in_the_block_leaves_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with temp_file_async(tmp_path / "file") as path:
            path.touch()
            await asyncio.sleep(60)

    coroutine: Any = main()
    loop = asyncio.new_event_loop()
    try:
        loop.call_soon(lambda: coroutine.send(None))
        loop.call_soon(loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    assert (tmp_path / "file").exists()
    coroutine.close()
    assert not (tmp_path / "file").exists()


def test_a_loop_that_has_no_threads_any_more_still_leaves_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with temp_file_async(tmp_path / "file") as path:
            path.touch()
            await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(main())
    assert not (tmp_path / "file").exists()


# -- what people's code relies on ---------------------------------------------------------------

Signature = list[tuple[str, object]]


def signatures(manager: Any) -> dict[Callable[..., object], Signature]:
    return {
        manager: [
            ("base_temp_dir", ...),
            ("default_ttl_hours", 24),
            ("cleanup_interval_minutes", 30),
        ],
        manager.track_file: [("self", ...), ("file_path", ...)],
        manager.untrack_file: [("self", ...), ("file_path", ...)],
        manager.cleanup_file: [("self", ...), ("file_path", ...)],
        manager.cleanup_directory: [("self", ...), ("directory", ...), ("recursive", True)],
        manager.cleanup_old_files: [("self", ...), ("max_age_hours", None)],
        manager.cleanup_all_tracked: [("self", ...)],
        manager.recover: [("self", ...)],
        manager.start_periodic_cleanup: [("self", ...)],
        manager.stop_periodic_cleanup: [("self", ...)],
        manager.get_stats: [("self", ...)],
    }


SIGNATURES: dict[Callable[..., object], Signature] = {
    TempFileContext: [("file_path", ...), ("cleanup_on_error", True)],
    temp_file_async: [("file_path", ...), ("cleanup_on_error", True)],
    **signatures(FileCleanupManager),
    **signatures(ThreadedFileCleanupManager),
}


@each("function", SIGNATURES)
def test_the_signature_is_the_one_that_people_call(function: Callable[..., object]) -> None:
    found = inspect.signature(function).parameters.values()
    assert [
        (parameter.name, ... if parameter.default is parameter.empty else parameter.default)
        for parameter in found
    ] == SIGNATURES[function]


AWAITED = [
    "cleanup_all_tracked",
    "cleanup_directory",
    "cleanup_file",
    "cleanup_old_files",
    "recover",
    "stop_periodic_cleanup",
]


def test_with_a_loop_what_deletes_is_awaited_and_without_one_nothing_is() -> None:
    public = {
        name: function
        for name, function in inspect.getmembers(FileCleanupManager, inspect.isfunction)
        if not name.startswith("_")
    }
    awaited = [name for name, function in public.items() if inspect.iscoroutinefunction(function)]
    assert awaited == AWAITED
    for name in public:
        assert not inspect.iscoroutinefunction(getattr(ThreadedFileCleanupManager, name))


def test_the_results_have_the_keys_that_people_read(tmp_path: Path) -> None:
    manager = ThreadedFileCleanupManager(tmp_path / "base")
    assert manager.cleanup_old_files() == {
        "removed_count": 0,
        "removed_size_bytes": 0,
        "removed_size_mb": 0.0,
        "removed_disk_bytes": 0,
        "errors": 0,
        "tracked_files_remaining": 0,
    }
    assert manager.get_stats() == {
        "tracked_files": 0,
        "total_size_bytes": 0,
        "total_size_mb": 0.0,
        "total_disk_bytes": 0,
        "periodic_cleanup_running": False,
        "default_ttl_hours": 24,
        "cleanup_interval_minutes": 30,
    }


def test_each_is_a_context_manager_of_its_kind(tmp_path: Path) -> None:
    assert isinstance(TempFileContext(tmp_path / "file"), AbstractContextManager)
    assert isinstance(temp_file_async(tmp_path / "file"), AbstractAsyncContextManager)
    assert isinstance(FileCleanupManager(tmp_path / "base"), AbstractAsyncContextManager)
    assert isinstance(ThreadedFileCleanupManager(tmp_path / "base"), AbstractContextManager)


@each(
    "name",
    ["FileCleanupManager", "TempFileContext", "ThreadedFileCleanupManager", "temp_file_async"],
)
def test_each_can_be_had_from_the_package(name: str) -> None:
    assert getattr(common.temp, name) is getattr(tracking, name)


def test_paths_may_be_texts(tmp_path: Path) -> None:
    with TempFileContext(str(tmp_path / "file")) as path:
        path.touch()
    manager = ThreadedFileCleanupManager(str(tmp_path / "base"))
    (tmp_path / "base" / "file").touch()
    manager.track_file(str(tmp_path / "base" / "file"))
    assert manager.cleanup_file(str(tmp_path / "base" / "file"))


def test_what_a_loop_awaits_is_a_coroutine(tmp_path: Path) -> None:
    async def main() -> None:
        manager = FileCleanupManager(tmp_path / "base")
        waiting: Awaitable[int] = manager.cleanup_all_tracked()
        assert await waiting == 0

    asyncio.run(main())
    assert logging.getLogger("common.temp").handlers == []
