"""The presets of `clean`: the artefacts that the tools of each ecosystem make, and their markers.

To add a preset, add a row to `PRESETS`, a case for each of its artefacts to
`tests/store/test_presets.py`, and its name to `choices.PRESETS`. Then run
`python3 -m tests.reference`, which generates the table in the docs.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from ...choices import ALL
from ..settings.settings import DEFAULT_ARTEFACTS

MODULES: Final = "node_modules"
ENVIRONMENT: Final = "pyvenv.cfg"
"""The file that makes a directory a virtual environment."""

NPM_LIST: Final = ".package-lock.json"
PNPM_LIST: Final = ".modules.yaml"
CACHE_TAG: Final = "CACHEDIR.TAG"
_SHOWING: Final = (CACHE_TAG, NPM_LIST, PNPM_LIST)


class Made(NamedTuple):
    """Directories that a tool makes, and how they are recognised. All fields are globs.

    - `names`: the names of the directories
    - `beside`: one of these is beside the directory; if empty, nothing need be
    - `holds`: all of these are in it, by paths relative to it
    - `shown_by`: if git cannot tell, one of these in it proves that the tool made it
    - `only`: if set, it holds nothing else; for names that people use too, a name proves nothing
    - `each`: if set, it holds at least one directory, and every directory in it has this file
    """

    names: tuple[str, ...]
    beside: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    shown_by: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    each: str = ""
    precious: tuple[str, ...] = ()

    @property
    def has_environments(self) -> bool:
        """Whether the tool makes virtual environments there."""
        return any(ENVIRONMENT in glob for glob in (*self.holds, *self.shown_by))

    def is_known_by(self, name: str) -> bool:
        """Whether `name` inside the directory shows that it is an artefact."""
        showing = (glob.partition("/")[0] for glob in (*_SHOWING, *self.holds, *self.shown_by))
        return any(fnmatch.fnmatchcase(name, glob) for glob in showing)

    def marker(self, names: Collection[str]) -> str:
        """The one of `names`, found beside it, that identifies it; "" if none does."""
        for glob in self.beside:
            if glob in names:
                return glob
            if "*" in glob and (found := next(iter(fnmatch.filter(names, glob)), "")):
                return found
        return ""


class Preset(NamedTuple):
    """The artefacts of one ecosystem's tools, by marker, and by `globs` as in `artefacts`.

    `only_by_name` means that `all` leaves it out.
    """

    made: tuple[Made, ...]
    globs: tuple[str, ...] = ()
    only_by_name: bool = False


_GRADLE: Final = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
_DOTNET: Final = ("*.csproj", "*.fsproj", "*.vbproj")
_PACKAGE: Final = ("package.json",)

PRESETS: Final[dict[str, Preset]] = {
    "python": Preset(
        (
            Made(
                (".tox",),
                ("tox.ini", "tox.toml", "setup.cfg", "pyproject.toml"),
                shown_by=("*/pyvenv.cfg",),
            ),
            Made((".nox",), ("noxfile.py",), shown_by=("*/pyvenv.cfg",)),
        ),
        globs=DEFAULT_ARTEFACTS,
    ),
    "venv": Preset(
        (
            Made(
                (".venv", "venv", "env"),
                holds=(ENVIRONMENT,),
                only=(
                    *(ENVIRONMENT, "bin", "lib", "lib64", "include", "share", "etc", "man"),
                    *("Scripts", "Lib", "Include", ".gitignore", ".lock"),
                ),
                precious=("pip.conf", "pip.ini"),
            ),
        ),
        only_by_name=True,
    ),
    # `made` knows the tools that make it.
    "node": Preset((Made((MODULES,), _PACKAGE, precious=(".pnpm_patches",)),)),
    "web": Preset(
        (
            Made((".next",), _PACKAGE, shown_by=("build-manifest.json", "BUILD_ID", "trace")),
            Made((".nuxt",), _PACKAGE, shown_by=("nuxt.d.ts", "nuxt.json")),
            Made((".svelte-kit",), _PACKAGE, shown_by=("ambient.d.ts", "generated")),
            Made((".parcel-cache",), _PACKAGE, shown_by=("data.mdb", "*.blob")),
            Made((".angular",), (*_PACKAGE, "angular.json"), only=("cache",)),
            Made((".turbo",), _PACKAGE, only=("cache", "cookies", "daemon", "runs", "*.log")),
            Made((".docusaurus",), _PACKAGE, shown_by=("docusaurus.config.mjs",)),
        )
    ),
    "rust": Preset((Made(("target",), ("Cargo.toml",), shown_by=(".rustc_info.json",)),)),
    "maven": Preset(
        (
            Made(
                ("target",),
                ("pom.xml",),
                only=(
                    *("classes", "test-classes", "generated-sources", "generated-test-sources"),
                    *("maven-archiver", "maven-status", "surefire-reports", "failsafe-reports"),
                    *("*.jar", "*.war", "jacoco.exec", "site"),
                ),
                shown_by=("maven-status", "maven-archiver", "*classes/**/*.class"),
            ),
        )
    ),
    "gradle": Preset(
        (
            Made(
                ("build",),
                _GRADLE,
                only=(
                    *("classes", "generated", "kotlin", "libs", "reports", "resources", "tmp"),
                    *("test-results", "distributions", "scripts", "outputs", "intermediates"),
                ),
                shown_by=("tmp/*", "libs/*.jar", "classes/**/*.class"),
            ),
            Made(
                (".gradle",),
                _GRADLE,
                shown_by=("buildOutputCleanup", "file-system.probe"),
                precious=("gradle.properties", "init.d", "init.gradle*"),  # of GRADLE_USER_HOME
            ),
        )
    ),
    "dotnet": Preset(
        (
            Made(
                ("bin",),
                _DOTNET,
                only=("Debug", "Release"),
                shown_by=("*/**/*.dll",),
                precious=("*.db", "*.sqlite", "*.sqlite3", "*.mdf"),  # it often runs there
            ),
            Made(
                ("obj",),
                _DOTNET,
                only=(
                    *("Debug", "Release", "project.assets.json", "project.nuget.cache"),
                    "*.nuget.*",
                ),
                shown_by=("project.assets.json", "*.nuget.*"),
            ),
        )
    ),
    "swift": Preset((Made((".build",), ("Package.swift",), shown_by=("workspace-state.json",)),)),
    "elixir": Preset(
        (
            Made(("_build",), ("mix.exs",), only=("dev", "test", "prod"), shown_by=("*/lib/*",)),
            Made(("deps",), ("mix.exs",), each=".hex"),
        )
    ),
    "dart": Preset(
        (Made((".dart_tool",), ("pubspec.yaml",), shown_by=("package_config.json", "version")),)
    ),
    "zig": Preset(
        (
            Made(
                (".zig-cache", "zig-cache"),
                ("build.zig",),
                only=("b", "h", "o", "tmp", "z"),
                shown_by=("[hoz]/*",),
            ),
            Made(("zig-out",), ("build.zig",)),
        )
    ),
    "haskell": Preset(
        (
            Made((".stack-work",), ("stack.yaml", "package.yaml", "*.cabal"), shown_by=("dist",)),
            Made(("dist-newstyle",), ("cabal.project", "*.cabal"), shown_by=("cache/plan.json",)),
        )
    ),
    "sbt": Preset(
        (
            Made(
                ("target",),
                ("build.sbt",),
                only=("streams", "scala-*", "global-logging"),
                shown_by=("streams/*", "global-logging/*", "scala-*/**/*.class"),
            ),
        )
    ),
    "cmake": Preset((Made(("build", "cmake-build-*"), ("CMakeLists.txt",), ("CMakeCache.txt",)),)),
    "composer": Preset((Made(("vendor",), ("composer.json",), ("composer/installed.json",)),)),
    "godot": Preset(
        (
            Made(
                (".godot",),
                ("project.godot",),
                shown_by=("uid_cache.bin", "editor"),
                precious=("export_credentials.cfg",),
            ),
        )
    ),
}


def chosen(names: Iterable[str]) -> tuple[Preset, ...]:
    """The presets of these names; `all` means all except those that are `only_by_name`."""
    wanted = set(names)
    if ALL in wanted:
        wanted |= {name for name, preset in PRESETS.items() if not preset.only_by_name}
    return tuple(preset for name, preset in PRESETS.items() if name in wanted)


def spell_made(made: Made, beside: Collection[str]) -> str:
    """A description for users, such as `rust, beside Cargo.toml`."""
    preset = next(name for name, preset in PRESETS.items() if made in preset.made)
    marker = made.marker(beside)
    return f"{preset}, {f'beside {marker}' if marker else f'with {made.holds[0]}'}"
