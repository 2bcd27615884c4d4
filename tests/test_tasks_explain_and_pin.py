"""`temp-explain`, `temp-pin` and `temp-unpin`: how to name an entry, and what they print."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from common.temp.commands import forecast
from common.temp.core.entry import Inventory
from common.temp.store.scanning.scan import scan
from common.temp.store.system.creation_time import born_at
from tests.support import listing, make_entry, make_project, process, tempkeep

Printed = pytest.CaptureFixture[str]


def pins(project: Path, capsys: Printed) -> dict[str, str | None]:
    """The entries and the reasons of their pins, by name."""
    capsys.readouterr()
    assert tempkeep("temp-status", "--format", "json") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {entry["name"]: entry["pinned"] for entry in document["projects"][0]["entries"]}


# -- naming an entry ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{project}/.tmp/debug/run_1696348800",
        "{project}/.tmp/debug/run_1696348800/file0.txt",
        ".tmp/debug/run_1696348800",
        "./.tmp/debug/../debug/run_1696348800",
        "debug/run_1696348800",
        "run_1696348800",
    ],
)
def test_an_entry_can_be_named_by_path_by_category_and_by_name(
    project: Path, capsys: Printed, text: str
) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("temp-explain", text.format(project=project)) == 0

    assert capsys.readouterr().out.startswith("debug/run_1696348800: would go, ")


@pytest.mark.parametrize(
    "text", ["run_1696348800", "debug/run_1696348800", "../../.tmp/debug/run_1696348800"]
)
def test_an_entry_can_be_named_from_a_subdirectory(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, text: str
) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    deep = project / "src" / "deep"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)

    assert tempkeep("temp-explain", text) == 0

    assert capsys.readouterr().out.startswith("debug/run_1696348800: ")


def test_standing_in_an_entry_its_files_name_it_and_keep_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.chdir(make_entry(project / ".tmp", "debug/run_1696348800"))

    assert tempkeep("temp-explain", "file0.txt") == 0

    assert "debug/run_1696348800: stays, in use: pid " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["temp-explain", "temp-pin", "temp-unpin"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "twin_1696348800",
            "twin_1696348800 could be cache/twin_1696348800 or debug/twin_1696348800; "
            "give the category too",
        ),
        (
            "twin",
            "twin could be cache/twin_1696348800 or debug/twin_1696348800; give the category too",
        ),
        ("cache/tw", "cache/tw is not an entry of {root}; `temp-status` lists them"),
        ("", "an empty path is not an entry of {root}; `temp-status` lists them"),
        ("nothing", "nothing is not an entry of {root}; `temp-status` lists them"),
        ("/etc/passwd", "/etc/passwd is not an entry of {root}; `temp-status` lists them"),
        ("../elsewhere", "../elsewhere is not an entry of {root}; `temp-status` lists them"),
        (".tmp", ".tmp is not an entry of {root}; `temp-status` lists them"),
        (".tmp/debug", ".tmp/debug is not an entry of {root}; `temp-status` lists them"),
        ("a\nb\x1b", "a b\\x1b is not an entry of {root}; `temp-status` lists them"),
    ],
)
def test_what_names_no_single_entry_is_one_line_and_exit_code_2(
    project: Path, capsys: Printed, command: str, text: str, message: str
) -> None:
    make_entry(project / ".tmp", "debug/twin_1696348800")
    make_entry(project / ".tmp", "cache/twin_1696348800")
    before = listing(project)
    reason = ("--reason", "r") if command == "temp-pin" else ()

    assert tempkeep(command, text, *reason) == 2

    printed = capsys.readouterr()
    expected = f"error: {message.format(root=project / '.tmp')}\n"
    assert (printed.out, printed.err) == ("", expected)
    assert listing(project) == before


@pytest.mark.parametrize("label", ["thumbs", "cache/thumbs", ".tmp/cache/thumbs"])
def test_a_label_is_its_newest_entry_and_it_is_told_which(
    project: Path, capsys: Printed, label: str
) -> None:
    for stamp in (1696348800, 1696348900, 1696348700):
        make_entry(project / ".tmp", f"cache/thumbs_{stamp}")
    make_entry(project / ".tmp", "cache/thumbs-of-others_1696349000")
    make_entry(project / ".tmp", "debug/alone_1696348800")
    taken = "cache/thumbs_1696348900"

    assert tempkeep("temp-explain", label) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{taken}: would go, ")
    assert printed.err.splitlines()[0] == f"{label}: the newest of 3, {taken}"

    assert tempkeep("temp-pin", label, "--reason", "r") == 0
    assert capsys.readouterr().out == f"pinned {taken}: r\n"
    make_entry(project / ".tmp", "cache/thumbs_1696350000")  # newer, and not the pinned one
    assert tempkeep("temp-unpin", label) == 0
    assert capsys.readouterr() == (
        f"unpinned {taken}\n",
        f"{label}: the only one of 4 that is pinned, {taken}\n",
    )
    assert tempkeep("temp-unpin", label) == 0
    assert capsys.readouterr().out == "was not pinned: cache/thumbs_1696350000\n"

    assert tempkeep("temp-explain", "alone") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("debug/alone_1696348800: ")
    assert "newest of" not in printed.err


def test_of_two_entries_of_one_second_the_newest_is_the_one_that_was_made_last(
    project: Path, capsys: Printed
) -> None:
    for number, name in enumerate(
        ("same_1696348800-ab12", "same_1696348800", "same_1696348800-00ff")
    ):
        time.sleep(
            0.02 if number else 0
        )  # the kernel's clock for this ticks every few milliseconds
        made = make_entry(project / ".tmp", f"cache/{name}")
    if born_at(str(made)) is None:
        pytest.skip("this filesystem does not record when a directory was made")

    assert tempkeep("temp-pin", "cache/same", "--reason", "r") == 0

    assert capsys.readouterr() == (
        "pinned cache/same_1696348800-00ff: r\n",
        "cache/same: the newest of 3, cache/same_1696348800-00ff\n",
    )


def test_of_a_label_with_two_pins_none_is_taken(project: Path, capsys: Printed) -> None:
    for stamp in (1696348800, 1696348900):
        make_entry(project / ".tmp", f"cache/thumbs_{stamp}")
        assert tempkeep("temp-pin", f"thumbs_{stamp}", "--reason", "r") == 0
    before = listing(project)
    capsys.readouterr()

    assert tempkeep("temp-unpin", "thumbs") == 2

    assert capsys.readouterr().err == (
        "error: thumbs could be cache/thumbs_1696348800 or cache/thumbs_1696348900; "
        "give one of these names\n"
    )
    assert listing(project) == before


def test_an_entry_of_another_project_is_explained_by_that_project_s_settings(
    project: Path, tmp_path: Path, capsys: Printed
) -> None:
    other = make_project(tmp_path / "other", "[tool.tempkeep]\nmax_age_hours = 5\n")
    path = make_entry(other / ".tmp", "debug/run_1696348800", age_hours=6.5)

    assert tempkeep("temp-explain", str(path)) == 0

    assert "would go, expired: " in capsys.readouterr().out


def test_an_auto_cleanup_entry_is_explained_by_its_process(project: Path, capsys: Printed) -> None:
    code = (
        "from common.temp import TempManager; import sys\n"
        "with TempManager.auto_cleanup_dir('mine') as d:\n"
        "    print(d, flush=True); sys.stdin.read()"
    )
    with process(code, cwd=project) as running:
        assert tempkeep("temp-explain", running.first_line) == 0

    out = capsys.readouterr().out
    assert f"stays, in use: pid {running.pid} (" in out
    assert "- abandoned: " in out


# -- explaining -----------------------------------------------------------------------------------


def test_an_explanation_goes_rule_by_rule_and_says_what_would_change_it(
    project: Path, capsys: Printed
) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.tempkeep]\nmax_age_hours = 24\nmax_count = 3\nkeep_last = 1\n"
    )
    make_entry(project / ".tmp", "debug/run_1696348800", age_hours=31.5)

    assert tempkeep("temp-explain", "run_1696348800") == 0

    out = capsys.readouterr().out
    assert out.startswith("debug/run_1696348800: stays, keep last: newest of 1 run")
    assert "8.0 KiB in 1 file, last change " in out
    lines = out.splitlines()
    assert any(line.startswith("  + keep last: ") for line in lines)
    assert any(line.startswith("  - expired: ") for line in lines)
    assert any(line.startswith("    max count: ") for line in lines)
    assert lines[-1] == "It can go when newer ones of its name exist or keep_last is smaller."


def test_an_entry_that_vanishes_meanwhile_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    path = make_entry(project / ".tmp", "debug/run_1696348800")

    def scan_too_late(root: Path, now: float, **options: Any) -> Inventory:
        shutil.rmtree(path)
        return scan(root, now, **options)

    monkeypatch.setattr(forecast, "scan", scan_too_late)

    assert tempkeep("temp-explain", "run_1696348800") == 1

    expected = "error: run_1696348800 vanished while it was being looked at\n"
    assert capsys.readouterr().err == expected


# -- pinning --------------------------------------------------------------------------------------


def test_a_pinned_entry_stays_until_it_is_unpinned(project: Path, capsys: Printed) -> None:
    path = make_entry(project / ".tmp", "debug/run_1696348800", age_hours=9999)

    assert tempkeep("temp-pin", "run_1696348800", "--reason", "for Ann") == 0
    assert capsys.readouterr().out == "pinned debug/run_1696348800: for Ann\n"
    assert tempkeep("temp-clean", "--everything", "--force") == 0
    assert path.is_dir()

    assert tempkeep("temp-unpin", "run_1696348800") == 0
    assert capsys.readouterr().out.endswith("unpinned debug/run_1696348800\n")
    assert tempkeep("temp-clean") == 0
    assert not path.exists()


def test_pinning_again_replaces_the_reason(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("temp-pin", "run_1696348800", "--reason", "one") == 0
    assert tempkeep("temp-pin", "run_1696348800", "--reason", "two") == 0

    assert pins(project, capsys) == {"run_1696348800": "two"}


def test_unpinning_what_has_no_pin_says_so_and_is_no_error(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("temp-unpin", "run_1696348800") == 0

    assert capsys.readouterr().out == "was not pinned: debug/run_1696348800\n"


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_pin_needs_a_reason(project: Path, capsys: Printed, reason: str) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("temp-pin", "run_1696348800", f"--reason={reason}") == 2

    expected = "error: --reason: say why, so that others know when it may go\n"
    assert capsys.readouterr().err == expected
    assert pins(project, capsys) == {"run_1696348800": None}


def test_a_dry_run_of_invoke_pins_nothing(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("--dry", "temp-pin", "run_1696348800", "--reason", "r") == 0

    assert capsys.readouterr().out == "would pin debug/run_1696348800: r\n"
    assert pins(project, capsys) == {"run_1696348800": None}


def test_a_dry_run_of_invoke_unpins_nothing(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("--dry", "temp-unpin", "run_1696348800") == 0
    assert tempkeep("temp-pin", "run_1696348800", "--reason", "r") == 0
    assert tempkeep("--dry", "temp-unpin", "run_1696348800") == 0

    assert capsys.readouterr().out.splitlines() == [
        "is not pinned: debug/run_1696348800",
        "pinned debug/run_1696348800: r",
        "would unpin debug/run_1696348800",
    ]
    assert pins(project, capsys) == {"run_1696348800": "r"}


def test_a_reason_of_several_lines_is_shown_in_one(project: Path, capsys: Printed) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")

    assert tempkeep("temp-pin", "run_1696348800", "--reason", "a\nb\x1b[2J") == 0

    assert capsys.readouterr().out == "pinned debug/run_1696348800: a\\nb\\x1b[2J\n"
