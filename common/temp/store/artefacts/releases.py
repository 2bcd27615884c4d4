"""Tells by its content whether a file is a release of a Python project made by a build tool."""

from __future__ import annotations

import os
import re
import stat
from typing import IO, Final

from ..system.at import PLAIN_FLAGS

_NAME: Final = re.compile(r"(?P<name>.+?)-\d[^-/]*(-[^/]+-[^/]+-[^/]+\.whl|\.tar\.gz|\.zip)")
_METADATA: Final = b"Metadata-Version:"
_MOST_UNPACKED: Final = 256 << 20
"""The most bytes of an archive that are unpacked to find its metadata."""


def project_of(name: str) -> str:
    """The project name in the name of a release; "" if `name` does not have that form."""
    match = _NAME.fullmatch(name)
    return match["name"] if match else ""


def has_metadata(path: str | os.PathLike[str]) -> bool:
    """Whether a wheel or source distribution holds the metadata of exactly that release. An archive
    of such a name that a person made has none. Raises `OSError`.
    """
    name = os.path.basename(path)
    with open(os.open(path, os.O_RDONLY | PLAIN_FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return False
        try:
            if name.endswith(".tar.gz"):
                said = _in_tar(file, f"{name.removesuffix('.tar.gz')}/PKG-INFO")
            elif name.endswith(".whl"):
                said = _in_zip(file, f"{'-'.join(name.split('-')[:2])}.dist-info/METADATA")
            else:
                said = _in_zip(file, f"{name.removesuffix('.zip')}/PKG-INFO")
        except OSError:
            raise
        except Exception:  # for malformed archives, the libraries raise all kinds of errors
            return False
    return said == _METADATA


def _in_zip(file: IO[bytes], member: str) -> bytes:
    """The first bytes of a member of the zip."""
    import zipfile

    with zipfile.ZipFile(file) as archive, archive.open(member) as found:
        return found.read(len(_METADATA))


def _in_tar(file: IO[bytes], member: str) -> bytes:
    """The first bytes of a member of the tar; "" if it is too far from the start of the tar."""
    import gzip
    import tarfile

    with gzip.GzipFile(fileobj=file) as unpacked, tarfile.open(fileobj=unpacked) as archive:
        for one in archive:
            if one.offset_data > _MOST_UNPACKED or one.size > _MOST_UNPACKED:
                return b""
            if one.name == member and (found := archive.extractfile(one)) is not None:
                return found.read(len(_METADATA))
    return b""
