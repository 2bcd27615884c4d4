import tempfile

from common.temp import temp_working_dir


def main(run):
    with temp_working_dir("module") as d:
        print(d)
    run(f"""a
b {tempfile.gettempdir()}
""" f"{tempfile.tempdir}")
