from tempfile import TemporaryDirectory

__all__ = ["TemporaryDirectory"]

with TemporaryDirectory() as d:
    print(d)
