"""Settings: the order of layers, one clear line for a bad value, and their schemas."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from common.temp.choices import ALL, PRESETS
from common.temp.core.layouts import JOBS
from common.temp.core.policy import STRATEGIES, Policy
from common.temp.errors import InvalidSettings
from common.temp.store.root.making import make_root
from common.temp.store.settings.keys import CATEGORY_KEYS, JSON_KEYS, KEYS, Key
from common.temp.store.settings.loading import (
    check_config,
    load,
    of_config,
    with_strategy,
    workspace_globs,
)
from common.temp.store.settings.settings import DEFAULT_ARTEFACTS, Settings
from common.temp.store.settings.values import check_strategy
from common.temp.store.system.archive_formats import FORMATS
from tests.store.repositories import clone, git, make_origin
from tests.support import DAY, DENIED, HOUR, LINK, make_entry, make_project, plain_user, tempkeep

NO_ENVIRONMENT: dict[str, str] = {}


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    directory = make_project(tmp_path / "monorepo")
    (directory / ".git").mkdir()
    return directory


@pytest.fixture
def inner(monorepo: Path) -> Path:
    return make_project(monorepo / "projects" / "photos")


def table(directory: Path, text: str) -> None:
    (directory / "pyproject.toml").write_text(f"[tool.tempkeep]\n{text}\n", encoding="utf-8")


def config(directory: Path, **values: object) -> None:
    (directory / "cleanup_config.json").write_text(json.dumps(values))


def refusal(project: Path, **environment: str) -> str:
    """The message for settings that cannot be used; it is one line."""
    with pytest.raises(InvalidSettings) as refused:
        load(project, environment)
    message = str(refused.value)
    assert message.isprintable()
    assert refused.value.exit_code == 2
    return message


# -- layers -----------------------------------------------------------------------------------


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    found = load(tmp_path, NO_ENVIRONMENT)
    assert found == Settings(project=tmp_path)
    assert found.policy == Policy()
    assert (found.disposal, found.dry_run) == ("delete", False)
    assert (found.projects, found.artefacts) == (("projects/*",), DEFAULT_ARTEFACTS)


def test_each_layer_goes_before_the_ones_below_it(monorepo: Path, inner: Path) -> None:
    written: list[Callable[[], None]] = [
        lambda: table(monorepo, "max_count = 1"),
        lambda: config(monorepo, max_runs_to_keep=2),
        lambda: table(inner, "max_count = 3"),
        lambda: config(inner, max_runs_to_keep=4),
    ]
    assert load(inner, NO_ENVIRONMENT).policy.max_count is None
    for count, write in enumerate(written, 1):
        write()
        assert load(inner, NO_ENVIRONMENT).policy.max_count == count
    assert load(inner, {"TEMPKEEP_MAX_COUNT": "5"}).policy.max_count == 5


def test_a_layer_leaves_alone_what_it_does_not_set(monorepo: Path, inner: Path) -> None:
    table(monorepo, 'max_age_hours = 1\nexclude = ["a"]\nprojects = ["x/*"]')
    config(monorepo, min_free_space_gb=2)
    table(inner, "keep_last = 3")
    found = load(inner, {"TEMPKEEP_KEEP_WITHIN_HOURS": "2"})
    assert (found.policy.max_age, found.policy.exclude, found.projects) == (HOUR, ("a",), ("x/*",))
    assert (found.policy.min_free_space, found.policy.keep_last) == (2 * 1024**3, 3)
    assert found.policy.keep_within == 2 * HOUR


def test_a_project_that_is_a_submodule_has_the_settings_of_the_monorepo(
    monorepo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So has a clone in it, for a clean of all projects; by itself that is a tree of its own."""
    table(monorepo, 'exclude = ["golden_*"]\nmax_age = "30d"')
    origin = make_origin(tmp_path / "origin")
    git(monorepo, "init", "-q")
    git(monorepo, "submodule", "--quiet", "add", str(origin), "projects/module")
    clone(origin, monorepo / "projects" / "clone")
    limits = [load(monorepo / "projects" / name).policy.max_age for name in ("module", "clone")]
    assert limits == [30 * 24 * HOUR, None]
    entries = []
    for name in ("module", "clone"):
        make_project(monorepo / "projects" / name)
        for entry in ("golden_1", "today"):
            root = monorepo / "projects" / name / ".tmp"
            entries.append(make_entry(root, f"work/{entry}", age_hours=1000 * (entry != "today")))
    monkeypatch.chdir(monorepo)
    assert tempkeep("temp-clean", "--all-projects", "--yes") == 0
    assert all(path.exists() for path in entries)


def test_the_settings_of_a_project_do_not_reach_its_neighbour(monorepo: Path, inner: Path) -> None:
    other = make_project(monorepo / "projects" / "other")
    table(inner, "max_count = 3")
    assert load(other, NO_ENVIRONMENT).policy.max_count is None
    assert load(monorepo, NO_ENVIRONMENT).policy.max_count is None


def test_the_environment_of_the_process_is_read_by_default(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPKEEP_MAX_COUNT", "7")
    assert load(project).policy.max_count == 7


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("STRATEGY", "conservative", "max_count", 14),
        ("MAX_AGE_HOURS", "1.5", "max_age", 1.5 * HOUR),
        ("MAX_TOTAL_SIZE", "20GiB", "max_total_size", 20 * 1024**3),
        ("MAX_FILES", "9", "max_files", 9),
        ("MIN_FREE_SPACE", "1024", "min_free_space", 1024),
        ("HIGH_WATER", "85%", "high_water", 0.85),
        ("KEEP_LAST", "0", "keep_last", 0),
        ("EXCLUDE", "a*, b/c ,", "exclude", ("a*", "b/c")),
        ("EXCLUDE", "*.{a,b},c", "exclude", ("*.{a,b}", "c")),
        ("DRY_RUN", "1", "dry_run", True),
        ("DRY_RUN", "False", "dry_run", False),
        ("ARCHIVE", " TRUE ", "archive", True),
        ("ARCHIVE", "0", "archive", False),
        ("ARCHIVE_LOCATION", "~/archive", "archive_location", "~/archive"),
        ("ARCHIVE_FORMAT", "tar.zst", "archive_format", "tar.zst"),
        ("PROJECTS", "apps/*,libs/*", "projects", ("apps/*", "libs/*")),
        ("ARTEFACTS", "*.pyc", "artefacts", ("*.pyc",)),
    ],
)
def test_a_variable_of_the_environment_is_read_as_its_key_wants(
    tmp_path: Path, variable: str, text: str, field: str, value: object
) -> None:
    found = load(tmp_path, {f"TEMPKEEP_{variable}": text})
    assert getattr(found.policy if field in Policy._fields else found, field) == value


