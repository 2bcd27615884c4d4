"""Hostile files in a project: nothing outside the root is touched because of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp import auto_clean
from common.temp.errors import Refused
from common.temp.store.root.last_use import last_use, note_use
from common.temp.store.root.owner_file import strike
from common.temp.store.root.pinning import write_pin
from common.temp.store.root.records import record_name
from tests.store.test_reading import place
from tests.support import inv, listing, make_entry, make_project, scanned, tempkeep

NOTHING = ("temp-clean", "--max-age-hours", "99999", "--yes")
VALID = {"way": "to archive", "path": "debug/x_1690000000", "inode": 0}
RECEIPT = {"name": "debug__x_1690000000", "id": "0123456789abcdef", "inode": 0}
Figure = Callable[[str], None]


def plant(project: Path, said: object, payloads: int = 1, number: int = 0) -> Path:
    """A transfer as nobody begun it; where it lies."""
    transfer = project / ".tmp" / ".tempkeep" / "holding" / f"transfer-{number:02}"
    transfer.mkdir(parents=True)
    for number in range(payloads):
        (transfer / f"payload{number}").write_text("echo owned")
    (transfer / "intent.json").write_text(said if isinstance(said, str) else json.dumps(said))
    return transfer


def intent(project: Path, **different: object) -> dict[str, object]:
    receipt = json.dumps({key: different.pop(key, value) for key, value in RECEIPT.items()})
    inode = json.loads(receipt)["inode"]
    archive = str(project / ".tmp-archive")
    return {**VALID, "archive": archive, "receipt": receipt, "inode": inode, **different}


def older(project: Path, **different: object) -> dict[str, object]:
    """As an earlier version wrote it, which had no receipts."""
    return {**VALID, **RECEIPT, "archive": str(project / ".tmp-archive"), **different}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory outside, of which something might be deleted or added to."""
    directory = make_entry(tmp_path, "victim", files=2)
    make_entry(directory, "debug__x_1690000000")
    return directory


PLACES = [
    "../../victim/new", "../pyproject.toml", "/etc/new", "debug/../../../victim/new", "debug/a/b",
    ".tempkeep/pins/new", "debug/.tempkeep-category", "debug/..", "debug/", "/", "", ".",
    ".gitignore", "CACHEDIR.TAG", ".tempkeep", "debug/a\0b", "debug/\ud800",
]  # fmt: skip


WAYS: list[object] = ["from nowhere", None, []]
ODD_VALUES: list[object] = [5.5, None, [], {"a": 1}, -1, True]


def test_a_planted_transfer_stays_where_it_is_and_touches_nothing(
    project: Path, victim: Path, capsys: pytest.CaptureFixture[str], figure: Figure
) -> None:
    cases: list[tuple[object, int]] = [(intent(project, path=path), 1) for path in PLACES]
    cases += [(intent(project, path=str(victim / "new")), 1), (intent(project), 2)]
    cases += [(intent(project, way=way), 1) for way in WAYS]
    cases += [
        (said(project, **{key: value}), 1)
        for said, keys in (
            (intent, ("path", "archive", "receipt", "name", "id", "inode")),
            (older, ("name", "id", "inode")),
        )
        for key in keys
        for value in ODD_VALUES
    ]
    for said in (intent, older):
        cases += [(said(project, inode=10**300), 1), (said(project, name="../x"), 1)]
    cases += [(intent(project, receipt=text), 1) for text in ("[" * 100_000, "{", "", "null", "{}")]
    cases += [("[" * 100_000, 1), ("{", 1), ("", 1), ("null", 1)]
    for way in ("to archive", "from archive"):
        for archive in (victim, "/nonexistent", "..", "", "/"):
            cases.append((intent(project, way=way, archive=str(archive)), 1))
    entry = make_entry(project / ".tmp", "debug/y_1690000000")
    before, around = listing(victim), listing(project / ".tmp" / "debug")
    planted = [plant(project, *case, number) for number, case in enumerate(cases)]
    there = [listing(transfer) for transfer in planted]
    assert tempkeep(*NOTHING) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(cases)
    for transfer, names, (text, _) in zip(planted, there, cases, strict=True):
        (_,) = (line for line in lines if f"{transfer}: cannot be deleted: " in line)
        assert listing(transfer) == names, text
        shutil.rmtree(transfer)
    assert (listing(victim), listing(project / ".tmp" / "debug")) == (before, around)
    assert entry.is_dir()
    # The rest goes, be one there or not.
    plant(project, intent(project, path="../x"))
    assert tempkeep("temp-clean", "--everything", "--yes") == 1
    assert not entry.exists()
    figure(f"{len(cases)} planted transfers: each stayed where it was, and nothing outside changed")


