"""Nothing that is planted in a project leads any face of the program outside its roots."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.temp.errors import TempError
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.pipeline import cleanup_after_pipeline_run
from tests.support import environment, inv, make_entry, make_project, tempkeep

SOMEBODY = 12345
OLD = 1_600_000_000


# -- what is planted -----------------------------------------------------------------------------


def link(place: Path, target: Path) -> None:
    """A relative link at `place`, as a repository can hold one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(os.path.relpath(target, place.parent))


def git(project: Path, *arguments: str) -> None:
    """A real `git` in `project`."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True)


def track_all(project: Path) -> None:
    """Make `project` a repository that holds all that lies in it."""
    git(project, "init")
    git(project, "add", "--force", ".")
    git(project, "commit", "-m", "x")


def root_is_a_tracked_link(project: Path, outside: Path) -> None:
    link(project / ".tmp", outside)
    track_all(project)


def root_is_a_link(project: Path, outside: Path) -> None:
    link(project / ".tmp", outside)


def root_is_a_link_through_a_link(project: Path, outside: Path) -> None:
    link(project / "next", outside)
    link(project / ".tmp", project / "next")


def root_is_somebody_elses_link(project: Path, outside: Path) -> None:
    link(project / ".tmp", outside)
    if os.geteuid() == 0:
        os.lchown(project / ".tmp", SOMEBODY, SOMEBODY)


def root_is_a_link_to_another_tools_cache(project: Path, outside: Path) -> None:
    (outside / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# by pip\n")
    link(project / ".tmp", outside)


def configured_root_is_a_tracked_link(project: Path, outside: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["var/scratch"]\n')
    link(project / "var" / "scratch", outside)
    track_all(project)


def configured_root_is_below_a_tracked_link(project: Path, outside: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["var/work"]\n')
    link(project / "var", outside)
    track_all(project)


def links_among_the_entries(project: Path, outside: Path) -> None:
    link(project / ".tmp" / "cache", outside)
    link(project / ".tmp" / "debug" / f"x_{OLD}", outside)
    link(project / ".tmp" / f"y_{OLD}", outside)
    link(project / ".tmp" / "work" / f"z_{OLD}" / "inside", outside)


def old_scratch_and_archive_are_links(project: Path, outside: Path) -> None:
    make_entry(project / ".tmp", f"debug/x_{OLD}", age_hours=9999)
    link(project / ".temp", outside)
    link(project / ".tmp-archive", outside)
    link(project / "build", outside)
    link(project / "__pycache__", outside)
    track_all(project)


def store_is_a_link(project: Path, outside: Path) -> None:
    make_entry(project / ".tmp", f"debug/x_{OLD}", age_hours=9999)
    link(project / ".tmp" / ".tempkeep", outside)


def parts_of_the_store_are_links(project: Path, outside: Path) -> None:
    make_entry(project / ".tmp", f"debug/x_{OLD}", age_hours=9999)
    for part in ("owners", "holding", "pins", "undo"):
        link(project / ".tmp" / ".tempkeep" / part, outside)


def leftovers_hold_links(project: Path, outside: Path) -> None:
    holding = project / ".tmp" / ".tempkeep" / "holding"
    link(holding / "0123456789abcdef", outside)
    link(holding / "batch-0123456789abcdef", outside)
    link(holding / "batch-1123456789abcdef" / "0123456789abcdef", outside)
    link(holding / "transfer-0123456789abcdef", outside)
    link(project / ".tmp" / ".tempkeep-held-0123456789abcdef", outside)


def transfers_that_nobody_began(project: Path, outside: Path) -> None:
    (project / ".git" / "hooks").mkdir(parents=True)
    link(project / ".tmp" / "way", outside)
    inside = {"archive": str(project / ".tmp-archive"), "name": "n", "id": "1", "inode": 1}
    places = ("../.git/hooks/post-commit", str(outside / "new"), "way/new", "../../Documents/new")
    for path in places:
        transfer(project, {"way": "to archive", "path": path, **inside}, payload=True)
    for name in ("a.txt", "deep", "../Documents/a.txt", "run_1"):
        there = {"archive": str(outside), "name": name, "id": "1", "inode": 1}
        transfer(project, {"way": "from archive", "path": f"debug/x_{OLD}", **there})
    manifest = {"schema": 1, "id": "1", "name": "run_1", "path": f"debug/x_{OLD}"}
    (outside / "run_1").mkdir()
    (outside / "run_1" / "f").write_text("x")
    (outside / "run_1.tempkeep.json").write_text(json.dumps(manifest))


def transfer(project: Path, intent: dict[str, object], *, payload: bool = False) -> None:
    """A directory in the holding area, as of a transfer that was killed."""
    holding = project / ".tmp" / ".tempkeep" / "holding"
    directory = holding / f"transfer-{os.urandom(8).hex()}"
    directory.mkdir(parents=True)
    (directory / "intent.json").write_text(json.dumps(intent))
    if payload:
        (directory / "payload").write_text("#!/bin/sh\ntouch /stolen\n")
        (directory / "payload").chmod(0o755)


def things_to_undo_that_lie_elsewhere(project: Path, outside: Path) -> None:
    undo = project / ".tmp" / ".tempkeep" / "undo"
    undo.mkdir(parents=True)
    for number, name in enumerate(("../../../../Documents", "x", "deep")):
        manifest = {"schema": 1, "id": str(number), "name": name, "data": name, "path": "a/b_1"}
        (undo / f"{number}.tempkeep.json").write_text(json.dumps(manifest))
    link(undo / "x", outside)
    (undo / "x.tempkeep.json").write_text(json.dumps({**manifest, "name": "x"}))


def mounts_over_the_store(project: Path, outside: Path) -> None:
    make_entry(project / ".tmp", f"debug/x_{OLD}", age_hours=9999)
    mount(outside, project / ".tmp" / ".tempkeep" / "holding")


def mount_over_the_whole_store(project: Path, outside: Path) -> None:
    make_entry(project / ".tmp", f"debug/x_{OLD}", age_hours=9999)
    (outside / "holding" / "x").mkdir(parents=True)
    (outside / "holding" / "x" / "f").write_text("x")
    mount(outside, project / ".tmp" / ".tempkeep")


def mounts_among_the_leftovers(project: Path, outside: Path) -> None:
    holding = project / ".tmp" / ".tempkeep" / "holding"
    mount(outside, holding / "0123456789abcdef")
    mount(outside, holding / "batch-0123456789abcdef" / "0123456789abcdef" / "deep")
    mount(outside, project / ".tmp" / ".tempkeep" / "undo")


def mount(outside: Path, place: Path) -> None:
    """Show `outside` at `place`; skips where we may not mount."""
    place.mkdir(parents=True)
    done = subprocess.run(["mount", "--bind", outside, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("cannot mount here")


PLANTS: list[Callable[[Path, Path], None]] = [
    root_is_a_tracked_link,
    root_is_a_link,
    root_is_a_link_through_a_link,
    root_is_somebody_elses_link,
    root_is_a_link_to_another_tools_cache,
    configured_root_is_a_tracked_link,
    configured_root_is_below_a_tracked_link,
    links_among_the_entries,
    old_scratch_and_archive_are_links,
    store_is_a_link,
    parts_of_the_store_are_links,
    leftovers_hold_links,
    transfers_that_nobody_began,
    things_to_undo_that_lie_elsewhere,
    mounts_over_the_store,
    mount_over_the_whole_store,
    mounts_among_the_leftovers,
]


# -- who is led ----------------------------------------------------------------------------------


FACES: dict[str, Callable[[Path], object]] = {
    "clean": lambda _: tempkeep("clean"),
    "temp-clean --yes": lambda _: tempkeep("temp-clean", "--yes"),
    "--everything": lambda _: tempkeep("temp-clean", "--everything", "--yes"),
    "--max-age-hours": lambda _: tempkeep("temp-clean", "--max-age-hours", "0"),
    "--undoable": lambda _: tempkeep("temp-clean", "--everything", "--yes", "--undoable"),
    "--strategy archive": lambda _: tempkeep("temp-clean", "--strategy", "archive", "--yes"),
    "--all-projects": lambda _: tempkeep("temp-clean", "--all-projects", "--yes"),
    "--scheduled": lambda _: tempkeep("temp-clean", "--scheduled", "--strategy", "aggressive"),
    "--background": lambda _: (
        inv("temp-clean", "--everything", "--yes", "--background", cwd=Path.cwd()).returncode
    ),
    "temp-adopt": lambda _: tempkeep("temp-adopt"),
    "temp-restore": lambda _: tempkeep("temp-restore", "--name", "*"),
    "temp-restore x": lambda _: tempkeep("temp-restore", "--name", "x"),
    "temp-status": lambda _: tempkeep("temp-status"),
    "TempManager": lambda _: TempManager.clean_persistent_temps(0),
    "StorageRoot": lambda root: StorageRoot(root).recover(),
    "pipeline": lambda root: cleanup_after_pipeline_run(str(root)),
}


def digest(top: Path) -> str:
    """All that lies in `top`: names, kinds, modes, owners, contents."""
    sums = hashlib.sha256()
    for above, directories, files in os.walk(top):
        directories.sort()
        for name in sorted([*directories, *files, "."]):
            path = os.path.join(above, name)
            status = os.lstat(path)
            sums.update(f"{path} {status.st_mode:o} {status.st_uid} {status.st_ino}\n".encode())
            if stat.S_ISREG(status.st_mode):
                sums.update(Path(path).read_bytes())
    return sums.hexdigest()


@contextmanager
def planted(base: Path, plant: Callable[[Path, Path], None]) -> Iterator[tuple[Path, Path]]:
    """A project with what `plant` puts there, and a directory outside it that must not change."""
    project = make_project(base / "home" / "repo")
    outside = base / "home" / "Documents"
    (outside / "debug" / f"thesis_{OLD}").mkdir(parents=True)
    (outside / "debug" / f"thesis_{OLD}" / "1.tex").write_text("tex")
    (outside / "deep" / "er").mkdir(parents=True)
    (outside / "deep" / "er" / "photo.jpg").write_text("jpg")
    (outside / "a.txt").write_text("a")
    try:
        plant(project, outside)
        for above, _, files in os.walk(outside, topdown=False):
            for name in files:
                os.utime(os.path.join(above, name), (OLD, OLD))
            os.utime(above, (OLD, OLD))
        yield project, outside
    finally:
        table = Path("/proc/self/mountinfo")
        points = [line.split()[4] for line in table.read_text().splitlines()]
        for point in sorted((p for p in points if p.startswith(f"{base}/")), reverse=True):
            subprocess.run(["umount", "--lazy", point], check=False)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_nothing_outside_changes_whatever_lies_planted(
    base: Path,
    plant: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not shutil.which("git"):
        pytest.skip("needs git")
    monkeypatch.setenv("HOME", str(base / "home"))
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    with planted(base, plant) as (project, outside):
        hooks = project / ".git" / "hooks"
        before = digest(outside), sorted(hooks.iterdir()) if hooks.is_dir() else []
        for face, run in FACES.items():
            monkeypatch.chdir(project)
            code: object = None
            with suppress(TempError):
                code = run(project / ".tmp")
            after = digest(outside), sorted(hooks.iterdir()) if hooks.is_dir() else []
            told = capsys.readouterr()
            assert after == before, f"{face}: {told.out}{told.err}"
            if isinstance(code, int):
                assert code in (0, 1, 2, 3), face
            assert "Traceback" not in told.err, f"{face}: {told.err}"
