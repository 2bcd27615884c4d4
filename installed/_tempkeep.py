"""Makes `tempkeep` importable as `common.temp`, unless a host has a `common.temp` of its own.

`tempkeep.pth` loads this module at every start of Python. It imports nothing, not even
`__future__`, and only adds a finder at the end of `sys.meta_path`. PYTEST_DONT_REWRITE: otherwise
pytest warns that the module was imported before.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import Any

_OURS = "tempkeep"
"""Marks a `common` that exists only to contain `common.temp`."""

_IMPORTERS = ("_frozen_importlib", "importlib", "pkgutil", "runpy")
"""The modules of Python that import on behalf of other code."""


class CommonTemp:
    """A finder that is asked last, for names that no other finder knows: it hides nothing of a
    host.
    """

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec of `common.temp`, or of a `common` to contain it; `None` for other names."""
        if name == "common":
            return _holder() if _wants_temp(sys._getframe(1)) else None
        if not name.startswith("common."):
            return None
        found = _in_later_common(name)
        return _tempkeep(name) if found is None and name == "common.temp" else found


def _wants_temp(frame: "FrameType | None") -> bool:
    """Whether the code that imports `common` wants `common.temp`.

    Some code tries to import `common`, and puts its own on `sys.path` if there is none: it must
    find none. So this looks for the whole name in the imports in progress, and in the code that
    asked for them.
    """
    while frame is not None:
        for value in frame.f_locals.values():
            if type(value) is str and f"{value}.".replace(":", ".").startswith("common.temp."):
                return True
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _IMPORTERS:
            names = (value for value in frame.f_code.co_consts if type(value) is tuple)
            return any("temp" in value for value in names)  # `from common import temp`
        frame = frame.f_back
    return False


def _holder() -> "ModuleSpec":
    loader: Any = _Holder
    spec = type(__spec__)("common", loader, is_package=True)
    spec.loader_state = _OURS
    return spec


class _Holder:
    """Loads a `common` without files. It becomes that of the host as soon as there is one."""

    @staticmethod
    def create_module(spec: "ModuleSpec") -> None:
        """Return `None`: Python creates the module."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        """Make the module look up missing names in a `common` that is added later."""

        def look(name: str) -> object:
            if _is_holder(module) and _become_later_common(module):
                return getattr(module, name)
            raise AttributeError(f"module 'common' has no attribute {name!r}")

        module.__getattr__ = look  # type: ignore[method-assign]


def _is_holder(module: "ModuleType | None") -> bool:
    return getattr(getattr(module, "__spec__", None), "loader_state", None) == _OURS


def _become_later_common(common: "ModuleType") -> bool:
    """Whether the host has a `common` by now. If so, turn the placeholder into it."""
    spec = _find("common")
    if spec is None:
        return False
    common.__spec__ = spec
    del common.__getattr__
    common.__path__ = spec.submodule_search_locations or []
    if spec.loader is not None and spec.origin is not None:
        common.__file__ = spec.origin
        common.__loader__ = spec.loader
        spec.loader.exec_module(common)
    return True


def _in_later_common(name: str) -> "ModuleSpec | None":
    """The spec of `name` in a host's `common` that was added to `sys.path` after our import."""
    common = sys.modules.get("common")
    if common is None or not _is_holder(common) or not _become_later_common(common):
        return None
    return _find(name, common.__path__)


def _find(name: str, path: "Sequence[str] | None" = None) -> "ModuleSpec | None":
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        found: ModuleSpec | None = None
        if find_spec is not None and finder is not CommonTemp:
            found = find_spec(name, path)
        if found is not None:
            return found
    return None


def _tempkeep(name: str) -> "ModuleSpec | None":
    """The spec of the package's own files, which notice when they run that they are loaded."""
    from importlib.util import spec_from_file_location

    import tempkeep

    if tempkeep.__file__ is None:  # a directory of that name, but no installed package
        return None
    return spec_from_file_location(
        name, tempkeep.__file__, submodule_search_locations=list(tempkeep.__path__)
    )


sys.meta_path.append(CommonTemp)
