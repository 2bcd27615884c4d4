"""Which paths the words of a command line may name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

from .procfs import looking_into
from .views import Views

_BETWEEN: Final = re.compile(rb"[=:,@]")
"""What is between paths in one word: `--out=DIR`, `DIR:/data`, `type=bind,source=DIR`, `-d@F`."""

_MANY: Final = 16
"""In a word of more parts than that (code, a class path), no name has such a sign in it."""

_LISTED: Final = 2000
"""How many names of a directory are read to find links; with more, each word is asked for."""


class Words:
    """Words of command lines, and the paths that they may name in one look at all processes."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._links: dict[bytes, frozenset[bytes] | None] = {}

    def paths(
        self, words: Sequence[bytes], base: bytes, *, is_here: bool, is_ours: bool
    ) -> Iterator[tuple[int, bytes]]:
        """The absolute paths that `words` may name to a process that works in `base`, each with the
        index of its word.

        What has no slash in it counts only if `base` lies in the directory that is looked at
        (`is_here`), or has a link of that name that leads there; of links, only a process can tell
        that sees the mounts which this one does (`is_ours`).
        """
        links = self._links_in(base) if is_ours and not is_here else frozenset()
        for index, word in enumerate(words):
            if not is_here and not links and links is not None and b"/" not in word:
                continue
            for part in named_in(word):
                if b"/" in part or (part and (is_here or links is None or part in links)):
                    yield index, os.path.join(base, part)

    def _links_in(self, base: bytes) -> frozenset[bytes] | None:
        """The names of the links in `base` that lead into the directory; `None` if unknown."""
        if base not in self._links:
            self._links[base] = self._found_in(base)
        return self._links[base]

    def _found_in(self, base: bytes) -> frozenset[bytes] | None:
        found: set[bytes] = set()
        if not self._views.may_ask(base):
            return frozenset()
        try:
            with looking_into(base) as items:
                for number, (path, item) in enumerate(items):
                    if number == _LISTED:
                        return None
                    if item.is_symlink() and self._views.leads_in(path):
                        found.add(os.path.basename(path))
        except PermissionError:
            return None
        except OSError:
            pass
        return frozenset(found)


def named_in(word: bytes) -> list[bytes]:
    """What in `word` may be a path, absolute or not. A name may have a sign in it that elsewhere
    parts paths (`--out=lr=0.1,bs=3`).
    """
    if word[:1] != b"-" and not _BETWEEN.search(word):
        return [word]
    return list(dict.fromkeys(_named_in(word)))


def _named_in(word: bytes) -> Iterator[bytes]:
    for part in _parts(word):
        if part.startswith(b"-"):
            if not part.startswith(b"--"):
                yield part[2:]  # `-oDIR`
            if b"/" in part:
                yield part[part.index(b"/") :]  # `-isystem/DIR`
        else:
            yield part
            if part.startswith(b"///"):
                yield part.lstrip(b"/")  # `sqlite:///FILE` is relative


def _parts(word: bytes) -> Iterator[bytes]:
    signs = [match.start() for match in _BETWEEN.finditer(word)]
    starts, ends = [0, *(sign + 1 for sign in signs)], [*signs, len(word)]
    if len(ends) > _MANY:
        yield word
        yield from (word[start:end] for start, end in zip(starts, ends, strict=True))
        return
    for index, start in enumerate(starts):
        yield from (word[start:end] for end in ends[index:])
