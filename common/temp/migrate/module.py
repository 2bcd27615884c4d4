"""One file as the rules see it: source, scopes, the tree around it, and ways to report."""

from __future__ import annotations

import ast
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from . import swaps
from .beside import Beside
from .findings import Edit, Finding, Import
from .guards import Guards, last
from .helpers import is_label as is_label
from .scopes import Meaning, Scope, Scopes
from .source import Source
from .style import Style
from .tree import Tree
from .uses import Uses

PACKAGE: Final = "common.temp"
_LONGEST_LABEL: Final = 32
_SOCKETS: Final = re.compile(rb"AF_UNIX|unix_(?:server|connection|listener|stream)|\.sock\b")
_T = TypeVar("_T")


class Choice(NamedTuple):
    """The name that a function of the package has at a site, and the imports this needs, if any."""

    name: str
    imports: tuple[Import, ...] = ()


class Module:
    """One file, at `path` relative to the top of the `tree` (with `/`)."""

    def __init__(self, path: str, source: Source, tree: Tree) -> None:
        self.path = path
        self.source = source
        self.tree = tree
        self.scopes = Scopes(source.tree)
        is_imported = self.name in tree.imported
        self.uses = Uses(self.scopes, self._replacer, is_imported=is_imported)
        self._told: dict[tuple[str, int, str], Any] = {}

    # -- what is where ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The file name without `.py`, or the name of its package for an `__init__.py`."""
        parts = os.path.splitext(self.path)[0].split("/")
        if parts[-1] in ("__init__", "__main__") and len(parts) > 1:
            return parts[-2]
        return parts[-1]

    @property
    def is_test(self) -> bool:
        """Whether pytest collects it or loads it as a conftest."""
        return (
            self.name == "conftest" or self.name.startswith("test_") or self.name.endswith("_test")
        )

    @cached_property
    def guards(self) -> Guards:
        """How the file handles a missing package."""
        if not self.tree.has_flags:
            return Guards(self.scopes)
        return Guards(self.scopes, lambda dotted: self.tree.flag(self.path, dotted))

    def is_fallback(self, node: ast.AST) -> bool:
        """Whether `node` runs only after an import has failed."""
        return self.guards.is_fallback(node)

    def why_not_certain(self) -> str:
        """Why the file may run where the package cannot be imported; "" if it never does."""
        if other := self.tree.stands_in_for(self.path):
            return f"{other} imports this file where common.temp is missing"
        first = self.guards.first
        if first is None or self.guards.is_certain:
            return ""
        line = getattr(first, "lineno", 0)
        return f"line {line} allows for a missing package, so no import of it may be added"

    @cached_property
    def from_outside(self) -> Beside:
        """Checks uses of a directory that keeps its name and gets another parent."""
        return Beside(self.scopes, keeps_name=True)

    @cached_property
    def changes_of_directory(self) -> dict[ast.AST | None, int]:
        """The lines that change the working directory, by enclosing function."""
        calls = (call for call, _ in self.calls if last(call.func) == "chdir")
        return {self.scopes.function(call): call.lineno for call in calls}

    @cached_property
    def _own_swaps(self) -> dict[ast.AST | None, dict[str, int]]:
        """What the file itself replaces, and where, by the test that does it (no other test runs
        meanwhile); `None` for code outside tests.
        """
        found: dict[ast.AST | None, dict[str, int]] = {}
        for swap, place in swaps.find(self.source.data):
            if swaps.matter(swap):
                unit = self._unit(place)
                is_test = unit is not None and unit.name.startswith("test")
                found.setdefault(unit if is_test else None, {}).setdefault(swap, place)
        return found

    def _swaps_at(self, site: int) -> Iterator[tuple[str, int]]:
        """What the file itself may have replaced while the code at byte `site` runs, and where."""
        own = self._own_swaps
        unit = self._unit(site) if own else None
        is_test = unit is not None and unit.name.startswith("test")
        for where, found in own.items():
            # A function that is not a test may be called by any test.
            if where in (None, unit) or not is_test:
                yield from found.items()

    def _replacer(self, dotted: str, use: ast.AST) -> str:
        """The file that replaces the function `dotted` where `use` runs; "" if none does."""
        others = self.tree.swapped(self.path)
        own = dict(self._swaps_at(self.source.span(use)[0])) if self._own_swaps else {}
        whole, *_, last_part = dotted.split(".")
        own_names = (f"{self.name}.{last_part}", f"{self.name}.{whole}")
        for swap in (".".join(dotted.split(".")[-2:]), *own_names):
            if swap in others or swap in own:
                return others.get(swap, self.path)
        return ""

    def disturbed(self, site: int) -> str:
        """What replaces or watches something that a new directory needs, while the code at byte
        `site` runs; "" if nothing does.
        """
        for swap, other in self.tree.swapped(self.path).items():
            if swaps.is_needed(swap):
                return f"{other} {swaps.spell(swap)}"
        for swap, place in self._swaps_at(site):
            if swaps.is_needed(swap):
                return f"line {self.source.line_of(place)} {swaps.spell(swap)}"
        return ""

    def sought(self, text: str) -> str:
        """The file that searches paths for a part of `text`, which the path of the new directory
        contains, as a message; "" if there is none.
        """
        other = self.tree.seeker(self.path, text)
        return f"{other} looks in paths for a part of {text}" if other else ""

    @cached_property
    def _units(self) -> list[tuple[int, int, ast.FunctionDef | ast.AsyncFunctionDef]]:
        """The outermost functions, each with its start (decorators included) and end."""
        found = []
        waiting = list(self.source.tree.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.ClassDef):
                waiting += node.body
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.decorator_list[0] if node.decorator_list else node
                found.append((self.source.span(first)[0] - 1, self.source.span(node)[1], node))
        return sorted(found, key=lambda unit: unit[0])

    def _unit(self, place: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The outermost function that contains byte `place`."""
        index = bisect_right(self._units, place, key=lambda unit: unit[0]) - 1
        found = self._units[index] if index >= 0 else None
        return found[2] if found is not None and place < found[1] else None

    def in_f_string(self, node: ast.AST) -> bool:
        """Whether `node` is in an f-string, where positions are not exact before Python 3.12."""
        return any(isinstance(above, ast.JoinedStr) for above in self.scopes.above(node))

    def of_name(self, name: str, site: ast.AST, tell: Callable[[Scope | None, str], _T]) -> _T:
        """The result of `tell` for the variable `name` as seen at `site`. It is called once for
        each variable, however many sites it has.
        """
        home = self.scopes.find(name, self.scopes.scope_of(site))
        key = (tell.__qualname__, id(home), name)
        if key not in self._told:
            self._told[key] = tell(home, name)
        told: _T = self._told[key]
        return told

    @cached_property
    def style(self) -> Style:
        """How the project of the file formats code."""
        return Style(self.tree.top, self.path, self.source)

    @cached_property
    def calls(self) -> Sequence[tuple[ast.Call, Meaning]]:
        """Every call, in order, with the meaning of what is called."""
        return [(call, self.scopes.meaning(call.func)) for call in self.scopes.nodes(ast.Call)]

    # -- proposing --------------------------------------------------------------------------------

    def finding(self, code: str, node: ast.AST, message: str, advice: str = "") -> Finding:
        """A finding at `node`, without a rewrite."""
        start, end = self.source.span(node)
        line = self.source.line_of(start)
        if isinstance(node, (ast.With, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            end = max(start, self.source.span(node.body[0])[0] - 1)
        column = start - self.source.line_span(line)[0] + 1
        last = max(line, self.source.line_of(end))
        return Finding(code, line, column, last, message, advice, site=start)

    def replacing(self, node: ast.AST, text: str) -> Edit:
        """The edit that puts `text` in the place of `node`."""
        return Edit(*self.source.span(node), text.encode())

    def calling(
        self, call: ast.Call, name: str, arguments: str, others: Sequence[Edit] = ()
    ) -> Edit:
        """The edit that replaces `call` by a call of `name`, over several lines if one would be too
        long. `others` are further edits of the same line.
        """
        plain = self.replacing(call, f"{name}({arguments})")
        source = self.source
        number = source.line_of(plain.start)
        start, end = source.line_span(number)
        length = len(source.data[start:end].decode().rstrip())
        grown = length + sum(
            len(edit.text.decode()) - len(source.data[edit.start : edit.end].decode())
            for edit in (plain, *others)
            if edit.end <= end
        )
        if plain.end > end or grown <= max(length, self.style.width):
            return plain
        indent = source.indent(number).decode()
        inner = indent + ("\t" if indent.startswith("\t") else "    ")
        text = f"{name}({source.newline}{inner}{arguments}{source.newline}{indent})"
        return self.replacing(call, text)

    def choose(self, name: str, site: ast.AST, old: Meaning) -> Choice | None:
        """How `name` of the package can be called at `site` in place of `old`; `None` if it cannot.

        A new import goes beside the import of `old`, in the same function if that is in one.
        """
        scope = self.scopes.scope_of(site)
        wanted = f"{PACKAGE}.{name}"
        for known in (name, *self._names_of(wanted)):
            meaning = self.scopes.meaning_of(known, scope)
            if meaning.dotted == wanted and self._is_there(meaning, site):
                return Choice(known)
        if self.scopes.find(name, scope) is not None:
            return None
        if name in self.scopes.all_names:
            return None
        beside = self._beside(old)
        return Choice(name, (Import(PACKAGE, name, self.source.span(site)[0], beside),))

    def not_free(self, name: str, site: ast.AST) -> tuple[str, str]:
        """The message and advice for a site where `choose` finds no way to call `name`."""
        meaning = self.scopes.meaning_of(name, self.scopes.scope_of(site))
        if meaning.dotted == f"{PACKAGE}.{name}":
            line = getattr(meaning.sources[0].node, "lineno", 0)
            why = f"{name} may not be imported yet here (line {line})"
            return why, "import it at the top of the file, without a condition"
        return f"the name {name} is taken here", f"rename what is called {name}"

    def _is_there(self, meaning: Meaning, site: ast.AST) -> bool:
        """Whether the import has certainly run before `site`: it comes first and is not under a
        condition such as `TYPE_CHECKING`.
        """
        binding = meaning.sources[0]
        statement = binding.node
        holders = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
        if not isinstance(self.scopes.parents[statement], holders):
            return False
        later = self.source.span(statement)[0] > self.source.span(self.scopes.statement(site))[0]
        function = self.scopes.function(site)
        return not later or (binding.scope.kind == "module" and function is not None)

    def _names_of(self, dotted: str) -> Iterable[str]:
        return self._imported.get(dotted, ())

    @cached_property
    def _imported(self) -> dict[str, list[str]]:
        """The names imported at the top level, by the dotted name that they refer to."""
        found: dict[str, list[str]] = {}
        for name, bindings in self.scopes.module.bindings.items():
            for dotted in {binding.dotted for binding in bindings}:
                found.setdefault(dotted, []).append(name)
        return found

    def _beside(self, old: Meaning) -> int | None:
        """The position of the import of `old`, if it is a plain import in a function."""
        if len(old.sources) != 1:
            return None
        statement = old.sources[0].node
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            return None
        parent = self.scopes.parents[statement]
        plain = isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef))
        return self.source.span(statement)[0] if plain and self.source.is_alone(statement) else None

    @cached_property
    def has_sockets(self) -> bool:
        """Whether the file mentions Unix domain sockets, whose paths have to be short."""
        return _SOCKETS.search(self.source.data) is not None

    def label(self, node: ast.AST) -> str:
        """A name for a directory made at `node`: the function's name, else the file's.

        It is short, since socket paths have a length limit, and just "work" if the file uses them.
        """
        function = self.scopes.function(node)
        names = [function.name] if function is not None and function.name != "main" else []
        for name in (*names, self.name) if not self.has_sockets else ():
            label = re.sub(r"^test_+|^_+|_+$", "", name) or name.strip("_")
            if len(label) > _LONGEST_LABEL:
                label = label[: _LONGEST_LABEL + 1].rpartition("_")[0] or label[:_LONGEST_LABEL]
            sought = self.tree.seeker(self.path, f"/{label}_")
            if label.isascii() and is_label(label) and not sought:
                return label
        return "work"
