"""Transfers into an archive or back: any that was interrupted ends whole in one place."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.archive import transfer
from common.temp.store.archive.deposit import LocalDeposit
from common.temp.store.archive.local import LocalArchive, Receipt
from common.temp.store.archive.transfer import Intent, begin, cancel, end
from common.temp.store.claiming.area import HoldingArea
from common.temp.store.claiming.claim import NotClaimed
from common.temp.store.root.making import make_root
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.undo import undo_area
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import at
from tests.support import (
    EVERYTHING,
    ext4,
    fill,
    identity,
    in_holding,
    listing,
    make_entry,
    mounted,
    outcomes,
    stored,
    swept,
)

NOTHING: dict[str, Any] = {"policy": EVERYTHING._replace(everything=False)}


@pytest.fixture
def archive(root: Path, tmp_path: Path) -> Path:
    """An archive with `debug__x`, which was `debug/x` of the root."""
    make_entry(root, "debug/x", files=2)
    swept(root, disposal="archive", archive=tmp_path / "archive", archive_format="tar.gz")
    return tmp_path / "archive"


def into(root: Path, archive: Path, identifier: str) -> Path:
    """The entry `debug/x`, left by a killed process on its way into the archive; where it lies."""
    path = make_entry(root, "debug/x", files=2)
    area = HoldingArea(root, batch=True)
    inode = (archive / "debug__x.tar.gz").stat().st_ino if archive.is_dir() else 0
    receipt = Receipt("debug__x", identifier, inode).spell()
    intent = Intent("to archive", "debug/x", str(archive), receipt)
    assert begin(area, intent)
    claim = area.claim("debug/x", identity(path))
    claim.close()
    area.close()
    return Path(area.place)


def out_of(root: Path, archive: Path, identifier: str, *, left: bool) -> Path:
    """What a killed process leaves that restored `debug__x`; without what had `left` already."""
    area = HoldingArea(root, batch=True)
    assert area.open() is not None
    make_entry(Path(area.place), "entry", files=2)
    receipt = Receipt("debug__x", identifier).spell()
    intent = Intent("from archive", "debug/x", str(archive), receipt)
    assert begin(area, intent)
    if left:
        (Path(area.place) / "entry").rename(root / "debug" / "x")
    area.close()
    return Path(area.place)


def begun(archive: Path, name: str) -> Intent:
    """That `debug/<name>` is on its way to the archive."""
    receipt = Receipt(f"debug__{name}", "0").spell()
    return Intent("to archive", f"debug/{name}", str(archive), receipt)


def id_of(archive: Path, root: Path) -> str:
    (found,) = list_shelf(archive, root)
    return found.id


# -- into the archive -----------------------------------------------------------------------------


def test_what_has_arrived_in_the_archive_is_deleted_by_the_next_sweep(
    root: Path, archive: Path
) -> None:
    place = into(root, archive, id_of(archive, root))
    report = swept(root, archive=archive, **NOTHING)
    assert (report.finished, report.freed_bytes > 0, report.problems) == (1, True, ())
    assert not place.exists()
    assert not (root / "debug" / "x").exists()
    assert stored(archive) == ["debug__x.tar.gz"]


@pytest.mark.parametrize("what", ["another", "no data", "other data", "no manifest", "no archive"])
def test_what_has_not_arrived_is_put_back_by_the_next_sweep(
    root: Path, archive: Path, what: str
) -> None:
    identifier = id_of(archive, root)
    into(root, archive, "0123456789abcdef" if what == "another" else identifier)
    if what in ("no data", "other data"):
        (archive / "debug__x.tar.gz").rename(archive / "aside")
    if what == "other data":
        (archive / "debug__x.tar.gz").write_text("somebody else's file of this name")
    elif what == "no manifest":
        (archive / "debug__x.tempkeep.json").unlink()
    elif what == "no archive":
        archive.rename(archive.with_name("elsewhere"))
    report = swept(root, archive=archive, **NOTHING)
    assert (report.finished, report.problems) == (1, ())
    assert listing(root / "debug" / "x") == ["file0.txt", "file1.txt"]
    assert in_holding(root) == []


def test_what_a_running_process_is_at_is_left_to_it(root: Path, archive: Path) -> None:
    place = into(root, archive, "0123456789abcdef")
    lock = os.open(place, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert swept(root, archive=archive, **NOTHING).finished == 0
    assert not (root / "debug" / "x").exists()
    os.close(lock)
    assert swept(root, archive=archive, **NOTHING).finished == 1
    assert listing(root / "debug" / "x") == ["file0.txt", "file1.txt"]


def test_what_cannot_be_put_back_to_its_place_gets_another(root: Path, archive: Path) -> None:
    into(root, archive, "0123456789abcdef")
    make_entry(root, "debug/x", files=1)
    swept(root, archive=archive, **NOTHING)
    assert listing(root / "debug" / "x") == ["file0.txt"]
    (other,) = (path for path in (root / "debug").iterdir() if path.name != "x")
    assert listing(other) == ["file0.txt", "file1.txt"]
    assert in_holding(root) == []


def test_as_long_as_nobody_can_tell_whether_it_has_arrived_it_stays_and_that_is_a_problem(
    root: Path, archive: Path
) -> None:
    place = into(root, archive, id_of(archive, root))
    manifest = archive / "debug__x.tempkeep.json"
    text = manifest.read_text()
    manifest.write_text("{")
    report = swept(root, archive=archive, **NOTHING)
    (problem,) = report.problems
    assert (problem.path, report.failed) == (str(place), True)
    assert problem.what == (
        f"cannot be deleted: cannot tell whether it is in the archive: {archive / 'debug__x'}: "
        "its manifest is damaged"
    )
    assert len(listing(place)) == 4
    manifest.write_text(text)
    assert (swept(root, archive=archive, **NOTHING).finished, in_holding(root)) == (1, [])


@pytest.mark.parametrize("text", [None, "", "[]", '{"way": "to archive"}'])
def test_where_nothing_says_where_it_belongs_it_stays_and_that_is_a_problem(
    root: Path, archive: Path, text: str | None
) -> None:
    place = into(root, archive, "0")
    intent = place / "intent.json"
    intent.unlink() if text is None else intent.write_text(text)
    (problem,) = swept(root, archive=archive, **NOTHING).problems
    assert problem.what.startswith("cannot be deleted: nothing says where it belongs")
    assert problem.what.endswith("; move it away")
    assert sum(name.endswith(".txt") for name in listing(place)) == 2


def test_an_empty_place_of_a_transfer_is_gone_after_the_next_sweep(
    root: Path, archive: Path
) -> None:
    for is_told in (True, False):
        area = HoldingArea(root, batch=True)
        assert begin(area, begun(archive, "y"))
        if not is_told:
            (Path(area.place) / "intent.json").unlink()
        area.close()
    assert swept(root, archive=archive, **NOTHING).problems == ()
    assert in_holding(root) == []
    assert stored(archive) == ["debug__x.tar.gz"]


# -- out of the archive ---------------------------------------------------------------------------


def test_what_has_left_the_archive_is_deleted_there_by_the_next_sweep(
    root: Path, archive: Path
) -> None:
    out_of(root, archive, id_of(archive, root), left=True)
    assert swept(root, archive=archive, **NOTHING).problems == ()
    assert listing(root / "debug" / "x") == ["file0.txt", "file1.txt"]
    assert (stored(archive), in_holding(root)) == ([], [])
    assert not (archive / "debug__x.tempkeep.json").exists()


def test_what_has_not_left_it_stays_there_and_its_copy_goes(root: Path, archive: Path) -> None:
    out_of(root, archive, id_of(archive, root), left=False)
    assert swept(root, archive=archive, **NOTHING).problems == ()
    assert not (root / "debug" / "x").exists()
    assert (stored(archive), in_holding(root)) == (["debug__x.tar.gz"], [])


def test_something_else_that_has_its_name_in_the_archive_stays(root: Path, archive: Path) -> None:
    out_of(root, archive, "0123456789abcdef", left=True)
    assert swept(root, archive=archive, **NOTHING).problems == ()
    assert (stored(archive), in_holding(root)) == (["debug__x.tar.gz"], [])


def test_what_is_locked_in_the_archive_is_deleted_there_later(root: Path, archive: Path) -> None:
    out_of(root, archive, id_of(archive, root), left=True)
    with open(archive / "debug__x.tar.gz") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (problem,) = swept(root, archive=archive, **NOTHING).problems
        assert "debug__x.tar.gz: in use" in problem.what
    assert stored(archive) == ["debug__x.tar.gz"]
    assert swept(root, archive=archive, **NOTHING).problems == ()
    assert stored(archive) == []


def test_an_archive_that_is_gone_has_nothing_to_be_deleted(root: Path, archive: Path) -> None:
    out_of(root, archive, id_of(archive, root), left=True)
    archive.rename(archive.with_name("elsewhere"))
    assert (swept(root, archive=archive, **NOTHING).problems, in_holding(root)) == ((), [])


@pytest.mark.parametrize("way", ["into", "out of", "out of the undo area"])
def test_a_transfer_that_an_earlier_version_left_is_finished(
    root: Path, archive: Path, way: str
) -> None:
    if way == "into":
        place = into(root, archive, id_of(archive, root))
    elif way == "out of":
        place = out_of(root, archive, id_of(archive, root), left=True)
    else:
        make_entry(root, "debug/x", files=2)
        swept(root, disposal="undo")
        area = undo_area(root)
        place = out_of(root, area, id_of(area, root), left=False)
    said = json.loads((place / "intent.json").read_text())
    receipt = json.loads(said.pop("receipt"))
    said |= {"name": receipt["name"], "id": receipt["id"], "inode": receipt["inode"]}
    (place / "intent.json").write_text(json.dumps(said))
    report = swept(root, archive=archive, **NOTHING)
    assert (report.finished, report.problems, in_holding(root)) == (1, (), [])
    assert stored(archive) == ([] if way == "out of" else ["debug__x.tar.gz"])
    assert (root / "debug" / "x").exists() == (way == "out of")
    assert stored(undo_area(root)) == (["debug__x"] if way == "out of the undo area" else [])


# -- while it is going on -------------------------------------------------------------------------


def test_what_is_not_back_in_its_place_is_not_forgotten(root: Path, archive: Path) -> None:
    path = make_entry(root, "debug/x", files=2)
    with contextlib.closing(HoldingArea(root, batch=True)) as area:
        assert begin(area, begun(archive, "x"))
        with contextlib.closing(area.claim("debug/x", identity(path))) as claim:
            cancel(area)
            assert (Path(area.place) / "intent.json").exists()
            assert claim.put_back() == ""
        cancel(area)
        assert os.listdir(area.place) == []
    assert in_holding(root) == []


def test_what_is_whole_elsewhere_is_garbage_here(root: Path, archive: Path) -> None:
    path = make_entry(root, "debug/x", files=2)
    with contextlib.closing(HoldingArea(root, batch=True)) as area:
        assert begin(area, begun(archive, "x"))
        area.claim("debug/x", identity(path), is_decided=True).close()
        end(area)
    swept(root, archive=archive, **NOTHING)
    assert (in_holding(root), path.exists()) == ([], False)


def test_nothing_is_claimed_elsewhere_once_a_transfer_has_begun(
    root: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the root itself, on a full disk, would be deleted by the next sweep."""
    path = make_entry(root, "debug/x", files=2)
    with contextlib.closing(HoldingArea(root, batch=True)) as area:
        assert begin(area, begun(archive, "x"))

        def full(*_: object, **__: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(at, "rename", full)
        with pytest.raises(NotClaimed, match="No space left"):
            area.claim("debug/x", identity(path))
    assert listing(path) == ["file0.txt", "file1.txt"]


def test_from_a_full_disk_an_entry_goes_to_an_archive_on_another(tmp_path: Path) -> None:
    with ext4(tmp_path) as disk, mounted(tmp_path / "m", "size=4m") as archive:
        root = disk / ".tmp"
        path = make_entry(root, "debug/x", files=3)
        fill(disk)
        plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
        report = execute(plan, archive=LocalArchive(archive), archive_format="tar.gz")
        assert outcomes(report)["debug/x"][0] == "done", outcomes(report)
        assert report.freed_bytes > 0
        assert not path.exists()
        assert stored(archive) == ["debug__x.tar.gz"]
        assert in_holding(root) == []


@pytest.mark.parametrize("free", [0, 1, 2])
def test_without_a_free_inode_an_entry_goes_to_an_archive_on_another_disk(
    tmp_path: Path, free: int
) -> None:
    """With one there is room for a directory, and none for what is to be said in it."""
    with (
        mounted(tmp_path / "full", "size=1m,nr_inodes=100") as disk,
        mounted(tmp_path / "m", "size=4m") as archive,
    ):
        root = disk / ".tmp"
        make_root(str(root))
        path = make_entry(root, "debug/x", files=3)
        fillers = 0
        while os.statvfs(disk).f_ffree > free:
            (disk / f"filler{fillers}").touch()
            fillers += 1
        report = swept(root, disposal="archive", archive=archive)
        assert outcomes(report) == {"debug/x": ("done", f"archived as {archive / 'debug__x'}")}
        assert not path.exists()
        assert (stored(archive), in_holding(root)) == (["debug__x"], [])


def test_from_a_full_disk_an_entry_that_changed_comes_back_and_its_copy_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        mounted(tmp_path / "full", "size=1m,nr_inodes=100") as disk,
        mounted(tmp_path / "m", "size=4m") as archive,
    ):
        root = disk / ".tmp"
        make_root(str(root))
        path = make_entry(root, "debug/x", files=3)
        for number in range(os.statvfs(disk).f_ffree):
            (disk / f"filler{number}").touch()
        real = LocalDeposit.publish

        def publish(deposit: LocalDeposit) -> None:
            real(deposit)
            (path / "file0.txt").write_text("changed")

        monkeypatch.setattr(LocalDeposit, "publish", publish)
        report = swept(root, disposal="archive", archive=archive)
        assert outcomes(report) == {"debug/x": ("skipped", "has changed while it was being copied")}
        assert (path / "file0.txt").read_text() == "changed"
        assert (stored(archive), in_holding(root)) == ([], [])
        assert not list(archive.glob("*.json"))


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Have a Ctrl-C come before or after a step of an archiving."""

    def at_step(step: str, when: str) -> None:
        owner: Any = transfer if hasattr(transfer, step) else LocalDeposit
        real = getattr(owner, step)

        def interrupting(*arguments: Any) -> Any:
            if when == "before":
                raise KeyboardInterrupt
            real(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(owner, step, interrupting)

    return at_step


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["move", "pack", "begin", "publish", "keep", "end"])
@pytest.mark.parametrize("form", ["dir", "tar.gz"])
def test_a_ctrl_c_at_any_step_leaves_the_entry_whole_in_one_place(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: Callable[[str, str], None],
    form: Any,
    step: str,
    when: str,
) -> None:
    path = make_entry(root, "debug/x", files=3)
    archive = tmp_path / "archive"
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
    interrupted(step, when)
    with contextlib.suppress(KeyboardInterrupt):
        execute(plan, archive=LocalArchive(archive), archive_format=form)
    monkeypatch.undo()
    swept(root, archive=archive, **NOTHING)
    is_there = path.exists() and len(listing(path)) == 3
    assert [is_there, len(list_shelf(archive, root)) == 1].count(True) == 1
    assert in_holding(root) == []
    assert is_there or stored(archive) == [f"debug__x{'' if form == 'dir' else '.tar.gz'}"]


def test_an_entry_that_changed_when_it_was_moved_aside_comes_back_and_its_copy_goes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=2)
    real = transfer.begin

    def begin_late(area: HoldingArea, intent: Intent) -> bool:
        begun = real(area, intent)
        (path / "late").touch()
        return begun

    monkeypatch.setattr(transfer, "begin", begin_late)
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
    report = execute(plan, archive=LocalArchive(tmp_path / "a"), archive_format="tar.gz")
    assert outcomes(report) == {"debug/x": ("skipped", "has changed while it was being copied")}
    assert listing(path) == ["file0.txt", "file1.txt", "late"]
    assert (stored(tmp_path / "a"), in_holding(root)) == ([], [])
    assert not list((tmp_path / "a").glob("*.json"))


@pytest.mark.parametrize("taken", [True, False])
def test_an_entry_that_changed_while_it_was_moved_comes_back_or_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    path = make_entry(root, "debug/x", files=2)
    target = tmp_path / "a" / "debug__x"
    real = LocalDeposit.move

    def move(deposit: LocalDeposit) -> bool:
        moved = real(deposit)
        (deposit.target / "late").touch()
        if taken:
            path.mkdir()
        return moved

    monkeypatch.setattr(LocalDeposit, "move", move)
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
    also = f"; its place is taken, so it is {target} now" if taken else ""
    assert outcomes(execute(plan, archive=LocalArchive(tmp_path / "a"))) == {
        "debug/x": ("skipped", f"has changed while it was being archived{also}")
    }
    assert listing(target if taken else path) == ["file0.txt", "file1.txt", "late"]
    assert not list((tmp_path / "a").glob("*.json"))


def test_what_cannot_be_put_into_the_archive_in_the_end_comes_back(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=2)
    real = LocalDeposit.publish

    def publish(deposit: LocalDeposit) -> None:
        deposit.target.write_text("somebody's")
        real(deposit)

    monkeypatch.setattr(LocalDeposit, "publish", publish)
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive")
    report = execute(plan, archive=LocalArchive(tmp_path / "a"), archive_format="tar.gz")
    ((status, detail),) = outcomes(report).values()
    assert (status, "(File exists)" in detail) == ("failed", True)
    assert listing(path) == ["file0.txt", "file1.txt"]
    assert (tmp_path / "a" / "debug__x.tar.gz").read_text() == "somebody's"
    assert in_holding(root) == []
