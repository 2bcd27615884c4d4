"""The statements of the document on pipeline cleanup, and that they hold here."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from common.temp import (
    ArtifactCleaner,
    CleanupConfig,
    CleanupStrategy,
    cleanup_after_pipeline_run,
    pipeline,
    started_runs,
)
from common.temp.errors import InvalidSettings
from common.temp.pipeline import load_config, save_config
from common.temp.store.settings.keys import JSON_KEYS
from tests.documents.statement import Statement, Statements, parameters
from tests.support import REPOSITORY, listing, make_entry, stored, tempkeep

RESULT = [
    "directories_found",
    "candidates_identified",
    "directories_archived",
    "directories_deleted",
    "space_freed_bytes",
    "errors",
]
ARCHIVE = "archived_pipeline_runs"
STATEMENTS = Statements()
says = STATEMENTS.says


@STATEMENTS.each()
def test_what_the_document_says_holds(
    project: Path, monkeypatch: pytest.MonkeyPatch, statement: Statement
) -> None:
    monkeypatch.setattr(started_runs, "_last", None)
    started_runs._mine.set(None)
    assert statement.holds(project) is not False


def make_runs(base: Path, count: int, *, hours: float = 1.0) -> list[str]:
    """So many runs in `base`, the newest first, as any program may have made them."""
    names = [f"pipeline_artifacts_20250917_{number:06}" for number in range(count)]
    for number, name in enumerate(names):
        make_entry(base, name, age_hours=number * hours)
    return names


def runs(base: Path) -> list[str]:
    return sorted(path.name for path in base.glob("pipeline_artifacts_*"))


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        pipeline.main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


# -- the configuration --------------------------------------------------------------------------


@says("`CleanupConfig()` has these fields and defaults")
def _(project: Path) -> None:
    config = CleanupConfig()
    assert {field.name for field in fields(config)} == set(JSON_KEYS)
    assert (config.strategy, config.dry_run) == (CleanupStrategy.MODERATE, False)
    assert (config.archive_before_delete, config.archive_location) == (True, ARCHIVE)
    assert config.exclude_patterns == []
    for name in ("max_age_days", "max_runs_to_keep", "min_free_space_gb"):
        # Left to the strategy, and no limit on the disk.
        assert getattr(config, name) is None


@says("they can be given by position; ours are after them, by name alone")
def _(project: Path) -> None:
    given = (CleanupStrategy.MODERATE, 7, 5, True, "old", True, ["a"], 10)
    names = [field.name for field in fields(CleanupConfig)][: len(given)]
    assert names == [
        *("strategy", "max_age_days", "max_runs_to_keep", "archive_before_delete"),
        *("archive_location", "dry_run", "exclude_patterns", "min_free_space_gb"),
    ]
    assert [getattr(CleanupConfig(*given), name) for name in names] == [*given]
    with pytest.raises(TypeError):
        CleanupConfig(*given, "dir")  # type: ignore[call-arg]


@says("the strategies are aggressive, moderate, conservative and archive")
def _(project: Path) -> None:
    assert [(one.name, one.value) for one in CleanupStrategy] == [
        ("AGGRESSIVE", "aggressive"),
        ("MODERATE", "moderate"),
        ("CONSERVATIVE", "conservative"),
        ("ARCHIVE", "archive"),
    ]


@says("`exclude_patterns` is a list of its own that can be appended to; each value can be set")
def _(project: Path) -> None:
    given = ["*_000003"]
    config = CleanupConfig(exclude_patterns=given, max_runs_to_keep=9)
    config.exclude_patterns.append("000004")
    config.max_runs_to_keep = 1
    assert (given, CleanupConfig().exclude_patterns) == (["*_000003"], [])
    made = make_runs(project, 5)
    ArtifactCleaner(project, config).cleanup()
    assert runs(project) == [made[0], made[3], made[4]]


@says(
    "any value can be set",
    differs="one that means nothing is refused at once, or by the next cleanup in `errors`: "
    "a typo must not delete",
)
def _(project: Path) -> None:
    with pytest.raises(InvalidSettings, match="max_age_days"):
        CleanupConfig(max_age_days=-1)
    config = CleanupConfig(archive_before_delete=None)  # type: ignore[arg-type]
    assert config.settings(project).archive
    config.max_runs_to_keep = -1
    made = make_runs(project, 9)
    (error,) = ArtifactCleaner(project, config).cleanup()["errors"]
    assert "max_runs_to_keep: expected" in error
    assert runs(project) == made


@says("`save_config` and `load_config` write and read a `cleanup_config.json`")
def _(project: Path) -> None:
    config = CleanupConfig(
        CleanupStrategy.CONSERVATIVE, max_age_days=14, exclude_patterns=["a*"], min_free_space_gb=5
    )
    cleaner = ArtifactCleaner(project, config)
    cleaner.save_config("mine.json")
    assert json.loads((project / "mine.json").read_text())["exclude_patterns"] == ["a*"]
    other = ArtifactCleaner(project)
    assert other.load_config("mine.json") == other.config == config == load_config("mine.json")
    save_config(CleanupConfig(strategy=CleanupStrategy.ARCHIVE), "mine.json")
    assert load_config("mine.json").strategy is CleanupStrategy.ARCHIVE


@says(
    "a file without a strategy has the moderate one",
    differs="its own limits are all there are, as when the file is read in its place: otherwise "
    "an age that nobody has set would take runs",
)
def _(project: Path) -> None:
    (project / "mine.json").write_text('{"max_runs_to_keep": 20}')
    assert load_config("mine.json").strategy is None
    made = make_runs(project, 3, hours=24 * 30)
    ArtifactCleaner(project, load_config("mine.json")).cleanup()
    assert runs(project) == made


@says("null in a file sets nothing, as where `None` was saved")
def _(project: Path) -> None:
    unset = ("max_age_days", "max_runs_to_keep", "min_free_space_gb", "dry_run", "exclude_patterns")
    said = {"strategy": "aggressive", **dict.fromkeys(unset)}
    (project / "cleanup_config.json").write_text(json.dumps(said))
    assert load_config("cleanup_config.json") == CleanupConfig(CleanupStrategy.AGGRESSIVE)
    make_runs(project, 6)
    assert ArtifactCleaner(project).cleanup()["directories_archived"] == 3


@says("a file that cannot be used is an error that names the file and the key")
def _(project: Path) -> None:
    (project / "mine.json").write_text('{"max_runs": 20}')
    for path, what in (("mine.json", "mine.json: max_runs is not a key"), ("no.json", "no such")):
        with pytest.raises(InvalidSettings, match=what):
            load_config(path)


# -- the runs -----------------------------------------------------------------------------------


@says("`find_artifact_directories` gives the runs, the newest first, and nothing else")
def _(project: Path) -> None:
    made = [f"pipeline_artifacts_2025091{day}_120000" for day in (3, 2, 1)]
    for name in (*made, "pipeline_artifacts_latest", "results"):
        (project / name).mkdir()
    (project / "pipeline_artifacts_20250914_120000").write_text("a file")
    found = ArtifactCleaner(project).find_artifact_directories()
    assert found == [project / name for name in made]


@says("`get_cleanup_candidates` gives those that the configuration removes, and removes none")
def _(project: Path) -> None:
    made = make_runs(project, 7)
    cleaner = ArtifactCleaner(project, CleanupConfig(max_runs_to_keep=4))
    assert sorted(path.name for path in cleaner.get_cleanup_candidates()) == made[4:]
    assert runs(project) == made


@says("of runs with one modification time, as a copy has them, the last by name is the newest")
def _(project: Path) -> None:
    made = [project / f"pipeline_artifacts_2025091{day}_120000" for day in (1, 3, 2)]
    for path in made:
        path.mkdir()
        os.utime(path, (1_760_000_000, 1_760_000_000))
    cleaner = ArtifactCleaner(project, CleanupConfig(max_runs_to_keep=1))
    assert cleaner.get_cleanup_candidates() == [made[0], made[2]]
    assert cleaner.find_artifact_directories() == [made[1], made[2], made[0]]


@says("`check_disk_space` tells whether `min_free_space_gb` is free")
def _(project: Path) -> None:
    for wanted, enough in ((None, True), (0.0, True), (10.0**9, False)):
        config = CleanupConfig(min_free_space_gb=wanted)
        assert ArtifactCleaner(project, config).check_disk_space() is enough


# -- a cleanup ----------------------------------------------------------------------------------


@says("`ArtifactCleaner(base_path, config)`, and `cleanup(force=False)` returns these counts")
def _(project: Path) -> None:
    assert [name for name, _ in parameters(ArtifactCleaner)] == ["base_path", "config"]
    assert parameters(ArtifactCleaner.cleanup) == [("force", False)]
    done = ArtifactCleaner(project, CleanupConfig()).cleanup()
    assert [key for key in done if key != "space_archived_bytes"] == RESULT


@says("`cleanup_after_pipeline_run` takes these, and returns the same")
def _(project: Path) -> None:
    assert parameters(cleanup_after_pipeline_run) == [
        ("pipeline_name", "pipeline"),
        ("keep_current", True),
        ("strategy", "moderate"),
    ]
    assert [*cleanup_after_pipeline_run()] == [*ArtifactCleaner(project).cleanup()]


@says("the example: of twenty runs, the moderate strategy keeps five, and the others are archived")
def _(project: Path) -> None:
    made = make_runs(project, 20)
    stats = cleanup_after_pipeline_run(
        pipeline_name="video", keep_current=True, strategy=CleanupStrategy.MODERATE
    )
    assert (stats["directories_found"], stats["candidates_identified"]) == (20, 15)
    assert (stats["directories_archived"], stats["directories_deleted"]) == (15, 0)
    assert stats["errors"] == []
    assert runs(project) == made[:5]
    assert stored(project / ARCHIVE) == made[5:]


@says(
    "the example prints how much space was freed",
    differs="a run that is archived on the same disk frees none, and the figure says so; what the "
    "archived runs take is in `space_archived_bytes`",
)
def _(project: Path) -> None:
    make_runs(project, 6)
    stats = cleanup_after_pipeline_run()
    size = sum(
        path.lstat().st_blocks * 512
        for name in stored(project / ARCHIVE)
        for path in (project / ARCHIVE / name, *(project / ARCHIVE / name).iterdir())
    )
    assert (stats["space_freed_bytes"], stats["space_archived_bytes"]) == (0, size)
    assert size > 0


@says("with `archive_before_delete` false, runs are deleted")
def _(project: Path) -> None:
    make_runs(project, 6)
    config = CleanupConfig(archive_before_delete=False)
    done = ArtifactCleaner(project, config).cleanup()
    assert (done["directories_archived"], done["directories_deleted"]) == (0, 1)
    assert done["space_freed_bytes"] > done["space_archived_bytes"] == 0
    assert not (project / ARCHIVE).exists()


@says("so says a `cleanup_config.json`, also for `cleanup_after_pipeline_run`")
def _(project: Path) -> None:
    made = make_runs(project, 7)
    (project / "cleanup_config.json").write_text('{"archive_before_delete": false}')
    assert cleanup_after_pipeline_run()["directories_deleted"] == 2
    assert runs(project) == made[:5]


@says("a relative `archive_location` is in the base, and another name or disk can be given")
def _(project: Path) -> None:
    for base, location in (("a", "old"), ("b", project / "elsewhere")):
        make_runs(project / base, 2)
        config = CleanupConfig(max_runs_to_keep=1, archive_location=location)
        assert ArtifactCleaner(project / base, config).cleanup()["errors"] == []
    assert len(stored(project / "a" / "old")) == len(stored(project / "elsewhere")) == 1


@says("a run whose archiving fails stays where it was, and is in `errors`")
def _(project: Path) -> None:
    made = make_runs(project, 7)
    (project / ARCHIVE).write_text("a file")
    done = cleanup_after_pipeline_run()
    assert (done["directories_archived"], len(done["errors"])) == (0, 2)
    assert all("cannot be archived" in error for error in done["errors"])
    assert runs(project) == made


@says("a dry run counts and changes nothing; `force` overrides it")
def _(project: Path) -> None:
    make_runs(project, 6)
    before = listing(project)
    cleaner = ArtifactCleaner(project, CleanupConfig(dry_run=True))
    assert cleaner.cleanup()["candidates_identified"] == 1
    assert listing(project) == before
    assert cleaner.cleanup(force=True)["directories_archived"] == 1


@says("`keep_current` keeps the newest run, however old it is")
def _(project: Path) -> None:
    make_entry(project, "pipeline_artifacts_20250101_000000", age_hours=1000)
    (project / "cleanup_config.json").write_text('{"keep_last_good": 0}')
    assert cleanup_after_pipeline_run()["candidates_identified"] == 0
    assert cleanup_after_pipeline_run(keep_current=False)["candidates_identified"] == 1


@says(
    "a limit takes any run",
    differs="the newest good one of a pipeline stays, and runs in use: `keep_last_good` is 1",
)
def _(project: Path) -> None:
    made = make_runs(project, 3, hours=1000)
    ArtifactCleaner(project, CleanupConfig(max_runs_to_keep=0, max_age_days=0)).cleanup()
    assert runs(project) == made[:1]


@says("archives that the script made before are listed, the oldest first")
def _(project: Path) -> None:
    for day in (2, 1):
        make_entry(project / ARCHIVE, f"pipeline_artifacts_2025010{day}_000000")
    assert tempkeep("temp-restore", "--list") == 0


# -- the command and the script -----------------------------------------------------------------


@says("the command has `--strategy`, `--dry-run`, `--force`, `--save-config` and `--load-config`")
def _(project: Path) -> None:
    made = make_runs(project, 6)
    assert command("--strategy", "aggressive", "--save-config", "mine.json") == 0
    assert load_config("mine.json") == CleanupConfig(CleanupStrategy.AGGRESSIVE)
    assert runs(project) == made, "it only writes"
    assert command("--load-config", "mine.json", "--dry-run") == 0
    assert runs(project) == made
    assert command("--load-config", "mine.json", "--force") == 0
    assert runs(project) == made[:3]


@says(
    "`--save-config` writes the file",
    differs="never over another without `--force`",
)
def _(project: Path) -> None:
    (project / "mine.json").write_text('{"keep_last": 9}')
    assert command("--save-config", "mine.json") == 3
    assert load_config("mine.json").keep_last == 9
    assert command("--save-config", "mine.json", "--load-config", "mine.json", "--force") == 0
    assert (load_config("mine.json").keep_last, load_config("mine.json").strategy) == (9, None)


@says("`scripts/cleanup_artifacts.sh` finds the runs in the root of the project")
def _(project: Path) -> None:
    text = (REPOSITORY / "projects" / "pipeline" / "scripts" / "cleanup_artifacts.sh").read_text()
    script = project / "scripts" / "cleanup_artifacts.sh"
    script.parent.mkdir()
    script.write_text(text)
    script.chmod(0o755)
    said = subprocess.run([script], cwd="/", capture_output=True, text=True, check=True).stdout
    assert f"no runs in {project} and " in said
    (project / "pipeline_artifacts_20250101_000000").mkdir()
    (project / "python").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" >>arguments\n")
    (project / "python").chmod(0o755)
    environment: dict[str, Any] = {**os.environ, "PYTHON": str(project / "python")}
    subprocess.run([script, "--dry-run"], cwd="/", env=environment, check=True)
    assert (project / "arguments").read_text().split()[-3:] == ["--base", str(project), "--dry-run"]
