"""The service at work on a spoken text: what it returns, and what it leaves on disk."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from .client import HalfSent, caption, health
from .errors import CaptionsError
from .process import Server, serving
from .sounds import speech

_TEXT = (
    "Every scratch byte is owned, visible, explained and reclaimable.",
    "And none is lost while it is in use.",
    "Goodbye.",
)
_SECONDS = 10.0


def show(storage: Path) -> int:
    """Run the demo. The exit code is 0 if everything went as expected."""
    try:
        _show(storage)
    except (CaptionsError, OSError) as error:
        _say(f"captions: {error}", error=True)
        return 1
    return 0


def _show(storage: Path) -> None:
    sound, who = speech(_TEXT)
    with serving(storage) as server:
        _say(f"Three sentences, spoken by {who}, uploaded as WAV, come back as WebVTT:")
        answer = caption(server.url, sound)
        _check(answer.status == 200 and answer.text.count("[speech]") == 3, answer.text)
        _say(answer.text)
        answer = caption(server.url, sound, b"../../etc/passwd")
        _check(answer.status == 400, answer.text)
        _say(f"The same as ../../etc/passwd: {answer.error}")
        half = HalfSent(server.url, sound)
        _until(lambda: len(server.uploads()) == 1, "the upload has begun")
        _say(f"Half of an upload lies in {storage.name}: {_list(server)}")
        half.hang_up()
        _until(lambda: not server.uploads(), "what was uploaded by half is gone")
        _say(f"The client has hung up, and there is {_list(server)}.")
        half = HalfSent(server.url, sound)
        _until(lambda: len(server.uploads()) == 1, "the next upload has begun")
        server.kill()
        server.wait()
        _say(f"The server is killed (SIGKILL) amidst another one, and leaves {_list(server)}")
        half.hang_up()
    with serving(storage) as server:
        _check(health(server.url).status == 200, "the server does not answer")
        _check(not server.uploads(), f"{_list(server)} is still there")
        _say(f"Started again, before its first answer it has cleaned up: {_list(server)}.")


def _list(server: Server) -> str:
    return ", ".join(server.uploads()) or "nothing"


def _check(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise CaptionsError(otherwise)


def _until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _SECONDS
    while not is_so():
        _check(time.monotonic() < end, f"{what}: not within {_SECONDS:g} s")
        time.sleep(0.005)


def _say(text: str, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)