def test_other_variables_are_not_ours(tmp_path: Path) -> None:
    assert load(tmp_path, {"TEMPKEEPER": "x", "XTEMPKEEP_Y": "z"}) == Settings(project=tmp_path)


def test_every_key_of_the_json_file_means_what_it_says(project: Path) -> None:
    config(
        project, strategy="moderate", max_age_days=2, max_runs_to_keep=9,
        archive_before_delete=True, archive_location="/a", archive_format="tar.gz", dry_run=True,
        exclude_patterns=["x*"], min_free_space_gb=0.5,
    )  # fmt: skip
    found = load(project, NO_ENVIRONMENT)
    assert (found.strategy, found.policy.max_age, found.policy.max_count) == (
        "moderate",
        2 * DAY,
        9,
    )
    assert (found.archive, found.archive_location, found.dry_run) == (True, "/a", True)
    assert found.archive_format == "tar.gz"
    assert (found.policy.exclude, found.policy.min_free_space) == (("x*",), 512 * 1024**2)


# -- strategies and the archive -----------------------------------------------------------------


def test_a_strategy_sets_its_numbers_and_what_stands_beside_it_goes_before_them(
    project: Path,
) -> None:
    table(project, 'strategy = "aggressive"\nmax_count = 9')
    found = load(project, NO_ENVIRONMENT)
    assert (found.policy.max_age, found.policy.max_count) == (3 * DAY, 9)


def test_a_nearer_strategy_replaces_the_numbers_of_a_farther_layer(
    monorepo: Path, inner: Path
) -> None:
    table(monorepo, "max_count = 9\nmax_age_hours = 1\nkeep_last = 2")
    table(inner, 'strategy = "conservative"')
    found = load(inner, NO_ENVIRONMENT)
    assert (found.policy.max_age, found.policy.max_count, found.policy.keep_last) == (
        30 * DAY,
        14,
        2,
    )


@pytest.mark.parametrize(
    ("farther", "nearer", "disposal"),
    [
        ("", "", "delete"),
        ("", 'strategy = "archive"', "archive"),
        ('strategy = "archive"', "", "archive"),
        ('strategy = "archive"', 'strategy = "moderate"', "delete"),
        ("archive = true", 'strategy = "moderate"', "archive"),
        ("archive = false", 'strategy = "archive"', "archive"),
        ('strategy = "archive"', "archive = false", "delete"),
        ("", 'strategy = "archive"\narchive = false', "delete"),
        ("", 'strategy = "moderate"\narchive = true', "archive"),
    ],
)
def test_a_strategy_never_turns_off_an_archive_that_was_asked_for_by_itself(
    monorepo: Path, inner: Path, farther: str, nearer: str, disposal: str
) -> None:
    table(monorepo, farther)
    table(inner, nearer)
    assert load(inner, NO_ENVIRONMENT).disposal == disposal


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (None, "{project}/.tmp-archive"),
        ("a/b", "{project}/a/b"),
        ("/abs", "/abs"),
        ("~/a", "{home}/a"),
    ],
)
def test_the_archive_is_an_absolute_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str | None, path: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    found = Settings(project=tmp_path, archive_location=location)
    assert str(found.archive_path()) == path.format(project=tmp_path, home="/home/ann")


LOCATIONS = {
    r"C:\\archive": True, "C:/archive": True, "C://archive": True, "a:b//c": True, "./s3://a": True,
    "s3:/bucket": True, "://a": True,
    "s3://bucket/prefix": False, "gs://bucket": False, "AZ://bucket/a.b/c_d=e+f-g/": False,
}  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS)
def test_an_archive_is_in_a_directory_or_a_bucket(project: Path, location: str) -> None:
    table(project, f'archive_location = "{location}"')
    assert (load(project, NO_ENVIRONMENT).archive_path() is not None) == LOCATIONS[location]


@pytest.mark.parametrize(
    "location",
    [
        "s3://", "s3://b", "s3:///prefix", "s3://key:secret@bucket/x", "s3://bucket/../other",
        "s3://bucket//x", "s3://bucket/a b", "s3://bucket/x?endpoint=evil", "file:///tmp/a",
        "ftp://bucket/x",
    ],
)  # fmt: skip
def test_a_url_that_no_archive_can_have_is_refused(project: Path, location: str) -> None:
    table(project, f'archive_location = "{location}"')
    expected = "s3://bucket/prefix, of letters, digits and any of ._=+-"
    if not location.startswith("s3"):
        expected = "the path of a directory, or a URL of s3://, gs://, az://"
    assert refusal(project) == (
        f"{project / 'pyproject.toml'}: [tool.tempkeep]: archive_location: expected {expected}, "
        f"got {location!r}"
    )


@pytest.mark.parametrize(
    "location", [".tmp", ".tmp/archive", "x/../.tmp", "{link}/archive", ".temp/archive"]
)
def test_an_archive_among_the_entries_is_refused(project: Path, location: str) -> None:
    (project / ".tmp").mkdir()
    (project / "link").symlink_to(".tmp")
    location = location.format(link=project / "link")
    table(project, f'archive_location = "{location}"')
    assert refusal(project) == (
        f"{project}: archive_location: expected a directory outside "
        f"{project / ('.temp' if '.temp' in location else '.tmp')}, got {location!r}"
    )


