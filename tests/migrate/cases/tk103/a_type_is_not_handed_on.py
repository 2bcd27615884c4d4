from __future__ import annotations

import tempfile
from tempfile import TemporaryDirectory


def close(d: TemporaryDirectory[str] | None, *more: tempfile.TemporaryDirectory) -> None:
    kept: tempfile.TemporaryDirectory | None = d
    if isinstance(kept, TemporaryDirectory):
        kept.cleanup()


def opened(d) -> TemporaryDirectory[str]:
    return d
