# case: path test_sockets.py
import socket
from pathlib import Path

from common.temp import temp_working_dir


def test_a_socket():
    with temp_working_dir("work") as d:
        source = Path(d) / "source"
        target = Path(d) / "target"
        source.mkdir()
        target.mkdir()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(target / "s"))
