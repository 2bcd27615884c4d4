"""`temp-report`: any number of reports become one view; missing, old or broken ones are named."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.fleet import Fleet, FleetEntry, FleetHost, FleetProject, Sums
from common.temp.core.scheduled import ANOTHER
from common.temp.report.fleet_page import fleet_page
from common.temp.report.text import instant
from common.temp.store.system.process_identity import boot, host_name
from tests.support import HOUR, NOW, check_report, environment, make_entry, make_project, tempkeep

Printed = pytest.CaptureFixture[str]


def shown(capsys: Printed, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The JSON of `temp-report`."""
    assert tempkeep("temp-report", "--merge", *arguments, "--format", "json") == code
    return check_report(json.loads(capsys.readouterr().out))


def report(path: Path, host: str, *projects: str, age: float = 0, **more: Any) -> str:
    """A report that `host` wrote `age` seconds ago, with 3 entries of 20 bytes in each project."""
    said = {
        "schema": 1,
        "kind": "status",
        "at": instant(time.time() - age),
        "host": host,
        "boot": None,
        "version": "9.9",
        "projects": [
            {
                "project": project,
                "root": f"/srv/{project}/.tmp",
                "free_bytes": 1000,
                "scheduled": None,
                "entries": [{"path": f"debug/{project}-{n}", "size_bytes": n, "goes": n > 1}
                            for n in range(3)],
                "totals": {"entries": 3, "size_bytes": 60, "reclaimable_bytes": 40},
                "problems": [],
                **more,
            }
            for project in projects
        ],
    }  # fmt: skip
    path.write_text(json.dumps(said))
    return str(path)


def test_the_status_names_its_host_and_merges(
    project: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(project / ".tmp", "debug/run_1696348800")
    assert tempkeep("temp-status", "--format", "json", "--output", "own.json") == 0
    said = check_report(json.loads((project / "own.json").read_text()))
    assert (said["host"], said["boot"]) == (host_name(), boot() or None)
    assert said["projects"][0]["filesystem"]["type"]

    found = shown(capsys, "own.json", "--expect", f"{host_name()},", "--stale", "1h")
    monkeypatch.setenv("TEMPKEEP_HOST", "node7")
    assert tempkeep("temp-status", "--format", "json", "--output", "node.json") == 0
    assert [one["host"] for one in shown(capsys, "node.json")["hosts"]] == ["node7"]

    (host,) = found["hosts"]
    assert (host["host"], host["state"], host["version"]) == (host_name(), "ok", said["version"])
    assert host["projects"][0]["root"] == said["projects"][0]["root"]
    totals = {**said["projects"][0]["totals"], "failures": 0}
    assert host["totals"] == found["totals"] == {key: totals[key] for key in host["totals"]}
    assert [one["path"] for one in found["largest"]] == ["debug/run_1696348800"]


def test_failures_are_problems_and_scheduled_cleans_since_the_last_success(
    project: Path, capsys: Printed
) -> None:
    store = make_entry(project / ".tmp", ".tempkeep")
    (store / "schedule.log.1").write_text("2026-01-01T00:00:00Z exit 1: failed\n")
    (store / "schedule.log").write_text(
        "2026-01-02T00:00:00Z exit 0: cleaned 1 entry\n"
        "2026-01-03T00:00:00Z exit 1: error: x\n"
        "2026-01-03T00:00:01Z on_failure ended with 1\n"
        f"2026-01-04T00:00:00Z exit 0: {ANOTHER}\n"
        "2026-01-05T00:00:00Z killed: this clean did not end; the next one continues\n"
    )
    assert tempkeep("temp-status", "--format", "json", "--output", "own.json") == 0
    said = check_report(json.loads((project / "own.json").read_text()))["projects"][0]
    assert said["scheduled"] == {"succeeded_at": "2026-01-02T00:00:00Z", "failed": 2}

    assert shown(capsys, "own.json", code=1)["totals"]["failures"] == 2


def test_hosts_projects_and_what_is_missing_stale_or_broken(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_project(tmp_path / "p"))
    blocking = [{"path": "x", "what": "cannot be read", "blocking": True}]
    files = [
        report(tmp_path / "a.json", "web1", "photos", "maps"),
        report(tmp_path / "b.json", "web2", "photos", age=3 * 24 * HOUR),
        report(tmp_path / "c.json", "web3", "photos", problems=blocking),
        report(tmp_path / "old.json", "web1", "photos", age=9, totals={}) + "-missing",
        report(tmp_path / "d.json", "web<4>\x1b[31m", "photos"),
    ]
    for name, text in {
        "deep": "[" * 99 + "]" * 99,
        "cut": '{"schema": 1',
        "other": '{"schema": 1, "kind": "clean"}',
        "before": '{"schema": 1, "kind": "status", "at": "2026-01-01T00:00:00Z", "projects": []}',
        "when": '{"schema": 1, "kind": "status", "at": "0000-01-01T00:00:00Z", "host": "x"}',
        "huge": '{"schema": 1, "kind": "status", "at": "2026-01-01T00:00:00Z", "host": "x", '
        '"version": "1", "projects": [{"problems": [], "project": "p", "root": "r", '
        '"totals": {"entries": -1}}]}',
    }.items():
        (tmp_path / f"{name}.json").write_text(text)
        files.append(str(tmp_path / f"{name}.json"))
    os.mkfifo(tmp_path / "fifo.json")
    with open(tmp_path / "large.json", "wb") as sparse:
        sparse.truncate(17 << 20)
    files += [str(tmp_path / "fifo.json"), str(tmp_path / "large.json")]
    (tmp_path / "hosts").write_text("web1\n# a comment\nweb9  # in the cellar\n\n")
    arguments = (*files, "--expect", f"@{tmp_path / 'hosts'}", "--stale", "2d")

    found = shown(capsys, *arguments, code=1)
    states = {one["host"]: one["state"] for one in found["hosts"]}
    assert list(states.items()) == [
        ("web9", "missing"), ("web2", "stale"), ("web3", "ok"), ("web1", "ok"),
        ("web<4>\x1b[31m", "ok"),
    ]  # fmt: skip
    assert found["totals"] == {
        "entries": 15, "size_bytes": 300, "reclaimable_bytes": 200, "failures": 1,
    }  # fmt: skip
    assert len(found["unread"]) == 9

    assert tempkeep("temp-report", "--merge", *arguments) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == 9
    assert all(line.startswith(f"problem: {tmp_path}/") for line in lines)
    for said in ("nested too deeply", "a FIFO", "larger than 16.0 MiB", "no such file", "too old"):
        assert said in printed.err
    assert printed.out.startswith(
        "5 hosts, 5 projects: 15 entries, 300 B on disk, 200 B reclaimable, 1 failure, "
        "1 missing, 1 stale\n"
    )
    assert "missing: no report" in printed.out
    assert "stale: 3 d old" in printed.out
    assert "\x1b" not in printed.out

    assert tempkeep("temp-report", "--merge", *arguments, "--format", "html") == 1
    page = capsys.readouterr().out
    assert "<script" not in page
    assert "web<4>" not in page
    assert "web<4>\\x1b[31m" in unescape(page)
    assert page.count("Not merged") == 1


def test_the_newest_report_on_a_root_counts_and_a_host_is_as_old_as_its_oldest(
    tmp_path: Path, project: Path, capsys: Printed
) -> None:
    new = report(tmp_path / "new.json", "web1", "photos")
    old = report(tmp_path / "old.json", "web1", "photos", "maps", age=9 * HOUR, free_bytes=7)
    for files in ((new, old, new), (old, new)):
        (host,) = shown(capsys, *files)["hosts"]
        free = {one["project"]: one["free_bytes"] for one in host["projects"]}
        assert free == {"photos": 1000, "maps": 7}
        assert 9 * HOUR <= host["age_seconds"] < 10 * HOUR
    future = report(tmp_path / "future.json", "web1", "photos", age=-9 * HOUR)
    assert shown(capsys, future, "--stale", "2h", code=1)["hosts"][0]["state"] == "stale"
    assert len(shown(capsys, new, old, new)["largest"]) == 4 + 2 - 3 + 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.json",), "temp-report: give --merge and the files that"),
        (("--merge",), "temp-report: give --merge and the files that"),
        (("--merge", "a.json", "--stale", "soon"), "--stale: "),
        (("--merge", "a.json", "--format", "csv"), "--format: expected one of table, json, html"),
        (("--merge", "a.json", "--expect", "@hosts"), "--expect: hosts: there is no such file"),
        (("--merge", "a.json", "--expect", ","), "--expect: expected names of hosts, as a,b"),
    ],
)
def test_a_bad_argument_is_one_line(
    project: Path, capsys: Printed, arguments: tuple[str, ...], message: str
) -> None:
    assert tempkeep("temp-report", *arguments) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith(f"error: {message}")


