"""The periodic cleanup: it starts once, survives any failure, and ends at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.temp.expiring import ExpiringFiles
from common.temp.store.system import at
from common.temp.tracking import FileCleanupManager, ThreadedFileCleanupManager
from tests.driven import Driven
from tests.store.children import DEADLINE, in_child, until
from tests.support import age, in_holding, make_entry, run

OFTEN = 0.01 / 60
"""Minutes, which are hundredths of a second."""


@pytest.fixture(params=[FileCleanupManager, ThreadedFileCleanupManager])
def kind(request: pytest.FixtureRequest) -> Any:
    """Either manager."""
    return request.param


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """All threads that a test has started have ended with it."""
    before = threading.active_count()
    yield
    until(lambda: threading.active_count() <= before, "the threads have ended")


@pytest.fixture
def files(tmp_path: Path, kind: Any) -> Iterator[Driven]:
    """A manager that cleans up often; stopped at the end."""
    manager = Driven(kind, tmp_path / "base", cleanup_interval_minutes=OFTEN)
    yield manager
    manager.stop_periodic_cleanup()


def is_running(files: Driven) -> bool:
    return bool(files.get_stats()["periodic_cleanup_running"])


def is_gone(path: Path) -> bool:
    return not path.exists()


def cleaning_threads() -> int:
    return sum(thread.name.startswith("clean ") for thread in threading.enumerate())


def test_an_old_file_goes_by_and_by_and_a_new_one_stays(files: Driven) -> None:
    old, new = files.file("old", hours=100), files.file("new")
    files.start_periodic_cleanup()
    until(lambda: not old.exists(), "the old file is gone")
    assert new.exists()


def test_it_goes_round_and_round(files: Driven) -> None:
    files.start_periodic_cleanup()
    for number in range(3):
        path = files.file(f"file{number}", hours=100)
        until(partial(is_gone, path), "the next round comes")


def test_nothing_goes_before_the_first_interval_is_over(tmp_path: Path, kind: Any) -> None:
    files = Driven(kind, tmp_path / "base")
    old = files.file("old", hours=100)
    files.start_periodic_cleanup()
    files.stop_periodic_cleanup()
    assert old.exists()


def test_the_stats_say_whether_it_runs(files: Driven) -> None:
    assert not is_running(files)
    files.start_periodic_cleanup()
    assert is_running(files)
    files.stop_periodic_cleanup()
    assert not is_running(files)


def test_started_twice_it_is_one_and_once_stopped_it_is_none(files: Driven) -> None:
    before = cleaning_threads()
    files.start_periodic_cleanup()
    files.start_periodic_cleanup()
    assert cleaning_threads() == before + 1
    files.stop_periodic_cleanup()
    until(lambda: cleaning_threads() == before, "its thread has ended")
    files.stop_periodic_cleanup()


def test_it_can_be_started_again(files: Driven) -> None:
    files.start_periodic_cleanup()
    files.stop_periodic_cleanup()
    old = files.file("old", hours=100)
    files.start_periodic_cleanup()
    until(lambda: not old.exists(), "the old file is gone")


def test_a_round_that_fails_is_logged_and_the_next_one_runs(
    files: Driven, caplog: pytest.LogCaptureFixture
) -> None:
    os.rename(files.base, files.base.with_name("aside"))
    files.base.write_text("in the way")
    files.start_periodic_cleanup()
    until(lambda: "is not a directory" in caplog.text, "a round has failed")
    files.base.unlink()
    os.rename(files.base.with_name("aside"), files.base)
    old = files.file("old", hours=100)
    until(lambda: not old.exists(), "the next round has run")


def test_a_round_that_fails_for_what_nobody_thought_of_is_logged_and_the_next_one_runs(
    files: Driven, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = [ZeroDivisionError("of all things")]
    real = ExpiringFiles._cleanup_old_files

    def failing_once(self: ExpiringFiles, *arguments: Any, **options: Any) -> Any:
        if pending:
            raise pending.pop()
        return real(self, *arguments, **options)

    monkeypatch.setattr(ExpiringFiles, "_cleanup_old_files", failing_once)
    old = files.file("old", hours=100)
    files.start_periodic_cleanup()
    until(lambda: not old.exists(), "the next round has run")
    assert "of all things" in caplog.text
    assert f"the clean-up of {files.base} failed" in caplog.text


def test_a_round_that_is_at_work_stops_where_it_is(
    files: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of a directory: what is left of it is the next run's."""
    make_entry(files.base, "sub", files=500)
    age(files.base / "sub", 100)
    files.track_file(files.base / "sub")
    midway, real, turns = threading.Event(), at.unlink, iter(range(10_000))

    def unlink(*arguments: Any, **options: Any) -> None:
        if next(turns) == 100:
            midway.set()
            until(lambda: not files.manager._is_running(), "somebody wants it to stop")
        real(*arguments, **options)

    monkeypatch.setattr(at, "unlink", unlink)
    files.start_periodic_cleanup()
    assert midway.wait(DEADLINE)
    files.stop_periodic_cleanup()
    (held,) = in_holding(files.base)
    assert 300 < len(os.listdir(files.base / ".tempkeep" / "holding" / held)) < 400
    files.recover()
    assert in_holding(files.base) == []


