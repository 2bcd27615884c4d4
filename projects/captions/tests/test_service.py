"""A real server, real connections, real signals: nothing is left."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from captions.client import Answer, Connection, HalfSent, caption, form, health
from captions.process import Server, serving

from common.temp import ThreadedFileCleanupManager
from tests.each import each
from tests.support import inv

WaitUntil = Callable[[Callable[[], object], str], None]
MANY = 200


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, wait_until: WaitUntil) -> Iterator[None]:
    """Where tests share a server, each leaves it with nothing to do."""
    yield
    if "server" in request.fixturenames:
        shared: Server = request.getfixturevalue("server")
        assert health(shared.url).status == 200
        wait_until(lambda: os.listdir(shared.storage) == [".tempkeep"], "nothing is left")


@pytest.fixture
def own(storage: Path) -> Iterator[Server]:
    """A server of the test's own."""
    with serving(storage) as running:
        yield running


def cues(answer: Answer) -> int:
    assert (answer.status, answer.content_type) == (200, "text/vtt"), answer.text
    return answer.text.count("-->")


# -- what it is for -----------------------------------------------------------------------------


def test_a_file_comes_back_as_captions(server: Server, sound: bytes) -> None:
    answer = caption(server.url, sound)
    assert cues(answer) == 1
    assert "00:00:00.500 --> 00:00:01.000\n[speech]" in answer.text


def test_two_hundred_uploads_side_by_side_are_all_answered_and_nothing_is_left(
    server: Server, sound: bytes, wait_until: WaitUntil
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3 * MANY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * MANY), hard))
    halves = [HalfSent(server.url, sound) for _ in range(MANY)]
    wait_until(lambda: len(server.uploads()) == MANY, "all have begun")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(HalfSent.finish, halves))
    assert [cues(answer) for answer in answers] == [1] * MANY


def test_an_upload_that_goes_on_is_seen_and_no_clean_takes_it(
    own: Server, sound: bytes, tmp_path: Path, wait_until: WaitUntil
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.tempkeep]\nroots = ["uploads"]\n')
    (tmp_path / "tasks.py").write_text("from common.temp.tasks import *\n")

    half = HalfSent(own.url, sound)
    wait_until(own.uploads, "it has begun")
    done = inv("temp-clean", "--max-age-hours", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"in use: pid {own.pid}" in done.stdout
    assert len(own.uploads()) == 1
    assert cues(half.finish()) == 1


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_client_that_hangs_up_midway_leaves_nothing(
    server: Server, sound: bytes, wait_until: WaitUntil
) -> None:
    halves = [HalfSent(server.url, sound) for _ in range(20)]
    wait_until(lambda: len(server.uploads()) == 20, "all have begun")
    for half in halves:
        half.hang_up()
    wait_until(lambda: not server.uploads(), "nothing is left")


def test_one_that_hangs_up_before_its_answer_leaves_nothing(server: Server, sound: bytes) -> None:
    content_type, body = form(sound)
    for _ in range(20):
        with Connection(server.url) as connection:
            connection.begin(content_type, len(body))
            connection.send(body)


def test_one_that_sends_no_more_is_told_and_leaves_nothing(
    storage: Path, sound: bytes, wait_until: WaitUntil
) -> None:
    with serving(storage, CAPTIONS_PATIENCE_SECONDS="0.2") as own:
        content_type, body = form(sound)
        with Connection(own.url) as connection:
            connection.begin(content_type, len(body))
            connection.send(body[:1000])
            answer = connection.answer()
        assert (answer.status, answer.error) == (408, "nothing came for 0.2 s; send it again")
        wait_until(lambda: not own.uploads(), "nothing is left")


HOSTILE_NAMES = [
    b"../../../../tmp/captions-was-here",
    b"/tmp/captions-was-here",
    b"..\\..\\captions-was-here",
    b"..",
    b"a\0b.wav",
    b"\x1b[2J\r.wav",
    b"\x7f",
    b"x" * 300,
    "ä".encode() * 200,
    b"\xff\xfe",
    b'" ; filename="x',
    b"",
]


@each("name", HOSTILE_NAMES)
def test_a_hostile_name_is_answered_with_one_error_and_writes_nothing(
    server: Server, sound: bytes, name: bytes
) -> None:
    around = set(server.storage.parent.rglob("*"))
    answer = caption(server.url, sound, name)
    if name == b'" ; filename="x':  # which is two names, of which the last counts
        assert answer.status in (200, 400)
    else:
        assert (answer.status, answer.content_type) == (400, "application/json")
        assert answer.error.isprintable()
    found = {path for path in server.storage.parent.rglob("*") if ".tempkeep" not in path.parts}
    assert found <= around
    assert not Path("/tmp/captions-was-here").exists()


@each(
    ("data", "status"),
    [
        (b"", 422),
        (b"hello", 422),
        (b"\0" * 10_000, 422),
        (b"RIFF\xff\xff\xff\xffWAVE", 422),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + b"\xff" * 100, 422),
        (b"RIFF\x24\0\0\0WAVEdata\xff\xff\xff\xff", 422),
        (b"x" * ((1 << 20) + 1), 413),
        (b"x" * (3 << 20), 413),
    ],
)
def test_what_is_no_sound_is_answered_with_one_error(
    server: Server, data: bytes, status: int
) -> None:
    answer = caption(server.url, data)
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.error.isprintable()


