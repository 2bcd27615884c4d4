"""What counts as an entry or a category, and how one is found by name."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from common.temp.contexts import get_debug_temp_dir
from common.temp.errors import InvalidSettings, StorageError
from common.temp.pins import pin
from common.temp.store.root import listing as listings
from common.temp.store.root.allocation import allocate
from common.temp.store.root.find_entry import find_entry, locate
from common.temp.store.root.leases import Leases
from common.temp.store.root.listing import list_entries, listing
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from tests.support import (
    make_entry,
    plain_user,
    process,
    scanned,
)


def test_a_holding_area_that_cannot_be_read_is_an_error(root: Path) -> None:
    make_root(str(root))
    (root / ".tempkeep" / "holding").chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot list .*holding: Permission"):
        scan(root, time.time())


def test_a_category_that_vanishes_while_the_root_is_listed_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x")
    make_entry(root, "work/y")
    real = listings._children_of_category

    def vanish(path: str, known: bool) -> list[str] | None:
        shutil.rmtree(root / "debug", ignore_errors=True)
        return real(path, known)

    monkeypatch.setattr(listings, "_children_of_category", vanish)
    assert list_entries(root) == [root / "work" / "y"]


@pytest.mark.parametrize(
    ("made", "seen"),
    [
        (["debug/x"], {"debug/x": "debug"}),
        (["uncategorized/x"], {"uncategorized/x": "uncategorized"}),
        (["x_1696348800"], {"x_1696348800": "uncategorized"}),
        (["x_1696348800/y_1696348800"], {"x_1696348800": "uncategorized"}),
        (["x"], {"x": "uncategorized"}),
        (["mine/x"], {"mine": "uncategorized"}),
        (["mine/x_1696348800"], {"mine/x_1696348800": "mine"}),
        (["mine/x_1696348800", "mine/y"], {"mine": "uncategorized"}),
        (["mine/x", "mine/.tempkeep-category"], {"mine/x": "mine"}),
        (["m_1696348800/x", "m_1696348800/.tempkeep-category"], {"m_1696348800/x": "m_1696348800"}),
        ([".hidden/x"], {".hidden": "uncategorized"}),
    ],
)
def test_what_is_a_category_and_what_an_entry(
    root: Path, made: list[str], seen: dict[str, str]
) -> None:
    for relative in made:
        make_entry(root, relative)
    assert {entry.path: entry.category for entry in scanned(root).values()} == seen


def test_a_category_of_ones_own_is_known_by_its_records(root: Path) -> None:
    path = Path(allocate(str(root), "mine", "x"))
    (root / "mine" / ".tempkeep-category").unlink()
    make_entry(root, "mine/by hand")
    assert set(scanned(root)) == {"mine/by hand", f"mine/{path.name}"}


def test_a_directory_with_settings_of_its_own_is_a_category_whatever_lies_in_it(root: Path) -> None:
    """Or a stray file would make it one entry, for which the protections set for it do not hold."""
    (root.parent / "pyproject.toml").write_text(
        '[tool.tempkeep.category.render]\nexclude = ["golden"]\n[tool.tempkeep.category.pipeline]\n'
    )
    for name in ("render/golden", "render/.DS_Store", "other/x", "pipeline/x"):
        make_entry(root, name)
    seen = {entry.path: entry.category for entry in scanned(root).values()}
    assert seen == {
        "render/golden": "render",
        "render/.DS_Store": "render",
        "other": "uncategorized",
        "pipeline": "uncategorized",  # whose settings are for the runs of a pipeline
    }
    (root.parent / "pyproject.toml").write_text("[tool.tempkeep]\nno = 1\n")
    assert len(scanned(root)) == 3


def test_what_the_program_keeps_in_a_root_is_no_entry(root: Path) -> None:
    get_debug_temp_dir("x")
    make_entry(root, ".tempkeep/holding/aa")
    make_entry(root, ".tempkeep-held-bb")
    assert len(scanned(root)) == 1
    assert [left.name for left in scan(root, 0).leftovers] == ["aa", ".tempkeep-held-bb"]


@pytest.mark.parametrize("text", [".tmp/debug/x/deep/er", ".tmp/debug/x", "debug/x", "x"])
def test_an_entry_is_found_by_path_and_by_name(root: Path, text: str) -> None:
    make_entry(root, "debug/x/deep/er")
    make_entry(root, "debug/y")
    assert find_entry(text, root) == (root, "debug/x")


def test_a_name_that_two_entries_have_needs_its_category(root: Path) -> None:
    make_entry(root, "debug/x")
    make_entry(root, "cache/x")
    with pytest.raises(
        InvalidSettings, match=r"^x could be cache/x or debug/x; give the category too$"
    ):
        find_entry("x", root)
    assert find_entry("cache/x", root) == (root, "cache/x")


@pytest.mark.parametrize("make", [True, False])
def test_what_is_no_entry_is_an_error(root: Path, make: bool) -> None:
    if make:
        make_entry(root, "debug/y")
    with pytest.raises(InvalidSettings, match=r"x is not an entry of .*\.tmp; `temp-status` lists"):
        find_entry("x", root)
    for path in (root / "debug" / "x", root, root.parent, Path("/")):
        with pytest.raises(InvalidSettings, match=r"is in no entry; `temp-status` lists them"):
            locate(path)


def test_a_path_in_the_users_own_root_is_found(own_system_temp: Path) -> None:
    path = Path(allocate(str(own_system_temp / f"tempkeep-{os.geteuid()}"), "auto", "x"))
    assert locate(path / "file") == (path.parent.parent, f"auto/{path.name}")
    assert pin(path, "why") == path


def test_leftovers_are_told_with_whether_a_sweep_is_at_them(root: Path) -> None:
    make_root(str(root))
    holding = root / ".tempkeep" / "holding"
    for name in ("left", "locked"):
        (holding / name).mkdir()
    (holding / "link").symlink_to("nowhere")
    code = (
        "import fcntl, os; d = os.open('locked', 0); fcntl.flock(d, 2); print(1, flush=True);"
        "input()"
    )
    with process(code, cwd=holding):
        seen = {left.name: left.being_freed for left in scan(root, 0).leftovers}
    assert seen == {"left": False, "link": False, "locked": True}


def test_a_listing_is_sorted(root: Path) -> None:
    names = ["debug/b", "debug/a", "c_1696348800", "cache/z"]
    for name in names:
        make_entry(root, name)
    found, _ = listing(root, Leases(root))
    assert [item.path for item in found] == ["c_1696348800", "cache/z", "debug/a", "debug/b"]
    assert list_entries(root) == [root / item.path for item in found]
