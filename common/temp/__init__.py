"""Scratch directories with an owner, a place, a reason and an end.

A public name is a row of `_HOMES` and stands in `__all__`; its module lies beside this file and is
loaded at first use. Importing the package loads this file and `_one_copy` alone.

PYTEST_DONT_REWRITE: otherwise pytest warns if this package was imported before pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .caching import CacheDir, cache_dir
    from .contexts import (
        get_cache_temp_dir,
        get_debug_temp_dir,
        pytest_temp_dirs,
        temp_working_dir,
    )
    from .errors import InvalidName, InvalidSettings, Refused, StorageError, TempError
    from .holding import hold, lease_fds
    from .jobs import JobStorage, StorageRoot
    from .legacy import get_temp_dir
    from .manager import TempManager
    from .outputs import OutputRoot
    from .pins import pin, unpin
    from .pipeline import ArtifactCleaner, cleanup_after_pipeline_run, pipeline_run, start_run
    from .pipeline_config import CleanupConfig, CleanupStrategy
    from .tracking import (
        FileCleanupManager,
        TempFileContext,
        ThreadedFileCleanupManager,
        temp_file_async,
    )

__version__ = "0.1.0"

_HOMES = {
    "CacheDir": "caching",
    "cache_dir": "caching",
    "get_cache_temp_dir": "contexts",
    "get_debug_temp_dir": "contexts",
    "pytest_temp_dirs": "contexts",
    "temp_working_dir": "contexts",
    "InvalidName": "errors",
    "InvalidSettings": "errors",
    "Refused": "errors",
    "StorageError": "errors",
    "TempError": "errors",
    "hold": "holding",
    "lease_fds": "holding",
    "JobStorage": "jobs",
    "StorageRoot": "jobs",
    "get_temp_dir": "legacy",
    "TempManager": "manager",
    "OutputRoot": "outputs",
    "pin": "pins",
    "unpin": "pins",
    "ArtifactCleaner": "pipeline",
    "CleanupConfig": "pipeline_config",
    "CleanupStrategy": "pipeline_config",
    "cleanup_after_pipeline_run": "pipeline",
    "pipeline_run": "pipeline",
    "start_run": "pipeline",
    "FileCleanupManager": "tracking",
    "TempFileContext": "tracking",
    "ThreadedFileCleanupManager": "tracking",
    "temp_file_async": "tracking",
}

__all__ = [
    "ArtifactCleaner",
    "CacheDir",
    "CleanupConfig",
    "CleanupStrategy",
    "FileCleanupManager",
    "InvalidName",
    "InvalidSettings",
    "JobStorage",
    "OutputRoot",
    "Refused",
    "StorageError",
    "StorageRoot",
    "TempError",
    "TempFileContext",
    "TempManager",
    "ThreadedFileCleanupManager",
    "cache_dir",
    "cleanup_after_pipeline_run",
    "get_cache_temp_dir",
    "get_debug_temp_dir",
    "get_temp_dir",
    "hold",
    "lease_fds",
    "pin",
    "pipeline_run",
    "pytest_temp_dirs",
    "start_run",
    "temp_file_async",
    "temp_working_dir",
    "unpin",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


def _unite() -> None:
    """Share one set of modules in this process, even under two names or with a vendored copy."""
    import sys

    names = sys.modules.get("_tempkeep_names")
    if names is None:
        from . import _one_copy

        names = sys.modules.setdefault(_one_copy.REGISTRY, _one_copy)
    names.unite(__name__)


_unite()
