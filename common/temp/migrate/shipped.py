"""Tells which files of a project its distribution installs, by the rules of its build backend."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from .settings import ini, read_bytes, remembered, table, toml
from .style import holds_python

_TESTS: Final = frozenset({"test", "tests"})
_DEV: Final = frozenset(
    {"test", "tests", "testing", "scripts", "tools", "bin", "ci", "docs", "doc", "examples"}
    | {"benchmarks", "benchmark"}
)
_NEVER_FOUND: Final = frozenset(
    {"ci", "bin", "doc", "docs", "documentation", "manpages", "news", "newsfragments", "changelog"}
    | {"test", "tests", "unit_test", "unit_tests", "example", "examples", "scripts", "tools"}
    | {"util", "utils", "python", "build", "dist", "venv", "env", "requirements", "tasks"}
    | {"fabfile", "site_scons", "benchmark", "benchmarks", "exercise", "exercises", "setup"}
    | {"conftest", "toxfile", "noxfile", "pavement", "dodo", "conanfile", "manage", "SConstruct"}
)
"""Names that setuptools ignores when it looks for packages and modules in a project directory."""


class Layout(NamedTuple):
    """What a distribution installs.

    - `roots`: the directories with its packages, relative to the project (`""`, `"src"`)
    - `names`: the packages and modules in them; `None` for all that are in them
    """

    roots: tuple[str, ...]
    names: frozenset[str] | None


def is_shipped(top: str, path: str) -> bool:
    """Whether the file at `path` below `top` is installed with a distribution.

    Tests do not count, wherever they are: `test_*.py`, `*_test.py`, `conftest.py`, and all files in
    a directory `test` or `tests`.
    """
    whole = os.path.join(top, path)
    if is_test(path):
        return False
    project = _distribution(top, os.path.dirname(whole))
    if project is None:
        return False
    relative = os.path.relpath(whole, project).replace(os.sep, "/")
    layout = _layout(project)
    for root in sorted(layout.roots, key=len, reverse=True):
        if root and not relative.startswith(f"{root}/"):
            continue
        inner = relative[len(root) + 1 if root else 0 :].split("/")
        name = inner[0] if len(inner) > 1 else os.path.splitext(inner[0])[0]
        if layout.names is not None:
            return name in layout.names
        if root:
            return True
        return _is_found(project, name, is_module=len(inner) == 1)
    return False


def is_test(path: str) -> bool:
    """Whether the file at `path` belongs to a test suite."""
    *above, name = path.split("/")
    stem = os.path.splitext(name)[0]
    named = stem == "conftest" or stem.startswith("test_") or stem.endswith("_test")
    return named or bool(_TESTS & set(above))


def is_dev(top: str, path: str) -> bool:
    """Whether the file only runs during development: a test, a tool or a task."""
    name = path.rpartition("/")[2]
    if is_test(path) or name in ("tasks.py", "noxfile.py", "setup.py"):
        return True
    return bool(_DEV & set(path.split("/")[:-1])) and not is_shipped(top, path)


# -- distributions --------------------------------------------------------------------------------


@remembered
def _distribution(top: str, directory: str) -> str | None:
    """The nearest directory, going up, that builds a distribution; `None` if there is none."""
    while True:
        if (builds := _builds(directory)) is not None:
            return directory if builds else None
        if len(directory) <= len(top):
            return None
        directory = os.path.dirname(directory)


def _builds(directory: str) -> bool | None:
    """Whether a distribution is built from the directory; `None` if nothing in it says so."""
    document = toml(os.path.join(directory, "pyproject.toml"))
    if table(document, "tool", "uv").get("package") is False:
        return False
    if table(document, "tool", "poetry").get("package-mode") is False:
        return False
    if any(table(document, *names) for names in _BUILT):
        return True
    if os.path.isfile(os.path.join(directory, "setup.py")):
        return True
    described = ini(os.path.join(directory, "setup.cfg"))
    return True if described.has_section("metadata") or described.has_section("options") else None


_BUILT: Final = (("project",), ("build-system",), ("tool", "poetry"), ("tool", "flit"))


@remembered
def _layout(project: str) -> Layout:
    """What the distribution of a project installs."""
    document = toml(os.path.join(project, "pyproject.toml"))
    named, roots = set(_entry_points(document)), set()
    listed = False
    for names, places in (
        _of_setuptools(document),
        _of_setup_cfg(project),
        _of_setup_py(project),
        _of_hatch(document),
        _of_poetry(document),
        _of_others(document),
    ):
        listed = listed or bool(names)
        named |= names
        roots |= places
    if not roots:
        roots = {"src"} if os.path.isdir(os.path.join(project, "src")) else {""}
    if listed:
        return Layout(tuple(roots), frozenset(named))
    backend = str(table(document, "build-system").get("build-backend", "setuptools"))
    own = _normal(str(table(document, "project").get("name") or _poetry(document).get("name", "")))
    if own and not backend.startswith("setuptools"):
        found = {
            one
            for root in roots
            for one in (own, f"{own}.py")
            if os.path.exists(os.path.join(project, root, one))
        }
        if found and "src" not in roots:
            return Layout(tuple(roots), frozenset(named | {own}))
    return Layout(tuple(roots), None)


@remembered
def _is_found(project: str, name: str, *, is_module: bool) -> bool:
    """Whether setuptools finds the package or module in the project directory.

    It refuses to build from several, and looks for a module only if there is no package.
    """
    entries = [os.path.splitext(one) for one in os.listdir(project)]
    names = [(stem, suffix) for stem, suffix in entries if _may_be_found(stem)]
    packages = [one for one, suffix in names if not suffix and holds_python(project, one)]
    modules = [one for one, suffix in names if suffix == ".py"]
    if is_module:
        return modules == [name] and not packages
    return packages == [name]


def _may_be_found(name: str) -> bool:
    return name not in _NEVER_FOUND and not name.startswith((".", "_")) and name.isidentifier()


# -- settings of the backends ---------------------------------------------------------------------

_PLACES: Final = frozenset({"src", "lib", "python"})
_Told = tuple[set[str], set[str]]
"""The names that are installed, and the directories that they are in."""


def _entry_points(document: dict[str, Any]) -> Iterator[str]:
    """The top-level modules and packages that contain the entry points of a project."""
    project = table(document, "project")
    for scripts in (table(project, "scripts"), table(project, "gui-scripts")):
        for target in scripts.values():
            yield _first(str(target).partition(":")[0])


def _of_setuptools(document: dict[str, Any]) -> _Told:
    said = table(document, "tool", "setuptools")
    names = {_first(one) for one in _texts(said.get("packages"))}
    names |= set(_texts(said.get("py-modules")))
    places = set(_texts(table(said, "packages", "find").get("where")))
    places |= {str(one) for one in table(said, "package-dir").values() if isinstance(one, str)}
    return names, _clean(places)


def _of_setup_cfg(project: str) -> _Told:
    said = ini(os.path.join(project, "setup.cfg"))
    listed = said.get("options", "packages", fallback="")
    names = set() if "find" in listed else {_first(one) for one in listed.split()}
    names |= set(said.get("options", "py_modules", fallback="").split())
    places = set(said.get("options.packages.find", "where", fallback="").split())
    directories = said.get("options", "package_dir", fallback="").splitlines()
    places |= {one.partition("=")[2].strip() for one in directories if "=" in one}
    return names, _clean(places)


def _of_setup_py(project: str) -> _Told:
    try:
        tree = ast.parse(read_bytes(os.path.join(project, "setup.py")))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set(), set()
    names: set[str] = set()
    places: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="packages" | "py_modules", value=ast.List(elts=listed)):
                names |= {_first(one.value) for one in listed if _is_text(one)}  # type: ignore[attr-defined]
            case ast.keyword(arg="package_dir", value=ast.Dict(values=values)):
                places |= {one.value for one in values if _is_text(one)}  # type: ignore[attr-defined]
            case ast.keyword(arg="where", value=ast.Constant(value=str(where))):
                places.add(where)
    return names, _clean(places)


def _of_hatch(document: dict[str, Any]) -> _Told:
    said = table(document, "tool", "hatch", "build", "targets", "wheel")
    both = [table(document, "tool", "hatch", "build"), said]
    names, places = set(), set()
    for one in both:
        for key in ("packages", "only-include", "include"):
            for path in _texts(one.get(key)):
                first, _, rest = path.strip("/").partition("/")
                is_place = first in _PLACES and rest
                places.add(first if is_place else "")
                names.add(os.path.splitext(rest.partition("/")[0] if is_place else first)[0])
    return names, places


def _of_poetry(document: dict[str, Any]) -> _Told:
    names, places = set(), set()
    listed = _poetry(document).get("packages", ())
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("include"), str):
            names.add(os.path.splitext(_first(one["include"].replace("/", ".")))[0])
            places.add(str(one.get("from", "")))
    return names, places


def _of_others(document: dict[str, Any]) -> _Told:
    """The settings of flit, PDM, uv and maturin."""
    flit = table(document, "tool", "flit", "module").get("name")
    uv = table(document, "tool", "uv", "build-backend")
    names = {_first(one) for one in (*_texts(flit), *_texts(uv.get("module-name")))}
    places = set(_texts(uv.get("module-root")))
    places |= set(_texts(table(document, "tool", "pdm", "build").get("package-dir")))
    places |= set(_texts(table(document, "tool", "maturin").get("python-source")))
    return names, _clean(places)


def _poetry(document: dict[str, Any]) -> dict[str, Any]:
    return table(document, "tool", "poetry")


def _texts(value: object) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _first(dotted: str) -> str:
    return dotted.strip().partition(".")[0]


def _clean(places: set[str]) -> set[str]:
    return {os.path.normpath(place).replace(os.sep, "/").strip("./") for place in places}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
