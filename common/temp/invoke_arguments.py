"""Arguments that invoke lacks: names beside `--help`, and any number of paths.

Invoke gives each word that is not a flag of the task to the first positional argument whose value
is `None`, and fails if one is `None` at the end. So these arguments read their values from
`sys.argv`. Flags of invoke itself go before the task or after its names and paths. A program that
parses other words than those of `sys.argv` gives paths by `--paths`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Self

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.tasks import Task

from .core.named_tuple import NamedTuple
from .shared_task import SharedArgument, SharedTask


class _Words(NamedTuple):
    """The words after a task's name on the command line."""

    free: list[str]
    """Those that stand alone: flags, names and paths."""
    values: frozenset[str]
    """Those that a flag of the task takes."""

    @property
    def helps(self) -> bool:
        """Whether they ask for help."""
        return any(word in ("--help", "-h") for word in self.free)

    def check(self, text: str) -> str:
        """`text` as a name or path. Raises `ParseError` for a flag that invoke does not know."""
        if text.startswith("-") and text not in self.values:
            raise ParseError(f"No idea what {text!r} is!")
        return text


def _words_of(task: Task[Any], arguments: Sequence[Argument]) -> _Words:
    words = sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    names = [word.rpartition(".")[2].replace("-", "_") for word in words]
    first = names.index(task.name) + 1 if task.name in names else len(words)
    valued = {to_flag(name) for one in arguments if one.takes_value for name in one.names}
    free: list[str] = []
    values: list[str] = []
    flag = ""
    for word in words[first:]:
        (values if flag in valued else free).append(word)
        flag = "" if flag in valued else word
        values += [word.partition("=")[2]] if word.startswith("--") else []
    return _Words(free, frozenset(values))


class _Name(SharedArgument):
    """A positional argument that takes no flag for its value, and is optional beside `--help`."""

    def __init__(self, argument: Argument, words: _Words, listing: Argument | None) -> None:
        super().__init__(argument)
        self._words = words
        self._listing = listing

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = super().__deepcopy__(memo)
        copied._listing = deepcopy(self._listing, memo)  # the one whose value is set
        return copied

    @property
    def value(self) -> Any:
        if self._value is None and (self._words.helps or (self._listing and self._listing.value)):
            return ""
        return self._value

    @value.setter
    def value(self, text: str) -> None:
        self.set_value(self._words.check(text), cast=True)


class WithNames(SharedTask):
    """A task that takes a name or more, and flags before and after them.

    With `--help`, or with a flag `--list` of its own, it needs no name.
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments for invoke's parser."""
        found = super().get_arguments(ignore_unknown_help)
        listing = next((argument for argument in found if argument.name == "list"), None)
        words = _words_of(self, found)
        return [_Name(one, words, listing) if one.positional else one for one in found]


class _Paths(Argument):
    """Any number of paths after the task's name; invoke takes one word for each argument."""

    def __init__(self, argument: Argument, words: _Words) -> None:
        super().__init__(names=argument.names, kind=list, help=argument.help, positional=True)
        self._paths: list[str] = []
        self._words = words
        given = (not word.startswith("-") or word.startswith("--paths") for word in words.free)
        self._expected = 0 if words.helps else sum(given)

    @property
    def value(self) -> object:
        return None if len(self._paths) < self._expected else self._paths

    @value.setter
    def value(self, text: str) -> None:
        self.raw_value = self._words.check(text)
        self._paths = [*self._paths, text]


class WithPaths(SharedTask):
    """A task whose argument `paths` takes what follows it: `inv temp-migrate src tests`."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments for invoke's parser."""
        found = super().get_arguments(ignore_unknown_help)
        words = _words_of(self, found)
        return [_Paths(one, words) if one.name == "paths" else one for one in found]
