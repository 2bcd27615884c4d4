"""Every rule has a code, a title, and correct documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.temp import tasks
from common.temp.migrate.engine import examine
from common.temp.migrate.files import find_grounds
from common.temp.migrate.output import explanation
from common.temp.migrate.rework import Options
from common.temp.migrate.rules import Rule, all_rules
from common.temp.migrate.rules.tk901 import shared_tasks
from tests.each import each
from tests.migrate.trees import write

CODES = {
    **{f"TK00{number}": "safe" for number in (1, 2, 3, 4)},
    **{f"TK00{number}": "unsafe" for number in (5, 6, 7, 8)},
    **{f"TK10{number}": "" for number in range(10)},
    "TK110": "",
    "TK111": "",
    "TK190": "",
    "TK900": "safe",
    "TK901": "safe",
    "TK902": "safe",
}

EXAMPLES = [
    rule
    for rule in all_rules()
    if "\nbecomes\n" in rule.explain and rule.code not in ("TK900", "TK902")
]

HEAD = """import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
"""


def test_the_codes_and_what_their_rewrites_are() -> None:
    assert {rule.code: rule.fix for rule in all_rules()} == CODES
    assert len(all_rules()) == len(CODES)


@each("code", CODES)
def test_every_rule_says_why_and_what_it_makes_of_what(code: str) -> None:
    text = explanation(code)

    assert text.startswith(f"{code}: ")
    assert re.search(r"^    \S", text, re.MULTILINE), "an example"
    assert re.search(r"nsafe|ewritten|are added|left out", text)
    assert all(len(line) <= 100 for line in text.splitlines())


def _example(rule: Rule) -> tuple[str, str]:
    """The code before and after in the explanation."""
    before, _, after = rule.explain.partition("\nbecomes\n")
    blocks = [
        "\n".join(line[4:] for line in part.split("\n")).strip("\n")
        for part in (_indented(before), _indented(after))
    ]
    return blocks[0], blocks[1]


def _indented(text: str) -> str:
    block: list[str] = []
    for line in text.split("\n"):
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        elif block:
            break
    return "\n".join(block)


@pytest.mark.parametrize("rule", EXAMPLES, ids=lambda rule: rule.code)
def test_the_example_of_an_explanation_is_what_the_rule_does(rule: Rule, tmp_path: Path) -> None:
    before, wanted = _example(rule)
    if "yield" in before:
        before = "@pytest.fixture\ndef dirs():\n" + _deeper(before)
        wanted = _deeper(wanted)
    elif rule.code not in ("TK002", "TK006", "TK901"):
        before = "def copy_file():\n" + _deeper(before)
        wanted = _deeper(wanted)
    name = "tasks.py" if rule.code == "TK901" else "make.py"
    if rule.code in ("TK003", "TK006"):
        name = "test_make.py"
    if rule.code == "TK008":
        before = before.replace("copy_file", "main")
    if rule.code == "TK001":
        before = "from common.temp import get_temp_dir\n\n\n" + before
    text = before + "\n" if rule.code == "TK901" else HEAD + "\n\n" + before + "\n"
    write(tmp_path / "tree", {name: text})
    (ground,) = find_grounds([str(tmp_path / "tree")])

    (result,) = examine(ground, Options(rule.fix == "unsafe", frozenset({rule.code})), workers=1)

    assert result.after is not None
    became = result.after.decode()
    for line in wanted.split("\n"):
        if line.strip() and "…" not in line:
            assert line in became.split("\n")


def _deeper(text: str) -> str:
    return re.sub(r"^(?=.)", "    ", text, flags=re.MULTILINE)


def test_the_shared_tasks_are_those_that_a_star_import_brings() -> None:
    assert list(shared_tasks()) == sorted(tasks.__all__)
