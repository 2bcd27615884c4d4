"""What a run says about a tree: findings with their edits, problems, and what became of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

Fix: TypeAlias = Literal["safe", "unsafe", ""]
Status: TypeAlias = Literal["left", "convertible", "converted"]


class Edit(NamedTuple):
    """Bytes in place of those from `start` to `end`; at one place, in the order given."""

    start: int
    end: int
    text: bytes


class Import(NamedTuple):
    """`from <module> import <name>`, wanted at the position of a site; `alias` is another name.

    `beside` is the position of the import that it stands beside, where that is in a function.
    `unused` says that importing it is all that is wanted.
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
        """What stands after `import`."""
        return f"{self.name} as {self.alias}" if self.alias else self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in one file: what is wrong with it, what to do, and how it can be rewritten.

    Lines and columns count from 1. `fix` says of which kind the rewrite is, "" that there is none;
    `site` is what several rules may propose to rewrite, of which one does; `moves` says that the
    edits move all that is between them.
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
        """The same site, with a way to rewrite it."""
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
        """The same site, which stays as it is, and why."""
        return replace(self, message=message, advice=advice, fix="", edits=(), imports=())


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file; `after` is its new content, `None` where it stays as it is.

    `problem` says why it could not be dealt with; `skipped` why it was not to be.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    before: bytes = b""
    after: bytes | None = None
    problem: str = ""
    skipped: str = ""

    def of(self, *statuses: Status) -> Sequence[Finding]:
        """The findings with one of `statuses`."""
        return [finding for finding in self.findings if finding.status in statuses]
