"""Settings of a schedule that make it run a command or write a file as this user.

They are read from the environment, or from a `pyproject.toml` that only this user and root can
write. Errors in other settings do not affect them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..store.project.place import ENV_PREFIX
from ..store.project.project import find_monorepo
from ..store.project.trusted_files import why_not_trusted
from ..store.settings.keys import KEYS
from ..store.settings.sources import PYPROJECT, read_toml
from ..store.settings.values import read_value


class TrustedSetting(NamedTuple):
    """The value of a key, and the settings file that sets it; `None` for a variable."""

    value: Any
    file: Path | None

    def why_not_used(self, *, by_schedule: bool) -> str:
        """Why the value is not used; "" if it is.

        Anyone who can push to a repository can write a file that git tracks in it. Such a file is
        trusted if this user scheduled the clean, but not if making an entry started it.
        """
        if self.file is None:
            return ""
        why = why_not_trusted(self.file)
        if not why and not by_schedule:
            from ..store.project.tracked import tracks

            if tracks(str(self.file)):
                why = f"git tracks {self.file}, and auto_clean started this clean"
        return why


def setting_of(
    project: Path, key: str, environment: Mapping[str, str] | None = None
) -> TrustedSetting | None:
    """The value set for `project` at this key, if any. Raises `InvalidSettings`."""
    variable, kind = f"{ENV_PREFIX}{key.upper()}", KEYS[key].kind
    said = (os.environ if environment is None else environment).get(variable)
    if said is not None:
        return TrustedSetting(read_value(said, kind, f"environment: {variable}"), None)
    for directory in dict.fromkeys((project, find_monorepo(project))):
        path = directory / PYPROJECT
        table: object = read_toml(path, key.encode())
        for name in ("tool", "tempkeep"):
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict) and key in table:
            where = f"{path}: [tool.tempkeep]: {key}"
            return TrustedSetting(read_value(table[key], kind, where), path)
    return None
