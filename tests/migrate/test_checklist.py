"""`temp-migrate --check` ends with the checklist of the migration, and its exit code says how."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import make_entry, tempkeep

HELPER = """import time
from pathlib import Path


def get_temp_dir(prefix="temp"):
    path = Path(".tmp") / f"{prefix}_{int(time.time())}"
    path.mkdir(parents=True, exist_ok=True)
    return path


"""
ITEMS = [
    "nothing calls the copied helper get_temp_dir",
    "no copy of that helper is left",
    "no code makes temporary directories by hand",
    "git ignores .tmp and .temp",
    "every tasks.py has the shared tasks",
    "directories made by the helper are in a category",
    "no project has an older .temp",
    "every file was read",
]
WRITE = "`temp-migrate --write` rewrites 1"

# What is in the project, and the items that are not met then, with what to do.
PROJECTS: dict[str, tuple[dict[str, str], dict[int, str]]] = {
    "nothing": ({}, {}),
    "a call": ({"a.py": f"{HELPER}get_temp_dir('x')\n"}, {0: WRITE, 1: WRITE}),
    "a copy": ({"a.py": HELPER}, {1: WRITE}),
    "by hand": (
        {"a.py": "import tempfile\n\nwork = tempfile.mkdtemp()\n"},
        {2: "1 to change by hand, as listed"},
    ),
    "kept": (
        {"a.py": "import tempfile\n\nw = tempfile.mkdtemp()  # tempkeep: keep TK104 it is sent\n"},
        {},
    ),
    "unsafe": (
        {"a.py": "from pathlib import Path\n\nout = Path('.tmp/x')\nout.mkdir(parents=True)\n"},
        {2: "`temp-migrate --write --unsafe` rewrites 1"},
    ),
    "git": ({".gitignore": "build/\n"}, {3: WRITE}),
    "tasks": ({"tasks.py": "from invoke import task\n"}, {4: WRITE}),
    "old entries": (
        {f".tmp/x_169634880{number}/f": "x" for number in range(5)},
        {
            5: "`temp-adopt` moves .tmp/x_1696348800, .tmp/x_1696348801, .tmp/x_1696348802 "
            "and 2 more"
        },
    ),
    "entries in a category": ({".tmp/debug/x_1696348800/f": "x", ".tmp/notes/f": "x"}, {}),
    "an old root": ({".temp/x/f": "x"}, {6: "`clean` removes .temp"}),
    "a file": ({"a.py": "import tempfile\ntempfile.mkdtemp(:\n"}, {7: "fix or remove a.py"}),
}


@pytest.mark.parametrize("kind", PROJECTS)
def test_each_item_says_what_to_do_while_it_is_not_met(
    project: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    files, unmet = PROJECTS[kind]
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)

    code = tempkeep("temp-migrate", "--check")

    lines = capsys.readouterr().out.splitlines()[-len(ITEMS) - 1 :]
    assert lines == [
        f"checklist: {len(ITEMS) - len(unmet)} of {len(ITEMS)} met",
        *(
            f"[ ] {text}: {unmet[number]}" if number in unmet else f"[x] {text}"
            for number, text in enumerate(ITEMS)
        ),
    ]
    assert code == (3 if 7 in unmet else 1 if unmet else 0)


def test_git_is_asked_what_it_would_take(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    make_entry(project / ".tmp", "debug/x_1696348800")
    said = f"[ ] {ITEMS[3]}: add to .gitignore: .tmp"

    assert tempkeep("temp-migrate", "--check") == 1
    assert said in capsys.readouterr().out
    (project / ".tmp" / ".gitignore").write_text("*\n")  # as a new root has
    assert tempkeep("temp-migrate", "--check") == 0


def test_projects_inside_and_paths_are_looked_at_and_nothing_is_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = project / "projects" / "photos"
    (inner / "src").mkdir(parents=True)
    (inner / "pyproject.toml").touch()
    entry = make_entry(inner / ".tmp", "x_1696348800")
    said = "`temp-adopt` moves projects/photos/.tmp/x_1696348800"

    assert tempkeep("temp-migrate", "--check") == 1
    assert said in capsys.readouterr().out
    assert tempkeep("temp-migrate", "projects/photos/src", "--check") == 1
    assert said in capsys.readouterr().out
    assert tempkeep("temp-migrate", "tasks.py", "--check") == 0
    assert entry.is_dir()


def test_rules_that_do_not_run_confirm_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_entry(project / ".tmp", "x_1696348800")
    assert tempkeep("temp-migrate", "--check", "--select", "TK001,TK900") == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert shown == [f"[x] {ITEMS[0]}", f"[x] {ITEMS[3]}"]


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_a_document_stays_alone_on_stdout(
    project: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert tempkeep("temp-migrate", "--check", "--format", form) == 0
    said = capsys.readouterr()
    json.loads(said.out)
    assert said.err.startswith("checklist: 8 of 8 met\n")
