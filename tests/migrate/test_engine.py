"""A run over many files: the same with any number of processes, and never ended by one bad file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.migrate import engine, rework
from common.temp.migrate.engine import examine
from common.temp.migrate.files import Ground, find_grounds
from common.temp.migrate.findings import FileResult, Finding, Import
from common.temp.migrate.importable import Reach
from common.temp.migrate.module import Module
from common.temp.migrate.rework import Options
from common.temp.migrate.rules import Rule, all_rules
from common.temp.migrate.tree import Tree
from tests.migrate.trees import DONE, LEFT, SITE, examined, write
from tests.store.children import in_child
from tests.support import DENIED, environment, plain_user


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return tmp_path / "tree"


def many(top: Path, count: int = 300) -> Path:
    """A tree with so many files, of three kinds."""
    kinds = (SITE, LEFT, "x = 1\n")
    return write(top, {f"d{n % 7}/m{n:03}.py": kinds[n % 3] for n in range(count)})


def test_the_results_come_in_the_order_of_the_paths(top: Path) -> None:
    paths = [result.path for result in examined(many(top))]

    assert paths == sorted(paths)
    assert len(paths) == 200


def test_several_processes_say_what_one_says(top: Path) -> None:
    many(top)

    assert in_child(lambda: examined(top, workers=3)) == examined(top, workers=1)


def _die_once(ground: Ground, paths: list[str], tree: Tree, options: Options) -> object:
    # As the kernel ends a process when there is no memory left.
    if os.getpid() != _LEADER:
        os.kill(os.getpid(), signal.SIGKILL)
    return _EXAMINE(ground, paths, tree, options)


_LEADER = os.getpid()
_EXAMINE = engine._examine


def test_a_process_that_is_killed_takes_nothing_with_it(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(top)
    wanted = examined(top)
    monkeypatch.setattr(engine, "_examine", _die_once)

    def examine_with_others() -> list[FileResult]:
        monkeypatch.setattr(sys.modules[__name__], "_LEADER", os.getpid())
        return examined(top, workers=2)

    assert in_child(examine_with_others) == wanted


def test_ctrl_c_ends_the_run_with_its_processes(top: Path) -> None:
    many(top, 3000)
    code = (
        "import os, signal, threading\n"
        "from common.temp.migrate.engine import examine\n"
        "from common.temp.migrate.rework import Options\n"
        "from common.temp.migrate.files import find_grounds\n"
        "(ground,) = find_grounds(['.'])\n"
        "try:\n"
        "    for result in examine(ground, Options(), workers=2):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=top,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


# -- bad files ------------------------------------------------------------------------------------


def problems(results: list[FileResult]) -> dict[str, str]:
    return {result.path: result.problem for result in results if result.problem}


def test_a_file_that_may_not_be_read_is_a_problem_and_the_run_goes_on(top: Path) -> None:
    write(top, {"a.py": SITE, "b.py": SITE})
    (top / "a.py").chmod(0)

    with plain_user():
        results = examined(top)

    assert problems(results) == {"a.py": f"cannot be read: {DENIED}"}
    assert results[1].after == DONE.format("b").encode()


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "(" * 1000 + "1" + ")" * 1000,
        "x = " + "-" * 100_000 + "1",
        "x = " + "+".join(["1"] * 20_000),
        "x = " + "[" * 90 + "]" * 90 + "\n" * 10_000,
        "\x0c" * 10_000,
        "class A:\n" + "".join("  " * n + "if x:\n" for n in range(1, 99)) + "  " * 99 + "x",
    ],
)
def test_a_file_that_is_odd_is_dealt_with_or_a_problem(top: Path, code: str) -> None:
    write(top, {"a.py": code + "\n" + SITE, "b.py": SITE})

    first, second = examined(top)

    assert (
        first.problem
        or first.after == code.encode() + b"\n" + DONE.format("a").encode()
        or (first.after is not None and b"temp_working_dir" in first.after)
    )
    assert second.after == DONE.format("b").encode()


def test_a_rule_that_fails_on_a_file_is_a_problem_of_that_file(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(top, {"a.py": SITE, "b.py": SITE})

    def fail(*arguments: object) -> Reach:
        if "a.py" in arguments:
            raise LookupError("what?")
        return Reach()

    monkeypatch.setattr(rework, "reach", fail)

    results = examined(top)

    assert list(problems(results)) == ["a.py"]
    assert "LookupError" in results[0].problem
    assert results[0].after is None
    assert results[1].after is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def (", "would not compile after the rewrite ("),
        ("temp_working_dir()", "the rewrite would use temp_working_dir for something else"),
    ],
)
def test_a_rewrite_that_would_not_be_right_is_left_with_the_reason(
    top: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    """As by a rule with a mistake in it."""
    mistaken = "def outer(temp_working_dir):\n    import tempfile\n    x = tempfile.mktemp()\n"
    write(top, {"a.py": mistaken, "b.py": SITE})

    def find(module: Module) -> Iterator[Finding]:
        for call, _ in module.calls:
            finding = module.finding("TK107", call, "is found")
            wanted = Import("common.temp", "temp_working_dir", finding.site)
            yield finding.fixed("safe", [module.replacing(call, text)], [wanted])

    rule = Rule("TK107", "", "safe", "", (b"mktemp",), find)
    monkeypatch.setattr(rework, "all_rules", lambda: (rule, *all_rules()))
    first, second = examined(top)

    assert (first.problem, first.after) == ("", None)
    (left,) = first.findings
    assert left.status == "left"
    assert left.message.startswith(f"is found: {why}")
    assert second.after is not None


def test_files_that_say_nothing_of_it_are_not_parsed(top: Path) -> None:
    write(top, {"a.py": "def (:\n", "b.py": "tempfile = 1\n def (\n"})

    assert examined(top) == []


def test_generated_files_are_skipped_and_said_to_be(top: Path) -> None:
    write(top, {"a.py": f"# @{'generated'} by x\n{SITE}", "b.py": f"# @{'generated'}\nx = 1\n"})

    (result,) = examined(top)

    assert (result.path, result.skipped, result.after) == ("a.py", "is @generated", None)


# -- lines ----------------------------------------------------------------------------------------


def test_the_lines_of_what_is_left_are_those_of_the_file_as_it_is(top: Path) -> None:
    head = "import tempfile\nfrom pathlib import Path\n\n\n"
    body = (
        "def a():\n    with tempfile.TemporaryDirectory() as d:\n        print(d)\n\n\n"
        "def b():\n    return tempfile.mkdtemp()\n"
    )
    write(top, {"a.py": head + body})

    (result,) = examined(top)

    assert [(f.code, f.line) for f in result.findings] == [("TK004", 6), ("TK103", 11)]


def test_progress_counts_the_files_that_were_asked_for(top: Path) -> None:
    many(top, 100)
    seen = []

    def note(entries: int, size: int, *, of: int = 0) -> None:
        seen.append((entries, of, size > 0))

    (ground,) = find_grounds([str(top)])
    list(examine(ground, Options(), workers=1, progress=note))

    assert seen[-1] == (100, 100, True)


def test_progress_is_told_of_within_one_file_too(top: Path) -> None:
    write(top, {"a.py": SITE})
    seen = []

    def note(entries: int, size: int, *, of: int = 0) -> None:
        seen.append((entries, of))

    (ground,) = find_grounds([str(top)])
    list(examine(ground, Options(), workers=1, progress=note))

    assert seen.count((0, 1)) > 10
    assert seen[-1] == (1, 1)


def test_a_notebook_or_a_text_that_cannot_be_read_is_skipped(top: Path) -> None:
    write(top, {"a.ipynb": "tempfile.mkdtemp(", "b.md": "x", "c.py": SITE})
    with open(top / "b.md", "wb") as file:
        file.truncate(1 << 30)

    notebook, text, module = examined(top)

    assert notebook.skipped.startswith("is not a notebook")
    assert text.skipped.startswith("it is larger") or "larger than" in text.skipped
    assert module.after is not None
