"""Nothing is older than its arrival, and nothing that a clean does makes an entry newer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.temp.core.entry import CLOCK_SKEW
from common.temp.core.policy import Policy
from common.temp.store.claiming import claim
from common.temp.store.claiming.area import claimed
from common.temp.store.root.arrivals import Arrival, Arrivals, note_arrival
from common.temp.store.root.pinning import write_pin
from common.temp.store.scanning.scan import scan
from common.temp.store.shelf import moving
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system.renaming import rename_new
from tests.support import (
    DAY,
    HOUR,
    age,
    forked,
    identity,
    immutable,
    listing,
    make_entry,
    only,
    outcomes,
    plain_user,
    scanned,
    swept,
)

OLD = Policy(max_age=DAY)
NOBODY = 12345


def noted(root: Path, relative: str) -> Arrival | None:
    top = os.lstat(root / relative)
    return Arrivals(root).of(relative, top.st_ino, top.st_ctime_ns)


def note(root: Path, relative: str, **changes: Any) -> None:
    top = os.lstat(root / relative)
    arrival = Arrival(1.0, 2.0, True, top.st_ino, top.st_ctime_ns)
    note_arrival(root, relative, arrival._replace(**changes))


# -- arrival --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bring",
    [
        "cp -a {old} .tmp/work/x",
        "mv {old} .tmp/work/x",
        "mkdir .tmp/work/x && tar xf {tar} -C .tmp/work/x",
        "mkdir .tmp/work/x_$(date +%s) && cp -a {old}/. .tmp/work/x_$(date +%s)/",
    ],
)
def test_what_comes_with_old_times_is_as_old_as_its_arrival(root: Path, bring: str) -> None:
    old = make_entry(root.parent / "elsewhere", "tool", age_hours=5000)
    (root / "work").mkdir(parents=True, exist_ok=True)
    tar = root.parent / "tool.tar"
    subprocess.run(["tar", "cf", tar, "-C", old, "."], check=True)
    subprocess.run(bring.format(old=old, tar=tar), shell=True, check=True, cwd=root.parent)
    plan = prepare(root, OLD, time.time())
    assert plan.steps == ()
    assert plan.kept[0].reason.evidence in ("0 h ≤ 24 h, arrived", "0 h ≤ 24 h")


def test_what_is_stamped_as_old_and_was_not_touched_since_is_old(root: Path) -> None:
    path = make_entry(root, "demo_1600000000")
    subprocess.run(["touch", "-d", "2020-09-13", path / "file0.txt", path], check=True)
    assert list(outcomes(swept(root, OLD))) == ["demo_1600000000"]


@pytest.mark.parametrize("ahead", [400 * DAY, 2 * HOUR])
def test_a_time_in_the_future_takes_no_place_and_keeps_nothing(root: Path, ahead: float) -> None:
    now = time.time()
    names = [f"debug/run_{int(now - hours * HOUR)}" for hours in (30, 20, 10)]
    for hours, name in zip((30, 20, 10), names, strict=True):
        age(make_entry(root, name), hours)
    os.utime(root / names[0] / "file0.txt", (now + ahead, now + ahead))
    assert list(outcomes(swept(root, Policy(max_count=2)))) == [names[0]]


def test_what_is_all_of_the_future_ages_from_the_first_clean(root: Path) -> None:
    make_entry(root, "debug/x")
    stamped = f"debug/y_{int(time.time()) - 100}"
    make_entry(root, stamped)
    then = time.time() - 40 * DAY  # a clock that was right again: the entries are from its future
    assert {one.last for one in scan(root, then).entries} == {then}
    plan = prepare(root, OLD, then)
    assert plan.steps == ()
    execute(plan)
    names = {"debug/x", stamped}
    assert {step.entry.path for step in prepare(root, OLD, then + DAY + 1).steps} == names
    age(root / "debug", 0.5)  # a record makes nothing older than its stamp, once that counts
    assert prepare(root, OLD, time.time() + HOUR).steps == ()


# -- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["write", "chmod", "rename", "remake", "touch"])
def test_a_record_does_not_count_once_somebody_touched_the_entry(root: Path, how: str) -> None:
    path = make_entry(root, "work/x")
    note(root, "work/x")
    assert noted(root, "work/x")
    time.sleep(0.02)  # the times of files go by ticks of some milliseconds
    if how == "write":
        (path / "new").write_text("")
    elif how == "chmod":
        path.chmod(0o711)
    elif how == "rename":
        path.rename(path.with_name("y"))
        path.with_name("y").rename(path)
    elif how == "remake":
        shutil.rmtree(path)
        path.mkdir()
    else:
        os.utime(path, (1, 1))
    assert noted(root, "work/x") is None


@pytest.mark.parametrize(
    "change",
    [
        {"arrived": "1"},
        {"changed": -1},
        {"changed": 1e999},
        {"unfinished": 1},
        {"inode": None},
        {"ctime_ns": True},
        {"path": "work/y"},
    ],
)
def test_a_record_that_is_none_counts_as_none(root: Path, change: dict[str, object]) -> None:
    make_entry(root, "work/x")
    note(root, "work/x")
    (record,) = (root / ".tempkeep" / "arrivals").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    assert noted(root, "work/x") is None
    assert not only(root).unfinished


def test_a_record_makes_an_entry_no_older_than_its_stamp_and_none_of_the_future_counts(
    root: Path,
) -> None:
    stamp = int(time.time()) - 100
    make_entry(root, f"work/x_{stamp}")
    note(root, f"work/x_{stamp}", unfinished=False)
    make_entry(root, "work/y")
    note(root, "work/y", arrived=time.time() + 2 * CLOCK_SKEW, unfinished=False)
    assert [one.arrived for one in scanned(root).values()] == [
        stamp,
        (root / "work/y").lstat().st_ctime_ns / 1e9,
    ]


def test_the_records_of_what_is_gone_go_and_others_stay(root: Path) -> None:
    for name in ("work/w", "work/x", "work/y"):
        make_entry(root, name, age_hours=12 if name == "work/y" else 48)
    shutil.rmtree(root / "work/x")
    swept(root, OLD)
    assert len(listing(root / ".tempkeep" / "arrivals")) == 1
    assert noted(root, "work/y")


# -- what is put back -----------------------------------------------------------------------------


def test_what_a_clean_claims_and_puts_back_keeps_its_age(root: Path) -> None:
    path = make_entry(root, "work/x")
    was = only(root)
    for _ in range(2):  # with a record of its own, too
        time.sleep(0.02)
        with claimed(root, "work/x", identity(path)) as taken:
            assert taken.put_back() == ""
        assert (only(root).arrived, only(root).changed) == (was.arrived, was.changed)
    path.rename(path.with_name("z"))
    path.mkdir()
    assert scanned(root)["work/x"].arrived > was.arrived  # another of that name


def test_what_is_put_back_under_another_name_keeps_its_age(root: Path) -> None:
    path = make_entry(root, "work/x")
    was = only(root)
    time.sleep(0.02)
    with claimed(root, "work/x", identity(path)) as taken:
        path.mkdir()
        assert "its place is taken" in taken.put_back()
    path.rmdir()
    assert (only(root).arrived, only(root).changed) == (was.arrived, was.changed)


def test_what_comes_back_from_the_archive_at_once_keeps_its_age(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "work/x", age_hours=48)
    was = only(root)

    def rename(*names: str, **where: Any) -> None:
        rename_new(*names, **where)
        monkeypatch.undo()
        write_pin(root, "work/x", "why")

    monkeypatch.setattr(moving, "rename_new", rename)
    done = swept(root, OLD, disposal="archive", archive=tmp_path / "archive")
    assert outcomes(done) == {"work/x": ("skipped", "has been pinned meanwhile")}
    assert only(root).last == was.last


def test_what_a_clean_cannot_even_claim_keeps_its_age(root: Path) -> None:
    path = make_entry(root, "work/x")
    was = only(root)
    time.sleep(0.02)
    path.chmod(0)
    age(path, 48)
    with plain_user():
        path.parent.chmod(0o500)
        done = swept(root, Policy(everything=True))
        path.parent.chmod(0o700)
    ((status, _),) = outcomes(done).values()
    assert (status, path.stat().st_mode & 0o777) == ("failed", 0o700)
    assert only(root).arrived < was.arrived


def test_a_process_that_dies_before_it_records_leaves_an_entry_that_counts_as_new(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "work/x", age_hours=48)
    monkeypatch.setattr(claim, "keep_age", lambda *_, **__: os._exit(9))
    child = os.fork()
    if child == 0:
        with claimed(root, "work/x", identity(path)) as taken:
            taken.put_back()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not only(root).unfinished
    assert prepare(root, OLD, time.time()).steps == ()
    assert listing(path) == ["file0.txt"]


# -- what is to be finished -----------------------------------------------------------------------


def test_a_removal_that_failed_is_tried_again_and_fails_until_it_is_done_or_pinned(
    root: Path,
) -> None:
    path = make_entry(root, "work/stuck", files=3, age_hours=72)
    make_entry(root, "work/new")
    clean = ("temp-clean", "--max-age-hours", "24")
    with immutable(path / "file1.txt"):
        for _ in range(2):
            done = forked(*clean, cwd=root.parent)
            assert (done.returncode, "file1.txt" in done.stderr + done.stdout) == (1, True)
            assert listing(path) == ["file1.txt"]
        explained = forked("temp-explain", "work/stuck", cwd=root.parent).stdout
        assert "would go, to be finished: a clean began to remove it" in explained
        write_pin(root, "work/stuck", "for the bug report")
        assert forked(*clean, cwd=root.parent).returncode == 0
        (root / ".tempkeep" / "pins").joinpath(*listing(root / ".tempkeep" / "pins")).unlink()
        assert forked(*clean, "--undoable", cwd=root.parent).returncode == 1
    assert forked(*clean, cwd=root.parent).returncode == 0
    assert listing(root / "work") == ["new", "new/file0.txt"]


@pytest.mark.parametrize("where", ["", "sub"])
def test_what_somebody_works_in_again_is_no_longer_to_be_finished(root: Path, where: str) -> None:
    path = make_entry(root, "work/stuck", age_hours=72)
    (path / "sub").mkdir()
    (path / "sub" / "kept").write_text("")
    age(path, 72)
    with immutable(path / "sub" / "kept"):
        swept(root, OLD)
        assert only(root).unfinished
        time.sleep(0.02)
        (path / where / "notes").write_text("")
        assert prepare(root, OLD, time.time()).steps == ()
        assert not only(root).unfinished


# -- whatever the times are -----------------------------------------------------------------------

_times = st.one_of(st.just(0), st.integers(-500, 500)).map(lambda hours: hours * HOUR)


@settings(max_examples=5)
@given(st.lists(st.tuples(_times, _times, st.booleans()), min_size=1, max_size=4))
def test_a_sweep_that_fails_makes_no_entry_younger_and_none_is_older_than_its_arrival(
    drawn: list[tuple[float, float, bool]],
) -> None:
    began = time.time()
    with tempfile.TemporaryDirectory() as made, plain_user():
        root = Path(made) / ".tmp"
        for index, (inside, top, is_ours) in enumerate(drawn):
            path = make_entry(root, f"work/{index}")
            (path / "sub").mkdir()
            (path / "sub" / "file").write_text("")
            os.utime(path / "sub" / "file", (began + inside, began + inside))
            os.utime(path, (began + top, began + top))
            if not is_ours:
                os.chown(path / "sub", NOBODY, NOBODY)
        before = scanned(root)
        assert all(began - 1 <= one.last <= time.time() + CLOCK_SKEW for one in before.values())
        swept(root, Policy(max_age=0.0))
        after = scanned(root)
        assert list(after) == [f"work/{i}" for i, one in enumerate(drawn) if not one[2]]
        for name, one in after.items():
            assert (one.unfinished, one.last) == (True, before[name].last)
