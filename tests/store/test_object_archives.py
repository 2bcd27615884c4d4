"""Archives in object storage: what goes there comes back, and nothing is lost on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.temp.core.policy import Policy
from common.temp.store.archive import bucket as bucket_module
from common.temp.store.archive import objects, transfer, upload
from common.temp.store.archive.bucket import Bucket, BucketError
from common.temp.store.archive.objects import ObjectArchive
from common.temp.store.archive.upload import ObjectDeposit
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.buckets import Place, proxy
from tests.store.trees import rich, seen
from tests.support import EVERYTHING, forked, in_holding, make_entry, swept

MANIFEST = ".tempkeep.json"
UNASKED = EVERYTHING._replace(spare_in_use=False)
"""So that not each sweep looks at all processes of the machine."""
CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}
MEGABYTES = random.Random(0).randbytes(9 << 20)


@pytest.fixture
def configured(project: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The bucket that the settings of the project name; what fails is tried again at once."""
    with open(project / "pyproject.toml", "a") as file:
        file.write(f'[tool.tempkeep]\narchive = true\narchive_location = "{bucket.location}"\n')
    monkeypatch.setitem(bucket_module.RETRIES, "max_retries", 2)
    monkeypatch.setitem(
        bucket_module.RETRIES, "backoff", {"init_backoff": timedelta(milliseconds=1)}
    )
    return bucket


def ran(project: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the program prints to stdout and stderr, if it ends with that code."""
    done = forked(*arguments, cwd=project, env={**os.environ})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


CLEAN = ("temp-clean", "--everything", "--yes")


def in_child(work: Callable[[], None]) -> int:
    """The wait status of a child that does `work`: this process must not use obstore."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def test_an_entry_goes_to_a_bucket_in_parts_and_comes_back_to_the_byte(
    project: Path, configured: Place
) -> None:
    path = rich(project / ".tmp" / "debug" / "x_1690000000")
    (path / "big").write_bytes(MEGABYTES)
    before = seen(path)
    out, _ = ran(project, *CLEAN)
    data, manifest = configured.names()
    assert data.startswith("debug__x_1690000000.")
    assert data.endswith(".tar.zst")
    assert f"archived as {configured.location}/{data}" in out
    told = json.loads(configured.get(manifest))
    assert (manifest, told["path"]) == (
        data.replace(".tar.zst", MANIFEST),
        "debug/x_1690000000",
    )
    assert told["object"]["size"] == len(configured.get(data)) > len(MEGABYTES)
    where = f"{configured.bucket}/{configured.prefix}/{data}"
    _, _, headers = configured.server.ask("HEAD", where, None, **CHECKSUMS)
    assert headers["ETag"].strip('"').endswith("-2"), "two parts"
    assert "x-amz-checksum-sha256" in {name.lower() for name in headers}
    assert not path.exists()
    out, _ = ran(project, "temp-restore", "--list")
    assert out.startswith(f"{configured.location}\n")
    assert str(path) in out
    out, _ = ran(project, "temp-restore", "x")
    assert (seen(path), configured.names(), in_holding(project / ".tmp")) == (before, [], [])
    assert configured.uploads() == 0


def test_what_is_there_already_is_never_replaced(project: Path, configured: Place) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    names = configured.names()
    path.mkdir()
    (path / "other").write_text("mine")
    _, error = ran(project, "temp-restore", "x", code=3)
    assert f"{path} is there already; move it away first" in error
    assert (os.listdir(path), configured.names()) == (["other"], names)


# -- kills ----------------------------------------------------------------------------------------

STEPS: list[tuple[Any, str, str, str]] = [
    (Bucket, "upload", "after", "here"),
    (transfer, "begin", "after", "here"),
    (Bucket, "create", "before", "here"),
    (Bucket, "create", "after", "there"),
    (ObjectDeposit, "keep", "after", "there"),
]


def archive_entries(root: Path, location: str) -> None:
    """One sweep that archives everything."""
    archive = ObjectArchive(location)
    plan = prepare(root, UNASKED, time.time(), disposal="archive", archive=archive)
    execute(plan, archive=archive)


def sweep_again(root: Path, location: str) -> None:
    """The next sweep: it deletes nothing, but finishes what was left."""
    report = swept(root, Policy(spare_in_use=False), archive=ObjectArchive(location))
    assert report.problems == (), report.problems


