"""Finds the files that a dotted name in an import may mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

_TESTS: Final = frozenset({"test", "tests"})


def parts_of(path: str) -> list[str]:
    """The parts of a module's full path: for `src/a/b.py`, they are src, a, b."""
    parts = os.path.splitext(path)[0].split("/")
    return parts[:-1] if parts[-1] == "__init__" else parts


def stem(path: str) -> str:
    """The last part of a module's name."""
    return (parts_of(path) or [""])[-1]


def base_of(path: str, inner: list[str], level: int) -> str:
    """The path, without `.py`, that a relative import in the file at `path` refers to."""
    below = path.split("/")[:-1]
    above = below[: len(below) - (level - 1)] if level > 1 else below
    return "/".join([*above, *inner])


def is_module(importer: str, module: str, path: str) -> bool:
    """Whether `module`, imported by the file `importer`, may be the file at `path`."""
    level = len(module) - len(module.lstrip("."))
    if level:
        base = base_of(importer, [part for part in module[level:].split(".") if part], level)
        return path in (f"{base}.py", f"{base}/__init__.py" if base else "__init__.py")
    return bool(module) and may_mean(module, parts_of(path))


def runs(other: str, imports: Iterable[str], path: str) -> bool:
    """Whether the file `other`, with these imports, may run the code in `path`: it is a conftest
    above `path`, or imports it or something from its package.
    """
    above, _, name = other.rpartition("/")
    if name == "conftest.py" and path.startswith(f"{above}/" if above else ""):
        return True
    parts = parts_of(path)
    if _is_test(parts[-1:]):
        return False  # tests do not run at the same time
    if _TESTS & {*parts} and not _TESTS & {*parts_of(other)} and not _is_test(parts_of(other)[-1:]):
        return False  # code does not run its own tests
    return any(
        path.startswith(f"{above}/" if above else "")
        if module.startswith(".")
        else may_mean(module, parts) or module.partition(".")[0] in parts[:-1]
        for module in imports
    )


def _is_test(name: list[str]) -> bool:
    return any(one.startswith("test_") or one.endswith("_test") for one in name)


def files_of(path: str, module: str) -> Iterator[str]:
    """The files that `module` may be when the file at `path` imports it, the nearest first."""
    level = len(module) - len(module.lstrip("."))
    inner = [part for part in module[level:].split(".") if part]
    if level:
        bases = [base_of(path, inner, level)]
    else:
        above = path.split("/")[:-1]
        places = [above[:end] for end in range(len(above), -1, -1)]
        bases = ["/".join([*place, *more, *inner]) for place in places for more in ([], ["src"])]
    for base in bases:
        yield from (f"{base}.py", f"{base}/__init__.py")


def is_near(path: str, other: str, length: int) -> bool:
    """Whether `other` can be imported from a directory above `path`, or from its `src`."""
    base = parts_of(other)[:-length]
    own = path.split("/")[:-1]
    if base[-1:] == ["src"]:
        base = base[:-1]
    return own[: len(base)] == base


def may_mean(module: str, parts: list[str]) -> bool:
    """Whether `module`, as written in an import, may be the file with these parts."""
    said = [part for part in module.split(".") if part]
    if module == "?" or not said:
        return True
    return parts[-len(said) :] == said