@each("cut", [4, 12, 20, 36, 43, 44, 1000])
def test_a_truncated_file_is_answered_with_one_error(
    server: Server, sound: bytes, cut: int
) -> None:
    assert caption(server.url, sound[:cut]).status == 422


@each("length", [5 << 20, 10**12, 10**18])
def test_an_absurd_length_is_answered_before_anything_is_sent(server: Server, length: int) -> None:
    with Connection(server.url) as connection:
        connection.begin(form(b"")[0], length)
        answer = connection.answer()
    assert (answer.status, "larger than 1048576 bytes" in answer.error) == (413, True)


@each(
    ("method", "path", "status"),
    [("GET", "/captions", 405), ("POST", "/health", 405), ("GET", "/../../etc/passwd", 404)],
)
def test_what_is_not_served_is_an_error_in_json(
    server: Server, method: str, path: str, status: int
) -> None:
    with Connection(server.url, path, method) as connection:
        connection.begin(b"text/plain", 0)
        answer = connection.answer()
    assert answer.status == status
    assert answer.error


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, sound: bytes, wait_until: WaitUntil
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        with serving(disk / "uploads", stderr=subprocess.DEVNULL) as own:
            answer = caption(own.url, sound * 4)
            assert (answer.status, "full" in answer.error) == (507, True)
            wait_until(lambda: not own.uploads(), "nothing is left")
            assert health(own.url).status == 200
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


# -- how it ends --------------------------------------------------------------------------------


def test_what_a_killed_server_left_is_gone_before_the_next_one_answers(
    storage: Path, sound: bytes, wait_until: WaitUntil
) -> None:
    with serving(storage) as killed:
        halves = [HalfSent(killed.url, sound) for _ in range(20)]
        wait_until(lambda: len(killed.uploads()) == 20, "all have begun")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(killed.uploads()) == 20
    for half in halves:
        half.hang_up()
    (storage / "by-hand.wav").write_text("somebody's own")
    with serving(storage) as started:
        assert health(started.url).status == 200
        assert started.uploads() == ["by-hand.wav"]


def test_a_second_server_leaves_the_uploads_of_the_first(
    own: Server, sound: bytes, wait_until: WaitUntil
) -> None:
    halves = [HalfSent(own.url, sound) for _ in range(5)]
    wait_until(lambda: len(own.uploads()) == 5, "all have begun")
    with serving(own.storage) as second:
        assert health(second.url).status == 200
        assert len(second.uploads()) == 5
    assert [cues(half.finish()) for half in halves] == [1] * 5


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_leaves_nothing(
    storage: Path, sound: bytes, wait_until: WaitUntil, ending: signal.Signals
) -> None:
    with serving(storage, stderr=subprocess.PIPE) as own:
        half = HalfSent(own.url, sound)
        wait_until(own.uploads, "it has begun")
        own.send_signal(ending)
        half.hang_up()
        _, said = own.communicate(timeout=60)
        assert own.uploads() == []
    assert "Traceback" not in said


def test_a_request_that_never_ends_does_not_keep_the_server_from_ending(
    storage: Path, sound: bytes, wait_until: WaitUntil
) -> None:
    """It is cancelled, and its file goes all the same, also where deleting it takes long."""
    with serving(storage, stderr=subprocess.PIPE, CAPTIONS_GRACE_SECONDS="1") as own:
        half = HalfSent(own.url, sound)
        wait_until(own.uploads, "it has begun")
        with slow_to_rename(own):
            own.send_signal(signal.SIGTERM)
            own.communicate(timeout=60)
        assert own.uploads() == []
    half.hang_up()


@contextmanager
def slow_to_rename(process: subprocess.Popen[str]) -> Iterator[None]:
    """What it renames, as it does with all that it deletes, takes a while, if there is strace."""
    strace = shutil.which("strace")
    if not strace:
        yield
        return
    renames = "trace=rename,renameat,renameat2"
    delay = f"{renames.replace('trace', 'inject')}:delay_enter=300000"
    command = [strace, "-f", "-o", os.devnull, "-e", renames, "-e", delay, "-p", str(process.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        tracer.stderr.readline()  # it is attached, or may not be
        yield


def test_uploads_of_a_killed_server_can_be_recovered_by_hand(
    storage: Path, sound: bytes, wait_until: WaitUntil
) -> None:
    with serving(storage) as killed:
        half = HalfSent(killed.url, sound)
        wait_until(killed.uploads, "it has begun")
        assert ThreadedFileCleanupManager(storage).recover() == 0
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert ThreadedFileCleanupManager(storage).recover() == 1
    half.hang_up()
