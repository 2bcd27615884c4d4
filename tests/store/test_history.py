"""The history of a root: appended to concurrently, limited in size, and never in the way."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.plan import Outcome, Plan, Report, Step
from common.temp.core.policy import Policy
from common.temp.core.reasons import Reason
from common.temp.errors import Refused, StorageError
from common.temp.store.root import history
from common.temp.store.root.history import History, read_history, remember
from common.temp.store.root.making import make_root
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import locks
from tests.store.children import until
from tests.support import (
    DENIED,
    EVERYTHING,
    FULL,
    READ_ONLY,
    entry,
    fill,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    run,
    swept,
)

WHY = Reason("expired", "goes", "31 h > 24 h")


@pytest.fixture
def root(root: Path) -> Path:
    """A root with its store."""
    make_root(str(root))
    return root


def file_of(root: Path) -> Path:
    return root / ".tempkeep" / "history.jsonl"


def report(root: Path, *paths: str, reason: Reason = WHY) -> Report:
    done = tuple(Outcome(Step(entry(path=path), "delete", reason), "done") for path in paths)
    return Report(Plan(str(root), Policy(), 0.0, tuple(one.step for one in done)), done)


def note(root: Path, *paths: str, face: str = "temp-clean") -> str:
    return remember(report(root, *paths), face, time.time(), 0.1)


def noted(root: Path) -> list[str]:
    """The first entry of each sweep that is remembered, the newest first."""
    return [sweep.steps[0].path for sweep in read_history(root, 10**6).sweeps]


# -- a sweep --------------------------------------------------------------------------------------


def test_a_sweep_is_remembered_with_who_when_and_why(root: Path) -> None:
    make_entry(root, "debug/x_1696348800", age_hours=30)
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    done = execute(prepare(root, Policy(max_age=3600), time.time()), face="temp-clean")
    (sweep,) = read_history(root, 5).sweeps
    assert before <= sweep.at <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert (sweep.who.pid, sweep.who.face, sweep.who.host) == (
        os.getpid(),
        "temp-clean",
        os.uname().nodename,
    )
    assert sweep.who.user
    assert "python" in sweep.who.command
    assert (sweep.policy, sweep.gone, sweep.freed_bytes) == ("max age 60 min", 1, done.freed_bytes)
    (step,) = sweep.steps
    assert (step.path, step.status, step.freed_bytes) == (
        "debug/x_1696348800",
        "done",
        done.freed_bytes,
    )
    assert step.reason.startswith("expired: 30 h > 60 min")


def test_a_sweep_that_had_nothing_to_do_is_not(root: Path) -> None:
    make_entry(root, "debug/new")
    swept(root, Policy(max_age=3600))
    assert not file_of(root).exists()


def test_a_plan_that_is_only_drawn_is_not(root: Path) -> None:
    make_entry(root, "debug/x")
    assert prepare(root, EVERYTHING, time.time()).steps
    assert not file_of(root).exists()


def test_a_sweep_that_only_finished_what_a_killed_one_left_is(root: Path) -> None:
    make_entry(root, ".tempkeep/holding/0123456789abcdef", files=2)
    swept(root, Policy(max_age=3600))
    (sweep,) = read_history(root, 5).sweeps
    assert (sweep.gone, sweep.finished, sweep.steps) == (0, 1, ())
    assert sweep.freed_bytes > 0


def test_what_stayed_after_all_is_told_with_its_reason(root: Path) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    plan = prepare(root, Policy(max_age=3600), time.time())
    (path / "new").touch()
    execute(plan)
    (sweep,) = read_history(root, 5).sweeps
    assert (sweep.gone, sweep.skipped) == (0, 1)
    assert sweep.steps[0].detail.startswith("has changed meanwhile")


def test_a_root_without_a_store_gets_one_for_its_history(project: Path) -> None:
    root = project / ".tmp"
    path = make_entry(root, "debug/x", age_hours=9)
    plan = prepare(root, Policy(max_age=3600), time.time())
    (path / "new").touch()
    execute(plan)
    assert read_history(root, 5).recorded == 1


def test_an_interrupted_sweep_is_remembered_with_what_was_done_until_then(root: Path) -> None:
    for number in range(4):
        make_entry(root, f"debug/x{number}", age_hours=9 - number)

    def interrupt(outcome: Outcome) -> None:
        if outcome.step.entry.path == "debug/x1":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execute(prepare(root, EVERYTHING, time.time()), on_outcome=interrupt, workers=1)
    (sweep,) = read_history(root, 5).sweeps
    assert sweep.interrupted
    assert {"debug/x0", "debug/x1"} <= {step.path for step in sweep.steps}
    assert sweep.gone == len(sweep.steps)
    assert sweep.freed_bytes >= sum(step.freed_bytes for step in sweep.steps) > 0


def test_a_sweep_of_ten_thousand_entries_is_one_short_line(root: Path) -> None:
    assert note(root, *(f"debug/{'x' * 200}_{number}" for number in range(10_000))) == ""
    (sweep,) = read_history(root, 5).sweeps
    assert (sweep.gone, len(sweep.steps), sweep.left_out) == (10_000, 200, 9_800)
    assert file_of(root).stat().st_size < 100_000


def test_names_that_are_as_long_as_can_be_are_fewer(root: Path) -> None:
    name = os.fsdecode(b"\xff" * 255)
    assert note(root, *(f"{name}/{name}{number}" for number in range(200))) == ""
    (sweep,) = read_history(root, 5).sweeps
    assert 0 < len(sweep.steps) < 200
    assert len(sweep.steps) + sweep.left_out == 200
    assert file_of(root).stat().st_size < 100_000


def test_a_reason_that_is_as_long_as_a_book_is_cut(root: Path) -> None:
    long = report(root, "debug/x", reason=Reason("planned", "goes", "x" * 1_000_000))
    assert remember(long, "", time.time(), 0.1) == ""
    ((step,),) = (sweep.steps for sweep in read_history(root, 5).sweeps)
    assert step.reason.startswith("planned: xxx")
    assert file_of(root).stat().st_size < 10_000


# -- many at once -----------------------------------------------------------------------------


def _write(root: Path, writer: str, lines: int) -> None:
    def in_thread(name: str) -> None:
        for number in range(lines):
            assert note(root, f"{name}/{number}") == ""

    threads = [
        threading.Thread(target=in_thread, args=(f"{writer}.{number}",)) for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def _write_in_processes(root: Path, lines: int) -> None:
    children = [_forked(lambda name=str(n): _write(root, name, lines)) for n in range(4)]  # type: ignore[misc]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4


def test_no_line_of_many_processes_and_threads_is_lost_or_torn(root: Path) -> None:
    _write_in_processes(root, 25)
    found = read_history(root, 1000)
    assert (found.recorded, found.unreadable) == (200, 0)
    wanted = {
        f"{writer}.{thread}/{n}" for writer in range(4) for thread in (0, 1) for n in range(25)
    }
    assert set(noted(root)) == wanted


def test_while_the_file_is_shortened_only_older_lines_are_lost(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MOST_BYTES", 20_000)
    monkeypatch.setattr(history, "_TURN_SECONDS", 60)
    _write_in_processes(root, 25)
    found = read_history(root, 1000)
    assert 0 < found.recorded < 100
    assert found.unreadable == 0
    assert file_of(root).stat().st_size <= 20_000
    of_writer: dict[str, list[int]] = {}
    for path in reversed(noted(root)):
        writer, _, number = path.partition("/")
        of_writer.setdefault(writer, []).append(int(number))
    assert all(numbers == list(range(numbers[0], 25)) for numbers in of_writer.values())


def test_one_that_waits_for_its_turn_while_the_file_is_replaced_writes_to_the_new_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_TURN_SECONDS", 60)
    note(root, "debug/one")
    path = str(file_of(root))

    def opened() -> int:
        files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return sum(os.path.realpath(file) == path for file in files)

    with open(path) as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        writer = threading.Thread(target=note, args=(root, "debug/two"))
        writer.start()
        until(lambda: opened() == 2 or not writer.is_alive(), "the other waits")
        os.unlink(path)
        Path(path).touch()
    writer.join()
    assert noted(root) == ["debug/two"]


def test_the_file_never_gets_larger_than_a_mebibyte_and_keeps_the_newest(root: Path) -> None:
    paths = [f"debug/{'x' * 200}_{number}" for number in range(200)]
    for number in range(40):
        assert note(root, str(number), *paths) == ""
        assert file_of(root).stat().st_size <= 1 << 20
    kept = noted(root)
    assert kept == [str(number) for number in range(39, 39 - len(kept), -1)]
    assert 5 < len(kept) < 40
    assert os.listdir(file_of(root).parent).count("history.jsonl.new") == 0


def test_a_kill_at_any_instant_leaves_all_that_was_remembered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MOST_BYTES", 4_000)
    for attempt in range(25):
        reading, writing = os.pipe()

        def write(attempt: int = attempt, writing: int = writing) -> None:
            number = 0
            while True:
                assert note(root, f"{attempt}/{number}") == ""
                os.write(writing, b".")
                number += 1

        child = _forked(write)
        os.close(writing)
        written = len(os.read(reading, 1))
        time.sleep(attempt * 0.0007)  # another instant each time
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with open(reading, "rb") as pipe:
            written += len(pipe.read())
        newest = noted(root)[0]
        assert newest in (f"{attempt}/{written - 1}", f"{attempt}/{written}")


def test_a_line_that_a_kill_cut_short_is_passed_over_and_the_next_begins_anew(root: Path) -> None:
    note(root, "debug/one")
    whole = file_of(root).read_bytes()
    file_of(root).write_bytes(whole + whole[:40])
    assert noted(root) == ["debug/one"]
    assert read_history(root, 5).unreadable == 0
    note(root, "debug/two")
    assert noted(root) == ["debug/two", "debug/one"]
    assert read_history(root, 5).unreadable == 1


def test_a_line_that_was_cut_short_hides_no_other_where_the_file_is_shortened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        note(root, str(number))
    whole = file_of(root).read_bytes()
    file_of(root).write_bytes(whole + whole[:40])
    monkeypatch.setattr(history, "_MOST_BYTES", len(whole) + 100)
    note(root, "4")
    assert noted(root) == ["4", "3"]


def test_one_that_is_stopped_in_its_turn_stops_nobody(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_TURN_SECONDS", 0.05)
    note(root, "debug/one")
    with open(file_of(root)) as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert note(root, "debug/two") == ""
    assert noted(root) == ["debug/two", "debug/one"]


def test_a_child_that_is_forked_in_one_s_turn_takes_no_turn_with_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[int] = []
    real = os.write

    def fork_and_write(descriptor: int, data: bytes) -> int:
        children.append(_forked(signal.pause))
        return real(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fork_and_write)
        note(root, "debug/one")
    try:
        with open(file_of(root)) as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert len(children) == 1


@pytest.mark.parametrize("without", ["no locks at all", "locks that fail"])
def test_without_locks_it_is_written_and_shortened_all_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError

    if without == "no locks at all":
        monkeypatch.setattr(locks, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(history, "_MOST_BYTES", 4_000)
    for number in range(20):
        assert note(root, str(number)) == ""
    kept = noted(root)
    assert kept == [str(number) for number in range(19, 19 - len(kept), -1)]
    assert file_of(root).stat().st_size <= 4_000


# -- what stands in its way ---------------------------------------------------------------------


def _told(root: Path) -> tuple[dict[str, tuple[str, str]], list[tuple[str, bool]]]:
    done = swept(root)
    return outcomes(done), [(problem.what, problem.blocking) for problem in done.problems]


def test_on_a_disk_that_stays_full_the_sweep_is_done_and_a_line_says_so(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        root = disk / ".tmp"
        make_root(str(root))
        (root / "debug" / "x").mkdir(parents=True)
        fill(disk)
        assert _told(root) == (
            {"debug/x": ("done", "")},
            [(f"this sweep is not in the history: {FULL}", False)],
        )
        assert read_history(root, 5) == History()
        (disk / "filler").unlink()
        (root / "debug" / "y").mkdir()
        swept(root)
        assert noted(root) == ["debug/y"]


def test_a_disk_that_is_full_when_the_file_is_shortened_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        root = disk / ".tmp"
        make_root(str(root))
        monkeypatch.setattr(history, "_MOST_BYTES", 40_000)
        while not file_of(root).exists() or file_of(root).stat().st_size < 39_000:
            note(root, "debug/x")
        before = file_of(root).read_bytes()
        fill(disk)
        assert note(root, *(f"debug/x{number}" for number in range(200))) != ""
        assert file_of(root).read_bytes() == before
        assert not file_of(root).with_name("history.jsonl.new").exists()


def test_in_a_root_that_cannot_be_written_to_the_sweep_says_both(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        root = disk / ".tmp"
        make_root(str(root))
        make_entry(root, "debug/x")
        assert run(["mount", "-o", "remount,ro", str(disk)], cwd=tmp_path).returncode == 0
        ((status, _),), told = (list(part) for part in map(_items, _told(root)))
        assert status == "failed"
        assert told == [(f"this sweep is not in the history: {READ_ONLY}", False)]


def _items(part: Any) -> Any:
    return part.values() if isinstance(part, dict) else part


def test_without_permission_the_sweep_is_done_and_a_line_says_so(root: Path) -> None:
    make_entry(root, "debug/x")
    (root / ".tempkeep").chmod(0o555)
    with plain_user():
        assert _told(root) == (
            {"debug/x": ("done", "")},
            [(f"this sweep is not in the history: {DENIED}", False)],
        )


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _second_name(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _directory(path: Path, _: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("plant", [_link, _second_name, _fifo, _directory])
def test_what_was_planted_in_its_place_is_refused_and_left_alone(
    root: Path, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    plant(file_of(root), victim)
    make_entry(root, "debug/x")
    done, ((what, blocking),) = _told(root)
    assert done == {"debug/x": ("done", "")}
    assert "is not a file made by this program; remove it" in what
    assert not blocking
    assert victim.read_text() == "mine\n"
    with pytest.raises(Refused, match="remove it"):
        read_history(root, 5)


def test_a_link_that_leads_nowhere_makes_no_file_there(root: Path, tmp_path: Path) -> None:
    file_of(root).symlink_to(tmp_path / "nowhere")
    assert "remove it" in note(root, "debug/x")
    assert not (tmp_path / "nowhere").exists()


def test_what_was_planted_where_it_is_shortened_is_replaced_and_what_it_leads_to_left_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    file_of(root).with_name("history.jsonl.new").symlink_to(victim)
    monkeypatch.setattr(history, "_MOST_BYTES", 4_000)
    for number in range(20):
        assert note(root, str(number)) == ""
    assert victim.read_text() == "mine\n"
    assert noted(root)[0] == "19"


def test_a_store_behind_a_symlink_is_not_written_to(root: Path, tmp_path: Path) -> None:
    (root / ".tempkeep").rename(tmp_path / "elsewhere")
    (root / ".tempkeep").symlink_to(tmp_path / "elsewhere")
    assert "remove it" in note(root, "debug/x")
    assert not (tmp_path / "elsewhere" / "history.jsonl").exists()


def test_a_root_that_vanishes_meanwhile_is_not_made_again(root: Path) -> None:
    import shutil

    shutil.rmtree(root)
    assert "No such file or directory" in note(root, "debug/x")
    assert not root.exists()


# -- reading ----------------------------------------------------------------------------------


def test_a_root_without_a_history_has_an_empty_one(root: Path, tmp_path: Path) -> None:
    assert read_history(root, 5) == History()
    assert read_history(tmp_path / "nowhere", 5) == History()


def test_reading_writes_nothing(root: Path) -> None:
    note(root, "debug/x")
    before = file_of(root).stat()
    file_of(root).chmod(0o444)
    read_history(root, 5)
    assert file_of(root).stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(os.listdir(root / ".tempkeep")) == ["history.jsonl", "holding", "owners"]


def test_the_newest_are_read_and_all_are_counted(root: Path) -> None:
    for number in range(5):
        note(root, str(number))
    found = read_history(root, 2)
    assert ([sweep.steps[0].path for sweep in found.sweeps], found.recorded) == (["4", "3"], 5)
    assert read_history(root, 0).sweeps == ()


@pytest.mark.parametrize(
    "line",
    [
        b"nothing of the kind",
        b"\xff\xfe",
        b"[" * 100_000,
        b"{}",
        b'{"schema": 1}',
        b'{"seconds": NaN}',
    ],
)
def test_a_line_that_tells_of_no_sweep_is_counted_and_hides_no_other(
    root: Path, line: bytes
) -> None:
    note(root, "debug/one")
    with open(file_of(root), "ab") as file:
        file.write(line + b"\n")
    note(root, "debug/two")
    found = read_history(root, 5)
    assert (len(found.sweeps), found.unreadable) == (2, 1)


def test_a_line_of_a_later_version_is_counted(root: Path) -> None:
    note(root, "debug/one")
    said = json.loads(file_of(root).read_text())
    file_of(root).write_text(json.dumps({**said, "schema": 2}) + "\n")
    assert read_history(root, 5) == History((), 1, 1)


def test_of_a_file_that_somebody_made_huge_the_end_is_read(root: Path) -> None:
    note(root, "debug/one")
    line = file_of(root).read_bytes()
    with open(file_of(root), "wb") as file:
        file.truncate(1 << 36)  # which takes no space
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line)
    assert noted(root) == ["debug/one"]
    assert note(root, "debug/two") == ""
    assert noted(root) == ["debug/two", "debug/one"]
    assert file_of(root).stat().st_size <= 1 << 20


def test_a_history_that_may_not_be_read_is_an_error(root: Path) -> None:
    note(root, "debug/one")
    file_of(root).chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot read .*history\.jsonl: Perm"):
        read_history(root, 5)


def test_the_file_is_a_plain_one_that_others_may_read_at_most(root: Path) -> None:
    note(root, "debug/one")
    mode = file_of(root).stat().st_mode
    assert stat.S_ISREG(mode)
    assert not mode & 0o133


def test_a_process_without_a_name_is_told_by_its_number(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    def nobody(_: int) -> Any:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    note(root, "debug/one")
    assert read_history(root, 1).sweeps[0].who.user == str(os.geteuid())


def test_readers_see_a_whole_history_while_it_is_written_and_shortened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_MOST_BYTES", 8_000)
    note(root, "0")
    done = threading.Event()

    def write() -> None:
        number = 1
        while not done.is_set():
            note(root, str(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [0]

        def read() -> bool:
            numbers = [int(path) for path in reversed(noted(root))]
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            assert numbers[-1] >= seen[-1]
            seen.append(numbers[-1])
            return numbers[-1] > 60

        until(read, "sixty lines")
    finally:
        done.set()
        writer.join()
