"""The tasks as a subproject imports them: what is visible, documented and loaded."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from common.temp import tasks
from common.temp.commands import status
from tests.each import each
from tests.support import BROKEN, environment, inv, listing, make_entry, run

SHARED = {
    *("clean", "temp-adopt", "temp-clean", "temp-explain", "temp-migrate", "temp-pin"),
    *("temp-check", "temp-report", "temp-restore", "temp-schedule", "temp-status"),
    "temp-unpin",
}
OWN = "\n@task\ndef build(c):\n    print('built')\n"
OWN_CLEAN = "\n@task\ndef clean(c):\n    print('own clean')\n"


def listed(project: Path) -> set[str]:
    """The names that `inv --list` shows."""
    done = inv("--list", "--list-format=json", cwd=project)
    assert done.returncode == 0, done.stderr
    return {task["name"] for task in json.loads(done.stdout)["tasks"]}


# -- importing them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "shared"),
    [
        ("from common.temp.tasks import *\n", SHARED),
        ("from common.temp.tasks import temp_status, temp_clean\n", {"temp-status", "temp-clean"}),
    ],
)
def test_a_subproject_s_own_tasks_stay_visible_beside_the_shared_ones(
    project: Path, imports: str, shared: set[str]
) -> None:
    (project / "tasks.py").write_text(f"from invoke import task\n{imports}{OWN}")

    assert listed(project) == {*shared, "build"}


def test_importing_ns_brings_the_shared_tasks(project: Path) -> None:
    (project / "tasks.py").write_text("from common.temp.tasks import ns\n")

    assert listed(project) == SHARED


def test_own_tasks_can_be_added_to_ns(project: Path) -> None:
    (project / "tasks.py").write_text(
        f"from invoke import task\nfrom common.temp.tasks import ns\n{OWN}{OWN_CLEAN}"
        "\nns.add_task(build)\nns.add_task(clean)\n"
    )

    assert listed(project) == {*SHARED, "build"}
    assert inv("clean", cwd=project).stdout == "own clean\n"


def test_a_subproject_s_own_clean_takes_the_place_of_the_shared_one(project: Path) -> None:
    (project / "tasks.py").write_text(
        f"from invoke import task\nfrom common.temp.tasks import *\n{OWN_CLEAN}"
    )
    make_entry(project, "build")

    done = inv("clean", cwd=project)

    assert done.stdout == "own clean\n"
    assert (project / "build").is_dir()
    assert listed(project) == SHARED


def test_the_tasks_act_on_the_project_in_which_one_stands(project: Path) -> None:
    inner = project / "projects" / "inner"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").touch()
    make_entry(project / ".tmp", "debug/outer_1696348800")
    make_entry(inner / ".tmp", "debug/inner_1696348800")

    done = inv("temp-clean", cwd=inner)  # whose tasks are those of the directory above

    assert done.returncode == 0, done.stderr
    assert listing(project / ".tmp") != []
    assert "deleted debug/inner_1696348800" in done.stdout
    assert (project / ".tmp" / "debug" / "outer_1696348800").is_dir()


def test_listing_loads_nothing_but_the_tasks_themselves(project: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "tasks.py").touch()

    def loaded(directory: Path) -> set[str]:
        command = [sys.executable, "-X", "importtime", "-m", "invoke", "--list"]
        done = run(command, cwd=directory)
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    more = loaded(project) - loaded(empty)

    ours = {"common", "common.temp", "common.temp._one_copy"}
    ours |= {f"common.temp.{name}" for name in ("choices", "completion", "ending", "entry_tasks")}
    ours |= {f"common.temp.{name}" for name in ("fleet_tasks", "invoke_arguments", "tasks")}
    ours |= {"common.temp.shared_task", "common.temp.core", "common.temp.core.named_tuple"}
    assert more <= {"__future__", *ours}


# -- their help -----------------------------------------------------------------------------------


@each(
    ("name", "flags"),
    [
        ("temp-status", "--category --sort --limit --format --output --all-projects --history"),
        (
            "temp-check",
            "--max-size --min-free --max-entries --max-files --max-age --tracked --format"
            " --all-projects",
        ),
        (
            "temp-clean",
            "--max-age --max-age-hours --category --name --strategy --everything --dry-run --trash"
            " --undoable --yes --force --include-in-use --ask --plan --apply --scheduled"
            " --background --require-policy --format --all-projects",
        ),
        ("temp-explain", "--path"),
        ("temp-pin", "--path --reason"),
        ("temp-unpin", "--path"),
        (
            "temp-migrate",
            "--paths --diff --check --write --unsafe --select --ignore --format --allow-dirty"
            " --add-dependency --explain",
        ),
        ("temp-report", "--paths --merge --format --expect --stale --output"),
        ("temp-schedule", "--every --strategy --install --remove --print --as"),
        ("temp-adopt", "--all-projects --dry-run"),
        (
            "clean",
            "--temp-age --temp-age-hours --older-than --preset --ask --dry-run --include-unsure "
            "--include-active --format --all-projects",
        ),
    ],
)
def test_help_says_what_the_task_does_and_what_each_flag_means(
    project: Path, name: str, flags: str
) -> None:
    done = inv("--help", name, cwd=project)

    assert done.returncode == 0, done.stderr
    assert tasks.ns[name].__doc__.splitlines()[0] in done.stdout
    told = re.findall(
        r"^  (?:-\w(?: STRING)?, )?(--[\w-]+)(?:=STRING)?(?: {2,}\S|$)", done.stdout, re.MULTILINE
    )
    assert sorted(told) == sorted(flags.split())


# -- ends and errors -------------------------------------------------------------------------------


def test_an_error_of_the_disk_is_one_line_with_the_path(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "/some\n/path")

    monkeypatch.setattr(status, "status", fail)

    with pytest.raises(Exit) as ended:
        tasks.temp_status(Context())

    assert ended.value.code == 1
    assert ended.value.message == f"error: cannot use /some /path: {BROKEN}"


def test_ctrl_c_ends_with_130_and_no_words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "status", interrupt)

    with pytest.raises(Exit) as ended:
        tasks.temp_status(Context())

    assert (ended.value.code, ended.value.message) == (130, None)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_does_not_stop_a_clean(project: Path, closed: str) -> None:
    make_entry(project / ".tmp", "debug/a_1696348800")
    redirection = {"stdout": ">&-", "stderr": "2>&-"}[closed]

    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m invoke temp-clean --yes {redirection}', sys.executable],
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert not (project / ".tmp" / "debug" / "a_1696348800").exists()


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_that_was_never_open_is_replaced(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = make_entry(project / ".tmp", "debug/a_1696348800")
    monkeypatch.setattr(sys, name, None)

    tasks.temp_clean(Context())

    assert not path.exists()
    getattr(sys, name).close()


def test_output_that_nobody_reads_ends_with_141_and_no_words(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)

        with pytest.raises(Exit) as ended:
            tasks.temp_status(Context())

    assert (ended.value.code, ended.value.message) == (141, None)
