"""Archives in object storage: what is stored comes back, and what is planted there stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from common.temp.store.archive import objects, upload
from tests.buckets import (
    CLEAN,
    MANIFEST,
    Place,
    archive_entries,
    in_child,
    megabytes,
    ran,
    sweep_again,
)
from tests.store.trees import rich, seen
from tests.support import in_holding, make_entry

CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}


def test_an_entry_goes_to_a_bucket_in_parts_and_comes_back_to_the_byte(
    project: Path, configured: Place
) -> None:
    path = rich(project / ".tmp" / "debug" / "x_1690000000")
    (path / "big").write_bytes(megabytes())
    before = seen(path)
    out, _ = ran(project, *CLEAN)
    data, manifest = configured.names()
    assert data.startswith("debug__x_1690000000.")
    assert data.endswith(".tar.zst")
    assert f"  as {configured.location}/{data}" in out
    told = json.loads(configured.get(manifest))
    assert (manifest, told["path"]) == (
        data.replace(".tar.zst", MANIFEST),
        "debug/x_1690000000",
    )
    assert told["object"]["size"] == len(configured.get(data)) > 9 << 20
    where = f"{configured.bucket}/{configured.prefix}/{data}"
    _, _, headers = configured.server.ask("HEAD", where, None, **CHECKSUMS)
    assert headers["ETag"].strip('"').endswith("-2"), "two parts"
    assert "x-amz-checksum-sha256" in {name.lower() for name in headers}
    assert not path.exists()
    out, _ = ran(project, "temp-restore", "--list")
    assert out.startswith(f"{configured.location}\n")
    assert str(path) in out
    out, _ = ran(project, "temp-restore", "x")
    assert (seen(path), configured.names(), in_holding(project / ".tmp")) == (before, [], [])
    assert configured.uploads() == 0


def test_what_is_there_already_is_never_replaced(project: Path, configured: Place) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    names = configured.names()
    path.mkdir()
    (path / "other").write_text("mine")
    _, error = ran(project, "temp-restore", "x", code=3)
    assert f"{path} is there already; move it away first" in error
    assert (os.listdir(path), configured.names()) == (["other"], names)


# -- what anybody may have put there --------------------------------------------------------------


def test_what_was_planted_in_the_bucket_is_refused_and_stays(
    project: Path, configured: Place, tmp_path: Path
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    data, manifest = configured.names()
    told = json.loads(configured.get(manifest))
    packed = configured.get(data)
    planted = {
        "debug__a.0000000000000001": b"[" * 100_000,
        "debug__b.0000000000000002": b"{}",
        "debug__c.0000000000000003": b" " * (1 << 20) + b"{}",
        "debug__d.0000000000000004": json.dumps(told).encode(),
        "debug__e.0000000000000005": json.dumps(
            {**told, "id": "0000000000000005", "root": "here/.tmp"}
        ).encode(),
        "debug__f.0000000000000006": json.dumps({**told, "id": "0000000000000006"}).encode(),
        "debug__g.0000000000000007": json.dumps(
            {**told, "id": "0000000000000007", "path": "../../outside"}
        ).encode(),
        "debug__i.0000000000000009": b"",
        "debug__h.0000000000000008": json.dumps(
            {**told, "id": "0000000000000008", "root": str(tmp_path)}
        ).encode(),
    }
    for name, text in planted.items():
        configured.put(name + MANIFEST, text)
    for name in ("g.0000000000000007", "h.0000000000000008"):
        configured.put(f"debug__{name}.tar.zst", packed)
    configured.put("somebody-elses", b"1")
    configured.put("below/debug__x.0000000000000009.tempkeep.json", b"1")
    configured.delete(data)
    configured.put(data, packed[:-9] + b"\0" * 9)
    names = configured.names()
    out, _ = ran(project, "temp-restore", "--list", code=1)
    for name, what in {
        "a": "its manifest is damaged",
        "b": "its manifest is damaged",
        "i": "its manifest is damaged",
        "c": "its manifest cannot be read (debug__c.0000000000000003.tempkeep.json is too large)",
        "d": "its manifest belongs to something else",
        "e": "its manifest belongs to something else",
        "f": "its object is no longer there",
    }.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"debug__{name}.")]
        assert what in line
    assert "somebody" not in out
    refused = [name for name in planted if name[7] in "afgh"]
    for name in (*refused, manifest.removesuffix(MANIFEST)):
        _, error = ran(project, "temp-restore", name, code=3)
        assert len(error.splitlines()) == 1
    assert (path.exists(), configured.names()) == (False, names)
    assert not (tmp_path / "debug").exists()


def test_a_file_that_runs_as_its_owner_neither_goes_there_nor_comes_from_there(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(project / ".tmp", "debug/x")
    (path / "tool").touch()
    (path / "tool").chmod(0o4755)
    out, error = ran(project, *CLEAN, code=1)
    assert "tool is set-user-ID or set-group-ID); remove that bit, or clean without" in out + error
    assert (path.exists(), configured.names()) == (True, [])
    with monkeypatch.context() as patch:
        patch.setattr(upload, "refuse_powers", lambda items: items)
        ran(project, *CLEAN)
    _, error = ran(project, "temp-restore", "x", code=3)
    assert "tool is set-user-ID or set-group-ID; " in error
    assert (path.exists(), len(configured.names())) == (False, 2)


# -- what goes from there -------------------------------------------------------------------------


def test_an_object_without_a_manifest_goes_after_a_day_and_no_other(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(root, "debug/x")
    assert in_child(lambda: archive_entries(root, bucket.location)) == 0
    whole = bucket.names()
    orphan = "debug__x_1.00000000000000aa.tar.zst"
    others = ["debug__x_1.tar.zst", "debug__x_1.00000000000000aa.tar.xz", "holiday.jpg"]
    for name in (orphan, *others):
        bucket.put(name, b"x")
    assert in_child(lambda: sweep_again(root, bucket.location)) == 0
    assert bucket.names() == sorted([*whole, orphan, *others])
    monkeypatch.setattr(objects, "_ORPHAN_SECONDS", -10.0)
    assert in_child(lambda: sweep_again(root, bucket.location)) == 0
    assert bucket.names() == sorted([*whole, *others])


def test_what_was_stored_too_long_ago_is_not_published(
    root: Path, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_entry(root, "debug/x")
    monkeypatch.setattr(upload, "_STALE_SECONDS", -1.0)
    assert in_child(lambda: archive_entries(root, bucket.location)) == 0
    assert (path.exists(), bucket.names()) == (True, [])


def test_old_archives_of_this_root_go_as_planned(
    project: Path, configured: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(project / ".tmp", "debug/x")
    ran(project, *CLEAN)
    data, manifest = configured.names()
    told = json.loads(configured.get(manifest))
    old = {**told, "id": "00000000000000bb", "archived_at": "2020-01-01T00:00:00Z"}
    others = {**old, "id": "00000000000000cc", "root": "/elsewhere/.tmp"}
    for one in (old, others):
        configured.put(f"debug__x.{one['id']}{MANIFEST}", json.dumps(one).encode())
        configured.put(f"debug__x.{one['id']}.tar.zst", configured.get(data))
    names = configured.names()
    monkeypatch.setenv("TEMPKEEP_ARCHIVE_KEEP", "90d")
    monkeypatch.setenv("TEMPKEEP_ARCHIVE", "false")
    ran(project, "temp-clean", "--max-age", "1h", "--background")
    out, _ = ran(project, "temp-clean", "--max-age", "1h", "--dry-run")
    assert f"would delete from the archive debug__x.{old['id']}.tar.zst" in out
    assert "(archive expired: archived for 2" in out
    assert configured.names() == names
    out, _ = ran(project, "temp-clean", "--max-age", "1h")
    assert f"deleted from the archive debug__x.{old['id']}.tar.zst" in out
    assert configured.names() == [name for name in names if old["id"] not in name]
    monkeypatch.delenv("TEMPKEEP_ARCHIVE_KEEP")
    monkeypatch.setenv("TEMPKEEP_ARCHIVE_MAX_SIZE", "10B")
    out, _ = ran(project, "temp-clean", "--max-age", "1h")
    assert "(archive over size: " in out
    assert configured.names() == [name for name in names if others["id"] in name]
