"""Which root the scratch of a process goes to, in real processes, as started by cron and people."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path
from typing import NamedTuple

import pytest

from common.temp.store.project import place
from tests.support import REPOSITORY, age, forked, make_entry, make_project

MAKE = "from common.temp import TempManager as T; print(T.create_persistent_dir('x', 'debug'))\n"
NOBODY = 65534


class Made(NamedTuple):
    """What one process made, by its project, and what it said."""

    project: Path
    errors: str


class World:
    """Two clones of one project, a home directory that is a git repository, and a place for work
    that is in no project.
    """

    def __init__(self, top: Path) -> None:
        self.home, self.nowhere = top / "home", top / "nowhere"
        self.clones = [make_project(top / name / "app") for name in ("one", "two")]
        for clone in self.clones:
            (clone / "scripts").mkdir()
            (clone / "scripts" / "run.py").write_text(MAKE)
        (self.home / ".git").mkdir(parents=True)
        (self.home / "tasks.py").touch()
        self.nowhere.mkdir()
        self.state = self.home / ".local" / "state" / "tempkeep"

    @property
    def script(self) -> str:
        return str(self.clones[0] / "scripts" / "run.py")

    def run(self, *command: str, cwd: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """A command with the environment that cron has, and no more."""
        env = self.environment(**more)
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
        given = {"HOME": str(self.home), "PYTHONPATH": path, "PATH": "/usr/bin:/bin", **more}
        return {**given, "TMPDIR": os.environ["TMPDIR"]}

    def made(self, *arguments: str, cwd: str | Path, **more: str) -> Made:
        """What Python with these arguments made."""
        done = self.run(sys.executable, *arguments, cwd=cwd, **more)
        assert done.returncode == 0, done.stderr
        made = Path(done.stdout.strip())
        assert made.is_dir()
        assert made.parent.parent.name == ".tmp"
        return Made(made.parent.parent.parent, done.stderr)

    def tempkeep(
        self, *arguments: str, cwd: str | Path, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return forked(*arguments, cwd=cwd, env=self.environment(**more))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _no_root_in(*directories: str | Path) -> bool:
    return not any(os.path.lexists(os.path.join(directory, ".tmp")) for directory in directories)


# -- the project of the script --------------------------------------------------------------------


def test_a_script_that_is_run_from_anywhere_has_the_root_of_its_project(world: World) -> None:
    for cwd in ("/", world.home, "/etc", world.nowhere):
        for clone in world.clones:
            made = world.made(str(clone / "scripts" / "run.py"), cwd=cwd)
            assert made == (clone, "")
    assert _no_root_in("/", world.home, "/etc", world.nowhere)


def test_the_project_of_the_working_directory_comes_before_that_of_the_script(
    world: World,
) -> None:
    assert world.made(world.script, cwd=world.clones[1]).project == world.clones[1]


@pytest.mark.parametrize("way", ["link", "module", "directory", "zip-app", "profiled", "spawned"])
def test_a_script_is_found_however_it_is_run(world: World, way: str) -> None:
    app = world.clones[0]
    (app / "pkg").mkdir()
    (app / "pkg" / "__main__.py").write_text(MAKE)
    more: dict[str, str] = {}
    if way == "link":
        (world.home / "run").symlink_to(world.script)
        arguments = [str(world.home / "run")]
    elif way == "module":
        path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
        more = {"PYTHONPATH": f"{app}{os.pathsep}{path}"}
        arguments = ["-m", "pkg"]
    elif way == "directory":
        arguments = [str(app / "pkg")]
    elif way == "zip-app":
        zipapp.create_archive(app / "pkg", app / "app.pyz")
        arguments = [str(app / "app.pyz")]
    elif way == "profiled":
        arguments = ["-m", "cProfile", "-o", os.devnull, world.script]
    else:
        (app / "spawn.py").write_text(
            "import multiprocessing\ndef make():\n    "
            + MAKE
            + "if __name__ == '__main__':\n"
            + "    one = multiprocessing.get_context('spawn').Process(target=make)\n"
            + "    one.start(); one.join()\n"
        )
        arguments = [str(app / "spawn.py")]
    assert world.made(*arguments, cwd="/", **more) == (app, "")


def test_a_tool_in_the_virtual_environment_of_a_project_is_no_script_of_it(world: World) -> None:
    scripts = world.clones[0] / ".venv" / "bin"
    installed = world.clones[0] / ".venv" / "lib" / "site-packages" / "tool"
    for directory in (scripts, installed):
        directory.mkdir(parents=True)
        (directory / "tool").write_text(MAKE)
    (scripts.parent / "pyvenv.cfg").touch()
    for directory in (scripts, installed):
        assert world.made(str(directory / "tool"), cwd="/").project == world.state
    assert _no_root_in(world.clones[0], installed, installed.parent)


def test_a_script_beside_the_virtual_environment_is_one_of_the_project(world: World) -> None:
    (world.clones[0] / "pyvenv.cfg").touch()
    assert world.made(world.script, cwd="/").project == world.clones[0]


# -- none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cwd", ["/", "/etc", "/usr", "/opt", "/tmp", "{home}", "{nowhere}"])
def test_scratch_of_no_project_goes_to_a_private_place_that_is_named_once(
    world: World, cwd: str
) -> None:
    where = cwd.format(home=world.home, nowhere=world.nowhere)
    had_root = not _no_root_in(where)
    made = world.made("-c", MAKE + MAKE.replace("print", "str"), cwd=where)
    assert made.project == world.state
    assert made.project.stat().st_mode & 0o777 == 0o700
    assert made.errors.count("this is in no project") == 1
    assert f"scratch goes to {world.state}/.tmp;" in made.errors
    assert had_root or _no_root_in(where)


def test_a_repository_of_a_directory_of_the_system_is_no_project(tmp_path: Path) -> None:
    code = (
        "import os; os.makedirs('/etc/.git'); os.chdir('/etc')\n"
        "os.makedirs('/opt/x/.git')\n" + MAKE + "os.chdir('/opt/x')\n" + MAKE
    )
    program = shutil.which("unshare")
    if program is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare of util-linux for an /etc of its own")
    world = World(tmp_path)
    done = world.run(
        *(program, "--mount", "sh", "-c"),
        "mount -t tmpfs -o mode=755 none /etc && mount -t tmpfs -o mode=755 none /opt && "
        f'exec {sys.executable} -c "$CODE"',
        cwd="/",
        CODE=code,
    )
    if "mount:" in done.stderr:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr}")
    first, second = done.stdout.split()
    assert first.startswith(f"{world.state}/.tmp/"), done.stderr
    assert second.startswith("/opt/x/.tmp/")


def test_without_a_home_it_is_in_the_system_s_temporary_directory(
    world: World, own_system_temp: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become a user without a home")
    own_system_temp.chmod(0o1777)
    for directory in own_system_temp.parents:
        if directory.stat().st_mode & 0o1 == 0:
            directory.chmod(directory.stat().st_mode | 0o1)
    # Loaded first: the interpreter itself may lie where only root can read.
    code = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})\n" + MAKE
    done = world.run(sys.executable, "-c", "import common.temp.manager\n" + code, cwd="/", HOME="/")
    private = own_system_temp / f"tempkeep-{NOBODY}-scratch"
    assert done.stdout.startswith(f"{private}/.tmp/debug/x_"), done.stderr
    assert (private.stat().st_uid, private.stat().st_mode & 0o777) == (NOBODY, 0o700)
    # What somebody else has put there is not used.
    shutil.rmtree(private)
    (world.nowhere / "trap").mkdir()
    world.nowhere.chmod(0o755)
    for plant in ("link", "directory"):
        if plant == "link":
            private.symlink_to(world.nowhere / "trap")
        else:
            private.unlink()
            private.mkdir(mode=0o777)
        done = world.run(
            sys.executable, "-c", "import common.temp.manager\n" + code, cwd="/", HOME="/"
        )
        assert "Refused: this is in no project, and" in done.stderr
        assert not os.listdir(private)


def test_a_working_directory_that_is_gone_or_cannot_be_read_is_none(world: World) -> None:
    gone = world.nowhere / "gone"
    leave = f"import os; os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir(os.getcwd())\n"
    assert world.made("-c", leave + MAKE, cwd="/").project == world.state
    script = world.clones[0] / "leave.py"
    script.write_text(leave + MAKE)
    assert world.made(str(script), cwd="/") == (world.clones[0], "")
    with_name = {"TEMPKEEP_PROJECT": str(world.clones[1])}
    assert world.made("-c", leave + MAKE, cwd="/", **with_name) == (world.clones[1], "")


# -- named ----------------------------------------------------------------------------------------


def test_a_project_that_is_named_comes_first_for_programs_and_tasks(world: World) -> None:
    one, two = world.clones
    named = {"TEMPKEEP_PROJECT": str(two)}
    assert world.made(world.script, cwd=one, **named) == (two, "")
    (world.nowhere / "link").symlink_to(two)
    assert world.made("-c", MAKE, cwd="/", TEMPKEEP_PROJECT=f"{world.nowhere}/link") == (two, "")
    assert world.made("-c", MAKE, cwd=two, TEMPKEEP_PROJECT="") == (two, "")
    said = world.tempkeep("temp-status", cwd=one, **named).stdout
    assert f"app ({two}/.tmp)\n3 entries" in said


@pytest.mark.parametrize("said", ["{home}/missing", "{home}/tasks.py", "{home}", "/", "/etc"])
def test_a_name_that_is_no_project_is_refused_in_one_line_and_nothing_is_made(
    world: World, said: str
) -> None:
    named = {"TEMPKEEP_PROJECT": said.format(home=world.home)}
    for command in ("temp-status", "temp-clean", "clean"):
        done = world.tempkeep(command, cwd=world.clones[0], **named)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: TEMPKEEP_PROJECT: ")
        assert done.stderr.count("\n") == 1
    done = world.run(sys.executable, "-c", MAKE, cwd=world.clones[0], **named)
    assert done.returncode == 1
    assert "InvalidSettings: TEMPKEEP_PROJECT: " in done.stderr
    assert _no_root_in(*world.clones, world.home)


# -- the tasks ------------------------------------------------------------------------------------


def test_scratch_of_no_project_is_listed_from_anywhere_and_cleaned_where_it_belongs(
    world: World,
) -> None:
    made = make_entry(world.state / ".tmp", "debug/new_1696348800")
    old = make_entry(world.state / ".tmp", "debug/old_1696348800", age_hours=8 * 24)
    world.state.chmod(0o700)
    project = world.clones[0]
    for cwd in (project, world.nowhere, world.home, "/"):
        said = world.tempkeep("temp-status", cwd=cwd).stdout
        assert f"scratch of no project ({world.state}/.tmp)\n2 entries" in said
    said = world.tempkeep("temp-explain", "old_1696348800", cwd=project).stdout
    assert "expired" in said
    # In a project only what is a week old goes, whatever the order was for the project.
    done = world.tempkeep("temp-clean", "--everything", "--yes", cwd=project)
    assert done.returncode == 0
    assert made.is_dir()
    assert not old.exists()
    assert world.tempkeep("temp-clean", "--yes", cwd=world.home).returncode == 0
    assert not made.exists()


def test_what_cron_made_is_found_where_another_state_directory_is_set(world: World) -> None:
    made = make_entry(world.state / ".tmp", "debug/new_1696348800")
    age(made, 1)
    world.state.chmod(0o700)
    elsewhere = {"XDG_STATE_HOME": str(world.home / "other")}
    assert str(world.state) in world.tempkeep("temp-status", cwd="/", **elsewhere).stdout
    done = world.tempkeep(
        "temp-clean", "--everything", "--yes", "--all-projects", cwd="/", **elsewhere
    )
    assert done.returncode == 0
    assert not made.exists()


def test_a_root_that_an_earlier_version_made_in_a_home_is_still_cleaned(world: World) -> None:
    made = make_entry(world.home / ".tmp", "debug/old_1696348800")
    done = world.tempkeep("temp-clean", "--yes", cwd=world.home)
    assert done.returncode == 0
    assert made.is_dir()  # that is somebody else's directory, for all one knows
    (world.home / ".tmp" / ".tempkeep").mkdir()
    assert world.tempkeep("temp-clean", "--yes", cwd=world.home).returncode == 0
    assert not made.exists()


def test_clean_takes_no_artefacts_of_a_home(world: World) -> None:
    kept = [world.home / "src" / "__pycache__", world.home / "build"]
    for directory in kept:
        directory.mkdir(parents=True)
        (directory / "x.cpython-311.pyc").write_text("x")
    done = world.tempkeep("clean", cwd=world.home)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(directory.is_dir() for directory in kept)


def test_a_run_of_a_script_in_no_place_of_its_own_lies_in_its_project_or_is_listed(
    world: World,
) -> None:
    start = "from common.temp import start_run; print(start_run())\n"
    (world.clones[0] / "scripts" / "start.py").write_text(start)
    done = world.run(sys.executable, str(world.clones[0] / "scripts" / "start.py"), cwd="/")
    assert done.stdout.startswith(f"{world.clones[0]}/pipeline_artifacts_"), done.stderr
    done = world.run(sys.executable, "-c", start, cwd=world.home)
    run = Path(done.stdout.strip())
    assert run.parent == world.state
    for cwd in (world.clones[0], world.home):
        said = world.tempkeep("temp-status", cwd=cwd).stdout
        assert f"scratch of no project/runs ({world.state})\n1 entry" in said
    assert not [name for name in os.listdir("/") if name.startswith("pipeline_artifacts")]
    done = world.run(sys.executable, "-c", start, cwd=world.nowhere)
    assert Path(done.stdout.strip()).parent == world.nowhere


def test_a_run_whose_state_is_temporary_looks_at_no_home(
    own_system_temp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home = tmp_path / "home" / ".local" / "state" / "tempkeep"
    at_home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(own_system_temp / "state"))
    assert at_home not in place.homeless_projects()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert at_home in place.homeless_projects()
