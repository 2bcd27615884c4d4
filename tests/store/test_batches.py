"""Small entries, which a sweep handles in batches: each is as safe as one handled alone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.policy import Policy
from common.temp.store.archive.leftovers import finish_root
from common.temp.store.claiming.many_removals import Remover
from common.temp.store.claiming.small_entries import Batch
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import write_pin
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.rechecks import Facts
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import at
from common.temp.store.system.locks import lock_directory
from tests.support import (
    EVERYTHING,
    age,
    in_holding,
    listing,
    make_entry,
    outcomes,
    process,
    scanned,
    swept,
)

COUNT = 12
"""Enough for a batch of several: the first are taken one by one, to free something at once."""

ODD = "debug/odd"
"""One that has no stamp, so that its age must be kept when it is put back."""

AGED = Policy(max_age=3600)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each batch of a sweep held when it was condemned."""
    sizes: list[int] = []
    real = Batch.condemn

    def condemn(batch: Batch) -> None:
        sizes.append(len(batch.claims))
        real(batch)

    monkeypatch.setattr(Batch, "condemn", condemn)
    return sizes


def fill(root: Path) -> Path:
    """So many small entries, and the directory of one of them."""
    for number in range(COUNT):
        make_entry(root, f"debug/even_16000000{number:02}", age_hours=9, files=number % 3)
    return make_entry(root, ODD, age_hours=9, files=3)


def before(
    monkeypatch: pytest.MonkeyPatch, call: str, name: str, then: Callable[[], object]
) -> None:
    """Let `then` happen in the instant before the first `call` of `at` for `name`."""
    real = getattr(at, call)

    def hooked(first: str, *arguments: Any, **options: Any) -> Any:
        if first == name:
            monkeypatch.setattr(at, call, real)
            then()
        return real(first, *arguments, **options)

    monkeypatch.setattr(at, call, hooked)


@pytest.mark.parametrize("policy", [EVERYTHING, AGED])
def test_small_entries_go_many_at_a_time(root: Path, taken: list[int], policy: Policy) -> None:
    fill(root)
    make_entry(root, "debug/deep_1600000000/inside")
    age(root / "debug/deep_1600000000", 9)
    make_entry(root, "work/closed_1600000000", age_hours=9).chmod(0o500)
    report = swept(root, policy)
    assert {one.status for one in report.outcomes} == {"done"}
    assert report.freed_bytes == sum(step.entry.size for step in report.plan.steps) > 0
    assert max(taken) >= 4
    assert scanned(root) == {}
    assert in_holding(root) == []


def _pin(root: Path) -> Iterator[None]:
    write_pin(root, ODD, "wanted")
    yield


def _lease(root: Path) -> Iterator[None]:
    code = f"""
from common.temp.store.root.owner import owner_of
owner_of({str(root)!r}).record({ODD!r})
print("it is mine", flush=True)
input()
"""
    with process(code, cwd=root.parent):
        yield


def _nothing(root: Path) -> Iterator[None]:
    (root / ODD).rename(root / "debug" / "away_1600000000")
    yield
    (root / "debug" / "away_1600000000").rename(root / ODD)


def _other(root: Path) -> Iterator[None]:
    (root / ODD).rename(root.parent / "original")
    make_entry(root, ODD, files=3)
    yield


@pytest.mark.parametrize("happens", [_pin, _lease, _nothing, _other])
@pytest.mark.parametrize("policy", [EVERYTHING, AGED])
def test_what_happens_to_one_at_the_last_instant_keeps_it_alone(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: list[int],
    policy: Policy,
    happens: Callable[[Path], Iterator[None]],
) -> None:
    path = fill(root)
    make_root(str(root))
    plan = prepare(root, policy, time.time())
    was = scanned(root)[ODD].last
    with contextlib.ExitStack() as stack:
        manager = contextlib.contextmanager(happens)(root)
        before(monkeypatch, "rename", path.name, lambda: stack.enter_context(manager))
        found = outcomes(execute(plan, workers=1))
    stays = {name for name, (status, _) in found.items() if status != "done"}
    assert stays == {ODD}, found
    assert listing(path) == ["file0.txt", "file1.txt", "file2.txt"]
    assert in_holding(root) == []
    assert max(taken) >= 3
    if happens in (_pin, _lease):
        assert scanned(root)[ODD].last == was


