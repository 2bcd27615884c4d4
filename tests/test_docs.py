"""The code in the README and the pages in `docs` works when it is pasted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from common.temp.migrate.rules import by_code
from common.temp.store.settings.loading import load
from tests.docs import DOCS, PAGES, README, Block, anchors, blocks, links, prose
from tests.each import each
from tests.support import REPOSITORY, environment, make_entry, run
from tests.warm import python

LINKING = [*PAGES, *(REPOSITORY / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY"))]
INSTALLS = (
    'python3 -m pip install -e ".[demo]" && inv demo',
    'python3 -m pip install -e ".[test]" && python3 -m pytest',
)
"""What `.ci/run` runs, each in a fresh environment."""

ENDS_WITH = r"code=0; \1 || code=$?; [ $code = \2 ]"
"""For a line of a shell that says with which exit code it ends, where that is not 0."""

PROGRAMS = {"python3": [], "inv": ["-m", "invoke"], "tempkeep": ["-m", "common.temp"]}

LEGACY = '''"""A script with the helper that is copied from script to script."""

import time
from pathlib import Path


def get_temp_dir(name_prefix="temp"):
    path = Path(".tmp") / f"{name_prefix}_{int(time.time())}"
    path.mkdir(parents=True)
    return path


print(get_temp_dir("report"))
'''


def name_of(path: Path) -> str:
    return path.name


@pytest.fixture
def monorepo(project: Path) -> Iterator[Path]:
    """A project in git with some entries, a project in it, and a script with the old helper."""
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / ".gitignore").write_text(".tmp/\nvar/\n")
    script = project / "projects" / "photos" / "report.py"
    script.parent.mkdir(parents=True)
    script.write_text(LEGACY)
    (script.parent / "pyproject.toml").write_text('[project]\nname = "photos"\n')
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "add", "."], cwd=project, check=True)
    subprocess.run([*git, "commit", "-qm", "begin"], cwd=project, check=True)
    make_entry(project / ".tmp", "cache/thumbnails_1696348800", age_hours=48)
    make_entry(project / ".tmp", "debug/inspect_1696348800", age_hours=200)
    make_entry(project / ".tmp", "report_1696348800", age_hours=200)
    (project.parent / "bin").mkdir()
    for name, arguments in PROGRAMS.items():
        program = project.parent / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join([*python(), *arguments])} "$@"\n')
        program.chmod(0o755)
    server = project.parent / "bin" / "moto_server"
    server.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m moto.server "$@"\n')
    server.chmod(0o755)
    yield project
    with suppress(OSError):  # what a page started, and came to no end with
        os.kill(int((project / "moto.pid").read_text()), signal.SIGKILL)


def run_block(block: Block, monorepo: Path) -> None:
    """Run one block as a reader would; fails with what it printed."""
    if block.kind == "toml":
        (monorepo / "pyproject.toml").write_text(block.text)
        load(monorepo, {})
        return
    if block.kind == "json":
        (monorepo / "cleanup_config.json").write_text(block.text)
        load(monorepo, {})
        return
    if block.kind == "yaml":
        path = monorepo / ".pre-commit-config.yaml"
        path.write_text(block.text)
        command = [sys.executable, "-m", "pre_commit", "validate-config", str(path)]
    elif block.kind == "python" and "\ndef test_" in f"\n{block.text}":
        path = monorepo / "test_page.py"
        path.write_text(block.text)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    elif block.kind == "python":
        code = f"import warnings; warnings.simplefilter('error'); exec({block.text!r})"
        command = [sys.executable, "-c", code]
    else:
        text = re.sub(r"^(.+?) +# ends with (\d).*$", ENDS_WITH, block.text, flags=re.MULTILINE)
        command = ["bash", "-euo", "pipefail", "-c", text]
    done = run(command, cwd=monorepo, PATH=f"{monorepo.parent / 'bin'}:{environment()['PATH']}")
    told = (done.returncode, done.stderr if block.kind == "python" else "")
    assert told == (0, ""), f"line {block.line}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_blocks_of_a_page_run_one_after_the_other(monorepo: Path, page: Path) -> None:
    served = "moto_server" in page.read_text(encoding="utf-8")
    if served and not (find_spec("moto") and find_spec("obstore") and shutil.which("curl")):
        pytest.skip("needs moto with flask, obstore and curl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for block in blocks(page):
        if block.text.strip() not in INSTALLS and block.kind != "text":
            text = block.text.replace("5000", port) if served else block.text
            run_block(block._replace(text=text), monorepo)


@each("page", PAGES)
def test_every_block_says_what_it_is(page: Path) -> None:
    kinds = {block.kind for block in blocks(page)}
    assert kinds <= {"python", "sh", "toml", "json", "yaml", "text"}
    assert "\n    " not in re.sub(
        r"^(?:- |\d\. ).*(?:\n +.*)*", "", prose(page), flags=re.MULTILINE
    )


@pytest.mark.parametrize("command", INSTALLS)
def test_an_install_command_has_a_block_of_its_own_and_is_what_ci_runs(command: str) -> None:
    assert [block.text for block in blocks(README)].count(f"{command}\n") == 1
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert shlex.quote(command).strip("'").replace('"', '\\"') in script
    assert command.replace("install", "install -q") in script


def test_the_readme_is_a_front_page() -> None:
    assert README.read_text(encoding="utf-8").count("\n") <= 150
    pages = {path.resolve() for path, _ in links(README)}
    assert {page for page in PAGES if page != README} <= pages


def test_each_lifecycle_has_a_block_of_about_ten_lines() -> None:
    found = [
        block for block in blocks(DOCS / "services-and-pipelines.md") if block.kind == "python"
    ]
    assert len(found) == 4
    assert all(len(block.text.splitlines()) <= 14 for block in found)


def test_every_rule_of_temp_migrate_has_its_row() -> None:
    text = (DOCS / "migrating.md").read_text(encoding="utf-8")
    assert {code: text.count(f"\n| {code} | ") for code in by_code()} == dict.fromkeys(by_code(), 1)


@each("page", LINKING)
def test_every_link_and_every_path_that_is_named_leads_somewhere(page: Path) -> None:
    named = re.findall(r"`((?:projects|tests|common|docs)/[\w./]+)`", prose(page))
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
    found = links(page)
    assert {str(path) for path, _ in found if not path.exists()} == set()
    dead = {(path.name, anchor) for path, anchor in found if anchor and anchor not in anchors(path)}
    assert dead == set()