@pytest.mark.parametrize("location", ["jobs/.tempkeep", "jobs/.tempkeep/undo", "{link}/undo"])
def test_an_archive_in_the_store_of_a_root_is_refused(project: Path, location: str) -> None:
    (project / "link").symlink_to("jobs/.tempkeep")
    location = location.format(link=project / "link")
    table(project, f'archive_location = "{location}"')
    assert refusal(project) == (
        f"{project}: archive_location: expected a directory outside .tempkeep, got {location!r}"
    )


@pytest.mark.parametrize("location", ["jobs", "jobs/old", "{link}/old", "jobs/7/old"])
def test_an_archive_among_the_entries_of_another_root_is_refused(
    project: Path, location: str
) -> None:
    make_root(str(project / "jobs"), JOBS)
    (project / "link").symlink_to("jobs")
    location = location.format(link=project / "link")
    table(project, f'roots = ["jobs"]\narchive_location = "{location}"')
    assert refusal(project) == (
        f"{project}: archive_location: {project / location} lies in {project}/jobs, which is one "
        "of the roots, and would be cleaned as one of its entries; choose another place"
    )


@pytest.mark.parametrize("place", [".tmp", "jobs"])
def test_an_archive_among_the_entries_of_another_project_is_refused(
    project: Path, tmp_path: Path, place: str
) -> None:
    other = tmp_path / "other" / place
    if place == "jobs":
        make_root(str(other), JOBS)
    for location in (f"../other/{place}/old", f"../other/{place}"):
        table(project, f'archive_location = "{location}"')
        assert f"archive_location: expected a directory outside {other}, got " in refusal(project)


def test_a_project_in_the_scratch_of_another_has_its_archive(tmp_path: Path) -> None:
    inner = make_project(tmp_path / ".tmp" / "test" / "x_1696348800" / "inner")
    table(inner, 'archive_location = "../old"')
    assert load(inner, NO_ENVIRONMENT).archive_location == "../old"


def test_a_root_among_the_entries_of_another_is_refused(project: Path) -> None:
    make_root(str(project / "jobs"), JOBS)
    table(project, 'roots = ["jobs/inner", "jobs"]')
    assert f"roots: {project}/jobs/inner lies in {project}/jobs, " in refusal(project)


def test_what_can_be_no_entry_of_the_root_around_it_is_taken(project: Path) -> None:
    (project / "link").symlink_to("jobs")
    make_root(str(project / "jobs"), JOBS)
    table(project, 'roots = ["jobs", "link", "runs", "runs/jobs"]\narchive_location = "runs/old"')
    assert len(load(project, NO_ENVIRONMENT).roots) == 4


@pytest.mark.parametrize("location", [".", "..", ".tmp-archive", ".tmpx/a", "link"])
def test_an_archive_beside_the_entries_is_taken(project: Path, location: str) -> None:
    (project / ".tmp").mkdir()
    (project / "link").symlink_to("elsewhere")
    table(project, f'archive_location = "{location}"')
    assert load(project, NO_ENVIRONMENT).archive_location == location


# -- policies -----------------------------------------------------------------------------------


def test_the_policy_has_every_limit_and_protection(project: Path) -> None:
    table(
        project,
        'max_age_hours = 1\nmax_count = 2\nmax_total_size = 3\nmin_free_space = "4B"\n'
        'exclude = ["x"]\nkeep_last = 5\nkeep_within_hours = 6',
    )
    found = load(project, NO_ENVIRONMENT)
    assert found.policy == Policy(
        max_age=HOUR, max_count=2, max_total_size=3, min_free_space=4,
        exclude=("x",), keep_last=5, keep_within=6 * HOUR,
    )  # fmt: skip


def test_a_category_has_a_policy_of_its_own_that_begins_with_the_general_one(
    project: Path,
) -> None:
    table(
        project,
        "max_age_hours = 1\nmax_total_size = 9\nkeep_last = 1\n"
        "[tool.tempkeep.category.cache]\nmax_age_hours = 720\nmax_total_size = 5\n"
        '[tool.tempkeep.category."a b"]\nstrategy = "aggressive"\nmax_count = 8\nexclude = ["x"]\n'
        "[tool.tempkeep.category.empty]",
    )
    found = load(project, NO_ENVIRONMENT)
    policy = found.policy
    assert policy.of("cache") == Policy(max_age=720 * HOUR, max_total_size=5, keep_last=1)
    assert policy.of("a b") == Policy(max_age=3 * DAY, max_count=8, exclude=("x",), keep_last=1)
    assert policy.of("empty") == Policy(max_age=HOUR, keep_last=1)
    assert policy.of("debug") is policy


def test_a_category_keeps_what_it_names_beside_what_is_kept_everywhere(project: Path) -> None:
    kept = 'exclude = ["golden*"]\nkeep_files = ["*.mp4"]\n'
    table(project, f'{kept}[tool.tempkeep.category.work]\nexclude = ["own"]\nkeep_files = ["*.db"]')
    policy = load(project, NO_ENVIRONMENT).policy
    assert policy.of("work").exclude == ("golden*", "own")
    assert policy.of("work").keep_files == ("*.mp4", "*.db")
    assert policy.of("cache").exclude == ("golden*",)


def test_what_is_excluded_by_its_path_in_the_project_is_one_of_its_root(project: Path) -> None:
    globs = [f"{project}/var/jobs/gold*", "./var/jobs/7", "var/jobs/**", "jobs/8", "var/jobs"]
    globs.append(f"{project.name}/var/jobs/6")  # as the monorepo around it names it
    table(project, f"exclude = {globs}\n[tool.tempkeep.category.jobs]\nkeep_last = 1")
    settings = load(project, NO_ENVIRONMENT)
    for policy in (of_jobs := settings.policy_in(project / "var" / "jobs"), of_jobs.of("jobs")):
        assert policy.exclude == (*globs, "gold*", "7", "**", "*", "6")
    assert settings.policy_in(project / "var" / "other") == settings.policy


