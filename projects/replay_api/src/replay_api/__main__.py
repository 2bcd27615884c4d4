"""`python -m replay_api`: serves until Ctrl-C or SIGTERM, and leaves nothing behind."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn

from common.temp import TempError

from .app import create_app
from .errors import ReplayError
from .settings import load


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve. The exit code is 0 for a clean end, 2 for invalid settings, 1 or 3 for disk errors."""
    parser = argparse.ArgumentParser(prog="replay_api", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 is any that is free (8000)")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="replay_api: %(message)s")
    try:
        settings = load(os.environ)
        app = create_app(settings)
        listening = socket.create_server((args.host, args.port))
    except ReplayError as error:
        return _refuse(str(error), 2)
    except TempError as error:
        return _refuse(str(error), error.exit_code)
    except (OSError, OverflowError) as error:
        return _refuse(f"cannot listen on {args.host}:{args.port}: {error}", 2)
    # uvicorn raises the signal again when it has shut down. An exit like any other gives up what
    # this process still holds.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="on",
            log_level="warning",
            timeout_graceful_shutdown=settings.grace_seconds,
        )
    )
    host, port = listening.getsockname()[:2]
    print(f"replay_api listens on http://{host}:{port}", flush=True)  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return 0 if server.started else 1


def _refuse(text: str, code: int) -> int:
    print(f"replay_api: {text}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
