"""Must hold: the test suites of packages that use tempfile pass as before after migrating them.

Their source distributions are downloaded from the index that pip is configured for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.support import REPOSITORY, environment

pytestmark = pytest.mark.slow


class Package(NamedTuple):
    """A package, which of its tests run and from where, what they need beside its dependencies,
    and how many sites are converted at least.
    """

    name: str
    tests: tuple[str, ...]
    source: str
    needs: tuple[str, ...]
    sites: int


PACKAGES = (
    Package("usort", ("usort/tests/config.py", "usort/tests/functional.py"), "", ("volatile",), 8),
    Package(
        "fixit",
        ("src/fixit/tests/config.py", "src/fixit/tests/smoke.py"),
        "src",
        ("pygls", "lsprotocol"),
        5,
    ),
    Package("nbformat", ("tests/test_api.py",), "", (), 3),
)


def pip(*arguments: str) -> None:
    """Run pip, or skip the test with what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "ERROR" in line]
        pytest.skip(f"the index cannot be reached: {(said or ['pip failed'])[-1]}")


class Copy(NamedTuple):
    """A package as it is unpacked, under git, with what its tests need."""

    top: Path
    paths: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.top,
            env=environment(PYTHONPATH=self.paths),
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(self) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        commands = (("init", "-q"), ("add", "-Af"), ("commit", "-qm", "x", "--allow-empty"))
        for command in commands:
            assert self.run("git", *who, *command).returncode == 0

    def suite(self, tests: tuple[str, ...]) -> dict[str, str]:
        """Each test, and how it ended."""
        report = self.top.parent / "junit.xml"
        report.unlink(missing_ok=True)
        options = ("-q", "-n", "0", "-p", "no:cacheprovider", f"--junitxml={report}")
        done = self.run(sys.executable, "-B", "-m", "pytest", *options, *tests)
        assert report.exists(), done.stdout + done.stderr
        found = {}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            wrong = [one.tag for one in case if one.tag in ("failure", "error", "skipped")]
            found[f"{case.get('classname')}::{case.get('name')}"] = (wrong or ["passed"])[0]
        return found

    def write(self) -> dict[str, Any]:
        """What a run that writes says."""
        flags = ("--write", "--add-dependency", "--format", "json")
        done = self.run(sys.executable, "-m", "common.temp", "temp-migrate", *flags)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def unpacked(directory: Path, package: Package) -> Copy:
    """The newest source distribution of a package, with its dependencies beside it."""
    sdists, needs = directory / "sdists", directory / "needs"
    name = package.name
    pip("download", "-q", "--no-deps", f"--no-binary={name}", "-d", str(sdists), name)
    pip("install", "-q", "--target", str(needs), name, *package.needs)
    (sdist,) = sdists.iterdir()
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    (top,) = (path.parent for path in directory.glob("*/PKG-INFO"))
    return Copy(top, os.pathsep.join([str(top / package.source), str(needs), str(REPOSITORY)]))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_its_suite_passes_as_before(
    tmp_path: Path, package: Package, figure: Callable[[str], None]
) -> None:
    copy = unpacked(tmp_path, package)
    copy.commit()
    before = copy.suite(package.tests)
    copy.commit()

    said = copy.write()

    converted = [one for one in said["findings"] if one["status"] == "converted"]
    passed = sum(how == "passed" for how in before.values())
    figure(f"{copy.top.name}: {len(converted)} converted, {said['summary']['left']} left")
    assert passed > 5
    assert len(converted) >= package.sites
    assert copy.suite(package.tests) == before
    copy.commit()
    copy.write()
    assert copy.run("git", "status", "--porcelain").stdout == ""
