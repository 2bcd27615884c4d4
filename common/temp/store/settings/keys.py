"""The keys of the settings: the field that each sets, the kind of its value, and its meaning.

To add a setting, add a `Key` and a field of `Settings`; for a limit or protection, a field of
`Policy` instead. A new kind of value is read in `values`. `python3 -m tests.reference` generates
the tables of the docs and both JSON Schemas from the keys.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from ...core.named_tuple import NamedTuple
from ..project.place import ENV_PREFIX, HOST, PROJECT

Kind: TypeAlias = Literal[
    "strategy",
    "duration",
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
    "files",
    "format",
    "interval",
    "presets",
    "command",
    "textfile",
]


class Key(NamedTuple):
    """A key of the settings: the field of `Settings` or its `Policy` that it sets, the kind of its
    value, and its meaning. `more` appears only in the schema, which has room for it.
    """

    field: str
    kind: Kind
    means: str
    more: str = ""


KEYS: Final[dict[str, Key]] = {
    "strategy": Key("strategy", "strategy", "a named policy; the keys below replace its numbers"),
    "max_age": Key(
        "max_age",
        "duration",
        "max age: entries unchanged for longer go",
        "The newest change anywhere inside counts; 0 means all entries.",
    ),
    "max_age_hours": Key("max_age", "hours", "in hours"),
    "max_count": Key(
        "max_count", "count", "max count: all but this many newest of each name in a category go"
    ),
    "max_total_size": Key(
        "max_total_size",
        "size",
        "max total size of everything that stays",
        "The entries that are unchanged for longest go first.",
    ),
    "max_files": Key(
        "max_files",
        "count",
        "max files and directories in everything that stays",
        "The entries that are unchanged for longest go first; a file with several names counts "
        "once.",
    ),
    "min_free_space": Key(
        "min_free_space",
        "size",
        "min free space on the disk of the root",
        "While less is free, entries go: those with the smallest cost first; with the same cost, "
        "those that are unchanged for longest first.",
    ),
    "high_water": Key(
        "high_water",
        "share",
        "when more of the disk is in use, entries go",
        "The share is what df shows; entries go in the same order as for min_free_space.",
    ),
    "low_water": Key(
        "low_water",
        "share",
        "a clean for `high_water` ends when less than this is in use",
        "high_water must be set and larger. Without low_water, high_water is used.",
    ),
    "keep_last": Key("keep_last", "count", "keep last: this many newest of each name always stay"),
    "keep_last_good": Key(
        "keep_last_good",
        "count",
        "keep last good: this many newest good runs of a pipeline stay; else 1",
        "A run that failed or was killed is not good. 0 keeps none.",
    ),
    "keep_within": Key(
        "keep_within",
        "duration",
        "keep within: entries that changed within this time stay",
        "0 keeps none.",
    ),
    "keep_within_hours": Key("keep_within", "hours", "in hours"),
    "keep_files": Key(
        "keep_files",
        "files",
        "keep files: what matches stays in its place when its entry goes",
        "If the entry is archived, only these files are. Each is a glob for a name, such as *.mp4, "
        "or with a / for a path in the entry, where **/ stands for any directories or none.",
    ),
    "exclude": Key(
        "exclude",
        "texts",
        "entries whose name, category or `category/name` matches stay",
        "Each is a shell glob, such as cache/models_*.",
    ),
    "dry_run": Key(
        "dry_run", "flag", "a clean only says what it would do, unless `--force` is given"
    ),
    "require_policy": Key(
        "require_policy", "flag", "without a limit, `temp-clean` and `inv clean` refuse to clean"
    ),
    "archive": Key(
        "archive",
        "flag",
        "entries that go are archived",
        "`tempkeep.pipeline` archives runs unless this is set to false.",
    ),
    "archive_location": Key(
        "archive_location",
        "path",
        "the archive: a directory or a URL; without it, `.tmp-archive`",
        "A directory is relative to the project; ~ is the home directory. A URL is "
        "s3://bucket/prefix, or the same with gs or az. Without it, the archive of runs is "
        "archived_pipeline_runs beside them.",
    ),
    "archive_format": Key(
        "archive_format",
        "format",
        "the format of archived entries",
        "With dir, an entry is renamed if the archive is on the same filesystem; in object "
        "storage, it is a tar.zst instead.",
    ),
    "archive_keep": Key(
        "archive_keep",
        "duration",
        "archived entries go after this time",
        "A clean deletes those that came from the same root; 0 means all of them.",
    ),
    "archive_max_size": Key(
        "archive_max_size",
        "size",
        "max total size of what is archived from one root",
        "The oldest archives go first.",
    ),
    "undo_for": Key("undo_for", "duration", "how long `temp-clean --undoable` can be undone"),
    "undo_hours": Key("undo_for", "hours", "in hours"),
    "foreign_for": Key(
        "foreign_for",
        "duration",
        "how long an unchanged entry stays if its owner cannot be checked; else 1d",
        "An owner cannot be checked if it runs on another system, or uses another mount of this "
        "filesystem.",
    ),
    "foreign_hours": Key("foreign_for", "hours", "in hours"),
    "roots": Key(
        "roots",
        "paths",
        "directories of jobs, files or runs to list and clean too",
        "They are relative to the project; ~ is the home directory.",
    ),
    "projects": Key(
        "projects",
        "globs",
        "the projects of the monorepo, in addition to uv's workspace members",
        "They are relative to its root.",
    ),
    "artefacts": Key("artefacts", "texts", "what `inv clean` removes", "Each is a glob of a name."),
    "presets": Key(
        "presets",
        "presets",
        "presets whose artefacts `inv clean` removes too",
        "Artefacts are found by the files beside them; all means every preset except venv.",
    ),
    "auto_clean": Key(
        "auto_clean",
        "interval",
        "at most once in this time, making an entry starts a clean in the background",
        "It follows the configured limits, and its result is in .tmp/.tempkeep/schedule.log.",
    ),
    "on_failure": Key(
        "on_failure",
        "command",
        "runs when a scheduled clean fails",
        "The command reads a report in JSON from stdin. It does not run if somebody else may have "
        "written this file.",
    ),
    "on_success": Key("on_success", "command", "runs when a scheduled clean ends with 0"),
    "metrics_file": Key(
        "metrics_file",
        "textfile",
        "a file of metrics, written after each scheduled clean, for node_exporter",
        "Its name ends with .prom. It is relative to the project; ~ is the home directory. It is "
        "not written if somebody else may have written these settings.",
    ),
    "workers": Key(
        "workers", "count", "how many processes scan and delete; 0 finds the best number"
    ),
}
"""The keys of `[tool.tempkeep]` and, in upper case after `TEMPKEEP_`, of the environment."""

JSON_KEYS: Final[dict[str, Key]] = {
    "strategy": KEYS["strategy"],
    "max_age": KEYS["max_age"],
    "max_age_days": Key("max_age", "days", "in days"),
    "max_runs_to_keep": Key("max_count", "count", ""),
    "archive_before_delete": Key("archive", "flag", ""),
    "archive_location": KEYS["archive_location"],
    "archive_format": KEYS["archive_format"],
    "archive_keep": KEYS["archive_keep"],
    "archive_max_size": KEYS["archive_max_size"],
    "dry_run": KEYS["dry_run"],
    "exclude_patterns": Key("exclude", "texts", ""),
    "keep_last": KEYS["keep_last"],
    "keep_last_good": KEYS["keep_last_good"],
    "keep_within": KEYS["keep_within"],
    "keep_within_hours": KEYS["keep_within_hours"],
    "keep_files": KEYS["keep_files"],
    "min_free_space_gb": Key("min_free_space", "gb", "in GiB"),
    "foreign_for": KEYS["foreign_for"],
    "foreign_hours": KEYS["foreign_hours"],
}
"""The keys of `cleanup_config.json`. They mean the same as those above; only some units differ."""

CATEGORY_KEYS: Final[dict[str, Key]] = {
    **{
        key: KEYS[key]
        for key in (
            "strategy",
            "max_age",
            "max_age_hours",
            "max_count",
            "max_total_size",
            "max_files",
            "keep_last",
            "keep_last_good",
            "keep_within",
            "keep_within_hours",
            "keep_files",
            "exclude",
        )
    },
    "cost": Key("cost", "number", "on a full disk, entries with a smaller cost go first; else 1"),
}
"""The keys that `[tool.tempkeep.category.<name>]` may have."""

ENVIRONMENT: Final[dict[str, str]] = {
    f"{ENV_PREFIX}<KEY>": "a setting: `TEMPKEEP_MAX_AGE=7d`; commas separate list items, "
    "and an empty one is an error",
    PROJECT: "the project to use, whatever the working directory is: an existing directory",
    HOST: "the name of this host in reports, for example the name of the node for a container",
    "TMPDIR": "the system's temporary directory, for `auto_cleanup_dir` and `temp_working_dir`",
    "XDG_STATE_HOME": "where scratch without a project goes, instead of `~/.local/state`",
    "XDG_DATA_HOME": "where the trash is for `--trash`, instead of `~/.local/share`",
    "PYTEST_DEBUG_TEMPROOT": "where pytest makes `tmp_path`; inside a root, that entry is in use "
    "while pytest runs",
    "PYTEST_KEEP_TEMPS": "`1` keeps the directories of tests, and prints where they are",
    "NO_COLOR": "switches colours off, if it is set",
    "CI": "switches colours and progress off, if it is set",
    "GITHUB_ACTIONS": "`true` prints problems as annotations",
    "GITHUB_STEP_SUMMARY": "the file that a summary is added to, in a GitHub workflow",
}
"""The environment variables that are read, for `docs/settings.md`."""
