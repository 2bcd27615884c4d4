"""The service over HTTP: every test talks to a real server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from replay_api.client import content_type, part_head
from replay_api.emissions import RESULTS

from common.temp import StorageRoot
from projects.replay_api.tests.support import (
    END,
    Running,
    all_of,
    body,
    fetch_all,
    finished,
    open_upload,
    parts,
    post,
    query,
    running,
    state,
    values,
)
from projects.replay_api.tests.test_tlog import FLIGHT
from tests.each import each
from tests.store.children import children_of, until
from tests.support import HOSTILE_NAMES, REPOSITORY, environment, listing, mounted, run_in
from tests.warm import in_environment

Upload = dict[str, Path]

FILE_NAMES = [
    "../../victim",
    "..\\..\\victim",
    "/etc/passwd",
    "/tmp/victim",
    "C:\\Windows\\victim",
    "\\\\server\\share\\victim",
    "file:///etc/passwd",
    "~/.ssh/authorized_keys",
    "$HOME/victim",
    "$(touch victim)",
    "`touch victim`",
    "; touch victim",
    "| tee victim",
    "victim%00.csv",
    "%2e%2e%2fvictim",
    "..%c0%afvictim",
    "....//victim",
    "..;/victim",
    ".",
    "..",
    "",
    " ",
    ".tempkeep",
    ".tempkeep/owners/victim",
    ".tempkeep/layout",
    "output",
    "output/report.json",
    "output/../../victim",
    "calibration.json",
    "input.csv/../../victim",
    "CON",
    "nul.csv",
    "x" * 5000,
    "../" * 500 + "victim",
    "\u202egnp.victim",
    "日本.csv",
    "a\tb",
    'a\\"; filename=../victim',
    "victim\udcff",
    "-rf",
]


# -- from the upload to the results -----------------------------------------------------------


def test_the_results_of_an_upload_are_computed_and_fetched(
    server: Running, uploaded: Upload
) -> None:
    document = finished(server, uploaded)
    assert (document["state"], document["error"]) == ("done", None)
    results = fetch_all(server, document)
    assert len(results["emissions.jsonl"].splitlines()) == 20
    assert b'"samples": 20' in results["report.json"]
    assert b'"FeatureCollection"' in results["map.geojson"]


def test_a_tlog_will_do_instead_of_a_csv(server: Running, uploaded: Upload) -> None:
    uploaded["tlog"] = uploaded.pop("csv")
    uploaded["tlog"].write_bytes(bytes.fromhex("".join(FLIGHT)))
    results = fetch_all(server, finished(server, uploaded))
    assert b'"source": "tlog", "samples": 4' in results["report.json"]


def test_an_upload_says_where_to_ask_for_it(server: Running, uploaded: Upload) -> None:
    connection = server.client.connect()
    with closing(connection):
        headers = {"content-type": content_type()}
        connection.request("POST", f"/jobs{query('a b?')}", body(uploaded), headers)
        response = connection.getresponse()
        assert response.status == 202
        assert response.headers["location"] == "/jobs/a%20b%3F"
    fetch_all(server, server.client.wait("a b?"))


def test_the_directory_goes_when_the_last_result_was_fetched_and_not_before(
    server: Running, uploaded: Upload
) -> None:
    document = finished(server, uploaded, "a")
    for name in RESULTS:
        assert server.jobs() == ["a"]
        assert server.client.ask("HEAD", document["results"][name]).body == b""
        assert server.client.ask("GET", document["results"][name]).status == 200
    server.until_gone()
    assert server.client.ask("GET", "/jobs/a").document == {**document, "results": {}}
    again = server.client.ask("GET", document["results"][RESULTS[0]])
    assert (again.status, again.document) == (
        410,
        {"error": "all results were fetched, or the job is over"},
    )


def test_one_who_hangs_up_midway_has_not_fetched(tmp_path: Path) -> None:
    with running(tmp_path / "server", workers=1) as one:
        document = finished(one, parts(tmp_path / "client", samples=40_000), "a")
        for name in RESULTS[1:]:
            assert one.client.ask("GET", document["results"][name]).status == 200
        for _ in range(3):
            connection = one.client.connect()
            with closing(connection):
                connection.request("GET", document["results"]["emissions.jsonl"])
                response = connection.getresponse()
                assert len(response.read(100)) == 100
                response.close()
        until(lambda: not _opened(one.server.pid, one.root), "the server noticed")
        assert len(one.client.ask("GET", "/jobs/a").document["results"]) == 1
        assert one.jobs() == ["a"]
        whole = one.client.ask("GET", document["results"]["emissions.jsonl"])
        assert len(whole.body.splitlines()) == 40_000
        one.until_gone()


def _opened(pid: int, directory: Path) -> list[str]:
    """The files of jobs in a directory that a process has open."""
    found = []
    for link in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{link}"))
    return [path for path in found if path.startswith(f"{directory}/a/")]


def test_an_id_can_be_used_again_when_its_job_is_over(server: Running, uploaded: Upload) -> None:
    for _ in range(3):
        fetch_all(server, finished(server, uploaded, "a"))
        server.until_gone()


def test_an_id_that_is_taken_is_refused_and_the_first_job_stays(
    server: Running, uploaded: Upload
) -> None:
    document = finished(server, uploaded, "a")
    again = server.client.upload(uploaded, "a")
    assert (again.status, again.document) == (
        409,
        {"error": "there is a job 'a' already; choose another id"},
    )
    fetch_all(server, document)


@each(
    ("method", "path", "status", "said"),
    [
        ("GET", "/jobs/unknown", 404, "there is no job 'unknown'"),
        ("DELETE", "/jobs/unknown", 404, "there is no job 'unknown'"),
        ("GET", "/jobs/unknown/results/report.json", 404, "there is no job 'unknown'"),
        ("GET", "/jobs/..%2fvictim", 404, "Not Found"),
        ("GET", "/jobs/%2e%2e", 404, "there is no job '..'"),
        ("DELETE", "/jobs/.tempkeep", 404, "there is no job '.tempkeep'"),
        ("GET", "/", 404, "Not Found"),
        ("PUT", "/jobs", 405, "Method Not Allowed"),
        ("POST", "/jobs/a", 405, "Method Not Allowed"),
    ],
)
def test_what_is_not_there_is_said_as_json(
    server: Running, method: str, path: str, status: int, said: str
) -> None:
    answer = server.client.ask(method, path)
    assert answer.status == status
    assert answer.document["error"].startswith(said)


def test_there_is_no_other_result_and_none_before_it_is_done(
    server: Running, uploaded: Upload
) -> None:
    document = finished(server, uploaded, "a")
    for name in ("input.csv", "..%2finput.csv", "..", "report.json%00"):
        assert server.client.ask("GET", f"/jobs/a/results/{name}").status == 404
    fetch_all(server, document)


# -- what cannot be computed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "contents", "said"),
    [
        ("csv", values(["0,1,2,3", "1,95,2,3"]), "line 3 of the CSV: lat_deg is 95, beyond ±90"),
        ("csv", "", "the CSV has no column time_s"),
        ("video", "no film", "the video is not an MP4 file"),
        ("calibration", "{", "the calibration is not valid JSON"),
        ("calibration", "{}", "the calibration has no mass_kg; add it"),
    ],
)
def test_an_upload_that_cannot_be_used_fails_and_says_why(
    server: Running, uploaded: Upload, part: str, contents: str, said: str
) -> None:
    uploaded[part].write_text(contents)
    document = finished(server, uploaded, "a")
    assert document["state"] == "failed"
    assert document["error"].startswith(said)
    assert document["results"] == {}
    server.until_gone()
    assert server.client.ask("GET", "/jobs/a/results/report.json").status == 409


def test_a_worker_that_dies_fails_its_job_and_no_other(tmp_path: Path, long: Upload) -> None:
    with running(tmp_path / "server", workers=1) as one:
        assert one.client.upload(long, "a").status == 202
        until(lambda: children_of(one.server.pid), "a worker")
        assert one.client.upload(parts(tmp_path / "short"), "b").status == 202
        for worker in children_of(one.server.pid):
            os.kill(worker, signal.SIGKILL)
        failed = one.client.wait("a")
        assert failed["error"] == "the computation ended with -9; try again, or with less data"
        fetch_all(one, one.client.wait("b"))
        one.until_gone()


def test_what_takes_too_long_is_stopped(tmp_path: Path, long: Upload) -> None:
    with running(tmp_path / "server", compute_seconds=0.5) as one:
        failed = finished(one, long, "a")
        assert failed["error"] == "it took longer than 0.5 s; send less"
        one.until_gone()
        assert children_of(one.server.pid) == []


def test_what_nobody_fetches_goes_after_its_time(tmp_path: Path) -> None:
    with running(tmp_path / "server", retention_seconds=0.5) as one:
        assert finished(one, parts(tmp_path / "client"), "a")["state"] == "done"
        one.until_gone()
        until(lambda: state(one, "a") == "", "the job is forgotten")


# -- cancelling -------------------------------------------------------------------------------


def test_a_job_is_cancelled_running_queued_or_done(tmp_path: Path, long: Upload) -> None:
    with running(tmp_path / "server", workers=1) as one:
        done = finished(one, parts(tmp_path / "short"), "done")
        assert done["state"] == "done"
        assert one.client.upload(long, "running").status == 202
        assert one.client.upload(parts(tmp_path / "short"), "queued").status == 202
        until(lambda: state(one, "running") == "running", "running")
        assert state(one, "queued") == "queued"
        assert one.client.ask("DELETE", "/jobs/queued").document["state"] == "cancelled"
        assert one.jobs() == ["done", "running"]
        assert one.client.ask("DELETE", "/jobs/done").document["state"] == "done"
        assert one.jobs() == ["running"]
        assert one.client.ask("DELETE", "/jobs/running").document["state"] == "cancelled"
        assert one.jobs() == []
        assert children_of(one.server.pid) == []
        assert one.client.ask("DELETE", "/jobs/running").document["state"] == "cancelled"


def test_an_upload_is_cancelled_by_closing_its_connection(
    server: Running, uploaded: Upload
) -> None:
    with open_upload(server.client, body(uploaded)[:300], "a"):
        until(lambda: state(server, "a") == "uploading", "the upload began")
        answer = server.client.ask("DELETE", "/jobs/a")
        assert answer.status == 409
        assert "close that connection" in answer.document["error"]
    server.until_gone()
    until(lambda: state(server, "a") == "", "the job is forgotten")


# -- uploads that go wrong --------------------------------------------------------------------


def _part(name: str, contents: bytes = b"x", **headers: str) -> bytes:
    more = "".join(f"\r\n{key}: {value}" for key, value in headers.items()).encode()
    return part_head(name, "f").removesuffix(b"\r\n\r\n") + more + b"\r\n\r\n" + contents


VIDEO = _part("video")
REST = VIDEO + _part("calibration") + END
HEADER = "Content-Disposition: form-data"


@each(
    ("data", "said"),
    [
        (b"", "the upload ends before its last boundary"),
        (b"nothing of the kind", "the upload is malformed"),
        (b"\r\n--other\r\n\r\n" + REST, "the upload is malformed"),
        (_part("csv") + VIDEO, "the upload ends before its last boundary"),
        ((_part("csv") + REST)[:-4], "the upload ends before its last boundary"),
        (_part("csv")[:40], "the upload ends before its last boundary"),
        (END, "send one part `csv` or `tlog`, got 0"),
        (REST, "send one part `csv` or `tlog`, got 0"),
        (_part("csv") + _part("tlog") + REST, "send one part `csv` or `tlog`, got 2"),
        (_part("csv") + END, "there is no part `video`; add it"),
        (_part("csv") + VIDEO + END, "there is no part `calibration`; add it"),
        (_part("csv") + _part("csv") + REST, "there are two parts `csv`; send one"),
        (_part("notes") + REST, "there is no use for a part 'notes'; send csv, tlog, video"),
        (_part("../csv") + REST, "there is no use for a part '../csv'"),
        (_part("") + REST, "there is no use for a part ''"),
        (_part("csv").replace(b"form-data", b"attachment") + REST, "there is no use for a part"),
        (_part("csv").replace(HEADER.encode(), b"X: y") + REST, "there is no use for a part ''"),
        (_part("csv", X="y" * 10_000) + REST, "malformed: Maximum header size exceeded"),
        (
            _part("csv", b"x", **{f"X{n}": "y" for n in range(50)}) + REST,
            "Maximum header count exceeded",
        ),
        (_part("csv").replace(b"Content", b"Con\0tent") + REST, "the upload is malformed"),
        (_part("csv").replace(b"Content", b"X" * 9000) + REST, "Maximum header size exceeded"),
    ],
)
def test_what_is_malformed_or_incomplete_is_refused(
    server: Running, data: bytes, said: str
) -> None:
    answer = post(server.client, data, "?job_id=a")
    assert answer.status == 400
    assert said in answer.document["error"]
    assert state(server, "a") == ""


@each(
    "kind",
    [
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=x",
    ],
)
def test_what_is_no_form_is_refused(server: Running, kind: str) -> None:
    answer = post(server.client, b"x", content_type=kind)
    assert (answer.status, answer.document) == (
        415,
        {"error": "send multipart/form-data with a boundary"},
    )


def test_a_boundary_that_is_too_long_is_refused(server: Running) -> None:
    kind = f"multipart/form-data; boundary={'x' * 5000}"
    assert post(server.client, b"x", content_type=kind).status == 400


@pytest.mark.parametrize(("part", "most"), [("csv", 100_000), ("calibration", 1000)])
def test_a_part_that_is_too_large_is_refused(
    server: Running, uploaded: Upload, part: str, most: int
) -> None:
    uploaded[part].write_bytes(b"x" * (most + 1))
    answer = server.client.upload(uploaded, "a")
    assert (answer.status, answer.document) == (
        413,
        {"error": f"the part `{part}` has more than {most} bytes"},
    )


def test_a_part_that_is_as_large_as_it_may_be_is_taken(server: Running, uploaded: Upload) -> None:
    text = uploaded["calibration"].read_bytes()
    uploaded["calibration"].write_bytes(text.ljust(1000))
    fetch_all(server, finished(server, uploaded))


def test_an_upload_that_says_it_is_too_large_is_not_read(server: Running) -> None:
    size = 3 << 30
    with open_upload(server.client, b"", "a", size=size) as connection:
        assert all_of(connection).startswith("HTTP/1.1 413 ")
    assert server.jobs() == []


def test_an_upload_without_a_length_is_cut_off_where_it_gets_too_large(server: Running) -> None:
    def endless() -> Iterator[bytes]:
        yield _part("csv")
        while True:
            yield b"x" * 10_000

    assert post(server.client, endless(), "?job_id=a").status == 413


def test_an_upload_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path / "server", idle_seconds=0.5) as one:
        with open_upload(one.client, _part("csv"), "a") as connection:
            said = all_of(connection)
        assert said.startswith("HTTP/1.1 408 ")
        assert "nothing came for 0.5 s; send it again" in said
        one.until_gone()


def test_one_who_is_refused_while_sending_gets_the_answer(
    server: Running, uploaded: Upload
) -> None:
    connection = server.client.connect()
    with closing(connection):
        # Not by `post`, which would not mind a connection that is closed while it sends.
        headers = {"content-type": content_type()}
        data = body(uploaded) + b"x" * (14 << 20)  # more than sockets take in
        connection.request("POST", f"/jobs{query('..')}", data, headers)
        assert connection.getresponse().status == 400


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_hangs_up_midway_leaves_nothing(
    server: Running, uploaded: Upload, how: str
) -> None:
    whole = body(uploaded)
    connections = [
        open_upload(server.client, whole[:size], f"job-{size}", size=len(whole))
        for size in range(0, len(whole), 97)
    ]
    until(lambda: len(server.jobs()) == len(connections), "all uploads began")
    for connection in connections:
        if how == "reset":
            linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
    server.until_gone()


def test_more_jobs_than_there_may_be_are_put_off(tmp_path: Path) -> None:
    with running(tmp_path / "server", max_jobs=2) as one:
        uploaded = parts(tmp_path / "client")
        kept = [finished(one, uploaded, name) for name in ("a", "b")]
        answer = one.client.upload(uploaded, "c")
        assert (answer.status, answer.document) == (
            503,
            {"error": "there are 2 jobs already; try again later"},
        )
        fetch_all(one, kept[0])
        one.until_gone("b")
        assert one.client.upload(uploaded, "c").status == 202


def test_where_the_disk_is_full_the_upload_is_refused_and_the_next_one_taken(
    tmp_path: Path,
) -> None:
    small = tmp_path / "small"
    with mounted(small, "size=2m"), running(tmp_path / "server", small / "jobs") as one:
        uploaded = parts(tmp_path / "client")
        film = uploaded["video"].read_bytes()
        uploaded["video"].write_bytes(film + b"\0" * (3 << 20))
        answer = one.client.upload(uploaded, "a")
        assert (answer.status, answer.document) == (
            507,
            {"error": "there is no room for the upload; try again later"},
        )
        one.until_gone()
        uploaded["video"].write_bytes(film)
        fetch_all(one, finished(one, uploaded, "a"))


def test_a_root_that_is_removed_is_made_again(tmp_path: Path) -> None:
    with running(tmp_path / "server") as one:
        uploaded = parts(tmp_path / "client")
        finished(one, uploaded, "a")
        subprocess.run(["rm", "-rf", str(one.root)], check=True)
        assert one.client.ask("GET", "/jobs/a/results/report.json").status == 410
        fetch_all(one, finished(one, uploaded, "b"))
        one.until_gone()


# -- hostile names ----------------------------------------------------------------------------


def test_the_hostile_names_are_forty() -> None:
    assert len(set(FILE_NAMES)) == len(set(HOSTILE_NAMES)) == 40


def test_whatever_a_client_calls_its_files_they_are_those_of_the_job(
    server: Running, uploaded: Upload
) -> None:
    before = server.outside()
    for number, name in enumerate(FILE_NAMES):
        data = body(uploaded, names=lambda path, name=name: name)  # type: ignore[misc]
        assert post(server.client, data, f"?job_id={number}").status == 202, name
    for number, name in enumerate(FILE_NAMES):
        document = server.client.wait(f"{number}")
        assert document["state"] == "done", name
        assert listing(server.root / f"{number}") == [
            "calibration.json",
            "input.csv",
            "input.mp4",
            "output",
            *(f"output/{result}" for result in sorted(RESULTS)),
        ], name
        fetch_all(server, document)
        server.until_gone(*sorted(map(str, range(number + 1, len(FILE_NAMES)))))
        assert server.outside() == before, name


def test_a_hostile_id_is_refused_and_nothing_is_written(server: Running, uploaded: Upload) -> None:
    before = server.outside()
    for job_id in HOSTILE_NAMES:
        answer = post(server.client, body(uploaded), query(job_id))
        if job_id == "\udcff":  # what is no UTF-8 comes as U+FFFD, which is a letter like any other
            assert answer.status == 202
            fetch_all(server, server.client.wait("\ufffd"))
            server.until_gone()
            continue
        assert answer.status == 400, job_id
        assert answer.document["error"].startswith("job id "), job_id
        assert (server.jobs(), server.outside()) == ([], before), job_id


# -- the end of a server ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_leaves_nothing(
    tmp_path: Path, long: Upload, number: int
) -> None:
    with running(tmp_path / "server", workers=1) as one:
        uploaded = parts(tmp_path / "client")
        finished(one, uploaded, "done")
        assert one.client.upload(long, "running").status == 202
        assert one.client.upload(uploaded, "queued").status == 202
        with open_upload(one.client, body(uploaded)[:300], "uploading"):
            until(lambda: len(one.jobs()) == 4, "all four")
            until(lambda: state(one, "running") == "running", "running")
            workers = children_of(one.server.pid)
            one.server.send_signal(number)
            assert one.server.wait(60) == 0
        assert [path.name for path in one.root.iterdir()] == [".tempkeep"]
        for directory in ("holding", "owners"):
            assert list((one.root / ".tempkeep" / directory).iterdir()) == []
        assert workers
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "no worker")


def _start(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    packages = [Path(__file__).resolve().parents[1] / "src", REPOSITORY]
    path = os.pathsep.join([*map(str, packages), environment()["PYTHONPATH"]])
    env = environment(PYTHONPATH=path, PYTHONWARNINGS="error::ResourceWarning", **more)
    command = [sys.executable, "-m", "replay_api", "--port", "0", *arguments]
    server = in_environment(sys.executable, env, "replay_api")
    return run_in(env, command, cwd=tmp_path, server=server)


@pytest.mark.parametrize(
    ("root", "code", "said"),
    [
        ("", 2, "replay_api: REPLAY_API_STORAGE_ROOT is empty; give the path of a directory\n"),
        ("project", 3, "/project/jobs\n"),
        ("file", 1, "file is not a directory; move it away\n"),
    ],
)
def test_a_root_that_cannot_be_used_ends_it_with_one_line(
    tmp_path: Path, root: str, code: int, said: str
) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / "file").touch()
    before = listing(tmp_path)
    done = _start(tmp_path, REPLAY_API_STORAGE_ROOT=root)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert listing(tmp_path) == before


def test_a_port_that_is_taken_ends_it_with_one_line(server: Running, tmp_path: Path) -> None:
    port = server.client.url.rpartition(":")[2]
    done = _start(tmp_path, "--port", port)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert f"replay_api: cannot listen on 127.0.0.1:{port}: " in done.stderr


def test_two_servers_share_a_root_and_each_keeps_its_own(tmp_path: Path) -> None:
    root = tmp_path / "jobs"
    uploaded = parts(tmp_path / "client")
    with running(tmp_path / "one", root) as one:
        mine = finished(one, uploaded, "mine")
        with running(tmp_path / "other", root) as other:
            theirs = finished(other, uploaded, "theirs")
            assert other.client.upload(uploaded, "mine").status == 409
            StorageRoot(root).recover()
            assert one.jobs() == ["mine", "theirs"]
            fetch_all(other, theirs)
            finished(other, uploaded, "theirs")
        assert one.jobs() == ["mine"]
        fetch_all(one, mine)
        one.until_gone()
