"""Runs the rules over the files of a tree, in several processes; results come in path order."""

from __future__ import annotations

import ast
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from ..core import fields
from ..errors import reason_of
from ..store.project.project import MARKERS
from ..store.system.reading import read_file
from ..store.workers.crew import may_fork, processors
from . import edits, ignored, new_imports, suppress
from .facts import Facts, gather
from .files import Ground, mentioning
from .findings import Edit, FileResult, Finding, Status
from .helpers import NAME
from .importable import why_not
from .module import Module
from .rules import Rule, all_rules
from .scopes import Binding
from .source import LARGEST_SOURCE, Source, Unreadable
from .tree import Tree

DEFINITION: Final = "TK002"
_CHUNK: Final = 64
_ALONE: Final = 128
"""Up to this many files, one process reads them all: starting others would take longer."""

_ROUNDS: Final = 10
"""How often the rules run again on a file: one rewrite can make another possible."""

_GENERATED: Final = b"@generated"
_T = TypeVar("_T")


class Options(NamedTuple):
    """Which rules run, and whether unsafe rewrites are made."""

    unsafe: bool = False
    codes: frozenset[str] = frozenset()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that run; all of them if none was chosen."""
        return tuple(rule for rule in all_rules() if not self.codes or rule.code in self.codes)


class Progress(Protocol):
    """Called with the progress of a run."""

    def __call__(self, entries: int, size: int, *, of: int = 0) -> None:
        """`entries` files of `of`, and `size` bytes, are done."""


def examine(
    ground: Ground,
    options: Options,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[FileResult]:
    """The result for each requested file that has anything to report, in the order of the paths.

    Nothing is written. `workers` is the maximum number of processes; `None` lets the run choose.
    """
    count = processors() if workers is None else max(1, workers)
    count = count if may_fork() else 1
    python = [path for path in ground.files if path.endswith((".py", ".pyw"))]
    facts: dict[str, Facts] = {}
    for gathered in _spread(_gather, ground, python, (), count):
        facts.update(gathered)
    tree = Tree(ground.top, facts, ground.projects)
    if options.unsafe and DEFINITION in {rule.code for rule in options.rules}:
        tree.deletable = _deletable(ground, tree, options)
    selected = [path for path in ground.selected if not path.endswith(".git")]
    done = size = 0
    for results, read in _spread(_examine, ground, selected, (tree, options), count):
        done = min(len(selected), done + _CHUNK)
        size += read
        if progress is not None:
            progress(done, size, of=len(selected))
        yield from results


def _deletable(ground: Ground, tree: Tree, options: Options) -> frozenset[str]:
    """The files whose helper nothing else refers to once this run has converted what it can."""
    defined = {path for path, facts in tree.facts.items() if facts.helper is not None}
    if not defined or mentioning(ground, NAME):
        return frozenset()
    selected = frozenset(ground.selected)
    later = {}
    for path, facts in tree.facts.items():
        if facts.references and path in selected:
            result, _ = _examine_file(ground, path, tree, options)
            if result is not None and result.after is not None:
                facts = gather(result.after)
        later[path] = facts
    return frozenset(
        path
        for path in defined
        if not any(tree.refers(path, other, facts) for other, facts in later.items())
    )


# -- spreading the work ---------------------------------------------------------------------------


def _spread(
    work: Callable[..., _T],
    ground: Ground,
    paths: Sequence[str],
    more: tuple[object, ...],
    workers: int,
) -> Iterator[_T]:
    """The result of `work` for each chunk of `paths`, in order."""
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    if workers == 1 or len(paths) < _ALONE:
        for chunk in chunks:
            yield work(ground, chunk, *more)
        return
    global _shared
    _shared = (work, ground, more)
    try:
        done = 0
        with _pool(workers) as pool:
            try:
                for result in pool.map(_shared_work, chunks):
                    done += 1
                    yield result
            except BrokenProcessPool:
                pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        # If one worker is killed (out of memory, for example), the pool stops. The rest is done
        # here, file by file.
        for chunk in chunks[done:]:
            yield work(ground, chunk, *more)
    finally:
        _shared = None


_shared: tuple[Callable[..., Any], Ground, tuple[object, ...]] | None = None
"""Set before the workers are forked, so that it is not sent to each of them."""


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("fork"), initializer=_ignore_ctrl_c)


def _ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a worker: the main process handles it and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shared_work(chunk: Sequence[str]) -> Any:
    assert _shared is not None
    work, ground, more = _shared
    return work(ground, chunk, *more)


def _gather(ground: Ground, paths: Sequence[str]) -> dict[str, Facts]:
    found = {}
    for path in paths:
        try:
            raw = read_file(os.path.join(ground.top, path), LARGEST_SOURCE)
        except (OSError, fields.Unreadable):
            continue  # reported if the file was requested
        facts = gather(raw)
        if not facts.is_empty:
            found[path] = facts
    return found


def _examine(
    ground: Ground, paths: Sequence[str], tree: Tree, options: Options
) -> tuple[list[FileResult], int]:
    results = []
    size = 0
    for path in paths:
        result, read = _examine_file(ground, path, tree, options)
        size += read
        if result is not None:
            results.append(result)
    return results, size


# -- one file -------------------------------------------------------------------------------------


def _examine_file(
    ground: Ground, path: str, tree: Tree, options: Options
) -> tuple[FileResult | None, int]:
    """The result for one file (`None` if there is nothing to report), and its size in bytes."""
    raw = b""
    try:
        raw = read_file(os.path.join(ground.top, path), LARGEST_SOURCE)
        if path.endswith(".gitignore"):
            return _examine_ignore(ground, path, raw, options), len(raw)
        if path.rpartition("/")[2] in MARKERS and not path.endswith(".py"):
            return None, len(raw)
        rules = _relevant(raw, options)
        if not rules and suppress.MARK not in raw:
            return None, len(raw)
        if _GENERATED in raw:
            return FileResult(path, skipped="is @generated"), len(raw)
        result = rework(ground.top, path, raw, tree, options, rules)
    except OSError as error:
        return FileResult(path, problem=f"cannot be read: {reason_of(error)}"), len(raw)
    except (Unreadable, fields.Unreadable) as error:
        return FileResult(path, problem=str(error)), len(raw)
    except RecursionError:
        return FileResult(path, problem="is nested too deeply to check"), len(raw)
    except Exception as error:  # one file never ends the run; it is reported
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {os.path.basename(where.filename)}:{where.lineno}"
        return FileResult(path, problem=f"{what}: {error}; left as it is"), len(raw)
    return (result if result.findings or result.problem else None), len(raw)


def _examine_ignore(ground: Ground, path: str, raw: bytes, options: Options) -> FileResult | None:
    if ignored.CODE not in {rule.code for rule in options.rules}:
        return None
    found = ignored.examine(ground, path, raw)
    if found is None:
        return None
    finding, done = found
    if not done:
        return FileResult(path, (finding,))
    after = edits.apply(raw, done)
    return FileResult(path, (replace(finding, status="convertible"),), before=raw, after=after)


def _relevant(raw: bytes, options: Options) -> list[Rule]:
    """The rules that may find something in a file with this content."""
    known: dict[bytes, bool] = {}

    def has(word: bytes) -> bool:
        if word not in known:
            known[word] = any(part in raw for part in word.split(b"|"))
        return known[word]

    return [rule for rule in options.rules if all(has(word) for word in rule.words)]


def rework(
    top: str, path: str, raw: bytes, tree: Tree, options: Options, rules: Sequence[Rule]
) -> FileResult:
    """The result of `rules` for the file at `path` below `top`, whose content is `raw`.

    The rules run again after each rewrite, so that a second run finds nothing more. Line numbers
    of the remaining findings refer to `raw`. Raises `Unreadable`.
    """
    source = first = Source(raw)
    made: list[list[Edit]] = []
    converted: list[Finding] = []
    left: list[Finding] = []
    problem = ""
    for _ in range(_ROUNDS):
        module = Module(path, source, tree)
        found = _findings(module, rules, options)
        chosen = edits.compatible(f for f in found if _is_made(f, options))
        why = why_not(top, path, source.data, source.tree) if chosen else ""
        if why:
            found = [f.left(f"{f.message}: {why}") if f.fix else f for f in found]
        elif chosen and (why := module.why_not_certain()):
            found = [f.left(f"{f.message}: {why}") if f.imports else f for f in found]
        if why:
            chosen = edits.compatible(f for f in found if _is_made(f, options))
        if chosen:
            try:
                data, done = edits.rewrite(source, module.scopes, chosen, _may_drop(module))
                after = source.encode(data)
            except (new_imports.NoRoom, edits.Unsound) as error:
                found = [f.left(f"{f.message}: {error}") if f in chosen else f for f in found]
                chosen = []
            except Unreadable as error:
                problem, chosen = str(error), []
        picked = {id(finding) for finding in chosen}
        placed = [
            _at_origin(f, "convertible" if id(f) in picked else "left", source, first, made)
            for f in found
        ]
        converted += [finding for finding in placed if finding.status == "convertible"]
        left = [finding for finding in placed if finding.status == "left"]
        if not chosen:
            break
        made.append(done)
        source = Source(after)
    else:
        problem = "keeps changing at every pass; left as it is"
    findings = tuple(sorted([*converted, *left], key=lambda f: (f.line, f.column, f.code)))
    if problem or not made:
        left_alone = tuple(replace(finding, status="left") for finding in findings)
        return FileResult(path, left_alone, problem=problem)
    return FileResult(path, findings, before=raw, after=after)


def _findings(module: Module, rules: Sequence[Rule], options: Options) -> list[Finding]:
    """One finding for each site: the first that rewrites it, else the first."""
    found: list[Finding] = []
    for rule in rules:
        found += rule.find(module)
    codes = frozenset(rule.code for rule in options.rules)
    found = suppress.apply(module, found, codes)
    by_site: dict[int, Finding] = {}
    for finding in found:
        other = by_site.get(finding.site)
        if finding.site < 0:
            continue
        if other is None or _rank(finding, options) < _rank(other, options):
            by_site[finding.site] = finding
    best = {id(finding) for finding in by_site.values()}
    return [finding for finding in found if finding.site < 0 or id(finding) in best]


def _rank(finding: Finding, options: Options) -> int:
    if _is_made(finding, options):
        return 0
    return 1 if finding.fix else 2


def _is_made(finding: Finding, options: Options) -> bool:
    return finding.fix == "safe" or (finding.fix == "unsafe" and options.unsafe)


def _may_drop(module: Module) -> Callable[[Binding], bool]:
    """Tells which imports of a module may go once the module no longer uses them."""

    def may(binding: Binding) -> bool:
        top = binding.dotted.partition(".")[0]
        standard = bool(top) and top in sys.stdlib_module_names
        if module.tree.is_wanted(module.path, binding.name):
            return False
        if standard or _is_imported_anyway(module, binding):
            return True
        # The module that the import names, or the one it takes a name from.
        has_name = binding.dotted.endswith("." + NAME)
        dotted = binding.dotted if has_name else f"{binding.dotted}.{NAME}"
        return module.name != "__init__" and module.tree.is_pure(module.path, dotted)

    return may


def _is_imported_anyway(module: Module, binding: Binding) -> bool:
    """Whether another name from the same module is imported too, and used."""
    if not isinstance(binding.node, ast.ImportFrom) or module.name == "__init__":
        return False
    others = [alias for alias in binding.node.names if NAME not in (alias.name, alias.asname)]
    return any(module.scopes.uses(binding.scope, one.asname or one.name) for one in others)


def _at_origin(
    finding: Finding,
    status: Status,
    source: Source,
    first: Source,
    made: Sequence[Sequence[Edit]],
) -> Finding:
    """`finding` in `source`, with its line numbers in `first`, and without its edits."""
    finding = replace(finding, edits=(), imports=(), status=status)
    if not made:
        return finding
    position = source.line_span(finding.line)[0] + finding.column - 1
    for done in reversed(made):
        position = edits.origin(position, done)
    line = first.line_of(position)
    column = position - first.line_span(line)[0] + 1
    last = line + finding.last_line - finding.line
    return replace(finding, line=line, column=column, last_line=last)
