# case: path test_sockets.py
import socket
import tempfile
from pathlib import Path


def test_a_socket():
    with tempfile.TemporaryDirectory() as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(target / "s"))
