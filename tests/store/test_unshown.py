"""Work in clones that `git status` does not show."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.store.repositories import clone, git, make_origin
from tests.support import scanned, swept

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
OURS = "#!/bin/sh\ngit lfs pre-push\n"


@pytest.fixture
def there(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in an entry, of a user with filters; what it has of them is in git as it is here."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    settings = (("strip", "sed s/[0-9]//g"), ("lfs", f"sed 1,9d; printf '{POINTER}'"))
    for number, (name, clean) in enumerate(settings):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", f"filter.{name}.clean")
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", clean)
    origin, module = make_origin(tmp_path / "origin"), make_origin(tmp_path / "module")
    (origin / ".gitattributes").write_text("*.book filter=strip\n*.bin filter=lfs\n*.txt text\n")
    (origin / "plain.book").write_text("no number")
    (origin / "pointer.bin").write_text(POINTER)
    git(origin, "submodule", "--quiet", "add", f"file://{module}", "libs/module")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "filtered")
    return clone(origin, root / "work" / "review" / "clone")


def kept(root: Path) -> str | None:
    return scanned(root)["work/review"].work


def push(there: Path, **files: str) -> None:
    for name, text in files.items():
        file = there / name.replace("_", ".")
        file.write_text(text)
        os.utime(file, (1, 1))  # git compares what has only just changed in any case
    git(there, "add", "-A")
    git(there, "commit", "-q", "-m", "more")
    git(there, "push", "-q", "origin", "HEAD:more")


def test_a_clone_of_which_git_has_all_as_it_is_here_goes(root: Path, there: Path) -> None:
    git(there, "update-index", "--assume-unchanged", "a")
    assert kept(root) is None
    assert len(swept(root).done) == 1


def test_what_a_filter_takes_out_before_git_compares_is_work(root: Path, there: Path) -> None:
    push(there, run_book="accuracy 93")
    assert kept(root) == "git: 1 file that a filter of git changes in work/review/clone"
    assert swept(root).done == ()


def test_a_large_file_is_work_unless_a_hook_pushes_it(root: Path, there: Path) -> None:
    push(there, model_bin="weights", other_bin="weights")
    said = "git: 2 possibly unpushed git-lfs files in work/review/clone"
    assert kept(root) == said
    assert swept(root).done == ()
    (there / ".git" / "hooks").mkdir(exist_ok=True)
    (there / ".git" / "hooks" / "pre-push").write_text(OURS)
    assert kept(root) is None
    git(there, "config", "core.hooksPath", ".husky")
    assert kept(root) == said
    (there / ".husky").mkdir()
    (there / ".husky" / "pre-push").write_text(OURS)
    push(there)
    assert kept(root) is None


def test_what_is_in_a_submodule_that_is_not_checked_out_is_work(root: Path, there: Path) -> None:
    (there / "libs" / "module" / "driver.c").write_text("mine")
    assert kept(root) == "git: 1 uncommitted file in work/review/clone"


def test_a_change_that_keeps_size_and_time_is_work(root: Path, there: Path) -> None:
    push(there, note_txt="one")
    git(there, "config", "core.trustctime", "false")
    git(there, "config", "core.checkStat", "minimal")
    time.sleep(1.01 - time.time() % 1)  # git tells change times by the second
    note = there / "note.txt"
    note.write_text("two")
    os.utime(note, (1, 1))
    git(there, "diff-index", "--quiet", "HEAD")  # it sees no change
    assert kept(root) is not None
    assert swept(root).done == ()


def test_a_change_that_git_was_told_to_assume_away_is_work(root: Path, there: Path) -> None:
    git(there, "update-index", "--assume-unchanged", "a")
    (there / "a").write_text("for me")
    assert kept(root) == "git: 1 uncommitted file in work/review/clone"


def test_a_new_file_in_a_clone_from_a_disk_that_ignores_case_is_work(
    root: Path, there: Path
) -> None:
    git(there, "config", "core.ignorecase", "true")
    (there / "A").write_text("another file here")
    assert kept(root) == "git: 1 uncommitted file in work/review/clone"
