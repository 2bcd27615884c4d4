"""Runs the rules on one file: their findings, and the text after their rewrites."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from . import edits, new_imports, suppress
from .findings import Edit, FileResult, Finding, Need, Status
from .helpers import NAME
from .importable import is_hiding, reach
from .module import Module
from .positions import Origin
from .rules import Rule, all_rules
from .scopes import Binding
from .shipped import is_shipped
from .source import Source, Unreadable
from .tree import Tree

_ROUNDS: Final = 10
"""The maximum number of passes of the rules over a file: one rewrite can allow another."""


_PLACES: Final = {"TK001": "/debug/", "TK003": "/tempkeep/test/test_", "TK004": "/tempkeep/work/"}
"""The rules whose safe rewrite makes a directory in a new place, and a part of its path."""


class Options(NamedTuple):
    """Which rules run, and whether unsafe rewrites are made.

    With `add_dependency`, files whose project only lacks the dependency are rewritten too.
    """

    unsafe: bool = False
    codes: frozenset[str] = frozenset()
    add_dependency: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that run; all of them if none was chosen."""
        return tuple(rule for rule in all_rules() if not self.codes or rule.code in self.codes)


Tick: TypeAlias = Callable[[], None]
"""Called now and then to show that a run is still going."""


def no_tick() -> None:
    """Do nothing: no progress is shown."""


def rework(
    top: str,
    path: str,
    raw: bytes,
    tree: Tree,
    options: Options,
    rules: Sequence[Rule],
    tick: Tick = no_tick,
) -> FileResult:
    """The result of `rules` for the file at `path` below `top`, whose content is `raw`.

    The rules run again after each rewrite, so that a second run finds nothing more. Line numbers
    of the findings refer to `raw`, those of the remaining findings to the new text. Raises
    `Unreadable`.
    """
    source = first = Source(raw)
    made: list[list[Edit]] = []
    converted: list[Finding] = []
    left: list[Finding] = []
    remaining: list[Finding] = []
    needs: Need | None = None
    problem = ""
    module = Module(path, source, tree)
    for _ in range(_ROUNDS):
        found, chosen, need = _chosen(top, module, rules, options, tick)
        if chosen:
            try:
                may_drop = _may_drop(module)
                data, done = edits.rewrite(source, module.scopes, chosen, may_drop, module.style)
                after = source.encode(data)
                module = _checked(module, after, chosen)
            except (new_imports.NoRoom, edits.Unsound) as error:
                found = [f.left(f"{f.message}: {error}") if f in chosen else f for f in found]
                chosen = []
            except Unreadable as error:
                problem, chosen = str(error), []
        picked = {id(finding) for finding in chosen}
        remaining = [_bare(f, "left") for f in found if id(f) not in picked]
        place = Origin(source, first, made)
        left = [place.of(finding) for finding in remaining]
        converted += [place.of(_bare(f, "convertible")) for f in found if id(f) in picked]
        if not chosen:
            break
        needs = needs or need
        made.append(done)
        source = module.source
    else:
        problem = "keeps changing at every pass; left as it is"
    findings = tuple(sorted([*converted, *left], key=lambda f: (f.line, f.column, f.code)))
    if problem or not made:
        left_alone = tuple(replace(finding, status="left") for finding in findings)
        return FileResult(path, left_alone, problem=problem)
    return FileResult(
        path, findings, before=raw, after=after, remaining=tuple(remaining), needs=needs
    )


def _checked(module: Module, after: bytes, chosen: Sequence[Finding]) -> Module:
    """The module with the text `after` the edits of `chosen`. Raises `Unsound` or `Unreadable`."""
    try:
        source = Source(after)
    except Unreadable as error:
        raise edits.Unsound(f"would not compile after the rewrite ({error})") from error
    following = Module(module.path, source, module.tree)
    edits.check(module.source, source, following.scopes, chosen)
    return following