def test_category_tables_of_the_monorepo_and_of_the_project_add_up(
    monorepo: Path, inner: Path
) -> None:
    table(monorepo, "[tool.tempkeep.category.cache]\nmax_count = 1\nkeep_last = 1")
    table(
        inner,
        "[tool.tempkeep.category.cache]\nmax_count = 2\n"
        "[tool.tempkeep.category.test]\nmax_count = 3",
    )
    policy = load(inner, NO_ENVIRONMENT).policy
    assert policy.of("cache") == Policy(max_count=2, keep_last=1)
    assert policy.of("test") == Policy(max_count=3)
    assert load(monorepo, NO_ENVIRONMENT).policy.of("cache").max_count == 1


# -- what cannot be used ------------------------------------------------------------------------

_VALUES: dict[str, tuple[list[Any], list[Any], str]] = {
    "strategy": (
        [*STRATEGIES],
        ["", "Moderate", "none", 1, True, ["moderate"]],
        "expected one of aggressive, moderate, conservative, archive, got {!r}",
    ),
    "hours": (
        [0, 24, 0.5, 1e3, 10**6],
        [-1, -0.5, "24", "", "nan", True, [], {}, ["1"]],
        "expected a number of 0 or more, got {!r}",
    ),
    "duration": (
        ["0m", "90m", "36h", " 7 d ", "2w"],
        ["", "1.5h", "-1d", "7D", "7 days", "1h30m", "9999999m", 1.5, True, [], {}],
        "expected a time such as 90m, 36h, 7d or 2w, got {!r}",
    ),
    "count": (
        [0, 5, 5.0, 10**6],
        [-1, 1.5, "5", True, [], {}],
        "expected a whole number of 0 or more, got {!r}",
    ),
    "size": (
        [0, 1024, 2.0, "0", "20GiB", " 500 mb ", "1.5TiB", "7 B", "3"],
        [-1, 1.5, "", "20 G", "-1B", "1e3", "GiB", "20GiB/s", True, [], {}],
        'expected a size such as "20GiB" or "500MB", got {!r}',
    ),
    "share": (
        ["0%", "85%", " 85.5 % ", "100%", "100.0%"],
        ["", "85", "101%", "100.1%", "-1%", "85%%", "%", "1e1%", 85, 0.85, True, [], {}],
        'expected a percentage from "0%" to "100%" such as "85%", got {!r}',
    ),
    "interval": (
        ["1m", "90m", "6h", " 1d ", "365d", "52w"],
        ["", "0m", "366d", "53w", "1.5h", "-1h", "d", 1, 1.5, True, [], {}],
        "expected 15m, 6h, 1d or similar, 365d at most, got {!r}",
    ),
    "command": (
        [["curl", "-fsS", ""], ["a b"], "curl -fsS 'https://example.org'", " x "],
        ["", "  ", "a\0b", [], [""], ["a\0"], ["a", 1], 1, True, {}],
        'expected a program and its arguments, as ["curl", "-fsS", "https://example.org"] or in '
        "one text, got {!r}",
    ),
    "flag": ([True, False], [0, 1, "true", "", [], {}], "expected true or false, got {!r}"),
    "path": (
        ["archive", "/a/b", "~/x", "..", " "],
        ["", "a\0b", 1, True, [], {}],
        "expected the path of a directory, got {!r}",
    ),
    "format": (
        [*FORMATS],
        ["", "tar", "zip", "DIR", 1, True, ["dir"]],
        f"expected one of {', '.join(FORMATS)}, got {{!r}}",
    ),
    "paths": (
        [[], ["jobs"], ["/b", "~/x", "..", "a/../b"]],
        ["a", 1, True, {}, [1]],
        "expected a list of texts, got {!r}",
    ),
    "texts": (
        [[], ["a"], ["", "*.x", "é"]],
        ["a", 1, True, {}, [1], ["a", True], [["a"]]],
        "expected a list of texts, got {!r}",
    ),
    "globs": (
        [[], ["projects/*"], ["a", "**", "a/**/b", "./x", "a..b", "..a", "a/..."]],
        [
            *("a", 1, {}, [1], [""], ["/abs"], [".."], ["a/.."], ["../a"], ["a/../b"]),
            *(["."], ["./"], ["a**"], ["x/**a/y"], ["***"]),
        ],
        "",
    ),
}
_VALUES["files"] = (
    [[], ["*.mp4"], ["./x", "**/x", "a/", "a/**/b", "**", "..a", "a/...", ".x", "a/./b"]],
    [
        *("a", 1, {}, [1], [""], ["."], ["./"], ["/"], ["/abs"], [".."], ["a/.."], ["../a"]),
        *(["a/../b"], [".tmp/work/x/*.mp4"], ["./.temp/a"]),
    ],
    "",
)
_VALUES["textfile"] = (
    ["x.prom", "/a/b.prom", "~/x.prom", "../x.y.prom"],
    ["", "x", "x.txt", ".prom", "a/.prom", "x.prom/y", "a\0.prom", 1, True, [], {}],
    "expected the path of a file whose name ends with .prom, got {!r}",
)
_VALUES["presets"] = (
    [[], ["node"], ["all", "venv"]],
    ["a", 1, True, {}, [1], ["Node"], [""], ["all", "x"]],
    "",
)
_VALUES["days"] = _VALUES["gb"] = _VALUES["number"] = _VALUES["hours"]
_NOT_GLOBS = 'expected a list of globs of directories below, as "projects/*", got {!r}'

_NOT_FILES = (
    "expected a list of globs of names or of paths in an entry (without .., and a / or .tmp/ in "
    'front), as "*.mp4", got {!r}'
)


_ALONE = {key: said for key, said in KEYS.items() if key != "low_water"}
"""Those that mean something without another."""


def _cases(keys: dict[str, Key], *, good: bool) -> Iterator[tuple[str, object]]:
    for key, (_, kind, *_) in keys.items():
        for value in _VALUES[kind][0 if good else 1]:
            yield key, value


