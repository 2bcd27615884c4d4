"""Each test has a storage of its own; those that only ask share a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from captions import process
from captions.process import Server, serving
from captions.sounds import encode, tone

from tests.warm import Started

DEADLINE = 60.0


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for a condition; fails if it does not come."""
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE:g} s"
        time.sleep(0.005)


@pytest.fixture(scope="package", autouse=True)
def warm_servers() -> Iterator[None]:
    """Servers start at once."""
    with pytest.MonkeyPatch.context() as here:
        here.setattr(process, "Server", Started.instead_of(Server, "captions"))
        yield


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], str], None]:
    """Waits for a condition."""
    return until


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A directory for uploads, not yet made."""
    return tmp_path / "uploads"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes files of up to 1 MiB, and has nothing left when each test ends."""
    storage = tmp_path_factory.mktemp("server") / "uploads"
    with serving(storage, CAPTIONS_MAX_UPLOAD_MB="1") as running:
        yield running


@pytest.fixture
def sound() -> bytes:
    """A WAV file: half a second of silence, as much of a tone, and of silence again."""
    rate = 16_000
    silence = np.zeros(rate // 2, np.float32)
    return encode(np.concatenate([silence, tone(0.5, rate), silence]), rate)
