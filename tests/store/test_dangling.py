"""The plan names symlinks from entries that stay into an entry that goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.store.sweep.prepare import prepare
from tests.support import HOUR, make_entry, tempkeep

OLD = "debug/old_1696348800"


def told(root: Path) -> list[tuple[str, str]]:
    plan = prepare(root, Policy(max_age=HOUR), time.time())
    return [(problem.path, problem.what) for problem in plan.problems if not problem.blocking]


@pytest.fixture
def stays(root: Path) -> Path:
    """An entry that stays, beside an old one that goes."""
    make_entry(root, OLD, age_hours=48)
    return make_entry(root, "work/new")


def test_a_link_that_will_lead_nowhere_is_named_however_it_is_written(
    root: Path, stays: Path, tmp_path: Path
) -> None:
    deep = stays / "a" / "b"
    deep.mkdir(parents=True)
    for number, target in enumerate((f"{root / OLD}/file0.txt", f"../../../../{OLD}")):
        os.symlink(target, deep / "link")
        assert told(root) == [("work/new", f"its link a/b/link leads into {OLD}, which goes")], (
            number
        )
        (deep / "link").unlink()
    os.symlink(f"../{OLD}", root / "work" / "latest")
    assert told(root) == [("work/latest", f"it is a link that leads into {OLD}, which goes")]


def test_a_link_to_what_stays_or_from_what_goes_is_not_named(
    root: Path, stays: Path, tmp_path: Path
) -> None:
    make_entry(root, "debug/newer")
    for number, target in enumerate(
        ("../../debug/newer", "file0.txt", str(tmp_path), "/", "..", f"{root}", f"{root / OLD}-x")
    ):
        os.symlink(target, stays / f"link{number}")
    os.symlink(root / OLD, root / OLD / "itself")
    os.utime(root / OLD / "itself", (0, 0), follow_symlinks=False)
    os.utime(root / OLD, (0, 0))
    assert told(root) == []


def test_the_dry_run_names_it_and_succeeds(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_entry(project / ".tmp", OLD, age_hours=48)
    os.symlink(project / ".tmp" / OLD, make_entry(project / ".tmp", "work/new") / "latest")
    assert tempkeep("temp-clean", "--dry-run", "--max-age-hours", "1") == 0
    said = capsys.readouterr()
    assert f"work/new: its link latest leads into {OLD}, which goes" in said.out + said.err
