"""What the README shows works when it is pasted."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from common.temp.migrate.rules import by_code
from tests.support import REPOSITORY, run

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("import ")[-1].split("\n")[0])
def test_a_block_of_python_runs_as_it_stands(project: Path, code: str) -> None:
    done = run([sys.executable, "-W", "error", "-c", code], cwd=project)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_lifecycle_has_a_block_of_about_ten_lines() -> None:
    of_lifecycles = README.partition("## Lifecycles")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", of_lifecycles, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    assert all(len(block.splitlines()) <= 14 for block in blocks)


@pytest.mark.parametrize("code", by_code())
def test_every_rule_of_temp_migrate_has_its_row(code: str) -> None:
    assert README.count(f"\n| {code} | ") == 1


def test_every_file_and_folder_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:projects|tests|common)/[\w./]+)`", README)
    named += re.findall(r"\]\(([\w./]+)(?:#[\w-]+)?\)", README)
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
