from tempfile import (
    NamedTemporaryFile,
    gettempdir,
)
import os, sys

from common.temp import temp_working_dir

print(NamedTemporaryFile, gettempdir, os, sys)


def main():
    with temp_working_dir("module") as d, temp_working_dir("module") as e:
        print(d, e)
