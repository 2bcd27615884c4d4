"""Pipes between file-based packing code and the pieces of an object store, each served by a
thread. Nothing is written to disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from typing import IO, Final

_PIECE: Final = 1 << 20


class Cut(Exception):
    """The written data ended too early, and must not be stored."""


@contextlib.contextmanager
def sent(send: Callable[[Iterator[bytes]], None]) -> Iterator[IO[bytes]]:
    """A file to write to. `send` gets the pieces in another thread, and has returned at the end.

    If the block raises, so does the iterator of the pieces; then `send` must store nothing. Raises
    what `send` raises.
    """
    out, into = os.pipe()
    failures: list[BaseException] = []
    is_whole = False

    def pieces() -> Iterator[bytes]:
        while piece := source.read(_PIECE):
            yield piece
        if not is_whole:
            raise Cut

    def run() -> None:
        try:
            send(pieces())
        except BaseException as error:
            failures.append(error)
        finally:
            source.close()  # so that the writer gets an error and ends

    source, file = open(out, "rb"), open(into, "wb")  # noqa: SIM115 - closed below and by `run`
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        try:
            yield file
            file.flush()
            is_whole = True
        finally:
            with contextlib.suppress(OSError):
                file.close()
            thread.join()
    except (Exception, GeneratorExit) as error:
        if failures and not isinstance(failures[0], Cut):
            raise failures[0] from error
        raise
    if failures:
        raise failures[0]


@contextlib.contextmanager
def received(pieces: Generator[bytes, None, None]) -> Iterator[IO[bytes]]:
    """A file to read from, which another thread fills with `pieces`. Raises what they raise."""
    out, into = os.pipe()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with open(into, "wb", buffering=0) as file, contextlib.closing(pieces):
                for piece in pieces:
                    view = memoryview(piece)
                    while view:
                        view = view[file.write(view) :]
        except BrokenPipeError:
            pass  # the reader has stopped
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        try:
            with open(out, "rb") as file:
                yield file
        finally:
            thread.join()
    except Exception as error:
        if failures:
            raise failures[0] from error
        raise
    if failures:
        raise failures[0]
