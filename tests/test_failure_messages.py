"""The most common failures, each really caused: one line says what, where, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.temp.errors import REMEDIES, StorageError
from common.temp.jobs import StorageRoot
from common.temp.manager import TempManager
from common.temp.pipeline import pipeline_run
from tests.support import (
    age,
    environment,
    ext4,
    fill,
    immutable,
    make_entry,
    make_project,
    mounted,
    plain_user,
    run,
    tempkeep,
)
from tests.tracing import traced

SOMEBODY, ANOTHER = 61001, 61002
"""Users of whom nobody has an account."""

NAME = "debug/a_1696348800"
OTHERWISE = "choose another archive_location, or clean without archiving"
ASK_OWNER = "change its permissions (chmod), or have its owner do it"
MAKE_ROOM = "free some space or inodes (df -h, df -i), for example with `temp-clean`"
PROGRAM = (sys.executable, "-m", "common.temp")

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def entry(project: Path) -> Path:
    """The only entry of the project, with one file."""
    return make_entry(project / ".tmp", NAME)


@pytest.fixture
def told(capsys: Printed) -> Callable[..., str]:
    """Call it with a command and its exit code, 1 if not said: the only line on stderr, or the
    first of so many.
    """

    def command(*arguments: str, code: int = 1, lines: int = 1) -> str:
        capsys.readouterr()
        ended = tempkeep(*arguments)
        printed = capsys.readouterr()
        assert (ended, printed.err.count("\n")) == (code, lines), printed
        return printed.err.partition("\n")[0]

    return command


def told_by(*command: str, cwd: Path, code: int = 1, **more: str) -> str:
    """The last line on stderr of a process that ends with `code`."""
    done = run(command, cwd=cwd, **more)
    assert done.returncode == code, done
    return done.stderr.splitlines()[-1]


def refused(make: Callable[[], object]) -> str:
    """What `make` raises."""
    with pytest.raises(StorageError) as error:
        make()
    return str(error.value)


@contextlib.contextmanager
def attribute(letter: str, path: Path) -> Iterator[None]:
    """`path` with that attribute of `chattr`; skips where it cannot be set."""
    chattr = shutil.which("chattr")
    if not chattr or run([chattr, f"+{letter}", str(path)], cwd=path.parent).returncode:
        pytest.skip(f"needs chattr +{letter}: root, and a filesystem that knows it")
    try:
        yield
    finally:
        run([chattr, f"-{letter}", str(path)], cwd=path.parent)


def owned(path: Path, user: int) -> Path:
    """`path`, as another user's; skips for whoever may not give things away."""
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    os.chown(path, user, user)
    return path


def refusing(call: str, error: str, *arguments: str, cwd: Path, does: str = "main()") -> str:
    """The last line on stderr where the kernel answers `call` with `error`."""
    done = traced(call, f"error={error}", *arguments, cwd=cwd, does=does)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


def settle(project: Path, *lines: str) -> None:
    """Let these be the settings of the project."""
    (project / "pyproject.toml").write_text("\n".join(["[tool.tempkeep]", *lines]))


def hidden(tmp_path: Path, module: str) -> str:
    """A `PYTHONPATH` with which `module` cannot be imported."""
    (tmp_path / f"{module}.py").write_text(f"raise ImportError('No module named {module}')")
    return os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])


def test_every_remedy_is_one_short_clause() -> None:
    assert all(len(clause) < 80 and clause.strip(". ") == clause for clause in REMEDIES.values())
    assert not any("; " in clause or "\n" in clause for clause in REMEDIES.values())


# -- removing ---------------------------------------------------------------------------------


def test_an_immutable_file(entry: Path, told: Callable[..., str]) -> None:
    with immutable(entry / "file0.txt"):
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: file0.txt: Operation not permitted (it is immutable); chattr -i it"
        )


def test_an_immutable_directory_in_an_entry(entry: Path, told: Callable[..., str]) -> None:
    with attribute("i", make_entry(entry, "sub")):
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: sub/file0.txt: Operation not permitted (its directory is immutable), "
            "and 1 more; chattr -i that"
        )


def test_an_immutable_entry(entry: Path, told: Callable[..., str]) -> None:
    with attribute("i", entry):
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: cannot be moved aside: Operation not permitted (it is immutable); "
            "chattr -i it"
        )


def test_an_append_only_file(entry: Path, told: Callable[..., str]) -> None:
    with attribute("a", entry / "file0.txt"):
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: file0.txt: Operation not permitted (it is append-only); chattr -a it"
        )


