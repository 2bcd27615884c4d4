import os
import shutil
import subprocess
import tempfile


def build(source):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["build", source, "-o", d], check=True)


def copied(source):
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(source, d)
        return os.listdir(d)
