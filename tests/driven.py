"""Drives both managers of tracked files with the same plain calls."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path
from typing import Any

from common.temp.store.root.current_owners import own
from common.temp.store.root.owner_kinds import OWN
from tests.support import age


class Driven:
    """A manager of either kind; what is awaited runs in a loop of its own each time."""

    def __init__(self, kind: Any, base: Path, *arguments: Any, **options: Any) -> None:
        self.manager = kind(base, *arguments, **options)
        self.base = base

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.manager, name)

        def call(*arguments: Any, **options: Any) -> Any:
            returned = method(*arguments, **options)
            return asyncio.run(returned) if inspect.iscoroutine(returned) else returned

        return call

    def file(self, name: str, *, hours: float = 0.0, tracked: bool = True) -> Path:
        """A file of 100 bytes below the base, last changed that long ago."""
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if tracked:
            self.track_file(path)
        path.write_text("x" * 100)
        age(path, hours)
        return path

    @property
    def tracked(self) -> int:
        """How many files are tracked."""
        found: int = self.get_stats()["tracked_files"]
        return found

    @property
    def leased(self) -> list[str]:
        """The entries that this process has a lease on, in the base."""
        owners = (own(os.path.realpath(self.base), book) for book in OWN)
        live = {path for owner in owners if owner is not None for path in owner.live}
        return sorted({path.partition("/")[0] for path in live})
