"""What migrated code relies on, besides what `tests/documents` checks: exact names, signatures and
file names, and that live processes keep their directories in every lifecycle.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from common.temp.core.layouts import PIPELINE
from tests.each import each
from tests.support import REPOSITORY, Process, inv, make_project, process, run


def named(path: str) -> Any:
    """What is at a dotted path below `common.temp`: a module, and what is in it."""
    module, *parts = path.split(".")
    found = importlib.import_module(f"common.temp.{module}")
    for part in parts:
        found = getattr(found, part)
    return found


# -- signatures ---------------------------------------------------------------------------------

# Each callable with its parameters and their defaults, spelled as a function that has them.
CALLABLES: dict[str, Callable[..., object]] = {
    "outputs.OutputRoot": lambda: 0,
    "outputs.OutputRoot.run_dir": lambda self, output_dir=None: 0,
    "outputs.OutputRoot.cleanup": lambda self: 0,
    "outputs.OutputRoot.cleanup_all": lambda: 0,
}


def parameters(of: Callable[..., object]) -> list[tuple[str, object]]:
    """The names of the parameters of a callable, with their defaults."""
    return [
        (name, one.default.value if isinstance(one.default, Enum) else one.default)
        for name, one in inspect.signature(of).parameters.items()
    ]


@each("path", CALLABLES)
def test_a_callable_takes_what_it_took_and_needs_no_more(path: str) -> None:
    wanted = parameters(CALLABLES[path])
    has = parameters(named(path))
    assert [name for name, _ in has[: len(wanted)]] == [name for name, _ in wanted]
    for (_, default), (_, other) in zip(wanted, has, strict=False):
        # What had to be given may have got a default.
        assert default in (inspect.Parameter.empty, other)
    assert all(default is not inspect.Parameter.empty for _, default in has[len(wanted) :])


# -- attributes, values, keys and file names ------------------------------------------------------


def test_a_property_is_one() -> None:
    assert isinstance(named("outputs.OutputRoot.temp_dir"), property)


def test_a_run_directory_is_named_by_the_second(tmp_path: Path) -> None:
    made = named("outputs.OutputRoot")().run_dir(tmp_path / "output")
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", made.name)


@pytest.mark.parametrize("value", ["dir", "tar.gz", "tar.zst"])
def test_an_archive_has_one_of_these_formats(project: Path, value: str) -> None:
    (project / "cleanup_config.json").write_text(json.dumps({"archive_format": value}))
    assert inv("temp-status", cwd=project).returncode == 0


def test_an_archive_is_listed_by_a_task(project: Path) -> None:
    assert inv("temp-restore", "--list", cwd=project).returncode == 0


@each(
    ("name", "is_one"),
    [
        ("pipeline_artifacts_20250917_013040", True),
        ("pipeline_artifacts_20250917_01304", False),
        ("pipeline_artifacts_2025-09-17", False),
        ("pipeline_artifacts", False),
    ],
)
def test_a_run_is_told_by_its_name(name: str, is_one: bool) -> None:
    assert PIPELINE.holds(name, is_directory=True) is is_one
    assert not PIPELINE.holds(name, is_directory=False)


# -- clients --------------------------------------------------------------------------------------

CLIENTS = ["captions", "impact", "photos", "pipeline", "replay_api"]


@each("name", CLIENTS)
def test_a_client_is_a_project_with_the_shared_tasks_and_a_demo_of_its_own(name: str) -> None:
    client = REPOSITORY / "projects" / name
    assert all((client / file).is_file() for file in ("pyproject.toml", "README.md", "tasks.py"))
    assert [*(client / "tests").glob("test_*.py")]
    listed = run([sys.executable, "-m", "invoke", "--list"], cwd=client).stdout
    for task in ("temp-status", "temp-clean", "demo"):
        assert f"  {task} " in listed


def test_the_runs_of_the_pipeline_are_cleaned_by_a_script_that_can_be_run() -> None:
    script = REPOSITORY / "projects" / "pipeline" / "scripts" / "cleanup_artifacts.sh"
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/bin/sh\n")


# -- live processes -------------------------------------------------------------------------------


# For each a program that makes something, and prints where.
LIFECYCLES = {
    "a job": (
        "from common.temp.jobs import StorageRoot\n"
        "job = StorageRoot(Path('var/jobs')).allocate_job('live')\n"
        "job.csv_path.write_text('work')\n"
        "print(job.csv_path, flush=True)\n"
    ),
    "a root of a process": (
        "from common.temp.outputs import OutputRoot\n"
        "outputs = OutputRoot()\n"
        "path = outputs.run_dir() / 'samples.txt'\n"
        "path.write_text('work')\n"
        "print(path, flush=True)\n"
    ),
    "a file with a time to live": (
        "from common.temp.tracking import FileCleanupManager\n"
        "manager = FileCleanupManager('var/uploads')\n"
        "path = Path('var/uploads/upload.bin').absolute()\n"
        "manager.track_file(path)\n"
        "path.write_text('work')\n"
        "print(path, flush=True)\n"
    ),
    "a run of a pipeline": (
        "from common.temp.pipeline import start_run\n"
        "path = start_run('artifacts') / 'script.txt'\n"
        "path.write_text('work')\n"
        "print(path, flush=True)\n"
    ),
}

SETTINGS = '[tool.tempkeep]\nroots = ["var/jobs", "var/uploads", "artifacts"]\n'


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A project that has the roots of all lifecycles in its settings."""
    return make_project(tmp_path / "service", SETTINGS)


