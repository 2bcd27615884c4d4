"""Virtual environments, and the directories that a process's environment variables name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import AnyStr, Final

from ...core.named_tuple import NamedTuple

MARKS: Final = ("pyvenv.cfg", os.path.join("conda-meta", "history"))
"""Files written by `venv` and similar tools, and by conda, mamba and pixi."""

_ACTIVE: Final = (b"VIRTUAL_ENV", b"CONDA_PREFIX")
_TEMPORARY: Final = (b"TMPDIR", b"TMP", b"TEMP")
_MODULES: Final = (
    *(b"PYTHONPATH", b"PYTHONHOME", b"NODE_PATH", b"CLASSPATH", b"PERL5LIB", b"RUBYLIB"),
    *(b"GEM_PATH", b"GEM_HOME", b"R_LIBS", b"R_LIBS_USER", b"JULIA_DEPOT_PATH", b"LD_LIBRARY_PATH"),
)
"""The variables for where interpreters find modules, and the loader libraries. A process may read
more files there later, and has none of them open in between."""

NAMES: Final = (*_ACTIVE, *_TEMPORARY, *_MODULES, b"PATH")
"""The variables whose values `told_by` takes, in this order."""

TEMPORARY: Final = slice(len(_ACTIVE), len(_ACTIVE) + len(_TEMPORARY))
"""The slice of these values that holds the directories for temporary files."""


def is_environment(directory: AnyStr) -> bool:
    """Whether `directory` is a virtual environment or a conda environment."""
    top = os.fsdecode(directory)
    return any(os.path.lexists(os.path.join(top, mark)) for mark in MARKS)


class Told(NamedTuple):
    """A place in the root that a process needs, a clause that says why, and whether the `whole`
    directory around it is needed too.
    """

    relative: bytes
    clause: str
    whole: bool


def told_by(
    values: tuple[bytes, ...],
    base: bytes,
    root: bytes,
    places_of: Callable[[bytes], Iterable[bytes]],
) -> Iterator[Told]:
    """Where a process that was started in `base` finds programs and makes temporary files: for a
    `python` found by PATH, neither the command line nor the executable shows the environment.

    `places_of` returns the places in `root` that a path leads to.
    """
    active, values = values[: len(_ACTIVE)], values[len(_ACTIVE) :]
    temporary, modules = values[: len(_TEMPORARY)], values[len(_TEMPORARY) : -1]
    programs = [os.path.join(base, part) for part in values[-1].split(b":") if part]
    prefixes = [os.path.join(part, b"..") for part in programs]
    prefixes += [os.path.join(base, one) for one in active if one]
    for relative in (place for one in dict.fromkeys(prefixes) for place in places_of(one)):
        if is_environment(os.path.join(root, relative)):
            yield Told(relative, "runs in a virtual environment in it", True)
    for relative in (place for one in programs for place in places_of(one)):
        yield Told(relative, "finds programs in it (PATH)", False)
    for name, value in zip(_MODULES, modules, strict=True):
        for part in filter(None, value.split(b":")):
            for relative in places_of(os.path.join(base, part)):
                yield Told(relative, f"finds modules in it ({name.decode()})", False)
    for relative in (
        place for one in temporary if one for place in places_of(os.path.join(base, one))
    ):
        yield Told(relative, "makes its temporary files in it (TMPDIR)", False)