def test_one_whose_place_is_taken_when_it_goes_back_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(root)
    plan = prepare(root, EVERYTHING, time.time())

    def take_its_place() -> None:
        write_pin(root, ODD, "wanted")
        make_entry(root, ODD)

    before(monkeypatch, "stat", "0005~debug%2Fodd", take_its_place)
    status, detail = outcomes(execute(plan, workers=1))[ODD]
    assert status == "skipped"
    (other,) = set(path.parent.iterdir()) - {path}
    assert detail == f"has been pinned meanwhile; its place is taken, so it is {other.name} now"
    assert len(listing(other)) == 3


def test_one_in_which_a_process_works_since_the_last_look_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch, taken: list[int]
) -> None:
    path = fill(root)
    plan = prepare(root, EVERYTHING, time.time())
    real = Facts._look_at_processes

    def look_long_ago(facts: Facts) -> None:
        real(facts)
        facts._looked_at = float("-inf")

    monkeypatch.setattr(Facts, "_look_at_processes", look_long_ago)
    with contextlib.ExitStack() as stack:
        worker = process("print('ready', flush=True); input()", cwd=path)
        before(monkeypatch, "rename", path.name, lambda: stack.enter_context(worker))
        found = outcomes(execute(plan, workers=1))
    assert {name for name, (status, _) in found.items() if status != "done"} == {ODD}
    assert len(listing(path)) == 3
    assert max(taken) >= 3


def test_a_lock_on_one_keeps_it_alone(root: Path, taken: list[int]) -> None:
    path = fill(root)
    plan = prepare(root, EVERYTHING, time.time())
    descriptor = at.open(str(path), at.DIRECTORY_FLAGS)  # which counts by its lock alone
    try:
        assert lock_directory(root, descriptor)
        found = outcomes(execute(plan, workers=1))
    finally:
        os.close(descriptor)
    assert {name for name, (status, _) in found.items() if status != "done"} == {ODD}
    assert len(listing(path)) == 3
    assert max(taken) >= 3


def test_what_takes_the_place_of_a_file_that_was_seen_goes_and_leads_nowhere(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canary = make_entry(tmp_path, "canary")
    path = fill(root)
    plan = prepare(root, EVERYTHING, time.time())

    def swap() -> None:
        (held,) = root.glob(".tempkeep/holding/*/*~debug%2Fodd")
        for number in range(3):
            (held / f"file{number}.txt").unlink()
        (held / "file0.txt").symlink_to(canary)
        (held / "file1.txt").mkdir()
        (held / "file1.txt" / "new").write_text("")
        (held / "new").symlink_to(canary)

    before(monkeypatch, "rmdir", "0003~debug%2Feven_1600000010", swap)
    assert {status for status, _ in outcomes(execute(plan, workers=1)).values()} == {"done"}
    assert not path.exists()
    assert in_holding(root) == []
    assert listing(canary) == ["file0.txt"]


def test_a_sweep_that_is_killed_before_any_call_leaves_each_whole_or_to_be_deleted(
    root: Path,
) -> None:
    kept = make_entry(root, "work/kept_1600000000", files=2)
    make_root(str(root))
    write_pin(root, "work/kept_1600000000", "wanted")
    calls = ("mkdir", "rename", "unlink", "rmdir")
    is_killed, number, finished = True, 0, 0
    while is_killed:
        number += 1
        for one in range(5):
            if not (root / f"debug/x_160000000{one}").exists():
                make_entry(root, f"debug/x_160000000{one}", files=2)
        is_killed = bool(_killed_at(number, calls, root))
        assert all(len(listing(root / path)) == 2 for path in scanned(root)), number
        finished += finish_root(root, Remover(workers=1))[0]
        assert in_holding(root) == []
        assert all(len(listing(root / path)) == 2 for path in scanned(root)), number
        assert len(listing(kept)) == 2
    assert number > 5 * 4
    assert finished > 5
    assert set(scanned(root)) == {"work/kept_1600000000"}


def _killed_at(number: int, calls: tuple[str, ...], root: Path) -> int:
    """How a forked process ended that swept `root` and died before that one of these calls."""
    child = os.fork()
    if child == 0:
        left = number

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    os._exit(1)
                return real(*arguments, **options)

            return call

        try:
            for name in calls:
                setattr(at, name, counted(getattr(at, name)))
            swept(root, workers=1)
            os._exit(0)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
