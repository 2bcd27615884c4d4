"""Whether `from common.temp import …` works where a file runs, as far as can be shown.

Checks each way in which Python could find the package: a copy in a directory that is on
`sys.path` when the file runs, the virtual environment of its project, the dependencies that the
project declares, and the environment of this program.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from ..store.system.reading import parse_toml, read_file
from .source import LARGEST_SOURCE

DISTRIBUTION: Final = "tempkeep"
_CONFIGS: Final = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_VENVS: Final = (".venv", "venv", ".env", "env")
_DEV: Final = frozenset(
    {"test", "tests", "testing", "scripts", "tools", "bin", "docs", "doc", "examples", "benchmarks"}
)
_NAMED: Final = re.compile(rf"^\s*['\"]?{DISTRIBUTION}(?![\w.-])", re.IGNORECASE | re.MULTILINE)


def why_not(top: str, path: str, data: bytes, tree: ast.Module) -> str:
    """Why it is not certain that the file at `path` below `top` can import the package, and what
    to do; "" if it is certain.
    """
    whole = os.path.join(top, path)
    own = os.path.dirname(whole)
    roots = [*_edited_roots(tree, whole), own, *_test_roots(top, whole)]
    roots += _evident_roots(top, tree, own)
    for directory in dict.fromkeys([*roots, *_ancestors(top, own)]):
        shadow = _shadow(directory)
        if shadow:
            where = os.path.relpath(shadow, top)
            return f"{where} hides the package common.temp; import from tempkeep by hand"
    if any(_has_copy(directory) for directory in roots):
        return ""
    project = _project(top, own)
    environment = next(
        (one for above in _ancestors(top, own) if (one := _venv(above)) is not None), None
    )
    if environment is not None and not _is_ours(environment):
        if _has_distribution(environment):
            return ""
        return f"install {DISTRIBUTION} in {os.path.relpath(environment, top)} first"
    declared = _declared(project)
    if declared:
        return ""
    if declared is False and _is_shipped(project, whole):
        where = os.path.relpath(project, top)
        return (
            f"add {DISTRIBUTION} to the dependencies of {'this project' if where == '.' else where}"
        )
    if _environment_has_it():
        return ""
    return (
        f"common.temp cannot be imported here; install {DISTRIBUTION}, or put the directory that "
        "holds common/temp on sys.path"
    )


def _ancestors(top: str, directory: str) -> Iterator[str]:
    """`directory` and its parents up to `top`, each with its `src`."""
    while True:
        yield directory
        yield os.path.join(directory, "src")
        if directory == top or len(directory) <= len(top):
            return
        directory = os.path.dirname(directory)


@cache
def _has_copy(directory: str) -> bool:
    return os.path.isfile(os.path.join(directory, "common", "temp", "contexts.py"))


@cache
def _shadow(directory: str) -> str:
    """The `common` or `common.temp` in `directory` that is not ours; "" if there is none."""
    for name in ("common.py", "common/__init__.py", "common/temp.py", "common/temp/__init__.py"):
        one = os.path.join(directory, *name.split("/"))
        if os.path.isfile(one) and not _has_copy(directory):
            return one
    return ""


@cache
def _project(top: str, directory: str) -> str:
    """The nearest directory upward that declares dependencies, else `top`."""
    for above in _ancestors(top, directory):
        if any(
            os.path.isfile(os.path.join(above, name))
            for name in ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
        ):
            return above
    return top


# -- directories on sys.path -----------------------------------------------------------------------


def _edited_roots(tree: ast.Module, path: str) -> list[str]:
    """The directories that the module itself adds to `sys.path`, as far as can be computed."""
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
    """What pytest adds to `sys.path` for a file that it collects."""
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
    """What pytest's prepend mode adds for a module in `directory`: the nearest non-package."""
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory = os.path.dirname(directory)
    return directory


@cache
def _edited_by(path: str) -> tuple[str, ...]:
    try:
        return tuple(_edited_roots(ast.parse(_bytes(path)), path))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ()


