from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from captions.client import form
from captions.errors import UploadError
from captions.uploads import receive

from tests.each import each

MOST = 100_000


def upload(
    path: Path,
    body: Iterable[bytes],
    content_type: str = "multipart/form-data; boundary=b",
    patience: float = 30.0,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in body:
            yield chunk

    asyncio.run(receive(content_type, chunks(), path, MOST, patience))


def refusal(path: Path, body: Iterable[bytes], **options: str) -> tuple[int, str]:
    with pytest.raises(UploadError) as refused:
        upload(path, body, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    return refused.value.status, str(refused.value)


def part(*lines: bytes, data: bytes = b"x") -> bytes:
    return b"\r\n".join((b"--b", *lines, b"", data, b""))


FILE = b'Content-Disposition: form-data; name="file"; filename="a.wav"'
FIELD = b'Content-Disposition: form-data; name="comment"'
END = b"--b--\r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@each("size", [0, 1, 7, 1000, MOST])
@each("at_once", [1, 13, 4096, 10**6])
def test_the_file_arrives_byte_for_byte_however_it_is_cut(
    path: Path, size: int, at_once: int
) -> None:
    if at_once == 1 and size == MOST:
        size = 5000  # byte by byte, that takes long
    sound = os.urandom(size)
    content_type, body = form(sound)
    chunks = [body[start : start + at_once] for start in range(0, len(body), at_once)]
    upload(path, chunks, content_type.decode())
    assert path.read_bytes() == sound
    path.unlink()


def test_other_fields_do_no_harm(path: Path) -> None:
    upload(path, [part(FIELD), part(FILE, data=b"sound"), part(FIELD), END])
    assert path.read_bytes() == b"sound"


@pytest.mark.parametrize(
    "name", [b"a.wav", b"two words.wav", "für Élise 音.wav".encode(), b"%00%2F..%2F", b"x" * 255]
)
def test_a_file_may_have_any_plain_name(path: Path, name: bytes) -> None:
    content_type, body = form(b"sound", name)
    upload(path, [body], content_type.decode())
    assert path.read_bytes() == b"sound"


NAMES = {
    b"../../etc/passwd": "is a path",
    b"/etc/passwd": "is a path",
    b"..": "is a path",
    b".": "is a path",
    b"..\\..\\boot.ini": "is a path",
    b"a/b.wav": "is a path",
    b"a\0b.wav": "control character",
    b"a\x01b.wav": "control character",
    b"a\x1b[31mb.wav": "control character",
    b"a\x7fb.wav": "control character",
    "a\u202eb.wav".encode(): "control character",
    "a\u0085b.wav".encode(): "control character",
    b"\xff\xfe.wav": "is no UTF-8",
    b"x" * 256: "longer than 255 bytes",
    b"x" * 300: "longer than 255 bytes",
    "ä".encode() * 150: "longer than 255 bytes",
    b"": "no file was chosen",
}


@each("name", NAMES)
def test_a_hostile_name_is_refused_and_nothing_is_written(path: Path, name: bytes) -> None:
    content_type, body = form(b"sound", name)
    status, said = refusal(path, [body], content_type=content_type.decode())
    assert (status, NAMES[name] in said) == (400, True)
    assert os.listdir(path.parent) == []


FORMS: dict[str, tuple[list[bytes], str]] = {
    "nothing at all": ([], "ends too early"),
    "no form": ([b"just some text, and no boundary"], "cannot be read"),
    "cut in a header": ([b"--b\r\nContent-Dis"], "ends too early"),
    "cut in the file": ([part(FILE)[:-3]], "ends too early"),
    "cut before the end": ([part(FILE)], "ends too early"),
    "only other fields": ([part(FIELD), END], "has no file"),
    "a file of another name": ([part(FILE.replace(b'"file"', b'"photo"')), END], "has no file"),
    "a field of that name": (
        [part(b'Content-Disposition: form-data; name="file"'), END],
        "no file",
    ),
    "no disposition": ([part(b"X: y"), END], "has no file"),
    "two files": ([part(FILE), part(FILE), END], "more than one file"),
    "eleven fields": ([part(FIELD)] * 11 + [END], "more than 10 fields"),
    "a NUL in a header": ([part(b"Con\0tent: y"), END], "cannot be read"),
    "a header without end": ([b"--b\r\nX: " + b"y" * 100_000], ""),
    "a thousand headers": ([part(*[b"X: " + b"y" * 90] * 1000), END], ""),
}


@each("what", FORMS)
def test_a_form_that_cannot_be_used_is_refused(path: Path, what: str) -> None:
    body, said = FORMS[what]
    status, found = refusal(path, body)
    assert (status, said in found) == (400, True)
    path.unlink(missing_ok=True)  # what had come by then


@each(
    ("content_type", "status"),
    [
        ("", 415),
        ("audio/wav", 415),
        ("application/json", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 5000, 400),
        ("multipart/mixed; boundary=b", 415),
        ("\x00\xff; ;=;", 415),
    ],
)
def test_what_is_no_form_is_refused_by_its_type(path: Path, content_type: str, status: int) -> None:
    assert refusal(path, [part(FILE), END], content_type=content_type)[0] == status
    assert os.listdir(path.parent) == []


def test_no_more_of_a_file_is_written_than_is_allowed(path: Path) -> None:
    chunks = [part(FILE)[:-2], *[b"x" * 10_000] * 1000]
    assert refusal(path, chunks)[0] == 413
    assert path.stat().st_size <= MOST


def test_a_large_field_that_is_no_file_is_refused_too(path: Path) -> None:
    assert refusal(path, [part(FIELD, data=b"x" * 70_000), part(FILE), END])[0] == 413


def test_what_is_refused_is_read_to_its_end_so_that_the_answer_is(path: Path) -> None:
    left = iter([part(FILE), part(FILE), *[b"x" * 1000] * 50])
    refusal(path, left)
    assert list(left) == []


def test_a_client_without_an_end_is_not_read_forever(path: Path) -> None:
    def endless() -> Iterable[bytes]:
        while True:
            yield b"x" * 10_000

    assert refusal(path, endless())[0] == 400


def test_a_client_that_sends_no_more_is_refused(path: Path) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield part(FILE)
        await asyncio.sleep(3600)

    with pytest.raises(UploadError) as refused:
        asyncio.run(receive("multipart/form-data; boundary=b", stalling(), path, MOST, 0.01))
    assert refused.value.status == 408


def test_a_file_that_is_there_already_stays_as_it_is(path: Path) -> None:
    path.write_text("work")
    with pytest.raises(FileExistsError):
        upload(path, [part(FILE), END])
    assert path.read_text() == "work"


def test_a_file_that_is_deleted_meanwhile_is_not_made_again(path: Path) -> None:
    def chunks() -> Iterable[bytes]:
        yield part(FILE, data=b"x" * 50_000)[:-2]
        path.unlink()
        yield b"\r\n" + END

    with pytest.raises(FileNotFoundError):
        upload(path, chunks())
    assert not path.exists()
