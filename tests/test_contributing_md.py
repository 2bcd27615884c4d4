"""The files that CONTRIBUTING.md names exist, and its commands work."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs import blocks, prose
from tests.each import each
from tests.support import REPOSITORY, run

PAGE = REPOSITORY / "CONTRIBUTING.md"
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", prose(PAGE))))
PATHS = [span for span in SPANS if re.fullmatch(r"(common|docs|tests|projects)\b[\w/.]*", span)]
SHOWN = "".join(block.text for block in blocks(PAGE))
LINES = [line.partition("#")[0].strip() for line in SHOWN.splitlines()]
COMMANDS = sorted({part.strip() for line in LINES for part in line.split("&&")})

NAMES = [
    *("RULES", "_MODULES", "Layout", "DISPOSALS", "WAYS", "NotDisposed", "Settings", "KEYS"),
    *("EXIT_CODES", "ENVIRONMENT", "reason_of", "REMEDIES", "EXPLAIN", "FORMATS", "Scheduler"),
]


def test_paths_that_are_named_are_there() -> None:
    assert PATHS
    assert [path for path in PATHS if not (REPOSITORY / path).exists()] == []


def test_names_that_one_is_sent_to_are_there() -> None:
    code = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "common").rglob("*.py"))
    assert {*NAMES} <= {*SPANS}
    pattern = r"^ *(?:class |def )?{}\b"
    assert [n for n in NAMES if not re.search(pattern.format(n), code, re.MULTILINE)] == []


@each("command", COMMANDS)
def test_what_is_to_be_typed_is_there(command: str) -> None:
    program, *arguments = command.split()
    if program == ".":
        assert arguments == [".venv/bin/activate"]
    elif program == "python3":
        assert arguments[0] == "-m"
        assert find_spec(arguments[1])
        files = [name for name in arguments if name.startswith("tests/")]
        assert all((REPOSITORY / name).is_file() for name in files)
    elif program.startswith("."):
        assert os.access(REPOSITORY / program, os.X_OK)
    else:
        extras = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        package = {"lint-imports": "import-linter"}.get(program, program)
        assert f'"{package}>=' in extras


def test_a_part_of_a_file_of_tests_can_be_run_as_is_said(tmp_path: Path) -> None:
    (line,) = (line for line in COMMANDS if " -k " in line)
    command = [sys.executable, *line.split()[1:], "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = run(command, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout
    assert re.search(r"(\d+)/\d+ tests collected", done.stdout)


@pytest.mark.parametrize("module", ["tests.benchmarks"])
def test_the_help_of_a_module_is_printed(module: str) -> None:
    done = run([sys.executable, "-m", module, "--help"], cwd=REPOSITORY)
    assert (done.returncode, "usage" in done.stdout) == (0, True)
