"""Adopting flat entries: what moves, what stays, and what a race or a kill leaves."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.core.adoption import Moved
from common.temp.core.policy import Policy
from common.temp.errors import StorageError
from common.temp.store.root.allocation import allocate
from common.temp.store.root.last_use import note_use
from common.temp.store.root.making import make_root
from common.temp.store.root.owner import owner_of
from common.temp.store.root.pinning import read_pin, write_pin
from common.temp.store.sweep.adoption import adopt, survey
from tests.store.children import in_child
from tests.support import (
    age,
    identity,
    immutable,
    listing,
    make_entry,
    mounted,
    plain_user,
    process,
    run,
    scanned,
    swept,
)

OLD = "old_1696348800"
MOVED = f"uncategorized/{OLD}"

WORKS_INSIDE = {
    "working directory": "import os, time; os.chdir({path!r});",
    "open file": "import time; file = open({path!r} + '/open', 'w');",
    "flock": "import fcntl, os, time; fd = os.open({path!r}, 0); fcntl.flock(fd, fcntl.LOCK_SH);",
    "lease": (
        "import time; from common.temp.store.root.owner import owner_of;"
        "from common.temp.store.root.making import make_root;"
        "make_root({root!r}); owner_of({root!r}).record({name!r});"
    ),
}


def adopted(root: Path, *exclude: str) -> dict[str, tuple[str, str]]:
    """What an adoption of `root` did: status and place of each entry, by its old path."""
    done = adopt(survey(root, exclude, time.time()), lambda moved: None)
    return {moved.entry.path: (moved.status, moved.path) for moved in done}


RENAME = "ctypes.dlsym"
"""What Python tells of the call that renames and replaces nothing."""


def kept(root: Path, *exclude: str) -> dict[str, str]:
    """What would stay at the top level of `root`, and by which rule."""
    return {
        verdict.entry.path: verdict.reason.rule
        for verdict in survey(root, exclude, time.time()).kept
    }


def adopted_while(root: Path, *meanwhile: tuple[str, int, Callable[[], object]]) -> Moved:
    """What became of the only flat entry of `root`, while processes of their own did `meanwhile`:
    what each does just before the adopting process makes that call for the n-th time.
    """

    def adopting() -> Moved:
        planned = survey(root, (), time.time())
        calls: Counter[str] = Counter()
        me = os.getpid()

        def hook(call: str, arguments: tuple[object, ...]) -> None:
            calls[call] += os.getpid() == me
            for when, number, work in meanwhile:
                if (when, number) == (call, calls[call]) and os.getpid() == me:
                    in_child(work)

        sys.addaudithook(hook)  # which stays to the end of this process
        (moved,) = adopt(planned, lambda moved: None)
        return moved

    return in_child(adopting)


# -- what moves ---------------------------------------------------------------------------------


def test_a_flat_entry_moves_with_all_that_it_holds(root: Path) -> None:
    flat = make_entry(root, OLD, files=3)
    make_entry(flat, "deep/er")
    before, was = listing(flat), identity(flat)

    assert adopted(root) == {OLD: ("done", MOVED)}

    assert not flat.exists()
    assert listing(root / MOVED) == before
    assert identity(root / MOVED) == was


def test_its_age_is_what_it_was(root: Path) -> None:
    flat = make_entry(root, OLD, age_hours=50)
    flat.chmod(0o750)
    before = scanned(root)[OLD]

    adopted(root)

    after = scanned(root)[MOVED]
    assert (after.changed, after.changed_in) == (before.changed, before.changed_in)
    assert (root / MOVED).stat().st_mode == 0o40750


def test_its_last_use_moves_with_it(root: Path) -> None:
    make_entry(root, OLD, age_hours=900)
    note_use(root, OLD)
    assert adopted(root) == {OLD: ("done", MOVED)}
    assert swept(root, Policy(max_age=3600)).done == ()
    assert (root / MOVED).is_dir()


def test_what_has_moved_is_not_moved_again(root: Path) -> None:
    make_entry(root, OLD)
    adopted(root)
    before = listing(root)

    assert adopted(root) == {}

    assert listing(root) == before


@pytest.mark.parametrize("taken", ["directory", "empty", "file", "symlink", "socket"])
def test_where_its_name_is_taken_it_gets_another_and_nothing_is_replaced(
    root: Path, taken: str
) -> None:
    make_entry(root, OLD, files=2)
    place = root / MOVED
    place.parent.mkdir()
    if taken == "directory":
        make_entry(root, MOVED, files=1)
    elif taken == "empty":
        place.mkdir()
    elif taken == "file":
        place.write_text("mine")
    elif taken == "symlink":
        place.symlink_to("nowhere")
    else:
        # By its name only: a socket's whole path may be but 107 bytes long.
        before = os.getcwd()
        os.chdir(place.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(place.name)
        os.chdir(before)
    was = identity(place)

    ((status, path),) = adopted(root).values()

    assert status == "done"
    assert path.startswith(f"{MOVED}-")
    assert listing(root / path) == ["file0.txt", "file1.txt"]
    assert identity(place) == was


# -- what stays ---------------------------------------------------------------------------------


def test_a_survey_writes_nothing(root: Path) -> None:
    make_entry(root, OLD)
    before = listing(root)

    assert [entry.path for entry in survey(root, (), time.time()).moves] == [OLD]

    assert listing(root) == before


def test_a_root_that_is_missing_is_not_made(root: Path) -> None:
    assert adopted(root) == {}

    assert not root.exists()


@pytest.mark.parametrize("how", WORKS_INSIDE)
def test_what_is_in_use_stays(root: Path, how: str) -> None:
    flat = make_entry(root, OLD)
    code = WORKS_INSIDE[how].format(path=str(flat), root=str(root), name=OLD)

    with process(code + "print('ready', flush=True); time.sleep(60)", cwd=root.parent):
        assert kept(root) == {OLD: "in use"}
        assert adopted(root) == {}
        assert flat.is_dir()

    assert adopted(root) == {OLD: ("done", MOVED)}


def test_what_this_very_process_holds_stays(root: Path) -> None:
    make_entry(root, OLD)
    make_root(str(root))
    owner_of(str(root)).record(OLD)

    assert adopted(root) == {}


def test_what_is_pinned_stays_and_stays_pinned(root: Path) -> None:
    make_entry(root, OLD)
    write_pin(root, OLD, "needed")

    assert kept(root) == {OLD: "pinned"}
    assert adopted(root) == {}

    assert read_pin(root, OLD) == "needed"


def test_what_is_excluded_stays(root: Path) -> None:
    make_entry(root, OLD)
    make_entry(root, "other_1696348800")

    assert kept(root, "old*") == {OLD: "excluded"}
    assert list(adopted(root, "old*")) == ["other_1696348800"]


def test_what_has_no_stamp_stays(root: Path) -> None:
    make_entry(root, "fixed")

    assert kept(root) == {"fixed": "no stamp"}
    assert adopted(root) == {}


@pytest.mark.parametrize("name", ["note_1696348800.txt", OLD])
def test_a_file_stays(root: Path, name: str) -> None:
    root.mkdir()
    (root / name).touch()

    assert kept(root) == {name: "not a directory"}
    assert adopted(root) == {}


def test_a_symlink_stays_and_its_target_too(root: Path, tmp_path: Path) -> None:
    outside = make_entry(tmp_path, "outside")
    root.mkdir()
    (root / OLD).symlink_to(outside)

    assert kept(root) == {OLD: "not a directory"}
    assert adopted(root) == {}

    assert (root / OLD).resolve() == outside


def test_entries_of_categories_and_what_the_root_keeps_for_itself_stay(root: Path) -> None:
    allocate(str(root), "own", "mine")
    make_entry(root, "debug/run_1696348800")
    before = listing(root)

    assert adopted(root) == {}

    assert listing(root) == before


def test_an_entry_with_another_filesystem_in_it_stays(root: Path) -> None:
    make_entry(root, OLD)

    with mounted(root / OLD / "inside", "size=1m"):
        assert kept(root) == {OLD: "mounted"}
        assert adopted(root) == {}


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("latest", OLD),
        ("latest", "./" + OLD),
        ("latest", f"{OLD}/file0.txt"),
        ("latest", "{root}/" + OLD),
        ("debug/run_1696348800/input", "../../" + OLD),
        (f"{OLD}/data", "../debug/run_1696348800"),
        (f"{OLD}/deep/data", "../../../shared"),
        (f"{OLD}/itself", "{root}/" + OLD + "/file0.txt"),
    ],
)
def test_an_entry_whose_move_would_send_a_symlink_astray_stays(
    root: Path, place: str, target: str
) -> None:
    make_entry(root, OLD)
    make_entry(root, f"{OLD}/deep")
    make_entry(root, "debug/run_1696348800")
    (root / place).symlink_to(target.format(root=root))

    assert kept(root)[OLD] == "linked"
    assert adopted(root) == {}


@pytest.mark.parametrize(
    ("place", "target"),
    [
        (f"{OLD}/inside", "file0.txt"),
        (f"{OLD}/deep/inside", "../file0.txt"),
        (f"{OLD}/outside", "/etc/hostname"),
        (f"{OLD}/broken", "nowhere"),
        ("latest", "debug"),
        ("latest", OLD + "0"),
    ],
)
def test_an_entry_whose_symlinks_lead_where_they_led_moves(
    root: Path, place: str, target: str
) -> None:
    make_entry(root, OLD)
    make_entry(root, f"{OLD}/deep")
    (root / place).symlink_to(target)

    assert adopted(root) == {OLD: ("done", MOVED)}

    if place.startswith(OLD):
        assert os.readlink(root / "uncategorized" / place) == target


@pytest.mark.parametrize("kind", ["symlink", "file"])
def test_where_the_category_is_no_directory_nothing_moves(
    root: Path, tmp_path: Path, kind: str
) -> None:
    make_entry(root, OLD)
    (tmp_path / "elsewhere").mkdir()
    if kind == "symlink":
        (root / "uncategorized").symlink_to(tmp_path / "elsewhere")
    else:
        (root / "uncategorized").touch()

    with pytest.raises(StorageError, match=r"uncategorized: .*; make it a plain directory"):
        adopted(root)

    assert (root / OLD / "file0.txt").is_file()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_one_that_is_read_only_moves_and_stays_so(root: Path) -> None:
    make_entry(root, OLD).chmod(0o500)

    with plain_user():
        assert adopted(root) == {OLD: ("done", MOVED)}

    assert (root / MOVED).stat().st_mode == 0o40500
    assert listing(root / MOVED) == ["file0.txt"]


def test_one_that_cannot_be_moved_is_an_outcome_and_the_others_move(root: Path) -> None:
    flat = make_entry(root, OLD)
    make_entry(root, "other_1696348800")

    with immutable(flat):
        found = adopted(root)

    assert found == {
        OLD: ("failed", OLD),
        "other_1696348800": ("done", "uncategorized/other_1696348800"),
    }
    assert listing(root / OLD) == ["file0.txt"]
    assert os.listdir(root / "uncategorized") == ["other_1696348800"]


# -- what has changed since the survey ----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ("gone", "is gone already"),
        ("replaced", "is no longer the one that was looked at"),
        ("a file", "is gone already"),
        ("pinned", "has been pinned meanwhile"),
        ("locked", "in use: a process holds a lock (flock) on it"),
        ("leased", "in use: pid "),
    ],
)
def test_what_has_changed_since_the_survey_stays_as_it_is(
    root: Path, change: str, detail: str
) -> None:
    flat = make_entry(root, OLD)
    planned = survey(root, (), time.time())
    told: list[Moved] = []
    if change in ("gone", "replaced", "a file"):
        flat.rename(root / "aside")
    if change == "replaced":
        make_entry(root, OLD)
    elif change == "a file":
        flat.touch()
    elif change == "pinned":
        write_pin(root, OLD, "needed")
    elif change == "leased":
        make_root(str(root))
        owner_of(str(root)).record(OLD)
    before = listing(root)

    if change == "locked":
        code = WORKS_INSIDE["flock"].format(path=str(flat))
        with process(code + "print('ready', flush=True); time.sleep(60)", cwd=root.parent):
            (moved,) = adopt(planned, told.append)
    else:
        (moved,) = adopt(planned, told.append)

    assert (moved.status, moved.detail[: len(detail)]) == ("skipped", detail)
    assert told == [moved]
    assert set(listing(root)) == {*before, "uncategorized"}


# -- races, made to happen ------------------------------------------------------------------------


def test_one_that_is_pinned_at_the_moment_of_the_move_goes_back_to_its_place(root: Path) -> None:
    make_entry(root, OLD)

    moved = adopted_while(root, (RENAME, 1, lambda: write_pin(root, OLD, "now")))

    assert (moved.status, moved.path) == ("skipped", OLD)
    assert (root / OLD / "file0.txt").is_file()
    assert os.listdir(root / "uncategorized") == []


def test_one_that_is_replaced_at_the_moment_of_the_move_goes_back_to_its_place(
    root: Path,
) -> None:
    flat = make_entry(root, OLD)

    def replace() -> None:
        flat.rename(root / "aside")
        make_entry(root, OLD, files=2)

    moved = adopted_while(root, (RENAME, 1, replace))

    assert (moved.status, moved.detail) == ("skipped", "was replaced at this moment")
    assert listing(flat) == ["file0.txt", "file1.txt"]
    assert listing(root / "aside") == ["file0.txt"]


def test_one_that_another_adoption_moved_while_this_one_waited_for_the_lock_is_gone(
    root: Path,
) -> None:
    make_entry(root, OLD)

    # The first lock is for the turn to ask for the second.
    moved = adopted_while(root, ("fcntl.flock", 1, lambda: adopted(root)))

    assert (moved.status, moved.detail) == ("skipped", "is gone already")
    assert os.listdir(root / "uncategorized") == [OLD]


def test_one_that_goes_at_the_moment_of_the_move_leaves_nothing_behind(root: Path) -> None:
    flat = make_entry(root, OLD)

    moved = adopted_while(root, (RENAME, 1, lambda: shutil.rmtree(flat)))

    assert (moved.status, moved.detail) == ("skipped", "is gone already")
    assert os.listdir(root / "uncategorized") == []


def test_what_is_put_under_its_new_name_at_the_moment_of_the_move_is_not_replaced(
    root: Path,
) -> None:
    make_entry(root, OLD)

    moved = adopted_while(root, (RENAME, 1, lambda: make_entry(root, MOVED, files=2)))

    assert moved.path.startswith(f"{MOVED}-")
    assert listing(root / MOVED) == ["file0.txt", "file1.txt"]
    assert listing(root / moved.path) == ["file0.txt"]


def test_one_that_was_moved_to_another_name_goes_back_to_its_own(root: Path) -> None:
    make_entry(root, OLD)
    make_entry(root, MOVED, files=2)

    # The first finds its name taken.
    moved = adopted_while(root, (RENAME, 2, lambda: write_pin(root, OLD, "now")))

    assert (moved.status, moved.path) == ("skipped", OLD)
    assert listing(root / OLD) == ["file0.txt"]
    assert os.listdir(root / "uncategorized") == [OLD]


def test_one_that_cannot_go_back_says_where_it_is(root: Path) -> None:
    make_entry(root, OLD)

    moved = adopted_while(
        root,
        (RENAME, 1, lambda: write_pin(root, OLD, "now")),
        (RENAME, 2, lambda: make_entry(root, OLD, files=2)),
    )

    assert (moved.status, moved.path) == ("failed", MOVED)
    assert moved.detail == "has been pinned meanwhile, but its place is taken"
    assert listing(root / MOVED) == ["file0.txt"]
    assert listing(root / OLD) == ["file0.txt", "file1.txt"]


# -- many at once, and kills ----------------------------------------------------------------------


def test_adopters_at_once_move_each_entry_once(root: Path) -> None:
    names = [f"old{number}_1696348800" for number in range(40)]
    for name in names:
        (make_entry(root, name) / "name").write_text(name)

    def adopting() -> int:
        status = 0
        for moved in adopt(survey(root, (), time.time()), lambda moved: None):
            if moved.status == "failed":
                status = 1
        return status

    codes = _side_by_side([adopting] * 4)

    assert codes == [0, 0, 0, 0]
    assert sorted(os.listdir(root / "uncategorized")) == sorted(names)
    assert [(root / "uncategorized" / name / "name").read_text() for name in names] == names
    assert [name for name in os.listdir(root) if name.startswith("old")] == []


def test_a_sweep_beside_it_and_an_adoption_lose_nothing_that_is_kept(root: Path) -> None:
    names = [f"old{number}_1696348800" for number in range(40)]
    for number, name in enumerate(names):
        make_entry(root, name)
        age(root / name, 50 if number % 2 else 0)

    def sweeping() -> int:
        return int(swept(root, Policy(max_age=3600.0), workers=1).failed)

    def adopting() -> int:
        done = adopt(survey(root, (), time.time()), lambda moved: None)
        return int(any(moved.status == "failed" for moved in done))

    assert _side_by_side([sweeping, adopting, sweeping, adopting]) == [0, 0, 0, 0]

    left = {path.rpartition("/")[2] for path in scanned(root)}
    assert left >= set(names[::2])
    assert all(list((root / path).iterdir()) for path in scanned(root))


def _side_by_side(work: list[Callable[[], int]]) -> list[int]:
    """The exit codes of processes that each do one of `work`, all at once."""
    children = []
    reading, writing = os.pipe()
    for one in work:
        child = os.fork()
        if not child:
            code = 99
            try:
                os.close(writing)
                os.read(reading, 1)  # until all are there
                code = one()
            finally:
                os._exit(code)
        children.append(child)
    os.close(writing)
    os.close(reading)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_a_kill_at_any_instant_leaves_the_entry_whole_and_the_next_adoption_ends_it(
    root: Path,
) -> None:
    instants = 0
    while True:
        make_entry(root, OLD, files=2)
        if not _killed_at(root, instants):
            break
        instants += 1
        whole = [path for path in (root / OLD, root / MOVED) if path.exists() and listing(path)]
        assert [listing(path) for path in whole] == [["file0.txt", "file1.txt"]]
        adopted(root)
        assert os.listdir(root / "uncategorized") == [OLD]
        assert not (root / OLD).exists()
        shutil.rmtree(root)

    assert instants > 5  # one of them after the rename
    assert listing(root / MOVED) == ["file0.txt", "file1.txt"]


_INSTANTS = ("os.mkdir", RENAME, "os.listdir", "fcntl.flock")


def _place(what: object) -> str:
    """Where a call takes place that was given a path or an open directory."""
    if isinstance(what, int):
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/self/fd/{what}")
    return str(what)


def _killed_at(root: Path, instant: int) -> bool:
    """Whether an adoption was killed before the call of that number, of all `_INSTANTS`."""
    child = os.fork()
    if not child:
        planned = survey(root, (), time.time())
        left = [instant]

        def hook(name: str, arguments: tuple[object, ...]) -> None:
            if name in _INSTANTS and not _place(arguments[0]).startswith("/proc"):
                left[0] -= 1
                if left[0] == -1:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        adopt(planned, lambda moved: None)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_flock_in_a_shell_keeps_an_entry_where_it_is(root: Path) -> None:
    flat = make_entry(root, OLD)

    command = ["flock", str(flat), sys.executable, "-m", "invoke", "temp-adopt"]
    done = run(command, cwd=root.parent)

    assert "in use: a process holds a lock (flock) on it" in done.stdout
    assert flat.is_dir()
