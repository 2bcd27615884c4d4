"""Where other filesystems are mounted."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from common.temp.store.mounts import mounts_below
from tests.support import mounted


def test_mounts_are_told_relative_to_the_directory_whatever_their_names(tmp_path: Path) -> None:
    with mounted(tmp_path / "a b\n\\" / "ü", "size=64k"):
        assert mounts_below(str(tmp_path)) == {"a b\n\\/ü"}


def test_a_mount_on_the_directory_itself_is_not_below_it(tmp_path: Path) -> None:
    with mounted(tmp_path / "here", "size=64k") as directory:
        assert mounts_below(str(directory)) == frozenset()


def test_a_sibling_with_a_longer_name_is_not_below(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with mounted(tmp_path / "xy", "size=64k"):
        assert mounts_below(str(tmp_path / "x")) == frozenset()


def test_a_symlinked_directory_has_the_mounts_of_its_target(tmp_path: Path) -> None:
    with mounted(tmp_path / "real" / "m", "size=64k"):
        (tmp_path / "link").symlink_to("real")
        assert mounts_below(str(tmp_path / "link")) == {"m"}


def test_where_the_system_does_not_tell_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/proc/self/mountinfo":
            raise FileNotFoundError(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refusing)
    assert mounts_below("/") == frozenset()
