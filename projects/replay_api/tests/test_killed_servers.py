"""A server that is killed with a hundred jobs, and the one after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from common.temp import StorageRoot
from projects.replay_api.tests.support import (
    Running,
    body,
    fetch_all,
    finished,
    jobs_in,
    open_upload,
    parts,
    running,
)
from tests.store.children import children_of, state_of, until
from tests.support import environment, in_holding, listing

JOBS = 100


def side_by_side(one: Running, uploaded: dict[str, Path], names: list[str]) -> None:
    with ThreadPoolExecutor(len(names)) as clients:
        answers = clients.map(lambda name: one.client.upload(uploaded, name), names)
        assert {answer.status for answer in answers} == {202}


def test_a_hundred_jobs_side_by_side_are_all_computed_and_nothing_is_left(tmp_path: Path) -> None:
    uploaded = parts(tmp_path / "client")
    names = [f"job-{number}" for number in range(JOBS)]
    with running(tmp_path / "server") as one:
        side_by_side(one, uploaded, names)
        assert one.jobs() == sorted(names)
        reports = {fetch_all(one, one.client.wait(name))["report.json"] for name in names}
        assert len(reports) == 1
        one.until_gone()
        until(lambda: in_holding(one.root) == [], "the last are deleted")


def test_killed_with_a_hundred_jobs_nothing_is_left_and_no_live_one_is_lost(
    tmp_path: Path,
) -> None:
    root = tmp_path / "jobs"
    uploaded = parts(tmp_path / "client")
    whole = body(uploaded)
    with running(tmp_path / "other", root) as other, ExitStack() as connections:
        done = finished(other, uploaded, "theirs-done")
        half = connections.enter_context(
            open_upload(other.client, whole[:300], "theirs-half", size=len(whole))
        )
        with running(tmp_path / "one", root, workers=1) as one:
            # Half of them are being uploaded; of the others some are done, one runs, most wait.
            side_by_side(one, uploaded, [f"job-{number}" for number in range(JOBS // 2)])
            for number in range(JOBS // 2, JOBS):
                size = len(whole) * (number - JOBS // 2) // (JOBS // 2)
                connections.enter_context(
                    open_upload(one.client, whole[:size], f"job-{number}", size=len(whole))
                )
            until(lambda: len(jobs_in(root)) == JOBS + 2, "a hundred directories")
            workers = children_of(one.server.pid)
            one.server.kill()
            one.server.wait(60)
        until(lambda: not any(map(state_of, workers)), "its workers end as well")
        assert len(jobs_in(root)) == JOBS + 2
        with running(tmp_path / "one", root) as again:
            assert again.client.ask("GET", "/jobs/job-0").status == 404
            assert again.jobs() == ["theirs-done", "theirs-half"]
        fetch_all(other, done)
        half.sendall(whole[300:])
        assert half.recv(100).startswith(b"HTTP/1.1 202 ")
        fetch_all(other, other.client.wait("theirs-half"))
        other.until_gone()


def test_a_worker_does_not_go_on_when_its_server_was_killed(
    tmp_path: Path, long: dict[str, Path]
) -> None:
    with running(tmp_path / "server") as one:
        assert one.client.upload(long, "a").status == 202
        until((one.root / "a" / "output" / "emissions.jsonl").exists, "it is being computed")
        (worker,) = children_of(one.server.pid)
        one.server.kill()
        one.server.wait(60)
        until(lambda: not state_of(worker), "the worker ends")
        assert listing(one.root / "a" / "output") == ["emissions.jsonl"]


def test_a_worker_whose_server_is_gone_when_it_answers_ends_without_a_word(tmp_path: Path) -> None:
    job = StorageRoot(tmp_path / "jobs").allocate_job("a")
    for path in asdict(job).values():
        if not path.exists():
            path.write_text("no flight log")
    paths = json.dumps({name: str(path) for name, path in asdict(job).items()})
    nobody_reads, its_output = os.pipe()
    os.close(nobody_reads)
    with subprocess.Popen(
        [sys.executable, "-m", "replay_api.worker"],
        stdin=subprocess.PIPE,
        stdout=its_output,
        stderr=subprocess.PIPE,
        env=environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path))),
    ) as worker:
        os.close(its_output)
        assert worker.stdin is not None
        assert worker.stderr is not None
        worker.stdin.write(paths.encode() + b"\n")
        worker.stdin.flush()  # and stays open, so that this is not why the worker ends
        assert (worker.stderr.read(), worker.wait(60)) == (b"", 0)


def test_a_server_recovers_what_others_leave_while_it_runs(tmp_path: Path) -> None:
    uploaded = parts(tmp_path / "client")
    with running(tmp_path / "one", tmp_path / "jobs", retention_seconds=2) as one:
        with running(tmp_path / "other", tmp_path / "jobs") as other:
            finished(other, uploaded, "theirs")
            other.server.kill()
            other.server.wait(60)
        assert one.server.poll() is None
        one.until_gone()


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05])
def test_whenever_it_is_killed_the_root_is_clean_after_a_recovery(
    tmp_path: Path, seconds: float
) -> None:
    uploaded = parts(tmp_path / "client")
    with running(tmp_path / "server") as one:
        for number in range(5):
            assert one.client.upload(uploaded, f"job-{number}").status == 202
        time.sleep(seconds)
        one.server.kill()
        one.server.wait(60)
        storage = StorageRoot(one.root)
        until(lambda: storage.recover() == 0 and one.jobs() == [], "all is recovered")
