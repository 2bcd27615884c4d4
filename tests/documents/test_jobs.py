"""The statements of the job storage's document, and that they hold here."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import shutil
from enum import Enum
from pathlib import Path

import pytest

from common.temp import JobStorage, StorageRoot, hold
from common.temp.errors import InvalidName, Refused
from tests.documents.statement import Statement, Statements, parameters
from tests.store.children import in_child
from tests.support import immutable, listing

FILES = {
    "root": ".",
    "tlog_path": "input.tlog",
    "csv_path": "input.csv",
    "video_path": "input.mp4",
    "calibration_path": "calibration.json",
    "output_dir": "output",
}
EMPTY = inspect.Parameter.empty
STATEMENTS = Statements()
says = STATEMENTS.says


@STATEMENTS.each()
def test_what_the_document_says_holds(project: Path, statement: Statement) -> None:
    assert statement.holds(project) is not False


def jobs(storage: StorageRoot) -> list[str]:
    return sorted(path.name for path in storage.root.iterdir() if path.name != ".tempkeep")


# -- the root of all jobs -----------------------------------------------------------------------


@says("`StorageRoot(root)` makes the directory and those above it")
def _(project: Path) -> None:
    assert [name for name, _ in parameters(StorageRoot)] == ["root", "job_type"]
    StorageRoot(root=project / "var" / "jobs")
    assert (project / "var" / "jobs").is_dir()


@says(
    "`root` is the directory that was given",
    differs="it is absolute: a service may change its working directory",
)
def _(project: Path) -> None:
    assert isinstance(StorageRoot.root, property)
    assert StorageRoot(Path("jobs")).root == project / "jobs"


@says(
    "any directory can be the root",
    differs="not a project: its directories would be jobs, and `cleanup_all` would delete them",
)
def _(project: Path) -> None:
    with pytest.raises(Refused, match=r"such as .*/jobs"):
        StorageRoot(project)
    StorageRoot(project / "jobs")  # beside a `pyproject.toml` is fine


# -- a job --------------------------------------------------------------------------------------


@says("`allocate_job` makes `<root>/<job_id>` with `output` in it, and returns a `JobStorage`")
def _(project: Path) -> None:
    assert parameters(StorageRoot.allocate_job) == [("job_id", EMPTY)]
    job = StorageRoot(Path("jobs")).allocate_job(job_id="flight-17")
    assert isinstance(job, JobStorage)
    assert listing(project / "jobs" / "flight-17") == ["output"]


@says("the files have fixed names in the directory of the job; their paths are reserved, not made")
def _(project: Path) -> None:
    assert [field.name for field in dataclasses.fields(JobStorage)] == list(FILES)
    job = StorageRoot(Path("jobs")).allocate_job("a")
    for field, name in FILES.items():
        assert getattr(job, field) == project / "jobs" / "a" / name
        assert getattr(job, field).exists() == (field in ("root", "output_dir"))


@says("a `JobStorage` cannot be changed, and has no `__dict__`")
def _(project: Path) -> None:
    job = StorageRoot(Path("jobs")).allocate_job("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.root = project  # type: ignore[misc]
    assert not hasattr(job, "__dict__")


@says("a job that is there already raises `FileExistsError`, which says which")
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    storage.allocate_job("a").csv_path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"job 'a' exists already") as raised:
        storage.allocate_job("a")
    assert raised.value.filename == str(project / "jobs" / "a")
    assert (project / "jobs" / "a" / "input.csv").read_text() == "mine"


@says("an id that leads out of the root is refused before the disk is touched")
def _(project: Path) -> None:
    (project / "victim").mkdir()
    storage = StorageRoot(Path("jobs"))
    before = listing(project)
    for act in (storage.allocate_job, storage.release_job):
        with pytest.raises(ValueError, match="job id"):
            act("../victim")
    assert listing(project) == before


@says(
    "an id may have a slash",
    differs="the directory of one job would lie in another's, and go with it; the error names an "
    "id that works",
)
def _(project: Path) -> None:
    with pytest.raises(InvalidName, match="such as 'tenant-job1'"):
        StorageRoot(Path("jobs")).allocate_job("tenant/job1")


@says("an id may be of an enum of texts; what is no text is refused")
def _(project: Path) -> None:
    class Kind(str, Enum):  # noqa: UP042 - its `str()` is not its text
        NIGHTLY = "nightly"

    storage = StorageRoot(Path("jobs"))
    assert storage.allocate_job(Kind.NIGHTLY).root == project / "jobs" / "nightly"
    storage.release_job(Kind.NIGHTLY)
    assert jobs(storage) == []
    with pytest.raises(InvalidName, match="job id 7 is not a string"):
        storage.allocate_job(7)  # type: ignore[arg-type]


@says("a service may declare files of its own, by a dataclass")
def _(project: Path) -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Scan:
        root: Path
        image_path: Path = Path("scan.tiff")

    scan = StorageRoot(Path("scans"), job_type=Scan).allocate_job("a")
    assert scan.image_path == project / "scans" / "a" / "scan.tiff"


# -- the end of a job ---------------------------------------------------------------------------


@says("`release_job` deletes the directory with all that is in it")
def _(project: Path) -> None:
    assert parameters(StorageRoot.release_job) == [("job_id", EMPTY)]
    storage = StorageRoot(Path("jobs"))
    job = storage.allocate_job("a")
    job.video_path.write_bytes(b"x" * 1000)
    (job.output_dir / "report.txt").write_text("done")
    storage.release_job(job_id="a")
    assert jobs(storage) == []


@says("whichever process made it")
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    storage.allocate_job("a")
    in_child(lambda: storage.release_job("a"))
    assert jobs(storage) == []


@says(
    "and whatever happens to it at that time",
    differs="what another process holds stays: it said that it needs it",
)
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    with hold(storage.allocate_job("a").root):
        in_child(lambda: storage.release_job("a"))
        assert jobs(storage) == ["a"]


@says("a job that is not there is no error")
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    storage.release_job("unknown")
    shutil.rmtree(storage.allocate_job("a").root)
    storage.release_job("a")


@says("a failure is logged as a warning and not raised; the next `cleanup_all` tries again")
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    job = storage.allocate_job("a")
    job.csv_path.write_text("x")
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("common.temp.jobs").addHandler(handler)
    try:
        with immutable(job.csv_path):
            storage.release_job("a")
    finally:
        logging.getLogger("common.temp.jobs").removeHandler(handler)
    assert [line.startswith(f"cannot release {job.root}: ") for line in said] == [True]
    assert storage.cleanup_all() == 1
    assert jobs(storage) == []


@says("`cleanup_all` deletes the directory of every job, and leaves plain files beside them alone")
def _(project: Path) -> None:
    assert parameters(StorageRoot.cleanup_all) == []
    storage = StorageRoot(Path("jobs"))
    (storage.root / "notes.txt").write_text("mine")
    for number in range(3):
        storage.allocate_job(f"job-{number}")
    storage.cleanup_all()
    assert jobs(storage) == ["notes.txt"]


@says(
    "every job, also of another service",
    differs="the jobs of a live process stay: a service that ends must not take those of another; "
    "`recover` is for what a killed one left",
)
def _(project: Path) -> None:
    storage = StorageRoot(Path("jobs"))
    storage.allocate_job("a")
    assert in_child(storage.cleanup_all) == in_child(storage.recover) == 0
    assert jobs(storage) == ["a"]
    assert storage.cleanup_all() == 1


@says("the example: a flight log comes, is worked on, and goes")
def _(project: Path) -> None:
    storage = StorageRoot(project / "replay-jobs")
    job = storage.allocate_job("job-123")
    job.tlog_path.write_bytes(b"\x00" * 64)
    job.csv_path.write_text("time,lat,lon\n0,47.0,8.0\n")
    job.calibration_path.write_text("{}")
    (job.output_dir / "emissions.jsonl").write_text("{}\n")
    storage.release_job("job-123")
    assert not job.root.exists()
    storage.cleanup_all()
    assert storage.root.is_dir()
