"""How the project of a file formats code: its line length, and which modules are its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from .settings import ini, remembered, table, toml
from .source import Source

_WIDTHS: Final = (79, 88, 100, 120)
"""Common line lengths, of which one is chosen if the project sets none."""

_TABLES: Final = (
    ("ruff", "line-length"),
    ("black", "line-length"),
    ("isort", "line_length"),
    ("flake8", "max-line-length"),
    ("pycodestyle", "max_line_length"),
)


class Style:
    """The style of the file at `path` below `top`."""

    def __init__(self, top: str, path: str, source: Source) -> None:
        self._directory = os.path.dirname(os.path.join(top, path))
        self._top = top
        self._source = source

    @cached_property
    def width(self) -> int:
        """The maximum line length: as set by the project, else estimated from the file."""
        for directory in _ancestors(self._top, self._directory):
            if width := _set_width(directory):
                return width
        longest = max(map(len, self._source.text.splitlines()), default=0)
        return next((width for width in _WIDTHS if longest <= width), _WIDTHS[-1])

    def is_local(self, name: str) -> bool:
        """Whether a module or package of this name is beside the file, above it or in a `src`
        directory there, so that import sorters consider it the project's own.
        """
        return any(_has(directory, name) for directory in _ancestors(self._top, self._directory))


@remembered
def _set_width(directory: str) -> int:
    """The line length set in a directory's configuration files; 0 if there is none."""
    tools = table(toml(os.path.join(directory, "pyproject.toml")), "tool")
    for tool, key in _TABLES:
        said = table(tools, tool).get(key)
        if isinstance(said, int):
            return said
    for file in ("ruff.toml", ".ruff.toml"):
        said = toml(os.path.join(directory, file)).get("line-length")
        if isinstance(said, int):
            return said
    for file in (".flake8", "setup.cfg", "tox.ini"):
        for tool, key in _TABLES:
            written = ini(os.path.join(directory, file)).get(tool, key, fallback="")
            if written.isdigit():
                return int(written)
    return 0


@remembered
def _has(directory: str, name: str) -> bool:
    return any(
        os.path.isfile(os.path.join(place, f"{name}.py")) or holds_python(place, name)
        for place in (directory, os.path.join(directory, "src"))
    )


@remembered
def holds_python(directory: str, name: str) -> bool:
    """Whether `name` in `directory`, or one of its subdirectories, contains a Python file."""
    try:
        with os.scandir(os.path.join(directory, name)) as entries:
            return any(
                entry.name.endswith(".py")
                or (entry.is_dir() and any(one.endswith(".py") for one in os.listdir(entry.path)))
                for entry in entries
            )
    except OSError:
        return False


def _ancestors(top: str, directory: str) -> Iterator[str]:
    while True:
        yield directory
        if len(directory) <= len(top):
            return
        directory = os.path.dirname(directory)
