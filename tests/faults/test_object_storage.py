"""Kills, cut connections and a failing store while entries are archived: nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.archive import transfer
from common.temp.store.archive.bucket import Bucket, BucketError
from common.temp.store.archive.objects import ObjectArchive
from common.temp.store.archive.upload import ObjectDeposit
from tests.buckets import (
    CLEAN,
    MANIFEST,
    UNASKED,
    Place,
    archive_entries,
    in_child,
    megabytes,
    proxy,
    ran,
    restore_all,
    sweep_again,
)
from tests.store.trees import seen
from tests.support import in_holding, make_entry, swept

# -- kills ----------------------------------------------------------------------------------------

STEPS: list[tuple[Any, str, str, str]] = [
    (Bucket, "upload", "after", "here"),
    (transfer, "begin", "after", "here"),
    (Bucket, "create", "before", "here"),
    (Bucket, "create", "after", "there"),
    (ObjectDeposit, "keep", "after", "there"),
]


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
    (path / "big").write_bytes(megabytes())
    before, dice, places = seen(path), random.Random(1), []
    began = time.monotonic()
    assert in_child(lambda: archive_entries(root, bucket.location)) == 0
    took = time.monotonic() - began
    assert in_child(lambda: restore_all(root, bucket.location)) == 0
    for _ in range(50):
        child = os.fork()
        if child == 0:
            try:
                archive_entries(root, bucket.location)
            finally:
                os._exit(0)
        time.sleep(dice.uniform(0.0, 1.2 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        places.append(check_whole_in_one_place(root, path, bucket, before))
        if places[-1] == "there":
            assert in_child(lambda: restore_all(root, bucket.location)) == 0
            assert seen(path) == before
    figure(f"object storage: 50 kills, {places.count('there')} after the commit: all whole")


# -- a store that fails ---------------------------------------------------------------------------


def test_an_upload_that_is_cut_publishes_nothing_and_the_entry_stays(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    (path / "big").write_bytes(megabytes())
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
    assert "problem" not in error, "one line"
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
