# header
"""Doc."""
from __future__ import annotations


def main() -> None:
    from tempfile import gettempdir

    from common.temp import temp_working_dir
    with temp_working_dir("module") as d:
        print(d, gettempdir)


def other():
    from common.temp import temp_working_dir

    if other:
        with temp_working_dir("other") as d: print(d)
