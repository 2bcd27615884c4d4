"""Examines the entries of a large root with forked workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...core.named_tuple import NamedTuple
from ..trees.measured import Measured, Packed
from ..trees.walk import Sharing
from ..workers.crew import Crew, Link
from ..workers.messages import Job, Kind
from .examining import Looked, Looking, Progress

_LARGEST_BATCH: Final = 32
"""The most entries that a worker is given at a time."""


class _Batch(NamedTuple):
    """A worker's job: the entries from `first` on, up to `end`."""

    first: int
    end: int


class _Part(NamedTuple):
    """Another job: the directory `where` in an entry, which another worker gave away."""

    entry: int
    where: str


class _Answer(NamedTuple):
    """A worker's result for an entry: its `head`, which is a `Looked` without the measure, and the
    measure, if any. Without a `head`, it is the measure of a part of the entry.
    """

    entry: int
    head: tuple[Any, ...] | None
    measured: Packed | None


def look_together(
    looking: Looking, looked: Sequence[Looked], count: int, progress: Progress | None
) -> list[Looked]:
    """The facts about all entries; `count` workers examine those that are not in `looked` yet."""
    parts: dict[int, list[Measured]] = {}
    heads: dict[int, Looked] = dict(enumerate(looked))
    lost: set[int] = set()
    following, end = len(looked), len(looking.found)
    size = sum(one.size for one in looked)
    crew = Crew(lambda link: _work(looking, link), fork=True)  # each has a copy of `looking`
    try:
        crew.set_level(count)
        while len(crew) and (following < end or crew.is_busy):
            while following < end and crew.room > 0:
                batch = max(1, min(_LARGEST_BATCH, (end - following) // (4 * count)))
                crew.put(Job(following, _Batch(following, min(end, following + batch))))
                following += batch
            for said in crew.listen(1.0):
                if said.kind is Kind.DEATH:
                    lost |= _entries_of(said.job)
                    continue
                for answer in map(_Answer._make, said.message):
                    measured = answer.measured and Measured.unpack(answer.measured)
                    size += measured.size if measured else 0
                    if answer.head is not None:
                        heads[answer.entry] = Looked._make((*answer.head, measured or None))
                    elif measured:
                        parts.setdefault(answer.entry, []).append(measured)
                if progress is not None:
                    progress(len(heads), size)
    finally:
        crew.close(now=True)
    for index in range(len(looked), end):
        if index in lost or index not in heads:
            (heads[index],) = looking.look_at((index,))
        elif whole := heads[index].measured:
            for part in parts.get(index, ()):
                whole.add(part)
    return [heads[index] for index in range(end)]


def _work(looking: Looking, link: Link) -> None:
    """The main function of a worker: examine batches of entries, and directories given away."""
    looking.sharing = lambda entry: Sharing(
        link.is_wanted, lambda given, path: link.give(_Part(entry, path), given)
    )
    for message, descriptor in link.jobs():
        if descriptor < 0:
            indices = range(*_Batch._make(message))
            looks = zip(indices, looking.look_at(indices), strict=True)
            link.answer(tuple(_Answer(index, one[:-1], _packed(one)) for index, one in looks))
        else:
            part = _Part._make(message)
            measured = looking.measure(part.entry, descriptor, part.where)
            link.answer((_Answer(part.entry, None, measured.pack()),))


def _packed(looked: Looked) -> Packed | None:
    return None if looked.measured is None else looked.measured.pack()


def _entries_of(job: Job) -> set[int]:
    """The entries that a worker was examining when it died."""
    if job.descriptor >= 0:
        return {_Part._make(job.message).entry}
    return set(range(*_Batch._make(job.message)))
