from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipeline.commands import narrate

from common.temp.pipeline import ArtifactCleaner
from common.temp.pipeline_config import CleanupConfig
from tests.each import each
from tests.support import run_client
from tests.warm import Started, in_environment

WHOLE = ["research.csv", "research.svg", "script.jsonl", "tones.wav"]
OWN = {"demo", "narrate"}
SHARED = {"clean", "temp-clean", "temp-explain", "temp-pin", "temp-status", "temp-unpin"}
TEXT = "A sentence of some words.\n\n"


def run(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return run_client("pipeline", *command, stdin=text)


def script(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return run("scripts/narrate.py", *arguments, text=text)


def runs(base: Path) -> list[Path]:
    return sorted(base.glob("pipeline_artifacts_*"))


class Narrator(Started):
    """A process in the middle of a run, which waits for the rest of its text."""

    run: Path

    def finish(self) -> int:
        """Give it the rest; its exit code."""
        self.communicate("The rest.\n", timeout=60)
        return self.returncode


@contextmanager
def narrators(count: int) -> Iterator[list[Narrator]]:
    """So many of them at a time, each with a line of its script on disk."""
    started: list[Narrator] = []
    try:
        for _ in range(count):
            env = dict(os.environ)
            one = Narrator(
                [sys.executable, "scripts/narrate.py", "-"],
                env=env,
                server=in_environment(sys.executable, env, "pipeline"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            started.append(one)
            assert one.stdin is not None
            one.stdin.write(TEXT)
            one.stdin.flush()
        for one in started:
            assert one.stdout is not None
            one.run = Path(one.stdout.readline().strip().removeprefix("run "))
            _wait_for_text(one.run / "script.jsonl")
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


def _wait_for_text(path: Path) -> None:
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} is not written"
        time.sleep(0.005)


# -- one run ------------------------------------------------------------------------------------


def test_a_run_without_a_text_is_made_of_the_one_that_python_ships(base: Path) -> None:
    done = script()
    (made,) = runs(base)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == f"run {made}"
    assert second.endswith(" s of tones")
    assert sorted(os.listdir(made)) == WHOLE
    with wave.open(str(made / "tones.wav")) as track:
        assert track.getnframes() > 60 * track.getframerate()


@pytest.mark.parametrize("given", ["file", "input"])
def test_a_run_is_made_of_the_text_that_is_given(base: Path, project: Path, given: str) -> None:
    (project / "text.txt").write_bytes(b"One sentence. Another \xff one.\n")
    if given == "file":
        done = script("text.txt")
    else:
        done = script("-", text="One sentence. Another one.\n")
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "2 lines, 1 s of tones")
    assert sorted(os.listdir(*runs(base))) == WHOLE


def test_runs_are_made_in_the_project_wherever_one_stands_in_it(
    base: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "src" / "pipeline")
    assert run(project / "scripts" / "narrate.py").returncode == 0
    assert len(runs(base)) == 1


@each(
    ("arguments", "said"),
    [
        (["missing.txt"], "cannot read missing.txt: No such file or directory; give a text file"),
        (["two\nlines"], r"cannot read two\nlines: No such file or directory; give a text file"),
        (["."], "cannot read .: Is a directory; give a text file"),
        (["--bas=x"], "unrecognized arguments: --bas=x"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_makes_nothing(
    base: Path, arguments: list[str], said: str
) -> None:
    done = script(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"narrate.py: {said}\n")
    assert not base.exists()


def test_a_text_without_a_sentence_is_exit_code_2_and_its_run_stays(base: Path) -> None:
    done = script("-", text="\n")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "there is not one sentence in the text" in done.stderr
    assert len(runs(base)) == 1


def test_where_a_run_cannot_be_made_it_is_one_line_and_exit_code_1(base: Path) -> None:
    base.write_text("in the way")
    done = script()
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert str(base) in done.stderr


def test_a_stage_that_the_disk_refuses_is_one_line_and_exit_code_1(
    base: Path, project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "text.txt").write_text(TEXT)
    from pipeline import runs as stages

    monkeypatch.setattr(stages, "PLOT", "missing/research.svg")
    assert narrate(["text.txt"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("/missing/research.svg")
    assert "No such file or directory" in line


def test_settings_that_cannot_be_used_keep_no_run_from_being_made(
    base: Path, project: Path
) -> None:
    (project / "cleanup_config.json").write_text("{")
    done = script()
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "not valid JSON" in done.stderr
    assert sorted(os.listdir(*runs(base))) == WHOLE


def test_the_policy_keeps_the_newest_five(
    base: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "text.txt").write_text(TEXT)
    for _ in range(7):
        assert narrate(["text.txt"]) == 0
    assert len(runs(base)) == 5
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 6 runs cleaned"


# -- several at a time ----------------------------------------------------------------------------


def test_two_at_a_time_each_make_a_whole_run_of_their_own(base: Path) -> None:
    with narrators(2) as (one, other):
        assert one.run != other.run
        assert [one.finish(), other.finish()] == [0, 0]
    assert runs(base) == sorted([one.run, other.run])
    assert [sorted(os.listdir(path)) for path in runs(base)] == [WHOLE, WHOLE]


def test_the_run_of_a_killed_process_goes_with_the_next_clean_and_the_live_ones_stays(
    base: Path,
) -> None:
    with narrators(2) as (alive, killed):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        done = run("-m", "invoke", "temp-clean", "--max-age-hours", "0")
        assert done.returncode == 0, done.stderr
        assert f"deleted {killed.run.name}" in done.stdout
        assert f"kept {alive.run.name}: in use: pid {alive.pid}" in done.stdout
        assert runs(base) == [alive.run]
        assert alive.finish() == 0
    assert sorted(os.listdir(alive.run)) == WHOLE


def test_a_clean_from_python_takes_the_killed_ones_as_well_and_no_live_or_last_good_one(
    base: Path,
) -> None:
    with narrators(3) as (alive, killed, ended):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert ended.finish() == 0
        done = ArtifactCleaner(base, CleanupConfig(max_runs_to_keep=0)).cleanup()
        assert (done["directories_archived"], done["errors"]) == (1, [])
        assert runs(base) == sorted([alive.run, ended.run])


def test_one_that_ends_cleans_no_run_that_goes_on_however_many_are_newer(base: Path) -> None:
    with narrators(2) as (early, late):
        for _ in range(5):
            script("-", text=TEXT)
        assert late.finish() == 0
        assert early.run in runs(base)
        assert early.finish() == 0
    assert early.run.is_dir()


def test_the_status_lists_the_runs_and_who_makes_them(base: Path) -> None:
    script("-", text=TEXT)
    with narrators(1) as (alive,):
        done = run("-m", "invoke", "temp-status", "--category", "pipeline")
        lines = [line for line in done.stdout.splitlines() if line.startswith("pipeline ")]
    assert len([line for line in lines if "keep: within limits" in line]) == 1
    assert len([line for line in lines if f"keep: in use: pid {alive.pid}" in line]) == 1


def test_a_bare_clean_follows_the_policy_and_takes_nothing_else_beside_the_runs(
    base: Path,
) -> None:
    script("-", text=TEXT)
    (base / "notes.txt").write_text("mine")
    (base / "results").mkdir()
    done = run("-m", "invoke", "temp-clean")
    assert done.returncode == 0, done.stderr
    assert len(runs(base)) == 1
    assert run("-m", "invoke", "temp-clean", "--everything").returncode == 0
    assert sorted(os.listdir(base)) == [".tempkeep", "notes.txt", "results"]


# -- tasks ----------------------------------------------------------------------------------------


def test_the_tasks_are_the_shared_ones_and_those_of_the_project() -> None:
    listed = run("-m", "invoke", "--list").stdout.splitlines()
    names = {line.split()[0] for line in listed if line[:2] == "  " and line[2:3].strip()}
    assert names >= OWN | SHARED


def test_the_task_makes_a_run_and_ends_with_its_exit_code(base: Path) -> None:
    assert run("-m", "invoke", "narrate").returncode == 0
    assert len(runs(base)) == 1
    assert run("-m", "invoke", "narrate", "--text=missing.txt").returncode == 2


@pytest.mark.slow  # CI runs `inv demo` itself
def test_the_demo_ends_well_and_leaves_no_run(base: Path) -> None:
    done = run("-m", "invoke", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert runs(base) == []
