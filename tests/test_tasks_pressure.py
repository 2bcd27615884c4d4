"""Water marks on small private disks: when a clean begins, when it stops, what it removes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.store.root.pinning import write_pin
from common.temp.store.settings.loading import load
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import age, ext4, inv, listing, make_project, mounted, outcomes

MIB = 1 << 20
SETTINGS = """
[tool.tempkeep]
high_water = "85%"
low_water = "80%"
exclude = ["golden_*"]
[tool.tempkeep.category.cache]
cost = 1
[tool.tempkeep.category.work]
cost = 5
"""


@pytest.fixture(params=["tmpfs", "ext4"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A project with water marks, on a disk of its own of 32 MiB."""
    tmpfs = mounted(tmp_path / "disk", f"size={32 * MIB}")
    with tmpfs if request.param == "tmpfs" else ext4(tmp_path, megabytes=32) as disk:
        yield make_project(disk / "project", SETTINGS)


def used(project: Path) -> float:
    """The share of the disk that is used, as `df` reckons it."""
    told = os.statvfs(project)
    taken = told.f_blocks - told.f_bfree
    return taken / (taken + told.f_bavail)


def put(project: Path, name: str, hours: float, size: float = 2) -> Path:
    """An entry of so many MiB that has last changed so many hours ago."""
    path = project / ".tmp" / name
    path.mkdir(parents=True)
    (path / "noise").write_bytes(os.urandom(int(size * MIB)))
    age(path, hours)
    return path


def fill_up(project: Path, share: float) -> Path:
    """Let that share of the disk be used, by something that is not ours."""
    filler = project.parent / "filler"
    told = os.statvfs(project)
    capacity = told.f_blocks - told.f_bfree + told.f_bavail
    blocks = int((share - used(project)) * capacity) + 1
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, blocks * told.f_frsize)
    assert used(project) >= share
    return filler


def test_above_high_water_the_cheapest_go_until_less_than_low_water_is_used(project: Path) -> None:
    dear = put(project, "work/dear_1696348800", 900)
    cheap = [
        put(project, f"cache/{name}_1696348800", hours)
        for name, hours in zip("abc", (9, 8, 7), strict=True)
    ]
    fill_up(project, 0.90)

    asked = inv("temp-clean", "--dry-run", cwd=project)
    assert asked.stdout.count("would delete cache/") == 2
    assert "% full > high_water 85 %; cost 1)" in asked.stdout

    done = inv("temp-clean", "--yes", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert used(project) < 0.80
    assert [path.exists() for path in (*cheap, dear)] == [False, False, True, True]


def test_between_the_marks_nothing_goes(project: Path) -> None:
    put(project, "cache/a_1696348800", 9)
    fill_up(project, 0.82)
    done = inv("temp-clean", "--yes", cwd=project)
    assert done.returncode == 0
    assert "cleaned 0 entries" in done.stdout
    assert "low space" not in done.stdout
    assert used(project) > 0.82


def test_what_holds_the_space_is_said_where_the_low_mark_cannot_be_reached(project: Path) -> None:
    held = [
        put(project, name, 9, size=1)
        for name in ("cache/a_1696348800", "cache/b_1696348800", "work/golden_1696348800")
    ]
    gone = put(project, "cache/c_1696348800", 2, size=1)
    fill_up(project, 0.95)
    write_pin(project / ".tmp", "cache/a_1696348800", "mine")
    lock = os.open(held[1], os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = inv("temp-clean", "--yes", cwd=project)
    finally:
        os.close(lock)
    assert (done.returncode, done.stderr) == (0, "")
    assert used(project) > 0.80
    assert [path.exists() for path in (*held, gone)] == [True, True, True, False]
    last = done.stdout.splitlines()[-1]
    assert last.startswith("project: low space: ")
    assert last.endswith("held by what stays: 1.0 MiB excluded, 1.0 MiB in use, 1.0 MiB pinned")


def test_a_sweep_stops_when_somebody_else_has_freed_enough_meanwhile(project: Path) -> None:
    for name, hours in zip("abc", (9, 8, 7), strict=True):
        put(project, f"cache/{name}_1696348800", hours, size=1)
    filler = fill_up(project, 0.95)
    plan = prepare(project / ".tmp", load(project).policy, time.time())
    assert len(plan.steps) == 3

    report = execute(plan, on_outcome=lambda outcome: filler.unlink(missing_ok=True))
    skipped = ("skipped", "enough is free now")
    assert [*outcomes(report).values()] == [("done", ""), skipped, skipped]
    assert report.free is not None
    assert plan.shortfall(report.free) is None


def test_what_two_entries_share_is_freed_with_the_second_and_no_more_goes(project: Path) -> None:
    first = put(project, "cache/a_1696348800", 9, size=4)
    second = put(project, "cache/b_1696348800", 8, size=0)
    (second / "noise").unlink()
    os.link(first / "noise", second / "noise")
    age(second, 8)
    other = put(project, "cache/c_1696348800", 7, size=4)
    fill_up(project, 0.90)
    plan = prepare(project / ".tmp", load(project).policy, time.time())
    assert len(plan.steps) == 2, "together they free enough, and neither does by itself"
    report = execute(plan)
    assert [status for status, _ in outcomes(report).values()] == ["done", "done"]
    assert plan.planned_bytes == report.freed_bytes
    assert used(project) < 0.80
    assert other.exists()


def test_what_is_over_another_limit_goes_also_where_enough_is_free(project: Path) -> None:
    text = SETTINGS.replace("[tool.tempkeep]", "[tool.tempkeep]\nmax_age_hours = 24")
    (project / "pyproject.toml").write_text(text)
    old = put(project, "work/old_1696348800", 30)
    new = put(project, "cache/new_1696348800", 1)
    fill_up(project, 0.86)
    assert inv("temp-clean", "--yes", cwd=project).returncode == 0
    assert used(project) < 0.80
    assert (old.exists(), new.exists()) == (False, True)


def test_status_says_that_what_can_be_undone_goes_first_and_may_be_enough(project: Path) -> None:
    put(project, "cache/aside_1696348800", 9, size=4)
    assert inv("temp-clean", "--undoable", "--yes", "--everything", cwd=project).returncode == 0
    put(project, "cache/a_1696348800", 9)
    fill_up(project, 0.86)

    said = inv("temp-status", cwd=project).stdout
    assert "0 B reclaimable" in said
    assert "the next clean deletes 1 of them for good and frees 4.0 MiB" in said
    explained = inv("temp-explain", "cache/a_1696348800", cwd=project).stdout
    assert explained.startswith("cache/a_1696348800: stays, ")

    cleaned = inv("temp-clean", "--yes", cwd=project).stdout
    assert "deleted for good cache__aside_1696348800" in cleaned
    assert "cleaned 0 entries" in cleaned


def test_temp_explain_says_how_full_the_disk_is(project: Path) -> None:
    put(project, "cache/a_1696348800", 9)
    fill_up(project, 0.91)
    said = inv("temp-explain", "cache/a_1696348800", cwd=project).stdout
    assert "- low space: disk 91 % full > high_water 85 %; cost 1" in said
    assert "noise" in listing(project / ".tmp" / "cache" / "a_1696348800")
