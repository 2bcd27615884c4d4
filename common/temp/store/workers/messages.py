"""The messages between the leader and the workers of a crew, and how they are sent and received."""

from __future__ import annotations

import array
import enum
import marshal
import socket
import struct
from typing import Any, Final, NamedTuple, TypeAlias

from ..system import at

_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_HEADER: Final = struct.Struct("=cI")

Message: TypeAlias = tuple[Any, ...]
"""A named tuple of plain values. It arrives as a plain tuple, which the receiver turns back into a
named one (`_make`)."""


class Kind(enum.Enum):
    """The kind of a message."""

    JOB = b"-"
    """Work for a worker."""

    GIFT = b"+"
    """A part of its job that a worker gives back, for another worker."""

    PROGRESS = b"."
    """How far a worker is with its job."""

    RESULT = b"="
    """The end of a job."""

    DEATH = b"!"
    """The worker died during its job. Never sent: the leader notices that the socket is closed."""


class Job(NamedTuple):
    """A part of the work: the caller's key, the message, and an open directory (-1 for none).

    The crew closes the descriptor.
    """

    key: int
    message: Message
    descriptor: int = -1


class Said(NamedTuple):
    """A message of a worker about a job, or the news of its death during the job."""

    kind: Kind
    job: Job
    message: Message = ()


def packed(message: Message) -> bytes:
    """The bytes that `send` sends for `message`."""
    return marshal.dumps(_plain(message))


def _plain(message: Message) -> Message:
    """`message` as plain tuples: `marshal` cannot write named ones."""
    return tuple(_plain(item) if isinstance(item, tuple) else item for item in message)


def send(channel: socket.socket, kind: Kind, message: Message, descriptor: int = -1) -> None:
    """Send `message`, and an open directory if given. Raises `OSError` if nothing reads it."""
    data = packed(message)
    head = _HEADER.pack(kind.value, len(data))
    if descriptor >= 0:
        # A stream may accept only part of it; the descriptor goes with the first byte.
        sent = channel.sendmsg(
            [head, data],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))],
        )
        data, head = (head + data)[sent:], b""
    channel.sendall(head + data)


class Received(NamedTuple):
    """A message received over a socket; the descriptor is -1 if there is none."""

    kind: Kind
    message: Message
    descriptor: int


def receive(channel: socket.socket) -> Received | None:
    """The next message; `None` at the end. Raises `OSError` if the message is incomplete."""
    head, descriptors, _, _ = socket.recv_fds(channel, _HEADER.size, 1, _CLOEXEC)
    if not head:
        return None
    try:
        while len(head) < _HEADER.size:
            head += _more(channel, _HEADER.size - len(head))
        kind, size = _HEADER.unpack(head)
        data = bytearray()
        while len(data) < size:
            data += _more(channel, size - len(data))
    except BaseException:  # the sender died in the middle of the message
        for descriptor in descriptors:
            close_given(descriptor)
        raise
    # From this process's own fork, over a private socket.
    message = marshal.loads(data)  # noqa: S302
    return Received(Kind(kind), message, descriptors[0] if descriptors else -1)


def _more(channel: socket.socket, size: int) -> bytes:
    data = channel.recv(min(size, 1 << 20))
    if not data:
        raise ConnectionResetError
    return data


def close_given(descriptor: int) -> None:
    """Close the descriptor that came with a message, if any."""
    if descriptor >= 0:
        at.close(descriptor)
