"""Entries as compressed tar archives: packed by the system's `tar`, which is far quicker with many
small files, or by `tarfile` where there is none that will do; read by `tarfile`, as a stream.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import IO, Any, Final, Protocol

from ...errors import Refused, StorageError
from ..trees.contents import KEPT_ATTRIBUTES, Item, Kind

_XATTR: Final = "SCHILY.xattr."
_CHUNK: Final = 1 << 20
_KINDS: Final[dict[bytes, Kind]] = {
    tarfile.DIRTYPE: "directory",
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.SYMTYPE: "symlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.LNKTYPE: "link",
    tarfile.GNUTYPE_SPARSE: "file",
}
_TYPES: Final = {kind: code for code, kind in reversed(_KINDS.items())} | {"file": tarfile.REGTYPE}
_NEEDED: Final = "tar.zst needs the program zstd, or tempkeep's extra `archive`"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


# -- packing ------------------------------------------------------------------------------------


def system_tar() -> str | None:
    """The path of the system's `tar`, if there is one."""
    return shutil.which("tar")


def _environment() -> dict[str, str]:
    """The environment of a `tar` that writes names as the bytes that they are."""
    left_out = ("TAR_OPTIONS", "GZIP", "TAPE")
    kept = {name: text for name, text in os.environ.items() if name not in left_out}
    return {**kept, "LC_ALL": "C", "COPYFILE_DISABLE": "1"}


def pack_by_system(
    tar: str, form: str, above: str, names: str, file: IO[bytes], *, attributes: bool
) -> None:
    """Pack what is listed in the file `names` (paths below the directory `above`, each followed by
    NUL) into `file`, by the program `tar`. Raises `StorageError` with what it complained about.

    What it writes goes through this process, so that it ends if this one is killed. Not every
    `tar` can compress by every program, or leaves what comes out as it is.
    """
    command = [
        tar, "--create", "--file=-", "--format=pax", "--numeric-owner",
        *(("--xattrs", "--xattrs-include=*") if attributes else ()),
        f"--directory={above}", "--no-recursion", "--null", f"--files-from={names}",
    ]  # fmt: skip
    # A file, since it may have something to say of each of a million names.
    with open(f"{names}.errors", "x+b") as errors:
        process = subprocess.Popen(  # noqa: S603 - the user's own `tar`
            command, env=_environment(), stdout=subprocess.PIPE, stderr=errors
        )
        with _compressed(form, file) as sink, _ended(process):
            assert process.stdout is not None
            shutil.copyfileobj(process.stdout, sink, _CHUNK)
            if process.wait():
                errors.seek(0)
                said = errors.read(_CHUNK).decode(errors="replace").strip()
                raise StorageError(0, said.partition("\n")[0] or f"{tar} failed")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
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


def pack_by_python(form: str, top: str, items: Iterable[Item], file: IO[bytes]) -> None:
    """Pack `items` below the name `top` into `file`, by `tarfile`. Raises `OSError`."""
    with _compressed(form, file) as sink:
        tar = tarfile.TarFile(
            fileobj=_Counting(sink),  # type: ignore[arg-type] # all that it asks for
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding=sys.getfilesystemencoding(),
            errors=sys.getfilesystemencodeerrors(),
        )
        for item in items:
            info = tarfile.TarInfo(f"{top}/{item.path}" if item.path else top)
            if item.kind not in _TYPES:
                raise StorageError(0, in_no_archive(item.path))
            info.type = _TYPES[item.kind]
            info.mode = item.mode
            info.size = item.size
            info.mtime = item.mtime_ns // 10**9
            info.uid, info.gid = (max(0, number) for number in item.owner)
            info.linkname = f"{top}/{item.target}" if item.kind == "link" else item.target
            info.pax_headers = {"mtime": f"{Decimal(item.mtime_ns).scaleb(-9):f}"} | {
                _XATTR + key: value.decode("utf-8", "surrogateescape")
                for key, value in item.attributes
            }
            reader = None if item.read is None else _Content(item.read)
            tar.addfile(info, reader)  # type: ignore[arg-type] # all that it asks for
            _forget_members(tar)
        tar.close()


def in_no_archive(path: str) -> str:
    """Why what is at `path` of an entry keeps it from being archived, and what to do."""
    return f"{path or 'it'} is a socket or a device, which no archive can hold; remove it"


def _forget_members(tar: tarfile.TarFile) -> None:
    """Let go of what was dealt with: the library keeps all of them."""
    tar.members.clear()  # type: ignore[attr-defined]


