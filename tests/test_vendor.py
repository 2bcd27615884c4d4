"""`tempkeep vendor`: a copy of the package in a monorepo, updated and never lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.temp import __version__
from common.temp import vendor as vendoring
from common.temp.errors import Refused, TempError
from common.temp.needs import LEFT_OUT, NEEDS
from common.temp.store.system import at
from tests.installing import clean_environment, link_needed
from tests.support import REPOSITORY, environment, forked, run
from tests.tracing import traced
from tests.warm import Started

COPY = Path("libs", "common", "temp")
PROGRAM = (sys.executable, "-m", "common.temp")


def make_host(directory: Path) -> Path:
    package = directory / "libs" / "common"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "text.py").write_text("SHOUT = 'HOST'\n")
    return directory


@pytest.fixture
def bare_host(tmp_path: Path) -> Path:
    """A monorepo with a package `common` of its own."""
    return make_host(tmp_path / "host")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    host = make_host(tmp_path_factory.mktemp("first") / "host")
    assert vendor(host).returncode == 0
    return host


@pytest.fixture
def host(first: Path, tmp_path: Path) -> Path:
    """The same, with a copy in it."""
    return Path(shutil.copytree(first, tmp_path / "host"))


def vendor(host: Path, directory: str = "libs/common") -> subprocess.CompletedProcess[str]:
    return forked("vendor", directory, cwd=host)


def content(directory: Path) -> dict[str, bytes]:
    """All that is in a directory, by its relative path; links as what they say."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(directory))] = os.readlink(path).encode()
        elif path.is_file():
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


def make_older(copy: Path) -> None:
    """Have the copy be one of another version, as its manifest has it as well."""
    manifest = copy / "vendored.json"
    said = json.loads(manifest.read_text())
    (copy / "jobs.py").write_text("OLD = True\n")
    (copy / "gone.py").write_text("OLD = True\n")
    for name in ("jobs.py", "gone.py"):
        said["files"][name] = hashlib.sha256(b"OLD = True\n").hexdigest()
    said["version"] = "0.0.9"
    manifest.write_text(json.dumps(said))


def refused(host: Path, *says: str, directory: str = "libs/common") -> None:
    """That it is refused with a line that says so, and everything stays as it was."""
    before = content(host)
    done = vendor(host, directory)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert all(text in done.stderr for text in says), done.stderr
    assert content(host) == before


def test_the_package_is_copied_without_what_is_not_for_a_copy(bare_host: Path) -> None:
    done = vendor(bare_host)
    assert (done.returncode, done.stderr) == (0, "")
    package = REPOSITORY / "common" / "temp"
    wanted = {name for name in content(package) if "__pycache__" not in name}
    wanted = {name for name in wanted if not name.startswith("migrate/") and name != "vendor.py"}
    assert set(content(bare_host / COPY)) == wanted | {"vendored.json"}
    first = (bare_host / COPY / "__init__.py").read_text().splitlines()[0]
    assert first.startswith(f"# tempkeep {__version__}: a copy")
    assert (bare_host / "libs" / "common" / "text.py").read_text() == "SHOUT = 'HOST'\n"
    assert not [path for path in (bare_host / "libs" / "common").iterdir() if path.name[0] == "."]


def test_it_says_what_a_copy_needs(bare_host: Path) -> None:
    said = vendor(bare_host).stdout
    for text in (
        "import it as common.temp, with libs on sys.path",
        "from common.temp.tasks import *",
        'pytest_plugins = ["common.temp.pytest_plugin"]',
        "'invoke>=3,<4'",
    ):
        assert text in said


def test_what_it_says_is_needed_is_what_the_distribution_depends_on() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert sorted(NEEDS.values()) == sorted(project["dependencies"])


@pytest.mark.parametrize(
    ("directory", "copy"),
    [
        ("libs/common", "libs/common/temp"),
        ("libs/common/temp", "libs/common/temp"),
        ("new/package", "new/package/temp"),
        ("src/tempkeep", "src/tempkeep"),
    ],
)
def test_the_copy_is_in_the_directory_or_is_it_if_called_so(
    bare_host: Path, directory: str, copy: str
) -> None:
    assert vendor(bare_host, directory).returncode == 0
    assert (bare_host / copy / "tasks.py").is_file()
    assert "already" in vendor(bare_host, copy).stdout


