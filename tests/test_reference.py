"""The docs of settings, exit codes and variables match the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from common.temp import errors
from common.temp.core.policy import Policy
from common.temp.errors import EXIT_CODES, TempError
from common.temp.store.settings.keys import CATEGORY_KEYS, ENVIRONMENT, JSON_KEYS, KEYS, Kind
from common.temp.store.settings.settings import Settings
from tests import schemas
from tests.docs import DOCS
from tests.reference import PARTS, VALUES, renewed, settings
from tests.support import REPOSITORY

SOURCES = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "common").rglob("*.py")]
EVERY = KEYS | CATEGORY_KEYS
NOT_OURS = {"COLUMNS", "COMPUTERNAME", "PYTEST_CURRENT_TEST", "TERM", "USERNAME", "XDG_CONFIG_HOME"}
"""Variables that are looked at for what others mean by them."""


@pytest.mark.parametrize("page", PARTS)
def test_a_page_is_what_is_made_of_the_code(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text == renewed(page, text), "renew it: python3 -m tests.reference"
    for make in PARTS[page].values():
        assert renewed(page, text.replace(make(), "by hand")) == text


@pytest.mark.parametrize("path", schemas.FILES, ids=lambda path: path.name)
def test_a_schema_is_what_is_made_of_the_keys(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == schemas.spelled(path), "renew it: python3 -m tests.reference"


def test_every_kind_of_value_is_described() -> None:
    kinds = get_args(Kind)
    assert {*kinds} == schemas.KINDS.keys()


def test_a_part_whose_marks_are_gone_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"settings\.md: the marks of 'settings' are gone"):
        renewed("settings.md", "# Settings\n")


def test_every_key_sets_a_field_and_says_what_it_means_and_how_it_is_written() -> None:
    text = settings()
    for key, (field, kind, means, _) in EVERY.items():
        own = {"strategy"} if key in CATEGORY_KEYS else {*Settings._fields}
        assert field in own | {*Policy._fields}, key
        assert kind in VALUES, key
        assert 0 < len(means) < 80, key
        assert f"\n| `{key}` | " in text


def test_every_key_of_the_json_file_stands_beside_the_one_that_it_is() -> None:
    rows = [line for line in settings().splitlines() if line.startswith("| `")]
    for key, given in JSON_KEYS.items():
        (row,) = (row for row in rows if f"`{key}`" in row.split("|")[5])
        name = next(name for name, other in KEYS.items() if other.field == given.field)
        assert row.startswith(f"| `{key if key in KEYS else name}` |")


def test_every_error_ends_with_a_code_that_is_told() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, TempError)}
    assert codes == {1, 2, 3}
    assert codes < EXIT_CODES.keys()


def test_every_code_that_a_task_ends_with_is_told() -> None:
    codes = {int(code) for text in SOURCES for code in re.findall(r"Exit\([^)]*code=(\d+)", text)}
    assert {130, 141} <= codes <= EXIT_CODES.keys()


def test_every_variable_that_is_heeded_is_told() -> None:
    read = r"environ(?:\.get\(|\[)\"(\w+)\""
    heeded = {name for text in SOURCES for name in re.findall(read, text)}
    assert heeded - NOT_OURS <= ENVIRONMENT.keys()
    assert {"PYTEST_KEEP_TEMPS", "GITHUB_STEP_SUMMARY"} <= heeded
