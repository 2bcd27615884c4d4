"""How runs ended is recorded, and a failed run does not displace a good one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from common.temp.core.entry import Ending
from common.temp.core.layouts import PIPELINE
from common.temp.pipeline import (
    ArtifactCleaner,
    cleanup_after_pipeline_run,
    pipeline_run,
    start_run,
)
from common.temp.pipeline_config import CleanupConfig, CleanupStrategy
from common.temp.store.root import owner
from common.temp.store.root.records import record_name
from common.temp.store.scanning.scan import scan
from tests.support import age, long_ago, make_entry, mounted, process, run, tempkeep

RUN = """
import sys
from common.temp.pipeline import pipeline_run
with pipeline_run({base!r}) as run:
    print(run, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def base(project: Path) -> Path:
    """An empty directory for runs, in a project which is the working directory."""
    directory = project / "artifacts"
    directory.mkdir()
    return directory


def ending_of(made: Path) -> Ending:
    found = scan(made.parent, time.time(), layout=PIPELINE).entries
    return {entry.path: entry.ending for entry in found}[made.name]


def ended(base: Path, error: BaseException | None = None, hours: float = 0) -> Path:
    """A run that ended well, or by `error`, so many hours ago."""
    expected = suppress(*([] if error is None else [type(error)]))
    with expected, long_ago(hours), pipeline_run(base) as made:
        (made / "table.csv").write_text("line,tone\n")
        if error is not None:
            raise error
    age(made, hours)
    return made


def record_of(made: Path) -> Path:
    return made.parent / ".tempkeep" / "ends" / record_name(made.name)


def clean(base: Path, **config: object) -> list[str]:
    """The names of the runs that a clean by that configuration leaves."""
    done = ArtifactCleaner(base, CleanupConfig(**config)).cleanup()  # type: ignore[arg-type]
    assert done["errors"] == []
    return sorted(path.name for path in base.glob("pipeline_*"))


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (None, "success"),
        (SystemExit(0), "success"),
        (SystemExit(2), "failed"),
        (ValueError("bad input"), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_it_is_recorded_how_a_block_ends(
    base: Path, error: BaseException | None, ending: Ending
) -> None:
    assert ending_of(ended(base, error)) == ending


def test_a_killed_pipeline_has_died_and_leaves_the_last_good_run(base: Path) -> None:
    good = ended(base, hours=400)
    with process(RUN.format(base=str(base)), cwd=base) as running:
        made = Path(running.first_line)
        assert ending_of(made) == "running"
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert ending_of(made) == "died"
    failed = [ended(base, OSError("full")) for _ in range(3)]
    left = clean(base, strategy=CleanupStrategy.AGGRESSIVE)
    assert left == sorted(path.name for path in (good, *failed))


def test_a_run_that_nobody_left_or_that_was_started_without_a_block_may_be_good(
    base: Path,
) -> None:
    block = pipeline_run(base)
    made = block.__enter__()
    del block
    other = make_entry(base, "pipeline_artifacts_20250917_013040")
    assert (ending_of(made), ending_of(other)) == ("unknown", "unknown")


PROMPT = "import code; code.InteractiveInterpreter().runsource('1/0')"
PRINTED = "try: 1/0\nexcept ZeroDivisionError: sys.excepthook(*sys.exc_info())"


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("pass", "unknown"),
        ("sys.exit(1)", "unknown"),
        ("raise ValueError", "failed"),
        ("os.kill(os.getpid(), 9)", "died"),
        ("os.execvp('true', ['true'])", "unknown"),
        ("os.fork() or os.execvp('true', ['true']); os.wait(); raise ValueError", "failed"),
        (PROMPT, "unknown"),
        (PRINTED, "unknown"),
        (f"{PROMPT}\nraise ValueError", "failed"),
    ],
)
def test_of_a_run_without_a_block_it_is_known_if_its_process_died(
    base: Path, how: str, ending: Ending
) -> None:
    done = start_and(base, "", how)
    assert ending_of(Path(done)) == ending


@pytest.mark.parametrize("before", ["if os.fork(): os.wait(); os._exit(0)", PROMPT])
def test_of_a_run_of_a_forked_child_or_after_an_error_at_a_prompt_nothing_is_known(
    base: Path, before: str
) -> None:
    done = start_and(base, before, "if 'fork' in BEFORE: os._exit(0)")
    assert ending_of(Path(done)) == "unknown"


def test_a_program_that_goes_on_as_another_in_its_block_may_end_well(base: Path) -> None:
    code = f"{RUN.format(base=str(base))}    import os; os.execvp('true', ['true'])\n"
    done = run([sys.executable, "-c", code], cwd=base, stdin="\n")
    assert ending_of(Path(done.stdout.strip())) == "unknown"


