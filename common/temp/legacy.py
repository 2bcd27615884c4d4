"""The helper that scripts copied from each other, kept for those who still call it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from .manager import TempManager


def get_temp_dir(name_prefix: str = "temp") -> Path:
    """The absolute path of a new `uncategorized` directory; it stays until a clean-up.

    Warns with a `FutureWarning` once for each calling line: a `DeprecationWarning` from a module
    that tasks share would never be shown.
    """
    package = __name__.rpartition(".")[0]
    # Point at the line that calls a shim of this name, not at the line in the shim.
    is_shim = sys._getframe(1).f_code.co_name == get_temp_dir.__name__
    warnings.warn(
        f"get_temp_dir() is the legacy helper; call {package}.get_debug_temp_dir() instead, "
        "or let `inv temp-migrate` rewrite the calls",
        FutureWarning,
        stacklevel=3 if is_shim else 2,
    )
    return TempManager.create_persistent_dir(name_prefix)
