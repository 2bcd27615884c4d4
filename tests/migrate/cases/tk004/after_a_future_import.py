# header
"""Doc."""
from __future__ import annotations


def main() -> None:
    from tempfile import TemporaryDirectory as Scratch, gettempdir
    with Scratch() as d:
        print(d, gettempdir)


def other():
    import tempfile

    if other:
        with tempfile.TemporaryDirectory() as d: print(d)