def _expected(kind: str, value: object) -> str:
    expected = {"globs": _NOT_GLOBS, "files": _NOT_FILES, "presets": ""}.get(kind)
    if expected is None:
        return _VALUES[kind][2].format(value)
    if kind == "presets" and isinstance(value, list) and all(isinstance(x, str) for x in value):
        wrong = next(item for item in value if item not in (*PRESETS, ALL))
        return f"expected some of {', '.join(PRESETS)} or {ALL}, got {wrong!r}"
    is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return (expected if is_texts else _VALUES["texts"][2]).format(value)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{}"
    return json.dumps(value)


def test_a_good_value_in_the_table_is_taken(project: Path) -> None:
    for key, value in _cases(_ALONE, good=True):
        table(project, f"{key} = {_toml(value)}")
        load(project, NO_ENVIRONMENT)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('low_water = "80%"', "needs a high_water above it; set both"),
        (
            'low_water = "80%"\nhigh_water = "80%"',
            "expected less than high_water, which is 80 %, got 80 %",
        ),
        (
            'low_water = "90.5%"\nhigh_water = "80%"',
            "expected less than high_water, which is 80 %, got 90.5 %",
        ),
    ],
)
def test_a_low_mark_that_is_not_below_the_high_one_is_refused(
    project: Path, said: str, what: str
) -> None:
    table(project, said)
    assert refusal(project) == f"{project}: low_water: {what}"


def test_the_two_marks_may_come_from_two_layers(monorepo: Path, inner: Path) -> None:
    table(monorepo, 'high_water = "90%"')
    table(inner, "[tool.tempkeep.category.cache]\ncost = 0.5")
    policy = load(inner, {"TEMPKEEP_LOW_WATER": "80%"}).policy
    assert (policy.high_water, policy.low_water, policy.has_limit) == (0.9, 0.8, True)
    assert (policy.cost, policy.of("cache").cost) == (1, 0.5)


def test_a_bad_value_in_the_table_is_refused_by_file_and_key(project: Path) -> None:
    for key, value in _cases(KEYS, good=False):
        table(project, f"{key} = {_toml(value)}")
        assert refusal(project) == (
            f"{project}/pyproject.toml: [tool.tempkeep]: {key}: {_expected(KEYS[key][1], value)}"
        )


def test_a_good_value_in_the_json_file_is_taken(project: Path) -> None:
    for key, value in _cases(JSON_KEYS, good=True):
        config(project, **{key: value})
        load(project, NO_ENVIRONMENT)


def test_a_bad_value_in_the_json_file_is_refused_by_file_and_key(project: Path) -> None:
    for key, value in _cases(JSON_KEYS, good=False):
        config(project, **{key: value})
        assert refusal(project) == (
            f"{project}/cleanup_config.json: {key}: {_expected(JSON_KEYS[key][1], value)}"
        )


def test_a_number_of_toml_that_is_none_is_refused(project: Path) -> None:
    for key in ("max_age_hours", "keep_within_hours", "max_count"):
        for text in ("nan", "inf", "-inf", "+nan", "1e306"):
            table(project, f"{key} = {text}")
            if (key, text) == ("max_count", "1e306"):
                load(project, NO_ENVIRONMENT)  # a very large count is a count
            else:
                assert f"[tool.tempkeep]: {key}: expected a" in refusal(project), text


def test_a_number_of_json_that_is_none_is_refused(project: Path) -> None:
    expected = "expected a number of 0 or more"
    for key in ("max_age_days", "min_free_space_gb"):
        for text in ("NaN", "Infinity", "-Infinity", "1e400", "1e300", "9" * 400):
            (project / "cleanup_config.json").write_text(f'{{"{key}": {text}}}')
            if (key, text) == ("max_age_days", "1e300"):
                load(project, NO_ENVIRONMENT)
            elif (key, text) == ("min_free_space_gb", "1e300"):
                assert refusal(project).endswith(f"{expected}, got 1e+300")
            else:
                assert f"cleanup_config.json: {key}: {expected}" in refusal(project), text


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("MAX_AGE_HOURS", "soon", "expected a number of 0 or more, got 'soon'"),
        ("MAX_AGE_HOURS", "nan", "expected a number of 0 or more, got nan"),
        ("MAX_AGE_HOURS", "inf", "expected a number of 0 or more, got inf"),
        ("MAX_AGE_HOURS", "-1", "expected a number of 0 or more, got -1.0"),
        ("MAX_COUNT", "1.5", "expected a whole number of 0 or more, got '1.5'"),
        ("MAX_COUNT", "-1", "expected a whole number of 0 or more, got -1"),
        ("MIN_FREE_SPACE", "lots", 'expected a size such as "20GiB" or "500MB", got \'lots\''),
        ("DRY_RUN", "yes", "expected true or false, got 'yes'"),
        ("STRATEGY", "x\ny", "expected one of aggressive, moderate, conservative, archive, got 'x\\ny'"),  # noqa: E501
        ("ROOTS", "a\0b", "expected a list of paths of directories, got ['a\\x00b']"),
        ("PROJECTS", "a,/b", 'expected a list of globs of directories below, as "projects/*", got [\'a\', \'/b\']'),  # noqa: E501
    ],
)  # fmt: skip
def test_a_bad_variable_is_refused_by_its_name(
    tmp_path: Path, variable: str, text: str, expected: str
) -> None:
    name = f"TEMPKEEP_{variable}"
    assert refusal(tmp_path, **{name: text}) == f"environment: {name}: {expected}"


@pytest.mark.parametrize("text", ["", " ", ","])
def test_an_empty_variable_is_refused_whatever_its_kind(tmp_path: Path, text: str) -> None:
    for key in KEYS:
        name = f"TEMPKEEP_{key.upper()}"
        said = f"environment: {name} is empty; give it a value, or unset it"
        assert refusal(tmp_path, **{name: text}) == said


