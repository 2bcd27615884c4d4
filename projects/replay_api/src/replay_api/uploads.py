"""Uploads: `multipart/form-data`, streamed to the files that a job has reserved for them.

The file names of the client are ignored: the name of a part says which of the four files of the job
it is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from common.temp import JobStorage

from .errors import Refusal, raise_if_full
from .settings import Settings

LOGS: Final = ("csv", "tlog")
_HEADER_BYTES: Final = 8 << 10
_OVERHEAD_BYTES: Final = 64 << 10
"""The most bytes that boundaries and headers may take."""
_DRAINED_BYTES: Final = 16 << 20
_DRAINED_SECONDS: Final = 5.0


def boundary_of(request: Request, settings: Settings) -> bytes:
    """The boundary between the parts of an upload. Raises `Refusal` if it cannot be accepted."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Refusal(415, "send multipart/form-data with a boundary")
    most = settings.max_log_bytes + settings.max_video_bytes + settings.max_calibration_bytes
    size = _length(request)
    if size > most + _OVERHEAD_BYTES:
        raise Refusal(413, f"the upload has {size} bytes and may have {most}")
    return boundary


async def receive(request: Request, boundary: bytes, job: JobStorage, settings: Settings) -> None:
    """Write the parts of an upload to the files of `job`.

    Raises `Refusal` if the upload is malformed, too large, too slow or incomplete, and
    `starlette.requests.ClientDisconnect`.
    """
    upload = _Upload(boundary, job, settings)
    stream = request.stream()
    try:
        while True:
            try:
                async with asyncio.timeout(settings.idle_seconds):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise Refusal(
                    408, f"nothing came for {settings.idle_seconds:g} s; send it again"
                ) from None
            if chunk is None:
                break
            await asyncio.to_thread(upload.write, chunk)
    finally:
        upload.close()
    upload.check()


def _length(request: Request) -> int:
    """The declared number of bytes of the body; 0 if none is declared."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isdecimal() else 0


async def drain(request: Request) -> None:
    """Read the rest of a refused upload for a moment.

    A client that is still sending when the connection is closed may never see the answer.
    """
    left = _DRAINED_BYTES
    if "expect" in request.headers or _length(request) > left:
        return  # the client waits for the answer before sending, or would send for a long time
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # the last: all was read
        async with asyncio.timeout(_DRAINED_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    break


class _Upload:
    """The parts of one upload that were received so far."""

    def __init__(self, boundary: bytes, job: JobStorage, settings: Settings) -> None:
        self._files: dict[str, tuple[Path, int]] = {
            "csv": (job.csv_path, settings.max_log_bytes),
            "tlog": (job.tlog_path, settings.max_log_bytes),
            "video": (job.video_path, settings.max_video_bytes),
            "calibration": (job.calibration_path, settings.max_calibration_bytes),
        }
        self._received: set[str] = set()
        self._name = ""
        self._file: BinaryIO | None = None
        self._left = 0
        self._is_whole = False
        self._field = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._take_field,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._write,
                    "on_part_end": self.close,
                    "on_end": self._end,
                },
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise Refusal(400, f"the upload is malformed: {error}") from None

    def write(self, data: bytes) -> None:
        """Parse received bytes. Raises `Refusal`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refusal(400, f"the upload is malformed: {error}") from None
        except OSError as error:
            raise_if_full(error)
            raise

    def check(self) -> None:
        """Raise `Refusal` if a part is missing."""
        if not self._is_whole:
            raise Refusal(400, "the upload ends before its last boundary; send it again")
        logs = self._received & set(LOGS)
        if len(logs) != 1:
            raise Refusal(400, f"send one part `csv` or `tlog`, got {len(logs)}")
        for name in ("video", "calibration"):
            if name not in self._received:
                raise Refusal(400, f"there is no part `{name}`; add it")

    def close(self) -> None:
        """Close the file that is being written, if any."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(ValueError):
                file.close()

    # -- called by the parser -----------------------------------------------------------------

    def _begin(self) -> None:
        self._headers = {}
        self._field = self._value = b""

    def _take_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in self._files:
            raise Refusal(
                400, f"there is no use for a part {name[:40]!r}; send {', '.join(self._files)}"
            )
        if name in self._received:
            raise Refusal(400, f"there are two parts `{name}`; send one")
        self._received.add(name)
        self._name = name
        path, self._left = self._files[name]
        self._file = path.open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        self._left -= end - start
        if self._left < 0:
            most = self._files[self._name][1]
            raise Refusal(413, f"the part `{self._name}` has more than {most} bytes")
        self._file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._is_whole = True
