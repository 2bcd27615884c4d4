"""Rewriting code: standard library files, of which one in twenty has something to find."""

from __future__ import annotations

import itertools
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.benchmarks.figures import Figure, Options, call_peak, in_turn, inv
from tests.support import make_project

FILES, MANY = 500, 10_000
EVERY = 20
LARGEST = 64 << 10
SITE = (
    b"\n\nimport tempfile\n\nwith tempfile.TemporaryDirectory() as scratch:\n    print(scratch)\n"
)
EXAMINE = """
from common.temp.migrate.engine import examine
from common.temp.migrate.rework import Options
from common.temp.migrate.files import find_grounds
for ground in find_grounds(["."]):
    for result in examine(ground, Options()):
        pass
"""


def migrating(options: Options) -> Iterator[Figure]:
    """`inv temp-migrate --check` of 500 and of 10,000 files, and what it holds in memory at most
    of them.
    """
    with tempfile.TemporaryDirectory() as directory:
        few = _tree(Path(directory, "few"), options.scaled(FILES))
        many = _tree(Path(directory, "many"), options.scaled(MANY))
        for project, count, wanted in ((few, FILES, 5.0), (many, MANY, 60.0)):
            pairs = options.pairs if count == FILES else 1
            check = partial(inv, project, "temp-migrate", "--check", check=False)
            (ours,) = in_turn(pairs, check, warm_up=count == FILES)
            what = f"inv temp-migrate, {options.scaled(count):,} files"
            yield Figure.of(what, ours, f"{wanted:g} s", [wanted] * len(ours), 1.0)
        peaks = in_turn(1, partial(call_peak, many, EXAMINE), partial(call_peak, few, EXAMINE))
        what = f"peak memory of temp-migrate, {options.scaled(MANY):,} files"
        yield Figure.of(what, peaks[0], f"{options.scaled(FILES)} files", peaks[1], 1.5, "MB")


def _tree(directory: Path, count: int) -> Path:
    """A project with so many files."""
    project = make_project(directory)
    library = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted(
        path
        for path in library.rglob("*.py")
        if "site-packages" not in path.parts and path.stat().st_size <= LARGEST
    )
    for number, source in enumerate(itertools.islice(itertools.cycle(sources), count)):
        path = project / f"part{number // 250:03}" / f"{source.stem}_{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.read_bytes() + (SITE if number % EVERY == 0 else b""))
    return project
