"""The time for a file with many sites grows with its length, and its diff is correct."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.migrate.engine import examine
from common.temp.migrate.files import find_grounds
from common.temp.migrate.line_diff import unified
from common.temp.migrate.output import diff
from common.temp.migrate.rework import Options
from tests.migrate.trees import git, write

HEAD = "import os\nimport shutil\nimport tempfile\nfrom pathlib import Path\n"
GUARD = "try:\n    import common.temp\n    HAVE = True\nexcept ImportError:\n    HAVE = False\n"
SITE = "with tempfile.TemporaryDirectory() as d:\n{0}    print(d)\n{0}    x = {1}\n"
HELD = "with tempfile.TemporaryDirectory() as d:\n    p = Path(d)\n"
HELPER = """import time
from pathlib import Path as P
def get_temp_dir(prefix):
    base = P(".tmp")
    base.mkdir(exist_ok=True)
    made = base / f"{prefix}_{int(time.time())}"
    made.mkdir()
    return made
os.chdir(".")
print(list(P(".tmp").glob("x_*")))
"""
SHAPES: dict[str, Callable[[int], str]] = {
    "one name": lambda n: SITE.format("", n),
    "one function": lambda n: ("def f():\n" if not n else "") + "    " + SITE.format("    ", n),
    "a function each": lambda n: f"def f{n}():\n    " + SITE.format("    ", n),
    "an import each": lambda n: f"def f{n}():\n    import tempfile\n    " + SITE.format("    ", n),
    "left": lambda n: f"d = tempfile.mkdtemp()\nprint(d, {n})\n",
    "kept": lambda n: f"d{n} = tempfile.mkdtemp()  # tempkeep: keep TK104 why\n",
    "guarded": lambda n: (GUARD if not n else "") + "if not HAVE:\n    " + SITE.format("    ", n),
    "by hand": lambda n: f"os.makedirs('.tmp/x{n}')\nout = Path('.tmp') / 'x'\nout.mkdir()\n",
    "unsafe": lambda n: f"def f{n}():\n    " + SITE.format("    ", n) + "        return d + 'x'\n",
    "replaced": lambda n: f"@patch('time.time')\ndef test_{n}(t):\n    " + SITE.format("    ", n),
    "outside": lambda n: HELD + "    print(p.parent)\n",
    "inside": lambda n: HELD + "    print(p.exists())\n",
    "in .tmp": lambda n: (HELPER if not n else "") + "out = get_temp_dir('x')\nprint(out / 'x')\n",
    "removed": lambda n: f"d = tempfile.mkdtemp()\ntry:\n    print({n})\nfinally:\n"
    "    shutil.rmtree(d)\n",
}  # fmt: skip
FEW, FACTOR = 30, 4


def calls_for(top: Path, shape: Callable[[int], str], count: int) -> int:
    """How many Python functions run for a file with so many sites."""
    write(top, {"a.py": HEAD + "".join(shape(number) for number in range(count))})
    (ground,) = find_grounds([str(top)])
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        for result in examine(ground, Options(unsafe=True), workers=1):
            if result.after is not None:
                diff("a.py", result)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_sites_take_four_times_the_calls(tmp_path: Path, shape: str) -> None:
    few = calls_for(tmp_path, SHAPES[shape], FEW)

    assert calls_for(tmp_path, SHAPES[shape], FEW * FACTOR) < few * FACTOR * 1.2


def test_a_diff_leads_from_one_text_to_the_other(tmp_path: Path) -> None:
    """Any lines, in files that lack a last line break, are empty, or repeat."""
    choose = random.Random(15)
    pairs = {}
    for number in range(120):
        pool = [b"a\n", b"b\n", b"c\n", b"\n", b"x\r\n"] + [b"%d\n" % n for n in range(number)]
        was = [choose.choice(pool) for _ in range(number)]
        now = [line for line in was if choose.random() < 0.8]
        for _ in range(choose.randrange(4)):
            now.insert(choose.randrange(len(now) + 1), choose.choice(pool))
        end = choose.choice([b"", b"end", b"a"])
        pairs[f"f{number}"] = (b"".join(was) + end, b"".join(now) + choose.choice([end, b""]))
    write(tmp_path, {name: was for name, (was, _) in pairs.items()})
    git(tmp_path, "init", "-q")
    patch = b"".join(
        unified(was, now, b"a/%b" % name.encode(), b"b/%b" % name.encode())
        for name, (was, now) in pairs.items()
        if was and now
    )
    (tmp_path / "patch").write_bytes(patch)

    git(tmp_path, "apply", "--whitespace=nowarn", "patch")

    for name, (old, new) in pairs.items():
        if old and new:
            assert (tmp_path / name).read_bytes() == new, name
