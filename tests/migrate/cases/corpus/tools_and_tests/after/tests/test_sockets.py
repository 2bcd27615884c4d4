"""Sockets and pipes by path, as an async library tests them."""

import os
import socket
import stat
import tempfile
import threading
from pathlib import Path
from tempfile import mkdtemp

from common.temp import temp_working_dir


def serve(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    return server


def test_bind():
    with temp_working_dir("work") as d:
        with serve(os.path.join(d, "control.sock")):
            assert stat.S_ISSOCK(os.stat(os.path.join(d, "control.sock")).st_mode)


def test_a_long_name():
    with temp_working_dir("work") as d:
        path = os.path.join(d, "s" * 24)
        with serve(path):
            assert len(path) < 108


def test_by_bytes():
    with temp_working_dir("work") as d:
        with serve(os.fsencode(os.path.join(d, "b"))):
            assert os.listdir(os.fsencode(d)) == [b"b"]


def test_by_path():
    with temp_working_dir("work") as d:
        path = Path(d) / "p"
        with serve(str(path)):
            assert path.is_socket()


def test_connect():
    with temp_working_dir("work") as d:
        where = os.path.join(d, "c")
        with serve(where) as server, socket.socket(socket.AF_UNIX) as client:
            client.connect(where)
            server.accept()[0].close()


def test_in_threads():
    seen = []

    def work():
        with temp_working_dir("work") as d:
            seen.append(os.path.realpath(d))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 5


def test_two_at_once():
    with temp_working_dir("work") as a, temp_working_dir("work") as b:
        assert os.path.realpath(a) != os.path.realpath(b)


def test_one_in_the_other():
    with temp_working_dir("work") as outer:
        with tempfile.TemporaryDirectory(dir=outer) as inner:
            assert os.path.dirname(inner) == str(outer)


def test_fifo():
    with temp_working_dir("work") as d:
        os.mkfifo(os.path.join(d, "pipe"))


def test_kept_and_removed():
    path = mkdtemp()
    try:
        assert os.path.isdir(path)
    finally:
        os.rmdir(path)


def test_name_only():
    assert not os.path.exists(tempfile.mktemp())


def test_abstract_names_come_first():
    with tempfile.TemporaryDirectory(prefix="anyio") as d:
        assert os.path.basename(d).startswith("anyio")


def test_its_name_is_gone():
    assert not os.path.exists(tempfile.TemporaryDirectory().name)
