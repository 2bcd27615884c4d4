"""What in a repository counts as pushed, and what exists only there: the less usual cases."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.temp.store.root.making import make_root
from common.temp.store.sweep.abandoned import ABANDONED
from tests.store.repositories import check_that_they_go, clone, commit, git, make_origin
from tests.support import run, scanned, swept

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="there is no git")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with two commits and a tag, from which others are cloned."""
    return make_origin(tmp_path / "origin")


def annotated(there: Path, *, who: str = "a@b", days_ago: float = 0) -> None:
    """A tag with a text of its own, as a release has."""
    when = f"GIT_COMMITTER_DATE=@{int(time.time() - days_ago * 86400)} +0000"
    identity = ("-c", "user.name=a", "-c", f"user.email={who}")
    name = f"v{os.urandom(4).hex()}"
    done = run(["env", when, "git", *identity, "tag", "-a", "-m", "notes", name], cwd=there)
    assert done.returncode == 0, done.stderr


def tagged(there: Path) -> None:
    annotated(there)


def tagged_by_another_after_a_fetch(there: Path) -> None:
    """As a script does that releases under its own name."""
    git(there, "fetch", "-q")
    annotated(there, who="bot@b")


def tagged_and_packed(there: Path) -> None:
    annotated(there)
    git(there, "gc", "-q")


def fetched_from_a_clone_that_is_gone(there: Path) -> None:
    other = there.parent / "other"
    git(there.parent, "clone", "-q", "clone", "other")
    commit(other)
    git(there, "fetch", "-q", "../other", "main:refs/remotes/other/main")
    git(there, "fetch", "-q")
    shutil.rmtree(other)


def pushed_to_another_place_in_scratch(there: Path) -> None:
    git(there.parent / "hub", "init", "-q", "--bare")
    git(there, "config", "remote.origin.pushurl", str(there.parent / "hub"))
    commit(there)
    git(there, "push", "-q", "origin", "HEAD:refs/heads/topic")


def pushed_to_scratch_by_another_address(there: Path) -> None:
    hub = there.parent / "hub"
    git(hub, "init", "-q", "--bare")
    git(there, "remote", "set-url", "origin", "https://example.invalid/up")
    git(there, "config", f"url.{hub}.insteadOf", "https://example.invalid/up")
    commit(there)
    git(there, "push", "-q", "origin", "main")
    shutil.rmtree(hub)


def apart(there: Path) -> Path:
    """A commit that is only in `there`, and one that is only where it was cloned from."""
    origin = Path(run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()[7:])
    commit(origin)
    commit(there)
    return origin


def rebased_by_a_pull(there: Path) -> None:
    apart(there)
    git(there, "pull", "-q", "--rebase", "origin", "main")
    git(there, "tag", "mine")
    git(there, "reset", "-q", "--hard", "origin/main")


def merged_by_a_pull(there: Path) -> None:
    apart(there)
    git(there, "pull", "-q", "--no-rebase", "--no-edit", "origin", "main")
    git(there, "tag", "mine")
    git(there, "reset", "-q", "--hard", "origin/main")


def picked(there: Path) -> None:
    apart(there)
    git(there, "fetch", "-q")
    git(there, "checkout", "-q", "--detach", "origin/main")
    git(there, "cherry-pick", "--allow-empty", "main")
    git(there, "tag", "mine")
    git(there, "checkout", "-q", "main")
    git(there, "reset", "-q", "--hard", "origin/main")


def in_a_submodule(there: Path, do: Callable[[Path], None]) -> None:
    url = run(["git", "config", "remote.origin.url"], cwd=there).stdout.strip()
    git(there, "submodule", "--quiet", "add", url, "module")
    git(there, "commit", "-q", "-m", "module")
    git(there, "push", "-q", "origin", "HEAD:with-module")
    do(there / "module")
    git(there, "submodule", "--quiet", "deinit", "--force", "module")


def stashed(there: Path) -> None:
    (there / "a").write_text("changed")
    git(there, "stash", "-q")


def stashed_in_a_submodule(there: Path) -> None:
    in_a_submodule(there, stashed)


def pushed_to_a_disk_that_is_gone(there: Path) -> None:
    """The directory on which the disk was mounted is still there."""
    disk = there.parents[4] / "disk"
    git(disk, "init", "-q", "--bare")
    git(there, "remote", "add", "disk", str(disk))
    commit(there)
    git(there, "push", "-q", "disk", "main")
    shutil.rmtree(disk)
    disk.mkdir()


