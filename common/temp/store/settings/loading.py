"""Loads the settings: defaults < pyproject.toml < cleanup_config.json < environment < arguments.

Both files are read in the monorepo's root and then in the project, which takes precedence. Invalid
settings end the command before anything is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.policy import Policy, strategy_limits
from ...core.units import DAY
from ..project.place import project_of_process
from ..project.project import ROOT_NAME, find_monorepo, find_project
from .conflicts import check_clashes
from .settings import Settings
from .sources import PYPROJECT, read_environment, read_files, read_toml

if TYPE_CHECKING:
    from .tables import Layer


def load(
    project: Path,
    environment: Mapping[str, str] | None = None,
    *,
    monorepo: Path | None = None,
    config: Path | None = None,
    archive: bool = False,
) -> Settings:
    """The settings of `project` (absolute). Raises `InvalidSettings`, naming file and key.

    Settings of its `monorepo`, which is searched for if not given, are read first. The file
    `config` is read instead of the project's own `cleanup_config.json`. `archive` is the default
    for the setting of that name.
    """
    environment = os.environ if environment is None else environment
    layers: list[Layer] = []
    categories: dict[str, Layer] = {}
    for directory in dict.fromkeys((monorepo or find_monorepo(project), project)):
        for layer, tables in read_files(directory, config if directory == project else None):
            if directory != project:
                layer.pop("roots", None)  # they belong to the monorepo alone
            layers.append(layer)
            for name, table in tables.items():
                categories.setdefault(name, {}).update(_with_strategy(table))
    layers.append(read_environment(environment))
    return _settings(project, layers, categories, archive=archive)


def naming(root: Path) -> Settings | None:
    """The settings of the project that this process works for, if they name `root` in `roots`.

    Raises `InvalidSettings`.
    """
    if root.name == ROOT_NAME or (project := project_of_process()) is None:
        return None
    settings = load(project)
    named = {os.path.realpath(other) for other in settings.other_roots()}
    return settings if os.path.realpath(root) in named else None


def _settings_of(root: Path) -> Settings:
    """The settings that apply to `root`: those that name it, else those of its project."""
    return naming(root) or load(find_project(root))


def of_config(project: Path, said: Mapping[str, object], where: str) -> Settings:
    """The settings from `said` alone, which has the keys of `cleanup_config.json`. Entries are
    archived unless it says otherwise.

    `where` names the source in errors. Raises `InvalidSettings`.
    """
    return _settings(project, [_config_layer(said, where)], {}, archive=True)


def check_config(said: Mapping[str, object], where: str) -> None:
    """Raise `InvalidSettings` if `said` is not valid in a `cleanup_config.json`."""
    _config_layer(said, where)


def _config_layer(said: Mapping[str, object], where: str) -> Layer:
    from .keys import JSON_KEYS
    from .tables import layer_of

    return layer_of(said, JSON_KEYS, where)


def configured_foreign_for(root: Path) -> float:
    """The `foreign_for`, in seconds, of the project of `root`; a day if it is not set.

    Raises `InvalidSettings`.
    """
    configured = _settings_of(root).policy.foreign_for
    return DAY if configured is None else configured


def configured_categories(root: Path) -> frozenset[str]:
    """The categories with settings of their own in the project of `root`.

    Raises `InvalidSettings`.
    """
    return frozenset(name for name, _ in _settings_of(root).policy.categories)


def keeping(root: Path, limits: Policy) -> Policy:
    """`limits`, with the `keep_files` and `exclude` of the project of `root`, in each category.

    Raises `InvalidSettings`.
    """
    configured = _settings_of(root).policy_in(root)
    own = tuple(
        (name, limits._replace(keep_files=of_it.keep_files, exclude=of_it.exclude))
        for name, of_it in configured.categories
    )
    return limits._replace(
        keep_files=configured.keep_files, exclude=configured.exclude, categories=own
    )


def with_strategy(settings: Settings, name: str) -> Settings:
    """`settings` with the limits of the strategy `name` in every category.

    If `settings` archive entries, the result does too.
    """
    return settings._replace(
        strategy=name,
        policy=settings.policy.everywhere(**strategy_limits(name)),
        archive=settings.archive or name == "archive",
    )


def workspace_globs(monorepo: Path, settings: Settings) -> tuple[list[str], list[str]]:
    """The globs of the monorepo's projects and of excluded ones, including uv's workspace."""
    from .values import read_value

    path = monorepo / PYPROJECT
    table: object = read_toml(path, b"workspace")
    for key in ("tool", "uv", "workspace"):
        table = table.get(key, {}) if isinstance(table, dict) else {}
    said = table if isinstance(table, dict) else {}
    members, excluded = (
        read_value(said.get(key, []), "globs", f"{path}: [tool.uv.workspace]: {key}")
        for key in ("members", "exclude")
    )
    return [*settings.projects, *members], [*excluded]


# -- merging layers -----------------------------------------------------------------------------


def _settings(
    project: Path,
    layers: Iterable[Layer],
    categories: Mapping[str, Layer],
    *,
    archive: bool = False,
) -> Settings:
    """The settings from all layers; later ones take precedence. Raises `InvalidSettings` for
    contradictions.
    """
    merged: Layer = {"archive": archive}
    for layer in layers:
        name, earlier = layer.get("strategy"), merged.get("strategy")
        if name == "archive":
            merged["archive"] = True
        elif name is not None and earlier == "archive":
            merged["archive"] = archive  # it came with that strategy; this layer may still set it
        merged |= _with_strategy(layer)
    policy = Policy(**_fields_of(Policy, merged))
    inherited = policy.for_category()
    own = tuple(
        (name, _added(inherited, _fields_of(Policy, categories[name])))
        for name in sorted(categories)
    )
    policy = policy._replace(categories=own)
    settings = Settings(project, policy, **_fields_of(Settings, merged))
    check_clashes(settings)
    return settings


def _added(inherited: Policy, own: Layer) -> Policy:
    """The policy of a category; its `exclude` and `keep_files` add to those for all categories."""
    for key in ("exclude", "keep_files"):
        own[key] = (*getattr(inherited, key), *own.get(key, ()))
    return inherited._replace(**own)


def _fields_of(kind: type[Policy | Settings], layer: Layer) -> Layer:
    """The part of `layer` that sets fields of `kind`."""
    return {field: value for field, value in layer.items() if field in kind._fields}


def _with_strategy(layer: Layer) -> Layer:
    """`layer` with the limits of its strategy, which override those of earlier layers."""
    name = layer.get("strategy")
    return layer if name is None else strategy_limits(name) | layer
