# case: left TK004:15 `os.chmod(d, 493)` lets other users in
# case: left TK004:20 `os.chown(d, -1, -1)` lets other users in
# case: left TK004:25 `Path(d).chmod(stat.S_IRWXU | stat.S_IRGRP)` lets other users in
# case: left TK004:30 `['chmod', '755', d]` lets other users in
import os
import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

MODE = stat.S_IRUSR


def by_mode():
    with TemporaryDirectory() as d:
        os.chmod(d, 0o755)


def by_owner():
    with TemporaryDirectory() as d:
        os.chown(d, -1, -1)


def by_name():
    with TemporaryDirectory() as d:
        Path(d).chmod(stat.S_IRWXU | stat.S_IRGRP)


def by_command():
    with TemporaryDirectory() as d:
        subprocess.run(["chmod", "755", d], check=True)


by_mode()
by_owner()
by_name()
by_command()
