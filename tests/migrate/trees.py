"""Trees of files for the tests of `migrate`, under git or not."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from common.temp.migrate.engine import examine
from common.temp.migrate.files import find_grounds
from common.temp.migrate.findings import FileResult
from common.temp.migrate.rework import Options

SITE = "import tempfile\n\nwith tempfile.TemporaryDirectory() as d:\n    print(d)\n"
"""A module that TK004 rewrites."""

DONE = (
    'from common.temp import temp_working_dir\n\nwith temp_working_dir("{}") as d:\n    print(d)\n'
)
"""What it becomes, with the name of its directory."""

LEFT = "import tempfile\n\nWORK = tempfile.mkdtemp()\n"
"""A module with a finding that nothing rewrites."""


def write(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """`top` with these files in it."""
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return top


def git(top: Path, *arguments: str) -> str:
    """What git says in `top`; settings of this user's are left out."""
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments],
        cwd=top,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def committed(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """`top` as a git work tree in which these files are committed."""
    write(top, files)
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", "x")
    return top


def examined(top: Path, *, workers: int = 1, unsafe: bool = False) -> list[FileResult]:
    """What a run over `top` finds."""
    (ground,) = find_grounds([str(top)])
    return list(examine(ground, Options(unsafe), workers=workers))


def changed(top: Path) -> list[str]:
    """The paths of the files that a run over `top` would rewrite."""
    return [result.path for result in examined(top) if result.after is not None]
