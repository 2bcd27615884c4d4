"""The results of a run: findings with their edits, problems, and the outcome for each file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

Fix: TypeAlias = Literal["safe", "unsafe", ""]
Status: TypeAlias = Literal["left", "convertible", "converted"]


class Edit(NamedTuple):
    """Replaces the bytes from `start` to `end`; edits at one position apply in the order given."""

    start: int
    end: int
    text: bytes


class Import(NamedTuple):
    """`from <module> import <name>`, needed at the position of a site; `alias` is the `as` name.

    `beside` is the position of an import in a function to put this one beside. `unused` means that
    it is imported only to be exported.
    """

    module: str
    name: str
    site: int
    beside: int | None = None
    alias: str = ""
    unused: bool = False

    @property
    def bound(self) -> str:
        """The name that it binds."""
        return self.alias or self.name

    @property
    def spelled(self) -> str:
        """How it is written after `import`."""
        return f"{self.name} as {self.alias}" if self.alias else self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in one file: what is wrong with it, what to do, and how it can be rewritten.

    Lines and columns count from 1. `fix` is the kind of rewrite, "" for none. If several rules
    report the same `site`, only one rewrites it. `moves` means that the edits move everything
    between them.
    """

    code: str
    line: int
    column: int
    last_line: int
    message: str
    advice: str = ""
    fix: Fix = ""
    site: int = -1
    edits: tuple[Edit, ...] = ()
    imports: tuple[Import, ...] = ()
    moves: bool = False
    status: Status = "left"

    def fixed(
        self,
        fix: Fix,
        edits: Sequence[Edit],
        imports: Sequence[Import] = (),
        message: str = "",
        advice: str = "",
        *,
        moves: bool = False,
    ) -> Finding:
        """The same finding, with a rewrite."""
        return replace(
            self,
            moves=moves,
            fix=fix,
            edits=tuple(edits),
            imports=tuple(imports),
            message=message or self.message,
            advice=advice or self.advice,
        )

    def left(self, message: str, advice: str = "") -> Finding:
        """The same finding without a rewrite, and why."""
        return replace(self, message=message, advice=advice, fix="", edits=(), imports=())


class Need(NamedTuple):
    """The project that has to declare the package before its file may use it.

    `always` means that the file is not only for tests and tools.
    """

    project: str
    always: bool


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result for one file; `after` is its new content, `None` if it does not change.

    `findings` have their lines in the old content; `remaining` are those that are left, with their
    lines in the new content. `problem` is why the file could not be processed; `skipped`, why it
    was left out on purpose. `needs` must be met before the file is written.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    before: bytes = b""
    after: bytes | None = None
    problem: str = ""
    skipped: str = ""
    remaining: tuple[Finding, ...] = ()
    needs: Need | None = None

    def of(self, *statuses: Status) -> Sequence[Finding]:
        """The findings with one of `statuses`."""
        return [finding for finding in self.findings if finding.status in statuses]
