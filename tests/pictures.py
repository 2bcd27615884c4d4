"""The pictures of the docs: `python3 -m tests.pictures` regenerates them from a real run.

The output of the commands, in a terminal of fixed width, is written as SVG. A headless Chromium
takes screenshots of the page, light and dark.
"""

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.temp.report.table import _CODES, width
from tests.docs import DOCS
from tests.support import age, environment, make_project

COLUMNS: Final = 120
SHOWN: Final = (("temp-status",), ("temp-clean",))
SETTINGS: Final = """
[tool.tempkeep]
strategy = "moderate"

[tool.tempkeep.category.cache]
max_age_hours = 720
"""
ENTRIES: Final = (
    ("cache/thumbnails", 412, 9 * 24),
    ("cache/tiles", 1130, 45 * 24),
    ("debug/inspect", 38, 10 * 24),
    ("debug/inspect", 41, 3),
    ("debug/heatmap", 96, 13 * 24),
    ("test/source", 2, 30 * 24),
    ("work/resize", 730, 8 * 24),
)
"""Category and label, size in some unit, and hours since the last change."""

PINNED: Final = "debug/heatmap"
JOB: Final = """
import os
from common.temp import TempManager
path = TempManager.create_persistent_dir("render", "work")
with open(path / "frames.raw", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 260 * int(os.environ["UNIT"]))
print(path, flush=True)
input()
"""
_COLOURS: Final = {code: name for name, code in _CODES.items()}
_STYLE: Final = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
text { white-space: pre; fill: #1f2328 } rect { fill: #f6f8fa; stroke: #d1d9e0 }
.bold { font-weight: 600 } .green { fill: #1a7f37 } .red { fill: #cf222e }
.yellow { fill: #9a6700 } .cyan { fill: #0e7490 } .dim { fill: #59636e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } rect { fill: #0d1117; stroke: #3d444d }
.green { fill: #3fb950 } .red { fill: #ff7b72 }
.yellow { fill: #e3b341 } .cyan { fill: #56d4dd } .dim { fill: #9198a1 } }
"""


@contextmanager
def scene(unit: int) -> Iterator[Path]:
    """A project with entries of all kinds, one of which a process uses; thrown away at the end."""
    with tempfile.TemporaryDirectory(prefix="tempkeep-pictures-") as directory:
        project = make_project(Path(directory, "photos"), SETTINGS)
        now = int(time.time())
        for name, size, hours in ENTRIES:
            path = project / ".tmp" / f"{name}_{now - hours * 3600}"
            path.mkdir(parents=True)
            files = 1 + size // 40
            for number in range(files):
                with open(path / f"{number:03}.bin", "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size * unit // files)
            age(path, hours)
            if name == PINNED:
                pinned = path
        _invoke(project, "temp-pin", str(pinned), "--reason", "for issue 12")
        (project / "render.py").write_text(JOB)
        working = subprocess.Popen(
            ["python", "render.py"],
            executable=sys.executable,
            cwd=project,
            env=environment(UNIT=str(unit)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert working.stdout is not None
            working.stdout.readline()
            yield project
        finally:
            working.kill()
            working.communicate()


def _invoke(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "invoke", *arguments]
    subprocess.run(command, cwd=project, env=environment(), stdout=subprocess.DEVNULL, check=True)


def typed(project: Path, *arguments: str) -> list[str]:
    """The lines that `inv` prints in a terminal of `COLUMNS`, with its colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    kept = {name: text for name, text in environment().items() if name not in ("NO_COLOR", "CI")}
    running = subprocess.Popen(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=project,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    running.wait()
    lines = said.decode().replace("\r\n", "\n").split("\n")
    # What a progress line left: a carriage return, and blanks.
    return [re.sub(r"^.*\r(?:\x1b\[K)?", "", line) for line in lines]


def svg(lines: Sequence[str]) -> str:
    """A picture of `lines`, each letter in its column whatever the font is."""
    step, height = 7.8, 18
    rows = []
    for number, line in enumerate(lines):
        at, name, spans = 0, "", []
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b"):
                name = _COLOURS.get(part[2:-1], "")
            elif part.strip():
                text = part.rstrip()
                before = width(text) - width(text.lstrip())
                where = f'x="{12 + (at + before) * step:.1f}"'
                long = f'textLength="{width(text.lstrip()) * step:.1f}"'
                style = f' class="{name}"' if name else ""
                spans.append(f"<tspan {where} {long}{style}>{html.escape(text.lstrip())}</tspan>")
            at += 0 if part.startswith("\x1b") else width(part)
        if spans:
            rows.append(f'<text y="{26 + number * height}">{"".join(spans)}</text>')
    wide, tall = 24 + COLUMNS * step, 24 + len(lines) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {tall}" '
        f'width="{wide:.0f}" height="{tall}" role="img">\n<style>{_STYLE}</style>\n'
        f'<rect x=".5" y=".5" width="{wide - 1:.0f}" height="{tall - 1}" rx="8"/>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def photograph(page: Path, picture: Path, *, dark: bool) -> None:
    """Write a PNG of `page` as Chromium shows it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("error: no chromium; install it, it takes the picture of the page")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--window-size=1100,860", f"--user-data-dir={profile}",
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                f"--screenshot={picture}", page.as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )  # fmt: skip


def session(project: Path) -> list[str]:
    """The lines of a terminal in which the commands were typed, with their colours."""
    lines = []
    for arguments in SHOWN:
        lines += [f"\x1b[32m{project.name}$\x1b[0m inv {' '.join(arguments)}"]
        lines += typed(project, *arguments)
    return "\n".join(lines).replace(str(project.parent), "…").rstrip().split("\n")


def main() -> None:
    """Make all pictures."""
    DOCS.mkdir(exist_ok=True)
    with scene(1 << 20) as project:
        page = project / "report.html"
        _invoke(project, "temp-status", "--format", "html", "--output", str(page))
        (DOCS / "terminal.svg").write_text(svg(session(project)), encoding="utf-8")
        shown = page.read_text(encoding="utf-8").replace(str(project.parent), "…")
        page.write_text(shown, encoding="utf-8")
        for dark, name in ((False, "page.png"), (True, "page-dark.png")):
            photograph(page, DOCS / name, dark=dark)


if __name__ == "__main__":
    main()
