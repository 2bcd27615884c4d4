"""Everything that SECURITY.md calls tested is tested, by tests that run."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.support import REPOSITORY

TEXT = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [
    line.split(" | ")
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| threat")
]
NAMED = sorted(set(re.findall(r"`((?:tests|projects)/[\w/]+\.py)(?:::(\w+))?`", TEXT)))


@cache
def functions(path: str) -> set[str]:
    """The test functions in a file, those of classes included."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name for node in nodes if node.name.startswith("test_")}


def test_each_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 100
    for path, name in NAMED:
        assert functions(path), path
        assert not name or name in functions(path), f"{path}::{name}"


def test_every_threat_says_what_is_done_and_by_which_test_that_is_shown() -> None:
    assert len(ROWS) > 50
    for threat, done, tests in ROWS:
        assert len(threat) > 4
        assert len(done) > 4, threat
        assert tests.startswith("`"), threat
        assert tests.endswith("` |"), threat


def test_no_threat_is_forgotten() -> None:
    threats = {
        "symlink", "traversal", "planted `.tmp`", "hostile plan file", "hostile manifest",
        "damaged tar", "control characters", "shared `/tmp`", "another user", "hard links",
        "mounted inside", "uploaded files", "environment", "hostile source", "How to report",
        "out of scope",
    }  # fmt: skip
    assert {threat for threat in threats if threat not in TEXT} == set()