def check_whole_in_one_place(root: Path, path: Path, bucket: Place, before: str) -> str:
    """Where the entry is after the next sweep: "here" or "there"."""
    assert in_child(lambda: sweep_again(root, bucket.location)) == 0
    assert in_holding(root) == []
    manifests = [name for name in bucket.names() if name.endswith(MANIFEST)]
    if path.exists():
        assert (seen(path), manifests) == (before, [])
        return "here"
    (manifest,) = manifests
    told = json.loads(bucket.get(manifest))
    data = bucket.get(manifest.replace(MANIFEST, ".tar.zst"))
    assert len(data) == told["object"]["size"]
    return "there"


def test_a_kill_at_any_step_leaves_the_entry_whole_in_one_place(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x", files=3)
    before = seen(path)
    for owner, step, when, place in STEPS:
        for name in bucket.names():
            bucket.delete(name)
        real = getattr(owner, step)

        def kill(*arguments: Any, real: Any = real, after: bool = when == "after") -> Any:
            if after:
                real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, kill)
            assert os.WIFSIGNALED(in_child(lambda: archive_entries(root, bucket.location)))
        assert check_whole_in_one_place(root, path, bucket, before) == place, (step, when)
        before = seen(path) if path.exists() else seen(make_entry(root, "debug/x", files=3))


@pytest.mark.slow
def test_fifty_kills_during_an_upload(
    root: Path, bucket: Place, figure: Callable[[str], None]
) -> None:
    path = root / "debug" / "x"
    path.mkdir(parents=True)
    (path / "big").write_bytes(MEGABYTES)
    before, dice, places = seen(path), random.Random(1), []
    for _ in range(50):
        child = os.fork()
        if child == 0:
            try:
                archive_entries(root, bucket.location)
            finally:
                os._exit(0)
        time.sleep(dice.uniform(0.0, 1.0))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        places.append(check_whole_in_one_place(root, path, bucket, before))
        if places[-1] == "there":
            assert in_child(lambda: restore_all(root, bucket.location)) == 0
            assert seen(path) == before
    figure(f"object storage: 50 kills, {places.count('there')} after the commit: all whole")


def restore_all(root: Path, location: str) -> None:
    """Put everything back."""
    archive = ObjectArchive(location)
    from common.temp.store.archive.restore import restore
    from common.temp.store.shelf.belongs import place_of

    for archived in archive.listed(root):
        restore(archive, archived, place_of(archived, root.parent))


# -- a store that fails ---------------------------------------------------------------------------


