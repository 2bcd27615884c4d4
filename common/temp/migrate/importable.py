"""Whether `from common.temp import …` works where a file runs, as far as can be shown.

Checks each way Python could find the package: a copy in a directory that is on `sys.path` when the
file runs, the virtual environment of its project, the dependencies that the project declares, and
the environment of this program.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from .declaring import add
from .dependencies import DISTRIBUTION, Place, best_place, declares, project_of
from .interpreters import hidden_standard, is_of_a_tool, why_without
from .settings import ini, read_bytes, remembered, table, toml
from .shipped import is_dev

_CONFIGS: Final = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_VENVS: Final = (".venv", "venv", ".env", "env")


class Reach(NamedTuple):
    """Why a file may not be able to import the package, and what to do; "" if it certainly can.

    `lacks` is where the dependencies of its project should list the package. Once they do, the file
    can import it.
    """

    why: str = ""
    project: str = ""
    lacks: Place | None = None


def reach(top: str, path: str, data: bytes, tree: ast.Module) -> Reach:
    """Whether the file at `path` below `top` can import the package when it runs."""
    whole = os.path.join(top, path)
    own = os.path.dirname(whole)
    roots = [*_edited_roots(tree, whole), own, *_test_roots(top, whole)]
    roots += _evident_roots(top, tree, own)
    for directory in dict.fromkeys([*roots, *_ancestors(top, own)]):
        if shadow := _shadow(directory):
            return Reach(_hidden(shadow, top, whole))
        if hiding := hidden_standard(directory):
            shown = os.path.relpath(hiding, top).replace(os.sep, "/")
            return Reach(
                f"{shown} hides a standard library module that common.temp imports; rename it"
            )
    if any(_has_copy(directory) for directory in roots):
        return Reach()
    if elsewhere := why_without(data):
        return Reach(elsewhere)
    project = project_of(top, own)
    always = not is_dev(top, path)
    declared = declares(project, always=always)
    if declared is False:
        return _undeclared(top, project, best_place(project, always=always))
    environment = next(
        (one for above in _ancestors(top, own) if (one := _venv(above)) is not None), None
    )
    if environment is not None and not _is_ours(environment):
        if _has_distribution(environment):
            return Reach()
        return Reach(f"install {DISTRIBUTION} in {os.path.relpath(environment, top)} first")
    if declared or _environment_has_it():
        return Reach()
    return Reach(
        f"common.temp cannot be imported here; install {DISTRIBUTION}, or put the directory that "
        "holds common/temp on sys.path"
    )


def _undeclared(top: str, project: str, place: Place) -> Reach:
    """The result for a file of a project whose dependencies do not list the package."""
    where = os.path.relpath(project, top).replace(os.sep, "/")
    shown = place.shown if where == "." else place._replace(file=f"{where}/{place.file}").shown
    by_hand = _by_hand(project, place)
    how = f"by hand ({by_hand})" if by_hand else "or give --write --add-dependency"
    why = f"first add {DISTRIBUTION} to {shown}, {how}"
    return Reach(why, project, None if by_hand else place)


@remembered
def _by_hand(project: str, place: Place) -> str:
    """Why the package cannot be added to a place automatically; "" if it can."""
    return add(project, place).why_not


def is_hiding(path: str) -> bool:
    """Whether the file at `path` hides the package from other files: a `common/temp.py` or
    `common/temp/__init__.py` in a `common` that is not a package.
    """
    above = os.path.dirname(path)
    if os.path.basename(path) == "__init__.py":
        path, above = above, os.path.dirname(above)
    elif not path.endswith("temp.py"):
        return False
    return os.path.basename(path).partition(".")[0] == "temp" and _is_temp(
        _shadow(os.path.dirname(above)), path
    )


def _is_temp(shadow: str, path: str) -> bool:
    return shadow in (path, os.path.join(path, "__init__.py"))


def _hidden(shadow: str, top: str, path: str) -> str:
    """The message for the file at `path` when `shadow` hides the package from it."""
    where = os.path.relpath(shadow, top).replace(os.sep, "/")
    if os.path.basename(shadow) == "temp.py" or shadow.endswith(
        os.path.join("temp", "__init__.py")
    ):
        said = "this file" if shadow == path else where
        return f"{said} hides common.temp; delete or rename it"
    return f"{where} hides the package common.temp; import from tempkeep by hand"


def _ancestors(top: str, directory: str) -> Iterator[str]:
    """`directory` and its parents up to `top`, each followed by its `src`."""
    while True:
        yield directory
        yield os.path.join(directory, "src")
        if directory == top or len(directory) <= len(top):
            return
        directory = os.path.dirname(directory)


@remembered
def _has_copy(directory: str) -> bool:
    return os.path.isfile(os.path.join(directory, "common", "temp", "contexts.py"))


@remembered
def _shadow(directory: str) -> str:
    """A `common` or `common.temp` in `directory` that is not this package; "" if there is none."""
    for name in ("common.py", "common/__init__.py", "common/temp.py", "common/temp/__init__.py"):
        one = os.path.join(directory, *name.split("/"))
        if os.path.isfile(one) and not _has_copy(directory):
            return one
    return ""


# -- directories on sys.path -----------------------------------------------------------------------


def _edited_roots(tree: ast.Module, path: str) -> list[str]:
    """The directories that the module itself adds to `sys.path`, if they can be computed."""
    found = []
    known: dict[str, str] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                said = _directory(value, path, known)
                if said:
                    known[name] = said
            case ast.Expr(value=ast.Call(func=func, args=[*_, value])) if ast.unparse(func) in (
                "sys.path.insert",
                "sys.path.append",
            ):
                said = _directory(value, path, known)
                if said:
                    found.append(said)
            case _:
                pass
    return found


def _directory(node: ast.expr, path: str, known: dict[str, str]) -> str:
    """The absolute path that `node` evaluates to in the file at `path`; "" if unknown."""

    def inner(node: ast.expr) -> str:
        return _directory(node, path, known)

    match node:
        case ast.Name(id="__file__"):
            return path
        case ast.Name(id=name):
            return known.get(name, "")
        case ast.Attribute(value=value, attr="parent"):
            return os.path.dirname(inner(value))
        case ast.Subscript(
            value=ast.Attribute(value=value, attr="parents"), slice=ast.Constant(value=int(steps))
        ) if steps >= 0:
            said = inner(value)
            for _ in range(steps + 1):
                said = os.path.dirname(said)
            return said
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(text))):
            said = inner(left)
            return os.path.normpath(os.path.join(said, text)) if said else ""
        case ast.Call(func=ast.Attribute(value=value, attr="resolve" | "absolute"), args=[]):
            return inner(value)
        case ast.Call(func=func, args=[value]) if _last(func) in (
            "Path",
            "str",
            "fspath",
            "abspath",
            "realpath",
            "normpath",
        ):
            return inner(value)
        case ast.Call(func=func, args=[value]) if _last(func) == "dirname":
            return os.path.dirname(inner(value))
        case ast.Call(func=func, args=[value, *texts]) if _last(func) == "join":
            said = inner(value)
            parts = [one.value for one in texts if isinstance(one, ast.Constant)]
            if not said or len(parts) != len(texts):
                return ""
            return os.path.normpath(os.path.join(said, *(str(part) for part in parts)))
    return ""


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _test_roots(top: str, path: str) -> list[str]:
    """The directories that pytest adds to `sys.path` for a file that it collects."""
    name = os.path.basename(path)
    if not (name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"):
        return []
    found: list[str] = []
    importlib_mode = False
    for above in _plain_ancestors(top, os.path.dirname(path)):
        roots, mode = _pytest_settings(above)
        found += roots
        importlib_mode = importlib_mode or mode
        conftest = os.path.join(above, "conftest.py")
        if os.path.isfile(conftest):
            found += _edited_by(conftest)
            if not importlib_mode:
                found.append(_import_root(above))
        if roots:
            break
    if not importlib_mode:
        found.append(_import_root(os.path.dirname(path)))
    return found


def _plain_ancestors(top: str, directory: str) -> Iterator[str]:
    return (one for index, one in enumerate(_ancestors(top, directory)) if index % 2 == 0)


def _import_root(directory: str) -> str:
    """The directory that pytest's prepend mode adds for a module in `directory`: the nearest one
    upward that is not a package.
    """
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory = os.path.dirname(directory)
    return directory


@remembered
def _edited_by(path: str) -> tuple[str, ...]:
    try:
        return tuple(_edited_roots(ast.parse(read_bytes(path)), path))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ()


@remembered
def _pytest_settings(directory: str) -> tuple[tuple[str, ...], bool]:
    """The `pythonpath` of the pytest settings in `directory`, and whether the import mode is
    importlib.
    """
    for name in _CONFIGS:
        path = os.path.join(directory, name)
        if not os.path.isfile(path):
            continue
        if name == "pyproject.toml":
            options = table(toml(path), "tool", "pytest", "ini_options")
            said = options.get("pythonpath", [])
            more = options.get("addopts", "")
        else:
            parser = ini(path)
            section = "tool:pytest" if name == "setup.cfg" else "pytest"
            said = parser.get(section, "pythonpath", fallback="")
            more = parser.get(section, "addopts", fallback="")
        listed = said.split() if isinstance(said, str) else [str(one) for one in said]
        roots = tuple(os.path.normpath(os.path.join(directory, one)) for one in listed)
        return roots, "importlib" in str(more)
    return (), False


def _evident_roots(top: str, tree: ast.Module, own: str) -> list[str]:
    """The directories from which the module already imports other parts of `common`."""
    wanted = set()
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            wanted |= {a.name for a in statement.names if a.name.startswith("common.")}
        elif isinstance(statement, ast.ImportFrom) and not statement.level and statement.module:
            if statement.module == "common":
                wanted |= {f"common.{alias.name}" for alias in statement.names}
            elif statement.module.startswith("common."):
                wanted.add(statement.module)
    found = []
    for dotted in wanted:
        for above in _ancestors(top, own):
            base = os.path.join(above, *dotted.split("."))
            if os.path.isfile(f"{base}.py") or os.path.isdir(base):
                found.append(above)
    return found


# -- environments and dependencies -----------------------------------------------------------------


@remembered
def _venv(directory: str) -> str | None:
    for name in _VENVS:
        path = os.path.join(directory, name)
        if os.path.isfile(os.path.join(path, "pyvenv.cfg")):
            return path
    return None


def _is_ours(environment: str) -> bool:
    return os.path.realpath(environment) == os.path.realpath(sys.prefix)


@remembered
def _has_distribution(environment: str) -> bool:
    """Whether the package is installed in a virtual environment. Runs no code from it."""
    for base in _site_packages(environment):
        try:
            names = os.listdir(base)
        except OSError:
            continue
        if any(name.startswith(f"{DISTRIBUTION}-") for name in names) or _has_copy(base):
            return True
        for name in names:
            if name.endswith(".pth") and _leads_there(os.path.join(base, name)):
                return True
    return False


def _site_packages(environment: str) -> Iterator[str]:
    yield os.path.join(environment, "Lib", "site-packages")
    library = os.path.join(environment, "lib")
    if os.path.isdir(library):
        for name in sorted(os.listdir(library)):
            yield os.path.join(library, name, "site-packages")


def _leads_there(path: str) -> bool:
    try:
        return any(_has_copy(line.strip()) for line in read_bytes(path).decode().splitlines())
    except (OSError, ValueError):
        return False


@cache
def _environment_has_it() -> bool:
    """Whether a new interpreter of this environment can import the package from any directory."""
    if is_of_a_tool(sys.prefix):
        return False  # projects do not run in it
    asked = subprocess.run(
        [sys.executable, "-P", "-c", "import common.temp.contexts"],
        cwd=os.path.dirname(sys.executable),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return asked.returncode == 0
