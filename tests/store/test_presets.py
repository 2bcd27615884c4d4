"""The presets of `clean`: what each finds, and what it leaves alone despite the same name."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from common.temp import choices
from common.temp.store.artefacts.artefacts import opened_project, remove_made
from common.temp.store.artefacts.finding import find_artefacts
from common.temp.store.artefacts.presets import PRESETS, chosen
from common.temp.store.project.tracked import Tracked
from common.temp.store.settings.settings import DEFAULT_ARTEFACTS
from tests.support import IMMUTABLE, immutable

TAG = "Signature: 8a477f597d28d172789f06886806bc55"
LOCK = '{"packages": {"node_modules/a": {}, "node_modules/@s/b": {}}}'


class Case(NamedTuple):
    """An `artefact` of a preset, beside its `marker`: what its tool `made`, and in `mine` what it
    did not, with which it may be somebody's work.

    With what the tool made, if `mine` is to be seen `among` that.
    """

    preset: str
    marker: str
    artefact: str
    made: dict[str, str]
    mine: str = "mine.txt"
    among: bool = False


CASES = (
    Case("python", "tox.ini", ".tox", {"py311/pyvenv.cfg": ""}),
    Case("python", "noxfile.py", ".nox", {"tests/pyvenv.cfg": ""}),
    Case("venv", "", ".venv", {"pyvenv.cfg": "", "lib/x.py": ""}, "app/mine.py", among=True),
    Case("venv", "", "venv", {"pyvenv.cfg": "", "CACHEDIR.TAG": TAG}, "app/mine.py", among=True),
    Case("venv", "", "env", {"pyvenv.cfg": "", "share/node_modules/a/x.js": ""}),
    Case(
        "node",
        "package.json",
        "node_modules",
        {".package-lock.json": LOCK, "a/node_modules/c/x.js": "", "@s/b/x.js": "", ".bin/a": ""},
        "mine/index.js",
        among=True,
    ),
    Case("node", "package.json", "node_modules", {".modules.yaml": "", ".pnpm/a@1/x": ""}, "b/x"),
    Case("web", "package.json", ".next", {"BUILD_ID": "x", "standalone/node_modules/a/x": ""}),
    Case("web", "package.json", ".nuxt", {"nuxt.d.ts": ""}),
    Case("web", "package.json", ".svelte-kit", {"generated/x": ""}),
    Case("web", "package.json", ".parcel-cache", {"data.mdb": ""}),
    Case("web", "package.json", ".angular", {"cache/17/x": ""}, among=True),
    Case("web", "package.json", ".turbo", {"cache/x": ""}, "config.json", among=True),
    Case("web", "package.json", ".docusaurus", {"docusaurus.config.mjs": ""}),
    Case("rust", "Cargo.toml", "target", {".rustc_info.json": "", "debug/x": ""}),
    Case(
        "rust",
        "Cargo.toml",
        "target",
        {"CACHEDIR.TAG": TAG},
    ),
    Case("maven", "pom.xml", "target", {"classes/X.class": "", "app-1.jar": ""}, among=True),
    Case("gradle", "build.gradle", "build", {"libs/x.jar": "", "tmp/x": ""}, among=True),
    Case("gradle", "settings.gradle.kts", ".gradle", {"buildOutputCleanup/x": ""}),
    Case("dotnet", "App.csproj", "bin", {"Debug/net8/App.dll": ""}, "tool.sh", among=True),
    Case("dotnet", "App.fsproj", "obj", {"project.assets.json": ""}, among=True),
    Case("swift", "Package.swift", ".build", {"workspace-state.json": "", "debug/x.o": ""}),
    Case("elixir", "mix.exs", "_build", {"dev/lib/x": "", "test/lib/x": ""}, among=True),
    Case("elixir", "mix.exs", "deps", {"a/.hex": "", "b/.hex": ""}, "c/mix.exs", among=True),
    Case("dart", "pubspec.yaml", ".dart_tool", {"package_config.json": ""}),
    Case("zig", "build.zig", ".zig-cache", {"o/x": "", "h/x": ""}, among=True),
    Case("zig", "build.zig", "zig-out", {}, "bin/x"),
    Case("haskell", "app.cabal", ".stack-work", {"dist/x": ""}),
    Case("haskell", "cabal.project", "dist-newstyle", {"cache/plan.json": ""}),
    Case("sbt", "build.sbt", "target", {"scala-3.3/classes/X.class": ""}, among=True),
    Case("cmake", "CMakeLists.txt", "cmake-build-debug", {}, "CMakeCache.txt"),
    Case("composer", "composer.json", "vendor", {}, "composer/installed.json"),
    Case("godot", "project.godot", ".godot", {"uid_cache.bin": ""}),
)


def write(top: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        target = top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def found(project: Path, *presets: str, unsure: bool = False) -> dict[str, str]:
    """The artefacts by path, each with why it stays or ""; no git tells what is hand-written."""
    wanted, tracked = chosen(presets), Tracked(project)
    every = find_artefacts(project, (), tracked, presets=wanted, include_unsure=unsure)
    return {artefact.path: artefact.kept for artefact in every}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.preset}-{case.artefact}")
def test_a_preset_takes_what_its_tool_made_beside_its_marker_and_leaves_the_rest(
    project: Path, case: Case
) -> None:
    preset, marker, artefact, made, mine, among = case
    beside = {marker: ""} if marker else {}
    # What no preset but its own may look for: none enters an artefact of another.
    deep = {f"{artefact}/deep/package.json": "", f"{artefact}/deep/.next/trace": ""}
    if made:
        write(project / "made", beside | {f"{artefact}/{path}": made[path] for path in made})
    write(project / "mine", beside | {f"{artefact}/{path}": made[path] for path in made if among})
    write(project / "mine", {f"{artefact}/{mine}": ""})
    write(project / "unmarked" / artefact, {mine: "", **made} if marker else {mine: ""})

    took = found(project, preset)

    assert took.pop(f"made/{artefact}", "") == ""
    unsure = {path: why for path, why in took.items() if "--include-unsure takes it" in why}
    assert took == unsure
    is_found = among or mine in HOLDS or not any(row.holds for row in PRESETS[preset].made)
    assert list(took) == [f"mine/{artefact}"] * is_found
    assert (f"made/{artefact}" in found(project, preset)) == bool(made)
    assert list(found(project, preset, unsure=True).values()) == [""] * (len(took) + bool(made))
    write(project / "mine", deep)
    others = [name for name in PRESETS if name not in (preset, "python")]
    if is_found:
        assert found(project, *others) == {}


def test_names_that_people_use_too_show_no_tool(project: Path) -> None:
    files = {
        "gradle/settings.gradle": "", "gradle/build/scripts/deploy.sh": "",
        "gradle/build/resources/logo.svg": "", "maven/pom.xml": "",
        "maven/target/site/handbook.md": "", "dotnet/a.csproj": "",
        "dotnet/bin/Release/sign.sh": "", "dotnet/obj/Debug/notes": "", "elixir/mix.exs": "",
        "elixir/_build/prod/Dockerfile": "", "zig/build.zig": "", "zig/zig-cache/tmp/notes": "",
        "sbt/build.sbt": "", "sbt/target/scala-3/notes": "",
    }  # fmt: skip
    write(project, files)
    took = found(project, "all")
    assert len(took) == 7
    assert all(why.startswith("nothing in it shows what made it") for why in took.values())


HOLDS = {path for preset in PRESETS.values() for row in preset.made for path in row.holds}


def test_every_row_has_a_case_and_a_name() -> None:
    rows = {(name, made) for name, preset in PRESETS.items() for made in preset.made}
    tried = {
        (case.preset, made)
        for case in CASES
        for made in PRESETS[case.preset].made
        if any(fnmatch(case.artefact, name) for name in made.names)
    }
    assert rows == tried
    assert tuple(PRESETS) == choices.PRESETS
    assert chosen(["all"]) == chosen(set(PRESETS) - {"venv"})
    assert PRESETS["python"].globs == DEFAULT_ARTEFACTS


@pytest.mark.parametrize("work", [".git/HEAD", ".hg/x", ".tempkeep/layout", "x/.venv/x"])
def test_somebodys_work_keeps_what_a_tool_made(project: Path, work: str) -> None:
    made = {"package.json": "", "node_modules/.package-lock.json": LOCK}
    write(project, {**made, f"node_modules/a/{work}": ""})
    why = f"it holds a/{work.rpartition('/')[0]}"
    write(project, {"env/pyvenv.cfg": "", "env/pyproject.toml": "", "env/app.py": ""})
    assert found(project, "node", "venv", unsure=True) == {
        "env": "it is a project of its own",
        "node_modules": why,
    }


def test_what_no_tool_makes_again_keeps_what_one_made(project: Path) -> None:
    names = {
        "godot": "export_credentials.cfg", "gradle": "gradle.properties", "venv": "pip.conf",
        "dotnet": "Debug/net8/App.db", "rust": "infra/terraform.tfstate",
        "node": ".pnpm_patches/a@1/index.js",
    }  # fmt: skip
    for case in CASES:
        if case.artefact in (".godot", ".gradle", ".venv", "bin", "node_modules", "target"):
            made = {f"{case.artefact}/{path}": text for path, text in case.made.items()}
            precious = names.get(case.preset, "none")
            write(project / case.preset, {case.marker or "x": "", **made})
            write(project / case.preset, {f"{case.artefact}/{precious}": ""})
    took = found(project, *names, unsure=True)
    assert {path.partition("/")[0] for path in took} == {*names}
    for path, why in took.items():
        precious = names[path.partition("/")[0]].removesuffix("/a@1/index.js")
        assert why.startswith(f"it holds {precious}"), (path, why)


def test_a_link_is_none_and_links_in_one_are_not_followed(project: Path, tmp_path: Path) -> None:
    write(tmp_path, {"store/x": "", "store/.git/HEAD": ""})
    write(project, {"package.json": "", "a/package.json": "", "a/node_modules/.modules.yaml": ""})
    (project / "node_modules").symlink_to(tmp_path / "store")
    (project / "a" / "node_modules" / "linked").symlink_to(tmp_path / "store")
    assert found(project, "node") == {"a/node_modules": ""}


def test_only_a_path_in_the_settings_leads_into_what_a_preset_knows(project: Path) -> None:
    write(project, {"Cargo.toml": "", "target/wheels/x.whl": "", "target/debug/build/x.o": ""})
    patterns = ("build/", "*.whl", "target/wheels/")
    for wanted, expected in (patterns, ["target/wheels"]), (patterns[:2], []):
        every = find_artefacts(project, wanted, Tracked(project))
        assert [artefact.path for artefact in every if "wheels" in artefact.path] == expected


@pytest.mark.parametrize("preset", ["node", "venv"])
def test_what_could_not_go_whole_is_known_to_the_next_clean(project: Path, preset: str) -> None:
    made = {"node_modules/.package-lock.json": LOCK, "node_modules/a/x": "", "package.json": ""}
    write(project, made if preset == "node" else {"env/pyvenv.cfg": "", "env/lib/x": ""})
    (artefact,) = find_artefacts(project, (), Tracked(project), presets=chosen([preset]))
    assert artefact.made is not None
    with opened_project(project) as top:
        stuck = next((project / artefact.path).rglob("x"))
        with immutable(stuck):
            removed = remove_made(top, artefact.path, artefact.made)
        where = f"{stuck.relative_to(project / artefact.path)}"
        assert removed.failures == [(where, IMMUTABLE)]
        assert found(project, preset) == {artefact.path: ""}
        assert remove_made(top, artefact.path, artefact.made).failures == []
        assert remove_made(top, artefact.path, artefact.made).failures == []
    assert found(project, preset) == {}
