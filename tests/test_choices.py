"""The words that flags choose from: the help names all of them, and each of them works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from common.temp import choices
from common.temp.errors import InvalidSettings
from tests.support import inv, make_entry, tempkeep

FLAGS = [
    ("temp-status", "--format", choices.STATUS_FORMATS),
    ("temp-status", "--sort", choices.SORTS),
    ("temp-check", "--format", choices.TABLE_OR_JSON),
    ("temp-clean", "--format", choices.TABLE_OR_JSON),
    ("temp-migrate", "--format", choices.MIGRATE_FORMATS),
    ("temp-schedule", "--as", choices.SCHEDULERS),
]
MORE = {
    "temp-check": ["--max-entries", "9"],
    "temp-clean": ["--dry-run"],
    "temp-schedule": ["--every", "1d", "--strategy", "moderate"],
}


@pytest.mark.parametrize(("task", "flag", "words"), FLAGS)
def test_each_word_works_and_no_other(
    project: Path, capsys: pytest.CaptureFixture[str], task: str, flag: str, words: Sequence[str]
) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    for word in words:
        assert tempkeep(task, flag, word, *MORE.get(task, [])) == 0, word
    capsys.readouterr()

    assert tempkeep(task, flag, "bogus", *MORE.get(task, [])) == 2
    assert capsys.readouterr().err == (
        f"error: {flag}: expected one of {', '.join(words)}, got 'bogus'\n"
    )


@pytest.mark.parametrize(("task", "flag", "words"), FLAGS)
def test_the_help_names_each_word(
    project: Path, task: str, flag: str, words: Sequence[str]
) -> None:
    done = inv("--help", task, cwd=project)
    help_text = " ".join(done.stdout.split())
    assert all(word in help_text.partition(flag)[2] for word in words)


def test_a_choice_is_checked_as_it_was_typed() -> None:
    with pytest.raises(InvalidSettings, match="expected one of a, b, got 'A'"):
        choices.choose("A", "--flag", ("a", "b"))
