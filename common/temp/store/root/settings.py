"""What is configured: defaults < pyproject.toml < cleanup_config.json < environment < arguments.

Both files are read in the monorepo's root and then in the project, which has the last word.
Whatever cannot be used ends the command before anything is touched.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from ...core.disposal import Disposal
from ...core.fields import Unreadable
from ...core.layout import PIPELINE, SCRATCH, STORE, check_category, is_inside
from ...core.retention import STRATEGIES, Policy
from ...core.units import DAY, HOUR, read_count, read_number, read_share, read_size, spell_share
from ...errors import InvalidName, InvalidSettings, TempError
from ..project.place import PROJECT
from ..project.project import ROOT_NAME, find_monorepo, find_project, root_of
from ..system.reading import parse_toml, read_file, read_json
from .allocation import layout_of

if TYPE_CHECKING:
    from ..system.compression import ArchiveFormat

PYPROJECT: Final = "pyproject.toml"
CONFIG_JSON: Final = "cleanup_config.json"
ENV_PREFIX: Final = "TEMPKEEP_"
_LARGEST_FILE: Final = 4 << 20
ENVIRONMENT: Final[dict[str, str]] = {
    f"{ENV_PREFIX}<KEY>": "a setting: `TEMPKEEP_MAX_AGE_HOURS=24`; commas separate list items",
    PROJECT: "the project, whatever the working directory is: an existing directory",
    "TMPDIR": "the system's temporary directory, for `auto_cleanup_dir` and `temp_working_dir`",
    "XDG_STATE_HOME": "where scratch without a project goes, instead of `~/.local/state`",
    "PYTEST_DEBUG_TEMPROOT": "where pytest makes `tmp_path`; inside a root, that entry is in use "
    "while pytest runs",
    "PYTEST_KEEP_TEMPS": "`1` keeps the directories of tests, and prints where they are",
    "NO_COLOR": "switches colours off, if it is set",
    "CI": "switches colours and progress off, if it is set",
    "GITHUB_ACTIONS": "`true` prints problems as annotations",
    "GITHUB_STEP_SUMMARY": "the file that a summary is added to, in a GitHub workflow",
}
"""The variables that are used, for `docs/settings.md`."""

_Kind: TypeAlias = Literal[
    "strategy",
    "hours",
    "days",
    "count",
    "size",
    "gb",
    "share",
    "number",
    "flag",
    "path",
    "paths",
    "texts",
    "globs",
    "format",
]


class Key(NamedTuple):
    """A key of the settings: the field of `Settings` that it sets, of what kind its value is, and
    what it means. `python3 -m tests.reference` writes `docs/settings.md` from these.
    """

    field: str
    kind: _Kind
    means: str


KEYS: Final[dict[str, Key]] = {
    "strategy": Key("strategy", "strategy", "a named policy; the keys below replace its numbers"),
    "max_age_hours": Key("max_age", "hours", "max age: entries unchanged for longer go"),
    "max_count": Key(
        "max_count", "count", "max count: all but the newest so many of each name in a category go"
    ),
    "max_total_size": Key("max_total_size", "size", "max total size of everything that stays"),
    "min_free_space": Key("min_free_space", "size", "min free space on the disk of the root"),
    "high_water": Key("high_water", "share", "when more of the disk is in use, entries go"),
    "low_water": Key("low_water", "share", "they go until less than this is in use"),
    "keep_last": Key(
        "keep_last", "count", "keep last: the newest so many of each name always stay"
    ),
    "keep_within_hours": Key(
        "keep_within", "hours", "keep within: entries that changed within this time stay"
    ),
    "exclude": Key(
        "exclude", "texts", "entries whose name, category or `category/name` matches stay"
    ),
    "dry_run": Key(
        "dry_run", "flag", "a clean only says what it would do, unless `--force` is given"
    ),
    "archive": Key("archive", "flag", "entries that go are archived"),
    "archive_location": Key(
        "archive_location", "path", "the directory of the archive; without it, `.tmp-archive`"
    ),
    "archive_format": Key("archive_format", "format", "the format of archived entries"),
    "undo_hours": Key("undo_for", "hours", "how long `temp-clean --undoable` can be undone"),
    "foreign_hours": Key(
        "foreign_for",
        "hours",
        "how long an unchanged entry stays whose owner cannot be checked; else 24",
    ),
    "roots": Key("roots", "paths", "directories of jobs, files or runs to list and clean too"),
    "projects": Key(
        "projects", "globs", "the projects of the monorepo, in addition to uv's workspace members"
    ),
    "artefacts": Key("artefacts", "texts", "what `inv clean` removes"),
    "workers": Key(
        "workers", "count", "how many processes scan and delete; 0 finds the best number"
    ),
}
"""The keys of `[tool.tempkeep]` and, in capitals after `TEMPKEEP_`, of the environment."""

JSON_KEYS: Final[dict[str, Key]] = {
    "strategy": KEYS["strategy"],
    "max_age_days": Key("max_age", "days", "in days"),
    "max_runs_to_keep": Key("max_count", "count", ""),
    "archive_before_delete": Key("archive", "flag", ""),
    "archive_location": KEYS["archive_location"],
    "archive_format": KEYS["archive_format"],
    "dry_run": KEYS["dry_run"],
    "exclude_patterns": Key("exclude", "texts", ""),
    "min_free_space_gb": Key("min_free_space", "gb", "in GiB"),
    "foreign_hours": KEYS["foreign_hours"],
}
"""The keys of `cleanup_config.json`; what they mean is said above, but for another unit."""

CATEGORY_KEYS: Final[dict[str, Key]] = {
    **{
        key: KEYS[key]
        for key in (
            "strategy",
            "max_age_hours",
            "max_count",
            "max_total_size",
            "keep_last",
            "keep_within_hours",
            "exclude",
        )
    },
    "cost": Key("cost", "number", "on a full disk, entries with a smaller cost go first; else 1"),
}
"""The keys that `[tool.tempkeep.category.<name>]` may have."""

DEFAULT_ARTEFACTS: Final = (
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "build/",
    "dist/",
    "*.egg-info",
    ".coverage",
    "htmlcov/",
)

_Layer: TypeAlias = dict[str, Any]


class Settings(NamedTuple):
    """What is configured for one project; durations in seconds, sizes in bytes, shares of 1.

    `roots` are directories of jobs, files or runs of a pipeline, beside the project's own root.
    `categories` holds what the tables of single categories set, by the names of these fields.
    `workers` is how many processes may scan and delete, 0 or `None` as many as serve.
    """

    project: Path
    strategy: str | None = None
    max_age: float | None = None
    max_count: int | None = None
    max_total_size: int | None = None
    min_free_space: int | None = None
    high_water: float | None = None
    low_water: float | None = None
    keep_last: int | None = None
    keep_within: float | None = None
    exclude: tuple[str, ...] = ()
    dry_run: bool = False
    archive: bool = False
    archive_location: str | None = None
    archive_format: ArchiveFormat = "dir"
    undo_for: float = DAY
    foreign_for: float | None = None
    roots: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("projects/*",)
    artefacts: tuple[str, ...] = DEFAULT_ARTEFACTS
    workers: int | None = None
    categories: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def policy(self) -> Policy:
        """The configured policy, which nominates nothing where no limit is configured."""
        base = Policy(
            max_age=self.max_age,
            max_count=self.max_count,
            max_total_size=self.max_total_size,
            min_free_space=self.min_free_space,
            high_water=self.high_water,
            low_water=self.low_water,
            exclude=self.exclude,
            keep_last=self.keep_last,
            keep_within=self.keep_within,
            foreign_for=self.foreign_for,
        )
        return base._replace(categories=self._by_category(base, _CATEGORY_FIELDS))

    def protections(self) -> Policy:
        """The configured policy without its limits, for commands that bring their own."""
        base = Policy(
            exclude=self.exclude,
            keep_last=self.keep_last,
            keep_within=self.keep_within,
            foreign_for=self.foreign_for,
        )
        return base._replace(categories=self._by_category(base, _PROTECTION_FIELDS))

    def _by_category(self, base: Policy, fields: frozenset[str]) -> tuple[tuple[str, Policy], ...]:
        # A size that holds for all entries together is not inherited: the base counts everything.
        own = base._replace(max_total_size=None)
        return tuple(
            (name, own._replace(**{key: value for key, value in said.items() if key in fields}))
            for name, said in sorted(self.categories.items())
        )

    @property
    def disposal(self) -> Disposal:
        """What becomes of entries that go."""
        return "archive" if self.archive else "delete"

    def other_roots(self) -> tuple[Path, ...]:
        """The absolute directories of `roots`, those of them that lie nowhere else twice."""
        paths = (self.project / os.path.expanduser(root) for root in self.roots)
        return tuple(dict.fromkeys(Path(os.path.abspath(path)) for path in paths))

    def archive_path(self) -> Path:
        """The absolute directory of the archive: `.tmp-archive` in the project if none is set."""
        return self.project / os.path.expanduser(self.archive_location or ".tmp-archive")


_PROTECTION_FIELDS: Final = frozenset({"cost", "exclude", "keep_last", "keep_within"})
"""Among them the cost, which names nothing by itself."""
_CATEGORY_FIELDS: Final = _PROTECTION_FIELDS | {"max_age", "max_count", "max_total_size"}


def with_limits_of(protections: Policy, limits: Policy) -> Policy:
    """`protections` with the limits of `limits`, in every category."""

    def limited(policy: Policy) -> Policy:
        return policy._replace(
            everything=limits.everything,
            max_age=limits.max_age,
            max_count=limits.max_count,
            spare_in_use=limits.spare_in_use,
            spare_work=limits.spare_work,
        )

    categories = tuple((name, limited(policy)) for name, policy in protections.categories)
    return limited(protections)._replace(categories=categories)


def load(
    project: Path, environment: Mapping[str, str] | None = None, *, config: Path | None = None
) -> Settings:
    """The settings of `project` (absolute). Raises `InvalidSettings`, naming file and key.

    The file `config` is read in place of the project's own `cleanup_config.json`.
    """
    environment = os.environ if environment is None else environment
    settings = Settings(project=project)
    monorepo = find_monorepo(project)
    for directory in dict.fromkeys((monorepo, project)):
        for layer, categories in _files(directory, config if directory == project else None):
            if directory != project:
                layer.pop("roots", None)  # which are the monorepo's own
            settings = _with_categories(_with(settings, layer), categories)
    return _checked(_with(settings, _environment(environment)))


def configured_foreign_for(root: Path) -> float:
    """The `foreign_hours`, in seconds, of the project in which `root` lies; 24 hours if none are.

    Raises `InvalidSettings`.
    """
    said = load(find_project(root)).foreign_for
    return DAY if said is None else said


def of_config(project: Path, said: Mapping[str, object], where: str) -> Settings:
    """The settings that `said`, with the keys of `cleanup_config.json`, makes all by itself.

    `where` names it in an error. Raises `InvalidSettings`.
    """
    return _checked(_with(Settings(project=project), _layer(said, JSON_KEYS, where)))


def check_config(said: Mapping[str, object], where: str) -> None:
    """Raise `InvalidSettings` if `said` could not stand in a `cleanup_config.json`."""
    _layer(said, JSON_KEYS, where)


def with_strategy(settings: Settings, name: str) -> Settings:
    """`settings` with the numbers of the strategy `name` in every category, whatever they said.

    What was to be archived still is.
    """
    layer: _Layer = {"strategy": name}
    given = _with(settings, layer)._replace(archive=settings.archive or name == "archive")
    return _with_categories(given, dict.fromkeys(settings.categories, layer))


def _checked(settings: Settings) -> Settings:
    project = settings.project
    high, low = settings.high_water, settings.low_water
    if low is not None and high is None:
        raise InvalidSettings(f"{project}: low_water: needs a high_water above it; set both")
    if low is not None and high is not None and low >= high:
        raise InvalidSettings(
            f"{project}: low_water: expected less than high_water, which is {spell_share(high)}, "
            f"got {spell_share(low)}"
        )
    root, archive = os.path.realpath(root_of(project)), os.path.realpath(settings.archive_path())
    if STORE in PurePath(archive).parts:
        raise InvalidSettings(
            f"{project}: archive_location: expected a directory outside {STORE}, "
            f"got {settings.archive_location!r}"
        )
    # There, what was archived would be an entry, and be archived into itself.
    if settings.archive_location is not None and is_inside(archive, root):
        raise InvalidSettings(
            f"{project}: archive_location: expected a directory outside {root_of(project)}, "
            f"got {settings.archive_location!r}"
        )
    for path in settings.other_roots():
        real = os.path.realpath(path)
        if is_inside(real, root):
            raise InvalidSettings(
                f"{project}: roots: {path} lies in {root_of(project)}, which is listed anyway; "
                "leave it out"
            )
        if not os.path.lexists(path):
            from ..project.misspelt import why_misspelt

            if why := why_misspelt(path, project, settings.other_roots()):
                raise InvalidSettings(f"{project}: roots: {why}")
        for key, inner in (
            *(("roots", other) for other in settings.other_roots()),
            ("archive_location", settings.archive_path()),
        ):
            is_the_same = key == "roots" and os.path.realpath(inner) == real
            if not is_the_same and _would_be_entry(inner, path):
                raise InvalidSettings(
                    f"{project}: {key}: {inner} lies in {path}, which is one of the roots, and "
                    "would be cleaned as one of its entries; choose another place"
                )
    for above in Path(archive).parents:
        if is_inside(os.path.realpath(project), str(above)):
            break  # what the project lies in, its archive may lie in
        is_root = above.name == ROOT_NAME or os.path.isdir(above / STORE)
        if is_root and _would_be_entry(Path(archive), above):
            raise InvalidSettings(
                f"{project}: archive_location: expected a directory outside {above}, "
                f"got {settings.archive_location!r}"
            )
    return settings


def _would_be_entry(inner: Path, root: Path) -> bool:
    """Whether `inner` would be an entry of `root`, or lie in one, or be `root` itself."""
    real, above = os.path.realpath(inner), os.path.realpath(root)
    if not is_inside(real, above):
        return False
    if real == above:
        return True
    name = os.path.relpath(real, above).split(os.sep)[0]
    try:
        default = SCRATCH if root.name == ROOT_NAME else PIPELINE
        return layout_of(root, default).holds(name, is_directory=True)
    except TempError:
        return False  # whatever sweeps it says so


def workspace_globs(monorepo: Path, settings: Settings) -> tuple[list[str], list[str]]:
    """The globs of the monorepo's projects and of those left out, uv's workspace included."""
    path = monorepo / PYPROJECT
    table: object = _read_toml(path, b"workspace")
    for key in ("tool", "uv", "workspace"):
        table = table.get(key, {}) if isinstance(table, dict) else {}
    said = table if isinstance(table, dict) else {}
    members, excluded = (
        _value(said.get(key, []), "globs", f"{path}: [tool.uv.workspace]: {key}")
        for key in ("members", "exclude")
    )
    return [*settings.projects, *members], [*excluded]


def _with(settings: Settings, layer: _Layer) -> Settings:
    name = layer.get("strategy")
    archive = settings.archive
    if name == "archive":
        archive = True
    elif name is not None and settings.strategy == "archive":
        archive = False  # it came with that strategy; one that was asked for by itself stays
    return settings._replace(**{"archive": archive, **_with_strategy(layer)})


def _with_strategy(layer: _Layer) -> _Layer:
    """`layer` with its strategy's numbers, which replace those of farther layers, and its own."""
    name = layer.get("strategy")
    if name is None:
        return layer
    policy = STRATEGIES[name]
    return {"max_age": policy.max_age, "max_count": policy.max_count, **layer}


