"""New users of an entry are noticed during slow checks, such as git or a large tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.policy import Policy
from common.temp.store.claiming import area, named_removal
from common.temp.store.claiming.claim import NotClaimed
from common.temp.store.claiming.named_removal import NamedRemover, delete_elsewhere
from common.temp.store.scanning import uses_above
from common.temp.store.scanning.protections_inside import Within
from common.temp.store.shelf import dropping, moving
from common.temp.store.shelf.listing import list_shelf
from common.temp.store.sweep import adoption, rechecks
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system import processes_in_directory
from common.temp.store.system.opening import opened_in
from common.temp.store.trees.contents import state
from tests.support import EVERYTHING, HOUR, age, make_entry, outcomes, run, swept

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def slow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which what is called `comes` is run by git, when it is first asked for stashes
    once that is there; and it takes longer than what was seen is relied on.
    """
    for module, seconds in (
        (rechecks, "_CHECK_SECONDS"),
        (uses_above, "_RELIED_ON_SECONDS"),
        (processes_in_directory, "_RELIED_ON_SECONDS"),
    ):
        monkeypatch.setattr(module, seconds, 0.1)
    slow = tmp_path / "slow"
    slow.mkdir()
    script = f"""#!/bin/sh
case "$*" in *refs/stash*)
  if [ -e {slow}/comes ]; then mv {slow}/comes {slow}/came; sh {slow}/came; sleep 0.2; fi
esac
exec {shutil.which("git")} "$@"
"""
    (slow / "git").write_text(script)
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(slow), prepend=os.pathsep)
    return slow


def clone(path: Path) -> Path:
    """A repository at `path` of which all is elsewhere, so that it may go."""
    origin = path.parents[2] / "origin"
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for words in (
        ["init", "-q", str(origin)],
        ["-C", str(origin), "commit", "-q", "--allow-empty", "-m", "1"],
        ["clone", "-q", f"file://{origin}", str(path)],
    ):
        done = run(["git", *who, *words], cwd=path.parents[2])
        assert done.returncode == 0, done.stderr
    age(path, 72)
    return path


