"""One sweep: what is checked again before each step, and what is reported afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.contexts import get_debug_temp_dir
from common.temp.core.disposal import Disposal
from common.temp.core.layouts import FILES
from common.temp.core.plan import Outcome, Plan, Scope
from common.temp.core.policy import Policy
from common.temp.errors import InvalidSettings
from common.temp.manager import TempManager
from common.temp.store.archive.deposit import LocalDeposit
from common.temp.store.archive.local import LocalArchive
from common.temp.store.claiming.claim import NotClaimed
from common.temp.store.root.making import make_root
from common.temp.store.root.owner import owner_of
from common.temp.store.root.pinning import read_pin, write_pin
from common.temp.store.sweep import discard
from common.temp.store.sweep.abandoned import clean_abandoned
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import at
from common.temp.store.system.locks import lock_directory
from tests.support import (
    DENIED,
    EVERYTHING,
    IMMUTABLE,
    age,
    listing,
    make_entry,
    make_project,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    stored,
    swept,
    working_in,
)

AGED = Policy(max_age=3600)
DISPOSALS: tuple[Disposal, ...] = ("delete", "trash", "archive")


@pytest.fixture(autouse=True)
def no_trash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trash is a directory of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def drawn(root: Path, policy: Policy = EVERYTHING, **options: Any) -> Plan:
    return prepare(root, policy, time.time(), **options)


def carried_out(plan: Plan, tmp_path: Path) -> dict[str, tuple[str, str]]:
    return outcomes(execute(plan, archive=LocalArchive(tmp_path / "archive")))


# -- looked at again ------------------------------------------------------------------------------


@pytest.mark.parametrize("disposal", DISPOSALS)
@pytest.mark.parametrize("policy", [EVERYTHING, AGED])
def test_an_entry_that_nothing_happened_to_goes(
    root: Path, tmp_path: Path, policy: Policy, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    ((status, _),) = carried_out(drawn(root, policy, disposal=disposal), tmp_path).values()
    assert status == "done"
    assert not path.exists()


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_an_entry_that_was_pinned_meanwhile_stays(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    plan = drawn(root, disposal=disposal)
    write_pin(root, "debug/x", "why")
    assert carried_out(plan, tmp_path) == {"debug/x": ("skipped", "has been pinned meanwhile")}
    assert path.is_dir()


def test_an_entry_that_was_pinned_at_the_last_instant_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=2)
    plan = drawn(root)
    real = os.rename

    def rename(source: str, target: str, **options: int) -> None:
        if source == "x":
            monkeypatch.setattr(at, "rename", real)
            write_pin(root, "debug/x", "why")
        real(source, target, **options)

    monkeypatch.setattr(at, "rename", rename)
    assert outcomes(execute(plan, workers=1)) == {
        "debug/x": ("skipped", "has been pinned meanwhile")
    }
    assert len(listing(path)) == 2
    assert read_pin(root, "debug/x") == "why"


def test_a_file_that_another_process_took_up_at_the_last_instant_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "uploads"
    root.mkdir()
    make_root(str(root), FILES)
    (root / "old.wav").write_text("sound")
    plan = drawn(root, layout=FILES)
    script = f"""
