"""One program in a process, by whichever names it is imported: `tempkeep`, `common.temp`, a copy's.

The package that is imported first is the one that counts. Any other that is imported after it, from
the same files or from another copy, is the same module under another name, and so are the modules
in it: one `TempManager`, one owner file for each root, errors that one can catch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

REGISTRY: Final = "_tempkeep_names"
"""By which all copies find this module in `sys.modules`; they call `unite`."""

_first = ""
_others: tuple[str, ...] = ()


def unite(name: str) -> None:
    """Make the package `name`, which is being imported, the one that was imported first, if any."""
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
    """Finds `common.temp.jobs` where `tempkeep.jobs` is, and the like."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module of the program is, if `name` is one by another name than the first."""
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
    """Loads a module by giving the one that it is."""

    def __init__(self, found: ModuleSpec) -> None:
        self._found = found

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Nothing: Python makes a module, which is thrown away."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put the one that it is in its place, as an import allows."""
        from importlib import import_module

        sys.modules[module.__name__] = import_module(self._found.name)

    def get_code(self, name: str) -> object:
        """What `python -m` runs."""
        loader: Any = self._found.loader
        return loader.get_code(self._found.name)