@pytest.mark.parametrize("kind", ["fifo", "directory", "endless", "sparse"])
def test_an_odd_file_that_says_where_a_transfer_goes_hinders_nobody(
    project: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    transfer = plant(project, "")
    (transfer / "intent.json").unlink()
    place(transfer / "intent.json", kind)
    entry = make_entry(project / ".tmp", "debug/y_1690000000")
    assert tempkeep("temp-clean", "--everything", "--yes") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing says where it belongs (its intent.json: cannot be read: " in line
    assert ((transfer / "payload0").exists(), entry.exists()) == (True, False)


def test_a_transfer_to_a_category_that_is_a_link_stays(project: Path, victim: Path) -> None:
    transfer = plant(project, intent(project))
    (project / ".tmp" / "debug").symlink_to(victim)
    before = listing(victim)
    assert tempkeep(*NOTHING) == 1
    assert (listing(victim), (transfer / "payload0").exists()) == (before, True)


def test_a_transfer_of_an_entry_is_put_back(project: Path) -> None:
    plant(project, intent(project))
    assert tempkeep(*NOTHING) == 0
    assert (project / ".tmp" / "debug__x_1690000000").exists() is False
    (back,) = (project / ".tmp").rglob("x_1690000000*")
    assert back.read_text() == "echo owned"


def test_what_has_come_back_from_no_archive_of_ours_deletes_nothing_there(
    project: Path, victim: Path
) -> None:
    """An inode can be guessed, an id cannot."""
    (project / ".tmp-archive").symlink_to(victim)
    back = make_entry(project / ".tmp", "debug/x_1690000000")
    archived = victim / "debug__x_1690000000"
    guessed = {"way": "from archive", "id": f"inode {archived.stat().st_ino}"}
    inode = {"inode": back.stat().st_ino}
    before = listing(victim)
    for said in (intent(project, **guessed) | inode, older(project, **guessed, **inode)):
        transfer = plant(project, said, payloads=0)
        tempkeep(*NOTHING)
        assert listing(victim) == before
        shutil.rmtree(transfer, ignore_errors=True)


def test_what_lies_in_the_archive_without_a_manifest_has_not_arrived_there(project: Path) -> None:
    archived = make_entry(project / ".tmp-archive", "debug__x_1690000000")
    inode = archived.stat().st_ino
    for said in (intent, older):
        plant(project, said(project, id=f"inode {inode}", inode=inode))
        assert tempkeep(*NOTHING) == 0
        (back,) = (project / ".tmp").rglob("x_1690000000*")
        assert back.read_text() == "echo owned"
        back.unlink()
    assert archived.is_dir()


def test_when_the_archive_is_another_by_now_it_says_where_it_lies_and_how_to_finish(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = tmp_path / "old archive"
    old.mkdir()
    transfer = plant(project, intent(project, archive=str(old)))
    assert tempkeep(*NOTHING) == 1
    said = capsys.readouterr().err
    assert f"{transfer}: cannot be deleted: it was on its way to {old}, which is not" in said
    assert "clean with TEMPKEEP_ARCHIVE_LOCATION set to that" in said
    monkeypatch.setenv("TEMPKEEP_ARCHIVE_LOCATION", str(old))
    assert tempkeep(*NOTHING) == 0
    (back,) = (project / ".tmp").rglob("x_1690000000*")
    assert (back.read_text(), transfer.exists()) == ("echo owned", False)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, for other users")
@pytest.mark.parametrize("owner", [0, 1000, 1001])
def test_a_transfer_of_a_third_user_is_not_finished(project: Path, owner: int) -> None:
    """Root cleans the project of user 1000; what user 1001 put there is not theirs."""
    transfer = plant(project, intent(project))
    os.chown(project / ".tmp", 1000, 1000)
    for path in (transfer, transfer / "intent.json", transfer / "payload0"):
        os.chown(path, owner, owner)
    assert tempkeep(*NOTHING) == (1 if owner == 1001 else 0)
    assert transfer.exists() == (owner == 1001)


def test_an_archive_has_no_transfers(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_entry(project / ".tmp", "debug/y_1690000000")
    transfer = project / ".tmp-archive" / ".tempkeep" / "holding" / "transfer-00"
    transfer.mkdir(parents=True)
    (transfer / "payload").touch()
    (transfer / "intent.json").write_text(json.dumps(intent(project)))
    assert tempkeep(*NOTHING) == 1
    assert "no clean leaves this in an archive" in capsys.readouterr().err
    assert (transfer / "payload").exists()


# -- odd files in the store and in the settings ---------------------------------------------------

KINDS = ["fifo", "directory", "endless", "sparse", "deep", "[]", '{"path": 5, "reason": "x"}']


@pytest.mark.parametrize("kind", KINDS)
def test_a_pin_that_cannot_be_understood_still_pins(
    project: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    root = project / ".tmp"
    pinned, other = make_entry(root, "debug/x_1690000000"), make_entry(root, "debug/y_1690000000")
    write_pin(root, "debug/x_1690000000", "why")
    (file,) = (root / ".tempkeep" / "pins").iterdir()
    file.unlink()
    place(file, kind)
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert (pinned.exists(), other.exists()) == (True, False)
    place(file.with_name("x.json"), kind)
    capsys.readouterr()
    assert tempkeep("temp-clean", "--everything", "--yes") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert ".tempkeep/pins/x.json: is a pin on an unknown entry" in line
    assert (pinned.exists(), file.with_name("x.json").exists() or kind == "endless") == (True, True)


def test_a_pin_that_cannot_be_understood_keeps_what_it_may_be_on(project: Path) -> None:
    """A category becomes an entry when a stray file comes."""
    root = project / ".tmp"
    make_entry(root, "mine/x_1696348800")
    write_pin(root, "mine/x_1696348800", "why")
    (file,) = (root / ".tempkeep" / "pins").iterdir()
    file.write_text("")
    (root / "mine" / "stray").touch()
    assert list(scanned(root)) == ["mine"]
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert (root / "mine" / "x_1696348800").is_dir()


ODD = {
    "mode": "777777777777", "size": -1, "files": 10**30, "path": 7, "root": ["x"],
    "label": "\ud800", "undo_for": 1e999, "stamp": 1.5, "has_contents": "yes", "changed_ns": 10**40,
    "reasons": [{}],
    "archived_at": "0001-01-01T00:00:00", "id": None, "digest": 5, "layout": "a\0b",
}  # fmt: skip


def test_what_was_set_aside_with_an_odd_manifest_stays_and_is_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = project / ".tmp"
    make_entry(root, "debug/x_1690000000")
    assert tempkeep("temp-clean", "--everything", "--yes", "--undoable") == 0
    (file,) = (root / ".tempkeep" / "undo").glob("*.json")
    said = json.loads(file.read_text())
    texts = [json.dumps({**said, key: value}) for key, value in ODD.items()]
    for text in (*texts, "[" * 100_000, "", "null"):
        file.write_text(text)
        entry = make_entry(root, "debug/y_1690000000")
        capsys.readouterr()
        assert tempkeep("temp-clean", "--everything", "--yes") == 1, text
        (line,) = capsys.readouterr().err.splitlines()
        assert "undo/debug__x_1690000000: its manifest is damaged; it stays" in line
        assert (entry.exists(), tempkeep("temp-restore", "--list")) == (False, 1)
        assert tempkeep("temp-restore", "--name", "debug__x_1690000000") == 3
        assert (root / ".tempkeep" / "undo" / "debug__x_1690000000" / "file0.txt").exists()


@pytest.mark.parametrize("name", ["pyproject.toml", "cleanup_config.json"])
@pytest.mark.parametrize("kind", ["fifo", "endless", "sparse", "directory"])
def test_settings_that_are_no_file_end_a_command_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    entry = make_entry(project / ".tmp", "debug/x_1690000000")
    (project / name).unlink(missing_ok=True)
    place(project / name, kind)
    for command in (("temp-status",), ("temp-clean", "--everything", "--yes"), ("clean",)):
        assert tempkeep(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {project / name}: cannot be read: ")
    assert entry.is_dir()


def test_settings_behind_a_link_are_read(project: Path, tmp_path: Path) -> None:
    (project / "pyproject.toml").rename(tmp_path / "shared.toml")
    (tmp_path / "shared.toml").write_text('[tool.tempkeep]\nexclude = ["debug/x*"]\n')
    (project / "pyproject.toml").symlink_to(tmp_path / "shared.toml")
    entry = make_entry(project / ".tmp", "debug/x_1690000000")
    assert tempkeep("temp-clean", "--everything", "--yes") == 0
    assert entry.is_dir()


def test_the_status_of_all_projects_goes_on_past_settings_that_are_no_file(tmp_path: Path) -> None:
    monorepo = make_project(tmp_path / "mono", '[tool.tempkeep]\nprojects = ["projects/*"]\n')
    for name in ("a", "b"):
        make_entry(make_project(monorepo / "projects" / name) / ".tmp", "debug/x_1690000000")
    (monorepo / "projects" / "a" / "pyproject.toml").unlink()
    os.mkfifo(monorepo / "projects" / "a" / "pyproject.toml")
    done = inv("temp-status", "--all-projects", cwd=monorepo)
    (line,) = done.stderr.splitlines()
    assert line.startswith("problem: projects/a: .tmp: ")
    assert (done.returncode, "projects/b" in done.stdout) == (2, True)
    # What deletes touches nothing then.
    done = inv("temp-clean", "--all-projects", "--everything", "--yes", cwd=monorepo)
    assert done.returncode == 2
    assert (monorepo / "projects" / "b" / ".tmp" / "debug" / "x_1690000000").is_dir()


@pytest.mark.parametrize("kind", ["fifo", "endless", "sparse", "directory", "deep"])
def test_a_plan_that_is_no_plan_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    place(project / "plan.json", kind)
    assert tempkeep("temp-clean", "--apply", "plan.json") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --apply: plan.json ")


def _starts_a_clean(root: Path, _: Path) -> None:
    with pytest.raises(Refused, match="auto-clean is not a file made by this program"):
        auto_clean.noted(root).__enter__()
    with pytest.raises(Refused, match="auto-clean is not a file made by this program"):
        auto_clean.put_off(root, 0.0)


def _uses_an_entry(root: Path, _: Path) -> None:
    note_use(root, "debug/x")
    assert last_use(root, "debug/x") > 1e9, "the record is a file of its own"


def _strikes_an_owner(_: Path, file: Path) -> None:
    status = file.lstat()
    strike(str(file), (status.st_dev, status.st_ino), "debug/x")


WRITTEN: dict[str, Callable[[Path, Path], None]] = {
    "auto-clean": _starts_a_clean,
    f"used/{record_name('debug/x')}": _uses_an_entry,
    "owners/1600000000-1-aa": _strikes_an_owner,
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("way", ["second name", "link"])
def test_what_has_the_name_of_a_file_of_the_store_is_not_written(
    root: Path, tmp_path: Path, name: str, way: str
) -> None:
    make_entry(root, "debug/x")
    victim, file = tmp_path / "results.csv", root / ".tempkeep" / name
    victim.write_text("a,b\n")
    os.utime(victim, (1, 1))
    file.parent.mkdir(parents=True)
    file.hardlink_to(victim) if way == "second name" else file.symlink_to(victim)
    WRITTEN[name](root, file)
    assert (victim.read_text(), victim.stat().st_mtime) == ("a,b\n", 1)