import sys
from common.temp.core.layouts import FILES
from common.temp.store.root.allocation import adopt
adopt({str(root)!r}, "old.wav", FILES)
print("it is mine", flush=True)
sys.stdin.readline()
"""
    with contextlib.ExitStack() as stack:
        real = os.rename

        def rename(source: str, target: str, **options: int) -> None:
            if source == "old.wav":
                monkeypatch.setattr(at, "rename", real)
                stack.enter_context(process(script, cwd=tmp_path))
            real(source, target, **options)

        monkeypatch.setattr(at, "rename", rename)
        ((path, (status, detail)),) = outcomes(execute(plan, workers=1)).items()
    assert (path, status) == ("old.wav", "skipped")
    assert detail.startswith("in use: pid ")
    assert (root / "old.wav").read_text() == "sound"


def test_an_entry_whose_pins_cannot_be_read_any_more_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=2)
    make_root(str(root))
    plan = drawn(root)
    real = os.rename

    def rename(source: str, target: str, **options: int) -> None:
        if source == "x":
            monkeypatch.setattr(at, "rename", real)
            (root / ".tempkeep" / "pins").write_text("")
        real(source, target, **options)

    monkeypatch.setattr(at, "rename", rename)
    report = execute(plan, workers=1)
    ((status, detail),) = outcomes(report).values()
    assert (status, "Not a directory" in detail) == ("failed", True)
    said = [(p.path, "pins: Not a dir" in p.what) for p in report.problems]
    assert said == [(".tempkeep", True), (".tempkeep/history.jsonl", False)]
    assert len(listing(path)) == 2


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_an_entry_that_a_process_took_meanwhile_stays(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    make_root(str(root))
    plan = drawn(root, disposal=disposal)
    code = (
        "from pathlib import Path\n"
        "from common.temp.store.root.owner import owner_of\n"
        "owner_of(str(Path('.tmp').absolute())).record('debug/x'); print('held', flush=True)\n"
        "input()"
    )
    with process(code, cwd=root.parent) as holder:
        ((status, detail),) = carried_out(plan, tmp_path).values()
    assert status == "skipped"
    assert detail.startswith(f"in use: pid {holder.pid} (python")
    assert path.is_dir()


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_an_entry_that_was_locked_meanwhile_stays(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    plan = drawn(root, disposal=disposal)
    descriptor = at.open(str(path), at.DIRECTORY_FLAGS)  # which counts by its lock alone
    assert lock_directory(root, descriptor)
    try:
        assert carried_out(plan, tmp_path) == {
            "debug/x": ("skipped", "in use: a process holds a lock (flock) on it")
        }
        assert path.is_dir()
        spares_nothing = Policy(everything=True, spare_in_use=False)
        again = drawn(root, spares_nothing, disposal=disposal)
        assert [status for status, _ in carried_out(again, tmp_path).values()] == ["done"]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_an_entry_in_which_a_process_works_by_now_stays(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    plan = drawn(root, disposal=disposal)
    with process("print('ready', flush=True); input()", cwd=path) as worker:
        ((status, detail),) = carried_out(plan, tmp_path).values()
    assert status == "skipped"
    assert detail.startswith(f"in use: pid {worker.pid} (python")
    assert detail.endswith("works in it")
    assert path.is_dir()


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_an_entry_that_changed_meanwhile_stays_where_its_age_counts(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    (path / "deep").mkdir()
    age(path, 9)
    plan = drawn(root, AGED, disposal=disposal)
    (path / "deep" / "fresh").write_text("")
    ((status, detail),) = carried_out(plan, tmp_path).values()
    assert (status, detail.startswith("has changed meanwhile, in deep")) == ("skipped", True)
    assert (path / "deep" / "fresh").exists()


def test_an_entry_whose_own_directory_changed_says_so_without_a_place(root: Path) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    plan = drawn(root, AGED)
    os.utime(path)
    assert outcomes(execute(plan)) == {"debug/x": ("skipped", "has changed meanwhile")}


@pytest.mark.parametrize("disposal", DISPOSALS)
@pytest.mark.parametrize("by", ["directory", "link", "file", "nothing"])
def test_an_entry_that_was_replaced_meanwhile_stays(
    root: Path, tmp_path: Path, by: str, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    canary = make_entry(tmp_path, "canary", files=4)
    plan = drawn(root, disposal=disposal)
    path.rename(tmp_path / "original")
    if by == "directory":
        make_entry(root, "debug/x", files=3)
    elif by == "link":
        path.symlink_to(canary)
    elif by == "file":
        path.write_text("")
    expected = "is gone already" if by == "nothing" else "is no longer the one that was looked at"
    assert carried_out(plan, tmp_path) == {"debug/x": ("skipped", expected)}
    assert os.path.lexists(path) is (by != "nothing")
    assert len(listing(canary)) == 4


def test_where_age_counts_a_vanished_entry_is_gone_and_the_sweep_goes_on(root: Path) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    make_entry(root, "debug/y", age_hours=9)
    plan = drawn(root, AGED)
    shutil.rmtree(path)
    assert outcomes(execute(plan)) == {
        "debug/x": ("skipped", "is gone already"),
        "debug/y": ("done", ""),
    }


def test_an_entry_that_cannot_be_looked_at_any_more_fails_and_the_sweep_goes_on(
    root: Path,
) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    make_entry(root, "debug/y", age_hours=9)
    (path / "sub").mkdir()
    age(path, 9)
    plan = drawn(root, AGED)
    (path / "sub").chmod(0)
    with plain_user():
        report = execute(plan)
    assert outcomes(report) == {
        "debug/x": ("failed", DENIED.replace(";", " in sub;")),
        "debug/y": ("done", ""),
    }
    assert report.failed


def test_a_root_that_is_gone_by_now_leaves_nothing_to_do(root: Path) -> None:
    make_entry(root, "debug/x")
    plan = drawn(root)
    shutil.rmtree(root)
    assert outcomes(execute(plan)) == {"debug/x": ("skipped", "is gone already")}
    assert not root.exists()


def test_a_root_that_vanishes_during_the_sweep_ends_it_without_a_fuss(root: Path) -> None:
    for name in "xyz":
        make_entry(root, f"debug/{name}", age_hours=9)

    def vanish(outcome: Outcome) -> None:
        shutil.rmtree(root, ignore_errors=True)

    report = execute(drawn(root, AGED), on_outcome=vanish, workers=1)
    assert [outcome.status for outcome in report.outcomes] == ["done", "skipped", "skipped"]


def test_owner_files_that_cannot_be_read_fail_the_entries_and_lose_no_outcome(
    root: Path,
) -> None:
    make_entry(root, "debug/x")
    make_root(str(root))
    plan = drawn(root)
    (root / ".tempkeep" / "owners").chmod(0)
    with plain_user():
        ((status, detail),) = outcomes(execute(plan)).values()
    assert (status, "owners: Permission denied" in detail) == ("failed", True)
    assert (root / "debug" / "x").is_dir()


# -- archiving ------------------------------------------------------------------------------------


@pytest.fixture
def during_copy(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens once an entry has been copied to an archive on another filesystem."""
    happenings: list[Callable[[], None]] = []
    real = LocalDeposit.pack

    def pack(deposit: LocalDeposit) -> None:
        real(deposit)
        for happening in happenings:
            happening()

    monkeypatch.setattr(LocalDeposit, "pack", pack)
    return happenings


