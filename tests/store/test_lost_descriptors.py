"""Code that closes descriptors it did not open: no user's file is touched, and no lease is lost."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.support import ext4, hold, listing, make_project, process, scanned, swept

TAKE_ALL = """
import atexit, os, sys, time
mine = []
def look():
    for number, name in mine:
        assert os.path.samestat(os.fstat(number), os.stat(name)), number
        assert open(name, "rb").read() == b"id,value\\n", name
    print("whole", flush=True)
atexit.register(look)  # and so done after what tempkeep does at the end

def take_all():
    os.closerange(3, 256)
    for number in range(3, 40):
        name = f"results{number}.csv"
        with open(name, "wb") as file: file.write(b"id,value\\n")
        os.dup2(file := os.open(name, os.O_RDWR | os.O_APPEND), number + 50)
        os.close(file)
        mine.append((number + 50, name))
    for number, name in mine:
        os.dup2(number, number - 50)  # also the numbers that were closed
    mine.extend([(number - 50, name) for number, name in mine])
"""

FACES = {
    "an entry": "make('y')",
    "the end of a block": "block.__exit__(None, None, None)",
    "a job that ends": "jobs.release_job('a')",
    "a run that ends": "run.__exit__(None, None, None)",
    "a clean of all": "TempManager.clean_persistent_temps()",
    "a clean in the background": (
        "from common.temp.__main__ import main\n"
        "sys.argv = ['tempkeep', 'temp-clean', '--everything', '--yes', '--background']\n"
        "try: main()\n"
        "except SystemExit: pass"
    ),
    "a fork": "os.fork() == 0 and os._exit(0); os.wait()",
    "nothing": "",
}


@pytest.mark.parametrize("face", FACES)
def test_no_file_of_the_user_is_written_to_or_closed(project: Path, face: str) -> None:
    code = (
        f"{TAKE_ALL}\n"
        "from common.temp import *\n"
        "make = get_debug_temp_dir\n"
        "first, block = make('x'), temp_working_dir(); block.__enter__()\n"
        "jobs = StorageRoot('jobs'); jobs.allocate_job('a')\n"
        "run = pipeline_run('runs'); run.__enter__()\n"
        "print(first, flush=True); input()\n"
        f"take_all()\n{FACES[face]}\nprint('done', flush=True)"
    )
    with process(code, cwd=project) as it:
        said, _ = it.communicate("\n", timeout=60)
        assert it.returncode == 0
        assert said.splitlines()[-2:] == ["done", "whole"]


def is_locked(file: Path) -> bool:
    with open(file, "rb") as there:
        try:
            fcntl.flock(there, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_what_was_closed_is_held_all_the_while_and_locked_again_at_the_next_call(
    tmp_path: Path,
) -> None:
    here, there = make_project(tmp_path / "here"), make_project(tmp_path / "there")
    code = (
        "import os\n"
        "from common.temp import get_debug_temp_dir as make\n"
        "first = make('first'); os.chdir('../there'); other = make('other')\n"
        "os.closerange(3, 256)\n"
        "print(first, other, flush=True); input()\n"
        "print(make('second'), flush=True); input()"
    )
    with process(code, cwd=here) as it:
        assert it.stdin is not None
        assert it.stdout is not None
        first, other = map(Path, it.first_line.split())
        owners = [path / ".tmp" / ".tempkeep" / "owners" for path in (here, there)]
        for root, entry in ((here / ".tmp", first), (there / ".tmp", other)):
            assert hold(root, entry) == "owner"
            assert swept(root).outcomes == ()
        it.stdin.write("\n")
        it.stdin.flush()
        second = Path(it.stdout.readline().strip())
        for directory in owners:
            (file,) = directory.iterdir()
            assert is_locked(file)
        for root, entries in ((here / ".tmp", {first}), (there / ".tmp", {other, second})):
            assert {root / path for path, entry in scanned(root).items() if entry.use} == entries
        it.kill()
        it.wait()
        assert len(swept(there / ".tmp").done) == 2
        assert listing(owners[1]) == []


def test_what_was_given_up_after_the_descriptor_was_closed_is_free(project: Path) -> None:
    code = (
        "import os\n"
        "from common.temp import get_debug_temp_dir, pipeline_run\n"
        "with pipeline_run('.') as run:\n"
        "    os.closerange(3, 256)\n"
        "print(run, flush=True); input()"
    )
    with process(code, cwd=project) as it:
        from common.temp.core.layouts import PIPELINE
        from common.temp.store.scanning.scan import scan

        (entry,) = scan(project, 0, layout=PIPELINE).entries
        assert (entry.path, entry.use) == (Path(it.first_line).name, None)


def test_a_file_that_has_got_the_inode_of_the_owner_file_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    with ext4(tmp_path) as disk:
        project = make_project(disk / "project")
        code = (
            "import os, shutil\n"
            "from common.temp import get_debug_temp_dir as make\n"
            "make('x')\n"
            "from common.temp.store.root.current_owners import own\n"
            "file = own(os.path.abspath('.tmp'))._file\n"
            "os.close(file.descriptor); shutil.rmtree('.tmp')\n"
            "for number in range(200):\n"
            "    mine = os.open(f'f{number}', os.O_RDWR | os.O_CREAT)\n"
            "    os.write(mine, b'id,value\\n')\n"
            "    if os.fstat(mine).st_ino == file.identity[1]: break\n"
            "    os.close(mine)\n"
            "if mine != file.descriptor: os.dup2(mine, file.descriptor)\n"
            "print(number, flush=True); make('y')\n"
            "os.fstat(file.descriptor)"
        )
        with process(code, cwd=project) as it:
            it.communicate()
            assert it.returncode == 0
            number = int(it.first_line)
        if number == 199:
            pytest.skip("this filesystem gives no number again")
        assert (project / f"f{number}").read_bytes() == b"id,value\n"


def test_a_worker_of_a_clean_lets_no_file_go_that_took_the_number_of_a_lease(
    project: Path,
) -> None:
    code = (
        "import os, time\n"
        "from common.temp import get_debug_temp_dir as make\n"
        "from common.temp.store.root.forked_helpers import fork_helper\n"
        "make('x')\n"
        "os.closerange(3, 256)\n"
        "ours, theirs = os.pipe(), os.pipe()\n"
        "child = fork_helper(lambda: [os.write(number, b'!') for number in (4, 6)])\n"
        "os.waitpid(child, 0)\n"
        "print(os.read(ours[0], 1), os.read(theirs[0], 1), flush=True)"
    )
    with process(code, cwd=project) as it:
        assert it.first_line == "b'!' b'!'"


def test_a_removed_root_and_closed_descriptors_at_once_stop_nobody(project: Path) -> None:
    code = (
        "import os, shutil\n"
        "from common.temp import get_debug_temp_dir as make\n"
        "make('x'); os.closerange(3, 256); shutil.rmtree('.tmp')\n"
        "print(make('y'), flush=True); input()"
    )
    with process(code, cwd=project) as it:
        assert hold(project / ".tmp", Path(it.first_line)) == "owner"
        os.kill(it.pid, signal.SIGKILL)
        it.wait()
        assert len(swept(project / ".tmp").done) == 1
    shutil.rmtree(project / ".tmp")
