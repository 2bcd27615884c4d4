"""The program `tempkeep`: the same tasks, where there is no `tasks.py`."""

from __future__ import annotations

from invoke.program import Program

from . import __version__
from .tasks import ns

program = Program(
    version=__version__, namespace=ns, name="tempkeep", binary="tempkeep", binary_names=["tempkeep"]
)


def main() -> None:
    """Run the program with the arguments of the command line, and exit."""
    program.run()


if __name__ == "__main__":
    main()
