"""What prevents a removal is found from the file and its directory, and no further."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from common.temp.store.system import at
from common.temp.store.system.obstacle import reason_of
from tests.support import DENIED, immutable, plain_user


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One so deep that `immutable` looks through nothing but it."""
    deep = tmp_path / "some" / "where"
    deep.mkdir(parents=True)
    return deep


def told(directory: Path, name: str, number: int = errno.EPERM) -> str:
    """What is said of `name` in `directory` when the kernel answers with `number`."""
    parent = os.open(directory, os.O_RDONLY)
    try:
        return reason_of(OSError(number, os.strerror(number)), name, parent)
    finally:
        os.close(parent)


def test_a_link_is_not_followed(directory: Path) -> None:
    (directory / "out").mkdir()
    (directory / "out" / "it").touch()
    (directory / "link").symlink_to("out/it")
    with immutable(directory / "out" / "it"):
        assert "immutable" in told(directory / "out", "it")
        assert "immutable" not in told(directory, "link")


def test_what_is_one_s_own_and_unmarked_has_the_remedy_of_all(directory: Path) -> None:
    (directory / "it").touch()
    assert told(directory, "it", errno.EACCES) == DENIED


def test_a_user_who_has_a_name_is_called_by_it(directory: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    (directory / "it").touch()
    os.chown(directory / "it", 1, 1)
    with plain_user():
        assert told(directory, "it", errno.EACCES) == (
            "Permission denied (daemon owns it); have daemon or root remove it"
        )


def test_what_is_gone_by_now_has_the_remedy_of_all(directory: Path) -> None:
    assert told(directory, "it", errno.EACCES) == DENIED


def test_another_error_is_not_looked_into(directory: Path) -> None:
    (directory / "it").touch()
    with immutable(directory / "it"):
        assert told(directory, "it", errno.EINVAL) == "Invalid argument"


def test_where_nothing_is_relative_to_a_directory_nothing_is_looked_into(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "it").touch()
    monkeypatch.setattr(at, "RELATIVE", False)
    with immutable(directory / "it"):
        assert told(directory, "it", errno.EACCES) == DENIED
