"""Finds what files, mostly tests, replace or watch while other code runs: functions of the standard
library, and the system's temporary directory.

Searches the text, so that few files are parsed. A false match makes a safe rewrite unsafe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .path_likes import ANY_ARGUMENT, FIRST_ARGUMENT, NAMED, RETURN_TARGET, RUN

PLACE: Final = "tempfile.tempdir"
"""Stands for the system's temporary directory, which a file sets or inspects."""

ERRORS: Final = "subprocess.SubprocessError"
"""Stands for the errors of processes, which a file catches to show or read the command."""
LOGGED: Final = "logging.LogRecord"
"""Stands for the arguments of log messages, which a file reads."""
NAMES: Final = "builtins.globals"
"""Stands for the names and the source of other code, which a file inspects."""
OWN_NAMES: Final = "builtins.dir"
"""Stands for the names of a file, which it inspects itself."""

_REPLACING: Final = (b"patch", b"setattr(")
_CATCHING: Final = (b"except", b".cmd", b"raises(", b"assertRaises")
_NAMING: Final = (
    *(b"globals()", b"dir(", b"vars(", b"[__name__]", b"getmembers", b"getsource", b"__dict__"),
    *(b"f_locals", b"f_globals", b"fire.Fire"),
)
_PLACING: Final = (b"gettempdir", b"TMPDIR", b"tempdir", b"fs")
_TEXT: Final = re.compile(rb"""\b(?:\w*patch|setattr|spy|stub)\(\s*["'][\w.]*?(\w+)\.(\w+)["']""")
_NAMED: Final = re.compile(
    rb"""\b(?:setattr|object|spy|stub)\(\s*(?:\w+\.)*(\w+),\s*["'](\w+)["']"""
)
_SEVERAL: Final = re.compile(rb"""\bmultiple\(\s*["']?(?:\w+\.)*(\w+)["']?,\s*([^\n]*)""")
_KEYWORD: Final = re.compile(rb"\b(\w+)\s*=")
_SET: Final = re.compile(
    rb"^[ \t]*(?:os\.)?(builtins|os|path|shutil|subprocess|time)\.(\w+)[ \t]*=[^=]", re.MULTILINE
)
_SETTING: Final = (b"builtins.", b"os", b"path.", b"shutil", b"subprocess", b"time.", b"glob")
_SET_WHOLE: Final = re.compile(
    rb"^[ \t]*(?:\w+\.)*(\w+)\.(glob|os|shutil|subprocess)[ \t]*=[^=]", re.MULTILINE
)
_PLACE: Final = re.compile(
    rb"""\bTMPDIR\b|\btempfile\.tempdir\s*=[^=]|["']tempdir["']|\bpyfakefs\b"""
    rb"""|\bdef test\w*\((?:[^)\n]*,[ \t]*)?fs\b"""
    rb"""|\b(?:listdir|scandir|walk|i?glob)\([^\n]*\bgettempdirb?\("""
    rb"""|\bgettempdir\(\)\)*\.(?:iterdir|r?glob)\("""
)
_ERRORS: Final = re.compile(
    rb"\bexcept\b[^\n]*\b(?:(?:Base)?Exception|(?:CalledProcess|Subprocess|TimeoutExpired)\w*)\b"
    rb"[^\n]*\bas\b|\.cmd\b|\b(?:raises|assertRaises\w*)\("
    rb"[^\n]*(?:\bException|CalledProcess|Subprocess|TimeoutExpired)"
)
_OWN_NAMES: Final = re.compile(
    rb"\bglobals\(\)(?!\[)|\b(?:dir|vars)\(\)|\bsys\.modules\[__name__\]|\bfire\.Fire\(\)"
)
_ANY_NAMES: Final = re.compile(rb"\bgetmembers\(|\bgetsource\w*\(|\bf_(?:locals|globals)\b")
_LOGGED: Final = re.compile(rb"\brec(?:ord)?s?(?:\[[^\]\n]*\])?\.args\b")
_NAMES_OF: Final = re.compile(rb"\b(?:dir|vars)\((\w+)\)|\b(\w+)\.__dict__\b")
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
    rb"""|["' ](?:\./)?\.tmp/(\w*[*?\[][^"'\s]*)"""
)

_IN_PATH: Final = re.compile(
    rb"""["']([\w./-]{3,30})["'][ \t]+(?:not[ \t]+)?in[ \t]+"""
    rb"(?:(?:str|os\.fspath|fspath)\(|\w*(?:path|root|dir|file)\w*\b|[a-z]\b)"
)
_LISTED: Final = re.compile(
    rb"^[^\n]*\.parts\b[^\n]*|^[ \t]*_?[A-Z][A-Z_]+\b[^=\n]*=[^=\n]*[{(\[][^)}\]]*", re.MULTILINE
)
"""Matches a list of names that code may look for in the parts of a path."""
_SHORT: Final = re.compile(rb"""["']([\w.-]{3,30})["']""")

_OWNERS: Final = frozenset({"Path", "builtins", "fcntl", "io", "os", "path", "pathlib", "tempfile"})
_HARMLESS: Final = frozenset(
    {"chdir", "cpu_count", "environ", "expanduser", "expandvars", "get_terminal_size", "getcwd"}
    | {"getenv", "getlogin", "isatty", "kill", "popen", "putenv", "startfile", "system", "uname"}
    | {"walk", "TemporaryDirectory"}
)
_NEEDED: Final = frozenset({"shutil.rmtree", "sys.platform", "time.time", "time.time_ns"})
_SINKS: Final = frozenset(
    part
    for one in (*ANY_ARGUMENT, *FIRST_ARGUMENT, *NAMED, *RETURN_TARGET, *RUN)
    for part in (one.rpartition(".")[2], one.partition(".")[0])
)


