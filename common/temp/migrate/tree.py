"""Facts about the files of a tree: where the legacy helper is defined, and who imports it.

They are gathered file by file and merged, so several processes can do it. There are few facts,
since few files refer to the helper.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final, NamedTuple

from ..core import fields
from ..store.system.reading import read_file
from . import helpers
from .helpers import NAME, Helper
from .scopes import Scopes
from .source import LARGEST_SOURCE, Source, Unreadable

ANY: Final = f"?.{NAME}"
"""A reference to anything that has the helper's name."""

_FOLLOWED: Final = 10
"""How many imports are followed from module to module."""


class Facts(NamedTuple):
    """What one file says about the helper.

    - `helper`: its own definition
    - `imported`: the dotted name that it imports the helper from
    - `other`: the name means something else in this file
    - `pure`: importing the file only defines things
    - `references`: dotted names by which it refers to helpers of other modules
    - `stars`: modules that it imports with a star
    - `patched`: texts and names by which it replaces something elsewhere, as tests do
    - `odd`: it needs the legacy behaviour
    """

    helper: Helper | None = None
    imported: str = ""
    other: bool = False
    pure: bool = False
    references: tuple[str, ...] = ()
    stars: tuple[str, ...] = ()
    patched: tuple[str, ...] = ()
    odd: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the file says nothing about the helper."""
        return self == Facts()


_REPLACED: Final = frozenset({NAME, "tempfile", "TemporaryDirectory", "mkdtemp"})
_REPLACERS: Final = frozenset({"patch", "object", "setattr", "replace", "multiple", "dict"})


_STAR: Final = re.compile(rb"^[ \t\f]*from\s+([\w. \t]+?)\s*import\s*\(?\s*\*", re.MULTILINE)
_SET: Final = re.compile(
    rb"\b(?:tempfile\.\w+|\w+\.(?:tempfile|mkdtemp|TemporaryDirectory))\s*=[^=]"
)


def gather(raw: bytes) -> Facts:
    """The facts of a file with this content. Most files have none, and few are parsed."""
    if NAME.encode() not in raw and not _may_replace(raw):
        if b"import *" not in raw:
            return Facts()
        # May also match inside a string: then an import stays that could have been removed.
        stars = {star.decode("latin-1").replace(" ", "") for star in _STAR.findall(raw)}
        return Facts(stars=tuple(sorted(stars)))
    try:
        source = Source(raw)
        return _facts(source.tree, Scopes(source.tree))
    except (Unreadable, RecursionError):
        return Facts(references=(ANY,)) if NAME.encode() in raw else Facts()


def _may_replace(raw: bytes) -> bool:
    """Whether the file may replace a function of `tempfile`, as tests do."""
    if not any(name.encode() in raw for name in _REPLACED):
        return False
    called = any(word in raw for word in (b"patch(", b"patch.", b"setattr("))
    return called or _SET.search(raw) is not None


def _facts(tree: ast.Module, scopes: Scopes) -> Facts:
    bindings = scopes.module.bindings.get(NAME, [])
    binding = helpers.module_binding(scopes)
    helper = helpers.local_helper(binding, scopes.module, scopes)
    imported = binding.dotted if binding is not None else ""
    return Facts(
        helper=helper,
        imported=imported,
        other=bool(bindings) and helper is None and not imported,
        pure=bool(bindings) and _is_pure(tree),
        references=tuple(sorted(_references(scopes))),
        stars=tuple(f"{'.' * star.level}{star.module or ''}" for star in scopes.stars),
        patched=tuple(sorted(_patched(scopes))),
        odd=_is_odd(scopes, helper),
    )


def _is_odd(scopes: Scopes, helper: Helper | None) -> bool:
    """Whether a helper is called with a name that only the legacy one accepts, or its result is
    used in a way that needs a relative path.
    """
    if helper is not None and helper.default is not None and not helpers.is_label(helper.default):
        return True
    for call in scopes.nodes(ast.Call):
        named = scopes.meaning(call.func)
        means = {named.dotted, *named.possible, getattr(call.func, "id", "")}
        if any(one.rpartition(".")[2] == NAME for one in means):
            labels = [*call.args, *(keyword.value for keyword in call.keywords)]
            if not all(helpers.may_name(label) for label in labels):
                return True
            if helpers.relies_on_relative(call, scopes) is not None:
                return True
    return False


def _is_pure(tree: ast.Module) -> bool:
    """Whether importing the module only imports the standard library and defines things."""
    for statement in tree.body:
        match statement:
            case ast.Import(names=names):
                if not all(_is_standard(alias.name) for alias in names):
                    return False
            case ast.ImportFrom(module=module, level=0):
                if not _is_standard(module or ""):
                    return False
            case ast.FunctionDef(decorator_list=[]) | ast.AsyncFunctionDef(decorator_list=[]):
                continue
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                continue
            case ast.Assign(value=value) if _is_value(value):
                continue
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                continue
            case _:
                return False
    return True


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _is_value(node: ast.expr) -> bool:
    inner = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.expr_context)
    return all(isinstance(one, inner) for one in ast.walk(node))


def _references(scopes: Scopes) -> set[str]:
    found = {
        binding.dotted
        for bindings in list(scopes.module.bindings.values())
        for binding in bindings
        if binding.dotted.endswith("." + NAME)
    }
    for node in scopes.nodes(ast.ImportFrom):
        for alias in node.names:
            if alias.name == NAME:
                module = "." * node.level + (node.module or "")
                found.add(f"{module}{'' if module.endswith('.') else '.'}{NAME}")
    for constant in scopes.nodes(ast.Constant):
        docstring = isinstance(scopes.parents[constant], ast.Expr)
        if isinstance(constant.value, str) and NAME in constant.value and not docstring:
            found.add(ANY)
    for attribute in scopes.nodes(ast.Attribute):
        if attribute.attr == NAME:
            meaning = scopes.meaning(attribute)
            found |= {meaning.dotted} if meaning.dotted else set(meaning.possible) or {ANY}
    return found


def _patched(scopes: Scopes) -> set[str]:
    found = set()
    for call in scopes.nodes(ast.Call):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        called = called or (call.func.id if isinstance(call.func, ast.Name) else "")
        if called in _REPLACERS:
            for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    parts = argument.value.split(".")
                    if _REPLACED & set(parts):
                        found.add(argument.value)
    for target in scopes.nodes(ast.Attribute):
        if target.attr in _REPLACED and isinstance(target.ctx, ast.Store):
            base = scopes.meaning(target.value).dotted
            found |= {f"{base}.{target.attr}"} if base else set()
    return found


class Tree:
    """The facts of all files of a tree, by path relative to its top (with `/`)."""

    def __init__(self, top: str, facts: Mapping[str, Facts], projects: Iterable[str]) -> None:
        self._top = top
        self.facts = dict(facts)
        self.deletable: frozenset[str] = frozenset()
        """The files whose definition of the helper nothing else in the tree refers to."""
        self._projects = frozenset(projects)

    @cached_property
    def _by_module(self) -> dict[str, list[str]]:
        """The files that have the helper's name, by the last part of their module's name."""
        found: dict[str, list[str]] = {}
        for path, facts in self.facts.items():
            if facts.helper or facts.imported or facts.other:
                found.setdefault(_parts(path)[-1] if _parts(path) else "", []).append(path)
        return found

    def helper(self, path: str, dotted: str, depth: int = 0) -> tuple[Helper | None, str, str]:
        """The helper that `dotted` means in the file at `path`, where that is, and else why not.

        The why is "" where it is certainly something else.
        """
        if dotted in helpers.OURS:
            return helpers.PACKAGED, "", ""
        if not dotted.endswith("." + NAME):
            return None, "", ""
        found: list[tuple[Helper | None, str, str]] = []
        for candidate in self._candidates(path, dotted):
            facts = self.facts[candidate]
            if facts.helper is not None:
                found.append((facts.helper, candidate, ""))
            elif facts.imported and depth < _FOLLOWED:
                found.append(self.helper(candidate, facts.imported, depth + 1))
            else:
                found.append((None, candidate, ""))
        if not found:
            return None, "", f"{dotted} is not in this tree"
        if all(helper is not None for helper, _, _ in found):
            return found[0]
        if all(helper is None for helper, _, _ in found):
            return found[0]
        where = ", ".join(sorted(candidate for _, candidate, _ in found))
        return None, "", f"{dotted} may mean any of {where}"

    def _candidates(self, path: str, dotted: str) -> list[str]:
        """The files with the helper's name that may be the module of `dotted`."""
        module = dotted.rpartition(".")[0]
        level = len(dotted) - len(dotted.lstrip("."))
        if level:
            below = path.split("/")[:-1]
            above = below[: len(below) - (level - 1)] if level > 1 else below
            inner = dotted[level:].split(".")[:-1]
            base = "/".join([*above, *inner])
            return [
                one
                for one in (f"{base}.py", f"{base}/__init__.py" if base else "__init__.py")
                if one in self.facts
                and (self.facts[one].helper or self.facts[one].imported or self.facts[one].other)
            ]
        parts = module.split(".")
        all_of_them = [
            one
            for one in self._by_module.get(parts[-1], [])
            if _parts(one)[-len(parts) :] == parts and one != path
        ]
        near = [one for one in all_of_them if _is_near(path, one, len(parts))]
        return near or all_of_them

    def is_wanted(self, path: str, name: str) -> bool:
        """Whether another file may use `name` of the module at `path`: by a star import, by the
        helper's name, or by replacing it.
        """
        parts = _parts(path)
        for other, facts in self.facts.items():
            if other == path:
                continue
            if any(_may_mean(star, parts) for star in facts.stars):
                return True
            if name == NAME and any(
                _may_mean(reference.rpartition(".")[0], parts) for reference in facts.references
            ):
                return True
            if any(name in text.split(".") for text in facts.patched):
                return True
        return False

    def refers(self, path: str, other: str, facts: Facts) -> bool:
        """Whether the file at `other`, which has `facts`, may refer to the helper in `path`."""
        if other == path:
            return False
        parts = _parts(path)
        references = (reference.rpartition(".")[0] for reference in facts.references)
        return any(_may_mean(module, parts) for module in (*references, *facts.stars))

    def odd_caller(self, path: str) -> str:
        """A file that may need the helper in `path` unchanged; "" if there is none."""
        for other, facts in self.facts.items():
            if facts.odd and (other == path or self.refers(path, other, facts)):
                return other
        return ""

    def is_in_package(self, path: str) -> bool:
        """Whether an `__init__.py` lies beside the file."""
        directory = os.path.dirname(os.path.join(self._top, path))
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
            package = os.path.join(self._top, directory, "__init__.py")
            try:
                if not _is_pure(Source(read_file(package, LARGEST_SOURCE)).tree):
                    return False
            except FileNotFoundError:
                pass
            except (OSError, Unreadable, fields.Unreadable):
                return False
            directory = directory.rpartition("/")[0]
        return True

    def replaced(self, path: str, names: Iterable[str]) -> str:
        """The file that replaces one of `names` in the module `path`, as tests do; "" if none."""
        wanted = set(names)
        stem = _parts(path)[-1:] or [""]
        for other, facts in self.facts.items():
            for text in facts.patched:
                parts = text.split(".")
                if not wanted & set(parts):
                    continue
                modules = [part for part in parts if part not in _REPLACED]
                if modules[-1:] == stem or (not modules and self._share_project(path, other)):
                    return other
        return ""

    def _share_project(self, path: str, other: str) -> bool:
        return self._project(path) == self._project(other)

    def _project(self, path: str) -> str:
        """The nearest directory upward that is a project."""
        above = path.rpartition("/")[0]
        while above and above not in self._projects:
            above = above.rpartition("/")[0]
        return above


def _parts(path: str) -> list[str]:
    """The parts of a module's full path: `src/a/b.py` is src, a, b."""
    parts = os.path.splitext(path)[0].split("/")
    return parts[:-1] if parts[-1] == "__init__" else parts


def _is_near(path: str, other: str, length: int) -> bool:
    """Whether `other` can be imported from a directory above `path`, or from its `src`."""
    base = _parts(other)[:-length]
    own = path.split("/")[:-1]
    if base[-1:] == ["src"]:
        base = base[:-1]
    return own[: len(base)] == base


def _may_mean(module: str, parts: list[str]) -> bool:
    """Whether `module`, as it is written in an import, may be the file with these parts."""
    said = [part for part in module.split(".") if part]
    if module == "?" or not said:
        return True
    return parts[-len(said) :] == said
