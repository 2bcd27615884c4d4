"""`pin` and `unpin`."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.temp.errors import InvalidSettings
from common.temp.manager import TempManager
from common.temp.pins import pin, unpin
from tests.support import inv, make_entry, tempkeep


def test_a_pinned_entry_stays_until_it_is_unpinned(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800", age_hours=1000)
    assert pin(path, "a bug report points here") == path
    assert TempManager.clean_persistent_temps() == 0
    assert unpin(path) is True
    assert TempManager.clean_persistent_temps() == 1


def test_a_pin_holds_against_everything_and_force(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800", age_hours=1000)
    pin(path, "wanted")
    inv("temp-clean", "--everything", "--force", "--yes", cwd=project)
    inv("temp-clean", "--include-in-use", "--name", "*", cwd=project)
    inv("clean", cwd=project)
    assert path.exists()


def test_what_is_inside_an_entry_pins_the_entry(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800")
    assert pin(path / "file0.txt", "wanted") == path


def test_a_relative_path_is_understood(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800")
    assert pin(".tmp/debug/demo_1696348800", "wanted") == path


def test_pinning_again_replaces_the_reason(project: Path) -> None:
    path = make_entry(project / ".tmp", "debug/demo_1696348800")
    pin(path, "first")
    pin(path, "second")
    assert "pinned: second" in inv("temp-status", cwd=project).stdout


def test_unpinning_what_is_not_pinned_is_told(project: Path) -> None:
    assert unpin(make_entry(project / ".tmp", "debug/demo_1696348800")) is False


@pytest.mark.parametrize("path", ["nowhere", "/", ".tmp", ".tmp/debug/other_1696348800"])
def test_a_path_in_no_entry_is_refused(project: Path, path: str) -> None:
    make_entry(project / ".tmp", "debug/demo_1696348800")
    with pytest.raises(InvalidSettings, match="is in no entry"):
        pin(path, "wanted")


def test_a_pin_of_one_entry_leaves_the_others_alone(project: Path) -> None:
    pin(make_entry(project / ".tmp", "debug/demo_1696348800"), "wanted")
    make_entry(project / ".tmp", "debug/demo_1696348801")
    assert TempManager.clean_persistent_temps() == 1


def test_a_pin_on_a_link_ends_without_those_on_what_it_leads_to(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, links = make_entry(project / ".tmp", "debug/data"), []
    for name in ("latest", "current"):
        links.append(data.with_name(name))
        links[-1].symlink_to(data.name)
        pin(links[-1], f"as {name}")
    assert tempkeep("temp-pin", str(data), "--reason", "the July report") == 0
    assert tempkeep("temp-unpin", str(links[0])) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "unpinned debug/latest",
        "still pinned: debug/data: the July report",
    ]
    assert TempManager.clean_persistent_temps() == 1
    unpin(links[1])
    TempManager.clean_persistent_temps()
    assert data.exists()
    links[1].symlink_to(data.name)
    pin(links[1], "again")
    assert unpin(data)
    assert TempManager.clean_persistent_temps() == 1, "an order for that very entry"
    assert links[1].is_symlink()
    assert not data.exists()


def test_what_two_pinned_links_lead_to_stays_until_both_are_unpinned(project: Path) -> None:
    data, links = make_entry(project / ".tmp", "debug/data"), []
    for name in ("latest", "current"):
        links.append(data.with_name(name))
        links[-1].symlink_to(data.name)
        pin(links[-1], f"as {name}")
    unpin(links[0])
    assert TempManager.clean_persistent_temps() == 1
    assert data.exists()
    unpin(links[1])
    assert TempManager.clean_persistent_temps() == 2
