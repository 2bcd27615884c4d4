"""How the project of a file formats code: the width of its lines, and what it takes for its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from .settings import ini, remembered, table, toml
from .source import Source

_WIDTHS: Final = (79, 88, 100, 120)
"""The widths that a file may have been written for if its project sets none."""

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
        """The longest line that may be written: as the project sets it, else as the file has it."""
        for directory in _ancestors(self._top, self._directory):
            if width := _set_width(directory):
                return width
        longest = max(map(len, self._source.text.splitlines()), default=0)
        return next((width for width in _WIDTHS if longest <= width), _WIDTHS[-1])

    def is_local(self, name: str) -> bool:
        """Whether a module or package of this name lies beside the file, above it or in a `src`
        there, so that import sorters take it for the project's own.
        """
        return any(_has(directory, name) for directory in _ancestors(self._top, self._directory))


@remembered
def _set_width(directory: str) -> int:
    """The line length that the settings in a directory ask for; 0 if none does."""
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
    """Whether a Python file lies in the directory `name` of `directory`, or in one in it."""
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