def test_a_second_run_updates_and_takes_what_python_compiled_with_it(host: Path) -> None:
    new = content(host / COPY)
    make_older(host / COPY)
    (host / COPY / "__pycache__").mkdir()
    (host / COPY / "__pycache__" / "jobs.cpython-311.pyc").touch()
    done = vendor(host)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"updated libs/common/temp from 0.0.9 to {__version__}" in done.stdout
    assert content(host / COPY) == new
    assert sorted(os.listdir(host / "libs" / "common")) == ["__init__.py", "temp", "text.py"]


def test_a_second_run_with_nothing_new_touches_nothing(host: Path) -> None:
    before = os.stat(host / COPY).st_ino
    done = vendor(host)
    assert (done.returncode, "already" in done.stdout) == (0, True)
    assert os.stat(host / COPY).st_ino == before


def test_a_dry_run_writes_nothing(bare_host: Path) -> None:
    before = content(bare_host)
    done = forked("--dry", "vendor", "libs/common", cwd=bare_host)
    assert (done.returncode, done.stdout) == (
        0,
        f"would copy tempkeep {__version__} to libs/common/temp\n",
    )
    assert content(bare_host) == before


# -- what is refused, and stays --------------------------------------------------------------------


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("change", ["edited", "new", "missing", "link", "directory", "FIFO"])
def test_local_changes_are_named_and_stay(host: Path, change: str, older: bool) -> None:
    copy = host / COPY
    if older:
        make_older(copy)
    named = "manager.py"
    if change == "edited":
        (copy / named).write_text("MINE = 1\n")
    elif change == "new":
        named = "core/mine.py is new"
        (copy / "core" / "mine.py").write_text("MINE = 1\n")
    elif change == "missing":
        (copy / named).unlink()
    elif change == "directory":
        named = "mine/notes.txt is new"
        (copy / "mine").mkdir()
        (copy / "mine" / "notes.txt").write_text("mine\n")
    else:
        (copy / named).unlink()
        if change == "link":
            (copy / named).symlink_to("../text.py")
        else:
            os.mkfifo(copy / named)
    refused(host, "libs/common/temp has changed since it was copied", named)


@pytest.mark.parametrize("what", ["copy", "module", "link", "dangling", "package", "linked files"])
def test_what_is_no_copy_of_ours_stays(bare_host: Path, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "common" / "temp", outside, ignore=ignored)
    copy = bare_host / COPY
    if what == "copy":  # made by hand, who knows with which changes
        shutil.copytree(outside, copy)
    elif what == "module":
        copy.write_text("")
    elif what == "package":
        copy.mkdir()
        (copy / "__init__.py").write_text("MINE = 1\n")
    elif what == "linked files":
        vendor(bare_host)
        shutil.rmtree(copy / "core")
        (copy / "core").symlink_to(outside / "core")
    else:
        copy.symlink_to(outside if what == "link" else tmp_path / "nowhere")
    before = content(outside)
    refused(bare_host, "libs/common/temp")
    assert content(outside) == before
    assert not (tmp_path / "nowhere").exists()


