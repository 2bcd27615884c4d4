"""What can go wrong; each text says what, where and what to do."""

from __future__ import annotations

import errno


class ReplayError(Exception):
    """Nothing can be done as asked."""


class BadInput(ReplayError):
    """An upload that cannot be used: of another kind, damaged, or out of range."""


class Refusal(ReplayError):
    """A request that is not fulfilled, with the HTTP `status` to say so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def raise_if_full(error: OSError) -> None:
    """Raise the `Refusal` that says so if there is no room on the disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise Refusal(507, "there is no room for the upload; try again later") from error
