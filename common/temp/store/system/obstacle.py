"""Finding out why a file or directory cannot be removed or moved, and what to do about it.

"Operation not permitted" has five causes and as many remedies. The attributes of the file, its
owner and the owner of its directory tell which one it is. They are checked only after a failure,
so success costs nothing. Nothing is opened, and no symlink is followed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import Final

from ... import errors
from . import at
from .mounts import is_overlay
from .opening import open_unmounted

_IMMUTABLE: Final = 0x10
_APPEND_ONLY: Final = 0x20
_NO_IMAGE: Final = "remove it by hand, and leave scratch out of the image (.dockerignore)"
_SILLY: Final = ".nfs"
"""The prefix that an NFS client gives to a file deleted while open."""


def reason_of(error: OSError, name: str, parent: int) -> str:
    """Why `name` in the directory open at `parent` cannot be removed or moved, and what to do."""
    if error.errno == errno.EBUSY and name.startswith(_SILLY):
        return f"{error.strerror} (an NFS client has it open); end what uses it (see fuser -v)"
    if error.errno == errno.EXDEV:
        if _is_unmounted(name, parent) and is_overlay(parent):
            return "a lower layer of an overlay (the image of a container) has it; " + _NO_IMAGE
        return "it or its directory is a mount point; unmount it first"
    if error.errno in (errno.EPERM, errno.EACCES):
        found = _obstacle(name, parent)
        if found:
            what, remedy = found
            return f"{error.strerror} ({what}); {remedy}"
    return errors.reason_of(error)


def _is_unmounted(name: str, parent: int) -> bool:
    """Whether it is a directory and certainly not a mount point."""
    try:
        at.close(open_unmounted(name, dir_fd=parent))
    except OSError:
        return False
    return True


def _obstacle(name: str, parent: int) -> tuple[str, str] | None:
    """What prevents it, and what to do; `None` if unknown."""
    if not at.RELATIVE:
        return None
    try:
        itself = at.stat(name, dir_fd=parent, follow_symlinks=False)
        above = at.fstat(parent)
    except OSError:
        return None
    for whose, marks in (
        ("it is", _attributes(name, parent)),
        ("its directory is", _own_attributes(parent)),
    ):
        it = "it" if whose == "it is" else "that"
        if marks & _IMMUTABLE:
            return f"{whose} immutable", f"chattr -i {it}"
        if marks & _APPEND_ONLY:
            return f"{whose} append-only", f"chattr -a {it}"
    me = os.geteuid()
    if above.st_mode & stat.S_ISVTX and me not in (above.st_uid, itself.st_uid):
        who = _user(itself.st_uid)
        return f"{who} owns it, in a sticky directory", f"have {who} or root remove it"
    for status, what in ((above, "its directory"), (itself, "it")):
        if status.st_uid != me:
            who = _user(status.st_uid)
            return f"{who} owns {what}", f"have {who} or root remove it"
    return None


def _own_attributes(descriptor: int) -> int:
    return _attributes("", descriptor)


def _attributes(name: str, parent: int) -> int:
    """The attributes that `chattr` sets, from Linux's `statx`; 0 without that call."""
    import ctypes

    no_follow, empty_path = 0x100, 0x1000
    told = ctypes.create_string_buffer(256)
    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError, TypeError):
        return 0
    flags = no_follow if name else no_follow | empty_path
    if call(parent, os.fsencode(name), flags, 0, told):
        return 0
    return int.from_bytes(told.raw[8:16], sys.byteorder)


def _user(number: int) -> str:
    """The name of a user, or the user id if it has no name."""
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"
