"""Receives one file of a multipart form: streams it to disk, up to the allowed size.

No text from the client becomes part of a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from common.temp.tracking import finish_in_thread

from .errors import UploadError

FIELD = "file"
"""The field of the form that holds the file."""

AROUND = 1 << 16
"""The most bytes of a form besides the file."""

DRAINED = 4
"""How much of a refused body is read, as a multiple of the largest file size."""

_AT_ONCE = 1 << 18
"""The bytes of the file that are buffered before they are written."""

_BOUNDARY_BYTES = 200
_HEADER_BYTES = 1 << 13
_PARTS = 10
_NAME_BYTES = 255
_DRAIN_SECONDS = 5.0


async def receive(
    content_type: str, body: AsyncIterator[bytes], path: Path, most: int, patience: float
) -> None:
    """Write the file of the form to the new file `path`.

    It may have at most `most` bytes, and the client may be silent for `patience` seconds. After
    this returns or raises, no thread writes to `path`. Raises `UploadError`, or `OSError` from the
    disk.
    """
    try:
        form = _Form(_boundary(content_type), most)
        while chunk := await _next(body, patience):
            form.feed(chunk)
            await _write(form, path, at_least=_AT_ONCE)
        form.check_end()
        await _write(form, path, at_least=1)
    except UploadError:
        # A client that is still sending would not read the answer, only see a broken connection.
        await _drain(body, most)
        raise


async def _next(body: AsyncIterator[bytes], patience: float) -> bytes:
    """The next bytes of the form; none at its end."""
    try:
        async with asyncio.timeout(patience):
            async for chunk in body:
                if chunk:
                    return chunk
            return b""
    except TimeoutError:
        raise UploadError(408, f"nothing came for {patience:g} s; send it again") from None


async def _write(form: _Form, path: Path, *, at_least: int) -> None:
    if form.begins:
        form.begins = False
        await finish_in_thread(partial(path.touch, exist_ok=False))
    if len(form.pending) >= at_least:
        data, form.pending = form.pending, bytearray()
        await finish_in_thread(partial(_append, path, data))


def _append(path: Path, data: bytearray) -> None:
    with path.open("r+b") as file:  # without O_CREAT: a deleted file is not made again
        file.seek(0, 2)
        file.write(data)


async def _drain(body: AsyncIterator[bytes], most: int) -> None:
    left = DRAINED * most
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    break


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise UploadError(
            415, f"send the file as the field {FIELD!r} of a multipart/form-data form"
        )
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_BYTES:
        raise UploadError(400, "the form has no boundary that can be used")
    return boundary


class _Form:
    """A form while it is read: `pending` are the bytes of the file that are not written yet."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self.pending = bytearray()
        self.begins = False
        """Whether the file has begun in the form, but does not exist yet."""
        self._most = most
        self._size = 0
        self._around = 0
        self._parts = 0
        self._files = 0
        self._in_file = False
        self._is_over = False
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._headers_size = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse more of the form. Raises `UploadError`."""
        before = self._size
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise UploadError(400, "the form cannot be read; send it as a browser does") from error
        self._around += len(chunk) - (self._size - before)
        if self._size > self._most or self._around > AROUND:
            raise too_large(self._most)

    def check_end(self) -> None:
        """Raise `UploadError` if the file is missing or incomplete."""
        if not self._is_over:
            raise UploadError(400, "the form ends too early; send it again")
        if not self._files:
            raise UploadError(400, f"the form has no file; send it as the field {FIELD!r}")

    def _on_part_begin(self) -> None:
        self._headers.clear()
        self._headers_size = 0
        self._parts += 1
        if self._parts > _PARTS:
            raise UploadError(400, f"the form has more than {_PARTS} fields")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._add(self._header, data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._add(self._value, data[start:end])

    def _add(self, to: bytearray, data: bytes) -> None:
        self._headers_size += len(data)
        if self._headers_size > _HEADER_BYTES:
            raise UploadError(400, "a field of the form has too much of a header")
        to += data

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") != FIELD.encode() or b"filename" not in options:
            return
        _check_name(options[b"filename"])
        self._files += 1
        if self._files > 1:
            raise UploadError(400, "the form has more than one file; send them one by one")
        self._in_file = self.begins = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.pending += data[start:end]
            self._size += end - start

    def _on_part_end(self) -> None:
        self._in_file = False

    def _on_end(self) -> None:
        self._is_over = True


def too_large(most: int) -> UploadError:
    """The error for a file of more than `most` bytes."""
    return UploadError(413, f"the file is larger than {most} bytes; send a shorter one")


def _check_name(given: bytes) -> None:
    """Raise `UploadError` for a hostile file name. The name is not used otherwise."""
    try:
        name = given.decode()
    except UnicodeDecodeError:
        raise UploadError(400, "the file's name is no UTF-8") from None
    if not name:
        raise UploadError(400, "no file was chosen")
    if len(given) > _NAME_BYTES:
        raise UploadError(400, f"the file's name is longer than {_NAME_BYTES} bytes")
    if not name.isprintable():
        raise UploadError(400, "the file's name has a control character in it")
    if "/" in name or "\\" in name or name in (".", ".."):
        raise UploadError(400, "the file's name is a path; send a plain name")
