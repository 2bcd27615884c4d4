"""The statements of the document on process outputs hold here."""

from __future__ import annotations

import copy
import gc
import logging
import os
import pickle
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.temp import OutputRoot
from common.temp.store.project.project import system_temp
from tests.documents.statement import Statement, parameters
from tests.each import each

SIGNATURES: dict[str, tuple[Callable[..., Any], list[tuple[str, object]]]] = {
    "OutputRoot": (OutputRoot, []),
    "run_dir": (OutputRoot().run_dir, [("output_dir", None)]),
    "cleanup": (OutputRoot().cleanup, []),
    "cleanup_all": (OutputRoot.cleanup_all, []),
}


@each("name", SIGNATURES)
def test_a_callable_takes_what_it_took(name: str) -> None:
    called, wanted = SIGNATURES[name]
    assert parameters(called) == wanted


def lazy(project: Path) -> bool:
    outputs = OutputRoot()
    before = [*system_temp().rglob("*")]
    outputs.cleanup()
    return outputs.temp_dir is None and before == [*system_temp().rglob("*")]


def named(project: Path) -> bool:
    before = datetime.now(UTC).replace(microsecond=0)
    name = OutputRoot().run_dir(project / "out").name
    made = datetime.strptime(f"{name}+0000", "%Y%m%dT%H%M%SZ%z")
    return bool(re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", name)) and before <= made <= datetime.now(UTC)


def reused(project: Path) -> bool:
    outputs = OutputRoot()
    first, second = outputs.run_dir(), outputs.run_dir()
    root = outputs.temp_dir
    return root is not None and first.parent == second.parent == root and first != second


def in_the_same_second(project: Path) -> bool:
    outputs = OutputRoot()
    made = [outputs.run_dir(project / "out") for _ in range(5)]
    return len(set(made)) == 5 and all(path.is_dir() for path in made)


def given(project: Path) -> bool:
    outputs = OutputRoot()
    run = outputs.run_dir(str(project / "deep" / "out"))
    temporary = outputs.run_dir()
    outputs.cleanup()
    return run.parent == project / "deep" / "out" and run.is_dir() and not temporary.exists()


def from_home(project: Path) -> bool:
    home = os.environ["HOME"]
    os.environ["HOME"] = str(project / "home")
    try:
        run = OutputRoot().run_dir("~/results")
    finally:
        os.environ["HOME"] = home
    return run.parent == project / "home" / "results" and not (project / "~").exists()


def cleaned(project: Path) -> bool:
    outputs = OutputRoot()
    first = outputs.run_dir()
    (first / "samples.csv").write_text("1\n")
    root = outputs.temp_dir
    outputs.cleanup()
    outputs.cleanup()
    assert root is not None
    assert not root.exists()
    return outputs.temp_dir is None and outputs.run_dir().parent != root


def all_cleaned(project: Path) -> bool:
    instances = [OutputRoot() for _ in range(3)]
    runs = [one.run_dir() for one in instances]
    OutputRoot.cleanup_all()
    return not any(path.exists() for path in runs)


def collected(project: Path) -> bool:
    outputs = OutputRoot()
    run = outputs.run_dir()
    del outputs
    gc.collect()
    return not run.exists()


def copied(project: Path) -> bool:
    outputs = OutputRoot()
    run = outputs.run_dir()
    copies = [copy.copy(outputs), copy.deepcopy(outputs), pickle.loads(pickle.dumps(outputs))]
    assert [one.temp_dir for one in copies] == [None] * 3
    for one in copies:
        one.run_dir()
        one.cleanup()
    return run.is_dir()


STATEMENTS = [
    Statement("nothing is on disk until a run directory is made", lazy),
    Statement("temp_dir is None until then", lambda _: OutputRoot().temp_dir is None),
    Statement("a run is named by the time in UTC, 20250917T013040Z", named),
    Statement("all runs of an instance are in one temporary root", reused),
    Statement(
        "a run in the same second is in the same directory",
        in_the_same_second,
        "It has its own, with -2 after the time: else one overwrites the other.",
    ),
    Statement("an output_dir is made with its parents, and no cleanup removes it", given),
    Statement("a ~ in output_dir is the home directory", from_home),
    Statement(
        "cleanup() removes the temporary root, can be called again, and the next run has a new one",
        cleaned,
    ),
    Statement("cleanup_all() does that for every instance", all_cleaned),
    Statement("so does the end of the instance", collected),
    Statement("a copy, pickled or not, has a root of its own", copied),
    Statement(
        "paths are those that were given",
        lambda _: OutputRoot().run_dir("out").is_absolute(),
        "They are absolute: they mean the same after os.chdir().",
    ),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: one.says)
def test_a_statement_holds(project: Path, statement: Statement) -> None:
    assert statement.holds(project)


def test_cleanup_logs_what_it_removed(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    outputs = OutputRoot()
    outputs.run_dir()
    root = outputs.temp_dir
    with caplog.at_level(logging.INFO, logger="common.temp.outputs"):
        outputs.cleanup()
    assert [record.getMessage() for record in caplog.records] == [f"removed {root}"]


EXAMPLES = {
    "a run": (
        "from common.temp import OutputRoot\n"
        "outputs = OutputRoot()\n"
        "run = outputs.run_dir()\n"
        "(run / 'samples.csv').write_text('1')\n"
        "assert outputs.temp_dir == run.parent\n"
        "outputs.cleanup()\n"
        "assert outputs.temp_dir is None\n"
    ),
    "a directory of one's own": (
        "from common.temp import OutputRoot\n"
        "outputs = OutputRoot()\n"
        "run = outputs.run_dir(output_dir='results')\n"
        "(run / 'samples.csv').write_text('1')\n"
        "OutputRoot.cleanup_all()\n"
        "assert run.is_dir()\n"
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_as_it_stands(project: Path, name: str) -> None:
    exec(compile(EXAMPLES[name], name, "exec"), {"__name__": "example"})
