"""The checklist of a migration: what is done and what is left to do."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from ..core.layouts import read_name
from ..report.text import plain
from ..store.project.project import OLD_ROOT_NAME, SCRATCH_NAMES, containing_project, root_of
from .files import Ground, ignoring
from .output import Seen
from .rules import by_code


class Item(NamedTuple):
    """One line: a condition for the end of a migration, and what to do while it is not met."""

    text: str
    remedy: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the condition is met."""
        return not self.remedy

    def __str__(self) -> str:
        return f"[x] {self.text}" if self.is_met else f"[ ] {self.text}: {self.remedy}"


_CALLS, _COPIES, _IGNORED, _TASKS = "TK001", "TK002", "TK900", "TK901"
_SHOWN: Final = 3


def checklist(
    paths: Sequence[str], grounds: Sequence[Ground], seen: Sequence[Seen], codes: Collection[str]
) -> list[Item]:
    """The items that the rules `codes` decide. If `codes` are all rules, also the items about the
    projects that hold the requested `paths` and the files that were read.
    """
    every = set(by_code())
    of_rules = (
        ("nothing calls the copied helper get_temp_dir", {_CALLS}),
        ("no copy of that helper is left", {_COPIES}),
        (
            "no code makes temporary directories by hand",
            every - {_CALLS, _COPIES, _IGNORED, _TASKS},
        ),
        ("git ignores .tmp and .temp", {_IGNORED}),
        ("every tasks.py has the shared tasks", {_TASKS}),
    )
    items = []
    for text, some in of_rules:
        if some & set(codes):
            remedy = _left(seen, some)
            if _IGNORED in some and not remedy:
                remedy = _some([*chain(*map(_let_in, grounds))], "add to .gitignore:")
            items.append(Item(text, remedy))
    if set(codes) >= every:
        projects = sorted({*map(_project, paths or ["."]), *chain(*map(_projects, grounds))})
        items.append(Item("directories made by the helper are in a category", _unadopted(projects)))
        items.append(Item("no project has an older .temp", _old_roots(projects)))
        unreadable = [plain(shown) for shown, result in seen if result.problem]
        items.append(Item("every file was read", _some(unreadable, "fix or remove")))
    return items


def checklist_text(items: Sequence[Item]) -> str:
    """The checklist as lines."""
    met = sum(item.is_met for item in items)
    return "\n".join([f"checklist: {met} of {len(items)} met", *map(str, items)])


def _left(seen: Sequence[Seen], codes: Collection[str]) -> str:
    """What to do with the findings of these rules; "" if there are none."""
    found = [
        one for _, result in seen for one in result.of("left", "convertible") if one.code in codes
    ]
    safe = sum(one.status == "convertible" for one in found)
    unsafe = sum(one.status == "left" and one.fix == "unsafe" for one in found)
    by_hand = len(found) - safe - unsafe
    ways = (
        (safe, "`temp-migrate --write` rewrites {}"),
        (unsafe, "`temp-migrate --write --unsafe` rewrites {}"),
        (by_hand, "{} to change by hand, as listed"),
    )
    return ", ".join(way.format(count) for count, way in ways if count)


def _project(path: str) -> Path:
    """The project that holds `path`, or the directory itself."""
    whole = Path(os.path.realpath(path))
    directory = whole if whole.is_dir() else whole.parent
    return containing_project(directory) or directory


def _projects(ground: Ground) -> Iterator[Path]:
    """The projects in which files were selected, and the top if some are in no project."""
    projects = ground.projects
    found = set()
    for path in ground.selected:
        above = os.path.dirname(path)
        while above and above not in projects:
            above = os.path.dirname(above)
        found.add(above)
    return (Path(ground.top, one) for one in found)


def _let_in(ground: Ground) -> Iterator[str]:
    """The scratch directories of the projects in `ground` that no `.gitignore` ignores."""
    for project in sorted(_projects(ground)) if ground.git else ():
        for name in SCRATCH_NAMES:
            path = project / name
            below = os.path.relpath(path / "x", ground.top)
            if path.is_dir() and not ignoring(ground.top, below):
                yield str(path)


def _unadopted(projects: Sequence[Path]) -> str:
    flat = [
        os.path.join(root_of(project), name)
        for project in projects
        for name in _directories(root_of(project))
        if read_name(name)[1] is not None
    ]
    return _some(flat, "`temp-adopt` moves")


def _old_roots(projects: Sequence[Path]) -> str:
    old = [str(project / OLD_ROOT_NAME) for project in projects]
    return _some([one for one in old if _directories(one)], "`clean` removes")


def _directories(above: str | Path) -> list[str]:
    """The names of the directories in `above`, sorted; none if it cannot be listed."""
    try:
        with os.scandir(above) as items:
            return sorted(one.name for one in items if one.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _some(paths: Sequence[str], verb: str) -> str:
    """`verb` with the first few paths and how many more there are; "" if there are none."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    shown = ", ".join(plain(_relative(path)) for path in paths[:_SHOWN])
    return f"{verb} {shown}{more}" if paths else ""


def _relative(path: str) -> str:
    below = os.path.relpath(path)
    return path if below.startswith("..") else below