@pytest.mark.parametrize("policy", [EVERYTHING, AGED])
def test_an_entry_that_changed_while_it_was_copied_stays_and_the_copy_goes(
    root: Path, tmp_path: Path, policy: Policy, during_copy: list[Callable[[], None]]
) -> None:
    path = make_entry(root, "debug/x", age_hours=9)
    during_copy.append(lambda: (path / "fresh").touch())
    with mounted(tmp_path / "m", "size=1m") as archive:
        plan = drawn(root, policy, disposal="archive")
        ((status, detail),) = outcomes(execute(plan, archive=LocalArchive(archive))).values()
        assert status == "skipped"
        assert detail.startswith("has changed")
        assert stored(archive) == []
    assert listing(path) == ["file0.txt", "fresh"]


def test_an_entry_that_was_pinned_while_it_was_copied_stays_and_the_copy_goes(
    root: Path, tmp_path: Path, during_copy: list[Callable[[], None]]
) -> None:
    path = make_entry(root, "debug/x")
    during_copy.append(lambda: write_pin(root, "debug/x", "why"))
    with mounted(tmp_path / "m", "size=1m") as archive:
        plan = drawn(root, disposal="archive")
        assert outcomes(execute(plan, archive=LocalArchive(archive))) == {
            "debug/x": ("skipped", "has been pinned meanwhile")
        }
        assert stored(archive) == []
    assert path.is_dir()


def test_what_cannot_be_deleted_after_it_was_copied_is_a_failure_that_names_the_copy(
    root: Path, tmp_path: Path
) -> None:
    path = make_entry(root, "debug/x", files=2)
    if run(["chattr", "+i", str(path / "file1.txt")], cwd=root).returncode:
        pytest.skip("cannot make a file immutable here")
    try:
        with mounted(tmp_path / "m", "size=1m") as archive:
            plan = drawn(root, disposal="archive")
            assert outcomes(execute(plan, archive=LocalArchive(archive))) == {
                "debug/x": (
                    "failed",
                    f"archived as {archive / 'debug__x'}, but file1.txt: {IMMUTABLE}",
                )
            }
            assert len(listing(archive / "debug__x")) == 2
    finally:
        run(["chattr", "-i", str(path / "file1.txt")], cwd=root)