def find(data: bytes) -> Iterator[tuple[str, int]]:
    """What a file replaces or watches, as the last two parts of its dotted name or one of the names
    above, and the position.
    """
    if any(word in data for word in _REPLACING):
        for match in (*_TEXT.finditer(data), *_NAMED.finditer(data)):
            yield _joined(match, match[2]), match.start()
        for match in _SEVERAL.finditer(data):
            for name in _KEYWORD.findall(match[2]):
                yield _joined(match, name), match.start()
    if any(word in data for word in _SETTING):
        for match in (*_SET.finditer(data), *_SET_WHOLE.finditer(data)):
            yield _joined(match, match[2]), match.start()
    if b".args" in data and b"record" in data:
        for match in _LOGGED.finditer(data):
            yield LOGGED, match.start()
    if any(word in data for word in _CATCHING):
        for match in _ERRORS.finditer(data):
            yield ERRORS, match.start()
    if any(word in data for word in _NAMING):
        for match in _OWN_NAMES.finditer(data):
            yield OWN_NAMES, match.start()
        for match in (*_ANY_NAMES.finditer(data), *_names_of(data)):
            yield NAMES, match.start()
    if any(word in data for word in _PLACING):
        for match in (*_PLACE.finditer(data), *_listed(data, _HELD[0])):
            yield PLACE, match.start()


def _joined(match: re.Match[bytes], name: bytes) -> str:
    return f"{match[1].decode('latin-1')}.{name.decode('latin-1')}"


def matter(swap: str) -> bool:
    """Whether a rewrite may depend on `swap`."""
    return is_needed(swap) or swap in (ERRORS, LOGGED) or swap.rpartition(".")[2] in _SINKS


def matter_elsewhere(swap: str) -> bool:
    """Whether a rewrite of another file may depend on `swap`."""
    return swap != OWN_NAMES and matter(swap)


def is_needed(swap: str) -> bool:
    """Whether `swap` may be used to make or delete a directory."""
    owner, _, name = swap.partition(".")
    return swap in _NEEDED or (owner in _OWNERS and name not in _HARMLESS)


def spell(swap: str) -> str:
    """What is done with `swap`, as a part of a message."""
    if swap == PLACE:
        return "sets or looks at the system's temporary directory"
    if swap in (NAMES, OWN_NAMES):
        return "looks at the names or the source of code"
    return f"replaces {swap}"


def _names_of(data: bytes) -> Iterator[re.Match[bytes]]:
    """The places where a file lists the names in a module that it imports."""
    for match in _NAMES_OF.finditer(data):
        if _is_imported(data, match[1] or match[2]):
            yield match


def _is_imported(data: bytes, name: bytes) -> bool:
    """Whether an import binds `name`, or may do so because its module is known only at run time."""
    said = rb"^[ \t]*(?:from|import)\b[^\n]*\b%b\b|\b%b\s*=\s*[\w.]*import_module\("
    return re.search(said % (name, name), data, re.MULTILINE) is not None


def imported(data: bytes) -> tuple[str, ...]:
    """The modules that a file imports, as written, and the scripts that it names."""
    found = {*_IMPORT.findall(data), *_STARTED.findall(data)}
    if b"import_module(" in data and (b"getmembers(" in data or any(_names_of(data))):
        found.add(b"?")  # any
    return tuple(sorted(name.decode("latin-1") for name in found))


def patterns(data: bytes) -> tuple[str, ...]:
    """The glob patterns with which a file looks for directories directly in `.tmp`, where the
    legacy helper makes them.
    """
    if b".tmp" not in data:
        return ()
    found = {
        ((match[match.lastindex] if match.lastindex else b"") or b"*").decode("latin-1")
        for match in (*_SCRATCH.finditer(data), *_listed(data, _HELD[1]))
    }
    # `**` also finds the directories in their new place. Placeholders of f-strings may be anything.
    return tuple(sorted(re.sub(r"\{[^}]*\}", "*", one) for one in found if "**" not in one))


def may_match(pattern: str, label: str) -> bool:
    """Whether a glob pattern may match a directory whose name begins with `label`."""
    plain = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return plain.startswith(label) or f"{label}_".startswith(plain)


def sought(data: bytes) -> tuple[str, ...]:
    """The strings that a file looks for in the text or the parts of a path."""
    found = set(_IN_PATH.findall(data))
    if b".parts" in data:
        for match in _LISTED.finditer(data):
            found.update(_SHORT.findall(match[0]))
    return tuple(sorted(word.decode("latin-1") for word in found))


def _listed(data: bytes, held: bytes) -> Iterator[re.Match[bytes]]:
    """The places where the code lists the content of a directory that a variable holds."""
    names = b"|".join({match[1] for match in re.finditer(held, data, re.MULTILINE)})
    if names:
        looks = rb"""\b(?:%b)\)?\.(?:iterdir\(|glob\(\s*f?["']([^"'\n]*))""" % names
        looks += rb"|\b(?:listdir|scandir)\([^\n)]*\b(?:%b)\b" % names
        yield from re.finditer(looks, data)