class Alive(NamedTuple):
    """A live process, and the file that it works at."""

    process: Process
    path: Path

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def alive(service: Path) -> Iterator[dict[str, Alive]]:
    """A process of each lifecycle."""
    with ExitStack() as stack:
        started = {}
        for name, program in LIFECYCLES.items():
            code = f"import sys\nfrom pathlib import Path\n{program}sys.stdin.readline()\n"
            one = stack.enter_context(process(code, cwd=service))
            started[name] = Alive(one, Path(one.first_line))
        yield started


def clean(service: Path) -> str:
    done = inv("temp-clean", "--max-age-hours", "0", cwd=service)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def left(alive: dict[str, Alive]) -> list[str]:
    """Whose files are there, and whole."""
    return [
        name for name, one in alive.items() if one.path.exists() and one.path.read_text() == "work"
    ]


def test_live_processes_keep_what_is_theirs_and_when_they_are_killed_all_is_cleaned(
    service: Path, alive: dict[str, Alive]
) -> None:
    for _ in range(2):
        said = clean(service)
        assert left(alive) == list(alive)
    for one in alive.values():
        assert f"in use: pid {one.process.pid}" in said
        one.kill()
    clean(service)
    assert left(alive) == []
    for one in alive.values():
        assert not one.path.exists()


@pytest.mark.parametrize("name", LIFECYCLES)
def test_one_that_is_killed_takes_none_of_the_others_with_it(
    service: Path, alive: dict[str, Alive], name: str
) -> None:
    alive[name].kill()
    clean(service)
    assert left(alive) == [other for other in alive if other != name]


def test_what_the_settings_do_not_name_is_not_swept(service: Path, alive: dict[str, Alive]) -> None:
    (service / "pyproject.toml").write_text("[tool.tempkeep]\n")
    for one in alive.values():
        one.kill()
    clean(service)
    # A root of a process lies among the user's own entries, where every clean looks.
    assert left(alive) == [name for name in alive if name != "a root of a process"]


def test_what_lies_beside_them_and_a_directory_that_was_given_stay(
    service: Path, alive: dict[str, Alive]
) -> None:
    beside = [
        service / "artifacts" / "notes.txt",
        service / "var" / "notes.txt",
        service / "var" / "jobs" / "notes.txt",
    ]
    for path in beside:
        path.write_text("mine")
    code = (
        "import sys\nfrom common.temp.outputs import OutputRoot\n"
        "path = OutputRoot().run_dir('output') / 'samples.txt'\n"
        "path.write_text('mine')\nprint(path, flush=True)\nsys.stdin.readline()\n"
    )
    with process(code, cwd=service) as given:
        beside.append(Path(given.first_line))
    for one in alive.values():
        one.kill()
    clean(service)
    assert [path.read_text() for path in beside] == ["mine"] * len(beside)
