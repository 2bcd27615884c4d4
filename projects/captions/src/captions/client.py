"""A small client of the service: sends a file whole, or a part first and the rest later."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPResponse
from urllib.parse import urlsplit

_BOUNDARY = b"----captions-4f1c0e"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service."""

    status: int
    content_type: str
    text: str

    @property
    def error(self) -> str:
        """The error message, if the answer has one."""
        said = json.loads(self.text)
        assert list(said) == ["error"]
        return str(said["error"])


def form(sound: bytes, name: bytes = b"speech.wav") -> tuple[bytes, bytes]:
    """The content type and the body of a form that contains a file."""
    head = b'Content-Disposition: form-data; name="file"; filename="%s"' % name
    parts = (b"--" + _BOUNDARY, head, b"Content-Type: audio/wav", b"", sound)
    body = b"\r\n".join((*parts, b"--" + _BOUNDARY + b"--", b""))
    return b"multipart/form-data; boundary=" + _BOUNDARY, body


class Connection:
    """One request to `url`, such as http://127.0.0.1:8000. Must be closed."""

    def __init__(self, url: str, path: str = "/captions", method: str = "POST") -> None:
        address = urlsplit(url)
        self._method, self._path = method, path
        self._socket = socket.create_connection((address.hostname, address.port), _SECONDS)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def begin(self, content_type: bytes, length: int) -> None:
        """Send the head of the request."""
        lines = (
            f"{self._method} {self._path} HTTP/1.1".encode(),
            b"Host: captions",
            b"Connection: close",
            b"Content-Type: " + content_type,
            b"Content-Length: %d" % length,
        )
        self.send(b"\r\n".join((*lines, b"", b"")))

    def send(self, data: bytes) -> None:
        """Send some of the body."""
        self._socket.sendall(data)

    def answer(self) -> Answer:
        """The answer of the service."""
        response = HTTPResponse(self._socket)
        response.begin()
        text = response.read().decode()
        return Answer(response.status, response.headers.get_content_type(), text)

    def close(self) -> None:
        """Close the connection, with or without an answer."""
        self._socket.close()


class HalfSent:
    """An upload of which half is sent."""

    def __init__(self, url: str, sound: bytes) -> None:
        content_type, body = form(sound)
        self._rest = body[len(body) // 2 :]
        self._connection = Connection(url)
        self._connection.begin(content_type, len(body))
        self._connection.send(body[: len(body) // 2])

    def finish(self) -> Answer:
        """Send the rest. Returns the answer of the service."""
        with self._connection:
            self._connection.send(self._rest)
            return self._connection.answer()

    def hang_up(self) -> None:
        """Close the connection without sending the rest."""
        self._connection.close()


def caption(url: str, sound: bytes, name: bytes = b"speech.wav") -> Answer:
    """The answer of the service to a file."""
    content_type, body = form(sound, name)
    with Connection(url) as connection:
        connection.begin(content_type, len(body))
        connection.send(body)
        return connection.answer()


def health(url: str) -> Answer:
    """The health report of the service."""
    with Connection(url, "/health", "GET") as connection:
        connection.begin(b"text/plain", 0)
        return connection.answer()
