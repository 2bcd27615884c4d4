"""Undoable removals are set aside in the root, restored to the byte, and deleted when due."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.disposal import Disposal
from common.temp.core.layouts import FILES, JOBS, PINS, PIPELINE, SCRATCH, Layout
from common.temp.core.plan import Outcome, Report
from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.holding import hold
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.pipeline import ArtifactCleaner
from common.temp.store.archive.restore import find_archived, finish_killed, restore
from common.temp.store.claiming.area import claimed
from common.temp.store.claiming.many_removals import Remover
from common.temp.store.project.project import user_root
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import remove_pin, write_pin
from common.temp.store.root.records import forget_gone
from common.temp.store.shelf import moving, putting
from common.temp.store.shelf.belongs import place_of
from common.temp.store.shelf.leftovers import finish_leftovers
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import MANIFEST
from common.temp.store.shelf.undo import UndoArea, undo_area, undoable
from common.temp.store.sweep.abandoned import clean_abandoned
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.runs import KEPT_RUNS, Run
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import at
from common.temp.store.system.process_identity import boot
from common.temp.store.system.renaming import rename_new
from common.temp.tracking import ThreadedFileCleanupManager
from tests.store.children import in_child, until
from tests.store.trees import rich, seen
from tests.support import (
    EVERYTHING,
    HOUR,
    age,
    end_leases,
    identity,
    in_holding,
    listing,
    make_entry,
    mounted,
    outcomes,
    plain_user,
    process,
    run,
    scanned,
    set_aside_earlier,
    stored,
    swept,
)

NOTHING = Policy()
ROOTS = pytest.mark.parametrize(
    ("layout", "name"),
    [
        (SCRATCH, "debug/x_1696348800"),
        (JOBS, "job-7"),
        (FILES, "some file"),
        (PIPELINE, "pipeline_artifacts_20250102_030405"),
    ],
    ids=["scratch", "jobs", "files", "pipeline"],
)


def set_aside(root: Path, **options: Any) -> Report:
    """What a clean did that can be undone."""
    return swept(root, disposal="undo", **options)


def held(root: Path) -> list[str]:
    """The names of what was set aside."""
    return stored(undo_area(root))


def edit(place: Path, name: str, /, **values: object) -> None:
    """Change what the manifest says of what was set aside."""
    path = undo_area(place) / f"{name}{MANIFEST}"
    written = path.stat().st_mtime_ns
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}, indent=2))
    os.utime(path, ns=(written, written))


def grow_old(root: Path, name: str, hours: float) -> None:
    """Have it look as if it had been set aside that long ago."""
    set_aside_earlier(undo_area(root) / f"{name}{MANIFEST}", hours)


def put_back(root: Path, name: str) -> Path:
    """Undo it; where it is."""
    _, found = find_archived([UndoArea(root)], name, root.parent)
    place = place_of(found, root.parent, root)
    restore(UndoArea(root), found, place)
    return place.full


def forgotten(report: Report) -> dict[str, tuple[str, str]]:
    """What became of what had been set aside, and why it was to go."""
    return {done.step.entry.path: (done.status, str(done.step.reason)) for done in report.dropped}


# -- setting aside --------------------------------------------------------------------------------


def test_an_entry_is_renamed_into_the_root_and_frees_nothing(root: Path) -> None:
    path = make_entry(root, "debug/x", files=3)
    was = identity(path)
    before = time.time()
    report = set_aside(root, undo_for=3600.0)
    (outcome,) = report.outcomes
    assert (outcome.status, outcome.detail, outcome.freed_bytes) == ("done", "", 0)
    assert outcome.until is not None
    assert before + 3600 <= outcome.until <= time.time() + 3600
    assert identity(undo_area(root) / "debug__x") == was
    assert not path.exists()
    assert (report.freed_bytes, report.plan.planned_bytes) == (0, 0)


def test_what_a_tree_can_hold_comes_back_to_the_byte(root: Path) -> None:
    path = rich(root / "debug" / "x")
    path.chmod(0o500)
    before = seen(path)
    with plain_user():
        assert outcomes(set_aside(root)) == {"debug/x": ("done", "")}
        assert stat.S_IMODE((undo_area(root) / "debug__x").stat().st_mode) == 0o500
        assert put_back(root, "debug/x") == path
    assert seen(path) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o500
    assert held(root) == []
    assert not list(undo_area(root).glob(f"*{MANIFEST}"))


@ROOTS
def test_entries_of_every_layout_come_back_to_their_root(
    project: Path, layout: Layout, name: str
) -> None:
    root = project / (".tmp" if layout is SCRATCH else f"var/{layout.name}")
    make_root(str(root), layout)
    if layout is FILES:
        (root / name).write_text("content")
    else:
        make_entry(root, name, age_hours=2)
    was = identity(root / name)
    assert outcomes(set_aside(root, layout=layout)) == {name: ("done", "")}
    assert not (root / name).exists()
    report = swept(root, EVERYTHING, layout=layout)
    assert (report.outcomes, report.finished) == ((), 0), "it is no entry, and no leftover"
    assert len(held(root)) == 1
    assert put_back(root, name) == root / name
    assert identity(root / name) == was


def test_runs_that_nobody_has_made_a_root_of_come_back(project: Path) -> None:
    name = "pipeline_artifacts_20250102_030405"
    make_entry(project / "runs", name)
    assert outcomes(set_aside(project / "runs", layout=PIPELINE)) == {name: ("done", "")}
    assert put_back(project / "runs", name) == project / "runs" / name


def test_a_link_is_set_aside_and_not_what_it_leads_to(root: Path, canary: Path) -> None:
    root.mkdir()
    (root / "link").symlink_to(canary)
    assert outcomes(set_aside(root)) == {"link": ("done", "")}
    assert put_back(root, "link").readlink() == canary


def test_a_root_behind_a_link_that_has_moved_gives_back_what_it_holds(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "real" / ".tempkeep").mkdir(parents=True)
    (project / ".tmp").symlink_to(tmp_path / "real")
    make_entry(project / ".tmp", "debug/x")
    set_aside(project / ".tmp")
    moved = project.rename(tmp_path / "moved")
    (tmp_path / "real").rename(tmp_path / "elsewhere")
    (moved / ".tmp").unlink()
    (moved / ".tmp").symlink_to(tmp_path / "elsewhere")
    assert put_back(moved / ".tmp", "debug/x") == moved / ".tmp" / "debug" / "x"
    assert listing(tmp_path / "elsewhere" / "debug") == ["x", "x/file0.txt"]


def test_what_has_come_into_use_or_been_pinned_stays(root: Path) -> None:
    used, pinned, gone = (make_entry(root, f"debug/{name}") for name in ("a", "b", "c"))
    file, other = root / "debug" / "d_1500000000", root / "debug" / "e_1500000000"
    for path in (file, other):
        path.touch()
    plan = prepare(root, EVERYTHING, time.time(), disposal="undo")
    # Those count by their locks alone.
    locks = (at.open(str(used), at.DIRECTORY_FLAGS), at.open(str(file), at.ANY_FLAGS))
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_SH)
    write_pin(root, "debug/b", "why")
    report = execute(plan)
    for lock in locks:
        os.close(lock)
    assert outcomes(report) == {
        "debug/a": ("skipped", "in use: a process holds a lock (flock) on it"),
        "debug/d_1500000000": ("skipped", "in use: a process holds a lock (flock) on it"),
        "debug/e_1500000000": ("done", ""),
        "debug/b": ("skipped", "has been pinned meanwhile"),
        "debug/c": ("done", ""),
    }
    assert (used.exists(), pinned.exists(), gone.exists()) == (True, True, False)
    assert (file.exists(), other.exists()) == (True, False)
    assert held(root) == ["debug__c", "debug__e_1500000000"]


def at_the_rename(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Let `then` happen in the instant before the next rename into the archive."""

    def rename(name: str, target: str, **options: Any) -> None:
        monkeypatch.setattr(moving, "rename_new", rename_new)
        then()
        rename_new(name, target, **options)

    monkeypatch.setattr(moving, "rename_new", rename)


