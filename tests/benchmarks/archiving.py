"""Archiving to object storage, with a server on this machine: throughput and memory."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, Options, call_peak, cpu, in_turn, inv, inv_cpu, seconds
from tests.buckets import KEYS, Place, serving
from tests.support import make_project

MEGABYTES = 128
ARCHIVE = """
from common.temp.store.archive.objects import ObjectArchive
archive = ObjectArchive({location!r})
plan = prepare(root, everything, now, disposal="archive", archive=archive)
assert not execute(plan, archive=archive).failed
"""


def archiving(options: Options) -> Iterator[Figure]:
    """`inv temp-clean` that archives to moto, which is a server in Python, and reads back from
    there, against `tar | zstd` to a file; and what it holds in memory at most.
    """
    if not (find_spec("moto") and find_spec("obstore") and shutil.which("zstd")):
        pytest.skip("needs moto with flask, obstore and zstd")
    size = options.scaled(MEGABYTES)
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as server:
        place = Place(server, "benchmark")
        server.ask("PUT", place.bucket)
        os.environ.update(KEYS, AWS_ENDPOINT_URL=server.url)
        settings = f'[tool.tempkeep]\narchive = true\narchive_location = "{place.location}"\n'
        project = make_project(Path(directory, "project"), settings)
        source = _tree(Path(directory, "source"), size)

        def ours(measure: Callable[..., float]) -> float:
            shutil.copytree(source, project / ".tmp" / "debug" / "x")
            return measure(project, "temp-clean", "--everything", "--yes")

        def other() -> None:
            command = f"tar -C {source} -c . | zstd -q -f -o {directory}/x.tar.zst"
            subprocess.run(["sh", "-c", command], check=True)

        for measure, other_measure, kind in (
            (inv_cpu, cpu, "processor time of "),
            (inv, seconds, ""),
        ):
            found, compared = in_turn(
                options.pairs, partial(ours, measure), partial(other_measure, other)
            )
            what = f"{kind}inv temp-clean to object storage, {size} MiB"
            yield Figure.of(what, found, "tar | zstd to a file", compared, None)

        def peak(size: int) -> float:
            _tree(project / ".tmp" / "debug" / "x", size)
            return call_peak(project, ARCHIVE.format(location=place.location))

        peaks = in_turn(1, partial(peak, 2 * size), partial(peak, size), warm_up=False)
        what = f"peak memory of that, {2 * size} MiB"
        yield Figure.of(what, peaks[0], f"{size} MiB", peaks[1], 1.2, "MB")


def _tree(top: Path, megabytes: int) -> Path:
    """Files that compress to a half, of 1 MiB each."""
    dice = random.Random(0)
    for number in range(megabytes):
        path = top / f"part{number // 32}" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(1 << 19) + bytes(1 << 19))
    return top
