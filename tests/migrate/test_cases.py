"""Each file under `cases`, before and after.

`cases/<code>/<claim>.py` becomes `<claim>.after.py`, or does not change if there is none. A
directory `<claim>` is a whole tree, with `before` and the files that differ in `after`. In the
files, lines that begin with `# case:` give the details:

    # case: path tests/test_x.py     the path of the file in its tree
    # case: options unsafe TK003     whether to make unsafe rewrites; only these rules
    # case: left TK105:9 suffix=     a finding that is left, on line 9, and a part of its text
    # case: problem does not parse   the message for a file that cannot be processed

A directory can list what is left in a file `left` instead, with the path first on each line.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.temp.migrate.engine import examine
from common.temp.migrate.files import find_grounds
from common.temp.migrate.findings import FileResult
from common.temp.migrate.rework import Options
from tests.each import each

CASES = Path(__file__).parent / "cases"
AFTER = ".after.py"


class Case(NamedTuple):
    """What the files of a case say."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    options: Options
    left: set[tuple[str, str, int, str]]
    problems: dict[str, str]


def _names() -> Iterator[str]:
    for directory in sorted(CASES.iterdir()):
        for path in sorted(directory.iterdir()):
            if path.is_dir() or (path.suffix == ".py" and not path.name.endswith(AFTER)):
                yield f"{directory.name}/{path.name.removesuffix('.py')}"


def _read(name: str) -> Case:
    path = CASES / name
    before: dict[str, bytes] = {}
    after: dict[str, bytes] = {}
    if path.is_dir():
        for files, where in ((before, path / "before"), (after, path / "after")):
            for found in sorted(where.rglob("*")):
                if found.is_file():
                    files[found.relative_to(where).as_posix()] = found.read_bytes()
    else:
        plain = path.parent / f"{path.name}.py"
        before["module.py"] = plain.read_bytes()
        changed = path.parent / f"{path.name}{AFTER}"
        if changed.exists():
            after["module.py"] = changed.read_bytes()
    options = Options()
    left = _left_of(path / "left")
    problems = {}
    for listed, content in list(before.items()):
        file = listed
        lines = content.removeprefix(codecs.BOM_UTF8).decode("latin-1").splitlines()
        said = [line.removeprefix("# case: ") for line in lines if line.startswith("# case: ")]
        for kind, _, rest in (line.partition(" ") for line in sorted(said, key=_path_first)):
            if kind == "path":
                for files in (before, after):
                    if file in files:
                        files[rest] = files.pop(file)
                file = rest
            elif kind == "options":
                words = rest.split()
                codes = frozenset(word for word in words if word != "unsafe")
                options = Options("unsafe" in words, codes)
            elif kind == "left":
                place, _, text = rest.partition(" ")
                code, _, number = place.partition(":")
                left.add((file, code, int(number), text))
            elif kind == "problem":
                problems[file] = rest
            else:
                raise AssertionError(f"unknown: {kind}")
    return Case(before, after, options, left, problems)


def _left_of(path: Path) -> set[tuple[str, str, int, str]]:
    """The findings that the file `left` of a case lists."""
    found = set()
    for line in path.read_text().splitlines() if path.exists() else ():
        file, place, text = line.split(" ", 2)
        code, _, number = place.partition(":")
        found.add((file, code, int(number), text))
    return found


def _path_first(line: str) -> bool:
    return not line.startswith("path ")


def _write(directory: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _run(directory: Path, options: Options) -> list[FileResult]:
    (ground,) = find_grounds([str(directory)])
    return list(examine(ground, options, workers=1))


def _left(results: list[FileResult]) -> list[tuple[str, str, int, str]]:
    return [
        (result.path, finding.code, finding.line, f"{finding.message}; {finding.advice}")
        for result in results
        for finding in result.of("left")
    ]


@each("name", _names())
def test_case(name: str, tmp_path: Path) -> None:
    case = _read(name)
    tree = tmp_path / name
    _write(tree, case.before)

    results = _run(tree, case.options)

    assert {r.path: r.after for r in results if r.after is not None} == case.after
    left = _left(results)
    assert sorted(one[:3] for one in left) == sorted(one[:3] for one in case.left)
    for path, code, line, text in case.left:
        assert any(text in one[3] for one in left if one[:3] == (path, code, line)), left
    assert {r.path for r in results if r.problem} == set(case.problems)
    for result in results:
        assert case.problems.get(result.path, "") in result.problem

    _write(tree, case.after)
    again = _run(tree, case.options)

    assert [r.path for r in again if r.after is not None] == []
    assert sorted(one[1] for one in _left(again)) == sorted(one[1] for one in left)


def test_at_least_as_many_cases_stay_as_change() -> None:
    changed = [name for name in _names() if _read(name).after]
    stay = [name for name in _names() if not _read(name).after]

    assert len(stay) >= len(changed)
    assert len(changed) + len(stay) >= 120
