from pathlib import Path

from common.temp import temp_working_dir


def main(run):
    with temp_working_dir("module") as tmp:
        tmp = Path(tmp)
        (tmp / "x").mkdir()
        run(tmp, f"{tmp / 'y'}")
    return tmp