def test_a_directory_of_somebody_else_in_an_entry(entry: Path, told: Callable[..., str]) -> None:
    owned(make_entry(entry, "sub"), SOMEBODY)
    with plain_user():
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: sub/file0.txt: Permission denied (user {SOMEBODY} owns its "
            f"directory); have user {SOMEBODY} or root remove it"
        )


def test_a_file_of_somebody_else_in_a_sticky_directory(
    entry: Path, told: Callable[..., str]
) -> None:
    shared = owned(make_entry(entry, "shared"), SOMEBODY)
    shared.chmod(0o1777)
    owned(shared / "file0.txt", ANOTHER)
    with plain_user():
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: shared/file0.txt: Operation not permitted (user {ANOTHER} owns it, "
            f"in a sticky directory); have user {ANOTHER} or root remove it"
        )


def test_a_root_of_somebody_else(entry: Path, told: Callable[..., str]) -> None:
    root = owned(entry.parent.parent, SOMEBODY)
    with plain_user():
        assert told("temp-clean", "--yes", lines=2) == (  # the other is of the history
            f"failed {NAME}: no holding area in {root}: Permission denied; {ASK_OWNER}"
        )


def test_what_an_nfs_client_has_open(entry: Path) -> None:
    (entry / "file0.txt").rename(entry / ".nfs000000000012ab3400000001")
    assert refusing("unlinkat", "EBUSY", "temp-clean", "--yes", cwd=entry.parents[2]) == (
        f"failed {NAME}: .nfs000000000012ab3400000001: Device or resource busy (an NFS client has "
        "it open), and 1 more; end what uses it (see fuser -v)"
    )


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        ("EBUSY", "Device or resource busy", "end what uses it (see fuser -v), or unmount it"),
        ("EIO", "Input/output error", "the disk may be failing: see dmesg, and save what"),
        ("ESTALE", "Stale file handle", "mount it again, once its server answers"),
    ],
)
def test_a_disk_that_does_not_obey(entry: Path, error: str, what: str, remedy: str) -> None:
    said = refusing("unlinkat", error, "temp-clean", "--yes", cwd=entry.parents[2])
    assert said.startswith(f"failed {NAME}: file0.txt: {what}, and 1 more; {remedy}")


def test_a_directory_that_is_filled_as_fast_as_it_is_emptied(entry: Path) -> None:
    said = refusing("unlinkat", "ENOTEMPTY", "clean", cwd=_built(entry))
    assert said == ("failed build: is being written to; end what writes there, and clean again")


def _built(entry: Path) -> Path:
    """The project of `entry`, with an empty artefact and nothing else."""
    project = entry.parents[2]
    shutil.rmtree(project / ".tmp")
    (project / "build").mkdir()
    return project


def test_an_artefact_that_is_immutable(project: Path, told: Callable[..., str]) -> None:
    built = make_entry(project, "build")
    with attribute("i", built / "file0.txt"):
        assert told("clean", "--include-unsure") == (
            "failed build: file0.txt: Operation not permitted (it is immutable); chattr -i it"
        )


def test_a_filesystem_mounted_inside(entry: Path, capsys: Printed) -> None:
    with mounted(entry / "disk", "size=1m"):
        assert tempkeep("temp-clean") == 0
        kept = f"kept {NAME}: mounted: another filesystem is mounted at {NAME}/disk\n"
        assert capsys.readouterr().out.startswith(kept)
        assert tempkeep("temp-explain", str(entry)) == 0
        assert "when that filesystem is unmounted" in capsys.readouterr().out


def test_too_many_open_files(entry: Path) -> None:
    limited = ("prlimit", "--nofile=6", *PROGRAM)
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit of util-linux")
    assert told_by(*limited, "temp-clean", "--yes", cwd=entry.parents[2]) == (
        f"failed {NAME}: Too many open files; raise the limit of open files (ulimit -n), "
        "or close some"
    )


# -- looking ----------------------------------------------------------------------------------


def test_a_directory_that_may_not_be_read(entry: Path, told: Callable[..., str]) -> None:
    owned(make_entry(entry, "sub"), SOMEBODY).chmod(0o700)
    age(entry, 99)
    line = f"problem: project: {NAME}: Permission denied in sub; {ASK_OWNER}"
    with plain_user():
        assert told("temp-status") == line
        assert told("temp-clean", "--max-age-hours", "24") == line


