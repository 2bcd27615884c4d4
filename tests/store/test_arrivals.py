"""What is noted of an entry's age counts until somebody touches the entry."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from common.temp.store.root.arrivals import Arrivals, forget_gone_arrivals, note_arrival
from tests.support import make_entry


def noted(root: Path, relative: str) -> tuple[float, float, bool] | None:
    top = os.lstat(root / relative)
    one = Arrivals(root).of(relative, top.st_ino, top.st_ctime_ns)
    return None if one is None else (one.arrived, one.changed, one.unfinished)


def test_it_says_what_was_noted_last(root: Path) -> None:
    make_entry(root, "work/x")
    assert noted(root, "work/x") is None
    note_arrival(root, "work/x", arrived=1.5, changed=2.5)
    assert noted(root, "work/x") == (1.5, 2.5, False)
    note_arrival(root, "work/x", arrived=1, changed=2, unfinished=True)
    assert noted(root, "work/x") == (1, 2, True)


@pytest.mark.parametrize("how", ["write", "chmod", "rename", "remake", "touch"])
def test_it_counts_no_more_once_somebody_touched_the_entry(root: Path, how: str) -> None:
    path = make_entry(root, "work/x")
    note_arrival(root, "work/x", arrived=1, changed=2, unfinished=True)
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
    note_arrival(root, "work/x", arrived=1, changed=2)
    (record,) = (root / ".tempkeep" / "arrivals").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    assert noted(root, "work/x") is None


def test_the_records_of_what_is_gone_go_and_others_stay(root: Path) -> None:
    for name in ("work/x", "work/y"):
        make_entry(root, name)
        note_arrival(root, name, arrived=1, changed=2)
    shutil.rmtree(root / "work/x")
    forget_gone_arrivals(root)
    assert len(list((root / ".tempkeep" / "arrivals").iterdir())) == 1
    assert noted(root, "work/y") == (1, 2, False)