@cache
def _pytest_settings(directory: str) -> tuple[tuple[str, ...], bool]:
    """The `pythonpath` of the pytest settings there, and whether the import mode is importlib."""
    for name in _CONFIGS:
        path = os.path.join(directory, name)
        if not os.path.isfile(path):
            continue
        if name == "pyproject.toml":
            options = _table(_toml(path), "tool", "pytest", "ini_options")
            said = options.get("pythonpath", [])
            more = options.get("addopts", "")
        else:
            import configparser

            parser = configparser.ConfigParser(interpolation=None)
            try:
                parser.read_string(_bytes(path).decode())
            except (OSError, configparser.Error, ValueError):
                continue
            section = "tool:pytest" if name == "setup.cfg" else "pytest"
            said = parser.get(section, "pythonpath", fallback="")
            more = parser.get(section, "addopts", fallback="")
        listed = said.split() if isinstance(said, str) else [str(one) for one in said]
        roots = tuple(os.path.normpath(os.path.join(directory, one)) for one in listed)
        return roots, "importlib" in str(more)
    return (), False


def _evident_roots(top: str, tree: ast.Module, own: str) -> list[str]:
    """The directories that the module already imports other parts of `common` from."""
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


@cache
def _venv(directory: str) -> str | None:
    for name in _VENVS:
        path = os.path.join(directory, name)
        if os.path.isfile(os.path.join(path, "pyvenv.cfg")):
            return path
    return None


def _is_ours(environment: str) -> bool:
    return os.path.realpath(environment) == os.path.realpath(sys.prefix)


@cache
def _has_distribution(environment: str) -> bool:
    """Whether the package is installed in a virtual environment; runs nothing from it."""
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
        return any(_has_copy(line.strip()) for line in _bytes(path).decode().splitlines())
    except (OSError, ValueError):
        return False


@cache
def _declared(project: str) -> bool | None:
    """Whether the project depends on the package; `None` if it declares no dependencies."""
    said: bool | None = None
    path = os.path.join(project, "pyproject.toml")
    if os.path.isfile(path):
        document = _toml(path)
        table = _table(document, "project")
        listed = list(table.get("dependencies", ()))
        for extra in _table(table, "optional-dependencies").values():
            listed += extra
        for group in _table(document, "dependency-groups").values():
            listed += [one for one in group if isinstance(one, str)]
        poetry = _table(document, "tool", "poetry", "dependencies")
        if table.get("name") == DISTRIBUTION or DISTRIBUTION in poetry:
            return True
        if any(_NAMED.match(str(one)) for one in listed):
            return True
        if "dependencies" in table or poetry:
            said = False
    for name in ("requirements.txt", "requirements-dev.txt", "setup.cfg", "setup.py"):
        path = os.path.join(project, name)
        if os.path.isfile(path):
            try:
                text = _bytes(path).decode()
            except (OSError, ValueError):
                continue
            if _NAMED.search(text) or (name == "setup.py" and f'"{DISTRIBUTION}' in text):
                return True
            if name in ("requirements.txt", "setup.py") or "install_requires" in text:
                said = False
    return said


def _is_shipped(project: str, path: str) -> bool:
    """Whether the file is part of the installed distribution, not only of the source tree."""
    relative = os.path.relpath(path, project).split(os.sep)
    name = relative[-1]
    if name in ("conftest.py", "tasks.py", "noxfile.py", "setup.py") or _DEV & set(relative[:-1]):
        return False
    if name.startswith("test_") or name.endswith("_test.py"):
        return False
    return relative[0] == "src" or os.path.isfile(
        os.path.join(os.path.dirname(path), "__init__.py")
    )


@cache
def _environment_has_it() -> bool:
    """Whether a fresh interpreter of this environment can import the package from anywhere."""
    asked = subprocess.run(
        [sys.executable, "-P", "-c", "import common.temp.contexts"],
        cwd=os.path.dirname(sys.executable),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return asked.returncode == 0


@cache
def _toml(path: str) -> dict[str, Any]:
    try:
        return parse_toml(_bytes(path))
    except (OSError, ValueError):
        return {}


def _bytes(path: str) -> bytes:
    """The content of the file. Raises `OSError` or `ValueError`."""
    return read_file(path, LARGEST_SOURCE, follow=True)


def _table(document: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return {}
        document = inner
    return document
