"""A case-insensitive filesystem, which may list names in another case than they were made in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.temp.core.layouts import JOBS
from common.temp.core.policy import Policy
from common.temp.store.root.allocation import allocate_named
from common.temp.store.root.pinning import write_pin
from tests.support import listing, make_project, process, run, scanned, swept


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small NTFS whose driver lists all names in lower case; skips where there is none."""
    directory = tmp_path_factory.mktemp("ntfs")
    image, place = directory / "image", directory / "disk"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    for command in (
        ["mkntfs", "-q", "-F", "-Q", str(image)],
        ["lowntfs-3g", "-o", "ignore_case", str(image), str(place)],
    ):
        if not shutil.which(command[0]) or run(command, cwd=directory).returncode:
            pytest.skip(f"cannot run {' '.join(command)}")
    try:
        yield place
    finally:
        run(["umount", "--lazy", str(place)], cwd=directory)


def test_a_clean_leaves_the_files_of_the_root_and_what_is_in_use_or_pinned(disk: Path) -> None:
    project = make_project(disk / "project")
    root = project / ".tmp"
    code = "from common.temp import *; get_cache_temp_dir('Pinned'); "
    code += "print(get_debug_temp_dir('Live').name); input()"
    with process(code, cwd=project) as live:
        (root / "debug" / "Gone_1500000000").mkdir()
        (pinned,) = (root / "cache").iterdir()
        write_pin(root, f"cache/{pinned.name.replace('p', 'P', 1)}", "why")
        files = [name for name in listing(root) if "/" not in name]
        assert "cachedir.tag" in files, "this driver lists names as they were made"
        report = swept(root)
        assert [outcome.step.entry.path for outcome in report.done] == ["debug/gone_1500000000"]
        kept = scanned(root)
        assert set(kept) == {f"debug/{live.first_line.lower()}", f"cache/{pinned.name}"}
    assert [name for name in listing(root) if "/" not in name] == files


def test_processes_git_and_globs_name_entries_in_any_case(disk: Path) -> None:
    """As a test of what `inv clean` finds there does for artefacts."""
    project = make_project(disk / "other")
    work = project / ".tmp" / "work"
    for name in ("Golden", "Kept", "Named", "Open", "Gone", "Tracked"):
        (work / f"{name}_1500000000").mkdir(parents=True)
        (work / f"{name}_1500000000" / "Report.html").write_text("x")
        (work / f"{name}_1500000000" / "junk").write_text("x")
    (work / "Kept_1500000000" / "Report.html").rename(work / "Kept_1500000000" / "Index.html")
    index = f"100644,{'1' * 40},.TMP/work/Tracked_1500000000/Report.html"
    for command in (("init", "-q"), ("update-index", "--add", "--cacheinfo", index)):
        assert not run(["git", *command], cwd=project).returncode
    named = disk / "OTHER" / ".tmp" / "work" / "Named_1500000000"
    code = "f = open('.tmp/work/Open_1500000000/Report.html'); print(1); input()"
    waiting = ["sh", "-c", "read line; true", str(named)]
    policy = Policy(everything=True, exclude=("Golden_*",), keep_files=("Index.*",))
    with process(code, cwd=project), subprocess.Popen(waiting, stdin=subprocess.PIPE) as shell:
        report = swept(project / ".tmp", policy)
        assert {path.name for path in work.iterdir()} == {
            f"{name}_1500000000" for name in ("golden", "kept", "named", "open", "tracked")
        }, report
        assert listing(work / "kept_1500000000") == ["index.html"]
        shell.kill()
    assert "work/gone_1500000000" in {outcome.step.entry.path for outcome in report.done}


def test_a_job_is_in_use_whatever_its_case(disk: Path) -> None:
    root = disk / "jobs"
    code = "from common.temp import StorageRoot; from pathlib import Path; "
    code += "print(StorageRoot(Path('jobs')).allocate_job('Flight-17').root); input()"
    with process(code, cwd=disk):
        allocate_named(str(root), "Mine", JOBS)
        report = swept(root, layout=JOBS)
        assert [outcome.step.entry.path for outcome in report.done] == ["mine"]
        assert (root / "flight-17").is_dir()
