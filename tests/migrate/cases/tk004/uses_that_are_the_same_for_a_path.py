import glob
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from logging import getLogger
from os.path import join
from pathlib import Path

log = getLogger(__name__)


def collect(archive, source):
    with tempfile.TemporaryDirectory() as d:
        print(d, "is", str(d), os.fspath(d), file=sys.stderr)
        text = f"{d} {d!s}" + "%s" % d + "%s %d" % (d, 1) + "{} {name}".format(d, name=d)
        shutil.copy(source, d)
        shutil.copytree(source, join(d, "copy"))
        shutil.copytree(source, d, dirs_exist_ok=True)
        subprocess.run(["tar", "-C", d, "-xf", archive], cwd=d, check=True)
        subprocess.check_call(["tar"] + ["-C", d], cwd=d)
        os.chdir(d)
        with open(os.path.join(d, "a"), "w") as file, tempfile.NamedTemporaryFile(dir=d) as other:
            file.write(text + other.name)
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(d)
        found = glob.glob("*", root_dir=d)
        log.info("%s has %d", d, len(found))
        if d and not d:
            raise AssertionError(text)
        with io.open(os.path.join(d, "b")):
            pass

        def inner():
            return Path(d) / "x"

        for name in os.listdir(d):
            inner().joinpath(name)
        if d is not None:
            shutil.rmtree(d)