def pushed_by_ssh_to_this_very_machine(there: Path) -> None:
    hub = there.parent / "hub"
    git(hub, "init", "-q", "--bare")
    commit(there)
    git(there, "push", "-q", str(hub), "main")
    git(there, "remote", "add", "hub", f"ssh://git@localhost:22{hub}")
    git(there, "update-ref", "refs/remotes/hub/main", "main")


def joined_to_what_is_elsewhere(there: Path) -> None:
    git(there, "checkout", "-q", "--orphan", "old")
    git(there, "commit", "-q", "-m", "the old history")
    old, new = (
        run(["git", "rev-parse", name], cwd=there).stdout.strip() for name in ("old", "origin/main")
    )
    git(there, "checkout", "-q", "main")
    (there / ".git" / "info" / "grafts").write_text(f"{new} {old}\n")


def cut_when_it_was_fetched_from_scratch(there: Path) -> None:
    other = there.parent / "other"
    git(there.parent, "clone", "-q", "clone", "other")
    commit(other)
    git(there, "fetch", "-q", "--depth", "1", f"file://{other}", "main:mine")
    git(there, "fetch", "-q")
    shutil.rmtree(other)


def rebased_under_a_name_that_looks_like_a_pull(there: Path) -> None:
    apart(there)
    (there / "p").write_text("mine")
    git(there, "add", "p")
    git(there, "commit", "-q", "--amend", "-m", "docs: Fast-forward")
    git(there, "pull", "-q", "--rebase", "origin", "main")


def tagged_in_a_submodule(there: Path) -> None:
    in_a_submodule(there, annotated)


LOOKS_ELSEWHERE: list[tuple[Callable[[Path], None], str]] = [
    (tagged, "1 unpushed tag"),
    (tagged_by_another_after_a_fetch, "1 unpushed tag"),
    (tagged_and_packed, "1 unpushed tag"),
    (fetched_from_a_clone_that_is_gone, "1 unpushed commit"),
    (pushed_to_another_place_in_scratch, "2 unpushed commits"),
    (pushed_to_scratch_by_another_address, "3 unpushed commits"),
    (rebased_by_a_pull, "1 unpushed commit"),
    (merged_by_a_pull, "2 unpushed commits"),
    (picked, "1 unpushed commit"),
    (pushed_to_a_disk_that_is_gone, "1 unpushed commit"),
    (pushed_by_ssh_to_this_very_machine, "1 unpushed commit"),
    (joined_to_what_is_elsewhere, "1 unpushed commit"),
    (cut_when_it_was_fetched_from_scratch, "1 unpushed commit"),
    (rebased_under_a_name_that_looks_like_a_pull, "1 unpushed commit"),
    (stashed_in_a_submodule, "1 stash of submodules"),
    (tagged_in_a_submodule, "1 unpushed tag of submodules"),
]


def test_what_only_looks_as_if_it_were_elsewhere_keeps_its_entry(
    root: Path, tmp_path: Path
) -> None:
    for do, _ in LOOKS_ELSEWHERE:
        origin = make_origin(tmp_path / do.__name__ / "origin")
        do(clone(origin, root / "work" / do.__name__ / "clone"))
    found = scanned(root)
    for do, said in LOOKS_ELSEWHERE:
        work = str(found[f"work/{do.__name__}"].work)
        assert work.startswith("git: "), (do, work)
        assert said in work.removeprefix("git: ").partition(" in ")[0].split(", "), (do, work)
    assert swept(root).done == ()
    assert all((root / "work" / do.__name__ / "clone").is_dir() for do, _ in LOOKS_ELSEWHERE)


def with_a_tag_that_was_pushed(origin: Path, there: Path) -> None:
    tagged(clone(origin, there))
    git(there, "push", "-q", "--tags")
    git(there, "fetch", "-q", "--tags")


def of_an_annotated_tag(origin: Path, there: Path) -> None:
    annotated(origin)
    name = run(["git", "tag", "--points-at", "HEAD"], cwd=origin).stdout.strip()
    clone(origin, there, "--depth", "1", "--branch", name)


def mirrored_with_tags(origin: Path, there: Path) -> None:
    annotated(origin)
    clone(origin, there, "--mirror")


def of_two_remotes(origin: Path, there: Path) -> None:
    other = clone(origin, origin.parent / "other")
    commit(other)
    clone(origin, there)
    git(there, "remote", "add", "other", f"file://{other}")
    git(there, "fetch", "-q", "other")
    git(there, "fetch", "-q", "origin")