def test_how_runs_ended_is_known_after_their_base_came_from_a_backup(base: Path) -> None:
    """As after `cp -a` to a larger disk: the directories are others, of the same time."""
    with pipeline_run(base) as good:
        (good / "table.csv").write_text("line,tone\n")
    with suppress(ValueError), pipeline_run(base) as failed:
        raise ValueError
    copy = base.with_name("restored")
    shutil.copytree(base, copy)
    assert [ending_of(copy / one.name) for one in (good, failed)] == ["success", "failed"]
    os.utime(copy / failed.name, (7, 7))  # another one by that name
    assert ending_of(copy / failed.name) == "unknown"


def start_and(base: Path, before: str, after: str) -> str:
    """The run that a program starts between these lines."""
    code = (
        f"import os, sys\nBEFORE = {before!r}\nfrom common.temp.pipeline import start_run\n"
        f"{before}\nprint(start_run(), flush=True)\n{after}\n"
    )
    return run([sys.executable, "-c", code], cwd=base).stdout.strip()


def _garbage(record: Path) -> None:
    record.write_bytes(b'{"path": ')


def _of_another_directory(record: Path) -> None:
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"inode": said["inode"] + 1, "mtime": 7}))


def _of_another_kind(record: Path) -> None:
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"end": ["failed"]}))


def _a_link(record: Path) -> None:
    os.rename(record, record.with_name("there"))
    record.symlink_to("there")


def _a_pipe(record: Path) -> None:
    record.unlink()
    os.mkfifo(record)


@pytest.mark.parametrize(
    "spoil", [_garbage, _of_another_directory, _of_another_kind, _a_link, _a_pipe, Path.unlink]
)
def test_a_record_that_says_nothing_makes_no_run_look_failed_and_displaces_no_good_one(
    base: Path, spoil: Callable[[Path], None]
) -> None:
    good = ended(base, hours=1000)
    made = ended(base, ValueError("bad input"), hours=900)
    spoil(record_of(made))
    assert ending_of(made) == "unknown"
    assert clean(base, max_age_days=1) == [good.name, made.name]


@pytest.mark.parametrize("ending", ["success", "failed"])
def test_it_is_recorded_on_a_full_disk_too(tmp_path: Path, ending: Ending) -> None:
    caught = [OSError] if ending == "success" else []
    with mounted(tmp_path / "disk", "size=1m") as disk:
        with (
            suppress(OSError),
            pipeline_run(disk / "runs") as made,
            suppress(*caught),
            open(made / "fill", "wb", 0) as file,
        ):
            while True:
                file.write(b"x" * 4096)
        assert ending_of(made) == ending


def test_a_forked_child_does_not_end_its_parents_run(base: Path) -> None:
    with pipeline_run(base) as made:
        if not (child := os.fork()):
            try:
                raise ValueError("in the child")
            except ValueError:
                os._exit(0)
        os.waitpid(child, 0)
        assert ending_of(made) == "running"
    assert ending_of(made) == "success"


@pytest.mark.parametrize("strategy", [*CleanupStrategy])
def test_a_pipeline_that_pauses_keeps_its_last_run(base: Path, strategy: CleanupStrategy) -> None:
    made = [
        make_entry(base, f"pipeline_artifacts_20250917_00000{number}", age_hours=1000 - number)
        for number in range(3)
    ]
    assert clean(base, strategy=strategy) == [made[2].name]
    assert clean(base, max_runs_to_keep=0, max_age_days=0) == [made[2].name]
    assert clean(base, strategy=strategy, keep_last_good=0) == []


def test_the_file_can_say_what_is_kept(base: Path) -> None:
    for number in range(4):
        make_entry(base, f"pipeline_artifacts_20250917_00000{number}", age_hours=900 - number)
    config = base.parent / "cleanup_config.json"
    for said, kept in (
        ({"keep_within_hours": 899.5}, 3),
        ({"keep_within": "53970m"}, 3),
        ({"keep_last": 2}, 2),
        ({"keep_last_good": 1}, 1),
    ):
        config.write_text(json.dumps({"max_age_days": 1, **said}))
        ArtifactCleaner(base, config).cleanup()
        assert len(list(base.glob("pipeline_*"))) == kept


