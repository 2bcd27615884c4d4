"""Arguments of a kind that invoke has not: a name that need not be there, any number of paths."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task


class NameOrList(Task[Any]):
    """A task whose name is not asked for where `--list` is given."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments, as invoke wants them."""
        arguments = super().get_arguments(ignore_unknown_help)
        (listing,) = (argument for argument in arguments if argument.name == "list")
        for index, argument in enumerate(arguments):
            if argument.name == "name":
                arguments[index] = _Name(argument, listing)
        return arguments


class _Name(Argument):
    def __init__(self, argument: Argument, listing: Argument) -> None:
        self.__dict__.update(argument.__dict__)
        self._listing = listing

    @property
    def value(self) -> Any:
        return "" if self._value is None and self._listing.value else self._value

    @value.setter
    def value(self, text: str) -> None:
        self.set_value(text, cast=True)


class _Paths(Argument):
    """Any number of paths after the task's name; invoke itself knows only one for each argument.

    While invoke reads tokens it gives those that it does not know to an argument without a value,
    so this one has none as long as invoke asks from there. Should invoke be built otherwise one
    day, `--paths` still works, and a bare path ends with invoke's own error.
    """

    @property
    def value(self) -> object:
        caller: FrameType | None = sys._getframe(1)
        while caller is not None and caller.f_code.co_name in (
            "missing_positional_args",
            "<listcomp>",
        ):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_name in ("handle", "see_positional_arg"):
            return None
        return self._value

    @value.setter
    def value(self, arg: str) -> None:
        self.raw_value = arg
        self._value = [*(self._value or ()), arg]


class WithPaths(Task):  # type: ignore[type-arg] # cannot be subscripted when it runs
    """A task whose argument `paths` takes what follows it: `inv temp-migrate src tests`."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments, as invoke wants them."""
        found: list[Argument] = super().get_arguments(ignore_unknown_help)
        for index, argument in enumerate(found):
            if argument.name == "paths":
                names = argument.names
                found[index] = _Paths(names=names, kind=list, help=argument.help, positional=True)
        return found
