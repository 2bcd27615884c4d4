"""What files replace or watch while other code runs, above all tests: functions of the standard
library, and the system's temporary directory.

It is found by its text, so that few files are parsed. What only looks like it makes a rewrite
unsafe that could be safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .path_likes import ANY_ARGUMENT, FIRST_ARGUMENT, NAMED, RETURN_TARGET, RUN

PLACE: Final = "tempfile.tempdir"
"""Stands for the system's temporary directory, which a file sets or looks at."""

_REPLACING: Final = (b"patch", b"setattr(")
_PLACING: Final = (b"gettempdir", b"TMPDIR", b"tempdir", b"pyfakefs")
_TEXT: Final = re.compile(rb"""\b(?:\w*patch|setattr|spy|stub)\(\s*["']([\w.]*?)(\w+)\.(\w+)["']""")
_NAMED: Final = re.compile(
    rb"""\b(?:setattr|object|spy|stub)\(\s*(?:\w+\.)*(\w+),\s*["'](\w+)["']"""
)
_SEVERAL: Final = re.compile(rb"""\bmultiple\(\s*["']?(?:\w+\.)*(\w+)["']?,\s*([^\n]*)""")
_KEYWORD: Final = re.compile(rb"\b(\w+)\s*=")
_SET: Final = re.compile(
    rb"^[ \t]*(?:os\.)?(builtins|os|path|shutil|subprocess|time)\.(\w+)[ \t]*=[^=]", re.MULTILINE
)
_PLACE: Final = re.compile(
    rb"""\bTMPDIR\b|\btempfile\.tempdir\s*=[^=]|["']tempdir["']|\bpyfakefs\b"""
    rb"""|\b(?:listdir|scandir|walk|i?glob)\([^\n]*\bgettempdirb?\("""
    rb"""|\bgettempdir\(\)\)*\.(?:iterdir|r?glob)\("""
)
_HELD: Final = (
    rb"""^[ \t]*(\w+)[ \t]*=[ \t]*[^\n]*\bgettempdir\(\)""",
    rb"""^[ \t]*(\w+)[ \t]*=[ \t]*[\w.]*Path\(["']\.tmp/?["']\)""",
)
"""Variables that hold the system's temporary directory, and the project's `.tmp`."""

_IMPORT: Final = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([\w.]+)", re.MULTILINE)
_STARTED: Final = re.compile(rb"""["'/ ](\w+)\.py\b""")

_SCRATCH: Final = re.compile(
    rb"""["']\.tmp/?["']\s*\)*\.(?:iterdir\(|glob\(\s*f?["']([^"'\n]*))"""
    rb"""|\b(?:listdir|scandir)\([\w.(\s]*["']\.tmp\b|\bi?glob\(\s*f?["']\.tmp/([^"'\n]*)"""
)

_OWNERS: Final = frozenset({"Path", "builtins", "fcntl", "io", "os", "path", "pathlib", "tempfile"})
_HARMLESS: Final = frozenset(
    {"chdir", "cpu_count", "environ", "expanduser", "expandvars", "get_terminal_size", "getcwd"}
    | {"getenv", "getlogin", "isatty", "kill", "popen", "putenv", "startfile", "system", "uname"}
    | {"walk", "TemporaryDirectory"}
)
_NEEDED: Final = frozenset({"shutil.rmtree", "sys.platform", "time.time", "time.time_ns"})
_SINKS: Final = frozenset(
    one.rpartition(".")[2] for one in (*ANY_ARGUMENT, *FIRST_ARGUMENT, *NAMED, *RETURN_TARGET, *RUN)
)


def find(data: bytes) -> Iterator[tuple[str, int]]:
    """What a file replaces, as the last two parts of its name, and where; `PLACE` too."""
    if any(word in data for word in _REPLACING):
        for match in _TEXT.finditer(data):
            yield f"{match[2].decode('latin-1')}.{match[3].decode('latin-1')}", match.start()
        for match in _NAMED.finditer(data):
            yield f"{match[1].decode('latin-1')}.{match[2].decode('latin-1')}", match.start()
        for match in _SEVERAL.finditer(data):
            for name in _KEYWORD.findall(match[2]):
                yield f"{match[1].decode('latin-1')}.{name.decode('latin-1')}", match.start()
    if b"test" in data:
        for match in _SET.finditer(data):
            yield f"{match[1].decode('latin-1')}.{match[2].decode('latin-1')}", match.start()
    if any(word in data for word in _PLACING):
        for match in (*_PLACE.finditer(data), *_listed(data, _HELD[0])):
            yield PLACE, match.start()


def matter(swap: str) -> bool:
    """Whether a rewrite may depend on it."""
    return is_needed(swap) or swap.rpartition(".")[2] in _SINKS


def is_needed(swap: str) -> bool:
    """Whether making or deleting a directory may use it."""
    owner, _, name = swap.partition(".")
    return swap in _NEEDED or (owner in _OWNERS and name not in _HARMLESS)


def spell(swap: str) -> str:
    """What is done with it, as a part of a message."""
    if swap == PLACE:
        return "sets or looks at the system's temporary directory"
    return f"replaces {swap}"


def imported(data: bytes) -> tuple[str, ...]:
    """The modules that a file imports, as they are written, and the scripts that it names."""
    found = {*_IMPORT.findall(data), *_STARTED.findall(data)}
    return tuple(sorted(name.decode("latin-1") for name in found))


def patterns(data: bytes) -> tuple[str, ...]:
    """How a file looks for directories in `.tmp` itself, where the legacy helper makes them."""
    if b".tmp" not in data:
        return ()
    found = {
        (match[1] or match[match.re.groups] or b"*").decode("latin-1")
        for match in (*_SCRATCH.finditer(data), *_listed(data, _HELD[1]))
    }
    # `**` finds them where they are now, too. What is filled in at run time may be anything.
    return tuple(sorted(re.sub(r"\{[^}]*\}", "*", one) for one in found if "**" not in one))


def _listed(data: bytes, held: bytes) -> Iterator[re.Match[bytes]]:
    """Where the code lists what is directly in a directory that a variable holds."""
    names = b"|".join({match[1] for match in re.finditer(held, data, re.MULTILINE)})
    if names:
        looks = rb"""\b(?:%b)\)?\.(?:iterdir\(|glob\(\s*f?["']([^"'\n]*))""" % names
        looks += rb"|\b(?:listdir|scandir)\([^\n)]*\b(?:%b)\b" % names
        yield from re.finditer(looks, data)
