"""The command `captions`: parse, serve, return the exit code.

0 means done, 1 a port or disk that failed, 2 an argument that cannot be used.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import uvicorn

from common.temp import TempError

from .errors import CaptionsError
from .service import Settings, create_app

_BACKLOG = 2048


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with one line; argparse would print the usage before it."""
        self.exit(2, f"{self.prog}: {message}\n")


def serve(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped. Returns the exit code.

    Prints the address once it listens. Files left by a killed server are deleted before the first
    answer.
    """
    parser = _Parser("captions", description="Serve POST /captions.", allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, help="0 is any that is free (8000)")
    parser.add_argument("--storage", type=Path, help="where uploads lie (var/uploads)")
    args = parser.parse_args(arguments)
    try:
        settings = Settings.load()
        if args.storage is not None:
            settings = replace(settings, storage=args.storage)
        app = create_app(settings)
        listening = socket.create_server((args.host, args.port), backlog=_BACKLOG)
    except CaptionsError as error:
        _say(f"captions: {error}", error=True)
        return 2
    except TempError as error:
        _say(f"captions: {error}", error=True)
        return error.exit_code
    except OSError as error:
        _say(f"captions: {args.host}:{args.port}: {os.strerror(error.errno or 0)}", error=True)
        return 1
    with listening:
        host, port = listening.getsockname()[:2]
        _say(f"listening on http://{host}:{port}")
        server = uvicorn.Server(
            uvicorn.Config(
                app, log_level="warning", timeout_graceful_shutdown=settings.grace, ws="none"
            )
        )
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    return 0 if server.started else 1


def _say(text: str, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)
