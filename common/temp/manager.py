"""`TempManager`: scratch directories and files, persistent or cleaned on exit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from .contexts import until_exit
from .core.layout import AUTO
from .store.allocation import allocate, allocate_file, project_root
from .store.project import ROOT_NAME, user_root


class TempManager:
    """Makes scratch in the project's root, lists it and cleans it; all by class methods."""

    PERSISTENT_BASE: ClassVar[str] = ROOT_NAME

    @classmethod
    def get_project_temp_base(cls) -> Path:
        """The absolute path of the project's root, whether it exists or not."""
        return Path(project_root())

    @classmethod
    def create_persistent_dir(cls, name_prefix: str = "temp", category: str | None = None) -> Path:
        """The absolute path of a new directory `<root>/<category>/<name_prefix>_<epoch>`.

        It stays until a clean-up takes it, and is in use while this process lives. Without a
        category it is `uncategorized`. Raises `InvalidName`, `Refused` or `StorageError`.
        """
        return Path(allocate(project_root(), category, name_prefix))

    @classmethod
    def create_persistent_file(
        cls, name_prefix: str = "temp", suffix: str = ".tmp", category: str | None = None
    ) -> Path:
        """The absolute path of a new, empty file `<name_prefix>_<epoch><suffix>` in its own entry.

        Raises `InvalidName`, `Refused` or `StorageError`.
        """
        return Path(allocate_file(project_root(), category, name_prefix, suffix))

    @classmethod
    def auto_cleanup_dir(cls, name_prefix: str = "temp") -> AbstractContextManager[Path]:
        """A context manager: a new directory in the system's temporary directory, gone on exit.

        Only this user can look inside. If the process is killed, the next sweep cleans it. A child
        forked inside the block does not clean it.
        """
        root = str(user_root())
        return until_exit(root, lambda: allocate(root, AUTO, name_prefix))

    @classmethod
    def auto_cleanup_file(
        cls, name_prefix: str = "temp", suffix: str = ".tmp"
    ) -> AbstractContextManager[Path]:
        """A context manager: a new, empty file, otherwise as `auto_cleanup_dir`."""
        root = str(user_root())
        return until_exit(root, lambda: allocate_file(root, AUTO, name_prefix, suffix))

    @classmethod
    def list_persistent_temps(cls) -> list[Path]:
        """The absolute paths of the entries in the project's root, sorted."""
        from .store.listing import list_entries

        return list_entries(cls.get_project_temp_base())

    @classmethod
    def clean_persistent_temps(cls, max_age_hours: float | None = None) -> int:
        """Clean entries of the project's root and return how many went.

        With `max_age_hours` those whose newest change is older; without, all that nothing
        protects, this process's own included. What the project's settings protect stays. Also
        cleans what killed processes of this user left in the system's temporary directory, which
        does not count. Raises `InvalidSettings` for an age that is no number of 0 or more.
        """
        from .store.sweep import clean_project

        return clean_project(cls.get_project_temp_base().parent, max_age_hours)
