"""The commands on trees of hard links, as made by `cp -al`, `tar` and package managers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import check_report, make_entry, run, tempkeep

Printed = pytest.CaptureFixture[str]


def du(path: Path) -> int:
    """The bytes that `du` counts below `path`, without those of its store."""
    told = subprocess.run(
        ["du", "-s", "--block-size=1", "--exclude=.tempkeep", path],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(told.stdout.split()[0])


def said(capsys: Printed, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The document of a command for one project."""
    capsys.readouterr()
    assert tempkeep(*arguments, "--format", "json") == code
    found: dict[str, Any] = check_report(json.loads(capsys.readouterr().out))["projects"][0]
    return found


@pytest.fixture
def linked(project: Path) -> Path:
    """A store of packages, two environments that link to it, and both as `tar` unpacks them."""
    root = project / ".tmp"
    store = make_entry(root, "cache/store", files=0)
    for number in range(8):
        (store / str(number)).write_bytes(os.urandom(64 << 10))
    make_entry(root, "work/result", age_hours=90)
    script = """
        set -e; cd "$1"
        cp -al cache/store work/env1; cp -al cache/store work/env2
        tar cf ../linked.tar cache work/env1; mkdir work/unpacked
        tar xf ../linked.tar -C work/unpacked; rm ../linked.tar
    """
    subprocess.run(["sh", "-c", script, "sh", root], check=True)
    return project


def test_all_commands_count_a_file_with_several_names_once(linked: Path, capsys: Printed) -> None:
    root = linked / ".tmp"
    there = du(root)
    status = said(capsys, "temp-status", "--sort", "files")
    size = status["totals"]["size_bytes"]
    assert size == pytest.approx(there, rel=0.02)  # which counts the root and its categories too
    assert sum(one["size_bytes"] for one in status["entries"]) > 1.9 * size
    assert status["entries"][0]["name"] == "unpacked"
    checked = said(capsys, "temp-check", "--max-size", str(size), "--max-files", "99")
    assert (checked["size_bytes"], checked["inodes"]) == (size, 8 + 8 + 1 + 4 + 5)
    said(capsys, "temp-check", "--max-size", str(size - 1), code=4)
    said(capsys, "temp-check", "--max-files", "20", code=4)


def test_a_limit_on_the_total_size_takes_nothing_that_fits(linked: Path, capsys: Printed) -> None:
    size = said(capsys, "temp-status")["totals"]["size_bytes"]
    pyproject = linked / "pyproject.toml"
    pyproject.write_text(f"[tool.tempkeep]\nmax_total_size = {size}\n")
    assert said(capsys, "temp-clean", "--yes")["entries"] == []
    pyproject.write_text("[tool.tempkeep]\nmax_files = 25\n")
    assert [one["path"] for one in said(capsys, "temp-clean", "--yes")["entries"]] == [
        "work/result"
    ]


def test_what_was_set_aside_counts_once_with_what_stays(linked: Path, capsys: Printed) -> None:
    before = said(capsys, "temp-check", "--max-size", "1GiB")["size_bytes"]
    clean = ("temp-clean", "--everything", "--yes", "--name", "env*")
    assert said(capsys, *clean, "--undoable")["freed_bytes"] == 0
    checked = said(capsys, "temp-check", "--max-size", "1GiB")
    assert checked["size_bytes"] == before
    assert checked["undoable_bytes"] < 20_000  # the store still has the rest


def test_what_links_elsewhere_keep_is_not_promised(linked: Path, capsys: Printed) -> None:
    root = linked / ".tmp"
    subprocess.run(["cp", "-al", root / "work/unpacked", linked / "elsewhere"], check=True)
    for selected in (("--category", "cache"), ("--name", "env1"), ()):
        before = du(root)
        clean = ("temp-clean", "--everything", "--yes", *selected)
        planned = said(capsys, *clean, "--dry-run")["planned_bytes"]
        freed = said(capsys, *clean)["freed_bytes"]
        assert freed == planned
        lost = before - du(root)
        assert lost - freed == pytest.approx(
            0 if selected else du(linked / "elsewhere"), abs=30_000
        )


def test_environments_that_uv_links_to_its_cache_are_forecast_as_they_free(
    project: Path, capsys: Printed, wheel: Path
) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    root = project / ".tmp"
    cache = make_entry(root, "cache/uv", files=0)
    install = ["pip", "install", "--offline", "--no-deps", "--link-mode", "hardlink", str(wheel)]
    for name in ("work/env1", "work/env2"):
        venv = str(root / name)
        for command in (["venv", "--python", sys.executable, venv], [*install, "--prefix", venv]):
            done = run([uv, "--no-config", "--cache-dir", str(cache), *command], cwd=project)
            assert done.returncode == 0, done.stderr
    size = said(capsys, "temp-status")["totals"]["size_bytes"]
    assert size == pytest.approx(du(root), rel=0.01)
    assert sum(one["size_bytes"] for one in said(capsys, "temp-status")["entries"]) > 2 * size
    for selected in (("--name", "env1"), ()):
        before = du(root)
        clean = ("temp-clean", "--everything", "--yes", *selected)
        planned = said(capsys, *clean, "--dry-run")["planned_bytes"]
        freed = said(capsys, *clean)["freed_bytes"]
        assert freed == pytest.approx(planned, rel=0.01)
        assert freed == pytest.approx(before - du(root), rel=0.01)
