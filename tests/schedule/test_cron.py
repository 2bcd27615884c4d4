"""The line for cron: how cron and the shell read it, and what happens to the crontab."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest

from common.temp.core.units import MINUTE_STEPS, spell_interval
from common.temp.errors import InvalidSettings, Refused
from common.temp.schedule import cron
from common.temp.schedule.job import Job
from tests.schedule.conftest import NASTY, Telling
from tests.schedule.crontabs import Crontabs
from tests.support import listing, make_entry, tempkeep

FOREIGN = (
    b"# mine\nMAILTO=me\n\n"
    b"5 4 * * *\techo \xff \xc3\xa9 \\% >/dev/null  \n"
    b"# begin tempkeep-other-12345678: by another project\n* * * * * true\n"
    b"# end tempkeep-other-12345678\n"
)


def told_by_cron(line: str) -> str:
    """The command in a line, as the cron of Debian hands it to the shell (do_command.c)."""
    command = line.split(maxsplit=5)[5]
    said: list[str] = []
    escaped = False
    for letter in command:
        if escaped:
            escaped = False
            if letter == "%":
                said.pop()
        elif letter == "\\":
            escaped = True
        elif letter == "%":
            break
        said.append(letter)
    return "".join(said)


@pytest.mark.parametrize("name", NASTY)
def test_the_shell_runs_the_command_as_it_was_meant(tmp_path: Path, name: str) -> None:
    telling = Telling(tmp_path, name)
    command = told_by_cron(cron.line(telling.job))
    subprocess.run(["sh", "-c", command], cwd="/", env={}, check=True)
    telling.check()


@pytest.mark.parametrize("every", MINUTE_STEPS)
def test_each_interval_of_a_clock_can_be_said(every: int) -> None:
    """Counted over two weeks by what the fields mean."""
    fields = cron.line(Job("/p", ("/x",), every)).split()[:5]
    whole = (range(60), range(24), range(1), range(1), range(7))
    minutes, hours, _, _, days = (
        _values(field, all_of_them) for field, all_of_them in zip(fields, whole, strict=True)
    )
    runs = [
        day * 1440 + hour * 60 + minute
        for day in range(14)
        if day % 7 in days
        for hour in sorted(hours)
        for minute in sorted(minutes)
    ]
    gaps = {after - before for before, after in itertools.pairwise(runs)}
    assert gaps == {every}
    assert fields[2:4] == ["*", "*"]


def _values(field: str, whole: range) -> set[int]:
    span, _, step = field.partition("/")
    if span == "*":
        found = [*whole]
    else:
        first, _, last = span.partition("-")
        found = [*range(int(first), int(last or first) + 1)]
    return {*found[:: int(step or 1)]}


@pytest.mark.parametrize(
    ("every", "nearest"),
    [(7, "6m or 10m"), (45, "30m or 1h"), (7 * 60, "6h or 8h"), (2 * 1440, "1d or 7d"),
     (8 * 1440, "7d")],
)  # fmt: skip
def test_what_cron_cannot_say_is_refused_with_what_is_nearest(every: int, nearest: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        cron.line(Job("/p", ("/x",), every))
    assert str(raised.value) == (
        f"--every: cron cannot run a job exactly every {spell_interval(every)}; choose {nearest}"
    )


def test_a_command_that_is_too_long_for_cron_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="the command is too long for cron"):
        cron.line(Job("/p" + "x" * 1000, ("/x",), 60))


# -- the crontab ----------------------------------------------------------------------------------

JOB = Job("/p", ("/x",), 60)
BLOCK = [f"# begin {JOB.name}: so", "* * * * * true", f"# end {JOB.name}"]


@pytest.mark.parametrize("before", [b"", b"x\n", FOREIGN, b"\n\n", b"a\rb\x0b\n"])
def test_what_was_put_in_and_taken_out_again_has_changed_nothing(before: bytes) -> None:
    put = cron.replaced(before, JOB, BLOCK)
    assert put == before + "\n".join([*BLOCK, ""]).encode()
    assert cron.replaced(put, JOB, BLOCK) == put
    assert cron.replaced(put + FOREIGN, JOB, []) == before + FOREIGN
    assert cron.replaced(before, JOB, []) == before


def test_it_is_replaced_where_it_stands() -> None:
    put = cron.replaced(b"a\n", JOB, BLOCK) + b"b\n"
    other = [BLOCK[0], "1 2 3 4 5 false", BLOCK[2]]
    assert cron.replaced(put, JOB, other) == "\n".join(["a", *other, "b", ""]).encode()


def test_a_last_line_without_an_end_gets_one() -> None:
    assert cron.replaced(b"a", JOB, BLOCK).startswith(b"a\n# begin ")


@pytest.mark.parametrize(
    "lines", [BLOCK[:1], BLOCK[2:], [BLOCK[2], BLOCK[0]], [*BLOCK, *BLOCK], [*BLOCK, BLOCK[2]]]
)
def test_marks_that_do_not_match_are_left_to_a_person(lines: list[str]) -> None:
    with pytest.raises(Refused, match="repair it with `crontab -e`"):
        cron.replaced("\n".join([*lines, ""]).encode(), JOB, [])


# -- a real one -----------------------------------------------------------------------------------

INSTALL = ("temp-schedule", "--as", "cron", "--strategy", "moderate", "--install", "--every")


def test_a_real_crontab_keeps_to_the_byte_what_others_wrote(
    crontabs: Crontabs, project: Path
) -> None:
    crontabs.write(FOREIGN)
    assert crontabs.read() == FOREIGN
    for every in ("1d", "1d", "15m"):
        code, out, err = crontabs.inv(*INSTALL, every, cwd=project)
        assert (code, err) == (0, "")
        assert out.startswith("installed crontab\n")
        assert crontabs.read().startswith(FOREIGN)
        assert crontabs.read().count(b"temp-clean --yes --scheduled") == 1
    assert b"-59/15 * * * * cd " in crontabs.read()
    assert crontabs.inv("temp-schedule", "--remove", cwd=project) == (0, "removed crontab\n", "")
    assert crontabs.read() == FOREIGN
    again = crontabs.inv("temp-schedule", "--remove", cwd=project)
    assert again == (0, "project: nothing is scheduled\n", "")


def test_where_there_was_no_crontab_there_is_none_after(crontabs: Crontabs, project: Path) -> None:
    assert crontabs.inv(*INSTALL, "6h", cwd=project)[0] == 0
    assert crontabs.inv("temp-schedule", "--remove", cwd=project)[0] == 0
    code, out, err = crontabs.run("crontab", "-l", cwd=project)
    assert (code, out, err.startswith("no crontab for")) == (1, "", True)


def test_printing_and_refusing_write_nothing(crontabs: Crontabs, project: Path) -> None:
    for arguments, code in (
        (("--every", "1d", "--strategy", "moderate", "--as", "cron"), 0),
        (("--every", "1d", "--strategy", "moderate", "--as", "cron", "--print"), 0),
        (("--every", "7h", "--strategy", "moderate", "--as", "cron", "--install"), 2),
        (("--every", "1d", "--as", "cron", "--install"), 2),
        (("--every", "1d", "--install", "--remove"), 2),
        (("--install",), 2),
    ):
        assert crontabs.inv("temp-schedule", *arguments, cwd=project)[0] == code, arguments
    assert crontabs.read() == b""


def test_crontab_takes_each_line_that_is_made(crontabs: Crontabs, tmp_path: Path) -> None:
    lines = [cron.line(Telling(tmp_path, name).job) for name in NASTY]
    lines += [cron.line(Job("/p", ("/x",), every)) for every in MINUTE_STEPS]
    lines.append(cron.line(Job("/p", ("/" + "x" * 970,), 60)))
    content = "\n".join([*lines, ""]).encode()
    crontabs.write(content)
    assert crontabs.read() == content


@pytest.mark.usefixtures("systemctl")
def test_a_schedule_that_goes_to_another_scheduler_leaves_the_one_before(
    crontabs: Crontabs, project: Path, home: Path
) -> None:
    crontabs.write(FOREIGN)
    assert crontabs.inv(*INSTALL, "1d", cwd=project)[0] == 0
    assert crontabs.read() != FOREIGN
    systemd = [option if option != "cron" else "systemd" for option in INSTALL]
    code, out, err = crontabs.inv(*systemd, "1d", cwd=project)
    assert (code, err) == (0, "")
    assert "\nremoved crontab\n" in out
    assert crontabs.read() == FOREIGN
    assert [path for path in listing(home) if path.endswith(".timer")] != []
    assert crontabs.inv(*INSTALL, "1d", cwd=project)[0] == 0
    assert [path for path in listing(home) if path.endswith((".timer", ".service"))] == []


def test_who_may_have_no_crontab_is_told_when_they_ask_for_one(
    project: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """root always may, so a program in place of the real one says no."""
    denied = tmp_path / "denied"
    denied.mkdir()
    (denied / "crontab").write_text("#!/bin/sh\necho 'You (me) are not allowed' >&2\nexit 1\n")
    (denied / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{denied}:{os.environ['PATH']}")
    for arguments in (["--remove"], ["--install", "--every", "1d", "--strategy", "moderate"]):
        assert tempkeep("temp-schedule", "--as", "cron", *arguments) == 2
        said = "error: --as cron: cannot read the crontab: You (me) are not allowed"
        assert said in capsys.readouterr().err
    assert tempkeep("temp-schedule", "--remove") == 0
    assert capsys.readouterr().out == "project: nothing is scheduled\n"


@pytest.mark.slow
def test_a_real_cron_runs_each_as_it_was_meant_and_cleans(
    crontabs: Crontabs, tmp_path: Path, project: Path
) -> None:
    telling = [Telling(tmp_path, name) for name in NASTY]
    crontabs.write("\n".join([*(cron.line(one.job) for one in telling), ""]).encode())
    gone = make_entry(project / ".tmp", "debug/old_1696348800", age_hours=999)
    kept = make_entry(project / ".tmp", "debug/new_1696348800")
    assert crontabs.inv(*INSTALL, "1m", cwd=project)[0] == 0
    log = project / ".tmp" / ".tempkeep" / "schedule.log"
    daemon = subprocess.Popen(crontabs.command(["cron", "-f"], Path("/")))
    try:
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline and not (
            log.exists() and log.read_text() and all(one.told.exists() for one in telling)
        ):
            time.sleep(0.5)
    finally:
        daemon.kill()
        daemon.wait()
    for one in telling:
        one.check()
    assert " exit 0: project: cleaned 1 entry, freed " in log.read_text()
    assert (gone.exists(), kept.exists()) == (False, True)
