"""The service: `POST /captions` takes a WAV file and returns WebVTT.

The upload is in a directory of the service during the request. It is tracked, so that no clean
deletes it meanwhile; the next start of the server deletes what a killed one left.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from common.temp import FileCleanupManager
from common.temp.tracking import finish_in_thread

from .errors import CaptionsError, UnusableAudio, UploadError
from .speech import find_speech
from .uploads import AROUND, DRAINED, receive, too_large
from .webvtt import render

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The directory of uploads, their largest size in bytes, and how many seconds to wait: for the
    next bytes of an upload, and for open requests when the server ends.
    """

    storage: Path
    most_bytes: int
    patience: float
    grace: int

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings from `CAPTIONS_STORAGE_ROOT`, `CAPTIONS_MAX_UPLOAD_MB` and so on.

        Raises `CaptionsError` for a value that is not a number above 0.
        """
        return cls(
            Path(environment.get("CAPTIONS_STORAGE_ROOT") or "var/uploads"),
            round(_number(environment, "CAPTIONS_MAX_UPLOAD_MB", "50") * (1 << 20)),
            _number(environment, "CAPTIONS_PATIENCE_SECONDS", "30"),
            math.ceil(_number(environment, "CAPTIONS_GRACE_SECONDS", "5")),
        )


def _number(environment: Mapping[str, str], name: str, default: str) -> float:
    text = environment.get(name) or default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise CaptionsError(f"{name}: expected a number above 0, got {text!r}")
    return number


def create_app(settings: Settings) -> Starlette:
    """The application. At its start, it deletes what a killed server left in the storage.

    Raises `TempError` if the storage cannot be used.
    """
    files = FileCleanupManager(settings.storage, default_ttl_hours=1, cleanup_interval_minutes=10)
    requests: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with files:
            try:
                yield
            finally:
                await files.cleanup_all_tracked()
                # Files that a cancelled request is deleting in a thread would stay if the process
                # ended.
                if requests:
                    await asyncio.wait(requests, timeout=settings.grace)

    app = Starlette(
        routes=[
            Route("/captions", _caption, methods=["POST"]),
            Route("/health", _health, methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={
            UploadError: _answer(lambda error: error.status),
            UnusableAudio: _answer(lambda error: 422),
            HTTPException: _answer(lambda error: error.status_code),
            ClientDisconnect: _answer(lambda error: 400),
            OSError: _on_disk_error,
            Exception: _answer(lambda error: 500, lambda error: "the server has failed"),
        },
    )
    app.state.settings = settings
    app.state.files = files
    app.state.requests = requests
    return app


async def _caption(request: Request) -> Response:
    settings: Settings = request.app.state.settings
    said = request.headers.get("content-length", "")
    # Read a body to its end if it is only a little too long, so that the client reads the answer.
    if said.isdecimal() and int(said) > DRAINED * settings.most_bytes + AROUND:
        raise too_large(settings.most_bytes)
    async with _request_file(request.app.state) as path:
        await receive(
            request.headers.get("content-type", ""),
            request.stream(),
            path,
            settings.most_bytes,
            settings.patience,
        )
        heard = await finish_in_thread(partial(find_speech, path))
    return PlainTextResponse(render(heard), media_type="text/vtt")


@asynccontextmanager
async def _request_file(state: State) -> AsyncIterator[Path]:
    """The path of a file for one request; the file is deleted afterwards."""
    files: FileCleanupManager = state.files
    if task := asyncio.current_task():
        state.requests.add(task)
        task.add_done_callback(state.requests.discard)
    path = files.base_temp_dir / f"{uuid.uuid4().hex}.wav"
    files.track_file(path)  # in use from now on, before it exists
    try:
        yield path
    finally:
        await files.cleanup_file(path)


async def _health(request: Request) -> Response:
    return JSONResponse(await finish_in_thread(request.app.state.files.get_stats))


_Handler = Callable[[Request, Exception], Awaitable[Response]]


def _answer(status: Callable[..., int], text: Callable[[Exception], str] | None = None) -> _Handler:
    async def handle(request: Request, error: Exception) -> Response:
        said = text(error) if text is not None else _text(error)
        return JSONResponse({"error": said}, status_code=status(error))

    return handle


def _text(error: Exception) -> str:
    return error.detail if isinstance(error, HTTPException) else str(error)


async def _on_disk_error(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.url.path, error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JSONResponse({"error": "the server's disk is full; try later"}, status_code=507)
    return JSONResponse({"error": "the server's disk has failed"}, status_code=500)
