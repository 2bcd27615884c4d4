"""What a schedule runs: `temp-clean --scheduled`, one line for each run, one run at a time."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..commands.carrying import OneLine
from ..commands.clean import clean
from ..commands.clean_arguments import CleanArguments
from ..errors import InvalidSettings, Refused, TempError, reason_of
from ..report.text import instant, plain
from ..store.project.place import standing_project
from ..store.project.project import absolute, root_of
from ..store.root.loading import load
from ..store.root.settings import Settings
from .log import Turn, turn


def check_limits(settings: Settings) -> None:
    """Raise `InvalidSettings` if no limit is configured."""
    if not settings.policy.has_limit:
        raise InvalidSettings(
            f"{settings.project}: no limit is configured, so a scheduled clean would take "
            "everything; give --strategy, or set strategy, max_age, high_water or another "
            "limit in [tool.tempkeep]"
        )


def run(arguments: CleanArguments) -> int:
    """Clean the project whose directory is the working directory; the exit code.

    The result is one line on stdout and in the log of the root. If another run is active, it exits
    and logs that. Errors go to stderr as well.
    """
    said = arguments._replace(scheduled=False, yes=False, strategy=None)
    if said != CleanArguments():
        raise InvalidSettings("--scheduled takes only --strategy; leave out the rest")
    now = time.time()
    project = standing_project()
    if project != absolute(None):
        # It was a project when this was scheduled. Projects around it were never meant.
        raise Refused(
            f"{absolute(None)} is not a project, and a scheduled clean uses none above it; "
            "remove its schedule"
        )
    with _turn(root_of(project)) as own:
        try:
            code, what = _clean(arguments, project) if own.is_mine else (0, _OTHER)
        except KeyboardInterrupt:
            _log(own, f"{instant(now)} exit 130: interrupted; the next clean continues")
            raise
        except OSError as error:
            _log(own, f"{instant(now)} exit 1: error: {reason_of(error)}")
            raise
        line = plain(f"{instant(now)} exit {code}: {what}")
        _log(own, line)  # first: stdout may be closed
        print(line)
    return code


def _log(own: Turn, line: str) -> None:
    try:
        own.add(line)
    except OSError as error:
        print(f"problem: cannot write {plain(str(own.path))}: {reason_of(error)}", file=sys.stderr)


_OTHER = "another scheduled clean is active, so this one exits"


def _clean(arguments: CleanArguments, project: Path) -> tuple[int, str]:
    sink = OneLine()
    try:
        if arguments.strategy is None:
            check_limits(load(project))
        code = clean(arguments, sink)
    except TempError as error:
        what = plain(" ".join(str(error).split("\n")))
        print(f"error: {what}", file=sys.stderr)
        return error.exit_code, f"error: {what}"
    return code, "; ".join(sink.lines)


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[Turn]:
    """The turn at `root`.

    It cleans even if there can be no log, as on a full disk: two runs only share the work.
    """
    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(turn(root))
        except Refused:
            own = Turn(root, None, True)  # the clean reports why
        except TempError as error:
            print(f"problem: no log: {plain(str(error))}", file=sys.stderr)
            own = Turn(root, None, True)
        yield own
