"""Finding the paths that the words of a command line may name."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from .mount_views import Views
from .procfs import looking_into

# The code that every word passes through uses no regular expressions. Those that few words need
# are compiled by `re` at first use: compiling takes longer than looking at all the words.

_BETWEEN: Final = bytes.maketrans(b"=:@?#!", b",,,,,,")
"""Separators of paths in one word: `--out=DIR`, `DIR:/data`, `type=bind,source=DIR`, `-d@F`; and
what ends a path in a URL: `file:F?mode=ro`, `file:F#part`, `jar:file:F!/x`."""

_AROUND: Final = bytes.maketrans(b"'\"`;&|()<>{}[]", b" " * 14)
"""Delimiters of paths in a longer text: `cat DIR/a; (cd 'DIR' && make)`."""

_SPELLED: Final = rb"""(?:[^\s'"\\;&|()<>]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+"""
"""A word of a script, which may contain quotes and backslashes."""

_SPELLING: Final = rb"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)"""
_QUOTES: Final = b"'\"\\"

_LITERAL: Final = rb"""'([^']*)'|("(?:[^"\\]|\\.)*")"""
"""A string literal in code or in JSON."""

_ODD: Final = b"=:@?#!,%'\"`;&|()<>{}[] \t\n\r\f\v"
"""Characters of which a word has at least one if it may be more than a single path (a word that
begins with a dash always may be)."""

_ENCODED: Final = rb"%(?!00)([0-9A-Fa-f]{2})"
"""A percent-encoded byte of a URL."""

_RUNS_MODULE: Final = rb"-[A-Za-z]*m"
_MODULE: Final = rb"\w+(\.\w+)*"

_MANY: Final = 16
"""In a word with more parts than this (code, a class path), separators are not part of a name."""

_LONGEST_OPTION: Final = 40
"""How far into an option an attached path may begin, in bytes."""

_FIRST: Final = 100
"""How many words are examined in full before the rest are prefiltered."""

_LISTED: Final = 2000
"""How many names of a directory are read to find symlinks; if it has more, every word counts."""


class Words:
    """Finds the paths that command line words may name, during one look at all processes."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._tops = tuple(dict.fromkeys((views.place, views.spelled)))
        self._links: dict[bytes, frozenset[bytes] | None] = {}
        self._said: dict[tuple[object, ...], tuple[bytes, ...]] = {}
        self._outside: dict[bytes, bool | None] = {}
        self._first: frozenset[bytes] | None = None

    def paths(
        self,
        words: Sequence[bytes],
        base: bytes,
        bases: Sequence[bytes],
        *,
        is_here: bool,
        is_ours: bool,
    ) -> Iterator[tuple[int, bytes]]:
        """The absolute paths that `words` may name for a process whose working directory is `base`,
        each with the index of its word; `bases` are all its possible working directories.

        A word without a slash counts only if `base` is in the directory that is examined
        (`is_here`), or has a symlink of that name that leads there. Symlinks are checked only for
        a process in this mount namespace (`is_ours`).
        """
        links = self._links_in(base) if is_ours and not is_here else frozenset()
        for index, word in enumerate(words):
            is_plain = b"/" not in word and b"%" not in word
            if is_plain and not is_here and not links and links is not None:
                continue
            if index >= _FIRST and is_ours and not is_here and self._is_elsewhere(word, base):
                continue
            known = word, base, *bases, is_here, is_ours
            if known not in self._said:  # many processes have the same words
                found = self._paths(word, base, bases, links, is_here=is_here)
                self._said[known] = tuple(dict.fromkeys(found))
            yield from ((index, path) for path in self._said[known])

    def _paths(
        self,
        word: bytes,
        base: bytes,
        bases: Sequence[bytes],
        links: Collection[bytes] | None,
        *,
        is_here: bool,
    ) -> Iterator[bytes]:
        for part in named_in(word):
            has_slash = b"/" in part
            if has_slash or (part and (is_here or links is None or part in links)):
                yield os.path.join(base, part)
            if has_slash or (part[:1] == b"-" and (is_here or links)):
                yield from self._amid(part, base, bases, links or (), is_here=is_here)

    def _amid(
        self,
        part: bytes,
        base: bytes,
        bases: Sequence[bytes],
        links: Collection[bytes],
        *,
        is_here: bool,
    ) -> Iterator[bytes]:
        """The absolute paths that begin inside `part`: with the directory itself, after an option
        of several letters, or after a prefix that only its program understands (`$HOME/x/.tmp/y`).
        """
        for top in self._tops:
            if (start := part.find(top + b"/", 1)) > 0:
                yield part[start:]
        if part.startswith(b"//"):  # from a URL with a host name
            yield b"/" + part[2:].partition(b"/")[2]
            return
        if part.startswith(b"/") and self._begins_somewhere(part):
            return  # otherwise it may follow `${HOME}` or `$(pwd)`
        if part.startswith(b"-"):
            for link in links:
                start = part.find(link, 2)
                if start > 0 and part[start + len(link) :][:1] in (b"", b"/"):
                    yield os.path.join(base, part[start:])
            for start in range(3, min(len(part), _LONGEST_OPTION) if is_here else 0):
                if os.path.lexists(os.path.join(base, part[start:].partition(b"/")[0])):
                    yield os.path.join(base, part[start:])
        for top in self._tops:
            yield from self._after_its_name(part, top, base, bases)

    def _after_its_name(
        self, part: bytes, top: bytes, base: bytes, bases: Sequence[bytes]
    ) -> Iterator[bytes]:
        """The paths that `part` may mean if it contains the name of the directory `top`."""
        name = top.rpartition(b"/")[2] + b"/"
        own, found, rest = part, *(b"/" + part).partition(b"/" + name)[1:]
        if not found and (part.startswith(b"-") or name.startswith(b".")):
            _, found, rest = part.partition(name)
            own = found + rest
        if not found:
            return
        if own != part:
            yield os.path.join(base, own)
        if not any(self._views.may_ask(one) and _is_there(one, own) for one in bases):
            path = os.path.join(top, rest.lstrip(b"/"))
            if os.path.lexists(path) or os.path.lexists(os.path.dirname(path)):
                yield path

    def _begins_somewhere(self, path: bytes) -> bool:
        """Whether the first part of the absolute `path` exists."""
        if self._first is None:
            self._first = frozenset()
            with contextlib.suppress(OSError):
                self._first = frozenset(os.listdir(b"/"))  # a `stat` might wait for a server
        return not self._first or path[1:].partition(b"/")[0] in self._first

    def _is_elsewhere(self, word: bytes, base: bytes) -> bool:
        """Whether `word` is a single path that certainly does not lead below the directory: if a
        command line has thousands of files, most are in one other directory.
        """
        names = (top.rpartition(b"/")[2] for top in self._tops)
        if any(b"/%s/" % name in b"/" + word for name in names):
            return False
        if b"/" not in word or _is_odd(word):
            return False
        path = os.path.join(base, word)
        above = path.rpartition(b"/")[0] or b"/"
        if above not in self._outside:
            self._outside[above] = self._is_outside(above)
        try:
            if self._outside[above]:
                os.readlink(path)
        except OSError:
            return True  # not a symlink
        return self._outside[above] is None

    def _is_outside(self, directory: bytes) -> bool | None:
        """Whether no path to it leads through the directory; `None` if a lookup may hang."""
        ways = [os.path.normpath(directory), *self._views.followed(directory)]
        for view in self._views.of("self"):
            if any(way == view.place or view.relative(way) is not None for way in ways):
                return False
        return True if self._views.may_ask(ways[-1]) else None

    def _links_in(self, base: bytes) -> frozenset[bytes] | None:
        """The names of the symlinks in `base` that lead into the directory; `None` if unknown."""
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


def _is_there(base: bytes, path: bytes) -> bool:
    return os.path.lexists(os.path.join(base, path))


def modules_in(words: Sequence[bytes]) -> Iterator[bytes]:
    """The possible paths of a module that Python runs (`-m NAME`), relative to where Python was
    started: it may import more from there later.
    """
    for option, name in itertools.pairwise(words):
        if re.fullmatch(_RUNS_MODULE, option) and re.fullmatch(_MODULE, name):
            path = name.replace(b".", b"/")
            yield from (path, path + b".py")


def named_in(word: bytes) -> list[bytes]:
    """The substrings of `word` that may be paths, absolute or not: all of it, or a part of an
    option, a URL or a longer text. A name may itself contain a separator (`--out=lr=0.1,bs=3`).
    """
    if not _is_odd(word):
        return [word]
    found: dict[bytes, None] = {}
    decoded = word
    if b"%" in word:
        decoded = re.sub(_ENCODED, lambda byte: bytes.fromhex(byte[1].decode()), word)
    for text in dict.fromkeys((word, decoded)):
        pieces = text, *text.translate(_AROUND).split(), *_spelled(text), *_literals(text)
        for piece in dict.fromkeys(pieces):
            found.update(dict.fromkeys(_named_in(piece)))
    return list(found)


def _is_odd(word: bytes) -> bool:
    return word.startswith(b"-") or _has_any(word, _ODD)


def _has_any(text: bytes, signs: bytes) -> bool:
    return len(text.translate(None, signs)) < len(text)


def _spelled(text: bytes, depth: int = 2) -> Iterator[bytes]:
    """The words of a script that have quotes or backslashes, unquoted; also those of a script
    nested in such a word.
    """
    if not depth or not _has_any(text, _QUOTES):
        return
    for word in re.findall(_SPELLED, text, re.DOTALL):
        if _has_any(word, _QUOTES):
            plain = re.sub(_SPELLING, _unquoted, word, flags=re.DOTALL)
            yield plain
            yield from _spelled(plain, depth - 1)


def _literals(text: bytes) -> Iterator[bytes]:
    """The string literals in `text`; JSON may escape non-ASCII letters (backslash and `u00fc`)."""
    if not _has_any(text, b"'\""):
        return
    for single, double in re.findall(_LITERAL, text, re.DOTALL):
        yield single or double[1:-1]
        if b"\\" in double:
            import json  # needed by few words

            with contextlib.suppress(ValueError):
                yield os.fsencode(json.loads(os.fsdecode(double), strict=False))


def _unquoted(match: re.Match[bytes]) -> bytes:
    literal, quoted, escaped = match.groups()
    if quoted is not None:
        return re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL)
    return literal if literal is not None else bytes(escaped)


def _named_in(word: bytes) -> Iterator[bytes]:
    for part in _parts(word):
        yield part
        if part.startswith(b"-"):
            if not part.startswith(b"--"):
                yield part[2:]  # `-oDIR`
            if b"/" in part:
                yield part[part.index(b"/") :]  # `-isystem/DIR`
        elif part.startswith(b"///"):
            yield part.lstrip(b"/")  # `sqlite:///FILE` is relative


def _parts(word: bytes) -> Iterator[bytes]:
    parts = word.translate(_BETWEEN).split(b",")
    if len(parts) > _MANY:
        yield word
        yield from parts
        return
    start = 0
    for index, part in enumerate(parts):
        end = start
        for further in parts[index:]:
            end += len(further)
            yield word[start:end]
            end += 1
        start += len(part) + 1
