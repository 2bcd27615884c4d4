"""Making entries: exclusive, recorded, and nothing half-made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.temp.core.layouts import CATEGORY_MARK, KNOWN_CATEGORIES
from common.temp.errors import InvalidName, Refused, StorageError
from common.temp.manager import TempManager
from common.temp.store.project.project import user_root
from common.temp.store.root.allocation import allocate
from common.temp.store.root.leases import Leases
from common.temp.store.system import at
from tests.support import DENIED, environment, let_others_reach, listing, run
from tests.warm import Started

_NOT_ROOT = os.geteuid() != 0


def test_fifty_processes_with_ten_entries_each_get_500_directories(project: Path) -> None:
    code = (
        "import sys, time\n"
        "from common.temp.store.root.allocation import allocate\n"
        "from common.temp.store.root import allocation\n"
        "sys.stdin.readline()\n"
        "allocation.time.time = lambda: 1696348800.0\n"  # one second, however slow the machine is
        "print(*(allocate(sys.argv[1], 'debug', 'demo') for _ in range(10)), sep='\\n')\n"
    )
    started = [
        Started(
            [sys.executable, "-c", code, str(project / ".tmp")],
            cwd=project,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(50)
    ]
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    made = [path for one in started for path in one.communicate()[0].split()]
    assert len(made) == 500
    assert len(set(made)) == 500
    assert all(Path(path).is_dir() for path in made)


def test_a_collision_takes_a_short_random_suffix(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_696_348_800.5)
    first, second = (TempManager.create_persistent_dir("demo").name for _ in range(2))
    assert first == "demo_1696348800"
    label, _, suffix = second.partition("-")
    assert label == first
    assert len(suffix) == 4
    assert int(suffix, 16) >= 0


def test_what_lies_in_the_way_is_never_taken(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_696_348_800.5)
    taken = project / ".tmp" / "debug" / "demo_1696348800"
    taken.parent.mkdir(parents=True)
    taken.symlink_to(project / "nowhere")
    assert Path(allocate(str(project / ".tmp"), "debug", "demo")) != taken
    assert not (project / "nowhere").exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("a/b", "path separator"),
        ("a\\b", "path separator"),
        ("/etc", "path separator"),
        ("..", "starts with a dot"),
        (".hidden", "starts with a dot"),
        ("a\0b", "contains NUL"),
        ("a\nb", "control"),
        ("a\x1b[31mb", "control"),
        ("a\u202eb", "control or unprintable"),
        ("a\udcffb", "control or unprintable"),
        ("x" * 256, "256 bytes long"),
        ("é" * 128, "256 bytes long"),
        ("CON", "reserved on Windows"),
        ("nul.txt", "reserved on Windows"),
        ("Lpt1", "reserved on Windows"),
    ],
)
@pytest.mark.parametrize("what", ["name", "category"])
def test_a_bad_name_says_what_is_wrong_and_leaves_nothing(
    project: Path, what: str, name: str, problem: str
) -> None:
    arguments = (name, "debug") if what == "name" else ("demo", name)
    with pytest.raises(InvalidName, match=problem) as caught:
        TempManager.create_persistent_dir(*arguments)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith(what)
    assert "use one plain path component" in str(caught.value)
    assert listing(project) == ["pyproject.toml", "tasks.py"]


@pytest.mark.parametrize(
    "name", ["a b", "日本語", "a_b_1", "x" * 235, "-rf", "~", "$HOME", "*", "1e5"]
)
def test_printable_text_is_kept_as_it_is(project: Path, name: str) -> None:
    path = TempManager.create_persistent_dir(name, name)
    assert path.parent.name == name
    assert path.name.rpartition("_")[0] == name


def test_a_category_of_one_s_own_is_marked_and_a_known_one_is_not(project: Path) -> None:
    own = TempManager.create_persistent_dir("demo", "thumbs").parent
    known = [TempManager.create_persistent_dir("demo", name).parent for name in KNOWN_CATEGORIES]
    assert (own / CATEGORY_MARK).is_file()
    assert not any((path / CATEGORY_MARK).exists() for path in known)


def test_the_record_is_written_before_the_directory_exists(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    make = at.mkdir

    def watching(path: str, *arguments: object, **more: object) -> None:
        if "demo_" in str(path):
            leases = Leases(project / ".tmp")
            leases.refresh()
            seen.append(leases.use_of(f"debug/{path}", time.time(), time.time()) is not None)
        make(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(at, "mkdir", watching)
    TempManager.create_persistent_dir("demo", "debug")
    assert seen[-1]


def test_the_loser_of_a_collision_does_not_claim_the_winner_s_entry(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_696_348_800.5)
    (project / ".tmp" / "debug" / "demo_1696348800").mkdir(parents=True)
    allocate(str(project / ".tmp"), "debug", "demo")
    leases = Leases(project / ".tmp")
    leases.refresh()
    assert leases.use_of("debug/demo_1696348800", time.time(), time.time()) is None


def test_a_root_removed_under_a_live_process_is_made_again_and_leased(project: Path) -> None:
    TempManager.create_persistent_dir("demo")
    assert run(["rm", "-rf", ".tmp"], cwd=project).returncode == 0
    path = TempManager.create_persistent_dir("demo")
    leases = Leases(project / ".tmp")
    leases.refresh()
    assert path.is_dir()
    relative = path.relative_to(project / ".tmp").as_posix()
    assert leases.use_of(relative, time.time(), time.time()) is not None


def test_a_root_made_by_plain_mkdir_is_completed_but_not_tagged(project: Path) -> None:
    (project / ".tmp").mkdir()
    TempManager.create_persistent_dir()
    assert not (project / ".tmp" / "CACHEDIR.TAG").exists()
    assert (project / ".tmp" / ".tempkeep" / "owners").is_dir()


@pytest.mark.parametrize("place", [".tmp/debug", ".tmp/.tempkeep"])
def test_a_file_where_a_directory_belongs_is_named(project: Path, place: str) -> None:
    (project / ".tmp").mkdir()
    (project / place).write_text("mine")
    with pytest.raises((Refused, StorageError), match=place):
        TempManager.create_persistent_dir("demo", "debug")
    assert (project / place).read_text() == "mine"


@pytest.mark.parametrize("target", ["../../work", "..", "../.tmp", "../../nowhere"])
def test_nothing_is_made_behind_a_category_that_is_a_link(project: Path, target: str) -> None:
    work = project.parent / "work"
    work.mkdir()
    (project / ".tmp").mkdir()
    (project / ".tmp" / "debug").symlink_to(target)
    for make in (TempManager.create_persistent_dir, TempManager.create_persistent_file):
        with pytest.raises(Refused, match=r"debug is a symlink, .*; remove the link"):
            make("demo", category="debug")
    assert listing(work) == []
    assert {path.name for path in project.iterdir()} == {".tmp", "pyproject.toml", "tasks.py"}
    assert {path.name for path in (project / ".tmp").iterdir()} == {".tempkeep", "debug"}
    assert os.readlink(project / ".tmp" / "debug") == target


def test_a_root_that_links_to_a_directory_of_the_same_user_works(project: Path) -> None:
    (project / "elsewhere").mkdir()
    (project / ".tmp").symlink_to("elsewhere")
    path = TempManager.create_persistent_dir("demo", "debug")
    assert (project / "elsewhere" / "debug" / path.name).is_dir()


def test_a_planted_user_root_is_refused(project: Path, own_system_temp: Path) -> None:
    user_root().symlink_to(project)
    with pytest.raises(Refused, match="is not this user's private directory"):
        TempManager.auto_cleanup_dir().__enter__()
    assert listing(project) == ["pyproject.toml", "tasks.py"]


def test_a_user_root_open_to_others_is_refused(project: Path) -> None:
    user_root().mkdir()
    user_root().chmod(0o755)
    with pytest.raises(Refused, match="mode 700"):
        TempManager.auto_cleanup_dir().__enter__()


@pytest.mark.skipif(_NOT_ROOT, reason="needs root to mount a filesystem")
class TestOnASmallFilesystem:
    def _mount(self, directory: Path, options: str) -> None:
        directory.mkdir(exist_ok=True)
        done = run(["mount", "-t", "tmpfs", "-o", options, "none", str(directory)], cwd=directory)
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")

    def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_made(
        self, tmp_path: Path
    ) -> None:
        disk = tmp_path / "disk"
        self._mount(disk, "size=64k,mode=755")
        try:
            (disk / "pyproject.toml").touch()
            with pytest.raises(OSError, match="No space left"):
                (disk / "ballast").write_bytes(b"x" * 200_000)
            before = listing(disk)
            done = run([sys.executable, "-c", _CREATE], cwd=disk)
            assert "No space left on device; free some space" in done.stdout
            assert listing(disk) == before
        finally:
            run(["umount", str(disk)], cwd=tmp_path)

    def test_a_disk_without_inodes_leaves_no_entry_either(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        self._mount(disk, "nr_inodes=12,mode=755")
        try:
            (disk / "pyproject.toml").touch()
            done = run([sys.executable, "-c", _CREATE.replace("range(1)", "range(20)")], cwd=disk)
            assert "No space left on device; free some space" in done.stdout
            entries = list((disk / ".tmp" / "debug").iterdir())
            assert len(entries) == done.stdout.count("made")
        finally:
            run(["umount", str(disk)], cwd=tmp_path)

    def test_a_read_only_root_is_a_clear_error(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        self._mount(disk, "size=1m,mode=755")
        try:
            (disk / "pyproject.toml").touch()
            run(["mount", "-o", "remount,ro", str(disk)], cwd=tmp_path)
            done = run([sys.executable, "-c", _CREATE], cwd=disk)
            assert (
                "Read-only file system; remount that filesystem writable, or work elsewhere"
                in done.stdout
            )
        finally:
            run(["umount", str(disk)], cwd=tmp_path)


@pytest.mark.skipif(_NOT_ROOT, reason="needs root to become another user")
def test_a_project_of_somebody_else_is_a_clear_error(project: Path) -> None:
    let_others_reach(project)
    project.chmod(0o755)
    # Loaded first: the interpreter itself may lie where only root can read.
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    code = _CREATE.replace("try:", f"{become}\ntry:")
    done = run([sys.executable, "-c", code], cwd=project)
    assert DENIED in done.stdout, done
    assert listing(project) == ["pyproject.toml", "tasks.py"]


_CREATE = """
from common.temp import StorageError, TempManager
try:
    for _ in range(1):
        print("made", TempManager.create_persistent_dir("demo", "debug"))
except StorageError as error:
    print(error, error.exit_code)
"""


def test_the_owner_file_says_who_and_since_when(project: Path) -> None:
    TempManager.create_persistent_dir("demo", "debug")
    (path,) = (project / ".tmp" / ".tempkeep" / "owners").iterdir()
    said = json.loads(path.read_text().splitlines()[0])
    assert said["pid"] == os.getpid()
    assert said["command"]
    assert said["started"] <= time.time()
