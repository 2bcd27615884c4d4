"""Killed undoable removal, undo and deletion: an entry is whole in one place, or gone."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.core.policy import Policy
from common.temp.store.archive.restore import finish_killed, restore
from common.temp.store.shelf.belongs import place_of
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.shelf.manifest import MANIFEST
from common.temp.store.shelf.undo import UndoArea, undo_area
from tests.faults.test_killed_archives import killed_before
from tests.faults.test_killed_sweeps import subreaper
from tests.store.trees import seen
from tests.support import EVERYTHING, age, in_holding, stored, swept

NOTHING = Policy()


class Case:
    """An entry, which is in its place or set aside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.area = undo_area(root)
        self.path = root / "debug" / "run_1696348800"
        self.whole = ""

    def build(self) -> None:
        """Make the entry anew."""
        (self.path / "deep" / "er").mkdir(parents=True)
        for number in range(3):
            (self.path / "deep" / f"file{number}").write_bytes(os.urandom(2000))
        os.link(self.path / "deep" / "file0", self.path / "other name")
        (self.path / "link").symlink_to("deep")
        (self.path / "deep" / "er" / "last").write_text("last")
        (self.path / "deep" / "er").chmod(0o500)
        age(self.path, 24)
        self.whole = seen(self.path)

    def set_aside(self) -> None:
        report = swept(self.root, EVERYTHING, disposal="undo", workers=1)
        assert [outcome.status for outcome in report.outcomes] == ["done"], report.outcomes

    def undo(self) -> None:
        (found,) = list_shelf(self.area, self.root)
        restore(UndoArea(self.root), found, place_of(found, self.root.parent, self.root))

    def forget(self) -> None:
        report = swept(self.root, NOTHING, workers=1)
        assert [outcome.status for outcome in report.dropped] == ["done"], report.dropped

    def grow_old(self) -> None:
        """Have its time be over."""
        for path in self.area.glob(f"*{MANIFEST}"):
            said = {**json.loads(path.read_text()), "undo_for": 0.0}
            path.write_text(json.dumps(said, indent=2))

    def where(self) -> str:
        """After the next sweep: where it is, whole; "" if it is gone."""
        report = swept(self.root, NOTHING, workers=1)
        assert report.problems == ()
        assert in_holding(self.root) == []
        assert not self.area.exists() or in_holding(self.area) == []
        found = list_shelf(self.area, self.root)
        assert len(stored(self.area)) == len(found) <= 1
        assert len(list(self.area.glob(f"*{MANIFEST}"))) == len(found)
        places = []
        if os.path.lexists(self.path):
            assert os.listdir(self.path.parent) == [self.path.name]
            places.append(("root", self.path))
        places += [("undo", self.area / archived.data) for archived in found]
        assert len(places) <= 1
        for name, path in places:
            assert seen(path) == self.whole
            return name
        return ""


@pytest.fixture
def case(base: Path) -> Case:
    return Case(base / "project" / ".tmp")


Figure = Callable[[str], None]


def test_setting_aside_that_is_killed_before_any_step_leaves_it_whole_in_one_place(
    case: Case, figure: Figure
) -> None:
    places: Counter[str] = Counter()
    step = 0
    case.build()
    with subreaper():
        while True:
            step += 1
            was_killed = killed_before(step, case.set_aside)
            place = case.where()
            if place == "undo":
                case.undo()
            if not was_killed:
                break
            places[place] += 1
    assert place == "undo"
    assert (places["root"] > 0, places[""]) == (True, 0)
    figure(
        f"10. SIGKILL before each of the {step - 1} steps of setting aside: whole in one place "
        f"each time ({places['root']} times its own, {places['undo']} set aside)"
    )


def test_undoing_that_is_killed_before_any_step_leaves_it_whole_in_one_place(
    case: Case, figure: Figure
) -> None:
    places: Counter[str] = Counter()
    step = 0
    case.build()
    with subreaper():
        case.set_aside()
        while True:
            step += 1
            was_killed = killed_before(step, case.undo)
            finish_killed(UndoArea(case.root), case.root)
            place = case.where()
            if place == "root":
                case.set_aside()
            if not was_killed:
                break
            places[place] += 1
    assert place == "root"
    assert (places["root"] > 0, places["undo"] > 0, places[""]) == (True, True, 0)
    figure(
        f"10. SIGKILL before each of the {step - 1} steps of undoing: whole in one place each time "
        f"({places['root']} times its own, {places['undo']} set aside)"
    )


def test_deleting_for_good_that_is_killed_before_any_step_is_finished_by_the_next_sweep(
    case: Case, figure: Figure
) -> None:
    step = 0
    halves = 0
    with subreaper():
        while True:
            step += 1
            case.build()
            case.set_aside()
            case.grow_old()
            was_killed = killed_before(step, case.forget)
            found = list_shelf(case.area, case.root)
            # Before the next sweep: what can still be undone is whole.
            assert all(seen(case.area / archived.data) == case.whole for archived in found)
            halves += bool(in_holding(case.area))
            assert case.where() == ""
            if not was_killed:
                break
    assert halves > 0
    figure(
        f"10. SIGKILL before each of the {step - 1} steps of deleting for good: never half of it "
        f"to be undone, and gone after the next sweep ({halves} left in the holding area)"
    )
