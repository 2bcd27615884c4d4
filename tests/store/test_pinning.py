"""Pins on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.temp.core.layouts import PINS
from common.temp.core.policy import Policy
from common.temp.errors import Refused, StorageError
from common.temp.store.root.making import make_root
from common.temp.store.root.pinning import pin_there, read_pin, remove_pin, write_pin
from common.temp.store.root.records import forget_gone
from tests.support import age, ext4, fill, make_entry, outcomes, plain_user, scanned, swept


def pin_files(root: Path) -> list[Path]:
    return sorted((root / ".tempkeep" / "pins").iterdir())


@pytest.mark.parametrize(
    "policy",
    [Policy(everything=True), Policy(max_age=0), Policy(everything=True, spare_in_use=False)],
)
def test_a_pinned_entry_stays_whatever_the_limits(root: Path, policy: Policy) -> None:
    path = make_entry(root, "debug/x", age_hours=1000)
    make_entry(root, "debug/y", age_hours=1000)
    write_pin(root, "debug/x", "for the talk")
    assert outcomes(swept(root, policy)) == {"debug/y": ("done", "")}
    assert path.is_dir()
    assert scanned(root)["debug/x"].pin == "for the talk"


def test_what_is_gone_once_it_is_pinned_is_an_error(root: Path) -> None:
    """As when a clean had just begun to delete it."""
    make_entry(root, "debug/x")
    pin_there(root, "debug/x", "here")
    with pytest.raises(StorageError, match="debug/y is gone; make it again"):
        pin_there(root, "debug/y", "not here")


def test_a_pin_keeps_what_is_in_a_root_in_its_entry(root: Path) -> None:
    inner = make_entry(root, "work/clone") / ".tmp"
    pinned, other = make_entry(inner, "cache/input"), make_entry(root, "work/other")
    make_entry(other / ".tmp", "cache/input")
    write_pin(root, "work/clone", "the July report")
    assert swept(inner).outcomes == ()
    assert scanned(inner)["cache/input"].pin == f"the July report (on {root}/work/clone)"
    assert pinned.exists()
    assert len(swept(other / ".tmp").done) == 1
    pin_files(root)[0].write_text('{"path": "work/clo')
    assert swept(inner).outcomes == ()
    assert scanned(inner)["cache/input"].pin == f"the pin's reason cannot be read (in {root})"


def test_a_pin_stays_while_a_sweep_may_put_its_entry_back(root: Path) -> None:
    taken, aside = make_entry(root, "debug/x"), root / ".tempkeep" / "aside"
    make_entry(root, "debug/y")
    write_pin(root, "debug/x", "while it is taken")
    taken.rename(aside)
    assert outcomes(swept(root)) == {"debug/y": ("done", "")}
    aside.rename(taken)
    assert swept(root).outcomes == ()
    taken.rename(root.parent / "gone")
    age(pin_files(root)[0], hours=25)
    make_entry(root, "debug/y")
    swept(root)
    assert pin_files(root) == [], "nobody takes that long"


def test_an_unpinned_entry_goes(root: Path) -> None:
    make_entry(root, "debug/x")
    write_pin(root, "debug/x", "no more")
    assert remove_pin(root, "debug/x")
    assert not remove_pin(root, "debug/x")
    assert outcomes(swept(root)) == {"debug/x": ("done", "")}


def test_pinning_again_replaces_the_reason(root: Path) -> None:
    make_entry(root, "debug/x")
    write_pin(root, "debug/x", "one")
    write_pin(root, "debug/x", "two")
    assert read_pin(root, "debug/x") == "two"
    assert len(pin_files(root)) == 1


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff\xfe\n"), "x" * 255, "a b"])
def test_any_name_can_be_pinned(root: Path, name: str) -> None:
    make_entry(root, f"debug/{name}")
    write_pin(root, f"debug/{name}", "odd")
    assert scanned(root)[f"debug/{name}"].pin == "odd"
    assert read_pin(root, "debug/other") is None


def test_a_pin_that_cannot_be_read_is_a_pin_until_it_is_removed(root: Path) -> None:
    texts = [
        "", "[]", '{"path": "debug/0"}', '{"path": "debug/2"}', "\udcff",
        *(f'{{"path": "{path}", "reason": "why"}}' for path in ("", "debug/gone", "/etc", "../x")),
    ]  # fmt: skip
    for number, text in enumerate(texts):
        make_entry(root, f"debug/{number}")
        before = pin_files(root) if number else []
        write_pin(root, f"debug/{number}", "why")
        (file,) = set(pin_files(root)) - set(before)
        file.write_bytes(os.fsencode(text))
        assert read_pin(root, f"debug/{number}") == "the pin's reason cannot be read", text
    make_entry(root, "debug/y")
    forget_gone(root, PINS, spare_unread=True)
    assert outcomes(swept(root)) == {"debug/y": ("done", "")}
    for number, text in enumerate(texts):
        assert remove_pin(root, f"debug/{number}"), text
        assert read_pin(root, f"debug/{number}") is None, text


def test_a_pin_that_is_not_there_whole_is_none(root: Path) -> None:
    make_entry(root, "debug/x")
    write_pin(root, "debug/x", "why")
    (file,) = pin_files(root)
    file.rename(file.with_name(file.name + ".1234"))
    assert read_pin(root, "debug/x") is None


def test_a_pin_keeps_the_entry_that_a_stray_file_makes_of_its_category(root: Path) -> None:
    make_entry(root, "mine/x_1696348800")
    write_pin(root, "mine/x_1696348800", "why")
    (root / "mine" / "stray").write_text("")
    assert list(scanned(root)) == ["mine"]
    assert swept(root).outcomes == ()
    assert remove_pin(root, "mine")
    assert outcomes(swept(root)) == {"mine": ("done", "")}


def test_a_pin_keeps_what_its_entry_is_split_into_when_it_turns_into_a_category(
    root: Path,
) -> None:
    make_entry(root, "mine/x_1696348800")
    (root / "mine" / "stray").write_text("")
    write_pin(root, "mine", "why")
    (root / "mine" / "stray").unlink()
    make_entry(root, "mine/y_1696348800")
    assert list(scanned(root)) == ["mine/x_1696348800", "mine/y_1696348800"]
    assert swept(root).outcomes == ()
    assert remove_pin(root, "mine/y_1696348800")
    assert outcomes(swept(root)) == {"mine/y_1696348800": ("done", "")}
    assert scanned(root)["mine/x_1696348800"].pin == "why"


def test_the_pin_of_an_entry_that_is_gone_is_forgotten_and_others_stay(root: Path) -> None:
    make_entry(root, "debug/x")
    make_entry(root, "debug/y")
    for name in "xy":
        write_pin(root, f"debug/{name}", name)
    for file in (root / "debug" / "x").iterdir():
        file.unlink()
    (root / "debug" / "x").rmdir()
    forget_gone(root, PINS, spare_unread=True)
    assert read_pin(root, "debug/x") is None
    assert read_pin(root, "debug/y") == "y"


def test_a_pin_that_vanishes_while_pins_are_read_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_root(str(root))
    monkeypatch.setattr(os, "listdir", lambda path: ["gone.json"])
    assert read_pin(root, "debug/x") is None


def test_on_a_full_disk_a_pin_is_refused_and_nothing_half_made(tmp_path: Path) -> None:
    with ext4(tmp_path, megabytes=2) as directory:
        root = directory / ".tmp"
        make_entry(root, "debug/x")
        write_pin(root, "debug/x", "old")
        fill(directory)
        with pytest.raises(StorageError, match=r"cannot pin .*debug/y: No space left on device"):
            write_pin(root, "debug/y", "y" * 100_000)
        assert read_pin(root, "debug/x") == "old"
        assert len(pin_files(root)) == 1


def test_a_pin_below_a_root_that_is_no_directory_is_refused(root: Path) -> None:
    root.write_text("")
    with pytest.raises(StorageError, match="is not a directory; move it away"):
        write_pin(root, "debug/x", "why")


def test_pins_that_may_not_be_read_or_removed_are_an_error(root: Path) -> None:
    make_entry(root, "debug/x")
    write_pin(root, "debug/x", "why")
    pins = root / ".tempkeep" / "pins"
    pins.chmod(0o500)
    with plain_user(), pytest.raises(StorageError, match=r"cannot unpin .*debug/x: Permission"):
        remove_pin(root, "debug/x")
    pins.chmod(0)
    with plain_user(), pytest.raises(StorageError, match=r"cannot read .*pins: Permission"):
        swept(root)
    assert (root / "debug" / "x").is_dir()


def test_pins_behind_a_symlink_are_refused(root: Path, tmp_path: Path) -> None:
    make_root(str(root))
    (tmp_path / "canary").mkdir()
    (root / ".tempkeep" / "pins").symlink_to(tmp_path / "canary")
    for call in (lambda: write_pin(root, "x", ""), lambda: remove_pin(root, "x")):
        with pytest.raises(Refused, match=r"pins is not a directory made by this program"):
            call()
    assert list((tmp_path / "canary").iterdir()) == []
