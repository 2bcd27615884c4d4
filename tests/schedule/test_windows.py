"""The task, as an XML parser reads it."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from common.temp.errors import InvalidSettings
from common.temp.schedule import windows
from common.temp.schedule.job import Job
from tests.schedule.conftest import NASTY

NS = {"t": windows.NAMESPACE}


def parsed(job: Job) -> ElementTree.Element:
    # As a file for schtasks has it: the declaration must be true.
    return ElementTree.fromstring(windows.xml(job).encode("utf-16"))


def text(task: ElementTree.Element, path: str) -> str:
    found = task.findtext("/".join(f"t:{name}" for name in path.split("/")), namespaces=NS)
    assert found is not None, path
    return found


@pytest.mark.parametrize("name", NASTY)
def test_the_task_has_what_a_task_must_have_and_says_what_was_meant(name: str) -> None:
    job = Job(f"C:\\p\\{name}", (f"C:\\{name}\\python.exe", "-P", "-m", "x"), 90)
    task = parsed(job)
    assert task.tag == f"{{{windows.NAMESPACE}}}Task"
    assert task.get("version") == "1.2"
    assert text(task, "Actions/Exec/Command") == job.command[0]
    assert text(task, "Actions/Exec/Arguments") == "-P -m x"
    assert text(task, "Actions/Exec/WorkingDirectory") == job.project
    assert text(task, "Triggers/TimeTrigger/Repetition/Interval") == "PT90M"
    assert text(task, "Triggers/TimeTrigger/StartBoundary").startswith("2000-01-02T03:")
    assert text(task, "Settings/MultipleInstancesPolicy") == "IgnoreNew"
    principal = task.find("t:Principals/t:Principal", NS)
    assert principal is not None
    assert task.find("t:Actions[@Context]", NS) is not None
    assert principal.get("id") == "Author"


def test_the_arguments_are_quoted_as_windows_programs_read_them() -> None:
    task = parsed(Job("C:\\p", ("C:\\python.exe", "a b", 'c"d', "e\\"), 60))
    assert text(task, "Actions/Exec/Arguments") == '"a b" c\\"d e\\'


def test_what_the_task_scheduler_cannot_say_is_refused() -> None:
    windows.xml(Job("C:\\p", ("x",), 31 * 1440))
    with pytest.raises(InvalidSettings, match="accepts at most 31d, got 32d"):
        windows.xml(Job("C:\\p", ("x",), 32 * 1440))


def test_schtasks_gets_the_task_in_utf_16_and_the_file_is_gone_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_system_temp: Path
) -> None:
    """There is no Task Scheduler where tests run: a program in its place keeps what it is given."""
    given = tmp_path / "given.xml"
    (tmp_path / "schtasks").write_text(f'#!/bin/sh\n[ "$4" != /XML ] || cp "$5" \'{given}\'\n')
    (tmp_path / "schtasks").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = Job("C:\\é", ("C:\\python.exe",), 60)
    assert windows.install(job) == [job.name]
    assert given.read_bytes().decode("utf-16") == windows.xml(job)
    assert given.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert not list(own_system_temp.glob("*.xml"))