@pytest.mark.parametrize("taken", [True, False])
def test_what_replaced_an_entry_as_it_was_moved_to_the_archive_goes_back_or_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    path = make_entry(root, "debug/x")
    real = LocalDeposit.move

    def move(deposit: LocalDeposit) -> bool:
        path.rename(tmp_path / "original")
        make_entry(root, "debug/x", files=3)
        moved = real(deposit)
        if taken:
            path.mkdir()
        return moved

    monkeypatch.setattr(LocalDeposit, "move", move)
    archived = tmp_path / "archive" / "debug__x"
    expected = "was replaced at this moment" + (
        f", and what replaced it is {archived}" if taken else ""
    )
    assert carried_out(drawn(root, disposal="archive"), tmp_path) == {
        "debug/x": ("skipped", expected)
    }
    assert len(listing(archived if taken else path)) == 3


# -- the report -----------------------------------------------------------------------------------


def test_each_outcome_is_told_as_it_happens(root: Path) -> None:
    for name in "xy":
        make_entry(root, f"debug/{name}")
    told: list[Outcome] = []
    report = execute(drawn(root), on_outcome=told.append)
    # Those that are deleted side by side are told in the order in which they end.
    assert sorted(told, key=report.outcomes.index) == list(report.outcomes)
    assert len(told) == 2
    assert report.freed_bytes == sum(outcome.freed_bytes for outcome in told) > 0


def test_a_scope_leaves_the_rest_alone(root: Path) -> None:
    make_entry(root, "debug/x")
    other = make_entry(root, "cache/x")
    plan = drawn(root, scope=Scope(category="debug"))
    assert outcomes(execute(plan)) == {"debug/x": ("done", "")}
    assert other.is_dir()


def test_a_policy_of_one_category_decides_there_alone(root: Path) -> None:
    make_entry(root, "debug/x", age_hours=9)
    other = make_entry(root, "cache/x", age_hours=9)
    policy = Policy(max_age=3600, categories=(("cache", Policy(max_age=99 * 3600)),))
    assert outcomes(swept(root, policy)) == {"debug/x": ("done", "")}
    assert other.is_dir()


def test_the_pin_of_an_entry_that_was_removed_a_day_ago_is_forgotten(root: Path) -> None:
    path = make_entry(root, "debug/x")
    make_entry(root, "debug/y")
    write_pin(root, "debug/x", "why")
    shutil.rmtree(path)
    for pin in (root / ".tempkeep" / "pins").iterdir():
        age(pin, 25)
    swept(root)
    assert read_pin(root, "debug/x") is None


def test_a_removed_entry_is_no_more_its_makers(root: Path) -> None:
    path = get_debug_temp_dir("x")
    relative = path.relative_to(root).as_posix()
    assert relative in owner_of(str(root)).live
    swept(root)
    assert relative not in owner_of(str(root)).live


# -- for the faces --------------------------------------------------------------------------------


def test_what_cannot_be_discarded_is_a_warning_and_the_block_ends_well(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working_in(root) as path:
        (path / "file").write_text("")
        if run(["chattr", "+i", str(path / "file")], cwd=root).returncode:
            pytest.skip("cannot make a file immutable here")
    try:
        assert f"cannot remove {path}: file: Operation not permitted" in caplog.text
        assert (path / "file").exists()
    finally:
        run(["chattr", "-i", str(path / "file")], cwd=root)
    assert len(swept(root).done) == 1


def test_a_locked_working_directory_stays_with_a_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working_in(root) as path:
        descriptor = os.open(path, os.O_RDONLY)
        assert lock_directory(root, descriptor)
    os.close(descriptor)
    assert f"cannot remove {path}: in use: a process holds a lock (flock)" in caplog.text
    assert path.is_dir()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), NotClaimed("is gone already")])
