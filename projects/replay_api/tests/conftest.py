"""A server that the tests of one file share, and the files of an upload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from replay_api import client

from projects.replay_api.tests.support import Running, parts, running
from tests.warm import Started


@pytest.fixture(scope="package", autouse=True)
def warm_servers() -> Iterator[None]:
    """Servers start at once."""
    with pytest.MonkeyPatch.context() as here:
        here.setattr(client, "Server", Started.instead_of(client.Server, "replay_api"))
        yield


@pytest.fixture
def uploaded(tmp_path: Path) -> dict[str, Path]:
    """The files of one upload."""
    return parts(tmp_path / "client")


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of an upload that takes long enough to compute for a test to meddle with it."""
    return parts(tmp_path_factory.mktemp("long"), samples=120_000)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with small limits."""
    around = tmp_path_factory.mktemp("shared")
    with running(around, max_log_bytes=100_000, max_calibration_bytes=1000) as one:
        yield one


@pytest.fixture
def server(shared: Running) -> Iterator[Running]:
    """The shared server, in whose root nothing is left after the test."""
    before = shared.outside()
    yield shared
    shared.until_gone()
    assert shared.outside() == before
    assert shared.server.poll() is None