def test_a_root_that_may_not_be_read(entry: Path, told: Callable[..., str]) -> None:
    root = owned(entry.parent.parent, SOMEBODY)
    root.chmod(0o700)
    with plain_user():
        for command in ("temp-status", "temp-clean"):
            assert told(command) == (
                f"problem: project: .tmp: cannot list {root}: Permission denied; {ASK_OWNER}"
            )


def test_the_cell_of_a_table_has_the_reason_without_what_to_do(
    entry: Path, capsys: Printed
) -> None:
    owned(make_entry(entry, "sub"), SOMEBODY).chmod(0o700)
    age(entry, 99)
    settle(entry.parents[2], "max_age_hours = 24")
    with plain_user():
        tempkeep("temp-explain", str(entry))
    assert "unreadable: Permission denied in sub, so its age" in capsys.readouterr().out


def test_a_root_that_is_a_file(root: Path, told: Callable[..., str]) -> None:
    root.write_text("")
    assert told("temp-status") == (
        f"problem: project: .tmp: {root} is not a directory; move it away"
    )


def test_a_root_that_is_a_link_to_nowhere(root: Path, told: Callable[..., str]) -> None:
    root.symlink_to("nowhere")
    assert told("temp-status") == (
        f"problem: project: .tmp: {root} is a dangling symlink; mount its disk, make its target, "
        "or remove it"
    )


def test_a_root_that_is_a_link_to_far_more(root: Path, told: Callable[..., str]) -> None:
    root.symlink_to("/")
    assert told("temp-clean", code=3) == (
        f"problem: project: .tmp: {root} is a symlink to /, which holds far more; remove the link"
    )


def test_a_root_that_is_a_link_to_somebody_else_s(
    root: Path, tmp_path: Path, told: Callable[..., str]
) -> None:
    (tmp_path / "theirs").mkdir()
    root.symlink_to(owned(tmp_path / "theirs", SOMEBODY))
    assert told("temp-clean", code=3) == (
        f"problem: project: .tmp: {root} is a symlink to {tmp_path}/theirs, a directory of "
        "another user; remove the link"
    )


# -- making -----------------------------------------------------------------------------------


def test_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk, contextlib.chdir(make_project(disk)):
        fill(disk)
        for path, make in (
            (".tmp", lambda: TempManager.create_persistent_dir("x")),
            ("jobs", lambda: StorageRoot(Path("jobs")).allocate_job("x")),
            ("runs", lambda: pipeline_run("runs").__enter__()),
        ):
            said = refused(make)
            assert said.startswith(f"cannot make {disk / path}")
            assert said.endswith(f": No space left on device; {MAKE_ROOM}")


def test_a_disk_without_inodes(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=4") as disk:
        with contextlib.chdir(make_project(disk)):
            said = refused(lambda: TempManager.create_persistent_dir("x"))
        assert said == (
            f"cannot make {disk}/.tmp/CACHEDIR.TAG: No space left on device; {MAKE_ROOM}"
        )


def test_a_quota_that_is_used_up(project: Path) -> None:
    making = "from common.temp import TempManager; TempManager.create_persistent_dir('x')"
    said = refusing("mkdir", "EDQUOT", cwd=project, does=making)
    assert said.endswith(
        f"cannot make {project}/.tmp: Disk quota exceeded; free some of your quota (quota -s), "
        "for example with `temp-clean`"
    )


def test_a_project_of_somebody_else(project: Path) -> None:
    owned(project, SOMEBODY)
    with plain_user():
        said = refused(lambda: TempManager.create_persistent_dir("x"))
    assert said == f"cannot make {project}/.tmp: Permission denied; {ASK_OWNER}"


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        deep = tmp_path
        while (left := 4080 - len(str(deep))) > 1:
            deep /= "d" * min(200, left - 1)
            os.mkdir(deep.name)
            os.chdir(deep.name)
        Path("pyproject.toml").touch()
        said = refused(lambda: TempManager.create_persistent_dir("x"))
    assert said.endswith(": File name too long; choose a shorter name, or a project nearer to /")


def test_a_read_only_filesystem(tmp_path: Path, told: Callable[..., str]) -> None:
    with ext4(tmp_path, megabytes=2) as disk:
        entry = make_entry(make_project(disk / "project") / ".tmp", NAME)
        run(["mount", "-o", "remount,ro", str(disk)], cwd=tmp_path)
        what = "Read-only file system; remount that filesystem writable, or work elsewhere"
        with contextlib.chdir(disk / "project"):
            assert told("temp-clean", "--yes", lines=2) == (
                f"failed {NAME}: no holding area in {entry.parents[1]}: {what}"
            )
            pinning = told("temp-pin", str(entry), "--reason", "golden")
            assert pinning == f"error: cannot make {entry.parents[1]}/.tempkeep: {what}"
            making = refused(lambda: TempManager.create_persistent_dir("x"))
            assert making.endswith(f": {what}")


def test_a_server_of_files_that_is_gone(root: Path, told: Callable[..., str]) -> None:
    with dead_server(root):
        assert told("temp-status") == (
            f"problem: project: .tmp: cannot look at {root}: Transport endpoint is not connected; "
            "mount it again, once its server answers"
        )


@contextlib.contextmanager
def dead_server(directory: Path) -> Iterator[None]:
    """A FUSE filesystem at `directory` whose server has ended; skips where we may not mount."""
    directory.mkdir()
    mount = shutil.which("mount") or "mount"
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    os.set_inheritable(descriptor, True)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0"
    status = os.spawnl(
        os.P_WAIT, mount, mount, "-i", "-t", "fuse", "-o", options, "none", str(directory)
    )
    os.close(descriptor)
    if status:
        pytest.skip("cannot mount a FUSE filesystem")
    try:
        yield
    finally:
        run(["umount", "--lazy", str(directory)], cwd=directory.parent)


# -- archive and trash ------------------------------------------------------------------------


def test_no_space_to_archive(entry: Path, tmp_path: Path, told: Callable[..., str]) -> None:
    (entry / "large").write_bytes(b"x" * 300_000)
    with mounted(tmp_path / "disk", "size=64k") as disk:
        settle(entry.parents[2], "archive = true", f'archive_location = "{disk}"')
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: cannot be archived in {disk} (No space left on device); {OTHERWISE}, "
            "which frees the space of the entry"
        )


