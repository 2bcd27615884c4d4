"""Must hold 4: files not written here, from the packages that the tests run with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.installing import only_once
from tests.support import run

FILES = 510
LEAST = 500
SPEAKING = 45
LARGEST = 60_000
SAMPLE = 12
# What is installed decides whether any foreign file has a site to rewrite; this one always has.
OURS = "ours.py"
_SPOKEN_OF = re.compile(rb"tempfile|TemporaryDirectory|mkdtemp|tmp_path|\.tmp\b")


def chosen() -> list[tuple[Path, Path]]:
    """The files, and where each is to be: some that speak of scratch, and any others."""
    top = Path(sysconfig.get_paths()["purelib"])
    found = sorted(path for path in top.rglob("*.py") if 0 < path.stat().st_size < LARGEST)
    speaking = [path for path in found if _SPOKEN_OF.search(path.read_bytes())]
    # Both from all packages.
    speaking = speaking[:: max(1, len(speaking) // SPEAKING)]
    silent = sorted(set(found) - set(speaking))
    files = [*speaking, *silent[:: max(1, len(silent) // FILES)]][:FILES]
    return [(path, path.relative_to(top)) for path in files]


class Tree(NamedTuple):
    """A copy of foreign files under git, in a project that depends on the package."""

    top: Path
    temp: Path
    files: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run(command, cwd=self.top, TMPDIR=str(self.temp))

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = self.run("git", *who, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def migrate(self, *arguments: str) -> dict[str, Any]:
        command = ("-m", "common.temp", "temp-migrate", "--format", "json", *arguments)
        done = self.run(sys.executable, *command)
        assert done.stdout, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        # Of what it cannot read it says so; nothing else may have gone wrong.
        assert done.returncode in ((3,) if document["problems"] else (0, 1)), done.stderr
        return document

    def changed(self) -> list[str]:
        return self.git("diff", "--name-only", "--no-renames").splitlines()


@pytest.fixture
def tree(shared: Path, tmp_path: Path) -> Tree:
    """A tree for one test, copied from one for the run."""
    original = shared / "foreign files"
    with only_once(original) as is_missing:
        if is_missing:
            made = copied(shared / "foreign")
            made.top.rename(original)
    top, temp = tmp_path / "tree", tmp_path / "temp"
    shutil.copytree(original, top, symlinks=True)
    temp.mkdir(mode=0o700)
    return Tree(top, temp, len([*top.rglob("*.py")]) - 1)  # without ours


def copied(base: Path) -> Tree:
    """The files in a new repository in `base`."""
    top, temp = base / "tree", base / "temp"
    temp.mkdir(mode=0o700, parents=True)
    files = chosen()
    for source, place in files:
        (top / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, top / place)
    (top / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["tempkeep"]\n')
    (top / OURS).write_text(
        "import os\nimport tempfile\n\n"
        "with tempfile.TemporaryDirectory() as made:\n    print(os.listdir(made))\n"
    )
    made = Tree(top, temp, len(files))
    made.git("init", "--quiet")
    made.git("config", "core.autocrlf", "false")
    made.git("add", "--all", "--force")
    made.git("commit", "--quiet", "--message", "as they are")
    return made


def compiles(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
    return True


def test_foreign_files_are_looked_at_without_a_crash(
    tree: Tree, figure: Callable[[str], None]
) -> None:
    document = tree.migrate("--check")

    assert tree.files >= LEAST
    assert document["summary"]["files"] >= LEAST
    count = Counter(one["code"] for one in document["findings"])
    figure(
        f"foreign files: {document['summary']['files']}, findings: {dict(sorted(count.items()))}"
    )
    step = max(1, len(document["findings"]) // SAMPLE)
    for one in document["findings"][::step][:SAMPLE]:
        what = f"{one['path']}:{one['line']}: {one['code']} {one['status']}: {one['message']}"
        figure(f"foreign files: {what}")
    assert tree.changed() == []
    for problem in document["problems"]:
        assert not compiles(tree.top / problem["path"]), problem


@pytest.mark.parametrize("flags", [(), ("--unsafe",)], ids=["safe", "unsafe"])
def test_what_is_rewritten_compiles_and_a_second_run_finds_nothing_to_rewrite(
    tree: Tree, flags: tuple[str, ...], figure: Callable[[str], None]
) -> None:
    document = tree.migrate("--write", *flags)
    changed = tree.changed()

    converted = {one["path"] for one in document["findings"] if one["status"] == "converted"}
    assert converted >= {name for name in changed if name.endswith(".py")}
    assert len(changed) == document["summary"]["changed"]
    assert OURS in changed
    assert [name for name in changed if not compiles(tree.top / name)] == []
    figure(f"foreign files: {len(changed)} rewritten{' with --unsafe' if flags else ''}")

    texts = {name: (tree.top / name).read_bytes() for name in changed}
    again = tree.migrate("--write", "--allow-dirty", *flags)
    assert again["summary"]["converted"] == 0
    assert tree.changed() == changed
    assert {name: (tree.top / name).read_bytes() for name in changed} == texts
