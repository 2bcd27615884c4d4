"""What SECURITY.md says is tested is tested, and by tests that are run."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support import REPOSITORY

TEXT = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| ")][1:]
NAMED = sorted(set(re.findall(r"`((?:tests|projects)/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


def functions(path: str) -> set[str]:
    """The test functions in a file, those of classes included."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name for node in nodes if node.name.startswith("test_")}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    found = functions(path)
    assert name in found if name else found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("| ")[:40])
def test_every_threat_says_what_is_done_and_by_which_test_that_is_shown(row: list[str]) -> None:
    threat, done, tests = row
    assert len(threat) > 4
    assert len(done) > 4
    assert tests.startswith("`")
    assert tests.endswith("` |")


@pytest.mark.parametrize(
    "threat",
    [
        "symlink", "traversal", "planted `.tmp`", "hostile plan file", "hostile manifest",
        "damaged tar", "control characters", "shared `/tmp`", "another user", "hard links",
        "mounted inside", "uploaded files", "environment", "hostile source", "How to report",
        "out of scope",
    ],
)  # fmt: skip
def test_no_threat_is_forgotten(threat: str) -> None:
    assert threat in TEXT