def test_an_upload_that_is_cut_publishes_nothing_and_the_entry_stays(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    (path / "big").write_bytes(MEGABYTES)
    before = seen(path)
    with proxy(configured.server, f"cut:{8_700_000}", project) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        out, error = ran(project, *CLEAN, code=1)
    assert f"failed debug/x: cannot be archived in {configured.location} (" in out + error
    assert "the store cannot be reached, or is too slow); check the network" in out + error
    assert (seen(path), configured.names()) == (before, [])
    monkeypatch.setenv("AWS_ENDPOINT_URL", configured.server.url)
    ran(project, *CLEAN)
    assert (path.exists(), len(configured.names())) == (False, 2)


def test_a_store_that_is_busy_is_asked_again_and_not_forever(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [make_entry(project / ".tmp", f"debug/{name}") for name in "xyz"]
    with proxy(configured.server, "answer:503:1000000", project) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        out, error = ran(project, *CLEAN, code=1)
    told = "the store answers 503 again and again (SlowDown)); try again later, or clean without"
    assert (out + error).count(told) == 3
    assert all(map(Path.exists, paths))
    assert configured.names() == []
    with proxy(configured.server, "answer:503:2", project) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        ran(project, *CLEAN)
    assert not any(map(Path.exists, paths))
    assert len(configured.names()) == 6


def test_a_manifest_counts_if_it_has_arrived_whatever_became_of_the_answer(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_entry(root, "debug/x")
    real, lost = Bucket.create, BucketError("s3://x", "cannot be stored: the answer is lost; wait")

    def create(bucket: Bucket, name: str, data: bytes) -> bool:
        real(bucket, name, data)
        raise lost

    def archive_and_tell() -> None:
        archive = ObjectArchive(bucket.location)
        report = swept(root, UNASKED, disposal="archive", archive=archive)
        print(*[outcome.detail for outcome in report.outcomes], flush=True)

    monkeypatch.setattr(Bucket, "create", create)
    assert in_child(archive_and_tell) == 0
    assert (path.exists(), len(bucket.names())) == (False, 2)
    path = make_entry(root, "debug/y")
    monkeypatch.setattr(Bucket, "read", create)
    assert in_child(archive_and_tell) == 0
    assert "look whether `temp-restore --list` has it too" in capfd.readouterr().out
    assert (path.exists(), in_holding(root)) == (True, [])
    assert len(bucket.names()) == 2, "what was stored is taken back"


def test_a_fork_of_a_process_that_has_used_the_store_does_not_wait_forever(
    root: Path, bucket: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    def use_and_fork() -> None:
        archive = ObjectArchive(bucket.location)
        assert archive.listed(root) == []
        assert in_child(lambda: print(archive.listed(root))) != 0

    assert in_child(use_and_fork) == 0
    assert "cannot be used in a fork of a process that has used it" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "check the network and its endpoint"),
        ({"AWS_ALLOW_HTTP": "false"}, "set AWS_ALLOW_HTTP=true if that is meant"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "set AWS_ACCESS_KEY_ID and"),
        ({"TEMPKEEP_ARCHIVE_LOCATION": "s3://missing/x"}, "make it, or correct archive_location"),
        ({"how": "answer:403:1000000"}, "check the credentials and their rights"),
        ({"how": "answer:501:1000000"}, "use another one"),
        ({"how": "wait:5", "AWS_TIMEOUT": "50ms"}, "or is too slow"),
    ],
    ids=["down", "http", "keys", "bucket", "refused", "lacking", "slow"],
)
def test_each_failure_is_one_line_with_the_remedy_and_loses_nothing(
    project: Path,
    configured: Place,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    told: str,
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    for name, text in variables.items():
        if text:
            monkeypatch.setenv(name, text)
        else:
            monkeypatch.delenv(name)
    with ExitStack() as stack:
        if "how" in variables:
            between = stack.enter_context(proxy(configured.server, variables["how"], project))
            monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        out, error = ran(project, *CLEAN, code=1)
        if "how" not in variables:
            _, unlisted = ran(project, "temp-restore", "--list", code=1)
            assert told in unlisted
            assert len(unlisted.splitlines()) == 1
    (failed,) = [line for line in (out + error).splitlines() if line.startswith("failed debug/x: ")]
    assert told in failed
    assert "or clean without archiving" in failed
    assert path.exists()
    assert configured.names() == []


def test_without_obstore_one_line_says_what_to_install(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    for name in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    for arguments in (CLEAN, ("temp-restore", "--list"), ("temp-restore", "x")):
        _, error = ran(project, *arguments, code=2)
        assert error == (
            f"error: archive_location: {configured.location} needs obstore: python3 -m pip install "
            '"obstore>=0.12", or tempkeep with its extra `cloud`\n'
        )
    assert path.exists()
    ran(project, "temp-status")


def test_without_a_network_a_status_works_and_a_clean_can_be_undone(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TEMPKEEP_ARCHIVE", "false")
    monkeypatch.setenv("TEMPKEEP_MIN_FREE_SPACE", "1000TiB")
    ran(project, *CLEAN, "--undoable")
    _, error = ran(project, "temp-status")
    assert error == ""
    ran(project, "temp-restore", "x")
    assert path.exists()


# -- what anybody may have put there --------------------------------------------------------------


def test_what_was_planted_in_the_bucket_is_refused_and_stays(
    project: Path, configured: Place, tmp_path: Path
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    data, manifest = configured.names()
    told = json.loads(configured.get(manifest))
    packed = configured.get(data)
    planted = {
        "debug__a.0000000000000001": b"[" * 100_000,
        "debug__b.0000000000000002": b"{}",
        "debug__c.0000000000000003": b" " * (1 << 20) + b"{}",
        "debug__d.0000000000000004": json.dumps(told).encode(),
        "debug__e.0000000000000005": json.dumps(
            {**told, "id": "0000000000000005", "root": "here/.tmp"}
        ).encode(),
        "debug__f.0000000000000006": json.dumps({**told, "id": "0000000000000006"}).encode(),
        "debug__g.0000000000000007": json.dumps(
            {**told, "id": "0000000000000007", "path": "../../outside"}
        ).encode(),
        "debug__i.0000000000000009": b"",
        "debug__h.0000000000000008": json.dumps(
            {**told, "id": "0000000000000008", "root": str(tmp_path)}
        ).encode(),
    }
    for name, text in planted.items():
        configured.put(name + MANIFEST, text)
    for name in ("g.0000000000000007", "h.0000000000000008"):
        configured.put(f"debug__{name}.tar.zst", packed)
    configured.put("somebody-elses", b"1")
    configured.put("below/debug__x.0000000000000009.tempkeep.json", b"1")
    configured.delete(data)
    configured.put(data, packed[:-9] + b"\0" * 9)
    names = configured.names()
    out, _ = ran(project, "temp-restore", "--list", code=1)
    for name, what in {
        "a": "its manifest is damaged",
        "b": "its manifest is damaged",
        "i": "its manifest is damaged",
        "c": "its manifest cannot be read (debug__c.0000000000000003.tempkeep.json is too large)",
        "d": "its manifest belongs to something else",
        "e": "its manifest belongs to something else",
        "f": "its object is no longer there",
    }.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"debug__{name}.")]
        assert what in line
    assert "somebody" not in out
    refused = [name for name in planted if name[7] in "afgh"]
    for name in (*refused, manifest.removesuffix(MANIFEST)):
        _, error = ran(project, "temp-restore", name, code=3)
        assert len(error.splitlines()) == 1
    assert (path.exists(), configured.names()) == (False, names)
    assert not (tmp_path / "debug").exists()


def test_a_file_that_runs_as_its_owner_neither_goes_there_nor_comes_from_there(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    (path / "tool").touch()
    (path / "tool").chmod(0o4755)
    out, error = ran(project, *CLEAN, code=1)
    assert "tool is set-user-ID or set-group-ID); remove that bit, or clean without" in out + error
    assert (path.exists(), configured.names()) == (True, [])
    with monkeypatch.context() as patch:
        patch.setattr(upload, "refuse_powers", lambda items: items)
        ran(project, *CLEAN)
    _, error = ran(project, "temp-restore", "x", code=3)
    assert "tool is set-user-ID or set-group-ID; " in error
    assert (path.exists(), len(configured.names())) == (False, 2)


# -- what goes from there -------------------------------------------------------------------------


def test_an_object_without_a_manifest_goes_after_a_day_and_no_other(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x")
    assert in_child(lambda: archive_entries(root, bucket.location)) == 0
    whole = bucket.names()
    orphan = "debug__x_1.00000000000000aa.tar.zst"
    others = ["debug__x_1.tar.zst", "debug__x_1.00000000000000aa.tar.xz", "holiday.jpg"]
    for name in (orphan, *others):
        bucket.put(name, b"x")
    assert in_child(lambda: sweep_again(root, bucket.location)) == 0
    assert bucket.names() == sorted([*whole, orphan, *others])
    monkeypatch.setattr(objects, "_ORPHAN_SECONDS", -10.0)
    assert in_child(lambda: sweep_again(root, bucket.location)) == 0
    assert bucket.names() == sorted([*whole, *others])


def test_what_was_stored_too_long_ago_is_not_published(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    monkeypatch.setattr(upload, "_STALE_SECONDS", -1.0)
    assert in_child(lambda: archive_entries(root, bucket.location)) == 0
    assert (path.exists(), bucket.names()) == (True, [])


def test_old_archives_of_this_root_go_as_planned(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    data, manifest = configured.names()
    told = json.loads(configured.get(manifest))
    old = {**told, "id": "00000000000000bb", "archived_at": "2020-01-01T00:00:00Z"}
    others = {**old, "id": "00000000000000cc", "root": "/elsewhere/.tmp"}
    for one in (old, others):
        configured.put(f"debug__x.{one['id']}{MANIFEST}", json.dumps(one).encode())
        configured.put(f"debug__x.{one['id']}.tar.zst", configured.get(data))
    names = configured.names()
    monkeypatch.setenv("TEMPKEEP_ARCHIVE_KEEP", "90d")
    out, _ = ran(project, "temp-clean", "--max-age", "1h", "--dry-run")
    assert f"would delete from the archive debug__x.{old['id']}.tar.zst" in out
    assert "(archive expired: archived for 2" in out
    assert configured.names() == names
    out, _ = ran(project, "temp-clean", "--max-age", "1h")
    assert f"deleted from the archive debug__x.{old['id']}.tar.zst" in out
    assert configured.names() == [name for name in names if old["id"] not in name]
    monkeypatch.delenv("TEMPKEEP_ARCHIVE_KEEP")
    monkeypatch.setenv("TEMPKEEP_ARCHIVE_MAX_SIZE", "10B")
    out, _ = ran(project, "temp-clean", "--max-age", "1h")
    assert "(archive over size: " in out
    assert configured.names() == [name for name in names if others["id"] in name]