def test_a_small_disk_costs_no_run_and_nothing_is_archived_there_for_space(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mounted(tmp_path / "disk", "size=6m") as disk:
        (disk / "cleanup_config.json").write_text(
            json.dumps({"strategy": "archive", "min_free_space_gb": 5 / 1024})
        )
        (disk / "pyproject.toml").touch()
        made = [ended(disk / "runs", hours=hours) for hours in (3, 2, 1)]
        for path in made:
            (path / "noise").write_bytes(os.urandom(1 << 20))
        for _ in range(2):
            done = ArtifactCleaner(disk / "runs").cleanup()
            assert (done["candidates_identified"], done["errors"]) == (0, [])
        assert all(path.is_dir() for path in made)
        assert not (disk / ".tmp-archive").exists()
    assert "held by what stays: 3.1 MiB within limits" in caplog.text.replace("3.0", "3.1")


@pytest.mark.parametrize("current", [True, False])
def test_the_current_run_of_another_process_is_kept_if_that_is_asked(
    base: Path, current: bool
) -> None:
    (base.parent / "pyproject.toml").write_text("[tool.tempkeep]\nkeep_last_good = 0\n")
    ended(base, hours=999)
    made = ended(base, hours=998)
    code = (
        "from common.temp.pipeline import cleanup_after_pipeline_run\n"
        f"print(cleanup_after_pipeline_run(keep_current={current})['directories_archived'])\n"
    )
    assert run([sys.executable, "-c", code], cwd=base).stdout == f"{1 if current else 2}\n"
    assert made.exists() == current


def test_a_plan_takes_the_last_good_run_only_if_who_applies_it_asks_for_everything(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = base.parent
    (project / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["artifacts"]\n')
    older, good = ended(base, hours=50), ended(base, hours=49)
    plan = str(project / "plan")
    assert tempkeep("temp-clean", "--everything", "--dry-run", "--plan", plan) == 0
    assert tempkeep("temp-clean", "--apply", plan) == 1
    assert (older.exists(), good.exists()) == (False, True)
    assert "--apply with --everything takes it" in capsys.readouterr().err
    assert tempkeep("temp-clean", "--everything", "--dry-run", "--plan", plan) == 0
    assert tempkeep("temp-clean", "--apply", plan, "--everything") == 0
    assert not good.exists()


@pytest.mark.parametrize("how", ["undo", "archive"])
def test_how_a_run_ended_comes_back_with_it(base: Path, how: str) -> None:
    project = base.parent
    archive = 'archive = true\narchive_format = "tar.gz"\n' if how == "archive" else ""
    (project / "pyproject.toml").write_text(f'[tool.tempkeep]\nroots = ["artifacts"]\n{archive}')
    made = {"failed": ended(base, ValueError("bad input"), 9), "success": ended(base, hours=8)}
    killed = start_run(base)
    made["died"] = killed
    record_of(killed).write_text(record_of(killed).read_text().replace("running", "died"))
    owner.release(str(base), killed.name)
    flags = () if how == "archive" else ("--undoable",)
    assert tempkeep("temp-clean", "--everything", "--yes", *flags) == 0
    assert not any(path.exists() for path in made.values())
    ended(base)
    tempkeep("temp-clean", "--max-age-hours", "1")  # which forgets what is recorded of the gone
    for ending, path in made.items():
        assert tempkeep("temp-restore", path.name) == 0
        assert ending_of(path) == ending


def test_the_status_says_how_each_run_ended(base: Path) -> None:
    (base.parent / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["artifacts"]\n')
    ended(base)
    ended(base, ValueError("bad input"))
    done = run(
        [sys.executable, "-m", "common.temp", "temp-status", "--format", "json"], cwd=base.parent
    )
    (project,) = (one for one in json.loads(done.stdout)["projects"] if one["entries"])
    assert [one["run_ended"] for one in project["entries"]] == ["success", "failed"]


def test_a_run_that_its_pipeline_gives_up_is_no_good_one(base: Path) -> None:
    with ExitStack() as block:
        with long_ago():
            made = block.enter_context(pipeline_run(base))
        age(made, 1000)
        cleanup_after_pipeline_run(keep_current=False)
        assert not made.exists()


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("20250917", ["20250917_000001", "20250917_000001-abcd"]),
        ("20250917_000001", ["20250917_000001", "20250917_000001-abcd"]),
        ("pipeline_artifacts_20250917_000001", ["20250917_000001"]),
        ("*_20250917_*", ["20250917_000001", "20250917_000001-abcd"]),
        ("*20250917", []),
        ("", []),
    ],
)
def test_a_pattern_without_a_wildcard_excludes_each_run_with_it_in_its_name(
    base: Path, pattern: str, kept: list[str]
) -> None:
    for stamp in ("20250917_000001", "20250917_000001-abcd", "20250918_000001"):
        make_entry(base, f"pipeline_artifacts_{stamp}", age_hours=1000)
    left = clean(base, exclude_patterns=[pattern], keep_last_good=0)
    assert left == [f"pipeline_artifacts_{stamp}" for stamp in kept]
