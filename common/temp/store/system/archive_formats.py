"""The formats of archives: a plain directory, or a compressed tar file.

A new format is a row in `FORMATS`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from ...errors import InvalidSettings, Refused, StorageError

if TYPE_CHECKING:
    import subprocess

ArchiveFormat: TypeAlias = str
"""The name of one of `FORMATS`."""

_CHUNK: Final = 1 << 20
_NEEDED: Final = "tar.zst needs the program zstd, or tempkeep's extra `archive`"


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        ...


class Codec(NamedTuple):
    """How a stream is compressed into an open file, and read from one.

    Both raise `StorageError` if the compression is not available here. Reading raises `Refused` if
    the file is damaged.
    """

    compressed: Callable[[IO[bytes]], AbstractContextManager[Any]]
    decompressed: Callable[[IO[bytes]], AbstractContextManager[Readable]]


class _CheckedStream:
    """A stream that raises `Refused` in place of `errors`, which mean that it is damaged."""

    def __init__(self, stream: Readable, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._errors = errors

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except self._errors as error:
            raise Refused(f"it is damaged ({error})") from error


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """When the block ends, kill the process if it still runs, and wait for it."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()


# -- gzip -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _gzip(file: IO[bytes]) -> Iterator[Any]:
    import gzip

    with gzip.GzipFile("", "wb", 6, file, 0) as sink:
        yield sink


@contextlib.contextmanager
def _gunzip(file: IO[bytes]) -> Iterator[Readable]:
    import gzip
    import zlib

    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        yield _CheckedStream(stream, (EOFError, zlib.error, gzip.BadGzipFile))


# -- Zstandard: by the program `zstd`, or by the extra's package ----------------------------------


@contextlib.contextmanager
def _zstd(file: IO[bytes]) -> Iterator[Any]:
    file.flush()
    process = _zstd_process("-c", stdin=None, stdout=file)
    if process is None:
        compressor = _zstandard().ZstdCompressor(write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as sink:
            yield sink
        return
    with ended(process):
        assert process.stdin is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError):  # its stderr says why
            yield process.stdin
            process.stdin.close()
        complaint = process.stderr.read(_CHUNK).decode(errors="replace").strip()
        if process.wait():
            raise StorageError(0, complaint or "zstd failed")


@contextlib.contextmanager
def _unzstd(file: IO[bytes]) -> Iterator[Readable]:
    process = _zstd_process("-d", "-c", stdin=file, stdout=None)
    if process is None:
        zstandard = _zstandard()
        reader = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        yield _CheckedStream(io.BufferedReader(reader, _CHUNK), (zstandard.ZstdError,))
        return
    with ended(process):
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout
        complaint = process.stderr.read(_CHUNK).decode(errors="replace")
        if process.wait():
            raise Refused(f"it is damaged ({complaint.strip()})")


def _zstd_process(
    *options: str, stdin: IO[bytes] | None, stdout: IO[bytes] | None
) -> subprocess.Popen[bytes] | None:
    """The started `zstd`, with a pipe for each stream that is `None`; `None` if not installed."""
    import shutil
    import subprocess

    program = shutil.which("zstd")
    if program is None:
        return None
    return subprocess.Popen(  # noqa: S603 - the user's own `zstd`
        [program, "-q", *options],
        stdin=stdin or subprocess.PIPE,
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=_CHUNK,
    )


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise StorageError(0, _NEEDED) from None
    return zstandard


# -- the table ------------------------------------------------------------------------------------

FORMATS: Final[Mapping[ArchiveFormat, Codec | None]] = {
    "dir": None,
    "tar.gz": Codec(_gzip, _gunzip),
    "tar.zst": Codec(_zstd, _unzstd),
}
"""Every format with the codec of its tar; `None` for a plain directory."""


def suffix_of(form: ArchiveFormat) -> str:
    """The filename suffix of an archive in this format."""
    return "" if FORMATS[form] is None else f".{form}"


def codec_of(form: ArchiveFormat) -> Codec:
    """The codec of a tar in this format. Raises `InvalidSettings` if the format is not a tar."""
    codec = FORMATS[checked_format(form)]
    if codec is None:
        raise InvalidSettings(f"{form!r} is a format that no tar has")
    return codec


def checked_format(value: object, what: str = "archive_format") -> ArchiveFormat:
    """`value`, if it is a format; else raises `InvalidSettings`, naming the setting `what`."""
    if isinstance(value, str) and value in FORMATS:
        return value
    raise InvalidSettings(f"{what}: expected one of {', '.join(FORMATS)}, got {value!r}")
