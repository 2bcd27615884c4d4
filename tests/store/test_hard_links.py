"""Files with several hard links: what a plan forecasts is what its sweep frees."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.temp.core.links import INODES, once
from common.temp.core.plan import Plan, Report
from common.temp.core.policy import Policy
from common.temp.store.root.making import make_root
from common.temp.store.scanning.scan import scan
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING


def held(*tops: Path) -> dict[int, int]:
    """The bytes on disk of all that is in these directories, by inode, as `du` counts them."""
    seen = {}
    for top in tops:
        for above, _, files in os.walk(top):
            for path in (above, *(os.path.join(above, name) for name in files)):
                status = os.lstat(path)
                seen[status.st_ino] = status.st_blocks * 512
    return seen


def clean(root: Path, policy: Policy = EVERYTHING, workers: int = 1) -> tuple[Plan, Report]:
    """The plan for a root, and what carrying it out did."""
    plan = prepare(root, policy, time.time(), workers=workers)
    return plan, execute(plan, workers=workers)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    places=st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=5),
    outside=st.sets(st.integers(0, 3), max_size=2),
    excluded=st.sets(st.integers(0, 4), max_size=2),
)
def test_the_forecast_is_what_is_freed(
    tmp_path: Path,
    files: list[int],
    places: list[list[int]],
    outside: set[int],
    excluded: set[int],
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as scratch:
        root, store = Path(scratch, ".tmp"), Path(scratch, "store")
        make_root(str(root))
        store.mkdir()
        for number, blocks in enumerate(files):
            (store / str(number)).write_bytes(os.urandom(4096 * blocks))
        paths = [root / ("debug", "work")[at % 2] / str(at) for at in range(len(places))]
        for path, names in zip(paths, places, strict=True):
            (path / "deep").mkdir(parents=True)
            for at, file in enumerate(names):
                os.link(store / str(file % len(files)), path / ("", "deep")[at % 2] / str(at))
        for number in range(len(files)):
            if number not in outside:
                (store / str(number)).unlink()
        before = held(store, *paths)
        entries = scan(root, time.time()).entries
        assert sum(once(entries)) == sum(held(*paths).values())
        assert sum(once(entries, INODES)) == len(held(*paths))
        plan, report = clean(root, EVERYTHING._replace(exclude=tuple(map(str, excluded))))
        gone = sum(before.values()) - sum(held(store, *paths).values())
        assert plan.planned_bytes == report.freed_bytes == gone


def test_20_000_names_are_counted_once_by_workers_too(root: Path) -> None:
    make_root(str(root))
    store = root / "cache" / "store"
    store.mkdir(parents=True)
    for number in range(500):
        (store / str(number)).write_bytes(b"x")
    copies = 'for copy in $(seq 39); do cp -al "$1/store" "$1/env$copy"; done'
    subprocess.run(["sh", "-c", copies, "sh", root / "cache"], check=True)
    alone, together = (scan(root, time.time(), workers=workers).entries for workers in (1, 3))
    assert alone == together
    size = sum(once(alone))
    assert size == sum(held(*(root / entry.path for entry in alone)).values())
    assert sum(once(alone, INODES)) == 500 + 40
    plan, report = clean(root, workers=3)
    assert plan.planned_bytes == report.freed_bytes == size