def test_a_working_directory_whose_removal_fails_otherwise_is_a_warning_or_nothing(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def claimed(*arguments: object) -> None:
        shutil.rmtree(path)
        raise error

    monkeypatch.setattr(discard, "claimed", claimed)
    with working_in(root) as path:
        pass
    assert ("Input/output error" in caplog.text) is isinstance(error, OSError)


def test_a_working_directory_that_is_gone_at_its_end_is_no_warning(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with working_in(root) as path:
        shutil.rmtree(path)
    assert caplog.text == ""
    assert owner_of(str(root)).live == {}


def test_a_users_root_that_is_refused_is_a_warning(
    own_system_temp: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own_system_temp / f"tempkeep-{os.geteuid()}").mkdir(mode=0o755)
    assert clean_abandoned(time.time()) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "is not this user's private directory (mode 700)" in caplog.text


def test_what_killed_processes_left_among_auto_cleanup_entries_goes_and_the_rest_stays(
    project: Path, own_system_temp: Path
) -> None:
    code = (
        "import os\n"
        "from common.temp import TempManager\n"
        "with TempManager.auto_cleanup_dir() as path:\n"
        "    print(path, flush=True); input(); os.kill(os.getpid(), 9)\n"
    )
    with process(code, cwd=project) as dead, process(code, cwd=project) as alive:
        dead.communicate("\n")
        report = clean_abandoned(time.time())
        assert report is not None
        assert len(report.done) == 1
        assert not Path(dead.first_line).exists()
        assert Path(alive.first_line).is_dir()


@pytest.mark.parametrize(("hours", "gone"), [(None, 2), (5.0, 1), (20, 0)])
def test_a_project_is_cleaned_by_age_or_wholly(
    project: Path, hours: float | None, gone: int
) -> None:
    make_entry(project / ".tmp", "debug/old", age_hours=9)
    make_entry(project / ".tmp", "debug/new")
    assert TempManager.clean_persistent_temps(hours) == gone
    assert len(scanned(project / ".tmp")) == 2 - gone


@pytest.mark.parametrize("hours", [float("nan"), -1, "soon"])
def test_a_project_is_not_cleaned_by_an_age_that_is_none(project: Path, hours: Any) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    with pytest.raises(InvalidSettings, match="max_age_hours"):
        TempManager.clean_persistent_temps(hours)
    assert path.is_dir()


def test_an_interrupted_sweep_leaves_at_most_one_entry_to_be_finished(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        make_entry(root, f"debug/{name}", files=3)
    real = os.unlink
    calls: list[str] = []

    def unlink(name: str, *, dir_fd: int | None = None) -> None:
        calls.append(name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(at, "unlink", unlink)
    with contextlib.suppress(KeyboardInterrupt):
        swept(root, workers=1)
    monkeypatch.setattr(at, "unlink", real)
    assert len(scanned(root)) == 1
    report = swept(root, workers=1)
    assert (report.finished, len(report.done)) == (1, 1)


def test_what_came_with_the_image_of_a_container_stays_and_the_reason_tells_what_helps(
    tmp_path: Path,
) -> None:
    make_entry(make_project(tmp_path / "low" / "project") / ".tmp", "debug/x")
    merged = tmp_path / "merged"
    merged.mkdir()
    with mounted(tmp_path / "top", "size=1m") as top:
        (top / "up").mkdir()
        (top / "work").mkdir()
        layers = f"lowerdir={tmp_path / 'low'},upperdir={top / 'up'},workdir={top / 'work'}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)]
        if run(mount, cwd=tmp_path).returncode:
            pytest.skip("cannot mount an overlay")
        try:
            root = merged / "project" / ".tmp"
            ((status, why),) = carried_out(drawn(root), tmp_path).values()
            assert (status, listing(root / "debug" / "x")) == ("failed", ["file0.txt"])
            assert "a lower layer of an overlay (the image of a container) has it; remove" in why
            (why,) = (one.detail for one in swept(root, disposal="undo").outcomes)
            assert "file0.txt is in another layer of an overlay" in why
        finally:
            run(["umount", str(merged)], cwd=tmp_path)


@pytest.mark.parametrize("disposal", ["trash", "archive"])
def test_a_closed_entry_of_a_plain_user_is_neither_trashed_nor_archived(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    path = make_entry(root, "debug/x")
    path.chmod(0)
    with plain_user():
        assert carried_out(drawn(root, disposal=disposal), tmp_path) == {
            "debug/x": ("failed", DENIED)
        }
    assert path.is_dir()
