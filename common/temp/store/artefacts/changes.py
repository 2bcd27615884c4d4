"""Finds out when the sources of a project last changed, apart from its artefacts."""

from __future__ import annotations

import contextlib
import os

from .work import NEVER_ENTERED


class Changes:
    """The newest file that a search found below each directory, by path relative to the project.

    The times of directories do not count: a clean changes them.
    """

    def __init__(self) -> None:
        self._newest: dict[str, tuple[float, str]] = {}
        self._is_summed = False

    def note(self, directory: str, item: os.DirEntry[str]) -> None:
        """Note a file in `directory`."""
        with contextlib.suppress(OSError):
            changed = item.stat(follow_symlinks=False).st_mtime
            path = f"{directory}/{item.name}" if directory else item.name
            self._newest[directory] = max(self._newest.get(directory, (0.0, "")), (changed, path))

    def note_project(self, directory: str, top: str) -> None:
        """Note the files of an inner project at `directory`, whose path is `top`: it may depend on
        artefacts above it. What its tools built there counts as well.
        """
        waiting = [(directory, top)]
        while waiting:
            place, above = waiting.pop()
            with contextlib.suppress(OSError), os.scandir(above) as items:
                for item in items:
                    if not item.is_dir(follow_symlinks=False):
                        self.note(place, item)
                    elif item.name[0] != "." and item.name not in NEVER_ENTERED:
                        waiting.append((f"{place}/{item.name}", item.path))

    def below(self, directory: str) -> tuple[float, str]:
        """When the newest file below `directory` changed (seconds since 1970), and its path."""
        if not self._is_summed:
            self._is_summed = True
            for place, newest in tuple(self._newest.items()):
                above = place
                while above:
                    above = above.rpartition("/")[0]
                    self._newest[above] = max(self._newest.get(above, (0.0, "")), newest)
        return self._newest.get(directory, (0.0, ""))
