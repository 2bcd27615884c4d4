"""`common.temp`, where nobody else has it, is `tempkeep`: loaded by `tempkeep.pth` at each start.

Loading this imports nothing (`__future__` either) and changes nothing but the end of
`sys.meta_path`. PYTEST_DONT_REWRITE: else pytest warns that it was imported before.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_OURS = "tempkeep"
"""What marks a `common` that is there only so that `common.temp` can be below it."""


class CommonTemp:
    """A finder that is asked last, for what no other finds: so it hides nothing of a host."""

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Where `common.temp` is, and a `common` to hold it; `None` for all else."""
        if name == "common":
            spec = type(__spec__)(name, None, is_package=True)
            spec.loader_state = _OURS
            return spec
        if not name.startswith("common."):
            return None
        found = _in_later_common(name)
        return _tempkeep(name) if found is None and name == "common.temp" else found


def _in_later_common(name: str) -> "ModuleSpec | None":
    """Where `name` is in a `common` of the host that came to `sys.path` after ours was imported."""
    common = sys.modules.get("common")
    if common is None or getattr(common.__spec__, "loader_state", None) != _OURS:
        return None
    spec = _find("common")
    if spec is None or spec.submodule_search_locations is None:
        return None
    common.__spec__ = spec
    common.__path__ = spec.submodule_search_locations
    if spec.loader is not None and spec.origin is not None:
        common.__file__ = spec.origin
        common.__loader__ = spec.loader
        spec.loader.exec_module(common)
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
    """The package's own files, which find when they run that they are loaded already."""
    from importlib.util import spec_from_file_location

    import tempkeep

    if tempkeep.__file__ is None:  # a directory of that name, and nothing installed
        return None
    return spec_from_file_location(
        name, tempkeep.__file__, submodule_search_locations=list(tempkeep.__path__)
    )


sys.meta_path.append(CommonTemp)
