"""Runs the rules over the files of a tree in several processes, with results in path order."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, Final, Protocol, TypeVar

from ..core import fields
from ..errors import reason_of
from ..store.project.project import MARKERS
from ..store.system.reading import read_file
from ..store.workers.crew import may_fork, processors
from . import edits, ignored, notebooks, suppress, texts
from .facts import Facts, borrowed, gather, imported_words
from .files import NOTEBOOK, Ground, mentioning
from .findings import FileResult
from .helpers import NAME
from .rework import Options, Tick, no_tick, rework
from .rules import Rule
from .settings import forget
from .source import LARGEST_SOURCE, Unreadable
from .texts import is_text
from .tree import Tree

DEFINITION: Final = "TK002"
_CHUNK: Final = 64
_TICK_SECONDS: Final = 0.2
_ALONE: Final = 128
"""Fewer files than this are read by one process: starting others would take longer."""

_GENERATED: Final = b"@generated"
_T = TypeVar("_T")


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
    """The result for each requested file that has anything to report, in path order.

    Nothing is written. `workers` is the maximum number of processes; `None` lets the run choose.
    """
    forget()
    count = processors() if workers is None else max(1, workers)
    count = count if may_fork() else 1
    python = [path for path in ground.files if ground.is_python(path)]
    selected = [path for path in ground.selected if not path.endswith(".git")]
    done = size = 0

    def tick() -> None:
        if progress is not None:
            progress(done, size, of=len(selected))

    facts: dict[str, Facts] = {}
    imported: set[str] = set()
    for gathered, words in _spread(_gather, ground, python, (), count, tick):
        facts.update(gathered)
        imported |= words
    if renamed := frozenset(name for one in facts.values() for name in one.other_names):
        for borrowing in _spread(_borrow, ground, python, (renamed,), count, tick):
            for path, borrowed in borrowing.items():
                one = facts.get(path, Facts())
                facts[path] = one._replace(borrowed=(*one.borrowed, *borrowed))
    tree = Tree(ground.top, facts, ground.projects, imported)
    if options.unsafe and DEFINITION in {rule.code for rule in options.rules}:
        tree.deletable = _deletable(ground, tree, options)
    for results, number, read in _spread(_examine, ground, selected, (tree, options), count, tick):
        done += number
        size += read
        tick()
        yield from results


def _deletable(ground: Ground, tree: Tree, options: Options) -> frozenset[str]:
    """The files whose helper will be unreferenced once this run has converted what it can."""
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
    tick: Tick,
) -> Iterator[_T]:
    """The result of `work` for each chunk of `paths`, in order. `tick` is called now and then while
    waiting for one.
    """
    if workers == 1 or len(paths) < _ALONE:
        for path in paths:
            yield work(ground, [path], *more, tick)
        return
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    global _shared
    _shared = (work, ground, more)
    try:
        done = 0
        with _pool(workers) as pool:
            try:
                for result in [pool.submit(_shared_work, chunk) for chunk in chunks]:
                    while not wait([result], _TICK_SECONDS).done:
                        tick()
                    yield result.result()
                    done += 1
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
"""Set before the workers are forked, so that they inherit it instead of receiving a copy."""


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("fork"), initializer=_ignore_ctrl_c)


def _ignore_ctrl_c() -> None:
    """Ignore Ctrl-C in a worker: the main process handles it and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shared_work(chunk: Sequence[str]) -> Any:
    assert _shared is not None
    work, ground, more = _shared
    return work(ground, chunk, *more)


def _gather(
    ground: Ground, paths: Sequence[str], tick: Tick = no_tick
) -> tuple[dict[str, Facts], set[str]]:
    """The facts of each file that has any, and the words in the imports of all files."""
    tick()
    found = {}
    words: set[str] = set()
    for path, raw in _readable(ground, paths):
        words |= imported_words(raw)
        facts = gather(raw)
        if not facts.is_empty:
            found[path] = facts
    return found, words


def _borrow(
    ground: Ground, paths: Sequence[str], names: frozenset[str], tick: Tick = no_tick
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Which of `names` each file takes from other modules, with those modules."""
    tick()
    found = {path: borrowed(raw, names) for path, raw in _readable(ground, paths)}
    return {path: taken for path, taken in found.items() if taken}


def _readable(ground: Ground, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        # An unreadable file is reported later, if it was requested.
        with contextlib.suppress(OSError, fields.Unreadable):
            yield path, read_file(os.path.join(ground.top, path), LARGEST_SOURCE)


def _examine(
    ground: Ground, paths: Sequence[str], tree: Tree, options: Options, tick: Tick = no_tick
) -> tuple[list[FileResult], int, int]:
    """The results for some files, the number of files, and their total size in bytes."""
    results = []
    size = 0
    for path in paths:
        result, read = _examine_file(ground, path, tree, options, tick)
        size += read
        if result is not None:
            results.append(result)
    return results, len(paths), size


# -- one file -------------------------------------------------------------------------------------


def _examine_file(
    ground: Ground, path: str, tree: Tree, options: Options, tick: Tick = no_tick
) -> tuple[FileResult | None, int]:
    """The result for one file (`None` if there is nothing to report), and its size in bytes."""
    raw = b""
    try:
        raw = read_file(os.path.join(ground.top, path), LARGEST_SOURCE)
        if path.endswith(".gitignore"):
            return _examine_ignore(ground, path, raw, options), len(raw)
        if is_text(path):
            return _examine_text(path, raw, tree, options), len(raw)
        if path.rpartition("/")[2] in MARKERS and not path.endswith(".py"):
            return None, len(raw)
        rules = _relevant(raw, options, tree.other_names(path))
        if not rules and suppress.MARK not in raw:
            return None, len(raw)
        if _GENERATED in raw:
            return FileResult(path, skipped="is @generated"), len(raw)
        if path.endswith(NOTEBOOK):
            return notebooks.examine(path, raw, tree, options, rules), len(raw)
        result = rework(ground.top, path, raw, tree, options, rules, tick)
    except OSError as error:
        return FileResult(path, problem=f"cannot be read: {reason_of(error)}"), len(raw)
    except (Unreadable, fields.Unreadable) as error:
        if path.endswith(NOTEBOOK) or is_text(path):  # not code, so nothing is missed
            return FileResult(path, skipped=str(error)), len(raw)
        return FileResult(path, problem=str(error)), len(raw)
    except RecursionError:
        return FileResult(path, problem="is nested too deeply to check"), len(raw)
    except Exception as error:  # reported: one file must not end the run
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


def _examine_text(path: str, raw: bytes, tree: Tree, options: Options) -> FileResult | None:
    if texts.CODE not in {rule.code for rule in options.rules}:
        return None
    found = tuple(texts.find(path, raw, has_helper=tree.has_helper))
    return FileResult(path, found) if found else None


def _relevant(raw: bytes, options: Options, others: frozenset[str]) -> list[Rule]:
    """The rules that could find something in a file with this content."""
    known: dict[bytes, bool] = {}
    named = [name.encode() for name in others]

    def has(word: bytes) -> bool:
        if word not in known:
            parts = [*word.split(b"|"), *(named if NAME.encode() in word else ())]
            known[word] = any(part in raw for part in parts)
        return known[word]

    return [rule for rule in options.rules if all(has(word) for word in rule.words)]