def pulled_and_tagged(origin: Path, there: Path) -> None:
    clone(origin, there)
    commit(origin)
    git(there, "pull", "-q", "origin", "main")
    git(there, "tag", "here")


def by_another_address(origin: Path, there: Path) -> None:
    clone(origin, there)
    git(there, "remote", "set-url", "origin", "https://example.invalid/up")
    git(there, "config", f"url.file://{origin}.insteadOf", "https://example.invalid/up")
    commit(there)
    git(there, "push", "-q", "origin", "HEAD:refs/heads/topic")


def of_a_clone_in_scratch_and_pushed_since(origin: Path, there: Path) -> None:
    between = clone(origin, there.parent / "between")
    clone(between, there)
    shutil.rmtree(between)
    git(there, "remote", "set-url", "origin", f"file://{origin}")
    commit(there)
    git(there, "push", "-q", "origin", "HEAD:refs/heads/main-of-mine")


def of_a_clone_in_scratch_and_fetched_since(origin: Path, there: Path) -> None:
    clone(clone(origin, there.parent / "between"), there)
    git(there, "remote", "set-url", "origin", f"file://{origin}")
    git(there, "fetch", "-q")
    shutil.rmtree(there.parent / "between")


def test_what_came_from_elsewhere_goes(root: Path, tmp_path: Path) -> None:
    check_that_they_go(
        root,
        tmp_path,
        [
            by_another_address,
            of_a_clone_in_scratch_and_pushed_since,
            of_a_clone_in_scratch_and_fetched_since,
            with_a_tag_that_was_pushed,
            of_an_annotated_tag,
            mirrored_with_tags,
            of_two_remotes,
            pulled_and_tagged,
        ],
    )


def test_what_came_from_scratch_before_the_address_was_set_keeps_its_entry(
    root: Path, origin: Path
) -> None:
    work, server = root / "work", "https://example.invalid/x.git"
    between = clone(origin, work / "between")
    annotated(between)
    commit(between)
    git(between, "bundle", "create", "-q", "../x.bundle", "--all")
    clone(between, work / "clone")
    clone(between, work / "mirror", "--mirror")
    git(work, "clone", "-q", "x.bundle", "bundle")
    clone(origin, work / "second")
    git(work / "second", "fetch", "-q", "../between", "main:refs/heads/mine")
    git(work / "second", "remote", "add", "between", "../between")
    git(work / "second", "fetch", "-q", "between")
    for name in ("clone", "mirror", "bundle"):
        git(work / name, "remote", "set-url", "origin", server)
    git(work / "second", "remote", "set-url", "between", server)
    shutil.rmtree(between)
    (work / "x.bundle").unlink()
    assert swept(root).done == ()
    lost = {name: str(entry.work) for name, entry in scanned(root).items()}
    assert lost == {
        "work/clone": "git: 3 unpushed commits, 1 unpushed tag in work/clone",
        "work/mirror": "git: 3 unpushed commits, 1 unpushed tag in work/mirror",
        "work/bundle": "git: 3 unpushed commits, 1 unpushed tag in work/bundle",
        "work/second": "git: 1 unpushed commit, 1 unpushed tag in work/second",
    }


def test_a_remote_that_the_users_configuration_for_that_place_rewrites_is_not_elsewhere(
    root: Path, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, of_place, hub = tmp_path / "user", tmp_path / "of_place", root / "work" / "hub"
    user.write_text(f'[includeIf "gitdir:{root.parent}/"]\n\tpath = {of_place}\n')
    of_place.write_text(f'[url "{hub}"]\n\tinsteadOf = https://example.invalid/x\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    git(hub, "init", "-q", "--bare")
    there = clone(origin, root / "work" / "r")
    git(there, "remote", "add", "hub", "https://example.invalid/x")
    commit(there)
    git(there, "push", "-q", "hub", "main")
    assert scanned(root)["work/r"].work == "git: 1 unpushed commit in work/r"


@pytest.mark.parametrize("where", ["root of ours", ".tmp", ".temp"])
def test_a_remote_in_any_scratch_is_not_elsewhere(
    root: Path, origin: Path, tmp_path: Path, where: str
) -> None:
    scratch = tmp_path / "another" / where
    scratch.mkdir(parents=True)
    if where == "root of ours":
        make_root(str(scratch))
    hub = clone(origin, scratch / "work" / "hub.git", "--bare")
    there = clone(hub, root / "work" / "r")
    commit(there)
    git(there, "push", "-q")
    swept(scratch, ABANDONED)
    assert "unpushed commit" in str(scanned(root)["work/r"].work)
    assert swept(root).done == ()