class _Counting:
    """A stream to write to, that knows how far it is."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._position = 0

    def write(self, data: bytes) -> int:
        self._sink.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


class _Content:
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read


@contextlib.contextmanager
def _compressed(form: str, file: IO[bytes]) -> Iterator[Any]:
    """What is written to this comes compressed to `file`."""
    if form == "tar.gz":
        with gzip.GzipFile("", "wb", 6, file, 0) as sink:
            yield sink
        return
    program = shutil.which("zstd")
    if program is None:
        with (
            _zstandard()
            .ZstdCompressor(write_checksum=True)
            .stream_writer(file, closefd=False) as sink
        ):
            yield sink
        return
    file.flush()
    process = subprocess.Popen(  # noqa: S603 - the user's own `zstd`
        [program, "-q", "-c"], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE
    )
    with _ended(process):
        assert process.stdin is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError):  # it says why
            yield process.stdin
            process.stdin.close()
        said = process.stderr.read(_CHUNK).decode(errors="replace").strip()
        if process.wait():
            raise StorageError(0, said or f"{program} failed")


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise StorageError(0, _NEEDED) from None
    return zstandard


# -- reading --------------------------------------------------------------------------------------


def unpacked(form: str, file: IO[bytes]) -> Generator[Item, None, None]:
    """The items of the tar archive in `file`, one after the other, in bounded memory.

    All of them lie below one name, which is not said. Raises `Refused` for anything that is
    not such an archive, or lies elsewhere, or goes on after its end.
    """
    try:
        with _decompressed(form, file) as stream:
            yield from _items(_Forward(stream))
    except (tarfile.TarError, ArithmeticError) as error:
        raise Refused(f"it is damaged ({error})") from error


def _items(stream: _Forward) -> Iterator[Item]:
    tar = tarfile.TarFile(
        fileobj=stream,  # type: ignore[arg-type] # all that it asks for
        encoding=sys.getfilesystemencoding(),
        errors=sys.getfilesystemencodeerrors(),
    )
    top: str | None = None
    while (member := tar.next()) is not None:
        _forget_members(tar)
        head, path = _split(member.name)
        if top is None:
            top = head
        if head != top:
            raise Refused(f"it holds {member.name}, which lies outside of {top}")
        yield _item(tar, member, path, top, stream)
    while rest := stream.read(_CHUNK):
        if rest.strip(b"\0"):
            raise Refused("it goes on after its end")


def _split(name: str) -> tuple[str, str]:
    """The first part of a member's name, and what is below."""
    head, _, path = name.removeprefix("./").partition("/")
    if head in ("", ".", ".."):
        raise Refused(f"it holds {name}, which lies outside")
    return head, path


def _item(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, top: str, stream: _Forward
) -> Item:
    kind = _KINDS.get(member.type, "other")
    if kind == "link":
        head, target = _split(member.linkname)
        if head != top:
            raise Refused(f"it holds {member.name}, a link to {member.linkname}")
        return Item(path, kind, target=target)
    read = None
    if kind == "file":
        # Some programs leave the holes of a file out.
        content = tar.extractfile(member) if member.issparse() else stream
        assert content is not None
        read = partial(_read_on, content)
    time = member.pax_headers.get("mtime")
    return Item(
        path,
        kind,
        mode=member.mode & 0o7777,
        # As a number, the library has rounded it.
        mtime_ns=int(Decimal(time).scaleb(9)) if time else int(member.mtime) * 10**9,
        size=member.size if kind == "file" else 0,
        target=member.linkname if kind == "symlink" else "",
        attributes=tuple(
            (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
            for key, value in sorted(member.pax_headers.items())
            if key.startswith(_XATTR) and key.removeprefix(_XATTR).startswith(KEPT_ATTRIBUTES)
        ),
        owner=(member.uid, member.gid),
        read=read,
    )


def _read_on(content: _Readable, size: int) -> bytes:
    data = content.read(size)
    if size and not data:
        raise Refused("it is damaged (it ends too early)")
    return data


class _Forward:
    """A stream with a position, that can be skipped but not gone back in."""

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._position = 0

    def read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except _damages() as error:
            raise Refused(f"it is damaged ({error})") from error
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position:
            if not self.read(min(position - self._position, _CHUNK)):
                break


def _damages() -> tuple[type[Exception], ...]:
    """What is raised where it is no compressed stream."""
    by_extra = getattr(sys.modules.get("zstandard"), "ZstdError", EOFError)
    return EOFError, zlib.error, gzip.BadGzipFile, by_extra


@contextlib.contextmanager
def _decompressed(form: str, file: IO[bytes]) -> Iterator[_Readable]:
    if form == "tar.gz":
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield stream
        return
    program = shutil.which("zstd")
    if program is None:
        reader = (
            _zstandard()
            .ZstdDecompressor()
            .stream_reader(file, read_across_frames=True, closefd=False)
        )
        yield io.BufferedReader(reader, _CHUNK)
        return
    process = subprocess.Popen(  # noqa: S603
        [program, "-q", "-d", "-c"],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=_CHUNK,
    )
    with _ended(process):
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout
        said = process.stderr.read(_CHUNK).decode(errors="replace")
        if process.wait():
            raise Refused(f"it is damaged ({said.strip()})")