def _with_categories(settings: Settings, tables: Mapping[str, _Layer]) -> Settings:
    merged = {name: dict(said) for name, said in settings.categories.items()}
    for name, layer in tables.items():
        merged.setdefault(name, {}).update(_with_strategy(layer))
    return settings._replace(categories=merged)


# -- sources ------------------------------------------------------------------------------------


def _files(
    directory: Path, config: Path | None = None
) -> Iterator[tuple[_Layer, Mapping[str, _Layer]]]:
    path = directory / PYPROJECT
    said = _read_toml(path, b"tempkeep").get("tool", {})
    if isinstance(said, dict) and "tempkeep" in said:
        table = said["tempkeep"]
        where = f"{path}: [tool.tempkeep]"
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: expected a table, got {table!r}")
        rest = {key: value for key, value in table.items() if key != "category"}
        yield _layer(rest, KEYS, where), _categories(table.get("category", {}), path)
    path = config or directory / CONFIG_JSON
    loaded = _read_json(path)
    if loaded is None and config is not None:
        raise InvalidSettings(f"{config}: no such file; give the path of a {CONFIG_JSON}")
    if loaded is not None:
        yield _layer(loaded, JSON_KEYS, str(path)), {}


def _categories(tables: object, path: Path) -> dict[str, _Layer]:
    where = f"{path}: [tool.tempkeep.category]"
    if not isinstance(tables, dict):
        raise InvalidSettings(f"{where}: expected tables, got {tables!r}")
    found: dict[str, _Layer] = {}
    for name, table in tables.items():
        where = f"{path}: [tool.tempkeep.category.{_shown(name)}]"
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: expected a table, got {table!r}")
        try:
            check_category(name)
        except InvalidName as error:
            raise InvalidSettings(f"{where}: {error}") from None
        found[name] = _layer(table, CATEGORY_KEYS, where)
        if found[name].get("strategy") == "archive":
            # Its numbers alone would delete for good what somebody wanted archived.
            raise InvalidSettings(
                f"{where}: strategy: a single category cannot be archived; expected another "
                "strategy here, or archive = true in [tool.tempkeep]"
            )
    return found


