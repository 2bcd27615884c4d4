"""One set of modules per process, under any name: `tempkeep`, `common.temp` or a vendored copy's.

The package that is imported first is used. Any later import, from the same files or from another
copy, gives the same package and modules under another name. So there is one `TempManager` and one
owner file for each root, and an `except` clause works with the errors of any copy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

REGISTRY: Final = "_tempkeep_names"
"""The name of this module in `sys.modules`, where all copies find it to call `unite`."""

_first = ""
_others: tuple[str, ...] = ()


def unite(name: str) -> None:
    """Make the package `name`, now being imported, an alias of the one imported first, if any."""
    global _first, _others
    if name == _first:  # loaded again
        return
    known = sys.modules.get(_first)
    if known is None:
        _first, _others = name, ()
        return
    for module in [module for module in list(sys.modules) if module.startswith(f"{name}.")]:
        del sys.modules[module]
    sys.modules[name] = known  # which the import of `name` then gives
    _others = (*(other for other in _others if other != name), name)
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    sys.meta_path.insert(0, _Finder)  # before what looks for files


class _Finder:
    """Finds, for example, `common.temp.jobs` where `tempkeep.jobs` is."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the module, if `name` is in a package imported under a later name."""
        for other in _others:
            if name.startswith(f"{other}.") and sys.modules.get(other) is sys.modules.get(_first):
                return _spec(name, _first + name[len(other) :])
        return None


def _spec(name: str, real: str) -> ModuleSpec | None:
    from importlib.util import find_spec

    found = find_spec(real)
    if found is None:
        return None
    locations = found.submodule_search_locations
    loader: Any = _Loader(found)
    spec = ModuleSpec(name, loader, origin=found.origin, is_package=locations is not None)
    spec.submodule_search_locations = locations
    return spec


class _Loader:
    """Loads an alias by returning the module that it stands for."""

    def __init__(self, found: ModuleSpec) -> None:
        self._found = found

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """`None`: Python makes a module, which `exec_module` replaces."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Replace the module in `sys.modules` by the one that it stands for."""
        from importlib import import_module

        sys.modules[module.__name__] = import_module(self._found.name)

    def get_code(self, name: str) -> object:
        """The code that `python -m` runs."""
        loader: Any = self._found.loader
        return loader.get_code(self._found.name)