@contextmanager
def worker_that_comes(slow: Path, path: Path) -> Iterator[None]:
    """While git is asked, somebody begins to work in `path`."""
    pid = slow / "pid"
    (slow / "comes").write_text(
        f"cd {path}; sleep 60 > /dev/null 2>&1 & echo $! > {pid}; cd /; sleep 0.1\n"
    )
    try:
        yield
    finally:
        subprocess.run(["kill", pid.read_text().strip()], check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
def test_who_begins_to_work_in_an_entry_while_git_is_asked_keeps_it(
    root: Path, slow_git: Path
) -> None:
    path, other = clone(root / "work" / "r"), make_entry(root, "work/other")
    with worker_that_comes(slow_git, path):
        assert [done.step.entry.path for done in swept(root, sizes=False).done] == ["work/other"]
    assert (path.exists(), other.exists()) == (True, False)
    assert [done.step.entry.path for done in swept(root).done] == ["work/r"]


@pytest.mark.parametrize("path", ["novel", "deep/novel"])
def test_a_change_while_git_is_asked_keeps_the_entry(root: Path, slow_git: Path, path: str) -> None:
    there = clone(root / "work" / "r")
    (there / ".git" / "deep").mkdir()
    age(there, 72)
    # The first time it is asked is the scan's, and that comes after the scan has looked.
    (slow_git / "comes").write_text(f"echo new > {there}/.git/{path}\n")
    outcome = outcomes(swept(root, Policy(max_age=24 * HOUR)))
    # The file and the directory that it came into may have the same time.
    assert outcome in [
        {"work/r": ("skipped", f"has changed meanwhile, in {newest}")}
        for newest in (Path(".git", path), Path(".git", path).parent)
    ]
    assert (there / ".git" / path).read_text() == "new\n"
    age(there, 72)
    assert len(swept(root, Policy(max_age=24 * HOUR)).done) == 1


@pytest.mark.parametrize("path", ["work/r", "debug/x"])
def test_a_change_while_git_is_asked_keeps_the_entry_from_a_clean_of_everything(
    root: Path, slow_git: Path, path: str
) -> None:
    there = clone(root / "work" / "r") if path == "work/r" else make_entry(root, path)
    if path != "work/r":  # its category is a clone
        (clone(root / "work" / "r") / ".git").rename(there.parent / ".git")
        (there.parent / ".git" / "info" / "exclude").write_text("*\n")
        age(root / "debug", 72)
    plan = prepare(root, EVERYTHING, time.time())
    plan = plan._replace(steps=tuple(step for step in plan.steps if step.entry.path == path))
    novel = there / (".git/novel" if path == "work/r" else "novel")
    (slow_git / "comes").write_text(f"echo new > {novel}\n")
    assert outcomes(execute(plan)) == {path: ("skipped", "has changed meanwhile")}
    assert novel.read_text() == "new\n"
    assert path in {done.step.entry.path for done in swept(root).done}


@pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
def test_who_begins_to_work_in_an_old_directory_while_git_is_asked_keeps_it(
    tmp_path: Path, slow_git: Path
) -> None:
    path = clone(tmp_path / "elsewhere" / "work" / "r")
    with worker_that_comes(slow_git, path):
        outcome = delete_elsewhere(str(path), "directory", policy=True)
        assert outcome.status == "skipped"
        assert "works in it" in outcome.detail
    (slow_git / "comes").write_text(f"echo new > {path}/.git/novel\n")
    before = (tmp_path / "slow").stat().st_mtime - HOUR
    outcome = delete_elsewhere(str(path), "directory", before=before, policy=True)
    assert outcome[:3] == ("skipped", "has changed since", 0)
    assert delete_elsewhere(str(path), "directory", policy=True).status == "done"


def dropped(root: Path) -> str:
    """What became of an attempt to delete the entry from an archive."""
    archive = root.parent / "archive"
    archived = list_shelf(archive, root)[0]
    with opened_in(archive) as top:
        before = state(top, archived.data)
    try:
        return str(dropping.drop(archive, archived, before=before).failures)
    except NotClaimed as reason:
        return reason.detail


def remove_named(root: Path) -> str:
    with closing(NamedRemover(root, policy=True)) as remover:
        return remover.delete("debug/x_1696348800", "directory", ours=True).detail


def adoption_of(root: Path) -> str:
    (moved,) = adoption.adopt(adoption.survey(root, (), time.time()), lambda moved: None)
    return moved.detail


def sweep_that(**options: Any) -> Callable[[Path], str]:
    def sweep(root: Path) -> str:
        archive = root.parent / "archive" if options.get("disposal") == "archive" else None
        ((_, detail),) = outcomes(swept(root, archive=archive, **options)).values()
        return detail

    return sweep


FLAT, DEEP = "x_1696348800", "debug/x_1696348800"
LONG: dict[str, tuple[str, Callable[[Path], str], object, str]] = {
    "delete, claim": (DEEP, sweep_that(), area, "_rename"),
    "undo, walk": (DEEP, sweep_that(disposal="undo"), rechecks.Facts, "newest"),
    "undo, digest": (DEEP, sweep_that(disposal="undo"), moving, "digest"),
    "archive, walk": (DEEP, sweep_that(disposal="archive"), rechecks.Facts, "newest"),
    "archive, digest": (DEEP, sweep_that(disposal="archive"), moving, "digest"),
    "adopt, walk": (FLAT, adoption_of, Within, "use_of"),
    "adopt, move": (FLAT, adoption_of, adoption, "rename_new"),
    "by name, walk": (DEEP, remove_named, named_removal, "_check_within"),
    "by name, claim": (DEEP, remove_named, area, "_rename"),
    "from an archive, walk": ("", dropped, dropping, "state"),
}
"""Where the entry is, what would take it, and what in there may take long."""


@pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")
@pytest.mark.parametrize("what", LONG)
def test_who_begins_to_work_in_an_entry_at_the_last_moment_keeps_it_whatever_takes_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path, take, owner, name = LONG[what]
    here = make_entry(root, path or DEEP)
    if not path:
        swept(root, disposal="archive", archive=root.parent / "archive")
        here = root.parent / "archive" / DEEP.replace("/", "__")
    real = getattr(owner, name)
    there: list[subprocess.Popen[bytes]] = []

    def comes(*arguments: Any, **options: Any) -> Any:
        if not there:
            there.append(subprocess.Popen(["sleep", "60"], cwd=here))
        return real(*arguments, **options)

    for module, seconds in (
        (rechecks, "_CHECK_SECONDS"),
        (adoption, "_PROCESS_CHECK_SECONDS"),
        (processes_in_directory, "_RELIED_ON_SECONDS"),
    ):
        monkeypatch.setattr(module, seconds, 0.0)  # as if it had taken long
    monkeypatch.setattr(owner, name, comes)
    try:
        detail = take(root)
        assert (here.exists(), len(there)) == (True, 1)
        assert "(sleep 60) works in it" in detail
    finally:
        there[0].kill()
        there[0].wait()
    take(root)
    assert not here.exists()
