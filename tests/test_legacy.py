"""The legacy helper: it still works, and says what to call instead."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from common.temp.legacy import get_temp_dir
from tests.support import inv, run


def test_it_makes_an_uncategorized_entry(project: Path) -> None:
    with pytest.warns(FutureWarning):
        path = get_temp_dir("demo")
    assert path.parent == project / ".tmp" / "uncategorized"
    assert path.name.startswith("demo_")


def test_the_warning_names_the_replacement_and_the_migration(project: Path) -> None:
    with pytest.warns(FutureWarning, match=r"get_debug_temp_dir.*inv temp-migrate"):
        get_temp_dir()


def test_the_warning_points_at_the_caller(project: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        get_temp_dir()
    assert caught[0].filename == __file__


def test_it_warns_once_for_each_calling_line(project: Path) -> None:
    script = (
        "from common.temp import get_temp_dir\nfor _ in range(3): get_temp_dir()\nget_temp_dir()\n"
    )
    (project / "script.py").write_text(script)
    done = run([sys.executable, "script.py"], cwd=project)
    assert done.stderr.count("FutureWarning") == 2


def test_behind_a_shim_it_warns_once_for_each_line_that_calls_the_shim(project: Path) -> None:
    (project / "helpers.py").write_text(
        "from common.temp import get_temp_dir as shared\n"
        "def get_temp_dir(prefix):\n    return shared(prefix)\n"
    )
    script = "import helpers\nhelpers.get_temp_dir('a')\nhelpers.get_temp_dir('b')\n"
    (project / "script.py").write_text(script)
    done = run([sys.executable, "script.py"], cwd=project)
    assert done.stderr.count("script.py:2: FutureWarning") == 1
    assert done.stderr.count("script.py:3: FutureWarning") == 1
    assert "helpers.py" not in done.stderr


def test_the_warning_is_seen_under_inv(project: Path) -> None:
    (project / "helpers.py").write_text(
        "from common.temp import get_temp_dir\ndef scratch(): return get_temp_dir()\n"
    )
    (project / "tasks.py").write_text(
        "from invoke import task\nimport helpers\n@task\ndef make(c): helpers.scratch()\n"
    )
    done = inv("make", cwd=project)
    assert done.returncode == 0
    assert "FutureWarning" in done.stderr
