"""A client of the service for scripts, the demo and the tests; it does in Python what curl does."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from common import temp

_BOUNDARY: Final = "replay-api-5d6c1f0a"
_CHUNK: Final = 1 << 20
_POLL_SECONDS: Final = 0.05
_FINAL: Final = ("done", "failed", "cancelled")


class Answer(NamedTuple):
    """An answer of the service; `document` is its body, if that is JSON."""

    status: int
    document: Any
    body: bytes


class Client:
    """A client of the service at `url`. Each request has its own connection."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        self.url = url
        self._timeout = timeout

    def connect(self) -> http.client.HTTPConnection:
        """A connection. Must be closed."""
        where = urlsplit(self.url)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=self._timeout)

    def ask(self, method: str, path: str) -> Answer:
        """The answer to a request without a body."""
        connection = self.connect()
        try:
            connection.request(method, path)
            return _answer(connection)
        finally:
            connection.close()

    def upload(self, parts: Mapping[str, Path], job_id: str | None = None) -> Answer:
        """Upload a file for each part, streamed. Returns the answer."""
        heads = {name: part_head(name, path.name) for name, path in parts.items()}
        end = b"\r\n--%s--\r\n" % _BOUNDARY.encode()
        size = len(end) + sum(map(len, heads.values()))
        size += sum(path.stat().st_size for path in parts.values())
        query = "" if job_id is None else f"?job_id={quote(job_id, safe='')}"

        def chunks() -> Iterator[bytes]:
            for name, path in parts.items():
                yield heads[name]
                with path.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        yield chunk
            yield end

        connection = self.connect()
        try:
            headers = {"content-type": content_type(), "content-length": str(size)}
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
                connection.request("POST", f"/jobs{query}", chunks(), headers)
            return _answer(connection)
        finally:
            connection.close()

    def wait(self, job_id: str) -> dict[str, Any]:
        """Wait until a job is in a final state. Returns its document."""
        while True:
            document: dict[str, Any] = self.ask("GET", f"/jobs/{quote(job_id, safe='')}").document
            if document.get("state", "failed") in _FINAL:
                return document
            time.sleep(_POLL_SECONDS)


def content_type() -> str:
    """The content type of an upload by this client."""
    return f"multipart/form-data; boundary={_BOUNDARY}"


def part_head(name: str, file_name: str) -> bytes:
    """The bytes before the content of one part."""
    return (
        f'\r\n--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; '
        f'filename="{file_name}"\r\n\r\n'
    ).encode(errors="surrogateescape")


def _answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    body = response.read()
    is_json = response.headers.get_content_type() == "application/json"
    return Answer(response.status, json.loads(body) if is_json and body else None, body)


class Server(subprocess.Popen[str]):
    """A service in a separate process, with its `url`."""

    url: str


@contextmanager
def serving(directory: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """A service on a free port of this machine, started in `directory`.

    At the end of the block, it is asked to end, and killed if it does not.
    """
    packages = [Path(__file__).resolve().parents[1], Path(temp.__file__).resolve().parents[2]]
    search = [*map(str, packages), *filter(None, [environment.get("PYTHONPATH")])]
    server = Server(
        [sys.executable, "-m", "replay_api", "--port", "0"],
        cwd=directory,
        env={**environment, "PYTHONPATH": os.pathsep.join(search)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    with server.stdout:
        try:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError(f"the service ended with {server.wait()}")
            server.url = line.split()[-1]
            yield server
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
