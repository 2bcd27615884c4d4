from tempfile import (
    NamedTemporaryFile,
    TemporaryDirectory,
    gettempdir,
)
import os, tempfile as t, sys

print(NamedTemporaryFile, gettempdir, os, sys)


def main():
    with TemporaryDirectory() as d, t.TemporaryDirectory() as e:
        print(d, e)
