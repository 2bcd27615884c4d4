"""What many tests need: uploads, real servers, and what they leave on the disk."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from replay_api.client import Answer, Client, Server, content_type, part_head, serving

from tests.store.children import until
from tests.support import environment, listing

END = b"\r\n--replay-api-5d6c1f0a--\r\n"


class Running(NamedTuple):
    """A server, what talks to it, its root, and the directory around all that it may touch."""

    server: Server
    client: Client
    root: Path
    around: Path

    def jobs(self) -> list[str]:
        """The directories and files in the root, but for the store."""
        return jobs_in(self.root)

    def until_gone(self, *but: str) -> None:
        """Wait until the root holds these jobs and nothing else."""
        until(lambda: self.jobs() == sorted(but), f"nothing but {but} in {self.root}")

    def outside(self) -> list[str]:
        """What lies around the root."""
        inside = str(self.root.relative_to(self.around))
        return [path for path in listing(self.around) if not path.startswith(inside)]


def jobs_in(root: Path) -> list[str]:
    """The directories and files in a root, but for its store."""
    return sorted(path.name for path in root.iterdir() if path.name != ".tempkeep")


@contextmanager
def running(around: Path, root: Path | None = None, **settings: object) -> Iterator[Running]:
    """A real server with a home, a working and a temporary directory of its own in `around`."""
    root = root or around / "jobs"
    for name in ("cwd", "home", "tmp"):
        (around / name).mkdir(parents=True, exist_ok=True)
    said = {f"REPLAY_API_{name.upper()}": str(value) for name, value in settings.items()}
    more = environment(
        HOME=str(around / "home"),
        TMPDIR=str(around / "tmp"),
        REPLAY_API_STORAGE_ROOT=str(root),
        REPLAY_API_GRACE_SECONDS=str(said.pop("REPLAY_API_GRACE_SECONDS", 1)),
        PYTHONWARNINGS="error::ResourceWarning",
        **said,
    )
    with serving(around / "cwd", more) as server:
        yield Running(server, Client(server.url), root, around)


def flight(path: Path, samples: int = 20, lon: float = 8.5) -> Path:
    """A CSV of a climb to the north-east, a sample each second."""
    lines = (
        f"{second},{47.3 + second * 1e-5:.7f},{lon + second * 1e-5:.7f},{400 + second * 0.01:.2f}\n"
        for second in range(samples)
    )
    with path.open("w") as file:
        file.write("time_s,lat_deg,lon_deg,alt_m\n")
        file.writelines(lines)
    return path


def movie(path: Path, seconds: float = 10.0) -> Path:
    """The smallest MP4 there is: a header that says how long it is, and no pictures."""
    header = struct.pack(">IIIII", 0, 0, 0, 1000, int(seconds * 1000)) + b"\0" * 80
    path.write_bytes(box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", box(b"mvhd", header)))
    return path


def box(kind: bytes, contents: bytes) -> bytes:
    """A box of an MP4 file."""
    return struct.pack(">I4s", len(contents) + 8, kind) + contents


def parts(directory: Path, *, samples: int = 20) -> dict[str, Path]:
    """The files of one upload."""
    directory.mkdir(exist_ok=True)
    calibration = directory / "aircraft.json"
    calibration.write_text('{"mass_kg": 1.4, "video_offset_s": 5}')
    return {
        "csv": flight(directory / "flight.csv", samples),
        "video": movie(directory / "film.mp4"),
        "calibration": calibration,
    }


def body(
    uploaded: dict[str, Path], *, names: Callable[[Path], str] = lambda path: path.name
) -> bytes:
    """The body of an upload, as a whole; `names` says what the client calls its files."""
    said = [part_head(name, names(path)) + path.read_bytes() for name, path in uploaded.items()]
    return b"".join(said) + END


def post(client: Client, data: bytes | Iterator[bytes], query: str = "", **headers: str) -> Answer:
    """The answer to an upload of these bytes."""
    connection = client.connect()
    sent = {"content-type": content_type(), **{k.replace("_", "-"): v for k, v in headers.items()}}
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            connection.request("POST", f"/jobs{query}", data, sent)
        response = connection.getresponse()
        said = response.read()
        return Answer(response.status, json.loads(said), said)
    finally:
        connection.close()


def query(job_id: str) -> str:
    """The query that asks for this id."""
    return f"?job_id={quote(job_id, safe='', errors='surrogateescape')}"


def open_upload(
    client: Client, data: bytes, job_id: str, *, size: int | None = None
) -> socket.socket:
    """A connection on which this much of an upload of `size` bytes was sent."""
    where = client.connect()
    connection = socket.create_connection((where.host, where.port), timeout=60)
    connection.sendall(
        (
            f"POST /jobs{query(job_id)} HTTP/1.1\r\nHost: {where.host}\r\n"
            f"Content-Type: {content_type()}\r\nContent-Length: {size or len(data) + 100}\r\n\r\n"
        ).encode()
        + data
    )
    return connection


def all_of(connection: socket.socket) -> str:
    """What comes on a connection until the other side closes it."""
    with connection.makefile(encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


def finished(
    running: Running, uploaded: dict[str, Path], job_id: str | None = None
) -> dict[str, Any]:
    """The document of a job that was uploaded, in its final state."""
    answer = running.client.upload(uploaded, job_id)
    assert answer.status == 202, answer
    return running.client.wait(answer.document["job_id"])


def fetch_all(running: Running, document: dict[str, Any]) -> dict[str, bytes]:
    """All results of a job that is done."""
    answers = {name: running.client.ask("GET", at) for name, at in document["results"].items()}
    assert {answer.status for answer in answers.values()} == {200}
    return {name: answer.body for name, answer in answers.items()}


def state(running: Running, job_id: str) -> str:
    """The state of a job; "" if it is not known."""
    document = running.client.ask("GET", f"/jobs/{quote(job_id, safe='')}").document
    return str(document.get("state", ""))


def values(lines: Sequence[str]) -> str:
    """A CSV of these lines, with the usual header."""
    return "\n".join(["time_s,lat_deg,lon_deg,alt_m", *lines, ""])