def test_an_archive_of_somebody_else(entry: Path, tmp_path: Path, told: Callable[..., str]) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    owned(archive, SOMEBODY)
    settle(entry.parents[2], "archive = true", f'archive_location = "{archive}"')
    with plain_user():
        assert told("temp-clean", "--yes") == (
            f"failed {NAME}: cannot be archived in {archive} (Permission denied); {ASK_OWNER}, "
            f"or {OTHERWISE}"
        )


def test_a_file_that_cannot_be_read_to_be_archived(entry: Path, told: Callable[..., str]) -> None:
    owned(entry / "file0.txt", SOMEBODY).chmod(0o600)
    settle(entry.parents[2], "archive = true", 'archive_format = "tar.gz"')
    with plain_user():
        assert f"(Permission denied in file0.txt); {ASK_OWNER}, or choose" in told(
            "temp-clean", "--yes"
        )


def test_a_device_that_is_to_be_archived(entry: Path, told: Callable[..., str]) -> None:
    os.mknod(entry / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    settle(entry.parents[2], "archive = true", 'archive_format = "tar.gz"')
    assert told("temp-clean", "--yes").endswith(
        "(null is a device, which no archive can hold); remove it, or " + OTHERWISE
    )


def test_nothing_that_can_compress(entry: Path, tmp_path: Path) -> None:
    settle(entry.parents[2], "archive = true", 'archive_format = "tar.zst"')
    path = hidden(tmp_path, "zstandard")
    said = told_by(*PROGRAM, "temp-clean", cwd=entry.parents[2], PATH="/nowhere", PYTHONPATH=path)
    assert said.endswith(
        f"(tar.zst needs the program zstd, or tempkeep's extra `archive`); {OTHERWISE}"
    )


def test_a_damaged_archive(entry: Path, told: Callable[..., str]) -> None:
    settle(entry.parents[2], "archive = true", 'archive_format = "tar.gz"')
    assert tempkeep("temp-clean") == 0
    (packed,) = (entry.parents[2] / ".tmp-archive").glob("*.tar.gz")
    packed.write_bytes(packed.read_bytes()[:-30])
    said = told("temp-restore", entry.name, code=3)
    assert said.startswith("error: debug__a_1696348800 is not restored: it is damaged (")
    assert said.endswith("); look at it, and unpack it by hand")


def test_a_place_that_is_taken_when_it_is_restored(entry: Path, told: Callable[..., str]) -> None:
    settle(entry.parents[2], "archive = true")
    assert tempkeep("temp-clean") == 0
    entry.mkdir()
    assert told("temp-restore", entry.name, code=3) == (
        f"error: {entry} is there already; move it away first"
    )


def test_a_name_that_is_not_in_the_archive(project: Path, told: Callable[..., str]) -> None:
    assert told("temp-restore", "x", code=2) == (
        f"error: x is not in {project}/.tmp-archive; run `temp-restore --list` in the project "
        "that it was cleaned from"
    )


def test_a_trash_that_cannot_be_made(entry: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = told_by(
        *PROGRAM,
        "temp-clean",
        "--yes",
        "--trash",
        cwd=entry.parents[2],
        XDG_DATA_HOME=f"{tmp_path}/file",
    )
    assert said == (
        f"failed {NAME}: cannot be trashed (Not a directory); something else is in the place of a "
        "directory: move it away, or delete it without --trash, or free the trash"
    )


def test_a_trash_on_another_filesystem(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m") as disk:
        entry = make_entry(make_project(disk / "project") / ".tmp", NAME)
        owned(disk, SOMEBODY).chmod(0o755)
        command = ["setpriv", "--bounding-set=-dac_override,-fowner", *PROGRAM]
        if not shutil.which("setpriv"):
            pytest.skip("root needs setpriv of util-linux to test file permissions")
        said = told_by(
            *command, "temp-clean", "--yes", "--trash", cwd=entry.parents[2], HOME=str(tmp_path)
        )
    assert said == (
        f"failed {NAME}: cannot be trashed (Permission denied); {ASK_OWNER}, or delete it "
        "without --trash, or free the trash"
    )


# -- what was typed, and what was configured --------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[tool.tempkeep", "not valid TOML: Expected ']' at the end of a table declaration"),
        (
            "in it: max_agee = 3",
            "[tool.tempkeep]: max_agee is not a key; expected one of strategy, max_age",
        ),
        (
            "in it: max_count = 'x'",
            "[tool.tempkeep]: max_count: expected a whole number of 0 or more",
        ),
        ("in it: dry_run = 1", "[tool.tempkeep]: dry_run: expected true or false, got 1"),
        (
            "in it: max_total_size = '9 x'",
            '[tool.tempkeep]: max_total_size: expected a size such as "20G',
        ),
        (
            "in it: strategy = 'bold'",
            "[tool.tempkeep]: strategy: expected one of aggressive, moderate",
        ),
    ],
)
def test_settings_that_cannot_be_used(
    project: Path, told: Callable[..., str], text: str, what: str
) -> None:
    (project / "pyproject.toml").write_text(text.replace("in it: ", "[tool.tempkeep]\n"))
    assert told("temp-clean", code=2).startswith(f"error: {project}/pyproject.toml: {what}")


def test_settings_that_may_not_be_read(project: Path, told: Callable[..., str]) -> None:
    (project / "cleanup_config.json").touch()
    owned(project / "cleanup_config.json", SOMEBODY).chmod(0o600)
    with plain_user():
        assert told("temp-clean", code=2) == (
            f"error: {project}/cleanup_config.json: cannot be read: Permission denied; {ASK_OWNER}"
        )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("--max-age-hours a-day", "--max-age-hours: expected a number of hours of 0 or more"),
        ("--strategy bold", "--strategy: expected one of aggressive, moderate, conservative, ar"),
        ("--apply nothing", "--apply: nothing cannot be read: No such file or directory"),
        ("--plan x", "--plan needs --dry-run: it writes what that shows"),
    ],
)
def test_arguments_that_cannot_be_used(
    entry: Path, told: Callable[..., str], arguments: str, what: str
) -> None:
    assert told("temp-clean", *arguments.split(), code=2).startswith(f"error: {what}")
    assert entry.is_dir()


def test_nobody_who_answers(entry: Path) -> None:
    assert told_by(*PROGRAM, "temp-clean", "--ask", cwd=entry.parents[2], code=3) == (
        "nothing was cleaned, because there was no answer; --yes instead of --ask cleans without "
        "asking"
    )


def test_a_project_in_git_without_git(project: Path) -> None:
    (project / ".git").mkdir()
    make_entry(project, "build")
    done = run((*PROGRAM, "clean"), cwd=project, PATH="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "kept build: no egg-info beside it says what made it, and git cannot be asked "
        "(No such file or directory); --include-unsure takes it\n"
    )


def test_output_that_does_not_fit(entry: Path) -> None:
    full = f"{' '.join(PROGRAM)} temp-status > /dev/full"
    assert told_by("sh", "-c", full, cwd=entry.parents[2]) == (
        f"error: cannot write: {os.strerror(errno.ENOSPC)}; {MAKE_ROOM}"
    )
