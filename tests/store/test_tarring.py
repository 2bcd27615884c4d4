"""Tar archives as streams: from any writer, the content is listed, in constant memory."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import signal
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from common.temp.errors import InvalidSettings, Refused
from common.temp.store.archive.tarring import pack_by_python, pack_by_system, unpacked
from common.temp.store.system.archive_formats import FORMATS
from common.temp.store.trees.contents import Item, digest, tree
from tests.store.children import children_of, in_child, until
from tests.store.trees import rich, seen
from tests.support import make_entry, run


def tarred(*members: tuple[str, bytes], after: bytes = b"") -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(gzip.compress(buffer.getvalue() + after))


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"], ["--format=pax"], ["--format=posix", "--sparse"], ["--format=ustar"],
        ["--format=gnu", "--sparse"],
    ],
)  # fmt: skip
def test_what_tar_wrote_in_whatever_way_is_read(tmp_path: Path, options: list[str]) -> None:
    path = make_entry(tmp_path, "x", files=3, age_hours=5)
    if "--format=gnu" in options:
        (path / ("long" * 50)).write_text("long")
    with open(path / "sparse", "wb") as file:
        file.seek(500_000)
        file.write(b"middle")
        file.truncate(1_000_000)
    for name in (path / "sparse", *path.iterdir(), path):
        os.utime(name, (1_600_000_000, 1_600_000_000))
    done = run(["tar", "-c", "-z", "-f", "x.tar.gz", "--sort=name", *options, "x"], cwd=tmp_path)
    if done.returncode:
        pytest.skip(f"this tar cannot: {done.stderr}")
    with open(tmp_path / "x.tar.gz", "rb") as file:
        assert digest(unpacked("tar.gz", file)).hexdigest == seen(path)


def test_memory_does_not_grow_with_what_is_packed_and_read(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        items = (Item(f"file{number:06}", "fifo", 0o644) for number in range(count))
        with open(tmp_path / str(count), "w+b") as file:
            tracemalloc.start()
            pack_by_python("tar.gz", "x", items, file)
            file.seek(0)
            assert digest(unpacked("tar.gz", file)).files == count
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

    peak(10)
    assert peak(1500) < peak(100) + 100_000, "which is less than 70 bytes for each"


def test_it_goes_on_after_its_end_only_with_zeros(tmp_path: Path) -> None:
    assert [item.path for item in unpacked("tar.gz", tarred(("x/", b""), after=bytes(99)))] == [""]
    with pytest.raises(Refused, match="data follows its end"):
        list(unpacked("tar.gz", tarred(("x/", b""), after=b"\0" * 99 + b"y")))


@pytest.mark.parametrize("form", ["zst", "dir"])
def test_a_format_that_no_tar_has_is_an_error(tmp_path: Path, form: str) -> None:
    """And not taken for one of those that there are."""
    with open(tmp_path / "it", "w+b") as file:
        with pytest.raises(InvalidSettings, match=f"'{form}'"):
            pack_by_python(form, "x", [Item("", "directory")], file)
        assert file.read() == b""
        with pytest.raises(InvalidSettings, match=f"'{form}'"):
            list(unpacked(form, file))


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "dir"])
@pytest.mark.parametrize("data", [b"", b"no archive at all", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"])
def test_what_is_no_archive_is_damaged(tmp_path: Path, form: str, data: bytes) -> None:
    if not shutil.which("zstd"):
        pytest.importorskip("zstandard")
    (tmp_path / "it").write_bytes(data)
    with open(tmp_path / "it", "rb") as file, pytest.raises(Refused, match="it is damaged"):
        list(unpacked(form, file))


@pytest.mark.parametrize("program", ["zstd", None])
def test_a_reader_that_stops_early_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    pytest.importorskip("zstandard")
    path = make_entry(tmp_path, "x")
    (path / "noise").write_bytes(os.urandom(3_000_000))

    def pack_and_stop() -> list[int]:
        parent = os.open(tmp_path, os.O_RDONLY)
        with open(tmp_path / "it", "w+b") as file:
            pack_by_python("tar.zst", "x", tree(parent, "x"), file)
            file.seek(0)
            reading = unpacked("tar.zst", file)
            next(reading)
            reading.close()
        return children_of(os.getpid())

    if program is None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif not shutil.which(program):
        pytest.skip("needs the program zstd")
    assert in_child(pack_and_stop) == []


ENDLESS = "#!/bin/sh\nexec yes\n"


def test_a_tar_ends_when_the_process_that_packs_is_killed(tmp_path: Path) -> None:
    """It must not go on to write into what the next sweep deletes."""
    (tmp_path / "names").touch()
    (tmp_path / "tar").write_text(ENDLESS)
    (tmp_path / "tar").chmod(0o755)
    child = os.fork()
    if child == 0:
        try:
            with open(tmp_path / "it", "wb") as file:
                pack_by_system(
                    str(tmp_path / "tar"), "tar.gz", str(tmp_path), str(tmp_path / "names"), file,
                    attributes=False,
                )  # fmt: skip
        finally:
            os._exit(0)
    until(lambda: children_of(child), "tar has started")
    (started,) = children_of(child)
    until(lambda: (tmp_path / "it").stat().st_size, "something is packed")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until(lambda: not Path(f"/proc/{started}").exists(), "tar has ended")


def test_a_tar_with_much_to_complain_of_is_heard_to_the_end(tmp_path: Path) -> None:
    """As it is when there are a hundred thousand names that it cannot read."""
    (tmp_path / "names").touch()
    (tmp_path / "tar").write_text("#!/bin/sh\nyes 'tar: no' | head -c 1000000 >&2\nexit 2\n")
    (tmp_path / "tar").chmod(0o755)
    with open(tmp_path / "it", "wb") as file, pytest.raises(OSError, match=r"^tar: no$"):
        pack_by_system(
            str(tmp_path / "tar"), "tar.gz", str(tmp_path), str(tmp_path / "names"), file,
            attributes=False,
        )  # fmt: skip


def test_the_user_s_own_options_for_tar_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("tar"):
        pytest.skip("needs tar")
    monkeypatch.setenv("TAR_OPTIONS", "--exclude=file0.txt --owner=nobody")
    monkeypatch.setenv("GZIP", "-9")
    path = rich(make_entry(tmp_path, "x", files=2))
    parent = os.open(tmp_path, os.O_RDONLY)
    names = [item.path for item in tree(parent, "x")]
    (tmp_path / "names").write_bytes(
        b"".join(os.fsencode(f"./x/{name}".rstrip("/")) + b"\0" for name in names)
    )
    with open(tmp_path / "it", "w+b") as file:
        tar = shutil.which("tar")
        assert tar
        pack_by_system(
            tar, "tar.gz", str(tmp_path), str(tmp_path / "names"), file, attributes=False
        )
        file.seek(0)
        assert digest(unpacked("tar.gz", file)).hexdigest == seen(path)
    os.close(parent)