def test_what_is_pinned_in_the_instant_of_the_rename_comes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    at_the_rename(monkeypatch, lambda: write_pin(root, "debug/x", "why"))
    assert outcomes(set_aside(root)) == {"debug/x": ("skipped", "has been pinned meanwhile")}
    assert listing(path) == ["file0.txt"]
    assert held(root) == []
    assert scanned(root)["debug/x"].pin == "why"


def test_what_another_process_takes_up_in_the_instant_of_the_rename_comes_back(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project / "files"
    make_root(str(root), FILES)
    (root / "old.wav").write_text("sound")
    code = (
        "import sys; from common.temp.store.root.allocation import adopt; "
        "from common.temp.core.layouts import FILES; "
        f"adopt({str(root)!r}, 'old.wav', FILES); print('mine', flush=True); sys.stdin.readline()"
    )
    with ExitStack() as stack:
        at_the_rename(monkeypatch, lambda: stack.enter_context(process(code, cwd=project)))
        ((status, detail),) = outcomes(set_aside(root, layout=FILES)).values()
    assert (status, detail.split(" (")[0].rstrip("0123456789")) == ("skipped", "in use: pid ")
    assert (root / "old.wav").read_text() == "sound"
    assert held(root) == []


def test_where_pins_cannot_be_read_any_more_it_comes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    write_pin(root, "debug/other", "why")
    pins = root / ".tempkeep" / "pins"

    def spoil() -> None:
        pins.rename(root / ".tempkeep" / "aside")
        pins.touch()

    at_the_rename(monkeypatch, spoil)
    ((status, detail),) = outcomes(set_aside(root)).values()
    assert (status, "Not a directory" in detail) == ("failed", True)
    assert listing(path) == ["file0.txt"]
    assert held(root) == []


def test_what_is_swapped_in_in_the_instant_of_the_rename_comes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")

    def swap() -> None:
        path.rename(root / "original")
        make_entry(root, "debug/x", files=3)

    at_the_rename(monkeypatch, swap)
    assert outcomes(set_aside(root)) == {"debug/x": ("skipped", "was replaced at this moment")}
    assert len(listing(path)) == 3
    assert held(root) == []


def test_cleans_at_once_set_each_aside_once(root: Path) -> None:
    names = [f"debug/n{number}" for number in range(30)]
    inodes = {make_entry(root, name).stat().st_ino for name in names}
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                report = set_aside(root)
                os._exit(int(report.failed))
            os._exit(2)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert scanned(root) == {}
    found = list_shelf(undo_area(root), root)
    assert {one.identity[1] for one in found} == inodes
    assert sorted(one.manifest.path for one in found if one.manifest is not None) == sorted(names)
    assert len(list(undo_area(root).glob(f"*{MANIFEST}"))) == 30


# -- what cannot be set aside ---------------------------------------------------------------------


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """The directory `source` is mounted at `target`, too."""
    if run(["mount", "--bind", str(source), str(target)], cwd=source).returncode:
        pytest.skip("cannot mount here")
    try:
        yield
    finally:
        run(["umount", "--lazy", str(target)], cwd=source)


def test_what_no_rename_reaches_stays_where_it_is(root: Path, tmp_path: Path) -> None:
    make_root(str(root))
    (root / "cache").mkdir()
    make_entry(tmp_path, "elsewhere/x_1696348800")
    # Of the same filesystem, so that nothing but the rename itself tells.
    with bound(tmp_path / "elsewhere", root / "cache"):
        make_entry(root, "debug/y_1696348800")
        report = set_aside(root)
        where = undo_area(root)
        assert outcomes(report) == {"debug/y_1696348800": ("done", "")}
        assert [str(verdict.reason) for verdict in report.plan.kept] == [
            "mounted: another filesystem is mounted at cache"
        ]
        assert listing(root / "cache") == ["x_1696348800", "x_1696348800/file0.txt"]
        assert held(root) == ["debug__y_1696348800"]
        assert len(list(where.glob(f"*{MANIFEST}"))) == 1


@pytest.mark.parametrize(("disposal", "how"), [("undo", "--undoable"), ("archive", "archiving")])
def test_what_cannot_be_read_stays_and_is_said_what_to_do_about(
    root: Path, tmp_path: Path, disposal: Disposal, how: str
) -> None:
    inner = make_entry(root, "debug/x/inner")
    inner.chmod(0)
    with plain_user():
        report = swept(root, disposal=disposal, archive=tmp_path / "archive")
        ((status, detail),) = outcomes(report).values()
        assert status == "failed"
        assert detail.startswith("Permission denied in inner; ")
        assert detail.endswith(f"; or clean without {how}")
        assert outcomes(swept(root)) == {"debug/x": ("done", "")}


def test_a_file_on_another_filesystem_is_not_copied(root: Path) -> None:
    make_root(str(root))
    with mounted(root / "cache", "size=1m") as disk:
        (disk / "file").write_text("content")
        report = set_aside(root)
        assert outcomes(report) == {}
        assert [verdict.entry.path for verdict in report.plan.kept] == ["cache/file"]
        assert (disk / "file").read_text() == "content"
        assert held(root) == []


def test_on_a_full_disk_it_stays(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        root = disk / ".tmp"
        make_entry(root, "debug/x")
        undo_area(root).mkdir(parents=True)
        with suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        assert outcomes(set_aside(root)) == {
            "debug/x": (
                "failed",
                f"cannot be set aside in {undo_area(root)} (No space left on device); "
                "clean without --undoable, which frees the space of the entry",
            )
        }
        assert listing(root / "debug") == ["x", "x/file0.txt"]


@pytest.mark.parametrize("part", [".tempkeep", ".tempkeep/undo"])
def test_a_link_that_was_planted_in_its_place_is_refused(
    root: Path, canary: Path, part: str
) -> None:
    path = make_entry(root, "debug/x")
    (root / part).parent.mkdir(exist_ok=True)
    (root / part).symlink_to(canary)
    with pytest.raises(Refused, match="is not a directory made by this program; remove it"):
        set_aside(root)
    with pytest.raises(Refused):
        swept(root, NOTHING)
    with pytest.raises(Refused):
        undoable(root)
    assert listing(path) == ["file0.txt"]


def test_a_link_that_is_planted_after_the_plan_was_drawn_is_refused(
    root: Path, canary: Path
) -> None:
    path = make_entry(root, "debug/x")
    plan = prepare(root, EVERYTHING, time.time(), disposal="undo")
    (root / ".tempkeep").mkdir()
    (root / ".tempkeep" / "undo").symlink_to(canary)
    with pytest.raises(Refused):
        execute(plan)
    assert listing(path) == ["file0.txt"]


@pytest.mark.parametrize("name", [f"foo{MANIFEST}", f"debug/foo{MANIFEST}"])
def test_a_file_that_is_called_as_a_manifest_is_stays_until_it_is_undone(
    root: Path, name: str
) -> None:
    path = root / name
    path.parent.mkdir(parents=True)
    path.touch()
    set_aside(root)
    finish_killed(UndoArea(root), root)
    assert put_back(root, name) == path
    assert held(root) == []


def test_an_entry_that_is_called_as_a_copy_of_an_older_version_stays_until_it_is_undone(
    root: Path,
) -> None:
    path = make_entry(root, ".0123456789abcdef.part")
    set_aside(root)
    finish_killed(UndoArea(root), root)
    assert put_back(root, path.name) == path
    assert listing(path) == ["file0.txt"]


# -- when its time is over ------------------------------------------------------------------------


@pytest.fixture
def two(root: Path) -> Path:
    """A root of which `debug/old` was set aside 25 hours ago and `debug/new` 23 hours ago."""
    for name in ("old", "new"):
        make_entry(root, f"debug/{name}", files=3, age_hours=31)
    set_aside(root)
    grow_old(root, "debug__old", 25)
    grow_old(root, "debug__new", 23)
    return root


def test_a_sweep_deletes_what_is_past_its_time_and_leaves_what_is_not(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(time, "sleep")  # it waits for nobody, not even for itself
    report = swept(two, NOTHING)
    assert forgotten(report) == {"debug__old": ("done", "undo time is over: 25 h > 24 h")}
    assert report.freed_bytes > 0
    assert held(two) == ["debug__new"]
    assert len(list(undo_area(two).glob(f"*{MANIFEST}"))) == 1
    assert forgotten(swept(two, NOTHING)) == {}


def test_drawing_a_plan_shows_it_and_changes_nothing(two: Path) -> None:
    before = listing(two)
    plan = prepare(two, NOTHING, time.time())
    ((name, disposal, reason),) = (
        (step.entry.path, step.disposal, str(step.reason)) for step in plan.archives
    )
    assert (name, disposal, reason) == ("debug__old", "forget", "undo time is over: 25 h > 24 h")
    assert plan.planned_archive_bytes > 0
    assert listing(two) == before


def test_for_how_long_is_what_was_said_when_it_was_set_aside(two: Path) -> None:
    edit(two, "debug__old", undo_for=26 * HOUR)
    edit(two, "debug__new", undo_for=22 * HOUR)
    report = swept(two, NOTHING, undo_for=1.0)
    assert forgotten(report) == {"debug__new": ("done", "undo time is over: 23 h > 22 h")}
    assert held(two) == ["debug__old"]


@pytest.mark.parametrize("what", ["changed", "held", "pinned", "locked"])
def test_what_somebody_works_on_where_it_was_set_aside_stays(two: Path, what: str) -> None:
    clone = undo_area(two) / "debug__old"
    inner = make_entry(clone / ".tmp", "debug/inner", age_hours=31)
    make_root(str(clone / ".tmp"))
    age(clone, 31)
    with ExitStack() as stack:
        if what == "changed":
            (clone / ".tmp" / "new").write_text("work")
        elif what == "held":
            stack.enter_context(hold(inner))
        elif what == "pinned":
            write_pin(clone / ".tmp", "debug/inner", "why")
        else:
            lock = os.open(inner, os.O_RDONLY)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
        for limit in (NOTHING, Policy(min_free_space=1 << 60)):
            swept(two, limit)
            assert "debug__old" in held(two)
    if what == "changed":
        grow_old(two, "debug__old", 25)
    elif what == "pinned":
        remove_pin(clone / ".tmp", "debug/inner")
    end_leases()  # an owner counts as one also while it has nothing
    age(clone, 31)
    swept(two, NOTHING)
    assert held(two) == []


@pytest.mark.parametrize("hours", [0, 30])
def test_an_archive_in_which_somebody_works_stays_on_a_low_disk(root: Path, hours: int) -> None:
    archive = root.parent / "archive"
    for name in ("x", "y"):
        make_entry(root, f"debug/{name}", age_hours=31)
    swept(root, EVERYTHING, disposal="archive", archive=archive)
    for manifest in archive.glob(f"*{MANIFEST}") if hours else ():
        set_aside_earlier(manifest, hours)
    (archive / "debug__x" / "new").write_text("work")
    swept(root, Policy(min_free_space=1 << 60), archive=archive)
    assert stored(archive) == ["debug__x"]


@pytest.mark.parametrize(
    ("boot_of_another", "written", "stays"),
    [(False, -25.0, True), (True, 0.0, True), (True, 24.0, False), (True, -25.0, False)],
)
def test_the_time_to_undo_does_not_end_early_as_the_clock_was_behind(
    two: Path, boot_of_another: bool, written: float, stays: bool
) -> None:
    """The clock that nobody sets tells it, or when the manifest was written; not in the future."""
    manifest = undo_area(two) / f"debug__old{MANIFEST}"
    edit(two, "debug__old", boot="another" if boot_of_another else boot())
    when = time.time() + written * HOUR
    os.utime(manifest, (when, when))
    swept(two, NOTHING)
    assert ("debug__old" in held(two)) == stays


def of_project(root: Path) -> None:
    TempManager.clean_persistent_temps(1000)


def of_its_own(root: Path) -> None:
    swept(root, EVERYTHING, disposal="undo")


def in_archive(root: Path) -> None:
    swept(root, EVERYTHING, disposal="archive", archive=root.parent / "archive")


@pytest.mark.parametrize("sweep", [of_project, of_its_own, in_archive])
def test_whatever_sweeps_the_root_deletes_it(two: Path, sweep: Callable[[Path], None]) -> None:
    sweep(two)
    assert held(two) == ["debug__new"]


def test_the_sweeps_of_other_faces_delete_it(
    project: Path,
) -> None:
    jobs, runs, own = project / "jobs", project / "runs", user_root()
    run_name = "pipeline_artifacts_20250102_030405"
    for root, layout, name in (
        (jobs, JOBS, "job"),
        (runs, PIPELINE, run_name),
        (own, SCRATCH, "auto/x"),
    ):
        make_root(str(root), layout)
        make_entry(root, name)
        set_aside(root, layout=layout, undo_for=0.0)
        assert len(held(root)) == 1
    StorageRoot(jobs).recover()
    ArtifactCleaner(runs).cleanup()
    clean_abandoned(time.time())
    assert [held(root) for root in (jobs, runs, own)] == [[], [], []]


def test_what_is_pinned_there_stays(two: Path) -> None:
    write_pin(undo_area(two), "debug__old", "why")
    assert forgotten(swept(two, NOTHING)) == {}
    assert held(two) == ["debug__new", "debug__old"]


def test_what_a_process_works_in_there_stays_until_it_ends(two: Path) -> None:
    with process("print('ready', flush=True); input()", cwd=undo_area(two) / "debug__old") as it:
        (outcome,) = swept(two, NOTHING).dropped
        assert outcome.status == "skipped"
        assert outcome.detail.startswith(f"in use: pid {it.pid} (")
        assert held(two) == ["debug__new", "debug__old"]
    assert forgotten(swept(two, NOTHING))["debug__old"][0] == "done"


def test_what_a_process_holds_there_stays_until_it_gives_it_up(two: Path) -> None:
    (undo_area(two) / ".tempkeep").mkdir()
    with hold(undo_area(two) / "debug__old"):
        (outcome,) = swept(two, NOTHING).dropped
        assert outcome.detail.startswith(f"in use: pid {os.getpid()} (")
    assert forgotten(swept(two, NOTHING))["debug__old"][0] == "done"


def test_what_was_undone_since_the_plan_was_drawn_stays(two: Path) -> None:
    plan = prepare(two, NOTHING, time.time())
    path = put_back(two, "debug/old")
    (outcome,) = execute(plan).dropped
    assert (outcome.status, outcome.detail) == ("skipped", "has been restored meanwhile")
    assert len(listing(path)) == 3


def test_what_was_set_aside_again_since_the_plan_was_drawn_has_its_time_anew(two: Path) -> None:
    plan = prepare(two, NOTHING, time.time())
    path = put_back(two, "debug/old")
    assert outcomes(set_aside(two)) == {"debug/old": ("done", "")}
    assert not path.exists()
    assert [step.entry.inode for step in plan.archives] == [
        (undo_area(two) / "debug__old").stat().st_ino
    ], "by its name and inode it is the same"
    (outcome,) = execute(plan).dropped
    assert (outcome.status, outcome.detail) == ("skipped", "has been restored meanwhile")
    assert held(two) == ["debug__new", "debug__old"]


def test_two_sweeps_at_once_delete_it_once(two: Path) -> None:
    for number in range(20):
        make_entry(two, f"debug/n{number}", files=3)
    set_aside(two)
    for number in range(20):
        grow_old(two, f"debug__n{number}", 30)
    reading, writing = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                report = swept(two, NOTHING)
                done = sum(outcome.status == "done" for outcome in report.dropped)
                os.write(writing, bytes([done, report.failed]))
            os._exit(0)
        children.append(child)
    os.close(writing)
    for child in children:
        os.waitpid(child, 0)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    assert len(said) == 8
    assert (sum(said[::2]), any(said[1::2])) == (20, False)
    assert held(two) == ["debug__new"]
    assert in_holding(two) == in_holding(undo_area(two)) == []


def test_what_a_killed_sweep_had_claimed_of_it_is_finished(two: Path) -> None:
    old = undo_area(two) / "debug__old"
    with claimed(undo_area(two), "debug__old", identity(old)) as claim:
        claim.condemn()  # closed then, as a kill closes it, and not removed
    assert held(two) == ["debug__new"]
    report = swept(two, NOTHING)
    assert (report.finished, forgotten(report)) == (1, {})
    assert in_holding(undo_area(two)) == []
    assert len(list(undo_area(two).glob(f"*{MANIFEST}"))) == 1


def test_what_was_set_aside_is_no_leftover_and_no_entry(two: Path) -> None:
    assert finish_leftovers(two, Remover())[0] == 0
    assert prepare(two, EVERYTHING, time.time()).leftovers == ()
    assert scanned(two) == {}
    assert held(two) == ["debug__new", "debug__old"]


# -- a low disk -----------------------------------------------------------------------------------

MIB = 1 << 20


@pytest.mark.parametrize(
    ("free", "left", "archives"),
    [(7, "ab", "z"), (9, "b", "z"), (11, "", "z"), (13, "", "")],
)
def test_on_a_low_disk_the_oldest_go_before_archives_and_entries(
    tmp_path: Path, free: int, left: str, archives: str
) -> None:
    with mounted(tmp_path / "disk", "size=16m") as disk:
        root, kept = disk / ".tmp", disk / "archive"
        for name in ("z", "b", "a", "entry"):
            path = make_entry(root, f"debug/{name}")
            (path / "noise").write_bytes(os.urandom(2 * MIB))
            age(path, 24)
            if name == "z":
                swept(root, disposal="archive", archive=kept)
            elif name != "entry":
                set_aside(root)
        grow_old(root, "debug__a", 3)
        grow_old(root, "debug__b", 2)
        policy = Policy(min_free_space=free * MIB)
        report = swept(root, policy, archive=kept)
        for _, reason in forgotten(report).values():
            assert reason.startswith("low space: ")
        assert "".join(name.removeprefix("debug__") for name in held(root)) == left
        assert "".join(name.removeprefix("debug__") for name in stored(kept)) == archives
        assert (root / "debug" / "entry").exists()
        told = os.statvfs(disk)
        assert told.f_bavail * told.f_frsize >= free * MIB


@pytest.mark.parametrize(
    ("disposal", "kept"), [("delete", True), ("undo", False), ("archive", False)]
)
def test_on_a_low_disk_what_goes_anyway_may_be_enough_and_what_can_be_undone_stays(
    tmp_path: Path, disposal: Disposal, kept: bool
) -> None:
    with mounted(tmp_path / "disk", "size=16m") as disk:
        root, archive = disk / ".tmp", disk / "archive"
        for name in ("archived", "aside", "old"):
            path = make_entry(root, f"debug/{name}", age_hours=100)
            (path / "noise").write_bytes(os.urandom(2 * MIB))
            age(path, 100)
            if name == "archived":
                swept(root, disposal="archive", archive=archive)
            elif name == "aside":
                set_aside(root)
        told = os.statvfs(disk)
        wanted = told.f_bavail * told.f_frsize + MIB
        policy = Policy(max_age=HOUR, min_free_space=wanted)
        report = swept(root, policy, archive=archive, disposal=disposal)
        assert [outcome.status for outcome in report.outcomes] == ["done"]
        assert ("debug__aside" in held(root)) == kept
        assert "debug__archived" in stored(archive)


def test_setting_aside_on_a_low_disk_is_said_to_free_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=8m") as disk:
        path = make_entry(disk / ".tmp", "debug/x")
        (path / "noise").write_bytes(os.urandom(2 * MIB))
        report = set_aside(disk / ".tmp", policy=Policy(min_free_space=7 * MIB))
        assert report.free is not None
        shortfall = report.plan.shortfall(report.free)
        assert shortfall is not None
        assert [rule for rule, _ in shortfall.held] == ["to be undone"]
        assert held(disk / ".tmp") == ["debug__x"]


# -- restoring ------------------------------------------------------------------------------------


def test_what_was_undone_counts_as_new(root: Path) -> None:
    make_entry(root, "debug/x", age_hours=100)
    aged = Policy(max_age=HOUR)
    swept(root, aged, disposal="undo")
    path = put_back(root, "debug/x")
    assert prepare(root, aged, time.time()).steps == ()
    assert time.time() - (path / "file0.txt").stat().st_mtime > 99 * HOUR


def test_it_is_never_put_over_what_is_there(root: Path) -> None:
    make_entry(root, "debug/x", files=2)
    set_aside(root)
    path = make_entry(root, "debug/x", files=1)
    with pytest.raises(Refused, match="is there already; move it away first"):
        put_back(root, "debug/x")
    assert listing(path) == ["file0.txt"]
    assert held(root) == ["debug__x"]


def test_what_has_changed_there_is_not_put_back(root: Path) -> None:
    make_entry(root, "debug/x")
    set_aside(root)
    (undo_area(root) / "debug__x" / "file0.txt").write_text("other")
    with pytest.raises(Refused, match="no longer what was archived") as told:
        put_back(root, "debug/x")
    assert str(told.value).endswith(
        f"; look at {undo_area(root)}/debug__x, and move it by hand, before a clean deletes it "
        "when its time is over"
    )
    assert held(root) == ["debug__x"]


def jobs_root(project: Path) -> Path:
    root = project / "jobs"
    make_root(str(root), JOBS)
    make_entry(root, "job-7")
    set_aside(root, layout=JOBS)
    return root


def test_a_job_that_was_undone_is_pinned_since_no_age_keeps_it(project: Path) -> None:
    root = jobs_root(project)
    path = put_back(root, "job-7")
    assert StorageRoot(root).recover() == 0
    assert listing(path) == ["file0.txt"]


def test_an_auto_cleanup_entry_that_was_undone_is_pinned_since_no_age_keeps_it() -> None:
    root = user_root()
    make_root(str(root))
    make_entry(root, "auto/x_1696348800", age_hours=2)
    set_aside(root, policy=Policy(abandoned=True))
    path = put_back(root, "x_1696348800")
    report = clean_abandoned(time.time())
    assert report is not None
    assert report.outcomes == ()
    assert listing(path) == ["file0.txt"]


def test_a_sweep_between_the_pin_and_the_rename_forgets_no_pin(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = jobs_root(project)

    def rename(*arguments: Any, **options: Any) -> None:
        StorageRoot(root).recover()
        forget_gone(root, PINS, spare_unread=True)
        rename_new(*arguments, **options)

    monkeypatch.setattr(putting, "rename_new", rename)
    path = put_back(root, "job-7")
    assert StorageRoot(root).recover() == 0
    assert listing(path) == ["file0.txt"]


def test_a_tracked_file_that_was_undone_is_pinned_while_a_record_says_whose_it_was(
    project: Path,
) -> None:
    root = project / "files"
    make_root(str(root), FILES)
    code = (
        "import sys; from common.temp.store.root.allocation import adopt; "
        "from common.temp.core.layouts import FILES; "
        "[adopt('files', name, FILES) for name in ('one', 'two')]; "
        "[open(f'files/{name}', 'w').write('content') for name in ('one', 'two')]; "
        "print('made', flush=True); sys.stdin.readline()"
    )
    with process(code.replace("'files'", repr(str(root))), cwd=project):
        pass  # killed at the end
    age(root / "one", 2)
    age(root / "two", 2)
    write_pin(root, "two", "so that the record stays", FILES)
    set_aside(root, layout=FILES)
    path = put_back(root, "one")
    with ThreadedFileCleanupManager(root) as manager:
        assert manager.recover() == 0
    assert path.read_text() == "content"


def test_other_entries_that_were_undone_are_not_pinned_whatever_a_record_says(
    project: Path, root: Path
) -> None:
    code = (
        "import sys; from common.temp import get_debug_temp_dir as make; "
        "print(make('one').name, make('two').name, flush=True); sys.stdin.readline()"
    )
    with process(code, cwd=project) as maker:
        one, two = maker.first_line.split()
    write_pin(root, f"debug/{two}", "so that the record stays")
    set_aside(root)
    put_back(root, one)
    found = scanned(root)[f"debug/{one}"]
    assert found.made_by is not None
    assert found.pin is None


def test_what_a_run_of_tests_kept_is_pinned_when_it_was_undone(project: Path, root: Path) -> None:
    def tested(number: int, entries: int) -> list[str]:
        """The entries of a run of which every test failed."""
        a_run = Run(f"run{number}")
        made = [Path(a_run.make(str(root), f"test_{number}", time.time())) for _ in range(entries)]
        names = [path.relative_to(root).as_posix() for path in made]
        for name in names:
            (root / name / "file").write_text("content")
            a_run.keep(str(root), name, "it failed")
        a_run.end(time.time())
        return names

    one, two = tested(0, entries=2)
    write_pin(root, two, "so that the record stays")
    assert outcomes(set_aside(root)) == {one: ("done", "")}
    put_back(root, one)
    for number in range(KEPT_RUNS + 1):
        tested(number + 1, entries=1)
    assert listing(root / one) == ["file"]


def test_a_job_that_cannot_be_undone_leaves_no_pin_on_what_is_there(project: Path) -> None:
    jobs = StorageRoot(jobs_root(project))
    jobs.allocate_job("job-7")
    with pytest.raises(Refused):
        put_back(jobs.root, "job-7")
    assert jobs.cleanup_all() == 1


def test_undoing_while_sweeps_delete_leaves_it_whole_or_gone(root: Path) -> None:
    ended = {"root": 0, "gone": 0}
    for _ in range(8):
        path = rich(root / "debug" / "x")
        before = seen(path)
        set_aside(root)
        grow_old(root, "debug__x", 30)
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                with suppress(BaseException):
                    if number == 0:
                        put_back(root, "debug/x")
                    else:
                        swept(root, NOTHING, workers=1)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        swept(root, NOTHING)
        assert (held(root), in_holding(root), in_holding(undo_area(root))) == ([], [], [])
        if path.exists():
            assert seen(path) == before
            ended["root"] += 1
            swept(root)
        else:
            ended["gone"] += 1
    assert sum(ended.values()) == 8


# -- hostile manifests ----------------------------------------------------------------------------


ELSEWHERE: tuple[dict[str, object], ...] = (
    {"path": "../../victim"},
    {"path": "/victim"},
    {"path": "debug/../../victim"},
    {"path": ".tempkeep/owners"},
    {"path": ".gitignore"},
    {"root": "/"},
    {"root": "../../../elsewhere/.tmp"},
    {"root": ".."},
    {"layout": "pipeline", "path": "pipeline_artifacts_20250102_030405"},
    {"layout": "files"},
    {"layout": "stars"},
)


def test_a_manifest_that_names_another_place_is_refused_and_never_swept(
    project: Path, root: Path
) -> None:
    make_root(str(project / "elsewhere" / ".tmp"[1:]), JOBS)
    make_entry(root, "debug/x")
    set_aside(root)
    manifest, before = undo_area(root) / f"debug__x{MANIFEST}", listing(project)
    whole = manifest.read_text()
    for values in ELSEWHERE:
        edit(root, "debug__x", **values)
        with pytest.raises(Refused):
            put_back(root, "debug__x")
        assert listing(project) == before, values
        if "root" in values:
            grow_old(root, "debug__x", 100)
            assert forgotten(swept(root, NOTHING)) == {}, values
            assert held(root) == ["debug__x"], values
            before = listing(project)  # a clean has noted itself
        manifest.write_text(whole)


def test_a_time_that_is_none_is_a_damaged_manifest_and_it_stays(root: Path) -> None:
    make_entry(root, "debug/x")
    set_aside(root)
    grow_old(root, "debug__x", 100)
    for undo_for in (-1, float("nan"), float("inf"), 10**400, "24", True, [24]):
        edit(root, "debug__x", undo_for=undo_for)
        assert forgotten(swept(root, NOTHING)) == {}, undo_for
        (found,) = list_shelf(undo_area(root), root)
        assert found.problem == "its manifest is damaged", undo_for
        assert [one.until for one in undoable(root)] == [None], undo_for
    edit(root, "debug__x", undo_for=24.0)
    assert forgotten(swept(root, NOTHING)).keys() == {"debug__x"}


def test_without_a_manifest_nothing_is_deleted_and_nothing_put_back(root: Path) -> None:
    make_entry(root, "debug/x")
    set_aside(root)
    (undo_area(root) / f"debug__x{MANIFEST}").unlink()
    assert forgotten(swept(root, NOTHING)) == {}
    with pytest.raises(Refused, match="has no manifest; look at it, and move it by hand"):
        put_back(root, "debug__x")
    assert held(root) == ["debug__x"]


# -- what is held ---------------------------------------------------------------------------------


def test_what_is_held_is_measured_and_has_its_time(root: Path) -> None:
    path = make_entry(root, "debug/x")
    (path / "noise").write_bytes(os.urandom(50_000))
    os.link(path / "noise", root.parent / "kept")
    size = scanned(root)["debug/x"].size
    (outcome,) = set_aside(root, undo_for=HOUR).outcomes
    (one,) = undoable(root)
    assert (one.name, one.size) == ("debug__x", size)
    assert one.until == pytest.approx(outcome.until, abs=1e-3)
    assert 50_000 <= sum(link.size for link in one.links) < size


def test_without_a_root_nothing_is_held(root: Path) -> None:
    assert undoable(root) == ()
    assert not root.exists()


def test_a_root_that_cannot_be_read_is_an_error(root: Path) -> None:
    make_entry(root, "debug/x")
    set_aside(root)
    undo_area(root).chmod(0)
    with plain_user(), pytest.raises(StorageError):
        undoable(root)
    with plain_user():
        assert "Permission denied" in swept(root, NOTHING).problems[0].what
    undo_area(root).chmod(0o700)


def test_an_outcome_of_anything_else_can_not_be_undone(root: Path) -> None:
    make_entry(root, "debug/x")
    (outcome,) = swept(root).outcomes
    assert outcome == Outcome(outcome.step, "done", "", outcome.freed_bytes, None)


def test_a_sweep_in_the_background_deletes_what_is_past_its_time(two: Path) -> None:
    make_entry(two, "debug/x")

    def clean() -> dict[str, tuple[str, str]]:
        return forgotten(execute(prepare(two, EVERYTHING, time.time()), background=True))

    assert in_child(clean)["debug__old"][0] == "done"
    assert held(two) == ["debug__new"]
    until(lambda: in_holding(two) == in_holding(undo_area(two)) == [], "all is deleted")
