"""The program `tempkeep`: the same tasks, where there is no `tasks.py`, and `vendor`."""

from __future__ import annotations

from . import __version__, needs

try:
    from invoke.collection import Collection
    from invoke.program import Program
except ModuleNotFoundError as error:
    needs.exit_without(error)
    raise

from .tasks import ns, vendor

program = Program(
    version=__version__,
    namespace=Collection(*ns.tasks.values(), vendor),
    name="tempkeep",
    binary="tempkeep",
    binary_names=["tempkeep"],
)


def main() -> None:
    """Run the program with the arguments of the command line, and exit."""
    program.run()


if __name__ == "__main__":
    main()
