"""Makes the JSON Schemas of both settings files from the keys: `python3 -m tests.reference`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from common.temp.choices import ALL, PRESETS
from common.temp.core.policy import STRATEGIES
from common.temp.core.units import HOUR, MINUTE, spell_duration, spell_interval
from common.temp.store.settings.keys import CATEGORY_KEYS, JSON_KEYS, KEYS, Key, Kind
from common.temp.store.settings.settings import Settings
from common.temp.store.system.archive_formats import FORMATS
from tests.support import REPOSITORY

SCHEMAS: Final = REPOSITORY / "common" / "temp" / "schemas"

_SIZE: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*([KkMmGgTtPp]?[Bb]|[KkMmGgTtPp][Ii][Bb])?\s*$"
_INTERVAL: Final = (
    r"^\s*(([1-9][0-9]{0,4}|[1-4][0-9]{5}|5[01][0-9]{4}|52[0-4][0-9]{3}|525[0-5][0-9]{2}|525600)"
    r"\s*m|([1-9][0-9]{0,2}|[1-7][0-9]{3}|8[0-6][0-9]{2}|87[0-5][0-9]|8760)\s*h"
    r"|([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])\s*d|([1-9]|[1-4][0-9]|5[0-2])\s*w)\s*$"
)
_DURATION: Final = r"^\s*[0-9]{1,6}\s*[mhdw]\s*$"
_SHARE: Final = r"^\s*(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%\s*$"
_PATH: Final = r"^[^\u0000]+$"
_FILES: Final = r"^(?!/|(\.?/)*\.te?mp/+[^/])(?!([\s\S]*/)?\.\.(/|$))(?!(\.?/)*\.?$)"
_GLOB: Final = r"^(?!/|(\./?)?$)(?!(.*/)?\.\.(/|$))(?!.*(\*\*[^/]|[^/]\*\*)).*$"
_NUMBER: Final = {"type": "number", "minimum": 0}

KINDS: Final[dict[Kind, dict[str, Any]]] = {
    "strategy": {"enum": [*STRATEGIES]},
    "duration": {"type": "string", "pattern": _DURATION, "examples": ["90m", "36h", "7d", "2w"]},
    "hours": _NUMBER,
    "days": _NUMBER,
    "gb": _NUMBER,
    "number": _NUMBER,
    "count": {"type": "integer", "minimum": 0},
    "size": {
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE}],
        "examples": ["20GiB", "500MB", 1 << 30],
    },
    "interval": {"type": "string", "pattern": _INTERVAL, "examples": ["1d", "12h"]},
    "share": {"type": "string", "pattern": _SHARE, "examples": ["85%"]},
    "flag": {"type": "boolean"},
    "path": {"type": "string", "pattern": _PATH},
    "paths": {"type": "array", "items": {"type": "string", "pattern": _PATH}},
    "texts": {"type": "array", "items": {"type": "string"}},
    "files": {"type": "array", "items": {"type": "string", "pattern": _FILES}},
    "globs": {"type": "array", "items": {"type": "string", "pattern": _GLOB}},
    "textfile": {"type": "string", "pattern": r"^[^\u0000]*[^/\u0000]\.prom$"},
    "format": {"enum": [*FORMATS]},
    "presets": {"type": "array", "items": {"enum": [*PRESETS, ALL]}},
    "command": {
        "anyOf": [
            {
                "type": "array",
                "minItems": 1,
                "items": [{"type": "string", "pattern": r"^[^\u0000]+$"}],
                "additionalItems": {"type": "string", "pattern": r"^[^\u0000]*$"},
            },
            {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"},
        ]
    },
}
"""What a value of each kind is."""

_CATEGORY_NAME: Final = {
    "allOf": [
        {
            "pattern": r"^[^./\\\u0000-\u001f\u007f][^/\\\u0000-\u001f\u007f]*$",
            "maxLength": 255,
        },
        {
            "not": {
                "pattern": r"^([Cc][Oo][Nn]([Ii][Nn]\$|[Oo][Uu][Tt]\$)?|[Pp][Rr][Nn]|[Aa][Uu][Xx]"
                r"|[Nn][Uu][Ll]|([Cc][Oo][Mm]|[Ll][Pp][Tt])[1-9¹²³]) *(\.|$)"
            }
        },
        {"not": {"const": "CACHEDIR.TAG"}},
    ]
}


def pyproject() -> dict[str, Any]:
    """The schema of `[tool.tempkeep]`."""
    schema = _document("the table [tool.tempkeep] of pyproject.toml", KEYS)
    of_category = {key: _value(key, CATEGORY_KEYS[key]) for key in CATEGORY_KEYS}
    of_category["strategy"]["enum"].remove("archive")  # which is for all categories together
    schema["properties"]["category"] = {
        "description": "Tables for single categories, by their names, such as "
        "[tool.tempkeep.category.cache].",
        "type": "object",
        "propertyNames": _CATEGORY_NAME,
        "additionalProperties": {
            "description": "What holds for one category instead of what holds for all.",
            "type": "object",
            "additionalProperties": False,
            "allOf": _not_twice(CATEGORY_KEYS),
            "properties": of_category,
        },
    }
    return schema


def cleanup_config() -> dict[str, Any]:
    """The schema of `cleanup_config.json`, in which null is as if the key were not there."""
    schema = _document("cleanup_config.json", JSON_KEYS)
    for value in schema["properties"].values():
        if "enum" in value:
            value["enum"].append(None)
        elif "anyOf" in value:
            value["anyOf"].append({"type": "null"})
        else:
            value["type"] = [value["type"], "null"]
    return schema


def _document(title: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"tempkeep: {title}",
        "description": "How scratch directories are kept and cleaned.",
        "type": "object",
        "additionalProperties": False,
        "allOf": _not_twice(keys),
        "properties": {key: _value(key, said) for key, said in keys.items()},
    }


def _not_twice(keys: Mapping[str, Key]) -> list[dict[str, Any]]:
    """That of two keys which set the same, only one is given."""
    pairs = combinations(keys, 2)
    return [
        {"not": {"required": [one, other]}}
        for one, other in pairs
        if keys[one].field == keys[other].field
    ]


def _value(key: str, said: Key) -> dict[str, Any]:
    value: dict[str, Any] = {
        "description": _description(said),
        **json.loads(json.dumps(KINDS[said.kind])),
    }
    default = Settings._field_defaults.get(said.field)
    if default is not None:
        timed = said.kind in ("duration", "hours")
        value["default"] = spelled_time(default, said.kind) if timed else default
    return value


def spelled_time(seconds: float, kind: Kind) -> object:
    """`seconds` as a setting of this kind has them."""
    return round(seconds / HOUR) if kind == "hours" else spell_interval(round(seconds / MINUTE))


def _description(said: Key) -> str:
    """Sentences: what the key means, in which unit, and what else there is to know."""
    (general, *_) = (key for key in (*KEYS.values(), said) if key.field == said.field)
    unit = f", {said.means}" if said.means and said.means != general.means else ""
    text = f"{general.means[0].upper()}{general.means[1:]}{unit}. {general.more}".strip()
    if said.kind == "strategy":
        numbers = (
            f"{name} keeps the {policy.max_count} newest of each name, "
            f"{spell_duration(policy.max_age or 0)}"
            for name, policy in STRATEGIES.items()
        )
        text += f" {'; '.join(numbers)}."
    return text.replace("`", "")


FILES: Final = {
    SCHEMAS / "pyproject.schema.json": pyproject,
    SCHEMAS / "cleanup_config.schema.json": cleanup_config,
}
"""What makes each file."""


def spelled(path: Path) -> str:
    """What the file at `path` is to hold."""
    return json.dumps(FILES[path](), indent=2, ensure_ascii=False) + "\n"
