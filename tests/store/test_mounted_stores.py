"""Filesystems that are mounted over a part of a root: what they hide stays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.temp.errors import Refused, TempError
from common.temp.store.root.allocation import allocate
from common.temp.store.root.leases import Leases
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import Pins, write_pin
from common.temp.store.sweep.discard import discard
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING, listing, make_entry, make_project, process, run, tempkeep


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """`source` is mounted at `place` as well; skips where we may not mount."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        place.mkdir(exist_ok=True)
    else:
        place.touch()
    done = run(["mount", "--bind", str(source), str(place)], cwd=source.parent)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        run(["umount", "--lazy", str(place)], cwd=source.parent)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = make_project(tmp_path / "project")
    monkeypatch.chdir(project)
    make_root(str(project / ".tmp"))
    return project


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """What somebody has mounted, which looks like leftovers, pins, owners and archives."""
    victim = tmp_path / "victim"
    for name in ("holding/x", "transfer-00", "batch-00", "debug__x_1500000000"):
        make_entry(victim, name)
    for name in ("f.json", "debug__x_1500000000.tempkeep.json", "1500000000-1-aa"):
        (victim / name).write_text("{}")
    return victim


@pytest.mark.parametrize(
    "part", ["", "/holding", "/undo", "/pins", "/owners", "/odd/deep", "/history.jsonl"]
)
def test_what_is_mounted_over_a_part_of_the_store_stays_and_so_does_all_else(
    project: Path, victim: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x_1500000000")
    source = victim / "f.json" if part == "/history.jsonl" else victim
    before = listing(victim), source.stat().st_size
    with bound(source, root / f".tempkeep{part}"):
        for command in (
            ("temp-clean", "--everything", "--yes"),
            ("temp-clean", "--everything", "--yes", "--undoable"),
            ("temp-clean", "--everything", "--yes", "--background"),
            ("temp-clean", "--strategy", "archive", "--max-age-hours", "0", "--yes"),
            ("clean",),
        ):
            assert tempkeep(*command) == 3, command
            said = capsys.readouterr().err
            assert f"{root}/.tempkeep{part} is a mount point" in said
            assert "unmount it" in said
            assert (listing(victim), source.stat().st_size) == before, command
        with pytest.raises(Refused, match="is a mount point"):
            write_pin(root, "debug/x_1500000000", "why")
        assert (root / "debug" / "x_1500000000").is_dir()
    assert tempkeep("temp-clean", "--everything", "--yes") == 0


@pytest.mark.parametrize("part", ["", "/holding", "/undo", "/owners"])
@pytest.mark.parametrize("disposal", ["delete", "undo"])
def test_a_mount_that_comes_after_the_scan_has_the_sweep_refused(
    project: Path, victim: Path, part: str, disposal: str
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x")
    before = listing(victim)
    plan = prepare(root, EVERYTHING, time.time(), disposal=disposal)  # type: ignore[arg-type]
    with bound(victim, root / f".tempkeep{part}"):
        with pytest.raises(Refused, match="is a mount point"):
            execute(plan)
        assert listing(victim) == before
    assert (root / "debug" / "x").is_dir()


@pytest.mark.parametrize("part", ["", "/undo"])
def test_a_list_of_what_can_be_restored_fails_for_that_root_and_shows_the_rest(
    project: Path, victim: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x_1500000000", age_hours=24 * 30)
    assert tempkeep("temp-clean", "--strategy", "archive") == 0
    capsys.readouterr()
    with bound(victim, root / f".tempkeep{part}"):
        assert tempkeep("temp-restore", "--list") == 1
        printed = capsys.readouterr()
        assert f"{root}/.tempkeep{part} is a mount point" in printed.err
        assert "debug__x_1500000000" in printed.out
        assert str(victim) not in printed.out
    assert tempkeep("temp-restore", "--list") == 0
    assert capsys.readouterr().err == ""


def test_a_mount_that_comes_amid_a_sweep_takes_no_protection_away(
    project: Path, victim: Path, tmp_path: Path
) -> None:
    root = project / ".tmp"
    code = "from common.temp import get_debug_temp_dir as d; print(d('live').name); input()"
    with process(code, cwd=project) as live:
        write_pin(root, "debug/pinned", "why")
        leases, pins = Leases(root), Pins(root)
        leases.refresh()
        path = f"debug/{live.first_line}"
        assert leases.use_of(path, time.time(), time.time()) is not None
        assert pins.of("debug/pinned") == "why"
        (tmp_path / "none").mkdir()
        for part in ("", "/owners", "/pins"):
            with bound(tmp_path / "none", root / f".tempkeep{part}"):
                for reader, its in ((leases, "/owners"), (pins, "/pins")):
                    if part in ("", its):
                        with pytest.raises(TempError):
                            reader.refresh()
                with pytest.raises(TempError):
                    Leases(root)
        leases.refresh()
        assert leases.use_of(path, time.time(), time.time()) is not None


@pytest.mark.parametrize("part", [".tempkeep", ".tempkeep/holding"])
def test_what_is_mounted_over_the_holding_area_of_an_archive_stays(
    project: Path, victim: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    make_entry(project / ".tmp", "debug/x")
    before = listing(victim)
    archive = project / ".tmp-archive"
    for place in (archive, project / ".tmp" / ".tempkeep" / "undo"):
        (place / part).mkdir(parents=True)
        with bound(victim, place / part):
            code = tempkeep("temp-clean", "--everything", "--yes")
            said = capsys.readouterr().err
            assert code in (1, 3)
            assert f"{place}/{part} is a mount point" in said
            assert listing(victim) == before
    assert os.listdir(archive / ".tempkeep") in ([], ["holding"])


# -- a category, an entry -------------------------------------------------------------------------


def test_what_is_mounted_as_a_category_stays_and_says_where_and_another_category_goes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x_1500000000")
    make_entry(project / "elsewhere", "y_1500000000")
    with bound(project / "elsewhere", root / "cache"):
        assert tempkeep("temp-clean", "--everything", "--yes") == 0
        said = capsys.readouterr()
        assert tempkeep("temp-explain", "cache/y_1500000000") == 0
        why = capsys.readouterr().out
    assert "another filesystem is mounted at cache" in why
    assert "another filesystem is mounted at cache/" not in why
    assert "failed" not in said.out + said.err
    assert (project / "elsewhere" / "y_1500000000").is_dir()
    assert not (root / "debug" / "x_1500000000").exists()


def test_what_cannot_be_moved_out_of_a_mounted_category_says_what_to_do(project: Path) -> None:
    root = project / ".tmp"
    (project / "elsewhere").mkdir()
    with bound(project / "elsewhere", root / "cache"):
        path = allocate(str(root), "cache", "x")
        relative = os.path.relpath(path, root)
        why = "cannot be moved aside: it or its directory is a mount point; unmount it first"
        assert discard(str(root), relative) == why
        assert os.path.isdir(path)


def test_what_is_mounted_as_an_entry_stays_and_one_beside_it_goes(
    project: Path, victim: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x_1500000000")
    before = listing(victim)
    with bound(victim, root / "debug" / "y_1500000000"):
        assert tempkeep("temp-clean", "--everything", "--yes") == 0
        said = capsys.readouterr()
        assert listing(victim) == before
        assert not (root / "debug" / "x_1500000000").exists()
    assert "1 mounted" in said.out + said.err
