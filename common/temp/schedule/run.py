"""The command that a schedule runs: `temp-clean --scheduled`, one run at a time, one line each."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..commands.carrying import OneLine
from ..commands.clean import clean
from ..commands.clean_arguments import CleanArguments
from ..core.scheduled import ANOTHER
from ..errors import InvalidSettings, Refused, TempError, reason_of
from ..report.json import clean_project, document
from ..report.text import instant, plain
from ..store.project.place import reported_host, standing_project
from ..store.project.project import absolute, root_of
from ..store.settings.loading import load
from ..store.settings.settings import Settings
from .log import Turn, turn
from .notify import Key, notify
from .textfile import write_metrics


def check_limits(settings: Settings) -> None:
    """Raise `InvalidSettings` if no limit is configured."""
    if not settings.policy.has_limit:
        raise InvalidSettings(
            f"{settings.project}: no limit is configured, so a scheduled clean would remove "
            "everything; give --strategy, or set strategy, max_age, high_water or another "
            "limit in [tool.tempkeep]"
        )


def run(arguments: CleanArguments, *, by_schedule: bool = True) -> int:
    """Clean the project in the working directory. Returns the exit code.

    Writes one line to stdout and to the log of the root, and runs the command `on_failure` or
    `on_success`. If another run is active, logs that and does nothing else. Errors also go to
    stderr. `by_schedule` is whether this user scheduled the clean.
    """
    said = arguments._replace(scheduled=False, yes=False, strategy=None)
    if said != CleanArguments():
        raise InvalidSettings("--scheduled accepts only --strategy; leave out the other flags")
    began = instant(time.time())
    project = _own_project()
    sink = OneLine()
    with _turn(root_of(project), began) as own:
        reporter = _Reporter(project, own, by_schedule)
        if own.killed:
            reporter.say_killed()
        try:
            code, what = _clean(arguments, project, sink) if own.is_mine else (0, ANOTHER)
        except KeyboardInterrupt:
            reporter.log(f"{began} exit 130: interrupted; the next clean continues")
            raise
        except OSError as error:
            reporter.say(1, f"{began} exit 1: error: {reason_of(error)}", sink)
            reporter.measure()
            raise
        line = plain(f"{began} exit {code}: {what}")
        if own.is_mine:
            reporter.say(code, line, sink)
            reporter.measure()
        else:
            reporter.log(line)
        print(line)  # last: stdout may be closed
    return code


def failed() -> None:
    """Report that the last scheduled clean here was killed, unless it reported its own end.

    systemd runs this when the service failed (`OnFailure=`).
    """
    try:
        project = _own_project()
        with _turn(root_of(project), "") as own:
            if own.killed:
                reporter = _Reporter(project, own, True)
                reporter.say_killed()
                reporter.measure()
    except TempError as error:
        print(f"error: {plain(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def _own_project() -> Path:
    """The project in the working directory. Raises `Refused`."""
    project = standing_project()
    if project != absolute(None):
        # It was a project when the clean was scheduled. Nobody scheduled a clean of the project
        # around it.
        raise Refused(
            f"{absolute(None)} is not a project, and a scheduled clean ignores projects above it; "
            "remove its schedule"
        )
    return project


class _Reporter(NamedTuple):
    """Reports how a run ended: in the log, and to `on_failure` or `on_success`."""

    project: Path
    own: Turn
    by_schedule: bool

    def log(self, line: str) -> None:
        """Add `line` to the log."""
        try:
            self.own.add(line)
        except OSError as error:
            path = plain(str(self.own.path))
            print(f"problem: cannot write {path}: {reason_of(error)}", file=sys.stderr)

    def say(self, code: int | None, line: str, sink: OneLine) -> None:
        """Log `line`, and run the command for the exit code; `None` if the run was killed."""

        def report() -> str:
            projects = [clean_project(*root) for root in sink.roots]
            facts = {"host": reported_host(), "project": str(self.project), "exit_code": code}
            return document("scheduled", time.time(), projects, **facts, line=line)

        self.log(line)
        key: Key = "on_failure" if code != 0 else "on_success"
        self._complain(notify(self.project, key, report, by_schedule=self.by_schedule))

    def measure(self) -> None:
        """Write the metrics, after the log has the end of the run."""
        self._complain(write_metrics(self.project, by_schedule=self.by_schedule))

    def _complain(self, problem: str) -> None:
        if problem:
            self.log(f"{instant(time.time())} {plain(problem)}")
            print(f"problem: {plain(problem)}", file=sys.stderr)

    def say_killed(self) -> None:
        """Report that the run before was killed."""
        line = f"{self.own.killed} killed: this clean did not end; the next one continues"
        self.say(None, line, OneLine())


def _clean(arguments: CleanArguments, project: Path, sink: OneLine) -> tuple[int, str]:
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
def _turn(root: Path, began: str) -> Iterator[Turn]:
    """The turn in `root`.

    Without a log, for example on a full disk, the run cleans anyway. Two runs at once are harmless:
    they share the work.
    """
    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(turn(root, began))
        except Refused:
            own = Turn(root, None, True)  # the clean reports why
        except TempError as error:
            print(f"problem: no log: {plain(str(error))}", file=sys.stderr)
            own = Turn(root, None, True)
        yield own