def test_it_ends_when_nobody_has_the_manager_any_more(tmp_path: Path, kind: Any) -> None:
    manager = kind(tmp_path / "base")
    manager.start_periodic_cleanup()
    gone = weakref.ref(manager)
    del manager

    def has_ended() -> bool:
        gc.collect()
        return gone() is None and not cleaning_threads()

    until(has_ended, "the thread has ended with its manager")


def test_a_program_that_never_stops_it_ends_all_the_same(tmp_path: Path, kind: Any) -> None:
    code = (
        f"from common.temp import {kind.__name__} as Manager\n"
        "manager = Manager('base')\nmanager.start_periodic_cleanup()\n"
    )
    done = run(["python", "-W", "error", "-c", code], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_does_not_run_it_and_can_start_its_own(tmp_path: Path, kind: Any) -> None:
    files = Driven(kind, tmp_path / "base", cleanup_interval_minutes=OFTEN)
    files.start_periodic_cleanup()

    def in_the_child() -> tuple[bool, bool]:
        before = files.manager._is_running()
        files.file("old", hours=100)
        files.start_periodic_cleanup()
        until(lambda: not (files.base / "old").exists(), "the child's own round has run")
        return before, files.manager._is_running()

    files.stop_periodic_cleanup()
    assert in_child(in_the_child) == (False, True)


# -- with a loop --------------------------------------------------------------------------------


def test_async_with_starts_it_and_stops_it(tmp_path: Path) -> None:
    async def main() -> list[bool]:
        manager = FileCleanupManager(tmp_path / "base")
        async with manager as given:
            assert given is manager
            inside = manager.get_stats()["periodic_cleanup_running"]
        return [inside, manager.get_stats()["periodic_cleanup_running"]]

    assert asyncio.run(main()) == [True, False]


def test_with_starts_it_and_stops_it(tmp_path: Path) -> None:
    manager = ThreadedFileCleanupManager(tmp_path / "base")
    with manager as given:
        assert given is manager
        assert manager.get_stats()["periodic_cleanup_running"]
    assert not manager.get_stats()["periodic_cleanup_running"]


def test_the_block_deletes_nothing_that_is_tracked_when_it_ends(tmp_path: Path) -> None:
    with ThreadedFileCleanupManager(tmp_path / "base") as manager:
        path = tmp_path / "base" / "file"
        manager.track_file(path)
        path.touch()
    assert path.exists()


def test_one_manager_serves_two_loops_one_after_the_other(tmp_path: Path) -> None:
    manager = FileCleanupManager(tmp_path / "base", cleanup_interval_minutes=OFTEN)

    async def main(name: str) -> None:
        async with manager:
            path = tmp_path / "base" / name
            manager.track_file(path)
            path.touch()
            age(path, 100)
            while path.exists():
                await asyncio.sleep(0.001)

    asyncio.run(main("one"))
    asyncio.run(main("two"))


def test_a_loop_that_closes_without_a_stop_warns_of_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> FileCleanupManager:
        manager = FileCleanupManager(tmp_path / "base", cleanup_interval_minutes=OFTEN)
        manager.start_periodic_cleanup()
        assert len(asyncio.all_tasks()) == 1
        return manager

    loop = asyncio.new_event_loop()
    manager = loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert caplog.messages == []
    asyncio.run(manager.stop_periodic_cleanup())


def test_two_tasks_can_stop_it_at_once_and_both_find_it_ended(tmp_path: Path) -> None:
    manager = FileCleanupManager(tmp_path / "base", cleanup_interval_minutes=OFTEN)

    async def stop() -> bool:
        await manager.stop_periodic_cleanup()
        assert manager._periodic is not None
        return manager._periodic.ended.done()

    async def main() -> bool:
        manager.start_periodic_cleanup()
        return all(await asyncio.gather(stop(), stop()))

    assert asyncio.run(main())


def test_a_pool_without_a_free_thread_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """Threads of the program's own, which wait for what comes after the stop."""
    manager = FileCleanupManager(tmp_path / "base", cleanup_interval_minutes=OFTEN)
    free = threading.Event()
    wait: Callable[[], bool] = free.wait

    async def main() -> None:
        manager.start_periodic_cleanup()
        busy = [asyncio.create_task(asyncio.to_thread(wait)) for _ in range(64)]
        await asyncio.sleep(0)
        await manager.stop_periodic_cleanup()
        free.set()
        await asyncio.gather(*busy)

    asyncio.run(main())
