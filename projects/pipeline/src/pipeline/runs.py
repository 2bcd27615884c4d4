"""One run: its directory, and the three stages that fill it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from common.temp import TempManager
from common.temp.pipeline import pipeline_run

from .research import table, write_plot, write_table
from .script import write_script
from .tones import write_tones

SCRIPT, TONES, TABLE, PLOT = "script.jsonl", "tones.wav", "research.csv", "research.svg"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, with the number of lines of its script and the length of its track."""

    path: Path
    lines: int
    seconds: float


def default_base() -> Path:
    """The directory for runs of the project in the working directory: `artifacts`."""
    return TempManager.get_project_temp_base().parent / "artifacts"


def make_run(text: Iterable[str], base: Path, on_start: Callable[[Path], None]) -> Run:
    """Make a new run from `text` in `base`. Calls `on_start` with its path before reading the text.

    A run that fails stays as it is, so that the cause can be found, until the policy removes it.
    Raises `PipelineError` for a text without a sentence, and `TempError` or `OSError` from the
    disk.
    """
    with pipeline_run(base) as path:
        on_start(path)
        lines = write_script(text, path / SCRIPT)
        cues = write_tones(lines, path / TONES)
        rows = table(lines, cues)
        write_table(rows, path / TABLE)
        write_plot(rows, path / PLOT)
    return Run(path, len(lines), cues[-1].end)
