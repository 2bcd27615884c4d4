"""The errors; each message says what, where and what to do."""

from __future__ import annotations

import errno


class ReplayError(Exception):
    """The base of all errors of this package."""


class BadInput(ReplayError):
    """An upload cannot be used: it is of another kind, damaged, or out of range."""


class Refusal(ReplayError):
    """A request is refused, with the HTTP `status` of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def raise_if_full(error: OSError) -> None:
    """Raise a `Refusal` if the disk is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise Refusal(507, "there is no room for the upload; try again later") from error
