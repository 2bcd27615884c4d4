"""Packs and reads compressed tar archives. Packing uses the system's `tar`, which is much faster
with many small files, or else `tarfile`; reading uses `tarfile`, as a stream.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import IO, Any, Final

from ...errors import Refused, StorageError
from ..shelf.source import in_no_archive
from ..system.archive_formats import ArchiveFormat, Readable, codec_of, ended
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


# -- packing ------------------------------------------------------------------------------------


def system_tar() -> str | None:
    """The path of the system's `tar`, if there is one."""
    return shutil.which("tar")


def _environment() -> dict[str, str]:
    """The environment that makes `tar` write names as the bytes that they are."""
    left_out = ("TAR_OPTIONS", "GZIP", "TAPE")
    kept = {name: text for name, text in os.environ.items() if name not in left_out}
    return {**kept, "LC_ALL": "C", "COPYFILE_DISABLE": "1"}


def pack_by_system(
    tar: str, form: ArchiveFormat, above: str, names: str, file: IO[bytes], *, attributes: bool
) -> None:
    """Pack the files listed in the file `names` (paths below the directory `above`, each followed
    by NUL) into `file`, with the program `tar`. Raises `StorageError` with its error message.

    The output goes through this process, so that `tar` ends if this process is killed. It is
    compressed here, since not every `tar` supports every format.
    """
    command = [
        tar, "--create", "--file=-", "--format=pax", "--numeric-owner",
        *(("--xattrs", "--xattrs-include=*") if attributes else ()),
        f"--directory={above}", "--no-recursion", "--null", f"--files-from={names}",
    ]  # fmt: skip
    # Use a file, since `tar` may print an error for each of a million names.
    with open(f"{names}.errors", "x+b") as errors, codec_of(form).compressed(file) as sink:
        process = subprocess.Popen(  # noqa: S603 - the user's own `tar`
            command, env=_environment(), stdout=subprocess.PIPE, stderr=errors
        )
        with ended(process):
            assert process.stdout is not None
            shutil.copyfileobj(process.stdout, sink, _CHUNK)
            if process.wait():
                errors.seek(0)
                complaint = errors.read(_CHUNK).decode(errors="replace").strip()
                raise StorageError(0, complaint.partition("\n")[0] or f"{tar} failed")


def pack_by_python(form: ArchiveFormat, top: str, items: Iterable[Item], file: IO[bytes]) -> None:
    """Pack `items` below the name `top` into `file`, with `tarfile`. Raises `OSError`."""
    with codec_of(form).compressed(file) as sink:
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


def _forget_members(tar: tarfile.TarFile) -> None:
    """Free the memory of the members so far, since `tarfile` keeps all of them."""
    tar.members.clear()  # type: ignore[attr-defined]


class _Counting:
    """An output stream that knows its position."""

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


# -- reading --------------------------------------------------------------------------------------


def unpacked(form: ArchiveFormat, file: IO[bytes]) -> Generator[Item, None, None]:
    """The items of the tar archive in `file`, one after the other, in bounded memory.

    All are below one top name, which is left out of their paths. Raises `Refused` if it is not such
    an archive, if data follows its end, or if a member is outside that top name.
    """
    try:
        with codec_of(form).decompressed(file) as stream:
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
            raise Refused(f"it contains {member.name}, which is outside {top}")
        yield _item(tar, member, path, top, stream)
    while rest := stream.read(_CHUNK):
        if rest.strip(b"\0"):
            raise Refused("data follows its end")


def _split(name: str) -> tuple[str, str]:
    """The first part of a member's name, and the rest."""
    head, _, path = name.removeprefix("./").partition("/")
    if head in ("", ".", ".."):
        raise Refused(f"it contains {name}, which is outside")
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
        # Some programs omit the holes of sparse files.
        content = tar.extractfile(member) if member.issparse() else stream
        assert content is not None
        read = partial(_read_on, content)
    time = member.pax_headers.get("mtime")
    return Item(
        path,
        kind,
        mode=member.mode & 0o7777,
        # Parse the text, since `tarfile` rounds the number.
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


def _read_on(content: Readable, size: int) -> bytes:
    data = content.read(size)
    if size and not data:
        raise Refused("it is damaged (it ends too early)")
    return data


class _Forward:
    """A stream with a position that can only move forward."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._position = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        while self._position < position:
            if not self.read(min(position - self._position, _CHUNK)):
                break
