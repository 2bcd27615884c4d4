import os
import shutil
import subprocess
import tempfile

from common.temp import temp_working_dir


def build(source):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["build", source, "-o", d], check=True)


def copied(source):
    with temp_working_dir("copied") as d:
        shutil.copy(source, d)
        return os.listdir(d)
