"""Scratch for one purpose: debug output, caches, working directories, tests."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ContextDecorator, ExitStack
from pathlib import Path
from typing import Any, TypeVar

from .core.layouts import TEST, check_label, check_name
from .errors import InvalidName, StorageError
from .manager import TempManager
from .store.root.allocation import allocate_private
from .store.root.base import auto_root
from .until import until_exit

Function = TypeVar("Function", bound=Callable[..., Any])

_TEST_NAMES = ("source", "target", "working", "output", "backup")
_TEST_LABEL_BYTES = 80


def get_debug_temp_dir(name_prefix: str = "debug", category: str = "debug") -> Path:
    """The absolute path of a new directory for debug output; it stays until a clean-up."""
    return TempManager.create_persistent_dir(name_prefix, category)


def get_cache_temp_dir(name_prefix: str = "cache", category: str = "cache") -> Path:
    """The absolute path of a new directory for a cache; it stays until a clean-up."""
    return TempManager.create_persistent_dir(name_prefix, category)


def temp_working_dir(name_prefix: str = "work") -> AbstractContextManager[Path]:
    """A context manager: a new directory in the system's temporary directory, gone on exit.

    Like `TempManager.auto_cleanup_dir`, in the category `work`. The working directory of the
    process does not change. Raises `InvalidName`, `Refused` or `StorageError` on entering.
    """
    root = str(auto_root(TempManager.AUTO_CLEANUP_BASE))
    return until_exit(root, lambda: allocate_private(root, "work", name_prefix))


class pytest_temp_dirs(ContextDecorator, AbstractContextManager[list[Path]]):  # noqa: N801 - called like a function
    """A context manager: empty sibling directories with exactly the given names, gone on exit.

    The first `num_dirs` of `names` or else of source, target, working, output, backup; after the
    last of them temp_<index>: temp_5, temp_6 …. Without `num_dirs`, as many as there are names, or
    two. They lie in an entry of the category `test` with the test's name, in the system's temporary
    directory like that of `TempManager.auto_cleanup_dir`. With `PYTEST_KEEP_TEMPS=1`, the entry is
    in the project's root and stays, and a line says where. Raises `InvalidName`, `Refused` or
    `StorageError` before anything is made.

    As a decorator it makes new directories for each call of the function, which does not get them;
    of a coroutine function or a generator, they last until it ends. As a context manager it is
    entered once at a time.

    This is a class because pytest takes any function called `pytest_…` in a conftest.py for a hook.
    """

    def __init__(self, num_dirs: int | None = None, names: Sequence[str] | None = None) -> None:
        self._names = sibling_names(num_dirs, names)
        self._until_exit: ExitStack | None = None

    def _recreate_cm(self) -> pytest_temp_dirs:
        return pytest_temp_dirs(None, self._names)

    def __call__(self, func: Function) -> Function:
        """`func`, with directories during each call."""
        import inspect  # most programs that make a directory decorate nothing

        call: Any
        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def call(*arguments: Any, **options: Any) -> Any:
                with self._recreate_cm():
                    return await func(*arguments, **options)
        elif inspect.isgeneratorfunction(func):

            @functools.wraps(func)
            def call(*arguments: Any, **options: Any) -> Any:
                with self._recreate_cm():
                    return (yield from func(*arguments, **options))
        else:
            call = super().__call__(func)
        decorated: Function = call
        return decorated

    def __enter__(self) -> list[Path]:
        if self._until_exit is not None:
            raise RuntimeError("these directories are in use; call pytest_temp_dirs for others")
        label = _test_label()
        with ExitStack() as stack:
            if os.environ.get("PYTEST_KEEP_TEMPS") == "1":
                entry = TempManager.create_persistent_dir(label, TEST)
                stack.callback(print, f"PYTEST_KEEP_TEMPS=1: {entry}")
            else:
                root = str(auto_root(TempManager.AUTO_CLEANUP_BASE))
                entry = stack.enter_context(
                    until_exit(root, lambda: allocate_private(root, TEST, label))
                )
            directories = [entry / name for name in self._names]
            for directory in directories:
                try:
                    directory.mkdir()
                except OSError as error:
                    raise StorageError.of(f"cannot make {directory}", error) from error
            self._until_exit = stack.pop_all()
        return directories

    def __exit__(self, *raised: object) -> None:
        until_exit, self._until_exit = self._until_exit, None
        if until_exit is not None:
            until_exit.close()


def sibling_names(num_dirs: int | None, names: Sequence[str] | None) -> list[str]:
    """The names of the directories that a test requests. Raises `InvalidName` or `TypeError`."""
    if num_dirs is not None and not isinstance(num_dirs, int):
        raise TypeError(f"num_dirs: expected how many directories, got {num_dirs!r}")
    if isinstance(names, str):
        raise TypeError(f"names: expected a list of names, got {names!r}")
    if names is None:
        given = list(_TEST_NAMES)
        count = 2 if num_dirs is None else num_dirs
    else:
        given = [check_name(name, "directory name") for name in names]
        count = len(given) if num_dirs is None else num_dirs
    for index, name in enumerate(given):
        if name in given[:index]:
            raise InvalidName(f"directory name {name!r} is given twice; siblings need their own")
    more = (f"temp_{index}" for index in itertools.count(len(given)))
    free = (name for name in more if name not in given)
    return [*given, *itertools.islice(free, max(0, count - len(given)))][: max(0, count)]


def _test_label() -> str:
    """The label for the running test, from the environment variable that pytest sets."""
    running = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].partition(" ")[0]
    return label_of(running)


def label_of(test: str) -> str:
    """The label for the entry of a test: the letters and digits of its name, cut to 80 bytes."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in test).strip("_")
    cut = plain.encode()[:_TEST_LABEL_BYTES].decode(errors="ignore")
    try:
        return check_label(cut)
    except InvalidName:  # nothing is left, or the name of a Windows device
        return TEST
