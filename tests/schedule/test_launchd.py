"""The property list, as a property list parser reads it."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from common.temp.schedule import launchd
from common.temp.schedule.job import Job
from tests.schedule.conftest import NASTY
from tests.support import listing, tempkeep

_KNOWN = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "ProcessType": str,
    "StartInterval": int,
    "StartCalendarInterval": dict,
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("every", [1, 420, 1440, 2 * 1440, 7 * 1440])
def test_the_property_list_has_known_keys_and_says_what_was_meant(name: str, every: int) -> None:
    job = Job(f"/p/{name}", (f"/{name}/python", "-P", name), every)
    ((path, text),) = launchd.show(job)
    found = plistlib.loads(text.encode())
    assert path.endswith(f"/Library/LaunchAgents/{found['Label']}.plist")
    assert {key: type(value) for key, value in found.items()}.items() <= _KNOWN.items()
    assert (found["WorkingDirectory"], found["ProgramArguments"]) == (job.project, [*job.command])
    assert found["ProcessType"] == "Background"
    if every in (1440, 7 * 1440):
        at = {"Hour": 3, "Minute": job.minute}
        assert found["StartCalendarInterval"] == (at if every == 1440 else {**at, "Weekday": 0})
    else:
        assert found["StartInterval"] == every * 60


def test_an_agent_that_was_left_is_removed_and_no_other(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    agents = tmp_path / "home" / "Library" / "LaunchAgents"
    agents.mkdir(parents=True)
    (agents / "tempkeep-project-00000000.plist").touch()
    ((path, text),) = launchd.show(Job(str(project), ("/x",), 60))
    Path(path).write_text(text)
    assert tempkeep("temp-schedule", "--remove", "--as", "launchd") == 0
    assert listing(agents) == ["tempkeep-project-00000000.plist"]
