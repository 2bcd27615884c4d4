"""Any module that uses what the safe rules rewrite behaves the same after the rewrite."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import shutil
import sys
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from common.temp.contexts import temp_working_dir
from common.temp.migrate.facts import gather
from common.temp.migrate.findings import FileResult
from common.temp.migrate.rework import Options, rework
from common.temp.migrate.tree import Tree
from tests.each import each
from tests.migrate.modules import SAFE, UNSAFE, Made, modules, spelled

EXAMPLES = 75
NAME = "test_made_up.py"


def reworked(project: Path, data: bytes, *, unsafe: bool = False) -> FileResult:
    """What a run would make of a module with this text."""
    tree = Tree(str(project), {NAME: gather(data)}, frozenset())
    options = Options(unsafe=unsafe)
    return rework(str(project), NAME, data, tree, options, options.rules)


def told(project: Path, data: bytes) -> str:
    """What a module prints, and what it raises, when it runs in a project with nothing in it."""
    os.chdir(project)
    for path in project.iterdir():
        if path.name != "pyproject.toml" and path.name != "tasks.py":
            shutil.rmtree(path)
    out = io.StringIO()
    paths = list(sys.path)
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(data, NAME, "exec", dont_inherit=True), {"__name__": "made_up"})
        except Exception as error:
            print("raised", type(error).__name__)
    sys.path[:] = paths
    os.environ.pop("SCRATCH", None)
    return out.getvalue()


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
def test_a_rewritten_module_prints_what_it_printed_before(
    project: Path, unsafe: bool, figure: Callable[[str], None]
) -> None:
    count: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(modules())
    def holds(made: Made) -> None:
        result = reworked(project, made.data, unsafe=unsafe)
        count["modules"] += 1
        count["problems"] += bool(result.problem)
        if result.after is None:
            return
        count.update(finding.code for finding in result.of("convertible"))
        ast.parse(result.after)
        assert comments(made.data) - comments(result.after) == Counter()
        before = told(project, made.data)
        # A local import that comes too late is no longer missed by what does without it.
        if not before.endswith("raised UnboundLocalError\n"):
            assert told(project, result.after) == before
        assert reworked(project, result.after, unsafe=unsafe).after is None

    holds()

    assert count["problems"] == 0
    rewritten = {code: count[code] for code in ("TK001", "TK002", "TK003", "TK004")}
    figure(f"made-up modules, {'--unsafe' if unsafe else 'safe rules'}: {dict(count)}")
    assert all(rewritten.values()), rewritten


def comments(data: bytes) -> Counter[str]:
    """Each comment of a module, and how often it is there; not those on the helper's old body,
    which go with that.
    """
    tokens = tokenize.tokenize(io.BytesIO(data).readline)
    found = Counter(token.string for token in tokens if token.type == tokenize.COMMENT)
    return found - Counter({"# copied": found["# copied"], "# seconds": found["# seconds"]})


def in_function(use: str, made: str) -> bytes:
    """A function that does `use` with what `made` makes."""
    lines = [
        "import functools, glob, json, os, re, shutil, subprocess, sys, tempfile, urllib.parse",
        "from pathlib import Path",
        "from common.temp import temp_working_dir",
        "kept, kept_by_name = [], {}",
        "class Kept: pass",
        "def named(x): return type(x).__name__",
        "def work():",
        f"    with {made} as d:",
        *(f"        {line}" for line in spelled(use, "d", 1)),
        "work()",
    ]
    return ("\n".join(lines) + "\n").encode()


@each("use", SAFE)
def test_a_safe_use_alone_is_rewritten_and_does_what_it_did(project: Path, use: str) -> None:
    before = in_function(use, "tempfile.TemporaryDirectory()")

    after = reworked(project, before).after

    assert after is not None, "the site was left"
    assert b"temp_working_dir(" in after.partition(b"def work")[2]
    said = told(project, before)
    assert "raised" not in said
    assert told(project, after) == said


@each("use", UNSAFE)
def test_an_unsafe_use_alone_leaves_the_site_and_is_named(project: Path, use: str) -> None:
    before = in_function(use, "tempfile.TemporaryDirectory()")

    result = reworked(project, before)

    assert result.after is None
    (finding,) = result.of("left")
    assert finding.code == "TK004"
    assert "would be a Path, not a str" in finding.message
    assert told(project, before) != "raised"


def test_most_unsafe_uses_do_something_else_with_a_path(project: Path) -> None:
    """Else the list would be of uses that might as well be rewritten."""
    same = [
        use
        for use in UNSAFE
        if told(project, in_function(use, "tempfile.TemporaryDirectory()"))
        == told(project, in_function(use, f"{temp_working_dir.__name__}()"))
    ]

    assert len(same) < len(UNSAFE) / 10, same
