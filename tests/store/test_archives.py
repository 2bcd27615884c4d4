"""Sweep and restore do not depend on how an archive stores: an object store works, too."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.temp.core import fields
from common.temp.core.plan import Outcome, Step
from common.temp.core.policy import Policy
from common.temp.errors import StorageError
from common.temp.pipeline import ArtifactCleaner
from common.temp.pipeline_config import CleanupConfig
from common.temp.store.archive import transfer
from common.temp.store.archive.archives import KINDS, Archive, Deposit, Part
from common.temp.store.archive.tarring import pack_by_python, unpacked
from common.temp.store.claiming.claim import NotDisposed
from common.temp.store.claiming.many_removals import Remover
from common.temp.store.settings import values
from common.temp.store.settings.settings import SCHEMES
from common.temp.store.shelf.listing import Archived
from common.temp.store.shelf.manifest import MANIFEST, manifest_in
from common.temp.store.shelf.source import Source
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from common.temp.store.system.archive_formats import ArchiveFormat
from common.temp.store.trees.contents import Digester, Item, digest, state
from common.temp.store.trees.removed import Removed
from tests.store.trees import rich, seen
from tests.support import EVERYTHING, in_holding, make_entry, outcomes, swept, tempkeep


class Bucket:
    """An object store: it puts whole objects, and does not rename, lock or know a disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def put(self, name: str, data: bytes) -> None:
        """Create it. Raises `FileExistsError`."""
        part = self._directory / f".{os.urandom(8).hex()}"
        part.write_bytes(data)
        os.link(part, self._directory / name)
        part.unlink()

    def get(self, name: str) -> bytes:
        return (self._directory / name).read_bytes()

    def delete(self, name: str) -> None:
        (self._directory / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._directory) if not name.startswith("."))


class ObjectDeposit(Deposit):
    """The object first, then its manifest: that is the commit point."""

    state = ""
    left_out = ()
    packed_bytes: int | None = None

    def __init__(self, bucket: Bucket, root: Path, step: Step, now: float) -> None:
        self._bucket, self._source, self._now = bucket, Source(root, step), now
        self._id = os.urandom(8).hex()
        self._name = f"{step.entry.path.replace('/', '__')}.{self._id}"
        self._manifest = b""
        self._kept = False

    @property
    def where(self) -> str:
        return f"test://{self._name}"

    @property
    def receipt(self) -> str:
        return self._name

    def pack(self) -> None:
        with self._source.opened() as (parent, name):
            self.state = state(parent, name)
        digester, packed = Digester(), io.BytesIO()
        pack_by_python("tar.gz", name, digester.passing(self._source.portable()), packed)
        self._bucket.put(self._name, packed.getvalue())
        self.packed_bytes = len(packed.getvalue())
        found = digester.digest()
        if digest(unpacked("tar.gz", io.BytesIO(self._bucket.get(self._name)))) != found:
            raise NotDisposed("what was packed differs")
        root = os.path.realpath(self._source.root)
        manifest = self._source.manifest(
            found, identifier=self._id, form="tar.gz", root=root, now=self._now, has_contents=True
        )
        self._manifest = manifest.spell().encode()

    def publish(self) -> None:
        self._bucket.put(f"{self._name}{MANIFEST}", self._manifest)

    def keep(self) -> None:
        self._kept = True

    def close(self) -> None:
        if not self._kept:
            self._bucket.delete(f"{self._name}{MANIFEST}")
            self._bucket.delete(self._name)


class ObjectArchive(Archive):
    """An archive of objects; it inherits all that only a directory can do."""

    def __init__(self, directory: Path) -> None:
        self.bucket = Bucket(directory)

    location = "test://bucket"

    def is_at(self, location: str) -> bool:
        return location == self.location

    def deposit(
        self, root: Path, step: Step, now: float, form: ArchiveFormat, part: Part | None = None
    ) -> Deposit:
        return ObjectDeposit(self.bucket, root, step, now)

    def listed(self, root: Path) -> list[Archived]:
        found = (self._one(name) for name in self.bucket.names() if not name.endswith(MANIFEST))
        return [one for one in found if one is not None]

    def _one(self, name: str) -> Archived | None:
        try:
            data = fields.parsed(self.bucket.get(f"{name}{MANIFEST}"))
        except FileNotFoundError:
            return None
        manifest, problem = manifest_in(data)
        when, where = 0.0 if manifest is None else manifest.archived_at, f"test://{name}"
        root = None if manifest is None else Path(manifest.root)
        return Archived(name, name, "tar.gz", when, (0, 0), manifest, problem, where, root)

    def contents(self, archived: Archived, *, contents: bool = True) -> Iterator[Item]:
        return unpacked("tar.gz", io.BytesIO(self.bucket.get(archived.name)))

    def drop(self, archived: Archived, state: object = None) -> Removed:
        self.bucket.delete(f"{archived.name}{MANIFEST}")
        self.bucket.delete(archived.name)
        return Removed()

    def drop_all(
        self,
        steps: Iterable[Step],
        remover: Remover | None,
        objection: Callable[[Step], str],
        *,
        spare_in_use: bool,
    ) -> Iterator[Outcome]:
        raise NotImplementedError

    def receipt(self, archived: Archived) -> str:
        return archived.name

    def find(self, receipt: str, root: Path) -> Archived | None:
        if receipt not in self.bucket.names():
            return None
        found = self._one(receipt)
        if found is not None and found.problem:
            raise StorageError(0, f"{receipt}: {found.problem}")
        return found

    def tidy(self, remover: Remover) -> tuple[int, Removed]:
        names = self.bucket.names()
        orphans = [name for name in names if name + MANIFEST not in names and MANIFEST not in name]
        for name in orphans:
            self.bucket.delete(name)
        return len(orphans), Removed()


