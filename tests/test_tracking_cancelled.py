"""A task that is cancelled in or around each context manager, at every point where it awaits."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from common.temp.tracking import FileCleanupManager, TempFileContext, temp_file_async
from tests.store.children import until

Work = Callable[[Path], Coroutine[Any, Any, object]]


async def in_a_plain_block(base: Path) -> None:
    with TempFileContext(base / "file") as path:
        path.touch()
        await asyncio.sleep(0)
        await asyncio.to_thread(path.read_bytes)


async def in_an_async_block(base: Path) -> None:
    async with temp_file_async(base / "file") as path:
        path.touch()
        await asyncio.sleep(0)
        await asyncio.to_thread(path.read_bytes)


async def in_an_async_block_that_raises(base: Path) -> None:
    try:
        async with temp_file_async(base / "file") as path:
            path.touch()
            await asyncio.sleep(0)
            raise ZeroDivisionError
    except ZeroDivisionError:
        await asyncio.sleep(0)


async def in_blocks_within_blocks(base: Path) -> None:
    async with temp_file_async(base / "one") as one:
        one.touch()
        async with temp_file_async(base / "two") as two:
            two.touch()
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def in_the_block_of_a_manager(base: Path) -> None:
    async with FileCleanupManager(base / "files") as manager:
        path = base / "files" / "file"
        try:
            manager.track_file(path)
            path.touch()
            await asyncio.sleep(0)
        finally:
            await manager.cleanup_file(path)


async def in_each_thing_that_a_manager_does(base: Path) -> None:
    manager = FileCleanupManager(base / "files")
    made = [base / "files" / name for name in ("one", "sub", "three", "four")]
    try:
        for path in made:
            manager.track_file(path)
            path.mkdir() if path.name == "sub" else path.touch()
        await manager.recover()
        manager.start_periodic_cleanup()
        await manager.cleanup_file(made[0])
        await manager.cleanup_directory(made[1])
        await manager.cleanup_old_files()
        await manager.stop_periodic_cleanup()
    finally:
        await manager.cleanup_all_tracked()
        await manager.stop_periodic_cleanup()


WORKS: list[Work] = [
    in_a_plain_block,
    in_an_async_block,
    in_an_async_block_that_raises,
    in_blocks_within_blocks,
    in_the_block_of_a_manager,
    in_each_thing_that_a_manager_does,
]


class Stepped:
    """An awaitable that goes through `work` and calls `at_wait` with each point where it waits."""

    def __init__(self, work: Coroutine[Any, Any, object], at_wait: Callable[[int], None]) -> None:
        self._work = work
        self._at_wait = at_wait

    def __await__(self) -> Generator[Any, Any, object]:
        point = 0
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                waits_for = self._work.throw(error) if error else self._work.send(value)
            except StopIteration as end:
                return end.value
            self._at_wait(point)
            point += 1
            value, error = None, None
            try:
                value = yield waits_for
            except BaseException as raised:
                error = raised


def run_stepped(work: Work, base: Path, cancelled_at: tuple[int, ...], times: int) -> int:
    """How often `work` waited; its task is cancelled where it is said, so many times each.

    Nothing is left as soon as the task has ended, and not only when its loop is closed.
    """
    waits = 0

    async def main() -> None:
        nonlocal waits
        task: asyncio.Task[object]

        def at_wait(point: int) -> None:
            nonlocal waits
            waits = point + 1
            if point in cancelled_at:
                for _ in range(times):
                    asyncio.get_running_loop().call_soon(task.cancel)

        async def stepped() -> object:
            return await Stepped(work(base), at_wait)

        task = asyncio.create_task(stepped())
        await asyncio.wait([task])
        assert left(base) == [], f"cancelled at {cancelled_at}"
        assert task.cancelled() == bool(cancelled_at and waits > cancelled_at[0])
        if not task.cancelled():
            task.result()

    asyncio.run(main(), debug=True)
    return waits


def left(base: Path) -> list[str]:
    """The files below `base`, and the directories that no manager keeps."""
    files = base / "files"
    return [
        str(path.relative_to(base))
        for path in base.rglob("*")
        if path != files and not path.is_relative_to(files / ".tempkeep")
    ]


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_is_cancelled_at_any_point_leaves_no_file_and_no_warning(
    tmp_path: Path, work: Work, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    threads = threading.active_count()
    base = tmp_path / "base"
    base.mkdir()
    for point in range(run_stepped(work, base, (), times)):
        run_stepped(work, base, (point,), times)
    gc.collect()  # whose warnings are errors here
    # A machine that is busy makes a loop slow, of which it tells in its debug mode.
    assert [message for message in caplog.messages if " took " not in message] == []
    until(lambda: threading.active_count() == threads, "a thread ends")


@pytest.mark.parametrize("work", WORKS)
def test_a_task_that_is_cancelled_again_and_again_leaves_no_file(
    tmp_path: Path, work: Work
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    points = run_stepped(work, base, (), 1)
    run_stepped(work, base, tuple(range(points + 3)), 1)


def test_a_cancellation_is_raised_and_not_swallowed(tmp_path: Path) -> None:
    reached: list[str] = []

    async def work() -> None:
        async with temp_file_async(tmp_path / "file") as path:
            path.touch()
            reached.append("inside")
            await asyncio.sleep(60)
        reached.append("after")

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert reached == ["inside"]
    assert not (tmp_path / "file").exists()


def test_a_timeout_that_ends_in_the_deletion_is_a_timeout(tmp_path: Path) -> None:
    """It is seen as one only if the cancellations are neither lost nor counted twice."""

    async def main() -> None:
        async with asyncio.timeout(0):
            async with temp_file_async(tmp_path / "file") as path:
                path.touch()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert not (tmp_path / "file").exists()


def test_a_loop_that_ends_with_tasks_in_their_blocks_leaves_no_file(tmp_path: Path) -> None:
    """More tasks than the pool has threads, so that most deletions have to wait for their turn."""
    count = 8 * (os.cpu_count() or 1) + 40

    async def work(number: int) -> None:
        async with temp_file_async(tmp_path / f"file{number}") as path:
            path.touch()
            await asyncio.sleep(60)

    async def main() -> None:
        tasks = [asyncio.create_task(work(number)) for number in range(count)]
        await asyncio.sleep(0)
        assert len(list(tmp_path.glob("file*"))) == count
        assert not any(task.done() for task in tasks)

    asyncio.run(main())
    assert list(tmp_path.glob("file*")) == []


def test_a_loop_that_ends_in_an_async_generator_leaves_no_file(tmp_path: Path) -> None:
    async def lines() -> Any:
        async with temp_file_async(tmp_path / "file") as path:
            path.touch()
            yield "one"
            yield "two"

    async def main() -> None:
        async for _ in lines():
            break

    asyncio.run(main())
    assert not (tmp_path / "file").exists()


def test_without_cleanup_on_error_a_cancellation_has_the_file_stay(tmp_path: Path) -> None:
    async def work() -> None:
        async with temp_file_async(tmp_path / "file", cleanup_on_error=False) as path:
            path.touch()
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert (tmp_path / "file").exists()
