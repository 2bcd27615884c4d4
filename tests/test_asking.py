"""Choosing what to remove: by numbers, names or one by one, on a terminal or from a pipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.temp.asking import read_choice
from common.temp.core.plan import Step
from common.temp.core.reasons import Reason
from tests.each import each
from tests.support import entry, forked, listing, make_entry, make_project

WHY = Reason("expired", "goes", "31 h > 24 h")
STEPS = [Step(entry(path=f"debug/{name}_1", label=name), "delete", WHY) for name in "abcde"]


@each(
    ("answer", "chosen"),
    [
        ("1", {0}),
        ("1-3,5", {0, 1, 2, 4}),
        ("2, [ab]", {0, 1}),
        ("1 3  5", {0, 2, 4}),
        ("5,5,5", {4}),
        ("all", {0, 1, 2, 3, 4}),
        ("ALL", {0, 1, 2, 3, 4}),
        ("debug/*", {0, 1, 2, 3, 4}),
        ("[ab]", {0, 1}),
        ("c_1", {2}),
        ("0", ["there is no 0, only 1 to 5"]),
        ("1-2, 40", ["there is no 40, only 1 to 5"]),
        ("3-1", ["3-1 counts down; write 1-3"]),
        ("1-6", ["there is no 1-6, only 1 to 5"]),
        ("7 1,x 0", ["there is no 7 or 0, only 1 to 5", "no name matches x"]),
        ("x*,y z", ["no name matches x*, y or z"]),
        ("-1", ["no name matches -1"]),
        ("1" * 30, [f"there is no {'1' * 30}, only 1 to 5"]),
        ("1" * 5000, [f"no name matches {'1' * 5000}"]),
    ],
)
def test_an_answer_means_what_it_says_or_it_says_what_is_wrong(
    answer: str, chosen: set[int] | list[str]
) -> None:
    wrong = isinstance(chosen, list)
    assert read_choice(answer, STEPS) == ((set(), tuple(chosen)) if wrong else (chosen, ()))


@pytest.fixture
def old(project: Path) -> Path:
    for hours, name in enumerate("cba", 30):
        make_entry(project / ".tmp", f"debug/{name}_1696348800", age_hours=hours)
    return project


def names(project: Path) -> str:
    return "".join(sorted(path.name[0] for path in (project / ".tmp" / "debug").iterdir()))


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("1-2\ny\n", "c"),
        ("c*\nyes\n", "ab"),
        ("all\ny\n", ""),
        ("each\ny\nn\ny\ny\n", "b"),
        ("each\nn\ny\nq\ny\n", "ac"),
        ("7\nwhat\n?\n2\ny\n", "ac"),
    ],
)
def test_what_is_chosen_from_a_pipe_goes_and_the_rest_stays(
    old: Path, typed: str, left: str
) -> None:
    done = forked("temp-clean", "--max-age-hours", "24", "--ask", cwd=old, stdin=typed)
    assert done.returncode == 0, done.stderr
    assert names(old) == left
    shown = re.sub(" +", " ", done.stderr)
    assert " entry size age why\n" in shown
    assert "\n1 debug/a_1696348800 8.0 KiB 32 h expired: 32 h > 24 h" in shown
    if "7" in typed:
        assert "\nthere is no 7, only 1 to 3\nWhich" in shown
    picked = shown.rpartition("Which of them?")[2]
    assert ("debug/" in picked) is (not typed.startswith(("all", "each")) or "each" in typed)


@each("typed", ["", "q\n", "\n", "1\n", "1\nn\n", "1\n\n", "each\nn\nn\nn\n", "each\n", "what\n"])
def test_without_a_yes_nothing_goes(old: Path, typed: str) -> None:
    before = listing(old)
    done = forked("temp-clean", "--max-age-hours", "24", "--ask", cwd=old, stdin=typed)
    assert (done.returncode, done.stdout) == (3, "")
    assert "\nnothing was cleaned" in done.stderr
    assert listing(old) == before


@pytest.mark.parametrize("typed", ["2\ny\n", "each\nn\ny\ny\n"])
def test_in_a_monorepo_each_is_named_with_its_project(tmp_path: Path, typed: str) -> None:
    monorepo = make_project(tmp_path / "mono")
    inner = make_project(monorepo / "projects" / "inner")
    for project in (monorepo, inner):
        make_entry(project / ".tmp", "debug/a_1696348800")
    done = forked("temp-clean", "--ask", "--all-projects", cwd=monorepo, stdin=typed)
    assert done.returncode == 0, done.stderr
    assert "\n1  mono            debug/a_1696348800  8.0 KiB  " in done.stderr
    assert "\n2  projects/inner  debug/a_1696348800  8.0 KiB  " in done.stderr
    if "each" in typed:
        assert "Delete projects/inner: debug/a_1696348800? [y/N/q]" in done.stderr
    assert (names(monorepo), names(inner)) == ("a", "")


def test_a_dry_run_of_what_was_chosen_asks_no_more(old: Path) -> None:
    done = forked("temp-clean", "--max-age-hours", "24", "--ask", "--dry-run", cwd=old, stdin="2\n")
    assert done.returncode == 0, done.stderr
    assert "would delete debug/b_1696348800" in done.stdout
    assert "2 not selected" in done.stdout
    assert names(old) == "abc"


def test_where_there_is_nothing_to_choose_nothing_is_asked(project: Path) -> None:
    done = forked("temp-clean", "--ask", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")


def test_to_ask_and_not_to_ask_is_a_usage_error(old: Path) -> None:
    for flag in ("--yes", "--force"):
        done = forked("temp-clean", "--ask", flag, cwd=old)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "error: --ask excludes --yes and --force; choose one\n"
    assert names(old) == "abc"
