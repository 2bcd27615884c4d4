"""How to name the command line of a process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

_LENGTH: Final = 60


def spell_command(words: Sequence[str]) -> str:
    """A command line as a person would name it: without folder or code, at most 60 long."""
    said = [os.path.basename(words[0]), *words[1:]] if words else []
    if "-c" in said:
        said = [*said[: said.index("-c") + 1], "…"]
    text = " ".join(" ".join(said).split())
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"
