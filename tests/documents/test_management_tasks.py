"""The statements of the documents on management tasks and migrating hold here."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

import pytest
from invoke.collection import Collection
from invoke.context import Context

from common.temp import tasks
from common.temp.store.root.pinning import write_pin
from tests.documents.statement import Statement, parameters
from tests.support import forked, listing, make_entry, process

# -- signatures and flags -------------------------------------------------------------------------

SIGNATURES: dict[str, list[tuple[str, object]]] = {
    "temp_status": [],
    "temp_clean": [("max_age_hours", None), ("dry_run", False)],
    "clean": [("temp_age_hours", None), ("dry_run", False)],
}
FLAGS = {
    "temp_clean": {"max-age-hours": "m", "dry-run": "d"},
    "clean": {"temp-age-hours": "t", "dry-run": "d"},
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_task_takes_what_it_took_and_needs_nothing(name: str) -> None:
    first, *has = parameters(getattr(tasks, name).body)
    assert first[0] == "c"
    assert has[: len(SIGNATURES[name])] == SIGNATURES[name], "also by position"
    assert all(default in (None, False, "name", "table") for _, default in has)


@pytest.mark.parametrize("name", FLAGS)
def test_a_short_flag_means_what_it_meant(name: str) -> None:
    found = {one.names[0]: one.names[1:] for one in getattr(tasks, name).get_arguments()}
    assert {flag: found[flag] for flag in FLAGS[name]} == {
        flag: (letter,) for flag, letter in FLAGS[name].items()
    }


# -- statements -----------------------------------------------------------------------------------

OLD, NEW = "debug/old_1696348800", "debug/new_1696348800"


def entries(project: Path) -> tuple[Path, Path]:
    root = project / ".tmp"
    return make_entry(root, OLD, age_hours=48), make_entry(root, NEW, age_hours=1)


def left_by(*line: str, code: int = 0) -> Callable[[Path], list[bool]]:
    """Which of the two entries are left after the command."""

    def look(project: Path) -> list[bool]:
        both = entries(project)
        done = forked(*line, cwd=project)
        assert done.returncode == code, done
        assert done.stderr == "" or done.stderr.startswith("no policy is configured"), done
        return [path.is_dir() for path in both]

    return look


def leaves(left: list[bool], *line: str) -> Callable[[Path], bool]:
    return lambda project: left_by(*line)(project) == left


def listed(project: Path) -> bool:
    entries(project)
    before = listing(project)
    said = forked("temp-status", cwd=project).stdout
    shown = ("old_1696348800", "new_1696348800", "debug", "2 entries")
    return all(word in said for word in shown) and listing(project) == before


def previewed(project: Path) -> bool:
    entries(project)
    before = listing(project)
    said = forked("temp-clean", "-dm", "24", cwd=project).stdout
    return "old_1696348800" in said and "would" in said and listing(project) == before


def same_as_previewed(project: Path) -> bool:
    entries(project)
    words = [
        [word for word in forked(*line, cwd=project).stdout.split() if "_1696348800" in word]
        for line in (("temp-clean", "-m", "24", "-d"), ("temp-clean", "-m", "24"))
    ]
    return set(words[0]) == set(words[1])


def git(project: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)


def work_tree(project: Path) -> None:
    (project / ".gitignore").write_text("build/\n__pycache__/\n.pytest_cache/\n")
    git(project, "init", "-q")
    git(project, "add", "tasks.py")


def artefacts(project: Path) -> bool:
    work_tree(project)
    paths = [make_entry(project, name) for name in ("build", "__pycache__", ".pytest_cache")]
    (project / "src").mkdir()
    old = make_entry(project / ".temp", "x")
    both = entries(project)
    assert forked("clean", cwd=project).returncode == 0
    return not any(path.exists() for path in (*paths, old, *both)) and (project / "src").is_dir()


def artefacts_whatever_their_age(project: Path) -> bool:
    work_tree(project)
    build = make_entry(project, "build")
    both = entries(project)
    assert forked("clean", "-t", "24", cwd=project).returncode == 0
    return [path.exists() for path in (build, *both)] == [False, False, True]


def tracked_stays(project: Path) -> bool:
    build = make_entry(project, "build")
    work_tree(project)
    git(project, "add", "-f", "build")
    assert forked("clean", cwd=project).returncode == 0
    return build.is_dir()


def unsure_stays(project: Path) -> bool:
    build = make_entry(project, "build")
    said = forked("clean", cwd=project).stdout
    return build.is_dir() and "--include-unsure" in said


def in_use_stays(project: Path) -> bool:
    code = "from common.temp import *; print(get_debug_temp_dir('x'), flush=True); input()"
    with process(code, cwd=project) as other:
        assert forked("temp-clean", "-m", "0", cwd=project).returncode == 0
        return Path(other.first_line).is_dir()


def pinned_stays(project: Path) -> bool:
    old, _ = entries(project)
    write_pin(project / ".tmp", OLD, "wanted")
    assert forked("temp-clean", cwd=project).returncode == 0
    return old.is_dir()


def called_by_position(project: Path) -> bool:
    old, new = entries(project)
    with redirect_stdout(io.StringIO()) as said:
        tasks.temp_clean(Context(), 24, True)
        tasks.clean(Context(), 24.5, True)
        assert said.getvalue().count("would delete debug/old_1696348800") == 2
        tasks.temp_clean(Context(), 24)
    return (old.exists(), new.exists()) == (False, True)


def needs_value(project: Path) -> bool:
    done = forked("temp-clean", "-c", cwd=project)
    return done.stderr == "Flag --category/-c needed value and was not given one!\n"


def refused(*line: str) -> Callable[[Path], bool]:
    def look(project: Path) -> bool:
        both = entries(project)
        done = forked(*line, cwd=project)
        assert all(path.is_dir() for path in both)
        return done.returncode == 2 and done.stderr.count("\n") == 1

    return look


def own_clean(*, first: bool) -> Callable[[Path], bool]:
    def look(project: Path) -> bool:
        own = "from invoke import task\n@task\ndef clean(c): return 'own'\n"
        star = "from common.temp.tasks import *\n"
        module = ModuleType("tasks")
        text = f"{own}{star}" if first else f"{star}{own}"
        exec(compile(text, "tasks.py", "exec"), module.__dict__)
        found = Collection.from_module(module)
        return found["clean"].body(None) == "own" and "temp-clean" in found.task_names

    return look


TASKS = [
    Statement("temp-status lists each entry with its category, and changes nothing", listed),
    Statement("temp-clean without an age cleans all", leaves([False, False], "temp-clean")),
    Statement(
        "temp-clean --max-age-hours 24 cleans what is older",
        leaves([False, True], "temp-clean", "--max-age-hours", "24"),
    ),
    Statement("-m 24 is the same", leaves([False, True], "temp-clean", "-m", "24")),
    Statement("temp-clean --dry-run previews", leaves([True, True], "temp-clean", "--dry-run")),
    Statement("-d is the same", leaves([True, True], "temp-clean", "-d")),
    Statement("-d and -m may be one word, and the output says what would go", previewed),
    Statement("what is previewed is what goes", same_as_previewed),
    Statement("clean removes artefacts and scratch, the older .temp too", artefacts),
    Statement("clean -t 24 keeps newer scratch, no artefacts", artefacts_whatever_their_age),
    Statement("clean -d previews", leaves([True, True], "clean", "-d")),
    Statement(
        "clean removes every build directory",
        tracked_stays,
        "It leaves what git tracks: that is nobody's artefact.",
    ),
    Statement(
        "so it does without git",
        unsure_stays,
        "There it lists what may be written by hand; `--include-unsure` removes that too.",
    ),
    Statement(
        "an age alone decides",
        in_use_stays,
        "Entries of a live process stay whatever their age: it is still at work there.",
    ),
    Statement(
        "without an age all goes",
        pinned_stays,
        "What somebody has pinned stays, and the output says who keeps it.",
    ),
    Statement(
        "a short flag that the task lacks is invoke's",
        refused("temp-clean", "-w"),
        "It is refused: where `-d` is invoke's --debug, a preview that was meant deletes.",
    ),
    Statement("an age that is no number is refused", refused("temp-clean", "-m", "soon")),
    Statement("a task of one's own may call them, by position too", called_by_position),
    Statement("a flag without its value is named", needs_value),
    Statement("a project's own clean stays beside a star import", own_clean(first=False)),
    Statement("also when the import is the last line", own_clean(first=True)),
]


@pytest.mark.parametrize("statement", TASKS, ids=lambda one: one.says)
def test_a_statement_of_the_tasks_holds(project: Path, statement: Statement) -> None:
    assert statement.holds(project)


# -- the guide to migrating -----------------------------------------------------------------------

HELPER = (
    "import time\nfrom pathlib import Path\n\n\n"
    "def get_temp_dir(prefix='temp'):\n"
    "    temp_base = Path('.tmp')\n    temp_base.mkdir(exist_ok=True)\n"
    "    temp_dir = temp_base / f'{prefix}_{int(time.time())}'\n"
    "    temp_dir.mkdir(exist_ok=True)\n    return temp_dir\n\n\n"
)
PATTERNS: dict[str, tuple[str, str, str]] = {
    "a copied helper": (f"{HELPER}out = get_temp_dir('x')\n", "get_debug_temp_dir('x')", "temp-"),
    "mkdtemp and rmtree": (
        "import shutil\nimport tempfile\n\n\ndef run():\n    work = tempfile.mkdtemp()\n"
        "    try:\n        print(work)\n    finally:\n        shutil.rmtree(work)\n",
        "with temp_working_dir('run') as",
        "mkdtemp",
    ),
    "a path of mkdtemp": (
        "import shutil\nimport tempfile\nfrom pathlib import Path\n\n\ndef run():\n"
        "    work = Path(tempfile.mkdtemp(prefix='photos_'))\n"
        "    try:\n        print(work)\n    finally:\n        shutil.rmtree(work)\n",
        "with temp_working_dir('photos') as",
        "mkdtemp",
    ),
    "a stamped directory": (
        "import time\nfrom pathlib import Path\n\n\ndef run():\n"
        "    out = Path('.tmp') / f'x_{int(time.time())}'\n"
        "    out.mkdir(parents=True, exist_ok=True)\n    return out\n",
        "TempManager.create_persistent_dir('x', 'work')",
        "mkdir",
    ),
    "a fixed directory": (
        "from pathlib import Path\n\n\ndef run():\n    out = Path('.tmp') / 'debug'\n"
        "    out.mkdir(parents=True, exist_ok=True)\n    return out\n",
        "TempManager.create_persistent_dir('debug', 'work')",
        "mkdir",
    ),
    "a block": (
        "import tempfile\nfrom pathlib import Path\n\n\ndef run():\n"
        "    with tempfile.TemporaryDirectory() as d:\n        print(Path(d) / 'x')\n",
        "with temp_working_dir('run') as d:",
        "TemporaryDirectory",
    ),
    "a fixture": (
        "import shutil\nimport tempfile\nimport pytest\n\n\n@pytest.fixture\ndef temp():\n"
        "    d = tempfile.mkdtemp()\n    yield d\n    shutil.rmtree(d)\n",
        "with temp_working_dir('temp') as",
        "mkdtemp",
    ),
    "two directories of a test": (
        "import tempfile\nfrom pathlib import Path\n\n\ndef test_it():\n"
        "    with tempfile.TemporaryDirectory() as d:\n"
        "        source = Path(d) / 'source'\n        target = Path(d) / 'target'\n"
        "        source.mkdir()\n        target.mkdir()\n        print(source, target)\n",
        "with pytest_temp_dirs(2, ['source', 'target']) as (source, target):",
        "TemporaryDirectory",
    ),
}
"""What the guide shows before, what is in the file after, and what no longer is."""


def test_what_the_guide_shows_before_converts_and_the_checklist_is_met(project: Path) -> None:
    for name, (before, _, _) in PATTERNS.items():
        (project / f"test_{name.replace(' ', '_')}.py").write_text(before)
    own = "from invoke import task\n\n\n@task\ndef clean(c):\n    c.run('rm -rf .tmp')\n"
    (project / "tasks.py").write_text(own)
    (project / ".gitignore").write_text("build/\n")
    make_entry(project / ".tmp", "x_1696348800")

    assert forked("temp-migrate", "--check", cwd=project).returncode == 1
    done = forked("temp-migrate", "--write", "--unsafe", "--allow-dirty", cwd=project)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout

    for name, (_, wanted, gone) in PATTERNS.items():
        after = (project / f"test_{name.replace(' ', '_')}.py").read_text()
        assert wanted in after.replace('"', "'"), after
        assert gone not in after
    said = (project / "tasks.py").read_text()
    assert "    temp_status,\n" in said
    assert said.endswith(own.partition("\n\n\n")[2])  # with a clean of its own
    assert "    clean,\n" not in said
    assert (project / ".gitignore").read_text() == "build/\n.tmp/\n.temp/\n"

    assert forked("temp-adopt", cwd=project).returncode == 0
    checked = forked("temp-migrate", "--check", cwd=project)
    assert "TK110 removes .tmp by hand" in checked.stdout
    (project / "tasks.py").write_text(said.replace("rm -rf .tmp", "rm -rf build"))
    checked = forked("temp-migrate", "--check", cwd=project)
    assert checked.stdout.count("[x]") == 8, checked.stdout
    assert checked.returncode == 0