@pytest.fixture
def archive(tmp_path: Path) -> ObjectArchive:
    return ObjectArchive(tmp_path / "bucket")


@pytest.fixture
def configured(
    project: Path, archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch
) -> ObjectArchive:
    """The archive that the settings of the project name."""
    monkeypatch.setitem(KINDS, "test", lambda settings, runs: archive)
    monkeypatch.setattr(values, "SCHEMES", ("", "test"))
    with open(project / "pyproject.toml", "a") as file:
        file.write('[tool.tempkeep]\narchive = true\narchive_location = "test://bucket"\n')
    return archive


def test_every_scheme_that_the_settings_accept_has_its_kind() -> None:
    assert set(SCHEMES) == set(KINDS)


def test_an_entry_goes_to_a_bucket_and_comes_back_to_the_byte(
    project: Path, configured: ObjectArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rich(project / ".tmp" / "debug" / "x_1690000000")
    before = seen(path)
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    name = configured.bucket.names()[0]
    assert (path.exists(), len(configured.bucket.names())) == (False, 2)
    assert f"  as test://{name}" in capsys.readouterr().out
    assert tempkeep("temp-restore", "--list") == 0
    listed = capsys.readouterr().out
    assert listed.startswith("test://")
    assert str(path) in listed
    assert tempkeep("temp-restore", "--name", f"test://{name}") == 0
    assert (seen(path), configured.bucket.names(), in_holding(project / ".tmp")) == (before, [], [])


def test_runs_go_to_the_bucket_that_their_configuration_names(
    tmp_path: Path, configured: ObjectArchive
) -> None:
    make_entry(tmp_path / "base", "pipeline_artifacts_20250101_000000")
    config = CleanupConfig(max_runs_to_keep=0, keep_last_good=0, archive_location="test://bucket")
    done = ArtifactCleaner(tmp_path / "base", config).cleanup()
    name, _ = configured.bucket.names()
    assert (done["directories_archived"], done["errors"]) == (1, [])
    assert done["space_archived_bytes"] == len(configured.bucket.get(name))
    assert done["space_freed_bytes"] > 0


def test_what_is_damaged_in_the_bucket_stays_there(
    project: Path, configured: ObjectArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(project / ".tmp", "debug/x_1690000000")
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    name, manifest = configured.bucket.names()
    told = json.loads(configured.bucket.get(manifest))
    configured.bucket.delete(manifest)
    configured.bucket.put(manifest, json.dumps({**told, "digest": "0" * 16}).encode())
    assert tempkeep("temp-restore", "--name", "x_1690000000") == 3
    assert (
        f"is no longer what was archived (as many files and bytes, but not the same); look at "
        f"test://{name}" in capsys.readouterr().err
    )
    assert (path.exists(), configured.bucket.names()) == (False, [name, manifest])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["pack", "begin", "publish", "keep", "end"])
def test_a_ctrl_c_at_any_step_leaves_the_entry_whole_in_one_place(
    root: Path, archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    path = make_entry(root, "debug/x", files=3)
    owner: Any = transfer if hasattr(transfer, step) else ObjectDeposit
    real = getattr(owner, step)

    def interrupting(*arguments: Any) -> Any:
        if when == "after":
            real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, interrupting)
    plan = prepare(root, EVERYTHING, time.time(), disposal="archive", archive=archive)
    with contextlib.suppress(KeyboardInterrupt):
        execute(plan, archive=archive)
    monkeypatch.undo()
    assert swept(root, Policy(), archive=archive).problems == ()
    assert [path.exists(), bool(archive.listed(root))].count(True) == 1
    assert (len(archive.bucket.names()), in_holding(root)) == (0 if path.exists() else 2, [])


def test_what_cannot_be_published_comes_back(
    root: Path, archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=3)

    def publish(deposit: ObjectDeposit) -> None:
        raise NotDisposed("503 Slow Down; try again later")

    monkeypatch.setattr(ObjectDeposit, "publish", publish)
    report = swept(root, disposal="archive", archive=archive)
    assert outcomes(report) == {"debug/x": ("failed", "503 Slow Down; try again later")}
    assert (len(os.listdir(path)), archive.bucket.names(), in_holding(root)) == (3, [], [])
