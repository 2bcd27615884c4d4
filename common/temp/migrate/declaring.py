"""Adds the package to the dependencies of a project, in the style of the file, or says why not.

Files are edited as text, so that nothing else changes, then parsed again to check that.
"""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from .dependencies import DISTRIBUTION, Place, is_it
from .settings import read_bytes

_MADE: Final = re.compile(r"^#.*\b(?:auto-?generated|pip-compile)\b", re.IGNORECASE | re.MULTILINE)
_HEADER: Final = re.compile(r"^[ \t]*\[[^\[\]\n]+\][ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)


class Added(NamedTuple):
    """A file with the package added on a `line` (from 1), or why it must be added by hand."""

    before: bytes = b""
    after: bytes = b""
    line: int = 0
    why_not: str = ""


def add(project: str, place: Place) -> Added:
    """The file of `place` with the package in it."""
    path = os.path.join(project, place.file)
    try:
        before = read_bytes(path)
        text = before.decode()
    except (OSError, ValueError) as error:
        return Added(why_not=str(error))
    if place.file == "setup.py":
        return Added(before, why_not="setup.py is code")
    if place.file.endswith((".txt", ".in")):
        after, why_not = _to_requirements(text)
    elif place.file.endswith(".cfg"):
        after, why_not = _to_ini(text, place.keys)
    else:
        after, why_not = _to_toml(text, place.keys)
    if why_not:
        return Added(before, why_not=why_not)
    old, new = text.splitlines(), after.splitlines()
    same = next((i for i, said in enumerate(new) if old[i : i + 1] != [said]), 0)
    line = next(i for i, said in enumerate(new[same:], same + 1) if DISTRIBUTION in said)
    return Added(before, after.encode(), line)


# -- TOML -----------------------------------------------------------------------------------------


def _to_toml(text: str, keys: tuple[str, ...]) -> tuple[str, str]:
    """`text` with the package in the list or table `keys`, and why it was not added, if so."""
    try:
        wanted = tomllib.loads(text)
    except ValueError as error:
        return text, f"it is not valid TOML: {error}"
    *above, key = keys
    holder = wanted
    for name in above:
        holder = holder.get(name, {})
    by_key = isinstance(holder.get(key), dict)
    if by_key:
        after = _with_key(text, keys)
    else:
        after = _with_element(text, above, key, missing=key not in holder)
    try:
        told = tomllib.loads(after)
    except ValueError:
        told = {}
    if not _is_only_added(wanted, told, keys, by_key):
        return text, "it is written in a way that is not edited here"
    return after, ""


def _is_only_added(
    old: dict[str, Any], new: dict[str, Any], keys: tuple[str, ...], by_key: bool
) -> bool:
    """Whether `new` is `old` with the package in the list or table `keys`, and nothing else."""
    inner = new
    for name in keys[:-1]:
        inner = inner.get(name, {})
    listed = inner.get(keys[-1])
    if by_key:
        if not isinstance(listed, dict) or listed.pop(DISTRIBUTION, None) is None:
            return False
    else:
        if not isinstance(listed, list) or listed.count(DISTRIBUTION) != 1:
            return False
        listed.remove(DISTRIBUTION)
        holder = old
        for name in keys[:-1]:
            holder = holder.setdefault(name, {})
        holder.setdefault(keys[-1], [])
    return old == new


def _section(text: str, names: list[str] | tuple[str, ...]) -> tuple[int, int] | None:
    """Where the lines of the table `names` begin and end; `None` if it has no header."""
    for header in _HEADER.finditer(text):
        said = header.group().partition("#")[0].strip()[1:-1]
        if [part.strip().strip("\"'") for part in said.split(".")] == list(names):
            following = _HEADER.search(text, header.end())
            return header.end() + 1, following.start() if following else len(text)
    return None


def _with_key(text: str, keys: tuple[str, ...]) -> str:
    span = _section(text, keys)
    if span is None:
        return text
    start, end = span
    end = start + len(text[start:end].rstrip())
    newline = _newline(text)
    indent = re.match(r"[ \t]*", text[start:])
    break_before = "" if text[:end].endswith("\n") else newline
    line = f'{break_before}{indent.group() if indent else ""}{DISTRIBUTION} = "*"'
    return text[:end] + line + (text[end:] or newline)


def _with_element(text: str, above: list[str], key: str, *, missing: bool) -> str:
    span = _section(text, above)
    if span is None:
        return text
    start, end = span
    if missing:
        end = start + len(text[start:end].rstrip())
        newline = _newline(text)
        return f'{text[:end]}{newline}{key} = ["{DISTRIBUTION}"]{text[end:] or newline}'
    found = re.compile(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=[ \t]*\[", re.MULTILINE).search(
        text, start, end
    )
    return _in_array(text, found.end()) if found is not None else text


class _Element(NamedTuple):
    start: int
    end: int


def _in_array(text: str, opened: int) -> str:
    """`text` with the package in the array that begins before `opened`."""
    elements, closed = _elements(text, opened)
    if closed < 0:
        return text
    quote = text[elements[0].start] if elements and text[elements[0].start] in "\"'" else '"'
    item = f"{quote}{DISTRIBUTION}{quote}"
    if not elements:
        return text[:opened] + item + text[opened:]
    written = [text[one.start : one.end] for one in elements]
    index = _position([one.strip("\"'") for one in written])
    newline = _newline(text)
    if index < len(elements):
        start = elements[index].start
        line = text.rfind("\n", 0, start) + 1
        indent = text[line:start]
        if indent.strip():
            return f"{text[:start]}{item}, {text[start:]}"
        top = _above_comments(text, line, elements[index - 1].end if index else opened)
        return f"{text[:top]}{indent}{item},{newline}{text[top:]}"
    last = elements[-1]
    line = text.rfind("\n", 0, last.start) + 1
    indent = text[line : last.start]
    rest = text[last.end : closed]
    trailing = rest.lstrip().startswith(",")
    if indent.strip():
        return f"{text[: last.end]}, {item}{text[last.end :]}"
    stop = text.find("\n", last.end)
    if stop < 0 or stop > closed:
        return f"{text[: last.end]},{newline}{indent}{item}{text[last.end :]}"
    comma = "" if trailing else ","
    tail = "," if trailing else ""
    inside = text[last.end : stop + 1]
    return f"{text[: last.end]}{comma}{inside}{indent}{item}{tail}{newline}{text[stop + 1 :]}"


def _above_comments(text: str, line: int, stop: int) -> int:
    """The start of the comment lines directly above the line that begins at `line`."""
    while line > stop:
        above = text.rfind("\n", 0, line - 1) + 1
        if above <= stop or not text[above:line].lstrip().startswith("#"):
            break
        line = above
    return line


def _elements(text: str, opened: int) -> tuple[list[_Element], int]:
    """The elements of a TOML array, and the position of its `]` (-1 if not found)."""
    found: list[_Element] = []
    begun = last = -1
    depth = 0
    for start, end, kind in _tokens(text, opened):
        if kind == "]" and depth == 0:
            if begun >= 0:
                found.append(_Element(begun, last))
            return found, start
        if kind == "," and depth == 0:
            if begun >= 0:
                found.append(_Element(begun, last))
            begun = -1
            continue
        depth += (kind in "[{") - (kind in "]}")
        if begun < 0:
            begun = start
        last = end
    return found, -1


_TOKEN: Final = re.compile(
    r"#[^\n]*|\"\"\"|'''|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|[\[\]{},]|[^\s\[\]{},\"'#]+"
)


def _tokens(text: str, start: int) -> Iterator[tuple[int, int, str]]:
    for token in _TOKEN.finditer(text, start):
        said = token.group()
        if said.startswith("#"):
            continue
        yield token.start(), token.end(), said if said in "[]{}," else "value"


def _position(requirements: list[str]) -> int:
    """The index for the package: in alphabetical order if the others are, else at the end."""
    names = [re.split(r"[^A-Za-z0-9._-]", one.strip())[0].lower() for one in requirements]
    if len(names) > 1 and names == sorted(names):
        return sum(name < DISTRIBUTION for name in names)
    return len(names)


# -- others ---------------------------------------------------------------------------------------


def _to_requirements(text: str) -> tuple[str, str]:
    if _MADE.search(text):
        return text, "a tool generates it; add tempkeep to the tool's input and run the tool again"
    if "--hash" in text:
        return text, "it has hashes; add tempkeep with its hash"
    newline = _newline(text)
    lines = text.splitlines(keepends=True)
    plain = [
        index
        for index, line in enumerate(lines)
        if re.match(r"[A-Za-z0-9]", line) and not line.rstrip().endswith("\\")
    ]
    place = _position([lines[index] for index in plain])
    index = plain[place] if place < len(plain) else (plain[-1] + 1 if plain else len(lines))
    if index and not lines[index - 1].endswith("\n"):
        lines[index - 1] += newline
        lines.insert(index, DISTRIBUTION)
    else:
        lines.insert(index, DISTRIBUTION + newline)
    return "".join(lines), ""


def _to_ini(text: str, keys: tuple[str, ...]) -> tuple[str, str]:
    odd = "it is written in a way that is not edited here"
    section, key = keys
    header = re.search(rf"^\[{re.escape(section)}\][^\n]*\n", text, re.MULTILINE)
    found = header and re.compile(rf"^{re.escape(key)}[ \t]*[=:]([^\n]*)\n", re.MULTILINE).search(
        text, header.end()
    )
    if not found or found[1].strip():
        return text, odd
    lines: list[tuple[int, str]] = []
    position = found.end()
    for line in text[position:].splitlines(keepends=True):
        if not line.startswith((" ", "\t")):
            break
        lines.append((position, line))
        position += len(line)
    listed = [(start, line) for start, line in lines if not line.lstrip().startswith(("#", ";"))]
    if not listed:
        return text, odd
    index = _position([line for _, line in listed])
    indent = listed[0][1][: len(listed[0][1]) - len(listed[0][1].lstrip())]
    end = listed[-1][0] + len(listed[-1][1])
    at = listed[index][0] if index < len(listed) else end
    missing = "" if text[:at].endswith("\n") else _newline(text)
    after = f"{text[:at]}{missing}{indent}{DISTRIBUTION}{_newline(text)}{text[at:]}"
    return (after, "") if _ini_gains(text, after, section, key) else (text, odd)


def _ini_gains(before: str, after: str, section: str, key: str) -> bool:
    told: list[dict[str, dict[str, str]]] = []
    for text in (before, after):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error:
            return False
        told.append({name: dict(parser.items(name)) for name in parser.sections()})
    old, new = told
    gained = new.get(section, {}).get(key, "").splitlines()
    new.get(section, {})[key] = "\n".join(one for one in gained if not is_it(one))
    return DISTRIBUTION in gained and old == new


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
