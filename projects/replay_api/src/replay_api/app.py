"""The service over HTTP: what each request does, and its answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .emissions import RESULTS
from .errors import Refusal
from .service import Job, Service, State
from .settings import Settings, load
from .uploads import boundary_of, drain, receive

_CHUNK: Final = 256 << 10
_TYPES: Final = {
    ".geojson": "application/geo+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
}


def create_app(settings: Settings | None = None) -> Starlette:
    """The application. Without `settings`, it takes those of the environment.

    Raises `common.temp.TempError` if the root cannot be used, and `ReplayError` for an invalid
    setting.
    """
    service = Service(load(os.environ) if settings is None else settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = Starlette(
        routes=[
            Route("/jobs", create, methods=["POST"]),
            Route("/jobs/{job_id}", show, methods=["GET"]),
            Route("/jobs/{job_id}", end, methods=["DELETE"]),
            Route("/jobs/{job_id}/results/{name}", fetch, methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            HTTPException: _refused_by_starlette,
            ClientDisconnect: _nobody_is_there,
            Exception: _failed,
        },
    )
    app.state.service = service
    return app


async def create(request: Request) -> Response:
    """Accept a job. Answers 202 with the URL of the job."""
    service = _service(request)
    try:
        boundary = boundary_of(request, service.settings)
        job = await service.open(request.query_params.get("job_id"))
        try:
            await receive(request, boundary, job.storage, service.settings)
        except BaseException:
            await service.abandon(job)
            raise
    except Refusal as refusal:
        if refusal.status != 408:
            await drain(request)
        raise
    service.submit(job)
    return JSONResponse(job.document(), 202, headers={"location": job.place})


async def show(request: Request) -> Response:
    """The state of a job."""
    return JSONResponse(_job(request).document())


async def end(request: Request) -> Response:
    """Cancel a job, or discard its results."""
    job = _job(request)
    await _service(request).end(job)
    return JSONResponse(job.document())


async def fetch(request: Request) -> Response:
    """One of the results. After the last one is fetched, the job's directory is deleted."""
    service, job, name = _service(request), _job(request), request.path_params["name"]
    if name not in RESULTS:
        raise Refusal(404, f"there is no result {name[:80]!r}; expected {', '.join(RESULTS)}")
    if job.state is not State.DONE:
        raise Refusal(409, f"the job is {job.state}; there are results when it is done")
    try:
        if job.releasing is not None:
            raise FileNotFoundError
        file, size = await asyncio.to_thread(_open, job.storage.output_dir / name)
    except FileNotFoundError:
        raise Refusal(410, "all results were fetched, or the job is over") from None
    return _Result(file, size, name, service, job)


class _Result(Response):
    """A file to send, recorded as fetched once all of it was handed to the network."""

    def __init__(self, file: BinaryIO, size: int, name: str, service: Service, job: Job) -> None:
        kind = _TYPES[Path(name).suffix]
        super().__init__(headers={"content-length": str(size)}, media_type=kind)
        self._file = file
        self._left = size
        self._fetched = partial(service.fetched, job, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            hung_up = asyncio.create_task(_until_disconnect(receive))
            try:
                while self._left:
                    chunk = await asyncio.to_thread(self._file.read, min(self._left, _CHUNK))
                    self._left -= len(chunk)
                    # A client that hung up is not an error. The task must notice it first.
                    await asyncio.sleep(0)
                    if hung_up.done() or not chunk:
                        return
                    await send(
                        {"type": "http.response.body", "body": chunk, "more_body": self._left > 0}
                    )
            finally:
                hung_up.cancel()
        await self._fetched()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _open(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb")
    return file, os.fstat(file.fileno()).st_size


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _job(request: Request) -> Job:
    return _service(request).find(request.path_params["job_id"])


# -- errors, as JSON ----------------------------------------------------------------------------


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    # The rest of a refused upload is not read.
    headers = {"connection": "close"} if request.method == "POST" else None
    return JSONResponse({"error": str(error)}, error.status, headers)


async def _refused_by_starlette(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _nobody_is_there(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "an error of the server's; try again"}, 500)
