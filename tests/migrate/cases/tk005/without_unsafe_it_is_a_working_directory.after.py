from pathlib import Path

from common.temp import temp_working_dir


def build(make):
    with temp_working_dir("build") as tmp:
        work = Path(tmp) / "work"
        work.mkdir()
        make(work)
