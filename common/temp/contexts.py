"""Scratch for one purpose: debug output, caches, working directories, tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .core.layout import TEST, check_label, check_name
from .errors import InvalidName, StorageError
from .store.allocation import allocate, project_root

if TYPE_CHECKING:
    import logging

_TEST_NAMES = ("source", "target", "working", "output", "backup")
_TEST_LABEL_BYTES = 80


def get_debug_temp_dir(name_prefix: str = "debug", category: str = "debug") -> Path:
    """The absolute path of a new directory for debug output; it stays until a clean-up."""
    return Path(allocate(project_root(), category, name_prefix))


def get_cache_temp_dir(name_prefix: str = "cache", category: str = "cache") -> Path:
    """The absolute path of a new directory for a cache; it stays until a clean-up."""
    return Path(allocate(project_root(), category, name_prefix))


def temp_working_dir(name_prefix: str = "work") -> AbstractContextManager[Path]:
    """A context manager: a new directory in the project's root under `work`, gone on exit.

    The working directory of the process stays what it is. Raises `InvalidName`, `Refused` or
    `StorageError` on entering.
    """
    root = project_root()
    return until_exit(root, lambda: allocate(root, "work", name_prefix))


class pytest_temp_dirs(AbstractContextManager[list[Path]]):  # noqa: N801 - called like a function
    """A context manager: empty sibling directories with exactly the given names, gone on exit.

    Without `names`, `num_dirs` of source, target, working, output, backup, temp_5, temp_6 …; with
    them, `num_dirs` is not looked at. They are in an entry under `test` that bears the test's name.
    With `PYTEST_KEEP_TEMPS=1` they stay, and a line says where. Raises `InvalidName` or
    `StorageError` before anything is made.

    A class, since pytest takes any function called `pytest_…` in a conftest.py for a hook.
    """

    def __init__(self, num_dirs: int = 2, names: Sequence[str] | None = None) -> None:
        self._names = sibling_names(num_dirs, names)
        self._until_exit = ExitStack()

    def __enter__(self) -> list[Path]:
        root = project_root()
        with ExitStack() as stack:
            if os.environ.get("PYTEST_KEEP_TEMPS") == "1":
                entry = Path(_allocate_test(root))
                stack.callback(print, f"PYTEST_KEEP_TEMPS=1: {entry}")
            else:
                entry = stack.enter_context(until_exit(root, lambda: _allocate_test(root)))
            directories = [entry / name for name in self._names]
            for directory in directories:
                try:
                    directory.mkdir()
                except OSError as error:
                    raise StorageError.of(f"cannot make {directory}", error) from error
            self._until_exit = stack.pop_all()
        return directories

    def __exit__(self, *raised: object) -> None:
        self._until_exit.close()


def _allocate_test(root: str) -> str:
    return allocate(root, TEST, _test_label())


@contextmanager
def until_exit(root: str, make: Callable[[], str]) -> Iterator[Path]:
    """Yield the path that `make` made in `root`, and remove its entry when the block ends.

    What cannot be removed is logged as a warning and left to the next sweep: the error of a block
    is worth more than one of ours.
    """
    from .store.sweep import discard

    path = make()
    try:
        yield Path(path)
    finally:
        category, name = path[len(root) + 1 :].split("/")[:2]
        problem = discard(root, f"{category}/{name}")
        if problem:
            _log().warning("cannot remove %s: %s", path, problem)


def _log() -> logging.Logger:
    import logging  # which most programs that make a directory do without

    return logging.getLogger(__name__)


def sibling_names(num_dirs: int, names: Sequence[str] | None) -> list[str]:
    """The names of the directories that a test asks for. Raises `InvalidName`."""
    if names is None:
        defaults = _TEST_NAMES[: max(0, num_dirs)]
        return [*defaults, *(f"temp_{index}" for index in range(len(defaults), num_dirs))]
    wanted = [check_name(name, "directory name") for name in names]
    for index, name in enumerate(wanted):
        if name in wanted[:index]:
            raise InvalidName(f"directory name {name!r} is given twice; siblings need their own")
    return wanted


def _test_label() -> str:
    """The running test's name where pytest says it, as far as it can be part of a name."""
    running = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]
    return label_of(running)


def label_of(test: str) -> str:
    """The label for the entry of a test of that name: its letters and digits, cut to 80 bytes."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in test).strip("_")
    cut = plain.encode()[:_TEST_LABEL_BYTES].decode(errors="ignore")
    try:
        return check_label(cut)
    except InvalidName:  # nothing is left, or what Windows calls a device
        return TEST