def test_an_unknown_key_is_refused_and_the_known_ones_are_named(project: Path) -> None:
    table(project, "max_agee = 3")
    assert refusal(project) == (
        f"{project}/pyproject.toml: [tool.tempkeep]: max_agee is not a key; "
        f"expected one of {', '.join(KEYS)}"
    )
    table(project, "[tool.tempkeep.category.cache]\ndry_run = true")
    assert refusal(project) == (
        f"{project}/pyproject.toml: [tool.tempkeep.category.cache]: dry_run is not a key; "
        f"expected one of {', '.join(CATEGORY_KEYS)}"
    )
    table(project, "")
    config(project, max_age_hours=3)
    assert refusal(project) == (
        f"{project}/cleanup_config.json: max_age_hours is not a key; "
        f"expected one of {', '.join(JSON_KEYS)}"
    )
    config(project)
    assert refusal(project, TEMPKEEP_MAX_AG="3") == (
        "environment: TEMPKEEP_MAX_AG is not a key; "
        f"expected one of {', '.join('TEMPKEEP_' + key.upper() for key in KEYS)}"
    )


def test_a_time_has_a_unit_or_a_key_that_names_it_and_not_both(monorepo: Path, inner: Path) -> None:
    table(monorepo, 'max_age = "2w"\nkeep_within = "90m"\nundo_for = "36h"\nforeign_for = "7d"')
    found = load(inner, NO_ENVIRONMENT)
    policy = found.policy
    assert (policy.max_age, policy.keep_within) == (14 * DAY, 1.5 * HOUR)
    assert (found.undo_for, policy.foreign_for) == (36 * HOUR, 7 * DAY)
    table(inner, "max_age_hours = 5")  # another layer may spell it otherwise
    assert load(inner, NO_ENVIRONMENT).policy.max_age == 5 * HOUR
    assert load(inner, {"TEMPKEEP_MAX_AGE": "1d"}).policy.max_age == DAY

    table(inner, 'max_age_hours = 5\nmax_age = "5h"')
    assert refusal(inner) == (
        f"{inner}/pyproject.toml: [tool.tempkeep]: max_age and max_age_hours set the same; "
        "leave out one"
    )
    table(inner, "")
    config(inner, max_age="7d", max_age_days=7)
    assert "cleanup_config.json: max_age and max_age_days set the same; leave" in refusal(inner)
    config(inner)
    assert refusal(inner, TEMPKEEP_UNDO_HOURS="1", TEMPKEEP_UNDO_FOR="1h") == (
        "environment: TEMPKEEP_UNDO_FOR and TEMPKEEP_UNDO_HOURS set the same; leave out one"
    )


@pytest.mark.parametrize("key", ["", " ", "a\nb", "\x1b[31m", "a\x00"])
def test_a_key_of_odd_characters_stays_in_its_line(project: Path, key: str) -> None:
    config(project, **{key: 1})
    assert f"cleanup_config.json: {key!r} is not a key; " in refusal(project)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[tool]\ntempkeep = 3", "[tool.tempkeep]: expected a table, got 3"),
        ("[[tool.tempkeep]]", "[tool.tempkeep]: expected a table, got [{}]"),
        (
            "[tool.tempkeep]\ncategory = 3",
            "[tool.tempkeep.category]: expected tables, got 3",
        ),
        (
            "[tool.tempkeep.category]\ncache = 3",
            "[tool.tempkeep.category.cache]: expected a table, got 3",
        ),
        (
            '[tool.tempkeep.category."a/b"]',
            "[tool.tempkeep.category.a/b]: category 'a/b' contains a path separator; "
            "use one plain path component",
        ),
        (
            '[tool.tempkeep.category.".."]',
            "[tool.tempkeep.category...]: category '..' starts with a dot; "
            "use one plain path component",
        ),
        (
            '[tool.tempkeep.category."a\\nb"]',
            "[tool.tempkeep.category.'a\\nb']: category 'a\\nb' contains a control or "
            "unprintable character; use one plain path component",
        ),
        (
            "[tool.tempkeep.category.cache]\nmax_count = -1",
            "[tool.tempkeep.category.cache]: max_count: "
            "expected a whole number of 0 or more, got -1",
        ),
        (
            '[tool.tempkeep.category.cache]\nstrategy = "archive"',
            "[tool.tempkeep.category.cache]: strategy: a single category cannot be archived; "
            "expected another strategy here, or archive = true in [tool.tempkeep]",
        ),
        (
            "[tool.tempkeep\n",
            "not valid TOML: Expected ']' at the end of a table declaration (at line 1, ",
        ),
        (
            "[tool.tempkeep]\nmax_count = 1\nmax_count = 2",
            "not valid TOML: Cannot overwrite a value",
        ),
        ("x = " + "[" * 100_000 + "# tempkeep", "not valid TOML: it is nested too deeply"),
    ],
)
def test_a_table_that_is_none_is_refused_by_file_and_place(
    project: Path, text: str, expected: str
) -> None:
    (project / "pyproject.toml").write_text(text)
    assert refusal(project).startswith(f"{project}/pyproject.toml: {expected}")


@pytest.mark.parametrize("name", ["pyproject.toml", "cleanup_config.json"])
def test_settings_behind_a_link_to_nowhere_are_not_taken_for_none(project: Path, name: str) -> None:
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(project / "not-mounted" / name)
    assert refusal(project) == (
        f"{project}/{name}: a link to nowhere; mount or make its target, or remove it"
    )


