"""`TempManager`: scratch directories and files, persistent or cleaned on exit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from .auto_clean import maybe_start
from .core.layouts import AUTO
from .errors import InvalidSettings
from .store.project.place import project_root
from .store.project.project import ROOT_NAME, system_temp
from .store.root.allocation import allocate, allocate_file, allocate_private, allocate_private_file
from .store.root.base import Base, auto_root, is_root, make_base, persistent_base
from .until import until_exit


class _SystemTemp:
    """The system's temporary directory, looked up at each access."""

    def __get__(self, instance: object, owner: type) -> Path:
        return system_temp()


class TempManager:
    """Makes scratch in the project's root, lists it and cleans it, by class methods.

    To use another root, set `PERSISTENT_BASE` on this class or a subclass to a path, relative to
    the project. It must be new or empty at first use, since everything in it can be cleaned.
    `AUTO_CLEANUP_BASE` is the directory for auto-cleanup entries, with a place for each user. If it
    is not the default, `clean_persistent_temps` removes what killed processes left there.
    """

    PERSISTENT_BASE: ClassVar[str | Path] = ROOT_NAME
    AUTO_CLEANUP_BASE: ClassVar[str | Path] = _SystemTemp()  # type: ignore[assignment]

    @classmethod
    def get_project_temp_base(cls) -> Path:
        """The absolute path of the root, which is made if it is missing.

        Raises `InvalidSettings` if `PERSISTENT_BASE` cannot be one, `Refused` or `StorageError`.
        """
        from .store.root.making import make_root

        base = cls._base()
        if base.is_chosen:
            make_base(base)
        elif not is_root(base):
            make_root(str(base.root))
        return base.root

    @classmethod
    def create_persistent_dir(cls, name_prefix: str = "temp", category: str | None = None) -> Path:
        """The absolute path of a new directory `<root>/<category>/<name_prefix>_<epoch>`.

        It stays until a clean removes it, and is in use while this process lives. The default
        category is `uncategorized`. Raises `InvalidName`, `InvalidSettings`, `Refused` or
        `StorageError`.
        """
        return Path(allocate(cls._made_root(), category, name_prefix))

    @classmethod
    def create_persistent_file(
        cls, name_prefix: str = "temp", suffix: str = ".tmp", category: str | None = None
    ) -> Path:
        """The absolute path of a new, empty file `<name_prefix>_<epoch><suffix>` in its own entry.

        Raises `InvalidName`, `InvalidSettings`, `Refused` or `StorageError`.
        """
        return Path(allocate_file(cls._made_root(), category, name_prefix, suffix))

    @classmethod
    def auto_cleanup_dir(cls, name_prefix: str = "temp") -> AbstractContextManager[Path]:
        """A context manager: a new directory in the system's temporary directory, gone on exit.

        Only this user can look inside. The name is cut to 32 bytes, so that the path is short
        enough for sockets. If the process is killed, the next sweep removes the directory. A child
        forked inside the block does not remove it.
        """
        root = str(auto_root(cls.AUTO_CLEANUP_BASE))
        return until_exit(root, lambda: allocate_private(root, AUTO, name_prefix))

    @classmethod
    def auto_cleanup_file(
        cls, name_prefix: str = "temp", suffix: str = ".tmp"
    ) -> AbstractContextManager[Path]:
        """A context manager: a new, empty file, otherwise like `auto_cleanup_dir`."""
        root = str(auto_root(cls.AUTO_CLEANUP_BASE))
        return until_exit(root, lambda: allocate_private_file(root, AUTO, name_prefix, suffix))

    @classmethod
    def list_persistent_temps(cls, category: str | None = None) -> list[Path]:
        """The absolute paths of the entries in the root, sorted; with `category`, only its own.

        Makes nothing. Raises `InvalidSettings`, `Refused` or `StorageError`.
        """
        from .store.root.listing import list_entries

        base = cls._base()
        return list_entries(base.root, category) if is_root(base) else []

    @classmethod
    def clean_persistent_temps(cls, max_age_hours: float | None = None) -> int:
        """Clean entries of the root and return how many went.

        With `max_age_hours`, those whose newest change is older; without, everything that is not
        protected, including this process's own entries unless a process forked from it is still
        running. What the project's settings protect stays, what they archive is archived, and with
        `dry_run` set there, nothing goes. Also removes what killed processes of this user left in
        the system's temporary directory, which is not counted. Raises `InvalidSettings` for an age
        that is not a number of 0 or more, and `Refused` for a `PERSISTENT_BASE` with content that
        this program did not make.
        """
        import time

        from .core.policy import Policy, policy_of_age
        from .store.archive.archives import archive_of
        from .store.settings.loading import load
        from .store.sweep.abandoned import MANAGER, clean_abandoned
        from .store.sweep.prepare import prepare
        from .store.sweep.sweep import execute

        base = cls._base()
        is_root(base)  # raises if it must not be cleaned
        limits = Policy(everything=True)
        if max_age_hours is not None:
            # `policy_of_age` also reads text from a command line; here only a number is valid.
            if isinstance(max_age_hours, str):
                raise InvalidSettings(
                    f"max_age_hours: expected a number of hours of 0 or more, got {max_age_hours!r}"
                )
            limits = policy_of_age(max_age_hours, "max_age_hours")
        settings, now = load(base.project), time.time()
        if settings.dry_run:
            return 0
        path, archive = settings.archive_path(), archive_of(settings)
        if settings.archive and path and path.resolve().is_relative_to(base.root.resolve()):
            raise InvalidSettings(
                f"archive_location: expected a directory outside {base.root}, got {path}"
            )
        plan = prepare(
            base.root,
            settings.policy_in(base.root).with_limits_of(limits),
            now,
            disposal=settings.disposal,
            archive=archive,
            sizes=False,
        )
        report = execute(
            plan, archive=archive, archive_format=settings.archive_format, face=MANAGER
        )
        clean_abandoned(now, auto_root(cls.AUTO_CLEANUP_BASE))
        return len(report.done)

    @classmethod
    def _base(cls) -> Base:
        return persistent_base(cls.PERSISTENT_BASE)

    @classmethod
    def _made_root(cls) -> str:
        """The root that new entries are made in; a clean of its project may begin."""
        if cls.PERSISTENT_BASE == ROOT_NAME:
            root = project_root()
            maybe_start(root)
            return root
        base = cls._base()
        make_base(base)
        return str(base.root)
