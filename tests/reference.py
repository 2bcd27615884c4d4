"""Generates parts of the docs, and the schemas, from the code: `python3 -m tests.reference`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from textwrap import fill
from typing import Final

from common.temp.core.policy import STRATEGIES
from common.temp.core.units import spell_duration
from common.temp.errors import EXIT_CODES
from common.temp.store.artefacts.presets import PRESETS
from common.temp.store.settings.keys import CATEGORY_KEYS, ENVIRONMENT, JSON_KEYS, KEYS, Kind
from common.temp.store.settings.settings import Settings
from common.temp.store.system.archive_formats import FORMATS
from tests import schemas
from tests.docs import DOCS

VALUES: Final[dict[str, str]] = {
    "strategy": "a strategy",
    "duration": 'a time: `"90m"`, `"7d"`',
    "hours": "a number of hours",
    "count": "a whole number",
    "size": 'a size: `"20GiB"`, `"500MB"`',
    "interval": 'a time: `"6h"`, `"1d"`',
    "share": 'a percentage: `"85%"`',
    "number": "a number",
    "flag": "`true`, `false`",
    "path": "a directory",
    "paths": "a list of directories",
    "texts": "a list of globs",
    "files": "a list of globs",
    "globs": "a list of globs",
    "presets": "a list of presets",
    "command": "a list of words, or one text",
    "textfile": 'a file: `"metrics.prom"`',
    "format": ", ".join(f'`"{name}"`' for name in FORMATS),
}
"""How the value of each kind of key is written in `[tool.tempkeep]`."""


def settings() -> str:
    """The table of all keys."""
    rows = [("key", "value", "default", "means", "in `cleanup_config.json`")]
    for key, (field, kind, means, _) in KEYS.items():
        first = next(name for name, other in KEYS.items() if other.field == field)
        elsewhere = ", ".join(
            f"`{name}`{f', {other.means}' if other.kind != kind else ''}"
            for name, other in JSON_KEYS.items()
            if other.field == field and key == (name if name in KEYS else first)
        )
        means = means if first == key else f"`{first}`, {means}"
        rows.append((f"`{key}`", VALUES[kind], _default(field, kind), means, elsewhere))
    for key in sorted(CATEGORY_KEYS.keys() - KEYS.keys()):
        _, kind, means, _ = CATEGORY_KEYS[key]
        rows.append((f"`{key}`", VALUES[kind], "", f"in a category table only: {means}", ""))
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    keys = ", ".join(f"`{key}`" for key in CATEGORY_KEYS)
    categories = f"A table `[tool.tempkeep.category.<name>]` can have {keys}."
    categories += (
        " It makes `.tmp/<name>` a category. Its `exclude` and `keep_files` add to those for all"
    )
    categories += " categories."
    return "\n".join([*lines, "", fill(categories, 100, break_on_hyphens=False)])


def _default(field: str, kind: Kind) -> str:
    default = Settings._field_defaults.get(field)
    if default is None or default == ():
        return ""
    if kind in ("duration", "hours"):
        default = schemas.spelled_time(default, kind)
    return f"`{json.dumps(default)}`"


def strategies() -> str:
    """The table of the strategies."""
    rows = ["| strategy | newest kept of each name | kept for |", "|---|---|---|"]
    for name, policy in STRATEGIES.items():
        age = spell_duration(policy.max_age or 0).replace(" d", " days")
        then = "; entries move to `.tmp-archive`" if name == "archive" else ""
        rows.append(f"| {name} | {policy.max_count} | {age}{then} |")
    return "\n".join(rows)


def presets() -> str:
    """The table of the presets."""
    rows = ["| preset | artefacts | found |", "|---|---|---|"]
    for name, preset in PRESETS.items():
        if preset.globs:
            rows.append(f"| {name} | {_listed(preset.globs)} | by these names |")
        found: dict[str, list[str]] = {}
        for made in preset.made:
            where = f"beside {_listed(made.beside)}" if made.beside else ""
            marks = f"with {_listed(made.holds)} in it" if made.holds else ""
            found.setdefault(", ".join(filter(None, [where, marks])), []).extend(made.names)
        rows += [f"| {name} | {_listed(names)} | {how} |" for how, names in found.items()]
    return "\n".join(rows)


def _listed(globs: Iterable[str]) -> str:
    return ", ".join(f"`{glob}`" for glob in globs)


def exit_codes() -> str:
    """The table of the exit codes."""
    rows = [f"| {code} | {means} |" for code, means in EXIT_CODES.items()]
    return "\n".join(["| exit code | |", "|---|---|", *rows])


def environment() -> str:
    """The table of the variables."""
    rows = [f"| `{name}` | {means} |" for name, means in ENVIRONMENT.items()]
    return "\n".join(["| variable | |", "|---|---|", *rows])


PARTS: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "settings.md": {"settings": settings, "exit codes": exit_codes, "environment": environment},
    "cleaning-policies.md": {"strategies": strategies, "presets": presets},
}
"""What makes each part of each page."""


def renewed(page: str, text: str) -> str:
    """`text` of that page with what is between each pair of marks made anew."""
    for name, make in PARTS[page].items():
        begin, end = f"<!-- {name}: python3 -m tests.reference -->", f"<!-- end of {name} -->"
        text, found = re.subn(
            f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})",
            lambda _, make=make: f"\n{make()}\n\n",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        assert found == 1, f"docs/{page}: the marks of {name!r} are gone"
    return text


if __name__ == "__main__":
    for page in PARTS:
        path = DOCS / page
        path.write_text(renewed(page, path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in schemas.FILES:
        path.write_text(schemas.spelled(path), encoding="utf-8")