def test_a_file_that_is_no_utf_8_is_refused(project: Path) -> None:
    (project / "pyproject.toml").write_bytes(b"[tool.tempkeep]\n# \xff\n")
    assert refusal(project).startswith(
        f"{project}/pyproject.toml: not valid TOML: 'utf-8' codec can't decode byte 0xff"
    )
    added = "[tool.tempkeep]\nexclude = ['golden']\n".encode("utf-16le")  # as PowerShell does
    (project / "pyproject.toml").write_bytes(b"[project]\n" + added)
    assert "pyproject.toml: not valid TOML: " in refusal(project)
    (project / "pyproject.toml").unlink()
    (project / "cleanup_config.json").write_bytes(b'{"strategy": "\xff"}')
    assert refusal(project).startswith(
        f"{project}/cleanup_config.json: not valid JSON: 'utf-8' codec can't decode byte 0xff"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        ("{", "not valid JSON: Expecting property name enclosed in double quotes"),
        ("\ufeff{}", "not valid JSON: Unexpected UTF-8 BOM"),
        ("[" * 100_000, "not valid JSON: it is nested too deeply"),
        ('{"max_age_days": ' + "9" * 5000 + "}", "not valid JSON: Exceeds the limit"),
        ("[]", "expected an object, got []"),
        ("null", "expected an object, got None"),
        ('"strategy"', "expected an object, got 'strategy'"),
    ],
)
def test_a_json_file_that_is_none_is_refused(project: Path, text: str, expected: str) -> None:
    (project / "cleanup_config.json").write_text(text, encoding="utf-8")
    assert refusal(project).startswith(f"{project}/cleanup_config.json: {expected}")


@pytest.mark.parametrize("name", ["pyproject.toml", "cleanup_config.json"])
def test_a_file_that_cannot_be_read_is_named(project: Path, name: str) -> None:
    path = project / name
    path.unlink(missing_ok=True)
    path.symlink_to(name)
    assert refusal(project) == f"{path}: cannot be read: {LINK}"
    path.unlink()
    path.mkdir()
    assert refusal(project) == f"{path}: cannot be read: Is a directory"
    path.rmdir()
    path.touch(mode=0)
    with plain_user():
        assert refusal(project) == f"{path}: cannot be read: {DENIED}"


def test_a_project_that_is_a_file_has_no_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert load(tmp_path / "file", NO_ENVIRONMENT).policy == Policy()


def test_a_broken_pyproject_that_does_not_speak_of_us_is_not_ours_to_refuse(project: Path) -> None:
    (project / "pyproject.toml").write_text("[broken")
    assert load(project, NO_ENVIRONMENT) == Settings(project=project)


