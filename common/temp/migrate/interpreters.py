"""Why a file cannot use the package: the interpreter that runs it, or modules beside it."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

from .dependencies import DISTRIBUTION
from .settings import remembered

NEEDED: Final = frozenset(
    {"_strptime", "ast", "atexit", "calendar", "contextlib", "copy", "ctypes", "dataclasses"}
    | {"datetime", "dis", "enum", "fcntl", "hashlib", "importlib", "inspect", "ipaddress", "json"}
    | {"linecache", "logging", "ntpath", "opcode", "pathlib", "pwd", "queue", "select", "signal"}
    | {"socket", "string", "struct", "subprocess", "textwrap", "threading", "token", "tokenize"}
    | {"tomllib", "traceback", "typing", "urllib", "uuid"}
)
"""Modules of the standard library that the package imports and `tempfile` may not."""

_SHEBANG: Final = re.compile(rb"#![ \t]*(\S+)([^\n]*)")
_NO_SITE: Final = re.compile(rb"[ \t]-[A-Za-z]*S(?![-\w])")
_INLINE: Final = re.compile(rb"^# /// script[ \t]*\r?\n((?:#[^\n]*\n)*?)# ///", re.MULTILINE)
_LISTED: Final = re.compile(rb"""["']%b\b""" % DISTRIBUTION.encode())


@remembered
def hidden_standard(directory: str) -> str:
    """The file in `directory` that hides a module which the package needs; "" if none does."""
    try:
        names = os.listdir(directory)
    except OSError:
        return ""
    if "__init__.py" in names:
        return ""  # modules in a package have longer names
    for name in sorted(names):
        path = os.path.join(directory, name)
        module = name.removesuffix(".py")
        is_package = module == name and os.path.isfile(os.path.join(path, "__init__.py"))
        if module in NEEDED and (is_package or name.endswith(".py")):
            return path
    return ""


def why_without(data: bytes) -> str:
    """Why the script with this text may run where the package is missing; "" if it shows none."""
    if inline := _INLINE.search(data):
        if not _LISTED.search(inline[1]):
            return f"first add {DISTRIBUTION} to the dependencies of its `# /// script`"
        return ""
    shebang = _SHEBANG.match(data)
    if shebang is None:
        return ""
    if _NO_SITE.search(shebang[2].rstrip() + b" "):
        return "its first line runs it without installed packages"
    interpreter = shebang[1].decode("latin-1")
    if interpreter.endswith("env") or not os.path.isabs(interpreter):
        return ""
    if os.path.dirname(os.path.dirname(interpreter)) == sys.prefix:
        return ""
    return f"its first line runs it with {interpreter}; install {DISTRIBUTION} there, or use env"


@remembered
def is_of_a_tool(prefix: str) -> bool:
    """Whether pipx or uv made the environment for a single program."""
    marks = ("pipx_metadata.json", "uv-receipt.toml")
    cached = re.search(r"[/\\](?:archive|environments)-v\d+[/\\]", prefix + os.sep)
    return bool(cached) or any(os.path.isfile(os.path.join(prefix, name)) for name in marks)
