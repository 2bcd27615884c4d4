"""An object store for tests: a server that speaks S3, and a proxy that disturbs its traffic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from common.temp.core.policy import Policy
from common.temp.store.archive.objects import ObjectArchive
from common.temp.store.archive.restore import restore
from common.temp.store.shelf.belongs import place_of
from common.temp.store.sweep.prepare import prepare
from common.temp.store.sweep.sweep import execute
from tests.support import EVERYTHING, environment, forked, process, swept

MANIFEST: Final = ".tempkeep.json"
KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "tempkeep",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    # Where there are no keys, nobody else is asked for some.
    "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
}
"""The variables that a client needs beside the endpoint."""


_SIGNED: Final = (
    "AWS4-HMAC-SHA256 Credential=tempkeep/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


def megabytes() -> bytes:
    """More than one part, and nothing that can be compressed."""
    return random.Random(0).randbytes(9 << 20)


class Server(NamedTuple):
    """A running server; it does not check signatures."""

    port: int

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, data: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """The status, body and headers of the answer."""
        headers |= {"Authorization": _SIGNED, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)


class Place(NamedTuple):
    """A prefix of a bucket, as a test looks at it."""

    server: Server
    bucket: str
    prefix: str = "scratch"

    @property
    def location(self) -> str:
        """What `archive_location` is set to."""
        return f"s3://{self.bucket}/{self.prefix}"

    def names(self) -> list[str]:
        """The names of the objects there."""
        _, body, _ = self.server.ask("GET", f"{self.bucket}?list-type=2")
        keys = re.findall(rf"<Key>{self.prefix}/(.*?)</Key>", body.decode())
        return sorted(keys)

    def uploads(self) -> int:
        """How many uploads were begun and neither finished nor given up."""
        return self.server.ask("GET", f"{self.bucket}?uploads")[1].count(b"<UploadId>")

    def get(self, name: str) -> bytes:
        """What is in an object."""
        return self.server.ask("GET", f"{self.bucket}/{self.prefix}/{name}")[1]

    def put(self, name: str, data: bytes) -> None:
        """Store an object."""
        status, *_ = self.server.ask("PUT", f"{self.bucket}/{self.prefix}/{name}", data)
        assert status == 200

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.server.ask("DELETE", f"{self.bucket}/{self.prefix}/{name}")


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Server]:
    """The moto server, a process of its own, for the time of the block."""
    log = directory / "moto.log"
    code = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"
    with open(log, "wb") as file:
        started = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        until = time.monotonic() + 60
        while (port := re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes())) is None:
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield Server(int(port[1]))
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait()


# -- what uses it ---------------------------------------------------------------------------------

CLEAN: Final = ("temp-clean", "--everything", "--yes")
UNASKED: Final = EVERYTHING._replace(spare_in_use=False)
"""So that not each sweep looks at all processes of the machine."""


def ran(project: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the program prints to stdout and stderr, if it ends with that code."""
    done = forked(*arguments, cwd=project, env={**os.environ})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def in_child(work: Callable[[], None]) -> int:
    """The wait status of a child that does `work`: this process must not use obstore."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def archive_entries(root: Path, location: str) -> None:
    """One sweep that archives everything."""
    archive = ObjectArchive(location)
    plan = prepare(root, UNASKED, time.time(), disposal="archive", archive=archive)
    execute(plan, archive=archive)


def sweep_again(root: Path, location: str) -> None:
    """The next sweep: it deletes nothing, but finishes what was left."""
    report = swept(root, Policy(spare_in_use=False), archive=ObjectArchive(location))
    assert report.problems == (), report.problems


def restore_all(root: Path, location: str) -> None:
    """Put everything back."""
    archive = ObjectArchive(location)
    for archived in archive.listed(root):
        restore(archive, archived, place_of(archived, root.parent))


# -- a proxy ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def proxy(server: Server, how: str, cwd: Path) -> Iterator[Server]:
    """A proxy before `server`, a process of its own. What it does is told by `how`:

    `cut:N` ends all connections for good once N bytes have come from clients; `answer:CODE:N`
    answers the first N requests so, before it passes others on; `wait:S` sits on each connection
    for so many seconds.
    """
    code = f"from tests.buckets import run_proxy; run_proxy({server.port}, {how!r})"
    with process(code, cwd=cwd) as started:
        yield Server(int(started.first_line))


def run_proxy(port: int, how: str) -> None:
    """Be a proxy; prints on which port."""
    asyncio.run(_Proxy(port, how).serve())


class _Proxy:
    def __init__(self, port: int, how: str) -> None:
        self._port = port
        self._what, *numbers = how.split(":")
        self._numbers = [float(number) for number in numbers]
        self._left = self._numbers[-1]

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._what == "wait":
                await asyncio.sleep(self._left)
            elif self._what == "answer" and self._left > 0:
                await self._answer(reader, writer)
            elif self._what == "answer" or self._left > 0:
                await self._pass_on(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._left -= 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        body = b"<Error><Code>SlowDown</Code></Error>"
        told = f"HTTP/1.1 {int(self._numbers[0])} No\r\nContent-Length: {len(body)}\r\n"
        writer.write(told.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._port)
        back = asyncio.ensure_future(self._copy(theirs, writer, counts=False))
        await self._copy(reader, ours, counts=self._what == "cut")
        ours.close()
        back.cancel()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        while data := await reader.read(1 << 14):
            if counts:
                data, self._left = data[: max(0, int(self._left))], self._left - len(data)
            writer.write(data)
            await writer.drain()
            if counts and self._left <= 0:
                return
