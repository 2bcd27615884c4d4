"""Tasks that a host imports beside its own: their short flags, and how name clashes are resolved.

Invoke passes a flag that a task does not know to its own core, where `-d` is `--debug`: what looks
like a preview would clean. Of two tasks with the same name, invoke keeps the later. So a method of
its parser and one of its collections are replaced here, for shared tasks only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.parser.parser import ParseMachine
from invoke.tasks import Task

if TYPE_CHECKING:
    from inspect import Signature

LETTERS: Final = {
    "all-projects": "a",
    "category": "c",
    "dry-run": "d",
    "list": "l",
    "max-age-hours": "m",
    "reason": "r",
    "temp-age-hours": "t",
    "yes": "y",
}
"""The short flags; a letter means the same in every task that has it."""

_HELP: Final = "-h"


class SharedArgument(Argument):
    """An argument of a shared task."""

    def __init__(self, argument: Argument) -> None:
        self.__dict__.update(argument.__dict__)

    def __repr__(self) -> str:
        """Return the flag as invoke's own errors show it."""
        return "/".join(map(to_flag, self.names))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # At each start invoke's parser copies every argument of every task, attribute by attribute.
        # Only a list value is ever changed in place.
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        if isinstance(self._value, list):
            copied._value = [*self._value]
        return copied


class SharedTask(Task):  # type: ignore[type-arg] # cannot be subscripted when it runs
    """A task with the short flags of `LETTERS`; it accepts no others except `-h`."""

    _argspec: tuple[Callable[..., Any], Signature] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "auto_shortflags": False})

    def argspec(self, body: Callable[..., Any]) -> Signature:
        """The signature of `body` without the context; cached, since invoke asks for it twice."""
        if self._argspec is None or self._argspec[0] is not body:
            self._argspec = body, super().argspec(body)
        return self._argspec[1]

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments for invoke's parser."""
        found: list[Argument] = []
        for argument in super().get_arguments(ignore_unknown_help):
            shared = SharedArgument(argument)
            shared.names += tuple(filter(None, [LETTERS.get(argument.names[0])]))
            found.append(shared)
        return found


class Offered(list[str]):
    """The names for a star import, without those that the importing module has already bound.

    Only a star import gets them one by one, by index.
    """

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, int):
            return super().__getitem__(index)
        bound = sys._getframe(1).f_locals
        free = [one for one in self if one not in bound or isinstance(bound[one], SharedTask)]
        return free[index]


class UnknownFlag(ParseError, Exit):
    """A short flag that a shared task does not have. Invoke prints it and exits with 2."""

    def __init__(self, message: str) -> None:
        ParseError.__init__(self, message)
        Exit.__init__(self, code=2)


def _handle(machine: ParseMachine, token: str) -> None:
    """Do what invoke does, but reject a short flag that a shared task does not have."""
    context = machine.context
    if (
        len(token) == 2
        and token[0] == "-"
        and token[1] != "-"
        and token != _HELP
        and machine.current_state != "unknown"
        and token not in context.flags
        and not machine.waiting_for_flag_value
        and any(isinstance(one, SharedArgument) for one in context.args.values())
    ):
        raise UnknownFlag(
            f"error: {context.name} has no flag {token}; `--help {context.name}` lists its flags, "
            "and those of the program itself go before the task"
        )
    _handle_as_invoke(machine, token)


def _add_task(
    collection: Collection,
    task: Task[Any],
    name: str | None = None,
    aliases: Sequence[str] | None = None,
    default: bool | None = None,
) -> None:
    """Do what invoke does, but prefer a task that is not shared to a shared one of that name."""
    names = map(collection.transform, (name or task.name, *task.aliases, *(aliases or ())))
    others = [one for one in names if one in collection.tasks]
    if not isinstance(task, SharedTask):
        for one in others:
            if isinstance(collection.tasks[one], SharedTask):
                del collection.tasks[one]  # type: ignore[no-untyped-call]
    elif not all(isinstance(collection.tasks[one], SharedTask) for one in others):
        return
    _add_as_invoke(collection, task, name, aliases, default)  # type: ignore[arg-type]


_handle_as_invoke = ParseMachine.handle
_add_as_invoke = Collection.add_task
ParseMachine.handle = _handle  # type: ignore[method-assign,assignment]
Collection.add_task = _add_task  # type: ignore[method-assign,assignment]