def _environment(environment: Mapping[str, str]) -> _Layer:
    said: dict[str, Any] = {}
    for name, text in environment.items():
        if name.startswith(ENV_PREFIX) and name != PROJECT:
            key = name.removeprefix(ENV_PREFIX).lower()
            said[key] = _from_text(text, KEYS[key][1]) if key in KEYS else text
    return _layer(said, KEYS, "environment", spell=lambda key: f"{ENV_PREFIX}{key.upper()}")


def _from_text(text: str, kind: _Kind) -> object:
    """What the text of a variable stands for; a text that is nothing of the kind stays one."""
    if kind == "flag":
        lowered = text.strip().lower()
        return {"1": True, "true": True, "0": False, "false": False}.get(lowered, text)
    if kind in ("texts", "globs", "paths"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in ("hours", "count"):
        try:
            return float(text) if kind == "hours" else int(text)
        except ValueError:
            return text
    return text


def _read_toml(path: Path, needed: bytes) -> dict[str, Any]:
    """The parsed file, or nothing if it is missing or does not even mention `needed`."""
    try:
        data = read_file(path, _LARGEST_FILE, follow=True)
        return parse_toml(data) if needed in data else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        loaded = read_json(path, _LARGEST_FILE, follow=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Unreadable as problem:
        raise InvalidSettings(f"{path}: {problem}") from None
    if not isinstance(loaded, dict):
        raise InvalidSettings(f"{path}: expected an object, got {reprlib.repr(loaded)}")
    return loaded


# -- values -------------------------------------------------------------------------------------


def _layer(
    said: Mapping[str, object],
    keys: Mapping[str, Key],
    where: str,
    spell: Callable[[str], str] = str,
) -> _Layer:
    layer: _Layer = {}
    for key, value in said.items():
        if key not in keys:
            raise InvalidSettings(
                f"{where}: {_shown(spell(key))} is not a key; "
                f"expected one of {', '.join(map(spell, keys))}"
            )
        name, kind, _ = keys[key]
        layer[name] = _value(value, kind, f"{where}: {spell(key)}")
    return layer


def _value(value: object, kind: _Kind, what: str) -> Any:
    if kind in ("hours", "days", "gb", "count", "number") and isinstance(value, str):
        unit = "whole number" if kind == "count" else "number"
        raise InvalidSettings(f"{what}: expected a {unit} of 0 or more, got {value!r}")
    if kind == "hours":
        return read_number(value, what, scale=HOUR)
    if kind == "days":
        return read_number(value, what, scale=DAY)
    if kind == "gb":
        return int(read_number(value, what, scale=1024**3))
    if kind == "count":
        return read_count(value, what)
    if kind == "size":
        return read_size(value, what)
    if kind == "number":
        return read_number(value, what)
    if kind == "share":
        return read_share(value, what)
    if kind == "strategy":
        return check_strategy(value, what)
    if kind == "flag":
        if isinstance(value, bool):
            return value
        raise InvalidSettings(f"{what}: expected true or false, got {value!r}")
    if kind == "format":
        from ..system.compression import checked_format  # which few settings need

        return checked_format(value, what)
    if kind == "path":
        if isinstance(value, str) and value and "\0" not in value:
            return value
        raise InvalidSettings(f"{what}: expected the path of a directory, got {value!r}")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidSettings(f"{what}: expected a list of texts, got {value!r}")
    if kind == "paths" and not all(item and "\0" not in item for item in value):
        raise InvalidSettings(f"{what}: expected a list of paths of directories, got {value!r}")
    if kind == "globs" and not all(map(_is_glob_below, value)):
        raise InvalidSettings(
            f'{what}: expected a list of globs of directories below, as "projects/*", got {value!r}'
        )
    return tuple(value)


def _is_glob_below(text: str) -> bool:
    parts = PurePath(text).parts
    return (
        bool(parts)
        and not PurePath(text).is_absolute()
        and not any(part == ".." or ("**" in part and part != "**") for part in parts)
    )


def check_strategy(value: object, what: str) -> str:
    """The name of a strategy. Raises `InvalidSettings`, listing them."""
    if isinstance(value, str) and value in STRATEGIES:
        return value
    raise InvalidSettings(f"{what}: expected one of {', '.join(STRATEGIES)}, got {value!r}")


def _shown(key: str) -> str:
    """`key` as it is where that is one plain word, so that a message stays one line."""
    return key if key.isprintable() and key.strip() else repr(key)
