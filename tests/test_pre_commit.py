"""The hooks of `.pre-commit-hooks.yaml`, installed from a clone and run by the real pre-commit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installing import only_once
from tests.support import REPOSITORY, environment, make_entry

HOOKS = ".pre-commit-hooks.yaml"
CONFIG = """
repos:
  - repo: {repository}
    rev: {revision}
    hooks:
      - id: tempkeep-tracked
      - id: tempkeep-budget
        args: [--max-size, 1MiB]
"""
OFFLINE = ("No matching distribution found", "Could not find a version")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def call(shared: Path) -> Run:
    """Runs a command with a home of its own for pre-commit, and this package only where that has
    installed it.
    """
    home = shared / "pre-commit home"
    home.mkdir(parents=True, exist_ok=True)
    (home / "gitconfig").write_text("[user]\n\tname = t\n\temail = t@example.org\n")
    more = {
        "PRE_COMMIT_HOME": str(home / "store"),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "PIP_COMPILE": "0",  # what is imported is compiled then
    }
    env = {name: text for name, text in environment(**more).items() if name != "PYTHONPATH"}

    def call(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
        )

    return call


def pre_commit(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pre_commit", *arguments)


@pytest.fixture(scope="module")
def installed(call: Run, shared: Path) -> Path:
    """A work tree with both hooks installed, from a clone of this repository: one for the run."""
    work = shared / "pre-commit work"
    with only_once(work) as is_missing:
        if is_missing:
            install(call, shared / "pre-commit clone", work)
    return work


def install(call: Run, clone: Path, work: Path) -> None:
    """Make the clone, and a work tree with its hooks. Skips without a package registry."""
    clone.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", HOOKS):
        shutil.copy2(REPOSITORY / name, clone)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("common", "installed"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=ignored, symlinks=True)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        assert call("git", *command, cwd=clone).returncode == 0
    revision = call("git", "rev-parse", "HEAD", cwd=clone).stdout.strip()
    fresh = Path(tempfile.mkdtemp(dir=clone.parent)) / "work"
    fresh.mkdir()
    config = CONFIG.format(repository=clone, revision=revision)
    (fresh / ".pre-commit-config.yaml").write_text(config)
    for command in (["init", "-q"], ["add", "-A"]):
        assert call("git", *command, cwd=fresh).returncode == 0
    done = call(*pre_commit("install", "--install-hooks"), cwd=fresh)
    if done.returncode and any(said in done.stdout for said in OFFLINE):
        pytest.skip("needs a package registry to make pre-commit's environment")
    assert done.returncode == 0, done.stdout + done.stderr
    fresh.rename(work)


@pytest.fixture
def work(installed: Path, tmp_path: Path) -> Path:
    """The same for a test alone, with a file to be committed."""
    return Path(shutil.copytree(installed, tmp_path / "work"))


def commits(call: Run, work: Path) -> int:
    return len(call("git", "log", "--oneline", cwd=work).stdout.splitlines())


def test_pre_commit_itself_finds_nothing_wrong_with_the_manifest(call: Run) -> None:
    done = call(*pre_commit("validate-manifest", HOOKS), cwd=REPOSITORY)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_commit_is_accepted_where_git_tracks_no_scratch(call: Run, work: Path) -> None:
    make_entry(work / ".tmp", "debug/x")  # which lies there, and is nobody's business
    done = call("git", "commit", "-m", "x", cwd=work)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Passed") == 2
    assert commits(call, work) == 1


def test_a_commit_is_refused_while_git_tracks_scratch(call: Run, work: Path) -> None:
    roots = (".tmp", "projects/a/.temp")
    for root in roots:
        make_entry(work / root, "debug/x")
    assert call("git", "add", "-f", *roots, cwd=work).returncode == 0
    done = call("git", "commit", "-m", "x", cwd=work)
    assert done.returncode == 1
    for root in roots:
        assert f"git tracks 1 file below {root}: git rm -r --cached {root}" in done.stderr
    assert commits(call, work) == 0
    # Also once it is there, by whichever commit: as long as one is tracked.
    assert call("git", "commit", "--no-verify", "-m", "x", cwd=work).returncode == 0
    assert call("git", "rm", "-q", "-r", "--cached", roots[0], cwd=work).returncode == 0
    done = call("git", "commit", "-m", "y", cwd=work)
    assert (done.returncode, f"below {roots[1]}" in done.stderr) == (1, True)
    assert call("git", "rm", "-q", "-r", "--cached", roots[1], cwd=work).returncode == 0
    assert call("git", "commit", "-m", "y", cwd=work).returncode == 0
    assert all((work / root / "debug" / "x").is_dir() for root in roots)
    assert commits(call, work) == 2


def test_a_commit_is_refused_while_scratch_is_over_its_budget(call: Run, work: Path) -> None:
    (make_entry(work / ".tmp", "debug/large_1696348800") / "data").write_bytes(b"x" * (2 << 20))
    done = call("git", "commit", "-m", "x", cwd=work)
    assert done.returncode == 1
    assert "exit code: 4" in done.stderr
    assert "over budget: 2.0 MiB of scratch, 1.0 MiB allowed" in done.stderr
    assert "debug/large_1696348800" in done.stderr
    assert commits(call, work) == 0
