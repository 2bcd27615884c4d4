"""Arguments of a kind that invoke has not: flags before a name, any number of paths."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from invoke.parser.argument import Argument
from invoke.tasks import Task


def _token() -> str | None:
    """What invoke is reading, if it asks an argument whether that is its value; else `None`.

    Invoke gives each token that is no flag of the task to the first argument that has no value: so
    `inv temp-pin --help` would pin an entry of that name. An argument says there what it needs to
    say. Should invoke be built otherwise one day, that is so again, and several paths need
    `--paths`, or end with invoke's own error.
    """
    caller: FrameType | None = sys._getframe(2)
    while caller is not None and caller.f_code.co_name in ("missing_positional_args", "<listcomp>"):
        caller = caller.f_back
    if caller is None or caller.f_code.co_name not in ("handle", "see_positional_arg"):
        return None
    known = caller.f_locals
    return str(known.get("token", known.get("value")))


class _Name(Argument):
    """An argument that takes no flag for its value; none is asked for beside `--help`."""

    def __init__(self, argument: Argument, listing: Argument | None) -> None:
        self.__dict__.update(argument.__dict__)
        self._listing = listing
        self._helps = False

    @property
    def value(self) -> Any:
        token = _token()
        if token is not None and token.startswith("-"):
            self._helps = self._helps or token in ("--help", "-h")
            return ""
        if self._value is None and (self._helps or (self._listing and self._listing.value)):
            return ""
        return self._value

    @value.setter
    def value(self, text: str) -> None:
        self.set_value(text, cast=True)


class WithNames(Task[Any]):
    """A task that takes a name or more, and flags before and after them.

    If it has a flag `--list`, no name is asked for beside that.
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments, as invoke wants them."""
        found = super().get_arguments(ignore_unknown_help)
        listing = next((argument for argument in found if argument.name == "list"), None)
        return [_Name(one, listing) if one.positional else one for one in found]


class _Paths(Argument):
    """Any number of paths after the task's name; invoke itself knows only one for each argument.

    So it has no value for as long as invoke asks from where it reads tokens.
    """

    @property
    def value(self) -> object:
        token = _token()
        return self._value if token is None or token.startswith("-") else None

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