@pytest.mark.parametrize(
    "text", ["# tempkeep", "tool = 3 # tempkeep", "[tool.other]\nx='tempkeep'"]
)
def test_a_pyproject_without_the_table_sets_nothing(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(text)
    assert load(project, NO_ENVIRONMENT) == Settings(project=project)


# -- for the runs of a pipeline -----------------------------------------------------------------


def test_a_given_file_is_read_in_place_of_the_projects_own(monorepo: Path, inner: Path) -> None:
    config(monorepo, max_runs_to_keep=2, exclude_patterns=["a"])
    config(inner, max_runs_to_keep=3, dry_run=True)
    (inner / "other.json").write_text('{"max_age_days": 1}')
    found = load(inner, NO_ENVIRONMENT, config=inner / "other.json")
    assert (found.policy.max_age, found.policy.max_count, found.dry_run) == (DAY, 2, False)
    assert found.policy.exclude == ("a",)
    environment = {"TEMPKEEP_MAX_AGE_HOURS": "2"}
    assert load(inner, environment, config=inner / "other.json").policy.max_age == 2 * HOUR


def test_a_given_file_stands_for_that_of_a_monorepo_where_one_is_in_it(monorepo: Path) -> None:
    config(monorepo, max_runs_to_keep=2)
    (monorepo / "other.json").write_text("{}")
    assert load(monorepo, NO_ENVIRONMENT, config=monorepo / "other.json").policy.max_count is None


def test_a_given_file_that_is_missing_is_refused_where_the_projects_own_may_be(
    project: Path,
) -> None:
    with pytest.raises(InvalidSettings, match=r"other\.json: no such file; give the path of a "):
        load(project, NO_ENVIRONMENT, config=project / "other.json")


def test_words_of_the_file_are_settings_all_by_themselves(project: Path) -> None:
    config(project, max_runs_to_keep=2)
    found = of_config(project, {"strategy": "archive", "max_age_days": 1}, "here")
    assert (found.policy.max_age, found.policy.max_count, found.disposal) == (DAY, 5, "archive")
    with pytest.raises(InvalidSettings, match=r"^here: max_age_hours is not a key"):
        of_config(project, {"max_age_hours": 1}, "here")


@pytest.mark.parametrize(
    "check", [check_config, lambda said, where: of_config(Path(), said, where)]
)
def test_words_that_the_file_could_not_have_are_refused(check: Callable[..., object]) -> None:
    with pytest.raises(InvalidSettings, match=r"^here: dry_run: expected true or false, got 1$"):
        check({"dry_run": 1}, "here")


def test_a_given_strategy_replaces_the_numbers_of_every_category_and_nothing_else(
    project: Path,
) -> None:
    table(
        project,
        'strategy = "conservative"\nmax_count = 9\nmin_free_space = 1\nexclude = ["a"]\n'
        "[tool.tempkeep.category.pipeline]\nmax_age_hours = 1\nkeep_last = 2",
    )
    found = with_strategy(load(project, NO_ENVIRONMENT), "aggressive").policy
    assert (found.max_age, found.max_count) == (3 * DAY, 3)
    assert (found.min_free_space, found.exclude) == (1, ("a",))
    own = found.of("pipeline")
    assert (own.max_age, own.max_count, own.keep_last) == (3 * DAY, 3, 2)


@pytest.mark.parametrize("said", ["archive = true", 'strategy = "archive"'])
def test_a_given_strategy_still_archives_what_was_to_be_archived(project: Path, said: str) -> None:
    table(project, said)
    assert with_strategy(load(project, NO_ENVIRONMENT), "moderate").disposal == "archive"


def test_the_archive_strategy_archives_where_it_is_given(project: Path) -> None:
    assert with_strategy(load(project, NO_ENVIRONMENT), "archive").disposal == "archive"


def test_a_strategy_is_checked_by_name() -> None:
    assert check_strategy("moderate", "--strategy") == "moderate"
    with pytest.raises(InvalidSettings) as refused:
        check_strategy("brave", "--strategy")
    assert str(refused.value) == (
        "--strategy: expected one of aggressive, moderate, conservative, archive, got 'brave'"
    )


# -- uv workspaces ------------------------------------------------------------------------------


def test_members_of_a_uv_workspace_are_projects_too(monorepo: Path) -> None:
    (monorepo / "pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["packages/*", "app"]\nexclude = ["packages/old"]'
    )
    found = workspace_globs(monorepo, load(monorepo, NO_ENVIRONMENT))
    assert found == (["projects/*", "packages/*", "app"], ["packages/old"])


@pytest.mark.parametrize(
    "text",
    [
        *("", "# workspace", "tool = 3 # workspace", "[tool]\nuv = 3 # workspace"),
        *("[tool.uv.workspace]", "[tool.uv]\nworkspace = true"),
    ],
)
def test_without_a_uv_workspace_only_the_configured_projects_count(
    monorepo: Path, text: str
) -> None:
    (monorepo / "pyproject.toml").write_text(text)
    assert workspace_globs(monorepo, Settings(project=monorepo)) == (["projects/*"], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('members = "packages/*"', "members: expected a list of texts, got 'packages/*'"),
        ("exclude = 3", "exclude: expected a list of texts, got 3"),
        (
            'members = ["/abs"]',
            f"members: {_NOT_GLOBS.format(['/abs'])}",
        ),
    ],
)
def test_a_uv_workspace_that_cannot_be_used_is_refused(
    monorepo: Path, text: str, expected: str
) -> None:
    (monorepo / "pyproject.toml").write_text(f"[tool.uv.workspace]\n{text}")
    with pytest.raises(InvalidSettings) as refused:
        workspace_globs(monorepo, Settings(project=monorepo))
    assert str(refused.value) == f"{monorepo}/pyproject.toml: [tool.uv.workspace]: {expected}"


# -- schemas ------------------------------------------------------------------------------------


def schema(name: str) -> dict[str, Any]:
    file = importlib.resources.files("common.temp") / "schemas" / f"{name}.schema.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


PYPROJECT_SCHEMA = schema("pyproject")
CONFIG_SCHEMA = schema("cleanup_config")
CATEGORY_SCHEMA = PYPROJECT_SCHEMA["properties"]["category"]["additionalProperties"]


def accepts(of: dict[str, Any], value: object) -> bool:
    return bool(jsonschema.Draft7Validator(of).is_valid(value))


@pytest.mark.parametrize("of", [PYPROJECT_SCHEMA, CONFIG_SCHEMA])
def test_a_schema_is_one(of: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(of)
    assert of["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    ("of", "keys"),
    [
        (PYPROJECT_SCHEMA, [*KEYS, "category"]),
        (CATEGORY_SCHEMA, [*CATEGORY_KEYS]),
        (CONFIG_SCHEMA, [*JSON_KEYS]),
    ],
)
def test_a_schema_has_the_keys_of_the_loader_each_with_a_description(
    of: dict[str, Any], keys: list[str]
) -> None:
    assert sorted(of["properties"]) == sorted(keys)
    assert of["additionalProperties"] is False
    for said in of["properties"].values():
        assert said["description"].endswith(".")


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize(("of", "keys"), [(PYPROJECT_SCHEMA, KEYS), (CONFIG_SCHEMA, JSON_KEYS)])
def test_a_schema_accepts_what_the_loader_accepts(
    of: dict[str, Any], keys: dict[str, Key], good: bool
) -> None:
    for key, value in _cases(keys, good=good):
        assert accepts(of, {key: value}) is good, (key, value)
    assert all(accepts(of, {key: None}) is (of is CONFIG_SCHEMA) for key in keys)


def test_the_schema_of_a_category_accepts_what_the_loader_accepts(project: Path) -> None:
    for good in (True, False):
        for key, value in _cases(CATEGORY_KEYS, good=good):
            table(project, f"[tool.tempkeep.category.cache]\n{key} = {_toml(value)}")
            said = {"category": {"cache": {key: value}}}
            assert accepts(PYPROJECT_SCHEMA, said) is _loads(project), said


def test_schema_and_loader_agree_on_the_name_of_a_category(project: Path) -> None:
    for name in (
        *("cache", "a b", "日本", "a.b", "CONsole", "COM0", "x" * 255),
        *("", ".x", "..", "a/b", "a\\b", "a\nb", "a\x7f", "CON", "nul.txt", "lpt1 ", "conout$"),
        *("COM³", "x" * 256, "CACHEDIR.TAG"),
    ):
        table(project, f"[tool.tempkeep.category.{json.dumps(name)}]")
        assert accepts(PYPROJECT_SCHEMA, {"category": {name: {}}}) is _loads(project), name


def test_schema_and_loader_agree_on_whole_tables(project: Path) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"unknown": 1}, False),
        ({"category": {}}, True),
        ({"category": 3}, False),
        ({"category": {"a": {}, "b": {"keep_last": 1}}}, True),
        ({"category": {"a": 3}}, False),
        ({"category": {"a": {"unknown": 1}}}, False),
        ({"category": {"a": {"min_free_space": 1}}}, False),
        ({"max_age": "7d", "keep_within_hours": 1}, True),
        ({"max_age": "7d", "max_age_hours": 1}, False),
        ({"max_age": "7d", "category": {"a": {"max_age_hours": 1}}}, True),
        ({"category": {"a": {"keep_within": "7d", "keep_within_hours": 1}}}, False),
    ]
    for said, good in cases:
        (project / "pyproject.toml").write_text(f"tool = {_inline({'tempkeep': said})}")
        assert accepts(PYPROJECT_SCHEMA, said) is _loads(project) is good, said


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _loads(project: Path) -> bool:
    try:
        load(project, NO_ENVIRONMENT)
    except InvalidSettings:
        return False
    return True
