"""Beside a host's own tasks: short flags are chosen by hand, and the host's own names win."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest
from invoke.collection import Collection

from common.temp import tasks
from common.temp.__main__ import program
from common.temp.shared_task import LETTERS
from tests.support import forked, inv, make_entry

STAR = "from common.temp.tasks import *\n"
TASK = "from invoke import Collection, task\n"
OWN = "@task\ndef clean(c): return 'own'\n"
NAMED = "@task(name='clean')\ndef tidy(c): return 'own'\n"
ALIASED = "@task(aliases=['clean'])\ndef tidy(c): return 'own'\n"
PLAIN = "def clean(): return 'own'\n"
IMPORTED = "from own_tasks import clean\n"
HOST_NAMES = sorted(name.replace("_", "-") for name in tasks.__all__)


def collection_of(text: str) -> Collection:
    """What invoke makes of a `tasks.py` with that text."""
    module = ModuleType("tasks")
    exec(compile(text, "tasks.py", "exec"), module.__dict__)
    return Collection.from_module(module)


@pytest.mark.parametrize(
    "parts",
    [
        *itertools.permutations([STAR, OWN]),
        *itertools.permutations([STAR, NAMED]),
        *itertools.permutations([STAR, ALIASED]),
        *itertools.permutations([STAR, IMPORTED]),
        (STAR, OWN, STAR),
        (OWN, STAR.replace("common.temp", "tempkeep")),
        ("from common.temp.tasks import clean, temp_status\n", ALIASED),
        ("from common.temp.tasks import clean as shared\n", OWN),
        (STAR, OWN, "ns = Collection(clean, temp_status)\n"),
        (OWN, STAR, "ns = Collection(temp_status, clean)\n"),
        (OWN, "from common.temp.tasks import ns\nns = Collection(*ns.tasks.values(), clean)\n"),
        (OWN, "from common.temp.tasks import ns\nns = Collection(clean, *ns.tasks.values())\n"),
    ],
    ids="|".join,
)
def test_the_host_s_own_clean_stays_wherever_the_import_stands(
    parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own_tasks.py").write_text(f"{TASK}{OWN}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_tasks", raising=False)

    found = collection_of("".join([TASK, *parts]))

    assert found["clean"].body(None) == "own"
    if "temp-status" in found.task_names:
        assert found["temp-status"].body is tasks.temp_status.body
    names = [one for context in found.to_contexts() for one in (context.name, *context.aliases)]
    assert names.count("clean") == 1


def test_without_a_clean_of_its_own_a_host_gets_the_shared_one() -> None:
    assert sorted(collection_of(f"{TASK}{STAR}").task_names) == HOST_NAMES
    assert collection_of(STAR + STAR)["clean"] is tasks.clean


def test_a_function_that_is_no_task_stays_too() -> None:
    found = collection_of(f"{TASK}{PLAIN}{STAR}@task\ndef run(c): return clean()\n")
    assert found["run"].body(None) == "own"
    assert "clean" not in found.task_names


def test_an_own_task_with_a_shared_name_as_alias_keeps_its_own_name(project: Path) -> None:
    text = ALIASED.replace("return 'own'", "print('own')")
    (project / "tasks.py").write_text(f"{TASK}{text}{STAR}")
    make_entry(project, "build")
    assert inv("tidy", "clean", cwd=project).stdout == "own\n"
    assert (project / "build").is_dir()


def test_names_are_read_by_index_and_slice_as_those_of_a_list() -> None:
    assert tasks.__all__[1:3] == [*tasks.__all__][1:3]
    assert [tasks.__all__[index] for index in range(len(tasks.__all__))] == [*tasks.__all__]


# -- short flags ----------------------------------------------------------------------------------

PREVIEWS = [
    "temp-clean -d",
    "temp-clean -dm 0",
    "temp-clean -m 0 -d",
    "temp-clean -m0 -yd",
    "temp-clean -c debug -d",
    "temp-clean -ad",
    "clean -d",
    "clean -dt 0",
    "temp-adopt -d",
]


@pytest.mark.parametrize("line", PREVIEWS)
def test_d_is_a_preview(project: Path, line: str) -> None:
    scratch = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=99)
    build = make_entry(project, "build")
    done = forked(*line.split(), cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "adopt" in line or "old_1696348800" in done.stdout
    assert scratch.is_dir()
    assert build.is_dir()


@pytest.mark.parametrize("line", ["temp-clean -m 24", "temp-clean -m24", "clean -t 24"])
def test_m_and_t_are_ages(project: Path, line: str) -> None:
    old = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=48)
    new = make_entry(project / ".tmp", "debug/new_1696348800", age_hours=1)
    assert forked(*line.split(), cwd=project).returncode == 0
    assert (old.exists(), new.exists()) == (False, True)


REFUSED = [
    ("temp-clean -e", "-e"),
    ("temp-clean -p", "-p"),
    ("temp-clean -w", "-w"),
    ("temp-clean -R", "-R"),
    ("temp-clean -l", "-l"),
    ("temp-clean -V", "-V"),
    ("temp-clean -x", "-x"),
    ("temp-clean -dw", "-w"),
    ("temp-clean -m 24 -D", "-D"),
    ("temp-status -d", "-d"),
    ("temp-status -e", "-e"),
    ("temp-pin debug/old -r wanted -T", "-T"),
    ("temp-restore -d", "-d"),
    ("temp-migrate -w", "-w"),
    ("temp-migrate . -d", "-d"),
    ("clean -f", "-f"),
]


@pytest.mark.parametrize(("line", "flag"), REFUSED)
def test_a_letter_that_a_task_does_not_know_is_refused_and_not_invoke_s(
    project: Path, line: str, flag: str
) -> None:
    entry = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=99)
    done = forked(*line.split(), cwd=project)
    name = line.split()[0]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {name} has no flag {flag}; `--help {name}` lists its flags, and those of the "
        "program itself go before the task\n"
    )
    assert entry.is_dir()


def test_in_a_host_flags_of_invoke_and_of_own_tasks_work_as_ever(project: Path) -> None:
    own = "@task\ndef own(c, debug=False): print('own', debug, c.config.run.echo)\n"
    (project / "tasks.py").write_text(f"{TASK}{own}{STAR}")
    entry = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=99)

    assert inv("own", "-d", "-e", cwd=project).stdout == "own True True\n"
    refused = inv("own", "temp-clean", "-e", cwd=project)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert inv("-e", "temp-clean", "-d", "own", "-d", cwd=project).stdout.endswith(
        "own True True\n"
    )
    assert inv("-R", "temp-clean", cwd=project).returncode == 0
    assert "Usage" in inv("temp-clean", "-h", cwd=project).stdout
    assert "1 not selected" in inv("temp-clean", "--name", "-x", cwd=project).stdout
    assert entry.is_dir()


def test_completion_goes_on_after_a_flag_that_is_refused(project: Path) -> None:
    done = inv("--complete", "--", "inv temp-clean -e --dr", cwd=project)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_pins_and_lists_have_their_letters(project: Path) -> None:
    entry = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=99)
    assert forked("temp-pin", "-r", "wanted", str(entry), cwd=project).returncode == 0
    assert forked("temp-clean", "-y", cwd=project).returncode == 0
    assert entry.is_dir()
    assert forked("temp-restore", "-l", cwd=project).returncode == 0


def test_every_short_flag_of_every_task_was_chosen_by_hand() -> None:
    assert program.namespace is not None
    for name in program.namespace.task_names:
        for argument in program.namespace[name].get_arguments():
            letters = [one for one in argument.names if len(one) == 1]
            assert letters == [LETTERS[one] for one in argument.names[:1] if one in LETTERS]