def test_nothing_is_copied_behind_a_link_that_git_tracks(tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("needs git")
    for name in ("host", "outside"):
        (tmp_path / name).mkdir()
    host = tmp_path / "host"
    (host / "libs").symlink_to(tmp_path / "outside")
    run(["git", "init", "-q"], cwd=host)
    run(["git", "add", "libs"], cwd=host)
    done = vendor(host, "libs")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{host}/libs is a symlink to {tmp_path}/outside/temp that git tracks" in done.stderr
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize(
    "manifest",
    [
        *("", "[]", '{"version": 1, "files": {}}', '{"version": "1", "files": ["a"]}', "[" * 9999),
        '{"version": "1", "files": {"../text.py": "x", "/etc/passwd": "x"}}',
    ],
)
def test_a_manifest_that_says_anything_else_takes_nothing(host: Path, manifest: str) -> None:
    (host / COPY / "vendored.json").write_text(manifest)
    refused(host, "libs/common/temp")


def test_what_is_in_its_way_stays(host: Path) -> None:
    make_older(host / COPY)
    way = host / "libs" / "common" / ".temp.tempkeep-vendor"
    way.mkdir()
    (way / "mine.txt").write_text("mine\n")
    refused(host, ".temp.tempkeep-vendor", "move them away")


@pytest.mark.parametrize("user", [os.geteuid(), 1000])
def test_whoever_may_write_there_leads_no_file_of_the_copy_elsewhere(
    bare_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    if user != os.geteuid() and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    secret = tmp_path / "secret"
    secret.write_text("precious")
    above = bare_host / "libs" / "common"
    os.chown(above, user, user)
    write = vendoring._write

    def swapped(top: int, place: str, content: Mapping[str, bytes]) -> None:
        (above / ".temp.tempkeep-vendor").rename(above / "moved")
        (above / ".temp.tempkeep-vendor").mkdir()
        for name in content:
            if "/" not in name:
                (above / ".temp.tempkeep-vendor" / name).symlink_to(secret)
        write(top, place, content)

    monkeypatch.setattr(vendoring, "_write", swapped)
    monkeypatch.chdir(bare_host)
    vendoring.vendor("libs/common")
    assert secret.read_text() == "precious"
    assert (above / "moved" / "vendored.json").is_file()


@pytest.mark.parametrize("after", ["check_way", "_content"])
def test_no_directory_is_made_behind_a_link_that_takes_the_place_of_one_on_the_way(
    bare_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = getattr(vendoring, after)

    def swapped(*arguments: Any) -> Any:
        result = real(*arguments)
        (bare_host / "libs").rename(bare_host / "was")
        (bare_host / "libs").symlink_to(elsewhere)
        return result

    monkeypatch.setattr(vendoring, after, swapped)
    monkeypatch.chdir(bare_host)
    with pytest.raises(TempError, match="cannot copy"):
        vendoring.vendor("libs/new/deep")
    assert os.listdir(elsewhere) == []
    (bare_host / "libs").unlink()
    monkeypatch.setattr(vendoring, after, real)
    assert vendoring.vendor("libs/new/deep") == 0
    assert (bare_host / "libs" / "new" / "deep" / "temp" / "vendored.json").is_file()


def test_a_directory_of_somebody_else_in_the_place_of_a_new_one_is_not_written_to(
    bare_host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    there = bare_host / "libs" / "common" / ".temp.tempkeep-vendor"
    mkdir = at.mkdir

    def swapped(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        os.chown(there, 1000, 1000)

    monkeypatch.setattr(at, "mkdir", swapped)
    monkeypatch.chdir(bare_host)
    with pytest.raises(Refused, match="was replaced at this instant"):
        vendoring.vendor("libs/common")
    assert os.listdir(there) == []


def test_no_link_in_the_old_copy_leads_what_is_removed_elsewhere(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(host / COPY)
    outside = tmp_path / "outside"
    shutil.copytree(REPOSITORY / "common" / "temp" / "core", outside)
    before = content(outside)
    discard = vendoring._discard

    def swapped(above: int, aside: Path, new: vendoring._Copy) -> None:
        (aside / "core").rename(aside / "moved")
        (aside / "core").symlink_to(outside)
        discard(above, aside, new)

    monkeypatch.setattr(vendoring, "_discard", swapped)
    monkeypatch.chdir(host)
    with pytest.raises(TempError, match=r"\.temp\.tempkeep-vendor"):
        vendoring.vendor("libs/common")
    assert content(outside) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_is_mounted_in_the_old_copy_stays(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    make_older(host / COPY)
    central = tmp_path / "central"
    shutil.copytree(host / COPY / "core", central)
    before = content(central)
    discard = vendoring._discard
    monkeypatch.chdir(host)

    def mounted(above: int, aside: Path, new: vendoring._Copy) -> None:
        with bound(central, aside / "core"):
            discard(above, aside, new)

    if when == "before":
        with bound(central, host / COPY / "core"):
            refused(host, "libs/common/temp/core is a mount point", "unmount it")
    else:
        monkeypatch.setattr(vendoring, "_discard", mounted)
        with pytest.raises(TempError):
            vendoring.vendor("libs/common")
    assert content(central) == before


@contextlib.contextmanager
def bound(source: Path, point: Path) -> Iterator[None]:
    """Mounts `source` at `point` until the block ends, wherever that is moved meanwhile."""
    if run(["mount", "--bind", str(source), str(point)], cwd=source).returncode:
        pytest.skip("cannot mount here")
    try:
        yield
    finally:
        run(["umount", str(point)], cwd=source)


def test_where_nothing_can_be_written_it_says_so(bare_host: Path) -> None:
    (bare_host / "file").touch()
    done = vendor(bare_host, "file/common")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: cannot")


def test_a_run_that_is_killed_at_any_instant_leaves_the_old_or_the_new(host: Path) -> None:
    copy = host / COPY
    new = content(copy)
    make_older(copy)
    old = content(copy)
    seen = set()
    for call, when in [("mkdirat", 4), ("renameat2", 1), ("unlinkat", 1), ("unlinkat", 90)]:
        if content(copy) == new:
            make_older(copy)
        if call == "unlinkat":  # of the old copy, and not of what a killed run left
            shutil.rmtree(copy.with_name(".temp.tempkeep-vendor"), ignore_errors=True)
        done = traced(call, f"signal=KILL:when={when}", "vendor", "libs/common", cwd=host)
        assert done.returncode == -signal.SIGKILL, (call, when, done.stderr)
        assert content(copy) in (old, new), (call, when)
        seen.add(content(copy) == new)
    assert seen == {False, True}
    assert vendor(host).returncode == 0
    assert content(copy) == new
    assert sorted(os.listdir(copy.parent)) == ["__init__.py", "temp", "text.py"]


def test_where_directories_cannot_be_exchanged_at_once_an_update_is_whole_too(host: Path) -> None:
    new = content(host / COPY)
    make_older(host / COPY)
    done = traced("renameat2", "error=ENOSYS", "vendor", "libs/common", cwd=host)
    assert (done.returncode, done.stderr) == (0, "")
    assert content(host / COPY) == new
    assert sorted(os.listdir(host / "libs" / "common")) == ["__init__.py", "temp", "text.py"]


def test_two_at_once_leave_one_whole_copy(host: Path) -> None:
    new = content(host / COPY)
    make_older(host / COPY)
    running = [
        Started(
            [*PROGRAM, "vendor", "libs/common"],
            cwd=host,
            env=environment(),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    assert {process.wait() for process in running} <= {0, 3}
    assert content(host / COPY) == new
    assert sorted(os.listdir(host / "libs" / "common")) == ["__init__.py", "temp", "text.py"]


# -- the copy itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", sorted(LEFT_OUT.values()))
def test_a_copy_says_in_one_line_what_is_not_part_of_it(host: Path, task: str) -> None:
    env = clean_environment(PYTHONPATH=str(host / "libs"))
    command = [sys.executable, "-m", "common.temp", task, *(["x"] if task == "vendor" else [])]
    done = subprocess.run(command, cwd=host, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"error: {task} is not part of a copy" in done.stderr


@pytest.mark.parametrize("module", ["common.temp", "common.temp.pipeline"])
def test_without_invoke_a_program_says_so_in_one_line_and_the_library_works(
    host: Path, module: str
) -> None:
    (host / "pyproject.toml").touch()
    env = clean_environment(PYTHONPATH=str(host / "libs"))

    def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", *arguments]
        return subprocess.run(
            command, cwd=host, env=env, capture_output=True, text=True, check=False
        )

    done = bare("-m", module, *(["temp-status"] if module == "common.temp" else []))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'error: common.temp needs invoke: python3 -m pip install "invoke>=3,<4"\n'
    )
    code = "import common.temp as t; print(t.get_debug_temp_dir('x'))"
    assert "/.tmp/debug/x_" in bare("-c", code).stdout


def test_a_copy_with_invoke_alone_lists_and_cleans(host: Path, tmp_path: Path) -> None:
    (host / "pyproject.toml").touch()
    link_needed(tmp_path / "site", ("invoke",))
    env = clean_environment(PYTHONPATH=f"{host / 'libs'}:{tmp_path / 'site'}")
    for task in ("temp-status", "temp-clean"):
        command = [sys.executable, "-S", "-m", "common.temp", task]
        done = subprocess.run(
            command, cwd=host, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), task
