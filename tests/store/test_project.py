"""Which project a directory belongs to, and whether its root may be trusted."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.errors import Refused, StorageError
from common.temp.store.project import project as project_module
from common.temp.store.project.project import (
    MARKERS,
    check_root,
    find_monorepo,
    find_project,
    monorepo_projects,
    root_of,
    system_temp,
    user_root,
)
from tests.support import (
    DENIED,
    LINK,
    inv,
    listing,
    make_entry,
    make_project,
    plain_user,
    process,
    run,
)

SOMEBODY = 65534


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    directory = tmp_path / "a" / "b" / "c"
    directory.mkdir(parents=True)
    return directory


# -- finding ----------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_a_project_is_the_nearest_directory_upward_with_a_marker(
    tmp_path: Path, deep: Path, marker: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / marker)
    make(tmp_path / "a" / marker)
    assert find_project(deep) == tmp_path / "a"
    assert find_project(tmp_path / "a") == tmp_path / "a"
    assert find_project(tmp_path) == tmp_path


def test_without_a_marker_the_directory_itself_is_the_project(deep: Path) -> None:
    assert find_project(deep) == deep


def test_the_working_directory_is_where_one_stands(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(deep.parent)
    monkeypatch.chdir(deep)
    assert find_project() == find_project(Path()) == find_project(Path("x/..")) == deep.parent


def test_a_working_directory_that_is_gone_is_said_to_be(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deep)
    deep.rmdir()
    for start in (None, Path("x")):
        with pytest.raises(StorageError) as refused:
            find_project(start)
        assert str(refused.value) == (
            "the working directory is gone: No such file or directory; change to one that exists"
        )
        assert refused.value.errno == errno.ENOENT


def test_a_marker_in_the_home_directory_does_not_count(
    tmp_path: Path, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path / "a")
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    assert find_project(deep) == deep
    (tmp_path / "home").symlink_to("a")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_project(deep) == deep


def test_a_marker_in_the_system_temporary_directory_does_not_count(
    tmp_path: Path, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path / "a")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "a"))
    assert find_project(deep) == deep
    (tmp_path / "link").symlink_to("a")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    assert find_project(deep) == deep


def test_a_marker_where_everybody_may_write_does_not_count(tmp_path: Path, deep: Path) -> None:
    make_project(tmp_path / "a").chmod(0o1777)
    assert find_project(deep) == deep
    (tmp_path / "a").chmod(0o1775)
    assert find_project(deep) == tmp_path / "a"


def test_a_marker_in_the_root_directory_does_not_count(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_module, "MARKERS", ("etc", "Windows"))
    assert find_project(deep) == deep


def test_a_project_above_the_home_directory_counts(
    tmp_path: Path, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    assert find_project(deep) == tmp_path


def test_the_root_belongs_to_the_project(tmp_path: Path) -> None:
    assert root_of(tmp_path) == tmp_path / ".tmp"


@pytest.mark.parametrize(
    ("projects", "git", "monorepo"),
    [
        (["a/b/c"], None, "a/b/c"),
        (["a/b/c", "a"], None, "a"),
        (["a/b/c", "a", "."], "a", "a"),
        (["a/b/c", "a"], "a/b/c", "a/b/c"),
        (["a/b/c"], "a", "a"),
    ],
)
def test_the_monorepo_is_the_outermost_project_of_the_git_work_tree(
    tmp_path: Path, deep: Path, projects: list[str], git: str | None, monorepo: str
) -> None:
    for project in projects:
        make_project(tmp_path / project)
    if git is not None:
        (tmp_path / git / ".git").write_text("gitdir: elsewhere\n")
    assert find_monorepo(deep) == tmp_path / monorepo


def test_without_a_marker_the_project_is_its_own_monorepo(deep: Path) -> None:
    assert find_monorepo(deep) == deep


# -- the projects of a monorepo -------------------------------------------------------------------


def _names(monorepo: Path, patterns: list[str], excluded: tuple[str, ...] = ()) -> list[str]:
    first, *rest = monorepo_projects(monorepo, patterns, excluded)
    assert first == monorepo
    return [path.relative_to(monorepo).as_posix() for path in rest]


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    for name in ("projects/b", "projects/a/deep", "libs/c", "projects/.hidden/x", "elsewhere/d"):
        (tmp_path / "monorepo" / name).mkdir(parents=True)
    (tmp_path / "monorepo" / "projects" / "file").touch()
    return tmp_path / "monorepo"


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], []),
        (["projects/*"], ["projects/a", "projects/b"]),
        (["projects/*", "libs/c", "projects/a"], ["libs/c", "projects/a", "projects/b"]),
        (["projects/*/*"], ["projects/a/deep"]),
        (["projects/**"], ["projects", "projects/a", "projects/a/deep", "projects/b"]),
        (["./libs/*/"], ["libs/c"]),
        (["nothing/*"], []),
    ],
)
def test_projects_are_the_directories_that_a_glob_matches_by_path(
    monorepo: Path, patterns: list[str], names: list[str]
) -> None:
    assert _names(monorepo, patterns) == names


def test_what_is_excluded_is_no_project(monorepo: Path) -> None:
    assert _names(monorepo, ["projects/*", "libs/*"], ("projects/a", "li*/*")) == ["projects/b"]


def test_a_link_is_no_project_and_leads_to_none(monorepo: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "outside" / "app")
    (monorepo / "projects" / "link").symlink_to(tmp_path / "outside")
    (monorepo / "projects" / "again").symlink_to("b")
    assert _names(monorepo, ["projects/*", "projects/*/app"]) == ["projects/a", "projects/b"]


def test_a_monorepo_that_is_reached_by_a_link_has_its_projects(
    monorepo: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("monorepo")
    assert _names(tmp_path / "link", ["libs/*"]) == ["libs/c"]


def test_members_of_a_uv_workspace_are_listed_but_for_the_excluded(monorepo: Path) -> None:
    make_project(
        monorepo,
        '[tool.uv.workspace]\nmembers = ["libs/*", "elsewhere/*"]\nexclude = ["elsewhere/d"]',
    )
    (monorepo / ".git").mkdir()
    for name in ("projects/a", "libs/c", "elsewhere/d"):
        make_entry(monorepo / name / ".tmp", f"debug/{name.replace('/', '-')}_1696348800")
    done = inv("temp-status", "--all-projects", "--format", "csv", cwd=monorepo / "projects" / "a")
    rows = [row.split(",")[:3] for row in done.stdout.splitlines()[1:]]
    assert rows == [
        ["libs/c", "debug", "libs-c_1696348800"],
        ["projects/a", "debug", "projects-a_1696348800"],
    ]


# -- the system's temporary directory ----------------------------------------------------------


def test_the_root_of_a_user_is_in_the_temporary_directory(own_system_temp: Path) -> None:
    assert user_root() == own_system_temp / f"tempkeep-{os.geteuid()}"


def test_the_root_of_a_user_without_a_number_has_the_letters_of_the_name(
    own_system_temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid")
    monkeypatch.setenv("LOGNAME", "CORP\\Ann 1/..")
    assert user_root() == own_system_temp / "tempkeep-CORPAnn1"
    monkeypatch.setenv("LOGNAME", "\\")
    assert user_root() == own_system_temp / "tempkeep-user"


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_the_temporary_directory_is_the_one_that_tempfile_finds(
    deep: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setenv("TMP", str(deep / "missing"))
    monkeypatch.setenv(variable, str(deep))
    found = system_temp()
    assert found == deep
    assert found == Path(tempfile.gettempdir())


def test_the_temporary_directory_that_a_program_set_counts(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert system_temp() == deep


def test_a_temporary_directory_that_one_cannot_write_to_is_passed_over(deep: Path) -> None:
    deep.chmod(0o500)
    code = (
        "import tempfile; from common.temp.store.project.project import system_temp; "
        "print(system_temp(), tempfile.gettempdir())"
    )
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root needs setpriv of util-linux to test file permissions")
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    done = run(command, cwd=deep.parent, TMPDIR=str(deep), TEMP=str(deep), TMP="")
    ours, pythons = done.stdout.split()
    assert ours == pythons
    assert ours != str(deep)


def test_nothing_is_written_to_find_the_temporary_directory(own_system_temp: Path) -> None:
    before = own_system_temp.stat().st_mtime_ns
    assert system_temp() == own_system_temp
    assert own_system_temp.stat().st_mtime_ns == before


def test_with_no_temporary_directory_at_all_there_is_still_a_name_for_it(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(deep / "missing"))
    monkeypatch.setattr(project_module, "SYSTEM_TEMPS", (str(deep / "gone"),))
    assert system_temp() == deep / "gone"


# -- trusting a root ------------------------------------------------------------------------------


def test_a_root_that_is_missing_does_not_exist(project: Path) -> None:
    assert check_root(project / ".tmp") is False
    assert check_root(project / "missing" / ".tmp") is False


def test_a_directory_may_be_trusted_whoever_made_it(project: Path) -> None:
    root = project / ".tmp"
    root.mkdir()
    assert check_root(root)
    if os.geteuid() == 0:
        os.chown(root, SOMEBODY, SOMEBODY)
        assert check_root(root)


def test_a_link_to_a_directory_of_the_same_user_may_be_trusted(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "again").symlink_to("scratch")
    (project / ".tmp").symlink_to(tmp_path / "again")
    assert check_root(project / ".tmp")


def test_entries_are_made_listed_and_cleaned_through_such_a_link(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    (project / ".tmp").symlink_to(tmp_path / "scratch")
    code = "from common.temp import TempManager as T; print(T.create_persistent_dir('x'))"
    with process(code, cwd=project) as made:
        made.wait()
    assert [name for name in listing(tmp_path / "scratch") if "uncategorized/x_" in name]
    assert "uncategorized" in inv("temp-status", cwd=project).stdout
    done = inv("temp-clean", "--yes", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    assert not [name for name in listing(tmp_path / "scratch") if "uncategorized/x_" in name]
    assert (project / ".tmp").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")
def test_a_link_to_a_directory_of_another_user_is_refused_and_nothing_there_goes(
    project: Path, tmp_path: Path
) -> None:
    theirs = make_entry(tmp_path / "theirs", "debug/work_1696348800")
    os.chown(tmp_path / "theirs", SOMEBODY, SOMEBODY)
    (project / ".tmp").symlink_to(tmp_path / "theirs")
    message = (
        f"{project}/.tmp is a symlink to {tmp_path}/theirs, a directory of another user; "
        "remove the link"
    )
    with pytest.raises(Refused) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == message
    for command in (["temp-status"], ["temp-clean", "--everything", "--yes", "--force"]):
        done = inv(*command, cwd=project)
        assert done.returncode == 3
        assert message in done.stderr
    assert theirs.is_dir()


@pytest.mark.parametrize("target", [".", "..", "../..", "{home}", "{temp}", "/"])
def test_a_link_to_a_directory_that_holds_far_more_is_refused_and_nothing_there_goes(
    tmp_path: Path, own_system_temp: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    project = make_project(tmp_path / "monorepo" / "project")
    home = tmp_path / "home"
    work = [make_entry(place, "debug/work_1696348800") for place in (project, home, tmp_path)]
    monkeypatch.setenv("HOME", str(home))
    (project / ".tmp").symlink_to(target.format(home=home, temp=own_system_temp))
    real = os.path.realpath(project / ".tmp")
    message = f"{project}/.tmp is a symlink to {real}, which holds far more; remove the link"
    with pytest.raises(Refused) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == message
    done = inv("temp-clean", "--everything", "--yes", cwd=project)
    assert done.returncode == 3
    assert message in done.stderr
    assert all(path.is_dir() for path in work)


def test_a_link_to_nowhere_is_said_to_be_one(project: Path) -> None:
    (project / ".tmp").symlink_to("nowhere")
    with pytest.raises(StorageError) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == (
        f"{project}/.tmp is a dangling symlink; mount its disk, make its target, or remove it"
    )


def test_a_link_in_a_circle_cannot_be_looked_at(project: Path) -> None:
    (project / ".tmp").symlink_to(".tmp")
    with pytest.raises(StorageError) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == (f"cannot look at {project}/.tmp: {LINK}")


def test_a_root_that_may_not_be_looked_at_is_said_to_be_so(project: Path) -> None:
    project.chmod(0)
    with plain_user(), pytest.raises(StorageError) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == f"cannot look at {project}/.tmp: {DENIED}"
    assert refused.value.errno == errno.EACCES


@pytest.mark.parametrize("linked", [False, True])
def test_a_root_that_is_a_file_is_said_to_be_none(project: Path, linked: bool) -> None:
    if linked:
        (project / ".tmp").symlink_to("tasks.py")
    else:
        (project / ".tmp").touch()
    with pytest.raises(StorageError) as refused:
        check_root(project / ".tmp")
    assert str(refused.value) == f"{project}/.tmp is not a directory; move it away"


def test_a_private_directory_of_this_user_is_its_root(own_system_temp: Path) -> None:
    assert check_root(user_root()) is False
    user_root().mkdir(mode=0o700)
    assert check_root(user_root()) is True


def _open_to_others(root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)


def _linked(root: Path) -> None:
    (root.parent / "mine").mkdir(mode=0o700)
    root.symlink_to("mine")


def _of_somebody(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make what belongs to others")
    root.mkdir(mode=0o700)
    os.chown(root, SOMEBODY, SOMEBODY)


@pytest.mark.parametrize("plant", [_open_to_others, _linked, _of_somebody])
def test_a_planted_root_of_a_user_is_refused_by_all_and_left_alone(
    project: Path, own_system_temp: Path, plant: Callable[[Path], None]
) -> None:
    root = user_root()
    plant(root)
    entry = make_entry(root, "auto/demo_1696348800")
    message = (
        f"{root} is not this user's private directory (mode 700); "
        "have its owner remove it, or set TMPDIR to a directory of your own"
    )
    with pytest.raises(Refused) as refused:
        check_root(root)
    assert str(refused.value) == message
    assert refused.value.exit_code == 3
    done = inv("temp-clean", cwd=project)
    assert done.returncode == 3
    assert message in done.stderr
    assert entry.is_dir()


def test_where_there_are_no_user_numbers_a_link_is_trusted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid")
    (tmp_path / "scratch").mkdir()
    (project / ".tmp").symlink_to(tmp_path / "scratch")
    assert check_root(project / ".tmp")


@pytest.mark.parametrize(
    ("error", "text", "number"),
    [
        (OSError(28, "No space left on device"), "x: No space left on device; free some", 28),
        (OSError("odd"), "x: odd; free some", 0),
    ],
)
def test_an_error_of_the_disk_keeps_its_number_and_carries_the_remedy(
    error: OSError, text: str, number: int
) -> None:
    found = StorageError.of("x", error, "free some")
    assert (str(found), found.errno, found.exit_code) == (text, number, 1)
    assert isinstance(found, OSError)


def test_an_error_of_the_disk_may_be_raised_with_a_text_alone() -> None:
    assert str(StorageError("x")) == "x"
    assert str(StorageError.of("x", OSError(77, "no"))) == "x: no"


def test_a_module_called_tasks_makes_no_project_of_its_package(project: Path) -> None:
    package = project / "src" / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tasks.py").touch()
    assert find_project(package) == project


def test_a_tasks_file_alone_makes_a_project(project: Path) -> None:
    (project / "tools").mkdir()
    (project / "tools" / "tasks.py").touch()
    assert find_project(project / "tools") == project / "tools"
