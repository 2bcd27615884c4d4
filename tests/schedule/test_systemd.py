"""The units, as read by systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from common.temp.core.units import MINUTE_STEPS
from common.temp.schedule import systemd
from common.temp.schedule.job import Job, job_of
from tests.schedule.conftest import NASTY, Telling
from tests.support import listing, make_project, run, tempkeep

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd-analyze"
)


def verified(job: Job, tmp_path: Path) -> dict[str, str]:
    """What systemd makes of the units of `job`, by the name of what it says, without complaint."""
    units = tmp_path / "units"
    units.mkdir(exist_ok=True)
    paths = []
    for path, text in systemd.show(job):
        unit = units / os.path.basename(path)
        unit.write_text(text, encoding="utf-8")
        paths.append(str(unit))
    command = ["systemd-analyze", "verify", "--user", "--man=no", *paths]
    # Sockets have paths of at most 107 bytes, wherever tests run.
    with tempfile.TemporaryDirectory(prefix="tempkeep-", dir="/tmp") as runtime:
        own = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": runtime}
        done = run(command, cwd=tmp_path, **own)
        assert done.stderr == ""
        assert (done.returncode, done.stdout) == (0, "")
        said = run(command, cwd=tmp_path, SYSTEMD_LOG_LEVEL="debug", **own)
    lines = (line.lstrip().partition(": ") for line in said.stdout.splitlines())
    return {name: value for name, _, value in lines if name}


@needs_systemd
@pytest.mark.parametrize("name", NASTY)
def test_what_systemd_makes_of_the_unit_runs_as_it_was_meant(tmp_path: Path, name: str) -> None:
    telling = Telling(tmp_path, name)
    said = verified(telling.job, tmp_path)
    assert said["WorkingDirectory"].rstrip("/") == telling.job.project
    # Shown quoted as for a shell, and before a `$$` becomes the `$` that it stands for.
    shown = ["sh", "-c", f"printf '%s\\n' {said['Command Line']}"]
    words = run(shown, cwd=tmp_path).stdout.split("\n")[:-1]
    command = [word.replace("$$", "$") for word in words]
    subprocess.run(command, cwd=said["WorkingDirectory"], env={}, check=True)
    telling.check()


@needs_systemd
def test_systemd_takes_the_real_units_and_what_is_run_after_a_failure(
    project: Path, tmp_path: Path
) -> None:
    job = job_of(project, 1440, "moderate")
    names = [os.path.basename(path) for path, _ in systemd.show(job)]
    assert names == [f"{job.name}{end}" for end in (".service", ".timer", "-failed.service")]
    assert verified(job, tmp_path)["WorkingDirectory"] == str(project)


@needs_systemd
def test_a_command_that_is_not_there_would_be_told(tmp_path: Path) -> None:
    job = Job(str(tmp_path), (str(tmp_path / "missing"), "-m", "x"), 60)
    with pytest.raises(AssertionError, match="No such file or directory"):
        verified(job, tmp_path)


@needs_systemd
@pytest.mark.parametrize("every", [1, 15, 60, 360, 1440, 7 * 1440])
def test_systemd_takes_the_time_of_the_timer(tmp_path: Path, every: int) -> None:
    job = Job(str(tmp_path), ("/bin/true",), every)
    assert "Persistent=true" in systemd.timer_text(job)
    said = verified(job, tmp_path)
    assert said["OnCalendar"]
    done = run(
        ["systemd-analyze", "calendar", "--iterations=3", systemd.calendar(job)],
        cwd=tmp_path,
        TZ="UTC",
        LC_ALL="C",
    )
    times = [
        line.strip().partition(": ")[2]
        for line in done.stdout.splitlines()
        if line.strip().startswith(("Next elapse", "Iter."))
    ]
    assert len(times) == 3
    dates = run(["date", "-u", "+%s", "-f", "-"], cwd=tmp_path, stdin="\n".join(times)).stdout
    first, second, third = map(int, dates.split())
    assert second - first == third - second == every * 60


@needs_systemd
@pytest.mark.parametrize("every", [7, 90, 7 * 60, 2 * 1440])
def test_what_no_calendar_can_tell_is_counted_from_the_last_run(tmp_path: Path, every: int) -> None:
    assert every not in MINUTE_STEPS
    job = Job(str(tmp_path), ("/bin/true",), every)
    assert f"\nOnUnitActiveSec={every}min\n" in systemd.timer_text(job)
    verified(job, tmp_path)


# -- installing -----------------------------------------------------------------------------------


INSTALL = ("temp-schedule", "--every", "1d", "--strategy", "moderate", "--install")


def units(home: Path) -> list[str]:
    return [name for name in listing(home) if "." in os.path.basename(name) and "tempkeep" in name]


@pytest.mark.usefixtures("systemctl")
def test_installing_twice_is_installing_once_and_removing_leaves_what_others_made(
    project: Path, home: Path, tmp_path: Path
) -> None:
    other = home / ".config/systemd/user/tempkeep-project-00000000.timer"
    other.parent.mkdir(parents=True)
    other.write_text("[Timer]\n")
    assert tempkeep(*INSTALL) == 0
    before = [(name, (home / name).read_bytes()) for name in units(home)]
    assert len(before) == 5, "a service, one for when it fails, a timer, its link, the other's"
    assert tempkeep(*INSTALL) == 0
    assert [(name, (home / name).read_bytes()) for name in units(home)] == before
    assert tempkeep("temp-schedule", "--remove") == 0
    assert units(home) == [str(other.relative_to(home))]


def test_the_timer_is_made_known_enabled_and_started_anew(project: Path, systemctl: Path) -> None:
    assert tempkeep(*INSTALL) == 0
    name = Job(str(project), (), 1).name
    assert systemctl.read_text().splitlines() == [
        "--user show-environment",
        "--user daemon-reload",
        f"--user enable {name}.timer",
        f"--user restart {name}.timer",
    ]


def test_two_projects_of_one_name_have_a_timer_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemctl: Path, home: Path
) -> None:
    for above in ("a", "b"):
        monkeypatch.chdir(make_project(tmp_path / above / "project"))
        assert tempkeep(*INSTALL) == 0
    assert len(units(home)) == 8
    assert tempkeep("temp-schedule", "--remove") == 0
    left = [home / name for name in units(home)]
    assert len(left) == 4
    assert any(str(tmp_path / "a" / "project") in path.read_text() for path in left)


@pytest.mark.parametrize("fails", ["daemon-reload", "enable", "restart"])
def test_an_installation_that_fails_leaves_nothing(
    project: Path, systemctl: Path, home: Path, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    (systemctl.parent / "fails").write_text(fails)
    assert tempkeep(*INSTALL) == 1
    assert f"{fails}" in capsys.readouterr().err
    assert units(home) == []


def test_one_that_fails_leaves_the_one_before(project: Path, systemctl: Path, home: Path) -> None:
    assert tempkeep(*INSTALL) == 0
    (failed,) = (home / ".config/systemd/user").glob("*-failed.service")
    service = failed.with_name(failed.name.replace("-failed", ""))
    assert f"OnFailure={failed.name}\n" in service.read_text()
    failed.unlink()  # as an earlier version has installed it
    before = [(home / name).read_bytes() for name in units(home)]
    (systemctl.parent / "fails").write_text("restart")
    assert tempkeep("temp-schedule", "--every", "6h", "--strategy", "archive", "--install") == 1
    assert [(home / name).read_bytes() for name in units(home)] == before


@pytest.mark.skipif(not shutil.which("systemctl"), reason="there is no systemctl")
def test_without_a_running_systemd_nothing_is_written(
    project: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    assert tempkeep(*INSTALL, "--as", "systemd") == 2
    assert "error: --as systemd: this user has no running systemd: " in capsys.readouterr().err
    assert listing(home) == []
