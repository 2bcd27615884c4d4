"""The packages that this one needs, and the message if one is missing."""

from __future__ import annotations

from typing import Final

NEEDS: Final = {
    "invoke": "invoke>=3,<4",
    "tabulate": "tabulate>=0.10",
    "send2trash": "send2trash>=2",
}
"""The modules, and what to install for them, as in the dependencies of the distribution."""

LEFT_OUT: Final = {"migrate": "temp-migrate", "vendor": "vendor"}
"""What a copy by `tempkeep vendor` leaves out, and the task that needs it."""


def missing(error: ModuleNotFoundError) -> str | None:
    """One line on what to install for the missing module; `None` if it is none of these."""
    package = __name__.rpartition(".")[0]
    name = error.name or ""
    task = LEFT_OUT.get(name.removeprefix(f"{package}."))
    if task is not None:
        return f"{task} is not part of a copy: install tempkeep, and run `tempkeep {task}`"
    name = name.partition(".")[0]
    wanted = NEEDS.get(name)
    return wanted and f'{package} needs {name}: python3 -m pip install "{wanted}"'


def exit_without(error: ModuleNotFoundError) -> None:
    """Exit with 2 and that line, if there is one."""
    said = missing(error)
    if said is not None:
        import sys

        print(f"error: {said}", file=sys.stderr)
        raise SystemExit(2) from None