def _chosen(
    top: str, module: Module, rules: Sequence[Rule], options: Options, tick: Tick
) -> tuple[list[Finding], list[Finding], Need | None]:
    """The findings in a module, those to rewrite, and the dependency that is needed first."""
    found = _findings(module, rules, options, tick, shipped=is_shipped(top, module.path))
    if is_hiding(os.path.join(top, module.path)):
        found = [_of_hiding(finding) for finding in found]
    chosen = edits.compatible(f for f in found if _is_made(f, options))
    if not chosen:
        return found, [], None
    way = reach(top, module.path, module.source.data, module.source.tree)
    if way.lacks is not None and options.add_dependency:
        project = os.path.relpath(way.project, top).replace(os.sep, "/")
        need = Need("" if project == "." else project, way.lacks.always)
        return found, chosen, need
    if way.why:
        found = [f.left(f"{f.message}: {way.why}") if f.fix else f for f in found]
    elif why := module.why_not_certain():
        found = [f.left(f"{f.message}: {why}") if f.imports else f for f in found]
    else:
        return found, chosen, None
    return found, edits.compatible(f for f in found if _is_made(f, options)), None


def listed(module: Module, rules: Sequence[Rule], options: Options) -> list[Finding]:
    """The findings in a module that is not rewritten."""
    return _findings(module, rules, options, no_tick, shipped=False)


def _of_hiding(finding: Finding) -> Finding:
    """`finding` without a rewrite, for a file that hides the package and so cannot import it."""
    what = finding.message.partition(";")[0]
    return finding.left(what, "this file hides common.temp; delete or rename it")


def _findings(
    module: Module, rules: Sequence[Rule], options: Options, tick: Tick, *, shipped: bool
) -> list[Finding]:
    """One finding for each site: the first rewritten by this run, else by `--unsafe`, else any."""
    found: list[Finding] = []
    for rule in rules:
        tick()
        found += rule.find(module)
    codes = frozenset(rule.code for rule in options.rules)
    found = suppress.apply(module, found, codes)
    found = [_demoted(finding, module, shipped=shipped) for finding in found]
    by_site: dict[int, Finding] = {}
    for finding in found:
        other = by_site.get(finding.site)
        if finding.site < 0:
            continue
        if other is None or _rank(finding, options) < _rank(other, options):
            by_site[finding.site] = finding
    best = {id(finding) for finding in by_site.values()}
    return [finding for finding in found if finding.site < 0 or id(finding) in best]


def _demoted(finding: Finding, module: Module, *, shipped: bool) -> Finding:
    """`finding`, made unsafe in shipped code and where other code may notice the new directory."""
    if finding.fix != "safe":
        return finding
    why = "shipped code" if shipped else ""
    if not why and finding.code in _PLACES:
        why = module.disturbed(finding.site) or module.sought(_PLACES[finding.code])
    return replace(finding, fix="unsafe", message=f"{finding.message} ({why})") if why else finding


def _rank(finding: Finding, options: Options) -> int:
    if _is_made(finding, options):
        return 0
    return 1 if finding.fix else 2


def _is_made(finding: Finding, options: Options) -> bool:
    return finding.fix == "safe" or (finding.fix == "unsafe" and options.unsafe)


def _may_drop(module: Module) -> Callable[[Binding], bool]:
    """A function that tells whether an import of a module may be removed once it is unused."""

    def may(binding: Binding) -> bool:
        top = binding.dotted.partition(".")[0]
        standard = bool(top) and top in sys.stdlib_module_names
        if module.tree.is_wanted(module.path, binding.name):
            return False
        if standard or _is_imported_anyway(module, binding):
            return True
        # The imported module, or the module that a name is imported from.
        has_name = binding.dotted.endswith("." + NAME)
        dotted = binding.dotted if has_name else f"{binding.dotted}.{NAME}"
        return module.name != "__init__" and module.tree.is_pure(module.path, dotted)

    return may


def _is_imported_anyway(module: Module, binding: Binding) -> bool:
    """Whether `binding` is the helper and its statement imports another name, which is used."""
    if not isinstance(binding.node, ast.ImportFrom) or module.name == "__init__":
        return False
    if not binding.dotted.endswith("." + NAME):
        return False  # may be a module, whose import runs it
    others = [alias for alias in binding.node.names if NAME not in (alias.name, alias.asname)]
    return any(module.scopes.uses(binding.scope, one.asname or one.name) for one in others)


def _bare(finding: Finding, status: Status) -> Finding:
    """`finding` with its outcome and without its edits."""
    return replace(finding, edits=(), imports=(), status=status)
