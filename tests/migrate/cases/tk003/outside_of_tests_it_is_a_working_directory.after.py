from pathlib import Path

from common.temp import temp_working_dir


def build():
    with temp_working_dir("build") as d:
        a = Path(d) / "a"
        b = Path(d) / "b"
        a.mkdir()
        b.mkdir()
        print(a, b)
