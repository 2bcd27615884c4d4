"""Each disposal of an entry has all that it needs: a function, words, and a place in plan files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from common.temp.core.disposal import DISPOSALS, Disposal
from common.temp.errors import InvalidSettings
from common.temp.store.sweep.plan_file import read_plan, write_plan
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.ways import WAYS
from tests.support import EVERYTHING, make_entry

OF_ENTRIES = [disposal for disposal, row in DISPOSALS.items() if not row.from_archive]
OF_ARCHIVES = [disposal for disposal, row in DISPOSALS.items() if row.from_archive]


def test_there_is_a_way_for_each_disposal_of_an_entry_and_for_no_other() -> None:
    assert set(WAYS) == set(OF_ENTRIES)


@pytest.mark.parametrize("disposal", OF_ENTRIES)
def test_what_does_not_free_space_says_so_in_the_plan_the_report_and_the_shortfall(
    disposal: Disposal,
) -> None:
    row = DISPOSALS[disposal]
    said = [bool(row.planned), bool(row.reported), bool(row.held)]
    assert said == [not row.is_final] * 3


@pytest.mark.parametrize("disposal", DISPOSALS)
def test_a_plan_file_keeps_each_disposal_of_an_entry_and_takes_no_other(
    root: Path, tmp_path: Path, disposal: Disposal
) -> None:
    make_entry(root, "debug/x")
    path = tmp_path / "plan.json"
    write_plan(path, [prepare(root, EVERYTHING, time.time(), disposal=disposal)], "now")
    if disposal in OF_ARCHIVES:
        with pytest.raises(InvalidSettings, match="is not a plan"):
            read_plan(path)
    else:
        assert [one.disposal for one in read_plan(path)] == [disposal]
