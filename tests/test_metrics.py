"""Metrics: what Prometheus reads, from which file, and the alerts and the dashboard for them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.temp.core.scheduled import Scheduled
from common.temp.report.openmetrics import GAUGES, Measured, openmetrics
from tests.schedule.test_run import CLEAN, log
from tests.support import REPOSITORY, make_entry, tempkeep

PARSE: Any = text_string_to_metric_families
Printed = pytest.CaptureFixture[str]
DEPLOY = REPOSITORY / "deploy"
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool of prometheus"
)


def promtool(*arguments: str | Path, text: str = "") -> None:
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def gauges(text: str) -> dict[str, float]:
    """The values by their names, of one root."""
    samples = [one for family in PARSE(text) for one in family.samples]
    assert all(one.timestamp is None for one in samples)
    found = {one.name: one.value for one in samples}
    assert len(found) == len(samples)
    return found


@needs_promtool
def test_the_status_as_openmetrics_has_the_numbers_of_the_json(
    project: Path, root: Path, capsys: Printed
) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.tempkeep]\nmax_age = '7d'\nmax_total_size = '1GiB'\nmin_free_space = 2\n"
    )
    make_entry(root, "debug/old_1696348800", age_hours=999)
    make_entry(root, "debug/new_1696348800")
    assert tempkeep("temp-status", "--format", "json") == 0
    said = json.loads(capsys.readouterr().out)["projects"][0]
    assert tempkeep("temp-status", "--format", "openmetrics") == 0
    text = capsys.readouterr().out

    promtool("check", "metrics", text=text)
    found = gauges(text)
    assert found.pop("tempkeep_capacity_bytes") > found.pop("tempkeep_free_bytes") > 0
    assert found == {
        "tempkeep_entries": 2,
        "tempkeep_size_bytes": said["totals"]["size_bytes"],
        "tempkeep_reclaimable_bytes": said["totals"]["reclaimable_bytes"],
        "tempkeep_max_total_size_bytes": 1 << 30,
        "tempkeep_min_free_bytes": 2,
        "tempkeep_problems": 0,
    }
    assert tempkeep("temp-status", "--format", "openmetrics", "--category", "debug") == 2


@needs_promtool
def test_a_label_keeps_its_text_whatever_it_is() -> None:
    odd = 'a"b\\c\n{}\x1b' + os.fsdecode(b"\xff")
    text = openmetrics(
        [
            Measured(odd, odd, 1, scheduled=Scheduled("", 3)),
            Measured(odd, odd, 2),
            Measured("b", "c"),
        ]
    )
    promtool("check", "metrics", text=f"{text}\n")
    families = {one.name: one.samples for one in PARSE(f"{text}\n")}
    assert [one.value for one in families["tempkeep_problems"]] == [2, 0]
    labels = families["tempkeep_problems"][0].labels
    assert labels == dict.fromkeys(("project", "root"), 'a"b\\c\\n{}\\x1b\\xff')
    assert openmetrics([]) == "# EOF"


@needs_promtool
def test_each_scheduled_clean_writes_the_file(project: Path, root: Path, capsys: Printed) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmetrics_file = 'own.prom'\n")
    file = project / "own.prom"
    make_entry(root, "debug/old_1696348800", age_hours=999)
    before = os.umask(0o077)
    try:
        assert tempkeep(*CLEAN) == 0
    finally:
        os.umask(before)

    text = file.read_text()
    promtool("check", "metrics", text=text)
    began, _, rest = text.partition("\n")
    assert began == f"# Written by tempkeep after each scheduled clean of {root}"
    found = gauges(rest)
    assert (found["tempkeep_entries"], found["tempkeep_failures"]) == (0, 0)
    assert 0 <= time.time() - found["tempkeep_last_success_timestamp_seconds"] < 3600
    assert file.stat().st_mode & 0o777 == 0o644
    inode = file.stat().st_ino

    (project / "cleanup_config.json").write_text("{")
    assert tempkeep(*CLEAN) == 2
    assert log(project)[-1].split(" ", 1)[1].startswith("metrics_file is not written: ")
    assert file.stat().st_ino == inode
    (project / "cleanup_config.json").unlink()
    assert tempkeep(*CLEAN) == 0
    assert gauges(file.read_text().partition("\n")[2])["tempkeep_failures"] == 0
    assert file.stat().st_ino != inode
    assert sorted(project.glob("*own*")) == [file]


def test_the_file_of_another_is_left_alone(
    project: Path, root: Path, capsys: Printed, tmp_path: Path
) -> None:
    (project / "pyproject.toml").write_text("[tool.tempkeep]\nmetrics_file = 'own.prom'\n")
    file, other = project / "own.prom", tmp_path / "work"
    make_entry(root, "debug/new_1696348800")
    other.write_text("# Written by tempkeep after each scheduled clean of /elsewhere/.tmp\n")
    for put, why in (
        (lambda: shutil.copy(other, file), "was not written for this; choose another file"),
        (lambda: file.symlink_to(other), "is not a file made by this program"),
        (lambda: file.hardlink_to(other), "is not a file made by this program"),
        (lambda: os.mkfifo(file), "is not a file made by this program"),
        (file.mkdir, "is not a file made by this program"),
    ):
        put()
        capsys.readouterr()
        assert tempkeep(*CLEAN) == 0
        assert f"problem: metrics_file is not written: {file} {why}" in capsys.readouterr().err
        assert why in log(project)[-1]
        assert other.read_text().startswith("# Written")
        file.rmdir() if file.is_dir() else file.unlink()
    project.joinpath("pyproject.toml").chmod(0o666)
    assert tempkeep(*CLEAN) == 0
    assert "others may write to" in capsys.readouterr().err
    assert not file.exists()


@needs_promtool
def test_the_alerts_fire_when_they_say(project: Path) -> None:
    promtool("check", "rules", DEPLOY / "prometheus" / "rules.yml")
    promtool("test", "rules", DEPLOY / "prometheus" / "rules.test.yml")


def test_the_alerts_and_the_dashboard_use_metrics_that_there_are() -> None:
    board = json.loads((DEPLOY / "grafana" / "tempkeep.json").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = set(re.findall(r"tempkeep_\w+", " ".join(texts)))
    assert named == set(GAUGES) - {"tempkeep_capacity_bytes"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text()
    assert set(re.findall(r"tempkeep_\w+", rules)) <= set(GAUGES)
