# case: left TK004:9 may be shown with the error that line 12 catches
# case: left TK004:17 is kept with its result
import subprocess
import sys
from tempfile import TemporaryDirectory

from common.temp import temp_working_dir


def failed():
    with TemporaryDirectory() as d:
        try:
            subprocess.run([sys.executable, "-c", "raise SystemExit(1)", d], check=True)
        except subprocess.CalledProcessError as error:
            return len(" ".join(error.cmd)) > 0


def asked():
    with TemporaryDirectory() as d:
        done = subprocess.run([sys.executable, "-c", "", d], check=True)
        return len(" ".join(done.args)) > 0


def cwd():
    with temp_working_dir("cwd") as d:
        return subprocess.run([sys.executable, "-c", ""], check=True, cwd=d).returncode


print(failed(), asked(), cwd())
