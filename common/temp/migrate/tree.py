"""The facts of all files of a tree: which helper a name means, and which files use a module."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from ..core import fields
from ..store.system.reading import read_file
from . import helpers, swaps
from .facts import REPLACED, Facts, is_pure
from .helpers import NAME, Helper
from .module_names import (
    base_of,
    files_of,
    is_module,
    is_near,
    may_mean,
    parts_of,
    runs,
    stem,
)
from .scopes import Binding, Scopes
from .source import LARGEST_SOURCE, Source, Unreadable

_FOLLOWED: Final = 10
"""The maximum number of imports to follow from module to module."""


class Tree:
    """The facts of all files of a tree, by path relative to its top (with `/`)."""

    def __init__(
        self,
        top: str,
        facts: Mapping[str, Facts],
        projects: Iterable[str],
        imported: Iterable[str] = (),
    ) -> None:
        """`imported` are the words of all import statements in the tree."""
        self.top = top
        self.imported = frozenset(imported)
        self.facts = dict(facts)
        self.deletable: frozenset[str] = frozenset()
        """The files with a definition of the helper that nothing else in the tree refers to."""
        self._projects = frozenset(projects)
        self._replaced: dict[tuple[str, frozenset[str]], str] = {}
        self._swapped: dict[str, Mapping[str, str]] = {}
        self._read: dict[str, Mapping[str, list[Binding]]] = {}

    @cached_property
    def aliases(self) -> frozenset[str]:
        """Other names that files give the helper, under which other files may import it."""
        return frozenset(name for facts in self.facts.values() for name, _ in facts.aliases)

    @cached_property
    def renamed(self) -> frozenset[str]:
        """Other names that files give functions of `tempfile` and the like."""
        return frozenset(name for facts in self.facts.values() for name in facts.renamed)

    def other_names(self, path: str) -> frozenset[str]:
        """The other names under which the file at `path` may use the helper or `tempfile`."""
        facts = self.facts.get(path)
        taken = {name for _, name in facts.borrowed} if facts is not None else set()
        return self.aliases | (self.renamed & taken)

    @cached_property
    def _by_module(self) -> dict[tuple[str, str], list[str]]:
        """The files that bind the helper's name or an alias of it, by that name and the last part
        of their module's name.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for path, facts in self.facts.items():
            named = [NAME] if facts.helper or facts.imported or facts.other else []
            for name in (*named, *(alias for alias, _ in facts.aliases)):
                found.setdefault((name, stem(path)), []).append(path)
        return found

    @cached_property
    def has_helper(self) -> bool:
        """Whether a file of the tree defines the legacy helper."""
        return any(facts.helper is not None for facts in self.facts.values())

    def helper(self, path: str, dotted: str, depth: int = 0) -> tuple[Helper | None, str, str]:
        """The helper that `dotted` means in the file at `path`, the file that defines it, and, if
        there is none, why not; "" if `dotted` is certainly something else.
        """
        if dotted in helpers.OURS:
            return helpers.PACKAGED, "", ""
        name = dotted.rpartition(".")[2]
        if "." not in dotted or (name != NAME and name not in self.aliases):
            return None, "", ""
        found: list[tuple[Helper | None, str, str]] = []
        for candidate in self._candidates(path, dotted):
            facts = self.facts[candidate]
            behind = facts.imported if name == NAME else dict(facts.aliases).get(name, "")
            if facts.helper is not None and name == NAME:
                found.append((facts.helper, candidate, ""))
            elif behind and depth < _FOLLOWED:
                found.append(self.helper(candidate, behind, depth + 1))
            else:
                found.append((None, candidate, ""))
        if not found:
            return None, "", f"{dotted} is not in this tree" if name == NAME else ""
        if all(helper is not None for helper, _, _ in found):
            return found[0]
        if all(helper is None for helper, _, _ in found):
            return found[0]
        where = ", ".join(sorted(candidate for _, candidate, _ in found))
        return None, "", f"{dotted} may mean any of {where}"

    def _candidates(self, path: str, dotted: str) -> list[str]:
        """The files that bind the helper's name or an alias and may be the module of `dotted`."""
        module, _, name = dotted.rpartition(".")
        level = len(dotted) - len(dotted.lstrip("."))
        if level:
            base = base_of(path, dotted[level:].split(".")[:-1], level)
            named = (f"{base}.py", f"{base}/__init__.py" if base else "__init__.py")
            return [one for one in named if one in self._by_module.get((name, stem(one)), ())]
        parts = module.split(".")
        all_of_them = [
            one
            for one in self._by_module.get((name, parts[-1]), [])
            if parts_of(one)[-len(parts) :] == parts and one != path
        ]
        near = [one for one in all_of_them if is_near(path, one, len(parts))]
        return near or all_of_them

    @property
    def has_flags(self) -> bool:
        """Whether any file defines a flag that tells whether the package is installed."""
        return bool(self._flags)

    def flag(self, path: str, dotted: str) -> bool | None:
        """The value of `dotted` in the file at `path` where the package is installed, if another
        file defines it as a flag for that; else `None`.
        """
        module, _, name = dotted.rpartition(".")
        for other, worth in self._flags.get(name, ()):
            if other != path and is_module(path, module, other):
                return worth
        return None

    @cached_property
    def _flags(self) -> dict[str, list[tuple[str, bool]]]:
        found: dict[str, list[tuple[str, bool]]] = {}
        for path, facts in self.facts.items():
            for name, worth in facts.flags:
                found.setdefault(name, []).append((path, worth))
        return found

    def stands_in_for(self, path: str) -> str:
        """The file that imports `path` where the package is missing; "" if there is none."""
        for other, facts in self.facts.items():
            if other != path and any(is_module(other, one, path) for one in facts.stand_ins):
                return other
        return ""

    def is_wanted(self, path: str, name: str) -> bool:
        """Whether another file may use `name` of the module at `path`: it imports or star-imports
        it from there, or replaces it.
        """
        parts = parts_of(path)
        borrowed = self._borrowers.get(name, ())
        if any(other != path and is_module(other, module, path) for other, module in borrowed):
            return True
        for other, facts in self._reaching:
            if other == path:
                continue
            if any(may_mean(star, parts) for star in facts.stars):
                return True
            if name == NAME and any(
                may_mean(reference.rpartition(".")[0], parts) for reference in facts.references
            ):
                return True
            if any(name in text.split(".") for text in facts.patched):
                return True
        return False

    @cached_property
    def _borrowers(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for path, facts in self.facts.items():
            for module, name in facts.borrowed:
                found.setdefault(name, []).append((path, module))
        return found

    @cached_property
    def _reaching(self) -> list[tuple[str, Facts]]:
        """The files that may use names of other modules without importing each name."""
        return [
            (path, facts)
            for path, facts in self.facts.items()
            if facts.stars or facts.references or facts.patched
        ]

    def refers(self, path: str, other: str, facts: Facts) -> bool:
        """Whether the file at `other`, which has `facts`, may refer to the helper in `path`."""
        if other == path:
            return False
        parts = parts_of(path)
        references = (reference.rpartition(".")[0] for reference in facts.references)
        return any(may_mean(module, parts) for module in (*references, *facts.stars))

    def odd_caller(self, path: str) -> str:
        """A file that may need the helper in `path` unchanged; "" if there is none."""
        for other, facts in self.facts.items():
            if facts.odd and (other == path or self.refers(path, other, facts)):
                return other
        return ""

    def behind(self, path: str, dotted: str) -> tuple[str, str]:
        """What `dotted`, used in the file at `path`, is imported from in its module: the dotted
        name there and the file of that module; both "" if the module binds no such name.
        """
        module, _, name = dotted.rpartition(".")
        for other in files_of(path, module):
            bindings = self._imports(other).get(name, ())
            if bindings:
                return bindings[0].dotted, other
        return "", ""

    def _imports(self, path: str) -> Mapping[str, list[Binding]]:
        """The top-level bindings of the file at `path`; none if it cannot be read."""
        if path not in self._read:
            try:
                raw = read_file(os.path.join(self.top, path), LARGEST_SOURCE)
                self._read[path] = Scopes(Source(raw).tree).module.bindings
            except (OSError, Unreadable, fields.Unreadable, RecursionError):
                self._read[path] = {}
        return self._read[path]

    def is_in_package(self, path: str) -> bool:
        """Whether there is an `__init__.py` beside the file."""
        directory = os.path.dirname(os.path.join(self.top, path))
        return os.path.lexists(os.path.join(directory, "__init__.py"))

    def is_pure(self, path: str, dotted: str) -> bool:
        """Whether `path` can stop importing the module of `dotted` without a side effect."""
        if dotted in helpers.OURS:
            return True
        candidates = self._candidates(path, dotted)
        return bool(candidates) and all(
            self.facts[one].pure and self._are_packages_pure(one, path) for one in candidates
        )

    def _are_packages_pure(self, path: str, importer: str) -> bool:
        directory = path.rpartition("/")[0]
        while directory and not importer.startswith(directory + "/"):
            package = os.path.join(self.top, directory, "__init__.py")
            try:
                if not is_pure(Source(read_file(package, LARGEST_SOURCE)).tree):
                    return False
            except FileNotFoundError:
                pass
            except (OSError, Unreadable, fields.Unreadable):
                return False
            directory = directory.rpartition("/")[0]
        return True

    def replaced(self, path: str, names: Iterable[str]) -> str:
        """The file that replaces one of `names` in the module `path`, as tests do; "" if none."""
        wanted = frozenset(names)
        if (path, wanted) not in self._replaced:
            self._replaced[path, wanted] = self._replacing(path, wanted)
        return self._replaced[path, wanted]

    def _replacing(self, path: str, wanted: frozenset[str]) -> str:
        stem = parts_of(path)[-1:] or [""]
        for other, facts in self._reaching:
            for text in facts.patched:
                parts = text.split(".")
                if not wanted & set(parts):
                    continue
                modules = [part for part in parts if part not in REPLACED]
                if modules[-1:] == stem or (not modules and self._share_project(path, other)):
                    return other
        return ""

    def swapped(self, path: str) -> Mapping[str, str]:
        """What other files replace or watch while the code in `path` may run, with each file."""
        if path not in self._swapped:
            self._swapped[path] = {
                swap: other
                for other, facts in self._swapping
                if other != path and runs(other, facts.imports, path)
                for swap in facts.swaps
            }
        return self._swapped[path]

    def reader(self, path: str, label: str | None = None) -> str:
        """A file of the same project that looks in `.tmp` for directories with a pattern that may
        match names that begin with `label`; "" if there is none.
        """
        for other, facts in self._readers:
            found = (label is None or swaps.may_match(one, label) for one in facts.reads)
            if any(found) and self._share_project(path, other):
                return other
        return ""

    def seeker(self, path: str, text: str) -> str:
        """A file of the same project that searches paths for a part of `text`; "" if none does."""
        for other, facts in self._seekers:
            if any(word in text for word in facts.sought) and self._share_project(path, other):
                return other
        return ""

    @cached_property
    def _seekers(self) -> list[tuple[str, Facts]]:
        return [(path, facts) for path, facts in self.facts.items() if facts.sought]

    @cached_property
    def _readers(self) -> list[tuple[str, Facts]]:
        return [(path, facts) for path, facts in self.facts.items() if facts.reads]

    @cached_property
    def _swapping(self) -> list[tuple[str, Facts]]:
        return [(path, facts) for path, facts in self.facts.items() if facts.swaps]

    def _share_project(self, path: str, other: str) -> bool:
        return self._project(path) == self._project(other)

    def _project(self, path: str) -> str:
        """The directory of the nearest enclosing project; "" for the top."""
        above = path.rpartition("/")[0]
        while above and above not in self._projects:
            above = above.rpartition("/")[0]
        return above
