"""Unreadable or damaged owner files: nothing hangs, and no protection ends."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.store.root.making import make_root
from common.temp.store.root.owner_file_reading import parse_header
from tests.support import (
    HOUR,
    LONG_AGO,
    environment,
    hold,
    let_others_reach,
    make_entry,
    only,
    plain_user,
    process,
    run,
    scanned,
    swept,
)

MAKE = "from common.temp import get_debug_temp_dir as make; print(make('x'), flush=True);"
HEADER = b'{"pid": 1, "command": "c", "started": 1, "host": "h"}\n'


@pytest.fixture
def root(project: Path) -> Path:
    """The root of the project, with a store and no entries."""
    directory = project / ".tmp"
    make_root(str(directory))
    return directory


def owner_file(root: Path, name: str = "1-1-aa") -> Path:
    return root / ".tempkeep" / "owners" / name


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def hidden(path: Path) -> None:
    path.write_bytes(HEADER + b"+debug/other\n")
    path.chmod(0)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def holding(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


ODD: dict[str, Callable[[Path], object]] = {
    "a fifo": fifo,
    "a link": link,
    "a directory": Path.mkdir,
    "another user's": hidden,
    "sparse": sparse,
    "large": holding(HEADER + b"+debug/%s\n" % (b"x" * 4000) * 2100),
    "binary": holding(os.urandom(1 << 20)),
    "nested": holding(b"[" * 60_000 + b"\n"),
    "a long line": holding(HEADER + b"+" + b"x" * 100_000 + b"\n"),
    "zeros": holding(bytes(4096)),
    "a garbled line": holding(HEADER + b"\xff\xfeid,value\n"),
    "a NUL in a line": holding(HEADER + b"+debug/\0x\n"),
    "an infinite pid": holding(b'{"pid": 1e999, "command": "c", "started": 1, "host": "h"}\n'),
    "no number": holding(b'{"pid": 1, "command": "c", "started": NaN, "host": "h"}\n'),
    "a host that is none": holding(b'{"pid": 1, "command": "c", "started": 1, "host": []}\n'),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_owner_file_that_cannot_be_understood_may_hold_any_entry(root: Path, odd: str) -> None:
    young = make_entry(root, "debug/young")
    make_entry(root, "debug/old", age_hours=30)
    ODD[odd](owner_file(root))
    with plain_user():
        found = scanned(root)
        assert found["debug/old"].use is None
        use = found["debug/young"].use
        assert use is not None
        assert use.how == "unknown"
        assert "a process that cannot be checked (" in use.who
        assert str(owner_file(root)) in use.who
        assert use.who.endswith("in use until it has been unchanged for 24 h")
        assert [done.step.entry.path for done in swept(root).done] == ["debug/old"]
    assert young.is_dir()
    assert os.path.lexists(owner_file(root))


def test_what_has_no_owner_file_s_name_hinders_nobody(root: Path) -> None:
    make_entry(root, "debug/young")
    for number, make in enumerate(ODD.values()):
        make(owner_file(root, f".DS_Store{number}"))
    with plain_user():
        assert only(root).use is None
        assert len(swept(root).done) == 1


def test_an_owner_file_that_was_just_begun_holds_nothing(root: Path) -> None:
    make_entry(root, "debug/young")
    owner_file(root).write_bytes(b"")
    owner_file(root, "1-2-aa").write_bytes(HEADER[:20])  # being written
    assert only(root).use is None


def test_a_living_process_whose_owner_file_was_damaged_holds_what_it_held(root: Path) -> None:
    old = make_entry(root, "debug/old", age_hours=30)
    with process(f"{LONG_AGO}{MAKE} input()", cwd=root.parent) as maker:
        path = Path(maker.first_line)
        (file,) = (root / ".tempkeep" / "owners").iterdir()
        with open(file, "r+b") as there:
            there.write(b"#" * 40)
        os.utime(path, (1, time.time() - 30 * HOUR))
        assert hold(root, path) == "owner"
        assert hold(root, old) == "owner"  # which it may have taken
        assert swept(root).outcomes == ()
    assert len(swept(root).done) == 2


@pytest.mark.parametrize("left", [0, 20])
def test_a_living_process_whose_owner_file_was_emptied_may_hold_any_entry(
    root: Path, left: int
) -> None:
    with process(f"{MAKE} input()", cwd=root.parent) as maker:
        path = Path(maker.first_line)
        (file,) = (root / ".tempkeep" / "owners").iterdir()
        os.truncate(file.rename(owner_file(root)), left)
        assert hold(root, path) == "owner"
        assert swept(root).outcomes == ()
        assert "its content is lost" in str(only(root).use)
    assert len(swept(root).done) == 1


def test_owner_files_without_end_take_no_memory_and_no_time(root: Path) -> None:
    make_entry(root, "debug/young")
    sparse(owner_file(root))
    owner_file(root, "1-2-aa").write_bytes(HEADER)
    with open(owner_file(root, "1-3-aa"), "wb") as file:
        file.writelines(HEADER + os.urandom(1 << 10) * 1023 for _ in range(300))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    for arguments in (["temp-status"], ["temp-clean", "--everything", "--yes"]):
        done = subprocess.run(
            [sys.executable, "-m", "common.temp", *arguments],
            cwd=root.parent,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=limit,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "cannot be checked" in " ".join(done.stdout.split())
    assert (root / "debug" / "young").is_dir()


def test_an_entry_of_a_private_process_is_in_use_for_other_users(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    code = f"import os; os.umask(0o077); {MAKE} input()"
    with process(code, cwd=root.parent) as maker:
        path = Path(maker.first_line)
        (file,) = (root / ".tempkeep" / "owners").iterdir()
        assert file.stat().st_mode & 0o777 == 0o644
        for directory in (path, path.parent, root, *(root / ".tempkeep").iterdir()):
            directory.chmod(0o777)
        let_others_reach(root)
        read = (
            "import sys, time; sys.path[:0] = sys.argv[1:]\n"
            "from pathlib import Path\n"
            "from common.temp.store.scanning.scan import scan\n"
            "print([e.use.how for e in scan(Path('.tmp').absolute(), time.time()).entries])"
        )
        words = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", read]
        for mode, expected in ((0o644, "owner"), (0o600, "unknown")):
            file.chmod(mode)
            done = run([*words, *sys.path], cwd=root.parent)
            if "Permission denied" in done.stderr or "No module" in done.stderr:
                pytest.skip("another user cannot read this repository")
            assert (done.stdout.strip(), done.stderr) == (f"['{expected}']", "")


@pytest.mark.parametrize(
    "said",
    [
        {"pid": True}, {"pid": -1}, {"pid": 0}, {"pid": "1"}, {"pid": 1 << 40}, {"command": 1},
        {"start": "1"}, {"start": 1e999}, {"boot": 5}, {"namespace": None}, {"view": []},
        {"machine": {}}, {"test": 1}, {"run": True}, {"kept": 0}, {"handed": ["x"]},
        {"command": "x" * 5000}, {"host": None}, {"started": "x"}, {"started": []},
    ],
)  # fmt: skip
def test_a_header_of_other_types_is_damaged(said: dict[str, object]) -> None:
    good = json.loads(HEADER)
    assert parse_header(json.dumps(good).encode(), "h") is not None
    assert parse_header(json.dumps({**good, **said}).encode(), "h") is None
