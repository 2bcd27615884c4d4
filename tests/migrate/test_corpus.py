"""Code modelled on real projects: no wrong edit, no missed site, and the same behaviour."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.temp.migrate.findings import FileResult
from common.temp.migrate.rework import Options
from tests.migrate.test_cases import CASES, Case, _names, _read, _run, _write
from tests.store.children import in_child

TREE = "corpus/tools_and_tests"
LEAST_SITES = 150
LEAST_RUN = 50
_MAKERS = frozenset({"TemporaryDirectory", "mkdtemp", "mktemp", "mkstemp", "get_temp_dir"})
_SILENT = {
    # What only looks like a site, and what runs only where the package is missing.
    "scripts/optional.py": {"else:"},
    "scripts/shadows.py": {"def first(", "def second(", "TemporaryDirectory = "},
    "scripts/uploads.py": {"def waited("},
    "tests/test_formatting.py": {'(".tmp", "build", ".git")'},
}


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path, Path, list[FileResult]]:
    """The corpus, a copy of it as it was, one as it is after the rewrite, and what was found."""
    case = _read(TREE)
    before, after = (tmp_path_factory.mktemp(name) / "tree" for name in ("before", "after"))
    for place in (before, after):
        _write(place, case.before)
    results = _run(after, Options())
    _write(after, {one.path: one.after for one in results if one.after is not None})
    return case, before, after, results


def sites(text: bytes) -> Iterator[int]:
    """The lines of what may be a site, found by names alone."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _MAKERS:
                yield node.lineno
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name))]):
                if name in _MAKERS:
                    yield node.lineno
            case ast.Call(func=ast.Attribute(attr="NamedTemporaryFile"), keywords=keywords):
                if any(keyword.arg == "delete" for keyword in keywords):
                    yield node.lineno
            case ast.Constant(value=str(text_)) if re.match(r"\.tmp(/|$)", text_):
                yield node.lineno


def test_every_site_is_converted_or_listed(
    migrated: tuple[Case, Path, Path, list[FileResult]], figure: Callable[[str], None]
) -> None:
    case, _, _, results = migrated
    assert [one.problem for one in results if one.problem] == []
    findings = [(one.path, finding) for one in results for finding in one.findings]
    figure(f"corpus of migrations: {len(findings)} sites")

    assert len(findings) >= LEAST_SITES
    for path, content in case.before.items():
        if not path.endswith(".py"):
            continue
        told = {
            line
            for where, finding in findings
            if where == path
            for line in range(finding.line, finding.last_line + 1)
        }
        missed = set(sites(content)) - told
        lines = content.decode().splitlines()
        around = {n: "\n".join(lines[max(0, n - 4) : n]) for n in missed}
        silent = _SILENT.get(path, set()) | {"def get_temp_dir", "temp_base = ", "SUFFIX = "}
        assert not {
            number: text
            for number, text in around.items()
            if not any(word in text for word in silent)
        }, path


def test_what_is_converted_does_what_it_did(
    migrated: tuple[Case, Path, Path, list[FileResult]],
) -> None:
    case, before, after, results = migrated
    python = [path for path in case.before if path.endswith(".py") and path != "tasks.py"]
    assert len({one.path for one in results if one.after is not None}) >= 9

    was = in_child(lambda: {path: told(before, path) for path in python})
    now = in_child(lambda: {path: told(after, path) for path in python})

    for path in python:
        assert "Traceback" not in was[path], was[path]
        assert now[path] == was[path], path


def test_a_second_run_over_it_changes_nothing(
    migrated: tuple[Case, Path, Path, list[FileResult]],
) -> None:
    _, _, after, results = migrated

    again = _run(after, Options())

    assert [one.path for one in again if one.after is not None] == []
    left = [(r.path, f.code) for r in results for f in r.of("left")]
    assert sorted((r.path, f.code) for r in again for f in r.of("left")) == sorted(left)


@pytest.fixture(autouse=True)
def _short_temp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's temporary directory is one in which sockets can be bound, as it is outside."""
    made = tempfile.mkdtemp(prefix="t", dir="/tmp")
    monkeypatch.setenv("TMPDIR", made)
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    shutil.rmtree(made)


def told(top: Path, path: str) -> str:
    """What a module prints, and each function in it that is named as a test."""
    os.chdir(top)
    out = io.StringIO()
    folder = str(top / os.path.dirname(path))
    sys.path.insert(0, folder)
    known = set(sys.modules)
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = {"__name__": "__main__", "__file__": str(top / path)}
        _tried(lambda: exec(compile((top / path).read_bytes(), path, "exec"), named))
        for name, function in list(named.items()):
            if name.startswith("test_") and callable(function):
                print(name)
                _tried(function)
    sys.path.remove(folder)
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(top)):
            del sys.modules[name]
    shutil.rmtree(top / ".tmp", ignore_errors=True)
    return out.getvalue()


def _tried(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"Traceback: {type(error).__name__} in {where.name}")


# -- the other cases ------------------------------------------------------------------------------


def plain_cases() -> dict[str, Case]:
    """The cases of one file that is converted by a safe rewrite."""
    found = {}
    for name in _names():
        if not (CASES / name).is_dir():
            case = _read(name)
            if case.after and not case.options.unsafe:
                found[name] = case
    return found


def test_each_converted_case_does_what_it_did(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    cases = plain_cases()

    def run(which: str) -> dict[str, str]:
        said = {}
        for number, (name, case) in enumerate(cases.items()):
            top = tmp_path / which / str(number)
            (path,) = case.before
            _write(top, {"pyproject.toml": b"", path: getattr(case, which)[path]})
            said[name] = told(top, path)
        return said

    was, now = in_child(lambda: run("before")), in_child(lambda: run("after"))

    # Some are only read, as they need names that nobody binds: they end as they did.
    whole = [name for name, text in was.items() if "Traceback" not in text]
    figure(f"converted cases: {len(cases)}, run to their end {len(whole)}")
    assert len(whole) >= LEAST_RUN
    for name, text in was.items():
        assert _without_paths(now[name]) == _without_paths(text), name


def _without_paths(text: str) -> str:
    """`text` without paths and the time in names, which differ between two runs."""
    text = re.sub(r"(?:/[\w.~-]+)+/?|\.tmp[\w./-]*", "<path>", text)
    text = re.sub(r"\b0x[0-9a-f]+", "<address>", text)
    return re.sub(r"_\d{9,}(?:-[0-9a-f]+)?", "_<time>", text)