def test_the_page_stays_below_a_megabyte_and_has_a_line_for_each_host() -> None:
    sums = Sums(9, 10**12, 10**11, 1)
    projects = tuple(FleetProject(f"<{n}>" + "&" * 200, "/r", NOW, 1, sums) for n in range(100))
    entries = tuple(FleetEntry(1, '"' * 300, "p", "&" * 300, True, "/r", NOW) for _ in range(50))

    def page(hosts: int, name: str) -> str:
        each = (FleetHost(f"h{n}{name}", "1", 9.0, False, projects) for n in range(hosts))
        return fleet_page(Fleet(tuple(each), entries), NOW, ["<" * 400] * 999)

    usual = page(1000, ".example.org")
    assert all(f'<th scope="row">h{n}.example.org</th>' in usual for n in range(1000))
    assert usual.count("<details>") > 20
    assert usual.count("88 more<") == usual.count("<details>")
    odd = page(2000, "'" * 250)
    listed = odd.count('<th scope="row">h')
    assert listed > 500
    assert f"{2000 - listed} more hosts" in odd
    assert max(len(usual.encode()), len(odd.encode())) < 1_000_000


@pytest.mark.slow
def test_a_thousand_hosts_merge_in_300_mb(tmp_path: Path) -> None:
    entries = [{"path": f"debug/run-{n}", "size_bytes": n, "goes": True, "reasons": ["x" * 60] * 9}
               for n in range(20)]  # fmt: skip
    names = [f"project-{n}" for n in range(10)]
    for n in range(1000):
        report(tmp_path / f"{n}.json", f"host-{n}", *names, entries=entries)
    page = tmp_path / "fleet.html"
    files = sorted(tmp_path.glob("*.json"))
    subprocess.run(
        [sys.executable, "-m", "common.temp", "temp-report", "--merge", *files,
         "--format", "html", "--output", page],
        env=environment(), check=True, timeout=120, cwd=make_project(tmp_path / "p"),
    )  # fmt: skip
    assert page.stat().st_size < 1_000_000
    assert "1000 hosts, 10000 projects" in page.read_text()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 300 * 1024
