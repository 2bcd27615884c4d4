"""The program `tempkeep`: the same tasks, where there is no `tasks.py`, and `vendor`."""

from __future__ import annotations

import gc

from . import __version__, needs

try:
    from invoke.collection import Collection
    from invoke.context import Context
    from invoke.program import Program
    from invoke.tasks import task
except ModuleNotFoundError as error:
    needs.exit_without(error)
    raise

from .ending import run_command
from .invoke_arguments import WithNames
from .tasks import ns


@task(
    klass=WithNames,
    help={"directory": "Copy to `temp` in it, or to itself if it is named temp or tempkeep."},
)
def vendor(c: Context, directory: str) -> None:
    """Copy this package into one of yours, or update the copy there.

    Prints what the copy needs. Exits with 3 if the copy was changed, or if something else is there.
    """

    def run() -> int:
        from .vendor import vendor

        return vendor(directory, dry_run=bool(c.config.run.dry))

    run_command(run)


program = Program(
    version=__version__,
    namespace=Collection(*ns.tasks.values(), vendor),
    name="tempkeep",
    binary="tempkeep",
    binary_names=["tempkeep"],
)


def main() -> None:
    """Run the program with the arguments of the command line, and exit."""
    # Everything loaded so far is needed until the process ends. Collecting it at exit would take a
    # sixth of the time of a short command.
    gc.freeze()
    program.run()


if __name__ == "__main__":
    main()
