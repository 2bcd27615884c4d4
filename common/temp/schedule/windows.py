"""Task Scheduler: a task of the user, on Windows."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from ..core.units import spell_interval
from ..errors import InvalidSettings
from .job import HOUR_OF_DAY, Job, demand, run

NAME = "windows"
PLATFORMS: tuple[str, ...] = ("win32",)
HAS_FILES = False
NAMESPACE: Final = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_LONGEST: Final = 31 * 24 * 60
"""The longest interval that it accepts, in minutes."""


def why_not() -> str:
    """Why no job can be installed here; "" if one can."""
    return "" if shutil.which("schtasks") else "there is no schtasks"


def show(job: Job) -> list[tuple[str, str]]:
    """The name of the task, and its XML, which `schtasks` reads as UTF-16."""
    return [(f"Task Scheduler: {job.name}", xml(job))]


def xml(job: Job) -> str:
    """The XML of the task. Raises `InvalidSettings` for an interval that it cannot have."""
    if job.every > _LONGEST:
        raise InvalidSettings(
            f"--every: the Task Scheduler accepts at most 31d, got {spell_interval(job.every)}"
        )
    task = ElementTree.Element("Task", {"version": "1.2", "xmlns": NAMESPACE})

    def add(path: str, /, **texts: str) -> ElementTree.Element:
        parent = task
        for name in path.split("/"):
            found = parent.find(name)
            parent = ElementTree.SubElement(parent, name) if found is None else found
        for name, text in texts.items():
            ElementTree.SubElement(parent, name).text = text
        return parent

    program, *arguments = job.command
    add("RegistrationInfo", Description=job.title)
    # A repetition without a duration never ends.
    add("Triggers/TimeTrigger/Repetition", Interval=f"PT{job.every}M")
    add(
        "Triggers/TimeTrigger",
        StartBoundary=f"2000-01-02T{HOUR_OF_DAY:02}:{job.minute:02}:00",
        Enabled="true",
    )
    who = add("Principals/Principal", LogonType="InteractiveToken", RunLevel="LeastPrivilege")
    who.set("id", "Author")
    add(
        "Settings",
        MultipleInstancesPolicy="IgnoreNew",
        DisallowStartIfOnBatteries="false",
        StopIfGoingOnBatteries="false",
        StartWhenAvailable="true",
        ExecutionTimeLimit="PT0S",
    )
    add(
        "Actions/Exec",
        Command=program,
        Arguments=subprocess.list2cmdline(arguments),
        WorkingDirectory=job.project,
    )
    add("Actions").set("Context", "Author")
    ElementTree.indent(task)
    text = ElementTree.tostring(task, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{text}\n'


def install(job: Job) -> list[str]:
    """Create or replace the task. Returns its name. Raises `StorageError`."""
    descriptor, path = tempfile.mkstemp(suffix=".xml")
    try:
        with open(descriptor, "wb") as file:
            file.write(xml(job).encode("utf-16"))
        demand(["schtasks", "/Create", "/TN", job.name, "/XML", path, "/F"])
    finally:
        Path(path).unlink(missing_ok=True)
    return [job.name]


def remove(job: Job) -> list[str]:
    """Delete the task, if there is one. Returns its name if so. Raises `StorageError`."""
    code, _, _ = run(["schtasks", "/Query", "/TN", job.name])
    if code:
        return []
    demand(["schtasks", "/Delete", "/TN", job.name, "/F"])
    return [job.name]


def note() -> str:
    """A note to print after installing."""
    return "it only runs while you are logged in; `schtasks /Query` shows it"
